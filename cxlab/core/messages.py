"""Wording of errors: one clear sentence that says what is allowed, what came and what to do."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from datetime import date
from numbers import Real

#: Sequences that a terminal obeys: of a title or a link, and of colours, cursor and screen.
_ESCAPE = re.compile(r"\x1b(?:[\]P_^X][^\x07\x1b]*(?:\x07|\x1b\\)?|\[[0-?]*[ -/]*[@-~]|[ -~])")


def nearest(word: object, choices: Iterable[object]) -> str | None:
    """The choice spelt most like ``word``, or None when none is close."""
    by_folded = {str(choice).casefold(): str(choice) for choice in choices}
    close = difflib.get_close_matches(str(word).casefold(), by_folded, n=1, cutoff=0.6)
    return by_folded[close[0]] if close else None


def one_of(choices: Iterable[object], limit: int = 16) -> str:
    """Choices in words, the first ``limit`` of them: ``'score' or 'wald'``."""
    words = [f"'{choice}'" for choice in choices]
    if len(words) > limit:
        return ", ".join(words[:limit]) + f" or one of {len(words) - limit} more"
    if len(words) < 2:
        return "".join(words) or "nothing (there are none)"
    return ", ".join(words[:-1]) + " or " + words[-1]


def got(values: Sequence[object], total: int | None = None) -> str:
    """The first offending value and how many more there are: ``11 (and 83 more)``, ``'Blank'``."""
    total = len(values) if total is None else total
    first = values[0]
    shown = f"'{first}'" if isinstance(first, str) else f"{first}"
    return f"{shown} (and {total - 1:,} more)" if total > 1 else shown


def refuse(wrong: Iterable[object], must: str, then: str = ".") -> None:
    """Raise if any value is wrong, dates by their day: what must be, what is there, what to do.

    >>> refuse([], "`n` must be 1 or more")
    >>> refuse([0, -1], "`n` must be 1 or more", " in 'shop'. Leave it out.")
    Traceback (most recent call last):
    ValueError: `n` must be 1 or more; got 0 (and 1 more) in 'shop'. Leave it out.
    """
    values = [f"{one:%Y-%m-%d}" if isinstance(one, date) else one for one in wrong]
    if values:
        raise ValueError(f"{must}; got {got(values)}{then}")


def unknown(
    argument: str, value: object, choices: Iterable[object], *, of: str = "", what: str = ""
) -> str:
    """Message for a name that is not among the choices, with the nearest spelling.

    >>> unknown("role", "wieght", ["weight"], of="w")
    "`role` of 'w' must be 'weight'; got 'wieght'. Did you mean 'weight'?"
    """
    choices = list(choices)
    owner = f" of '{of}'" if of else ""
    message = f"`{argument}`{owner} must be {what}{one_of(choices)}; got '{value}'."
    return message + did_you_mean(value, choices)


def did_you_mean(word: object, choices: Iterable[object]) -> str:
    """A question for the choice spelt most like ``word``, to follow a sentence; "" for none."""
    near = nearest(word, choices)
    return f" Did you mean '{near}'?" if near else ""


def check_whole(argument: str, value: float, least: int) -> int:
    """A whole number of ``least`` or more; anything else is refused."""
    if isinstance(value, bool) or not isinstance(value, Real) or value % 1 or value < least:
        raise ValueError(f"`{argument}` must be a whole number of {least} or more; got {value}.")
    return int(value)


def one_line(text: object, longest: int = 400) -> str:
    """Text of others as one line that a terminal or a log shows and does nothing else with.

    >>> one_line("first\\n\\x1b[2Jsecond"), one_line("x" * 1_000, longest=5)
    ('first second', 'xxxxx … (1,000 characters)')
    """
    whole = str(text)
    # what is cut away need not be cleaned: it may be a hundred megabytes
    bare = _ESCAPE.sub(" ", whole[: 10 * longest])
    line = " ".join("".join(c if c.isprintable() else " " for c in bare).split())
    if len(line) <= longest and len(whole) <= 10 * longest:
        return line
    return f"{line[:longest]} … ({len(whole):,} characters)"
