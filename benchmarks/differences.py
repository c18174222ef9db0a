"""How often a difference that is none is found: few clusters on a side, answers all alike.

    python -m benchmarks differences --studies 5000

Studies that share a design are tested together; of each such batch the first studies are also
given to `cxlab.compare_groups`, whose p values must be the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
import pandas as pd
from scipy.special import stdtr

from cxlab import compare_groups
from cxlab.core.metric import Metric
from cxlab.stats.inference import permutation_p_value
from cxlab.stats.metrics.two_groups import SMALL_GROUP, design_difference, simple_difference
from cxlab.stats.variance import Units, contrast_spread

LEVEL = 0.05
#: Fixed before the first run.
SEED = 20261129
#: Studies that share a design, and how many of them `compare_groups` must confirm.
BATCH, CONFIRMED = 500, 2
PERMUTATIONS = 299

CLUSTERS = 30
#: Clusters of the thirty that the group has.
OF_THE_GROUP = (1, 2, 3, 5, 15)
#: Part of an answer's variance that its cluster has in common.
COMMON = 0.3

#: 92 % answer 10, 5 % answer 8 and 3 % answer 3.
SKEWED = ((10.0, 8.0, 3.0), (0.92, 0.05, 0.03))
#: Answers of the group and of the others; three to a cluster where there are clusters.
GROUP, OTHERS, PER_CLUSTER = 12, 300, 3
METRICS = {
    "net": Metric("s", "net", top=(9, 10), bottom=(0, 6), name="nps"),
    "box": Metric("s", "box", top=(9, 10), name="top box"),
    "mean": Metric("s", "mean", name="mean"),
}


def few_clusters(studies: int) -> pd.DataFrame:
    """NPS of a group that has few of 30 clusters: share of true nulls rejected at 5 %."""
    rows = []
    cells = product(OF_THE_GROUP, ("equal", "1-60, weights"), (False, True))
    for i, (own, sizes, crossed) in enumerate(cells):
        rng = np.random.default_rng([SEED, 0, i])
        p = np.concatenate([clustered(own, sizes, crossed, n, rng) for n in batches(studies)])
        rows.append({"clusters": own, "sizes": sizes, "crossed": crossed, **rates(p)})
    return pd.DataFrame(rows)


def clustered(
    own: int, sizes: str, crossed: bool, studies: int, rng: np.random.Generator
) -> np.ndarray:
    """p values where clusters differ; weights and scores both depend on the cluster's size."""
    size = np.full(CLUSTERS, 10) if sizes == "equal" else rng.integers(1 + crossed, 61, CLUSTERS)
    cluster = np.repeat(np.arange(CLUSTERS), size)
    inside = cluster < own
    if crossed:
        inside &= np.concatenate([np.arange(n) % 2 == 0 for n in size])
    # large clusters score higher and their answers weigh more
    slope = np.zeros(CLUSTERS) if sizes == "equal" else (size - size.mean()) / 60
    weight = np.exp(slope[cluster] + 0.4 * rng.normal(size=len(cluster)))
    weight = np.ones(len(cluster)) if sizes == "equal" else weight
    shift = np.sqrt(COMMON) * rng.normal(size=(CLUSTERS, studies)) + slope[:, None]
    latent = shift[cluster] + np.sqrt(1 - COMMON) * rng.normal(size=(len(cluster), studies))
    score = np.select([latent > 0.2, latent > -0.6], [10.0, 8.0], 3.0)
    p = together(score, inside, weight, cluster)
    confirm(p, score, "net", {"g": inside, "w": weight, "c": cluster}, "w", "c")
    return p


def together(
    score: np.ndarray, inside: np.ndarray, weight: np.ndarray, cluster: np.ndarray
) -> np.ndarray:
    """p values of many columns of scores that share a design, by the formulas written out."""
    value = np.select([score >= 9, score <= 6], [1.0, -1.0], 0.0)
    member = (cluster == np.arange(CLUSTERS)[:, None]).astype(float)
    difference = np.zeros(score.shape[1])
    totals = np.zeros((CLUSTERS, score.shape[1]))
    for sign, side in ((1.0, inside), (-1.0, ~inside)):
        w = np.where(side, weight, 0.0) / weight[side].sum()
        p, q = member @ w, member @ w**2
        left = q - 2 * p * q + p**2 * q.sum()
        k = np.sqrt(np.divide(q, left, where=left > 1e-12 * q, out=np.zeros(CLUSTERS)))
        mean = w @ value
        totals += sign * k[:, None] * (member @ (w[:, None] * (value - mean)))
        difference += sign * mean
    sides, units = sums_of(value[:, 0], inside, weight, cluster)
    spread, own = contrast_spread(sides, units)
    if min(one.df for one in own) < 1 - 1e-6:
        return np.full(score.shape[1], np.nan)
    return 2 * stdtr(spread.df, -np.abs(difference) / np.sqrt((totals**2).sum(axis=0)))


def alike(studies: int) -> pd.DataFrame:
    """A dozen skewed answers, often all alike, beside 300: share of true nulls rejected at 5 %."""
    designs = {"none": (), "weights": ("w",), "clusters": ("c",), "weights, clusters": ("w", "c")}
    rows = []
    for i, (name, kind) in enumerate(product(designs, METRICS)):
        rng = np.random.default_rng([SEED, 1, i])
        p = np.concatenate([skewed(kind, designs[name], n, rng) for n in batches(studies)])
        rows.append({"design": name, "metric": kind, **rates(p)})
    return pd.DataFrame(rows)


def skewed(
    kind: str, design: tuple[str, ...], studies: int, rng: np.random.Generator
) -> np.ndarray:
    """p values of a small group and 300 others, nearly all of whose answers are 10."""
    n = GROUP + OTHERS
    score = rng.choice(SKEWED[0], (n, studies), p=SKEWED[1])
    inside = np.arange(n) < GROUP
    columns = {"g": inside, "w": rng.gamma(4, 0.25, n), "c": np.arange(n) // PER_CLUSTER}
    weight = columns["w"] if "w" in design else np.ones(n)
    cluster = columns["c"] if "c" in design else None
    ends = {"net": [(score >= 9), (score <= 6)], "box": [score >= 9, score < 0]}
    value = score if kind == "mean" else np.select(ends[kind], [1.0, -1.0], 0.0)
    p = np.array([one(column, inside, weight, cluster, kind, bool(design)) for column in value.T])
    if "c" in design:
        confirm(p, score, kind, columns, *(name if name in design else None for name in "wc"))
    return p


def one(
    value: np.ndarray, inside: np.ndarray, weight: np.ndarray, cluster: np.ndarray | None,
    kind: str, designed: bool,
) -> float:  # fmt: skip
    """p value of one study, as `compare_groups` has it."""
    sides, units = sums_of(value, inside, weight, cluster)
    if designed:
        found = design_difference(sides, units, METRICS[kind], 1 - LEVEL)
        permute = found["permute"]
    else:
        both = pd.DataFrame(
            [{name: side[name].sum() for name in ("n", "y", "yy")} for side in sides]
        )
        found = simple_difference(both, METRICS[kind], 1 - LEVEL)
        permute = both["n"].min() < SMALL_GROUP
    if not permute:
        return float(found["p_value"])
    rng = np.random.default_rng(SEED)
    return permutation_p_value(value, inside, PERMUTATIONS, rng, weight if designed else None)


def sums_of(
    value: np.ndarray, inside: np.ndarray, weight: np.ndarray, cluster: np.ndarray | None
) -> tuple[list[dict[str, np.ndarray]], Units]:
    """Sums of both sides per unit, as `compare_groups` makes them from its one query."""
    unit = np.zeros(len(value), dtype=int) if cluster is None else cluster
    units = int(unit.max()) + 1
    sides = []
    for side in (inside, ~inside):
        w = np.where(side, weight, 0.0)
        parts = {"n": side * 1.0, "y": side * value, "yy": side * value**2}
        parts |= {f"{'w' * i}{'y' * j}": w**i * value**j for i in (1, 2) for j in (0, 1, 2)}
        parts |= {"www": w**3, "wwww": w**4}
        sides.append({name: np.bincount(unit, part, units) for name, part in parts.items()})
    lone = np.full(units, cluster is None)
    sampled = np.array([float(len(value) if cluster is None else units)])
    return sides, Units(np.zeros(units, dtype=int), lone, sampled)


def confirm(
    p: np.ndarray, score: np.ndarray, kind: str, columns: dict[str, np.ndarray],
    weights: str | None, cluster: str | None,
) -> None:  # fmt: skip
    """Stop where `compare_groups` finds another p value than the batch."""
    for i in range(min(CONFIRMED, len(p))):
        data = pd.DataFrame({"s": score[:, i], **columns})
        table = compare_groups(data, METRICS[kind], by="g", against="False", min_group_size=1,
                               design={"weights": weights, "cluster": cluster})  # fmt: skip
        if table["method"].iloc[0] == "linearised" or kind != "net":
            np.testing.assert_allclose(table["p_value"].iloc[0], p[i], rtol=1e-6)


def batches(studies: int) -> Iterator[int]:
    """Numbers of studies to draw at a time."""
    for start in range(0, studies, BATCH):
        yield min(BATCH, studies - start)


def rates(p: np.ndarray) -> dict[str, float]:
    """Share of the studies that reject, its Monte-Carlo error, and the share without a test."""
    rejected = float((p < LEVEL).mean())
    return {"rejected": rejected, "MC se": float(np.sqrt(rejected * (1 - rejected) / len(p))),
            "no test": float(np.isnan(p).mean())}  # fmt: skip


def main(studies: int = 5000) -> None:
    """Print both tables."""
    for make in (few_clusters, alike):
        print(f"\n{make.__doc__} {studies:,} studies a line.")
        print(make(studies).to_string(index=False, float_format="%.4f"), flush=True)


if __name__ == "__main__":
    main()
