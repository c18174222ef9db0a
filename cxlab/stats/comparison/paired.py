"""The same customers in both surveys: pairs, contrast, rules for several answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cxlab.core.messages import unknown
from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.margins import Contrast, category, contrast

#: How several transactional answers before one relationship answer become one.
RULES = ("last before", "every answer", "mean", "half-life", "peak–end")
#: Rules that leave whole scores, so that there is a 3 × 3 table and a net score.
SCORE_RULES = ("last before", "every answer")
WINDOWS = (7, 30, 90, 180)
#: Sums of scores that differ by less are the same but for rounding.
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Pairs:
    """Every transactional answer with every relationship answer that came after it.

    Attributes
    ----------
    relationship, transactional : ndarray of int, shape (pairs,)
        Positions of the answers, in order of relationship answer, then time.
    age : ndarray of float
        Days from the transactional answer to the relationship answer.
    t_score, r_score : ndarray of float
    unit : ndarray of int
        Customer, or account.
    customer : ndarray of int
    """

    relationship: np.ndarray
    transactional: np.ndarray
    age: np.ndarray
    t_score: np.ndarray
    r_score: np.ndarray
    unit: np.ndarray
    customer: np.ndarray

    def __len__(self) -> int:
        return len(self.age)

    def within(self, days: float) -> Pairs:
        """Pairs at most so many days apart."""
        keep = self.age <= days
        return Pairs(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})


def pair_answers(t: Answers, r: Answers, unit: np.ndarray, *, longest: float) -> Pairs:
    """Pair valid answers of the same customer, transactional strictly before relationship.

    Parameters
    ----------
    t, r : Answers
    unit : ndarray of int, shape (customers,)
    longest : float
        Days apart at most.
    """
    t_rows = np.flatnonzero(t.valid & ~np.isnan(t.responded))
    t_rows = t_rows[np.lexsort((t.responded[t_rows], t.customer[t_rows]))]
    r_rows = np.flatnonzero(r.valid & ~np.isnan(r.responded))
    low = min(t.responded[t_rows].min(initial=np.inf), r.responded[r_rows].min(initial=np.inf))
    high = max(t.responded[t_rows].max(initial=-np.inf), r.responded[r_rows].max(initial=-np.inf))
    span = (high - low if len(t_rows) and len(r_rows) else 0.0) + 2 * longest + 10.0
    low = low if np.isfinite(low) else 0.0
    keys = t.customer[t_rows] * span + (t.responded[t_rows] - low + longest + 1)
    at = r.customer[r_rows] * span + (r.responded[r_rows] - low + longest + 1)
    start, end = np.searchsorted(keys, at - longest, "left"), np.searchsorted(keys, at, "left")
    counts = np.maximum(end - start, 0)
    which = np.repeat(np.arange(len(r_rows)), counts)
    offset = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    tt, rr = t_rows[start[which] + offset], r_rows[which]
    customer = r.customer[rr]
    return Pairs(
        relationship=rr,
        transactional=tt,
        age=r.responded[rr] - t.responded[tt],
        t_score=t.score[tt],
        r_score=r.score[rr],
        unit=unit[customer],
        customer=customer,
    )


@dataclass(frozen=True, eq=False)
class OnePerAnswer:
    """One transactional value against each relationship answer."""

    t_value: np.ndarray
    r_score: np.ndarray
    unit: np.ndarray
    customer: np.ndarray


def apply_rule(pairs: Pairs, rule: str, *, half_life: float) -> OnePerAnswer:
    """Reduce the pairs of each relationship answer to one by a rule set beforehand.

    Raises
    ------
    ValueError
        For a rule that isn't one of `RULES`.
    """
    if rule not in RULES:
        raise ValueError(unknown("pairing", rule, RULES))
    if rule == "every answer" or not len(pairs):
        return OnePerAnswer(pairs.t_score, pairs.r_score, pairs.unit, pairs.customer)
    group, first = _groups(pairs.relationship)
    values = _REDUCE[rule](pairs, group, half_life)
    return OnePerAnswer(values, pairs.r_score[first], pairs.unit[first], pairs.customer[first])


def _groups(relationship: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each pair's relationship answer, and the first pair of each."""
    new = np.r_[True, relationship[1:] != relationship[:-1]]
    return np.cumsum(new) - 1, np.flatnonzero(new)


def _last(pairs: Pairs, group: np.ndarray, _: float) -> np.ndarray:
    ends = np.r_[np.flatnonzero(np.diff(group)), len(group) - 1]
    return pairs.t_score[ends]


def _mean(pairs: Pairs, group: np.ndarray, _: float) -> np.ndarray:
    return np.bincount(group, pairs.t_score) / np.bincount(group)


def _half_life(pairs: Pairs, group: np.ndarray, half_life: float) -> np.ndarray:
    # ages counted from the youngest: the same weights up to a factor, and no underflow to 0/0
    youngest = np.full(group.max() + 1, np.inf)
    np.minimum.at(youngest, group, pairs.age)
    weight = 2.0 ** (-(pairs.age - youngest[group]) / half_life)
    return np.bincount(group, weight * pairs.t_score) / np.bincount(group, weight)


def _peak_end(pairs: Pairs, group: np.ndarray, _: float) -> np.ndarray:
    """Mean of the last score and the one furthest from the customer's mean (ties: the lower)."""
    mean = np.bincount(group, pairs.t_score) / np.bincount(group)
    distance = np.abs(pairs.t_score - mean[group])
    order = np.lexsort((pairs.t_score, -np.round(distance, 9), group))
    peak = pairs.t_score[order[np.r_[True, np.diff(group[order]) > 0]]]
    return (peak + _last(pairs, group, 0.0)) / 2


_REDUCE: dict[str, Callable[[Pairs, np.ndarray, float], np.ndarray]] = {
    "last before": _last,
    "mean": _mean,
    "half-life": _half_life,
    "peak–end": _peak_end,
}


def half_life_mean(scores: np.ndarray, age_days: np.ndarray, half_life: float) -> float:
    """Mean with weights 2^(−age/half-life).

    Examples
    --------
    >>> round(half_life_mean(np.array([10, 0]), np.array([0, 30]), 30), 4)
    6.6667
    """
    weight = 2.0 ** (-np.asarray(age_days, dtype=float) / half_life)
    return float((weight * np.asarray(scores, dtype=float)).sum() / weight.sum())


def net_contrast(pairs: OnePerAnswer) -> Contrast:
    """Difference of net scores of paired answers, in points."""
    difference = 100.0 * (category(pairs.t_value) - category(pairs.r_score)).astype(float)
    return contrast(difference, pairs.unit)


def customers_apart(one: OnePerAnswer, other: OnePerAnswer) -> int:
    """Customers whose pairs differ between two sets of pairs."""
    size = int(max(one.customer.max(initial=-1), other.customer.max(initial=-1))) + 1
    facts = [
        np.array([np.bincount(p.customer, w, minlength=size) for w in (None, p.t_value, p.r_score)])
        for p in (one, other)
    ]
    return int((np.abs(facts[0] - facts[1]) > SAME).any(0).sum())
