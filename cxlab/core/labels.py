"""What groups and periods are called, and in which order they stand: the same everywhere."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.frames import collect, declared_order, label, natural_order, scan


def group_labels(groups: pd.DataFrame) -> pd.Series:
    """One label per group: the value itself, or several joined by a middle dot.

    Whole numbers have no decimals and dates no midnight, whatever engine gave them. A label
    depends on its own value only, so that it is the same beside fewer groups.
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


def groups_in_order(data: Any, column: str) -> dict[str, list[Any]]:
    """Labels of a column's groups, and the values that are called so.

    As the study declares them, else by size or time, else by name (see `natural_order`).
    """
    if isinstance(data, pd.DataFrame):
        there = data[column].drop_duplicates()
    else:
        there = collect(scan(data, [column]).select(column).unique())[column]
    there = there.dropna()
    sizes = pd.api.types.is_numeric_dtype(there) or pd.api.types.is_datetime64_any_dtype(there)
    there = there.sort_values() if sizes else there
    values = there.groupby(row_labels(there), sort=False).agg(list).to_dict()
    declared = declared_order(data, column)
    if declared is not None:
        return {name: values[name] for name in declared if name in values}
    return values if sizes else {name: values[name] for name in sorted(values, key=natural_order)}


def label_text(data: Any, column: str) -> nw.Expr:
    """A column's labels as text, of a frame that is not a pandas one."""
    value = nw.col(column)
    kind = nw.from_native(data).lazy().collect_schema()[column]
    if not (kind.is_float() or kind.is_decimal() or kind in (nw.Datetime, nw.Boolean)):
        return value.cast(nw.String)
    # engines write these in ways of their own
    text = nw.lit(None).cast(nw.String)
    for name, values in groups_in_order(data, column).items():
        text = nw.when(value.is_in(values)).then(nw.lit(name)).otherwise(text)
    return text
