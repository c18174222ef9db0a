"""Rating × rating counts of many pairs of columns, per cluster, in one GROUP BY."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import as_list, check_columns, check_numeric, collect, scan
from cxlab.core.messages import got
from cxlab.stats.association.grouped_counts import grouped_cells
from cxlab.stats.association.units import Units, units_of_rows

Array = NDArray[np.float64]

#: Rows × pairs up to which the rows themselves are read: about 40 bytes each.
MOST_ROW_CELLS = 5_000_000

#: More clusters than this in larger data are not kept apart in the tables.
MOST_CLUSTERS = 1_000


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
    by_unit : sparse array of shape (units, cells)
        Sum of weights of each cell in each unit. A unit is a cluster; a row, where there
        is none; a whole stratum, where rows were too many to keep apart.
    squares : sparse array of shape (units, cells)
        Sum of squared weights of each cell in each unit.
    units : Units
        Strata of the units and what was assumed.
    n_rows : int
        Rows of positive weight, answered or not.
    rows : DataFrame or None
        The rows read, if they were: ratings and ``weight``.
    """

    pairs: tuple[tuple[str, str], ...]
    cells: pd.DataFrame
    by_unit: sparse.csr_array
    squares: sparse.csr_array
    units: Units
    n_rows: int
    rows: pd.DataFrame | None = field(default=None, repr=False)

    def pair(self, number: int) -> pd.DataFrame:
        """Cells of one pair; the index is their place in ``cells``."""
        start, end = np.searchsorted(self.cells["pair"].to_numpy(), [number, number + 1])
        return self.cells.iloc[start:end]

    def table(self, x: str, y: str) -> pd.DataFrame:
        """Weighted count table of a pair: ratings of x down, of y across."""
        cells = self.pair(self.pairs.index((x, y)))
        return cells.pivot(index="x", columns="y", values="weight").fillna(0.0)


def joint_counts(
    data: Any,
    x: str | Sequence[str],
    y: str | Sequence[str],
    *,
    design: DesignLike = None,
    scale: tuple[float, float] | None = None,
    most_row_cells: int = MOST_ROW_CELLS,
    most_clusters: int = MOST_CLUSTERS,
) -> JointCounts:
    """Count x rating × y rating for every x and y, each pair on its own rows.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame, one row per answer.
    x, y : str or sequence of str
        Columns of ratings. Null or NaN: not answered; the row is left out of that pair
        only.
    design : Design or mapping, optional
        The survey design, such as ``study.design``. A row of weight 0 is counted
        nowhere, but its cluster is part of the sample.
    scale : (low, high), optional
        Ends of the scale; a rating outside is refused. In large data it saves a look at
        the values.
    most_row_cells : int
        Rows × pairs up to which rows are read as they are. Larger data are counted in the
        engine by one GROUP BY.
    most_clusters : int
        Clusters up to which that GROUP BY keeps them apart; with more, or without
        clusters, it counts per stratum, with sums of squared weights.

    Returns
    -------
    JointCounts

    Raises
    ------
    ValueError
        For unknown columns, ratings that are infinite or off the scale, weights that are
        null, negative or infinite, or in large data ratings that are not whole numbers.
    TypeError
        For text.

    Examples
    --------
    >>> answers = pd.DataFrame({"shops": [4, 5, 5, None], "overall": [4, 5, 4, 5]})
    >>> joint_counts(answers, "shops", "overall").table("shops", "overall").astype(int)
    y    4.0  5.0
    x
    4.0    1    0
    5.0    1    1
    """
    x, y = as_list(x), as_list(y)
    design = as_design(design)
    check_columns(data, {"x": x, "y": y, **design.columns()})
    used = [name for name in design.columns().values() if name]
    lazy = scan(data, [*x, *y, *used])
    check_numeric(
        lazy,
        {"x": x, "y": y, "weights": design.weights, "stratum_clusters": design.stratum_clusters},
    )
    _check_weights(lazy, design.weights)
    pairs = tuple((touchpoint, outcome) for outcome in y for touchpoint in x)
    n_rows = len(data) if isinstance(data, pd.DataFrame) else _count(lazy)
    if n_rows * len(pairs) <= most_row_cells:
        return _from_rows(collect(lazy), pairs, design, scale)
    clusters = _count_distinct(lazy, design)
    keep = 0 < clusters <= most_clusters
    grouped = grouped_cells(lazy, x, y, design=design, scale=scale, keep_clusters=keep)
    return JointCounts(pairs, *grouped, rows=None)


def _from_rows(
    rows: pd.DataFrame,
    pairs: tuple[tuple[str, str], ...],
    design: Design,
    scale: tuple[float, float] | None,
) -> JointCounts:
    columns = list(dict.fromkeys(name for pair in pairs for name in pair))
    ratings = rows[columns].astype(float)
    _check_ratings(ratings, scale)
    units, row_unit = units_of_rows(rows, design)
    weight = rows[design.weights].to_numpy(float) if design.weights else np.ones(len(rows))
    parts = [
        _row_cells(ratings[x].to_numpy(), ratings[y].to_numpy(), weight, row_unit) for x, y in pairs
    ]
    sizes = np.cumsum([0, *(len(part[0]) for part in parts)])
    cells = pd.concat(
        [part[0].assign(pair=number) for number, part in enumerate(parts)],
        ignore_index=True,
    )
    entries = np.concatenate([part[1] + size for part, size in zip(parts, sizes, strict=False)])
    unit = np.concatenate([part[2] for part in parts])
    mass = np.concatenate([part[3] for part in parts])
    shape = (units.n_units, len(cells))
    by_unit = sparse.coo_array((mass, (unit, entries)), shape=shape).tocsr()
    squares = by_unit
    if design.weights:
        squares = sparse.coo_array((mass**2, (unit, entries)), shape=shape).tocsr()
    cells = cells[["pair", "x", "y", "n", "weight"]]
    kept = ratings.assign(weight=weight)
    return JointCounts(pairs, cells, by_unit, squares, units, int((weight > 0).sum()), kept)


def _row_cells(
    x: Array, y: Array, weight: Array, row_unit: NDArray[np.intp]
) -> tuple[pd.DataFrame, NDArray[np.intp], NDArray[np.intp], Array]:
    """Cells of one pair; and of each of its rows the cell, the unit and the weight."""
    valid = np.flatnonzero(~np.isnan(x) & ~np.isnan(y) & (weight > 0))
    x_levels, i = np.unique(x[valid], return_inverse=True)
    y_levels, j = np.unique(y[valid], return_inverse=True)
    codes, cell = np.unique(i * max(len(y_levels), 1) + j, return_inverse=True)
    mass = weight[valid]
    cells = pd.DataFrame(
        {
            "x": x_levels[codes // max(len(y_levels), 1)],
            "y": y_levels[codes % max(len(y_levels), 1)],
            "n": np.bincount(cell, minlength=len(codes)),
            "weight": np.bincount(cell, weights=mass, minlength=len(codes)),
        }
    )
    return cells, cell, row_unit[valid], mass


def _check_ratings(ratings: pd.DataFrame, scale: tuple[float, float] | None) -> None:
    low, high = scale if scale is not None else (-np.finfo(float).max, np.finfo(float).max)
    for name in ratings.columns:
        values = ratings[name].dropna()
        off = values[(values < low) | (values > high)]
        if len(off):
            raise ValueError(off_scale(name, off.tolist(), scale))


def off_scale(name: str, values: list[float], scale: tuple[float, float] | None) -> str:
    """Message for ratings that can't be."""
    allowed = "finite" if scale is None else f"from {scale[0]:g} to {scale[1]:g}"
    shown = [f"{value:g}" for value in values]
    found = f"{shown[0]} (and {len(shown) - 1:,} more)" if len(shown) > 1 else shown[0]
    return (
        f"`{name}` must be ratings {allowed}; got {found}. If it is a code for a missing answer, "
        "declare it in the study file."
    )


def _check_weights(lazy: nw.LazyFrame, weights: str | None) -> None:
    if weights is None:
        return
    weight = nw.col(weights).cast(nw.Float64)
    good = (weight >= 0) & (weight < float("inf"))
    bad = collect(lazy.filter(weight.is_null() | ~good).select(weight))
    if len(bad):
        values = [str(value) for value in bad.iloc[:, 0]]
        raise ValueError(
            f"`weights` must be finite numbers of 0 or more; got {got(values)} in '{weights}'. "
            "Give a row that is outside the population the weight 0."
        )


def _count(lazy: nw.LazyFrame) -> int:
    return int(collect(lazy.select(nw.len())).to_numpy()[0, 0])


def _count_distinct(lazy: nw.LazyFrame, design: Design) -> int:
    """Clusters, with rows that have none; 0 where no cluster column is given."""
    if not design.cluster:
        return 0
    keys = {"stratum": _stratum(design), "cluster": nw.col(design.cluster)}
    named = _count(lazy.select(**keys).filter(~nw.col("cluster").is_null()).unique())
    return named + _count(lazy.filter(nw.col(design.cluster).is_null()))


def _stratum(design: Design) -> nw.Expr:
    return nw.col(design.strata) if design.strata else nw.lit(0)
