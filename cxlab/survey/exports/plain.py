"""One header row, one answer a row: CSV, TSV, Excel and Parquet of no platform."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, one_of
from cxlab.survey.definition import normal_header
from cxlab.survey.exports.export import Question
from cxlab.survey.exports.grid import Content, Grid, Layout, filled_columns, rows_below


def read(grid: Grid, leave_out: tuple[str, ...]) -> Content:
    """The first row names the columns; what is below are answers, as `read_as_text` has it.

    Raises
    ------
    ValueError
        For headers that are missing or cannot be told apart, or a second header row.
    """
    return _read(grid, range(grid.cells.shape[1]))


def read_sheet(grid: Grid, leave_out: tuple[str, ...]) -> Content:
    """The same for a sheet, whose blank columns are left-overs of the spreadsheet."""
    return _read(grid, filled_columns(grid, 1))


def _read(grid: Grid, places: Sequence[int]) -> Content:
    headers = [grid.cells.iloc[0, place] for place in places]
    check_headers(headers, grid.name)
    names = dict(zip(places, headers, strict=True))
    answers = rows_below(grid, 1, names)
    check_one_header(answers, grid.name)
    return Content(answers, [Question(header, header) for header in headers])


def read_frame(texts: pd.DataFrame, file: str) -> Content:
    """The same for a frame whose columns have names already."""
    headers = [str(header) for header in texts.columns]
    check_headers(headers, file)
    check_one_header(texts, file)
    return Content(texts, [Question(header, header) for header in headers])


LAYOUT = Layout(lambda grid: not grid.workbook, read)
SHEET_LAYOUT = Layout(lambda grid: grid.workbook, read_sheet)


def check_headers(headers: Sequence[str], file: str) -> None:
    """Refuse headers that are missing, numbers, or alike."""
    blank = [place for place, header in enumerate(headers, start=1) if not visible_text(header)]
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
    twice = sorted({header for header in headers if list(headers).count(header) > 1})
    if twice:
        raise ValueError(
            f"{file}: headers must be unique; got '{twice[0]}' twice. Rename one in the file."
        )
    folded = [normal_header(header) for header in headers]
    alike = [h for h, n in zip(headers, folded, strict=True) if folded.count(n) > 1]
    if alike:
        raise ValueError(
            f"{file}: headers must differ by more than capitals, blanks and leading asterisks; "
            f"got {one_of(alike[:3])}. Rename one in the file."
        )


def check_one_header(texts: pd.DataFrame, file: str) -> None:
    """Refuse a row of question texts, or of a platform's keys, below the header."""
    keys = texts.head(3).apply(lambda column: column.str.contains("ImportId", regex=False))
    words = first_words(texts) if len(texts) > 1 else []
    if bool(keys.to_numpy().any()) or len(words) >= 2:
        raise ValueError(
            f"{file}: there must be one header row; the row below it looks like another, as in a "
            f"survey platform's export (got {got(words or list(texts.iloc[0]))}). "
            "Join the header rows into one."
        )


def first_words(texts: pd.DataFrame) -> list[str]:
    """Words in the first row above nothing but numbers."""
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
        float(visible_text(str(text)))
    except ValueError:
        return False
    return True
