"""Small groups of two segments at once that the groups of either give back."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Whole = NDArray[np.intp]

#: Of a number of joint cells, what is left of a group that is given back.
NOTHING = 1e-6


def crossed_groups(codes: Whole, n: NDArray[np.int64], groups: list[int], rows: Array,
                   least: int) -> Array:  # fmt: skip
    """Small groups of two segments that everyone and all groups of each segment would give.

    Where every combination has answers, they give none: it takes combinations that are known to
    have none.

    Parameters
    ----------
    codes : ndarray of int, shape (cells, segments)
        Number of each joint cell's group in each segment.
    n : ndarray of int, shape (cells,)
        Answers.
    groups : list of int
        Number of groups of each segment.
    rows : ndarray, shape (dimensions, figures)
        Joint cells of everyone and of each segment's groups, perhaps rotated.
    least : int
        Smallest size that is not small.

    Returns
    -------
    ndarray, shape (dimensions, groups)
        Joint cells of those groups, rotated alike; several of one line that are small together
        count as one.

    Examples
    --------
    Three of the four combinations have answers, so 24 less 20 is the first:

    >>> codes, n = np.array([[0, 0], [0, 1], [1, 0]]), np.array([4, 20, 30])
    >>> rows = np.array([[1.0, 1, 0, 1, 0], [1, 1, 0, 0, 1], [1, 0, 1, 1, 0]])
    >>> crossed_groups(codes, n, [2, 2], rows, 10).round(9).ravel() + 0.0
    array([1., 0., 0.])
    """
    figures = np.column_stack([np.zeros(len(n), dtype=int), codes + _starts(groups)])
    inverse = np.linalg.pinv(rows, rcond=NOTHING)
    found = [np.zeros((rows.shape[1], 0))]
    for pair in combinations(range(len(groups) if n.sum() >= least else 0), 2):
        cell = codes[:, pair[0]] * groups[pair[1]] + codes[:, pair[1]]
        size = np.bincount(cell, n)
        few = np.flatnonzero((size > 0) & (size < least))
        common = _common(figures, cell, few, rows.shape[1])
        weights = inverse @ (inverse.T @ common)
        left = np.diag(common[0]) - common.T @ weights
        sets = _given(left, size[few], np.divmod(few, groups[pair[1]]), least)
        found += [weights[:, own].sum(axis=1, keepdims=True) for own in sets]
    return rows @ np.hstack(found)


def _starts(groups: list[int]) -> Whole:
    return 1 + np.cumsum([0, *groups[:-1]])


def _common(figures: Whole, cell: Whole, few: Whole, many: int) -> Array:
    """Joint cells that each figure has in common with each of a few cells of two segments."""
    place = np.searchsorted(few, cell)
    inside = np.isin(cell, few)
    common = np.zeros((many, len(few)))
    np.add.at(common, (figures[inside].T, place[inside]), 1.0)
    return common


def _given(left: Array, n: NDArray[Any], lines: tuple[Whole, Whole], least: int) -> list[list[int]]:
    """Groups, and sets of one line, of which nothing is left beside the figures."""
    alone = np.diag(left) <= NOTHING
    found = [[int(i)] for i in np.flatnonzero(alone)]
    for line in lines:
        for number in np.unique(line):
            own = np.flatnonzero((line == number) & ~alone)
            both = left.diagonal()[own] + left.diagonal()[own][:, None] + 2 * left[np.ix_(own, own)]
            given = (both <= NOTHING) & (n[own] + n[own][:, None] < least)
            found += [own[[i, j]].tolist() for i, j in np.argwhere(np.triu(given, 1))]
            if len(own) > 2 and n[own].sum() < least and left[np.ix_(own, own)].sum() <= NOTHING:
                found.append(own.tolist())
    return found
