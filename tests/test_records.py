"""Odd records and foreign folders among the reports: passed over, named, left as they are."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_notebook

from cxlab.cli import main
from cxlab.report.build import ReportError, build_report
from cxlab.report.index import list_reports, write_index
from cxlab.report.publish import (
    abandoned,
    building_folder,
    clean_up,
    owned_folder,
    temporary_folder,
)
from cxlab.report.verify import verify_report
from tests.runs import PARAMETERS, write_notebook


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with one report, the command that made it, and the report's manifest."""
    folder = tmp_path_factory.mktemp("made")
    write_notebook(folder, "1")
    command = ["report", "demo", "--notebook", str(folder / "9-trial.ipynb"),
               "--output", str(folder / "out")]  # fmt: skip
    assert CliRunner().invoke(main, command).exit_code == 0
    (path,) = (folder / "out").glob("**/manifest.json")
    return folder / "out", command, json.loads(path.read_text())


def without(record, *names):
    return {name: value for name, value in record.items() if name not in names}


ODD = {
    "of the case": lambda m: {"notebook": {"name": "a.ipynb"}},
    "of an app": lambda m: {"name": "app", "icons": []},
    "without formats": lambda m: without(m, "formats"),
    "without tables": lambda m: without(m, "tables"),
    "without warnings": lambda m: without(m, "warnings"),
    "without end": lambda m: without(m, "ended"),
    "study is a number": lambda m: m | {"study": 3},
    "period is null": lambda m: m | {"period": None},
    "warnings is a number": lambda m: m | {"warnings": 7},
    "tables holds a number": lambda m: m | {"tables": [1]},
    "changes is text": lambda m: m | {"changes": "fell"},
    "a list": lambda m: [m],
    "null": lambda m: None,
}


def check_passed_over(reports, command, name):
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert f"left out: {name} is not a complete record of a report: " in result.output
    page = (reports / "index.html").read_text()
    assert name in page
    assert "9-trial" in page


@pytest.mark.parametrize("name", ODD)
def test_an_odd_manifest_is_passed_over_and_named(name, made):
    reports, command, manifest = made
    folder = reports / "app"
    folder.mkdir()
    (folder / "manifest.json").write_text(json.dumps(ODD[name](manifest)))
    try:
        check_passed_over(reports, command, "app/manifest.json")
    finally:
        (folder / "manifest.json").unlink()
        folder.rmdir()


def test_of_many_odd_records_a_run_names_the_first(made):
    reports, command, _ = made
    folders = [reports / f"app-{number:02d}" for number in range(20)]
    for folder in folders:
        folder.mkdir()
        (folder / "manifest.json").write_text("{}")
    try:
        told = CliRunner().invoke(main, command).output
        page = (reports / "index.html").read_text()
    finally:
        for folder in folders:
            shutil.rmtree(folder)
    lines = [line for line in told.splitlines() if line.startswith("left out: ")]
    assert len(lines) == 4
    assert lines[-1].startswith("left out: 17 more files that are not complete records of reports")
    assert all(folder.name in page for folder in folders)


def test_a_report_of_an_earlier_version_is_listed_and_not_compared(made):
    reports, _, manifest = made
    folder = reports / "earlier"
    folder.mkdir()
    packages = manifest["packages"] | {"cxlab": "0.1.0"}
    earlier = manifest | {"schema": 3, "packages": packages}
    (folder / "manifest.json").write_text(json.dumps(earlier))
    try:
        assert "made by 0.1 (cannot be compared)" in write_index(reports).read_text()
        with pytest.raises(ValueError, match="made by 0.1: cannot be compared"):
            verify_report(folder)
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"notebook": "a"}', b"{}", b'{"cell": "1"}', b"[]"],
    ids=range(8),
)
@pytest.mark.parametrize("place", ["app/manifest.json", "demo/failed/x/failure.json"])
def test_spoilt_files_are_passed_over_and_named(content, place, tmp_path):
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes(content)
    (line,) = list_reports(tmp_path).odd
    assert (
        line.startswith(f"{place} is not a complete record of a report: it is not") or "`" in line
    )
    assert place in write_index(tmp_path).read_text()


def test_a_folder_in_a_record_s_place_and_half_characters_stop_nothing(made, tmp_path):
    (tmp_path / "a" / "manifest.json").mkdir(parents=True)
    (tmp_path / "b").mkdir()
    odd = made[2] | {
        "title": "\ud800",
        "study": "\udc80",
        "notebook": {"name": "\ud800", "sha256": ""},
    }
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(odd))
    failed = tmp_path / "failed" / "c"
    failed.mkdir(parents=True)
    record = {"notebook": "x" * 5_000 + "\0", "cell": 1, "cause": "\ud800", "when": "now"}
    (failed / "failure.json").write_text(json.dumps(record))
    write_index(tmp_path)
    assert [line.partition(" ")[0] for line in list_reports(tmp_path).odd] == ["a/manifest.json"]


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_folder_with_files_of_others_is_never_replaced(place, tmp_path):
    cells = [new_code_cell(PARAMETERS, metadata={"tags": ["parameters"]}), new_code_cell("1")]
    nbformat.write(new_notebook(cells=cells), tmp_path / "9-trial.ipynb")
    kept = tmp_path / "mine" / "thesis.txt" if place == "folder" else tmp_path / "mine"
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("years of work")
    with pytest.raises(ReportError, match="failed: its folder holds other files"):
        build_report(tmp_path / "9-trial.ipynb", tmp_path / "mine")
    assert kept.read_text() == "years of work"


class TestFolders:
    def dead(self, parent, code="owned_folder(Path(sys.argv[1]))"):
        """A folder of a process that has ended, as if it had been killed."""
        script = f"""
import os, sys
from pathlib import Path
from cxlab.report.publish import owned_folder, temporary_folder
print({code}, flush=True)
os._exit(0)
"""
        words = [sys.executable, "-c", script, str(parent)]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        return Path(done.stdout.strip())

    def test_of_dead_processes_are_removed_and_foreign_ones_stay(self, tmp_path):
        building = tmp_path / "demo" / ".building"
        building.mkdir(parents=True)
        ours = self.dead(building)
        (ours / "report").mkdir()
        pid = ours.name.partition("@")[0]
        foreign = [
            "mine",
            "1-abc",
            f"{pid}@elsewhere-abcdefgh",
            ours.name + "-backup",
            f"{pid}@",
            "@-",
        ]
        for name in foreign:
            (building / name).mkdir()
            (building / name / "kept.txt").touch()
        (building / "notes.txt").touch()
        (building / f"{ours.name[:-8]}linked00").symlink_to(tmp_path, target_is_directory=True)
        clean_up(tmp_path)
        assert not ours.exists()
        assert all((building / name / "kept.txt").exists() for name in foreign)
        assert (building / "notes.txt").exists()

    def test_of_a_process_whose_number_another_has_now_are_removed(self, tmp_path):
        folder = owned_folder(tmp_path)
        assert not abandoned(folder)
        os.utime(folder, (1_000_000_000, 1_000_000_000))
        assert abandoned(folder)

    def test_for_short_lived_files_are_removed_too(self, tmp_path):
        left = self.dead(tmp_path, "(made := temporary_folder()).__enter__()")
        assert left.is_dir()
        with temporary_folder() as alive:
            clean_up(tmp_path)
            assert not left.exists()
            assert alive.is_dir()
        assert not alive.exists()
        assert re.fullmatch(r"cxlab-\d+@[0-9a-f]{8}-\w{8}", alive.name)

    def test_a_file_that_was_being_replaced_leaves_nothing_behind(self, tmp_path):
        code = f"""
import os, signal
from pathlib import Path
from cxlab.report import publish
class Interrupted(type(Path())):
    def replace(self, target):
        os.kill(os.getpid(), signal.SIGKILL)
publish.Path = Interrupted
original = publish.owned_folder
publish.owned_folder = lambda parent: Interrupted(original(parent))
publish.replace_text(Path({str(tmp_path / "index.html")!r}), "new")
"""
        (tmp_path / "index.html").write_text("old")
        done = subprocess.run([sys.executable, "-c", code], check=False)
        assert done.returncode < 0
        assert len(list(tmp_path.iterdir())) == 2
        clean_up(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["index.html"]
        assert (tmp_path / "index.html").read_text() == "old"

    def test_of_a_living_run_stay(self, tmp_path):
        with building_folder(tmp_path / "demo") as folder:
            clean_up(tmp_path)
            assert folder.parent.exists()


def test_a_process_that_ended_unasked_owns_nothing(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    folder = tmp_path / owned_folder(tmp_path).name.replace(str(os.getpid()), str(child.pid), 1)
    folder.mkdir()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    try:
        assert abandoned(folder)
    finally:
        child.wait()
