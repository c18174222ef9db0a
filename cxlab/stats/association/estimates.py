"""Coefficients of every table of a `JointCounts`, with design-based intervals and tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.special import stdtr
from scipy.stats import random_table

from cxlab.stats.association.coefficients import (
    FEWEST_PAIRS,
    Coefficient,
    kendall_tau_b,
    no_coefficient,
    pearson,
    spearman,
)
from cxlab.stats.association.counts import JointCounts, pearson_covariance
from cxlab.stats.association.polychoric import polychoric
from cxlab.stats.inference import t_quantile
from cxlab.stats.variance import (
    SampledUnits,
    covariance_of_totals,
    degrees_of_freedom,
    leverage_degrees_of_freedom,
)

Array = NDArray[np.float64]

#: Coefficients of paired values, by the names used in tables. A new one is a function of
#: (x, y, weights) and one line here.
COEFFICIENTS: dict[str, Callable[..., Coefficient]] = {
    "pearson": pearson,
    "spearman": spearman,
    "tau_b": kendall_tau_b,
    "polychoric": polychoric,
}

#: Beyond this a correlation is ±1 up to rounding and its spread is unknown.
PERFECT = 1 - 1e-12

#: Fewer degrees of freedom than this and the interval is flagged.
FEW_DEGREES_OF_FREEDOM = 8

#: Note on a coefficient of ±1.
SAME = "the scores and the outcome are the same up to scale: no interval, their spread is unknown"

#: Relabellings behind a p value by permutation; with the observed one they make 2,000.
PERMUTATIONS = 1_999

#: Cells of a table of x by y up to which such tables are drawn.
MOST_CELLS = 5_000


@dataclass(frozen=True, eq=False)
class PairEstimates:
    """One coefficient of every pair, with the covariance of the estimates.

    ``table``: one row per pair: ``n, estimate, se, ci_low, ci_high, p_value, df, note``.
    ``covariance``, shape (pairs, pairs): 0 rows where there is no estimate; NaN off the diagonal
    where the rows were too many to read one by one. ``df``: the design's degrees of freedom, or
    fewer where the standard error rests on few answers. A difference has the smaller of two.
    """

    table: pd.DataFrame
    covariance: Array
    df: Array


def pair_estimates(
    counts: JointCounts, coefficient: str = "pearson", *, level: float = 0.95
) -> PairEstimates:
    """Estimate one coefficient of every pair, with its design-based interval.

    The influence function is a value per cell of the table; its weighted total per cluster
    gives the Taylor variance. The thresholds of the polychoric and the ranks of Spearman
    are part of it. The interval is Student's t on atanh. Its degrees of freedom are the
    design's or those of `leverage_degrees_of_freedom`, whichever are fewer: where almost
    all answers are alike, the standard error rests on the few that are not. Where one
    answer (or cluster) holds all the leverage, or the coefficient is ±1, there is no interval.
    Then, and below 8 degrees of freedom, the p value of a simple sample comes from permuting
    the answers.
    """
    fits = [_fit(counts.pair(number), coefficient) for number in range(len(counts.pairs))]
    estimate = np.array([fit.estimate for fit in fits])
    covariance, design_df = _design_spread(counts, coefficient, fits)
    df = np.minimum(pair_leverage(counts, fits), design_df)
    known = (np.abs(estimate) < PERFECT) & (df >= 1)
    se = np.where(known, np.sqrt(np.maximum(np.diag(covariance), 0)), np.nan)
    low, high = correlation_interval(estimate, se, df, level=level)
    table = pd.DataFrame({"n": counts.answers(), "estimate": estimate, "se": se})
    table["ci_low"], table["ci_high"] = low, high
    table["p_value"] = correlation_p_value(estimate, se, df)
    table["df"] = df
    unknown = np.isnan(np.diag(covariance))
    notes = zip((fit.note for fit in fits), estimate, df, design_df, unknown, strict=True)
    table["note"] = [_note(*row) for row in notes]
    return _permuted(PairEstimates(table, covariance, df), counts, fits)


def _design_spread(
    counts: JointCounts, coefficient: str, fits: Sequence[Coefficient]
) -> tuple[Array, Array]:
    """Taylor covariance of the estimates, and the degrees of freedom that the design leaves."""
    if counts.units.lumped and coefficient == "pearson":
        estimate = np.array([fit.estimate for fit in fits])
        return pearson_covariance(counts.opened, counts.pairs, counts.cells, estimate)
    covariance = influence_covariance(counts, [fit.influence for fit in fits])
    covariance += np.diag([fit.added_variance for fit in fits])
    if counts.units.lumped and counts.units.clustered:
        covariance[:] = np.nan
    return covariance, pair_degrees_of_freedom(counts)


def influence_covariance(counts: JointCounts, influences: list[Array]) -> Array:
    """Taylor covariance of one estimate per pair from its influence on each cell."""
    mass = counts.cells.groupby("pair")["weight"].transform("sum").to_numpy(float)
    scaled = _per_pair(counts, np.concatenate([np.empty(0), *influences]) / mass)
    totals = np.asarray((counts.by_unit @ scaled).todense())
    if not counts.units.lumped:
        return covariance_of_totals(totals, counts.units)
    # units are whole strata: the sums of squares are known, which rows two pairs share is not
    squares = np.asarray((counts.squares @ scaled.power(2)).todense())
    sampled = counts.units.sampled[:, None].astype(float)
    variance = (sampled / (sampled - 1) * (squares - totals**2 / sampled)).sum(axis=0)
    covariance = np.full((len(variance), len(variance)), np.nan)
    np.fill_diagonal(covariance, variance)
    return covariance


def pair_degrees_of_freedom(counts: JointCounts) -> Array:
    """Degrees of freedom that the design leaves each pair: units less strata that hold it."""
    one_each = _per_pair(counts, np.ones(len(counts.cells)))
    present = np.asarray((counts.by_unit @ one_each).todense()) > 0
    if counts.units.lumped:
        return counts.answers() - present.sum(axis=0).astype(float)
    return degrees_of_freedom(present, counts.units)


def _fit(cells: pd.DataFrame, coefficient: str) -> Coefficient:
    n = int(cells["n"].sum())
    if n < FEWEST_PAIRS:
        reason = "no pairs" if n == 0 else f"only {n} pair{'s' if n > 1 else ''}"
        return no_coefficient(cells["x"].to_numpy(), reason)
    x, y, weight = (cells[name].to_numpy(float) for name in ("x", "y", "weight"))
    # weights of mean 1: one half added to a cell is then half an answer in any survey
    return COEFFICIENTS[coefficient](x, y, weight * (n / weight.sum()))


def _per_pair(counts: JointCounts, values: Array) -> sparse.csr_array:
    """A value per cell as a sparse array of shape (cells, pairs)."""
    entries = (np.arange(len(values)), counts.cells["pair"].to_numpy())
    return sparse.coo_array((values, entries), shape=(len(values), len(counts.pairs))).tocsr()


def _permuted(
    fitted: PairEstimates, counts: JointCounts, fits: Sequence[Coefficient]
) -> PairEstimates:
    """P values by permutation where few answers decide and all are exchangeable."""
    table, by_unit = fitted.table, counts.by_unit.tocsc()
    p_values, notes = table["p_value"].to_numpy(copy=True), table["note"].tolist()
    perfect = table["estimate"].abs() >= PERFECT
    few = table["estimate"].notna() & (perfect | (fitted.df < FEW_DEGREES_OF_FREEDOM))
    for number in np.flatnonzero(few).tolist():
        cells, scores = counts.pair(number), fits[number].scores
        if scores is None or not _exchangeable(counts.units, by_unit[:, cells.index], cells["n"]):
            continue
        p_value = independence_p_value(*scores, cells["n"].to_numpy())
        if np.isfinite(p_value):
            p_values[number], notes[number] = p_value, f"{notes[number]}; p value by permutation"
    return replace(fitted, table=table.assign(p_value=p_values, note=notes))


def _exchangeable(units: SampledUnits, by_unit: sparse.csc_array, n: pd.Series) -> bool:
    """Whether each row is a unit of its own, all of one stratum and one weight."""
    if units.lumped or len(units.sampled) > 1:
        return units.simple
    alone = len(by_unit.data) == n.sum() == len(np.unique(by_unit.indices))
    return bool(alone and np.ptp(by_unit.data) <= 1e-9 * by_unit.data.max())


def _note(note: str, estimate: float, df: float, design_df: float, unknown: bool) -> str:
    """The estimate's own note, then what its standard error rests on."""
    if np.isnan(estimate):
        return note
    same = SAME if abs(estimate) >= PERFECT else ""
    few = ""
    if unknown:
        few = "no interval: too many clusters to compute a variance"
    elif design_df < 1:
        few = "no interval: too few clusters hold a pair"
    elif df < 1:
        few = "no interval: the coefficient rests on one answer or cluster alone"
    elif df < FEW_DEGREES_OF_FREEDOM:
        few = f"only {df:.1f} degrees of freedom".replace(".0 ", " ")
        few += "" if df == design_df else ": it rests on few answers"
    return "; ".join(part for part in (note, same, few) if part)


def correlation_interval(
    estimate: ArrayLike, se: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> tuple[Array, Array]:
    """Interval of any correlation from its standard error, never outside −1 to 1.

    Student's t interval of atanh r, whose standard error is se/(1 − r²), taken back; NaN below 1
    degree of freedom. A coefficient of ±1 has none: answers that all agree do not tell how far
    others would stray.

    >>> low, high = correlation_interval(0.5, 0.1, 100)
    >>> round(float(low), 3), round(float(high), 3)
    (0.277, 0.672)
    """
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    perfect = np.abs(estimate) >= PERFECT
    inner = np.where(perfect, np.nan, estimate)
    half = t_quantile(level, df) * se / (1 - inner**2)
    return np.tanh(np.arctanh(inner) - half), np.tanh(np.arctanh(inner) + half)


def correlation_p_value(estimate: ArrayLike, se: ArrayLike, df: ArrayLike) -> Array:
    """Two-sided p-value of no correlation, in agreement with `correlation_interval`."""
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    df = np.asarray(df, dtype=float)
    perfect = np.abs(estimate) >= PERFECT
    inner = np.where(perfect, np.nan, estimate)
    spread = np.where(se > 0, se, np.nan) / (1 - inner**2)
    value = 2 * stdtr(np.where(df >= 1, df, np.nan), -np.abs(np.arctanh(inner) / spread))
    return np.asarray(value)


def pair_leverage(counts: JointCounts, fits: Sequence[Coefficient]) -> Array:
    """Degrees of freedom that the answers of each pair leave, the smaller of its two sides.

    Infinite where there is no coefficient. Rows that were too many to read one by one count as
    units of their own, whatever their clusters.
    """
    found = np.full(len(fits), np.inf)
    pair = counts.cells["pair"].to_numpy()
    starts = np.searchsorted(pair, np.arange(len(fits) + 1))
    weight, squares = counts.by_unit.tocsc(), counts.squares.tocsc()
    for number, fit in enumerate(fits):
        if fit.scores is None:
            continue
        cells = slice(starts[number], starts[number + 1])
        mass = counts.cells["weight"].to_numpy()[cells].sum()
        share, square, times = weight[:, cells] / mass, squares[:, cells] / mass**2, None
        if counts.units.lumped:
            # as many rows of one weight as have the cell's sum and sum of squares
            total, squared = share.sum(axis=0), square.sum(axis=0)
            times, alike = total**2 / squared, squared / total
            share, square = sparse.diags_array(alike), sparse.diags_array(alike**2)
        found[number] = min(
            leverage_degrees_of_freedom(_unit_sums(share, square, z), times) for z in fit.scores
        )
    return found


def _unit_sums(share: sparse.sparray, square: sparse.sparray, z: Array) -> Array:
    linear = share @ np.column_stack([z, z**2])
    return np.hstack([linear, square @ np.column_stack([np.ones(len(z)), z, z**2])])


def independence_p_value(x: Array, y: Array, times: NDArray[np.int64]) -> float:
    """Two-sided p value of independence of two scores, by permuting one of them.

    Share of relabellings with a mean product as far from 0 as observed (Phipson & Smyth 2010,
    Statistical Applications in Genetics 9, 39); NaN where the table of x by y is too large. Tables
    with the margins observed are drawn instead of rows: the same distribution, and the work does
    not grow with the answers.
    """
    x_levels, row = np.unique(x, return_inverse=True)
    y_levels, column = np.unique(y, return_inverse=True)
    if len(x_levels) * len(y_levels) > MOST_CELLS:
        return float("nan")
    rows = np.bincount(row, weights=times).astype(int)
    columns = np.bincount(column, weights=times).astype(int)
    drawn = random_table(rows, columns).rvs(PERMUTATIONS, random_state=np.random.default_rng(0))
    products = (drawn @ y_levels) @ x_levels
    # rounding must not part relabellings that are equally far
    far = np.abs(products) >= abs(times @ (x * y)) - 1e-9 * times.sum()
    return float((1 + far.sum()) / (PERMUTATIONS + 1))
