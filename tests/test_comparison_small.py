"""Few customers: what is hidden, what is said instead, and that nothing fails."""

from dataclasses import fields
from functools import cache

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from cxlab import load_study
from cxlab.stats.comparison import compare_tnps_rnps, programme_tables, rules_in_words
from cxlab.stats.comparison.disclosure import ComparisonGate
from cxlab.stats.comparison.pairs import (
    categories_table,
    later_table,
    migration_table,
    paired_table,
    sensitivity_table,
    window_table,
    windows_taken,
)
from cxlab.stats.comparison.quantities import QUANTITY_COEFFICIENTS, TERMS
from cxlab.stats.comparison.scores import regression_table

SMALLEST = 10
#: Customers whose time to the answer is not known.
UNPLACED = 3
ROUNDING = 1e-9
#: What reviewers called out: a quarter, a group of it, and groups with a pair or three.
SELECTIONS = [
    ("2024-Q1", None),
    ("2024-Q2", {"segment": "Business"}),
    ("2024-Q2", {"segment": "Business", "home_region": "National"}),
    ("2024-Q1", {"segment": "Family", "home_region": "International"}),
]
#: Counts of who was asked and who answered, not of what they said.
COUNTS_OF_THE_ASKED = ("flow",)


@pytest.fixture(scope="module")
def study():
    return load_study("demo")


@cache
def tables_where(where):
    """Reading takes longer than comparing: each selection is read once."""
    return programme_tables(load_study("demo"), where=dict(where) or None)


@cache
def compared(period, where, min_group_size):
    tables = tables_where(where)
    return compare_tnps_rnps(**tables, periods=period, replicates=20, min_group_size=min_group_size)


def compare(period, where, min_group_size=SMALLEST):
    return compared(period, tuple((where or {}).items()), min_group_size)


@pytest.fixture(scope="module")
def tiny():
    """Five customers of the quarter with an episode answered the relationship survey."""
    return compare(*SELECTIONS[2])


def tables_of(result):
    found = {field.name: getattr(result, field.name) for field in fields(result)}
    return {name: table for name, table in found.items() if isinstance(table, pd.DataFrame)}


def numbers_of(table):
    columns = [
        column
        for column in table.columns
        if pd.api.types.is_numeric_dtype(table[column])
        and not pd.api.types.is_bool_dtype(table[column])
        and column != "window_days"
    ]
    return table[columns]


def pairs_of(t_value, r_score, customer=None):
    customer = np.arange(len(t_value)) if customer is None else np.array(customer)
    pairs = pd.DataFrame({"t_value": t_value, "r_score": r_score, "customer": customer})
    return pairs.astype({"t_value": float, "r_score": float})


def shown(pairs_of_windows=None, window_days=90, /, **tables):
    """What the gate makes of tables of pairs."""
    gate = ComparisonGate(
        smallest=SMALLEST,
        behind={},
        people=pd.DataFrame(),
        named=True,
        cells=np.empty(0),
        windows=pairs_of_windows or {},
        window_days=window_days,
        pooled=frozenset(),
    )
    return gate.shown(tables)


def windows_shown(pairs, window_days):
    windows = windows_taken(pairs, window_days)
    table = window_table(windows)
    return shown(windows, window_days, windows=table)["windows"]


def every_pair(age, t_score, r_score, customer=None):
    customer = np.arange(len(age)) if customer is None else np.array(customer)
    return pd.DataFrame(
        {
            "relationship": customer,
            "transactional": np.arange(len(age)),
            "age": np.array(age, float),
            "t_score": np.array(t_score, float),
            "r_score": np.array(r_score, float),
            "customer": customer,
        }
    )


class TestNoSmallGroupIsShown:
    @pytest.mark.parametrize(("period", "where"), SELECTIONS)
    def test_in_any_table(self, period, where):
        for name, table in tables_of(compare(period, where)).items():
            if name in COUNTS_OF_THE_ASKED or table.empty:
                continue
            if "customers" in table:
                shown = table["customers"].dropna()
                assert not ((shown > 0) & (shown < SMALLEST)).any(), name
            if "note" in table:
                hidden = table["note"].fillna("").str.startswith("hidden")
                assert numbers_of(table)[hidden].isna().all(axis=None), name

    def test_one_hides_nothing(self):
        result = compare(*SELECTIONS[2], min_group_size=1)
        assert result.paired["n"].tolist() == [2, 2]
        for name, table in tables_of(result).items():
            if "note" in table:
                assert not table["note"].fillna("").str.contains("hidden").any(), name

    def test_the_size_is_kept_in_the_result(self):
        assert compare(*SELECTIONS[0], min_group_size=30).min_group_size == 30


class TestEstimates:
    def test_n_and_customers_are_those_of_the_row(self, study):
        result = compare("2024-Q1", None)
        rows = result.estimates.set_index("population")
        t, r = (tables_where(())[name] for name in ("transactional", "relationship"))
        t, r = (frame[(frame["period"] == "2024-Q1")] for frame in (t, r))
        asked = study.read("invitations", period="2024-Q1")
        users = set(asked.loc[asked["survey_type"] == "transactional", "customer_id"])
        of_users = r[r["recommend"].notna() & r["customer_id"].isin(users)]
        used = rows.loc["customers with an eligible episode"]
        assert (used["n"], used["customers"]) == (len(of_users), of_users["customer_id"].nunique())
        gap = rows.loc["users, each counted once (B3 − C1)"]
        both = pd.concat([of_users["customer_id"], t["customer_id"]])
        assert (gap["n"], gap["customers"]) == (len(of_users) + len(t), both.nunique())

    def test_no_row_claims_nobody(self):
        estimated = compare("2024-Q1", None).estimates.dropna(subset="estimate")
        assert (estimated["n"] > 0).all()
        assert (estimated["customers"] > 0).all()

    def test_without_a_frame_n_is_null_with_a_note(self):
        tables = tables_where(())
        result = compare_tnps_rnps(tables["transactional"], tables["relationship"], replicates=0)
        rows = result.estimates.query("estimate_kind == 'standardised'")
        assert rows[["n", "customers"]].isna().all(axis=None)
        assert rows["note"].str.contains("needs the frame").all()

    def test_a_difference_goes_with_its_small_side(self, tiny):
        rows = tiny.estimates.set_index(["estimate_kind", "population"])
        for name in ("customers with an eligible episode", "users, each counted once (B3 − C1)"):
            assert pd.isna(rows.loc[("standardised", name), "estimate"])
            assert rows.loc[("standardised", name), "status"] == "too few customers"


class TestTerms:
    def test_what_is_shown_is_what_it_was(self, tiny):
        whole = compare(*SELECTIONS[2], min_group_size=1).decomposition
        shown = tiny.decomposition["estimate"].notna()
        assert 0 < shown.sum() < len(whole)
        columns = ["estimate", "se", "ci_low", "ci_high", "bound_low", "bound_high"]
        pd.testing.assert_frame_equal(tiny.decomposition[shown][columns], whole[shown][columns])
        assert whole.query("kind == 'term'")["estimate"].sum() == pytest.approx(
            whole.set_index("term").loc["gap", "estimate"], abs=ROUNDING
        )

    def test_hidden_quantities_cannot_be_solved_from_the_shown_ones(self, tiny):
        table = tiny.decomposition.dropna(subset="estimate")
        scores = tiny.estimates.dropna(subset="estimate")
        of = {
            ("raw", "transactional"): "B0",
            ("raw", "relationship"): "A0",
            "all eligible episodes (E2)": "B2",
            "users, each counted once (E2)": "B3",
            "whole customer base (E1)": "C0",
        }
        told = [
            of[key]
            for row in scores.itertuples()
            for key in (row.population, (row.estimate_kind, row.survey))
            if key in of
        ]
        assert set(told) == {"A0", "B0", "B2", "B3", "C0"}
        known = [QUANTITY_COEFFICIENTS[name] for name in (*table["term"], *told)]
        names = sorted({q for one in QUANTITY_COEFFICIENTS.values() for q in one})
        system = np.array([[one.get(q, 0.0) for q in names] for one in known])
        for name in ("C1", "C2"):
            unit = np.array([float(q == name) for q in names])
            with_it = np.linalg.matrix_rank(np.vstack([system, unit]))
            assert with_it > np.linalg.matrix_rank(system), name

    def test_every_other_table_hides_them_too(self, tiny):
        hidden = tiny.tilting[tiny.tilting["term"] != "transactional response"]
        assert (
            hidden["estimate"]
            .isna()
            .loc[hidden["term"].isin(["residual", "standardised gap"])]
            .all()
        )
        assert set(tiny.robustness["quantity"]) == {"raw gap"}
        assert tiny.tipping == ()

    def test_a_survey_of_few_gives_no_gap(self):
        tables = tables_where(())
        few = tables["transactional"].head(6)
        result = compare_tnps_rnps(few, tables["relationship"], replicates=20)
        raw = result.estimates.query("estimate_kind == 'raw'").set_index("survey")["estimate"]
        assert raw.isna().to_dict() == {
            "transactional": True,
            "relationship": False,
            "difference": True,
        }
        gap = result.decomposition.set_index("term").loc["gap"]
        assert numbers_of(gap.to_frame().T.infer_objects()).isna().all(axis=None)
        answer = result.findings().answer
        assert answer.text == "Too few customers answered one of the surveys: no gap is given"
        assert result.parts["estimate"].isna().tolist() == [False, True]
        assert result.robustness.empty

    def test_the_share_does_not_give_a_hidden_gap_back(self):
        tables = tables_where(())
        r = tables["relationship"]
        kept = r[r["recommend"].notna()].head(6)
        asked = tables["invitations"]
        of_kept = asked.merge(kept[["customer_id", "period"]], how="left", indicator="there")
        lost = (asked["survey_type"] == "relationship") & (asked["status"] == "answered")
        lost &= (of_kept["there"] == "left_only").to_numpy()
        asked = asked.assign(status=asked["status"].astype("str").mask(lost, "invited"))
        result = compare_tnps_rnps(
            **{**tables, "relationship": kept, "invitations": asked}, replicates=0
        )
        terms = result.decomposition.set_index("term")
        assert np.isfinite(terms.loc["mix", "estimate"])
        assert np.isnan(terms.loc["gap", "estimate"])
        assert terms["share"].isna().all()

    def test_a_thin_part_of_a_term_is_said(self, tiny):
        note = tiny.decomposition.set_index("term").loc["mix", "note"]
        assert note == "7 of 7 cells have answers of fewer than 10 customers"
        details = [one.detail for one in tiny.findings().of_kind("finding")]
        assert f"which touchpoints were asked about: {note}" in "; ".join(details)

    def test_terms_are_all_named(self, tiny):
        assert tiny.decomposition["term"].tolist()[:6] == list(TERMS)
        assert tiny.decomposition["estimate"].isna().any()


class TestSamePairs:
    FEW = pairs_of([3, 10, 10], [10, 2, 9])

    def test_three_pairs_give_no_number(self):
        table = shown(paired=paired_table(self.FEW, why_none=""))["paired"]
        assert numbers_of(table).isna().all(axis=None)
        assert table["note"].tolist() == ["hidden: fewer than 10 customers"] * 2

    def test_few_pairs_get_no_verdict(self, tiny):
        said = tiny.findings().of_kind("finding")[-1]
        assert (
            said.text == "Too few customers answered both surveys to compare them with themselves"
        )
        assert said.certainty == "not settled"
        status = tiny.estimands.set_index("estimand")["status"]
        assert status["E3"] == "too few pairs to say"
        assert status["E4"] == "fewer than 10 customers: too few to say"

    def test_pairs_without_a_difference_are_told_so(self):
        table = paired_table(pairs_of([9] * 12, [10] * 12), why_none="")
        assert table["note"].tolist() == ["every pair has the same difference: no interval"] * 2

    def test_one_small_cell_hides_all_nine(self):
        # 12 of each diagonal cell, and one detractor who became a promoter
        t, r = [3] * 12 + [7] * 12 + [9] * 12, [3] * 12 + [7] * 12 + [9] * 12
        whole = shown(migration=migration_table(pairs_of(t, r)))["migration"]
        assert whole["n"].tolist() == [12, 0, 0, 0, 12, 0, 0, 0, 12]
        more = pairs_of([*t, 2], [*r, 10])
        small = shown(migration=migration_table(more), categories=categories_table(more))
        assert numbers_of(small["migration"]).isna().all(axis=None)
        assert small["categories"]["n"].tolist() == [13, 12, 12, 12, 12, 13]

    def test_small_categories_are_hidden_with_another(self):
        pairs = pairs_of([3] * 4 + [7] * 20 + [9] * 30, [9] * 54)
        table = shown(categories=categories_table(pairs))["categories"]
        table = table.query("survey == 'transactional'")
        assert table["n"].isna().tolist() == [True, True, False]
        assert table["note"].tolist()[1] == "hidden: it would give a smaller group back"

    def test_of_few_pairs_not_even_an_empty_category_is_shown(self):
        table = shown(categories=categories_table(self.FEW))["categories"]
        assert table["n"].isna().all()

    def test_means_of_a_small_category_are_hidden_with_another(self):
        pairs = pairs_of([3] * 2 + [7] * 20 + [9] * 30, [9] * 52)
        table = shown(regression=regression_table(pairs))["regression"]
        table = table.query("given == 'transactional answer'").set_index("group")
        assert table["mean_other"].isna().to_dict() == {
            "detractor": True,
            "passive": True,
            "promoter": False,
        }

    def test_regression_to_the_mean_by_hand(self):
        # two detractors of one customer: 4 → 9 and 2 → 3, other − known is 5 and 1
        pairs = pairs_of([4, 2, 7, 10], [9, 3, 7, 8], [0, 0, 1, 2])
        table = regression_table(pairs).set_index(["given", "group"])
        row = table.loc[("transactional answer", "detractor")]
        assert row[["n", "customers", "mean_given", "mean_other", "estimate"]].tolist() == [
            2, 1, 3, 6, 3,
        ]  # fmt: skip
        assert np.isnan(row["se"])
        assert table.loc[("relationship answer", "promoter"), "estimate"] == -5

    def test_later_scores_correlate_as_by_hand_and_by_scipy(self):
        rng = np.random.default_rng(0)
        who = np.sort(rng.integers(0, 90, 200))
        t = np.clip(rng.integers(0, 11, 90)[who] + rng.integers(-2, 3, 200), 0, 10)
        r = np.clip(t + rng.integers(-3, 4, 200), 0, 10)
        pairs = every_pair(np.full(200, 5.0), t, r, who).assign(relationship=np.arange(200))
        row = later_table(pairs, every_pair([], [], [])).iloc[0]
        found, n = pearsonr(t, r).statistic, len(who)
        zt, zr = ((x - x.mean()) / x.std() for x in (t, r))
        # each customer's sum of the influence, over the number of pairs
        sums = np.bincount(who, zt * zr - found / 2 * (zt**2 + zr**2)) / n
        groups = len(np.unique(who))
        assert row["estimate"] == pytest.approx(found)
        assert row["se"] == pytest.approx((groups / (groups - 1) * (sums**2).sum()) ** 0.5)
        assert row["customers"] == groups

    def test_a_correlation_of_one_customer_has_no_interval(self):
        t, r = [*[5] * 12, 9], [*[7, 8, 9] * 4, 2]
        many, few = every_pair([5] * 13, t, r), every_pair([5] * 9, t[4:], r[4:])
        table = later_table(many, few)
        assert table["estimate"].notna().all()
        assert table[["se", "ci_low", "ci_high"]].isna().all(axis=None)
        assert table["note"].tolist() == ["it rests on one customer: no interval"] * 2
        assert shown(later=table)["later"]["estimate"].notna().tolist() == [True, False]

    def test_a_delay_is_hidden_that_would_give_back_few_of_unknown_time(self):
        table = pd.DataFrame(
            {"delay": list("abc"), "customers": [20, 30, 40], "estimate": 1.0, "outside": UNPLACED}
        )
        found = shown(delays=table)["delays"]
        assert found["estimate"].notna().tolist() == [False, True, True]


class TestWindowsAndRules:
    def test_a_window_is_hidden_that_less_another_is_about_few(self):
        # 12 customers within 30 days, 3 more within 90, 20 more within 180
        age = [5.0] * 12 + [60.0] * 3 + [120.0] * 20
        pairs = every_pair(age, [9, 3, 7, 10, 6] * 7, [7] * 35)
        at_90 = windows_shown(pairs, 90).set_index("window_days")
        assert at_90["n"].isna().to_dict() == {7: True, 30: True, 90: False, 180: False}
        assert at_90.loc[30, "note"] == "hidden: it would give a smaller group back"
        at_30 = windows_shown(pairs, 30).set_index("window_days")
        assert at_30["n"].isna().to_dict() == {7: False, 30: False, 90: True, 180: False}

    def test_the_window_chosen_counts_even_if_it_is_not_in_the_table(self):
        pairs = every_pair([5.0] * 12 + [60.0] * 3, [9, 3, 7] * 5, [7] * 15)
        table = windows_shown(pairs, 45)
        assert table["n"].isna().tolist() == [False, False, True, True]

    def test_a_rule_that_differs_for_few_customers_is_hidden(self):
        # customer 0 has two answers before its relationship answer: a rule is about that one
        customer = [0, *range(12)]
        pairs = every_pair([20.0, *[5.0] * 12], [2, *[9, 3, 7, 10] * 3], [7] * 13, customer)
        alone = sensitivity_table(pairs)
        table = shown(sensitivity=alone)["sensitivity"]
        assert table.query("chosen")["n"].tolist() == [12, 12]
        assert table.query("not chosen")["estimate"].isna().all()
        assert alone["estimate"].notna().all()

    def test_counting_each_customer_once_is_hidden_where_it_is_about_few(self):
        shown = compare("2024-Q1", None)
        row = shown.touchpoints.set_index("touchpoint").loc["check_in"]
        assert row["n"] - row["customers"] == 1
        assert np.isnan(row["per_customer"])
        assert row["note"].startswith("each customer once: hidden")
        # 270 answers of 257 customers; in the group, 121 of 118
        assert shown.robustness["variant"].str.contains("one answer per customer").any()
        few = compare(*SELECTIONS[1]).robustness
        assert not few["variant"].str.contains("one answer per customer").any()


class TestNothingFails:
    @pytest.mark.parametrize("answers", [{"transactional"}, {"relationship"}, set()])
    def test_a_period_without_answers_to_a_survey(self, answers):
        tables = dict(tables_where((("segment", "Family"),)))
        # as in a small group: nobody answered in the first quarter
        for name in {"transactional", "relationship"} - answers:
            frame, asked = tables[name], tables["invitations"]
            gone = frame["period"] == "2024-Q1"
            tables[name] = frame[~gone]
            silent = (asked["survey_type"] == name) & (asked["period"] == "2024-Q1")
            silent &= asked["status"] == "answered"
            status = asked["status"].astype("str").mask(silent, "invited")
            tables["invitations"] = asked.assign(status=status)
        result = compare_tnps_rnps(**tables, periods="2024-Q1", replicates=0)
        answer = result.findings().answer
        assert answer.text == "One of the surveys has no valid answer: there is no gap to explain"

    def test_a_rule_that_stopped_none_of_the_chosen_is_left_out(self, study):
        asked = study.read("invitations")
        stopped = set(asked.loc[asked["status"] == "suppressed", "customer_id"])
        free = [who for who in asked["customer_id"].unique() if who not in stopped][:40]
        tables = programme_tables(study, where={"customer_id": free})
        assert tables["contact_rules"] is None
        result = compare_tnps_rnps(**tables, replicates=0)
        assert result.flow.query("stage == 'customers'")["n"].tolist() == [40, 40]


def test_contact_rules_in_words():
    assert rules_in_words({"relationship quarantine": (60.0, 0.1)}) == (
        "relationship quarantine: 60 days, 10 % exempt"
    )
    assert rules_in_words({"opted out": None}) == "opted out: how it works is not known"
    assert rules_in_words(None) == "none"


def test_scores_all_alike_leave_every_term_without_an_interval():
    tables = programme_tables(load_study("demo"))
    for name in ("transactional", "relationship"):
        tables[name] = tables[name].assign(
            recommend=tables[name]["recommend"].where(tables[name]["recommend"].isna(), 10)
        )
    found = compare_tnps_rnps(**tables, periods="2025-Q4", replicates=30, seed=0).decomposition
    assert (found["estimate"].abs() < 1e-9).all()
    assert found[["se", "ci_low", "ci_high"]].isna().all(axis=None)
