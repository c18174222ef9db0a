"""Open comments of the relationship survey and the hand codes of some, from a stream of their own.

Each comment is put together from sentences. Of each theme some sentences hold the codebook's
words, some say it otherwise (the words miss them), and one holds the words but means something else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Number of the stream beside the seed.
STREAM = 18
#: Comments coded by hand in each of the first two periods and in the last one, whose themes
#: are read, and as a top-up in each other one.
FIRST_CODED, TOP_UP = 140, 50
#: Comments of a period that a second coder codes too; how often a coder overlooks a theme.
SHARED, OVERLOOKED = 12, 0.05
#: Share of sentences on a theme that say it in other words, and of comments with misleading ones.
OTHERWISE, MISLEADING = 0.2, 0.02


@dataclass(frozen=True)
class Planted:
    """How a theme is planted: log odds at a score of 7.5, and more per point below it.

    ``later`` is added to the log odds in the last two periods.
    """

    odds: float
    slope: float
    said: tuple[str, ...]
    otherwise: tuple[str, ...]
    misleading: str
    later: float = 0.0


THEMES: dict[str, Planted] = {
    "waiting": Planted(
        -1.9, 0.50,
        ("The queue at security took forty minutes.", "Long lines in front of the scanners.",
         "We queued for an hour with two small children."),
        ("Security was painfully slow.", "Only one scanner was open at seven in the morning."),
        "No queue anywhere, straight through.",
    ),
    "rude_staff": Planted(
        -3.2, 0.55,
        ("The officer at the checkpoint was rude.", "Unfriendly people at the desk.",
         "An impolite agent shouted at my mother."),
        ("I was treated like a criminal.", "Nobody at the desk even looked up when I asked."),
        "I would be rude not to thank the crew.",
    ),
    "restrooms": Planted(
        -2.4, 0.38,
        ("The restrooms were dirty.", "No soap in the toilets.", "The restroom by the gate smelled."),
        ("The washroom floor was wet and nobody came to clean it.",),
        "Found the restrooms at once.",
    ),
    "wifi": Planted(
        -2.8, 0.05,
        ("The wifi kept dropping.", "Could not get the internet to work.", "Slow wifi at the gates."),
        ("Getting online took me six attempts.",),
        "I did not try the wifi.",
        later=0.9,
    ),
    "food_prices": Planted(
        -1.9, 0.02,
        ("The food is overpriced.", "Twelve dollars for a sandwich is expensive.",
         "Prices in the restaurants are too high."),
        ("You pay double for a coffee once you are inside.",),
        "Not expensive at all for an airport.",
    ),
    "signs": Planted(
        -2.5, 0.12,
        ("The signs to the trains are confusing.", "Poor signage after baggage claim."),
        ("I walked in circles until somebody showed me the way.",),
        "Signs of renovation everywhere, good.",
    ),
    "kind_staff": Planted(
        -2.0, -0.35,
        ("Very friendly staff.", "A helpful lady found my lost bag.", "Everybody was kind to my father."),
        ("The man at the information desk went out of his way for us.",),
        "It would be helpful to have more seats.",
    ),
    "praise": Planted(
        -1.2, -0.45,
        ("Great airport.", "Excellent as always.", "Keep up the good work!"),
        ("I would not change a thing.", "My favourite place to fly from."),
        "Great that the old gates will close at last.",
    ),
}  # fmt: skip
OTHER = (
    "Nothing to add.",
    "It was fine.",
    "I only had a connection here.",
    "Changed planes, no problems.",
)
#: The strata of the hand-coded sample: whether the words of any theme stand in the comment.
WITH, WITHOUT = "with a theme", "without a theme"


@dataclass(frozen=True, eq=False)
class Comments:
    """Comments and hand codes.

    Attributes
    ----------
    text : Series of str
        Per relationship answer; null without a comment.
    coding : DataFrame
        One row per comment and coder: ``row``, ``coder``, ``stratum``, ``probability``, themes.
    truth : DataFrame
        Per relationship answer and theme: 1 where the comment is about it.
    """

    text: pd.Series
    coding: pd.DataFrame
    truth: pd.DataFrame


def draw_comments(relationship: pd.DataFrame, seed: int) -> Comments:
    """Draw comments for relationship answers.

    Parameters
    ----------
    relationship : DataFrame
        With ``response_id``, ``period`` and ``recommend``.
    seed : int
        As of the programme.
    """
    rng = np.random.default_rng([seed, STREAM])
    n = len(relationship)
    score = relationship["recommend"].astype(float).fillna(7.5).to_numpy()
    # those who are unhappy, or delighted, have more to say
    commented = rng.random(n) < 0.65 + 0.05 * np.maximum(6 - score, 0) + 0.1 * (score >= 9)
    periods = list(dict.fromkeys(relationship["period"]))
    late = relationship["period"].isin(periods[-2:]).to_numpy() & (len(periods) > 2)
    truth, found = {}, np.zeros(n, dtype=bool)
    sentences: list[list[str]] = [[] for _ in range(n)]
    for name, theme in THEMES.items():
        odds = theme.odds + theme.slope * (7.5 - score) + theme.later * late
        about = rng.random(n) < 1 / (1 + np.exp(-odds))
        otherwise = rng.random(n) < OTHERWISE
        misled = ~about & (rng.random(n) < MISLEADING)
        which = rng.random(n)
        for i in np.flatnonzero(about | misled):
            pool = theme.otherwise if otherwise[i] else theme.said
            sentences[i].append(theme.misleading if misled[i] else pool[int(which[i] * len(pool))])
        found |= (about & ~otherwise) | misled
        truth[name] = np.where(commented, about, False).astype(int)
    which = rng.random(n)
    text = [
        " ".join(s) or OTHER[int(w * len(OTHER))] for s, w in zip(sentences, which, strict=True)
    ]
    planted = pd.DataFrame(truth, index=relationship.index)
    return Comments(
        text=pd.Series(text, index=relationship.index, dtype="str").where(commented),
        coding=_coding(relationship, commented, found, planted, rng),
        truth=planted,
    )


def _coding(
    relationship: pd.DataFrame,
    commented: np.ndarray,
    found: np.ndarray,
    truth: pd.DataFrame,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Hand codes of two coders: half of each period's sample without a word of any theme."""
    parts = [
        pd.DataFrame(columns=["row", "coder", "stratum", "probability", *truth.columns, "none"])
    ]
    periods = list(dict.fromkeys(relationship["period"]))
    for period in periods:
        wanted = (FIRST_CODED if period in (*periods[:2], periods[-1]) else TOP_UP) // 2
        for stratum, inside in ((WITH, found), (WITHOUT, ~found)):
            pool = np.flatnonzero(
                commented & inside & (relationship["period"] == period).to_numpy()
            )
            chosen = rng.choice(pool, min(wanted, len(pool)), replace=False)
            for coder in (1, 2):
                some = chosen if coder == 1 else chosen[: SHARED // 2]
                codes = truth.iloc[some] * (
                    rng.random((len(some), len(truth.columns))) >= OVERLOOKED
                )
                head = pd.DataFrame(
                    {
                        "row": relationship["response_id"].to_numpy()[some],
                        "coder": str(coder),
                        "stratum": stratum,
                        "probability": len(chosen) / max(len(pool), 1),
                    }
                )
                codes = codes.reset_index(drop=True)
                parts.append(head.join(codes).assign(none=(codes.sum(axis=1) == 0).astype(int)))
    return pd.concat(parts, ignore_index=True).sort_values(
        ["row", "coder"], kind="stable", ignore_index=True
    )
