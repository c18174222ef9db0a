"""Ways to share R² among drivers, all from one correlation matrix.

Each takes correlations, shape (replicates, q, q), with the outcome last, and gives
importances, shape (replicates, drivers). A new way is one function and one line of
`METHODS`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cxlab.stats.drivers.subsets import ALIASED, all_r_squared, subset_sums

Array = np.ndarray


def lmg(correlations: Array) -> Array:
    """Mean gain of R² over all orders (Lindeman, Merenda & Gold; Shapley; general dominance)."""
    return subset_sums(correlations).general


def first(correlations: Array) -> Array:
    """R² of the driver alone: its squared correlation."""
    return np.asarray(correlations[:, :-1, -1] ** 2)


def last(correlations: Array) -> Array:
    """Fall of R² when the driver is taken out of the full model."""
    drivers, outcome = correlations[:, :-1, :-1], correlations[:, :-1, -1]
    whole = _explained(drivers, outcome)
    falls = np.empty_like(outcome)
    for column in range(outcome.shape[1]):
        others = np.delete(np.arange(outcome.shape[1]), column)
        part = _explained(drivers[:, others][:, :, others], outcome[:, others])
        falls[:, column] = whole - part
    return np.maximum(falls, 0.0)


def betasq(correlations: Array) -> Array:
    """Squared standardised coefficient."""
    return np.asarray(standardised_coefficients(correlations) ** 2)


def pratt(correlations: Array) -> Array:
    """Standardised coefficient × correlation; may be negative."""
    return standardised_coefficients(correlations) * correlations[:, :-1, -1]


def johnson(correlations: Array) -> Array:
    """Relative weights (Johnson 2000), the same numbers as Genizi (1993)."""
    root, inverse_root = _roots(correlations[:, :-1, :-1])
    uncorrelated = np.einsum("bij,bj->bi", inverse_root, correlations[:, :-1, -1])
    return np.einsum("bij,bj->bi", root**2, uncorrelated**2)


def car(correlations: Array) -> Array:
    """Squared correlations with the decorrelated drivers (Zuber & Strimmer 2011)."""
    _, inverse_root = _roots(correlations[:, :-1, :-1])
    return np.asarray(np.einsum("bij,bj->bi", inverse_root, correlations[:, :-1, -1]) ** 2)


METHODS: dict[str, Callable[[Array], Array]] = {
    "lmg": lmg,
    "johnson": johnson,
    "first": first,
    "last": last,
    "betasq": betasq,
    "pratt": pratt,
    "car": car,
}

#: Methods whose importances add up to R².
ADDS_UP = ("lmg", "johnson", "pratt", "car")


def standardised_coefficients(correlations: Array) -> Array:
    """Coefficients of standardised drivers; among exact duplicates the smallest ones."""
    return _solve(correlations[:, :-1, :-1], correlations[:, :-1, -1])


def r_squared(correlations: Array) -> Array:
    """R² of all drivers, shape (replicates,)."""
    return _explained(correlations[:, :-1, :-1], correlations[:, :-1, -1])


def variance_inflation(correlation: Array) -> Array:
    """1 / (1 − R²) of each driver on the others, shape (drivers,); inf where aliased."""
    drivers = correlation[:-1, :-1]
    count = len(drivers)
    left = np.empty(count)
    for column in range(count):
        others = np.delete(np.arange(count), column)
        block = drivers[np.ix_(others, others)][None]
        left[column] = 1 - _explained(block, drivers[others, column][None])[0]
    aliased = left <= ALIASED * 10
    return np.where(aliased, np.inf, 1.0 / np.where(aliased, 1.0, left))


def complete_dominance(correlation: Array) -> Array:
    """Share of subsets of the others to which driver i adds more than driver j.

    Returns
    -------
    ndarray, shape (drivers, drivers)
        1 at [i, j]: i dominates j completely. 0 on the diagonal.

    References
    ----------
    Azen & Budescu (2003), Psychological Methods 8, 129–148.
    """
    r2 = all_r_squared(correlation)
    count = len(correlation) - 1
    subsets = np.arange(len(r2))
    share = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            without = subsets[(subsets >> i & 1 == 0) & (subsets >> j & 1 == 0)]
            difference = r2[without | 1 << i] - r2[without | 1 << j]
            share[i, j] = (difference > 0).mean()
            share[j, i] = (difference < 0).mean()
    return share


def _explained(drivers: Array, outcome: Array) -> Array:
    return np.einsum("bi,bi->b", _solve(drivers, outcome), outcome)


def _solve(drivers: Array, outcome: Array) -> Array:
    """Solutions of drivers · β = outcome; the shortest where there are many."""
    if outcome.shape[1] == 0:
        return outcome
    smallest = np.linalg.eigvalsh(drivers)[:, 0]
    if smallest.min(initial=np.inf) > ALIASED:
        return np.asarray(np.linalg.solve(drivers, outcome[..., None])[..., 0])
    values, vectors = np.linalg.eigh(drivers)
    usable = values > ALIASED
    inverse = np.where(usable, 1 / np.where(usable, values, 1.0), 0.0)
    turned = np.einsum("bji,bj->bi", vectors, outcome) * inverse
    return np.einsum("bij,bj->bi", vectors, turned)


def _roots(drivers: Array) -> tuple[Array, Array]:
    """Symmetric square root and its (pseudo-)inverse."""
    values, vectors = np.linalg.eigh(drivers)
    usable = values > ALIASED
    roots = np.sqrt(np.where(usable, values, 0.0))
    inverse = np.where(usable, 1 / np.where(usable, roots, 1.0), 0.0)
    transposed = np.swapaxes(vectors, 1, 2)
    return (vectors * roots[:, None]) @ transposed, (vectors * inverse[:, None]) @ transposed
