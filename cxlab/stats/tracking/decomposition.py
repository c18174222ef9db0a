"""Kitagawa and Das Gupta: a change as mix and performance, on arrays with a leading axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Parts must add up to the change to this share of the scores' size: rounding only.
ADDS_UP_TO = 1e-9


@dataclass(frozen=True, eq=False)
class Parts:
    """What a change of the whole is made of; any number of replicates at once.

    Attributes
    ----------
    change : ndarray of shape (...,)
    mix, performance : ndarray of shape (..., cells)
        Contribution of each cell.
    by_segment : tuple of ndarray of shape (...,)
        With two segments, the mix of each; otherwise empty.
    """

    change: Array
    mix: Array
    performance: Array
    by_segment: tuple[Array, ...]

    def __post_init__(self) -> None:
        whole = self.mix.sum(axis=-1) + self.performance.sum(axis=-1)
        _check_sum("mix and performance", whole, self.change)
        if self.by_segment:
            parts = np.sum(self.by_segment, axis=0)
            _check_sum("the segments' mixes", parts, self.mix.sum(axis=-1))


def decompose(
    before: Array, after: Array, rates_before: Array, rates_after: Array, *, crossed: bool = False
) -> Parts:
    """Split the change of a weighted average over a grid of cells.

    Parameters
    ----------
    before, after : ndarray of shape (..., first, second)
        Weight of the answers in each cell of two crossed segments; ``second`` is 1 for one
        segment.
    rates_before, rates_after : ndarray of the same shape
        Score of each cell; NaN where it is absent.
    crossed : bool
        Whether there are two segments, between which to split the mix.

    Returns
    -------
    Parts
        Not finite where a period has no weight at all.

    Notes
    -----
    Kitagawa, per cell with shares w and scores r: mix ``(w₂ − w₁)((r₁ + r₂)/2 − R)`` and
    performance ``(r₂ − r₁)(w₁ + w₂)/2``. R is the mean of the two overall scores; it
    changes no sum, but without it growth of any group with a positive score would read
    as a gain. An absent cell takes the other period's score.

    Das Gupta, for two segments: a cell's share is the product of ``a = √(N_ij/N_.j ·
    N_i./N)`` and ``b = √(N_ij/N_i. · N_.j/N)``; the mix of the first segment is
    ``Σ r̄ b̄ (a₂ − a₁)``, of the second ``Σ r̄ ā (b₂ − b₁)``, with means over the periods.
    Performance is Kitagawa's.

    References
    ----------
    Kitagawa (1955), JASA 50, 1168–1194. Das Gupta (1993), Standardization and
    Decomposition of Rates, US Bureau of the Census P23-186, chapter 5.

    Examples
    --------
    >>> parts = decompose(np.array([[3.0], [1.0]]), np.array([[1.0], [1.0]]),
    ...                   np.array([[10.0], [30.0]]), np.array([[10.0], [40.0]]))
    >>> float(parts.change), float(parts.mix.sum()), float(parts.performance.sum())
    (10.0, 6.25, 3.75)
    """
    shares_1, shares_2 = _shares(before), _shares(after)
    r_1 = np.where(np.isnan(rates_before), np.nan_to_num(rates_after), rates_before)
    r_2 = np.where(np.isnan(rates_after), np.nan_to_num(rates_before), rates_after)
    whole_1, whole_2 = ((w * r).sum(axis=(-2, -1)) for w, r in ((shares_1, r_1), (shares_2, r_2)))
    average = (r_1 + r_2) / 2
    centre = ((whole_1 + whole_2) / 2)[..., None, None]
    by_segment: tuple[Array, ...] = ()
    if crossed:
        (a_1, b_1), (a_2, b_2) = _factors(shares_1), _factors(shares_2)
        first = (average * (b_1 + b_2) / 2 * (a_2 - a_1)).sum(axis=(-2, -1))
        by_segment = (first, (average * (a_1 + a_2) / 2 * (b_2 - b_1)).sum(axis=(-2, -1)))
    return Parts(
        change=whole_2 - whole_1,
        mix=_flat((shares_2 - shares_1) * (average - centre)),
        performance=_flat((r_2 - r_1) * (shares_1 + shares_2) / 2),
        by_segment=by_segment,
    )


def _shares(weights: Array) -> Array:
    total = weights.sum(axis=(-2, -1), keepdims=True)
    return weights / np.where(total > 0, total, np.nan)


def _factors(shares: Array) -> tuple[Array, Array]:
    """The two factors of each cell's share, one for each segment."""
    rows, columns = shares.sum(axis=-1, keepdims=True), shares.sum(axis=-2, keepdims=True)
    inside_column = shares / np.where(columns > 0, columns, 1.0)
    inside_row = shares / np.where(rows > 0, rows, 1.0)
    return np.sqrt(inside_column * rows), np.sqrt(inside_row * columns)


def _flat(values: Array) -> Array:
    return values.reshape(*values.shape[:-2], -1)


def _check_sum(what: str, found: Array, wanted: Array) -> None:
    gap = np.abs(np.asarray(found) - np.asarray(wanted))
    if (gap > ADDS_UP_TO * np.maximum(1.0, np.abs(wanted))).any():
        raise ArithmeticError(f"The parts must add up: {what} miss by {np.nanmax(gap):g}.")
