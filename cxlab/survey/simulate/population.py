"""Customers, their trips and the episodes in which a touchpoint was met."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.survey.simulate.mechanisms import (
    EPISODE_CELLS,
    REGION_LOYALTY,
    REGION_SHARES,
    SEGMENT_LOYALTY,
    SEGMENT_SHARES,
    SEGMENT_USE,
    SURVEY_CHANNEL_SHARES,
    SURVEY_CHANNEL_SHIFT,
    Mechanisms,
)

#: Mean of the latent score; with the default spreads about 35 % promoters.
LATENT_MEAN = 7.7


def draw_customers(n: int, size: Mechanisms, rng: np.random.Generator) -> pd.DataFrame:
    """One row per customer: codes of segment and region, loyalty, latent score, trip rate."""
    segment = rng.choice(len(SEGMENT_SHARES), n, p=SEGMENT_SHARES)
    region = rng.choice(len(REGION_SHARES), n, p=REGION_SHARES)
    loyalty = rng.standard_normal(n)
    base = (
        LATENT_MEAN
        + size.segment_effect * (SEGMENT_LOYALTY[segment] + REGION_LOYALTY[region])
        + size.loyalty_sd * loyalty
    )
    log_rate = (
        size.use_on_segment * SEGMENT_USE[segment]
        + size.use_on_loyalty * loyalty
        + size.use_spread * rng.standard_normal(n)
    )
    # centred in expectation, so that the size parameters don't change the mean number of trips
    spread = size.use_on_loyalty**2 + size.use_spread**2
    by_segment = np.dot(SEGMENT_SHARES, np.exp(size.use_on_segment * SEGMENT_USE))
    rate = size.trips_per_period * np.exp(log_rate - spread / 2) / by_segment
    return pd.DataFrame(
        {
            "segment": segment,
            "region": region,
            "loyalty": loyalty,
            "base": base,
            "rate": rate,
        }
    )


def draw_episodes(
    customers: pd.DataFrame,
    starts: np.ndarray,
    ends: np.ndarray,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """One row per eligible episode, in order of customer and time, with its potential score.

    A trip has one moment in its period; its episodes lie within the following day. Every
    episode has the score it *would* get, whether or not anyone is asked.
    """
    trips = rng.poisson(customers["rate"].to_numpy()[:, None], (len(customers), len(starts)))
    trip_customer, trip_period = _repeat(trips)
    length = (ends - starts)[trip_period]
    trip_time = starts[trip_period] + rng.random(len(trip_period)) * (length - 1)
    met = (
        rng.random((len(trip_customer), len(EPISODE_CELLS))) < EPISODE_CELLS["per_trip"].to_numpy()
    )
    trip, cell = np.nonzero(met)
    episodes = pd.DataFrame(
        {
            "customer": trip_customer[trip],
            "period": trip_period[trip],
            "trip": trip,
            "cell": cell,
            "time": trip_time[trip] + rng.random(len(trip)) * 0.9,
        }
    )
    episodes = episodes.sort_values(["customer", "time"], kind="stable", ignore_index=True)
    return _with_potential_scores(episodes, customers, len(trip_customer), size, rng)


def _repeat(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Row and column index of each counted thing in a table of counts."""
    flat = np.repeat(np.arange(counts.size), counts.ravel())
    return flat // counts.shape[1], flat % counts.shape[1]


def _with_potential_scores(
    episodes: pd.DataFrame,
    customers: pd.DataFrame,
    n_trips: int,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    n = len(episodes)
    cell = episodes["cell"].to_numpy()
    wait = rng.standard_normal(n)
    mood = rng.standard_normal(n_trips)[episodes["trip"].to_numpy()]
    own = rng.standard_normal(n)
    within = (
        -np.sqrt(size.wait_share) * wait
        + np.sqrt(size.trip_share) * mood
        + np.sqrt(1 - size.wait_share - size.trip_share) * own
    )
    channel = rng.choice(len(SURVEY_CHANNEL_SHARES), n, p=SURVEY_CHANNEL_SHARES)
    wording = rng.integers(0, 2, n)
    delay = rng.exponential(1.5, n)
    experience = (
        customers["base"].to_numpy()[episodes["customer"].to_numpy()]
        + size.touchpoint_effect * EPISODE_CELLS["shift"].to_numpy()[cell]
        + size.episode_sd * within
    )
    asked = (
        size.context_shift
        + size.wording_effect * wording
        + size.channel_effect * SURVEY_CHANNEL_SHIFT[channel]
        - size.delay_effect * np.log1p(delay)
    )
    satisfaction = np.clip(np.rint(experience / 2.2 + 0.3 * rng.standard_normal(n)), 1, 5)
    return episodes.assign(
        wait_minutes=np.round(EPISODE_CELLS["wait"].to_numpy()[cell] * np.exp(0.5 * wait), 1),
        survey_channel=channel,
        wording=wording,
        delay=delay,
        satisfaction=satisfaction.astype(int),
        resolved=experience + rng.standard_normal(n) > 6.2,
        score=to_score(experience + asked),
    )


def to_score(latent: np.ndarray) -> np.ndarray:
    """Whole-number score from 0 to 10 nearest to a latent one."""
    return np.clip(np.rint(latent), 0, 10).astype(np.int64)
