"""A covariance matrix and its replicates, for answers with and without missing ratings.

Without missing ratings, and pairwise, a replicate is a reweighted sum. Under EM it is one
step from the full-sample fit: the influence of a cluster is the inverse of the observed
information times its score, and a replicate adds the influences with its multipliers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from cxlab.stats.covariance.covariance import (
    PairSums,
    WeightedRows,
    pairwise_covariance,
    repair,
    to_correlation,
    unpack,
)
from cxlab.stats.covariance.em import (
    estimate_covariance,
    is_positive,
    unpack_parameters,
    with_prior,
)
from cxlab.stats.drivers.replicates import Resample, drawn_totals

Array = np.ndarray

#: Numbers in a table of sums at a time (32 MB).
TABLE = 1 << 22
#: A residual variance below this part of the whole means an exact combination.
EXACT = 1e-9
#: Rows per sampling unit from which rows of one pattern are put together.
MANY_ROWS = 20


@dataclass(frozen=True, eq=False)
class CovarianceFit:
    """Mean and covariance of q columns, in the order given, with replicates of the covariance."""

    mean: Array  # (q,)
    matrix: Array  # (q, q); divisor n − 1
    matrices: Array  # (replicates, q, q)
    repaired: int = 0  # replicates that were no covariance matrix and were repaired
    notes: tuple[str, ...] = ()  # what was done
    factor: float = 1.0  # of covariances with the outcome; 1 unless it is latent


@dataclass(frozen=True, eq=False)
class Completed:
    """Rows with what a fit expects where an answer is missing."""

    rows: Array  # (n, q)
    left: Array  # (q, q), sum of the covariances that are left

    def place(self, weights: Array, origin: Array, kept: list[int]) -> tuple[Array, Array]:
        """Mean and covariance of some of the columns."""
        rows = (self.rows - origin)[:, kept]
        mean = weights @ rows / weights.sum()
        about = rows - mean
        left = self.left[np.ix_(kept, kept)]
        return mean, ((about.T * weights) @ about + left) / weights.sum()


def completed(fit: CovarianceFit, rows: Array, weights: Array) -> Completed | None:
    """The rows of a fit's columns, completed; None if the fit's matrix is singular."""
    if not is_positive(fit.matrix):
        return None
    patterns = WeightedRows.of(rows, weights).patterns
    return Completed(*patterns.completed(fit.mean, fit.matrix, len(rows)))


def fit_covariance(
    columns: tuple[str, ...],
    rows: Array,
    weights: Array,
    unit: Array,
    resample: Resample,
    *,
    missing: str,
    start: Completed | None = None,
    less: Sequence[tuple[int, int, float]] = (),
) -> CovarianceFit:
    """Covariance matrix of rows with missing answers (NaN), with its replicates.

    ``columns`` names them in messages; ``unit`` is the sampling unit of each row, whose
    multipliers ``resample`` has; ``start`` is what a similar fit expects of the rows;
    ``less`` has columns, of which a multiple of other columns is taken away.
    """
    whole = ~np.isnan(rows).any(axis=1)
    if missing == "em" and whole.all():
        missing = "complete"
    if missing == "complete" and not whole.all():
        rows, weights, unit = rows[whole], weights[whole], unit[whole]
        if not whole.any():
            raise ValueError("`missing='complete'` must find rows without a blank; got none.")
    source = WeightedRows.of(rows, weights, unit)
    if len(rows) > MANY_ROWS * len(resample.multipliers):
        source = source.compressed(within_units=True)
    source = source.less(less)
    origin = np.round(_means(source))
    source = source.about(origin)
    if missing != "em":
        fit = _from_sums(columns, source, resample, missing)
    else:
        relation = exact_relations(source)
        names = tuple(columns[j] for j in relation.kept)
        near = start.place(weights, origin, relation.kept) if start else None
        source = source.columns(relation.kept)
        fit = _em(names, source, resample, near)
        fit = _expand(fit, relation, columns)
    return replace(fit, mean=fit.mean + origin)


def _means(rows: WeightedRows) -> Array:
    known, placed = ~np.isnan(rows.values), rows.weight * rows.located
    weight = placed @ known
    return placed @ np.where(known, rows.values, 0.0) / np.where(weight > 0, weight, 1.0)


def _from_sums(
    columns: tuple[str, ...], rows: WeightedRows, resample: Resample, missing: str
) -> CovarianceFit:
    """Sums over complete rows, or over the rows that know both columns of a pair."""
    q = len(columns)
    fit = estimate_covariance(columns, missing, rows)
    if not resample.replicates:
        return CovarianceFit(fit.mean, fit.matrix, np.empty((0, q, q)), notes=(fit.note,))
    if missing == "complete":
        totals = _summed(rows, resample, _complete_table)
        means = totals[:, 1 : q + 1] / np.where(totals[:, :1] > 0, totals[:, :1], 1.0)
        second = unpack(totals[:, q + 1 :] / np.where(totals[:, :1] > 0, totals[:, :1], 1.0), q)
        return CovarianceFit(fit.mean, fit.matrix, second - means[:, :, None] * means[:, None, :])
    sums = _unpacked_pairs(_summed(rows, resample, _pair_table), q)
    matrices, repaired = possible(pairwise_covariance(sums)[1])
    return CovarianceFit(fit.mean, fit.matrix, matrices, repaired, (fit.note,))


def _summed(
    rows: WeightedRows, resample: Resample, table: Callable[[WeightedRows], Array]
) -> Array:
    """Replicate totals of a table with 2q² columns or so, made of some rows at a time."""
    size = max(1, TABLE // (4 * rows.values.shape[1] ** 2))
    return drawn_totals(lambda part: table(rows.take(part)), rows.unit, resample, size)[1:]


def _complete_table(rows: WeightedRows) -> Array:
    """Per row weight, sums and packed products."""
    first, second = np.triu_indices(rows.values.shape[1])
    weighted = rows.values * rows.weight[:, None]
    placed = rows.located[:, None]
    weight = placed * rows.weight[:, None]
    return np.hstack([weight, placed * weighted, weighted[:, first] * rows.values[:, second]])


def _pair_table(rows: WeightedRows) -> Array:
    """Per row, what `PairSums` adds up; counts, weights and products packed."""
    first, second = np.triu_indices(rows.values.shape[1])
    known = ~np.isnan(rows.values)
    seen, filled = known.astype(float), np.where(known, rows.values, 0.0)
    both = seen[:, first] * seen[:, second]
    weighted, placed = filled * rows.weight[:, None], (rows.weight * rows.located)[:, None]
    squares = filled * weighted
    parts = [rows.count[:, None] * both, placed * both, weighted[:, first] * filled[:, second]]
    for sums in (placed * filled, squares):
        parts.append((sums[:, :, None] * seen[:, None, :]).reshape(len(seen), -1))
    return np.hstack(parts)


def _unpacked_pairs(totals: Array, q: int) -> PairSums:
    packed = q * (q + 1) // 2
    ends = np.cumsum([packed, packed, packed, q * q])
    n, weight, products, sums, squares = np.split(totals, ends, axis=1)
    square = (-1, q, q)
    return PairSums(
        unpack(n, q),
        unpack(weight, q),
        sums.reshape(square),
        squares.reshape(square),
        unpack(products, q),
    )


def _em(
    columns: tuple[str, ...],
    rows: WeightedRows,
    resample: Resample,
    start: tuple[Array, Array] | None = None,
) -> CovarianceFit:
    q, n = len(columns), rows.n
    fit = estimate_covariance(columns, "em", rows, start=start)
    place = fit.mean, fit.matrix * ((n - 1) / n)
    if not resample.replicates:
        return CovarianceFit(fit.mean, fit.matrix, np.empty((0, q, q)), notes=(fit.note,))
    changes = _one_step(rows, place, fit.prior, resample)
    matrices, repaired = possible(place[1] + changes)
    return CovarianceFit(fit.mean, fit.matrix, matrices, repaired, (fit.note,))


def _one_step(
    rows: WeightedRows, place: tuple[Array, Array], prior: float, resample: Resample
) -> Array:
    """Change of the covariance in each replicate."""
    scores = rows.patterns.unit_scores(*place, rows.unit, len(resample.multipliers))
    # less the sum: at the maximum the scores add up to 0, or to minus the prior's score
    drawn = scores.T @ resample.multipliers - scores.sum(axis=0)[:, None]
    try:
        moved = np.linalg.solve(with_prior(rows, prior).patterns.information(*place), drawn)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "`missing='em'` must find every pair of drivers answered together by enough "
            "people for an interval; got too few. Use missing='pairwise', or leave out the "
            "rarely used."
        ) from error
    return unpack_parameters(moved.T, len(place[0]))[1]


def possible(matrices: Array) -> tuple[Array, int]:
    """Replicates with negative eigenvalues repaired, and how many there were."""
    if len(matrices) == 0:
        return matrices, 0
    smallest = np.linalg.eigvalsh(to_correlation(matrices))[:, 0]
    bad = np.flatnonzero(smallest < -1e-10)
    repaired = matrices.copy()
    for number in bad:
        variance = np.diagonal(matrices[number])
        safe = matrices[number].copy()
        np.fill_diagonal(safe, np.maximum(variance, 1e-6 * np.abs(variance).max()))
        repaired[number] = repair(safe)[0]
    return repaired, len(bad)


def _expand(fit: CovarianceFit, relation: Relations, columns: tuple[str, ...]) -> CovarianceFit:
    """The fit of all columns from that of the columns that don't follow from others."""
    note = relation.note(columns)
    if not note:
        return fit
    slopes = relation.slopes

    def spread(matrices: Array) -> Array:
        return np.asarray(slopes @ matrices @ slopes.T)

    return replace(
        fit,
        mean=slopes @ fit.mean + relation.constants,
        matrix=spread(fit.matrix),
        matrices=spread(fit.matrices),
        notes=(*fit.notes, note),
    )


def latent_fit(
    fit: CovarianceFit, outcome: Array, weights: Array, unit: Array, resample: Resample
) -> CovarianceFit:
    """The same fit with a latent normal outcome (the last column) of variance 1.

    Drivers stay as scored. Covariances with the outcome are multiplied by
    1 / Σ φ(τ_k)(y_{k+1} − y_k), where τ_k are the normal quantiles of the outcome's margin,
    in the sample and in each replicate (Olsson, Drasgow & Dorans 1982).
    """
    values, step = np.unique(outcome, return_inverse=True)
    steps = np.arange(len(values))

    def by_answer(part: slice) -> Array:
        return np.asarray((step[part, None] == steps) * weights[part, None])

    factors = latent_factors(values, drawn_totals(by_answer, unit, resample))
    return replace(
        fit,
        matrix=_latent(fit.matrix[None], factors[:1])[0],
        matrices=_latent(fit.matrices, factors[1:]),
        factor=float(factors[0]),
    )


def latent_factors(values: Array, margins: Array) -> Array:
    """What covariances are multiplied by for each margin; 0 where only one answer is left."""
    total = margins.sum(axis=1, keepdims=True)
    below = np.cumsum(margins, axis=1)[:, :-1] / np.where(total > 0, total, 1.0)
    cuts = ndtri(np.clip(below, 0.0, 1.0))
    height = np.exp(-(cuts**2) / 2) @ np.diff(values) / np.sqrt(2 * np.pi)
    return np.where(height > 0, 1.0 / np.where(height > 0, height, 1.0), 0.0)


def _latent(matrices: Array, factors: Array) -> Array:
    latent = matrices.copy()
    latent[:, :-1, -1] *= factors[:, None]
    latent[:, -1, :-1] *= factors[:, None]
    latent[:, -1, -1] = 1.0
    return latent


@dataclass(frozen=True, eq=False)
class Relations:
    """Columns that are exact combinations of others."""

    kept: list[int]  # columns that are not
    slopes: Array  # (q, kept), every column from the kept ones
    constants: Array  # (q,)

    def note(self, columns: tuple[str, ...]) -> str:
        """Which columns follow from the others, in words; empty if none does."""
        dropped = [columns[j] for j in range(len(columns)) if j not in self.kept]
        if not dropped:
            return ""
        names = ", ".join(f"'{name}'" for name in dropped)
        return f"Exact combinations of other columns: {names}."


def exact_relations(rows: WeightedRows) -> Relations:
    """Find columns that never vary, or always equal a combination of earlier ones.

    Candidates come from the rows without a missing answer, or (for copies) from pairwise
    correlations; one is kept only if it holds in every row that has all of its columns.
    """
    q = rows.values.shape[1]
    whole = ~np.isnan(rows.values).any(axis=1)
    searched = rows.take(whole) if rows.count[whole].sum() > 2 * q else rows
    mean, matrix = pairwise_covariance(searched.pair_sums())
    correlation = to_correlation(matrix)
    varying = np.flatnonzero(np.diagonal(matrix) > 0).tolist()
    kept: list[int] = []
    slopes, constants = np.zeros((q, q)), mean.copy()
    # what the others leave of a column is at least the smallest eigenvalue
    free = np.linalg.eigvalsh(correlation[np.ix_(varying, varying)]).min(initial=1) > 2 * EXACT
    for column in varying:
        slope = None if free else _combination(correlation, matrix, kept, column)
        if slope is not None and _holds(rows, slope, column):
            slopes[column] = slope
            constants[column] = mean[column] - slope @ mean
            continue
        kept.append(column)
        slopes[column, column] = 1.0
        constants[column] = 0.0
    return Relations(kept, slopes[:, kept], constants)


def _combination(correlation: Array, matrix: Array, kept: list[int], column: int) -> Array | None:
    if not kept:
        return None
    block = correlation[np.ix_(kept, kept)]
    target = correlation[kept, column]
    weights, *_ = np.linalg.lstsq(block, target, rcond=None)
    if not abs(1 - weights @ target) < EXACT:
        return None
    weights = np.where(np.abs(weights) < 1e-6, 0.0, weights)
    slope = np.zeros(len(matrix))
    scale = np.sqrt(np.diagonal(matrix))
    slope[kept] = weights * scale[column] / scale[kept]
    return slope


def _holds(rows: WeightedRows, slope: Array, column: int) -> bool:
    """Whether the combination leaves no residual wherever all of its columns are known."""
    involved = np.append(np.flatnonzero(slope), column)
    part = rows.columns(involved).take(~np.isnan(rows.values[:, involved]).any(axis=1))
    if part.n < 2:
        return False
    contrast = np.append(-slope[involved[:-1]], 1.0)
    placed = part.weight * part.located
    left = part.values @ contrast
    about = left - part.located * (placed @ left / placed.sum())
    own = part.values[:, -1]
    spread = own - part.located * (placed @ own / placed.sum())
    return bool(part.weight @ about**2 <= EXACT * max(part.weight @ spread**2, 1e-300))
