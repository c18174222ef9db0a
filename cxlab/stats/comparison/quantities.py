"""The quantities A0 to C2 and B0 to B3, each as shares of the scores 0 to 10.

Every quantity is a weighted distribution over the eleven scores, so that every metric (NPS,
mean, top box) is a linear function of it, and every one is computed for any multipliers of
the customers: ones give the estimate, a bootstrap's counts give a replicate in which every
propensity and every cell share is fitted again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.stats.comparison.collected import Asked, Collected
from cxlab.stats.comparison.lookback import LookBack
from cxlab.stats.comparison.propensity import Fit, Patterns, fit_chances, patterns

N_SCORES = 11
NPS_VALUES = np.array([-100.0] * 7 + [0.0] * 2 + [100.0] * 2)
MEANINGS = {
    "A0": "relationship answers as collected",
    "C0": "relationship, whole customer base (E1)",
    "C1": "relationship, customers with an eligible episode",
    "C2": "relationship, the same counted once per episode",
    "B0": "transactional answers as collected",
    "B1": "transactional answers at the eligible mix of cells",
    "B2": "transactional, all eligible episodes (E2)",
    "B3": "transactional, each customer counted once (E2)",
}


@dataclass(frozen=True, eq=False)
class Side:
    """One survey's invitation rows, ready to be weighted.

    Attributes
    ----------
    asked : Asked
    patterns : Patterns
    reachable : ndarray of bool, shape (rows,)
        Rows that had some chance of an answer.
    counts : dict of str to sparse matrix, shape (patterns, units)
        Reachable rows that are eligible, free, invited, answered.
    cells : dict of str to sparse matrix, shape (cells, units)
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
class Engine:
    """Both surveys, the look-backs and the caps of the weights.

    Attributes
    ----------
    transactional, relationship : Side
    look_back : LookBack
    n_cells, n_units : int
    caps : dict of str to float
        Largest weight of each survey; infinite without trimming.
    """

    transactional: Side
    relationship: Side
    look_back: LookBack
    n_cells: int
    n_units: int
    caps: dict[str, float]

    def side(self, survey: str) -> Side:
        """The rows of one survey."""
        return self.transactional if survey == "transactional" else self.relationship

    @property
    def unreachable(self) -> np.ndarray:
        """Positions of the waves without a chance."""
        return np.flatnonzero(~self.relationship.reachable)


def build_engine(collected: Collected, traits: pd.DataFrame, n_units: int) -> Engine:
    """Count the rows of every pattern of frame variables, per unit of resampling."""
    everyone = np.ones(len(collected.episodes.customer), dtype=bool)
    n_cells = max(len(collected.cells), 1)
    return Engine(
        transactional=_side(collected.episodes, traits, n_cells, n_units, everyone, by_cell=True),
        relationship=_side(
            collected.waves, traits, 1, n_units, ~collected.unreachable, by_cell=False
        ),
        look_back=collected.look_back,
        n_cells=n_cells,
        n_units=n_units,
        caps={"transactional": np.inf, "relationship": np.inf},
    )


def _side(
    asked: Asked,
    traits: pd.DataFrame,
    n_cells: int,
    n_units: int,
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
    cell = asked.cell if by_cell else np.zeros(len(asked.cell), dtype=np.int64)
    return Side(
        asked=asked,
        patterns=made,
        reachable=reachable,
        counts={
            n: incidence(made.row, asked.unit, rows, made.n, n_units) for n, rows in kept.items()
        },
        cells={n: incidence(cell, asked.unit, rows, n_cells, n_units) for n, rows in kept.items()},
    )


def incidence(
    row: np.ndarray, unit: np.ndarray, mask: np.ndarray, n_rows: int, n_units: int
) -> sparse.csr_matrix:
    """How many marked rows each unit has under each label: shape (labels, units)."""
    at = np.flatnonzero(mask)
    return sparse.csr_matrix((np.ones(len(at)), (row[at], unit[at])), shape=(n_rows, n_units))


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
    engine: Engine, multipliers: np.ndarray, starts: dict[str, np.ndarray] | None = None
) -> Chances:
    """Fit every propensity anew for each replicate.

    Parameters
    ----------
    engine : Engine
    multipliers : ndarray of float, shape (units, replicates)
    starts : dict of str to ndarray, optional
        Coefficients of the fit to the whole data.
    """
    starts = starts or {}
    t, r = engine.transactional, engine.relationship
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


def reach_weights(engine: Engine, chances: Chances, survey: str, rows: np.ndarray) -> np.ndarray:
    """1 / chance of an invitation: shape (rows, replicates)."""
    if survey == "transactional":
        side = engine.transactional
        released = chances.free[side.patterns.row[rows]]
        drawn = chances.drawn_t[side.asked.cell[rows]]
    else:
        side = engine.relationship
        released = engine.look_back.take(rows).chance(chances.drawn_t)
        drawn = np.repeat(chances.drawn_r, len(rows), 0)
    designed = side.asked.chance_sampled[rows, None]
    return 1.0 / (released * np.where(np.isnan(designed), drawn, designed))


def answer_weights(engine: Engine, chances: Chances, survey: str, rows: np.ndarray) -> np.ndarray:
    """1 / chance of an answer, cut at the survey's cap: shape (rows, replicates)."""
    side = engine.side(survey)
    answer = chances.answer_t if survey == "transactional" else chances.answer_r
    weight = reach_weights(engine, chances, survey, rows) / answer[side.patterns.row[rows]]
    return np.minimum(weight, engine.caps[survey])


Shares = dict[str, np.ndarray]


def quantities(engine: Engine, chances: Chances, multipliers: np.ndarray) -> Shares:
    """All eight quantities as shares of the scores: each of shape (11, replicates).

    A quantity without an answer is NaN.
    """
    found = collected_quantities(engine, multipliers)
    for survey in ("transactional", "relationship"):
        rows = engine.side(survey).answered
        weight = answer_weights(engine, chances, survey, rows)
        found |= weighted_quantities(engine, survey, weight, multipliers)
    return found


def collected_quantities(engine: Engine, multipliers: np.ndarray) -> Shares:
    """A0, B0 and B1, which nothing is assumed for."""
    side = engine.transactional
    rows = side.answered
    score, cell = side.asked.score[rows], side.asked.cell[rows]
    times = multipliers[side.asked.unit[rows]]
    per_cell = label_totals(cell * N_SCORES + score, times, engine.n_cells * N_SCORES)
    per_cell = per_cell.reshape(engine.n_cells, N_SCORES, -1)
    eligible = side.cells["eligible"] @ multipliers
    asked = engine.relationship.asked
    collected = np.flatnonzero(asked.answered)
    return {
        "A0": share_of_scores(asked.score[collected], multipliers[asked.unit[collected]]),
        "B0": share_of_scores(score, times),
        "B1": _at_eligible_mix(per_cell, eligible),
    }


def weighted_quantities(
    engine: Engine, survey: str, weight: np.ndarray, multipliers: np.ndarray
) -> Shares:
    """B2 and B3, or C0 to C2, for any weights of the answers: shape (answers, replicates)."""
    side = engine.side(survey)
    rows = side.answered
    score, m = side.asked.score[rows], side.asked.episodes[rows, None].astype(float)
    weight = weight * multipliers[side.asked.unit[rows]]
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
