"""Intervals, design-based variances and false-discovery control."""

from cxlab.stats.inference.design import (
    Spread,
    Units,
    contrast_spread,
    design_variance,
    effective_sample_size,
)
from cxlab.stats.inference.intervals import (
    check_level,
    mean_interval,
    normal_quantile,
    score_interval,
    score_statistic,
    t_quantile,
    wilson_interval,
    wilson_statistic,
)
from cxlab.stats.inference.p_values import adjust_p_values, permutation_p_value

__all__ = [
    "Spread",
    "Units",
    "adjust_p_values",
    "check_level",
    "contrast_spread",
    "design_variance",
    "effective_sample_size",
    "mean_interval",
    "normal_quantile",
    "permutation_p_value",
    "score_interval",
    "score_statistic",
    "t_quantile",
    "wilson_interval",
    "wilson_statistic",
]
