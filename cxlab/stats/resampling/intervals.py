"""Intervals of replicated values and of their ranks."""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def check_level(level: float) -> None:
    """Refuse a confidence level that is not between 0 and 1."""
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, as in 0.95; got {level}.")


def percentile_interval(
    values: Array, level: float = 0.95, *, axis: int = 0
) -> tuple[Array, Array]:
    """Percentile interval of replicates.

    Parameters
    ----------
    values : ndarray
        Replicates of one or more estimates. Replicates that are not finite are set aside.
    level : float
        Coverage, between 0 and 1.
    axis : int
        Axis of the replicates.

    Returns
    -------
    low, high : ndarray
        Quantiles (1 − level)/2 and (1 + level)/2; NaN where no replicate is finite.

    Examples
    --------
    >>> low, high = percentile_interval(np.arange(101.0), level=0.5)
    >>> float(low), float(high)
    (25.0, 75.0)
    """
    check_level(level)
    values = np.asarray(values, dtype=float)
    probabilities = [(1 - level) / 2, (1 + level) / 2]
    finite = np.isfinite(values)
    if finite.all() and values.size:
        low, high = np.quantile(values, probabilities, axis=axis)
        return low, high
    masked = np.where(finite, values, np.nan)
    nothing = ~finite.any(axis=axis, keepdims=True)
    low, high = np.nanquantile(np.where(nothing, 0.0, masked), probabilities, axis=axis)
    blank = nothing.squeeze(axis)
    return np.where(blank, np.nan, low), np.where(blank, np.nan, high)


def ranks(values: Array) -> Array:
    """Ranks along the last axis, 1 for the largest; ties share the best rank.

    Examples
    --------
    >>> ranks(np.array([[0.2, 0.5, 0.2]]))
    array([[2, 1, 2]])
    """
    values = np.asarray(values, dtype=float)
    larger = values[..., None, :] > values[..., :, None]
    return 1 + larger.sum(axis=-1)


def rank_interval(values: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Interval of each estimate's rank over replicates.

    Parameters
    ----------
    values : ndarray of shape (replicates, k)
        Replicates of k estimates; replicates with a value that is not finite are set aside.
    level : float
        Coverage, between 0 and 1.

    Returns
    -------
    best, worst : ndarray of int, shape (k,)
        Ranks that were reached, 1 for the largest estimate.

    Examples
    --------
    >>> best, worst = rank_interval(np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]]))
    >>> best.tolist(), worst.tolist()
    ([1, 2, 2], [1, 3, 3])
    """
    check_level(level)
    values = np.asarray(values, dtype=float)
    kept = ranks(values[np.isfinite(values).all(axis=1)])
    if len(kept) == 0:
        raise ValueError("`values` must hold a finite replicate; got none.")
    probabilities = [(1 - level) / 2, (1 + level) / 2]
    best, worst = np.quantile(kept, probabilities, axis=0, method="inverted_cdf")
    return best.astype(int), worst.astype(int)
