"""Findings, the phrases they are made of, and how sure they are."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student

from cxlab.core.findings import COLUMNS, Cells, Finding, Findings, direction_of, figures
from cxlab.core.metric import Metric, nps_metric
from cxlab.core.phrases import (
    amount,
    decimals_for,
    in_words,
    interval,
    interval_beside_zero,
    joined,
    listed,
    number,
    signed,
    size_with_interval,
    small,
    with_interval,
)
from cxlab.stats.inference import (
    adjust_family,
    certainty_of,
    deciding_interval,
    smallest_shown,
    within_margin,
)
from tests.unfounded import unfounded

ANSWER = Finding(kind="answer", text="NPS is −5 (−12 to 3)", certainty="measured")


def test_an_answer_is_needed():
    with pytest.raises(ValueError, match="must hold an answer; got none"):
        Findings((Finding(text="NPS is −5"),))


def test_a_reader_is_given_five_findings_at_most():
    rows = (ANSWER, *(Finding(text=f"Finding {i}") for i in range(6)))
    with pytest.raises(ValueError, match="at most 5 of 'finding'; got 6"):
        Findings(rows)


def test_the_answer_comes_first_and_cautions_last():
    caution = Finding(kind="caution", text="May be halo")
    told = Findings((caution, Finding(text="Staff counts most"), ANSWER))
    assert [finding.kind for finding in told] == ["answer", "finding", "caution"]
    assert told.answer is ANSWER


@pytest.mark.parametrize(
    ("name", "value"), [("kind", "remark"), ("certainty", "sure"), ("direction", "up")]
)
def test_an_unknown_word_is_refused(name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*; got '{value}'"):
        Finding(text="x", **{name: value})


def test_figures_are_the_numbers_of_a_row():
    row = pd.Series({
        "estimate": -4.5, "ci_low": -9.0, "ci_high": 0.0, "decided_low": -11.0, "decided_high": 2.0,
        "n": 80, "unit": "points", "p_value": 0.01, "p_adjusted": 0.08,
    })  # fmt: skip
    told = figures(row, ("estimate", "decided_low", "decided_high"))
    assert told == {"estimate": -4.5, "ci_low": -11.0, "ci_high": 2.0, "n": 80, "unit": "points",
                    "p_adjusted": 0.08}  # fmt: skip
    hidden = {"estimate": 1, "ci_low": 0, "ci_high": 2, "n": pd.NA}
    assert figures(hidden) == {"estimate": 1.0, "ci_low": 0.0, "ci_high": 2.0}


@pytest.mark.parametrize(
    ("changes", "direction"),
    [([3.0, 0.4], "good"), ([-3.0], "bad"), ([3.0, -0.4], ""), ([], "")],
)
def test_changes_mean_something_where_all_go_one_way(changes, direction):
    assert direction_of(changes) == direction


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (amount(17.2, "%"), "17 %"),
        (amount(-4.52, "points", 1), "−4.5"),
        (amount(7.0, "of 10", 1), "7.0 of 10"),
        (signed(0.31, 1), "+0.3"),
        (signed(0.0), "0"),
        (interval(-12.2, 3.3), "−12 to 3"),
        (size_with_interval(-4.1, -7.9, -0.3), "4.1 (0.3 to 7.9)"),
        (interval_beside_zero(-0.04, 16.2), "−0.04 to 16"),
        (in_words(2), "two"),
        (in_words(40), "40"),
        (joined("n = 40", "", "explored"), "n = 40; explored"),
        (small("No change") + small("NPS"), "no changeNPS"),
    ],
)
def test_numbers_and_names_in_a_sentence(said, expected):
    assert said == expected


def test_findings_survive_their_json():
    cells = (Cells("outcomes", {"metric": "nps"}, ("estimate", "ci_low")),)
    told = Findings((Finding(kind="answer", text="x", n=420, p_adjusted=0.2, cells=cells),))
    again = Findings.from_records(told.as_records())
    pd.testing.assert_frame_equal(again.table, told.table)
    assert again.answer.cells == cells
    assert "share" not in told.as_records()[0]


def test_numbers_of_tables_are_written_too():
    finding = Finding(kind="answer", text="x", estimate=np.float64(1.5), n=np.int64(3))
    record = Findings((finding,)).as_records()[0]
    assert (record["estimate"], record["n"]) == (1.5, 3)


def test_the_table_has_the_columns_of_the_plan():
    told = Findings((ANSWER,))
    assert list(told.table) == list(COLUMNS)
    assert COLUMNS[:3] == ("order", "text", "kind")


def test_a_part_that_was_not_planned_is_at_most_likely():
    assert Finding(text="x", certainty="clear").explored().certainty == "likely"
    assert "explored" in Finding(text="x", certainty="clear").explored().detail
    assert Finding(text="x", certainty="not settled").explored().certainty == "not settled"
    all_of_it = Findings((ANSWER, Finding(text="x", certainty="clear"))).explored()
    assert [row.certainty for row in all_of_it] != ["clear", "clear"]
    assert "clear" not in [row.certainty for row in all_of_it]


def test_a_group_stands_before_the_answer():
    told = Findings((ANSWER, Finding(text="x"))).about("Business")
    assert [row.text for row in told] == [f"Business: {ANSWER.text}", "x"]


TABLE = pd.DataFrame({"metric": ["nps", "mean"], "estimate": [-4.52, 6.2], "share": [0.17, 0.5]})


@pytest.mark.parametrize(
    ("text", "lacking"),
    [
        ("NPS is −5", []),
        ("NPS is −4.5", []),
        ("it fell by 5", []),
        ("17 % of it", []),
        ("NPS is −4.6", ["−4.6"]),
        ("NPS is +5", []),
        ("NPS is −4", ["−4"]),
        ("Satisfied (8 to 10): −5", []),
        ("target 30", []),
    ],
)
def test_every_number_is_the_rounding_of_a_named_cell(text, lacking):
    cells = (Cells("outcomes", {"metric": "nps"}, ("estimate", "share")),)
    told = Findings((Finding(kind="answer", text=text, reference=30.0, cells=cells),))
    found = unfounded(told, {"outcomes": TABLE}, words=["Satisfied (8 to 10)"])
    assert found == [f"{text}: {token}" for token in lacking]


def test_a_row_that_is_not_there_is_refused():
    cells = (Cells("outcomes", {"metric": "ces"}, ("estimate",)),)
    told = Findings((Finding(kind="answer", text="x", cells=cells),))
    with pytest.raises(ValueError, match="must find one row of 'outcomes'; got 0"):
        unfounded(told, {"outcomes": TABLE})


@pytest.mark.parametrize(
    ("half", "decimals"),
    [(7.8, 0), (1.0, 0), (0.99, 1), (0.1, 1), (0.04, 2), (0.0, 1), (np.nan, 1)],
)
def test_numbers_show_one_digit_of_the_half_width(half, decimals):
    assert decimals_for(half) == decimals


def test_a_value_is_told_from_what_it_is_compared_with():
    assert with_interval(7.04, 6.0, 8.0) == "7 (6 to 8)"
    assert with_interval(7.04, 6.0, 8.0, references=[7.1]) == "7.0 (6.0 to 8.0)"


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ((4.0, 0.03, 8.0), "4.00 (0.03 to 8.00)"),
        ((-4.0, -8.0, -0.004), "−4.000 (−8.000 to −0.004)"),
        ((0.000001, -4.0, 4.0), "0.0000 (−4.0000 to 4.0000)"),
        ((4.0, 1e-12, 8.0), "4 (0 to 8)"),
    ],
)
def test_limits_have_as_many_decimals_as_tell_them_from_zero(limits, text):
    assert with_interval(*limits, references=[0.0]) == text


def test_nothing_is_inside_a_margin_that_is_not_finite():
    assert within_margin(-1.0, 2.0, 3.0)
    assert not within_margin(-1.0, 2.0, np.inf)
    assert not within_margin(-1.0, 2.0, np.nan)


def test_a_rounded_zero_has_no_sign():
    assert (number(-0.4), signed(0.4), signed(-0.6), signed(0.6)) == ("0", "0", "−1", "+1")


def test_names_with_commas_are_parted_by_semicolons():
    assert listed(["Escalators, walkways", "WiFi"]) == "Escalators, walkways; WiFi"
    assert listed(["A", "B", "C"], last="or") == "A, B or C"
    assert listed(list("ABCDE")) == "A, B, C and 2 more"


def test_holm_is_that_of_the_definition():
    p = np.array([0.04, 0.01, np.nan, 0.03])
    # by hand: 3 × .01; max(.03, 2 × .03); max(.06, .04)
    np.testing.assert_allclose(adjust_family(p, method="holm"), [0.06, 0.03, np.nan, 0.06])


@given(st.lists(st.floats(0.0005, 0.999), min_size=1, max_size=8), st.sampled_from(["holm", "bh"]))
def test_the_interval_shown_decides_the_word(p_values, method):
    p = np.array(p_values)
    estimate = student.isf(p / 2, 40)
    adjusted = adjust_family(p, method=method)
    low, _ = deciding_interval(estimate, np.ones(len(p)), np.full(len(p), 40.0), p, adjusted)
    undecided = np.abs(adjusted - 0.05) < 1e-9
    assert np.array_equal((low > 0) | undecided, (adjusted < 0.05) | undecided)


def test_only_a_test_of_its_family_makes_a_difference_clear():
    assert certainty_of(0.049) == "clear"
    assert certainty_of(0.05) == "not settled"
    assert certainty_of(np.nan) == "not settled"


def test_the_smallest_difference_shown_grows_with_the_family():
    # z(.975) + z(.8) = 1.959964 + .841621
    assert smallest_shown(2.0, np.inf) == pytest.approx(2 * 2.801585, rel=1e-6)
    assert smallest_shown(2.0, np.inf, tests=4) > smallest_shown(2.0, np.inf)


def test_margins_that_nobody_declared():
    assert nps_metric("recommend").margin == 3
    assert Metric("x", "box", top=(4, 5)).margin == 3
    assert Metric("x", "mean", scale=(1, 5)).margin == pytest.approx(0.08)
    assert Metric("x", "mean").margin == np.inf
    assert Metric("x", "mean", scale=(1, 5), margin=0.5).margin == 0.5


def test_metrics_are_called_what_readers_call_them():
    assert Metric("x", "box", top=(5, 5)).title == "Scores 5"
    assert Metric("x", "net", top=(6, 7), bottom=(1, 3)).title == "6 to 7 less 1 to 3"
    assert Metric("x", "net", top=(6, 7), bottom=(1, 3), words="Easy less hard").title == (
        "Easy less hard"
    )
