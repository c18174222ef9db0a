"""Two outcomes of the same respondents are compared within each resample."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cxlab.stats.drivers import compare_outcomes, drivers

STUDIES = 24
#: Three Monte-Carlo standard errors of a rate of 5 % in studies of 3 drivers.
BY_CHANCE = 3 * np.sqrt(0.05 * 0.95 / STUDIES)
NAMES = ["a", "b", "c"]


def survey(n, second, seed=0, noise=1.0):
    """Three ratings; overall from a, b and c alike, ``again`` by the slopes given."""
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, 3)) + generator.normal(size=(n, 1))
    frame = pd.DataFrame(x, columns=NAMES)
    common = generator.normal(size=n)
    frame["overall"] = x.sum(axis=1) + common + noise * generator.normal(size=n)
    frame["again"] = x @ np.array(second) + common + noise * generator.normal(size=n)
    return frame


def both(frame, **options):
    options = {"replicates": 200, **options}
    first, second = (drivers(frame, one, NAMES, **options) for one in ("overall", "again"))
    return replace(first, advocacy=second)


class TestDifferences:
    def test_each_resample_gives_its_difference(self):
        first = both(survey(300, (1, 1, 2)))
        second = first.advocacy
        table = compare_outcomes(first).set_index("driver")
        drawn = first.replicates[None].share - second.replicates[None].share
        assert table["se"].tolist() == pytest.approx(drawn.std(axis=0, ddof=1).tolist())
        expected = first.part()["share"] - second.part()["share"]
        assert table.loc[NAMES, "estimate"].tolist() == pytest.approx(expected.tolist())
        assert (table["p_adjusted"] >= table["p_value"]).all()

    def test_overlapping_intervals_may_be_a_clear_difference(self):
        # the noise of both outcomes is common, so their shares move together
        table = compare_outcomes(both(survey(300, (1, 1, 1.1), noise=0.1))).set_index("driver")
        row = table.loc["c"]
        assert row["overall_share_high"] > row["again_share_low"]
        assert row["p_adjusted"] < 0.001
        assert row["apart"]

    def test_apart_is_said_by_the_adjusted_p(self):
        frame = survey(150, (1, 1, 1.3), seed=11)
        table = compare_outcomes(both(frame, method="johnson", replicates=100))
        row = table.set_index("driver").loc["c"]
        assert row["p_value"] < 0.04 < 0.06 < row["p_adjusted"]
        assert not row["apart"]

    def test_rows_without_one_of_the_outcomes_stay_in_the_resampling(self):
        frame = survey(300, (1, 1, 2))
        frame.loc[:49, "again"] = np.nan
        table = compare_outcomes(both(frame))
        assert table["p_value"].notna().all()

    def test_a_driver_set_aside_in_one_is_null(self):
        frame = survey(300, (1, 1, 2)).assign(c=lambda d: d["c"].where(d.index < 100))
        frame.loc[:99, "again"] = np.nan
        table = compare_outcomes(both(frame)).set_index("driver")
        assert table.loc["c", ["again_share", "estimate", "p_value", "apart"]].isna().all()
        assert table.loc[["a", "b"], "estimate"].notna().all()

    def test_equal_shares_are_seldom_apart(self):
        called = []
        for study in range(STUDIES):
            frame = survey(150, (1, 1, 1), seed=study)
            table = compare_outcomes(both(frame, method="johnson", seed=study))
            called.append((table["p_value"] < 0.05).mean())
        assert np.mean(called) <= 0.05 + BY_CHANCE

    def test_without_replicates_nothing_is_said(self):
        table = compare_outcomes(both(survey(100, (1, 1, 2)), replicates=0))
        assert table[["se", "p_value", "apart"]].isna().all(axis=None)
        assert table["estimate"].notna().all()
