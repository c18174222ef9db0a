"""Repeated ratings, journeys, operational figures and first response."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab.stats.inference import wilson_interval
from cxlab.stats.touchpoints import (
    compare_journeys,
    first_response,
    first_response_table,
    journey_table,
    operational_table,
)
from cxlab.stats.touchpoints.journeys import composites
from cxlab.stats.touchpoints.operational import beside_experience
from cxlab.stats.touchpoints.repeated import repeated_ratings
from cxlab.survey.definition import Operational
from cxlab.survey.study import load_study

GOLDEN = Path(__file__).parent / "golden"

#: R prints seventeen digits; sums differ in order.
R_DIGITS = 1e-9
#: Interval of 300 customers around a planted correlation: about three standard errors.
PLANTED = 0.12


@pytest.fixture(scope="module")
def against_r() -> dict:
    return json.loads((GOLDEN / "association.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def demo():
    return load_study("demo")


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
        }
    )


# repeated ratings


def test_within_person_correlation_of_bland_and_altman(against_r):
    case = against_r["bland_altman"]
    data = pd.DataFrame({name: case[name] for name in ("subject", "ph", "paco2")})
    found = repeated_ratings(data, "ph", "paco2", customer="subject")
    within, between = found.to_dict("records")
    assert within["estimate"] == pytest.approx(case["r"], abs=R_DIGITS)
    assert within["df"] == case["df"]
    assert within["p_value"] == pytest.approx(case["p"], rel=1e-6)
    # published: 95 % CI −.71 to −.23 (Bakdash & Marusich 2017)
    assert within["ci_low"] == pytest.approx(-0.71, abs=0.005)
    assert within["ci_high"] == pytest.approx(-0.23, abs=0.005)
    assert between["estimate"] == pytest.approx(case["between"], abs=R_DIGITS)


def test_a_change_of_sign_is_a_headline():
    found = repeated_ratings(waits(), "wait", "happy", customer="customer")
    within, between = found["estimate"]
    # planted: −1/√(1.25) within; between means of four: 6/√((9 + .25)(4 + .3125))
    assert within == pytest.approx(-1 / np.sqrt(1.25), abs=PLANTED)
    assert between == pytest.approx((6 - 0.25) / np.sqrt(9.25 * 4.3125), abs=PLANTED)
    assert set(found["reading"]) == {"the sign changes"}


def test_no_headline_where_an_interval_holds_zero():
    data = waits(1, customers=12)
    data["happy"] = np.random.default_rng(3).normal(size=len(data))
    found = repeated_ratings(data, "wait", "happy", customer="customer")
    assert set(found["reading"]) == {""}


def test_groups_stand_apart_and_small_ones_say_why():
    data = waits(4, customers=30)
    data["touchpoint"] = np.where(data["customer"] == 0, "chapel", "gate")
    data = data[(data["touchpoint"] == "gate") | (data["stage"] == 0)]
    found = repeated_ratings(data, "wait", "happy", customer="customer", by="touchpoint").set_index(
        ["group", "part"]
    )
    assert found.loc[("gate", "within customers"), "n"] == 29 * 4
    chapel = found.loc["chapel"]
    assert chapel["estimate"].isna().all()
    assert (chapel["note"] != "").all()


# journeys


def test_composites_by_hand():
    ratings = np.array([[6, 1, 10, 7], [5, np.nan, np.nan, np.nan]])
    found = composites(ratings)
    a, b = ({name: values[i] for name, values in found.items()} for i in (0, 1))
    assert (a["first"], a["worst"], a["best"], a["end"], a["mean"]) == (6, 1, 10, 7, 6)
    # the middle is 5.5: 10 and 1 are as far, and the later counts
    assert (a["peak"], a["peak and end"]) == (10, 8.5)
    # 3, 2, 1, 0 steps before the last: weights 1/8, 1/4, 1/2, 1
    assert a["half-life"] == pytest.approx((6 / 8 + 1 / 4 + 10 / 2 + 7) / (15 / 8))
    assert set(b.values()) == {5}


def test_touchpoints_that_were_not_rated_are_passed_over():
    found = composites(np.array([[np.nan, 2, np.nan, 8, np.nan]]))
    assert (found["first"][0], found["end"][0], found["mean"][0]) == (2, 8, 5)
    # two steps before the last rating: weights 1/4 and 1
    assert found["half-life"][0] == pytest.approx((2 / 4 + 8) / (5 / 4))


def test_of_two_equal_peaks_the_later_counts():
    assert composites(np.array([[0, 10, 5.0]]))["peak"][0] == 10


def journeys(seed: int, customers: int, visits: int) -> tuple[pd.DataFrame, list[str]]:
    names = [f"t{i}" for i in range(visits)]
    scores = np.random.default_rng(seed).integers(0, 11, (customers, visits)).astype(float)
    return pd.DataFrame(scores, columns=names), names


@pytest.mark.parametrize("winner", ["mean", "end", "peak and end", "worst"])
def test_the_composite_that_was_planted_wins(winner):
    data, names = journeys(6, 500, 5)
    truth = composites(data.to_numpy())[winner]
    data["overall"] = truth + np.random.default_rng(7).normal(size=500)
    table = compare_journeys(data, names, "overall")
    assert table.loc[0, "composite"] == winner
    assert table.loc[0, "reading"] == "best"
    assert (table["reading"] == "behind").sum() >= 5
    expected = truth.var() / (truth.var() + 1)
    assert table.loc[0, "ci_low"] < expected < table.loc[0, "ci_high"]


def test_composites_that_say_the_same_are_not_told_apart():
    data, names = journeys(7, 100, 1)
    data["overall"] = data["t0"] + np.random.default_rng(7).normal(size=100)
    table = compare_journeys(data, names, "overall")
    assert (table["behind"].abs() < 1e-12).sum() >= 7
    assert "behind" not in set(table["reading"])


def test_pure_noise_predicts_nothing_out_of_fold():
    data, names = journeys(8, 200, 2)
    data["overall"] = np.random.default_rng(9).normal(size=200)
    assert compare_journeys(data, names, "overall")["estimate"].max() < 0.05


def test_fewer_customers_than_folds_are_not_compared():
    data, names = journeys(9, 7, 3)
    row = compare_journeys(data.assign(overall=data["t0"]), names, "overall").iloc[0]
    assert row["n"] == 7
    assert row["note"].startswith("not compared: fewer customers")


def test_journeys_of_one_customer_are_held_out_together():
    # of 40 customers with ten journeys each, a customer's taste is in the ratings and the outcome
    inside, wider = 0, 0
    for seed in range(40):
        generator = np.random.default_rng([20261201, seed])
        who = np.repeat(np.arange(40), 10)
        data = pd.DataFrame({"who": who, "t0": generator.normal(size=40)[who]})
        data["overall"] = generator.normal(size=40)[who] + 0.1 * generator.normal(size=400)
        known = compare_journeys(data, ["t0"], "overall", design={"cluster": "who"}).iloc[0]
        alone = compare_journeys(data, ["t0"], "overall").iloc[0]
        # the taste has nothing to do with the rating: nothing is predicted
        inside += known["ci_low"] <= 0
        wider += known["se"] > 1.5 * alone["se"]
    assert inside >= 37
    assert wider >= 36


def test_a_customer_with_one_journey_each_needs_no_design():
    data, names = journeys(6, 80, 3)
    data["overall"] = data["t2"] + np.random.default_rng(7).normal(size=80)
    plain = compare_journeys(data, names, "overall")
    one_each = data.assign(who=[f"c{i:02d}" for i in range(80)])
    known = compare_journeys(one_each, names, "overall", design={"cluster": "who"})
    pd.testing.assert_frame_equal(plain, known)


def test_stages_by_hand():
    data = pd.DataFrame(
        {
            "overall": [4, 2, 5, 3],
            "shop": [4, 1, 5, 2],
            "till": [2, 3, None, 4],
            "door": [5, 5, 4, 4],
        }
    )
    stages = {"Buying": ["shop", "till"], "Leaving": ["door"]}
    table = journey_table(data, "overall", stages, min_group_size=1)
    assert table["level"].tolist() == ["whole", "stage", *["touchpoint"] * 2, "stage", "touchpoint"]
    assert table["touchpoint"].tolist() == ["", "", "shop", "till", "", "door"]
    assert table["stage"].tolist() == ["", *["Buying"] * 3, *["Leaving"] * 2]
    # buying: means 3, 2, 5, 3 of the ratings that each gave
    assert table["estimate"].tolist() == pytest.approx([3.5, 3.25, 3, 3, 4.5, 4.5])
    assert table["n"].tolist() == [4, 4, 4, 3, 4, 4]
    expected = np.corrcoef([3, 2, 5, 3], data["overall"])[0, 1]
    assert table.loc[1, "r"] == pytest.approx(expected)
    assert table.loc[3, "r"] == pytest.approx(np.corrcoef([2, 3, 4], [4, 2, 3])[0, 1])
    assert np.isnan(table.loc[0, "r"])


def test_a_stage_of_few_is_hidden():
    data, names = journeys(10, 60, 3)
    data["overall"] = data["t0"]
    data.loc[4:, "t2"] = np.nan
    table = journey_table(data, "overall", {"First": names[:2], "Last": names[2:]})
    hidden = table["stage"] == "Last"
    assert table.loc[hidden, ["n", "estimate", "r"]].isna().all().all()
    assert table.loc[hidden, "note"].tolist() == ["hidden: fewer than 10 answers"] * 2
    assert table.loc[~hidden, "estimate"].notna().all()
    with pytest.raises(ValueError, match="`stages` must hold one stage or more; got none"):
        journey_table(data, "overall", {})


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


def wanted(name: str, **changes) -> Operational:
    given = {"column": "wait", "better": "lower", "target": 10, "unit": "minutes"}
    given |= {"experience": "score", "experience_target": 3.5} | changes
    return Operational(touchpoint=name, **given)


def test_quadrants_by_target_and_direction():
    data = episodes()
    metrics = [wanted("check-in"), wanted("security"), wanted("contact")]
    table = beside_experience(data, metrics, touchpoint="touchpoint")
    assert table["quadrant"].tolist() == ["both good", "liked but slow", "efficient but disliked"]
    both_bad = beside_experience(data, [wanted("contact", target=2)], touchpoint="touchpoint")
    assert both_bad.loc[0, "quadrant"] == "both bad"


def test_one_row_holds_the_figure_the_score_and_their_association():
    data = episodes()
    row = beside_experience(
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
    metric = wanted("contact", column="solved", better="higher", target=0.8, success="yes")
    row = beside_experience(episodes(), [metric], touchpoint="touchpoint").iloc[0]
    part = episodes().query("touchpoint == 'contact'")
    assert row["operational_mean"] == pytest.approx((part["solved"] == "yes").mean())
    assert "itself a share" in row["note"]


def test_an_interval_over_its_target_leaves_the_quadrant_unsettled():
    data = episodes()
    mean = data.query("touchpoint == 'security'")["wait"].mean()
    row = beside_experience(
        data, [wanted("security", target=mean + 0.01)], touchpoint="touchpoint"
    ).iloc[0]
    assert not row["settled"]


def test_operational_input_is_refused_by_name():
    data = episodes()
    with pytest.raises(TypeError, match="`operational` must be a column of numbers"):
        beside_experience(data, [wanted("contact", column="solved")])


def test_a_touchpoint_or_success_that_does_not_occur_is_a_reason_not_a_crash():
    metrics = [wanted("securty"), wanted("contact", column="solved", target=1, success="ja")]
    table = beside_experience(episodes(), metrics, touchpoint="touchpoint")
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
    table = first_response(data, "hours", replied="replied", target=5, min_group_size=1).set_index(
        "measure"
    )
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
        data, "hours", replied="replied", target=5, design={"weights": "times"}, replicates=50,
        min_group_size=1,
    )  # fmt: skip
    plain = first_response(repeated, "hours", replied="replied", target=5)
    assert weighted["estimate"].tolist() == pytest.approx(plain["estimate"].tolist())
    assert weighted["note"].str.contains("bootstrap of rows, 50 times").all()


def test_open_contacts_are_neither_dropped_nor_counted_as_replied():
    data = pd.DataFrame({"hours": [1, 2, 3, 48, 48, 48], "replied": [True] * 3 + [False] * 3})
    table = first_response(data, "hours", replied="replied", target=4, min_group_size=1).set_index(
        "measure"
    )
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


@pytest.mark.parametrize(("target", "share"), [(10, 100.0), (0.5, 0.0)])
@pytest.mark.parametrize(
    ("design", "size"), [(None, 40), ({"weights": "w"}, 36), ({"cluster": "c"}, 20)]
)
def test_a_rate_of_all_or_none_has_an_interval_that_is_not_zero_wide(target, share, design, size):
    data = pd.DataFrame(
        {"hours": np.linspace(1, 9, 40), "w": [1.0, 2] * 20, "c": np.arange(40) // 2}
    )
    rate = first_response(data, "hours", target=target, design=design, replicates=20).iloc[-1]
    # Wilson's limit of all of n: n / (n + z²); 36 is (20 + 40)² / (20 + 80)
    reach = 100 * 1.959964**2 / (size + 1.959964**2)
    assert rate["estimate"] == share
    assert rate["ci_high"] - rate["ci_low"] == pytest.approx(reach, rel=1e-6)
    assert "interval from their number alone" in rate["note"]
    assert "nothing was followed" not in rate["note"]


@pytest.mark.parametrize("design", [None, {"weights": "w"}, {"cluster": "c"}])
@pytest.mark.parametrize(("n", "limited"), [(34, False), (36, True)])
def test_a_dozen_quick_replies_do_not_say_that_no_other_takes_longer(n, limited, design):
    # of n from below the 90th percentile none is above it with .9**n: .028 of 34, .023 of 36;
    # Wilson's limit of none of n is z²/(n + z²): .101 and .096
    data = pd.DataFrame({"hours": np.arange(1.0, n + 1), "w": 1.0, "c": np.arange(n)})
    row = first_response(data, "hours", target=5, design=design).iloc[1]
    assert np.isfinite(row["ci_high"]) == limited
    assert row["ci_low"] < row["estimate"]
    assert ("no upper limit: too few contacts" in row["note"]) != limited


def test_a_rate_of_nearly_all_is_not_known_from_its_resamples():
    """In 29 of 30 resamples the one late reply was drawn twice at most: 90 to 100 %."""
    data = pd.DataFrame({"hours": [1.0] * 29 + [9.0], "w": 1.0})
    row = first_response(data, "hours", target=5, design={"weights": "w"}).iloc[-1]
    low, high = wilson_interval(29 / 30, 30)
    assert row["ci_low"] == pytest.approx(100 * low, abs=2)
    assert row["ci_high"] == pytest.approx(100 * high, abs=1)


def test_few_clusters_reach_as_far_as_t():
    """With two clusters the percentiles of their bootstrap were 0 points apart."""
    generator = np.random.default_rng(4)
    firm = np.repeat(np.arange(6), 20)
    data = pd.DataFrame({"hours": np.exp(2 + generator.normal(0, 0.4, 6)[firm]), "firm": firm})
    data["hours"] *= np.exp(generator.normal(0, 0.6, 120))
    found = first_response(data, "hours", target=10, design={"cluster": "firm"}).iloc[-1]
    half = (found["ci_high"] - found["ci_low"]) / 2
    # t on 5 degrees of freedom is 2.57; percentiles as they are reach 1.96
    assert half / found["se"] > 2.2


def test_first_response_in_polars():
    data = pd.DataFrame({"hours": [1, 2, 3, 4.0, None], "replied": [1, 1, 1, 1, 0]})
    options = {"replied": "replied", "target": 3, "min_group_size": 1}
    table = first_response(pl.from_pandas(data), "hours", **options)
    assert table["n_missing"].tolist() == [1, 1, 1]
    pd.testing.assert_frame_equal(table, first_response(data, "hours", **options))


def contacts(seed: int = 12) -> pd.DataFrame:
    return pd.DataFrame({"hours": np.random.default_rng(seed).exponential(5, 240)})


def test_few_contacts_in_all_are_hidden():
    table = first_response(contacts().head(9), "hours", target=4)
    assert table[["n", "n_replied", "n_open", "n_missing", "estimate"]].isna().all(axis=None)
    assert set(table["note"]) == {"hidden: fewer than 10 answers"}
    assert table["measure"].notna().all()


def test_without_replied_every_time_is_that_of_a_reply():
    data = contacts()
    table = first_response(data, "hours", target=4).set_index("measure")
    assert table.loc["median time", "estimate"] == np.sort(data["hours"])[119]
    rate = table.loc["replied within target", "estimate"]
    assert rate == pytest.approx(100 * (data["hours"] <= 4).mean())
    assert (table["n_open"] == 0).all()


def test_times_of_the_study_stand_against_their_own_targets(demo):
    table = first_response_table(demo, period="2025-Q4", replicates=20)
    targets = table.drop_duplicates("touchpoint").set_index("touchpoint")["target"]
    assert targets.to_dict() == {
        "check_in": 8, "security_screening": 12, "boarding": 15, "baggage_claim": 15,
    }  # fmt: skip
    assert table["measure"].tolist()[:3] == [
        "median time", "90th percentile of time", "replied within target",
    ]  # fmt: skip
    assert set(table["unit"]) == {"minutes", "%"}


def test_operational_figures_of_few_rows_are_hidden(demo, tmp_path):
    shown = operational_table(demo, period="2025-Q4")
    assert shown["operational_mean"].notna().all()
    strict = replace(demo, definition=replace(demo.definition, min_group_size=10_000))
    hidden = operational_table(strict, period="2025-Q4")
    assert hidden[["n", "estimate", "operational_mean", "experience_mean"]].isna().all().all()
    assert hidden["touchpoint"].tolist() == shown["touchpoint"].tolist()


def test_no_reply_to_anyone_is_a_reason_not_a_crash():
    data = pd.DataFrame({"hours": [5, 9.0], "replied": [0, 0]})
    table = first_response(data, "hours", replied="replied", target=4, min_group_size=1)
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
    """200 customers, each twice; only a few ever change their rating."""
    generator = np.random.default_rng(seed)
    data = pd.DataFrame({"customer": np.repeat(np.arange(200), 2), "score": 4.0})
    data["overall"] = generator.integers(1, 6, 400).astype(float)
    chosen = generator.choice(200, varying, replace=False)
    data.loc[2 * chosen, "score"] = generator.choice([1.0, 2, 3, 5], varying)
    return data


@pytest.mark.parametrize("varying", [1, 2, 3])
def test_few_customers_whose_ratings_vary_find_nothing(varying):
    found = []
    for seed in range(24):
        table = repeated_ratings(
            few_that_vary(seed, varying), "score", "overall", customer="customer"
        )
        found.append(table["p_value"] < 0.05)
    # 24 studies at .07 (within) and .07 (between): three standard errors above
    assert (np.mean(found, axis=0) <= 0.07 + 3 * np.sqrt(0.07 * 0.93 / 24)).all()
    assert (table["note"] != "").any()


def test_journeys_of_customers_who_all_agree_but_one_are_not_compared():
    data, names = journeys(2, 60, 3)
    data["overall"] = np.where(data.index == 0, 2.0, 9.0)
    table = compare_journeys(data, names, "overall")
    assert set(table["reading"]) == {"not compared"}
    assert table[["se", "ci_low", "behind_high"]].isna().all().all()
    assert table["note"].str.contains("few customers").all()


def test_customers_who_repeat_their_answer_do_not_narrow_the_interval_within():
    # of 100 customers 15 vary: independent ratings were significant in half of the studies
    generator = np.random.default_rng(20261130)
    p_values = []
    for _ in range(40):
        varies = np.repeat(np.arange(100) < 15, 2)
        ratings = np.where(varies[:, None], generator.integers(0, 11, (200, 2)), 10)
        data = pd.DataFrame(ratings, columns=["x", "y"]).assign(who=np.repeat(np.arange(100), 2))
        within = repeated_ratings(data, "x", "y", customer="who").iloc[0]
        p_values.append(within["p_value"])
    # 5 % and three standard errors of 40 studies
    assert np.mean(np.array(p_values) < 0.05) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 40)


def test_what_varies_unevenly_is_wider_by_hand():
    # three of twenty-two customers vary
    rows = [(0, 0, 1), (0, 8, 7), (1, 0, 1), (1, 2, 4), (2, 5, 5), (2, 5, 6)]
    rows += [(who, rating, rating) for who in range(3, 22) for rating in (9, 9)]
    data = pd.DataFrame(rows, columns=["who", "x", "y"])
    within = repeated_ratings(data, "x", "y", customer="who").iloc[0]
    # squares about the means: x 32, 2, 0, y 18, 4.5, .5; products 24, 3, 0
    xx, yy, xy, df = 34.0, 23.0, 27.0, 44 - 22 - 1
    r = xy / np.sqrt(xx * yy)
    # twenty-two customers of two pairs; chance alone may make more of r² than there is
    uneven = np.sqrt((32 * 18 + 2 * 4.5) * 22 / (xx * yy))
    assert within["estimate"] == pytest.approx(r)
    assert within["se"] == pytest.approx(uneven * (1 - r**2) / np.sqrt(df - 1))


def test_customers_who_vary_alike_are_as_bland_and_altman_say():
    generator = np.random.default_rng(20261130)
    found = []
    for _ in range(60):
        felt = generator.normal(size=(120, 1))
        data = pd.DataFrame(0.7 * felt + 0.7 * generator.normal(size=(120, 2)), columns=["x", "y"])
        data["who"] = np.repeat(np.arange(40), 3)
        within = repeated_ratings(data, "x", "y", customer="who").iloc[0]
        found.append(within["se"] / ((1 - within["estimate"] ** 2) / np.sqrt(within["df"] - 1)))
    assert np.mean(found) < 1.15
