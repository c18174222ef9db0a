"""Many reports with one command: which, side by side, unchanged ones left, what changed."""

import io
import json
import re
import xml.etree.ElementTree as ElementTree
import zipfile

import pytest
from bs4 import BeautifulSoup
from click.testing import CliRunner
from pptx import Presentation

from cxlab import load_study
from cxlab.cli import main
from cxlab.report.build import About, Job, make_report, used_parameters
from cxlab.report.compare import compare_tables
from cxlab.report.exports import find_browser
from cxlab.report.factory import runs
from cxlab.report.factory.requests import Request, plan_reports, read_plan
from cxlab.report.factory.runs import run_requests
from cxlab.report.factory.workers import make_reports
from cxlab.report.manifest import fingerprint
from cxlab.report.notebooks import code_cells, read_needs, safe_name, unmet
from cxlab.report.records import read_changes
from cxlab.report.verify import verify_report
from tests.runs import PARAMETERS, run_reports
from tests.runs import write_notebook as write_cells

pytestmark = pytest.mark.usefixtures("warm_reports")

READ = """from cxlab import load_study, show
import pandas as pd
answers = load_study(study).read(period=period, where=where)"""
COUNT = 'show(pd.DataFrame({"group": ["all"], "n": [len(answers)], "mean": [answers["overall"].mean()]}), name="counts")'
OUTCOMES = """show(pd.DataFrame({"label": ["Overall"], "metric": ["mean"], "n": [len(answers)],
    "estimate": [answers["overall"].mean()], "ci_low": [1.0], "ci_high": [9.0], "unit": ["score"]}), name="outcomes")"""


def changes(**columns):
    row = {"label": "NPS", "period": "2025-Q4", "before": "2025-Q3", "estimate": -8.0, "ci_low": -12.0,
           "ci_high": -4.0, "p_adjusted": 0.001, "unit": "points", "sentence": "NPS fell by 8 points."}  # fmt: skip
    return f'show(pd.DataFrame([{row | columns!r}]), name="changes")'


def write_notebook(folder, *cells, **options):
    return write_cells(folder, READ, *cells, **options)


def command(*arguments):
    return CliRunner().invoke(main, ["report", *map(str, arguments)])


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    """2 periods × 3 segments × 3 notebooks, of which one fails and one is never met."""
    folder = tmp_path_factory.mktemp("matrix")
    notebooks = [
        write_notebook(folder, COUNT, OUTCOMES, name="7-good"),
        write_notebook(folder, "1 / 0", name="8-bad"),
        write_notebook(folder, COUNT, name="9-unmet", needs=["metric:nps", "periods>=99"]),
    ]
    arguments = ["demo", "--period", "2025-Q3", "--period", "2025-Q4", "--each", "segment",
                 "--output", folder / "reports", "--jobs", "2"]  # fmt: skip
    for path in notebooks:
        arguments += ["--notebook", path]
    return folder, arguments, command(*arguments)


class TestMatrix:
    def test_exit_code_says_how_many_failed(self, matrix):
        assert matrix[2].exit_code == 6

    def test_every_group_of_every_period_has_its_report(self, matrix):
        made = {p.parent.parent.relative_to(matrix[0] / "reports/demo").as_posix()
                for p in matrix[0].glob("reports/demo/*/*/7-good/7-good.html")}  # fmt: skip
        assert made == {f"{period}/segment-{segment}" for period in ("2025-Q3", "2025-Q4")
                        for segment in ("Business", "Leisure", "Family")}  # fmt: skip

    def test_reports_are_of_their_own_group(self, matrix):
        study = load_study("demo")
        for segment in ("Business", "Leisure", "Family"):
            path = matrix[0] / f"reports/demo/2025-Q4/segment-{segment}/7-good/tables/counts.json"
            expected = study.read(period="2025-Q4", where={"segment": segment})
            (row,) = json.loads(path.read_text())
            assert row["n"] == len(expected)
            assert row["mean"] == expected["overall"].mean()

    def test_states_and_what_was_left_out_are_said(self, matrix):
        output = matrix[2].output
        assert output.count("failed: 8-bad failed in cell 3: ZeroDivisionError") == 6
        assert "left out: 9-unmet: demo 2025-Q4 lacks 99 periods" in output
        assert "6 made, 0 unchanged, 6 failed, 2 left out" in output

    def test_index_has_every_set_and_what_failed(self, matrix):
        index = (matrix[0] / "reports/index.html").read_text()
        soup = BeautifulSoup(index, "html.parser")
        assert len(soup.select(".report p .failed")) == 6
        assert len(soup.select("h2, .card > details")) == 6
        for link in soup.main.find_all("a"):
            assert (matrix[0] / "reports" / link["href"]).exists()

    def test_second_run_makes_only_what_failed(self, matrix):
        page = matrix[0] / "reports/demo/2025-Q4/segment-Family/7-good/7-good.html"
        before = page.stat().st_mtime_ns
        again = command(*matrix[1])
        assert "0 made, 6 unchanged, 6 failed" in again.output
        assert page.stat().st_mtime_ns == before


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """One report, made once, and the request for it."""
    folder = tmp_path_factory.mktemp("single")
    path = write_notebook(folder, COUNT, changes())
    request = Request(study="demo", periods=["2025-Q4"], notebooks=[str(path)])
    run = run_requests([request], output=folder / "reports")
    assert not run.failures
    return folder, path, request, run


class TestUnchanged:
    def test_unchanged_is_left_and_force_makes_it(self, single):
        folder, _, request, _ = single
        assert run_requests([request], output=folder / "reports").outcomes[0].state == "unchanged"
        forced = run_requests([request], output=folder / "reports", force=True)
        assert forced.outcomes[0].state == "made"

    def test_fingerprint_sees_notebook_parameters_and_data(self, single, tmp_path):
        _, path, _, _ = single
        data = tmp_path / "answers.csv"
        data.write_text("1")
        marks = [fingerprint(path, {"a": 1}, [data]), fingerprint(path, {"a": 2}, [data])]
        data.write_text("2")
        marks.append(fingerprint(path, {"a": 1}, [data]))
        other = write_notebook(tmp_path, "1")
        marks.append(fingerprint(other, {"a": 1}, [data]))
        assert len(set(marks)) == 4

    def test_a_lost_page_is_made_again(self, single):
        folder, _, request, run = single
        run.pages[0].unlink()
        again = run_requests([request], output=folder / "reports")
        assert again.outcomes[0].state == "made"
        assert again.pages[0].exists()

    def test_a_further_format_needs_no_new_run(self, single):
        folder, _, request, run = single
        executed = run.pages[0].with_suffix(".ipynb").stat().st_mtime_ns
        wanted = Request(**{**vars(request), "formats": ["xlsx"]})
        again = run_requests([wanted], output=folder / "reports")
        assert again.outcomes[0].state == "unchanged"
        assert run.pages[0].with_suffix(".ipynb").stat().st_mtime_ns == executed
        assert run.pages[0].with_suffix(".xlsx").exists()
        assert "9-trial.xlsx" in run.pages[0].read_text()


class TestPlan:
    def test_small_groups_get_no_report(self, tmp_path):
        study = load_study("demo")
        answers = study.read(period="2025-Q4")
        sizes = answers.groupby(study.segments[:2], observed=True).size()
        path = write_notebook(tmp_path, COUNT)
        request = Request("demo", ["2025-Q4"], each=study.segments[:2], notebooks=[str(path)])
        plan = plan_reports(request, tmp_path)
        smallest = study.definition.min_group_size
        assert len(plan.jobs) == (sizes >= smallest).sum()
        assert all("fewer than 10 answers" in line for line in plan.left_out)
        assert len(plan.left_out) == (sizes < smallest).sum()

    def test_latest_is_the_last_period_and_all_periods_is_each(self, tmp_path):
        path = str(write_notebook(tmp_path, COUNT))
        latest = plan_reports(Request("demo", ["latest"], notebooks=[path]), tmp_path)
        assert [job.about.period for job in latest.jobs] == load_study("demo").periods[-1:]
        every = plan_reports(Request("demo", all_periods=True, notebooks=[path]), tmp_path)
        assert [job.about.period for job in every.jobs] == load_study("demo").periods

    def test_groups_that_differ_by_a_sign_only_have_folders_of_their_own(self):
        assert (
            len({safe_name(text) for text in ("a/b", "a b", "a-b", "a&b", "x" * 90, "x" * 91)}) == 6
        )

    def test_needs_are_met_by_role_metric_table_and_periods(self):
        demo = load_study("demo")
        met = [
            "outcome",
            "role:touchpoint",
            "metric:nps",
            "role:nps",
            "table:transactional",
            "periods>=2",
        ]
        assert unmet(met, demo, "2025-Q4") == []
        assert unmet(["table:panel", "periods>=99"], demo, None) == ["table:panel", "periods>=99"]

    def test_airport_has_no_nps_before_2017(self, sfo):
        assert unmet(["metric:nps"], sfo, "2016") == ["metric:nps"]
        assert unmet(["metric:nps"], sfo, "2017") == []

    def test_periods_count_up_to_the_report_s_own(self, sfo):
        assert unmet(["periods>=2"], sfo, "2015") == ["periods>=2"]
        assert unmet(["periods>=2"], sfo, "2016") == []
        assert unmet(["periods>=2"], sfo, None) == []

    def test_scores_are_any_rating(self, sfo, tmp_path):
        assert unmet(["scores"], sfo, "2015") == []
        (tmp_path / "tiny.csv").write_text("who\na\n")
        text = '[study]\nname = "tiny"\ntitle = "T"\n[tables.answers]\nfile = "tiny.csv"\n'
        (tmp_path / "study.toml").write_text(f'{text}[tables.answers.columns.who]\nrole = "text"\n')
        assert unmet(["scores"], load_study(tmp_path / "study.toml"), None) == ["scores"]

    def test_driver_analysis_needs_no_nps(self, sfo, tmp_path):
        jobs = plan_reports(Request("sfo", ["2015"]), tmp_path).jobs
        # comments need scikit-learn, which is optional
        names = {job.notebook.stem for job in jobs} - {"9-verbatims"}
        assert names == {"1-answers", "2-scorecard", "3-drivers", "5-touchpoints", "6-tracking"}

    def test_misspelt_need_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="Did you mean 'touchpoint'"):
            read_needs(write_notebook(tmp_path, needs=["touchpont"]))

    def test_nothing_to_make_is_said(self, tmp_path):
        path = write_notebook(tmp_path, needs=["periods>=99"])
        with pytest.raises(ValueError, match="at least one report to make; 9-trial: demo lacks"):
            plan_reports(Request("demo", notebooks=[str(path)]), tmp_path)

    def test_plan_file_is_read(self, tmp_path):
        plan = tmp_path / "reports.toml"
        plan.write_text(
            '[[reports]]\nstudy = "demo"\nperiods = "latest"\neach = ["segment"]\nto = ["xlsx"]\n'
            'where = { home_region = "West" }\n[reports.set]\nseed = 7\n[[reports]]\nstudy = "demo"\nperiods = "all"\n'
        )
        first, second = read_plan(plan)
        assert first == Request(
            "demo",
            ["latest"],
            False,
            ["segment"],
            {"home_region": "West"},
            [],
            {"seed": "7"},
            ["xlsx"],
        )
        assert second.all_periods

    @pytest.mark.parametrize(
        ("text", "message"),
        [("", "at least one"), ("[[report]]\nstudy='demo'", "Did you mean 'reports'"),
         ("[[reports]]\nperiods='all'", "entry 1: `study` must be"), ("[[reports", "valid TOML"),
         ("a = " + "[" * 3000 + "]" * 3000, "valid TOML"),
         ("[[reports]]\nstudy='demo'\nperiod='x'", "Did you mean 'periods'"),
         ("[[reports]]\nstudy='demo'\neach=[1.5]", "`each` must be text"),
         ("[[reports]]\nstudy='demo'\nwhere=3", "`where` must be a table")],
    )  # fmt: skip
    def test_a_wrong_plan_is_refused_by_entry(self, text, message, tmp_path):
        (tmp_path / "reports.toml").write_text(text)
        with pytest.raises(ValueError, match=re.escape(message)):
            read_plan(tmp_path / "reports.toml")

    def test_two_reports_of_one_folder_are_refused(self, tmp_path):
        path = write_notebook(tmp_path, COUNT, parameters=f"{PARAMETERS}\nseed: int = 0")
        entry = f'[[reports]]\nstudy = "demo"\nperiods = "latest"\nnotebooks = ["{path}"]\n'
        plan = tmp_path / "reports.toml"
        plan.write_text(f"{entry}[reports.set]\nseed = 1\n{entry}[reports.set]\nseed = 2\n")
        with pytest.raises(ValueError, match=r"must differ in .* got two of .*: seed = 1 and 2"):
            run_requests(read_plan(plan), output=tmp_path / "out")
        assert not (tmp_path / "out").exists()
        plan.write_text(entry + entry)
        run = run_requests(read_plan(plan), output=tmp_path / "out", progress=False)
        assert [outcome.state for outcome in run.outcomes] == ["made"]

    def test_two_notebooks_of_one_name_are_refused(self, tmp_path):
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
        paths = [str(write_notebook(tmp_path / name, COUNT)) for name in ("a", "b")]
        with pytest.raises(ValueError, match="`notebook` must be given once by each name"):
            plan_reports(Request("demo", notebooks=paths), tmp_path)

    def test_plan_runs_as_one_command(self, tmp_path):
        path = write_notebook(tmp_path, COUNT)
        (tmp_path / "reports.toml").write_text(
            f'[[reports]]\nstudy = "demo"\nperiods = "latest"\nnotebooks = ["{path}"]'
        )
        result = command("--plan", tmp_path / "reports.toml", "--output", tmp_path / "out")
        assert result.exit_code == 0
        assert "1 made" in result.output

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [(["demo", "--each", "segmnt"], "Did you mean 'segment'"), (["demo", "--to", "xls"], "Did you mean 'xlsx'"),
         ([], "`STUDY` or `--plan` must be given"), (["demo", "--plan", "x"], "only one of them"),
         (["--plan", "nowhere.toml"], "`plan` must be a file"),
         (["--plan", "x.toml", "--to", "pdf"], "`--to` must be left out with `--plan`"),
         (["demo", "--period", "2025-Q4", "--all-periods"], "`--period` must be left out with"),
         (["demo", "--set", "period=2025-Q3"], "`period` must be given as --period"),
         (["demo", "--set", 'where={"segment": "Business"}'], "`where` must be given as --where"),
         (["demo", "--set", "study=sfo"], "`study` must be given as the study of the run"),
         (["demo", "--period", "2025-Q4", "--where", "customer_id=C00086"], "at least 10 answers")],
    )  # fmt: skip
    def test_a_mistake_gets_one_sentence(self, arguments, message, tmp_path):
        result = command(*arguments, "--output", tmp_path / "out")
        assert result.exit_code == 2
        assert message in re.sub(r"\s+", " ", result.output)
        assert not (tmp_path / "out").exists()


class TestChanges:
    def test_are_in_the_file_the_page_and_the_index(self, single):
        folder, _, _, run = single
        (change,) = json.loads((run.pages[0].parent / "changes.json").read_text())
        assert change["significant"]
        assert change["drop"]
        for page in (run.pages[0], folder / "reports/index.html"):
            lines = BeautifulSoup(page.read_text(), "html.parser").select("ul.changes li")
            assert [line.get_text() for line in lines] == ["NPS fell by 8 points."]

    @pytest.mark.parametrize(
        ("columns", "significant", "drop"),
        [({}, True, True), ({"p_adjusted": 0.2}, False, False),
         ({"estimate": 8.0, "ci_low": 4.0, "ci_high": 12.0}, True, False), ({"drop": False}, True, False),
         ({"estimate": 8.0, "ci_low": 4.0, "ci_high": 12.0, "drop": True}, True, True),
         ({"estimate": None, "ci_low": None, "ci_high": None, "p_adjusted": None}, False, False)],
    )  # fmt: skip
    def test_are_judged_by_rate_and_interval(self, columns, significant, drop, tmp_path):
        row = {"label": "<b>", "period": "2", "before": "1", "estimate": -8.0, "ci_low": -12.0, "ci_high": -4.0,
               "p_adjusted": 0.001, "unit": "points", "sentence": None}  # fmt: skip
        (tmp_path / "tables").mkdir()
        (tmp_path / "tables/changes.json").write_text(json.dumps([row | columns]))
        (change,) = read_changes(tmp_path)
        assert (change["significant"], change["drop"]) == (significant, drop)
        assert change["sentence"].startswith("<b>: ")

    def test_fail_on_drop_has_an_exit_code_of_its_own(self, single):
        folder, path, _, _ = single
        arguments = [
            "demo",
            "--period",
            "2025-Q4",
            "--notebook",
            path,
            "--output",
            folder / "reports",
        ]
        assert command(*arguments).exit_code == 0
        result = command(*arguments, "--fail-on-drop")
        assert result.exit_code == 120
        assert "drop: NPS fell by 8 points." in result.output


class TestVerify:
    @pytest.fixture
    def study(self, tmp_path):
        """A copy of the demo study whose data may be changed."""
        source = load_study("demo").path.parent
        folder = tmp_path / "mine"
        folder.mkdir()
        for path in source.iterdir():
            if path.is_file():
                (folder / path.name).write_bytes(path.read_bytes())
        return folder

    def test_same_report_comes_out_the_same(self, single):
        _, _, _, run = single
        found = verify_report(run.pages[0].parent)
        assert found.same, str(found)
        assert "every table came out the same" in run.pages[0].read_text()

    def test_a_changed_digit_is_named_by_table_and_cell(self, study, tmp_path):
        path = write_notebook(tmp_path, COUNT)
        run = run_reports(
            str(study / "study.toml"),
            period="2025-Q4",
            notebooks=[str(path)],
            output=tmp_path / "out",
        )
        data = study / "relationship.csv"
        answers = load_study(study / "study.toml").read()
        chosen = answers[(answers["period"] == "2025-Q4") & (answers["overall"] == 7)].iloc[0]
        lines = data.read_text().splitlines(keepends=True)
        columns = lines[0].rstrip("\n").split(",")
        for number, line in enumerate(lines):
            cells = line.rstrip("\n").split(",")
            if cells[columns.index("response_id")] == str(chosen["response_id"]):
                cells[columns.index("overall")] = "8"
                lines[number] = ",".join(cells) + "\n"
        data.write_text("".join(lines))
        result = CliRunner().invoke(main, ["verify", str(run.pages[0].parent)])
        assert result.exit_code == 1
        assert "input relationship.csv has changed" in result.output
        assert "differs: table counts, row 1 (all), column mean: was " in result.output
        assert "column n" not in result.output

    def test_a_changed_file_of_the_report_is_named(self, study, tmp_path):
        path = write_notebook(tmp_path, COUNT)
        run = run_reports(str(study / "study.toml"), period="2025-Q4", notebooks=[str(path)],
                          output=tmp_path / "out")  # fmt: skip
        folder = run.pages[0].parent
        table = folder / "tables/counts.csv"
        whole = table.read_text()
        table.write_text(whole.replace("all,", "all,9"))
        (line,) = verify_report(folder).differences[:1]
        assert line == "tables/counts.csv is not what the report wrote"
        table.write_text(whole)
        assert verify_report(folder).same
        for spoilt in ("", "[1]"):
            (folder / "tables/counts.json").write_text(spoilt)
            found = verify_report(folder).differences
            assert "tables/counts.json is not what the report wrote" in found

    def test_inputs_of_one_name_are_told_apart(self, tmp_path):
        text = TINY.replace('file = "tiny.csv"', 'files = { 2024 = "a/x.csv", 2025 = "b/x.csv" }')
        (tmp_path / "study.toml").write_text(text)
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.csv").write_text("s,kind\n" + "9,a\n2,b\n" * 20)
        show = 'show(pd.DataFrame({"group": ["all"], "n": [len(answers)]}), name="counts")'
        path = write_notebook(tmp_path, show)
        run = run_reports(str(tmp_path / "study.toml"), notebooks=[str(path)],
                          output=tmp_path / "out")  # fmt: skip
        folder = run.pages[0].parent
        names = [
            one["name"] for one in json.loads((folder / "manifest.json").read_text())["inputs"]
        ]
        assert names == ["study.toml", "a/x.csv", "b/x.csv"]
        (tmp_path / "a/x.csv").write_text("s,kind\n" + "9,a\n3,b\n" * 20)
        assert "input a/x.csv has changed" in verify_report(folder).notes

    def test_tables_are_compared_cell_by_cell(self):
        old = [{"group": "a", "x": 1.0, "n": 1}, {"group": "b", "x": None, "n": 2}]
        assert list(compare_tables(old, old, "table t")) == []
        near = [{**old[0], "x": 1.0 + 1e-12}, old[1]]
        assert len(list(compare_tables(old, near, "table t"))) == 1
        assert list(compare_tables(old, near, "table t", exact=False)) == []
        assert list(compare_tables(old, old[:1], "table t")) == ["table t: had 2 rows, has 1"]
        assert "had columns group, x, n; has group" in next(
            compare_tables(old, [{"group": "a"}] * 2, "table t")
        )

    def test_a_folder_without_a_report_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="`folder` must hold a report"):
            verify_report(tmp_path)


EVIL = [
    '=HYPERLINK("http://example.org")',
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "http://example.org",
    "<script>",
    "{=1}",
]


@pytest.fixture(scope="module")
def workbook(tmp_path_factory):
    """Tables whose texts would be formulas and links."""
    folder = tmp_path_factory.mktemp("workbook")
    evil = f'show(pd.DataFrame({{"group": {EVIL!r}, "estimate": [1.5, None, 3, 4, 5, 6, 7]}}), name="evil")'
    empty = 'show(pd.DataFrame({"group": [], "n": []}), name="no-rows")'
    path = write_notebook(folder, evil, empty)
    about = About(study_title="=1+1", about="@evil", selection="=cmd()")
    job = Job(path, folder / "out", used_parameters(path, {"study": "demo"}), about, ("xlsx",))
    make_report(job)
    with zipfile.ZipFile(folder / "out" / "9-trial.xlsx") as book:
        yield book


class TestWorkbook:
    def test_has_a_sheet_for_every_table(self, workbook):
        names = re.findall(r'<sheet name="([^"]+)"', workbook.read("xl/workbook.xml").decode())
        assert names == ["Answer", "evil", "no-rows"]

    def test_nothing_from_the_data_is_a_formula_or_a_link(self, workbook):
        for name in workbook.namelist():
            text = workbook.read(name).decode(errors="replace")
            assert "<f>" not in text, name
            assert "<hyperlink " not in text, name
        shared = ElementTree.fromstring(workbook.read("xl/sharedStrings.xml"))
        assert set(EVIL) <= {element.text for element in shared.iter()}

    def test_numbers_are_numbers_and_hidden_cells_are_empty(self, workbook):
        sheet = workbook.read("xl/worksheets/sheet2.xml").decode()
        # below the headers in words and the columns' own names
        assert re.search(r'<c r="B3" s="\d+"><v>1.5</v></c>', sheet)
        assert 'r="B4"' not in sheet


TINY = """
[study]
name = "tiny"
title = "Tiny"
[scales.likelihood]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]
[tables.answers]
file = "tiny.csv"
[tables.answers.columns.s]
role = "outcome"
scale = "likelihood"
[tables.answers.columns.kind]
role = "segment"
"""
HIDDEN = """from cxlab import scorecard
survey = load_study(study)
show(scorecard(answers, survey.metrics("outcome"), by=survey.segments), name="by-segment")"""


def test_reports_of_groups_do_not_give_a_hidden_group_back(tmp_path):
    lines = ["9,a"] * 120 + ["9,b"] * 6 + ["2,c"] * 80
    (tmp_path / "tiny.csv").write_text("s,kind\n" + "\n".join(lines) + "\n")
    (tmp_path / "study.toml").write_text(TINY)
    path = write_notebook(tmp_path, 'show(answers.describe(), name="x")')
    request = Request(str(tmp_path / "study.toml"), each=["kind"], notebooks=[str(path)])
    plan = plan_reports(request, tmp_path / "out")
    assert [job.about.selection for job in plan.jobs] == ["kind = a"]
    assert plan.left_out == [
        "kind = b: fewer than 10 answers",
        "kind = c: the whole less the other groups would give a smaller one back",
    ]
    # rows of no group hide b as well as another group would
    lines += ["5,"] * 30
    (tmp_path / "tiny.csv").write_text("s,kind\n" + "\n".join(lines) + "\n")
    plan = plan_reports(request, tmp_path / "out")
    assert [job.about.selection for job in plan.jobs] == ["kind = a", "kind = c"]


def test_groups_that_are_hidden_are_hidden_in_every_export(tmp_path):
    lines = ["9,a"] * 120 + ["3,a"] * 80 + ["9,b"] * 6 + ["9,c"] * 50 + ["2,c"] * 30
    (tmp_path / "tiny.csv").write_text("s,kind\n" + "\n".join(lines) + "\n")
    (tmp_path / "study.toml").write_text(TINY)
    path = write_notebook(tmp_path, HIDDEN)
    formats = ["xlsx", "pptx", *(["pdf"] if find_browser() else [])]
    run = run_reports(
        str(tmp_path / "study.toml"),
        notebooks=[str(path)],
        formats=formats,
        output=tmp_path / "out",
    )
    folder = run.pages[0].parent
    rows = json.loads((folder / "tables/by-segment.json").read_text())
    hidden = [number for number, row in enumerate(rows) if row["group"] in ("b", "c")]
    with zipfile.ZipFile(folder / "9-trial.xlsx") as book:
        sheet = book.read("xl/worksheets/sheet2.xml").decode()
    columns = list(rows[0])
    for number in hidden:
        for column in ("n", "estimate", "ci_low", "ci_high", "unweighted", "n_missing"):
            assert rows[number][column] is None
            cell = f"{chr(ord('A') + columns.index(column))}{number + 3}"
            assert f'r="{cell}"' not in sheet
    slides = Presentation(folder / "9-trial.pptx").slides
    charts = [shape.chart for slide in slides for shape in slide.shapes if shape.has_chart]
    names = [str(name) for chart in charts for name in chart.plots[0].categories]
    assert any("everyone" in name for name in names)
    assert not [name for name in names if " b (" in name or " c (" in name]
    if "pdf" in formats:
        assert (folder / "9-trial.pdf").read_bytes().startswith(b"%PDF")


def test_pdf_without_chromium_is_said_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = command("demo", "--to", "pdf", "--output", tmp_path / "out")
    assert result.exit_code == 2
    assert "pdf needs Chromium; none was found" in result.output


def test_dask_that_is_not_there_is_said(tmp_path):
    path = write_notebook(tmp_path, COUNT)
    job = Job(path, tmp_path / "out", used_parameters(path, {}), About())
    with pytest.raises(ValueError, match=r"Dask is not installed|must be the address of a Dask"):
        make_reports([job], backend="dask")


@pytest.fixture(scope="module")
def cluster():
    """Starts a Dask cluster of two workers, of so many threads each."""
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    options = {"n_workers": 2, "dashboard_address": "127.0.0.1:0", "host": "127.0.0.1"}

    def start(threads):
        return distributed.LocalCluster(threads_per_worker=threads, **options)

    return start


def test_a_dask_cluster_makes_the_reports_and_keeps_failures_apart(cluster, tmp_path):
    good = write_notebook(tmp_path, COUNT, name="7-good")
    bad = write_notebook(tmp_path, "1 / 0", name="8-bad")
    chosen = ["--notebook", good, "--notebook", bad, "--each", "segment", "--period", "2025-Q4"]
    with cluster(1) as workers:
        arguments = ["--backend", "dask", "--scheduler", workers.scheduler_address]
        result = command("demo", *chosen, *arguments, "--output", tmp_path / "out")
    assert result.exit_code == 3, result.output
    assert "3 made, 0 unchanged, 3 failed" in result.output
    local = command("demo", *chosen[:2], *chosen[4:], "--output", tmp_path / "local")
    assert local.exit_code == 0, local.output
    pages = sorted((tmp_path / "local").rglob("counts.csv"))
    assert len(pages) == 3
    for page in pages:
        twin = tmp_path / "out" / page.relative_to(tmp_path / "local")
        assert twin.read_bytes() == page.read_bytes()


def test_a_dask_cluster_with_threads_is_refused(cluster, tmp_path):
    path = write_notebook(tmp_path, COUNT)
    jobs = [Job(path, tmp_path / str(i), used_parameters(path, {}), About()) for i in range(2)]
    with cluster(2) as workers, pytest.raises(ValueError, match="one thread each.*got 2"):
        make_reports(jobs, backend="dask", scheduler=workers.scheduler_address)


@pytest.fixture(scope="module")
def deck(tmp_path_factory):
    """Slides of a report: an evil name, a hidden row, two metrics, a table without figures."""
    folder = tmp_path_factory.mktemp("slides")
    path = write_notebook(
        folder,
        f"""rows = [{{"label": name, "metric": "nps", "unit": "points", "n": 20, "estimate": 5.0,
    "ci_low": -3.0, "ci_high": 15.0}} for name in {EVIL!r}]
rows += [{{"label": "hidden", "metric": "nps", "unit": "points"}}, dict(rows[0], metric="mean", label="a")]
show(pd.DataFrame(rows), name="figures")""",
        COUNT,
    )
    run = run_reports("demo", notebooks=[str(path)], formats=["pptx"], output=folder / "out")
    return Presentation(run.pages[0].with_suffix(".pptx"))


class TestSlides:
    def charts(self, deck):
        return [shape.chart for slide in deck.slides for shape in slide.shapes if shape.has_chart]

    def test_a_chart_for_each_metric_and_no_hidden_row(self, deck):
        assert "SIMULATED" in deck.slides[0].shapes[1].text_frame.text
        charts = self.charts(deck)
        # one bar alone compares nothing
        assert [len(chart.plots[0].categories) for chart in charts] == [len(EVIL)]
        assert list(charts[0].plots[0].series[0].values) == [5.0] * len(EVIL)

    def test_intervals_are_error_bars_within_the_scale(self, deck):
        chart = self.charts(deck)[0]
        xml = chart._chartSpace.xml
        lengths = [
            re.findall(rf"<c:{side}>.*?<c:v>([\d.]+)</c:v>", xml, re.S)
            for side in ("plus", "minus")
        ]
        assert lengths == [["10.0"], ["8.0"]]
        assert chart.value_axis.minimum_scale <= -3.0
        assert chart.value_axis.maximum_scale >= 15.0

    def test_the_spreadsheet_behind_holds_text_only(self, deck):
        for chart in self.charts(deck):
            with zipfile.ZipFile(io.BytesIO(chart.part.chart_workbook.xlsx_part.blob)) as book:
                for name in book.namelist():
                    text = book.read(name).decode(errors="replace")
                    assert "<f>" not in text, name
                    assert "<hyperlink " not in text, name


class TestProgress:
    def test_the_bar_counts_cells_and_ends_full(self, tmp_path, monkeypatch):
        counted = []

        class Bar(runs.tqdm):
            def update(self, n=1):
                counted.append(n)
                return super().update(n)

        monkeypatch.setattr(runs, "tqdm", Bar)
        good = write_notebook(tmp_path, COUNT, "1", name="7-good")
        bad = write_notebook(tmp_path, "1 / 0", "2", "3", name="8-bad")
        request = Request(study="demo", periods=["2025-Q4"], notebooks=[str(good), str(bad)])
        run_requests([request], output=tmp_path / "out", n_jobs=2)
        total = code_cells(good) + code_cells(bad)
        # what a failed report did not run comes at once
        assert sum(counted) == total
        assert counted.count(1) >= code_cells(good)
        run_requests([request], output=tmp_path / "out", n_jobs=1)
        assert sum(counted) == 2 * total

    def test_answers_and_drops_are_the_last_lines(self, tmp_path):
        said = """from cxlab import show_answer
from cxlab.core.findings import Finding, Findings
show_answer(Findings((Finding(kind="answer", text="The target is missed", certainty="clear"),)))"""
        path = write_notebook(tmp_path, said, changes(), name="7-good")
        arguments = [
            "demo",
            "--period",
            "2025-Q4",
            "--notebook",
            path,
            "--output",
            tmp_path / "out",
        ]
        lines = command(*arguments).output.splitlines()
        assert lines[-4:-1] == [
            "answer: 7-good (2025-Q4): The target is missed [clear]",
            "drop: NPS fell by 8 points.",
            "1 made, 0 unchanged, 0 failed, 0 left out",
        ]

    @pytest.mark.parametrize("words", [[], ["study"], ["data"], ["report"], ["study", "draft"]])
    def test_help_is_whole(self, words):
        help_text = CliRunner().invoke(main, [*words, "--help"]).output
        assert "..." not in re.sub(r"Usage: .*|=FILE \.\.\.", "", help_text)
