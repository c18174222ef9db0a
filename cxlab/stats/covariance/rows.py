"""Weighted rows with missing answers, many alike put together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cxlab.stats.covariance.covariance import PairSums
from cxlab.stats.covariance.patterns import Patterns, pattern_numbers
from cxlab.stats.covariance.sums import Cells, unpack

Array = np.ndarray

#: A direction with less than this part of the largest spread is rounding.
NO_SPREAD = 1e-15


@dataclass(frozen=True, eq=False)
class WeightedRows:
    """Rows with weights; one may stand for many, others for their spread about it.

    Attributes
    ----------
    values : ndarray, shape (n, q)
        NaN where missing.
    weight : ndarray, shape (n,)
    count : ndarray of int, shape (n,)
        Rows that it stands for; 0 where it adds to the sums of products only.
    unit : ndarray of int, shape (n,)
        Sampling unit.
    """

    values: Array
    weight: Array
    count: Array
    unit: Array

    @staticmethod
    def of(values: Array, weight: Array, unit: Array | None = None) -> WeightedRows:
        """Each row for itself."""
        ones = np.ones(len(values), dtype=np.int64)
        return WeightedRows(values, weight, ones, np.zeros_like(ones) if unit is None else unit)

    @property
    def n(self) -> int:
        """Rows stood for."""
        return int(self.count.sum())

    @cached_property
    def located(self) -> Array:
        """1 for rows with a place, 0 for those that are spread, shape (n,)."""
        return (self.count > 0).astype(float)

    @cached_property
    def patterns(self) -> Patterns:
        """The rows by what they miss."""
        return Patterns.of(self.values, self.weight, self.located)

    def take(self, chosen: Array) -> WeightedRows:
        """The chosen rows (a boolean mask or positions)."""
        return WeightedRows(
            self.values[chosen], self.weight[chosen], self.count[chosen], self.unit[chosen]
        )

    def columns(self, kept: Array | Sequence[int]) -> WeightedRows:
        """The same rows, of some columns."""
        return replace(self, values=self.values[:, kept])

    def pair_sums(self) -> PairSums:
        """Sums over the rows in which both columns are known."""
        known = ~np.isnan(self.values)
        seen, filled = known.astype(float), np.where(known, self.values, 0.0)
        weight, placed = self.weight[:, None], (self.weight * self.located)[:, None]
        weighted = filled * weight
        return PairSums(
            n=((seen * self.count[:, None]).T @ seen).round().astype(np.int64),
            weight=(seen * placed).T @ seen,
            sums=(filled * placed).T @ seen,
            squares=(filled * weighted).T @ seen,
            products=weighted.T @ filled,
        )

    def compressed(self, *, within_units: bool) -> WeightedRows:
        """Rows of one pattern as their mean and spread, where that is at most half as many."""
        parts = (
            [_compressed(part) for part in self._units()] if within_units else [_compressed(self)]
        )
        joined = join_rows(parts)
        return joined if 2 * len(joined.weight) <= len(self.weight) else self

    def _units(self) -> Iterator[WeightedRows]:
        order = np.argsort(self.unit, kind="stable")
        for part in np.split(order, np.flatnonzero(np.diff(self.unit[order])) + 1):
            yield self.take(part)


def join_rows(parts: Sequence[WeightedRows]) -> WeightedRows:
    """Rows of several parts, one after the other."""
    names = ("values", "weight", "count", "unit")
    return WeightedRows(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in names)
    )


def _compressed(rows: WeightedRows) -> WeightedRows:
    """Mean and spread of the rows of each pattern that has more rows than columns."""
    number = pattern_numbers(~np.isnan(rows.values))
    order = np.argsort(number, kind="stable")
    runs = np.split(order, np.flatnonzero(np.diff(number[order])) + 1)
    few = rows.values.shape[1] + 1
    parts = [rows.take(np.concatenate([run[:0] if len(run) > few else run for run in runs]))]
    return join_rows(parts + [_mean_and_spread(rows.take(run)) for run in runs if len(run) > few])


def _mean_and_spread(rows: WeightedRows) -> WeightedRows:
    """One row for the mean of rows of one pattern, and as many as needed for their spread."""
    placed = rows.weight * rows.located
    mean = placed @ rows.values / placed.sum()
    about = np.nan_to_num(rows.values - rows.located[:, None] * mean)
    spread = _spread((about * rows.weight[:, None]).T @ about)
    spread = np.where(np.isnan(mean), np.nan, spread)
    return WeightedRows(
        values=np.vstack([mean, spread]),
        weight=np.append(placed.sum(), np.ones(len(spread))),
        count=np.append(rows.n, np.zeros(len(spread), dtype=np.int64)),
        unit=np.full(len(spread) + 1, rows.unit[0]),
    )


def _spread(scatter: Array) -> Array:
    """Rows whose sums of products are the given ones."""
    values, vectors = np.linalg.eigh(scatter)
    kept = values > NO_SPREAD * max(values[-1], 0.0)
    return (vectors[:, kept] * np.sqrt(values[kept])).T


def rows_of_cells(cells: Cells) -> WeightedRows:
    """Rows with the sums of each cell."""
    mean = np.where(cells.observed, cells.sums / cells.weight[:, None], np.nan)
    ones = WeightedRows(mean, cells.weight, cells.n, np.zeros(len(cells), dtype=np.int64))
    parts = [ones]
    for place in np.flatnonzero(cells.n > 1):
        scatter = unpack(cells.products[place], mean.shape[1])
        centre = np.nan_to_num(mean[place])
        spread = _spread(scatter - cells.weight[place] * np.outer(centre, centre))
        nothing = np.zeros(len(spread), dtype=np.int64)
        spread = np.where(np.isnan(mean[place]), np.nan, spread)
        parts.append(WeightedRows(spread, np.ones(len(spread)), nothing, nothing))
    return join_rows(parts)
