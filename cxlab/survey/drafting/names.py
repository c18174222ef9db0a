"""Column names and labels from headers, and what a header hints at."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from cxlab.core.characters import visible_text

if TYPE_CHECKING:
    from cxlab.survey.drafting.profile import Profile

LONGEST_NAME = 40
LONGEST_LABEL = 70
#: Characters that two headers share only if they are one question, joint or not.
LONG_BEGINNING = 20
RESERVED = {"period", "stratum_clusters"}
#: What stands between a question and its item in a joined header.
_JOINTS = re.compile(r"(?:[?:.]?\s+[|–—-]\s+|[:?]\s+|\.\s+|\s*\[|\s*->\s*|\s*>>\s*|__)")

#: All that the header of a column of customers may say besides `HINTS["customer"]`.
BESIDE_CUSTOMER = frozenset({
    *("id", "ids", "no", "nr", "num", "number", "code", "key", "hash", "hashed", "ref", "uuid"),
    *("reference", "guid", "the", "our", "unique", "of", "anonymous", "anonymised", "anonymized"),
})  # fmt: skip
HINTS: dict[str, str] = {
    "id": r"id|ids|respid|resp|respnum|respondent|response|record|recordid|responseid|"
    r"respondentid|responsenum|case|caseid|uuid|guid|key|rowid|row|nr|no|number|num|index|interview",
    "customer": r"customer|customers|client|account|member|user|guest|passenger|subscriber|"
    r"patient|contact|cust|custid|customerid|clientid|userid|panelist",
    "weight": r"weight|weights|weighting|wt|wgt|weightvar|gewicht|pond|poids|peso|fexp",
    "strata": r"strata|stratum",
    "cluster": r"cluster|clusters|psu",
    "period": r"period|wave|quarter",
    "outcome": r"overall|osat|whole|general|generally|total|altogether",
    "satisfaction": r"satisf\w*|sat|csat",
    "recommend": r"recommend\w*|nps|netpro|promoter|ltr|refer|referral|advocacy",
    "rating": r"rating|rate|rated|score|satisf\w*|sat|csat|osat|ease|easy|effort|ces|quality|"
    r"agree|agreement|likely|likelihood|happy|helpful\w*|friendl\w*|clean\w*|recommend\w*|nps",
    "segment": r"gender|sex|age|agegroup|region|country|state|city|county|language|lang|segment|"
    r"tier|income|education|marital|occupation|job|brand|type|category|purpose|group|cohort|"
    r"class|browser|airline|zone|district|ethnicity|race|party|status|method|source|household|"
    r"generation|market|wording|version|arm|code|zip|postcode|sector|industry|role|"
    r"channel|store|branch|site|plan|department|product|device|platform|route|gate|team|agent|"
    r"location|area",
    # these name touchpoints as often as they tell rows apart
    "either": r"channel|store|branch|site|plan|department|product|device|platform|route|gate|team|"
    r"agent|location|area|wait|waiting|price|cost|fee|size|progress",
    "number": r"minutes|mins|hours|days|weeks|seconds|secs|count|visits|times|nights|spend|spent|"
    r"price|amount|revenue|sales|cost|fee|duration|wait|waiting|distance|tenure|years|months|"
    r"quantity|qty|children|people|flights|trips|orders|calls|size|how many|frequency|latitude|"
    r"longitude|progress",
    # people, and what stands beside them in the header of a column of ids
    "person": r"customers?|clients?|members?|users?|guests?|passengers?|subscribers?|patients?|"
    r"contacts?|respondents?|participants?|panelists?|employees?|staff|agents?|advisors?|cashiers?",
    # tell rows apart wherever they stand, also in a battery
    "demographic": r"district|region|county|country|gender|sex|zip|zipcode|postcode|income|"
    r"ethnicity|marital|zone|province|borough|ward|precinct|municipality|commune",
    "personal": r"email|mail|e mail|phone|telephone|mobile|ip|ip address|ipaddress|first name|"
    r"last name|firstname|lastname|surname|full name|latitude|longitude|locationlatitude|"
    r"locationlongitude|recipientemail|recipientlastname|recipientfirstname|address|browser|"
    r"user agent|useragent|externalreference|distributionchannel",
}
_HINTS = {name: re.compile(rf"\b(?:{pattern})\b") for name, pattern in HINTS.items()}


def words_of(header: str) -> str:
    """The words of a header, in lower case: marks and camel case are undone.

    Examples
    --------
    >>> words_of("*RespondentID"), words_of("Q7_overallSat"), words_of("Q7ALL")
    ('respondent id', 'q 7 overall sat', 'q 7 all')
    """
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])", " ", header)
    return " ".join(re.sub(r"[\W_]+", " ", spaced).casefold().split())


def hints(header: str, *names: str) -> bool:
    """Whether a header holds a word of one of the `HINTS`.

    Examples
    --------
    >>> hints("Q1_Overall", "outcome"), hints("Overalls", "outcome"), hints("age_group", "segment")
    (True, False, True)
    """
    words = words_of(header)
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
    return len(others) < len(words) and set(others) <= BESIDE_CUSTOMER


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


def items(headers: Sequence[str]) -> list[str]:
    """Each header without the question it shares with a neighbour; whole where it shares none.

    Examples
    --------
    >>> items(["ID", "How was it? - Food", "How was it? - Fun", "Why?"])
    ['ID', 'Food', 'Fun', 'Why?']
    """
    shortened = []
    for place, header in enumerate(headers):
        neighbours = [headers[i] for i in (place - 1, place + 1) if 0 <= i < len(headers)]
        beginnings = [shared_beginning([header, other]) for other in neighbours]
        item = header[len(max(beginnings, key=len, default="")) :]
        shortened.append(item.strip(" ]") if words_of(item) else header)
    return shortened


def labels_with_choices(profiles: Sequence[Profile]) -> list[str]:
    """Each column's own part of its question: its choice, or what `items` leaves."""
    shortened = items([profile.asked for profile in profiles])
    return [
        profile.question.choice if profile.question and profile.question.choice else item
        for profile, item in zip(profiles, shortened, strict=True)
    ]


def label_of(item: str) -> str:
    """A header in words for reports: trimmed, and cut where it is very long."""
    words = visible_text(item.replace("_", " ")).strip("* ")
    if re.fullmatch(r"[\w ]+", words) and words == words.lower():
        words = words[:1].upper() + words[1:]
    return words if len(words) <= LONGEST_LABEL else words[: LONGEST_LABEL - 1].rstrip() + "…"


def column_names(shortened: Sequence[str]) -> list[str]:
    """Names for tables and code: lower case, unique, none that reading makes itself.

    Examples
    --------
    >>> column_names(["Food & drink", "Period", "Q1", "q1", "2nd visit", "é", "x_missing"])
    ['food_drink', 'period_1', 'q1', 'q1_2', 'column_2nd_visit', 'e', 'x_missing_1']
    """
    names: list[str] = []
    for item in shortened:
        name = _slug(item)
        if name in RESERVED or name.endswith("_missing"):
            name = f"{name}_1"
        number, unique = 2, name
        while unique in names:
            unique, number = f"{name}_{number}", number + 1
        names.append(unique)
    return names


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
