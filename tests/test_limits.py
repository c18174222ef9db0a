"""Endless cells, outputs without end, errors as long as books: one report fails, in one sentence."""

import json
import os
import re

import nbformat
import pytest
from click.testing import CliRunner

from cxlab.cli import main
from cxlab.report import execute
from cxlab.report.build import ReportError, build_report
from cxlab.report.execute import TEXT_LIMIT
from cxlab.report.factory.requests import read_plan
from tests.runs import PARAMETERS, write_notebook

pytestmark = pytest.mark.usefixtures("warm_reports")

GOOD = "print('here')"
ENDLESS = "import time\nwhile True: time.sleep(1)"
BUSY = "while True: pass"
#: Bytes that a page of a shortened output may have.
SHORT_PAGE = 4 * TEXT_LIMIT


def report(folder, *paths, more=()):
    chosen = [word for path in paths for word in ("--notebook", str(path))]
    arguments = ["report", "demo", "--period", "2025-Q4", "--output", str(folder / "out"), *chosen]
    return CliRunner().invoke(main, [*arguments, *more])


def test_an_endless_cell_fails_in_a_sentence_and_the_others_are_made(tmp_path):
    # as in the report of this fault, it declares no `where`
    declared = PARAMETERS.rpartition("\n")[0]
    paths = [write_notebook(tmp_path, GOOD, ENDLESS, name="7-endless", parameters=declared),
             write_notebook(tmp_path, BUSY, name="8-busy"),
             write_notebook(tmp_path, GOOD)]  # fmt: skip
    result = report(tmp_path, *paths, more=["--timeout", "2"])
    assert result.exit_code == 2
    lines = re.findall("^failed: .*$", result.output, re.M)
    assert sorted(line.partition(";")[0] for line in lines) == [
        "failed: 7-endless failed in cell 3: it ran longer than 2 s",
        "failed: 8-busy failed in cell 2: it ran longer than 2 s",
    ]
    assert all("--timeout" in line for line in lines)
    folder = tmp_path / "out/demo/2025-Q4"
    assert (folder / "9-trial/9-trial.html").exists()
    partial = nbformat.read(folder / "failed/7-endless/7-endless.ipynb", as_version=4)
    assert "here" in str(partial.cells[3].outputs)


def test_a_plan_has_a_time_limit_for_each_entry(tmp_path):
    path = write_notebook(tmp_path, ENDLESS)
    entry = f'[[reports]]\nstudy = "demo"\nnotebooks = ["{path}"]\n'
    plan = tmp_path / "reports.toml"
    plan.write_text(entry + "timeout = 1\n" + entry)
    assert [request.timeout for request in read_plan(plan)] == [1, 1800]
    plan.write_text(entry + "timeout = 1\n")
    result = CliRunner().invoke(main, ["report", "--plan", str(plan), "--output", str(tmp_path)])
    assert result.exit_code == 1
    assert "it ran longer than 1 s" in result.output
    for wrong in ("0", "-5", '"60"', "1.5", "true"):
        plan.write_text(entry + f"timeout = {wrong}\n")
        with pytest.raises(ValueError, match="entry 1: `timeout` must be a whole number"):
            read_plan(plan)


def test_a_limit_beside_a_plan_is_refused(tmp_path):
    result = CliRunner().invoke(main, ["report", "--plan", "x.toml", "--timeout", "5"])
    assert result.exit_code == 2
    assert "`--timeout` must be left out with `--plan`" in result.output


@pytest.mark.parametrize(
    "cell",
    [
        "print('x' * 20_000_000)",
        "for _ in range(20_000): print('x' * 1_000)",
        "'x' * 20_000_000",
    ],
    ids=["one print", "many prints", "a value"],
)
def test_twenty_megabytes_of_text_are_shortened_and_said(cell, tmp_path):
    page = build_report(write_notebook(tmp_path, cell), tmp_path / "out")
    assert page.stat().st_size < SHORT_PAGE
    assert page.with_suffix(".ipynb").stat().st_size < SHORT_PAGE
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    told = "This cell showed more than 1,000,000 characters of text; the rest was left out."
    assert manifest["warnings"] == [told]
    assert told in page.read_text()


def test_megabytes_of_other_outputs_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "OUTPUT_LIMIT", 5_000_000)
    html = "from IPython.display import HTML, display\ndisplay(HTML('y' * 5_000_001))"
    page = build_report(write_notebook(tmp_path, html, GOOD), tmp_path / "out")
    assert page.stat().st_size < SHORT_PAGE
    assert "The report showed more than 5 MB; the rest was left out." in page.read_text()
    assert "here" in page.read_text()


def test_endless_printing_ends_too(tmp_path):
    path = write_notebook(tmp_path, "while True: print('x' * 1_000)")
    with pytest.raises(ReportError, match="failed in cell 2: it ran longer than 4 s"):
        build_report(path, tmp_path / "9-trial", timeout=4)
    assert (tmp_path / "failed/9-trial/9-trial.ipynb").stat().st_size < SHORT_PAGE


def test_displays_without_number_are_shortened(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "TEXT_LIMIT", 100_000)
    path = write_notebook(tmp_path, "for i in range(2_000): display(i)")
    page = build_report(path, tmp_path / "out")
    shown = nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells[3].outputs
    assert 900 < len(shown) < 1_000
    assert "This cell showed more than 100,000 characters of text" in page.read_text()


def test_a_report_that_is_stopped_loses_no_display(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "TEXT_LIMIT", 20_000_000)
    # as on a busy machine: whoever reads gets no turn for two seconds, while the kernel shows
    cell = f"""import os, signal, subprocess, time
subprocess.Popen(["sh", "-c", "for i in $(seq 30); do sleep 2; kill -CONT {os.getpid()}; done"])
os.kill({os.getpid()}, signal.SIGSTOP)
for i in range(2_500): display(str(i) + "x" * 4_000)
time.sleep(1)
print("the last")"""
    page = build_report(write_notebook(tmp_path, cell), tmp_path / "out")
    outputs = nbformat.read(page.with_suffix(".ipynb"), as_version=4).cells[3].outputs
    assert len(outputs) == 2_501
    assert outputs[-1]["text"] == "the last\n"


def test_a_display_in_pieces_is_one_text(tmp_path):
    pieces = {"text/html": ["<b>one", " two</b>"], "text/plain": ["one", 2], "image/png": 3}
    path = write_notebook(
        tmp_path, "from IPython.display import display", f"display({pieces}, raw=True)"
    )
    page = build_report(path, tmp_path / "out", study="demo")
    assert "<b>one two</b>" in page.read_text()


def test_what_is_cleared_does_not_count(tmp_path):
    cell = "from IPython.display import clear_output\nfor i in range(30):\n    clear_output()\n    print(i, 'x' * 90_000)"
    page = build_report(write_notebook(tmp_path, cell), tmp_path / "out")
    assert "29 xxx" in page.read_text()
    assert json.loads((tmp_path / "out/manifest.json").read_text())["warnings"] == []


def test_what_is_within_the_limits_is_whole(tmp_path):
    cells = ["print('x' * 400_000)\nprint('z' * 400_000)", "print('x' * 900_000)"]
    page = build_report(write_notebook(tmp_path, *cells), tmp_path / "out")
    assert "x" * 900_000 in page.read_text()
    assert json.loads((tmp_path / "out/manifest.json").read_text())["warnings"] == []


def test_a_long_error_is_shortened_and_its_escapes_do_nothing(tmp_path):
    cell = r"raise ValueError('\x1b[2J\x1b]0;mine\x07first\nsecond' + 'x' * 5_000_000)"
    path = write_notebook(tmp_path, cell)
    result = report(tmp_path, path)
    assert result.exit_code == 1
    (line,) = re.findall("^failed: .*$", result.output, re.M)
    assert "failed in cell 2: ValueError: first second" in line
    assert len(line) < 1_000
    assert "\x1b" not in result.output
    failed = tmp_path / "out/demo/2025-Q4/failed/9-trial"
    record = (failed / "failure.json").read_text()
    assert len(record) < 2_000
    assert "u001b" not in record
    assert (failed / "9-trial.ipynb").stat().st_size < 100_000


def test_cells_are_numbered_as_in_the_source(tmp_path):
    path = write_notebook(tmp_path, GOOD, "1 / 0")
    for given in ({}, {"period": "2025-Q4"}):
        with pytest.raises(ReportError, match="failed in cell 3: ZeroDivisionError"):
            build_report(path, tmp_path / "out", **given)
