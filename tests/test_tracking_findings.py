"""Sentences of tracking: each rule on a seeded study, each number founded in a recorded cell."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxlab import (
    control_chart,
    load_study,
    mix_and_performance,
    past_reports,
    period_changes,
    period_scores,
)
from cxlab.core.findings import Finding, Findings
from cxlab.core.metric import Metric, nps_metric
from cxlab.core.periods import A_YEAR_BEFORE, LAST
from cxlab.stats.tracking.families import HEADLINE, OTHERS, _verdict
from tests.test_tracking_past import recorded
from tests.unfounded import unfounded

NPS = nps_metric("recommend")
PERIODS = ("2024-Q4", "2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4")
TOUCHPOINTS = ("food", "wifi", "staff", "signs")
#: Names that hold digits.
WORDS = (
    *PERIODS, "2023-Q1", "2024-Q3", "of 10", "of 5", "fewer than 10 answers", "and 17 more",
)  # fmt: skip


def rating(name: str, top: int = 10, **options) -> Metric:
    return Metric(name, "mean", scale=(0 if top == 10 else 1, top), name="mean", **options)


def study(n=400, periods=PERIODS, shifts=None, nps=None, seed=1, top=10, touchpoints=TOUCHPOINTS):
    """Answers of several periods; ``shifts`` of touchpoints and shares of promoters by period."""
    rng = np.random.default_rng(seed)
    frames = []
    for period in periods:
        promoters = (nps or {}).get(period, 0.4)
        rest = (1 - promoters) / 2
        frame = {"recommend": rng.choice([10, 8, 3], n, p=[promoters, rest, rest])}
        for name in touchpoints:
            shift = (shifts or {}).get((name, period), 0.0)
            latent = 0.7 * top + shift + 0.16 * top * rng.standard_normal(n)
            frame[name] = np.clip(np.rint(latent), 1, top)
        frames.append(pd.DataFrame(frame).assign(period=period))
    return pd.concat(frames, ignore_index=True).astype(dict.fromkeys(touchpoints, float))


def told(
    data, *, headline=(NPS,), top=10, touchpoints=TOUCHPOINTS, group="", with_chart=True, **options
):
    """Findings of a study; every number in them must be a recorded cell."""
    metrics = [*headline, *(rating(name, top) for name in touchpoints)]
    changes = period_changes(data, metrics, headline=headline, **options)
    tables = {"changes": changes.table, "headline-runs": changes.runs}
    chart = parts = None
    if with_chart and isinstance(data, pd.DataFrame):
        chart = control_chart(period_scores(data, headline[0], until=changes.period))
        tables["control-chart"] = chart.table
        if changes.before and "trip" in data:
            parts = mix_and_performance(
                data,
                headline[0],
                by="trip",
                periods=(changes.before, changes.period),
                replicates=50,
            )
            tables["mix-and-performance"] = parts.table
    found = changes.findings(chart=chart, parts=parts, group=group)
    assert unfounded(found, tables, words=WORDS) == []
    return found


def rules(found: Findings) -> list[str]:
    return [one.rule for one in found]


class TestAnswers:
    def test_a_headline_change_comes_before_changes_of_touchpoints(self):
        data = study(nps={"2025-Q4": 0.15}, shifts={("food", "2025-Q4"): -2.0})
        found = told(data)
        assert found.answer.rule == "headline-changed"
        assert found.answer.certainty == "clear"
        assert found.answer.text.startswith("NPS fell by ")
        assert found.answer.text.endswith(" points since 2025-Q3")
        assert found.answer.direction == "bad"
        assert [one.subject for one in found.of_kind("finding")] == ["NPS", "food"]
        assert all("new this period" in one.text for one in found.of_kind("finding"))

    def test_two_headline_changes_are_joined_and_more_are_counted(self):
        outcomes = ("food", "wifi", "staff")
        shifts = {(name, "2025-Q4"): -1.5 for name in outcomes}
        headline = tuple(rating(name) for name in outcomes)
        found = told(study(shifts=shifts), headline=headline, touchpoints=("signs",))
        assert found.answer.text.count("fell by") == 2
        assert found.answer.detail == "1 more headline measures changed"

    def test_new_changes_of_touchpoints_come_next(self):
        found = told(study(shifts={("food", "2025-Q4"): -1.0}))
        assert found.answer.rule == "new-change"
        assert found.answer.text.startswith("food fell by ")
        assert (
            "of 10 since 2025-Q3; no headline measure is shown to have changed" in found.answer.text
        )

    def test_several_new_changes_are_listed_with_their_signs(self):
        shifts = {("food", "2025-Q4"): -1.5, ("wifi", "2025-Q4"): 1.0}
        found = told(study(shifts=shifts))
        assert found.answer.text.startswith("food (−1.")
        assert "and wifi (+" in found.answer.text
        assert "changed since 2025-Q3" in found.answer.text
        assert found.answer.direction == ""

    def test_a_change_in_a_year_that_was_shown_before_is_carried(self):
        shifts = {("food", period): -1.5 for period in PERIODS[1:]}
        periods = ("2024-Q3", *PERIODS)
        found = told(study(periods=periods, shifts=shifts, seed=2))
        assert found.answer.rule == "carried"
        assert found.answer.text.startswith("Carried from 2025-Q3: food fell by 1.")
        assert found.answer.text.endswith("no further change is shown since 2025-Q3")
        (carried,) = [one for one in found if one.rule == "carried" and one.kind == "finding"]
        assert carried.text == "Of the changes shown in 2025-Q3: food still holds"

    def test_a_change_in_a_year_that_is_shown_for_the_first_time_is_not_carried(self):
        shifts = {("food", p): -0.2 * i for i, p in enumerate(PERIODS)}
        found = told(study(shifts=shifts, n=300, seed=3))
        assert found.answer.rule == "change-in-a-year"
        assert found.answer.text.startswith("food fell by ")
        assert "against 2024-Q4, a year before; no further change" in found.answer.text

    def test_a_change_that_was_turned_round_is_said(self):
        shifts = {("food", "2025-Q3"): -1.5, ("wifi", "2025-Q3"): -0.7, ("wifi", "2025-Q4"): -0.4}
        found = told(study(shifts=shifts))
        assert found.answer.rule == "new-change"
        (carried,) = [one for one in found if one.rule == "carried"]
        assert carried.text == (
            "Of the changes shown in 2025-Q3: wifi still holds; food went the other way since"
        )

    def test_a_change_that_is_gone_is_said(self):
        changes = period_changes(study(), [NPS, rating("food")])
        known = Finding(text="food fell", subject="food", rule="changed-new", estimate=-1.0)
        found = changes.findings(earlier=Findings((replace(known, kind="answer"), known)))
        carried = found.of_kind("finding")[-1]
        assert carried.text == "Of the changes shown in 2025-Q3: food is no longer shown"

    def test_what_the_last_report_found_is_read_from_its_findings(self):
        shifts = {("food", period): -1.5 for period in PERIODS[1:]}
        data = study(shifts=shifts)
        changes = period_changes(data, [NPS, rating("food")], period="2025-Q4")
        first = period_changes(data, [NPS, rating("food")], period="2025-Q1").findings()
        again = Findings.from_records(json.loads(json.dumps(first.as_records())))
        assert "changed-new" in rules(again)
        assert changes.findings(earlier=again).answer.rule == "carried"
        none = Findings((first.answer,))
        assert changes.findings(earlier=none).answer.rule == "change-in-a-year"

    def test_no_change_that_matters_is_clear_where_answers_are_many(self):
        found = told(study(n=60_000, periods=("2025-Q3", "2025-Q4")))
        assert found.answer.text == "No change larger than 3 points is shown since 2025-Q3"
        assert (found.answer.certainty, found.answer.rule) == ("clear", "no-larger-change")
        touchpoints = found.of_kind("finding")[-1]
        assert touchpoints.text == "No touchpoint changed by more than its margin since 2025-Q3"
        assert touchpoints.certainty == "clear"

    def test_headline_measures_with_several_margins_are_said_together(self):
        data = study(n=60_000, periods=("2025-Q3", "2025-Q4"))
        found = told(data, headline=(NPS, rating("food")), touchpoints=("wifi",))
        assert found.answer.text == (
            "No headline measure changed by more than its margin since 2025-Q3"
        )
        assert found.answer.detail == "margins: NPS 3 points; food 0.2 of 10"

    def test_a_shown_change_within_its_margin_is_never_the_answer(self):
        nps = {"2025-Q4": 0.41}
        shifts = {("food", "2025-Q4"): 0.08}
        found = told(study(n=60_000, periods=("2025-Q3", "2025-Q4"), nps=nps, shifts=shifts))
        assert found.answer.rule == "no-larger-change"
        small = [one for one in found if one.rule == "small-change"]
        assert small[0].text.endswith("since 2025-Q3: shown, but smaller than declared to matter")
        assert small[1].text == "food: shown to have changed, but by less than declared to matter"

    def test_nothing_shown_says_what_would_have_been(self):
        found = told(study())
        assert found.answer.rule == "nothing-shown"
        assert found.answer.certainty == "not settled"
        assert found.answer.text.startswith(
            "Nothing is shown to have changed since 2025-Q3; a true change of "
        )
        assert found.answer.text.endswith(" points in NPS would be shown four times in five")
        assert found.of_kind("finding")[-1].text == "No touchpoint is shown to have changed"

    def test_the_first_period_has_nothing_to_be_compared_with(self):
        found = told(study(periods=("2025-Q4",)))
        assert found.answer.text == (
            "2025-Q4 is the first period here: there is nothing to compare it with yet"
        )
        assert found.answer.certainty == "measured"
        (level,) = found.of_kind("finding")
        assert level.text.startswith("NPS is ")
        assert not found.of_kind("caution")

    def test_a_hidden_period_is_said_with_its_reason(self):
        data = pd.concat([study(periods=("2025-Q3",), n=8), study(periods=("2025-Q4",), n=300)])
        found = told(data)
        assert found.answer.rule == "hidden"
        assert found.answer.text.startswith("What changed since 2025-Q3 cannot be shown: hidden")

    def test_everything_hidden_has_no_number(self):
        found = told(study(periods=("2025-Q3", "2025-Q4"), n=8), with_chart=False)
        assert found.answer.rule == "hidden"
        assert "NPS is hidden, or was not asked, in 2025-Q4" in [one.text for one in found]

    def test_few_answers_and_groups_stand_at_the_beginning(self):
        few = told(study(n=60, seed=4))
        assert few.answer.text.startswith("60 answers: nothing is shown")
        group = told(study(n=120, seed=4), group="Segment = Business")
        assert group.answer.text.startswith("Segment = Business, 120 answers: nothing is shown")
        assert told(study(n=120, seed=4)).answer.text.startswith("Nothing")

    def test_a_headline_without_a_comparison_leaves_the_size_out(self):
        data = study()
        data.loc[data["period"] != "2025-Q4", "recommend"] = np.nan
        found = told(data, with_chart=False)
        assert found.answer.text == "Nothing is shown to have changed since 2025-Q3"


def put(data, *rows):
    """Changes with the interval and p-value of some comparisons, all others open."""
    changes = period_changes(data, [NPS, rating("food"), rating("wifi"), rating("staff")])
    table = changes.table.assign(estimate=0.0, decided_low=-20.0, decided_high=20.0, p_adjusted=0.5)
    for label, against, low, high in rows:
        row = (table["label"] == label) & (table["against"] == against)
        assert row.sum() == 1
        shown = 0.01 if low * high > 0 else 0.5
        table.loc[row, ["decided_low", "decided_high", "p_adjusted"]] = low, high, shown
        table.loc[row, "estimate"] = (low + high) / 2
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    return replace(changes, table=table)


def founded(changes, **options):
    found = changes.findings(**options)
    tables = {"changes": changes.table, "headline-runs": changes.runs}
    assert unfounded(found, tables, words=WORDS) == []
    return found


class TestWhatIsShown:
    small_nps = ("recommend", LAST, 0.5, 2.5)
    small_food = ("food", LAST, 0.05, 0.15)

    @pytest.mark.parametrize("small", [("recommend", A_YEAR_BEFORE, 0.5, 2.5), small_food])
    def test_a_small_change_is_not_called_not_shown(self, small):
        answer = founded(put(study(), small)).answer
        assert answer.rule == "nothing-shown"
        assert answer.text.startswith("No change as large as its margin is shown since 2025-Q3; a ")

    def test_nor_beside_a_change_of_a_touchpoint(self):
        year = ("recommend", A_YEAR_BEFORE, 0.5, 2.5)
        answer = founded(put(study(), year, ("wifi", LAST, -1.5, -0.5))).answer
        assert answer.text == (
            "wifi fell by 1.0 of 10 since 2025-Q3; no change of a headline measure as large as its "
            "margin is shown"
        )

    def test_nor_after_a_change_in_a_year(self):
        year = ("wifi", A_YEAR_BEFORE, -1.5, -0.5)
        answer = founded(put(study(), self.small_nps, year)).answer
        assert answer.text.endswith(
            "; no further change as large as its margin is shown since 2025-Q3"
        )

    def test_each_change_has_its_own_comparison(self):
        year = [(name, A_YEAR_BEFORE, -1.5, -0.5) for name in ("food", "staff")]
        back = ("food", LAST, 0.5, 1.2)
        new = [("wifi", LAST, -2.9, -0.5), ("staff", LAST, 0.5, 0.9)]
        answer = founded(put(study(), *year, back, *new)).answer
        assert answer.text.startswith(
            "wifi fell by 2 of 10 since 2025-Q3; food (−1.0 of 10) and staff (−1.0 of 10) fell "
            "against 2024-Q4, a year before; "
        )

    def test_a_change_that_turned_round_is_not_carried(self):
        changes = put(study(), ("food", A_YEAR_BEFORE, -1.5, -0.5))
        known = Finding(text="food", subject="food", rule="changed-new", estimate=-1.0)
        fell, rose = (
            Findings((replace(known, kind="answer", rule="x"), replace(known, estimate=estimate)))
            for estimate in (-1.0, 1.0)
        )
        assert founded(changes, earlier=fell).answer.rule == "carried"
        answer = founded(changes, earlier=rose).answer
        assert answer.rule == "change-in-a-year"
        assert answer.text == (
            "food fell by 1.0 of 10 against 2024-Q4, a year before; in 2025-Q3 food had gone the "
            "other way"
        )

    def test_limits_that_are_shown_do_not_touch_zero(self):
        found = founded(put(study(), ("recommend", LAST, 0.03, 8.01)))
        assert found.of_kind("finding")[0].text.startswith("NPS rose by 4.02 points (0.03 to 8.01)")


class TestFindings:
    def test_a_change_partly_taken_back_names_both(self):
        shifts = {("food", p): -3.0 for p in PERIODS[1:4]} | {("food", "2025-Q4"): -1.5}
        found = told(study(shifts=shifts))
        (food,) = [one for one in found.of_kind("finding") if one.subject == "food"]
        assert food.rule == "changed-back"
        assert (
            "against 2024-Q4, a year before; partly taken back since 2025-Q3, by +1." in food.text
        )

    def test_a_trend_is_a_change_of_its_own(self):
        periods = [f"{year}-Q{quarter}" for year in (2023, 2024, 2025) for quarter in (1, 2, 3, 4)]
        nps = {period: 0.5 - 0.013 * i for i, period in enumerate(periods)}
        found = told(study(periods=periods, nps=nps, n=300, seed=5))
        assert found.answer.rule == "headline-changed"
        assert "along a straight line since 2023-Q1" in found.answer.text
        assert found.of_kind("finding")[0].detail == "straight line through 12 periods"

    def test_open_headline_measures_share_a_line_when_much_has_changed(self):
        headline = (NPS, rating("food"), rating("wifi"))
        touchpoints = ("a", "b", "c", "d")
        shifts = {(name, "2025-Q4"): -1.5 for name in touchpoints}
        data = study(shifts=shifts, touchpoints=(*touchpoints, "food", "wifi"))
        found = told(data, headline=headline, touchpoints=touchpoints)
        lines = found.of_kind("finding")
        assert lines[0].text == "NPS, food and wifi: no change shown"
        assert len(lines) == 4
        assert lines[-1].detail.endswith("1 more, in the table below")

    def test_mix_and_performance_follow_from_a_clear_change(self):
        data = study(nps={"2025-Q4": 0.15})
        rng = np.random.default_rng(0)
        data["trip"] = rng.choice(["work", "play"], len(data))
        (mix,) = told(data).of_kind("so what")
        assert mix.text.startswith("Of the change of NPS since 2025-Q3, −")
        assert "goes with how each group scored and" in mix.text
        unchanged = study().assign(trip=data["trip"])
        assert not told(unchanged).of_kind("so what")

    def test_the_split_of_another_metric_says_nothing(self):
        data = study(nps={"2025-Q4": 0.15}).assign(trip=["work", "play"] * 1000)
        changes = period_changes(data, NPS)
        pair = {"by": "trip", "periods": ("2025-Q3", "2025-Q4"), "replicates": 20}
        other = mix_and_performance(data, rating("food"), **pair)
        assert not changes.findings(parts=other).of_kind("so what")

    def test_a_signal_of_this_period_is_a_caution(self):
        periods = [f"{year}-Q{quarter}" for year in (2023, 2024, 2025) for quarter in (1, 2, 3, 4)]
        nps = {period: 0.4 + 0.01 * (i % 2) for i, period in enumerate(periods)} | {"2025-Q4": 0.1}
        data = study(periods=periods, nps=nps)
        chart = control_chart(period_scores(data, NPS), baseline=11)
        changes = period_changes(data, NPS)
        (signal,) = changes.findings(chart=chart).of_kind("caution")
        assert signal.text.startswith("NPS of −29 ")
        assert "in 2025-Q4 is below the lower control limit, " in signal.text
        assert "come by chance too" in signal.detail
        tables = {"changes": changes.table, "control-chart": chart.table}
        assert unfounded(changes.findings(chart=chart), tables, words=periods) == []
        earlier = period_changes(data, NPS, period="2025-Q3")
        assert not earlier.findings(chart=chart).of_kind("caution")

    def test_a_long_run_on_one_side_is_a_signal_too(self):
        periods = [f"2024-{month:02d}" for month in range(1, 13)]
        nps = {period: (0.3 if i < 4 else 0.45) for i, period in enumerate(periods)}
        data = study(periods=periods, nps=nps, n=2000, touchpoints=())
        chart = control_chart(period_scores(data, NPS), baseline=6)
        signal, *_ = period_changes(data, NPS).findings(chart=chart).of_kind("caution")
        assert "at least the eighth period in a row above the centre line" in signal.text

    def test_a_missing_last_period_is_a_caution(self):
        found = told(study(periods=("2024-Q4", "2025-Q1", "2025-Q4")))
        (gap,) = found.of_kind("caution")
        assert gap.text == "2025-Q3 is not in the data; 2025-Q1 is the last period before"

    def test_five_points_and_no_touchpoints(self):
        five = told(study(top=5, shifts={("food", "2025-Q4"): -0.8}), top=5)
        assert "of 5 since 2025-Q3" in five.answer.text
        none = told(study(), touchpoints=())
        assert [one.subject for one in none.of_kind("finding")] == ["NPS"]

    def test_forty_touchpoints_take_no_more_room(self):
        names = tuple(f"t{i}x" for i in range(40))
        shifts = {(name, "2025-Q4"): -1.5 for name in names[:20]}
        found = told(study(touchpoints=names, shifts=shifts), touchpoints=names)
        assert "and 17 more fell since 2025-Q3" in found.answer.text
        assert len(found.of_kind("finding")) <= 5

    def test_short_names_are_taken(self):
        data = study(shifts={("food", "2025-Q4"): -1.5})
        found = period_changes(
            data, [NPS, rating("food")], labels={"food": "Food, drinks and snacks"},
            short={"food": "Food"},
        ).findings()  # fmt: skip
        assert found.answer.text.startswith("Food fell by")

    def test_earlier_reports_give_the_same_sentences(self, tmp_path):
        label = {"labels": {"recommend": "Would recommend"}}
        recorded(tmp_path, "2025-Q3", estimate=20.0, se=4.0, n=400, n_eff=390.0)
        recorded(tmp_path, "2025-Q4", estimate=-10.0, se=4.0, n=400, n_eff=390.0)
        found = told(past_reports(tmp_path), touchpoints=(), **label)
        assert found.answer.text == "NPS fell by 30 points since 2025-Q3"


class TestFamilies:
    def test_each_metric_is_in_one_family_or_none(self):
        aimed = Metric("food", "box", (8, 10), scale=(0, 10), name="top box", target=70.0)
        metrics = [NPS, rating("recommend"), rating("food"), aimed, rating("wifi")]
        table = period_changes(study(), metrics, headline=[NPS]).table
        families = {(row.label, row.metric): row.family for row in table.itertuples()}
        assert families == {
            ("recommend", "nps"): HEADLINE, ("recommend", "mean"): "", ("food", "mean"): "",
            ("food", "top box"): OTHERS, ("wifi", "mean"): OTHERS,
        }  # fmt: skip
        outside = table[table["family"] == ""]
        assert (outside["verdict"] == "").all()
        assert outside["p_adjusted"].isna().all()

    def test_headline_measures_are_adjusted_by_holm_and_touchpoints_by_false_discoveries(self):
        table = period_changes(study(), [NPS, *map(rating, TOUCHPOINTS)]).table
        for family, smallest in ((HEADLINE, 3), (OTHERS, 8)):
            rows = table[table["family"] == family]
            assert len(rows) == smallest
            least = rows.sort_values("p_value").iloc[0]
            # the least p-value of m tests is multiplied by m at most
            assert least["p_adjusted"] <= smallest * least["p_value"] + 1e-12
        holm = table[table["family"] == HEADLINE].sort_values("p_value")
        assert holm["p_adjusted"].iloc[0] == pytest.approx(min(1, 3 * holm["p_value"].iloc[0]))

    def test_the_interval_decides_the_verdict(self):
        shifts = {("food", "2025-Q4"): -0.6}
        table = period_changes(study(shifts=shifts), [NPS, *map(rating, TOUCHPOINTS)]).table
        known = table[table["verdict"] != ""]
        outside = (known["decided_low"] > 0) | (known["decided_high"] < 0)
        assert outside.equals(known["p_adjusted"] < 0.05)
        assert (known["verdict"] == "clear").equals(outside)
        # wider than the interval of one change alone
        assert (
            known["decided_high"] - known["decided_low"]
            >= known["ci_high"] - known["ci_low"] - 1e-9
        ).all()

    def test_a_permuted_p_value_widens_the_interval(self):
        data = study(n=25, touchpoints=("food",))
        data["food"] = np.where(np.arange(len(data)) % 25 == 0, 5.0, 9.0)
        table = period_changes(data, [rating("food")]).table
        known = table[table["verdict"] != ""]
        outside = (known["decided_low"] > 0) | (known["decided_high"] < 0)
        assert not (outside & (known["p_adjusted"] >= 0.05)).any()

    def test_clear_rows_come_first_and_then_the_largest_in_margins(self):
        shifts = {("wifi", "2025-Q4"): -1.5}
        table = period_changes(study(shifts=shifts), [NPS, *map(rating, TOUCHPOINTS)]).table
        assert table.loc[0, ["label", "verdict"]].tolist() == ["wifi", "clear"]
        size = (table["estimate"].abs() / table["margin"])[table["verdict"] == "not settled"]
        assert size.is_monotonic_decreasing

    def test_a_mean_without_a_scale_has_no_margin(self):
        table = period_changes(study(), [Metric("food", "mean")]).table
        assert table["margin"].isna().all()
        assert "no change that matters" not in set(table["verdict"])


class TestTrend:
    def test_a_line_by_hand(self):
        runs = pd.DataFrame({
            "label": "x", "metric": "nps", "period": ["2024-Q1", "2024-Q2", "2024-Q3", "2024-Q4"],
            "n": 100, "estimate": [0.0, 4.0, 2.0, 6.0], "se": 3.0, "n_eff": 101.0, "unit": "points",
        })  # fmt: skip
        from cxlab.stats.tracking.families import trends

        row = trends(runs, "2024-Q4")[0].iloc[0]
        # slope Σ(t − 1.5)·y / Σ(t − 1.5)² = 8/5, over three periods; its error 3/√5 · 3
        assert row["estimate"] == pytest.approx(3 * 8 / 5)
        assert row["se"] == pytest.approx(3 * 3 / np.sqrt(5))
        assert row["before"] == "2024-Q1"
        assert trends(runs[:3], "2024-Q3") == []
        assert trends(runs, "2025-Q1") == []

    def test_periods_that_vary_beyond_sampling_have_a_wider_error(self):
        from cxlab.stats.tracking.families import trends

        runs = pd.DataFrame({
            "label": "x", "metric": "nps", "period": [f"2024-{m:02d}" for m in range(1, 9)],
            "n": 100, "estimate": [0.0, 20.0] * 4, "se": 1.0, "n_eff": 101.0, "unit": "points",
        })  # fmt: skip
        row = trends(runs, "2024-08")[0].iloc[0]
        assert row["df"] == 6
        assert row["se"] > 10 * 7 / np.sqrt(42)

    def test_a_gap_in_the_calendar_counts(self):
        from cxlab.stats.tracking.families import trends

        runs = pd.DataFrame({
            "label": "x", "metric": "nps", "period": ["2015", "2016", "2017", "2020"], "n": 100,
            "estimate": [0.0, 1.0, 2.0, 5.0], "se": 1.0, "n_eff": 101.0, "unit": "points",
        })  # fmt: skip
        assert trends(runs, "2020")[0].iloc[0]["estimate"] == pytest.approx(5.0)


def test_without_any_change_nothing_is_called_clear():
    # the benchmark has 200 studies: python -m benchmarks tracking
    false = tests = discoveries = 0
    studies = 15
    for seed in range(studies):
        data = study(n=120, seed=1000 + seed, touchpoints=TOUCHPOINTS[:3])
        table = period_changes(data, [NPS, *map(rating, TOUCHPOINTS[:3])]).table
        clear = table[table["verdict"].isin(["clear", "smaller than its margin"])]
        false += bool((clear["family"] == HEADLINE).any())
        discoveries += bool((clear["family"] == OTHERS).any())
        tests += len(table)
    # at most 5 % each, and three standard errors of the studies
    assert tests == studies * 9
    assert false <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)
    assert discoveries <= studies * 0.05 + 3 * np.sqrt(studies * 0.05 * 0.95)


def test_the_demo_carries_its_planted_decline():
    survey = load_study("demo")
    answers = survey.read()
    changes = period_changes(
        answers, survey.metrics(period="2025-Q4"), headline=survey.headline_metrics("2025-Q4"),
        period="2025-Q4", labels=survey.labels, short=survey.short_labels, design=survey.design,
    )  # fmt: skip
    found = changes.findings()
    assert found.answer.text == (
        "Carried from 2025-Q3: Restrooms fell by 0.6 of 10 against 2024-Q4, a year before; no "
        "further change is shown since 2025-Q3"
    )
    tables = {"changes": changes.table, "headline-runs": changes.runs}
    assert unfounded(found, tables, words=[*survey.periods, "of 10"]) == []
