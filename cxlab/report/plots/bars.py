"""Bars and ends: parts of a whole, terms of a difference, slopes on two sides of a middle."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill

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

#: Of a term that is not shown to differ from 0.
PALE = 0.45
#: Characters after which the name of a term is broken.
LABEL_WIDTH = 42


def plot_parts(
    table: pd.DataFrame,
    parts: Sequence[str],
    *,
    label: str = "label",
    xlabel: str = "rows (%)",
    ax: Axes | None = None,
) -> Axes:
    """Stacked bars of counts as per cent of each row's total, distinguished by hatching too.

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
    ax: Axes | None = None,
) -> Axes:
    """Floor and ceiling of each scale: the shares of answers at its two ends.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``floor`` and ``ceiling`` as fractions, as `cxlab.check_answers` gives them.
    label, ax
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
    return name_rows(ax, row_names(table, label), "share of answers (%)")


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
    ax: Axes | None = None,
) -> Axes:
    """Slope below and above the middle of each driver's scale.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.penalty_reward` gives it.
    label : str
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
    return name_rows(ax, row_names(table, label), "outcome per rating point (95 % CI)")
