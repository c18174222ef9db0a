"""Text, ids, segments of the file's own words, numbers and weights, by expressions.

These columns may hold a different value in every row, so nothing of them is fetched: cells
that an expression cannot read are counted, and one of them is named.
"""

from __future__ import annotations

from collections.abc import Mapping

import narwhals as nw

from cxlab.survey.cleaning import (
    ALL_ZERO,
    ROUNDED,
    TELLING_APART,
    coded_numbers,
    resolve_number,
    resolve_text,
    resolve_weight,
)
from cxlab.survey.lazy.fields import Field, refuse_rows
from cxlab.survey.lazy.text import (
    NUMBER,
    PLAIN_NUMBER,
    any_of,
    as_text,
    even,
    is_blank,
    is_code,
    is_empty,
    is_untidy,
    known,
    not_whole,
    tidy,
)

INFINITY = float("inf")


def text_looks(field: Field) -> dict[str, nw.Expr]:
    """What to count of a text: blanks, cells to be tidied, missing codes, odd numbers."""
    text = as_text(field.cells, field.dtype)
    looks = {}
    if field.dtype.is_float():
        looks["odd"] = not_whole(field.cells, field.dtype)
    if not _writes_digits(field):
        looks |= {"blank": is_blank(text), "untidy": is_untidy(text)}
    if field.column.role in TELLING_APART and not _writes_digits(field):
        looks["rounded"] = _rounded(text)
    if field.column.missing:
        looks["missing"] = is_code(even(text), field.column.missing)
    return looks


def clean_text(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> nw.Expr:
    """Trimmed text, whole numbers without decimals; null where blank or a missing code."""
    if found.get("odd"):
        raise ValueError(
            f"{field.place}: numbers must be whole to be read as text lazily; {found['odd']:,} are "
            "not. Store the column as text, or read with engine='pandas'."
        )
    text = as_text(field.cells, field.dtype)
    if found.get("rounded"):
        column = field.column
        raise refuse_rows(
            field, rows, _rounded(text), found["rounded"], lambda one: resolve_text(one, column)
        )
    cleaned = tidy(text) if found.get("untidy") else text
    if found.get("blank"):
        # white space alone is untidy
        told = ~is_blank(text) if found["untidy"] else text != ""
        cleaned = nw.when(told).then(cleaned)
    if found.get("missing"):
        cleaned = nw.when(~is_code(even(text), field.column.missing)).then(cleaned)
    return cleaned


def _rounded(text: nw.Expr) -> nw.Expr:
    return even(text).str.contains(f"^{ROUNDED}$").fill_null(False)


def number_looks(field: Field) -> dict[str, nw.Expr]:
    """What to count of a number: cells that are none, blanks, uneven text."""
    looks = {"odd": _no_number(field)}
    says_missing = _says_missing(field)
    if says_missing is not None:
        looks["missing"] = says_missing
    return looks | _text_looks(field)


def clean_number(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> nw.Expr:
    """Numbers; null where the cell is blank or a missing code."""
    if found["odd"]:
        column = field.column
        raise refuse_rows(
            field, rows, _no_number(field), found["odd"], lambda text: resolve_number(text, column)
        )
    numbers = _checked_numbers(field, found)
    says_missing = _says_missing(field) if found.get("missing") else None
    return numbers if says_missing is None else nw.when(~says_missing).then(numbers)


def weight_looks(field: Field) -> dict[str, nw.Expr]:
    """What to count of a weight: cells that are none, uneven text."""
    return {"odd": _no_weight(field), "positive": _numbers(field) > 0} | _text_looks(field)


def clean_weight(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> nw.Expr:
    """Weights, every one a finite number of 0 or more."""
    if found["odd"]:
        raise refuse_rows(field, rows, _no_weight(field), found["odd"], resolve_weight)
    if not found["positive"]:
        raise ValueError(f"{field.place}: {ALL_ZERO}")
    return _checked_numbers(field, found)


def _text_looks(field: Field) -> dict[str, nw.Expr]:
    if field.numeric:
        return {}
    text = as_text(field.cells, field.dtype)
    plain = text.str.contains(PLAIN_NUMBER).fill_null(False)
    return {"unlike": ~plain & ~is_empty(text), "empty": is_empty(text)}


def _checked_numbers(field: Field, found: Mapping[str, int]) -> nw.Expr:
    """Numbers of which the counts say how much care they need: little, as a rule."""
    if field.numeric or found["unlike"]:
        return _numbers(field)
    text = as_text(field.cells, field.dtype)
    return (nw.when(text != "").then(text) if found["empty"] else text).cast(nw.Float64)


def _writes_digits(field: Field) -> bool:
    """Whether the column's type leaves nothing to tidy."""
    return field.dtype.is_integer() or field.dtype.is_float() or field.dtype == nw.Boolean


def _numbers(field: Field) -> nw.Expr:
    """The cells as numbers, null where they are none."""
    if field.numeric:
        return known(field.cells, field.dtype).cast(nw.Float64)
    text = even(as_text(field.cells, field.dtype))
    return nw.when(text.str.contains(NUMBER)).then(text).cast(nw.Float64)


def _says_missing(field: Field) -> nw.Expr | None:
    """Whether a cell is one of the column's missing codes; None where none can be."""
    codes = field.column.missing
    numbers = coded_numbers(codes)
    words = [] if field.numeric else [code for code in codes if code not in numbers.values()]
    tests = [_numbers(field) == number for number in numbers]
    if words:
        tests.append(is_code(even(as_text(field.cells, field.dtype)), words))
    return any_of(tests).fill_null(False) if tests else None


def _no_number(field: Field) -> nw.Expr:
    numbers = _numbers(field)
    finite = (numbers > -INFINITY) & (numbers < INFINITY)
    if field.numeric:
        blank = known(field.cells, field.dtype).is_null()
    else:
        blank = is_blank(as_text(field.cells, field.dtype))
    unread = ~blank & ~finite.fill_null(False)
    says_missing = _says_missing(field)
    return unread if says_missing is None else unread & ~says_missing


def _no_weight(field: Field) -> nw.Expr:
    numbers = _numbers(field)
    return ~((numbers >= 0) & (numbers < INFINITY)).fill_null(False)
