"""A covariance matrix and its replicates, for answers with and without missing ratings.

Without missing ratings, and pairwise, a replicate is a reweighted sum. Under EM it is one
step from the full-sample fit: the influence of a cluster is the inverse of the observed
information times its score, and a replicate adds the influences with its multipliers.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

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
from cxlab.stats.drivers.replicates import Resample, replicate_totals, unit_totals
from cxlab.stats.drivers.rows import Relations, RowSource, exact_relations

Array = np.ndarray

#: Full EM replicates stop when no standardised parameter moves by more.
FULL_TOLERANCE = 1e-5
#: A replicate that has not converged after so many steps is left out of the check.
FULL_STEPS = 20


@dataclass(frozen=True, eq=False)
class Agreement:
    """Full EM replicates and the one-step replicates of the same draws."""

    full: Array  # (replicates, q, q)
    one_step: Array  # (replicates, q, q)


@dataclass(frozen=True, eq=False)
class CovarianceFit:
    """Mean and covariance of q columns, in the order given, with replicates of the covariance."""

    mean: Array  # (q,)
    matrix: Array  # (q, q); divisor n − 1
    matrices: Array  # (replicates, q, q)
    repaired: int = 0  # replicates that were no covariance matrix and were repaired
    notes: tuple[str, ...] = ()  # what was done
    agreement: Agreement | None = None  # the check of the one-step replicates
    factor: float = 1.0  # of covariances with the outcome; 1 unless it is latent


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
    """Covariance matrix of rows with missing answers (NaN), with its replicates.

    ``columns`` names them in messages; ``unit`` is the sampling unit of each row, whose
    multipliers ``resample`` has; ``full_replicates`` are checked by full EM.
    """
    origin = np.round(_means(rows, weights))
    source = RowSource(rows - origin, weights, unit)
    if missing == "complete" or (missing == "em" and not np.isnan(rows).any()):
        fit = _complete(columns, source, resample)
    elif missing == "pairwise":
        fit = _pairwise(columns, source, resample)
    else:
        relation = exact_relations(source.patterns())
        if relation.note(columns):
            source = RowSource(source.rows[:, relation.kept], weights, unit)
        names = tuple(columns[j] for j in relation.kept)
        fit = _expand(_em(names, source, resample, full_replicates), relation, columns)
    return replace(fit, mean=fit.mean + origin)


def _means(rows: Array, weights: Array) -> Array:
    seen = ~np.isnan(rows)
    total = (np.where(seen, rows, 0.0) * weights[:, None]).sum(axis=0)
    weight = (seen * weights[:, None]).sum(axis=0)
    return np.asarray(total / np.where(weight > 0, weight, 1.0))


def _summed(source: RowSource, resample: Resample, table: Callable[[Cells], Array]) -> Array:
    """Replicate totals of a table made of every chunk."""
    n_units = len(resample.multipliers)
    totals = sum(
        unit_totals(table(chunk), chunk.keys["unit"].to_numpy(), n_units)
        for chunk in source.chunks()
    )
    return np.asarray(resample.multipliers.T @ totals)


def _about_origin(columns: tuple[str, ...], cells: Cells) -> Moments:
    """Moments of cells whose rows are already deviations from an origin."""
    return Moments(columns, (), np.zeros(len(columns)), cells)


def _complete(columns: tuple[str, ...], source: RowSource, resample: Resample) -> CovarianceFit:
    whole = ~np.isnan(source.rows).any(axis=1)
    if not whole.any():
        raise ValueError("`missing='complete'` must find rows without a blank; got none.")
    part = RowSource(source.rows[whole], source.weights[whole], source.unit[whole])
    fit = _about_origin(columns, part.patterns()).covariance("complete")
    q = len(columns)
    totals = _summed(
        part, resample, lambda cells: np.hstack([cells.weight[:, None], cells.sums, cells.products])
    )
    weight = np.where(totals[:, :1] > 0, totals[:, :1], 1.0)
    means = totals[:, 1 : q + 1] / weight
    second = unpack(totals[:, q + 1 :] / weight, q)
    matrices = second - means[:, :, None] * means[:, None, :]
    return CovarianceFit(fit.mean, fit.matrix, matrices)


def _pairwise(columns: tuple[str, ...], source: RowSource, resample: Resample) -> CovarianceFit:
    fit = _about_origin(columns, source.patterns()).covariance("pairwise")
    q = len(columns)
    totals = _summed(source, resample, _pair_table)
    n, weight, sums, squares = (
        totals[:, k * q * q : (k + 1) * q * q].reshape(-1, q, q) for k in range(4)
    )
    products = unpack(totals[:, 4 * q * q :], q)
    _, matrices = pairwise_covariance(PairSums(n, weight, sums, squares, products))
    matrices, repaired = _possible(matrices)
    return CovarianceFit(fit.mean, fit.matrix, matrices, repaired, (fit.note,))


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
    q, n = len(columns), len(source.rows)
    patterns = source.patterns()
    fit = _about_origin(columns, patterns).covariance("em")
    likely = fit.matrix * ((n - 1) / n)
    if resample.replicates == 0:
        return CovarianceFit(fit.mean, fit.matrix, np.empty((0, q, q)), notes=(fit.note,))
    inverse = _inverse_information(with_prior(patterns, fit.prior), fit.mean, likely)
    shifts, changes = _one_step(source, fit.mean, likely, inverse, resample)
    matrices, repaired = _possible(likely + changes)
    agreement = None
    # with a prior most replicates have no maximum of their own, and each takes long to find out
    if full_replicates and source.small and not fit.prior:
        agreement = _full_em(source, resample, full_replicates, fit.mean + shifts, matrices)
    return CovarianceFit(fit.mean, fit.matrix, matrices, repaired, (fit.note,), agreement)


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
    # less 1: at the maximum the scores add up to 0, or to minus the prior's score
    return unpack_parameters((influence @ (resample.multipliers - 1)).T, len(mean))


def _full_em(
    source: RowSource, resample: Resample, replicates: int, means: Array, matrices: Array
) -> Agreement:
    """The first replicates by EM to convergence, beside those made by one step."""
    (cells,) = source.chunks()
    unit = cells.keys["unit"].to_numpy()
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
            # a replicate of few rows may have no maximum; the count says how many had one
            continue
        if fit.converged:
            fitted.append(fit.covariance)
            numbers.append(number)
    q = matrices.shape[-1]
    return Agreement(np.array(fitted).reshape(-1, q, q), matrices[numbers])


def _possible(matrices: Array) -> tuple[Array, int]:
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

    agreement = fit.agreement
    if agreement is not None:
        agreement = Agreement(spread(agreement.full), spread(agreement.one_step))
    return replace(
        fit,
        mean=slopes @ fit.mean + relation.constants,
        matrix=spread(fit.matrix),
        matrices=spread(fit.matrices),
        notes=(*fit.notes, note),
        agreement=agreement,
    )


def latent_fit(
    fit: CovarianceFit, outcome: Array, weights: Array, unit: Array, resample: Resample
) -> CovarianceFit:
    """The same fit with a latent normal outcome (the last column) of variance 1.

    Drivers stay as scored. Covariances with the outcome are multiplied by
    1 / Σ φ(τ_k)(y_{k+1} − y_k), where τ_k are the normal quantiles of the outcome's margin,
    in the sample and in each replicate (Olsson, Drasgow & Dorans 1982).
    """
    values, counts = _counts_by_answer(outcome, weights)
    factor = _factors(values, counts.sum(axis=0)[None])
    factors = _factors(values, replicate_totals(counts, unit, resample))
    return replace(
        fit,
        matrix=_latent(fit.matrix[None], factor)[0],
        matrices=_latent(fit.matrices, factors),
        factor=float(factor[0]),
    )


def latent_factor(outcome: Array, weights: Array) -> float:
    """What covariances with the scored outcome are multiplied by for the latent one."""
    values, counts = _counts_by_answer(outcome, weights)
    return float(_factors(values, counts.sum(axis=0)[None])[0])


def _counts_by_answer(outcome: Array, weights: Array) -> tuple[Array, Array]:
    """Different answers, and each row's weight in the column of its answer."""
    values, step = np.unique(outcome, return_inverse=True)
    counts = np.zeros((len(outcome), len(values)))
    counts[np.arange(len(outcome)), step.ravel()] = weights
    return values, counts


def _factors(values: Array, margins: Array) -> Array:
    total = margins.sum(axis=1, keepdims=True)
    below = np.cumsum(margins, axis=1)[:, :-1] / np.where(total > 0, total, 1.0)
    cuts = ndtri(np.clip(below, 0.0, 1.0))
    heights = np.exp(-(cuts**2) / 2) / np.sqrt(2 * np.pi)
    height = heights @ np.diff(values)
    return np.where(height > 0, 1.0 / np.where(height > 0, height, 1.0), 0.0)


def _latent(matrices: Array, factors: Array) -> Array:
    latent = matrices.copy()
    latent[:, :-1, -1] *= factors[:, None]
    latent[:, -1, :-1] *= factors[:, None]
    latent[:, -1, -1] = 1.0
    return latent
