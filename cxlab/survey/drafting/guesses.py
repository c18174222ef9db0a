"""A guess about one column, and the scales that guessed ratings lie on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from cxlab.survey.drafting.profile import Profile

#: Boxes offered for scales of up to seven points; longer ones are reported by their mean.
BOXES: dict[int, tuple[int, int]] = {3: (1, 3), 4: (2, 3), 5: (2, 4), 6: (2, 5), 7: (2, 6)}
#: Share of blank cells from which a question may have been skipped by design.
MANY_BLANK = 0.1
_NUMBERS = (
    ["zero", "one", "two", "three", "four", "five"]
    + ["six", "seven", "eight", "nine", "ten", "eleven"]
)  # fmt: skip


@dataclass(frozen=True)
class ScaleGuess:
    """A scale that ratings were found on.

    Attributes
    ----------
    low, high : int
    labels : mapping of int to str
    missing : mapping of str to str
        Codes next to the scale, asked about once for all its columns.
    question : str
        What only the columns of this scale raise.
    family : str
        What is rated, for scales in words.
    """

    low: int
    high: int
    labels: Mapping[int, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    question: str = ""
    family: str = ""

    @property
    def name(self) -> str:
        """Such as ``one_to_five`` or ``satisfaction``."""
        if self.family:
            return self.family
        marks = "_labelled" * bool(self.labels) + "_and_codes" * bool(self.missing)
        return f"{_word(self.low)}_to_{_word(self.high)}{marks}"

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
    """What one column seems to be.

    Attributes
    ----------
    profile : Profile
    role : str
        A role of the study file, or ``"ignore"``.
    question : str
        What was guessed and what to check; without the missing codes.
    scale : ScaleGuess or None
    missing : dict of str to str
        Text as written to reason.
    values : dict of str to str
        Code to label, for segments.
    keys : dict
        Further keys of the study file.
    doubt : str
        Why somebody has to decide by hand, where the file itself gives no evidence.
    headers : dict of str to str
        Period to header, where several waves differ in it.
    moved : str
        How the column was matched over the waves, and where it is missing.
    """

    profile: Profile
    role: str
    question: str = ""
    scale: ScaleGuess | None = None
    missing: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    keys: dict[str, object] = field(default_factory=dict)
    doubt: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    moved: str = ""

    @property
    def by_hand(self) -> bool:
        """Whether the role rests on a name or on values alone.

        Labels, or what the platform says, are evidence of an outcome. No file says who is a
        customer, or which sampled unit is a cluster.
        """
        question = self.profile.question
        told = bool(self.profile.labels) or bool(question and question.note)
        named = self.role == "outcome" and not told
        return bool(self.doubt) or named or self.role in ("customer", "cluster")

    @property
    def confirm(self) -> str:
        """The whole question: missing codes, waves and doubts included."""
        codes = [
            f"{_quoted(text)} ({rows(self.profile.counts[code])}) as {reason}"
            for text, reason, code in self._coded()
        ]
        blank = self.profile.blank if self.scale else 0
        reason = self.keys.get("blank", "no answer")
        if blank:
            codes.append(f"blank ({rows(blank)}) as {reason}")
        parts = [self.question, self.moved, self.doubt]
        if not codes:
            return " ".join(part for part in parts if part)
        listed = "; ".join(codes[:8]) + (f" and {len(codes) - 8} more" if len(codes) > 8 else "")
        parts[0] += f" It reads {listed}: is that so?"
        if blank > MANY_BLANK * self.profile.rows and reason == "no answer":
            parts[0] += ' If it was not put to them, set blank = "not asked".'
        return " ".join(part for part in parts if part)

    def _coded(self) -> list[tuple[str, str, str]]:
        written = {text: code for code, text in self.profile.spelling.items()}
        return [
            (text, reason, written[text])
            for text, reason in self.missing.items()
            if text in written
        ]


def _word(number: int) -> str:
    """A number in words, as far as scales go.

    Examples
    --------
    >>> _word(10), _word(-2), _word(12)
    ('ten', 'minus_two', '12')
    """
    word = _NUMBERS[abs(number)] if abs(number) < len(_NUMBERS) else str(abs(number))
    return f"minus_{word}" if number < 0 else word


def rows(number: int) -> str:
    """A count in words."""
    return f"{number:,} row" + ("" if number == 1 else "s")


def some(texts: list[str], limit: int = 3) -> str:
    """The first few of some texts, quoted."""
    shown = ", ".join(_quoted(text) for text in texts[:limit])
    return shown + (f" and {len(texts) - limit} more" if len(texts) > limit else "")


def _quoted(text: str) -> str:
    short = text if len(text) <= 30 else text[:29] + "…"
    return short if short.lstrip("-").isdigit() else f"'{short}'"
