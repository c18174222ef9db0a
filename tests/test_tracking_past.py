"""Tracking from the tables that earlier reports recorded, without their answers."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cxlab import (
    control_chart,
    load_history,
    load_study,
    past_reports,
    period_changes,
    period_scores,
)
from cxlab.core.metric import Metric
from cxlab.report.factory.requests import Request, plan_reports
from tests.runs import run_reports

pytestmark = pytest.mark.usefixtures("warm_reports")

NPS = Metric("score", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
LABELS = {"score": "Would recommend"}
#: JSON keeps every digit; sums differ in order.
ROUNDING = 1e-9
PERIODS = ["2024-Q4", "2025-Q3", "2025-Q4"]


def recorded(folder: Path, period: str, *, table="outcomes", ended="", manifest=None, **numbers):
    """One report with one row of scores."""
    row = {"label": "Would recommend", "metric": "nps", "unit": "points", "n": 100,
           "estimate": 20.0, "se": 3.0, "ci_low": None, "ci_high": None, "deff": 1.0,
           "n_eff": 100.0, "note": None}  # fmt: skip
    tables = folder / period / "2-scorecard" / "tables"
    tables.mkdir(parents=True, exist_ok=True)
    (tables / f"{table}.json").write_text(json.dumps([row | numbers]))
    told = {"period": period, "study": "s", "parameters": {"where": None}, "ended": ended}
    (tables.parent / "manifest.json").write_text(json.dumps(told | (manifest or {})))


def since_last(changes):
    return changes.table[changes.table["against"] == "last period"]


def test_a_change_by_hand(tmp_path):
    recorded(tmp_path, "2025-Q3", estimate=20.0, se=3.0)
    recorded(tmp_path, "2025-Q4", estimate=10.0, se=4.0, n=200, n_eff=150.0, deff=1.2)
    changes = period_changes(past_reports(tmp_path), NPS, labels=LABELS)
    row = since_last(changes).iloc[0]
    # the later variance is widened by 200 / (1.2 · 150) for its few degrees of freedom
    earlier, later = 9.0, 16.0 * 200 / 180
    assert row["estimate"] == pytest.approx(-10)
    assert row["se"] == pytest.approx(np.sqrt(earlier + later))
    assert row["df"] == pytest.approx((earlier + later) ** 2 / (earlier**2 / 99 + later**2 / 149))
    assert (row["n"], row["n_before"], row["method"]) == (200, 100, "independent samples")
    # t of −10 / 5.174 on 246 degrees of freedom
    assert row["p_value"] == pytest.approx(0.0545, abs=1e-3)
    assert row["ci_low"] == pytest.approx(-10 - 1.9697 * row["se"], abs=1e-3)
    assert "independent samples" in changes.notes[0]


def test_few_answers_of_an_earlier_report_are_hidden(tmp_path):
    recorded(tmp_path, "2025-Q3", n=3)
    recorded(tmp_path, "2025-Q4")
    past = past_reports(tmp_path)
    row = since_last(period_changes(past, NPS, labels=LABELS)).iloc[0]
    assert row[["n", "n_before", "estimate", "se"]].isna().all()
    assert row["note"] == "hidden: fewer than 10 answers in 2025-Q3"
    shown = since_last(period_changes(past, NPS, labels=LABELS, min_group_size=3)).iloc[0]
    assert shown["n_before"] == 3


def test_an_argument_that_is_none_is_refused(tmp_path):
    recorded(tmp_path, "2025-Q3")
    with pytest.raises(TypeError, match="unexpected keyword argument 'min_group'"):
        period_changes(past_reports(tmp_path), NPS, labels=LABELS, min_group=5)


@pytest.mark.parametrize("text", ["[{", "[1, 2]", '{"a": 1}', "5"])
def test_an_odd_table_is_refused_by_name(tmp_path, text):
    recorded(tmp_path, "2025-Q3")
    table = tmp_path / "2025-Q3/2-scorecard/tables/outcomes.json"
    for wrong in (text, table.read_text().replace("20.0", '"x"')):
        table.write_text(wrong)
        with pytest.raises(ValueError, match=r"outcomes\.json' was changed or cut short"):
            past_reports(tmp_path)


@pytest.mark.parametrize(
    "odd", [{"parameters": [1]}, {"parameters": {"where": "g"}}, {"period": []}]
)
def test_an_odd_manifest_is_passed_over(tmp_path, odd):
    recorded(tmp_path, "2025-Q3", manifest=odd)
    recorded(tmp_path, "2025-Q4")
    assert past_reports(tmp_path).periods == ["2025-Q4"]


def test_what_a_report_hides_or_lacks_stays_so(tmp_path):
    recorded(tmp_path, "2025-Q3", n=None, estimate=None, se=None, deff=None, n_eff=None)
    recorded(tmp_path, "2025-Q4")
    past = past_reports(tmp_path)
    row = since_last(period_changes(past, NPS, labels=LABELS)).iloc[0]
    assert row[["n", "n_before", "estimate", "se", "p_value"]].isna().all()
    assert row["note"] == "hidden, or without answers, in 2025-Q3"
    assert period_scores(past, NPS, labels=LABELS)["period"].tolist() == ["2025-Q4"]
    other = since_last(period_changes(past, Metric("other", "mean"))).iloc[0]
    assert other["note"] == "not in the reports of 2025-Q3, in score"


def test_periods_in_another_unit_are_not_compared(tmp_path):
    recorded(tmp_path, "2025-Q3", unit="%")
    recorded(tmp_path, "2025-Q4")
    past = past_reports(tmp_path)
    row = since_last(period_changes(past, NPS, labels=LABELS)).iloc[0]
    assert np.isnan(row["estimate"])
    assert row["note"] == "not in the reports of 2025-Q3, in points"
    assert period_scores(past, NPS, labels=LABELS)["period"].tolist() == ["2025-Q4"]


def test_a_history_is_of_answers_or_of_earlier_reports(tmp_path):
    recorded(tmp_path, "2025-Q3")
    survey = SimpleNamespace(name="s", selection=lambda where: "Trip = work")
    history = load_history(survey, past=tmp_path)
    assert (history.period, history.group) == ("2025-Q3", "")
    assert history.about == "New: 2025-Q3, from earlier reports; selection: everyone."
    demo = load_history(load_study("demo"), period="2025-Q1", where={"segment": "Business"})
    assert demo.about == "New: 2025-Q1, from answers; selection: Segment = Business."
    assert set(demo.data["segment"]) == {"Business"}


def test_a_score_without_a_standard_error_is_not_tested(tmp_path):
    recorded(tmp_path, "2025-Q3", se=0.0)
    recorded(tmp_path, "2025-Q4", estimate=30.0)
    row = since_last(period_changes(past_reports(tmp_path), NPS, labels=LABELS)).iloc[0]
    assert row["estimate"] == 10
    assert row[["se", "ci_low", "p_value"]].isna().all()
    assert row["note"] == "no test: a period's standard error is not known"


def test_the_newest_report_counts_and_others_are_passed_over(tmp_path):
    recorded(tmp_path / "a", "2025-Q4", estimate=1.0, ended="2026-01-02")
    recorded(tmp_path / "b", "2025-Q4", estimate=2.0, ended="2026-01-01")
    recorded(tmp_path / "c", "2025-Q3", manifest={"study": "another"})
    recorded(tmp_path / "d", "2025-Q2", manifest={"parameters": {"where": {"trip": "work"}}})
    recorded(tmp_path / "e", "2025-Q1", manifest={"period": ""})
    recorded(tmp_path / "f", "2024-Q4", group="North")
    past = past_reports(tmp_path, study="s")
    assert past.table[["period", "estimate"]].to_numpy().tolist() == [["2025-Q4", 1.0]]
    part = past_reports(tmp_path, study="s", where={"trip": ["work"]})
    assert part.periods == ["2025-Q2"]


def test_folders_without_reports_are_refused_in_one_sentence(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"`past` must be a folder .* which is not there"):
        past_reports(tmp_path / "none")
    with pytest.raises(
        FileNotFoundError, match=r"which holds none\. Make some with `cxlab report`"
    ):
        past_reports(tmp_path)
    (tmp_path / "2025-Q4.parquet").touch()
    with pytest.raises(ValueError, match=r"an earlier version kept with `cxlab period save`"):
        past_reports(tmp_path)
    recorded(tmp_path, "2025-Q4")
    with pytest.raises(ValueError, match=r"of study 'demo' .* got 1 other reports"):
        past_reports(tmp_path, study="demo")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Scorecards of three periods of the demo study."""
    folder = tmp_path_factory.mktemp("reports")
    run = run_reports("demo", period=PERIODS, notebooks=["scorecard"], output=folder)
    assert not run.failures, run.failures
    return folder


class TestDemo:
    def test_estimates_are_those_of_the_answers(self, folder):
        survey = load_study("demo")
        answers, past = survey.read(period=PERIODS), past_reports(folder, study="demo")
        options = {"period": "2025-Q4", "labels": survey.labels}
        metrics = survey.metrics(period="2025-Q4")
        raw = period_changes(answers, metrics, design=survey.design, **options)
        again = period_changes(past, metrics, **options)
        assert len(raw.table) == 2 * len(metrics)
        place = ["label", "metric", "against"]
        raw_table, table = (one.table.set_index(place).sort_index() for one in (raw, again))
        for name in ("n", "n_before", "estimate"):
            np.testing.assert_allclose(
                table[name].astype(float), raw_table[name].astype(float), rtol=ROUNDING,
                atol=ROUNDING,
            )  # fmt: skip
        # few customers answer in two of these periods: nearly the same standard errors
        np.testing.assert_allclose(table["se"], raw_table["se"], rtol=0.1)
        texts = [one.findings().answer.text for one in (raw, again)]
        assert texts[0] == texts[1]
        assert "Restrooms fell by 0.6 of 10 against 2024-Q4, a year before" in texts[1]

    def test_the_run_of_periods_is_that_of_the_answers(self, folder):
        survey = load_study("demo")
        answers, past = survey.read(period=PERIODS), past_reports(folder)
        raw = period_scores(answers, survey.headline, design=survey.design)
        again = period_scores(past, survey.headline, labels=survey.labels)
        for name in ("n", "estimate", "se", "deff", "n_eff"):
            # each period alone: another factor n/(n − 1) of clusters
            rtol = 5e-3 if name in ("se", "deff", "n_eff") else ROUNDING
            np.testing.assert_allclose(again[name], raw[name], rtol=rtol)
        charts = [control_chart(table).table for table in (raw, again)]
        np.testing.assert_allclose(charts[1]["estimate"], charts[0]["estimate"], rtol=ROUNDING)

    def test_the_notebook_runs_without_answers(self, folder, tmp_path):
        study = tmp_path / "demo" / "study.toml"
        study.parent.mkdir()
        study.write_text(load_study("demo").path.read_text(encoding="utf-8"), encoding="utf-8")
        run = run_reports(str(study), period="2025-Q4", notebooks=["tracking"],
                          settings={"past": str(folder)}, output=tmp_path / "out")  # fmt: skip
        assert not run.failures, run.failures
        page = run.pages[0].read_text(encoding="utf-8")
        assert "periods are compared as independent samples" in page
        assert "Left out: mix and performance, which need the answers." in page
        assert "reports record no standard errors of drivers" in page
        manifest = json.loads((run.pages[0].parent / "manifest.json").read_text())
        names = [one["name"] for one in manifest["inputs"]]
        assert names[0] == "study.toml"
        assert "2025-Q4/2-scorecard/tables/outcomes.json" in names
        changes = pd.read_json(run.pages[0].parent / "tables" / "changes.json")
        assert changes["estimate"].notna().all()

    def test_another_report_changes_the_fingerprint(self, folder, tmp_path):
        request = Request("demo", ["2025-Q4"], notebooks=["tracking"],
                          settings={"past": str(folder)})  # fmt: skip
        (before,) = plan_reports(request, tmp_path).jobs
        table = folder / "demo" / "2025-Q3" / "2-scorecard" / "tables" / "outcomes.json"
        text = table.read_text(encoding="utf-8")
        table.write_text(text + "\n", encoding="utf-8")
        (after,) = plan_reports(request, tmp_path).jobs
        table.write_text(text, encoding="utf-8")
        assert before.fingerprint != after.fingerprint

    def test_reports_of_groups_are_not_made_from_earlier_ones(self, folder, tmp_path):
        request = Request("demo", ["2025-Q4"], each=["segment"], notebooks=["tracking"],
                          settings={"past": str(folder)})  # fmt: skip
        with pytest.raises(ValueError, match="`each` must be left out where `past` is set"):
            plan_reports(request, tmp_path)
