"""Polychoric correlation of a count table: two-step or full maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri, owens_t

from cxlab.stats.association.coefficients import Coefficient, rank_scores
from cxlab.survey.messages import one_of

Array = NDArray[np.float64]

METHODS = ("two-step", "ml")

#: A correlation beyond this is not told apart from ±1 by ratings.
LARGEST = 0.999

#: Steps smaller than this end the maximum-likelihood search; it never ends earlier.
STEP_TOLERANCE = 1e-10
MOST_STEPS = 500

#: Step of the numerical derivatives of the estimating equations.
DIFFERENCE = 1e-5

#: A cell's probability is a difference of four of size 1: below this it is rounding.
SMALLEST_PROBABILITY = 1e-15


@dataclass(frozen=True, eq=False)
class Polychoric:
    """Fit of a bivariate normal to a table of ordered categories.

    Attributes
    ----------
    estimate : float
        From −0.999 to 0.999; NaN where it is not estimable, and ``note`` says why.
    row_thresholds, column_thresholds : ndarray
        Cut points of the latent normals, between the categories that occur.
    log_likelihood : float
        Σ n log π at the fit, without the multinomial constant.
    influence : ndarray of shape (rows, columns)
        Influence function of the estimate in each cell; 0 in rows and columns that are
        empty.
    note : str
        What was done or why there is no estimate; empty if nothing.
    """

    estimate: float
    row_thresholds: Array
    column_thresholds: Array
    log_likelihood: float
    influence: Array
    note: str = ""


def polychoric(table: ArrayLike, *, method: str = "two-step") -> Polychoric:
    """Correlation of the normal variables thought to lie behind two ordered ratings.

    Parameters
    ----------
    table : array_like of float, shape (rows, columns)
        Weighted or whole counts of rating × rating, in order. Empty rows and columns are
        passed over.
    method : {"two-step", "ml"}
        Two-step takes the thresholds from the margins (Olsson); ``ml`` fits them with the
        correlation.

    Returns
    -------
    Polychoric
        NaN with the reason for fewer than two categories on a side or a correlation
        beyond ±0.999. Empty cells stay empty; in a 2 × 2 table with one every cell gets
        one half, and the note says so.

    Raises
    ------
    ValueError
        For negative or missing counts or an unknown method.
    RuntimeError
        If maximum likelihood has not converged; a half-way value is never returned.

    Notes
    -----
    Cell probabilities are differences of Φ₂, here through Owen's T. The two-step estimate
    is the root of the score in ρ, ``Σ n_ij π′_ij/π_ij``; full ML is Fisher scoring until a
    step moves nothing by 1e-10. The influence function solves the estimating equations'
    first-order expansion, thresholds included.

    References
    ----------
    Olsson (1979), Psychometrika 44, 443–460. Owen (1956), Ann. Math. Statist. 27, 1075–1090.

    Examples
    --------
    >>> round(polychoric([[40, 10], [20, 30]]).estimate, 4)
    0.6071
    """
    if method not in METHODS:
        raise ValueError(f"`method` must be {one_of(METHODS)}; got '{method}'.")
    counts = _checked(table)
    rows, columns = np.flatnonzero(counts.sum(1) > 0), np.flatnonzero(counts.sum(0) > 0)
    inner = counts[np.ix_(rows, columns)]
    if min(inner.shape) < 2:
        side = "the scores are" if inner.shape[0] < 2 else "the outcome is"
        return _not_estimable(counts, f"{side} all the same" if inner.size else "no pairs")
    note = ""
    if inner.shape == (2, 2) and (inner == 0).any():
        inner, note = (
            inner + 0.5,
            "an empty cell of a 2 × 2 table: one half added to each",
        )
    share = inner / inner.sum()
    fitted = _two_step(share)
    if fitted is None or abs(fitted[0]) > LARGEST:
        return _not_estimable(counts, "not estimable: beyond ±0.999")
    if method == "ml":
        fitted = _maximum_likelihood(share, fitted)
        if abs(fitted[0]) > LARGEST:
            return _not_estimable(counts, "not estimable: beyond ±0.999")
    return _result(counts, inner, fitted, (rows, columns), method, note)


def polychoric_pairs(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Coefficient:
    """Two-step polychoric correlation of weighted pairs, as `pearson` takes them.

    Examples
    --------
    >>> round(polychoric_pairs([0, 0, 1, 1], [0, 1, 0, 1], [40, 10, 20, 30]).estimate, 4)
    0.6071
    """
    x_levels, row = np.unique(np.asarray(x, dtype=float), return_inverse=True)
    y_levels, column = np.unique(np.asarray(y, dtype=float), return_inverse=True)
    weight = np.ones(len(row)) if weights is None else np.asarray(weights, dtype=float)
    table = np.zeros((len(x_levels), len(y_levels)))
    np.add.at(table, (row, column), weight)
    fit = polychoric(table)
    scores = None
    if not np.isnan(fit.estimate):
        scores = rank_scores(x_levels[row], y_levels[column], weight / weight.sum())
    return Coefficient(fit.estimate, fit.influence[row, column], fit.note, scores)


def bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, rho: float) -> Array:
    """P(X ≤ h, Y ≤ k) of standard normals with correlation ``rho``, −1 < rho < 1.

    Examples
    --------
    >>> round(float(bivariate_normal_cdf(0.0, 0.0, 0.5)), 6)  # 1/4 + asin(1/2)/2π
    0.333333
    """
    h, k = np.broadcast_arrays(np.asarray(h, dtype=float), np.asarray(k, dtype=float))
    finite = np.isfinite(h) & np.isfinite(k)
    inner = _finite_cdf(np.where(finite, h, 1.0), np.where(finite, k, 1.0), rho)
    outer = np.where((h == -np.inf) | (k == -np.inf), 0.0, ndtr(np.minimum(h, k)))
    return np.where(finite, inner, outer)


def _finite_cdf(h: Array, k: Array, rho: float) -> Array:
    root = np.sqrt(1 - rho**2)
    # Owen's T needs the slopes k/h and h/k; a tiny number for 0 keeps their limits
    h = np.where(h == 0, 1e-300, h)
    k = np.where(k == 0, 1e-300, k)
    slope_h, slope_k = (k / h - rho) / root, (h / k - rho) / root
    opposite = np.where((h < 0) != (k < 0), 0.5, 0.0)
    value = (ndtr(h) + ndtr(k)) / 2 - owens_t(h, slope_h) - owens_t(k, slope_k) - opposite
    return np.clip(value, 0.0, 1.0)


def _density(h: Array, k: Array, rho: float) -> Array:
    finite = np.isfinite(h) & np.isfinite(k)
    safe_h, safe_k = np.where(finite, h, 0.0), np.where(finite, k, 0.0)
    spread = 1 - rho**2
    exponent = (safe_h**2 - 2 * rho * safe_h * safe_k + safe_k**2) / (2 * spread)
    return np.where(finite, np.exp(-exponent) / (2 * np.pi * np.sqrt(spread)), 0.0)


def _cells(corners: Array) -> Array:
    return np.diff(np.diff(corners, axis=0), axis=1)


def _padded(thresholds: Array) -> Array:
    return np.concatenate([[-np.inf], thresholds, [np.inf]])


def _grid(row: Array, column: Array) -> tuple[Array, Array]:
    h, k = np.broadcast_arrays(_padded(row)[:, None], _padded(column)[None, :])
    return h, k


def _probabilities(rho: float, row: Array, column: Array) -> Array:
    h, k = _grid(row, column)
    return np.maximum(_cells(bivariate_normal_cdf(h, k, rho)), SMALLEST_PROBABILITY)


def _rho_score(rho: float, row: Array, column: Array) -> Array:
    """Derivative of log π in ρ, per cell."""
    h, k = _grid(row, column)
    return _cells(_density(h, k, rho)) / _probabilities(rho, row, column)


def _margins(share: Array) -> tuple[Array, Array]:
    return ndtri(np.cumsum(share.sum(1))[:-1]), ndtri(np.cumsum(share.sum(0))[:-1])


def _two_step(share: Array) -> tuple[float, Array, Array] | None:
    row, column = _margins(share)

    def score(rho: float) -> float:
        return float((share * _rho_score(rho, row, column)).sum())

    edge = 0.9999
    if score(-edge) <= 0 or score(edge) >= 0:
        return None
    return float(brentq(score, -edge, edge, xtol=1e-13, rtol=1e-13)), row, column


def _threshold_slopes(rho: float, row: Array, column: Array) -> tuple[Array, Array]:
    """∂π/∂threshold: shapes (row thresholds, rows, columns) and (column thresholds, …)."""
    root = np.sqrt(1 - rho**2)
    rows, columns = len(row) + 1, len(column) + 1
    by_row = np.zeros((len(row), rows, columns))
    edges = np.diff(ndtr((_padded(column)[None, :] - rho * row[:, None]) / root), axis=1)
    edges *= (np.exp(-(row**2) / 2) / np.sqrt(2 * np.pi))[:, None]
    i = np.arange(len(row))
    by_row[i, i], by_row[i, i + 1] = edges, -edges
    by_column = np.zeros((len(column), rows, columns))
    edges = np.diff(ndtr((_padded(row)[None, :] - rho * column[:, None]) / root), axis=1)
    edges *= (np.exp(-(column**2) / 2) / np.sqrt(2 * np.pi))[:, None]
    j = np.arange(len(column))
    by_column[j, :, j], by_column[j, :, j + 1] = edges, -edges
    return by_row, by_column


def _full_score(rho: float, row: Array, column: Array) -> tuple[Array, Array]:
    """Derivatives of log π in (ρ, thresholds), shape (parameters, rows, columns); and π."""
    probability = _probabilities(rho, row, column)
    by_row, by_column = _threshold_slopes(rho, row, column)
    h, k = _grid(row, column)
    slopes = np.concatenate([_cells(_density(h, k, rho))[None], by_row, by_column])
    return slopes / probability, probability


def _maximum_likelihood(
    share: Array, start: tuple[float, Array, Array]
) -> tuple[float, Array, Array]:
    point = np.concatenate([[start[0]], start[1], start[2]])
    rows = len(start[1])
    for _ in range(MOST_STEPS):
        score, probability = _full_score(point[0], point[1 : rows + 1], point[rows + 1 :])
        gradient = (score * share).sum((1, 2))
        information = np.einsum("aij,bij,ij->ab", score, score, probability)
        step = np.linalg.solve(information, gradient)
        point = _damped(share, point, step, rows)
        if np.abs(step).max() < STEP_TOLERANCE:
            return float(point[0]), point[1 : rows + 1], point[rows + 1 :]
    raise RuntimeError(
        f"`table` must let the polychoric maximum likelihood converge; after {MOST_STEPS} steps "
        f"one still moved by {np.abs(step).max():.1e}. Use method='two-step' for this table."
    )


def _damped(share: Array, point: Array, step: Array, rows: int) -> Array:
    """The step, halved until it keeps the thresholds in order and loses no likelihood."""
    before = _log_likelihood(share, point[0], point[1 : rows + 1], point[rows + 1 :])
    for halving in range(40):
        tried = point + step / 2**halving
        row, column = tried[1 : rows + 1], tried[rows + 1 :]
        ordered = (np.diff(row) > 0).all() and (np.diff(column) > 0).all()
        if not ordered or abs(tried[0]) >= 1:
            continue
        if _log_likelihood(share, tried[0], row, column) >= before - 1e-14 * abs(before):
            return tried
    return point


def _log_likelihood(counts: Array, rho: float, row: Array, column: Array) -> float:
    return float((counts * np.log(_probabilities(rho, row, column))).sum())


def _estimating(point: Array, share: Array, rows: int, method: str) -> Array:
    """Estimating functions per cell, shape (parameters, rows, columns)."""
    rho, row, column = point[0], point[1 : rows + 1], point[rows + 1 :]
    if method == "ml":
        return _full_score(rho, row, column)[0]
    below_row = np.arange(len(row) + 1)[None, :] <= np.arange(len(row))[:, None]
    below_column = np.arange(len(column) + 1)[None, :] <= np.arange(len(column))[:, None]
    row_part = (below_row - ndtr(row)[:, None])[:, :, None] * np.ones(share.shape[1])
    column_part = (below_column - ndtr(column)[:, None])[:, None, :] * np.ones((share.shape[0], 1))
    return np.concatenate([_rho_score(rho, row, column)[None], row_part, column_part])


def _influence(share: Array, fitted: tuple[float, Array, Array], method: str) -> Array:
    point, rows = np.concatenate([[fitted[0]], fitted[1], fitted[2]]), len(fitted[1])
    slopes = np.empty((len(point), len(point)))
    for number in range(len(point)):
        moved = np.zeros(len(point))
        moved[number] = DIFFERENCE * min(1.0, 1 - fitted[0] ** 2)
        ahead = (_estimating(point + moved, share, rows, method) * share).sum((1, 2))
        behind = (_estimating(point - moved, share, rows, method) * share).sum((1, 2))
        slopes[:, number] = (ahead - behind) / (2 * moved[number])
    first_row = np.linalg.solve(slopes.T, np.eye(len(point))[0])
    value = -np.einsum("a,aij->ij", first_row, _estimating(point, share, rows, method))
    return value - (share * value).sum()


def _result(
    counts: Array,
    inner: Array,
    fitted: tuple[float, Array, Array],
    kept: tuple[NDArray[np.intp], NDArray[np.intp]],
    method: str,
    note: str,
) -> Polychoric:
    influence = np.zeros(counts.shape)
    influence[np.ix_(*kept)] = _influence(inner / inner.sum(), fitted, method)
    return Polychoric(
        estimate=fitted[0],
        row_thresholds=fitted[1],
        column_thresholds=fitted[2],
        log_likelihood=_log_likelihood(inner, *fitted),
        influence=influence,
        note=note,
    )


def _checked(table: ArrayLike) -> Array:
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError(
            "`table` must be a two-way table of counts of 0 or more; got "
            f"shape {counts.shape}. Count rating × rating first."
        )
    return counts


def _not_estimable(counts: Array, reason: str) -> Polychoric:
    empty = np.empty(0)
    return Polychoric(float("nan"), empty, empty, float("nan"), np.zeros(counts.shape), reason)
