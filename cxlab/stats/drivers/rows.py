"""Rows of answers as sums per pattern of missing answers, and columns that repeat others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.covariance.covariance import pair_sums, pairwise_covariance
from cxlab.stats.covariance.sums import (
    MEMORY_LIMIT,
    Cells,
    cells_of_rows,
    join_cells,
    merge_cells,
    unpack,
)

Array = np.ndarray

#: Cells made at a time (megabytes).
CHUNK = 128
#: A residual variance below this part of the whole means an exact combination.
EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class RowSource:
    """Rows in memory, handed out as cells a part at a time."""

    rows: Array  # (n, q), about an origin; NaN where missing
    weights: Array  # (n,)
    unit: Array  # (n,), the row's sampling unit

    def chunks(self) -> Iterator[Cells]:
        """Cells of runs of rows, one cell per row, rows of one pattern side by side."""
        known = np.packbits(~np.isnan(self.rows), axis=1)
        order = np.lexsort(known.T)
        size = max(1, int(CHUNK * 1e6 / (8 * self.cell_length)))
        for start in range(0, len(order), size):
            part = order[start : start + size]
            yield cells_of_rows(self.rows[part], self.weights[part], self.unit[part])

    def patterns(self) -> Cells:
        """Sums per missingness pattern; in a temporary file where there are very many."""
        parts = [merge_cells(chunk, []) for chunk in self.chunks()]
        length = sum(len(part) for part in parts)
        on_disk = length * self.cell_length * 8 > MEMORY_LIMIT * 1e6
        joined = join_cells(parts, on_disk=on_disk)
        return joined if on_disk else merge_cells(joined, [])

    @property
    def cell_length(self) -> int:
        """Numbers that a cell takes."""
        q = self.rows.shape[1]
        return q * (q + 3) // 2

    @property
    def small(self) -> bool:
        """Whether all rows fit in one chunk."""
        return len(self.rows) * self.cell_length * 8 <= CHUNK * 1e6


@dataclass(frozen=True, eq=False)
class Relations:
    """Columns that are exact combinations of others."""

    kept: list[int]  # columns that are not
    slopes: Array  # (q, kept), every column from the kept ones
    constants: Array  # (q,)

    def note(self, columns: tuple[str, ...]) -> str:
        """Which columns follow from the others, in words; empty if none does."""
        dropped = [columns[j] for j in range(len(columns)) if j not in self.kept]
        if not dropped:
            return ""
        names = ", ".join(f"'{name}'" for name in dropped)
        return f"Exact combinations of other columns: {names}."


def exact_relations(cells: Cells) -> Relations:
    """Find columns that never vary, or always equal a combination of earlier ones.

    Candidates come from the rows without a missing answer, or (for copies) from pairwise
    correlations; one is kept only if it holds in every row that has all of its columns.
    """
    q = cells.observed.shape[1]
    mean, matrix = _search_matrix(cells)
    correlation = to_correlation(matrix)
    kept: list[int] = []
    slopes, constants = np.zeros((q, q)), mean.copy()
    for column in range(q):
        if matrix[column, column] <= 0:
            continue
        slope = _combination(correlation, matrix, kept, column)
        if slope is not None and _holds(cells, slope, column):
            slopes[column] = slope
            constants[column] = mean[column] - slope @ mean
            continue
        kept.append(column)
        slopes[column, column] = 1.0
        constants[column] = 0.0
    return Relations(kept, slopes[:, kept], constants)


def _search_matrix(cells: Cells) -> tuple[Array, Array]:
    q = cells.observed.shape[1]
    whole = np.asarray(cells.observed.all(axis=1))
    if cells.n[whole].sum() > 2 * q:
        cells = cells.take(whole)
    return pairwise_covariance(pair_sums(cells))


def _combination(correlation: Array, matrix: Array, kept: list[int], column: int) -> Array | None:
    if not kept:
        return None
    block = correlation[np.ix_(kept, kept)]
    target = correlation[kept, column]
    weights, *_ = np.linalg.lstsq(block, target, rcond=None)
    if not abs(1 - weights @ target) < EXACT:
        return None
    weights = np.where(np.abs(weights) < 1e-6, 0.0, weights)
    slope = np.zeros(len(matrix))
    scale = np.sqrt(np.diagonal(matrix))
    slope[kept] = weights * scale[column] / scale[kept]
    return slope


def _holds(cells: Cells, slope: Array, column: int) -> bool:
    """Whether the combination leaves no residual wherever all of its columns are known."""
    involved = np.append(np.flatnonzero(slope), column)
    part = cells.take(np.asarray(cells.observed[:, involved].all(axis=1)))
    if part.n.sum() < 2:
        return False
    contrast = -slope
    contrast[column] = 1.0
    weight = part.weight.sum()
    products = unpack(part.products.sum(axis=0), len(slope)) / weight
    means = part.sums.sum(axis=0) / weight
    left = contrast @ products @ contrast - (contrast @ means) ** 2
    spread = products[column, column] - means[column] ** 2
    return bool(left <= EXACT * max(spread, 1e-300))
