"""Text files line by line: how DuckDB and Polars scan them, and what stops them."""

from __future__ import annotations

import csv
import gzip
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import duckdb

from cxlab.core.engines import connection
from cxlab.survey.files import text_lines

#: Beginning of a file in which its line ends are looked for.
_BEGINNING = 1_000_000


@dataclass(frozen=True)
class TextFile:
    """A text file with one header line.

    Attributes
    ----------
    path : Path
    separator : str
    header : tuple of str
    columns : tuple of str
        What the columns below the header are called in the rows.
    """

    path: Path
    separator: str
    header: tuple[str, ...]
    columns: tuple[str, ...] = ()

    @property
    def compressed(self) -> bool:
        """Whether it is a gzip file, by its name."""
        return self.path.suffix.lower() == ".gz"


def header_of(path: Path, separator: str) -> tuple[str, ...] | None:
    """The first line's cells; None where it is blank and others aren't.

    Raises
    ------
    ValueError
        For an empty file, or another encoding.
    """
    with cast("IO[str]", _opened(path, "rt", encoding="utf-8-sig", newline="")) as stream:
        lines = text_lines(stream, separator)
        try:
            first: list[str] = next(lines, [])
            if any(cell.strip() for cell in first):
                return tuple(first)
            if any(cell.strip() for line in lines for cell in line):
                return None
        except UnicodeDecodeError as error:
            raise _other_encoding(path.name, "line 1") from error
        except csv.Error as error:
            raise ValueError(f"{path.name} must be a readable text file; {error}.") from error
    raise ValueError(f"{path.name} must hold a header and answers; it is empty.")


def ends_in_returns(path: Path) -> bool:
    """Whether lines end in a carriage return alone, as on old Macs: Polars sees one line."""
    with cast("IO[bytes]", _opened(path, "rb")) as stream:
        beginning = stream.read(_BEGINNING)
    return b"\r" in beginning and b"\n" not in beginning


def check_end(path: Path) -> None:
    """Refuse blank lines at the end: in one column any other is an answer left blank."""
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


def duckdb_query(files: Sequence[TextFile]) -> str:
    """DuckDB's query of files with one header, separator and compression, all cells as text."""
    paths = ", ".join(_quoted(without_pattern(file.path)) for file in files)
    # not found by DuckDB behind a question mark
    compression = "gzip" if files[0].compressed else "none"
    types = ", ".join(f"{_quoted(column)}: 'VARCHAR'" for column in files[0].columns)
    return (
        f"SELECT * FROM read_csv([{paths}], header=false, skip=1, columns={{{types}}}, "
        f"delim={_quoted(files[0].separator)}, quote='\"', escape='\"', auto_detect=false, "
        "strict_mode=true, null_padding=false, hive_partitioning=false, "
        f"compression='{compression}')"
    )


def without_pattern(path: Path) -> str:
    """A path to DuckDB, which would take its ``*``, ``?`` and ``[`` for a pattern."""
    return re.sub(r"[*?[]", r"[\g<0>]", str(path))


def polars_scan(files: Sequence[TextFile]) -> Any:
    """The same as a Polars frame."""
    import polars as pl

    return pl.scan_csv(
        [str(file.path) for file in files],
        separator=files[0].separator,
        infer_schema=False,
        new_columns=list(files[0].columns),
        glob=False,
    )


def check_lines(files: Sequence[TextFile]) -> bool:
    """Whether DuckDB reads every line.

    Raises
    ------
    ValueError
        For lines that are short, long or of another encoding, naming file and line.
    """
    for file in files:
        try:
            connection().sql(duckdb_query([file])).aggregate("count(*)").fetchall()
        except duckdb.Error as error:
            known = _line_error(file.path.name, str(error))
            if known is None:
                return False
            raise known from error
    return True


def _line_error(name: str, message: str) -> ValueError | None:
    """DuckDB's complaint about a text file in one sentence; None where it is only DuckDB's."""
    line = re.search(r"Line: (\d+)", message)
    where = f"line {line[1]}" if line else "a line"
    cells = re.search(r"Expected Number of Columns: (\d+) Found: (\d+)", message)
    if cells and re.search(r'^Original Line:(\s*$|.* ")', message, re.MULTILINE):
        return None  # white space alone, or a quote after blanks
    if cells:
        return ValueError(
            f"{name} must have {cells[1]} cells in each line, as its header; got {cells[2]} in "
            f"{where}. The file may be cut, or a separator missing."
        )
    if "unicode" in message or "utf-8" in message:
        return _other_encoding(name, where)
    if "unterminated quote" in message:
        return ValueError(
            f"{name} must close every quote at the end of its cell; one in {where} is not. Get "
            "the file again, or close the quote."
        )
    if "GZIP" in message:
        return ValueError(
            f"{name} must be a whole gzip file; it is cut or of another kind. Get it again."
        )
    return None


def _other_encoding(name: str, where: str) -> ValueError:
    return ValueError(
        f"{name} must be utf-8 text; got other bytes in {where}. Declare the table's "
        'encoding in the study file, such as encoding = "cp1252".'
    )


def _opened(path: Path, mode: str, **options: Any) -> Any:
    opened: Any = gzip.open if path.suffix.lower() == ".gz" else open
    return opened(path, mode, **options)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
