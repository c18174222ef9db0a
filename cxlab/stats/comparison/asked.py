"""Who could be asked, who was, who answered: eligible episodes and customer-waves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.core.messages import got
from cxlab.stats.comparison.contract import (
    ANSWERED,
    BOUNCED,
    INVITED,
    SUPPRESSED,
    ContactRule,
    labelled,
    match_ids,
)
from cxlab.stats.comparison.programme import CustomerTimes, ProgrammeData

#: More suppressed rows than this, without an invitation that would explain them, and the
#: declared rule is not the one that was followed.
UNEXPLAINED_SHARE = 0.01
#: The longest rounding of times in a file of whole minutes.
ROUNDING_DAYS = 1.5 / (24 * 60)


@dataclass(frozen=True, eq=False)
class Collected:
    """What the decomposition needs of the invitations in the window.

    ``rows`` are the invitations to each survey, transactional first: episodes, and customer-waves.
    Beside columns of the file they have ``cell`` (of an episode touchpoint × contact channel, 0
    of waves); ``episodes``, how many the row's customer had in the window; whether no contact
    rule stopped it (``free``), it had a chance of passing (``reachable``), was ``invited,
    delivered, answered`` with a valid score; that ``score``, −1 without. ``probability`` is NaN
    where it is to be estimated.
    """

    rows: dict[str, pd.DataFrame]
    n_cells: int
    look_back: LookBack
    notes: list[str]


def collect_window(
    data: ProgrammeData, rules: Mapping[str, ContactRule], periods: Sequence[str] | None
) -> Collected:
    """Link answers to invitations and count the eligible episodes of the window.

    ``rules`` hold one for every rule of the invitations. Invitations before the window still
    count in a rule's look-back.
    """
    episodes, waves, n_cells = _split(data)
    notes: list[str] = []
    passed, reachable = _contact_rules(episodes, waves, rules, n_cells, notes)
    inside = _in_window(waves, periods)
    episodes = episodes[_in_window(episodes, periods)].reset_index(drop=True)
    waves = waves.assign(reachable=reachable)[inside].reset_index(drop=True)
    counts = np.bincount(episodes["customer"], minlength=data.n_customers)
    if outside := data.n_customers - waves["customer"].nunique():
        notes.append(
            f"{outside:,} customers of the frame have no row among the "
            "relationship invitations: they are outside the relationship estimands"
        )
    t, r = data.surveys.values()
    at = match_ids(t["episode_id"], episodes["episode_id"])
    scores_t = _linked(t, at, episodes, "transactional")
    rows = {
        "transactional": _described(episodes.assign(reachable=True), counts, scores_t),
        "relationship": _described(waves, counts, _scores_by_wave(r, waves)),
    }
    return Collected(rows, n_cells, passed.take(inside), notes)


def _split(data: ProgrammeData) -> tuple[pd.DataFrame, pd.DataFrame, int]:
    """Eligible episodes in order of customer and time (with their cell), waves, how many cells."""
    asked = data.invitations
    if asked is None:
        raise ValueError("`invitations` must be given; got None.")
    of_episodes = asked["transactional"].to_numpy()
    episodes = asked[of_episodes].sort_values(["customer", "time"], kind="stable")
    waves = asked[~of_episodes].drop(columns=["episode_id", "touchpoint", "contact_channel"])
    of = episodes["touchpoint"].astype("str").fillna("any touchpoint")
    channel = episodes["contact_channel"]
    named = of.where(channel.isna(), of + " · " + channel.astype("str").fillna(""))
    code, cells = pd.factorize(named, sort=True)
    return (
        episodes.assign(cell=code).reset_index(drop=True),
        waves.assign(cell=0).reset_index(drop=True),
        len(cells),
    )


def _in_window(rows: pd.DataFrame, periods: Sequence[str] | None) -> np.ndarray:
    if periods is None:
        return np.ones(len(rows), dtype=bool)
    return rows["period"].isin(list(periods)).to_numpy()


def _contact_rules(
    episodes: pd.DataFrame,
    waves: pd.DataFrame,
    rules: Mapping[str, ContactRule],
    n_cells: int,
    notes: list[str],
) -> tuple[LookBack, np.ndarray]:
    """What the chance of a wave is made of, and which waves a rule we know can release."""
    suppressed = waves["status"].to_numpy() == SUPPRESSED
    named = [rules[name] for name in waves.loc[suppressed, "rule"].unique()]
    reachable = np.ones(len(waves), dtype=bool)
    for rule in [rule for rule in named if rule.days is None]:
        reachable &= ~(suppressed & (waves["rule"] == rule.name).to_numpy())
        notes.append(
            f"how the rule '{rule.name}' works was not declared: the customers that it stops are "
            "outside what can be identified"
        )
    dated = [rule for rule in named if rule.days is not None]
    if len(dated) > 1:
        raise ValueError(
            "`contact_rules` must give the days of one rule for the relationship survey; got "
            f"{got([rule.name for rule in dated])}. Give the other None, and its customers are "
            "set outside."
        )
    if not dated:
        return open_to_all(len(waves), n_cells), reachable
    passed = look_back(episodes, waves, dated[0], rules, n_cells)
    _check_rule_followed(episodes, waves, dated[0], notes)
    chance = passed.chance(_sampling_shares(episodes, n_cells)[:, None])[:, 0]
    return passed, reachable & (chance > 0)


def _sampling_shares(episodes: pd.DataFrame, n_cells: int) -> np.ndarray:
    """Share drawn among the episodes of each cell that no rule stopped."""
    status, cell = episodes["status"].to_numpy(), episodes["cell"].to_numpy()
    among = np.bincount(cell, status != SUPPRESSED, minlength=n_cells)
    return np.bincount(cell, status >= INVITED, minlength=n_cells) / np.where(among > 0, among, 1.0)


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


def _scores_by_wave(answers: pd.DataFrame, waves: pd.DataFrame) -> np.ndarray:
    """Relationship answers belong to the customer's wave of the same period."""
    given, asked = (
        pd.MultiIndex.from_arrays([one["customer"], one["period"].astype("str").fillna("")])
        for one in (answers, waves)
    )
    return _linked(answers, asked.get_indexer(given), waves, "relationship")


def _linked(answers: pd.DataFrame, at: np.ndarray, rows: pd.DataFrame, survey: str) -> np.ndarray:
    """Score of each invitation row; −1 where there is no valid answer."""
    status = rows["status"].to_numpy()
    lost = at < 0 if not len(rows) else (at < 0) | (status[at] != ANSWERED)
    if lost.any():
        raise ValueError(
            f"Every {survey} answer must have an invitation with status 'answered'; got response "
            f"{got(answers['response_id'][lost].tolist())} without one. Read answers and invitations of "
            "the same periods."
        )
    twice = pd.Series(at).duplicated().to_numpy()
    if twice.any():
        raise ValueError(
            f"Every {survey} invitation must have one answer; got two for response "
            f"{got(answers['response_id'][twice].tolist())}. Remove one, or give each wave a period of "
            "its own."
        )
    score = np.full(len(rows), -1, dtype=np.int64)
    valid = answers["score"].notna().to_numpy()
    score[at[valid]] = answers["score"].to_numpy()[valid]
    return score


def _described(rows: pd.DataFrame, counts: np.ndarray, score: np.ndarray) -> pd.DataFrame:
    """Invitations as `Collected.rows` describes them; ``counts`` are each customer's episodes."""
    status = rows["status"]
    return rows.assign(
        episodes=counts[rows["customer"]],
        free=status != SUPPRESSED,
        invited=status >= INVITED,
        delivered=(status >= INVITED) & (status != BOUNCED),
        answered=score >= 0,
        score=score,
    )


def last_invitation(episodes: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Time of the last transactional invitation before each row's time; −inf without one.

    ``episodes`` is in order of customer and time.
    """
    sent = episodes[episodes["status"] >= INVITED]
    if sent.empty:
        return np.full(len(rows), -np.inf)
    customer, time = sent["customer"].to_numpy(), sent["time"].to_numpy()
    key = CustomerTimes(time, rows["time"].to_numpy())
    at = np.searchsorted(key(customer, time), key(rows["customer"], rows["time"])) - 1
    found = np.maximum(at, 0)
    same = (at >= 0) & (customer[found] == rows["customer"].to_numpy())
    return np.where(same, time[found], -np.inf)


@dataclass(frozen=True, eq=False)
class LookBack:
    """What a wave's chance of passing its contact rule is made of.

    ``exempt`` is the share that the rule passes over at random. Of the episodes at risk:
    ``fixed``, (waves,), is Σ log(1 − q) over those whose q was designed, ``certain`` whether one
    was certain to be drawn, ``counts``, (waves, cells), those whose q is the cell's share.
    """

    exempt: float
    fixed: np.ndarray
    certain: np.ndarray
    counts: sparse.csr_array

    def take(self, rows: np.ndarray) -> LookBack:
        """The waves at these positions or under this mask."""
        return LookBack(self.exempt, self.fixed[rows], self.certain[rows], self.counts[rows])

    def chance(self, shares: np.ndarray) -> np.ndarray:
        """E + (1 − e)·Π(1 − q): shape (waves, replicates) from shares (cells, replicates)."""
        sure = shares >= 1
        logs = np.log1p(-np.where(sure, 0.0, shares))
        stopped = self.certain[:, None] | (self.counts @ sure.astype(float) > 0)
        product = np.where(stopped, 0.0, np.exp(self.fixed[:, None] + self.counts @ logs))
        return self.exempt + (1 - self.exempt) * product


def open_to_all(waves: int, n_cells: int) -> LookBack:
    """No rule: everybody passes."""
    none = sparse.csr_array((waves, max(n_cells, 1)))
    return LookBack(0.0, np.zeros(waves), np.zeros(waves, dtype=bool), none)


def look_back(
    episodes: pd.DataFrame,
    waves: pd.DataFrame,
    rule: ContactRule,
    rules: Mapping[str, ContactRule],
    n_cells: int,
) -> LookBack:
    """At-risk episodes in each wave's look-back.

    ``episodes`` are all eligible episodes in order of customer and time; ``rule`` is the
    relationship survey's, with its days and its random exemption e.

    The chance of passing is e + (1 − e)·Π(1 − q) over the episodes of the look-back that
    were at risk of an invitation if none before them in the look-back was drawn. An episode
    stopped by the transactional survey's own quarantine was not at risk when the invitation
    behind it lies before the look-back; it was when that invitation lies within (without it,
    nothing would have stopped the episode). The chance is thus conditional on the
    invitations before the look-back, and its inverse is a valid weight.
    """
    start, first, end = _positions(episodes, waves, float(rule.days or 0))
    stopped = episodes["status"].to_numpy() == SUPPRESSED
    dated = {name: one.days is not None for name, one in rules.items()}
    releasable = ~stopped | labelled(episodes["rule"], dated, False).astype(bool)
    q = episodes["probability"].to_numpy(dtype=float)

    def total(values: np.ndarray) -> np.ndarray:
        """Sum over the at-risk episodes of each wave's look-back."""
        before = np.r_[0.0, np.cumsum(np.where(~stopped, values, 0.0))]
        after = np.r_[0.0, np.cumsum(np.where(releasable, values, 0.0))]
        return before[first] - before[start] + after[end] - after[first]

    cell, designed = episodes["cell"].to_numpy(), ~np.isnan(q)
    known = np.where(designed & (q < 1), q, 0.0)
    counts = [total((~designed & (cell == c)).astype(float)) for c in range(max(n_cells, 1))]
    return LookBack(
        exempt=rule.exempt,
        fixed=total(np.log1p(-known)),
        certain=total((designed & (q >= 1)).astype(float)) > 0,
        counts=sparse.csr_array(np.column_stack(counts)),
    )


def _positions(
    episodes: pd.DataFrame, waves: pd.DataFrame, days: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First episode of each look-back, the first invited one in it, and one past the last."""
    customer, time = episodes["customer"].to_numpy(), episodes["time"].to_numpy()
    who, when = waves["customer"].to_numpy(), waves["time"].to_numpy()
    key = CustomerTimes(time, when)
    keys = key(customer, time)
    end = np.searchsorted(keys, key(who, when), side="left")
    start = np.minimum(np.searchsorted(keys, key(who, when - days), side="right"), end)
    # position of the first invitation at or after each episode, one more than there are
    sent = np.where(episodes["status"].to_numpy() >= INVITED, np.arange(len(keys)), len(keys))
    first = np.r_[np.minimum.accumulate(sent[::-1])[::-1], len(keys)][start]
    return start, np.minimum(first, end), end
