"""A small group is hidden, and cannot be had back from what is shown."""

import json

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given
from hypothesis import strategies as st

from cxlab import scorecard, suppress_small_groups
from cxlab.report.runs import run_reports
from cxlab.stats.metrics.suppression import hidden_groups
from cxlab.survey.scales import Metric


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 30))
def test_what_is_hidden_cannot_be_had_from_the_total(sizes, smallest, ungrouped):
    hidden = hidden_groups(sizes, smallest, ungrouped=ungrouped)
    assert all(i in hidden for i, n in enumerate(sizes) if 0 < n < smallest)
    assert not any(sizes[i] == 0 for i in hidden)
    if hidden:
        everything = all(i in hidden for i, n in enumerate(sizes) if n)
        together = sum(sizes[i] for i in hidden) + ungrouped
        cells = len(hidden) + (ungrouped > 0)
        assert everything or (cells >= 2 and together >= smallest)


@given(st.lists(st.integers(10, 60), max_size=8))
def test_nothing_is_hidden_without_a_small_group(sizes):
    assert hidden_groups(sizes, 10) == {}


def test_every_figure_of_a_hidden_row_is_null():
    table = pd.DataFrame({"metric": "nps", "group": ["a", "b", "c"], "n": [90, 4, 50], "estimate": [1.0, 2, 3],
                          "attained": ["yes", "no", "yes"], "note": ["", "x", ""]})  # fmt: skip
    shown = suppress_small_groups(table, within=["metric"])
    assert shown.loc[1, ["n", "estimate", "attained"]].isna().all()
    assert shown["note"].tolist() == ["", "hidden: fewer than 10 answers",
                                      "hidden: it would give a smaller group back"]  # fmt: skip


def test_each_whole_is_looked_at_alone():
    table = pd.DataFrame({"metric": ["x"] * 3 + ["y"] * 3, "group": list("abcabc"),
                          "n": [90, 4, 50, 90, 40, 50], "estimate": 1.0})  # fmt: skip
    shown = suppress_small_groups(table, within=["metric"])
    assert shown["n"].isna().tolist() == [False, True, True, False, False, False]


def answers():
    rng = np.random.default_rng(5)
    kind = ["a"] * 200 + ["b"] * 6 + ["c"] * 80
    return pd.DataFrame({"s": rng.integers(0, 11, 286).astype(float), "kind": kind})


def test_scorecard_hides_the_small_group_and_its_complement():
    metric = Metric("s", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
    table = scorecard(answers(), [metric], by="kind").set_index("group")
    assert table["suppressed"].tolist() == ["", "", "small", "complementary"]
    assert table.loc["b", ["n", "estimate", "se", "unweighted", "n_eff", "n_missing"]].isna().all()
    # neither count nor mean of b follows from the total and the groups shown
    shown = table[table["n"].notna()]
    assert len(table) - len(shown) == 2


STUDY = """
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


def test_one_hidden_cell_stays_hidden_in_notebook_csv_json_and_html(tmp_path):
    answers().astype({"s": int}).to_csv(tmp_path / "tiny.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    run = run_reports(
        str(tmp_path / "study.toml"), notebooks=["scorecard"], output=tmp_path / "reports"
    )
    assert not run.failures, run.failures
    folder = run.pages[0].parent
    table = pd.read_csv(folder / "tables" / "outcomes-by-segment.csv").set_index("group")
    assert table["n"].isna().to_dict() == {"a": False, "b": True, "c": True}
    records = json.loads((folder / "tables" / "outcomes-by-segment.json").read_text())
    assert [record["n"] for record in records if record["group"] in "bc"] == [None, None]
    sizes = {"6", "80", "86"}
    page = BeautifulSoup((folder / "2-scorecard.html").read_text(), "html.parser")
    cells = {cell.get_text(strip=True) for cell in page.select("table.cxlab td")}
    assert "200" in cells
    assert not cells & sizes
    for name in ("differences-between-segments", "touchpoints-by-segment"):
        text = (folder / "tables" / f"{name}.csv").read_text()
        assert not any(f",{size}," in text for size in sizes)
    assert ">80<" not in (folder / "2-scorecard.ipynb").read_text()


def test_minimum_is_checked_in_every_table_of_the_demo_report():
    from cxlab import load_study

    study = load_study("demo")
    table = scorecard(study.read(period="2025-Q4"), study.metrics(), by=study.segments)
    assert (table["n"].dropna() >= 10).all()
    assert table.loc[table["suppressed"] != "", "estimate"].isna().all()


def test_everyone_stays_when_nobody_is_small():
    table = scorecard(answers().query("kind != 'b'"), [Metric("s", "mean")], by="kind")
    assert (table["suppressed"] == "").all()
    assert pytest.approx(286 - 6) == table["n"].iloc[1:].sum()
