"""Correlations, ordinal ones too, from joint count tables.

`joint_counts` reads the rows once; `pair_estimates` turns its tables into coefficients
with design-based covariances. The coefficients themselves are functions of paired values
with weights and can be used on their own.
"""

from cxlab.stats.association.coefficients import Coefficient, kendall_tau_b, pearson, spearman
from cxlab.stats.association.counts import JointCounts, joint_counts
from cxlab.stats.association.estimates import (
    COEFFICIENTS,
    FEW_DEGREES_OF_FREEDOM,
    PERFECT,
    PairEstimates,
    correlation_interval,
    correlation_p_value,
    pair_degrees_of_freedom,
    pair_estimates,
)
from cxlab.stats.association.partial import (
    JointModel,
    PairwiseCorrelations,
    em_correlations,
    estimable_columns,
    joint_model,
    pairwise_correlations,
)
from cxlab.stats.association.polychoric import polychoric
from cxlab.stats.association.units import (
    Units,
    covariance_of_totals,
    drawn_from,
    row_leverage,
    units_of_rows,
)

__all__ = [
    "COEFFICIENTS",
    "FEW_DEGREES_OF_FREEDOM",
    "PERFECT",
    "Coefficient",
    "JointCounts",
    "JointModel",
    "PairEstimates",
    "PairwiseCorrelations",
    "Units",
    "correlation_interval",
    "correlation_p_value",
    "covariance_of_totals",
    "drawn_from",
    "em_correlations",
    "estimable_columns",
    "joint_counts",
    "joint_model",
    "kendall_tau_b",
    "pair_degrees_of_freedom",
    "pair_estimates",
    "pairwise_correlations",
    "pearson",
    "polychoric",
    "row_leverage",
    "spearman",
    "units_of_rows",
]
