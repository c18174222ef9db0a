"""Which groups of a whole are too small to show, and which would give them back.

One rule for every table, chart, file and report: NumPy only, so that any part of the
toolkit can ask it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

#: Fewer answers than this are never shown.
MIN_GROUP_SIZE = 10

SMALL = "small"
COMPLEMENTARY = "complementary"


def hidden_groups(
    sizes: ArrayLike,
    min_group_size: int = MIN_GROUP_SIZE,
    *,
    ungrouped: int = 0,
    first: int | None = None,
    hidden: Mapping[int, str] | None = None,
) -> dict[int, str]:
    """Which groups of a whole to hide: the small ones, and those that would give them back.

    Parameters
    ----------
    sizes : array_like of int, shape (groups,)
        Answers in each group; the groups make up a total that is shown.
    min_group_size : int
        Groups of 1 to ``min_group_size − 1`` answers are small. An empty group tells
        nothing of anybody and is not hidden.
    ungrouped : int
        Answers in the total that are in no group. They are a group like any other, which
        is hidden before any other.
    first : int, optional
        Number of the group to hide before any other: that of the answers in none, where
        it is among ``sizes``.
    hidden : mapping of int to str, optional
        Groups that are hidden anyway, and why.

    Returns
    -------
    dict of int to str
        Number of each hidden group to the reason, ``"small"`` or ``"complementary"``.

    Notes
    -----
    The total less the groups shown gives the hidden ones together, so these must be two
    at least and hold ``min_group_size`` answers at least; the next smallest groups (of
    groups alike in size the first) join them until they do.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4.

    Examples
    --------
    >>> hidden_groups([120, 4, 60])
    {1: 'small', 2: 'complementary'}
    >>> hidden_groups([120, 4, 7, 60])
    {1: 'small', 2: 'small'}

    Thirty answers are in no group, and so need not be told apart from the four:

    >>> hidden_groups([120, 4, 60], ungrouped=30)
    {1: 'small'}
    >>> hidden_groups([120, 4, 60, 30], first=3)
    {1: 'small', 3: 'complementary'}
    """
    n = np.append(np.asarray(sizes, dtype=float), float(ungrouped))
    small = np.flatnonzero((n > 0) & (n < min_group_size)).tolist()
    found = dict.fromkeys(small, SMALL) | dict(hidden or {})
    nowhere = len(n) - 1
    order = [nowhere, *([first] if first is not None else []), *np.argsort(n[:-1], kind="stable")]
    found = covered(n, found, min_group_size, order)
    found.pop(nowhere, None)
    return found


def covered(
    sizes: ArrayLike, hidden: Mapping[int, str], least: int, order: ArrayLike
) -> dict[int, str]:
    """Groups that are hidden, and as many others as it takes to cover them.

    Parameters
    ----------
    sizes : array_like of int, shape (groups,)
    hidden : mapping of int to str
        Groups that must be hidden, and why.
    least : int
        Answers that the hidden groups must hold together; two groups they must be.
    order : array_like of int
        Groups in the order in which they are taken to cover others.

    Examples
    --------
    >>> covered([120, 4, 60], {1: "small"}, 10, [2, 0, 1])
    {1: 'small', 2: 'complementary'}
    """
    n, found = np.asarray(sizes, dtype=float), dict(hidden)
    for i in np.asarray(order, dtype=int).tolist():
        there = [j for j in found if n[j] > 0]
        if not there or (len(there) >= 2 and n[there].sum() >= least):
            break
        if i not in found and n[i] > 0:
            found[i] = COMPLEMENTARY
    return found
