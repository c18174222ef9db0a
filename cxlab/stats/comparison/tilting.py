"""The terms if answering depends on the score itself, by so much: exponential tilting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from cxlab.stats.comparison.propensity import MAX_STEPS, RIDGE
from cxlab.stats.comparison.quantities import (
    Chances,
    Engine,
    Shares,
    label_totals,
    reach_weights,
    weighted_quantities,
)
from cxlab.stats.inference import normal_quantile

SURVEYS = ("transactional", "relationship")
#: Change of the log odds of answering per point of the score that is always tried.
SLOPES = (-0.25, -0.1, 0.0, 0.1, 0.25)
#: Scores are taken from here, so that exp(slope × score) neither over- nor underflows.
MIDDLE = 7.0
#: Newton's error is squared at every step: once no weight moves by more, none is off by 1e-12.
WEIGHT_TOLERANCE = 1e-6
AT_LIMIT = "slopes at the far end of the checks' intervals"

#: A pattern of customers of whom fewer than one in 150,000 answers is a pattern without answers.
LARGEST_LOG_ODDS = 12.0

#: Survey and slope to the survey's standardised quantities.
Tilts = dict[tuple[str, float], Shares]


def check_limits(checks: pd.DataFrame, level: float) -> dict[str, float]:
    """The end of each check's interval that lies further from 0; absent without a check."""
    half = normal_quantile(level) * checks["se"]
    limits = checks["estimate"] + np.where(checks["estimate"] < 0, -half, half)
    return {
        str(survey): float(limit)
        for survey, limit in zip(checks["survey"], limits, strict=True)
        if np.isfinite(limit)
    }


def slopes_of(limits: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """Slopes to try for each survey."""
    return {s: (*SLOPES, *([limits[s]] if s in limits else [])) for s in SURVEYS}


def tilted(
    engine: Engine,
    chances: Chances,
    multipliers: np.ndarray,
    slopes: Mapping[str, Sequence[float]],
) -> Tilts:
    """Standardised quantities of both surveys under each slope, for every replicate.

    Parameters
    ----------
    engine, chances, multipliers
        As in `quantities`.
    slopes : mapping of str to sequence of float
        Survey to the slopes of its log odds of answering, per score point.
    """
    found: Tilts = {}
    for survey in SURVEYS:
        for slope in slopes[survey]:
            weight = tilted_weights(engine, chances, survey, slope, multipliers)
            found[survey, slope] = weighted_quantities(engine, survey, weight, multipliers)
    return found


def tilted_weights(
    engine: Engine, chances: Chances, survey: str, slope: float, multipliers: np.ndarray
) -> np.ndarray:
    """1 / chance of an answer if its log odds are α(x) + slope × score.

    Returns
    -------
    ndarray of float, shape (answers, replicates)

    Notes
    -----
    v = 1 + exp(−(α + γ(s − 7))), α = x'β with the terms x of the propensity, and β such that
    the answers, weighted by v, count as many as were invited: Σ_answered w·v·x =
    Σ_invited w·x, with w the inverse chance of an invitation.

    References
    ----------
    Scharfstein, Rotnitzky & Robins (1999), JASA 94, 1096–1120.
    """
    side = engine.side(survey)
    rows, silent = side.answered, side.unanswered
    pattern, n = side.patterns.row, side.patterns.n
    reach = reach_weights(engine, chances, survey, rows)
    odds = np.exp(-slope * (side.asked.score[rows] - MIDDLE))[:, None]
    told = reach * odds * multipliers[side.asked.unit[rows]]
    lost = reach_weights(engine, chances, survey, silent) * multipliers[side.asked.unit[silent]]
    exposure = label_totals(pattern[rows], told, n)
    missing = label_totals(pattern[silent], lost, n)
    factor = silent_factors(side.patterns.design, exposure, missing)
    return np.minimum(reach * (1.0 + odds * factor[pattern[rows]]), engine.caps[survey])


def silent_factors(design: np.ndarray, exposure: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """exp(−x'β) of every pattern at which Σ x·exposure·exp(−x'β) = Σ x·missing.

    Parameters
    ----------
    design : ndarray of float, shape (patterns, k)
    exposure : ndarray of float, shape (patterns, replicates)
        Σ w·exp(−γ(s − 7)) over the answers of a pattern.
    missing : ndarray of float, shape (patterns, replicates)
        Σ w over its invitations without an answer.

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
        if np.max(moved, where=exposure > 0, initial=0.0) < WEIGHT_TOLERANCE:
            break
    return factor


def _exp(linear: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(linear, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))


def pairs_of_slopes(limits: Mapping[str, float]) -> list[tuple[str, float, float, str]]:
    """In which survey answering depends on the score, both slopes, and where they come from."""
    tried = [(slope, slope, "") for slope in SLOPES if slope]
    if limits:
        tried.append((limits.get(SURVEYS[0], 0.0), limits.get(SURVEYS[1], 0.0), AT_LIMIT))
    rows = [("neither survey", 0.0, 0.0, "")]
    rows += [("both surveys", t, r, note) for t, r, note in tried]
    rows += [("transactional only", t, 0.0, note) for t, _, note in tried if t]
    rows += [("relationship only", 0.0, r, note) for _, r, note in tried if r]
    return rows
