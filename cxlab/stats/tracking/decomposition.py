"""A change as mix and performance: sums of two periods, their split, its bootstrap."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
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
from cxlab.stats.resampling import SamplingDesign, draw_counts, sampling_design

Array = NDArray[np.float64]

#: Name of the group of rows whose segment is not known.
NOT_GIVEN = "not given"
#: Replicates are drawn in blocks of at most so many numbers.
BLOCK = 10_000_000
#: Parts must add up to the change to this share of the scores' size: rounding only.
ADDS_UP_TO = 1e-9


@dataclass(frozen=True, eq=False)
class Parts:
    """What a change, (...,), is made of: contributions of each cell, (..., cells).

    ``by_segment``: with two segments the mix of each, (...,); otherwise empty.
    """

    change: Array
    mix: Array
    performance: Array
    by_segment: tuple[Array, ...]

    def __post_init__(self) -> None:
        whole = self.mix.sum(axis=-1) + self.performance.sum(axis=-1)
        _check_sum("mix and performance", whole, self.change)
        if self.by_segment:
            parts = np.sum(self.by_segment, axis=0)
            _check_sum("the segments' mixes", parts, self.mix.sum(axis=-1))


def decompose(
    before: Array, after: Array, rates_before: Array, rates_after: Array, *, crossed: bool = False
) -> Parts:
    """Split the change of a weighted average over a grid of cells.

    ``before, after`` are the weights of the answers in each cell of two segments, shape
    (..., first, second) with ``second`` 1 for one segment; the rates their scores, NaN where
    absent. ``crossed``: split the mix between the segments. Not finite where a period has no weight.

    Kitagawa, per cell with shares w and scores r: mix ``(w₂ − w₁)((r₁ + r₂)/2 − R)`` and
    performance ``(r₂ − r₁)(w₁ + w₂)/2``. R is the mean of the two overall scores; it
    changes no sum, but without it growth of any group with a positive score would read
    as a gain. An absent cell takes the other period's score.

    Das Gupta, for two segments: a cell's share is the product of ``a = √(N_ij/N_.j ·
    N_i./N)`` and ``b = √(N_ij/N_i. · N_.j/N)``; the mix of the first segment is
    ``Σ r̄ b̄ (a₂ − a₁)``, of the second ``Σ r̄ ā (b₂ − b₁)``, with means over the periods.
    Performance is Kitagawa's.
    Kitagawa (1955), JASA 50, 1168–1194. Das Gupta (1993), Standardization and
    Decomposition of Rates, US Bureau of the Census P23-186, chapter 5.

    >>> parts = decompose(np.array([[3.0], [1.0]]), np.array([[1.0], [1.0]]),
    ...                   np.array([[10.0], [30.0]]), np.array([[10.0], [40.0]]))
    >>> float(parts.change), float(parts.mix.sum()), float(parts.performance.sum())
    (10.0, 6.25, 3.75)
    """
    shares_1, shares_2 = _shares(before), _shares(after)
    r_1 = np.where(np.isnan(rates_before), np.nan_to_num(rates_after), rates_before)
    r_2 = np.where(np.isnan(rates_after), np.nan_to_num(rates_before), rates_after)
    whole_1, whole_2 = ((w * r).sum(axis=(-2, -1)) for w, r in ((shares_1, r_1), (shares_2, r_2)))
    average = (r_1 + r_2) / 2
    centre = ((whole_1 + whole_2) / 2)[..., None, None]
    by_segment: tuple[Array, ...] = ()
    if crossed:
        (a_1, b_1), (a_2, b_2) = _factors(shares_1), _factors(shares_2)
        first = (average * (b_1 + b_2) / 2 * (a_2 - a_1)).sum(axis=(-2, -1))
        by_segment = (first, (average * (a_1 + a_2) / 2 * (b_2 - b_1)).sum(axis=(-2, -1)))
    return Parts(
        change=whole_2 - whole_1,
        mix=_flat((shares_2 - shares_1) * (average - centre)),
        performance=_flat((r_2 - r_1) * (shares_1 + shares_2) / 2),
        by_segment=by_segment,
    )


def _shares(weights: Array) -> Array:
    total = weights.sum(axis=(-2, -1), keepdims=True)
    return weights / np.where(total > 0, total, np.nan)


def _factors(shares: Array) -> tuple[Array, Array]:
    """The two factors of each cell's share, one for each segment."""
    rows, columns = shares.sum(axis=-1, keepdims=True), shares.sum(axis=-2, keepdims=True)
    inside_column = shares / np.where(columns > 0, columns, 1.0)
    inside_row = shares / np.where(rows > 0, rows, 1.0)
    return np.sqrt(inside_column * rows), np.sqrt(inside_row * columns)


def _flat(values: Array) -> Array:
    return values.reshape(*values.shape[:-2], -1)


def _check_sum(what: str, found: Array, wanted: Array) -> None:
    gap = np.abs(np.asarray(found) - np.asarray(wanted))
    if (gap > ADDS_UP_TO * np.maximum(1.0, np.abs(wanted))).any():
        raise ArithmeticError(f"The parts must add up: {what} miss by {np.nanmax(gap):g}.")


@dataclass(frozen=True, eq=False)
class Estimates:
    """Parts of the change with their standard errors, NaN where not known.

    ``values`` and ``errors`` are of mix, the mix of each of two segments, performance and change;
    ``whole``, (2,), is everybody's score in each period.
    """

    values: Array
    errors: Array
    whole: Array


def estimates(sums: CellSums, factor: float, *, replicates: int, seed: int) -> Estimates:
    """Parts of the change, as observed and with the spread of bootstrap replicates.

    ``factor``: from the metric's values to its unit.
    """

    def values(weight: Array, rate: Array) -> Array:
        rate = factor * rate
        crossed = len(sums.groups) > 1
        parts = decompose(weight[:, 0], weight[:, 1], rate[:, 0], rate[:, 1], crossed=crossed)
        return _part_values(parts)

    weight, rate = sums.weights_and_rates(sums.copies[:, None].astype(float))
    observed = values(weight, rate)
    # one alone has no spread
    blocks = bootstrap_blocks(sums, replicates, seed) if sums.df >= 1 else []
    drawn = np.concatenate([values(*block) for block in blocks] or [observed])
    finite = pd.DataFrame(np.where(np.isfinite(drawn), drawn, np.nan))
    whole = (_shares(weight[0]) * np.nan_to_num(factor * rate[0])).sum(axis=(-2, -1))
    return Estimates(observed[0], finite.std().to_numpy(), whole)


def _part_values(parts: Parts) -> Array:
    """Mix, the mix of each of two segments, performance, change: shape (replicates, values)."""
    whole = (parts.mix.sum(axis=-1), *parts.by_segment, parts.performance.sum(axis=-1))
    return np.stack([*whole, parts.change], axis=-1)


@dataclass(frozen=True, eq=False)
class CellSums:
    """Sums of two periods' answers per unit of sampling and cell.

    A unit is a cluster, or a class of ``copies`` alike rows that are clusters of their own.
    ``groups`` are the values of each segment; ``n``, (2, cells), the valid answers; ``weight``
    and ``total``, (units, 2 × cells), weights and weights times values of one copy of each unit,
    the earlier period's cells first. ``n_alone``: rows without a cluster id where there are
    clusters. ``df``: units of sampling less strata, or fewer where a period has few.
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
    def labels(self) -> list[str]:
        """One label per cell; two segments' values are joined by a middle dot."""
        return [" · ".join(names) for names in product(*self.groups)]

    def weights_and_rates(self, multipliers: Array) -> tuple[Array, Array]:
        """Weight and score of each cell: shape (replicates, 2, first, second).

        ``multipliers``, (units, replicates): how often each unit comes, its copies counted in.
        """
        second = len(self.groups[1]) if len(self.groups) > 1 else 1
        shape = (multipliers.shape[1], 2, len(self.groups[0]), second)
        weight = (self.weight.T @ multipliers).T.reshape(shape)
        total = (self.total.T @ multipliers).T.reshape(shape)
        return weight, total / np.where(weight > 0, weight, np.nan)


def cell_sums(
    opened: Opened, metric: Metric, *, by: list[str], column: str, later: str
) -> CellSums:
    """Sum the answers of two periods, which are text, per unit of sampling and cell, in one pass."""
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

    Rao and Wu: n_h − 1 of the n_h units of a stratum are drawn with replacement and
    multiplied by n_h/(n_h − 1); one stratum where there are none. Alike rows are drawn as a
    class, which is the same and needs no row. Units that were sampled but are not in the
    two periods are drawn too, and add nothing.
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
    return draw_counts(generator, size, size - 1, many)[: len(copies)].T
