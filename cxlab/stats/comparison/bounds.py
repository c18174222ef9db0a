"""What could be, if nothing is assumed of those who did not answer or could not be asked."""

from __future__ import annotations

import numpy as np

from cxlab.stats.comparison.quantities import (
    NPS_VALUES,
    Chances,
    Engine,
    Shares,
    answer_weights,
    fit_all,
    reach_weights,
)
from cxlab.stats.comparison.terms import QUANTITY_COEFFICIENTS, combine

BEST = float(NPS_VALUES.max())


class Mixture:
    """Known and unknown parts of a survey's quantities.

    Parameters
    ----------
    known, unknown : ndarray of float, shape (rows, replicates)
        Weights of rows with an answer, and of rows whose score could be anything.
    values : ndarray of float, shape (known rows,)
        Points of the known scores.
    factors : dict of str to (ndarray, ndarray)
        Per quantity, what the weights of known and unknown rows are multiplied by.
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


def bounds(
    engine: Engine,
    chances: Chances,
    multipliers: np.ndarray,
    shares: Shares,
    *,
    response: bool,
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Lowest and highest value of every quantity and term, in NPS points.

    Parameters
    ----------
    engine, chances, multipliers, shares
        As in `quantities`.
    response : bool
        False: only those who could not be asked are unknown. True: those who were asked
        and did not answer are unknown too.

    Returns
    -------
    dict of str to (ndarray, ndarray), each of shape (replicates,)

    Notes
    -----
    Every term is linear in the scores. An unknown score lies between −100 and 100, so the
    term lies within 100·Σ|coefficient| of its known part: one unknown score is the same in
    all the quantities that a term combines.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions.
    """
    if not response and not len(engine.unreachable):
        return _no_unknown(shares)
    sides = (
        _transactional(engine, chances, multipliers, response=response),
        _relationship(engine, chances, multipliers, response=response),
    )
    fixed = {name: NPS_VALUES @ shares[name] for name in ("A0", "B0", "B1")}
    found = {}
    for name, coefficients in QUANTITY_COEFFICIENTS.items():
        middle = sum(c * fixed[q] for q, c in coefficients.items() if q in fixed)
        half = np.zeros(multipliers.shape[1])
        for side in sides:
            centre, width = side.spread(coefficients)
            middle, half = middle + centre, half + width
        found[name] = (middle - half, middle + half)
    return found


def _no_unknown(shares: Shares) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Everybody had a chance to be asked: both bounds are the estimate."""
    values = {name: NPS_VALUES @ share for name, share in shares.items()}
    exact = {name: combine(values, c) for name, c in QUANTITY_COEFFICIENTS.items()}
    return {name: (value, value) for name, value in exact.items()}


def _transactional(
    engine: Engine, chances: Chances, multipliers: np.ndarray, *, response: bool
) -> Mixture:
    side = engine.transactional
    weigh = reach_weights if response else answer_weights
    rows, lost = side.answered, side.unanswered if response else side.unanswered[:0]
    weight = {
        "known": weigh(engine, chances, "transactional", rows) * multipliers[side.asked.unit[rows]],
        "unknown": reach_weights(engine, chances, "transactional", lost)
        * multipliers[side.asked.unit[lost]],
    }
    per_customer = 1.0 / side.asked.episodes
    one = np.ones(len(per_customer))
    return Mixture(
        weight["known"],
        weight["unknown"],
        NPS_VALUES[side.asked.score[rows]],
        {"B2": (one[rows], one[lost]), "B3": (per_customer[rows], per_customer[lost])},
    )


def _relationship(
    engine: Engine, chances: Chances, multipliers: np.ndarray, *, response: bool
) -> Mixture:
    side = engine.relationship
    weigh = reach_weights if response else answer_weights
    rows, silent = side.answered, side.unanswered if response else side.unanswered[:0]
    never = engine.unreachable
    unknown = np.vstack(
        [
            reach_weights(engine, chances, "relationship", silent)
            * multipliers[side.asked.unit[silent]],
            multipliers[side.asked.unit[never]],
        ]
    )
    lost = np.r_[silent, never]
    m = side.asked.episodes.astype(float)
    some = (m > 0).astype(float)
    one = np.ones(len(m))
    return Mixture(
        weigh(engine, chances, "relationship", rows) * multipliers[side.asked.unit[rows]],
        unknown,
        NPS_VALUES[side.asked.score[rows]],
        {
            "C0": (one[rows], one[lost]),
            "C1": (some[rows], some[lost]),
            "C2": (m[rows], m[lost]),
        },
    )


def tipping_points(engine: Engine, residual: float) -> list[dict[str, object]]:
    """How different the silent would have to be for the residual to vanish.

    Parameters
    ----------
    engine : Engine
    residual : float
        Points.

    Returns
    -------
    list of dict
        Per survey: ``survey``, ``silent_share`` (weighted share of asked people who did not
        answer), ``estimate`` (NPS of the silent less that of those who answered, in points, at
        which the residual is 0), ``possible`` (no more than 200 points).
    """
    ones = np.ones((engine.n_units, 1))
    chances = fit_all(engine, ones)
    rows = []
    for survey, side, names in (
        ("transactional", _transactional(engine, chances, ones, response=True), ("B2", "B3")),
        ("relationship", _relationship(engine, chances, ones, response=True), ("C1", "C2")),
    ):
        share = float(sum(side.unknown[name].sum() for name in names) / 2)
        sign = -1.0 if survey == "transactional" else 1.0
        needed = sign * residual / share if share > 0 else np.inf
        rows.append(
            {
                "survey": survey,
                "silent_share": share,
                "estimate": needed,
                "possible": bool(abs(needed) <= 2 * BEST),
            }
        )
    return rows
