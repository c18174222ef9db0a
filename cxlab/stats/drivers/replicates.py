"""A covariance matrix and its replicates, for answers with and without holes.

Without holes, and pairwise, a replicate is a reweighted sum. Under EM it is one step
from the full-sample fit: the influence of a cluster is the observed information's inverse
times its score, and a replicate adds the influences with its multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import sparse

from cxlab.stats.covariance import Moments, to_correlation
from cxlab.stats.covariance.covariance import PairSums, pairwise_covariance, repair
from cxlab.stats.covariance.em import (
    fit_normal,
    score,
    unit_scores,
    unpack_parameters,
    with_prior,
)
from cxlab.stats.covariance.sums import Cells, merge_cells, unpack
from cxlab.stats.drivers.relations import Relations, exact_relations
from cxlab.stats.drivers.sources import RowSource

Array = np.ndarray

#: Full EM replicates stop when no standardised parameter moves by more.
FULL_TOLERANCE = 1e-5
#: A replicate that has not settled after so many steps is left out of the check.
FULL_STEPS = 20


@dataclass(frozen=True, eq=False)
class Resample:
    """Multipliers that make the replicates.

    Attributes
    ----------
    kind : str
        "bootstrap", "jackknife" or "none".
    multipliers : ndarray, shape (units, replicates)
        One column per replicate; no column for "none".
    note : str
        What was assumed.
    source : str
        Whose answers were resampled and how: equal for replicates that go in pairs.
    """

    kind: str
    multipliers: Array
    note: str = ""
    source: str = ""

    @property
    def replicates(self) -> int:
        """Number of replicates."""
        return self.multipliers.shape[1]


@dataclass(frozen=True, eq=False)
class Agreement:
    """One-step replicates beside full EM replicates, in correlations.

    Attributes
    ----------
    replicates : int
        Full EM replicates made.
    full, one_step : ndarray, shape (replicates, q, q)
        Their covariance matrices.
    """

    replicates: int
    full: Array
    one_step: Array


@dataclass(frozen=True, eq=False)
class CovarianceFit:
    """Mean, covariance and replicates of the columns, in the order given.

    Attributes
    ----------
    mean, matrix : ndarray, shape (q,) and (q, q)
        Divisor n − 1.
    means, matrices : ndarray, shape (replicates, q) and (replicates, q, q)
        Replicates.
    n_pairs : ndarray of int, shape (q, q)
        Rows that know both columns.
    n_complete : int
        Rows without a hole.
    repaired : int
        Replicates whose matrix had to be made possible.
    notes : tuple of str
        What was done.
    agreement : Agreement or None
        The check of the one-step replicates.
    """

    mean: Array
    matrix: Array
    means: Array
    matrices: Array
    n_pairs: Array
    n_complete: int
    repaired: int = 0
    notes: tuple[str, ...] = field(default=())
    agreement: Agreement | None = None


def fit_covariance(
    columns: tuple[str, ...],
    rows: Array,
    weights: Array,
    unit: Array,
    resample: Resample,
    *,
    missing: str,
    full_replicates: int = 0,
) -> CovarianceFit:
    """Covariance matrix of rows with holes, with its replicates.

    Parameters
    ----------
    columns : tuple of str
        Names, for messages.
    rows : ndarray, shape (n, q)
        NaN where not known.
    weights, unit : ndarray, shape (n,)
        Weight and sampling unit of each row.
    resample : Resample
        Multipliers of the units.
    missing : {"em", "pairwise", "complete"}
    full_replicates : int
        How many replicates to check by full EM.

    Returns
    -------
    CovarianceFit
    """
    origin = np.round(_means(rows, weights))
    source = RowSource(rows - origin, weights, unit)
    whole = not np.isnan(rows).any()
    if missing == "complete" or (whole and missing == "em"):
        return _complete(columns, source, origin, resample)
    if missing == "pairwise":
        return _pairwise(columns, source, origin, resample)
    patterns = source.patterns()
    relation = exact_relations(patterns)
    if relation.note(columns):
        source = RowSource(source.rows[:, relation.kept], weights, unit)
    names = tuple(columns[j] for j in relation.kept)
    fit = _em(names, source, resample, full_replicates)
    return _shift(_expand(fit, relation, columns, patterns), origin)


def unit_totals(values: Array, unit: Array, n_units: int) -> Array:
    """Sums of the rows of each unit, shape (units, k)."""
    where = (np.ones(len(unit)), (unit, np.arange(len(unit))))
    return np.asarray(sparse.csr_array(where, shape=(n_units, len(unit))) @ values)


def replicate_totals(values: Array, unit: Array, resample: Resample) -> Array:
    """Sums of the rows in each replicate, shape (replicates, k)."""
    n_units = len(resample.multipliers)
    return np.asarray(resample.multipliers.T @ unit_totals(values, unit, n_units))


def _summed(source: RowSource, resample: Resample, table: Callable[[Cells], Array]) -> Array:
    """Replicate totals of a table made of every chunk."""
    n_units = len(resample.multipliers)
    totals = sum(
        unit_totals(table(chunk), chunk.keys["unit"].to_numpy(), n_units)
        for chunk in source.chunks()
    )
    return np.asarray(resample.multipliers.T @ totals)


def _complete(
    columns: tuple[str, ...], source: RowSource, origin: Array, resample: Resample
) -> CovarianceFit:
    whole = ~np.isnan(source.rows).any(axis=1)
    part = RowSource(source.rows[whole], source.weights[whole], source.unit[whole])
    if not whole.any():
        raise ValueError("`missing='complete'` must find rows without a blank; got none.")
    fit = Moments(columns, (), origin, part.patterns()).covariance("complete")
    q = len(columns)
    totals = _summed(
        part, resample, lambda cells: np.hstack([cells.weight[:, None], cells.sums, cells.products])
    )
    weight = np.where(totals[:, :1] > 0, totals[:, :1], 1.0)
    means = totals[:, 1 : q + 1] / weight
    second = unpack(totals[:, q + 1 :] / weight, q)
    matrices = second - means[:, :, None] * means[:, None, :]
    known = (~np.isnan(source.rows)).astype(float)
    pairs = (known.T @ known).astype(np.int64)
    return CovarianceFit(
        fit.mean, fit.matrix, means + origin, matrices, pairs, n_complete=int(whole.sum())
    )


def _pairwise(
    columns: tuple[str, ...], source: RowSource, origin: Array, resample: Resample
) -> CovarianceFit:
    patterns = source.patterns()
    fit = Moments(columns, (), origin, patterns).covariance("pairwise")
    q = len(columns)
    totals = _summed(source, resample, _pair_table)
    n, weight, sums, squares = (
        totals[:, k * q * q : (k + 1) * q * q].reshape(-1, q, q) for k in range(4)
    )
    products = unpack(totals[:, 4 * q * q :], q)
    means, matrices = pairwise_covariance(PairSums(n, weight, sums, squares, products))
    matrices, repaired = _possible(matrices)
    notes = (fit.note,) if fit.note else ()
    complete = int((~np.isnan(source.rows)).all(axis=1).sum())
    return CovarianceFit(
        fit.mean, fit.matrix, means + origin, matrices, fit.n_pairs, complete, repaired, notes
    )


def _pair_table(cells: Cells) -> Array:
    """Per cell, what `PairSums` adds up."""
    q = cells.observed.shape[1]
    seen = cells.observed.astype(float)
    diagonal = np.flatnonzero(np.equal(*np.triu_indices(q)))
    both = seen[:, :, None] * seen[:, None, :]
    parts = [
        both,
        cells.weight[:, None, None] * both,
        cells.sums[:, :, None] * seen[:, None, :],
        cells.products[:, diagonal][:, :, None] * seen[:, None, :],
    ]
    return np.hstack([part.reshape(len(cells), -1) for part in parts] + [cells.products])


def _em(
    columns: tuple[str, ...], source: RowSource, resample: Resample, full_replicates: int
) -> CovarianceFit:
    q = len(columns)
    patterns = source.patterns()
    fit = Moments(columns, (), np.zeros(q), patterns).covariance("em")
    n = len(source.rows)
    likely = fit.matrix * ((n - 1) / n)
    complete = int((~np.isnan(source.rows)).all(axis=1).sum())
    result = CovarianceFit(
        fit.mean,
        fit.matrix,
        np.empty((0, q)),
        np.empty((0, q, q)),
        fit.n_pairs,
        complete,
        notes=(fit.note,) if fit.note else (),
    )
    if resample.replicates == 0:
        return result
    inverse = _inverse_information(with_prior(patterns, fit.prior), fit.mean, likely)
    shifts, changes = _one_step(source, fit.mean, likely, inverse, resample)
    means = fit.mean + shifts
    matrices, repaired = _possible(likely + changes)
    agreement = None
    # with a prior most resamples have no maximum of their own, and each takes long to say so
    if full_replicates and source.small and not fit.prior:
        agreement = full_em(source, resample, full_replicates, (means, matrices))
    return replace(result, means=means, matrices=matrices, repaired=repaired, agreement=agreement)


def _inverse_information(patterns: Cells, mean: Array, likely: Array) -> Array:
    information = score(patterns, mean, likely, information=True).information
    if information is None:
        raise ValueError(
            f"`drivers` must number fewer for replicates under missing='em'; got {len(mean)} "
            "columns. Use missing='pairwise' or interval=None."
        )
    try:
        return np.linalg.inv(information)
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "`missing='em'` must find every pair of drivers answered together by enough "
            "people for an interval; got too few. Use missing='pairwise', or leave out the "
            "rarely used."
        ) from error


def _one_step(
    source: RowSource, mean: Array, likely: Array, inverse: Array, resample: Resample
) -> tuple[Array, Array]:
    """Changes of mean and covariance in each replicate."""
    n_units = len(resample.multipliers)
    scores = sum(
        unit_scores(chunk, mean, likely, chunk.keys["unit"].to_numpy(), n_units)
        for chunk in source.chunks()
    )
    influence = inverse @ np.asarray(scores).T
    # less 1: the scores add to 0 at the maximum, but for what a prior holds against them
    return unpack_parameters((influence @ (resample.multipliers - 1)).T, len(mean))


def full_em(
    source: RowSource,
    resample: Resample,
    replicates: int,
    starts: tuple[Array, Array],
) -> Agreement:
    """The first replicates by EM to the end, beside those made by one step."""
    (cells,) = source.chunks()
    unit = cells.keys["unit"].to_numpy()
    means, matrices = starts
    fitted, numbers = [], []
    for number in range(min(replicates, resample.replicates)):
        factor = resample.multipliers[unit, number]
        drawn = factor > 0
        part = cells.take(drawn)
        weighted = replace(
            part,
            weight=part.weight * factor[drawn],
            sums=part.sums * factor[drawn, None],
            products=part.products * factor[drawn, None],
        )
        patterns = merge_cells(weighted, [])
        try:
            start = (means[number], matrices[number])
            fit = fit_normal(patterns, start=start, tolerance=FULL_TOLERANCE, most_steps=FULL_STEPS)
        except (ValueError, np.linalg.LinAlgError):
            # a resample of few rows may have no maximum; the count says how many had one
            continue
        if not fit.converged:
            continue
        fitted.append(fit.covariance)
        numbers.append(number)
    q = matrices.shape[-1]
    return Agreement(len(fitted), np.array(fitted).reshape(-1, q, q), matrices[numbers])


def _possible(matrices: Array) -> tuple[Array, int]:
    """Replicates with a negative eigenvalue made possible; how many there were."""
    if len(matrices) == 0:
        return matrices, 0
    correlations = to_correlation(matrices)
    smallest = np.linalg.eigvalsh(correlations)[:, 0]
    bad = np.flatnonzero(smallest < -1e-10)
    repaired = matrices.copy()
    for number in bad:
        repaired[number] = _repair_replicate(matrices[number])
    return repaired, len(bad)


def _repair_replicate(matrix: Array) -> Array:
    variance = np.diagonal(matrix)
    floor = 1e-6 * np.abs(variance).max()
    safe = matrix.copy()
    np.fill_diagonal(safe, np.maximum(variance, floor))
    return repair(safe)[0]


def _expand(
    fit: CovarianceFit, relation: Relations, columns: tuple[str, ...], cells: Cells
) -> CovarianceFit:
    note = relation.note(columns)
    if not note:
        return fit
    slopes, constants = relation.slopes, relation.constants

    def spread(matrices: Array) -> Array:
        return np.asarray(slopes @ matrices @ slopes.T)

    agreement = fit.agreement
    if agreement is not None:
        agreement = replace(
            agreement, full=spread(agreement.full), one_step=spread(agreement.one_step)
        )
    seen = cells.observed.astype(float)
    return replace(
        fit,
        mean=slopes @ fit.mean + constants,
        matrix=spread(fit.matrix),
        means=fit.means @ slopes.T + constants,
        matrices=spread(fit.matrices),
        n_pairs=((seen * cells.n[:, None]).T @ seen).astype(np.int64),
        notes=(*fit.notes, note),
        agreement=agreement,
    )


def _shift(fit: CovarianceFit, origin: Array) -> CovarianceFit:
    return replace(fit, mean=fit.mean + origin, means=fit.means + origin)


def _means(rows: Array, weights: Array) -> Array:
    seen = ~np.isnan(rows)
    total = (np.where(seen, rows, 0.0) * weights[:, None]).sum(axis=0)
    weight = (seen * weights[:, None]).sum(axis=0)
    return np.asarray(total / np.where(weight > 0, weight, 1.0))
