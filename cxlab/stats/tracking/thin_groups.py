"""Groups of two periods that few clusters have in common, taken together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cxlab.stats.tracking.covariances import Linear

Array = NDArray[np.float64]
Numbers = NDArray[np.intp]


def taken_together(one: Linear, other: Linear, least: int) -> tuple[Numbers, Numbers] | None:
    """Which of two periods' groups to join, for none to share 1 to ``least − 1`` clusters.

    Parameters
    ----------
    one, other : Linear
    least : int

    Returns
    -------
    first, second : ndarray of int, shape (groups,)
        Number of the joint group of each group; None where even all groups together share
        so few clusters, or none at all.
    """
    apart = (one.holds.T @ other.holds).toarray()
    first, second = (np.arange(size, dtype=np.intp) for size in apart.shape)
    while apart.any():
        # a cluster in two groups is counted twice: what looks enough is looked at again
        shared = _into(first) @ apart @ _into(second).T
        thin = _is_thin(shared, least)
        if not thin.any():
            thin = _is_thin(_clusters_in_both(one, first, other, second), least)
        if not thin.any():
            return first, second
        if thin.size == 1:
            return None
        first, second = _smallest_joined(shared, thin, first, second)
    return None


def merging(place: Numbers, weights: Array, scores: Array, groups: int) -> Array:
    """How the weights and scores of joint groups move with those of their groups.

    Parameters
    ----------
    place : ndarray of int, shape (groups before,)
        Number of the joint group of each group.
    weights, scores : ndarray, shape (groups before,)
    groups : int
        Joint groups.

    Returns
    -------
    ndarray, shape (2 · groups, 2 · groups before)
    """
    into = _into(place, groups)
    total = into @ weights
    safe = np.where(total > 0, total, 1.0)
    joint = into @ (weights * np.nan_to_num(scores)) / safe
    moved = into * (np.nan_to_num(scores) - joint[:, None]) / safe[:, None]
    return np.block([[into, np.zeros_like(into)], [moved, into * weights / safe[:, None]]])


def spread_evenly(one: Linear, place: Numbers) -> Array:
    """Each group's weight and score as their joint group lets expect them to move.

    A share of what the joint weight moves by, and as far as the joint score: whatever is
    made of all groups together, such as the score of everybody, moves as before.
    """
    into = _into(place)
    share = into * one.weights / (into @ one.weights)[:, None]
    nothing = np.zeros_like(into.T)
    expected = np.block([[share.T, nothing], [nothing, into.T]])
    return np.asarray(expected @ merging(place, one.weights, one.scores, len(into)))


def _into(place: Numbers, groups: int | None = None) -> Array:
    """1 where a group goes into a joint group: shape (joint groups, groups)."""
    number = int(place.max()) + 1 if groups is None else groups
    return (np.arange(number)[:, None] == place).astype(float)


def _is_thin(shared: Array, least: int) -> NDArray[np.bool_]:
    return (shared.round() > 0) & (shared.round() < least)


def _clusters_in_both(one: Linear, first: Numbers, other: Linear, second: Numbers) -> Array:
    """Clusters of each pair of joint groups, each counted once."""
    holds = [
        (part.holds @ sparse.csr_array(_into(place).T) > 0).astype(float)
        for part, place in ((one, first), (other, second))
    ]
    return np.asarray((holds[0].T @ holds[1]).toarray())


def _smallest_joined(
    shared: Array, thin: NDArray[np.bool_], first: Numbers, second: Numbers
) -> tuple[Numbers, Numbers]:
    """The smallest group of a thin pair joined to the next smallest of its period."""
    sizes = [shared.sum(axis=1), shared.sum(axis=0)]
    _, side, group = min(
        (sizes[side][group], side, group)
        for side in (0, 1)
        for group in np.flatnonzero(thin.any(axis=1 - side)).tolist()
        if len(sizes[side]) > 1
    )
    others = sizes[side].copy()
    others[group] = np.inf
    places = [first, second]
    joined = np.where(places[side] == group, others.argmin(), places[side])
    places[side] = np.unique(joined, return_inverse=True)[1].astype(np.intp)
    return places[0], places[1]
