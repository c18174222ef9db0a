"""Coverage of corrected themes in planted studies, beside machine alone and hand codes alone; speed.

``python -m benchmarks verbatims --studies 1000``.
"""

from __future__ import annotations

import resource
import time
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from cxlab.core.threads import one_blas_thread
from cxlab.stats.inference import wilson_interval
from cxlab.stats.resampling import SamplingDesign, sampling_design
from cxlab.stats.variance import clustered_variance
from cxlab.stats.verbatims import (
    CodedComments,
    code_comments,
    coding_sample,
    find_themes,
    read_coding,
    theme_scores,
    theme_sentiment,
    typical_quotes,
)
from cxlab.stats.verbatims.coding import cohen_kappa
from cxlab.stats.verbatims.correction import (
    Comments,
    Correction,
    adjusted_gap,
    gap,
    impact,
    share,
)
from cxlab.survey.definition import Theme

SHARES, EFFECTS = np.array([0.25, 0.12, 0.05]), np.array([-20.0, 10.0, 25.0])
COMMENTS, CODED, ACCURACY = 3000, 300, 0.94
LEVEL = 0.95
#: What becomes otherwise in the period that 300 hand codes of an earlier one are lent to.
RISES = {
    "nothing changes": {},
    "share 10 to 30 %": {"share": 0.3},
    "share 10 to 20 %": {"share": 0.2},
    "gap -60 to 0": {"gap": 0.0},
    "scores 30 higher": {"level": 30.0},
    "machine finds 6 of 10 it found": {"fade": 0.6},
}
#: Share of a theme's comments that a machine finds, and of the others that it takes for it.
MACHINES = {"good": (0.95, 0.01), "poor": (0.6, 0.05)}


def study(
    rng: np.random.Generator, design: str, accuracy: float
) -> tuple[Comments, SamplingDesign, np.ndarray]:
    """Comments of three themes; of the third the machine errs where scores are low."""
    n, flights = COMMENTS, 150
    flight = rng.integers(0, flights, n)
    mood = rng.normal(0, 15, flights)[flight] if design != "simple" else 0.0
    weight = rng.lognormal(0, 0.5, n) if design == "weighted" else np.ones(n)
    shift = 0.5 * np.sign(rng.normal(size=flights))[flight] if design != "simple" else np.zeros(n)
    odds = np.log(SHARES / (1 - SHARES))[None, :] + shift[:, None]
    truth = (rng.random((n, 3)) < 1 / (1 + np.exp(-odds))).astype(float)
    score = 40 + truth @ EFFECTS + mood + rng.normal(0, 70, n)
    machine = np.where(rng.random((n, 3)) < accuracy, truth, 1 - truth)
    machine[:, 2] = np.where((score < -20) & (rng.random(n) < 0.2), 1, machine[:, 2])
    stratum, hand, drawn = machine.any(axis=1).astype(int), np.full((n, 3), np.nan), np.ones(n)
    for place in (0, 1):
        pool = np.flatnonzero(stratum == place)
        hand[rng.choice(pool, min(CODED // 2, len(pool)), replace=False)] = 0
    coded = ~np.isnan(hand[:, 0])
    hand[coded] = truth[coded]
    kappa = np.array([cohen_kappa(machine[:, t], truth[:, t]) for t in range(3)])
    sample = sampling_design(n, cluster=flight if design != "simple" else None)
    comments = Comments(machine, hand, score, np.ones(n, bool), weight, drawn, stratum)
    return comments, sample, kappa


def truths(design: str) -> dict[tuple[str, int], float]:
    """Planted values; shares of clustered studies are means over flights."""
    odds = np.log(SHARES / (1 - SHARES))
    mixed = np.mean([1 / (1 + np.exp(-(odds + s))) for s in (-0.5, 0.5)], axis=0)
    shares = mixed if design != "simple" else SHARES
    found = {("share", t): float(shares[t]) for t in range(3)}
    found |= {("adjusted gap", t): float(EFFECTS[t]) for t in range(3)}
    # themes go together by their flights: gaps hold a part of the other themes' effects
    low, high = (1 / (1 + np.exp(-(odds + s))) for s in (-0.5, 0.5))
    between = (np.outer(low, low) + np.outer(high, high)) / 2 - np.outer(shares, shares)
    for t in range(3):
        spill = between[t] / (shares[t] * (1 - shares[t]))
        spill[t] = 0.0
        found["gap", t] = float(EFFECTS[t] + (spill @ EFFECTS if design != "simple" else 0.0))
    return found


def inside(estimate: float, se: float, df: float, kind: str, true: float, n: int) -> bool:
    """Whether the interval holds the truth."""
    if kind != "share":
        return abs(estimate - true) < stdtrit(df, 0.5 + LEVEL / 2) * se
    ratio = stdtrit(1e9, 0.5 + LEVEL / 2) / stdtrit(df, 0.5 + LEVEL / 2)
    size = estimate * (1 - estimate) / se**2 * ratio**2
    low, high = wilson_interval(estimate, size, level=LEVEL)
    return bool(low <= true <= high)


@one_blas_thread
def coverage(studies: int, design: str, accuracy: float = ACCURACY) -> pd.DataFrame:
    """Coverage, mean standard error against hand codes alone, and the machine's mean figure."""
    rng, true, rows = np.random.default_rng(7), truths(design), []
    for _ in range(studies):
        comments, sample, kappa = study(rng, design, accuracy)
        made = Correction(comments)
        for t in range(3):
            for kind, quantity in (
                ("share", share(t)),
                ("gap", gap(t)),
                ("adjusted gap", adjusted_gap(t, 3)),
            ):
                row = {"quantity": kind, "theme": t, "kappa": kappa[t]}
                for name, found in (
                    ("corrected", made.estimate(quantity, theme=t)),
                    ("hand", made.estimate(quantity, theme=t, tuning=0.0)),
                    ("machine", made.machine_alone(quantity)),
                ):
                    variance, df = clustered_variance(found.influence, found.information, sample)
                    se = float(np.sqrt(variance + found.unseen))
                    row[f"{name}_covers"] = inside(
                        found.estimate, se, df, kind, true[kind, t], CODED
                    )
                    row[f"{name}_se"], row[name] = se, found.estimate
                rows.append(row)
    table = pd.DataFrame(rows).groupby(["quantity", "theme"]).mean()
    table["se_ratio"] = table["corrected_se"] / table["hand_se"]
    table["truth"] = [true[key] for key in table.index]
    columns = [
        "truth",
        "corrected",
        "corrected_covers",
        "hand_covers",
        "machine",
        "machine_covers",
        "se_ratio",
        "kappa",
    ]
    return table[columns]


def two_periods(
    rng: np.random.Generator, change: dict[str, float], machine: str, top_up: int
) -> tuple[Comments, dict[str, float]]:
    """A period with few hand codes, an earlier one that lends 300, and what is planted."""
    n = 5000
    own = np.repeat([False, True], n // 2)
    true = {"share": change.get("share", 0.1), "gap": change.get("gap", -60.0)}
    chance = np.column_stack([np.where(own, true["share"], 0.1), np.full((n, 2), (0.12, 0.05))])
    truth = (rng.random((n, 3)) < chance).astype(float)
    effect = np.where(own, true["gap"], -60.0) * truth[:, 0]
    score = 40 + effect + truth[:, 1:] @ (10.0, 25.0) + rng.normal(0, 60, n)
    score += change.get("level", 0.0) * own
    score[~own] += score[own].mean() - score[~own].mean()
    found, taken = MACHINES[machine]
    found = np.where(own, found * change.get("fade", 1.0), found)[:, None]
    codes = (rng.random((n, 3)) < np.where(truth == 1, found, taken)).astype(float)
    stratum, hand = codes.any(axis=1).astype(int), np.full((n, 3), np.nan)
    for side, size in ((~own, CODED), (own, top_up)):
        for place in (0, 1):
            chosen = rng.choice(np.flatnonzero(side & (stratum == place)), size // 2, False)
            hand[chosen] = truth[chosen]
    true |= {"adjusted gap": true["gap"], "impact": true["share"] * true["gap"]}
    return Comments(codes, hand, score, own, np.ones(n), np.ones(n), stratum), true


@one_blas_thread
def share_rises(studies: int, change: str, machine: str, top_up: int) -> pd.DataFrame:
    """Coverage where codes are lent and of own codes alone; median ratio of standard errors."""
    rng, rows = np.random.default_rng(7), []
    quantities = {
        "share": share(0), "gap": gap(0), "adjusted gap": adjusted_gap(0, 3), "impact": impact(0),
    }  # fmt: skip
    for _ in range(studies):
        lent, true = two_periods(rng, RISES[change], machine, top_up)
        alone = replace(lent, hand=np.where(lent.own[:, None], lent.hand, np.nan))
        sample = sampling_design(len(lent.own))
        made = {"lent": Correction(lent), "own": Correction(alone)}
        for kind, quantity in quantities.items():
            row = {"quantity": kind}
            for name, one in made.items():
                found = one.estimate(quantity)
                variance, df = clustered_variance(found.influence, found.information, sample)
                row[f"{name}_se"] = se = float(np.sqrt(variance + found.unseen))
                row[f"{name}_covers"] = inside(found.estimate, se, df, kind, true[kind], CODED)
            row["se_ratio"] = row["lent_se"] / row["own_se"]
            rows.append(row)
    return pd.DataFrame(rows).groupby("quantity", sort=False).agg(
        {"lent_covers": "mean", "own_covers": "mean", "se_ratio": "median"}
    )  # fmt: skip


def print_share_rises(studies: int) -> None:
    """One line for each change, machine and top-up."""
    print(
        f"share rises, {studies} studies: coverage with 300 codes lent, of own codes alone, ratio of SE"
    )
    for machine in MACHINES:
        for change in RISES:
            for top_up in (40, 80):
                table = share_rises(studies, change, machine, top_up)
                told = "; ".join(
                    f"{kind} {row['lent_covers']:.3f} {row['own_covers']:.3f} {row['se_ratio']:.2f}"
                    for kind, row in table.iterrows()
                )
                print(f"{machine}, {change}, {top_up} own: {told}", flush=True)


def speed(rows: int) -> None:
    """Processor time and peak memory of all steps on comments of about 25 words."""
    rng = np.random.default_rng(0)
    words = np.array([f"word{''.join(chr(97 + int(d)) for d in str(i))}" for i in range(3000)])
    chance = 1 / np.arange(1, 3001)
    drawn = rng.choice(3000, (rows, 25), p=chance / chance.sum())
    data = pd.DataFrame(
        {
            "said": [" ".join(words[line]) + "." for line in drawn],
            "score": rng.integers(0, 11, rows) * 1.0,
        }
    )
    del drawn
    codebook = {
        f"t{i}": Theme(f"t{i}", f"T{i}", tuple(words[20 + 3 * i : 23 + 3 * i])) for i in range(12)
    }
    before, started = peak(), time.process_time()
    coded = code_comments(data, "said", codebook)
    steps = {"code": time.process_time() - started}
    hand = coded_sheet(data, coded, rng)
    for name, step in (
        ("scores", lambda: theme_scores(data, coded, score="score", hand=hand)),
        ("quotes", lambda: typical_quotes(data, "said", coded)),
        ("tone", lambda: theme_sentiment(data, "said", coded, score="score")),
        ("found", lambda: find_themes(data, "said")),
    ):
        at = time.process_time()
        step()
        steps[name] = time.process_time() - at
    told = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in steps.items())
    print(
        f"{rows:,} comments: {sum(steps.values()):.1f} s ({told}); peak {peak():.0f} MB, "
        f"{before:.0f} MB of it the packages and the comments",
        flush=True,
    )


def peak() -> float:
    """Most memory so far, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def coded_sheet(data: pd.DataFrame, coded: CodedComments, rng: np.random.Generator) -> pd.DataFrame:
    """A sheet of 300 comments whose coder disagrees with the words in one of twenty marks."""
    sheet = coding_sample(data, coded, text="said", coders=1).rows.drop(columns="comment")
    marks = coded.values.loc[sheet["row"]].to_numpy()
    marks = np.where(rng.random(marks.shape) < 0.05, 1 - marks, marks)
    sheet[list(coded.themes)], sheet["none"] = marks, (marks.sum(axis=1) == 0) * 1
    return read_coding(sheet, coded)


def main(studies: int = 200) -> None:
    """Print speed, then coverage under three designs."""
    started = time.process_time()
    import sklearn.decomposition
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401

    print(f"scikit-learn imported: {time.process_time() - started:.1f} s; {peak():.0f} MB")
    speed(10_000)
    speed(100_000)
    for design in ("simple", "clustered", "weighted"):
        print(f"{design}, {studies} studies, {COMMENTS:,} comments, {CODED} coded by hand")
        print(coverage(studies, design).round(3).to_string(), flush=True)
    print_share_rises(studies)
