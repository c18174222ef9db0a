import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from statsmodels.stats.contingency_tables import SquareTable

from cxlab.stats.comparison.gaps import Contrast, contrast, two_means
from cxlab.stats.comparison.identity import COMPOSITION, WITHIN, kitagawa_parts
from cxlab.stats.comparison.pairs import (
    HALF_LIFE,
    category,
    design_based_margins,
    marginal_homogeneity,
    migration_counts,
    one_per_answer,
    pair_answers,
    quadratic_form,
)

ROUNDING = 1e-9
#: Studies without any difference, and those of METHODS §5: 5 %, and three standard errors.
NULLS, PROGRAMMES = 300, 400
REJECTIONS = (0.017, 0.083)


def pairs_of_table(table):
    """Categories of the pairs that a table counts: rows the first measure."""
    counts = np.asarray(table, dtype=int)
    return np.repeat(np.indices(counts.shape).reshape(2, -1), counts.ravel(), axis=1)


def paired_difference(table, method="wald"):
    """Difference of net scores, as fractions, of one pair a customer."""
    first, second = pairs_of_table(table)
    return contrast((first - second).astype(float), np.arange(len(first))).row(method)


tables = hnp.arrays(np.int64, (3, 3), elements=st.integers(0, 40)).filter(lambda t: t.sum() > 0)


def counts_of(w_t, t, w_r, r):
    """Shares and scores of groups as `Segment.counts` holds them; nobody: no score."""
    cells = np.array([w_t, w_t * np.nan_to_num(t), w_r, w_r * np.nan_to_num(r)], dtype=float).T
    return np.vstack([cells, cells.sum(0)])[:, :, None]


class TestGoldenValues:
    @pytest.mark.parametrize("method", ["wald", "score"])
    def test_paired_difference(self, golden_scores, method):
        entry = golden_scores[f"paired.nps.{method}"]
        result = paired_difference(entry["inputs"]["table"], method)
        names = {"est": "estimate", "lower": "ci_low", "upper": "ci_high", "z": "statistic",
                 "p": "p_value"}  # fmt: skip
        for key, expected in entry["expected"].items():
            assert result[names[key]] == pytest.approx(expected, abs=entry["tolerance"])

    def test_marginal_homogeneity(self, golden_scores):
        entry = golden_scores["marginal.homogeneity.fleiss3x3"]
        result = marginal_homogeneity(np.array(entry["inputs"]["table"])).set_index("test")
        for key, name in (
            ("stuart", "Stuart–Maxwell"),
            ("bhapkar", "Bhapkar"),
            ("bowker", "Bowker"),
        ):
            found = result.loc[name, ["statistic", "df", "p_value"]].astype(float).to_numpy()
            assert found == pytest.approx(entry["expected"][key], abs=entry["tolerance"])

    def test_half_life_weights(self, golden_scores):
        entry = golden_scores["recency.weighted"]
        inputs = entry["inputs"]
        assert inputs["half_life"] == HALF_LIFE
        # ages are counted from the youngest answer: the same weights up to a factor
        pairs = pairs_of(inputs["scores"], inputs["age_days"])
        found = one_per_answer(pairs, "half-life")["t_value"].tolist()
        assert found == pytest.approx([entry["expected"]["composite"]], abs=entry["tolerance"])

    def test_kitagawa_of_das_gupta(self, golden_scores):
        entry = golden_scores["kitagawa.dasgupta5.1"]
        inputs, expected = entry["inputs"], entry["expected"]
        w1, r1, w2, r2 = (np.array(inputs[k]) for k in ("share_1", "rate_1", "share_2", "rate_2"))
        parts = kitagawa_parts(counts_of(w2, r2, w1, r1))
        mix, performance = parts[COMPOSITION].sum(), parts[WITHIN].sum()
        assert mix == pytest.approx(expected["mix"], abs=entry["tolerance"])
        assert performance == pytest.approx(expected["rate"], abs=entry["tolerance"])
        assert mix + performance == pytest.approx(expected["total"], abs=entry["tolerance"])


class TestMargins:
    def test_margins_that_cancel_in_the_first_categories(self):
        # rows 20, 30, 20 and columns 20, 25, 25 of 70: d = (0, 5, −5)
        table = np.array([[12.0, 3, 5], [4, 18, 8], [4, 4, 12]])
        d = table.sum(1) - table.sum(0)
        assert d[0] == 0
        # d'S⁻d by hand: with d₁ = 0 the 2 × 2 form in the last two categories (S without row 1)
        s = np.diag(table.sum(1) + table.sum(0)) - table - table.T
        expected = d[1:] @ np.linalg.solve(s[1:, 1:], d[1:])
        found = marginal_homogeneity(table).set_index("test").loc["Stuart–Maxwell"]
        assert found["statistic"] == pytest.approx(expected, abs=ROUNDING)
        assert found["df"] == 2
        assert 0 < found["p_value"] < 1

    @given(tables, st.permutations([0, 1, 2]))
    def test_order_of_categories_makes_no_difference(self, table, order):
        table = table.astype(float)
        one = marginal_homogeneity(table)["statistic"]
        two = marginal_homogeneity(table[np.ix_(order, order)])["statistic"]
        assert two.to_numpy() == pytest.approx(one.to_numpy(), rel=1e-6, abs=1e-6)

    @given(tables)
    def test_swapping_the_surveys_changes_only_the_sign(self, table):
        one, two = paired_difference(table), paired_difference(table.T)
        assert two["estimate"] == pytest.approx(-one["estimate"], abs=ROUNDING)
        assert two["se"] == pytest.approx(one["se"], abs=ROUNDING, nan_ok=True)
        tests = [marginal_homogeneity(t)["statistic"].to_numpy() for t in (table, table.T)]
        assert tests[0] == pytest.approx(tests[1], rel=1e-6, abs=1e-6)

    def test_nobody_changed(self):
        result = marginal_homogeneity(np.diag([5.0, 6, 7]))
        assert result["p_value"].tolist() == [1.0, 1.0, 1.0]
        assert result["note"].str.contains("nobody changed").all()

    def test_bowker_counts_only_pairs_of_categories_with_changes(self):
        # changes between detractor and passive only: (9 − 3)²/12 = 3 on 1 degree of freedom
        table = np.array([[20, 9, 0], [3, 20, 0], [0, 0, 20]])
        found = marginal_homogeneity(table).set_index("test").loc["Bowker"]
        assert found["statistic"] == pytest.approx(3)
        assert found["df"] == 1
        assert found["note"] == "df counts the 1 of 3 pairs of categories between which any moved"
        full = marginal_homogeneity(np.array([[35, 5, 1], [15, 20, 5], [10, 5, 5]])).set_index(
            "test"
        )
        assert full.loc["Bowker", "df"] == 3
        assert full["note"].eq("").all()

    def test_few_changes_are_called_rough(self):
        found = marginal_homogeneity(np.array([[20, 4, 0], [0, 20, 0], [0, 0, 20]]))
        assert found["note"].str.contains("4 changed category: the test is rough").all()

    def test_everybody_moved_the_same_way(self):
        # all 8 went from passive to promoter: W = N, Bhapkar's denominator is 0
        result = marginal_homogeneity(np.array([[0, 0, 0], [0, 0, 8], [0, 0, 0]])).set_index("test")
        assert result.loc["Stuart–Maxwell", "statistic"] == pytest.approx(8)
        assert result.loc["Bhapkar", "p_value"] == 0

    def test_a_form_of_rank_zero(self):
        assert quadratic_form(np.zeros(3), np.zeros((3, 3))) == (0.0, 0)

    @given(tables.filter(lambda t: ((t + t.T)[np.triu_indices(3, 1)] > 0).all()))
    def test_against_statsmodels_where_everybody_is_somewhere(self, table):
        square = SquareTable(table, shift_zeros=False)
        found = marginal_homogeneity(table).set_index("test")["statistic"]
        symmetry = square.symmetry(method="bowker").statistic
        assert found["Bowker"] == pytest.approx(symmetry)
        stuart = square.homogeneity(method="stuart_maxwell").statistic
        assert found["Stuart–Maxwell"] == pytest.approx(stuart, rel=1e-6, abs=1e-6)


class TestContrast:
    def test_clusters_by_hand(self):
        # clusters {100, 0} and {−100, 0} and {0}: mean 0, cluster sums 100, −100, 0 of 5 pairs
        difference = np.array([100.0, 0, -100, 0, 0])
        found = contrast(difference, np.array([1, 1, 2, 2, 3]))
        assert found.estimate == 0
        assert found.se == pytest.approx(np.sqrt(3 / 2 * (20**2 + 20**2)))
        assert found.df == 2

    def test_a_handful_of_differences_is_no_finding(self):
        # 296 of 300 customers give both surveys the same answer; four promoters fell: the
        # chance of four signs alike is 1 in 8, and the normal distribution says p = .045
        found = contrast(np.r_[np.full(4, 100.0), np.zeros(296)], np.arange(300))
        row = found.row("wald")
        assert found.estimate / found.se == pytest.approx(2.01, abs=0.01)
        assert found.test_df == pytest.approx(3)
        assert row["p_value"] > 0.125
        assert row["ci_low"] < 0

    @pytest.mark.parametrize("changing", [2, 5, 40])
    def test_a_true_null_with_few_who_differ(self, changing):
        rng = np.random.default_rng(60_100 + changing)
        rejected = 0
        for _ in range(NULLS):
            d = np.zeros(300)
            some = rng.random(300) < changing / 300
            d[some] = rng.choice([-100.0, 100.0], some.sum())
            rejected += contrast(d, np.arange(300)).row("wald")["p_value"] < 0.05
        assert rejected / NULLS <= 0.07 + 3 * (0.07 * 0.93 / NULLS) ** 0.5

    def test_repeating_every_pair_does_not_add_information(self):
        rng = np.random.default_rng(3)
        d, who = rng.normal(size=50), np.arange(50)
        once = contrast(np.repeat(d, 4), np.repeat(who, 4))
        assert once.se == pytest.approx(contrast(d, who).se * np.sqrt(50 / 49))

    def test_one_customer_has_no_interval(self):
        row = contrast(np.array([1.0, 2.0]), np.array([7, 7])).row("wald")
        assert row["estimate"] == 1.5
        assert np.isnan(row["ci_low"])
        assert np.isnan(row["p_value"])

    def test_nobody(self):
        assert contrast(np.empty(0), np.empty(0, dtype=int)).n == 0

    def test_a_true_null_is_rejected_one_time_in_twenty(self):
        rng = np.random.default_rng(60_000)
        rejected, by_row = 0, 0
        for _ in range(PROGRAMMES):
            base = 8 + 1.3 * rng.standard_normal(120)
            who = np.repeat(np.arange(120), rng.integers(1, 8, 120))
            t = np.clip(np.rint(base[who] + 1.5 * rng.standard_normal(len(who))), 0, 10)
            r = np.clip(np.rint(base + 1.5 * rng.standard_normal(120)), 0, 10)[who]
            d = 100.0 * (category(t) - category(r))
            rejected += contrast(d, who).row("wald")["p_value"] < 0.05
            by_row += contrast(d, np.arange(len(d))).row("wald")["p_value"] < 0.05
        assert REJECTIONS[0] <= rejected / PROGRAMMES <= REJECTIONS[1]
        assert by_row / PROGRAMMES > 0.15  # what the clusters are for

    def test_design_based_margins_agree_with_bhapkar_without_clusters(self):
        # Bhapkar's form is the Wald test; with the factor G/(G − 1) and F they nearly agree
        rng = np.random.default_rng(4)
        a, b = rng.integers(0, 3, 400), rng.integers(0, 3, 400)
        wald = design_based_margins(a, b, np.arange(400))
        bhapkar = marginal_homogeneity(np.bincount(3 * a + b, minlength=9).reshape(3, 3))
        expected = bhapkar.set_index("test").loc["Bhapkar", "statistic"] / 2
        assert wald["statistic"] == pytest.approx(expected * 399 / 400 * 398 / 399, rel=1e-6)


def group(clusters, first=0):
    """Values, weights of 1 and clusters."""
    values = np.array([v for cluster in clusters for v in cluster], float)
    sizes = [len(cluster) for cluster in clusters]
    return answered(values, np.repeat(np.arange(len(clusters)) + first, sizes))


def answered(values, customer):
    return pd.DataFrame({"value": values, "weight": 1.0, "customer": customer})


def limits(gap):
    numbers = gap.numbers()
    return numbers["ci_low"], numbers["ci_high"]


class TestTwoMeans:
    PSEUDO = (-100.0, 0.0, 100.0)

    def test_few_clusters_by_hand(self):
        first = group([[100, 0], [100, 100], [-100, 0]])
        second = group([[0, 0], [100, -100], [0, 100], [-100, -100]], first=10)
        found = two_means(first, second, pseudo=self.PSEUDO)
        assert found.estimate == pytest.approx(45.8333, abs=1e-4)
        assert found.se == pytest.approx(54.166667, abs=1e-6)
        assert found.df == pytest.approx(4.454545, abs=1e-6)

    def test_degrees_of_freedom_are_those_of_the_small_side(self):
        # 3 of 30 clusters of ten: (1/30 + 1/270)²/(2/60² + 26/(270·26)²)
        clusters = [[100.0 * (k % 3 - 1)] * 10 for k in range(30)]
        found = two_means(group(clusters[:3]), group(clusters[3:], first=3), pseudo=self.PSEUDO)
        expected = (1 / 30 + 1 / 270) ** 2 / (2 / 60**2 + 26 / (270 * 26) ** 2)
        assert found.df == pytest.approx(expected)

    def test_one_cluster_on_a_side_has_no_standard_error(self):
        found = two_means(group([[100, 0, 0]]), group([[0]] * 40, first=1), pseudo=self.PSEUDO)
        assert np.isnan(found.se)
        assert np.isnan(limits(found)).all()

    def test_many_clusters_are_as_they_were(self):
        rng = np.random.default_rng(1)
        y, who = rng.choice([-100.0, 0, 100], 2000), np.arange(2000) % 250
        z, also = rng.choice([-100.0, 0, 100], 3000), np.arange(3000) % 250
        found = two_means(answered(y, who), answered(z, also), pseudo=self.PSEUDO)
        influence = np.r_[(y - y.mean()) / 2000, -(z - z.mean()) / 3000]
        sums = np.bincount(np.r_[who, also], influence)
        assert found.se == pytest.approx(np.sqrt(250 / 249 * (sums**2).sum()))
        assert found.df == np.inf

    def test_a_side_of_forty_has_the_degrees_of_freedom_of_t(self):
        """The normal distribution rejects too many true nulls there."""
        y, z = (np.tile([-100.0, 0, 100, 100], k) for k in (10, 50))
        found = two_means(
            answered(y, np.arange(40)), answered(z, np.arange(40, 240)), pseudo=self.PSEUDO
        )
        assert 39 < found.df < 80

    @pytest.mark.parametrize("n", [10, 30])
    def test_a_side_all_alike_is_not_certain(self, n):
        """True null, nearly everyone a promoter: the small side is often all alike."""
        rng = np.random.default_rng(60_200 + n)
        rejected, alike = 0, 0
        for _ in range(NULLS):
            t, r = (rng.choice([100.0, 0, -100], k, p=[0.93, 0.05, 0.02]) for k in (n, 300))
            first = answered(t, np.arange(n))
            second = answered(r, np.arange(n, n + 300))
            low, high = limits(two_means(first, second, pseudo=self.PSEUDO))
            rejected += not low <= 0 <= high
            alike += np.ptp(t) == 0
        assert alike > NULLS / 12
        assert rejected / NULLS <= 0.065 + 3 * (0.065 * 0.935 / NULLS) ** 0.5

    @pytest.mark.parametrize("few", [2, 5])
    def test_true_nulls_with_few_clusters_on_one_side(self, few):
        rng = np.random.default_rng(60_300 + few)
        rejected = 0
        for _ in range(NULLS):
            level = 40 * rng.standard_normal(30)
            clusters = [list(v + 60 * rng.standard_normal(10)) for v in level]
            sides = group(clusters[:few]), group(clusters[few:], first=few)
            low, high = limits(two_means(*sides, pseudo=self.PSEUDO))
            rejected += not low <= 0 <= high
        assert rejected / NULLS <= 0.065 + 3 * (0.065 * 0.935 / NULLS) ** 0.5


def pairs_of(scores, ages, relationship=None):
    n = len(scores)
    which = np.zeros(n, dtype=int) if relationship is None else np.array(relationship)
    return pd.DataFrame(
        {
            "relationship": which,
            "transactional": np.arange(n),
            "age": np.array(ages, dtype=float),
            "t_score": np.array(scores, dtype=float),
            "r_score": 7.0,
            "customer": which,
        }
    )


class TestRules:
    # in order of time: the oldest first
    SCORES, AGES = [2, 9, 8], [70.0, 40.0, 10.0]

    @pytest.mark.parametrize(
        ("rule", "expected"),
        [
            ("last before", 8),
            ("mean", 19 / 3),
            ("half-life", (2 * 0.25 + 9 * 0.5 + 8) / 1.75),  # half as much after 30 days
            ("peak–end", (2 + 8) / 2),  # 2 is furthest from the mean of 6⅓
        ],
    )
    def test_by_hand(self, rule, expected):
        found = one_per_answer(pairs_of(self.SCORES, self.AGES), rule)
        assert found["t_value"].tolist() == pytest.approx([expected])
        assert found["r_score"].tolist() == [7.0]

    @pytest.mark.parametrize("rule", ["last before", "mean", "half-life", "peak–end"])
    def test_a_single_answer_is_itself_under_every_rule(self, rule):
        found = one_per_answer(pairs_of([6, 9], [5, 7], [0, 1]), rule)
        assert found["t_value"].tolist() == [6.0, 9.0]

    def test_very_old_answers_do_not_vanish(self):
        # 2^(−60,000/30) is 0 in floating point; the weights are relative to the youngest
        found = one_per_answer(pairs_of([4, 8], [60_030.0, 60_000.0]), "half-life")
        assert found["t_value"].tolist() == pytest.approx([(4 * 0.5 + 8) / 1.5])

    def test_ties_for_the_peak_take_the_lower(self):
        found = one_per_answer(pairs_of([4, 10, 7], [3, 2, 1]), "peak–end")
        assert found["t_value"].tolist() == [(4 + 7) / 2]

    def test_migration_counts_rows_are_transactional(self):
        found = migration_counts(one_per_answer(pairs_of([9], [1]), "last before"))
        assert found.tolist() == [[0, 0, 0], [0, 0, 0], [0, 1, 0]]


def answers_of(customer, day, score):
    columns = {"customer": customer, "responded_at": day, "score": score}
    return pd.DataFrame(columns).astype({"customer": int, "responded_at": float, "score": float})


class TestPairing:
    def pairs(self, t, r, longest):
        return pair_answers(answers_of(*t), answers_of(*r), longest=longest)

    def test_strictly_before_the_same_customer_and_within_the_window(self):
        # customer 1 answers on days 10, 50, 60 (same moment), 70 (later); customer 2 on day 55
        t = ([1, 1, 1, 1, 2], [10.0, 50, 60, 70, 55], [1, 2, 3, 4, 5])
        r = ([1], [60.0], [9])
        assert self.pairs(t, r, 30)["t_score"].tolist() == [2]
        assert self.pairs(t, r, 50)["t_score"].tolist() == [1, 2]
        assert self.pairs(t, r, 50)["age"].tolist() == [50, 10]

    def test_order_of_the_files_makes_no_difference(self):
        t = ([2, 1, 1], [5.0, 50, 10], [5, 2, 1])
        r = ([1, 2, 1], [60.0, 9, 20], [9, 8, 7])
        found = self.pairs(t, r, 90)
        assert found["t_score"].tolist() == [1, 2, 5, 1]
        assert found["r_score"].tolist() == [9, 9, 8, 7]

    def test_blank_scores_make_no_pair(self):
        t, r = ([1, 1], [10.0, 20], [np.nan, 4]), ([1, 1], [30.0, 40], [9, np.nan])
        assert self.pairs(t, r, 90)["t_score"].tolist() == [4]

    def test_nobody_in_both(self):
        assert len(self.pairs(([1], [1.0], [9]), ([2], [5.0], [9]), 90)) == 0
        assert len(self.pairs(([], [], []), ([2], [5.0], [9]), 90)) == 0


class TestKitagawa:
    @settings(max_examples=50)
    @given(hnp.arrays(float, (4, 5), elements=st.floats(0.01, 100)))
    def test_parts_add_to_the_difference(self, numbers):
        w_t, t, w_r, r = numbers
        parts = kitagawa_parts(counts_of(w_t, t, w_r, r))
        difference = np.average(t, weights=w_t) - np.average(r, weights=w_r)
        total = parts[COMPOSITION].sum() + parts[WITHIN].sum()
        assert total == pytest.approx(difference, abs=1e-8)

    def test_an_absent_group_takes_the_other_score(self):
        parts = kitagawa_parts(counts_of(*map(np.array, ([1, 1], [10, 30], [1, 0], [10, np.nan]))))
        assert parts[WITHIN].ravel().tolist() == [0, 0]
        assert parts[COMPOSITION].sum() == pytest.approx(10)
        assert np.isnan(parts["rnps"][1, 0])


def test_categories_are_those_of_nps():
    assert category(np.arange(11)).tolist() == [0] * 7 + [1] * 2 + [2] * 2


def test_the_interval_of_a_gap_is_that_of_students_t():
    # t(10) at .975 is 2.228139 in tables
    told = Contrast(n=12, customers=12, estimate=5.0, se=2.0, df=10.0).numbers()
    assert (told["ci_low"], told["ci_high"]) == pytest.approx((0.543722, 9.456278), abs=1e-6)
