"""The one GROUP BY: rows of any engine become counts, sums and sums of products.

A *cell* is a group × missingness pattern. Sums of a column run over the rows of
the cell, in which the column is either always known or never.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.frames import check_columns, check_numeric, collect, scan
from cxlab.core.messages import got

Array = np.ndarray

#: Columns whose missingness fits one 64-bit key.
BITS = 60
#: Pattern sums larger than this live in a temporary file (megabytes).
MEMORY_LIMIT = 256
#: Pattern sums larger than this many times the memory limit are not taken at all.
FILE_FACTOR = 16
#: A mean this many standard deviations from zero costs digits: sum again about the mean.
FAR_FROM_ZERO = 1e3

_COUNT, _WEIGHT, _SQUARES = "_n", "_w", "_w2"
#: Fields of `Cells` with one entry per cell.
ARRAYS = ("observed", "n", "weight", "weight_squares", "sums", "products")


@dataclass(frozen=True, eq=False)
class Cells:
    """Sums per cell.

    Attributes
    ----------
    keys : DataFrame
        One row per cell, with the group columns.
    observed : ndarray of bool, shape (cells, q)
        Whether the column is known in the cell.
    n : ndarray of int, shape (cells,)
        Rows.
    weight, weight_squares : ndarray, shape (cells,)
        Σw and Σw²; both equal n without weights.
    sums : ndarray, shape (cells, q)
        Σw(x − origin), 0 where not known.
    products : ndarray, shape (cells, q(q + 1)/2)
        Σw(x − origin)(x − origin)ᵀ, upper triangle by rows.
    """

    keys: pd.DataFrame
    observed: Array
    n: Array
    weight: Array
    weight_squares: Array
    sums: Array
    products: Array

    def __len__(self) -> int:
        return len(self.n)

    def take(self, chosen: Array) -> Cells:
        """The chosen cells (a boolean mask or positions)."""
        keys = self.keys[chosen] if chosen.dtype == bool else self.keys.iloc[chosen]
        return Cells(keys, **{name: getattr(self, name)[chosen] for name in ARRAYS})


def triangle(q: int) -> tuple[Array, Array]:
    """Row and column numbers of the packed upper triangle."""
    return np.triu_indices(q)


def unpack(packed: Array, q: int) -> Array:
    """Packed triangles, shape (…, q(q + 1)/2), as symmetric matrices, shape (…, q, q)."""
    rows, columns = triangle(q)
    full = np.empty((*packed.shape[:-1], q, q))
    full[..., rows, columns] = packed
    full[..., columns, rows] = packed
    return full


@dataclass(frozen=True)
class Query:
    """What to sum: columns, how to group, which weights."""

    columns: tuple[str, ...]
    by: tuple[str, ...] = ()
    weights: str | None = None

    @property
    def words(self) -> list[str]:
        """Names of the key columns that hold the missingness bits."""
        return [f"_pattern{word}" for word in range(-(-len(self.columns) // BITS))]

    @property
    def cell_bytes(self) -> int:
        """Bytes that one cell takes."""
        q = len(self.columns)
        return 8 * (q * (q + 1) // 2 + q + 3) + q


def open_rows(data: Any, query: Query) -> nw.LazyFrame:
    """Checked lazy frame of the query's columns; rows of weight 0 are left out.

    Raises
    ------
    ValueError
        If a column does not exist, or a weight is missing, negative or infinite.
    TypeError
        If a column is text.
    """
    named = {"columns": query.columns, "by": query.by, "weights": query.weights}
    check_columns(data, named)
    wanted = [*query.columns, *query.by, *([query.weights] if query.weights else [])]
    lazy = scan(data, wanted)
    schema = lazy.collect_schema()
    flags = [name for name in query.columns if schema[name] == nw.Boolean]
    lazy = lazy.with_columns([nw.col(name).cast(nw.Int8) for name in flags])
    check_numeric(lazy, {"columns": query.columns, "weights": query.weights})
    if query.weights is None:
        return lazy
    check_weights(lazy, query.weights)
    return lazy.filter(nw.col(query.weights) > 0)


def check_weights(lazy: nw.LazyFrame, weights: str) -> None:
    """Refuse weights that are missing, negative or infinite."""
    weight = nw.col(weights)
    bad = weight.is_null() | (weight < 0) | (weight > np.finfo(float).max)
    found = collect(lazy.filter(bad).select(weight))
    if len(found):
        value = found.iloc[0, 0]
        shown = ["missing" if pd.isna(value) else float(value)]
        raise ValueError(
            f"`weights` must be 0 or more on every row; got {got(shown, len(found))} in "
            f"'{weights}'. A weight of 0 leaves a row out."
        )


def with_pattern(lazy: nw.LazyFrame, query: Query) -> nw.LazyFrame:
    """Add the missingness bits: bit j of the key is set where column j is known."""
    keys = []
    for number, word in enumerate(query.words):
        names = query.columns[number * BITS : (number + 1) * BITS]
        bits = [
            nw.when(nw.col(name).is_null()).then(nw.lit(0)).otherwise(nw.lit(1 << bit))
            for bit, name in enumerate(names)
        ]
        keys.append(nw.sum_horizontal(*bits).cast(nw.Int64).alias(word))
    return lazy.with_columns(keys)


def count_cells(lazy: nw.LazyFrame, query: Query) -> int:
    """Number of cells, without taking any sum."""
    keys = [*query.by, *query.words]
    counted = with_pattern(lazy, query).group_by(keys).agg(nw.len().alias(_COUNT))
    return int(collect(counted.select(nw.len().alias(_COUNT))).iloc[0, 0])


def sum_cells(lazy: nw.LazyFrame, query: Query, origin: Array) -> Cells:
    """Take the sums of every cell in one query.

    Blanks become 0 and columns Float64 *before* the products: small integers would wrap
    in silence, and a product of blanks is three times slower.
    """
    filled = with_pattern(lazy, query).with_columns(_filled(query, origin))
    q = len(query.columns)
    rows, columns = triangle(q)
    sums = [_weighted(j, query).sum().alias(f"_s{j}") for j in range(q)]
    products = [
        (_weighted(i, query) * nw.col(f"_x{j}")).sum().alias(f"_p{i}_{j}")
        for i, j in zip(rows.tolist(), columns.tolist(), strict=True)
    ]
    totals = [nw.len().alias(_COUNT)]
    if query.weights:
        totals += [
            nw.col(_WEIGHT).sum().alias("_sw"),
            (nw.col(_WEIGHT) ** 2).sum().alias(_SQUARES),
        ]
    keys = [*query.by, *query.words]
    table = collect(filled.group_by(keys).agg(*totals, *sums, *products).sort(keys))
    return _cells(table, query)


def far_columns(cells: Cells) -> Array:
    """Which columns lie so far from zero that their sums of products lose digits."""
    q = cells.observed.shape[1]
    rows, columns = triangle(q)
    weight = cells.weight @ cells.observed
    weight = np.where(weight > 0, weight, 1.0)
    mean = cells.sums.sum(axis=0) / weight
    square = cells.products[:, rows == columns].sum(axis=0) / weight
    variance = np.maximum(square - mean**2, 0.0)
    return np.asarray(np.abs(mean) > FAR_FROM_ZERO * np.sqrt(variance)) & (np.abs(mean) > 100)


def spool_cells(lazy: nw.LazyFrame, query: Query, origin: Array, memory_limit: float) -> Cells:
    """Sums of very many cells, taken in batches of patterns and kept in a temporary file."""
    patterned = with_pattern(lazy, query)
    word = query.words[0]
    counted = patterned.group_by(word).agg(nw.len().alias(_COUNT)).sort(word)
    patterns = collect(counted)[word].to_numpy()
    batch = max(1, int(memory_limit * 1e6 / 2 / query.cell_bytes))
    parts: list[Cells] = []
    for start in range(0, len(patterns), batch):
        low, high = (
            int(patterns[start]),
            int(patterns[min(start + batch, len(patterns)) - 1]),
        )
        inside = with_pattern(lazy, query).filter(nw.col(word) >= low, nw.col(word) <= high)
        part = sum_cells(inside.drop(query.words), query, origin)
        parts.append(_on_disk(part))
    return join_cells(parts, on_disk=True)


def join_cells(parts: Sequence[Cells], *, on_disk: bool = False) -> Cells:
    """Cells of several parts, one after the other."""
    if len(parts) == 1:
        return parts[0]
    keys = pd.concat([part.keys for part in parts], ignore_index=True)
    arrays = {
        name: _stack([getattr(part, name) for part in parts], on_disk and name == "products")
        for name in ARRAYS
    }
    return Cells(keys, **arrays)


def merge_cells(cells: Cells, keys: Sequence[str]) -> Cells:
    """Cells that share the keys and the pattern, added together."""
    bits = np.packbits(cells.observed, axis=1)
    frame = cells.keys[list(keys)].reset_index(drop=True)
    labels = [pd.factorize(frame[name], use_na_sentinel=False)[0] for name in keys]
    table = np.column_stack([*labels, bits]) if labels else bits
    _, first, number = np.unique(table, axis=0, return_index=True, return_inverse=True)
    number = number.ravel()
    if len(first) == len(cells):
        return replace(cells, keys=frame)
    order = np.argsort(number, kind="stable")
    starts = np.searchsorted(number[order], np.arange(len(first)))

    added = {
        name: np.add.reduceat(getattr(cells, name)[order], starts, axis=0) for name in ARRAYS[1:]
    }
    return Cells(frame.iloc[first].reset_index(drop=True), cells.observed[first], **added)


def shift_cells(cells: Cells, shift: Array) -> Cells:
    """The same sums about an origin that is larger by ``shift``."""
    if not shift.any():
        return cells
    q = len(shift)
    rows, columns = triangle(q)
    seen = cells.observed.astype(float)
    moved = seen * shift
    sums = cells.sums - cells.weight[:, None] * moved
    products = (
        cells.products
        - cells.sums[:, rows] * moved[:, columns]
        - moved[:, rows] * cells.sums[:, columns]
        + cells.weight[:, None] * moved[:, rows] * moved[:, columns]
    )
    return replace(cells, sums=sums, products=products)


def _filled(query: Query, origin: Array) -> list[nw.Expr]:
    filled = []
    for j, name in enumerate(query.columns):
        column = nw.col(name).cast(nw.Float64)
        column = column - float(origin[j]) if origin[j] else column
        filled.append(column.fill_null(0.0).alias(f"_x{j}"))
    if query.weights:
        filled.append(nw.col(query.weights).cast(nw.Float64).alias(_WEIGHT))
    return filled


def _weighted(j: int, query: Query) -> nw.Expr:
    column = nw.col(f"_x{j}")
    return column * nw.col(_WEIGHT) if query.weights else column


def _cells(table: pd.DataFrame, query: Query) -> Cells:
    q = len(query.columns)
    rows, columns = triangle(q)
    n = table[_COUNT].to_numpy(dtype=np.int64)
    sums = table[[f"_s{j}" for j in range(q)]].to_numpy(dtype=float)
    packed = [f"_p{i}_{j}" for i, j in zip(rows.tolist(), columns.tolist(), strict=True)]
    products = table[packed].to_numpy(dtype=float)
    if not np.isfinite(products).all():
        squares = products[:, rows == columns]
        bad = query.columns[int(np.argmin(np.isfinite(squares).all(axis=0)))]
        raise ValueError(
            f"`columns` must hold finite numbers; got an infinite or huge value in '{bad}'. "
            "Declare it as missing, or correct it."
        )
    weight = table["_sw"].to_numpy(dtype=float) if query.weights else n.astype(float)
    squares = table[_SQUARES].to_numpy(dtype=float) if query.weights else n.astype(float)
    observed = np.column_stack([_bits(table, query, j) for j in range(q)])
    keys = table[list(query.by)].reset_index(drop=True)
    return Cells(keys, observed, n, weight, squares, sums, products)


def _bits(table: pd.DataFrame, query: Query, j: int) -> Array:
    word = table[query.words[j // BITS]].to_numpy(dtype=np.int64)
    return np.asarray((word >> (j % BITS)) & 1, dtype=bool)


def _on_disk(cells: Cells) -> Cells:
    return replace(cells, products=_stack([cells.products], on_disk=True))


def _stack(arrays: Sequence[Array], on_disk: bool) -> Array:
    """Arrays one under the other, in an unnamed temporary file if asked."""
    if not on_disk:
        return np.concatenate(arrays)
    shape = (sum(len(array) for array in arrays), arrays[0].shape[1])
    with tempfile.TemporaryFile() as file:
        stacked = np.memmap(file, dtype=float, mode="w+", shape=shape)
    start = 0
    for array in arrays:
        stacked[start : start + len(array)] = array
        start += len(array)
    return stacked
