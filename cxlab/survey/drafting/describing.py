"""Columns that describe the row: ids, weights, dates, segments, numbers, text."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Collection

import pandas as pd

from cxlab.core.messages import got
from cxlab.survey.cells import is_date, possible_forms, read_dates
from cxlab.survey.cleaning import ROUNDED, ROUNDED_BY_EXCEL
from cxlab.survey.definition import normal_header
from cxlab.survey.drafting.labelled import FEW_VALUES, MOST_VALUES, text_segment
from cxlab.survey.drafting.profile import Guess, Profile, rows, some
from cxlab.survey.drafting.scored import BEYOND, two_values
from cxlab.survey.drafting.words import (
    LONG_HEADER,
    SHORT_NAME,
    hints,
    names_a_customer,
    names_people,
)
from cxlab.survey.exports.export import NUMBER_CODES, missing_reason

#: Means of weights, up to its inverse, that are weights' own and not kilogrammes'.
USUAL_WEIGHT = 0.4
#: So many whole numbers at most are codes of a rating or of groups.
MOST_CODES = 12
_WRITTEN_NUMBER = re.compile(r"[-+]?[$€£¥]?\s?[-+]?\d[\d,. ]*\s?[%€£$]?")
_FOREIGN_DATE = re.compile(
    r"\d{1,2}(?:er|\.)? (?:de )?(?:jan|ene|gen|f[ée]v|feb|mar|m[äa]r|mrt|avr|abr|apr|mai|mag|mei|"
    r"may|juin|jun|giu|juil|jul|lug|ao[uû]|ago|aug|sep|set|okt|oct|ott|out|nov|d[ée]c|dez|dic)"
    r"[^\W\d]*\.? (?:de )?\d{4}\b"
)
_COMPACT_DAY = r"(?:19|20)\d{6}"
#: Two numbers apart from each other, or one beside a month's name.
_DAY_OR_YEAR = re.compile(r"\d.*[-/., ].*\d")


def describing(profile: Profile, taken: Collection[str]) -> Guess:
    """What a column that is no rating seems to be."""
    for attempt in _ATTEMPTS:
        for name in profile.names:
            guess = attempt(profile, name, taken)
            if guess is not None:
                return guess
    return Guess(profile, "ignore", "free text")


def known(profile: Profile, taken: Collection[str]) -> Guess | None:
    """What the platform's own columns are; None for a question, or one that isn't as usual."""
    role = profile.question.role
    if role == "ignore":
        return Guess(profile, "ignore", profile.question.note)
    if role == "id" and profile.unique and "id" not in taken:
        return Guess(profile, "id", "The platform's id of the response. Is it to be kept?")
    if role == "date":
        return _date(profile, profile.header, taken)
    if role == "number" and profile.numeric == profile.filled > 0:
        return Guess(profile, "number", "The platform's own number. Is it needed?")
    if role == "segment" and profile.filled:
        return _own_segment(profile)
    return None


def _own_segment(profile: Profile) -> Guess:
    if len(profile.counts) == 1 and not profile.blank:
        return Guess(profile, "ignore", "one value only")
    if set(profile.whole) <= {0, 1} and not profile.words:
        return coded_segment(profile)
    found = text_segment(profile, profile.header, ())
    return found or Guess(
        profile, "segment", "The platform's own column, taken as a segment. Is it needed?"
    )


def leave_out(profile: Profile) -> Guess | None:
    """Columns with nothing to tell or that tell who somebody is."""
    if all(missing_reason(code) or code in profile.declared for code in profile.counts):
        return Guess(profile, "ignore", "empty")
    if not normal_header(profile.header):
        return Guess(profile, "ignore", "without a header")
    for name in profile.names:
        if hints(name, "personal", most=SHORT_NAME) and not hints(name, "rating"):
            return Guess(profile, "ignore", "personal or technical")
        # few codes are ratings or groups, whatever they are of
        coded = profile.labels or (profile.whole and len(profile.counts) <= MOST_CODES)
        if hints(name, "private", most=SHORT_NAME) and not coded:
            return Guess(profile, "ignore", "personal or technical")
        if names_people(name) and not profile.whole and not profile.labels:
            return Guess(profile, "ignore", "names of people")
    return None


def _id(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    if hints(item, "id", "customer", most=SHORT_NAME):
        _check_rounded(profile)
    if names_a_customer(item) and not profile.fractions:
        return _customer(profile, taken)
    if not hints(item, "id", most=SHORT_NAME) or profile.fractions:
        return None
    if profile.unique and "id" not in taken:
        return Guess(
            profile, "id", "Guessed: the id of the answer, as every row has another. Is it?"
        )
    if len(profile.counts) < profile.rows / 2 or hints(item, "number", "segment"):
        return None
    repeated = [profile.spelling[code] for code, count in profile.counts.items() if count > 1]
    if any(" " in text for text in repeated):
        return None  # sentences
    trouble = "some rows have none"
    if repeated:
        verb = "occurs" if len(repeated) == 1 else "occur"
        trouble = f"{some(repeated)} {verb} more than once"
    if "id" in taken and profile.unique:
        trouble = "another column is the id already"
    return Guess(
        profile, "text",
        f"Named like an id, but {trouble}, so it is kept as text. Are some answers there twice? Then "
        'remove them from the file; role = "id" has that checked.',
    )  # fmt: skip


def _check_rounded(profile: Profile) -> None:
    """Refuse ids that Excel has rounded; numbers with other decimals are measurements."""
    rounded = [code for code in profile.fractions if re.fullmatch(ROUNDED, code)]
    if rounded and len(rounded) == len(profile.fractions):
        texts = [profile.spelling[code] for code in rounded]
        total = sum(profile.fractions[code] for code in rounded)
        raise ValueError(
            f"column '{profile.header}': ids must have all their digits; got {got(texts, total)}. "
            f"{ROUNDED_BY_EXCEL}"
        )


def _customer(profile: Profile, taken: Collection[str]) -> Guess | None:
    if len(profile.counts) < min(profile.filled, 20) / 2:
        return None  # kinds of customers, not customers
    named = [
        code for code in profile.words if re.fullmatch(r"[^\W\d_]+[.'’-]?( [^\W\d_]+.*)+", code)
    ]
    if 2 * len(named) > len(profile.counts):
        return Guess(profile, "ignore", "names of people")
    if {"customer", "cluster"} <= set(taken):
        return Guess(
            profile,
            "text",
            "Named like a customer, as other columns are: kept as text. Is that right?",
        )
    if "customer" not in taken and (profile.unique or "cluster" in taken):
        return Guess(profile, "customer", "Guessed: tells customers apart. Is it?")
    if profile.unique:
        return Guess(profile, "text", "Named like a customer, as another column is: kept as text.")
    return Guess(
        profile, "cluster",
        "Guessed: the customer, who answers more than once, so that their answers count as one "
        "cluster in every interval. Is it?",
        keys={"spans_periods": True},
    )  # fmt: skip


def _weight(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    if not hints(item, "weight", most=SHORT_NAME) or "weight" in taken:
        return None
    bad = [profile.spelling[code] for code in profile.words]
    bad += [profile.spelling[code] for code in profile.counts if code.startswith("-")]
    if bad or profile.blank:
        trouble = some(bad) if bad else f"{rows(profile.blank)} without one"
        return Guess(
            profile, "text",
            f"Named like a weight, but a weight must be a number of 0 or more in every row, and "
            f"there is {trouble}: it is kept as text and nothing is weighted. Repair the file (every "
            'number with a point, or every one with a comma) and set role = "weight", if it is one.',
        )  # fmt: skip
    mean = sum(float(code) * count for code, count in profile.counts.items()) / profile.rows
    usual = USUAL_WEIGHT <= mean <= 1 / USUAL_WEIGHT
    return Guess(
        profile, "weight",
        f"Guessed: survey weights, with a mean of {mean:.3g}. Are they weights to the population, "
        "and not a measurement?",
        doubt="" if usual else "Weights usually have a mean of 1, so you decide.",
    )  # fmt: skip


def _design(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    for role in ("strata", "cluster"):
        repeated = len(profile.counts) <= profile.rows / 2
        whole = repeated and not profile.blank and not profile.fractions
        if hints(item, role) and role not in taken and whole:
            return Guess(
                profile, role, f"Guessed: the {role} of the sampling design, by its name. Is it?"
            )
    return None


def _period(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    few = 1 <= len(profile.counts) <= 40 and not profile.fractions
    if not hints(item, "period", most=SHORT_NAME) or "period" in taken or not few or profile.blank:
        return None
    odd = any(missing_reason(code, segment=True) for code in profile.words)
    if odd:
        return None
    return Guess(
        profile, "period",
        f"Guessed: the period of the answer, {some(list(profile.spelling.values()))}. Is it, and "
        "does its order as text run with time?",
    )  # fmt: skip


def _date(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    texts = [profile.spelling[code] for code in profile.words]
    alike = [text for text in texts if _DAY_OR_YEAR.search(text)]
    few_others = len(texts) - len(alike) <= MOST_VALUES
    if profile.numeric or not alike or not few_others or not is_date(alike[0]):
        return None
    missing = profile.missing(segment=False)
    dates = pd.Series([text for text in texts if text not in missing], dtype="str")
    if not dates.str.contains(_DAY_OR_YEAR).all():
        return None
    if _are_iso(dates):
        return Guess(profile, "date", "Guessed: ISO dates. Are they?", missing=missing)
    fitting = possible_forms(dates)
    if not fitting:
        return _dates_of_several_forms(profile, dates)
    question = f"Guessed: dates of the form {fitting[0]}, such as '{dates.iloc[0]}'. Are they?"
    if len(fitting) > 1:
        question = (
            f"Guessed: dates of the form {fitting[0]}, but {fitting[1]} fits every one too "
            f"('{dates.iloc[0]}'). Which is it?"
        )
    if "%y" in fitting[0]:
        question += " Years of two digits are read as 1969 to 2068."
    if "%Z" in fitting[0]:
        question += " Times of several time zones are given in UTC."
    return Guess(profile, "date", question, missing=missing, keys={"format": fitting[0]})


def _dates_of_several_forms(profile: Profile, dates: pd.Series) -> Guess | None:
    looked_at = dates.head(100)
    if not looked_at.map(is_date).all():
        return None
    first = possible_forms(looked_at.head(1))[:1]
    other = looked_at[read_dates(looked_at, *first).isna()]
    if other.empty:
        return None
    return Guess(
        profile, "text",
        f"Dates of several forms, such as {some([looked_at.iloc[0], other.iloc[0]])}, are not read "
        "as dates: kept as text. Write all of them as 2025-10-02 into the file, if they are needed.",
    )  # fmt: skip


def _are_iso(texts: pd.Series) -> bool:
    try:
        return bool(read_dates(texts).notna().all())
    except ValueError:  # time zones that differ
        return False


def _compact_date(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises days written as 20251002."""
    days = [str(code) for code in profile.whole if code not in NUMBER_CODES]
    if not days or profile.fractions or not all(re.fullmatch(_COMPACT_DAY, day) for day in days):
        return None
    if read_dates(pd.Series(days), "%Y%m%d").isna().any():
        return None
    missing = profile.missing(segment=False)
    missing |= {str(code): NUMBER_CODES[code] for code in profile.whole if code in NUMBER_CODES}
    if any(profile.spelling[code] not in missing for code in profile.words):
        return None
    question = f"Guessed: dates written as year, month and day, such as {days[0]}. Are they?"
    return Guess(profile, "date", question, missing=missing, keys={"format": "%Y%m%d"})


def _foreign_date(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises dates whose month has a name in another language; they are not read."""
    dated = [code for code in profile.words if _FOREIGN_DATE.match(code)]
    if not dated or sum(profile.words[code] for code in dated) < 0.9 * profile.filled:
        return None
    return Guess(
        profile, "text",
        f"Dates with names of months that are not English, such as "
        f"{some([profile.spelling[dated[0]]])}, are not read as dates: kept as text. Write dates "
        "such as 2025-10-02 into the file, if they are needed.",
    )  # fmt: skip


def _codes_as_text(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises codes such as 01014F or 007, whose letters or zeros are part of them."""
    named = hints(item, "id", "customer", most=SHORT_NAME)
    mixed = [code for code in profile.words if re.fullmatch(r"(?=.*\d)(?=.*[a-z])[\w-]+", code)]
    if not profile.padded and not (named and mixed and profile.numeric):
        return None
    segment = text_segment(profile, item, taken)
    if segment is not None:
        return segment
    padded = [text for text in profile.spelling.values() if re.fullmatch("0[0-9]+", text)]
    examples = [profile.spelling[code] for code in mixed] + padded
    return Guess(
        profile, "text",
        f"Codes with letters or leading zeros, such as {some(examples, 2)}, are no numbers: kept as "
        "text, as they stand. Is that right?",
    )  # fmt: skip


def _choices_in_a_cell(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises "select all that apply" with the choices in one cell (``Food; Shops``)."""
    texts = [profile.spelling[code] for code in profile.words]
    for separator in (";", "|", ", "):
        if sum(separator in text for text in texts) < 3:
            continue
        parts = [{part.strip() for part in text.split(separator)} for text in texts]
        several = [chosen for chosen in parts if len(chosen) > 1]
        times = Counter(part for chosen in parts for part in chosen if part)
        again = [choice for choice, number in times.items() if number > 1]
        if len(several) >= 3 and len(again) >= 2 and len(times) <= min(20, 2 * len(again)):
            return Guess(
                profile, "text",
                f"Guessed: several choices in one cell, separated by '{separator.strip()}' "
                f"({some(sorted(times))}). Kept as text; nothing is computed from it. Is that right?",
            )  # fmt: skip
    return None


def measured(profile: Profile, item: str, taken: Collection[str]) -> Guess | None:
    """Recognises numbers, measured or counted; few of them are codes of a segment."""
    if not profile.numeric:
        return None
    missing = profile.missing(segment=False)
    strange = [code for code in profile.words if profile.spelling[code] not in missing]
    if sum(profile.words[code] for code in strange) > 0.05 * profile.numeric:
        return None
    distinct = len(profile.whole)
    counted = hints(item, "number", most=LONG_HEADER)
    aged = "age" in item.casefold() and distinct > FEW_VALUES
    coded = hints(item, "segment", most=LONG_HEADER) and not aged
    few = distinct <= FEW_VALUES and not counted and max(profile.whole, default=0) < 100
    if not profile.fractions and not strange and (few or (coded and distinct <= MOST_VALUES)):
        return coded_segment(profile)
    missing |= {profile.spelling[code]: "invalid" for code in strange}
    missing |= _far_codes(profile)
    question = "Guessed: a number, measured or counted. Is it, and no code?"
    question += _counted_days(profile, item)
    return Guess(profile, "number", question, missing=missing, doubt=_percentage(profile, item))


def _percentage(profile: Profile, item: str) -> str:
    """A doubt about a number from 0 to 100 that is named like a rating."""
    within = not profile.fractions and min(profile.whole) >= 0 and max(profile.whole) <= 100
    if not within or not hints(item, "rating", "outcome") or hints(item, "number", "segment"):
        return ""
    return (
        "Named like a rating: if it is a score from 0 to 100, declare [scales.zero_to_hundred] with "
        'range = [0, 100] and metrics = ["mean"], and give the column this scale and the role '
        "outcome or touchpoint."
    )


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


#: In this order: the first that recognises a column says what it is.
_ATTEMPTS = (
    *(_id, _weight, _design, _period, _date, _compact_date, _foreign_date, _codes_as_text),
    *(measured, written_numbers, _choices_in_a_cell, text_segment),
)
