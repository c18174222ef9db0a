"""Replicates, and the standard errors, intervals, ranks and tests that come from them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse
from scipy.special import ndtri, stdtr, stdtrit

from cxlab.core.engines import PART_ROWS
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.resampling import (
    SampledSums,
    bootstrap_multipliers,
    expanded_level,
    jackknife_blocks,
    jackknife_covariance,
    percentile_interval,
    rank_intervals,
)

Array = np.ndarray

#: Multipliers kept in memory (units × replicates); above, a jackknife is used instead.
MULTIPLIER_LIMIT = 40_000_000
#: Blocks of the delete-a-group jackknife.
BLOCKS = 100
#: Normal draws that stand in for replicates after a jackknife.
DRAWS = 4000


@dataclass(frozen=True, eq=False)
class Resample:
    """Multipliers of the sampling units that make the replicates."""

    kind: str  # "bootstrap", "jackknife" or "none"
    multipliers: Array  # (units, replicates); no column for "none"
    note: str = ""  # what was assumed

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return self.multipliers.shape[1]


def no_resample(units: int, note: str = "") -> Resample:
    """No replicates of so many sampling units."""
    return Resample("none", np.empty((units, 0)), note)


def make_resample(
    answers: Answers | SampledSums, replicates: int, seed: int
) -> tuple[Resample, Array]:
    """Multipliers for the replicates, and the unit of each row, shape (rows,).

    Of the bootstrap; of a delete-a-group jackknife where its multipliers would be too many.
    """
    units = answers.design.n_clusters
    if not replicates or units < 2:
        note = "One cluster only: no interval." if replicates else ""
        return no_resample(units, note), answers.unit
    if units * replicates <= MULTIPLIER_LIMIT:
        multipliers = bootstrap_multipliers(answers.design, replicates, seed=seed)
        return Resample("bootstrap", multipliers), answers.unit
    cluster_block = jackknife_blocks(answers.design, BLOCKS, seed=seed)
    blocks = int(cluster_block.max()) + 1
    left_out = 1.0 - np.eye(blocks)
    note = (
        f"{units:,} sampling units are too many for {replicates:,} bootstrap replicates: "
        f"the jackknife left out {blocks} blocks of them in turn."
    )
    return Resample("jackknife", left_out, note), cluster_block[answers.unit]


def unit_totals(values: Array, unit: Array, n_units: int) -> Array:
    """Sums of the rows of each unit, shape (units, k)."""
    # a column for each row, with a one where its unit is
    ones = np.ones(len(unit)), unit, np.arange(len(unit) + 1)
    return np.asarray(sparse.csc_array(ones, shape=(n_units, len(unit))) @ values)


def totals_in_parts(table: Callable[[slice], Array], unit: Array, n_units: int) -> Array:
    """As `unit_totals`, of a table made for some rows at a time: of all it may fill the memory."""
    size = max(PART_ROWS, n_units)
    totals = unit_totals(table(slice(0, size)), unit[:size], n_units)
    for start in range(size, len(unit), size):
        part = slice(start, start + size)
        totals += unit_totals(table(part), unit[part], n_units)
    return totals


def drawn_totals(
    table: Callable[[slice], Array], unit: Array, resample: Resample, size: int = PART_ROWS
) -> Array:
    """Sums of all rows, then of each replicate, of a table made for some rows at a time.

    Shape (1 + replicates, k). Only the units of those rows are told apart, so that a table of
    all units, which may be as many as rows, is never there.
    """
    totals = np.zeros(())
    for start in range(0, len(unit), size):
        part = slice(start, start + size)
        present, place = np.unique(unit[part], return_inverse=True)
        sums = unit_totals(table(part), place, len(present))
        drawn = resample.multipliers[present].T @ sums
        totals = totals + np.vstack([sums.sum(axis=0), drawn])
    return np.asarray(totals)


@dataclass(frozen=True, eq=False)
class Spread:
    """Standard errors and intervals of k estimates; NaN without replicates."""

    se: Array
    low: Array
    high: Array

    def columns(self) -> dict[str, Array]:
        """As columns ``se, ci_low, ci_high`` of a table."""
        return {"se": self.se, "ci_low": self.low, "ci_high": self.high}

    def within(self, least: float, most: float) -> Spread:
        """Limits that go no further than the quantity can."""
        return replace(
            self, low=np.clip(self.low, least, most), high=np.clip(self.high, least, most)
        )

    def limits(self, name: str) -> dict[str, Array]:
        """The interval alone, as columns ``NAME_low, NAME_high``."""
        return {f"{name}_low": self.low, f"{name}_high": self.high}


def spread(estimate: Array, replicates: Array, kind: str, *, df: float, level: float) -> Spread:
    """Standard errors and intervals: percentile (bootstrap) or t (jackknife).

    The percentiles are taken a little further out, at Φ(±t·√((df + 1)/df)) instead of
    Φ(±z), because replicates of few clusters vary too little (Hesterberg's expanded
    percentile interval; 2015, The American Statistician 69, 371–386, section 3.4). From 1,000
    units on it makes no difference. With fewer than half a dozen units no replicate lies so
    far out, so that the interval is a t interval; with one unit there is none.
    """
    estimate = np.asarray(estimate, dtype=float)
    if kind == "none" or len(replicates) < 2 or df < 1:
        blank = np.full(estimate.shape, np.nan)
        return Spread(blank, blank, blank)
    if kind == "jackknife":
        se = np.sqrt(np.diagonal(jackknife_covariance(replicates, estimate)))
        reach = stdtrit(max(1.0, min(df, len(replicates) - 1)), (1 + level) / 2) * se
        return Spread(se, estimate - reach, estimate + reach)
    se = standard_errors(replicates)
    if _out_of_reach(level, df, len(replicates)):
        reach = stdtrit(df, (1 + level) / 2) * np.sqrt((df + 1) / df) * se
        return Spread(se, estimate - reach, estimate + reach)
    return Spread(se, *percentile_interval(replicates, expanded_level(level, df)))


def _out_of_reach(level: float, df: float, replicates: int) -> bool:
    """Whether clusters are so few that the limits lie beyond every replicate."""
    return expanded_level(level, df) > 1 - 1 / replicates


def standard_errors(replicates: Array) -> Array:
    """Standard deviations of the finite replicates."""
    finite = np.where(np.isfinite(replicates), replicates, np.nan)
    enough = np.isfinite(finite).sum(axis=0) > 1
    safe = np.where(enough, finite, 0.0)
    return np.where(enough, np.nanstd(safe, axis=0, ddof=1), np.nan)


def design_errors(
    estimate: Array, replicates: Array, kind: str, *, df: float, stratified: bool
) -> Array:
    """Standard errors that a test divides by, from a bootstrap's or a jackknife's replicates."""
    if kind == "jackknife":
        return np.asarray(np.sqrt(np.diagonal(jackknife_covariance(replicates, estimate))))
    # n draws from n units spread by (n − 1)/n too little; Rao–Wu's n − 1 don't
    small = 1.0 if stratified else np.sqrt((df + 1) / max(df, 1))
    return np.asarray(standard_errors(replicates) * small)


def normal_draws(estimate: Array, replicates: Array) -> Array:
    """Normal draws with the covariance of a jackknife's replicates, shape (draws, k).

    The same noise every time, so that draws of two quantities are drawn jointly.
    """
    blocks = len(replicates)
    noise = np.random.default_rng(0).normal(size=(DRAWS, blocks))
    return np.asarray(estimate + noise @ (np.sqrt((blocks - 1) / blocks) * (replicates - estimate)))


def ranks_within(
    estimate: Array, replicates: Array, kind: str, *, df: float, level: float
) -> tuple[Array, Array]:
    """Ranks that simultaneous tests of differences allow; −1 without replicates."""
    replicates = replicates[np.isfinite(replicates).all(axis=1)]
    if kind == "none" or len(replicates) < 2 or df < 1:
        nothing = np.full(len(estimate), -1)
        return nothing, nothing
    if _out_of_reach(level, df, DRAWS):
        return np.ones(len(estimate), dtype=int), np.full(len(estimate), len(estimate))
    if kind == "jackknife":
        replicates = normal_draws(estimate, replicates)
    return rank_intervals(estimate, replicates, expanded_level(level, df))


def t_test(estimate: Array, se: Array, df: float | Array) -> Array:
    """Two-sided p-values of estimate ÷ se; 1 where both are 0, NaN where se is unknown."""
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    still = (se == 0) & (estimate == 0)
    ratio = np.divide(estimate, se, out=np.full_like(estimate, np.nan), where=se > 0)
    p = 2 * stdtr(np.maximum(df, 1e-9), -np.abs(ratio))
    return np.where(still, 1.0, np.where(se > 0, p, np.nan))


def replicate_test(estimate: Array, se: Array, replicates: Array, kind: str, *, df: float) -> Array:
    """Two-sided p-values of a quantity whose replicates may be skewed.

    The larger of estimate ÷ SE on t, and (for a bootstrap) of the level at which the
    expanded percentile interval would leave out 0; shares of small groups are skewed, and
    the ratio alone rejects a true null too often.
    """
    if df < 1:
        return np.full(np.shape(estimate), np.nan)
    by_ratio = t_test(estimate, se, df)
    if kind != "bootstrap":
        return by_ratio
    finite = np.isfinite(replicates)
    count = np.maximum(finite.sum(axis=0), 1)
    below = ((replicates <= 0) & finite).sum(axis=0) / count
    above = ((replicates >= 0) & finite).sum(axis=0) / count
    tail = np.minimum(np.minimum(below, above), 0.5)
    by_percentile = 2 * stdtr(df, ndtri(tail) / np.sqrt((df + 1) / df))
    return np.fmax(by_ratio, np.where(tail > 0, by_percentile, 0.0))


def t_interval(
    estimate: Array, se: Array, *, df: float | Array, level: float
) -> tuple[Array, Array]:
    """Estimate ± t × se."""
    reach = stdtrit(np.maximum(df, 1e-9), (1 + level) / 2) * se
    return estimate - reach, estimate + reach
