"""Numbers and names as they stand in a sentence: rounded by how well they are known."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

MINUS = "−"
#: How a unit follows its number: per cent has a blank, points and scores are named elsewhere.
AFTER = {"%": " %", "points": "", "score": ""}
#: Most decimals that a sentence may show.
MOST_DECIMALS = 4


def decimals_for(
    half_width: float, value: float | Iterable[float] = (), references: Iterable[float] = ()
) -> int:
    """Decimals at which a half-width has one significant digit, more where values coincide.

    Parameters
    ----------
    half_width : float
        Half the width of the interval, in the unit of the number; NaN or 0: one decimal.
    value : float or iterable of float
        The estimate, or the estimate and its limits.
    references : iterable of float
        What the sentence compares them with. While a value rounds to the same as one of them and
        isn't the same, one decimal more is shown, up to `MOST_DECIMALS`.

    Examples
    --------
    >>> decimals_for(7.8), decimals_for(0.12), decimals_for(34.0)
    (0, 1, 0)
    >>> decimals_for(7.8, value=-0.2, references=[0.1])
    1
    >>> decimals_for(4.0, (4.1, 0.03, 8.1), [0.0])
    2
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
        round(one, decimals) == round(other, decimals) for one, other in pairs
    ):
        decimals += 1
    return decimals


def number(value: float, decimals: int = 0) -> str:
    """A number with a true minus and commas between thousands; no sign on a rounded zero.

    Examples
    --------
    >>> number(-4.52, 1), number(-0.01, 1), number(12345.0)
    ('−4.5', '0.0', '12,345')
    """
    text = f"{abs(value):,.{decimals}f}"
    zero = not text.strip("0.,")
    return MINUS + text if value < 0 and not zero else text


def signed(value: float, decimals: int = 0) -> str:
    """As `number`, with a plus before what is above zero.

    Examples
    --------
    >>> signed(0.31, 1), signed(-0.31, 1), signed(0.0)
    ('+0.3', '−0.3', '0')
    """
    text = number(value, decimals)
    return f"+{text}" if value > 0 and text.strip("0.,") else text


def amount(value: float, unit: str, decimals: int = 0) -> str:
    """A number with its unit where the unit is a sign.

    Examples
    --------
    >>> amount(17.2, "%"), amount(-4.52, "points", 1)
    ('17 %', '−4.5')
    """
    return number(value, decimals) + AFTER.get(unit, f" {unit}" if unit else "")


def interval(low: float, high: float, decimals: int = 0) -> str:
    """Two limits in words.

    Examples
    --------
    >>> interval(-12.2, 3.3)
    '−12 to 3'
    """
    return f"{number(low, decimals)} to {number(high, decimals)}"


def with_interval(
    estimate: float, low: float, high: float, unit: str = "", references: Iterable[float] = ()
) -> str:
    """A number and its interval, both rounded by the interval's width.

    Examples
    --------
    >>> with_interval(17.2, 13.4, 20.1, "%")
    '17 % (13 to 20)'
    >>> with_interval(-4.52, -12.2, 3.3, "points")
    '−5 (−12 to 3)'
    >>> with_interval(6.24, 6.01, 6.47)
    '6.2 (6.0 to 6.5)'
    >>> with_interval(2.1, 0.3, 3.9, references=[0.0])
    '2.1 (0.3 to 3.9)'
    """
    # a limit that seems to touch the reference would contradict the word beside it
    decimals = decimals_for((high - low) / 2, (estimate, low, high), references)
    return f"{amount(estimate, unit, decimals)} ({interval(low, high, decimals)})"


def size_with_interval(estimate: float, low: float, high: float) -> str:
    """How large a difference is whose interval leaves out 0, without its sign.

    Examples
    --------
    >>> size_with_interval(-4.1, -7.9, -0.3)
    '4.1 (0.3 to 7.9)'
    """
    nearer, farther = sorted((abs(low), abs(high)))
    return with_interval(abs(estimate), nearer, farther, references=[0.0])


def interval_beside_zero(estimate: float, low: float, high: float) -> str:
    """The interval of a difference, at decimals that tell its limits from 0.

    Examples
    --------
    >>> interval_beside_zero(8.1, -0.04, 16.2)
    '−0.04 to 16.20'
    """
    return interval(low, high, decimals_for((high - low) / 2, (estimate, low, high), [0.0]))


def listed(names: Sequence[str], *, most: int = 3, last: str = "and") -> str:
    """Names in a row; what is beyond ``most`` is counted.

    A name that holds a comma or "and" makes semicolons part the names.

    Parameters
    ----------
    names : sequence of str
    most : int
        How many are named before "and k more".
    last : {"and", "or"}
        The word before the last name.

    Examples
    --------
    >>> listed(["Parking", "WiFi"]), listed(["Parking", "WiFi", "Shops"], last="or")
    ('Parking and WiFi', 'Parking, WiFi or Shops')
    >>> listed(["A", "B", "C", "D", "E"])
    'A, B, C and 2 more'
    >>> listed(["Food, drinks", "Signs and directions", "WiFi"])
    'Food, drinks; Signs and directions; WiFi'
    """
    shown, more = list(names[:most]), len(names) - most
    mark = ";" if any("," in name or " and " in name for name in shown) else ","
    if more > 0:
        return f"{f'{mark} '.join(shown)} and {more} more"
    if mark == ";" or len(shown) < 2:
        return "; ".join(shown)
    return f"{', '.join(shown[:-1])} {last} {shown[-1]}"


def joined(*parts: str) -> str:
    """The parts that say something, a semicolon between them.

    >>> joined("n = 40", "", "explored"), joined("", "")
    ('n = 40; explored', '')
    """
    return "; ".join(part for part in parts if part)


def capital(text: str) -> str:
    """As a sentence begins: "NPS" and what follows the first letter stay as they are."""
    return text[:1].upper() + text[1:]


def small(text: str) -> str:
    """As within a sentence; abbreviations stay.

    >>> small("No change"), small("NPS is 4")
    ('no change', 'NPS is 4')
    """
    return text[:1].lower() + text[1:] if text[1:2].islower() else text


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
    """A small count as a word.

    Examples
    --------
    >>> in_words(2), in_words(40)
    ('two', '40')
    """
    return _WORDS[count] if count < len(_WORDS) else f"{count:,}"
