"""The first estimand: importance *among users*, as if everyone used every touchpoint."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.coefficients import coefficient_errors, coefficients
from cxlab.stats.drivers.eligible import those_who_can
from cxlab.stats.drivers.importance import variance_inflation
from cxlab.stats.drivers.outcomes import latent_factors, latent_fit
from cxlab.stats.drivers.replicates import (
    CovarianceFit,
    Resample,
    fit_covariance,
    replicate_totals,
)
from cxlab.stats.drivers.shares import Importance, importance
from cxlab.stats.drivers.uncertainty import t_test

Array = np.ndarray

#: Answers of segments that can use everything below which all are taken, with a warning.
FEWEST = 30


@dataclass(frozen=True)
class Options:
    """How a driver analysis is made; see `cxlab.drivers`."""

    method: str = "lmg"
    missing: str = "em"
    outcome_scale: str = "continuous"
    adjusted: bool = False
    level: float = 0.95
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
    coefficients, coefficient_se, coefficient_df, p_values : ndarray, shape (drivers,)
        Of the model with all drivers, per point of the rating.
    coefficient_replicates : ndarray, shape (replicates, drivers)
    df : float
        Degrees of freedom of the tests.
    n_effective : float
        What adjusted R² takes as the number of answers.
    missing : str
        Treatment of blanks.
    notes : tuple of str
        Who they are, where not everyone.
    """

    answers: Answers
    fit: CovarianceFit
    importance: Importance
    coefficients: Array
    coefficient_replicates: Array
    coefficient_se: Array
    coefficient_df: Array
    p_values: Array
    df: float
    n_effective: float
    missing: str
    notes: tuple[str, ...] = ()

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
    able, notes = those_who_can(answers, max(FEWEST, len(answers.names) + 2))
    answers, unit = answers.rows(able), unit[able]
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
    factor = 1.0
    if options.latent:
        factor, factors = latent_factors(answers.outcome, answers.weights, unit, resample)
        fit = latent_fit(fit, factor, factors)
    n_effective = effective_answers(answers.weights, ratings, options.missing)
    shared = importance(
        fit.matrix,
        fit.matrices,
        method=options.method,
        n=n_effective if options.adjusted else None,
    )
    slopes = coefficients(fit.matrix[None])[0]
    slope_replicates = coefficients(fit.matrices)
    tested, fitted = answers, ratings
    if options.missing == "complete":
        whole = ~np.isnan(ratings).any(axis=1)
        tested, fitted = answers.rows(whole), ratings[whole]
    se, dfs, df = coefficient_errors(tested, fitted, fit, slope_replicates, resample, factor=factor)
    return Users(
        answers,
        fit,
        shared,
        slopes,
        slope_replicates,
        se,
        dfs,
        t_test(slopes, se, dfs),
        df,
        n_effective,
        options.missing,
        notes,
    )


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
