"""A file as a grid of texts, and what every platform's reader does with it."""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, one_of
from cxlab.survey.definition import normal_header
from cxlab.survey.exports.export import Export, Question, export_of
from cxlab.survey.files import (
    in_one_sentence,
    named_separator,
    open_bytes,
    read_cells,
    text_lines,
    usual_separator,
    without_blank_rows,
)


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a text file or of a sheet."""

    path: Path
    #: Text, columns 0, 1, …; ``""`` where blank; no wholly blank rows at the end.
    cells: pd.DataFrame
    encoding: str = "utf-8"
    separator: str | None = None
    sheet: str | None = None
    workbook: bool = False  # whether it is a sheet of a workbook
    #: Column to the rows that hold an Excel date.
    dates: Mapping[int, Sequence[int]] = field(default_factory=dict)
    #: Merged cells that hold something, as ``Answers!E2:E4``, each with its last row, from 1.
    merged: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """File, and sheet where it has one, for messages."""
        return f"{self.path.name}, sheet '{self.sheet}'" if self.sheet else self.path.name

    def row(self, number: int) -> list[str]:
        """One row, trimmed; empty beyond the last."""
        if number >= len(self.cells):
            return []
        return [visible_text(text) for text in self.cells.iloc[number]]

    def export(
        self, platform: str, answers: pd.DataFrame, questions: Sequence[Question], **found: Any
    ) -> Export:
        """What a platform's layout makes of the grid."""
        about = {"encoding": self.encoding, "separator": self.separator, "sheet": self.sheet}
        return export_of(self.path, platform, answers, questions, **about, **found)


@dataclass(frozen=True)
class Layout:
    """How a platform lays out its rows and columns."""

    recognise: Callable[[Grid], bool]  # whether a grid is the platform's
    read: Callable[[Grid, tuple[str, ...]], Export]  # the grid, kinds of responses to leave out


def rows_below(grid: Grid, header_rows: int, names: Mapping[int, str]) -> pd.DataFrame:
    """Answers below the header rows, wholly blank ones dropped."""
    merged = [cells for cells, last in grid.merged.items() if last > header_rows]
    if merged:  # but for the first, each would read as blank
        raise ValueError(
            f"{grid.name}: answers must not be in merged cells; {got(merged)} are merged, of which "
            "only the first holds the answer. Unmerge them in Excel and fill in every cell."
        )
    answers = grid.cells.iloc[header_rows:, list(names)]
    answers.columns = pd.Index(list(names.values()))
    answers = without_blank_rows(answers)
    if answers.empty:
        raise ValueError(
            f"{grid.name} must hold at least one answer below its header; got none. Export it "
            "again once there are answers."
        )
    for place, name in names.items():
        check_dates(answers[name], set(grid.dates.get(place, ())), grid.name, name)
    return answers


def filled_columns(grid: Grid, header_rows: int) -> list[int]:
    """Positions of the columns that have a header or an answer."""
    headers = (grid.cells.iloc[:header_rows] != "").any()
    answers = (grid.cells.iloc[header_rows:] != "").any()
    return [place for place in range(grid.cells.shape[1]) if headers[place] or answers[place]]


def unique_names(names: Sequence[str]) -> list[str]:
    """Names told apart by a number where two are the same, capitals and blanks apart.

    Examples
    --------
    >>> unique_names(["Q1", "q1 ", "", "Q1"])
    ['Q1', 'q1 (2)', 'column 3', 'Q1 (3)']
    """
    unique: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        trimmed = visible_text(name) or f"column {place}"
        number, chosen = 1, trimmed
        while normal_header(chosen) in taken:
            number += 1
            chosen = f"{trimmed} ({number})"
        taken.add(normal_header(chosen))
        unique.append(chosen)
    return unique


def is_number(text: object) -> bool:
    """Whether a text is a number."""
    try:
        float(visible_text(str(text)))
    except ValueError:
        return False
    return True


#: What Excel's dates look like once they are text again: 3-May, Mar-05, 03. Mai.
EXCEL_DATE = re.compile(r"\d{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-\d{2}|\d{2}\. [A-Z][a-zä]{2}")
#: What they were made of: scores, and groups such as 3-5.
_MADE_OF = re.compile(r"-?\d+(?:[.,]\d+)?|\d+\s*[-–/]\s*\d+")
_WRITTEN_DATE = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}(?:\s.*)?")
#: Share of a column's other cells that must be scores or groups.
MOST = 0.5


def check_dates(texts: pd.Series, dates: set[int], file: str, header: str) -> None:
    """Refuse dates that Excel has made of scores or groups (3-5 as 5 March), or read only in part."""
    texts = texts.str.strip()
    dated = pd.Series(texts.index.isin(list(dates)), index=texts.index)
    dated |= texts.isin([text for text in texts.unique() if EXCEL_DATE.fullmatch(text)])
    others = texts[~dated & (texts != "")]
    if not dated.any() or others.empty:
        return
    where = f"got '{texts[dated].iloc[0]}' in row {texts.index[dated][0] + 1}"
    where += f" (and {int(dated.sum()) - 1:,} more)" if dated.sum() > 1 else ""
    if _share(others, _MADE_OF) >= MOST:
        raise ValueError(
            f"{file}, column '{header}': scores and groups must be no dates; {where}, where Excel "
            'has read a text such as "3-5" as a date. Export the answers again and set the column '
            "to Text before you save them in Excel."
        )
    if dates and _share(others, _WRITTEN_DATE) > 0:
        written = next(text for text in others if _WRITTEN_DATE.fullmatch(text))
        raise ValueError(
            f"{file}, column '{header}': dates must be read by Excel all or none; {where} and the "
            f"text '{written}', so that day and month may be exchanged in those it has read. "
            "Export the answers again with dates such as 2025-12-31."
        )


def _share(texts: pd.Series, pattern: re.Pattern[str]) -> float:
    alike = [text for text in texts.unique() if pattern.fullmatch(text)]
    return float(texts.isin(alike).mean())


#: Bits of a numeric status: 1 preview, 2 generated test, 8 spam (4 imported, 16 offline count).
_PREVIEW, _SPAM = 3, 8
_PREVIEW_WORDS = ("preview", "test", "vorschau", "aperçu", "vista previa", "anteprima")
_FALSE = ("0", "false", "falsch", "faux", "falso", "no", "nee", "nein")
_IN_WORDS = {
    "preview": "a preview or test of the questionnaire, which no respondent gave",
    "unfinished": "not finished",
    "spam": "marked as spam by the platform",
}
_KEPT = {
    "preview": "kept, as `leave_out` doesn't name it",
    "unfinished": (
        "kept, because what somebody answered before leaving is an answer; the questions after "
        "that are blank"
    ),
    "spam": "kept, because the mark may be wrong",
}


def kinds_of_responses(answers: pd.DataFrame, columns: Mapping[str, str]) -> dict[str, pd.Series]:
    """Kind to the rows of that kind, as far as the platform's own columns tell."""
    kinds = {}
    if "status" in columns:
        status = answers[columns["status"]].str.strip().str.casefold()
        kinds["preview"] = status.isin(
            [one for one in status.unique() if _is_marked(one, _PREVIEW, _PREVIEW_WORDS)]
        )
        kinds["spam"] = status.isin(
            [one for one in status.unique() if _is_marked(one, _SPAM, ("spam",))]
        )
    if "finished" in columns:
        kinds["unfinished"] = answers[columns["finished"]].str.strip().str.casefold().isin(_FALSE)
    elif "progress" in columns:
        progress = pd.to_numeric(answers[columns["progress"]], errors="coerce")
        kinds["unfinished"] = progress < 100
    return kinds


def _is_marked(status: str, bits: int, words: Sequence[str]) -> bool:
    """Whether a status has one of some bits or, in words, one of some words."""
    if status.isdecimal():
        return bool(int(status) & bits) and int(status) < 256
    return any(word in status for word in words)


def without(
    answers: pd.DataFrame,
    kinds: Mapping[str, pd.Series],
    leave_out: Sequence[str],
    file: str,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Answers without the kinds to leave out; what an `Export` tells of them."""
    left_out: dict[str, int] = {}
    notes = []
    keep = pd.Series(True, index=answers.index)
    for kind, rows in kinds.items():
        dropped = kind in leave_out
        if dropped:
            keep &= ~rows
            left_out[kind] = int(rows.sum())
        if rows.any():
            are = "is" if rows.sum() == 1 else "are"
            done = "left out" if dropped else _KEPT[kind]
            notes.append(
                f"{int(rows.sum()):,} of {len(answers):,} responses {are} {_IN_WORDS[kind]}: "
                f"{done}."
            )
    if not keep.any():
        raise ValueError(
            f"{file} must hold at least one answer; all {len(answers):,} are left out as "
            f"{one_of(leave_out)}. Change `leave_out`, or collect answers first."
        )
    return answers[keep], {"left_out": left_out, "notes": tuple(notes), "leave_out": leave_out}


# text files -------------------------------------------------------------------------------

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
