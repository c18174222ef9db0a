"""Comparisons decided in their families, and each thing compared in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from cxlab.core.findings import Cells, figures
from cxlab.core.metric import Metric
from cxlab.core.periods import A_YEAR_BEFORE, LAST, TREND, places_of
from cxlab.core.phrases import decimals_for, interval, joined, number, signed
from cxlab.stats.inference import (
    ALPHA,
    LEVEL,
    adjust_family,
    deciding_interval,
    smallest_shown,
    within_margin,
)
from cxlab.stats.metrics.two_groups import tested_difference

if TYPE_CHECKING:
    from cxlab.stats.tracking.changes import Changes

Array = NDArray[np.float64]
Row = Mapping[str, Any]

#: Families of comparisons, and how each is adjusted.
HEADLINE, OTHERS = "headline measures", "touchpoints"
METHODS = {HEADLINE: "holm", OTHERS: "bh"}
#: What a comparison says.
CLEAR, SMALL = "clear", "smaller than its margin"
SAME, OPEN = "no change that matters", "not settled"
#: A change and the interval that decides.
DECIDED = ("estimate", "decided_low", "decided_high")
#: Name under which notebook 6-tracking records the comparisons.
CHANGES = "changes"
#: A line through fewer periods says nothing.
FEWEST_FOR_TREND = 4
#: A p-value that is smaller has too few digits to give a standard error back.
SMALLEST_P = 1e-8


def with_comparison(
    table: pd.DataFrame, period: str, before: str, against: str, note: str
) -> pd.DataFrame:
    """A comparison's rows with what they compare."""
    notes = [joined(note, own) for own in table["note"]]
    return table.assign(period=period, before=before, against=against, note=notes)


def decide(
    table: pd.DataFrame,
    families: Mapping[tuple[str, str], str],
    metrics: Mapping[tuple[str, str], Metric],
) -> pd.DataFrame:
    """Comparisons with what their family says of them: clear ones first, then by size in margins.

    ``families`` and ``metrics`` are by a metric's label and name.
    """
    keys = list(zip(table["label"], table["metric"], strict=True))
    margins = pd.Series([metrics[key].margin for key in keys])
    blank = dict.fromkeys(("p_adjusted", "decided_low", "decided_high"), np.nan)
    table = table.assign(
        family=[families.get(key, "") for key in keys],
        margin=margins.where(np.isfinite(margins)),
        **blank,
    )
    tests = dict.fromkeys(["", *METHODS], 1)
    for name, method in METHODS.items():
        rows = (table["family"] == name) & table["p_value"].notna()
        tests[name] = int(rows.sum())
        _decide_family(table, rows, method)
    table["smallest_seen"] = [
        smallest_shown(se, df, tests=tests[name]) if se > 0 and df >= 1 else math.nan
        for se, df, name in zip(
            table["se"], table["df"].astype(float), table["family"], strict=True
        )
    ]
    table["verdict"] = [_verdict(row) for row in table.to_dict("records")]
    place = (table["verdict"] != CLEAR).astype(int) + 2 * (table["family"] == "")
    size = table["estimate"].abs() / table["margin"].fillna(table["se"])
    order = np.lexsort((-size.fillna(-1.0), place))
    table = table.iloc[order].reset_index(drop=True)
    return table.astype({"n": "Int64", "n_before": "Int64"})


def _decide_family(table: pd.DataFrame, rows: pd.Series, method: str) -> None:
    """Fill in adjusted p-values and the intervals that decide."""
    found = table.loc[rows, ["estimate", "se", "df", "p_value"]].astype(float)
    p = found["p_value"].to_numpy()
    adjusted = adjust_family(p, method=method)
    # a p-value of permutations is of no t test: the interval takes the error that it implies
    quantile = stdtrit(found["df"].to_numpy(), 1 - np.maximum(p, SMALLEST_P) / 2)
    implied = found["estimate"].abs() / np.where(quantile > 0, quantile, np.nan)
    se = np.fmax(found["se"], np.where(p > SMALLEST_P, implied, np.nan))
    low, high = deciding_interval(found["estimate"], se, found["df"], p, adjusted)
    columns = ["p_adjusted", "decided_low", "decided_high"]
    table.loc[rows, columns] = np.array([adjusted, low, high]).T


def _verdict(row: Row) -> str:
    low, high = row["decided_low"], row["decided_high"]
    if not math.isfinite(low):
        return ""
    shown = row["p_adjusted"] < ALPHA and (low > 0 or high < 0)
    if within_margin(low, high, row["margin"]):
        return SMALL if shown else SAME
    return CLEAR if shown else OPEN


def trends(runs: pd.DataFrame, period: str) -> list[pd.DataFrame]:
    """Change of each score along a straight line through the periods up to one, a row each.

    ``runs`` are of `period_scores`, with a ``label``. A run of fewer than `FEWEST_FOR_TREND`
    periods, or one that is hidden in the last, has none.

    Weighted least squares, weights 1/se². Where the periods vary about the line by more than
    sampling makes them (χ² above its degrees of freedom), the standard error grows by
    √(χ²/(k − 2)), and t has k − 2 degrees of freedom. Periods are taken as independent samples:
    with customers who answer in several, the test is conservative.
    """
    rows = []
    for (label, metric), run in runs.groupby(["label", "metric"], sort=False):
        known = run[np.isfinite(run["estimate"]) & (run["se"] > 0)]
        if len(known) < FEWEST_FOR_TREND or known["period"].iloc[-1] != period:
            continue
        first, last = known.iloc[0], known.iloc[-1]
        estimate, se, df = _line(places_of(known["period"].tolist()), known)
        tested = tested_difference(estimate, se**2, df, LEVEL, "")
        row = {
            "label": label, "metric": metric, "unit": last["unit"], "period": period,
            "before": first["period"], "against": TREND, "n": last["n"], "n_before": first["n"],
            **{name: tested[name] for name in ("estimate", "se", "ci_low", "ci_high", "p_value", "df")},
            "method": f"straight line through {len(known)} periods", "note": "",
        }  # fmt: skip
        rows.append(pd.DataFrame([row]))
    return rows


def _line(places: Array, run: pd.DataFrame) -> tuple[float, float, float]:
    """Change from the first place to the last, its standard error and degrees of freedom."""
    values, variances = (run[name].to_numpy(float) for name in ("estimate", "se"))
    variances = variances**2
    centred = places - np.average(places, weights=1 / variances)
    # what each period adds to the slope
    parts = centred / variances / (centred**2 / variances).sum()
    slope, length = float(parts @ values), places[-1] - places[0]
    rest = values - np.average(values, weights=1 / variances) - slope * centred
    excess = float((rest**2 / variances).sum()) / (len(values) - 2)
    own = (run["df"] if "df" in run else run["n_eff"] - 1).to_numpy(float)
    spread = parts**2 * variances
    df = spread.sum() ** 2 / (spread**2 / np.where(own >= 1, own, 1.0)).sum()
    if excess > 1:
        df = min(df, len(values) - 2)
    se = float(np.sqrt(spread.sum() * max(1.0, excess)))
    return slope * length, se * length, float(df)


def subjects(changes: Changes, family: str) -> list[Subject]:
    """What a family compares, one by one, in the order in which the metrics were given."""
    rows = changes.table[changes.table["family"] == family]
    order = list(changes.metrics)
    found = [
        Subject(changes, changes.metrics[label, metric], label, metric,
                {row["against"]: row for row in own.to_dict("records")})
        for (label, metric), own in rows.groupby(["label", "metric"], sort=False)
    ]  # fmt: skip
    return sorted(found, key=lambda one: order.index((one.label, one.metric)))


def tests_of(changes: Changes, family: str) -> int:
    """Comparisons of a family that were tested."""
    return int((changes.table["family"].eq(family) & changes.table["p_value"].notna()).sum())


@dataclass(frozen=True, eq=False)
class Subject:
    """One metric of one column, and its comparisons by what they are with."""

    told: Changes
    of: Metric
    label: str
    metric: str
    rows: Mapping[str, Row]

    @property
    def name(self) -> str:
        """In words: NPS, or the short label."""
        alike = [key for key, of in self.told.metrics.items() if of.title == "NPS"]
        if self.of.title == "NPS" and len(alike) == 1:
            return "NPS"
        return self.told.names.get(self.label, self.label)

    @property
    def known(self) -> list[Row]:
        """Comparisons that could be made: last period, a year before, trend."""
        return self.of_verdict(CLEAR, SMALL, SAME, OPEN)

    def of_verdict(self, *verdicts: str) -> list[Row]:
        """Comparisons that say one of these."""
        there = [self.rows[name] for name in (LAST, A_YEAR_BEFORE, TREND) if name in self.rows]
        return [row for row in there if row["verdict"] in verdicts]

    def is_last(self, *verdicts: str) -> bool:
        """Whether the comparison with the last period says one of these."""
        return LAST in self.rows and self.rows[LAST]["verdict"] in verdicts

    @property
    def taken_back(self) -> bool:
        """Whether a clear change in a year was turned round in part by one in the last period."""
        year = self.rows.get(A_YEAR_BEFORE, {})
        if not self.is_last(CLEAR) or year.get("verdict") != CLEAR:
            return False
        return bool(year["estimate"] * self.rows[LAST]["estimate"] < 0)

    @property
    def moved(self) -> Row:
        """The clear change to speak of: the latest, or the larger that it turns round; else empty."""
        if self.taken_back:
            return self.rows[A_YEAR_BEFORE]
        return next(iter(self.of_verdict(CLEAR)), {})

    @property
    def size(self) -> float:
        """Of the clear change, in margins or else in standard errors; 0 without one."""
        row = self.moved
        return (
            abs(row["estimate"]) / (row["margin"] if row["margin"] > 0 else row["se"])
            if row
            else 0.0
        )

    def cells(self, *rows: Row, more: tuple[str, ...] = ()) -> tuple[Cells, ...]:
        """Where the numbers of some comparisons stand."""
        place = {"label": self.label, "metric": self.metric}
        columns = (*DECIDED, *more)
        return tuple(Cells(CHANGES, {**place, "against": row["against"]}, columns) for row in rows)

    def tested(self, row: Row) -> dict[str, Any]:
        """What a finding repeats of the comparison that it rests on."""
        return {
            **figures(row, DECIDED), "reference": 0.0, "margin": row["margin"],
            "family": row["family"], "family_size": tests_of(self.told, row["family"]),
            "since": str(row["before"]), "subject": self.name,
        }  # fmt: skip

    def measured(self, value: float, decimals: int, *, sign: bool = False) -> str:
        """A change in the metric's unit: ``11 points``, ``0.6 of 10``."""
        text = (signed if sign else number)(value, decimals)
        if self.of.kind == "mean":
            return f"{text} of {self.of.scale[1]:g}" if self.of.scale else text
        noun = "point" if text.strip("+−") == "1" else "points"
        return f"{text} {noun if self.of.kind == 'net' else f'percentage {noun}'}"

    def margin(self, row: Row) -> str:
        """The smallest change that matters, in words."""
        return self.measured(row["margin"], len(f"{row['margin']:.4f}".rstrip("0").split(".")[1]))

    def by(self, row: Row, *, whole: bool = False) -> str:
        """Size of a change; in whole points where it is for an answer."""
        whole = whole and self.of.kind != "mean" and abs(row["estimate"]) >= 1
        return self.measured(abs(row["estimate"]), 0 if whole else decimals(row))

    def said(self, row: Row, *, whole: bool = False) -> str:
        """A clear change as a sentence, with its interval unless in whole points."""
        verb = "rose" if row["estimate"] > 0 else "fell"
        limits = "" if whole else f" {limits_of(row, size=True)}"
        return f"{self.name} {verb} by {self.by(row, whole=whole)}{limits} {when(row)}"

    def open(self, row: Row) -> str:
        """A change that is not shown, with its interval."""
        text = self.measured(row["estimate"], decimals(row), sign=True)
        return f"{text} {when(row)} {limits_of(row)}"


def decimals(row: Row) -> int:
    """Of a change: one digit of its half-width, more where it or a limit would round to zero."""
    low, high = row["decided_low"], row["decided_high"]
    return decimals_for((high - low) / 2, (row["estimate"], low, high), [0.0])


def limits_of(row: Row, *, size: bool = False) -> str:
    """The interval that decides; of the size of a fall where ``size``."""
    low, high = row["decided_low"], row["decided_high"]
    if size and row["estimate"] < 0:
        low, high = -high, -low
    return f"({interval(low, high, decimals(row))})"


def when(row: Row) -> str:
    """Which comparison, in words."""
    words = {
        LAST: f"since {row['before']}",
        A_YEAR_BEFORE: f"against {row['before']}, a year before",
        TREND: f"along a straight line since {row['before']}",
    }
    return words[row["against"]]
