"""What one answer counts for in a metric, and which values are refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np

from cxlab.core.design import DesignLike
from cxlab.core.frames import Opened, collect, open_frame
from cxlab.core.messages import got
from cxlab.core.metric import Metric

#: Lowest values beyond this are counted from themselves.
LARGE = 1000.0


def metric_value(metric: Metric, origin: float = 0.0) -> nw.Expr:
    """The metric's value for one row: 1, 0 or −1 for boxes, the score for means.

    Null where there is no answer. Means are counted from ``origin``.
    """
    score = nw.col(metric.column)
    if metric.kind == "mean" or metric.top is None:
        return score - origin if origin else score
    inside = nw.when(score.is_between(*metric.top)).then(nw.lit(1.0))
    rest: Any = nw.lit(0.0)
    if metric.kind == "net" and metric.bottom is not None:
        rest = nw.when(score.is_between(*metric.bottom)).then(nw.lit(-1.0)).otherwise(nw.lit(0.0))
    return nw.when(~score.is_null()).then(inside.otherwise(rest))


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
    return open_frame(data, numbers={"score": scores}, design=design, **columns)


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
    names = [(metric.column, metric.name or metric.kind) for metric in metrics]
    for column, name in names:
        if names.count((column, name)) > 1:
            raise ValueError(
                f"`metrics` must have one of a name per column; got '{name}' of '{column}' more "
                "than once. Leave one out, or give it another name."
            )


def check_scores(opened: Opened, metrics: Sequence[Metric]) -> list[float]:
    """Refuse scores off their scale.

    Returns
    -------
    list of float
        Where to count each metric's values from: 0 for scores; for means of large numbers
        the lowest one, because the squares of large numbers swallow their spread.
    """
    columns = list(dict.fromkeys(metric.column for metric in metrics))
    lazy = opened.lazy
    ranges = _ranges(lazy, columns)
    for metric in metrics:
        if _is_off(metric, *ranges[metric.column]):
            bad = collect(lazy.filter(_off(metric)).select(nw.col(metric.column)))
            raise ValueError(_off_scale(metric, [_plain(value) for value in bad.iloc[:, 0]]))
    lowest = [ranges[metric.column][0] for metric in metrics]
    return [
        low if metric.kind == "mean" and abs(low) > LARGE else 0.0
        for metric, low in zip(metrics, lowest, strict=True)
    ]


def _ranges(lazy: nw.LazyFrame, columns: Sequence[str]) -> dict[str, tuple[float, float, bool]]:
    """Each column's lowest and highest value (NaN: none), and whether all are whole."""
    broken = {name: nw.col(name) != nw.col(name).round(0) for name in columns}
    found = [
        *(nw.col(name).min().cast(nw.Float64) for name in columns),
        *(nw.col(name).max().cast(nw.Float64) for name in columns),
        *(nw.when(broken[name]).then(nw.lit(1.0)).max() for name in columns),
    ]
    row = collect(lazy.select(*(value.alias(f"_{i}") for i, value in enumerate(found))))
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
