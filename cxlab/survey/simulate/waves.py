"""The relationship survey: one potential answer of every customer in every period."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.survey.simulate.mechanisms import (
    DECLINING_TOUCHPOINT,
    PENALTY_KNEE,
    PENALTY_TOUCHPOINT,
    TOUCHPOINTS,
    Mechanisms,
)
from cxlab.survey.simulate.population import last_invitation_before, response_probability, to_score

#: Share of a rating's within-customer spread that all touchpoints of a trip have in common.
HALO = 0.35
NEVER_USED, DONT_KNOW = 98, 99
_WEIGHT = TOUCHPOINTS["weight"].to_numpy()


def draw_wave(
    customers: pd.DataFrame,
    never_used: np.ndarray,
    declined: bool,
    size: Mechanisms,
    rng: np.random.Generator,
) -> tuple[pd.DataFrame, np.ndarray]:
    """Potential answers of all customers in one period.

    Returns
    -------
    answers : DataFrame
        ``score`` (recommend), ``overall`` and ``effort``, one row per customer.
    experience : array (customers, 12)
        Standardised experience of each touchpoint.
    """
    n = len(customers)
    halo = rng.standard_normal((n, 1))
    own = rng.standard_normal((n, len(TOUCHPOINTS)))
    experience = np.sqrt(HALO) * halo + np.sqrt(1 - HALO) * own
    weights = _WEIGHT * ~never_used
    # unit variance whatever was used, so that the score's spread within a customer is the
    # same as in the transactional survey
    spread = np.sqrt(HALO * weights.sum(1) ** 2 + (1 - HALO) * (weights**2).sum(1))
    together = (weights * experience).sum(1) / np.where(spread > 0, spread, 1.0)
    drop = _decline(never_used, declined, size)
    noise = rng.standard_normal(n)
    latent = customers["base"].to_numpy() + size.episode_sd * (0.7 * together + 0.51**0.5 * noise)
    answers = pd.DataFrame(
        {
            "latent": latent - drop,
            "score": to_score(latent - drop),
            "overall": to_score(_overall(customers, experience, weights, size, rng) - drop),
            "effort": _effort(experience, rng),
        }
    )
    return answers, experience


def _decline(never_used: np.ndarray, declined: bool, size: Mechanisms) -> np.ndarray:
    """Points of the latent outcome that users of the declining touchpoint lose."""
    if not declined:
        return np.zeros(len(never_used))
    at = TOUCHPOINTS.index[TOUCHPOINTS["touchpoint"] == DECLINING_TOUCHPOINT][0]
    return size.decline * _WEIGHT[at] * ~never_used[:, at]


def _overall(
    customers: pd.DataFrame,
    experience: np.ndarray,
    weights: np.ndarray,
    size: Mechanisms,
    rng: np.random.Generator,
) -> np.ndarray:
    penalised = TOUCHPOINTS.index[TOUCHPOINTS["touchpoint"] == PENALTY_TOUCHPOINT][0]
    below = np.minimum(0.0, experience[:, penalised] - PENALTY_KNEE)
    loyalty = 0.45 * size.loyalty_sd * customers["loyalty"].to_numpy()
    driven = (weights * experience).sum(1) + 0.9 * below
    return 7.7 + loyalty + driven + 0.7 * rng.standard_normal(len(customers))


def _effort(experience: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    easy = experience[:, [1, 2, 3]].mean(1)
    return np.clip(np.rint(5.2 + 1.1 * easy + 0.8 * rng.standard_normal(len(easy))), 1, 7).astype(
        int
    )


def raw_answers(
    asked: pd.DataFrame,
    customers: pd.DataFrame,
    experience: np.ndarray,
    never_used: np.ndarray,
    declined: bool,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Answers of everyone who answered, as a survey export holds them.

    98 = never used, 99 = don't know, NaN = left blank.
    """
    rows = np.flatnonzero(asked["answered"].to_numpy())
    loyalty = 0.4 * size.loyalty_sd * customers["loyalty"].to_numpy()[rows, None]
    mean = TOUCHPOINTS["mean"].to_numpy() - size.decline * declined * (
        TOUCHPOINTS["touchpoint"] == DECLINING_TOUCHPOINT
    ).to_numpy(float)
    shape = experience[rows].shape
    ratings = to_score(mean + loyalty + 1.6 * experience[rows]).astype(float)
    chance = rng.random(shape)
    ratings[chance < size.item_missing] = np.nan
    ratings[chance > 1 - size.item_missing / 2] = DONT_KNOW
    ratings[never_used[rows]] = NEVER_USED
    outcomes = asked.iloc[rows][["overall", "given_score", "effort"]].to_numpy(float)
    outcomes[rng.random(outcomes.shape) < size.item_missing / 3] = np.nan
    columns = ["overall", "recommend", "effort", *TOUCHPOINTS["touchpoint"]]
    return pd.DataFrame(np.hstack([outcomes, ratings]), columns=columns)


def draw_never_used(n: int, rng: np.random.Generator) -> np.ndarray:
    """Which touchpoints a customer never uses: array (customers, 12) of bool."""
    return rng.random((n, len(TOUCHPOINTS))) < TOUCHPOINTS["never_used"].to_numpy()


def invite_wave(
    answers: pd.DataFrame,
    episodes: pd.DataFrame,
    period: int,
    wave: tuple[float, float],
    customers: pd.DataFrame,
    size: Mechanisms,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Adds who is suppressed, drawn, reached and answers, and when.

    ``wave`` is first and last day on which invitations go out.
    """
    n = len(answers)
    everyone = np.arange(n)
    time = wave[0] + rng.random(n) * (wave[1] - wave[0])
    last = last_invitation_before(episodes, everyone, time)
    recent = time - last < size.relationship_quarantine
    score = np.where(
        recent & (size.contamination != 0),
        to_score(answers["latent"].to_numpy() + size.contamination),
        answers["score"].to_numpy(),
    )
    in_period = episodes["period"].to_numpy() == period
    use = np.bincount(episodes["customer"].to_numpy()[in_period], minlength=n)
    response = response_probability(
        size.relationship_response,
        customers["segment"].to_numpy(),
        use,
        score,
        size,
        size.relationship_on_score,
    )
    suppressed = recent & ~(rng.random(n) < size.exempt)
    invited = ~suppressed & (rng.random(n) < size.relationship_sampling)
    bounced = invited & (rng.random(n) < size.bounce)
    answered = invited & ~bounced & (rng.random(n) < response)
    return answers.assign(
        customer=everyone,
        period=period,
        time=time,
        given_score=score,
        response=response,
        suppressed=suppressed,
        invited=invited,
        bounced=bounced,
        answered=answered,
        delay=rng.exponential(2.0, n),
    )
