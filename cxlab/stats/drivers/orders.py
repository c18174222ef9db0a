"""LMG by sampled orders, for more drivers than can be taken in every subset.

LMG is the mean, over all orders, of what R² gains when the driver enters. The orders
come in cycles: a random order, its p rotations, and all of them backwards. So every
driver stands once at every place, its gains at the first and the last place are exact,
and each order still adds up to R².
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from cxlab.stats.drivers.subsets import ALIASED, THREADS

Array = np.ndarray

#: Matrices factored at a time (megabytes).
CHUNK = 32
#: Smallest eigenvalue of drivers that Cholesky's factors are safe with.
SOUND = 1e-8
#: Replicates above which a second thread pays.
THREADED = 50


@dataclass(frozen=True, eq=False)
class SampledImportance:
    """LMG from sampled orders.

    Attributes
    ----------
    general : ndarray, shape (replicates, players)
        Estimated LMG; adds up to R².
    error : ndarray, shape (replicates, players)
        Monte-Carlo standard error, from the spread of the cycles; 0 for one cycle.
    cycles : int
        Cycles of 2 × players orders.
    """

    general: Array
    error: Array
    cycles: int


def sampled_importance(
    correlations: Array,
    players: Sequence[Sequence[int]] | None = None,
    *,
    cycles: int = 100,
    seed: int = 0,
    n: float | Array | None = None,
    columns_in: int = 0,
) -> SampledImportance:
    """LMG from cycles of orders that all replicates share.

    Parameters
    ----------
    correlations : ndarray, shape (q, q) or (replicates, q, q)
        Correlations of the columns; the outcome is the last.
    players : sequence of sequences of int, optional
        Columns of each player; one column each by default.
    cycles : int
        Number of cycles of 2 × players orders.
    seed : int
        Seed of the orders.
    n : float or ndarray of shape (replicates,), optional
        Number of answers, for adjusted R².
    columns_in : int
        Columns that were taken out beforehand and count in every subset.

    Returns
    -------
    SampledImportance

    Examples
    --------
    >>> correlations = np.array([[1, 0.5, 0.6], [0.5, 1, 0.3], [0.6, 0.3, 1]])
    >>> sampled_importance(correlations, cycles=1).general.round(3)
    array([[0.315, 0.045]])
    """
    stack = np.asarray(correlations, dtype=float)
    stack = stack[None] if stack.ndim == 2 else stack
    q = stack.shape[-1]
    groups = [[j] for j in range(q - 1)] if players is None else [list(g) for g in players]
    generator = np.random.default_rng(seed)
    size = np.broadcast_to(np.asarray(np.inf if n is None else n, float), (len(stack),))
    total = np.zeros((len(stack), len(groups)))
    squares = np.zeros_like(total)
    # one impossible replicate would send all that share its batch the slow way
    sound = np.linalg.eigvalsh(stack[:, :-1, :-1])[:, 0] > SOUND
    parts = [part for part in (np.flatnonzero(sound), np.flatnonzero(~sound)) if len(part)]
    for _ in range(cycles):
        order = generator.permutation(len(groups))
        gains = np.empty_like(total)
        for part in parts:
            gains[part] = _cycle_gains(stack[part], groups, order, (size[part], columns_in))
        total += gains
        squares += gains**2
    mean = total / cycles
    spread = np.maximum(squares / cycles - mean**2, 0.0)
    error = np.sqrt(spread / max(cycles - 1, 1))
    return SampledImportance(mean, error, cycles)


def _cycle_gains(
    stack: Array, groups: list[list[int]], order: Array, adjust: tuple[Array, int]
) -> Array:
    """Mean gain of each player over one cycle of orders."""
    players = len(groups)
    gains = np.zeros((len(stack), players))
    orders = [one for shift in range(players) for one in _both_ways(np.roll(order, shift))]
    threads = THREADS if len(stack) > THREADED else 1
    with ThreadPoolExecutor(threads) as pool:
        found = pool.map(
            lambda one: _gains(stack, [groups[player] for player in one], adjust), orders
        )
        for one, gain in zip(orders, found, strict=True):
            gains[:, one] += gain
    return gains / (2 * players)


def _both_ways(order: Array) -> tuple[Array, Array]:
    return order, order[::-1]


def _gains(stack: Array, groups: list[list[int]], adjust: tuple[Array, int]) -> Array:
    """Gain of (adjusted) R² at each place of one order, shape (replicates, players)."""
    order = [column for group in groups for column in group] + [stack.shape[-1] - 1]
    ends = np.cumsum([0] + [len(group) for group in groups])
    chunk = max(1, int(CHUNK * 1e6 / (8 * len(order) ** 2)))
    residual = np.empty((len(stack), len(ends)))
    for start in range(0, len(stack), chunk):
        part = stack[start : start + chunk][:, order][:, :, order]
        risen = np.cumsum(_column_gains(part), axis=1)
        reached = np.hstack([np.zeros((len(part), 1)), risen])[:, ends]
        residual[start : start + chunk] = part[:, -1, -1][:, None] - reached
    n, columns_in = adjust
    bounded = np.isfinite(n)[:, None]
    size = np.where(bounded, n[:, None], 1.0)
    left = np.where(bounded, size - columns_in - ends - 1, 1.0)
    factor = np.where(bounded, (size - 1) / left, 1.0)
    return -np.diff(residual * factor, axis=1)


def _column_gains(stack: Array) -> Array:
    """Rise of R² as each column enters in turn: the squares of a Cholesky factor's last row."""
    try:
        factor = np.linalg.cholesky(stack)
    except np.linalg.LinAlgError:
        return _swept_gains(stack)
    pivots = np.einsum("bii->bi", factor)[:, :-1]
    if (pivots**2 <= ALIASED).any():
        return _swept_gains(stack)
    return np.asarray(factor[:, -1, :-1] ** 2)


def _swept_gains(stack: Array) -> Array:
    """The same with columns that are combinations of earlier ones passed over."""
    state = stack.copy()
    gains = np.zeros((len(stack), stack.shape[-1] - 1))
    for column in range(stack.shape[-1] - 1):
        pivot = state[:, column, column]
        usable = pivot > ALIASED
        inverse = np.where(usable, 1.0 / np.where(usable, pivot, 1.0), 0.0)
        row = state[:, column, column + 1 :]
        gains[:, column] = row[:, -1] ** 2 * inverse
        state[:, column + 1 :, column + 1 :] -= row[:, :, None] * (row * inverse[:, None])[:, None]
    return gains
