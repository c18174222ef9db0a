import gzip
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.simulate import Mechanisms, simulate_programme, write_demo
from benchmarks.simulate.population import (
    draw_customers,
    draw_episodes,
    invite_episodes,
    last_invitation_before,
)
from benchmarks.simulate.programme import DEMO_PERIODS, DEMO_SEED
from benchmarks.simulate.tables import (
    chance_reached_episode,
    chance_reached_wave,
    promoter_points,
    true_quantities,
)

DEMO = Path(__file__).parents[1] / "data" / "demo"
ROUNDING = 1e-9
#: Largest z-score among 2,000 frequencies of 2,000 draws each: one in 500 runs is beyond it.
LARGEST_Z = 5.0

NOTHING = {
    "context_shift": 0.0,
    "wording_effect": 0.0,
    "channel_effect": 0.0,
    "delay_effect": 0.0,
    "touchpoint_effect": 0.0,
    "decline": 0.0,
}


def truth_of(programme):
    return programme.truth.set_index("quantity")["value"]


@pytest.fixture(scope="module")
def programme():
    return simulate_programme(2000, seed=11, periods=2)


class TestProgramme:
    def test_same_seed_gives_the_same_digits(self, programme):
        again = simulate_programme(2000, seed=11, periods=2)
        for name in ("transactional", "relationship", "invitations", "customers", "truth"):
            pd.testing.assert_frame_equal(getattr(programme, name), getattr(again, name))

    def test_another_seed_gives_others(self, programme):
        other = simulate_programme(2000, seed=12, periods=2)
        assert not programme.truth["value"].equals(other.truth["value"])

    def test_answers_come_after_invitations_and_episodes(self, programme):
        t, r = programme.transactional, programme.relationship
        assert (t["responded_at"] >= t["invited_at"]).all()
        assert (t["invited_at"] >= t["triggered_at"]).all()
        assert (r["responded_at"] >= r["invited_at"]).all()

    def test_every_answer_has_an_answered_invitation(self, programme):
        asked = programme.invitations
        answered = asked[asked["status"] == "answered"]
        of_episodes = answered.loc[answered["survey_type"] == "transactional", "episode_id"]
        assert set(of_episodes) == set(programme.transactional["episode_id"])
        assert (answered["survey_type"] == "relationship").sum() == len(programme.relationship)

    def test_every_customer_has_one_row_a_wave(self, programme):
        waves = programme.invitations.query("survey_type == 'relationship'")
        assert len(waves) == 2000 * 2
        assert not waves.duplicated(["customer_id", "period"]).any()

    def test_codes_of_ratings_are_as_documented(self, programme):
        ratings = programme.relationship.loc[:, "booking":"staff"]
        values = set(np.unique(ratings.to_numpy()[~ratings.isna().to_numpy()]))
        assert values <= {*range(11), 98, 99}
        assert ratings.isna().any().all()

    def test_weights_have_mean_one_in_every_wave(self, programme):
        means = programme.relationship.groupby("period")["weight"].mean()
        assert means.to_numpy() == pytest.approx(1, abs=1e-3)

    def test_retention_depends_on_loyalty(self):
        programme = simulate_programme(20_000, seed=5, periods=1)
        scores = programme.relationship.merge(programme.customers, on="customer_id")
        stayed = scores.groupby(scores["active_at_end"])["recommend"].mean()
        assert stayed["yes"] - stayed["no"] > 0.5


class TestMechanisms:
    def test_a_size_of_zero_switches_the_mechanism_off(self):
        programme = simulate_programme(60_000, seed=2, periods=1, **NOTHING)
        assert len(programme.customers) == 60_000
        assert not programme.truth["value"].isna().any()
        assert abs(truth_of(programme)["residual"]) < 1.5
        assert abs(truth_of(programme)["mix"]) < 0.5

    def test_a_context_shift_moves_the_residual_alone(self):
        sizes = {**NOTHING, "touchpoint_effect": 0.0}
        without = truth_of(simulate_programme(30_000, seed=2, periods=1, **sizes))
        shifted = truth_of(
            simulate_programme(30_000, seed=2, periods=1, **{**sizes, "context_shift": 0.5})
        )
        assert shifted["residual"] - without["residual"] > 10
        assert shifted["C0"] == without["C0"]
        assert shifted["coverage"] == without["coverage"]

    def test_no_response_selection_without_response_effects(self):
        sizes = {"response_on_segment": 0.0, "response_on_use": 0.0, "relationship_quarantine": 0.0}
        truth = truth_of(simulate_programme(20_000, seed=3, periods=1, **sizes))
        assert truth["relationship response and contact rules"] == pytest.approx(0, abs=ROUNDING)

    def test_nobody_is_suppressed_without_rules(self):
        programme = simulate_programme(
            1000, seed=1, periods=1, transactional_quarantine=0.0, relationship_quarantine=0.0
        )
        assert "suppressed" not in set(programme.invitations["status"])

    def test_contamination_lifts_recently_surveyed_customers(self):
        sizes = {
            "relationship_quarantine": 80.0,
            "exempt": 0.9,
            "trips_per_period": 1.5,
            "periods": 1,
        }
        plain = simulate_programme(20_000, seed=8, **sizes)
        lifted = simulate_programme(20_000, seed=8, contamination=2.0, **sizes)
        assert truth_of(plain)["C0"] == truth_of(lifted)["C0"]
        assert (
            lifted.relationship["recommend"].mean() > plain.relationship["recommend"].mean() + 0.1
        )

    def test_terms_add_to_the_gap(self):
        truth = truth_of(simulate_programme(3000, seed=4, periods=3))
        names = (
            "mix",
            "transactional response",
            "residual",
            "unit weighting",
            "coverage",
            "relationship response and contact rules",
        )
        assert sum(truth[name] for name in names) == pytest.approx(truth["gap"], abs=ROUNDING)


class TestTruth:
    def test_by_hand(self):
        # customer 0: episodes 10 and 5 (half promoter, half detractor); 1: one episode 9; 2: none
        episodes = pd.DataFrame(
            {
                "customer": [0, 0, 1],
                "cell": [0, 1, 1],
                "score": [10, 5, 9],
                "reached": [1.0, 0.5, 0.5],
                "response": [1.0, 1.0, 1.0],
            }
        )
        waves = pd.DataFrame(
            {
                "customer": [0, 1, 2],
                "score": [9, 6, 8],
                "reached": [1.0, 1.0, 0.5],
                "response": [0.5, 1.0, 1.0],
            }
        )
        truth = true_quantities(episodes, waves, 3, Mechanisms()).set_index("quantity")["value"]
        assert truth["C0"] == pytest.approx(0)  # +100, −100, 0
        assert truth["C1"] == pytest.approx(0)  # +100, −100
        assert truth["C2"] == pytest.approx((2 * 100 - 100) / 3)
        assert truth["B2"] == pytest.approx(100 / 3)
        assert truth["B3"] == pytest.approx((0 + 100) / 2)
        assert truth["A0"] == pytest.approx((0.5 * 100 - 100 + 0) / 2)
        assert truth["B0"] == pytest.approx((100 - 50 + 50) / 2)
        assert truth["B1"] == pytest.approx(1 / 3 * 100 + 2 / 3 * 0)

    def test_promoters_are_nine_and_ten(self):
        assert promoter_points(np.arange(11)).tolist() == [-100.0] * 7 + [0.0] * 2 + [100.0] * 2

    @pytest.mark.parametrize(
        ("quarantine", "lookback"), [(0.0, 60.0), (30.0, 60.0), (20.0, 100.0), (80.0, 30.0)]
    )
    def test_designed_chances_are_the_frequencies(self, quarantine, lookback):
        size = Mechanisms(
            trips_per_period=1.0,
            transactional_quarantine=quarantine,
            relationship_quarantine=lookback,
            transactional_sampling=0.5,
        )
        rng = np.random.default_rng(7)
        people = draw_customers(150, size, rng)
        starts, ends = np.array([0, 91]), np.array([91, 182])
        plain = draw_episodes(people, starts, ends, size, rng)
        waves = pd.DataFrame(
            {"customer": np.tile(np.arange(150), 2), "time": np.repeat(ends - 3.0, 150)}
        )
        draws, invited, free = 150, 0, 0
        for _ in range(draws):
            episodes = invite_episodes(plain, 150, size, rng)
            invited = invited + episodes["invited"].to_numpy()
            last = last_invitation_before(
                episodes, waves["customer"].to_numpy(), waves["time"].to_numpy()
            )
            free = free + (waves["time"].to_numpy() - last >= lookback)
        episode = chance_reached_episode(episodes, size) / (1 - size.bounce)
        reached = chance_reached_wave(waves, episodes, size)
        wave = reached / size.relationship_sampling / (1 - size.bounce)
        wave = (wave - size.exempt) / (1 - size.exempt)
        for chance, count in ((episode, invited), (wave, free)):
            spread = np.sqrt(np.maximum(chance * (1 - chance), 4 / draws) / draws)
            assert np.abs((count / draws - chance) / spread).max() < LARGEST_Z

    @settings(max_examples=15)
    @given(
        st.integers(0, 10_000),
        st.floats(0, 1),
        st.sampled_from([0.0, 20.0, 90.0]),
        st.sampled_from([0.0, 45.0]),
    )
    def test_chances_are_between_zero_and_one(self, seed, sampling, relationship, transactional):
        programme = simulate_programme(
            40,
            seed=seed,
            periods=2,
            trips_per_period=1.0,
            transactional_sampling=sampling,
            relationship_quarantine=relationship,
            transactional_quarantine=transactional,
        )
        for rows in (programme._episodes, programme._waves):
            assert rows["reached"].between(-ROUNDING, 1 + ROUNDING).all()


class TestDemo:
    def test_writing_it_again_gives_the_same_files(self, tmp_path):
        written = write_demo(tmp_path)
        assert {path.name for path in written} == {
            "relationship.csv",
            "comments.csv",
            "transactional.csv",
            "served.csv",
            "invitations.csv.gz",
            "customers.csv",
            "follow_ups.csv",
            "employees.csv",
            "coding.csv",
        }
        for path in written:
            committed = (DEMO / path.name).read_bytes()
            made = path.read_bytes()
            if path.suffix == ".gz":  # zlib builds compress differently; the text is what counts
                committed, made = gzip.decompress(committed), gzip.decompress(made)
            assert made == committed, path.name

    def test_it_stays_small(self):
        files = [*DEMO.glob("*.csv"), *DEMO.glob("*.csv.gz")]
        assert sum(path.stat().st_size for path in files) < 1_500_000

    def test_a_seed_and_eight_quarters(self):
        assert (DEMO_SEED, DEMO_PERIODS) == (20240101, 8)
        relationship = pd.read_csv(DEMO / "relationship.csv")
        assert relationship["period"].nunique() == 8
        assert relationship.groupby("period").size().between(380, 520).all()

    def test_the_declining_touchpoint_declines(self):
        relationship = pd.read_csv(DEMO / "relationship.csv")
        rated = relationship[relationship["restrooms"] <= 10].groupby("period")["restrooms"].mean()
        assert rated.iloc[-2:].mean() < rated.iloc[:-2].mean() - 0.4


class TestRefusals:
    def test_no_customers(self):
        with pytest.raises(
            ValueError, match="`n_customers` must be a whole number, 1 or more; got 0"
        ):
            simulate_programme(0, seed=1)

    def test_misspelt_mechanism(self):
        with pytest.raises(ValueError, match="got 'context_shfit'. Did you mean 'context_shift'"):
            simulate_programme(10, seed=1, context_shfit=1.0)

    def test_share_above_one(self):
        with pytest.raises(ValueError, match="`bounce` must be from 0 to 1; got 1.5"):
            simulate_programme(10, seed=1, bounce=1.5)

    def test_size_that_is_no_number(self):
        with pytest.raises(TypeError, match="`loyalty_sd` must be a number"):
            simulate_programme(10, seed=1, loyalty_sd="much")

    def test_shares_of_variance_over_one(self):
        with pytest.raises(ValueError, match=r"`wait_share` \+ `trip_share` must be at most 1"):
            simulate_programme(10, seed=1, wait_share=0.8, trip_share=0.5)

    @pytest.mark.parametrize("periods", [["spring"], ["2024-Q1", "2024-Q3"], 0])
    def test_periods_that_are_no_quarters_in_a_row(self, periods):
        with pytest.raises(ValueError, match="`periods` must be"):
            simulate_programme(10, seed=1, periods=periods)

    def test_one_customer_is_a_programme_too(self):
        programme = simulate_programme(1, seed=1, periods=1)
        assert len(programme.customers) == 1
