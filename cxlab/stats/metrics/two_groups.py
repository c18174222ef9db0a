"""The difference of two groups with interval and test: independent samples, or under a design.

statsmodels compares two shares or two means of independent answers; it has neither net scores
nor groups that share clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from cxlab.core.design import Design
from cxlab.core.metric import Metric
from cxlab.core.phrases import joined
from cxlab.core.totals import Totals
from cxlab.stats.inference import PSEUDO_EXTREME, PSEUDO_TOTAL, normal_quantile, t_quantile
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.metrics.values import all_alike
from cxlab.stats.variance import Spread, Units, contrast_spread, effective_sample_size

#: Facts of a difference that are in the metric's unit.
IN_UNITS = ("estimate", "se", "ci_low", "ci_high")
#: Below this size of the smaller group a difference is tested by permutation.
SMALL_GROUP = 30
#: Pseudo-answers of a group, their sum and their sum of squares. A net score gets 3/4 promoter,
#: 3/2 passive, 3/4 detractor; a share one answer inside the box and one outside.
PSEUDO = {"net": (PSEUDO_TOTAL, 0.0, 2 * PSEUDO_EXTREME), "box": (2.0, 1.0, 1.0)}
LINEARISED = "linearised"
#: Two clusters have one degree of freedom, but for rounding.
ONE_DEGREE = 1 + 1e-6
#: A variance this far below what independent answers would have is rounding of none.
NO_SPREAD = 1e-14
#: With fewer answers that differ from the rest the variance of a score is not known: of sixty
#: answers with five that differ, 8.6 % of true nulls were rejected.
FEWEST_DIFFERENT = 10
DIFFERENT_SHARE = 0.1
ALIKE, NEARLY = "every answer of a group is alike", "nearly every answer of a group is alike"


def simple_difference(
    both: pd.DataFrame, metric: Metric, level: float, apart: float = 0.0
) -> dict[str, Any]:
    """The difference of two independent groups: adjusted-Wald of scores and shares, Welch of means.

    ``both`` has two rows of ``n, y, yy`` (answers, their sum and sum of squares); ``apart`` is, of a
    mean, the origin of the first group's values less that of the second. As of `tested_difference`.
    """
    if metric.kind == "mean":
        return _welch(both, level, apart)
    n, more = both["n"].where(both["n"] > 0), PSEUDO[metric.kind]
    total = n + more[0]
    share = (both["y"] + more[1]) / total
    variance = ((both["yy"] + more[2]) / total - share**2).clip(lower=0) / total
    raw = both["y"] / n
    found = tested_difference(
        share[0] - share[1], variance[0] + variance[1], np.inf, level, "adjusted-wald"
    )
    # the interval and the test are the adjusted ones, the difference is that observed
    return {**found, "estimate": raw[0] - raw[1]}


def _welch(both: pd.DataFrame, level: float, apart: float) -> dict[str, Any]:
    n = both["n"].where(both["n"] > 1)
    means = both["y"] / n
    alike = (all_alike(both["n"], both["y"], both["yy"]) & n.notna()).to_numpy()
    spread = (
        ((both["yy"] / n - means**2).clip(lower=0) / (n - 1)).mask(alike, 0.0).to_numpy(copy=True)
    )
    if alike.sum() == 1:
        # no spread among a group's answers is no certainty about others
        together = pooled_variance(both["n"], both["y"], both["yy"], apart)
        spread[alike] = together / n.to_numpy()[alike]
    df = satterthwaite(spread, (n - 1).to_numpy())
    return tested_difference(
        float(means[0] - means[1]) + apart, float(spread.sum()), df, level, "welch"
    )


def pooled_variance(n: Any, y: Any, yy: Any, apart: float) -> float:
    """Variance of two groups' answers together, the first counted from further on by ``apart``."""
    n, y, yy = (np.asarray(sums, dtype=float) for sums in (n, y, yy))
    move = np.array([apart, 0.0])
    squares = (yy + 2 * move * y + move**2 * n).sum()
    total, size = (y + move * n).sum(), n.sum()
    return float(max(squares - total**2 / size, 0.0) / (size - 1))


def satterthwaite(variances: np.ndarray, df: np.ndarray) -> float:
    """Degrees of freedom of a sum of independent variances; NaN where it is 0."""
    total = float(variances.sum())
    return total**2 / float((variances**2 / df).sum()) if total > 0 else np.nan


def tested_difference(
    difference: float, variance: float, df: float, level: float, method: str
) -> dict[str, Any]:
    """A difference with interval and two-sided test; an infinite ``df`` is the normal's.

    ``note`` says why there is no test where there is none.
    """
    se = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan
    usable = np.isfinite(difference) and se > 0 and df >= 1
    statistic = difference / se if usable else np.nan
    quantile = normal_quantile(level) if np.isinf(df) else float(t_quantile(level, df))
    p_value = np.nan
    if usable:
        tail = ndtr(-abs(statistic)) if np.isinf(df) else stdtr(df, -abs(statistic))
        p_value = float(2 * tail)
    half = quantile * se if usable else np.nan
    # no spread among the answers is no certainty about others
    known = se if se > 0 else np.nan
    return {
        "estimate": difference, "se": known, "ci_low": difference - half, "ci_high": difference + half,
        "statistic": statistic, "df": df, "p_value": p_value, "method": method,
        "note": "" if usable else _why_not(difference, se, df),
    }  # fmt: skip


def _why_not(difference: float, se: float, df: float) -> str:
    if not np.isfinite(difference):
        return "no test: a group has no valid answer, or one only"
    return "no test: every answer of a group is alike" if not se > 0 else "no test"


@dataclass(frozen=True)
class Cells:
    """Group and sampling unit of each cell of totals, numbered alike for every contrast."""

    group: np.ndarray
    unit: np.ndarray
    units: Units


@dataclass(frozen=True)
class SideFacts:
    """One side of a difference: unweighted sums, weighted means of the values and of their squares."""

    n: float
    y: float
    yy: float
    mean: float
    square: float
    spread: Spread

    @property
    def alike(self) -> bool:
        """Whether all answers are one."""
        return bool(all_alike(self.n, self.y, self.yy))

    def too_alike(self, metric: Metric) -> bool:
        """Whether all answers are one, or of a score all but a few."""
        if self.alike or metric.kind == "mean":
            return self.alike
        tops, bottoms = (self.yy + self.y) / 2, (self.yy - self.y) / 2
        different = self.n - max(tops, bottoms, self.n - self.yy)
        return bool(different < min(FEWEST_DIFFERENT, DIFFERENT_SHARE * self.n))


def cells_of(totals: Totals) -> Cells:
    """The sampling units behind the cells of totals: clusters, and rows without one."""
    cells = totals.cells
    stratum, strata = pd.factorize(cells["stratum"], use_na_sentinel=False)
    unit = cells.groupby(["stratum", "cluster"], dropna=False, sort=False).ngroup().to_numpy()
    first = np.unique(unit, return_index=True)[1]
    units = Units(
        stratum=stratum[first],
        lone=cells["cluster"].isna().to_numpy()[first],
        sampled=totals.clusters.reindex(strata).to_numpy(float),
    )
    return Cells(cells["group_code"].to_numpy(), unit, units)


def sides_of(
    cells: Cells, first: int, second: int, hidden: set[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the two sides of a contrast.

    The rest leaves out hidden groups: with them it would give back what is hidden.
    """
    inside = cells.group == first
    if second >= 0:
        return inside, cells.group == second
    return inside, ~inside & ~np.isin(cells.group, list(hidden))


def side_sums(
    values: Mapping[str, np.ndarray], cells: Cells, chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Sums of one side per unit."""
    unit, size = cells.unit[chosen], len(cells.units.stratum)
    return {
        kind: np.bincount(unit, weights=column[chosen], minlength=size)
        for kind, column in values.items()
    }


def without_lone_clusters(
    sides: Sequence[Mapping[str, np.ndarray]], units: Units
) -> tuple[Sequence[Mapping[str, np.ndarray]], Units]:
    """Clusters of one answer each are none: the same sums per stratum of rows without a cluster."""
    held = sides[0]["n"] + sides[1]["n"]
    if units.lone.all() or (held[~units.lone] > 1).any():
        return sides, units
    strata = len(units.sampled)
    lone = Units(np.arange(strata), np.ones(strata, dtype=bool), units.sampled)
    summed = [
        {kind: np.bincount(units.stratum, column, strata) for kind, column in side.items()}
        for side in sides
    ]
    return summed, lone


def is_simple(units: Units, design: Design) -> bool:
    """Whether answers are as in a simple random sample, once lone clusters are none."""
    return bool(units.lone.all()) and design.weights is None and design.strata is None


def design_difference(
    sides: Sequence[Mapping[str, np.ndarray]],
    units: Units,
    metric: Metric,
    level: float,
    apart: float = 0.0,
) -> dict[str, Any]:
    """The difference of two means, linearised as one statistic.

    ``sides``: sums of either side per unit, as `cxlab.core.totals.SUMS` names them; ``apart``: origin of
    the first side's values, less that of the second. As of `judged`, with ``permute``: whether rows can
    be relabelled, and had better be.
    """
    if min(side["w"].sum() for side in sides) <= 0:
        return tested_difference(np.nan, np.nan, np.nan, level, LINEARISED) | {"permute": False}
    spread, own = contrast_spread(sides, units)
    facts = [_facts(side, one) for side, one in zip(sides, own, strict=True)]
    few = bool(unknown_spread(sides, own, metric))
    permute = bool(units.lone.all()) and few and min(side.n for side in facts) > 1
    return judged(facts, spread, metric, level, apart) | {"permute": permute}


def unknown_spread(
    sides: Sequence[Mapping[str, np.ndarray]], own: Sequence[Spread], metric: Metric
) -> str:
    """Why the spread of a side's own answers says too little about others; empty if it doesn't.

    As of `design_difference`, with the spread of each side.
    """
    facts = [_facts(side, one) for side, one in zip(sides, own, strict=True)]
    if any(side.alike for side in facts):
        return ALIKE
    if any(side.too_alike(metric) for side in facts):
        return NEARLY
    smallest = min(side["w"].sum() ** 2 / side["ww"].sum() for side in sides)
    return f"fewer than {SMALL_GROUP} answers in a group" if smallest < SMALL_GROUP else ""


def _facts(side: Mapping[str, np.ndarray], spread: Spread) -> SideFacts:
    sums = {kind: float(column.sum()) for kind, column in side.items()}
    mean, square = sums["wy"] / sums["w"], sums["wyy"] / sums["w"]
    return SideFacts(sums["n"], sums["y"], sums["yy"], mean, square, spread)


def judged(
    sides: Sequence[SideFacts], spread: Spread, metric: Metric, level: float, apart: float = 0.0
) -> dict[str, Any]:
    """Interval and test of a difference whose spread is known, or why there is none.

    A side in one cluster says nothing about how clusters differ: no test. A side whose answers are all
    alike has an unknown variance, not 0. Scores and shares then take the adjusted-Wald difference of
    the two effective sample sizes, also where all answers but a few are alike; a mean takes the
    variance of both sides' answers together.
    """
    difference = sides[0].mean - sides[1].mean + apart
    own = min(side.spread.df for side in sides)
    if own < 1 / ONE_DEGREE:
        blank = tested_difference(difference, np.nan, np.nan, level, LINEARISED)
        return blank | {"note": _one_cluster(sides)}
    alike = [side.too_alike(metric) for side in sides]
    if any(alike) and metric.kind != "mean":
        who = ALIKE if any(side.alike for side in sides) else NEARLY
        found, note = _smoothed(sides, metric, level), f"{who}: adjusted for its unknown spread"
    elif any(alike) and not all(alike):
        found, note = _pooled(sides, difference, level, apart), f"{ALIKE}: spread taken from both"
    else:
        rounding = NO_SPREAD * sum(side.square * side.spread.trace for side in sides)
        variance = spread.variance if spread.variance > rounding else 0.0
        found = tested_difference(difference, variance, spread.df, level, LINEARISED)
        same = variance == 0 and not any(alike)
        note = "no test: the same difference in every cluster" if same else found["note"]
    df = min(found["df"], own if any(alike) else np.inf)
    return found | {"note": joined(note, few_clusters(own, df))}


def few_clusters(own: float, df: float) -> str:
    """What to say of few degrees of freedom, of the weaker side and of the difference."""
    if own < ONE_DEGREE:
        return "one degree of freedom in a group: hardly any difference can be shown"
    return f"only {df:.1f} degrees of freedom" if df < FEW_DEGREES_OF_FREEDOM else ""


def _one_cluster(sides: Sequence[SideFacts]) -> str:
    if min(side.n for side in sides) < 2:
        return "no test: a group has no valid answer, or one only"
    return "no test: the answers of a group lie in one cluster, so that its variance is unknown"


def _smoothed(sides: Sequence[SideFacts], metric: Metric, level: float) -> dict[str, Any]:
    rows = []
    for side in sides:
        simple = (side.square - side.mean**2) / side.n
        # identical answers say nothing about clusters; their weights are known
        deff = (
            max(1.0, side.n * side.spread.trace)
            if side.alike or simple <= 0
            else max(side.spread.variance / simple, 1 / side.n)
        )
        size = float(effective_sample_size(side.n, deff, side.spread.df, level=level))
        rows.append({"n": size, "y": size * side.mean, "yy": size * side.square})
    return simple_difference(pd.DataFrame(rows), metric, level)


def _pooled(
    sides: Sequence[SideFacts], difference: float, level: float, apart: float
) -> dict[str, Any]:
    """Of means: a side without spread has that of both sides' answers together."""
    sums = ([getattr(side, kind) for side in sides] for kind in ("n", "y", "yy"))
    n, y, yy = (np.array(column) for column in sums)
    both = pooled_variance(n, y, yy, apart)
    variances = np.array(
        [both * side.spread.trace if side.alike else side.spread.variance for side in sides]
    )
    df = satterthwaite(variances, np.array([side.spread.df for side in sides]))
    return tested_difference(difference, float(variances.sum()), df, level, LINEARISED)
