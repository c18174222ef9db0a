"""Rating words ("somewhat satisfied") in order, without a list of every wording."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

#: Family: words for, words against.
_FAMILIES: dict[str, tuple[str, str]] = {
    "satisfaction": (r"satisf\w+", r"(?:dis|un)satisf\w+"),
    "favour": (r"favou?r\w*", r"unfavou?r\w*"),
    "agreement": (r"agree\w*", r"disagree\w*"),
    "likelihood": (r"likely|probable", r"unlikely|improbable"),
    "ease": (r"eas[yi]\w*", r"difficult\w*|hard"),
    "happiness": (r"happy|pleased|delighted", r"unhappy|displeased"),
    "helpfulness": (r"helpful", r"unhelpful"),
    "comfort": (r"comfortable", r"uncomfortable"),
    "cleanliness": (r"clean", r"dirty|unclean"),
    "friendliness": (r"friendly", r"unfriendly"),
    "clarity": (r"clear", r"unclear"),
    "usefulness": (r"useful", r"useless"),
    "reliability": (r"reliable", r"unreliable"),
    "importance": (r"important", r"unimportant"),
    "speed": (r"fast|quick\w*", r"slow\w*"),
    "safety": (r"safe", r"unsafe"),
    "tone": (r"positive\w*", r"negative\w*"),
    "expectation": (r"better|above", r"worse|below"),
    "manner": (r"well", r"badly|poorly"),
    "interest": (r"interested", r"uninterested|disinterested"),
    "confidence": (r"confident", r"unconfident"),
    "intention": (r"would|will", r"would not|wouldn't|will not|won't"),
}
_SIDES = {
    family: (re.compile(rf"\b(?:{pro})\b"), re.compile(rf"\b(?:{contra})\b"))
    for family, (pro, contra) in _FAMILIES.items()
}
#: Strength of a word beside the family's; 3 without one.
_STRENGTHS: tuple[tuple[float, re.Pattern[str]], ...] = tuple(
    (strength, re.compile(rf"\b(?:{words})\b"))
    for strength, words in (
        (5.0, r"extremely|completely|totally|strongly|absolutely|definitely|entirely|fully"),
        (4.0, r"very|highly|mostly|much|far|really"),
        (2.5, r"moderately|fairly|quite|rather|generally|reasonably|tend to|probably"),
        (2.0, r"somewhat|partly|partially|mildly"),
        (1.0, r"slightly|a little|a bit"),
    )
)
_NEUTRAL = re.compile(
    r"\b(?:neutral|neither|indifferent|mixed|might or might not|no difference|about the same|"
    r"the same|undecided|nor)\b"
)
_NOT_AT_ALL = re.compile(r"\bnot at all\b|\bnot in the least\b")
_NOT_VERY = re.compile(r"\bnot (?:very|so|too|that|particularly|really|especially)\b")
_NOT = re.compile(r"\bnot\b(?! sure)")

_QUALITY: dict[str, float] = {
    **dict.fromkeys(("unacceptable",), -6),
    **dict.fromkeys(("terrible", "awful", "horrible", "dreadful", "extremely poor"), -5),
    **dict.fromkeys(("very poor", "very bad"), -4),
    **dict.fromkeys(("poor", "bad"), -3),
    **dict.fromkeys(("below average", "needs improvement", "mediocre"), -2),
    **dict.fromkeys(("fair",), -0.5),
    **dict.fromkeys(("average", "ok", "okay", "so-so", "neutral", "acceptable", "adequate"), 0),
    **dict.fromkeys(("neither good nor bad", "neither good nor poor"), 0),
    **dict.fromkeys(("satisfactory",), 1),
    **dict.fromkeys(("above average",), 2),
    **dict.fromkeys(("good",), 3),
    **dict.fromkeys(("very good",), 4),
    **dict.fromkeys(("great",), 4.5),
    **dict.fromkeys(("excellent",), 5),
    **dict.fromkeys(("outstanding", "exceptional", "superb"), 6),
}


@dataclass(frozen=True)
class Level:
    """Where one wording stands.

    Attributes
    ----------
    family : str
        What is rated, or ``""`` for a neutral word that fits any.
    height : float
        Greater is better; only the order counts.
    mirrored : bool
        Whether the other side of the scale is worded alike ("satisfied", "dissatisfied").
    """

    family: str
    height: float
    mirrored: bool = False


@dataclass(frozen=True)
class Wording:
    """The wordings of one column or battery, in order from worst to best.

    Attributes
    ----------
    family : str
    heights : dict of str to float
        Wording to height.
    steps : tuple of float
        Every height of the scale, those that nobody chose included.
    """

    family: str
    heights: dict[str, float]
    steps: tuple[float, ...]

    @property
    def labels(self) -> dict[int, str]:
        """Score, from 1, to wording; without those that nobody chose."""
        return {self.steps.index(height) + 1: word for word, height in self._sorted()}

    @property
    def unseen(self) -> list[int]:
        """Scores that nobody chose."""
        return [score for score in range(1, len(self.steps) + 1) if score not in self.labels]

    def _sorted(self) -> list[tuple[str, float]]:
        return sorted(self.heights.items(), key=lambda pair: pair[1])


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
    strength = next((s for s, words in _STRENGTHS if words.search(folded)), 3.0)
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
