"""What every result that a notebook shows has in common, and its tables as HTML and text."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from inspect import signature

import pandas as pd

from cxlab.core.display import display_of
from cxlab.core.headers import number
from cxlab.core.tables import Column, Dots, Shown, arrange

#: Class of the tables that are displayed, and what stands in place of an empty one.
MARK = "cxlab"
NO_ROWS = "<p>No rows.</p>"
#: Size of a dot's picture, and how far its ends are from the edge.
WIDTH, HEIGHT, EDGE = 120, 14, 6
#: Colours that can be seen on white and on black.
BLUE, ORANGE, GREY = "#2f7fc1", "#d1541b", "#8c959f"
QUIET = "#6e7781"
#: JupyterLab aligns every cell right and takes no style sheet from an untrusted notebook.
LEFT = ' class="text" style="text-align: left"'
MARKED = ' class="marked"'


def table_html(table: pd.DataFrame) -> str:
    """HTML of a table: caption, scopes, a box that scrolls, and all numbers folded below."""
    return as_html(arrange(table, display_of(table)))


def table_text(table: pd.DataFrame) -> str:
    """Plain text of what is open to view."""
    return as_text(arrange(table, display_of(table)))


def as_html(shown: Shown) -> str:
    """As `table_html`, of a table that is arranged."""
    if shown.sentence:
        return f'<p class="{MARK}">{escape(shown.sentence)}</p>'
    if not shown.columns:
        return NO_ROWS
    about = f'<br><span class="about">{escape(shown.about)}</span>' if shown.about else ""
    title = f"<strong>{escape(shown.caption)}</strong>{about}" if shown.caption else about[4:]
    caption = f"<caption>{title}</caption>" if title else ""
    open_part = _box(
        shown.caption or "Table", caption + _grid(shown.columns, shown.marked, shown.footnotes)
    )
    feet = "".join(f'<p class="foot">{foot}</p>' for foot in shown.feet)
    if not shown.folded:
        return open_part + feet
    label = f"{shown.caption or 'Table'}, all numbers"
    rest = _box(label, _grid(shown.folded, [], []))
    return (
        f'{open_part}{feet}<details class="numbers"><summary>{escape(shown.summary)}</summary>'
        f"{rest}</details>"
    )


def as_text(shown: Shown) -> str:
    """As `table_text`, of a table that is arranged."""
    if shown.sentence or not shown.columns:
        return shown.sentence or "no rows"
    lines = [line for line in (shown.caption, shown.about) if line]
    texts = [
        _column_text(column, shown.footnotes if i == 0 else [])
        for i, column in enumerate(shown.columns)
    ]
    lines += ["  ".join(row).rstrip() for row in zip(*texts, strict=True)]
    lines += [_without_tags(foot) for foot in shown.feet]
    return "\n".join(lines).replace("\u00a0", " ")


def _box(label: str, inside: str) -> str:
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(label)}">'
        f'<table class="{MARK}">{inside}</table></div>'
    )


def _grid(columns: Sequence[Column], marked: Sequence[bool], footnotes: Sequence[str]) -> str:
    head = "".join(_header_cells(columns))
    rows = []
    for i in range(len(columns[0].cells)):
        hit = bool(marked) and marked[i]
        cells = [_row_header(columns[0], i, hit, footnotes[i] if footnotes else "")]
        cells += [cell for column in columns[1:] for cell in _cells(column, i, hit)]
        rows.append(f"<tr{MARKED if hit else ''}>{''.join(cells)}</tr>")
    return f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody>"


def _header_cells(columns: Sequence[Column]) -> Iterator[str]:
    for i, column in enumerate(columns):
        if column.dots and i:
            yield f'<th scope="col" class="bar">{escape(_scale(column.dots))}</th>'
        left = LEFT if column.is_text or not i else ""
        yield f'<th scope="col"{left}>{escape(column.header)}</th>'


def _row_header(column: Column, i: int, hit: bool, footnote: str) -> str:
    mark = f"<sup>{footnote}</sup>" if footnote else ""
    words = escape(column.cells[i])
    words = f"<strong>{words}</strong>" if hit else words
    if not words and not mark:
        return "<td></td>"  # a header without words is none
    return f'<th scope="row"{LEFT}>{words}{mark}</th>'


def _cells(column: Column, i: int, hit: bool) -> Iterator[str]:
    if column.is_text:
        yield f"<td{LEFT}>{escape(column.cells[i])}</td>"
        return
    if column.dots:
        yield f'<td class="bar">{_picture(column.dots, i, ORANGE if hit else BLUE)}</td>'
    interval = column.intervals[i] if column.intervals else ""
    grey = f' <span class="ci" style="color: {QUIET}">{interval}</span>' if interval else ""
    yield f"<td>{escape(column.cells[i])}{grey}</td>"


def _column_text(column: Column, footnotes: Sequence[str]) -> list[str]:
    intervals = column.intervals or [""] * len(column.cells)
    texts = [f"{cell} {ci}".rstrip() for cell, ci in zip(column.cells, intervals, strict=True)]
    if footnotes:
        texts = [
            f"{text} [{foot}]" if foot else text
            for text, foot in zip(texts, footnotes, strict=True)
        ]
    texts = [column.header, *texts]
    width = max(map(len, texts))
    return [text.ljust(width) if column.is_text else text.rjust(width) for text in texts]


def _without_tags(foot: str) -> str:
    return unescape(foot.replace("<sup>", "[").replace("</sup>", "]"))


def _scale(dots: Dots) -> str:
    """The ends of a scale in words."""
    digits = max(len(f"{end:.2f}".rstrip("0").partition(".")[2]) for end in (dots.low, dots.high))
    sign = "\u00a0%" if dots.unit == "%" else ""
    return f"{number(dots.low, digits)} to {number(dots.high, digits)}{sign}"


def _picture(dots: Dots, i: int, colour: str) -> str:
    """A dot with its interval and the line, as an image that holds nothing else; often empty."""
    if any(math.isnan(value) for value in dots.places[i]):
        return ""
    dot, low, high = (_along(value, dots) for value in dots.places[i])
    middle = HEIGHT // 2
    line = (
        ""
        if dots.line is None
        else (f'<path stroke="{GREY}" d="M{_along(dots.line, dots)} 0v{HEIGHT}"/>')
    )
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{line}'
        f'<path stroke="{colour}" stroke-width="2" d="M{low} {middle}H{high}"/>'
        f'<circle cx="{dot}" cy="{middle}" r="3.5" fill="{colour}"/></svg>'
    )
    source = base64.b64encode(svg.encode()).decode("ascii")
    return (
        f'<img alt="" width="{WIDTH}" height="{HEIGHT}" src="data:image/svg+xml;base64,{source}">'
    )


def _along(value: float, dots: Dots) -> str:
    place = EDGE + (value - dots.low) / (dots.high - dots.low) * (WIDTH - 2 * EDGE)
    return f"{place:.1f}".removesuffix(".0")


def no_missing() -> pd.DataFrame:
    """A table of missing answers without rows."""
    return pd.DataFrame({"column": pd.Series(dtype="str"), "n_missing": pd.Series(dtype="int64")})


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Numbers that go together: the table, what was left out, what to know.

    Attributes
    ----------
    table : DataFrame
        The numbers that answer the question, unrounded; `with_display` says how it is shown.
    n_missing : DataFrame
        One row per column of answers: ``column`` and ``n_missing``, rows without a valid
        answer there.
    notes : tuple of str
        What was assumed and left out, a sentence each.
    """

    table: pd.DataFrame
    n_missing: pd.DataFrame = field(default_factory=no_missing)
    notes: tuple[str, ...] = ()

    def _head(self) -> tuple[str, ...]:
        """Sentences above the table: the answer, where the result has findings of its own."""
        findings = getattr(self, "findings", None)
        if not findings or any(
            one.default is one.empty for one in signature(findings).parameters.values()
        ):
            return ()
        return tuple(one.text for one in findings().of_kind("answer"))

    def __str__(self) -> str:
        return "\n".join([*self._head(), table_text(self.table), *self.notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self._head())
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"{head}{table_html(self.table)}<ul>{notes}</ul>"
