"""What all figures share: palette, quiet axes, rows with names."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

#: Okabe and Ito's palette: told apart with any colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "--")
#: Inches that one row of a horizontal chart takes.
ROW_HEIGHT = 0.3

# seaborn 0.13.2 warns about matplotlib's and pandas' coming changes at every call
warnings.filterwarnings("ignore", message="vert: bool will be deprecated")
warnings.filterwarnings("ignore", message="The default of observed=False is deprecated")


def row_axes(rows: int) -> Axes:
    """Axes high enough for so many rows."""
    return new_axes(width=7.5, height=max(1.2, ROW_HEIGHT * rows + 0.8))


def new_axes(*, width: float, height: float) -> Axes:
    """Axes of a new figure, in inches."""
    return plt.subplots(figsize=(width, height))[1]


def name_rows(ax: Axes, names: Any, xlabel: str) -> Axes:
    """Name the rows from the top, and the scale below them."""
    ax.set_yticks(np.arange(len(names)), [str(name) for name in names])
    # an empty table still gets axes of some height
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    quiet(ax, grid="x")
    return ax


def quiet(ax: Axes, *, grid: Literal["x", "y"]) -> None:
    """Light grid, no box."""
    ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)


def legend_above(ax: Axes, *, columns: int) -> None:
    """Legend over the axes, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False)
