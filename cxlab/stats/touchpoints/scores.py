"""Each touchpoint on its own: who used it, who rated it, and how well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import as_list, check_columns, collect, column_names, scan
from cxlab.core.metric import Metric
from cxlab.stats.metrics import estimate_metrics

Range = tuple[float, float]

#: Reasons that mean the customer was not at the touchpoint, or was not asked.
NOT_USED = ("never used", "not asked")

FEW_RATINGS = 30


def touchpoint_scores(
    data: Any,
    touchpoints: str | Sequence[str],
    *,
    scale: Range | None = None,
    top_box: Range | Mapping[str, Range] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean, top box, floor and ceiling of every touchpoint, among those who rated it.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer. Beside a rating column ``x`` there may
        be a text column ``x_missing`` with the reason for a missing rating.
    touchpoints : str or sequence of str
        Rating columns; null or NaN: not rated.
    scale : (low, high), optional
        Ends of the scale; default the lowest and highest rating of any touchpoint.
    top_box : (low, high) or mapping of touchpoint to (low, high), optional
        Ratings that count as good, such as ``(4, 5)``; default none.
    design : Design or mapping, optional
        The survey design.
    level : float

    Returns
    -------
    DataFrame
        One row per touchpoint: ``touchpoint``; ``n`` (rated it); ``estimate``, ``se``,
        ``ci_low``, ``ci_high`` of the mean, in scale units; ``n_used`` (those not marked
        "never used" or "not asked"; equal to ``n`` where no reasons are recorded),
        ``use_recorded``; ``top_box``, ``top_box_low``, ``top_box_high`` in per cent (if
        asked for); ``floor`` and ``ceiling``, per cent at the ends of the scale; ``note``.

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
    touchpoints = as_list(touchpoints)
    design = as_design(design)
    check_columns(data, {"touchpoints": touchpoints, **design.columns()})
    ends = scale or observed_scale(data, touchpoints)
    boxes = _boxes(touchpoints, top_box)
    metrics = [Metric(name, "mean") for name in touchpoints]
    metrics += [Metric(name, "box", top=boxes[name]) for name in touchpoints if boxes[name]]
    estimates = estimate_metrics(data, metrics, design=design, level=level)
    mean = estimates.iloc[: len(touchpoints)].reset_index(drop=True)
    table = pd.DataFrame({"touchpoint": touchpoints})
    table[["n", "estimate", "se", "ci_low", "ci_high"]] = mean[
        ["n", "estimate", "se", "ci_low", "ci_high"]
    ]
    counted = _count_use(data, touchpoints, design, ends)
    table = table.merge(counted[["touchpoint", "n_used", "use_recorded"]], on="touchpoint")
    if top_box is not None:
        table = table.merge(_top_boxes(estimates.iloc[len(touchpoints) :]), how="left")
    table[["floor", "ceiling"]] = counted[["floor", "ceiling"]]
    table["note"] = [_note(*row) for row in zip(table["n"], mean["note"], strict=True)]
    return table


def observed_scale(data: Any, columns: Sequence[str]) -> Range:
    """Lowest and highest value of any of the columns; (0, 1) if there is none.

    Examples
    --------
    >>> observed_scale(pd.DataFrame({"a": [2, 5], "b": [1, None]}), ["a", "b"])
    (1.0, 5.0)
    """
    lazy = scan(data, columns)
    ends = [nw.col(name).cast(nw.Float64).min().alias(f"low_{i}") for i, name in enumerate(columns)]
    ends += [
        nw.col(name).cast(nw.Float64).max().alias(f"high_{i}") for i, name in enumerate(columns)
    ]
    found = collect(lazy.select(*ends)).iloc[0].astype(float).dropna()
    return (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)


def _boxes(
    touchpoints: Sequence[str], top_box: Range | Mapping[str, Range] | None
) -> dict[str, Range | None]:
    if isinstance(top_box, Mapping):
        stray = [name for name in top_box if name not in touchpoints]
        if stray:
            raise ValueError(
                f"`top_box` must be for touchpoints; got '{stray[0]}'. Give one range for all, "
                "such as (4, 5), or one for each touchpoint."
            )
        return {name: top_box.get(name) for name in touchpoints}
    if top_box is not None and not (len(top_box) == 2 and top_box[0] <= top_box[1]):
        raise ValueError(
            f"`top_box` must be a range (low, high); got {top_box}. For the best two of five "
            "write top_box=(4, 5)."
        )
    return dict.fromkeys(touchpoints, top_box)


def _top_boxes(estimates: pd.DataFrame) -> pd.DataFrame:
    names = {
        "column": "touchpoint",
        "estimate": "top_box",
        "ci_low": "top_box_low",
        "ci_high": "top_box_high",
    }
    return estimates[list(names)].rename(columns=names)


def _count_use(data: Any, touchpoints: Sequence[str], design: Design, ends: Range) -> pd.DataFrame:
    """Users of each touchpoint, and the shares of its ratings at the ends of the scale."""
    present = set(column_names(data))
    reasons = [name for name in touchpoints if f"{name}_missing" in present]
    columns = [*touchpoints, *(f"{name}_missing" for name in reasons)]
    weights = [design.weights] if design.weights else []
    lazy = scan(data, [*columns, *weights])
    weight = nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)
    sums = []
    for i, name in enumerate(touchpoints):
        score = nw.col(name).cast(nw.Float64)
        rated = (~score.is_null()) & (weight > 0)
        used = rated
        if name in reasons:
            reason = nw.col(f"{name}_missing").cast(nw.String)
            used = rated | ((~reason.is_null()) & (~reason.is_in(NOT_USED)) & (weight > 0))
        sums.append(_sum_where(used, nw.lit(1.0)).alias(f"used_{i}"))
        sums.append(_sum_where(rated, weight).alias(f"rated_{i}"))
        sums.append(_sum_where(rated & (score == ends[0]), weight).alias(f"floor_{i}"))
        sums.append(_sum_where(rated & (score == ends[1]), weight).alias(f"ceiling_{i}"))
    found = collect(lazy.select(*sums)).iloc[0].fillna(0)
    rows = [
        {
            "touchpoint": name,
            "n_used": int(found[f"used_{i}"]),
            "use_recorded": name in reasons,
            "floor": _per_cent(found[f"floor_{i}"], found[f"rated_{i}"]),
            "ceiling": _per_cent(found[f"ceiling_{i}"], found[f"rated_{i}"]),
        }
        for i, name in enumerate(touchpoints)
    ]
    return pd.DataFrame(rows)


def _sum_where(condition: nw.Expr, value: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(value).otherwise(nw.lit(0.0)).sum()


def _per_cent(part: float, whole: float) -> float:
    return 100 * part / whole if whole > 0 else float("nan")


def _note(n: int, design_note: str) -> str:
    if n == 0:
        return "nobody rated it"
    few = f"only {n} rated it" if n < FEW_RATINGS else ""
    return "; ".join(part for part in (few, design_note) if part)
