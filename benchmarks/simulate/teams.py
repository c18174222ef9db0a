"""Teams and agents of a programme: employees beside customers, and agents who steer their scores.

Which team an episode belongs to is drawn given its score, from a seed stream of its own, so that
no score changes: with t = ρz + √(1 − ρ²)e of the score's normal rank z, the teams are slices of t,
and the mean z of a team is ρ times its own normal rank.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from benchmarks.simulate.mechanisms import EPISODE_CELLS, Mechanisms

TEAMS, AGENTS, STEERING = 24, 30, 2
#: Where customers meet an agent.
BY_AGENTS = ("check_in", "contact_centre")
#: Employees are asked every fourth quarter; so many of a team answer.
EMPLOYEES_EVERY, EMPLOYEES = 4, (8, 20)
#: Engagement from 0 to 10: mean, spread between teams, between a team's surveys (customers'
#: scores don't follow those), between a team's employees.
ENGAGEMENT = (6.8, 0.8, 0.6, 1.8)
TOP_SCORE = 9
#: Number of the stream beside the seed.
STREAM = 23


@dataclass(frozen=True, eq=False)
class Teams:
    """Who served whom.

    Attributes
    ----------
    team, agent : ndarray of object
        Per episode; agents at check-in and at the contact centre only.
    employees : DataFrame
        One row per employee who answered: ``period, team, engagement``.
    truth : DataFrame
        Per team ``team, engagement, score``: true means of employees in their last survey, and
        of all episodes.
    steering : tuple of str
        Agents who see to it that the satisfied answer.
    """

    team: np.ndarray
    agent: np.ndarray
    employees: pd.DataFrame
    truth: pd.DataFrame
    steering: tuple[str, ...]


def draw_teams(
    episodes: pd.DataFrame, quarters: tuple[str, ...], size: Mechanisms, seed: int
) -> Teams:
    """Draw teams, agents and employees of all episodes."""
    rng = np.random.default_rng([seed, STREAM])
    names = np.array([f"Team {i:02}" for i in range(1, TEAMS + 1)], dtype=object)
    ranked = rng.permutation(names)
    quality = ndtri((np.arange(TEAMS) + 0.5) / TEAMS)
    latent = _correlated(quality, size.engagement_effect, rng)
    score = episodes["score"].to_numpy(float)
    # a part of a point, drawn, puts equal scores in order
    normal = ndtri(_order(score + rng.random(len(score))))
    team = ranked[(_order(_correlated(normal, size.team_effect, rng)) * TEAMS).astype(int)]
    mean, between, change, within = ENGAGEMENT
    surveys = quarters[::EMPLOYEES_EVERY]
    true = mean + between * latent + change * rng.standard_normal((len(surveys), TEAMS))
    # of the rounded answers, cut to the scale
    expected = ndtr((true[..., None] - np.arange(0.5, 10)) / within).sum(axis=-1)
    truth = pd.DataFrame({"team": ranked, "engagement": expected[-1]})
    truth["score"] = truth["team"].map(pd.Series(score).groupby(team).mean())
    agent, steering = _agents(episodes, size, rng)
    return Teams(
        team=team, agent=agent, steering=steering,
        employees=_employees(ranked, true, surveys, rng),
        truth=truth.sort_values("team", ignore_index=True),
    )  # fmt: skip


def _correlated(values: np.ndarray, correlation: float, rng: np.random.Generator) -> np.ndarray:
    noise = rng.standard_normal(len(values))
    return correlation * values + np.sqrt(1 - correlation**2) * noise


def _order(values: np.ndarray) -> np.ndarray:
    """Middle of each value's place among all, 0 to 1."""
    return (values.argsort().argsort() + 0.5) / max(len(values), 1)


def _employees(
    names: np.ndarray, true: np.ndarray, surveys: tuple[str, ...], rng: np.random.Generator
) -> pd.DataFrame:
    waves = []
    for quarter, own in zip(surveys, true, strict=True):
        team = np.repeat(np.arange(len(names)), rng.integers(*EMPLOYEES, len(names), endpoint=True))
        drawn = own[team] + ENGAGEMENT[-1] * rng.standard_normal(len(team))
        answer = np.clip(np.rint(drawn), 0, 10).astype(int)
        waves.append(pd.DataFrame({"period": quarter, "team": names[team], "engagement": answer}))
    employees = pd.concat(waves).sort_values(["period", "team"], kind="stable", ignore_index=True)
    return employees.astype({"period": "str", "team": "str"})


def _agents(
    episodes: pd.DataFrame, size: Mechanisms, rng: np.random.Generator
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Agents at random; those who steer then change places with others who had a top score."""
    names = np.array([f"Agent {i:02}" for i in range(1, AGENTS + 1)], dtype=object)
    touchpoint = EPISODE_CELLS["touchpoint"].to_numpy()[episodes["cell"].to_numpy()]
    served = np.isin(touchpoint, BY_AGENTS)
    number = np.where(served, rng.integers(0, AGENTS, len(episodes)), -1)
    steering = rng.permutation(AGENTS)[: STEERING if size.steering else 0]
    answered = episodes["answered"].to_numpy() & (number >= 0)
    top = episodes["score"].to_numpy() >= TOP_SCORE
    for one in steering:
        own = np.flatnonzero(answered & ~top & (number == one))
        others = np.flatnonzero(answered & top & ~np.isin(number, steering))
        wanted = round(size.steering * (answered & (number == one)).sum())
        changed = min(wanted, len(own), len(others))
        own, others = rng.permutation(own)[:changed], rng.permutation(others)[:changed]
        number[own], number[others] = number[others], one
    # the place −1 is that of no agent
    return np.array([*names, None], dtype=object)[number], tuple(sorted(names[steering]))
