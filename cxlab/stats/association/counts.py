"""Rating × rating counts of many pairs of columns, and how they fall on clusters.

Of data too large to read row by row the engine sums; what comes back is as long as the cells
or the clusters, not as the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.design import Design
from cxlab.core.frames import Opened, as_list, collect, group_sums
from cxlab.core.messages import got
from cxlab.stats.resampling import SamplingDesign, sampling_design
from cxlab.stats.variance import SampledUnits, units_of_rows

Array = NDArray[np.float64]

#: Rows × pairs up to which the rows themselves are read: about 40 bytes each. Larger data
#: are counted in the engine by one GROUP BY.
MOST_ROW_CELLS = 5_000_000

#: Clusters up to which that GROUP BY counts each; with more, or without clusters, it
#: counts per stratum, with sums of squared weights.
MOST_CLUSTERS = 1_000
#: So many rows are looked at first: they may hold more clusters than that already.
FIRST_ROWS = 100_000

#: Ratings in large data are whole numbers within this many of each other.
MOST_LEVELS = 21

#: Of every cell: rows, their weight and their squared weight.
SUMS = ("n", "w", "s")

Grouped = tuple[pd.DataFrame, sparse.csr_array, sparse.csr_array, SampledUnits, int]


@dataclass(frozen=True, eq=False)
class JointCounts:
    """Weighted count tables of pairs of ratings, and how they fall on clusters.

    Attributes
    ----------
    pairs : tuple of (str, str)
        Columns x and y of each table.
    cells : DataFrame
        One row per cell that is not empty: ``pair`` (number), ``x``, ``y`` (ratings),
        ``n`` (rows), ``weight`` (sum of weights). Sorted by pair, x, y.
    by_unit, squares : sparse array of shape (units, cells)
        Sum of weights, and of squared weights, of each cell in each unit. A unit is a cluster;
        a row, where there is none; a whole stratum, where rows were too many to read.
    n_rows : int
        Rows of positive weight, answered or not.
    rows : DataFrame or None
        The rows read, if they were: ratings and ``weight``.
    """

    pairs: tuple[tuple[str, str], ...]
    cells: pd.DataFrame
    by_unit: sparse.csr_array
    squares: sparse.csr_array
    units: SampledUnits
    n_rows: int
    opened: Opened = field(repr=False)
    rows: pd.DataFrame | None = field(default=None, repr=False)

    def pair(self, number: int) -> pd.DataFrame:
        """Cells of one pair; the index is their place in ``cells``."""
        start, end = np.searchsorted(self.cells["pair"].to_numpy(), [number, number + 1])
        return self.cells.iloc[start:end]

    def answers(self) -> NDArray[np.intp]:
        """Rows of each pair: shape (pairs,)."""
        return np.bincount(self.cells["pair"], self.cells["n"], len(self.pairs)).astype(int)


def joint_counts(opened: Opened, x: str | Sequence[str], y: str | Sequence[str]) -> JointCounts:
    """Count x rating × y rating for every x and y, each pair on its own rows.

    A row of weight 0 is counted nowhere, but its cluster is part of the sample. Ratings that are
    infinite, or in large data not whole numbers, are refused.
    """
    x, y = as_list(x), as_list(y)
    pairs = tuple((touchpoint, outcome) for outcome in y for touchpoint in x)
    if opened.n * len(pairs) <= MOST_ROW_CELLS:
        return _from_rows(opened, pairs)
    lazy, design = opened.lazy, opened.design
    # where clusters are very many, the first rows show it at once
    parts = (lazy.head(FIRST_ROWS), lazy)
    keep = all(0 < _count_clusters(part, design) <= MOST_CLUSTERS for part in parts)
    grouped = grouped_cells(lazy, x, y, design=design, keep_clusters=keep)
    return JointCounts(pairs, *grouped, opened)


def _from_rows(opened: Opened, pairs: tuple[tuple[str, str], ...]) -> JointCounts:
    columns, design = [name for pair in pairs for name in pair], opened.design
    rows = collect(opened.lazy.select(list(dict.fromkeys([*columns, *design.used()]))))
    ratings = rows[list(dict.fromkeys(columns))].astype(float)
    _check_ratings(ratings)
    units, row_unit = units_of_rows(rows, design)
    weight = rows[design.weights].to_numpy(float) if design.weights else np.ones(len(rows))
    pieces = [_complete(ratings, x, y, weight, row_unit) for x, y in pairs]
    cells, by_unit, squares = assemble_cells(pieces, units.n_units)
    n_rows, kept = int((weight > 0).sum()), ratings.assign(weight=weight)
    return JointCounts(pairs, cells, by_unit, squares, units, n_rows, opened, kept)


def _complete(
    ratings: pd.DataFrame, x: str, y: str, weight: Array, row_unit: NDArray[np.intp]
) -> pd.DataFrame:
    """Rows that hold both of a pair, with unit, number, weight and squared weight."""
    both = np.flatnonzero((ratings[x].notna() & ratings[y].notna()).to_numpy() & (weight > 0))
    piece = pd.DataFrame({"unit": row_unit[both], "x": ratings[x].to_numpy()[both]})
    piece["y"] = ratings[y].to_numpy()[both]
    return piece.assign(n=1, w=weight[both], s=weight[both] ** 2)


def _check_ratings(ratings: pd.DataFrame) -> None:
    for name in ratings.columns:
        infinite = ratings.loc[np.isinf(ratings[name]), name].tolist()
        if infinite:
            raise ValueError(
                f"`{name}` must be finite ratings; got {got(infinite)}. If it is a code for a "
                "missing answer, declare it in the study file."
            )


def _count(lazy: nw.LazyFrame) -> int:
    return int(collect(lazy.select(nw.len())).to_numpy()[0, 0])


def _count_clusters(lazy: nw.LazyFrame, design: Design) -> int:
    """Clusters, with rows that have none; 0 where no cluster column is given."""
    if not design.cluster:
        return 0
    stratum = nw.col(design.strata) if design.strata else nw.lit(0)
    keys = {"stratum": stratum, "cluster": nw.col(design.cluster)}
    named = _count(lazy.select(**keys).filter(~nw.col("cluster").is_null()).unique())
    return named + _count(lazy.filter(nw.col(design.cluster).is_null()))


def grouped_cells(
    lazy: nw.LazyFrame, x: Sequence[str], y: Sequence[str], *, design: Design, keep_clusters: bool
) -> Grouped:
    """Cells, their weights per unit, squared weights, units and rows, by one GROUP BY.

    The keys are stratum, cluster (if they are kept apart) and the y ratings; of each x the
    engine sums one indicator per rating (times the weight, and its square where it is
    wanted). So the rows are read once, however many x there are.
    """
    levels = _levels(lazy, [*x, *y])
    wide = collect(_one_pass(lazy, x, y, levels, design, keep_clusters))
    wide = wide.sort_values(list(wide.columns[: 2 + len(y)]), kind="stable", ignore_index=True)
    units, unit = _units(wide, design, keep_clusters)
    pieces = [
        _pair_cells(wide, unit, i, f"y_{j}", levels[name])
        for j in range(len(y))
        for i, name in enumerate(x)
    ]
    cells, by_unit, squares = assemble_cells(pieces, units.n_units)
    return cells, by_unit, squares, units, int(wide["rows"].sum())


def _levels(lazy: nw.LazyFrame, columns: Sequence[str]) -> dict[str, list[int]]:
    looks = []
    for name in columns:
        value = nw.col(name).cast(nw.Float64)
        looks += [value.min().alias(f"{name}|min"), value.max().alias(f"{name}|max")]
        looks.append(_number(value != value.round(0)).alias(f"{name}|broken"))
    found = collect(lazy.select(*looks)).iloc[0]
    return {name: _range(name, found) for name in columns}


def _range(name: str, found: pd.Series) -> list[int]:
    low, high = found[f"{name}|min"], found[f"{name}|max"]
    if pd.isna(low):
        return []
    if found[f"{name}|broken"] or not high - low < MOST_LEVELS:
        raise ValueError(
            f"`{name}` must be whole ratings on a scale of at most {MOST_LEVELS} points in data of "
            f"this size; got values from {low:g} to {high:g}. Declare missing codes in the study "
            "file, or round the ratings."
        )
    return list(range(int(low), int(high) + 1))


def _weight(design: Design) -> nw.Expr:
    return nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)


def _stratum(design: Design) -> nw.Expr:
    return nw.col(design.strata) if design.strata else nw.lit(0)


def _one_pass(
    lazy: nw.LazyFrame,
    x: Sequence[str],
    y: Sequence[str],
    levels: dict[str, list[int]],
    design: Design,
    keep_clusters: bool,
) -> nw.LazyFrame:
    keys = {"stratum": _stratum(design)}
    keys["cluster"] = nw.col(str(design.cluster)) if keep_clusters else nw.lit(0)
    keys |= {f"y_{j}": nw.col(name).cast(nw.Float64) for j, name in enumerate(y)}
    values = {f"x_{i}": nw.col(name).cast(nw.Float64) for i, name in enumerate(x)}
    sampled = {"sampled": nw.col(design.stratum_clusters)} if design.stratum_clusters else {}
    prepared = lazy.select(**keys, **values, **sampled, weight=_weight(design))
    # a condition that always holds would still be evaluated for every rating
    inside = nw.col("weight") > 0 if design.weights else None
    sums = [nw.len().alias("all_rows")]
    sums.append(nw.len().alias("rows") if inside is None else _number(inside).alias("rows"))
    sums += [nw.col(name).max() for name in sampled]
    for i, name in enumerate(x):
        sums += _indicators(i, levels[name], inside)
    constant = [] if design.strata else ["stratum"]
    constant += [] if keep_clusters else ["cluster"]
    return group_sums(prepared, list(keys), sums, constant)


def _indicators(i: int, levels: list[int], inside: nw.Expr | None) -> list[nw.Expr]:
    """Number of each rating of one x; with weights also their sum and sum of squares."""
    value, weight, sums = nw.col(f"x_{i}"), nw.col("weight"), []
    for k, level in enumerate(levels):
        at = value == level if inside is None else (value == level) & inside
        sums.append(_number(at).alias(f"n_{i}_{k}"))
        if inside is not None:
            sums.append(_sum_where(at, weight).alias(f"w_{i}_{k}"))
            sums.append(_sum_where(at, weight * weight).alias(f"s_{i}_{k}"))
    return sums


def _number(condition: nw.Expr) -> nw.Expr:
    return condition.cast(nw.Int64).sum()


def _sum_where(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(value).otherwise(nw.lit(0.0)).sum()


def _units(
    wide: pd.DataFrame, design: Design, keep_clusters: bool
) -> tuple[SampledUnits, np.ndarray]:
    if keep_clusters:
        drawn = sampling_design(
            len(wide),
            strata=wide["stratum"] if design.strata else None,
            cluster=wide["cluster"],
            stratum_clusters=wide["sampled"] if design.stratum_clusters else None,
        )
        return SampledUnits(drawn, simple=False, clustered=True), drawn.row_cluster
    code, _ = pd.factorize(wide["stratum"], sort=True)
    sizes = np.bincount(code, weights=wide["all_rows"]).astype(int)
    if design.stratum_clusters and not design.cluster:
        sizes = np.maximum(sizes, wide.groupby(code)["sampled"].max().fillna(0).astype(int))
    drawn = SamplingDesign(
        row_cluster=np.arange(len(sizes)),
        cluster_stratum=np.arange(len(sizes)),
        stratum_sizes=np.asarray(sizes),
        stratified=design.strata is not None,
    )
    clustered = design.cluster is not None
    return SampledUnits(drawn, simple=design.simple, clustered=clustered, lumped=True), code


def _pair_cells(
    wide: pd.DataFrame, unit: np.ndarray, i: int, y: str, levels: list[int]
) -> pd.DataFrame:
    """Long cells of one pair: unit, x, y and the sums."""
    known = wide[y].notna().to_numpy()
    parts = {}
    for name in SUMS:
        # without weights a sum of weights, or of their squares, is the count
        stem = name if f"{name}_{i}_0" in wide else "n"
        columns = [f"{stem}_{i}_{k}" for k in range(len(levels))]
        parts[name] = wide.loc[known, columns].to_numpy(float)
    entry, level = np.nonzero(parts["n"])
    long = pd.DataFrame({"unit": unit[known][entry], "x": np.array(levels, dtype=float)[level]})
    long["y"] = wide.loc[known, y].to_numpy(float)[entry]
    for name in SUMS:
        long[name] = parts[name][entry, level]
    return long


def assemble_cells(
    pieces: list[pd.DataFrame], n_units: int
) -> tuple[pd.DataFrame, sparse.csr_array, sparse.csr_array]:
    """Cells of all pairs, and the sums of weights and squared weights of each unit in them.

    Each piece holds ``unit, x, y, n, w, s`` of a pair; a unit's cell may have several rows.
    """
    long = pd.concat([piece.assign(pair=i) for i, piece in enumerate(pieces)], ignore_index=True)
    grouped = long.groupby(["pair", "x", "y"])
    place, cells = grouped.ngroup().to_numpy(), grouped.size().index.to_frame(index=False)
    cells["n"] = np.bincount(place, weights=long["n"]).astype(int)
    cells["weight"] = np.bincount(place, weights=long["w"])
    shape = (n_units, len(cells))
    by_unit, squares = (
        sparse.coo_array((long[name].to_numpy(float), (long["unit"], place)), shape=shape).tocsr()
        for name in ("w", "s")
    )
    return cells, by_unit, squares


def pearson_covariance(
    opened: Opened,
    pairs: Sequence[tuple[str, str]],
    cells: pd.DataFrame,
    estimate: Array,
) -> tuple[Array, Array]:
    """Taylor covariance of Pearson's r of every pair, and its degrees of freedom.

    The influence function of r is a polynomial in the two ratings, so the engine can evaluate
    it for each row, sum it within clusters and multiply the sums: one nested GROUP BY. Degrees
    of freedom are the clusters (rows, where there are none) that hold a pair less the strata
    that do.
    """
    design, known = opened.design, np.flatnonzero(np.isfinite(estimate)).tolist()
    influences = [
        _row_influence(pairs[number], cells[cells["pair"] == number], estimate[number])
        for number in known
    ]
    size, constant = len(known), [] if design.strata else ["stratum"]
    table = collect(_stratum_sums(_cluster_sums(opened.lazy, influences, design), size, constant))
    covariance, df = np.zeros((len(pairs), len(pairs))), np.zeros(len(pairs))
    inner, clusters = np.zeros((size, size)), np.zeros(size)
    for _, row in table.iterrows():
        sampled = _sampled(row, design)
        total = row[[f"t_{i}" for i in range(size)]].to_numpy(float)
        products = _symmetric(row, size)
        inner += sampled / (sampled - 1) * (products - np.outer(total, total) / sampled)
        held = row[[f"c_{i}" for i in range(size)]].to_numpy(float)
        clusters += held - (held > 0)
    covariance[np.ix_(known, known)] = inner
    df[known] = clusters
    return covariance, df


def _row_influence(
    pair: tuple[str, str], cells: pd.DataFrame, estimate: float
) -> tuple[nw.Expr, nw.Expr]:
    """Influence of a row on r over the pairs' weight, and whether the row is a pair."""
    mass = cells["weight"] / cells["weight"].sum()
    standard = []
    for name, rating in zip(pair, (cells["x"], cells["y"]), strict=True):
        mean = float((mass * rating).sum())
        deviation = float(np.sqrt((mass * (rating - mean) ** 2).sum()))
        standard.append((nw.col(name).cast(nw.Float64) - mean) / deviation)
    zx, zy = standard
    influence = zx * zy - (zx * zx + zy * zy) * (float(estimate) / 2)
    both = (~nw.col(pair[0]).is_null()) & (~nw.col(pair[1]).is_null())
    return influence / float(cells["weight"].sum()), both


def _cluster_sums(
    lazy: nw.LazyFrame, influences: list[tuple[nw.Expr, nw.Expr]], design: Design
) -> nw.LazyFrame:
    """Totals of the influences per cluster (row, where it has none), and the pairs it holds."""
    weight, keys = _weight(design), {"stratum": _stratum(design)}
    if design.cluster:
        keys["cluster"] = nw.col(design.cluster)
    if design.stratum_clusters:
        keys["sampled"] = nw.col(design.stratum_clusters)
    terms, held = {}, {}
    for place, (influence, both) in enumerate(influences):
        inside = both & (weight > 0)
        terms[f"if_{place}"] = nw.when(inside).then(influence * weight).otherwise(nw.lit(0.0))
        held[f"held_{place}"] = nw.when(inside).then(nw.lit(1)).otherwise(nw.lit(0))
    prepared = lazy.select(**keys, **terms, **held)
    if not design.cluster:
        return prepared
    most = [*(["sampled"] if "sampled" in keys else []), *held]
    order = ["stratum", *terms, *most]
    sums = [*(nw.col(name).sum() for name in terms), *(nw.col(name).max() for name in most)]
    named = prepared.filter(~nw.col("cluster").is_null())
    whole = named.group_by("stratum", "cluster").agg(*sums).select(order)
    return nw.concat([whole, prepared.filter(nw.col("cluster").is_null()).select(order)])


def _stratum_sums(totals: nw.LazyFrame, size: int, constant: list[str]) -> nw.LazyFrame:
    """Per stratum: units, totals, their products, and units that hold a pair."""
    value = [nw.col(f"if_{i}") for i in range(size)]
    sums = [nw.len().alias("units")]
    if "sampled" in totals.collect_schema().names():
        sums.append(nw.col("sampled").max())
    sums += [value[i].sum().alias(f"t_{i}") for i in range(size)]
    sums += [nw.col(f"held_{i}").sum().alias(f"c_{i}") for i in range(size)]
    sums += [
        (value[i] * value[j]).sum().alias(f"p_{i}_{j}") for i in range(size) for j in range(i, size)
    ]
    return group_sums(totals, ["stratum"], sums, constant)


def _sampled(row: pd.Series, design: Design) -> float:
    declared = row["sampled"] if design.stratum_clusters and pd.notna(row["sampled"]) else 0
    return float(max(row["units"], declared))


def _symmetric(row: pd.Series, size: int) -> Array:
    matrix = np.zeros((size, size))
    for i in range(size):
        for j in range(i, size):
            matrix[i, j] = matrix[j, i] = row[f"p_{i}_{j}"]
    return matrix
