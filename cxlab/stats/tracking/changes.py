"""The named period against the one before and against the same one a year before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri, stdtrit

from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.stats.inference import adjust_p_values, check_level
from cxlab.stats.metrics import compare_periods
from cxlab.stats.metrics.values import check_metrics
from cxlab.stats.tracking.periods import calendar_period, periods_of, with_text_periods
from cxlab.stats.tracking.saved_changes import check_metric, saved_changes
from cxlab.stats.tracking.sentences import change_sentence, subjects
from cxlab.stats.tracking.statistics import SavedPeriods

LAST = "last period"
A_YEAR_BEFORE = "a year before"
COLUMNS = (
    "label", "metric", "period", "before", "against", "n", "n_before", "estimate", "se",
    "ci_low", "ci_high", "unit", "p_value", "p_adjusted", "smallest_seen", "sentence", "df",
    "family", "method", "column", "note",
)  # fmt: skip
#: Numbers of a row; NaN where a comparison cannot be made.
NUMBERS = (
    "n", "n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "df",
)  # fmt: skip


def period_changes(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    period: str | None = None,
    column: str = "period",
    labels: Mapping[str, str] | None = None,
    level: float = 0.95,
    power: float = 0.8,
    **options: Any,
) -> pd.DataFrame:
    """Change of each metric from the last period, and from the same period a year before.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer, that holds the periods compared; or
        statistics of periods that were kept, `cxlab.load_periods(folder)`.
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
        Column to words: ``study.labels``.
    level : float
        Of the intervals; a change is significant when ``p_adjusted`` is at most 1 − level.
    power : float
        For ``smallest_seen``, between 0 and 1.
    **options
        As for `cxlab.compare_groups`: design, method,
        min_group_size, permutations, seed. Kept statistics know their design and their
        ``min_group_size``.

    Returns
    -------
    DataFrame
        One row per metric × comparison: ``label``, ``metric``, ``period``, ``before`` (the
        period compared with), ``against`` (``last period`` or ``a year before``); ``n``,
        ``n_before``, ``estimate`` (the period less the one before), ``se``, ``ci_low``,
        ``ci_high`` in the metric's ``unit``; ``p_value``; ``p_adjusted``
        (Benjamini–Hochberg over the whole call); ``smallest_seen`` (smallest true change
        that such answers would show with the power given); ``sentence`` (empty where the
        change is not significant); ``df``, ``family``, ``method``, ``column``, ``note``.
        A comparison with a period that the data lack is a row without numbers, and
        ``note`` says so. Periods with too few answers are hidden as in `compare_groups`.

    Raises
    ------
    ValueError
        For a period, column or option that is not there.

    Notes
    -----
    Each difference is one linearised statistic, so customers who answered in both periods
    count once (see `cxlab.compare_groups`). ``smallest_seen = (t_{1−α/2} + t_{power})·se``,
    on the test's degrees of freedom and before adjustment for several tests. When the
    calendar's last period is not in the data, the latest one before stands for it and
    ``note`` says so. Intervals are of one change each, not adjusted for their number.

    References
    ----------
    Benjamini & Hochberg (1995), JRSS B 57, 289–300. Bloom (1995), Evaluation Review 19,
    547–556.

    Examples
    --------
    >>> answers = pd.DataFrame({
    ...     "recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...     "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> table = period_changes(answers, "recommend")
    >>> table[["period", "before", "against", "estimate"]]
        period   before        against  estimate
    0  2025-Q4  2025-Q3    last period     -60.0
    1  2025-Q4  2024-Q4  a year before       NaN
    >>> table["sentence"][0]
    'NPS fell by 60.0 points (95 % CI −84.0 to −32.5) against 2025-Q3'
    """
    check_level(level)
    check_power(power)
    check_metrics(metric_list(metrics))
    kept = isinstance(data, SavedPeriods)
    there = data.periods if kept else periods_of(data, column)
    period = chosen_period(period, there, column)
    if kept:
        for metric in metric_list(metrics):
            check_metric(data, metric, [period])
    else:
        data = with_text_periods(data, column)
    tables = []
    for against, before, note in comparisons(period, there):
        wanted = (before, period) if before in there else (period, period)
        found = _compared(data, metrics, wanted, column, labels, level, options)
        tables.append(told(found, before, against, note))
    table = pd.concat(tables, ignore_index=True).astype({"n": "Int64", "n_before": "Int64"})
    period = table["period"].iloc[0]
    return finished(table, f"all metrics of {period} × the periods compared with", level, power)


def chosen_period(period: str | None, there: list[str], column: str = "period") -> str:
    """The period to report on: the one named, or the latest."""
    if not there:
        raise ValueError(f"`column` must hold periods; got none in '{column}'.")
    if period is None:
        return there[-1]
    if str(period) not in there:
        raise ValueError(unknown("period", period, there))
    return str(period)


def comparisons(period: str, there: list[str]) -> list[tuple[str, str, str]]:
    """What to compare the period with: ``against``, its name, and what to note."""
    earlier = there[: there.index(period)]
    named = calendar_period(period)
    last, note = (earlier[-1] if earlier else ""), ""
    if named is None or (last and calendar_period(last) is None):
        return [(LAST, last, "" if last else "there is no period before")]
    expected = named.before.name
    if not last:
        last, note = expected, f"{expected} is not in the data"
    elif last != expected:
        note = f"{expected} is not in the data; {last} is the last period before"
    rows = [(LAST, last, note)]
    if named.year_before:
        name = named.year_before.name
        rows.append((A_YEAR_BEFORE, name, "" if name in there else f"{name} is not in the data"))
    return rows


def _compared(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    wanted: tuple[str, str],
    column: str,
    labels: Mapping[str, str] | None,
    level: float,
    options: dict[str, Any],
) -> pd.DataFrame:
    if wanted[0] != wanted[1] and isinstance(data, SavedPeriods):
        return saved_changes(
            data, metric_list(metrics), wanted, labels=labels, level=level, **options
        )
    if wanted[0] != wanted[1]:
        return compare_periods(
            data, metrics, periods=wanted, period=column, labels=labels, level=level, **options
        ).rename(columns={"n_other": "n_before"})
    # nothing to compare with: the same rows, without numbers
    rows = []
    for metric in metric_list(metrics):
        name = metric.column
        row: dict[str, Any] = dict.fromkeys(NUMBERS, np.nan)
        row |= {"metric": metric.name or metric.kind, "period": wanted[1], "unit": metric.unit}
        row |= {"column": name, "label": (labels or {}).get(name, name), "method": "", "note": ""}
        rows.append(row)
    return pd.DataFrame(rows)


def told(table: pd.DataFrame, before: str, against: str, note: str) -> pd.DataFrame:
    """A comparison's rows with what they were compared with."""
    notes = ["; ".join(part for part in (note, own) if part) for own in table["note"]]
    return table.assign(before=before, against=against, note=notes)


def finished(table: pd.DataFrame, family: str, level: float, power: float) -> pd.DataFrame:
    """The table of changes: false discoveries controlled, sentences where significant."""
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    tests = int(table["p_value"].notna().sum())
    table["family"] = f"{tests} tests: {family}"
    table["smallest_seen"] = _detection_factor(table["df"], level, power) * table["se"]
    significant = (table["p_adjusted"] <= 1 - level + 1e-12) & table["ci_low"].notna()
    table["sentence"] = [
        change_sentence(row, subject=subject, level=level) if told else ""
        for (_, row), subject, told in zip(
            table.iterrows(), subjects(table), significant, strict=True
        )
    ]
    return table[list(COLUMNS)]


def _detection_factor(df: pd.Series, level: float, power: float) -> np.ndarray:
    degrees = df.to_numpy(dtype=float, na_value=np.nan)
    tails = (0.5 + level / 2, power)
    usable = np.isfinite(degrees) & (degrees >= 1)
    few = sum(stdtrit(np.where(usable, degrees, 1.0), tail) for tail in tails)
    many = sum(float(ndtri(tail)) for tail in tails)
    return np.where(usable, few, np.where(np.isposinf(degrees), many, np.nan))


def check_power(power: float) -> None:
    """Refuse a power that is no probability."""
    if isinstance(power, bool) or not isinstance(power, int | float) or not 0 < power < 1:
        raise ValueError(f"`power` must be between 0 and 1, such as 0.8; got {power}.")
