"""Files that other programs wrote: Excel workbooks, SPSS and Stata files."""

from __future__ import annotations

import datetime
import posixpath
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from cxlab.core.characters import letters
from cxlab.core.messages import one_of, unknown
from cxlab.survey.exports.export import (
    Export,
    Question,
    declared_reason,
    export_of,
    own_columns,
)
from cxlab.survey.exports.grid import Grid, is_number, kinds_of_responses, without

# Excel ------------------------------------------------------------------------------------


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
    formulas, merged = _beside_values(path, chosen)
    if formulas:
        raise ValueError(
            f"{path.name}, sheet '{chosen}': every formula must have a stored result; that of cell "
            f"{_and_more(formulas)} has none and would read as blank. Open the workbook in "
            "Excel and save it."
        )
    grid = _grid(path, rows, chosen if sheet or len(sheets) > 1 else None)
    filled_cells = _merged(merged, rows).items()
    return replace(grid, merged={f"{chosen}!{cells}": last for cells, last in filled_cells})


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
    filled = ([p for p, value in enumerate(row, 1) if value not in (None, "")] for row in rows)
    width = max(max(places, default=0) for places in filled)
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


def _beside_values(path: Path, sheet: str) -> tuple[list[str], list[str]]:
    """Formulas without a stored result (``B2``) and merged cells (``E2:E4``) of a sheet.

    The sheet's XML is read only where there are any.
    """
    formulas: list[str] = []
    merged: list[str] = []
    with zipfile.ZipFile(path) as archive:
        part = _part(archive, sheet)
        if part not in archive.namelist() or not _is_marked(archive, part):
            return formulas, merged
        with archive.open(part) as stream:
            for _, element in ElementTree.iterparse(stream):
                name = _name(element)
                if name == "c" and _without_result(element):
                    formulas.append(element.get("r", ""))
                elif name == "mergeCell":
                    merged.append(element.get("ref", ""))
                if name in ("c", "row"):
                    element.clear()
    return formulas, merged


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


# SPSS and Stata ---------------------------------------------------------------------------


def read_spss(path: Path, leave_out: tuple[str, ...], encoding: str | None = None) -> Export:
    """An SPSS file (``.sav``, ``.zsav``), declared missing codes as they stand."""
    import pyreadstat

    frame, about = _read(pyreadstat.read_sav, path, "SPSS", encoding)
    labels = {
        name: {_text(code): str(text) for code, text in codes.items()}
        for name, codes in about.variable_value_labels.items()
    }
    texts = pd.DataFrame({name: _texts(frame[name]) for name in frame.columns})
    missing = {
        name: _declared(ranges, set(texts[name]) | set(labels.get(name, ())))
        for name, ranges in about.missing_ranges.items()
    }
    return _export(path, "spss", texts, about.column_names_to_labels, labels, missing, leave_out)


def read_stata(path: Path, leave_out: tuple[str, ...], encoding: str | None = None) -> Export:
    """A Stata file (``.dta``), extended missing values (``.a`` to ``.z``) as they stand."""
    import pyreadstat

    _check_whole_stata(path)
    frame, about = _read(pyreadstat.read_dta, path, "Stata", encoding)
    numeric = {name for name, kind in about.readstat_variable_types.items() if kind != "string"}
    labels = {
        name: {_extended(code) or _text(code): str(text) for code, text in codes.items()}
        for name, codes in about.variable_value_labels.items()
    }
    tagged = [name for name in about.missing_user_values if name in numeric]
    frame = frame.assign(**_with_tags(path, frame, tagged))
    texts = pd.DataFrame({name: _texts(frame[name]) for name in frame.columns})
    missing = {
        name: sorted(
            code
            for code in set(texts[name]) | set(labels.get(name, ()))
            if len(code) == 2 and _extended(code[1:]) == code
        )
        for name in numeric
    }
    return _export(path, "stata", texts, about.column_names_to_labels, labels, missing, leave_out)


def _read(
    reader: Callable[..., Any], path: Path, kind: str, encoding: str | None
) -> tuple[pd.DataFrame, Any]:
    import pyreadstat

    problem: Exception | None = None
    for tried in dict.fromkeys((encoding, "WINDOWS-1252")):
        try:
            # user_missing: else "never used" and "don't know" would be one blank
            frame, about = reader(str(path), user_missing=True, encoding=tried)
        except (pyreadstat.ReadstatError, pyreadstat.PyreadstatError, ValueError) as error:
            problem = problem or error
            if "encoding" in str(error) or "byte sequence" in str(error):
                continue
            break
        if not len(frame):
            raise ValueError(
                f"{path.name} must hold at least one answer; got none. Export it again once there "
                "are answers."
            )
        return frame, about
    reason = str(problem).strip(" .")
    raise ValueError(
        f"{path.name} must be a whole {kind} file; it is cut or of another kind ({reason}). "
        "Get it again."
    ) from problem


def _with_tags(path: Path, frame: pd.DataFrame, tagged: list[str]) -> dict[str, pd.Series]:
    """Columns that hold ``.a`` to ``.z``, those written so.

    pyreadstat 1.3.7 gives 0 for a plain ``.`` in whole-number columns that hold such values; a
    second reading, which merges all that is missing, tells which zeros these are.
    """
    import pyreadstat

    if not tagged:
        return {}
    merged, _ = pyreadstat.read_dta(str(path), usecols=tagged)
    columns = {}
    for name in tagged:
        tags = frame[name].map(_extended)
        plain = merged[name].isna() & (tags == "")
        columns[name] = frame[name].astype(object).where(tags == "", tags).mask(plain, np.nan)
    return columns


def _check_whole_stata(path: Path) -> None:
    with path.open("rb") as stream:
        beginning = stream.read(11)
        stream.seek(0, 2)
        stream.seek(max(0, stream.tell() - 40))
        end = stream.read()
    if beginning == b"<stata_dta>" and not end.rstrip(b"\x00\r\n").endswith(b"</stata_dta>"):
        raise ValueError(
            f"{path.name} must be a whole Stata file; it is cut, as its end is missing. "
            "Get it again."
        )


def _extended(value: Any) -> str:
    """``.a`` for the letter that stands for Stata's extended missing value; else ``""``."""
    letter = isinstance(value, str) and len(value) == 1 and "a" <= value <= "z"
    return f".{value}" if letter else ""


def _texts(values: pd.Series) -> pd.Series:
    """Every distinct value as text, once; blank where it is missing."""
    distinct = values.dropna().unique()
    texts = {value: _text(value) for value in distinct}
    return values.map(texts).where(values.notna(), "").fillna("").astype("str")


def _text(value: Any) -> str:
    words = isinstance(value, datetime.date | datetime.time | str)
    return cell_text(value if words else float(value))


def _declared(ranges: Iterable[Mapping[str, Any]], codes: set[str]) -> list[str]:
    """Codes within the declared missing values and ranges, as far as they occur or have labels."""
    found: dict[str, None] = {}
    for one in ranges:
        low, high = one["lo"], one["hi"]
        if isinstance(low, str) or low == high:
            found[_text(low)] = None
            continue
        within = [code for code in codes if is_number(code) and low <= float(code) <= high]
        found.update(dict.fromkeys(sorted(within, key=float)))
    return [code for code in found if code]


def _export(
    path: Path,
    platform: str,
    texts: pd.DataFrame,
    wordings: Mapping[str, str | None],
    labels: Mapping[str, Mapping[str, str]],
    missing: Mapping[str, Iterable[str]],
    leave_out: tuple[str, ...],
) -> Export:
    columns = {letters(name): name for name in texts.columns}
    from_platform = {"status", "finished", "responseid"} <= set(columns)
    questions = []
    for name in texts.columns:
        values = labels.get(name, {})
        own = own_columns("qualtrics") if from_platform else {}
        role, note = own.get(letters(name), ("", ""))
        questions.append(
            Question(
                name, name, " ".join((wordings.get(name) or "").split()), values=values,
                missing={c: declared_reason(c, values.get(c, "")) for c in missing.get(name, ())},
                role=role, note=note,
            )
        )  # fmt: skip
    if not from_platform:
        return export_of(path, platform, texts, questions)
    kinds = kinds_of_responses(texts, columns)
    texts, found = without(texts, kinds, leave_out, path.name)
    return export_of(path, platform, texts, questions, **found)
