"""Coefficients of the full model, their standard errors and degrees of freedom."""

from __future__ import annotations

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.importance import standardised_coefficients, variance_inflation
from cxlab.stats.drivers.replicates import CovarianceFit, Resample, unit_totals
from cxlab.stats.drivers.uncertainty import design_errors

Array = np.ndarray

#: Answers that carry a coefficient below which they bound its degrees of freedom.
#: (HC3, which errs wide by itself where rows are few; replicates).
FEW_CARRIERS = (8, 20)
#: A row this near to leverage 1 is fitted exactly, whatever it says.
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


def coefficient_errors(
    answers: Answers,
    ratings: Array,
    fit: CovarianceFit,
    replicates: Array,
    resample: Resample,
    *,
    factor: float = 1.0,
) -> tuple[Array, Array, float]:
    """Standard errors of the coefficients and degrees of freedom of their tests.

    HC3 for a simple sample without holes, otherwise from the replicates: never of one
    variance for all rows, which rejects a true null too often where noise grows away
    from the middle.

    Parameters
    ----------
    ratings : ndarray, shape (n, drivers)
        As they were fitted; NaN where not known.
    replicates : ndarray, shape (replicates, drivers)
        Coefficients in each replicate.
    factor : float
        What the outcome was multiplied by.

    Returns
    -------
    se, df : ndarray, shape (drivers,)
        NaN where a coefficient cannot be tested.
    design_df : float
        Degrees of freedom of the whole.

    References
    ----------
    MacKinnon & White (1985), Journal of Econometrics 29, 305–325. Long & Ervin (2000),
    The American Statistician 54, 217–224.
    """
    aliased = ~np.isfinite(variance_inflation(to_correlation(fit.matrix)))
    known = ~np.isnan(ratings)
    if answers.simple and known.all():
        pull, leverage = _least_squares(ratings)
        se = _hc3(pull, leverage, ratings, factor * answers.outcome)
        design_df, few = float(answers.n - round(leverage.sum())), FEW_CARRIERS[0]
    else:
        pull = np.where(known, ratings - fit.mean[:-1], 0.0) @ _precision(fit.matrix) * known
        se, design_df = _replicated_errors(answers, fit, replicates, resample)
        few = FEW_CARRIERS[1]
    carried = _carriers(pull, answers)
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
    untold = (np.abs(pull[exact]) > FITTED * np.abs(pull).max(axis=0)).any(axis=0)
    return np.where(untold, np.nan, se)


def _precision(matrix: Array) -> Array:
    scale = np.sqrt(np.diagonal(matrix)[:-1])
    scale = np.where(scale > 0, scale, 1.0)
    correlation = matrix[:-1, :-1] / np.outer(scale, scale)
    return np.asarray(np.linalg.pinv(correlation, rcond=1e-9, hermitian=True)) / np.outer(
        scale, scale
    )


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


def _carriers(pull: Array, answers: Answers) -> Array:
    """Sampling units that carry each coefficient, less one: (Σ q)² ÷ Σ q² − 1, q = Σ pull².

    Where 3 of 300 answers differ from the rest, about 2: the variance is known as badly
    as from 3 answers.
    """
    squares = (pull * answers.weights[:, None]) ** 2
    held = unit_totals(squares, answers.unit, answers.design.n_clusters)
    held = held / np.maximum(held.max(axis=0), np.finfo(float).tiny)
    return np.asarray(held.sum(axis=0) ** 2 / np.maximum((held**2).sum(axis=0), 1.0) - 1)
