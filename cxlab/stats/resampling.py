"""Replicates of a sample: which rows come again or are left out, and intervals of what they give.

A replicate is a set of multipliers, one per cluster, that an estimator puts on its weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtrit

from cxlab.core.messages import check_whole

Array = np.ndarray

#: A difference that varies less than this share of its two sides does not vary.
NO_SPREAD = 1e-9


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
    note : str
        What was assumed, in words; empty if nothing was.
    """

    row_cluster: Array
    cluster_stratum: Array
    stratum_sizes: Array
    stratified: bool
    note: str = ""

    @property
    def n_clusters(self) -> int:
        """Clusters that have a row."""
        return len(self.cluster_stratum)


@dataclass(frozen=True, eq=False)
class SampledSums:
    """Sums over sampled rows that covariances follow from, where no row has all that they are of.

    Attributes
    ----------
    labels : dict of str to str
        Column to words; the outcome is the last.
    n : int
        Rows.
    n_effective : float
        Answers that would say as much.
    df : float
        Degrees of freedom.
    table : callable
        What a slice of the rows adds to the sums, shape (rows, k).
    matrices : callable
        Sums, shape (replicates, k), to covariances, shape (replicates, columns, columns);
        those of all rows are positive definite.
    unit : ndarray of int, shape (rows,)
        Cluster of each row.
    design : SamplingDesign
    """

    labels: dict[str, str]
    n: int
    n_effective: float
    df: float
    table: Callable[[slice], Array]
    matrices: Callable[[Array], Array]
    unit: Array
    design: SamplingDesign

    @property
    def outcome(self) -> str:
        """Column of the outcome."""
        return list(self.labels)[-1]

    @property
    def drivers(self) -> dict[str, str]:
        """The other columns to words."""
        return {name: words for name, words in self.labels.items() if name != self.outcome}


def sampling_design(
    n_rows: int,
    *,
    strata: Any = None,
    cluster: Any = None,
    stratum_clusters: Any = None,
) -> SamplingDesign:
    """Number the clusters and strata of a sample of ``n_rows`` rows; each array has one value a row.

    Clusters are nested in strata: one label in two strata is two clusters. A row without one is its
    own. ``stratum_clusters``: how many were drawn in the row's stratum before any filter; fewer than
    are seen, or none, become those seen. Strata with a single cluster are merged, and ``note`` says so.

    >>> design = sampling_design(4, strata=["a", "a", "b", "b"], cluster=[1, 2, 1, 1])
    >>> design.row_cluster.tolist(), design.stratum_sizes.tolist()
    ([0, 1, 2, 2], [3])
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
    """How often each cluster comes in each bootstrap replicate, shape (clusters, replicates).

    ``multipliers[design.row_cluster]`` spreads them over rows. Without strata they are counts that
    add to the number of clusters drawn. With strata they are the rescaled counts of Rao and Wu: n_h − 1
    of the n_h clusters are drawn with replacement and multiplied by n_h / (n_h − 1). Rao & Wu (1988),
    JASA 83, 231–241; Rao, Wu & Yue (1992), Survey Methodology 18, 209–217.
    """
    replicates = check_whole("replicates", replicates, 1)
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
        counts = draw_counts(generator, size, drawn, replicates)
        multipliers[members] = counts[: len(members)] * (size / drawn)
    return multipliers


def draw_counts(generator: np.random.Generator, size: int, drawn: int, replicates: int) -> Array:
    """Times each of ``size`` clusters came in ``drawn`` draws: shape (size, replicates)."""
    picks = generator.integers(0, size, size=(replicates, drawn))
    picks += size * np.arange(replicates)[:, None]
    counts = np.bincount(picks.ravel(), minlength=size * replicates)
    return counts.reshape(replicates, size).T


def jackknife_blocks(design: SamplingDesign, blocks: int = 100, *, seed: int = 0) -> Array:
    """Block of each cluster for the delete-a-group jackknife, from 0; at most one a cluster.

    Clusters are ordered by stratum, by chance within, and dealt round, so that every block takes
    its part of every stratum. Where a stratum has fewer clusters than there are blocks, part of
    the variance between strata remains and the jackknife errs on the wide side: Kott (2001),
    Journal of Official Statistics 17, 521–526.
    """
    generator = np.random.default_rng(seed)
    order = np.lexsort((generator.random(design.n_clusters), design.cluster_stratum))
    n_blocks = min(blocks, design.n_clusters)
    kind = np.min_scalar_type(n_blocks)  # a byte a row where rows are clusters
    cluster_block = np.empty(design.n_clusters, dtype=kind)
    cluster_block[order] = np.resize(np.arange(n_blocks, dtype=kind), design.n_clusters)
    return cluster_block


def jackknife_covariance(left_out: Array, estimate: Array) -> Array:
    """(G − 1)/G · Σ (θ_(g) − θ)(θ_(g) − θ)ᵀ of ``left_out``, shape (G, k), and ``estimate``, shape (k,).

    >>> left_out = np.array([[2.5], [2.0], [1.5]])  # means of 1, 2, 3 without one of them
    >>> jackknife_covariance(left_out, np.array([2.0]))  # = variance 1 / 3
    array([[0.33333333]])
    """
    deviations = np.asarray(left_out, dtype=float) - np.asarray(estimate, dtype=float)
    blocks = len(deviations)
    return (blocks - 1) / blocks * deviations.T @ deviations


def check_level(level: float) -> float:
    """The level itself, when it is a probability strictly between 0 and 1."""
    number = isinstance(level, Real) and not isinstance(level, bool)
    if not number or not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1, such as 0.95; got {level}.")
    return float(level)


def percentile_interval(values: Array, level: float = 0.95) -> tuple[Array, Array]:
    """Quantiles (1 − level)/2 and (1 + level)/2 of the finite replicates, the first axis; NaN of none."""
    check_level(level)
    values = np.asarray(values, dtype=float)
    probabilities = [(1 - level) / 2, (1 + level) / 2]
    finite = np.isfinite(values)
    if finite.all() and values.size:
        low, high = np.quantile(values, probabilities, axis=0)
        return low, high
    masked = np.where(finite, values, np.nan)
    nothing = ~finite.any(axis=0, keepdims=True)
    low, high = np.nanquantile(np.where(nothing, 0.0, masked), probabilities, axis=0)
    blank = nothing.squeeze(0)
    return np.where(blank, np.nan, low), np.where(blank, np.nan, high)


def expanded_level(level: float, df: float) -> float:
    """Level at which a percentile interval reaches as far as t on few degrees of freedom.

    .9625 for 95 % on 29, .95 on a million: replicates of few clusters vary too little (Hesterberg
    2015, The American Statistician 69, 371–386, section 3.4). On one it is all but 1, the whole range.

    >>> round(expanded_level(0.95, 29), 4), 0.999 < expanded_level(0.95, 1) < 1
    (0.9625, True)
    """
    reach = stdtrit(df, (1 + level) / 2) * np.sqrt((df + 1) / df)
    return float(min(2 * ndtr(reach) - 1, np.nextafter(1, 0)))


def ranks(values: Array) -> Array:
    """Ranks along the last axis, 1 for the largest; ties share the best rank."""
    values = np.asarray(values, dtype=float)
    larger = values[..., None, :] > values[..., :, None]
    return 1 + larger.sum(axis=-1)


def rank_intervals(
    estimates: Array, replicates: Array, level: float = 0.95, *, joint: bool = False
) -> tuple[Array, Array]:
    """Best and worst rank, 1 for the largest, that simultaneous tests of differences allow each estimate.

    Parameters
    ----------
    estimates : ndarray of shape (k,)
    replicates : ndarray of shape (replicates, k)
        Those with a value that is not finite are set aside.
    level : float
    joint : bool
        False: each interval holds its true rank with that probability, one item read on its own.
        True: all hold theirs at once, for statements about the whole list ("the best three are …").

    Notes
    -----
    Differences Δ are studentised by the spread of their replicates. The critical value is the
    quantile of max |Δ* − Δ|/se over the item's comparisons with all others (joint: over all pairs).
    Pairs beyond it are distinguished, and the quantile is taken again over the rest until none is
    added. The best rank is 1 + the number surely larger, the worst k − the number surely smaller.
    Quantiles of replicated ranks are no such interval: where all are tied, a replicate still puts one
    of them first. A difference that is the same in every replicate distinguishes nothing.

    References
    ----------
    Mogstad, Romano, Shaikh & Wilhelm (2024), Review of Economic Studies 91, 476–518. Romano & Wolf
    (2005), JASA 100, 94–108.
    """
    check_level(level)
    estimates, replicates = _checked_replicates(estimates, replicates)
    ratio, deviation = _studentised(estimates, replicates)
    if joint:
        distinct = _distinguished(ratio.ravel(), deviation.reshape(len(deviation), -1), level)
        distinct = distinct.reshape(ratio.shape)
    else:
        each = range(len(estimates))
        distinct = np.array(
            [_distinguished(ratio[item], deviation[:, item], level) for item in each]
        )
    surely_larger = (distinct & (ratio < 0)).sum(axis=1)
    surely_smaller = (distinct & (ratio > 0)).sum(axis=1)
    return 1 + surely_larger, len(estimates) - surely_smaller


def _checked_replicates(estimates: Array, replicates: Array) -> tuple[Array, Array]:
    estimates = np.asarray(estimates, dtype=float)
    replicates = np.asarray(replicates, dtype=float)
    if estimates.ndim != 1 or replicates.shape[1:] != estimates.shape:
        raise ValueError(
            "`replicates` must have one column an estimate; "
            f"got shape {replicates.shape} for {estimates.size} estimates."
        )
    finite = replicates[np.isfinite(replicates).all(axis=1)]
    if len(finite) < 2 or not np.isfinite(estimates).all():
        raise ValueError(
            "`estimates` and at least 2 `replicates` must be finite; "
            f"got {len(finite)} finite replicates. Leave out estimates that are not known."
        )
    return estimates, finite


def _studentised(estimates: Array, replicates: Array) -> tuple[Array, Array]:
    """Each difference over its spread, (k, k), and its replicates' deviations, (B, k, k)."""
    difference = estimates[:, None] - estimates
    replicated = replicates[:, :, None] - replicates[:, None, :]
    se = replicated.std(axis=0, ddof=1)
    spread = replicates.std(axis=0, ddof=1)
    varies = se > NO_SPREAD * np.maximum(spread[:, None], spread)
    # an unknown spread must neither distinguish a pair nor widen the others' critical value
    se = np.where(varies, se, np.inf)
    return difference / se, np.abs(replicated - difference) / se


def _distinguished(ratio: Array, deviation: Array, level: float) -> Array:
    """Which differences the step-down maximum test rejects, of one family."""
    distinct = np.zeros(len(ratio), dtype=bool)
    while not distinct.all():
        largest = deviation[:, ~distinct].max(axis=1)
        critical = np.quantile(largest, level, method="inverted_cdf")
        more = ~distinct & (np.abs(ratio) > critical)
        if not more.any():
            break
        distinct |= more
    return distinct
