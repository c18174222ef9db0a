"""Do the intervals and tests of touchpoint correlations keep their promises?

Planted studies whose truth is known: coverage of 95 % intervals of every coefficient, false
discoveries where nothing is planted, rejections of two coefficients that are equal, touchpoints
that almost all rated alike, ranks of six that are tied, and random tables of the polychoric.
Each line gives the rate, its Monte-Carlo standard error and the limit it must meet.

    python benchmarks/touchpoint_coverage.py --studies 2000
    python benchmarks/touchpoint_coverage.py --part near-constant --studies 5000
    python benchmarks/touchpoint_coverage.py --part ranks --studies 1000
    python benchmarks/touchpoint_coverage.py --part tables --studies 2000
    python benchmarks/touchpoint_coverage.py --part findings --studies 200
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.frames import open_frame
from cxlab.stats.association.counts import joint_counts
from cxlab.stats.association.estimates import COEFFICIENTS, correlation_interval, pair_estimates
from cxlab.stats.association.partial import em_correlations, joint_model, partial_correlations
from cxlab.stats.association.polychoric import (
    bivariate_normal_cdf,
    log_likelihood,
    polychoric,
    thresholds,
)
from cxlab.stats.inference import adjust_p_values, joint_places
from cxlab.stats.resampling import rank_intervals
from cxlab.stats.touchpoints.correlations import replicate_coefficients
from cxlab.stats.touchpoints.findings import find_leads
from cxlab.stats.touchpoints.result import (
    TouchpointCorrelations,
    difference_table,
)

SEED = 20240607
#: Cut points of 0–10 touchpoints (a ceiling: a quarter give 10) and of a 0–10 outcome.
CUTS = np.array([-2.3, -2.0, -1.7, -1.4, -1.15, -0.85, -0.5, -0.1, 0.3, 0.68])
RHO = 0.5
BETWEEN = 0.4


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


def counted(data, x, y, design=None):
    """Joint counts of a frame that is not open yet."""
    names = {"x": x, "y": y}
    return joint_counts(open_frame(data, numbers=names, design=design), x, y)


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
    edges = np.concatenate([[-np.inf], CUTS, [np.inf]])
    corners = bivariate_normal_cdf(edges[:, None], edges[None, :], rho)
    cells = np.diff(np.diff(corners, axis=0), axis=1).clip(min=0)
    x, y = np.indices(cells.shape)
    flat = x.ravel(), y.ravel(), cells.ravel()
    return {name: function(*flat).estimate for name, function in COEFFICIENTS.items()}


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
        counts = counted(draw(rng, design, root), names, "overall", design=keywords(design))
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
        counts = counted(draw(rng, design, root), columns[1:], "overall", design=keywords(design))
        fitted = em_correlations(counts.rows, columns, counts.rows["weight"], counts.units)
        model = joint_model(fitted, counts.units)
        df = counts.units.design.n_clusters - len(np.unique(counts.units.design.cluster_stratum))
        partial, se = (model.table[name].to_numpy() for name in ("partial", "partial_se"))
        low, high = correlation_interval(partial, se, df)
        hits.append((low <= truth) & (truth <= high))
    line = f"coverage, {design.name}: partial (EM)"
    return [report(line, np.array(hits), "0.935–0.965", 0.935, 0.965)]


def false_discoveries(design: Design, studies: int) -> list[bool]:
    rng = np.random.default_rng([SEED, 3, len(design.name)])
    root = np.linalg.cholesky(correlation_matrix(12, 0.0))
    names, any_found, single = [f"t{i}" for i in range(12)], [], []
    for _ in range(studies):
        counts = counted(draw(rng, design, root), names, "overall", design=keywords(design))
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
        counts = counted(draw(rng, design, root), ["t0", "t1"], "overall", design=keywords(design))
        table = difference_table(pair_estimates(counts), first, second, level=0.95)
        rejected.append(table["p_value"].iloc[0] < 0.05)
    line = f"equal coefficients, {design.name}: told apart"
    return [report(line, np.array(rejected), "0.03–0.07", 0.03, 0.07)]


def near_constant(studies: int, *, n: int = 300, each: int = 50) -> list[bool]:
    """Touchpoints that are 4 but for a few answers, beside an outcome that knows nothing of it."""
    kept = []
    for deviating in (1, 2, 3, 5, 10, 20):
        rng = np.random.default_rng([SEED, 5, deviating])
        rejected: dict[str, list[np.ndarray]] = {"pearson": [], "spearman": []}
        for _ in range(-(-studies // each)):
            frame = {"overall": rng.choice([1.0, 2, 3, 4, 5], n, p=[0.05, 0.1, 0.2, 0.4, 0.25])}
            for number in range(each):
                scores = np.full(n, 4.0)
                scores[rng.choice(n, deviating, replace=False)] = rng.choice(
                    [1, 2, 3, 5], deviating
                )
                frame[f"t{number}"] = scores
            counts = counted(pd.DataFrame(frame), [*frame][1:], "overall")
            for name, found in rejected.items():
                found.append(pair_estimates(counts, name).table["p_value"].to_numpy() < 0.05)
        for name, found in rejected.items():
            line = f"near-constant, {deviating} of {n} deviate: {name} p < 0.05"
            kept.append(report(line, np.array(found), "≤ 0.07", 0.0, 0.07))
    return kept


def small_samples(studies: int) -> list[bool]:
    """Ordinary ratings keep their coverage, and their power is not spent."""
    kept = []
    for n in (40, 100):
        design = Design(f"{n} answers", n, 1, 0.0)
        kept += coverage(design, studies, fits=("pearson", "spearman"))
        rng = np.random.default_rng([SEED, 6, n])
        root, names, told = np.linalg.cholesky(correlation_matrix(2, 0.4)), ["t0", "t1"], []
        for _ in range(studies // 2):
            counts = counted(draw(rng, design, root), names, "overall")
            told.append(pair_estimates(counts).table["p_value"].to_numpy() < 0.05)
        report(f"power at .4, {n} answers: pearson", np.array(told), "shown", 0.0, 1.0)
    return kept


def tied_ranks(studies: int, *, n: int = 300, touchpoints: int = 6) -> list[bool]:
    """Six touchpoints of one correlation: every place is open to each of them."""
    rng = np.random.default_rng([SEED, 7])
    root = np.linalg.cholesky(correlation_matrix(touchpoints, RHO))
    names = [f"t{i}" for i in range(touchpoints)]
    found: dict[str, list] = {"each": [], "each, shown": [], "all": [], "denied": []}
    for _ in range(studies):
        counts = counted(draw(rng, Design("tied", n, 1, 0.0), root), names, "overall")
        fit = pair_estimates(counts)
        estimate = fit.table["estimate"].to_numpy()
        drawn, _ = replicate_coefficients(counts, fit, replicates=1000, seed=0)
        low, high = rank_intervals(estimate, drawn)
        shown = joint_places(estimate, drawn, fit.df, level=0.95)
        whole = (shown["rank_low"] == 1) & (shown["rank_high"] == touchpoints)
        found["each"].append((low == 1) & (high == touchpoints))
        found["each, shown"].append(whole.to_numpy(bool))
        found["all"].append(bool(whole.all()))
        found["denied"].append(low[0] > 1)
    limits = {
        "each": ("six tied: one interval holds 1–6", "≥ 0.93", 0.93, 1.0),
        "each, shown": ("six tied: one of the intervals shown holds 1–6", "≥ 0.93", 0.93, 1.0),
        "all": ("six tied: all intervals shown hold 1–6", "≥ 0.93", 0.93, 1.0),
        "denied": ("six tied: a touchpoint is denied place 1", "≤ 0.05", 0.0, 0.05),
    }
    return [report(line, np.array(found[key]), *rest) for key, (line, *rest) in limits.items()]


def random_table(rng: np.random.Generator, kind: str) -> np.ndarray:
    """2 × 2 to 11 × 11 ratings of 30 to 1,000 customers."""
    shape, n = tuple(rng.integers(2, 12, 2)), int(rng.integers(30, 1001))
    if kind == "any":
        table = rng.multinomial(n, rng.dirichlet(np.full(np.prod(shape), 0.3))).reshape(shape)
    else:
        rho, x = rng.uniform(-0.98, 0.98), rng.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=n)
        table = np.zeros(shape)
        cuts = [np.sort(rng.normal(size=size - 1)) for size in shape]
        np.add.at(table, (np.digitize(x, cuts[0]), np.digitize(y, cuts[1])), 1)
    if kind == "weighted":
        table = table * rng.uniform(0.2, 3, shape)
    return table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0].astype(float)


def polychoric_tables(studies: int) -> list[bool]:
    """No coefficient, or not the largest likelihood, though the optimum lies inside ±.995."""
    kept, looked = [], np.tanh(np.linspace(-4, 4, 33))
    for place, kind in enumerate(("normal", "any", "weighted")):
        rng, failed = np.random.default_rng([SEED, 8, place]), []
        for _ in range(studies):
            table = random_table(rng, kind)
            if min(table.shape) < 2 or (table.shape == (2, 2) and (table == 0).any()):
                continue
            x, y = np.nonzero(table)
            share, found = table / table.sum(), polychoric(x, y, table[x, y]).estimate
            likelihood = [log_likelihood(share, rho, *thresholds(share)) for rho in looked]
            best = float(looked[int(np.argmax(likelihood))])
            far = abs(np.arctanh(found) - np.arctanh(best)) > 0.26
            failed.append(abs(best) < 0.995 if np.isnan(found) else far)
        line = f"random tables, {kind}: polychoric spuriously missing or off"
        kept.append(report(line, np.array(failed), "0", 0.0, 0.0))
    return kept


def one_study(frame: pd.DataFrame, seed: int) -> TouchpointCorrelations:
    """What findings are made of: Pearson's r alone, so that studies are quick."""
    names = [name for name in frame if name.startswith("t")]
    counts = counted(frame, names, "overall")
    fit = pair_estimates(counts)
    drawn, method = replicate_coefficients(counts, fit, replicates=200, seed=seed)
    table = pd.DataFrame({"touchpoint": names, "outcome": "overall"}).join(fit.table)
    table = table.join(joint_places(fit.table["estimate"], drawn, fit.df))
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy())
    return TouchpointCorrelations(
        table=table.assign(n_used=table["n"]), coefficients=pd.DataFrame(), halo=pd.DataFrame(),
        outcomes=("overall",), touchpoints=tuple(names), occasion="A", level=0.95,
        rank_method=method, fit=fit,
    )  # fmt: skip


def findings(studies: int) -> list[bool]:
    """Six touchpoints that go alike: how often an answer or a pair is called clear."""
    rng, clear, pairs = np.random.default_rng([SEED, 9]), [], []
    root = np.linalg.cholesky(correlation_matrix(6, RHO))
    for study in range(studies):
        result = one_study(draw(rng, Design("simple", 300, 1, 0.0), root), study)
        clear.append(find_leads(result, 0.05)[0].certainty == "clear")
        pairs.append(result.places()["told_apart"].iloc[0] > 0)
    return [
        report("no true difference: an answer called clear", np.array(clear), "≤ .06", 0.0, 0.06),
        report("no true difference: any pair told apart", np.array(pairs), "≤ .05", 0.0, 0.05),
    ]


def intervals(studies: int) -> list[bool]:
    """Coverage, discoveries where nothing is planted, and equal coefficients told apart."""
    kept = []
    for design in DESIGNS:
        kept += coverage(design, studies, fits=("pearson", "spearman", "tau_b", "polychoric"))
    for design in DESIGNS[1:3]:
        kept += partial_coverage(design, studies)
    for design in DESIGNS[:2]:
        kept += false_discoveries(design, studies)
    for design in DESIGNS:
        kept += equal_coefficients(design, max(1, studies // 2))
    return kept


PARTS = {
    "intervals": intervals,
    "near-constant": near_constant,
    "small-samples": small_samples,
    "ranks": tied_ranks,
    "tables": polychoric_tables,
    "findings": findings,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--studies",
        type=int,
        default=2000,
        help="planted studies per line (half of them for equal coefficients)",
    )
    parser.add_argument("--part", choices=[*PARTS], help="one part only")
    asked = parser.parse_args()
    studies, started, kept = asked.studies, time.perf_counter(), []
    for name, part in PARTS.items():
        if asked.part in (None, name):
            kept += part(studies)
    minutes = (time.perf_counter() - started) / 60
    print(f"{sum(kept)} of {len(kept)} limits kept; {studies:,} studies a line; {minutes:.1f} min")


if __name__ == "__main__":
    main()
