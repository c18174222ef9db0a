"""Clusters (or rows) as the units of variance, and covariances of sums over them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.stats.resampling import SamplingDesign, sampling_design

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Units:
    """Sampled units: clusters, or rows where there is no cluster.

    Attributes
    ----------
    design : SamplingDesign
        One row per unit: its stratum, the sizes of the strata, what was assumed.
    simple : bool
        Whether the rows are a simple random sample of equal weights.
    clustered : bool
        Whether a cluster column was given.
    lumped : bool
        Whether a unit here is a whole stratum, because its rows were too many.
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


def units_of_rows(rows: pd.DataFrame, design: Design) -> tuple[Units, NDArray[np.intp]]:
    """Units of a sample, and the number of each row's unit."""
    drawn = sampling_design(
        len(rows),
        strata=_column(rows, design.strata),
        cluster=_column(rows, design.cluster),
        stratum_clusters=_column(rows, design.stratum_clusters),
    )
    units = Units(drawn, simple=design.simple, clustered=design.cluster is not None)
    return units, drawn.row_cluster


def _column(rows: pd.DataFrame, name: str | None) -> Any:
    return None if name is None else rows[name]


def covariance_of_totals(totals: Array, units: Units) -> Array:
    """Taylor covariance of estimates from each unit's total of their influence.

    Parameters
    ----------
    totals : ndarray of shape (units, k)
        Σ w·IF / Σ w over the unit's rows, 0 for a unit with none in the domain.
    units : Units

    Returns
    -------
    ndarray of shape (k, k)

    Notes
    -----
    ``Σ_h n_h/(n_h − 1) · (Σ_c t_hc t_hcᵀ − s_h s_hᵀ/n_h)``, s_h the stratum's total.

    Examples
    --------
    Means of 1, 2, 3 and 6 are 3 with variance s²/n = 14/3/4:

    >>> units, _ = units_of_rows(pd.DataFrame(index=range(4)), Design())
    >>> totals = (np.array([[1.0], [2.0], [3.0], [6.0]]) - 3) / 4
    >>> round(float(covariance_of_totals(totals, units)[0, 0]), 4)
    1.1667
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
    """Degrees of freedom that the design leaves each estimate.

    Parameters
    ----------
    present : ndarray of bool, shape (units, k)
        Whether the unit holds a valid pair.
    units : Units

    Returns
    -------
    ndarray of shape (k,)
        Units that hold a pair, less strata that do.

    Examples
    --------
    >>> units, _ = units_of_rows(pd.DataFrame(index=range(3)), Design())
    >>> present = np.array([[True, False], [True, True], [True, False]])
    >>> degrees_of_freedom(present, units).tolist()
    [2.0, 0.0]
    """
    by_stratum = np.zeros((len(units.sampled), present.shape[1]))
    np.add.at(by_stratum, units.stratum, present.astype(float))
    return present.sum(axis=0) - (by_stratum > 0).sum(axis=0).astype(float)
