"""One study and period → a report from each notebook; a failing one stops no other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxlab.report.build import About, ReportError, build_report, clean_up
from cxlab.report.index import write_index
from cxlab.report.parameters import check_parameters, read_parameters
from cxlab.survey.messages import unknown
from cxlab.survey.study import load_study

#: Parameters that a run sets itself; a notebook that lacks one cannot be a report.
RUN_PARAMETERS = ("study", "period", "where")


@dataclass(frozen=True)
class Run:
    """What one run made.

    Attributes
    ----------
    index : Path
        Page that lists all reports.
    pages : list of Path
    failures : list of ReportError
    """

    index: Path
    pages: list[Path] = field(default_factory=list)
    failures: list[ReportError] = field(default_factory=list)


def notebooks_folder() -> Path:
    """Folder of the project's notebooks: the package's copy, or the checkout's."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "notebooks", package.parent / "notebooks"
    return installed if installed.is_dir() else checkout


def report_notebooks() -> dict[str, Path]:
    """Notebooks that make reports: those whose parameters name study, period and where."""
    found = {}
    for path in sorted(notebooks_folder().glob("*.ipynb")):
        if all(name in read_parameters(path) for name in RUN_PARAMETERS):
            found[path.stem] = path
    return found


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """The named notebooks, by name (``2-scorecard``), by topic (``scorecard``) or path.

    Raises
    ------
    ValueError
        For a name that is none of them, with the nearest spelling.
    """
    there = report_notebooks()
    if not names:
        return there
    chosen = {}
    for name in names:
        matches = [stem for stem in there if name in (stem, stem.partition("-")[2])]
        if matches:
            chosen[matches[0]] = there[matches[0]]
        elif name.endswith(".ipynb") and Path(name).is_file():
            chosen[Path(name).stem] = Path(name)
        else:
            raise ValueError(unknown("notebook", name, there))
    return chosen


def run_reports(
    study: str,
    *,
    period: str | None = None,
    notebooks: Sequence[str] = (),
    where: Mapping[str, str] | None = None,
    output: str | Path = "reports",
    settings: Mapping[str, str] | None = None,
) -> Run:
    """Make a report from each notebook for one study, period and selection.

    Parameters
    ----------
    study : str
        A study's name or path.
    period : str, optional
        One of its periods; default: all together.
    notebooks : sequence of str
        Names, topics or paths; default: every notebook that makes reports.
    where : mapping of str to str, optional
        Column to value: a part of the answers.
    output : path
        Folder of all reports.
    settings : mapping of str to str, optional
        Further parameters, as text; read by the type that each notebook declares.

    Returns
    -------
    Run

    Raises
    ------
    ValueError, FileNotFoundError
        For a study, period, selection, notebook or parameter that isn't there. All are
        checked before anything runs.
    """
    loaded = load_study(study)
    chosen = choose_notebooks(notebooks)
    loaded.read(period=period, where=where)
    given = _settings(chosen, settings or {})
    selection = ", ".join(f"{column} = {value}" for column, value in (where or {}).items())
    about = About(
        study=loaded.name,
        title=loaded.title,
        line=loaded.about,
        simulated=loaded.simulated,
        period=period or "",
        selection=selection,
        inputs=loaded.files(period=period),
    )
    folder = report_folder(Path(output), loaded.name, period, where)
    clean_up(Path(output))
    run = Run(index=Path(output) / "index.html")
    for name, path in chosen.items():
        parameters = {
            "study": study,
            "period": period,
            "where": dict(where) if where else None,
        }
        try:
            run.pages.append(
                build_report(path, folder / name, about=about, **parameters, **given[name])
            )
        except ReportError as failure:
            run.failures.append(failure)
    write_index(Path(output))
    return run


def report_folder(
    reports: Path, study: str, period: str | None, where: Mapping[str, str] | None
) -> Path:
    """``reports/<study>/<period>[/<selection>]``, of safe names only.

    Examples
    --------
    >>> report_folder(Path("reports"), "../sfo", "2017", {"gender": "../x"}).as_posix()
    'reports/sfo/2017/gender--x'
    """
    folder = reports / safe_name(study) / safe_name(period or "all-periods")
    if where:
        folder /= safe_name("--".join(f"{column}-{value}" for column, value in where.items()))
    return folder


def safe_name(text: str) -> str:
    """Letters, digits, dots and hyphens; never a path, never hidden."""
    return re.sub(r"-{3,}", "--", re.sub(r"[^\w.-]+|\.{2,}", "-", text)).strip(".-") or "unnamed"


def _settings(chosen: Mapping[str, Path], settings: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Further parameters per notebook; each must be declared by one at least."""
    declared = {name: read_parameters(path) for name, path in chosen.items()}
    every = {key for parameters in declared.values() for key in parameters}
    for key in settings:
        if key not in every:
            raise ValueError(unknown("parameter", key, sorted(every)))
    return {
        name: check_parameters(
            parameters,
            {
                key: parameters[key].from_text(text)
                for key, text in settings.items()
                if key in parameters
            },
            name,
        )
        for name, parameters in declared.items()
    }
