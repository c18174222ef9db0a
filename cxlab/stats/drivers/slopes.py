"""Slopes of the outcome below and above the middle of one driver."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.covariance.em import NoMaximumError
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.importance import standardised_coefficients
from cxlab.stats.drivers.replicates import CovarianceFit, Resample, fit_covariance
from cxlab.stats.drivers.users import dead_drivers

Array = np.ndarray
Cuts = tuple[float, float]


@dataclass(frozen=True, eq=False)
class Slopes:
    """Penalty and reward of one driver, with replicates; None where a cell is too small.

    Attributes
    ----------
    counts : tuple of int
        Low, middle and high answers.
    slopes : ndarray, shape (2,), or None
        Penalty and reward, in outcome per rating point.
    replicates : ndarray, shape (replicates, 2), or None
    ceiling : float
        Reward less penalty that the outcome's own ends would make of a straight effect.
    """

    counts: tuple[int, int, int]
    slopes: Array | None
    replicates: Array | None
    ceiling: float = 0.0


def driver_slopes(
    answers: Answers,
    unit: Array,
    resample: Resample,
    position: int,
    cuts: Cuts,
    *,
    missing: str,
    min_group_size: int,
    straight: Array | None,
) -> Slopes:
    """Penalty and reward of the driver at ``position``, among those who rated it.

    Parameters
    ----------
    cuts : (low, high)
        Ratings up to low are low, from high on high.
    straight : ndarray, shape (n,), or None
        Outcome expected of each row if all effects were straight; None for an outcome
        without ends.
    """
    rating = answers.ratings[:, position]
    users = ~np.isnan(rating)
    low, high = rating <= cuts[0], rating >= cuts[1]
    cells = [low & users, users & ~low & ~high, high & users]
    low_n, middle_n, high_n = (int(cell.sum()) for cell in cells)
    counts = (low_n, middle_n, high_n)
    if min(counts) < max(min_group_size, 1):
        return Slopes(counts, None, None)
    names = ("low", "high", *np.delete(np.array(answers.names, dtype=object), position))
    others = np.delete(answers.ratings, position, axis=1)[users]
    others = np.where(dead_drivers(others), 0.0, others)

    def slopes_of(outcome: Array, how: Resample) -> Array:
        rows = np.column_stack([low[users], high[users], others, rating[users], outcome[users]])
        fit = fit_covariance(
            (*names, answers.names[position], answers.outcome_name),
            rows.astype(float),
            answers.weights[users],
            unit[users],
            how,
            missing=missing,
        )
        return _two_slopes(fit)

    try:
        found = slopes_of(answers.outcome, resample)
        if straight is None:
            return Slopes(counts, found[0], found[1:])
        once = slopes_of(straight, Resample("none", np.empty((len(resample.multipliers), 0))))[0]
    except NoMaximumError:
        # so few rated this driver that the others cannot be told apart among them
        return Slopes(counts, None, None)
    return Slopes(counts, found[0], found[1:], float(once[1] - once[0]))


def _two_slopes(fit: CovarianceFit) -> Array:
    """Penalty and reward of the estimate and of each replicate, shape (1 + replicates, 2)."""
    matrices = np.concatenate([fit.matrix[None], fit.matrices])
    q = matrices.shape[-1]
    model = list(range(q - 2))
    outcome, rating = (_cell_gaps(matrices, [*model, target]) for target in (q - 1, q - 2))
    return outcome / rating


def _cell_gaps(matrices: Array, columns: list[int]) -> Array:
    """Adjusted low − middle and high − middle of the last column."""
    part = matrices[:, columns][:, :, columns]
    spread = np.sqrt(np.maximum(np.einsum("bii->bi", part), 0.0))
    standardised = standardised_coefficients(to_correlation(part))[:, :2]
    own = spread[:, :2]
    return np.divide(
        standardised * spread[:, -1:], own, out=np.full_like(own, np.nan), where=own > 0
    )
