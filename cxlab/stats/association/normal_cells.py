"""Probabilities of the cells that thresholds cut from a bivariate normal, in logs."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_ndtr, logsumexp, ndtr, owens_t

Array = NDArray[np.float64]
Booleans = NDArray[np.bool_]

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


def log_density(h: Array, k: Array, rho: float) -> Array:
    """Log of the bivariate density at the corners; −inf at infinity."""
    finite = np.isfinite(h) & np.isfinite(k)
    safe_h, safe_k = np.where(finite, h, 0.0), np.where(finite, k, 0.0)
    spread = 1 - rho**2
    exponent = (safe_h**2 - 2 * rho * safe_h * safe_k + safe_k**2) / (2 * spread)
    return np.where(finite, -exponent - np.log(2 * np.pi * np.sqrt(spread)), -np.inf)


def log_difference(low: Array, high: Array) -> Array:
    """Log of Φ(high) − Φ(low), without loss in either tail."""
    right = low > 0
    low, high = np.where(right, -high, low), np.where(right, -low, high)
    above = log_ndtr(high)
    with np.errstate(divide="ignore"):
        return above + np.log1p(-np.exp(log_ndtr(low) - above))


def _cells(corners: Array) -> Array:
    return np.diff(np.diff(corners, axis=0), axis=1)


def padded(thresholds: Array) -> Array:
    """Thresholds with −∞ and ∞ at the ends."""
    return np.concatenate([[-np.inf], thresholds, [np.inf]])


def grid(row: Array, column: Array) -> tuple[Array, Array]:
    """Corners of all cells: shapes (rows + 1, columns + 1)."""
    h, k = np.broadcast_arrays(padded(row)[:, None], padded(column)[None, :])
    return h, k


def log_probabilities(rho: float, row: Array, column: Array, occupied: Booleans) -> Array:
    """Log probability of each cell; −inf where it is tiny and nobody is in it."""
    h, k = grid(row, column)
    with np.errstate(divide="ignore"):
        found = np.log(np.maximum(_cells(bivariate_normal_cdf(h, k, rho)), 0.0))
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
        inner = log_difference((below[:, None] - rho * x) / root, (above[:, None] - rho * x) / root)
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
