"""Text from the data, made harmless: invisible and control characters, spreadsheets' formulas."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

#: What Python's str.split() takes for white space; engines' own classes differ.
SPACE = "\t\n\x0b\x0c\r\x1c-\x1f \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
#: Zero-width spaces, byte-order marks within a file, soft hyphens, marks of direction.
INVISIBLE = "\xad\u034f\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"
#: Zero-width joiners: part of words in Persian and Hindi, and of emoji, but not at an end.
JOINERS = "\u200c\u200d"
_INVISIBLE = re.compile(f"[{INVISIBLE}]")
#: What no XML, terminal or chart takes: controls but tab and line ends, halves of surrogate
#: pairs, and the two code points that are no characters. The byte order mark is none of them.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
#: How spreadsheets recognise a formula, full-width forms too, and a cell quoted for it before.
_FORMULA = re.compile(r"'*\s*[=+\-@＝＋－＠]|'*[\t\r\n]")
#: How a CSV file tells a spreadsheet that a cell is text: ``="0712"`` is seen as 0712.
_TEXT_FORMULA = re.compile(r'="([^"]*)"')
#: A number that a spreadsheet was told to take as text, ``'9`` or ``"9"``.
_QUOTED_NUMBER = re.compile(r"""['"](-?[0-9][0-9.,]*)['"]?""")
_WIDE_NUMBER = re.compile("[－-]?[０-９][０-９．，.,]*")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?", re.I)


def visible_text(text: str) -> str:
    """The text as people see it: trimmed, single spaces, no invisible characters.

    Numbers written as text, or in full-width digits, are numbers.

    >>> visible_text(" \\ufeff8\\u200b "), visible_text("two \\xa0 words")
    ('8', 'two words')
    >>> visible_text("'9"), visible_text("１０"), visible_text("１０月")
    ('9', '10', '１０月')
    """
    as_text = _TEXT_FORMULA.fullmatch(text)
    if as_text:
        text = as_text[1]
    if text.isascii():
        seen = " ".join(text.split())
    else:
        seen = " ".join(_INVISIBLE.sub("", text).split()).strip(f"{JOINERS} ")
        if _WIDE_NUMBER.fullmatch(seen):
            return unicodedata.normalize("NFKC", seen)
    quoted = seen[:1] in "'\"" and _QUOTED_NUMBER.fullmatch(seen)
    return quoted[1] if quoted else seen


def printable(value: Any) -> Any:
    """Text with a blank for each control character; lists and mappings likewise.

    >>> printable("So\\x0buth"), printable({"n": 1, "names": ["a\\x1b[2J"]})
    ('So uth', {'n': 1, 'names': ['a [2J']})
    """
    if isinstance(value, str):
        return _CONTROLS.sub(" ", value)
    if isinstance(value, dict):
        return {printable(key): printable(item) for key, item in value.items()}
    return [printable(item) for item in value] if isinstance(value, list) else value


def quote_formula(cell: Any) -> Any:
    """Text as a CSV file holds it: after ``'`` where a spreadsheet would take it for a formula.

    Numbers stay numbers, also those that are written as text.

    >>> quote_formula("=1+1"), quote_formula("-4.5"), quote_formula(-4.5), quote_formula("Gates")
    ("'=1+1", '-4.5', -4.5, 'Gates')
    """
    if not isinstance(cell, str):
        return cell
    text = printable(cell)
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unquote_formula(cell: str) -> str:
    """The text that `quote_formula` was given; ``'s Hertogenbosch`` stays."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def letters(text: str) -> str:
    """The letters and digits of a text, case folded: how headers of platforms are compared."""
    return re.sub(r"[\W_]", "", text).casefold()
