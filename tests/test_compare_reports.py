"""The script that compares recorded tables of two states of the code."""

import pandas as pd

from tests.compare_reports import read_names, report_differences

NAMES = {"tables": {}, "columns": {"rank_best": "rank_low"}, "tables_out": {"old": "not shown"},
         "columns_out": {"scores.family": "said in the notes"}}  # fmt: skip


def write(folder, table, **columns):
    place = folder / "2-scorecard" / "tables"
    place.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(columns).to_csv(place / f"{table}.csv", index=False)


def test_what_differs_is_named_and_renames_are_followed(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    write(old, "scores", n=[3, 4], estimate=[0.1, float("inf")], rank_best=[1, 2], family="all")
    write(old, "old", n=[1])
    write(old, "gone", n=[1])
    write(new, "scores", n=[3, 5], estimate=[0.1 + 1e-12, float("inf")], rank_low=[1, 2], unit="%")
    assert list(report_differences(old, new, NAMES)) == [
        "2-scorecard: the table gone is gone",
        "2-scorecard: scores: n differs in 1 of 2 rows, first 4, now 5",
    ]


def test_a_figure_that_is_blank_now_differs(tmp_path):
    write(tmp_path / "old", "scores", estimate=[0.5])
    write(tmp_path / "new", "scores", estimate=[float("nan")])
    assert len(list(report_differences(tmp_path / "old", tmp_path / "new", NAMES))) == 1


def test_the_list_of_names_can_be_read():
    assert read_names()["columns"]["rank_best"] == "rank_low"
