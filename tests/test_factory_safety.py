"""Killed workers, parents and kernels, full disks, two runs at once, secrets: nothing is spoilt."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner

from cxlab.cli import main
from cxlab.report.build import About, Job, ReportError, build_report
from cxlab.report.factory.workers import make_reports
from cxlab.report.publish import building_folder, clean_up, publish
from cxlab.report.warm.provisioner import can_fork
from tests.runs import PARAMETERS, write_notebook

TABLE = """import pandas as pd
from cxlab import show
show(pd.DataFrame({"group": ["all"], "n": [1]}), name="counts")"""
#: Seconds in which something that should happen has happened, on a busy machine.
PATIENCE = 120


def jobs_of(folder, *paths):
    return [Job(path, folder / "out" / path.stem, {"study": "demo"}, About()) for path in paths]


def wait_for(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def lives(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False  # it ended between the two questions


def is_worker(process):
    try:
        return any("cxlab.report.factory.workers" in word for word in process.cmdline())
    except psutil.Error:
        return False


def leftovers(folder):
    return [path for path in Path(folder).rglob("*") if ".building" in path.parts]


class TestKilled:
    @pytest.fixture
    def running(self, tmp_path):
        """A run of three reports whose middle one waits for a file called go."""
        wait = (
            f"import os, pathlib, time\nfolder = pathlib.Path({str(tmp_path)!r})\n"
            "(folder / f'begun-{os.getpid()}').touch()\n"
            "while not (folder / 'go').exists(): time.sleep(0.05)"
        )
        paths = [write_notebook(tmp_path, TABLE, name="7-quick"),
                 write_notebook(tmp_path, TABLE, wait, name="8-slow"),
                 write_notebook(tmp_path, TABLE, name="9-quick")]  # fmt: skip
        words = [word for path in paths for word in ("--notebook", str(path))]
        arguments = [
            "report",
            "demo",
            "--period",
            "2025-Q4",
            "--output",
            str(tmp_path / "out"),
            *words,
        ]
        process = subprocess.Popen(
            [sys.executable, "-c", "from cxlab.cli import main; main()", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        wait_for(lambda: list(tmp_path.glob("begun-*")), "the slow report never began")
        yield tmp_path, process, arguments
        (tmp_path / "go").touch()
        process.kill()
        process.wait()
        process.stdout.close()

    def kernel(self, folder):
        return int(next(folder.glob("begun-*")).name.partition("-")[2])

    def complete(self, folder):
        pages = sorted(path.stem for path in folder.glob("out/demo/2025-Q4/*/*.html"))
        return pages == ["7-quick", "8-slow", "9-quick"] and not leftovers(folder)

    def test_workers_their_reports_are_made_all_the_same(self, running):
        folder, process, _ = running
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [process for process in family if is_worker(process)]
        assert workers
        kernel = self.kernel(folder)
        for worker in workers:
            worker.kill()
        wait_for(lambda: not psutil.pid_exists(kernel), "the dead worker's kernel lives on")
        (folder / "go").touch()
        assert process.wait(PATIENCE) == 0, process.stdout.read()
        assert self.complete(folder)

    def test_parent_takes_everything_with_it_and_the_next_run_completes(self, running):
        folder, process, arguments = running
        family = psutil.Process(process.pid).children(recursive=True)
        # the kernels of the server are its children, not ours
        process.send_signal(signal.SIGKILL)
        process.wait()
        kernel = self.kernel(folder)
        wait_for(lambda: not any(map(lives, family)), "a process of the run lives on")
        wait_for(lambda: not psutil.pid_exists(kernel), "the kernel lives on")
        assert not (folder / "out/demo/2025-Q4/8-slow").exists()
        (folder / "go").touch()
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert self.complete(folder)

    def test_kernel_is_one_failure_with_a_record(self, running):
        folder, process, arguments = running
        os.kill(self.kernel(folder), signal.SIGKILL)
        assert process.wait(PATIENCE) == 1
        record = json.loads((folder / "out/demo/2025-Q4/failed/8-slow/failure.json").read_text())
        assert record["cause"] == "it died, perhaps because memory ran out"
        assert "8-slow" in (folder / "out/index.html").read_text()
        assert not leftovers(folder)
        (folder / "go").touch()
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 0, result.output
        assert "1 made, 2 unchanged" in result.output
        assert self.complete(folder)
        assert not list(folder.glob("out/demo/2025-Q4/failed"))

    @pytest.mark.skipif(not can_fork(), reason="finding a worker from its kernel needs forks")
    def test_a_report_that_kills_its_worker_is_found_and_the_others_are_made(self, tmp_path):
        kill = (
            f"import psutil, time\nfor p in psutil.Process({os.getpid()}).children():\n"
            "    if p.status() != 'zombie' and any('cxlab.report.factory.workers' in word for word in p.cmdline()): p.kill()\n"
            "time.sleep(60)"
        )
        paths = [write_notebook(tmp_path, kill, name="7-culprit"),
                 *(write_notebook(tmp_path, TABLE, name=f"{n}-good") for n in (8, 9))]  # fmt: skip
        outcomes = make_reports(jobs_of(tmp_path, *paths), n_jobs=2)
        assert [outcome.state for outcome in outcomes] == ["failed", "made", "made"]
        assert "its worker was killed" in outcomes[0].cause
        clean_up(tmp_path)
        assert not leftovers(tmp_path)

    def test_between_the_two_renames_the_earlier_report_is_put_back(self, tmp_path):
        code = f"""
import os, signal
from pathlib import Path
from cxlab.report import publish
class Interrupted(type(Path())):
    def rename(self, target):
        if self.name == "out":
            super().rename(target)
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rename(target)
with publish.building_folder(Path({str(tmp_path)!r})) as folder:
    folder.mkdir()
    (folder / "new").touch()
    publish.publish(Interrupted(folder), Interrupted({str(tmp_path / "out")!r}))
"""
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "old").touch()
        done = subprocess.run([sys.executable, "-c", code], check=False)
        assert done.returncode == -signal.SIGKILL
        assert not (tmp_path / "out").exists()
        clean_up(tmp_path)
        assert (tmp_path / "out" / "old").exists()
        assert not leftovers(tmp_path)


def test_runs_at_once_into_one_folder_leave_one_whole_report(tmp_path):
    problems = []

    def publish_often(name):
        try:
            for _ in range(60):
                with building_folder(tmp_path) as folder:
                    folder.mkdir()
                    for part in ("a", "b"):
                        (folder / part).write_text(name)
                    publish(folder, tmp_path / "out")
        except OSError as error:
            problems.append(error)

    threads = [threading.Thread(target=publish_often, args=(name,)) for name in "1234"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems
    assert (tmp_path / "out" / "a").read_text() == (tmp_path / "out" / "b").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.fixture
def small_disk(tmp_path):
    """A file system of half a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = shutil.which("mount") and os.geteuid() == 0
    if (
        not mounted
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting a small file system needs the rights of root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_disk_leaves_the_earlier_report_and_a_record(small_disk, tmp_path):
    path = write_notebook(tmp_path, TABLE)
    page = build_report(path, small_disk / "out" / "9-trial")
    before = page.read_text()
    write_notebook(tmp_path, TABLE, "print('x' * 2_000_000)")
    with pytest.raises(ReportError, match="the disk is full"):
        build_report(path, small_disk / "out" / "9-trial")
    assert page.read_text() == before
    assert not leftovers(small_disk)
    record = json.loads((small_disk / "out/failed/9-trial/failure.json").read_text())
    assert record["cause"] == "the disk is full"


def run_here(folder, *paths):
    chosen = [word for path in paths for word in ("--notebook", str(path))]
    arguments = ["report", "demo", "--period", "2025-Q4", "--output", str(folder), *chosen]
    return CliRunner().invoke(main, arguments)


class TestExitCode:
    def test_of_a_full_disk_is_told_from_a_failed_report(self, small_disk, tmp_path):
        good, bad = write_notebook(tmp_path, TABLE), write_notebook(tmp_path, "1 / 0", name="8-bad")
        assert run_here(small_disk / "out", good, bad).exit_code == 1
        # the notebook's copy, a recorded table, and at last the index do not fit
        write_notebook(tmp_path, "print('x' * 800_000)")
        result = run_here(small_disk / "out", good, bad)
        assert result.exit_code == 122, result.output
        assert "the disk is full" in result.output
        long = "import pandas as pd\nfrom cxlab import show\n" \
               "show(pd.DataFrame({'group': ['x' * 99] * 9_000}), name='counts')"  # fmt: skip
        write_notebook(tmp_path, long)
        result = run_here(small_disk / "out", good)
        assert result.exit_code == 122, result.output
        assert "failed: 9-trial failed: the disk is full" in result.output

    def test_of_a_disk_without_any_room(self, small_disk, tmp_path):
        filler = (small_disk / "filler").open("wb", buffering=0)
        with filler, contextlib.suppress(OSError):
            while filler.write(b"x" * 1_024):
                pass
        result = run_here(small_disk / "out", write_notebook(tmp_path, TABLE))
        assert result.exit_code == 122
        assert "(the disk is full). Make room on the disk" in result.output

    @pytest.mark.parametrize("place", ["file", "file/below"])
    def test_of_a_folder_that_is_a_file(self, place, tmp_path):
        (tmp_path / "file").touch()
        result = run_here(tmp_path / place, write_notebook(tmp_path, TABLE))
        assert result.exit_code == 121
        assert "`output` must be a folder that can be written to; got" in result.output

    def test_of_a_part_that_cannot_be_written(self, tmp_path):
        path = write_notebook(tmp_path, TABLE)
        (tmp_path / "out" / "demo").mkdir(parents=True)
        (tmp_path / "out" / "demo" / "2025-Q4").touch()
        assert run_here(tmp_path / "out", path).exit_code == 121


def test_a_folder_that_cannot_be_written_gets_one_sentence(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    result = CliRunner().invoke(main, ["report", "demo", "--output", str(small_disk / "out")])
    assert result.exit_code == 121
    assert "`output` must be a folder that can be written to; got" in result.output
    assert "read-only file system" in result.output
    assert "Traceback" not in result.output


def test_a_script_as_group_touchpoint_or_change_does_nothing(tmp_path):
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    row = {"label": evil, "period": evil, "before": evil, "estimate": -8.0, "ci_low": -12.0, "ci_high": -4.0,
           "p_adjusted": 0.001, "unit": evil, "sentence": evil}  # fmt: skip
    cell = f"""import pandas as pd
from cxlab import show
show(pd.DataFrame([{row!r}]), name="changes")
show(pd.DataFrame([{row!r}]).assign(metric={evil!r}), name="outcomes")
print({evil!r})"""
    path = write_notebook(tmp_path, cell)
    about = About(evil, evil, evil, False, evil, evil)
    job = Job(path, tmp_path / "out" / "9-trial", {"study": evil}, about, ("xlsx",))
    (outcome,) = make_reports([job])
    assert outcome.state == "made", outcome.cause
    from cxlab.report.index import write_index

    for page in (outcome.job.page, write_index(tmp_path)):
        soup = BeautifulSoup(page.read_text(), "html.parser")
        assert not soup.find_all("script")
        assert not soup.find_all(onerror=True)
        assert not soup.find_all("img", src="x")
        assert "alert(1)" in soup.get_text()


class TestSecret:
    PARAMETERS = PARAMETERS + "\ndatabase_password: str | None = None"

    def test_value_never_lands_anywhere(self, tmp_path, monkeypatch):
        monkeypatch.setenv("MY_PASSWORD", "sesame-open-42")
        path = write_notebook(
            tmp_path,
            "import os; print(len(os.environ[database_password]))",
            parameters=self.PARAMETERS,
        )
        build_report(path, tmp_path / "out", database_password="MY_PASSWORD")
        for file in (tmp_path / "out").rglob("*"):
            assert file.is_dir() or b"sesame" not in file.read_bytes(), file

    def test_a_value_instead_of_a_name_is_refused_and_not_repeated(self, tmp_path):
        path = write_notebook(tmp_path, parameters=self.PARAMETERS)
        with pytest.raises(
            ValueError, match="must be the name of an environment variable"
        ) as caught:
            build_report(path, tmp_path / "out", database_password="sesame-open-42")
        assert "sesame" not in str(caught.value)
        arguments = [
            "report",
            "demo",
            "--notebook",
            str(path),
            "--set",
            "database_password=sesame-open-42",
        ]
        result = CliRunner().invoke(main, [*arguments, "--output", str(tmp_path / "out")])
        assert result.exit_code == 2
        assert "sesame" not in result.output


def test_kills_at_random_moments_leave_nothing_after_the_next_run(monkeypatch):
    # 100 of them, with PDF, and the shared memory: python -m benchmarks kills
    from benchmarks import kills

    monkeypatch.setattr(kills, "find_browser", lambda: None)
    found = kills.run_kills(2, seed=3)
    counted = found.drop(columns=["killed", "kills", "hit", "shared memory"])
    assert found["kills"].sum() == 2
    assert counted.to_numpy().sum() == 0, found.to_string()


def test_making_reports_needs_no_pool_that_keeps_semaphores():
    code = (
        "import sys, cxlab.report.factory.workers, cxlab.report.execute\n"
        "print(sorted({'joblib', 'multiprocessing.shared_memory', 'multiprocessing.synchronize'}"
        " & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_looking_what_has_changed_loads_no_jupyter():
    code = (
        "import sys, cxlab.report.factory.runs\n"
        "print(sorted({'papermill', 'nbclient', 'jupyter_client', 'nbconvert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
