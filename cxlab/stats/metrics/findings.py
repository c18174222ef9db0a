"""What a scorecard says: targets, weakest and strongest touchpoints, changes, groups."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings, direction_of, figures
from cxlab.core.metric import Metric
from cxlab.core.periods import A_YEAR_BEFORE
from cxlab.core.phrases import (
    amount,
    capital,
    decimals_for,
    in_words,
    interval,
    listed,
    number,
    signed,
)
from cxlab.stats.inference import ALPHA, within_margin
from cxlab.stats.metrics.touchpoints import MOST_NAMED, are_clear, is_of, latest_changes

if TYPE_CHECKING:
    from cxlab.stats.metrics.standing import Scorecard

#: Fewer answers than this stand at the head of the answer.
FEW = 100
#: What becomes of a target, in words, and as tiles and tables say it.
MET, MISSED, NEAR, OPEN = "met", "missed", "missed by less than matters", "not settled"
ATTAINED = {MET: "yes", MISSED: "no", NEAR: "no", OPEN: "undecided", "": ""}
#: Names that the notebook records the tables under.
OUTCOMES, TARGETS, SHARES, TOUCHPOINTS = "outcomes", "targets", "headline-shares", "touchpoints"
CHANGES, GROUPS, TESTED = "headline-changes", "differences-between-segments", "groups-tested"
DECIDED = ("estimate", "decided_low", "decided_high")
SIMULTANEOUS = "targets; intervals that hold all of them at once"


def scorecard_findings(card: Scorecard, margins: Mapping[str, float]) -> Findings:
    """The findings of a scorecard; ``margins`` by metric stand in for the study's."""
    metrics, headline = (
        tuple(replace(one, margin=margins.get(one.name, one.margin)) for one in some)
        for some in (card.metrics, card.headline)
    )
    card = replace(card, metrics=metrics, headline=headline)
    answer = _answer(card)
    if answer.rule == "hidden":
        return Findings((answer,))
    found = [
        _touchpoint_changes(card), _ends(card), _shares(card), _reach(card),
        _changes(card), _groups(card),
    ]  # fmt: skip
    return Findings((answer, *(finding for finding in found if finding)))


def _row(table: pd.DataFrame, metric: Metric) -> Any:
    """A metric's row; None where there is none, or its figures are hidden."""
    found = table[is_of(table, [metric]) & table["estimate"].notna()]
    return found.iloc[0] if len(found) else None


def _cells(table: str, row: Any, *columns: str, **place: Any) -> Cells:
    return Cells(table, {"label": row["label"], "metric": row["metric"], **place}, columns)


def _answer(card: Scorecard) -> Finding:
    if not card.headline:
        text = "No outcome was asked: there is no score of the whole"
        return Finding(kind="answer", text=text, rule="no outcome")
    leading = [metric.column for metric in card.headline]
    aims = [metric for metric in card.metrics if _row(card.targets, metric) is not None]
    aims.sort(key=lambda one: leading.index(one.column) if one.column in leading else len(leading))
    return _of_targets(card, aims) if aims else _of_headline(card)


def target_verdict(card: Scorecard, metric: Metric) -> str:
    """What became of a metric's target, by intervals that hold all targets at once."""
    row = _row(card.targets, metric) if metric.target is not None else None
    if row is None:
        return ""
    target = float(metric.target or 0)
    low, high = row["ci_low"] - target, row["ci_high"] - target
    if low >= 0:
        return MET
    if not high < 0:
        return OPEN
    return NEAR if within_margin(low, high, metric.margin) else MISSED


def _of_targets(card: Scorecard, aims: Sequence[Metric]) -> Finding:
    """All met, all missed, or how many of them."""
    verdicts = [target_verdict(card, metric) for metric in aims]
    rows = [_row(card.targets, metric) for metric in aims]
    items = [_against(card, metric, row) for metric, row in zip(aims, rows, strict=True)]
    size, lead, alike = len(aims), rows[0], len(set(verdicts)) == 1
    if alike:
        who = {1: "The target is", 2: "Both targets are"}
        text = f"{who.get(size, f'All {in_words(size)} targets are')} {verdicts[0]}"
    else:
        met, undecided = verdicts.count(MET), verdicts.count(OPEN)
        some = in_words(met).capitalize() if met else "None"
        text = f"{some} of {in_words(size)} targets {'is' if met < 2 else 'are'} met"
        text += f", {in_words(undecided)} not settled" if undecided else ""
        items = [f"{item} ({verdict})" for item, verdict in zip(items, verdicts, strict=True)]
    told = [
        f"{_name(card, metric)} {_interval(row)}, n = {row['n']:,}"
        for metric, row in zip(aims, rows, strict=True)
    ]
    return Finding(
        kind="answer", text=_headed(card, lead, f"{text}: {'; '.join(items[:MOST_NAMED])}"),
        certainty="not settled" if OPEN in verdicts else "clear",
        detail=f"{'95 % interval' if size == 1 else 'intervals that hold together'}: {'; '.join(told)}",
        subject=_name(card, aims[0]), rule=f"targets {verdicts[0] if alike else 'mixed'}", **figures(lead),
        reference=float(lead["target"]), margin=aims[0].margin, family=SIMULTANEOUS,
        family_size=size, direction={MET: "good", MISSED: "bad"}.get(verdicts[0], "") if alike else "",
        cells=tuple(_cells(TARGETS, row, "estimate", "target", "n") for row in rows),
    )  # fmt: skip


def _against(card: Scorecard, metric: Metric, row: Any) -> str:
    """A score beside its target, in whole points and per cents where that tells them apart."""
    target, half = float(row["target"]), (row["ci_high"] - row["ci_low"]) / 2
    places = decimals_for(_whole(metric, half), row["estimate"], [target])
    aimed = amount(target, metric.unit, 0 if target.is_integer() else max(places, 1))
    return f"{_is(card, metric, row['estimate'], places)} against {aimed}"


def _of_headline(card: Scorecard) -> Finding:
    """The figure to follow with its interval, or why it is not shown."""
    lead = card.headline[0]
    row, name = _row(card.table, lead), _name(card, lead)
    if row is None:
        least, table = card.min_group_size, card.table
        notes = table.loc[table["column"] == lead.column, "note"].astype(str)
        counted = "customers" if notes.str.endswith("customers").any() else "answers"
        text = f"{name} is not shown: fewer than {least} {counted}"
        return Finding(
            kind="answer", text=f"{card.selection}: {text}" if card.selection else text,
            subject=name, rule="hidden", reference=float(least),
        )  # fmt: skip
    low, high = float(row["ci_low"]), float(row["ci_high"])
    places = decimals_for(_whole(lead, (high - low) / 2))
    within = f" ({interval(low, high, places)})" if math.isfinite(low) else ""
    return Finding(
        kind="answer", text=_headed(card, row, _is(card, lead, row["estimate"], places) + within),
        detail=f"no target is set; n = {row['n']:,}", subject=name, rule="no target", **figures(row),
        cells=(_cells(OUTCOMES, row, "estimate", "ci_low", "ci_high", "n"),),
    )  # fmt: skip


def _headed(card: Scorecard, row: Any, text: str) -> str:
    """The sentence behind the group that it is about, or behind n where that is small."""
    if card.selection:
        return f"{card.selection}, n = {row['n']:,}: {text}"
    return f"{row['n']} answers: {text}" if row["n"] < FEW else text


def _whole(metric: Metric, half_width: float) -> float:
    """Half-width at which points and per cents are rounded to whole ones."""
    return half_width if metric.kind == "mean" else max(half_width, 1.0)


def _interval(row: Any) -> str:
    """Limits that are told from the target."""
    low, high = row["ci_low"], row["ci_high"]
    places = decimals_for((high - low) / 2, (row["estimate"], low, high), [float(row["target"])])
    return interval(low, high, places)


def _name(card: Scorecard, metric: Metric) -> str:
    """A measure in words: NPS, Satisfied (8 to 10), Overall satisfaction."""
    short = card.names.get(metric.column, metric.column)
    if metric.kind == "mean":
        return short
    title = metric.title
    twice = sum(other.title == title for other in card.headline) > 1
    return f"{title}, {short}" if twice or metric not in card.headline else title


def _is(card: Scorecard, metric: Metric, value: float, places: int) -> str:
    """A measure with its value, as a clause."""
    if metric.kind == "box":
        words, short = metric.words.lower(), card.names.get(metric.column, metric.column)
        alone = sum(other.words == metric.words for other in card.headline) < 2
        if words.endswith("ed") and alone:
            return f"{amount(value, '%', places)} are {words}"
        low, high = metric.top or (math.nan, math.nan)
        told = f"“{words}”" if words else f"{low:g} to {high:g}"
        return f"{amount(value, '%', places)} rate {short} {told}"
    of = f" of {metric.scale[1]:g}" if metric.kind == "mean" and metric.scale else ""
    return f"{_name(card, metric)} is {number(value, places)}{of}"


def _ends(card: Scorecard) -> Finding | None:
    """The weakest and the strongest touchpoints, by places that hold all at once."""
    table = card.touchpoints[card.touchpoints["rank"].notna()]
    if len(table) < 2:
        return None
    size, metric = len(table), _metric_of(card, table.iloc[0])
    weakest, strongest = table[table["rank_high"] == size], table[table["rank_low"] == 1][::-1]
    told, named = [], []
    for which, found in (("weakest", weakest), ("strongest", strongest)):
        if len(found) <= min(MOST_NAMED, size - 1):
            told.append(f"the {which} is {listed(_scored(card, metric, found), last='or')}")
            named += [row for _, row in found.iterrows()]
    average = float(table["estimate"].mean())
    cells = tuple(_cells(TOUCHPOINTS, row, "estimate") for row in named)
    detail = f"joint 95 % intervals of the places of {size} touchpoints; their average is "
    detail += number(average, decimals_for(float((table["ci_high"] - table["ci_low"]).min()) / 2))
    if not told:
        text = "No touchpoint is shown to be the weakest or the strongest"
        return Finding(text=text, certainty="not settled", detail=detail, rule="no ends")
    text = "; ".join(told)
    text = f"{capital(text)}, of {metric.scale[1]:g}" if metric.scale else text
    lowest, margin = weakest.iloc[0], metric.margin
    near = "weakest" in text and average - lowest["estimate"] < margin < math.inf
    if near:
        text += "; the weakest is less below the average touchpoint than is declared to matter"
    return Finding(
        text=text, certainty="clear", detail=detail, subject=card.names[lowest["column"]],
        margin=margin, **figures(lowest),
        rule="ends within margin" if near else "ends", family="places of touchpoints",
        family_size=size, reference=metric.scale[1] if metric.scale else math.nan, cells=cells,
    )  # fmt: skip


def _scored(card: Scorecard, metric: Metric, rows: pd.DataFrame) -> list[str]:
    half = (rows["ci_high"] - rows["ci_low"]) / 2
    return [
        f"{card.names[row['column']]} {amount(row['estimate'], metric.unit, decimals_for(one))}"
        for (_, row), one in zip(rows.iterrows(), half, strict=True)
    ]


def _metric_of(card: Scorecard, row: Any) -> Metric:
    pair = row["column"], row["metric"]
    return next(one for one in card.metrics if (one.column, one.name) == pair)


def _shares(card: Scorecard) -> Finding | None:
    """Promoters, passives and detractors; without touchpoints the bins of any headline outcome."""
    rows = card.shares[card.shares["estimate"].notna()]
    if rows.empty or (card.headline[0].name != "nps" and len(card.touchpoints)):
        return None
    told = [
        f"{_bin(row)} {amount(row['estimate'], '%')} ({interval(row['ci_low'], row['ci_high'])})"
        for _, row in rows.iterrows()
    ]
    text = ", ".join(told)
    moved = rows[rows["change"].notna()]
    against = [
        f"{_bin(row)} {signed(row['change'])} ({interval(row['change_low'], row['change_high'])})"
        for _, row in moved.iterrows()
    ]
    when = spoken_period(latest_changes(card.changes).iloc[0]) if against else ""
    detail = f"n = {rows['n'].iloc[0]:,}"
    detail += f"; against {when}, in percentage points: {', '.join(against)}" if against else ""
    return Finding(
        text=capital(text), detail=detail, unit="%",
        subject=_name(card, card.headline[0]),
        n=int(rows["n"].iloc[0]), rule="shares",
        cells=tuple(_cells(SHARES, row, "estimate", "ci_low", "ci_high") for _, row in rows.iterrows()),
    )  # fmt: skip


def _bin(row: Any) -> str:
    """Promoters, or the scores of a bin."""
    return row["metric"] if row["metric"].endswith("s") else f"{row['title'].lower()}:"


def _reach(card: Scorecard) -> Finding | None:
    """Who used the touchpoint that is rated lowest."""
    table = card.touchpoints[card.touchpoints["reach"].notna()]
    if not table["estimate"].notna().any():
        return None
    row = table.loc[table["estimate"].idxmin()]
    used = f"{amount(row['reach'], '%')} ({interval(row['reach_low'], row['reach_high'])})"
    name = card.names[row["column"]]
    least = card.names[table.loc[table["reach"].idxmin(), "column"]]
    return Finding(
        text=f"{name}, rated lowest of those that can be left out, was used by {used}",
        detail=f"used least: {least}" if least != name else "no touchpoint was used less",
        subject=name, estimate=float(row["reach"]), ci_low=float(row["reach_low"]),
        ci_high=float(row["reach_high"]), unit="%", rule="reach",
        cells=(_cells(TOUCHPOINTS, row, "reach", "reach_low", "reach_high"),),
    )  # fmt: skip


def spoken_period(row: Any) -> str:
    """What a change is counted from, in words."""
    return "a year ago" if row["against"] == A_YEAR_BEFORE else str(row["before"])


def _size(metric: Metric, row: Any) -> tuple[str, str]:
    """A difference without a sign, and the limits of its size, not zero where they leave it out."""
    sign = -1 if row["estimate"] < 0 else 1
    low, high = sorted(sign * row[end] for end in ("decided_low", "decided_high"))
    places = decimals_for((high - low) / 2, (row["estimate"], low, high), [0.0])
    unit = {"points": " points", "%": " percentage points"}.get(metric.unit, "")
    return f"{number(abs(row['estimate']), places)}{unit}", f"({interval(low, high, places)})"


def _moved(name: str, metric: Metric, row: Any) -> str:
    """A change since an earlier period."""
    size, within = _size(metric, row)
    verb = "fell" if row["estimate"] < 0 else "rose"
    since = "in a year" if row["against"] == A_YEAR_BEFORE else f"since {row['before']}"
    return f"{name} {verb} by {size} {since} {within}"


def _changes(card: Scorecard) -> Finding | None:
    """Clear changes of headline measures, or that none is larger than matters, or none shown."""
    tested = card.changes[card.changes["p_adjusted"].notna()]
    if tested.empty:
        return None
    clear, small = _clear(card, tested)
    told = {"certainty": "clear", "detail": f"adjusted by Holm over {len(tested)} comparisons"}
    if len(clear):
        text = "; ".join(
            _moved(_named(card, row), _metric_of(card, row), row)
            for _, row in clear.iloc[:MOST_NAMED].iterrows()
        )
        return _compared(card, clear, tested, text=text, rule="headline changed", **told)
    rows = latest_changes(tested)
    if len(small) == len(tested):
        names = list(dict.fromkeys(_named(card, row) for _, row in rows.iterrows()))
        who = "No headline measure has"
        if len(names) < len(card.headline):
            who = f"{listed(names, most=len(names))} {'has' if len(names) == 1 else 'have'} not"
        text = f"{who} changed by as much as matters since {_spoken(rows)}"
        return _compared(card, rows, tested, text=text, rule="headline steady", **told)
    text, rule = "No headline measure is shown to have changed", "no change shown"
    if (small["p_adjusted"] < ALPHA).any():
        text, rule = "No change as large as its margin is shown", "no larger change shown"
    text += f" since {_spoken(rows)}; a true change of {_shown(card, rows.iloc[0])} would be shown"
    told |= {"text": f"{text} four times in five", "certainty": "not settled", "rule": rule}
    return _compared(card, rows, tested, **told)


def _spoken(rows: pd.DataFrame) -> str:
    return listed(list(dict.fromkeys(spoken_period(row) for _, row in rows.iterrows())), last="or")


def _named(card: Scorecard, row: Any) -> str:
    return _name(card, _metric_of(card, row))


def _clear(
    card: Scorecard, tested: pd.DataFrame, p: str = "p_adjusted"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows that are clear and may matter, the surest first, and rows inside the margin."""
    inside = pd.Series(
        [
            within_margin(row["decided_low"], row["decided_high"], _metric_of(card, row).margin)
            for _, row in tested.iterrows()
        ],
        tested.index, dtype=bool,
    )  # fmt: skip
    return tested[are_clear(tested, p) & ~inside].sort_values(p, kind="stable"), tested[inside]


def _compared(
    card: Scorecard, rows: pd.DataFrame, tested: pd.DataFrame,
    **told: Any,
) -> Finding:  # fmt: skip
    """A finding of differences, with the first of the rows that it cites as its number."""
    row, table, p = rows.iloc[0], CHANGES, "p_adjusted"
    keys = ["against"]
    if "segment" in rows:
        table, p, keys = GROUPS, "p_headline", ["segment", "group"]
    metric, cells = _metric_of(card, row), told.pop("cells", ())
    columns = (*DECIDED, "smallest_shown")
    cited = [_cells(table, one, *columns, **one[keys].to_dict()) for _, one in rows.iterrows()]
    return Finding(
        subject=_name(card, metric), reference=0.0, margin=metric.margin,
        family="headline measures × comparisons", family_size=len(tested),
        direction=direction_of(rows["estimate"]) if told["rule"].endswith("changed") else "",
        cells=(*cited, *cells), **figures(row, DECIDED) | {"p_adjusted": float(row[p])}, **told,
    )  # fmt: skip


def _groups(card: Scorecard) -> Finding | None:
    """How many groups differ from the rest in a headline measure, and the surest of them."""
    tested = card.differences[card.differences["p_headline"].notna()]
    if tested.empty:
        return None
    clear, small = _clear(card, tested, "p_headline")
    groups = len(tested[["segment", "group"]].drop_duplicates())
    of = f"of {len(tested)} comparisons over the {groups} groups large enough"
    best = tested.loc[[tested["smallest_shown"].astype(float).idxmin()]]
    told = {"cells": (Cells(TESTED, {"groups": groups}, ("groups", "clear")),),
            "certainty": "clear", "detail": "each group against the rest, adjusted by Holm"}  # fmt: skip
    if len(clear):
        row = clear.iloc[0]
        size, within = _size(_metric_of(card, row), row)
        side = "below" if row["estimate"] < 0 else "above"
        text = f"{row['segment']} {row['group']}: {_named(card, row)} is {size} {side} the rest "
        text += f"{within}; {of}, {len(clear)} clear"
        return _compared(card, clear, tested, text=text, rule="groups changed", **told)
    if len(small) == len(tested):
        text = f"No customer group differs by as much as matters: {of}, none"
        return _compared(card, best, tested, text=text, rule="groups alike", **told)
    told |= {"certainty": "not settled",
             "detail": f"{told['detail']}; at best a true difference of "
                       f"{_shown(card, best.iloc[0])} would be shown four times in five"}  # fmt: skip
    text, rule = "No customer group is shown to differ from the rest", "no group shown"
    if (small["p_headline"] < ALPHA).any():
        text = "No difference of a customer group as large as its margin is shown"
        rule = "no larger difference shown"
    text = f"{text}: {of}, none is clear"
    return _compared(card, best, tested, text=text, rule=rule, **told)


def _shown(card: Scorecard, row: Any) -> str:
    """The true difference that would be shown, in its measure's unit."""
    size = float(row["smallest_shown"])
    unit = {"points": " points", "%": " percentage points"}.get(row["unit"], "")
    return f"{number(size, decimals_for(size / 2))}{unit} in {_named(card, row)}"


def _touchpoint_changes(card: Scorecard) -> Finding | None:
    """Touchpoints whose score has clearly changed, by as much as may matter."""
    table = card.touchpoints[card.touchpoints["clear"].astype(bool)]
    rows = table.rename(columns={"change_low": "decided_low", "change_high": "decided_high"})
    rows = rows.assign(estimate=rows["change"], p_adjusted=rows["change_p"])
    when = latest_changes(card.touchpoint_changes)[["against", "before"]].head(1)
    clear, _ = _clear(card, rows.assign(**{name: when[name].sum() for name in when}))
    if clear.empty:
        return None
    lead = clear.iloc[0]
    told = [
        _moved(card.names[row["column"]], _metric_of(card, row), row)
        for _, row in clear.iloc[:MOST_NAMED].iterrows()
    ]
    more = len(clear) - len(told)
    tests = int(card.touchpoint_changes["tests"].iloc[0])
    return Finding(
        kind="so what", text="; ".join(told) + (f"; {in_words(more)} more changed" if more else ""),
        certainty="clear", detail=f"false discoveries controlled over {tests} comparisons",
        subject=card.names[lead["column"]], family="touchpoints × comparisons", family_size=tests,
        rule="touchpoints changed", reference=0.0, margin=_metric_of(card, lead).margin,
        direction=direction_of(clear["estimate"]), **figures(lead, DECIDED),
        cells=tuple(_cells(TOUCHPOINTS, row, "change", "change_low", "change_high")
                    for _, row in clear.iloc[:MOST_NAMED].iterrows()),
    )  # fmt: skip
