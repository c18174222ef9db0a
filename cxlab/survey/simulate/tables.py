"""The files of a programme, as a survey platform would hand them over."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.survey.simulate.mechanisms import (
    EPISODE_CELLS,
    REGIONS,
    SEGMENTS,
    SURVEY_CHANNELS,
    Mechanisms,
)

TRANSACTIONAL_RULE = "transactional quarantine"
RELATIONSHIP_RULE = "relationship quarantine"


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
    stays = rng.random(n) < 1 / (1 + np.exp(-(1.6 + 0.9 * loyalty)))
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
        }
    ).astype(dict.fromkeys(_TEXT_TRANSACTIONAL, "str"))


_TEXT_TRANSACTIONAL = (
    "period", "customer_id", "episode_id", "touchpoint", "contact_channel",
    "resolved_first_contact", "survey_channel", "wording_id",
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
        }
    )
    text = dict.fromkeys(
        ("survey_type", "period", "customer_id", "episode_id", "touchpoint", "contact_channel",
         "status", "rule"), "str",
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
