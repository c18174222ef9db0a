"""What can be planted in a simulated programme, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

SEGMENTS = ("Leisure", "Business", "Family")
SEGMENT_SHARES = (0.5, 0.3, 0.2)
REGIONS = ("Local", "National", "International")
REGION_SHARES = (0.4, 0.35, 0.25)

#: Direction of each planted effect by segment; a size parameter multiplies it.
SEGMENT_LOYALTY = np.array([0.15, -0.6, 0.5])
SEGMENT_USE = np.array([-0.4, 0.9, -0.3])
SEGMENT_RESPONSE = np.array([0.35, -0.6, 0.1])
REGION_LOYALTY = np.array([0.1, 0.0, -0.2])

#: Where an episode happens: touchpoint, contact channel, chance per trip, sampling factor,
#: shift of the score, shift of the response logit, median wait in minutes.
EPISODE_CELLS = pd.DataFrame(
    [
        ("check_in", "counter", 0.30, 1.0, -0.1, 0.0, 12.0),
        ("check_in", "kiosk", 0.30, 1.0, 0.3, 0.0, 4.0),
        ("security_screening", "on site", 0.45, 0.7, -0.5, -0.1, 14.0),
        ("boarding", "on site", 0.40, 0.7, 0.4, 0.1, 18.0),
        ("baggage_claim", "on site", 0.35, 0.8, 0.1, 0.0, 16.0),
        ("contact_centre", "phone", 0.12, 1.8, -0.9, 0.3, 7.0),
        ("contact_centre", "chat", 0.10, 1.8, -0.4, 0.2, 3.0),
    ],
    columns=[
        "touchpoint",
        "contact_channel",
        "per_trip",
        "sampling",
        "shift",
        "response",
        "wait",
    ],
)

SURVEY_CHANNELS = ("email", "sms", "app")
SURVEY_CHANNEL_SHARES = (0.6, 0.25, 0.15)
SURVEY_CHANNEL_SHIFT = np.array([0.0, -1.0, 1.0])

#: Relationship-survey touchpoints: weight in the overall experience (0 = dead, correlated by
#: halo only), mean rating, share of customers who never use it.
TOUCHPOINTS = pd.DataFrame(
    [
        ("booking", 0.25, 7.6, 0.10),
        ("check_in", 0.35, 7.7, 0.04),
        ("security_screening", 0.10, 6.9, 0.00),
        ("signs", 0.15, 7.4, 0.00),
        ("restrooms", 0.30, 7.1, 0.06),
        ("restaurants", 0.00, 6.6, 0.22),
        ("shops", 0.00, 6.8, 0.30),
        ("wifi", 0.20, 6.5, 0.35),
        ("boarding", 0.30, 7.5, 0.00),
        ("baggage_claim", 0.25, 7.0, 0.38),
        ("parking", 0.15, 6.3, 0.60),
        ("staff", 0.50, 7.9, 0.02),
    ],
    columns=["touchpoint", "weight", "mean", "never_used"],
)
#: A touchpoint that only punishes: below its knee it drags the overall experience down.
PENALTY_TOUCHPOINT = "security_screening"
PENALTY_KNEE = -0.4
DECLINING_TOUCHPOINT = "restrooms"


@dataclass(frozen=True)
class Mechanisms:
    """Size of everything that is planted; 0 switches a mechanism off."""

    #: Standard deviation of stable loyalty between customers, in score points.
    loyalty_sd: float = 1.3
    #: Standard deviation of a score within a customer, the same for both surveys.
    episode_sd: float = 1.5
    #: Multiplies the differences of loyalty between segments and regions.
    segment_effect: float = 1.0
    trips_per_period: float = 0.4  # mean number of trips of a customer in one period
    #: Log trips by segment, and per standard deviation of loyalty.
    use_on_segment: float = 0.6
    use_on_loyalty: float = 0.25
    use_spread: float = 0.7  # standard deviation of log trips beyond that: heavy and light users
    #: Multiplies the differences of the transactional score between cells.
    touchpoint_effect: float = 1.0
    #: Share of the within-customer variance of a transactional score that is due to the waiting
    #: time, and to the trip. Their sum is at most 1.
    wait_share: float = 0.25
    trip_share: float = 0.2
    #: Shift of transactional scores because the question is about an episode.
    context_shift: float = 0.35
    #: Shift by wording B, by survey channel (sms down, app up), per log day of delay.
    wording_effect: float = 0.1
    channel_effect: float = 0.15
    delay_effect: float = 0.1
    #: Shift of a relationship score when a transactional survey was sent in the look-back.
    contamination: float = 0.0
    #: Share drawn, of eligible episodes (times the cell's factor, at most 1), of customers.
    transactional_sampling: float = 0.5
    relationship_sampling: float = 0.5
    #: Days after a transactional invitation in which no further transactional, or no relationship
    #: invitation is sent. 0 = no rule.
    transactional_quarantine: float = 30.0
    relationship_quarantine: float = 60.0
    #: Share of customer-waves that are exempt at random from the relationship rule.
    exempt: float = 0.1
    bounce: float = 0.03  # share of invitations that don't arrive
    #: Response rate at the reference customer, 0 to 1.
    transactional_response: float = 0.5
    relationship_response: float = 0.4
    #: Response logit by segment, per log(1 + episodes in the period), and per two points of the
    #: score itself (which no method can correct from the answers alone).
    response_on_segment: float = 0.8
    response_on_use: float = 0.15
    response_on_score: float = 0.0
    #: The same in one survey only, added to ``response_on_score``.
    transactional_on_score: float = 0.0
    relationship_on_score: float = 0.0
    #: Drop of one touchpoint's rating in the last quarter of the periods, in points.
    decline: float = 0.7
    #: Share of blank cells among the ratings of the relationship survey; half as many are "don't
    #: know", and a third as many outcomes (overall, recommend, effort) are blank.
    item_missing: float = 0.03
    held_out: float = 0.1  # share of customers who are never called, by chance
    call_effect: float = 0.0  # share by which a call lowers the hazard of leaving
    #: Correlation of an episode's score with the quality of the team that served it.
    team_effect: float = 0.25
    #: Correlation between teams of that quality with the engagement of employees.
    engagement_effect: float = 0.8
    steering: float = 0.45  # how much larger the share of top scores of an agent is who steers

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_size(field.name, getattr(self, field.name))
        if self.wait_share + self.trip_share > 1:
            raise ValueError(
                "`wait_share` + `trip_share` must be at most 1; "
                f"got {self.wait_share + self.trip_share}. Make one of them smaller."
            )


_SHARES = {
    "wait_share", "trip_share", "transactional_sampling", "relationship_sampling", "exempt",
    "bounce", "transactional_response", "relationship_response", "item_missing",
    "held_out", "call_effect", "team_effect", "engagement_effect", "steering",
}  # fmt: skip
_NOT_NEGATIVE = {
    "loyalty_sd", "episode_sd", "trips_per_period", "use_spread", "transactional_quarantine",
    "relationship_quarantine",
}  # fmt: skip


def _check_size(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)):
        raise TypeError(f"`{name}` must be a number; got {value!r}. 0 switches it off.")
    low = 0.0 if name in _SHARES | _NOT_NEGATIVE else -np.inf
    high = 1.0 if name in _SHARES else np.inf
    if not (low <= value <= high and np.isfinite(value)):
        allowed = "from 0 to 1" if name in _SHARES else "0 or more and finite"
        allowed = allowed if name in _SHARES | _NOT_NEGATIVE else "finite"
        raise ValueError(f"`{name}` must be {allowed}; got {value}.")
