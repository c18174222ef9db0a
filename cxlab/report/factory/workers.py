"""Make many reports on all cores or on a cluster; a report that fails stops no other.

Pools of other packages keep semaphores and shared memory by name, which stay behind when
the whole run is killed. A worker here is a plain process with two pipes: it reads jobs,
writes outcomes, and ends with its parent.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Literal

import nbformat

from cxlab.core.messages import one_line
from cxlab.report import records
from cxlab.report.answer import read_findings
from cxlab.report.build import Job, ReportError, make_report, record_failure
from cxlab.report.exports import write_formats
from cxlab.report.publish import Trouble

Backend = Literal["local", "dask"]
CellDone = Callable[[Job], None] | None
#: A worker's word that a cell is done.
CELL = "cell"
#: Seconds between two checks whether the parent process is alive.
LOOK = 0.5


@dataclass(frozen=True)
class Outcome:
    """What became of one report."""

    job: Job
    state: Literal["made", "unchanged", "failed"]
    #: Why it failed, in one line; or which of its formats could not be made, and why.
    cause: str = ""
    #: Sentences of its significant drops.
    drops: tuple[str, ...] = ()
    seconds: float = 0.0
    #: Of the disk or the folder, if that is why it failed.
    trouble: Trouble = ""

    @property
    def answer(self) -> str:
        """The report in one line: what it is of, its answer, how sure that is; empty without one."""
        findings = read_findings(self.job.output) if self.state != "failed" else None
        if findings is None:
            return ""
        about, told = self.job.about, findings.answer
        part = ", ".join(word for word in (about.period, about.selection) if word)
        sure = "" if told.certainty == "measured" else f" [{told.certainty}]"
        return f"{self.job.output.name}{f' ({part})' if part else ''}: {told.text}{sure}"

    def __str__(self) -> str:
        if self.state == "failed":
            return f"failed: {self.cause}"
        words = f"{'report' if self.state == 'made' else self.state}: {self.job.page}"
        return f"{words} ({self.cause})" if self.cause else words


def make_reports(
    jobs: Sequence[Job],
    *,
    n_jobs: int | None = None,
    force: bool = False,
    backend: Backend = "local",
    scheduler: str | None = None,
    tell: Callable[[Outcome], Any] | None = None,
    cell_done: CellDone = None,
) -> list[Outcome]:
    """Make every report, several at a time: outcomes in the order of ``jobs``.

    ``n_jobs``: processes, by default as many as cores; ``backend``: this machine, or a Dask
    cluster whose machines share the folders; ``tell`` is called with each outcome as soon as it
    is known, ``cell_done`` with the job after each cell, in any thread and not on a cluster.
    """
    outcomes: dict[Path, Outcome] = {}

    def note(outcome: Outcome) -> None:
        outcomes[outcome.job.output] = outcome
        if tell is not None:
            tell(outcome)

    waiting = []
    for job in jobs:
        if not force and bring_up_to_date(job):
            note(Outcome(job, "unchanged", _unmade(job), _drops(job)))
        else:
            waiting.append(job)
    if backend == "dask" and waiting:
        made = _on_cluster(waiting, scheduler)
    elif len(waiting) > 1:
        made = _on_cores(waiting, n_jobs or cores(), cell_done)
    else:
        made = (attempt(job, cell_done) for job in waiting)
    for outcome in made:
        note(outcome)
    return [outcomes[job.output] for job in jobs]


def attempt(job: Job, cell_done: CellDone = None) -> Outcome:
    """Make one report; a failure is an outcome, never an exception."""
    started = time.monotonic()
    try:
        make_report(job, cell_done=partial(cell_done, job) if cell_done else None)
        outcome = Outcome(job, "made", _unmade(job), _drops(job))
    except ReportError as error:
        outcome = Outcome(job, "failed", str(error), trouble=error.trouble)
    except Exception as error:
        outcome = _lost(job, one_line(f"{type(error).__name__}: {error}"))
    return replace(outcome, seconds=time.monotonic() - started)


def _lost(job: Job, cause: str) -> Outcome:
    """A failure that is not the notebook's."""
    record_failure(job, cause)
    return Outcome(job, "failed", f"{job.notebook.stem} failed: {cause} (see {job.failed})")


def _drops(job: Job) -> tuple[str, ...]:
    return tuple(records.drops(records.read_changes(job.output) or ()))


def _unmade(job: Job) -> str:
    """Formats that could not be made, and why."""
    failed = (records.read_manifest(job.output) or {}).get("failed_formats", {})
    return "; ".join(f"without {one}: {why}" for one, why in failed.items())


def bring_up_to_date(job: Job) -> bool:
    """Whether the report is there as it would be made now; formats it lacks are added.

    After a failure the report is made again, and so is one whose files were changed.
    """
    manifest = records.read_manifest(job.output)
    if manifest is None or not job.fingerprint or manifest.get("fingerprint") != job.fingerprint:
        return False
    if job.failed.exists() or not job.page.exists() or not _as_written(job, manifest):
        return False
    lacking = [one for one in job.formats if one not in manifest["formats"]]
    if lacking:
        notebook = nbformat.read(job.output / manifest["notebook"]["name"], as_version=4)
        write_formats(job.output, notebook, manifest, lacking)
        # last, so that a run that is killed before tries again
        records.write_manifest(job.output, manifest)
    return True


def _as_written(job: Job, manifest: dict[str, Any]) -> bool:
    """Whether nobody has changed the report's files: nothing is made from others' files."""
    try:
        return next(records.spoilt_files(job.output, manifest), None) is None
    except OSError:
        return False


def cores() -> int:
    """Processors that this process may use: those it is bound to, and a container's share."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        share = max(1, round(int(quota) / int(period)))
    except (OSError, ValueError):
        # no container, or no limit
        return bound or 1
    return min(bound or 1, share)


def _on_cores(waiting: list[Job], workers: int, cell_done: CellDone) -> Iterator[Outcome]:
    """Outcomes as they come; where a worker was killed, its report is made again alone."""
    from cxlab.report.warm.provisioner import warm_kernels

    again = []
    with warm_kernels():
        for job, outcome in _in_workers(waiting, workers, cell_done):
            if outcome is None:
                again.append(job)
            else:
                yield outcome
        for one in again:
            for job, outcome in _in_workers([one], 1, cell_done):
                yield outcome or _lost(job, "its worker was killed")


def _in_workers(
    waiting: Sequence[Job], workers: int, cell_done: CellDone
) -> Iterator[tuple[Job, Outcome | None]]:
    """Outcomes as they come; None where the worker ended before the report was made."""
    jobs: SimpleQueue[Job] = SimpleQueue()
    done: SimpleQueue[tuple[Job, Outcome | None]] = SimpleQueue()
    for one in waiting:
        jobs.put(one)
    pool = [_Worker() for _ in range(min(workers, len(waiting)))]
    for worker in pool:
        busy = (worker, jobs, done, cell_done)
        threading.Thread(target=_keep_busy, args=busy, daemon=True).start()
    try:
        for _ in waiting:
            yield done.get()
    finally:
        for worker in pool:
            worker.end()


def _keep_busy(
    worker: _Worker, jobs: SimpleQueue[Any], done: SimpleQueue[Any], cell_done: CellDone
) -> None:
    while not worker.ended:
        try:
            job = jobs.get_nowait()
        except Empty:
            return
        done.put((job, worker.make(job, cell_done)))


class _Worker:
    """A process that makes one report after another; a dead one is replaced by a new one."""

    def __init__(self) -> None:
        self.ended = False
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a file of the working folder must not be imported in place of a module
        command = [sys.executable, "-P", "-m", __name__, str(os.getpid())]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def make(self, job: Job, cell_done: CellDone) -> Outcome | None:
        """What became of a report; None when the process ended before it was made."""
        if self.process.poll() is not None and not self.ended:
            self._close()
            self.process = self._start()
        try:
            stdin, stdout = self.process.stdin, self.process.stdout
            pickle.dump(job, stdin)  # type: ignore[arg-type]
            stdin.flush()  # type: ignore[union-attr]
            while (message := pickle.load(stdout)) == CELL:  # type: ignore[arg-type]
                if cell_done is not None:
                    cell_done(job)
            outcome: Outcome = message
            return outcome
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            self.process.kill()
            self.process.wait()
            return None

    def end(self) -> None:
        """Kill the process; its kernel ends with it."""
        self.ended = True
        self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()  # type: ignore[union-attr]


def main() -> None:
    """Make the reports that standard input asks for, until it closes."""
    # as the parent knows them: classes of `__main__` would be others
    from cxlab.report.factory import workers

    # what a report prints or asks for must not get between jobs and outcomes
    jobs, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()

    def tell_cell(_: Job) -> None:
        pickle.dump(CELL, outcomes)
        outcomes.flush()

    while True:
        try:
            job = pickle.load(jobs)
        except EOFError:
            return
        pickle.dump(workers.attempt(job, tell_cell), outcomes)
        outcomes.flush()


def _end_with(parent: int) -> None:
    """A worker whose parent was killed ends too, and its kernel with it."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


def _on_cluster(waiting: list[Job], scheduler: str | None) -> Iterator[Outcome]:
    """As many at once as the cluster has workers."""
    with _client(scheduler) as client:
        from distributed import as_completed

        futures = {client.submit(attempt, job, pure=False): job for job in waiting}
        for future in as_completed(futures):
            error = future.exception()
            cause = one_line(f"its worker was lost ({type(error).__name__})")
            yield future.result() if error is None else _lost(futures[future], cause)


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


if __name__ == "__main__":
    main()
