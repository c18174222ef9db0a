"""Repeated ratings, journeys, operational figures and first response."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab.stats.touchpoints import (
    OperationalMetric,
    compare_journeys,
    first_response,
    journey_composites,
    operational_beside_experience,
    repeated_ratings,
)

GOLDEN = Path(__file__).parent / "golden"

#: R prints seventeen digits; sums differ in order.
R_DIGITS = 1e-9
#: Interval of 300 customers around a planted correlation: about three standard errors.
PLANTED = 0.12


@pytest.fixture(scope="module")
def against_r() -> dict:
    return json.loads((GOLDEN / "association.json").read_text(encoding="utf-8"))


def waits(seed: int = 0, customers: int = 300, visits: int = 4) -> pd.DataFrame:
    """P4: heavy users wait longer and are happier, yet each wait makes its customer less happy."""
    generator = np.random.default_rng(seed)
    person = generator.normal(size=customers).repeat(visits)
    moment = generator.normal(size=customers * visits)
    noise = generator.normal(size=customers * visits) * 0.5
    return pd.DataFrame(
        {
            "customer": np.arange(customers).repeat(visits),
            "stage": np.tile(np.arange(visits), customers),
            "wait": 3 * person + moment,
            "happy": 2 * person - moment + noise,
            "account": (np.arange(customers) // 3).repeat(visits),
            "weight": generator.uniform(0.5, 2, customers).repeat(visits),
        }
    )


# repeated ratings


def test_within_person_correlation_of_bland_and_altman(against_r):
    case = against_r["bland_altman"]
    data = pd.DataFrame({name: case[name] for name in ("subject", "ph", "paco2")})
    found = repeated_ratings(data, "ph", "paco2", customer="subject", occasion="C")
    within, between = found.table.to_dict("records")
    assert within["estimate"] == pytest.approx(case["r"], abs=R_DIGITS)
    assert within["df"] == case["df"]
    assert within["p_value"] == pytest.approx(case["p"], rel=1e-6)
    # published: 95 % CI −.71 to −.23 (Bakdash & Marusich 2017)
    assert within["ci_low"] == pytest.approx(-0.71, abs=0.005)
    assert within["ci_high"] == pytest.approx(-0.23, abs=0.005)
    assert between["estimate"] == pytest.approx(case["between"], abs=R_DIGITS)


def test_a_change_of_sign_is_a_headline():
    found = repeated_ratings(waits(), "wait", "happy", customer="customer", occasion="D")
    within, between = found.table["estimate"]
    # planted: −1/√(1.25) within; between means of four: 6/√((9 + .25)(4 + .3125))
    assert within == pytest.approx(-1 / np.sqrt(1.25), abs=PLANTED)
    assert between == pytest.approx((6 - 0.25) / np.sqrt(9.25 * 4.3125), abs=PLANTED)
    made, changed = found.notes
    assert (
        made == "Occasion D (operational figure against survey); Student's t and Fisher's interval."
    )
    assert changed.startswith("the sign changes: -0.9")
    assert changed in str(found)


def test_no_headline_where_an_interval_holds_zero():
    data = waits(1, customers=12)
    data["happy"] = np.random.default_rng(3).normal(size=len(data))
    found = repeated_ratings(data, "wait", "happy", customer="customer", occasion="A")
    assert len(found.notes) == 1


def test_accounts_and_weights_take_a_bootstrap_and_no_degrees_of_freedom():
    data = waits(2)
    found = repeated_ratings(
        data,
        "wait",
        "happy",
        customer="customer",
        occasion="A",
        design={"weights": "weight", "cluster": "account"},
        replicates=300,
    )
    plain = repeated_ratings(data, "wait", "happy", customer="customer", occasion="A")
    assert found.table["df"].isna().all()
    assert (found.table["note"] == "bootstrap: no degrees of freedom").all()
    assert "bootstrap of whole clusters, 300 times" in found.notes[0]
    ratio = found.table["se"] / plain.table["se"]
    assert ratio.between(0.7, 1.6).all()


def test_the_customer_as_cluster_is_no_other_design():
    data = waits(3, customers=40)
    one = repeated_ratings(data, "wait", "happy", customer="customer", occasion="A")
    two = repeated_ratings(
        data, "wait", "happy", customer="customer", occasion="A", design={"cluster": "customer"}
    )
    pd.testing.assert_frame_equal(one.table, two.table)


def test_groups_stand_apart_and_small_ones_say_why():
    data = waits(4, customers=30)
    data["touchpoint"] = np.where(data["customer"] == 0, "chapel", "gate")
    data = data[(data["touchpoint"] == "gate") | (data["stage"] == 0)]
    found = repeated_ratings(
        data, "wait", "happy", customer="customer", occasion="A", by="touchpoint"
    ).table.set_index(["group", "part"])
    assert found.loc[("gate", "within customers"), "n"] == 29 * 4
    chapel = found.loc["chapel"]
    assert chapel["estimate"].isna().all()
    assert (chapel["note"] != "").all()


def test_a_row_without_a_customer_is_refused():
    data = waits(5, customers=10).astype({"customer": float})
    data.loc[0, "customer"] = np.nan
    with pytest.raises(ValueError, match="`customer` must be known on every row; got 1 without"):
        repeated_ratings(data, "wait", "happy", customer="customer", occasion="A")


# journeys


def test_composites_by_hand():
    data = pd.DataFrame(
        {
            "who": ["a"] * 4 + ["b"],
            "stage": [3, 1, 2, 4, 1],
            "score": [10, 6, 1, 7, 5.0],
        }
    )
    table = journey_composites(
        data, "score", customer="who", order="stage", half_life=1, neutral=5
    ).set_index("customer")
    a = table.loc["a"]
    assert (a["first"], a["worst"], a["best"], a["end"], a["mean"]) == (6, 1, 10, 7, 6)
    # 10 is five from neutral, 1 is four
    assert (a["peak"], a["peak_end"]) == (10, 8.5)
    # ages 3, 2, 1, 0 stages: weights 1/8, 1/4, 1/2, 1
    assert a["half_life"] == pytest.approx((6 / 8 + 1 / 4 + 10 / 2 + 7) / (15 / 8))
    assert (table.loc["b", ["first", "peak", "end", "half_life"]] == 5).all()


def test_half_life_of_the_golden_pair(golden_scores):
    case = golden_scores["recency.weighted"]
    ages, scores = case["inputs"]["age_days"], case["inputs"]["scores"]
    now = pd.Timestamp("2024-06-01")
    data = pd.DataFrame({"who": "a", "at": now - pd.to_timedelta(ages, "D"), "score": scores})
    table = journey_composites(data, "score", customer="who", order="at", half_life=30)
    expected = case["expected"]["composite"]
    assert table.loc[0, "half_life"] == pytest.approx(expected, abs=case["tolerance"])


def test_of_two_equal_peaks_the_later_counts():
    data = pd.DataFrame({"who": "a", "stage": [1, 2, 3], "score": [0, 10, 5]})
    table = journey_composites(data, "score", customer="who", order="stage")
    assert table.loc[0, "peak"] == 10


@pytest.mark.parametrize("winner", ["mean", "end", "peak_end", "worst"])
def test_the_composite_that_was_planted_wins(winner):
    generator = np.random.default_rng(6)
    customers, visits = 500, 5
    data = pd.DataFrame(
        {
            "who": np.arange(customers).repeat(visits),
            "stage": np.tile(np.arange(visits), customers),
            "score": generator.integers(0, 11, customers * visits).astype(float),
        }
    )
    truth = journey_composites(data, "score", customer="who", order="stage").set_index("customer")
    noise = pd.Series(generator.normal(size=customers))
    data["overall"] = data["who"].map(truth[winner] + noise)
    table = compare_journeys(data, "score", "overall", customer="who", order="stage")
    assert table.loc[0, "composite"] == winner
    assert table.loc[0, "reading"] == "best"
    assert (table["reading"] == "behind").sum() >= 5
    expected = truth[winner].var() / (truth[winner].var() + 1)
    assert table.loc[0, "ci_low"] < expected < table.loc[0, "ci_high"]


def test_composites_that_say_the_same_are_not_told_apart():
    data = waits(7, customers=100, visits=1)
    table = compare_journeys(data, "wait", "happy", customer="customer", order="stage")
    assert (table["behind"].abs() < 1e-12).sum() >= 7
    assert "behind" not in set(table["reading"])


def test_pure_noise_predicts_nothing_out_of_fold():
    generator = np.random.default_rng(8)
    data = pd.DataFrame({"who": np.arange(200).repeat(2), "stage": [0, 1] * 200})
    data["score"] = generator.normal(size=400)
    data["overall"] = generator.normal(size=200).repeat(2)
    table = compare_journeys(data, "score", "overall", customer="who", order="stage")
    assert table["estimate"].max() < 0.05


def test_journeys_refuse_what_they_cannot_order():
    data = waits(9, customers=20)
    with pytest.raises(TypeError, match="`order` must be numbers or times; got 'late'"):
        journey_composites(data.assign(at="late"), "wait", customer="customer", order="at")
    with pytest.raises(ValueError, match="`half_life` must be over 0; got 0"):
        journey_composites(data, "wait", customer="customer", order="stage", half_life=0)
    with pytest.raises(ValueError, match="`order` must be known for every rating; got 80"):
        journey_composites(data.assign(at=np.nan), "wait", customer="customer", order="at")
    with pytest.raises(
        ValueError, match="number of customers with ratings and outcome, 20; got 50"
    ):
        compare_journeys(data, "wait", "happy", customer="customer", order="stage", folds=50)


# operational figures


def episodes() -> pd.DataFrame:
    generator = np.random.default_rng(10)
    n = 600
    touchpoint = np.repeat(["check-in", "security", "contact"], n // 3)
    wait = generator.exponential(1, n) * np.repeat([4, 20, 6], n // 3)
    score = np.clip(np.round(np.repeat([4.5, 4.6, 3.0], n // 3) - wait / 20), 1, 5)
    solved = np.where(touchpoint == "contact", np.where(score >= 3, "yes", "no"), None)
    return pd.DataFrame(
        {
            "touchpoint": touchpoint,
            "wait": wait,
            "score": score,
            "solved": solved,
            "customer": np.arange(n) % 150,
        }
    )


def wanted(name: str, **changes) -> OperationalMetric:
    given = {"operational": "wait", "better": "lower", "target": 10, "unit": "minutes"}
    given |= {"experience": "score", "experience_target": 3.5} | changes
    return OperationalMetric(touchpoint=name, **given)


def test_quadrants_by_target_and_direction():
    data = episodes()
    metrics = [wanted("check-in"), wanted("security"), wanted("contact")]
    table = operational_beside_experience(data, metrics, touchpoint="touchpoint")
    assert table["quadrant"].tolist() == ["both good", "liked but slow", "efficient but disliked"]
    both_bad = operational_beside_experience(
        data, [wanted("contact", target=2)], touchpoint="touchpoint"
    )
    assert both_bad.loc[0, "quadrant"] == "both bad"


def test_one_row_holds_the_figure_the_score_and_their_association():
    data = episodes()
    row = operational_beside_experience(
        data, [wanted("security")], touchpoint="touchpoint", design={"cluster": "customer"}
    ).iloc[0]
    part = data[data["touchpoint"] == "security"]
    # the sign is turned, because a shorter wait is better
    expected = -part[["wait", "score"]].corr(method="spearman").iloc[0, 1]
    assert row["estimate"] == pytest.approx(expected)
    assert row["ci_low"] < expected < row["ci_high"]
    assert row["operational_mean"] == pytest.approx(part["wait"].mean())
    assert row["within_target"] == pytest.approx(100 * (part["wait"] <= 10).mean())
    assert row["experience_mean"] == pytest.approx(part["score"].mean())
    assert (row["n"], row["occasion"], row["unit"]) == (200, "D", "minutes")


def test_a_success_in_words_is_a_share():
    metric = wanted("contact", operational="solved", better="higher", target=0.8, success="yes")
    row = operational_beside_experience(episodes(), [metric], touchpoint="touchpoint").iloc[0]
    part = episodes().query("touchpoint == 'contact'")
    assert row["operational_mean"] == pytest.approx((part["solved"] == "yes").mean())
    assert "itself a share" in row["note"]


def test_an_interval_over_its_target_leaves_the_quadrant_unsettled():
    data = episodes()
    mean = data.query("touchpoint == 'security'")["wait"].mean()
    row = operational_beside_experience(
        data, [wanted("security", target=mean + 0.01)], touchpoint="touchpoint"
    ).iloc[0]
    assert not row["settled"]


def test_operational_input_is_refused_by_name():
    data = episodes()
    with pytest.raises(ValueError, match="`better` must be 'lower' or 'higher'; got 'less'"):
        wanted("security", better="less")
    with pytest.raises(ValueError, match="`target` must be a share from 0 to 1"):
        wanted("contact", target=80, success="yes")
    with pytest.raises(TypeError, match="`operational` must be a column of numbers"):
        operational_beside_experience(data, [wanted("contact", operational="solved")])
    with pytest.raises(ValueError, match="got none"):
        operational_beside_experience(data, [])


def test_a_touchpoint_or_success_that_does_not_occur_is_a_reason_not_a_crash():
    metrics = [wanted("securty"), wanted("contact", operational="solved", target=1, success="ja")]
    table = operational_beside_experience(episodes(), metrics, touchpoint="touchpoint")
    assert table.loc[0, "note"].startswith(
        "no 'securty'; there is 'check-in', 'contact', 'security'"
    )
    assert table.loc[0, "quadrant"] == "not known"
    assert table.loc[1, "note"].startswith("no 'ja'; there is 'no', 'yes'")
    assert table.loc[1, "operational_mean"] == 0


# first response


def test_first_response_against_r_survival(against_r):
    case = against_r["reply"]
    data = pd.DataFrame({"hours": case["time"], "replied": case["replied"]})
    table = first_response(data, "hours", replied="replied", target=5).set_index("measure")
    assert table.loc["median time", "estimate"] == case["median"]
    rate = table.loc["replied within target"]
    assert rate["estimate"] == pytest.approx(100 * case["within_5"], abs=1e-9)
    assert rate["ci_low"] == pytest.approx(100 * case["low"], abs=1e-9)
    assert rate["ci_high"] == pytest.approx(100 * case["high"], abs=1e-9)
    assert (rate["n"], rate["n_replied"], rate["n_open"]) == (10, 7, 3)


def test_whole_weights_are_repeated_contacts(against_r):
    case = against_r["reply"]
    data = pd.DataFrame({"hours": case["time"], "replied": case["replied"]})
    data["times"] = np.arange(10) % 3 + 1
    repeated = data.loc[data.index.repeat(data["times"])]
    weighted = first_response(
        data, "hours", replied="replied", target=5, design={"weights": "times"}, replicates=50
    )
    plain = first_response(repeated, "hours", replied="replied", target=5)
    assert weighted["estimate"].tolist() == pytest.approx(plain["estimate"].tolist())
    assert weighted["note"].str.contains("bootstrap of rows, 50 times").all()


def test_open_contacts_are_neither_dropped_nor_counted_as_replied():
    data = pd.DataFrame({"hours": [1, 2, 3, 48, 48, 48], "replied": [True] * 3 + [False] * 3})
    table = first_response(data, "hours", replied="replied", target=4).set_index("measure")
    assert table.loc["replied within target", "estimate"] == pytest.approx(50)
    # dropping the open ones would have said 2 hours
    assert table.loc["median time", "estimate"] == 3
    missing = table.loc["90th percentile of time"]
    assert np.isnan(missing["estimate"])
    assert missing["note"] == "not reached: fewer than 90% have a reply"


def test_clusters_and_weights_take_a_bootstrap():
    generator = np.random.default_rng(11)
    data = pd.DataFrame({"hours": generator.exponential(5, 200), "replied": "yes"})
    data["customer"], data["weight"] = np.arange(200) // 4, 1.0
    plain = first_response(data, "hours", replied="replied", target=5)
    found = first_response(
        data,
        "hours",
        replied="replied",
        target=5,
        design={"cluster": "customer", "weights": "weight"},
        replicates=200,
    )
    assert found["estimate"].to_numpy() == pytest.approx(plain["estimate"].to_numpy())
    assert (found["ci_low"] < found["estimate"]).all()
    assert (found["estimate"] < found["ci_high"]).all()
    assert found["note"].str.contains("bootstrap of clusters, 200 times").all()


def test_first_response_by_group_in_polars():
    data = pd.DataFrame(
        {"hours": [1, 2, 3, 4.0, None], "replied": [1, 1, 1, 1, 0], "channel": [*"aabb", "b"]}
    )
    table = first_response(pl.from_pandas(data), "hours", replied="replied", target=3, by="channel")
    assert table["group"].tolist() == ["a"] * 3 + ["b"] * 3
    assert table["n_missing"].tolist() == [0, 0, 0, 1, 1, 1]


def test_no_reply_to_anyone_is_a_reason_not_a_crash():
    data = pd.DataFrame({"hours": [5, 9.0], "replied": [0, 0]})
    table = first_response(data, "hours", replied="replied", target=4)
    assert table["estimate"].isna().all()
    assert set(table["note"]) == {"no reply to any contact"}


def test_first_response_input_is_refused_by_name():
    data = pd.DataFrame({"hours": [5, -1.0], "replied": [1, 0]})
    with pytest.raises(ValueError, match=r"`time` must be 0 or more; got -1.0"):
        first_response(data, "hours", replied="replied", target=4)
    with pytest.raises(ValueError, match="`target` must be over 0"):
        first_response(data, "hours", replied="replied", target=0)
    with pytest.raises(ValueError, match="`replied` must be true or false .* got 'late'"):
        first_response(
            data.abs().assign(replied=["late", "no"]), "hours", replied="replied", target=4
        )


def few_that_vary(seed, varying):
    """200 customers in 50 clusters, each twice; only a few ever change their rating."""
    generator = np.random.default_rng(seed)
    data = pd.DataFrame({"customer": np.repeat(np.arange(200), 2), "score": 4.0})
    data["flight"] = data["customer"] // 4
    data["overall"] = generator.integers(1, 6, 400).astype(float)
    chosen = generator.choice(200, varying, replace=False)
    data.loc[2 * chosen, "score"] = generator.choice([1.0, 2, 3, 5], varying)
    return data


@pytest.mark.parametrize("cluster", [None, "flight"])
@pytest.mark.parametrize("varying", [1, 2, 3])
def test_few_customers_whose_ratings_vary_find_nothing(varying, cluster):
    found = []
    for seed in range(60):
        table = repeated_ratings(
            few_that_vary(seed, varying), "score", "overall", customer="customer", occasion="A",
            design={"cluster": cluster}, replicates=100,
        ).table  # fmt: skip
        found.append(table["p_value"] < 0.05)
    # 60 studies at .07 (within) and .07 (between): three standard errors above
    assert (np.mean(found, axis=0) <= 0.07 + 3 * np.sqrt(0.07 * 0.93 / 60)).all()
    assert (table["note"] != "").any()


def test_journeys_of_customers_who_all_agree_but_one_are_not_compared():
    ratings = pd.DataFrame({"customer": np.repeat(range(60), 3), "stage": [1, 2, 3] * 60})
    ratings["score"] = np.random.default_rng(2).integers(0, 11, 180).astype(float)
    ratings["overall"] = np.where(ratings["customer"] == 0, 2.0, 9.0)
    table = compare_journeys(ratings, "score", "overall", customer="customer", order="stage")
    assert set(table["reading"]) == {"not compared"}
    assert table[["se", "ci_low", "behind_high"]].isna().all().all()
    assert table["note"].str.contains("few customers").all()
