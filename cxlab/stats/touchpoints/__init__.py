"""Each touchpoint's score against the overall experience."""

from cxlab.stats.touchpoints.correlations import touchpoint_correlations
from cxlab.stats.touchpoints.first_response import first_response, first_response_table
from cxlab.stats.touchpoints.journeys import compare_journeys, journey_table
from cxlab.stats.touchpoints.operational import operational_table
from cxlab.stats.touchpoints.repeated import repeated_table
from cxlab.stats.touchpoints.result import OCCASIONS, TouchpointCorrelations
from cxlab.stats.touchpoints.users import masking, visitors

__all__ = [
    "OCCASIONS",
    "TouchpointCorrelations",
    "compare_journeys",
    "first_response",
    "first_response_table",
    "journey_table",
    "masking",
    "operational_table",
    "repeated_table",
    "touchpoint_correlations",
    "visitors",
]
