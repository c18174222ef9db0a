"""Rating × rating counts of many pairs of columns, and how they fall on clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.core.design import Design
from cxlab.core.frames import Opened, as_list, collect
from cxlab.core.messages import got
from cxlab.stats.association.large import assemble_cells, grouped_cells
from cxlab.stats.association.units import Units, units_of_rows

Array = NDArray[np.float64]

#: Rows × pairs up to which the rows themselves are read: about 40 bytes each. Larger data
#: are counted in the engine by one GROUP BY.
MOST_ROW_CELLS = 5_000_000

#: Clusters up to which that GROUP BY counts each; with more, or without clusters, it
#: counts per stratum, with sums of squared weights.
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
    units: Units
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
    keep = 0 < _count_clusters(lazy, design) <= MOST_CLUSTERS
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
