"""Estimates with their intervals: rows, runs of periods, control charts."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from seaborn import objects

from cxlab.core.characters import printable
from cxlab.core.messages import got
from cxlab.core.phrases import number
from cxlab.report.plots.style import (
    ACCENT,
    COLOURS,
    GREY,
    LINE,
    MARKERS,
    SMALL,
    THEME,
    WIDTH,
    as_written,
    at_end,
    distinguishing_columns,
    draw_on,
    finish_panel,
    halo,
    label_right,
    legend_above,
    name_rows,
    new_axes,
    quiet,
    row_axes,
    row_names,
    table_of,
)

#: Rows that a figure names all of; of more, how many of the first and of the last.
MOST_NAMED, MOST_FIRST, MOST_LAST = 15, 8, 4
#: Most rows in colour.
MOST_MARKED = 3


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
    table : DataFrame, or result with one
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
    table = table_of(table, label, "estimate", "ci_low", "ci_high", *([compare] if compare else []))
    ax = ax or row_axes(len(table))
    places = np.arange(len(table))
    ax.hlines(places, table["ci_low"], table["ci_high"], color=COLOURS[0], linewidth=2)
    ax.plot(table["estimate"], places, "o", color=COLOURS[0], label="estimate")
    if compare:
        ax.plot(table[compare], places, "D", color=COLOURS[5], fillstyle="none", label=compare)
        legend_above(ax, columns=2)
    if reference is not None:
        ax.axvline(reference, color="0.4", linewidth=1, linestyle="--")
    return name_rows(ax, row_names(table, label), xlabel)


def plot_correlations(result: Any) -> Figure:
    """Each touchpoint's correlation with the outcomes, side by side and in one order.

    Parameters
    ----------
    result : TouchpointCorrelations
        As `cxlab.touchpoint_correlations` returns it. Of more than 15 touchpoints the first
        eight and the last four are drawn.

    Returns
    -------
    Figure
        One panel per outcome, sorted by the first; those that may go most are in colour where
        they are three at most.
    """
    if isinstance(result, pd.DataFrame):
        raise TypeError(
            "`result` must be what touchpoint_correlations() returned; got DataFrame. Draw a table "
            "of your own with plot_intervals(table, label='touchpoint')."
        )
    table = _ordered(table_of(result, "touchpoint", "outcome", "estimate", "rank_low"), result)
    names = list(dict.fromkeys(table["name"]))
    panels = list(dict.fromkeys(table["panel"]))
    figure = plt.figure(figsize=(WIDTH, 0.9 + LINE * len(names)), layout="constrained")
    plot = (
        objects.Plot(table, x="estimate", y="name", xmin="ci_low", xmax="ci_high", color="first")
        .facet("panel", order=panels)
        .add(objects.Range(linewidth=1.5), legend=False)
        .add(objects.Dot(pointsize=6), legend=False)
        .scale(color={True: ACCENT, False: GREY}, y=objects.Nominal(order=names))
        .theme(THEME)
        .label(x="", y="", title="{}".format)
    )
    draw_on(figure, plot)
    # names as they are: what seaborn's scale writes would be made again, as formulas
    figure.axes[0].set_yticks(range(len(names)), names)
    for ax, panel in zip(figure.axes, panels, strict=True):
        for row in table[table["panel"] == panel].itertuples(index=False):
            at_end(ax, row.ci_high, names.index(row.name), f"{row.estimate:.2f}")
        finish_panel(ax, len(names))
    cut = (
        ""
        if len(names) == len(result.touchpoints)
        else f"; {len(names)} of {len(result.touchpoints)} drawn"
    )
    figure.supxlabel(f"correlation, r ({result.level:.0%} CI){cut}", fontsize=SMALL)
    as_written(figure)
    return figure


def _ordered(table: pd.DataFrame, result: Any) -> pd.DataFrame:
    """Rows with a coefficient as ``name, panel, first``, strongest for the first outcome first."""
    known = table[table["estimate"].notna()]
    lead = known[known["outcome"] == result.outcomes[0]].sort_values("estimate", ascending=False)
    order = lead["touchpoint"].tolist() or known["touchpoint"].unique().tolist()
    if len(order) > MOST_NAMED:
        order = [*order[:MOST_FIRST], *order[-MOST_LAST:]]
    known = known[known["touchpoint"].isin(order)]
    may = known["rank_low"].eq(1).fillna(False).astype(bool)
    few = may.groupby(known["outcome"]).transform("sum") <= MOST_MARKED
    named = known.assign(
        name=[printable(str(result.labels.get(one, one))) for one in known["touchpoint"]],
        panel=[printable(str(result.labels.get(one, one))) for one in known["outcome"]],
        first=may & few,
    )
    return named.sort_values(
        "touchpoint", key=lambda column: column.map(order.index), kind="stable"
    )


def plot_runs(
    table: pd.DataFrame,
    *,
    period: str = "period",
    ylabel: str = "estimate (95 % CI)",
    ax: Axes | None = None,
) -> Axes:
    """The run of periods: estimates joined by a line, each with its interval, a line for each group.

    Parameters
    ----------
    table : DataFrame, or result with one
        Columns ``period`` (or as named), ``estimate``, ``ci_low``, ``ci_high``, in order.
    period, ylabel : str
    ax : Axes, optional

    Returns
    -------
    Axes
        The last estimate stands at the right, after the name of its group where there are
        several.
    """
    table = table_of(table, period, "estimate", "ci_low", "ci_high")
    periods = [str(name) for name in table[period].unique()]
    ax = ax or new_axes(width=WIDTH, height=3.2)
    groups = _runs_by_group(table, period)
    labels = []
    for i, (name, run) in enumerate(groups.items()):
        # side by side, so that no interval covers another
        places = np.array([periods.index(str(one)) for one in run[period]])
        places = places + 0.12 * (i - (len(groups) - 1) / 2)
        colour = COLOURS[i % len(COLOURS)]
        ax.vlines(places, run["ci_low"], run["ci_high"], color=colour, linewidth=2, alpha=0.5)
        _line(ax, places, run["estimate"], colour=colour, marker=MARKERS[i % len(MARKERS)])
        labels.append((run["estimate"].iloc[-1], f"{name} {_value(run)}".strip(), colour))
    _name_periods(ax, periods)
    ax.set_ylabel(ylabel)
    quiet(ax, grid="y")
    label_right(ax, labels)
    return ax


def _runs_by_group(table: pd.DataFrame, period: str) -> dict[str, pd.DataFrame]:
    """One run for each group that has a row a period; of one group, that of all rows."""
    distinguishing = distinguishing_columns(table, period)
    if not distinguishing:
        return {"": table}
    groups = table.groupby(distinguishing, sort=False, observed=True, dropna=False)
    return {printable(" · ".join(map(str, key))): run for key, run in groups}


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
        Limits and centre of the last period are named at the right; the last estimate and
        those with a signal have their number.
    """
    drawn = ("estimate", "centre", "lower", "upper", "signal")
    table = table_of(table, period, *drawn, source="cxlab.control_chart")
    if table[period].duplicated().any():
        raise ValueError(
            f"`table` must have one row a period; got {got([*table[period][table[period].duplicated()]])} "
            "again. Draw the chart of one group at a time."
        )
    ax = ax or new_axes(width=WIDTH, height=3.4)
    places = np.arange(len(table))
    ax.fill_between(places, table["lower"], table["upper"], step="mid", color="0.93")
    ax.plot(places, table["centre"], color="0.4", linewidth=1, linestyle="--")
    _line(ax, places, table["estimate"], colour="0.35", marker="o")
    marked = (table["signal"].fillna("") != "").to_numpy()
    ax.plot(places[-1:], table["estimate"][-1:], "o", color=COLOURS[0], markersize=9)
    ax.plot(places[marked], table["estimate"][marked], "s", color=COLOURS[5], markersize=9)
    _name_periods(ax, [str(name) for name in table[period]])
    ax.set_ylabel(ylabel)
    # without limits a small difference would fill the height
    if table["lower"].isna().all():
        ax.margins(y=1.0)
    quiet(ax, grid="y")
    for place in np.flatnonzero(marked | (places == len(table) - 1)):
        words = f"signal, {_value(table[: place + 1])}" if marked[place] else _value(table)
        colour = COLOURS[5] if marked[place] else COLOURS[0]
        _above(ax, float(place), table["estimate"].iloc[place], words, colour)
    named = {"upper": "upper limit", "centre": "centre", "lower": "lower limit"}
    last = table[list(named)].iloc[-1]
    label_right(
        ax, [(last[one], f"{words} {number(last[one], 0)}", "0.3") for one, words in named.items()]
    )
    return ax


def _line(ax: Axes, places: Any, values: pd.Series, *, colour: str, marker: str) -> None:
    import seaborn as sns  # slow to import

    sns.lineplot(
        x=places, y=values.to_numpy(float), color=colour, marker=marker, markeredgecolor=colour,
        linewidth=1.2, errorbar=None, legend=False, ax=ax,
    )  # fmt: skip


def _name_periods(ax: Axes, periods: list[str]) -> None:
    ax.set_xticks(
        range(len(periods)), [printable(name) for name in periods], rotation=45, ha="right"
    )
    ax.set_xlim(-0.4, len(periods) - 0.6)


def _value(run: pd.DataFrame) -> str:
    """The last estimate, to as many digits as its size needs."""
    value = float(run["estimate"].iloc[-1])
    spread = float(run["estimate"].abs().max())
    return number(value, 0 if spread >= 20 else 1) if np.isfinite(value) else ""


def _above(ax: Axes, place: float, value: float, words: str, colour: str) -> None:
    if np.isfinite(value):
        text = ax.annotate(
            words, (place, value), xytext=(0, 9), textcoords="offset points", ha="center",
            color=colour, fontweight="bold",
        )  # fmt: skip
        halo(text)
