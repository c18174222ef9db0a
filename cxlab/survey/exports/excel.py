"""Excel workbooks: the cells of one sheet as text, and which of them are dates, merged or formulas."""

from __future__ import annotations

import datetime
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from cxlab.core.messages import one_of, unknown
from cxlab.survey.exports.grid import Grid


def read_workbook_grid(path: Path, sheet: str | None = None) -> Grid:
    """Cells of a workbook's sheet: the one named, or the only one that holds something."""
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


_ROOT = "xl/workbook.xml"
#: Beginnings of a formula and of a range of merged cells, whatever the XML's prefix.
_MARKED = re.compile(rb"<(?:\w+:)?(?:f[ />]|mergeCell )")
_AT_A_TIME = 1 << 20


@dataclass(frozen=True)
class Beside:
    """Places of a sheet whose values are not in its cells."""

    formulas: tuple[str, ...] = ()  # cells with a formula whose result was not stored, as ``B2``
    merged: tuple[str, ...] = ()  # ranges of merged cells, as ``E2:E4``


def beside_values(path: Path, sheet: str) -> Beside:
    """Formulas without a result and merged cells of a sheet; read only where there are any."""
    with zipfile.ZipFile(path) as archive:
        part = _part(archive, sheet)
        if part not in archive.namelist() or not _is_marked(archive, part):
            return Beside()
        formulas, merged = [], []
        with archive.open(part) as stream:
            for _, element in ElementTree.iterparse(stream):
                name = _name(element)
                if name == "c" and _without_result(element):
                    formulas.append(element.get("r", ""))
                elif name == "mergeCell":
                    merged.append(element.get("ref", ""))
                if name in ("c", "row"):
                    element.clear()
        return Beside(tuple(formulas), tuple(merged))


def _part(archive: zipfile.ZipFile, sheet: str) -> str:
    """The sheet's file in the archive; empty where it isn't found."""
    links = {
        link.get("Id"): link.get("Target", "")
        for link in _elements(archive, "xl/_rels/workbook.xml.rels", "Relationship")
    }
    for one in _elements(archive, _ROOT, "sheet"):
        link = next((value for key, value in one.items() if key.endswith("}id")), "")
        if one.get("name") == sheet and link in links:
            return posixpath.normpath(posixpath.join("/xl", links[link]))[1:]
    return ""


def _elements(archive: zipfile.ZipFile, part: str, name: str) -> list[ElementTree.Element]:
    if part not in archive.namelist():
        return []
    root = ElementTree.fromstring(archive.read(part))
    return [element for element in root.iter() if _name(element) == name]


def _is_marked(archive: zipfile.ZipFile, part: str) -> bool:
    with archive.open(part) as stream:
        end = b""
        while piece := stream.read(_AT_A_TIME):
            if _MARKED.search(end + piece):
                return True
            end = piece[-100:]
    return False


def _without_result(cell: ElementTree.Element) -> bool:
    """Whether a cell has a formula and no value; an empty text is one."""
    found = {_name(child): child.text for child in cell}
    return "f" in found and not found.get("v") and cell.get("t") != "str"


def _name(element: ElementTree.Element) -> str:
    return element.tag.rpartition("}")[2]
