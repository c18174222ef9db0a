"""Columns of result tables in words: header, unit, and how their numbers are written."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd

from cxlab.core import phrases
from cxlab.core.display import Display


class Header(NamedTuple):
    """What a column is called, what it is in, and whether it stays in "All numbers"."""

    words: str
    unit: str = "number"
    folded: bool = False


#: Decimals without an interval: in the table, and in "All numbers".
DECIMALS = {
    "%": (0, 1),
    "share": (0, 1),
    "points": (0, 2),
    "score": (1, 2),
    "r": (2, 3),
    "p": (3, 3),
    "count": (0, 0),
}
#: Least decimals beside an interval.
LEAST = {"r": 2, "score": 1}
#: Most decimals that anybody reads.
MOST = 4
#: Columns whose ends of the interval have names of their own.
ENDS = {
    "estimate": ("ci_low", "ci_high"),
    "estimate_users": ("users_low", "users_high"),
    "operational_mean": ("operational_low", "operational_high"),
    "experience_mean": ("experience_low", "experience_high"),
}
#: Ends of the interval that decides in a family of comparisons; an estimate's own where both are.
DECIDED = ("decided_low", "decided_high")
#: Columns whose cells are names of the answers' columns.
NAMED = (
    "touchpoint", "other", "driver", "outcome", "other_outcome", "segment", "operational",
    "experience",
)  # fmt: skip
#: Columns of words beside a row's numbers: footnotes, or a sentence.
REMARKS = ("note", "why", "sentence")
#: Measures as study files name them, in words for readers.
MEASURES = {
    "nps": "NPS",
    "mean": "Mean",
    "top box": "Highest scores",
    "net": "Highest less lowest scores",
}

#: Columns that are in the unit which a row's ``unit`` names.
IN_UNIT = (
    "estimate", "ci_low", "ci_high", "se", "unweighted", "target", "smallest_seen", "half_width",
    "next_period", "fixed_value", "centre", "lower", "upper",
)  # fmt: skip
#: Units of result tables that are called otherwise in `Display`.
KNOWN_UNITS = {"outcome points": "score", "NPS points": "points"}
#: Columns that say that the estimate is a difference.
COMPARED = ("other", "before", "against", "other_outcome")

_FOLD = True
HEADERS: dict[str, Header] = {
    # what a row is about
    "label": Header("Name"),
    "touchpoint": Header("Touchpoint"),
    "driver": Header("Column of the driver", folded=_FOLD),
    "column": Header("Column of the answers", folded=_FOLD),
    "role": Header("Role", folded=_FOLD),
    "metric": Header("Measure"),
    "segment": Header("Segment"),
    "group": Header("Group"),
    "other": Header("Compared with"),
    "period": Header("Period"),
    "before": Header("Compared with"),
    "against": Header("Compared with the"),
    "outcome": Header("Outcome"),
    "other_outcome": Header("Other outcome"),
    "survey": Header("Survey"),
    "counted": Header("Counted"),
    "part": Header("Part"),
    "term": Header("Term"),
    "kind": Header("Kind", folded=_FOLD),
    "about": Header("Is about"),
    "what": Header("What it is"),
    "estimand": Header("Quantity"),
    "estimate_kind": Header("Kind of estimate"),
    "coefficient": Header("Coefficient", "r"),
    "given": Header("Given"),
    "delay": Header("Time to the answer"),
    "rule": Header("Rule"),
    "measure": Header("Measure"),
    "test": Header("Test"),
    "check": Header("Check"),
    "unit": Header("Unit", folded=_FOLD),
    "occasion": Header("Occasion", folded=_FOLD),
    "family": Header("Family of tests", folded=_FOLD),
    "method": Header("Method", folded=_FOLD),
    "treatment": Header("Missing answers"),
    # counts
    "n": Header("n", "count"),
    "n_other": Header("n compared with", "count", _FOLD),
    "n_before": Header("n before", "count", _FOLD),
    "n_missing": Header("Missing", "count", _FOLD),
    "n_eff": Header("Effective n", "count", _FOLD),
    "n_most": Header("Most rows", "count"),
    "n_used": Header("Used it", "count"),
    "n_never": Header("Never used it", "count"),
    "n_good": Header("n of the satisfied", "count", _FOLD),
    "n_customers": Header("Customers", "count"),
    "customers": Header("Customers", "count"),
    "respondents": Header("Respondents", "count"),
    "users": Header("Users", "count"),
    "rows": Header("Rows", "count"),
    "sets": Header("Sets", "count"),
    "largest": Header("Largest"),
    "answered": Header("Answered", "count"),
    "never used": Header("Never used", "count"),
    "no answer": Header("No answer", "count"),
    "don't know": Header("Don't know", "count"),
    "not asked": Header("Not asked", "count"),
    "invalid": Header("Invalid", "count"),
    "out_of_range": Header("Out of range", "count"),
    "answers": Header("Answers", "count"),
    "operational_n": Header("n of the operation", "count", _FOLD),
    "experience_n": Header("n of the ratings", "count", _FOLD),
    "clusters": Header("Clusters", "count"),
    "strata": Header("Strata", "count"),
    "largest_cluster": Header("Largest cluster", "count"),
    "without_cluster": Header("Without a cluster", "count"),
    # estimates and their intervals
    "estimate": Header("Estimate"),
    "se": Header("Standard error", folded=_FOLD),
    "ci_low": Header("Interval from", folded=_FOLD),
    "ci_high": Header("Interval to", folded=_FOLD),
    "decided_low": Header("Deciding interval from", folded=_FOLD),
    "decided_high": Header("Deciding interval to", folded=_FOLD),
    "df": Header("Degrees of freedom", "count", _FOLD),
    "statistic": Header("Test statistic", folded=_FOLD),
    "z": Header("Standard errors from the centre", folded=_FOLD),
    "p_value": Header("p", "p", _FOLD),
    "p_adjusted": Header("Adjusted p", "p", _FOLD),
    "unweighted": Header("Unweighted", folded=_FOLD),
    "deff": Header("Design effect", folded=_FOLD),
    "kish_deff": Header("Design effect of the weights"),
    "vif": Header("Variance inflation", folded=_FOLD),
    "suppressed": Header("Hidden", folded=_FOLD),
    "share": Header("Share", "share"),
    "share_low": Header("Share from", "share", _FOLD),
    "share_high": Header("Share to", "share", _FOLD),
    "rank": Header("Place", "count"),
    "correlation": Header("Correlation", "r"),
    "partial": Header("Partial correlation", "r"),
    "semi_partial": Header("Semi-partial correlation", "r"),
    "mean": Header("Mean", "score"),
    "floor": Header("At the lowest score", "share"),
    "ceiling": Header("At the highest score", "share"),
    "ceiling_flag": Header("Many at the highest score"),
    "target": Header("Target"),
    "attained": Header("Target met"),
    "confidence": Header("Confidence that the target is met", "share", _FOLD),
    "smallest_seen": Header("Change shown four times in five", folded=_FOLD),
    "half_width": Header("Half of the interval"),
    "next_period": Header("Change to the next period"),
    "fixed_value": Header("Difference from a fixed value"),
    "response_rate": Header("Response rate", "share"),
    "tipping_point": Header("Silent customers must be at", folded=_FOLD),
    "possible": Header("Possible"),
    "churn": Header("Lost", "%"),
    "score": Header("Score", "score"),
    "low": Header("From"),
    "high": Header("To"),
    # drivers
    "reach": Header("Used by", "share"),
    "presence": Header("By being used", "number", _FOLD),
    "quality": Header("By its rating", "number", _FOLD),
    "performance": Header("Rated", "score"),
    "importance_cut": Header("Average importance", folded=_FOLD),
    "performance_cut": Header("Average rating", "score", _FOLD),
    "fix_first": Header("Look first, of resamples", "share"),
    "verdict": Header("Verdict"),
    "quadrant": Header("Quadrant", folded=_FOLD),
    "suppressor": Header("Suppressor", folded=_FOLD),
    "penalty": Header("Below the middle"),
    "reward": Header("Above the middle"),
    "margin": Header("Margin", folded=_FOLD),
    "shape": Header("Shape"),
    "other_shape": Header("Shape with other cuts"),
    "apart": Header("Shown to differ"),
    "change": Header("Change"),
    "moved": Header("Ratings that move", "share"),
    "estimate_users": Header("Among its users"),
    # tNPS and rNPS
    "tnps": Header("tNPS", "points"),
    "rnps": Header("rNPS", "points"),
    "per_customer": Header("Each customer once", "points"),
    "bound_low": Header("Bound from", "points", _FOLD),
    "bound_high": Header("Bound to", "points", _FOLD),
    "status": Header("Status"),
    "population": Header("Of whom"),
    "stage": Header("Stage"),
    "share_transactional": Header("Share of the transactional", "share"),
    "share_relationship": Header("Share of the relationship", "share"),
    "composition": Header("By composition", "points"),
    "within_groups": Header("Within groups", "points"),
    "slope_transactional": Header("Slope, transactional"),
    "slope_relationship": Header("Slope, relationship"),
    "answering": Header("Answering"),
    "window_days": Header("Window (days)", "count"),
    "median_days": Header("Median days"),
    "mean_given": Header("Mean of the given", "score"),
    "mean_other": Header("Mean of the other", "score"),
    "direction": Header("Direction"),
    "quantity": Header("Quantity"),
    "variant": Header("Variant"),
    "conclusion": Header("Conclusion"),
    "same": Header("Same conclusion"),
    "chosen": Header("Used here"),
    "days": Header("Days", "count"),
    "question": Header("Question"),
    "gap": Header("Gap", "points"),
    "weighted": Header("Weighted"),
    # touchpoints
    "rank_low": Header("Place from", "count", _FOLD),
    "rank_high": Header("Place to", "count", _FOLD),
    "bad": Header("Rated bad", "%"),
    "among_good": Header("Bad among the satisfied", "%"),
    "worst": Header("Worst touchpoint bad", "%"),
    "unexplained": Header("Not explained", "share"),
    "sum_r_squared": Header("Sum of R²"),
    "mean_touchpoint_r": Header("Mean correlation of ratings", "r"),
    "first_component_share": Header("First component's share", "share"),
    "halo_alarm": Header("Halo"),
    "missing": Header("Missing answers", folded=_FOLD),
    "reading": Header("Reading"),
    "mean_never": Header("Mean of those who never used it", "score"),
    "operational": Header("Operation"),
    "experience": Header("Experience"),
    "operational_mean": Header("Operation's mean"),
    "operational_low": Header("Operation's mean from", folded=_FOLD),
    "operational_high": Header("Operation's mean to", folded=_FOLD),
    "better": Header("Better is", folded=_FOLD),
    "within_target": Header("Within target", "%"),
    "experience_mean": Header("Mean rating", "score"),
    "experience_low": Header("Mean rating from", "score", _FOLD),
    "experience_high": Header("Mean rating to", "score", _FOLD),
    "experience_target": Header("Target of the rating", "score"),
    "settled": Header("Settled"),
    "table": Header("Table"),
    # runs
    "centre": Header("Centre"),
    "lower": Header("Lower limit"),
    "upper": Header("Upper limit"),
    "signal": Header("Signal"),
    "baseline": Header("Baseline", folded=_FOLD),
    "note": Header("Note", folded=_FOLD),
    "why": Header("Why"),
    "sentence": Header("In words", folded=_FOLD),
}


def header(column: str, display: Display) -> str:
    """A column's header; a name that is not known is put in words."""
    if column in display.headers:
        return display.headers[column]
    if column in HEADERS:
        return HEADERS[column].words
    if column in display.labels:
        return display.labels[column]
    for end, words in (("_ci_low", "from"), ("_ci_high", "to"), ("_low", "from"), ("_high", "to")):
        if column.endswith(end) and len(column) > len(end):
            return f"{header(column.removesuffix(end), display)} {words}"
    for name in sorted(display.labels, key=len, reverse=True):
        if column.startswith(f"{name}_"):
            return f"{display.labels[name]}: {column[len(name) + 1 :].replace('_', ' ')}"
    words = column.replace("_", " ").strip()
    return phrases.capital(words)


def unit(column: str, display: Display) -> str:
    """A column's unit; ends of an interval have that of their estimate."""
    if column in display.units:
        return display.units[column]
    base = base_of(column)
    if base != column:
        return unit(base, display)
    if column in HEADERS:
        return HEADERS[column].unit
    for ending, one in (("_share", "share"), ("_p", "p"), ("_n", "count")):
        if column.endswith(ending):
            return one
    return "number"


def kinds(table: pd.DataFrame, column: str, display: Display) -> tuple[list[str], bool]:
    """Unit of each row of a column, and whether numbers have their sign."""
    own = unit(column, display)
    signed = own.startswith("+")
    own = own.lstrip("+")
    if column not in display.units and column in IN_UNIT and "unit" in table:
        units = [KNOWN_UNITS.get(one, one) for one in table["unit"].astype(str)]
        compared = column == "estimate" and any(other in table for other in COMPARED)
        return units, compared
    compared = column == "estimate" and column not in display.units
    return [own] * len(table), signed or (compared and any(other in table for other in COMPARED))


def is_folded(column: str) -> bool:
    """Whether a column stays in "All numbers" unless it is asked for."""
    known = HEADERS.get(column)
    return base_of(column) != column or (known is not None and known.folded)


def base_of(column: str) -> str:
    """The estimate whose interval a column is an end of, or the column itself."""
    for base, pair in (("estimate", DECIDED), *ENDS.items()):
        if column in pair:
            return base
    for ending in ("_ci_low", "_ci_high", "_low", "_high"):
        if column.endswith(ending) and column not in ("bound_low", "bound_high"):
            return column.removesuffix(ending)
    return column


def ends(column: str, columns: Iterable[str]) -> tuple[str, str] | None:
    """The two columns of an estimate's interval, when a table has them."""
    there = set(columns)
    pairs = [
        DECIDED if column == "estimate" else None,
        ENDS.get(column),
        (f"{column}_ci_low", f"{column}_ci_high"),
    ]
    pairs.append((f"{column}_low", f"{column}_high"))
    return next((pair for pair in pairs if pair and there.issuperset(pair)), None)


def decimals(half_width: float, kind: str = "number") -> int:
    """Decimals of a number whose interval reaches so far to either side: one digit of that."""
    return max(phrases.decimals_for(half_width), LEAST.get(kind, 0))


def plain_decimals(values: np.ndarray, kind: str, *, detailed: bool) -> int:
    """Decimals of a column without an interval."""
    if kind in DECIMALS:
        return DECIMALS[kind][detailed]
    known = values[np.isfinite(values)]
    if not (known % 1).any():
        return 0
    middle = float(np.median(np.abs(known[known != 0])))
    wanted = (4 if detailed else 2) - math.floor(math.log10(middle)) - 1
    return min(max(wanted, 0), MOST)


def number(value: float, places: int, *, signed: bool = False) -> str:
    """A number with a true minus and thousands apart; missing: a dash."""
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return (phrases.signed if signed else phrases.number)(value, places)


def p_value(value: float) -> str:
    """A p value; 0.000 would read as impossible."""
    return "<0.001" if value < 0.001 else number(value, 3)


def named(table: pd.DataFrame, display: Display) -> pd.DataFrame:
    """A table in which touchpoints, outcomes and measures have the names that readers know."""
    words = {
        column: [display.labels.get(name) or _in_words(name) for name in table[column]]
        for column in (*NAMED, "segment", "group", "theme")
        if column in table
    }
    if "metric" in table:
        known = MEASURES | dict(display.labels)
        of = table["label"] if "label" in table else [""] * len(table)
        words["metric"] = [
            display.titles.get((label, name)) or known.get(name, name)
            for label, name in zip(of, table["metric"], strict=True)
        ]
    return table.assign(**words)


def _in_words(name: object) -> object:
    """A name of a column or code that has no label, without its underscores."""
    if isinstance(name, str) and re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", name):
        return name.replace("_", " ").capitalize()
    return name
