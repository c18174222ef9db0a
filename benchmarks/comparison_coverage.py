"""Do the comparison's intervals hold the truth? Simulated programmes, truth known.

    python benchmarks/comparison_coverage.py --studies 400 --programmes P1 P2 P6 pairs bounds

P1      both scores have one distribution given the customer: residual 0
P2      a context shift only
P6      a contact rule keeps heavy, loyal users out of the relationship survey, with positive
        probability: raw rNPS is biased by over three standard errors
P1b     response depends strongly on the score: bounds hold the truth, and stand beside each number
both-10, both-25, t-10, t-25, r-10, r-25
        odds of answering × e^.10 or e^.25 per score point, in both surveys, the transactional or
        the relationship survey only: bias and coverage of the tilting rows at the true pair of
        slopes, beside those that assume the frame variables explain answering
identity
        among those who answered: coverage of its parts, 60 or 12 customers in both surveys
certain every episode is surveyed, so the rule stops every recent user: "not identified"
pairs   true paired gap 0, 1 to 7 transactional answers a customer: share of rejections

For P1, P2 and P6: bias of each term with its Monte-Carlo standard error, and the share of
95 % intervals that hold the truth of the programme's own customers, and of customers like them
(the bootstrap of customers is about the latter, so the former errs on the safe side). Seeds are fixed: study k of a programme is
the same in every run.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.simulate import Programme, simulate_programme
from cxlab.stats.comparison import compare_tnps_rnps
from cxlab.stats.comparison.gaps import contrast
from cxlab.stats.comparison.identity import (
    R_ONLY,
    SAME,
    T_ONLY,
    among_answers,
    identity_table,
)
from cxlab.stats.comparison.pairs import category
from cxlab.stats.comparison.programme import read_programme
from cxlab.stats.comparison.quantities import TERMS
from cxlab.stats.comparison.scores import STANDARDISED_ROWS

FIRST_SEED = 60_000
#: What every programme shares: one wave, every mechanism off but segments, use and response.
PLAIN = {
    "periods": 1,
    "context_shift": 0.0,
    "wording_effect": 0.0,
    "channel_effect": 0.0,
    "delay_effect": 0.0,
    "touchpoint_effect": 0.0,
    "item_missing": 0.0,
    "trips_per_period": 0.8,
    # about one customer in ten answers: the truth is that of these customers, the intervals are
    # about customers like them, and only for a small fraction is that the same
    "transactional_sampling": 0.1,
    "relationship_sampling": 0.25,
    "transactional_quarantine": 0.0,
    "relationship_quarantine": 0.0,
    "exempt": 0.0,
}
SUPPRESSED = {
    "context_shift": 0.35,
    "touchpoint_effect": 1.0,
    "trips_per_period": 1.2,
    "use_on_loyalty": 0.8,
    "use_spread": 0.5,
    "transactional_sampling": 0.4,
    "transactional_response": 0.2,
    "relationship_sampling": 0.35,
    "relationship_quarantine": 80.0,
    "exempt": 0.1,
}
PROGRAMMES: dict[str, dict[str, float]] = {
    "P1": {},
    "P2": {"context_shift": 0.35},
    "P6": SUPPRESSED,
    "P1b": {
        "response_on_score": 0.8,
        "transactional_sampling": 0.25,
        "relationship_sampling": 0.5,
    },
    "certain": {**SUPPRESSED, "transactional_sampling": 1.0, "exempt": 0.0, "use_on_loyalty": 0.4},
}


#: Planted slope of the log odds of answering per score point: transactional, relationship.
SLOPES = {
    "both-10": (0.1, 0.1),
    "both-25": (0.25, 0.25),
    "t-10": (0.1, 0.0),
    "t-25": (0.25, 0.0),
    "r-10": (0.0, 0.1),
    "r-25": (0.0, 0.25),
}
#: The simulator's slopes are per two points; no bounces, so that the tilted model is the truth.
PROGRAMMES |= {
    name: {
        "context_shift": 0.35,
        "transactional_on_score": 2 * t,
        "relationship_on_score": 2 * r,
        "transactional_sampling": 0.4,
        "relationship_sampling": 0.6,
        "bounce": 0.0,
    }
    for name, (t, r) in SLOPES.items()
}


def programme(name: str, study: int, customers: int) -> Programme:
    """Study ``study`` of a programme."""
    sizes = {**PLAIN, **PROGRAMMES[name]}
    return simulate_programme(customers, seed=FIRST_SEED + study, **sizes)


def compare(p: Programme, replicates: int):
    """Compare with the programme's own contact rules declared."""
    return compare_tnps_rnps(
        p.transactional,
        p.relationship,
        invitations=p.invitations,
        customers=p.customers,
        traits=["segment", "home_region"],
        contact_rules=p.contact_rules,
        replicates=replicates,
    )


def estimates(name: str, study: int, customers: int, replicates: int) -> pd.DataFrame:
    """Terms and quantities of one study beside the truth."""
    p = programme(name, study, customers)
    result = compare(p, replicates)
    truth = p.truth.set_index("quantity")["value"]
    terms = result.decomposition.rename(columns={"term": "quantity"})
    names = {population: name for _, name, population in STANDARDISED_ROWS[:4]}
    raw = {"transactional": "B0", "relationship": "A0"}
    scores = result.estimates.assign(quantity=result.estimates["population"].map(names))
    here = scores["estimate_kind"] == "raw"
    scores["quantity"] = scores["quantity"].mask(here, scores["survey"].map(raw))
    both = pd.concat([terms, scores])[["quantity", "estimate", "se", "ci_low", "ci_high"]]
    both = both[both["quantity"].isin(truth.index)]
    naive = both[both["quantity"] == "A0"].assign(quantity="raw rNPS against C0")
    both = pd.concat([both, naive])
    both["truth"] = both["quantity"].map({**truth, "raw rNPS against C0": truth["C0"]})
    return both.assign(study=study)


def coverage(name: str, studies: int, customers: int, replicates: int) -> pd.DataFrame:
    """Bias and coverage over the studies of one programme."""
    every = pd.concat([estimates(name, k, customers, replicates) for k in range(studies)])
    every["error"] = every["estimate"] - every["truth"]
    every["holds"] = every["truth"].between(every["ci_low"], every["ci_high"])
    # the truth of customers like these: their mean over all programmes
    population = every.groupby("quantity")["truth"].transform("mean")
    every["holds_population"] = population.between(every["ci_low"], every["ci_high"])
    table = every.groupby("quantity", sort=False).agg(
        truth=("truth", "mean"),
        estimate=("estimate", "mean"),
        bias=("error", "mean"),
        mc_se=("error", lambda e: e.std(ddof=1) / len(e) ** 0.5),
        se_mean=("se", "mean"),
        sd=("error", "std"),
        coverage=("holds", "mean"),
        coverage_population=("holds_population", "mean"),
    )
    table["coverage_mc_se"] = np.sqrt(table["coverage"] * (1 - table["coverage"]) / studies)
    table["allowed_bias"] = 3 * table["mc_se"] + 0.7
    print(f"\n{name}: {studies} programmes of {customers:,} customers, {replicates} replicates")
    print(table.round(3).to_string())
    return table


def tilting(name: str, studies: int, customers: int, replicates: int) -> pd.DataFrame:
    """Bias and coverage of the tilting rows at the true pair, and of the terms without them."""
    slope_t, slope_r = SLOPES[name]
    rows = []
    for study in range(studies):
        p = programme(name, study, customers)
        result = compare(p, replicates)
        truth = p.truth.set_index("quantity")["value"]
        table = result.tilting
        here = table["slope_transactional"].eq(slope_t) & table["slope_relationship"].eq(slope_r)
        here &= table["note"].eq("")
        tilted = result.tilting[here].drop_duplicates("term").set_index("term")
        plain = result.decomposition.set_index("term").loc[tilted.index]
        bare = plain["status"].eq("identified") | ~(plain["bound_low"] < plain["bound_high"])
        for term in tilted.index:
            rows.append(
                {"term": term, "truth": truth[term], "bare": bool(bare[term])}
                | _told("tilted", tilted.loc[term], truth[term])
                | _told("assumed", plain.loc[term], truth[term])
            )
    every = pd.DataFrame(rows)
    table = every.groupby("term", sort=False).mean()
    table["mc_se"] = every.groupby("term", sort=False)["tilted_error"].std() / studies**0.5
    print(f"\n{name}: {studies} programmes of {customers:,} customers, {replicates} replicates")
    print(table.round(3).to_string())
    return table


def _told(kind: str, row: pd.Series, truth: float) -> dict[str, float]:
    inside = row["ci_low"] <= truth <= row["ci_high"]
    return {f"{kind}_error": row["estimate"] - truth, f"{kind}_coverage": float(inside)}


def identity(studies: int) -> pd.DataFrame:
    """Coverage of the identity's parts, with 60 and with 12 customers in both surveys."""
    rng = np.random.default_rng(FIRST_SEED)
    truth = {SAME: 20.0, T_ONLY: 0.0, R_ONLY: 0.0}
    rows = []
    for both in (60, 12):
        t_who = [f"c{k}" for k in (*range(both), *range(1000, 1150))]
        r_who = [f"c{k}" for k in (*range(both), *range(2000, 2200))]
        for _ in range(studies):
            t, r = (_answers(rng, who, p) for who, p in ((t_who, 0.5), (r_who, 0.3)))
            data = read_programme(t, r, customer="customer_id", score="recommend", weights={})
            found = among_answers(data, replicates=300, seed=int(rng.integers(2**31)))
            table = identity_table(found).set_index("term")
            low, high = table["ci_low"], table["ci_high"]
            rows += [(both, name, low[name] <= v <= high[name]) for name, v in truth.items()]
    every = pd.DataFrame(rows, columns=["in_both", "part", "coverage"])
    table = every.groupby(["in_both", "part"], sort=False)["coverage"].mean().to_frame()
    table["mc_se"] = np.sqrt(table["coverage"] * (1 - table["coverage"]) / studies)
    print(f"\nidentity: {studies} studies")
    print(table.round(4).to_string())
    return table


def _answers(rng: np.random.Generator, who: list[str], promoters: float) -> pd.DataFrame:
    scores = rng.choice([10, 8, 2], len(who), p=[promoters, 0.8 - promoters, 0.2])
    return pd.DataFrame({"customer_id": who, "recommend": scores})


def bounds(name: str, studies: int, customers: int) -> pd.DataFrame:
    """How often bounds hold the truth, and whether a number is given where none should be."""
    rows = []
    for study in range(studies):
        p = programme(name, study, customers)
        result = compare(p, 100)
        truth = p.truth.set_index("quantity")["value"]
        table = result.decomposition.set_index("term")
        for term in TERMS:
            row = table.loc[term]
            none = row["status"] == "not identified"
            low, high = min(row["ci_low"], row["bound_low"]), max(row["ci_high"], row["bound_high"])
            inside = low <= truth[term] <= high
            said = bool(result.findings().of_kind("caution"))
            rows.append((term, none, said, inside, none and not np.isnan(row["estimate"])))
    columns = ["term", "no_number", "said_not_identified", "bounds_hold", "silent_number"]
    found = pd.DataFrame(rows, columns=columns)
    table = found.groupby("term", sort=False).mean()
    print(f"\n{name}: {studies} programmes of {customers:,} customers")
    print(table.round(3).to_string())
    return table


def paired_null(studies: int, customers: int = 300) -> pd.DataFrame:
    """Rejections of a true null with 1 to 7 transactional answers a customer."""
    rng = np.random.default_rng(FIRST_SEED)
    rejected = np.zeros((studies, 3), dtype=bool)
    for study in range(studies):
        base = 8 + 1.3 * rng.standard_normal(customers)
        times = rng.integers(1, 8, customers)
        who = np.repeat(np.arange(customers), times)
        t = np.clip(np.rint(base[who] + 1.5 * rng.standard_normal(len(who))), 0, 10)
        r = np.clip(np.rint(base + 1.5 * rng.standard_normal(customers)), 0, 10)
        difference = 100.0 * (category(t) - category(r[who]))
        last = np.cumsum(times) - 1
        tests = (
            contrast(difference, who),
            contrast(difference[last], who[last]),
            contrast(difference, np.arange(len(who))),
        )
        rejected[study] = [one.row("wald")["p_value"] < 0.05 for one in tests]
    names = ["every answer, by customer", "last before", "every answer, by row (wrong)"]
    table = pd.DataFrame({"test": names, "rejected": rejected.mean(0)})
    table["mc_se"] = np.sqrt(table["rejected"] * (1 - table["rejected"]) / studies)
    print(
        f"\npairs: {studies} programmes of {customers} customers, true gap 0, 1 to 7 answers each"
    )
    print(table.round(4).to_string(index=False))
    return table


def main() -> None:
    """Run the studies that are asked for and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=400)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--replicates", type=int, default=500)
    choices = [*PROGRAMMES, "pairs", "identity"]
    parser.add_argument("--programmes", nargs="+", choices=choices, default=choices)
    asked = parser.parse_args()
    for name in asked.programmes:
        began = time.perf_counter()
        if name == "pairs":
            paired_null(max(asked.studies, 1000))
        elif name == "identity":
            identity(max(asked.studies, 1000))
        elif name in SLOPES:
            tilting(name, asked.studies, asked.customers, min(asked.replicates, 200))
        elif name in ("P1b", "certain"):
            bounds(name, asked.studies, asked.customers)
        else:
            coverage(name, asked.studies, asked.customers, asked.replicates)
        print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
