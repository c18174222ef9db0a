"""Two measures against each other, point by point, and one number per row and column."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes

from cxlab.core.characters import printable
from cxlab.core.messages import got
from cxlab.report.plots.style import (
    COLOURS,
    MARKERS,
    ROW_HEIGHT,
    as_written,
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
    ax: Axes | None = None,
) -> Axes:
    """Importance against performance, one named point per driver with both intervals.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.driver_map` gives it. The dashed lines are its cuts; shape and colour
        tell the verdict.
    label : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(table, label, "performance", "verdict", source="cxlab.driver_map")
    ax = ax or new_axes(width=7.5, height=5.5)
    performance = "performance", "performance_low", "performance_high"
    estimate = "estimate", "ci_low", "ci_high"
    _draw_points(ax, table, performance, estimate, "verdict", VERDICTS, row_names(table, label))
    for line, cut in ((ax.axhline, "importance_cut"), (ax.axvline, "performance_cut")):
        line(table[cut].iloc[0], color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel("performance (mean rating, 95 % CI)")
    ax.set_ylabel("importance (share of R², 95 % CI)")
    return _finish(ax, columns=4)


def plot_operation_map(
    table: pd.DataFrame,
    *,
    label: str = "touchpoint",
    ax: Axes | None = None,
) -> Axes:
    """Operational figure over its target against the experience score of each touchpoint.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.operational_table` gives it; rows without a target are left
        out. Left of 1 is quicker than the target where lower is better.
    label : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(table, label, "quadrant", "target", source="cxlab.operational_table")
    ax = ax or new_axes(width=7, height=4.5)
    drawn = table[table["target"].notna()]
    ratios = "operational_mean", "operational_low", "operational_high"
    scores = "experience_mean", "experience_low", "experience_high"
    drawn = drawn.assign(**{ratio: drawn[ratio] / drawn["target"] for ratio in ratios})
    groups = sorted(drawn["quadrant"].dropna().unique())
    _draw_points(ax, drawn, ratios, scores, "quadrant", groups, row_names(drawn, label))
    ax.axvline(1, color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel("operational figure ÷ its target (95 % CI)")
    ax.set_ylabel("experience score (95 % CI)")
    return _finish(ax, columns=2)


def _draw_points(
    ax: Axes,
    table: pd.DataFrame,
    x: Sequence[str],
    y: Sequence[str],
    column: str,
    groups: Sequence[str],
    names: Sequence[str],
) -> None:
    """Named points; ``x`` and ``y`` are the columns of estimate and interval, groups have colours."""
    for i, group in enumerate(groups):
        part = table[table[column] == group]
        if part.empty:
            continue
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        ax.hlines(part[y[0]], part[x[1]], part[x[2]], color=colour, alpha=0.5)
        ax.vlines(part[x[0]], part[y[1]], part[y[2]], color=colour, alpha=0.5)
        ax.plot(part[x[0]], part[y[0]], marker, color=colour, label=group)
    for name, at_x, at_y in zip(names, table[x[0]], table[y[0]], strict=True):
        ax.annotate(name, (at_x, at_y), xytext=(4, 4), textcoords="offset points", fontsize=8)


def _finish(ax: Axes, *, columns: int) -> Axes:
    if ax.get_legend_handles_labels()[0]:
        legend_above(ax, columns=columns)
    quiet(ax, grid="y")
    return ax


def plot_grid(
    table: pd.DataFrame,
    *,
    rows: str = "label",
    columns: str = "group",
    values: str = "estimate",
    colour_label: str = "estimate",
    digits: int = 1,
    ax: Axes | None = None,
) -> Axes:
    """A heat map of one number per row × column, each written in its cell.

    Parameters
    ----------
    table : DataFrame, or result with one
        One row per cell. Rows and columns keep their order in the table; a cell that is
        missing or hidden stays empty.
    rows, columns, values : str
        Columns of the table.
    colour_label : str
        What the colours measure, with its unit.
    digits : int
        Decimals of the written numbers.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    table = table_of(table, rows, columns, values)
    twice = table[table.duplicated([rows, columns])]
    if len(twice):
        cells = [
            f"{row} × {column}" for row, column in zip(twice[rows], twice[columns], strict=True)
        ]
        raise ValueError(
            f"`table` must have one row per `rows` and `columns`; got {got(cells)} again. "
            "Draw the rows of one metric, or name other columns."
        )
    grid = table.pivot(index=rows, columns=columns, values=values)
    grid = grid.loc[table[rows].unique(), table[columns].unique()].astype(float)
    grid = grid.rename(index=_name, columns=_name)
    ax = ax or new_axes(width=3.2 + 0.85 * grid.shape[1], height=1.6 + ROW_HEIGHT * len(grid))
    if grid.notna().any(axis=None):
        # it draws its tick labels to see whether they overlap, and takes "$" for a formula then
        seaborn.heatmap(
            grid, ax=ax, cmap="cividis", annot=True, fmt=f".{digits}f", linewidths=0.5,
            cbar_kws={"label": colour_label}, xticklabels=False, yticklabels=False,
        )  # fmt: skip
        ax.set_xticks(np.arange(grid.shape[1]) + 0.5, list(grid.columns))
        ax.set_yticks(np.arange(len(grid)) + 0.5, list(grid.index))
    ax.set_xlabel("")
    ax.set_ylabel("")
    ax.tick_params(axis="x", rotation=45)
    ax.tick_params(axis="y", rotation=0)
    scales = [part.colorbar.ax for part in ax.collections if part.colorbar]
    for one in (ax, *scales):
        as_written(one)
    return ax


def _name(name: object) -> str:
    return str(printable(str(name)))
