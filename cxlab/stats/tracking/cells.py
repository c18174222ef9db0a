"""Answers of two periods → weights and scores per cell, and their bootstrap replicates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.design import Design
from cxlab.core.frames import Opened, collect
from cxlab.core.labels import row_labels
from cxlab.core.metric import Metric
from cxlab.core.totals import in_declared_order
from cxlab.stats.metrics.values import check_scores, metric_value
from cxlab.stats.resampling import SamplingDesign, sampling_design

Array = NDArray[np.float64]

#: Name of the group of rows whose segment is not known.
NOT_GIVEN = "not given"
#: Replicates are drawn in blocks of at most so many numbers.
BLOCK = 10_000_000


@dataclass(frozen=True, eq=False)
class CellSums:
    """Sums of two periods' answers per unit of sampling and cell.

    A unit is a cluster, or a class of alike rows that are clusters of their own.

    Attributes
    ----------
    groups : list of list of str
        Values of each segment column, in order.
    n : ndarray of int, shape (2, cells)
        Valid answers of each period and cell.
    weight, total : sparse matrix of shape (units, 2 * cells)
        Weights, and weights times values, of one copy of each unit; the earlier period's
        cells first.
    copies : ndarray of int, shape (units,)
        Alike units of each class; 1 for clusters.
    design : SamplingDesign
        Of the units.
    n_missing, n_not_given, n_alone : int
        Rows without a valid answer; answers without a segment; rows without a cluster id
        where there are clusters.
    df : int
        Degrees of freedom: units of sampling less strata, or fewer where a period has few.
    """

    groups: list[list[str]]
    n: NDArray[np.int64]
    weight: sparse.csr_array
    total: sparse.csr_array
    copies: NDArray[np.int64]
    design: SamplingDesign
    n_missing: int
    n_not_given: int
    n_alone: int
    df: int

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of groups of the first and the second segment (1 if there is none)."""
        sizes = [len(names) for names in self.groups]
        return sizes[0], (sizes[1] if len(sizes) > 1 else 1)

    @property
    def labels(self) -> list[str]:
        """One label per cell; two segments' values are joined by a middle dot."""
        if len(self.groups) == 1:
            return self.groups[0]
        return [f"{first} · {second}" for first in self.groups[0] for second in self.groups[1]]

    def weights_and_rates(self, multipliers: Array) -> tuple[Array, Array]:
        """Weight and score of each cell: shape (replicates, 2, first, second).

        Parameters
        ----------
        multipliers : ndarray of shape (units, replicates)
            How often each unit comes; its copies are counted in.
        """
        shape = (multipliers.shape[1], 2, *self.grid)
        weight = (self.weight.T @ multipliers).T.reshape(shape)
        total = (self.total.T @ multipliers).T.reshape(shape)
        return weight, total / np.where(weight > 0, weight, np.nan)


def cell_sums(
    opened: Opened, metric: Metric, *, by: list[str], column: str, later: str
) -> CellSums:
    """Sum the answers of two periods per unit of sampling and cell, in one pass.

    Parameters
    ----------
    opened : Opened
        Answers of the two periods, which are text.
    metric : Metric
    by : list of str
        One or two segment columns.
    column : str
        Column of the periods.
    later : str
        The later period.

    Returns
    -------
    CellSums
    """
    check_scores(opened, [metric])
    sums = collect(_grouped(opened, metric, by, column, later))
    keys = [f"by_{i}" for i in range(len(by))]
    sums["not_given"] = sums[keys].isna().any(axis=1)
    groups = []
    for key, name in zip(keys, by, strict=True):
        sums[key], names = _numbered(sums[key], opened.data, name)
        groups.append(names)
    return _by_unit(sums, groups, opened.design)


def _grouped(
    opened: Opened, metric: Metric, by: list[str], column: str, later: str
) -> nw.LazyFrame:
    design = opened.design
    weight = nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)
    cluster = nw.col(design.cluster) if design.cluster else nw.lit(None).cast(nw.String)
    sampled = nw.col(design.stratum_clusters) if design.stratum_clusters else nw.lit(0.0)
    after = nw.when(nw.col(column).cast(nw.String) == later).then(nw.lit(1)).otherwise(nw.lit(0))
    prepared = opened.lazy.select(
        after=after,
        **{f"by_{i}": nw.col(name) for i, name in enumerate(by)},
        stratum=nw.col(design.strata).cast(nw.String) if design.strata else nw.lit("all"),
        cluster=cluster.cast(nw.String),
        value=metric_value(metric).cast(nw.Float64),
        weight=weight,
        sampled=sampled.cast(nw.Float64),
    )
    valid = ~nw.col("value").is_null() & (nw.col("weight") > 0)
    one = nw.when(valid).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
    w = nw.when(valid).then(nw.col("weight")).otherwise(nw.lit(0.0))
    wy = nw.when(valid).then(nw.col("weight") * nw.col("value")).otherwise(nw.lit(0.0))
    # rows that are clusters of their own are grouped by what they contribute
    alone = nw.col("cluster").is_null()
    prepared = prepared.with_columns(
        n=one, w=w, wy=wy,
        own_weight=nw.when(alone).then(w), own_total=nw.when(alone).then(wy),
        own_answer=nw.when(alone).then(one),
    )  # fmt: skip
    keys = ["after", *(f"by_{i}" for i in range(len(by))), "stratum", "cluster"]
    return prepared.group_by([*keys, "own_answer", "own_weight", "own_total"]).agg(
        nw.len().alias("rows"),
        (nw.when(nw.col("weight") > 0).then(nw.lit(1)).otherwise(nw.lit(0))).sum().alias("inside"),
        nw.col("n").sum(), nw.col("w").sum(), nw.col("wy").sum(), nw.col("sampled").max(),
    )  # fmt: skip


def _numbered(values: pd.Series, data: Any, name: str) -> tuple[pd.Series, list[str]]:
    """Numbers of the groups in declared or sorted order; unknown ones last."""
    ordered = in_declared_order(values, data, name).sort_values()
    order = list(row_labels(ordered.drop_duplicates().dropna()))
    labels = row_labels(values)
    if labels.isna().any():
        # a segment may have a group of that very name
        order.append(NOT_GIVEN if NOT_GIVEN not in order else f"{NOT_GIVEN} (missing)")
        labels = labels.fillna(order[-1])
    return labels.map({label: i for i, label in enumerate(order)}).astype(int), order


def _by_unit(sums: pd.DataFrame, groups: list[list[str]], design: Design) -> CellSums:
    # sorted, so that the order in which an engine returns groups changes no digit
    keys = [name for name in sums if name.startswith(("after", "by_", "own_"))]
    sums = sums.sort_values([*keys, "stratum", "cluster"], ignore_index=True)
    first, second = len(groups[0]), (len(groups[1]) if len(groups) > 1 else 1)
    cell = sums["by_0"] * second + (sums["by_1"] if len(groups) > 1 else 0)
    place = (sums["after"] * first * second + cell).to_numpy(int)
    alone = sums["cluster"].isna().to_numpy()
    unit, first_row = _units(sums, alone)
    copies = np.where(alone, sums["rows"], 1).astype(np.int64)
    shape = (len(first_row), 2 * first * second)
    n = np.bincount(place, weights=sums["n"], minlength=shape[1])
    sampled = _design(sums.loc[first_row], copies[first_row], design)
    return CellSums(
        groups=groups,
        n=n.reshape(2, -1).astype(np.int64),
        weight=sparse.csr_array((sums["w"] / copies, (unit, place)), shape=shape),
        total=sparse.csr_array((sums["wy"] / copies, (unit, place)), shape=shape),
        copies=copies[first_row],
        design=sampled,
        n_missing=int(sums["inside"].sum() - sums["n"].sum()),
        n_not_given=int(sums.loc[sums["not_given"], "n"].sum()),
        n_alone=int(sums.loc[alone, "rows"].sum()) if design.cluster else 0,
        df=int(copies[first_row].sum()) - len(np.unique(sampled.cluster_stratum)),
    )


def _units(sums: pd.DataFrame, alone: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
    """Number of each row's unit, and the first row of each unit."""
    clusters = sums.groupby(["stratum", "cluster"], sort=False, dropna=False).ngroup().to_numpy()
    own = clusters.max(initial=0) + 1 + np.arange(len(sums))
    unit, _ = pd.factorize(np.where(alone, own, clusters))
    return unit, np.unique(unit, return_index=True)[1]


def _design(units: pd.DataFrame, copies: NDArray, design: Design) -> SamplingDesign:
    seen = pd.Series(copies, index=units.index).groupby(units["stratum"]).transform("sum")
    declared = units["sampled"].groupby(units["stratum"]).transform("max").fillna(0)
    return sampling_design(
        len(units),
        strata=units["stratum"] if design.strata else None,
        stratum_clusters=np.maximum(seen, declared),
    )


def bootstrap_blocks(sums: CellSums, replicates: int, seed: int) -> list[tuple[Array, Array]]:
    """Weights and scores of the cells in each replicate, a block of replicates at a time.

    Notes
    -----
    Rao and Wu: n_h − 1 of the n_h units of a stratum are drawn with replacement and
    multiplied by n_h/(n_h − 1); one stratum where there are none. Alike rows are drawn as a
    class, which is the same and needs no row. Units that were sampled but are not in the
    two periods are drawn too, and add nothing.

    References
    ----------
    Rao & Wu (1988), JASA 83, 231–241.
    """
    generator = np.random.default_rng(seed)
    single = sums.copies.max(initial=1) == 1
    widest = max(len(sums.copies), int(sums.design.stratum_sizes.max()) if single else 0)
    size = max(1, BLOCK // widest)
    blocks = []
    for start in range(0, replicates, size):
        many = min(size, replicates - start)
        blocks.append(sums.weights_and_rates(_draw(sums, many, generator)))
    return blocks


def _draw(sums: CellSums, many: int, generator: np.random.Generator) -> Array:
    multipliers = np.zeros((len(sums.copies), many))
    for number, size in enumerate(sums.design.stratum_sizes.tolist()):
        members = np.flatnonzero(sums.design.cluster_stratum == number)
        if size < 2:
            # the spread of a single unit is unknown: it stays as it is
            multipliers[members] = sums.copies[members, None]
            continue
        drawn = _counts(generator, sums.copies[members], size, many)
        multipliers[members] = drawn.T * (size / (size - 1))
    return multipliers


def _counts(generator: np.random.Generator, copies: NDArray, size: int, many: int) -> NDArray:
    """How often each class comes in ``size − 1`` draws: shape (many, classes)."""
    if copies.max() > 1:
        chances = np.append(copies, size - copies.sum()) / size
        return generator.multinomial(size - 1, chances, size=many)[:, :-1]
    # single units: picking and counting is ten times as fast
    picks = generator.integers(0, size, size=(many, size - 1))
    picks += size * np.arange(many)[:, None]
    counts = np.bincount(picks.ravel(), minlength=many * size).reshape(many, size)
    return counts[:, : len(copies)]
