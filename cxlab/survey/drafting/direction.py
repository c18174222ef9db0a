"""Ratings that run against the others: 1 may be their best score."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from cxlab.survey.drafting.guesses import Guess
from cxlab.survey.drafting.scored import scores_of
from cxlab.survey.scales import normal_code

#: Correlation with the mean of the other ratings below which to ask.
AGAINST = -0.2
FEWEST = 30


def note_directions(texts: pd.DataFrame, ratings: Sequence[Guess]) -> None:
    """Add a question to every rating that falls where the others rise."""
    scores = pd.DataFrame(
        {
            guess.profile.place: score_series(texts.iloc[:, guess.profile.place], guess)
            for guess in ratings
        }
    )
    if scores.shape[1] < 2:
        return
    spread = scores.std()
    standard = (scores - scores.mean()) / spread.where(spread > 0)
    total, answered = standard.sum(axis=1), standard.notna().sum(axis=1)
    for guess in ratings:
        own = standard[guess.profile.place]
        number = (answered - own.notna()).where(lambda n: n > 0)
        others = (total - own.fillna(0)) / number
        both = own.notna() & others.notna()
        if both.sum() < FEWEST or own[both].std() == 0 or others[both].std() == 0:
            continue
        correlation = own[both].corr(others[both])
        if correlation < AGAINST:
            guess.question += (
                f" It falls where the other ratings rise (r = {correlation:.2f}): is its lowest "
                "score the best? Then turn its codes round in the file."
            )


def score_series(raw: pd.Series, guess: Guess) -> pd.Series:
    """Scores of a guessed rating, NaN where there is none."""
    by_code = scores_of(guess)
    by_text = {text: by_code.get(normal_code(text)) for text in raw.unique()}
    return raw.map(by_text).astype("float64")
