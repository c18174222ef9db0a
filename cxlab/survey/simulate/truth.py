"""True quantities of a simulated programme, from the potential scores of everybody.

Nothing is estimated here, and nothing of `cxlab.stats` is used: sums over all customers and
all episodes, with the designed probabilities of the simulator where a quantity is about the
answers "as collected".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd

from cxlab.survey.simulate.mechanisms import EPISODE_CELLS, Mechanisms
from cxlab.survey.simulate.population import rank_within

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


def promoter_points(score: np.ndarray) -> np.ndarray:
    """100 for 9 and 10, −100 for 0 to 6, 0 between."""
    return 100.0 * ((score >= 9).astype(float) - (score <= 6))


def true_quantities(
    episodes: pd.DataFrame, waves: pd.DataFrame, n_customers: int, size: Mechanisms
) -> pd.DataFrame:
    """Table ``quantity, value, meaning`` in NPS points.

    Parameters
    ----------
    episodes
        All eligible episodes of the window: customer, cell, score, reached (chance of an
        invitation that arrives), response (chance of an answer then).
    waves
        All customer-waves of the window: customer, score, reached, response.
    """
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
