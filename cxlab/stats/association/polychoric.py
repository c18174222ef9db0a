"""Polychoric correlation of a count table, from thresholds that its margins give.

statsmodels, SciPy and pingouin have none; the tests hold this one to R's polycor.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr, logsumexp, ndtr, ndtri, owens_t

from cxlab.stats.association.coefficients import (
    Array,
    Coefficient,
    as_shares,
    concordance,
    no_coefficient,
    rank_scores,
    why_none,
)

Booleans = NDArray[np.bool_]

#: A correlation beyond this cannot be distinguished from ±1 by ratings.
LARGEST = 0.999

#: More distinct values than this are a measured quantity, not a rating.
MOST_CATEGORIES = 21

#: Step of the numerical derivatives of the estimating equations.
DIFFERENCE = 1e-5

#: Where the likelihood is looked at before its maximum is bracketed: evenly on atanh ρ.
SEARCHED = np.tanh(np.linspace(-5, 5, 11))

#: A cell's probability is a difference of four of size 1, right to about 1e-16: below this
#: it is integrated instead, in logs.
SMALLEST_DIFFERENCE = 1e-5

#: Nodes and log weights of the tanh-sinh rule on (0, 1), dense at both ends: the tiny cells
#: hold their mass in a thin layer at one corner.
_STEPS = np.arange(-60, 61) * 0.055
NODES = 1 / (1 + np.exp(-np.pi * np.sinh(_STEPS)))
LOG_WEIGHTS = np.log(0.055 * np.pi * np.cosh(_STEPS) * NODES * NODES[::-1])

#: The normal density has no mass this many standard deviations beyond a cell's mode.
FARTHEST = 9.0

#: Rounding of a sum of shares.
ROUNDING = 1e-12


def polychoric(x: ArrayLike, y: ArrayLike, weights: ArrayLike | None = None) -> Coefficient:
    """Correlation of the normal variables assumed behind two ordered ratings.

    NaN with the reason for fewer than two or more than 21 categories on a side, for answers that
    never disagree in order (their likelihood rises to ±1), or for a correlation beyond ±0.999.
    Empty cells stay empty; in a 2 × 2 table with one, every cell gets one half, and the note says
    so: the halves vary like answers of their own.

    Olsson's two-step estimate (1979, Psychometrika 44): thresholds from the margins, then the
    correlation of largest likelihood, by a search over −1 to 1 and the root of the score in ρ,
    ``Σ n_ij π′_ij/π_ij``. Cell probabilities are differences of Φ₂, here through Owen's T (1956,
    Ann. Math. Statist. 27); below 1e-5 they are integrated in logs, because such differences lose
    all their digits. The influence function solves the first-order expansion of the estimating
    equations, thresholds included.
    """
    x, y, share = as_shares(x, y, weights)
    reason = why_none(x, y, share)
    if reason:
        return no_coefficient(x, reason)
    inside = share > 0
    rows, columns = np.unique(x[inside]), np.unique(y[inside])
    if max(len(rows), len(columns)) > MOST_CATEGORIES:
        return no_coefficient(x, "a quantity, not a rating: too many distinct values")
    # a pair of weight 0 may have a rating of its own: any row and column will do
    row = np.minimum(np.searchsorted(rows, x), len(rows) - 1)
    column = np.minimum(np.searchsorted(columns, y), len(columns) - 1)
    counts = np.zeros((len(rows), len(columns)))
    np.add.at(counts, (row, column), 1.0 if weights is None else np.asarray(weights, dtype=float))
    filled, note = _filled(counts)
    found = _fit(filled / filled.sum())
    if isinstance(found, str):
        return no_coefficient(x, found)
    influence = _influence(filled / filled.sum(), *found)
    # the answers in a perfect table never vary: all that is not known lies in the halves
    added = ((filled - counts) * influence**2).sum() / filled.sum() ** 2
    scores = rank_scores(x, y, share)
    return Coefficient(found[0], influence[row, column], note, scores, float(added))


def _filled(counts: Array) -> tuple[Array, str]:
    """The counts, in a 2 × 2 table with an empty cell one half more each."""
    if counts.shape == (2, 2) and (counts == 0).any():
        return counts + 0.5, "an empty cell of a 2 × 2 table: one half added to each"
    return counts, ""


def _fit(share: Array) -> tuple[float, Array, Array] | str:
    """The correlation of largest likelihood and the thresholds, or why there is none."""
    row, column = thresholds(share)
    if _never_disagrees(share):
        return "not estimable: the answers never disagree in order"
    likelihood = [log_likelihood(share, rho, row, column) for rho in SEARCHED]
    best = int(np.argmax(likelihood))
    if best in (0, len(SEARCHED) - 1):
        return "not estimable: beyond ±0.999"
    rho = _maximum(share, row, column, SEARCHED[best - 1], SEARCHED[best + 1])
    return "not estimable: beyond ±0.999" if abs(rho) > LARGEST else (rho, row, column)


def _never_disagrees(share: Array) -> bool:
    """Whether no two pairs of answers are ordered against the others' direction.

    The margins' thresholds then fit such a table exactly at a correlation of ±1: near it the
    likelihood is flat up to rounding.
    """
    untied = 1 - (share.sum(1) ** 2).sum() - (share.sum(0) ** 2).sum() + (share**2).sum()
    return abs((share * concordance(share)).sum()) >= untied - ROUNDING


def _maximum(share: Array, row: Array, column: Array, low: float, high: float) -> float:
    def score(rho: float) -> float:
        return float((share * _rho_score(rho, row, column, share > 0)).sum())

    if score(low) > 0 > score(high):
        return float(brentq(score, low, high, xtol=1e-13, rtol=1e-13))
    # two maxima between neighbours: the larger, as far as function values tell
    found = minimize_scalar(
        lambda rho: -log_likelihood(share, rho, row, column),
        bounds=(low, high),
        method="bounded",
        options={"xatol": 1e-9},
    )
    return float(found.x)


def thresholds(share: Array) -> tuple[Array, Array]:
    """Cut points of both latent normals, from the margins of a table of shares."""
    return ndtri(np.cumsum(share.sum(1))[:-1]), ndtri(np.cumsum(share.sum(0))[:-1])


def log_likelihood(counts: Array, rho: float, row: Array, column: Array) -> float:
    """Σ n log π, without the multinomial constant."""
    occupied = counts > 0
    log_probability = log_probabilities(rho, row, column, occupied)
    return float(counts[occupied] @ log_probability[occupied])


def _rho_score(rho: float, row: Array, column: Array, occupied: Booleans) -> Array:
    """Derivative of log π in ρ, per cell; 0 where the cell is tiny and nobody is in it."""
    log_probability = log_probabilities(rho, row, column, occupied)
    logs = _log_density(*_corners(row, column), rho)
    base = np.where(np.isfinite(log_probability), log_probability, np.inf)
    alike = np.exp(logs[1:, 1:] - base) + np.exp(logs[:-1, :-1] - base)
    opposite = np.exp(logs[1:, :-1] - base) + np.exp(logs[:-1, 1:] - base)
    found: Array = alike - opposite
    return found


def _estimating(point: Array, share: Array, rows: int) -> Array:
    """Estimating functions of ρ and the thresholds per cell: (parameters, rows, columns)."""
    rho, row, column = point[0], point[1 : rows + 1], point[rows + 1 :]
    below_row = np.arange(len(row) + 1)[None, :] <= np.arange(len(row))[:, None]
    below_column = np.arange(len(column) + 1)[None, :] <= np.arange(len(column))[:, None]
    row_part = (below_row - ndtr(row)[:, None])[:, :, None] * np.ones(share.shape[1])
    column_part = (below_column - ndtr(column)[:, None])[:, None, :] * np.ones((share.shape[0], 1))
    by_rho = _rho_score(rho, row, column, share > 0)[None]
    return np.concatenate([by_rho, row_part, column_part])


def _influence(share: Array, rho: float, row: Array, column: Array) -> Array:
    """Influence of each cell on the estimate, by numerical derivatives of the equations."""
    point, rows = np.concatenate([[rho], row, column]), len(row)
    slopes = np.empty((len(point), len(point)))
    for number in range(len(point)):
        moved = np.zeros(len(point))
        moved[number] = DIFFERENCE * min(1.0, 1 - rho**2)
        ahead = (_estimating(point + moved, share, rows) * share).sum((1, 2))
        behind = (_estimating(point - moved, share, rows) * share).sum((1, 2))
        slopes[:, number] = (ahead - behind) / (2 * moved[number])
    first_row = np.linalg.solve(slopes.T, np.eye(len(point))[0])
    value = -np.einsum("a,aij->ij", first_row, _estimating(point, share, rows))
    return value - (share * value).sum()


def bivariate_normal_cdf(h: ArrayLike, k: ArrayLike, rho: float) -> Array:
    """P(X ≤ h, Y ≤ k) of standard normals with correlation ``rho``, −1 < rho < 1.

    SciPy's multivariate normal integrates numerically, one corner at a time, to about 1e-6.
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


def _log_density(h: Array, k: Array, rho: float) -> Array:
    """Log of the bivariate density at the corners; −inf at infinity."""
    finite = np.isfinite(h) & np.isfinite(k)
    safe_h, safe_k = np.where(finite, h, 0.0), np.where(finite, k, 0.0)
    spread = 1 - rho**2
    exponent = (safe_h**2 - 2 * rho * safe_h * safe_k + safe_k**2) / (2 * spread)
    return np.where(finite, -exponent - np.log(2 * np.pi * np.sqrt(spread)), -np.inf)


def _log_difference(low: Array, high: Array) -> Array:
    """Log of Φ(high) − Φ(low), without loss in either tail."""
    right = low > 0
    low, high = np.where(right, -high, low), np.where(right, -low, high)
    above = log_ndtr(high)
    with np.errstate(divide="ignore"):
        return above + np.log1p(-np.exp(log_ndtr(low) - above))


def _corners(row: Array, column: Array) -> tuple[Array, Array]:
    """Corners of all cells, the outer ones at ±∞: shapes (rows + 1, columns + 1)."""
    row, column = (np.concatenate([[-np.inf], cuts, [np.inf]]) for cuts in (row, column))
    h, k = np.broadcast_arrays(row[:, None], column[None, :])
    return h, k


def log_probabilities(rho: float, row: Array, column: Array, occupied: Booleans) -> Array:
    """Log probability of each cell; −inf where it is tiny and nobody is in it."""
    h, k = _corners(row, column)
    corners = bivariate_normal_cdf(h, k, rho)
    with np.errstate(divide="ignore"):
        found = np.log(np.maximum(np.diff(np.diff(corners, axis=0), axis=1), 0.0))
    tiny = found < np.log(SMALLEST_DIFFERENCE)
    found[tiny] = -np.inf
    i, j = np.nonzero(tiny & occupied)
    if len(i):
        found[i, j] = log_integral(rho, h[i, 0], h[i + 1, 0], k[0, j], k[0, j + 1])
    return found


def log_integral(rho: float, low: Array, high: Array, below: Array, above: Array) -> Array:
    """Log probability of rectangles, over x of φ(x) times the share of y given x."""
    mode = _mode(rho, low, high, below, above)
    root, parts = np.sqrt(1 - rho**2), []
    for end in (np.maximum(low, mode - FARTHEST), np.minimum(high, mode + FARTHEST)):
        length = np.abs(end - mode)
        x = mode[:, None] + np.outer(end - mode, NODES)
        inner = _log_difference(
            (below[:, None] - rho * x) / root, (above[:, None] - rho * x) / root
        )
        with np.errstate(divide="ignore"):
            weight = np.log(length)[:, None] + LOG_WEIGHTS
        parts.append(weight - x**2 / 2 + inner)
    return logsumexp(np.hstack(parts), axis=1) - np.log(2 * np.pi) / 2


def _mode(rho: float, low: Array, high: Array, below: Array, above: Array) -> Array:
    """Where on x the bivariate density is largest within each rectangle."""
    # one side lies at its point nearest 0, the other at its best given that
    x = np.clip(0.0, low, high), np.clip(rho * np.clip(0.0, below, above), low, high)
    y = np.clip(rho * x[0], below, above), np.clip(0.0, below, above)
    first, second = (a**2 - 2 * rho * a * b + b**2 for a, b in zip(x, y, strict=True))
    return np.where(first < second, x[0], x[1])
