"""A part of lazy answers, by the values wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import narwhals as nw

from cxlab.core.engines import collect
from cxlab.core.messages import unknown
from cxlab.survey.answers import choices_of
from cxlab.survey.definition import Table
from cxlab.survey.lazy.text import any_of, count

#: Values that a message looks through for the nearest spelling.
MOST_SHOWN = 1_000


def only_where(rows: nw.LazyFrame, where: Mapping[str, Any], table: Table) -> nw.LazyFrame:
    """Rows whose columns hold the values wanted.

    Raises
    ------
    ValueError
        For a column or a value that is not there, or when no row is left.
    """
    schema = rows.collect_schema()
    kept = []
    for name, wanted in where.items():
        if name not in schema:
            raise ValueError(unknown("where", name, schema.names(), what="a column: "))
        kept.append(_matches(rows, name, schema[name], wanted))
    left = rows.filter(*kept)
    if not int(collect(left.select(n=nw.len()))["n"].iloc[0]):
        raise ValueError(
            f"`where` must leave at least one answer of table '{table.name}'; "
            f"got none for {dict(where)}. Loosen a condition."
        )
    return left


def _matches(rows: nw.LazyFrame, name: str, dtype: nw.dtypes.DType, wanted: Any) -> nw.Expr:
    if dtype.is_temporal():
        raise ValueError(
            f"`where` of '{name}' must be left out when reading lazily: it is a date. Filter the "
            "frame that is read."
        )
    choices = choices_of(name, wanted)
    tests = [_equals(rows, name, dtype, choice) for choice in choices]
    counts = [count(test).alias(f"n{i}") for i, test in enumerate(tests)]
    found = collect(rows.select(*counts)).iloc[0].fillna(0)
    for i, choice in enumerate(choices):
        if not found[f"n{i}"]:
            raise ValueError(unknown("where", choice, _there(rows, name, dtype), of=name))
    return any_of(tests)


def _equals(rows: nw.LazyFrame, name: str, dtype: nw.dtypes.DType, choice: Any) -> nw.Expr:
    if not dtype.is_numeric():
        return nw.col(name).cast(nw.String) == str(choice)
    try:
        return nw.col(name).cast(nw.Float64) == float(choice)
    except (TypeError, ValueError):
        there = _there(rows, name, dtype)
        raise ValueError(unknown("where", choice, there, of=name)) from None


def _there(rows: nw.LazyFrame, name: str, dtype: nw.dtypes.DType) -> list[str]:
    values = collect(rows.select(value=nw.col(name)).unique().head(MOST_SHOWN))["value"].dropna()
    if dtype.is_numeric():
        return [f"{value:.15g}" for value in sorted(values)]
    return sorted(map(str, values))
