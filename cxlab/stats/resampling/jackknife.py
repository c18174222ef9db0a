"""Blocks of clusters left out in turn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.resampling.design import SamplingDesign

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class JackknifeBlocks:
    """Groups of whole clusters, to be left out one at a time.

    Attributes
    ----------
    row_block : ndarray of int, shape (rows,)
        Number of the row's block, from 0.
    n_blocks : int
        Blocks G.
    """

    row_block: Array
    n_blocks: int

    @property
    def variance_factor(self) -> float:
        """(G − 1) / G, what the sum of squared deviations is multiplied by."""
        return (self.n_blocks - 1) / self.n_blocks

    @property
    def degrees_of_freedom(self) -> int:
        """G − 1."""
        return self.n_blocks - 1


def jackknife_blocks(
    design: SamplingDesign, blocks: int = 100, *, seed: int = 0
) -> JackknifeBlocks:
    """Deal whole clusters into blocks for the delete-a-group jackknife.

    Parameters
    ----------
    design : SamplingDesign
        From `sampling_design`.
    blocks : int
        Blocks wanted, at least 2; never more than there are clusters.
    seed : int
        Order within strata is shuffled with ``numpy.random.default_rng(seed)``.

    Returns
    -------
    JackknifeBlocks

    Raises
    ------
    ValueError
        If there are fewer than two clusters or blocks.

    Notes
    -----
    Clusters are ordered by stratum and dealt round, so that every block takes its part of
    every stratum. Where a stratum has fewer clusters than there are blocks, part of the
    variance between strata remains and the jackknife errs on the wide side.

    References
    ----------
    Kott (2001), Journal of Official Statistics 17, 521–526.

    Examples
    --------
    >>> from cxlab.stats.resampling import sampling_design
    >>> blocks = jackknife_blocks(sampling_design(6, cluster=[1, 1, 2, 2, 3, 3]), blocks=3)
    >>> blocks.n_blocks, len(set(blocks.row_block.tolist()))
    (3, 3)
    """
    if blocks < 2:
        raise ValueError(f"`blocks` must be 2 or more; got {blocks}.")
    if design.n_clusters < 2:
        raise ValueError(
            f"`cluster` must have at least 2 clusters to jackknife; got {design.n_clusters}."
        )
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(design.n_clusters), design.cluster_stratum))
    n_blocks = min(blocks, design.n_clusters)
    cluster_block = np.empty(design.n_clusters, dtype=np.intp)
    cluster_block[order] = np.arange(design.n_clusters) % n_blocks
    return JackknifeBlocks(row_block=cluster_block[design.row_cluster], n_blocks=n_blocks)


def jackknife_covariance(left_out: Array, estimate: Array) -> Array:
    """Covariance of an estimate from its values with one block left out.

    Parameters
    ----------
    left_out : ndarray of shape (blocks, k)
        The estimate without each block.
    estimate : ndarray of shape (k,)
        The estimate on all rows.

    Returns
    -------
    ndarray of shape (k, k)
        (G − 1) / G · Σ (θ_(g) − θ)(θ_(g) − θ)ᵀ.

    Examples
    --------
    >>> left_out = np.array([[2.5], [2.0], [1.5]])  # means of 1, 2, 3 without one of them
    >>> jackknife_covariance(left_out, np.array([2.0]))  # = variance 1 / 3
    array([[0.33333333]])
    """
    deviations = np.asarray(left_out, dtype=float) - np.asarray(estimate, dtype=float)
    blocks = len(deviations)
    return (blocks - 1) / blocks * deviations.T @ deviations
