"""A result table as a reader sees it: few columns in words, and all numbers folded below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.display import Display
from cxlab.core.headers import (
    NAMED,
    REMARKS,
    decimals,
    ends,
    header,
    is_folded,
    kinds,
    named,
    number,
    p_value,
    plain_decimals,
    unit,
)
from cxlab.core.phrases import capital, small

#: Most columns that are open to view, most rows marked, and most cells of "All numbers".
MOST_COLUMNS = 8
MOST_MARKED = 3
MOST_CELLS = 4_000
#: Pairs of columns that are one range.
RANGES = {
    "bound_low": ("bound_high", "Bounds"),
    "low": ("high", "From, to"),
    "lower": ("upper", "Limits"),
}
#: Fewest rows whose dots show more than their numbers.
FEWEST_DOTS = 3


@dataclass(frozen=True)
class Dots:
    """Estimates with their intervals, to be drawn on one scale with one line."""

    places: list[tuple[float, float, float]]
    low: float
    high: float
    line: float | None
    unit: str


@dataclass(frozen=True)
class Column:
    """One column: header, a text a row; for numbers an interval a row and dots, often none."""

    header: str
    cells: list[str]
    intervals: list[str] = field(default_factory=list)
    dots: Dots | None = None
    is_text: bool = False


@dataclass(frozen=True)
class Shown:
    """A table that is ready to be written: what is open to view, and the rest."""

    caption: str
    about: str = ""
    columns: list[Column] = field(default_factory=list)
    marked: list[bool] = field(default_factory=list)
    footnotes: list[str] = field(default_factory=list)
    feet: list[str] = field(default_factory=list)
    folded: list[Column] = field(default_factory=list)
    summary: str = ""
    sentence: str = ""


def arrange(table: pd.DataFrame, display: Display, name: str = "") -> Shown:
    """What of a table is open to view, in which order and words, and what is folded."""
    caption = display.caption or name.replace("-", " ").capitalize()
    if not len(table):
        return Shown(caption)
    whole = named(table.infer_objects(), display)
    own, shared = _split_notes(whole)
    if _all_hidden(whole):
        reason = f" {capital(shared)}." if shared else ""
        hidden = "suppressed" in whole or not shared or shared.startswith("hidden")
        words = "hidden in every row" if hidden else "no figures"
        return Shown(caption, sentence=f"{caption or 'Table'}: {words}.{reason}")
    rows = own.iloc[_order(own, display)].reset_index(drop=True)
    chosen, constant = _chosen(rows, display)
    if not display.columns and _drawn(rows, display, chosen):
        # the dots take a column too
        chosen = chosen[: MOST_COLUMNS - 1]
    top = rows.head(display.top)
    marked = _marked(top, table, display, chosen)
    columns = [_column(top, one, display, chosen) for one in chosen]
    footnotes, feet = _footnotes(top)
    if len(rows) > len(top):
        feet.append(f"{len(top)} of {len(rows)} rows; the others are under “All numbers”.")
    if shared:
        feet.append(f"Note to every row: {escape(shared)}.")
    about = _about(top, columns, chosen, constant, display)
    folded, summary = _folded(rows, chosen, constant, display, whole=len(rows) == len(top))
    return Shown(caption, about, columns, marked, footnotes, feet, folded, summary)


def described(table: pd.DataFrame, display: Display, name: str) -> dict[str, Any]:
    """What workbook and slides need to know of a recorded table, for JSON.

    ``table``; ``caption`` and ``about``; ``headers``; ``units`` (one of a column, or one a
    row); ``words`` (of columns of code names, one a row); ``order`` of the rows; ``names``
    and ``chart``: columns that name a row, and an estimate with the ends of its interval.
    """
    whole = named(table.infer_objects(), display)
    own, _ = _split_notes(whole)
    chosen, _ = _chosen(own, display) if len(own) else ([], [])
    numbers = [c for c in table.columns if len(own) and not _is_text(own[c])]
    units = {column: kinds(own, column, display)[0] for column in numbers}
    whole_numbers = [c for c in numbers if pd.api.types.is_integer_dtype(own[c])]
    units |= {c: ["count"] * len(own) for c in whole_numbers if units[c][0] == "number"}
    charted = [c for c in chosen if c in units and units[c][0] != "count"]
    pairs = [(c, *pair) for c in charted if (pair := ends(c, table.columns))]
    return {
        "table": name,
        "caption": display.caption or name.replace("-", " ").capitalize(),
        "about": display.about,
        "headers": {str(column): header(column, display) for column in table.columns},
        "units": {c: one[0] if len({*one}) == 1 else one for c, one in units.items()},
        "words": {
            c: _words(whole[c]) for c in (*NAMED, "segment", "group", "metric") if c in table
        },
        "order": _order(own, display),
        "names": [c for c in chosen if _is_text(own[c]) and c not in REMARKS],
        "chart": list(pairs[0]) if pairs else [],
    }


def _all_hidden(table: pd.DataFrame) -> bool:
    """Whether no row has a number."""
    if "suppressed" in table and all(_hidden_rows(table)):
        return True
    numbers = table.select_dtypes("number")
    return numbers.shape[1] > 0 and bool(numbers.isna().all(axis=None))


def _hidden_rows(table: pd.DataFrame) -> list[bool]:
    """Of a reason per row, empty where nothing is hidden."""
    return [bool(reason) and reason == reason for reason in table["suppressed"]]


def _split_notes(table: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The table with each row's own notes, and the notes that all rows share."""
    if "note" not in table or not len(table):
        return table, ""
    parts = [str(note).split("; ") if note else [] for note in table["note"].fillna("")]
    shared = [part for part in parts[0] if all(part in other for other in parts)]
    own = ["; ".join(part for part in row if part not in shared) for row in parts]
    return table.assign(note=own), "; ".join(shared)


def _order(table: pd.DataFrame, display: Display) -> list[int]:
    """Positions of the rows in the order to show them."""
    keys = [key for key in display.sort if key.lstrip("-") in table]
    if not keys:
        return list(range(len(table)))
    columns = [key.lstrip("-") for key in keys]
    plain = table[columns].reset_index(drop=True)
    ordered = plain.sort_values(
        columns, ascending=[not key.startswith("-") for key in keys], kind="stable"
    )
    return [int(place) for place in ordered.index]


def _is_text(values: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(values)


def _chosen(table: pd.DataFrame, display: Display) -> tuple[list[str], list[str]]:
    """Columns to show, and those whose one value goes to the caption."""
    # notes are footnotes
    asked = [column for column in display.columns if column in table and column != "note"]
    wanted = asked or [c for c in table.columns if not is_folded(c) and c not in REMARKS]
    several = len(table) > 1
    constant = [
        column
        for column in wanted
        if several
        and (_is_text(table[column]) or column == "n")
        and table[column].nunique(dropna=False) == 1
    ]
    chosen = [column for column in wanted if column not in constant]
    seconds = {second for first, (second, _) in RANGES.items() if first in chosen}
    chosen = [column for column in chosen if column not in seconds]
    if not asked:
        chosen = [c for c in chosen if not table[c].isna().all()]
        # words first: they name the row
        chosen.sort(key=lambda column: not _is_text(table[column]))
    return chosen[:MOST_COLUMNS], constant


def _marked(
    table: pd.DataFrame, codes: pd.DataFrame, display: Display, chosen: Sequence[str]
) -> list[bool]:
    """Rows to mark, three at most."""
    wanted = display.highlight
    if len(wanted) == 1 and wanted[0] in table and table[wanted[0]].dtype == bool:
        hits = [bool(value) for value in table[wanted[0]]]
    else:
        words = {display.labels.get(word, word) for word in wanted} | set(wanted)
        names = table[chosen[0]].astype(str) if chosen else []
        hits = [name in words for name in names]
    places = [i for i, hit in enumerate(hits) if hit][:MOST_MARKED]
    return [i in places for i in range(len(table))]


def _column(table: pd.DataFrame, column: str, display: Display, chosen: Sequence[str]) -> Column:
    words = header(column, display)
    if pd.api.types.is_bool_dtype(table[column]) or _is_text(table[column]):
        return Column(words, _words(table[column]), is_text=True)
    if column in RANGES and RANGES[column][0] in table:
        return _range(table, column, display)
    cells, intervals = _numbers(table, column, display)
    drawn = column in _drawn(table, display, chosen)
    return Column(words, cells, intervals, _dots(table, column, display) if drawn else None)


def _words(values: pd.Series) -> list[str]:
    if pd.api.types.is_bool_dtype(values):
        return ["yes" if value else "no" for value in values]
    known = {True: "yes", False: "no"}
    return [
        known[value] if isinstance(value, bool) else "" if pd.isna(value) else str(value)
        for value in values
    ]


def _numbers(
    table: pd.DataFrame, column: str, display: Display, *, detailed: bool = False
) -> tuple[list[str], list[str]]:
    """Numbers of a column as texts, and their intervals, rounded alike within a unit."""
    units, signed = kinds(table, column, display)
    pair = None if detailed else ends(column, table.columns)
    cells, intervals = [""] * len(table), [""] * len(table)
    known = _matrix(table, [column, *(pair or ())])
    for kind in dict.fromkeys(units):
        rows = [i for i, one in enumerate(units) if one == kind]
        part = known[rows] * (100.0 if kind == "share" else 1.0)
        places = _places(part, kind, detailed=detailed)
        for i, values in zip(rows, part.tolist(), strict=True):
            own = places + _meets_zero(values, places) if signed else places
            cells[i] = _number(values[0], kind, own, signed)
            if pair and not any(math.isnan(value) for value in values):
                low, high = (number(value, own) for value in values[1:])
                intervals[i] = f"({low}\u00a0to\u00a0{high})"
    if "suppressed" in table and column == "estimate":
        hidden = _hidden_rows(table)
        cells = [
            "hidden" if hide and cell == "–" else cell
            for cell, hide in zip(cells, hidden, strict=True)
        ]
    return cells, intervals


def _number(value: float, kind: str, places: int, signed: bool) -> str:
    if kind == "p":
        return p_value(value)
    text = number(value, places, signed=signed)
    return f"{text}\u00a0%" if kind in ("%", "share") and text != "–" else text


def _matrix(table: pd.DataFrame, columns: Sequence[str]) -> np.ndarray:
    """Columns of numbers side by side, missing ones as NaN; pandas would take ten times as long."""
    return np.column_stack([table[c].to_numpy(dtype=float, na_value=np.nan) for c in columns])


def _places(part: np.ndarray, kind: str, *, detailed: bool) -> int:
    """Decimals for a column: one digit of the usual half-width."""
    known = part[~np.isnan(part).any(axis=1)]
    if part.shape[1] < 3 or not len(known):
        return plain_decimals(part[:, 0], kind, detailed=detailed)
    half_width = float(np.median((known[:, 2] - known[:, 1]) / 2))
    return 0 if kind == "count" else decimals(half_width, kind)


def _meets_zero(values: Sequence[float], places: int) -> bool:
    """Whether an interval that excludes zero would seem to end there."""
    return any(round(value, places) == 0 != value for value in values[1:]) and (
        min(values[1:]) > 0 or max(values[1:]) < 0
    )


def _range(table: pd.DataFrame, column: str, display: Display) -> Column:
    other, words = RANGES[column]
    low, high = (_numbers(table, one, display)[0] for one in (column, other))
    cells = [f"{a}\u00a0to\u00a0{b}" if a != "–" else a for a, b in zip(low, high, strict=True)]
    return Column(display.headers.get(column, words), cells)


def _drawn(table: pd.DataFrame, display: Display, chosen: Sequence[str]) -> tuple[str, ...]:
    """Columns whose numbers have a picture beside them."""
    if display.bar is not None:
        return display.bar
    if len(table) < FEWEST_DOTS:
        return ()
    with_interval = [c for c in chosen if unit(c, display) != "count" and ends(c, table.columns)]
    if not with_interval or len(set(kinds(table, with_interval[0], display)[0])) > 1:
        return ()
    return (with_interval[0],)


def _dots(table: pd.DataFrame, column: str, display: Display) -> Dots | None:
    kind = kinds(table, column, display)[0][0]
    factor = 100.0 if kind == "share" else 1.0
    pair = ends(column, table.columns) or (column, column)
    places = [tuple(row) for row in (_matrix(table, [column, *pair]) * factor).tolist()]
    known = [value for row in places for value in row if not math.isnan(value)]
    if not known:
        return None
    line = reference(table, column, display)
    line = None if line is None else line * factor
    low, high = (
        round_ends(min(known), max(known))
        if line is None
        else round_ends(min(line, *known), max(line, *known))
    )
    return Dots(places, low, high, line, "%" if kind == "share" else kind)


def round_ends(low: float, high: float) -> tuple[float, float]:
    """Round numbers around a range, never the same: of −12.2 to 3.3, −15 and 5."""
    span = (high - low) or abs(high) or 1.0
    size = 10 ** math.floor(math.log10(span / 4))
    step = next(size * factor for factor in (1, 2, 5, 10) if span / (size * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if first == last:
        first, last = first - 1, last + 1
    return first * step, last * step


def reference(table: pd.DataFrame, column: str, display: Display) -> float | None:
    """Where a column's line stands: as said; or 0 for differences, the average otherwise."""
    said = display.reference.get(column)
    if isinstance(said, int | float):
        return float(said)
    if said is None and kinds(table, column, display)[1]:
        return 0.0
    return float(table[column].astype(float).mean()) if said == "mean" else None


def _footnotes(table: pd.DataFrame) -> tuple[list[str], list[str]]:
    """A mark for each row that has a note of its own, and the notes."""
    if "note" not in table or not (table["note"] != "").any():
        return [], []
    notes = list(dict.fromkeys(note for note in table["note"] if note))
    marks = [str(notes.index(note) + 1) if note else "" for note in table["note"]]
    return marks, [f"<sup>{i}</sup> {escape(note)}." for i, note in enumerate(notes, start=1)]


def _about(
    table: pd.DataFrame,
    columns: Sequence[Column],
    chosen: Sequence[str],
    constant: Sequence[str],
    display: Display,
) -> str:
    """The caption's second line: what was said, one value of all rows, level, line and n."""
    parts = [display.about.rstrip(".")] if display.about else []
    parts += [
        f"n = {table['n'].iloc[0]:,}" if column == "n" else f"{header(column, display)}: {words}"
        for column in constant
        if (words := _words(table[column])[0]) or column == "n"
    ]
    if any(any(column.intervals) for column in columns):
        parts.append(f"{display.level * 100:g}\u00a0% intervals in brackets")
    for name, column in zip(chosen, columns, strict=True):
        line = reference(table, name, display) if column.dots else None
        if line is not None:
            average = display.reference.get(name) == "mean"
            parts.append(
                f"grey line: {'the average' if average else number(line, 0 if line % 1 == 0 else 2)}"
            )
    if "n" in table and "n" not in [*chosen, *constant] and table["n"].notna().any():
        low, high = int(table["n"].min()), int(table["n"].max())
        parts.append(f"n = {low:,}" if low == high else f"n = {low:,} to {high:,}")
    return f"{'; '.join(parts)}." if parts else ""


def _folded(
    table: pd.DataFrame,
    chosen: Sequence[str],
    constant: Sequence[str],
    display: Display,
    *,
    whole: bool,
) -> tuple[list[Column], str]:
    """Every column of a table at more digits, and how to name them; none if all is open."""
    open_to_view = {*chosen, *constant, "note", "unit"}
    for column in chosen:
        open_to_view.update(ends(column, table.columns) or ())
        open_to_view.update(RANGES.get(column, ())[:1])
    rest = [c for c in table.columns if c not in open_to_view and not table[c].isna().all()]
    if whole and not rest:
        return [], ""
    most = max(MOST_CELLS // table.shape[1], 1)
    part = table.head(most)
    kept = [c for c in table.columns if c != "note" or (table[c] != "").any()]
    columns = [_detailed(part, column, display) for column in kept]
    words = [small(header(column, display)) for column in rest]
    more = f" and {len(words) - 4} more" if len(words) > 4 else ""
    what = f": {', '.join(words[:4])}{more}" if words else ""
    cut = f", the first {most:,} shown" if len(table) > most else ""
    return columns, f"All numbers{what} ({len(table):,} rows × {len(kept)} columns{cut})"


def _detailed(table: pd.DataFrame, column: str, display: Display) -> Column:
    words = header(column, display)
    if pd.api.types.is_bool_dtype(table[column]) or _is_text(table[column]):
        return Column(words, _words(table[column]), is_text=True)
    return Column(words, _numbers(table, column, display, detailed=True)[0])
