"""What one column of a raw file holds, counted once."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.survey.exports.export import Question
from cxlab.survey.scales import normal_code

#: Digits of other scripts stay words; `normal_code` has one spelling for a whole number.
WHOLE = re.compile(r"-?[0-9]{1,18}")
_PADDED = re.compile(r"0[0-9]+")
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
    question : Question or None
        What the export file says of it.
    repeated : bool
        Whether a value stands in several rows (of one wave) or a row is blank.
    padded : int
        Rows of whole numbers that begin with a 0, as in 007.
    whole, fractions, words : dict of code to int
        Rows of each code, apart from those that the file declares to be missing.
    """

    header: str
    place: int
    rows: int
    blank: int
    counts: dict[str, int]
    spelling: dict[str, str]
    question: Question | None = None
    repeated: bool = True
    padded: int = 0
    declared: dict[str, str] = field(init=False)
    labels: dict[str, str] = field(init=False)
    whole: dict[int, int] = field(init=False)
    fractions: dict[str, int] = field(init=False)
    words: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        missing = self.question.missing if self.question else {}
        values = self.question.values if self.question else {}
        declared = {normal_code(code): reason for code, reason in missing.items()}
        object.__setattr__(self, "declared", declared)
        labels = {normal_code(code): " ".join(label.split()) for code, label in values.items()}
        object.__setattr__(self, "labels", {code: text for code, text in labels.items() if text})
        whole, fractions, words = {}, {}, {}
        for code, rows in self.counts.items():
            if code in declared:
                continue
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
    def asked(self) -> str:
        """The question in words; the header where the file doesn't say."""
        return self.question.asked if self.question else self.header

    @property
    def coded(self) -> bool:
        """Whether the header is a short name of a question that is worded elsewhere."""
        return self.asked != self.header

    @property
    def hinted(self) -> str:
        """Header and question, whose words hint at what it is."""
        return f"{self.header} {self.asked}" if self.coded else self.header

    @property
    def blank_reason(self) -> str:
        """Why a cell is blank, as far as the platform tells."""
        return self.question.blank if self.question else "no answer"

    def written(self, code: str) -> str:
        """A code as it stands in the file."""
        if code in self.spelling or self.question is None:
            return self.spelling.get(code, code)
        codes = [*self.question.missing, *self.question.values]
        return next((text for text in codes if normal_code(text) == code), code)

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
        """Whether every row (of a wave) holds something else."""
        return not self.repeated


def profile_column(
    raw: pd.Series,
    place: int,
    question: Question | None = None,
    waves: Sequence[object] | None = None,
) -> Profile:
    """Count the texts of one raw column; what the file says of it goes along.

    Cells that are NaN belong to waves without the column; ``waves`` tells the rows apart.

    Examples
    --------
    >>> profile_column(pd.Series(["5", "5.0", " n/a", "N/A", ""], name="q"), 0).counts
    {'5': 2, 'n/a': 2}
    """
    texts = raw.value_counts(sort=False)
    counts: Counter[str] = Counter()
    spelling: dict[str, tuple[int, str]] = {}
    padded = 0
    for text, rows in texts.items():
        code = normal_code(text)
        counts[code] += int(rows)
        written = visible_text(str(text))
        padded += int(rows) * bool(_PADDED.fullmatch(written))
        if rows > spelling.get(code, (0, ""))[0]:
            spelling[code] = (int(rows), written)
    blank = counts.pop("", 0)
    rows_asked = sum(counts.values()) + blank
    return Profile(
        header=str(raw.name),
        place=place,
        rows=rows_asked,
        blank=blank,
        counts=dict(counts),
        spelling={
            code: code if WHOLE.fullmatch(code) and not _PADDED.fullmatch(text) else text
            for code, (_, text) in spelling.items()
            if code
        },
        question=question,
        repeated=bool(blank) or _repeated(raw, len(counts) < rows_asked, waves),
        padded=padded,
    )


def _repeated(raw: pd.Series, in_all: bool, waves: Sequence[object] | None) -> bool:
    """Whether a value stands in several rows; of one wave, where there are several."""
    if waves is None or not in_all:
        return in_all
    asked = raw.notna().to_numpy()
    codes = {"wave": pd.Series(waves)[asked].to_numpy(), "code": raw[asked].map(normal_code)}
    return bool(pd.DataFrame(codes).duplicated().any())
