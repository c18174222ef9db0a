"""Opening a stranger's file: its encoding and separator, and whether it is one plain table."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from cxlab.survey.definition import normal_header
from cxlab.survey.files import read_as_text, usual_separator
from cxlab.survey.messages import got, one_of

KINDS = (".csv", ".tsv", ".parquet", ".csv.gz", ".tsv.gz")
ENCODINGS = ("utf-8", "cp1252", "latin-1")
SEPARATORS = (",", ";", "\t", "|")
#: Bytes looked at to find the separator.
SNIFFED = 200_000


@dataclass(frozen=True)
class RawFile:
    """A file as text, and how it was read.

    Attributes
    ----------
    path : Path
    texts : DataFrame
    encoding : str
    separator : str or None
        None: the usual one of its kind.
    """

    path: Path
    texts: pd.DataFrame
    encoding: str = "utf-8"
    separator: str | None = None


def open_raw(path: Path) -> RawFile:
    """Read a CSV, TSV or Parquet file of one header row.

    Raises
    ------
    FileNotFoundError
        When it isn't there.
    ValueError
        For another kind of file, an empty one, or headers that cannot be told apart.
    """
    if not path.is_file():
        raise FileNotFoundError(f"FILE must be a file of answers; there is no '{path}'.")
    if not path.name.lower().endswith(KINDS):
        raise ValueError(
            f"FILE must be {one_of(KINDS)}; got '{path.name}'. Save it as CSV in UTF-8, with one "
            "header row."
        )
    if path.suffix.lower() == ".parquet":
        raw = RawFile(path, read_as_text(path))
    else:
        content = _bytes(path)
        encoding = _encoding(content)
        separator = _separator(content, encoding, usual_separator(path))
        _check_headers(content, encoding, separator or usual_separator(path), path.name)
        raw = RawFile(path, read_as_text(path, encoding, separator), encoding, separator)
    _check_table(raw.texts, path.name)
    return raw


def _bytes(path: Path) -> bytes:
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    with gzip.open(path) as stream:
        return stream.read()


def _encoding(content: bytes) -> str:
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    for encoding in ENCODINGS:
        try:
            content.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    return ENCODINGS[-1]


def _first_records(content: bytes, encoding: str, separator: str) -> list[list[str]]:
    text = content[:SNIFFED].decode(encoding, errors="ignore").lstrip("\ufeff")
    records = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    try:
        return list(itertools.islice(records, 20))
    except csv.Error:  # an open quote; reading says where
        return []


def _separator(content: bytes, encoding: str, usual: str) -> str | None:
    """Another separator than the usual, where only the other finds a table; None: the usual."""
    for mark in (usual, *SEPARATORS):
        widths = {len(cells) for cells in _first_records(content, encoding, mark) if cells}
        if len(widths) == 1 and widths != {1}:
            return None if mark == usual else mark
    return None


def _check_headers(content: bytes, encoding: str, separator: str, file: str) -> None:
    headers = next(iter(_first_records(content, encoding, separator)), [])
    blank = [place for place, header in enumerate(headers, start=1) if not header.strip()]
    if len(blank) > 1:
        raise ValueError(
            f"{file}: every column must have a header; column {got(blank)} has none. If a survey "
            "platform wrote several header rows, join them into one and remove the others."
        )
    if headers and all(_is_number(header) for header in headers):
        raise ValueError(
            f"{file}: the first row must hold the headers; got numbers ({got(headers)}). Put a "
            "row with the questions above the answers."
        )


def _check_table(texts: pd.DataFrame, file: str) -> None:
    headers = [normal_header(str(header)) for header in texts.columns]
    twice = [str(h) for h, n in zip(texts.columns, headers, strict=True) if headers.count(n) > 1]
    if twice:
        raise ValueError(
            f"{file}: headers must differ by more than capitals, blanks and leading asterisks; "
            f"got {one_of(twice[:3])}. Rename one in the file."
        )
    if _second_header(texts):
        raise ValueError(
            f"{file}: there must be one header row; the row below it looks like another, as in a "
            f"survey platform's export (got {got(_first_words(texts) or list(texts.iloc[0]))}). "
            "Join the header rows into one."
        )


def _second_header(texts: pd.DataFrame) -> bool:
    """Whether the first row holds words above numbers, twice at least, or a platform's keys."""
    keys = texts.head(3).apply(lambda column: column.str.contains('"ImportId"', regex=False))
    return bool(keys.to_numpy().any()) or (len(texts) > 1 and len(_first_words(texts)) >= 2)


def _first_words(texts: pd.DataFrame) -> list[str]:
    words = []
    for place in range(texts.shape[1]):
        first, below = texts.iloc[0, place], texts.iloc[1:, place]
        below = below[below != ""]
        if len(str(first)) > 3 and not _is_number(first) and len(below):
            numbers = pd.to_numeric(below, errors="coerce").notna()
            if numbers.all():
                words.append(str(first))
    return words


def _is_number(text: object) -> bool:
    try:
        float(str(text))
    except ValueError:
        return False
    return True
