"""What a quarantine of k days would do to the relationship survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import as_list
from cxlab.stats.comparison.collected import (
    check_periods,
    collect_window,
    in_periods,
    in_window,
    sampling_shares,
    split_invitations,
)
from cxlab.stats.comparison.columns import Columns, ContactRule, Rules
from cxlab.stats.comparison.columns import contact_rules as declared_rules
from cxlab.stats.comparison.contract import ProgrammeData, read_programme
from cxlab.stats.comparison.decomposition import NEEDS_FRAME
from cxlab.stats.comparison.lookback import look_back
from cxlab.stats.comparison.quantities import (
    NPS_VALUES,
    Chances,
    Engine,
    answer_weights,
    build_engine,
    fit_all,
)
from cxlab.stats.comparison.small import check_min_group_size, too_few, why_hidden
from cxlab.stats.comparison.standardise import needed

FIGURES = ("answers", "share_never", "estimate", "bias", "n_eff")


def plan_contact_rule(
    transactional: Any,
    relationship: Any,
    *,
    invitations: Any,
    customers: Any,
    traits: str | Sequence[str] | None = None,
    contact_rules: Rules = None,
    days: Sequence[float] = (0, 14, 30, 60, 90, 180),
    exempt: float = 0.0,
    customer: str | None = "customer_id",
    score: str = "recommend",
    segments: str | Sequence[str] | None = None,
    weights: str | Mapping[str, str] | None = None,
    periods: str | Sequence[str] | None = None,
    columns: Mapping[str, str] | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """What a quarantine after transactional invitations does to n and to rNPS.

    Parameters
    ----------
    transactional, relationship, invitations, customers, traits, contact_rules, customer,
    score, periods, columns, min_group_size
        As for `compare_tnps_rnps`: the programme as it was run.
    segments, weights
        Not used: so that what `programme_tables` gives serves both.
    days : sequence of float
        Lengths to try; 0 is no rule.
    exempt : float
        Share of customers whom the tried rule passes over at random.

    Returns
    -------
    DataFrame
        ``days``; ``answers``, expected relationship answers; ``share_never`` of the customer
        base whom the rule always stops; ``estimate``, the raw rNPS one would then expect,
        in points; ``bias`` against the standardised rNPS of this programme; ``n_eff``,
        effective answers behind a corrected rNPS (0 where it would not be identified);
        ``note``. All figures are null, and the note says why, without the frame and the
        invitations, with too few answers, and where the programme's own rule leaves some
        customers no chance: nothing is known of them under any rule.

    Notes
    -----
    Each answer at hand stands for w = 1/(its chance) customers. Under a rule of k days a
    customer answers with chance π = [e + (1 − e)·Π(1 − q)]·P(drawn)·P(answer), with the
    product over the episodes of k days: expected answers Σπ over the customer base, raw rNPS
    ΣwπR/Σwπ, effective answers N²/Σ(1/π).

    Examples
    --------
    >>> from cxlab.survey.simulate import simulate_programme
    >>> p = simulate_programme(1500, seed=3, periods=1, relationship_quarantine=0)
    >>> plan = plan_contact_rule(
    ...     p.transactional, p.relationship, invitations=p.invitations, customers=p.customers,
    ...     contact_rules=p.contact_rules, days=(0, 60),
    ... )
    >>> bool(plan["answers"].iloc[1] < plan["answers"].iloc[0])
    True
    """
    smallest = check_min_group_size(min_group_size)
    names = Columns(customer=customer, score=score).renamed(columns or {})
    data = read_programme(
        transactional, relationship, invitations, customers, columns=names, traits=as_list(traits)
    )
    window = as_list(periods) or None
    check_periods(data, window)
    if needed(data) or data.invitations is None:
        return _no_plan(days, NEEDS_FRAME)
    found = [str(name) for name in data.invitations["rule"].dropna().unique()]
    rules = declared_rules(contact_rules, found)
    reached = replace(
        data,
        transactional=in_periods(data.transactional, window),
        relationship=in_periods(data.relationship, window),
    )
    engine = build_engine(collect_window(reached, rules, window), data.traits, data.n_units)
    reason = _not_planned(engine, smallest)
    if reason:
        return _no_plan(days, reason)
    chances = fit_all(engine, np.ones((engine.n_units, 1)))
    rows = [_one_length(float(k), exempt, data, rules, engine, chances, window) for k in days]
    return pd.DataFrame(rows).assign(note="")


def _not_planned(engine: Engine, smallest: int) -> str:
    """Why nothing can be planned; empty if it can."""
    answered = engine.relationship.asked.customer[engine.relationship.asked.answered]
    if not len(answered):
        return "no valid relationship answer in the window"
    if too_few(len(np.unique(answered)), smallest):
        return why_hidden(smallest)
    if len(engine.unreachable):
        return (
            f"{len(engine.unreachable):,} of the customer base could not be asked, and nothing "
            "is known of them under any rule; plan from a programme that exempts some at random"
        )
    return ""


def _no_plan(days: Sequence[float], reason: str) -> pd.DataFrame:
    """The rows that were asked for, without figures."""
    return pd.DataFrame(
        {"days": [float(k) for k in days], **dict.fromkeys(FIGURES, np.nan)}
    ).assign(note=reason)


def _one_length(
    days: float,
    exempt: float,
    data: ProgrammeData,
    rules: dict[str, ContactRule],
    engine: Engine,
    chances: Chances,
    window: Sequence[str] | None,
) -> dict[str, float]:
    episodes, waves, cells = split_invitations(data)
    waves = waves[in_window(waves, window)].reset_index(drop=True)
    tried = ContactRule("tried", days, exempt if days else 0.0)
    passed = look_back(episodes, waves, tried, rules, len(cells))
    free = passed.chance(sampling_shares(episodes, max(len(cells), 1))[:, None])[:, 0]
    side = engine.relationship
    drawn = np.where(
        np.isnan(side.asked.chance_sampled), chances.drawn_r[0, 0], side.asked.chance_sampled
    )
    chance = free * drawn * chances.answer_r[side.patterns.row, 0]
    rows = side.answered
    weight = answer_weights(engine, chances, "relationship", rows)[:, 0]
    value = NPS_VALUES[side.asked.score[rows]]
    kept = weight * chance[rows]
    raw = float((kept * value).sum() / kept.sum()) if kept.sum() > 0 else np.nan
    standard = float((weight * value).sum() / weight.sum())
    reachable = bool((chance > 0).all())
    return {
        "days": days,
        "answers": float(chance.sum()),
        "share_never": float((chance <= 0).mean()),
        "estimate": raw,
        "bias": raw - standard,
        "n_eff": float(len(chance) ** 2 / (1 / chance).sum()) if reachable else 0.0,
    }
