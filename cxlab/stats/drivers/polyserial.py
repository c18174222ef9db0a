"""Correlation of a scored rating with a latent outcome, by maximum likelihood.

The rating is taken as normal, the outcome as cut from a normal variable; thresholds and
correlation are estimated together. `drivers` uses the shorter way (moments) by default;
this is its check, pair by pair.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

Array = np.ndarray

#: Correlations this near to 1 are not estimable.
EXTREME = 0.999
#: Mean negative log-likelihood below which every answer is foretold.
PERFECT = 0.01
SMALLEST = 1e-300


def polyserial_correlation(rating: Array, outcome: Array, weights: Array | None = None) -> float:
    """Maximum-likelihood polyserial correlation of one pair.

    Parameters
    ----------
    rating : ndarray, shape (n,)
        NaN where not rated; such rows are left out.
    outcome : ndarray, shape (n,)
        Ordered answers, 2 or more different.
    weights : ndarray, shape (n,), optional

    Returns
    -------
    float
        Between −1 and 1.

    Raises
    ------
    ValueError
        If either has one value, or the correlation is not estimable (beyond .999).

    Notes
    -----
    P(outcome ≤ k | z) = Φ((τ_k − ρz)/√(1 − ρ²)), z the standardised rating.

    References
    ----------
    Olsson, Drasgow & Dorans (1982), Psychometrika 47, 337–347.

    Examples
    --------
    >>> rating = np.array([1, 2, 2, 3, 3, 4, 4, 5, 1, 5, 3.0, 2])
    >>> outcome = np.array([0, 0, 1, 0, 1, 1, 0, 1, 0, 1, 1, 0])
    >>> round(polyserial_correlation(rating, outcome), 2)
    0.68
    """
    known = ~np.isnan(rating)
    rating, outcome = rating[known], outcome[known]
    weight = np.ones(len(rating)) if weights is None else weights[known]
    values, step = np.unique(outcome, return_inverse=True)
    mean = np.average(rating, weights=weight) if len(rating) else 0.0
    spread = np.sqrt(np.average((rating - mean) ** 2, weights=weight)) if len(rating) else 0.0
    if len(values) < 2 or spread == 0:
        raise ValueError("`rating` and `outcome` must each have 2 or more different values.")
    z = (rating - mean) / spread
    # the optimiser takes 20 MB and is seldom asked for
    from scipy.optimize import minimize

    start = _start(z, step.ravel(), weight, len(values))
    found = minimize(_loss, start, args=(z, step.ravel(), weight), method="L-BFGS-B")
    correlation = float(np.tanh(found.x[0]))
    if abs(correlation) > EXTREME or found.fun < PERFECT:
        raise ValueError(
            f"`rating` and `outcome` must not agree perfectly; got a correlation of "
            f"{correlation:.4f}, which is not estimable."
        )
    return correlation


def _start(z: Array, step: Array, weight: Array, steps: int) -> Array:
    """Moment estimates: ρ on Fisher's scale, the first threshold, logs of the gaps."""
    margin = np.bincount(step, weights=weight, minlength=steps)
    cuts = ndtri(np.cumsum(margin)[:-1] / margin.sum())
    height = (np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)).sum()
    centred = step - np.average(step, weights=weight)
    correlation = np.clip(np.average(z * centred, weights=weight) / height, -0.95, 0.95)
    return np.concatenate([[np.arctanh(correlation)], cuts[:1], np.log(np.diff(cuts))])


def _loss(parameters: Array, z: Array, step: Array, weight: Array) -> float:
    correlation = np.tanh(parameters[0])
    gaps = np.exp(parameters[2:])
    cuts = np.concatenate([[-np.inf], parameters[1] + np.append(0.0, np.cumsum(gaps)), [np.inf]])
    left = np.sqrt(1 - correlation**2)
    upper = ndtr((cuts[step + 1] - correlation * z) / left)
    lower = ndtr((cuts[step] - correlation * z) / left)
    return float(-(weight @ np.log(np.maximum(upper - lower, SMALLEST))) / weight.sum())
