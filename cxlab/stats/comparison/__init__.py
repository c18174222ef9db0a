"""tNPS against rNPS: what the gap is made of."""

from cxlab.stats.comparison.columns import Columns, ContactRule, rules_in_words
from cxlab.stats.comparison.compare import compare_tnps_rnps
from cxlab.stats.comparison.contract import split_responses
from cxlab.stats.comparison.declared import programme_tables
from cxlab.stats.comparison.margins import marginal_homogeneity, paired_difference_of_table
from cxlab.stats.comparison.mix import kitagawa
from cxlab.stats.comparison.planning import (
    answers_needed,
    detectable_gap,
    paired_variance,
    plan_pairs,
)
from cxlab.stats.comparison.planning_rules import plan_contact_rule
from cxlab.stats.comparison.result import NpsComparison

__all__ = [
    "Columns",
    "ContactRule",
    "NpsComparison",
    "answers_needed",
    "compare_tnps_rnps",
    "detectable_gap",
    "kitagawa",
    "marginal_homogeneity",
    "paired_difference_of_table",
    "paired_variance",
    "plan_contact_rule",
    "plan_pairs",
    "programme_tables",
    "rules_in_words",
    "split_responses",
]
