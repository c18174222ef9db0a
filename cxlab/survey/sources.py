"""Where the raw rows of a table come from: declared files, folders of them, frames given."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.messages import got, unknown
from cxlab.survey.cells import as_text, text_cells
from cxlab.survey.datasets import data_places, find_file
from cxlab.survey.definition import Table
from cxlab.survey.exports import read_answers
from cxlab.survey.exports.reading import is_plain
from cxlab.survey.files import CHUNK_ROWS, READABLE, ending_of, read_chunks


@dataclass(frozen=True)
class RawTable:
    """One raw table, of which nothing has been read."""

    name: str  # file or source, for messages
    #: Opens it: its cells, some hundred thousand rows at a time. The first chunk may have no
    #: rows, but it has the headers.
    chunks: Callable[[], Iterator[pa.Table]]
    path: Path | None = None  # of a file
    beside: Path | None = None  # of the file with more columns of the same rows

    @property
    def paths(self) -> list[Path]:
        """The files that its cells come from."""
        return [path for path in (self.path, self.beside) if path]

    @property
    def headers(self) -> list[str]:
        """Its headers as they stand."""
        return list(next(self.chunks()).column_names)


def find_files(file: str, folder: Path) -> list[Path]:
    """The files that a study declares: the one named, all of a folder, or those of a pattern."""
    roots = data_places(folder)
    for root in roots:
        if (root / file).is_dir():
            return _files_in(root / file, file)
    try:
        return [find_file(file, folder)]
    except FileNotFoundError:
        pattern = _pattern(file)
        for root in roots if pattern else []:
            matched = sorted(path for path in root.glob(pattern) if _wanted(path, file))
            if matched:
                return matched
        raise


def _files_in(folder: Path, file: str) -> list[Path]:
    found = [path for path in folder.iterdir() if _wanted(path) and ending_of(path) in READABLE]
    if not found:
        raise FileNotFoundError(
            f"{file} must hold files of answers ({', '.join(READABLE)}); got none."
        )
    return sorted(found)


def _pattern(file: str) -> str:
    """A declared name as a pattern; empty where it is none.

    ``*``, ``?`` and ranges such as ``[0-9]`` make a pattern. Other brackets are part of a name:
    as a pattern, ``wave[1].csv`` would be its neighbour ``wave1.csv``.

    Examples
    --------
    >>> _pattern("wave[1].csv"), _pattern("[final] wave[0-9].csv")
    ('', '[[]final] wave[0-9].csv')
    """
    ranges = r"!?.-.[^]]*\]"
    is_pattern = re.search(rf"[*?]|\[{ranges}", file)
    return re.sub(rf"\[(?!{ranges})", "[[]", file) if is_pattern else ""


def raw_files(
    table: Table, folder: Path, wanted: Sequence[str] | None
) -> dict[str, list[RawTable]]:
    """Declared files that hold the wanted periods, by the period that each is of."""
    if "" in table.files:
        periods = [""]
    else:
        _check_periods(wanted or [], table)
        periods = list(wanted or table.files)
    return {
        period: [
            _with_more(raw_file(path, table), table, period, folder)
            for path in find_files(table.files[period], folder)
        ]
        for period in periods
    }


def _with_more(raw: RawTable, table: Table, period: str, folder: Path) -> RawTable:
    """A declared file with the columns of the file beside it."""
    if table.beside is None:
        return raw
    path = find_file(table.beside, folder)

    def chunks() -> Iterator[pa.Table]:
        beside = read_beside(table, period, path)
        for chunk in raw.chunks():
            if both := sorted(set(chunk.column_names) & set(beside.names)):
                raise ValueError(
                    f"{path.name} must hold other columns than {raw.name}; got '{both[0]}' in "
                    "both. Take it out of one."
                )
            yield beside.joined(chunk)

    return replace(raw, chunks=chunks, beside=path)


@dataclass(frozen=True)
class Beside:
    """More columns of a table's rows, by the id of the row."""

    key: str
    rows: pa.Table

    @property
    def names(self) -> list[str]:
        """The columns but for the id."""
        return [name for name in self.rows.column_names if name != self.key]

    def joined(self, chunk: pa.Table) -> pa.Table:
        """Raw rows with these columns; one that they have already stays theirs."""
        lacking = [name for name in self.names if name not in chunk.column_names]
        if not lacking or self.key not in chunk.column_names:
            return chunk
        at = pc.index_in(_texts(chunk, self.key), _texts(self.rows, self.key))
        for name in lacking:
            cells = pc.fill_null(_texts(self.rows, name).take(at), "")
            chunk = chunk.append_column(name, cells)
        return chunk


def read_beside(table: Table, period: str, path: Path) -> Beside:
    """The file beside a table, checked."""
    (named,) = table.with_role("id")
    key = str(named.header(period or None))
    rows = pa.concat_tables(raw_file(path, table).chunks())
    if key not in rows.column_names:
        raise ValueError(
            f"{path.name} must have the column '{key}', which says whose rows they are; got "
            f"{got(rows.column_names)}."
        )
    ids = _texts(rows, key).to_pandas()
    if ids.duplicated().any():
        again = got([*ids[ids.duplicated()]])
        raise ValueError(f"{path.name} must hold each {key} once; got {again} again.")
    return Beside(key, rows)


def beside_source(table: Table, period: str, folder: Path) -> Beside | None:
    """What joins a frame that stands in for the declared file; None where there is nothing."""
    if table.beside is None:
        return None
    try:
        return read_beside(table, period, find_file(table.beside, folder))
    except FileNotFoundError:
        return None


def _texts(cells: pa.Table, name: str) -> pa.Array:
    """A column as the text of a file."""
    return as_text(cells.select([name])).column(0).combine_chunks()


def raw_file(path: Path, table: Table) -> RawTable:
    """A declared file: in chunks, or whole where only its own reader knows it (workbooks …)."""

    def chunks() -> Iterator[pa.Table]:
        if is_plain(path, table):
            yield from read_chunks(path, table.encoding, table.separator)
        else:
            yield pa.Table.from_pandas(read_answers(path, table), preserve_index=False)

    return RawTable(path.name, chunks, path)


def given_tables(table: Table, source: Any, wanted: Sequence[str] | None) -> dict[str, Any]:
    """Period to the raw table that stands in for its file; ``""`` for a table of all periods."""
    if "" in table.files:
        return {"": source}
    if isinstance(source, Mapping):
        given = {str(period): raw for period, raw in source.items()}
        _check_periods([*given, *(wanted or [])], table)
        return {period: given[period] for period in wanted or given if period in given}
    if wanted is None or len(wanted) != 1:
        raise ValueError(
            f"`source` must be a mapping of period to raw table, because table '{table.name}' has a "
            f"file per period; got {type(source).__name__}. Or name its one period in `period`."
        )
    _check_periods(wanted, table)
    return {wanted[0]: source}


def _check_periods(periods: Iterable[str], table: Table) -> None:
    for period in periods:
        if period not in table.files:
            raise ValueError(unknown("period", period, table.files))


def raw_frame(frame: Any, beside: Beside | None = None) -> RawTable:
    """A frame of any engine but Spark, with what stands beside it."""

    def chunks() -> Iterator[pa.Table]:
        return (beside.joined(chunk) if beside else chunk for chunk in _batches(frame))

    return RawTable("`source`", chunks)


def _batches(frame: Any) -> Iterator[pa.Table]:
    if isinstance(frame, pd.DataFrame):
        yield text_cells(frame)
        return
    try:
        opened = nw.from_native(frame)
    except TypeError:
        opened = None
    if opened is not None and opened.implementation.is_polars():
        frames = frame.lazy().collect_batches(chunk_size=CHUNK_ROWS, maintain_order=True)
        yield from (one.to_arrow() for one in frames)
    elif opened is not None and opened.implementation.is_duckdb():
        yield from _of_reader(frame.to_arrow_reader(CHUNK_ROWS))
    elif opened is not None and opened.implementation.is_ibis():
        backend = frame.get_backend()
        if backend.name == "duckdb":  # Ibis 12 asks DuckDB 2 for batches by an old name
            reader = backend.con.sql(frame.compile()).to_arrow_reader(CHUNK_ROWS)
        else:
            reader = frame.to_pyarrow_batches(chunk_size=CHUNK_ROWS)
        yield from _of_reader(reader)
    elif hasattr(frame, "__arrow_c_stream__"):
        yield from _of_reader(pa.RecordBatchReader.from_stream(frame))
    elif hasattr(frame, "__arrow_c_array__"):
        yield pa.table(frame)
    else:
        raise TypeError(
            "`source` must be a pandas, Polars, DuckDB, Ibis or PySpark frame, or an Arrow table; "
            f"got {type(frame).__name__}."
        )


def _of_reader(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    yield reader.schema.empty_table()
    for batch in reader:
        for start in range(0, len(batch), CHUNK_ROWS):
            yield pa.table(batch.slice(start, CHUNK_ROWS))


def engine_of(frame: Any) -> str:
    """Name of a given frame's engine, as `Study.read` takes it."""
    try:
        kind = nw.from_native(frame).implementation
    except TypeError:
        return "duckdb"  # Arrow's batches
    return "duckdb" if kind.is_pyarrow() else str(kind.value)


def _wanted(path: Path, pattern: str = "") -> bool:
    """Whether it is a file that is not hidden, as macOS's ._a.csv, unless it is asked for."""
    hidden = path.name.startswith(".") and not Path(pattern).name.startswith(".")
    return path.is_file() and not hidden
