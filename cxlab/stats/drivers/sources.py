"""Rows in memory, handed to the estimators a part at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance.sums import (
    MEMORY_LIMIT,
    Cells,
    cells_of_rows,
    join_cells,
    merge_cells,
)

Array = np.ndarray

#: Cells made at a time (megabytes).
CHUNK = 128


@dataclass(frozen=True, eq=False)
class RowSource:
    """Rows in memory, handed out as cells a part at a time.

    Attributes
    ----------
    rows : ndarray, shape (n, q)
        About an origin; NaN where not known.
    weights, unit : ndarray, shape (n,)
        Weight and sampling unit of each row.
    """

    rows: Array
    weights: Array
    unit: Array

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
