"""The importance–performance map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.uncertainty import spread

Array = np.ndarray

#: Bootstrap share from which a place is clear, and up to which it is ruled out: at a tie a
#: share of .8 would be a one-sided test at 20 %, however many answers there are.
CLEAR, UNCLEAR = 0.95, 0.05
#: Level of the adjusted test of an association of its own.
LEVEL = 0.05
#: Normal draws that stand in for replicates after a jackknife.
DRAWS = 4000

QUADRANTS = {
    (True, False): "fix first",
    (True, True): "keep up",
    (False, False): "fix later",
    (False, True): "leave",
}


@dataclass(frozen=True, eq=False)
class _Map:
    """Importance and performance with replicates; arrays over drivers."""

    importance: Array
    importances: Array
    performance: Array
    performances: Array


def driver_map(
    analysis: DriverAnalysis,
    *,
    importance_cut: float | None = None,
    performance_cut: float | None = None,
    performance_margin: float = 0.0,
    group: object = None,
) -> pd.DataFrame:
    """Importance against performance, with how sure each quadrant is.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`.
    importance_cut, performance_cut : float, optional
        Where to divide, in share of R² and in mean rating. Default: the means over
        drivers, found again in every replicate.
    performance_margin : float
        How far below the performance cut a driver must be rated to be looked at first, in
        rating points, declared beforehand.
    group : optional
        With ``by``: which group.

    Returns
    -------
    DataFrame
        One row per driver, most important first: ``driver, label, n, estimate, se,
        ci_low, ci_high`` (importance as a share of R²), ``performance,
        performance_low, performance_high, importance_cut, performance_cut, quadrant``
        where the estimates lie ("fix first": important, low; "keep up": important, high;
        "fix later": less important, low; "leave"), ``fix_first`` (share of replicates in
        the first), ``verdict`` and ``p_adjusted`` (of the driver's association beyond the
        other ratings). The verdict is "fix first" with .95 or more of the replicates,
        ``p_adjusted`` below .05 (and no suppressor) and the margin kept; "association not shown" or "within
        the margin" where only that is wanting; "undecided" above .05 of the replicates,
        otherwise "not first". Without replicates ``fix_first`` is blank and the verdict
        "no interval".

    Notes
    -----
    Importance alone is no sign that a touchpoint matters: it is above 0 without any
    association of its own, wherever ratings go together. So the call needs the test too.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 5],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> analysis = drivers(answers, "overall", ["food", "wifi"], replicates=200)
    >>> driver_map(analysis)[["driver", "performance", "quadrant", "verdict"]]
      driver  performance   quadrant    verdict
    0   food         3.00  fix first  undecided
    1   wifi         3.25      leave  not first
    """
    if not performance_margin >= 0:
        raise ValueError(f"`performance_margin` must be 0 or more; got {performance_margin}.")
    rows = analysis.part(group)
    drawn = analysis.replicates[analysis.group(group)]
    points = _Map(
        rows["share"].to_numpy(dtype=float),
        drawn.share,
        rows["mean"].to_numpy(dtype=float),
        drawn.mean,
    )
    around = spread(
        points.performance, points.performances, drawn.kind, df=drawn.df, level=analysis.level
    )
    table = rows[["driver", "label", "n"]].copy()
    shares = spread(
        points.importance, points.importances, drawn.kind, df=drawn.df, level=analysis.level
    )
    table["estimate"], table["se"] = points.importance, shares.se
    table["ci_low"], table["ci_high"] = shares.low, shares.high
    table["performance"] = points.performance
    table["performance_low"], table["performance_high"] = around.low, around.high
    cuts = _cuts(points.importance[None], points.performance[None], importance_cut, performance_cut)
    table["importance_cut"], table["performance_cut"] = cuts[0][0, 0], cuts[1][0, 0]
    important, high = points.importance > cuts[0][0, 0], points.performance > cuts[1][0, 0]
    table["quadrant"] = [
        QUADRANTS[key] for key in zip(important.tolist(), high.tolist(), strict=True)
    ]
    kind = drawn.kind if drawn.df >= 1 else "none"
    table["fix_first"] = _fix_first(points, kind, importance_cut, performance_cut)
    own = (rows["p_adjusted"] < LEVEL) & ~rows["suppressor"]
    far = cuts[1][0, 0] - points.performance >= performance_margin
    known = zip(table["fix_first"], own, far, strict=True)
    table["verdict"] = [_verdict(*driver) for driver in known]
    table["p_adjusted"] = rows["p_adjusted"]
    return table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)


def _cuts(
    importance: Array,
    performance: Array,
    importance_cut: float | None,
    performance_cut: float | None,
) -> tuple[Array, Array]:
    """Dividing lines of each replicate, shape (replicates, 1)."""
    blank = np.ones((len(importance), 1))
    across = blank * importance_cut if importance_cut is not None else _mean(importance)
    down = blank * performance_cut if performance_cut is not None else _mean(performance)
    return across, down


def _mean(values: Array) -> Array:
    return np.asarray(np.nanmean(values, axis=1, keepdims=True))


def _fix_first(
    points: _Map, kind: str, importance_cut: float | None, performance_cut: float | None
) -> Array:
    if kind == "none" or len(points.importances) == 0:
        return np.full(len(points.importance), np.nan)
    importances, performances = points.importances, points.performances
    if kind == "jackknife":
        importances, performances = _draws(points)
    finite = np.isfinite(importances).all(axis=1) & np.isfinite(performances).all(axis=1)
    importances, performances = importances[finite], performances[finite]
    across, down = _cuts(importances, performances, importance_cut, performance_cut)
    return np.asarray(((importances > across) & (performances <= down)).mean(axis=0))


def _draws(points: _Map) -> tuple[Array, Array]:
    """Normal draws with the jackknife's joint covariance."""
    blocks = len(points.importances)
    noise = np.random.default_rng(0).normal(size=(DRAWS, blocks))
    scale = np.sqrt((blocks - 1) / blocks)
    importances = points.importance + noise @ (points.importances - points.importance) * scale
    performances = points.performance + noise @ (points.performances - points.performance) * scale
    return importances, performances


def _verdict(share: float, own: bool, far_below: bool) -> str:
    if np.isnan(share):
        return "no interval"
    if share <= UNCLEAR:
        return "not first"
    if share < CLEAR:
        return "undecided"
    if not own:
        return "association not shown"
    return "fix first" if far_below else "within the margin"
