"""How ratings go with the others: against them, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from cxlab.survey.drafting.guesses import Guess
from cxlab.survey.drafting.names import hints
from cxlab.survey.drafting.scored import scores_of
from cxlab.survey.scales import normal_code

#: Correlation with the mean of the other ratings below which to ask.
AGAINST = -0.2
FEWEST = 30
#: Correlation from which ratings go together, how many must, and below which one doesn't.
TOGETHER, FEWEST_TOGETHER, STRANGER = 0.3, 4, 0.1
#: Scales that are taken for ratings whether they go with the others or not.
USUAL = ((1, 5), (1, 7))


def without_strangers(
    texts: pd.DataFrame, ratings: Sequence[Guess], items: Mapping[int, str]
) -> list[Guess]:
    """The ratings less columns of codes that have nothing to do with them.

    Ratings of one respondent go together. Where several of a file do, an unlabelled column
    that doesn't, whose header doesn't speak of a rating and whose codes are not those of the
    usual scales, holds codes of something else.
    """
    found = _correlations(texts, ratings)
    if sum(r >= TOGETHER for r in found.values()) < FEWEST_TOGETHER:
        return list(ratings)
    return [
        guess
        for guess in ratings
        if abs(found.get(guess.profile.place, 1.0)) >= STRANGER
        or (guess.scale and (guess.scale.low, guess.scale.high) in USUAL)
        or guess.profile.labels
        or (guess.scale and guess.scale.labels)
        or hints(f"{guess.profile.hinted} {items[guess.profile.place]}", "rating", "outcome")
    ]


def note_directions(texts: pd.DataFrame, ratings: Sequence[Guess]) -> None:
    """Add a question to every rating that falls where the others rise."""
    found = _correlations(texts, ratings)
    for guess in ratings:
        correlation = found.get(guess.profile.place, 0.0)
        if correlation < AGAINST:
            guess.question += (
                f" It falls where the other ratings rise (r = {correlation:.2f}): is its lowest "
                "score the best? Then turn its codes round in the file."
            )


def _correlations(texts: pd.DataFrame, ratings: Sequence[Guess]) -> dict[int, float]:
    """Place of each rating to its correlation with the mean of the others, where told."""
    scores = pd.DataFrame(
        {
            guess.profile.place: _scores(texts.iloc[:, guess.profile.place], guess)
            for guess in ratings
        }
    )
    if scores.shape[1] < 2:
        return {}
    spread = scores.std()
    standard = (scores - scores.mean()) / spread.where(spread > 0)
    total, known = standard.sum(axis=1), standard.notna().sum(axis=1)
    found = {}
    for place in scores:
        own = standard[place]
        others = (total - own.fillna(0)) / (known - own.notna()).replace(0, float("nan"))
        both = own.notna() & others.notna()
        if both.sum() >= FEWEST and own[both].std() > 0 and others[both].std() > 0:
            found[int(place)] = float(own[both].corr(others[both]))
    return found


def _scores(raw: pd.Series, guess: Guess) -> pd.Series:
    by_code = scores_of(guess)
    by_text = {text: by_code.get(normal_code(text)) for text in raw.dropna().unique()}
    return raw.map(by_text).astype("float64")
