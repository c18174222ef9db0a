"""Dates and times, by expressions: every engine reads one form of them alike.

A cell is cut into its parts, set together as ``2025-12-31 23:59:59`` and parsed. Which days
there are is fetched first, because a 30th of February stops an engine in the middle.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping

import narwhals as nw
import pandas as pd

from cxlab.core.engines import collect
from cxlab.core.messages import got
from cxlab.survey.dates import ISO_DATE, no_date
from cxlab.survey.lazy.fields import Field
from cxlab.survey.lazy.plain import clean_text, text_looks
from cxlab.survey.lazy.text import as_text, count, even, is_code

_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
_ISO = f"^[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}([ T]{_TIME}(:[0-5][0-9](\\.[0-9]{{1,6}})?)?)?$"
#: Parts of a strftime format: pattern and width in the ISO form, and pattern without a zero
#: before a single digit.
_PARTS = {
    "Y": ("[0-9]{4}", 4, "[0-9]{4}"), "m": ("[0-9]{2}", 2, "[0-9]{1,2}"),
    "d": ("[0-9]{2}", 2, "[0-9]{1,2}"), "H": ("([01][0-9]|2[0-3])", 2, "([01]?[0-9]|2[0-3])"),
    "M": ("[0-5][0-9]", 2, "[0-5]?[0-9]"), "S": ("[0-5][0-9]", 2, "[0-5]?[0-9]"),
}  # fmt: skip
_MIDNIGHT = {"H": "00", "M": "00", "S": "00"}
#: More different days than this are no dates of a survey.
MOST_DAYS = 40_000
STAMP = nw.Datetime("us")


def looks(field: Field) -> dict[str, nw.Expr]:
    """What to count of a date: cells that are not of its form, and how it is written."""
    if field.dtype.is_temporal():
        return {}
    text = even(as_text(field.cells, field.dtype))
    whole = _is(text, _pattern(field))
    spoken = text.is_null() | (text == "") | is_code(text, field.column.missing)
    return {
        **text_looks(field),
        "unlike": ~spoken.fill_null(True) & ~whole,
        "times": _is(text, ":"),
        "fractions": whole & _is(text, r"\."),
    }


def clean_date(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> nw.Expr:
    """Dates and times; null where blank or a missing code."""
    if field.dtype.is_temporal():
        zoned = getattr(field.dtype, "time_zone", None)
        return field.cells if zoned else field.cells.cast(STAMP)
    cleaned = clean_text(field, found, rows)
    if found["unlike"]:
        _check_forms(field, rows, cleaned)
    day, time = _parts(field, cleaned, found)
    _check_days(field, rows, day)
    if time is None:
        return day.str.to_date("%Y-%m-%d").cast(STAMP)
    stamp = nw.concat_str([day, time], separator=" ")
    if not found["fractions"]:
        return stamp.str.to_datetime("%Y-%m-%d %H:%M:%S").cast(STAMP)
    if rows.implementation.is_polars():
        return stamp.str.to_datetime("%Y-%m-%d %H:%M:%S%.f").cast(STAMP)
    return stamp.cast(STAMP)


def _is(text: nw.Expr, pattern: str) -> nw.Expr:
    return text.str.contains(pattern).fill_null(False)


def _pattern(field: Field) -> str:
    """Of dates that are cut into parts as wide as can be."""
    if field.column.format is None:
        return _ISO
    pieces = [_PARTS[code][0] if code else re.escape(text) for code, text in _pieces(field)]
    return f"^{''.join(pieces)}$"


def _readable(field: Field) -> str:
    """Of all dates that pandas reads, those with a time zone or without a zero before 1."""
    if field.column.format is None:
        return f"^{ISO_DATE}$"
    if not _split(field):
        return _pattern(field)
    pieces = [_PARTS[code][2] if code else re.escape(text) for code, text in _pieces(field)]
    return f"^{''.join(pieces)}$"


def _split(field: Field) -> bool:
    """Whether parts of a declared format are told apart by what stands between them."""
    if field.column.format is None:
        return False
    pieces = _pieces(field)
    beside = any(one and other for (one, _), (other, _) in itertools.pairwise(pieces))
    return not beside and not any(re.search("[0-9]", text) for _, text in pieces)


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


def _parts(field: Field, text: nw.Expr, found: Mapping[str, int]) -> tuple[nw.Expr, nw.Expr | None]:
    """Day as 2025-12-31 and time as 23:59:59, or None where there are none."""
    if field.column.format is None:
        return _iso_parts(text, times=bool(found["times"]))
    cut = _split_parts(field, text) if found["unlike"] else _wide_parts(field, text)
    day = nw.concat_str([cut[code] for code in "Ymd"], separator="-")
    if not set(cut) & set(_MIDNIGHT):
        return day, None
    pieces = [cut.get(code, nw.lit(zero)) for code, zero in _MIDNIGHT.items()]
    return day, nw.concat_str(pieces, separator=":")


def _iso_parts(text: nw.Expr, *, times: bool) -> tuple[nw.Expr, nw.Expr | None]:
    day = text.str.slice(0, 10)
    if not times:
        return day, None
    clock = text.str.slice(11)
    short = nw.concat_str([clock, nw.lit(":00")])
    whole = nw.when(clock.str.len_chars() == 5).then(short).otherwise(clock)
    midnight = nw.when(text.str.len_chars() == 10).then(nw.lit("00:00:00"))
    return day, midnight.otherwise(whole)


def _wide_parts(field: Field, text: nw.Expr) -> dict[str, nw.Expr]:
    cut, start = {}, 0
    for code, literal in _pieces(field):
        width = _PARTS[code][1] if code else len(literal)
        if code:
            cut[code] = text.str.slice(start, width)
        start += width
    return cut


def _split_parts(field: Field, text: nw.Expr) -> dict[str, nw.Expr]:
    pieces = _pieces(field)
    numbers = text.str.replace_all("[^0-9]+", "-").str.split("-")
    start = 0 if pieces[0][0] else 1  # a word before the first number
    codes = [code for code, _ in pieces if code]
    return {
        code: numbers.list.get(place).str.zfill(_PARTS[code][1])
        for place, code in enumerate(codes, start)
    }


def _check_forms(field: Field, rows: nw.LazyFrame, cleaned: nw.Expr) -> None:
    """Refuse what is no date, or one that only pandas reads."""
    bad = _one_of(rows, cleaned, ~_is(cleaned, _readable(field)))
    if bad:
        raise _refusal(field, *bad)
    unlike = None if _split(field) else _one_of(rows, cleaned, ~_is(cleaned, _pattern(field)))
    if unlike:
        raise ValueError(
            f"{field.place}: dates must be without a time zone and to the microsecond at most, to "
            f"be read lazily; got {got([unlike[0]], unlike[1])}. Read with engine='pandas', or "
            "write them so."
        )


def _one_of(rows: nw.LazyFrame, cleaned: nw.Expr, condition: nw.Expr) -> tuple[str, int] | None:
    """One of the texts that meet a condition, and how many do; None where there is none."""
    met = condition & ~cleaned.is_null()
    n = int(collect(rows.select(n=count(met)))["n"].fillna(0).iloc[0])
    first = rows.filter(met).select(value=cleaned).head(1)
    return (str(collect(first)["value"].iloc[0]), n) if n else None


def _check_days(field: Field, rows: nw.LazyFrame, day: nw.Expr) -> None:
    days = rows.select(value=day).group_by("value").agg(nw.len().alias("n"))
    found = collect(days.head(MOST_DAYS + 1)).dropna()
    bad = found[pd.to_datetime(found["value"], format="%Y-%m-%d", errors="coerce").isna()]
    if len(bad):
        raise _refusal(field, str(bad["value"].min()), int(bad["n"].sum()))
    if len(found) > MOST_DAYS:
        raise ValueError(f"{field.place}: dates must be of {MOST_DAYS:,} days at most; got more.")


def _refusal(field: Field, text: str, total: int) -> ValueError:
    return ValueError(f"{field.place}: {no_date(text, total, field.column.format)}")
