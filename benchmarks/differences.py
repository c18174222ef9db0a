"""How often a difference that is none is found: few clusters on a side, answers all alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
import pandas as pd

from cxlab import compare_groups
from cxlab.survey.scales import Metric

LEVEL = 0.05
#: Fixed before the first run.
SEED = 20261129
#: Studies that share a design, so that one call tests them all: one a column.
COLUMNS = 250
PERMUTATIONS = 999
KINDS = ("net", "box", "mean")

CLUSTERS = 30
#: Clusters of the thirty that the group has.
OF_THE_GROUP = (1, 2, 3, 5, 15)
#: Part of an answer's variance that its cluster has in common.
COMMON = 0.3

#: 92 % answer 10, 5 % answer 8 and 3 % answer 3.
SKEWED = ((10.0, 8.0, 3.0), (0.92, 0.05, 0.03))
#: Answers of the group, against 300 of the others; three to a cluster where there are clusters.
GROUPS = (12, 30, 60)
OTHERS, PER_CLUSTER = 300, 3


def few_clusters(studies: int) -> pd.DataFrame:
    """NPS of a group that has few of 30 clusters: no true difference, rejected at 5 %."""
    rows = []
    cells = product(OF_THE_GROUP, ("equal", "1-60, weights"), (False, True))
    for i, (own, sizes, crossed) in enumerate(cells):
        rng = np.random.default_rng([SEED, 0, i])
        frames = (clustered(own, sizes, crossed, columns, rng) for columns in batches(studies))
        weighted = "w" if "weights" in sizes else None
        found = tested(frames, "net", weights=weighted, cluster="c")
        rows.append({"clusters": own, "sizes": sizes, "crossed": crossed, **found})
    return pd.DataFrame(rows)


def clustered(
    own: int, sizes: str, crossed: bool, columns: int, rng: np.random.Generator
) -> pd.DataFrame:
    """Answers in clusters that differ; weights and scores both depend on the cluster's size."""
    equal = sizes == "equal"
    size = np.full(CLUSTERS, 10) if equal else rng.integers(2, 61, CLUSTERS)
    if not equal and not crossed:
        size[rng.integers(CLUSTERS)] = 1
    cluster = np.repeat(np.arange(CLUSTERS), size)
    inside = cluster < own
    if crossed:
        inside &= np.concatenate([np.arange(n) % 2 == 0 for n in size])
    # large clusters score higher and their answers weigh more
    slope = np.zeros(CLUSTERS) if equal else (size - size.mean()) / 60
    weight = np.exp(slope[cluster] + 0.4 * rng.normal(size=len(cluster)))
    shift = np.sqrt(COMMON) * rng.normal(size=(CLUSTERS, columns)) + slope[:, None]
    latent = shift[cluster] + np.sqrt(1 - COMMON) * rng.normal(size=(len(cluster), columns))
    score = np.select([latent > 0.2, latent > -0.6], [10.0, 8.0], 3.0)
    return frame(score, c=cluster, w=weight, g=np.where(inside, "a", "b"))


def alike(studies: int) -> pd.DataFrame:
    """A few skewed answers, often all alike: no true difference, rejected at 5 %."""
    designs = {"none": {}, "weights": {"weights": "w"}, "clusters": {"cluster": "c"},
               "weights, clusters": {"weights": "w", "cluster": "c"}}  # fmt: skip
    rows = []
    for i, (size, name, kind) in enumerate(product(GROUPS, designs, KINDS)):
        rng = np.random.default_rng([SEED, 1, i])
        frames = (skewed(size, columns, rng) for columns in batches(studies))
        found = tested(frames, kind, **designs[name])
        rows.append({"answers": size, "design": name, "metric": kind, **found})
    return pd.DataFrame(rows)


def skewed(size: int, columns: int, rng: np.random.Generator) -> pd.DataFrame:
    """Answers of a small group and of 300 others, nearly all of them 10."""
    n = size + OTHERS
    score = rng.choice(SKEWED[0], (n, columns), p=SKEWED[1])
    group = np.repeat(["a", "b"], [size, OTHERS])
    return frame(score, c=np.arange(n) // PER_CLUSTER, w=rng.gamma(4, 0.25, n), g=group)


def frame(score: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    """One column per study beside those of the design."""
    studies = pd.DataFrame(score, columns=[f"s{i}" for i in range(score.shape[1])])
    return pd.concat([studies, pd.DataFrame(columns)], axis=1)


def batches(studies: int) -> Iterator[int]:
    """Numbers of studies to draw at a time."""
    for start in range(0, studies, COLUMNS):
        yield min(COLUMNS, studies - start)


def metrics_of(data: pd.DataFrame, kind: str) -> list[Metric]:
    """A metric per study."""
    ends = {"net": {"top": (9, 10), "bottom": (0, 6)}, "box": {"top": (9, 10)}, "mean": {}}
    return [Metric(name, kind, **ends[kind]) for name in data if name.startswith("s")]


def tested(frames: Iterator[pd.DataFrame], kind: str, **design: str | None) -> dict[str, float]:
    """Share of the studies that reject, and that have no test."""
    found = []
    for data in frames:
        table = compare_groups(
            data, metrics_of(data, kind), by="g", against="b", permutations=PERMUTATIONS,
            min_group_size=1, **design,
        )  # fmt: skip
        found.append(table["p_value"].to_numpy(float))
    p = np.concatenate(found)
    rejected = float((p < LEVEL).mean())
    return {"rejected": rejected, "no test": float(np.isnan(p).mean()),
            "MC se": float(np.sqrt(rejected * (1 - rejected) / len(p)))}  # fmt: skip


def main(studies: int = 5000, names: Sequence[str] = ("few_clusters", "alike")) -> None:
    """Print both tables."""
    for name in names:
        made = {"few_clusters": few_clusters, "alike": alike}[name]
        print(f"\n{made.__doc__} {studies:,} studies a line.")
        print(made(studies).to_string(index=False, float_format="%.4f"))


if __name__ == "__main__":
    main()
