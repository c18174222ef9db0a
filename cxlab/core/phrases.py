"""Numbers and names as they stand in a sentence: rounded by how well they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from decimal import ROUND_HALF_UP, Context, Decimal

MINUS = "−"
#: How a unit follows its number: per cent has a blank, points and scores are named elsewhere.
AFTER = {"%": " %", "points": "", "score": ""}
#: Most decimals that a sentence may show.
MOST_DECIMALS = 4
ROUNDING = Context(prec=400, rounding=ROUND_HALF_UP)


def decimals_for(
    half_width: float, value: float | Iterable[float] = (), references: Iterable[float] = ()
) -> int:
    """Decimals at which a half-width has one significant digit, more where values coincide.

    A half-width that is NaN or 0 gives one decimal. While a value (the estimate, its limits) rounds to
    the same as a reference that the sentence compares it with, and isn't the same, one more is shown.

    >>> decimals_for(7.8), decimals_for(0.12), decimals_for(34.0)
    (0, 1, 0)
    >>> decimals_for(7.8, value=-0.2, references=[0.1]), decimals_for(4.0, (4.1, 0.03, 8.1), [0.0])
    (1, 2)
    """
    if not math.isfinite(half_width) or half_width <= 0:
        decimals = 1
    else:
        decimals = max(0, -math.floor(math.log10(half_width) + 1e-12))
    decimals, others = min(decimals, MOST_DECIMALS), list(references)
    pairs = [
        (one, other)
        for one in (value if isinstance(value, Iterable) else [value])
        for other in others
        # what is lost in binary is no difference
        if math.isfinite(one - other) and not math.isclose(one, other, abs_tol=1e-9)
    ]
    while decimals < MOST_DECIMALS and any(
        number(one, decimals) == number(other, decimals) for one, other in pairs
    ):
        decimals += 1
    return decimals


def number(value: float, decimals: int = 0) -> str:
    """A number with a true minus and commas between thousands; no sign on a rounded zero.

    A half is rounded away from zero, as spreadsheets do, and as its digits are written.

    >>> number(-4.52, 1), number(-0.01, 1), number(12345.0), number(-4.5), number(0.15, 1)
    ('−4.5', '0.0', '12,345', '−5', '0.2')
    """
    size = abs(float(value))
    text = f"{size}"
    if math.isfinite(size):
        last_place = Decimal(1).scaleb(-decimals)
        text = f"{Decimal(repr(size)).quantize(last_place, context=ROUNDING):,f}"
    zero = not text.strip("0.,")
    return MINUS + text if value < 0 and not zero else text


def signed(value: float, decimals: int = 0) -> str:
    """As `number`, with a plus before what is above zero."""
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def amount(value: float, unit: str, decimals: int = 0) -> str:
    """A number with its unit where the unit is a sign: ``17 %``, but ``−4.5`` of points."""
    return number(value, decimals) + AFTER.get(unit, f" {unit}" if unit else "")


def interval(low: float, high: float, decimals: int = 0) -> str:
    """Two limits in words: ``−12 to 3``."""
    return f"{number(low, decimals)} to {number(high, decimals)}"


def with_interval(
    estimate: float, low: float, high: float, unit: str = "", references: Iterable[float] = ()
) -> str:
    """A number and its interval, both rounded by the interval's width.

    >>> with_interval(17.2, 13.4, 20.1, "%"), with_interval(2.1, 0.3, 3.9, references=[0.0])
    ('17 % (13 to 20)', '2.1 (0.3 to 3.9)')
    """
    # a limit that seems to touch the reference would contradict the word beside it
    decimals = decimals_for((high - low) / 2, (estimate, low, high), references)
    return f"{amount(estimate, unit, decimals)} ({interval(low, high, decimals)})"


def size_with_interval(estimate: float, low: float, high: float) -> str:
    """How large a difference is whose interval leaves out 0, without its sign: ``4.1 (0.3 to 7.9)``."""
    nearer, farther = sorted((abs(low), abs(high)))
    return with_interval(abs(estimate), nearer, farther, references=[0.0])


def interval_beside_zero(low: float, high: float) -> str:
    """The interval of a difference; a limit near 0 has the decimals that tell it from 0.

    >>> interval_beside_zero(-0.04, 16.2)
    '−0.04 to 16'
    """
    half_width = (high - low) / 2
    return " to ".join(
        number(limit, decimals_for(half_width, limit, [0.0])) for limit in (low, high)
    )


def listed(names: Sequence[str], *, most: int = 3, last: str = "and") -> str:
    """Names in a row; what is beyond ``most`` is counted.

    A name that holds a comma or "and" makes semicolons part the names.

    >>> listed(["Parking", "WiFi"]), listed(["Parking", "WiFi", "Shops"], last="or")
    ('Parking and WiFi', 'Parking, WiFi or Shops')
    >>> listed(["A", "B", "C", "D", "E"]), listed(["Food, drinks", "Signs and ways", "WiFi"])
    ('A, B, C and 2 more', 'Food, drinks; Signs and ways; WiFi')
    """
    shown, more = list(names[:most]), len(names) - most
    mark = ";" if any("," in name or " and " in name for name in shown) else ","
    if more > 0:
        return f"{f'{mark} '.join(shown)} and {more} more"
    if mark == ";" or len(shown) < 2:
        return "; ".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def joined(*parts: str) -> str:
    """The parts that say something, a semicolon between them."""
    return "; ".join(part for part in parts if part)


def capital(text: str) -> str:
    """As a sentence begins: "NPS" and what follows the first letter stay as they are."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """As within a sentence; abbreviations and names such as WiFi stay.

    >>> small("No change"), small("NPS is 4"), small("WiFi on board")
    ('no change', 'NPS is 4', 'WiFi on board')
    """
    word = text.partition(" ")[0]
    plain = text[1:2].islower() and word[1:] == word[1:].lower()
    return text[:1].lower() + text[1:] if plain else text


_WORDS = [
    "no",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]


def in_words(count: int) -> str:
    """A small count as a word: ``two``, but ``40``."""
    return _WORDS[count] if count < len(_WORDS) else f"{count:,}"
