"""Text of charts: as the data have it, and in a font that has it too."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from matplotlib import font_manager
from matplotlib.font_manager import FontProperties
from matplotlib.text import Text

from cxlab.report.text import printable

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


def as_written(artist: Any) -> None:
    """Draw the text of axes as it is, where the names of a study would become formulas.

    Parameters
    ----------
    artist : Axes or Figure
    """
    for text in artist.findobj(Text):
        text.set_text(printable(text.get_text()))
        if "$" in text.get_text():
            text.set_parse_math(False)
    choose_fonts(artist)


def choose_fonts(artist: Any) -> dict[str, str]:
    """Give each text further fonts for the characters that its own lacks.

    Parameters
    ----------
    artist : Axes or Figure

    Returns
    -------
    dict of str to str
        Texts that no font here can draw, with the characters it lacks.
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
