"""Do the intervals and tests of key drivers keep their promises?

Planted studies whose truth is known: coverage of the 95 % percentile intervals of LMG
importance (rows; whole clusters; with missing ratings), rejections of a driver without effect, false
alarms when two segments or two outcomes share one truth, coverage of the interval of R²,
"look first" at ties of the map, calls of "basic" or "excitement" where every effect is
linear, and the standard errors of one-step replicates beside those of EM to its end. Each line gives the rate, its Monte-Carlo standard error and the limit.

    python benchmarks/driver_coverage.py --studies 2000
    python benchmarks/driver_coverage.py --only nulls --studies 5000
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab import load_study
from cxlab.core.metric import Metric
from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import to_correlation
from cxlab.stats.covariance.covariance import WeightedRows
from cxlab.stats.covariance.em import fit_possible
from cxlab.stats.drivers import compare_outcomes, driver_map, drivers, penalty_reward
from cxlab.stats.drivers.answers import Answers, read_answers, recode_outcome
from cxlab.stats.drivers.coefficients import adjusted_r_squared
from cxlab.stats.drivers.covariances import fit_covariance
from cxlab.stats.drivers.estimands import Options, Users, among_users
from cxlab.stats.drivers.importance import importance
from cxlab.stats.drivers.replicates import Resample, make_resample, replicate_test, spread
from cxlab.stats.drivers.subsets import subset_sums
from cxlab.stats.resampling import sampling_design

Array = np.ndarray

SEED = 20240607
REPLICATES = 500
#: Part of every variance that lies between clusters.
BETWEEN = 0.15
CLUSTER_SIZE = 8
#: Replicates that are fitted to the end.
FULL_REPLICATES = 50
MISSING = 0.25


@dataclass(frozen=True)
class Plan:
    """One planted population: equally correlated drivers, given effects, unit noise."""

    name: str
    effects: tuple[float, ...]
    correlation: float
    n: int
    clustered: bool = False
    missing: bool = False

    @property
    def covariance(self) -> Array:
        """Of the drivers and, last, the outcome."""
        p = len(self.effects)
        drivers = self.correlation * np.ones((p, p)) + (1 - self.correlation) * np.eye(p)
        slopes = drivers @ np.array(self.effects)
        variance = np.array(self.effects) @ slopes + 1
        return np.block([[drivers, slopes[:, None]], [slopes[None, :], np.array([[variance]])]])

    @property
    def truth(self) -> Array:
        """Population LMG."""
        return subset_sums(to_correlation(self.covariance)).general[0]

    def draw(self, generator: np.random.Generator) -> Answers:
        """One simulated study."""
        root = np.linalg.cholesky(self.covariance)
        rows = generator.normal(size=(self.n, len(root))) @ root.T
        cluster = None
        if self.clustered:
            cluster = np.arange(self.n) // CLUSTER_SIZE
            shared = generator.normal(size=(cluster.max() + 1, len(root))) @ root.T
            rows = np.sqrt(1 - BETWEEN) * rows + np.sqrt(BETWEEN) * shared[cluster]
        if self.missing:
            gone = generator.random((self.n, len(root) - 1)) < MISSING
            rows[:, :-1][gone] = np.nan
        return as_answers(rows, cluster)


def as_answers(rows: Array, cluster: Array | None = None) -> Answers:
    """Rows of drivers and, last, the outcome as the estimators take them, without a frame."""
    design = sampling_design(len(rows), cluster=cluster)
    names = [f"x{j}" for j in range(rows.shape[1] - 1)]
    return Answers(
        outcome_name="y",
        names=names,
        labels={name: name for name in [*names, "y"]},
        ratings=rows[:, :-1],
        never=np.zeros((len(rows), len(names)), dtype=bool),
        outcome=rows[:, -1],
        weights=np.ones(len(rows)),
        group=None,
        unit=design.row_cluster,
        design=design,
        n_total=len(rows),
    )


MIXED = (0.5, 0.3, 0.2, 0.1, 0.0)
TEN = (0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1, 0.0, 0.0)

COVERAGE = [
    Plan("5 drivers, ρ = .3, n = 150", MIXED, 0.3, 150),
    Plan("5 drivers, ρ = .6, n = 150", MIXED, 0.6, 150),
    Plan("10 drivers, ρ = .3, n = 150", TEN, 0.3, 150),
    Plan("10 drivers, ρ = .6, n = 150", TEN, 0.6, 150),
    Plan("5 drivers, ρ = .3, 30 clusters of 8", MIXED, 0.3, 240, clustered=True),
    Plan("5 drivers, ρ = .6, 30 clusters of 8", MIXED, 0.6, 240, clustered=True),
    Plan("10 drivers, ρ = .3, 30 clusters of 8", TEN, 0.3, 240, clustered=True),
    Plan("10 drivers, ρ = .6, 30 clusters of 8", TEN, 0.6, 240, clustered=True),
    Plan("5 drivers, ρ = .3, n = 300, 25 % missing", MIXED, 0.3, 300, missing=True),
    Plan("5 drivers, ρ = .6, n = 300, 25 % missing", MIXED, 0.6, 300, missing=True),
    Plan("5 drivers, ρ = 0, n = 150 (reported)", MIXED, 0.0, 150),
]

REJECTION = [
    Plan(f"ρ = {rho:g}, {name}", MIXED, rho, n, clustered, missing)
    for name, n, clustered, missing in (
        ("n = 150", 150, False, False),
        ("30 clusters of 8", 240, True, False),
        ("n = 300, 25 % missing", 300, False, True),
        ("40 clusters of 8, 25 % missing", 320, True, True),
    )
    for rho in (0.0, 0.3, 0.6)
]


def estimate(plan: Plan, generator: np.random.Generator) -> tuple[Users, Resample]:
    """One study with its estimates."""
    answers = plan.draw(generator)
    seed = int(generator.integers(2**31))
    resample, unit = make_resample(answers, REPLICATES, seed)
    return among_users(answers, unit, resample, Options()), resample


def coverage(plan: Plan, studies: int) -> list[str]:
    """Share of studies in which each driver's interval holds the truth."""
    generator = np.random.default_rng([SEED, COVERAGE.index(plan)])
    truth, inside = plan.truth, np.zeros(len(plan.effects))
    for _ in range(studies):
        users, resample = estimate(plan, generator)
        shared = users.importance
        around = spread(shared.values, shared.replicates, resample.kind, df=users.df, level=0.95)
        inside += (around.low <= truth) & (truth <= around.high)
    rates = inside / studies
    error = np.sqrt(rates.mean() * (1 - rates.mean()) / studies)
    asserted = plan.correlation > 0
    kept = abs(rates.mean() - 0.95) <= 0.02 and rates.min() >= 0.91
    verdict = ("kept" if kept else "MISSED") if asserted else "reported"
    drivers = " ".join(f"{rate:.3f}" for rate in rates)
    return [
        plan.name,
        f"{rates.mean():.4f}",
        f"{error:.4f}",
        "95 ± 2 %, each ≥ 91 %",
        verdict,
        drivers,
    ]


def rejection(plan: Plan, studies: int) -> list[str]:
    """Share of studies in which the driver without effect is called significant."""
    generator = np.random.default_rng([SEED + 1, REJECTION.index(plan)])
    null = len(plan.effects) - 1
    called = sum(bool(estimate(plan, generator)[0].p_values[null] < 0.05) for _ in range(studies))
    return _rate_line(plan.name, called / studies, studies, 0.05, 0.02)


@dataclass(frozen=True)
class Nulls:
    """Ratings of 1 to 5 of which some have no effect on the outcome."""

    name: str
    n: int = 300
    slopes: tuple[float, ...] = (0.4, 0.4, 0.2, 0.0, 0.0)
    rho: float = 0.3
    #: Where the ratings lie: 3.6 is the middle; 4.9 puts 60 % at the top.
    centre: float = 3.6
    grows: bool = False
    nps: bool = False
    #: Answers to the last driver that differ from all others.
    few: int = 0
    weighted: bool = False
    missing: bool = False

    def draw(self, generator: np.random.Generator) -> Answers:
        """One simulated study."""
        p = len(self.slopes)
        common = np.sqrt(self.rho) * generator.normal(size=(self.n, 1))
        latent = self.centre + common + np.sqrt(1 - self.rho) * generator.normal(size=(self.n, p))
        ratings = np.clip(np.round(latent), 1, 5)
        if self.few:
            ratings[:, -1] = np.where(np.arange(self.n) < self.few, 1.0, 5.0)
        spread = 0.3 + 0.5 * np.abs(ratings[:, -1] - 3) if self.grows else 1.0
        outcome = ratings @ np.array(self.slopes) + spread * generator.normal(size=self.n)
        if self.nps:
            outcome = np.clip(np.round(2 * outcome + 1), 0, 10)
            outcome = recode_outcome(outcome, "nps", "y")
        if self.missing:
            ratings[generator.random(ratings.shape) < MISSING] = np.nan
        answers = as_answers(np.column_stack([ratings, outcome]), None)
        weights = generator.uniform(0.5, 2, self.n)
        return replace(answers, weights=weights) if self.weighted else answers


TWELVE = (0.4, 0.3, 0.3, 0.2, *[0.0] * 8)
NULLS = [
    *(
        Nulls(f"noise grows away from the middle, n = {n}{words}", n, grows=True, **kind)
        for n in (100, 400)
        for words, kind in (("", {}), (", weights", {"weighted": True}), (", missing", {"missing": True}))
    ),
    Nulls("4 real and 8 null drivers, ρ = .7", 400, TWELVE, 0.7),
    Nulls("4 real and 8 null drivers, ρ = .7, weights", 400, TWELVE, 0.7, weighted=True),
    Nulls("60 % at the top", centre=4.9),
    Nulls("60 % at the top, weights", centre=4.9, weighted=True),
    Nulls("outcome −100/0/100", nps=True),
    Nulls("outcome −100/0/100, weights", nps=True, weighted=True),
    *(Nulls(f"{few} of 300 answers differ", few=few) for few in (2, 3, 5, 10, 20)),
    *(Nulls(f"{few} of 300 differ, weights", few=few, weighted=True) for few in (3, 10, 20)),
]  # fmt: skip


def null_drivers(plan: Nulls, studies: int) -> list[str]:
    """Share of drivers without effect that are called significant."""
    generator = np.random.default_rng([SEED + 4, NULLS.index(plan)])
    nulls = [len(plan.slopes) - 1] if plan.few or plan.grows else np.flatnonzero(
        np.array(plan.slopes) == 0
    ).tolist()  # fmt: skip
    simple = not (plan.weighted or plan.missing)
    rates = []
    for _ in range(studies):
        answers = plan.draw(generator)
        seed = int(generator.integers(2**31))
        resample, unit = make_resample(answers, 0 if simple else 300, seed)
        users = among_users(answers, unit, resample, Options(method="johnson"))
        rates.append(float((users.p_values[nulls] < 0.05).mean()))
    rate, error = float(np.mean(rates)), float(np.std(rates) / np.sqrt(studies))
    verdict = "kept" if rate <= 0.065 else "MISSED"
    return [plan.name, f"{rate:.4f}", f"{error:.4f}", "≤ 6.5 %", verdict, ""]


R_SQUARED = [
    (truth, plan)
    for truth in (0.03, 0.1, 0.3, 0.6)
    for plan in (
        Plan("5 drivers, n = 150", MIXED, 0.5, 150),
        Plan("10 drivers, n = 400", TEN, 0.5, 400),
        Plan("5 drivers, 30 clusters of 8", MIXED, 0.5, 240, clustered=True),
        Plan("5 drivers, n = 300, 25 % missing", MIXED, 0.5, 300, missing=True),
    )
]


def r_squared_interval(truth: float, plan: Plan, studies: int) -> list[str]:
    """Share of studies in which the interval of R² holds the planted one."""
    generator = np.random.default_rng([SEED + 5, R_SQUARED.index((truth, plan))])
    signal = plan.covariance[-1, -1] - 1
    scale = np.sqrt(truth / (1 - truth) / signal)
    scaled = replace(plan, effects=tuple(scale * effect for effect in plan.effects))
    inside = 0
    for _ in range(studies):
        answers = scaled.draw(generator)
        seed = int(generator.integers(2**31))
        resample, unit = make_resample(answers, 200, seed)
        users = among_users(answers, unit, resample, Options(method="johnson"))
        found = adjusted_r_squared(
            users.fit, resample, n=users.n_effective, df=users.df, stratified=False, level=0.95
        )
        inside += found["ci_low"] <= truth <= found["ci_high"]
    rate = inside / studies
    error = np.sqrt(rate * (1 - rate) / studies)
    kept = rate >= 0.93 if truth < 0.1 else abs(rate - 0.95) <= 0.02
    limit = "≥ 93 %" if truth < 0.1 else "95 ± 2 %"
    name = f"R² {truth:g}, {plan.name}"
    return [name, f"{rate:.4f}", f"{error:.4f}", limit, "kept" if kept else "MISSED", ""]


ALIKE, ONE_COUNTS = (0.3,) * 5, (0.2, 0.2, 0.2, 0.2, 0.6)
MAP = [
    ("tied performance, n = 400", ONE_COUNTS, 0.0, 400, True),
    ("tied importance, n = 400", ALIKE, 0.5, 400, True),
    ("tied importance, n = 1,500", ALIKE, 0.5, 1500, True),
    ("both tied, n = 400", ALIKE, 0.0, 400, True),
    (".3 points below average, n = 400", ONE_COUNTS, 0.3 * 5 / 4, 400, False),
]


def look_first(
    name: str, effects: tuple[float, ...], drop: float, n: int, tie: bool, studies: int
) -> list[str]:
    """Share of studies in which the last of five drivers is to be looked at first."""
    generator = np.random.default_rng([SEED + 6, [line[0] for line in MAP].index(name)])
    names = [f"x{j}" for j in range(5)]
    called = 0
    for _ in range(studies):
        latent = generator.normal(size=(n, 1)) + generator.normal(size=(n, 5))
        latent = 3.2 + np.sqrt(0.5) * latent - drop * (np.arange(5) == 4)
        frame = pd.DataFrame(np.round(latent).clip(1, 5), columns=names)
        frame["y"] = frame.to_numpy() @ np.array(effects) + generator.normal(size=n)
        seed = int(generator.integers(2**31))
        found = drivers(frame, "y", names, replicates=200, seed=seed)
        called += driver_map(found).table.set_index("driver").loc["x4", "verdict"] == "look first"
    rate = called / studies
    error = np.sqrt(rate * (1 - rate) / studies)
    kept = rate <= 0.08 if tie else rate >= 0.9
    limit = "≤ 8 %" if tie else "≥ 90 %"
    return [name, f"{rate:.4f}", f"{error:.4f}", limit, "kept" if kept else "MISSED", ""]


def nothing_to_find(n: int, drivers_: int, studies: int) -> list[str]:
    """Share of studies without any true difference whose findings call nothing clear."""
    generator = np.random.default_rng([SEED + 8, n, drivers_])
    names, silent = [f"x{j}" for j in range(drivers_)], 0
    metrics = [Metric(name, "mean", scale=(1, 5)) for name in names]
    for _ in range(studies):
        latent = generator.normal(size=(n, 1)) + generator.normal(size=(n, drivers_))
        frame = pd.DataFrame(np.round(3.2 + np.sqrt(0.5) * latent).clip(1, 5), columns=names)
        mean = 1.5 * frame.mean(axis=1)
        frame["y"] = mean + generator.normal(size=n)
        frame["again"] = np.round(mean + 2 + generator.normal(size=n)).clip(0, 10)
        shared = {"replicates": 200, "seed": int(generator.integers(2**31)), "missing": "complete"}
        found = drivers(frame, "y", names, advocacy="again", method="johnson", **shared)
        shapes = penalty_reward(frame, "y", names, cuts=(2, 4), **shared)
        told = driver_map(found, metrics=metrics).findings(
            compared=compare_outcomes(found), shapes=shapes
        )
        silent += not any(finding.certainty == "clear" for finding in told)
    rate = silent / studies
    error = np.sqrt(rate * (1 - rate) / studies)
    kept = "kept" if rate >= 0.94 else "MISSED"
    return [f"{drivers_} drivers, n = {n}", f"{rate:.4f}", f"{error:.4f}", "≥ 94 %", kept, ""]


def equal_outcomes(n: int, studies: int) -> list[str]:
    """False alarms of the test of shares between two outcomes with one truth."""
    generator = np.random.default_rng([SEED + 7, n])
    called = []
    for _ in range(studies):
        x = generator.normal(size=(n, 4)) + generator.normal(size=(n, 1))
        frame = pd.DataFrame(x, columns=list("abcd"))
        common = x @ np.array([0.5, 0.3, 0.2, 0.1]) + generator.normal(size=n)
        frame["y"], frame["z"] = (common + generator.normal(size=n) for _ in range(2))
        seed = int(generator.integers(2**31))
        first, second = (
            drivers(frame, name, list("abcd"), replicates=200, seed=seed) for name in "yz"
        )
        both = replace(first, advocacy=second)
        called.append(float((compare_outcomes(both)["p_value"] < 0.05).mean()))
    return _rate_line(f"n = {n}", float(np.mean(called)), studies, 0.05, 0.02)


def equal_segments(first: int, second: int, studies: int) -> list[str]:
    """False alarms of the test of shares between two segments with one truth."""
    generator = np.random.default_rng([SEED + 2, first])
    plan = Plan(f"segments of {first} and {second}, ρ = .5", MIXED, 0.5, first + second)
    called = np.zeros(len(plan.effects))
    for _ in range(studies):
        answers = plan.draw(generator)
        resample, unit = make_resample(answers, REPLICATES, int(generator.integers(2**31)))
        small = np.arange(plan.n) < first
        one, two = (
            among_users(answers.rows(rows), unit[rows], resample, Options(adjusted=True))
            for rows in (small, ~small)
        )
        gap = one.importance.shares - two.importance.shares
        drawn = one.importance.share_replicates - two.importance.share_replicates
        around = spread(gap, drawn, "bootstrap", df=one.df, level=0.95)
        df = min(one.df, two.df)
        called += replicate_test(gap, around.se, drawn, "bootstrap", df=df) < 0.05
    return _rate_line(plan.name, float(called.mean() / studies), studies, 0.05, 0.02)


def linear_effects(n: int, cuts: tuple[int, int], ceiling: bool, studies: int) -> list[str]:
    """Linear effects on ratings with a ceiling that are called basic or excitement."""
    generator = np.random.default_rng([SEED + 3, n, cuts[0], ceiling])
    names = [f"x{j}" for j in range(4)]
    effects = np.array([0.4, 0.3, 0.2, 0.2])
    called, total, quick = 0, 0, 0
    for _ in range(studies):
        common = generator.normal(size=(n, 1))
        latent = 3.9 + 0.65 * common + 0.75 * generator.normal(size=(n, 4))
        frame = pd.DataFrame(np.clip(np.round(latent), 1, 5), columns=names)
        frame["y"] = frame[names] @ effects - 0.3 + 0.5 * generator.normal(size=n)
        if ceiling:
            frame["y"] = np.clip(np.round(frame["y"]), 1, 5)
        seed = int(generator.integers(2**31))
        table = penalty_reward(frame, "y", names, cuts=cuts, replicates=200, seed=seed).table
        called += int(table["shape"].isin(["basic", "excitement"]).sum())
        quick += int((table[["basic", "excitement"]].max(axis=1) >= 0.8).sum())
        total += len(names)
    rate = called / total
    error = np.sqrt(rate * (1 - rate) / studies)
    verdict = "kept" if rate <= 0.10 else "MISSED"
    outcome = "outcome 1 to 5" if ceiling else "outcome free"
    name = f"n = {n}, low ≤ {cuts[0]}, high ≥ {cuts[1]}, {outcome}"
    return [
        name,
        f"{rate:.4f}",
        f"{error:.4f}",
        "≤ 10 %",
        verdict,
        f"by the share alone {quick / total:.3f}",
    ]


def planted_answers(plan: Plan) -> Answers:
    """One study of the plan."""
    return plan.draw(np.random.default_rng(SEED))


def airport_answers() -> Answers:
    """The airport's overall score of 2018 on all touchpoints, with its design."""
    study = load_study("sfo")
    answers = study.read(period="2018")
    return read_answers(answers, "overall", study.touchpoints, design=study.design)


@one_blas_thread
def one_step(name: str, draw: Callable[[], Answers]) -> list[str]:
    """Standard errors of the drivers' importance: of one step, as a multiple of those of EM to its end."""
    answers = draw()
    resample, unit = make_resample(answers, FULL_REPLICATES, SEED)
    rows = np.column_stack([answers.ratings, answers.outcome]).astype(float)
    columns, weights = (*answers.names, answers.outcome_name), answers.weights
    fit = fit_covariance(columns, rows, weights, unit, resample, missing="em")
    again = []
    for multipliers in resample.multipliers.T:
        drawn = weights * multipliers[unit]
        kept = WeightedRows.of(rows[drawn > 0], drawn[drawn > 0])
        again.append(fit_possible(kept, (fit.mean, fit.matrix)).covariance)
    quick, whole = (
        importance(fit.matrix, matrices).replicates.std(axis=0, ddof=1)
        for matrices in (fit.matrices, np.array(again))
    )
    ratio = quick / whole
    verdict = "kept" if abs(np.median(ratio) - 1) <= 0.03 else "MISSED"
    ends = f"{ratio.min():.3f} to {ratio.max():.3f} over {len(ratio)} drivers"
    return [name, f"{np.median(ratio):.4f}", "none", "× 1.00 ± .03", verdict, ends]


def _rate_line(name: str, rate: float, studies: int, wanted: float, width: float) -> list[str]:
    error = np.sqrt(rate * (1 - rate) / studies)
    verdict = "kept" if abs(rate - wanted) <= width else "MISSED"
    return [name, f"{rate:.4f}", f"{error:.4f}", f"{wanted:.0%} ± {width:.0%}", verdict, ""]


def _section(title: str, jobs: list[Callable[[], list[str]]]) -> None:
    print(f"\n{title}")
    for job in jobs:
        start = time.perf_counter()
        name, rate, error, limit, verdict, more = job()
        took = time.perf_counter() - start
        print(
            f"  {name:44s} {rate} (MC SE {error})  limit {limit:22s} {verdict:8s} {took:6.1f} s  {more}",
            flush=True,
        )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--studies", type=int, default=2000)
    parser.add_argument(
        "--only",
        choices=[
            "coverage",
            "rejection",
            "nulls",
            "r-squared",
            "map",
            "segments",
            "shape",
            "one-step",
        ],
        help="one part",
    )
    asked = parser.parse_args()
    studies = asked.studies

    def wanted(part: str) -> bool:
        return asked.only in (None, part)

    print(f"{studies:,} studies a line, {REPLICATES} replicates each, seed {SEED}")
    if wanted("coverage"):
        jobs = [lambda plan=plan: coverage(plan, studies) for plan in COVERAGE]
        _section(
            "Coverage of 95 % intervals of LMG (mean over drivers; each driver at the end)", jobs
        )
    if wanted("rejection"):
        jobs = [lambda plan=plan: rejection(plan, studies) for plan in REJECTION]
        _section("A driver without effect is called significant at 5 %", jobs)
    if wanted("nulls"):
        jobs = [lambda plan=plan: null_drivers(plan, studies) for plan in NULLS]
        _section("Drivers without effect are called significant at 5 %, hard cases", jobs)
    if wanted("r-squared"):
        jobs = [lambda line=line: r_squared_interval(*line, studies) for line in R_SQUARED]
        _section("Coverage of 95 % intervals of R²", jobs)
    if wanted("map"):
        jobs = [lambda line=line: look_first(*line, studies) for line in MAP]
        _section('Called "look first"', jobs)
        jobs = [lambda pair=pair: nothing_to_find(*pair, studies) for pair in ((400, 5), (400, 12))]
        _section("Findings without any true difference call nothing clear", jobs)
    if wanted("segments"):
        fewer = max(10, studies // 2)
        jobs = [
            lambda pair=pair: equal_segments(*pair, fewer)
            for pair in ((60, 2000), (100, 400), (300, 1000))
        ]
        _section("Shares of equal segments are called different at 5 %", jobs)
        jobs = [lambda n=n: equal_outcomes(n, fewer) for n in (150, 400)]
        _section("Shares of equal outcomes are called different at 5 %", jobs)
    if wanted("shape"):
        fewer = max(10, studies // 10)
        jobs = [
            lambda n=n, cuts=cuts, ceiling=ceiling: linear_effects(n, cuts, ceiling, fewer)
            for n in (600, 2700)
            for cuts in ((2, 4), (3, 5))
            for ceiling in (False, True)
        ]
        _section("Linear effects of ratings with a ceiling called basic or excitement", jobs)
    if wanted("one-step"):
        jobs = [
            lambda plan=plan: one_step(plan.name, lambda: planted_answers(plan))
            for plan in COVERAGE
            if plan.missing
        ]
        if (Path(os.environ.get("CXLAB_DATA", "/nowhere")) / "sfo").is_dir():
            jobs.append(lambda: one_step("airport 2018", airport_answers))
        title = f"Standard errors of one step beside EM to its end, {FULL_REPLICATES} replicates"
        _section(title, jobs)


if __name__ == "__main__":
    main()
