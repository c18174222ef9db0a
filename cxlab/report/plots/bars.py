"""Bars and ends: parts of a whole, terms of a difference, slopes on two sides of a middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.patheffects import withStroke

from cxlab.core import phrases
from cxlab.report.plots.style import (
    COLOURS,
    HATCHES,
    legend_above,
    name_rows,
    new_axes,
    row_axes,
    row_names,
    table_of,
)

#: Of a part that is not shown.
PALE = 0.15
#: Inches that one row of a waterfall takes: its name stands above it.
WATERFALL_ROW = 0.42


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


def plot_ends(table: pd.DataFrame, *, label: str = "label", ax: Axes | None = None) -> Axes:
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
    label: str = "label",
    xlabel: str = "NPS, points",
    ax: Axes | None = None,
) -> Axes:
    """From one score to another by the parts of their difference, each with its own interval.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``label`` (or as named), ``kind`` (``score`` or ``part``), ``estimate``, ``ci_low``,
        ``ci_high``, ``clear`` (whether a part is shown), from the top. The parts start at the
        score in the first row, each where the last one ended; one that is not known (null) is
        named and left empty.
    label, xlabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
        Scores are dots. Only parts that are shown have a strong colour; numbers stand at the
        right. Intervals that leave the figure end in an arrow.
    """
    table = table_of(table, label, "kind", "estimate", "ci_low", "ci_high", "clear")
    ax = ax or new_axes(width=5.7, height=max(1.2, WATERFALL_ROW * len(table) + 0.7))
    score = (table["kind"] == "score").to_numpy()
    sizes = table["estimate"].to_numpy(float)
    start = sizes[0] if len(sizes) and score[0] and np.isfinite(sizes[0]) else 0.0
    stops = start + np.where(score, 0.0, np.nan_to_num(sizes)).cumsum()
    bases = np.where(score, 0.0, stops - np.nan_to_num(sizes))
    limits = bases + table[["ci_low", "ci_high"]].to_numpy(float).T
    ax.set_xlim(*_waterfall_range([*stops, *bases[~score], *limits[:, score].ravel()]))
    for place, row in enumerate(table.itertuples(index=False)):
        if score[place]:
            ax.plot([row.estimate], [place], "o", color="0.1", markersize=7)
        else:
            _waterfall_bar(ax, place, bases[place], row.estimate, bool(row.clear))
        _waterfall_interval(ax, place, *limits[:, place], width=2.5 if score[place] else 1.0)
        strong = "bold" if score[place] or row.clear else "normal"
        _at_right(ax, place, row.estimate, row.ci_low, row.ci_high, strong, signed=not score[place])
    for part in np.flatnonzero(~score):
        ax.plot([stops[part]] * 2, [part, part + 1], color="0.7", linewidth=0.7, zorder=0)
    ax.axvline(0, color="0.6", linewidth=0.8, zorder=0)
    # names above what they name take no width
    for place, name in enumerate(row_names(table, label)):
        weight = "bold" if score[place] else "normal"
        at: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 9}
        halo = [withStroke(linewidth=3, foreground="white")]
        ax.text(0.01, place - 0.42, name, weight=weight, path_effects=halo, **at)
    name_rows(ax, [""] * len(table), xlabel)
    ax.set_ylim(len(table) - 0.6, -0.75)
    ax.tick_params(axis="y", length=0)
    ax.spines["left"].set_visible(False)
    return ax


def _waterfall_range(values: Sequence[float]) -> tuple[float, float]:
    """What the figure shows: scores, bars and zero, with room to either side."""
    known = [0.0, *(value for value in values if np.isfinite(value))]
    low, high = min(known), max(known)
    room = 0.12 * (high - low) or 1.0
    return low - room, high + room


def _waterfall_bar(ax: Axes, place: int, base: float, size: float, clear: bool) -> None:
    colour = COLOURS[0] if size >= 0 else COLOURS[5]
    face = colour if clear else to_rgba(colour, PALE)
    ax.barh([place], [np.nan_to_num(size)], left=base, height=0.34, color=face, edgecolor=colour)


def _waterfall_interval(ax: Axes, place: int, low: float, high: float, *, width: float) -> None:
    ax.hlines(place, low, high, color="0.25", linewidth=width)
    for side, end, marker in ((0, low, "<"), (1, high, ">")):
        edge = ax.get_xlim()[side]
        if np.isfinite(end) and not min(ax.get_xlim()) <= end <= max(ax.get_xlim()):
            ax.plot([edge], [place], marker, color="0.25", markersize=4, clip_on=False)


def _at_right(
    ax: Axes, place: int, size: float, low: float, high: float, weight: str, *, signed: bool
) -> None:
    if not np.isfinite(size):
        return
    number = phrases.signed if signed else phrases.number
    at: dict[str, Any] = {"transform": ax.get_yaxis_transform(), "va": "center", "fontsize": 9}
    # as the table rounds them
    digits = phrases.decimals_for((high - low) / 2)
    ax.text(1.1, place, number(size, digits), ha="right", weight=weight, **at)
    if np.isfinite(low) and np.isfinite(high):
        ax.text(
            1.13, place, f"({phrases.interval(low, high, digits)})", color="0.4", ha="left", **at
        )


def plot_penalty_reward(
    table: pd.DataFrame, *, label: str = "label", ax: Axes | None = None
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
