"""The first estimand: importance *among users*, as if everyone used every touchpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.importance import standardised_coefficients, variance_inflation
from cxlab.stats.drivers.outcomes import latent_factors, latent_fit
from cxlab.stats.drivers.replicates import (
    CovarianceFit,
    Resample,
    fit_covariance,
    replicate_totals,
)
from cxlab.stats.drivers.shares import Importance, importance
from cxlab.stats.drivers.uncertainty import standard_errors, t_test
from cxlab.stats.moments import to_correlation

Array = np.ndarray


@dataclass(frozen=True)
class Options:
    """How a driver analysis is made; see `cxlab.drivers`."""

    method: str = "lmg"
    missing: str = "em"
    outcome_scale: str = "continuous"
    adjusted: bool = False
    level: float = 0.95
    max_exact: int = 25
    full_replicates: int = 0

    @property
    def latent(self) -> bool:
        """Whether the outcome is latent."""
        return self.outcome_scale in ("ordinal", "binary")


@dataclass(frozen=True, eq=False)
class Users:
    """Estimates among users, with replicates; arrays over drivers.

    Attributes
    ----------
    answers : Answers
    fit : CovarianceFit
        Of the drivers and, last, the outcome.
    importance : Importance
    coefficients, coefficient_se, p_values : ndarray, shape (drivers,)
        Of the model with all drivers, per point of the rating.
    coefficient_replicates : ndarray, shape (replicates, drivers)
    df : float
        Degrees of freedom of the tests.
    n_effective : float
        What adjusted R² takes as the number of answers.
    missing : str
        Treatment of blanks.
    """

    answers: Answers
    fit: CovarianceFit
    importance: Importance
    coefficients: Array
    coefficient_replicates: Array
    coefficient_se: Array
    p_values: Array
    df: float
    n_effective: float
    missing: str

    @property
    def correlations(self) -> Array:
        """Correlation of each driver with the outcome."""
        return np.asarray(to_correlation(self.fit.matrix)[:-1, -1])

    @property
    def inflation(self) -> Array:
        """Variance inflation factor of each driver; inf for exact combinations."""
        return variance_inflation(to_correlation(self.fit.matrix))


def among_users(answers: Answers, unit: Array, resample: Resample, options: Options) -> Users:
    """Importance, coefficients and tests from the covariance of ratings and outcome."""
    ratings = _without_dead(answers.ratings)
    _check_rows(answers, ratings, options.missing)
    rows = np.column_stack([ratings, answers.outcome])
    fit = fit_covariance(
        (*answers.names, answers.outcome_name),
        rows,
        answers.weights,
        unit,
        resample,
        missing=options.missing,
        full_replicates=options.full_replicates,
    )
    if options.latent:
        fit = latent_fit(fit, *latent_factors(answers.outcome, answers.weights, unit, resample))
    n_effective = effective_answers(answers.weights, ratings, options.missing)
    shared = importance(
        fit.matrix,
        fit.matrices,
        method=options.method,
        n=n_effective if options.adjusted else None,
        max_exact=options.max_exact,
    )
    slopes = coefficients(fit.matrix[None])[0]
    slope_replicates = coefficients(fit.matrices)
    se, df = _coefficient_errors(answers, fit, slopes, slope_replicates, resample)
    return Users(
        answers,
        fit,
        shared,
        slopes,
        slope_replicates,
        se,
        t_test(slopes, se, df),
        df,
        n_effective,
        options.missing,
    )


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


def effective_answers(weights: Array, ratings: Array, missing: str) -> float:
    """Answers behind adjusted R²: Kish's effective number × the mean share of known ratings."""
    known = ~np.isnan(ratings)
    if missing == "complete":
        weights = weights[known.all(axis=1)]
        return float(weights.sum() ** 2 / (weights**2).sum())
    return float(weights.sum() ** 2 / (weights**2).sum() * known.mean())


def dead_drivers(ratings: Array) -> Array:
    """Drivers with fewer than two answers, or one answer always."""
    seen = (~np.isnan(ratings)).sum(axis=0)
    low = np.where(np.isnan(ratings), np.inf, ratings).min(axis=0, initial=np.inf)
    high = np.where(np.isnan(ratings), -np.inf, ratings).max(axis=0, initial=-np.inf)
    return np.asarray((seen < 2) | (low >= high))


def _without_dead(ratings: Array) -> Array:
    """A driver that says nothing becomes a constant: importance 0, and no hole."""
    return np.where(dead_drivers(ratings), 0.0, ratings)


def _check_rows(answers: Answers, ratings: Array, missing: str) -> None:
    n = answers.n
    if missing == "complete":
        n = int((~np.isnan(ratings)).all(axis=1).sum())
    if n > ratings.shape[1] + 1:
        return
    kind = "rows without a hole" if missing == "complete" else "rows with an outcome"
    raise ValueError(
        f"`drivers` must number fewer than the answers less one; got {ratings.shape[1]} drivers "
        f"and {n} {kind}. Take fewer drivers or more answers."
    )


def _coefficient_errors(
    answers: Answers, fit: CovarianceFit, slopes: Array, replicates: Array, resample: Resample
) -> tuple[Array, float]:
    """Standard errors of the coefficients and their degrees of freedom.

    Least squares for a simple sample without holes; otherwise from the replicates, with
    the degrees of freedom of the design.
    """
    whole = fit.n_complete == answers.n
    aliased = ~np.isfinite(variance_inflation(to_correlation(fit.matrix)))
    if answers.simple and whole:
        se, df = _least_squares_errors(fit.matrix, answers.n, aliased)
    elif resample.kind == "jackknife":
        blocks = len(replicates)
        squares = ((replicates - slopes) ** 2).sum(axis=0)
        df = min(answers.degrees_of_freedom(), blocks - 1)
        se = np.sqrt((blocks - 1) / blocks * squares)
    elif resample.kind == "bootstrap":
        df = answers.degrees_of_freedom()
        # n draws from n units spread by (n − 1)/n too little; Rao–Wu's n − 1 don't
        small = 1.0 if answers.design.stratified else np.sqrt((df + 1) / max(df, 1))
        se = standard_errors(replicates) * small
    else:
        df, se = answers.degrees_of_freedom(), np.full(len(slopes), np.nan)
    return np.where(aliased, np.nan, se), float(df)


def _least_squares_errors(matrix: Array, n: int, aliased: Array) -> tuple[Array, int]:
    drivers, outcome = matrix[:-1, :-1], matrix[:-1, -1]
    kept = np.flatnonzero(~aliased & (np.diagonal(drivers) > 0))
    spread = np.sqrt(np.diagonal(drivers))
    scale = np.where(spread > 0, spread, 1.0)
    correlation = drivers / np.outer(scale, scale)
    inverse = np.diagonal(np.linalg.pinv(correlation, rcond=1e-9, hermitian=True)) / scale**2
    slopes = coefficients(matrix[None])[0]
    rank = int((np.linalg.eigvalsh(correlation) > 1e-9).sum())
    residual = max(matrix[-1, -1] - slopes @ outcome, 0.0) * (n - 1) / (n - rank - 1)
    se = np.full(len(drivers), np.nan)
    se[kept] = np.sqrt(residual * inverse[kept] / (n - 1))
    return se, n - rank - 1


def performance(
    answers: Answers, unit: Array, resample: Resample, top_from: Array
) -> dict[str, tuple[Array, Array]]:
    """Mean, top box and reach of each driver, with replicates.

    Returns
    -------
    dict of str to (estimate, replicates)
        ``mean`` and ``top_box`` among those who rated it (top box a share), ``reach``
        among those whose use is known (a share).
    """
    known = ~np.isnan(answers.ratings)
    ratings = np.where(known, answers.ratings, 0.0)
    told = ~np.isnan(answers.used)
    weight = answers.weights[:, None]
    columns = [known * weight, ratings * weight, (known & (ratings >= top_from)) * weight]
    columns += [told * weight, np.where(told, answers.used, 0.0) * weight]
    table = np.hstack(columns)
    drawn = replicate_totals(table, unit, resample)
    pieces = np.vstack([table.sum(axis=0), drawn]).reshape(len(drawn) + 1, 5, -1)
    rated, total, top, asked, users = (pieces[:, k] for k in range(5))
    ratios = {"mean": (total, rated), "top_box": (top, rated), "reach": (users, asked)}
    result = {}
    for name, (part, whole) in ratios.items():
        ratio = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
        result[name] = (ratio[0], ratio[1:])
    return result
