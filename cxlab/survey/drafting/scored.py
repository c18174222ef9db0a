"""Columns of scores in numbers, and the scales that these are on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from cxlab.survey.drafting.labelled import MOST_WORDS, worded
from cxlab.survey.drafting.profile import WHOLE, Guess, Profile, ScaleGuess, rows, some
from cxlab.survey.drafting.together import rating_batteries
from cxlab.survey.drafting.words import (
    LONG_HEADER,
    hints,
    level_of,
    names_a_customer,
)
from cxlab.survey.exports.export import NUMBER_CODES, missing_reason

#: Highest code that a usual scale may have: 0–10 stored as 1–11.
HIGHEST = 11
#: Share of the rows from which a far code means that the touchpoint was never used.
HEAVY = 0.15
#: Share of answers that may be off the scale (typing errors) before it is no rating at all.
STRAY_SHARE = 0.05
#: Fewest answers from which a gap between codes says anything.
ENOUGH = 30
#: How much more often than 5 the code 6 must come to look like "never used".
LUMP = 2.0
USUAL_TOPS = (3, 4, 5, 7)
#: What codes beyond a gap above the values usually stand for.
BEYOND = {6: "never used", 7: "don't know", 8: "don't know", 9: "no answer"}
#: Codes above a usual top that come less often than this look like typing errors.
TYPING_ERRORS = 0.005
#: Ends of a scale in a header: in brackets, or from 0, which numbers no question.
_TOLD = re.compile(
    r"(?:[(\[]\s*|\b(?=0))(?P<low>[01])\s*(?:[-–—]|to|bis|à|al?|tot|até)\s*(?P<high>\d{1,2})\b"
)
_NUMBER_FIRST = re.compile(r"(\d{1,2})\s*(?:[-–—:.=)]|\s|\()\s*\(?([a-z].*)")
_NUMBER_LAST = re.compile(r"([a-z].*?)\s*[-–—:=(\[]\s*(\d{1,2})\s*[)\]]?")


def scored(profiles: Sequence[Profile]) -> list[Guess]:
    """Guesses for all columns that are ratings; roles are settled later."""
    guesses = worded(profiles)
    in_words = {guess.profile.place for guess in guesses}
    rest = [profile for profile in profiles if profile.place not in in_words]
    ratings = {
        profile.place: rating for profile in rest if (rating := _numbered(profile)) is not None
    }
    ratings |= _beside_ratings(rest, ratings)
    return guesses + _numbered_guesses(rest, ratings)


def _numbered(profile: Profile) -> Rating | None:
    """The column as scores in numbers, if its header doesn't say otherwise."""
    labels = labelled_numbers(profile) or worded_ends(profile)
    rating = rating_of(profile, labels)
    if rating is None:
        return None
    if min(rating.scores) < 0:
        return rating
    if two_values(rating.scores):
        return None
    if hints(profile.hinted, "rating", "outcome", "recommend") and max(rating.scores) >= 3:
        return rating
    in_battery = profile.item != profile.asked
    told = partial(hints, profile.item, most=LONG_HEADER)
    if not in_battery and not labels and told("segment", "number", "id", "weight"):
        return None
    if not labels and told("demographic"):
        return None
    if names_a_customer(profile.item) or told("period", "strata", "cluster"):
        return None
    varied = len(rating.scores) > 1 or in_battery
    return rating if varied and max(rating.scores) >= 3 else None


def _beside_ratings(
    profiles: Sequence[Profile], ratings: Mapping[int, Rating]
) -> dict[int, Rating]:
    """Columns like ``price`` or ``agent`` that hold the codes of a rating next to them."""
    found = dict(ratings)
    for profile in [*profiles, *reversed(profiles)]:
        if profile.place in found or not hints(profile.hinted, "either"):
            continue
        rating = rating_of(profile)
        beside = [found.get(profile.place + step) for step in (-1, 1)]
        tops = {max(other.scores) for other in beside if other is not None}
        if rating is not None and max(rating.scores) in tops:
            found[profile.place] = rating
    return found


def labelled_numbers(profile: Profile) -> dict[str, int]:
    """Codes whose text holds its score, such as ``10 - Extremely likely``; empty if unsure.

    Examples
    --------
    >>> import pandas as pd
    >>> from cxlab.survey.drafting.profile import profile_column
    >>> raw = pd.Series(["1 - Very poor", "5 - Very good", "3"], name="Food")
    >>> labelled_numbers(profile_column(raw, 0))
    {'1 - very poor': 1, '5 - very good': 5}
    """
    found: dict[str, int] = {}
    worded = False
    if len(profile.words) > MOST_WORDS:
        return found
    for code in profile.words:
        first, last = _NUMBER_FIRST.fullmatch(code), _NUMBER_LAST.fullmatch(code)
        if not first and not last:
            continue
        number, rest = (first[1], first[2]) if first else (last[2], last[1])  # type: ignore[index]
        if missing_reason(rest):
            continue
        found[code] = int(number)
        worded = worded or level_of(rest) is not None or bool(re.match(r"stars?\b", rest))
    numbers = list(found.values())
    fits = worded and len(set(numbers)) == len(numbers) and max(numbers) <= HIGHEST
    return found if fits else {}


def worded_ends(profile: Profile) -> dict[str, int]:
    """Words at the ends of numbers, such as "Extremely likely" above 1 to 9; empty if unsure.

    Examples
    --------
    >>> import pandas as pd
    >>> from cxlab.survey.drafting.profile import profile_column
    >>> raw = pd.Series(["Not at all likely", *"123456789", "Extremely likely"], name="nps")
    >>> worded_ends(profile_column(raw, 0))
    {'not at all likely': 0, 'extremely likely': 10}
    """
    if len(profile.words) > MOST_WORDS:
        return {}
    words = [code for code in profile.words if not missing_reason(code)]
    levels = {code: level for code in words[:3] if (level := level_of(code)) is not None}
    numbers = [code for code in profile.whole if 0 <= code <= HIGHEST]
    if not numbers or not levels or len(levels) < len(words) or len(words) > 2:
        return {}
    low, high = min(numbers) - 1, max(numbers) + 1
    found = {code: low if level.height < 0 else high for code, level in levels.items()}
    usual = high in (3, 4, 5, 6, 7, 10) and low in (0, 1)
    return found if usual and len(set(found.values())) == len(words) == 2 else {}


def _numbered_guesses(profiles: Sequence[Profile], ratings: Mapping[int, Rating]) -> list[Guess]:
    six_is_code = any(lump_at_six(rating) for rating in ratings.values())
    never_used = {code for rating in ratings.values() for code in heavy_codes(rating)}
    guesses = []
    for battery in rating_batteries([p for p in profiles if p.place in ratings]):
        short = [ratings[p.place] for p in battery if max(ratings[p.place].scores) <= 7]
        long = [ratings[p.place] for p in battery if max(ratings[p.place].scores) > 7]
        for group in [*_alike(short), *_alike(long)]:
            scale = scale_of(group, six_is_code=six_is_code)
            guesses += [_numbered_guess(rating, scale, never_used) for rating in group if scale]
    return guesses


def _alike(group: list[Rating]) -> list[list[Rating]]:
    """The group, or each alone where they word one score in two ways."""
    texts = [
        (score, text.casefold())
        for rating in group
        for score, text in (rating.labels or {}).items()
    ]
    one_text_each = len({score for score, _ in texts}) == len(set(texts))
    return [group] if group and one_text_each else [[rating] for rating in group]


def _numbered_guess(rating: Rating, scale: ScaleGuess, never_used: set[str]) -> Guess:
    """The codes next to a long scale go with the column, so that its scale can be switched."""
    missing = {
        text: "never used" if text in never_used else reason
        for text, reason in rating.missing.items()
    }
    if scale.high > 7:
        near = rating.profile.spelling
        missing |= {near[code]: why for code, why in scale.missing.items() if code in near}
        scale = replace(scale, missing={})
    return Guess(rating.profile, "rating", " ".join(rating.notes), scale, missing)


# scales of numbers ------------------------------------------------------------------------


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
    told = _told_scale(ratings, scores)
    if told is not None:
        guess = told
    elif min(scores) < 0:
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


def _told_scale(ratings: Sequence[Rating], scores: Mapping[int, int]) -> ScaleGuess | None:
    """The scale that a header tells, such as "(0 to 10)", where every score is on it."""
    for rating in ratings:
        told = _TOLD.search(rating.profile.hinted)
        if told and int(told["low"]) <= min(scores) and max(scores) <= int(told["high"]) <= HIGHEST:
            return ScaleGuess(int(told["low"]), int(told["high"]))
    return None


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
