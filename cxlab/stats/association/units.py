"""Clusters (or rows) as the units of variance: covariances and degrees of freedom."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.stats.resampling import SamplingDesign, sampling_design

Array = NDArray[np.float64]

#: A unit whose residual keeps less than this share of its spread holds all the leverage.
ALL_LEVERAGE = 1e-9


@dataclass(frozen=True, eq=False)
class Units:
    """Sampled units: clusters, or rows where there is no cluster.

    ``design``: one row per unit: its stratum, the sizes of the strata, what was assumed.
    ``simple``: whether the rows are a simple random sample of equal weights. ``lumped``: whether a
    unit is a whole stratum, because its rows were too many.
    """

    design: SamplingDesign
    simple: bool
    clustered: bool
    lumped: bool = False

    @property
    def n_units(self) -> int:
        """Units with a row."""
        return self.design.n_clusters

    @property
    def stratum(self) -> NDArray[np.intp]:
        """Stratum of each unit."""
        return self.design.cluster_stratum

    @property
    def sampled(self) -> NDArray[np.intp]:
        """Units sampled in each stratum."""
        return self.design.stratum_sizes


def drawn_from(rows: pd.DataFrame, design: Design) -> SamplingDesign:
    """Strata and clusters of the rows of a sample."""
    names = {"strata": design.strata, "cluster": design.cluster}
    names["stratum_clusters"] = design.stratum_clusters
    return sampling_design(len(rows), **{key: rows[name] for key, name in names.items() if name})


def units_of_rows(rows: pd.DataFrame, design: Design) -> tuple[Units, NDArray[np.intp]]:
    """Units of a sample, and the number of each row's unit."""
    drawn = drawn_from(rows, design)
    units = Units(drawn, simple=design.simple, clustered=design.cluster is not None)
    return units, drawn.row_cluster


def covariance_of_totals(totals: Array, units: Units) -> Array:
    """Taylor covariance of estimates from each unit's total of their influence.

    ``totals``, shape (units, k): Σ w·IF / Σ w over the unit's rows, 0 for a unit with none in the
    domain. ``Σ_h n_h/(n_h − 1) · (Σ_c t_hc t_hcᵀ − s_h s_hᵀ/n_h)``, s_h the stratum's total.
    """
    covariance = np.zeros((totals.shape[1], totals.shape[1]))
    for stratum, sampled in enumerate(units.sampled.tolist()):
        inside = totals[units.stratum == stratum]
        total = inside.sum(axis=0)
        if sampled < 2:
            # the only unit of the only stratum: no spread, and no degrees of freedom
            continue
        centred = inside.T @ inside - np.outer(total, total) / sampled
        covariance += sampled / (sampled - 1) * centred
    return covariance


def degrees_of_freedom(present: NDArray[np.bool_], units: Units) -> Array:
    """Units that hold a valid pair (``present``, of shape (units, k)) less strata that do."""
    by_stratum = np.zeros((len(units.sampled), present.shape[1]))
    np.add.at(by_stratum, units.stratum, present.astype(float))
    return present.sum(axis=0) - (by_stratum > 0).sum(axis=0).astype(float)


def leverage_degrees_of_freedom(sums: Array, times: Array | None = None) -> float:
    """Bell–McCaffrey degrees of freedom of a slope on one standardised side.

    ``sums``, shape (units, 5): per unit ``Σ sz, Σ sz², Σ s², Σ s²z, Σ s²z²`` over its pairs, z the
    side's standardised scores, s the pairs' share of the weight; ``times``: how many units are like
    this one. 0 where one unit holds all the leverage, so that nothing is known of the spread.

    Were the other side independent with one spread, the units' totals of ``s z e`` (e the
    residual of the regression) would have the covariance Ω; with each total scaled to its
    spread without the regression, ``df = (tr Ω)²/tr Ω²`` (Satterthwaite). Ω is diagonal but
    for a matrix of rank 4, so the work grows with the units. Unweighted rows have
    leverages ``h = (1 + z²)/n``: where 299 of 300 scores are alike, the other one's is 1
    (Bell & McCaffrey 2002, Survey Methodology 28; Imbens & Kolesár 2016, Review of Economics
    and Statistics 98).
    """
    times = np.ones(len(sums)) if times is None else times
    linear, own = sums[:, [0, 1, 3, 4]], sums[:, 4]
    s0, s1, s2 = times @ sums[:, 2:]
    middle = np.array([[s0, s1, -1, 0], [s1, s2, 0, -1], [-1, 0, 0, 0], [0, -1, 0, 0]])
    kept = own + np.einsum("ga,ab,gb->g", linear, middle, linear)
    holds = own > ALL_LEVERAGE * own.max(initial=0.0)
    if (kept[holds] <= ALL_LEVERAGE * own[holds]).any():
        return 0.0
    factor = np.divide(own, kept, out=np.ones_like(own), where=holds)
    linear, own = linear * np.sqrt(factor)[:, None], own * factor
    product = middle @ ((linear.T * times) @ linear)
    trace = times @ own + np.trace(product)
    weighted = middle @ ((linear.T * (times * own)) @ linear)
    squares = times @ own**2 + 2 * np.trace(weighted) + np.trace(product @ product)
    return float(trace**2 / squares)


def row_leverage(score: Array, share: Array, unit: NDArray[np.intp], n_units: int) -> float:
    """`leverage_degrees_of_freedom` of one side's scores in rows of units."""
    centred = score - share @ score
    z = centred / np.sqrt(share @ centred**2)
    terms = (share * z, share * z**2, share**2, share**2 * z, share**2 * z**2)
    sums = [np.bincount(unit, weights=term, minlength=n_units) for term in terms]
    return leverage_degrees_of_freedom(np.column_stack(sums))
