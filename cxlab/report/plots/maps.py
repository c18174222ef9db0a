"""Two measures against one another: importance and performance, operation and experience."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes

from cxlab.report.plots.style import (
    COLOURS,
    MARKERS,
    legend_above,
    new_axes,
    quiet,
    row_names,
    table_of,
)

#: Verdicts of a driver map, each with its own marker and colour in every report.
VERDICTS = (
    "fix first",
    "undecided",
    "not first",
    "association not shown",
    "within the margin",
    "no interval",
)


def plot_driver_map(
    table: pd.DataFrame,
    *,
    label: str = "label",
    xlabel: str = "performance (mean rating, 95 % CI)",
    ylabel: str = "importance (share of R², 95 % CI)",
    ax: Axes | None = None,
) -> Axes:
    """Importance against performance, one named point per driver with both intervals.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.driver_map` gives it. The dashed lines are its cuts; shape and colour
        tell the verdict.
    label, xlabel, ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(table, label, "performance", "verdict", source="cxlab.driver_map")
    ax = ax or new_axes(width=7.5, height=5.5)
    for i, verdict in enumerate(VERDICTS):
        part = table[table["verdict"] == verdict]
        if part.empty:
            continue
        x, y = part["performance"], part["estimate"]
        colour = COLOURS[i % len(COLOURS)]
        ax.hlines(y, part["performance_low"], part["performance_high"], color=colour, alpha=0.5)
        ax.vlines(x, part["ci_low"], part["ci_high"], color=colour, alpha=0.5)
        ax.plot(x, y, MARKERS[i % len(MARKERS)], color=colour, label=verdict)
    for name, (_, row) in zip(row_names(table, label), table.iterrows(), strict=True):
        ax.annotate(name, (row["performance"], row["estimate"]), xytext=(4, 4),
                    textcoords="offset points", fontsize=8)  # fmt: skip
    for line, cut in ((ax.axhline, "importance_cut"), (ax.axvline, "performance_cut")):
        line(table[cut].iloc[0], color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    legend_above(ax, columns=4)
    quiet(ax, grid="y")
    return ax


def plot_operation_map(
    table: pd.DataFrame,
    *,
    label: str = "touchpoint",
    xlabel: str = "operational figure ÷ its target (95 % CI)",
    ylabel: str = "experience score (95 % CI)",
    ax: Axes | None = None,
) -> Axes:
    """Operational figure over its target against the experience score of each touchpoint.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.operational_beside_experience` gives it; rows without a target are left
        out. Left of 1 is quicker than the target where lower is better.
    label, xlabel, ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(
        table, label, "quadrant", "target", source="cxlab.operational_beside_experience"
    )
    ax = ax or new_axes(width=7, height=4.5)
    drawn = table[table["target"].notna()]
    for i, (quadrant, part) in enumerate(drawn.groupby("quadrant", sort=True)):
        x = part["operational_mean"] / part["target"]
        colour = COLOURS[i % len(COLOURS)]
        ax.hlines(part["experience_mean"], part["operational_low"] / part["target"],
                  part["operational_high"] / part["target"], color=colour, alpha=0.5)  # fmt: skip
        ax.vlines(x, part["experience_low"], part["experience_high"], color=colour, alpha=0.5)
        marker = MARKERS[i % len(MARKERS)]
        ax.plot(x, part["experience_mean"], marker, color=colour, label=str(quadrant))
    for name, (_, row) in zip(row_names(drawn, label), drawn.iterrows(), strict=True):
        place = (row["operational_mean"] / row["target"], row["experience_mean"])
        ax.annotate(name, place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    ax.axvline(1, color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel(xlabel)
    ax.set_ylabel(ylabel)
    if len(drawn):
        legend_above(ax, columns=2)
    quiet(ax, grid="y")
    return ax
