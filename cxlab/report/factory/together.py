"""What the reports of a run hide together, so that no small group follows from several of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from pathlib import Path

from cxlab.core.disclosure.rule import HiddenFigure, as_record, read_record
from cxlab.report.build import Job
from cxlab.report.execute import HIDDEN_PARAMETER
from cxlab.report.factory.disclosure import Part, hidden_of_parts
from cxlab.report.factory.workers import read_manifest
from cxlab.report.manifest import fingerprint
from cxlab.report.notebooks import read_needs, reads_earlier_periods, safe_name
from cxlab.survey.study import Study, load_study


@dataclass
class Together:
    """Reports that can be laid side by side.

    Attributes
    ----------
    jobs : list of Job
        Each with what it hides among its parameters.
    left_out, hidden : list of str
        In one line each: reports that are not made, and what others hide.
    """

    jobs: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)


def hide_together(jobs: Sequence[Job], reports: Path) -> Together:
    """Decide what all reports of a run hide, and which of them are not made.

    Reports of the same studies that are in the folder ``reports`` and that the run doesn't
    replace count as published. The jobs are returned as they are where no two reports have
    answers in common, and so are those made from earlier reports (``past``): their answers may
    be gone, and what those reports hide stays hidden.
    """
    done = Together()
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


def _decide(study: Study, jobs: list[Job], reports: Path, done: Together) -> None:
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
