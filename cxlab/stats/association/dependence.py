"""Intervals and tests of correlations, and corrections that belong to sensitivity only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr

from cxlab.stats.inference import check_level, t_quantile

Array = NDArray[np.float64]

#: Beyond this a correlation is ±1 up to rounding and its spread is unknown.
PERFECT = 1 - 1e-12


def fisher_interval(r: ArrayLike, n: ArrayLike, *, level: float = 0.95) -> tuple[Array, Array]:
    """Fisher's interval of Pearson's r: simple random sample, bivariate normal.

    Parameters
    ----------
    r : array_like of float
        −1 to 1.
    n : array_like of float
        Pairs; below 4 there is no interval (NaN).
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : ndarray of float

    Notes
    -----
    ``tanh(atanh r ± z/√(n − 3))``. Ratings are not normal: `correlation_interval` with an
    influence-function standard error is what the touchpoint tables use.

    References
    ----------
    Fisher (1921), Metron 1, 3–32.

    Examples
    --------
    >>> low, high = fisher_interval(0.5, 50)
    >>> round(float(low), 3), round(float(high), 3)
    (0.257, 0.683)
    """
    r, n = np.asarray(r, dtype=float), np.asarray(n, dtype=float)
    spread = np.sqrt(np.where(n > 3, n - 3, np.nan))
    half = float(ndtri(0.5 + check_level(level) / 2)) / spread
    with np.errstate(divide="ignore"):
        centre = np.arctanh(np.clip(r, -1, 1))
    return np.tanh(centre - half), np.tanh(centre + half)


def correlation_interval(
    estimate: ArrayLike, se: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> tuple[Array, Array]:
    """Interval of any correlation from its standard error, never outside −1 to 1.

    Parameters
    ----------
    estimate, se, df : array_like of float
        Coefficient, its standard error, and the degrees of freedom; below 1 there is no
        interval (NaN).
    level : float
        Between 0 and 1.

    Returns
    -------
    low, high : ndarray of float

    Notes
    -----
    Student's t interval of atanh r, whose standard error is se/(1 − r²), taken back. A
    coefficient of ±1 has none: answers that all agree do not tell how far others would stray.

    Examples
    --------
    >>> low, high = correlation_interval(0.5, 0.1, 100)
    >>> round(float(low), 3), round(float(high), 3)
    (0.277, 0.672)
    """
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    perfect = np.abs(estimate) >= PERFECT
    inner = np.where(perfect, np.nan, estimate)
    half = t_quantile(level, df) * se / (1 - inner**2)
    return np.tanh(np.arctanh(inner) - half), np.tanh(np.arctanh(inner) + half)


def correlation_p_value(estimate: ArrayLike, se: ArrayLike, df: ArrayLike) -> Array:
    """Two-sided p-value of no correlation, in agreement with `correlation_interval`.

    Examples
    --------
    >>> round(float(correlation_p_value(0.5, 0.1, 100)), 5)
    8e-05
    """
    estimate, se = np.asarray(estimate, dtype=float), np.asarray(se, dtype=float)
    df = np.asarray(df, dtype=float)
    perfect = np.abs(estimate) >= PERFECT
    inner = np.where(perfect, np.nan, estimate)
    spread = np.where(se > 0, se, np.nan) / (1 - inner**2)
    value = 2 * stdtr(np.where(df >= 1, df, np.nan), -np.abs(np.arctanh(inner) / spread))
    return np.asarray(value)


def correct_for_attenuation(r: float, reliability_x: float, reliability_y: float) -> float:
    """Correlation if both sides were measured without error. Sensitivity only.

    Parameters
    ----------
    r : float
    reliability_x, reliability_y : float
        Over 0, at most 1.

    Returns
    -------
    float
        ``r/√(r_xx r_yy)``; may pass 1 where the reliabilities are too low to be true.

    References
    ----------
    Spearman (1904), American Journal of Psychology 15, 72–101.

    Examples
    --------
    >>> round(correct_for_attenuation(0.3, 0.8, 0.7), 6)
    0.400892
    """
    for name, value in {
        "reliability_x": reliability_x,
        "reliability_y": reliability_y,
    }.items():
        if not 0 < value <= 1:
            raise ValueError(f"`{name}` must be over 0 and at most 1; got {value}.")
    return float(r / np.sqrt(reliability_x * reliability_y))


def correct_for_range_restriction(r: float, sd_ratio: float) -> float:
    """Correlation if the touchpoint's scores spread as widely as elsewhere. Sensitivity only.

    Parameters
    ----------
    r : float
        Correlation in the restricted group.
    sd_ratio : float
        Standard deviation in the unrestricted group over that in the restricted one.

    Returns
    -------
    float

    Notes
    -----
    ``r u / √(1 + r²(u² − 1))``, u the ratio (Thorndike's case 2: selection on x itself).

    References
    ----------
    Thorndike (1949), Personnel Selection.

    Examples
    --------
    >>> round(correct_for_range_restriction(0.3, 1.5), 4)
    0.4266
    """
    if not sd_ratio > 0:
        raise ValueError(f"`sd_ratio` must be over 0; got {sd_ratio}.")
    return float(r * sd_ratio / np.sqrt(1 + r**2 * (sd_ratio**2 - 1)))
