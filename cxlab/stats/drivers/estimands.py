"""The two estimands: importance among users, and importance adjusted for reach.

*Among users* is as if everyone used every touchpoint: LMG of the covariance of ratings and
outcome. *Reach-adjusted* is of the population as it uses things: for driver j, V says who
used it (0/1) and Z = V(X − c), with c the mean among users, how good it was; Z is 0 where it
was never used. The driver is the pair {V, Z}: LMG of the R² of the outcome on all pairs.
Presence is the R² of all V, quality what all Z add to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.engines import PART_ROWS
from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import LATENT, Answers
from cxlab.stats.drivers.coefficients import coefficient_errors, coefficients, variance_inflation
from cxlab.stats.drivers.covariances import CovarianceFit, fit_covariance, latent_fit
from cxlab.stats.drivers.importance import Importance, importance
from cxlab.stats.drivers.replicates import Resample, drawn_totals, t_test
from cxlab.stats.drivers.subsets import partial_out
from cxlab.stats.inference import effective_number, wilson_interval

Array = np.ndarray

#: Answers of segments that can use everything below which all are taken, with a warning.
FEWEST_ABLE = 30
#: Reach in a segment that counts as none: a wrong answer here and there.
NO_REACH = 0.02
#: The upper limit of that reach must lie below this part of the reach among all others.
PART_OF_OTHERS = 0.25
#: Most different ratings kept apart; more are divided between neighbours on a grid.
MOST_LEVELS = 101


@dataclass(frozen=True)
class Options:
    """How a driver analysis is made; see `cxlab.drivers`."""

    method: str = "lmg"
    missing: str = "em"
    outcome_scale: str = "continuous"
    adjusted: bool = False
    level: float = 0.95

    @property
    def latent(self) -> bool:
        """Whether the outcome is latent."""
        return self.outcome_scale in LATENT


@dataclass(frozen=True, eq=False)
class Users:
    """Estimates among users, with replicates; arrays over drivers."""

    answers: Answers  # of those who can use everything
    fit: CovarianceFit  # of the drivers and, last, the outcome
    importance: Importance
    coefficients: Array  # of the model with all drivers, per point of the rating
    coefficient_replicates: Array  # (replicates, drivers)
    coefficient_se: Array
    coefficient_df: Array
    p_values: Array
    df: float  # degrees of freedom of the design
    n: int  # rows that were fitted
    n_effective: float  # number of answers in the formula of adjusted R²
    notes: tuple[str, ...] = ()  # who they are, where not everyone

    @property
    def correlations(self) -> Array:
        """Correlation of each driver with the outcome."""
        return np.asarray(to_correlation(self.fit.matrix)[:-1, -1])

    @property
    def inflation(self) -> Array:
        """Variance inflation factor of each driver; inf for exact combinations."""
        return variance_inflation(to_correlation(self.fit.matrix))


def among_users(answers: Answers, unit: Array, resample: Resample, options: Options) -> Users:
    """Importance, coefficients and tests from the covariance of ratings and outcome."""
    able, notes = those_who_can(answers, max(FEWEST_ABLE, len(answers.names) + 2))
    answers, unit = answers.rows(able), unit[able]
    # a driver without two different answers becomes a constant: importance 0, nothing missing
    dead = answers.dead
    ratings = np.where(dead, 0.0, answers.ratings) if dead.any() else answers.ratings
    fitted: Array | slice = slice(None)
    n_fitted = answers.n
    if options.missing == "complete":
        fitted = np.asarray(~np.isnan(ratings).any(axis=1))
        n_fitted = int(fitted.sum())
    _check_rows(n_fitted, ratings.shape[1], options.missing)
    fit = fit_covariance(
        (*answers.names, answers.outcome_name),
        answers.with_outcome(ratings),
        answers.weights,
        unit,
        resample,
        missing=options.missing,
    )
    if options.latent:
        kept = answers.outcome[fitted], answers.weights[fitted], unit[fitted]
        fit = latent_fit(fit, *kept, resample)
    n_effective = effective_answers(answers.weights, ratings, options.missing)
    n = n_effective if options.adjusted else None
    shared = importance(fit.matrix, fit.matrices, method=options.method, n=n)
    slopes = coefficients(fit.matrix[None])[0]
    drawn = coefficients(fit.matrices)
    se, dfs, df = coefficient_errors(answers.rows(fitted), ratings[fitted], fit, drawn, resample)
    return Users(
        answers=answers,
        fit=fit,
        importance=shared,
        coefficients=slopes,
        coefficient_replicates=drawn,
        coefficient_se=se,
        coefficient_df=dfs,
        p_values=t_test(slopes, se, dfs),
        df=df,
        n=n_fitted,
        n_effective=n_effective,
        notes=notes,
    )


def _check_rows(n: int, drivers: int, missing: str) -> None:
    if n > drivers + 1:
        return
    kind = "rows without a blank" if missing == "complete" else "rows with an outcome"
    raise ValueError(
        f"`drivers` must number fewer than the answers less one; got {drivers} drivers "
        f"and {n} {kind}. Take fewer drivers or more answers."
    )


def effective_answers(weights: Array, ratings: Array, missing: str) -> float:
    """Kish's effective number of answers × the mean share of known ratings."""
    known = ~np.isnan(ratings)
    if missing == "complete":
        return effective_number(weights[known.all(axis=1)])
    return effective_number(weights) * float(known.mean())


def those_who_can(answers: Answers, fewest: int) -> tuple[Array, tuple[str, ...]]:
    """Rows of segments that use every touchpoint, and a note on the others.

    What those who never use a touchpoint would say of it cannot be learnt from anyone else,
    so "as if everyone used everything" is an estimand of the segments that do. All rows,
    with a warning, where fewer than ``fewest`` would be left.
    """
    found = _never_users(answers)
    able = np.ones(answers.n, dtype=bool)
    if not found:
        return able, ()
    for rows, _ in found:
        able &= ~rows
    who = "; ".join(words for _, words in found[:5])
    more = f"; and {len(found) - 5} more" if len(found) > 5 else ""
    if able.sum() < fewest:
        return np.ones(answers.n, dtype=bool), (
            f"Not identified among users: {who}{more}. Too few answers are of segments that "
            "use every touchpoint; what the others would say of it is predicted from their "
            "other ratings. Leave the touchpoint out, or analyse the segments separately.",
        )
    return able, (
        f"{who}{more}. Importance among users is therefore that among those who can use "
        f"everything: {int(able.sum()):,} of {answers.n:,} answers. Reach-adjusted importance "
        "is that among all.",
    )


def _never_users(answers: Answers) -> list[tuple[Array, str]]:
    """Rows, segment and touchpoint wherever a segment's reach is near 0 and others' is not."""
    if answers.segments is None:
        return []
    known, used = answers.asked, answers.rated
    found = []
    for segment, column in answers.segments.items():
        for value in column.dropna().unique():
            inside = column.eq(value).fillna(False).to_numpy(dtype=bool)
            asked, users = known[inside].sum(axis=0), used[inside].sum(axis=0)
            reach = users / np.maximum(asked, 1)
            rest = used[~inside].sum(axis=0) / np.maximum(known[~inside].sum(axis=0), 1)
            upper = np.asarray(wilson_interval(reach, np.maximum(asked, 1))[1])
            never = (reach <= NO_REACH) & (upper < PART_OF_OTHERS * rest)
            label = answers.labels.get(str(segment), str(segment))
            for place in np.flatnonzero(never):
                words = (
                    f"'{answers.labels[answers.names[place]]}' is used by {reach[place]:.0%} of "
                    f"{asked[place]:,} with '{label}' = {value} ({rest[place]:.0%} of the others)"
                )
                found.append((inside, words))
    return found


@dataclass(frozen=True, eq=False)
class Reach:
    """Reach-adjusted importance with its two parts; arrays over drivers."""

    importance: Importance  # of the pairs
    presence: Importance  # of having used it
    quality: Importance  # of how good it was, given who used what; the two R² add up
    fit: CovarianceFit  # of V, Z and, last, the outcome
    columns: list[list[int]]  # of each driver in ``fit``; none for one that nobody used
    n_effective: float  # number of answers in the formula of adjusted R²


def reach_adjusted(
    answers: Answers, unit: Array, resample: Resample, options: Options, users: Users
) -> Reach:
    """Importance of the pairs {used, how good}, with presence and quality.

    Where nobody says that he never used one, use has no part in it: it is that among users.
    """
    if _all_use(answers, options, users):
        whole = users.importance
        nothing = Importance(np.zeros_like(whole.values), np.zeros_like(whole.replicates), 0.0)
        columns = [[j] for j in range(len(answers.names))]
        return Reach(whole, nothing, whole, users.fit, columns, users.n_effective)
    table, columns, is_use = use_and_quality(answers)
    missing = "em" if options.missing == "complete" else options.missing
    names = tuple(f"column {j}" for j in range(table.shape[1])) + (answers.outcome_name,)
    rows = answers.with_outcome(table)
    fit = fit_covariance(
        names,
        rows,
        answers.weights,
        unit,
        resample,
        missing=missing,
        less=_centring(answers, columns),
    )
    if options.latent:
        fit = latent_fit(fit, answers.outcome, answers.weights, unit, resample)
    effective = effective_answers(answers.weights, table, missing)
    n = effective if options.adjusted else None
    whole = importance(fit.matrix, fit.matrices, players=columns, n=n)
    presence, quality = _parts(fit, columns, is_use, n)
    return Reach(whole, presence, quality, fit, columns, effective)


def _all_use(answers: Answers, options: Options, users: Users) -> bool:
    """Whether the pairs are the ratings, fitted as those among users were."""
    alike = users.n == answers.n and users.answers.names == answers.names
    if not alike or answers.never.any() or answers.dead.any():
        return False
    return options.missing != "complete" or bool(answers.rated.all())


def use_and_quality(answers: Answers) -> tuple[Array, list[list[int]], Array]:
    """The columns V and VX of all drivers, those of each driver, and which of them are V.

    NaN where neither use nor rating is known. One that does not vary has no column.
    """
    parts: list[Array] = []
    columns: list[list[int]] = []
    is_use: list[bool] = []
    for rating, never in zip(answers.ratings.T, answers.never.T, strict=True):
        mine: list[int] = []
        for part, flag in _pair(rating, never):
            mine.append(len(parts))
            parts.append(part)
            is_use.append(flag)
        columns.append(mine)
    return np.column_stack(parts), columns, np.array(is_use)


def _pair(rating: Array, never: Array) -> list[tuple[Array, bool]]:
    rated, number = ~np.isnan(rating), rating.dtype.type
    if not rated.any():
        # used by nobody who rated it: without a rating there is nothing to be important
        return []
    used = np.where(rated, number(1), np.where(never, number(0), number(np.nan)))
    quality = np.where(never, number(0), rating)
    varies = np.fmin.reduce(rating) < np.fmax.reduce(rating)
    return [(used, True)] * int(never.any()) + [(quality, False)] * int(varies)


def _centring(answers: Answers, columns: list[list[int]]) -> list[tuple[int, int, float]]:
    """What makes Z = VX − cV, with c the mean rating, of the columns of `use_and_quality`."""
    found = []
    for pair, rating in zip(columns, answers.ratings.T, strict=True):
        if len(pair) == 2:
            rated = ~np.isnan(rating)
            centre = np.average(rating[rated].astype(float), weights=answers.weights[rated])
            found.append((pair[1], pair[0], float(centre)))
    return found


def _parts(
    fit: CovarianceFit, columns: list[list[int]], is_use: Array, n: float | None
) -> tuple[Importance, Importance]:
    correlation = to_correlation(fit.matrix)[None]
    correlations = to_correlation(fit.matrices)
    uses, qualities = np.flatnonzero(is_use), np.flatnonzero(~is_use)
    kept = [*uses.tolist(), len(is_use)]
    presence = importance(
        correlation[0][np.ix_(kept, kept)],
        correlations[:, kept][:, :, kept],
        players=_positions(columns, uses),
        n=n,
    )
    quality = importance(
        partial_out(correlation, uses.tolist())[0],
        partial_out(correlations, uses.tolist()),
        players=_positions(columns, qualities),
        n=n,
        columns_in=len(uses),
    )
    return presence, quality


def _positions(columns: list[list[int]], chosen: Array) -> list[list[int]]:
    place = {int(column): position for position, column in enumerate(chosen)}
    return [[place[column] for column in group if column in place] for group in columns]


def _performance_table(answers: Answers, top_from: Array) -> Array:
    """Per row and driver: rated, rating, in the top box, use known, each times the weight."""
    ratings = answers.ratings.astype(float)
    known = ~np.isnan(ratings)
    filled = np.where(known, ratings, 0.0)
    table = np.hstack([known, filled, ratings >= top_from, known | answers.never])
    return table * answers.weights[:, None]


def performance(
    answers: Answers, unit: Array, resample: Resample, top_from: Array
) -> dict[str, tuple[Array, Array]]:
    """Mean, top box and reach of each driver: name to (estimate, replicates).

    ``mean`` and ``top_box`` are among those who rated it, ``reach`` among those whose use is
    known; the last two are shares.
    """
    totals = drawn_totals(
        lambda part: _performance_table(answers.rows(part), top_from), unit, resample
    )
    pieces = totals.reshape(len(totals), 4, -1)
    rated, total, top, asked = (pieces[:, k] for k in range(4))
    ratios = {"mean": (total, rated), "top_box": (top, rated), "reach": (rated, asked)}
    result = {}
    for name, (part, whole) in ratios.items():
        ratio = np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
        result[name] = (ratio[0], ratio[1:])
    return result


@dataclass(frozen=True, eq=False)
class RatingShares:
    """How the ratings of each driver are distributed on its scale, with replicates."""

    levels: Array  # (drivers, k), different ratings, the last repeated where there are fewer
    shares: Array  # (1 + replicates, drivers, k), weighted; the estimate's first

    def moved(self, change: Array, low: Array, high: Array) -> Array:
        """Mean change when every rating moves by ``change`` but not past the scale's ends.

        E[min(x + δ, high)] − E[x], and for a negative δ E[max(x + δ, low)] − E[x]:
        shape (1 + replicates, drivers).
        """
        ends = np.where(change < 0, low, high)[:, None]
        inside = np.where(
            change[:, None] < 0,
            np.maximum(self.levels + change[:, None], np.minimum(ends, self.levels)),
            np.minimum(self.levels + change[:, None], np.maximum(ends, self.levels)),
        )
        return np.einsum("bjk,jk->bj", self.shares, inside - self.levels)

    @property
    def standard_deviations(self) -> Array:
        """Of the ratings of each driver, shape (drivers,)."""
        mean = (self.shares[0] * self.levels).sum(axis=1)
        squares = (self.shares[0] * (self.levels - mean[:, None]) ** 2).sum(axis=1)
        return np.asarray(np.sqrt(squares))


def rating_shares(answers: Answers, unit: Array, resample: Resample) -> RatingShares:
    """Shares of the raters at each rating, in the sample and in each replicate.

    Ratings between two levels of a grid are divided between them so that the mean is kept.
    """
    levels = [_levels(column) for column in answers.ratings.T]
    k = max(len(level) for level in levels)
    table = np.array([np.pad(level, (0, k - len(level)), mode="edge") for level in levels])
    n_units = len(resample.multipliers)
    drawn = np.empty((1 + resample.replicates, len(levels), k))
    for position, level in enumerate(levels):
        counts = _level_counts(answers, position, level, unit, n_units)
        drawn[0, position, : len(level)] = counts.sum(axis=0)
        drawn[1:, position, : len(level)] = resample.multipliers.T @ counts
        drawn[:, position, len(level) :] = 0.0
    total = drawn.sum(axis=2, keepdims=True)
    shares = np.divide(drawn, total, out=np.full_like(drawn, np.nan), where=total > 0)
    return RatingShares(table, shares)


def _level_counts(
    answers: Answers, position: int, level: Array, unit: Array, n_units: int
) -> Array:
    """Weight of each unit's ratings of a driver at each level, shape (units, levels)."""
    counts, size = np.zeros(n_units * len(level)), max(PART_ROWS, n_units)
    for start in range(0, answers.n, size):
        part = answers.ratings[start : start + size, position].astype(float)
        known = np.flatnonzero(~np.isnan(part))
        lower = np.searchsorted(level, part[known], side="right") - 1
        upper = np.minimum(lower + 1, len(level) - 1)
        gap = level[upper] - level[lower]
        share = np.divide(part[known] - level[lower], gap, out=np.zeros_like(gap), where=gap > 0)
        first = unit[start + known].astype(np.intp) * len(level)
        weight = answers.weights[start + known]
        counts += np.bincount(first + lower, weight * (1 - share), len(counts))
        if share.any():
            counts += np.bincount(first + upper, weight * share, len(counts))
    return counts.reshape(n_units, len(level))


def _levels(ratings: Array) -> Array:
    different = np.unique(pd.unique(ratings.astype(float)))
    different = different[~np.isnan(different)]
    if len(different) == 0:
        return np.zeros(1)
    if len(different) <= MOST_LEVELS:
        return different
    return np.linspace(different[0], different[-1], MOST_LEVELS)
