"""Coefficients of every table of a `JointCounts`, with design-based covariances."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.stats.association.coefficients import COEFFICIENTS, FEWEST_PAIRS, Coefficient
from cxlab.stats.association.counts import JointCounts
from cxlab.stats.association.dependence import (
    PERFECT,
    correlation_interval,
    correlation_p_value,
)
from cxlab.stats.association.leverage import independence_p_value, pair_leverage
from cxlab.stats.association.ordinal import polychoric_pairs
from cxlab.stats.association.units import Units, covariance_of_totals, degrees_of_freedom

Array = NDArray[np.float64]

#: Fewer degrees of freedom than this and the interval is flagged.
FEW_DEGREES_OF_FREEDOM = 8

#: What to say of a coefficient of ±1.
SAME = "the scores and the outcome are the same up to scale: no interval, their spread is unknown"

#: Coefficients of a count table, by the names used in tables.
TABLE_COEFFICIENTS = {**COEFFICIENTS, "polychoric": polychoric_pairs}


@dataclass(frozen=True, eq=False)
class PairEstimates:
    """One coefficient of every pair, with the covariance of the estimates.

    Attributes
    ----------
    coefficient : str
        ``pearson``, ``spearman``, ``tau_b`` or ``polychoric``.
    table : DataFrame
        One row per pair: ``n, estimate, se, ci_low, ci_high, p_value, df, note``.
    covariance : ndarray of shape (pairs, pairs)
        Taylor covariance; 0 rows where there is no estimate; NaN off the diagonal where
        the rows were too many to keep apart.
    df : ndarray of shape (pairs,)
        Degrees of freedom of each estimate: the design's, or fewer where its standard
        error rests on few answers. A difference has the smaller of two.
    """

    coefficient: str
    table: pd.DataFrame
    covariance: Array
    df: Array


def pair_estimates(
    counts: JointCounts, coefficient: str = "pearson", *, level: float = 0.95
) -> PairEstimates:
    """Estimate one coefficient of every pair, with its design-based interval.

    Parameters
    ----------
    counts : JointCounts
    coefficient : {"pearson", "spearman", "tau_b", "polychoric"}
    level : float

    Returns
    -------
    PairEstimates

    Notes
    -----
    The influence function is a value per cell of the table; its weighted total per cluster
    gives the Taylor variance. The thresholds of the polychoric and the ranks of Spearman
    are part of it. The interval is Student's t on atanh. Its degrees of freedom are the
    design's or those of `leverage_degrees_of_freedom`, whichever are fewer: where almost
    all answers are alike, the standard error rests on the few that are not. Where one
    answer (or cluster) holds all the leverage, or the coefficient is ±1, there is no interval.
    Then, and below 8 degrees of freedom, the p value of a simple sample comes from permuting
    the answers.

    Examples
    --------
    >>> from cxlab.stats.association import joint_counts
    >>> answers = pd.DataFrame({"shops": [3, 4, 5, 5, 2], "overall": [3, 5, 4, 5, 2]})
    >>> fit = pair_estimates(joint_counts(answers, "shops", "overall"))
    >>> fit.table[["n", "estimate"]].round(3).values.tolist()
    [[5.0, 0.853]]
    """
    fits = [_fit(counts.pair(number), coefficient) for number in range(len(counts.pairs))]
    covariance = influence_covariance(counts, [fit.influence for fit in fits])
    covariance += np.diag([fit.added_variance for fit in fits])
    n = counts.cells.groupby("pair")["n"].sum().reindex(range(len(fits)), fill_value=0)
    table = pd.DataFrame({"n": n.astype(int).to_numpy()})
    table["estimate"] = [fit.estimate for fit in fits]
    table["note"] = [fit.note for fit in fits]
    bare = PairEstimates(coefficient, table, covariance, pair_leverage(counts, fits))
    fitted = with_spread(bare, covariance, pair_degrees_of_freedom(counts), level=level)
    return _permuted(fitted, counts, fits)


def with_spread(fit: PairEstimates, covariance: Array, df: Array, *, level: float) -> PairEstimates:
    """The same estimates with the intervals that a covariance and the design's df give."""
    estimate = fit.table["estimate"].to_numpy()
    held, perfect = np.minimum(fit.df, df), np.abs(estimate) >= PERFECT
    known = ~np.isnan(estimate) & ~perfect & (held >= 1)
    se = np.where(known, np.sqrt(np.maximum(np.diag(covariance), 0)), np.nan)
    low, high = correlation_interval(estimate, se, held, level=level)
    table = fit.table[["n", "estimate"]].assign(se=se, ci_low=low, ci_high=high)
    table["p_value"] = correlation_p_value(estimate, se, held)
    table["df"] = held
    table["note"] = [_note(*row) for row in zip(fit.table["note"], estimate, held, df, strict=True)]
    return replace(fit, table=table, covariance=covariance, df=held)


def influence_covariance(counts: JointCounts, influences: list[Array]) -> Array:
    """Taylor covariance of one estimate per pair from its influence on each cell."""
    scaled = _scaled_influence(counts, influences)
    totals = np.asarray((counts.by_unit @ scaled).todense())
    if not counts.units.lumped:
        return covariance_of_totals(totals, counts.units)
    # rows are lumped by stratum: their squares are known, their shared rows are not
    squares = np.asarray((counts.squares @ scaled.power(2)).todense())
    sampled = counts.units.sampled[:, None].astype(float)
    variance = (sampled / (sampled - 1) * (squares - totals**2 / sampled)).sum(axis=0)
    covariance = np.full((len(variance), len(variance)), np.nan)
    np.fill_diagonal(covariance, variance)
    return covariance


def pair_degrees_of_freedom(counts: JointCounts) -> Array:
    """Degrees of freedom that the design leaves each pair: units less strata that hold it."""
    members = _membership(counts)
    if counts.units.lumped:
        n = counts.cells.groupby("pair")["n"].sum().reindex(range(len(counts.pairs)), fill_value=0)
        strata = np.asarray((counts.by_unit @ members).todense() > 0).sum(axis=0)
        return n.to_numpy(float) - strata
    present = np.asarray((counts.by_unit @ members).todense()) > 0
    return degrees_of_freedom(present, counts.units)


def _fit(cells: pd.DataFrame, coefficient: str) -> Coefficient:
    n = int(cells["n"].sum())
    if n < FEWEST_PAIRS:
        reason = "no pairs" if n == 0 else f"only {n} pair{'s' if n > 1 else ''}"
        return Coefficient(float("nan"), np.zeros(len(cells)), reason)
    x, y, weight = (cells[name].to_numpy(float) for name in ("x", "y", "weight"))
    # weights of mean 1: one half added to a cell is then half an answer in any survey
    return TABLE_COEFFICIENTS[coefficient](x, y, weight * (n / weight.sum()))


def _scaled_influence(counts: JointCounts, influences: list[Array]) -> sparse.csr_array:
    mass = counts.cells.groupby("pair")["weight"].transform("sum").to_numpy(float)
    values = np.concatenate([np.empty(0), *influences]) / mass
    entries = (np.arange(len(values)), counts.cells["pair"].to_numpy())
    return sparse.coo_array((values, entries), shape=(len(values), len(counts.pairs))).tocsr()


def _membership(counts: JointCounts) -> sparse.csr_array:
    entries = (np.arange(len(counts.cells)), counts.cells["pair"].to_numpy())
    shape = (len(counts.cells), len(counts.pairs))
    return sparse.coo_array((np.ones(len(counts.cells)), entries), shape=shape).tocsr()


def _permuted(fitted: PairEstimates, counts: JointCounts, fits: list[Coefficient]) -> PairEstimates:
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


def _exchangeable(units: Units, by_unit: sparse.csc_array, n: pd.Series) -> bool:
    """Whether each row is a unit of its own, all of one stratum and one weight."""
    if units.lumped or len(units.sampled) > 1:
        return units.simple
    alone = len(by_unit.data) == n.sum() == len(np.unique(by_unit.indices))
    return bool(alone and np.ptp(by_unit.data) <= 1e-9 * by_unit.data.max())


def _note(note: str, estimate: float, df: float, design_df: float) -> str:
    """What was said of the estimate, then what its spread rests on."""
    if np.isnan(estimate):
        return note
    perfect = abs(estimate) >= PERFECT
    same = SAME if perfect else ""
    few = ""
    if design_df < 1:
        few = "no interval: too few clusters hold a pair"
    elif df < 1:
        few = "no interval: the coefficient rests on one answer or cluster alone"
    elif df < FEW_DEGREES_OF_FREEDOM:
        few = f"only {df:.1f} degrees of freedom".replace(".0 ", " ")
        few += "" if df == design_df else ": it rests on few answers"
    return "; ".join([*filter(None, [note]), *(part for part in (same, few) if part not in note)])
