"""Contact rules: what they are, and the chance that one lets a customer through."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.messages import got, nearest, one_of
from cxlab.stats.comparison.contract import INVITED, SUPPRESSED, labelled


@dataclass(frozen=True)
class ContactRule:
    """A contact rule: no invitation within some days after a transactional invitation.

    Parameters
    ----------
    name : str
        As it stands in the ``rule`` column of the invitations.
    days : float or None
        Days after a transactional invitation. None: how the rule works is not known, so
        nothing can be corrected for it.
    exempt : float
        Share of customers, 0 to below 1, whom the rule passes over at random.
    """

    name: str
    days: float | None = None
    exempt: float = 0.0

    def __post_init__(self) -> None:
        if self.days is not None and not 0 <= float(self.days) < float("inf"):
            raise ValueError(f"`days` of rule '{self.name}' must be 0 or more; got {self.days}.")
        if not 0 <= self.exempt < 1:
            raise ValueError(
                f"`exempt` of rule '{self.name}' must be from 0 to below 1; got {self.exempt}."
            )

    def __str__(self) -> str:
        if self.days is None:
            return f"{self.name}: how it works is not known"
        unit = "day" if self.days == 1 else "days"
        return f"{self.name}: {self.days:g} {unit}, {100 * self.exempt:.3g} % exempt"


Rules = Mapping[str, float | Sequence[float] | None] | None


def declared_rules(rules: Rules, found: Sequence[str]) -> dict[str, ContactRule]:
    """Declared rules by name, with an unknown rule for every name that was not declared.

    Parameters
    ----------
    rules : mapping, optional
        Name to days, to (days, exempt), or to None.
    found : sequence of str
        Names of the rules in the invitations.

    Raises
    ------
    ValueError
        For a rule that the invitations do not have.

    Examples
    --------
    >>> rules = declared_rules({"quarantine": (90, 0.1)}, ["quarantine", "opted out"])
    >>> rules["quarantine"].exempt, rules["opted out"].days
    (0.1, None)
    """
    declared = _declared(rules)
    stray = [name for name in declared if name not in found]
    if stray:
        near = nearest(stray[0], found)
        hint = f"Did you mean '{near}'?" if near else f"The invitations have {one_of(found)}."
        raise ValueError(
            f"`contact_rules` must be rules of the invitations; got {got(stray)}. {hint}"
        )
    return {name: declared.get(name, ContactRule(name)) for name in found}


def rules_in_words(rules: Rules) -> str:
    """Contact rules as a reader is told them; ``none`` without any.

    Examples
    --------
    >>> rules_in_words({"quarantine": (90, 0.1), "opted out": None})
    'quarantine: 90 days, 10 % exempt; opted out: how it works is not known'
    """
    return "; ".join(str(rule) for rule in _declared(rules).values()) or "none"


def _declared(rules: Rules) -> dict[str, ContactRule]:
    return {str(name): _rule(str(name), told) for name, told in (rules or {}).items()}


def _rule(name: str, told: float | Sequence[float] | None) -> ContactRule:
    if told is None or isinstance(told, int | float):
        return ContactRule(name, told)
    if isinstance(told, str) or len(told) != 2:
        raise TypeError(
            f"`contact_rules` must give days, (days, exempt share) or None; got {told} for "
            f"'{name}'. Write {{'{name}': 90}} or {{'{name}': (90, 0.1)}}."
        )
    return ContactRule(name, told[0], float(told[1]))


def last_invitation(episodes: pd.DataFrame, rows: pd.DataFrame) -> np.ndarray:
    """Time of the last transactional invitation before each row's time; −inf without one.

    ``episodes`` is in order of customer and time.
    """
    sent = episodes[episodes["status"] >= INVITED]
    if sent.empty:
        return np.full(len(rows), -np.inf)
    customer, time = sent["customer"].to_numpy(), sent["time"].to_numpy()
    key = _Key(time, rows["time"].to_numpy())
    at = np.searchsorted(key(customer, time), key(rows["customer"], rows["time"])) - 1
    found = np.maximum(at, 0)
    same = (at >= 0) & (customer[found] == rows["customer"].to_numpy())
    return np.where(same, time[found], -np.inf)


class _Key:
    """Customer and time as one sortable number."""

    def __init__(self, *times: np.ndarray) -> None:
        every = np.concatenate([np.asarray(t, dtype=float) for t in times])
        self.start = float(np.nanmin(every)) - 1.0 if len(every) else 0.0
        self.span = (float(np.nanmax(every)) if len(every) else 0.0) - self.start + 2.0

    def __call__(self, customer: np.ndarray, time: np.ndarray) -> np.ndarray:
        within = np.clip(np.asarray(time, dtype=float) - self.start, 0.0, self.span - 1.0)
        return np.asarray(customer, dtype=float) * self.span + within


@dataclass(frozen=True, eq=False)
class LookBack:
    """What a wave's chance of passing its contact rule is made of.

    Attributes
    ----------
    exempt : float
        Share that the rule passes over at random.
    fixed : ndarray of float, shape (waves,)
        Σ log(1 − q) over at-risk episodes whose q was designed.
    certain : ndarray of bool, shape (waves,)
        An at-risk episode was certain to be drawn.
    counts : ndarray of float, shape (waves, cells), or None
        At-risk episodes per cell whose q is the cell's estimated share; None: there are none.
    """

    exempt: float
    fixed: np.ndarray
    certain: np.ndarray
    counts: np.ndarray | None

    @classmethod
    def open_to_all(cls, waves: int) -> LookBack:
        """No rule: everybody passes."""
        return cls(0.0, np.zeros(waves), np.zeros(waves, dtype=bool), None)

    def take(self, rows: np.ndarray) -> LookBack:
        """The waves at these positions or under this mask."""
        counts = None if self.counts is None else self.counts[rows]
        return LookBack(self.exempt, self.fixed[rows], self.certain[rows], counts)

    def chance(self, shares: np.ndarray) -> np.ndarray:
        """E + (1 − e)·Π(1 − q): shape (waves, replicates) from shares (cells, replicates)."""
        if self.counts is None:
            free = np.where(self.certain, 0.0, np.exp(self.fixed))
            product = np.repeat(free[:, None], shares.shape[1], axis=1)
        else:
            sure = shares >= 1
            logs = np.log1p(-np.where(sure, 0.0, shares))
            stopped = self.certain[:, None] | (self.counts @ sure.astype(float) > 0)
            product = np.where(stopped, 0.0, np.exp(self.fixed[:, None] + self.counts @ logs))
        return self.exempt + (1 - self.exempt) * product


def look_back(
    episodes: pd.DataFrame,
    waves: pd.DataFrame,
    rule: ContactRule,
    rules: dict[str, ContactRule],
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
    if not len(episodes):
        return LookBack.open_to_all(len(waves))
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
    estimated = [] if designed.all() else range(n_cells)
    counts = [total((~designed & (cell == c)).astype(float)) for c in estimated]
    return LookBack(
        exempt=rule.exempt,
        fixed=total(np.log1p(-known)),
        certain=total((designed & (q >= 1)).astype(float)) > 0,
        counts=np.column_stack(counts) if counts else None,
    )


def _positions(
    episodes: pd.DataFrame, waves: pd.DataFrame, days: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First episode of each look-back, the first invited one in it, and one past the last."""
    customer, time = episodes["customer"].to_numpy(), episodes["time"].to_numpy()
    who, when = waves["customer"].to_numpy(), waves["time"].to_numpy()
    key = _Key(time, when)
    keys = key(customer, time)
    end = np.searchsorted(keys, key(who, when), side="left")
    start = np.minimum(np.searchsorted(keys, key(who, when - days), side="right"), end)
    first = _next_true(episodes["status"].to_numpy() >= INVITED)[start]
    return start, np.minimum(first, end), end


def _next_true(flags: np.ndarray) -> np.ndarray:
    """Position of the first True at or after each position (one more than there are)."""
    where = np.where(flags, np.arange(len(flags)), len(flags))
    return np.r_[np.minimum.accumulate(where[::-1])[::-1], len(flags)]
