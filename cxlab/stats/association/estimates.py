"""Coefficients of every table of a `JointCounts`, with design-based covariances."""

from __future__ import annotations

from dataclasses import dataclass

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
from cxlab.stats.association.ordinal import polychoric_pairs
from cxlab.stats.association.units import (
    covariance_of_totals,
    shared_degrees_of_freedom,
)

Array = NDArray[np.float64]

#: Fewer design degrees of freedom than this and the interval is flagged.
FEW_DEGREES_OF_FREEDOM = 8

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
    df : ndarray of shape (pairs, pairs)
        Degrees of freedom of each estimate and of each difference.
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
    are part of it. The interval is Student's t on atanh.

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
    df = pair_degrees_of_freedom(counts)
    table = _table(counts, fits, covariance, df, level)
    return PairEstimates(coefficient, table, covariance, df)


def influence_covariance(counts: JointCounts, influences: list[Array]) -> Array:
    """Taylor covariance of one estimate per pair from its influence on each cell."""
    scaled = _scaled_influence(counts, influences)
    totals = np.asarray((counts.by_unit @ scaled).todense())
    if counts.squares is None:
        return covariance_of_totals(totals, counts.units)
    # rows are lumped by stratum: their squares are known, their shared rows are not
    squares = np.asarray((counts.squares @ scaled.power(2)).todense())
    sampled = counts.units.sampled[:, None].astype(float)
    variance = (sampled / (sampled - 1) * (squares - totals**2 / sampled)).sum(axis=0)
    covariance = np.full((len(variance), len(variance)), np.nan)
    np.fill_diagonal(covariance, variance)
    return covariance


def pair_degrees_of_freedom(counts: JointCounts) -> Array:
    """Units that hold a valid pair less strata that do, for pairs and their differences."""
    members = _membership(counts)
    if counts.units.lumped:
        n = counts.cells.groupby("pair")["n"].sum().reindex(range(len(counts.pairs)), fill_value=0)
        strata = np.asarray((counts.by_unit @ members).todense() > 0).sum(axis=0)
        alone = n.to_numpy(float) - strata
        return np.minimum.outer(alone, alone)
    present = np.asarray((counts.by_unit @ members).todense()) > 0
    return shared_degrees_of_freedom(present, counts.units)


def _fit(cells: pd.DataFrame, coefficient: str) -> Coefficient:
    n = int(cells["n"].sum())
    if n < FEWEST_PAIRS:
        reason = "no pairs" if n == 0 else f"only {n} pair{'s' if n > 1 else ''}"
        return Coefficient(float("nan"), np.zeros(len(cells)), reason)
    x, y, weight = (cells[name].to_numpy(float) for name in ("x", "y", "weight"))
    return TABLE_COEFFICIENTS[coefficient](x, y, weight)


def _scaled_influence(counts: JointCounts, influences: list[Array]) -> sparse.csr_array:
    mass = counts.cells.groupby("pair")["weight"].transform("sum").to_numpy(float)
    values = np.concatenate([np.empty(0), *influences]) / mass
    entries = (np.arange(len(values)), counts.cells["pair"].to_numpy())
    return sparse.coo_array((values, entries), shape=(len(values), len(counts.pairs))).tocsr()


def _membership(counts: JointCounts) -> sparse.csr_array:
    entries = (np.arange(len(counts.cells)), counts.cells["pair"].to_numpy())
    shape = (len(counts.cells), len(counts.pairs))
    return sparse.coo_array((np.ones(len(counts.cells)), entries), shape=shape).tocsr()


def _table(
    counts: JointCounts,
    fits: list[Coefficient],
    covariance: Array,
    df: Array,
    level: float,
) -> pd.DataFrame:
    n = counts.cells.groupby("pair")["n"].sum().reindex(range(len(fits)), fill_value=0)
    estimate = np.array([fit.estimate for fit in fits])
    alone = np.diag(df)
    spread = np.where(np.isnan(estimate), np.nan, np.sqrt(np.maximum(np.diag(covariance), 0)))
    se = np.where(alone >= 1, spread, np.nan)
    low, high = correlation_interval(estimate, se, alone, level=level)
    notes = [_note(fit, float(df_alone)) for fit, df_alone in zip(fits, alone, strict=True)]
    table = pd.DataFrame({"n": n.astype(int), "estimate": estimate, "se": se})
    table["ci_low"], table["ci_high"] = low, high
    table["p_value"] = correlation_p_value(estimate, se, alone)
    table["df"], table["note"] = alone, notes
    return table.reset_index(drop=True)


def _note(fit: Coefficient, df: float) -> str:
    if np.isnan(fit.estimate):
        return fit.note
    if df < 1:
        return "; ".join(filter(None, [fit.note, "no interval: too few clusters hold a pair"]))
    if abs(fit.estimate) >= PERFECT:
        return "the scores and the outcome are the same up to scale"
    few = f"only {df:.0f} degrees of freedom" if df < FEW_DEGREES_OF_FREEDOM else ""
    return "; ".join(filter(None, [fit.note, few]))
