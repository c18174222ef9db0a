"""What a comparison of tNPS and rNPS says, rule by rule."""

from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest

from benchmarks.simulate import simulate_programme
from cxlab import load_study
from cxlab.stats.comparison import compare_tnps_rnps, programme_tables
from cxlab.stats.comparison.findings import GAP_CELLS
from cxlab.stats.comparison.gaps import ALIKE, COLLECTED, PAIRED, gaps_table, with_decisions
from cxlab.stats.comparison.quantities import GAP_LESS
from tests.unfounded import unfounded

#: Scores of the mechanisms that make a gap, all off.
NO_GAP = {
    "periods": 1, "context_shift": 0.0, "wording_effect": 0.0, "channel_effect": 0.0,
    "delay_effect": 0.0, "touchpoint_effect": 0.0, "use_on_loyalty": 0.0,
    "transactional_quarantine": 0.0, "relationship_quarantine": 0.0,
}  # fmt: skip


def recorded(result):
    names = ("gaps", "estimates", "decomposition", "identity", "paired")
    return {name: getattr(result, name) for name in names}


@cache
def demo():
    """The fourth quarter of 2025: a raw gap, and not enough to say more."""
    tables = programme_tables(load_study("demo"))
    return compare_tnps_rnps(**tables, periods="2025-Q4", replicates=60)


def with_gaps(result, **changes):
    """The result with estimate and standard error of some gaps, by name, and all that follows."""
    gaps = result.gaps.set_index("gap")
    for name, (estimate, se) in changes.items():
        row = {"raw": COLLECTED, "alike": ALIKE, "pairs": PAIRED}[name]
        gaps.loc[row, ["estimate", "se", "df"]] = estimate, se, np.inf
    gaps = with_decisions(gaps, gaps["estimate"].notna(), "holm", gaps["df"]).reset_index()
    return replace(result, gaps=gaps)


def with_terms(result, name, **cells):
    terms = result.decomposition.copy()
    for column, value in cells.items():
        terms.loc[terms["term"] == name, column] = value
    return replace(result, decomposition=terms)


def answer_of(result, **options):
    findings = result.findings(**options)
    assert unfounded(findings, recorded(result)) == []
    return findings.answer


class TestTheAnswer:
    def test_a_raw_gap_of_which_nothing_is_shown_for_customers_alike(self):
        answer = answer_of(demo())
        assert answer.rule == "no-gap-of-customers-alike"
        assert answer.certainty == "not settled"
        assert answer.text.startswith(
            "tNPS is 27 above rNPS. For customers weighted alike the gap is 14 ("
        )
        assert answer.text.endswith("not shown to differ from zero, nor from the whole 27")

    def test_it_may_differ_from_the_whole(self):
        less = with_terms(demo(), GAP_LESS, estimate=25.0, se=1.0)
        answer = answer_of(with_gaps(less, alike=(2.0, 5.0)))
        assert answer.text.endswith("not shown to differ from zero, but from the whole 27")

    def test_a_gap_that_remains_has_its_bounds_in_the_same_sentence(self):
        answer = answer_of(with_gaps(demo(), alike=(14.0, 2.0)))
        assert (answer.rule, answer.certainty) == ("a-gap-remains", "clear")
        assert answer.text == (
            "tNPS is 27 above rNPS. For customers weighted alike a gap of 14 (9 to 19) remains: "
            "question, moment and channel are not told apart, and if answering depends on the "
            "score it may be anything from −96 to 111"
        )

    def test_a_gap_of_customers_alike_only(self):
        answer = answer_of(with_gaps(demo(), raw=(2.0, 3.0), alike=(-14.0, 2.0)))
        assert answer.rule == "gap-of-customers-alike-only"
        assert answer.text.startswith(
            "As collected no gap is shown. For customers weighted alike it is −14 ("
        )

    def test_nothing_shown_says_what_would_have_been(self):
        answer = answer_of(with_gaps(demo(), raw=(2.0, 4.0), alike=(1.0, 9.0)))
        assert (answer.rule, answer.certainty) == ("no-gap-shown", "not settled")
        shown = round(demo().gaps["shown"][1])
        assert answer.detail.startswith(f"A true gap of {shown} would be shown four times in five")

    def test_no_gap_that_matters(self):
        answer = answer_of(with_gaps(demo(), raw=(0.5, 0.4), alike=(0.2, 0.6)))
        assert (answer.rule, answer.certainty) == ("no-gap-that-matters", "clear")
        assert answer.text == (
            "tNPS and rNPS differ by no more than 3 points, as collected and for customers "
            "weighted alike"
        )
        assert not answer.detail.startswith("A gap is shown")

    def test_a_gap_smaller_than_declared_to_matter_is_no_headline(self):
        small = with_gaps(demo(), raw=(2.0, 0.2), alike=(2.0, 0.2))
        answer = answer_of(small)
        assert answer.rule == "no-gap-that-matters"
        assert answer.detail.startswith("A gap is shown, but smaller than declared to matter")
        assert answer_of(small, margin=1.0).rule == "a-gap-remains"

    def test_a_gap_of_customers_alike_only_may_be_smaller_than_declared_to_matter(self):
        answer = answer_of(with_gaps(demo(), raw=(1.0, 4.0), alike=(1.5, 0.2)))
        assert (answer.rule, answer.certainty) == ("small-gap-of-customers-alike", "clear")
        assert answer.text == (
            "As collected no gap is shown, it is 1 (−7 to 9); a gap is shown for customers weighted "
            "alike, but smaller than declared to matter: 1.5 (1.0 to 2.0)"
        )

    def test_a_small_gap_remains_of_a_large_one(self):
        answer = answer_of(with_gaps(demo(), alike=(1.0, 0.2)))
        assert answer.text.endswith("the gap is 1.0 (0.5 to 1.5): smaller than declared to matter")

    def test_tnps_below_rnps(self):
        assert answer_of(with_gaps(demo(), raw=(-27.0, 4.0))).text.startswith(
            "tNPS is 27 below rNPS"
        )

    def test_customers_who_could_not_be_asked_leave_bounds(self):
        sizes = NO_GAP | {
            "relationship_quarantine": 60.0,
            "exempt": 0.0,
            "transactional_sampling": 1.0,
        }
        p = simulate_programme(900, seed=3, **sizes)
        result = compare_tnps_rnps(
            p.transactional, p.relationship, invitations=p.invitations, customers=p.customers,
            contact_rules=p.contact_rules, replicates=20,
        )  # fmt: skip
        answer = answer_of(result)
        assert answer.rule == "not-identified"
        assert answer.text.endswith("some could not be asked")
        (caution,) = result.findings().of_kind("caution")
        assert caution.detail.endswith("the whole customer base can then be estimated")

    def test_without_replicates_it_speaks_of_those_who_answered(self):
        tables = programme_tables(load_study("demo"))
        result = compare_tnps_rnps(**tables, periods="2025-Q4", replicates=0)
        assert answer_of(result).rule == "among-those-who-answered"

    def test_few_answers_begin_the_answer(self):
        tables = programme_tables(load_study("demo"), where={"segment": "Business"})
        answer = answer_of(compare_tnps_rnps(**tables, periods="2025-Q4", replicates=40))
        assert answer.text.startswith(
            "With 93 and 88 answers: tNPS and rNPS are not shown to differ"
        )


@cache
def two_files():
    tables = programme_tables(load_study("demo")) | {"invitations": None, "contact_rules": None}
    return compare_tnps_rnps(**tables, periods="2025-Q4", replicates=60)


class TestTwoFilesOnly:
    def test_a_gap(self):
        answer = answer_of(two_files())
        assert (answer.rule, answer.certainty) == ("among-those-who-answered", "clear")
        assert answer.text.startswith("Among those who answered: tNPS is 27 above rNPS (1")
        assert answer.detail.startswith("What those who were not asked")

    def test_no_gap(self):
        answer = answer_of(with_gaps(two_files(), raw=(4.0, 6.0)))
        assert answer.text == "Among those who answered: no gap is shown, it is 4 (−9 to 17)"

    @pytest.mark.parametrize(("gap", "side"), [(3.1, "above"), (-3.1, "below")])
    def test_limits_of_a_gap_that_is_shown_do_not_touch_zero(self, gap, side):
        # the smaller of two p-values counts twice: z(1 − .05/4) = 2.2414
        answer = answer_of(with_gaps(two_files(), raw=(gap, 2.9 / 2.2414)))
        assert answer.certainty == "clear"
        assert answer.text == (f"Among those who answered: tNPS is 3.1 {side} rNPS (0.2 to 6.0)")

    def test_no_gap_that_matters(self):
        same = with_gaps(two_files(), raw=(0.4, 0.5))
        start = "Among those who answered, tNPS and rNPS differ by no more than"
        assert answer_of(same).text == f"{start} 3 points"
        assert answer_of(same, margin=2.5).text == f"{start} 2.5 points"

    def test_the_parts_are_those_of_the_answers(self):
        said = two_files().findings().of_kind("finding")[1]
        assert said.text.startswith(
            "The largest parts: those who answered after a transaction only +19 ("
        )
        assert said.cells[0].table == "identity"


class TestFindings:
    def test_both_gaps_parts_and_pairs_follow(self):
        rules = [one.rule for one in demo().findings()]
        assert rules == ["no-gap-of-customers-alike", "raw-gap", "standardised-gap",
                         "largest-parts", "pairs", "bounds"]  # fmt: skip

    def test_the_raw_gap_names_both_scores_and_the_ways_of_scoring(self):
        said = demo().findings().of_kind("finding")[0]
        assert said.text.endswith(": tNPS 24, rNPS −3")
        assert said.detail == "n = 299 and 420; the same conclusion under all 11 ways of scoring"
        flipped = demo().robustness.assign(same=lambda table: table["variant"] != "mean score")
        said = replace(demo(), robustness=flipped).findings().of_kind("finding")[0]
        assert said.detail.endswith("the conclusion changes under 1 of 11 ways of scoring")

    def test_scores_that_differ_from_the_scorecard_say_why(self):
        detail = demo().findings().answer.detail
        assert detail == (
            "Weighted as declared, as in the scorecard, rNPS is −4 instead of −3 and tNPS is "
            "28 instead of 24; of the whole customer base rNPS is −1"
        )

    def test_clear_parts_come_before_the_largest_others(self):
        tables = programme_tables(load_study("demo"))
        result = compare_tnps_rnps(**tables, replicates=60)
        said = {one.rule: one for one in result.findings()}
        assert unfounded(result.findings(), recorded(result)) == []
        assert said["clear-parts"].text.startswith(
            "Clear parts of the gap: context, wording and timing together +12 ("
        )
        assert said["clear-parts"].certainty == "clear"
        assert said["largest-parts"].text.startswith("The largest other parts: ")
        assert said["clear-parts"].family_size == 6

    def test_parts_are_one_family_with_its_own_intervals(self):
        terms = demo().decomposition.query("kind == 'term'")
        assert (terms["p_adjusted"] >= terms["p_value"]).all()
        clear = (terms["deciding_low"] > 0) | (terms["deciding_high"] < 0)
        assert (clear == (terms["p_adjusted"] < 0.05)).all()
        assert demo().decomposition.query("kind == 'total'")["p_value"].isna().all()

    def test_pairs_say_what_they_could_show(self):
        said = demo().findings().of_kind("finding")[-1]
        assert said.text.startswith("For the same 19 customers the gap is 5 (")
        assert said.detail.startswith(
            "With 19 pairs a true gap of 92 would be shown four times in five; for one of 10 it takes "
        )
        clear = with_gaps(demo(), pairs=(20.0, 3.0)).findings().of_kind("finding")[-1]
        assert (clear.certainty, clear.detail) == ("clear", "")

    def test_pairs_needed_follow_from_the_standard_error(self):
        # at half of 10 points' standard error a quarter of the pairs would do
        row = demo().gaps.set_index("gap").loc[PAIRED]
        quantiles = 2.3940 + 0.8416  # of .05 / 3 on both sides, and of .8
        expected = np.ceil(row["n"] * (quantiles * row["se"] / 10) ** 2)
        assert row["pairs_needed"] == pytest.approx(expected, abs=1)

    def test_a_hidden_gap_has_no_number_anywhere(self):
        tables = programme_tables(load_study("demo"))
        few = compare_tnps_rnps(tables["transactional"].head(6), tables["relationship"])
        findings = few.findings()
        assert [one.rule for one in findings] == ["no-gap", "pairs", "answers-only"]
        assert not any(character.isdigit() for one in findings for character in one.text)

    def test_a_gap_without_spread_is_not_settled(self):
        t = pd.DataFrame(
            {"customer_id": [f"c{k}" for k in range(44)], "recommend": np.arange(44) % 11}
        )
        result = compare_tnps_rnps(t, t, replicates=0)
        assert result.findings().answer.certainty == "not settled"


def test_the_three_gaps_are_one_family():
    gaps = demo().gaps
    assert gaps["gap"].tolist() == [COLLECTED, ALIKE, PAIRED]
    assert gaps["p_adjusted"].tolist() == pytest.approx(
        [3 * gaps["p_value"][0], 2 * gaps["p_value"][1], gaps["p_value"][2]]
    )
    assert set(GAP_CELLS) <= set(gaps)


def test_hidden_gaps_are_no_part_of_the_family():
    tables = {name: getattr(demo(), name).copy() for name in ("estimates", "decomposition")}
    paired = tables["estimates"]["estimate_kind"] == "paired"
    tables["estimates"].loc[paired, ["n", "customers", "estimate", "se"]] = pd.NA
    gaps = gaps_table(tables, {COLLECTED: np.inf, PAIRED: 4.0})
    assert gaps["p_adjusted"].isna().tolist() == [False, False, True]
    assert gaps.loc[2, ["df", "shown", "pairs_needed"]].isna().all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_gap_is_called_clear_where_there_is_none(seed):
    p = simulate_programme(1500, seed=seed, **NO_GAP)
    result = compare_tnps_rnps(
        p.transactional, p.relationship, invitations=p.invitations, customers=p.customers,
        traits=["segment", "home_region"], contact_rules=p.contact_rules, replicates=60,
    )  # fmt: skip
    assert unfounded(result.findings(), recorded(result)) == []
    assert not (result.gaps.set_index("gap").loc[[ALIKE, PAIRED], "p_adjusted"] < 0.05).any()
