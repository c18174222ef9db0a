"""TODO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class SamplingDesign:
    """Which rows were drawn together, and among how many.

    Attributes
    ----------
    row_cluster : ndarray of int, shape (rows,)
        Number of the row's cluster, from 0.
    cluster_stratum : ndarray of int, shape (clusters,)
        Number of the cluster's stratum, from 0, after merging.
    stratum_sizes : ndarray of int, shape (strata,)
        Clusters drawn in the stratum: those seen, or more where a filter took some away.
    stratified : bool
        Whether strata were given.
    n_missing_clusters : int
        Rows without a cluster id; each is a cluster of its own.
    note : str
        What was assumed, in words; empty if nothing was.
    """

    row_cluster: Array
    cluster_stratum: Array
    stratum_sizes: Array
    stratified: bool
    n_missing_clusters: int = 0
    note: str = ""

    @property
    def n_clusters(self) -> int:
        """Clusters that have a row."""
        return len(self.cluster_stratum)

    @property
    def n_strata(self) -> int:
        """Strata after merging."""
        return len(self.stratum_sizes)

    @property
    def degrees_of_freedom(self) -> int:
        """Clusters that have a row less strata that have one."""
        return self.n_clusters - len(np.unique(self.cluster_stratum))


def sampling_design(
    n_rows: int,
    *,
    strata: Any = None,
    cluster: Any = None,
    stratum_clusters: Any = None,
) -> SamplingDesign:
    """Number the clusters and strata of a sample.

    Parameters
    ----------
    n_rows : int
        Rows of the sample.
    strata, cluster : array-like of shape (n_rows,), optional
        Labels of any kind. Clusters are nested in strata: one label in two strata is two
        clusters. A missing cluster label makes the row its own cluster.
    stratum_clusters : array-like of shape (n_rows,), optional
        Clusters (rows, where there is no cluster) drawn in the row's stratum before any
        filter. A smaller number than is seen, or a missing one, is replaced by the number
        seen.

    Returns
    -------
    SamplingDesign
        Strata with a single cluster are merged, and ``note`` says so.

    Raises
    ------
    ValueError
        If an array has another length or a stratum label is missing.

    Examples
    --------
    >>> design = sampling_design(4, strata=["a", "a", "b", "b"], cluster=[1, 2, 1, 1])
    >>> design.row_cluster.tolist(), design.n_strata
    ([0, 1, 2, 2], 1)
    >>> design.note
    "Strata with a single cluster were merged: 'b'."
    """
    stratum, names = _strata_codes(strata, n_rows)
    labels, n_missing = _cluster_codes(cluster, n_rows)
    row_cluster, cluster_stratum = labels, stratum
    if cluster is not None:
        pairs = stratum.astype(np.int64) * (int(labels.max(initial=0)) + 1) + labels
        row_cluster, first_pairs = pd.factorize(pairs)
        first_row = np.full(len(first_pairs), n_rows, dtype=np.int64)
        np.minimum.at(first_row, row_cluster, np.arange(n_rows))
        cluster_stratum = stratum[first_row]
    sizes = np.bincount(cluster_stratum, minlength=len(names))
    if stratum_clusters is not None:
        sizes = np.maximum(sizes, _declared_sizes(stratum_clusters, stratum, len(names)))
    merged, sizes, merge_note = _merge_single(cluster_stratum, sizes, names)
    notes = [_missing_note(n_missing), merge_note]
    return SamplingDesign(
        row_cluster=row_cluster.astype(np.intp, copy=False),
        cluster_stratum=merged,
        stratum_sizes=sizes,
        stratified=strata is not None,
        n_missing_clusters=n_missing,
        note=" ".join(note for note in notes if note),
    )


def _strata_codes(strata: Any, n_rows: int) -> tuple[Array, list[str]]:
    if strata is None:
        return np.zeros(n_rows, dtype=np.intp), ["all rows"]
    check_length("strata", strata, n_rows)
    codes, labels = pd.factorize(pd.Series(strata).reset_index(drop=True), sort=True)
    missing = int((codes < 0).sum())
    if missing:
        raise ValueError(
            f"`strata` must be known on every row; got {missing:,} without. "
            "Give those rows a stratum, or leave them out and say so."
        )
    return codes, [str(label) for label in labels]


def _cluster_codes(cluster: Any, n_rows: int) -> tuple[Array, int]:
    if cluster is None:
        return np.arange(n_rows), 0
    check_length("cluster", cluster, n_rows)
    codes, labels = pd.factorize(pd.Series(cluster).reset_index(drop=True), sort=True)
    missing = codes < 0
    n_missing = int(missing.sum())
    codes = np.where(missing, len(labels) + np.cumsum(missing) - 1, codes)
    return codes, n_missing


def _declared_sizes(stratum_clusters: Any, stratum: Array, n_strata: int) -> Array:
    check_length("stratum_clusters", stratum_clusters, len(stratum))
    declared = pd.to_numeric(pd.Series(stratum_clusters).reset_index(drop=True), errors="coerce")
    largest = declared.groupby(stratum).max().reindex(range(n_strata)).fillna(0)
    return largest.to_numpy(dtype=float).astype(int)


def _merge_single(
    cluster_stratum: Array, sizes: Array, names: Sequence[str]
) -> tuple[Array, Array, str]:
    """Join strata with one cluster to one another, or to the smallest other stratum."""
    single = np.flatnonzero(sizes == 1)
    if len(single) == 0 or len(sizes) == 1:
        return cluster_stratum, sizes, ""
    joined = single
    if len(single) == 1:
        others = np.flatnonzero(sizes > 1)
        joined = np.append(single, others[np.argmin(sizes[others])])
    target = np.arange(len(sizes))
    target[joined] = joined.min()
    kept, renumbered = np.unique(target, return_inverse=True)
    merged_sizes = np.bincount(renumbered, weights=sizes, minlength=len(kept)).astype(int)
    shown = ", ".join(f"'{names[number]}'" for number in single[:5])
    more = f" and {len(single) - 5} more" if len(single) > 5 else ""
    note = f"Strata with a single cluster were merged: {shown}{more}."
    return renumbered[cluster_stratum], merged_sizes, note


def _missing_note(n_missing: int) -> str:
    if n_missing == 0:
        return ""
    if n_missing == 1:
        return "1 row without a cluster id is a cluster of its own."
    return f"{n_missing:,} rows without a cluster id are clusters of their own."


def check_length(argument: str, values: Any, n_rows: int) -> None:
    """Refuse values that are not one a row."""
    if len(values) != n_rows:
        raise ValueError(f"`{argument}` must have {n_rows:,} values; got {len(values):,}.")


def bootstrap_multipliers(design: SamplingDesign, replicates: int, *, seed: int = 0) -> Array:
    """How often each cluster comes in each bootstrap replicate.

    Parameters
    ----------
    design : SamplingDesign
        From `sampling_design`. With no cluster column a cluster is a row.
    replicates : int
        Number of replicates, at least 1.
    seed : int
        Seed of ``numpy.random.default_rng``; the same seed gives the same digits.

    Returns
    -------
    ndarray of float, shape (clusters, replicates)
        Multipliers of the weights; ``multipliers[design.row_cluster]`` spreads them over
        rows. Without strata they are counts that add to the number of clusters drawn. With
        strata they are the rescaled counts of Rao and Wu: n_h − 1 of the n_h clusters are
        drawn with replacement and multiplied by n_h / (n_h − 1).

    Raises
    ------
    ValueError
        If there are fewer than two clusters to draw from.

    References
    ----------
    Rao & Wu (1988), JASA 83, 231–241; Rao, Wu & Yue (1992), Survey Methodology 18, 209–217.

    Examples
    --------
    >>> from cxlab.stats.resampling import sampling_design
    >>> design = sampling_design(5)
    >>> bootstrap_multipliers(design, 3, seed=1).sum(axis=0)
    array([5., 5., 5.])
    """
    _check_replicates(replicates)
    if int(design.stratum_sizes.max(initial=0)) < 2:
        raise ValueError(
            "`cluster` must have at least 2 clusters to resample; got "
            f"{design.n_clusters}. Ask for no interval, or give the true clusters."
        )
    generator = np.random.default_rng(seed)
    multipliers = np.empty((design.n_clusters, replicates))
    for number, size in enumerate(design.stratum_sizes.tolist()):
        members = np.flatnonzero(design.cluster_stratum == number)
        drawn = size - 1 if design.stratified else size
        counts = _draw_counts(generator, size, drawn, replicates)
        multipliers[members] = counts[: len(members)] * (size / drawn)
    return multipliers


def _check_replicates(replicates: int) -> None:
    if int(replicates) != replicates or replicates < 1:
        raise ValueError(f"`replicates` must be a whole number of 1 or more; got {replicates}.")


def _draw_counts(generator: np.random.Generator, size: int, drawn: int, replicates: int) -> Array:
    """Times each of ``size`` clusters came in ``drawn`` draws: shape (size, replicates)."""
    picks = generator.integers(0, size, size=(replicates, drawn))
    picks += size * np.arange(replicates)[:, None]
    counts = np.bincount(picks.ravel(), minlength=size * replicates)
    return counts.reshape(replicates, size).T


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
    kind = np.min_scalar_type(n_blocks)  # a byte a row where rows are clusters
    cluster_block = np.empty(design.n_clusters, dtype=kind)
    cluster_block[order] = np.resize(np.arange(n_blocks, dtype=kind), design.n_clusters)
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
