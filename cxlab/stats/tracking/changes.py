"""The named period against the one before and against the same one a year before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtr, stdtrit

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE
from cxlab.core.display import metric_titles, with_display
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.core.past import PastReports
from cxlab.core.periods import LAST, comparisons, in_order, periods_of
from cxlab.core.result import Result
from cxlab.stats.inference import adjust_p_values, check_level, t_quantile
from cxlab.stats.metrics import compare_periods
from cxlab.stats.metrics.values import check_metrics
from cxlab.stats.tracking.sentences import change_sentence, subjects

#: A true change of ``smallest_seen`` is shown this often.
POWER = 0.8
#: Arguments that go on to `compare_periods`.
OPTIONS = ("design", "min_group_size", "seed")
COLUMNS = (
    "label", "metric", "period", "before", "against", "n", "n_before", "estimate", "se",
    "ci_low", "ci_high", "unit", "p_value", "p_adjusted", "smallest_seen", "sentence", "df",
    "method", "note",
)  # fmt: skip
#: What to know of every comparison that is made from reports.
INDEPENDENT = (
    "From earlier reports: periods are compared as independent samples. The estimates are those "
    "of the answers; standard errors can differ where customers answer in several periods."
)
NOTHING = "No change is shown at a false-discovery rate of {rate}."


@dataclass(frozen=True, eq=False, kw_only=True)
class Changes(Result):
    """Changes of a period from earlier ones.

    Attributes
    ----------
    table : DataFrame
        One row per comparison, as the function that made it says.
    sentences : tuple of str
        One per change that is shown; otherwise one that says that none is.
    period : str
        The period reported on; empty if there is nothing to compare.
    before : str
        The last period before it; empty if there is none.
    family : str
        The tests among which false discoveries are controlled, and their number.
    """

    sentences: tuple[str, ...]
    period: str
    before: str
    family: str

    @property
    def periods(self) -> list[str]:
        """The period and those that it is compared with."""
        return list(dict.fromkeys([self.period, *self.table["before"]]))

    @property
    def since_last(self) -> pd.DataFrame:
        """Rows of the table that compare with the last period."""
        return self.table[self.table["against"] == LAST].reset_index(drop=True)

    def _head(self) -> tuple[str, ...]:
        return self.sentences


def period_changes(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    period: str | None = None,
    column: str = "period",
    labels: Mapping[str, str] | None = None,
    level: float = 0.95,
    **options: Any,
) -> Changes:
    """Change of each metric from the last period, and from the same period a year before.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer, that holds the periods compared; or
        earlier reports, `cxlab.past_reports`.
    metrics : Metric, sequence of Metric, or str
        What to follow: ``study.metrics("outcome")``; a text is a column of likelihood to
        recommend, followed by its NPS.
    period : str, optional
        The period to report on; default: the latest.
    column : str
        Column of the periods. Names such as ``2025``, ``2025-H1``, ``2025-Q4``,
        ``2025-12`` and ``2025-W07`` are read as calendar periods; other names are taken
        in declared or sorted order and have no year before.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``. Earlier reports know a column by its words.
    level : float
        Of the intervals; a change is significant when ``p_adjusted`` is at most 1 − level.
    **options
        As for `cxlab.compare_groups`: design, min_group_size, seed.
        Earlier reports need none of them.

    Returns
    -------
    Changes
        With a table of one row per metric × comparison: ``label``, ``metric``, ``period``,
        ``before`` (the period compared with), ``against`` (``last period`` or ``a year
        before``); ``n``, ``n_before``, ``estimate`` (the period less the one before), ``se``,
        ``ci_low``, ``ci_high`` in the metric's ``unit``; ``p_value``; ``p_adjusted``
        (Benjamini–Hochberg over the whole call); ``smallest_seen`` (smallest true change
        that such answers would show in four of five cases); ``sentence`` (empty where the
        change is not significant); ``df``, ``method``, ``note``. A comparison with a period
        that the data lack is a row without numbers, and ``note`` says so. Periods with too
        few answers are hidden as in `compare_groups`; what a report hides stays hidden.

    Raises
    ------
    ValueError
        For a period, column or option that is not there.

    Notes
    -----
    Each difference is one linearised statistic, so customers who answered in both periods
    count once (see `cxlab.compare_groups`). Periods of earlier reports are compared as
    independent samples, from their recorded standard errors. ``smallest_seen =
    (t_{1−α/2} + t_{.8})·se``, on the test's degrees of freedom and before adjustment for
    several tests. When the calendar's last period is not in the data, the latest one before
    is taken instead and ``note`` says so. Intervals are of one change each, not adjusted for
    their number.

    References
    ----------
    Benjamini & Hochberg (1995), JRSS B 57, 289–300. Bloom (1995), Evaluation Review 19,
    547–556.

    Examples
    --------
    >>> answers = pd.DataFrame({
    ...     "recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...     "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> changes = period_changes(answers, "recommend")
    >>> changes.table[["period", "before", "against", "estimate"]]
        period   before        against  estimate
    0  2025-Q4  2025-Q3    last period     -60.0
    1  2025-Q4  2024-Q4  a year before       NaN
    >>> changes.sentences
    ('NPS fell by 60.0 points (95 % CI −84.0 to −32.5) against 2025-Q3',)
    """
    check_level(level)
    wanted = metric_list(metrics)
    check_metrics(wanted)
    past = isinstance(data, PastReports)
    odd = [name for name in options if name not in OPTIONS]
    if odd:
        raise TypeError(f"period_changes() got an unexpected keyword argument '{odd[0]}'")
    there = in_order(data.periods) if past else periods_of(data, column)
    period = chosen_period(period, there, column)
    words = [str((labels or {}).get(metric.column, metric.column)) for metric in wanted]
    tables = []
    for against, before, note in comparisons(period, there):
        if before not in there:
            found = _blank_rows(wanted, words)
        elif past:
            least = options.get("min_group_size", MIN_GROUP_SIZE)
            found = _from_reports(data, wanted, words, (before, period), level, least)
        else:
            found = compare_periods(
                data, wanted, periods=(before, period), period=column, labels=labels,
                level=level, **options,
            ).rename(columns={"n_other": "n_before"})  # fmt: skip
        tables.append(with_comparison(found.assign(period=period), before, against, note))
    last = comparisons(period, there)[0][1]
    changes = finished(
        tables, period=period, before=last if last in there else "",
        family=f"all metrics of {period} × the periods compared with", level=level,
        notes=(INDEPENDENT,) if past else (),
    )  # fmt: skip
    titles = metric_titles(wanted, labels)
    shown = with_display(changes.table, labels=dict(labels or {}), titles=titles, level=level)
    return replace(changes, table=shown)


def chosen_period(period: str | None, there: list[str], column: str = "period") -> str:
    """The period to report on: the one named, or the latest."""
    if not there:
        raise ValueError(f"`column` must hold periods; got none in '{column}'.")
    if period is None:
        return there[-1]
    if str(period) not in there:
        raise ValueError(unknown("period", period, there))
    return str(period)


def _blank_rows(metrics: Sequence[Metric], words: Sequence[str]) -> pd.DataFrame:
    """Rows of a comparison that cannot be made: no numbers."""
    figures = ("n", "n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "df")
    named = [
        {"label": label, "metric": metric.name or metric.kind, "unit": metric.unit}
        for metric, label in zip(metrics, words, strict=True)
    ]
    return pd.DataFrame(named).assign(**dict.fromkeys(figures, np.nan), method="", note="")


def _from_reports(
    past: PastReports, metrics: Sequence[Metric], words: Sequence[str], periods: tuple[str, str],
    level: float, least: int,
) -> pd.DataFrame:  # fmt: skip
    rows = [
        _past_change(past, metric, label, periods, level, least)
        for metric, label in zip(metrics, words, strict=True)
    ]
    table, found = _blank_rows(metrics, words), pd.DataFrame(rows)
    return table.assign(**{name: found[name] for name in found})


def _past_change(
    past: PastReports,
    metric: Metric,
    label: str,
    periods: tuple[str, str],
    level: float,
    least: int,
) -> dict[str, Any]:
    """Change of one metric from the first to the second period; why, where there is none."""
    sides = [past.score(period, label, metric) for period in periods]
    for side, period in zip(sides, periods, strict=True):
        if side is None:
            return {"method": "", "note": f"not in the reports of {period}"}
        if not np.isfinite(side["estimate"]):
            return {"method": "", "note": f"hidden, or without answers, in {period}"}
        if side["n"] < least:
            return {"method": "", "note": f"hidden: fewer than {least} answers in {period}"}
    before, now = (side or {} for side in sides)
    row = {"n": now["n"], "n_before": before["n"], "estimate": now["estimate"] - before["estimate"]}
    tested = _independent(row["estimate"], before, now, level)
    if not tested:
        return row | {"method": "", "note": "no test: a period's standard error is not known"}
    return row | tested | {"method": "independent samples", "note": ""}


def _independent(
    estimate: float, before: Mapping[str, float], now: Mapping[str, float], level: float
) -> dict[str, float]:
    """Test and interval of the difference of two independent samples; empty if unknown.

    The recorded ``n_eff`` allows for few degrees of freedom, so that variances are multiplied
    by n/(deff·n_eff); t has Satterthwaite's degrees of freedom of samples of ``n_eff``.
    """
    variances, terms = [], []
    for side in (before, now):
        if not (side["se"] > 0 and side["deff"] > 0 and side["n_eff"] >= 2):
            return {}
        widened = side["se"] ** 2 * max(1.0, side["n"] / (side["deff"] * side["n_eff"]))
        variances.append(widened)
        terms.append(widened**2 / (side["n_eff"] - 1))
    df, se = sum(variances) ** 2 / sum(terms), float(np.sqrt(sum(variances)))
    reach = float(t_quantile(level, df)) * se
    return {
        "se": se, "ci_low": estimate - reach, "ci_high": estimate + reach,
        "p_value": float(2 * stdtr(df, -abs(estimate / se))), "df": df,
    }  # fmt: skip


def with_comparison(table: pd.DataFrame, before: str, against: str, note: str) -> pd.DataFrame:
    """A comparison's rows with what they are compared with."""
    notes = ["; ".join(part for part in (note, own) if part) for own in table["note"]]
    return table.assign(before=before, against=against, note=notes)


def finished(
    tables: Sequence[pd.DataFrame], *, period: str, before: str, family: str, level: float,
    columns: Sequence[str] = COLUMNS, nothing: str = NOTHING,
    notes: tuple[str, ...] = (),
) -> Changes:  # fmt: skip
    """All comparisons as one result: false discoveries controlled, sentences where significant.

    ``nothing`` is said where no change is significant; ``{tests}`` and ``{rate}`` are filled in.
    """
    table = pd.concat(tables, ignore_index=True).astype({"n": "Int64", "n_before": "Int64"})
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    tests = int(table["p_value"].notna().sum())
    table["smallest_seen"] = _detection_factor(table["df"], level) * table["se"]
    significant = (table["p_adjusted"] <= 1 - level + 1e-12) & table["ci_low"].notna()
    table["sentence"] = [
        change_sentence(row, subject=subject, level=level) if shown else ""
        for (_, row), subject, shown in zip(
            table.iterrows(), subjects(table), significant, strict=True
        )
    ]
    found = tuple(sentence for sentence in table["sentence"] if sentence)
    return Changes(
        table=table[list(columns)],
        sentences=found or (nothing.format(tests=tests, rate=f"{100 * (1 - level):g} %"),),
        period=period,
        before=before,
        family=f"{tests} tests: {family}",
        notes=notes,
    )


def _detection_factor(df: pd.Series, level: float) -> np.ndarray:
    degrees = df.to_numpy(dtype=float, na_value=np.nan)
    tails = (0.5 + level / 2, POWER)
    usable = np.isfinite(degrees) & (degrees >= 1)
    few = sum(stdtrit(np.where(usable, degrees, 1.0), tail) for tail in tails)
    many = sum(float(ndtri(tail)) for tail in tails)
    return np.where(usable, few, np.where(np.isposinf(degrees), many, np.nan))
