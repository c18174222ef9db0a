"""What a difference is made of, and slopes on the two sides of a middle."""

from __future__ import annotations

from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxlab.report.plots.style import COLOURS, legend_above, name_rows, row_axes, row_names, table_of

#: Of a term that is not shown to differ from 0.
PALE = 0.45
#: Characters after which the name of a term is broken.
LABEL_WIDTH = 42


def plot_waterfall(
    table: pd.DataFrame,
    *,
    label: str = "term",
    start: float = 0.0,
    ends: tuple[str, str] = ("", "sum"),
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
    start : float
        Where the first term starts: a score, drawn as a bar of its own if it has a name.
    ends : (str, str)
        Names of the start and of the sum.
    ax : Axes, optional

    Returns
    -------
    Axes
        The last row is the start and all that is drawn. Terms whose interval holds 0 are
        pale; each term's size stands at the right.
    """
    table = table_of(table, label, "estimate", "ci_low", "ci_high")
    first = int(bool(ends[0]))
    ax = ax or row_axes(len(table) + first + 1)
    sizes = table["estimate"].fillna(0).to_numpy(float)
    stops = start + sizes.cumsum()
    starts = stops - sizes
    places = np.arange(len(table)) + first
    if first:
        ax.barh([0], [start], color="0.4", height=0.6)
    bars = ax.barh(places, sizes, left=starts, edgecolor="white", height=0.6)
    clear = ((table["ci_low"] > 0) | (table["ci_high"] < 0)).to_numpy()
    for bar, size, strong in zip(bars, sizes, clear, strict=True):
        bar.set_facecolor(COLOURS[0] if size >= 0 else COLOURS[5])
        bar.set_hatch("" if size >= 0 else "///")
        bar.set_alpha(1.0 if strong else PALE)
    ax.hlines(places, starts + table["ci_low"], starts + table["ci_high"], color="0.2", linewidth=1)
    total = stops[-1] if len(stops) else start
    ax.barh([len(table) + first], [total], color="0.4", height=0.6)
    ax.axvline(0, color="0.4", linewidth=1)
    named = ([(0, start)] if first else []) + list(zip(places, table["estimate"], strict=True))
    for place, value in [*named, (len(table) + first, total)]:
        _size_at_right(ax, place, value)
    terms = [fill(str(name), LABEL_WIDTH) for name in row_names(table, label)]
    names = [*ends[:first], *terms, ends[1]]
    return name_rows(ax, names, xlabel)


def _size_at_right(ax: Axes, place: float, value: float) -> None:
    if np.isfinite(value):
        text = f"{value:+.1f}".replace("-", "−")
        at = ax.get_yaxis_transform()
        ax.text(1.01, place, text, transform=at, va="center", ha="left", fontsize="small")


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
