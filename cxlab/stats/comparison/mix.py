"""Composition: Kitagawa's two parts, and the cells behind the mix term."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cxlab.stats.comparison.collected import Collected
from cxlab.stats.comparison.quantities import NPS_VALUES
from cxlab.stats.comparison.small import hide_groups


def kitagawa(
    share_1: ArrayLike, rate_1: ArrayLike, share_2: ArrayLike, rate_2: ArrayLike
) -> pd.DataFrame:
    """A difference of two averages as mix and performance, cell by cell.

    Parameters
    ----------
    share_1, share_2 : array_like of float, shape (cells,)
        Shares or counts of each cell, 0 or more; they are made to add to 1.
    rate_1, rate_2 : array_like of float, shape (cells,)
        Score of each cell; NaN where the cell is absent.

    Returns
    -------
    DataFrame
        ``mix, performance, note`` per cell, in the unit of the rates. All of them add to the
        difference of the averages, second less first.

    Raises
    ------
    ValueError
        For shares that are negative or all 0, a cell without a rate in both, or lengths that
        differ.

    Notes
    -----
    ``mix = (w₂ − w₁)(r₁ + r₂)/2``, ``performance = (r₂ − r₁)(w₁ + w₂)/2``. A cell that is absent
    on one side takes the other side's rate, and the note says so.

    References
    ----------
    Kitagawa (1955), JASA 50, 1168–1194.

    Examples
    --------
    >>> parts = kitagawa([0.5, 0.5], [10, 30], [0.75, 0.25], [10, 34])
    >>> float(parts["mix"].sum()), float(parts["performance"].sum())
    (-5.5, 1.5)
    """
    arrays = [np.asarray(a, dtype=float) for a in (share_1, rate_1, share_2, rate_2)]
    if len({array.shape for array in arrays}) > 1 or arrays[0].ndim != 1:
        raise ValueError("Shares and rates must be four lists of the same length.")
    w1, r1, w2, r2 = arrays
    for name, share in (("share_1", w1), ("share_2", w2)):
        if not (np.isfinite(share).all() and (share >= 0).all() and share.sum() > 0):
            raise ValueError(f"`{name}` must be 0 or more and not all 0; got {share.tolist()}.")
    lost = np.flatnonzero(np.isnan(r1) & np.isnan(r2))
    if len(lost):
        raise ValueError(f"Every cell must have a rate on one side; cell {lost[0]} has none.")
    w1, w2 = w1 / w1.sum(), w2 / w2.sum()
    note = np.where(np.isnan(r1), "absent first", np.where(np.isnan(r2), "absent second", ""))
    r1, r2 = np.where(np.isnan(r1), r2, r1), np.where(np.isnan(r2), r1, r2)
    return pd.DataFrame(
        {
            "mix": (w2 - w1) * (r1 + r2) / 2,
            "performance": (r2 - r1) * (w1 + w2) / 2,
            "note": note,
        }
    )


def mix_table(collected: Collected) -> pd.DataFrame:
    """Cells (touchpoint × contact channel): shares of eligible and answered episodes.

    Returns
    -------
    DataFrame
        ``cell, n_eligible, n, customers`` (who answered), ``share_eligible,
        share_answered, estimate`` (NPS of the answers),
        ``contribution`` to the mix term (points; they add to it) and ``note`` (a cell that
        nobody answered is not covered by any standardised score).
    """
    rows, k = collected.episodes, max(len(collected.cells), 1)
    eligible = np.bincount(rows.cell, minlength=k).astype(float)
    answered = np.bincount(rows.cell, rows.answered, minlength=k)
    score = np.where(rows.answered, NPS_VALUES[np.maximum(rows.score, 0)], 0.0)
    mean = np.bincount(rows.cell, score, minlength=k) / np.where(answered > 0, answered, np.nan)
    some = answered > 0
    contribution = np.zeros(k)
    if some.any():
        parts = kitagawa(eligible[some], mean[some], answered[some], mean[some])
        contribution[some] = parts["mix"]
    return pd.DataFrame(
        {
            "cell": collected.cells,
            "n_eligible": eligible.astype(int),
            "n": answered.astype(int),
            "customers": _customers(rows.cell[rows.answered], rows.customer[rows.answered], k),
            "share_eligible": eligible / max(eligible.sum(), 1.0),
            "share_answered": answered / max(answered.sum(), 1.0),
            "estimate": mean,
            "contribution": contribution,
            "note": np.where(answered > 0, "", "not covered: nobody answered"),
        }
    )


def _customers(cell: np.ndarray, customer: np.ndarray, k: int) -> np.ndarray:
    """Customers with an answer in each cell."""
    pairs = np.unique(np.column_stack([cell, customer]), axis=0)
    return np.bincount(pairs[:, 0], minlength=k)


def hide_cells(table: pd.DataFrame, smallest: int) -> pd.DataFrame:
    """The cells with those of too few customers hidden, and those that would give them back.

    The NPS of each touchpoint and that of all answers may stand elsewhere: neither, less
    the cells shown, gives a small cell back.
    """
    touchpoint = table["cell"].str.split(" · ").str[0]
    inside = hide_groups(table.assign(touchpoint=touchpoint), smallest, within="touchpoint")
    hidden = inside["customers"].isna()
    if hidden.sum() == 1 or table.loc[hidden, "customers"].sum() < smallest:
        # touchpoints of one cell: the whole less all the others would give it back
        return hide_groups(table, smallest)
    return inside.drop(columns="touchpoint")
