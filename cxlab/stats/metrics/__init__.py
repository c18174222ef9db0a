"""Scores of groups, each with its interval: NPS, CSAT, CES, top box, mean."""

from cxlab.stats.metrics.estimates import estimate_metrics
from cxlab.stats.metrics.scorecard import scorecard
from cxlab.stats.metrics.scores import mean_score, net_score, nps, top_box

__all__ = ["estimate_metrics", "mean_score", "net_score", "nps", "scorecard", "top_box"]
