"""Random-effects regression of unit means, many at once: REML, Knapp and Hartung's standard errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
#: Fisher scoring ends when τ² moves by less than this share of the means' variance.
CONVERGED, MOST_STEPS = 1e-11, 500


@dataclass(frozen=True, eq=False)
class Fit:
    """Regressions of unit means on columns.

    Attributes
    ----------
    beta : ndarray of shape (..., p)
    covariance : ndarray of shape (..., p, p)
        Knapp and Hartung's, with units − p degrees of freedom.
    tau2 : ndarray of shape (...)
        Variance between units beyond the columns.
    weights : ndarray of shape (..., units)
        1 / (τ² + sampling variance).
    """

    beta: Array
    covariance: Array
    tau2: Array
    weights: Array


def meta_regression(y: Array, variance: Array, x: Array, kept: Array | None = None) -> Fit:
    """Regress unit means on columns, with a variance between units.

    Parameters
    ----------
    y : ndarray of shape (..., units)
    variance : ndarray of shape (..., units)
        Sampling variance of each mean, 0 or more.
    x : ndarray of shape (..., units, p)
        Columns, the constant included.
    kept : ndarray of shape (..., units), optional
        1 for units that count and 0 for others; default: all.

    Notes
    -----
    Fisher scoring of the restricted likelihood, as R's metafor does: the step of τ² is
    (y'PPy − tr P) / tr PP; below 0 it stays at 0.

    References
    ----------
    Viechtbauer (2005), Journal of Educational and Behavioral Statistics 30, 261–293.
    Knapp & Hartung (2003), Statistics in Medicine 22, 2693–2710.

    Examples
    --------
    Equal sampling variances: τ² is the variance of the means, 1, less a half.

    >>> fit = meta_regression(np.array([1.0, 2, 3]), np.full(3, 0.5), np.ones((3, 1)))
    >>> fit.beta.round(6).tolist(), float(fit.tau2.round(6))
    ([2.0], 0.5)
    """
    use = np.ones_like(y) if kept is None else kept
    scale = y.var(axis=-1)
    tau2 = np.broadcast_to(scale, np.broadcast_shapes(scale.shape, use.shape[:-1])).copy()
    for _ in range(MOST_STEPS):
        weights = use / (tau2[..., None] + variance)
        bread, _, residual = _solved(y, weights, x)
        first = bread @ _crossed(weights**2, x)
        second = bread @ _crossed(weights**3, x)
        trace = weights.sum(-1) - _trace(first)
        information = (weights**2).sum(-1) - 2 * _trace(second) + _trace(first @ first)
        step = ((weights * residual) ** 2).sum(-1) - trace
        moved = np.maximum(tau2 + step / information, 0.0) - tau2
        tau2 = tau2 + moved
        if (np.abs(moved) <= CONVERGED * scale).all():
            break
    weights = use / (tau2[..., None] + variance)
    bread, beta, residual = _solved(y, weights, x)
    df = use.sum(-1) - x.shape[-1]
    spread = (weights * residual**2).sum(-1) / df
    return Fit(beta, spread[..., None, None] * bread, tau2, weights)


def _crossed(weights: Array, x: Array) -> Array:
    return np.einsum("...j,...jp,...jq->...pq", weights, x, x)


def _trace(matrix: Array) -> Array:
    return np.trace(matrix, axis1=-2, axis2=-1)


def _solved(y: Array, weights: Array, x: Array) -> tuple[Array, Array, Array]:
    bread = np.linalg.inv(_crossed(weights, x)).astype(float)
    beta = np.einsum("...pq,...j,...jq,...j->...p", bread, weights, x, y, optimize=True)
    return bread, beta, y - np.einsum("...jp,...p->...j", x, beta)


def reliability(x: Array, variance: Array, weights: Array) -> Array:
    """Share of the weighted spread of unit means that is no sampling error, 0 to 1.

    λ = 1 − Σ w(1 − w/W)v / Σ w(x − x̄)². With equal weights: 1 − mean of v / variance of x.

    Parameters
    ----------
    x, variance, weights : ndarray of shape (..., units)
        Means, their sampling variances, weights of the regression.

    References
    ----------
    Fuller (1987), Measurement Error Models, section 3.1.

    Examples
    --------
    >>> float(reliability(np.array([1.0, 2, 3]), np.full(3, 0.25), np.ones(3)))
    0.75
    """
    total = weights.sum(-1, keepdims=True)
    centred = x - (weights * x).sum(-1, keepdims=True) / total
    noise = (weights * (1 - weights / total) * variance).sum(-1)
    return np.maximum(1 - noise / (weights * centred**2).sum(-1), 0.0)
