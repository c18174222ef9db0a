"""Every subset of the drivers, visited once: exact LMG, dominance and their relatives.

The include/exclude tree of Furnival & Wilson (1974). At a node some drivers are decided;
what is left of the correlation matrix is the Schur complement of those included. To
exclude the next driver is to drop its row, to include it is one pivot. The last thing
left is the outcome's residual variance, 1 − R² of the subset. Matrices are stored as
packed upper triangles whose entries are long vectors, so that each NumPy call works on
many subsets, and on many replicates, at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import comb

import numpy as np

Array = np.ndarray

#: A driver with less than this part of its variance left is a combination of the others.
ALIASED = 1e-9
#: Length of the vectors; 64 kB, so that a node's triangle stays in cache.
LANES = 1 << 13
#: Subsets × replicates from which a second thread pays.
THREADED = 1 << 21
THREADS = 2


@dataclass(frozen=True, eq=False)
class SubsetSums:
    """Sums of R² over the subsets of each size.

    A player is a driver, or a group of columns that enter together.
    """

    by_size: Array  # (players + 1, replicates), over the subsets of each size
    with_player: Array  # (players, players + 1, replicates), over those that hold the player

    @property
    def n_players(self) -> int:
        """Players: drivers, or groups of columns that come and go together."""
        return len(self.with_player)

    @property
    def r_squared(self) -> Array:
        """R² of all players together, shape (replicates,)."""
        return self.by_size[-1] - self.by_size[0]

    @property
    def conditional(self) -> Array:
        """Conditional dominance, shape (replicates, players, players).

        Mean rise of R² when the player joins the subsets of 0, 1, 2, … others.
        """
        p = self.n_players
        joined = self.with_player[:, 1:]
        without = self.by_size[None, :-1] - self.with_player[:, :-1]
        number = np.array([comb(p - 1, size) for size in range(p)], dtype=float)
        return np.moveaxis((joined - without) / number[None, :, None], -1, 0)

    @property
    def general(self) -> Array:
        """General dominance = LMG = Shapley values, shape (replicates, players)."""
        return np.asarray(self.conditional.mean(axis=-1))


def subset_sums(
    correlations: Array,
    players: Sequence[Sequence[int]] | None = None,
    *,
    n: float | None = None,
    columns_in: int = 0,
) -> SubsetSums:
    """Sums of R² over all subsets of the players, exactly: about 11 operations a subset.

    ``correlations``, shape (q, q) or (replicates, q, q), have the outcome last; of what
    `partial_out` leaves, R² is the rise over the ``columns_in`` that were taken out. A player
    is one column, or several. With ``n`` answers R² is adjusted: 1 − (1 − R²)(n − 1)/(n − columns
    − 1). A column with less than 1e-9 of its variance left is passed over, so that exact
    duplicates share equally (Furnival & Wilson 1974, Technometrics 16, 499–511; Grömping 2007,
    The American Statistician 61, 139–147).

    >>> correlations = np.array([[1, 0.5, 0.6], [0.5, 1, 0.3], [0.6, 0.3, 1]])
    >>> subset_sums(correlations).general.round(3)
    array([[0.315, 0.045]])
    """
    stack = np.asarray(correlations, dtype=float)
    stack = stack[None] if stack.ndim == 2 else stack
    q = stack.shape[-1]
    groups = [[j] for j in range(q - 1)] if players is None else [list(g) for g in players]
    return _Walk(stack, groups, columns_in, n).run()


def all_r_squared(correlation: Array) -> Array:
    """R² of every subset of the drivers, shape (2^drivers,); bit j of the index is driver j."""
    state = _pack(np.asarray(correlation, dtype=float)[None])
    for size in range(len(correlation), 1, -1):
        state = _both(state, size, 1)
    return 1.0 - state[0]


def partial_out(correlations: Array, columns: Sequence[int]) -> Array:
    """What some columns leave of the others: Schur complements, shape (replicates, rest, rest).

    Columns that are combinations of earlier ones are passed over.
    """
    state = np.array(correlations, dtype=float)
    for column in columns:
        pivot = state[:, column, column]
        usable = pivot > ALIASED
        inverse = np.where(usable, 1.0 / np.where(usable, pivot, 1.0), 0.0)
        row = state[:, column, :].copy()
        state -= row[:, :, None] * row[:, None, :] * inverse[:, None, None]
    rest = np.setdiff1d(np.arange(state.shape[-1]), columns)
    return state[:, rest][:, :, rest]


class _Walk:
    """One walk over the tree for a chunk of replicates at a time."""

    def __init__(
        self,
        stack: Array,
        groups: list[list[int]],
        columns_in: int,
        n: float | None,
    ) -> None:
        self.groups = groups
        self.columns_in = columns_in
        self.n = n
        order = [column for group in groups for column in group] + [stack.shape[-1] - 1]
        self.stack = stack[:, order][:, :, order]

    def run(self) -> SubsetSums:
        """Walk over all replicates."""
        players, replicates = len(self.groups), len(self.stack)
        step = max(1, min(replicates, LANES >> min(players, 4)))
        starts = range(0, replicates, step)
        work = (1 << players) * replicates
        threads = THREADS if work >= THREADED else 1
        tails = 1 if threads == 1 or len(starts) > 1 else threads
        jobs = [(start, start + step, part, tails) for start in starts for part in range(tails)]
        with ThreadPoolExecutor(threads) as pool:
            parts = list(pool.map(lambda job: self._chunk(*job), jobs))
        by_size = np.zeros((players + 1, replicates))
        with_player = np.zeros((players, players + 1, replicates))
        for (start, stop, _, _), (sizes, members) in zip(jobs, parts, strict=True):
            by_size[:, start:stop] += sizes
            with_player[:, :, start:stop] += members
        return SubsetSums(by_size, with_player)

    def _chunk(self, start: int, stop: int, part: int, parts: int) -> tuple[Array, Array]:
        """Sums for some replicates; ``part`` of ``parts`` of the tree's last branches."""
        stack = self.stack[start:stop]
        size = stack.shape[-1]
        leaf = _Leaf(self.groups, self.columns_in, len(stack), self.n)
        state = _pack(stack)
        for group in self.groups[: leaf.head]:
            state, size = _both(state, size, len(group)), size - len(group)
        state = leaf.sort(state)
        self._descend(state, size, leaf.head, leaf, (), part, parts)
        return leaf.sums()

    def _descend(
        self,
        state: Array,
        size: int,
        depth: int,
        leaf: _Leaf,
        chosen: tuple[int, ...],
        part: int,
        parts: int,
    ) -> None:
        while depth < len(self.groups):
            width = len(self.groups[depth])
            split = depth == leaf.head and parts > 1
            if not split or part == 0:
                # no name for what is left: it would keep the whole from being freed below
                self._descend(
                    state[_offset(size, width) :],
                    size - width,
                    depth + 1,
                    leaf,
                    chosen,
                    part,
                    parts,
                )
            if split and part == 0:
                return
            for _ in range(width):
                state, size = _include(state, size), size - 1
            depth, chosen = depth + 1, (*chosen, depth)
        leaf.add(state[0], chosen)


class _Leaf:
    """Collects residual variances into sums by size and by member."""

    def __init__(
        self,
        groups: list[list[int]],
        columns_in: int,
        replicates: int,
        n: float | None,
    ) -> None:
        players = len(groups)
        room = max(0, (LANES // max(replicates, 1)).bit_length() - 1)
        self.players = players
        self.head = min(players, room)
        self.replicates = replicates
        subsets = np.arange(1 << self.head)
        self.member = (subsets[:, None] >> np.arange(self.head)) & 1 == 1
        sizes = self.member.sum(axis=1)
        self.order = np.argsort(sizes, kind="stable")
        self.starts = np.searchsorted(sizes[self.order], np.arange(self.head + 1))
        widths = np.array([len(group) for group in groups], dtype=int)
        self.widths = widths
        self.columns = columns_in + (self.member[self.order] @ widths[: self.head])
        self.n = n
        tail = players - self.head
        self.by_lane = np.zeros((tail + 1, 1 << self.head, replicates))
        self.by_member = np.zeros((players, players + 1, replicates))

    def sort(self, state: Array) -> Array:
        """Reorder the lanes by subset size, so that sizes can be summed in runs."""
        lanes = state.reshape(len(state), 1 << self.head, self.replicates)
        return lanes[:, self.order].reshape(len(state), -1)

    def add(self, residual: Array, chosen: tuple[int, ...]) -> None:
        """Take in the residual variances of all lanes for one choice of later players."""
        values = residual.reshape(-1, self.replicates)
        if self.n is not None:
            extra = int(self.widths[list(chosen)].sum()) if chosen else 0
            columns = (self.columns + extra)[:, None]
            values = values * ((self.n - 1) / (self.n - columns - 1))
        self.by_lane[len(chosen)] += values
        if chosen:
            sums = np.add.reduceat(values, self.starts, axis=0)
            size = len(chosen)
            for player in chosen:
                self.by_member[player, size : size + self.head + 1] += sums

    def sums(self) -> tuple[Array, Array]:
        """Σ R² by size, and by member and size, for what was added."""
        players, head = self.players, self.head
        residual = np.zeros((players + 1, self.replicates))
        member = self.member[self.order]
        for size, lanes in enumerate(self.by_lane):
            residual[size : size + head + 1] += np.add.reduceat(lanes, self.starts, axis=0)
            for player in range(head):
                held = lanes * member[:, player][:, None]
                sums = np.add.reduceat(held, self.starts, axis=0)
                self.by_member[player, size : size + head + 1] += sums
        return -residual, -self.by_member


def _offset(size: int, rows: int) -> int:
    """Entries of the first rows of a packed triangle."""
    return rows * size - rows * (rows - 1) // 2


def _pack(stack: Array) -> Array:
    """Matrices, shape (replicates, q, q), as triangles, shape (q(q + 1)/2, replicates)."""
    rows, columns = np.triu_indices(stack.shape[-1])
    return np.ascontiguousarray(stack[:, rows, columns].T)


def _include(state: Array, size: int) -> Array:
    """Pivot on the first column: the Schur complement of what is left."""
    out = np.empty((len(state) - size, state.shape[1]))
    _pivot(state, size, out)
    return out


def _pivot(state: Array, size: int, out: Array) -> None:
    pivot = state[0]
    if pivot.min() > ALIASED:
        inverse = 1.0 / pivot
    else:
        usable = pivot > ALIASED
        inverse = np.where(usable, 1.0 / np.where(usable, pivot, 1.0), 0.0)
    start = 0
    for row in range(1, size):
        length = size - row
        left = state[size + start : size + start + length]
        target = out[start : start + length]
        np.multiply(state[row] * inverse, state[row:size], out=target)
        np.subtract(left, target, out=target)
        start += length


def _both(state: Array, size: int, width: int) -> Array:
    """Exclude the first player (first half of the lanes) and include it (second half)."""
    left = state[_offset(size, width) :]
    lanes = state.shape[1]
    out = np.empty((len(left), 2 * lanes))
    out[:, :lanes] = left
    for step in range(width - 1):
        state = _include(state, size - step)
    _pivot(state, size - width + 1, out[:, lanes:])
    return out
