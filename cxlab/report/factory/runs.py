"""Periods × groups × notebooks → reports and their index; a failing one stops no other."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote

from markupsafe import Markup
from tqdm import tqdm

from cxlab.core.characters import printable
from cxlab.core.disclosure.gate import HiddenFigure, as_record, read_record
from cxlab.report.build import Job
from cxlab.report.factory.disclosure import Part, hidden_of_parts
from cxlab.report.factory.requests import Plan, Request, plan_reports
from cxlab.report.factory.workers import Backend, Outcome, make_reports
from cxlab.report.index import GLOSSARY, INDEX, link_reports, list_reports, write_index
from cxlab.report.manifest import fingerprint
from cxlab.report.notebooks import code_cells, read_needs, reads_earlier_periods, safe_name
from cxlab.report.page import POLICY, rendered, style
from cxlab.report.parameters import HIDDEN_PARAMETER
from cxlab.report.publish import Trouble, check_writable, clean_up, output_error, replace_text
from cxlab.report.records import read_manifest
from cxlab.survey.check import glossary
from cxlab.survey.study import Study, load_study

#: Odd records that a run names.
NAMED = 3


def hide_together(jobs: Sequence[Job], reports: Path) -> Plan:
    """Decide what all reports of a run hide, and which of them are not made.

    What a report hides is among its parameters, so that it can be laid beside the others.
    Reports of the same studies that are in the folder ``reports`` and that the run doesn't
    replace count as published. The jobs are returned as they are where no two reports have
    answers in common, and so are those made from earlier reports (``past``): their answers may
    be gone, and what those reports hide stays hidden.
    """
    done = Plan()
    named: dict[str, list[Job]] = defaultdict(list)
    for job in jobs:
        name = "" if job.parameters.get("past") else job.parameters.get("study", "")
        named[name].append(job)
    done.jobs += named.pop("", [])
    studies = {study.path: study for study in map(load_study, named)}
    for path, study in studies.items():
        own = [job for name, some in named.items() if load_study(name).path == path for job in some]
        _decide(study, own, reports, done)
    return done


def _decide(study: Study, jobs: list[Job], reports: Path, done: Plan) -> None:
    shown = {job.output: _shown_by(job, study) for job in jobs}
    own = {part for parts in shown.values() for part in parts}
    published = dict(_published(study, reports, set(shown)))
    if not _overlap(own, [*own, *published]):
        done.jobs += jobs
        return
    hidden = hidden_of_parts(study, own, published)
    for job in jobs:
        first = shown[job.output][0]
        if hidden[first].whole:
            line = f"{first}: {hidden[first].whole}"
            if job.output.exists():
                line += f"; the earlier report in {job.output} should be deleted"
            done.left_out.append(line)
        else:
            figures = [one for part in shown[job.output] for one in hidden[part].figures(part)]
            done.jobs.append(_hiding(job, figures))
    done.left_out = list(dict.fromkeys(done.left_out))
    done.hidden += [
        f"{part}: {words}"
        for part in sorted(own)
        if not hidden[part].whole and (words := hidden[part].words(study.labels))
    ]


def _hiding(job: Job, figures: Iterable[HiddenFigure]) -> Job:
    """The job with what it hides among its parameters, so that the same is hidden again."""
    if not (record := as_record(figures)):
        return job
    used = {**job.parameters, HIDDEN_PARAMETER: record}
    mark = fingerprint(job.notebook, used, job.about.inputs)
    return replace(job, parameters=used, fingerprint=mark)


def _shown_by(job: Job, study: Study) -> list[Part]:
    """Parts of the answers whose figures a report shows, its own first."""
    period, where = job.parameters.get("period"), job.parameters.get("where")
    own = Part.of(period, where)
    if not reads_earlier_periods(read_needs(job.notebook)):
        return [own]
    if not (there := study.periods):
        return [own]
    until = there.index(period) + 1 if period in there else len(there)
    earlier = [Part.of(one, where) for one in there[:until]]
    # of all periods together, a scorecard shows the whole too
    return list(dict.fromkeys([own, *earlier]))


def _published(
    study: Study, reports: Path, replaced: set[Path]
) -> Iterator[tuple[Part, list[HiddenFigure] | None]]:
    """Parts of the answers of which reports are there, and what these hide.

    None where no table is by segment.
    """
    found: dict[Part, list[HiddenFigure] | None] = {}
    folder = reports / safe_name(study.name)
    for path in sorted(folder.rglob("manifest.json")):
        manifest = read_manifest(path.parent) or {}
        given = manifest.get("parameters")
        if path.parent in replaced or not isinstance(given, Mapping) or given.get("past"):
            continue
        part = Part.of(given.get("period"), given.get("where"))
        if part.period and part.period not in study.periods:
            continue
        own = list(read_record(given.get(HIDDEN_PARAMETER, {})))
        found.setdefault(part, None)
        if any("segment" in str(name) for name in manifest.get("tables", [])):
            before = found[part]
            found[part] = own if before is None else [one for one in own if one in before]
    yield from found.items()


def _overlap(own: set[Part], every: Sequence[Part]) -> bool:
    """Whether a part of this run may have answers in common with another part."""
    known = sorted(set(every))
    return any(
        first.may_overlap(second)
        for first, second in combinations(known, 2)
        if first in own or second in own
    )


@dataclass(frozen=True)
class Run:
    """What one run made."""

    #: Page that lists all reports.
    index: Path
    #: Of every report, in order.
    outcomes: list[Outcome] = field(default_factory=list)
    #: In one line each what was not made or not listed, and why.
    left_out: list[str] = field(default_factory=list)
    #: In one line each what reports hide because of other reports.
    hidden: list[str] = field(default_factory=list)

    @property
    def pages(self) -> list[Path]:
        """Pages of the reports that are there, made now or unchanged."""
        return [outcome.job.page for outcome in self.outcomes if outcome.state != "failed"]

    @property
    def failures(self) -> list[Outcome]:
        """Outcomes of the reports that failed."""
        return [outcome for outcome in self.outcomes if outcome.state == "failed"]

    @property
    def trouble(self) -> Trouble:
        """What is wrong with the disk or the folder, if that made reports fail."""
        found = {outcome.trouble for outcome in self.failures}
        return "full" if "full" in found else "unwritable" if "unwritable" in found else ""

    @property
    def drops(self) -> list[str]:
        """Sentences of all significant drops."""
        return [line for outcome in self.outcomes for line in outcome.drops]

    def __str__(self) -> str:
        counts = Counter(outcome.state for outcome in self.outcomes)
        parts = [f"{counts[state]} {state}" for state in ("made", "unchanged", "failed")]
        return ", ".join([*parts, f"{len(self.left_out)} left out"])


def run_requests(
    requests: Sequence[Request],
    *,
    output: str | Path = "reports",
    n_jobs: int | None = None,
    force: bool = False,
    backend: Backend = "local",
    scheduler: str | None = None,
    progress: bool = True,
    tell: Any = None,
) -> Run:
    """Make every report of several requests, and the index; options as of `make_reports`.

    A bar is drawn on standard error, where that is a terminal and ``progress``. An `OutputError`
    says that the folder cannot be written to, or that the disk is full.
    """
    reports = Path(output)
    plans = [plan_reports(request, reports) for request in requests]
    together = hide_together(_one_each([job for plan in plans for job in plan.jobs]), reports)
    lines = [line for plan in plans for line in plan.left_out] + together.left_out
    jobs, left_out = together.jobs, list(dict.fromkeys(lines))
    check_writable(reports)
    clean_up(reports)
    disable = None if progress else True
    sizes = {notebook: code_cells(notebook) for notebook in {job.notebook for job in jobs}}
    cells = {job.output: sizes[job.notebook] for job in jobs}
    left, lock = dict(cells), Lock()
    words = f"{len(jobs)} report{'s' if len(jobs) != 1 else ''}"
    with tqdm(total=sum(cells.values()), desc=words, unit="cell", disable=disable) as bar:

        def cell_done(job: Job) -> None:
            with lock:
                # a report whose worker was killed is made again
                if left[job.output]:
                    left[job.output] -= 1
                    bar.update()

        def note(outcome: Outcome) -> None:
            with lock:
                bar.update(left[outcome.job.output])
                left[outcome.job.output] = 0
            if tell is not None:
                tell(outcome)

        outcomes = make_reports(
            jobs, n_jobs=n_jobs, force=force, backend=backend, scheduler=scheduler, tell=note,
            cell_done=cell_done,
        )  # fmt: skip
    # a worker that was killed cannot clean up after itself
    clean_up(reports)
    listing = list_reports(reports)
    try:
        index = write_index(reports, listing)
        write_glossaries(jobs, reports)
        link_reports(reports)
    except OSError as error:
        raise output_error(reports, error) from error
    return Run(index, outcomes, [*left_out, *_first(listing.odd)], together.hidden)


def write_glossaries(jobs: Iterable[Job], reports: Path) -> None:
    """Write the glossary of each set of reports beside them, from its study file."""
    named = [(job.output.parent, job.parameters.get("study")) for job in jobs]
    studies = {folder: name for folder, name in named if name}
    for folder, name in studies.items():
        if not any(folder.glob("*/manifest.json")):
            continue
        study = load_study(name)
        back = Path(os.path.relpath(reports / INDEX, folder)).as_posix()
        page = rendered(
            "glossary.html.j2", title=study.title, simulated=study.simulated, style=Markup(style()), policy=POLICY,
            tabs=[{"words": "Overview", "href": quote(back)}],
            entries=glossary(study).to_dict("records"),
        )  # fmt: skip
        replace_text(folder / GLOSSARY, printable(page))


def _first(odd: Sequence[str]) -> list[str]:
    """The first odd records; the index names them all."""
    more = len(odd) - NAMED
    if more <= 1:
        return list(odd)
    return [
        *odd[:NAMED],
        f"{more} more files that are not complete records of reports (see the index)",
    ]


def _one_each(jobs: Sequence[Job]) -> list[Job]:
    """The jobs, those asked for twice once.

    Raises
    ------
    ValueError
        When two different reports would be in the same folder: the first would be lost.
    """
    chosen: dict[Path, Job] = {}
    for job in jobs:
        other = chosen.setdefault(job.output, job)
        if (other.notebook, other.parameters) == (job.notebook, job.parameters):
            continue
        apart = [
            f"{name} = {other.parameters.get(name)!r} and {job.parameters.get(name)!r}"
            for name in {**other.parameters, **job.parameters}
            if other.parameters.get(name) != job.parameters.get(name)
        ]
        raise ValueError(
            f"`reports` must differ in study name, period, selection or notebook; got two of "
            f"{job.output}: {'; '.join(apart) or 'two notebooks of one name'}. "
            "Make one of them in another folder (--output)."
        )
    return list(chosen.values())
