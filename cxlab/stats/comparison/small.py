"""What stands on so few customers that it is hidden, and what would give it back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cxlab.core.disclosure.rule import hidden_groups

#: Status of an estimate that is hidden.
TOO_FEW = "too few customers"
COMPLEMENT = "hidden: it would give a smaller group back"
#: Numbers that name a row, and so stay when its figures are hidden.
LABELS = ("window_days",)


def check_min_group_size(value: object) -> int:
    """A whole number of 1 or more.

    Raises
    ------
    ValueError
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or int(value) < 1:  # type: ignore[call-overload]
        raise ValueError(
            f"`min_group_size` must be a whole number of 1 or more; got {value}. 1 hides nothing."
        )
    return int(value)  # type: ignore[call-overload]


def too_few(customers: ArrayLike, smallest: int) -> np.ndarray:
    """Which counts are those of a small group; nobody is no group.

    Examples
    --------
    >>> too_few([0, 9, 10], 10).tolist()
    [False, True, False]
    """
    counts = np.asarray(customers, dtype=float)
    return (counts > 0) & (counts < smallest)


def why_hidden(smallest: int) -> str:
    """The note of a hidden row."""
    return f"hidden: fewer than {smallest} customers"


def hide(table: pd.DataFrame, rows: ArrayLike, note: str | Sequence[str]) -> pd.DataFrame:
    """The table with the numbers of some rows null, and a note in their place.

    Parameters
    ----------
    table : DataFrame
        Text, truth values and `LABELS` stay; whole numbers become ``Int64``, which holds
        nulls.
    rows : array_like of bool, shape (rows,)
    note : str, or sequence of str of shape (rows,)

    Examples
    --------
    >>> hide(pd.DataFrame({"group": ["a", "b"], "n": [40, 3]}), [False, True], "hidden")
      group     n    note
    0     a    40
    1     b  <NA>  hidden
    """
    marked = pd.Series(np.asarray(rows, dtype=bool), index=table.index)
    result = table.copy()
    for column in result.columns:
        values = result[column]
        numeric = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
        if numeric and column not in LABELS:
            whole = pd.api.types.is_integer_dtype(values)
            result[column] = (values.astype("Int64") if whole else values).mask(marked)
    words = pd.Series(note, index=table.index, dtype="str")
    before = result["note"] if "note" in result else pd.Series("", table.index, dtype="str")
    result["note"] = before.astype("str").mask(marked, words)
    return result


def hide_small_rows(table: pd.DataFrame, smallest: int) -> pd.DataFrame:
    """Hide the rows whose ``customers`` are too few."""
    return hide(table, too_few(table["customers"], smallest), why_hidden(smallest))


def hide_groups(
    table: pd.DataFrame, smallest: int, *, within: str | None = None, outside: int = 0
) -> pd.DataFrame:
    """Hide small groups of a whole, and those whose absence would give them back.

    Parameters
    ----------
    table : DataFrame
        With ``customers``.
    smallest : int
    within : str, optional
        Column that names the whole of each group; default: one whole.
    outside : int
        Customers of the whole who are in no group.
    """
    reason = np.full(len(table), "", dtype=object)
    words = {"small": why_hidden(smallest), "complementary": COMPLEMENT}
    whole = table[within].to_numpy() if within else np.zeros(len(table))
    customers = table["customers"].to_numpy(dtype=float)
    for name in pd.unique(whole):
        places = np.flatnonzero(whole == name)
        found = hidden_groups(customers[places], smallest, ungrouped=outside)
        for place, why in found.items():
            reason[places[place]] = words[why]
        if too_few(customers[places].sum() + outside, smallest):
            # that a category of so few is empty tells what they did not answer
            reason[places] = why_hidden(smallest)
    return hide(table, reason != "", list(reason))
