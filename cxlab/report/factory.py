"""Many reports on all cores, or on a cluster; whatever happens to one is data."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cxlab.core.messages import one_line
from cxlab.report.build import Job, ReportError, make_report
from cxlab.report.changes import drops, read_changes
from cxlab.report.manifest import now
from cxlab.report.publish import Trouble, keep_failure
from cxlab.report.records import read_manifest
from cxlab.report.unchanged import bring_up_to_date
from cxlab.report.warm import warm_kernels
from cxlab.report.workers import Numbered, cores, make_side_by_side

Backend = Literal["local", "dask"]


@dataclass(frozen=True)
class Outcome:
    """What became of one report.

    Attributes
    ----------
    job : Job
    state : {"made", "unchanged", "failed"}
    cause : str
        Why it failed, in one line; or which of its formats could not be made, and why.
    trouble : {"", "full", "unwritable"}
        Of the disk or the folder, if that is why it failed.
    drops : tuple of str
        Sentences of its significant drops.
    seconds : float
    number : int
        Its place in the run.
    """

    job: Job
    state: Literal["made", "unchanged", "failed"]
    cause: str = ""
    drops: tuple[str, ...] = ()
    seconds: float = 0.0
    number: int = -1
    trouble: Trouble = ""

    def __str__(self) -> str:
        if self.state == "failed":
            return f"failed: {self.cause}"
        told = f"{'report' if self.state == 'made' else self.state}: {self.job.page}"
        return f"{told} ({self.cause})" if self.cause else told


def make_reports(
    jobs: Sequence[Job],
    *,
    n_jobs: int | None = None,
    force: bool = False,
    backend: Backend = "local",
    scheduler: str | None = None,
    tell: Callable[[Outcome], Any] | None = None,
) -> list[Outcome]:
    """Make every report, side by side.

    Parameters
    ----------
    jobs : sequence of Job
    n_jobs : int, optional
        Processes; default: the machine's cores.
    force : bool
        Make also what is unchanged.
    backend : {"local", "dask"}
        This machine, or a cluster whose machines share the folders.
    scheduler : str, optional
        Address of the Dask scheduler.
    tell : callable, optional
        Called with each outcome as soon as it is known.

    Returns
    -------
    list of Outcome
        In the order of ``jobs``.
    """
    outcomes: dict[int, Outcome] = {}
    waiting: list[tuple[int, Job]] = []

    def note(outcome: Outcome) -> None:
        outcomes[outcome.number] = outcome
        if tell is not None:
            tell(outcome)

    for number, job in enumerate(jobs):
        if not force and bring_up_to_date(job):
            note(Outcome(job, "unchanged", _unmade(job), _drops(job), number=number))
        else:
            waiting.append((number, job))
    for outcome in _made(waiting, n_jobs, backend, scheduler):
        note(outcome)
    return [outcomes[number] for number in range(len(jobs))]


def _made(
    waiting: list[Numbered], n_jobs: int | None, backend: Backend, scheduler: str | None
) -> Iterator[Outcome]:
    if backend == "dask" and waiting:
        yield from _on_cluster(waiting, scheduler)
    elif len(waiting) > 1:
        yield from _side_by_side(waiting, n_jobs)
    elif waiting:
        yield attempt(*waiting[0])


def attempt(number: int, job: Job) -> Outcome:
    """Make one report; a failure is an outcome, never an exception.

    Parameters
    ----------
    number : int
        Its place in the run.
    job : Job
    """
    started = time.monotonic()
    outcome = _outcome(job)
    return replace(outcome, number=number, seconds=time.monotonic() - started)


def _outcome(job: Job) -> Outcome:
    try:
        make_report(job)
        return Outcome(job, "made", _unmade(job), _drops(job))
    except ReportError as error:
        return Outcome(job, "failed", str(error), trouble=error.trouble)
    except Exception as error:
        return _lost(job, one_line(f"{type(error).__name__}: {error}"))


def _lost(job: Job, cause: str) -> Outcome:
    """A failure that no notebook is to blame for."""
    record = {"notebook": job.notebook.stem, "cell": 0, "cause": cause, "when": now(),
              "study": job.about.study, "period": job.about.period,
              "selection": job.about.selection}  # fmt: skip
    keep_failure(job.output / "nothing", job.failed, record)
    return Outcome(job, "failed", f"{job.notebook.stem} failed: {cause} (see {job.failed})")


def _drops(job: Job) -> tuple[str, ...]:
    return tuple(drops(read_changes(job.output) or ()))


def _unmade(job: Job) -> str:
    """Formats that could not be made, and why."""
    failed = (read_manifest(job.output) or {}).get("failed_formats", {})
    return "; ".join(f"without {one}: {why}" for one, why in failed.items())


def _side_by_side(waiting: list[Numbered], n_jobs: int | None) -> Iterator[Outcome]:
    """Outcomes as they come; a worker that is killed takes no other report with it."""
    workers = n_jobs or cores()
    with warm_kernels():
        for number, job, outcome in make_side_by_side(waiting, workers):
            lost = outcome or _lost(job, "its worker was killed")
            yield replace(lost, number=number)


def _on_cluster(waiting: list[Numbered], scheduler: str | None) -> Iterator[Outcome]:
    """As many at once as the cluster has workers."""
    with _client(scheduler) as client:
        from distributed import as_completed

        futures = {client.submit(attempt, *one, pure=False): one for one in waiting}
        for future in as_completed(futures):
            number, job = futures[future]
            error = future.exception()
            if error is None:
                yield future.result()
            else:
                cause = one_line(f"its worker was lost ({type(error).__name__})")
                yield replace(_lost(job, cause), number=number)


@contextlib.contextmanager
def _client(scheduler: str | None) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "`backend` must be 'local' here, because Dask is not installed; got 'dask'. "
            "Install the package distributed, or leave --backend out."
        ) from error
    if not scheduler:
        raise ValueError(
            "`scheduler` must be the address of a Dask scheduler, such as tcp://host:8786; "
            "got none."
        )
    with Client(scheduler) as client:
        threads = max(client.nthreads().values(), default=1)
        if threads > 1:
            raise ValueError(
                "`scheduler` must be of a cluster whose workers have one thread each, because a "
                f"report's kernel takes over its worker's environment; got {threads}. Start them "
                "with dask worker ADDRESS --nworkers auto --nthreads 1."
            )
        yield client


def summary(outcomes: Sequence[Outcome], left_out: Sequence[str]) -> str:
    """One line on a run."""
    counts = {
        state: sum(outcome.state == state for outcome in outcomes)
        for state in ("made", "unchanged", "failed")
    }
    parts = [f"{count} {state}" for state, count in counts.items()]
    return ", ".join([*parts, f"{len(left_out)} left out"])


def folders(outcomes: Iterable[Outcome]) -> list[Path]:
    """Folders of the reports that are there."""
    return [outcome.job.output for outcome in outcomes if outcome.state != "failed"]
