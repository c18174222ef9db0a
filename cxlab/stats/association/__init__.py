"""Correlations, ordinal ones too, from joint count tables.

`joint_counts` reads the rows once; `pair_estimates` turns its tables into coefficients
with design-based covariances. The coefficients themselves are functions of paired values
with weights and can be used on their own.
"""

from cxlab.stats.association.coefficients import (
    COEFFICIENTS,
    Coefficient,
    kendall_tau_b,
    pearson,
    spearman,
    table_pairs,
)
from cxlab.stats.association.counts import JointCounts, joint_counts
from cxlab.stats.association.dependence import (
    correct_for_attenuation,
    correct_for_range_restriction,
    correlation_interval,
    correlation_p_value,
    fisher_interval,
)
from cxlab.stats.association.em_correlations import em_correlations
from cxlab.stats.association.estimates import (
    TABLE_COEFFICIENTS,
    PairEstimates,
    pair_degrees_of_freedom,
    pair_estimates,
    with_spread,
)
from cxlab.stats.association.leverage import (
    leverage_degrees_of_freedom,
    partial_leverage,
    row_leverage,
)
from cxlab.stats.association.lumped import pearson_covariance
from cxlab.stats.association.normal_cells import bivariate_normal_cdf
from cxlab.stats.association.ordinal import (
    Polychoric,
    polychoric,
    polychoric_pairs,
)
from cxlab.stats.association.partial import (
    JointModel,
    PairwiseCorrelations,
    estimable_columns,
    joint_model,
    multiple_r_squared,
    no_model,
    pairwise_correlations,
    partial_correlations,
    semi_partial_correlations,
)

__all__ = [
    "COEFFICIENTS",
    "TABLE_COEFFICIENTS",
    "Coefficient",
    "JointCounts",
    "JointModel",
    "PairEstimates",
    "PairwiseCorrelations",
    "Polychoric",
    "bivariate_normal_cdf",
    "correct_for_attenuation",
    "correct_for_range_restriction",
    "correlation_interval",
    "correlation_p_value",
    "em_correlations",
    "estimable_columns",
    "fisher_interval",
    "joint_counts",
    "joint_model",
    "kendall_tau_b",
    "leverage_degrees_of_freedom",
    "multiple_r_squared",
    "no_model",
    "pair_degrees_of_freedom",
    "pair_estimates",
    "pairwise_correlations",
    "partial_correlations",
    "partial_leverage",
    "pearson",
    "pearson_covariance",
    "polychoric",
    "polychoric_pairs",
    "row_leverage",
    "semi_partial_correlations",
    "spearman",
    "table_pairs",
    "with_spread",
]
