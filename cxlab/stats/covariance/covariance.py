"""Weighted rows with missing answers, and covariances from the sums of each pair of columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.frames import collect
from cxlab.stats.covariance.patterns import Patterns, pattern_numbers

Array = np.ndarray

#: Smallest eigenvalue that a repaired correlation matrix is given.
REPAIRED_EIGENVALUE = 1e-6
#: A negative eigenvalue above this is rounding, not a reason to repair.
ROUNDING_EIGENVALUE = -1e-10
#: A direction with less than this part of the largest spread is rounding.
NO_SPREAD = 1e-15
#: Columns whose missingness fits one 64-bit key of a query.
KEY_BITS = 60
#: Patterns of missing answers that are summed at most: 2 GB of sums of 20 columns.
MOST_PATTERNS = 1_000_000


def to_correlation(matrix: Array) -> Array:
    """Correlations of covariance matrices, shape (…, q, q); 0 where a variance is 0."""
    variance = np.einsum("...ii->...i", matrix)
    positive = variance > 0
    scale = np.where(positive, 1 / np.sqrt(np.where(positive, variance, 1.0)), 0.0)
    correlation = matrix * scale[..., :, None] * scale[..., None, :]
    diagonal = np.einsum("...ii->...i", correlation)
    diagonal[...] = np.where(positive, 1.0, 0.0)
    return correlation


def unpack(packed: Array, q: int) -> Array:
    """Packed upper triangles, shape (…, q(q + 1)/2), as symmetric matrices, shape (…, q, q)."""
    rows, columns = np.triu_indices(q)
    full = np.empty((*packed.shape[:-1], q, q))
    full[..., rows, columns] = packed
    full[..., columns, rows] = packed
    return full


@dataclass(frozen=True, eq=False)
class PairSums:
    """Sums over the rows in which both columns are known; arrays of shape (…, q, q).

    Attributes
    ----------
    n, weight : ndarray
        Rows and Σw.
    sums : ndarray
        Σw·x_i of the rows in which x_j is known too, at [i, j].
    squares : ndarray
        Σw·x_i² of the rows in which x_j is known too, at [i, j].
    products : ndarray
        Σw·x_i·x_j.
    """

    n: Array
    weight: Array
    sums: Array
    squares: Array
    products: Array


def pairwise_covariance(sums: PairSums) -> tuple[Array, Array]:
    """Means and covariances: correlations of each pair's own rows, each column's own spread.

    Arrays may have leading axes (replicates).
    """
    weight = np.where(sums.weight > 0, sums.weight, 1.0)
    means = sums.sums / weight
    covariance = sums.products / weight - means * np.swapaxes(means, -1, -2)
    variances = sums.squares / weight - means**2
    noise = 1e-13 * np.maximum(sums.squares / weight, 1e-300)
    variances = np.where(variances > noise, variances, 0.0)
    spread = np.sqrt(variances * np.swapaxes(variances, -1, -2))
    correlation = np.divide(covariance, spread, out=np.zeros_like(spread), where=spread > 0)
    own = np.einsum("...ii->...i", variances)
    n = np.einsum("...ii->...i", sums.n).astype(float)
    own = own * n / np.maximum(n - 1, 1)
    scale = np.sqrt(own)
    matrix = correlation * scale[..., :, None] * scale[..., None, :]
    np.einsum("...ii->...i", matrix)[...] = own
    return np.einsum("...ii->...i", means).copy(), matrix


def repair(matrix: Array) -> tuple[Array, float]:
    """Nearest usable covariance: negative eigenvalues of the correlations raised.

    Returns
    -------
    repaired : ndarray, shape (q, q)
        With the variances of ``matrix``.
    change : float
        Largest change of a correlation; 0 where nothing was needed.
    """
    correlation = to_correlation(matrix)
    values, vectors = np.linalg.eigh(correlation)
    if values.min() >= ROUNDING_EIGENVALUE:
        return matrix, 0.0
    raised = np.maximum(values, REPAIRED_EIGENVALUE)
    usable = to_correlation((vectors * raised) @ vectors.T)
    scale = np.sqrt(np.diagonal(matrix))
    return usable * np.outer(scale, scale), float(np.abs(usable - correlation).max())


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


def summed_rows(lazy: nw.LazyFrame, columns: Sequence[str], weights: str | None) -> WeightedRows:
    """Rows that say of each missingness pattern what all of its rows say, in one GROUP BY.

    Parameters
    ----------
    lazy : narwhals.LazyFrame
        Opened (`cxlab.core.frames.open_frame`): blanks are null, weights 0 or more.
    columns : sequence of str
        Columns of finite numbers of ordinary size.
    weights : str, optional
        Rows of weight 0 are left out.

    Raises
    ------
    ValueError
        For more than `MOST_PATTERNS` patterns.
    """
    q, keys = len(columns), [f"_pattern{k}" for k in range(-(-len(columns) // KEY_BITS))]
    lazy = _with_patterns(lazy, columns, keys, weights)
    if 2**q > MOST_PATTERNS:
        patterns = int(collect(lazy.select(keys).unique().select(n=nw.len())).iloc[0, 0])
        if patterns > MOST_PATTERNS:
            raise ValueError(
                f"`data` must leave out at most {MOST_PATTERNS:,} different sets of answers here; "
                f"got {patterns:,}. Take fewer columns, or a part with where= or period=."
            )
    first, second = np.triu_indices(q)
    weighted = [nw.col(f"_x{j}") * nw.col("_w") for j in range(q)]
    sums = [one.sum().alias(f"_s{j}") for j, one in enumerate(weighted)]
    pairs = zip(first.tolist(), second.tolist(), strict=True)
    sums += [(weighted[i] * nw.col(f"_x{j}")).sum().alias(f"_p{i}_{j}") for i, j in pairs]
    totals = [nw.len().alias("_n"), nw.col("_w").sum().alias("_sw")]
    return _of_sums(collect(lazy.group_by(keys).agg(*totals, *sums).sort(keys)), q, keys)


def _with_patterns(
    lazy: nw.LazyFrame, columns: Sequence[str], keys: Sequence[str], weights: str | None
) -> nw.LazyFrame:
    """Keys in which bit j is set where column j is known; blanks are 0, without weights each 1.

    Columns become Float64 *before* the products: small integers would wrap in silence, and a
    product of blanks is three times slower.
    """
    made = []
    for number, key in enumerate(keys):
        names = columns[number * KEY_BITS : (number + 1) * KEY_BITS]
        bits = [
            nw.when(nw.col(name).is_null()).then(nw.lit(0)).otherwise(nw.lit(1 << bit))
            for bit, name in enumerate(names)
        ]
        made.append(nw.sum_horizontal(*bits).cast(nw.Int64).alias(key))
    weight = nw.col(weights).cast(nw.Float64) if weights else nw.lit(1.0)
    filled = [
        nw.col(name).cast(nw.Float64).fill_null(0.0).alias(f"_x{j}")
        for j, name in enumerate(columns)
    ]
    return lazy.with_columns(*made, *filled, weight.alias("_w")).filter(nw.col("_w") > 0)


def _of_sums(table: pd.DataFrame, q: int, keys: Sequence[str]) -> WeightedRows:
    """Of each row of sums a mean, and as many rows as its spread needs."""
    words = table[list(keys)].to_numpy(dtype=np.int64)
    known = np.column_stack([words[:, j // KEY_BITS] >> (j % KEY_BITS) & 1 for j in range(q)])
    weight, n = table["_sw"].to_numpy(dtype=float), table["_n"].to_numpy(dtype=np.int64)
    sums = table[[f"_s{j}" for j in range(q)]].to_numpy(dtype=float)
    products = table.filter(regex="^_p[0-9]+_").to_numpy(dtype=float)
    mean = np.where(known == 1, sums / weight[:, None], np.nan)
    parts = [WeightedRows(mean, weight, n, np.zeros_like(n))]
    for place in np.flatnonzero(n > 1):
        centre = np.nan_to_num(mean[place])
        spread = _spread(unpack(products[place], q) - weight[place] * np.outer(centre, centre))
        nothing = np.zeros(len(spread), dtype=np.int64)
        spread = np.where(np.isnan(mean[place]), np.nan, spread)
        parts.append(WeightedRows(spread, np.ones(len(spread)), nothing, nothing))
    return join_rows(parts)
