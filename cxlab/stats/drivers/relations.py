"""Columns that follow exactly from others, found before anything is inverted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.covariance.covariance import pair_sums, pairwise_covariance
from cxlab.stats.covariance.sums import Cells, unpack

Array = np.ndarray

#: A residual variance below this part of the whole means an exact combination.
EXACT = 1e-9


@dataclass(frozen=True, eq=False)
class Relations:
    """Columns that are exact combinations of others.

    Attributes
    ----------
    kept : list of int
        Columns that are not.
    slopes : ndarray, shape (q, kept)
        Every column from the kept ones.
    constants : ndarray, shape (q,)
    """

    kept: list[int]
    slopes: Array
    constants: Array

    def note(self, columns: tuple[str, ...]) -> str:
        """Which columns follow from the others, in words."""
        dropped = [columns[j] for j in range(len(columns)) if j not in self.kept]
        if not dropped:
            return ""
        names = ", ".join(f"'{name}'" for name in dropped)
        return f"Exact combinations of other columns: {names}."


def exact_relations(cells: Cells) -> Relations:
    """Find columns that never vary, or always equal a combination of earlier ones.

    A combination is looked for in the rows without a hole, or (for copies) in pairwise
    correlations, and kept only if it holds in every row that can tell.
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
    """Whether the combination leaves nothing over wherever all of it is known."""
    involved = np.append(np.flatnonzero(slope), column)
    part = cells.take(np.asarray(cells.observed[:, involved].all(axis=1)))
    if part.n.sum() < 2:
        return False
    contrast = -slope
    contrast[column] = 1.0
    q = len(slope)
    weight = part.weight.sum()
    mean = contrast @ part.sums.sum(axis=0) / weight
    square = contrast @ unpack(part.products.sum(axis=0), q) @ contrast / weight
    own = part.sums[:, column].sum() / weight
    spread = unpack(part.products.sum(axis=0), q)[column, column] / weight - own**2
    return bool(square - mean**2 <= EXACT * max(spread, 1e-300))
