"""Room on a scale: how far a mean rating can move before answers reach the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.replicates import Resample

Array = np.ndarray

#: Most different ratings kept apart; more are divided between neighbours on a grid.
MOST_LEVELS = 101


@dataclass(frozen=True, eq=False)
class RatingShares:
    """How the ratings of each driver lie on its scale, with replicates.

    Attributes
    ----------
    levels : ndarray, shape (drivers, k)
        Different ratings in rising order, the last repeated where there are fewer.
    shares : ndarray, shape (1 + replicates, drivers, k)
        Weighted share of the raters at each level: the estimate's first.
    """

    levels: Array
    shares: Array

    def moved(self, change: Array, low: Array, high: Array) -> Array:
        """Mean change when every rating moves by ``change`` but not past the scale's ends.

        E[min(x + δ, high)] − E[x], and for a negative δ E[max(x + δ, low)] − E[x]:
        shape (1 + replicates, drivers).
        """
        ends = np.where(change < 0, low, high)[:, None]
        inside = np.where(
            change[:, None] < 0,
            np.maximum(self.levels + change[:, None], np.minimum(ends, self.levels)),
            np.minimum(self.levels + change[:, None], np.maximum(ends, self.levels)),
        )
        return np.einsum("bjk,jk->bj", self.shares, inside - self.levels)

    @property
    def standard_deviations(self) -> Array:
        """Of the ratings of each driver, shape (drivers,)."""
        mean = (self.shares[0] * self.levels).sum(axis=1)
        return np.asarray(
            np.sqrt((self.shares[0] * (self.levels - mean[:, None]) ** 2).sum(axis=1))
        )


def rating_shares(answers: Answers, unit: Array, resample: Resample) -> RatingShares:
    """Shares of the raters at each rating, in the sample and in each replicate."""
    levels = [_levels(column[~np.isnan(column)]) for column in answers.ratings.T]
    k = max(len(level) for level in levels)
    table = np.array([np.pad(level, (0, k - len(level)), mode="edge") for level in levels])
    rows, columns, weights = [], [], []
    for position, (rating, level) in enumerate(zip(answers.ratings.T, levels, strict=True)):
        known = np.flatnonzero(~np.isnan(rating))
        upper = np.clip(np.searchsorted(level, rating[known]), 1, max(len(level) - 1, 1))
        lower = upper - 1
        upper = np.minimum(upper, len(level) - 1)
        gap = level[upper] - level[lower]
        part = np.divide(rating[known] - level[lower], gap, out=np.zeros_like(gap), where=gap > 0)
        for place, share in ((lower, 1 - part), (upper, part)):
            rows.append(unit[known])
            columns.append(position * k + place)
            weights.append(answers.weights[known] * share)
    where = (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns)))
    counts = sparse.csr_array(where, shape=(len(resample.multipliers), len(levels) * k))
    drawn = np.vstack([counts.sum(axis=0), (counts.T @ resample.multipliers).T])
    drawn = drawn.reshape(-1, len(levels), k)
    total = drawn.sum(axis=2, keepdims=True)
    shares = np.divide(drawn, total, out=np.full_like(drawn, np.nan), where=total > 0)
    return RatingShares(table, shares)


def _levels(ratings: Array) -> Array:
    if len(ratings) == 0:
        return np.zeros(1)
    different = np.unique(ratings)
    if len(different) <= MOST_LEVELS:
        return different
    return np.linspace(different[0], different[-1], MOST_LEVELS)
