"""Design-based covariances of groups' weights and scores: a few numbers instead of clusters.

The parameters of G groups are their weights W₁ … W_G and then their scores r₁ … r_G. Each
is a total, or linearised as one, so that one matrix says how any function of them varies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class CellIndex:
    """Where each cell of a period's sums belongs; arrays of one entry per cell.

    Attributes
    ----------
    group : ndarray of int
        Number of the cell's group.
    unit : ndarray of int
        Number of its cluster (or of its stratum's lone rows), the same in every period.
    alone : ndarray of bool
        Whether its rows are clusters of their own.
    sign : ndarray of float
        1, or −1 for a cell that is to be taken out of its group.
    unit_stratum : ndarray of int, shape (units,)
        Number of each unit's stratum.
    sampled : ndarray, shape (strata,)
        Clusters sampled in the period; 0 where the stratum is of other periods.
    """

    group: Numbers
    unit: Numbers
    alone: NDArray[np.bool_]
    sign: Array
    unit_stratum: Numbers
    sampled: Array


@dataclass(frozen=True, eq=False)
class Linear:
    """Influences on one metric's parameters of one period.

    Attributes
    ----------
    index : CellIndex
    weights, scores : ndarray, shape (groups,)
        Σw, and the weighted mean; NaN where nobody is in the group.
    n, clusters, strata : ndarray of int, shape (groups,)
        Answers; clusters and strata that hold one. A row without a cluster is its own.
    sums : dict of str to ndarray, shape (groups,)
        ``y`` and ``yy``, unweighted.
    totals : sparse matrix, shape (units, 2 · groups)
        Influence of each cluster.
    holds : sparse matrix, shape (units, groups)
        1 where a cluster holds an answer of the group.
    lone : ndarray, shape (3, strata, groups)
        Of lone rows: squares of influences on the weight, products with those on the
        score, squares of those.
    by_stratum : ndarray, shape (strata, 2 · groups)
        Sum of all influences.
    """

    index: CellIndex
    weights: Array
    scores: Array
    n: Numbers
    clusters: Numbers
    strata: Numbers
    sums: dict[str, Array]
    totals: sparse.csr_array
    holds: sparse.csr_array
    lone: Array
    by_stratum: Array


def linear(index: CellIndex, values: Mapping[str, Array], groups: int) -> Linear:
    """Linearise the weights and the weighted means of the groups.

    Parameters
    ----------
    index : CellIndex
    values : mapping of str to ndarray, shape (cells,)
        One score's sums, as `cxlab.core.totals.Totals.values` has them.
    groups : int
    """
    group, units, strata = index.group, len(index.unit_stratum), len(index.sampled)
    sums = {name: index.sign * column for name, column in values.items()}
    whole = {
        name: np.bincount(group, sums[name], groups).astype(float)
        for name in ("n", "y", "yy", "w", "wy")
    }
    there = whole["n"].round() > 0
    weight = np.where(there, whole["w"], 1.0)
    score = whole["wy"] / weight
    m, w = score[group], weight[group]
    on_score = (sums["wy"] - m * sums["w"]) / w
    both = ~index.alone
    totals = _table(index.unit[both], group[both], (units, groups), sums["w"][both])
    scores = _table(index.unit[both], group[both], (units, groups), on_score[both])
    answers = _table(index.unit, group, (units, groups), sums["n"])
    stratum = index.unit_stratum[index.unit]
    place = (stratum * groups + group, strata * groups)
    lone = np.where(index.alone, 1.0, 0.0)
    squares = (sums["wwyy"] - 2 * m * sums["wwy"] + m**2 * sums["ww"]) / w**2
    products = (sums["ww"], (sums["wwy"] - m * sums["ww"]) / w, squares)
    added = [
        np.bincount(place[0], column, place[1]).reshape(strata, groups)
        for column in (sums["w"], on_score, *(lone * product for product in products), sums["n"])
    ]
    held = answers > 0.5
    is_lone = np.zeros(units, dtype=bool)
    is_lone[index.unit[index.alone]] = True
    counted = answers.multiply(is_lone[:, None]) + held.multiply(~is_lone[:, None])
    return Linear(
        index=index,
        weights=np.where(there, whole["w"], 0.0),
        scores=np.where(there, score, np.nan),
        n=whole["n"].round().astype(np.intp),
        clusters=np.asarray(counted.sum(axis=0)).round().astype(np.intp).ravel(),
        strata=(added[5].round() > 0).sum(axis=0),
        sums={name: whole[name] for name in ("y", "yy")},
        totals=sparse.csr_array(sparse.hstack([totals, scores])),
        holds=sparse.csr_array(held.multiply(~is_lone[:, None]).astype(float)),
        lone=np.stack(added[2:5]),
        by_stratum=np.hstack(added[:2]),
    )


def own_covariance(one: Linear) -> Array:
    """Covariance matrix of the parameters of one period.

    Notes
    -----
    ``V = Σ_h n_h/(n_h − 1) · (Σ_c t_hc t_hcᵀ − S_h S_hᵀ/n_h)``; the square of a stratum with
    one cluster is taken as it is.
    """
    factor, centring = _factors(one.index.sampled)
    per_unit = factor[one.index.unit_stratum]
    covariance = (one.totals.T @ (one.totals * per_unit[:, None])).toarray()
    weights, both, scores = (np.diag(factor @ part) for part in one.lone)
    covariance += np.block([[weights, both], [both, scores]])
    return np.asarray(covariance - one.by_stratum.T @ (one.by_stratum * centring[:, None]))


def cross_covariance(one: Linear, other: Linear, sampled: Array) -> tuple[Array, Numbers]:
    """Covariances of the parameters of two periods that share clusters.

    Parameters
    ----------
    one, other : Linear
    sampled : ndarray, shape (strata,)
        Clusters sampled in the two periods together.

    Returns
    -------
    covariance : ndarray, shape (2 · groups, 2 · other groups)
    shared : ndarray of int, shape (groups, other groups)
        Clusters that hold an answer of both.
    """
    factor, centring = _factors(sampled)
    per_unit = factor[one.index.unit_stratum]
    covariance = (one.totals.T @ (other.totals * per_unit[:, None])).toarray()
    covariance -= one.by_stratum.T @ (other.by_stratum * centring[:, None])
    shared = (one.holds.T @ other.holds).toarray()
    return covariance, shared.round().astype(np.intp)


def shared_clusters(one: Linear) -> Numbers:
    """Clusters that hold an answer of two groups, shape (groups, groups)."""
    return (one.holds.T @ one.holds).toarray().round().astype(np.intp)


def _table(
    rows: Numbers, columns: Numbers, shape: tuple[int, int], data: Array
) -> sparse.csr_array:
    return sparse.csr_array((data, (rows, columns)), shape=shape)


def _factors(sampled: Array) -> tuple[Array, Array]:
    """Per stratum, what squares and squared sums are multiplied by."""
    several = sampled > 1
    factor = np.where(several, sampled / np.where(several, sampled - 1, 1.0), 1.0)
    return factor, np.where(several, factor / np.where(several, sampled, 1.0), 0.0)
