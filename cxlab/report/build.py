"""Notebook + checked parameters → a report at its final place, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat

from cxlab.report import publish
from cxlab.report.exports import write_formats
from cxlab.report.manifest import code_digest, fingerprint, make_manifest, now, warnings_of
from cxlab.report.notebooks import report_name
from cxlab.report.page import notebook_title, tab_name
from cxlab.report.parameters import (
    CELL_SECONDS,
    check_parameters,
    check_secrets,
    check_timeout,
    read_parameters,
)
from cxlab.report.records import stem_of, write_changes, write_manifest

#: Why a report is never written into a folder of the user's own.
FOREIGN = "its folder holds other files, which would be lost; name another one"


@dataclass(frozen=True)
class About:
    """What a report is about, for its head, its manifest and the index."""

    study: str = ""
    #: In words, and a line on its source.
    study_title: str = ""
    about: str = ""
    simulated: bool = False
    #: In words; empty if there is none.
    period: str = ""
    selection: str = ""
    #: Answers that the report is made from, where known.
    rows: int | None = None
    #: Files whose digests are recorded.
    inputs: Sequence[Path] = ()


@dataclass(frozen=True)
class Job:
    """One report to make: everything that a worker needs to know."""

    notebook: Path
    #: Folder of the report.
    output: Path
    #: Checked values, defaults included.
    parameters: Mapping[str, Any]
    about: About = field(default_factory=About)
    #: Further formats, such as ``xlsx``.
    formats: tuple[str, ...] = ()
    #: Of all that the report is made from; empty: to be computed.
    fingerprint: str = ""
    #: Seconds that each cell may run.
    timeout: int = CELL_SECONDS

    @property
    def page(self) -> Path:
        """The report's page, once it is made."""
        return self.output / f"{report_name(self.notebook)}.html"

    @property
    def failed(self) -> Path:
        """Folder of the record, should it fail."""
        return self.output.parent / publish.FAILED / self.output.name


class ReportError(RuntimeError):
    """A notebook stopped before its end, in a code cell of the source; 0: in none.

    The partial notebook is in ``folder``; ``trouble`` is of the disk, if that is why.
    """

    def __init__(
        self, notebook: str, cell: int, cause: str, folder: Path, trouble: publish.Trouble = ""
    ) -> None:
        where = f" in cell {cell}" if cell else "" if trouble else " in the kernel"
        super().__init__(f"{notebook} failed{where}: {cause} (see {folder})")
        self.notebook, self.cell, self.cause, self.folder = notebook, cell, cause, folder
        self.trouble = trouble

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.notebook, self.cell, self.cause, self.folder, self.trouble)


def build_report(
    notebook: str | Path, output: str | Path, *, timeout: int = CELL_SECONDS, **parameters: Any
) -> Path:
    """Run a notebook with parameters and publish its report.

    Parameters
    ----------
    notebook : path
        Its cell tagged ``parameters`` declares what it takes; without one it takes nothing.
    output : path
        Folder of the report. It appears, or replaces the earlier one, only when the
        report is whole.
    timeout : int
        Seconds that each cell may run; the report fails when one takes longer.
    **parameters
        Values for the declared parameters, checked before anything runs.

    Returns
    -------
    Path
        The HTML page. Beside it: the executed notebook, ``tables/`` (CSV and JSON at full
        precision) and ``manifest.json``.

    Raises
    ------
    ValueError, TypeError
        For a parameter that is not declared or of another type; nothing has run then.
    ReportError
        When a cell fails; the partial notebook is in ``failed/`` beside ``output``.

    Examples
    --------
    >>> build_report("notebooks/2-scorecard.ipynb", "reports/mine", perod="2025-Q4")
    Traceback (most recent call last):
    ...
    ValueError: `parameters` of '2-scorecard' must be ...; got 'perod'. Did you mean 'period'?
    """
    notebook = Path(notebook)
    used = used_parameters(notebook, parameters)
    progress = {"desc": notebook.stem, "disable": None, "file": sys.stderr}
    limit = check_timeout(timeout)
    job = Job(notebook, Path(output), used, timeout=limit)
    return make_report(job, progress=progress)


def used_parameters(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Checked values, and the default of every parameter that is not given."""
    declared = read_parameters(notebook)
    checked = check_parameters(declared, given, notebook.stem)
    used = {name: checked.get(name, parameter.default) for name, parameter in declared.items()}
    check_secrets(declared, used)
    return used


def make_report(
    job: Job,
    *,
    progress: Mapping[str, Any] | bool = False,
    cell_done: Callable[[], None] | None = None,
) -> Path:
    """Make a report whose parameters are checked already; otherwise as `build_report`."""
    started = now()
    try:
        if publish.is_foreign(job.output):
            raise _failure(job, 0, FOREIGN, started, "unwritable")
        with publish.building_folder(job.output.parent) as folder:
            folder.mkdir()
            executed = _execute(job, folder, started, progress, cell_done)
            _write_report(job, folder, executed, started)
            publish.publish(folder, job.output)
    except OSError as error:
        trouble = publish.trouble_of(error, job.output.parent)
        raise _failure(job, 0, publish.disk_cause(error), started, trouble) from error
    publish.forget_failure(job.output)
    return job.page


def _execute(
    job: Job,
    folder: Path,
    started: str,
    progress: Mapping[str, Any] | bool,
    cell_done: Callable[[], None] | None,
) -> nbformat.NotebookNode:
    # papermill and Jupyter are for those who run a notebook: most of a run changes nothing
    from cxlab.report.execute import NotebookError, execute_notebook

    target = folder / f"{report_name(job.notebook)}.ipynb"
    try:
        return execute_notebook(
            job.notebook,
            target,
            job.parameters,
            tables=folder / "tables",
            timeout=job.timeout,
            progress=progress,
            cell_done=cell_done,
        )
    except NotebookError as error:
        raise _failure(job, error.cell, error.cause, started, error.trouble, target) from error


def _failure(
    job: Job,
    cell: int,
    cause: str,
    started: str,
    trouble: publish.Trouble,
    partial: Path | None = None,
) -> ReportError:
    """Leave a record and say what happened."""
    record_failure(job, cause, cell=cell, started=started, partial=partial)
    return ReportError(job.notebook.stem, cell, cause, job.failed, trouble)


def record_failure(
    job: Job, cause: str, *, cell: int = 0, started: str = "", partial: Path | None = None
) -> None:
    """Keep why a report failed, and the notebook as far as it got, for the index and its reader."""
    record = {
        "notebook": job.notebook.stem,
        "cell": cell,
        "cause": cause,
        "started": started or now(),
        "when": now(),
        "study": job.about.study,
        "period": job.about.period,
        "selection": job.about.selection,
    }
    publish.keep_failure(partial or job.output / "nothing", job.failed, record)


def _write_report(job: Job, folder: Path, executed: nbformat.NotebookNode, started: str) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    manifest = make_manifest(
        notebook=job.notebook,
        parameters=job.parameters,
        inputs=job.about.inputs,
        started=started,
        about=about_fields(job.about),
    )
    manifest["fingerprint"] = job.fingerprint or fingerprint(
        job.notebook, job.parameters, job.about.inputs
    )
    manifest["code"] = code_digest()
    manifest["places"] = _places(job)
    manifest["formats"] = list(job.formats)
    finish_report(folder, executed, manifest)


def about_fields(about: About) -> dict[str, Any]:
    """The lines of a manifest that say what the report is about."""
    return {name: value for name, value in vars(about).items() if name != "inputs"}


def finish_report(folder: Path, executed: nbformat.NotebookNode, manifest: dict[str, Any]) -> None:
    """Write all that follows from the executed notebook and its tables; completes the manifest."""
    tables = folder / "tables"
    stem = stem_of(manifest)
    manifest["title"] = notebook_title(executed, stem)
    manifest["tab"] = tab_name(executed, stem)
    manifest["warnings"] = warnings_of(executed)
    manifest["tables"] = sorted(path.stem for path in tables.glob("*.csv"))
    manifest["changes"] = write_changes(folder)
    # the other formats are made from the files in the folder
    formats, manifest["formats"] = manifest["formats"], []
    write_manifest(folder, manifest)
    write_formats(folder, executed, manifest, formats)
    write_manifest(folder, manifest)


def _places(job: Job) -> dict[str, str]:
    """Where the notebook was, and where it was run, from the report's folder on."""
    found = {}
    for name, path in {"folder": Path.cwd(), "notebook": job.notebook}.items():
        # no relative path leads from one drive of Windows to another
        with contextlib.suppress(ValueError):
            way = os.path.relpath(path.resolve(), job.output.resolve())
            found[name] = Path(way).as_posix()
    return found
