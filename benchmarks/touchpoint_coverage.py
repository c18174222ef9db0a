"""Do the intervals and tests of touchpoint correlations keep their promises?

Planted studies whose truth is known: coverage of 95 % intervals of every coefficient, false
discoveries where nothing is planted, and rejections of two coefficients that are equal.
Each line gives the rate, its Monte-Carlo standard error and the limit it must meet.

    python benchmarks/touchpoint_coverage.py --studies 2000
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.association import (
    em_correlations,
    joint_counts,
    joint_model,
    kendall_tau_b,
    pair_estimates,
    partial_correlations,
    pearson,
    spearman,
)
from cxlab.stats.association.dependence import correlation_interval
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.touchpoints.compare import difference_table

SEED = 20240607
#: Cut points of 0–10 touchpoints (a ceiling: a quarter give 10) and of a 0–10 outcome.
CUTS = np.array([-2.3, -2.0, -1.7, -1.4, -1.15, -0.85, -0.5, -0.1, 0.3, 0.68])
RHO = 0.5
BETWEEN = 0.4
COEFFICIENTS = {"pearson": pearson, "spearman": spearman, "tau_b": kendall_tau_b}


@dataclass(frozen=True)
class Design:
    name: str
    clusters: int
    per_cluster: int
    icc: float
    holes: float = 0.0
    weighted: bool = False


DESIGNS = (
    Design("simple", 400, 1, 0.0),
    Design("clustered", 60, 8, 0.15),
    Design("40 % holes", 500, 1, 0.0, holes=0.4),
    Design("clustered, holes, weights", 60, 10, 0.15, holes=0.4, weighted=True),
)


def correlation_matrix(touchpoints: int, rho: float) -> np.ndarray:
    """Outcome first; touchpoints correlate BETWEEN with one another."""
    matrix = np.full((touchpoints + 1, touchpoints + 1), BETWEEN)
    matrix[0, 1:] = matrix[1:, 0] = rho
    np.fill_diagonal(matrix, 1.0)
    return matrix


def draw(rng: np.random.Generator, design: Design, root: np.ndarray) -> pd.DataFrame:
    """Ratings with the latent correlations of ``root`` at both levels."""
    size = len(root)
    cluster = np.repeat(np.arange(design.clusters), design.per_cluster)
    common = rng.standard_normal((design.clusters, size))[cluster]
    own = rng.standard_normal((len(cluster), size))
    latent = (np.sqrt(design.icc) * common + np.sqrt(1 - design.icc) * own) @ root.T
    ratings = np.digitize(latent, CUTS).astype(float)
    if design.holes:
        ratings[:, 1:][rng.random((len(cluster), size - 1)) < design.holes] = np.nan
    frame = pd.DataFrame(ratings, columns=["overall", *(f"t{i}" for i in range(size - 1))])
    frame["cluster"] = cluster
    # weights that do not depend on the scores leave the truth as it is
    frame["weight"] = rng.uniform(0.4, 2.0, len(cluster))
    return frame


def keywords(design: Design) -> dict[str, str]:
    given = {"cluster": "cluster"} if design.per_cluster > 1 else {}
    return given | ({"weights": "weight"} if design.weighted else {})


def population(rho: float) -> dict[str, float]:
    """True coefficients of the ratings, from exact cell probabilities."""
    from cxlab.stats.association import bivariate_normal_cdf

    edges = np.concatenate([[-np.inf], CUTS, [np.inf]])
    corners = bivariate_normal_cdf(edges[:, None], edges[None, :], rho)
    cells = np.diff(np.diff(corners, axis=0), axis=1).clip(min=0)
    x, y = np.indices(cells.shape)
    flat = x.ravel(), y.ravel(), cells.ravel()
    truth = {name: function(*flat).estimate for name, function in COEFFICIENTS.items()}
    return truth | {"polychoric": rho}


def report(line: str, hits: np.ndarray, limit: str, low: float, high: float) -> bool:
    rate = hits.mean()
    # studies are independent; estimates within one are not
    per_study = hits.reshape(len(hits), -1).mean(axis=1)
    error = per_study.std(ddof=1) / np.sqrt(len(hits))
    kept = low <= rate <= high
    verdict = "kept" if kept else "NOT KEPT"
    print(f"{line:<58}{rate:8.4f}  ± {error:.4f}   {limit:<14}{verdict}", flush=True)
    return kept


def coverage(design: Design, studies: int, *, fits: tuple[str, ...]) -> list[bool]:
    rng = np.random.default_rng([SEED, 1, len(design.name)])
    root, truth = np.linalg.cholesky(correlation_matrix(2, RHO)), population(RHO)
    names = ["t0", "t1"]
    hits: dict[str, list[np.ndarray]] = {name: [] for name in fits}
    for _ in range(studies):
        counts = joint_counts(draw(rng, design, root), names, "overall", **keywords(design))
        for name in fits:
            table = pair_estimates(counts, name).table
            inside = (table["ci_low"] <= truth[name]) & (truth[name] <= table["ci_high"])
            hits[name].append(inside.to_numpy())
    return [
        report(
            f"coverage, {design.name}: {name}", np.array(hits[name]), "0.935–0.965", 0.935, 0.965
        )
        for name in fits
    ]


def partial_coverage(design: Design, studies: int) -> list[bool]:
    rng = np.random.default_rng([SEED, 2, len(design.name)])
    latent = correlation_matrix(4, RHO)
    root = np.linalg.cholesky(latent)
    rated = latent.copy()
    between = population(BETWEEN)["pearson"]
    rated[1:, 1:] = np.where(np.eye(4, dtype=bool), 1.0, between)
    rated[0, 1:] = rated[1:, 0] = population(RHO)["pearson"]
    truth = partial_correlations(rated)[0]
    columns, hits = ["overall", *(f"t{i}" for i in range(4))], []
    for _ in range(studies):
        counts = joint_counts(draw(rng, design, root), columns[1:], "overall", **keywords(design))
        fitted = em_correlations(counts.rows, columns, counts.rows["weight"], counts.units)
        model = joint_model(fitted, counts.units)
        df = counts.units.design.degrees_of_freedom
        low, high = correlation_interval(model.partial, model.partial_se, df)
        hits.append((low <= truth) & (truth <= high))
    line = f"coverage, {design.name}: partial (EM)"
    return [report(line, np.array(hits), "0.935–0.965", 0.935, 0.965)]


def false_discoveries(design: Design, studies: int) -> list[bool]:
    rng = np.random.default_rng([SEED, 3, len(design.name)])
    root = np.linalg.cholesky(correlation_matrix(12, 0.0))
    names, any_found, single = [f"t{i}" for i in range(12)], [], []
    for _ in range(studies):
        counts = joint_counts(draw(rng, design, root), names, "overall", **keywords(design))
        p_values = pair_estimates(counts).table["p_value"].to_numpy()
        any_found.append(bool((adjust_p_values(p_values) < 0.05).any()))
        single.append(p_values < 0.05)
    line = f"null, {design.name}: a discovery among 12 after BH"
    kept = report(line, np.array(any_found), "≤ 0.065", 0.0, 0.065)
    report(f"null, {design.name}: single p < 0.05", np.array(single), "about 0.05", 0.0, 1.0)
    return [kept]


def equal_coefficients(design: Design, studies: int) -> list[bool]:
    rng = np.random.default_rng([SEED, 4, len(design.name)])
    root, rejected = np.linalg.cholesky(correlation_matrix(2, RHO)), []
    first, second = np.array([0]), np.array([1])
    for _ in range(studies):
        counts = joint_counts(draw(rng, design, root), ["t0", "t1"], "overall", **keywords(design))
        table = difference_table(pair_estimates(counts), first, second, level=0.95)
        rejected.append(table["p_value"].iloc[0] < 0.05)
    line = f"equal coefficients, {design.name}: told apart"
    return [report(line, np.array(rejected), "0.03–0.07", 0.03, 0.07)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--studies",
        type=int,
        default=2000,
        help="planted studies per line (half of them for equal coefficients)",
    )
    studies = parser.parse_args().studies
    started, kept = time.perf_counter(), []
    for design in DESIGNS:
        fits = ("pearson", "spearman", "tau_b", "polychoric")
        kept += coverage(design, studies, fits=fits)
    for design in DESIGNS[1:3]:
        kept += partial_coverage(design, studies)
    for design in DESIGNS[:2]:
        kept += false_discoveries(design, studies)
    for design in DESIGNS:
        kept += equal_coefficients(design, max(1, studies // 2))
    minutes = (time.perf_counter() - started) / 60
    print(f"{sum(kept)} of {len(kept)} limits kept; {studies:,} studies a line; {minutes:.1f} min")


if __name__ == "__main__":
    main()
