"""Coefficients of the full model with their tests, and adjusted R² with its interval."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from cxlab.core.engines import PART_ROWS
from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.covariances import CovarianceFit
from cxlab.stats.drivers.importance import explained_variance, standardised_coefficients
from cxlab.stats.drivers.replicates import Resample, design_errors, totals_in_parts
from cxlab.stats.drivers.subsets import ALIASED
from cxlab.stats.inference import r_squared_interval

Array = np.ndarray

#: Effective number of answers behind a coefficient below which it bounds the degrees of
#: freedom (with HC3, which errs on the wide side where rows are few; with replicates).
FEW_CARRIERS = (8, 20)
#: A row whose leverage is this near to 1 is fitted exactly, whatever its outcome.
FITTED = 1e-9


def coefficients(matrices: Array) -> Array:
    """Regression coefficients of the last column on the others, shape (replicates, drivers).

    The shortest solution (in standard deviations) where drivers are exact combinations;
    0 for a driver that does not vary.
    """
    if len(matrices) == 0:
        return np.empty((0, matrices.shape[-1] - 1))
    spread = np.sqrt(np.maximum(np.einsum("bii->bi", matrices), 0.0))
    standardised = standardised_coefficients(to_correlation(matrices))
    own = spread[:, :-1]
    per_point = np.divide(spread[:, -1:], own, out=np.zeros_like(own), where=own > 0)
    return np.asarray(standardised * per_point)


def variance_inflation(correlation: Array) -> Array:
    """1 / (1 − R²) of each driver on the others, shape (drivers,); inf where aliased.

    From correlations, because under EM there are no complete rows for statsmodels to take.
    """
    drivers = correlation[:-1, :-1]
    count = len(drivers)
    left = np.empty(count)
    for column in range(count):
        others = np.delete(np.arange(count), column)
        block = drivers[np.ix_(others, others)][None]
        left[column] = 1 - explained_variance(block, drivers[others, column][None])[0]
    aliased = left <= ALIASED * 10
    return np.where(aliased, np.inf, 1.0 / np.where(aliased, 1.0, left))


def coefficient_errors(
    answers: Answers,
    ratings: Array,
    fit: CovarianceFit,
    replicates: Array,
    resample: Resample,
) -> tuple[Array, Array, float]:
    """Standard errors of the coefficients, degrees of freedom of their tests and of the sample.

    HC3 for a simple sample without missing ratings (MacKinnon & White 1985, J. Econometrics 29,
    305–325; equal to statsmodels' but where a row is fitted exactly), otherwise from the
    replicates: never with one variance for all rows, which rejects a true null too often where
    noise grows away from the middle. NaN where a coefficient cannot be tested.
    """
    aliased = ~np.isfinite(variance_inflation(to_correlation(fit.matrix)))
    if answers.simple and not np.isnan(ratings).any():
        ratings = ratings.astype(float)
        pull, leverage = _least_squares(ratings)
        se = _hc3(pull, leverage, ratings, fit.factor * answers.outcome)
        design_df, few = float(answers.n - round(leverage.sum())), FEW_CARRIERS[0]
        pull /= np.maximum(np.abs(pull).max(axis=0), np.finfo(float).tiny)
        carried = _carriers(lambda part: pull[part], answers)
    else:
        precision = _precision(fit.matrix) * np.sqrt(np.diagonal(fit.matrix)[:-1])
        se, design_df = _replicated_errors(answers, fit, replicates, resample)
        few = FEW_CARRIERS[1]
        carried = _carriers(lambda part: _pull(ratings[part], fit, precision), answers)
    df = np.where(carried < few, np.minimum(carried, design_df), design_df)
    testable = ~aliased & ~(carried < 1)
    return np.where(testable, se, np.nan), np.where(testable, df, np.nan), design_df


def _least_squares(ratings: Array) -> tuple[Array, Array]:
    """What each row's outcome adds to each coefficient, shape (n, drivers); its leverage."""
    n = len(ratings)
    scale = ratings.std(axis=0)
    scale = np.where(scale > 0, scale, 1.0)
    left, sizes, right = np.linalg.svd((ratings - ratings.mean(axis=0)) / scale, False)
    usable = sizes**2 > 1e-9 * n
    left, sizes, right = left[:, usable], sizes[usable], right[usable]
    return left / sizes @ right / scale, 1 / n + (left**2).sum(axis=1)


def _hc3(pull: Array, leverage: Array, ratings: Array, outcome: Array) -> Array:
    """√Σ (pull × residual ÷ (1 − leverage))²; NaN where a row that is fitted exactly pulls."""
    about = outcome - outcome.mean()
    residual = about - (ratings - ratings.mean(axis=0)) @ (pull.T @ about)
    left = 1 - leverage
    exact = left < FITTED
    size = np.divide(residual, left, out=np.zeros_like(residual), where=~exact)
    se = np.sqrt(((pull * size[:, None]) ** 2).sum(axis=0))
    unknown = (np.abs(pull[exact]) > FITTED * np.abs(pull).max(axis=0)).any(axis=0)
    return np.where(unknown, np.nan, se)


def _precision(matrix: Array) -> Array:
    """Inverse of the drivers' covariances; the pseudo-inverse where they are singular."""
    scale = np.sqrt(np.diagonal(matrix)[:-1])
    scale = np.where(scale > 0, scale, 1.0)
    correlation = matrix[:-1, :-1] / np.outer(scale, scale)
    inverse = np.linalg.pinv(correlation, rcond=1e-9, hermitian=True)
    return np.asarray(inverse) / np.outer(scale, scale)


def _replicated_errors(
    answers: Answers, fit: CovarianceFit, replicates: Array, resample: Resample
) -> tuple[Array, float]:
    df = float(answers.degrees_of_freedom())
    values = coefficients(fit.matrix[None])[0]
    if resample.kind == "none":
        return np.full(len(values), np.nan), df
    stratified = answers.design.stratified
    se = design_errors(values, replicates, resample.kind, df=df, stratified=stratified)
    return se, min(df, len(replicates) - 1.0) if resample.kind == "jackknife" else df


def _pull(ratings: Array, fit: CovarianceFit, precision: Array) -> Array:
    known = ~np.isnan(ratings)
    return np.asarray(np.where(known, ratings - fit.mean[:-1], 0.0) @ precision * known)


def _carriers(pull: Callable[[slice], Array], answers: Answers) -> Array:
    """Effective number of sampling units behind each coefficient, less one.

    (Σ q)² ÷ Σ q² − 1 with q = Σ pull². Where 3 of 300 answers differ from the rest, about 2:
    the variance is known as badly as from 3 answers.
    """
    weights = answers.weights
    first, second = np.zeros(()), np.zeros(())
    for held in _by_cluster(lambda part: (pull(part) * weights[part, None]) ** 2, answers):
        first, second = first + held.sum(axis=0), second + (held**2).sum(axis=0)
    return np.asarray(first**2 / np.maximum(second, np.finfo(float).tiny) - 1)


def _by_cluster(table: Callable[[slice], Array], answers: Answers) -> Iterator[Array]:
    """Sums of whole clusters, some at a time where each row is one."""
    if len(answers.clusters) < answers.n:
        yield totals_in_parts(table, answers.unit, answers.design.n_clusters)
        return
    for start in range(0, answers.n, PART_ROWS):
        yield table(slice(start, start + PART_ROWS))


def adjusted_r_squared(
    fit: CovarianceFit, resample: Resample, *, n: float, df: float, stratified: bool, level: float
) -> dict[str, float]:
    """Adjusted R² of n effective answers, 1 − (1 − R²)(n − 1)/(n − p − 1), with its interval.

    Raw R² is biased upward, and the bootstrap adds the bias again, so that percentiles of
    replicated R² missed the truth in up to 40 % of studies. The standard error is that of its
    influence, (1 − R²)(y − ȳ)²/V_y − e²/V_y, over the replicates; the interval is that of
    `cxlab.stats.inference.r_squared_interval`.
    """
    result = dict.fromkeys(("adjusted_r_squared", "se", "ci_low", "ci_high"), np.nan)
    values = np.linalg.eigvalsh(to_correlation(fit.matrix)[:-1, :-1])
    left = n - int((values > ALIASED).sum()) - 1
    if left <= 0:
        return result
    factor = (n - 1) / left
    slopes = coefficients(fit.matrix[None])[0]
    whole = 1 - _residual(fit.matrix[None], slopes)[0] / fit.matrix[-1, -1]
    adjusted = float(1 - (1 - whole) * factor)
    result["adjusted_r_squared"] = adjusted
    if resample.kind == "none" or adjusted > 1 or df < 1:
        return result
    influence = (1 - whole) * fit.matrices[:, -1, -1] - _residual(fit.matrices, slopes)
    drawn = factor * influence[:, None] / fit.matrix[-1, -1]
    kind = resample.kind
    se = float(design_errors(np.zeros(1), drawn, kind, df=df, stratified=stratified)[0])
    used = min(df, len(drawn) - 1) if kind == "jackknife" else df
    low, high = r_squared_interval(adjusted, se, used, level)
    return result | {"se": se, "ci_low": low, "ci_high": high}


def _residual(matrices: Array, slopes: Array) -> Array:
    """Variance of outcome − slopes · drivers, shape (replicates,)."""
    contrast = np.append(-slopes, 1.0)
    return np.einsum("i,bij,j->b", contrast, matrices, contrast)
