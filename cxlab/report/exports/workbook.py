"""A report as one workbook: the answer first, then a sheet a table."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from cxlab.core.characters import printable, unquote_formula
from cxlab.core.display import Display
from cxlab.core.headers import header
from cxlab.report.answer import read_findings, sure_word
from cxlab.report.publish import replace_bytes
from cxlab.report.records import scope_of
from cxlab.report.show import read_captions

#: Excel's limits: characters of a sheet's name, rows of a sheet, digits of a number.
NAME_LENGTH = 31
MOST_ROWS = 1_048_574
MOST_WHOLE = 2**53
#: Widest column, in characters.
WIDEST = 60
#: Columns that can still be read where a sheet is printed on the width of one page.
MOST_PRINTED = 16
#: Characters of a number once it is rounded.
NUMBER_WIDTH = 9
#: Characters of a line of the answer.
ANSWER_WIDTH = 90
#: How numbers of a unit are written; shares are of 1, which Excel multiplies.
NUMBER_FORMATS = {
    "%": '0.0" %";−0.0" %"',
    "share": "0.0 %;−0.0 %",
    "points": "#,##0.0;−#,##0.0",
    "score": "0.00;−0.00",
    "r": "0.000;−0.000",
    "p": '[<0.001]"<0.001";0.000',
    "count": "#,##0;−#,##0",
    "number": "#,##0.000;−#,##0.000",
}
Row = dict[str, Any]


def write_workbook(folder: Path, target: Path) -> None:
    """Write a report's answer and its tables to an ``.xlsx`` file, one sheet each.

    A table has its headers in words, then the names of its columns in grey. Small groups were
    hidden before the tables were recorded; hidden cells are empty here too. Text stays text:
    nothing from the data becomes a formula or a link.
    """
    import xlsxwriter

    manifest = printable(json.loads((folder / "manifest.json").read_text(encoding="utf-8")))
    captions = printable(read_captions(folder / "tables"))
    content = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False,
               "strings_to_numbers": False, "nan_inf_to_errors": False}  # fmt: skip
    with xlsxwriter.Workbook(content, options) as book:
        book.set_properties({"title": manifest["title"], "comments": manifest["about"]})
        first = book.add_worksheet("Answer")
        used, sheets = {"answer"}, []
        for name in manifest["tables"]:
            sheets.append((sheet_name(name, used), captions.get(name, {})))
            sheet = book.add_worksheet(sheets[-1][0])
            _Sheet(book, sheet, captions.get(name, {})).write(
                *_read_table(folder / "tables" / name)
            )
        _write_answer(book, first, folder, manifest, sheets)
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


def _read_table(path: Path) -> tuple[list[str], list[Row]]:
    """Columns in order from the CSV file, whose header is there without rows too."""
    with path.with_suffix(".csv").open(encoding="utf-8", newline="") as stream:
        columns = [unquote_formula(name) for name in next(csv.reader(stream), [])]
    rows = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
    return columns, printable(rows)


class _Sheet:
    """One table on its sheet."""

    def __init__(self, book: Any, sheet: Any, caption: Row) -> None:
        self.sheet, self.caption = sheet, caption
        self.bold = book.add_format({"bold": True, "text_wrap": True, "valign": "bottom"})
        self.grey = book.add_format({"font_color": "#7f7f7f", "italic": True, "bottom": 1})
        self.formats = {
            unit: book.add_format({"num_format": form}) for unit, form in NUMBER_FORMATS.items()
        }

    def write(self, columns: list[str], rows: list[Row]) -> None:
        """Headers in words, names of columns, then the rows in the order they are shown."""
        if len(rows) > MOST_ROWS:
            raise ValueError(
                f"a table of an xlsx file must have at most {MOST_ROWS:,} rows; got {len(rows):,}. "
                "Use its CSV file."
            )
        order = self.caption.get("order", [])
        places = order if sorted(order) == list(range(len(rows))) else list(range(len(rows)))
        for j, column in enumerate(columns):
            words = self.caption.get("headers", {}).get(column) or header(column, Display())
            self.sheet.write_string(0, j, words, self.bold)
            self.sheet.write_string(1, j, column, self.grey)
            self.sheet.set_column(j, j, self._width(words, column, rows))
            for i, place in enumerate(places, start=2):
                self._write_cell(
                    i, j, self._cell(rows[place], column, place), self._format(column, place)
                )
        if self.caption:
            self.sheet.set_header(f"&L{self.caption['caption'].replace('&', '&&')}"[:200])
        self.sheet.freeze_panes(2, 1)
        self.sheet.set_row(0, 45)
        self.sheet.set_landscape()
        if len(columns) <= MOST_PRINTED:
            self.sheet.fit_to_pages(1, 0)

    def _width(self, words: str, column: str, rows: list[Row]) -> int:
        """Characters: texts as they are, numbers as they are rounded; headers wrap."""
        texts = [str(self._cell(row, column, i)) for i, row in enumerate(rows)]
        if column in self.caption.get("units", {}):
            texts = [text[:NUMBER_WIDTH] for text in texts]
        longest = max([*map(len, texts), *map(len, words.split()), len(column)])
        return min(longest + 2, WIDEST)

    def _cell(self, row: Row, column: str, place: int) -> Any:
        words = self.caption.get("words", {}).get(column)
        return words[place] if words and row[column] is not None else row[column]

    def _format(self, column: str, place: int) -> Any:
        unit = self.caption.get("units", {}).get(column)
        return self.formats.get(unit[place] if isinstance(unit, list) else unit)

    def _write_cell(self, i: int, j: int, value: Any, form: Any) -> None:
        if value is None:
            return
        if isinstance(value, bool):
            self.sheet.write_boolean(i, j, value)
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= MOST_WHOLE):
            self.sheet.write_number(i, j, value, form)
        else:
            # never `write`, which would make a formula of "=…" and a link of "http…"
            self.sheet.write_string(i, j, str(value))


def _write_answer(
    book: Any, sheet: Any, folder: Path, manifest: Row, sheets: list[tuple[str, Row]]
) -> None:
    """The answer, what was found and how sure it is; then what the report is and its sheets."""
    large = book.add_format({"bold": True, "font_size": 16, "text_wrap": True, "valign": "top"})
    bold = book.add_format({"bold": True, "valign": "top"})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    grey = book.add_format({"font_color": "#595959", "text_wrap": True, "valign": "top"})
    sheet.set_column(0, 0, 33)
    sheet.set_column(1, 1, ANSWER_WIDTH)
    sheet.hide_gridlines(2)
    findings = read_findings(folder)
    sheet.write_string(0, 1, manifest["title"], grey)
    lines: list[tuple[str, str, Any]] = []
    for finding in findings or ():
        form = large if finding.kind == "answer" else wrapped
        lines.append((sure_word(finding).capitalize(), finding.text, form))
        if finding.detail:
            lines.append(("", finding.detail, grey))
    lines += [("", findings.how_sure, grey)] if findings and findings.how_sure else []
    lines += [("", "", wrapped), *((*line, wrapped) for line in _about(manifest, sheets))]
    for i, (word, text, form) in enumerate(lines, start=1):
        height, per_line = (21, ANSWER_WIDTH * 2 // 3) if form is large else (15, ANSWER_WIDTH)
        sheet.set_row(i, height * (1 + len(text) // per_line))
        sheet.write_string(i, 0, word, bold)
        sheet.write_string(i, 1, printable(text), form)
    sheet.fit_to_pages(1, 0)


def _about(manifest: Row, sheets: list[tuple[str, Row]]) -> Iterator[tuple[str, str]]:
    yield "Data", manifest["about"]
    yield from zip(("Period", "Selection"), scope_of(manifest), strict=True)
    yield "Made", str(manifest["ended"])
    yield from (("Change", str(line)) for line in manifest["changes"])
    for name, caption in sheets:
        told = [caption.get("caption", ""), caption.get("about", "")]
        yield name, ". ".join(part.rstrip(".") for part in told if part) or name
