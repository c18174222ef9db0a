"""tNPS against rNPS: what the gap is made of."""

from cxlab.stats.comparison.compare import compare_tnps_rnps
from cxlab.stats.comparison.contract import rules_in_words
from cxlab.stats.comparison.declared import programme_tables
from cxlab.stats.comparison.paired.margins import marginal_homogeneity
from cxlab.stats.comparison.planning import (
    answers_needed,
    detectable_gap,
    plan_contact_rule,
    plan_pairs,
)
from cxlab.stats.comparison.result import NpsComparison

__all__ = [
    "NpsComparison",
    "answers_needed",
    "compare_tnps_rnps",
    "detectable_gap",
    "marginal_homogeneity",
    "plan_contact_rule",
    "plan_pairs",
    "programme_tables",
    "rules_in_words",
]
