"""A study of two answer tables only: no invitations, no customers."""

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cxlab import load_study, scorecard
from cxlab.cli import main
from cxlab.stats.comparison import compare_tnps_rnps, programme_tables

STUDY = Path(__file__).parent / "cases" / "two.study.toml"
DEMO = Path(__file__).parents[1] / "data" / "demo"
PERIOD = "2025-Q4"


@pytest.fixture
def folder(tmp_path):
    for name in ("relationship.csv", "transactional.csv"):
        shutil.copy(DEMO / name, tmp_path)
    shutil.copy(STUDY, tmp_path)
    return tmp_path


def without(text, table, column):
    """The study file without one column of a table."""
    return re.sub(rf"\[tables\.{table}\.columns\.{column}\]\n(?:[^\[\n].*\n|\n)*", "", text)


def spoil(folder, table, column, new=None):
    """Take a column out of a table and the study, or give it another name."""
    path, study = folder / f"{table}.csv", folder / STUDY.name
    frame = pd.read_csv(path, dtype=str)
    text = study.read_text()
    if new is None:
        frame, text = frame.drop(columns=column), without(text, table, column)
    else:
        frame = frame.rename(columns={column: new})
        text = text.replace(f"[tables.{table}.columns.{column}]", f"[tables.{table}.columns.{new}]")
    frame.to_csv(path, index=False)
    study.write_text(text)


def compare(folder, **options):
    tables = programme_tables(load_study(folder / STUDY.name))
    return compare_tnps_rnps(**tables, **{"periods": PERIOD, "replicates": 50, **options})


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    for path in (DEMO / "relationship.csv", DEMO / "transactional.csv", STUDY):
        shutil.copy(path, folder)
    arguments = ["report", str(folder / STUDY.name), "--period", PERIOD]
    arguments += ["--notebook", "tnps-vs-rnps", "--output", str(folder / "reports")]
    run = CliRunner().invoke(main, arguments)
    assert run.exit_code == 0, run.output
    return next((folder / "reports").rglob("manifest.json")).parent


class TestTheReport:
    def table(self, report, name):
        return pd.read_csv(report / "tables" / f"{name}.csv")

    def test_the_answer_speaks_of_those_who_answered(self, report):
        told = json.loads((report / "tables" / "findings.json").read_text())
        told = told["findings"] if isinstance(told, dict) else told
        assert told[0]["text"].startswith("Among those who answered: tNPS is 27 above rNPS (")
        assert told[-1]["text"].endswith("stayed silent would have said is not known")

    def test_what_takes_customers_and_invitations_has_no_rows(self, report):
        assert self.table(report, "decomposition")["term"].tolist() == ["gap"]
        for name in ("tilting", "response-check"):
            assert self.table(report, name).empty
        assert len(self.table(report, "beliefs")) == 1

    def test_shows_both_scores_weighted_and_unweighted(self, report):
        rows = self.table(report, "estimates").set_index(["estimate_kind", "survey"])
        scores = rows["estimate"]
        answers = load_study("demo").read(period=PERIOD)
        study = load_study("demo")
        card = scorecard(
            answers, study.metrics("outcome"), labels=study.labels, design=study.design
        ).table
        nps = card.loc[card["metric"] == "nps", "estimate"].item()
        assert scores["weighted as declared", "relationship"] == pytest.approx(nps)
        assert scores["raw", "relationship"] == pytest.approx(-2.619, abs=1e-3)
        page = next(report.glob("*.html")).read_text()
        assert "rNPS is −4 instead of −3" in page
        assert ("each customer once", "transactional") in scores.index

    def test_the_waterfall_is_of_the_identity(self, report):
        identity = self.table(report, "identity")
        assert len(identity) == 5
        total = identity["estimate"].iloc[:4].sum()
        assert total == pytest.approx(identity["estimate"].iloc[4])
        assert identity[["ci_low", "ci_high"]].notna().all(axis=None)

    def test_shows_segments_and_pairs(self, report):
        gaps = self.table(report, "segment-gaps")
        assert set(gaps["segment"]) == {"segment", "home_region"}
        assert gaps[["ci_low", "ci_high"]].notna().all(axis=None)
        assert self.table(report, "paired-contrast")["n"].tolist() == [19, 19]


class TestVariants:
    def test_columns_are_found_by_their_role(self, folder):
        expected = compare(folder)
        for table in ("relationship", "transactional"):
            spoil(folder, table, "response_id", "key")
            spoil(folder, table, "customer_id", "CustID")
            spoil(folder, table, "recommend", "ltr")
        found = compare(folder)
        pd.testing.assert_frame_equal(found.findings().table, expected.findings().table)

    def test_no_customer_id(self, folder):
        spoil(folder, "relationship", "customer_id")
        result = compare(folder)
        assert result.identity["term"].tolist() == ["gap"]
        assert result.findings().of_kind("finding")[-1].text.endswith("don't name their customer")

    def test_weights_of_one_survey(self, folder):
        spoil(folder, "transactional", "weight")
        tables = programme_tables(load_study(folder / STUDY.name))
        assert tables["weights"] == {"relationship": "weight"}
        assert (
            compare(folder)
            .findings()
            .answer.detail.endswith(
                "Weighted as declared, as in the scorecard, rNPS is −4 instead of −3"
            )
        )

    def test_no_weights(self, folder):
        for table in ("relationship", "transactional"):
            spoil(folder, table, "weight")
        result = compare(folder)
        assert "weighted as declared" not in set(result.estimates["estimate_kind"])
        assert "Weighted as declared" not in result.findings().answer.detail

    def test_no_shared_segment(self, folder):
        for column in ("segment", "home_region"):
            spoil(folder, "relationship", column)
        result = compare(folder)
        assert result.segment_gaps.empty
        assert result.segments.empty

    def test_no_dates(self, folder):
        for table in ("relationship", "transactional"):
            for column in ("responded_at", "invited_at"):
                spoil(folder, table, column)
        spoil(folder, "transactional", "triggered_at")
        result = compare(folder)
        assert result.findings().of_kind("finding")[-1].text.endswith("the answers have no dates")
        assert len(result.identity) == 5

    def test_all_periods_together(self, folder):
        result = compare(folder, periods=None)
        assert result.identity["estimate"].iloc[:4].sum() == pytest.approx(
            result.identity["estimate"].iloc[4]
        )
