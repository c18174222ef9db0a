"""What a driver map says: where to look first, what to keep up, what is not settled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.phrases import decimals_for, interval, listed, number, signed, with_interval
from cxlab.core.result import Result
from cxlab.stats.inference import ALPHA, SURE, smallest_shown

if TYPE_CHECKING:
    from cxlab.stats.drivers.map import DriverMap

#: Names that the tables behind the findings are recorded under.
MAP, FITS, SHAPES = "driver-map", "explained", "penalty-and-reward"
COMPARED, MORE = "satisfaction-and-advocacy", "what-if"
#: Answers (effective) per driver below which nothing is singled out.
FEWEST_A_DRIVER = 10
#: With fewer answers the sentence begins with how many there are.
FEW_ANSWERS = 100
#: Share of resamples from which what is not settled is named.
NAMED = 0.5
#: Places that have a finding of their own; findings in all; those that may count most.
MOST_OWN, MOST_FINDINGS, MOST_FIRST = 2, 5, 3
#: Mean correlation between ratings above which one impression may colour them all.
HALO = 0.6

SHARE = ("estimate", "ci_low", "ci_high")
RATING = ("performance", "performance_low", "performance_high")
MORE_THAN = ("importance_gap", "importance_gap_low", "importance_gap_high")
BETTER_THAN = ("performance_gap", "performance_gap_low", "performance_gap_high")
DECIDING = ("estimate", "deciding_low", "deciding_high")


@dataclass(frozen=True)
class _Told:
    """A driver map and the words that its sentences need."""

    places: DriverMap
    table: pd.DataFrame
    part: str = ""

    def rows(self, *verdicts: str) -> list[pd.Series]:
        """Drivers with one of the verdicts, most important first."""
        return [row for _, row in self.table[self.table["verdict"].isin(verdicts)].iterrows()]

    @property
    def outcome(self) -> str:
        analysis = self.places.analysis
        return analysis.labels.get(analysis.outcome, analysis.outcome)

    @property
    def fit(self) -> pd.Series:
        """What all drivers together explain."""
        fits, group = self.places.analysis.fits, self.places.analysis.group(self.places.group)
        return fits[fits["group"] == ("" if group is None else group)].iloc[0]

    @property
    def scale(self) -> str:
        """Best rating, as it follows a number."""
        return f"of {self.places.top:g}" if np.isfinite(self.places.top) else ""

    def has_target(self, row: pd.Series) -> bool:
        """Whether a driver's mean rating has a target."""
        return any(
            metric.column == row["driver"] and metric.kind == "mean" and metric.target is not None
            for metric in self.places.metrics
        )

    def line(self, row: pd.Series) -> str:
        """What a driver's rating is compared with."""
        return "target" if self.has_target(row) else "average"

    @property
    def family(self) -> dict[str, Any]:
        return {"family": "touchpoints", "family_size": len(self.table)}

    def answer(self, rule: str, text: str, **fields: Any) -> Finding:
        """An answer that names the part, and how many answers where they are few."""
        n = int(self.fit["n"])
        if n < FEW_ANSWERS or self.part:
            lead = f"{self.part} ({n:,} answers)" if self.part else f"{n:,} answers"
            own_name = rule == "may be"
            text = f"{lead}: {text if own_name else text[0].lower() + text[1:]}"
            fields["cells"] = (*fields.get("cells", ()), self.count)
        return Finding(kind="answer", rule=rule, text=text, n=n, **self.family, **fields)

    @property
    def count(self) -> Cells:
        """Where the number of answers stands."""
        return Cells(FITS, {"group": self.fit["group"], "estimand": self.fit["estimand"]}, ("n",))


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
    told = _Told(places, table, "" if part == "everyone" else part)
    answer = next(found for rule in ANSWERS if (found := rule(told)) is not None)
    details = [answer.detail, "Explored, not planned: at most likely" if explored else ""]
    details += [_what_changed(changed)] if changed else []
    answer = replace(answer, detail="; ".join(detail for detail in details if detail))
    if answer.rule == "too few":
        return Findings((answer,))
    found = [
        *_numbers(told),
        *_keep_up(told),
        *(_without_association(told) if answer.rule != "no association" else ()),
        *_undecided(told),
        *_advocacy(told, compared),
        *_steeper(told, shapes),
        *_within_margin(told),
    ][:MOST_FINDINGS]
    found = [finding.explored() for finding in found] if explored else found
    return Findings((answer, *_so_what(told, more, card), *found, *_halo(told)))


def _what_changed(changed: Mapping[str, tuple[str, str]]) -> str:
    told = [f"{label} “{new}”, was “{old}”" for label, (old, new) in changed.items()]
    return f"Decided again: {listed(told)}"


def _about(rows: list[pd.Series], *columns: str, **fields: Any) -> dict[str, Any]:
    """Subject, numbers and cells of what is said about drivers."""
    about = {"subject": listed([row["label"] for row in rows]), **fields}
    if columns:
        about["cells"] = tuple(Cells(MAP, {"driver": row["driver"]}, columns) for row in rows)
    if len(rows) == 1:
        row = rows[0]
        numbers = {"estimate": row["estimate"], "ci_low": row["ci_low"], "ci_high": row["ci_high"]}
        about |= {name: float(value) for name, value in numbers.items()}
        about |= {"p_adjusted": float(row["p_adjusted"]), "share": float(row["fix_first"])}
        about |= {"reference": float(row["performance_cut"]), "margin": float(row["margin"])}
    return about


# answers


def _too_few(told: _Told) -> Finding | None:
    size, effective = len(told.table), told.fit["n_effective"]
    if effective >= FEWEST_A_DRIVER * size:
        return None
    n = int(told.fit["n"])
    lead = f"{told.part}: " if told.part else ""
    return Finding(
        kind="answer", rule="too few", certainty="not settled",
        text=f"{lead}{n:,} answers are too few to single out any of {size} touchpoints",
        detail=f"With their weights and blanks they count as {effective:.0f}; "
        f"{FEWEST_A_DRIVER} for each touchpoint are needed",
        n=n, cells=(told.count,), **told.family,
    )  # fmt: skip


def _look_first(told: _Told) -> Finding | None:
    first = told.rows("look first")
    if not first:
        return None
    it, counts = ("it", "counts") if len(first) == 1 else ("they", "count")
    are = "is" if len(first) == 1 else "are"
    return told.answer(
        "look first",
        f"Look first at {_names(first)}: {it} {counts} more than the average touchpoint and {are} "
        f"rated {_below(told, first)}",
        certainty="clear", direction="bad", detail=_explained(told),
        **_about(first, "performance_gap"),
    )  # fmt: skip


def _names(rows: list[pd.Series], last: str = "and") -> str:
    return listed([row["label"] for row in rows], last=last)


def _below(told: _Told, rows: list[pd.Series]) -> str:
    """``0.4 of 5 below it``, ``0.2 to 0.4 below it``, ``0.3 below its target``."""
    targets = [told.has_target(row) for row in rows]
    its = "its target" if len(rows) == 1 else "their targets"
    line = its if all(targets) else f"it or {its}" if any(targets) else "it"
    gaps = [-float(row["performance_gap"]) for row in rows]
    halves = [(row["performance_high"] - row["performance_low"]) / 2 for row in rows]
    digits = max(decimals_for(half, gap, [0.0]) for half, gap in zip(halves, gaps, strict=True))
    least, most = number(min(gaps), digits), number(max(gaps), digits)
    size = least if least == most else f"{least} to {most}"
    return " ".join(filter(None, [size, told.scale, "below", line]))


def _may_be(told: _Told) -> Finding | None:
    likely = told.rows("likely")
    if not likely:
        return None
    place = "may be the place" if len(likely) == 1 else "may be places"
    each = "It counts" if len(likely) == 1 else "Each counts"
    return told.answer(
        "may be",
        f"{_names(likely)} {place} to look first; these answers do not settle it",
        certainty="likely", direction="bad",
        detail=f"{each} more than the average touchpoint and is rated below {told.line(likely[0])}: "
        f"likely, not settled",
        **_about(likely),
    )  # fmt: skip


def _only_without_association(told: _Told) -> Finding | None:
    found = told.rows("association not shown")
    if not found:
        return None
    are = "is" if len(found) == 1 else "are"
    none = "is not" if len(found) == 1 else "none is"
    return told.answer(
        "no association",
        f"No single touchpoint stands out: {_names(found)} {are} important and rated below average, "
        f"but {none} shown to go with the outcome beyond the other ratings",
        certainty="not settled", detail=_explained(told), **_about(found),
    )  # fmt: skip


def _on_target(told: _Told) -> Finding | None:
    table = told.table
    targets = [told.has_target(row) for _, row in table.iterrows()]
    if not all(targets) or (table["performance_gap"] < 0).any():
        return None
    settled = bool((table["performance_low"] >= table["performance_cut"]).all())
    first = table.loc[table["rank_low"] == 1, "label"].tolist()
    most = f"; {listed(first, last='or')} counts most" if 0 < len(first) <= MOST_FIRST else ""
    return told.answer(
        "on target",
        f"No touchpoint is {'' if settled else 'shown to be '}below its target{most}",
        certainty="clear" if settled else "not settled",
        direction="good" if settled else "", detail=_explained(told),
    )  # fmt: skip


def _none(told: _Told) -> Finding:
    decided = told.table["fix_first"].notna().any()
    return told.answer(
        "none",
        "These answers do not single out a touchpoint to look at first",
        certainty="not settled",
        detail=_explained(told) if decided else "Without resamples nothing is decided",
    )


#: Rules of the answer, in the order in which they are tried.
ANSWERS: tuple[Callable[[_Told], Finding | None], ...] = (
    _too_few, _look_first, _may_be, _only_without_association, _on_target, _none,
)  # fmt: skip


def _explained(told: _Told) -> str:
    """R² as readers know it."""
    fit = told.fit[["adjusted_r_squared", "ci_low", "ci_high"]].astype(float)
    if fit.isna().any():
        return ""
    return (
        f"If everyone used everything, the touchpoints together would go with about "
        f"{with_interval(*(100 * fit), '%')} of the differences in {told.outcome}, adjusted"
    )


# findings


def _numbers(told: _Told) -> list[Finding]:
    """Those to look at first, or likely ones, with their numbers."""
    return [
        Finding(
            text=f"{row['label']} counts for {_percent(row, SHARE)} of what the touchpoints explain "
            f"and is rated {_rated(told, row)}",
            certainty="clear" if row["verdict"] == "look first" else "likely",
            rule="numbers", direction="bad", n=int(row["n"]),
            detail=f"Important and below {told.line(row)} in {_hundred(row['fix_first'])}; goes with "
            f"the outcome beyond the other ratings; n = {row['n']:,}",
            **_about([row], *SHARE, *RATING), **told.family,
        )
        for row in told.rows("look first", "likely")[:MOST_OWN]
    ]  # fmt: skip


def _percent(row: pd.Series, columns: tuple[str, str, str]) -> str:
    return with_interval(*(100 * float(row[column]) for column in columns), "%")


def _rated(told: _Told, row: pd.Series) -> str:
    """``7.0 of 10 (6.8 to 7.2), average 7.1``."""
    value, low, high = (float(row[column]) for column in RATING)
    cut = float(row["performance_cut"])
    told_so = with_interval(value, low, high, told.scale, [cut])
    return f"{told_so}, {told.line(row)} {number(cut, decimals_for((high - low) / 2, value, [cut]))}"


def _hundred(share: float) -> str:
    # 99.7 is not all of them
    count = round(100 * share) if share in (0, 1) else min(max(round(100 * share), 1), 99)
    return f"{count} of 100 resamples"


def _keep_up(told: _Told) -> list[Finding]:
    rows = told.rows("keep up")
    if not rows:
        return []
    shared = {"certainty": "clear", "rule": "keep up", "direction": "good", **told.family}
    detail = f"Both intervals allow for {len(told.table)} touchpoints"
    if len(rows) > 1:
        text = f"Keep up {_names(rows)}: they count more than the average touchpoint and are rated above"
        return [Finding(text=text, detail=detail, **shared, **_about(rows))]
    row = rows[0]
    counts, than = "it counts", "more than the average touchpoint"
    if row["rank_high"] == 1:
        counts, than = "it counts most,", "above the average touchpoint"
    above = "its target" if told.has_target(row) else "it"
    return [
        Finding(
            text=f"Keep up {row['label']}: {counts} {_gap(row, MORE_THAN, 100, 'percentage points')} "
            f"{than} and is rated {_gap(row, BETTER_THAN, 1, told.scale)} above {above}",
            detail=f"{detail}; n = {row['n']:,}", n=int(row["n"]), **shared,
            **_about([row], *MORE_THAN, *BETTER_THAN),
        )
    ]  # fmt: skip


def _gap(row: pd.Series, columns: tuple[str, str, str], factor: float, unit: str) -> str:
    return with_interval(*(factor * float(row[column]) for column in columns), unit)


def _without_association(told: _Told) -> list[Finding]:
    rows = told.rows("association not shown")
    if not rows:
        return []
    are, none = ("is", "is") if len(rows) == 1 else ("are", "are")
    return [
        Finding(
            text=f"{_names(rows)} {are} important and rated below average, but {none} not shown to go "
            "with the outcome beyond the other ratings",
            certainty="not settled", rule="no association", **_about(rows), **told.family,
        )
    ]  # fmt: skip


def _undecided(told: _Told) -> list[Finding]:
    rows = [row for row in told.rows("not settled") if row["fix_first"] >= NAMED]
    if not rows:
        return []
    names = listed([f"{row['label']} ({100 * row['fix_first']:.0f} %)" for row in rows])
    return [
        Finding(
            text=f"In some resamples only, {'one more is' if len(rows) == 1 else 'more are'} important "
            f"and rated below: {names}",
            certainty="not settled", rule="undecided", **_about(rows, "fix_first"), **told.family,
        )
    ]  # fmt: skip


def _advocacy(told: _Told, compared: pd.DataFrame | None) -> list[Finding]:
    """Which drivers count more or less for likelihood to recommend."""
    other = told.places.analysis.advocacy
    if compared is None or other is None or other.outcome == told.places.analysis.outcome:
        return []
    known = compared[compared["p_adjusted"].notna()]
    if known.empty:
        return []
    name = other.labels.get(other.outcome, other.outcome)
    shared = {"rule": "advocacy", "n": other.n, "family": "touchpoints", "family_size": len(known)}
    rows = [row for _, row in known[known["p_adjusted"] < ALPHA].iterrows()]
    if not rows:
        seen = 100 * float(known["smallest_seen"].median())
        return [
            Finding(
                text=f"{name}: no touchpoint is shown to count differently for it than for {told.outcome}",
                certainty="not settled", **shared,
                detail=f"{len(known)} compared; a true difference of {seen:.0f} percentage points would "
                f"be shown four times in five; n = {other.n:,}",
            )
        ]  # fmt: skip
    more = [row for row in rows if row["estimate"] < 0]
    less = [row for row in rows if row["estimate"] > 0]
    parts = [f"{_names(more)} {_count(more)} more"] if more else []
    parts += [f"{_names(less)}{'' if more else f' {_count(less)}'} less"] if less else []
    text = f"For {name}, {' and '.join(parts)} than for {told.outcome}"
    cells: tuple[Cells, ...] = ()
    if len(rows) == 1:
        row = rows[0] if less else -rows[0][list(DECIDING)].iloc[[0, 2, 1]].set_axis(list(DECIDING))
        text += f", by {_gap(row, DECIDING, 100, 'percentage points')}"
        cells = (Cells(COMPARED, {"driver": rows[0]["driver"]}, DECIDING),)
    detail = f"{len(known)} compared; n = {other.n:,}"
    return [
        Finding(
            text=text, certainty="clear", detail=detail, subject=_names(rows), cells=cells, **shared
        )
    ]


def _count(rows: list[pd.Series]) -> str:
    return "counts" if len(rows) == 1 else "count"


def _steeper(told: _Told, shapes: Result | None) -> list[Finding]:
    """Drivers below whose middle the outcome is steeper than above, under both cuts."""
    if shapes is None:
        return []
    table = shapes.table
    same = table[(table["shape"] == "basic") & (table["other_shape"] == "basic")]
    clear = (same["p_adjusted"] < ALPHA) & (same["basic"] >= SURE)
    rows = [row for _, row in (same[clear] if clear.any() else same).iterrows()]
    if not rows:
        return []
    text = f"{told.outcome} is steeper below the middle of the scale than above it: at {_names(rows)}"
    detail, cells = "The same under both cuts", ()
    if len(rows) == 1:
        row = rows[0]
        turned = pd.Series([-row["bend"], -row["bend_high"], -row["bend_low"]], index=list(DECIDING))
        text = (
            f"At {row['label']}, {told.outcome} is steeper below the middle of the scale than above "
            f"it, by {_gap(turned, DECIDING, 1, '').replace(' (', ' a rating point (')}"
        )
        cells = (Cells(SHAPES, {"driver": row["driver"]}, ("bend", "bend_low", "bend_high")),)
        detail += f"; beyond what the ends of the scale make; n = {row['n']:,}"
    return [
        Finding(
            text=text, certainty="clear" if clear.any() else "likely", rule="steeper", detail=detail,
            subject=_names(rows), cells=cells, **told.family,
        )
    ]  # fmt: skip


def _within_margin(told: _Told) -> list[Finding]:
    rows = told.rows("within the margin")
    if not rows:
        return []
    it = f"{_names(rows)} {_count(rows)} more than the average touchpoint and {'is' if len(rows) == 1 else 'are'} rated below it"
    margins = sorted({float(row["margin"]) for row in rows})
    margin = f"the margin of {margins[0]:.2g}" if len(margins) == 1 else "their margins"
    return [
        Finding(
            text=f"{it}, but by less than {margin}", certainty="clear", rule="within margin",
            detail="Shown, but smaller than declared to matter",
            **_about(rows, "margin"), **told.family,
        )
    ]  # fmt: skip


# what follows, and cautions


def _so_what(told: _Told, more: pd.DataFrame | None, card: Result | None) -> list[Finding]:
    """What half a point on the first driver goes with, where a target is missed."""
    first = told.rows("look first")
    if not first or more is None or card is None:
        return []
    missed = card.table[card.table["attained"] == "no"]
    for _, target in missed.iterrows():
        chosen = more[
            (more["driver"] == first[0]["driver"])
            & (more["outcome"] == target["column"])
            & (more["unit"] == UNITS.get(target["metric"], ""))
        ]
        if len(chosen) == 1:
            return [_what_if(told, chosen.iloc[0], target)]
    return []


#: Metric of a target to the unit of the what-if that serves it.
UNITS = {"nps": "NPS points", "mean": "outcome points"}


def _what_if(told: _Told, row: pd.Series, target: pd.Series) -> Finding:
    value, low, high = (float(row[name]) for name in SHARE)
    digits = decimals_for((high - low) / 2, value)
    missing = float(target["target"] - target["estimate"])
    step = "Half a point" if row["change"] == 0.5 else f"{row['change']:.2g} points"
    what = "points of NPS" if target["metric"] == "nps" else f"points of {target['label']}"
    cells = Cells(MORE, {"outcome": row["outcome"], "driver": row["driver"]}, (*SHARE, "change"))
    return Finding(
        kind="so what", rule="what if",
        text=f"{step} more on {row['label']} (capped at the scale's top) goes with "
        f"{signed(value, digits)} ({interval(low, high, digits)}) of the {number(missing, digits)} {what} "
        "missing: an association, no forecast",
        subject=row["label"], estimate=value, ci_low=low, ci_high=high, unit=row["unit"],
        n=int(row["n"]), reference=missing, cells=(cells,),
    )  # fmt: skip


def _halo(told: _Told) -> list[Finding]:
    mean = told.places.analysis.collinearity["mean_correlation"]
    if mean <= HALO:
        return []
    return [
        Finding(
            kind="caution", rule="halo",
            text="Ratings go together strongly: one impression may colour them all, and shares level out",
            detail=f"They correlate {number(mean, 2)} on average (halo)",
        )
    ]  # fmt: skip
