"""Each touchpoint's score against the overall experience."""

from cxlab.stats.touchpoints.correlations import touchpoint_correlations
from cxlab.stats.touchpoints.first_response import first_response
from cxlab.stats.touchpoints.journeys import compare_journeys, journey_composites
from cxlab.stats.touchpoints.masking import masking
from cxlab.stats.touchpoints.occasions import OCCASIONS, Occasion
from cxlab.stats.touchpoints.operational import (
    OperationalMetric,
    operational_beside_experience,
    operational_table,
)
from cxlab.stats.touchpoints.repeated import RepeatedRatings, repeated_ratings, repeated_table
from cxlab.stats.touchpoints.result import TouchpointCorrelations
from cxlab.stats.touchpoints.scores import touchpoint_scores
from cxlab.stats.touchpoints.visitors import visitors

__all__ = [
    "OCCASIONS",
    "Occasion",
    "OperationalMetric",
    "RepeatedRatings",
    "TouchpointCorrelations",
    "compare_journeys",
    "first_response",
    "journey_composites",
    "masking",
    "operational_beside_experience",
    "operational_table",
    "repeated_ratings",
    "repeated_table",
    "touchpoint_correlations",
    "touchpoint_scores",
    "visitors",
]
