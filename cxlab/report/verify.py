"""Make a report again from its manifest, and compare every file with what is published."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from cxlab.core.engines import row_count
from cxlab.core.past import past_reports
from cxlab.report import compare, records
from cxlab.report.answer import FINDINGS_FILE
from cxlab.report.build import about_fields, finish_report
from cxlab.report.execute import NotebookError, execute_notebook
from cxlab.report.exports import WRITERS, find_browser, write_exports
from cxlab.report.factory.requests import about_study
from cxlab.report.index import beside
from cxlab.report.manifest import (
    code_digest,
    input_names,
    made_earlier,
    near_words,
    now,
    package_versions,
    processor,
    read_verification,
)
from cxlab.report.notebooks import report_notebooks, was_injected
from cxlab.report.page import refresh_page
from cxlab.report.parameters import CELL_SECONDS
from cxlab.report.publish import clean_temporary, disk_cause, temporary_folder
from cxlab.survey.datasets import study_names
from cxlab.survey.study import Study, load_study

#: Above it, sums of several threads may differ by rounding.
EXACT_ROWS = 5_000_000
#: Packages whose versions may change the last digits.
NUMERIC = ("numpy", "scipy", "pandas", "statsmodels", "duckdb")
#: Lines of a manifest that a report made again says anew.
SAID = ("title", "tab", "warnings", "tables", "changes", "formats", "seed")
#: Lines on what the report is about, which its study says anew.
ABOUT = ("study", "study_title", "about", "simulated", "period", "selection")


@dataclass(frozen=True)
class Verification:
    """What making a report again has shown."""

    folder: Path
    #: How many were compared.
    tables: int
    #: One line for each file, table or cell that differs; empty: all is the same.
    differences: list[str]
    #: What has changed since the report was made: inputs, notebook, versions.
    notes: list[str]
    when: str
    #: Why numbers may differ by 1e-9, if some do; empty: all are the same to the last digit.
    near: str = ""

    @property
    def same(self) -> bool:
        """Whether every file came out the same, to 1e-9 where ``near`` says why."""
        return not self.differences

    def __str__(self) -> str:
        lines = [f"note: {note}" for note in self.notes]
        lines += [f"differs: {difference}" for difference in self.differences]
        verdict = f"same{near_words(self.near)}" if self.same else "NOT the same"
        return "\n".join([*lines, f"{verdict}: {self.tables} tables of {self.folder}"])


def verify_report(folder: str | Path, *, timeout: int = CELL_SECONDS) -> Verification:
    """Make a report again with its own parameters and compare every file of it.

    Tables and the notebook must come out the same to the last digit; to 1e-9 relative on another
    processor, with other versions, or from five million answers or more. All other files must be
    what these two give. As who changes a file may change its digest in the manifest too, all is
    compared with what the study's answers give now. What was found is written to
    ``verified.json``; the page shows it if all is the same, and stays as it is if not.

    Study and data are found from the report's folder on, whatever the working folder is. A
    notebook that is not where it was, or has changed, is run from the report's own copy.
    """
    folder = Path(folder)
    manifest = records.read_manifest(folder)
    if manifest is None:
        raise ValueError(
            f"`folder` must hold a report with its complete manifest.json; got '{folder}'. "
            "Name the folder that the page is in."
        )
    if earlier := made_earlier(manifest):
        raise ValueError(
            f"`folder` must hold a report of this version; got '{folder}', {earlier}: cannot be "
            "compared. Make the report again with cxlab report."
        )
    clean_temporary()
    place = _place(folder, manifest)
    study = _study(manifest, place)
    with temporary_folder() as own:
        source, notes = _source(folder, manifest, own)
        again = _run(source, manifest, own, place, timeout)
        found, near = _findings(folder, again, manifest, study)
    notes += [*found.notes, *_changed_inputs(manifest, study, place), *_changed_versions(manifest)]
    verification = Verification(
        folder, len(manifest["tables"]), found.differences, notes, now(), near
    )
    _record(folder, manifest, verification)
    return verification


@dataclass
class _Findings:
    """What differs, what could not be compared, and which files are what they should be."""

    differences: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    confirmed: list[str] = field(default_factory=list)


def _findings(
    folder: Path, again: Path, manifest: dict[str, Any], study: Study | None
) -> tuple[_Findings, str]:
    """What differs between two folders of one report, and why numbers may by rounding."""
    reasons = _reasons(manifest)
    spoilt = list(records.spoilt_files(folder, manifest))
    made = compare.compare_made(folder, again, manifest, exact=True)
    near = bool(reasons) and any(made.values())
    if near:
        made = compare.compare_made(folder, again, manifest, exact=False)
    for name, lines in made.items():
        if not lines and (folder / name).is_file():
            shutil.copyfile(folder / name, again / name)
    derived = _compare_derived(folder, again, manifest, study)
    # a page that is what its notebook gives needs no digest: a killed verification leaves an old one
    spoilt = [name for name in spoilt if name not in derived.confirmed]
    lines = [f"{name} is not what the report wrote" for name in spoilt]
    if _spoilt_verification(folder):
        lines.append(f"{records.VERIFICATION} is not what cxlab verify wrote")
    lines += [line for found in made.values() for line in found] + derived.differences
    differences = list(dict.fromkeys(lines))
    return _Findings(differences, derived.notes), ", ".join(reasons) if near and not lines else ""


def _place(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Where the notebook was run, as seen from the report; else the working folder."""
    way = manifest.get("places", {}).get("folder")
    place = Path(os.path.normpath(folder.resolve() / str(way or ".")))
    name = str(manifest["parameters"].get("study", ""))
    there = name in study_names() or (place / name).exists()
    return place if way and place.is_dir() and there else Path.cwd()


def _study(manifest: Mapping[str, Any], place: Path) -> Study | None:
    """The study that the report is of; None for a notebook that has none."""
    name = manifest["parameters"].get("study")
    if not isinstance(name, str):
        return None
    return load_study(name if name in study_names() else place / name)


def _source(folder: Path, manifest: Mapping[str, Any], own: Path) -> tuple[Path, list[str]]:
    """The notebook as it was: from where it was if unchanged, else from the report."""
    name = manifest["notebook"]["name"]
    way = manifest.get("places", {}).get("notebook")
    known = [report_notebooks().get(Path(name).stem), way and folder.resolve() / str(way)]
    there = [Path(path) for path in known if path and Path(path).is_file()]
    for path in there:
        if records.file_digest(path) == manifest["notebook"]["sha256"]:
            return path, []
    notebook = nbformat.read(folder / Path(name).name, as_version=4)
    notebook.cells = [cell for cell in notebook.cells if not was_injected(cell)]
    nbformat.write(notebook, own / Path(name).name)
    reason = "has changed since" if there else "is not where it was"
    return own / Path(name).name, [f"{name} {reason}; the report's own copy was run"]


def _run(source: Path, manifest: Mapping[str, Any], own: Path, place: Path, timeout: int) -> Path:
    """The folder in which the report's notebook was run again."""
    tables = own / "report" / "tables"
    tables.mkdir(parents=True)
    target = tables.parent / Path(manifest["notebook"]["name"]).name
    given = manifest["parameters"]
    try:
        execute_notebook(source, target, given, tables=tables, timeout=timeout, cwd=place)
    except NotebookError as error:
        where = f"cell {error.cell}" if error.cell else "the kernel"
        raise ValueError(f"{source.name} no longer runs: {where}: {error.cause}.") from error
    return tables.parent


def _reasons(manifest: Mapping[str, Any]) -> list[str]:
    """Why numbers may differ by rounding."""
    found = []
    if manifest.get("processor") != processor():
        found.append("another processor")
    if any(manifest["packages"].get(name) != package_versions()[name] for name in NUMERIC):
        found.append("other versions")
    if (manifest.get("rows") or 0) >= EXACT_ROWS:
        found.append("several threads")
    return found


def _spoilt_verification(folder: Path) -> bool:
    path = folder / records.VERIFICATION
    try:
        record = records.read_record(path, dict[str, Any])
    except records.RecordError:
        return path.exists()
    return bool(record.get(records.SEAL) != records.seal(record))


def _changed_inputs(manifest: Mapping[str, Any], study: Study | None, place: Path) -> Iterator[str]:
    recorded = {entry["name"]: entry["sha256"] for entry in manifest["inputs"]}
    # a notebook need not take the study's name
    if not recorded or study is None:
        return
    used = manifest["parameters"]
    past: tuple[Path, ...] = ()
    if used.get("past"):
        past = past_reports(place / used["past"], study=study.name, where=used.get("where")).files
    files = input_names([*study.files(), *past])
    for name, digest in recorded.items():
        if name not in files:
            yield f"input {name} is no longer there"
        elif records.file_digest(files[name]) != digest:
            yield f"input {name} has changed"


def _changed_versions(manifest: Mapping[str, Any]) -> Iterator[str]:
    now_used = {**package_versions(), "processor": processor()}
    before = {**manifest["packages"], "processor": manifest.get("processor", "not recorded")}
    for name, version in now_used.items():
        if before.get(name) != version:
            yield f"{name} was {before.get(name, 'not recorded')}, is {version}"
    if manifest.get("code") != code_digest():
        yield "the package's code has changed; what it now writes differently is named above"


def _record(folder: Path, manifest: dict[str, Any], found: Verification) -> None:
    """Write what was found; only a notebook that came out the same becomes a page again."""
    record = {"same": found.same, "near": found.near, "when": found.when, "tables": found.tables,
              "differences": found.differences, "notes": found.notes}  # fmt: skip
    if not found.same:
        record["shown"] = read_verification(folder)
    try:
        records.write_record(folder / records.VERIFICATION, record)
        if found.same:
            if "beside" in manifest:
                index = Path(os.path.normpath(folder / manifest["beside"].get("index", "")))
                manifest["beside"] = beside(folder, manifest, index)
            refresh_page(folder, manifest)
            records.write_manifest(folder, manifest)
    except OSError as error:
        found.notes.append(f"this could not be written into the report: {disk_cause(error)}")


def _compare_derived(
    folder: Path, again: Path, manifest: Mapping[str, Any], study: Study | None
) -> _Findings:
    """Differences of all that follows from notebook, tables and manifest; ``again`` is completed.

    These are made from the published notebook and tables, where they are right, so that a
    rounding on another processor is reported once and a changed file by its own name.
    """
    found = _Findings()
    stem = records.stem_of(manifest)
    made = {**manifest, **_about(manifest, study), "seed": manifest["parameters"].get("seed")}
    tried = {*manifest["formats"], *manifest.get("failed_formats", {})}
    made["formats"] = sorted(one for one in tried if one in WRITERS)
    printed = "pdf" in made["formats"]
    can_print = printed and find_browser() is not None
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
    if (folder / records.VERIFICATION).is_file():
        shutil.copyfile(folder / records.VERIFICATION, again / records.VERIFICATION)
    refresh_page(again, made)
    known = {Path(manifest["notebook"]["name"]).name, *([f"{stem}.pdf"] if printed else [])}
    known |= {f"tables/{name}.{kind}" for name in manifest["tables"] for kind in ("csv", "json")}
    known.add(FINDINGS_FILE)
    _compare_files(folder, again, known, found)
    return found


def _about(manifest: Mapping[str, Any], study: Study | None) -> dict[str, Any]:
    """What the report is about, by its study; as recorded where nothing was said of one."""
    if study is None or not any(manifest[name] for name in ABOUT):
        return {"rows": manifest.get("rows")}
    given = manifest["parameters"]
    period, where, rows = given.get("period"), given.get("where"), manifest.get("rows")
    if rows is not None:
        rows = row_count(study.read(period=period, where=where))
    return about_fields(about_study(study, period, where or {}, [], rows))


def _compare_pdf(
    folder: Path, again: Path, stem: str, made: dict[str, Any], found: _Findings
) -> None:
    """The page was printed before or after it said what verifying had found."""
    name = f"{stem}.pdf"
    try:
        old = (folder / name).read_bytes()
    except OSError:
        found.differences.append(f"{name} is missing")
        return
    new = (again / name).read_bytes()
    if compare.pdf_producer(old) != compare.pdf_producer(new):
        reason = f"it was printed by {compare.pdf_producer(old)}, and here is {compare.pdf_producer(new)}"
        found.notes.append(f"{name} was compared by its digest only: {reason}")
        return
    if not compare.same_pdf(old, new) and (folder / records.VERIFICATION).is_file():
        shutil.copyfile(folder / records.VERIFICATION, again / records.VERIFICATION)
        refresh_page(again, made)
        write_exports(again, stem, ["pdf"])
        new = (again / name).read_bytes()
    if not compare.same_pdf(old, new):
        found.differences.append(f"{name} is not what its page gives")


def _compare_files(folder: Path, again: Path, known: set[str], found: _Findings) -> None:
    """Pages, workbooks, slides and all else but what is ``known`` from other comparisons."""
    before, after = records.published_files(folder), records.published_files(again)
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
        part = compare.differing_part(old, new)
        if part is not None:
            yield f"{name} is not what its tables give ({part})"
    else:
        yield from compare.compare_text(old.decode("utf-8", "replace"), new.decode("utf-8"), name)
