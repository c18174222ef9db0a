import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab import (
    detectable_differences,
    load_study,
    nonresponse_table,
    retention,
    scorecard,
    study_retention,
)
from cxlab.core.metric import nps_metric
from cxlab.stats.inference import normal_quantile, score_interval, t_quantile


def scored(estimate, target=0.0, unit="points"):
    row = {"label": "x", "metric": "m", "unit": unit, "estimate": estimate, "target": target}
    return pd.DataFrame([row])


@given(st.floats(-100, 100), st.floats(0.01, 1), st.floats(-100, 100))
@settings(max_examples=30)
def test_bounds_hold_every_possible_whole(estimate, rate, silent):
    bounds = nonresponse_table(scored(estimate), response_rates=[rate]).iloc[0]
    whole = rate * estimate + (1 - rate) * silent
    assert bounds["low"] - 1e-9 <= whole <= bounds["high"] + 1e-9
    if bounds["possible"]:
        assert rate * estimate + (1 - rate) * bounds["tipping_point"] == pytest.approx(0, abs=1e-6)


def test_bounds_of_a_share_by_hand():
    # 40 % of .25, and 0 to 100 % of the others: 10 to 85 %; at 50 % if the silent are at 53.33 %
    row = nonresponse_table(scored(40.0, 50.0, "%"), response_rates=[0.25]).iloc[0]
    assert row[["low", "high", "tipping_point"]].tolist() == pytest.approx([10, 85, 160 / 3])
    assert row["possible"]


def test_where_everyone_answered_nothing_can_tip():
    row = nonresponse_table(scored(40.0), response_rates=[1]).iloc[0]
    assert (row["low"], row["high"]) == (40, 40)
    assert np.isnan(row["tipping_point"])
    assert not row["possible"]


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


def test_few_clusters_show_less():
    # five clusters have 4 degrees of freedom: t is 2.776 where 59 answers have 2.001
    rng = np.random.default_rng(0)
    answers = pd.DataFrame({"s": rng.integers(0, 11, 60), "flight": np.repeat(range(5), 12)})
    table = scorecard(answers, [nps_metric("s")], design={"cluster": "flight"}).table
    assert table["deff"].item() > 1
    half_width = detectable_differences(table)["half_width"].item()
    wanted = normal_quantile(0.95) * table["se"].item() * t_quantile(0.95, 4) / t_quantile(0.95, 59)
    assert half_width == pytest.approx(wanted, rel=1e-9)


def test_detectable_change_is_seen_in_four_of_five():
    # planted: two periods of 400, true change as large as the table says
    low, high = score_interval(160, 120, 400)
    assert high - low < 0.17
    se = 100 * np.sqrt((0.7 - 0.1**2) / 400)
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
    [(lambda: nonresponse_table(scored(1.0), response_rates=[20]), "`response_rates` must be over 0 and at most 1"),
     (lambda: retention(pd.DataFrame({"a": ["maybe"]}), "a"), "yes/no, true/false or 1/0; got 'maybe'")],
)  # fmt: skip
def test_bad_input_gets_one_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
