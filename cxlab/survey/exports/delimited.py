"""Text files: their encoding and separator, found; their cells."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import itertools
import re
import zlib
from pathlib import Path

from cxlab.survey.exports.grid import Grid
from cxlab.survey.files import named_separator, read_cells, text_lines, usual_separator

ENCODINGS = ("utf-8", "cp1252", "latin-1")
SEPARATORS = (",", ";", "\t", "|")
#: Bytes looked at to find the separator.
SNIFFED = 200_000
#: Beginnings of files that are no text, whatever their name says.
_OTHER_KINDS = {
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls). Save it as .xlsx",
    b"$FL": "an SPSS file. Name it .sav",
    b"<stata_dta>": "a Stata file. Name it .dta",
    b"PAR1": "a Parquet file. Name it .parquet",
}


def read_text_grid(path: Path, encoding: str | None = None, separator: str | None = None) -> Grid:
    """Cells of a CSV or TSV file; encoding and separator are found unless they are given.

    Raises
    ------
    ValueError
        For a file that is no text, is cut, or has lines of different lengths.
    """
    content = _bytes(path)
    _check_kind(content, path.name)
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"):
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    encoding = _known(encoding, path.name) or _encoding(content, path.name)
    named = separator or named_separator(path, encoding)
    found = named or _separator(content, encoding, usual_separator(path))
    cells = read_cells(path, encoding, found or usual_separator(path))
    return Grid(path, cells, encoding, found)


def _bytes(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as stream:
            return stream.read()
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"{path.name} must be a whole gzip file; it is cut or of another kind. Get it again."
        ) from error


def _check_kind(content: bytes, file: str) -> None:
    if content.startswith(b"PK\x03\x04"):
        what = "an Excel workbook. Name it .xlsx" if b"xl/" in content[:4000] else (
            "a zip archive. Unpack it and name the file in it"
        )  # fmt: skip
        raise ValueError(f"{file} must be a text file; it is {what}.")
    for beginning, what in _OTHER_KINDS.items():
        if content.startswith(beginning):
            raise ValueError(f"{file} must be a text file; it is {what}.")
    if re.match(rb"\s*<(!doctype\s+)?html", content[:200], re.IGNORECASE):
        raise ValueError(
            f"{file} must be a text file of answers; it is a web page, such as a sign-in page "
            "saved in its place. Download it again while signed in."
        )


def _known(encoding: str | None, file: str) -> str | None:
    try:
        codecs.lookup(encoding or "utf-8")
    except LookupError as error:
        raise ValueError(
            f"`encoding` of {file} must be the name of an encoding, such as 'utf-8' or 'cp1252'; "
            f"got '{encoding}'."
        ) from error
    return encoding


def _encoding(content: bytes, file: str) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\x00" in content[:SNIFFED]:
        marks = content[:SNIFFED]
        if marks[1::2].count(0) > 0.4 * len(marks[1::2]):
            return "utf-16-le"
        raise ValueError(
            f"{file} must be text; it holds zero bytes, as in a damaged file or one of another "
            "kind. Export it again as CSV in UTF-8."
        )
    for encoding in ENCODINGS:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return ENCODINGS[-1]


def _first_records(content: bytes, encoding: str, separator: str) -> list[list[str]]:
    text = content[:SNIFFED].decode(encoding, errors="ignore").lstrip("\ufeff")
    records = text_lines(io.StringIO(text, newline=""), separator)
    try:
        found = list(itertools.islice(records, 20))
    except csv.Error:  # an open quote; reading says where
        return []
    return found[:-1] if len(found) > 2 and len(content) > SNIFFED else found


def _separator(content: bytes, encoding: str, usual: str) -> str | None:
    """Another separator than the usual, where only the other finds a table; None: the usual."""
    for mark in (usual, *SEPARATORS):
        widths = {len(cells) for cells in _first_records(content, encoding, mark) if cells}
        if len(widths) == 1 and widths != {1}:
            return None if mark == usual else mark
    return None
