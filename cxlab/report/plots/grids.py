"""Heat maps: one number per row and column."""

from __future__ import annotations

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes

from cxlab.core.messages import got
from cxlab.report.plots.lettering import as_written
from cxlab.report.plots.style import ROW_HEIGHT, new_axes, table_of
from cxlab.report.text import printable


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
