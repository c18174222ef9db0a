"""Run a report again from its manifest and compare every table."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from cxlab.report.execute import NotebookError, execute_notebook
from cxlab.report.manifest import (
    VERIFICATION,
    file_digest,
    input_names,
    now,
    package_versions,
)
from cxlab.report.matrix import saved_files
from cxlab.report.notebooks import report_notebooks
from cxlab.report.page import refresh_page
from cxlab.report.publish import replace_text
from cxlab.report.records import read_manifest
from cxlab.survey.study import load_study

#: Below it sums come in one order and must agree to the last digit.
EXACT_ROWS = 5_000_000
#: Above it, sums of several threads may differ by rounding.
RELATIVE = 1e-9
#: Differing cells of one table that are named.
NAMED = 5


@dataclass(frozen=True)
class Verification:
    """What running a report again has shown.

    Attributes
    ----------
    folder : Path
    tables : int
        Tables compared.
    differences : list of str
        One line for each table, column or cell that differs; empty: all is the same.
    notes : list of str
        What is otherwise than when the report was made: inputs, notebook, versions.
    when : str
    """

    folder: Path
    tables: int
    differences: list[str]
    notes: list[str]
    when: str

    @property
    def same(self) -> bool:
        """Whether every table came out the same."""
        return not self.differences

    def __str__(self) -> str:
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"differs: {difference}" for difference in self.differences]
        told = "same" if self.same else "NOT the same"
        return "\n".join([*lines, f"{told}: {self.tables} tables of {self.folder}"])


def verify_report(folder: str | Path) -> Verification:
    """Run a report again with its own parameters and compare what it recorded.

    Parameters
    ----------
    folder : path
        A report's folder, with ``manifest.json``.

    Returns
    -------
    Verification
        Tables must agree exactly; to 1e-9 relative where the report is made from five
        million answers or more. It is also written to ``verified.json`` there, and shown
        on the page.

    Raises
    ------
    ValueError
        When the folder holds no report, or the notebook can no longer be run.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if manifest is None or "notebook" not in manifest:
        raise ValueError(
            f"`folder` must hold a report with its manifest.json; got '{folder}'. "
            "Name the folder that the page is in."
        )
    with tempfile.TemporaryDirectory(prefix="cxlab-verify-") as place:
        source, notes = _source(folder, manifest, Path(place))
        again = _run(source, manifest, Path(place))
        differences = list(_compare(folder / "tables", again, manifest))
    notes = [*notes, *_changed_inputs(manifest), *_changed_versions(manifest)]
    found = Verification(folder, len(manifest["tables"]), differences, notes, now())
    _record(folder, manifest, found)
    return found


def _source(folder: Path, manifest: Mapping[str, Any], place: Path) -> tuple[Path, list[str]]:
    """The notebook as it was: from the project if unchanged, else from the report."""
    name = manifest["notebook"]["name"]
    current = report_notebooks().get(Path(name).stem)
    if current is not None and file_digest(current) == manifest["notebook"]["sha256"]:
        return current, []
    notebook = nbformat.read(folder / name, as_version=4)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if "injected-parameters" not in cell.metadata.get("tags", [])
    ]
    nbformat.write(notebook, place / name)
    told = "is not among the project's" if current is None else "has changed since"
    return place / name, [f"{name} {told}; the report's own copy was run"]


def _run(source: Path, manifest: Mapping[str, Any], place: Path) -> Path:
    tables = place / "tables"
    tables.mkdir()
    try:
        execute_notebook(source, place / "again.ipynb", manifest["parameters"], tables=tables)
    except NotebookError as error:
        where = f"cell {error.cell}" if error.cell else "the kernel"
        raise ValueError(f"{source.name} no longer runs: {where}: {error.cause}.") from error
    return tables


def _compare(before: Path, after: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    exact = (manifest.get("rows") or 0) < EXACT_ROWS
    there = {path.stem for path in after.glob("*.json")}
    for file, digest in manifest.get("digests", {}).items():
        if not (before / file).is_file() or file_digest(before / file) != digest:
            yield f"{file} is not what the report wrote"
    for name in manifest["tables"]:
        if name not in there:
            yield f"table {name} is no longer made"
        elif (old := _rows(before, name)) is not None:
            yield from compare_tables(old, _rows(after, name) or [], name, exact=exact)
    for name in sorted(there - set(manifest["tables"])):
        yield f"table {name} is new"


def compare_tables(
    before: list[dict[str, Any]], after: list[dict[str, Any]], name: str, *, exact: bool = True
) -> Iterator[str]:
    """One line for each of the first cells that differ, and for the number of others.

    Examples
    --------
    >>> list(compare_tables([{"group": "a", "n": 1}], [{"group": "a", "n": 2}], "counts"))
    ['table counts, row 1 (a), column n: was 1, is 2']
    """
    if len(before) != len(after):
        yield f"table {name}: had {len(before)} rows, has {len(after)}"
        return
    if before and list(before[0]) != list(after[0]):
        yield f"table {name}: had columns {', '.join(before[0])}; has {', '.join(after[0])}"
        return
    cells = [
        (number, column)
        for number, (old, new) in enumerate(zip(before, after, strict=True))
        for column in old
        if not _same(old[column], new[column], exact)
    ]
    for number, column in cells[:NAMED]:
        label = next(iter(before[number].values()))
        old, new = before[number][column], after[number][column]
        yield f"table {name}, row {number + 1} ({label}), column {column}: was {old}, is {new}"
    if len(cells) > NAMED:
        yield f"table {name}: {len(cells) - NAMED} more cells"


def _same(old: Any, new: Any, exact: bool) -> bool:
    if old == new and type(old) is type(new):
        return True
    numbers = isinstance(old, float) and isinstance(new, float)
    return numbers and not exact and math.isclose(old, new, rel_tol=RELATIVE)


def _rows(folder: Path, name: str) -> list[dict[str, Any]] | None:
    """Rows of a recorded table; None where its file is missing or spoilt."""
    try:
        rows = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(rows, list) and all(isinstance(row, dict) and row for row in rows)
    return rows if whole else None


def _changed_inputs(manifest: Mapping[str, Any]) -> Iterator[str]:
    recorded = {entry["name"]: entry["sha256"] for entry in manifest["inputs"]}
    if not recorded:
        return
    given = manifest["parameters"]
    files = input_names([*load_study(given["study"]).files(), *saved_files(given.get("saved"))])
    for name, digest in recorded.items():
        if name not in files:
            yield f"input {name} is no longer there"
        elif file_digest(files[name]) != digest:
            yield f"input {name} has changed"


def _changed_versions(manifest: Mapping[str, Any]) -> Iterator[str]:
    for name, version in package_versions().items():
        before = manifest["packages"].get(name)
        if before != version:
            yield f"{name} was {before}, is {version}"


def _record(folder: Path, manifest: Mapping[str, Any], found: Verification) -> None:
    record = {"same": found.same, "when": found.when, "tables": found.tables,
              "differences": found.differences, "notes": found.notes}  # fmt: skip
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    replace_text(folder / VERIFICATION, text)
    refresh_page(folder, manifest)
