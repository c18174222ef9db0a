"""Characters that nobody sees, and text without them."""

from __future__ import annotations

import re

#: What Python's str.split() takes for white space; engines' own classes differ.
SPACE = "\t\n\x0b\x0c\r\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: Zero-width spaces, byte-order marks within a file, soft hyphens, marks of direction.
INVISIBLE = "\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
#: Zero-width joiners: part of words in Persian and Hindi, and of emoji, but not at an end.
JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile(f"[{INVISIBLE}]")


def visible_text(text: str) -> str:
    """The text as people see it: trimmed, single spaces, no invisible characters.

    Examples
    --------
    >>> visible_text(" \\ufeff8\\u200b "), visible_text("two \\xa0 words")
    ('8', 'two words')
    """
    if text.isascii():
        return " ".join(text.split())
    return " ".join(_INVISIBLE.sub("", text).split()).strip(f"{JOINERS} ")
