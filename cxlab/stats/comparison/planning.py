"""Before asking: what gap could be seen, how many pairs that takes, what a quarantine costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.frames import as_list
from cxlab.stats.comparison.contract import Columns, ContactRule, Rules, declared_rules
from cxlab.stats.comparison.disclosure import check_min_group_size, too_few, why_hidden
from cxlab.stats.comparison.programme import ProgrammeData, read_programme
from cxlab.stats.comparison.sentences import FEW_PAIRS
from cxlab.stats.comparison.standardised.asked import (
    collect_window,
    in_periods,
    in_window,
    sampling_shares,
    split_invitations,
)
from cxlab.stats.comparison.standardised.decomposition import NEEDS_FRAME, needed
from cxlab.stats.comparison.standardised.propensity import look_back
from cxlab.stats.comparison.standardised.quantities import (
    NPS_VALUES,
    Chances,
    Weighting,
    answer_weights,
    build_weighting,
    fit_all,
)

#: Of the plans: the chance to see a gap that is there.
POWER = 0.8
FIGURES = ("answers", "share_never", "estimate", "bias", "n_eff")


def _quantiles(alpha: float, power: float) -> float:
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"`{name}` must be between 0 and 1; got {value}.")
    return float(ndtri(1 - alpha / 2) + ndtri(power))


def answers_needed(
    gap: float, variance: float, *, alpha: float = 0.05, power: float = 0.8, deff: float = 1.0
) -> int:
    """Pairs of answers needed to see a gap.

    Parameters
    ----------
    gap : float
        Points, not 0.
    variance : float
        Of one pair's difference in points² (``pair_variance`` of a comparison); for two
        independent samples the sum of their variances, and the answer is per sample.
    alpha, power : float
        Two-sided error; chance to see the gap.
    deff : float
        Design effect, 1 or more with several pairs a customer.

    Notes
    -----
    ``n = (z_{α/2} + z_β)²·V/δ²``, rounded up.

    Examples
    --------
    >>> answers_needed(10, 5000)
    393
    """
    if not gap or not np.isfinite(gap):
        raise ValueError(f"`gap` must be a number of points other than 0; got {gap}.")
    if not variance > 0 or not deff > 0:
        raise ValueError(f"`variance` and `deff` must be above 0; got {variance} and {deff}.")
    return int(np.ceil(_quantiles(alpha, power) ** 2 * variance * deff / gap**2))


def detectable_gap(
    n: int, variance: float, *, alpha: float = 0.05, power: float = 0.8, deff: float = 1.0
) -> float:
    """Smallest gap in points that n pairs would show with the given power.

    Parameters are those of `answers_needed`.

    Examples
    --------
    >>> round(detectable_gap(393, 5000), 1)
    10.0
    """
    if n < 1:
        raise ValueError(f"`n` must be 1 or more; got {n}.")
    return float(_quantiles(alpha, power) * np.sqrt(variance * deff / n))


def plan_pairs(result: Any, *, gaps: Sequence[float] = (2, 5, 10, 15, 20)) -> pd.DataFrame:
    """What the pairs at hand could show, and what given gaps would need.

    Parameters
    ----------
    result : NpsComparison
    gaps : sequence of float
        Points.

    Returns
    -------
    DataFrame
        ``question, gap`` (points), ``n`` (pairs), ``power, deff, note``: the first row is the
        smallest gap that the pairs at hand show with 80 % power. Without pairs, with too few
        customers to show, or where every pair has the same difference, ``n`` is null and
        ``note`` says why.
    """
    row = result.paired.iloc[0]
    variance = result.pair_variance
    if pd.isna(row["n"]) or not row["n"] or not variance > 0:
        return _pair_rows(gaps, None, [pd.NA] * (len(gaps) + 1), np.nan, str(row["note"]))
    n = int(row["n"])
    simple = variance / n
    deff = max(float(row["se"] ** 2 / simple) if np.isfinite(row["se"]) else 1.0, 1.0)
    shown = detectable_gap(n, variance, deff=deff)
    needed = [answers_needed(gap, variance, deff=deff) for gap in gaps]
    note = f"the variance is that of {n} pairs: a rough plan" if n < FEW_PAIRS else ""
    return _pair_rows(gaps, shown, [n, *needed], deff, note)


def _pair_rows(
    gaps: Sequence[float], shown: float | None, n: Sequence[Any], deff: float, note: str
) -> pd.DataFrame:
    """One row for the pairs at hand, one for each gap."""
    return pd.DataFrame(
        {
            "question": ["smallest gap that these pairs show", *["pairs needed for"] * len(gaps)],
            "gap": [np.nan if shown is None else shown, *map(float, gaps)],
            "n": pd.array(n, dtype="Int64"),
            "power": POWER,
            "deff": deff,
            "note": note,
        }
    )


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
    reached = in_periods(data, window)
    if needed(data) or data.invitations is None:
        return _no_plan(days, NEEDS_FRAME)
    found = [str(name) for name in data.invitations["rule"].dropna().unique()]
    rules = declared_rules(contact_rules, found)
    weighting = build_weighting(
        collect_window(reached, rules, window), data.traits, data.n_customers
    )
    reason = _not_planned(weighting, smallest)
    if reason:
        return _no_plan(days, reason)
    chances = fit_all(weighting, np.ones((weighting.n_customers, 1)))
    rows = [_one_length(float(k), exempt, data, rules, weighting, chances, window) for k in days]
    return pd.DataFrame(rows).assign(note="")


def _not_planned(weighting: Weighting, smallest: int) -> str:
    """Why nothing can be planned; empty if it can."""
    answered = weighting.relationship.asked.customer[weighting.relationship.asked.answered]
    if not len(answered):
        return "no valid relationship answer in the window"
    if too_few(len(np.unique(answered)), smallest):
        return why_hidden(smallest)
    if len(weighting.unreachable):
        return (
            f"{len(weighting.unreachable):,} of the customer base could not be asked, and nothing "
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
    weighting: Weighting,
    chances: Chances,
    window: Sequence[str] | None,
) -> dict[str, float]:
    episodes, waves, cells = split_invitations(data)
    waves = waves[in_window(waves, window)].reset_index(drop=True)
    tried = ContactRule("tried", days, exempt if days else 0.0)
    passed = look_back(episodes, waves, tried, rules, len(cells))
    free = passed.chance(sampling_shares(episodes, max(len(cells), 1))[:, None])[:, 0]
    side = weighting.relationship
    drawn = np.where(
        np.isnan(side.asked.chance_sampled), chances.drawn_r[0, 0], side.asked.chance_sampled
    )
    chance = free * drawn * chances.answer_r[side.patterns.row, 0]
    rows = side.answered
    weight = answer_weights(weighting, chances, "relationship", rows)[:, 0]
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
