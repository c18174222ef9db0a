"""Dates and times, by expressions: every engine reads one form of them alike.

A cell is cut into its parts, set together as ``2025-12-31 23:59:59`` and parsed. Which days
there are is fetched first, because a 30th of February stops an engine in the middle.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import narwhals as nw
import pandas as pd

from cxlab.survey.lazy.engines import collect
from cxlab.survey.lazy.fields import Field
from cxlab.survey.lazy.plain import clean_text, text_looks
from cxlab.survey.lazy.text import as_text, even, is_code
from cxlab.survey.messages import got

_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
_ISO = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_TIME}(:[0-5][0-9](\\.[0-9]{{1,6}})?)?)?$"
#: Parts of a strftime format that are always as wide: pattern and place in the ISO form.
_PARTS = {
    "Y": ("[0-9]{4}", 4), "m": ("[0-9]{2}", 2), "d": ("[0-9]{2}", 2), "H": ("([01][0-9]|2[0-3])", 2),
    "M": ("[0-5][0-9]", 2), "S": ("[0-5][0-9]", 2),
}  # fmt: skip
_MIDNIGHT = {"H": "00", "M": "00", "S": "00"}
#: More different days than this are no dates of a survey.
MOST_DAYS = 40_000
STAMP = nw.Datetime("us")


def looks(field: Field) -> dict[str, nw.Expr]:
    """What to count of a date: cells that are not of its form, and times of day."""
    if field.dtype.is_temporal():
        return {}
    text = even(as_text(field.cells, field.dtype))
    fits = text.str.contains(_pattern(field)).fill_null(False)
    spoken = text.is_null() | (text == "") | is_code(text, field.column.missing)
    times = text.str.contains(":").fill_null(False)
    fractions = text.str.contains(r"\.").fill_null(False)
    return {
        **text_looks(field),
        "bad": ~spoken.fill_null(True) & ~fits,
        "times": times,
        "fractions": fractions & fits,
    }


def clean_date(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> nw.Expr:
    """Dates and times; null where blank or a missing code."""
    if field.dtype.is_temporal():
        zoned = getattr(field.dtype, "time_zone", None)
        return field.cells if zoned else field.cells.cast(STAMP)
    if found["bad"]:
        text = even(as_text(field.cells, field.dtype))
        fits = text.str.contains(_pattern(field)).fill_null(False)
        cleaned = clean_text(field, found, rows)
        bad = rows.filter(~fits & ~cleaned.is_null()).select(value=text).head(1)
        raise _refusal(field, str(collect(bad)["value"].iloc[0]), found["bad"])
    cleaned = clean_text(field, found, rows)
    day, time = _parts(field, cleaned, bool(found["times"]))
    _check_days(field, rows, day)
    if time is None:
        return day.str.to_date("%Y-%m-%d").cast(STAMP)
    stamp = nw.concat_str([day, time], separator=" ")
    if not found["fractions"]:
        return stamp.str.to_datetime("%Y-%m-%d %H:%M:%S").cast(STAMP)
    if rows.implementation.is_polars():
        return stamp.str.to_datetime("%Y-%m-%d %H:%M:%S%.f").cast(STAMP)
    return stamp.cast(STAMP)


def _pattern(field: Field) -> str:
    if field.column.format is None:
        return _ISO
    pieces = [_PARTS[code][0] if code else re.escape(text) for code, text in _pieces(field)]
    return f"^{''.join(pieces)}$"


def _pieces(field: Field) -> list[tuple[str, str]]:
    """A strftime format as (code, literal text); one of the two is empty."""
    form = field.column.format or ""
    pieces = re.findall(r"%(.)|([^%]+)", form)
    codes = {code for code, _ in pieces if code}
    if not set("Ymd") <= codes <= set(_PARTS):
        raise ValueError(
            f"{field.place}: only a `format` of %Y, %m, %d (and %H, %M, %S) can be read lazily; got "
            f"'{form}'. Write ISO dates, or read with engine='pandas'."
        )
    return pieces


def _parts(field: Field, text: nw.Expr, times: bool) -> tuple[nw.Expr, nw.Expr | None]:
    """Day as 2025-12-31 and time as 23:59:59, or None where there are none."""
    if field.column.format is None:
        day = text.str.slice(0, 10)
        if not times:
            return day, None
        clock = text.str.slice(11)
        short = nw.concat_str([clock, nw.lit(":00")])
        whole = nw.when(clock.str.len_chars() == 5).then(short).otherwise(clock)
        midnight = nw.when(text.str.len_chars() == 10).then(nw.lit("00:00:00"))
        return day, midnight.otherwise(whole)
    cut, start = {}, 0
    for code, literal in _pieces(field):
        width = _PARTS[code][1] if code else len(literal)
        if code:
            cut[code] = text.str.slice(start, width)
        start += width
    day = nw.concat_str([cut[code] for code in "Ymd"], separator="-")
    if not set(cut) & set(_MIDNIGHT):
        return day, None
    pieces = [cut.get(code, nw.lit(zero)) for code, zero in _MIDNIGHT.items()]
    return day, nw.concat_str(pieces, separator=":")


def _check_days(field: Field, rows: nw.LazyFrame, day: nw.Expr) -> None:
    days = rows.select(value=day).group_by("value").agg(nw.len().alias("n"))
    found = collect(days.head(MOST_DAYS + 1)).dropna()
    bad = found[pd.to_datetime(found["value"], format="%Y-%m-%d", errors="coerce").isna()]
    if len(bad):
        raise _refusal(field, str(bad["value"].min()), int(bad["n"].sum()))
    if len(found) > MOST_DAYS:
        raise ValueError(f"{field.place}: dates must be of {MOST_DAYS:,} days at most; got more.")


def _refusal(field: Field, text: str, total: int) -> ValueError:
    form = field.column.format
    wanted = f"dates of the form '{form}'" if form else "ISO dates (2025-12-31)"
    return ValueError(
        f"{field.place}: values must be {wanted}; got {got([text], total)}. "
        "Declare the column's `format` (strftime) in the study file."
    )
