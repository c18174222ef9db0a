"""Notebook + checked parameters → a report at its final place, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
import papermill
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from cxlab.report.kernel import kernel_config
from cxlab.report.manifest import checks, make_manifest, now
from cxlab.report.page import PageFacts, notebook_title, write_page
from cxlab.report.parameters import check_parameters, read_parameters
from cxlab.report.show import RECORD_VARIABLE
from cxlab.survey.files import MIRROR_VARIABLE

# papermill cannot read a type like `str | None` and warns of parameters it does not know;
# they have been checked against the notebook by then
logging.getLogger("papermill").addFilter(
    lambda record: not str(record.msg).startswith("Passed unknown parameter")
)

BUILDING = ".building"
FAILED = "failed"


@dataclass(frozen=True)
class About:
    """What a report is about, for its head, its manifest and the index.

    Attributes
    ----------
    study, title, line : str
        Short name, words, and one line on the source.
    simulated : bool
    period, selection : str
        In words; empty if there is none.
    inputs : sequence of Path
        Files whose digests are recorded.
    """

    study: str = ""
    title: str = ""
    line: str = ""
    simulated: bool = False
    period: str = ""
    selection: str = ""
    inputs: Sequence[Path] = field(default_factory=tuple)


class ReportError(RuntimeError):
    """A notebook stopped before its end.

    Attributes
    ----------
    notebook : str
    cell : int
        Number of the code cell, from 1; 0 if the kernel died.
    cause : str
    folder : Path
        Where the partial notebook is.
    """

    def __init__(self, notebook: str, cell: int, cause: str, folder: Path) -> None:
        where = f"cell {cell}" if cell else "the kernel"
        super().__init__(f"{notebook} failed in {where}: {cause} (see {folder})")
        self.notebook, self.cell, self.cause, self.folder = (
            notebook,
            cell,
            cause,
            folder,
        )


def build_report(
    notebook: str | Path,
    output: str | Path,
    *,
    about: About | None = None,
    **parameters: Any,
) -> Path:
    """Run a notebook with parameters and publish its report.

    Parameters
    ----------
    notebook : path
        A notebook with a cell tagged ``parameters``.
    output : path
        Folder of the report. It appears, or replaces the earlier one, only when the
        report is whole.
    about : About, optional
        Head of the page and entry in the index; default: nothing but the notebook.
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
    notebook, output = Path(notebook), Path(output)
    declared = read_parameters(notebook)
    given = check_parameters(declared, parameters, notebook.stem)
    used = {name: given.get(name, parameter.default) for name, parameter in declared.items()}
    output.parent.mkdir(parents=True, exist_ok=True)
    with _building_folder(output.parent) as folder:
        started = now()
        executed = _execute(notebook, folder, used, failed=output.parent / FAILED / output.name)
        _write_report(notebook, folder, executed, used, about or About(), started)
        publish(folder, output)
    shutil.rmtree(output.parent / FAILED / output.name, ignore_errors=True)
    with contextlib.suppress(OSError):
        (output.parent / FAILED).rmdir()
    return output / f"{notebook.stem}.html"


def publish(folder: Path, output: Path) -> None:
    """Put a finished folder at its final place; an earlier one is replaced whole.

    Renames within one file system, so that no moment shows a half-written report.
    """
    if output.exists():
        retired = folder.with_name(folder.name + "-replaced")
        output.rename(retired)
        folder.rename(output)
        shutil.rmtree(retired, ignore_errors=True)
    else:
        folder.rename(output)


def clean_up(reports: Path) -> None:
    """Remove what runs that were killed have left under ``reports``."""
    for folder in reports.glob(f"**/{BUILDING}/*"):
        owner = re.match(r"(\d+)-", folder.name)
        if owner is None or not _alive(int(owner[1])):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in reports.glob(f"**/{BUILDING}"):
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def _building_folder(parent: Path) -> Iterator[Path]:
    building = parent / BUILDING
    building.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=building))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            building.rmdir()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _execute(
    notebook: Path, folder: Path, parameters: Mapping[str, Any], *, failed: Path
) -> nbformat.NotebookNode:
    target = folder / notebook.name
    try:
        with _environment(_kernel_environment(folder)):
            return papermill.execute_notebook(
                str(notebook),
                str(target),
                parameters=dict(parameters),
                kernel_name="python3",
                language="python",
                config=kernel_config(),
                progress_bar={
                    "desc": notebook.stem,
                    "disable": None,
                    "file": sys.stderr,
                },
            )
    except (PapermillExecutionError, DeadKernelError) as error:
        cell, cause = _what_failed(target, error)
        _keep_failure(
            target,
            failed,
            {"notebook": notebook.stem, "cell": cell, "cause": cause, "when": now()},
        )
        raise ReportError(notebook.stem, cell, cause, failed) from error


def _kernel_environment(folder: Path) -> dict[str, str]:
    environment = {RECORD_VARIABLE: str((folder / "tables").resolve())}
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        environment[MIRROR_VARIABLE] = str(Path(mirror).resolve())
    return environment


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the kernel, which inherits them; taken back afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _what_failed(partial: Path, error: Exception) -> tuple[int, str]:
    if isinstance(error, PapermillExecutionError):
        code = [
            cell for cell in nbformat.read(partial, as_version=4).cells if cell.cell_type == "code"
        ]
        failing = [
            i
            for i, cell in enumerate(code, start=1)
            if any(output.output_type == "error" for output in cell.outputs)
        ]
        return (failing[0] if failing else 0), f"{error.ename}: {error.evalue}"
    return 0, "it died, perhaps for want of memory"


def _keep_failure(partial: Path, failed: Path, record: Mapping[str, Any]) -> None:
    shutil.rmtree(failed, ignore_errors=True)
    failed.mkdir(parents=True)
    if partial.exists():
        shutil.move(partial, failed / partial.name)
    (failed / "failure.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _write_report(
    notebook: Path,
    folder: Path,
    executed: nbformat.NotebookNode,
    parameters: Mapping[str, Any],
    about: About,
    started: str,
) -> None:
    (folder / "tables").mkdir(exist_ok=True)
    title = notebook_title(executed, notebook.stem)
    manifest = make_manifest(
        notebook=notebook,
        parameters=parameters,
        inputs=about.inputs,
        started=started,
        executed=executed,
        about={
            "study": about.study,
            "study_title": about.title,
            "simulated": about.simulated,
            "period": about.period,
            "selection": about.selection,
            "title": title,
        },
    )
    manifest["tables"] = sorted(path.stem for path in (folder / "tables").glob("*.csv"))
    text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    scope = [
        (name, value)
        for name, value in (("Period", about.period), ("Selection", about.selection))
        if value
    ]
    facts = PageFacts(
        title=f"{title} · {about.title or 'cxlab'}",
        about=about.line,
        scope=scope,
        checks=checks(manifest),
    )
    write_page(executed, facts, folder / f"{notebook.stem}.html")
