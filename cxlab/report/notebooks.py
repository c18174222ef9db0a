"""Which notebooks make reports: what they need, with which parameters, in which folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cxlab.core.labels import natural_order
from cxlab.core.messages import unknown
from cxlab.report.parameters import check_parameters, read_parameters
from cxlab.survey.definition import RATING_ROLES, ROLES
from cxlab.survey.scales import METRICS
from cxlab.survey.study import Study

#: Parameters that a run sets itself, where a notebook declares them; the project's
#: notebooks that declare all of them make reports.
RUN_PARAMETERS = ("study", "period", "where")
_GIVEN_AS = {
    "study": "the study of the run",
    "period": "--period (in a plan: periods)",
    "where": "--where COLUMN=VALUE (in a plan: where)",
}
#: What some system refuses as a name: these characters, an end, and devices of Windows.
_REFUSED = re.compile(
    r"""[<>:"/\\|?*{}\x00-\x1f]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)""", re.I
)
#: Characters of a folder's name, so that paths stay within every file system's limits.
LONGEST = 80
SCORES = "scores"
#: Comments, as text or as codes of people.
COMMENTS, COMMENT_ROLES = "comments", ("comment", "codes")
#: Needs whose names say little.
_IN_WORDS = {
    SCORES: "scores",
    COMMENTS: "comments with a codebook",
    "left": "customers' dates of leaving or of purchases",
}
#: Extras of the package, and the module that each brings.
EXTRAS = {"verbatims": "sklearn"}
_PERIODS = re.compile(r"periods>=(\d+)")


def notebooks_folder() -> Path:
    """Folder of the project's notebooks: the package's copy, or the checkout's."""
    package = Path(__file__).resolve().parents[1]
    installed, checkout = package / "notebooks", package.parent / "notebooks"
    return installed if installed.is_dir() else checkout


def report_notebooks() -> dict[str, Path]:
    """Notebooks that make reports: those whose parameters name study, period and where."""
    found = {}
    for path in sorted(notebooks_folder().glob("*.ipynb"), key=lambda one: natural_order(one.stem)):
        if all(name in read_parameters(path) for name in RUN_PARAMETERS):
            found[path.stem] = path
    return found


def choose_notebooks(names: Sequence[str]) -> dict[str, Path]:
    """The named notebooks, by name (``2-scorecard``), by topic (``scorecard``) or path."""
    there = report_notebooks()
    if not names:
        return there
    chosen = {}
    for name in names:
        matches = [stem for stem in there if name in (stem, stem.partition("-")[2])]
        if matches:
            chosen[matches[0]] = there[matches[0]]
        elif name.endswith(".ipynb") and Path(name).is_file():
            other = chosen.setdefault(report_name(Path(name)), Path(name))
            if other != Path(name):
                raise ValueError(
                    f"`notebook` must be given once by each name; got {other} and {name}. "
                    "Rename one: their reports would be in the same folder."
                )
        else:
            raise ValueError(unknown("notebook", name, there))
    return chosen


def code_cells(notebook: Path) -> int:
    """How many cells of a notebook are run."""
    cells = json.loads(notebook.read_text(encoding="utf-8")).get("cells", [])
    return sum(cell.get("cell_type") == "code" and bool(cell.get("source")) for cell in cells)


def was_injected(cell: Mapping[str, Any]) -> bool:
    """Whether papermill has put a cell into a notebook: its author does not count it."""
    return "injected-parameters" in cell["metadata"].get("tags", [])


def report_folder(
    reports: Path, study: str, period: str | None, where: Mapping[str, str] | None
) -> Path:
    """``reports/<study>/<period>[/<selection>]``, of safe names only.

    Examples
    --------
    >>> report_folder(Path("reports"), "sfo", "2017", {"gender": "Female"}).as_posix()
    'reports/sfo/2017/gender-Female'
    """
    folder = reports / safe_name(study) / safe_name(period or "all-periods")
    if where:
        folder /= safe_name("--".join(f"{column}-{value}" for column, value in where.items()))
    return folder


def safe_name(text: str) -> str:
    """Letters, digits, dots and hyphens; never a path, never hidden, never shared.

    Where a character had to be replaced, a digest keeps the names of different texts different.

    Examples
    --------
    >>> safe_name("2025-Q4"), safe_name("../x")
    ('2025-Q4', 'x-d6b96a97')
    """
    safe = re.sub(r"-{3,}", "--", re.sub(r"[^\w.-]+|\.{2,}", "-", text)).strip(".-")[:LONGEST]
    if _REFUSED.search(safe):
        safe = f"named-{safe}".strip(".")
    if safe and safe == text:
        return safe
    return f"{safe or 'unnamed'}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def check_declared(chosen: Mapping[str, Path], asked: Mapping[str, object]) -> None:
    """Refuse what the user has set and a notebook would pass over."""
    for name, path in chosen.items():
        for key, value in asked.items():
            if key not in read_parameters(path):
                raise ValueError(
                    f"`{key}` must be declared by '{name}' to be set; got {value}. Add "
                    f"{key} = None to its parameters cell and read it there, or leave out "
                    f"{_GIVEN_AS[key]}."
                )


def run_values(notebook: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a run's values that a notebook takes, by the types that it declares.

    None, where a notebook takes none, leaves its default.
    """
    declared = read_parameters(notebook)
    values = {}
    for name, value in given.items():
        parameter = declared.get(name)
        if parameter is None or (value is None and not parameter.accepts(None)):
            continue
        values[name] = parameter.from_text(value) if isinstance(value, str) else value
    return values


def report_name(notebook: Path) -> str:
    """Name of a notebook's report and its files: its own, where every system takes that.

    Examples
    --------
    >>> report_name(Path("2-scorecard.ipynb")), report_name(Path("what changed?.ipynb"))
    ('2-scorecard', 'what-changed-ef3f2a3e')
    """
    return safe_name(notebook.stem) if _REFUSED.search(notebook.stem) else notebook.stem


def read_settings(
    chosen: Mapping[str, Path], settings: Mapping[str, str]
) -> dict[str, dict[str, Any]]:
    """Further parameters per notebook, from text; each must be declared by one at least."""
    declared = {name: read_parameters(path) for name, path in chosen.items()}
    every = {key for parameters in declared.values() for key in parameters}
    for key in settings:
        if key in RUN_PARAMETERS:
            raise ValueError(
                f"`{key}` must be given as {_GIVEN_AS[key]}; got it among other parameters. "
                "It is what the report is named by."
            )
        if key not in every:
            raise ValueError(unknown("parameter", key, sorted(every)))
    found = {}
    for name, parameters in declared.items():
        own = {key: text for key, text in settings.items() if key in parameters}
        values = {key: parameters[key].from_text(text) for key, text in own.items()}
        found[name] = check_parameters(parameters, values, name)
    return found


def read_needs(notebook: Path) -> list[str] | None:
    """Needs that a notebook declares in its metadata, ``cxlab.needs``; None: it declares none.

    A need is one of

    - a role (``outcome``, ``touchpoint``, ``segment``, …; also ``role:outcome``): the main
      table has such a column, and it was asked in the period;
    - ``left``: a table says who left, by a date or by purchases, and answers may be linked to it;
    - ``value``, ``unit``: any table has such a column;
    - ``scores``: the main table has an outcome, a touchpoint or another rating;
    - ``comments``: it has comments, or codes of them, and the study a codebook;
    - ``extra:verbatims``: that extra of the package is installed;
    - ``metric:nps`` (or another metric; also ``role:nps``): an outcome has it;
    - ``table:NAME``: the study declares that table;
    - ``periods>=N``: the study has that many periods, up to the report's own.
    """
    metadata = json.loads(notebook.read_text(encoding="utf-8")).get("metadata", {})
    needs = metadata.get("cxlab", {}).get("needs")
    if needs is None:
        return None
    for need in needs:
        _check(need, notebook.stem)
    return [str(need) for need in needs]


def unmet(needs: Sequence[str], study: Study, period: str | None, *, past: int = 0) -> list[str]:
    """Those of the needs that a study and period don't meet.

    ``past``: number of periods of earlier reports, where these take the place of the answers.
    """
    return [need for need in needs if not _meets(need, study, period, past)]


def need_in_words(need: str) -> str:
    """What a notebook needs, as people say it.

    Examples
    --------
    >>> need_in_words("table:follow_ups"), need_in_words("periods>=2"), need_in_words("touchpoint")
    ("a table named 'follow_ups'", '2 periods', "a column of role 'touchpoint'")
    """
    if periods := _PERIODS.fullmatch(need):
        return "periods" if periods[1] == "1" else f"{periods[1]} periods"
    if need in _IN_WORDS:
        return _IN_WORDS[need]
    kind, _, name = need.rpartition(":")
    forms = {"table": "a table named '{}'", "metric": "an outcome with the metric '{}'"}
    forms |= {"extra": "the extra cxlab[{}]"}
    return forms.get(kind, "a column of role '{}'").format(name)


def reads_one_period(needs: Sequence[str] | None) -> bool:
    """Whether a notebook is known to read its own period only."""
    return needs is not None and not reads_earlier_periods(needs)


def reads_earlier_periods(needs: Sequence[str] | None) -> bool:
    """Whether a notebook is known to show earlier periods beside its own."""
    return any(_PERIODS.fullmatch(need) for need in needs or ())


def _check(need: str, notebook: str) -> None:
    kind, _, name = need.rpartition(":")
    known = {
        "": [*ROLES, SCORES, COMMENTS, "periods>=2"],
        "extra": list(EXTRAS),
        "role": [*ROLES, *METRICS],
        "metric": list(METRICS),
    }
    if kind == "table" or _PERIODS.fullmatch(need):
        return
    if kind not in known:
        raise ValueError(unknown("needs", kind, ["role", "metric", "table", "extra"], of=notebook))
    if name not in known[kind]:
        raise ValueError(unknown("needs", name, known[kind], of=notebook))


def _meets(need: str, study: Study, period: str | None, past: int) -> bool:
    periods = _PERIODS.fullmatch(need)
    if periods:
        # with earlier reports, the answers may have been deleted
        return (past or _periods_until(study, period)) >= int(periods[1])
    kind, _, name = need.rpartition(":")
    if kind == "table":
        return name in study.definition.tables
    if kind == "extra":
        return importlib.util.find_spec(EXTRAS[name]) is not None
    asked = [
        column
        for column in study.main.columns.values()
        if period is None or column.header(period) is not None
    ]
    if name in METRICS and kind in ("metric", "role"):
        return any(column.role == "outcome" and name in column.metrics for column in asked)
    if name == "left" and not kind:
        return _says_who_left(study)
    if name in ("value", "unit"):
        return any(table.with_role(name) for table in study.definition.tables.values())
    if name == COMMENTS and not study.definition.codebook:
        return False
    wanted = {SCORES: RATING_ROLES, COMMENTS: COMMENT_ROLES}.get(name, (name,))
    return any(column.role in wanted for column in asked)


def _says_who_left(study: Study) -> bool:
    told = study.definition
    bought = told.inactive_after and any(one.with_role("purchase") for one in told.tables.values())
    dated = any(one.with_role("left") for one in told.tables.values())
    return not told.confidential and bool(dated or bought)


def _periods_until(study: Study, period: str | None) -> int:
    there = study.periods
    return there.index(period) + 1 if period in there else len(there)
