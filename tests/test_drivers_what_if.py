"""What goes with a change of one touchpoint ends where its scale does."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab import load_study
from cxlab.stats.drivers import drivers, estimands, what_if

GOLDEN = Path(__file__).parent / "golden"
#: Shares of the same counts, divided in another order.
ROUNDING = 1e-12
CEILING = {"a": 6.259669059374335, "b": 3.2706522750846028, "c": 0.0420473302263891}


@pytest.fixture(scope="module")
def ceiling():
    return pd.read_csv(GOLDEN / "whatif_ceiling.csv")


@pytest.fixture(scope="module")
def room():
    """Ratings of two scales, and the shares from which their room is computed."""
    ratings = survey(120)[["food", "slider"]]
    frame = survey(120).drop(columns="wifi")
    analysis = drivers(frame, "overall", ["food", "slider"], replicates=0)
    return ratings, analysis.replicates[None].ratings


def survey(n=400, seed=0):
    """Ratings of 1 to 5, one of 1 to 100, never used by some."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.integers(1, 6, (n, 2)).astype(float), columns=["food", "wifi"])
    frame["slider"] = generator.integers(1, 101, n).astype(float)
    frame["overall"] = frame["food"] + 0.02 * frame["slider"] + generator.normal(size=n)
    frame["wifi"] = frame["wifi"].where(generator.random(n) < 0.7)
    frame["wifi_missing"] = np.where(frame["wifi"].isna(), "never used", None)
    return frame


class TestCeiling:
    def test_values_of_the_case(self, ceiling):
        analysis = drivers(ceiling, "y", list(CEILING), outcome_scale="nps", replicates=100)
        table = what_if(analysis, change=0.5).set_index("driver")
        assert table["estimate"].to_dict() == pytest.approx(CEILING, rel=1e-9)
        assert table["moved"].tolist() == pytest.approx([0.1925, 0.19975, 0.198], abs=ROUNDING)
        assert "room for 0.19 of 0.5 points" in table.loc["a", "note"]

    def test_a_fall_ends_at_the_bottom(self, ceiling):
        turned = ceiling.assign(**{name: 6 - ceiling[name] for name in CEILING})
        analysis = drivers(turned, "y", list(CEILING), outcome_scale="nps", replicates=0)
        table = what_if(analysis, change=-0.5).set_index("driver")
        assert table["estimate"].to_dict() == pytest.approx(CEILING, rel=1e-9)
        assert table["moved"]["a"] == pytest.approx(-0.1925, abs=ROUNDING)

    def test_by_hand_among_users_and_among_all(self):
        analysis = drivers(survey(), "overall", ["food", "wifi"], replicates=100)
        wifi = analysis.table.set_index("driver").loc["wifi"]
        rated = survey()["wifi"].dropna()
        moved = (np.minimum(rated + 1, 5) - rated).mean()
        row = what_if(analysis, change=1).set_index("driver").loc["wifi"]
        assert row["estimate_users"] == pytest.approx(wifi["coefficient"] * moved)
        assert row["estimate"] == pytest.approx(wifi["reach"] * wifi["coefficient"] * moved)
        assert row["ci_low"] < row["estimate"] < row["ci_high"]

    def test_a_change_longer_than_the_scale_brings_everyone_to_the_end(self):
        analysis = drivers(survey(), "overall", ["food"], replicates=0)
        row = what_if(analysis, change=100.0).iloc[0]
        assert row["moved"] == pytest.approx(5 - survey()["food"].mean())

    def test_replicates_draw_the_room_too(self, ceiling):
        # each replicate: its own coefficient times the room that its own ratings leave
        analysis = drivers(ceiling, "y", ["a"], replicates=50)
        drawn = analysis.replicates[None]
        moved = drawn.ratings.moved(np.array([0.5]), np.array([1.0]), np.array([5.0]))[1:, 0]
        assert moved.std() > 0
        expected = (drawn.coefficient[:, 0] * moved).std(ddof=1)
        assert what_if(analysis, change=0.5)["se"][0] == pytest.approx(expected)

    def test_replicates_draw_the_reach_too(self):
        analysis = drivers(survey(), "overall", ["food", "wifi"], replicates=50)
        drawn = analysis.replicates[None]
        moved = drawn.ratings.moved(np.array([0.5, 0.5]), np.ones(2), np.full(2, 5.0))[1:]
        everyone = drawn.coefficient * moved * drawn.reach
        table = what_if(analysis, change=0.5)
        assert drawn.reach[:, 1].std() > 0
        assert table["se"].tolist() == pytest.approx(everyone.std(axis=0, ddof=1).tolist())

    @given(change=st.floats(-10, 10))
    @settings(max_examples=25)
    def test_room_is_the_mean_of_capped_ratings(self, room, change):
        ratings, shares = room
        found = shares.moved(np.full(2, change), np.array([1.0, 1.0]), np.array([5.0, 100.0]))
        capped = (ratings + change).clip(lower=1, upper=[5, 100], axis=1)
        assert found[0] == pytest.approx((capped - ratings).mean().tolist(), abs=1e-9)

    def test_many_different_ratings_go_on_a_grid_that_keeps_the_mean(self):
        generator = np.random.default_rng(1)
        frame = pd.DataFrame({"x": generator.uniform(0, 10, 3000)})
        frame["y"] = frame["x"] + generator.normal(size=3000)
        analysis = drivers(frame, "y", ["x"], replicates=0)
        shares = analysis.replicates[None].ratings
        assert shares.levels.shape == (1, estimands.MOST_LEVELS)
        assert (shares.shares[0] @ shares.levels.T)[0, 0] == pytest.approx(frame["x"].mean())
        moved = what_if(analysis, change=1.0, scales={"x": (0, 10)})["moved"][0]
        exact = (np.minimum(frame["x"] + 1, 10) - frame["x"]).mean()
        assert moved == pytest.approx(exact, abs=1e-4)


class TestSteps:
    def test_one_change_of_different_scales_counts_standard_deviations(self):
        frame = survey()
        analysis = drivers(frame, "overall", ["food", "slider"], replicates=0)
        table = what_if(analysis, change=0.5).set_index("driver")
        assert table["change"].to_dict() == pytest.approx(
            {name: 0.5 * frame[name].std(ddof=0) for name in ("food", "slider")}
        )

    def test_one_scale_counts_points(self):
        analysis = drivers(survey(), "overall", ["food", "wifi"], replicates=0)
        assert what_if(analysis, change=0.5)["change"].tolist() == [0.5, 0.5]

    def test_declared_scales_decide(self):
        # nobody gave the slider more than 6, and still it goes to 100
        frame = survey().assign(slider=lambda d: d["slider"] % 6 + 1)
        analysis = drivers(frame, "overall", ["food", "slider"], replicates=0)
        scales = {"food": (1, 5), "slider": (1, 100)}
        assert what_if(analysis, change=0.5)["change"].tolist() == [0.5, 0.5]
        assert what_if(analysis, change=0.5, scales=scales)["change"][1] != 0.5

    def test_a_study_declares_the_ends(self):
        scales = load_study("demo").scales
        assert scales["staff"] == (0, 10)

    def test_a_scale_of_no_length_is_refused(self):
        analysis = drivers(survey(), "overall", ["food", "wifi"], replicates=0)
        with pytest.raises(ValueError, match=r"`scales` must be \(lowest, highest\)"):
            what_if(analysis, scales={"food": (5, 1)})
