"""Hide groups so small that a figure is about persons, and whatever would give them back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

#: Fewer answers than this are never shown.
MIN_GROUP_SIZE = 10

SMALL = "small"
COMPLEMENTARY = "complementary"
#: Columns that name a row, and so stay when its figures are hidden.
LABELS = ("label", "metric", "segment", "group", "touchpoint", "unit", "column", "target", "period")


def hidden_groups(
    sizes: ArrayLike, min_group_size: int = MIN_GROUP_SIZE, *, ungrouped: int = 0
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
        Answers in the total that are in no group and are shown nowhere: they hide a small
        group as well as a hidden group would.

    Returns
    -------
    dict of int to str
        Number of each hidden group to the reason, ``"small"`` or ``"complementary"``.

    Notes
    -----
    The total less the groups shown gives the hidden ones together, so these must be two
    at least and hold ``min_group_size`` answers at least; the next smallest groups join
    them until they do.

    References
    ----------
    Hundepool et al. (2012), Statistical Disclosure Control, chapter 4.

    Examples
    --------
    >>> hidden_groups([120, 4, 60])
    {1: 'small', 2: 'complementary'}
    >>> hidden_groups([120, 4, 7, 60])
    {1: 'small', 2: 'small'}
    >>> hidden_groups([120, 4, 60], ungrouped=30)
    {1: 'small'}
    """
    n = np.asarray(sizes, dtype=float)
    hidden = dict.fromkeys(np.flatnonzero((n > 0) & (n < min_group_size)).tolist(), SMALL)
    for i in np.argsort(n, kind="stable").tolist():
        cells = len(hidden) + (ungrouped > 0)
        enough = cells >= 2 and n[list(hidden)].sum() + ungrouped >= min_group_size
        if not hidden or enough:
            break
        if i not in hidden and n[i] > 0:
            hidden[i] = COMPLEMENTARY
    return hidden


def suppress_small_groups(
    table: pd.DataFrame,
    *,
    within: Sequence[str],
    min_group_size: int = MIN_GROUP_SIZE,
    ungrouped: str | None = None,
) -> pd.DataFrame:
    """A table of groups with the figures of small ones, and of their complements, hidden.

    Parameters
    ----------
    table : DataFrame
        One row per group, with ``n``. Label columns stay; every other column of a hidden
        row becomes null, ``n`` too.
    within : sequence of str
        Label columns that name a whole: rows alike in them are its groups, whose total
        may be shown elsewhere.
    min_group_size : int
        Smallest number of answers that may be shown.
    ungrouped : str, optional
        Column with the answers of each whole that are in no group; taken out of the result.

    Returns
    -------
    DataFrame
        The same rows; ``suppressed`` says why a row is hidden (empty if it is not), and
        ``note`` says it in words.

    Examples
    --------
    >>> table = pd.DataFrame({"metric": "nps", "group": ["a", "b", "c"], "n": [120, 4, 60],
    ...                       "estimate": [20.0, 50.0, 30.0]})
    >>> suppress_small_groups(table, within=["metric"])[["group", "n", "estimate", "suppressed"]]
      group     n  estimate     suppressed
    0     a   120      20.0
    1     b  <NA>       NaN          small
    2     c  <NA>       NaN  complementary
    """
    result = table.drop(columns=ungrouped) if ungrouped else table.copy()
    reason = pd.Series("", index=table.index)
    parts: Mapping = table.groupby(list(within), dropna=False, sort=False).indices if within else {
        (): np.arange(len(table))
    }  # fmt: skip
    for places in parts.values():
        sizes = table["n"].to_numpy(float)[places]
        outside = int(table[ungrouped].iloc[places[0]]) if ungrouped else 0
        for i, why in hidden_groups(sizes, min_group_size, ungrouped=outside).items():
            reason.iloc[places[i]] = why
    rows = reason != ""
    words = {
        SMALL: f"hidden: fewer than {min_group_size} answers",
        COMPLEMENTARY: "hidden: it would give a smaller group back",
    }
    for column in result.columns:
        if column in LABELS or column == "note":
            continue
        if pd.api.types.is_integer_dtype(result[column]):
            result[column] = result[column].astype("Int64")
        result[column] = result[column].mask(rows)
    if "note" in result:
        result["note"] = result["note"].mask(rows, reason.map(words))
    else:
        result["note"] = reason.map(words).fillna("")
    result["suppressed"] = reason
    return result
