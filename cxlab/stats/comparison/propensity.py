"""Chances of being let through, reached and answering, for many replicates at once.

statsmodels fits the same models one at a time; a bootstrap needs a thousand of each, so all
replicates are fitted together here. The tests compare one with ``statsmodels.GLM``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

#: Upper ends of the classes of eligible episodes; the last class is open.
EPISODE_CLASSES = (0, 1, 2, 4, 8, 16)
#: A class of episodes with fewer rows at risk than this joins the class below.
MIN_CLASS_ROWS = 50
#: Keeps a category that always or never answers finite; far below one answer's information.
RIDGE = 1e-4
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

    Examples
    --------
    With an intercept alone the chance is the share:

    >>> fit = fit_chances(np.ones((2, 1)), np.array([[3.0], [1.0]]), np.array([[6.0], [2.0]]))
    >>> float(fit.chance[0, 0].round(4))
    0.5
    """
    k, replicates = design.shape[1], trials.shape[1]
    ridge = np.full(k, RIDGE)
    ridge[0] = 0.0
    if k == 1:
        return _shares(design, successes, trials)
    beta = np.zeros((k, replicates)) if start is None else np.repeat(start[:, None], replicates, 1)
    if start is None:
        total = np.maximum(trials.sum(0), 1e-12)
        share = np.clip(successes.sum(0) / total, 1e-6, 1 - 1e-6)
        beta[0] = np.log(share / (1 - share))
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)
    asked = trials > 0
    chance, moved = _logistic(design @ beta), np.full(replicates, np.inf)
    for _ in range(MAX_STEPS):
        gradient = design.T @ (successes - trials * chance) - ridge[:, None] * beta
        information = (products.T @ (trials * chance * (1 - chance))).T.reshape(replicates, k, k)
        information = information + np.diag(ridge + 1e-10)
        step = np.linalg.solve(information, gradient.T[:, :, None])[:, :, 0].T
        # a step this long means that a category is being pushed to 0 or 1
        beta = beta + np.clip(step, -3.0, 3.0)
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

    Examples
    --------
    Seven silent stand for three who answered, all alike:

    >>> silent_factors(np.ones((1, 1)), np.array([[3.0]]), np.array([[7.0]])).round(4).tolist()
    [[2.3333]]
    """
    k, replicates = design.shape[1], exposure.shape[1]
    ridge = np.full(k, RIDGE)
    ridge[0] = 0.0
    beta = np.zeros((k, replicates))
    with np.errstate(divide="ignore"):
        beta[0] = np.log(missing.sum(0)) - np.log(np.maximum(exposure.sum(0), 1e-12))
    beta = np.maximum(beta, -LARGEST_LOG_ODDS)
    products = (design[:, :, None] * design[:, None, :]).reshape(len(design), k * k)
    factor = _exp(design @ beta)
    for _ in range(2 * MAX_STEPS):
        expected = exposure * factor
        gradient = design.T @ (missing - expected) - ridge[:, None] * beta
        information = (products.T @ expected).T.reshape(replicates, k, k)
        floor = RIDGE**2 * (1.0 + np.einsum("rkk->r", information))
        information = information + np.diag(ridge) + floor[:, None, None] * np.eye(k)
        step = np.linalg.solve(information, gradient.T[:, :, None])[:, :, 0].T
        beta = beta + np.clip(step, -3.0, 3.0)
        before, factor = factor, _exp(design @ beta)
        moved = np.abs(factor - before) / (1.0 + before)
        if np.max(moved, where=exposure > 0, initial=0.0) < CHANCE_TOLERANCE:
            break
    return factor


def _exp(linear: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(linear, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))
