"""Several surveys, or several questions, in one column of scores: asked about, never averaged."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from cxlab.survey.drafting.guesses import Guess, rows, some
from cxlab.survey.drafting.names import hints, words_of
from cxlab.survey.drafting.profile import Profile
from cxlab.survey.drafting.scored import scores_of
from cxlab.survey.scales import normal_code

#: Kinds of question or survey that one column may hold.
MOST_KINDS = 60
FEWEST_SCORES = 8
#: Tops of scales that differ when surveys do.
TOPS = (3, 4, 5, 6, 7, 10)
#: Chance that scores of one scale stop so far below its top, beyond which it is asked about:
#: of a column whose header speaks of surveys, and of any other.
CHANCE, CHANCE_ELSEWHERE = 1e-3, 1e-8
_SURVEYS = re.compile(r"\b(?:survey|surveys|metric|measure|question|form|kind|type|template)\b")
_METRICS = re.compile(r"\b(?:nps|csat|ces|net promoter|satisfaction|effort)\b")


_APART = (
    "One scale does not fit both: write a file for each survey and draft them apart. Or are they "
    "one question?"
)


def note_surveys(
    texts: pd.DataFrame, ratings: Sequence[Guess], profiles: Sequence[Profile]
) -> None:
    """Doubt ratings whose scores belong to several surveys, or to several questions.

    Parameters
    ----------
    texts : DataFrame
        The file, as text.
    ratings : sequence of Guess
        Their ``doubt`` is set where another column tells surveys or questions apart.
    profiles : sequence of Profile
        All columns of the file.
    """
    kinds = [profile for profile in profiles if _may_be_kinds(profile)]
    repeated = [profile for profile in profiles if _may_be_respondents(profile)]
    for guess in ratings:
        by_code = scores_of(guess)
        codes = texts.iloc[:, guess.profile.place].fillna("").map(normal_code)
        scores = pd.to_numeric(codes.map(by_code), errors="coerce")
        for kind in kinds:
            if kind.place == guess.profile.place:
                continue
            kind_of_row = texts.iloc[:, kind.place].fillna("").map(normal_code)
            doubt = _scales_differ(kind, kind_of_row, scores) or _one_row_an_answer(
                kind, kind_of_row, [texts.iloc[:, who.place] for who in repeated]
            )
            if doubt:
                guess.doubt = doubt
                break


def _may_be_kinds(profile: Profile) -> bool:
    enough = profile.filled >= FEWEST_SCORES * len(profile.counts)
    told = bool(profile.words) or bool(_SURVEYS.search(words_of(profile.header)))
    return told and 2 <= len(profile.counts) <= MOST_KINDS and enough


def _may_be_respondents(profile: Profile) -> bool:
    """Whether a column could tell respondents apart, each of whom has several rows."""
    several = 2 * len(profile.counts) <= profile.filled
    return not profile.blank and several and hints(profile.header, "id", "customer")


def _scales_differ(kind: Profile, kind_of_row: pd.Series, scores: pd.Series) -> str:
    """A question where surveys are named, or where one's scores stop at a shorter scale's top."""
    metrics = [code for code in kind.words if _METRICS.search(words_of(code))]
    if len(metrics) > 1 and _SURVEYS.search(words_of(kind.header)):
        return f"'{kind.header}' tells several surveys apart ({some(metrics)}). {_APART}"
    likely = CHANCE if _SURVEYS.search(words_of(kind.header)) else CHANCE_ELSEWHERE
    table = scores.groupby(kind_of_row).agg(["count", "min", "max"])
    table = table[(table["count"] >= FEWEST_SCORES) & (table.index != "")]
    highest = table["max"].max() if len(table) > 1 else 0
    low_ends = not table.empty and bool((table["min"] <= 3).all())
    if highest not in TOPS or not low_ends:
        return ""
    for name, row in table.iterrows():
        if row["max"] not in TOPS or row["max"] == highest:
            continue
        others = scores[(kind_of_row != name) & scores.notna()]
        chance = float((others <= row["max"]).mean()) ** row["count"]
        if chance < likely:
            return (
                f"'{kind.header}' tells several surveys apart: scores of "
                f"'{kind.spelling[str(name)]}' ({rows(int(row['count']))}) never pass "
                f"{row['max']:.0f}, others reach {highest:.0f}. {_APART}"
            )
    return ""


def _one_row_an_answer(
    kind: Profile, kind_of_row: pd.Series, respondents: Sequence[pd.Series]
) -> str:
    """A question where every row holds the answer to one question of a respondent."""
    words = words_of(kind.header).split()
    named = {"question", "item", "questions", "variable", "metric", "measure", "statement"}
    if not named & set(words):
        return ""
    for who in respondents:
        pairs = pd.DataFrame({"who": who.to_numpy(), "kind": kind_of_row.to_numpy()})
        if not pairs.duplicated().any() and pairs["who"].duplicated().any():
            return (
                f"'{kind.header}' names the question of each row and '{who.name}' stands in "
                "several rows: one row an answer. cxlab reads one row a respondent with a column "
                f"a question: pivot the file by '{kind.header}'. Or are they one question?"
            )
    return ""
