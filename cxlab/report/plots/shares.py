"""Parts of a whole, and the two ends of a scale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxlab.report.plots.style import (
    COLOURS,
    HATCHES,
    legend_above,
    name_rows,
    row_axes,
    row_names,
    table_of,
)


def plot_parts(
    table: pd.DataFrame,
    parts: Sequence[str],
    *,
    label: str = "label",
    xlabel: str = "rows (%)",
    ax: Axes | None = None,
) -> Axes:
    """Stacked bars of counts as per cent of each row's total, told apart by hatching too.

    Parameters
    ----------
    table : DataFrame, or result with one
        One bar per row, from the top.
    parts : sequence of str
        Columns of counts that add up to the whole; a part that is 0 throughout is
        left out.
    label, xlabel, ax
        As for `plot_intervals`.

    Returns
    -------
    Axes
    """
    table = table_of(table, label, *parts)
    ax = ax or row_axes(len(table))
    present = [part for part in parts if table[part].sum() > 0]
    whole = table[present].sum(axis=1)
    shares = table[present].div(whole.where(whole > 0), axis=0).fillna(0) * 100
    left = np.zeros(len(table))
    for i, part in enumerate(present):
        ax.barh(
            np.arange(len(table)),
            shares[part],
            left=left,
            label=part,
            height=0.75,
            color=COLOURS[i % len(COLOURS)],
            hatch=HATCHES[i % len(HATCHES)],
            edgecolor="white",
            linewidth=0.5,
        )
        left = left + shares[part].to_numpy()
    ax.set_xlim(0, 100)
    legend_above(ax, columns=min(len(present), 4))
    return name_rows(ax, row_names(table, label), xlabel)


def plot_ends(
    table: pd.DataFrame,
    *,
    label: str = "label",
    xlabel: str = "share of answers (%)",
    ax: Axes | None = None,
) -> Axes:
    """Floor and ceiling of each scale: the shares of answers at its two ends.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``floor`` and ``ceiling`` as fractions, as `cxlab.check_answers` gives them.
    label, xlabel, ax
        As for `plot_intervals`.

    Returns
    -------
    Axes
    """
    table = table_of(table, label, "floor", "ceiling", source="cxlab.check_answers")
    ax = ax or row_axes(len(table))
    places = np.arange(len(table))
    ax.hlines(places, 100 * table["floor"], 100 * table["ceiling"], color="0.8", linewidth=2)
    ax.plot(100 * table["floor"], places, "s", color=COLOURS[5], label="lowest score")
    ax.plot(100 * table["ceiling"], places, "o", color=COLOURS[0], label="highest score")
    ax.set_xlim(0, None)
    legend_above(ax, columns=2)
    return name_rows(ax, row_names(table, label), xlabel)
