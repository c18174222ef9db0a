"""What the words of a header hint at, names and labels; the words of a rating scale in order."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from cxlab.core.characters import visible_text
from cxlab.survey.exports.export import Question, vocabulary

LONGEST_NAME = 40
#: Words in a header beyond which it is a question, whose words hint at nothing.
LONG_HEADER = 8
#: Words of a header that names a column and asks nothing.
SHORT_NAME = 3
LONGEST_LABEL = 70
#: Characters that two headers share only if they are one question, joint or not.
LONG_BEGINNING = 20
RESERVED = {"period", "stratum_clusters"}
#: What stands between a question and its item in a joined header.
_JOINTS = re.compile(r"(?:[?:.]?\s+[|–—-]\s+|[:?]\s+|\.\s+|\s*\[|\s*->\s*|\s*>>\s*|__)")

_VOCABULARY = vocabulary()
_HINTS = {
    name: re.compile(rf"\b(?:{'|'.join(words)})\b") for name, words in _VOCABULARY["hints"].items()
}


def words_of(header: str) -> str:
    """The words of a header, in lower case: marks and camel case are undone.

    Examples
    --------
    >>> words_of("*RespondentID"), words_of("Q7_overallSat"), words_of("over\\xadall")
    ('respondent id', 'q 7 overall sat', 'overall')
    """
    seen = visible_text(header)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", seen)
    return " ".join(re.sub(r"[\W_]+", " ", spaced).casefold().split())


def hints(header: str, *names: str, most: int | None = None) -> bool:
    """Whether a header, of so many words at most, holds a word of one of the ``[hints]``.

    Examples
    --------
    >>> hints("Q1_Overall", "outcome"), hints("Overalls", "outcome"), hints("age_group", "segment")
    (True, False, True)
    """
    words = words_of(header)
    if most is not None and len(words.split()) > most:
        return False
    if "outcome" in names and re.fullmatch(r"q \d+ all", words):
        return True
    return any(_HINTS[name].search(words) for name in names)


def names_a_customer(header: str) -> bool:
    """Whether a header names the customer and nothing else of them.

    Examples
    --------
    >>> names_a_customer("Customer ID"), names_a_customer("Overall Customer Satisfaction")
    (True, False)
    """
    words = words_of(header).split()
    others = [word for word in words if not _HINTS["customer"].fullmatch(word)]
    return len(others) < len(words) and set(others) <= set(_VOCABULARY["customers"]["beside"])


def names_people(header: str) -> bool:
    """Whether a column holds the names of people, by its header.

    Examples
    --------
    >>> names_people("customer_name"), names_people("Name"), names_people("product name")
    (True, True, False)
    """
    words = words_of(header).split()
    whose = [word for word in words if not re.fullmatch(r"names?|full|your|the|of", word)]
    named = len(whose) < len(words) and bool(re.search(r"\bnames?\b", " ".join(words)))
    return named and all(_HINTS["person"].fullmatch(word) for word in whose)


def shared_beginning(headers: Sequence[str]) -> str:
    """What headers of one question have in common, up to where the item begins.

    Examples
    --------
    >>> shared_beginning(["How was it? - Food", "How was it? - Fun"])
    'How was it? - '
    >>> shared_beginning(["Food", "Fun"])
    ''
    """
    first, last = min(headers), max(headers)
    length = next((i for i, c in enumerate(first) if i >= len(last) or last[i] != c), len(first))
    shared = first[:length]
    joints = [match.end() for match in _JOINTS.finditer(shared)]
    if not joints and length >= LONG_BEGINNING:
        joints = [match.end() for match in re.finditer(r"[\W_]", shared)]
    return shared[: joints[-1]] if joints else ""


def items_of(questions: Sequence[Question]) -> list[str]:
    """Each question's choice, or the question without what it shares with a neighbour's."""
    asked = [question.asked for question in questions]
    found = []
    for place, question in enumerate(questions):
        neighbours = [asked[i] for i in (place - 1, place + 1) if 0 <= i < len(asked)]
        beginnings = [shared_beginning([question.asked, other]) for other in neighbours]
        item = question.asked[len(max(beginnings, key=len, default="")) :]
        own = item.strip(" ]") if words_of(item) else question.asked
        found.append(question.choice or own)
    return found


def label_of(item: str) -> str:
    """A header in words for reports: trimmed, and cut where it is very long."""
    words = visible_text(item.replace("_", " ")).strip("* ")
    if re.fullmatch(r"[\w ]+", words) and words == words.lower():
        words = words[:1].upper() + words[1:]
    return words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1].rstrip() + "…"


def column_name(item: str, taken: Collection[str]) -> str:
    """A name for tables and code: lower case, not taken, none that reading makes itself.

    Examples
    --------
    >>> [column_name(item, {"q1"}) for item in ("Food & drink", "Period", "Q1", "2nd visit", "é")]
    ['food_drink', 'period_1', 'q1_2', 'column_2nd_visit', 'e']
    """
    name = _slug(item)
    if name in RESERVED or name.endswith("_missing"):
        name = f"{name}_1"
    return distinct(name, taken)


def distinct(text: str, taken: Collection[str], form: str = "{}_{}") -> str:
    """A text with the first number, from 2, that makes it another than those taken.

    Examples
    --------
    >>> distinct("q1", ["q1", "q1_2"]), distinct("Food", ["Food"], "{} ({})"), distinct("a", [])
    ('q1_3', 'Food (2)', 'a')
    """
    number, found = 2, text
    while found in taken:
        found, number = form.format(text, number), number + 1
    return found


def _slug(item: str) -> str:
    plain = unicodedata.normalize("NFKD", item).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", plain)
    parts = [part for part in re.sub(r"[^a-z0-9]+", "_", spaced.casefold()).split("_") if part]
    name = ""
    for part in parts:
        if name and len(name) + 1 + len(part) > LONGEST_NAME:
            break
        name = f"{name}_{part}" if name else part[:LONGEST_NAME]
    if not name:
        return "column"
    return name if name[0].isalpha() else f"column_{name}"


def ignore_pattern(header: str) -> str:
    """A header for a study's ``ignore``, where brackets would choose among characters."""
    return " ".join(header.strip().lstrip("*").split()).replace("[", "[[]")


_SIDES = {
    family: (re.compile(rf"\b(?:{pro})\b"), re.compile(rf"\b(?:{contra})\b"))
    for family, (pro, contra) in _VOCABULARY["families"].items()
}
_STRENGTHS = {
    float(strength): re.compile(rf"\b(?:{'|'.join(words)})\b")
    for strength, words in _VOCABULARY["strengths"].items()
}
_NEUTRAL = re.compile(
    r"\b(?:neutral|neither|indifferent|mixed|might or might not|no difference|about the same|"
    r"the same|undecided|nor)\b"
)
_NOT_AT_ALL = re.compile(r"\bnot at all\b|\bnot in the least\b")
_NOT_VERY = re.compile(r"\bnot (?:very|so|too|that|particularly|really|especially)\b")
_NOT = re.compile(r"\bnot\b(?! sure)")

_QUALITY = {
    text: float(height) for height, texts in _VOCABULARY["quality"].items() for text in texts
}


@dataclass(frozen=True)
class Level:
    """Where one wording stands."""

    family: str  # what is rated, or ``""`` for a neutral word that fits any
    height: float  # greater is better; only the order counts
    #: Whether the other side of the scale is worded alike ("satisfied", "dissatisfied").
    mirrored: bool = False


@dataclass(frozen=True)
class Wording:
    """The wordings of one column or battery, in order from worst to best."""

    family: str
    heights: dict[str, float]  # wording to height
    steps: tuple[float, ...]  # every height of the scale, those that nobody chose included

    @property
    def labels(self) -> dict[int, str]:
        """Score, from 1, to wording; without those that nobody chose."""
        ordered = sorted(self.heights.items(), key=lambda pair: pair[1])
        return {self.steps.index(height) + 1: word for word, height in ordered}

    @property
    def unseen(self) -> list[int]:
        """Scores that nobody chose."""
        return [score for score in range(1, len(self.steps) + 1) if score not in self.labels]


def level_of(text: str) -> Level | None:
    """Place of one wording on its scale, or None when it isn't the wording of a rating.

    Examples
    --------
    >>> level_of("Very dissatisfied").height, level_of("Somewhat Satisfied").height
    (-4.0, 2.0)
    >>> level_of("Neither favorably nor unfavorably (neutral)").height
    0.0
    >>> level_of("Monday") is None
    True
    """
    folded = " ".join(text.casefold().replace("’", "'").strip(" .!").split())
    if len(folded) > 60:
        return None
    if folded in _QUALITY and folded != "neutral":
        return Level("quality", _QUALITY[folded])
    for family, (pro, contra) in _SIDES.items():
        against = contra.search(folded)
        rest = contra.sub(" ", folded)
        if against or pro.search(rest):
            return _on_side(family, folded, bool(against), bool(pro.search(rest)))
    return Level("", 0.0) if _NEUTRAL.search(folded) else None


def _on_side(family: str, folded: str, against: bool, favourable: bool) -> Level | None:
    if _NEUTRAL.search(folded) or (against and favourable):
        return Level(family, 0.0)
    strength = next((s for s, words in _STRENGTHS.items() if words.search(folded)), 3.0)
    if against:
        return Level(family, -strength, mirrored=True)
    if _NOT_AT_ALL.search(folded):
        return Level(family, -6.0)
    if _NOT_VERY.search(folded):
        return Level(family, -3.5)
    if _NOT.search(folded):
        return Level(family, -5.0)
    return Level(family, strength)


def wording_of(texts: Iterable[str]) -> Wording | None:
    """All wordings of one question in order; None when they are not one rating scale.

    A scale whose sides are worded alike, or that has a middle, is completed by what nobody
    chose: "very dissatisfied" belongs to it wherever "very satisfied" stands.

    Examples
    --------
    >>> wording_of(["Very satisfied", "Neutral", "Satisfied", "Dissatisfied"]).labels
    {2: 'Dissatisfied', 3: 'Neutral', 4: 'Satisfied', 5: 'Very satisfied'}
    >>> wording_of(["Excellent", "Poor", "Good", "Fair"]).labels
    {1: 'Poor', 2: 'Fair', 3: 'Good', 4: 'Excellent'}
    >>> wording_of(["Red", "Green"]) is None
    True
    """
    levels = {text: level_of(text) for text in texts}
    found = [level for level in levels.values() if level is not None]
    families = {level.family for level in found} - {""}
    if len(found) < max(2, len(levels)) or len(families) != 1:
        return None
    heights = {text: level.height for text, level in levels.items() if level is not None}
    if len(set(heights.values())) < len(heights):
        return None
    return Wording(families.pop(), heights, _steps(found))


def _steps(levels: list[Level]) -> tuple[float, ...]:
    heights = {level.height for level in levels}
    two_sided = any(level.mirrored or level == Level(level.family, 0.0) for level in levels)
    worded_alike = all(level.mirrored or level.height >= 0 for level in levels)
    graded = all(level.family != "quality" for level in levels)
    if two_sided and worded_alike and graded:
        heights |= {-height for height in heights}
    return tuple(sorted(height + 0.0 for height in heights))


def together(wordings: list[Wording]) -> Wording | None:
    """One scale for the columns of a battery; None where they word one step in two ways."""
    families = {wording.family for wording in wordings}
    heights: dict[str, float] = {}
    for wording in wordings:
        heights.update(wording.heights)
    one_word_each = len(set(heights.values())) == len(heights)
    if len(families) > 1 or not one_word_each:
        return None
    steps = sorted({step for wording in wordings for step in wording.steps})
    return Wording(families.pop(), heights, tuple(steps))
