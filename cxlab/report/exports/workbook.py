"""Every table of a report as a sheet of one workbook."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from typing import Any

from cxlab.core.characters import printable, unquote_formula
from cxlab.report.publish import replace_bytes

#: Excel's limits: characters of a sheet's name, rows of a sheet, digits of a number.
NAME_LENGTH = 31
MOST_ROWS = 1_048_575
MOST_WHOLE = 2**53


def write_workbook(folder: Path, target: Path) -> None:
    """Write the tables of a report's folder to an ``.xlsx`` file, one sheet each.

    Small groups were hidden before the tables were recorded; hidden cells are empty here too.
    Text stays text: nothing from the data becomes a formula or a link.
    """
    import xlsxwriter

    manifest = printable(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
               "strings_to_numbers": False, "nan_inf_to_errors": False}  # fmt: skip
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"title": manifest["title"], "comments": manifest["about"]})
        bold = book.add_format({"bold": True, "bottom": 1})
        _write_about(book.add_worksheet("about"), manifest, bold)
        used = {"about"}
        for name in manifest["tables"]:
            sheet = book.add_worksheet(sheet_name(name, used))
            _write_table(sheet, *_read_table(folder / "tables" / name), bold)
    replace_bytes(target, content.getvalue())


def sheet_name(name: str, used: set[str]) -> str:
    """A name that Excel takes and that no other sheet has; it is added to ``used``.

    Examples
    --------
    >>> used = set()
    >>> sheet_name("differences-between-segments-and-groups", used)
    'differences-between-segments-an'
    >>> sheet_name("differences-between-segments-and-more", used)
    'differences-between-segments--2'
    """
    short = re.sub(r"[^\w .-]", "-", name)[:NAME_LENGTH]
    number = 2
    chosen = short
    while chosen.casefold() in {other.casefold() for other in used}:
        end = f"-{number}"
        chosen = short[: NAME_LENGTH - len(end)] + end
        number += 1
    used.add(chosen)
    return chosen


def _read_table(path: Path) -> tuple[list[str], list[dict[str, Any]]]:
    """Columns in order from the CSV file, whose header is there without rows too."""
    with path.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        columns = [unquote_formula(name) for name in next(csv.reader(stream), [])]
    rows = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return columns, printable(rows)


def _write_table(sheet: Any, columns: list[str], rows: list[dict[str, Any]], bold: Any) -> None:
    if len(rows) > MOST_ROWS:
        raise ValueError(
            f"a table of an xlsx file must have at most {MOST_ROWS:,} rows; got {len(rows):,}. "
            "Use its CSV file."
        )
    for j, column in enumerate(columns):
        sheet.write_string(0, j, column, bold)
        for i, row in enumerate(rows, start=1):
            _write_cell(sheet, i, j, row[column])
    sheet.freeze_panes(1, 1)
    sheet.autofit()


def _write_cell(sheet: Any, i: int, j: int, value: Any) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(i, j, value)
    elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= MOST_WHOLE):
        sheet.write_number(i, j, value)
    else:
        # never `write`, which would make a formula of "=…" and a link of "http…"
        sheet.write_string(i, j, str(value))


def _write_about(sheet: Any, manifest: dict[str, Any], bold: Any) -> None:
    lines = [
        ("Report", manifest["title"]),
        ("Data", manifest["about"]),
        ("Period", manifest["period"] or "all periods"),
        ("Selection", manifest["selection"] or "everyone"),
        ("Made", manifest["ended"]),
        *(("Change", line) for line in manifest["changes"]),
    ]
    for i, (name, value) in enumerate(lines):
        sheet.write_string(i, 0, name, bold)
        sheet.write_string(i, 1, str(value))
    sheet.autofit()
