"""A user's own notebook: it declares what it takes, and its page says what only the page has."""

import json
import re

import matplotlib.pyplot as plt
import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cxlab import (
    compare_tnps_rnps,
    drivers,
    load_study,
    plot_control_chart,
    plot_driver_map,
    plot_grid,
    plot_intervals,
    plot_runs,
    plot_waterfall,
    programme_tables,
)
from cxlab.report.factory.requests import Request, plan_reports
from cxlab.report.verify import verify_report
from tests.runs import run_reports

pytestmark = pytest.mark.usefixtures("warm_reports")

ANALYSIS = """import cxlab as cx
import pandas as pd
survey = cx.load_study(study)
answers = survey.read(period=period)
cx.nps(answers, "recommend", by=group, design=survey.design)"""
OWN_TABLE = """cx.show(cx.nps(answers, "recommend", by=group), name="by-group")
cx.show(cx.plot_intervals(cx.nps(answers, "recommend", by=group), label="group"), name="c", alt="x")
cx.show(pd.DataFrame({"a": []}), name="none")"""
OWN_CHART = """ax = answers.groupby(group, observed=True)["recommend"].mean().plot.barh()"""


@pytest.fixture
def own(tmp_path):
    """Writes a notebook with the parameters cell and cells of one's own."""

    def write(parameters, *cells, name="business-vs-leisure"):
        head = new_code_cell(parameters, metadata={"tags": ["parameters"]})
        code = [new_code_cell(cell) for cell in cells]
        path = tmp_path / f"{name}.ipynb"
        nbformat.write(new_notebook(cells=[new_markdown_cell("# Own"), head, *code]), path)
        return path

    return write


def test_parameters_without_types_and_without_where_make_a_report(own, tmp_path):
    path = own('study = "demo"\nperiod = None\ngroup = "segment"', ANALYSIS, OWN_TABLE, OWN_CHART)
    run = run_reports("demo", period="2025-Q4", notebooks=[str(path)], formats=["xlsx"],
                      settings={"group": "home_region"}, output=tmp_path / "out")  # fmt: skip
    assert not run.failures
    folder = run.pages[0].parent
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["parameters"] == {"study": "demo", "period": "2025-Q4", "group": "home_region"}
    # the table of the first cell and the chart of the last reach the page only
    row = re.search(r"On the page only</th><td>([^<]*)<", run.pages[0].read_text())[1]
    assert row.startswith("2 outputs (code cell 2, 4): displayed without show()")
    assert verify_report(folder).same


def test_a_notebook_without_parameters_makes_a_report(tmp_path):
    path = tmp_path / "own.ipynb"
    nbformat.write(new_notebook(cells=[new_markdown_cell("# Own"), new_code_cell("1 + 1")]), path)
    run = run_reports("demo", notebooks=[str(path)], output=tmp_path / "out")
    assert not run.failures
    assert json.loads((run.pages[0].parent / "manifest.json").read_text())["parameters"] == {}
    assert verify_report(run.pages[0].parent).same


def test_a_page_on_which_all_is_shown_says_nothing(own, tmp_path):
    shown = "import pandas as pd\nfrom cxlab import show\nshow(pd.DataFrame({'a': [1]}), name='a')"
    run = run_reports("demo", notebooks=[str(own("n = 1", shown))], output=tmp_path / "out")
    assert "On the page only" not in run.pages[0].read_text()


@pytest.mark.parametrize(
    ("asked", "refused"),
    [({"where": {"segment": "Business"}}, "`where` must be declared by 'business-vs-leisure' to be set"),
     ({"each": ["segment"]}, "`where` must be declared by .*--where COLUMN=VALUE"),
     ({"periods": ["2025-Q4"]}, "`period` must be declared by .*got .'2025-Q4'.. Add period = None"),
     ({"all_periods": True}, "`period` must be declared by ")],
)  # fmt: skip
def test_only_what_the_user_set_is_refused(own, tmp_path, asked, refused):
    request = Request("demo", notebooks=[str(own('study = "demo"'))], **asked)
    with pytest.raises(ValueError, match=refused):
        plan_reports(request, tmp_path / "out")


def test_a_notebook_without_a_study_runs_and_is_verified(own, tmp_path):
    shown = "import pandas as pd\nfrom cxlab import show\nshow(pd.DataFrame({'a': [n]}), name='a')"
    run = run_reports("demo", notebooks=[str(own("n = 1", shown))], output=tmp_path / "out")
    assert not run.failures
    assert verify_report(run.pages[0].parent).same


def test_a_default_that_takes_no_none_names_the_report(own, tmp_path):
    path = own('study = "demo"\nperiod = "2025-Q3"\nwhere = {"segment": "Business"}')
    (job,) = plan_reports(Request("demo", notebooks=[str(path)]), tmp_path).jobs
    assert job.parameters["period"] == "2025-Q3"
    assert (job.about.period, job.about.selection) == ("2025-Q3", "segment = Business")
    assert job.output.relative_to(tmp_path).parts[:3] == ("demo", "2025-Q3", "segment-Business")
    (job,) = plan_reports(
        Request("demo", periods=["2025-Q4"], notebooks=[str(path)]), tmp_path
    ).jobs
    assert job.parameters["period"] == job.about.period == "2025-Q4"


def test_a_selection_in_words_of_its_own_is_no_selection_of_the_run(own, tmp_path):
    path = own('study = "demo"\nwhere = "segment is Business"')
    (job,) = plan_reports(Request("demo", notebooks=[str(path)]), tmp_path).jobs
    assert job.about.selection == ""


# ---------------------------------------------------------------- plots


@pytest.fixture(scope="module")
def by_group():
    survey = load_study("demo")
    answers = survey.read(period="2025-Q4")
    answers = answers[answers["segment"].isin(["Business", "Leisure"])]
    return drivers(
        answers,
        "overall",
        survey.touchpoints[:3],
        by="segment",
        replicates=20,
        labels=survey.labels,
    )


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_rows_of_several_groups_are_named_by_their_group(by_group):
    # the result itself is drawn as well as its table
    for drawn in (by_group, by_group.table):
        names = [tick.get_text() for tick in plot_intervals(drawn).get_yticklabels()]
        assert len(set(names)) == len(names) == len(by_group.table)
        assert all(name.endswith((" · Business", " · Leisure")) for name in names)


def test_a_name_that_stands_once_stays_alone():
    table = pd.DataFrame({"label": ["a", "b"], "group": ["x", "y"], "estimate": 1.0,
                          "ci_low": 0.0, "ci_high": 2.0})  # fmt: skip
    assert [tick.get_text() for tick in plot_intervals(table).get_yticklabels()] == ["a", "b"]


def test_runs_of_several_groups_are_lines_of_their_own():
    table = pd.DataFrame(
        {"group": ["x", "x", "y", "y"], "period": ["1", "2", "1", "2"], "estimate": [1.0, 2, 3, 4],
         "ci_low": 0.0, "ci_high": 5.0}
    )  # fmt: skip
    axes = plot_runs(table)
    assert [line.get_ydata().tolist() for line in axes.get_lines()] == [[1, 2], [3, 4]]
    assert [text.get_text() for text in axes.texts] == ["x 2.0", "y 4.0"]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1", "2"]
    apart = [line.get_xdata()[0] for line in axes.get_lines()]
    assert apart[0] != apart[1]
    hidden = plot_runs(table.replace({"group": {"x": "_x"}}))
    assert [text.get_text().strip() for text in hidden.texts] == ["_x 2.0", "y 4.0"]


def test_groups_that_one_chart_cannot_hold_are_refused_in_a_sentence():
    table = pd.DataFrame(
        {"group": ["x", "y"], "period": ["1", "1"], "label": ["a", "a"], "estimate": 1.0,
         "centre": 1.0, "lower": 0.0, "upper": 2.0, "signal": ""}
    )  # fmt: skip
    with pytest.raises(ValueError, match=r"must have one row a period; got '1' again"):
        plot_control_chart(table)
    with pytest.raises(ValueError, match=r"one row per `rows` and `columns`; got 'a × 1' again"):
        plot_grid(table, columns="period")


def test_a_plot_of_another_table_says_whose_it_draws(by_group):
    with pytest.raises(ValueError, match=r"Draw what cxlab.driver_map returns"):
        plot_driver_map(by_group)
    with pytest.raises(ValueError, match=r"got one without 'kind'.*it has 'label'"):
        plot_waterfall(pd.DataFrame({"label": [], "estimate": []}))
    tables = programme_tables(load_study("demo"))
    comparison = compare_tnps_rnps(**tables, periods="2025-Q4", replicates=20)
    told = r"got one without 'survey'. Draw its table '.estimates'"
    with pytest.raises(ValueError, match=told):
        plot_intervals(comparison, label="survey")
    with pytest.raises(TypeError, match=r"got list. Draw another table"):
        plot_intervals([1])
