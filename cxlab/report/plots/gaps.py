"""What a difference is made of, and slopes on the two sides of a middle."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxlab.report.plots.style import COLOURS, legend_above, name_rows, row_axes, row_names, table_of


def plot_waterfall(
    table: pd.DataFrame,
    *,
    label: str = "term",
    xlabel: str = "points (95 % CI)",
    ax: Axes | None = None,
) -> Axes:
    """Terms that add up, each starting where the last one ended, with its own interval.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``label`` (or as named), ``estimate``, ``ci_low``, ``ci_high``, in order. A
        term that is not identified (null) is named and left empty.
    label, xlabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
        The last row is the sum of what is drawn.
    """
    table = table_of(table, label, "estimate", "ci_low", "ci_high")
    ax = ax or row_axes(len(table) + 1)
    sizes = table["estimate"].fillna(0).to_numpy(float)
    ends = sizes.cumsum()
    starts = ends - sizes
    places = np.arange(len(table))
    colours = [COLOURS[0] if size >= 0 else COLOURS[5] for size in sizes]
    hatches = ["" if size >= 0 else "///" for size in sizes]
    bars = ax.barh(places, sizes, left=starts, color=colours, edgecolor="white", height=0.6)
    for bar, hatch in zip(bars, hatches, strict=True):
        bar.set_hatch(hatch)
    ax.hlines(places, starts + table["ci_low"], starts + table["ci_high"], color="0.2", linewidth=1)
    total = ends[-1] if len(ends) else 0.0
    ax.barh([len(table)], [total], color="0.4", height=0.6)
    ax.axvline(0, color="0.4", linewidth=1)
    names = [*row_names(table, label), "sum"]
    return name_rows(ax, names, xlabel)


def plot_penalty_reward(
    table: pd.DataFrame,
    *,
    label: str = "label",
    xlabel: str = "outcome per rating point (95 % CI)",
    ax: Axes | None = None,
) -> Axes:
    """Slope below and above the middle of each driver's scale.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.penalty_reward` gives it.
    label, xlabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(table, label, "penalty", "reward", source="cxlab.penalty_reward")
    ax = ax or row_axes(len(table))
    places = np.arange(len(table))
    for shift, side, colour, marker, words in (
        (-0.15, "penalty", COLOURS[5], "v", "below the middle (penalty)"),
        (0.15, "reward", COLOURS[0], "^", "above the middle (reward)"),
    ):
        at = places + shift
        ax.hlines(at, table[f"{side}_low"], table[f"{side}_high"], color=colour, alpha=0.6)
        ax.plot(table[side], at, marker, color=colour, label=words)
    ax.axvline(0, color="0.4", linewidth=1)
    legend_above(ax, columns=2)
    return name_rows(ax, row_names(table, label), xlabel)
