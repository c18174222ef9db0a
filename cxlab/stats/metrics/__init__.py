"""Scores of groups, each with its interval: NPS, CSAT, CES, top box, mean."""

from cxlab.core.disclosure.gate import suppress_small_groups
from cxlab.stats.metrics.differences import (
    compare_groups,
    compare_periods,
    compare_segments,
    detectable_differences,
)
from cxlab.stats.metrics.estimates import estimate_metrics, estimate_totals, nps, top_box
from cxlab.stats.metrics.scorecard import retention, scorecard, study_retention, usage
from cxlab.stats.metrics.standing import Scorecard, study_scorecard

__all__ = [
    "Scorecard",
    "compare_groups",
    "compare_periods",
    "compare_segments",
    "detectable_differences",
    "estimate_metrics",
    "estimate_totals",
    "nps",
    "retention",
    "scorecard",
    "study_retention",
    "study_scorecard",
    "suppress_small_groups",
    "top_box",
    "usage",
]
