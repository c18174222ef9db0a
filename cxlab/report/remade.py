"""A report that was made again, beside the published one: what differs, file by file.

The run makes the notebook and the tables; these must come out the same. Everything else
follows from them and is made from the published ones, where these are right, so that a
rounding on another processor is told once and a changed file by its own name.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from cxlab.report.build import about_fields, finish_report
from cxlab.report.compare import (
    compare_notebooks,
    compare_tables,
    compare_text,
    csv_rows,
    differing_part,
    json_rows,
    pdf_producer,
    same_pdf,
)
from cxlab.report.exports import WRITERS, write_exports
from cxlab.report.exports.pdf import find_browser
from cxlab.report.factory.requests import about_study
from cxlab.report.page import refresh_page
from cxlab.report.records import VERIFICATION, published_files
from cxlab.survey.study import Study

#: Lines of a manifest that a report made again says anew.
SAID = ("title", "warnings", "tables", "headline", "changes", "formats", "seed")
#: Lines on what the report is about, which its study says anew.
ABOUT = ("study", "study_title", "about", "simulated", "period", "selection")


@dataclass
class Findings:
    """What differs, what could not be compared, and which files are what they should be."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)


def compare_made(
    folder: Path, again: Path, manifest: Mapping[str, Any], *, exact: bool
) -> dict[str, list[str]]:
    """Differences of each file that the run itself has made: the notebook and its tables.

    Parameters
    ----------
    folder, again : Path
        The published report, and the one made again.
    manifest : mapping
        Of the published one.
    exact : bool
        To the last digit; else numbers to 1e-9 relative.

    Returns
    -------
    dict of str to list of str
        File to one line for each difference; an empty list: the same.
    """
    name = Path(manifest["notebook"]["name"]).name
    found = {name: list(_compare_notebook(folder / name, again / name, exact))}
    there = {path.stem for path in (again / "tables").glob("*.csv")}
    for table in sorted(there | set(manifest["tables"])):
        if table not in there:
            found[f"tables/{table}.json"] = [f"table {table} is no longer made"]
        elif table not in manifest["tables"]:
            found[f"tables/{table}.json"] = [f"table {table} is new"]
        else:
            found |= _compare_table(folder, again, table, exact)
    return found


def _compare_table(folder: Path, again: Path, table: str, exact: bool) -> dict[str, list[str]]:
    """Differences of the two files of a table; what they have in common is said once."""
    found: dict[str, list[str]] = {}
    said: set[str] = set()
    for file, read, name in (
        (f"tables/{table}.json", json_rows, f"table {table}"),
        (f"tables/{table}.csv", csv_rows, f"tables/{table}.csv"),
    ):
        before, after = read(folder / file), read(again / file)
        if before is None:
            found[file] = [f"{file} is not what the report wrote"]
            continue
        lines = list(compare_tables(before, after or [], name, exact=exact))
        found[file] = [line for line in lines if _cell_of(line) not in said]
        said |= {_cell_of(line) for line in lines} - {""}
        if exact and not lines and (folder / file).read_bytes() != (again / file).read_bytes():
            # such as a name that stands twice in a row, of which one is read
            found[file] = [f"{file} is not what the report wrote"]
    return found


def _cell_of(line: str) -> str:
    """Row and column that a difference names; empty for another one."""
    return line.partition(": was ")[0].partition(", row ")[2]


def _compare_notebook(before: Path, after: Path, exact: bool) -> Iterator[str]:
    try:
        old = nbformat.read(before, as_version=4)
        yield from compare_notebooks(
            old, nbformat.read(after, as_version=4), before.name, exact=exact
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        yield f"{before.name} is not what the report wrote"


def take_over(folder: Path, again: Path, names: Sequence[str]) -> None:
    """Put published files in the place of those made again, where both are the same."""
    for name in names:
        if (folder / name).is_file():
            shutil.copyfile(folder / name, again / name)


def _take_ids(before: Path, after: Path) -> None:
    """Name cells as in the published notebook: a page holds the names, and they are random."""
    try:
        published = nbformat.read(before, as_version=4)
    except (OSError, ValueError, AttributeError):
        return
    made = nbformat.read(after, as_version=4)
    for one, other in zip(published.cells, made.cells, strict=False):
        if re.fullmatch(r"[\w-]{1,64}", str(one.get("id", ""))):
            other["id"] = one["id"]
    nbformat.write(made, after)


def compare_derived(
    folder: Path, again: Path, manifest: Mapping[str, Any], study: Study | None
) -> Findings:
    """Differences of all that follows from notebook, tables and manifest.

    Parameters
    ----------
    folder, again : Path
        The published report, and the one made again; the second is completed.
    manifest : mapping
        Of the published one.
    study : Study or None
        Says what the report is about.

    Returns
    -------
    Findings
    """
    found = Findings()
    stem = Path(manifest["notebook"]["name"]).stem
    made = {**manifest, **_about(manifest, study), "seed": manifest["parameters"].get("seed")}
    tried = {*manifest["formats"], *manifest.get("failed_formats", {})}
    made["formats"] = sorted(one for one in tried if one in WRITERS)
    printed = "pdf" in made["formats"]
    can_print = printed and find_browser() is not None
    _take_ids(folder / f"{stem}.ipynb", again / f"{stem}.ipynb")
    notebook = nbformat.read(again / f"{stem}.ipynb", as_version=4)
    if printed and not can_print:
        made["formats"].remove("pdf")
        found.notes.append(f"{stem}.pdf was compared by its digest only: there is no Chromium")
    finish_report(again, notebook, made)
    made["formats"] = list(manifest["formats"])
    for name in (*SAID, *ABOUT, "rows"):
        if made[name] != manifest.get(name):
            line = f"manifest.json, {name}: was {manifest.get(name)}, is {made[name]}"
            found.differences.append(line)
    if can_print:
        _compare_pdf(folder, again, stem, made, found)
    if (folder / VERIFICATION).is_file():
        shutil.copyfile(folder / VERIFICATION, again / VERIFICATION)
    refresh_page(again, made)
    known = {Path(manifest["notebook"]["name"]).name, *([f"{stem}.pdf"] if printed else [])}
    known |= {f"tables/{name}.{kind}" for name in manifest["tables"] for kind in ("csv", "json")}
    _compare_files(folder, again, known, found)
    return found


def _about(manifest: Mapping[str, Any], study: Study | None) -> dict[str, Any]:
    """What the report is about, by its study; as recorded where nothing was said of one."""
    if study is None or not any(manifest[name] for name in ABOUT):
        return {"rows": manifest.get("rows")}
    given = manifest["parameters"]
    period, where, rows = given.get("period"), given.get("where"), manifest.get("rows")
    if rows is not None:
        rows = len(study.read(period=period, where=where))
    return about_fields(about_study(study, period, where or {}, [], rows))


def _compare_pdf(
    folder: Path, again: Path, stem: str, made: dict[str, Any], found: Findings
) -> None:
    """The page was printed before or after it said what verifying had found."""
    name = f"{stem}.pdf"
    try:
        old = (folder / name).read_bytes()
    except OSError:
        found.differences.append(f"{name} is missing")
        return
    new = (again / name).read_bytes()
    if pdf_producer(old) != pdf_producer(new):
        told = f"it was printed by {pdf_producer(old)}, and here is {pdf_producer(new)}"
        found.notes.append(f"{name} was compared by its digest only: {told}")
        return
    if not same_pdf(old, new) and (folder / VERIFICATION).is_file():
        shutil.copyfile(folder / VERIFICATION, again / VERIFICATION)
        refresh_page(again, made)
        write_exports(again, stem, ["pdf"])
        new = (again / name).read_bytes()
    if not same_pdf(old, new):
        found.differences.append(f"{name} is not what its page gives")


def _compare_files(folder: Path, again: Path, known: set[str], found: Findings) -> None:
    """Pages, workbooks, slides and all else but what is ``known`` from other comparisons."""
    before, after = published_files(folder), published_files(again)
    missing = known & set(after) - set(before)
    for name in sorted({*before, *after} - known | missing):
        if name not in before:
            found.differences.append(f"{name} is missing")
        elif name not in after:
            found.differences.append(f"{name} is not what the report wrote")
        else:
            lines = list(_compare_file(folder / name, again / name, name))
            found.differences += lines
            if not lines and name.endswith(".html"):
                found.confirmed.append(name)


def _compare_file(before: Path, after: Path, name: str) -> Iterator[str]:
    old, new = before.read_bytes(), after.read_bytes()
    if name.endswith((".xlsx", ".pptx")):
        part = differing_part(old, new)
        if part is not None:
            yield f"{name} is not what its tables give ({part})"
    else:
        yield from compare_text(old.decode("utf-8", "replace"), new.decode("utf-8"), name)
