"""Chances of being let through, reached and answering, for many replicates at once.

A contact rule lets a customer through by the episodes before (`LookBack`); answering is a
logistic model of the frame variables. statsmodels fits the same models one at a time; a
bootstrap needs a thousand of each, so all replicates are fitted together here. The tests compare
one with ``statsmodels.GLM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from cxlab.stats.comparison.contract import INVITED, SUPPRESSED, ContactRule, labelled

#: Upper ends of the classes of eligible episodes; the last class is open.
EPISODE_CLASSES = (0, 1, 2, 4, 8, 16)
#: A class of episodes with fewer rows at risk than this joins the class below.
MIN_CLASS_ROWS = 50
#: Keeps a category that always or never answers finite; far below one answer's information.
RIDGE = 1e-4
#: Keeps the information of a model invertible.
LEAST_INFORMATION = 1e-10
MAX_STEPS = 25
#: Newton's error is squared at every step: once no chance moves by more, none is off by 1e-12.
CHANCE_TOLERANCE = 1e-6
#: A pattern of customers of whom fewer than one in 150,000 answers is a pattern without answers.
LARGEST_LOG_ODDS = 12.0


@dataclass(frozen=True, eq=False)
class Patterns:
    """Rows with the same frame variables share one chance.

    Attributes
    ----------
    row : ndarray of int, shape (rows,)
        Pattern of each row.
    design : ndarray of float, shape (patterns, k)
        Intercept, indicator columns of each category, episodes in the window as classes
        and as log(1 + episodes).
    """

    row: np.ndarray
    design: np.ndarray

    @property
    def n(self) -> int:
        """Number of patterns."""
        return len(self.design)


def patterns(
    traits: Mapping[str, np.ndarray], episodes: np.ndarray, at_risk: np.ndarray
) -> Patterns:
    """Number the distinct combinations of traits and episodes and code them for a model.

    ``traits`` are categorical frame variables of each row (with the cell, for episodes),
    ``episodes`` its customer's eligible episodes in the window. Classes of episodes with few
    rows ``at_risk`` of an answer are merged.
    """
    codes = [pd.factorize(values, sort=True) for values in traits.values()]
    key = np.asarray(episodes, dtype=np.int64)
    for code, labels in codes:
        key = key * max(len(labels), 1) + code
    distinct, first, row = np.unique(key, return_index=True, return_inverse=True)
    columns = [np.ones(len(distinct))]
    for code, labels in codes:
        columns += [(code[first] == value).astype(float) for value in range(1, len(labels))]
    m = np.asarray(episodes)[first]
    columns += _episode_classes(m, np.asarray(episodes)[at_risk])
    if len(np.unique(m)) > 1:
        columns.append(np.log1p(m))
    return Patterns(row=row, design=np.column_stack(columns))


def _episode_classes(m: np.ndarray, at_risk: np.ndarray) -> list[np.ndarray]:
    """Indicator of each class of episodes but the lowest; thin classes join the one below."""
    floors = [0, *(end + 1 for end in EPISODE_CLASSES), np.inf]
    kept = [
        floor
        for floor, after in pairwise(floors)
        if np.count_nonzero((at_risk >= floor) & (at_risk < after)) >= MIN_CLASS_ROWS
    ]
    return [
        ((m >= floor) & (m < after)).astype(float) for floor, after in pairwise([*kept[1:], np.inf])
    ]


@dataclass(frozen=True, eq=False)
class Fit:
    """Chances of all patterns in all replicates.

    Attributes
    ----------
    chance : ndarray of float, shape (patterns, replicates)
    coefficients : ndarray of float, shape (k, replicates)
    converged : ndarray of bool, shape (replicates,)
    """

    chance: np.ndarray
    coefficients: np.ndarray
    converged: np.ndarray


def fit_chances(
    design: np.ndarray,
    successes: np.ndarray,
    trials: np.ndarray,
    *,
    start: np.ndarray | None = None,
) -> Fit:
    """Logistic regression of grouped counts, one for each replicate.

    ``design`` has shape (patterns, k); ``successes`` and ``trials``, whole or weighted counts,
    (patterns, replicates); ``start`` are coefficients to begin from.

    Notes
    -----
    Newton's method on the binomial log-likelihood with a ridge of 0.0001 on all
    coefficients but the first, which keeps a category without a success finite.
    """
    k, replicates = design.shape[1], trials.shape[1]
    if k == 1:
        return _shares(design, successes, trials)
    beta = np.zeros((k, replicates)) if start is None else np.repeat(start[:, None], replicates, 1)
    if start is None:
        total = np.maximum(trials.sum(0), 1e-12)
        share = np.clip(successes.sum(0) / total, 1e-6, 1 - 1e-6)
        beta[0] = np.log(share / (1 - share))
    newton, asked = _Newton(design, sparse=False), trials > 0
    chance, moved = _logistic(design @ beta), np.full(replicates, np.inf)
    for _ in range(MAX_STEPS):
        beta = newton.step(beta, successes - trials * chance, trials * chance * (1 - chance))
        before, chance = chance, _logistic(design @ beta)
        moved = np.max(np.abs(chance - before), axis=0, where=asked, initial=0.0)
        if (moved < CHANCE_TOLERANCE).all():
            break
    return Fit(chance, beta, moved < 1e-4)


def _shares(design: np.ndarray, successes: np.ndarray, trials: np.ndarray) -> Fit:
    total = trials.sum(0)
    share = successes.sum(0) / np.where(total > 0, total, np.nan)
    with np.errstate(divide="ignore"):
        logit = np.log(share) - np.log1p(-share)
    chance = np.repeat(share[None, :], len(design), 0)
    return Fit(chance, logit[None, :], np.isfinite(share))


class _Newton:
    """Newton's steps of many replicates, with a ridge on all coefficients but the intercept.

    ``sparse``: a pattern may be without information of its own, so that a little of the trace
    is added to the diagonal.
    """

    def __init__(self, design: np.ndarray, *, sparse: bool) -> None:
        self.design, self.sparse, k = design, sparse, design.shape[1]
        self.ridge = np.full(k, RIDGE)
        self.ridge[0] = 0.0
        self.products = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)

    def step(self, beta: np.ndarray, residual: np.ndarray, weight: np.ndarray) -> np.ndarray:
        """The next coefficients, shape (k, replicates), from (patterns, replicates)."""
        k, replicates = beta.shape
        gradient = self.design.T @ residual - self.ridge[:, None] * beta
        information = (self.products.T @ weight).T.reshape(replicates, k, k)
        if self.sparse:
            floor = RIDGE**2 * (1.0 + np.einsum("rkk->r", information))
            information = information + np.diag(self.ridge) + floor[:, None, None] * np.eye(k)
        else:
            information = information + np.diag(self.ridge + LEAST_INFORMATION)
        step = np.linalg.solve(information, gradient.T[:, :, None])[:, :, 0].T
        # a step this long means that a category is being pushed to 0 or 1
        return beta + np.clip(step, -3.0, 3.0)


def _logistic(linear: np.ndarray) -> np.ndarray:
    return 1.0 / (1.0 + np.exp(-np.clip(linear, -30.0, 30.0)))


def silent_factors(design: np.ndarray, exposure: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """exp(−x'β) of every pattern at which Σ x·exposure·exp(−x'β) = Σ x·missing.

    ``exposure`` is Σ w·exp(−γ(s − 7)) over the answers of a pattern and ``missing`` Σ w over its
    invitations without an answer; both have shape (patterns, replicates).

    Notes
    -----
    These are the equations of a Poisson regression of the missing with the answers as
    exposure; the same ridge as for the propensities keeps a category in which everyone
    answered finite.
    """
    k, replicates = design.shape[1], exposure.shape[1]
    beta = np.zeros((k, replicates))
    with np.errstate(divide="ignore"):
        beta[0] = np.log(missing.sum(0)) - np.log(np.maximum(exposure.sum(0), 1e-12))
    beta = np.maximum(beta, -LARGEST_LOG_ODDS)
    newton, factor = _Newton(design, sparse=True), _exp(design @ beta)
    for _ in range(2 * MAX_STEPS):
        expected = exposure * factor
        beta = newton.step(beta, missing - expected, expected)
        before, factor = factor, _exp(design @ beta)
        moved = np.abs(factor - before) / (1.0 + before)
        if np.max(moved, where=exposure > 0, initial=0.0) < CHANCE_TOLERANCE:
            break
    return factor


def _exp(linear: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(linear, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))


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
