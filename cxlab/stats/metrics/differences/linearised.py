"""The difference of two groups under a design, linearised as one statistic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import Design
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals
from cxlab.stats.inference import Spread, Units, contrast_spread, effective_sample_size
from cxlab.stats.metrics.differences.two_samples import (
    SMALL_GROUP,
    pooled_variance,
    satterthwaite,
    simple_difference,
    tested_difference,
)
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.metrics.origins import all_alike

METHOD = "linearised"
#: Two clusters have one degree of freedom, but for rounding.
ONE_DEGREE = 1 + 1e-6
#: A variance this far below what independent answers would have is rounding of none.
NO_SPREAD = 1e-14
#: Answers that differ from the others, fewer than which tell no variance of a score: of
#: sixty answers with five that differ, 8.6 % of true nulls were rejected.
FEWEST_DIFFERENT = 10
DIFFERENT_SHARE = 0.1
ALIKE, NEARLY = "every answer of a group is alike", "nearly every answer of a group is alike"


@dataclass(frozen=True)
class Cells:
    """Group and sampling unit of each cell of totals, numbered alike for every contrast."""

    group: np.ndarray
    unit: np.ndarray
    units: Units


@dataclass(frozen=True)
class SideFacts:
    """One side of a difference.

    Attributes
    ----------
    n, y, yy : float
        Answers, and the unweighted sums of their values and squares.
    mean, square : float
        Weighted means of the values and of their squares.
    spread : Spread
        Of the mean.
    """

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
    """The clusters and lone rows behind the cells of totals."""
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
    """Clusters of one answer each are no clusters: the same sums per stratum of lone rows."""
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

    Parameters
    ----------
    sides : two mappings of str to ndarray, shape (units,)
        Sums of either side per unit, as `cxlab.core.totals.SUMS` names them.
    units : Units
    metric : Metric
    level : float
    apart : float
        Origin of the first side's values, less that of the second.

    Returns
    -------
    dict
        As of `judged`, with ``permute``: whether rows can be relabelled, and had better be.
    """
    if min(side["w"].sum() for side in sides) <= 0:
        return tested_difference(np.nan, np.nan, np.nan, level, METHOD) | {"permute": False}
    spread, own = contrast_spread(sides, units)
    facts = [_facts(side, one) for side, one in zip(sides, own, strict=True)]
    smallest = min(side["w"].sum() ** 2 / side["ww"].sum() for side in sides)
    few = smallest < SMALL_GROUP or any(side.too_alike(metric) for side in facts)
    permute = bool(units.lone.all()) and few and min(side.n for side in facts) > 1
    return judged(facts, spread, metric, level, apart) | {"permute": permute}


def _facts(side: Mapping[str, np.ndarray], spread: Spread) -> SideFacts:
    sums = {kind: float(column.sum()) for kind, column in side.items()}
    mean, square = sums["wy"] / sums["w"], sums["wyy"] / sums["w"]
    return SideFacts(sums["n"], sums["y"], sums["yy"], mean, square, spread)


def judged(
    sides: Sequence[SideFacts], spread: Spread, metric: Metric, level: float, apart: float = 0.0
) -> dict[str, Any]:
    """Interval and test of a difference whose spread is known, or why there is none.

    Parameters
    ----------
    sides : two SideFacts
    spread : Spread
        Of the difference.
    metric : Metric
    level : float
    apart : float
        As of `design_difference`.

    Notes
    -----
    A side in one cluster tells nothing of how its clusters differ: no test. A side whose
    answers are all alike has an unknown variance, not 0. Scores and shares then take the
    adjusted-Wald difference of the two effective sample sizes, also where all answers but a
    few are alike; a mean takes the variance of both sides' answers together.
    """
    difference = sides[0].mean - sides[1].mean + apart
    own = min(side.spread.df for side in sides)
    if own < 1 / ONE_DEGREE:
        blank = tested_difference(difference, np.nan, np.nan, level, METHOD)
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
        found = tested_difference(difference, variance, spread.df, level, METHOD)
        same = variance == 0 and not any(alike)
        note = "no test: the same difference in every cluster" if same else found["note"]
    df = min(found["df"], own if any(alike) else np.inf)
    return found | {"note": "; ".join(part for part in (note, few_clusters(own, df)) if part)}


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
        # alike answers tell nothing of clusters; their weights are known
        deff = (
            max(1.0, side.n * side.spread.trace)
            if side.alike or simple <= 0
            else max(side.spread.variance / simple, 1 / side.n)
        )
        size = float(effective_sample_size(side.n, deff, side.spread.df, level=level))
        rows.append({"n": size, "y": size * side.mean, "yy": size * side.square})
    return simple_difference(pd.DataFrame(rows), metric, level, "adjusted-wald")


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
    return tested_difference(difference, float(variances.sum()), df, level, METHOD)
