"""What one column of a raw file holds, counted once, and what it seems to be."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.survey.cells import has_decimal_commas, with_point
from cxlab.survey.exports.export import Question, missing_reason
from cxlab.survey.scales import normal_code

#: Digits of other scripts stay words; `normal_code` has one spelling for a whole number.
WHOLE = re.compile(r"-?[0-9]{1,18}")
_PADDED = re.compile(r"0[0-9]+")
_NUMBER = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)(e[+-]?[0-9]{1,3})?")
#: Boxes offered for scales of up to seven points; longer ones are reported by their mean.
BOXES: dict[int, tuple[int, int]] = {3: (1, 3), 4: (2, 3), 5: (2, 4), 6: (2, 5), 7: (2, 6)}
#: Share of blank cells from which a question may have been skipped by design.
MANY_BLANK = 0.1
_NUMBERS = (
    ["zero", "one", "two", "three", "four", "five"]
    + ["six", "seven", "eight", "nine", "ten", "eleven"]
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts of one column."""

    header: str
    item: str  # its choice, or its question without what it shares with its neighbours'
    place: int  # position in the file, from 0
    raw: pd.Series = field(repr=False)  # NaN in waves without the column
    rows: int
    blank: int
    #: Code (see `normal_code`) to rows, blanks apart, in order of appearance.
    counts: dict[str, int]
    spelling: dict[str, str]  # code to its most frequent text; whole numbers without decimals
    question: Question  # what the export file says of it
    unique: bool  # whether every row (of a wave) holds something else
    padded: int  # rows of whole numbers that begin with a 0, as in 007
    #: One of the file's numbers with a decimal comma, which ``raw`` has with points; or none.
    decimal_comma: str = ""

    @cached_property
    def declared(self) -> dict[str, str]:
        """Codes that the file declares to be missing, with their reasons."""
        return {normal_code(code): reason for code, reason in self.question.missing.items()}

    @cached_property
    def labels(self) -> dict[str, str]:
        """Codes with a label in the file."""
        values = self.question.values.items()
        labels = {normal_code(code): " ".join(label.split()) for code, label in values}
        return {code: label for code, label in labels.items() if label}

    @cached_property
    def whole(self) -> dict[int, int]:
        """Rows of each whole number that is not declared to be missing."""
        return {int(code): rows for code, rows in self._undeclared.items() if WHOLE.fullmatch(code)}

    @cached_property
    def fractions(self) -> dict[str, int]:
        """Rows of each other number that is not declared to be missing."""
        return {
            code: rows
            for code, rows in self._undeclared.items()
            if not WHOLE.fullmatch(code) and _NUMBER.fullmatch(code) and math.isfinite(float(code))
        }

    @cached_property
    def words(self) -> dict[str, int]:
        """Rows of each text that is neither a number nor declared to be missing."""
        return {
            code: rows
            for code, rows in self._undeclared.items()
            if not WHOLE.fullmatch(code) and code not in self.fractions
        }

    @cached_property
    def _undeclared(self) -> dict[str, int]:
        return {code: rows for code, rows in self.counts.items() if code not in self.declared}

    @property
    def asked(self) -> str:
        """The question in words; the header where the file doesn't say."""
        return self.question.asked

    @property
    def coded(self) -> bool:
        """Whether the header is a short name of a question that is worded elsewhere."""
        return self.asked != self.header

    @property
    def names(self) -> list[str]:
        """What may name the column: its question, and a short name beside it.

        A short name such as "weight" tells more than its label of two lines.
        """
        return list(dict.fromkeys([self.item, self.header] if self.coded else [self.item]))

    @property
    def hinted(self) -> str:
        """Header and question, whose words hint at what it is."""
        return f"{self.header} {self.asked}" if self.coded else self.header

    @property
    def filled(self) -> int:
        """Rows that hold something."""
        return self.rows - self.blank

    @property
    def numeric(self) -> int:
        """Rows that hold a number."""
        return sum(self.whole.values()) + sum(self.fractions.values())

    @cached_property
    def numbers(self) -> np.ndarray:
        """Each row as a number; NaN where it is none."""
        return pd.to_numeric(self.raw, errors="coerce").to_numpy("float64")

    def written(self, code: str) -> str:
        """A code as it stands in the file."""
        codes = reversed([*self.question.missing, *self.question.values])
        told = {normal_code(text): text for text in codes}
        return self.spelling.get(code, told.get(code, code))

    def missing(self, *, segment: bool) -> dict[str, str]:
        """Texts that are declared to be missing or read like a missing answer, with reasons."""
        told = {code: self.declared[code] for code in self.counts if code in self.declared}
        told |= {code: missing_reason(code, segment=segment) or "" for code in self.words}
        return {self.spelling[code]: reason for code, reason in told.items() if reason}


def profile_column(
    raw: pd.Series,
    place: int,
    question: Question | None = None,
    item: str = "",
    waves: Sequence[object] | None = None,
) -> Profile:
    """Count the texts of one raw column; what the file says of it goes along.

    Cells that are NaN belong to waves without the column; ``waves``: the wave of each row.

    Examples
    --------
    >>> profile_column(pd.Series(["5", "5.0", " n/a", "N/A", ""], name="q"), 0).counts
    {'5': 2, 'n/a': 2}
    """
    comma = _decimal_comma(raw)
    raw = raw.map(_with_points(raw)) if comma else raw
    counts: Counter[str] = Counter()
    spelling: dict[str, tuple[int, str]] = {}
    padded = 0
    for text, rows in raw.value_counts(sort=False).items():
        code = normal_code(text)
        counts[code] += int(rows)
        written = visible_text(str(text))
        padded += int(rows) * bool(_PADDED.fullmatch(written))
        if rows > spelling.get(code, (0, ""))[0]:
            spelling[code] = (int(rows), written)
    blank = counts.pop("", 0)
    rows_asked = sum(counts.values()) + blank
    question = question or Question(str(raw.name), str(raw.name))
    return Profile(
        header=str(raw.name),
        item=item or question.asked,
        place=place,
        raw=raw,
        rows=rows_asked,
        blank=blank,
        counts=dict(counts),
        spelling={
            code: code if WHOLE.fullmatch(code) and not _PADDED.fullmatch(text) else text
            for code, (_, text) in spelling.items()
            if code
        },
        question=question,
        unique=not blank and not _repeated(raw, len(counts) < rows_asked, waves),
        padded=padded,
        decimal_comma=comma,
    )


def _decimal_comma(raw: pd.Series) -> str:
    """The first number with a decimal comma, where numbers of the column are written so."""
    texts = [str(text) for text in raw.dropna().unique()]
    if not has_decimal_commas(texts):
        return ""
    return visible_text(next(text for text in texts if re.search("[0-9],[0-9]", text)))


def _with_points(raw: pd.Series) -> dict[str, str]:
    return {text: with_point(text) for text in raw.dropna().unique()}


def _repeated(raw: pd.Series, in_all: bool, waves: Sequence[object] | None) -> bool:
    """Whether a value occurs in several rows; of one wave, where there are several."""
    if waves is None or not in_all:
        return in_all
    asked = raw.notna().to_numpy()
    codes = {"wave": pd.Series(waves)[asked].to_numpy(), "code": raw[asked].map(normal_code)}
    return bool(pd.DataFrame(codes).duplicated().any())


@dataclass(frozen=True)
class ScaleGuess:
    """A scale that ratings were found on."""

    low: int
    high: int
    labels: Mapping[int, str] = field(default_factory=dict)
    #: Codes next to the scale, asked about once for all its columns.
    missing: Mapping[str, str] = field(default_factory=dict)
    question: str = ""  # what only the columns of this scale raise
    family: str = ""  # what is rated, for scales in words

    @property
    def name(self) -> str:
        """Such as ``one_to_five`` or ``satisfaction``."""
        if self.family:
            return self.family
        marks = "_labelled" * bool(self.labels) + "_and_codes" * bool(self.missing)
        return f"{_number_in_words(self.low)}_to_{_number_in_words(self.high)}{marks}"

    @property
    def bins(self) -> dict[str, list[int]]:
        """Two boxes and a middle, for scales that start at 1 and have up to seven points."""
        if self.low != 1 or self.high not in BOXES:
            return {}
        bottom, top = BOXES[self.high]
        middle = {"middle": [bottom + 1, top - 1]} if top - bottom > 1 else {}
        return {"bottom": [1, bottom], **middle, "top": [top, self.high]}

    @property
    def key(self) -> tuple[object, ...]:
        """Equal for scales that one declaration serves."""
        labels = tuple(sorted(self.labels.items()))
        return (self.low, self.high, labels, tuple(sorted(self.missing.items())))


@dataclass
class Guess:
    """What one column seems to be."""

    profile: Profile
    role: str  # A role of the study file, or ``"ignore"``
    question: str = ""  # what was guessed and what to check; without the missing codes
    scale: ScaleGuess | None = None
    missing: dict[str, str] = field(default_factory=dict)  # text as written to reason
    values: dict[str, str] = field(default_factory=dict)  # code to label, for segments
    keys: dict[str, object] = field(default_factory=dict)  # further keys of the study file
    doubt: str = ""  # why somebody has to decide by hand, where the file itself gives no evidence
    #: Period to header, where several waves differ in it.
    headers: dict[str, str] = field(default_factory=dict)
    moved: str = ""  # how the column was matched over the waves, and where it is missing

    @property
    def by_hand(self) -> bool:
        """Whether the role rests on a name or on values alone.

        Labels, or what the platform says, are evidence of an outcome. No file says who is a
        customer, or which sampled unit is a cluster.
        """
        told = bool(self.profile.labels) or bool(self.profile.question.note)
        named = self.role == "outcome" and not told
        return bool(self.doubt) or named or self.role in ("customer", "cluster")

    @property
    def confirm(self) -> str:
        """The whole question: missing codes, waves and doubts included."""
        counts = {text: self.profile.counts[code] for code, text in self.profile.spelling.items()}
        codes = [
            f"{quoted(text)} ({rows(counts[text])}) as {reason}"
            for text, reason in self.missing.items()
            if text in counts
        ]
        blank = self.profile.blank if self.scale else 0
        reason = self.keys.get("blank", "no answer")
        if blank:
            codes.append(f"blank ({rows(blank)}) as {reason}")
        asked = self.question
        if codes:
            more = f" and {len(codes) - 8} more" if len(codes) > 8 else ""
            asked += f" It reads {'; '.join(codes[:8])}{more}: is that so?"
        if blank > MANY_BLANK * self.profile.rows and reason == "no answer":
            asked += ' If it was not put to them, set blank = "not asked".'
        return " ".join(part for part in (asked, self.moved, self.doubt) if part)

    @property
    def scores(self) -> pd.Series:
        """The score of each row; NaN where there is none."""
        raw = self.profile.raw
        by_code = self._scores(self.scale) if self.scale else {}
        by_text = {text: by_code.get(normal_code(text)) for text in raw.dropna().unique()}
        return raw.map(by_text).astype("float64")

    def _scores(self, scale: ScaleGuess) -> dict[str, float]:
        """Code to score."""
        by_word = {text.casefold(): float(score) for score, text in scale.labels.items()}
        found: dict[str, float] = {}
        for code, text in self.profile.spelling.items():
            if text in self.missing or code in scale.missing:
                continue
            if code in by_word:
                found[code] = by_word[code]
            elif WHOLE.fullmatch(code):
                score = float(code) + int(str(self.keys.get("shift", 0)))
                found[code] = scale.low + scale.high - score if self.keys.get("reverse") else score
        return found


def _number_in_words(number: int) -> str:
    """A number in words, as far as scales go.

    Examples
    --------
    >>> _number_in_words(10), _number_in_words(-2), _number_in_words(12)
    ('ten', 'minus_two', '12')
    """
    word = _NUMBERS[abs(number)] if abs(number) < len(_NUMBERS) else str(abs(number))
    return f"minus_{word}" if number < 0 else word


def rows(number: int) -> str:
    """A count in words."""
    return f"{number:,} row" + ("" if number == 1 else "s")


def some(texts: Sequence[str], limit: int = 3) -> str:
    """The first few of some texts, quoted."""
    shown = ", ".join(quoted(text) for text in texts[:limit])
    return shown + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def quoted(text: str) -> str:
    """A text cut to 30 characters and quoted; a whole number as it is."""
    short = text if len(text) <= 30 else text[:29] + "…"
    return short if short.lstrip("-").isdigit() else f"'{short}'"
