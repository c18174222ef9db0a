"""Estimates with their intervals: rows, and runs of periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxlab.report.plots.style import COLOURS, legend_above, name_rows, new_axes, quiet, row_axes


def plot_intervals(
    table: pd.DataFrame,
    *,
    label: str = "label",
    xlabel: str = "estimate (95 % CI)",
    compare: str | None = None,
    reference: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """One row per table row: the estimate as a dot, its interval as a line.

    Parameters
    ----------
    table : DataFrame
        Columns ``label``, ``estimate``, ``ci_low``, ``ci_high``; drawn from the top in
        table order. A row without an interval shows its dot alone; one without an
        estimate shows its name alone.
    label : str
        Column of the names.
    xlabel : str
        What is measured, its unit and the interval's level.
    compare : str, optional
        Column of a second estimate, drawn as a hollow diamond.
    reference : float, optional
        Where to draw a vertical line, such as a total or a target.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = ax or row_axes(len(table))
    places = np.arange(len(table))
    ax.hlines(places, table["ci_low"], table["ci_high"], color=COLOURS[0], linewidth=2)
    ax.plot(table["estimate"], places, "o", color=COLOURS[0], label="estimate")
    if compare:
        ax.plot(
            table[compare],
            places,
            "D",
            color=COLOURS[5],
            fillstyle="none",
            label=compare,
        )
        legend_above(ax, columns=2)
    if reference is not None:
        ax.axvline(reference, color="0.4", linewidth=1, linestyle="--")
    return name_rows(ax, table[label], xlabel)


def plot_runs(
    table: pd.DataFrame,
    *,
    period: str = "period",
    ylabel: str = "estimate (95 % CI)",
    target: float | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The run of periods: estimates joined by a line, each with its interval.

    Parameters
    ----------
    table : DataFrame
        Columns ``period`` (or as named), ``estimate``, ``ci_low``, ``ci_high``, in order.
    period, ylabel : str
    target : float, optional
        Where to draw a horizontal line.
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    ax = ax or new_axes(width=max(4.0, 0.8 * len(table)), height=3.2)
    places = np.arange(len(table))
    ax.vlines(places, table["ci_low"], table["ci_high"], color=COLOURS[0], linewidth=2)
    ax.plot(places, table["estimate"], "o-", color=COLOURS[0], linewidth=1)
    if target is not None:
        ax.axhline(target, color="0.4", linewidth=1, linestyle="--")
    ax.set_xticks(places, [str(name) for name in table[period]], rotation=45, ha="right")
    ax.set_ylabel(ylabel)
    quiet(ax, grid="y")
    return ax
