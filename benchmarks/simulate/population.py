"""Customers, their episodes and relationship surveys, and who of them is asked and answers.

Contact rules come before sampling, in both surveys: a row is ``suppressed`` whether or not
it would have been drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.simulate.mechanisms import (
    DECLINING_TOUCHPOINT,
    EPISODE_CELLS,
    PENALTY_KNEE,
    PENALTY_TOUCHPOINT,
    REGION_LOYALTY,
    REGION_SHARES,
    SEGMENT_LOYALTY,
    SEGMENT_RESPONSE,
    SEGMENT_SHARES,
    SEGMENT_USE,
    SURVEY_CHANNEL_SHARES,
    SURVEY_CHANNEL_SHIFT,
    TOUCHPOINTS,
    Mechanisms,
)

#: Mean of the latent score; with the default spreads about 35 % promoters.
LATENT_MEAN = 7.7
#: Share of a rating's within-customer spread that all touchpoints of a trip have in common.
HALO = 0.35
NEVER_USED, DONT_KNOW = 98, 99
_WEIGHT = TOUCHPOINTS["weight"].to_numpy()


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


def sampling_probability(cell: np.ndarray, size: Mechanisms) -> np.ndarray:
    """Designed chance that an episode that no rule stops is drawn."""
    by_cell = size.transactional_sampling * EPISODE_CELLS["sampling"].to_numpy()
    return np.round(np.minimum(1.0, by_cell), 6)[cell]


def response_probability(
    at_reference: float,
    segment: np.ndarray,
    use: np.ndarray,
    score: np.ndarray,
    size: Mechanisms,
    on_score: float,
    shift: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Chance of an answer once the invitation has arrived.

    ``on_score`` is this survey's own slope, added to that of both.
    """
    if at_reference in (0.0, 1.0):
        return np.full(len(segment), at_reference)
    logit = (
        np.log(at_reference / (1 - at_reference))
        + size.response_on_segment * SEGMENT_RESPONSE[segment]
        + size.response_on_use * np.log1p(use)
        + (size.response_on_score + on_score) * (score - 8) / 2
        + shift
    )
    return 1 / (1 + np.exp(-logit))


def rank_within(customer: np.ndarray) -> np.ndarray:
    """0, 1, 2, … within each customer; rows are in order of customer."""
    first = np.r_[0, np.flatnonzero(np.diff(customer)) + 1] if len(customer) else np.empty(0, int)
    lengths = np.diff(np.r_[first, len(customer)])
    return np.arange(len(customer)) - np.repeat(first, lengths)


def invite_episodes(
    episodes: pd.DataFrame, n_customers: int, size: Mechanisms, rng: np.random.Generator
) -> pd.DataFrame:
    """Adds ``probability``, ``suppressed`` and ``invited`` (drawn, and no rule stops it)."""
    customer = episodes["customer"].to_numpy()
    time = episodes["time"].to_numpy()
    probability = sampling_probability(episodes["cell"].to_numpy(), size)
    drawn = rng.random(len(episodes)) < probability
    suppressed = np.zeros(len(episodes), dtype=bool)
    if size.transactional_quarantine:
        suppressed = _quarantine(customer, time, drawn, n_customers, size.transactional_quarantine)
    return episodes.assign(
        probability=probability, suppressed=suppressed, invited=drawn & ~suppressed
    )


def _quarantine(
    customer: np.ndarray,
    time: np.ndarray,
    drawn: np.ndarray,
    n_customers: int,
    days: float,
) -> np.ndarray:
    """Rows within ``days`` after the same customer's last invitation, in order of time."""
    order = np.argsort(rank_within(customer), kind="stable")
    bounds: Any = np.cumsum(np.bincount(rank_within(customer))) if len(customer) else []
    last = np.full(n_customers, -np.inf)
    suppressed = np.zeros(len(customer), dtype=bool)
    start = 0
    for end in bounds:
        rows = order[start:end]
        suppressed[rows] = time[rows] - last[customer[rows]] < days
        sent = rows[drawn[rows] & ~suppressed[rows]]
        last[customer[sent]] = time[sent]
        start = end
    return suppressed


def last_invitation_before(
    episodes: pd.DataFrame, customer: np.ndarray, time: np.ndarray
) -> np.ndarray:
    """Time of each customer's last transactional invitation before ``time``; −inf if none."""
    sent = episodes.loc[episodes["invited"], ["customer", "time"]]
    span = 1.0 + max(sent["time"].max() if len(sent) else 0.0, time.max(initial=0.0))
    keys = sent["customer"].to_numpy() * span + sent["time"].to_numpy()
    if not len(keys):
        return np.full(len(customer), -np.inf)
    position = np.searchsorted(keys, customer * span + time) - 1
    found = np.maximum(position, 0)
    same = (position >= 0) & (sent["customer"].to_numpy()[found] == customer)
    return np.where(same, sent["time"].to_numpy()[found], -np.inf)


def draw_wave(
    customers: pd.DataFrame,
    never_used: np.ndarray,
    declined: bool,
    size: Mechanisms,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Potential answers of all customers in one period."""
    n = len(customers)
    halo = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, len(TOUCHPOINTS)))
    experience = np.sqrt(HALO) * halo + np.sqrt(1 - HALO) * own
    weights = _WEIGHT * ~never_used
    # unit variance whatever was used, so that the score's spread within a customer is the
    # same as in the transactional survey
    spread = np.sqrt(HALO * weights.sum(1) ** 2 + (1 - HALO) * (weights**2).sum(1))
    together = (weights * experience).sum(1) / np.where(spread > 0, spread, 1.0)
    drop = _decline(never_used, declined, size)
    noise = rng.standard_normal(n)
    latent = customers["base"].to_numpy() + size.episode_sd * (0.7 * together + 0.51**0.5 * noise)
    answers = pd.DataFrame(
        {
            "latent": latent - drop,
            "score": to_score(latent - drop),
            "overall": to_score(_overall(customers, experience, weights, size, rng) - drop),
            "effort": _effort(experience, rng),
        }
    )
    return answers, experience


def _decline(never_used: np.ndarray, declined: bool, size: Mechanisms) -> np.ndarray:
    """Points of the latent outcome that users of the declining touchpoint lose."""
    if not declined:
        return np.zeros(len(never_used))
    at = TOUCHPOINTS.index[TOUCHPOINTS["touchpoint"] == DECLINING_TOUCHPOINT][0]
    return size.decline * _WEIGHT[at] * ~never_used[:, at]


def _overall(
    customers: pd.DataFrame,
    experience: np.ndarray,
    weights: np.ndarray,
    size: Mechanisms,
    rng: np.random.Generator,
) -> np.ndarray:
    penalised = TOUCHPOINTS.index[TOUCHPOINTS["touchpoint"] == PENALTY_TOUCHPOINT][0]
    below = np.minimum(0.0, experience[:, penalised] - PENALTY_KNEE)
    loyalty = 0.45 * size.loyalty_sd * customers["loyalty"].to_numpy()
    driven = (weights * experience).sum(1) + 0.9 * below
    return 7.7 + loyalty + driven + 0.7 * rng.standard_normal(len(customers))


def _effort(experience: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    easy = experience[:, [1, 2, 3]].mean(1)
    return np.clip(np.rint(5.2 + 1.1 * easy + 0.8 * rng.standard_normal(len(easy))), 1, 7).astype(
        int
    )


def raw_answers(
    asked: pd.DataFrame,
    customers: pd.DataFrame,
    experience: np.ndarray,
    never_used: np.ndarray,
    declined: bool,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Answers of everyone who answered, as a survey export holds them.

    98 = never used, 99 = don't know, NaN = left blank.
    """
    rows = np.flatnonzero(asked["answered"].to_numpy())
    loyalty = 0.4 * size.loyalty_sd * customers["loyalty"].to_numpy()[rows, None]
    mean = TOUCHPOINTS["mean"].to_numpy() - size.decline * declined * (
        TOUCHPOINTS["touchpoint"] == DECLINING_TOUCHPOINT
    ).to_numpy(float)
    shape = experience[rows].shape
    ratings = to_score(mean + loyalty + 1.6 * experience[rows]).astype(float)
    chance = rng.random(shape)
    ratings[chance < size.item_missing] = np.nan
    ratings[chance > 1 - size.item_missing / 2] = DONT_KNOW
    ratings[never_used[rows]] = NEVER_USED
    outcomes = asked.iloc[rows][["overall", "given_score", "effort"]].to_numpy(float)
    outcomes[rng.random(outcomes.shape) < size.item_missing / 3] = np.nan
    columns = ["overall", "recommend", "effort", *TOUCHPOINTS["touchpoint"]]
    return pd.DataFrame(np.hstack([outcomes, ratings]), columns=columns)


def draw_never_used(n: int, rng: np.random.Generator) -> np.ndarray:
    """Which touchpoints a customer never uses: array (customers, 12) of bool."""
    return rng.random((n, len(TOUCHPOINTS))) < TOUCHPOINTS["never_used"].to_numpy()


def invite_wave(
    answers: pd.DataFrame,
    episodes: pd.DataFrame,
    period: int,
    wave: tuple[float, float],
    customers: pd.DataFrame,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Adds who is suppressed, drawn, reached and answers, and when.

    ``wave`` is first and last day on which invitations go out.
    """
    n = len(answers)
    everyone = np.arange(n)
    time = wave[0] + rng.random(n) * (wave[1] - wave[0])
    last = last_invitation_before(episodes, everyone, time)
    recent = time - last < size.relationship_quarantine
    score = np.where(
        recent & (size.contamination != 0),
        to_score(answers["latent"].to_numpy() + size.contamination),
        answers["score"].to_numpy(),
    )
    in_period = episodes["period"].to_numpy() == period
    use = np.bincount(episodes["customer"].to_numpy()[in_period], minlength=n)
    response = response_probability(
        size.relationship_response,
        customers["segment"].to_numpy(),
        use,
        score,
        size,
        size.relationship_on_score,
    )
    suppressed = recent & ~(rng.random(n) < size.exempt)
    invited = ~suppressed & (rng.random(n) < size.relationship_sampling)
    bounced = invited & (rng.random(n) < size.bounce)
    answered = invited & ~bounced & (rng.random(n) < response)
    return answers.assign(
        customer=everyone,
        period=period,
        time=time,
        given_score=score,
        response=response,
        suppressed=suppressed,
        invited=invited,
        bounced=bounced,
        answered=answered,
        delay=rng.exponential(2.0, n),
    )
