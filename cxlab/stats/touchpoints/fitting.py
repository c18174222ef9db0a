"""Count tables and every coefficient of them, each with the spread the design gives."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.stats.association import (
    TABLE_COEFFICIENTS,
    JointCounts,
    PairEstimates,
    joint_counts,
    pair_estimates,
    pearson_covariance,
    with_spread,
)
from cxlab.stats.touchpoints.scores import Range

Array = NDArray[np.float64]

#: More distinct values than this are a measured quantity, not a rating.
MOST_CATEGORIES = 21


def fit_coefficients(
    data: Any, counts: JointCounts, design: Design, *, level: float
) -> dict[str, PairEstimates]:
    """Every coefficient of a count table, for every touchpoint × outcome."""
    return {kind: _fit(data, counts, kind, design, level=level) for kind in TABLE_COEFFICIENTS}


def count_pairs(
    data: Any, outcomes: list[str], names: list[str], design: Design, scale: Range | None
) -> JointCounts:
    """Count tables of every touchpoint × outcome, refused where a rating is off the scale."""
    if scale is not None and not scale[0] < scale[1]:
        raise ValueError(f"`scale` must be (low, high) with low below high; got {scale}.")
    counts = joint_counts(
        data,
        names,
        outcomes,
        design=design,
    )
    if scale is not None:
        _check_scale(counts, names, scale)
    return counts


def _check_scale(counts: JointCounts, names: list[str], scale: Range) -> None:
    for name in names:
        if counts.rows is not None:
            seen = counts.rows[name].dropna()
        else:
            members = [number for number, pair in enumerate(counts.pairs) if pair[0] == name]
            seen = counts.cells.loc[counts.cells["pair"].isin(members), "x"]
        off = seen[(seen < scale[0]) | (seen > scale[1])]
        if len(off):
            raise ValueError(
                f"`scale` must hold every rating; got {off.iloc[0]:g} in '{name}', off "
                f"{scale[0]:g} to {scale[1]:g}. If it is a code for a missing answer, declare it "
                "in the study file."
            )


def _fit(
    data: Any, counts: JointCounts, kind: str, design: Design, *, level: float
) -> PairEstimates:
    if kind == "polychoric":
        counts = _without_quantities(counts)
    fit = pair_estimates(counts, kind, level=level)
    if kind == "polychoric":
        fit = _name_quantities(fit, counts)
    if counts.units.lumped and kind == "pearson":
        covariance, df = pearson_covariance(data, counts, fit, design=design)
        if not counts.units.clustered:
            # the standard errors are known already: what was not is how pairs vary together
            return replace(fit, covariance=covariance)
        return with_spread(fit, covariance, df, level=level)
    if counts.units.lumped and counts.units.clustered:
        return _without_interval(fit, "no interval: clusters are too many to keep apart")
    return fit


def _quantities(counts: JointCounts) -> list[int]:
    distinct = counts.cells.groupby("pair")[["x", "y"]].nunique().max(axis=1)
    return distinct.index[distinct > MOST_CATEGORIES].tolist()


def _without_quantities(counts: JointCounts) -> JointCounts:
    """Pairs with many distinct values merged to one cell: no polychoric is tried there."""
    wide = _quantities(counts)
    if not wide:
        return counts
    cells = counts.cells.copy()
    cells.loc[cells["pair"].isin(wide), ["x", "y"]] = 0.0
    return replace(counts, cells=cells)


def _name_quantities(fit: PairEstimates, counts: JointCounts) -> PairEstimates:
    cells = counts.cells
    merged = (cells.groupby("pair")[["x", "y"]].nunique().max(axis=1) == 1) & (
        cells.groupby("pair").size() > MOST_CATEGORIES
    )
    table = fit.table.copy()
    table.loc[merged.index[merged], "note"] = "a quantity, not a rating: too many distinct values"
    return replace(fit, table=table)


def _without_interval(fit: PairEstimates, reason: str) -> PairEstimates:
    table = fit.table.copy()
    table[["se", "ci_low", "ci_high", "p_value"]] = np.nan
    table["note"] = table["note"].where(table["note"] != "", reason)
    return replace(fit, table=table, covariance=np.full_like(fit.covariance, np.nan))
