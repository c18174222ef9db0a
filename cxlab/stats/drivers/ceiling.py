"""What the ends of the outcome's scale make of a straight effect.

Nobody can answer 6 of 5: where many answers lie at the top, even a straight effect flattens
there, and would be read as "basic" by any comparison of slopes. The outcome expected of
each row is therefore worked out as if all effects were straight on a latent outcome with
the same margin.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr, ndtri

from cxlab.stats.covariance.em import packed_inverse
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.coefficients import coefficients
from cxlab.stats.drivers.outcomes import MOST_STEPS, latent_factors
from cxlab.stats.drivers.replicates import CovarianceFit, Resample

Array = np.ndarray

#: Latent R² taken at most: noise must be left.
MOST_EXPLAINED = 0.98


def straight_outcome(answers: Answers, fit: CovarianceFit) -> Array | None:
    """Expected outcome of each row under straight effects on a latent outcome.

    Parameters
    ----------
    answers : Answers
    fit : CovarianceFit
        Of the drivers and, last, the scored outcome.

    Returns
    -------
    ndarray, shape (n,), or None
        None for an outcome of more than 30 different values, which has no ends to speak of.
    """
    values, step = np.unique(answers.outcome, return_inverse=True)
    if len(values) > MOST_STEPS:
        return None
    none = Resample("none", np.empty((answers.design.n_clusters, 0)))
    factor, _ = latent_factors(answers.outcome, answers.weights, answers.unit, none)
    slopes = coefficients(fit.matrix[None])[0] * factor
    drivers = fit.matrix[:-1, :-1]
    explained = float(slopes @ drivers @ slopes)
    if explained > MOST_EXPLAINED:
        slopes, explained = slopes * np.sqrt(MOST_EXPLAINED / explained), MOST_EXPLAINED
    centre, spread = _index(answers.ratings, fit.mean[:-1], drivers, slopes)
    margin = np.bincount(step.ravel(), weights=answers.weights)
    cuts = ndtri(np.cumsum(margin)[:-1] / margin.sum())
    noise = np.sqrt(np.maximum(1 - explained + spread, 1 - MOST_EXPLAINED))
    passed = ndtr((centre[:, None] - cuts) / noise[:, None])
    return np.asarray(values[0] + passed @ np.diff(values))


def _index(ratings: Array, mean: Array, drivers: Array, slopes: Array) -> tuple[Array, Array]:
    """Mean and variance of slopes · (x − mean) given each row's known ratings."""
    known = ~np.isnan(ratings)
    patterns, number = np.unique(known, axis=0, return_inverse=True)
    inverse = np.asarray([_inverse(drivers, pattern) for pattern in patterns])[number.ravel()]
    deviation = np.where(known, ratings - mean, 0.0)
    reach = drivers @ slopes
    pulled = np.einsum("nij,j->ni", inverse, reach)
    variance = slopes @ reach - pulled @ reach
    return np.einsum("ni,ni->n", pulled, deviation), np.maximum(variance, 0.0)


def _inverse(drivers: Array, pattern: Array) -> Array:
    both = pattern[:, None] & pattern[None, :]
    try:
        return packed_inverse(drivers, pattern[None, :])[0][0]
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(np.where(both, drivers, 0.0), hermitian=True))
