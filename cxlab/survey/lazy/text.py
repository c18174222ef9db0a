"""Raw cells of any type as the text that the study file speaks of, by expressions.

The rules are those of `cxlab.survey.cleaning` and `cxlab.survey.scales.normal_code`, written
for engines that see the rows only as columns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import narwhals as nw

from cxlab.core.characters import INVISIBLE, JOINERS, SPACE
from cxlab.core.engines import without_nan

_BLANK = f"^[{SPACE}{INVISIBLE}{JOINERS}]*$"
_OTHER_SPACE = SPACE.replace(" ", "")
_UNEVEN = f"^[{SPACE}{JOINERS}]|[{SPACE}{JOINERS}]$|[{SPACE}][{SPACE}]|[{_OTHER_SPACE}{INVISIBLE}]"
#: Whole numbers that are respelt: with a plus, with decimals, minus and zero.
_WHOLE = r"^(\+[0-9]+(\.0*)?|-[0-9]+\.0*|-0[0-9]*|(0|[1-9][0-9]*)\.0*)$"
#: Numbers that every engine reads alike.
NUMBER = r"^[+-]?([0-9]{1,60}\.?[0-9]{0,60}|\.[0-9]{1,60})([eE][+-]?[0-9]{1,2})?$"
#: Numbers without sign of plus, white space or exponent.
PLAIN_NUMBER = r"^-?[0-9]{1,60}(\.[0-9]{1,60})?$"
#: Whole numbers up to here are exact as floating-point numbers and print without exponent.
LARGEST_WHOLE = 1e15


def chosen(branches: Sequence[tuple[nw.Expr, Any]], otherwise: nw.Expr | None = None) -> nw.Expr:
    """The value of the first condition that holds."""
    result = nw.lit(None) if otherwise is None else otherwise
    for condition, value in reversed(branches):
        then = value if isinstance(value, nw.Expr) else nw.lit(value)
        result = nw.when(condition).then(then).otherwise(result)
    return result


def any_of(conditions: Iterable[nw.Expr]) -> nw.Expr:
    """Whether one condition holds at least."""
    result = nw.lit(False)
    for number, condition in enumerate(conditions):
        result = condition if number == 0 else result | condition
    return result


def count(condition: nw.Expr) -> nw.Expr:
    """Rows that meet a condition."""
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def known(values: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    """The values, null where they are NaN."""
    return without_nan(values) if dtype.is_float() else values


def as_text(raw: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    """Cells as Python's ``str`` writes them; floats must be whole (see `not_whole`)."""
    if dtype == nw.String:
        return raw
    if dtype == nw.Boolean:
        return chosen([(raw, "True"), (~raw, "False")])
    if dtype.is_float():
        values = known(raw, dtype).cast(nw.Float64)
        whole = values.is_between(-LARGEST_WHOLE, LARGEST_WHOLE)
        # 0 elsewhere, not null: DuckDB casts what lies below a null, too
        safe = nw.when(whole).then(values).otherwise(nw.lit(0.0))
        return nw.when(whole).then(safe.cast(nw.Int64).cast(nw.String))
    if dtype == nw.Date:
        return raw.dt.to_string("%Y-%m-%d")
    return raw.cast(nw.String)


def not_whole(raw: nw.Expr, dtype: nw.dtypes.DType) -> nw.Expr:
    """Floats that `as_text` cannot write."""
    if not dtype.is_float():
        return nw.lit(False)
    values = known(raw, dtype).cast(nw.Float64)
    inside = values.is_between(-LARGEST_WHOLE, LARGEST_WHOLE)
    safe = nw.when(inside).then(values).otherwise(nw.lit(0.5))
    return ~values.is_null() & (safe != safe.cast(nw.Int64).cast(nw.Float64))


def is_empty(text: nw.Expr) -> nw.Expr:
    """Nothing at all."""
    return text.is_null() | (text == "").fill_null(False)


def is_blank(text: nw.Expr) -> nw.Expr:
    """Nothing, or white space only."""
    return text.is_null() | text.str.contains(_BLANK).fill_null(True)


def is_untidy(text: nw.Expr) -> nw.Expr:
    """Text that `tidy` would change."""
    return (text.str.contains(_UNEVEN) | text.str.contains(_WHOLE)).fill_null(False)


def even(text: nw.Expr) -> nw.Expr:
    """As `visible_text` has it: trimmed, single spaces, no invisible characters."""
    visible = text.str.replace_all(f"[{INVISIBLE}]", "").str.replace_all(f"[{SPACE}]+", " ")
    return visible.str.replace_all(f"^[ {JOINERS}]+|[ {JOINERS}]+$", "")


def tidy(text: nw.Expr) -> nw.Expr:
    """As `cxlab.survey.cleaning` writes text: even, and 233.0 as 233."""
    spaced = even(text)
    digits = spaced.str.replace_all(r"\.0*$", "").str.replace_all(r"^\+0*", "")
    digits = digits.str.replace_all("^-0+", "-")
    number = chosen([(digits.is_in(["", "-"]), "0")], digits)
    return nw.when(spaced.str.contains(_WHOLE)).then(number).otherwise(spaced)


def is_code(text: nw.Expr, codes: Iterable[str]) -> nw.Expr:
    """Whether even text means one of some codes, in `normal_code`'s spelling."""
    whole = [code for code in codes if re.fullmatch(r"-?[0-9]+", code)]
    words = [code for code in codes if code not in whole]
    tests = [text.str.contains(_spellings(code)) for code in whole]
    if words:
        tests.append(text.str.to_lowercase().is_in(words))
    return any_of(tests).fill_null(False)


def _spellings(code: str) -> str:
    sign = "-" if code.startswith("-") else "[+]?" if code != "0" else "[+-]?"
    return f"^{sign}0*{code.lstrip('-')}(\\.0*)?$"
