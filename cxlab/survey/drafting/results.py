"""Tables of results, which are not answers, recognised by their columns."""

from __future__ import annotations

import re
from collections.abc import Sequence

from cxlab.core.messages import one_of
from cxlab.survey.drafting.names import words_of
from cxlab.survey.drafting.profile import Profile
from cxlab.survey.drafting.wording import level_of, wording_of

_SIZE = re.compile(
    r"(?:(?:total|number|no|weighted|unweighted) (?:of )?)?(?:completed |eligible |survey )?"
    r"(?:n|count|counts|base|respondents?|responses?|answers|surveys|frequency|freq|sample)"
    r"(?: size| count| n)?"
)
_SHARE = re.compile(r"(?:.*\b)?(?:percent|percentage|pct|share|proportion)(?:\b.*)?")
_SUMMARY = re.compile(
    r"(?:mean|average|avg|median|std|sd|standard deviation|std dev|standard error)(?: score| rating)?"
    r"|ci (?:low|lower|high|upper)|(?:lower|upper) (?:ci|bound|limit)|margin of error|moe"
)
_SIGN = re.compile(r"%|\bpct\b", re.IGNORECASE)
#: Words that a header of a share has, beyond which it is a question.
_LONGEST = 6
#: Fewest columns named like the answers of one question.
FEWEST_ANSWERS = 3


def check_answers_not_results(profiles: Sequence[Profile], file: str) -> None:
    """Refuse a table of counts, shares or means, in which no row is a respondent.

    Raises
    ------
    ValueError
        Naming the columns that say so.
    """
    numbers = [profile for profile in profiles if _is_numeric(profile)]
    names = {profile.header: words_of(profile.header) for profile in numbers}
    sizes = [
        p.header
        for p in numbers
        if _SIZE.fullmatch(names[p.header]) and max(p.whole, default=0) > 1
    ]
    shares = [h for h, words in names.items() if _is_share(h, words)]
    summaries = [h for h, words in names.items() if _SUMMARY.fullmatch(words)]
    groups = [h for h, words in names.items() if re.search(r"\b(promoters|detractors)\b", words)]
    answers = _named_like_answers(numbers)
    told = (sizes[:1] + (shares or summaries)[:1]) if sizes and (shares or summaries) else []
    told = told or (groups if len(groups) == 2 else []) or answers
    if told:
        raise ValueError(
            f"{file}: every row must be the answers of one respondent; the columns "
            f"{one_of(told[:4]).replace(' or ', ' and ')} hold results, such as counts, shares or "
            "means. Export the answers themselves; if each row is a respondent after all, rename one of "
            "these columns."
        )


def _is_numeric(profile: Profile) -> bool:
    """Whether most cells are numbers, also with a sign of per cent."""
    signed = sum(n for code, n in profile.words.items() if re.fullmatch(r"[\d.,]+ ?%", code))
    return profile.numeric + signed > profile.filled / 2 > 0


def _is_share(header: str, words: str) -> bool:
    named = bool(_SHARE.fullmatch(words)) or bool(_SIGN.search(header))
    return named and len(words.split()) <= _LONGEST and not re.search("complete|progress", words)


def _named_like_answers(numbers: Sequence[Profile]) -> list[str]:
    """Headers such as Good, Fair and Poor above numbers that are no choices."""
    counted = [p.header for p in numbers if max(p.whole, default=0) > 1 or p.fractions or p.words]
    named = [header for header in counted if level_of(header) is not None]
    wording = wording_of(named) if len(named) >= FEWEST_ANSWERS else None
    return list(wording.heights) if wording is not None else []
