"""Answers to several questions in one column of scores, told apart by another column."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from cxlab.survey.drafting.direction import score_series
from cxlab.survey.drafting.guesses import Guess, some
from cxlab.survey.drafting.names import words_of

_ASKED = re.compile(r"\b(?:survey|question|questions|item|metric|measure|kpi|indicator)\b")
_SURVEYS = {"nps", "tnps", "rnps", "enps", "csat", "osat", "ces", "satisfaction", "effort"}


def note_stacked(texts: pd.DataFrame, ratings: Sequence[Guess], guesses: Sequence[Guess]) -> None:
    """Ask of a file's only rating whether another column says which question it answers."""
    if len(ratings) != 1:
        return
    rating = ratings[0]
    scores = score_series(texts.iloc[:, rating.profile.place], rating)
    for guess in guesses:
        if guess.role == "segment" and _names_questions(guess):
            highest = scores.groupby(texts.iloc[:, guess.profile.place]).max()
            rating.question += _question(guess, highest.drop("", errors="ignore").dropna())


def _names_questions(guess: Guess) -> bool:
    values = set(guess.profile.counts)
    named = bool(_ASKED.search(words_of(guess.profile.header)))
    return len(values) > 1 and (named or len(values & _SURVEYS) > 1)


def _question(guess: Guess, highest: pd.Series) -> str:
    header = guess.profile.header
    told = f" '{header}' holds {some([str(value) for value in highest.index])}"
    lower = highest[highest < highest.max()]
    if len(lower):
        told += f", and scores of '{lower.index[0]}' never pass {lower.iloc[0]:g}"
    return (
        f"{told}. Does it say which question a score answers? Then they are no one rating: write a "
        f"file for each value of '{header}', with one row a respondent, and declare each as a table."
    )
