"""Draws tables; computes nothing. Every function takes a table and returns the Axes."""

from cxlab.report.plots.bars import plot_ends, plot_parts, plot_penalty_reward, plot_waterfall
from cxlab.report.plots.intervals import (
    plot_control_chart,
    plot_correlations,
    plot_intervals,
    plot_runs,
)
from cxlab.report.plots.maps import plot_driver_map, plot_grid, plot_operation_map

__all__ = [
    "plot_control_chart",
    "plot_correlations",
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
