"""Standard errors and tests of coefficients: never homoskedastic, never of one answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm

from benchmarks.driver_coverage import as_answers
from cxlab.stats.drivers import drivers
from cxlab.stats.drivers import replicates as uncertain
from cxlab.stats.drivers.estimands import Options, among_users
from cxlab.stats.drivers.replicates import make_resample

GOLDEN = Path(__file__).parent / "golden"
#: Two ways of solving the same normal equations.
SOLVED_TWICE = 1e-9
STUDIES = 150
#: Three Monte-Carlo standard errors of a rate of 5 % in 150 studies.
BY_CHANCE = 3 * np.sqrt(0.05 * 0.95 / STUDIES)
X = [f"x{number}" for number in range(5)]


def five_ratings(generator, n):
    common = generator.normal(size=(n, 1))
    return np.clip(np.round(3.6 + 0.6 * common + 0.9 * generator.normal(size=(n, 5))), 1, 5)


def rejections(weighted, few=None):
    """Share of studies in which the last driver, without effect, has p < .05."""
    generator = np.random.default_rng(20240607)
    called = 0
    for study in range(STUDIES):
        ratings = five_ratings(generator, 200)
        if few:
            ratings[:, 4] = np.where(np.arange(200) < few, 1.0, 5.0)
        grows = 0.3 + 0.5 * np.abs(ratings[:, 4] - 3)
        noise = generator.normal(size=200) * (1.0 if few else grows)
        answers = as_answers(np.column_stack([ratings, ratings[:, :2] @ [0.4, 0.3] + noise]))
        if weighted:
            answers = replace(answers, weights=generator.uniform(0.5, 2, 200))
        resample, unit = make_resample(answers, 200 if weighted else 0, study)
        called += among_users(answers, unit, resample, Options()).p_values[4] < 0.05
    return called / STUDIES


class TestStandardErrors:
    def test_simple_samples_take_hc3_of_statsmodels(self):
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv")
        fit = sm.OLS(answers["y"], sm.add_constant(answers[X])).fit(cov_type="HC3", use_t=True)
        table = drivers(answers, "y", X, replicates=0).part()
        assert table["coefficient_se"].tolist() == pytest.approx(
            fit.bse[X].tolist(), rel=SOLVED_TWICE
        )
        assert table["p_value"].tolist() == pytest.approx(fit.pvalues[X].tolist(), rel=1e-7)
        # the value of the case file, where least squares said .0512
        assert table["coefficient_se"][4] == pytest.approx(0.0617339384968843, rel=SOLVED_TWICE)

    def test_hc3_by_hand(self):
        # x = 0, 0, 1, 1 and y = 0, 2, 3, 7: residuals ±1 and ±2, leverages 1/2, so that
        # V = Σ (x − ½)² (e ÷ ½)² ÷ (Σ (x − ½)²)² = ¼ · 4 (1 + 1 + 4 + 4) = 10
        answers = pd.DataFrame({"x": [0.0, 0, 1, 1], "y": [0.0, 2, 3, 7]})
        table = drivers(answers, "y", ["x"], replicates=0).table
        assert table["coefficient"][0] == pytest.approx(4)
        assert table["coefficient_se"][0] == pytest.approx(np.sqrt(10))

    def test_equal_weights_and_clusters_of_one_row_are_no_design(self):
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv").assign(row=np.arange(400))
        plain = drivers(answers, "y", X, replicates=0).part()
        for design in ({"weights": "w"}, {"cluster": "row"}, {"weights": "w", "cluster": "row"}):
            same = drivers(answers, "y", X, replicates=20, design=design).part()
            assert same["p_value"].tolist() == plain["p_value"].tolist()

    def test_complete_answers_take_hc3_of_the_rows_without_a_hole(self):
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv")
        answers.loc[:99, "x0"] = np.nan
        one = drivers(answers, "y", X, missing="complete", replicates=0).part()
        two = drivers(answers.dropna(), "y", X, replicates=0).part()
        assert one["coefficient_se"].tolist() == pytest.approx(two["coefficient_se"].tolist())

    def test_bootstrap_errors_are_widened_by_their_small_factor(self):
        # n draws from n clusters spread by (n − 1)/n too little
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv").assign(c=np.arange(400) // 50)
        analysis = drivers(answers, "y", X, design={"cluster": "c"}, replicates=200)
        drawn = analysis.replicates[None].coefficient.std(axis=0, ddof=1)
        expected = drawn * np.sqrt(8 / 7)
        assert analysis.part()["coefficient_se"].tolist() == pytest.approx(expected.tolist())

    def test_rao_wu_errors_are_not_widened(self):
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv").assign(c=np.arange(400) // 50)
        answers["s"] = answers["c"] % 2
        analysis = drivers(answers, "y", X, design={"cluster": "c", "strata": "s"}, replicates=200)
        drawn = analysis.replicates[None].coefficient.std(axis=0, ddof=1)
        assert analysis.part()["coefficient_se"].tolist() == pytest.approx(drawn.tolist())

    def test_jackknife_errors_by_hand(self, monkeypatch):
        monkeypatch.setattr(uncertain, "MULTIPLIER_LIMIT", 0)
        answers = pd.read_csv(GOLDEN / "heteroskedastic.csv").assign(c=np.arange(400) // 50)
        analysis = drivers(answers, "y", X, design={"cluster": "c"})
        left_out = [
            sm.OLS(part["y"], sm.add_constant(part[X])).fit().params[X].to_numpy()
            for part in (answers[answers["c"] != cluster] for cluster in range(8))
        ]
        away = np.array(left_out) - analysis.part()["coefficient"].to_numpy()
        expected = np.sqrt(7 / 8 * (away**2).sum(axis=0))
        assert analysis.part()["coefficient_se"].tolist() == pytest.approx(expected.tolist())


class TestLevels:
    @pytest.mark.parametrize("weighted", [False, True])
    def test_noise_that_grows_away_from_the_middle_keeps_the_level(self, weighted):
        assert rejections(weighted) <= 0.05 + BY_CHANCE

    @pytest.mark.parametrize(("weighted", "few"), [(False, 2), (False, 5), (True, 5)])
    def test_few_deviating_answers_keep_the_level(self, weighted, few):
        assert rejections(weighted, few=few) <= 0.05 + BY_CHANCE


class TestFewCarriers:
    def test_three_deviating_answers_of_300_are_two_degrees_of_freedom(self):
        rating = np.where(np.arange(300) < 3, 1.0, 5.0)
        outcome = np.random.default_rng(0).normal(size=300)
        answers = as_answers(np.column_stack([rating, outcome]))
        resample, unit = make_resample(answers, 0, 0)
        users = among_users(answers, unit, resample, Options())
        # q is .99² for three rows and .01² for 297: (Σ q)² ÷ Σ q² − 1
        sums = 3 * 0.99**2 + 297 * 0.01**2, 3 * 0.99**4 + 297 * 0.01**4
        assert users.coefficient_df[0] == pytest.approx(sums[0] ** 2 / sums[1] - 1)
        assert users.df == 298

    @pytest.mark.parametrize("weighted", [False, True])
    def test_one_deviating_answer_is_not_tested(self, weighted):
        generator = np.random.default_rng(0)
        answers = pd.DataFrame(
            {"x": generator.integers(1, 6, 300), "y": generator.normal(size=300)}
        )
        answers["alike"] = np.where(answers.index == 7, 1.0, 5.0)
        answers["weight"] = generator.uniform(0.5, 2, 300) if weighted else 1.0
        table = drivers(
            answers, "y", ["x", "alike"], design={"weights": "weight"}, replicates=50
        ).part()
        assert table.loc[1, ["p_value", "coefficient_se", "coefficient_low"]].isna().all()
        assert table["note"][1] == "its coefficient rests on one answer or cluster: not tested"
        only = drivers(answers, "y", ["alike"], design={"weights": "weight"}, replicates=50)
        assert not any("Without replicates" in note for note in only.notes)
        # the other driver is tested as if that row were not there
        alone = drivers(
            answers.drop(index=7), "y", ["x"], design={"weights": "weight"}, replicates=50
        ).part()
        assert table["p_value"][0] == pytest.approx(alone["p_value"][0], rel=0.2)


class TestFewClustersInAGroup:
    """A group of one cluster, or two, beside one of forty."""

    @staticmethod
    def of(clusters):
        generator = np.random.default_rng(0)
        answers = pd.DataFrame(generator.integers(1, 6, (240, 3)), columns=["y", "x", "z"])
        answers["x"] = np.where(generator.random(240) < 0.6, answers["y"], answers["x"])
        answers["g"] = np.where(answers.index < 40, "few", "many")
        own = answers.index % clusters
        answers["c"] = np.where(answers["g"] == "few", own, 100 + answers.index // 5)
        options = {"design": {"cluster": "c"}, "by": "g", "replicates": 200}
        return drivers(answers, "y", ["x", "z"], **options)

    @pytest.mark.parametrize("most", [uncertain.MULTIPLIER_LIMIT, 0])
    def test_nothing_is_known_of_the_spread_of_one(self, monkeypatch, most):
        monkeypatch.setattr(uncertain, "MULTIPLIER_LIMIT", most)
        found = self.of(1)
        columns = ["se", "ci_low", "ci_high", "share_low", "share_high", "rank_low", "p_value"]
        assert found.part("few")[columns].isna().all(axis=None)
        assert found.part("many")[columns].notna().all(axis=None)
        assert found.fits.iloc[0][["ci_low", "ci_high"]].isna().all()

    def test_of_two_the_limits_lie_as_far_out_as_t_on_one_degree(self):
        found = self.of(2)
        row = found.part("few").iloc[0]
        # t on one degree of freedom times √(n/(n − 1)) of n = 2 clusters
        assert row["ci_high"] - row["estimate"] == pytest.approx(12.7062 * 2**0.5 * row["se"], 1e-4)
        assert (found.part("few")[["rank_low", "rank_high"]] == [1, 2]).all(axis=None)
