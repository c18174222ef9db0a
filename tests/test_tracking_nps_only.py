"""A study that asks nothing but likelihood to recommend can still be tracked."""

import json

import pytest

from tests.runs import run_reports

pytestmark = pytest.mark.usefixtures("warm_reports")

STUDY = """[study]
name = "nps"
title = "Only an NPS"
[scales.n]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]
[tables.a]
file = "a.csv"
[tables.a.columns.period]
role = "period"
[tables.a.columns.likely]
role = "outcome"
scale = "n"
"""
#: 200 answers a period: 50 detractors, then 50 and, in the last, 110.
SCORES = {"2025-Q1": (50, 50), "2025-Q2": (50, 50), "2025-Q3": (50, 50), "2025-Q4": (110, 40)}


@pytest.fixture
def study(tmp_path):
    rows = ["period,likely"]
    for period, (detractors, passives) in SCORES.items():
        promoters = 200 - detractors - passives
        for score, count in ((3, detractors), (7, passives), (10, promoters)):
            rows += [f"{period},{score}"] * count
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "nps.study.toml").write_text(STUDY)
    return tmp_path / "nps.study.toml"


@pytest.mark.parametrize("past", [False, True], ids=["answers", "earlier reports"])
def test_tracking_gives_changes_and_chart_and_names_what_is_left_out(study, tmp_path, past):
    # a report for each earlier period is dear: two of them show as much
    settings, periods = {}, list(SCORES)[-2 if past else 0 :]
    if past:
        run = run_reports(str(study), period=periods, notebooks=["scorecard"],
                          output=tmp_path / "past")  # fmt: skip
        assert not run.failures, run.failures
        settings = {"past": str(tmp_path / "past")}
    run = run_reports(str(study), period="2025-Q4", notebooks=["tracking"], settings=settings,
                      output=tmp_path / "out")  # fmt: skip
    assert not run.failures, run.failures
    folder = run.pages[0].parent
    rows = json.loads((folder / "tables/changes.json").read_text())
    # (50 promoters − 110 detractors) / 200 = −30 points, after (100 − 50) / 200 = 25
    fell = [row["estimate"] for row in rows if row["against"] == "last period"]
    assert fell == pytest.approx([-55.0])
    chart = json.loads((folder / "tables/control-chart.json").read_text())
    assert [row["estimate"] for row in chart] == pytest.approx([25, 25, 25, -30][-len(periods) :])
    page = run.pages[0].read_text()
    assert "The drivers are left out, because the study declares no touchpoints" in page
    why = "the answers." if past else "a segment, and the study declares none."
    assert f"Left out: mix and performance, which need {why}" in page
    assert json.loads((folder / "tables/driver-changes.json").read_text()) == []
    assert json.loads((folder / "tables/mix-and-performance.json").read_text()) == []
    findings = json.loads((folder / "tables/findings.json").read_text())
    assert findings[0]["text"] == "NPS fell by 55 points since 2025-Q3"
