"""Columns of scores: in words, in numbers, or in both."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from cxlab.survey.drafting.numeric import (
    HIGHEST,
    Rating,
    heavy_codes,
    lump_at_six,
    rating_of,
    scale_of,
    two_values,
)
from cxlab.survey.drafting.profile import Guess, Profile, ScaleGuess
from cxlab.survey.drafting.together import rating_batteries
from cxlab.survey.drafting.words import (
    LONG_HEADER,
    Wording,
    hints,
    level_of,
    names_a_customer,
    together,
    wording_of,
    words_of,
)
from cxlab.survey.exports.export import missing_reason

#: Share of answers that may be off a worded scale before it is none.
ODD_WORDS = 0.02
#: Different words beyond which a column is no rating.
MOST_WORDS = 40
#: Fewest steps of a worded scale; "satisfied" against "dissatisfied" makes two groups.
FEWEST_STEPS = 3
_NUMBER_FIRST = re.compile(r"(\d{1,2})\s*(?:[-–—:.=)]|\s|\()\s*\(?([a-z].*)")
_NUMBER_LAST = re.compile(r"([a-z].*?)\s*[-–—:=(\[]\s*(\d{1,2})\s*[)\]]?")


def scored(profiles: Sequence[Profile], items: Mapping[int, str]) -> list[Guess]:
    """Guesses for all columns that are ratings; roles are settled later."""
    worded = {profile.place: found for profile in profiles if (found := _worded(profile))}
    guesses = _worded_guesses([one for one in profiles if one.place in worded], worded)
    rest = [profile for profile in profiles if profile.place not in worded]
    ratings = {
        profile.place: rating
        for profile in rest
        if (rating := _numbered(profile, items[profile.place])) is not None
    }
    ratings |= _beside_ratings(rest, ratings)
    return guesses + _numbered_guesses(rest, ratings)


def _worded(profile: Profile) -> tuple[Wording, dict[str, str]] | None:
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
    if wording is None or len(wording.steps) < FEWEST_STEPS or stray > ODD_WORDS * profile.filled:
        return None
    return wording, missing | dict.fromkeys(odd, "invalid")


def _worded_guesses(
    profiles: Sequence[Profile], worded: Mapping[int, tuple[Wording, dict[str, str]]]
) -> list[Guess]:
    """The columns of a battery have one scale, if their wordings make one."""
    guesses = []
    for battery in rating_batteries(profiles):
        shared = together([worded[profile.place][0] for profile in battery])
        for profile in battery:
            wording, missing = worded[profile.place]
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


def _numbered(profile: Profile, item: str) -> Rating | None:
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
    in_battery = item != profile.asked
    short = len(words_of(item).split()) <= LONG_HEADER
    if short and not in_battery and not labels and hints(item, "segment", "number", "id", "weight"):
        return None
    if short and not labels and hints(item, "demographic"):
        return None
    if names_a_customer(item) or (short and hints(item, "period", "strata", "cluster")):
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


_ONLY_RATING = (
    "It is the only {} of the file, so it is taken as the outcome. If it is the likelihood to "
    'recommend, set scale = "likelihood_to_recommend"; if it rates one touchpoint only, set '
    'role = "touchpoint".'
)


def settle_roles(guesses: Sequence[Guess], items: Mapping[int, str]) -> None:
    """Outcomes by their names, the other ratings as touchpoints; says so in the question."""
    ordered = sorted(guesses, key=lambda guess: guess.profile.place)
    overall = _overall(ordered, items)
    if overall is None and not any(hints(g.profile.hinted, "recommend") for g in ordered):
        overall = _lone(ordered)
    for guess in ordered:
        recommend = hints(guess.profile.hinted, "recommend")
        guess.role = "outcome" if recommend or guess is overall else "touchpoint"
        guess.question = _role_question(guess, recommend)


def _overall(guesses: Sequence[Guess], items: Mapping[int, str]) -> Guess | None:
    """The first rating named overall or the like, else the first named satisfaction."""
    for hint in ("outcome", "satisfaction"):
        for guess in guesses:
            item = items[guess.profile.place]
            if hints(item, hint) and not hints(guess.profile.hinted, "recommend"):
                return guess
    return None


def _lone(guesses: Sequence[Guess]) -> Guess | None:
    """The only rating, or the only one from 0 to 10, doubted as the outcome."""
    long = [one for one in guesses if one.scale and (one.scale.low, one.scale.high) == (0, 10)]
    for only, kind in ((guesses, "rating"), (long, "rating from 0 to 10")):
        if len(only) == 1:
            only[0].doubt = _ONLY_RATING.format(kind)
            return only[0]
    return None


def _role_question(guess: Guess, recommend: bool) -> str:
    scale = guess.scale
    if scale is None:
        return guess.question
    answers = guess.profile.filled - sum(
        guess.profile.counts[code]
        for code, text in guess.profile.spelling.items()
        if text in guess.missing or code in scale.missing
    )
    words = [guess.profile.spelling[code] for code in guess.profile.words]
    in_words = any(text not in guess.missing for text in words)
    what = f"Guessed: {'an outcome' if guess.role == 'outcome' else 'a touchpoint'}"
    told = [f"{what}, {answers:,} answers from {scale.low} to {scale.high}. Is it?"]
    if (scale.low, scale.high) == (0, 10):
        why = "Named like an NPS question, but that" if recommend else "An NPS"
        change = (
            "its scale has the bins and metrics of likelihood_to_recommend."
            if scale.labels and in_words
            else 'you set scale = "likelihood_to_recommend".'
        )
        told.append(f"{why} is never assumed: it is reported as a mean until {change}")
        told.append(scale.question)
    elif scale.high > 7:
        told.append(scale.question)
    return " ".join(part for part in [*told, guess.question] if part)
