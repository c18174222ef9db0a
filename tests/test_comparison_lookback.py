import numpy as np
import pandas as pd
import pytest

from benchmarks.simulate.mechanisms import Mechanisms
from benchmarks.simulate.population import draw_customers, draw_episodes, invite_episodes
from benchmarks.simulate.tables import chance_reached_wave
from cxlab.stats.comparison.asked import last_invitation, look_back
from cxlab.stats.comparison.contract import INVITED, NOT_SAMPLED, SUPPRESSED, ContactRule

OWN, RULE = ContactRule("own", 30.0), ContactRule("relationship", 60.0, exempt=0.1)
RULES = {"own": OWN, "relationship": RULE}
#: Over 300 draws of the invitations; five standard errors of 200 customers' mean.
MONTE_CARLO = 0.03


def episodes_of(rows):
    frame = pd.DataFrame(rows, columns=["customer", "time", "status", "probability"])
    stopped = frame["status"] == SUPPRESSED
    return frame.assign(
        cell=0, rule=pd.Categorical(np.where(stopped, "own", None), categories=["own"])
    )


def chance(rows, wave, rule):
    waves = pd.DataFrame({"customer": [0], "time": [wave]})
    found = look_back(episodes_of(rows), waves, rule, RULES, 1)
    return found.chance(np.array([[0.3]])).item()


class TestByHand:
    def test_every_episode_of_the_days_counts(self):
        rows = [
            (0, 5.0, NOT_SAMPLED, 0.9),
            (0, 40.0, NOT_SAMPLED, 0.5),
            (0, 50.0, NOT_SAMPLED, 0.2),
        ]
        assert chance(rows, 70.0, ContactRule("r", 60)) == pytest.approx(0.5 * 0.8)

    def test_the_exempt_share_passes_anyway(self):
        rows = [(0, 40.0, NOT_SAMPLED, 0.5)]
        assert chance(rows, 70.0, RULE) == pytest.approx(0.1 + 0.9 * 0.5)

    def test_other_customers_and_later_episodes_do_not_count(self):
        rows = [(0, 80.0, NOT_SAMPLED, 0.5), (1, 40.0, NOT_SAMPLED, 0.5)]
        assert chance(rows, 70.0, ContactRule("r", 60)) == 1.0

    def test_an_episode_stopped_from_before_the_look_back_was_not_at_risk(self):
        rows = [(0, 10.0, INVITED, 0.5), (0, 12.0, SUPPRESSED, 0.5)]
        assert chance(rows, 60.0, ContactRule("r", 49)) == 1.0

    def test_an_episode_stopped_from_within_the_look_back_was_at_risk(self):
        # had the first not been drawn, the second could have been
        rows = [(0, 10.0, INVITED, 0.5), (0, 12.0, SUPPRESSED, 0.4)]
        assert chance(rows, 60.0, ContactRule("r", 55)) == pytest.approx(0.5 * 0.6)

    def test_a_certain_survey_leaves_no_chance(self):
        assert chance([(0, 40.0, INVITED, 1.0)], 70.0, ContactRule("r", 60)) == 0.0

    def test_a_share_that_is_not_designed_is_the_cells(self):
        rows = [(0, 40.0, NOT_SAMPLED, np.nan), (0, 45.0, NOT_SAMPLED, 0.5)]
        assert chance(rows, 70.0, ContactRule("r", 60)) == pytest.approx(0.7 * 0.5)

    def test_last_invitation(self):
        episodes = episodes_of(
            [(0, 1.0, INVITED, 0.5), (0, 9.0, NOT_SAMPLED, 0.5), (1, 2.0, INVITED, 0.5)]
        )
        waves = pd.DataFrame({"customer": [0, 1, 0, 2], "time": [10.0, 2.0, 1.0, 10.0]})
        expected = [1.0, -np.inf, -np.inf, -np.inf]
        assert last_invitation(episodes, waves).tolist() == expected


@pytest.mark.parametrize("own_days", [0.0, 30.0])
def test_its_inverse_is_a_valid_weight(own_days):
    size = Mechanisms(
        trips_per_period=1.2,
        transactional_sampling=0.4,
        transactional_quarantine=own_days,
        relationship_quarantine=60.0,
        exempt=0.1,
    )
    rng = np.random.default_rng(3)
    people = draw_customers(200, size, rng)
    plain = draw_episodes(people, np.array([0, 91]), np.array([91, 182]), size, rng)
    waves = pd.DataFrame({"customer": np.arange(200), "time": np.full(200, 170.0)})
    weighted, chances, draws = np.zeros(200), np.zeros(200), 300
    for _ in range(draws):
        drawn = invite_episodes(plain, 200, size, rng)
        status = np.select(
            [drawn["suppressed"], drawn["invited"]], [SUPPRESSED, INVITED], NOT_SAMPLED
        )
        rule = pd.Categorical(np.where(drawn["suppressed"], "own", None), categories=["own"])
        episodes = drawn.assign(status=status, rule=rule)
        passing = look_back(episodes, waves, RULE, RULES, 7).chance(np.ones((7, 1)))[:, 0]
        recent = waves["time"].to_numpy() - last_invitation(episodes, waves) < 60
        free = ~recent | (rng.random(200) < size.exempt)
        weighted += free / passing
        chances += passing
    assert weighted.mean() / draws == pytest.approx(1, abs=MONTE_CARLO)
    truth = chance_reached_wave(waves, drawn, size) / size.relationship_sampling / (1 - size.bounce)
    assert (chances / draws).mean() == pytest.approx(truth.mean(), abs=MONTE_CARLO / 3)
