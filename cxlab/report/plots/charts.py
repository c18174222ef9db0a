"""Control charts: the run of periods with its limits."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from cxlab.core.messages import got
from cxlab.report.plots.style import COLOURS, legend_above, new_axes, quiet, table_of
from cxlab.report.text import printable


def plot_control_chart(
    table: pd.DataFrame,
    *,
    period: str = "period",
    ylabel: str = "estimate, control limits",
    ax: Axes | None = None,
) -> Axes:
    """The run of periods with centre line, limits and marked signals.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``period`` (or as named), ``estimate``, ``centre``, ``lower``, ``upper`` and
        ``signal`` (empty: none), as `cxlab.control_chart` gives them.
    period, ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    drawn = ("estimate", "centre", "lower", "upper", "signal")
    table = table_of(table, period, *drawn, source="cxlab.control_chart")
    if table[period].duplicated().any():
        raise ValueError(
            f"`table` must have one row a period; got {got([*table[period][table[period].duplicated()]])} "
            "again. Draw the chart of one group at a time."
        )
    ax = ax or new_axes(width=max(4.0, 0.8 * len(table)), height=3.4)
    places = np.arange(len(table))
    ax.fill_between(
        places, table["lower"], table["upper"], step="mid", color="0.92", label="limits"
    )
    ax.plot(places, table["centre"], color="0.4", linewidth=1, linestyle="--", label="centre")
    ax.plot(places, table["estimate"], "o-", color=COLOURS[0], linewidth=1, label="period")
    marked = (table["signal"].fillna("") != "").to_numpy()
    if marked.any():
        beyond = table["estimate"].to_numpy()[marked]
        ax.plot(places[marked], beyond, "s", color=COLOURS[5], markersize=9, label="signal")
    names = [printable(str(name)) for name in table[period]]
    ax.set_xticks(places, names, rotation=45, ha="right")
    ax.set_ylabel(ylabel)
    legend_above(ax, columns=4)
    quiet(ax, grid="y")
    return ax
