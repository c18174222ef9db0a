"""Many reports on all cores, or on a cluster; whatever happens to one is data."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from cxlab.report.build import Job, ReportError, make_report
from cxlab.report.changes import drops, read_changes
from cxlab.report.manifest import now
from cxlab.report.publish import Trouble, keep_failure
from cxlab.report.unchanged import bring_up_to_date
from cxlab.report.warm import SERVER_VARIABLE, warm_kernels
from cxlab.survey.messages import one_line

Backend = Literal["loky", "dask"]
#: After this many deaths of workers, reports are made one at a time, to find the culprit.
PATIENCE = 2


@dataclass(frozen=True)
class Outcome:
    """What became of one report.

    Attributes
    ----------
    job : Job
    state : {"made", "unchanged", "failed"}
    cause : str
        Why it failed, in one line.
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
        return f"{'report' if self.state == 'made' else self.state}: {self.job.page}"


def make_reports(
    jobs: Sequence[Job],
    *,
    n_jobs: int | None = None,
    force: bool = False,
    backend: Backend = "loky",
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
    backend : {"loky", "dask"}
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
            note(Outcome(job, "unchanged", "", _drops(job), number=number))
        else:
            waiting.append((number, job))
    if len(waiting) == 1 and backend == "loky":
        note(attempt(*waiting[0]))
    elif waiting:
        for outcome in _side_by_side(waiting, n_jobs, backend, scheduler):
            note(outcome)
    return [outcomes[number] for number in range(len(jobs))]


def attempt(number: int, job: Job, server: str | None = None, parent: int | None = None) -> Outcome:
    """Make one report; a failure is an outcome, never an exception.

    Parameters
    ----------
    number : int
        Its place in the run.
    job : Job
    server : str, optional
        Socket of the process that kernels are forked from.
    parent : int, optional
        Process with which this worker ends.
    """
    if parent is not None:
        _end_with(parent)
    if server is not None:
        os.environ[SERVER_VARIABLE] = server
    started = time.monotonic()
    outcome = _outcome(job)
    return replace(outcome, number=number, seconds=time.monotonic() - started)


def _outcome(job: Job) -> Outcome:
    try:
        make_report(job)
        return Outcome(job, "made", "", _drops(job))
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


def _side_by_side(
    waiting: list[tuple[int, Job]], n_jobs: int | None, backend: Backend, scheduler: str | None
) -> Iterator[Outcome]:
    """Outcomes as they come; a worker that is killed takes no other report with it."""
    from joblib import cpu_count
    from joblib.externals.loky.process_executor import BrokenProcessPool

    workers = min(n_jobs or cpu_count(), len(waiting))
    deaths = 0
    with _cluster(backend, scheduler), _kernels(backend):
        while waiting:
            batch = waiting[:1] if deaths >= PATIENCE else waiting
            done: set[int] = set()
            try:
                for outcome in _map(batch, workers, backend):
                    done.add(outcome.number)
                    yield outcome
            except BrokenProcessPool:
                deaths += 1
                if len(batch) == 1 and not done:
                    number, job = batch[0]
                    done.add(number)
                    yield replace(_lost(job, "its worker was killed"), number=number)
            waiting = [one for one in waiting if one[0] not in done]


def _map(batch: list[tuple[int, Job]], workers: int, backend: Backend) -> Iterable[Outcome]:
    from joblib import Parallel, delayed, parallel_config
    from joblib.externals.loky import get_reusable_executor

    local = backend == "loky"
    server = os.environ.get(SERVER_VARIABLE) if local else None
    parent = os.getpid() if local else None
    # one worker is still another process: a report that is killed must not end the run;
    # a cluster takes as many at once as it has workers
    n_jobs = max(workers, 2) if local else -1
    # only parallel_config knows backends of other packages
    with parallel_config(backend=backend):
        pool = Parallel(n_jobs=n_jobs, return_as="generator_unordered", batch_size=1)
    try:
        yield from pool(delayed(attempt)(number, job, server, parent) for number, job in batch)
    finally:
        if local:
            get_reusable_executor().shutdown(wait=True, kill_workers=True)


def _kernels(backend: Backend) -> contextlib.AbstractContextManager[None]:
    return warm_kernels() if backend == "loky" else contextlib.nullcontext()


@contextlib.contextmanager
def _cluster(backend: Backend, scheduler: str | None) -> Iterator[None]:
    if backend == "loky":
        yield
        return
    try:
        from distributed import Client
    except ImportError as error:
        raise ValueError(
            "`backend` must be 'loky' here, because Dask is not installed; got 'dask'. "
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
        yield


_watching = threading.Event()


def _end_with(parent: int) -> None:
    """A worker whose parent was killed ends too, and its kernel with it."""
    if _watching.is_set():
        return
    _watching.set()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


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
