"""Where to look first: a place on the map and an association beyond the other ratings."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxlab.core.metric import Metric
from cxlab.stats.drivers import driver_map, drivers
from cxlab.stats.drivers.map import _verdict
from cxlab.stats.drivers.replicates import normal_draws
from cxlab.stats.resampling import jackknife_covariance

STUDIES = 60
#: Three Monte-Carlo standard errors of a rate of 8 % and of 90 %.
TIE, POWER = (
    0.08 + 3 * np.sqrt(0.08 * 0.92 / STUDIES),
    0.9 - 3 * np.sqrt(0.9 * 0.1 / STUDIES),
)
NAMES = ["food", "wifi", "signs", "staff", "shops"]


def survey(generator, n, effects, drop):
    """Ratings of 1 to 5 that go together; the last one is rated lower by ``drop``."""
    latent = 3.2 + np.sqrt(0.5) * (generator.normal(size=(n, 1)) + generator.normal(size=(n, 5)))
    latent[:, -1] -= drop
    frame = pd.DataFrame(np.round(latent).clip(1, 5), columns=NAMES)
    return frame.assign(overall=frame.to_numpy() @ np.array(effects) + generator.normal(size=n))


def called(effects, drop):
    """Share of studies of 400 answers in which the last driver is to be looked at first."""
    generator = np.random.default_rng(20240607)
    found = 0
    for study in range(STUDIES):
        frame = survey(generator, 400, effects, drop)
        # Johnson's weights: shares within a point of LMG's, and no second estimand to wait for
        analysis = drivers(frame, "overall", NAMES, method="johnson", replicates=150, seed=study)
        places = driver_map(analysis).table
        found += places.set_index("driver").loc["shops", "verdict"] == "look first"
    return found / STUDIES


@pytest.fixture(scope="module")
def analysis():
    generator = np.random.default_rng(1)
    frame = survey(generator, 500, [0.2, 0.2, 0.2, 0.2, 0.6], 0.4)
    frame["terminal"] = np.where(generator.random(500) < 0.4, "T1", "T2")
    return drivers(frame, "overall", NAMES, replicates=200, labels={"shops": "Shops"})


class TestPlaces:
    def test_gaps_by_hand(self, analysis):
        table = driver_map(analysis).table
        average = table["estimate"].mean(), table["performance"].mean()
        gaps = table["importance_gap"], table["performance_gap"]
        for gap, column, line in zip(gaps, ("estimate", "performance"), average, strict=True):
            assert gap.to_numpy() == pytest.approx((table[column] - line).to_numpy())
        assert table["fix_first"].between(0, 1).all()

    def test_a_place_that_is_kept_up_clears_both_lines(self, analysis):
        table = driver_map(analysis).table
        clear = (table["importance_gap_low"] > 0) & (table["performance_gap_low"] > 0)
        assert clear.tolist() == (table["verdict"] == "keep up").tolist()

    def test_places_hold_for_all_drivers_at_once(self, analysis):
        table = driver_map(analysis).table.set_index("driver")
        alone = analysis.table.set_index("driver").loc[table.index]
        assert (table["rank_low"] <= alone["rank_low"]).all()
        assert (table["rank_high"] >= alone["rank_high"]).all()

    def test_spread_after_a_jackknife_is_the_jackknife_covariance(self):
        # (G − 1)/G Σ (left out − estimate)²: here 3/4 · (1 + 1 + 4 + 4) = 7.5 and half that
        left_out = np.array([[1.0, 0.5], [-1.0, -0.5], [2.0, 1.0], [-2.0, -1.0]])
        importances = normal_draws(np.zeros(2), left_out)
        performances = normal_draws(np.zeros(2), np.sqrt(0.5) * left_out)
        expected = jackknife_covariance(left_out, np.zeros(2))
        assert expected[0, 0] == 7.5
        # 4,000 normal draws: 2.2 % a standard error of a variance
        assert np.cov(importances.T) == pytest.approx(expected, rel=0.07)
        assert performances[:, 0].var() == pytest.approx(3.75, rel=0.07)


class TestVerdict:
    def test_the_call_by_hand(self):
        assert _verdict(0.95, True, True, False) == "look first"
        assert _verdict(0.949, True, True, False) == "likely"
        assert _verdict(0.80, True, False, False) == "likely"
        assert _verdict(0.80, False, True, False) == "association not shown"
        assert _verdict(0.799, True, True, False) == "not settled"
        assert _verdict(0.95, True, False, False) == "within the margin"
        assert _verdict(0.05, True, True, False) == "not first"
        assert _verdict(0.05, True, False, True) == "keep up"
        assert _verdict(np.nan, True, True, True) == "no interval"

    def test_a_touchpoint_without_an_association_of_its_own_is_not_fixed_first(self):
        # halo only: dirt is rated low and goes with the outcome through the others alone
        generator = np.random.default_rng(3)
        common = generator.normal(size=(600, 1))
        frame = pd.DataFrame(common + 0.4 * generator.normal(size=(600, 2)), columns=["a", "dirt"])
        frame["b"] = generator.normal(size=600)
        frame["overall"] = frame["a"] + 0.1 * frame["b"] + 0.3 * generator.normal(size=600)
        frame["dirt"] -= 1
        found = drivers(frame, "overall", ["a", "b", "dirt"], replicates=200)
        row = driver_map(found).table.set_index("driver").loc["dirt"]
        assert row["fix_first"] == 1
        assert row["p_adjusted"] > 0.05
        assert row["verdict"] == "association not shown"

    def test_a_suppressor_is_not_fixed_first(self):
        generator = np.random.default_rng(3)
        a = generator.normal(size=600)
        frame = pd.DataFrame({"a": a, "b": a + 0.5 * generator.normal(size=600)})
        frame["overall"] = frame["a"] - 0.3 * frame["b"] + 0.3 * generator.normal(size=600)
        found = drivers(frame, "overall", ["a", "b"], replicates=200)
        assert found.table.set_index("driver").loc["b", "p_value"] < 0.001
        # in .99 of the replicates b lies where it is, but with the sign of a suppressor
        drawn = found.replicates[None]
        low = replace(drawn, share=drawn.share[:, ::-1], mean=drawn.mean - [0, 9])
        table = found.table.assign(
            mean=found.table["mean"].where(found.table["driver"] == "a", -9.0)
        )
        places = driver_map(replace(found, table=table, replicates={None: low}))
        assert places.table.set_index("driver").loc["b", "verdict"] == "association not shown"

    def test_the_association_is_tested_among_all_drivers(self, analysis):
        alone = analysis.table.assign(p_value=0.01, p_adjusted=0.06)
        row = driver_map(replace(analysis, table=alone)).table.set_index("driver").loc["shops"]
        assert row["fix_first"] >= 0.95
        assert row["verdict"] == "association not shown"

    def test_a_declared_margin_must_be_kept(self, analysis):
        row = driver_map(analysis).table.set_index("driver").loc["shops"]
        gap = row["performance_cut"] - row["performance"]
        assert row["verdict"] == "look first"
        for margin, verdict in ((gap - 0.01, "look first"), (gap + 0.01, "within the margin")):
            places = driver_map(analysis, margin=margin).table.set_index("driver")
            assert places.loc["shops", "verdict"] == verdict

    def test_a_declared_target_stands_in_place_of_the_average(self, analysis):
        mean = analysis.table.set_index("driver").loc["shops", "mean"]
        aims = {"shops": mean - 0.5, "food": 4.9}
        metrics = [Metric(name, "mean", scale=(1, 5), target=aims.get(name)) for name in NAMES]
        table = driver_map(analysis, metrics=metrics).table.set_index("driver")
        assert table.loc["shops", "performance_cut"] == mean - 0.5
        assert table.loc["shops", "verdict"] == "keep up"
        assert table.loc["wifi", "performance_cut"] == pytest.approx(table["performance"].mean())

    def test_a_negative_margin_is_refused(self, analysis):
        with pytest.raises(ValueError, match="`margin` must be 0 or more"):
            driver_map(analysis, margin=-1)

    def test_without_replicates_there_is_no_call(self):
        frame = survey(np.random.default_rng(1), 200, [0.2] * 5, 0)
        places = driver_map(drivers(frame, "overall", NAMES, replicates=0)).table
        assert set(places["verdict"]) == {"no interval"}

    @pytest.mark.parametrize(
        ("effects", "drop"), [([0.2, 0.2, 0.2, 0.2, 0.6], 0.0), ([0.3] * 5, 0.5)]
    )
    def test_a_tie_is_seldom_called(self, effects, drop):
        assert called(effects, drop) <= TIE

    def test_three_tenths_below_average_are_found(self):
        assert called([0.2, 0.2, 0.2, 0.2, 0.6], 0.3 * 5 / 4) >= POWER

    def test_airport_touchpoints_without_an_association_are_not_fixed_first(self, sfo):
        answers = sfo.read(period="2018")
        found = drivers(
            answers, "overall", sfo.touchpoints, method="johnson", replicates=200, design=sfo.design
        )
        places = driver_map(found).table
        first = places[places["verdict"] == "look first"]
        assert (first["p_adjusted"] < 0.05).all()
        assert (places["verdict"] == "association not shown").any()
