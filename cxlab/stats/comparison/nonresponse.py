"""What those who did not answer, or could not be asked, may do to the terms.

Three answers: bounds, for which nothing is assumed; exponential tilting, where the log odds of
answering change by so much with each point of the score; and a check of whether answering
goes with the same customer's score in the other survey.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import norm

from cxlab.stats.comparison.contract import SURVEY_TYPES
from cxlab.stats.comparison.propensity import fit_chances, silent_factors
from cxlab.stats.comparison.quantities import (
    NPS_VALUES,
    QUANTITY_COEFFICIENTS,
    Chances,
    Shares,
    Side,
    Weighting,
    answer_weights,
    incidence,
    label_totals,
    reach_weights,
    weighted_quantities,
)
from cxlab.stats.inference import LEVEL, normal_quantile

BEST = float(NPS_VALUES.max())
#: Lowest and highest value of quantities and terms: arrays of shape (2, replicates).
Limits = dict[str, np.ndarray]
#: Survey and slope to the survey's standardised quantities.
Tilts = dict[tuple[str, float], Shares]

#: Change of the log odds of answering per point of the score that is always tried.
SLOPES = (-0.25, -0.1, 0.0, 0.1, 0.25)
#: Scores are counted from here, so that exp(slope × score) neither over- nor underflows.
MIDDLE = 7.0
AT_LIMIT = "slopes at the far end of the checks' intervals"

#: Two checks at this level each: a programme whose response depends on the frame alone is
#: called into question once in a hundred.
CHECK_LEVEL = 0.005
CHECKS = ["survey", "n", "customers", "estimate", "se", "statistic", "p_value", "note"]
FOUND = "answering goes with the other survey's score"
NOT_FOUND = "not shown, which proves little: the check has little power"
MIN_CHECKED = 30


class Mixture:
    """Known and unknown parts of a survey's quantities.

    ``known`` and ``unknown`` are weights, (rows, replicates), of rows with an answer and of rows
    whose score could be anything; ``values`` are the points of the known scores; ``factors`` say
    per quantity what both weights are multiplied by.
    """

    def __init__(
        self,
        known: np.ndarray,
        unknown: np.ndarray,
        values: np.ndarray,
        factors: dict[str, tuple[np.ndarray, np.ndarray]],
    ) -> None:
        self.values = values
        self.known: dict[str, np.ndarray] = {}
        self.unknown: dict[str, np.ndarray] = {}
        for name, (of_known, of_unknown) in factors.items():
            a, b = known * of_known[:, None], unknown * of_unknown[:, None]
            total = a.sum(0) + b.sum(0)
            total = np.where(total > 0, total, np.nan)
            self.known[name], self.unknown[name] = a / total, b / total

    def spread(self, coefficients: dict[str, float]) -> tuple[np.ndarray, np.ndarray]:
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
    weighting: Weighting,
    chances: Chances,
    multipliers: np.ndarray,
    shares: Shares,
    *,
    response: bool,
) -> Limits:
    """Lowest and highest value of every quantity and term, in NPS points.

    With ``response`` those who were asked and did not answer are unknown too, else only those
    who could not be asked. Other arguments are those of `quantities`.

    Notes
    -----
    Every term is linear in the scores. An unknown score lies between −100 and 100, so the
    term lies within 100·Σ|coefficient| of its known part: one unknown score is the same in
    all the quantities that a term combines.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions.
    """
    sides = [
        mixture(weighting, chances, survey, multipliers, response=response)
        for survey in SURVEY_TYPES
    ]
    fixed = {name: NPS_VALUES @ shares[name] for name in ("A0", "B0", "B1")}
    found = {}
    for name, coefficients in QUANTITY_COEFFICIENTS.items():
        middle = sum(c * fixed[q] for q, c in coefficients.items() if q in fixed)
        half = np.zeros(multipliers.shape[1])
        for side in sides:
            centre, width = side.spread(coefficients)
            middle, half = middle + centre, half + width
        found[name] = np.stack([middle - half, middle + half])
    return found


def mixture(
    weighting: Weighting, chances: Chances, survey: str, multipliers: np.ndarray, *, response: bool
) -> Mixture:
    """The known and unknown answers of one survey, weighted as its quantities are."""
    side = weighting.side(survey)
    weigh = reach_weights if response else answer_weights
    rows, silent = side.answered, side.unanswered if response else side.unanswered[:0]
    never = np.flatnonzero(~side.reachable)
    lost = np.r_[silent, never]
    customer, m = side.asked.customer, side.asked.episodes.astype(float)
    unknown = reach_weights(weighting, chances, survey, silent) * multipliers[customer[silent]]
    of_row = {
        "transactional": {"B2": np.ones(len(m)), "B3": 1.0 / np.maximum(m, 1.0)},
        "relationship": {"C0": np.ones(len(m)), "C1": (m > 0).astype(float), "C2": m},
    }[survey]
    return Mixture(
        weigh(weighting, chances, survey, rows) * multipliers[customer[rows]],
        np.vstack([unknown, multipliers[customer[never]]]),
        NPS_VALUES[side.asked.score[rows]],
        {name: (factor[rows], factor[lost]) for name, factor in of_row.items()},
    )


def tipping_points(
    weighting: Weighting, chances: Chances, residual: float
) -> list[tuple[str, float]]:
    """How different the silent would have to be for the residual to vanish.

    Per survey: NPS of those who did not answer less that of those who did, in points, at which
    the residual is 0; infinite where no difference of at most 200 points would do.
    """
    ones = np.ones((weighting.n_customers, 1))
    found = []
    for survey, sign in zip(SURVEY_TYPES, (-1.0, 1.0), strict=True):
        share = mixture(weighting, chances, survey, ones, response=True).silent_share()
        needed = sign * residual / share if share > 0 else np.inf
        found.append((survey, needed if abs(needed) <= 2 * BEST else np.inf))
    return found


def check_limits(checks: pd.DataFrame) -> dict[str, float]:
    """The end of each check's interval that lies further from 0; absent without a check."""
    half = normal_quantile(LEVEL) * checks["se"]
    limits = checks["estimate"] + np.where(checks["estimate"] < 0, -half, half)
    return {
        str(survey): float(limit)
        for survey, limit in zip(checks["survey"], limits, strict=True)
        if np.isfinite(limit)
    }


def slopes_of(limits: Mapping[str, float]) -> dict[str, tuple[float, ...]]:
    """Slopes to try for each survey."""
    return {s: (*SLOPES, *([limits[s]] if s in limits else [])) for s in SURVEY_TYPES}


def pairs_of_slopes(limits: Mapping[str, float]) -> list[tuple[str, float, float, str]]:
    """In which survey answering depends on the score, both slopes, and where they come from."""
    tried = [(slope, slope, "") for slope in SLOPES if slope]
    if limits:
        at_limit = [limits.get(survey, 0.0) for survey in SURVEY_TYPES]
        tried.append((at_limit[0], at_limit[1], AT_LIMIT))
    rows = [("neither survey", 0.0, 0.0, "")]
    rows += [("both surveys", t, r, note) for t, r, note in tried]
    rows += [("transactional only", t, 0.0, note) for t, _, note in tried if t]
    rows += [("relationship only", 0.0, r, note) for _, r, note in tried if r]
    return rows


def tilted(
    weighting: Weighting,
    chances: Chances,
    multipliers: np.ndarray,
    slopes: Mapping[str, Sequence[float]],
) -> Tilts:
    """Standardised quantities of both surveys under each slope, for every replicate."""
    found: Tilts = {}
    for survey in SURVEY_TYPES:
        for slope in slopes[survey]:
            weight = tilted_weights(weighting, chances, survey, slope, multipliers)
            found[survey, slope] = weighted_quantities(weighting, survey, weight, multipliers)
    return found


def tilted_weights(
    weighting: Weighting, chances: Chances, survey: str, slope: float, multipliers: np.ndarray
) -> np.ndarray:
    """1 / chance of an answer if its log odds are α(x) + slope × score: (answers, replicates).

    Notes
    -----
    v = 1 + exp(−(α + γ(s − 7))), α = x'β with the terms x of the propensity, and β such that
    the answers, weighted by v, count as many as were invited: Σ_answered w·v·x =
    Σ_invited w·x, with w the inverse chance of an invitation.

    References
    ----------
    Scharfstein, Rotnitzky & Robins (1999), JASA 94, 1096–1120.
    """
    side = weighting.side(survey)
    rows, silent = side.answered, side.unanswered
    pattern, n, customer = side.patterns.row, side.patterns.n, side.asked.customer
    reach = reach_weights(weighting, chances, survey, rows)
    odds = np.exp(-slope * (side.asked.score[rows] - MIDDLE))[:, None]
    lost = reach_weights(weighting, chances, survey, silent) * multipliers[customer[silent]]
    exposure = label_totals(pattern[rows], reach * odds * multipliers[customer[rows]], n)
    missing = label_totals(pattern[silent], lost, n)
    factor = silent_factors(side.patterns.design, exposure, missing)
    return reach * (1.0 + odds * factor[pattern[rows]])


def response_check(weighting: Weighting, *, fewest: int) -> pd.DataFrame:
    """Does answering one survey go with the same customer's score in the other one?

    ``n`` counts invited rows whose customer's other score is known, ``estimate`` is the log odds
    of answering per score point, given cell, frame variables and episodes. Fewer than ``fewest``
    customers, or 30 rows, are not checked.

    Notes
    -----
    If response depends on the frame variables only, it cannot go with the other survey's
    score given them. A score test of a logistic model, clustered by customer. It finds
    dependence only so far as the two scores of a customer go together, and that is rarely:
    it decides nothing, and the far end of its interval is a slope that `tilting_table` tries.
    """
    t, r = weighting.transactional, weighting.relationship
    rows = [
        _check_side("transactional", t, r, weighting.n_customers, fewest),
        _check_side("relationship", r, t, weighting.n_customers, fewest),
    ]
    return pd.DataFrame(rows)


def _check_side(
    survey: str, side: Side, other: Side, n_customers: int, fewest: int
) -> dict[str, object]:
    rows = np.flatnonzero(side.asked.invited & side.reachable)
    partner = _customer_means(other, n_customers)
    rows = rows[~np.isnan(partner[side.asked.customer[rows]])]
    y = side.asked.answered[rows].astype(float)
    customers = len(np.unique(side.asked.customer[rows]))
    row: dict[str, object] = {"survey": survey, "n": len(rows), "customers": customers}
    row |= dict.fromkeys(("estimate", "se", "statistic", "p_value"), np.nan)
    z = partner[side.asked.customer[rows]] if len(rows) else np.empty(0)
    if len(rows) < MIN_CHECKED or customers < fewest or np.ptp(y) == 0 or np.ptp(z) == 0:
        return row | {"note": "too few customers in both surveys to check"}
    information, score, variance = _score_test(side, rows, y, z, n_customers)
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


def _customer_means(side: Side, n_customers: int) -> np.ndarray:
    """Mean valid score of each customer; NaN without one."""
    rows = np.flatnonzero(side.asked.answered)
    customer = side.asked.customer[rows]
    counts = np.bincount(customer, minlength=n_customers)
    sums = np.bincount(customer, side.asked.score[rows], minlength=n_customers)
    return sums / np.where(counts > 0, counts, np.nan)


def _score_test(
    side: Side, rows: np.ndarray, y: np.ndarray, z: np.ndarray, n_customers: int
) -> tuple[float, float, float]:
    pattern, customer = side.patterns.row[rows], side.asked.customer[rows]
    ones = np.ones((n_customers, 1))
    trials, successes = (
        incidence(pattern, customer, which, side.patterns.n, n_customers) @ ones
        for which in (y >= 0, y > 0)
    )
    chance = fit_chances(side.patterns.design, successes, trials).chance[pattern, 0]
    x, weight = side.patterns.design[pattern], chance * (1 - chance)
    gram = x.T @ (weight[:, None] * x) + 1e-9 * np.eye(x.shape[1])
    rest = z - x @ np.linalg.solve(gram, x.T @ (weight * z))
    score = rest * (y - chance)
    per_customer = np.bincount(customer, score, minlength=n_customers)
    return float((weight * rest**2).sum()), float(score.sum()), float((per_customer**2).sum())


@dataclass(frozen=True)
class Identification:
    """Why the standardised quantities of a survey are not identified; empty where they are."""

    transactional: str = ""
    relationship: str = ""

    def reason(self, coefficients: Mapping[str, float]) -> str:
        """Why this combination of quantities is not identified; empty if it is."""
        standardised = (
            (self.transactional, ("B2", "B3")),
            (self.relationship, ("C0", "C1", "C2")),
        )
        reasons = [
            why for why, names in standardised if why and any(q in coefficients for q in names)
        ]
        return "; ".join(dict.fromkeys(reasons))


def identification(weighting: Weighting) -> Identification:
    """What is not identified because some customers could not be asked.

    The response check decides nothing here: it would pass most programmes in which answering
    depends on the score.
    """
    lost = len(weighting.unreachable)
    if not lost:
        return Identification()
    share = lost / len(weighting.relationship.asked.customer)
    return Identification(
        relationship=f"{share:.1%} of the customer base could not be asked the relationship survey"
    )
