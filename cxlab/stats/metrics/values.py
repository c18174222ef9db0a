"""What one answer counts for in a metric, which values are refused, and the sums of all answers.

Large numbers are counted from near their lowest value, because their squares lose digits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.frames import Opened, as_list, collect, open_frame, yes_or_no
from cxlab.core.messages import got
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals, survey_totals

#: Column(s) that make the groups.
By = str | Sequence[str] | None

#: Lowest values beyond this are counted from themselves.
LARGE = 1000.0
#: A mean so many standard deviations from the origin leaves its variance eight digits.
FAR = 1e4
#: A standard deviation this small beside the mean is rounding.
ALIKE = 1e-6
#: The same of sums over many rows: their variance beside their mean square.
ALIKE_SUMS = 1e-10


def open_metrics(
    data: Any,
    metrics: Sequence[Metric],
    *,
    design: DesignLike = None,
    **columns: str | Sequence[str] | None,
) -> Opened:
    """Answers opened for some metrics: see `cxlab.core.frames.open_frame`."""
    check_metrics(metrics)
    scores = [metric.column for metric in metrics]
    opened = open_frame(data, numbers={"score": scores}, design=design, **columns)
    flags = set(yes_or_no(data, scores))
    for metric in metrics:
        if metric.column in flags and not _counts_yes(metric):
            low, high = metric.scale or metric.top or (0, 1)
            raise TypeError(
                f"`score` must be scores, {low:g} to {high:g}; got yes or no in "
                f"'{metric.column}', which would count as 1 and 0. Give the scores themselves."
            )
    return opened


def _counts_yes(metric: Metric) -> bool:
    """Whether a metric is one of yes (1) and no (0)."""
    return metric.scale in (None, (0, 1)) and (metric.top is None or metric.top[0] <= 1)


def check_metrics(metrics: Sequence[Metric]) -> None:
    """Refuse no metric at all, and two that tables could not tell apart."""
    for metric in metrics:
        if not isinstance(metric.column, str):
            raise TypeError(f"`score` must be the name of one column; got {metric.column}.")
    if not metrics:
        raise ValueError(
            "`metrics` must be one metric or more; got none. Give study.metrics(), or the name of "
            "a column of likelihood to recommend."
        )
    names = [(metric.column, metric.name) for metric in metrics]
    for column, name in names:
        if names.count((column, name)) > 1:
            raise ValueError(
                f"`metrics` must have one of a name per column; got '{name}' of '{column}' more "
                "than once. Leave one out, or give it another name."
            )


def metric_value(metric: Metric, origin: float = 0.0) -> nw.Expr:
    """1, 0 or −1 of a row for boxes, the score (from ``origin``) for means; null without an answer."""
    score = nw.col(metric.column)
    if metric.kind == "mean" or metric.top is None:
        return score - origin if origin else score
    inside = nw.when(score.is_between(*metric.top)).then(nw.lit(1.0))
    rest: Any = nw.lit(0.0)
    if metric.kind == "net" and metric.bottom is not None:
        rest = nw.when(score.is_between(*metric.bottom)).then(nw.lit(-1.0)).otherwise(nw.lit(0.0))
    return nw.when(~score.is_null()).then(inside.otherwise(rest))


def check_scores(opened: Opened, metrics: Sequence[Metric]) -> list[float]:
    """Refuse scores off their scale; where to count each metric's values from.

    That is 0, but for means of large numbers the lowest one: their squares swallow their spread.
    """
    columns = list(dict.fromkeys(metric.column for metric in metrics))
    ranges = _ranges(opened, columns)
    for metric in metrics:
        if _is_off(metric, *ranges[metric.column]):
            bad = collect(opened.lazy.filter(_off(metric)).select(nw.col(metric.column)))
            raise ValueError(_off_scale(metric, [_plain(value) for value in bad.iloc[:, 0]]))
    lowest = [ranges[metric.column][0] for metric in metrics]
    return [
        low if metric.kind == "mean" and abs(low) > LARGE else 0.0
        for metric, low in zip(metrics, lowest, strict=True)
    ]


def _ranges(opened: Opened, columns: Sequence[str]) -> dict[str, tuple[float, float, bool]]:
    """Each column's lowest and highest value (NaN: none), and whether all are whole."""
    if opened.is_small(len(columns)):
        values = opened.rows(columns).to_numpy(float)
        low, high = (end.reduce(values, axis=0, initial=np.nan) for end in (np.fmin, np.fmax))
        whole = ((values == np.round(values)) | np.isnan(values)).all(axis=0)
        return dict(zip(columns, zip(low, high, whole, strict=True), strict=True))
    broken = {name: nw.col(name) != nw.col(name).round(0) for name in columns}
    found = [
        *(nw.col(name).min().cast(nw.Float64) for name in columns),
        *(nw.col(name).max().cast(nw.Float64) for name in columns),
        *(nw.when(broken[name]).then(nw.lit(1.0)).max() for name in columns),
    ]
    row = collect(opened.lazy.select(*(value.alias(f"_{i}") for i, value in enumerate(found))))
    low, high, some = row.to_numpy(float).reshape(3, len(columns))
    return dict(zip(columns, zip(low, high, np.isnan(some), strict=True), strict=True))


def _is_off(metric: Metric, low: float, high: float, whole: bool) -> bool:
    if metric.scale is None:
        return math.isinf(low) or math.isinf(high)
    return low < metric.scale[0] or high > metric.scale[1] or not whole


def _off(metric: Metric) -> nw.Expr:
    score = nw.col(metric.column)
    if metric.scale is None:
        return score.abs() == float("inf")
    return (~score.is_between(*metric.scale)) | (score != score.round(0))


def _off_scale(metric: Metric, values: list[float]) -> str:
    if metric.scale is None:
        return f"`score` must be finite numbers; got {got(values)} in '{metric.column}'."
    low, high = (_plain(bound) for bound in metric.scale)
    return (
        f"`score` must be whole numbers from {low} to {high}; got {got(values)} in "
        f"'{metric.column}'. If {values[0]} means \"no answer\", declare it in the study file: "
        f'missing = {{{values[0]} = "no answer"}}.'
    )


def _plain(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def metric_totals(
    opened: Opened, metrics: Sequence[Metric], groupings: Sequence[By], *, per_cluster: bool = True
) -> list[tuple[Totals, np.ndarray]]:
    """Totals of every metric for each way of grouping, and what their values are counted from.

    One query; a second one where a group's mean lies so far from the common origin that its variance
    would be rounding. Scores are named by their place among the metrics; origins have the shape
    (metrics, groups). ``per_cluster``: see `survey_totals`.
    """
    common = np.array(check_scores(opened, metrics))
    values = {str(i): metric_value(metric, common[i]) for i, metric in enumerate(metrics)}
    found = []
    each = survey_totals(opened, values, groupings, per_cluster=per_cluster)
    for by, totals in zip(groupings, each, strict=True):
        origins = np.repeat(common[:, None], len(totals.groups), axis=1)
        far = [i for i, one in enumerate(metrics) if one.kind == "mean" and _is_far(totals, i)]
        if far and as_list(by):
            totals, origins[far] = _from_own_origins(
                opened, metrics, values, far, by, per_cluster=per_cluster
            )
        found.append((totals, origins))
    return found


def all_alike(n: Any, y: Any, yy: Any) -> Any:
    """Whether all values are one, from their unweighted sums.

    A variance of 0 is no sign of it: rounding leaves one above 0, and clusters of one mean have none.
    """
    return (n > 0) & (n * yy - y**2 <= ALIKE_SUMS * n * yy)


def _is_far(totals: Totals, i: int) -> bool:
    """Whether a group's mean is far from the origin for its spread."""
    code, groups = totals.cells["group_code"].to_numpy(), len(totals.groups)
    weight, total, squares = (
        np.bincount(code, weights=totals.values[kind][:, i], minlength=groups)
        for kind in ("w", "wy", "wyy")
    )
    weight = np.where(weight > 0, weight, np.nan)
    mean, square = np.abs(total / weight), squares / weight
    deviation = np.sqrt(np.maximum(square - mean**2, 0.0))
    # small numbers that are all alike are no reason to look again
    some = (mean > LARGE) | (deviation > ALIKE * mean)
    return bool(((mean > FAR * deviation) & some).any())


def _from_own_origins(
    opened: Opened,
    metrics: Sequence[Metric],
    values: dict[str, nw.Expr],
    far: list[int],
    by: By,
    *,
    per_cluster: bool,
) -> tuple[Totals, np.ndarray]:
    """Totals of all metrics, of some counted from each group's lowest value, and these."""
    lowest = {}
    for i in far:
        score = nw.col(metrics[i].column)
        # whole, so that the mean of many is itself to the last digit
        own = score.min().over(*as_list(by)).round(0)
        values = values | {str(i): score - own}
        lowest[f"lowest_{i}"] = nw.when(~score.is_null()).then(own)
    (totals,) = survey_totals(opened, values | lowest, [by], per_cluster=per_cluster)
    code, groups = totals.cells["group_code"].to_numpy(), len(totals.groups)
    n, total = (
        np.stack([np.bincount(code, column, groups) for column in totals.values[kind].T])
        for kind in ("n", "y")
    )
    size = len(metrics)
    origins = np.round(total[size:] / np.maximum(n[size:], 1.0))
    kept = {kind: sums[:, :size] for kind, sums in totals.values.items()}
    ungrouped = {name: totals.ungrouped[name] for name in totals.names[:size]}
    return replace(totals, names=totals.names[:size], values=kept, ungrouped=ungrouped), origins


def counted_from(sums: dict[str, np.ndarray], move: np.ndarray) -> dict[str, np.ndarray]:
    """Sums of cells about an origin that is lower by so much."""
    if not move.any():
        return sums
    moved = dict(sums)
    for w in ("", "w", "ww"):
        n, y, yy = (sums[name] for name in (w or "n", f"{w}y", f"{w}yy"))
        moved |= {f"{w}y": y + move * n, f"{w}yy": yy + 2 * move * y + move**2 * n}
    return moved


def check_account_values(rows: pd.DataFrame, account: str, value: str) -> None:
    """Refuse an account whose contacts have several values."""
    each = rows.groupby(account)[value].nunique()
    if (each > 1).any():
        raise ValueError(
            f"`value` must be the account's, the same for all its contacts; got several in "
            f"'{value}' for {got(list(each.index[each > 1]))}. Add up what its contacts are worth."
        )
