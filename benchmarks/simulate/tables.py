"""The files of a programme, as a survey platform would hand them over, and its true quantities.

The true quantities are sums over the potential scores of all customers and all episodes, with
the designed probabilities of the simulator where a quantity is about the answers "as collected".
Nothing is estimated, and nothing of `cxlab.stats` is used.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from benchmarks.simulate.afterwards import staying_chance
from benchmarks.simulate.mechanisms import (
    EPISODE_CELLS,
    REGIONS,
    SEGMENTS,
    SURVEY_CHANNELS,
    Mechanisms,
)
from benchmarks.simulate.population import rank_within

TRANSACTIONAL_RULE = "transactional quarantine"
RELATIONSHIP_RULE = "relationship quarantine"

MEANINGS = {
    "A0": "NPS of relationship answers as collected, in expectation",
    "C0": "NPS of the whole customer base (E1)",
    "C1": "NPS of customers with an eligible episode",
    "C2": "the same, each customer counted once per episode",
    "B0": "NPS of transactional answers as collected, in expectation",
    "B1": "NPS of transactional answers at the eligible mix of cells",
    "B2": "NPS of all eligible episodes (E2)",
    "B3": "NPS of all eligible episodes, each customer counted once",
    "mix": "B0 - B1",
    "transactional response": "B1 - B2",
    "residual": "half of (B2 - C2) + (B3 - C1)",
    "unit weighting": "half of (C2 - C1) + (B2 - B3)",
    "coverage": "C1 - C0",
    "relationship response and contact rules": "C0 - A0",
    "gap": "B0 - A0",
    "standardised gap": "B3 - C1",
}


def identifiers(letter: str, n: int) -> pd.Series:
    """``letter`` and a running number, as wide as the largest needs."""
    width = max(5, len(str(n)))
    return letter + pd.Series(np.arange(1, n + 1)).astype("str").str.zfill(width)


def customer_table(
    people: pd.DataFrame,
    episodes: pd.DataFrame,
    first_day: pd.Timestamp,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The frame: segment, region, joined, still active at the end, spend in a year."""
    n = len(people)
    loyalty = people["loyalty"].to_numpy() if size.loyalty_sd else np.zeros(n)
    stays = rng.random(n) < staying_chance(people, size)
    log_spend = 5.0 + 0.3 * loyalty + 0.5 * np.log(people["rate"]) + 0.5 * rng.standard_normal(n)
    joined = first_day - pd.to_timedelta(1 + rng.integers(0, 6 * 365, n), unit="D")
    return pd.DataFrame(
        {
            "customer_id": identifiers("C", n),
            "segment": np.array(SEGMENTS, dtype=object)[people["segment"]],
            "home_region": np.array(REGIONS, dtype=object)[people["region"]],
            "joined_on": joined,
            "active_at_end": np.where(stays, "yes", "no"),
            "yearly_spend": np.round(np.exp(log_spend), 2),
        }
    ).astype({"segment": "str", "home_region": "str", "active_at_end": "str"})


def transactional_table(
    episodes: pd.DataFrame,
    customers: pd.DataFrame,
    quarters: tuple[str, ...],
    first_day: pd.Timestamp,
) -> pd.DataFrame:
    """Transactional answers, one row each."""
    answered = np.flatnonzero(episodes["answered"].to_numpy())
    rows = episodes.iloc[answered].reset_index(drop=True)
    cell = rows["cell"].to_numpy()
    touchpoint = EPISODE_CELLS["touchpoint"].to_numpy()[cell]
    triggered = _moment(first_day, rows["time"])
    invited = triggered + pd.Timedelta(hours=2)
    resolved = np.where(rows["resolved"], "yes", "no").astype(object)
    resolved[touchpoint != "contact_centre"] = None
    return pd.DataFrame(
        {
            "response_id": identifiers("T", len(rows)),
            "period": np.array(quarters, dtype=object)[rows["period"]],
            "customer_id": customers["customer_id"].to_numpy()[rows["customer"]],
            "episode_id": identifiers("E", len(episodes)).to_numpy()[answered],
            "touchpoint": touchpoint,
            "contact_channel": EPISODE_CELLS["contact_channel"].to_numpy()[cell],
            "wait_minutes": rows["wait_minutes"],
            "resolved_first_contact": resolved,
            "triggered_at": triggered,
            "invited_at": invited,
            "responded_at": invited + _days_to_minutes(rows["delay"]),
            "survey_channel": np.array(SURVEY_CHANNELS, dtype=object)[rows["survey_channel"]],
            "wording_id": np.array(["A", "B"], dtype=object)[rows["wording"]],
            "satisfaction": rows["satisfaction"],
            "recommend": rows["score"],
            "weight": _weights(episodes["cell"].to_numpy(), cell),
            "team": rows["team"],
            "agent": rows["agent"],
        }
    ).astype(dict.fromkeys(_TEXT_TRANSACTIONAL, "str"))


_TEXT_TRANSACTIONAL = (
    "period", "customer_id", "episode_id", "touchpoint", "contact_channel",
    "resolved_first_contact", "survey_channel", "wording_id", "team", "agent",
)  # fmt: skip


def relationship_table(
    waves: pd.DataFrame,
    answers: pd.DataFrame,
    customers: pd.DataFrame,
    quarters: tuple[str, ...],
    first_day: pd.Timestamp,
) -> pd.DataFrame:
    """Relationship answers, one row each, with the raw codes of the answers."""
    rows = waves[waves["answered"]].reset_index(drop=True)
    who = rows["customer"].to_numpy()
    invited = _moment(first_day, rows["time"]).dt.normalize()
    segment = customers["segment"].to_numpy()
    head = pd.DataFrame(
        {
            "response_id": identifiers("R", len(rows)),
            "period": np.array(quarters, dtype=object)[rows["period"]],
            "customer_id": customers["customer_id"].to_numpy()[who],
            "responded_at": (invited + _days_to_minutes(rows["delay"])).dt.normalize(),
            "invited_at": invited,
            "segment": segment[who],
            "home_region": customers["home_region"].to_numpy()[who],
        }
    )
    weight = np.empty(len(rows))
    for period in range(len(quarters)):
        here = rows["period"].to_numpy() == period
        weight[here] = _weights(segment, segment[who[here]])
    text = dict.fromkeys(("period", "customer_id", "segment", "home_region"), "str")
    return pd.concat([head.astype(text), answers], axis=1).assign(weight=weight)


def invitation_table(
    episodes: pd.DataFrame,
    waves: pd.DataFrame,
    customers: pd.DataFrame,
    quarters: tuple[str, ...],
    first_day: pd.Timestamp,
    size: Mechanisms,
) -> pd.DataFrame:
    """One row per eligible episode and per customer and relationship wave."""
    period = np.array(quarters, dtype=object)
    cell = episodes["cell"].to_numpy()
    who = customers["customer_id"].to_numpy()
    transactional = pd.DataFrame(
        {
            "survey_type": "transactional",
            "period": period[episodes["period"]],
            "customer_id": who[episodes["customer"]],
            "episode_id": identifiers("E", len(episodes)),
            "touchpoint": EPISODE_CELLS["touchpoint"].to_numpy()[cell],
            "contact_channel": EPISODE_CELLS["contact_channel"].to_numpy()[cell],
            "triggered_at": _moment(first_day, episodes["time"]),
            "status": _status(episodes),
            "rule": np.where(episodes["suppressed"], TRANSACTIONAL_RULE, np.array(None)),
            "probability": episodes["probability"],
            "agent": episodes["agent"],
        }
    )
    relationship = pd.DataFrame(
        {
            "survey_type": "relationship",
            "period": period[waves["period"]],
            "customer_id": who[waves["customer"]],
            "episode_id": None,
            "touchpoint": None,
            "contact_channel": None,
            "triggered_at": _moment(first_day, waves["time"]),
            "status": _status(waves),
            "rule": np.where(waves["suppressed"], RELATIONSHIP_RULE, np.array(None)),
            "probability": size.relationship_sampling,
            "agent": None,
        }
    )
    text = dict.fromkeys(
        ("survey_type", "period", "customer_id", "episode_id", "touchpoint", "contact_channel",
         "status", "rule", "agent"), "str",
    )  # fmt: skip
    both = pd.concat([transactional.astype(text), relationship.astype(text)], ignore_index=True)
    both.insert(0, "invitation_id", identifiers("I", len(both)))
    return both


def _status(rows: pd.DataFrame) -> np.ndarray:
    return np.select(
        [rows["suppressed"], ~rows["invited"], rows["bounced"], rows["answered"]],
        ["suppressed", "not_sampled", "bounced", "answered"],
        "invited",
    ).astype(object)


def _moment(first_day: pd.Timestamp, days: pd.Series) -> pd.Series:
    """Whole minutes: what a file holds."""
    return first_day + _days_to_minutes(days)


def _days_to_minutes(days: pd.Series) -> pd.Series:
    return pd.to_timedelta(np.rint(days * 24 * 60).astype("int64"), unit="min")


def _weights(population: np.ndarray, sample: np.ndarray) -> np.ndarray:
    """Population share over sample share of a row's category: mean 1 over the sample."""
    shares = pd.Series(population).value_counts(normalize=True)
    seen = pd.Series(sample).value_counts(normalize=True)
    factor = shares.reindex(seen.index) / seen
    weight = pd.Series(sample).map(factor).to_numpy(dtype=float)
    return np.round(weight / weight.mean(), 4) if len(weight) else weight


def promoter_points(score: np.ndarray) -> np.ndarray:
    """100 for 9 and 10, −100 for 0 to 6, 0 between."""
    return 100.0 * ((score >= 9).astype(float) - (score <= 6))


def true_quantities(
    episodes: pd.DataFrame, waves: pd.DataFrame, n_customers: int, size: Mechanisms
) -> pd.DataFrame:
    """Table ``quantity, value, meaning`` in NPS points."""
    transactional = _transactional(episodes, n_customers)
    relationship = _relationship(waves, episodes, n_customers)
    values = transactional | relationship
    values |= _terms(values)
    return pd.DataFrame(
        {
            "quantity": list(MEANINGS),
            "value": [values[name] for name in MEANINGS],
            "meaning": list(MEANINGS.values()),
        }
    )


def _transactional(episodes: pd.DataFrame, n_customers: int) -> dict[str, float]:
    points = promoter_points(episodes["score"].to_numpy())
    chance = (episodes["reached"] * episodes["response"]).to_numpy()
    cell = episodes["cell"].to_numpy()
    k = len(EPISODE_CELLS)
    asked = np.bincount(cell, chance, minlength=k)
    mean = np.bincount(cell, chance * points, minlength=k) / np.where(asked > 0, asked, np.nan)
    share = np.bincount(cell, minlength=k) / len(cell) if len(cell) else np.full(k, np.nan)
    customer = episodes["customer"].to_numpy()
    counts = np.bincount(customer, minlength=n_customers)
    sums = np.bincount(customer, points, minlength=n_customers)
    users = counts > 0
    return {
        "B0": _ratio((chance * points).sum(), chance.sum()),
        "B1": float(np.nansum((share * mean)[share > 0])) if len(cell) else np.nan,
        "B2": _ratio(points.sum(), len(points)),
        "B3": float(np.mean(sums[users] / counts[users])) if users.any() else np.nan,
    }


def _relationship(
    waves: pd.DataFrame, episodes: pd.DataFrame, n_customers: int
) -> dict[str, float]:
    points = promoter_points(waves["score"].to_numpy())
    chance = (waves["reached"] * waves["response"]).to_numpy()
    counts = np.bincount(episodes["customer"].to_numpy(), minlength=n_customers)
    m = counts[waves["customer"].to_numpy()]
    return {
        "A0": _ratio((chance * points).sum(), chance.sum()),
        "C0": _ratio(points.sum(), len(points)),
        "C1": _ratio(points[m > 0].sum(), (m > 0).sum()),
        "C2": _ratio((m * points).sum(), m.sum()),
    }


def _terms(q: dict[str, float]) -> dict[str, float]:
    return {
        "mix": q["B0"] - q["B1"],
        "transactional response": q["B1"] - q["B2"],
        "residual": 0.5 * ((q["B2"] - q["C2"]) + (q["B3"] - q["C1"])),
        "unit weighting": 0.5 * ((q["C2"] - q["C1"]) + (q["B2"] - q["B3"])),
        "coverage": q["C1"] - q["C0"],
        "relationship response and contact rules": q["C0"] - q["A0"],
        "gap": q["B0"] - q["A0"],
        "standardised gap": q["B3"] - q["C1"],
    }


def _ratio(total: float, count: float) -> float:
    return float(total / count) if count > 0 else np.nan


def chance_reached_episode(episodes: pd.DataFrame, size: Mechanisms) -> np.ndarray:
    """Designed chance that an episode is invited and the invitation arrives.

    With a quarantine of Q days at most one invitation lies in any Q days, so the chances of
    the earlier ones add: f_k = q_k (1 − Σ f_j over episodes j less than Q days before k).
    """
    return _chance_invited(episodes, size) * (1 - size.bounce)


def _chance_invited(episodes: pd.DataFrame, size: Mechanisms) -> np.ndarray:
    q = episodes["probability"].to_numpy()
    days = size.transactional_quarantine
    if not days or not len(q):
        return q.astype(float)
    customer, time = episodes["customer"].to_numpy(), episodes["time"].to_numpy()
    rank = rank_within(customer)
    first = _first_within(customer, time, customer, time - days, after=True)
    before = np.zeros(len(q))  # sum of the chances of the customer's earlier episodes
    chance = np.zeros(len(q))
    order = np.argsort(rank, kind="stable")
    for rows in np.split(order, np.cumsum(np.bincount(rank))[:-1]):
        if rank[rows[0]] > 0:
            before[rows] = before[rows - 1] + chance[rows - 1]
        chance[rows] = q[rows] * (1 - (before[rows] - before[first[rows]]))
    return chance


def chance_reached_wave(
    waves: pd.DataFrame, episodes: pd.DataFrame, size: Mechanisms
) -> np.ndarray:
    """Designed chance that a relationship invitation is sent and arrives."""
    free = np.ones(len(waves))
    if size.relationship_quarantine and len(episodes):
        free = size.exempt + (1 - size.exempt) * _chance_not_recent(waves, episodes, size)
    return free * size.relationship_sampling * (1 - size.bounce)


def _chance_not_recent(waves: pd.DataFrame, episodes: pd.DataFrame, size: Mechanisms) -> np.ndarray:
    """Chance of no transactional invitation within the relationship rule's days.

    Summed over the customer's last invitation before those days (none, or episode j): the
    episodes since then that the transactional rule did not stop were all not drawn.
    """
    customer, time = episodes["customer"].to_numpy(), episodes["time"].to_numpy()
    who, when = waves["customer"].to_numpy(), waves["time"].to_numpy()
    start = _first_within(customer, time, who, np.full(len(who), -np.inf))
    before = _first_within(customer, time, who, when - size.relationship_quarantine, after=True)
    end = _first_within(customer, time, who, when)
    invited = _chance_invited(episodes, size)
    released = _first_within(customer, time, customer, time + size.transactional_quarantine)
    released = np.maximum(released, np.arange(len(time)) + 1)
    none_drawn = _chance_none_drawn(episodes["probability"].to_numpy())
    chance = none_drawn(start, end)
    for back in range(int((before - start).max(initial=0))):
        rows = np.flatnonzero(before - start > back)
        last = start[rows] + back
        since = np.minimum(released[last], end[rows])
        chance[rows] += invited[last] * none_drawn(since, end[rows])
    return np.minimum(chance, 1.0)


def _chance_none_drawn(q: np.ndarray) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Function (from, to) → product of 1 − q over those positions; q = 1 gives 0."""
    certain = q >= 1
    logs = np.r_[0.0, np.cumsum(np.log1p(-np.where(certain, 0.0, q)))]
    certainties = np.r_[0, np.cumsum(certain)]

    def product(since: np.ndarray, to: np.ndarray) -> np.ndarray:
        return np.exp(logs[to] - logs[since]) * (certainties[to] == certainties[since])

    return product


def _first_within(
    customer: np.ndarray,
    time: np.ndarray,
    who: np.ndarray,
    since: np.ndarray,
    *,
    after: bool = False,
) -> np.ndarray:
    """Position of the first episode of ``who`` at or after ``since`` (later, with ``after``)."""
    span = 10.0 + 2 * (time.max() if len(time) else 0.0)
    keys = customer * span + time
    at = who * span + np.clip(since, -1.0, span - 2.0)
    return np.searchsorted(keys, at, side="right" if after else "left")
