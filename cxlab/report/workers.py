"""Processes that make reports side by side: plain pipes, nothing that a kill could leave behind.

Pools of other packages keep semaphores and shared memory by name, which outlive them where
the whole run is killed. A worker here is ``python -m cxlab.report.workers PARENT``: it reads
jobs, writes outcomes, and ends with its parent.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cxlab.report.build import Job
    from cxlab.report.factory import Outcome

Numbered = tuple[int, "Job"]
#: Seconds between two looks whether the parent lives.
LOOK = 0.5


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


class Worker:
    """A process that makes one report after another; a new one takes a dead one's place."""

    def __init__(self) -> None:
        self.ended = False
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: a file of the working folder must not stand in for a module
        command = [sys.executable, "-P", "-m", __name__, str(os.getpid())]
        return subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    def make(self, number: int, job: Job) -> Outcome | None:
        """What became of a report; None when the process ended before it was made."""
        if self.process.poll() is not None and not self.ended:
            self._close()
            self.process = self._start()
        try:
            stdin, stdout = self.process.stdin, self.process.stdout
            pickle.dump((number, job), stdin)  # type: ignore[arg-type]
            stdin.flush()  # type: ignore[union-attr]
            outcome: Outcome = pickle.load(stdout)  # type: ignore[arg-type]
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


def make_side_by_side(
    waiting: Sequence[Numbered], workers: int
) -> Iterator[tuple[int, Job, Outcome | None]]:
    """Make reports in several processes, and again alone where a process ended meanwhile.

    Yields
    ------
    number, job, outcome
        In the order in which they are done; None: the process ended also when no other
        report was being made.
    """
    again: list[Numbered] = []
    for number, job, outcome in _make(waiting, workers):
        if outcome is None:
            again.append((number, job))
        else:
            yield number, job, outcome
    for one in again:
        yield from _make([one], 1)


def _make(waiting: Sequence[Numbered], workers: int) -> Iterator[tuple[int, Job, Outcome | None]]:
    jobs: SimpleQueue[Numbered] = SimpleQueue()
    done: SimpleQueue[tuple[int, Job, Outcome | None]] = SimpleQueue()
    for one in waiting:
        jobs.put(one)
    pool = [Worker() for _ in range(min(workers, len(waiting)))]
    for worker in pool:
        threading.Thread(target=_keep_busy, args=(worker, jobs, done), daemon=True).start()
    try:
        for _ in waiting:
            yield done.get()
    finally:
        for worker in pool:
            worker.end()


def _keep_busy(worker: Worker, jobs: SimpleQueue[Any], done: SimpleQueue[Any]) -> None:
    while not worker.ended:
        try:
            number, job = jobs.get_nowait()
        except Empty:
            return
        done.put((number, job, worker.make(number, job)))


def main() -> None:
    """Make the reports that standard input asks for, until it closes."""
    from cxlab.report.factory import attempt

    # what a report prints or asks for must not get between jobs and outcomes
    jobs, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    threading.Thread(target=_end_with, args=(int(sys.argv[1]),), daemon=True).start()
    while True:
        try:
            number, job = pickle.load(jobs)
        except EOFError:
            return
        pickle.dump(attempt(number, job), outcomes)
        outcomes.flush()


def _end_with(parent: int) -> None:
    """A worker whose parent was killed ends too, and its kernel with it."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(1)


if __name__ == "__main__":
    main()
