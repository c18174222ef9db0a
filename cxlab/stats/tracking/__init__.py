"""What changed since the last period, and what the run of periods says."""

from cxlab.stats.tracking.changes import period_changes
from cxlab.stats.tracking.charts import ControlChart, control_chart
from cxlab.stats.tracking.mix import MixAndPerformance, mix_and_performance

__all__ = [
    "ControlChart",
    "MixAndPerformance",
    "control_chart",
    "mix_and_performance",
    "period_changes",
]
