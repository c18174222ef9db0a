"""Each touchpoint on its own: who used it, who rated it, and how well."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.frames import Opened, as_list, collect, column_names, open_frame, scan
from cxlab.core.metric import Metric
from cxlab.stats.metrics.estimates import estimate_each

Range = tuple[float, float]

#: Reasons that mean the customer was not at the touchpoint, or was not asked.
NOT_USED = ("never used", "not asked")

FEW_RATINGS = 30


def touchpoint_scores(
    data: Any,
    touchpoints: str | Sequence[str],
    *,
    scale: Range | None = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean, floor and ceiling of every touchpoint, among those who rated it.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer. Beside a rating column ``x`` there may
        be a text column ``x_missing`` with the reason for a missing rating.
    touchpoints : str or sequence of str
        Rating columns; null or NaN: not rated.
    scale : (low, high), optional
        Ends of the scale; default the lowest and highest rating of any touchpoint.
    design : Design or mapping, optional
        The survey design.
    level : float

    Returns
    -------
    DataFrame
        One row per touchpoint: ``touchpoint``; ``n`` (rated it); ``estimate``, ``se``,
        ``ci_low``, ``ci_high`` of the mean, in scale units; ``n_used`` (those not marked
        "never used" or "not asked"; equal to ``n`` where no reasons are recorded),
        ``use_recorded``; ``floor`` and ``ceiling``, per cent at the ends of the scale;
        ``note``.

    Raises
    ------
    ValueError
        For unknown columns.
    TypeError
        For text ratings.

    Notes
    -----
    A touchpoint that was not used is neither zero nor missing at random: means are among
    those who rated it.

    Examples
    --------
    >>> answers = pd.DataFrame({"store": [None, 3, 10, 10, 1]})
    >>> touchpoint_scores(answers, "store")[["n", "estimate"]].values.tolist()
    [[4.0, 6.0]]
    """
    names = as_list(touchpoints)
    opened = open_answers(data, {"touchpoints": names}, design)
    low, high = scale or observed_scale(opened.lazy, names)
    metrics = [Metric(name, "mean") for name in names]
    metrics += [Metric(name, "box", top=(end, end)) for end in (low, high) for name in names]
    found = estimate_each(opened, metrics, groupings=[None], level=level)[0]
    size = len(names)
    mean, floor, ceiling = (
        found.iloc[start : start + size].reset_index(drop=True)
        for start in range(0, 3 * size, size)
    )
    used = count_use(opened, names)
    table = pd.DataFrame({"touchpoint": names})
    shown = ["n", "estimate", "se", "ci_low", "ci_high"]
    table[shown] = mean[shown]
    table[["n_used", "use_recorded"]] = used[["n_used", "use_recorded"]].to_numpy()
    table["floor"], table["ceiling"] = floor["estimate"], ceiling["estimate"]
    table["note"] = [_note(*row) for row in zip(table["n"], mean["note"], strict=True)]
    return table.astype({"n_used": int, "use_recorded": bool})


def open_answers(data: Any, numbers: dict[str, list[str]], design: DesignLike) -> Opened:
    """Ratings with the reasons beside them: see `cxlab.core.frames.open_frame`."""
    names = [f"{name}_missing" for part in numbers.values() for name in part]
    present = set(column_names(data))
    reasons = [name for name in names if name in present]
    return open_frame(data, numbers=numbers, design=design, reasons=reasons)


def observed_scale(data: Any, columns: Sequence[str]) -> Range:
    """Lowest and highest value of any of the columns; (0, 1) if there is none.

    Examples
    --------
    >>> observed_scale(pd.DataFrame({"a": [2, 5], "b": [1, None]}), ["a", "b"])
    (1.0, 5.0)
    """
    values = [nw.col(name).cast(nw.Float64) for name in columns]
    ends = [value.min().alias(f"low_{i}") for i, value in enumerate(values)]
    ends += [value.max().alias(f"high_{i}") for i, value in enumerate(values)]
    found = collect(scan(data, columns).select(*ends)).iloc[0].astype(float).dropna()
    return (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)


def count_use(opened: Opened, touchpoints: Sequence[str]) -> pd.DataFrame:
    """Rows of positive weight that used and that rated each touchpoint.

    Returns
    -------
    DataFrame
        Index: the touchpoint; ``n_used``, ``n_rated``, ``use_recorded``.
    """
    present = opened.columns["reasons"]
    weight = nw.col(opened.design.weights) if opened.design.weights else nw.lit(1.0)
    sums, recorded = [], [f"{name}_missing" in present for name in touchpoints]
    for i, name in enumerate(touchpoints):
        rated = ~nw.col(name).is_null() & (weight > 0)
        used = rated
        if recorded[i]:
            reason = nw.col(f"{name}_missing").cast(nw.String)
            absent = reason.is_null() | reason.is_in(NOT_USED)
            used = rated | (~absent & (weight > 0))
        sums += [_count(used).alias(f"used_{i}"), _count(rated).alias(f"rated_{i}")]
    found = collect(opened.lazy.select(*sums)).iloc[0].fillna(0).astype(int)
    size = range(len(touchpoints))
    counts = {kind: [found[f"{kind}_{i}"] for i in size] for kind in ("used", "rated")}
    table = pd.DataFrame({"n_used": counts["used"], "n_rated": counts["rated"]}, index=touchpoints)
    return table.assign(use_recorded=recorded)


def _count(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


def _note(n: int, design_note: str) -> str:
    if n == 0:
        return "nobody rated it"
    few = f"only {n} rated it" if n < FEW_RATINGS else ""
    return "; ".join(part for part in (few, design_note) if part)
