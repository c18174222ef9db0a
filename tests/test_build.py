"""Reports are made for real: papermill, a fresh kernel, HTML, tables, manifest."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cxlab import build_report
from cxlab.cli import main
from cxlab.report.build import ReportError
from cxlab.report.index import write_index
from cxlab.report.notebooks import report_folder
from cxlab.report.publish import building_folder, clean_up
from tests.runs import run_reports

pytestmark = pytest.mark.usefixtures("warm_reports")

SETUP = """import pandas as pd
from cxlab import show, plot_intervals
table = pd.DataFrame({"label": ["<b>&</b>"], "estimate": [1 / 3], "ci_low": [0.1], "ci_high": [0.5]})"""
TABLE = 'show(table, name="thirds")'
CHART = 'show(plot_intervals(table), name="chart", alt="One <dot> & a line.")'


@pytest.fixture
def notebook(tmp_path):
    """Writes a small notebook of the shape that reports need."""

    def write(*cells, name="9-trial"):
        parameters = 'study: str = "demo"\nperiod: str | None = None\nwhere: dict | None = None'
        book = new_notebook(
            cells=[
                new_markdown_cell("# A trial\n\nTwo sentences."),
                new_code_cell(parameters, metadata={"tags": ["parameters"]}),
                *(new_code_cell(source) for source in (SETUP, *cells)),
                new_markdown_cell("## Limits\n\nMany."),
            ]
        )
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(book, path)
        return path

    return write


@pytest.fixture(scope="module")
def demo_report(tmp_path_factory):
    """One real report of the demo study."""
    reports = tmp_path_factory.mktemp("reports")
    run = run_reports("demo", period="2025-Q4", notebooks=["scorecard"], output=reports)
    assert not run.failures
    return reports


class TestReport:
    def test_is_whole(self, demo_report):
        folder = demo_report / "demo" / "2025-Q4" / "2-scorecard"
        names = {path.name for path in folder.iterdir()}
        assert names == {"2-scorecard.html", "2-scorecard.ipynb", "manifest.json", "tables"}
        assert (folder / "tables" / "outcomes.csv").exists()
        assert (folder / "tables" / "outcomes.json").exists()
        assert not (demo_report / "demo" / "2025-Q4" / ".building").exists()

    def test_page_requests_nothing(self, demo_report):
        page = (demo_report / "demo/2025-Q4/2-scorecard/2-scorecard.html").read_text()
        soup = BeautifulSoup(page, "html.parser")
        assert not soup.find_all(["script", "iframe", "object"])
        assert [link["href"] for link in soup.find_all("link")] == ["data:,"]
        for element in soup.find_all(src=True):
            assert element["src"].startswith(
                ("data:image/png;base64,", "data:image/svg+xml;base64,")
            )
        assert not re.search(r"url\(|@import", page)
        for link in soup.find_all("a", href=True):
            there = demo_report / "demo/2025-Q4/2-scorecard" / link["href"]
            assert link["href"].startswith("#") or there.exists()

    def test_page_is_readable(self, demo_report):
        page = (demo_report / "demo/2025-Q4/2-scorecard/2-scorecard.html").read_text()
        soup = BeautifulSoup(page, "html.parser")
        assert "SIMULATED" in soup.header.get_text()
        contents = soup.find("nav", attrs={"aria-label": "Contents"})
        for anchor in contents.find_all("a"):
            assert soup.find(id=anchor["href"][1:])
        # drawings within cells repeat the number beside them
        assert all(image.has_attr("alt") for image in soup.find_all("img"))
        assert all(cell.get("scope") for cell in soup.select("thead th"))
        assert soup.find_all("details", class_="code")
        # the declared defaults gave way to the values used
        assert not soup.find(class_="celltag_parameters")
        assert soup.find(class_="celltag_injected-parameters")

    def test_page_is_small(self, demo_report):
        page = demo_report / "demo/2025-Q4/2-scorecard/2-scorecard.html"
        soup = BeautifulSoup(page.read_text(), "html.parser")
        for image in soup.find_all("img"):
            image.decompose()
        assert len(page.read_bytes()) < 600_000
        assert len(str(soup)) < 250_000

    def test_manifest_is_complete(self, demo_report):
        manifest = json.loads((demo_report / "demo/2025-Q4/2-scorecard/manifest.json").read_text())
        assert manifest["parameters"] == {"study": "demo", "period": "2025-Q4", "where": None}
        assert {entry["name"] for entry in manifest["inputs"]} >= {"study.toml", "relationship.csv"}
        assert all(re.fullmatch("[0-9a-f]{64}", entry["sha256"]) for entry in manifest["inputs"])
        assert re.fullmatch("[0-9a-f]{64}", manifest["fingerprint"])
        assert manifest["packages"]["pandas"].startswith("3.")
        assert manifest["warnings"] == []
        assert not re.search('"/|\\.\\./', json.dumps([manifest["inputs"], manifest["notebook"]]))

    def test_tables_keep_full_precision(self, demo_report):
        from cxlab import load_study, nps

        study = load_study("demo")
        expected = nps(study.read(period="2025-Q4"), "recommend", design=study.design)[
            "estimate"
        ].item()
        records = json.loads(
            (demo_report / "demo/2025-Q4/2-scorecard/tables/outcomes.json").read_text()
        )
        (line,) = [record for record in records if record["metric"] == "nps"]
        assert line["estimate"] == expected

    def test_index_lists_it(self, demo_report):
        soup = BeautifulSoup((demo_report / "index.html").read_text(), "html.parser")
        assert "SIMULATED" in soup.get_text()
        for link in soup.main.find_all("a"):
            assert (demo_report / link["href"]).exists()

    def test_a_part_of_the_answers_has_its_own_folder(self, demo_report):
        run = run_reports(
            "demo",
            period="2025-Q4",
            where={"segment": "Family"},
            notebooks=["answers"],
            output=demo_report,
        )
        (page,) = run.pages
        assert page.parent.parent.name == "segment-Family"
        assert "segment = Family" in page.read_text()


@pytest.mark.skipif(not shutil.which("chromium"), reason="Debian's chromium is not installed")
def test_chromium_opens_the_page_and_requests_nothing(demo_report, tmp_path):
    page = demo_report / "demo/2025-Q4/2-scorecard/2-scorecard.html"
    log = tmp_path / "net.json"
    shot = tmp_path / "page.png"
    # Chromium itself calls home: its own start-up requests are kept from any host
    command = [
        "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
        "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP * ~NOTFOUND", f"--user-data-dir={tmp_path / 'profile'}",
        f"--log-net-log={log}", f"--screenshot={shot}", "--window-size=1000,2000", page.as_uri(),
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    assert shot.stat().st_size > 20_000
    text = log.read_text()
    asked = set(re.findall(r'"url":"((?:https?|wss?|ftp)://[^"]+)"', text))
    initiated = {url for url in asked if "google" not in url and "gvt1" not in url}
    assert initiated == set()


class TestFailure:
    def test_names_the_cell_and_keeps_the_partial_notebook(self, notebook, tmp_path):
        path = notebook(TABLE, "1 / 0")
        with pytest.raises(
            ReportError, match=r"9-trial failed in cell 4: ZeroDivisionError"
        ) as caught:
            build_report(path, tmp_path / "out" / "9-trial")
        assert caught.value.cell == 4
        assert not (tmp_path / "out" / "9-trial").exists()
        failed = tmp_path / "out" / "failed" / "9-trial"
        assert json.loads((failed / "failure.json").read_text())["cause"].startswith(
            "ZeroDivisionError"
        )
        assert (failed / "9-trial.ipynb").exists()
        assert sorted(entry.name for entry in (tmp_path / "out").iterdir()) == ["failed"]

    def test_leaves_an_earlier_report_alone(self, notebook, tmp_path):
        out = tmp_path / "out" / "9-trial"
        page = build_report(notebook(TABLE), out)
        before = page.read_text()
        with pytest.raises(ReportError):
            build_report(notebook("1 / 0"), out)
        assert page.read_text() == before

    def test_is_forgotten_after_a_success(self, notebook, tmp_path):
        out = tmp_path / "out" / "9-trial"
        with pytest.raises(ReportError):
            build_report(notebook("1 / 0"), out)
        build_report(notebook(TABLE), out)
        assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["9-trial"]

    def test_dead_kernel_is_a_failure_too(self, notebook, tmp_path):
        path = notebook("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        with pytest.raises(ReportError, match="the kernel: it died"):
            build_report(path, tmp_path / "out" / "9-trial")
        assert (tmp_path / "out" / "failed" / "9-trial" / "failure.json").exists()

    def test_stops_no_other_notebook(self, notebook, tmp_path):
        bad, good = notebook("1 / 0", name="8-bad"), notebook(TABLE, name="9-good")
        arguments = ["report", "demo", "--period", "2025-Q4", "--output", str(tmp_path / "reports"),
                     "--notebook", str(bad), "--notebook", str(good)]  # fmt: skip
        result = CliRunner().invoke(main, arguments)
        assert result.exit_code == 1
        assert "failed: 8-bad failed in cell 3" in result.output
        assert (tmp_path / "reports/demo/2025-Q4/9-good/9-good.html").exists()
        index = (tmp_path / "reports/index.html").read_text()
        assert "failed:" in index
        assert "9-good" in index


def test_text_of_data_and_alt_is_escaped(notebook, tmp_path):
    page = build_report(notebook(TABLE, CHART), tmp_path / "out").read_text()
    soup = BeautifulSoup(page, "html.parser")
    assert soup.find("img")["alt"] == "One <dot> & a line."
    assert soup.select("table.cxlab tbody th")[0].get_text() == "<b>&</b>"


def test_rich_displays_of_others_neither_run_nor_fetch(notebook, tmp_path):
    evil = """from IPython.display import HTML, Javascript, display
display(HTML('<img src="http://example.org/x.png" onerror="alert(1)"><script>1</script>'
             '<a href="javascript:alert(1)">x</a><iframe src="http://example.org"></iframe>'))
display(Javascript('alert(1)'))"""
    page = build_report(notebook(evil), tmp_path / "out").read_text()
    body = BeautifulSoup(page, "html.parser")
    for code in body.find_all("details", class_="code"):
        code.decompose()
    assert not body.find_all(["script", "iframe"])
    assert not body.find_all(onerror=True)
    assert not body.find_all(src=re.compile("example"))
    assert not body.find_all(href=re.compile("javascript"))


def test_nothing_runs_when_a_parameter_is_wrong(notebook, tmp_path):
    marker = tmp_path / "ran"
    path = notebook(f"from pathlib import Path; Path('{marker}').touch()")
    with pytest.raises(ValueError, match="got 'perod'. Did you mean 'period'"):
        build_report(path, tmp_path / "out", perod="2017")
    with pytest.raises(TypeError, match="`period` must be str | None; got 2017"):
        build_report(path, tmp_path / "out", period=2017)
    assert not marker.exists()
    assert not (tmp_path / "out").exists()


def test_killed_half_way_leaves_nothing_and_the_next_run_is_clean(notebook, tmp_path):
    reports = tmp_path / "reports"
    out = reports / "demo" / "2025-Q4" / "9-trial"
    slow = notebook(TABLE, f"from pathlib import Path; Path('{tmp_path / 'begun'}').touch()",
                    "import time; time.sleep(60)")  # fmt: skip
    code = f"from cxlab import build_report; build_report({str(slow)!r}, {str(out)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline, "the notebook never began"
        assert process.poll() is None, "the run ended early"
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not out.exists()
    assert list(reports.glob("**/.building/*"))
    clean_up(reports)
    assert not list(reports.glob("**/.building"))
    page = build_report(notebook(TABLE), out)
    assert page.exists()
    assert [entry.name for entry in out.parent.iterdir()] == ["9-trial"]


def test_clean_up_leaves_the_runs_of_living_processes(tmp_path):
    with building_folder(tmp_path / "demo") as folder:
        clean_up(tmp_path)
        assert folder.parent.exists()
    assert not folder.parent.exists()


@pytest.mark.parametrize("name", ["../../etc", "/etc/passwd", "..", ".hidden", "a/b", "a\\b", ""])
def test_no_name_leaves_the_reports_folder(name):
    reports = Path("/tmp/reports")
    folder = report_folder(reports, name, name, {name: name})
    assert folder.resolve().is_relative_to(reports)
    assert len(folder.relative_to(reports).parts) == 3
    assert not any(part.startswith(".") for part in folder.relative_to(reports).parts)


def test_empty_index_says_how_to_begin(tmp_path):
    assert "No report yet" in write_index(tmp_path).read_text()


class TestCommand:
    @pytest.mark.parametrize(
        ("arguments", "message"),
        [(["dmeo"], "Did you mean 'demo'"),
         (["demo", "--period", "2019"], "`period` must be '2024-Q1'"),
         (["demo", "--notebook", "scorcard"], "`notebook` must be"),
         (["demo", "--where", "segment"], "`--where` must be NAME=VALUE; got 'segment'"),
         (["demo", "--where", "segment=Famly"], "Did you mean 'Family'"),
         (["demo", "--set", "sed=1"], "`parameter` must be"),
         (["demo", "--perod", "2017"], "No such option")],
    )  # fmt: skip
    def test_a_mistake_gets_one_sentence_and_no_traceback(self, arguments, message, tmp_path):
        result = CliRunner().invoke(main, ["report", *arguments, "--output", str(tmp_path)])
        assert result.exit_code == 2
        assert message in result.output.replace("\n", " ")
        assert "Traceback" not in result.output
        assert list(tmp_path.iterdir()) == []

    def test_study_check_reads_every_table(self):
        result = CliRunner().invoke(main, ["study", "check", "demo", "--period", "2025-Q4"])
        assert result.exit_code == 0
        assert "SIMULATED" in result.output
        assert "transactional: " in result.output


class TestAirport:
    def test_the_report_of_2018_holds_the_known_figures(self, sfo, tmp_path):
        run = run_reports(str(sfo.path), period="2018", notebooks=["scorecard"], output=tmp_path)
        table = json.loads((run.pages[0].parent / "tables" / "outcomes.json").read_text())
        (line,) = [record for record in table if record["metric"] == "nps"]
        assert line["estimate"] == pytest.approx(35.113632103625, abs=1e-8)
        assert line["se"] == pytest.approx(2.2103742735, abs=1e-8)
        assert line["n"] == 2650
        assert round(line["unweighted"], 2) == 30.98
