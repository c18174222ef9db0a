"""A run of periods: one metric's scores, and a table of them as arrays for a control chart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.core.design import DesignLike, as_design
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.messages import got
from cxlab.core.metric import Metric, metric_list
from cxlab.core.past import PastReports
from cxlab.core.periods import TREND, in_order, places_of
from cxlab.stats.inference import check_level, t_quantile
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM, estimate_metrics

Array = NDArray[np.float64]

#: A line through fewer periods says nothing.
FEWEST_FOR_TREND = 4
SHARES = ("promoter_share", "detractor_share")
#: The same shares as `estimate_metrics` names them.
OTHER_SHARES = ("top_share", "bottom_share")
#: What reports record of each period; answers also give the shares and degrees of freedom.
RECORDED: tuple[str, ...] = (
    "period", "n", "estimate", "se", "ci_low", "ci_high", "deff", "n_eff", "metric", "unit", "note",
)  # fmt: skip
FROM_ANSWERS: tuple[str, ...] = (
    "period", "n", "estimate", "se", "ci_low", "ci_high", "top_share", "bottom_share", "deff",
    "n_eff", "df", "metric", "unit", "note",
)  # fmt: skip


def period_scores(
    data: Any,
    metric: Metric | str,
    *,
    column: str = "period",
    until: str | None = None,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """One metric's score in each period.

    Parameters
    ----------
    data
        Dataframe of answers of any engine, or earlier reports, `cxlab.past_reports`.
    metric : Metric or str
        A text is a column of likelihood to recommend, scored by its NPS.
    column : str
        Column of the periods.
    until : str, optional
        Leave out the periods after this one, so that a report of it stays as it is.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``. Earlier reports know a column by its words.
    design
        As for `cxlab.nps`; earlier reports had their own.
    level : float
        Of the intervals; those of earlier reports are as they were recorded.
    min_group_size : int
        Periods with fewer answers are left out, as are those that reports hide.

    Returns
    -------
    DataFrame
        One row per period, in order: ``period``, ``n``, ``estimate``, ``se``, ``ci_low``,
        ``ci_high`` in the metric's ``unit``; ``top_share``, ``bottom_share`` (null for
        means), ``deff``, ``n_eff``, ``df``, ``metric``, ``unit``, ``note``: what
        `cxlab.control_chart` takes. Earlier reports have no shares and no ``df``.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...                         "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> period_scores(answers, "recommend")[["period", "n", "estimate"]]
        period    n  estimate
    0  2025-Q3  100      20.0
    1  2025-Q4  100     -40.0
    """
    check_level(level)
    (one,) = metric_list(metric)
    if isinstance(data, PastReports):
        label = (labels or {}).get(one.column, one.column)
        table, columns = data.scores(label, one), RECORDED
    else:
        table = estimate_metrics(data, [one], by=column, design=as_design(design), level=level)
        table, columns = table.assign(period=table["group"].astype(str)), FROM_ANSWERS
    table = table[table["n"] >= min_group_size].set_index("period", drop=False)
    order = in_order(table["period"].tolist())
    if until is not None:
        places = in_order(list(dict.fromkeys([*order, until])))
        order = [name for name in order if places.index(name) <= places.index(until)]
    return table.loc[order, list(columns)].astype({"n": "int64"}).reset_index(drop=True)


def trends(runs: pd.DataFrame, period: str) -> list[pd.DataFrame]:
    """Change of each score along a straight line through the periods up to one.

    Parameters
    ----------
    runs : DataFrame
        Of `period_scores`, with a ``label``; several metrics one below the other.
    period : str
        The last one; a score that is hidden there has no trend.

    Returns
    -------
    list of DataFrame
        A row each, as comparisons have them. A run of fewer than `FEWEST_FOR_TREND` has none.

    Notes
    -----
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
        reach = float(t_quantile(0.95, df)) * se
        row = {
            "label": label, "metric": metric, "unit": last["unit"], "period": period,
            "before": first["period"], "against": TREND, "n": last["n"], "n_before": first["n"],
            "estimate": estimate, "se": se, "ci_low": estimate - reach, "ci_high": estimate + reach,
            "p_value": float(2 * stdtr(df, -abs(estimate / se))), "df": df,
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


@dataclass(frozen=True, eq=False)
class Run:
    """Periods in order, with what is known of each.

    Attributes
    ----------
    periods : list of str
    n, deff, values : ndarray of shape (periods,)
        Answers, design effect and score; NaN in a hidden or empty period.
    top, bottom : ndarray of shape (periods,) or None
        Shares whose difference, times 100, is the score.
    variance : ndarray of shape (periods,) or None
        Variance of one answer within each period, from its standard error.
    hidden : list of str
        Why a period takes no part; empty where it does.
    remarks : list of str
        What else to know of a period.
    what, unit : str
    """

    periods: list[str]
    n: Array
    deff: Array
    values: Array
    top: Array | None
    bottom: Array | None
    variance: Array | None
    hidden: list[str]
    remarks: list[str]
    what: str
    unit: str

    @property
    def shown(self) -> NDArray[np.bool_]:
        """Which periods take part."""
        return np.array([not why for why in self.hidden])

    @property
    def notes(self) -> list[str]:
        """Per period, why it is hidden or what to know of it."""
        return [why or remark for why, remark in zip(self.hidden, self.remarks, strict=True)]

    @property
    def sizes(self) -> Array:
        """Answers that count: n / deff."""
        return self.n / self.deff

    def centre(self, baseline: NDArray[np.bool_]) -> float:
        """Score of the baseline periods' answers together."""
        return float(np.average(self.values[baseline], weights=self.n[baseline]))

    def standard_errors(self, baseline: NDArray[np.bool_]) -> Array | None:
        """Of each period, were the baseline's shares true throughout; None if unknown."""
        weights = self.n[baseline]
        if self.top is not None and self.bottom is not None:
            p, d = (np.average(part[baseline], weights=weights) for part in (self.top, self.bottom))
            one_answer = 100.0**2 * max(p + d - (p - d) ** 2, 0.0)
        elif self.variance is not None:
            one_answer = float(np.average(self.variance[baseline], weights=weights))
        else:
            return None
        return np.sqrt(one_answer / self.sizes)


def run_of_periods(table: pd.DataFrame, min_group_size: int) -> Run:
    """Check a table by period, and split it into arrays.

    Raises
    ------
    TypeError, ValueError
        As `cxlab.control_chart` says.
    """
    rows, periods = _rows_in_order(table)
    n = _numbers(rows, "n")
    deff, remarks = _design_effects(rows, n)
    variance = None
    values = _numbers(rows, "estimate")
    top, bottom = _shares(rows, values)
    if top is None and "se" in rows:
        variance = _numbers(rows, "se") ** 2 * n / deff
    known = [part for part in (values, n, top, bottom, variance) if part is not None]
    hidden = _hidden(n, np.isfinite(np.sum(known, axis=0)), min_group_size)
    aside = np.array([bool(why) for why in hidden])
    n, deff, values = (np.where(aside, np.nan, part) for part in (n, deff, values))
    what, unit = _what(rows, top is not None)
    return Run(periods, n, deff, values, top, bottom, variance, hidden, remarks, what, unit)


def _rows_in_order(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    if not isinstance(table, pd.DataFrame):
        raise TypeError(
            f"`table` must be a pandas DataFrame by period; got {type(table).__name__}. "
            "Give what nps(..., by='period') returns."
        )
    column = next((name for name in ("period", "group") if name in table), None)
    if column is None or not {"n", "estimate"} <= set(table):
        raise ValueError(
            "`table` must have a column `period` or `group`, `n` and `estimate`; got "
            f"{got(list(map(str, table.columns)) or ['nothing'])}. "
            "Give what nps(..., by='period') returns."
        )
    names = [str(name) for name in table[column]]
    again = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if again or not names:
        raise ValueError(
            f"`table` must have one row per period; got {got(again or ['no row'])}"
            f"{' more than once' if again else ''}. Take one metric's rows."
        )
    ordered = in_order(names)
    return table.iloc[[names.index(name) for name in ordered]].reset_index(drop=True), ordered


def _numbers(rows: pd.DataFrame, column: str) -> Array:
    if not pd.api.types.is_numeric_dtype(rows[column]):
        raise TypeError(f"`table` must have numbers in `{column}`; got {rows[column].dtype}.")
    values = rows[column].to_numpy(dtype=float, na_value=np.nan)
    if column in ("n", "deff", "se") and (values < 0).any():
        raise ValueError(f"`{column}` must be 0 or more; got {values[values < 0][0]:g}.")
    return values


def _design_effects(rows: pd.DataFrame, n: Array) -> tuple[Array, list[str]]:
    """Each period's design effect; the others' where its own clusters are too few."""
    if "deff" not in rows:
        return np.ones(len(rows)), [""] * len(rows)
    deff = _numbers(rows, "deff")
    few = ~(np.isfinite(deff) & (deff > 0))
    if "df" in rows:
        few |= ~(_numbers(rows, "df") >= FEW_DEGREES_OF_FREEDOM)
    steady = ~few & (n > 0)
    others = float(np.average(deff[steady], weights=n[steady])) if steady.any() else 1.0
    own = np.where(few, others, deff)
    words = "few clusters: the design effect of the other periods stands in"
    return own, [words if lacks and size > 0 else "" for lacks, size in zip(few, n, strict=True)]


def _shares(rows: pd.DataFrame, values: Array) -> tuple[Array | None, Array | None]:
    for names in (SHARES, OTHER_SHARES):
        if all(name in rows for name in names):
            top, bottom = (_numbers(rows, name) for name in names)
            # a table of means has empty shares; one of a top box counts its top only
            if np.allclose(100 * (top - bottom), values, equal_nan=True):
                return top, bottom
    return None, None


def _hidden(n: Array, known: NDArray[np.bool_], min_group_size: int) -> list[str]:
    notes = []
    for size, whole in zip(n, known, strict=True):
        if not whole or size == 0:
            notes.append("no valid answer, or hidden")
        elif size < min_group_size:
            notes.append(f"hidden: fewer than {min_group_size} answers")
        else:
            notes.append("")
    return notes


def _what(rows: pd.DataFrame, net: bool) -> tuple[str, str]:
    """Name and unit of the table's score."""
    if SHARES[0] in rows:
        return "NPS", "points"
    name = str(rows["metric"].iloc[0]) if "metric" in rows else "the score"
    unit = str(rows["unit"].iloc[0]) if "unit" in rows else ("points" if net else "")
    return ("NPS" if name == "nps" else name), unit
