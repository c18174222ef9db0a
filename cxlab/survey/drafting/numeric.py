"""Columns of numbers: ratings and their scales, measurements, codes of segments."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from cxlab.survey.drafting.profile import WHOLE, Guess, Profile, ScaleGuess, rows, some
from cxlab.survey.drafting.words import LONG_HEADER, hints, words_of
from cxlab.survey.exports.export import NUMBER_CODES, missing_reason

#: Highest code that a usual scale may have: 0–10 stored as 1–11.
HIGHEST = 11
#: Share of the rows from which a far code means that the touchpoint was never used.
HEAVY = 0.15
#: Share of answers that may be off the scale (typing errors) before it is no rating at all.
STRAY_SHARE = 0.05
#: Different words that a rating may hold besides its scores, if most answers are words.
MOST_WORDS = 40
#: Fewest answers from which a gap between codes says anything.
ENOUGH = 30
#: How much more often than 5 the code 6 must come to look like "never used".
LUMP = 2.0
USUAL_TOPS = (3, 4, 5, 7)
#: What codes beyond a gap above the values usually stand for.
BEYOND = {6: "never used", 7: "don't know", 8: "don't know", 9: "no answer"}
#: Codes above a usual top that come less often than this look like typing errors.
TYPING_ERRORS = 0.005
#: Values that a segment may have at all, and where nothing hints at one.
MOST_VALUES, FEW_VALUES = 60, 12
_WRITTEN_NUMBER = re.compile(r"[-+]?[$€£¥]?\s?[-+]?\d[\d,. ]*\s?[%€£$]?")


@dataclass(frozen=True)
class Rating:
    """A column whose answers may be scores."""

    profile: Profile
    scores: dict[int, int]  # codes from 0 to 11, with their rows
    #: Text as written to reason: far codes, words, and what cannot be a score.
    missing: dict[str, str]
    notes: tuple[str, ...] = ()  # what to ask about them
    #: Texts that hold their score, such as ``10 - Extremely likely``.
    labels: Mapping[int, str] | None = None


def rating_of(profile: Profile, labels: Mapping[str, int] | None = None) -> Rating | None:
    """The column as a rating, or None when most of it cannot be scores."""
    labels = labels or {}
    words = sum(profile.words[code] for code in profile.words if code not in labels)
    if len(profile.words) > MOST_WORDS and words > profile.rows / 2:
        return None
    scores: Counter[int] = Counter()
    missing: dict[str, str] = {}
    strange: dict[str, int] = {}
    lowest = _lowest(profile)
    for code, count in profile.counts.items():
        if code in profile.declared:
            missing[profile.spelling[code]] = profile.declared[code]
            continue
        number = labels.get(code, int(code) if WHOLE.fullmatch(code) else None)
        reason = missing_reason(code) if number is None else NUMBER_CODES.get(number)
        if number is not None and lowest <= number <= HIGHEST:
            scores[number] += count
        elif reason:
            missing[profile.spelling[code]] = reason
        else:
            strange[code] = count
    answers = sum(scores.values())
    if not answers or sum(strange.values()) > STRAY_SHARE * answers:
        return None
    missing.update({profile.spelling[code]: "invalid" for code in strange})
    return Rating(
        profile,
        dict(scores),
        missing,
        _notes(profile, strange),
        {number: profile.spelling[code] for code, number in labels.items()} or None,
    )


def _lowest(profile: Profile) -> int:
    """0, or -k for scales from -k to k, whose negative codes are all there and come often."""
    negative = {code: count for code, count in profile.whole.items() if -5 <= code < 0}
    bottom, top = min(negative, default=0), max(profile.whole, default=0)
    mirrored = set(negative) == set(range(bottom, 0)) and top in (-bottom, -bottom - 1)
    often = sum(negative.values()) > STRAY_SHARE * profile.filled
    return bottom if bottom < -1 and mirrored and often else 0


def _notes(profile: Profile, strange: Mapping[str, int]) -> tuple[str, ...]:
    between = [profile.spelling[code] for code in strange if code in profile.fractions]
    other = [profile.spelling[code] for code in strange if code not in profile.fractions]
    notes = []
    if between:
        notes.append(
            f"{some(between)} lies between two scores and is never rounded: it is read as invalid, "
            "unless you correct the file or declare the column as a number."
        )
    if other:
        notes.append(f"{some(other)} is no score of it: typing errors?")
    return tuple(notes)


def scale_of(ratings: Sequence[Rating], *, six_is_code: bool = False) -> ScaleGuess | None:
    """The scale of a battery of ratings (or of one), None when its codes are no scale.

    Codes that may be "blank" or "never used" (0 below 1–5, 6 above it, 9 beyond a gap, 11
    above 0–10) are guessed by how often they come, and always asked about.
    """
    scores: Counter[int] = Counter()
    labels: dict[int, str] = {}
    for rating in ratings:
        scores.update(rating.scores)
        labels.update(rating.labels or {})
    top, errors = max(scores), _typing_errors(scores)
    if min(scores) < 0:
        guess = ScaleGuess(min(scores), -min(scores))
    elif errors:
        high = max(code for code in scores if code < min(errors))
        guess = _with_codes(scores, high, dict.fromkeys(errors, "invalid"))
    elif top > 7:
        guess = _long_scale(scores)
    elif top >= 3:
        guess = _short_scale(scores, six_is_code)
    else:
        return None
    known = {
        score: text for score, text in sorted(labels.items()) if str(score) not in guess.missing
    }
    return replace(guess, labels=known)


def _long_scale(scores: Mapping[int, int]) -> ScaleGuess:
    top, zero = max(scores), 0 in scores
    beyond = _beyond_gap(scores)
    if top <= 9 and not zero and beyond:
        return _with_codes_beyond(scores, beyond)
    if top == 11 and zero:
        return ScaleGuess(
            0, 10, missing={"11": "no answer"},
            question="11 lies above 0 to 10: is it the code for blank?",
        )  # fmt: skip
    if top == 11:
        return ScaleGuess(
            1, 11,
            question="The codes run from 1 to 11. If it is a 0–10 question stored one higher (11 "
            'means 10), set scale = "zero_to_ten" and shift = -1. If 11 is a code for blank, set '
            'scale = "zero_to_ten" and missing = { 11 = "no answer" }.',
        )  # fmt: skip
    if zero:
        return ScaleGuess(0, 10)
    return ScaleGuess(
        1, 10,
        question=f"Nobody gave 0{'' if top == 10 else f' or more than {top}'}: if the scale begins "
        'at 0, set scale = "zero_to_ten"; if its codes are one higher than the scores, also '
        "shift = -1.",
    )  # fmt: skip


def _short_scale(scores: Mapping[int, int], six_is_code: bool) -> ScaleGuess:
    top, beyond = max(scores), _beyond_gap(scores)
    if beyond:
        return _with_codes_beyond(scores, beyond)
    if top == 6 and (0 in scores or six_is_code):
        return _with_codes(scores, 5, {6: "never used"})
    if top == 6:
        return ScaleGuess(
            1, 6,
            question=f"6 ({rows(scores[6])}) is read as the best score: or is it the code for "
            "never used above a scale of 1 to 5? Then set range = [1, 5] and "
            'missing = { 6 = "never used" }.',
        )  # fmt: skip
    return _with_codes(scores, top, {})


def _with_codes(scores: Mapping[int, int], high: int, codes: Mapping[int, str]) -> ScaleGuess:
    """A scale from 1 with codes beside it, each asked about; 0 is one of them."""
    missing = ({0: "no answer"} if 0 in scores else {}) | dict(codes)
    asks = [
        f"{code} ({rows(scores[code])}) is read as {why}"
        + (f", above the best score of {high}" if code == high + 1 else "")
        for code, why in missing.items()
    ]
    question = (
        f"{' and '.join(asks)}. Is that so, or are these scores? Then put them into range and bins "
        "instead of missing."
    )
    declared = {str(code): why for code, why in missing.items()}
    return ScaleGuess(1, high, missing=declared, question=question if asks else "")


def _with_codes_beyond(scores: Mapping[int, int], beyond: Sequence[int]) -> ScaleGuess:
    high = max(code for code in scores if code < beyond[0])
    return _with_codes(scores, high, {code: BEYOND[code] for code in beyond})


def _above_full(scores: Mapping[int, int]) -> Iterator[tuple[int, list[int]]]:
    """Usual tops below which every code comes, each with the codes above it."""
    for top in USUAL_TOPS:
        above = sorted(code for code in scores if code > top)
        if above and all(code in scores for code in range(1, top + 1)):
            yield top, above


def _typing_errors(scores: Mapping[int, int]) -> list[int]:
    """Codes above a full scale that hardly ever come."""
    few = TYPING_ERRORS * sum(scores.values())
    found = (above for _, above in _above_full(scores) if sum(scores[one] for one in above) < few)
    return next(found, [])


def _beyond_gap(scores: Mapping[int, int]) -> list[int]:
    """Codes above a full scale that is followed by a gap."""
    if sum(scores.values()) < ENOUGH:
        return []
    found = (codes for top, codes in _above_full(scores) if codes[0] > top + 1 and codes[-1] < 10)
    return next(found, [])


def heavy_codes(rating: Rating) -> set[str]:
    """Far codes above the scale that come too often to be anything but "never used"."""
    counts, total = rating.profile.whole, rating.profile.rows
    if total < ENOUGH:
        return set()
    return {
        text
        for text, reason in rating.missing.items()
        if reason != "invalid" and text.isdecimal() and counts.get(int(text), 0) > HEAVY * total
    }


def lump_at_six(rating: Rating) -> bool:
    """Codes up to 6 with far more 6s than 5s, or a rise to 6 behind a fall from 4 to 5."""
    six, five, four = (rating.scores.get(code, 0) for code in (6, 5, 4))
    lump = six > LUMP * max(five, 1) or (six > five and five < four)
    return max(rating.scores) == 6 and lump


def two_values(scores: Mapping[int, int]) -> bool:
    """Whether the codes are two values, such as yes and no, and codes for no answer far above.

    Examples
    --------
    >>> two_values({1: 60, 2: 50, 9: 10}), two_values({1: 60, 2: 50, 3: 10})
    (True, False)
    """
    above = [code for code in scores if code > 2]
    return (
        sum(scores.values()) >= ENOUGH
        and len(scores) - len(above) == 2
        and (all(6 <= code <= 9 for code in above))
    )


def measured(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises numbers, measured or counted; few of them are codes of a segment."""
    if not profile.numeric:
        return None
    missing = profile.missing(segment=False)
    strange = [code for code in profile.words if profile.spelling[code] not in missing]
    if sum(profile.words[code] for code in strange) > 0.05 * profile.numeric:
        return None
    short = len(words_of(item).split()) <= LONG_HEADER
    distinct = len(profile.whole)
    counted = short and hints(item, "number")
    coded = (
        short
        and hints(item, "segment")
        and not ("age" in item.casefold() and distinct > FEW_VALUES)
    )
    few = distinct <= FEW_VALUES and not counted and max(profile.whole, default=0) < 100
    if not profile.fractions and not strange and (few or (coded and distinct <= MOST_VALUES)):
        return coded_segment(profile)
    missing |= {profile.spelling[code]: "invalid" for code in strange}
    missing |= _far_codes(profile)
    question = "Guessed: a number, measured or counted. Is it, and no code?"
    return Guess(profile, "number", question + _counted_days(profile, item), missing=missing)


def _counted_days(profile: Profile, item: str) -> str:
    """A hint where a column named like a date holds days or seconds that a computer counts."""
    numbers = sorted(profile.whole | {int(float(code)): 1 for code in profile.fractions})
    middle = numbers[len(numbers) // 2]
    if not hints(item, "date"):
        return ""
    for unit, origin, what in (
        ("D", "1899-12-30", "days as Excel counts them"),
        ("s", "1970-01-01", "seconds since 1970"),
        ("ms", "1970-01-01", "milliseconds since 1970"),
    ):
        first, last = (
            (pd.Timestamp(end) - pd.Timestamp(origin)) // pd.Timedelta(1, unit)
            for end in ("2000-01-01", "2050-01-01")
        )
        if first <= middle <= last:
            date = pd.Timestamp(origin) + pd.Timedelta(middle, unit)
            return (
                f" If these are dates, as {what} ({middle} is {date:%Y-%m-%d}), write them as "
                "dates into the file: numbers are not read as dates."
            )
    return ""


def _far_codes(profile: Profile) -> dict[str, str]:
    """Codes like 99 and -1 that lie apart from the other numbers or come far too often."""
    values = {float(code): count for code, count in profile.fractions.items()}
    values |= {float(code): count for code, count in profile.whole.items()}
    far = {}
    for code in profile.whole:
        if code not in NUMBER_CODES:
            continue
        others = [value for value in values if value != code and value not in NUMBER_CODES]
        near = [values[v] for v in values if v != code and abs(v - code) <= 3]
        negative = code < 0 and all(value >= 0 for value in others)
        apart = code > 0 and bool(others) and code > 1.5 * max(others)
        lump = code > 0 and values[code] >= 5 and values[code] > 5 * max(near, default=0)
        if negative or apart or lump:
            far[profile.spelling[str(code)]] = NUMBER_CODES[code]
    return far


def coded_segment(profile: Profile) -> Guess:
    """A segment whose values are whole numbers, each to be named."""
    words = profile.missing(segment=False)
    codes = [code for code in sorted(profile.whole) if code not in NUMBER_CODES]
    far = {code: NUMBER_CODES[code] for code in profile.whole if code in NUMBER_CODES}
    if not codes:
        codes, far = sorted(profile.whole), {}
    if two_values(profile.whole):
        far |= {code: BEYOND[code] for code in codes if code in BEYOND}
        codes = [code for code in codes if code not in far]
    values = {str(code): profile.spelling[str(code)] for code in codes}
    if codes == [0, 1]:
        values = {"0": "No", "1": "Yes"}
    question = f"Guessed: codes of a segment ({', '.join(values)}). What does each stand for?"
    if codes == [0, 1]:
        question = "Guessed: 0 = No and 1 = Yes. Is that so?"
    after_gap = [
        code for before, code in itertools.pairwise(codes) if code >= 8 and code - 2 > before
    ]
    doubtful = [0] * (0 in codes) + after_gap
    if doubtful and codes != [0, 1]:
        question += f" Is {doubtful[0]} a value, or a code for a missing answer?"
    missing = words | {profile.spelling[str(code)]: reason for code, reason in far.items()}
    return Guess(profile, "segment", question, values=values, missing=missing)


def written_numbers(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises numbers with signs, such as $1,200, which are kept as text."""
    written = [code for code in profile.words if _WRITTEN_NUMBER.fullmatch(code)]
    filled = sum(profile.words[code] for code in written) + profile.numeric
    if not written or filled < 0.9 * profile.filled:
        return None
    return Guess(
        profile, "text",
        f"Numbers with signs, such as {some([profile.spelling[written[0]]])}, are not read as "
        "numbers, because a comma may stand for decimals or for thousands: kept as text. Write "
        "plain numbers with a point into the file, if it is needed.",
    )  # fmt: skip
