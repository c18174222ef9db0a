"""Intervals, design-based variances and false-discovery control."""

from cxlab.stats.inference.certainty import (
    ALPHA,
    LIKELY,
    POWER,
    SURE,
    adjust_family,
    certainty_of,
    deciding_interval,
    joint_places,
    smallest_shown,
    within_margin,
)
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
    "ALPHA",
    "LIKELY",
    "POWER",
    "SURE",
    "Spread",
    "Units",
    "adjust_family",
    "adjust_p_values",
    "certainty_of",
    "check_level",
    "contrast_spread",
    "deciding_interval",
    "design_variance",
    "effective_sample_size",
    "joint_places",
    "mean_interval",
    "normal_quantile",
    "permutation_p_value",
    "score_interval",
    "score_statistic",
    "smallest_shown",
    "t_quantile",
    "wilson_interval",
    "wilson_statistic",
    "within_margin",
]
