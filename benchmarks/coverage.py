"""Coverage of the NPS intervals: exact by enumeration, and in clustered samples."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.stats import multinomial

from cxlab import nps
from cxlab.stats.inference import normal_quantile, score_interval

LEVEL = 0.95
#: Fixed before the first run.
SEED = 20261121

SHARES = {
    "85/12/3 %": (0.85, 0.12, 0.03),
    "50/30/20 %": (0.50, 0.30, 0.20),
    "33/33/33 %": (1 / 3, 1 / 3, 1 / 3),
    "20/20/60 %": (0.20, 0.20, 0.60),
}
#: Kinds of cluster and their shares of promoters, passives, detractors; equally likely.
KINDS = np.array([(0.65, 0.25, 0.10), (0.45, 0.30, 0.25), (0.25, 0.35, 0.40)])
DESIGNS = ((60, 5, 0.0), (30, 5, 0.5), (20, 10, 0.5), (12, 10, 0.5), (8, 20, 0.5), (8, 8, 0.0))


def wald(promoters: np.ndarray, detractors: np.ndarray, n: np.ndarray) -> tuple:
    """The textbook interval."""
    p, d = promoters / n, detractors / n
    spread = np.sqrt((p + d - (p - d) ** 2) / n)
    half = normal_quantile(LEVEL) * spread
    return np.clip(p - d - half, -1, 1), np.clip(p - d + half, -1, 1)


def adjusted_wald(promoters: np.ndarray, detractors: np.ndarray, n: np.ndarray) -> tuple:
    """The same after adding 3/4 promoter, 3/2 passive and 3/4 detractor (Sauro and Lewis)."""
    return wald(promoters + 0.75, detractors + 0.75, n + 3)


INTERVALS = {"score": score_interval, "adjusted-Wald": adjusted_wald, "Wald": wald}


def exact_coverage(interval, shares: tuple[float, float, float], n: int) -> float:
    """Probability, over every split of n answers, that the interval holds the truth."""
    splits = np.array(
        [(i, n - i - j, j) for i in range(n + 1) for j in range(n + 1 - i)], dtype=float
    )
    low, high = interval(splits[:, 0], splits[:, 2], np.full(len(splits), float(n)))
    truth = shares[0] - shares[2]
    held = (low <= truth + 1e-9) & (truth <= high + 1e-9)
    return float(multinomial.pmf(splits, n, shares)[held].sum())


def enumeration() -> pd.DataFrame:
    """Exact coverage of a nominal 95 %, by full enumeration."""
    rows = []
    for label, shares in SHARES.items():
        for n in (10, 30, 100):
            rows.append({"shares": label, "n": n}
                        | {name: exact_coverage(f, shares, n) for name, f in INTERVALS.items()})  # fmt: skip
    return pd.DataFrame(rows)


def clustered(studies: int) -> pd.DataFrame:
    """Coverage of the default interval under clusters and weights, and without minding them."""
    truth = 100 * (KINDS[:, 0] - KINDS[:, 2]).mean()
    rows = []
    for i, (clusters, size, spread) in enumerate(DESIGNS):
        data = clustered_studies(studies, clusters, size, spread, np.random.default_rng([SEED, i]))
        # a study is a stratum of its own, so that one call estimates them all
        design = {"weights": "weight", "strata": "study", "cluster": "cluster"}
        right = nps(data, "score", by="study", level=LEVEL, design=design)
        plain = nps(data, "score", by="study", level=LEVEL)
        found = held(right, truth)
        rows.append({
            "clusters": clusters, "per cluster": size, "weights' cv": spread, "n": clusters * size,
            "coverage": found, "MC se": np.sqrt(found * (1 - found) / studies),
            "ignoring the design": held(plain, truth), "mean deff": right["deff"].mean(),
        })  # fmt: skip
    return pd.DataFrame(rows)


def held(table: pd.DataFrame, truth: float) -> float:
    """Share of intervals that hold the truth."""
    return float(((table["ci_low"] <= truth) & (truth <= table["ci_high"])).mean())


def clustered_studies(
    studies: int, clusters: int, size: int, spread: float, rng: np.random.Generator
) -> pd.DataFrame:
    """Answers of many studies whose clusters are of three kinds; weights tell nothing of them."""
    kind = rng.integers(0, len(KINDS), (studies, clusters, 1))
    draw = rng.random((studies, clusters, size))
    bounds = KINDS.cumsum(axis=1)[kind]
    score = np.select([draw < bounds[..., 0], draw < bounds[..., 1]], [10.0, 8.0], 3.0)
    shape = (studies, clusters, size)
    weight = rng.gamma(1 / spread**2, spread**2, shape) if spread else np.ones(shape)
    study, cluster, _ = np.indices(shape)
    return pd.DataFrame({"score": score.ravel(), "weight": weight.ravel(), "study": study.ravel(),
                         "cluster": cluster.ravel()})  # fmt: skip


def main(studies: int = 4000) -> None:
    """Print both tables."""
    print(f"\n{enumeration.__doc__}")
    print(enumeration().to_string(index=False, float_format="%.3f"))
    print(f"\n{clustered.__doc__} {studies:,} studies a line.")
    print(clustered(studies).to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
