"""The second estimand: importance *reach-adjusted*, in the population as it uses things.

For driver j, V says who used it (0/1) and Z = V(X − c), c the mean among users, how good
it was; Z is 0 where it was never used. The driver is the pair {V, Z}: LMG of the R² of
the outcome on all pairs. Presence is the R² of all V, quality what all Z add to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.outcomes import latent_factors, latent_fit
from cxlab.stats.drivers.replicates import CovarianceFit, Resample, fit_covariance
from cxlab.stats.drivers.shares import Importance, importance
from cxlab.stats.drivers.subsets import partial_out
from cxlab.stats.drivers.users import Options, effective_answers

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Reach:
    """Reach-adjusted importance with its two parts; arrays over drivers.

    Attributes
    ----------
    importance : Importance
        Of the pairs.
    presence, quality : Importance
        Of having used it; of how good it was, given who used what. Their R² add up.
    fit : CovarianceFit
        Of V, Z and, last, the outcome.
    columns : list of list of int
        Columns of each driver in ``fit``; none for a driver that nobody used.
    n_effective : float
        What adjusted R² takes as the number of answers.
    """

    importance: Importance
    presence: Importance
    quality: Importance
    fit: CovarianceFit
    columns: list[list[int]]
    n_effective: float


def reach_adjusted(answers: Answers, unit: Array, resample: Resample, options: Options) -> Reach:
    """Importance of the pairs {used, how good}, with presence and quality."""
    table, columns, is_use = use_and_quality(answers)
    missing = "em" if options.missing == "complete" else options.missing
    names = tuple(f"column {j}" for j in range(table.shape[1])) + (answers.outcome_name,)
    fit = fit_covariance(
        names,
        np.column_stack([table, answers.outcome]),
        answers.weights,
        unit,
        resample,
        missing=missing,
    )
    if options.latent:
        fit = latent_fit(fit, *latent_factors(answers.outcome, answers.weights, unit, resample))
    effective = effective_answers(answers.weights, table, missing)
    n = effective if options.adjusted else None
    whole = importance(fit.matrix, fit.matrices, players=columns, n=n)
    presence, quality = _parts(fit, columns, is_use, n)
    return Reach(whole, presence, quality, fit, columns, effective)


def use_and_quality(answers: Answers) -> tuple[Array, list[list[int]], Array]:
    """Columns V and Z of every driver.

    Returns
    -------
    table : ndarray, shape (n, columns)
        NaN where neither use nor rating is known.
    columns : list of list of int
        Columns of each driver: V, if use varies, then Z, if it varies.
    is_use : ndarray of bool, shape (columns,)
    """
    parts: list[Array] = []
    columns: list[list[int]] = []
    is_use: list[bool] = []
    for rating, used in zip(answers.ratings.T, answers.used.T, strict=True):
        mine: list[int] = []
        for part, flag in _pair(rating, used, answers.weights):
            mine.append(len(parts))
            parts.append(part)
            is_use.append(flag)
        columns.append(mine)
    return np.column_stack(parts), columns, np.array(is_use)


def _pair(rating: Array, used: Array, weights: Array) -> list[tuple[Array, bool]]:
    rated = ~np.isnan(rating)
    if not rated.any():
        # used by nobody who rated it: without a rating there is nothing to be important
        return []
    centre = np.average(rating[rated], weights=weights[rated])
    quality = np.where(rated, rating - centre, np.where(used == 0, 0.0, np.nan))
    pair = [(used, True), (quality, False)]
    return [(part, flag) for part, flag in pair if np.nanmax(part) > np.nanmin(part)]


def _parts(
    fit: CovarianceFit, columns: list[list[int]], is_use: Array, n: float | None
) -> tuple[Importance, Importance]:
    correlation = to_correlation(fit.matrix)[None]
    correlations = to_correlation(fit.matrices)
    uses, qualities = np.flatnonzero(is_use), np.flatnonzero(~is_use)
    outcome = len(is_use)
    kept = [*uses.tolist(), outcome]
    presence = importance(
        correlation[0][np.ix_(kept, kept)],
        correlations[:, kept][:, :, kept],
        players=_positions(columns, uses),
        n=n,
    )
    quality = importance(
        partial_out(correlation, uses.tolist())[0],
        partial_out(correlations, uses.tolist()),
        players=_positions(columns, qualities),
        n=n,
        columns_in=len(uses),
    )
    return presence, quality


def _positions(columns: list[list[int]], chosen: Array) -> list[list[int]]:
    place = {int(column): position for position, column in enumerate(chosen)}
    return [[place[column] for column in group if column in place] for group in columns]
