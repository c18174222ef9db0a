"""Shares of the drivers in a period, without the replicates that they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Quantiles of each share's replicates that are kept.
QUANTILES = (np.arange(199) + 0.5) / 199


class Analysis(Protocol):
    """What is read of a result of `cxlab.drivers`."""

    table: pd.DataFrame
    fits: pd.DataFrame
    outcome: str
    replicates: Mapping[Any, Any]

    def part(self, group: object = None, *, reach_adjusted: bool = False) -> pd.DataFrame:
        """One group's drivers, in the order given."""


@dataclass(frozen=True, eq=False)
class DriverShares:
    """Shares of R² among users in one period.

    Attributes
    ----------
    outcome : str
        Column.
    how : dict of str to object
        How they were worked out: method, missing, adjusted, outcome_scale.
    table : DataFrame
        One row per driver: ``driver``, ``label``, ``n`` (who rated it), ``share``.
    covariance : ndarray, shape (drivers, drivers)
        Of the shares, from the replicates; NaN without any.
    quantiles : ndarray, shape (drivers, 199)
        Of each share's bootstrap replicates; no column for a jackknife.
    n : int
        Rows analysed.
    df : float
        Degrees of freedom of the design.
    across : dict of str to Series
        Other period, analysed together with this one, to the covariance of each driver's
        two shares, by driver: what customers who answered in both have in common.
    """

    outcome: str
    how: dict[str, Any]
    table: pd.DataFrame
    covariance: Array
    quantiles: Array
    n: int
    df: float
    across: dict[str, pd.Series] = field(default_factory=dict)


def shares_of(analysis: Analysis, period: str, others: Sequence[str] = ()) -> DriverShares | None:
    """One period's shares, from an analysis by period or of the period alone.

    Parameters
    ----------
    analysis : DriverAnalysis
    period : str
    others : sequence of str
        Other periods; those that were analysed together with this one are kept in ``across``.

    Returns
    -------
    DriverShares or None
        None where the analysis set the period aside.
    """
    groups = {str(group): group for group in analysis.replicates}
    if list(groups.values()) == [None]:
        return _shares(analysis, None)
    if period not in groups:
        return None
    found = _shares(analysis, groups[period])
    for other in others:
        if other in groups and other != period:
            found.across[other] = _across(analysis, groups[period], groups[other])
    return found


def _shares(analysis: Analysis, group: object) -> DriverShares:
    kept = analysis.replicates[group]
    table = analysis.part(group)[["driver", "label", "n", "share"]]
    fits = analysis.fits
    own = fits if group is None else fits[fits["group"] == group]
    names = ("method", "missing", "adjusted", "outcome_scale")
    share = table["share"].to_numpy(float)
    drawn = kept.share[np.isfinite(kept.share).all(axis=1)] if kept.kind == "bootstrap" else None
    return DriverShares(
        outcome=analysis.outcome,
        how={name: getattr(analysis, name) for name in names},
        table=table.reset_index(drop=True),
        covariance=_covariance(kept, kept, share, share),
        quantiles=np.empty((len(share), 0))
        if drawn is None or len(drawn) < 2
        else np.quantile(drawn, QUANTILES, axis=0).T,
        n=int(own["n"].iloc[0]),
        df=float(kept.df),
    )


def _across(analysis: Analysis, group: object, other: object) -> pd.Series:
    one, two = analysis.replicates[group], analysis.replicates[other]
    first, second = (analysis.part(g).set_index("driver")["share"] for g in (group, other))
    matrix = _covariance(one, two, first.to_numpy(float), second.to_numpy(float))
    # an analysis by period has the same drivers in every period
    return pd.Series(np.diagonal(matrix), index=first.index)


def _covariance(one: Any, two: Any, first: Array, second: Array) -> Array:
    """Covariance of two sets of shares from replicates that belong together."""
    usable = np.isfinite(one.share).all(axis=1) & np.isfinite(two.share).all(axis=1)
    a, b = one.share[usable], two.share[usable]
    if one.kind == "none" or len(a) < 2:
        return np.full((len(first), len(second)), np.nan)
    if one.kind == "jackknife":
        return np.asarray((a - first).T @ (b - second) * (len(a) - 1) / len(a))
    return np.asarray((a - a.mean(axis=0)).T @ (b - b.mean(axis=0)) / (len(a) - 1))
