"""Runs of reports killed at random moments, and what is left after the next run.

    python -m benchmarks kills --kills 100

Each time a set of reports is begun, something of it is killed at a random moment (the run, a
worker, the process that kernels are forked from, a kernel, or all at once), and the same
command is run again. Counted is what is left then: reports that are not whole, folders half
written, processes, temporary files, semaphores and shared memory.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
import pandas as pd
import psutil

from cxlab.report.exports import find_browser
from cxlab.report.records import MANIFEST, read_manifest, spoilt_files

TARGETS = ("run", "worker", "server", "kernel", "everything")
SHARED = Path("/dev/shm")
#: In the environment of all that a run starts.
MARK = "CXLAB_KILLS"
#: Seconds in which processes whose run is dead must have ended.
PATIENCE = 120
PARAMETERS = 'study: str = "demo"\nperiod: str | None = None\nwhere: dict | None = None'
CELL = """import time
import pandas as pd
from cxlab import load_study, show
answers = load_study(study).read(period=period, where=where)
for i in range(8):
    time.sleep(0.1)
    show(pd.DataFrame({"n": [len(answers)] * 50}), name=f"counts-{i}")"""


def write_notebooks(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{number}-trial.ipynb" for number in range(1, count + 1)]
    for path in paths:
        cells = [nbformat.v4.new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}),
                 nbformat.v4.new_code_cell(CELL)]  # fmt: skip
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    return paths


class Ground:
    """A folder for runs, whose temporary files and shared memory are counted."""

    def __init__(self, folder: Path, notebooks: int) -> None:
        self.out, self.temporary = folder / "out", folder / "t"
        self.temporary.mkdir()
        (folder / "runtime").mkdir()
        self.runtime = folder / "runtime"
        self.shared = set(shared_memory())
        named = [word for path in write_notebooks(folder, notebooks)
                 for word in ("--notebook", str(path))]  # fmt: skip
        formats = ["--to", "xlsx", *(["--to", "pdf"] if find_browser() else [])]
        self.command = [sys.executable, "-c", "from cxlab.cli import main; main()", "report",
                        "demo", "--period", "2025-Q4", "--output", str(self.out), "--jobs", "2",
                        *formats, *named]  # fmt: skip
        self.environment = {**os.environ, MARK: str(folder), "TMPDIR": str(self.temporary),
                            "JUPYTER_RUNTIME_DIR": str(self.runtime), "OMP_NUM_THREADS": "1",
                            "OPENBLAS_NUM_THREADS": "1"}  # fmt: skip

    def begin(self, *more: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen([*self.command, *more], env=self.environment, start_new_session=True,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip

    def processes(self) -> list[psutil.Process]:
        """Living processes that a run here has started."""
        return [one for one in psutil.process_iter() if self._is_ours(one)]

    def _is_ours(self, process: psutil.Process) -> bool:
        try:
            ours = process.environ().get(MARK) == self.environment[MARK]
            return ours and process.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def left(self) -> dict[str, int]:
        """What is there that should not be."""
        whole = [(path.parent, read_manifest(path.parent)) for path in self.out.rglob(MANIFEST)]
        spoilt = [folder for folder, manifest in whole
                  if manifest is None or any(spoilt_files(folder, manifest))]  # fmt: skip
        hidden = [path for path in self.out.rglob("*") if path.name.startswith(".")]
        return {
            "spoilt reports": len(spoilt),
            "half-written": len(hidden),
            "processes": len(self.processes()),
            "temporary files": len([*self.temporary.iterdir(), *self.runtime.iterdir()]),
            "shared memory": len(set(shared_memory()) - self.shared),
        }


def shared_memory() -> list[str]:
    """Shared memory and semaphores, which have names there."""
    return [path.name for path in SHARED.iterdir()] if SHARED.is_dir() else []


def wait_for(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def kill(run: subprocess.Popen[bytes], ground: Ground, target: str, chance: random.Random) -> bool:
    """Kill one process of a kind, or all; False when there is none at this moment."""
    ours = ground.processes()
    words = {one.pid: " ".join(_command(one)) for one in ours}
    kinds: dict[str, Callable[[psutil.Process], bool]] = {
        "run": lambda one: one.pid == run.pid,
        "worker": lambda one: "cxlab.report.factory.workers" in words[one.pid],
        "server": lambda one: "warm.server" in words[one.pid] and one.ppid() == run.pid,
        "kernel": lambda one: "warm.server" in words[one.pid] and one.ppid() != run.pid,
        "everything": lambda one: True,
    }
    chosen = []
    for one in ours:
        try:
            if kinds[target](one):
                chosen.append(one)
        except psutil.Error:
            continue
    if target != "everything":
        chosen = chance.sample(chosen, min(1, len(chosen)))
    for one in chosen:
        try:
            one.send_signal(signal.SIGKILL)
        except psutil.Error:
            continue
    return bool(chosen)


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def kill_once(ground: Ground, target: str, seconds: float, chance: random.Random) -> dict[str, int]:
    """One run that is killed, and the next one; what is left after it."""
    run = ground.begin("--force")
    time.sleep(chance.uniform(0, seconds))
    hit = wait_for(lambda: run.poll() is not None or kill(run, ground, target, chance), seconds)
    if target not in ("run", "everything"):
        run.wait(600)
    run.kill()
    run.wait()
    outlived = not wait_for(lambda: not ground.processes(), PATIENCE)
    next_run = ground.begin()
    code = next_run.wait(600)
    wait_for(lambda: not ground.processes(), PATIENCE)
    return {"hit": int(hit), "outlived": int(outlived), "failed": int(code != 0), **ground.left()}


def run_kills(kills: int, *, seed: int = 1, notebooks: int = 2, tell: bool = False) -> pd.DataFrame:
    """Counts of what is left, by what was killed.

    Parameters
    ----------
    kills : int
    seed : int
    notebooks : int
        Reports of each run.
    tell : bool
        Print a line for each kill that leaves something.
    """
    chance = random.Random(seed)
    rows = []
    with tempfile.TemporaryDirectory(prefix="k") as place:
        ground = Ground(Path(place), notebooks)
        started = time.monotonic()
        if ground.begin().wait(600):
            raise RuntimeError("the reports cannot be made at all")
        seconds = time.monotonic() - started
        for number in range(kills):
            target = TARGETS[number % len(TARGETS)]
            counts = kill_once(ground, target, seconds, chance)
            rows.append({"killed": target, "kills": 1, **counts})
            if tell:
                odd = {name: n for name, n in counts.items() if n and name != "hit"}
                print(f"{number + 1} {target}: {odd or 'nothing left'}", flush=True)
    return pd.DataFrame(rows).groupby("killed", sort=False).sum().reset_index()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args(arguments)
    print(run_kills(chosen.kills, seed=chosen.seed, tell=True).to_string(index=False))


if __name__ == "__main__":
    main()
