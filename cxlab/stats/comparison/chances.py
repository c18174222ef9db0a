"""Chances of being let through, drawn and answering, and the weights that are their inverse.

statsmodels fits the same logistic models one at a time; a bootstrap needs a thousand of each, so
all replicates are fitted together here. The tests compare one with ``statsmodels.GLM``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import sparse

from cxlab.stats.comparison.asked import Collected, LookBack
from cxlab.stats.covariance.covariance import unpack

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
#: Scores are counted from here, so that exp(slope × score) neither over- nor underflows.
MIDDLE = 7.0


@dataclass(frozen=True, eq=False)
class Side:
    """One survey's invitation rows (`Collected.rows`), ready to be weighted.

    Rows with the same frame variables share one chance: their ``pattern``. ``design``,
    (patterns, k), holds an intercept, indicators of the categories and the episodes. ``counts``,
    (patterns, customers), and ``cells``, (cells, customers), hold the reachable rows that are
    eligible, free, invited and answered. ``look_back`` is that of the waves.
    """

    survey: str
    rows: pd.DataFrame
    design: np.ndarray
    counts: dict[str, sparse.csr_matrix]
    cells: dict[str, sparse.csr_matrix]
    look_back: LookBack | None

    @cached_property
    def answered(self) -> pd.DataFrame:
        """The rows with a valid answer."""
        return self.rows[self.rows["answered"] & self.rows["reachable"]]

    @cached_property
    def unanswered(self) -> pd.DataFrame:
        """The rows that were invited and gave no valid answer."""
        return self.invited[~self.invited["answered"]]

    @cached_property
    def invited(self) -> pd.DataFrame:
        """The rows that were invited, of those with a chance of it."""
        return self.rows[self.rows["invited"] & self.rows["reachable"]]

    def factors(self, rows: pd.DataFrame) -> dict[str, np.ndarray]:
        """What each row's weight is multiplied by in the survey's standardised quantities."""
        m = rows["episodes"].to_numpy(dtype=float)
        if self.look_back is None:
            return {"B2": np.ones(len(m)), "B3": 1.0 / np.maximum(m, 1.0)}
        return {"C0": np.ones(len(m)), "C1": (m > 0).astype(float), "C2": m}


#: By survey, transactional first.
Sides = Mapping[str, Side]


def sides_of(collected: Collected, traits: pd.DataFrame, n_customers: int) -> Sides:
    """Count the rows of every pattern of frame variables, per customer."""
    t, r = collected.rows.values()
    return {
        "transactional": _side("transactional", t, traits, collected.n_cells, n_customers, None),
        "relationship": _side("relationship", r, traits, 1, n_customers, collected.look_back),
    }


def _side(
    survey: str,
    rows: pd.DataFrame,
    traits: pd.DataFrame,
    n_cells: int,
    n_customers: int,
    look_back: LookBack | None,
) -> Side:
    frame = {name: traits[name].to_numpy()[rows["customer"]] for name in traits}
    frame["cell"] = rows["cell"].to_numpy()
    at_risk = (rows["invited"] & rows["reachable"]).to_numpy()
    pattern, design = patterns(frame, rows["episodes"].to_numpy(), at_risk)
    rows = rows.assign(pattern=pattern, eligible=True)
    counts, cells = (
        {
            name: incidence(rows[rows["reachable"] & rows[name]], label, n, n_customers)
            for name in ("eligible", "free", "invited", "answered")
        }
        for label, n in (("pattern", len(design)), ("cell", max(n_cells, 1)))
    )
    return Side(survey, rows, design, counts, cells, look_back)


def incidence(rows: pd.DataFrame, label: str, n_labels: int, n_customers: int) -> sparse.csr_matrix:
    """How many rows each customer has under each label: shape (labels, customers)."""
    cells = (np.ones(len(rows)), (rows[label], rows["customer"]))
    return sparse.csr_matrix(cells, shape=(n_labels, n_customers))


def patterns(
    traits: Mapping[str, np.ndarray], episodes: np.ndarray, at_risk: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Number the distinct combinations of traits and episodes, and code them for a model.

    Classes of episodes with few rows ``at_risk`` of an answer are merged.
    """
    codes = [pd.factorize(values, sort=True) for values in traits.values()]
    key = np.asarray(episodes, dtype=np.int64)
    for code, labels in codes:
        key = key * max(len(labels), 1) + code
    distinct, first, row = np.unique(key, return_index=True, return_inverse=True)
    columns = [np.ones(len(distinct))]
    for code, labels in codes:
        columns += [(code[first] == value).astype(float) for value in range(1, len(labels))]
    m = episodes[first]
    columns += _episode_classes(m, episodes[at_risk])
    if len(np.unique(m)) > 1:
        columns.append(np.log1p(m))
    return row, np.column_stack(columns)


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
    """Chances, (patterns, replicates), their coefficients, (k, replicates), and convergence."""

    chance: np.ndarray
    coefficients: np.ndarray
    converged: np.ndarray


@dataclass(frozen=True, eq=False)
class Chances:
    """Fitted chances in all replicates.

    ``fits`` of an answer, by survey, and of an episode not to be suppressed ("free", where any
    is); ``drawn``, (cells, replicates), the share drawn among the rows not suppressed.
    """

    fits: dict[str, Fit]
    drawn: dict[str, np.ndarray]

    def first(self, n: int) -> Chances:
        """The first ``n`` replicates."""
        fits = {name: replace(fit, chance=fit.chance[:, :n]) for name, fit in self.fits.items()}
        return Chances(fits, {name: shares[:, :n] for name, shares in self.drawn.items()})


def fit_all(
    sides: Sides, multipliers: np.ndarray, starts: Mapping[str, np.ndarray] | None = None
) -> Chances:
    """Fit every propensity anew for each replicate.

    ``multipliers`` have shape (customers, replicates); ``starts`` are the coefficients of the fit
    to the whole data.
    """
    starts = starts or {}
    fits, drawn = {}, {}
    for survey, side in sides.items():
        count = {name: table @ multipliers for name, table in side.counts.items()}
        wanted = {survey: ("answered", "invited")}
        if side.look_back is None and not side.rows["free"].all():
            wanted["free"] = ("free", "eligible")
        for name, (successes, trials) in wanted.items():
            fits[name] = fit_chances(
                side.design, count[successes], count[trials], start=starts.get(name)
            )
        invited, free = (side.cells[name] @ multipliers for name in ("invited", "free"))
        drawn[survey] = invited / np.where(free > 0, free, 1.0)
    return Chances(fits, drawn)


def reach_weights(side: Side, chances: Chances, rows: pd.DataFrame) -> np.ndarray:
    """1 / chance of an invitation: shape (rows, replicates)."""
    released = np.ones(1)
    if side.look_back is not None:
        waves = side.look_back.take(rows.index.to_numpy())
        released = waves.chance(chances.drawn["transactional"])
    elif "free" in chances.fits:
        released = chances.fits["free"].chance[rows["pattern"]]
    drawn = chances.drawn[side.survey][rows["cell"]]
    designed = rows[["probability"]].to_numpy()
    return 1.0 / (released * np.where(np.isnan(designed), drawn, designed))


def answer_weights(side: Side, chances: Chances, rows: pd.DataFrame) -> np.ndarray:
    """1 / chance of an answer: shape (rows, replicates)."""
    answer = chances.fits[side.survey].chance[rows["pattern"]]
    return reach_weights(side, chances, rows) / answer


def tilted_weights(
    side: Side, chances: Chances, slope: float, multipliers: np.ndarray
) -> np.ndarray:
    """1 / chance of an answer if its log odds are α(x) + slope × score: (answers, replicates).

    v = 1 + exp(−(α + γ(s − 7))), α = x'β with the terms x of the propensity, and β such that
    the answers, weighted by v, count as many as were invited: Σ_answered w·v·x =
    Σ_invited w·x, with w the inverse chance of an invitation.
    Scharfstein, Rotnitzky & Robins (1999), JASA 94, 1096–1120.
    """
    rows, silent, n = side.answered, side.unanswered, len(side.design)
    reach = reach_weights(side, chances, rows)
    odds = np.exp(-slope * (rows[["score"]].to_numpy() - MIDDLE))
    lost = reach_weights(side, chances, silent) * multipliers[silent["customer"]]
    exposure = label_totals(rows["pattern"], reach * odds * multipliers[rows["customer"]], n)
    factor = silent_factors(side.design, exposure, label_totals(silent["pattern"], lost, n))
    return reach * (1.0 + odds * factor[rows["pattern"]])


def label_totals(label: ArrayLike, weight: np.ndarray, n: int) -> np.ndarray:
    """Sum of the weights under each label: shape (n, replicates)."""
    rows = len(weight)
    return sparse.csr_matrix((np.ones(rows), (label, np.arange(rows))), (n, rows)) @ weight


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

    Newton's method on the binomial log-likelihood with a ridge of 0.0001 on all
    coefficients but the first, which keeps a category without a success finite.
    """
    k, replicates = design.shape[1], trials.shape[1]
    if k == 1:
        return _same_chance(design, successes, trials)
    beta = np.zeros((k, replicates)) if start is None else np.repeat(start[:, None], replicates, 1)
    if start is None:
        total = np.maximum(trials.sum(0), 1e-12)
        share = np.clip(successes.sum(0) / total, 1e-6, 1 - 1e-6)
        beta[0] = np.log(share / (1 - share))
    chance, beta, moved = _solved(design, beta, _logistic, successes, trials)
    return Fit(chance, beta, moved < 1e-4)


def _same_chance(design: np.ndarray, successes: np.ndarray, trials: np.ndarray) -> Fit:
    total = trials.sum(0)
    share = successes.sum(0) / np.where(total > 0, total, np.nan)
    with np.errstate(divide="ignore"):
        logit = np.log(share) - np.log1p(-share)
    chance = np.repeat(share[None, :], len(design), 0)
    return Fit(chance, logit[None, :], np.isfinite(share))


#: Values of a model at linear predictors, and their slopes there.
Link = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _solved(
    design: np.ndarray,
    beta: np.ndarray,
    link: Link,
    counts: np.ndarray,
    exposure: np.ndarray,
    *,
    sparse: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, coefficients, (k, replicates), and by how much the values moved at the last step.

    Newton's method for Σ x·(counts − exposure·value(x'β)) = 0 in every replicate, with a ridge on
    all coefficients but the intercept. ``sparse``: a pattern may be without information of its own,
    so that a little of the trace is added to the diagonal.
    """
    k, replicates = beta.shape
    ridge, counted = np.r_[0.0, np.full(k - 1, RIDGE)], design.T @ counts
    # of a pattern without exposure in any replicate only the count says something
    held = exposure.any(axis=1)
    whole, design, exposure = design, design[held], exposure[held]
    first, second = np.triu_indices(k)
    products = design[:, first] * design[:, second]
    value, slope = link(design @ beta)
    moved = np.full(replicates, np.inf)
    for _ in range(MAX_STEPS * (1 + sparse)):
        gradient = counted - design.T @ (exposure * value) - ridge[:, None] * beta
        information = unpack((products.T @ (exposure * slope)).T, k)
        trace = np.einsum("rkk->r", information)
        floor = RIDGE**2 * (1.0 + trace) if sparse else np.full(replicates, LEAST_INFORMATION)
        information = information + np.diag(ridge) + floor[:, None, None] * np.eye(k)
        step = np.linalg.solve(information, gradient.T[:, :, None])[:, :, 0].T
        # a step this long means that a category is being pushed to 0 or 1
        beta, before = beta + np.clip(step, -3.0, 3.0), value
        value, slope = link(design @ beta)
        change = np.abs(value - before) / np.maximum(before, 1.0)
        moved = np.max(change, axis=0, where=exposure > 0, initial=0.0)
        if (moved < CHANCE_TOLERANCE).all():
            break
    return link(whole @ beta)[0], beta, moved


def _logistic(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    chance = 1.0 / (1.0 + np.exp(-np.clip(linear, -30.0, 30.0)))
    return chance, chance * (1.0 - chance)


def silent_factors(design: np.ndarray, exposure: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """exp(−x'β) of every pattern at which Σ x·exposure·exp(−x'β) = Σ x·missing.

    ``exposure`` is Σ w·exp(−γ(s − 7)) over the answers of a pattern and ``missing`` Σ w over its
    invitations without an answer; both have shape (patterns, replicates).

    These are the equations of a Poisson regression of the missing with the answers as
    exposure; the same ridge as for the propensities keeps a category in which everyone
    answered finite.
    """
    beta = np.zeros((design.shape[1], exposure.shape[1]))
    with np.errstate(divide="ignore"):
        beta[0] = np.log(missing.sum(0)) - np.log(np.maximum(exposure.sum(0), 1e-12))
    beta = np.maximum(beta, -LARGEST_LOG_ODDS)
    return _solved(design, beta, _exponential, missing, exposure, sparse=True)[0]


def _exponential(linear: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    factor = np.exp(np.clip(linear, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS))
    return factor, factor
