"""Intervals, design-based variances and false-discovery control."""

from cxlab.stats.inference.contrast import Spread, Units, contrast_spread
from cxlab.stats.inference.design import (
    DesignVariance,
    design_covariance,
    design_degrees_of_freedom,
    design_variance,
    effective_sample_size,
    statistic_variance,
)
from cxlab.stats.inference.intervals import (
    adjusted_wald_interval,
    check_level,
    mean_interval,
    normal_quantile,
    score_interval,
    score_statistic,
    t_quantile,
    wald_interval,
    wilson_interval,
    wilson_statistic,
)
from cxlab.stats.inference.multiplicity import adjust_p_values
from cxlab.stats.inference.permutation import permutation_p_value

__all__ = [
    "DesignVariance",
    "Spread",
    "Units",
    "adjust_p_values",
    "adjusted_wald_interval",
    "check_level",
    "contrast_spread",
    "design_covariance",
    "design_degrees_of_freedom",
    "design_variance",
    "effective_sample_size",
    "mean_interval",
    "normal_quantile",
    "permutation_p_value",
    "score_interval",
    "score_statistic",
    "statistic_variance",
    "t_quantile",
    "wald_interval",
    "wilson_interval",
    "wilson_statistic",
]
