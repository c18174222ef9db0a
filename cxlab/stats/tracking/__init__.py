"""What changed since the last period, and what the run of periods says."""

from cxlab.stats.tracking.changes import period_changes
from cxlab.stats.tracking.charts import ControlChart, control_chart
from cxlab.stats.tracking.driver_changes import driver_changes
from cxlab.stats.tracking.mix import MixAndPerformance, mix_and_performance
from cxlab.stats.tracking.reduction import period_statistics
from cxlab.stats.tracking.saved_changes import period_scores
from cxlab.stats.tracking.statistics import PeriodStatistics, SavedPeriods, load_periods

__all__ = [
    "ControlChart",
    "MixAndPerformance",
    "PeriodStatistics",
    "SavedPeriods",
    "control_chart",
    "driver_changes",
    "load_periods",
    "mix_and_performance",
    "period_changes",
    "period_scores",
    "period_statistics",
]
