"""Columns of words, as labels of codes or as texts: ratings, or segments."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from cxlab.survey.drafting.profile import WHOLE, Guess, Profile, ScaleGuess, rows, some
from cxlab.survey.drafting.together import rating_batteries
from cxlab.survey.drafting.words import (
    LONG_HEADER,
    SHORT_NAME,
    Wording,
    hints,
    level_of,
    together,
    wording_of,
)
from cxlab.survey.exports.export import NUMBER_CODES, missing_reason
from cxlab.survey.scales import normal_code

#: Steps from the lowest to the highest code of a rating.
FEWEST_STEPS, MOST_STEPS = 2, 11
#: Height of words (see `level_of`) beyond which a scale has none, as a rule.
STRONGEST = 4.0
#: Different words beyond which a column is no rating.
MOST_WORDS = 40
#: Share of answers that may be off a worded scale before it is none.
ODD_WORDS = 0.02
#: Fewest steps of a worded scale; "satisfied" against "dissatisfied" makes two groups.
FEWEST_WORDED = 3
#: Values that a segment may have at all, and where nothing hints at one.
MOST_VALUES, FEW_VALUES = 60, 12
#: Values that a segment may have to be declared one by one.
DECLARED_VALUES = 20
#: Different texts, those of missing answers included, beyond which a column is no segment.
MOST_TEXTS = 500
_ONE_NUMBER = re.compile(r"\D*?(-?\d{1,2})\D*")
_BARE_NUMBER = re.compile(r"-?\d{1,2}")
_UNITS = re.compile(r"^[\s\W]*(?:stars?|points?|out of)?[\s\W]*$", re.IGNORECASE)


def labelled(profiles: Sequence[Profile]) -> list[Guess]:
    """Guesses for the columns whose codes have labels; roles of ratings are settled later."""
    seen = _seen(profiles)
    guesses = [
        guess
        for profile in profiles
        if (guess := _labelled(profile, seen.get(profile.place, set()))) is not None
    ]
    ratings = {guess.profile.place: guess for guess in guesses if guess.scale}
    for battery in rating_batteries([guess.profile for guess in ratings.values()]):
        _share_codes([ratings[profile.place] for profile in battery])
    return guesses


def _seen(profiles: Sequence[Profile]) -> dict[int, set[int]]:
    """Whole codes that are no known missing ones, seen in any column with the same labels."""
    together: dict[tuple[tuple[str, str], ...], set[int]] = {}
    for profile in profiles:
        told = {*profile.declared, *profile.labels} - set(_rest(profile, segment=False))
        codes = {code for code in profile.whole if str(code) not in told}
        together.setdefault(_key(profile), set()).update(codes - set(NUMBER_CODES))
    return {profile.place: together[_key(profile)] for profile in profiles}


def _key(profile: Profile) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(profile.labels.items()))


def _labelled(profile: Profile, seen: Collection[int]) -> Guess | None:
    if not profile.labels:
        return None
    as_rating = _rest(profile, segment=False)
    guess = _rating(profile, as_rating, seen) if as_rating else None
    if guess is not None:
        return guess
    values = _rest(profile, segment=True)
    return _segment(profile, values) if values else None


def _rest(profile: Profile, *, segment: bool) -> dict[str, str]:
    """Labels of codes that are no missing ones."""
    return {
        code: label
        for code, label in profile.labels.items()
        if code not in profile.declared and not missing_reason(label, segment=segment)
    }


def _missing(profile: Profile, rest: Mapping[str, str], *, segment: bool) -> dict[str, str]:
    told = {
        code: missing_reason(label, segment=segment)
        for code, label in profile.labels.items()
        if code not in rest
    }
    told |= profile.declared
    return {profile.written(code): reason for code, reason in told.items() if reason}


def _rating(profile: Profile, labels: Mapping[str, str], seen: Collection[int]) -> Guess | None:
    """The column as scores, told by the words or the numbers of its labels."""
    distinct = {normal_code(label) for label in labels.values()}
    if not all(WHOLE.fullmatch(code) for code in labels) or len(distinct) < max(2, len(labels)):
        return None
    codes = {int(code): label for code, label in labels.items()}
    shift = None if hints(profile.hinted, "number") else _shift(codes)
    direction = _direction(codes)
    told = shift is not None or direction
    low, high = _ends(codes, seen if told else ())
    others = [*profile.declared, *(code for code in profile.labels if code not in labels)]
    between = any(WHOLE.fullmatch(code) and low < int(code) < high for code in others)
    if between or not FEWEST_STEPS <= high - low <= MOST_STEPS:
        return None
    if shift is not None:
        return _guess(profile, codes, low + shift, high + shift, shift=shift)
    if direction:
        return _guess(profile, codes, low, high, reverse=direction < 0)
    if len(codes) == 2 and any(low < code < high for code in profile.whole):
        return _guess(profile, codes, low, high, unknown=True)
    return None


def _ends(codes: Mapping[int, str], seen: Collection[int]) -> tuple[int, int]:
    """Lowest and highest code: of the labels, and of codes seen that go on from them.

    Nothing goes on from a label in the strongest words, or in a number. 0 is a score where 10
    is the highest; elsewhere it stands for a missing answer as often as not.

    Examples
    --------
    >>> _ends({2: "Dissatisfied", 4: "Satisfied"}, [1, 2, 3, 5, 9])
    (1, 5)
    >>> _ends({1: "Very poor", 5: "Very good"}, [0, 1, 3, 5, 6])
    (1, 5)
    """
    low, high = min(codes), max(codes)
    while high + 1 in seen and not _is_end(codes.get(high, "")):
        high += 1
    while low - 1 in seen and not _is_end(codes.get(low, "")) and (low != 1 or high == 10):
        low -= 1
    widened = high - low <= MOST_STEPS
    return (low, high) if widened else (min(codes), max(codes))


def _is_end(label: str) -> bool:
    level = level_of(label)
    strongest = level is not None and abs(level.height) >= STRONGEST
    return strongest or bool(_BARE_NUMBER.fullmatch(label))


def _shift(codes: Mapping[int, str]) -> int | None:
    """What to add to each code to have the number in its label; None without such numbers."""
    numbers = {}
    for code, label in codes.items():
        found = _ONE_NUMBER.fullmatch(label)
        rest = label.replace(found[1], "", 1) if found else label
        if found and (_UNITS.match(rest) or level_of(rest.strip(" -–—:=().[]")) is not None):
            numbers[code] = int(found[1])
        elif level_of(label) is None and not any(char.isalpha() for char in label):
            return None
    bare = sum(bool(_BARE_NUMBER.fullmatch(label)) for label in codes.values())
    shifts = {number - code for code, number in numbers.items()}
    others = len(codes) - len(numbers)
    if len(shifts) != 1 or others > 2 or max(bare, len(numbers)) < 2:
        return None
    return shifts.pop()


def _direction(codes: Mapping[int, str]) -> int:
    """1 where the codes rise with the words, -1 where they fall, 0 where they do neither."""
    words = {code: label for code, label in codes.items() if not _BARE_NUMBER.fullmatch(label)}
    wording = wording_of(words.values())
    if wording is None:
        return 0
    heights = [wording.heights[words[code]] for code in sorted(words)]
    steps = {after > before for before, after in itertools.pairwise(heights)}
    return 0 if len(steps) != 1 else 1 if steps.pop() else -1


def _guess(
    profile: Profile,
    codes: Mapping[int, str],
    low: int,
    high: int,
    *,
    shift: int = 0,
    reverse: bool = False,
    unknown: bool = False,
) -> Guess:
    missing = _missing(profile, {str(code): "" for code in codes}, segment=False)
    labels = {
        (low + high - code - shift if reverse else code + shift): label
        for code, label in sorted(codes.items())
        if not _BARE_NUMBER.fullmatch(label)
    }
    wording = wording_of(labels.values())
    family = wording.family if wording and not shift and len(labels) == high - low + 1 else ""
    question = _strays(profile, low - shift, high - shift, missing)
    question += _beyond(profile, codes, low - shift, high - shift)
    if unknown:
        last = max(codes)
        question += f" Is {last} ('{codes[last]}') the better score and not the worse? If the "
        question += "worse, set reverse = true."
    keys: dict[str, object] = {}
    if shift:
        keys["shift"] = shift
        question += _shifted(codes, low - shift, shift)
    if reverse:
        keys["reverse"] = True
        first = min(codes)
        which = "lowest code" if first == low else "lowest code with a label"
        best = "the best answer" if first == low else "a better answer than the others"
        question += (
            f" The {which}, {first}, is labelled '{codes[first]}', {best}, so that scores are "
            f"reversed: {first} becomes {low + high - first}. Is that right?"
        )
    scale = ScaleGuess(low, high, dict(sorted(labels.items())), family=family)
    return Guess(profile, "rating", question.strip(), scale, missing, keys=keys)


def _beyond(profile: Profile, codes: Mapping[int, str], low: int, high: int) -> str:
    """A sentence about codes on the scale that lie off its labels."""
    within = range(min(codes), max(codes) + 1)
    beyond = sorted(c for c in profile.whole if low <= c <= high and c not in within)
    if not beyond:
        return ""
    number = sum(profile.whole[code] for code in beyond)
    return (
        f" Without a label: {some([str(code) for code in beyond])} ({rows(number)}), taken as "
        f"scores next to those with one, on a scale from {low} to {high}. Is that right?"
    )


def _shifted(codes: Mapping[int, str], low: int, shift: int) -> str:
    by = f"{abs(shift)} {'lower' if shift < 0 else 'higher'}"
    top = max(codes)
    return (
        f" The codes run from {low} to {top}, but their labels are {by} ({top} is labelled "
        f"'{codes[top]}'), so that shift = {shift} makes scores of them. Is that right?"
    )


def _strays(profile: Profile, low: int, high: int, missing: dict[str, str]) -> str:
    """Put codes off the labelled scale among the missing ones; a sentence about them."""
    labels = profile.labels.values()
    # a number that is also some code's label is a stray code all the same
    words = {label.casefold() for label in labels if not _BARE_NUMBER.fullmatch(label)}
    strays = [
        code
        for code in profile.counts
        if profile.spelling[code] not in missing
        and not (WHOLE.fullmatch(code) and low <= int(code) <= high)
        and code not in words
    ]
    if not strays:
        return ""
    for code in strays:
        whole = WHOLE.fullmatch(code)
        reason = NUMBER_CODES.get(int(code), "invalid") if whole else "invalid"
        missing[profile.spelling[code]] = reason
    number = sum(profile.counts[code] for code in strays)
    return (
        f"{some([profile.spelling[code] for code in strays])} ({rows(number)}) has no label and is "
        f"off the scale from {low} to {high}."
    )


def _share_codes(guesses: Sequence[Guess]) -> None:
    """Put missing codes that a short scale's battery has in common into the scale."""
    scales = {guess.scale.key for guess in guesses if guess.scale}
    if len(scales) != 1 or any(g.scale is None or g.scale.high > 7 for g in guesses):
        return
    common = {
        text: reason
        for text, reason in guesses[0].missing.items()
        if all(
            guess.missing.get(text) == reason
            and normal_code(text) in {**guess.profile.declared, **guess.profile.labels}
            for guess in guesses
        )
    }
    for guess in guesses:
        if guess.scale is not None and common and not guess.keys.get("shift"):
            guess.scale = replace(guess.scale, missing=common)
            guess.missing = {t: r for t, r in guess.missing.items() if t not in common}


def _segment(profile: Profile, labels: Mapping[str, str]) -> Guess | None:
    missing = _missing(profile, labels, segment=True)
    texts = {normal.casefold() for normal in labels.values()}
    without = [
        code
        for code in profile.counts
        if code not in labels and profile.spelling[code] not in missing and code not in texts
    ]
    if len(without) > len(labels):
        return None  # a number, some of whose values have names
    values = {profile.written(code): label for code, label in labels.items()}
    values |= {profile.spelling[code]: profile.spelling[code] for code in without}
    shown = [f"{code} = {label}" for code, label in list(values.items())[:4]]
    question = f"Codes with labels: {'; '.join(shown)}{' …' if len(values) > 4 else ''}. "
    question += "Guessed: a segment. Is it?"
    if without:
        question += f" {some([profile.spelling[code] for code in without])} has no label."
    if len(set(values.values())) < len(values):
        question += " Two codes have the same label and become one value."
    if hints(profile.hinted, "rating", "outcome") and len(labels) >= 3:
        question += (
            " If it is a rating, whose words were not understood, give it a scale with `labels`, "
            'and role = "touchpoint".'
        )
    return Guess(profile, "segment", question, values=values, missing=missing)


# texts ------------------------------------------------------------------------------------


def _wording(profile: Profile) -> tuple[Wording, dict[str, str]] | None:
    """The wording of a column and what of it is missing."""
    if len(profile.counts) > MOST_WORDS:
        return None
    missing, texts, odd = {}, [], []
    for code in profile.counts:
        text = profile.spelling[code]
        reason = profile.declared.get(code) or missing_reason(text)
        if reason and (code in profile.declared or level_of(text) is None):
            missing[text] = reason
        elif level_of(text) is None:
            odd.append(text)
        else:
            texts.append(text)
    wording = wording_of(texts)
    stray = sum(profile.counts[code] for code in profile.counts if profile.spelling[code] in odd)
    if wording is None or len(wording.steps) < FEWEST_WORDED or stray > ODD_WORDS * profile.filled:
        return None
    return wording, missing | dict.fromkeys(odd, "invalid")


def worded(profiles: Sequence[Profile]) -> list[Guess]:
    """Guesses for the columns whose texts are the words of a scale; one scale a battery, if it is."""
    found = {profile.place: one for profile in profiles if (one := _wording(profile))}
    guesses = []
    for battery in rating_batteries([one for one in profiles if one.place in found]):
        shared = together([found[profile.place][0] for profile in battery])
        for profile in battery:
            wording, missing = found[profile.place]
            scale = _worded_scale(shared or wording)
            guesses.append(Guess(profile, "rating", scale=scale, missing=missing))
    return guesses


def _worded_scale(wording: Wording) -> ScaleGuess:
    question = ""
    if wording.unseen:
        unseen = ", ".join(str(score) for score in wording.unseen)
        question = f"Nobody chose {unseen}, whose words are not known."
    return ScaleGuess(
        1, len(wording.steps), wording.labels, question=question, family=wording.family
    )


#: Numbers of words that a scale of satisfaction has.
USUAL_STEPS = range(4, 8)
_UNKNOWN_WORDS = (
    "Named like a rating, in words that are not known: if it is one, declare a scale whose labels "
    "are these words, from worst to best, and give the column this scale and the role outcome or "
    "touchpoint."
)


def text_segment(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises a segment by how few texts there are and how often they come."""
    if len(profile.counts) > MOST_TEXTS:
        return None
    missing = profile.missing(segment=True)
    codes = [code for code in profile.counts if profile.spelling[code] not in missing]
    average = sum(profile.counts[code] for code in codes) / max(len(codes), 1)
    hinted = hints(item, "segment", most=LONG_HEADER)
    few = len(codes) <= FEW_VALUES and average >= 2
    more = len(codes) <= MOST_VALUES and average >= (2 if hinted else 5)
    longest = max((len(code) for code in codes), default=0)
    if not codes or not (few or more) or longest > 100:
        return None
    if len(codes) == 1 and not profile.blank and not missing:
        return Guess(profile, "ignore", "one value only")
    texts = sorted((profile.spelling[code] for code in codes), key=_by_first_number)
    question = f"Guessed: a segment of {len(codes)} values, {some(texts, 5)}. Is it?"
    question += _nearly_alike(profile, codes)
    values = {text: text for text in texts} if len(codes) <= DECLARED_VALUES else {}
    named = hints(item, "satisfaction", "recommend", most=SHORT_NAME)
    doubt = _UNKNOWN_WORDS if named and len(texts) in USUAL_STEPS else ""
    return Guess(profile, "segment", question, values=values, missing=missing, doubt=doubt)


def _by_first_number(text: str) -> tuple[bool, float, bool, str]:
    """Order of values: "Under 18" before "18-24" before "> 60", then words by the alphabet."""
    number = re.search(r"\d[\d,]*(?:\.\d+)?", text)
    if number is None:
        return (True, 0.0, False, text.casefold())
    below = bool(re.match(r"\s*(?:<|under|below|less|up to|to\b)", text.casefold()))
    value = float(number[0].replace(",", "") or 0)
    return (False, value - (0.5 if below else 0), False, text.casefold())


def _negated(text: str, other: str) -> bool:
    """Whether a word of one text is the end of the other's: satisfait, insatisfait."""
    pairs = zip(text.split(), other.split(), strict=False)
    return any(a != b and (a.endswith(b) or b.endswith(a)) for a, b in pairs)


def _nearly_alike(profile: Profile, codes: list[str]) -> str:
    import difflib

    for code in codes:
        if any(character.isdigit() for character in code) or len(code) < 4:
            continue
        rare = [o for o in codes if o != code and profile.counts[o] * 20 <= profile.counts[code]]
        rare = [other for other in rare if not _negated(other, code)]
        near = difflib.get_close_matches(code, rare, n=1, cutoff=0.85)
        if near and not any(character.isdigit() for character in near[0]):
            odd, usual = profile.spelling[near[0]], profile.spelling[code]
            return (
                f" '{odd}' ({rows(profile.counts[near[0]])}) is spelt almost like '{usual}': "
                f'if it is the same, set "{odd}" = "{usual}".'
            )
    return ""
