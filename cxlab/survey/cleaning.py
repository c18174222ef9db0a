"""Distinct raw texts of one column → values and reasons for what is missing.

Every distinct text is resolved once, in Python, into a value or a reason, which every row
of that text then takes. So a rule is stated in one place, whatever the number of rows and
whatever the engine that asks for them.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.characters import visible_text
from cxlab.core.messages import nearest, one_of
from cxlab.survey.cells import no_date, read_dates, with_point
from cxlab.survey.definition import DATE_ROLES, NUMBER_ROLES, RATING_ROLES, Column
from cxlab.survey.scales import normal_code

#: Roles whose values tell rows or people apart.
TELLING_APART = ("id", "customer", "account", "cluster")
#: What a spreadsheet makes of a long number: 1.18E+11.
ROUNDED = "[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}"
ROUNDED_BY_EXCEL = (
    "Excel has rounded them, so that different ids read alike. Export the answers again and set "
    "the column to Text before you save them in Excel."
)
ALL_ZERO = "weights must not all be 0. Take the column out of the study, or get the file again."


#: Arrow type of the values of a role; text otherwise.
VALUE_TYPES: dict[str, pa.DataType] = {
    # whole, with room for products of two
    **dict.fromkeys(RATING_ROLES, pa.int32()),
    **dict.fromkeys(NUMBER_ROLES, pa.float64()),
    "weight": pa.float64(),
    **dict.fromkeys(DATE_ROLES, pa.timestamp("us")),
}
#: Texts that mean what they say, whatever a study declares but missing codes.
PLAIN_TEXT = "^([A-Za-z][A-Za-z0-9_.@-]*|[1-9][A-Za-z0-9_-]*)$"
PLAIN_NUMBER = r"^-?[0-9]{1,15}(\.[0-9]{1,15})?$"
PLAIN_DATE = "^[0-9]{1,4}[-/.][0-9]{1,2}[-/.][0-9]{1,4}([ T][0-9:.]+)?$"
#: So few texts are sooner resolved one by one.
FEW = 50
#: Texts of one column that are remembered from chunk to chunk.
MOST_KNOWN = 100_000


class RefusedError(ValueError):
    """What a text was not: what is allowed, ``|``, and what to do."""


class MixedZonesError(ValueError):
    """Some times have a time zone that others lack, or another one."""


@dataclass(frozen=True)
class Resolved:
    """What one distinct raw text means: a value, or a reason for having none."""

    value: Any
    reason: str | None


#: What becomes of a text that was refused, until the file is refused with it.
NOTHING = Resolved(None, "invalid")


@dataclass(frozen=True, eq=False)
class ResolvedTexts:
    """What the distinct texts of one column mean."""

    values: pa.Array  # of the column's type; null where there is none
    reasons: list[str | None] | None  # of a rating: why there is no score
    #: Number of a text that cannot be, and why: what is allowed, ``|``, and what to do.
    refused: dict[int, str]


def resolve_texts(texts: pa.Array, column: Column, known: dict[str, Any]) -> ResolvedTexts:
    """Resolve the distinct texts of a column, each once."""
    if column.role in DATE_ROLES:
        return _as_dates(_resolved(texts, column, pa.string(), known), column)
    return _resolved(texts, column, VALUE_TYPES.get(column.role, pa.string()), known)


def _resolved(
    texts: pa.Array, column: Column, kind: pa.DataType, known: dict[str, Any]
) -> ResolvedTexts:
    values, plain = _plain_values(texts, column, kind)
    others = np.flatnonzero(~plain)
    found = [_resolve(text, column, known) for text in texts.take(pa.array(others)).to_pylist()]
    refused = {
        int(place): str(one)
        for place, one in zip(others, found, strict=True)
        if isinstance(one, RefusedError)
    }
    resolved = [NOTHING if isinstance(one, RefusedError) else one for one in found]
    missing = [one.value if one.reason is None else None for one in resolved]
    if column.role in RATING_ROLES:  # of which none is plain
        whole = [None if value is None else int(value) for value in missing]
        return ResolvedTexts(pa.array(whole, kind), [one.reason for one in resolved], refused)
    if len(others):
        values = pc.replace_with_mask(values, pa.array(~plain), pa.array(missing, kind))
    return ResolvedTexts(values, None, refused)


def _resolve(text: str, column: Column, known: dict[str, Any]) -> Resolved | RefusedError:
    if text in known:
        return known[text]
    try:
        resolve = RESOLVERS.get(column.role, resolve_text)
        found: Resolved | RefusedError = resolve(_spoken(text, column), column)
    except RefusedError as error:
        found = error
    if len(known) < MOST_KNOWN:
        known[text] = found
    return found


def _spoken(text: str, column: Column) -> str:
    """The text with a point for its decimal comma, where the column has them."""
    if not column.decimal_comma:
        return text
    spoken = with_point(text)
    if spoken == text and "." in text and not math.isnan(_plain_number(text)):
        raise RefusedError(
            "numbers must have a comma before their decimals|Write all numbers of the column alike."
        )
    return spoken


def _plain_values(texts: pa.Array, column: Column, kind: pa.DataType) -> tuple[pa.Array, Any]:
    """Values of texts that stand for themselves, and which do: most ids and measurements.

    What they mean is as their resolver has it, which takes twenty times as long.
    """
    none = np.zeros(len(texts), dtype=bool)
    coded = column.role in RATING_ROLES or (column.role == "segment" and column.values)
    if coded or column.decimal_comma or len(texts) < FEW:
        return pa.nulls(len(texts), kind), none
    if kind == pa.float64():
        plain = pc.match_substring_regex(texts, PLAIN_NUMBER)
        values = pc.if_else(plain, texts, None).cast(kind)
        if column.missing:
            codes = pa.array(list(coded_numbers(tuple(column.missing))), kind)
            plain = pc.and_(plain, pc.invert(pc.is_in(values, codes)))
        if column.role == "weight":
            plain = pc.and_(plain, pc.fill_null(pc.greater_equal(values, 0.0), False))
    else:
        plain = pc.match_substring_regex(
            texts, PLAIN_DATE if column.role in DATE_ROLES else PLAIN_TEXT
        )
        values = texts
        if column.missing:
            codes = pa.array(list(column.missing))
            plain = pc.and_(plain, pc.invert(pc.is_in(pc.utf8_lower(texts), codes)))
    return values, plain.to_numpy(zero_copy_only=False)


def _as_dates(spoken: ResolvedTexts, column: Column) -> ResolvedTexts:
    """Dates and times to the microsecond, of one time zone or without."""
    words = pd.Series(spoken.values.to_pylist(), dtype="str")
    try:
        dates = read_dates(words, column.format)
    except ValueError as error:
        raise MixedZonesError from error
    bad = np.flatnonzero(dates.isna() & words.notna())
    values = pa.array(dates)
    zone = values.type.tz
    return ResolvedTexts(
        values.cast(pa.timestamp("us", zone), safe=False),
        None,
        spoken.refused | {int(place): no_date(column.format) for place in bad},
    )


def _missing(text: str, column: Column) -> Resolved | None:
    code = normal_code(text)
    if code == "":
        return Resolved(math.nan, column.blank)
    if code in column.missing:
        return Resolved(math.nan, column.missing[code])
    return None


@functools.lru_cache(maxsize=64)
def coded_numbers(codes: tuple[str, ...]) -> dict[float, str]:
    """Codes that are finite numbers, by each value that a file may hold for them.

    Stored in 32 bits, -99.9 is -99.90000152587890625.

    Examples
    --------
    >>> coded_numbers(("-1", "0.25", "n/a"))
    {-1.0: '-1', 0.25: '0.25'}
    >>> list(coded_numbers(("9.99",)))
    [9.99, 9.989999771118164]
    """
    found: dict[float, str] = {}
    for code in codes:
        number = _plain_number(code)
        if math.isfinite(number):
            found[number] = code
        if math.isfinite(number) and not number.is_integer():
            found.setdefault(float(np.float32(number)), code)
    return found


def _plain_number(text: str) -> float:
    """A number as people write it, NaN where it is none: Python would also take 0_5 for 5."""
    try:
        return math.nan if "_" in text else float(visible_text(text))
    except ValueError:
        return math.nan


def resolve_rating(text: str, column: Column) -> Resolved:
    """Score of a text, or the reason for having none."""
    scale = column.scale
    if scale is None:
        raise RefusedError("a rating must have a scale|Declare `scale` in the study file.")
    missing = _missing(text, column)
    if missing:
        return missing
    code = normal_code(text)
    score = _plain_number(code)
    if math.isnan(score):
        by_label = {normal_code(label): value for value, label in scale.labels.items()}
        if code in by_label:
            return Resolved(float(by_label[code]), None)
    score += column.shift
    if column.reverse:
        score = scale.low + scale.high - score
    if score.is_integer() and scale.low <= score <= scale.high:
        return Resolved(score, None)
    quoted = code if code.lstrip("-").isdigit() else f'"{text.strip()}"'
    what = f"stored codes (shift = {column.shift})" if column.shift else "scores"
    raise RefusedError(
        f"{what} must be whole numbers from {scale.low - column.shift} to "
        f'{scale.high - column.shift}|If {quoted} means "no answer", declare it in the study '
        f'file: missing = {{{quoted} = "no answer"}}.'
    )


def resolve_segment(text: str, column: Column) -> Resolved:
    """Label of a text, or the reason for having none."""
    missing = _missing(text, column)
    if missing:
        return Resolved(None, missing.reason)
    code = normal_code(text)
    if not column.values:
        return Resolved(_trimmed(text), None)
    if code in column.values:
        return Resolved(column.values[code], None)
    labels = {normal_code(label): label for label in column.values.values()}
    if code in labels:
        return Resolved(labels[code], None)
    near = nearest(text, [*column.values, *labels.values()])
    raise RefusedError(
        f"values must be among {one_of(column.values)}|"
        + (f"Did you mean '{near}'? " if near else "")
        + "Declare the value in `values`, or its code in `missing`."
    )


def resolve_number(text: str, column: Column) -> Resolved:
    """Number in a text, or the reason for having none."""
    missing = _missing(text, column)
    if missing:
        return missing
    number = _plain_number(text)
    code = coded_numbers(tuple(column.missing)).get(number) if column.missing else None
    if code is not None:
        return Resolved(math.nan, column.missing[code])
    if not math.isfinite(number):
        raise RefusedError(
            "values must be finite numbers|Declare codes of missing values in `missing`."
        )
    return Resolved(number, None)


def resolve_weight(text: str, column: Column) -> Resolved:
    """Weight in a text."""
    number = _plain_number(text)
    if not (math.isfinite(number) and number >= 0):
        raise RefusedError(
            "weights must be finite numbers of 0 or more|Give a row outside the population "
            "the weight 0, or leave it out of the file."
        )
    return Resolved(number, None)


def resolve_text(text: str, column: Column) -> Resolved:
    """The text as `Study.read` gives it, or the reason for having none."""
    missing = _missing(text, column)
    if missing:
        return Resolved(None, missing.reason)
    if column.role in TELLING_APART and re.fullmatch(ROUNDED, visible_text(text)):
        raise RefusedError(f"ids must have all their digits|{ROUNDED_BY_EXCEL}")
    return Resolved(_trimmed(text), None)


#: Role to what its texts mean; `resolve_text` otherwise.
RESOLVERS = {
    **dict.fromkeys(RATING_ROLES, resolve_rating),
    "segment": resolve_segment,
    **dict.fromkeys(NUMBER_ROLES, resolve_number),
    "weight": resolve_weight,
}


def _trimmed(text: str) -> str:
    """The text as written, but 233.0 (a spreadsheet's whole number) as 233."""
    code, trimmed = normal_code(text), visible_text(text)
    # as in 007, an id whose zeros are part of it
    padded = trimmed.startswith("0") and trimmed[1:2].isdigit()
    return code if code.lstrip("-").isdigit() and not padded else trimmed


def natural_order(text: str) -> tuple[bool, float, str]:
    """Key that sorts numbers by size, before words."""
    try:
        return (False, float(text), text)
    except ValueError:
        return (True, 0.0, text)
