"""Forged digits are found by name, in every format; other machines and folders are no forgery."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat
import pytest
from PIL import Image

from cxlab import build_report, load_study
from cxlab.report import verify
from cxlab.report.build import finish_report
from cxlab.report.compare import compare_tables, same_text
from cxlab.report.exports import find_browser, write_exports
from cxlab.report.page import refresh_page
from cxlab.report.records import read_manifest, write_manifest
from cxlab.report.verify import verify_report
from cxlab.report.warm.provisioner import SERVER_VARIABLE
from tests.runs import run_reports
from tests.runs import write_notebook as write_cells

pytestmark = pytest.mark.usefixtures("warm_reports")

CELLS = (
    "import pandas as pd\nfrom cxlab import load_study, plot_intervals, show\n"
    "answers = load_study(study).read(period=period, where=where)",
    """table = pd.DataFrame({"label": ["Overall"], "metric": ["mean"], "n": [len(answers)],
    "estimate": [answers["overall"].mean()], "ci_low": [1.0], "ci_high": [9.0], "unit": ["score"]})
show(table, name="outcomes")""",
    'show(plot_intervals(table), name="chart", alt="One dot and its line.")',
    """show(pd.DataFrame([{"label": "NPS", "period": "2025-Q4", "before": "2025-Q3", "estimate": -8.25,
    "ci_low": -12.0, "ci_high": -4.0, "p_adjusted": 0.001, "unit": "points",
    "sentence": "NPS fell by 8 points."},
    {"label": "CSAT", "period": "2025-Q4", "before": "2025-Q3", "estimate": -1.5, "ci_low": -3.0,
    "ci_high": 1.0, "p_adjusted": 0.2, "unit": "points", "sentence": ""}]), name="changes")""",
    """from cxlab import show_answer
from cxlab.core.findings import Finding, Findings
told = [Finding(kind="answer", text="Half are satisfied", n=len(answers)), Finding(text="812 were asked")]
show_answer(Findings(tuple(told)))""",
    "print('mean', answers['overall'].mean())",
)
#: Sums in linear algebra, whose last digits depend on threads and processor.
SUMS = """import numpy as np, pandas as pd
from cxlab import show
x = np.random.default_rng(1).normal(size=(700, 300))
values = np.linalg.eigvalsh(x.T @ x)
show(pd.DataFrame({"number": range(300), "estimate": values}), name="sums")
print(values[0])"""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A report in every format, its notebook, and its folder as a second run makes it."""
    folder = tmp_path_factory.mktemp("original")
    path = write_notebook(folder, *CELLS)
    formats = ["xlsx", "pptx", *(["pdf"] if find_browser() else [])]
    run = run_reports("demo", period="2025-Q4", notebooks=[str(path)], formats=formats,
                      output=folder / "out")  # fmt: skip
    report = run.pages[0].parent
    again = verify._run(path, read_manifest(report), folder, folder, 600)
    return report, again


def test_no_file_says_where_on_this_machine_it_was_made(original):
    report, _ = original
    place = str(report.parents[3]).encode()
    files = [path for path in report.rglob("*") if path.is_file()]
    assert not [path.name for path in files if place in path.read_bytes()]
    assert not [path.name for path in files if b"(file:" in path.read_bytes()]


@pytest.fixture
def report(original, tmp_path, monkeypatch):
    """A copy of the report to forge, at the same depth; running again is taken from the other."""
    place = tmp_path / "a" / "out" / "demo" / "2025-Q4" / "9-trial"
    shutil.copytree(original[0], place)
    shutil.copytree(original[0].parents[3], tmp_path / "a", dirs_exist_ok=True)

    def run(source, manifest, own, *_):
        shutil.copytree(original[1], own / "report")
        return own / "report"

    monkeypatch.setattr(verify, "_run", run)
    return place


def write_notebook(folder, *cells, **options):
    return write_cells(folder, *cells, head="# A trial\n\nOf 812 answers.", **options)


def edit(path, old, new):
    text = path.read_text()
    assert old in text, (path.name, old)
    path.write_text(text.replace(old, new))


def edit_part(path, part, old, new):
    """Replace text in one part of an Office file."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    found = [name for name in parts if re.fullmatch(part, name) and old.encode() in parts[name]]
    parts[found[0]] = parts[found[0]].replace(old.encode(), new.encode(), 1)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


def forge_notebook(folder):
    edit(folder / "9-trial.ipynb", "812 answers", "9812 answers")


def forge_output(folder):
    path = folder / "9-trial.ipynb"
    book = nbformat.read(path, as_version=4)
    (output,) = [one for cell in book.cells for one in cell.get("outputs", ())
                 if "outcomes" not in str(one) and "Overall" in str(one) and "text/html" in one.get("data", {})]  # fmt: skip
    output.data = {kind: re.sub(r"\d\.\d+", "8.88", text) for kind, text in output.data.items()}
    nbformat.write(book, path)


def forge_picture(folder):
    path = folder / "9-trial.ipynb"
    book = nbformat.read(path, as_version=4)
    for cell in book.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                image = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                image.paste((255, 0, 0), (10, 10, 14, 14))
                drawn = io.BytesIO()
                image.save(drawn, "png")
                output.data["image/png"] = base64.b64encode(drawn.getvalue()).decode()
    nbformat.write(book, path)


def forge_pdf(folder):
    page = folder / "9-trial.html"
    honest = page.read_bytes()
    edit(page, "812 answers", "9812 answers")
    write_exports(folder, "9-trial", ["pdf"])
    page.write_bytes(honest)


def without_pdf(folder):
    """The report as if nobody had asked for its PDF: printing takes most of the time."""
    manifest = read_manifest(folder)
    (folder / "9-trial.pdf").unlink(missing_ok=True)
    manifest["formats"] = ["pptx", "xlsx"]
    refresh_page(folder, manifest)
    write_manifest(folder, manifest)


def forge_record(folder, **lines):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | lines))


FORGED = {
    "prose of the notebook": (forge_notebook, "9-trial.ipynb"),
    "output of the notebook": (forge_output, "9-trial.ipynb"),
    "picture of the notebook": (forge_picture, "9-trial.ipynb"),
    "code of the notebook": (lambda f: edit(f / "9-trial.ipynb", "[9.0]", "[9.5]"), "9-trial.ipynb"),
    "prose of the page": (lambda f: edit(f / "9-trial.html", "812 answers", "9812"), "9-trial.html"),
    "warnings of the page": (lambda f: edit(f / "9-trial.html", "<td>none</td>", "<td>9</td>"), "9-trial.html"),
    "csv": (lambda f: edit(f / "tables/outcomes.csv", "1.0,9.0", "1.5,9.0"), "tables/outcomes.csv"),
    "json": (lambda f: edit(f / "tables/outcomes.json", '"ci_low": 1.0', '"ci_low": 1.5'), "table outcomes"),
    "changes": (lambda f: edit(f / "changes.json", "-8.25", "-8.75"), "changes.json"),
    "workbook": (lambda f: edit_part(f / "9-trial.xlsx", "xl/worksheets/sheet2.xml", "<v>-8.25</v>", "<v>-8.75</v>"),
                 "9-trial.xlsx"),
    "chart of the slides": (lambda f: edit_part(f / "9-trial.pptx", r"ppt/charts/chart\d+\.xml", "<c:v>-8.25</c:v>", "<c:v>-9.25</c:v>"),
                            "9-trial.pptx"),
    "period": (lambda f: forge_record(f, period="2025-Q3"), "manifest.json"),
    "rows": (lambda f: forge_record(f, rows=9812), "manifest.json"),
    "what it is about": (lambda f: forge_record(f, about="12,345 real answers", simulated=False), "manifest.json"),
    "pdf": (forge_pdf, "9-trial.pdf"),
    "twice in a row of json": (lambda f: edit(f / "tables/outcomes.json", '"ci_low": 1.0', '"ci_low": 9.0,\n  "ci_low": 1.0'),
                               "tables/outcomes.json"),
    "no table": (lambda f: (f / "tables/outcomes.csv").unlink(), "tables/outcomes.csv"),
    "findings": (lambda f: edit(f / "tables/findings.json", "812 were", "9812 were"), "findings"),
    "no findings": (lambda f: (f / "tables/findings.json").unlink(), "tables/findings.json"),
    "another table": (lambda f: (f / "tables/more.csv").write_text("n\n9\n"), "tables/more.csv"),
}  # fmt: skip


@pytest.mark.parametrize("digests", ["kept", "forged too"])
@pytest.mark.parametrize("what", FORGED)
def test_a_forged_digit_is_found_by_name(what, digests, report):
    if what == "pdf" and not find_browser():
        pytest.skip("no Chromium is installed")
    if what != "pdf":
        without_pdf(report)
    forge, name = FORGED[what]
    page = (report / "9-trial.html").read_bytes()
    forge(report)
    if digests == "forged too":
        write_manifest(report, json.loads((report / "manifest.json").read_text()))
    forged_page = (report / "9-trial.html").read_bytes()
    found = verify_report(report)
    assert not found.same
    named = [line for line in found.differences if name in line]
    if what == "json" and digests == "kept":
        named = [line for line in found.differences if "tables/outcomes.json" in line]
    assert named, str(found)
    if "page" not in what:
        # nothing else is blamed
        assert not [line for line in found.differences if line.startswith("9-trial.html")], str(
            found
        )
    assert (report / "9-trial.html").read_bytes() == forged_page
    assert (forged_page == page) or "page" in what


def test_all_that_follows_from_a_forged_notebook_is_found(report):
    # as in the report that was: 61.50 in the outputs became 61.50 on the page
    forge_output(report)
    manifest = read_manifest(report)
    refresh_page(report, manifest)
    write_manifest(report, manifest)
    assert "8.88" in (report / "9-trial.html").read_text()
    found = verify_report(report)
    assert any("9-trial.ipynb, cell" in line and "8.88" in line for line in found.differences)
    assert any(line.startswith("9-trial.html") for line in found.differences)
    assert "every table came out the same" not in (report / "9-trial.html").read_text()


def test_all_that_follows_from_a_forged_table_is_found(report):
    for kind, old, new in (
        ("csv", "1.0,9.0", "1.5,9.0"),
        ("json", '"ci_low": 1.0', '"ci_low": 1.5'),
    ):
        edit(report / f"tables/outcomes.{kind}", old, new)
    manifest = read_manifest(report)
    finish_report(report, nbformat.read(report / "9-trial.ipynb", as_version=4), manifest)
    found = verify_report(report).differences
    assert "table outcomes, row 1 (Overall), column ci_low: was 1.5, is 1.0" in found
    assert any("9-trial.xlsx" in line for line in found)


def test_the_honest_report_is_the_same_also_when_verified_again(report):
    for _ in range(2):
        found = verify_report(report)
        assert found.same, str(found)
        assert found.notes == []
        assert not found.near
    assert "every table came out the same" in (report / "9-trial.html").read_text()
    edit(report / "verified.json", '"tables": 2', '"tables": 9')
    assert "verified.json is not what cxlab verify wrote" in verify_report(report).differences
    assert verify_report(report).same


def test_a_forged_page_of_an_unchanged_report_is_made_again(original, tmp_path):
    folder = tmp_path / "x"
    shutil.copytree(original[0].parents[3], folder)
    (page,) = folder.glob("out/**/9-trial.html")
    honest = page.read_text()
    edit(page.with_suffix(".ipynb"), "812 answers", "9812 answers")
    edit(page, "812 answers", "9812 answers")
    (run,) = run_reports("demo", period="2025-Q4", notebooks=[str(folder / "9-trial.ipynb")],
                         output=folder / "out").outcomes  # fmt: skip
    assert run.state == "made"
    assert "9812" not in page.read_text()
    assert "812 answers" in honest


@pytest.fixture(scope="module")
def sums(tmp_path_factory):
    """A report of sums, made from a study named from the working folder."""
    folder = tmp_path_factory.mktemp("sums")
    shutil.copytree(load_study("demo").path.parent, folder / "mine")
    write_notebook(
        folder, SUMS, "from cxlab import load_study\nprint(len(load_study(study).read()))"
    )
    made = cxlab(
        folder, "report", "mine/study.toml", "--notebook", "9-trial.ipynb", "--output", "out"
    )
    assert made.returncode == 0, made.stderr
    (page,) = folder.glob("out/**/9-trial.html")
    return folder, page.parent


def cxlab(folder, *words, **environment):
    command = [sys.executable, "-m", "cxlab.cli", *map(str, words)]
    command[1:3] = ["-c", "from cxlab.cli import main; main()"]
    # kernels of the tests' own server would compute in its environment
    mine = {name: value for name, value in os.environ.items() if name != SERVER_VARIABLE}
    return subprocess.run(command, cwd=folder, env={**mine, **environment},
                          capture_output=True, text=True, check=False)  # fmt: skip


def test_two_settings_of_threads_and_working_folders_are_the_same(sums, tmp_path, monkeypatch):
    folder, report = sums
    threads = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    found = cxlab(tmp_path, "verify", report, **threads)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith("same: 1 tables of ")
    for place, named in ((folder, report.relative_to(folder)), (report, ".")):
        monkeypatch.chdir(place)
        assert verify_report(named).same


def test_a_moved_project_is_found_from_its_report(sums, tmp_path):
    folder, report = sums
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    found = verify_report(moved / report.relative_to(folder))
    assert found.same, str(found)
    assert found.notes == []


def test_another_processor_is_told_from_a_difference(sums, tmp_path):
    if "OpenBLAS" not in read_manifest(sums[1])["processor"]:
        pytest.skip("another processor is played by OpenBLAS")
    found = cxlab(tmp_path, "verify", sums[1], OPENBLAS_CORETYPE="Nehalem")
    assert found.returncode == 0, found.stdout
    assert "same to 1e-9 (another processor): 1 tables" in found.stdout
    assert "note: processor was " in found.stdout
    page = (sums[1] / "9-trial.html").read_text()
    assert "every table came out the same to 1e-9 (another processor)" in page
    csv = sums[1] / "tables/sums.csv"
    honest = csv.read_text()
    number, value = honest.splitlines()[7].split(",")
    edit(csv, f"{number},{value}", f"{number},{float(value) * (1 + 1e-7)!r}")
    write_manifest(sums[1], read_manifest(sums[1]))
    found = cxlab(tmp_path, "verify", sums[1], OPENBLAS_CORETYPE="Nehalem")
    csv.write_text(honest)
    write_manifest(sums[1], read_manifest(sums[1]))
    assert found.returncode == 1
    lines = [line for line in found.stdout.splitlines() if line.startswith("differs")]
    assert lines[0].startswith(f"differs: tables/sums.csv, row 7 ({number}), column estimate: was ")


def test_what_no_two_runs_have_in_common_is_no_difference(tmp_path):
    cells = ["import warnings; warnings.warn('mind')", "print(object())",
             "from tqdm import tqdm\nfor _ in tqdm(range(3)): pass"]  # fmt: skip
    path = write_notebook(tmp_path, *cells)
    page = build_report(path, tmp_path / "out")
    text = page.with_suffix(".ipynb").read_text()
    assert re.search(r"ipykernel_\d+", text)
    assert "it/s" in text
    found = verify_report(tmp_path / "out")
    assert found.same, str(found)
    assert "mind" in page.read_text()
    edit(page.with_suffix(".ipynb"), "mind", "mine")
    assert not verify_report(tmp_path / "out").same


def test_numbers_are_near_or_not():
    assert same_text("a 0.1 b -3e-17", "a 0.10000000000000001 b 4e-17", exact=False)
    assert not same_text("a 0.1", "b 0.1", exact=False)
    assert not same_text("a 0.1", "a 0.10000001", exact=False)
    assert not same_text("a 1", "a 1 2", exact=False)
    old = [{"x": 100.0}, {"x": 1e-14}]
    assert not list(compare_tables(old, [{"x": 100.0}, {"x": -2e-14}], "t", exact=False))
    assert list(compare_tables(old, [{"x": 100.0}, {"x": 1e-8}], "t", exact=False))
    assert list(compare_tables([{"x": None}], [{"x": 0.0}], "t", exact=False))
