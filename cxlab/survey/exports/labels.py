"""Reasons of codes that a statistics package declares to be missing, from their labels."""

from __future__ import annotations

import re

from cxlab.survey.exports.missing import NUMBER_CODES, missing_reason

#: Words that tell the reason of a code that is certainly missing.
_TOLD = (
    ("not asked", r"not asked|not shown|not displayed|skip pattern|routed|routing|filter\w*|"
                  r"inapplicable|logic|not in (?:this )?wave|split"),
    ("never used", r"not applicable|n/?a\b|never|(?:not|n't) (?:use|visit|experience|apply)\w*|"
                   r"no experience|does not apply"),
    ("don't know", r"know|unsure|not sure|can(?:'t|not| not) (?:say|rate|tell|choose)|no opinion|"
                   r"undecided|remember"),
    ("invalid", r"invalid|out of range|error|multiple|uncodeable|implausible"),
    ("no answer", r"refus\w*|no answer|answer|missing|blank|declin\w*|prefer not|skip\w*|"
                  r"no response|unanswered"),
)  # fmt: skip
_TOLD_BY = [(reason, re.compile(rf"\b(?:{words})", re.IGNORECASE)) for reason, words in _TOLD]


def declared_reason(code: str, label: str) -> str:
    """Reason of a declared missing code: told by its label, else by convention.

    Examples
    --------
    >>> declared_reason("8", "Did not fly with us / not applicable"), declared_reason("9", "DK")
    ('never used', "don't know")
    >>> declared_reason("98", ""), declared_reason("7", "Item nonresponse")
    ("don't know", 'no answer')
    """
    known = missing_reason(label) if label else None
    if known:
        return known
    plain = label.replace("’", "'")
    for reason, words in _TOLD_BY:
        if words.search(plain):
            return reason
    whole = re.fullmatch(r"-?\d{1,6}", code)
    return NUMBER_CODES.get(int(code), "no answer") if whole and not label else "no answer"
