"""Terms of the gap, and the quantities A0 to C2 and B0 to B3 of which they are made.

Every quantity is a weighted distribution over the scores 0 to 10, so that every metric (NPS,
mean, top box) is a linear function of it, and every one is computed for any multipliers of
the customers: ones give the estimate, a bootstrap's counts give a replicate in which every
propensity and every cell share is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.stats.comparison.asked import Asked, Collected
from cxlab.stats.comparison.propensity import (
    Fit,
    LookBack,
    Patterns,
    fit_chances,
    patterns,
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


@dataclass(frozen=True, eq=False)
class Side:
    """One survey's invitation rows, ready to be weighted.

    Attributes
    ----------
    asked : Asked
    patterns : Patterns
    reachable : ndarray of bool, shape (rows,)
        Rows that had some chance of an answer.
    counts : dict of str to sparse matrix, shape (patterns, customers)
        Reachable rows that are eligible, free, invited, answered.
    cells : dict of str to sparse matrix, shape (cells, customers)
        The same per cell, for eligible, free and invited.
    """

    asked: Asked
    patterns: Patterns
    reachable: np.ndarray
    counts: dict[str, sparse.csr_matrix]
    cells: dict[str, sparse.csr_matrix]

    @property
    def answered(self) -> np.ndarray:
        """Positions of the rows with a valid answer."""
        return np.flatnonzero(self.asked.answered & self.reachable)

    @property
    def unanswered(self) -> np.ndarray:
        """Positions of the rows that were invited and gave no valid answer."""
        return np.flatnonzero(self.asked.invited & ~self.asked.answered & self.reachable)


@dataclass(frozen=True, eq=False)
class Weighting:
    """Both surveys and the look-backs."""

    transactional: Side
    relationship: Side
    look_back: LookBack
    n_cells: int
    n_customers: int

    def side(self, survey: str) -> Side:
        """The rows of one survey."""
        return self.transactional if survey == "transactional" else self.relationship

    @property
    def unreachable(self) -> np.ndarray:
        """Positions of the waves without a chance."""
        return np.flatnonzero(~self.relationship.reachable)


def build_weighting(collected: Collected, traits: pd.DataFrame, n_customers: int) -> Weighting:
    """Count the rows of every pattern of frame variables, per customer."""
    everyone = np.ones(len(collected.episodes.customer), dtype=bool)
    n_cells = max(len(collected.cells), 1)
    return Weighting(
        transactional=_side(
            collected.episodes, traits, n_cells, n_customers, everyone, by_cell=True
        ),
        relationship=_side(
            collected.waves, traits, 1, n_customers, ~collected.unreachable, by_cell=False
        ),
        look_back=collected.look_back,
        n_cells=n_cells,
        n_customers=n_customers,
    )


def _side(
    asked: Asked,
    traits: pd.DataFrame,
    n_cells: int,
    n_customers: int,
    reachable: np.ndarray,
    *,
    by_cell: bool,
) -> Side:
    frame = {name: traits[name].to_numpy()[asked.customer] for name in traits}
    if by_cell:
        frame["cell"] = asked.cell
    made = patterns(frame, asked.episodes, asked.invited & reachable)
    kept = {
        "eligible": reachable,
        "free": reachable & asked.free,
        "invited": reachable & asked.invited,
        "answered": reachable & asked.answered,
    }

    def counts(label: np.ndarray, n: int) -> dict[str, sparse.csr_matrix]:
        return {
            name: incidence(label, asked.customer, rows, n, n_customers)
            for name, rows in kept.items()
        }

    return Side(
        asked=asked,
        patterns=made,
        reachable=reachable,
        counts=counts(made.row, made.n),
        cells=counts(asked.cell, n_cells),
    )


def incidence(
    label: np.ndarray, customer: np.ndarray, rows: np.ndarray, n_labels: int, n_customers: int
) -> sparse.csr_matrix:
    """How many marked rows each customer has under each label: shape (labels, customers)."""
    at = np.flatnonzero(rows)
    cells = (np.ones(len(at)), (label[at], customer[at]))
    return sparse.csr_matrix(cells, shape=(n_labels, n_customers))


@dataclass(frozen=True, eq=False)
class Chances:
    """Fitted chances in all replicates.

    Attributes
    ----------
    free : ndarray of float, shape (transactional patterns, replicates)
        An episode is not suppressed.
    answer_t, answer_r : ndarray of float, shape (patterns, replicates)
        An invited row is answered.
    drawn_t : ndarray of float, shape (cells, replicates)
    drawn_r : ndarray of float, shape (1, replicates)
        Share drawn among the rows not suppressed.
    fits : dict of str to Fit
    """

    free: np.ndarray
    answer_t: np.ndarray
    answer_r: np.ndarray
    drawn_t: np.ndarray
    drawn_r: np.ndarray
    fits: dict[str, Fit]

    def first(self, n: int) -> Chances:
        """The first ``n`` replicates."""
        parts = ("free", "answer_t", "answer_r", "drawn_t", "drawn_r")
        return Chances(**{name: getattr(self, name)[:, :n] for name in parts}, fits=self.fits)


def fit_all(
    weighting: Weighting, multipliers: np.ndarray, starts: dict[str, np.ndarray] | None = None
) -> Chances:
    """Fit every propensity anew for each replicate.

    ``multipliers`` have shape (customers, replicates); ``starts`` are the coefficients of the fit
    to the whole data.
    """
    starts = starts or {}
    t, r = weighting.transactional, weighting.relationship
    count_t = {name: table @ multipliers for name, table in t.counts.items()}
    count_r = {name: r.counts[name] @ multipliers for name in ("invited", "answered")}
    fits = {
        "answer_t": _fit(t, count_t["answered"], count_t["invited"], starts.get("answer_t")),
        "answer_r": _fit(r, count_r["answered"], count_r["invited"], starts.get("answer_r")),
    }
    if not t.asked.free.all():
        fits["free"] = _fit(t, count_t["free"], count_t["eligible"], starts.get("free"))
    return Chances(
        free=fits["free"].chance if "free" in fits else np.ones_like(count_t["eligible"]),
        answer_t=fits["answer_t"].chance,
        answer_r=fits["answer_r"].chance,
        drawn_t=_shares(t, multipliers),
        drawn_r=_shares(r, multipliers),
        fits=fits,
    )


def _fit(side: Side, successes: np.ndarray, trials: np.ndarray, start: np.ndarray | None) -> Fit:
    return fit_chances(side.patterns.design, successes, trials, start=start)


def _shares(side: Side, multipliers: np.ndarray) -> np.ndarray:
    drawn, among = side.cells["invited"] @ multipliers, side.cells["free"] @ multipliers
    return drawn / np.where(among > 0, among, 1.0)


def reach_weights(
    weighting: Weighting, chances: Chances, survey: str, rows: np.ndarray
) -> np.ndarray:
    """1 / chance of an invitation: shape (rows, replicates)."""
    if survey == "transactional":
        side = weighting.transactional
        released = chances.free[side.patterns.row[rows]]
        drawn = chances.drawn_t[side.asked.cell[rows]]
    else:
        side = weighting.relationship
        released = weighting.look_back.take(rows).chance(chances.drawn_t)
        drawn = np.repeat(chances.drawn_r, len(rows), 0)
    designed = side.asked.chance_sampled[rows, None]
    return 1.0 / (released * np.where(np.isnan(designed), drawn, designed))


def answer_weights(
    weighting: Weighting, chances: Chances, survey: str, rows: np.ndarray
) -> np.ndarray:
    """1 / chance of an answer: shape (rows, replicates)."""
    side = weighting.side(survey)
    answer = chances.answer_t if survey == "transactional" else chances.answer_r
    return reach_weights(weighting, chances, survey, rows) / answer[side.patterns.row[rows]]


Shares = dict[str, np.ndarray]


def quantities(weighting: Weighting, chances: Chances, multipliers: np.ndarray) -> Shares:
    """All eight quantities as shares of the scores: each of shape (11, replicates).

    A quantity without an answer is NaN.
    """
    found = collected_quantities(weighting, multipliers)
    for survey in ("transactional", "relationship"):
        rows = weighting.side(survey).answered
        weight = answer_weights(weighting, chances, survey, rows)
        found |= weighted_quantities(weighting, survey, weight, multipliers)
    return found


def collected_quantities(weighting: Weighting, multipliers: np.ndarray) -> Shares:
    """A0, B0 and B1, which nothing is assumed for."""
    side = weighting.transactional
    rows = side.answered
    score, cell = side.asked.score[rows], side.asked.cell[rows]
    times = multipliers[side.asked.customer[rows]]
    per_cell = label_totals(cell * N_SCORES + score, times, weighting.n_cells * N_SCORES)
    per_cell = per_cell.reshape(weighting.n_cells, N_SCORES, -1)
    eligible = side.cells["eligible"] @ multipliers
    asked = weighting.relationship.asked
    collected = np.flatnonzero(asked.answered)
    return {
        "A0": share_of_scores(asked.score[collected], multipliers[asked.customer[collected]]),
        "B0": share_of_scores(score, times),
        "B1": _at_eligible_mix(per_cell, eligible),
    }


def weighted_quantities(
    weighting: Weighting, survey: str, weight: np.ndarray, multipliers: np.ndarray
) -> Shares:
    """B2 and B3, or C0 to C2, for any weights of the answers: shape (answers, replicates)."""
    side = weighting.side(survey)
    rows = side.answered
    score, m = side.asked.score[rows], side.asked.episodes[rows, None].astype(float)
    weight = weight * multipliers[side.asked.customer[rows]]
    if survey == "transactional":
        return {"B2": share_of_scores(score, weight), "B3": share_of_scores(score, weight / m)}
    return {
        "C0": share_of_scores(score, weight),
        "C1": share_of_scores(score, weight * (m > 0)),
        "C2": share_of_scores(score, weight * m),
    }


def _at_eligible_mix(per_cell: np.ndarray, eligible: np.ndarray) -> np.ndarray:
    """Σ_c S_c·(shares of the scores in cell c), over the cells that hold an answer."""
    answers = per_cell.sum(1)
    covered = np.where(answers > 0, eligible, 0.0)
    share = covered / np.where(covered.sum(0) > 0, covered.sum(0), np.nan)
    within = per_cell / np.where(answers > 0, answers, 1.0)[:, None, :]
    return np.einsum("cb,csb->sb", share, within)


def share_of_scores(score: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Weighted share of each score: shape (11, replicates)."""
    total = label_totals(score, weight, N_SCORES)
    everything = total.sum(0)
    return total / np.where(everything > 0, everything, np.nan)


def label_totals(label: np.ndarray, weight: np.ndarray, n: int) -> np.ndarray:
    """Sum of the weights under each label: shape (n, replicates)."""
    if weight.shape[1] == 1:
        return np.bincount(label, weight[:, 0], minlength=n)[:, None].astype(float)
    ones = np.ones(len(label))
    table = sparse.csr_matrix((ones, (label, np.arange(len(label)))), shape=(n, len(label)))
    return table @ weight


def combine(values: dict[str, np.ndarray], coefficients: dict[str, float]) -> np.ndarray:
    """Linear combination of the quantities."""
    return sum((c * values[name] for name, c in coefficients.items()), start=np.zeros(1))


def check_sum(values: dict[str, np.ndarray]) -> None:
    """Refuse terms that do not add to the gap."""
    total = sum((combine(values, TERMS[name]) for name in TERMS), start=np.zeros(1))
    off = np.abs(total - combine(values, TOTALS["gap"]))
    if np.nanmax(off, initial=0.0) > SUM_TOLERANCE:
        raise ArithmeticError(
            f"The terms must add to the gap; they miss it by {np.nanmax(off):.3g} points."
        )
