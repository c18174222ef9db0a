"""What changed since the last period, and what the run of periods says."""

from cxlab.stats.tracking.changes import Changes, period_changes, period_scores
from cxlab.stats.tracking.charts import ControlChart, control_chart
from cxlab.stats.tracking.driver_changes import DriverChanges, driver_changes
from cxlab.stats.tracking.mix import MixAndPerformance, mix_and_performance

__all__ = [
    "Changes",
    "ControlChart",
    "DriverChanges",
    "MixAndPerformance",
    "control_chart",
    "driver_changes",
    "mix_and_performance",
    "period_changes",
    "period_scores",
]
