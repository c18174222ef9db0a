"""Raw text of one column → values and reasons for what is missing.

Every distinct text is resolved once, in Python, into a value or a reason, which every row
of that text then takes. So a rule is stated in one place, whatever the number of rows.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, nearest, one_of
from cxlab.survey.dates import no_date, read_dates
from cxlab.survey.definition import Column
from cxlab.survey.scales import normal_code

#: Roles whose values tell rows or people apart.
TELLING_APART = ("id", "customer", "cluster")
#: What a spreadsheet makes of a long number: 1.18E+11.
ROUNDED = "[0-9]([.,][0-9]+)?[eE][+][0-9]{2,3}"
ROUNDED_BY_EXCEL = (
    "Excel has rounded them, so that different ids read alike. Export the answers again and set "
    "the column to Text before you save them in Excel."
)
ALL_ZERO = "weights must not all be 0. Take the column out of the study, or get the file again."


class RefusedError(ValueError):
    """What a text was not: raised by a resolver, completed with place and count."""


@dataclass(frozen=True)
class Resolved:
    """What one distinct raw text means: a value, or a reason for having none."""

    value: Any
    reason: str | None


@dataclass(frozen=True, eq=False)
class ResolvedColumn:
    """What the rows of one column mean.

    Attributes
    ----------
    distinct : list of Resolved
    numbers : ndarray of int, shape (rows,)
        Each row's place in ``distinct``.
    index : Index
        Of the rows.
    """

    distinct: list[Resolved]
    numbers: np.ndarray
    index: pd.Index

    def values(self, dtype: str) -> pd.Series:
        """Each row's value."""
        return self._rows([one.value for one in self.distinct], dtype)

    def reasons(self) -> pd.Series:
        """Each row's reason, null where there is a value."""
        return self._rows([one.reason for one in self.distinct], "str")

    def _rows(self, distinct: list[Any], dtype: str) -> pd.Series:
        # without a row there is nothing distinct either
        return pd.Series(distinct, dtype=dtype).take(self.numbers).set_axis(self.index)


def clean_rating(raw: pd.Series, column: Column, place: str) -> tuple[pd.Series, pd.Series]:
    """Scores (float, NaN unless answered) and reasons (text, null where answered).

    Raises
    ------
    ValueError
        For a text that is neither a score, a label of the scale nor a declared code.
    """
    found = _resolve(raw, lambda text: resolve_rating(text, column), place)
    return found.values("float64"), found.reasons()


def clean_segment(raw: pd.Series, column: Column, place: str) -> pd.Series:
    """Labels as a categorical whose categories keep the declared order."""
    labels = _resolve(raw, lambda text: resolve_segment(text, column), place).values("str")
    declared = list(dict.fromkeys(column.values.values()))
    categories = declared or sorted({str(x) for x in labels.dropna().unique()}, key=natural_order)
    return pd.Series(pd.Categorical(labels, categories=categories), index=raw.index)


def clean_number(raw: pd.Series, column: Column, place: str) -> pd.Series:
    """Numbers as float; NaN where the cell is blank or a missing code."""
    return _resolve(raw, lambda text: resolve_number(text, column), place).values("float64")


def clean_weight(raw: pd.Series, column: Column, place: str) -> pd.Series:
    """Weights, every one a finite number of 0 or more."""
    weights = _resolve(raw, resolve_weight, place).values("float64")
    if not (weights > 0).any():
        raise ValueError(f"{place}: {ALL_ZERO}")
    return weights


def clean_text(raw: pd.Series, column: Column, place: str) -> pd.Series:
    """Trimmed text, whole numbers without decimals; null where blank or a missing code."""
    return _resolve(raw, lambda text: resolve_text(text, column), place).values("str")


def clean_date(raw: pd.Series, column: Column, place: str) -> pd.Series:
    """Dates and times; NaT where blank or a missing code."""
    found = _resolve(raw, lambda text: resolve_text(text, column), place)
    texts = pd.Series([one.value for one in found.distinct], dtype="str")
    try:
        dates = read_dates(texts, column.format)
    except ValueError as error:
        raise ValueError(
            f"{place}: dates must all be of one time zone, or all without; got different ones. "
            'Write them alike, or declare a `format` that ends in %Z, such as "%Y-%m-%d %H:%M %Z": '
            "times are then given in UTC."
        ) from error
    bad = texts[dates.isna() & texts.notna()]
    if len(bad):
        total = int(np.isin(found.numbers, bad.index).sum())
        raise ValueError(f"{place}: {no_date(str(bad.iloc[0]), total, column.format)}")
    return dates.take(found.numbers).set_axis(found.index)


def _resolve(raw: pd.Series, resolver: Callable[[str], Resolved], place: str) -> ResolvedColumn:
    numbers, texts = pd.factorize(raw, use_na_sentinel=False)
    distinct: list[Resolved] = []
    refused: dict[str, str] = {}
    for text in texts:
        try:
            distinct.append(resolver(text))
        except RefusedError as error:
            refused[text] = str(error)
    if refused:
        offending = raw[raw.isin(list(refused))]
        first = offending.iloc[0]
        allowed, _, advice = refused[first].partition("|")
        raise ValueError(f"{place}: {allowed}; got {got([first], len(offending))}. {advice}")
    return ResolvedColumn(distinct, numbers, raw.index)


def _missing(text: str, column: Column) -> Resolved | None:
    code = normal_code(text)
    if code == "":
        return Resolved(math.nan, column.blank)
    if code in column.missing:
        return Resolved(math.nan, column.missing[code])
    return None


def coded_numbers(codes: Iterable[str]) -> dict[float, str]:
    """Codes that are finite numbers, by each value that a file may hold for them.

    Stored in 32 bits, -99.9 is -99.90000152587890625.

    Examples
    --------
    >>> coded_numbers(["-1", "0.25", "n/a"])
    {-1.0: '-1', 0.25: '0.25'}
    >>> list(coded_numbers(["9.99"]))
    [9.99, 9.989999771118164]
    """
    found: dict[float, str] = {}
    for code in codes:
        try:
            number = _plain_number(code)
        except ValueError:
            continue
        if math.isfinite(number):
            found[number] = code
        if math.isfinite(number) and not number.is_integer():
            found.setdefault(float(np.float32(number)), code)
    return found


@functools.lru_cache(maxsize=64)
def _numbers_of(codes: tuple[str, ...]) -> Mapping[float, str]:
    return coded_numbers(codes)


def _plain_number(text: str) -> float:
    """A number as people write it: Python would also take 0_5 for 5."""
    if "_" in text:
        raise ValueError(text)
    return float(visible_text(text))


def resolve_rating(text: str, column: Column) -> Resolved:
    """Score of a text, or the reason for having none."""
    scale = column.scale
    if scale is None:
        raise RefusedError("a rating must have a scale|Declare `scale` in the study file.")
    missing = _missing(text, column)
    if missing:
        return missing
    code = normal_code(text)
    try:
        score = _plain_number(code)
    except ValueError:
        score = math.nan
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
    try:
        number = _plain_number(text)
    except ValueError:
        number = math.nan
    code = _numbers_of(tuple(column.missing)).get(number) if column.missing else None
    if code is not None:
        return Resolved(math.nan, column.missing[code])
    if not math.isfinite(number):
        raise RefusedError(
            "values must be finite numbers|Declare codes of missing values in `missing`."
        )
    return Resolved(number, None)


def resolve_weight(text: str) -> Resolved:
    """Weight in a text."""
    try:
        number = _plain_number(text)
    except ValueError:
        number = math.nan
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
