"""Reading a data file as text, header and all."""

from __future__ import annotations

import csv
import gzip
import re
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import pandas as pd

from cxlab.core.characters import INVISIBLE, JOINERS, SPACE


def read_as_text(path: Path, encoding: str = "utf-8", separator: str | None = None) -> pd.DataFrame:
    """A CSV, TSV or Parquet file with every cell as text and the headers as they stand.

    Parameters
    ----------
    path : Path
        ``.csv``, ``.tsv`` (either may end in ``.gz``) or ``.parquet``.
    encoding : str
        Of the text file. A byte-order mark is dropped.
    separator : str, optional
        One character between cells; default: the one that a first line such as ``sep=;``
        names, else a comma, in ``.tsv`` a tab.

    Returns
    -------
    DataFrame
        Text; a blank cell is ``""``. Rows of a text file all of whose cells are blank are
        left out, but for those of a file with one column.

    Raises
    ------
    ValueError
        For an empty file, a wrong encoding, a line with too many cells, or a header that
        stands twice.
    """
    kind = next((suffix.lower() for suffix in reversed(path.suffixes) if suffix != ".gz"), "")
    if kind not in READABLE:
        raise ValueError(
            f"{path.name} must be one of {', '.join(READABLE)}, or .gz of a text file; "
            f"got '{kind}'. Save it as CSV."
        )
    if kind == ".parquet":
        frame = _read_parquet(path)
    else:
        named = separator or named_separator(path, encoding)
        frame = _read_delimited(path, encoding, named or usual_separator(path))
    headers = [str(header) for header in frame.columns]
    twice = sorted({header for header in headers if headers.count(header) > 1})
    if twice:
        raise ValueError(
            f"{path.name}: headers must be unique; got '{twice[0]}' twice. Rename one in the file."
        )
    if not len(frame):
        raise ValueError(f"{path.name} must hold at least one answer below its header; got none.")
    return frame


#: Characters of a line that may name the separator: a spreadsheet fills it up with them.
LONGEST_HINT = 500
#: Endings that `read_as_text` knows.
READABLE = (".csv", ".tsv", ".txt", ".parquet")


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
    if cells.shape[1] < 2:
        return cells
    blank = _is_blank(cells.iloc[:, 0])
    if not blank.any():
        return cells
    blank[blank] = cells[blank].apply(_is_blank).all(axis=1)
    return cells[~blank]


def _is_blank(texts: pd.Series) -> pd.Series:
    return ~texts.str.contains(f"[^{SPACE}{INVISIBLE}{JOINERS}]").astype(bool)


def read_cells(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    """Every cell of a text file, header rows and all; blank lines at the end are dropped.

    Raises
    ------
    ValueError
        For an empty file, a wrong encoding, or lines of different lengths.
    """
    try:
        # header=None: pandas would rename a repeated header without a word
        cells = pd.read_csv(
            path,
            sep=separator,
            header=None,
            skiprows=0 if named_separator(path, encoding) is None else 1,
            dtype=str,
            keep_default_na=False,
            # in a file of one column a blank line is somebody who did not answer
            skip_blank_lines=not _one_column(path, encoding, separator),
            skipinitialspace=separator != " ",
            encoding="utf-8-sig" if encoding.lower() in ("utf-8", "utf8") else encoding,
        )
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
        reason = str(error).removeprefix("Error tokenizing data. C error: ").strip()
        raise ValueError(
            f"{path.name} must have as many cells in each line as its header; {reason}. "
            "Check quotes and separators there."
        ) from error
    _check_short_lines(cells, path, encoding, separator)
    if cells.iat[-1, 0] != "":
        return cells
    filled = (cells != "").any(axis=1)
    last = int(filled.to_numpy().nonzero()[0].max(initial=-1))
    if last < 0:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    return cells.iloc[: last + 1]


def _read_delimited(path: Path, encoding: str, separator: str) -> pd.DataFrame:
    """First line as header; blank rows are no answers."""
    cells = read_cells(path, encoding, separator)
    frame = without_blank_rows(cells.iloc[1:]).reset_index(drop=True)
    frame.columns = pd.Index(cells.iloc[0].tolist())
    return frame


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


def _check_short_lines(cells: pd.DataFrame, path: Path, encoding: str, separator: str) -> None:
    """Refuse lines with fewer cells than the header, which pandas fills up without a word."""
    width = cells.shape[1]
    if width == 1 or not (cells.iloc[1:, -1] == "").any():
        return
    with _open_text(path, encoding) as stream:
        lines = _records(stream, path, encoding, separator)
        short = [(lines.line_num, len(line)) for line in lines if 0 < len(line) < width]
    if short:
        more = f" (and {len(short) - 1} more)" if len(short) > 1 else ""
        raise ValueError(
            f"{path.name} must have {width} cells in each line, as its header; got {short[0][1]} in "
            f"line {short[0][0]}{more}. The file may be cut, or a separator missing."
        )


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        frame = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path.name} must be a whole Parquet file; {error}.") from error
    return text_cells(frame)


def text_cells(frame: pd.DataFrame) -> pd.DataFrame:
    """A typed frame as a text file of it would read: every cell text, ``""`` for nothing."""
    cells = frame.reset_index(drop=True)
    texts = [_texts(cells.iloc[:, place]) for place in range(cells.shape[1])]
    return pd.DataFrame(dict(enumerate(texts)), index=cells.index).set_axis(cells.columns, axis=1)


def _texts(column: pd.Series) -> pd.Series:
    values = list(column)  # of Arrow's text views, whose cast pandas lacks, too
    zoned = [isinstance(value, pd.Timestamp) and value.tzinfo is not None for value in values]
    # in summer and winter a zone's offsets differ, which text could not tell from two zones
    if len({value.utcoffset() for value, one in zip(values, zoned, strict=True) if one}) > 1:
        values = [v.tz_convert("UTC") if one else v for v, one in zip(values, zoned, strict=True)]
    return pd.Series([cell_text(value) for value in values], dtype="str")


def cell_text(value: object) -> str:
    """One raw value as the text of a file; ``""`` for nothing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return str(value)
