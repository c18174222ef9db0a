"""Excel workbooks: the cells of one sheet as text, and which of them are dates."""

from __future__ import annotations

import datetime
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.core.messages import one_of, unknown
from cxlab.survey.exports.grid import Grid
from cxlab.survey.exports.sheets import beside_values


def read_workbook_grid(path: Path, sheet: str | None = None) -> Grid:
    """Cells of a workbook's sheet: the one named, or the only one that holds something.

    Raises
    ------
    ValueError
        For a workbook that cannot be read, a sheet that isn't there, several sheets and none
        named, or a formula whose result was not stored.
    """
    sheets = _sheets(path)
    filled = {name: rows for name, rows in sheets.items() if rows}
    if sheet is not None and sheet not in sheets:
        raise ValueError(unknown("sheet", sheet, sheets, of=path.name))
    if not filled:
        raise ValueError(f"{path.name} must hold a header and answers; it is empty.")
    if sheet is None and len(filled) > 1:
        raise ValueError(
            f"{path.name} must hold answers in one sheet; got {len(filled)}: {one_of(filled)}. "
            'Name the right one: sheet = "…" in the study file, --sheet, or '
            "read_export(…, sheet=…)."
        )
    chosen = sheet or next(iter(filled))
    rows = sheets[chosen]
    if not rows:
        raise ValueError(f"{path.name}, sheet '{chosen}' must hold answers; it is empty.")
    beside = beside_values(path, chosen)
    if beside.formulas:
        raise ValueError(
            f"{path.name}, sheet '{chosen}': every formula must have a stored result; that of cell "
            f"{_and_more(beside.formulas)} has none and would read as blank. Open the workbook in "
            "Excel and save it."
        )
    grid = _grid(path, rows, chosen if sheet or len(sheets) > 1 else None)
    merged = {f"{chosen}!{cells}": last for cells, last in _merged(beside.merged, rows).items()}
    return replace(grid, merged=merged)


def _sheets(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    """Sheet to its rows, blank ones at the end dropped."""
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about styles and validation, which hold no answers
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
            try:
                return {sheet.title: _rows(sheet) for sheet in book.worksheets}
            finally:
                book.close()
    except AttributeError as error:  # of openpyxl 3.1.5, where a chart sheet has no chart
        raise ValueError(
            f"{path.name} must be a workbook of answers; a sheet of it, such as a chart sheet "
            "without a chart, cannot be read. Delete that sheet in Excel, or save the answers as "
            "CSV in UTF-8."
        ) from error
    except (
        *(zipfile.BadZipFile, InvalidFileException, KeyError, ValueError, EOFError, OSError),
        *(SyntaxError, zlib.error),  # SyntaxError: a part that is no XML
    ) as error:
        raise ValueError(
            f"{path.name} must be a whole Excel workbook (.xlsx); it is cut, locked with a "
            "password or of another kind. Get it again, or save it as CSV in UTF-8."
        ) from error


def _rows(sheet: Any) -> list[tuple[Any, ...]]:
    sheet.reset_dimensions()  # some platforms write A1 there, which would hide every other cell
    rows = [tuple(row) for row in sheet.iter_rows(values_only=True)]
    while rows and all(value in (None, "") for value in rows[-1]):
        rows.pop()
    return rows


def _grid(path: Path, rows: list[tuple[Any, ...]], sheet: str | None) -> Grid:
    width = max(_filled_width(row) for row in rows)
    dates: dict[int, list[int]] = {}
    texts = []
    for number, row in enumerate(rows):
        cells = [*row[:width], *[None] * (width - len(row))]
        for place, value in enumerate(cells):
            if isinstance(value, datetime.date):  # a datetime is one too
                dates.setdefault(place, []).append(number)
        texts.append([cell_text(value) for value in cells])
    return Grid(path, pd.DataFrame(texts, dtype="str"), sheet=sheet, workbook=True, dates=dates)


def _merged(ranges: Iterable[str], rows: list[tuple[Any, ...]]) -> dict[str, int]:
    """Merged cells that hold something, each with its last row."""
    from openpyxl.utils import range_boundaries

    found = {}
    for cells in ranges:
        left, top, _, bottom = range_boundaries(cells)
        first = rows[top - 1][left - 1 : left] if top <= len(rows) else ()
        if any(value not in (None, "") for value in first):
            found[cells] = bottom
    return found


def _and_more(cells: Sequence[str]) -> str:
    return f"{cells[0]} (and {len(cells) - 1:,} more)" if len(cells) > 1 else cells[0]


def _filled_width(row: Iterable[Any]) -> int:
    return max((place for place, value in enumerate(row, 1) if value not in (None, "")), default=0)


def cell_text(value: Any) -> str:
    """One cell as text: whole numbers without decimals, dates as ISO.

    Examples
    --------
    >>> cell_text(5.0), cell_text(6.5), cell_text(True), cell_text(None)
    ('5', '6.5', 'TRUE', '')
    >>> cell_text(datetime.datetime(2024, 5, 3)), cell_text(datetime.datetime(2024, 5, 3, 9, 30))
    ('2024-05-03', '2024-05-03 09:30:00')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, datetime.datetime):
        midnight = value.time() == datetime.time()
        return value.date().isoformat() if midnight else value.isoformat(" ", "seconds")
    return str(value).strip()
