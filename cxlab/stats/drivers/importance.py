"""Ways to share R² among drivers, all from one correlation matrix.

Each of `METHODS` takes correlations, shape (replicates, q, q), with the outcome last, and
gives importances, shape (replicates, drivers). A new way is one function and one line of
`METHODS`. `importance` applies one to an estimate and its replicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.subsets import ALIASED, THREADS, subset_sums

Array = np.ndarray

#: Most drivers for which every subset is taken.
MOST_EXACT = 25
#: Subsets × replicates that are still walked in full (about 2 seconds).
EXACT_WORK = 1 << 27
#: Cycles of orders for the replicates, which share them, and for the estimate itself.
REPLICATE_CYCLES = 6
ESTIMATE_CYCLES = 200
#: Seed of the sampled orders.
ORDERS_SEED = 0
#: Matrices factored at a time (megabytes).
CHUNK = 4
#: Smallest eigenvalue of the drivers' correlations for which Cholesky factors are accurate.
SOUND = 1e-8
#: Replicates above which a second thread pays.
THREADED = 50


def lmg(correlations: Array) -> Array:
    """Mean gain of R² over all orders (Lindeman, Merenda & Gold; Shapley; general dominance)."""
    return subset_sums(correlations).general


def first(correlations: Array) -> Array:
    """R² of the driver alone: its squared correlation."""
    return np.asarray(correlations[:, :-1, -1] ** 2)


def last(correlations: Array) -> Array:
    """Fall of R² when the driver is taken out of the full model."""
    drivers, outcome = correlations[:, :-1, :-1], correlations[:, :-1, -1]
    whole = explained_variance(drivers, outcome)
    falls = np.empty_like(outcome)
    for column in range(outcome.shape[1]):
        others = np.delete(np.arange(outcome.shape[1]), column)
        part = explained_variance(drivers[:, others][:, :, others], outcome[:, others])
        falls[:, column] = whole - part
    return np.maximum(falls, 0.0)


def betasq(correlations: Array) -> Array:
    """Squared standardised coefficient."""
    return np.asarray(standardised_coefficients(correlations) ** 2)


def pratt(correlations: Array) -> Array:
    """Standardised coefficient × correlation; may be negative."""
    return standardised_coefficients(correlations) * correlations[:, :-1, -1]


def johnson(correlations: Array) -> Array:
    """Relative weights (Johnson 2000), the same numbers as Genizi (1993)."""
    root, inverse_root = _roots(correlations[:, :-1, :-1])
    uncorrelated = np.einsum("bij,bj->bi", inverse_root, correlations[:, :-1, -1])
    return np.einsum("bij,bj->bi", root**2, uncorrelated**2)


def car(correlations: Array) -> Array:
    """Squared correlations with the decorrelated drivers (Zuber & Strimmer 2011)."""
    _, inverse_root = _roots(correlations[:, :-1, :-1])
    return np.asarray(np.einsum("bij,bj->bi", inverse_root, correlations[:, :-1, -1]) ** 2)


METHODS: dict[str, Callable[[Array], Array]] = {
    "lmg": lmg,
    "johnson": johnson,
    "first": first,
    "last": last,
    "betasq": betasq,
    "pratt": pratt,
    "car": car,
}

#: Methods whose importances add up to R².
ADDS_UP = ("lmg", "johnson", "pratt", "car")


def standardised_coefficients(correlations: Array, outcomes: int = 1) -> Array:
    """Coefficients of standardised drivers; among exact duplicates the smallest ones.

    With several outcomes, which are the last columns, shape (replicates, drivers, outcomes).
    """
    found = _solve(correlations[:, :-outcomes, :-outcomes], correlations[:, :-outcomes, -outcomes:])
    return found if outcomes > 1 else found[:, :, 0]


def explained_variance(drivers: Array, outcome: Array) -> Array:
    """R² from correlations of the drivers and with the outcome, shape (replicates,)."""
    return np.einsum("bi,bi->b", _solve(drivers, outcome[:, :, None])[:, :, 0], outcome)


def _solve(drivers: Array, outcomes: Array) -> Array:
    """Solutions of drivers · β = outcomes; the shortest where there are many."""
    if outcomes.shape[1] == 0:
        return outcomes
    try:
        np.linalg.cholesky(drivers)
        inverse = np.linalg.inv(drivers)
        # no eigenvalue is below 1 ÷ the trace of the inverse
        if np.einsum("bii->b", inverse).max(initial=0) < 1 / ALIASED:
            return np.asarray(inverse @ outcomes)
    except np.linalg.LinAlgError:
        pass
    values, vectors = np.linalg.eigh(drivers)
    usable = values > ALIASED
    inverse = np.where(usable, 1 / np.where(usable, values, 1.0), 0.0)
    return vectors @ (inverse[:, :, None] * (np.swapaxes(vectors, 1, 2) @ outcomes))


def _roots(drivers: Array) -> tuple[Array, Array]:
    """Symmetric square root and its (pseudo-)inverse."""
    values, vectors = np.linalg.eigh(drivers)
    usable = values > ALIASED
    roots = np.sqrt(np.where(usable, values, 0.0))
    inverse = np.where(usable, 1 / np.where(usable, roots, 1.0), 0.0)
    transposed = np.swapaxes(vectors, 1, 2)
    return (vectors * roots[:, None]) @ transposed, (vectors * inverse[:, None]) @ transposed


@dataclass(frozen=True, eq=False)
class Importance:
    """Importances of the players and the R² they share, with replicates."""

    values: Array  # (players,)
    replicates: Array  # (replicates, players)
    r_squared: float
    note: str = ""  # how it was computed, where not every subset was taken

    @property
    def shares(self) -> Array:
        """Parts of the sum of the importances; NaN where that is not above 0."""
        return _share_of(self.values[None])[0]

    @property
    def share_replicates(self) -> Array:
        """Shares in each replicate."""
        return _share_of(self.replicates)


def _share_of(values: Array) -> Array:
    total = values.sum(axis=1, keepdims=True)
    return np.where(total > 0, values / np.where(total > 0, total, 1.0), np.nan)


def importance(
    matrix: Array,
    matrices: Array,
    *,
    method: str = "lmg",
    players: Sequence[Sequence[int]] | None = None,
    n: float | None = None,
    columns_in: int = 0,
) -> Importance:
    """Importances of a covariance matrix, whose outcome is last, and of its replicates.

    ``players`` (columns that enter together; one without columns gets 0), ``n`` and
    ``columns_in`` are for "lmg": see `subset_sums`.
    """
    stack = matrix[None] if columns_in else to_correlation(matrix)[None]
    replicates = matrices if columns_in else to_correlation(matrices)
    if method != "lmg":
        whole = explained_variance(stack[:, :-1, :-1], stack[:, :-1, -1])
        share = METHODS[method]
        return Importance(share(stack)[0], share(replicates), float(whole[0]))
    groups = players if players is not None else [[j] for j in range(stack.shape[-1] - 1)]
    active = [player for player, group in enumerate(groups) if len(group)]
    found = _lmg(stack, replicates, [list(groups[player]) for player in active], n, columns_in)
    values, drawn = np.zeros(len(groups)), np.zeros((len(replicates), len(groups)))
    values[active], drawn[:, active] = found.values, found.replicates
    return replace(found, values=values, replicates=drawn)


def _lmg(
    stack: Array, replicates: Array, groups: list[list[int]], n: float | None, columns_in: int
) -> Importance:
    """LMG from every subset where there are few enough, otherwise from sampled orders."""
    if not groups:
        return Importance(np.zeros(0), np.zeros((len(replicates), 0)), 0.0)
    if len(groups) > MOST_EXACT:
        general, error = sampled_orders(stack, groups, ESTIMATE_CYCLES, n, columns_in)
        values = general[0]
        note = (
            f"{len(groups)} drivers are too many for every subset: importances come from "
            f"{ESTIMATE_CYCLES * 2 * len(groups):,} sampled orders, Monte-Carlo standard error "
            f"up to {error.max():.1g}."
        )
        drawn = _shared_orders(stack, replicates, groups, n, columns_in, values)
        return Importance(values, drawn, float(values.sum()), note)
    sums = subset_sums(stack, groups, n=n, columns_in=columns_in)
    values, whole = sums.general[0], float(sums.r_squared[0])
    if (1 << len(groups)) * len(replicates) <= EXACT_WORK:
        drawn = subset_sums(replicates, groups, n=n, columns_in=columns_in).general
        return Importance(values, drawn, whole)
    note = (
        f"Importances are exact; their {len(replicates):,} replicates share "
        f"{REPLICATE_CYCLES * 2 * len(groups):,} sampled orders."
    )
    drawn = _shared_orders(stack, replicates, groups, n, columns_in, values)
    return Importance(values, drawn, whole, note)


def _shared_orders(
    stack: Array,
    replicates: Array,
    groups: list[list[int]],
    n: float | None,
    columns_in: int,
    values: Array,
) -> Array:
    """Replicates from orders common to all, corrected by the estimate's own error from them."""
    if len(replicates) == 0:
        return np.empty((0, len(groups)))
    both = np.concatenate([stack, replicates])
    drawn, _ = sampled_orders(both, groups, REPLICATE_CYCLES, n, columns_in)
    return drawn[1:] + (values - drawn[0])


def sampled_orders(
    stack: Array,
    groups: Sequence[Sequence[int]],
    cycles: int,
    n: float | None = None,
    columns_in: int = 0,
) -> tuple[Array, Array]:
    """LMG from sampled orders that all replicates share, and its Monte-Carlo standard error.

    LMG is the mean, over all orders, of what R² gains when the driver enters. The orders
    come in cycles: a random order, its p rotations, and all of them backwards. So every
    driver takes every place once, its gains at the first and the last place are exact, and
    each order still adds up to R². Both arrays have the shape (replicates, players); the error
    comes from the spread between cycles, and is 0 for one. Parameters as for `subset_sums`.
    """
    generator = np.random.default_rng(ORDERS_SEED)
    total = np.zeros((len(stack), len(groups)))
    squares = np.zeros_like(total)
    # one impossible replicate would send all that share its batch the slow way
    sound = np.linalg.eigvalsh(stack[:, :-1, :-1])[:, 0] > SOUND
    parts = [part for part in (np.flatnonzero(sound), np.flatnonzero(~sound)) if len(part)]
    for _ in range(cycles):
        order = generator.permutation(len(groups))
        gains = np.empty_like(total)
        for part in parts:
            gains[part] = _cycle_gains(stack[part], groups, order, n, columns_in)
        total += gains
        squares += gains**2
    mean = total / cycles
    spread = np.maximum(squares / cycles - mean**2, 0.0)
    return mean, np.sqrt(spread / max(cycles - 1, 1))


def _cycle_gains(
    stack: Array, groups: Sequence[Sequence[int]], order: Array, n: float | None, columns_in: int
) -> Array:
    """Mean gain of each player over one cycle of orders.

    Rotations and their reverses pass through the same sets, each a stretch of the order: the
    reverses cost nothing more.
    """
    gains = np.zeros((len(stack), len(groups)))
    columns = [column for player in order for column in groups[player]]
    widths = np.array([len(groups[player]) for player in order])
    # each stretch is a slice of the matrix with every driver twice
    turned = [*columns, *columns, stack.shape[-1] - 1]
    chunk = max(1, int(CHUNK * 1e6 / (8 * len(turned) ** 2)))
    starts = range(0, len(stack), chunk)
    with ThreadPoolExecutor(THREADS if len(stack) > THREADED else 1) as pool:
        parts = (stack[start : start + chunk][:, turned][:, :, turned] for start in starts)
        left = np.concatenate(
            list(pool.map(lambda part: _stretches(part, widths, n, columns_in), parts))
        )
    for shift in range(len(order)):
        gains[:, np.roll(order, -shift)] += left[:, shift, :-1] - left[:, shift, 1:]
        gains[:, order[shift - 1]] += (left[:, shift, :-1] - left[:, shift - 1, 1:]).sum(axis=1)
    return gains / (2 * len(order))


def _stretches(twice: Array, widths: Array, n: float | None, columns_in: int) -> Array:
    """(Adjusted) residual variance after the first 0, 1, … players from each start.

    Shape (replicates, players, players + 1).
    """
    size, players = int(widths.sum()), len(widths)
    left = np.empty((len(twice), players, players + 1))
    part = np.empty((len(twice), size + 1, size + 1))
    part[:, -1, -1] = twice[:, -1, -1]
    for shift in range(players):
        start = int(widths[:shift].sum())
        inside = slice(start, start + size)
        part[:, :-1, :-1] = twice[:, inside, inside]
        part[:, -1, :-1] = part[:, :-1, -1] = twice[:, -1, inside]
        ends = np.cumsum([0, *np.roll(widths, -shift)])
        risen = np.cumsum(_column_gains(part), axis=1)
        reached = np.hstack([np.zeros((len(part), 1)), risen])[:, ends]
        left[:, shift] = part[:, -1, -1][:, None] - reached
        if n is not None:
            left[:, shift] *= (n - 1) / (n - columns_in - ends - 1)
    return left


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
    """The same, passing over columns that are combinations of earlier ones."""
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
