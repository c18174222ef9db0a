"""Two answer files alone: what they support, and what is said of the rest."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulate import simulate_programme
from cxlab.stats.comparison import compare_tnps_rnps
from cxlab.stats.comparison.decomposition import interval
from cxlab.stats.comparison.identity import (
    COMPOSITION,
    DIFFERENT,
    IDENTITY,
    R_ONLY,
    SAME,
    STANDARDISED,
    T_ONLY,
    UNIT,
    UNKNOWN,
    WITHIN,
    among_answers,
    identity_table,
)
from cxlab.stats.comparison.programme import read_programme

ROUNDING = 1e-9
#: The file of values prints fifteen digits.
PRINTED = 1e-12
#: Short: the full run is in benchmarks/.
STUDIES = 100
CASE = Path(__file__).parent / "cases" / "no_frame.csv"


def answers(rows, segment=None):
    """``rows`` are (customer, score); one answer each."""
    frame = pd.DataFrame(rows, columns=["customer_id", "recommend"])
    return frame if segment is None else frame.assign(segment=segment)


def points(score):
    return 100.0 * ((np.asarray(score) >= 9).astype(float) - (np.asarray(score) <= 6))


def compare(t, r, **options):
    return compare_tnps_rnps(t, r, **{"replicates": 0, "min_group_size": 1, **options})


def parts_of(result):
    return result.identity.set_index("term")["estimate"]


class TestIdentity:
    def test_the_case_file(self):
        both = pd.read_csv(CASE)
        t, r = (both[both["survey"] == name] for name in "tr")
        result = compare_tnps_rnps(t, r, replicates=200)
        expected = {
            UNIT: -1.781701444622792,
            SAME: 20.072992700729927,
            T_ONLY: -0.9824626151617055,
            R_ONLY: -0.17728969642938547,
            "gap": 17.131538944516045,
        }
        for name, value in expected.items():
            assert parts_of(result)[name] == pytest.approx(value, abs=PRINTED * 100), name
        spread = result.identity
        assert (spread["ci_low"] < spread["estimate"]).all()
        assert (spread["estimate"] < spread["ci_high"]).all()

    def test_by_hand(self):
        # T: a 10 and 10, b 0, c 9; R: a 3, b 9, d 8, d 10
        t = answers([("a", 10), ("a", 10), ("b", 0), ("c", 9)])
        r = answers([("a", 3), ("b", 9), ("d", 8), ("d", 10)])
        # B0 = (100 + 100 − 100 + 100)/4 = 50; T̄ = (100 − 100 + 100)/3; both: T 0, R 0
        # A0 = (−100 + 100 + 0 + 100)/4 = 25; R̄ = (−100 + 100 + 50)/3
        found = parts_of(compare(t, r))
        assert found[UNIT] == pytest.approx((50 - 100 / 3) - (25 - 50 / 3))
        assert found[SAME] == pytest.approx(0)
        assert found[T_ONLY] == pytest.approx(1 / 3 * (100 - 0))
        assert found[R_ONLY] == pytest.approx(-1 / 3 * (50 - 0))
        assert found["gap"] == pytest.approx(25)

    @settings(max_examples=12)
    @given(
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10)), min_size=1, max_size=40),
        st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10)), min_size=1, max_size=40),
    )
    def test_parts_add_to_the_gap(self, t, r):
        t, r = (answers([(f"c{who}", score) for who, score in rows]) for rows in (t, r))
        data = read_programme(t, r, customer="customer_id", score="recommend", weights={})
        table = identity_table(among_answers(data, replicates=0, seed=0)).set_index("term")
        gap = points(t["recommend"]).mean() - points(r["recommend"]).mean()
        assert table.loc["gap", "estimate"] == pytest.approx(gap, abs=ROUNDING)
        # nobody in both surveys: what is of the same customers and of others is one part
        shared = set(t["customer_id"]) & set(r["customer_id"])
        parts = table.loc[
            [*IDENTITY] if shared else [UNIT, f"{SAME} + {T_ONLY} + {R_ONLY}"], "estimate"
        ]
        assert parts.sum() == pytest.approx(gap, abs=ROUNDING)

    def test_parts_telescope(self):
        total = {}
        for part in IDENTITY.values():
            for name, c in part.items():
                total[name] = total.get(name, 0) + c
        assert {name: c for name, c in total.items() if c} == {"B0": 1, "A0": -1}

    def test_customers_are_resampled_whole(self):
        # 40 customers, each with five equal answers: the error is that of 40, not of 200
        rng = np.random.default_rng(1)
        scores = rng.choice([3, 8, 10], 40)
        t = answers([(f"t{k}", s) for k, s in enumerate(scores) for _ in range(5)])
        r = answers([(f"r{k}", s) for k, s in enumerate(rng.choice([3, 8, 10], 4000))])
        row = compare(t, r, replicates=400).identity.set_index("term").loc["gap"]
        alone = points(scores).std() / 40**0.5
        assert row["se"] == pytest.approx(alone, rel=0.15)

    @pytest.mark.parametrize("both", [60, 12])
    def test_intervals_hold_the_truth(self, both):
        """Answers of independent customers around planted scores, one side tiny."""
        rng = np.random.default_rng(70_000 + both)
        t_who = [f"c{k}" for k in (*range(both), *range(1000, 1150))]
        r_who = [f"c{k}" for k in (*range(both), *range(2000, 2200))]
        held = np.zeros(3)
        for _ in range(STUDIES):
            # promoters .5 against .3, detractors .2: the same whoever answers both
            t, r = draw(rng, t_who, 0.5), draw(rng, r_who, 0.3)
            data = read_programme(t, r, customer="customer_id", score="recommend", weights={})
            found = among_answers(data, replicates=200, seed=int(rng.integers(2**31)))
            table = identity_table(found).set_index("term")
            for k, (name, truth) in enumerate({SAME: 20.0, T_ONLY: 0.0, R_ONLY: 0.0}.items()):
                held[k] += table.loc[name, "ci_low"] <= truth <= table.loc[name, "ci_high"]
        # a bootstrap of a dozen customers still covers a little too rarely
        least = 0.95 - (0.02 if both < 30 else 0.0) - 3 * (0.95 * 0.05 / STUDIES) ** 0.5
        assert (held / STUDIES > least).all(), held / STUDIES


def test_interval_widens_with_few_customers():
    replicates = np.linspace(-1, 1, 2001)
    _, low, high = interval(replicates)
    assert (low, high) == pytest.approx((-0.95, 0.95))
    # a dozen: Φ(−√(12/11)·2.20099) = .01076 in each tail
    _, low, high = interval(replicates, 12)
    assert (low, high) == pytest.approx((-1 + 2 * 0.01076, 1 - 2 * 0.01076), abs=1e-4)
    assert interval(replicates, 10_000)[1] == pytest.approx(-0.95, abs=1e-4)


def draw(rng, who, promoters):
    scores = rng.choice([10, 8, 2], len(who), p=[promoters, 0.8 - promoters, 0.2])
    return pd.DataFrame({"customer_id": who, "recommend": scores})


class TestSegments:
    def test_kitagawa_by_hand_is_kitagawa(self):
        rng = np.random.default_rng(3)
        seg_t, seg_r = rng.choice(list("abc"), 200), rng.choice(list("aab"), 300)
        t = answers([(f"t{k}", s) for k, s in enumerate(rng.integers(0, 11, 200))], seg_t)
        r = answers([(f"r{k}", s) for k, s in enumerate(rng.integers(0, 11, 300))], seg_r)
        result = compare(t, r, segments="segment")
        found = result.segment_gaps.set_index("part")["estimate"]
        sums = [
            [points(f.loc[f["segment"] == g, "recommend"]).sum() for g in "abc"] for f in (t, r)
        ]
        counts = np.array([[(f["segment"] == g).sum() for g in "abc"] for f in (t, r)])
        rates = np.array(sums) / np.maximum(counts, 1)
        rates[1, 2] = rates[0, 2]  # a group of one survey takes its score for the other
        share = counts / counts.sum(1, keepdims=True)
        mix, within = (share[0] - share[1]) @ rates.sum(0), (rates[0] - rates[1]) @ share.sum(0)
        assert found[COMPOSITION] == pytest.approx(mix / 2)
        assert found[WITHIN] == pytest.approx(within / 2)
        assert found[COMPOSITION] + found[WITHIN] == pytest.approx(parts_of(result)["gap"])
        assert UNKNOWN not in found.index
        w = counts[1] / 300
        alike = (w[:2] * (rates[0] - rates[1])[:2]).sum()
        assert found[STANDARDISED] == pytest.approx(alike)
        groups = result.segments.set_index("group")
        assert groups.loc["c", "note"] == "only one survey has it"

    def test_composition_alone(self):
        # p always promotes, q never: the surveys differ in their shares only
        t = answers([(f"t{k}", 10 if k < 80 else 0) for k in range(100)], ["p"] * 80 + ["q"] * 20)
        r = answers([(f"r{k}", 10 if k < 30 else 0) for k in range(100)], ["p"] * 30 + ["q"] * 70)
        found = compare(t, r, segments="segment").segment_gaps.set_index("part")["estimate"]
        assert found[COMPOSITION] == pytest.approx(100)
        assert found[WITHIN] == pytest.approx(0)
        assert found[STANDARDISED] == pytest.approx(0)

    def test_a_segment_is_carried_by_the_customers_id(self):
        t = answers([("a", 10), ("b", 2), ("x", 10)])
        r = answers([("a", 9), ("b", 9), ("b", 8)], ["p", "q", "q"])
        result = compare(t, r, segments="segment")
        assert result.notes[0] == (
            "`segment` of the transactional answers is that of the same customer in the "
            "relationship survey, of any period"
        )
        row = result.segment_gaps.set_index("part").loc[UNKNOWN]
        assert (
            row["note"] == "known of 2 of 3 transactional answers and 3 of 3 relationship answers"
        )
        assert row["estimate"] == pytest.approx(100 / 3 - 0)
        total = result.segment_gaps.set_index("part")["estimate"].drop(STANDARDISED).sum()
        assert total == pytest.approx(parts_of(result)["gap"])

    def test_a_customer_with_two_values_is_not_known(self):
        # 40 customers answer twice with one value, one with two: that one is not carried
        who = [f"c{k}" for k in range(41)]
        r = answers([(w, 9) for w in who for _ in range(2)])
        r["segment"] = [
            v for k in range(41) for v in (("p", "q") if k == 40 else ("pq"[k % 2],) * 2)
        ]
        t = answers([(w, 10) for w in who])
        row = compare(t, r, segments="segment").segment_gaps.set_index("part").loc[UNKNOWN]
        assert row["note"].startswith("known of 40 of 41 transactional answers")

    def test_what_changes_within_customers_is_not_carried(self):
        t = answers([("a", 10), ("b", 2)])
        r = answers([("a", 9), ("a", 9), ("b", 9), ("b", 8)], ["work", "fun", "fun", "fun"])
        result = compare(t, r, segments="segment")
        assert result.segment_gaps.empty
        assert "it changes within a customer, and the transactional answers" in result.notes[0]

    def test_customers_give_the_segments_of_both(self):
        t, r = answers([("a", 10), ("b", 2)]), answers([("a", 9), ("b", 9), ("c", 8)])
        customers = pd.DataFrame({"customer_id": list("abcd"), "segment": list("ppqq")})
        result = compare(t, r, segments="segment", customers=customers)
        assert set(result.segments["group"]) == {"p", "q"}
        assert not result.standardised

    def test_small_groups_are_taken_together(self):
        t = answers([(f"t{k}", 9) for k in range(60)], ["p"] * 40 + ["q"] * 17 + ["r"] * 3)
        r = answers([(f"r{k}", 7) for k in range(60)], ["p"] * 30 + ["q"] * 20 + ["r"] * 10)
        result = compare(t, r, segments="segment", min_group_size=10)
        assert result.segments["group"].tolist() == ["p", "others"]
        assert result.segments["note"].tolist() == ["", "groups of few customers, taken together"]
        gap = result.segment_gaps.set_index("part")["estimate"][[COMPOSITION, WITHIN]].sum()
        assert gap == pytest.approx(100)
        assert compare(t, r, segments="segment").segments["group"].tolist() == ["p", "q", "r"]

    def test_few_answers_without_a_group_are_not_told_apart(self):
        t = answers([(f"t{k}", 9) for k in range(60)], ["p"] * 40 + ["q"] * 17 + [None] * 3)
        r = answers([(f"r{k}", 7) for k in range(60)], ["p"] * 30 + ["q"] * 20 + ["r"] * 10)
        result = compare(t, r, segments="segment", min_group_size=10)
        assert UNKNOWN not in set(result.segment_gaps["part"])
        assert result.segments["n"].sum() == 120

    def test_a_segment_that_no_file_has_is_refused(self):
        with pytest.raises(ValueError, match="`segments` must be columns of the answers or of the"):
            compare(answers([("a", 9)]), answers([("a", 9)]), segments="region")


class TestScores:
    def test_each_customer_once_and_as_declared(self):
        t = answers([("a", 10), ("a", 10), ("b", 0)]).assign(weight=[1.0, 1.0, 6.0])
        r = answers([("a", 8), ("b", 9), ("c", 3)]).assign(size=[2.0, 1.0, 1.0])
        result = compare(t, r, weights={"transactional": "weight", "relationship": "size"})
        found = result.estimates.set_index(["estimate_kind", "survey"])["estimate"]
        assert found["raw"].tolist() == pytest.approx([100 / 3, 0, 100 / 3])
        assert found["weighted as declared"].tolist() == pytest.approx([-50, 0, -50])
        assert found["each customer once"].tolist() == pytest.approx([0, 0, 0])
        counts = result.estimates.set_index(["estimate_kind", "survey"])[["n", "customers"]]
        assert counts.loc[("each customer once", "transactional")].tolist() == [3, 2]
        assert counts.loc[("each customer once", "difference")].tolist() == [6, 3]

    def test_only_the_survey_that_declares_weights_is_said_to_differ(self):
        t = answers([(f"t{k}", 9 + k % 2) for k in range(20)])
        r = answers([(f"r{k}", [3, 9][k % 2]) for k in range(20)]).assign(w=[1.0, 3.0] * 10)
        said = compare(t, r, weights={"relationship": "w"}).findings().answer.detail
        words = "Weighted as declared, as in the scorecard, rNPS is 50 instead of 0"
        assert said.endswith(words)
        assert "Weighted as declared" not in compare(t, r).findings().answer.detail


class TestFewCustomers:
    def two(self, both, t_only, r_only, several=20):
        """So many customers in each cell; ``several`` of T only answer twice."""
        rng = np.random.default_rng(5)
        names = [f"b{k}" for k in range(both)]
        t = [*names, *(f"t{k}" for k in range(t_only)), *(f"t{k}" for k in range(several))]
        r = [*names, *(f"r{k}" for k in range(r_only))]
        return tuple(
            answers(list(zip(who, rng.choice([2, 8, 10], len(who)), strict=True))) for who in (t, r)
        )

    def shown(self, *cells, **options):
        t, r = self.two(*cells, **options)
        return compare(t, r, min_group_size=10)

    def test_large_cells_are_apart(self):
        assert self.shown(20, 30, 40).identity["term"].tolist() == [*IDENTITY, "gap"]

    @pytest.mark.parametrize("cells", [(4, 60, 60), (40, 30, 4)])
    def test_a_small_cell_is_taken_together_with_the_others(self, cells):
        table = self.shown(*cells).identity
        assert table["term"].tolist() == [UNIT, f"{SAME} + {T_ONLY} + {R_ONLY}", "gap"]
        assert table["estimate"].iloc[:2].sum() == pytest.approx(table["estimate"].iloc[2])

    def test_few_customers_with_several_answers_do_not_show(self):
        result = self.shown(20, 30, 40, several=3)
        assert result.identity["term"].tolist() == [f"{UNIT} + {SAME}", T_ONLY, R_ONLY, "gap"]
        scores = result.estimates.set_index(["estimate_kind", "survey"])["estimate"]
        assert np.isnan(scores["each customer once", "transactional"])
        assert np.isnan(scores["each customer once", "difference"])
        assert np.isfinite(scores["each customer once", "relationship"])

    def test_few_of_both_kinds_leave_the_gap_alone(self):
        assert self.shown(4, 60, 60, several=3).identity["term"].tolist() == ["gap"]

    def test_answers_all_alike_have_no_certain_parts(self):
        t = answers([(f"c{k}", 10) for k in range(40)])
        r = answers([(f"c{k}", 10) for k in range(60)])
        result = compare(t, r, replicates=50)
        assert result.identity["ci_low"].isna().all()
        row = result.estimates.set_index(["estimate_kind", "survey"]).loc[("raw", "difference")]
        assert row["ci_low"] < -5 < 5 < row["ci_high"]

    def test_the_same_answers_twice_have_no_certain_gap(self):
        t = answers([(f"c{k}", k % 11) for k in range(44)])
        gap = compare(t, t).estimates.query("survey == 'difference'").iloc[0]
        assert gap["estimate"] == 0
        assert np.isnan(gap["se"])

    def test_a_survey_of_few_has_no_gap(self):
        result = self.shown(2, 3, 60, several=0)
        assert result.identity["term"].tolist() == ["gap"]
        assert result.identity["estimate"].isna().all()
        differences = result.estimates.query("survey == 'difference'")
        assert differences["estimate"].isna().all()
        assert result.segment_gaps.empty


@pytest.fixture(scope="module")
def programme():
    return simulate_programme(900, seed=8, periods=2, trips_per_period=1.2)


def files_of(programme, *names):
    every = ("transactional", "relationship", "invitations", "customers")
    return {name: getattr(programme, name) if name in names else None for name in every}


ANSWERS = ("transactional", "relationship")


class TestWhatIsThere:
    """The study has some of the files; whatever they support is shown, the rest said once."""

    @pytest.mark.parametrize(
        ("more", "lacking"),
        [
            ((), "needs the frame of customers and the invitations with unsampled"),
            (("invitations",), "needs the frame of customers"),
            (("customers",), "needs the invitations with unsampled and suppressed rows"),
        ],
    )
    def test_what_is_lacking_is_said_once(self, programme, more, lacking):
        files = files_of(programme, *ANSWERS, *more)
        segments = ["segment"] if more == ("customers",) else ["home_region"]
        result = compare_tnps_rnps(**files, segments=segments, replicates=20)
        (caution,) = result.findings().of_kind("caution")
        assert (
            caution.text
            == "What those who were not asked or stayed silent would have said is not known"
        )
        assert [note for note in result.notes if note.startswith(lacking)] == [result.notes[-1]]
        assert len(result.beliefs) == 1
        assert result.decomposition["term"].tolist() == ["gap"]
        assert not result.standardised
        assert len(result.identity) == 5
        assert result.table is result.identity
        assert not result.segment_gaps.empty
        assert not result.estimates["estimate_kind"].eq("standardised").any()

    @pytest.mark.parametrize("survey", ANSWERS)
    def test_invitations_of_one_survey_only(self, programme, survey):
        files = files_of(programme, *ANSWERS, "invitations", "customers")
        files["invitations"] = files["invitations"].query("survey_type == @survey")
        result = compare_tnps_rnps(**files, replicates=0)
        other = ANSWERS[survey == "transactional"]
        assert any(f"needs the {other} survey's invitations" in note for note in result.notes)

    def test_never_the_words_of_what_is_not_identified(self, programme):
        result = compare_tnps_rnps(**files_of(programme, *ANSWERS), replicates=20)
        text = f"{result} {result.findings()}".lower()
        assert "selection" not in text
        assert "coverage" not in text

    def test_no_customer_id_at_all(self, programme):
        t, r = (getattr(programme, name).drop(columns="customer_id") for name in ANSWERS)
        result = compare_tnps_rnps(t, r, customer=None, segments="home_region", replicates=50)
        assert result.identity["term"].tolist() == ["gap"]
        assert result.estimates["estimate_kind"].unique().tolist() == ["raw", "paired"]
        assert result.findings().of_kind("finding")[-1].text == (
            "The same customers are not compared: the answers don't name their customer"
        )
        assert result.segment_gaps.empty

    def test_no_dates_means_no_pairs(self):
        t, r = answers([("a", 9), ("b", 3)]), answers([("a", 9), ("b", 3)])
        said = compare(t, r).findings().of_kind("finding")[-1].text
        assert said == "The same customers are not compared: the answers have no dates"

    def test_no_customer_in_both(self, programme):
        r = programme.relationship
        lonely = ~r["customer_id"].isin(programme.transactional["customer_id"])
        result = compare_tnps_rnps(programme.transactional, r[lonely], replicates=20)
        assert result.identity["term"].tolist() == [UNIT, DIFFERENT, "gap"]
        assert result.identity["note"].tolist()[1] == "no customer answered both surveys"

    def test_a_survey_without_periods_is_refused(self, programme):
        t = programme.transactional.drop(columns="period")
        with pytest.raises(
            ValueError, match="`periods` must be left out: the transactional answers"
        ):
            compare_tnps_rnps(t, programme.relationship, periods="2024-Q1")

    def test_a_misspelt_customer_is_still_refused(self, programme):
        with pytest.raises(ValueError, match="`customer` must be a column"):
            compare_tnps_rnps(
                programme.transactional, programme.relationship, customer="custmer_id"
            )
