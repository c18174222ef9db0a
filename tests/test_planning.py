import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cxlab import (
    answers_for_difference,
    answers_for_interval,
    detectable_differences,
    finite_population_factor,
    load_study,
    net_variance,
    nonresponse_bounds,
    nps_posterior,
    retention,
    study_retention,
    whole_score,
)
from cxlab.stats.inference import score_interval


def test_answers_for_a_difference(golden_scores):
    entry = golden_scores["power.two_nps"]
    i = entry["inputs"]
    variances = net_variance(i["p1"], i["d1"]), net_variance(i["p2"], i["d2"])
    needed = answers_for_difference(
        0.1, variances=variances, level=1 - i["alpha"], power=i["power"]
    )
    assert needed == entry["expected"]["n_per_group"]


def test_planned_power_is_the_simulated_one(golden_scores):
    i = golden_scores["power.two_nps"]["inputs"]
    rng = np.random.default_rng(11)
    draws = [rng.multinomial(915, [p, 1 - p - d, d], 20_000)
             for p, d in ((i["p1"], i["d1"]), (i["p2"], i["d2"]))]  # fmt: skip
    scores = [(c[:, 0] - c[:, 2]) / 915 for c in draws]
    spread = sum((c[:, 0] + c[:, 2]) / 915 - s**2 for c, s in zip(draws, scores, strict=True)) / 915
    power = (np.abs(scores[1] - scores[0]) / np.sqrt(spread) > 1.959964).mean()
    assert power == pytest.approx(0.8, abs=0.012)


def test_answers_for_an_interval(golden_scores):
    entry = golden_scores["n.for.ci"]
    i = entry["inputs"]
    n = answers_for_interval(i["d"], variance=i["s2"], level=i["conf"])
    assert n == entry["expected"]["n"]
    # half promoters, half detractors, and 3/4 of each and 3/2 passives beside them
    share = (n / 2 + 0.75) / (n + 3)
    assert 1.644854 * np.sqrt(2 * share / (n + 3)) == pytest.approx(i["d"], abs=2e-4)


def test_fewer_respond_more_are_asked():
    plain = answers_for_interval(0.05)
    assert answers_for_interval(0.05, response_rate=0.25) == pytest.approx(4 * plain, abs=4)
    assert answers_for_interval(0.05, deff=2) == pytest.approx(2 * plain, abs=2)


def test_bounds_when_silent_ones_are_counted(golden_scores):
    # the page says −22; its arithmetic gives −31
    entry = golden_scores["nps.nonresponse.retently"]
    i = entry["inputs"]
    answered = 100 * (i["respondents"][0] - i["respondents"][2])
    silent = 100 * (i["nonrespondents"][0] - i["nonrespondents"][2])
    score = whole_score(answered, silent, i["response_rate"])
    assert score == pytest.approx(entry["expected"]["nps_points"])
    assert round(score) != -22


@given(st.floats(-100, 100), st.floats(0.01, 1), st.floats(-100, 100))
def test_bounds_hold_every_possible_whole(estimate, rate, silent):
    bounds = nonresponse_bounds(estimate, rate, target=0).iloc[0]
    assert bounds["low"] - 1e-9 <= whole_score(estimate, silent, rate) <= bounds["high"] + 1e-9
    if bounds["possible"]:
        assert whole_score(estimate, bounds["tipping_point"], rate) == pytest.approx(0, abs=1e-6)


def test_posterior(golden_scores):
    entry = golden_scores["nps.bayes.dirichlet"]
    found = nps_posterior(80, 50, 10).iloc[0]
    assert found["estimate"] / 100 == pytest.approx(entry["expected"]["mean"], abs=1e-9)
    assert found["se"] / 100 == pytest.approx(entry["expected"]["sd"], abs=1e-9)


def test_finite_population(golden_scores):
    entry = golden_scores["fpc.gist"]
    found = [finite_population_factor(n, entry["inputs"]["N"]) for n in entry["inputs"]["n"]]
    assert found == pytest.approx(entry["expected"]["fpc"], abs=entry["tolerance"])


def test_retention_of_customers():
    customers = pd.DataFrame({"active": [1, 1, 0, None, True, "No"]})
    found = retention(customers, "active").iloc[0]
    assert (found["n"], found["estimate"], found["n_missing"]) == (5, 60.0, 1)


def test_retention_of_the_demo_is_that_of_its_table():
    study = load_study("demo")
    customers = study.read("customers")
    found = study_retention(study).iloc[0]
    assert found["estimate"] == pytest.approx(100 * (customers["active_at_end"] == "yes").mean())


CUSTOMERS = """
[study]
name = "kept"
title = "Kept"
main = "answers"
[scales.rating]
range = [0, 10]
[tables.answers]
file = "answers.csv"
[tables.answers.columns.score]
role = "outcome"
scale = "rating"
[tables.customers]
file = "customers.csv"
[tables.customers.columns.active]
role = "active"
[tables.customers.columns.region]
role = "segment"
[tables.customers.columns.country]
role = "segment"
"""


def test_retention_of_one_segment_gives_no_small_group_of_another_back(tmp_path):
    groups = {("A", "X"): 4, ("C", "X"): 60, ("B", "Y"): 50, ("D", "Y"): 90}
    rows = [
        f"{'no' if number % 3 else 'yes'},{region},{country}"
        for (region, country), n in groups.items() for number in range(n)
    ]  # fmt: skip
    (tmp_path / "customers.csv").write_text("\n".join(["active,region,country", *rows, ""]))
    (tmp_path / "answers.csv").write_text("score\n5\n")
    (tmp_path / "study.toml").write_text(CUSTOMERS)
    found = study_retention(load_study(tmp_path)).set_index(["segment", "group"])["n"]
    # the 4 of region A are those of country X less region C
    assert found["region"].isna()["A"]
    assert found["region"].isna()["C"] or found["country"].isna()["X"]
    assert found["region"]["D"] == 90


def test_detectable_change_is_seen_in_four_of_five():
    # planted: two periods of 400, true change as large as the table says
    low, high = score_interval(160, 120, 400)
    assert high - low < 0.17
    se = 100 * np.sqrt(net_variance(0.4, 0.3) / 400)
    table = pd.DataFrame({"label": ["NPS"], "n": [400], "se": [se]})
    change = detectable_differences(table)["next_period"].item() / 100
    rng = np.random.default_rng(12)
    first = rng.multinomial(400, [0.4, 0.3, 0.3], 20_000)
    second = rng.multinomial(400, [0.4 + change / 2, 0.3, 0.3 - change / 2], 20_000)
    scores = [(c[:, 0] - c[:, 2]) / 400 for c in (first, second)]
    spread = (
        sum((c[:, 0] + c[:, 2]) / 400 - s**2 for c, s in zip((first, second), scores, strict=True))
        / 400
    )
    seen = (np.abs(scores[1] - scores[0]) / np.sqrt(spread) > 1.959964).mean()
    assert seen == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize(
    ("call", "message"),
    [(lambda: answers_for_interval(0), "`half_width` must be over 0; got 0"),
     (lambda: answers_for_interval(0.1, response_rate=20), "`response_rate` must be over 0 and at most 1"),
     (lambda: answers_for_difference(0.1, power=80), "`power` must be between 0 and 1"),
     (lambda: answers_for_difference(0), "`difference` must be over 0"),
     (lambda: net_variance(0.7, 0.5), "must be shares"),
     (lambda: nonresponse_bounds(120, 0.5), "`estimate` must be from -100 to 100; got 120"),
     (lambda: finite_population_factor(11, 10), "`n` must be from 1 to `population`"),
     (lambda: retention(pd.DataFrame({"a": ["maybe"]}), "a"), "yes/no, true/false or 1/0; got 'maybe'"),
     (lambda: nps_posterior(1, 1, 1, prior=(0, 1, 1)), "`prior` must be over 0")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
