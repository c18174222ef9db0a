"""Draws tables; computes nothing. Every function takes a table and returns the Axes."""

from cxlab.report.plots.charts import plot_control_chart
from cxlab.report.plots.gaps import plot_penalty_reward, plot_waterfall
from cxlab.report.plots.grids import plot_grid
from cxlab.report.plots.intervals import plot_intervals, plot_runs
from cxlab.report.plots.maps import plot_driver_map, plot_operation_map
from cxlab.report.plots.shares import plot_ends, plot_parts

__all__ = [
    "plot_control_chart",
    "plot_driver_map",
    "plot_ends",
    "plot_grid",
    "plot_intervals",
    "plot_operation_map",
    "plot_parts",
    "plot_penalty_reward",
    "plot_runs",
    "plot_waterfall",
]
