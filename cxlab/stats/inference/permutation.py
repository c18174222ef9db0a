"""Tests by relabelling, for small groups of simple random data."""

from __future__ import annotations

import numpy as np


def permutation_p_value(
    values: np.ndarray, inside: np.ndarray, permutations: int, rng: np.random.Generator
) -> float:
    """Two-sided p-value of a difference of means when labels are exchangeable.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    inside : ndarray of bool, shape (n,)
        Members of the first group.
    permutations : int
        Random relabellings; the observed one counts as one more.
    rng : Generator

    Returns
    -------
    float
        Share of relabellings at least as far apart as observed, (b + 1)/(m + 1).

    References
    ----------
    Phipson & Smyth (2010), Statistical Applications in Genetics 9, 39.
    """
    size, total = int(inside.sum()), values.sum()

    def distance(first_sum: np.ndarray) -> np.ndarray:
        return np.abs(first_sum / size - (total - first_sum) / (len(values) - size))

    if size == len(values):
        return np.nan
    observed = distance(np.array([values[inside].sum()]))[0]
    drawn = rng.permuted(np.tile(values, (permutations, 1)), axis=1)[:, :size].sum(axis=1)
    # rounding must not part relabellings that are equally far
    return float((1 + (distance(drawn) >= observed - 1e-9).sum()) / (permutations + 1))
