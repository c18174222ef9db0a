"""Whom to call, and whether calling helped: by chance, against the held out, on later answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, stdtrit
from scipy.stats import norm

from benchmarks.simulate import simulate_programme
from cxlab.stats.actions import (
    calibration,
    call_list,
    hold_out_needed,
    leaving_risk,
    loop_effect,
    loop_status,
    net_benefit,
    next_scores,
    programme_at_a_glance,
    study_follow_ups,
)
from cxlab.stats.actions.risk import separates
from cxlab.stats.inference import wilson_interval
from cxlab.stats.outcomes import follow_up
from cxlab.survey.study import load_study
from tests.unfounded import unfounded

GOLDEN = Path(__file__).parent / "golden" / "outcomes"
DIGITS = 1e-10
DAY = pd.Timestamp("2025-01-01")


@pytest.fixture(scope="module")
def demo():
    return load_study("demo")


def answered(n=300, **columns):
    rng = np.random.default_rng(1)
    return pd.DataFrame({"id": range(n), "recommend": rng.integers(0, 11, n), **columns})


def drawn(answers, **options):
    given = {"customer": "id", "score": "recommend", "rule": (0, 6), "listed_at": DAY}
    return call_list(answers, **(given | options))


def test_a_share_of_each_score_is_held_out():
    answers = pd.DataFrame({"id": range(700), "recommend": np.repeat(range(7), 100)})
    calls = drawn(answers, hold_out=0.1).calls.set_index("customer")
    held = calls["arm"].eq("held out").groupby(answers.set_index("id")["recommend"]).sum()
    assert held.between(10, 11).all()


def test_repeat_detractors_are_held_out_no_more_often_than_others():
    calls = drawn(answered(3_000), hold_out=0.1).calls
    for seed in range(1, 6):
        calls = drawn(answered(3_000), hold_out=0.1, earlier=calls, seed=seed).calls
    assert 0.08 < (calls["arm"] == "held out").mean() < 0.12


def test_who_was_held_out_stays_held_out_and_a_seed_draws_the_same():
    first = drawn(answered())
    again = drawn(answered())
    pd.testing.assert_frame_equal(first.calls, again.calls)
    held = set(first.calls.loc[first.calls["arm"] == "held out", "customer"])
    later = drawn(answered(), earlier=first.calls, seed=99)
    assert held <= set(later.calls.loc[later.calls["arm"] == "held out", "customer"])


def test_must_calls_have_no_part_in_the_draw():
    answers = answered(complaint=np.arange(300) % 3 == 0)
    calls = drawn(answers, exempt="complaint", hold_out=0.9).calls
    must = calls[calls["customer"] % 3 == 0]
    assert len(must) > 20
    assert (must["arm"] == "must call").all()


def test_capacity_lets_the_others_wait_in_random_order():
    answers = answered(shop=np.where(np.arange(300) % 2, "East", "West"))
    calls = drawn(answers, owner="shop", capacity=5, method="random_order").calls
    listed = calls[calls["arm"] == "listed"]
    assert (listed.groupby("owner").size() == 5).all()
    assert not (calls["arm"] == "held out").any()


@pytest.mark.parametrize("method", ["random_delay", "staggered_units"])
def test_half_wait_where_a_hold_out_is_refused(method):
    answers = answered(shop=(np.arange(300) % 10).astype(str))
    calls = drawn(answers, owner="shop", method=method).calls
    assert 0.35 < (calls["arm"] == "waiting").mean() < 0.65
    if method == "staggered_units":
        assert (calls.groupby("owner")["arm"].nunique() == 1).all()


def test_ids_leave_only_in_a_file_that_was_asked_for(tmp_path):
    result = drawn(answered())
    assert "customer" not in result.table
    result.write(None)
    assert not list(tmp_path.iterdir())
    result.write(tmp_path / "calls.csv")
    assert (tmp_path / "calls.csv").stat().st_mode & 0o077 == 0
    assert list(pd.read_csv(tmp_path / "calls.csv")) == [
        "customer",
        "listed_at",
        "arm",
        "owner",
        "order",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hold_out": 1.0}, "`hold_out` must be a share from 0 to below 1; got 1.0"),
        ({"capacity": 0}, "`capacity` must be 1 or more; got 0"),
        ({"method": "holdout"}, "`method` must be .* got 'holdout'. Did you mean 'hold_out'"),
        ({"method": "staggered_units"}, "`owner` must name who calls"),
        ({"earlier": pd.DataFrame({"customer": [1], "arm": ["called"]})}, "got 'called'"),
    ],
)
def test_a_list_that_cannot_be_drawn_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        drawn(answered(), **options)


def test_owners_of_few_customers_are_counted_together():
    """Three customers of an owner, all listed: their scores would be known."""
    shop = np.repeat(["East", "West", "North"], [200, 97, 3])
    answers = pd.DataFrame({"id": range(300), "recommend": 3, "shop": shop})
    drew = drawn(answers, owner="shop")
    assert set(drew.table["owner"]) == {"East", "others"}
    assert drew.table["n"].sum() == 300
    assert set(drew.calls["owner"]) == {"East", "West", "North"}
    assert set(drawn(answers, owner="shop", min_group_size=3).table["owner"]) == {*shop}


def test_customers_without_an_owner_are_listed_too():
    shop = np.repeat(np.array(["East", None], dtype=object), [200, 100])
    answers = pd.DataFrame({"id": range(300), "recommend": 3, "shop": shop})
    drew = drawn(answers, owner="shop", capacity=50)
    counts = drew.table.set_index(["owner", "arm"])["n"]
    assert counts["no owner"].sum() == 100
    assert counts["no owner", "listed"] == counts["East", "listed"] == 50
    delayed = drawn(answers, owner="shop", method="random_delay")
    later = drawn(answers.head(0), owner="shop", method="random_delay", earlier=delayed.calls)
    assert set(later.calls["owner"]) == {"East", "no owner"}


def test_a_list_shows_itself_without_what_its_findings_need():
    assert str(drawn(answered())).startswith("Whom to call, and who is held back by chance")
    assert "<table" in drawn(answered())._repr_html_()


def test_no_hold_out_is_said():
    assert drawn(answered(), hold_out=0.0).notes == (
        "Nobody is held out: the effect of calling will not be identified.",
    )


def followed(listed, held, stay=(0.8, 0.8), rng=None, days=200.0):
    rng = rng or np.random.default_rng(0)
    arm = ["listed"] * listed + ["held out"] * held
    gone = rng.random(listed + held) > np.repeat(stay, [listed, held])
    return pd.DataFrame({"arm": arm, "days_followed": np.where(gone, 30, days), "left_after": gone})


def test_agresti_and_caffo_by_hand():
    rows = pd.DataFrame(
        {"arm": ["listed"] * 10 + ["held out"] * 8, "days_followed": 100.0,
         "left_after": [True] * 2 + [False] * 8 + [True] * 4 + [False] * 4}
    ).assign(days_followed=lambda r: np.where(r["left_after"], 10.0, 100.0))  # fmt: skip
    row = loop_effect(rows, min_group_size=1).table.iloc[0]
    one, two = 9 / 12, 5 / 10
    width = 1.959963985 * np.sqrt(one * (1 - one) / 12 + two * (1 - two) / 10)
    assert row["estimate"] == pytest.approx(30)
    assert row["ci_low"] == pytest.approx(100 * (one - two - width))
    assert row["ci_high"] == pytest.approx(100 * (one - two + width))


def test_a_held_out_group_that_all_stayed_is_no_proof():
    rows = pd.DataFrame(
        {"arm": ["listed"] * 135 + ["held out"] * 15, "left_after": [True] * 15 + [False] * 135,
         "days_followed": [30.0] * 15 + [10.0] + [200.0] * 134}
    )  # fmt: skip
    row = loop_effect(rows).table.iloc[0]
    assert row["ci_low"] < 0 < row["ci_high"]


def test_a_customer_who_is_listed_twice_counts_once():
    rows = followed(100, 50).assign(customer=range(150))
    twice = pd.concat([rows, rows[:40].assign(left_after=True, days_followed=5.0)])
    pd.testing.assert_frame_equal(loop_effect(twice).table, loop_effect(rows).table)


def test_no_effect_is_found_one_time_in_twenty_against_the_held_out():
    rng = np.random.default_rng(6)
    rejected = []
    for _ in range(60):
        row = loop_effect(followed(270, 30, rng=rng)).table.iloc[0]
        rejected.append(not row["ci_low"] <= 0 <= row["ci_high"])
    # 60 at 5 %: more than 8 has probability .2 %; 1,000 studies: benchmarks/outcomes.py
    assert 1 <= np.sum(rejected) <= 8


def test_before_and_after_mistakes_chance_for_recovery():
    """What loop_effect refuses to print: detractors score higher next time, called or not."""
    rng = np.random.default_rng(12)
    loyalty = rng.normal(7, 1.5, 5_000)
    first, second = (
        np.clip(np.round(loyalty + rng.normal(0, 1.5, 5_000)), 0, 10) for _ in range(2)
    )
    low = first <= 6
    assert (second - first)[low].mean() > 0.8
    assert (second[low] >= 7).mean() > 0.3
    half = rng.random(5_000) < 0.5
    assert abs(second[low & half].mean() - second[low & ~half].mean()) < 0.2


def test_without_a_hold_out_nothing_is_identified():
    table = loop_effect(followed(100, 0)).table
    assert np.isnan(table["estimate"].iloc[0])
    assert table["note"].iloc[0] == "effect not identified: nobody was held out by chance"
    assert table["listed"].iloc[0] > 70


def test_the_silent_are_bounded():
    rows = followed(40, 20).assign(
        next_score=[8.0] * 30 + [np.nan] * 10 + [6.0] * 10 + [np.nan] * 10
    )
    table = next_scores(rows)
    assert table["estimate"].iloc[0] == pytest.approx(2)
    # 8 is above 6, 6 is not
    assert table["listed"].iloc[1] == 100
    assert table["held_out"].iloc[1] == 0
    # 30·8/40 − (10·6 + 10·10)/20, and (30·8 + 10·10)/40 − 10·6/20
    assert (table["ci_low"].iloc[-1], table["ci_high"].iloc[-1]) == pytest.approx((-2, 5.5))
    assert table["note"].iloc[-1] == "from −2.0 to +5.5, whatever the silent would have said"


def test_open_cases_are_not_forgotten():
    day = pd.Timestamp("2025-10-01")
    closed = [day + pd.Timedelta(days=d) for d in [2] * 10] + [pd.NaT] * 10
    rows = pd.DataFrame({"listed_at": [day] * 20, "closed_at": closed, "arm": "listed"})
    status = loop_status(rows, until="2025-12-31")
    assert status["estimate"].iloc[0] == pytest.approx(50)
    assert status["median_days"].iloc[0] == 2
    with pytest.raises(
        ValueError, match="`closed_at` must not be before `listed_at`; got '2025-09-01'"
    ):
        loop_status(rows.assign(closed_at=pd.Timestamp("2025-09-01")), until="2025-12-31")


def test_medians_stand_beside_their_owner_and_waiting_is_no_open_case():
    day = pd.Timestamp("2025-10-01")
    needed = {"Owner 2": 3, "Owner 10": 9}
    rows = pd.DataFrame(
        [(owner, day, day + pd.Timedelta(days=days), "listed") for owner, days in needed.items()]
        * 12
        + [("Owner 2", day, pd.NaT, "waiting")] * 12,
        columns=["owner", "listed_at", "closed_at", "arm"],
    )
    status = loop_status(rows, until="2025-12-31", by="owner").set_index("group")
    assert status["median_days"].to_dict() == needed
    assert status["n"].tolist() == [12, 12]


def test_a_customer_s_rows_are_one_for_observed_over_expected():
    rng = np.random.default_rng(30)
    true = expit(rng.normal(-1, 1, 300))
    happened = (rng.random(300) < true).astype(float)
    once = calibration(true, happened, clusters=pd.Series(range(300)))
    who = pd.Series(np.repeat(np.arange(300), 2))
    twice = calibration(np.repeat(true, 2), np.repeat(happened, 2), clusters=who)
    pd.testing.assert_frame_equal(once, twice)


def test_planning_as_in_the_plan():
    # 5 points from 70 %: 1,248 an arm
    assert hold_out_needed(0.70, 0.05, held=0.5) == 2 * 1_248
    with pytest.raises(ValueError, match="must be shares above 0"):
        hold_out_needed(0.98, 0.05)


@pytest.fixture(scope="module")
def recalibration():
    golden = pd.read_csv(GOLDEN / "golden.csv").set_index("name")["value"]
    return pd.read_csv(GOLDEN / "recalibration.csv"), golden


def test_calibration_is_that_of_r(recalibration):
    rows, golden = recalibration
    found = calibration(rows["p"].to_numpy(), rows["y"].to_numpy(float)).set_index("measure")
    assert found.loc["slope", "estimate"] == pytest.approx(golden["recal.slope"], rel=DIGITS)
    assert found.loc["slope", "se"] == pytest.approx(golden["recal.slope.se"], rel=1e-7)
    for name in ("slope", "intercept"):
        low, high = norm.interval(0.95, found.loc[name, "estimate"], found.loc[name, "se"])
        assert found.loc[name, ["ci_low", "ci_high"]].tolist() == pytest.approx([low, high])
    intercept = golden["recal.intercept_given_slope1"]
    assert found.loc["intercept", "estimate"] == pytest.approx(intercept, rel=DIGITS)
    assert found.loc["intercept", "se"] == pytest.approx(golden["recal.intercept.se"], rel=1e-7)
    assert found.loc["Brier score", "estimate"] == pytest.approx(golden["brier"], rel=DIGITS)


def test_net_benefit_is_that_of_r(recalibration):
    rows, golden = recalibration
    found = net_benefit(rows["p"].to_numpy(), rows["y"].to_numpy(float), [0.2]).iloc[0]
    assert found["model"] == pytest.approx(golden["net_benefit.20"], rel=DIGITS)
    assert found["call_all"] == pytest.approx(golden["net_benefit.all.20"], rel=DIGITS)


def programme(rng, n=4_000, later=1.0):
    """Customers who answer once, early or late, and leave with odds that fall with the score.

    ``later``: how strongly they do in the second period.
    """
    score = rng.integers(0, 11, n).astype(float)
    tenure = rng.normal(0, 1, n)
    strength = np.where(np.arange(n) < n // 2, 1.0, later)
    gone = rng.random(n) < expit(0.6 - strength * (0.35 * score + 0.4 * tenure))
    day = np.where(np.arange(n) < n // 2, DAY, DAY + pd.Timedelta(days=100))
    answers = pd.DataFrame({"id": range(n), "day": day, "recommend": score, "tenure": tenure})
    left = pd.Series(day).where(~gone, pd.Series(day) + pd.Timedelta(days=40)).where(gone)
    people = pd.DataFrame({"id": range(n), "gone": left})
    return follow_up(
        answers,
        people,
        customer="id",
        answered="day",
        left="gone",
        until=DAY + pd.Timedelta(days=400),
    )


def judged(followed, columns, **options):
    """Fitted on what was known 50 days after the first answers, of which leavers leave after 40."""
    split = DAY + pd.Timedelta(days=50)
    return leaving_risk(followed, columns, split=split, horizon=45, **options)


def test_effects_that_halved_are_found_out_in_the_later_period():
    """METHODS 8.3: the slope is .48 when effects had halved; no other customers of the same months tell."""
    slopes = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        found = judged(programme(rng, 3_000, later=0.5), ["recommend", "tenure"])
        assert not found.shown
        slopes.append(found.table["estimate"].iloc[0])
    assert 0.35 < np.mean(slopes) < 0.65


def test_what_is_not_known_at_the_split_fits_nothing():
    """Of half of those who stay until the split, who answered 20 days before it, all leave later."""
    good = programme(np.random.default_rng(20), 2_000)
    table = good.table
    recent = (table["day"] == DAY) & ~table["left_after"] & (table["id"] % 2 == 0)
    moved = table.assign(day=table["day"].mask(recent, DAY + pd.Timedelta(days=30)))
    told = moved.assign(
        left_after=table["left_after"] | recent,
        days_followed=table["days_followed"].mask(recent, 25.0),
    )
    one, other = (judged(replace(good, table=rows), ["recommend"]) for rows in (moved, told))
    pd.testing.assert_frame_equal(one.table, other.table)


def test_the_slope_of_true_probabilities_is_one():
    rng = np.random.default_rng(21)
    inside = []
    for _ in range(100):
        true = expit(rng.normal(-1, 1, 400))
        happened = (rng.random(400) < true).astype(float)
        # two rows a customer, so that errors must be clustered
        twice, who = np.repeat(true, 2), pd.Series(np.repeat(np.arange(400), 2))
        found = calibration(twice, np.repeat(happened, 2), clusters=who).set_index("measure")
        inside.append(found.loc["slope", "ci_low"] <= 1 <= found.loc["slope", "ci_high"])
    # 95 % less three standard errors; 2,000 studies: benchmarks/outcomes.py
    assert 0.885 < np.mean(inside) < 1


def test_probabilities_are_shown_once_they_have_been_right():
    rng = np.random.default_rng(20)
    found = judged(programme(rng, 8_000), ["recommend", "tenure"])
    assert found.shown
    assert "probability" in found.ranks


def test_probabilities_are_withheld_until_they_have_been_right():
    rng = np.random.default_rng(22)
    found = judged(programme(rng, 240), ["recommend", "tenure"])
    assert not found.shown
    assert "probability" not in found.ranks
    assert "not how likely" in found.notes[0]


def test_what_separates_leavers_perfectly_is_refused():
    rng = np.random.default_rng(23)
    good = programme(rng, 1_000)
    told = good.table.assign(satisfaction=np.where(good.table["left_after"], 1.0, 5.0))
    with pytest.raises(
        ValueError, match="'satisfaction': it separates who left perfectly.*Was it recorded"
    ):
        judged(replace(good, table=told), ["satisfaction", "recommend"])


def test_columns_that_separate_leavers_only_together_are_refused():
    """Neither what was paid nor what was used tells alone: their difference does."""
    rng = np.random.default_rng(23)
    good = programme(rng, 1_000)
    used = rng.normal(0, 1, len(good.table))
    paid = used + np.where(good.table["left_after"], 1.0, -1.0) * rng.uniform(0.1, 0.5, len(used))
    told = replace(good, table=good.table.assign(used=used, paid=paid))
    with pytest.raises(ValueError, match="'used' and 'paid' together: they separate who left perf"):
        judged(told, ["used", "paid"])
    assert len(judged(told, ["used", "recommend"]).table) == 4
    # one pair that ties is enough to be told, one that overlaps is not
    for gap, wrong in ((0.0, True), (-0.5, False)):
        tied = told.table.assign(paid=told.table["paid"].where(told.table.index != 3, used + gap))
        gone = bool(told.table.loc[3, "left_after"])
        tied["paid"] = tied["paid"].where(tied.index != 3, used + (gap if gone else -gap))
        assert separates(tied[["used", "paid"]].to_numpy(), tied["left_after"].to_numpy()) == wrong


def test_too_few_leavers_are_refused():
    rng = np.random.default_rng(24)
    with pytest.raises(ValueError, match="must have 10 leavers each, 20 in all; got"):
        judged(programme(rng, 70), ["recommend", "tenure"])


def test_too_few_who_stayed_are_refused():
    """Of 1,000 who nearly all leave, the few others are as many as the model knows."""
    good = programme(np.random.default_rng(24), 1_000)
    rng = np.random.default_rng(25)
    stays = good.table.index.isin(rng.choice(500, 15, replace=False)) | (good.table.index == 900)
    days = np.where(stays, 400 - 100 * (good.table.index >= 500), 40.0)
    told = replace(good, table=good.table.assign(left_after=~stays, days_followed=days))
    with pytest.raises(ValueError, match="left, all but 1 of those followed"):
        judged(told, ["recommend"])
    stays |= good.table.index >= 900
    days = np.where(stays, 400 - 100 * (good.table.index >= 500), 40.0)
    told = replace(good, table=good.table.assign(left_after=~stays, days_followed=days))
    with pytest.raises(
        ValueError, match="must have 10 customers who stayed each, 20 in all; got 15"
    ):
        judged(told, ["recommend", "tenure"])


def test_true_and_false_stand_beside_numbers():
    good = programme(np.random.default_rng(20), 2_000)
    told = good.table.assign(complained=good.table["tenure"] > 0)
    one = judged(replace(good, table=told), ["recommend", "complained"])
    other = replace(good, table=told.astype({"complained": float}))
    pd.testing.assert_frame_equal(one.table, judged(other, ["recommend", "complained"]).table)


def test_a_blank_is_nobody_who_left():
    rows = followed(100, 50)
    # not followed to the horizon
    early = ~rows["left_after"] & (rows.index % 3 == 0)
    rows["days_followed"] = rows["days_followed"].mask(early, 60.0)
    blank = rows.assign(left_after=rows["left_after"].astype(float).where(rows["left_after"] > 0))
    for method in ("hold_out", "random_delay"):
        arm = rows["arm"].replace("held out", "waiting") if method != "hold_out" else rows["arm"]
        one, other = (
            loop_effect(part.assign(arm=arm, listed_at=DAY, customer=range(150)), method=method)
            for part in (rows, blank)
        )
        pd.testing.assert_frame_equal(one.table, other.table)


def test_a_handful_on_one_side_is_hidden():
    table = loop_effect(followed(100, 9)).table
    assert table["note"].iloc[0] == "hidden: fewer than 10 customers on one side"
    assert table[["listed", "held_out", "estimate"]].isna().all(axis=None)


def test_a_hidden_hold_out_is_not_said_to_be_none():
    hidden = loop_effect(followed(100, 9)).planning
    assert hidden == "When an effect of calling could be seen is not known yet."
    assert "ever" in loop_effect(followed(100, 0)).planning
    apart = pd.concat([followed(90, 0).assign(list="a"), followed(0, 90).assign(list="b")])
    effect = loop_effect(apart, by="list")
    assert effect.table["note"].iloc[0] == "no list has both sides followed for 90 days"


def told(effect, **options):
    calls = drawn(
        answered(shop=np.where(np.arange(300) % 2, "East", "West")), owner="shop", **options
    )
    day = pd.Timestamp("2025-10-01")
    cases = pd.DataFrame(
        {"listed_at": [day] * 20, "closed_at": [day + pd.Timedelta(days=5)] * 20, "arm": "listed"}
    )
    status = loop_status(cases, until="2025-12-31")
    findings = calls.findings(status, effect)
    tables = {"call-list": calls.table, "loop-status": status, "loop-effect": effect.table}
    tables["effect-in-sight"] = effect.plan
    count = calls.table.groupby("arm")["n"].sum()
    words = ["0–6", "90 days", f"Call {count['listed']}", f"hold {count.get('held out', 0)} back"]
    assert unfounded(findings, tables, words=words) == []
    return findings


def test_no_effect_is_shown_and_what_would_show_one_is_said():
    findings = told(loop_effect(followed(270, 60)))
    assert "no effect is shown" in findings.answer.text
    assert findings.answer.certainty == "not settled"
    assert any(finding.rule == "planning" for finding in findings)
    assert any(finding.text.startswith("Calls by owner: ") for finding in findings)


def test_an_effect_is_clear_against_the_held_out():
    findings = told(loop_effect(followed(2_000, 2_000, stay=(0.8, 0.6))))
    assert findings.answer.certainty == "clear"
    assert "more of the listed" in findings.answer.text


def test_without_a_hold_out_the_answer_says_that_nothing_is_identified():
    findings = told(loop_effect(followed(100, 0)), hold_out=0.0)
    assert findings.answer.text.endswith("effect not identified: nobody was held out by chance")
    assert "back by chance" not in findings.answer.text


def test_lists_are_compared_within_themselves_and_pooled():
    """A year in which more are held out and fewer leave must not look like an effect."""
    rng = np.random.default_rng(40)
    easy = followed(900, 900, stay=(0.95, 0.95), rng=rng).assign(list="2024")
    hard = followed(2_700, 300, stay=(0.6, 0.6), rng=rng).assign(list="2025")
    both = pd.concat([easy, hard], ignore_index=True)
    raw = loop_effect(both).table.iloc[0]
    pooled = loop_effect(both, by="list").table
    assert raw["ci_high"] < 0
    assert pooled["ci_low"].iloc[0] < 0 < pooled["ci_high"].iloc[0]
    weights = np.array([450.0, 270.0])
    by_hand = weights @ pooled["estimate"].iloc[1:] / weights.sum()
    assert pooled["estimate"].iloc[0] == pytest.approx(by_hand)


def test_one_list_alone_is_as_without_lists():
    rows = followed(270, 60).assign(list="2025")
    one = loop_effect(rows, by="list").table
    pd.testing.assert_series_equal(
        one.iloc[0].drop("list"), one.iloc[1].drop("list"), check_names=False
    )
    whole = loop_effect(rows.drop(columns="list")).table.iloc[0]
    pd.testing.assert_series_equal(one.iloc[0], whole, check_names=False)


def test_a_hidden_list_is_not_given_back_by_the_others():
    rows = [followed(90, 30).assign(list="a"), followed(90, 5).assign(list="b")]
    table = loop_effect(pd.concat([*rows, followed(90, 20).assign(list="c")]), by="list").table
    assert table["note"].str.startswith("hidden").tolist() == [False, False, True, True]


def assigned(rng, method, *, lift=0.0, n=400, owners=10, spread=0.0):
    """A list drawn by a design, and who stayed: owners differ in how many of theirs do."""
    shop = rng.integers(0, owners, n)
    answers = pd.DataFrame({"id": range(n), "recommend": 3, "shop": shop.astype(str)})
    calls = drawn(answers, owner="shop", capacity=12 if method == "random_order" else None,
                  method=method, seed=int(rng.integers(1 << 30))).calls  # fmt: skip
    base = np.clip(0.7 + spread * rng.normal(size=owners), 0.05, 0.95)
    chance = base[calls["owner"].astype(int)] + lift * (calls["arm"] == "listed")
    gone = rng.random(n) > chance
    return calls.assign(days_followed=np.where(gone, 20.0, 200.0), left_after=gone)


METHODS = ["hold_out", "random_order", "random_delay", "staggered_units"]


@pytest.mark.parametrize("method", METHODS)
def test_each_design_finds_no_effect_one_time_in_twenty(method):
    rng = np.random.default_rng(50)
    spread = 0.15 if method in ("random_order", "staggered_units") else 0.0
    rejected, found = [], []
    for _ in range(24):
        row = loop_effect(assigned(rng, method, spread=spread), method=method).table.iloc[0]
        rejected.append(not row["ci_low"] <= 0 <= row["ci_high"])
        found.append(row["estimate"])
    # 2,000 studies a design: benchmarks/outcomes.py
    assert np.mean(rejected) < 0.17
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("method", METHODS)
def test_each_design_finds_an_effect(method):
    rng = np.random.default_rng(51)
    rows = [loop_effect(assigned(rng, method, lift=0.2, n=2_000), method=method).table.iloc[0]
            for _ in range(3)]  # fmt: skip
    assert np.mean([row["estimate"] for row in rows]) == pytest.approx(20, abs=4)
    assert np.mean([row["ci_low"] <= 20 <= row["ci_high"] for row in rows]) >= 0.6


def test_owners_as_units_not_their_customers():
    rng = np.random.default_rng(52)
    wrong = []
    for _ in range(15):
        rows = assigned(rng, "staggered_units", spread=0.2)
        one = loop_effect(rows, method="random_delay").table.iloc[0]
        wrong.append(not one["ci_low"] <= 0 <= one["ci_high"])
    assert np.mean(wrong) > 0.2
    few = rows[rows["owner"].isin(["0", "1"])]
    assert (
        "fewer than two owners" in loop_effect(few, method="staggered_units").table["note"].iloc[0]
    )


def test_large_owners_begin_no_sooner_than_small_ones():
    sizes = [200, 5, 5, 5]
    shop = np.repeat([str(i) for i in range(4)], sizes)
    answers = pd.DataFrame({"id": range(len(shop)), "recommend": 3, "shop": shop})
    begun = [
        "listed" in set(calls.loc[calls["owner"] == "0", "arm"])
        for calls in (drawn(answers, owner="shop", method="staggered_units", seed=s).calls
                      for s in range(30))
    ]  # fmt: skip
    assert 0.25 < np.mean(begun) < 0.75


def test_owners_who_began_stay_begun():
    answers = answered(shop=(np.arange(300) % 10).astype(str))
    first = drawn(answers, owner="shop", method="staggered_units").calls
    later = answers.assign(id=answers["id"] + 1_000)
    second = drawn(later, owner="shop", method="staggered_units", earlier=first, seed=9).calls
    began = set(first.loc[first["arm"] == "listed", "owner"])
    assert began <= set(second.loc[second["arm"] == "listed", "owner"])


def test_the_month_in_which_five_points_could_be_seen():
    """150 detractors a quarter hold out 15: 5 points from 70 % take years."""
    days = pd.to_datetime(["2025-01-15", "2025-04-15", "2025-07-15", "2025-10-15"])
    rows = followed(135, 15)
    rows["left_after"] = np.repeat([True, False, True, False], [27, 108, 4, 11])
    rows["days_followed"] = np.where(rows["left_after"], 20.0, 200.0)
    year = pd.concat([rows.assign(listed_at=day, list=str(day)) for day in days])
    effect = loop_effect(year, by="list")
    row = effect.plan.iloc[0]
    assert (row["n"], row["held_out"]) == (600, 10)
    # 450 after the first list, in 273 days
    assert row["a_month"] == pytest.approx(450 / 273 * 365.25 / 12)
    assert row["needed"] == hold_out_needed(11 / 15, 0.05, held=0.1)
    months = int(np.ceil((row["needed"] - 600) / row["a_month"]))
    # the last of them is listed then, and known 90 days later
    known = days[-1] + pd.DateOffset(months=months) + pd.Timedelta(days=90)
    assert row["month"] == f"{known:%B %Y}"
    assert effect.planning.endswith(f"it could be seen in {row['month']}.")
    # fifty days after the last list its 150 are not known yet, whoever of them has left
    span = (days[-1] + pd.Timedelta(days=50) - year["listed_at"]).dt.days
    late = year.assign(days_followed=year["days_followed"].clip(upper=span))
    assert loop_effect(late, by="list").plan["n"].iloc[0] == 450
    few = loop_effect(year[year["listed_at"] == days[0]], by="list")
    assert few.planning.endswith("so far there are 150.")
    assert "ever" in loop_effect(year[year["arm"] == "listed"]).planning


def test_the_programme_at_a_glance_and_who_acts():
    calls = drawn(answered(), hold_out=0.0)
    day = pd.Timestamp("2025-10-01")
    cases = pd.DataFrame(
        {"listed_at": [day] * 20, "closed_at": [day + pd.Timedelta(days=5)] * 20, "arm": "listed"}
    )
    response = pd.DataFrame({"estimate": [40.0], "ci_low": [37.0], "ci_high": [43.0]})
    aims = pd.DataFrame(
        {"label": ["Advocacy", "Ease"], "metric": ["nps", "net"], "estimate": [-4.0, 1.0],
         "ci_low": -12.0, "ci_high": 3.0, "unit": "points", "target": [30.0, np.nan],
         "attained": ["no", ""], "note": ""}
    )  # fmt: skip
    table = programme_at_a_glance(
        calls, loop_status(cases, until="2025-12-31"), loop_effect(followed(100, 0)), response=response,
        targets=aims,
    ).set_index("measure")  # fmt: skip
    assert list(table.index) == [
        "Response", "Coverage", "Closed in time", "Advocacy: nps", "Effect of calling",
    ]  # fmt: skip
    assert table.loc["Coverage", "estimate"] == 100
    assert table.loc["Advocacy: nps", "note"] == "missed"
    assert table.loc["Effect of calling", "note"].startswith("effect not identified")


def test_who_cannot_be_judged_makes_an_empty_result_where_asked():
    rng = np.random.default_rng(24)
    found = judged(programme(rng, 70), ["recommend", "tenure"], refuse=False)
    assert found.table["estimate"].isna().all()
    assert not found.shown
    assert "must have 10 leavers each" in found.notes[0]


def test_half_of_the_detractors_score_higher_next_time_without_a_call(demo):
    """METHODS 8.1: 50.4 %, in the demo's programme without leaving and without calls."""
    programme = simulate_programme(2_500, seed=20240101, periods=8, held_out=0.0, call_effect=0.0)
    answers = programme.relationship.dropna(subset=["recommend"])
    answers = answers.sort_values(["customer_id", "responded_at"])
    later = answers.groupby("customer_id")["recommend"].shift(-1)
    again = later[(answers["recommend"] <= 6) & later.notna()]
    assert len(again) > 400
    assert 100 * (again >= 7).mean() == pytest.approx(50.4, abs=0.1)
    # the notebook has it as the column of those held out, beside the listed
    rows = next_scores(study_follow_ups(demo)).set_index("outcome").loc["above 6 (%)"]
    assert rows["held_out"] == pytest.approx(53.3, abs=0.1)
    assert rows["ci_low"] < 0 < rows["ci_high"]


def rejects(one, two):
    spread = np.sqrt(one.var(ddof=1) / len(one) + two.var(ddof=1) / len(two))
    return abs(one.mean() - two.mean()) > 1.96 * spread


def test_naive_figures_of_calling_and_the_one_that_is_shown():
    """METHODS 8.1, calling does nothing: only listed less held out finds nothing."""
    rng = np.random.default_rng(60)
    wrong = dict.fromkeys(["before and after", "less the passives", "owners choose", "hold-out"], 0)
    gains = []
    for _ in range(30):
        loyalty = rng.normal(7, 1.5, 1_500)
        first, second = (
            np.clip(np.round(loyalty + rng.normal(0, 2.0, 1_500)), 0, 10) for _ in range(2)
        )
        low, passive = first <= 6, (first >= 7) & (first <= 8)
        gain = second - first
        gains.append(gain[low].mean())
        wrong["before and after"] += gains[-1] > 1.96 * gain[low].std() / np.sqrt(low.sum())
        wrong["less the passives"] += rejects(gain[low], gain[passive])
        # owners call whom they take to be the unhappiest
        chosen = rng.random(1_500) < expit(-0.5 * (loyalty - 6))
        wrong["owners choose"] += rejects(second[low & chosen], second[low & ~chosen])
        arm = np.where(rng.random(1_500) < 0.5, "listed", "held out")
        row = next_scores(pd.DataFrame({"arm": arm[low], "next_score": second[low]})).iloc[0]
        wrong["hold-out"] += not row["ci_low"] <= 0 <= row["ci_high"]
    assert 1.2 < np.mean(gains) < 2.2
    assert wrong["before and after"] == wrong["less the passives"] == 30
    assert wrong["owners choose"] > 6
    assert wrong["hold-out"] <= 5


def test_those_who_were_reached_stay_longer_because_they_were_there_to_be_reached():
    rng = np.random.default_rng(61)
    leaving = np.ceil(rng.exponential(120, 4_000))
    reached_on = rng.integers(1, 60, 4_000)
    reached = reached_on < leaving
    stay = leaving > 90
    assert stay[reached].mean() - stay[~reached].mean() > 0.4
    rows = pd.DataFrame(
        {"arm": np.where(rng.random(4_000) < 0.9, "listed", "held out"), "called": reached,
         "days_followed": np.minimum(leaving, 200), "left_after": leaving <= 200}
    )  # fmt: skip
    row = loop_effect(rows).table.iloc[0]
    assert row["ci_low"] < 0 < row["ci_high"]
    with pytest.raises(ValueError, match="`arm` must be one of .*; got 'called'"):
        loop_effect(rows.assign(arm=np.where(reached, "called", "held out")))


def test_capacity_of_an_owner_is_no_effect_of_calling():
    """A large owner whose customers stay can call few of them: only within owners is it fair."""
    rng = np.random.default_rng(70)
    shop = np.repeat(["A", "B"], [2_000, 110])
    answers = pd.DataFrame({"id": range(2_110), "recommend": 3, "shop": shop})
    calls = drawn(answers, owner="shop", capacity=100).calls
    gone = rng.random(len(calls)) > calls["owner"].map({"A": 0.95, "B": 0.5})
    row = loop_effect(
        calls.assign(days_followed=np.where(gone, 20.0, 200.0), left_after=gone)
    ).table.iloc[0]
    assert row["ci_low"] < 0 < row["ci_high"]


def staggered(rng, sides):
    """Two lists of four owners: 90 % stay in the first, 50 % in the second, called or not."""
    rows = []
    for number, (stay, arms) in enumerate(zip((0.9, 0.5), sides, strict=True)):
        for owner, arm in zip("abcd", arms, strict=True):
            gone = rng.random(100) > stay
            rows.append(pd.DataFrame(
                {"arm": arm, "owner": owner, "list": str(number), "left_after": gone,
                 "days_followed": np.where(gone, 20.0, 200.0)}
            ))  # fmt: skip
    return pd.concat(rows, ignore_index=True)


def test_owners_are_compared_within_lists():
    listed, waiting = "listed", "waiting"
    sides = ([listed, listed, waiting, waiting], [listed, listed, listed, waiting])
    rng, gaps = np.random.default_rng(71), []
    for _ in range(10):
        table = loop_effect(staggered(rng, sides), by="list", method="staggered_units").table
        gaps.append(table["estimate"].iloc[0])
    # raw, the second list's bad quarter falls on those who are called
    assert abs(np.mean(gaps)) < 4


def effect_of_owners(left):
    """Two owners began beside ten; of the 20 customers of each so many left."""
    rows = pd.DataFrame(
        {"owner": np.repeat(list("abcdefghijkl"), 20), "arm": ["listed"] * 40 + ["waiting"] * 200,
         "left_after": np.concatenate([np.arange(20) < one for one in left])}
    )  # fmt: skip
    rows["days_followed"] = np.where(rows["left_after"], 20.0, 200.0)
    return loop_effect(rows, method="staggered_units").table.iloc[0]


def test_few_owners_that_began_are_known_as_few():
    """Shares of 70 and 90 % beside ten of 80 and 85 % by turns: Welch's degrees of freedom, not 10."""
    left = [6, 2] + [4, 3] * 5
    row = effect_of_owners(left)
    one, other = 0.02 / 2, 10 / 9 * 0.025**2 / 10
    df = (one + other) ** 2 / (one**2 + other**2 / 9)
    assert row["se"] == pytest.approx(100 * np.sqrt(one + other))
    # of 2 and 10 that differ alike: (1/2 + 1/10)² / ((1/2)² + (1/10)²/9), fewer than Welch's
    alike = 0.6**2 / (0.5**2 + 0.1**2 / 9)
    assert alike == pytest.approx(1.4337, abs=1e-4)
    width = stdtrit(min(df, alike), 0.975) * row["se"]
    assert row["ci_high"] - row["estimate"] == pytest.approx(width)


def test_two_owners_that_began_and_happen_to_be_alike_show_nothing():
    """Shares of 95 and 90 % beside ten from 60 to 95 %."""
    left = [1, 2] + [8, 1, 5, 4, 6, 2, 7, 3, 5, 4]
    row = effect_of_owners(left)
    # Welch's 9.6 degrees of freedom put 0 below the interval
    assert row["ci_low"] < 0 < row["estimate"]


def test_owners_of_whom_one_waits_each_are_known_from_what_they_weigh():
    """Ten owners called 10 each: of nine one waits, who stayed; of one 200, of whom 150 stayed."""
    parts = []
    for number in range(10):
        waiting = 200 if number == 0 else 1
        gone = np.arange(10 + waiting) % 4 == 3
        gone[10:] = (np.arange(waiting) % 4 == 3) if waiting > 1 else False
        parts.append(pd.DataFrame(
            {"owner": str(number), "arm": ["listed"] * 10 + ["waiting"] * waiting,
             "left_after": gone, "days_followed": np.where(gone, 20.0, 200.0)}
        ))  # fmt: skip
    row = loop_effect(pd.concat(parts), method="random_order").table.iloc[0]
    weight = 1 / (1 / 10 + 1 / np.array([200] + [1] * 9))
    part = weight / weight.sum()
    size = 1 / (part**2 @ (1 / np.array([200] + [1] * 9)))
    share = part @ np.array([0.75] + [1.0] * 9)
    low, high = wilson_interval(share, size)
    # 40 customers' worth, not 209
    assert size == pytest.approx(39.72, abs=0.01)
    assert [row["held_out_low"], row["held_out_high"]] == pytest.approx([100 * low, 100 * high])


def test_owners_all_alike_have_no_interval():
    left = [False] * 40 + ([True] * 2 + [False] * 18) * 2
    rows = pd.DataFrame(
        {"owner": np.repeat(list("abcd"), 20), "arm": np.repeat(["listed", "waiting"], 40),
         "left_after": left, "days_followed": np.where(left, 20.0, 200.0)}
    )  # fmt: skip
    row = loop_effect(rows, method="staggered_units").table.iloc[0]
    assert row["estimate"] == pytest.approx(10)
    assert np.isnan(row["ci_low"])
    assert row["note"] == "no interval: owners of a side are all alike"


def test_the_first_listing_counts_whatever_the_order_of_rows():
    rows = followed(100, 50).assign(customer=range(150), listed_at=DAY)
    later = rows[:40].assign(
        left_after=True, days_followed=5.0, listed_at=DAY + pd.Timedelta(days=90)
    )
    table = loop_effect(pd.concat([later, rows])).table
    pd.testing.assert_frame_equal(table, loop_effect(rows).table)


def test_a_complaint_in_any_answer_must_be_called_and_a_blank_need_not():
    answers = pd.DataFrame(
        {"id": [*range(60), 0], "recommend": [3] * 60 + [5],
         "complaint": pd.Series([False] * 30 + [np.nan] * 30 + [True], dtype=object)}
    )  # fmt: skip
    calls = drawn(answers, exempt="complaint").calls.set_index("customer")["arm"]
    assert calls[calls == "must call"].index.tolist() == [0]
    coded = answers.assign(complaint=answers["complaint"].astype(float))
    assert (drawn(coded, exempt="complaint").calls["arm"] == "must call").sum() == 1


def test_who_was_on_a_list_before_those_that_are_pooled_has_no_part(demo):
    listed = study_follow_ups(demo, lists=2)
    first = listed.table[~listed.table["listed_before"]]
    row = loop_effect(listed, horizon=200).table.iloc[0]
    assert row["n_listed"] + row["n_held_out"] == len(first) < listed.table["customer"].nunique()


def scored(scores, gone):
    """Customers who answered before the split, and as many after it, and who of them left."""
    n = len(scores)
    day = np.repeat([DAY, DAY + pd.Timedelta(days=100)], n)
    answers = pd.DataFrame({"id": range(2 * n), "day": day, "recommend": np.tile(scores, 2)})
    left = pd.Series(day) + pd.Timedelta(days=40)
    people = pd.DataFrame({"id": range(2 * n), "gone": left.where(np.tile(gone, 2))})
    return follow_up(
        answers, people, customer="id", answered="day", left="gone",
        until=DAY + pd.Timedelta(days=400),
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["number", "text"])
def test_a_score_that_separates_leavers_but_for_one_value_is_refused(kind):
    """All at 1 and 2 left, some at 3, none above, as in IBM's Telco answers (METHODS 8.3)."""
    scores = np.repeat([1, 2, 3, 4, 5], [10, 10, 40, 100, 100])
    gone = (scores < 3) | ((scores == 3) & (np.arange(260) % 7 == 0))
    rows, named = scored(scores, gone), "'recommend'"
    if kind == "text":
        groups = pd.Series(scores).map({1: "a", 2: "b", 3: "c", 4: "b", 5: "c"})
        rows = scored(groups.to_numpy(), gone)
    with pytest.raises(
        ValueError, match=f"{named}: it separates who left perfectly, or but for ti"
    ):
        judged(rows, ["recommend"])


def test_a_column_that_does_not_vary_later_judges_nothing():
    good = programme(np.random.default_rng(20), 2_000)
    late = good.table["day"] > DAY
    told = replace(good, table=good.table.assign(tenure=good.table["tenure"].mask(late, 1.0)))
    with pytest.raises(ValueError, match="`columns` must vary from the split on too"):
        judged(told, ["tenure"])


def test_leavers_are_customers_not_their_answers():
    good = programme(np.random.default_rng(24), 70)
    twice = replace(good, table=pd.concat([good.table] * 9, ignore_index=True))
    with pytest.raises(ValueError, match="must have 10 leavers each, 20 in all; got"):
        judged(twice, ["recommend", "tenure"])


def test_who_is_still_there_is_ranked_by_the_latest_answer():
    good = programme(np.random.default_rng(20), 2_000)
    who = good.table.loc[~good.table["left_after"] & (good.table["day"] > DAY), "id"].iloc[0]
    last = good.table[good.table["id"] == who]
    # the latest answer, a 0, stands before an earlier 10
    again = [last.assign(day=last["day"] + pd.Timedelta(days=1), recommend=0.0),
             last.assign(recommend=10.0)]  # fmt: skip
    table = pd.concat([good.table[good.table["id"] != who], *again], ignore_index=True)
    ranks = judged(replace(good, table=table), ["recommend"]).ranks
    assert ranks.set_index("customer").loc[who, "rank"] < len(ranks) / 5
    assert set(ranks["customer"]).isdisjoint(table.loc[table["left_after"], "id"])


def test_only_answers_up_to_the_listing_decide_who_is_kept(demo):
    kept = study_follow_ups(demo, where={"segment": "Business"}).table
    assert len(kept) > 100
    promoters = study_follow_ups(demo, where={"recommend": [9, 10]}).table
    answers = demo.read(where={"recommend": [9, 10]}, engine="pandas")
    first = answers.groupby("customer_id")["responded_at"].min()
    assert (promoters["customer"].map(first) <= promoters["listed_at"]).all()
    # what follows, and the names of the lists, are those of all answers
    whole = study_follow_ups(demo).table.set_index(["customer", "listed_at"])
    same = whole.loc[pd.MultiIndex.from_frame(promoters[["customer", "listed_at"]])].reset_index()
    for name in ("list", "next_score"):
        assert same[name].equals(promoters[name].reset_index(drop=True))


def test_sizes_are_of_those_who_are_compared():
    """A list without a hold-out, and one that is not followed, are in no difference."""
    used = followed(270, 60).assign(list="2025")
    alone = followed(80, 0).assign(list="2024")
    recent = followed(40, 20, days=50.0).assign(list="2026", left_after=False, days_followed=50.0)
    effect = loop_effect(pd.concat([alone, used, recent]), by="list")
    row, one = effect.table.iloc[0], loop_effect(used).table.iloc[0]
    assert (row["n_listed"], row["n_held_out"]) == (270, 60)
    pd.testing.assert_series_equal(row[3:-1], one[3:-1], check_names=False)
    assert row["note"].startswith("140 customers have no part: their list has one side only")


def test_sizes_of_owners_are_of_those_who_are_compared():
    listed, waiting = "listed", "waiting"
    sides = ([listed, listed, waiting, waiting], [listed] * 4)
    rows = staggered(np.random.default_rng(71), sides)
    row = loop_effect(rows, by="list", method="staggered_units").table.iloc[0]
    assert (row["n_listed"], row["n_held_out"]) == (200, 200)
    assert row["note"].startswith("400 customers have no part")


def test_those_who_wait_are_followed_until_they_are_called():
    """Calling keeps everybody; those who waited are called after 60 days, too late for a third."""
    n, day = 200, pd.Timedelta(days=1)
    first = pd.DataFrame({"customer": range(2 * n), "listed_at": DAY})
    first["arm"] = np.repeat(["listed", "waiting"], n)
    gone = (first["arm"] == "waiting") & (first["customer"] % 3 == 0)
    first = first.assign(left_after=gone, days_followed=np.where(gone, 30.0, 300.0))
    again = first[~gone & (first["arm"] == "waiting")].assign(
        arm="listed", listed_at=DAY + 60 * day, days_followed=240.0
    )
    rows = pd.concat([first, again])
    short = loop_effect(rows, method="random_delay", horizon=50).table.iloc[0]
    assert short["held_out"] == pytest.approx(100 * (1 - gone.sum() / n))
    long = loop_effect(rows, method="random_delay", horizon=90)
    assert np.isnan(long.table["estimate"].iloc[0])
    assert long.notes[0].startswith(f"{n - gone.sum()} of those waiting were called within 90 days")
    # also where the later list is not among those that are pooled
    known = first.assign(
        called_later=again.set_index("customer")["listed_at"].reindex(range(2 * n))
    )
    alone = loop_effect(known, method="random_delay", horizon=90)
    pd.testing.assert_frame_equal(alone.table, long.table)


def test_a_delay_ends_with_the_next_list_whether_they_answer_again_or_not():
    first = drawn(answered(), method="random_delay").calls
    waited = first.loc[first["arm"] == "waiting", "customer"]
    some = (
        answered()
        .query("id < 150")
        .assign(id=lambda t: t["id"].where(t["id"] < 100, t["id"] + 500))
    )
    second = drawn(some, method="random_delay", earlier=first, seed=3).calls.set_index("customer")
    assert (second.loc[waited, "arm"] == "listed").all()
    assert (second["arm"] == "waiting").any()
    gone = first.assign(left_after=first["customer"] % 2 == 0)
    there = drawn(some, method="random_delay", earlier=gone).calls["customer"]
    assert set(there) & set(waited) == {one for one in waited if one % 2 or one in set(some["id"])}
    third = drawn(some, method="random_delay", earlier=pd.concat([first, second.reset_index()]))
    assert set(third.calls["customer"]) & set(waited) == set(waited) & set(some["id"])


def test_a_hold_out_that_answers_alike_is_no_proof():
    """Ten held out at 3, thirty listed at 2 and 6: taken as without variance it was +1.0 (.4 to 1.6)."""
    listed = np.repeat([2.0, 6.0], [15, 15])
    rows = pd.DataFrame(
        {"arm": ["listed"] * 30 + ["held out"] * 10, "next_score": [*listed, *[3.0] * 10]}
    )
    row = next_scores(rows).iloc[0]
    one, both = listed.var(ddof=1) / 30, rows["next_score"].var(ddof=1) / 10
    df = (one + both) ** 2 / (one**2 / 29 + both**2 / 9)
    width = stdtrit(df, 0.975) * np.sqrt(one + both)
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((1 - width, 1 + width))
    assert row["ci_low"] < 0
    alike = next_scores(rows.assign(next_score=np.repeat([4.0, 3.0], [30, 10]))).iloc[0]
    assert alike["estimate"] == 1
    assert np.isnan(alike["ci_low"])


def test_next_scores_of_another_scale():
    rows = followed(40, 20).assign(next_score=[4.0] * 30 + [2] * 10 + [2] * 20)
    table = next_scores(rows, scale=(1, 5), rule=(1, 2)).set_index("outcome")
    row = table.loc["above 2 (%)"]
    assert (row["listed"], row["held_out"]) == (75, 0)
    one, two = 31 / 42, 1 / 22
    width = 1.959963985 * np.sqrt(one * (1 - one) / 42 + two * (1 - two) / 22)
    assert row["ci_low"] == pytest.approx(100 * (one - two - width))
    with pytest.raises(
        ValueError, match="`scale` must hold every score and `rule`; got 0 .and 1 more. outside 1"
    ):
        next_scores(rows, scale=(1, 5))


def test_a_level_below_95_makes_nothing_clear():
    rows = followed(2_000, 2_000, stay=(0.8, 0.6))
    said = [told(loop_effect(rows, level=level)).answer.certainty for level in (0.5, 0.8, 0.95)]
    assert said == ["not settled", "likely", "clear"]
    assert loop_effect(followed(100, 4)).sides.empty
    sides = loop_effect(rows).sides
    assert sides["label"].tolist() == ["Listed", "Held out"]
    assert (sides["ci_low"] < sides["estimate"]).all()
    assert (sides["estimate"] < sides["ci_high"]).all()
