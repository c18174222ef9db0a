"""Raw tables that stay where they are: declared files in DuckDB or Polars, frames given."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import pandas as pd

from cxlab.survey.definition import Table
from cxlab.survey.exports.reading import is_plain
from cxlab.survey.files import usual_separator
from cxlab.survey.lazy.engines import as_lazy, connection
from cxlab.survey.lazy.text import is_empty
from cxlab.survey.sources import check_same_headers, read_text, table_name

#: A file that only pandas reads is taken into memory up to this size.
MOST_BYTES = 300_000_000


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
    texts : tuple of Path
        Text files behind it, whose lines may be broken.
    """

    rows: nw.LazyFrame
    names: dict[str, str]
    name: str
    separator: str = ","
    texts: tuple[Path, ...] = ()

    @property
    def blank_line(self) -> nw.Expr | None:
        """Whether a row of a text file is nothing but separators: nobody's answer."""
        if not self.texts or len(self.names) == 1:
            return None
        blank = [is_empty(nw.col(cell)) for cell in self.names.values()]
        return nw.all_horizontal(*blank, ignore_nulls=False)


def raw_frame(frame: Any, name: str = "`source`") -> Raw:
    """A frame of any engine as a raw table."""
    rows = as_lazy(frame)
    headers = list(rows.collect_schema().names())
    return Raw(rows, {header: header for header in headers}, name)


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
        if all(is_plain(path, table) and path.suffix.lower() == ".parquet" for path in paths):
            return self._parquet(paths, name)
        utf8 = table.encoding.lower().replace("-", "").replace("_", "") in ("utf8", "ascii")
        if utf8 and all(is_plain(path, table) for path in paths):
            separator = table.separator or usual_separator(paths[0])
            return self._delimited(paths, separator, name)
        return self._in_memory(paths, table, name)

    def _parquet(self, paths: Sequence[Path], name: str) -> Raw:
        import pyarrow.parquet as pq  # here, because it costs a tenth of a second

        try:
            headers = [pq.read_schema(path).names for path in paths]
        except (OSError, ValueError) as error:
            raise ValueError(f"{name} must be a whole Parquet file; {error}.") from error
        check_same_headers(headers, paths)
        files = [str(path) for path in paths]
        if self.engine == "duckdb":
            frame: Any = self.duckdb.read_parquet(files, union_by_name=len(files) > 1)
        else:
            import polars as pl

            parts = [pl.scan_parquet(file, glob=False).select(headers[0]) for file in files]
            frame = _stacked(parts, name) if len(parts) > 1 else parts[0]
        return raw_frame(frame, name)

    def _delimited(self, paths: Sequence[Path], separator: str, name: str) -> Raw:
        headers = [_header(path, separator) for path in paths]
        check_same_headers(headers, paths)
        names = {header: f"c{number}" for number, header in enumerate(headers[0])}
        one_order: dict[tuple[str, ...], list[Path]] = {}
        for path, header in zip(paths, headers, strict=True):
            one_order.setdefault(tuple(header), []).append(path)
        scan = self._duckdb_text if self.engine == "duckdb" else _polars_text
        parts = [
            as_lazy(scan(files, [names[header] for header in order], separator))
            for order, files in one_order.items()
        ]
        parts = [part.select(list(names.values())) for part in parts]
        rows = nw.concat(parts, how="vertical") if len(parts) > 1 else parts[0]
        if len(names) == 1:
            for path in paths:
                _check_end(path)
        return Raw(rows, names, name, separator, tuple(paths))

    def _duckdb_text(
        self, paths: Sequence[Path], columns: Sequence[str], separator: str
    ) -> duckdb.DuckDBPyRelation:
        return self.duckdb.sql(delimited_query(paths, columns, separator))

    def _in_memory(self, paths: Sequence[Path], table: Table, name: str) -> Raw:
        """What only pandas reads: platforms' exports, workbooks, other encodings."""
        size = sum(path.stat().st_size for path in paths)
        if size > MOST_BYTES:
            raise ValueError(
                f"{name} must be UTF-8 text or Parquet to be read lazily at {size / 1e6:,.0f} MB; it "
                f"is not. Save it as Parquet, or read with engine='pandas'."
            )
        frame = read_text(paths, table).cells.astype("str")
        names = {str(header): f"c{number}" for number, header in enumerate(frame.columns)}
        frame.columns = pd.Index(names.values())
        if self.engine == "duckdb":
            return Raw(as_lazy(self.duckdb.from_df(frame)), names, name)
        import polars as pl

        return Raw(as_lazy(pl.from_pandas(frame).lazy()), names, name)


def delimited_query(paths: Sequence[Path], columns: Sequence[str], separator: str) -> str:
    """DuckDB's query of text files below their headers, every cell as text."""
    files = ", ".join(_quoted(str(path)) for path in paths)
    types = ", ".join(f"{_quoted(column)}: 'VARCHAR'" for column in columns)
    return (
        f"SELECT * FROM read_csv([{files}], header=false, skip=1, columns={{{types}}}, "
        f"delim={_quoted(separator)}, quote='\"', escape='\"', auto_detect=false, "
        "strict_mode=true, null_padding=false)"
    )


def broken_lines(raw: Raw) -> None:
    """Refuse text files whose lines are short, long or of another encoding.

    Raises
    ------
    ValueError
        Naming file and line.
    """
    for path in raw.texts:
        query = delimited_query([path], list(raw.names.values()), raw.separator)
        try:
            connection().sql(query).aggregate("count(*)").fetchall()
        except duckdb.Error as error:
            raise line_error(path.name, str(error)) from error


def line_error(name: str, message: str) -> ValueError:
    """DuckDB's complaint about a text file in one sentence."""
    line = re.search(r"Line: (\d+)", message)
    where = f"line {line[1]}" if line else "a line"
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if cells:
        return ValueError(
            f"{name} must have {cells[1]} cells in each line, as its header; got {cells[2]} in "
            f"{where}. The file may be cut, or a separator missing."
        )
    if "unicode" in message or "utf-8" in message:
        return ValueError(
            f"{name} must be utf-8 text; got other bytes in {where}. Declare the table's "
            'encoding in the study file, such as encoding = "cp1252".'
        )
    if "quote" in message:
        return ValueError(
            f"{name} must close every quote; one is never closed in {where}. Get the file "
            "again, or close the quote."
        )
    if "GZIP" in message:
        return ValueError(
            f"{name} must be a whole gzip file; it is cut or of another kind. Get it again."
        )
    return ValueError(f"{name} must be a readable text file; {message.splitlines()[0]}.")


def _polars_text(paths: Sequence[Path], columns: Sequence[str], separator: str) -> Any:
    import polars as pl

    return pl.scan_csv(
        [str(path) for path in paths],
        separator=separator,
        infer_schema=False,
        new_columns=list(columns),
        glob=False,
    )


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


def _header(path: Path, separator: str) -> list[str]:
    opened = gzip.open if path.suffix.lower() == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        try:
            header = next(csv.reader(stream, delimiter=separator), [])
        except UnicodeDecodeError as error:
            raise line_error(path.name, "utf-8, CSV Error on Line: 1") from error
    if not header:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    return header


def _check_end(path: Path) -> None:
    """In one column a blank line is an answer left blank, but for those at the end."""
    if path.suffix.lower() == ".gz":
        return
    with path.open("rb") as stream:
        stream.seek(max(0, path.stat().st_size - 64))
        tail = stream.read().replace(b"\r", b"")
    if tail.endswith(b"\n\n"):
        raise ValueError(
            f"{path.name} must not end in blank lines to be read lazily: in one column they read "
            "as answers left blank. Remove them, or read with engine='pandas'."
        )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
