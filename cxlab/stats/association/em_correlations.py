"""Correlations of answers with holes by maximum likelihood, with each unit's influence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.stats.association.partial import PairwiseCorrelations
from cxlab.stats.association.units import Units
from cxlab.stats.covariance.em import (
    fit_possible,
    prior_note,
    score,
    unit_scores,
    unpack_parameters,
    with_prior,
)
from cxlab.stats.covariance.sums import cells_of_rows, merge_cells

Array = NDArray[np.float64]


def em_correlations(
    rows: pd.DataFrame, columns: Sequence[str], weight: ArrayLike, units: Units
) -> PairwiseCorrelations:
    """Correlate columns by EM: right where answers are missing at random given the others.

    Parameters
    ----------
    rows : DataFrame
        One row per answer; NaN: not answered.
    columns : sequence of str
        Columns that vary, every two of them known together on some rows, none a copy of
        others.
    weight : array_like of float, shape (rows,)
        0 or more.
    units : Units

    Returns
    -------
    PairwiseCorrelations
        As if everyone had answered everything.

    Raises
    ------
    RuntimeError
        If EM has not converged.

    Notes
    -----
    Maximum likelihood under a multivariate normal. A unit's influence on the parameters is
    the inverse observed information times the sum of its rows' scores, so standard errors
    hold under clusters and for answers that are not normal.

    References
    ----------
    Dempster, Laird & Rubin (1977), JRSS B 39, 1–38. Binder (1983), Int. Stat. Rev. 51,
    279–292.
    """
    weight = np.asarray(weight, dtype=float)
    values = rows[list(columns)].to_numpy(float)
    used = (weight > 0) & ~np.isnan(values).all(axis=1)
    unit = units.design.row_cluster[used]
    known = ~np.isnan(values[used])
    values = (values[used] - np.nanmean(values[used], axis=0)) / np.nanstd(values[used], axis=0)
    cells = cells_of_rows(values, weight[used], unit)
    sums = merge_cells(cells, [])
    fit, prior = fit_possible(sums)
    if not fit.converged:
        raise RuntimeError(
            f"`touchpoints` must let EM converge; it had not after {fit.steps} steps. Take fewer "
            "touchpoints, or missing='pairwise'."
        )
    totals = unit_scores(cells, fit.mean, fit.covariance, unit, units.n_units)
    reached = score(with_prior(sums, prior), fit.mean, fit.covariance, information=True)
    changes = np.linalg.solve(np.asarray(reached.information), totals.T).T
    matrix, influence = _correlation_influence(fit.covariance, changes)
    counts = known.T.astype(int) @ known.astype(int)
    return PairwiseCorrelations(tuple(columns), matrix, counts, influence, prior_note(prior))


def _correlation_influence(covariance: Array, changes: Array) -> tuple[Array, Array]:
    """Correlations, and each unit's change of them from its change of the parameters."""
    size = len(covariance)
    deviation = np.sqrt(np.diag(covariance))
    matrix = covariance / np.outer(deviation, deviation)
    first, second = np.triu_indices(size, 1)
    _, moved = unpack_parameters(changes, size)
    variance = np.einsum("uii->ui", moved) / np.diag(covariance)
    direct = moved[:, first, second] / (deviation[first] * deviation[second])
    shrink = matrix[first, second] / 2 * (variance[:, first] + variance[:, second])
    return matrix, direct - shrink
