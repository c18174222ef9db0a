"""What a driver map says: where to look first, what to keep up, what is not settled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import amount, decimals_for, interval, listed, number, signed
from cxlab.core.result import Result
from cxlab.stats.drivers.result import HALO
from cxlab.stats.drivers.singled_out import ANSWERS, Told, about_rows, gap, names
from cxlab.stats.inference import ALPHA, SURE

if TYPE_CHECKING:
    from cxlab.stats.drivers.map import DriverMap

#: Names that further tables are recorded under.
SHAPES, COMPARED, MORE = "penalty-and-reward", "satisfaction-and-advocacy", "what-if"
#: Share of resamples from which what is not settled is named.
NAMED = 0.5
#: Places that have a finding of their own; findings in all.
MOST_OWN, MOST_FINDINGS = 2, 5

SHARE = ("estimate", "ci_low", "ci_high")
RATING = ("performance", "performance_low", "performance_high")
MORE_THAN = ("importance_gap", "importance_gap_low", "importance_gap_high")
BETTER_THAN = ("performance_gap", "performance_gap_low", "performance_gap_high")
DECIDING = ("estimate", "deciding_low", "deciding_high")
BEND = ("bend", "bend_low", "bend_high")


def map_findings(
    places: DriverMap,
    *,
    compared: pd.DataFrame | None,
    shapes: Result | None,
    more: pd.DataFrame | None,
    card: Result | None,
    part: str,
    explored: bool,
    changed: Mapping[str, tuple[str, str]],
) -> Findings:
    """See `DriverMap.findings`."""
    table = places.table
    if explored:
        table = table.assign(verdict=table["verdict"].replace("look first", "likely"))
    told = Told(places, table, "" if part == "everyone" else part)
    answer = next(one for rule in ANSWERS if (one := rule(told)) is not None)
    details = [answer.detail, "Explored, not planned: at most likely" if explored else ""]
    details += [_what_changed(changed)] if changed else []
    answer = replace(answer, detail="; ".join(detail for detail in details if detail))
    if answer.rule == "too few":
        return Findings((answer,))
    found = [
        *_numbers(told),
        _keep_up(told),
        _without_association(told) if answer.rule != "no association" else None,
        _undecided(told),
        _advocacy(told, compared),
        _steeper(told, shapes),
        *_within_margin(told),
    ]
    shown = [one.explored() if explored else one for one in found if one][:MOST_FINDINGS]
    others = [one for one in (_so_what(told, more, card), _halo(told)) if one]
    return Findings((answer, *others, *shown))


def _what_changed(changed: Mapping[str, tuple[str, str]]) -> str:
    told = [f"{label} “{new}”, was “{old}”" for label, (old, new) in changed.items()]
    return f"Decided again: {listed(told)}"


def _numbers(told: Told) -> list[Finding]:
    """Those to look at first, or likely ones, with their numbers."""
    return [
        Finding(
            text=f"{row['label']} counts for {_percent(row, SHARE)} of what the touchpoints explain "
            f"and is rated {_rated(told, row)}",
            certainty="clear" if row["verdict"] == "look first" else "likely",
            rule="numbers", direction="bad", n=int(row["n"]),
            detail=f"Important and below {told.line(row)} in {_hundred(row['fix_first'])}; goes with "
            f"the outcome beyond the other ratings; n = {row['n']:,}",
            **about_rows([row], *SHARE, *RATING), **told.family,
        )
        for row in told.rows("look first", "likely")[:MOST_OWN]
    ]  # fmt: skip


def _percent(row: pd.Series, columns: tuple[str, str, str]) -> str:
    return gap(row, columns, 100, "%")


def _rated(told: Told, row: pd.Series) -> str:
    """``7.0 of 10 (6.8 to 7.2), average 7.1``."""
    value, low, high = (float(row[column]) for column in RATING)
    cut = float(row["performance_cut"])
    digits = decimals_for((high - low) / 2, value, [cut])
    rating = amount(value, told.scale, digits)
    return f"{rating} ({interval(low, high, digits)}), {told.line(row)} {number(cut, digits)}"


def _hundred(share: float) -> str:
    # 99.7 is not all of them
    count = round(100 * share) if share in (0, 1) else min(max(round(100 * share), 1), 99)
    return f"{count} of 100 resamples"


def _keep_up(told: Told) -> Finding | None:
    rows = told.rows("keep up")
    if not rows:
        return None
    shared = {"certainty": "clear", "rule": "keep up", "direction": "good", **told.family}
    detail = f"Both intervals allow for {len(told.table)} touchpoints"
    if len(rows) > 1:
        text = (
            f"Keep up {names(rows)}: they count more than the average touchpoint and are rated "
            f"{told.against('above', rows)}"
        )
        return Finding(text=text, detail=detail, **shared, **about_rows(rows))
    row = rows[0]
    counts, than = "it counts", "more than the average touchpoint"
    if row["rank_high"] == 1:
        counts, than = "it counts most,", "above the average touchpoint"
    above = "its target" if told.has_target(row) else "it"
    return Finding(
        text=f"Keep up {row['label']}: {counts} {gap(row, MORE_THAN, 100, 'percentage points')} "
        f"{than} and is rated {gap(row, BETTER_THAN, 1, told.scale)} above {above}",
        detail=f"{detail}; n = {row['n']:,}", n=int(row["n"]), **shared,
        **about_rows([row], *MORE_THAN, *BETTER_THAN),
    )  # fmt: skip


def _without_association(told: Told) -> Finding | None:
    rows = told.rows("association not shown")
    if not rows:
        return None
    are, none = ("is", "is") if len(rows) == 1 else ("are", "are")
    return Finding(
        text=f"{names(rows)} {are} important and rated {told.against('below', rows)}, but {none} "
        "not shown to go with the outcome beyond the other ratings",
        certainty="not settled", rule="no association", **about_rows(rows), **told.family,
    )  # fmt: skip


def _undecided(told: Told) -> Finding | None:
    rows = [row for row in told.rows("not settled") if row["fix_first"] >= NAMED]
    if not rows:
        return None
    shares = listed([f"{row['label']} ({100 * row['fix_first']:.0f} %)" for row in rows])
    return Finding(
        text=f"Important and rated {told.against('below', rows)} in only part of the resamples: "
        f"{shares}",
        certainty="not settled", rule="undecided", **about_rows(rows, "fix_first"), **told.family,
    )  # fmt: skip


def _advocacy(told: Told, compared: pd.DataFrame | None) -> Finding | None:
    """Which drivers count more or less for likelihood to recommend."""
    other = told.places.analysis.advocacy
    if compared is None or other is None or other.outcome == told.places.analysis.outcome:
        return None
    known = compared[compared["p_adjusted"].notna()]
    if known.empty:
        return None
    name = other.labels.get(other.outcome, other.outcome)
    shared: dict[str, Any] = {
        "rule": "advocacy",
        "n": other.n,
        "family": "touchpoints",
        "family_size": len(known),
    }
    shown = known[known["p_adjusted"] < ALPHA].sort_values("estimate", key=abs, ascending=False)
    rows = [row for _, row in shown.iterrows()]
    if not rows:
        seen = 100 * float(known["smallest_seen"].median())
        return Finding(
            text=f"{name}: no touchpoint is shown to count differently for it than for {told.outcome}",
            certainty="not settled", **shared,
            detail=f"{len(known)} compared; a true difference of {seen:.0f} percentage points would "
            f"be shown four times in five; n = {other.n:,}",
        )  # fmt: skip
    more = [row for row in rows if row["estimate"] < 0]
    less = [row for row in rows if row["estimate"] > 0]
    (word, part), *rest = [(word, part) for word, part in (("more", more), ("less", less)) if part]
    text = f"For {name}, these count {word} than for {told.outcome}: {names(part)}"
    text += "".join(f"; {word}: {names(part)}" for word, part in rest)
    cells: tuple[Cells, ...] = ()
    if len(rows) == 1:
        by = gap(rows[0], DECIDING, 100 if less else -100, "percentage points")
        text = f"For {name}, {names(part)} counts {word} than for {told.outcome}, by {by}"
        cells = (Cells(COMPARED, {"driver": rows[0]["driver"]}, DECIDING),)
    detail = f"{len(known)} compared; n = {other.n:,}"
    return Finding(
        text=text, certainty="clear", detail=detail, subject=names(rows), cells=cells, **shared
    )


def _count(rows: list[pd.Series]) -> str:
    return "counts" if len(rows) == 1 else "count"


def _steeper(told: Told, shapes: Result | None) -> Finding | None:
    """Drivers below whose middle the outcome is steeper than above, under both cuts."""
    if shapes is None:
        return None
    table = shapes.table
    same = table[(table["shape"] == "basic") & (table["other_shape"] == "basic")]
    clear = (same["p_adjusted"] < ALPHA) & (same["basic"] >= SURE)
    rows = [row for _, row in (same[clear] if clear.any() else same).iterrows()]
    if not rows:
        return None
    text = (
        f"{told.outcome} is steeper below the middle of the scale than above it: at {names(rows)}"
    )
    detail = "The same under both cuts"
    cells: tuple[Cells, ...] = ()
    if len(rows) == 1:
        row = rows[0]
        text = (
            f"At {row['label']}, {told.outcome} is steeper below the middle of the scale than above "
            f"it, by {gap(row, BEND, -1, 'a rating point')}"
        )
        cells = (Cells(SHAPES, {"driver": row["driver"]}, BEND),)
        detail += f"; beyond what the ends of the scale make; n = {row['n']:,}"
    return Finding(
        text=text, certainty="clear" if clear.any() else "likely", rule="steeper", detail=detail,
        subject=names(rows), cells=cells, **told.family,
    )  # fmt: skip


def _within_margin(told: Told) -> list[Finding]:
    """Those below by less than the margin, and those whose interval goes beyond it."""
    less: list[pd.Series] = []
    open_still: list[pd.Series] = []
    for row in told.rows("within the margin"):
        shown = row["performance_gap_low"] >= -row["margin"]
        (less if shown else open_still).append(row)
    found = [_below_margin(told, less, "clear")] if less else []
    return [*found, _below_margin(told, open_still, "not settled")] if open_still else found


def _below_margin(told: Told, rows: list[pd.Series], certainty: str) -> Finding:
    margins = sorted({float(row["margin"]) for row in rows})
    margin = f"the margin of {margins[0]:.2g}" if len(margins) == 1 else "their margins"
    but, detail = f"by less than {margin}", "Shown, but smaller than declared to matter"
    if certainty != "clear":
        but = f"not shown to be below by as much as {margin}"
        detail = "That it is below is shown; the interval goes beyond the margin"
    are = "is" if len(rows) == 1 else "are"
    return Finding(
        text=f"{names(rows)} {_count(rows)} more than the average touchpoint and {are} rated "
        f"{told.against('below', rows)}, but {but}",
        certainty=certainty, rule="within margin", detail=detail,
        **about_rows(rows, "margin", "performance_gap_low"), **told.family,
    )  # fmt: skip


# what follows, and cautions


def _so_what(told: Told, more: pd.DataFrame | None, card: Result | None) -> Finding | None:
    """What half a point on the first driver goes with, where a target is missed."""
    first = told.rows("look first")
    if not first or more is None or card is None:
        return None
    missed = card.table[card.table["attained"] == "no"]
    for _, target in missed.iterrows():
        chosen = more[
            (more["driver"] == first[0]["driver"])
            & (more["outcome"] == target["column"])
            & (more["unit"] == UNITS.get(target["metric"], ""))
        ]
        if len(chosen) == 1:
            return _what_if(told, chosen.iloc[0], target)
    return None


#: Metric of a target to the unit of the what-if that serves it.
UNITS = {"nps": "NPS points", "mean": "outcome points"}


def _what_if(told: Told, row: pd.Series, target: pd.Series) -> Finding:
    value, low, high = (float(row[name]) for name in SHARE)
    digits = decimals_for((high - low) / 2, value)
    missing = float(target["target"] - target["estimate"])
    step = "Half a point" if row["change"] == 0.5 else f"{row['change']:.2g} points"
    what = "points of NPS" if target["metric"] == "nps" else f"points of {target['label']}"
    found = {name: row[name] for name in ("outcome", "driver", "unit")}
    cells = Cells(MORE, found, (*SHARE, "change"))
    return Finding(
        kind="so what", rule="what if",
        text=f"{step} more on {row['label']} (capped at the scale's top) goes with "
        f"{signed(value, digits)} ({interval(low, high, digits)}) of the {number(missing, digits)} {what} "
        "missing: an association, no forecast",
        subject=row["label"], estimate=value, ci_low=low, ci_high=high, unit=row["unit"],
        n=int(row["n"]), reference=missing, cells=(cells,),
    )  # fmt: skip


def _halo(told: Told) -> Finding | None:
    mean = told.places.analysis.collinearity["mean_correlation"]
    if mean <= HALO:
        return None
    return Finding(
        kind="caution", rule="halo",
        text="Ratings go together strongly: one impression may colour them all, and shares level out",
        detail=f"They correlate {number(mean, 2)} on average (halo)",
    )  # fmt: skip
