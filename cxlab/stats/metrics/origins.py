"""Sums of metrics, counted from near the values: the squares of large ones lose digits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np

from cxlab.core.frames import Opened, as_list
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals, survey_totals
from cxlab.stats.metrics.values import LARGE, check_scores, metric_value

By = str | Sequence[str] | None

#: A mean so many standard deviations from the origin leaves its variance eight digits.
FAR = 1e4
#: A standard deviation this small beside the mean is rounding.
ALIKE = 1e-6
#: The same of sums over many rows: their variance beside their mean square.
ALIKE_SUMS = 1e-10


def metric_totals(
    opened: Opened, metrics: Sequence[Metric], groupings: Sequence[By]
) -> list[tuple[Totals, np.ndarray]]:
    """Totals of every metric for each way of grouping, and what their values are counted from.

    One query; a second one where a group's mean lies so far from the common origin that its
    variance would be rounding.

    Returns
    -------
    list of (Totals, ndarray of shape (metrics, groups))
        Scores are named by their place among the metrics.
    """
    common = np.array(check_scores(opened, metrics))
    values = {str(i): metric_value(metric, common[i]) for i, metric in enumerate(metrics)}
    found = []
    each = survey_totals(opened, values, groupings)
    for by, totals in zip(groupings, each, strict=True):
        origins = np.repeat(common[:, None], len(totals.groups), axis=1)
        far = [i for i, one in enumerate(metrics) if one.kind == "mean" and _is_far(totals, i)]
        if far and as_list(by):
            totals, origins[far] = _from_own_origins(opened, metrics, values, far, by)
        found.append((totals, origins))
    return found


def all_alike(n: Any, y: Any, yy: Any) -> Any:
    """Whether all values are one, from their unweighted sums.

    A variance of 0 is no sign of it: rounding leaves one above 0, and clusters of one mean
    have none between them.
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
    opened: Opened, metrics: Sequence[Metric], values: dict[str, nw.Expr], far: list[int], by: By
) -> tuple[Totals, np.ndarray]:
    """Totals of all metrics, of some counted from each group's lowest value, and these."""
    lowest = {}
    for i in far:
        score = nw.col(metrics[i].column)
        # whole, so that the mean of many is itself to the last digit
        own = score.min().over(*as_list(by)).round(0)
        values = values | {str(i): score - own}
        lowest[f"lowest_{i}"] = nw.when(~score.is_null()).then(own)
    (totals,) = survey_totals(opened, values | lowest, [by])
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
