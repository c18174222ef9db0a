"""Delete-a-group jackknife of a coefficient from per-block count tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from cxlab.stats.association.counts import JointCounts
from cxlab.stats.association.estimates import TABLE_COEFFICIENTS
from cxlab.stats.resampling import jackknife_blocks, jackknife_covariance

Array = NDArray[np.float64]


def jackknifed_covariance(
    counts: JointCounts, coefficient: str, *, blocks: int = 80, seed: int = 0
) -> tuple[Array, int]:
    """Covariance of one coefficient of every pair by leaving out blocks of clusters.

    Parameters
    ----------
    counts : JointCounts
        With units kept apart.
    coefficient : str
        A key of `TABLE_COEFFICIENTS`.
    blocks : int
        Blocks wanted; never more than there are units.
    seed : int
        Which clusters share a block.

    Returns
    -------
    covariance : ndarray of shape (pairs, pairs)
        A pair that has no estimate without one of the blocks gets 0 there.
    degrees_of_freedom : int
        Blocks less one.

    Raises
    ------
    ValueError
        If rows were too many to keep apart.

    References
    ----------
    Kott (2001), Journal of Official Statistics 17, 521–526.
    """
    if counts.units.lumped:
        raise ValueError(
            "`variance` must be 'influence' for rows that are too many to keep apart; "
            "got 'jackknife'. Give a cluster column with fewer clusters, or leave it out."
        )
    dealt = jackknife_blocks(counts.units.design, blocks, seed=seed)
    unit_block = np.zeros(counts.units.n_units, dtype=int)
    unit_block[counts.units.design.row_cluster] = dealt.row_block
    by_block = _sum_blocks(counts, unit_block, dealt.n_blocks)
    total = by_block.sum(axis=0)
    whole = _estimates(counts, coefficient, total)
    left_out = np.array([_estimates(counts, coefficient, total - part) for part in by_block])
    left_out = np.where(np.isnan(left_out), whole, left_out)
    covariance = jackknife_covariance(left_out, whole)
    return np.nan_to_num(covariance), dealt.degrees_of_freedom


def _sum_blocks(counts: JointCounts, unit_block: NDArray[np.intp], n_blocks: int) -> Array:
    entries = (unit_block, np.arange(len(unit_block)))
    blocks = sparse.coo_array(
        (np.ones(len(unit_block)), entries), shape=(n_blocks, len(unit_block))
    )
    return np.asarray((blocks.tocsr() @ counts.by_unit).todense())


def _estimates(counts: JointCounts, coefficient: str, weight: Array) -> Array:
    x, y = counts.cells["x"].to_numpy(float), counts.cells["y"].to_numpy(float)
    pair = counts.cells["pair"].to_numpy()
    weight = np.where(weight > 1e-9 * max(float(weight.max(initial=0.0)), 1e-300), weight, 0.0)
    values = np.full(len(counts.pairs), np.nan)
    for number in range(len(counts.pairs)):
        cells = np.flatnonzero((pair == number) & (weight > 0))
        if len(cells) > 1:
            values[number] = TABLE_COEFFICIENTS[coefficient](
                x[cells], y[cells], weight[cells]
            ).estimate
    return values
