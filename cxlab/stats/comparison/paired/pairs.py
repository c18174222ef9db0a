"""The same customers in both surveys: pairs, rules for several answers, tables of the contrast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.frames import check_choice
from cxlab.stats.comparison.identity import customers_of
from cxlab.stats.comparison.paired.margins import (
    CATEGORIES,
    Contrast,
    category,
    contrast,
    design_based_margins,
    marginal_homogeneity,
)
from cxlab.stats.comparison.programme import Answers

#: How several transactional answers before one relationship answer become one.
RULES = ("last before", "every answer", "mean", "half-life", "peak–end")
#: Rules that leave whole scores, so that there is a 3 × 3 table and a net score.
SCORE_RULES = ("last before", "every answer")
WINDOWS = (7, 30, 90, 180)
#: Days after which an answer counts half as much under the rule "half-life".
HALF_LIFE = 30.0
NO_PAIRS = "no customer answered both surveys in the window"
SAME_DIFFERENCE = "every pair has the same difference: no interval"
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
    customer : ndarray of int
    """

    relationship: np.ndarray
    transactional: np.ndarray
    age: np.ndarray
    t_score: np.ndarray
    r_score: np.ndarray
    customer: np.ndarray

    def __len__(self) -> int:
        return len(self.age)

    def within(self, days: float) -> Pairs:
        """Pairs at most so many days apart."""
        keep = self.age <= days
        return Pairs(**{name: getattr(self, name)[keep] for name in self.__dataclass_fields__})


def pair_answers(t: Answers, r: Answers, *, longest: float) -> Pairs:
    """Pair valid answers of a customer, transactional before relationship by ``longest`` days."""
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
    return Pairs(
        relationship=rr,
        transactional=tt,
        age=r.responded[rr] - t.responded[tt],
        t_score=t.score[tt],
        r_score=r.score[rr],
        customer=r.customer[rr],
    )


@dataclass(frozen=True, eq=False)
class OnePerAnswer:
    """One transactional value against each relationship answer."""

    t_value: np.ndarray
    r_score: np.ndarray
    customer: np.ndarray


def apply_rule(pairs: Pairs, rule: str) -> OnePerAnswer:
    """Reduce the pairs of each relationship answer to one by a rule set beforehand."""
    check_choice("pairing", rule, RULES)
    if rule == "every answer" or not len(pairs):
        return OnePerAnswer(pairs.t_score, pairs.r_score, pairs.customer)
    group, first = _groups(pairs.relationship)
    return OnePerAnswer(_REDUCE[rule](pairs, group), pairs.r_score[first], pairs.customer[first])


def _groups(relationship: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Number of each pair's relationship answer, and the first pair of each."""
    new = np.r_[True, relationship[1:] != relationship[:-1]]
    return np.cumsum(new) - 1, np.flatnonzero(new)


def _last(pairs: Pairs, group: np.ndarray) -> np.ndarray:
    ends = np.r_[np.flatnonzero(np.diff(group)), len(group) - 1]
    return pairs.t_score[ends]


def _mean(pairs: Pairs, group: np.ndarray) -> np.ndarray:
    return np.bincount(group, pairs.t_score) / np.bincount(group)


def _half_life(pairs: Pairs, group: np.ndarray) -> np.ndarray:
    # ages counted from the youngest: the same weights up to a factor, and no underflow to 0/0
    youngest = np.full(group.max() + 1, np.inf)
    np.minimum.at(youngest, group, pairs.age)
    weight = 2.0 ** (-(pairs.age - youngest[group]) / HALF_LIFE)
    return np.bincount(group, weight * pairs.t_score) / np.bincount(group, weight)


def _peak_end(pairs: Pairs, group: np.ndarray) -> np.ndarray:
    """Mean of the last score and the one furthest from the customer's mean (ties: the lower)."""
    mean = np.bincount(group, pairs.t_score) / np.bincount(group)
    distance = np.abs(pairs.t_score - mean[group])
    order = np.lexsort((pairs.t_score, -np.round(distance, 9), group))
    peak = pairs.t_score[order[np.r_[True, np.diff(group[order]) > 0]]]
    return (peak + _last(pairs, group)) / 2


_REDUCE: dict[str, Callable[[Pairs, np.ndarray], np.ndarray]] = {
    "last before": _last,
    "mean": _mean,
    "half-life": _half_life,
    "peak–end": _peak_end,
}


def net_contrast(pairs: OnePerAnswer) -> Contrast:
    """Difference of net scores of paired answers, in points."""
    difference = 100.0 * (category(pairs.t_value) - category(pairs.r_score)).astype(float)
    return contrast(difference, pairs.customer)


def customers_that_differ(one: OnePerAnswer, other: OnePerAnswer) -> int:
    """Customers whose pairs differ between two sets of pairs."""
    size = int(max(one.customer.max(initial=-1), other.customer.max(initial=-1))) + 1
    facts = [
        np.array([np.bincount(p.customer, w, minlength=size) for w in (None, p.t_value, p.r_score)])
        for p in (one, other)
    ]
    return int((np.abs(facts[0] - facts[1]) > SAME).any(0).sum())


def paired_table(pairs: OnePerAnswer, *, level: float) -> pd.DataFrame:
    """Same-customer contrast tNPS − rNPS: ``method`` wald and score.

    Returns
    -------
    DataFrame
        ``method, n, customers, estimate, se, ci_low, ci_high, statistic, p_value, note``,
        in points.
    """
    found = net_contrast(pairs)
    note = _pair_note(found)
    rows = [{"method": m, **found.row(m, level), "note": note} for m in ("wald", "score")]
    return pd.DataFrame(rows)


def _pair_note(found: Contrast) -> str:
    if found.n == 0:
        return NO_PAIRS
    if found.clusters < 2:
        return "one customer only: no interval"
    if not found.se > 0:
        return SAME_DIFFERENCE
    if found.test_df < found.df:
        return f"few pairs differ at all: t on {found.test_df:.1f} df"
    if np.isfinite(found.df):
        return f"{found.n:,} pairs of {found.clusters:,} clusters; t on {found.df:.0f} df"
    return "one pair a customer"


def pair_variance(pairs: OnePerAnswer) -> float:
    """Variance of one pair's difference of net scores, in points²; NaN without a pair."""
    if not len(pairs.customer):
        return np.nan
    return float(np.var(100.0 * (category(pairs.t_value) - category(pairs.r_score))))


def migration_table(pairs: OnePerAnswer) -> pd.DataFrame:
    """Where customers move between the two surveys.

    Returns
    -------
    DataFrame
        ``transactional, relationship`` (categories), ``n, customers, share`` of all pairs and
        ``share_of_row``: nine rows, rows of the matrix in order.
    """
    counts = migration_counts(pairs)
    total, rows = counts.sum(), np.repeat(counts.sum(1), 3)
    n = counts.ravel()
    return pd.DataFrame(
        {
            "transactional": np.repeat(CATEGORIES, 3),
            "relationship": np.tile(CATEGORIES, 3),
            "n": n.astype(int),
            "customers": customers_of(_label(pairs), pairs.customer, 9),
            "share": n / total if total else np.nan,
            "share_of_row": n / np.where(rows > 0, rows, np.nan),
        }
    )


def categories_table(pairs: OnePerAnswer) -> pd.DataFrame:
    """The two margins of the migration: how the same customers answered each survey.

    Returns
    -------
    DataFrame
        ``survey, group`` (category), ``n, customers, share``: six rows.
    """
    rows = []
    sides = (("transactional", pairs.t_value), ("relationship", pairs.r_score))
    for survey, score in sides:
        code = category(score)
        counts = np.bincount(code, minlength=3)
        customers = customers_of(code, pairs.customer, 3)
        rows += [
            (survey, name, int(counts[k]), int(customers[k]), counts[k] / max(len(code), 1))
            for k, name in enumerate(CATEGORIES)
        ]
    table = pd.DataFrame(rows, columns=["survey", "group", "n", "customers", "share"])
    return table if len(pairs.customer) else table.assign(share=np.nan)


def migration_counts(pairs: OnePerAnswer) -> np.ndarray:
    """3 × 3 counts: rows the transactional category, columns the relationship category."""
    return np.bincount(_label(pairs), minlength=9).reshape(3, 3).astype(float)


def _label(pairs: OnePerAnswer) -> np.ndarray:
    """Cell of the migration, 0 to 8, of each pair."""
    return 3 * category(pairs.t_value) + category(pairs.r_score)


def margin_tests(pairs: OnePerAnswer) -> pd.DataFrame:
    """Tests of equal category shares: of the table, or design-based where pairs cluster."""
    columns = ["test", "statistic", "df", "p_value", "note"]
    n, customers = len(pairs.customer), len(np.unique(pairs.customer))
    if n == 0:
        return pd.DataFrame(columns=columns)
    if customers == n:
        return marginal_homogeneity(migration_counts(pairs))[columns]
    t, r = category(pairs.t_value), category(pairs.r_score)
    return pd.DataFrame([design_based_margins(t, r, pairs.customer)])[columns]


def sensitivity_table(pairs: Pairs, *, chosen: str, level: float) -> pd.DataFrame:
    """The same contrast under every rule for several transactional answers.

    Returns
    -------
    DataFrame
        ``rule, measure, n, customers, estimate, se, ci_low, ci_high, statistic, p_value,
        chosen`` and ``differ``, customers for whom the rule differs from the chosen one. Net
        scores (points) only where the rule leaves whole scores; the mean difference (score
        points, 0–10) under every rule.
    """
    taken = {rule: apply_rule(pairs, rule) for rule in RULES}
    rows = []
    for rule, reduced in taken.items():
        facts = {"chosen": rule == chosen, "differ": customers_that_differ(reduced, taken[chosen])}
        for measure, found in _contrasts(reduced, net=rule in SCORE_RULES).items():
            rows.append({"rule": rule, "measure": measure, **found.row("wald", level), **facts})
    return pd.DataFrame(rows)


def _contrasts(pairs: OnePerAnswer, *, net: bool) -> dict[str, Contrast]:
    """Difference of net scores, where scores are whole, and of mean scores."""
    found = {"NPS difference (points)": net_contrast(pairs)} if net else {}
    mean = contrast(pairs.t_value - pairs.r_score, pairs.customer)
    return found | {"mean difference (score)": mean}


def windows_taken(pairs: Pairs, rule: str, chosen: float) -> dict[float, OnePerAnswer]:
    """The pairs of every window, and of the chosen one, shortest first."""
    lengths = sorted({*WINDOWS, chosen})
    return {days: apply_rule(pairs.within(days), rule) for days in lengths}


def window_table(taken: Mapping[float, OnePerAnswer], rule: str, *, level: float) -> pd.DataFrame:
    """The contrast by how long before a transactional answer may lie.

    Returns
    -------
    DataFrame
        ``window_days, measure``, then as `sensitivity_table`.
    """
    rows = []
    for days in WINDOWS:
        found = _contrasts(taken[days], net=rule in SCORE_RULES)
        measure = next(iter(found))
        row = found[measure].row("wald", level)
        rows.append({"window_days": days, "measure": measure, **row})
    return pd.DataFrame(rows)
