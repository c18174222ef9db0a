"""What touchpoint correlations say: which go most, what is told apart, what is masked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import decimals_for, listed, number, small, with_interval
from cxlab.stats.inference import ALPHA, deciding_interval, within_margin

if TYPE_CHECKING:
    from cxlab.stats.touchpoints.result import TouchpointCorrelations

#: The smallest difference of two correlations that matters, where none is given.
MARGIN = 0.05
#: Touchpoints that may go most together and still are an answer.
MOST_FIRST = 3
#: With fewer answers the sentence begins with how many there are.
FEW_ANSWERS = 100
#: Outcomes that have a finding of their own.
MOST_OUTCOMES = 2
#: Row of the masking table for all touchpoints together.
ANY = "any touchpoint"

#: Names that the tables behind the findings are recorded under.
CORRELATIONS, PLACES, MASKING, HALO = "touchpoint-correlations", "places", "masking", "halo"

#: Rules under which it is settled who goes most.
SETTLED = ("one", "few", "alike")
#: Answers by rule; those that begin with a name come first.
ANSWERS = {
    "one": "{first} goes most with {outcome}",
    "few": "{first} goes most with {outcome}",
    "alike": "Several touchpoints go most with {outcome}, alike within {margin:g}",
    "only": "Only {first} can be placed for {outcome}",
    "none": "No touchpoint stands out in how it goes with {outcome}",
    "no association": "No touchpoint is shown to go with {outcome}",
    "not placed": "No touchpoint can be placed for {outcome}",
}
CAUTIONS = {
    "A": "Part of every correlation may be mood: all was rated in one sitting",
    "B": "Part of every correlation may be mood: all was rated in one sitting, the outcome first",
    "C": "Lasting differences between customers may be part of every correlation",
    "D": "Who got which service was not decided by lot, which may be part of every correlation",
}


@dataclass(frozen=True)
class Lead:
    """Which touchpoints may go most with one outcome, and by which rule.

    ``placed``: those with a place, in order; ``pairs``: their differences. ``unranked``: no two
    of the others are told apart.
    """

    outcome: str
    rule: str
    placed: pd.DataFrame
    pairs: pd.DataFrame
    first: tuple[str, ...] = ()
    unranked: bool = False

    @property
    def certainty(self) -> str:
        """Clear where it is settled; a place is never merely likely."""
        return "clear" if self.rule in SETTLED else "not settled"


def touchpoint_findings(
    result: TouchpointCorrelations,
    masked: pd.DataFrame | None,
    *,
    margin: float,
    group: str,
) -> Findings:
    """See `TouchpointCorrelations.findings`."""
    labels, group = result.labels, "" if group == "everyone" else group
    leads = find_leads(result, margin)
    places = places_table(result, margin, leads)
    told = [lead for lead in leads[:MOST_OUTCOMES] if lead.rule != "not placed"]
    rows = [
        _answer(result, leads[0], places.iloc[0], labels, group),
        *[_standing(result, lead, labels) for lead in told],
        _changes(leads, labels),
        _pairs_told_apart(places.iloc[0], labels),
        _masked(masked, labels.get(leads[0].outcome, leads[0].outcome)),
        _halo(result),
        _ceiling(result, labels),
    ]
    return Findings(tuple(row for row in rows if row))


def places_table(
    result: TouchpointCorrelations, margin: float, leads: Sequence[Lead] = ()
) -> pd.DataFrame:
    """See `TouchpointCorrelations.places`."""
    rows = []
    for lead in leads or find_leads(result, margin):
        told, placed = lead.pairs[lead.pairs["p_adjusted"] < ALPHA], lead.placed
        n = result.table.loc[result.table["outcome"] == lead.outcome, "n"]
        row = {"outcome": lead.outcome, "n_least": n.min(), "n_most": n.max()}
        row |= {"placed": len(placed), "may_be_first": int((placed["rank_low"] == 1).sum())}
        row |= {"first_within_margin": len(lead.first)}
        row |= {"may_be_last": int((placed["rank_high"] == len(placed)).sum())}
        row |= {"pairs": int(lead.pairs["p_adjusted"].notna().sum()), "told_apart": len(told)}
        row |= {"told_within_margin": int(told["within_margin"].sum()), "margin": margin}
        rows.append(row)
    return pd.DataFrame(rows)


def _pairs(result: TouchpointCorrelations, margin: float) -> pd.DataFrame:
    """Differences of two touchpoints, and whether the interval that decides is inside ±margin."""
    pairs = result.compare()
    names = ("estimate", "se", "df", "p_value", "p_adjusted")
    low, high = deciding_interval(*(pairs[name].to_numpy(float) for name in names))
    inside = [within_margin(*ends, margin) for ends in zip(low, high, strict=True)]
    return pairs.assign(within_margin=np.array(inside, dtype=bool))


def find_leads(result: TouchpointCorrelations, margin: float) -> list[Lead]:
    """Which touchpoints may go most with each outcome."""
    pairs, table = _pairs(result, margin), result.table
    leads = []
    for outcome in result.outcomes:
        placed = table[(table["outcome"] == outcome) & table["rank"].notna()].sort_values("rank")
        leads.append(_lead(outcome, placed, pairs[pairs["outcome"] == outcome]))
    return leads


def _lead(outcome: str, placed: pd.DataFrame, pairs: pd.DataFrame) -> Lead:
    if placed.empty:
        return Lead(outcome, "not placed", placed, pairs)
    order = placed["touchpoint"].tolist()
    if not ((placed["p_adjusted"] < ALPHA) & (placed["estimate"] > 0)).any():
        return Lead(outcome, "no association", placed, pairs)
    may = placed.loc[placed["rank_low"] == 1, "touchpoint"].tolist()
    near = pairs[pairs["within_margin"]]
    alike = {*near.loc[near["touchpoint"] == order[0], "other"]}
    alike |= {*near.loc[near["other"] == order[0], "touchpoint"]}
    first = tuple(name for name in order if name in may or name in alike)
    if len(order) == 1:
        rule = "only"
    elif len(first) == 1:
        rule = "one"
    elif len(first) <= MOST_FIRST and len(first) < len(order):
        rule = "few"
    else:
        # alike is shown of all that may be first
        rule = "alike" if {*first[1:]} <= alike else "none"
    rest = set(order) - set(first)
    among = pairs[pairs["touchpoint"].isin(rest) & pairs["other"].isin(rest)]
    unranked = len(rest) > 1 and not (among["p_adjusted"] < ALPHA).any()
    return Lead(outcome, rule, placed, pairs, first, unranked)


def _answer(
    result: TouchpointCorrelations,
    lead: Lead,
    places: pd.Series,
    labels: Mapping[str, str],
    group: str,
) -> Finding:
    first = listed([labels.get(name, name) for name in lead.first], last="or")
    outcome, n = small(labels.get(lead.outcome, lead.outcome)), int(places["n_most"])
    text = ANSWERS[lead.rule].format(first=first, outcome=outcome, margin=places["margin"])
    if lead.rule in ("one", "few") and lead.unranked:
        text += "; the rest can’t be ranked"
    answers = f"{n:,} answers" if n and (group or n < FEW_ANSWERS) else ""
    about = ", ".join(filter(None, [group, answers]))
    if about:
        text = f"{about}: {text if lead.rule in ('one', 'few') else small(text)}"
    return Finding(
        kind="answer", certainty=lead.certainty, text=text, detail=_without_place(result, lead),
        subject=first or outcome, n=n, rule=lead.rule, margin=places["margin"],
        cells=(Cells(PLACES, {"outcome": lead.outcome}, ("n_most",)),), **_deciding(lead),
    )  # fmt: skip


def _deciding(lead: Lead) -> dict[str, Any]:
    """Place of the first touchpoint, whose interval decides; it holds for all at once."""
    size = len(lead.placed)
    family = {"family": f"places of {size} touchpoints at once", "family_size": size}
    if not size:
        return family
    row = lead.placed.iloc[0]
    ends = {"estimate": "rank", "ci_low": "rank_low", "ci_high": "rank_high"}
    return {**family, "unit": "place", **{key: float(row[name]) for key, name in ends.items()}}


def _without_place(result: TouchpointCorrelations, lead: Lead) -> str:
    """How many have a place, and the commonest reason of those that have none."""
    own = result.table[result.table["outcome"] == lead.outcome]
    without = own[own["rank"].isna()]
    if without.empty:
        return f"{len(own)} touchpoints, places for all at once"
    reason = without["note"].value_counts().index[0]
    return f"{len(without)} of {len(own)} touchpoints have no place: {reason}"


def _standing(result: TouchpointCorrelations, lead: Lead, labels: Mapping[str, str]) -> Finding:
    """Places and correlations of those that may go most."""
    several = lead.rule in ("alike", "none", "no association")
    chosen = lead.placed if not several else lead.placed.iloc[:1]
    chosen = chosen[chosen["touchpoint"].isin(lead.first) | several]
    size, outcome = len(lead.placed), small(labels.get(lead.outcome, lead.outcome))
    rows = [row for _, row in chosen.iterrows()]
    parts = [f"{labels.get(row['touchpoint'], row['touchpoint'])}, {_place(row)}" for row in rows]
    text = {
        "alike": f"{len(lead.first)} of {size} go alike; in these answers first is {parts[0]}",
        "none": f"{_may_be_first(lead)} of {size} may be first; in these answers it is {parts[0]}",
        "no association": f"none is shown to differ from r = 0; first of {size} is {parts[0]}",
    }.get(lead.rule, f"of {size} touchpoints: {'; '.join(parts)}")
    shown = ("estimate", "rank", "rank_low", "rank_high")
    cells = [
        Cells(CORRELATIONS, {"touchpoint": row["touchpoint"], "outcome": lead.outcome}, shown)
        for row in rows
    ]
    counts = ("placed", "may_be_first", "first_within_margin")
    return Finding(
        text=f"With {outcome}, {text}", certainty=lead.certainty, subject=outcome, rule=lead.rule,
        detail=f"{_answers(chosen['n'])}; intervals of places hold for all at once",
        cells=(*cells, Cells(PLACES, {"outcome": lead.outcome}, counts)), reference=0.0,
        **_deciding(lead),
    )  # fmt: skip


def _answers(n: pd.Series) -> str:
    return f"n = {n.min():,}" if n.min() == n.max() else f"n = {n.min():,} to {n.max():,}"


def _may_be_first(lead: Lead) -> int:
    return int((lead.placed["rank_low"] == 1).sum())


def _place(row: pd.Series) -> str:
    """``place 1 (1 to 2), r = 0.70``."""
    decimals = decimals_for((row["ci_high"] - row["ci_low"]) / 2)
    place = f"place {row['rank']} ({row['rank_low']} to {row['rank_high']})"
    return f"{place}, r = {number(row['estimate'], decimals)}"


def _changes(leads: list[Lead], labels: Mapping[str, str]) -> Finding | None:
    """Touchpoints whose places for the first outcome and the second do not overlap.

    Places of 12 are not compared with places of 8: both outcomes must place the same.
    """
    if len(leads) < 2 or len({frozenset(lead.placed["touchpoint"]) for lead in leads[:2]}) > 1:
        return None
    here, there = (
        lead.placed.set_index("touchpoint")[["rank", "rank_low", "rank_high"]] for lead in leads[:2]
    )
    both = here.join(there.add_suffix("_there"), how="inner").astype(float)
    apart = (both["rank_high"] < both["rank_low_there"]) | (
        both["rank_high_there"] < both["rank_low"]
    )
    moved = both[apart]
    if moved.empty:
        return None
    name = str((moved["rank"] - moved["rank_there"]).abs().idxmax())
    names = [labels.get(one, one) for one in moved.index]
    several = "Several touchpoints" if len(names) > MOST_FIRST else listed(names)
    outcomes = [lead.outcome for lead in leads[:2]]
    words = [small(labels.get(outcome, outcome)) for outcome in outcomes]
    row, size = moved.loc[name], len(leads[0].placed)
    before, after = (
        f"{row[f'rank{end}']:.0f} ({row[f'rank_low{end}']:.0f} to {row[f'rank_high{end}']:.0f})"
        for end in ("", "_there")
    )
    verb = "changes" if len(names) == 1 else "change"
    subject = "" if len(names) == 1 else f"{labels.get(name, name)} "
    return Finding(
        text=f"{several} {verb} place: {subject}{before} with {words[0]}, {after} with {words[1]}",
        certainty="clear", subject=labels.get(name, name), rule="changes place",
        detail="intervals of places that do not overlap",
        family=f"places of {size} touchpoints at once, two outcomes", family_size=size,
        cells=tuple(
            Cells(CORRELATIONS, {"touchpoint": name, "outcome": outcome},
                  ("rank", "rank_low", "rank_high"))
            for outcome in outcomes
        ),
    )  # fmt: skip


def _pairs_told_apart(places: pd.Series, labels: Mapping[str, str]) -> Finding | None:
    if not places["pairs"]:
        return None
    outcome = small(labels.get(places["outcome"], places["outcome"]))
    told, near = int(places["told_apart"]), int(places["told_within_margin"])
    text = f"No two touchpoints are told apart in how they go with {outcome}"
    if told:
        text = f"{told} of {places['pairs']} pairs of touchpoints are told apart for {outcome}"
    if near:
        text += (
            f"; in {near} of them the difference is under {places['margin']:g}, too small to matter"
        )
    return Finding(
        text=text, certainty="clear" if told else "not settled", subject=outcome, rule="pairs",
        detail="false discoveries held at 5 % (Benjamini–Yekutieli)", margin=places["margin"],
        family=f"pairs of touchpoints for {outcome}", family_size=int(places["pairs"]),
        cells=(Cells(PLACES, {"outcome": places["outcome"]}, ("told_apart", "told_within_margin")),),
    )  # fmt: skip


def _masked(masked: pd.DataFrame | None, outcome: str) -> Finding | None:
    """The share with a bad touchpoint behind a good overall score, and of how many rated."""
    if masked is None:
        return None
    row = masked.set_index("touchpoint").loc[ANY]
    share, low, high = (
        float(row[name]) for name in ("among_good", "among_good_low", "among_good_high")
    )
    if not np.isfinite([share, low, high]).all():
        why = row["note"] or "too few answers, or all alike"
        text = "What share had a bad touchpoint behind a good overall score is not shown"
        return Finding(text=text, detail=str(why), rule="masking hidden")
    # every share of those with a good score is of as many touchpoints as they rated
    return Finding(
        text=(
            f"Of those with {row['high']:g} or more for {small(outcome)}, who rated "
            f"{number(row['rated'], 1)} touchpoints on average, {with_interval(share, low, high, '%')} "
            f"rated at least one {row['low']:g} or less"
        ),
        detail=f"n = {row['n_good']:,}", n=int(row["n_good"]), rule="masking", subject=outcome,
        estimate=share, ci_low=low, ci_high=high, unit="%",
        cells=(
            Cells(
                MASKING, {"touchpoint": ANY},
                ("among_good", "among_good_low", "among_good_high", "rated", "low", "high"),
            ),
        ),
    )  # fmt: skip


def _halo(result: TouchpointCorrelations) -> Finding:
    row, code = result.halo.iloc[0], result.occasion
    text, mean = CAUTIONS[code], float(row["mean_touchpoint_r"])
    cells: tuple[Cells, ...] = ()
    if code in "AB" and np.isfinite(mean):
        text += f"; touchpoints go together by r = {number(mean, 2)} on average"
        cells = (Cells(HALO, {"outcome": row["outcome"]}, ("mean_touchpoint_r",)),)
    alarm = "; one impression may colour all ratings" if row["halo_alarm"] else ""
    return Finding(kind="caution", text=text + alarm, rule="halo", cells=cells)


def _ceiling(result: TouchpointCorrelations, labels: Mapping[str, str]) -> Finding | None:
    table = result.table[result.table["outcome"] == result.outcomes[0]]
    flagged = [labels.get(name, name) for name in table.loc[table["ceiling_flag"], "touchpoint"]]
    if not flagged:
        return None
    names = listed(flagged) if len(flagged) <= MOST_FIRST else "several touchpoints"
    text = f"Many best scores may hide part of the correlation of {names}"
    return Finding(kind="caution", text=text, rule="ceiling", detail=listed(flagged, most=12))
