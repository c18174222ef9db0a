"""Rows of rare missingness patterns, pooled so that none can be found again.

The sums of a pattern that few rows have *are* those rows' answers, and pairwise sums over
several patterns give them back by subtraction: the sum of x_i over the rows that know i,
less that over the rows that know i and j, is that of the rows that know i and not j. So
rare patterns are kept as the sums that maximum likelihood expects of them, E[Σx | answers]
and E[Σxxᵀ | answers]: every row is in every one of these. At the fitted mean and
covariance they carry all that the rows tell EM, which therefore gives the same again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from cxlab.stats.covariance.covariance import pair_sums, to_correlation
from cxlab.stats.covariance.em import packed_inverse, score
from cxlab.stats.covariance.sums import Cells, join_cells, merge_cells, shift_cells, triangle

Array = np.ndarray
#: From a pattern's completing matrix and its known columns to how the pooled sums move.
Moves = Callable[[Array, Array], Array]

#: Directions of the sums' space weaker than this part of the strongest are not counted on.
WEAKEST_DIRECTION = 1e-10

#: A set of patterns grows by this factor before it is asked again what it reaches.
PATIENCE = 1.2


@dataclass(frozen=True, eq=False)
class Pooled:
    """What is kept of pooled rows; one entry per group.

    Attributes
    ----------
    cells : Cells
        Expected sums, as if every column were known.
    known : ndarray of int, shape (groups, q, q)
        Rows that know both columns.
    patterns : ndarray of int, shape (groups,)
        Patterns that were pooled.
    complete : ndarray of bool, shape (groups,)
        Whether rows without a hole are among them.
    """

    cells: Cells
    known: Array
    patterns: Array
    complete: Array

    def take(self, chosen: Array) -> Pooled:
        """The chosen groups (a boolean mask or positions)."""
        arrays = {name: getattr(self, name)[chosen] for name in _ARRAYS}
        return Pooled(self.cells.take(chosen), **arrays)

    def shift(self, shift: Array) -> Pooled:
        """The same about an origin that is larger by ``shift``."""
        return replace(self, cells=shift_cells(self.cells, shift))


_ARRAYS = ("known", "patterns", "complete")


def join_pooled(parts: Sequence[Pooled], keys: Sequence[str]) -> Pooled | None:
    """Pooled rows of several parts; groups alike in the keys become one."""
    if not parts:
        return None
    cells = join_cells([part.cells for part in parts])
    frame = cells.keys[list(keys)].reset_index(drop=True)
    number = _numbers(frame)
    merged = merge_cells(replace(cells, keys=pd.DataFrame({"group": number})), ["group"])
    first = np.unique(number, return_index=True)[1]
    arrays = {
        name: _added(np.concatenate([getattr(part, name) for part in parts]), number)
        for name in _ARRAYS
    }
    return Pooled(replace(merged, keys=frame.iloc[first].reset_index(drop=True)), **arrays)


def expected_sums(cells: Cells, mean: Array, covariance: Array, keys: pd.DataFrame) -> Pooled:
    """Pool the cells of one group as their expected sums at a mean and covariance.

    Parameters
    ----------
    cells : Cells
        Of one group.
    mean, covariance : ndarray
        Maximum-likelihood fit to all rows of the group, about the same origin.
    keys : DataFrame
        One row: the group.

    Notes
    -----
    With v = A r the pull of a row (see `cxlab.stats.covariance.em`): Σ E[x − μ] = Σ·Σv and
    Σ E[(x − μ)(x − μ)ᵀ] = WΣ + Σ·Σ(vvᵀ − A)·Σ.
    """
    pull = score(cells, mean, covariance)
    weight = float(cells.weight.sum())
    deviations = covariance @ pull.mean
    squares = weight * covariance + covariance @ pull.covariance @ covariance
    sums = deviations + weight * mean
    products = squares + np.outer(sums, mean) + np.outer(mean, sums) - weight * np.outer(mean, mean)
    whole = Cells(
        keys=keys.reset_index(drop=True),
        observed=np.ones((1, len(mean)), dtype=bool),
        n=np.array([cells.n.sum()]),
        weight=np.array([weight]),
        weight_squares=np.array([cells.weight_squares.sum()]),
        sums=sums[None],
        products=products[triangle(len(mean))][None],
    )
    return Pooled(
        cells=whole,
        known=pair_sums(cells).n[None],
        patterns=np.array([len(np.unique(cells.observed, axis=0))]),
        complete=np.array([bool(cells.observed.all(axis=1).any())]),
    )


def rows_behind_every_number(cells: Cells, covariance: Array, enough: int) -> int:
    """Fewest rows whose answers any combination of the pooled sums can depend on.

    Parameters
    ----------
    cells : Cells
        Patterns to be pooled, of one group.
    covariance : ndarray, shape (q, q)
        Of the fit by which they are pooled.
    enough : int
        Stop counting here.

    Returns
    -------
    int
        A lower bound, ``enough`` at most.

    Notes
    -----
    Whoever knows the fit and each pattern's number of rows can take linear combinations of
    the pooled sums in which whole patterns cancel. A combination that is not empty needs at
    least one pattern of every set of patterns that reaches all directions in which the sums
    can move; so it depends on as many rows as disjoint sets have in their smallest patterns.
    Sums and sums of products are looked at one after the other.
    """
    correlation = to_correlation(covariance)
    # patterns that are neighbours are alike: shuffled, fewer of them reach every direction
    shuffled = np.random.default_rng(0).permutation(len(cells))
    order = shuffled[np.argsort(-cells.n[shuffled], kind="stable")]
    fewest = enough
    for moves in (_moves_of_sums, _moves_of_products):
        fewest = _disjoint_sets(cells.observed[order], cells.n[order], correlation, moves, fewest)
    return fewest


def _disjoint_sets(observed: Array, n: Array, correlation: Array, moves: Moves, enough: int) -> int:
    """Rows in the smallest patterns of disjoint sets that reach every direction."""

    def reach(start: int, stop: int) -> Array:
        seen = observed[start:stop]
        completed = correlation @ packed_inverse(correlation, seen)[0]
        matrices = [moves(*pair) for pair in zip(completed, seen, strict=True)]
        return np.asarray(sum(matrix @ matrix.T for matrix in matrices))

    whole = _all_directions(reach, len(n))
    if whole == 0:
        return enough
    rows, inside, columns, due = 0, None, 0, whole
    for i in range(len(n)):
        if rows >= enough:
            break
        part = reach(i, i + 1)
        inside = part if inside is None else inside + part
        known = int(observed[i].sum())
        columns += known * (known + 1) // 2
        # fewer columns than directions cannot reach them all, and a rank takes its time
        if columns < due:
            continue
        due = max(columns + 1, int(columns * PATIENCE))
        if _rank(inside) == whole:
            rows, inside, columns, due = rows + int(n[i]), None, 0, whole
    return min(rows, enough)


def _all_directions(reach: Callable[[int, int], Array], patterns: int) -> int:
    """Number of directions in which one pattern or another can move the sums."""
    total, rank = None, 0
    for start in range(0, patterns, 64):
        part = reach(start, min(start + 64, patterns))
        total = part if total is None else total + part
        rank = _rank(total)
        if rank == len(total):
            break
    return rank


def _moves_of_sums(completed: Array, seen: Array) -> Array:
    """How the expected sums move with a pattern's known answers."""
    return np.asarray(completed[:, seen])


def _moves_of_products(completed: Array, seen: Array) -> Array:
    """How the expected products move with products of a pattern's known answers."""
    first, second = triangle(len(seen))
    columns = np.flatnonzero(seen)
    one, two = columns[np.array(triangle(len(columns)))]
    moves = completed[first][:, one] * completed[second][:, two]
    moves += completed[first][:, two] * completed[second][:, one] * (one != two)
    return np.asarray(moves)


def _rank(gram: Array) -> int:
    values = np.linalg.eigvalsh(gram)
    return int((values > WEAKEST_DIRECTION * max(values[-1], 1e-300)).sum())


def _numbers(frame: pd.DataFrame) -> Array:
    if frame.shape[1] == 0:
        return np.zeros(len(frame), dtype=int)
    return frame.groupby(list(frame.columns), dropna=False, sort=False).ngroup().to_numpy()


def _added(values: Array, number: Array) -> Array:
    added = np.zeros((number.max() + 1, *values.shape[1:]), dtype=values.dtype)
    if values.dtype == bool:
        np.logical_or.at(added, number, values)
    else:
        np.add.at(added, number, values)
    return added
