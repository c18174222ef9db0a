"""Means of one column, for tests of what every metric goes through."""

from cxlab.core.metric import Metric
from cxlab.stats.metrics.estimates import estimate_metrics


def mean_score(data, score, **options):
    return estimate_metrics(data, [Metric(score, "mean")], **options)
