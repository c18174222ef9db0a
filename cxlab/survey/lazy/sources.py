"""Raw tables that stay where they are: declared files in DuckDB or Polars, frames given."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.engines import as_lazy, collect, connection
from cxlab.survey.definition import Table
from cxlab.survey.exports.reading import is_plain
from cxlab.survey.files import named_separator, usual_separator
from cxlab.survey.lazy.lines import (
    TextFile,
    check_end,
    check_lines,
    duckdb_query,
    ends_in_returns,
    header_of,
    polars_scan,
    without_pattern,
)
from cxlab.survey.lazy.text import any_of, count, is_blank, is_empty
from cxlab.survey.sources import check_same_headers, read_text, table_name

#: A file that only pandas reads is taken into memory up to this size.
MOST_BYTES = 300_000_000
#: What the engines' own readers of text files can read.
PLAIN_LINES = (
    "text with a header in its first line, lines that end alike, quotes around whole cells,"
)


@dataclass(frozen=True)
class Raw:
    """One raw table, of which nothing has been read but its header.

    Attributes
    ----------
    rows : narwhals.LazyFrame
        Its cells, in columns named in ``names``.
    names : dict of str to str
        Header to column of ``rows``.
    name : str
        File or source, for messages.
    texts : tuple of TextFile
        Text files behind it, whose lines have not been looked at.
    by_pandas : callable, optional
        The same files read into memory, as far as they fit.
    """

    rows: nw.LazyFrame
    names: dict[str, str]
    name: str
    texts: tuple[TextFile, ...] = ()
    by_pandas: Callable[[], Raw] | None = None

    @property
    def cells(self) -> list[nw.Expr]:
        """Every raw cell of a row."""
        return [nw.col(cell) for cell in self.names.values()]


def line_looks(raw: Raw) -> dict[str, nw.Expr]:
    """What to count of a text file's rows, to know whether `check_rows` has to look closer."""
    if not raw.texts:
        return {}
    spaced = any_of(cell.str.starts_with(" ") for cell in raw.cells)
    looks = {"spaced": spaced.fill_null(False)}
    if len(raw.names) > 1:
        looks["blank"] = is_blank(raw.cells[0])
    if raw.rows.implementation.is_polars():
        looks["short"] = is_empty(raw.cells[-1])
    return looks


def check_rows(raw: Raw, found: dict[str, int]) -> Raw:
    """The raw table without rows all of whose cells are blank, its lines checked.

    Raises
    ------
    ValueError
        For lines that Polars has filled up without a word.
    """
    # Polars fills up a line that is too short
    if found.get("short") and not check_lines(raw.texts):
        return read_by_pandas(raw)
    # a quote after blanks is none to it, nor after two of them to DuckDB
    if found.get("spaced") and _holds(raw, [cell.str.contains('^ +"') for cell in raw.cells]):
        return read_by_pandas(raw)
    if found.get("blank"):
        blank = nw.all_horizontal(*map(is_blank, raw.cells), ignore_nulls=False)
        if _holds(raw, [is_blank(raw.cells[0]) & blank]):
            return replace(raw, rows=raw.rows.filter(~blank), texts=())
    return raw


def read_by_pandas(raw: Raw) -> Raw:
    """Files that stopped their engine, in memory.

    Raises
    ------
    ValueError
        For what is wrong with them, or when they are too large.
    """
    check_lines(raw.texts)
    if raw.by_pandas is None:
        raise ValueError(f"{raw.name} must be a readable text file. Read with engine='pandas'.")
    return raw.by_pandas()


def _holds(raw: Raw, conditions: Sequence[nw.Expr]) -> bool:
    found = any_of(condition.fill_null(False) for condition in conditions)
    return bool(collect(raw.rows.select(n=count(found)))["n"].fillna(0).iloc[0])


def raw_frame(frame: Any, name: str = "`source`") -> Raw:
    """A frame of any engine as a raw table."""
    rows = _typed(as_lazy(frame))
    headers = list(rows.collect_schema().names())
    return Raw(rows, {header: header for header in headers}, name)


def _typed(rows: nw.LazyFrame) -> nw.LazyFrame:
    """Columns without a type that hold nothing, as text: pandas writes blank columns so."""
    unknown = [name for name, dtype in rows.collect_schema().items() if dtype == nw.Unknown]
    if not unknown:
        return rows
    # one row will tell: a database's own types (UUID …) are not scanned for it
    filled = {name: rows.filter(~nw.col(name).is_null()).head(1) for name in unknown}
    found = {name: collect(one.select(n=nw.len()))["n"].iloc[0] for name, one in filled.items()}
    empty = [name for name, n in found.items() if not n]
    return rows.with_columns(nw.lit(None).cast(nw.String).alias(name) for name in empty)


class Opener:
    """Opens declared files in one engine; all on one DuckDB connection, so that they join."""

    def __init__(self, engine: str) -> None:
        self.engine = engine
        self.duckdb = connection()

    def open(self, paths: Sequence[Path], table: Table) -> Raw:
        """The files of one period as one raw table.

        Raises
        ------
        ValueError
            For files with different headers, a header that stands twice, or an encoding
            that the engine cannot read.
        """
        name = table_name(paths)
        parquet = {path.suffix.lower() == ".parquet" for path in paths}
        plain = all(is_plain(path, table) for path in paths)
        if plain and parquet == {True}:
            return self._parquet(paths, name)
        utf8 = table.encoding.lower().replace("-", "").replace("_", "") in ("utf8", "ascii")
        if plain and utf8 and parquet == {False}:
            return self._delimited(paths, table, name)
        return self._in_memory(paths, table, name, "all Parquet, or all UTF-8 text,")

    def _parquet(self, paths: Sequence[Path], name: str) -> Raw:
        import pyarrow.parquet as pq  # here, because it costs a tenth of a second

        try:
            headers = [pq.read_schema(path).names for path in paths]
        except (OSError, ValueError) as error:
            raise ValueError(f"{name} must be a whole Parquet file; {error}.") from error
        check_same_headers(headers, paths)
        # a folder named year=2024 is no column of the file's
        if self.engine == "duckdb":
            frame: Any = self.duckdb.read_parquet(
                [without_pattern(path) for path in paths],
                union_by_name=len(paths) > 1,
                hive_partitioning=False,
            )
        else:
            import polars as pl

            scans = [pl.scan_parquet(path, glob=False, hive_partitioning=False) for path in paths]
            parts = [scan.select(headers[0]) for scan in scans]
            frame = _stacked(parts, name) if len(parts) > 1 else parts[0]
        return raw_frame(frame, name)

    def _delimited(self, paths: Sequence[Path], table: Table, name: str) -> Raw:
        by_pandas = functools.partial(self._in_memory, paths, table, name, PLAIN_LINES)
        files = self._text_files(paths, table)
        if files is None:
            return by_pandas()
        scan = self._duckdb_rows if self.engine == "duckdb" else polars_scan
        same: dict[tuple[object, ...], list[TextFile]] = {}
        for file in files:
            same.setdefault((file.separator, file.header, file.compressed), []).append(file)
        names = dict(zip(files[0].header, files[0].columns, strict=True))
        parts = [as_lazy(scan(alike)).select(list(names.values())) for alike in same.values()]
        rows = nw.concat(parts, how="vertical") if len(parts) > 1 else parts[0]
        raw = Raw(rows, names, name, tuple(files), by_pandas)
        try:
            rows.collect_schema()
        except nw.exceptions.NarwhalsError:
            return read_by_pandas(raw)
        return raw

    def _text_files(self, paths: Sequence[Path], table: Table) -> list[TextFile] | None:
        """The files, their columns named alike; None for those that only pandas reads."""
        if any(named_separator(path, "utf-8") for path in paths):
            return None
        separators = [table.separator or usual_separator(path) for path in paths]
        found = [header_of(*place) for place in zip(paths, separators, strict=True)]
        headers = [header for header in found if header is not None]
        returns = self.engine == "polars" and any(ends_in_returns(path) for path in paths)
        if returns or len(headers) < len(found):
            return None
        check_same_headers(headers, paths)
        if len(headers[0]) == 1:
            for path in paths:
                check_end(path)
        names = {header: f"c{number}" for number, header in enumerate(headers[0])}
        return [
            TextFile(path, separator, header, tuple(names[one] for one in header))
            for path, separator, header in zip(paths, separators, headers, strict=True)
        ]

    def _duckdb_rows(self, files: Sequence[TextFile]) -> Any:
        return self.duckdb.sql(duckdb_query(files))

    def _in_memory(self, paths: Sequence[Path], table: Table, name: str, wanted: str) -> Raw:
        """What only pandas reads: platforms' exports, workbooks, other encodings."""
        size = sum(path.stat().st_size for path in paths)
        if size > MOST_BYTES:
            raise ValueError(
                f"{name} must be {wanted} to be read lazily at {size / 1e6:,.0f} MB; it is not. "
                "Save it as Parquet, or read with engine='pandas'."
            )
        frame = read_text(paths, table).cells.astype("str")
        names = {str(header): f"c{number}" for number, header in enumerate(frame.columns)}
        frame.columns = pd.Index(names.values())
        if self.engine == "duckdb":
            return Raw(as_lazy(self.duckdb.from_df(frame)), names, name)
        import polars as pl

        return Raw(as_lazy(pl.from_pandas(frame).lazy()), names, name)


def _stacked(parts: Sequence[Any], name: str) -> Any:
    import polars as pl

    try:
        frame = pl.concat(parts, how="vertical_relaxed")
        frame.collect_schema()
    except pl.exceptions.PolarsError as error:
        raise ValueError(
            f"{name}: files of one table must hold columns of like types; {error}. "
            "Store them alike, or read with engine='duckdb'."
        ) from error
    return frame
