"""What is asked for → the reports to make: periods × groups × notebooks; ``reports.toml`` lists it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from cxlab.core.disclosure.gate import ANSWERS, CUSTOMERS
from cxlab.core.disclosure.people import People
from cxlab.core.disclosure.rule import COMPLEMENTARY, hidden_groups
from cxlab.core.messages import unknown
from cxlab.core.past import PastReports, past_reports
from cxlab.report.build import About, Job, used_parameters
from cxlab.report.exports import check_formats
from cxlab.report.factory.disclosure import PERIOD, count_answers, people_of_cells
from cxlab.report.manifest import fingerprint
from cxlab.report.notebooks import (
    check_declared,
    choose_notebooks,
    need_in_words,
    read_needs,
    read_settings,
    reads_one_period,
    report_folder,
    run_values,
    unmet,
)
from cxlab.report.parameters import CELL_SECONDS, check_timeout
from cxlab.survey.study import Study, load_study

#: The last of a study's periods, whatever it is called.
LATEST = "latest"
#: Column to value, and the number of answers where it is known.
Selection = tuple[dict[str, str], int | None]
KEYS = ("study", "periods", "each", "where", "notebooks", "set", "to", "timeout")
#: Instead of a list of periods: every one on its own.
ALL = "all"


@dataclass(frozen=True)
class Request:
    """A set of reports of one study."""

    #: A study's name or path.
    study: str
    #: Each makes reports of its own; ``latest`` is the study's last; None: all together.
    periods: Sequence[str | None] = (None,)
    #: Every period of the study, each on its own.
    all_periods: bool = False
    #: Segments; every group (of several: every combination) makes reports of its own.
    each: Sequence[str] = ()
    #: Column to value: a part of the answers.
    where: Mapping[str, str] = field(default_factory=dict)
    #: Names, topics or paths; empty: every notebook whose needs are met.
    notebooks: Sequence[str] = ()
    #: Further parameters, as text; read by the type that each notebook declares.
    settings: Mapping[str, str] = field(default_factory=dict)
    #: Further formats of each report.
    formats: Sequence[str] = ()
    #: Seconds that each cell may run.
    timeout: int = CELL_SECONDS


@dataclass
class Plan:
    """The reports to make, and in one line each what is left out or hidden, and why."""

    jobs: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    #: What a report hides because of others.
    hidden: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Chosen:
    """A notebook with its further parameters, its needs, and the earlier reports that it reads."""

    name: str
    path: Path
    settings: dict[str, Any]
    needs: Sequence[str] | None
    past: PastReports | None


def plan_reports(request: Request, reports: Path) -> Plan:
    """Every report of a request, for the folder of all reports; checked before anything runs.

    Left out are notebooks whose needs a period does not meet, and groups smaller than the
    study's ``min_group_size``; refused is what isn't there, and a request that leaves nothing.
    """
    study = load_study(request.study)
    formats, timeout = check_formats(request.formats), check_timeout(request.timeout)
    chosen = _chosen(request, study)
    plan = Plan()
    for period in _periods(request, study):
        met = [one for one in chosen if _is_met(one, study, period, plan)]
        # answers of which there are earlier reports may have been deleted
        if met and all(one.past for one in met):
            parts: Iterable[Selection] = [(dict(request.where), None)]
        else:
            parts = _parts(request, study, period, plan)
        for where, rows in parts:
            for one in met:
                job = _job(one, request.study, study, period, where, rows, reports)
                plan.jobs.append(replace(job, formats=formats, timeout=timeout))
    if not plan.jobs:
        raise ValueError("there must be at least one report to make; " + "; ".join(plan.left_out))
    return plan


def _chosen(request: Request, study: Study) -> list[_Chosen]:
    """The notebooks of a request, when they take what it sets."""
    paths = choose_notebooks(request.notebooks)
    check_declared(paths, _set_by_user(request))
    settings = read_settings(paths, request.settings)
    chosen = []
    for name, path in paths.items():
        folder = settings[name].get("past")
        past = past_reports(folder, study=study.name, where=request.where) if folder else None
        chosen.append(_Chosen(name, path, settings[name], read_needs(path), past))
    if request.each and any(one.past for one in chosen):
        raise ValueError(
            "`each` must be left out where `past` is set; got "
            f"'{request.each[0]}'. Name the group of the earlier reports with --where."
        )
    return chosen


def _job(
    one: _Chosen,
    name: str,
    study: Study,
    period: str | None,
    where: dict[str, str],
    rows: int | None,
    reports: Path,
) -> Job:
    """The report that a notebook makes of a part of a study, which was asked for by ``name``."""
    if one.past:
        files = [study.path, *one.past.files]
    else:
        files = study.files(period=period if reads_one_period(one.needs) else None)
    run = {"study": name, "period": period, "where": where or None}
    used = used_parameters(one.path, run_values(one.path, run) | one.settings)
    # a notebook that takes no None keeps to its own period and selection
    when, part = used.get("period", period), used.get("where")
    own = None if when is None else str(when), part if isinstance(part, dict) else where
    return Job(
        one.path,
        report_folder(reports, study.name, *own) / one.name,
        used,
        about_study(study, *own, files, rows),
        fingerprint=fingerprint(one.path, used, files),
    )


def _set_by_user(request: Request) -> dict[str, object]:
    periods = [period for period in request.periods if period is not None]
    asked = {
        "period": "every period" if request.all_periods else periods,
        "where": dict(request.where) or list(request.each),
    }
    return {name: value for name, value in asked.items() if value}


def _periods(request: Request, study: Study) -> list[str | None]:
    if request.all_periods:
        return list(study.periods) or [None]
    chosen = [_latest(study) if period == LATEST else period for period in request.periods]
    return list(dict.fromkeys(chosen))


def _latest(study: Study) -> str:
    if not study.periods:
        raise ValueError(
            f"`period` must be left out, because study '{study.name}' has no periods; "
            f"got '{LATEST}'."
        )
    return study.periods[-1]


def _is_met(one: _Chosen, study: Study, period: str | None, plan: Plan) -> bool:
    """Whether a period has what a notebook needs; what it lacks is noted."""
    periods = len(one.past.periods) if one.past else 0
    lacking = [need_in_words(need) for need in unmet(one.needs or (), study, period, past=periods)]
    if lacking:
        when = f" {period}" if period else ""
        plan.left_out.append(f"{one.name}: {study.name}{when} lacks {', '.join(lacking)}")
    return not lacking


def _parts(request: Request, study: Study, period: str | None, plan: Plan) -> Iterator[Selection]:
    """Selections with their numbers of answers; small groups are left out and noted."""
    for column in request.each:
        if column not in study.segments:
            raise ValueError(unknown("each", column, study.segments, what="a segment: "))
    answers = study.read(period=period, where=dict(request.where) or None)
    keys = list(request.each) or [PERIOD]
    counts = count_answers(answers, keys).sort_values(keys, ignore_index=True)
    who = people_of_cells(answers, counts, keys, study).get("") or People.counted(counts["n"])
    smallest, total = study.definition.min_group_size, int(counts["n"].sum())
    people = int(who.together(range(len(counts))))
    if request.where and people < smallest:
        counted = ANSWERS if total < smallest else CUSTOMERS
        raise ValueError(
            f"`where` must leave at least {smallest} {counted} (the study's min_group_size); "
            f"got {people} for {dict(request.where)}. Smaller groups are never shown."
        )
    if not request.each:
        yield {**request.where}, total
        return
    groups = counts.dropna(subset=list(request.each))
    # the last group is that of the answers in none
    code = np.full(len(counts), len(groups))
    code[groups.index] = np.arange(len(groups))
    sizes = np.bincount(code, counts["n"], len(groups) + 1)
    hidden = _hidden(sizes, smallest, who.by_code(code, len(sizes)))
    for number, row in enumerate(groups.to_dict("records")):
        group = {column: str(row[column]) for column in request.each}
        if number not in hidden:
            yield {**request.where, **group}, int(row["n"])
            continue
        words = ", ".join(f"{column} = {value}" for column, value in group.items())
        plan.left_out.append(f"{words}{f' in {period}' if period else ''}: {hidden[number]}")


def _hidden(sizes: np.ndarray, smallest: int, people: People) -> dict[int, str]:
    """Groups without a report, and why: the small ones, and those that would give them back.

    The last is that of the answers in no group. There may be a report of the whole beside those of
    the groups: less all but one of them, it is the last one's.
    """
    found = hidden_groups(sizes, smallest, first=len(sizes) - 1, people=people)
    gives_back = "the whole less the other groups would give a smaller one back"
    counted = np.where(sizes < smallest, ANSWERS, CUSTOMERS)
    return {
        number: gives_back
        if reason == COMPLEMENTARY
        else f"fewer than {smallest} {counted[number]}"
        for number, reason in found.items()
    }


def about_study(
    study: Study, period: str | None, where: Mapping[str, str], files: list[Path], rows: int | None
) -> About:
    """What a report of a study, or of a part of it, is about."""
    return About(
        study=study.name,
        study_title=study.title,
        about=study.about,
        simulated=study.simulated,
        period=period or "",
        selection=", ".join(f"{column} = {value}" for column, value in where.items()),
        inputs=tuple(files),
        rows=rows,
    )


def read_plan(path: str | Path) -> list[Request]:
    """The requests that a plan lists: a TOML file of ``[[reports]]`` entries.

    Their keys: ``study`` (a name, or a path from the plan's folder), ``periods`` (a list;
    ``"latest"``; ``"all"``), ``each``, ``where``, ``notebooks``, ``set``, ``to`` and ``timeout``
    (seconds a cell). All but ``study`` may be left out.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`plan` must be a file of [[reports]] entries; got '{path}'.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid TOML in UTF-8; got {error}.") from error
    for key in content:
        if key != "reports":
            raise ValueError(unknown("key", key, ["reports"], of=path.name))
    entries = content.get("reports")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path.name} must have at least one [[reports]] entry; got none.")
    return [
        _request(entry, f"{path.name}, entry {number}", path.parent)
        for number, entry in enumerate(entries, start=1)
    ]


def _request(entry: Mapping[str, Any], place: str, folder: Path) -> Request:
    for key in entry:
        if key not in KEYS:
            raise ValueError(unknown("key", key, KEYS, of=place))
    study = entry.get("study")
    if not isinstance(study, str) or not study:
        raise ValueError(f"{place}: `study` must be a name or a path; got {study!r}.")
    periods = _texts(entry, "periods", place)
    every = periods == [ALL]
    return Request(
        study=str(folder / study) if (folder / study).is_file() else study,
        periods=[None] if every or not periods else list(periods),
        all_periods=every,
        each=_texts(entry, "each", place),
        where=_pairs(entry, "where", place),
        notebooks=_texts(entry, "notebooks", place),
        settings=_pairs(entry, "set", place),
        formats=_texts(entry, "to", place),
        timeout=check_timeout(entry.get("timeout", CELL_SECONDS), f"{place}: "),
    )


def _texts(entry: Mapping[str, Any], key: str, place: str) -> list[str]:
    value = entry.get(key, [])
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in listed):
        raise ValueError(f"{place}: `{key}` must be text or a list of texts; got {value!r}.")
    return [str(one) for one in listed]


def _pairs(entry: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
    value = entry.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: `{key}` must be a table of name = value; got {value!r}.")
    return {name: str(one) for name, one in value.items()}
