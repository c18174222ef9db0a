"""From any supported file to its answers: what kind it is, which platform wrote it."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.messages import one_of, unknown
from cxlab.survey.definition import FORMATS, KINDS_OF_RESPONSE, LEFT_OUT
from cxlab.survey.exports import layouts, qualtrics
from cxlab.survey.exports.export import Export
from cxlab.survey.exports.grid import Grid, Layout
from cxlab.survey.exports.programs import read_spss, read_stata, read_workbook_grid
from cxlab.survey.files import (
    in_one_sentence,
    named_separator,
    open_bytes,
    read_as_text,
    read_cells,
    text_lines,
    usual_separator,
)

if TYPE_CHECKING:
    from cxlab.survey.definition import Table


#: Platform to its layout; the first that recognises a file reads it, those of none last.
LAYOUTS: dict[str, Layout] = {
    "qualtrics": qualtrics.LAYOUT,
    "surveymonkey": layouts.SURVEYMONKEY,
    "limesurvey": layouts.LIMESURVEY,
    "plain": layouts.PLAIN,
    "excel": layouts.SHEET,
}
TEXT_ENDINGS = (".csv", ".tsv", ".txt")
WORKBOOK_ENDINGS = (".xlsx", ".xlsm")
#: Ending to the file format that has its own reader.
PACKAGES = {".sav": "spss", ".zsav": "spss", ".dta": "stata"}
ENDINGS = (*TEXT_ENDINGS, ".csv.gz", ".tsv.gz", *WORKBOOK_ENDINGS, *PACKAGES, ".parquet")


def read_export(
    path: str | Path,
    *,
    format: str | None = None,
    leave_out: Sequence[str] = LEFT_OUT,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
) -> Export:
    """Read a survey platform's export file; says which platform wrote it.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``), ``.xlsx``, ``.sav``, ``.zsav``, ``.dta`` or
        ``.parquet``.
    format : str, optional
        ``plain`` (one header row), ``qualtrics``, ``surveymonkey``, ``limesurvey``, ``excel``,
        ``spss`` or ``stata``; default: recognised, by what the platform writes into its header
        rows and never by their number.
    leave_out : sequence of {"preview", "unfinished", "spam"}
        Kinds of responses that are not wanted, where the platform tells them (Qualtrics;
        LimeSurvey tells the unfinished). Default: previews and tests, which no respondent
        gave. Unfinished ones stay: what somebody answered before leaving is an answer.
    encoding : str, optional
        Of a text file; default: found (UTF-8, UTF-16, else Windows-1252).
    separator : str, optional
        One character between the cells of a text file; default: found.
    sheet : str, optional
        Of a workbook; needed where several hold something.

    Returns
    -------
    Export
        ``.answers`` (text or raw codes; nothing is recoded), ``.questions``, ``.left_out``,
        ``.notes``, ``.codebook``, and ``.draft``: a draft study.

    Raises
    ------
    FileNotFoundError
        When the file isn't there.
    ValueError
        For a file that is cut, of another kind, without answers, with other header rows than
        its platform's, or with scores that Excel has turned into dates. The message names the
        file, the place and what to do.

    Notes
    -----
    Missing codes keep their reasons. SPSS: every declared missing value, told apart by its
    label. Stata: ``.a`` to ``.z``. Qualtrics: a code such as -99 for "seen but unanswered" is
    ``no answer``, and a blank beside it ``not asked``; without such a code a blank may be
    either and is read as ``no answer``. LimeSurvey: ``N/A`` is ``not asked``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "films.csv"
    >>> _ = path.write_text(
    ...     "Respondent ID,How was it?,,Your age\\n,Sound,Picture,Response\\n1001,Good,Poor,30\\n"
    ... )
    >>> export = read_export(path)
    >>> export.platform, list(export.answers)
    ('surveymonkey', ['Respondent ID', 'How was it? - Sound', 'How was it? - Picture', 'Your age'])
    """
    file = Path(path)
    ending = _checked_ending(file)
    _check_options(format, leave_out)
    fitting = _formats_of(ending)
    if format is not None and format not in fitting:
        raise ValueError(
            f"`format` of {file.name} must be {one_of(fitting)}, by its ending; got '{format}'."
        )
    wanted = tuple(leave_out)
    if ending in PACKAGES:
        reader = read_spss if PACKAGES[ending] == "spss" else read_stata
        return reader(file, wanted, encoding)
    if ending == ".parquet":
        return layouts.read_frame(file, read_as_text(file))
    if ending in WORKBOOK_ENDINGS:
        grid = read_workbook_grid(file, sheet)
    else:
        grid = read_text_grid(file, encoding, separator)
    found = format or next(name for name, layout in LAYOUTS.items() if layout.recognise(grid))
    return LAYOUTS[found].read(grid, wanted)


def _formats_of(ending: str) -> list[str]:
    """Formats that a file of an ending may have."""
    if ending in PACKAGES:
        return [PACKAGES[ending]]
    if ending == ".parquet":
        return ["plain"]
    other = "plain" if ending in WORKBOOK_ENDINGS else "excel"
    return [name for name in LAYOUTS if name != other]


def read_answers(path: Path, table: Table) -> pd.DataFrame:
    """Answers of a study's file as text, read as the study declares: nothing is guessed."""
    ending = _ending(path)
    declared = table.format or PACKAGES.get(ending)
    if declared is None and ending in WORKBOOK_ENDINGS:
        declared = "excel"
    if declared in (None, "plain"):
        return read_as_text(path, table.encoding, table.separator)
    text = ending in TEXT_ENDINGS
    export = read_export(
        path,
        format=declared,
        leave_out=LEFT_OUT if table.leave_out is None else table.leave_out,
        encoding=table.encoding if text or table.encoding != "utf-8" else None,
        separator=table.separator or ("\t" if ending == ".tsv" else ",") if text else None,
        sheet=table.sheet,
    )
    return export.answers


def is_plain(path: Path, table: Table) -> bool:
    """Whether a study's file is one plain table that any engine can read by itself."""
    return table.format in (None, "plain") and _ending(path) not in (*PACKAGES, *WORKBOOK_ENDINGS)


def _ending(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return next((suffix for suffix in reversed(suffixes) if suffix != ".gz"), "")


def _checked_ending(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"FILE must be a file of answers; there is no '{path}'.")
    ending = _ending(path)
    whole = path.suffix.lower() != ".gz" or ending in TEXT_ENDINGS
    if ending not in (*TEXT_ENDINGS, *WORKBOOK_ENDINGS, *PACKAGES, ".parquet") or not whole:
        unpack = "Unpack it and name the file in it." if ending == ".zip" else (
            "Save it as .xlsx, or as CSV in UTF-8."
        )  # fmt: skip
        raise ValueError(f"FILE must be {one_of(ENDINGS)}; got '{path.name}'. {unpack}")
    return ending


def _check_options(format: str | None, leave_out: Sequence[str]) -> None:
    if format not in (None, *FORMATS):
        raise ValueError(unknown("format", format, FORMATS))
    if isinstance(leave_out, str):
        raise TypeError(f'`leave_out` must be a list, such as ["{leave_out}"]; got a text.')
    for kind in leave_out:
        if kind not in KINDS_OF_RESPONSE:
            raise ValueError(unknown("leave_out", kind, KINDS_OF_RESPONSE))


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
    """Cells of a CSV or TSV file; encoding and separator are found unless they are given."""
    with in_one_sentence(path, encoding or ""), open_bytes(path) as stream:
        content = stream.read()
    _check_kind(content, path.name)
    if not content.strip(b"\xef\xbb\xbf\xff\xfe\x00 \t\r\n"):
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    if encoding is None:
        encoding = _encoding(content, path.name)
    with in_one_sentence(path, encoding):
        codecs.lookup(encoding)
    named = separator or named_separator(path, encoding)
    found = named or _separator(content, encoding, usual_separator(path))
    if not named and not found:
        _check_first_line(content, encoding, path)
    cells = read_cells(path, encoding, found or usual_separator(path))
    return Grid(path, cells, encoding, found)


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


def _check_first_line(content: bytes, encoding: str, path: Path) -> None:
    """Refuse a file that would be one column, though all lines but the first have several."""
    usual = _first_records(content, encoding, usual_separator(path))
    if any(len(cells) > 1 for cells in usual):
        return
    for mark in SEPARATORS:
        first, *others = _first_records(content, encoding, mark) or [[]]
        widths = {len(cells) for cells in others if cells}
        if len(others) > 1 and len(widths) == 1 and widths not in ({1}, {len(first)}):
            raise ValueError(
                f"{path.name} must begin with its header; line 1 ('{mark.join(first)}') has "
                f"{len(first)} columns, all others {widths.pop()}. Remove the line."
            )
