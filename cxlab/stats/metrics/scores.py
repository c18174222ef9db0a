"""NPS and top box of one column: one row per group, with its interval."""

from __future__ import annotations

from typing import Any

import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.metric import Metric, nps_metric
from cxlab.stats.metrics.estimates import estimate_metrics
from cxlab.stats.metrics.values import By

Range = tuple[float, float]

#: What the boxes of an NPS are called.
NPS_NAMES = {
    "tops": "promoters",
    "middles": "passives",
    "bottoms": "detractors",
    "top_share": "promoter_share",
    "middle_share": "passive_share",
    "bottom_share": "detractor_share",
}
#: Columns of `estimate_metrics` that one score of one column does not need.
NAMES = ("column", "metric", "unit", "unweighted")
#: Columns that speak of three boxes.
MIDDLES = ("middles", "bottoms", "top_share", "middle_share", "bottom_share")


def nps(
    data: Any,
    score: str,
    *,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Net Promoter Score of each group.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame, one row per answer.
    score : str
        Column of likelihood to recommend, whole numbers 0 to 10. Null or NaN: no answer,
        counted in ``n_missing`` and otherwise left out.
    by : str or list of str, optional
        Column(s) that make the groups; a row with a null there is in no group.
    design : Design or mapping, optional
        The survey design, such as ``study.design`` (see `cxlab.core.design.Design`).
        A group is a domain: strata and clusters stay whole.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n`` (valid answers), ``promoters``
        (9–10), ``passives`` (7–8), ``detractors`` (0–6) as counts of answers,
        ``estimate``, ``se``, ``ci_low``, ``ci_high`` in points from −100 to 100; then
        ``promoter_share``, ``passive_share``, ``detractor_share`` (weighted, 0 to 1),
        ``deff``, ``n_eff``, ``df``, ``n_missing``, ``n_ungrouped`` (with
        ``by``: valid answers in no group) and ``note``.

    Raises
    ------
    ValueError
        For a column that is not there, a score off the scale, a bad weight.
    TypeError
        For text scores.

    Notes
    -----
    With shares p of promoters and d of detractors the score is ``p − d`` with variance
    ``(p + d − (p − d)²)/n``. Under a design the variance is Taylor-linearised, ``deff``
    is its ratio to the simple one, and the interval (Tango's) uses the effective sample size
    ``min(n, (n/deff)·(t_{n−1}/t_df)²)``. Fewer than 8 degrees of freedom are noted; below
    1 there is no interval and the note says why.

    References
    ----------
    Reichheld (2003), Harvard Business Review 81(12). Rocks (2016), American Statistician
    70, 365–372. Tango (1998), Statistics in Medicine 17, 891–908. Korn & Graubard (1998),
    Survey Methodology 24, 193–201.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 10, 9, 8, 7, 3]})
    >>> nps(answers, "recommend")[["n", "promoters", "detractors", "estimate"]].round(2)
       n  promoters  detractors  estimate
    0  6          3           1     33.33
    """
    table = estimate_metrics(data, [nps_metric(score)], by=by, design=design, level=level)
    return table.drop(columns=[*NAMES]).rename(columns=NPS_NAMES)


def top_box(
    data: Any,
    score: str,
    *,
    top: Range,
    scale: Range | None = None,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Per cent of answers in the top box, the usual CSAT.

    Parameters
    ----------
    data, score, by, design, level
        As for `nps`.
    top : (low, high)
        Closed range of scores that count, such as ``(4, 5)`` on a 1–5 scale.
    scale : (low, high), optional
        Whole numbers that a score may be; anything else is refused.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n``, ``tops`` (answers in the box),
        ``estimate``, ``se``, ``ci_low``, ``ci_high`` in per cent, 0 to 100; then ``deff``,
        ``n_eff``, ``df``, ``n_missing``, ``note``.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 4, 2]})
    >>> top_box(answers, "overall", top=(4, 5))["estimate"].item()
    75.0
    """
    pair = isinstance(top, tuple | list) and len(top) == 2 and top[0] <= top[1]
    if not pair or (scale and not (scale[0] <= top[0] and top[1] <= scale[1])):
        within = f" within the scale {scale[0]} to {scale[1]}" if scale else ""
        raise ValueError(
            f"`top` must be a range (low, high){within}; got {top}. "
            "For the best two of five write top=(4, 5)."
        )
    metric = Metric(score, "box", top=top, scale=scale)
    table = estimate_metrics(data, [metric], by=by, design=design, level=level)
    return table.drop(columns=[*NAMES, *MIDDLES])
