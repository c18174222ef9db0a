"""The year after the last period: who leaves when, who was called, and what is true of it.

Leaving is observed in that year only, so that every trip and answer comes before it. All of it is
drawn from a seed stream of its own: no other column changes with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from benchmarks.simulate.mechanisms import Mechanisms

#: Days in which leaving is observed, after the last period.
OBSERVED_DAYS = 365
#: Days after an answer at which retention is reported.
HORIZON = 180
#: Number of the stream beside the seed.
STREAM = 17
CATEGORIES = {"detractors": (0, 6), "passives": (7, 8), "promoters": (9, 10)}


@dataclass(frozen=True, eq=False)
class Afterwards:
    """Per customer the day of leaving (null: still there), the follow-ups of detractors' answers,
    and the true ``staying``: per cent of all customers with each category of potential score in
    the last wave who are there 180 days after it.
    """

    left_on: pd.Series
    follow_ups: pd.DataFrame
    staying: pd.DataFrame


def draw_afterwards(
    people: pd.DataFrame,
    waves: pd.DataFrame,
    customers: pd.DataFrame,
    first_day: pd.Timestamp,
    last_day: int,
    size: Mechanisms,
    seed: int,
) -> Afterwards:
    """Draw the year after the last period, whose first day is ``last_day`` days after ``first_day``.

    ``people`` (latent values) and ``customers`` are in the same order; ``waves`` are all
    customer-waves.
    """
    rng = np.random.default_rng([seed, STREAM])
    stay = staying_chance(people, size)
    follow_ups = _follow_ups(waves, customers, first_day, size, rng)
    called = customers["customer_id"].isin(
        follow_ups.loc[follow_ups["arm"] == "listed", "customer_id"]
    )
    effect = size.call_effect * called.to_numpy()
    gone = (customers["active_at_end"] == "no").to_numpy()
    later = stay ** (1 - effect)
    # calling keeps some of those who would have left
    gone = gone & (rng.random(len(gone)) * (1 - stay) < (1 - later))
    drawn = np.log1p(-rng.random(len(gone)) * (1 - later)) / np.log(later) * OBSERVED_DAYS
    day = np.where(gone, last_day + 1 + np.floor(np.minimum(drawn, OBSERVED_DAYS - 1)), np.nan)
    return Afterwards(
        left_on=pd.Series(first_day + pd.to_timedelta(day, unit="D")),
        follow_ups=follow_ups,
        staying=_true_staying(waves, later, last_day),
    )


def staying_chance(people: pd.DataFrame, size: Mechanisms) -> np.ndarray:
    """Chance of being there after the year."""
    loyalty = people["loyalty"].to_numpy() if size.loyalty_sd else np.zeros(len(people))
    return 1 / (1 + np.exp(-(1.6 + 0.9 * loyalty)))


def _follow_ups(
    waves: pd.DataFrame,
    customers: pd.DataFrame,
    first_day: pd.Timestamp,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Detractors of every wave, the same customers held out throughout."""
    held = rng.random(len(customers)) < size.held_out
    rows = waves[waves["answered"] & (waves["given_score"] <= 6)].reset_index(drop=True)
    who = rows["customer"].to_numpy()
    answered = np.floor(rows["time"]) + np.rint(rows["delay"])
    listed = first_day + pd.to_timedelta(answered + 1 + rng.integers(0, 5, len(rows)), unit="D")
    needed = np.ceil(rng.exponential(10.0, len(rows)))
    closed = pd.Series(listed + pd.to_timedelta(needed, unit="D"))
    out = held[who]
    return pd.DataFrame(
        {
            "customer_id": customers["customer_id"].to_numpy()[who],
            "listed_at": listed,
            "arm": np.where(out, "held out", "listed"),
            "owner": customers["home_region"].to_numpy()[who],
            # some cases are never closed
            "closed_at": closed.mask(out | (needed > 30)),
        }
    ).astype({"customer_id": "str", "arm": "str", "owner": "str"})


def _true_staying(waves: pd.DataFrame, stay: np.ndarray, last_day: int) -> pd.DataFrame:
    last = waves[waves["period"] == waves["period"].max()]
    rate = -np.log(stay[last["customer"].to_numpy()]) / OBSERVED_DAYS
    exposed = np.maximum(last["time"].to_numpy() + HORIZON - last_day, 0)
    there = np.exp(-rate * exposed)
    score = last["score"].to_numpy()
    inside = [(score >= low) & (score <= high) for low, high in CATEGORIES.values()]
    values = [100 * there[one].mean() if one.any() else np.nan for one in inside]
    return pd.DataFrame({"score": list(CATEGORIES), "value": values})
