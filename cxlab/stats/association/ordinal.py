"""Polychoric correlation of a count table: two-step or full maximum likelihood."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri

from cxlab.core.messages import one_of
from cxlab.stats.association.coefficients import Coefficient, rank_scores
from cxlab.stats.association.normal_cells import (
    Booleans,
    grid,
    log_density,
    log_difference,
    log_probabilities,
    padded,
)

Array = NDArray[np.float64]

METHODS = ("two-step", "ml")

#: A correlation beyond this is not told apart from ±1 by ratings.
LARGEST = 0.999

#: Steps smaller than this end the maximum-likelihood search, or steps smaller than the
#: second that no longer halve, because the digits are used up; it never ends earlier.
STEP_TOLERANCE = 1e-10
ROUNDING_STEP = 1e-6
MOST_STEPS = 500

#: Step of the numerical derivatives of the estimating equations.
DIFFERENCE = 1e-5

#: Where the likelihood is looked at before its maximum is bracketed: evenly on atanh ρ.
SEARCHED = np.tanh(np.linspace(-5, 5, 11))


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
        Influence function of the estimate in each cell that somebody is in.
    note : str
        What was done or why there is no estimate; empty if nothing.
    added_variance : float
        Variance of the halves that were added to an empty cell's table; else 0.
    """

    estimate: float
    row_thresholds: Array
    column_thresholds: Array
    log_likelihood: float
    influence: Array
    note: str = ""
    added_variance: float = 0.0


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
        one half, and the note says so: the halves vary like answers of their own.

    Raises
    ------
    ValueError
        For negative or missing counts or an unknown method.
    RuntimeError
        If maximum likelihood has not converged; a half-way value is never returned.

    Notes
    -----
    Cell probabilities are differences of Φ₂, here through Owen's T; below 1e-5 they are
    integrated in logs, because such differences lose all their digits. The two-step
    estimate is the largest likelihood of a search over −1 to 1, then the root of its score
    in ρ, ``Σ n_ij π′_ij/π_ij``; full ML is Fisher scoring until a step moves nothing by
    1e-10. The influence function solves the estimating equations' first-order expansion,
    thresholds included.

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
    influence = fit.influence[row, column]
    return Coefficient(fit.estimate, influence, fit.note, scores, fit.added_variance)


def _rho_score(rho: float, row: Array, column: Array, occupied: Booleans) -> Array:
    """Derivative of log π in ρ, per cell; 0 where the cell is tiny and nobody is in it."""
    log_probability = log_probabilities(rho, row, column, occupied)
    return _corner_ratio(log_density(*grid(row, column), rho), log_probability)


def _corner_ratio(logs: Array, log_probability: Array) -> Array:
    known = np.isfinite(log_probability)
    base = np.where(known, log_probability, np.inf)
    alike = np.exp(logs[1:, 1:] - base) + np.exp(logs[:-1, :-1] - base)
    opposite = np.exp(logs[1:, :-1] - base) + np.exp(logs[:-1, 1:] - base)
    found: Array = alike - opposite
    return found


def _margins(share: Array) -> tuple[Array, Array]:
    return ndtri(np.cumsum(share.sum(1))[:-1]), ndtri(np.cumsum(share.sum(0))[:-1])


def _two_step(share: Array) -> tuple[float, Array, Array] | None:
    """The correlation of largest likelihood given the margins' thresholds, and those."""
    row, column = _margins(share)
    likelihood = [_log_likelihood(share, rho, row, column) for rho in SEARCHED]
    best = int(np.argmax(likelihood))
    if best in (0, len(SEARCHED) - 1):
        return None
    low, high = SEARCHED[best - 1], SEARCHED[best + 1]

    def score(rho: float) -> float:
        return float((share * _rho_score(rho, row, column, share > 0)).sum())

    if score(low) > 0 > score(high):
        return float(brentq(score, low, high, xtol=1e-13, rtol=1e-13)), row, column
    # two maxima between neighbours: the larger, as far as function values tell
    found = minimize_scalar(
        lambda rho: -_log_likelihood(share, rho, row, column),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x), row, column


def _threshold_ratios(rho: float, cuts: Array, across: Array, base: Array) -> Array:
    """∂ log π/∂threshold of the rows' cuts: shape (cuts, rows, columns)."""
    edges = (padded(across)[None, :] - rho * cuts[:, None]) / np.sqrt(1 - rho**2)
    logs = log_difference(edges[:, :-1], edges[:, 1:])
    logs -= (cuts**2 / 2 + np.log(2 * np.pi) / 2)[:, None]
    ratios, place = np.zeros((len(cuts), *base.shape)), np.arange(len(cuts))
    ratios[place, place] = np.exp(logs - base[:-1])
    ratios[place, place + 1] = -np.exp(logs - base[1:])
    return ratios


def _full_score(rho: float, row: Array, column: Array, occupied: Booleans) -> tuple[Array, Array]:
    """Derivatives of log π in (ρ, thresholds), shape (parameters, rows, columns); and π."""
    log_probability = log_probabilities(rho, row, column, occupied)
    base = np.where(np.isfinite(log_probability), log_probability, np.inf)
    by_row = _threshold_ratios(rho, row, column, base)
    by_column = _threshold_ratios(rho, column, row, base.T).swapaxes(1, 2)
    by_rho = _corner_ratio(log_density(*grid(row, column), rho), log_probability)
    return np.concatenate([by_rho[None], by_row, by_column]), np.exp(log_probability)


def _maximum_likelihood(
    share: Array, start: tuple[float, Array, Array]
) -> tuple[float, Array, Array]:
    point = np.concatenate([[start[0]], start[1], start[2]])
    rows, size = len(start[1]), np.inf
    for _ in range(MOST_STEPS):
        score, probability = _full_score(
            point[0], point[1 : rows + 1], point[rows + 1 :], share > 0
        )
        gradient = (score * share).sum((1, 2))
        information = np.einsum("aij,bij,ij->ab", score, score, probability)
        step = np.linalg.solve(information, gradient)
        point = _damped(share, point, step, rows)
        before, size = size, np.abs(step).max()
        if size < STEP_TOLERANCE or before / 2 < size < ROUNDING_STEP:
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
    occupied = counts > 0
    log_probability = log_probabilities(rho, row, column, occupied)
    return float(counts[occupied] @ log_probability[occupied])


def _estimating(point: Array, share: Array, rows: int, method: str) -> Array:
    """Estimating functions per cell, shape (parameters, rows, columns)."""
    rho, row, column = point[0], point[1 : rows + 1], point[rows + 1 :]
    if method == "ml":
        return _full_score(rho, row, column, share > 0)[0]
    below_row = np.arange(len(row) + 1)[None, :] <= np.arange(len(row))[:, None]
    below_column = np.arange(len(column) + 1)[None, :] <= np.arange(len(column))[:, None]
    row_part = (below_row - ndtr(row)[:, None])[:, :, None] * np.ones(share.shape[1])
    column_part = (below_column - ndtr(column)[:, None])[:, None, :] * np.ones((share.shape[0], 1))
    by_rho = _rho_score(rho, row, column, share > 0)[None]
    return np.concatenate([by_rho, row_part, column_part])


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
    influence[np.ix_(*kept)] = own = _influence(inner / inner.sum(), fitted, method)
    # the answers in a perfect table never vary: all that is not known lies in the halves
    added = ((inner - counts[np.ix_(*kept)]) * own**2).sum() / inner.sum() ** 2
    return Polychoric(
        estimate=fitted[0],
        row_thresholds=fitted[1],
        column_thresholds=fitted[2],
        log_likelihood=_log_likelihood(inner, *fitted),
        influence=influence,
        note=note,
        added_variance=float(added),
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
