"""The answer of a driver map: the first rule that holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from cxlab.core.findings import Cells, Finding
from cxlab.core.phrases import amount, decimals_for, interval, listed, number

if TYPE_CHECKING:
    from cxlab.stats.drivers.map import DriverMap

#: Names that the tables behind the answer are recorded under.
MAP, FITS = "driver-map", "explained"
#: Answers (effective) per driver below which nothing is singled out.
FEWEST_A_DRIVER = 10
#: With fewer answers the sentence begins with how many there are.
FEW_ANSWERS = 100
#: Drivers that may count most and are named.
MOST_FIRST = 3
EXPLAINED = ("adjusted_r_squared", "ci_low", "ci_high")


@dataclass(frozen=True)
class Told:
    """A driver map and the words that its sentences need."""

    places: DriverMap
    table: pd.DataFrame
    part: str = ""

    def rows(self, *verdicts: str) -> list[pd.Series]:
        """Drivers with one of the verdicts, most important first."""
        return [row for _, row in self.table[self.table["verdict"].isin(verdicts)].iterrows()]

    @property
    def outcome(self) -> str:
        """Label of the outcome."""
        analysis = self.places.analysis
        return analysis.labels.get(analysis.outcome, analysis.outcome)

    @property
    def fit(self) -> pd.Series:
        """What all drivers together explain."""
        fits, group = self.places.analysis.fits, self.places.analysis.group()
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

    def against(self, side: str, rows: list[pd.Series]) -> str:
        """``below average``, ``above their targets``; where both occur, which is which."""
        own = [row for row in rows if self.has_target(row)]
        others = [row for row in rows if not self.has_target(row)]
        if not own:
            return f"{side} average"
        target = f"{side} {'its target' if len(own) == 1 else 'their targets'}"
        if not others:
            return target
        return f"{target} ({names(own)}) and {side} average ({names(others)})"

    @property
    def family(self) -> dict[str, Any]:
        """What was compared together."""
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


def about_rows(rows: list[pd.Series], *columns: str, **fields: Any) -> dict[str, Any]:
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


def gap(row: pd.Series, columns: tuple[str, str, str], factor: float, unit: str) -> str:
    """A number with its interval, turned round where the factor is negative."""
    value, low, high = (factor * float(row[column]) for column in columns)
    low, high = min(low, high), max(low, high)
    # an interval without 0 must not be written with it
    digits = max(decimals_for((high - low) / 2, one, [0.0]) for one in (value, low, high))
    return f"{amount(value, unit, digits)} ({interval(low, high, digits)})"


def _too_few(told: Told) -> Finding | None:
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


def _look_first(told: Told) -> Finding | None:
    first = told.rows("look first")
    if not first:
        return None
    it, counts = ("it", "counts") if len(first) == 1 else ("they", "count")
    are = "is" if len(first) == 1 else "are"
    return told.answer(
        "look first",
        f"Look first at {names(first)}: {it} {counts} more than the average touchpoint and {are} "
        f"rated {_below(told, first)}",
        certainty="clear", direction="bad", detail=_explained(told),
        **about_rows(first, "performance_gap"),
    )  # fmt: skip


def names(rows: list[pd.Series], last: str = "and") -> str:
    """Labels of drivers in a row."""
    return listed([row["label"] for row in rows], last=last)


def _below(told: Told, rows: list[pd.Series]) -> str:
    """``0.4 of 5 below it``, ``0.2 to 0.4 below it``, ``0.3 below its target``."""
    targets = [told.has_target(row) for row in rows]
    its = "its target" if len(rows) == 1 else "their targets"
    line = its if all(targets) else f"it or {its}" if any(targets) else "it"
    gaps = [-float(row["performance_gap"]) for row in rows]
    # coarse, as it stands in a title, but never 0
    digits = max(decimals_for(0.1, gap, [0.0]) for gap in gaps)
    least, most = number(min(gaps), digits), number(max(gaps), digits)
    size = least if least == most else f"{least} to {most}"
    return " ".join(filter(None, [size, told.scale, "below", line]))


def _may_be(told: Told) -> Finding | None:
    likely = told.rows("likely")
    if not likely:
        return None
    place = "may be the place" if len(likely) == 1 else "may be places"
    they, are = ("it counts", "is") if len(likely) == 1 else ("they count", "are")
    return told.answer(
        "may be",
        f"{names(likely)} {place} to look first; these answers do not settle it",
        certainty="likely", direction="bad",
        detail=f"That {they} more than the average touchpoint and {are} rated "
        f"{told.against('below', likely)} is likely, not settled",
        **about_rows(likely),
    )  # fmt: skip


def _only_without_association(told: Told) -> Finding | None:
    found = told.rows("association not shown")
    if not found:
        return None
    are = "is" if len(found) == 1 else "are"
    none = "is not" if len(found) == 1 else "none is"
    return told.answer(
        "no association",
        f"No single touchpoint stands out: {names(found)} {are} important and rated "
        f"{told.against('below', found)}, but {none} shown to go with the outcome beyond the other ratings",
        certainty="not settled", detail=_explained(told), **about_rows(found),
    )  # fmt: skip


def _on_target(told: Told) -> Finding | None:
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


def _none(told: Told) -> Finding:
    decided = told.table["fix_first"].notna().any()
    return told.answer(
        "none",
        "These answers do not single out a touchpoint to look at first",
        certainty="not settled",
        detail=_explained(told) if decided else "Without resamples nothing is decided",
    )


#: Rules of the answer, in the order in which they are tried.
ANSWERS: tuple[Callable[[Told], Finding | None], ...] = (
    _too_few, _look_first, _may_be, _only_without_association, _on_target, _none,
)  # fmt: skip


def _explained(told: Told) -> str:
    """R² as readers know it."""
    fit = told.fit[list(EXPLAINED)].astype(float)
    if fit.isna().any():
        return ""
    return (
        f"If everyone used everything, the touchpoints together would go with about "
        f"{gap(fit, EXPLAINED, 100, '%')} of the differences in {told.outcome}, adjusted"
    )
