"""Segments that never use a touchpoint are not asked what they would say of it."""

import numpy as np
import pandas as pd
import pytest

from cxlab.stats.drivers import drivers
from cxlab.stats.drivers.subsets import subset_sums

NAMES = ["food", "parking"]
#: Shares of 6,000 answers have standard errors under .02.
BY_CHANCE = 0.05


def survey(n=10_000, seed=0, slips=0.0):
    """60 % depart here, for whom food and parking count alike; 40 % connect and park no car,
    and for them food counts three times as much and parking cannot."""
    generator = np.random.default_rng(seed)
    frame = pd.DataFrame(generator.normal(size=(n, 2)), columns=NAMES)
    frame["trip"] = np.where(generator.random(n) < 0.6, "departing", "connecting")
    connecting = frame["trip"] == "connecting"
    slope = np.where(connecting, 1.5, 0.5)
    frame["overall"] = slope * frame["food"] + 0.5 * frame["parking"] * ~connecting
    frame["overall"] += generator.normal(size=n)
    never = connecting & (generator.random(n) >= slips)
    frame["parking"] = frame["parking"].mask(never)
    frame["parking_missing"] = np.where(never, "never used", None)
    return frame


class TestThoseWhoCan:
    def test_the_planted_shares_of_those_who_can_use_it(self):
        truth = subset_sums(np.array([[1, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 1.5]])).general[0]
        found = drivers(survey(), "overall", NAMES, segments=["trip"], replicates=0)
        assert found.part()["share"].tolist() == pytest.approx(
            (truth / truth.sum()).tolist(), abs=BY_CHANCE
        )
        everyone = drivers(survey(), "overall", NAMES, replicates=0).part()
        assert everyone["share"][1] < 0.35

    def test_segment_touchpoint_and_estimand_are_named(self):
        frame = survey(1000)
        n = (frame["trip"] == "connecting").sum()
        found = drivers(
            frame, "overall", NAMES, segments=["trip"], replicates=0,
            labels={"parking": "Car park", "trip": "Trip"},
        )  # fmt: skip
        (note,) = (note for note in found.notes if "Car park" in note)
        assert note.startswith(
            f"'Car park' is used by 0% of {n} with 'Trip' = connecting (100% of the others)."
        )
        assert f"those who can use everything: {1000 - n} of 1,000 answers" in note
        assert found.fits["n"].tolist() == [1000 - n, 1000]

    def test_reach_and_reach_adjusted_importance_stay_those_of_all(self):
        frame = survey(2000)
        one = drivers(frame, "overall", NAMES, segments=["trip"], replicates=0)
        two = drivers(frame, "overall", NAMES, replicates=0)
        pd.testing.assert_frame_equal(one.reach_adjusted, two.reach_adjusted)
        assert one.part()["reach"].tolist() == two.part()["reach"].tolist()
        assert one.part()["mean"].tolist() == two.part()["mean"].tolist()

    def test_a_slip_of_the_pen_is_no_use(self):
        found = drivers(survey(slips=0.01), "overall", NAMES, segments=["trip"], replicates=0)
        assert any("those who can use everything" in note for note in found.notes)

    @pytest.mark.parametrize("case", ["rare", "few", "blank"])
    def test_rare_use_few_answers_and_blanks_are_no_inability(self, case):
        frame = survey(1000)
        if case == "rare":
            # 1 % of everyone: the segment is no different
            rare = np.random.default_rng(1).random(1000) >= 0.01
            frame["parking"] = np.where(rare, np.nan, np.arange(1000.0) % 5)
            frame["parking_missing"] = np.where(rare, "never used", None)
        elif case == "few":
            frame["trip"] = np.where(np.arange(1000) < 8, "connecting", "departing")
            frame["parking"] = frame["parking"].fillna(0.0).mask(frame["trip"] == "connecting")
            frame["parking_missing"] = np.where(frame["parking"].isna(), "never used", None)
        else:
            frame["parking_missing"] = np.where(frame["parking"].isna(), "no answer", None)
        found = drivers(frame, "overall", NAMES, segments=["trip"], replicates=0)
        assert not any("is used by" in note for note in found.notes)

    def test_where_nobody_can_use_everything_it_is_said(self):
        frame = survey(1000)
        departing = frame["trip"] == "departing"
        frame["food"] = frame["food"].mask(departing)
        frame["food_missing"] = np.where(departing, "never used", None)
        frame["staff"] = np.random.default_rng(2).normal(size=1000)
        found = drivers(
            frame,
            "overall",
            [*NAMES, "staff"],
            segments=["trip"],
            missing="pairwise",
            replicates=0,
        )
        (note,) = (note for note in found.notes if note.startswith("Not identified"))
        assert "'food' is used by 0%" in note
        assert "'parking' is used by 0%" in note
        assert found.fits["n"].tolist()[0] == 1000

    def test_groups_are_compared_on_those_who_can(self):
        frame = survey(2000).assign(wave=lambda d: d.index % 2)
        found = drivers(frame, "overall", NAMES, by="wave", segments=["trip"], replicates=0)
        departing = frame[frame["trip"] == "departing"]
        alone = drivers(departing, "overall", NAMES, by="wave", replicates=0)
        for wave in (0, 1):
            shares = (one.part(wave)["share"].tolist() for one in (found, alone))
            assert next(shares) == pytest.approx(next(shares), abs=1e-9)

    def test_an_unknown_segment_is_refused(self):
        with pytest.raises(ValueError, match="Did you mean 'trip'"):
            drivers(survey(100), "overall", NAMES, segments=["trips"])
