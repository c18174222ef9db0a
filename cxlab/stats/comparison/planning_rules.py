"""What a quarantine of k days would do to the relationship survey."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxlab.stats.comparison.collected import collect_window, sampling_shares, split_invitations
from cxlab.stats.comparison.columns import Columns, ContactRule, Rules
from cxlab.stats.comparison.columns import contact_rules as declared_rules
from cxlab.stats.comparison.contract import ProgrammeData, read_programme
from cxlab.stats.comparison.lookback import look_back
from cxlab.stats.comparison.quantities import (
    NPS_VALUES,
    Chances,
    Engine,
    answer_weights,
    build_engine,
    fit_all,
)
from cxlab.stats.frames import as_list


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
    customer: str = "customer_id",
    score: str = "recommend",
    columns: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """What a quarantine after transactional invitations does to n and to rNPS.

    Parameters
    ----------
    transactional, relationship, invitations, customers, traits, contact_rules, customer,
    score, columns
        As for `compare_tnps_rnps`: the programme as it was run.
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
        effective answers behind a corrected rNPS (0 where it would not be identified).

    Raises
    ------
    ValueError
        When the programme's own rule leaves some customers no chance: nothing is known of
        them under any rule.

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
    names = Columns(customer=customer, score=score).renamed(columns or {})
    data = read_programme(
        transactional, relationship, invitations, customers, columns=names, traits=as_list(traits)
    )
    if data.invitations is None or not data.has_frame:
        raise ValueError("`invitations` and `customers` must be given to plan a contact rule.")
    found = [str(name) for name in data.invitations["rule"].dropna().unique()]
    rules = declared_rules(contact_rules, found)
    engine = build_engine(collect_window(data, rules, None), data.traits, data.n_units)
    if len(engine.unreachable):
        raise ValueError(
            f"Every customer must have had some chance to be asked; {len(engine.unreachable):,} "
            "had none. Plan from a programme that exempts some customers at random."
        )
    chances = fit_all(engine, np.ones((engine.n_units, 1)))
    rows = [_one_length(float(k), exempt, data, rules, engine, chances) for k in days]
    return pd.DataFrame(rows)


def _one_length(
    days: float,
    exempt: float,
    data: ProgrammeData,
    rules: dict[str, ContactRule],
    engine: Engine,
    chances: Chances,
) -> dict[str, float]:
    episodes, waves, cells = split_invitations(data)
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
