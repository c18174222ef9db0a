"""A whole customer-experience programme whose truth is known, and the demo data made of one."""

from __future__ import annotations

import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.simulate.afterwards import draw_afterwards
from benchmarks.simulate.comments import draw_comments
from benchmarks.simulate.mechanisms import EPISODE_CELLS, Mechanisms
from benchmarks.simulate.population import (
    draw_customers,
    draw_episodes,
    draw_never_used,
    draw_wave,
    invite_episodes,
    invite_wave,
    raw_answers,
    response_probability,
)
from benchmarks.simulate.tables import (
    RELATIONSHIP_RULE,
    TRANSACTIONAL_RULE,
    chance_reached_episode,
    chance_reached_wave,
    customer_table,
    invitation_table,
    relationship_table,
    transactional_table,
    true_quantities,
)
from benchmarks.simulate.teams import draw_teams
from cxlab.core.messages import did_you_mean, one_of

#: Relationship invitations go out in this many days at the end of a period.
WAVE_DAYS = 14


@dataclass(frozen=True, eq=False)
class Programme:
    """Files of a simulated programme, and what is true of it."""

    #: Answers to the two surveys, one row per answer. Relationship ratings hold the raw codes 98
    #: (never used), 99 (don't know) and NaN (left blank).
    transactional: pd.DataFrame
    relationship: pd.DataFrame
    #: One row per eligible episode and per customer and relationship wave, with its status:
    #: not_sampled, suppressed (by which rule), invited, bounced or answered.
    invitations: pd.DataFrame
    #: The frame: everybody who could have been asked; ``left_on`` is observed in the year after
    #: the last period.
    customers: pd.DataFrame
    follow_ups: pd.DataFrame  # detractors who were listed to be called, or held out by chance
    coding: pd.DataFrame  # hand codes of some of the comments on the relationship survey
    #: ``score, value``: per cent of all customers with that score who are there 180 days later.
    staying: pd.DataFrame
    employees: pd.DataFrame  # engagement of the teams' employees, one row per answer
    #: ``team, engagement, score``: true means of employees and of all episodes.
    teams: pd.DataFrame
    steering: tuple[str, ...]  # agents who see to it that the satisfied answer
    truth: pd.DataFrame  # ``quantity, value, meaning``: see `benchmarks.simulate.tables`
    mechanisms: Mechanisms  # the sizes that were planted
    periods: tuple[str, ...]
    seed: int
    _episodes: pd.DataFrame = field(repr=False)
    _waves: pd.DataFrame = field(repr=False)

    @property
    def contact_rules(self) -> dict[str, tuple[float, float]]:
        """Days and random exemption of each contact rule that stopped anyone."""
        size = self.mechanisms
        rules = {
            TRANSACTIONAL_RULE: (size.transactional_quarantine, 0.0),
            RELATIONSHIP_RULE: (size.relationship_quarantine, size.exempt),
        }
        found = set(self.invitations["rule"].dropna())
        return {name: rule for name, rule in rules.items() if name in found}

    def __str__(self) -> str:
        return (
            f"Simulated programme: {len(self.customers):,} customers, {len(self.periods)} "
            f"period(s), {len(self.transactional):,} transactional and "
            f"{len(self.relationship):,} relationship answers (seed {self.seed})"
        )


def simulate_programme(
    n_customers: int,
    *,
    seed: int,
    periods: Sequence[str] | int = 8,
    mechanisms: Mechanisms | None = None,
    **sizes: float,
) -> Programme:
    r"""Draw an airport-like programme: customers, journeys, two surveys, outcomes.

    Parameters
    ----------
    n_customers : int
        Customers in the frame, 1 or more.
    seed : int
        The same seed gives the same programme to the digit.
    periods : int or list of str, default 8
        Quarters such as ``"2024-Q1"``; a number counts from 2024-Q1.
    mechanisms : Mechanisms, optional
        Sizes of all mechanisms; the defaults are those of the demo.
    **sizes : float
        Single sizes by name, changing ``mechanisms``.

    Returns
    -------
    Programme

    Raises
    ------
    ValueError
        For fewer than one customer, an unknown mechanism, a period that is not a quarter,
        or a size outside its range.

    Notes
    -----
    Customer i has a segment, a region and loyalty ``L ~ N(0, 1)``, a latent score
    ``b = μ + segment + region + σ_L·L`` and a log trip rate that depends on segment and loyalty
    with a normal spread (heavy and light users). Trips are Poisson per period; on a trip each
    touchpoint × contact channel is met with its own chance: that is an eligible episode. A
    transactional score is ``b + cell + σ_w·e + context + wording + channel − delay``, where e
    is part waiting time, part trip, part own; a relationship score is ``b + σ_w·e′`` with the
    same spread, e′ being part the touchpoints' experiences. Both are rounded and cut to 0–10.
    Contact rules act first, then sampling, bounces and a logistic response. The rating of a
    touchpoint shares a halo with all others; the weights in ``TOUCHPOINTS`` say which of them
    count. Retention and spend depend on loyalty.

    Examples
    --------
    >>> programme = simulate_programme(500, seed=1, periods=2)
    >>> print(programme.periods)
    ('2024-Q1', '2024-Q2')
    >>> null = simulate_programme(500, seed=1, periods=1, context_shift=0)
    >>> null.mechanisms.context_shift
    0
    """
    if not isinstance(n_customers, (int, np.integer)) or n_customers < 1:
        raise ValueError(f"`n_customers` must be a whole number, 1 or more; got {n_customers}.")
    size = _with_sizes(mechanisms or Mechanisms(), sizes)
    quarters = _quarters(periods)
    rng = np.random.default_rng(seed)
    starts, ends = _days(quarters)
    people = draw_customers(n_customers, size, rng)
    never_used = draw_never_used(n_customers, rng)
    episodes = draw_episodes(people, starts, ends, size, rng)
    episodes = _ask_about_episodes(episodes, people, size, rng)
    waves, ratings = _relationship_waves(
        episodes, people, never_used, len(quarters), starts, ends, size, rng
    )
    episodes["reached"] = chance_reached_episode(episodes, size)
    waves["reached"] = chance_reached_wave(waves, episodes, size)
    return _assemble(people, episodes, waves, ratings, quarters, ends, size, seed, rng)


def _with_sizes(mechanisms: Mechanisms, sizes: dict[str, float]) -> Mechanisms:
    known = [f.name for f in fields(Mechanisms)]
    for name in sizes:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(f"Mechanism sizes must be {one_of(known)}; got '{name}'.{hint}")
    return replace(mechanisms, **sizes)


def _quarters(periods: Sequence[str] | int) -> tuple[str, ...]:
    if isinstance(periods, (int, np.integer)):
        if periods < 1:
            raise ValueError(f"`periods` must be 1 or more; got {periods}.")
        return tuple(f"{2024 + k // 4}-Q{k % 4 + 1}" for k in range(int(periods)))
    names = (periods,) if isinstance(periods, str) else tuple(periods)
    try:
        parsed = _parsed(names)
    except (ValueError, AttributeError) as error:
        raise ValueError(
            f"`periods` must be quarters such as '2024-Q1'; got {list(names)}."
        ) from error
    if not len(names) or (np.diff(parsed.asi8) != 1).any():
        raise ValueError(f"`periods` must be one quarter or several in a row; got {list(names)}.")
    return names


def _parsed(quarters: Sequence[str]) -> pd.PeriodIndex:
    return pd.PeriodIndex([name.replace("-Q", "Q") for name in quarters], freq="Q")


def _days(quarters: tuple[str, ...]) -> tuple[np.ndarray, np.ndarray]:
    """First day, and day after the last, of each quarter, counted from the first quarter."""
    parsed = _parsed(quarters)
    first = parsed.start_time
    return (first - first[0]).days.to_numpy(), ((parsed + 1).start_time - first[0]).days.to_numpy()


def _ask_about_episodes(
    episodes: pd.DataFrame,
    people: pd.DataFrame,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    episodes = invite_episodes(episodes, len(people), size, rng)
    n = len(episodes)
    # episodes of the same customer and period: the "use" that response may depend on
    pair = episodes["customer"].to_numpy() * 1000 + episodes["period"].to_numpy()
    _, position, counts = np.unique(pair, return_inverse=True, return_counts=True)
    response = response_probability(
        size.transactional_response,
        people["segment"].to_numpy()[episodes["customer"].to_numpy()],
        counts[position] if n else np.empty(0),
        episodes["score"].to_numpy(),
        size,
        size.transactional_on_score,
        EPISODE_CELLS["response"].to_numpy()[episodes["cell"].to_numpy()],
    )
    invited = episodes["invited"].to_numpy()
    bounced = invited & (rng.random(n) < size.bounce)
    answered = invited & ~bounced & (rng.random(n) < response)
    return episodes.assign(response=response, bounced=bounced, answered=answered)


def _relationship_waves(episodes, people, never_used, n_waves, starts, ends, size, rng):
    waves, ratings = [], []
    for period in range(n_waves):
        declined = n_waves > 1 and period >= n_waves - max(1, n_waves // 4)
        answers, experience = draw_wave(people, never_used, declined, size, rng)
        wave = (ends[period] - WAVE_DAYS, ends[period] - 1)
        asked = invite_wave(answers, episodes, period, wave, people, size, rng)
        ratings.append(raw_answers(asked, people, experience, never_used, declined, size, rng))
        waves.append(asked)
    return pd.concat(waves, ignore_index=True), pd.concat(ratings, ignore_index=True)


def _assemble(people, episodes, waves, ratings, quarters, ends, size, seed, rng):
    first_day = _parsed(quarters).start_time[0]
    customers = customer_table(people, episodes, first_day, size, rng)
    afterwards = draw_afterwards(
        people, waves, customers, first_day, int(ends[-1]), size, int(seed)
    )
    teams = draw_teams(episodes, quarters, size, int(seed))
    served = episodes.assign(team=teams.team, agent=teams.agent)
    transactional = transactional_table(served, customers, quarters, first_day)
    relationship = relationship_table(waves, ratings, customers, quarters, first_day)
    comments = draw_comments(relationship, int(seed))
    return Programme(
        transactional=transactional,
        relationship=relationship.assign(comment=comments.text),
        invitations=invitation_table(served, waves, customers, quarters, first_day, size),
        customers=customers.assign(
            active_at_end=afterwards.left_on.isna().map({True: "yes", False: "no"}).astype("str"),
            left_on=afterwards.left_on,
        ),
        follow_ups=afterwards.follow_ups,
        coding=comments.coding,
        staying=afterwards.staying,
        employees=teams.employees,
        teams=teams.truth,
        steering=teams.steering,
        truth=true_quantities(episodes, waves, len(people), size),
        mechanisms=size,
        periods=quarters,
        seed=int(seed),
        _episodes=episodes,
        _waves=waves,
    )


DEMO_CUSTOMERS = 2500
DEMO_SEED = 20240101
DEMO_PERIODS = 8


def write_demo(folder: str | Path) -> list[Path]:
    """Write the demo programme's files, the same bytes every time."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    programme = simulate_programme(DEMO_CUSTOMERS, seed=DEMO_SEED, periods=DEMO_PERIODS)
    written = []
    for name, text in _files(programme).items():
        path = folder / name
        data = text.encode()
        # a gzip file carries its time and name: both fixed, or the bytes would differ
        path.write_bytes(_gzip(data) if name.endswith(".gz") else data)
        written.append(path)
    return written


def _files(programme: Programme) -> dict[str, str]:
    return {
        **_beside(
            "relationship.csv", "comments.csv", programme.relationship, ["comment"], "%Y-%m-%d"
        ),
        **_beside(
            "transactional.csv",
            "served.csv",
            programme.transactional,
            ["team", "agent"],
            "%Y-%m-%dT%H:%M",
        ),
        "invitations.csv.gz": _csv(programme.invitations, "%Y-%m-%dT%H:%M"),
        "customers.csv": _csv(programme.customers, "%Y-%m-%d"),
        "follow_ups.csv": _csv(programme.follow_ups, "%Y-%m-%d"),
        "employees.csv": _csv(programme.employees, "%Y-%m-%d"),
        "coding.csv": _csv(programme.coding, "%Y-%m-%d"),
    }


def _beside(
    name: str, beside: str, frame: pd.DataFrame, more: list[str], dates: str
) -> dict[str, str]:
    """A survey's answers, and what another system knows of the same rows in a file of its own."""
    known = frame.loc[frame[more].notna().any(axis=1), ["response_id", *more]]
    return {name: _csv(frame.drop(columns=more), dates), beside: _csv(known, dates)}


def _csv(frame: pd.DataFrame, dates: str) -> str:
    ratings = frame.select_dtypes("float").columns.difference(
        ["weight", "wait_minutes", "probability", "yearly_spend"]
    )
    whole = frame.astype(dict.fromkeys(ratings, "Int64"))
    return whole.to_csv(index=False, date_format=dates, lineterminator="\n")


def _gzip(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0, compresslevel=9) as file:
        file.write(data)
    return buffer.getvalue()
