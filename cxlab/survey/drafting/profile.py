"""What one column of a raw file holds, counted once."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field

import pandas as pd

from cxlab.survey.scales import normal_code

#: Digits of other scripts stay words; `normal_code` has one spelling for a whole number.
WHOLE = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Profile:
    """Counts of one column.

    Attributes
    ----------
    header : str
    place : int
        Position in the file, from 0.
    rows, blank : int
        Rows of the file, and how many are blank here.
    counts : dict of str to int
        Code (see `normal_code`) to rows, blanks apart, in order of appearance.
    spelling : dict of str to str
        Code to its most frequent text; whole numbers without decimals.
    """

    header: str
    place: int
    rows: int
    blank: int
    counts: dict[str, int]
    spelling: dict[str, str]
    whole: dict[int, int] = field(init=False)
    fractions: dict[str, int] = field(init=False)
    words: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        whole, fractions, words = {}, {}, {}
        for code, rows in self.counts.items():
            if WHOLE.fullmatch(code):
                whole[int(code)] = rows
            elif _NUMBER.fullmatch(code) and math.isfinite(float(code)):
                fractions[code] = rows
            else:
                words[code] = rows
        object.__setattr__(self, "whole", whole)
        object.__setattr__(self, "fractions", fractions)
        object.__setattr__(self, "words", words)

    @property
    def filled(self) -> int:
        """Rows that hold something."""
        return self.rows - self.blank

    @property
    def numeric(self) -> int:
        """Rows that hold a number."""
        return sum(self.whole.values()) + sum(self.fractions.values())

    @property
    def unique(self) -> bool:
        """Whether every row holds something else."""
        return not self.blank and len(self.counts) == self.rows


def profile_column(raw: pd.Series, place: int) -> Profile:
    """Count the texts of one raw column.

    Examples
    --------
    >>> profile_column(pd.Series(["5", "5.0", " n/a", "N/A", ""], name="q"), 0).counts
    {'5': 2, 'n/a': 2}
    """
    texts = raw.value_counts(sort=False)
    counts: Counter[str] = Counter()
    spelling: dict[str, tuple[int, str]] = {}
    for text, rows in texts.items():
        code = normal_code(text)
        counts[code] += int(rows)
        written = " ".join(str(text).split())
        if rows > spelling.get(code, (0, ""))[0]:
            spelling[code] = (int(rows), written)
    blank = counts.pop("", 0)
    return Profile(
        header=str(raw.name),
        place=place,
        rows=len(raw),
        blank=blank,
        counts=dict(counts),
        spelling={
            code: code if WHOLE.fullmatch(code) else text
            for code, (_, text) in spelling.items()
            if code
        },
    )
