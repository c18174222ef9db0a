"""Ratings and segments with declared values: codes → scores, labels and reasons.

What a code means is asked of the resolvers of `cxlab.survey.cleaning`, once per code; only
the mapping goes to the engine. Codes that the study does not spell out are counted first,
and their distinct spellings fetched and resolved where there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import narwhals as nw

from cxlab.survey.cleaning import (
    RefusedError,
    Resolved,
    coded_numbers,
    resolve_rating,
    resolve_segment,
)
from cxlab.survey.definition import RATING_ROLES, Column
from cxlab.survey.lazy.fields import Field, Resolver, refuse_rows, resolve_rows
from cxlab.survey.lazy.text import any_of, as_text, chosen, known

#: Type of a rating: whole, with room for products of two, and without NaN.
SCORE = nw.Int32
#: Scores that are written into a query.
MOST_SCORES = 1_000


def looks(field: Field) -> dict[str, nw.Expr]:
    """What to count: cells that the study does not spell out."""
    scale = field.column.scale
    if scale is not None and scale.high - scale.low > MOST_SCORES:
        raise ValueError(
            f"{field.place}: a scale must have {MOST_SCORES:,} scores at most to be read lazily; got "
            f"{scale.low} to {scale.high}. Read with engine='pandas', or declare a number."
        )
    return {"odd": _is_odd(field)}


def clean_rating(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> dict[str, nw.Expr]:
    """Scores, and reasons where there is none."""
    column = field.column
    meaning = _meanings(field, found, rows)
    scores = {text: one for text, one in meaning.items() if one.reason is None}
    reasons = {text: one for text, one in meaning.items() if one.reason is not None}
    missing = _by_result(field, reasons, lambda one: one.reason)
    blank = [(_empty(field), column.blank)] if column.blank else []
    return {
        column.name: _scores(field, scores),
        f"{column.name}_missing": chosen([*missing, *blank]).cast(nw.String),
    }


def clean_segment(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> dict[str, nw.Expr]:
    """Declared labels as text."""
    meaning = _meanings(field, found, rows)
    labels = {text: one for text, one in meaning.items() if one.value is not None}
    labelled = _by_result(field, labels, lambda one: str(one.value))
    return {field.column.name: chosen(labelled).cast(nw.String)}


def resolver_of(column: Column) -> Resolver:
    """What a text of the column means, as the pandas path has it."""
    if column.role in RATING_ROLES:
        return lambda text: resolve_rating(text, column)
    return lambda text: resolve_segment(text, column)


def _spelt_out(column: Column) -> dict[str, Resolved]:
    """Codes as the study writes them, and what they mean; labels come in where they occur."""
    texts = [*column.missing, *column.values]
    if column.role == "segment":
        texts += column.values.values()
    if column.scale is not None:
        low, high = column.scale.low - column.shift, column.scale.high - column.shift
        texts += map(str, range(low, high + 1))
    resolver, meaning = resolver_of(column), {}
    for text in dict.fromkeys(texts):
        try:
            meaning[text] = resolver(text)
        except RefusedError:
            continue
    return meaning


def _meanings(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> dict[str, Resolved]:
    """Every text that stands for something in the rows."""
    resolver = resolver_of(field.column)
    meaning = {"": resolver(""), **_spelt_out(field.column)}
    if not found["odd"]:
        return meaning
    if field.numeric:
        raise refuse_rows(field, rows, _is_odd(field), found["odd"], resolver)
    cells = as_text(field.cells, field.dtype)
    return meaning | resolve_rows(field, rows, _is_odd(field), cells, resolver)


def _is_odd(field: Field) -> nw.Expr:
    meaning = ["", *_spelt_out(field.column)]
    inside = _is_one_of(field, meaning)
    return ~_empty(field) & ~inside.fill_null(False)


def _empty(field: Field) -> nw.Expr:
    return known(field.cells, field.dtype).is_null()


def _is_one_of(field: Field, texts: Iterable[str]) -> nw.Expr:
    """Whether a cell is one of the texts; null where it is empty."""
    if not field.numeric:
        return as_text(field.cells, field.dtype).is_in(list(texts))
    if field.dtype.is_integer():
        return any_of(_between(field.cells, *run) for run in _runs(_numbers(texts)))
    values = known(field.cells, field.dtype).cast(nw.Float64)
    return any_of(values == number for number in [*map(float, _numbers(texts)), *_fractions(texts)])


def _between(cells: nw.Expr, low: int, high: int) -> nw.Expr:
    return cells == low if low == high else cells.is_between(low, high)


def _numbers(texts: Iterable[str]) -> list[int]:
    return sorted({int(text) for text in texts if text.lstrip("-").isdecimal()})


def _fractions(texts: Iterable[str]) -> list[float]:
    """Numbers with decimals, of the texts that are written as Python would."""
    numbers = coded_numbers(texts)
    return [n for n, text in numbers.items() if not n.is_integer() and str(n) == text]


def _runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Runs of successive whole numbers.

    Examples
    --------
    >>> _runs([0, 1, 2, 6])
    [(0, 2), (6, 6)]
    """
    runs: list[tuple[int, int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1] = (runs[-1][0], number)
        else:
            runs.append((number, number))
    return runs


def _by_result(
    field: Field, meaning: Mapping[str, Resolved], result: Callable[[Resolved], Any]
) -> list[tuple[nw.Expr, Any]]:
    """One condition per result."""
    texts: dict[Any, list[str]] = {}
    for text, one in meaning.items():
        texts.setdefault(result(one), []).append(text)
    return [(_is_one_of(field, group), value) for value, group in texts.items()]


def _scores(field: Field, meaning: Mapping[str, Resolved]) -> nw.Expr:
    plain = {text: int(one.value) for text, one in meaning.items() if _is_digits(text)}
    line = _line({int(text): score for text, score in plain.items()})
    if line is None:
        return chosen(_by_result(field, meaning, lambda one: int(one.value))).cast(SCORE)
    cells = known(field.cells, field.dtype)
    # what is no code was refused, so that the ends tell; but a code may lie between two scores
    ends_tell = field.numeric and not _fractions(field.column.missing)
    inside = cells.is_between(*_ends(plain)) if ends_tell else _is_one_of(field, plain)
    if field.dtype.is_integer():
        digits = nw.when(inside).then(cells).cast(SCORE)
    elif field.numeric:
        # 0 elsewhere, not null: DuckDB casts what lies below a null, too
        whole = nw.when(inside).then(cells).otherwise(nw.lit(0.0)).cast(SCORE)
        digits = nw.when(inside).then(whole)
    else:
        digits = nw.when(inside).then(as_text(cells, field.dtype)).cast(SCORE)
    slope, start = line
    scores = digits if (slope, start) == (1, 0) else nw.lit(start) + slope * digits
    others = {text: one for text, one in meaning.items() if text not in plain}
    if field.numeric or not others:
        return scores.cast(SCORE)
    return chosen(_by_result(field, others, lambda one: int(one.value)), scores).cast(SCORE)


def _ends(texts: Iterable[str]) -> tuple[int, int]:
    """Lowest and highest of some numbers."""
    numbers = [int(text) for text in texts]
    return min(numbers), max(numbers)


def _is_digits(text: str) -> bool:
    """Whether a text is a whole number written plainly."""
    return text.lstrip("-").isdecimal() and str(int(text)) == text


def _line(scores: Mapping[int, int]) -> tuple[int, int] | None:
    """``(slope, start)`` where score = start ± code for successive codes.

    Examples
    --------
    >>> _line({1: 0, 2: 1, 3: 2}), _line({1: 5, 2: 4}), _line({1: 1, 3: 2})
    ((1, -1), (-1, 6), None)
    """
    codes = sorted(scores)
    if not codes or codes != list(range(codes[0], codes[-1] + 1)):
        return None
    for slope in (1, -1):
        starts = {score - slope * code for code, score in scores.items()}
        if len(starts) == 1:
            return slope, starts.pop()
    return None
