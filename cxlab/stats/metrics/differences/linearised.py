"""The difference of two groups under a design, linearised as one statistic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.stats.inference import statistic_variance
from cxlab.stats.metrics.differences.two_samples import tested_difference
from cxlab.stats.totals import Totals


@dataclass(frozen=True)
class Units:
    """Clusters, and the lone rows of each stratum, numbered alike for every contrast."""

    group: np.ndarray  # of each cell of the totals
    unit: np.ndarray  # of each cell
    stratum: np.ndarray  # of each unit
    lone: np.ndarray  # of each unit
    sampled: np.ndarray  # clusters of each stratum


def units_of(totals: Totals) -> Units:
    """The clusters and lone rows behind the cells of totals."""
    cells = totals.cells
    stratum, strata = pd.factorize(cells["stratum"], use_na_sentinel=False)
    unit = cells.groupby(["stratum", "cluster"], dropna=False, sort=False).ngroup().to_numpy()
    first = np.unique(unit, return_index=True)[1]
    return Units(
        group=cells["group_code"].to_numpy(),
        unit=unit,
        stratum=stratum[first],
        lone=cells["cluster"].isna().to_numpy()[first],
        sampled=totals.clusters.reindex(strata).to_numpy(float),
    )


def sides_of(
    units: Units, first: int, second: int, hidden: set[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the two sides of a contrast.

    The rest leaves out hidden groups: with them it would give back what is hidden.
    """
    inside = units.group == first
    if second >= 0:
        return inside, units.group == second
    return inside, ~inside & ~np.isin(units.group, list(hidden))


def side_sums(
    values: Mapping[str, np.ndarray], units: Units, chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Sums of one side per unit."""
    unit, size = units.unit[chosen], len(units.stratum)
    return {
        kind: np.bincount(unit, weights=column[chosen], minlength=size)
        for kind, column in values.items()
    }


def design_difference(
    sides: Sequence[Mapping[str, np.ndarray]], units: Units, level: float, apart: float = 0.0
) -> dict[str, Any]:
    """The difference of two means, linearised as one statistic.

    ``apart``: origin of the first side's values, less that of the second.
    """
    masses = [side["w"].sum() for side in sides]
    if min(masses) <= 0:
        return tested_difference(
            np.nan, np.nan, _degrees_of_freedom(sides, units), level, "linearised"
        )
    total, lone, means = np.zeros(len(units.stratum)), np.zeros(len(units.stratum)), []
    for side, mass, sign in zip(sides, masses, (1.0, -1.0), strict=True):
        mean = side["wy"].sum() / mass
        total += sign * (side["wy"] - mean * side["w"]) / mass
        lone += (side["wwyy"] - 2 * mean * side["wwy"] + mean**2 * side["ww"]) / mass**2
        means.append(float(mean))
    squares = np.where(units.lone, lone, total**2)
    variance = statistic_variance(total, squares, units.stratum, units.sampled)
    df = _degrees_of_freedom(sides, units)
    return tested_difference(means[0] - means[1] + apart, variance, df, level, "linearised")


def _degrees_of_freedom(sides: Sequence[Mapping[str, np.ndarray]], units: Units) -> float:
    """Clusters less strata that hold a valid answer of either side."""
    held = sides[0]["n"] + sides[1]["n"]
    clusters = np.where(units.lone, held, 1.0)[held > 0].sum()
    return float(clusters - len(np.unique(units.stratum[held > 0])))
