"""What groups and periods are called, and in which order they stand: the same everywhere."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd


def label(value: Any) -> Any:
    """What a group is called: whole numbers have no decimals, and dates no midnight.

    >>> label(2.0), label(2.5), label(pd.Timestamp("2025-01-01", tz="Europe/Berlin"))
    (2, 2.5, '2025-01-01')
    """
    if isinstance(value, pd.Timestamp):
        local = value.tz_localize(None)
        return local.strftime("%Y-%m-%d") if local == local.normalize() else str(local)
    if isinstance(value, float | Decimal) and value % 1 == 0:
        return int(value)
    return value


def natural_order(name: str) -> tuple[list[str | int], str]:
    """Key that sorts the numbers in names by size."""
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def group_labels(groups: pd.DataFrame) -> pd.Series:
    """One label per group: the value itself, or several joined by a middle dot; see `label`.

    It depends on its own value only, so that it is the same beside fewer groups.
    """
    plain = groups.apply(_label_column)
    if groups.shape[1] == 1:
        return plain.iloc[:, 0]
    return plain.astype("str").agg(" · ".join, axis=1)


def row_labels(values: pd.Series) -> pd.Series:
    """Text label of each row's group, as `group_labels` names it; null where it has none."""
    code, groups = pd.factorize(values)
    words = [str(word) for word in group_labels(pd.DataFrame({"group": groups}))]
    # rows of no group have the code −1
    found = np.array([*words, None], dtype=object)[code]
    return pd.Series(found, index=values.index, dtype="str")


def _label_column(values: pd.Series) -> pd.Series:
    plain = pd.api.types.is_integer_dtype(values) or isinstance(values.dtype, pd.StringDtype)
    if plain or pd.api.types.is_bool_dtype(values):
        return values
    found = values.astype(object).map(label).astype(object)
    whole = pd.api.types.is_float_dtype(values) and all(isinstance(one, int) for one in found)
    return found.astype("int64") if whole else found
