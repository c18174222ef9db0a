"""Weighted rows with missing answers, and covariances from the sums of each pair of columns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa

from cxlab.core.frames import Opened, collect
from cxlab.stats.covariance.patterns import Patterns, pattern_numbers

Array = np.ndarray

#: Smallest eigenvalue that a repaired correlation matrix is given.
REPAIRED_EIGENVALUE = 1e-6
#: A negative eigenvalue above this is rounding, not a reason to repair.
ROUNDING_EIGENVALUE = -1e-10
#: A direction with less than this part of the largest spread is rounding.
NO_SPREAD = 1e-15
#: Matrices that are split into directions together.
AT_ONCE = 4096
#: Rows that are multiplied together.
CHUNK_ROWS = 32768
#: Whole numbers up to this one are themselves as floats of 32 bits.
LARGEST_NARROW = 2**24
#: Bits of a float of 64 that one of 32 has no place for.
WIDE_BITS = 2**29 - 1
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
    """Nearest usable covariance of the same variances: negative eigenvalues of the correlations raised.

    With the largest change of a correlation; 0 where nothing was needed.
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
        alike = np.broadcast_to(np.arange(2), (len(values), 2)).T  # no memory for millions
        return WeightedRows(values, weight, alike[1], alike[0] if unit is None else unit)

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

    def take(self, chosen: Array | slice) -> WeightedRows:
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
        joined = join_rows([_compressed(part) for part in self._units(within_units)])
        return joined if 2 * len(joined.weight) <= len(self.weight) else self

    def about(self, origin: Array) -> WeightedRows:
        """The same rows, whose places are deviations from ``origin``."""
        return replace(self, values=self.values - self.located[:, None] * origin)

    def less(self, multiples: Sequence[tuple[int, int, float]]) -> WeightedRows:
        """The same rows with column i less c times column j, for each (i, j, c)."""
        values = self.values.astype(float)
        for column, other, factor in multiples:
            values[:, column] -= factor * values[:, other]
        return replace(self, values=values)

    def _units(self, apart: bool) -> Iterator[WeightedRows]:
        if not apart:
            yield self
            return
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
    many = np.bincount(number)[number] > rows.values.shape[1] + 1
    if not many.any():
        return rows
    return join_rows([rows.take(~many), _means_and_spreads(rows.take(many), number[many])])


def _means_and_spreads(rows: WeightedRows, number: Array) -> WeightedRows:
    """Rows of one number as one for their mean, and as many as needed for their spread."""
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    rows = rows.take(order)
    values, size = rows.values.astype(float), np.diff(starts, append=len(order))
    placed = (rows.weight * rows.located)[:, None]
    weight, sums = (np.add.reduceat(part, starts) for part in (placed, placed * values))
    mean = sums / weight
    about = np.nan_to_num(values - rows.located[:, None] * np.repeat(mean, size, axis=0))
    weighted = about * rows.weight[:, None]
    runs = [slice(*ends) for ends in zip(starts, starts + size, strict=True)]
    scatter = np.stack([weighted[run].T @ about[run] for run in runs])
    count = np.add.reduceat(rows.count, starts)
    return _with_spreads(WeightedRows(mean, weight[:, 0], count, rows.unit[starts]), scatter)


def _with_spreads(means: WeightedRows, scatters: Array) -> WeightedRows:
    """Means, and rows whose sums of products are the given ones, shape (k, q, q)."""
    values, vectors = np.linalg.eigh(scatters)
    kept = values > NO_SPREAD * np.maximum(values[:, -1:], 0.0)
    long = vectors * np.sqrt(np.where(kept, values, 0.0))[:, None, :]
    spread = np.swapaxes(long, 1, 2)[kept]
    of = np.nonzero(kept)[0]
    spread = np.where(np.isnan(means.values[of]), np.nan, spread)
    nothing = np.zeros(len(of), dtype=np.int64)
    return join_rows([means, WeightedRows(spread, np.ones(len(of)), nothing, means.unit[of])])


def summed_rows(lazy: nw.LazyFrame, columns: Sequence[str], weights: str | None) -> WeightedRows:
    """Rows that say of each missingness pattern what all of its rows say, in one GROUP BY.

    The lazy frame is opened (`cxlab.core.frames.open_frame`): blanks are null, weights 0 or
    more (rows of weight 0 are left out), numbers finite and of ordinary size. More than
    `MOST_PATTERNS` patterns are refused.
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


def summed_pairs(opened: Opened, columns: Sequence[str]) -> PairSums:
    """As the `WeightedRows.pair_sums` of `summed_rows`, where no pattern is asked for.

    DuckDB or Arrow hand over some rows at a time, which takes less time than a query that tells the
    patterns apart: see `python -m benchmarks speed`.
    """
    weights = opened.design.weights
    if not opened.lazy.implementation.is_duckdb():
        return summed_rows(opened.lazy, columns, weights).pair_sums()
    parts = opened.arrow_parts([*columns, *([weights] if weights else [])], CHUNK_ROWS)
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        total = sum(threads.map(partial(_pair_sums, q=len(columns)), parts))
    n, *others = np.broadcast_to(total, (5, len(columns), len(columns)))
    return PairSums(n.round().astype(np.int64), *others)


def _pair_sums(batches: Iterable[pa.RecordBatch], q: int) -> Array:
    """What `PairSums` has of batches of q columns and, if there is one more, its weights."""
    total, shape = np.zeros((5, q, q)), (3 * q, CHUNK_ROWS)
    wide, narrow = np.empty(shape), np.empty(shape, dtype=np.float32)
    for batch in batches:
        rows, columns = slice(batch.num_rows), batch.columns[:q]
        weight = _numbers(batch.column(q)) if batch.num_columns > q else None
        table: Array = narrow[:, rows]
        if weight is not None or not (_fill(table, columns) and _are_small(table[:q])):
            table = wide[:, rows]
            _fill_with_nan(table, columns, weight)
        np.multiply(table[:q], table[:q], out=table[2 * q :])
        both, known = table[: 2 * q], table[q : 2 * q]
        weighted = table if weight is None else table * weight
        pairs = weighted[: 2 * q] @ both.T
        total[0] += pairs[q:, q:] if weight is None else known @ known.T
        total[1:3] += pairs[q:, q:], pairs[:q, q:]
        total[3] += weighted[2 * q :] @ known.T
        total[4] += pairs[:q, :q]
    return total


@np.errstate(over="ignore", invalid="ignore")  # in a blank's number
def _fill(table: Array, columns: Sequence[pa.Array]) -> bool:
    """Put values, 0 where blank, and then whether they are known into a table, one column a row.

    It ends, and is False, at the first column with a number that 32 bits would round, unless they
    show it (`_are_small`): a whole number too large for them.
    """
    q = len(columns)
    for place, column in enumerate(columns):
        numbers = _numbers(column)
        wide = numbers.dtype == np.float64
        if wide and np.bitwise_or.reduce(numbers.view(np.int64)) & WIDE_BITS:
            return False
        table[place], table[q + place] = numbers, _known(column)
    table[:q] *= table[q : 2 * q]
    return True


def _fill_with_nan(table: Array, columns: Sequence[pa.Array], weight: Array | None) -> None:
    """As `_fill`, where NaN is blank too, and known is only what counts."""
    q = len(columns)
    values, known = table[:q], table[q : 2 * q]
    for place, column in enumerate(columns):
        values[place], known[place] = _numbers(column), _known(column)
    known *= ~np.isnan(values) if weight is None else ~np.isnan(values) & (weight > 0)
    np.copyto(values, 0.0, where=known == 0)


def _are_small(values: Array) -> bool:
    """Whether the numbers are whole, and 32 bits hold their sums of products exactly."""
    largest = max(values.max(initial=1.0), -values.min(initial=0.0))
    small = float(largest) ** 2 * values.shape[1] <= LARGEST_NARROW
    return bool(small and np.array_equal(np.rint(values), values))


def _numbers(column: pa.Array) -> Array:
    """The numbers of a column, whatever they are where it has none."""
    plain = pa.types.is_integer(column.type) or pa.types.is_floating(column.type)
    column = column if plain else column.cast(pa.float64())
    buffers = [None, column.buffers()[1]]
    return pa.Array.from_buffers(column.type, len(column), buffers, offset=column.offset).to_numpy()


def _known(column: pa.Array) -> Array | float:
    """Where a column has a number: 1 or 0."""
    if column.null_count in (0, len(column)):
        return float(column.null_count == 0)
    bits = column.buffers()[0]
    skipped, first = divmod(column.offset, 8)
    octets = np.frombuffer(bits, dtype=np.uint8)[skipped:]
    return np.unpackbits(octets, count=first + len(column), bitorder="little")[first:]


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
    means = WeightedRows(mean, weight, n, np.zeros_like(n))
    parts = [means.take(n == 1)]
    for place in np.array_split(np.flatnonzero(n > 1), len(n) // AT_ONCE + 1):
        centre = np.nan_to_num(mean[place])
        about = weight[place, None, None] * (centre[:, :, None] * centre[:, None, :])
        parts.append(_with_spreads(means.take(place), unpack(products[place], q) - about))
    return join_rows(parts)
