"""Importance of each driver with its replicates, exact or from sampled orders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.importance import METHODS, r_squared
from cxlab.stats.drivers.orders import sampled_importance
from cxlab.stats.drivers.subsets import subset_sums

Array = np.ndarray

#: Subsets × replicates that are still walked in full (about 2 seconds).
EXACT_WORK = 1 << 27
#: Cycles of orders for the replicates, which share them, and for the estimate itself.
REPLICATE_CYCLES = 6
ESTIMATE_CYCLES = 200
#: Most drivers for which every subset is taken.
MOST_EXACT = 25


@dataclass(frozen=True, eq=False)
class Importance:
    """Importances and the R² they share, with replicates.

    Attributes
    ----------
    values : ndarray, shape (players,)
    replicates : ndarray, shape (replicates, players)
    r_squared : float
    r_squared_replicates : ndarray, shape (replicates,)
    error : ndarray, shape (players,)
        Monte-Carlo standard error of ``values``; 0 where exact.
    note : str
        How it was computed, where not every subset was taken.
    """

    values: Array
    replicates: Array
    r_squared: float
    r_squared_replicates: Array
    error: Array
    note: str = ""

    @property
    def shares(self) -> Array:
        """Parts of the sum of the importances; NaN where that is not above 0."""
        return share_of(self.values[None])[0]

    @property
    def share_replicates(self) -> Array:
        """Shares in each replicate."""
        return share_of(self.replicates)


def share_of(values: Array) -> Array:
    """Rows divided by their sums; NaN where the sum is not above 0."""
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
    """Importances of the estimate and of its replicates.

    Parameters
    ----------
    matrix : ndarray, shape (q, q)
        Covariances, or what `partial_out` leaves of correlations; the outcome is last.
    matrices : ndarray, shape (replicates, q, q)
    method : str
        One of ``METHODS``.
    players : sequence of sequences of int, optional
        For "lmg": columns that come and go together.
    n : float, optional
        For "lmg": give the number of answers to get adjusted R².
    columns_in : int
        For "lmg": columns that were taken out beforehand.
    """
    stack = matrix[None] if columns_in else to_correlation(matrix)[None]
    replicates = matrices if columns_in else to_correlation(matrices)
    if method != "lmg":
        share = METHODS[method]
        return _same_way(share(stack), share(replicates), r_squared(stack), r_squared(replicates))
    groups = players if players is not None else [[j] for j in range(stack.shape[-1] - 1)]
    active = [player for player, group in enumerate(groups) if len(group)]
    if len(active) < len(groups):
        part = [groups[player] for player in active]
        return _spread_out(_lmg(stack, replicates, part, n, columns_in), active, len(groups))
    return _lmg(stack, replicates, groups, n, columns_in)


def _lmg(
    stack: Array,
    replicates: Array,
    groups: Sequence[Sequence[int]],
    n: float | None,
    columns_in: int,
) -> Importance:
    if not groups:
        nothing = np.zeros(len(replicates))
        return Importance(np.zeros(0), np.zeros((len(replicates), 0)), 0.0, nothing, np.zeros(0))
    if len(groups) > MOST_EXACT:
        return _sampled(stack, replicates, groups, n, columns_in)
    sums = subset_sums(stack, groups, n=n, columns_in=columns_in)
    if (1 << len(groups)) * len(replicates) <= EXACT_WORK:
        again = subset_sums(replicates, groups, n=n, columns_in=columns_in)
        return _same_way(sums.general, again.general, sums.r_squared, again.r_squared)
    drawn = _shared_orders(stack, replicates, groups, n, columns_in, sums.general[0])
    note = (
        f"Importances are exact; their {len(replicates):,} replicates share "
        f"{REPLICATE_CYCLES * 2 * len(groups):,} sampled orders."
    )
    return Importance(
        sums.general[0],
        drawn,
        float(sums.r_squared[0]),
        drawn.sum(axis=1),
        np.zeros(len(groups)),
        note,
    )


def _same_way(values: Array, replicates: Array, whole: Array, wholes: Array) -> Importance:
    return Importance(values[0], replicates, float(whole[0]), wholes, np.zeros(values.shape[1]))


def _spread_out(part: Importance, active: list[int], players: int) -> Importance:
    """Importance 0 for the players that have no column."""
    values, error = np.zeros(players), np.zeros(players)
    replicates = np.zeros((len(part.replicates), players))
    values[active], error[active], replicates[:, active] = part.values, part.error, part.replicates
    return replace(part, values=values, error=error, replicates=replicates)


def _sampled(
    stack: Array,
    replicates: Array,
    groups: Sequence[Sequence[int]],
    n: float | None,
    columns_in: int,
) -> Importance:
    estimate = sampled_importance(stack, groups, cycles=ESTIMATE_CYCLES, n=n, columns_in=columns_in)
    values, error = estimate.general[0], estimate.error[0]
    drawn = _shared_orders(stack, replicates, groups, n, columns_in, values)
    note = (
        f"{len(groups)} drivers are too many for every subset: importances come from "
        f"{ESTIMATE_CYCLES * 2 * len(groups):,} sampled orders, Monte-Carlo standard error "
        f"up to {error.max():.1g}."
    )
    return Importance(values, drawn, float(values.sum()), drawn.sum(axis=1), error, note)


def _shared_orders(
    stack: Array,
    replicates: Array,
    groups: Sequence[Sequence[int]],
    n: float | None,
    columns_in: int,
    values: Array,
) -> Array:
    """Replicates by orders common to all, moved by what those orders miss of the estimate."""
    if len(replicates) == 0:
        return np.empty((0, len(groups)))
    both = np.concatenate([stack, replicates])
    drawn = sampled_importance(
        both, groups, cycles=REPLICATE_CYCLES, n=n, columns_in=columns_in
    ).general
    return drawn[1:] + (values - drawn[0])
