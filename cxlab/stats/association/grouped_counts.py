"""Joint counts of data too large to read row by row: one GROUP BY in the engine."""

from __future__ import annotations

from collections.abc import Sequence

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.core.design import Design
from cxlab.core.frames import collect, group_sums
from cxlab.stats.association.units import Units
from cxlab.stats.resampling import SamplingDesign, sampling_design

#: Ratings in large data are whole numbers within this many of each other.
MOST_LEVELS = 21

#: Of every cell: rows, their weight and their squared weight.
SUMS = ("n", "w", "s")

Grouped = tuple[pd.DataFrame, sparse.csr_array, sparse.csr_array, Units, int]


def grouped_cells(
    lazy: nw.LazyFrame,
    x: Sequence[str],
    y: Sequence[str],
    *,
    design: Design,
    scale: tuple[float, float] | None,
    keep_clusters: bool,
) -> Grouped:
    """Cells, their weights per unit, squared weights, units and rows, by one GROUP BY.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
        Ratings and design columns, NaN already null.
    x, y : sequence of str
        Every x is counted against every y.
    design : Design
    scale : (low, high) or None
        None: the ends are looked up first.
    keep_clusters : bool
        Count per cluster; otherwise per stratum.

    Notes
    -----
    The keys are stratum, cluster and the y ratings; of each x the engine sums one
    indicator per rating (times the weight, and its square where it is wanted). So the rows
    are read once, however many x there are.
    """
    levels = _levels(lazy, [*x, *y], scale)
    wide = collect(_one_pass(lazy, x, y, levels, design, keep_clusters))
    wide = wide.sort_values(list(wide.columns[: 2 + len(y)]), kind="stable", ignore_index=True)
    _check_counted(wide, x, y, levels)
    units, unit = _units(wide, design, keep_clusters)
    pieces = [
        _pair_cells(wide, unit, i, f"y_{j}", len(levels[name]))
        for j in range(len(y))
        for i, name in enumerate(x)
    ]
    cells, by_unit, squares = _assemble(pieces, levels, x, y, units.n_units)
    return cells, by_unit, squares, units, int(wide["rows"].sum())


def _levels(
    lazy: nw.LazyFrame, columns: Sequence[str], scale: tuple[float, float] | None
) -> dict[str, list[int]]:
    if scale is not None:
        low, high = int(scale[0]), int(scale[1])
        return {name: list(range(low, high + 1)) for name in columns}
    looks = []
    for name in columns:
        value = nw.col(name).cast(nw.Float64)
        broken = nw.when(value != value.round(0)).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
        looks += [value.min().alias(f"{name}|min"), value.max().alias(f"{name}|max")]
        looks.append(broken.alias(f"{name}|broken"))
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


def _one_pass(
    lazy: nw.LazyFrame,
    x: Sequence[str],
    y: Sequence[str],
    levels: dict[str, list[int]],
    design: Design,
    keep_clusters: bool,
) -> nw.LazyFrame:
    weight = nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)
    keys = {"stratum": nw.col(design.strata) if design.strata else nw.lit(0)}
    keys["cluster"] = nw.col(str(design.cluster)) if keep_clusters else nw.lit(0)
    keys |= {f"y_{j}": nw.col(name).cast(nw.Float64) for j, name in enumerate(y)}
    values = {f"x_{i}": nw.col(name).cast(nw.Float64) for i, name in enumerate(x)}
    told = {"sampled": nw.col(design.stratum_clusters)} if design.stratum_clusters else {}
    prepared = lazy.select(**keys, **values, **told, weight=weight)
    weighted = design.weights is not None
    # a condition that always holds would still be evaluated for every rating
    inside = nw.col("weight") > 0 if weighted else None
    counted = [nw.len().alias("all_rows")]
    counted.append(nw.len().alias("rows") if inside is None else _number(inside).alias("rows"))
    if told:
        counted.append(nw.col("sampled").max())
    for i, name in enumerate(x):
        counted += _indicators(i, levels[name], inside, squared=weighted)
    constant = [] if design.strata else ["stratum"]
    constant += [] if keep_clusters else ["cluster"]
    return group_sums(prepared, list(keys), counted, constant)


def _indicators(
    i: int, levels: list[int], inside: nw.Expr | None, *, squared: bool
) -> list[nw.Expr]:
    """Of one x: answers, and per rating their number, weight and squared weight."""
    value, weight = nw.col(f"x_{i}"), nw.col("weight")
    known = ~value.is_null()
    sums = [_number(known if inside is None else known & inside).alias(f"answered_{i}")]
    for k, level in enumerate(levels):
        at = value == level if inside is None else (value == level) & inside
        sums.append(_number(at).alias(f"n_{i}_{k}"))
        if inside is not None:
            sums.append(_sum_where(at, weight).alias(f"w_{i}_{k}"))
        if squared:
            sums.append(_sum_where(at, weight * weight).alias(f"s_{i}_{k}"))
    return sums


def _number(condition: nw.Expr) -> nw.Expr:
    return condition.cast(nw.Int64).sum()


def _sum_where(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(value).otherwise(nw.lit(0.0)).sum()


def _check_counted(
    wide: pd.DataFrame, x: Sequence[str], y: Sequence[str], levels: dict[str, list[int]]
) -> None:
    for i, name in enumerate(x):
        counted = wide[[f"n_{i}_{k}" for k in range(len(levels[name]))]].to_numpy().sum()
        missed = int(wide[f"answered_{i}"].sum() - counted)
        _refuse_off_scale(name, missed, levels[name])
    for j, name in enumerate(y):
        value = wide[f"y_{j}"]
        missed = int(wide.loc[value.notna() & ~value.isin(levels[name]), "rows"].sum())
        _refuse_off_scale(name, missed, levels[name])


def _refuse_off_scale(name: str, missed: int, levels: list[int]) -> None:
    if missed:
        raise ValueError(
            f"`{name}` must be whole ratings from {levels[0]} to {levels[-1]}; got {missed:,} "
            "others. If they are codes for a missing answer, declare them in the study file."
        )


def _units(wide: pd.DataFrame, design: Design, keep_clusters: bool) -> tuple[Units, np.ndarray]:
    if keep_clusters:
        drawn = sampling_design(
            len(wide),
            strata=wide["stratum"] if design.strata else None,
            cluster=wide["cluster"],
            stratum_clusters=wide["sampled"] if design.stratum_clusters else None,
        )
        return Units(drawn, simple=False, clustered=True), drawn.row_cluster
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
    return Units(drawn, simple=design.simple, clustered=clustered, lumped=True), code


def _pair_cells(
    wide: pd.DataFrame,
    unit: np.ndarray,
    i: int,
    y: str,
    n_levels: int,
) -> pd.DataFrame:
    """Long cells of one pair: unit, level of x, y and the sums."""
    known = wide[y].notna().to_numpy()
    parts = {}
    for name in SUMS:
        # without weights a sum of weights, or of their squares, is the count
        stem = name if f"{name}_{i}_0" in wide else "n"
        columns = [f"{stem}_{i}_{k}" for k in range(n_levels)]
        parts[name] = wide.loc[known, columns].to_numpy(float)
    entry, level = np.nonzero(parts["n"]) if n_levels else (np.empty(0, int), np.empty(0, int))
    long = pd.DataFrame({"unit": unit[known][entry], "level": level})
    long["y"] = wide.loc[known, y].to_numpy(float)[entry]
    for name in SUMS:
        long[name] = parts[name][entry, level]
    return long.groupby(["unit", "level", "y"], as_index=False).sum()


def _assemble(
    pieces: list[pd.DataFrame],
    levels: dict[str, list[int]],
    x: Sequence[str],
    y: Sequence[str],
    n_units: int,
) -> tuple[pd.DataFrame, sparse.csr_array, sparse.csr_array]:
    long = pd.concat(
        [piece.assign(pair=number) for number, piece in enumerate(pieces)],
        ignore_index=True,
    )
    names = [name for _ in y for name in x]
    cells = long.groupby(["pair", "level", "y"], as_index=False)[["n", "w"]].sum()
    cells["x"] = [
        float(levels[names[pair]][level])
        for pair, level in zip(cells["pair"], cells["level"], strict=True)
    ]
    numbered = cells.reset_index(names="cell")[["pair", "level", "y", "cell"]]
    place = long.merge(numbered, on=["pair", "level", "y"], how="left")["cell"].to_numpy()
    shape = (n_units, len(cells))
    by_unit, squares = (
        sparse.coo_array((long[name].to_numpy(float), (long["unit"], place)), shape=shape).tocsr()
        for name in SUMS[1:]
    )
    cells["n"] = cells["n"].astype(int)
    cells = cells.rename(columns={"w": "weight"})[["pair", "x", "y", "n", "weight"]]
    return cells, by_unit, squares
