"""R² that does not flatter small samples, with an interval that keeps its level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.coefficients import coefficients
from cxlab.stats.drivers.replicates import CovarianceFit, Resample
from cxlab.stats.drivers.uncertainty import design_errors

Array = np.ndarray

#: Eigenvalues of a correlation matrix below this are those of exact combinations.
ALIASED = 1e-9
#: Near 0 the slope of √R² has no bound: it is taken at this part of a standard error, with
#: which planted R² of .03 and .1 are held in 94 to 97 % of studies.
NEAR_ZERO = 0.4


@dataclass(frozen=True)
class Explained:
    """Adjusted R² with its interval; NaN where there are no replicates."""

    adjusted: float
    se: float
    low: float
    high: float


def explained(
    fit: CovarianceFit,
    resample: Resample,
    *,
    n: float,
    df: float,
    stratified: bool,
    level: float,
) -> Explained:
    """Adjusted R² and its interval from a covariance matrix and its replicates.

    Parameters
    ----------
    fit : CovarianceFit
        Of the drivers and, last, the outcome.
    n : float
        Effective number of answers.
    df : float
        Degrees of freedom of the design.

    Notes
    -----
    Raw R² is biased upward, and resampling adds the bias again, so that percentiles of
    replicated R² missed the truth in up to 40 % of studies. Adjusted R² =
    1 − (1 − R²)(n − 1)/(n − p − 1) is not; its standard error is that of its influence,
    (1 − R²)(y − ȳ)²/V_y − e²/V_y, over the replicates; and the interval is taken on the
    scale of atanh √R² and cut at 0. √R² is steep near 0, so the slope is that at R² or
    .4 of a standard error, whichever is larger.
    """
    values = np.linalg.eigvalsh(to_correlation(fit.matrix)[:-1, :-1])
    left = n - int((values > ALIASED).sum()) - 1
    if left <= 0:
        return Explained(np.nan, np.nan, np.nan, np.nan)
    factor = (n - 1) / left
    slopes = coefficients(fit.matrix[None])[0]
    whole = 1 - _residual(fit.matrix[None], slopes)[0] / fit.matrix[-1, -1]
    adjusted = float(1 - (1 - whole) * factor)
    if resample.kind == "none" or adjusted > 1 or df < 1:
        return Explained(adjusted, np.nan, np.nan, np.nan)
    influence = (1 - whole) * fit.matrices[:, -1, -1] - _residual(fit.matrices, slopes)
    drawn = factor * influence[:, None] / fit.matrix[-1, -1]
    kind = resample.kind
    se = float(design_errors(np.zeros(1), drawn, kind, df=df, stratified=stratified)[0])
    used = min(df, len(drawn) - 1) if kind == "jackknife" else df
    return Explained(adjusted, se, *_interval(adjusted, se, used, level))


def _residual(matrices: Array, slopes: Array) -> Array:
    """Variance of outcome − slopes · drivers, shape (replicates,)."""
    contrast = np.append(-slopes, 1.0)
    return np.einsum("i,bij,j->b", contrast, matrices, contrast)


def _interval(adjusted: float, se: float, df: float, level: float) -> tuple[float, float]:
    nearly = 1 - 1e-12
    slope_at = min(max(adjusted, NEAR_ZERO * se, 1e-12), nearly)
    reach = stdtrit(df, (1 + level) / 2) * se
    reach = reach / (2 * np.sqrt(slope_at) * (1 - slope_at))
    centre = np.arctanh(np.sqrt(np.clip(adjusted, 0.0, nearly)))
    return float(np.tanh(max(centre - reach, 0.0)) ** 2), float(np.tanh(centre + reach) ** 2)
