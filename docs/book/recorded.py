"""Recorded tables and their columns, from the reports that the build makes."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cxlab.core.display import Display
from cxlab.core.headers import HEADERS, header, unit
from cxlab.report.show import read_captions
from docs.book.markdown import code, page, table

#: Units of columns in words.
UNITS = {
    "%": "per cent", "share": "share of 1", "points": "points from −100 to 100", "score": "score",
    "r": "coefficient from −1 to 1", "p": "p value", "count": "whole number", "number": "number",
}  # fmt: skip


class Recorded(NamedTuple):
    """A table that a notebook records: its caption, and the header and unit of each column."""

    notebook: str
    name: str
    caption: str
    columns: dict[str, tuple[str, str | list[str]]]


def tables_in(report: Path) -> Iterator[Recorded]:
    """The tables of a report, with the words that its page has for them."""
    captions = read_captions(report / "tables")
    for path in sorted((report / "tables").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            names = next(csv.reader(file), [])
        told = captions.get(path.stem, {})
        headers, units = told.get("headers", {}), told.get("units", {})
        columns = {
            name: (
                headers.get(name) or header(name, Display()),
                units.get(name, unit(name, Display())),
            )
            for name in names
        }
        yield Recorded(report.name, path.stem, told.get("caption", ""), columns)


def findings_columns(report: Path) -> list[str]:
    """Keys of the recorded findings."""
    records = json.loads((report / "tables" / "findings.json").read_text(encoding="utf-8"))
    return list(records[0]) if records else []


def recorded_page(reports: list[Path]) -> str:
    """Every recorded table of every notebook, then every column that has words of its own."""
    parts = [
        "Every table that a report shows is also written to its folder, as `tables/NAME.csv` and "
        "`tables/NAME.json`: all rows and columns, unrounded, under the names below. Label columns "
        "come first, then `n`, `estimate`, `se`, `ci_low`, `ci_high`, then the rest. Of a study with "
        "columns of other names, columns such as `overall_share` are named after those."
    ]
    for report in reports:
        found = list(tables_in(report))
        parts += [f"## {report.name}"]
        if (report / "tables" / "findings.json").exists():
            keys = ", ".join(map(code, findings_columns(report)))
            parts += [f"### findings (JSON only)\n\nWhat the report says first: {keys}."]
        for one in found:
            rows = [(code(n), words, _unit(u)) for n, (words, u) in one.columns.items()]
            title = f"### {one.name}" + (f"\n\n{one.caption}." if one.caption else "")
            parts += [title, table(["column", "header on the page", "in"], rows)]
    rows = [(code(name), one.words, _unit(one.unit)) for name, one in HEADERS.items()]
    parts += ["## Columns, A to Z", table(["column", "header on the page", "in"], sorted(rows))]
    return page("Recorded tables", *parts)


def _unit(name: str | list[str]) -> str:
    if not isinstance(name, str):
        return "the unit of the row"
    signed = name.startswith("+")
    words = UNITS.get(name.lstrip("+"), name.lstrip("+"))
    return f"{words}, a difference" if signed else words
