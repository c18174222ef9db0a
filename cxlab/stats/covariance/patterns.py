"""What EM needs of incomplete normal rows, from the missing columns of each pattern.

With K the inverse covariance and M the columns that a row misses, P = K_MM⁻¹ is their
covariance given the known ones, and −P (K r)_M what is expected of them, where r is the row's
deviation from the mean, 0 where missing. The inverse of the known columns' covariance is
A = K − K_·M P K_M·, and the log-determinant of that covariance log|Σ| + log|K_MM|. So few
missing columns make little work, and the rows share one product with K.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.linalg.blas import dgemm

Array = np.ndarray

#: Numbers in a block's rows, as packed products, at most: 2 MB stay in cache.
BLOCK = 1 << 18
#: Columns whose missingness fits one whole number.
BITS = 62


def pattern_numbers(known: Array) -> Array:
    """Number of each row's pattern, shape (n,)."""
    number = np.zeros(len(known), dtype=np.int64)
    for start in range(0, known.shape[1], BITS):
        word = np.zeros(len(known), dtype=np.int64)
        for bit, column in enumerate(known.T[start : start + BITS]):
            word |= column.astype(np.int64) << bit
        codes, words = pd.factorize(word, sort=True)
        number = pd.factorize(number * len(words) + codes, sort=True)[0]
    return number


@dataclass(frozen=True, eq=False)
class Block:
    """Rows that miss the same number of columns; k patterns, h missing columns in each."""

    values: Array  # (r, q); 0 where missing
    weight: Array  # (r,)
    located: Array  # (r,); 0 for rows that are deviations already
    place: Array  # (r,), where the row came from
    missing: Array  # (k, h)
    pattern: Array  # (r,)

    @cached_property
    def holes(self) -> Array:
        """Places of the missing answers in the flat rows, shape (r, h)."""
        q = self.values.shape[1]
        return np.arange(len(self.values))[:, None] * q + self.missing[self.pattern]

    @cached_property
    def pattern_weight(self) -> Array:
        """Weight of each pattern's located rows, shape (k,)."""
        return np.bincount(self.pattern, self.weight * self.located, len(self.missing))

    @cached_property
    def squares(self) -> Array:
        """Places of each pattern's missing pairs in a flat matrix, shape (k, h, h)."""
        q = self.values.shape[1]
        return self.missing[:, :, None] * q + self.missing[:, None, :]

    @cached_property
    def ends(self) -> Array:
        """Where each pattern's rows, which stand together, begin, and the end, shape (k + 1,)."""
        return np.searchsorted(self.pattern, np.arange(len(self.missing) + 1))

    def fill(self, mean: Array, precision: Array, inner: Array) -> tuple[Array, float]:
        """Deviations with what is expected where missing; Σ w r'A r.

        ``inner`` has each pattern's P, shape (k, h, h).
        """
        filled = self.values - (mean if self.located.all() else np.outer(self.located, mean))
        filled.ravel()[self.holes] = 0.0
        pulled = filled @ precision
        if inner.size:
            at = np.einsum("rij,rj->ri", inner[self.pattern], pulled.ravel()[self.holes])
            filled.ravel()[self.holes] = -at
        return filled, float(self.weight @ np.einsum("rj,rj->r", pulled, filled))

    def inner(self, precision: Array) -> tuple[Array, Array]:
        """Covariance of each pattern's missing columns given the others, and minus its log-determinant."""
        return _inverses(precision.ravel()[self.squares])

    def known_inverse(self, precision: Array, inner: Array) -> Array:
        """Inverse covariance of the known columns, 0 elsewhere, packed, shape (k, q(q + 1)/2)."""
        if not inner.size:
            return np.repeat(_packed(precision[None]), len(self.missing), axis=0)
        reach = precision[self.missing]
        return _packed(precision - np.swapaxes(reach, 1, 2) @ (inner @ reach))


@dataclass(frozen=True)
class Expected:
    """Log-likelihood (without its constant), and where one EM step leads."""

    log_likelihood: float
    mean: Array
    covariance: Array


@dataclass(frozen=True, eq=False)
class Patterns:
    """Rows sorted by what they miss."""

    blocks: tuple[Block, ...]
    weight: float  # of the located rows
    n_columns: int

    @staticmethod
    def of(values: Array, weight: Array, located: Array) -> Patterns:
        """From rows with NaN where missing; ``located`` is 0 for rows that are deviations."""
        missing = np.isnan(values)
        number, misses = pattern_numbers(~missing), missing.sum(axis=1)
        order = np.lexsort((number, misses))
        filled = np.where(missing, 0.0, values)
        blocks = []
        for run in _runs(order, misses, values.shape[1]):
            _, first, pattern = np.unique(number[run], return_index=True, return_inverse=True)
            holes = np.nonzero(missing[run[first]])[1].reshape(len(first), misses[run[0]])
            blocks.append(
                Block(filled[run], weight[run], located[run], run, holes, pattern.ravel())
            )
        return Patterns(tuple(blocks), float(weight @ located), values.shape[1])

    def expect(self, mean: Array, covariance: Array) -> Expected:
        """One EM step, and the log-likelihood where it starts."""
        q = self.n_columns
        precision = np.linalg.inv(covariance)
        likelihood = -0.5 * self.weight * np.linalg.slogdet(covariance)[1]
        shift, second, left = np.zeros(q), np.zeros((q, q)), np.zeros(q * q)
        for block in self.blocks:
            inner, log_determinant = block.inner(precision)
            filled, fit = block.fill(mean, precision, inner)
            weight, weighted = block.pattern_weight, filled * block.weight[:, None]
            likelihood -= 0.5 * (fit + weight @ log_determinant)
            shift += block.located @ weighted
            second += filled.T @ weighted
            spread = weight[:, None, None] * inner
            left += np.bincount(block.squares.ravel(), spread.ravel(), q * q)
        shift /= self.weight
        second = (second + left.reshape(q, q)) / self.weight - np.outer(shift, shift)
        return Expected(likelihood, mean + shift, (second + second.T) / 2)

    def completed(self, mean: Array, covariance: Array, n: int) -> tuple[Array, Array]:
        """The first n rows with what is expected where missing; Σ w P, shape (q, q)."""
        q = self.n_columns
        precision = np.linalg.inv(covariance)
        rows, left = np.empty((n, q)), np.zeros(q * q)
        for block in self.blocks:
            inner, _ = block.inner(precision)
            filled, _ = block.fill(mean, precision, inner)
            kept = block.place < n
            rows[block.place[kept]] = (filled + np.outer(block.located, mean))[kept]
            spread = block.pattern_weight[:, None, None] * inner
            left += np.bincount(block.squares.ravel(), spread.ravel(), q * q)
        return rows, left.reshape(q, q)

    def information(
        self,
        mean: Array,
        covariance: Array,
        *,
        expected: bool = False,
        scores: UnitScores | None = None,
    ) -> Array:
        """Observed (or expected) information of means and packed covariances.

        With v = A r, that of the means is Σ A, that of dΣ is ½ Σ tr(A dΣ G dΣ) twice, with
        G = v vᵀ − ½ A; expected, G is ½ A. ``scores`` are added up on the way to the observed one.
        """
        q = self.n_columns
        packed = q * (q + 1) // 2
        precision = np.linalg.inv(covariance)
        means, mixed = np.zeros(packed), np.zeros((packed, q))
        square = np.zeros((packed, packed), order="F")
        for block in self.blocks:
            inner, _ = block.inner(precision)
            inverse = block.known_inverse(precision, inner)
            weight = block.pattern_weight[:, None]
            means += weight[:, 0] @ inverse
            half = 0.5 * weight * inverse
            if not expected:
                pulls = block.fill(mean, precision, inner)[0] @ precision
                products = _products(pulls)
                places, placed = np.arange(len(pulls)), block.weight * block.located
                half = _sums(block.weight, places, block.ends, products) - half
                mixed += inverse.T @ _sums(placed, places, block.ends, pulls)
                if scores:
                    scores.add(block, inverse, pulls, products)
            # square += inverse.T @ half, without a second square for each block
            dgemm(1.0, inverse.T, half.T, trans_b=True, beta=1.0, c=square, overwrite_c=True)
        return _information(means, mixed, square, q)


@dataclass(frozen=True, eq=False)
class UnitScores:
    """Score of each sampling unit: of the means, then of the packed covariances.

    ``unit`` has the unit of each row that the patterns were made of. At the maximum the
    scores add up to 0, or to minus that of a prior, whose rows belong to no unit.
    """

    unit: Array
    total: Array  # (units, q(q + 3)/2)

    @staticmethod
    def of(unit: Array, n_units: int, q: int) -> UnitScores:
        """Of so many units and columns, before any row is added."""
        return UnitScores(unit, np.zeros((n_units, q * (q + 3) // 2)))

    def add(self, block: Block, inverse: Array, pulls: Array, products: Array) -> None:
        """Add a block's rows: A of its patterns, v and v vᵀ of its rows, both packed."""
        kept = np.flatnonzero(block.place < len(self.unit))
        order = kept[np.argsort(self.unit[block.place[kept]], kind="stable")]
        present, starts = np.unique(self.unit[block.place[order]], return_index=True)
        ends = np.append(starts, len(order))
        weight = block.weight[order]
        placed = weight * block.located[order]
        slopes = _sums(weight, order, ends, products)
        slopes -= _sums(placed, block.pattern[order], ends, inverse)
        first, second = np.triu_indices(pulls.shape[1])
        slopes[:, first == second] /= 2
        self.total[present] += np.hstack([_sums(placed, order, ends, pulls), slopes])


def _runs(order: Array, misses: Array, q: int) -> Iterator[Array]:
    """Rows that miss the same number of columns, not too many at a time."""
    size = max(1, BLOCK // (q * (q + 1) // 2))
    for run in np.split(order, np.flatnonzero(np.diff(misses[order])) + 1):
        for start in range(0, len(run), size):
            yield run[start : start + size]


def _inverses(matrices: Array) -> tuple[Array, Array]:
    """Inverses of positive definite matrices, shape (k, h, h), and log-determinants, shape (k,).

    Swept column by column, all of them together: LAPACK, one after the other, takes two to three
    times as long where they are many and small.
    """
    swept = np.moveaxis(matrices, 0, -1).copy()
    log_determinant = np.zeros(len(matrices))
    for column in range(len(swept)):
        pivot = swept[column, column].copy()
        log_determinant += np.log(pivot)
        row, reach = swept[column] / pivot, swept[:, column].copy()
        swept -= reach[:, None] * row
        swept[column] = swept[:, column] = row
        swept[column, column] = -1 / pivot
    return np.ascontiguousarray(np.moveaxis(-swept, -1, 0)), log_determinant


def _products(pulls: Array) -> Array:
    """Packed v vᵀ of each row."""
    first, second = np.triu_indices(pulls.shape[1])
    made = pulls.take(first, axis=1)
    made *= pulls.take(second, axis=1)
    return made


def _sums(weight: Array, places: Array, ends: Array, table: Array) -> Array:
    """Weighted sums of a table's rows at so many places, one from each end to the next."""
    return np.asarray(sparse.csr_array((weight, places, ends), (len(ends) - 1, len(table))) @ table)


def _packed(matrices: Array) -> Array:
    """Upper triangles of matrices, shape (k, q(q + 1)/2)."""
    q = matrices.shape[1]
    first, second = np.triu_indices(q)
    return matrices.reshape(len(matrices), q * q).take(first * q + second, axis=1)


def _information(means: Array, mixed: Array, square: Array, q: int) -> Array:
    """From Σ A, Σ A_ik v_l and Σ A_jk G_li, over packed pairs."""
    first, second = np.triu_indices(q)
    place = np.empty((q, q), dtype=np.intp)
    place[first, second] = place[second, first] = np.arange(len(first))
    # a packed covariance stands for both of its places, a variance for one
    once = np.where(first == second, 0.5, 1.0)
    both_ways = square + square.T
    rows = np.arange(q)[:, None]
    both = mixed[place[rows, first], second] + mixed[place[rows, second], first]
    both *= once
    covariances, flat = np.empty(both_ways.shape), place * len(first)
    for row in range(q):  # few pairs at a time, whose numbers stay in cache
        pairs = slice(place[row, row], place[row, -1] + 1)
        covariances[pairs] = both_ways.take(flat[row:, first] + place[row, second])
        covariances[pairs] += both_ways.take(flat[row:, second] + place[row, first])
    covariances *= once
    covariances *= once[:, None]
    return np.block([[means[place], both], [both.T, covariances]])
