"""What all figures share: palette, quiet axes, named rows, text drawn as the data have it."""

from __future__ import annotations

import unicodedata
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from cxlab.core.characters import printable
from cxlab.core.display import display_of
from cxlab.core.messages import got, one_of

#: Okabe and Ito's palette: distinguishable with any colour vision.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
HATCHES = ("", "///", "...", "xxx", "\\\\\\", "++", "--")
#: One colour for what decides, grey for the rest.
ACCENT, GREY = COLOURS[0], "0.45"
#: Half a page of A4 in inches, height of a row, and the smallest letters there.
WIDTH, LINE, SMALL = 5.7, 0.26, 9
#: What seaborn's figures share.
THEME = {
    **seaborn.axes_style("white"),
    "font.size": SMALL, "axes.labelsize": SMALL, "axes.titlesize": SMALL,
    "xtick.labelsize": SMALL, "ytick.labelsize": SMALL, "axes.edgecolor": "0.6",
}  # fmt: skip
#: Text columns that do not distinguish rows.
REMARKS = ("note", "why", "sentence", "unit", "column")
#: Least distance of names at the right, as a part of the axes' height.
APART = 0.07
#: Fonts for what matplotlib's own lacks, the first that is installed: on Linux, macOS, Windows.
FONTS = (
    "Noto Sans CJK JP", "Noto Sans CJK SC", "Noto Sans JP", "Noto Sans SC", "Noto Sans KR",
    "Source Han Sans", "IPAexGothic", "WenQuanYi Zen Hei", "WenQuanYi Micro Hei",
    "Droid Sans Fallback", "Hiragino Sans", "PingFang SC", "Apple SD Gothic Neo",
    "Yu Gothic", "Meiryo", "MS Gothic", "Microsoft YaHei", "SimHei", "Malgun Gothic", "NanumGothic",
    "Noto Sans", "Noto Sans Thai", "Noto Sans Devanagari", "Noto Sans Arabic", "Leelawadee UI",
    "Nirmala UI", "Arial Unicode MS", "Noto Emoji", "Noto Sans Symbols2", "Symbola",
    "Segoe UI Symbol", "Segoe UI Emoji",
)  # fmt: skip


# seaborn 0.13.2 warns about matplotlib's and pandas' coming changes at every call
warnings.filterwarnings("ignore", message="vert: bool will be deprecated")
warnings.filterwarnings("ignore", message="The default of observed=False is deprecated")


def table_of(given: Any, *columns: str, source: str = "") -> pd.DataFrame:
    """The table to draw: the one given, or that of a result; refused if it lacks a column.

    ``source`` names the function that returns such a table, for the message.
    """
    # a frame may have a column called "table"
    table = given if isinstance(given, pd.DataFrame) else getattr(given, "table", None)
    if isinstance(table, pd.DataFrame) and all(column in table for column in columns):
        return table
    parts = {} if isinstance(given, pd.DataFrame) else getattr(given, "__dict__", {})
    fitting = [
        f".{name}"
        for name, part in parts.items()
        if isinstance(part, pd.DataFrame) and all(column in part for column in columns)
    ]
    advice = f"what {source} returns" if source else "another table, or name its columns"
    advice = f"its table {one_of(fitting)}" if fitting else advice
    if not isinstance(table, pd.DataFrame):
        kind = type(given).__name__
        raise TypeError(f"`table` must be a table or a result with one; got {kind}. Draw {advice}.")
    lacking = [column for column in columns if column not in table]
    raise ValueError(
        f"`table` must have the columns {', '.join(columns)}; got one without {got(lacking)}. "
        f"Draw {advice}; it has {one_of(table.columns)}."
    )


def row_names(table: pd.DataFrame, label: str) -> list[str]:
    """Names of a table's rows; where several share one, with what distinguishes them.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["Staff", "Staff"], "group": ["Business", "Leisure"]})
    >>> row_names(table, "label")
    ['Staff · Business', 'Staff · Leisure']
    """
    distinguishing, words = distinguishing_columns(table, label), display_of(table).labels
    return [
        printable(" · ".join(words.get(str(cell), str(cell)) for cell in row))
        for row in table[[label, *distinguishing]].itertuples(index=False)
    ]


def distinguishing_columns(table: pd.DataFrame, label: str) -> list[str]:
    """The fewest text columns that distinguish rows of the same name."""
    found: list[str] = []
    for column in table.columns:
        apart = len(table.drop_duplicates([label, *found]))
        if apart == len(table):
            break
        words = not pd.api.types.is_numeric_dtype(table[column]) and column not in REMARKS
        if words and len(table.drop_duplicates([label, *found, column])) > apart:
            found.append(column)
    return found


def draw_on(figure: Figure, plot: Any) -> None:
    """Draw a plot of `seaborn.objects`; 0.13.2 uses a keyword that pandas will take out."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The copy keyword is deprecated")
        plot.on(figure).plot()


def at_end(ax: Axes, x: float, y: float, text: str) -> None:
    """Write a value where its interval ends."""
    if np.isfinite(x):
        written = ax.annotate(
            text, (x, y), xytext=(4, 0), textcoords="offset points", va="center",
            fontsize=SMALL, color="0.25",
        )  # fmt: skip
        halo(written)


def finish_panel(ax: Axes, rows: int) -> None:
    """Rows from the top, a light grid, no box."""
    ax.set_ylim(max(rows, 1) - 0.5, -0.5)
    ax.margins(x=0.12)
    ax.grid(axis="x", color="0.92")
    ax.grid(visible=False, axis="y")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)


def row_axes(rows: int) -> Axes:
    """Axes high enough for so many rows."""
    return new_axes(width=6.0, height=max(1.2, LINE * rows + 0.8))


def new_axes(*, width: float, height: float) -> Axes:
    """Axes of a new figure, in inches."""
    return plt.subplots(figsize=(width, height))[1]


def name_rows(ax: Axes, names: Any, xlabel: str) -> Axes:
    """Name the rows from the top, and the scale below them."""
    ax.set_yticks(np.arange(len(names)), [printable(str(name)) for name in names])
    # an empty table still gets axes of some height
    ax.set_ylim(max(len(names), 1) - 0.5, -0.5)
    ax.set_xlabel(xlabel)
    quiet(ax, grid="x")
    return ax


def quiet(ax: Axes, *, grid: Literal["x", "y"] | None) -> None:
    """Light grid, no box; what is written on it as the data have it."""
    if grid:
        ax.grid(axis=grid, color="0.92")
    ax.set_axisbelow(True)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    as_written(ax)


def legend_above(ax: Axes, *, columns: int) -> None:
    """Legend over the axes, where it hides nothing."""
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False)


def halo(text: Text) -> None:
    """A white rim, so that text can be read on lines."""
    text.set_path_effects([withStroke(linewidth=3, foreground="white")])


def label_right(ax: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Names at the right of the axes, level with their value, none on another.

    Parameters
    ----------
    ax : Axes
        Its limits are final.
    labels : sequence of (value, words, colour)
    """
    low, high = ax.get_ylim()
    known = sorted((value, words, colour) for value, words, colour in labels if np.isfinite(value))
    place = -np.inf
    for value, words, colour in known:
        place = max((value - low) / (high - low), place + APART)
        ax.text(1.02, place, printable(words), transform=ax.transAxes, va="center", color=colour)
    as_written(ax)


def as_written(artist: Any) -> None:
    """Draw the text of axes or a figure as it is, where the names of a study would become formulas."""
    for text in artist.findobj(Text):
        text.set_text(printable(text.get_text()))
        if "$" in text.get_text():
            text.set_parse_math(False)
    choose_fonts(artist)


def choose_fonts(artist: Any) -> dict[str, str]:
    """Give each text of axes or a figure further fonts for characters that its own lacks.

    Returns the texts that no font here can draw, with the characters they lack.
    """
    lacking = {}
    for text in artist.findobj(Text):
        families = text.get_fontfamily()
        missing = _not_in(text.get_text(), families)
        if not missing:
            continue
        further = [font for font in _installed() if len(_not_in(missing, [font])) < len(missing)]
        # only a family that is named stands in for glyphs of another
        text.set_fontfamily([*dict.fromkeys([*families, *further])])
        if undrawn := _not_in(missing, further):
            lacking[text.get_text()] = undrawn
    return lacking


def _not_in(text: str, families: Sequence[str]) -> str:
    return "".join(
        dict.fromkeys(
            character
            for character in text
            if character > "~"
            and _has_glyph(character)
            and not any(_draws(family, character) for family in families)
        )
    )


def _has_glyph(character: str) -> bool:
    """Joiners, variation selectors and blanks leave no mark."""
    return unicodedata.category(character) not in ("Cc", "Cf", "Zs", "Zl", "Zp") and not (
        0xFE00 <= ord(character) <= 0xFE0F
    )


@lru_cache(maxsize=4096)
def _draws(family: str, character: str) -> bool:
    return bool(_font(family).get_char_index(ord(character)))


@lru_cache(maxsize=64)
def _font(family: str) -> Any:
    return font_manager.get_font(font_manager.findfont(FontProperties(family=[family])))


def _installed() -> list[str]:
    there = set(font_manager.get_font_names())
    return [font for font in FONTS if font in there]
