"""Two measures against each other, point by point, and one number per row and column."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import MaxNLocator

from cxlab.core.characters import printable
from cxlab.core.messages import got
from cxlab.report.plots.style import (
    COLOURS,
    LINE,
    MARKERS,
    as_written,
    legend_above,
    new_axes,
    quiet,
    row_names,
    table_of,
)

#: Verdicts of a driver map, each with the marker, its filling and its colour in every report:
#: one accent for where to look, blue for what is not settled, grey for the rest.
MARKS = {
    "look first": ("o", "full", "#C4400A"),
    "likely": ("o", "left", "#C4400A"),
    "within the margin": ("o", "none", "#C4400A"),
    "association not shown": ("D", "none", "#1F6FB4"),
    "not settled": ("D", "full", "#1F6FB4"),
    "keep up": ("s", "full", "#3D4852"),
    "not first": ("s", "full", "#9AA5B1"),
    "no interval": ("s", "none", "#3D4852"),
}
#: Verdicts that decide: their points have crosses of intervals, and names among many.
DECIDED = ("look first", "likely", "keep up")
#: Verdicts that are named among many all the same.
OPEN = ("within the margin", "association not shown", "not settled")
#: Points above which only those that decide and the extremes are named.
MOST_NAMED = 15
#: Background of the quadrant to look at first, and the colour of its name.
SHADE, ACCENT, QUIET = "#E8F0FA", "#1F5FA0", "#5F6B7A"
#: Marks texts that names must not cover.
OBSTACLE = "obstacle"
#: Steps of placing names; a limit on time would place them differently on a busy machine.
STEPS = 400


def plot_driver_map(table: pd.DataFrame, *, label: str = "label", ax: Axes | None = None) -> Axes:
    """Importance against performance: one point per driver, the quadrant to look at first shaded.

    Parameters
    ----------
    table : DataFrame, or result with one
        As `cxlab.driver_map` gives it. The dashed lines are its cuts; where drivers have
        targets of their own, ratings are drawn as the distance from them. Shape and colour
        tell the verdict; crosses are the intervals of those that decide. Above 15 drivers only
        what decides or isn't settled, and the extremes, are named.
    label : str
    ax : Axes, optional

    Returns
    -------
    Axes
    """
    top = getattr(table, "top", np.nan)
    table = table_of(table, label, "performance", "verdict", source="cxlab.driver_map")
    ax = ax or new_axes(width=5.7, height=5.0)
    own_lines = table["performance_cut"].nunique() > 1
    points = _map_points(table, own_lines)
    across = 100 * float(table["importance_cut"].iloc[0])
    down = 0.0 if own_lines else float(table["performance_cut"].iloc[0])
    many = len(table) > MOST_NAMED
    crossed = points["verdict"].isin(DECIDED if many else [*DECIDED, *OPEN])
    _draw_map(ax, points, crossed)
    # without shares there is no line
    if np.isfinite(across):
        _quadrants(ax, across, down, "target" if own_lines else "average")
    of = f", of {top:g}" if np.isfinite(top) else ""
    rated = "Rated above or below its target" if own_lines else f"How it is rated (mean{of})"
    ax.set_xlabel(f"{rated}  →  better")
    ax.set_ylabel("How much it counts (share of what is explained)")
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    ax.yaxis.set_major_formatter("{x:g} %")
    quiet(ax, grid=None)
    named = (
        crossed | points["verdict"].isin(OPEN) | _extremes(points) if many else points["x"].notna()
    )
    _name_points(ax, points, row_names(table, label), named & points["x"].notna())
    return ax


def _map_points(table: pd.DataFrame, own_lines: bool) -> pd.DataFrame:
    """What is drawn of each driver: shares in per cent, ratings or their distance from a target."""
    line = table["performance_cut"] if own_lines else 0.0
    x = {"x": "performance", "x_low": "performance_low", "x_high": "performance_high"}
    y = {"y": "estimate", "y_low": "ci_low", "y_high": "ci_high"}
    return pd.DataFrame(
        {name: table[column] - line for name, column in x.items()}
        | {name: 100 * table[column] for name, column in y.items()}
        | {"verdict": table["verdict"]}
    )


def _draw_map(ax: Axes, points: pd.DataFrame, crossed: pd.Series) -> None:
    for verdict, (marker, filling, colour) in MARKS.items():
        part = points[points["verdict"] == verdict]
        if part.empty:
            continue
        cross = part[crossed.loc[part.index]]
        thin: dict[str, Any] = {"color": colour, "alpha": 0.55, "linewidth": 1}
        ax.hlines(cross["y"], cross["x_low"], cross["x_high"], **thin)
        ax.vlines(cross["x"], cross["y_low"], cross["y_high"], **thin)
        ax.plot(
            part["x"], part["y"], marker, color=colour, fillstyle=filling, label=verdict,
            markersize=8 if verdict in DECIDED[:2] else 6, markerfacecoloralt="white",
        )  # fmt: skip
    ax.margins(0.08)


def _quadrants(ax: Axes, across: float, down: float, line: str) -> None:
    """Shade the quadrant to look at first; name all four, and the lines."""
    (left, right), (bottom, top) = ax.get_xlim(), (max(0.0, ax.get_ylim()[0]), ax.get_ylim()[1])
    # both lines stand inside, whatever is drawn
    left, right = min(left, down), max(right, down)
    top, bottom = max(top, across), min(bottom, across)
    # names of the quadrants have a strip of their own, above and below all points
    strip = 0.07 * (top - bottom)
    top, bottom = top + strip, max(bottom - strip, -strip)
    ax.set(xlim=(left, right), ylim=(bottom, top))
    ax.fill_between([left, down], across, top, color=SHADE, zorder=0, linewidth=0)
    ax.axhline(across, color="0.55", linewidth=1, linestyle="--", zorder=1)
    ax.axvline(down, color="0.55", linewidth=1, linestyle="--", zorder=1)
    told: dict[str, Any] = {"fontsize": 8, "color": QUIET, "gid": OBSTACLE}
    ax.text(right, across, "average ", ha="right", va="bottom", **told)
    ax.text(down, bottom, f" {line}", ha="left", va="bottom", rotation=90, **told)
    places = {
        (0.01, 0.99): "LOOK HERE FIRST", (0.99, 0.99): "KEEP UP",
        (0.01, 0.01): "LATER", (0.99, 0.01): "LEAVE",
    }  # fmt: skip
    for (x, y), name in places.items():
        first = name == places[0.01, 0.99]
        ax.text(
            x, y, name, transform=ax.transAxes, fontsize=9, color=ACCENT if first else QUIET,
            fontweight="bold" if first else "normal", gid=OBSTACLE,
            ha="left" if x < 0.5 else "right", va="top" if y > 0.5 else "bottom",
        )  # fmt: skip


def _extremes(points: pd.DataFrame) -> pd.Series:
    """The most and least important, the best and the worst rated."""
    ends = [points[column].agg(end) for column in ("x", "y") for end in ("idxmin", "idxmax")]
    return pd.Series(points.index.isin(ends), index=points.index)


def _name_points(ax: Axes, points: pd.DataFrame, names: Sequence[str], chosen: pd.Series) -> None:
    """Write names beside their points where they cover neither one another nor a point."""
    from adjustText import adjust_text  # slow to import

    halo = [withStroke(linewidth=2.5, foreground="white")]
    texts, targets = [], []
    for name, (_, point) in zip(names, points.iterrows(), strict=True):
        if not chosen.loc[point.name]:
            continue
        decides = point["verdict"] in DECIDED[:2]
        colour = MARKS[point["verdict"]][2] if point["verdict"] in (*DECIDED, *OPEN) else QUIET
        text = ax.text(point["x"], point["y"], name, fontsize=9, color=colour, path_effects=halo,
                       fontweight="bold" if decides else "normal")  # fmt: skip
        texts.append(text)
        targets.append(point)
    as_written(ax)
    if not texts:
        return
    x, y = _around(ax, points[["x", "y"]].dropna().to_numpy())
    with warnings.catch_warnings():
        # `show` says in a sentence what no font can draw
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        adjust_text(
            texts, x, y, ax=ax, iter_lim=STEPS,
            expand=(1.05, 1.25), force_text=(0.3, 0.5), force_static=(0.2, 0.4), max_move=8,
            objects=[text for text in ax.texts if text.get_gid() == OBSTACLE],
            target_x=[point["x"] for point in targets], target_y=[point["y"] for point in targets],
        )  # fmt: skip
    for text, point in zip(texts, targets, strict=True):
        _lead(ax, text, point)


def _around(ax: Axes, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points and four on the edge of each marker, so that names keep off markers."""
    edge = np.array([(0, 0), (6, 0), (-6, 0), (0, 6), (0, -6)])
    drawn = ax.transData.transform(points)[:, None] + edge
    x, y = ax.transData.inverted().transform(drawn.reshape(-1, 2)).T
    return x, y


def _lead(ax: Axes, text: Text, point: pd.Series) -> None:
    """A thin line from a name to its point, where the two are apart."""
    box = text.get_window_extent().transformed(ax.transData.inverted())
    x, y = (min(max(point[name], low), high) for name, low, high in
            (("x", box.x0, box.x1), ("y", box.y0, box.y1)))  # fmt: skip
    ends = ax.transData.transform([(x, y), (point["x"], point["y"])])
    if np.hypot(*(ends[0] - ends[1])) > 12:
        ax.annotate(
            "", (point["x"], point["y"]), (x, y), zorder=1,
            arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkA": 0, "shrinkB": 4},
        )  # fmt: skip


def plot_operation_map(
    table: pd.DataFrame, *, label: str = "touchpoint", ax: Axes | None = None
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
    (x, *x_ends), (y, *y_ends) = ratios, scores
    for i, (group, part) in enumerate(drawn.groupby("quadrant")):
        colour, marker = COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)]
        ax.hlines(part[y], *(part[end] for end in x_ends), color=colour, alpha=0.5)
        ax.vlines(part[x], *(part[end] for end in y_ends), color=colour, alpha=0.5)
        ax.plot(part[x], part[y], marker, color=colour, label=group)
    for name, place in zip(row_names(drawn, label), drawn[[x, y]].to_numpy(), strict=True):
        ax.annotate(name, place, xytext=(4, 4), textcoords="offset points", fontsize=8)
    ax.axvline(1, color="0.5", linewidth=1, linestyle="--")
    ax.set_xlabel("operational figure ÷ its target (95 % CI)")
    ax.set_ylabel("experience score (95 % CI)")
    if drawn["quadrant"].notna().any():
        legend_above(ax, columns=2)
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
    ax = ax or new_axes(width=3.2 + 0.85 * grid.shape[1], height=1.6 + LINE * len(grid))
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
