"""Reading a data file as cells: headers as they stand, some hundred thousand rows at a time."""

from __future__ import annotations

import contextlib
import csv
import gzip
import itertools
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.characters import INVISIBLE, JOINERS, SPACE
from cxlab.survey.cells import as_text

#: Rows that are read and cleaned at a time.
CHUNK_ROWS = 250_000
#: Bytes of a text file that are looked at, and read, at a time.
BLOCK_BYTES = 16_000_000


def read_as_text(path: Path, encoding: str = "utf-8", separator: str | None = None) -> pd.DataFrame:
    """A CSV, TSV or Parquet file with every cell as text and the headers as they stand.

    A blank cell is ``""``; wholly blank rows are left out, but for those of a file of one column.
    Without a separator, the one that a first line such as ``sep=;`` names, else the usual one.
    """
    chunks = [as_text(chunk) for chunk in read_chunks(path, encoding, separator)]
    return pa.concat_tables(chunks).to_pandas()


def read_chunks(
    path: Path, encoding: str = "utf-8", separator: str | None = None
) -> Iterator[pa.Table]:
    """The cells of a CSV, TSV or Parquet file: text, or of a Parquet file's own types.

    Parameters, rows and errors are as for `read_as_text`.
    """
    kind = ending_of(path)
    if kind not in READABLE:
        raise ValueError(
            f"{path.name} must be one of {', '.join(READABLE)}, or .gz of a text file; "
            f"got '{kind}'. Save it as CSV."
        )
    if kind == ".parquet":
        chunks = _parquet_chunks(path)
    else:
        named = separator or named_separator(path, encoding)
        chunks = _text_chunks(path, encoding, named or usual_separator(path))
    first = next(chunks)
    check_headers_once(first.column_names, path.name)
    rows = 0
    for chunk in itertools.chain([first], chunks):
        rows += len(chunk)
        yield chunk
    if not rows:
        raise ValueError(f"{path.name} must hold at least one answer below its header; got none.")


def check_headers_once(headers: Iterable[str], name: str) -> None:
    """Refuse a header that stands twice."""
    seen = list(headers)
    twice = sorted({header for header in seen if seen.count(header) > 1})
    if twice:
        raise ValueError(
            f"{name}: headers must be unique; got '{twice[0]}' twice. Rename one in the file."
        )


#: Characters of a line that may name the separator: a spreadsheet fills it up with them.
LONGEST_HINT = 500
#: Endings that `read_as_text` knows.
READABLE = (".csv", ".tsv", ".txt", ".parquet")


def ending_of(path: Path) -> str:
    """The ending that says what a file is: what stands before ``.gz`` where that is there."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def usual_separator(path: Path) -> str:
    """A tab in ``.tsv`` files, else a comma."""
    return "\t" if ".tsv" in [suffix.lower() for suffix in path.suffixes] else ","


def named_separator(path: Path, encoding: str) -> str | None:
    """The separator that a first line such as ``sep=;`` names, as Excel reads it.

    Such a line is no header and no answer; None where the first line is another.
    """
    try:
        with _open_text(path, encoding) as stream:
            first = stream.readline(LONGEST_HINT)
    except (UnicodeError, LookupError, OSError, EOFError, zlib.error):
        return None  # reading says what is wrong
    named = re.fullmatch(r'\ufeff?"? *sep *= *(.)"?\1* *[\r\n]+', first, re.IGNORECASE)
    return named[1] if named else None


def text_lines(stream: Iterable[str], separator: str) -> Any:
    """A `csv.reader` of a text file's lines; a quote may stand after a blank."""
    return csv.reader(stream, delimiter=separator, skipinitialspace=separator != " ")


def without_blank_rows(cells: pd.DataFrame) -> pd.DataFrame:
    """Rows of which at least one cell is filled: any other is nobody's answer.

    In one column a blank row is somebody who did not answer, and is kept.

    Examples
    --------
    >>> without_blank_rows(pd.DataFrame({"a": ["5", "", ""], "b": ["", " ", "4"]}))
       a  b
    0  5
    2     4
    """
    columns = [pa.array(cells.iloc[:, place]) for place in range(cells.shape[1])]
    filled = _filled_rows(columns)
    return cells if filled is None else cells[filled.to_numpy(zero_copy_only=False)]


def _filled_rows(columns: list[Any]) -> Any:
    """Which rows hold something; None where all are kept."""
    if len(columns) < 2:
        return None
    filled = _filled(columns[0])
    if pc.all(filled).as_py() is not False:
        return None
    blank = pc.indices_nonzero(pc.invert(filled))
    anywhere = [_filled(column.take(blank)).to_numpy(zero_copy_only=False) for column in columns]
    kept = np.array(filled)
    kept[blank.to_numpy()] = np.logical_or.reduce(anywhere)
    return pa.array(kept)


def _filled(texts: Any) -> Any:
    found = pc.match_substring_regex(texts, f"[^{SPACE}{INVISIBLE}{JOINERS}]")
    return found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found


def read_cells(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    """Every cell of a text file, header rows and all; blank lines at the end are dropped."""
    whole = pd.concat(_cell_chunks(path, encoding, separator), ignore_index=True)
    filled = (whole != "").any(axis=1)
    last = int(filled.to_numpy().nonzero()[0].max(initial=-1))
    if last < 0:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    return whole.iloc[: last + 1]


def _cell_chunks(path: Path, encoding: str, separator: str) -> Iterator[pd.DataFrame]:
    """Cells of a text file as pandas reads them, which stumbles over no usual file."""
    with in_one_sentence(path, encoding):
        # in a file of one column a blank line is somebody who did not answer
        one_column = _one_column(path, encoding, separator)
        # header=None: pandas would rename a repeated header without a word
        chunks = pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=0 if named_separator(path, encoding) is None else 1,
            dtype=str,
            keep_default_na=False,
            skip_blank_lines=not one_column,
            skipinitialspace=separator != " ",
            encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding,
            chunksize=CHUNK_ROWS,
        )
        checked = False
        for chunk in _without_blank_end(chunks) if one_column else chunks:
            # pandas fills up lines that are too short without a word
            if not checked and chunk.shape[1] > 1 and (chunk.iloc[:, -1] == "").any():
                _check_short_lines(chunk.shape[1], path, encoding, separator)
                checked = True
            yield chunk


@contextlib.contextmanager
def in_one_sentence(path: Path, encoding: str) -> Iterator[None]:
    """What pandas complains of, as people say it."""
    try:
        yield
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.") from error
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path.name} must be {encoding} text; got byte 0x{error.object[error.start]:02x} at "
            f"position {error.start:,}. Declare the table's encoding in the study file, such as "
            'encoding = "cp1252".'
        ) from error
    except LookupError as error:
        raise ValueError(
            f"`encoding` of {path.name} must be the name of an encoding, such as 'utf-8' or "
            f"'cp1252'; got '{encoding}'."
        ) from error
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path.name} must be a whole gzip file; it is cut or of another kind. Get it again."
        ) from error
    except pd.errors.ParserError as error:
        if "inside string" in str(error):
            row = str(error).rsplit(" ", 1)[-1]
            raise ValueError(
                f"{path.name} must close every quote; one that opens in row {int(row) + 1} is never "
                "closed, as where a file is cut. Get the file again, or close the quote."
            ) from error
        told = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if told:
            cells, advice = f"{told[1]} cells", "Check quotes and separators there."
            if told[1] == "1":
                cells, advice = (
                    "one cell",
                    (
                        "Remove what stands above the header, such as a title or a blank line; a line "
                        "such as sep=; must come first and name the separator of the file."
                    ),
                )
            raise ValueError(
                f"{path.name} must have {cells} in each line, as its header; got {told[3]} in "
                f"line {told[2]}. {advice}"
            ) from error
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise ValueError(
            f"{path.name} must have as many cells in each line as its header; {reason}. "
            "Check quotes and separators there."
        ) from error


def _text_chunks(path: Path, encoding: str, separator: str) -> Iterator[pa.Table]:
    """Rows below the header, without blank ones; the first chunk may have none."""
    done = 0
    headers: list[str] = []
    for cells in _arrow_then_pandas(path, encoding, separator):
        columns = cells.columns
        if not done:
            headers = [column[0].as_py() for column in columns]
            columns = [column.slice(1) for column in columns]
        done += len(cells)
        filled = _filled_rows(columns)
        table = pa.table(columns, names=headers)
        yield table if filled is None else table.filter(filled)


def _arrow_then_pandas(path: Path, encoding: str, separator: str) -> Iterator[pa.Table]:
    """Cells by Arrow, which is several times as fast, and from where it stumbles by pandas."""
    done = 0
    if _is_plain(path, encoding, separator):
        try:
            for batch in _arrow_chunks(path, separator, named_separator(path, encoding)):
                yield pa.table(batch)
                done += len(batch)
            return
        except (pa.ArrowException, OSError, EOFError, zlib.error):
            pass  # pandas reads it, or says what is wrong
    for chunk in _cell_chunks(path, encoding, separator):
        if done < chunk.index[-1] + 1:
            left = chunk.loc[done:]
            yield pa.table({str(name): pa.array(left[name], pa.string()) for name in left})


def _without_blank_end(chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Cells of one column without the blank lines at the end."""
    held: list[pd.DataFrame] = []
    for chunk in chunks:
        filled = np.flatnonzero(chunk.iloc[:, 0] != "")
        if len(filled):
            yield from held
            yield chunk.iloc[: filled[-1] + 1]
            held, chunk = [], chunk.iloc[filled[-1] + 1 :]
        if len(chunk):
            held.append(chunk)


def _arrow_chunks(path: Path, separator: str, named: str | None) -> Iterator[Any]:
    import pyarrow.csv as arrow_csv  # here, because it costs a tenth of a second

    with open_bytes(path) as stream:
        lines = [stream.readline() for _ in range(2 if named else 1)]
    header = lines[-1].decode("utf-8-sig").strip("\r\n")
    width = len(next(text_lines([header], separator), []))
    with (
        open_bytes(path) as stream,
        arrow_csv.open_csv(
            stream,
            read_options=arrow_csv.ReadOptions(
                autogenerate_column_names=True, skip_rows=1 if named else 0, block_size=BLOCK_BYTES
            ),
            parse_options=arrow_csv.ParseOptions(delimiter=separator, newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types={f"f{place}": pa.string() for place in range(width)},
                null_values=[],
                strings_can_be_null=False,
            ),
        ) as reader,
    ):
        if len(reader.schema) != width:
            raise pa.ArrowInvalid("the first line is no header, or a part of it")
        yield from reader


def _is_plain(path: Path, encoding: str, separator: str) -> bool:
    """Whether Arrow reads a text file as pandas does, as far as its bytes tell.

    Not where a line ends in a carriage return alone, a quote stands behind a blank or is not
    closed, or the file has one column, whose blank lines are answers.
    """
    if encoding.lower().replace("-", "").replace("_", "") not in ("utf8", "ascii"):
        return False
    quotes, before, closed = 0, b"\n", True
    opening = (f'{separator}"'.encode(), b'\n"')
    with in_one_sentence(path, encoding):
        if _one_column(path, encoding, separator):
            return False
        with open_bytes(path) as stream:
            while block := stream.read(BLOCK_BYTES):
                if block.endswith(b"\r"):
                    block += stream.read(1)
                if b"\r" in block and block.count(b"\r") != block.count(b"\r\n"):
                    return False
                quotes += block.count(b'"')
                if b' "' in block or (before == b" " and block[:1] == b'"'):
                    return False
                # a quote within a word makes the count even where the last one stays open
                whole = before + block
                last = max(map(whole.rfind, opening))
                closed = b'"' in whole[last + 2 :] if last >= 0 else closed or b'"' in block
                before = block[-1:]
    return closed and quotes % 2 == 0


def _parquet_chunks(path: Path) -> Iterator[pa.Table]:
    import pyarrow.parquet as pq  # here, because it costs a tenth of a second

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            schema = file.schema_arrow
            yield schema.empty_table().select(_answers_of(schema))
            for batch in file.iter_batches(CHUNK_ROWS, columns=_answers_of(schema)):
                yield pa.table(batch)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} must be a whole Parquet file; {error}.") from error


def _answers_of(schema: pa.Schema) -> list[str]:
    """A Parquet file's columns, but for row numbers that pandas has put beside them."""
    index = (schema.pandas_metadata or {}).get("index_columns", [])
    return [name for name in schema.names if name not in index]


def write_whole(path: Path, text: str) -> None:
    """Write a text file at one stroke, so that a failure leaves the earlier one."""
    draft = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        draft.write_text(text, encoding="utf-8", newline="\n")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def open_bytes(path: Path) -> Any:
    """A file that may be packed, as bytes."""
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _open_text(path: Path, encoding: str) -> IO[str]:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding=encoding, newline="")
    return path.open(encoding=encoding, newline="")


def _one_column(path: Path, encoding: str, separator: str) -> bool:
    with _open_text(path, encoding) as stream:
        return len(next(_records(stream, path, encoding, separator), [])) == 1


def _records(stream: IO[str], path: Path, encoding: str, separator: str) -> Any:
    """A file's lines from the header on."""
    lines = text_lines(stream, separator)
    if named_separator(path, encoding) is not None:
        next(lines, None)
    return lines


def _check_short_lines(width: int, path: Path, encoding: str, separator: str) -> None:
    """Refuse lines with fewer cells than the header."""
    with _open_text(path, encoding) as stream:
        lines = _records(stream, path, encoding, separator)
        short = [(lines.line_num, len(line)) for line in lines if 0 < len(line) < width]
    if short:
        more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        raise ValueError(
            f"{path.name} must have {width} cells in each line, as its header; got {short[0][1]} in "
            f"line {short[0][0]}{more}. The file may be cut, or a separator missing."
        )
