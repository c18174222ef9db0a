"""Any dataframe engine's answers, opened once: columns checked, numbers floats, one lazy frame.

Every estimator reads rows through here, so that a pandas, Polars or DuckDB frame
gives the same digits: the query is written once, in narwhals, and pandas frames run
it inside DuckDB (narwhals' own pandas back end falls back to ``apply``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd
import pyarrow as pa

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.engines import (
    PART_ROWS,
    arrow_parts,
    collect,
    collect_narrow,
    fenced,
    from_pandas,
    random_rows,
    row_count,
    without_nan,
)
from cxlab.core.labels import label, natural_order, row_labels
from cxlab.core.messages import got, nearest, unknown

#: A pandas frame of fewer values (rows × scores) than this is added up in NumPy: building
#: hundreds of SQL sums takes longer than adding its numbers.
NUMPY_VALUES = 10_000_000
#: Cells (rows × columns) that are fetched where the rows themselves are needed, at most:
#: about a gigabyte.
MOST_CELLS = 100_000_000


@dataclass(frozen=True, eq=False)
class Opened:
    """Answers whose columns have been checked: what is built on it checks none again.

    Attributes
    ----------
    data
        The frame that was opened.
    lazy : narwhals.LazyFrame
        Its columns that are used, NaN as null. Numbers are floats; times of a time zone are
        the hours that its clocks showed.
    columns : dict of str to list of str
        Argument name to the names given for it.
    design : Design
    given : narwhals.LazyFrame, optional
        What ``lazy`` was when the frame was opened: its columns are those of ``data``.
    """

    data: Any
    lazy: nw.LazyFrame
    columns: dict[str, list[str]]
    design: Design
    given: nw.LazyFrame | None = None

    @cached_property
    def n(self) -> int:
        """Rows."""
        return row_count(self.data if isinstance(self.data, pd.DataFrame) else self.lazy)

    @cached_property
    def most_rows(self) -> int:
        """Most rows of one customer; 1 where the design names no customers."""
        if self.design.customer is None:
            return 1
        customer = nw.col(self.design.customer)
        known = self.lazy.filter(~customer.is_null())
        often = known.group_by(self.design.customer).agg(nw.len().alias("_rows"))
        found = collect(often.select(nw.col("_rows").max()))["_rows"].fillna(1)
        return int(found.max()) if len(found) else 1

    def is_small(self, scores: int) -> bool:
        """Whether so many scores are sooner added up in memory than by a query."""
        return isinstance(self.data, pd.DataFrame) and len(self.data) * scores <= NUMPY_VALUES

    def rows(self, columns: Iterable[str] | None = None) -> pd.DataFrame:
        """The rows themselves, of some columns or all: see `collect_rows`."""
        lazy = self.lazy if columns is None else self.lazy.select(list(dict.fromkeys(columns)))
        return collect_rows(lazy, self.data)

    def with_columns(self, values: Mapping[str, nw.Expr]) -> Opened:
        """The same answers with further columns, or others; of a pandas frame in memory too."""
        if not values:
            return self
        data: Any = self.lazy.with_columns(**values)
        lazy = data
        if isinstance(self.data, pd.DataFrame):
            data = collect(data)
            lazy = _narwhals(from_pandas(data))
        return replace(self, data=data, lazy=lazy)

    def narrow_rows(
        self, numbers: Iterable[str], most: int | None = None
    ) -> tuple[pd.DataFrame, str]:
        """As `rows`; beyond 65,536 rows ``numbers`` are the narrowest floats that hold them.

        Of more than ``most`` cells (`MOST_CELLS`) rows are drawn at random; the second thing returned
        says so, and is empty otherwise.
        """
        if self.n <= PART_ROWS:
            return self.rows(), ""
        most = most or MOST_CELLS
        cells = self.n * len(self.lazy.collect_schema())
        if cells <= most:
            return collect_narrow(self.lazy, set(numbers)), ""
        if not self.lazy.implementation.is_duckdb():
            check_cells(self.lazy, self.n, most)
        frame = collect_narrow(self.lazy, set(numbers), random_rows(most / cells))
        return frame, f"{len(frame):,} of {self.n:,} answers, drawn at random"

    def arrow_parts(self, columns: Sequence[str], size: int) -> list[Iterable[pa.RecordBatch]]:
        """Numbers of a frame that DuckDB reads: see `cxlab.core.engines.arrow_parts`.

        In the type that the data have, if they can be taken from them, whose NaN may stand for null.
        """
        data = self.data if self.lazy is self.given else None
        data = data.to_native() if isinstance(data, nw.LazyFrame) else data
        if not isinstance(data, duckdb.DuckDBPyRelation):
            data = self.lazy.to_native()
        return arrow_parts(data, columns, size)


def open_frame(
    data: Any,
    *,
    numbers: Mapping[str, str | Sequence[str] | None] | None = None,
    design: DesignLike = None,
    **columns: str | Sequence[str] | None,
) -> Opened:
    """Check all columns that an estimator takes, and open the frame.

    ``numbers``: argument name to the column(s) given for it, which must hold numbers; ``columns``:
    those that may hold anything (groups, customers, dates). Of a pandas frame only the named columns
    are looked at; mixed ``object`` columns become text. Refused are columns that are not there, names
    that differ in case only, text where numbers are needed, weights that are not finite or below 0,
    and rows without a stratum.
    """
    known = as_design(design)
    numeric = {argument: as_list(names) for argument, names in (numbers or {}).items()}
    others = {argument: as_list(names) for argument, names in columns.items()}
    check_columns(data, {**numeric, **others, **known.columns()})
    labels = [name for names in others.values() for name in names]
    floats = [name for names in numeric.values() for name in names]
    # without any column there is nothing to count rows by
    wanted = [*floats, *labels, *known.used()] or column_names(data)[:1]
    lazy = scan(with_wall_times(data, labels), wanted)
    weights = {"weights": known.weights, "stratum_clusters": known.stratum_clusters}
    check_numeric(lazy, {**numeric, **weights})
    _check_design(lazy, known)
    floats += [name for name in weights.values() if name]
    schema = lazy.collect_schema()
    cast = {name: nw.col(name).cast(nw.Float64) for name in floats if schema[name] != nw.Float64}
    lazy = lazy.with_columns(**cast) if cast else lazy
    return Opened(data, lazy, numeric | others, known, given=lazy)


def column_names(data: Any) -> list[str]:
    """Names of the columns of a dataframe of any engine, in order."""
    check_names(data)
    return list(_narwhals(data).collect_schema().names())


def check_columns(data: Any, columns: Mapping[str, str | Sequence[str] | None]) -> None:
    """Refuse column names that the data do not have; of each argument, None is passed over."""
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


def _check_design(lazy: nw.LazyFrame, design: Design) -> None:
    """Refuse weights that are null, negative or infinite, and rows without a stratum."""
    wrong: dict[str, nw.Expr] = {}
    if design.weights:
        weight = nw.col(design.weights).cast(nw.Float64)
        wrong["weights"] = weight.is_null() | ~((weight >= 0) & (weight < float("inf")))
    if design.stratum_clusters:
        sampled = nw.col(design.stratum_clusters).cast(nw.Float64)
        wrong["stratum_clusters"] = ~sampled.is_null() & ~(
            (sampled >= 0) & (sampled < float("inf"))
        )
    if design.strata:
        wrong["strata"] = nw.col(design.strata).is_null()
    if not wrong:
        return
    counted = {
        name: nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
        for name, condition in wrong.items()
    }
    rows = collect(lazy.select(**counted)).fillna(0).iloc[0].astype(int)
    advice = {
        "weights": "Give a row that is outside the population the weight 0.",
        "stratum_clusters": "Give the number of clusters sampled, or leave it blank.",
    }
    for argument, what_to_do in advice.items():
        if rows.get(argument, 0):
            column = design.columns()[argument]
            bad = collect(lazy.filter(wrong[argument]).select(nw.col(str(column)).cast(nw.Float64)))
            values = [str(value) for value in bad.iloc[:, 0]]
            raise ValueError(
                f"`{argument}` must be finite numbers of 0 or more; got {got(values)} in "
                f"'{column}'. {what_to_do}"
            )
    if rows.get("strata", 0):
        raise ValueError(
            f"`strata` must be given for every row; got null in '{design.strata}' for "
            f"{rows['strata']:,} rows. Fill them in, or leave `strata` out."
        )


def as_list(names: str | Sequence[str] | None) -> list[str]:
    """One name, several or none, as a list."""
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
        if other == name:
            raise ValueError(
                f"`data` must have each column once; got '{name}' twice. Leave one out, or rename it."
            )
        if other is not None:
            raise ValueError(
                f"`data` must have columns whose names differ by more than case; got '{other}' "
                f"and '{name}'. Rename one of them."
            )


def scan(data: Any, columns: Iterable[str]) -> nw.LazyFrame:
    """The named columns as a lazy frame in which NaN is null; see `open_frame`."""
    wanted = list(dict.fromkeys(columns))
    if isinstance(data, pd.DataFrame):
        # DuckDB reads the NaN of a pandas frame as null
        return _narwhals(from_pandas(data[wanted]))
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

    Keys that are 0 on every row (``constant``) are put beside the sums: grouping by a constant costs
    Polars the memory of all rows, and any engine three times as long as a plain sum.
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
    """The rows themselves, for what is not a function of sums; at most `MOST_CELLS` cells.

    A pandas frame is in memory already, whatever its size.
    """
    if not isinstance(data, pd.DataFrame):
        check_cells(lazy, row_count(lazy), MOST_CELLS)
    return collect(lazy)


def check_cells(lazy: nw.LazyFrame, n: int, most: int) -> None:
    """Refuse to fetch ``n`` rows of more cells than ``most``."""
    width = len(lazy.collect_schema())
    if n * width > most:
        raise ValueError(
            f"`data` must have at most {most // width:,} rows here, because rows are "
            f"resampled or compared one by one; got {n:,}. Read a part with where= or period=, or "
            "take scorecard() or touchpoint_correlations(), which need sums only."
        )


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
    """Refuse text where numbers are needed; yes or no (booleans) count as 1 and 0."""
    schema = lazy.collect_schema()
    for argument, wanted in columns.items():
        for name in as_list(wanted):
            if schema[name].is_numeric() or schema[name] == nw.Boolean:
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


def _some(names: Sequence[str], limit: int = 8) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown + (f" and {len(names) - limit} more" if len(names) > limit else "")


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
