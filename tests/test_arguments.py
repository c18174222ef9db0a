"""Natural slips in the arguments of estimators: one name for a list, a list for one name."""

import numpy as np
import pandas as pd
import pytest

import cxlab
from cxlab import drivers
from cxlab.core.metric import nps_metric

rng = np.random.default_rng(0)
ANSWERS = pd.DataFrame(
    rng.integers(0, 11, (300, 4)), columns=["overall", "recommend", "food", "wifi"]
)
ANSWERS = ANSWERS.assign(
    food_missing=None,
    wifi_missing=None,
    kind=rng.choice(["south", "north"], 300),
    period=np.repeat(["2024", "2025"], 150),
)

ONE_OR_SEVERAL = {
    "compare_segments": lambda one: cxlab.compare_segments(ANSWERS, "recommend", one("kind")),
    "scorecard": lambda one: cxlab.scorecard(ANSWERS, one(nps_metric("recommend"))).table,
    "usage": lambda one: cxlab.usage(ANSWERS, one("food")).table,
    "completeness": lambda one: cxlab.completeness(ANSWERS, one("food")),
    "break_off": lambda one: cxlab.break_off(ANSWERS, one("food")),
    "straight_lining": lambda one: cxlab.straight_lining(ANSWERS, one("food"), min_answered=1),
    "repeated_answers": lambda one: cxlab.repeated_answers(ANSWERS, one("food"), min_answered=1),
    "journey_table": lambda one: cxlab.journey_table(ANSWERS, "overall", {"Eating": one("food")}),
    "driver_changes": lambda one: (
        cxlab.driver_changes(
            ANSWERS,
            "overall",
            one("food"),
            analyse=drivers,
            periods=["2025", "2024"],
            replicates=20,
        ).table
    ),
}


@pytest.mark.parametrize("name", ONE_OR_SEVERAL)
def test_one_name_is_a_list_of_one(name):
    call = ONE_OR_SEVERAL[name]
    pd.testing.assert_frame_equal(call(lambda one: one), call(lambda one: [one]))


WRONG = {
    "`metrics` must be .* got 'recommend' .and 1 more. in a list": lambda: cxlab.scorecard(
        ANSWERS, ["recommend", "overall"]
    ),
    "`outcome` must be the name of one column; got .'overall', 'recommend'.": lambda: drivers(
        ANSWERS, ["overall", "recommend"], ["food"]
    ),
    "`outcome` must be the name of one column; got None": lambda: cxlab.penalty_reward(
        ANSWERS, None, ["food"], cuts={"food": (3, 8)}
    ),
    "`by` must be the name of one column; got .'kind'.": lambda: cxlab.compare_groups(
        ANSWERS, "recommend", by=["kind"]
    ),
    "`stages` must be a mapping .* got list": lambda: cxlab.journey_table(
        ANSWERS, "overall", ["food"]
    ),
    "`periods` must be two different periods .* got 2025": lambda: cxlab.compare_periods(
        ANSWERS, "recommend", periods="2025"
    ),
    "`periods` must be two different periods .* got 2024": lambda: cxlab.mix_and_performance(
        ANSWERS, "recommend", by="kind", periods=2024
    ),
}


@pytest.mark.parametrize("message", WRONG)
def test_another_kind_of_argument_is_refused_in_a_sentence(message):
    with pytest.raises((TypeError, ValueError), match=message):
        WRONG[message]()


@pytest.mark.parametrize("estimate", [
    lambda data: drivers(data, "overall", ["food", "wifi"]),
    lambda data: cxlab.touchpoint_correlations(data, "overall", ["food"], occasion="A"),
    lambda data: cxlab.nps(data, "recommend"),
])  # fmt: skip
def test_a_column_that_stands_twice_is_refused(estimate):
    twice = ANSWERS.rename(columns={"wifi": "food"})
    with pytest.raises(ValueError, match="`data` must have each column once; got 'food' twice"):
        estimate(twice)
