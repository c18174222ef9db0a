"""Pearson, Spearman and Kendall correlations, each with its influence function.

Every function takes paired values with weights: the rows themselves, or the cells of a
count table (rating, rating, weighted count). The digits are the same. SciPy's functions take
neither weights nor give influence functions; the tests hold ours to theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

#: Fewer pairs than this and a coefficient is ±1 or nothing.
FEWEST_PAIRS = 3

#: A variance below this share of the squared scores is the rounding of a constant.
CONSTANT = 1e-14


#: The same of variances that are differences of sums.
CONSTANT_SUMS = 1e-12


@dataclass(frozen=True, eq=False)
class Coefficient:
    """A coefficient and the influence of each pair of values on it.

    ``influence`` is the influence function at each given pair, with weighted mean 0. ``note`` says
    why there is no estimate (NaN), or what was done to get it. ``scores`` are standardised scores
    of each pair whose mean product tests independence: values for Pearson, mid-ranks for the
    others. ``added_variance`` is the variance of what was added to the pairs to get an estimate.
    """

    estimate: float
    influence: Array
    note: str = ""
    scores: tuple[Array, Array] | None = None
    added_variance: float = 0.0


def pearson(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Coefficient:
    """Pearson's correlation of weighted pairs; NaN with the reason where a side is constant.

    With z the standardised values, the influence function is
    ``z_x z_y − (r/2)(z_x² + z_y²)`` (Devlin, Gnanadesikan & Kettenring 1975, Biometrika 62).
    """
    x, y, share = as_shares(x, y, weights)
    reason = why_none(x, y, share)
    if reason:
        return no_coefficient(x, reason)
    zx, zy = _standardised(x, share), _standardised(y, share)
    estimate = _clip(float(share @ (zx * zy)))
    influence = zx * zy - estimate / 2 * (zx**2 + zy**2)
    return Coefficient(estimate, influence, scores=(zx, zy))


def spearman(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Coefficient:
    """Spearman's rank correlation of weighted pairs, ties at their mid-rank.

    Pearson's correlation of the mid-distribution values ``P(X < x) + P(X = x)/2``. The influence
    function carries the sampling of the ranks themselves, not only of the pairs (Croux & Dehon
    2010, Statistical Methods & Applications 19).
    """
    x, y, share = as_shares(x, y, weights)
    reason = why_none(x, y, share)
    if reason:
        return no_coefficient(x, reason)
    row, row_share = margin(x, share)
    column, column_share = margin(y, share)
    u, v = _mid_distribution(row_share), _mid_distribution(column_share)
    product = u[row] * v[column]
    spread_x, spread_y = _rank_variance(row_share), _rank_variance(column_share)
    scale = np.sqrt(spread_x * spread_y)
    estimate = _clip(float(share @ product / scale))
    pull_x = _rank_pull(row, share * v[column], len(row_share))
    pull_y = _rank_pull(column, share * u[row], len(column_share))
    gradient = (product + pull_x + pull_y) / scale
    gradient += estimate / 8 * (row_share[row] ** 2 / spread_x)
    gradient += estimate / 8 * (column_share[column] ** 2 / spread_y)
    return Coefficient(estimate, gradient - share @ gradient, scores=rank_scores(x, y, share))


def kendall_tau_b(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Coefficient:
    """Kendall's tau-b of weighted pairs; work grows with distinct x times distinct y.

    ``Σ p_ij D_ij / √((1 − Σ p_i²)(1 − Σ p_j²))``, D the share of pairs concordant with the cell
    less the share discordant (Goodman & Kruskal 1963, JASA 58).
    """
    x, y, share = as_shares(x, y, weights)
    reason = why_none(x, y, share)
    if reason:
        return no_coefficient(x, reason)
    row, row_share = margin(x, share)
    column, column_share = margin(y, share)
    table = np.zeros((len(row_share), len(column_share)))
    np.add.at(table, (row, column), share)
    net = concordance(table)[row, column]
    untied_x, untied_y = 1 - row_share @ row_share, 1 - column_share @ column_share
    scale = np.sqrt(untied_x * untied_y)
    estimate = _clip(float(share @ net / scale))
    gradient = 2 * net / scale
    gradient += estimate * (row_share[row] / untied_x + column_share[column] / untied_y)
    return Coefficient(estimate, gradient - share @ gradient, scores=rank_scores(x, y, share))


def correlation_of_sums(sums: Array) -> Array:
    """Pearson's r from sums of 1, x, y, x², y² and xy along the first axis.

    NaN where either side is constant. The squares keep their digits if x and y are near 0.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, xx, yy, xy = sums[1:] / sums[0]
        spread_x, spread_y = xx - mean_x**2, yy - mean_y**2
        constant = (spread_x <= CONSTANT_SUMS) | (spread_y <= CONSTANT_SUMS)
        r = (xy - mean_x * mean_y) / np.sqrt(spread_x * spread_y)
    return np.where(constant, np.nan, np.clip(r, -1, 1))


def rank_scores(x: Array, y: Array, share: Array) -> tuple[Array, Array]:
    """Standardised mid-ranks of both sides."""
    found = []
    for values in (x, y):
        code, level_share = margin(values, share)
        spread = np.sqrt(_rank_variance(level_share))
        found.append(_mid_distribution(level_share)[code] / max(spread, CONSTANT))
    return found[0], found[1]


def as_shares(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Checked pairs, and each one's share of the weight."""
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    weight = np.ones(x.shape) if weights is None else np.asarray(weights, dtype=float)
    if not x.shape == y.shape == weight.shape or x.ndim != 1:
        raise ValueError(
            "`x`, `y` and `weights` must be equally long; "
            f"got {len(x):,}, {len(y):,} and {len(weight):,}. Drop incomplete pairs first."
        )
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            "`x` and `y` must be finite numbers; got NaN. Drop incomplete pairs first."
        )
    if not np.isfinite(weight).all() or (weight < 0).any():
        raise ValueError(
            "`weights` must be finite numbers of 0 or more. Drop or correct the others."
        )
    total = weight.sum()
    return x, y, weight / total if total > 0 else weight


def why_none(x: Array, y: Array, share: Array) -> str:
    """Why these pairs have no coefficient; empty if they have one."""
    inside = share > 0
    if not inside.any():
        return "no pairs"
    if np.ptp(x[inside]) == 0:
        return "the scores are all the same"
    if np.ptp(y[inside]) == 0:
        return "the outcome is the same for all of them"
    return ""


def no_coefficient(x: Array, reason: str) -> Coefficient:
    """No estimate, and why."""
    return Coefficient(float("nan"), np.zeros(x.shape), reason)


def _clip(value: float) -> float:
    return min(1.0, max(-1.0, value))


def _standardised(values: Array, share: Array) -> Array:
    centred = values - share @ values
    return centred / np.sqrt(share @ centred**2)


def margin(values: Array, share: Array) -> tuple[Any, Array]:
    """Number of each value's level, and the share of each level."""
    levels, code = np.unique(values, return_inverse=True)
    counts: Array = np.bincount(code, weights=share, minlength=len(levels)).astype(float)
    return code, counts


def _mid_distribution(share: Array) -> Array:
    """Mid-distribution value of each level less its mean, one half."""
    return np.cumsum(share) - share / 2 - 0.5


def _rank_variance(share: Array) -> float:
    return float((1 - (share**3).sum()) / 12)


def _rank_pull(code: NDArray[np.intp], weight: Array, levels: int) -> Array:
    """What a pair does to the ranks of the others: weight above its level, half at it."""
    at_level = np.bincount(code, weights=weight, minlength=levels)
    above = np.cumsum(at_level[::-1])[::-1] - at_level
    return (above + at_level / 2)[code]


def concordance(table: Array) -> Array:
    """Share of pairs concordant with each cell less the share discordant."""
    sign_rows = np.sign(np.subtract.outer(np.arange(table.shape[0]), np.arange(table.shape[0])))
    sign_columns = np.sign(np.subtract.outer(np.arange(table.shape[1]), np.arange(table.shape[1])))
    return sign_rows @ table @ sign_columns.T
