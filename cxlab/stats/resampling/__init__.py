"""Replicates of a sample: which rows come again, which are left out.

A replicate is a set of multipliers, one per cluster, that an estimator puts on its
weights. Everything here works on plain arrays; no statistic is computed.
"""

from cxlab.stats.resampling.intervals import (
    check_level,
    percentile_interval,
    rank_intervals,
    ranks,
)
from cxlab.stats.resampling.replicates import (
    JackknifeBlocks,
    SamplingDesign,
    bootstrap_multipliers,
    jackknife_blocks,
    jackknife_covariance,
    sampling_design,
)

__all__ = [
    "JackknifeBlocks",
    "SamplingDesign",
    "bootstrap_multipliers",
    "check_level",
    "jackknife_blocks",
    "jackknife_covariance",
    "percentile_interval",
    "rank_intervals",
    "ranks",
    "sampling_design",
]
