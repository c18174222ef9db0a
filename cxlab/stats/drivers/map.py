"""The importance–performance map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cxlab.core.result import Result
from cxlab.stats.drivers.replicates import normal_draws, spread
from cxlab.stats.drivers.result import DriverAnalysis, Replicates

Array = np.ndarray

#: Bootstrap share from which a place is clear, and up to which it is ruled out: at a tie a
#: share of .8 would be a one-sided test at 20 %, however many answers there are.
CLEAR, UNCLEAR = 0.95, 0.05
#: Level of the adjusted test of an association of its own.
LEVEL = 0.05

#: Important and well rated, or not, to the quadrant.
QUADRANTS = {
    (True, False): "fix first",
    (True, True): "keep up",
    (False, False): "fix later",
    (False, True): "leave",
}


@dataclass(frozen=True)
class _Cuts:
    """Declared dividing lines; None: the mean over the drivers."""

    importance: float | None
    performance: float | None

    def of(self, importance: Array, performance: Array) -> tuple[Array, Array]:
        """Dividing lines of each replicate, shape (replicates, 1)."""
        return _line(importance, self.importance), _line(performance, self.performance)


def _line(values: Array, cut: float | None) -> Array:
    if cut is None:
        return np.asarray(np.nanmean(values, axis=1, keepdims=True))
    return np.full((len(values), 1), cut)


def driver_map(
    analysis: DriverAnalysis,
    *,
    importance_cut: float | None = None,
    performance_cut: float | None = None,
    performance_margin: float = 0.0,
    group: object = None,
) -> Result:
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
    Result
        ``.table`` has one row per driver, most important first: ``driver, label, n, estimate, se,
        ci_low, ci_high`` (importance as a share of R²), ``performance,
        performance_low, performance_high, importance_cut, performance_cut, quadrant``
        where the estimates lie ("fix first": important, low; "keep up": important, high;
        "fix later": less important, low; "leave"), ``fix_first`` (share of replicates in
        the first), ``verdict`` and ``p_adjusted`` (of the driver's association beyond the
        other ratings). The verdict is "fix first" with .95 or more of the replicates,
        ``p_adjusted`` below .05 (and no suppressor) and a performance at least the margin
        below the cut; "association not shown" or "within the margin" where only that is
        missing; "undecided" above .05 of the replicates, otherwise "not first". Without
        replicates ``fix_first`` is blank and the verdict "no interval".

    Notes
    -----
    Importance alone does not show that a touchpoint matters: wherever ratings correlate, it
    is above 0 without any association of its own. So the verdict needs the test too.

    Examples
    --------
    >>> import pandas as pd
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 5],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> analysis = drivers(answers, "overall", ["food", "wifi"], replicates=200)
    >>> driver_map(analysis).table[["driver", "performance", "quadrant", "verdict"]]
      driver  performance   quadrant    verdict
    0   food         3.00  fix first  undecided
    1   wifi         3.25      leave  not first
    """
    if not performance_margin >= 0:
        raise ValueError(f"`performance_margin` must be 0 or more; got {performance_margin}.")
    rows = analysis.part(group)
    drawn = analysis.replicates[analysis.group(group)]
    options = {"df": drawn.df, "level": analysis.level}
    importance, performance = (rows[name].to_numpy(dtype=float) for name in ("share", "mean"))
    shares = spread(importance, drawn.share, drawn.kind, **options)
    around = spread(performance, drawn.mean, drawn.kind, **options)
    cuts = _Cuts(importance_cut, performance_cut)
    across, down = (float(cut[0, 0]) for cut in cuts.of(importance[None], performance[None]))
    places = zip((importance > across).tolist(), (performance > down).tolist(), strict=True)
    table = rows[["driver", "label", "n"]].assign(
        estimate=importance,
        **shares.columns(),
        performance=performance,
        **around.limits("performance"),
        importance_cut=across,
        performance_cut=down,
        quadrant=[QUADRANTS[place] for place in places],
        fix_first=_fix_first(importance, performance, drawn, cuts),
    )
    own = (rows["p_adjusted"] < LEVEL) & ~rows["suppressor"]
    far = down - performance >= performance_margin
    known = zip(table["fix_first"], own, far, strict=True)
    table["verdict"] = [_verdict(*driver) for driver in known]
    table["p_adjusted"] = rows["p_adjusted"]
    table = table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)
    return Result(table=table, n_missing=analysis.n_missing, notes=analysis.notes)


def _fix_first(importance: Array, performance: Array, drawn: Replicates, cuts: _Cuts) -> Array:
    """Share of the replicates in which a driver is important and rated low."""
    if drawn.kind == "none" or drawn.df < 1 or len(drawn.share) == 0:
        return np.full(len(importance), np.nan)
    importances, performances = drawn.share, drawn.mean
    if drawn.kind == "jackknife":
        importances = normal_draws(importance, importances)
        performances = normal_draws(performance, performances)
    finite = np.isfinite(importances).all(axis=1) & np.isfinite(performances).all(axis=1)
    importances, performances = importances[finite], performances[finite]
    across, down = cuts.of(importances, performances)
    return np.asarray(((importances > across) & (performances <= down)).mean(axis=0))


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
