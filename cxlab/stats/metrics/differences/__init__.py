"""Differences between groups and between periods: one module a question.

`two_samples` and `linearised` hold the two ways to an interval: without a design, and with.
"""

from cxlab.stats.metrics.differences.groups import compare_groups
from cxlab.stats.metrics.differences.periods import compare_periods
from cxlab.stats.metrics.differences.segments import compare_segments

__all__ = ["compare_groups", "compare_periods", "compare_segments"]
