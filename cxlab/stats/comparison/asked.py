"""Who could be asked, who was, who answered: eligible episodes and customer-waves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cxlab.core.messages import got, one_of
from cxlab.stats.comparison.contract import (
    ANSWERED,
    BOUNCED,
    INVITED,
    SUPPRESSED,
    ContactRule,
    match_ids,
)
from cxlab.stats.comparison.programme import Answers, ProgrammeData
from cxlab.stats.comparison.propensity import LookBack, last_invitation, look_back

#: More suppressed rows than this, without an invitation that would explain them, and the
#: declared rule is not the one that was followed.
UNEXPLAINED_SHARE = 0.01
#: The longest rounding of times in a file of whole minutes.
ROUNDING_DAYS = 1.5 / (24 * 60)


@dataclass(frozen=True, eq=False)
class Asked:
    """Rows of one survey's invitations in the window: episodes, or customer-waves.

    Attributes
    ----------
    customer : ndarray of int
    cell : ndarray of int
        Touchpoint × contact channel of an episode; 0 for waves.
    episodes : ndarray of int
        Eligible episodes of the row's customer in the window.
    chance_sampled : ndarray of float
        Designed sampling probability; NaN where it is to be estimated.
    free : ndarray of bool
        Not suppressed by a contact rule.
    invited, delivered, answered : ndarray of bool
        ``answered``: a valid score came back.
    score : ndarray of int
        0 to 10, −1 without an answer.
    """

    customer: np.ndarray
    cell: np.ndarray
    episodes: np.ndarray
    chance_sampled: np.ndarray
    free: np.ndarray
    invited: np.ndarray
    delivered: np.ndarray
    answered: np.ndarray
    score: np.ndarray


@dataclass(frozen=True, eq=False)
class Collected:
    """Everything the decomposition needs from the invitations.

    Attributes
    ----------
    episodes, waves : Asked
    cells : list of str
        Names of the cells.
    look_back : LookBack
        Of the waves: what their chance of passing the contact rule is made of.
    unreachable : ndarray of bool, shape (waves,)
        No chance of passing, or stopped by a rule of which nothing is known.
    notes : list of str
    """

    episodes: Asked
    waves: Asked
    cells: list[str]
    look_back: LookBack
    unreachable: np.ndarray
    notes: list[str]


def collect_window(
    data: ProgrammeData,
    rules: dict[str, ContactRule],
    periods: Sequence[str] | None,
) -> Collected:
    """Link answers to invitations and count the eligible episodes of the window.

    ``data`` has invitations and a frame, ``rules`` one for every rule of the invitations.
    Invitations before the window still count in a rule's look-back.
    """
    episodes, waves, cells = split_invitations(data)
    notes: list[str] = []
    passed, unknown = _contact_rules(episodes, waves, rules, len(cells), notes)
    inside_e = in_window(episodes, periods)
    inside_w = in_window(waves, periods)
    episodes = episodes[inside_e].reset_index(drop=True)
    waves = waves[inside_w].reset_index(drop=True)
    counts = np.bincount(episodes["customer"], minlength=data.n_customers)
    covered = np.count_nonzero(np.bincount(waves["customer"]))
    if covered < data.n_customers:
        notes.append(
            f"{data.n_customers - covered:,} customers of the frame have no row among the "
            "relationship invitations: they are outside the relationship estimands"
        )
    return Collected(
        episodes=_asked(episodes, data, counts, _scores_by_episode(data.transactional, episodes)),
        waves=_asked(waves, data, counts, _scores_by_wave(data.relationship, waves)),
        cells=cells,
        look_back=passed.take(inside_w),
        unreachable=unknown[inside_w],
        notes=notes,
    )


def split_invitations(data: ProgrammeData) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    """Eligible episodes in order of customer and time (with their cell), waves, cell names."""
    asked = data.invitations
    if asked is None:
        raise ValueError("`invitations` must be given; got None.")
    kept = ["customer", "period", "time", "status", "rule", "probability"]
    rows = np.flatnonzero(asked["transactional"].to_numpy())
    order = np.lexsort((asked["time"].to_numpy()[rows], asked["customer"].to_numpy()[rows]))
    of_episodes = [*kept, "episode_id", "touchpoint", "contact_channel"]
    episodes = asked[of_episodes].iloc[rows[order]].reset_index(drop=True)
    code, cells = _cells(episodes.pop("touchpoint"), episodes.pop("contact_channel"))
    episodes["cell"] = code
    waves = asked.loc[~asked["transactional"].to_numpy(), kept].reset_index(drop=True)
    return episodes, waves, cells


def _cells(touchpoint: pd.Series, channel: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Code of each episode's cell, and the names of the cells that occur."""
    of = touchpoint.astype("str").fillna("any touchpoint")
    named = of.where(channel.isna(), of + " · " + channel.astype("str").fillna(""))
    code, cells = pd.factorize(named, sort=True)
    return code, list(cells)


def in_window(rows: pd.DataFrame, periods: Sequence[str] | None) -> np.ndarray:
    """Which rows of the invitations are in the window."""
    if periods is None:
        return np.ones(len(rows), dtype=bool)
    return rows["period"].isin(list(periods)).to_numpy()


def check_periods(data: ProgrammeData, periods: Sequence[str] | None) -> None:
    """Refuse periods that no file has.

    A period with answers to one survey only, or with invitations only, is one in which
    nobody answered: no mistake.
    """
    if periods is None:
        return
    columns = [data.transactional.period, data.relationship.period]
    for survey, column in zip(("transactional", "relationship"), columns, strict=True):
        if len(column) and column.isna().all():
            raise ValueError(
                f"`periods` must be left out: the {survey} answers have no period. Give them one, "
                "or compare everything."
            )
    columns += [] if data.invitations is None else [data.invitations["period"]]
    there = sorted({str(period) for column in columns for period in column.dropna().unique()})
    stray = [period for period in periods if period not in there]
    if stray:
        known = f"periods of the answers, {one_of(there)}" if there else "left out: there are none"
        raise ValueError(f"`periods` must be {known}; got {got(stray)}.")


def in_periods(data: ProgrammeData, periods: Sequence[str] | None) -> ProgrammeData:
    """The programme with the answers of the window; its invitations stay, for look-backs."""
    check_periods(data, periods)
    if periods is None:
        return data
    t, r = (one.take(one.period.isin(list(periods)).to_numpy()) for one in data.sides.values())
    return replace(data, transactional=t, relationship=r)


def _contact_rules(
    episodes: pd.DataFrame,
    waves: pd.DataFrame,
    rules: dict[str, ContactRule],
    n_cells: int,
    notes: list[str],
) -> tuple[LookBack, np.ndarray]:
    """What the chance of a wave is made of, and which waves no rule we know can release."""
    suppressed = waves["status"].to_numpy() == SUPPRESSED
    unknown = np.zeros(len(waves), dtype=bool)
    for name in waves.loc[suppressed, "rule"].unique():
        if rules[name].days is None:
            unknown |= suppressed & (waves["rule"] == name).to_numpy()
            notes.append(
                f"how the rule '{name}' works was not declared: the customers that it stops are "
                "outside what can be identified"
            )
    dated = _dated_rule(waves, rules)
    if dated is None:
        return LookBack.open_to_all(len(waves)), unknown
    passed = look_back(episodes, waves, dated, rules, n_cells)
    _check_rule_followed(episodes, waves, dated, notes)
    chance = passed.chance(sampling_shares(episodes, n_cells)[:, None])[:, 0]
    return passed, unknown | (chance <= 0)


def _dated_rule(waves: pd.DataFrame, rules: dict[str, ContactRule]) -> ContactRule | None:
    named = waves.loc[waves["status"] == SUPPRESSED, "rule"].unique()
    dated = [rules[name] for name in named if rules[name].days is not None]
    if len(dated) > 1:
        raise ValueError(
            "`contact_rules` must give the days of one rule for the relationship survey; got "
            f"{got([rule.name for rule in dated])}. Give the other None, and its customers are "
            "set outside."
        )
    return dated[0] if dated else None


def sampling_shares(episodes: pd.DataFrame, n_cells: int) -> np.ndarray:
    """Share drawn among the episodes of each cell that no rule stopped."""
    free = episodes["status"].to_numpy() != SUPPRESSED
    drawn = episodes["status"].to_numpy() >= INVITED
    cell = episodes["cell"].to_numpy()
    among = np.bincount(cell, free, minlength=n_cells)
    return np.bincount(cell, drawn, minlength=n_cells) / np.where(among > 0, among, 1.0)


def _check_rule_followed(
    episodes: pd.DataFrame, waves: pd.DataFrame, rule: ContactRule, notes: list[str]
) -> None:
    since = waves["time"].to_numpy() - last_invitation(episodes, waves)
    status = waves["status"].to_numpy()
    broken = (status != SUPPRESSED) & (since < float(rule.days or 0) - ROUNDING_DAYS)
    if broken.any() and rule.exempt == 0:
        raise ValueError(
            f"Rule '{rule.name}' must hold for everyone if `exempt` is 0; {int(broken.sum()):,} "
            f"customers who had a transactional invitation within {rule.days:g} days were not "
            "suppressed. Declare (days, exempt share), or correct the days."
        )
    stopped = (status == SUPPRESSED) & (waves["rule"].to_numpy() == rule.name)
    lost = stopped & (since > float(rule.days or 0) + ROUNDING_DAYS)
    words = (
        f"{int(lost.sum()):,} rows suppressed by '{rule.name}' have no transactional invitation "
        f"within {rule.days:g} days"
    )
    if lost.sum() > UNEXPLAINED_SHARE * stopped.sum():
        raise ValueError(
            f"`contact_rules` must explain the suppressed rows; {words}. Correct the days, give "
            "the earlier invitations too, or give the rule None."
        )
    if lost.any():
        notes.append(words)


def _scores_by_episode(answers: Answers, episodes: pd.DataFrame) -> np.ndarray:
    return _linked(
        answers, match_ids(answers.episode, episodes["episode_id"]), episodes, "transactional"
    )


def _scores_by_wave(answers: Answers, waves: pd.DataFrame) -> np.ndarray:
    """Relationship answers belong to the customer's wave of the same period."""
    given, asked = (
        pd.MultiIndex.from_arrays([who, period.astype("str").fillna("")])
        for who, period in (
            (answers.customer, answers.period),
            (waves["customer"], waves["period"]),
        )
    )
    return _linked(answers, asked.get_indexer(given), waves, "relationship")


def _linked(answers: Answers, at: np.ndarray, rows: pd.DataFrame, survey: str) -> np.ndarray:
    """Score of each invitation row; −1 where there is no valid answer."""
    status = rows["status"].to_numpy()
    lost = at < 0 if not len(rows) else (at < 0) | (status[at] != ANSWERED)
    if lost.any():
        shown = [answers.response.iloc[row] for row in np.flatnonzero(lost)]
        raise ValueError(
            f"Every {survey} answer must have an invitation with status 'answered'; got "
            f"response {got(shown)} without one. Read answers and invitations of the same periods."
        )
    twice = np.flatnonzero(pd.Series(at).duplicated().to_numpy())
    if len(twice):
        shown = [answers.response.iloc[row] for row in twice]
        raise ValueError(
            f"Every {survey} invitation must have one answer; got two for response {got(shown)}. "
            "Remove one, or give each wave a period of its own."
        )
    score = np.full(len(rows), -1, dtype=np.int64)
    valid = answers.valid
    score[at[valid]] = answers.score[valid].astype(int)
    return score


def _asked(rows: pd.DataFrame, data: ProgrammeData, counts: np.ndarray, score: np.ndarray) -> Asked:
    customer = rows["customer"].to_numpy()
    status = rows["status"].to_numpy()
    return Asked(
        customer=customer,
        cell=rows["cell"].to_numpy() if "cell" in rows else np.zeros(len(rows), dtype=np.int64),
        episodes=counts[customer],
        chance_sampled=rows["probability"].to_numpy(dtype=float),
        free=status != SUPPRESSED,
        invited=status >= INVITED,
        delivered=(status >= INVITED) & (status != BOUNCED),
        answered=score >= 0,
        score=score,
    )
