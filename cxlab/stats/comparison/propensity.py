"""Chances of being let through, reached and answering, for many replicates at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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
    names : list of str
        Of the columns.
    """

    row: np.ndarray
    design: np.ndarray
    names: list[str]

    @property
    def n(self) -> int:
        """Number of patterns."""
        return len(self.design)


def patterns(
    traits: Mapping[str, np.ndarray], episodes: np.ndarray, at_risk: np.ndarray
) -> Patterns:
    """Number the distinct combinations of traits and episodes and code them for a model.

    Parameters
    ----------
    traits : mapping of str to ndarray
        Categorical frame variables of each row (with the cell, for episodes).
    episodes : ndarray of int
        Eligible episodes in the window of the row's customer.
    at_risk : ndarray of bool
        Rows that can answer: classes of episodes with few of them are merged.
    """
    codes = [pd.factorize(values, sort=True) for values in traits.values()]
    key = np.asarray(episodes, dtype=np.int64)
    for code, labels in codes:
        key = key * max(len(labels), 1) + code
    distinct, first, row = np.unique(key, return_index=True, return_inverse=True)
    columns, names = [np.ones(len(distinct))], ["intercept"]
    for name, (code, labels) in zip(traits, codes, strict=True):
        for value in range(1, len(labels)):
            columns.append((code[first] == value).astype(float))
            names.append(f"{name} = {labels[value]}")
    m = np.asarray(episodes)[first]
    for floor, indicator in _episode_classes(m, np.asarray(episodes)[at_risk]):
        columns.append(indicator)
        names.append(f"episodes from {floor}")
    if len(np.unique(m)) > 1:
        columns.append(np.log1p(m))
        names.append("log(1 + episodes)")
    return Patterns(row=row, design=np.column_stack(columns), names=names)


def _episode_classes(m: np.ndarray, at_risk: np.ndarray) -> list[tuple[int, np.ndarray]]:
    """Indicator of each class of episodes but the lowest; thin classes join the one below."""
    floors = [0, *(end + 1 for end in EPISODE_CLASSES)]
    kept: list[int] = []
    for floor, after in zip(floors, [*floors[1:], np.inf], strict=True):
        rows = np.count_nonzero((at_risk >= floor) & (at_risk < after))
        if rows >= MIN_CLASS_ROWS:
            kept.append(floor)
    return [
        (floor, ((m >= floor) & (m < after)).astype(float))
        for floor, after in zip(kept[1:], [*kept[2:], np.inf][: len(kept[1:])], strict=True)
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

    Parameters
    ----------
    design : ndarray of float, shape (patterns, k)
    successes, trials : ndarray of float, shape (patterns, replicates)
        Counts, whole or weighted; ``0 <= successes <= trials``.
    start : ndarray of float, shape (k,), optional
        Coefficients to begin from.

    Returns
    -------
    Fit

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
