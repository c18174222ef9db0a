import json
from itertools import combinations
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab.stats.drivers import dominance, drivers
from cxlab.stats.drivers.coefficients import variance_inflation
from cxlab.stats.drivers.comparisons import complete_dominance
from cxlab.stats.drivers.importance import METHODS, sampled_orders
from cxlab.stats.drivers.subsets import all_r_squared, partial_out, subset_sums

GOLDEN = Path(__file__).parent / "golden"
#: The golden values carry 15 digits.
GOLDEN_DIGITS = 1e-10
#: Sums of at most a few thousand numbers below 1.
ROUNDING = 1e-12

RELAIMPO = {"johnson": "genizi"}


@pytest.fixture(scope="module")
def swiss():
    return pd.read_csv(GOLDEN / "swiss.csv")


@pytest.fixture(scope="module")
def from_r():
    return json.loads((GOLDEN / "swiss_golden.json").read_text())


def correlations(players, seed, common=0.6, rows=60):
    generator = np.random.default_rng(seed)
    table = generator.normal(size=(rows, players + 1)) + common * generator.normal(size=(rows, 1))
    return np.corrcoef(table.T)


def r_squared(matrix, columns):
    columns = list(columns)
    if not columns:
        return 0.0
    outcome = matrix[columns, -1]
    return float(outcome @ np.linalg.solve(matrix[np.ix_(columns, columns)], outcome))


def lmg_by_definition(matrix, groups):
    """Mean gain over all orders, from the weights of the subsets."""
    players = range(len(groups))
    gains = np.zeros(len(groups))
    for player in players:
        others = [other for other in players if other != player]
        for size in range(len(groups)):
            weight = factorial(size) * factorial(len(groups) - size - 1) / factorial(len(groups))
            for chosen in combinations(others, size):
                before = [column for other in chosen for column in groups[other]]
                gain = r_squared(matrix, before + groups[player]) - r_squared(matrix, before)
                gains[player] += weight * gain
    return gains


class TestAgainstR:
    @pytest.mark.parametrize("method", list(METHODS))
    def test_swiss_against_relaimpo(self, swiss, from_r, method):
        names = from_r["predictors"]
        analysis = drivers(swiss, "Fertility", names, method=method, replicates=0)
        expected = from_r["relaimpo"][RELAIMPO.get(method, method)]
        for name, value in zip(names, analysis.part()["estimate"], strict=True):
            assert value == pytest.approx(expected[name], abs=GOLDEN_DIGITS)

    def test_swiss_against_rwa_but_for_its_sign(self, swiss, from_r):
        table = drivers(
            swiss, "Fertility", from_r["predictors"], method="johnson", replicates=0
        ).part()
        assert table["estimate"].tolist() == pytest.approx(from_r["rwa"]["raw"], abs=GOLDEN_DIGITS)
        assert (100 * table["share"]).tolist() == pytest.approx(from_r["rwa"]["rescaled"], abs=1e-8)
        # rwa prints "+" for Agriculture, whose coefficient is negative
        assert from_r["rwa"]["sign_as_printed"][0] == "+"
        assert table["coefficient"][0] < 0
        assert table["suppressor"].tolist() == [True, False, False, False, False]

    def test_swiss_against_lm(self, swiss, from_r):
        analysis = drivers(swiss, "Fertility", from_r["predictors"], replicates=0)
        expected = from_r["lm"]["coef"]
        for name, value in zip(from_r["predictors"], analysis.part()["coefficient"], strict=True):
            assert value == pytest.approx(expected[name], abs=GOLDEN_DIGITS)
        assert analysis.r_squared == pytest.approx(from_r["lm"]["r2"], abs=GOLDEN_DIGITS)

    def test_swiss_coefficients_against_lm(self, swiss, from_r):
        # summary(lm(Fertility ~ ., swiss)), in golden/drivers.R
        expected = pd.read_csv(GOLDEN / "swiss_lm.csv")
        table = drivers(swiss, "Fertility", from_r["predictors"], replicates=0).part()
        assert table["driver"].tolist() == expected["driver"].tolist()
        assert table["coefficient"].tolist() == pytest.approx(expected["coefficient"].tolist())
        # lm's standard errors are those of one variance for all rows; HC3's are near them here
        assert table["coefficient_se"].tolist() == pytest.approx(expected["se"].tolist(), rel=0.25)

    def test_swiss_adjusted_r_squared_against_lm(self, swiss, from_r):
        twice = pd.concat([swiss, swiss], ignore_index=True).assign(g=np.arange(94) // 47)
        analysis = drivers(twice, "Fertility", from_r["predictors"], by="g", replicates=0)
        assert analysis.r_squared == pytest.approx(from_r["lm"]["adjr2"], abs=GOLDEN_DIGITS)
        assert analysis.part(0)["estimate"].sum() == pytest.approx(
            from_r["lm"]["adjr2"], abs=GOLDEN_DIGITS
        )

    def test_swiss_dominance_against_domir(self, swiss, from_r):
        names = from_r["predictors"]
        found = dominance(drivers(swiss, "Fertility", names, replicates=0))
        expected = [from_r["domir"]["conditional"][name] for name in names]
        table = found.conditional.set_index("driver").loc[names, list(range(5))]
        assert table.to_numpy() == pytest.approx(np.array(expected), abs=GOLDEN_DIGITS)
        shares = found.table.set_index(["driver", "against"])["share"]
        for one, row in from_r["domir"]["complete_proportion"].items():
            for two, value in row.items():
                if value is not None:
                    pair = (one.removesuffix("_>"), two.removeprefix(">_"))
                    assert shares[pair] == pytest.approx(value, abs=GOLDEN_DIGITS)

    @pytest.mark.parametrize(
        ("missing", "golden"), [("complete", "complete_case"), ("pairwise", "pairwise_cor")]
    )
    @pytest.mark.parametrize("method", list(METHODS))
    def test_answers_with_holes_against_relaimpo(self, missing, golden, method):
        answers = pd.read_csv(GOLDEN / "synthetic_structural_missing.csv")
        expected = json.loads((GOLDEN / "synthetic_structural_missing_golden.json").read_text())
        names = [f"tp{number}" for number in range(1, 7)]
        analysis = drivers(answers, "nps", names, method=method, missing=missing, replicates=0)
        values = expected[golden][RELAIMPO.get(method, method)]
        assert analysis.part()["estimate"].tolist() == pytest.approx(
            [values[name] for name in names], abs=GOLDEN_DIGITS
        )

    def test_em_recovers_the_shares_from_before_the_holes(self):
        answers = pd.read_csv(GOLDEN / "synthetic_structural_missing.csv")
        expected = json.loads((GOLDEN / "synthetic_structural_missing_golden.json").read_text())
        names = [f"tp{number}" for number in range(1, 7)]
        full = expected["full_data_before_deletion"]["lmg"]
        truth = np.array([full[name] for name in names]) / sum(full.values())

        def distance(missing):
            table = drivers(answers, "nps", names, missing=missing, replicates=0).part()
            return 100 * np.sqrt(((table["share"] - truth) ** 2).mean())

        assert distance("em") == pytest.approx(1.69, abs=0.01)
        assert distance("complete") == pytest.approx(5.12, abs=0.01)

    @pytest.mark.parametrize(
        ("scale", "outcome", "golden"),
        [
            ("binary", "y_bin", "binary_mcfadden_domir"),
            ("ordinal", "y_ord", "ordinal_polr_logit_mcfadden_domir"),
        ],
    )
    def test_latent_shares_stand_near_refitted_pseudo_r_squared_of_domir(
        self, scale, outcome, golden
    ):
        answers = pd.read_csv(GOLDEN / "synthetic_binary_ordinal.csv", skipinitialspace=True)
        expected = json.loads((GOLDEN / "synthetic_binary_ordinal_golden.json").read_text())[golden]
        names = [f"x{number}" for number in range(1, 6)]
        latent = drivers(answers, outcome, names, outcome_scale=scale, replicates=0).part()
        refitted = np.array([expected["general"][name] for name in names]) / expected["value"]
        # two kinds of R²: their shares agree, not their sizes
        assert abs(latent["share"] - refitted).max() < 0.02


class TestSubsets:
    @pytest.mark.parametrize("groups", [[[0], [1], [2], [3], [4]], [[0, 3], [1], [2, 4]]])
    def test_lmg_is_its_definition(self, groups):
        matrix = correlations(5, seed=1)
        found = subset_sums(matrix, groups).general[0]
        assert found == pytest.approx(lmg_by_definition(matrix, groups), abs=ROUNDING)

    @given(players=st.integers(1, 9), seed=st.integers(0, 10**6))
    @settings(max_examples=40)
    def test_importances_add_up_to_r_squared(self, players, seed):
        matrix = correlations(players, seed)
        found = subset_sums(matrix)
        whole = r_squared(matrix, range(players))
        assert found.general.sum() == pytest.approx(whole, abs=ROUNDING)
        assert found.r_squared[0] == pytest.approx(whole, abs=ROUNDING)
        assert (found.general > -ROUNDING).all()

    @given(players=st.integers(2, 6), seed=st.integers(0, 10**6))
    @settings(max_examples=20)
    def test_order_of_the_drivers_does_not_matter(self, players, seed):
        matrix = correlations(players, seed)
        order = np.random.default_rng(seed).permutation(players)
        moved = matrix[np.ix_([*order, players], [*order, players])]
        assert subset_sums(moved).general[0] == pytest.approx(
            subset_sums(matrix).general[0][order], abs=ROUNDING
        )

    def test_every_subset_against_solving(self):
        matrix = correlations(6, seed=3)
        found = all_r_squared(matrix)
        for subset in range(64):
            columns = [column for column in range(6) if subset >> column & 1]
            assert found[subset] == pytest.approx(r_squared(matrix, columns), abs=ROUNDING)

    def test_conditional_dominance_of_many_drivers_against_every_subset(self):
        # 16 drivers pass the width of one vector: the later ones are walked depth first
        matrix = correlations(16, seed=4)
        values = all_r_squared(matrix)
        subsets = np.arange(len(values))
        size = ((subsets[:, None] >> np.arange(16)) & 1).sum(axis=1)
        found = subset_sums(matrix).conditional[0]
        for player in (0, 13, 14, 15):
            without = subsets[(subsets >> player) & 1 == 0]
            gain = values[without | 1 << player] - values[without]
            means = [gain[size[without] == count].mean() for count in range(16)]
            assert found[player] == pytest.approx(means, abs=ROUNDING)

    def test_replicates_ride_along(self):
        stack = np.stack([correlations(7, seed) for seed in range(40)])
        together = subset_sums(stack).general
        for number in (0, 17, 39):
            alone = subset_sums(stack[number]).general[0]
            assert together[number] == pytest.approx(alone, abs=ROUNDING)

    def test_many_replicates_of_many_drivers(self):
        # more vectors than one chunk, and more players than lanes are left for
        stack = np.stack([correlations(12, seed) for seed in range(3)] * 400)
        together = subset_sums(stack).general
        for number in (0, 1, 1199):
            assert together[number] == pytest.approx(
                subset_sums(stack[number]).general[0], abs=ROUNDING
            )

    def test_adjusted_r_squared_by_definition(self):
        matrix, n = correlations(4, seed=5), 30.0
        values = {}
        for size in range(5):
            for chosen in combinations(range(4), size):
                raw = r_squared(matrix, chosen)
                values[chosen] = 1 - (1 - raw) * (n - 1) / (n - size - 1)
        expected = np.zeros(4)
        for player in range(4):
            for chosen, value in values.items():
                if player not in chosen:
                    joined = values[tuple(sorted((*chosen, player)))]
                    size = len(chosen)
                    expected[player] += (
                        factorial(size) * factorial(3 - size) / 24 * (joined - value)
                    )
        assert subset_sums(matrix, n=n).general[0] == pytest.approx(expected, abs=ROUNDING)

    def test_presence_and_quality_add_up(self):
        matrix = correlations(6, seed=6)
        first, rest = [0, 2], [1, 3, 4, 5]
        alone = r_squared(matrix, first)
        left = partial_out(matrix[None], first)
        assert subset_sums(left, columns_in=2).r_squared[0] == pytest.approx(
            r_squared(matrix, first + rest) - alone, abs=ROUNDING
        )

    def test_an_exact_duplicate_shares_equally(self):
        matrix = correlations(3, seed=7)
        order = [0, 1, 2, 0, 3]
        found = subset_sums(matrix[np.ix_(order, order)]).general[0]
        assert found[0] == pytest.approx(found[3], abs=ROUNDING)
        assert found.sum() == pytest.approx(r_squared(matrix, range(3)), abs=ROUNDING)

    @pytest.mark.parametrize("seed", range(5))
    def test_a_sum_of_others_brings_no_garbage(self, seed):
        # its last pivot is rounding, of either sign: dividing by it would give any R²
        generator = np.random.default_rng(seed)
        table = generator.normal(size=(60, 5)) + 0.6 * generator.normal(size=(60, 1))
        table = np.insert(table, 3, table[:, 0] + table[:, 1] - 0.5 * table[:, 2], axis=1)
        matrix = np.corrcoef(table.T)
        found = subset_sums(matrix).general[0]
        assert found.sum() == pytest.approx(r_squared(matrix, [0, 1, 2, 4]), abs=1e-9)
        assert (found > 0).all()
        assert all_r_squared(matrix).max() == pytest.approx(found.sum(), abs=1e-9)


class TestSampledOrders:
    @staticmethod
    def of(matrix, cycles, groups=None, n=None):
        """LMG and its Monte-Carlo error of one matrix."""
        groups = groups or [[j] for j in range(len(matrix) - 1)]
        general, error = sampled_orders(matrix[None], groups, cycles, n)
        return general[0], error[0]

    def test_adds_up_and_comes_near(self):
        matrix = correlations(8, seed=8)
        exact = subset_sums(matrix).general[0]
        found, error = self.of(matrix, 200)
        assert found.sum() == pytest.approx(exact.sum(), abs=ROUNDING)
        # 8 drivers within 4.5 Monte-Carlo standard errors
        assert (abs(found - exact) < 4.5 * error).all()

    def test_two_drivers_are_exact_in_one_cycle(self):
        matrix = correlations(2, seed=9)
        expected = subset_sums(matrix).general[0]
        assert self.of(matrix, 1)[0] == pytest.approx(expected, abs=ROUNDING)

    def test_groups_and_adjusting_as_in_the_exact_way(self):
        matrix, groups = correlations(4, seed=10), [[0, 2], [1, 3]]
        expected = subset_sums(matrix, groups, n=50.0).general[0]
        assert self.of(matrix, 2, groups, 50.0)[0] == pytest.approx(expected, abs=ROUNDING)

    def test_duplicates_do_not_crash(self):
        matrix = correlations(3, seed=11)
        order = [0, 1, 2, 0, 3]
        found, error = self.of(matrix[np.ix_(order, order)], 300)
        assert found.sum() == pytest.approx(r_squared(matrix, range(3)), abs=1e-9)
        assert found[0] == pytest.approx(found[3], abs=5 * error.max())


class TestMethods:
    @given(players=st.integers(1, 7), seed=st.integers(0, 10**6))
    @settings(max_examples=20)
    def test_johnson_pratt_and_car_add_up_to_r_squared(self, players, seed):
        matrix = correlations(players, seed)
        whole = r_squared(matrix, range(players))
        for method in ("johnson", "pratt", "car"):
            total = METHODS[method](matrix[None]).sum()
            assert total == pytest.approx(whole, abs=1e-11), method

    def test_last_is_the_fall_of_r_squared(self):
        matrix = correlations(4, seed=12)
        found = METHODS["last"](matrix[None])[0]
        for column in range(4):
            others = [other for other in range(4) if other != column]
            expected = r_squared(matrix, range(4)) - r_squared(matrix, others)
            assert found[column] == pytest.approx(expected, abs=ROUNDING)

    def test_uncorrelated_drivers_have_one_importance_by_every_way(self):
        matrix = np.eye(4)
        matrix[:3, 3] = matrix[3, :3] = [0.5, 0.3, -0.4]
        for method, share in METHODS.items():
            assert share(matrix[None])[0] == pytest.approx([0.25, 0.09, 0.16], abs=ROUNDING), method

    def test_complete_dominance_by_hand(self):
        # driver 0 adds more than driver 1 alone (.36 > .09) and after the other (.27 > 0)
        matrix = np.array([[1, 0.5, 0.6], [0.5, 1, 0.3], [0.6, 0.3, 1]])
        assert complete_dominance(matrix).tolist() == [[0.0, 1.0], [0.0, 0.0]]

    def test_variance_inflation_by_hand(self):
        matrix = np.array([[1, 0.6, 0.1], [0.6, 1, 0.2], [0.1, 0.2, 1]])
        assert variance_inflation(matrix) == pytest.approx([1 / 0.64, 1 / 0.64])
