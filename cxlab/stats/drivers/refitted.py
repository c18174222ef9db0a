"""The check for outcomes that are not continuous: refit the model for every subset.

Dominance of McFadden's pseudo-R², 1 − log-likelihood ÷ log-likelihood without drivers, of
a logistic or proportional-odds model, on rows without a hole.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.stats.drivers.answers import read_answers
from cxlab.stats.drivers.outcomes import recode_outcome
from cxlab.stats.drivers.shares import share_of
from cxlab.stats.frames import check_choice
from cxlab.stats.resampling import ranks
from cxlab.stats.totals import Design

Array = np.ndarray

#: Most drivers: 2^12 models are refitted.
MOST_DRIVERS = 12
#: Newton steps, and the size of the last one.
MAX_STEPS = 100
TOLERANCE = 1e-10
#: A coefficient this many standard deviations long means separated answers.
SEPARATED = 30.0


def refitted_dominance(
    data: Any,
    outcome: str,
    drivers: Sequence[str] | Mapping[str, str],
    *,
    outcome_scale: str = "ordinal",
    weights: str | None = None,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """General dominance of McFadden's pseudo-R², refitting every subset.

    Parameters
    ----------
    data, outcome, drivers, weights, labels
        As in `cxlab.drivers`; rows with a blank are left out.
    outcome_scale : {"binary", "ordinal"}
        Logistic, or proportional-odds logistic model.

    Returns
    -------
    DataFrame
        ``driver, label, n, estimate`` (pseudo-R² units), ``share, rank``; the estimates
        add up to McFadden's R² of the full model. There is no interval: this is a check
        of `cxlab.drivers` with the same ``outcome_scale``. Pseudo-R² and latent R² are
        of different kinds; compare shares.

    Raises
    ------
    ValueError
        Above 12 drivers, or where drivers separate the answers perfectly.

    References
    ----------
    Azen & Traxel (2009), Journal of Educational and Behavioral Statistics 34, 319–347.

    Examples
    --------
    >>> answers = pd.DataFrame({"food": [1, 2, 3, 4, 5, 2, 4, 3], "yes": [0, 0, 1, 1, 1, 1, 0, 0]})
    >>> refitted_dominance(answers, "yes", ["food"], outcome_scale="binary").round(3)
      driver label  n  estimate  share  rank
    0   food  food  8     0.128    1.0     1
    """
    check_choice("outcome_scale", outcome_scale, ("binary", "ordinal"))
    answers = read_answers(data, outcome, drivers, design=Design(weights), labels=labels)
    if len(answers.names) > MOST_DRIVERS:
        raise ValueError(
            f"`drivers` must number at most {MOST_DRIVERS} to refit every subset; got "
            f"{len(answers.names)}. Use cxlab.drivers(..., outcome_scale='{outcome_scale}')."
        )
    whole = ~np.isnan(answers.ratings).any(axis=1)
    target = recode_outcome(answers.outcome[whole], outcome_scale, outcome)
    ratings, row_weights = answers.ratings[whole], answers.weights[whole]
    spread = ratings.std(axis=0)
    if (spread == 0).any():
        name = answers.names[int(np.flatnonzero(spread == 0)[0])]
        raise ValueError(f"`drivers` must vary on rows without a blank; got one value in '{name}'.")
    table = (ratings - ratings.mean(axis=0)) / spread
    pseudo = _all_pseudo_r_squared(table, target, row_weights)
    values = _general(pseudo, len(answers.names))
    return pd.DataFrame(
        {
            "driver": answers.names,
            "label": [answers.labels[name] for name in answers.names],
            "n": int(whole.sum()),
            "estimate": values,
            "share": share_of(values[None])[0],
            "rank": ranks(values),
        }
    )


def _general(values: Array, players: int) -> Array:
    """Shapley values of a value per subset; bit j of the index is player j."""
    subsets = np.arange(len(values))
    size = ((subsets[:, None] >> np.arange(players)) & 1).sum(axis=1)
    general = np.empty(players)
    for player in range(players):
        without = subsets[(subsets >> player) & 1 == 0]
        gain = values[without | (1 << player)] - values[without]
        sizes = size[without]
        general[player] = np.mean([gain[sizes == count].mean() for count in range(players)])
    return general


def _all_pseudo_r_squared(table: Array, target: Array, weights: Array) -> Array:
    _, step = np.unique(target, return_inverse=True)
    margin = np.bincount(step.ravel(), weights=weights)
    empty = float((margin * np.log(margin / margin.sum())).sum())
    values = np.zeros(1 << table.shape[1])
    for subset in range(1, len(values)):
        chosen = [column for column in range(table.shape[1]) if subset >> column & 1]
        values[subset] = 1 - _fit(table[:, chosen], step.ravel(), weights, margin) / empty
    return values


@dataclass(frozen=True, eq=False)
class _Slope:
    """Log-likelihood with slope and information."""

    value: float
    slope: Array
    information: Array


def _fit(table: Array, step: Array, weights: Array, margin: Array) -> float:
    """Log-likelihood of the proportional-odds model (two steps: logistic) at its maximum."""
    below = np.cumsum(margin)[:-1] / margin.sum()
    parameters = np.append(np.log(below / (1 - below)), np.zeros(table.shape[1]))
    cuts = len(below)
    current = _likelihood(parameters, table, step, weights, cuts)
    for _ in range(MAX_STEPS):
        move = np.linalg.lstsq(current.information, current.slope, rcond=1e-12)[0]
        reached = current
        for _ in range(30):
            reached = _likelihood(parameters + move, table, step, weights, cuts)
            if reached.value >= current.value - 1e-12 * abs(current.value):
                break
            move = move / 2
        parameters, current = parameters + move, reached
        if np.abs(parameters[cuts:]).max() > SEPARATED:
            raise ValueError(
                "`drivers` must not separate the answers perfectly; got a coefficient without "
                "bound. Take fewer drivers or more answers."
            )
        if np.abs(move).max() < TOLERANCE:
            break
    return current.value


def _likelihood(parameters: Array, table: Array, step: Array, weights: Array, cuts: int) -> _Slope:
    """P(y ≤ k) = logistic(τ_k − x·β)."""
    tau = np.concatenate([[-np.inf], parameters[:cuts], [np.inf]])
    if (np.diff(tau) <= 0).any():
        size = len(parameters)
        return _Slope(-np.inf, np.zeros(size), np.eye(size))
    shift = table @ parameters[cuts:]
    upper, lower = _logistic(tau[step + 1] - shift), _logistic(tau[step] - shift)
    chance = np.maximum(upper - lower, 1e-300)
    up, down = upper * (1 - upper), lower * (1 - lower)
    bend_up, bend_down = up * (1 - 2 * upper), down * (1 - 2 * lower)
    above = np.zeros((len(step), cuts))
    under = np.zeros((len(step), cuts))
    rows = np.arange(len(step))
    inside, outside = step < cuts, step > 0
    above[rows[inside], step[inside]] = 1.0
    under[rows[outside], step[outside] - 1] = 1.0
    first, second = np.hstack([above, -table]), np.hstack([under, -table])
    change = up[:, None] * first - down[:, None] * second
    slope = (weights / chance) @ change
    information = (change * (weights / chance**2)[:, None]).T @ change
    information -= (first * (weights * bend_up / chance)[:, None]).T @ first
    information += (second * (weights * bend_down / chance)[:, None]).T @ second
    return _Slope(float(weights @ np.log(chance)), slope, information)


def _logistic(values: Array) -> Array:
    with np.errstate(over="ignore"):
        return np.asarray(1 / (1 + np.exp(-values)))
