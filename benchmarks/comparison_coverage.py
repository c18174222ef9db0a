"""Do the comparison's intervals hold the truth? Simulated programmes, truth known.

    python benchmarks/comparison_coverage.py --studies 400 --programmes P1 P2 P6 pairs bounds

P1      both scores have one distribution given the customer: residual 0
P2      a context shift only
P6      a contact rule keeps heavy, loyal users out of the relationship survey, with positive
        probability: raw rNPS is biased by over three standard errors
P1b     response depends on the score: "not identified", with bounds
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

from cxlab.stats.comparison import compare_tnps_rnps
from cxlab.stats.comparison.margins import category, contrast
from cxlab.stats.comparison.terms import TERMS
from cxlab.survey.simulate import Programme, simulate_programme

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
PROGRAMMES = {
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


def programme(name: str, study: int, customers: int) -> Programme:
    """Study ``study`` of a programme."""
    sizes = {**PLAIN, **PROGRAMMES[name]}
    return simulate_programme(customers, seed=FIRST_SEED + study, **sizes)


def compare(p: Programme, replicates: int, response: str = "checked"):
    """Compare with the programme's own contact rules declared."""
    return compare_tnps_rnps(
        p.transactional,
        p.relationship,
        invitations=p.invitations,
        customers=p.customers,
        traits=["segment", "home_region"],
        contact_rules=p.contact_rules,
        response=response,
        replicates=replicates,
    )


def estimates(name: str, study: int, customers: int, replicates: int) -> pd.DataFrame:
    """Terms and quantities of one study beside the truth."""
    p = programme(name, study, customers)
    result = compare(p, replicates, response="frame")
    truth = p.truth.set_index("quantity")["value"]
    terms = result.decomposition.rename(columns={"term": "quantity"})
    both = pd.concat([terms, result.quantities])[
        ["quantity", "estimate", "se", "ci_low", "ci_high"]
    ]
    both = both[both["quantity"].isin(truth.index)]
    naive = both[both["quantity"] == "A0"].assign(quantity="raw rNPS against C0")
    both = pd.concat([both, naive])
    both["truth"] = both["quantity"].map({**truth, "raw rNPS against C0": truth["C0"]})
    flagged = (result.checks["p_value"] < 0.005).any()
    return both.assign(study=study, flagged=bool(flagged))


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
    check = every.groupby("study")["flagged"].first().mean()
    print(f"\n{name}: {studies} programmes of {customers:,} customers, {replicates} replicates; "
          f"the response check objects to {check:.1%}")  # fmt: skip
    print(table.round(3).to_string())
    return table


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
            silent = row["status"] == "not identified" and not np.isnan(row["estimate"])
            low, high = row["ci_low"], row["ci_high"]
            if row["status"] != "not identified":  # then the bounds are over non-response
                low, high = min(low, row["bound_low"]), max(high, row["bound_high"])
            inside = low <= truth[term] <= high
            said = any("not identified" in sentence for sentence in result.sentences)
            rows.append((term, row["status"] == "not identified", said, inside, silent))
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
        rejected[study] = [one.row("wald", 0.95)["p_value"] < 0.05 for one in tests]
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
    choices = [*PROGRAMMES, "pairs"]
    parser.add_argument("--programmes", nargs="+", choices=choices, default=choices)
    asked = parser.parse_args()
    for name in asked.programmes:
        began = time.perf_counter()
        if name == "pairs":
            paired_null(max(asked.studies, 1000))
        elif name in ("P1b", "certain"):
            bounds(name, asked.studies, asked.customers)
        else:
            coverage(name, asked.studies, asked.customers, asked.replicates)
        print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
