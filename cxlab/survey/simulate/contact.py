"""Who is asked and who answers: sampling, contact rules, bounces, response.

Contact rules come before sampling, in both surveys: a row is ``suppressed`` whether or not
it would have been drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from cxlab.survey.simulate.mechanisms import EPISODE_CELLS, SEGMENT_RESPONSE, Mechanisms


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
