"""The importance–performance map: where to look first, what to keep up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.frames import as_list
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.core.result import Result
from cxlab.stats.drivers.findings import map_findings
from cxlab.stats.drivers.replicates import normal_draws, spread, t_test
from cxlab.stats.drivers.result import DriverAnalysis, Replicates
from cxlab.stats.inference import (
    ALPHA,
    LIKELY,
    SURE,
    adjust_p_values,
    deciding_interval,
    joint_places,
)

Array = np.ndarray

#: Share of replicates up to which a driver is not the place to look first.
RULED_OUT = 0.05
#: Drivers that the main table shows whole, and rows of it for more.
MOST_SHOWN, DEFAULT_SHOWN = 15, 12


@dataclass(frozen=True, eq=False, kw_only=True)
class DriverMap(Result):
    """How much each driver counts, how it is rated, and where to look first.

    Attributes
    ----------
    table : DataFrame
        One row per driver, most important first: see `cxlab.driver_map`.
    analysis : DriverAnalysis
        What it was made from.
    metrics : tuple of Metric
        Of the drivers, for scales, targets and margins.
    margin : float or None
        As asked.
    top : float
        Best rating of the scale; 100 where drivers are on different scales; NaN: not declared.
    """

    analysis: DriverAnalysis = field(repr=False)
    metrics: tuple[Metric, ...] = ()
    margin: float | None = None
    top: float = np.nan

    def findings(
        self,
        *,
        compared: pd.DataFrame | None = None,
        shapes: Result | None = None,
        more: pd.DataFrame | None = None,
        card: Result | None = None,
        part: str = "",
        explored: bool = False,
        margin: float | None = None,
        family: Sequence[str] | None = None,
    ) -> Findings:
        """Where to look first, in sentences; decided again where margin or family differ.

        Parameters
        ----------
        compared : DataFrame, optional
            From `cxlab.compare_outcomes`.
        shapes : Result, optional
            From `cxlab.penalty_reward`.
        more : DataFrame, optional
            From `cxlab.what_if`; quoted where ``card`` has a missed target.
        card : Result, optional
            From `cxlab.scorecard`, of the outcomes.
        part : str
            Whose answers they are, in words, named in the answer; "everyone" is not.
        explored : bool
            The part was not planned: nothing is more than likely.
        margin : float, optional
            As for `cxlab.driver_map`.
        family : sequence of str, optional
            The only drivers that were in question, named before looking. Default: all.

        Returns
        -------
        Findings
            The answer is the first that holds. A driver is the place to look first: important
            and rated below its target, or at least the margin below average, in .95 of the
            replicates, with an association beyond the other ratings; it may be, in .80;
            drivers lie there, but without such an association; none is below its target; the
            answers do not single one out.

        Examples
        --------
        >>> from cxlab.stats.drivers import drivers
        >>> rng = np.random.default_rng(1)
        >>> answers = pd.DataFrame(rng.integers(1, 6, size=(300, 2)), columns=["food", "wifi"])
        >>> answers["overall"] = 3 * answers["food"] + answers["wifi"] + rng.normal(size=300)
        >>> answers["food"] -= 1
        >>> places = driver_map(drivers(answers, "overall", ["food", "wifi"], replicates=200))
        >>> print(places.findings().answer.text)
        Look first at food: it counts more than the average touchpoint and is rated 0.4 below it
        """
        asked = self.margin if margin is None else margin
        again = driver_map(self.analysis, metrics=self.metrics, margin=asked, family=family)
        changed = {
            label: (old, new)
            for label, old, new in zip(
                self.table["label"], self.table["verdict"], again.table["verdict"], strict=True
            )
            if old != new
        }
        return map_findings(
            again,
            compared=compared,
            shapes=shapes,
            more=more,
            card=card,
            part=part,
            explored=explored,
            changed=changed,
        )


def driver_map(
    analysis: DriverAnalysis,
    *,
    metrics: Sequence[Metric] = (),
    margin: float | None = None,
    family: Sequence[str] | None = None,
) -> DriverMap:
    """Importance against performance, with how sure each place is.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`, without groups.
    metrics : sequence of Metric, optional
        Of the drivers, as in ``study.metrics("touchpoint")``: their scales, and of their means
        the targets and margins. Drivers on different scales are rated from 0 to 100.
    margin : float, optional
        How far below average a driver must be rated to be looked at first, in rating points,
        declared beforehand. Default: that of each metric, otherwise 0.
    family : sequence of str, optional
        The only drivers in question; the others have no adjusted p.

    Returns
    -------
    DriverMap
        ``.table`` has one row per driver, most important first: ``driver, label, n, estimate,
        se, ci_low, ci_high`` (share of R²), ``rank, rank_low, rank_high`` (places that hold
        for all drivers at once), ``performance, performance_low, performance_high`` (mean
        rating), ``importance_cut`` (the average driver), ``performance_cut`` (the driver's
        target, or the average driver), the gaps to them with intervals that allow for the
        number of drivers (``importance_gap, importance_gap_low, importance_gap_high`` and the
        same of ``performance_gap``), ``margin``, ``fix_first`` (share of the replicates in
        which it is important and below), ``association`` beyond the other ratings ("yes" or
        "not shown"), ``p_adjusted`` (of it) and ``verdict``:

        - "look first": .95 of the replicates, an association (``p_adjusted`` below .05, and no
          suppressor) and a rating below the target, or at least the margin below average;
        - "within the margin": the same, but in these answers not so far below average, which is
          shown only where ``performance_gap_low`` is at least -``margin``;
        - "likely": .80 of the replicates and an association;
        - "association not shown": .80 of the replicates without one;
        - "not settled": more than .05 of the replicates;
        - "keep up": both gaps are shown to be above 0;
        - "not first": the others. "no interval": without replicates.

    Notes
    -----
    Importance alone does not show that a touchpoint matters: wherever ratings correlate, it
    is above 0 without any association of its own. So the verdict needs the test too.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 5],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> analysis = drivers(answers, "overall", ["food", "wifi"], replicates=200)
    >>> driver_map(analysis).table[["driver", "performance", "verdict"]]
      driver  performance      verdict
    0   food         3.00  not settled
    1   wifi         3.25    not first
    """
    if margin is not None and not margin >= 0:
        raise ValueError(f"`margin` must be 0 or more; got {margin}.")
    rows = analysis.part()
    drawn = analysis.replicates[analysis.group()]
    family = None if family is None else as_list(family)
    for name in family or ():
        if name not in set(rows["driver"]):
            raise ValueError(unknown("family", name, rows["driver"]))
    rated = _ratings(rows, drawn, metrics, margin)
    table = _table(rows, drawn, rated, analysis.level)
    table["p_adjusted"] = rows["p_adjusted"]
    if family is not None:
        chosen = rows["p_value"].where(rows["driver"].isin(family))
        table["p_adjusted"] = adjust_p_values(chosen)
    own = (table["p_adjusted"] < ALPHA) & ~rows["suppressor"]
    table["association"] = np.where(own, "yes", "not shown")
    far = np.isfinite(rated.target) | (-table["performance_gap"] >= table["margin"])
    keep = (table["importance_gap_low"] > 0) & (table["performance_gap_low"] > 0)
    known = zip(table["fix_first"], own, far, keep, strict=True)
    table["verdict"] = [_verdict(*driver) for driver in known]
    table = table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)
    return DriverMap(
        table=_displayed(table, analysis, rated.top), n_missing=analysis.n_missing, notes=analysis.notes, analysis=analysis,
        metrics=tuple(metrics), margin=margin, top=rated.top,
    )  # fmt: skip


def _displayed(table: pd.DataFrame, analysis: DriverAnalysis, top: float) -> pd.DataFrame:
    """The table as the report's main one."""
    outcome = analysis.labels.get(analysis.outcome, analysis.outcome)
    return with_display(
        table,
        caption=f"How much each touchpoint counts for {outcome}, and how it is rated",
        about="Counts for: share of what the touchpoints explain together. Rated: mean of those who "
        "used it and answered the outcome, so that the scorecard, which counts every rating, may "
        "differ a little. Lines: the average touchpoint",
        columns=("label", "estimate", "rank", "performance", "association", "verdict"),
        bar=("estimate", "performance"),
        reference={"estimate": "mean", "performance": "mean"},
        headers={
            "label": "Touchpoint", "estimate": "Counts for", "verdict": "Look first?",
            "performance": f"Rated, of {top:g}" if np.isfinite(top) else "Rated",
            "association": "Beyond the others?",
        },
        units={"estimate": "share", "importance_gap": "+share", "performance_gap": "+score"},
        highlight=tuple(table.loc[table["verdict"].isin(["look first", "likely"]), "label"]),
        top=len(table) if len(table) <= MOST_SHOWN else DEFAULT_SHOWN,
        level=analysis.level,
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Rated:
    """Mean ratings on one scale; arrays over drivers."""

    mean: Array
    replicates: Array  # (replicates, drivers)
    target: Array  # NaN: none
    margin: Array
    top: float

    def lines(self, means: Array) -> Array:
        """What each driver is compared with, shape (rows, drivers), from means of that shape."""
        known = np.isfinite(means)
        number = known.sum(axis=1, keepdims=True)
        # without a rating there is no average
        average = np.where(known, means, 0.0).sum(axis=1, keepdims=True) / np.where(
            number > 0, number, np.nan
        )
        return np.where(np.isfinite(self.target), self.target, average)


def _ratings(
    rows: pd.DataFrame, drawn: Replicates, metrics: Sequence[Metric], margin: float | None
) -> _Rated:
    """Ratings as they are; on 0 to 100 where the drivers are on different scales."""
    names = rows["driver"]
    ends = {metric.column: metric.scale for metric in metrics if metric.scale}
    means = {metric.column: metric for metric in metrics if metric.kind == "mean"}
    # none is NaN; a target of 0 is one
    target = np.array([getattr(means.get(name), "target", None) for name in names], dtype=float)
    usual = np.array(
        [
            means[name].margin
            if name in means
            else Metric(name, "mean", scale=ends.get(name)).margin
            for name in names
        ]
    )
    least = (
        np.where(np.isfinite(usual), usual, 0.0) if margin is None else np.full(len(names), margin)
    )
    mean, replicates = rows["mean"].to_numpy(dtype=float), drawn.mean
    scales = [ends.get(name, (0.0, np.nan)) for name in names]
    if len(set(scales)) == 1:
        return _Rated(mean, replicates, target, least, scales[0][1])
    low, high = np.array(scales, dtype=float).T
    unit = 100 / (high - low)
    return _Rated(
        (mean - low) * unit, (replicates - low) * unit, (target - low) * unit, least * unit, 100.0
    )


@dataclass(frozen=True, eq=False)
class _Gap:
    """Distance of each driver from its line, with replicates; arrays over drivers."""

    value: Array
    replicates: Array  # (replicates, drivers)

    def drawn(self, kind: str) -> Array:
        """Replicates; normal draws that stand in for a jackknife's."""
        return normal_draws(self.value, self.replicates) if kind == "jackknife" else self.replicates


def _table(rows: pd.DataFrame, drawn: Replicates, rated: _Rated, level: float) -> pd.DataFrame:
    """Share and rating of each driver, beside the lines that divide the map."""
    share = rows["share"].to_numpy(dtype=float)
    shares = spread(share, drawn.share, drawn.kind, df=drawn.df, level=level)
    ratings = spread(rated.mean, rated.replicates, drawn.kind, df=drawn.df, level=level)
    across, down = share.mean(), rated.lines(rated.mean[None])[0]
    drawn_across = drawn.share.mean(axis=1, keepdims=True)
    more = _Gap(share - across, drawn.share - drawn_across)
    better = _Gap(rated.mean - down, rated.replicates - rated.lines(rated.replicates))
    return rows[["driver", "label", "n"]].assign(
        estimate=share, **shares.columns(), **_places(share, drawn, level),
        performance=rated.mean, **ratings.limits("performance"),
        importance_cut=float(across), performance_cut=down, **_gaps(more, better, drawn, level),
        margin=rated.margin, fix_first=_fix_first(more, better, drawn),
    )  # fmt: skip


def _gaps(more: _Gap, better: _Gap, drawn: Replicates, level: float) -> dict[str, Array]:
    """Both distances, with intervals that decide together what to keep up."""
    pairs = {"importance_gap": more, "performance_gap": better}
    se = {
        name: spread(gap.value, gap.replicates, drawn.kind, df=drawn.df, level=level).se
        for name, gap in pairs.items()
    }
    # both must be shown, so that the larger p decides
    p = np.maximum(*(t_test(gap.value, se[name], drawn.df) for name, gap in pairs.items()))
    found: dict[str, Array] = {}
    for name, gap in pairs.items():
        low, high = deciding_interval(gap.value, se[name], drawn.df, p, adjust_p_values(p))
        found |= {name: gap.value, f"{name}_low": low, f"{name}_high": high}
    return found


def _places(share: Array, drawn: Replicates, level: float) -> dict[str, Array]:
    """Places that hold for all drivers at once."""
    names = ("rank", "rank_low", "rank_high")
    replicates = _Gap(share, drawn.share).drawn(drawn.kind)
    if drawn.kind == "none" or drawn.df < 1 or len(replicates) < 2 or np.isnan(share).all():
        return {name: pd.array([pd.NA] * len(share), dtype="Int64") for name in names}
    found = joint_places(share, replicates, np.full(len(share), drawn.df), level=level)
    return {name: found[name].array for name in names}


def _fix_first(more: _Gap, better: _Gap, drawn: Replicates) -> Array:
    """Share of the replicates in which a driver is important and rated below its line."""
    if drawn.kind == "none" or drawn.df < 1 or len(more.replicates) == 0:
        return np.full(len(more.value), np.nan)
    importances, ratings = more.drawn(drawn.kind), better.drawn(drawn.kind)
    finite = np.isfinite(importances).all(axis=1) & np.isfinite(ratings).all(axis=1)
    return np.asarray(((importances > 0) & (ratings <= 0))[finite].mean(axis=0))


def _verdict(share: float, own: bool, far_below: bool, keep_up: bool) -> str:
    if np.isnan(share):
        return "no interval"
    if share <= RULED_OUT:
        return "keep up" if keep_up else "not first"
    if share < LIKELY:
        return "not settled"
    if not own:
        return "association not shown"
    if share < SURE:
        return "likely"
    return "look first" if far_below else "within the margin"
