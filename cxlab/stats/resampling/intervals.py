"""Intervals of replicated values and of their ranks."""

from __future__ import annotations

from numbers import Real

import numpy as np

Array = np.ndarray


def check_level(level: float) -> float:
    """The level itself, when it is a probability strictly between 0 and 1."""
    number = isinstance(level, Real) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, such as 0.95; got {level}.")
    return float(level)


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


#: A difference that varies less than this share of its two sides does not vary.
NO_SPREAD = 1e-9


def rank_intervals(
    estimates: Array, replicates: Array, level: float = 0.95, *, joint: bool = False
) -> tuple[Array, Array]:
    """Ranks that the data allow each estimate, from simultaneous tests of differences.

    Parameters
    ----------
    estimates : ndarray of shape (k,)
        Finite estimates, the largest ranked 1.
    replicates : ndarray of shape (replicates, k)
        Bootstrap replicates of them. Those with a value that is not finite are set aside.
    level : float
        Coverage, between 0 and 1.
    joint : bool
        False: each interval holds its true rank with the stated probability, one item read
        on its own. True: all intervals hold theirs at once, for statements about the whole
        list ("the best three are …").

    Returns
    -------
    low, high : ndarray of int, shape (k,)
        Best and worst rank, from 1 to k.

    Raises
    ------
    ValueError
        If estimates or all replicates are not finite, or their number differs.

    Notes
    -----
    Differences Δ are studentised by the spread of their replicates. The critical value is
    the quantile of max |Δ* − Δ|/se over the item's comparisons with all others (joint: over
    all pairs). Pairs beyond it are distinguished, and the quantile is taken again over the rest
    until none is added. The best rank is 1 + the number surely larger, the worst k − the
    number surely smaller. Quantiles of replicated ranks are no such interval: where all are
    tied, a replicate still puts one of them first and another last. A difference that is
    the same in every replicate has no known spread and distinguishes nothing.

    References
    ----------
    Mogstad, Romano, Shaikh & Wilhelm (2024), Review of Economic Studies 91, 476–518.
    Romano & Wolf (2005), JASA 100, 94–108.

    Examples
    --------
    >>> draws = np.random.default_rng(1).normal([9.0, 2.1, 2.0], 0.5, size=(500, 3))
    >>> low, high = rank_intervals(np.array([9.0, 2.1, 2.0]), draws)
    >>> low.tolist(), high.tolist()
    ([1, 2, 2], [1, 3, 3])
    """
    check_level(level)
    estimates, replicates = _checked_replicates(estimates, replicates)
    ratio, deviation = _studentised(estimates, replicates)
    if joint:
        distinct = _distinguished(ratio.ravel(), deviation.reshape(len(deviation), -1), level)
        distinct = distinct.reshape(ratio.shape)
    else:
        each = range(len(estimates))
        distinct = np.array(
            [_distinguished(ratio[item], deviation[:, item], level) for item in each]
        )
    surely_larger = (distinct & (ratio < 0)).sum(axis=1)
    surely_smaller = (distinct & (ratio > 0)).sum(axis=1)
    return 1 + surely_larger, len(estimates) - surely_smaller


def _checked_replicates(estimates: Array, replicates: Array) -> tuple[Array, Array]:
    estimates = np.asarray(estimates, dtype=float)
    replicates = np.asarray(replicates, dtype=float)
    if estimates.ndim != 1 or replicates.shape[1:] != estimates.shape:
        raise ValueError(
            "`replicates` must have one column an estimate; "
            f"got shape {replicates.shape} for {estimates.size} estimates."
        )
    finite = replicates[np.isfinite(replicates).all(axis=1)]
    if len(finite) < 2 or not np.isfinite(estimates).all():
        raise ValueError(
            "`estimates` and at least 2 `replicates` must be finite; "
            f"got {len(finite)} finite replicates. Leave out estimates that are not known."
        )
    return estimates, finite


def _studentised(estimates: Array, replicates: Array) -> tuple[Array, Array]:
    """Each difference over its spread, (k, k), and its replicates' deviations, (B, k, k)."""
    difference = estimates[:, None] - estimates
    replicated = replicates[:, :, None] - replicates[:, None, :]
    se = replicated.std(axis=0, ddof=1)
    spread = replicates.std(axis=0, ddof=1)
    varies = se > NO_SPREAD * np.maximum(spread[:, None], spread)
    # an unknown spread must neither distinguish a pair nor widen the others' critical value
    se = np.where(varies, se, np.inf)
    return difference / se, np.abs(replicated - difference) / se


def _distinguished(ratio: Array, deviation: Array, level: float) -> Array:
    """Which differences the step-down maximum test rejects, of one family."""
    distinct = np.zeros(len(ratio), dtype=bool)
    while not distinct.all():
        largest = deviation[:, ~distinct].max(axis=1)
        critical = np.quantile(largest, level, method="inverted_cdf")
        more = ~distinct & (np.abs(ratio) > critical)
        if not more.any():
            break
        distinct |= more
    return distinct
