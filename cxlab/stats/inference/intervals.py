"""Confidence intervals for net scores, shares and means, vectorised over groups.

Counts may be fractional: under a survey design they are effective counts.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from cxlab.stats.resampling import check_level

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]

#: Adjusted-Wald pseudo-observations: 3/4 promoter, 3/2 passive, 3/4 detractor.
PSEUDO_EXTREME = 0.75
PSEUDO_TOTAL = 3.0

#: 60 halvings of an interval of length 2 leave less than 2e-18.
BISECTIONS = 60


def normal_quantile(level: float) -> float:
    """Two-sided normal quantile: 1.96 for a level of 0.95.

    Examples
    --------
    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    return float(ndtri(0.5 + check_level(level) / 2))


def t_quantile(level: float, df: ArrayLike) -> NDArray[np.float64]:
    """Two-sided quantile of Student's t; NaN below one degree of freedom.

    Examples
    --------
    >>> t_quantile(0.95, [10, 0]).round(3).tolist()
    [2.228, nan]
    """
    df = np.asarray(df, dtype=float)
    usable = df >= 1
    return np.where(
        usable, stdtrit(np.where(usable, df, 1.0), 0.5 + check_level(level) / 2), np.nan
    )


def score_interval(
    promoters: ArrayLike, detractors: ArrayLike, n: ArrayLike, *, level: float = 0.95
) -> Limits:
    """Score interval of a net score (share of promoters less share of detractors).

    Parameters
    ----------
    promoters, detractors, n : array_like of float, shape (groups,)
        Counts, whole or effective; ``promoters + detractors <= n``.
    level : float
        Between 0 and 1.

    Returns
    -------
    (ndarray, ndarray)
        Lower and upper limits as fractions, −1 to 1; NaN where ``n`` is 0 or NaN.

    Notes
    -----
    A net score is algebraically a difference of paired proportions, with b = promoters
    and c = detractors. The limits are the δ at which
    ``|b − c − nδ| / √(n(2q̃(δ) + δ(1 − δ)))`` equals the normal quantile, q̃ being the
    maximum-likelihood share of detractors given δ. Never of zero width, never outside
    −1 to 1.

    References
    ----------
    Tango (1998), Statistics in Medicine 17, 891–908. Fagerland, Lydersen & Laake (2017),
    Statistical Analysis of Contingency Tables, chapter 8.

    Examples
    --------
    Ten promoters of ten:

    >>> low, high = score_interval([10], [0], [10])
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.445, 1.0)
    """
    b, c, n = (np.asarray(values, dtype=float) for values in (promoters, detractors, n))
    z = normal_quantile(level)
    usable = n > 0
    safe_n = np.where(usable, n, 1.0)
    estimate = np.where(usable, (b - c) / safe_n, 0.0)

    def excess(delta: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.abs(b - c - safe_n * delta)
        return distance - z * np.sqrt(_null_variance(b, c, safe_n, delta))

    low = _bisect(excess, outside=np.full(n.shape, -1.0), inside=estimate)
    high = _bisect(excess, outside=np.full(n.shape, 1.0), inside=estimate)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def score_statistic(
    promoters: ArrayLike, detractors: ArrayLike, n: ArrayLike, value: ArrayLike
) -> NDArray[np.float64]:
    """Standard errors by which a net score lies above a value, as `score_interval` has them.

    Examples
    --------
    17 promoters and 3 passives against a net score of 0.6:

    >>> round(float(score_statistic(17, 0, 20, 0.6)), 4)
    1.7678
    """
    b, c, n, value = (np.asarray(one, dtype=float) for one in (promoters, detractors, n, value))
    return _standardised(b - c - n * value, _null_variance(b, c, n, value))


def wilson_statistic(share: ArrayLike, n: ArrayLike, value: ArrayLike) -> NDArray[np.float64]:
    """Standard errors by which a share lies above a value, as `wilson_interval` has them."""
    share, n, value = (np.asarray(one, dtype=float) for one in (share, n, value))
    return _standardised(share - value, value * (1 - value) / np.where(n > 0, n, np.nan))


def _standardised(distance: Any, variance: Any) -> NDArray[np.float64]:
    """Distance over its standard error; at an end of the scale only the end itself is near."""
    spread = np.sqrt(variance)
    far = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.where(spread > 0, distance / np.where(spread > 0, spread, 1.0), far + 0 * spread)


def _null_variance(b: Any, c: Any, n: Any, delta: Any) -> NDArray[np.float64]:
    """Variance of b − c when the true difference is ``delta`` (Tango's restricted fit)."""
    # mirrored to a positive difference every term below is positive: nothing cancels
    b, c, delta = np.where(delta < 0, c, b), np.where(delta < 0, b, c), np.abs(delta)
    linear = -b - c + (2 * n - b + c) * delta
    spread = np.maximum(delta * (1 - delta), 0)
    product = c * spread
    root = np.sqrt(linear**2 + 8 * n * product)
    over = linear > 0
    share = np.where(
        over, 2 * product / np.where(over, root + linear, 1.0), (root - linear) / (4 * n)
    )
    return n * np.maximum(2 * share + spread, 0)


def _bisect(excess: Any, *, outside: NDArray, inside: NDArray) -> NDArray[np.float64]:
    """Where ``excess`` turns positive between the estimate and the end of the range."""
    inside = np.array(inside, dtype=float)
    # an estimate at the very end (all promoters) is its own limit on that side
    outside = np.where(excess(outside) > 0, outside, np.nan)
    edge = np.isnan(outside)
    ends = np.where(edge, inside, outside)
    for _ in range(BISECTIONS):
        middle = (ends + inside) / 2
        beyond = excess(middle) > 0
        ends = np.where(beyond, middle, ends)
        inside = np.where(beyond, inside, middle)
    return (ends + inside) / 2


def mean_interval(
    estimate: ArrayLike, standard_error: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> Limits:
    """Student's t interval; NaN below one degree of freedom.

    Examples
    --------
    >>> low, high = mean_interval([2.0], [0.1], [10])
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (1.777, 2.223)
    """
    estimate = np.asarray(estimate, dtype=float)
    half = t_quantile(level, df) * np.asarray(standard_error, dtype=float)
    return estimate - half, estimate + half


def wilson_interval(share: ArrayLike, n: ArrayLike, *, level: float = 0.95) -> Limits:
    """Wilson's interval of a share.

    Parameters
    ----------
    share : array_like of float
        0 to 1.
    n : array_like of float
        Answers, whole or effective.
    level : float
        Between 0 and 1.

    Returns
    -------
    (ndarray, ndarray)
        Limits from 0 to 1; NaN where ``n`` is 0 or NaN.

    References
    ----------
    Wilson (1927), JASA 22, 209–212.

    Examples
    --------
    >>> low, high = wilson_interval([0.5], [20])
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.299, 0.701)
    """
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    share, n = np.asarray(share, dtype=float), np.asarray(n, dtype=float)
    n = np.where(n > 0, n, np.nan)
    return proportion_confint(share * n, n, alpha=1 - check_level(level), method="wilson")
