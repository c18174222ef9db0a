"""Draws tables; computes nothing. Every function takes a table and returns the Axes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.axes import Axes

#: Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "--")
#: Inches that one row of a horizontal chart takes.
ROW_HEIGHT = 0.3

# seaborn 0.13.2 warns about matplotlib's and pandas' coming changes at every call
warnings.filterwarnings("ignore", message="vert: bool will be deprecated")
warnings.filterwarnings("ignore", message="The default of observed=False is deprecated")


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
    ax = ax or _row_axes(len(table))
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
        _legend_above(ax, columns=2)
    if reference is not None:
        ax.axvline(reference, color="0.4", linewidth=1, linestyle="--")
    return _name_rows(ax, table[label], xlabel)


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
    table : DataFrame
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
    ax = ax or _row_axes(len(table))
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
    _legend_above(ax, columns=min(len(present), 4))
    return _name_rows(ax, table[label], xlabel)


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
    table : DataFrame
        Columns ``floor`` and ``ceiling`` as fractions, as `cxlab.check_answers` gives them.
    label, xlabel, ax
        As for `plot_intervals`.

    Returns
    -------
    Axes
    """
    ax = ax or _row_axes(len(table))
    places = np.arange(len(table))
    ax.hlines(places, 100 * table["floor"], 100 * table["ceiling"], color="0.8", linewidth=2)
    ax.plot(100 * table["floor"], places, "s", color=COLOURS[5], label="lowest score")
    ax.plot(100 * table["ceiling"], places, "o", color=COLOURS[0], label="highest score")
    ax.set_xlim(0, None)
    _legend_above(ax, columns=2)
    return _name_rows(ax, table[label], xlabel)


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
    ax = ax or _new_axes(width=max(4.0, 0.8 * len(table)), height=3.2)
    places = np.arange(len(table))
    ax.vlines(places, table["ci_low"], table["ci_high"], color=COLOURS[0], linewidth=2)
    ax.plot(places, table["estimate"], "o-", color=COLOURS[0], linewidth=1)
    if target is not None:
        ax.axhline(target, color="0.4", linewidth=1, linestyle="--")
    ax.set_xticks(places, [str(name) for name in table[period]], rotation=45, ha="right")
    ax.set_ylabel(ylabel)
    _quiet(ax, grid="y")
    return ax


def _row_axes(rows: int) -> Axes:
    return _new_axes(width=7.5, height=max(1.2, ROW_HEIGHT * rows + 0.8))


def _new_axes(*, width: float, height: float) -> Axes:
    return plt.subplots(figsize=(width, height))[1]


def _name_rows(ax: Axes, names: Any, xlabel: str) -> Axes:
    ax.set_yticks(np.arange(len(names)), [str(name) for name in names])
    ax.set_ylim(len(names) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    _quiet(ax, grid="x")
    return ax


def _quiet(ax: Axes, *, grid: Literal["x", "y"]) -> None:
    ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def _legend_above(ax: Axes, *, columns: int) -> None:
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False)
