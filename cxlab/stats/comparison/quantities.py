"""The quantities A0 to C2 and B0 to B3, the terms of the gap made of them, and their bounds.

Every quantity is a weighted distribution over the scores 0 to 10, so that every metric (NPS,
mean, top box) is a linear function of it, and every one is computed for any multipliers of
the customers: ones give the estimate, a bootstrap's counts give a replicate in which every
propensity and every cell share is fitted again. Arrays of replicates have them in the last axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import norm

from cxlab.stats.comparison.chances import (
    Chances,
    Side,
    Sides,
    answer_weights,
    fit_chances,
    label_totals,
    reach_weights,
    tilted_weights,
)

N_SCORES = 11
NPS_VALUES = np.array([-100.0] * 7 + [0.0] * 2 + [100.0] * 2)
#: In the fixed order in which they are taken; they telescope to B0 − A0.
TERMS: dict[str, dict[str, float]] = {
    "mix": {"B0": 1, "B1": -1},
    "transactional response": {"B1": 1, "B2": -1},
    "residual": {"B2": 0.5, "C2": -0.5, "B3": 0.5, "C1": -0.5},
    "unit weighting": {"C2": 0.5, "C1": -0.5, "B2": 0.5, "B3": -0.5},
    "coverage": {"C1": 1, "C0": -1},
    "relationship response and contact rules": {"C0": 1, "A0": -1},
}
ABOUT = {
    "mix": "how we count",
    "transactional response": "who",
    "residual": "what remains",
    "unit weighting": "how we count",
    "coverage": "who",
    "relationship response and contact rules": "who",
}
#: What of the raw gap is not in the standardised one.
GAP_LESS = "gap less standardised gap"
TOTALS: dict[str, dict[str, float]] = {
    "response selection": {"B1": 1, "B2": -1, "C0": 1, "A0": -1},
    "selection": {"B1": 1, "B2": -0.5, "B3": -0.5, "C2": 0.5, "C1": 0.5, "A0": -1},
    "gap": {"B0": 1, "A0": -1},
    "standardised gap": {"B3": 1, "C1": -1},
    GAP_LESS: {"B0": 1, "A0": -1, "B3": -1, "C1": 1},
}
QUANTITIES = ("A0", "C0", "C1", "C2", "B0", "B1", "B2", "B3")
QUANTITY_COEFFICIENTS: dict[str, dict[str, float]] = {
    **{name: {name: 1.0} for name in QUANTITIES},
    **TERMS,
    **TOTALS,
}

#: The terms must add to the gap this closely, whatever was estimated.
SUM_TOLERANCE = 1e-9


#: By quantity, each of shape (11, replicates).
Shares = dict[str, np.ndarray]
#: Lowest and highest value of quantities and terms: arrays of shape (2, replicates).
Limits = dict[str, np.ndarray]
#: Survey and slope to the survey's standardised quantities.
Tilts = dict[tuple[str, float], Shares]

BEST = float(NPS_VALUES.max())
#: Two checks at this level each: a programme whose response depends on the frame alone is
#: called into question once in a hundred.
CHECK_LEVEL = 0.005
CHECKS = ["survey", "n", "customers", "estimate", "se", "statistic", "p_value", "note"]
FOUND = "answering goes with the other survey's score"
NOT_FOUND = "not shown, which proves little: the check has little power"
MIN_CHECKED = 30


def quantities(sides: Sides, chances: Chances, multipliers: np.ndarray) -> Shares:
    """All eight quantities as shares of the scores; one without an answer is NaN."""
    found = collected_quantities(sides, multipliers)
    for side in sides.values():
        weight = answer_weights(side, chances, side.answered)
        found |= weighted_quantities(side, weight, multipliers)
    return found


def collected_quantities(sides: Sides, multipliers: np.ndarray) -> Shares:
    """A0, B0 and B1, which nothing is assumed for."""
    t, waves = sides["transactional"], sides["relationship"].rows
    rows, collected = t.answered, waves[waves["answered"]]
    times = multipliers[rows["customer"]]
    eligible = t.cells["eligible"] @ multipliers
    place = rows["cell"] * N_SCORES + rows["score"]
    per_cell = label_totals(place, times, len(eligible) * N_SCORES)
    per_cell = per_cell.reshape(len(eligible), N_SCORES, -1)
    return {
        "A0": share_of_scores(collected["score"], multipliers[collected["customer"]]),
        "B0": share_of_scores(rows["score"], times),
        "B1": _at_eligible_mix(per_cell, eligible),
    }


def weighted_quantities(side: Side, weight: np.ndarray, multipliers: np.ndarray) -> Shares:
    """B2 and B3, or C0 to C2, for any weights of the answers: shape (answers, replicates)."""
    rows = side.answered
    weight = weight * multipliers[rows["customer"]]
    return {
        name: share_of_scores(rows["score"], weight * factor[:, None])
        for name, factor in side.factors(rows).items()
    }


def _at_eligible_mix(per_cell: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Σ_c S_c·(shares of the scores in cell c), over the cells that hold an answer."""
    answers = per_cell.sum(1)
    covered = np.where(answers > 0, eligible, 0.0)
    share = covered / np.where(covered.sum(0) > 0, covered.sum(0), np.nan)
    within = per_cell / np.where(answers > 0, answers, 1.0)[:, None, :]
    return np.einsum("cb,csb->sb", share, within)


def share_of_scores(score: ArrayLike, weight: np.ndarray) -> np.ndarray:
    """Weighted share of each score: shape (11, replicates)."""
    total = label_totals(score, weight, N_SCORES)
    everything = total.sum(0)
    return total / np.where(everything > 0, everything, np.nan)


def combine(values: Mapping[str, np.ndarray], coefficients: Mapping[str, float]) -> np.ndarray:
    """Linear combination of the quantities."""
    return sum((c * values[name] for name, c in coefficients.items()), start=np.zeros(1))


def check_sum(values: Mapping[str, np.ndarray]) -> None:
    """Refuse terms that do not add to the gap."""
    total = sum((combine(values, TERMS[name]) for name in TERMS), start=np.zeros(1))
    off = np.abs(total - combine(values, TOTALS["gap"]))
    if np.nanmax(off, initial=0.0) > SUM_TOLERANCE:
        raise ArithmeticError(
            f"The terms must add to the gap; they miss it by {np.nanmax(off):.3g} points."
        )


class Mixture:
    """Known and unknown answers of one survey, weighted as its quantities are.

    With ``response`` those who were asked and did not answer are unknown too, else only those
    who could not be asked. ``known`` and ``unknown`` are, per quantity, shares of its weight.
    """

    def __init__(
        self, side: Side, chances: Chances, multipliers: np.ndarray, *, response: bool
    ) -> None:
        weigh = reach_weights if response else answer_weights
        rows, silent = side.answered, side.unanswered if response else side.unanswered[:0]
        never = side.rows[~side.rows["reachable"]]
        known = weigh(side, chances, rows) * multipliers[rows["customer"]]
        silent_weight = reach_weights(side, chances, silent) * multipliers[silent["customer"]]
        unknown = np.vstack([silent_weight, multipliers[never["customer"]]])
        self.values = NPS_VALUES[rows["score"]]
        self.known: dict[str, np.ndarray] = {}
        self.unknown: dict[str, np.ndarray] = {}
        of_unknown = side.factors(pd.concat([silent, never]))
        for name, factor in side.factors(rows).items():
            a, b = known * factor[:, None], unknown * of_unknown[name][:, None]
            total = a.sum(0) + b.sum(0)
            total = np.where(total > 0, total, np.nan)
            self.known[name], self.unknown[name] = a / total, b / total

    def spread(self, coefficients: Mapping[str, float]) -> tuple[np.ndarray, np.ndarray]:
        """Middle and half-width of a linear combination of the survey's quantities."""
        mine = {name: c for name, c in coefficients.items() if name in self.known}
        if not mine:
            return np.zeros(1), np.zeros(1)
        known = sum(c * self.known[name] for name, c in mine.items())
        unknown = sum(c * self.unknown[name] for name, c in mine.items())
        return self.values @ known, BEST * np.abs(unknown).sum(0)

    def silent_share(self) -> float:
        """Weighted share of the unknown, over the quantities by use."""
        used = [name for name in self.unknown if name != "C0"]
        return float(sum(self.unknown[name].sum() for name in used) / len(used))


def bounds(
    sides: Sides, chances: Chances, multipliers: np.ndarray, shares: Shares, *, response: bool
) -> Limits:
    """Lowest and highest value of every quantity and term, in NPS points; see `Mixture`.

    Every term is linear in the scores. An unknown score lies between −100 and 100, so the
    term lies within 100·Σ|coefficient| of its known part: one unknown score is the same in
    all the quantities that a term combines.
    Manski (2003), Partial Identification of Probability Distributions.
    """
    mixtures = [Mixture(side, chances, multipliers, response=response) for side in sides.values()]
    fixed = {name: NPS_VALUES @ shares[name] for name in ("A0", "B0", "B1")}
    found = {}
    for name, coefficients in QUANTITY_COEFFICIENTS.items():
        middle = sum(c * fixed[q] for q, c in coefficients.items() if q in fixed)
        half = np.zeros(multipliers.shape[1])
        for one in mixtures:
            centre, width = one.spread(coefficients)
            middle, half = middle + centre, half + width
        found[name] = np.stack([middle - half, middle + half])
    return found


def tipping_points(sides: Sides, chances: Chances, residual: float) -> list[tuple[str, float]]:
    """How different the silent would have to be for the residual to vanish.

    Per survey: NPS of those who did not answer less that of those who did, in points, at which
    the residual is 0; infinite where no difference of at most 200 points would do.
    """
    found = []
    for (survey, side), sign in zip(sides.items(), (-1.0, 1.0), strict=True):
        ones = np.ones((side.cells["free"].shape[1], 1))
        share = Mixture(side, chances, ones, response=True).silent_share()
        needed = sign * residual / share if share > 0 else np.inf
        found.append((survey, needed if abs(needed) <= 2 * BEST else np.inf))
    return found


def tilted(
    sides: Sides,
    chances: Chances,
    multipliers: np.ndarray,
    slopes: Mapping[str, Sequence[float]],
) -> Tilts:
    """Standardised quantities of both surveys under each slope, for every replicate."""
    return {
        (survey, slope): weighted_quantities(
            side, tilted_weights(side, chances, slope, multipliers), multipliers
        )
        for survey, side in sides.items()
        for slope in slopes[survey]
    }


def response_check(sides: Sides, *, fewest: int) -> pd.DataFrame:
    """Does answering one survey go with the same customer's score in the other one?

    ``n`` counts invited rows whose customer's other score is known, ``estimate`` is the log odds
    of answering per score point, given cell, frame variables and episodes. Fewer than ``fewest``
    customers, or 30 rows, are not checked.

    If response depends on the frame variables only, it cannot go with the other survey's
    score given them. A score test of a logistic model, clustered by customer. It finds
    dependence only so far as the two scores of a customer go together, and that is rarely:
    it decides nothing, and the far end of its interval is a slope that `tilting_table` tries.
    """
    t, r = sides.values()
    rows = [
        {"survey": survey, **_check(side, other, fewest)}
        for survey, side, other in (("transactional", t, r), ("relationship", r, t))
    ]
    return pd.DataFrame(rows)


def _check(side: Side, other: Side, fewest: int) -> dict[str, object]:
    scores = other.rows[other.rows["answered"]].groupby("customer")["score"].mean()
    rows = side.invited.assign(other=side.invited["customer"].map(scores)).dropna(subset="other")
    y, z = rows["answered"].to_numpy(dtype=float), rows["other"].to_numpy()
    customers = rows["customer"].nunique()
    row: dict[str, object] = {"n": len(rows), "customers": customers}
    row |= dict.fromkeys(("estimate", "se", "statistic", "p_value"), np.nan)
    if len(rows) < MIN_CHECKED or customers < fewest or np.ptp(y) == 0 or np.ptp(z) == 0:
        return row | {"note": "too few customers in both surveys to check"}
    information, score, variance = _score_test(side, rows, y, z)
    if not information > 0 or not variance > 0:
        return row | {"note": "the other score does not vary given the frame"}
    statistic = score / variance**0.5
    p = float(2 * norm.sf(abs(statistic)))
    return row | {
        "estimate": score / information,
        "se": variance**0.5 / information,
        "statistic": statistic,
        "p_value": p,
        "note": FOUND if p < CHECK_LEVEL else NOT_FOUND,
    }


def _score_test(
    side: Side, rows: pd.DataFrame, y: np.ndarray, z: np.ndarray
) -> tuple[float, float, float]:
    """Information, score and its variance of the other score's coefficient."""
    pattern = rows["pattern"].to_numpy()
    trials, successes = (
        np.bincount(pattern, weight, minlength=len(side.design))[:, None]
        for weight in (np.ones(len(y)), y)
    )
    chance = fit_chances(side.design, successes, trials).chance[pattern, 0]
    x, weight = side.design[pattern], chance * (1 - chance)
    gram = x.T @ (weight[:, None] * x) + 1e-9 * np.eye(x.shape[1])
    rest = z - x @ np.linalg.solve(gram, x.T @ (weight * z))
    score = rest * (y - chance)
    per_customer = np.bincount(rows["customer"], score)
    return float((weight * rest**2).sum()), float(score.sum()), float((per_customer**2).sum())
