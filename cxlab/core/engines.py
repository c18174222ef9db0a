"""What differs between dataframe engines: types they lack, how a result is fetched."""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxlab.core.labels import label

#: Below this many rows DuckDB sums on one thread: the order of a threaded floating-point
#: sum changes from run to run, and its last digits with it.
SINGLE_THREAD_ROWS = 5_000_000
#: Rows of which tables are made at a time.
PART_ROWS = 65_536
#: Rows of a Parquet file that one thread reads in a go, or one row group where that is longer.
THREAD_ROWS = 250_000
#: What DuckDB calls a relation that is all rows of Parquet files, and nothing besides.
PARQUET = re.compile(
    r"SELECT \* FROM parquet_scan\(\[(.*)\], binary_as_string := false, file_row_number := false, "
    r'filename := false, hive_partitioning := false, union_by_name := false\) AS "[^"]*"'
)
#: More rows than any table has.
NO_LIMIT = 2**62
#: Whole numbers up to this one are themselves as floating-point numbers.
LARGEST_EXACT = 2**53


def collect(lazy: nw.LazyFrame) -> pd.DataFrame:
    """Result of a query as a pandas frame with a fresh index."""
    engine = lazy.implementation
    if engine.is_polars():
        frame = lazy.collect("pandas", engine="streaming").to_native()
    elif engine.is_pyspark() or engine.is_pyspark_connect():
        # not by PySpark's own toPandas(), which pandas 3 warns about
        frame = lazy.collect("pyarrow").to_native().to_pandas()
    else:
        with warnings.catch_warnings():
            # an option of pandas 2 that Ibis sets
            warnings.filterwarnings("ignore", "The 'future.infer_string' option is deprecated")
            # DuckDB's way of giving times a zone
            warnings.filterwarnings("ignore", "The inplace keyword in DataFrame.drop")
            frame = lazy.collect("pandas").to_native()
    return frame.reset_index(drop=True)


def collect_narrow(
    lazy: nw.LazyFrame,
    numbers: Collection[str],
    drawn: Callable[[pa.RecordBatch], np.ndarray] | None = None,
) -> pd.DataFrame:
    """As `collect`, of millions of rows: ``numbers`` as the narrowest floats that hold them.

    DuckDB hands over some rows at a time, so that they are never all there as wide numbers;
    ``drawn`` tells which of them stay. Of each batch copies are kept: one column of it would keep
    all of it in memory.
    """
    if not lazy.implementation.is_duckdb():
        frame = collect(lazy)
        return frame.assign(**{name: narrow(frame[name].to_numpy()) for name in numbers})
    reader = lazy.to_native().to_arrow_reader(PART_ROWS)
    parts: dict[str, list[Any]] = {name: [] for name in reader.schema.names}
    for batch in reader:
        if drawn:
            batch = batch.filter(pa.array(drawn(batch)))
        for name, column in zip(parts, batch.columns, strict=True):
            known = name in numbers
            parts[name].append(
                narrow(column.to_numpy(zero_copy_only=False, writable=True))
                if known
                else column.to_pandas(date_as_object=False).copy()
            )
    return pd.DataFrame({name: _joined(parts.pop(name)) for name in list(parts)})


def random_rows(share: float) -> Callable[[pa.RecordBatch], np.ndarray]:
    """Which rows of one batch after another are drawn at random, the same ones every time.

    Of clusters too a part of the rows: their total varies as much as the clusters and the draw do, so
    that intervals over clusters hold, and no cluster is lost (of three whole ones none might be drawn).
    """
    generator = np.random.default_rng(0)

    def drawn(batch: pa.RecordBatch) -> np.ndarray:
        return generator.random(batch.num_rows) < share

    return drawn


def arrow_parts(relation: Any, columns: Sequence[str], size: int) -> list[Iterable[pa.RecordBatch]]:
    """Columns of a DuckDB relation in batches of Arrow, in parts that threads may read side by side.

    Where the relation is Parquet files alone Arrow reads them, which takes half the time of the
    way through DuckDB.
    """
    files = _parquet_files(relation, columns)
    if not files:
        named = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        return [relation.project(named).to_arrow_reader(size)]
    parts: list[Iterable[pa.RecordBatch]] = []
    for path, facts in files.items():
        groups = range(facts.num_row_groups)
        step = max(1, THREAD_ROWS * len(groups) // max(facts.num_rows, 1))
        for first in groups[::step]:
            chosen = list(groups[first : first + step])
            parts.append(_parquet_batches(path, facts, chosen, columns, size))
    return parts


def _parquet_files(relation: Any, columns: Sequence[str]) -> dict[str, pq.FileMetaData]:
    """The files that a relation is all rows of, if Arrow reads them as DuckDB does; else none."""
    query = PARQUET.fullmatch(relation.sql_query())
    paths = re.findall(r"'((?:[^']|'')*)'", query[1]) if query else []
    if any("://" in path for path in paths):
        return {}
    database = _database(os.getpid(), True).cursor()
    named = [path.replace("''", "'") for path in paths]
    # DuckDB takes * ? [ for a pattern
    found = [database.execute("SELECT file FROM glob(?)", [name]).fetchall() for name in named]
    paths = [path for matches in found for (path,) in matches]
    files = {path: pq.read_metadata(path) for path in paths}
    once = all(found) and len(files) == len(paths)
    return files if once and _of_one_type(list(files.values()), columns) else {}


def _of_one_type(files: Sequence[pq.FileMetaData], columns: Sequence[str]) -> bool:
    """Whether each column stands once in every file, in one type.

    DuckDB gives a column the type that it has in the first file; Arrow takes each as it comes.
    """
    types = set()
    for facts in files:
        schema = facts.schema.to_arrow_schema()
        if any(schema.names.count(name) != 1 for name in columns):
            return False
        types.add(tuple(schema.field(name).type for name in columns))
    return len(types) == 1


def _parquet_batches(
    path: str, facts: pq.FileMetaData, groups: list[int], columns: Sequence[str], size: int
) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path, metadata=facts, pre_buffer=False) as file:
        for batch in file.iter_batches(size, groups, list(columns), use_threads=False):
            yield batch.select(list(columns))


def _joined(parts: list[Any]) -> Any:
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return pd.concat(parts, ignore_index=True)


def narrow(values: np.ndarray) -> np.ndarray:
    """The same numbers in the narrowest float that holds every one of them exactly."""
    for kind in (np.float16, np.float32):
        with np.errstate(over="ignore"):
            narrower = values.astype(kind)
        if values.dtype.kind == "f" and np.array_equal(narrower, values, equal_nan=True):
            return narrower
    return values


def row_count(frame: Any) -> int:
    """Rows of a frame of any engine."""
    if isinstance(frame, pd.DataFrame):
        return len(frame)
    return int(collect(nw.from_native(frame).lazy().select(n=nw.len()))["n"].iloc[0])


def has_ordered_text(lazy: nw.LazyFrame) -> bool:
    """Whether the engine has a text type that keeps a declared order (DuckDB, Polars)."""
    return lazy.implementation.is_duckdb() or lazy.implementation.is_polars()


def without_nan(values: nw.Expr) -> nw.Expr:
    """Floating-point values, null where they are NaN.

    Neither ``is_nan()`` nor a comparison will do: DuckDB believes a Parquet file's lowest and
    highest value, which say nothing of NaN, and takes both for settled.
    """
    infinite = nw.when(values.abs() == float("inf")).then(values)
    return nw.when(values - values == 0).then(values).otherwise(infinite)


def fenced(lazy: nw.LazyFrame) -> nw.LazyFrame:
    """The same rows, whose expressions PostgreSQL works out once.

    Its planner writes the expressions of a subquery into every place that uses them, and
    theirs into those, until the query fills the memory. It leaves a subquery with a limit
    alone.
    """
    if not lazy.implementation.is_ibis():
        return lazy
    return lazy.head(NO_LIMIT) if lazy.to_native().get_backend().name == "postgres" else lazy


def connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection of its own, whose overflow goes to the system's temporary folder."""
    spill = Path(tempfile.gettempdir()) / "cxlab-duckdb"
    return duckdb.connect(config={"temp_directory": str(spill)})


def from_pandas(frame: pd.DataFrame) -> duckdb.DuckDBPyRelation:
    """A pandas frame inside DuckDB, which narwhals asks for sums in SQL.

    Its NaN is null there, mixed ``object`` columns are text.
    """
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
    if dtype == "str":
        return None
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
