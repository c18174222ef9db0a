"""Any dataframe engine's answers, opened as one lazy narwhals frame.

Every estimator reads rows through here, so that a pandas, Polars or DuckDB frame
gives the same digits: the query is written once, in narwhals, and pandas frames run
it inside DuckDB (narwhals' own pandas back end falls back to ``apply``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from cxlab.core.engines import SINGLE_THREAD_ROWS, collect, fenced, without_nan
from cxlab.core.messages import got, nearest, unknown

__all__ = [
    "SINGLE_THREAD_ROWS", "as_list", "check_choice", "check_columns", "check_names",
    "check_numeric", "collect", "collect_rows", "column_names", "declared_order", "group_sums",
    "in_memory", "label", "natural_order", "scan", "with_wall_times",
]  # fmt: skip

#: Cells (rows × columns) that are fetched where the rows themselves are needed, at most:
#: about a gigabyte.
MOST_CELLS = 100_000_000
#: Whole numbers up to this one are themselves as floating-point numbers.
LARGEST_EXACT = 2**53


def column_names(data: Any) -> list[str]:
    """Names of the columns of a dataframe of any engine, in order."""
    return list(_narwhals(data).collect_schema().names())


def check_columns(data: Any, columns: Mapping[str, str | Sequence[str] | None]) -> None:
    """Refuse column names that the data do not have.

    Parameters
    ----------
    data
        Dataframe of any engine narwhals knows.
    columns
        Argument name to the column name(s) given for it; None is passed over.

    Raises
    ------
    ValueError
        Naming the argument, the column and the nearest spelling.
    """
    check_names(data)
    names = column_names(data)
    for argument, wanted in columns.items():
        for name in as_list(wanted):
            if name in names:
                continue
            if not isinstance(name, str):
                raise TypeError(f"`{argument}` must be the name of a column; got {name}.")
            near = nearest(name, names)
            hint = f"Did you mean '{near}'?" if near else f"The data have {_some(names)}."
            raise ValueError(f"`{argument}` must be a column of the data; got '{name}'. {hint}")


def as_list(names: str | Sequence[str] | None) -> list[str]:
    """One name, several or none, as a list.

    Examples
    --------
    >>> as_list("terminal"), as_list(None), as_list(("a", "b"))
    (['terminal'], [], ['a', 'b'])
    """
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def check_names(data: Any) -> None:
    """Refuse columns that stand twice, or differ only in case: SQL engines take them for one."""
    if not isinstance(data, pd.DataFrame):
        return
    seen: dict[str, str] = {}
    for name in map(str, data.columns):
        other = seen.get(name.casefold())
        seen[name.casefold()] = name
        if other is not None:
            raise ValueError(
                f"`data` must have columns whose names differ by more than case; got '{other}' "
                f"and '{name}'. Rename one of them."
            )


def scan(data: Any, columns: Iterable[str]) -> nw.LazyFrame:
    """The named columns as a lazy frame in which NaN is null.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame. Of a pandas frame only the named
        columns are looked at; mixed ``object`` columns become text.
    columns
        Names of columns that exist (see `check_columns`); repeats are dropped.

    Returns
    -------
    narwhals.LazyFrame
    """
    wanted = list(dict.fromkeys(columns))
    if isinstance(data, pd.DataFrame):
        # DuckDB reads the NaN of a pandas frame as null
        return _narwhals(_pandas_to_duckdb(data[wanted]))
    lazy = _narwhals(data).select(wanted)
    schema = lazy.collect_schema()
    floats = [name for name, dtype in schema.items() if dtype.is_float()]
    engine = lazy.implementation
    known: list[nw.Expr]
    if engine.is_polars() or engine.is_pyspark():
        # NaN is above infinity there, and found so in half the time
        known = [nw.when(nw.col(name) <= float("inf")).then(nw.col(name)) for name in floats]
    else:
        known = [without_nan(nw.col(name)) for name in floats]
    named = [value.alias(name) for value, name in zip(known, floats, strict=True)]
    return fenced(lazy.with_columns(named))


def group_sums(
    lazy: nw.LazyFrame, keys: Sequence[str], sums: Sequence[nw.Expr], constant: Iterable[str] = ()
) -> nw.LazyFrame:
    """One GROUP BY: the keys, then the sums.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
    keys : sequence of str
        Columns that make the groups.
    sums : sequence of narwhals.Expr
    constant : iterable of str
        Keys that are 0 on every row. They are put beside the sums: grouping by a constant
        costs Polars the memory of all rows, and any engine three times as long as a plain sum.
    """
    constant = set(constant)
    varying = [key for key in keys if key not in constant]
    if varying:
        found = lazy.group_by(varying).agg(*sums)
    else:
        # a plain sum of no rows is a row; there is no group then
        rows = nw.len().alias("_rows")
        found = lazy.select(*sums, rows).filter(nw.col("_rows") > 0).drop("_rows")
    placed = [nw.lit(0).alias(key) if key in constant else nw.col(key) for key in keys]
    names = found.collect_schema().names()
    return found.select(*placed, *(name for name in names if name not in varying))


def collect_rows(lazy: nw.LazyFrame, data: Any) -> pd.DataFrame:
    """The rows themselves, for what is not a function of sums.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
        The rows wanted.
    data
        The frame they come from. A pandas frame is in memory already, whatever its size.

    Raises
    ------
    ValueError
        For more than `MOST_CELLS` cells.
    """
    if isinstance(data, pd.DataFrame):
        return collect(lazy)
    width = len(lazy.collect_schema())
    n = int(collect(lazy.select(n=nw.len()))["n"].iloc[0])
    if n * width > MOST_CELLS:
        raise ValueError(
            f"`data` must have at most {MOST_CELLS // width:,} rows here, because rows are "
            f"resampled or compared one by one; got {n:,}. Read a part with where= or period=, or "
            "take moments(), scorecard() or touchpoint_correlations(), which need sums only."
        )
    return collect(lazy)


def in_memory(data: Any, columns: Iterable[str]) -> pd.DataFrame:
    """The named columns as a pandas frame: the frame itself, or fetched by `collect_rows`."""
    if isinstance(data, pd.DataFrame):
        return data
    return collect_rows(scan(data, columns), data)


def declared_order(data: Any, column: str) -> list[str] | None:
    """Values of an ordered column as the study declares them; None where no order is known.

    As text (see `label`). pandas, DuckDB and Polars have a type for it; Ibis and PySpark don't.
    """
    if isinstance(data, pd.DataFrame):
        dtype = data[column].dtype
        declared = dtype.categories if isinstance(dtype, pd.CategoricalDtype) else None
    else:
        kind = _narwhals(data).select(column).collect_schema()[column]
        declared = kind.categories if isinstance(kind, nw.Enum) else None
    return None if declared is None else list(dict.fromkeys(str(label(name)) for name in declared))


def label(value: Any) -> Any:
    """What a group is called: whole numbers have no decimals, and dates no midnight.

    Examples
    --------
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
    """Key that sorts the numbers in names by size.

    Examples
    --------
    >>> sorted(["Wave 10", "Wave 2", "2025-Q1", "2025-01", "2024"], key=natural_order)
    ['2024', '2025-01', '2025-Q1', 'Wave 2', 'Wave 10']
    """
    parts = re.split(r"(\d+)", name)
    return [int(part) if i % 2 else part for i, part in enumerate(parts)], name


def with_wall_times(data: Any, columns: Iterable[str]) -> Any:
    """The same frame, whose times of a time zone are the hours that its clocks showed.

    A pandas frame's would come back as UTC, which has another day.
    """
    if not isinstance(data, pd.DataFrame):
        return data
    zoned = [name for name in dict.fromkeys(columns) if _time_zone(data[name].dtype)]
    if not zoned:
        return data
    return data.assign(**{name: data[name].dt.tz_localize(None) for name in zoned})


def _time_zone(dtype: Any) -> Any:
    return getattr(getattr(dtype, "pyarrow_dtype", dtype), "tz", None)


def check_numeric(lazy: nw.LazyFrame, columns: Mapping[str, str | Sequence[str] | None]) -> None:
    """Refuse text where numbers are needed.

    Raises
    ------
    TypeError
        Naming the argument, the column, and one of its values.
    """
    schema = lazy.collect_schema()
    for argument, wanted in columns.items():
        for name in as_list(wanted):
            if schema[name].is_numeric():
                continue
            column = nw.col(name)
            sample = collect(lazy.filter(~column.is_null()).select(column).head(1))
            value = sample.iloc[0, 0] if len(sample) else schema[name]
            raise TypeError(
                f"`{argument}` must be a column of numbers; got {got([str(value)])} in '{name}'. "
                "Read the file through its study (load_study(...).read()), which turns codes "
                "and labels into numbers and missing reasons."
            )


def check_choice(argument: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a value that is not among the choices, naming the nearest spelling."""
    choices = list(choices)
    if value not in choices:
        raise ValueError(unknown(argument, value, choices))


def _narwhals(data: Any) -> nw.LazyFrame:
    try:
        frame = nw.from_native(data)
    except TypeError as error:
        raise TypeError(
            "`data` must be a pandas, Polars, DuckDB, Ibis or PySpark frame; "
            f"got {type(data).__name__}. Read answers with load_study(...).read()."
        ) from error
    return frame.lazy()


def _pandas_to_duckdb(frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    frame = frame.assign(
        **{name: plain for name in frame if (plain := _plain(frame[name])) is not None}
    )
    database = _database(os.getpid(), len(frame) < SINGLE_THREAD_ROWS)
    # a connection of its own: two threads may not share one
    return database.cursor().from_df(frame)


@lru_cache(maxsize=2)
def _database(process: int, one_thread: bool) -> duckdb.DuckDBPyConnection:
    """An empty database in memory, one for each process: to open it takes longer than a sum."""
    return duckdb.connect(config={"threads": 1} if one_thread else {})


def _plain(column: pd.Series) -> pd.Series | None:
    """The column in a type that every engine has, or None where it is in one already."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        words = all(isinstance(name, str) for name in dtype.categories)
        return None if words else _as_text(column.astype(object).map(label, na_action="ignore"))
    if dtype.kind == "O" and column.isna().all():
        return column.astype("float64")
    if (numbers := _decimals(column)) is not None:
        return numbers
    if isinstance(dtype, pd.ArrowDtype) and dtype.kind == "f":
        # the one kind of float whose NaN DuckDB would keep
        return column.astype("float64")
    if dtype.kind == "O" or isinstance(dtype, pd.PeriodDtype | pd.IntervalDtype):
        return _as_text(column)
    return None


def _as_text(column: pd.Series) -> pd.Series:
    return column.astype(object).map(str, na_action="ignore").astype("str")


def _decimals(column: pd.Series) -> pd.Series | None:
    """Decimal numbers as floating-point ones; None for anything else, and for long ids."""
    dtype = column.dtype
    if isinstance(dtype, pd.ArrowDtype):
        known = pa.types.is_decimal(dtype.pyarrow_dtype)
    else:
        plain = isinstance(dtype, np.dtype) and dtype.kind == "O"
        known = plain and pd.api.types.infer_dtype(column, skipna=True) == "decimal"
    if not known:
        return None
    numbers = column.astype(object).where(column.notna(), np.nan).astype("float64")
    return numbers if not numbers.abs().max() > LARGEST_EXACT else None


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")
