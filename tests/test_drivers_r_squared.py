"""Adjusted R², the answers it counts, and the interval that keeps its level."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy.special import stdtrit

from cxlab.stats.drivers import drivers
from cxlab.stats.drivers import replicates as uncertain
from cxlab.stats.drivers.coefficients import adjusted_r_squared
from cxlab.stats.drivers.covariances import fit_covariance
from cxlab.stats.drivers.estimands import effective_answers
from cxlab.stats.drivers.replicates import Resample
from cxlab.stats.inference import r_squared_interval
from cxlab.stats.resampling import bootstrap_multipliers, sampling_design

STUDIES = 100
#: 95 % less the two points that are allowed, and three Monte-Carlo standard errors.
LOWEST = 0.93 - 3 * np.sqrt(0.93 * 0.07 / STUDIES)
#: 4,000 replicates put a standard error within 1.1 %.
SE_BY_CHANCE = 0.04
NAMES = ["a", "b", "c"]


def answers(n, explained, generator, holes=0.0):
    """Three drivers that correlate by .5 and explain the given part of y."""
    common = generator.normal(size=(n, 1))
    x = np.sqrt(0.5) * (common + generator.normal(size=(n, 3)))
    slopes = np.array([2.0, 1.0, 0.0])
    signal = slopes @ (0.5 * np.eye(3) + 0.5) @ slopes
    noise = generator.normal(size=n) * np.sqrt(signal * (1 - explained) / explained)
    frame = pd.DataFrame(x, columns=NAMES).assign(y=x @ slopes + noise)
    return frame.assign(**{name: frame[name].mask(generator.random(n) < holes) for name in NAMES})


def adjusted(analysis):
    """Adjusted R² among users."""
    return analysis.fits["adjusted_r_squared"][0]


class TestEffectiveAnswers:
    def test_by_hand_with_holes_and_weights(self):
        # Kish (1 + 1 + 2)² ÷ (1 + 1 + 4) = 16/6, times 5 of 6 ratings known
        ratings = np.array([[1.0, 2.0], [3.0, np.nan], [5.0, 4.0]])
        weights = np.array([1.0, 1.0, 2.0])
        assert effective_answers(weights, ratings, "em") == pytest.approx(16 / 6 * 5 / 6)
        # without a blank: the first and the last row, (1 + 2)² ÷ (1 + 4)
        assert effective_answers(weights, ratings, "complete") == pytest.approx(9 / 5)

    def test_adjusted_r_squared_takes_them(self):
        frame = answers(200, 0.4, np.random.default_rng(0), holes=0.3)
        raw = drivers(frame, "y", NAMES, replicates=0)
        n = 200 * frame[NAMES].notna().to_numpy().mean()
        expected = 1 - (1 - raw.r_squared) * (n - 1) / (n - 4)
        assert adjusted(raw) == pytest.approx(expected, abs=1e-12)
        assert raw.fits["n_effective"].tolist()[0] == pytest.approx(n)

    def test_the_reach_adjusted_row_counts_its_own_columns(self):
        # a never used by some: its two columns are known everywhere; b has holes
        generator = np.random.default_rng(0)
        frame = answers(200, 0.4, generator).assign(weight=generator.uniform(0.5, 2, 200))
        never, blank = generator.random(200) < 0.3, generator.random(200) < 0.2
        frame = frame.assign(a=frame["a"].mask(never), b=frame["b"].mask(blank))
        frame["a_missing"] = np.where(never, "never used", None)
        fits = drivers(frame, "y", NAMES, design={"weights": "weight"}, replicates=0).fits
        kish = frame["weight"].sum() ** 2 / (frame["weight"] ** 2).sum()
        known = [1, 1, 1 - blank.mean(), 1]
        assert fits["n_effective"][1] == pytest.approx(kish * np.mean(known))

    def test_an_exact_copy_is_not_counted_twice(self):
        frame = answers(100, 0.4, np.random.default_rng(0)).assign(copy=lambda d: 2 * d["a"])
        one = drivers(frame, "y", NAMES, replicates=0)
        two = drivers(frame, "y", [*NAMES, "copy"], replicates=0)
        assert adjusted(two) == pytest.approx(adjusted(one), abs=1e-9)


class TestInterval:
    def test_by_hand(self):
        # √.25 = .5, atanh .5 = .5493; reach t₁₀ · .05 ÷ (2 · .5 · .75)
        reach = stdtrit(10, 0.975) * 0.05 / 0.75
        low, high = r_squared_interval(0.25, 0.05, 10, 0.95)
        assert low == pytest.approx(np.tanh(np.arctanh(0.5) - reach) ** 2)
        assert high == pytest.approx(np.tanh(np.arctanh(0.5) + reach) ** 2)

    def test_near_nothing_it_starts_at_0_and_does_not_run_away(self):
        for value in (-0.02, 0.0, 0.001):
            low, high = r_squared_interval(value, 0.02, 200, 0.95)
            assert low == 0
            assert high < 0.08

    @pytest.mark.parametrize("holes", [0.0, 0.2])
    def test_adjusted_r_squared_lies_inside(self, holes):
        frame = answers(150, 0.3, np.random.default_rng(1), holes)
        analysis = drivers(frame, "y", NAMES, replicates=200)
        assert analysis.fits["ci_low"][0] < adjusted(analysis) < analysis.fits["ci_high"][0]
        assert adjusted(analysis) < analysis.r_squared

    def test_standard_error_is_that_of_the_influence(self):
        # 30 rows, so that (n − 1)/(n − p − 1) and the bootstrap's own factor show
        frame = answers(30, 0.3, np.random.default_rng(2))
        fit = sm.OLS(frame["y"], sm.add_constant(frame[NAMES])).fit()
        about = frame["y"] - frame["y"].mean()
        influence = ((1 - fit.rsquared) * about**2 - fit.resid**2) / (about**2).mean()
        expected = np.sqrt((influence**2).sum()) / 30 * 29 / 26 * np.sqrt(27 / 26)
        found = drivers(frame, "y", NAMES, replicates=4000).fits["se"][0]
        assert found == pytest.approx(expected, rel=SE_BY_CHANCE)

    def test_blocks_of_a_jackknife_bound_the_degrees_of_freedom(self, monkeypatch):
        monkeypatch.setattr(uncertain, "MULTIPLIER_LIMIT", 0)
        frame = answers(300, 0.3, np.random.default_rng(2))
        analysis = drivers(frame, "y", NAMES)
        row = analysis.fits.iloc[0]
        assert analysis.df == 296
        expected = r_squared_interval(row["adjusted_r_squared"], row["se"], 99, 0.95)
        assert (row["ci_low"], row["ci_high"]) == pytest.approx(expected)

    def test_without_replicates_there_is_none(self):
        frame = answers(100, 0.3, np.random.default_rng(2))
        fits = drivers(frame, "y", NAMES, replicates=0).fits
        assert fits[["se", "ci_low", "ci_high"]].isna().all(axis=None)
        assert fits["adjusted_r_squared"].notna().all()

    def test_too_few_answers_for_their_drivers_give_none(self):
        frame = answers(12, 0.3, np.random.default_rng(5), holes=0.4)
        frame = frame.assign(d=np.arange(12.0) % 5, e=np.arange(12.0) % 7)
        analysis = drivers(frame, "y", [*NAMES, "d", "e"], missing="pairwise", replicates=0)
        expected = analysis.fits["n_effective"][0] - 6
        assert (expected > 0) == np.isfinite(adjusted(analysis))

    @pytest.mark.parametrize("truth", [0.03, 0.3])
    def test_it_holds_the_planted_r_squared(self, truth):
        generator = np.random.default_rng(20240607)
        design = sampling_design(150)
        inside = 0
        for study in range(STUDIES):
            rows = answers(150, truth, generator).to_numpy()
            multipliers = bootstrap_multipliers(design, 100, seed=study)
            resample = Resample("bootstrap", multipliers)
            fit = fit_covariance(
                (*NAMES, "y"), rows, np.ones(150), design.row_cluster, resample, missing="em"
            )
            found = adjusted_r_squared(fit, resample, n=150, df=146, stratified=False, level=0.95)
            inside += found["ci_low"] <= truth <= found["ci_high"]
        assert LOWEST <= inside / STUDIES <= 0.99
