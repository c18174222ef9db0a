"""Whether answers are fit to use: response, break-off, and every sentence about them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab import break_off, completeness, fit_for_use, load_study, response_rates
from cxlab.stats.quality.response import representativity
from tests.unfounded import unfounded


def answered(**groups):
    """Invitations: group to how many answered of how many."""
    rows = [(name, float(i < k)) for name, (k, n) in groups.items() for i in range(n)]
    return pd.DataFrame(rows, columns=["kind", "answered"])


def test_representativity_by_hand():
    # 30 of 100 and 50 of 100: both .1 from the whole rate, so SD .1 and R .8
    row = representativity(answered(a=(30, 100), b=(50, 100)), ["kind"]).iloc[0]
    assert row["estimate"] == pytest.approx(0.8)
    # chance: ½·.21·(1/99 − 1/200) + ½·.25·(1/99 − 1/200) of the variance .01
    chance = 0.23 * (1 / 99 - 1 / 200)
    assert row["adjusted"] == pytest.approx(1 - 2 * np.sqrt(0.01 - chance))


@given(st.integers(1, 39), st.integers(40, 200))
@settings(max_examples=20)
def test_groups_that_answer_alike_have_r_of_one(k, n):
    row = representativity(answered(a=(k, n), b=(2 * k, 2 * n)), ["kind"]).iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert row["adjusted"] == 1


def test_r_of_two_groups_is_their_rates_apart():
    # equal groups: the SD of two values is half of their distance
    row = representativity(answered(a=(20, 80), b=(52, 80)), ["kind"]).iloc[0]
    assert row["estimate"] == pytest.approx(1 - (52 - 20) / 80)


def test_adjusted_r_recovers_what_is_planted():
    rng, truth = np.random.default_rng(5), np.array([0.3, 0.4, 0.5, 0.4, 0.4, 0.4])
    found = []
    for _ in range(200):
        kind = np.repeat(np.arange(6), 40)
        frame = pd.DataFrame(
            {"kind": kind, "answered": (rng.random(240) < truth[kind]).astype(float)}
        )
        found.append(representativity(frame, ["kind"]).iloc[0])
    planted = 1 - 2 * truth.std()
    means = pd.DataFrame(found)[["estimate", "adjusted"]].astype(float).mean()
    # the plain R of 40 a cell is .08 too low
    assert means["adjusted"] == pytest.approx(planted, abs=0.03)
    assert means["estimate"] < planted - 0.05


def test_groups_are_crossed_while_cells_are_large_enough():
    frame = answered(a=(30, 100), b=(50, 100)).assign(many=np.arange(200) % 50)
    row = representativity(frame, ["kind", "many"]).iloc[0]
    assert (row["segments"], row["cells"]) == ("kind", 2)


def test_the_demo_has_the_rates_of_its_invitations():
    response = response_rates(load_study("demo"))
    assert response.representativity.loc[0, "estimate"] == pytest.approx(0.85, abs=0.0005)
    invited = load_study("demo").read("invitations")
    own = invited[(invited["survey_type"] == "relationship")]["status"].value_counts()
    assert response.rate["estimate"] == pytest.approx(
        100 * own["answered"] / (own["answered"] + own["invited"])
    )
    groups = response.table[response.table["segment"] == "Segment"]
    assert groups["n"].sum() == own["answered"]


def test_a_selection_that_the_frame_does_not_know_has_no_rate():
    response = response_rates(load_study("demo"), where={"overall": 10})
    assert response.table.empty
    assert response.rate is None
    of_business = response_rates(
        load_study("demo"), period="2025-Q4", where={"segment": "Business"}
    )
    assert of_business.rate["n"] == 89


RATED = pd.DataFrame({
    "a": [5.0, 4, None, 3, None], "a_missing": [None, None, "never used", None, None],
    "b": [5.0, None, None, 2, None], "b_missing": [None, "no answer", "no answer", None, "no answer"],
    "c": [5.0, None, None, None, None], "c_missing": [None, "no answer", "no answer", "don't know", None],
})  # fmt: skip


def test_break_off_by_hand():
    # the last answers are c, a, a (never used), c (don't know), and none at all
    table = break_off(RATED, ["a", "b", "c"])
    assert table["reached"].tolist() == [4, 2, 2]
    assert table["stopped"].tolist() == [2, 0, 0]
    assert table["share"].tolist() == [0.4, 0, 0]


def test_of_nothing_rated_nothing_is_complete():
    assert completeness(RATED, ["a", "b", "c"]).iloc[0].tolist() == [5, 1, 0.2, 3, 1]
    assert completeness(RATED, []).iloc[0]["complete"] == 5


@pytest.fixture(scope="module")
def demo():
    study = load_study("demo")
    return fit_for_use(study.read(period="2025-Q4"), study, period="2025-Q4")


def told(fit):
    findings = fit.findings()
    tables = {
        "answers-and-missing-reasons": fit.table, "use-of-touchpoints": fit.use,
        "straight-lining": fit.alike, "weights-and-clusters": fit.weights,
        "haste-and-repeated-respondents": fit.haste, "response-rates": fit.response.table,
        "representativity": fit.response.representativity,
    }  # fmt: skip
    assert unfounded(findings, tables) == []
    return {finding.rule: finding for finding in findings}, findings


def test_nothing_against_the_demo(demo):
    found, findings = told(demo)
    assert findings.answer.text == (
        "426 answers; nothing in the file speaks against using them. 40 % of the invited answered; "
        "whether the silent differ is not known"
    )
    assert list(found)[1:] == ["outcome missing", "least used", "size", "ends", "no benchmark"]


def test_without_invitations_the_rate_is_not_declared(demo):
    silent = replace(demo.response, table=demo.response.table.iloc[:0],
                     representativity=demo.response.representativity.iloc[:0])  # fmt: skip
    _, findings = told(replace(demo, response=silent))
    assert findings.answer.text.endswith("The response rate is not declared")


def test_a_small_response_rate_is_not_said_to_be_none(demo):
    few = replace(demo.response, table=demo.response.table.assign(estimate=0.4))
    _, findings = told(replace(demo, response=few))
    assert "0.4 % of the invited answered" in findings.answer.text


def with_missing(demo, share):
    table = demo.table.copy()
    table.loc[table["column"] == "recommend", "missing"] = share
    return replace(demo, table=table)


@pytest.mark.parametrize(("share", "care"), [(0.049, False), (0.05, True)])
def test_a_missing_outcome_asks_for_care_from_five_per_cent(demo, share, care):
    _, findings = told(with_missing(demo, share))
    assert (
        findings.answer.text.startswith("Use with care: 5.0 % have no score of Likelihood") is care
    )
    assert (findings.answer.direction == "bad") is care


@pytest.mark.parametrize(("size", "care"), [(100.0, False), (99.4, True)])
def test_few_effective_answers_ask_for_care(demo, size, care):
    _, findings = told(replace(demo, weights=demo.weights.assign(n_eff=size)))
    start = "Use with care: the answers know as much as 99 unweighted ones. 426 answers; 40 %"
    assert findings.answer.text.startswith(start) is care


@pytest.mark.parametrize(("r", "care"), [(0.8, False), (0.75, True)])
def test_groups_that_answer_unlike_one_another_ask_for_care(demo, r, care):
    found = demo.response.representativity.assign(adjusted=r)
    response = replace(demo.response, representativity=found)
    _, findings = told(replace(demo, response=response))
    start = "Use with care: groups of the invited answered unlike one another, R = 0.75"
    assert findings.answer.text.startswith(start) is care


@pytest.mark.parametrize(("share", "care"), [(0.05, False), (0.12, True)])
def test_quick_or_repeated_respondents_ask_for_care(demo, share, care):
    _, findings = told(replace(demo, haste=demo.haste.assign(share=share)))
    assert findings.answer.text.startswith("Use with care: 12 % answered more than once") is care


def test_the_worst_is_told_and_the_next_two_are_cautions(demo):
    worse = with_missing(demo, 0.3)
    worse = replace(
        worse, haste=worse.haste.assign(share=0.1), weights=worse.weights.assign(n_eff=80.0)
    )
    _, findings = told(worse)
    assert findings.answer.rule == "missing outcome"
    assert [one.rule for one in findings.of_kind("caution")] == ["quick or repeated", "few answers"]


def test_a_group_is_named_and_no_answers_are_said(demo):
    assert (
        "Segment = Business: 426 answers"
        in told(replace(demo, selection="Segment = Business"))[1].answer.text
    )
    assert told(replace(demo, n=0))[1].answer.text == "There are no answers to use"


def test_outcomes_that_all_have_are_not_ranked_by_what_is_missing(demo):
    fit = replace(demo, table=demo.table.assign(missing=0.0))
    sentences = [finding.text for finding in told(fit)[1]]
    assert "Every answer has a score of every headline outcome" in sentences
    fit = replace(fit, outcomes=fit.outcomes[:1])
    name = fit.names[fit.outcomes[0]]
    assert f"Every answer has a score of {name}" in [one.text for one in told(fit)[1]]
