"""Whom to call, and whether calling helped."""

from cxlab.stats.actions.calls import CallList, call_list
from cxlab.stats.actions.effect import (
    LoopEffect,
    hold_out_needed,
    loop_effect,
)
from cxlab.stats.actions.findings import programme_at_a_glance, where_to_act
from cxlab.stats.actions.lists import loop_status, next_scores, study_follow_ups
from cxlab.stats.actions.risk import LeavingRisk, calibration, leaving_risk, net_benefit

__all__ = [
    "CallList",
    "LeavingRisk",
    "LoopEffect",
    "calibration",
    "call_list",
    "hold_out_needed",
    "leaving_risk",
    "loop_effect",
    "loop_status",
    "net_benefit",
    "next_scores",
    "programme_at_a_glance",
    "study_follow_ups",
    "where_to_act",
]
