"""Is this data fit to use: what is missing, who answered, how carefully, at what cost."""

from cxlab.stats.quality.fit_for_use import FitForUse, fit_for_use
from cxlab.stats.quality.patterns import (
    break_off,
    completeness,
    repeated_answers,
    straight_lining,
    weight_summary,
)
from cxlab.stats.quality.response import Response, nonresponse_table, response_rates

__all__ = [
    "FitForUse",
    "Response",
    "break_off",
    "completeness",
    "fit_for_use",
    "nonresponse_table",
    "repeated_answers",
    "response_rates",
    "straight_lining",
    "weight_summary",
]
