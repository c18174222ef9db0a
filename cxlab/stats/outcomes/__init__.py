"""What customers did after they answered."""

from cxlab.stats.outcomes.differences import asymmetry, retention_differences
from cxlab.stats.outcomes.follow_up import (
    FollowUp,
    follow_up,
    follow_up_purchases,
    respondents_and_others,
    study_follow_up,
)
from cxlab.stats.outcomes.later import compare_predictors
from cxlab.stats.outcomes.retention import (
    Retention,
    retention_by_score,
    value_at_stake,
)
from cxlab.stats.outcomes.survival import kaplan_meier

__all__ = [
    "FollowUp",
    "Retention",
    "asymmetry",
    "compare_predictors",
    "follow_up",
    "follow_up_purchases",
    "kaplan_meier",
    "respondents_and_others",
    "retention_by_score",
    "retention_differences",
    "study_follow_up",
    "value_at_stake",
]
