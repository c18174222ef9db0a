"""Kaplan–Meier at a horizon, with weights and clusters, by influence functions.

statsmodels' `SurvfuncRight` takes weights for numbers of alike rows, which makes its standard
errors wrong for survey weights, and has no clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.core.design import DesignLike
from cxlab.core.frames import open_frame
from cxlab.core.labels import natural_order, row_labels
from cxlab.core.messages import refuse
from cxlab.stats.inference import effective_number, wilson_interval
from cxlab.stats.variance import effective_sample_size

Array = NDArray[np.float64]

KAPLAN_MEIER = ("n", "at_risk", "estimate", "se", "ci_low", "ci_high", "n_eff", "note")
#: What rounding leaves of a variance of 0.
NO_VARIANCE = 1e-14


@dataclass(frozen=True, eq=False)
class Survival:
    """Share, from 0 to 1, that is still there at a horizon, and how far each row moves it.

    ``at_risk`` counts rows still observed at the horizon; the share is NaN where nobody is.
    """

    estimate: float
    influence: Array
    at_risk: int

    def variance(self, clusters: ArrayLike | None = None) -> float:
        """Sum of squares of the influence of each cluster; of each row without clusters."""
        moved = self.influence if clusters is None else cluster_sums(self.influence, clusters)
        return float(moved @ moved)


def cluster_codes(clusters: ArrayLike) -> NDArray[np.intp]:
    """Number of each row's cluster, in order of appearance; a row without one is one of its own."""
    code, known = pd.factorize(np.asarray(clusters))
    alone = code < 0
    code[alone] = len(known) + np.arange(alone.sum())
    return code


def cluster_sums(values: Array, clusters: ArrayLike) -> Array:
    """Sums of each cluster, as `cluster_codes` numbers them."""
    return np.bincount(cluster_codes(clusters), values).astype(float)


def _even_size(weight: Array, clusters: ArrayLike) -> float:
    """Clusters of equal weight that would say as much (Kish's): of who holds half, it is 4 at most."""
    return effective_number(cluster_sums(weight, clusters))


def cluster_error(influence: Array, clusters: ArrayLike) -> tuple[float, int]:
    """Standard error by the influence of each cluster, times G/(G − 1), and G; NaN for one."""
    sums = cluster_sums(influence, clusters)
    units = len(sums)
    return float(np.sqrt(units / (units - 1) * sums @ sums)) if units > 1 else np.nan, units


def survival(
    time: ArrayLike, left: ArrayLike, horizon: float, *, weights: ArrayLike | None = None
) -> Survival:
    """Kaplan–Meier estimate at a horizon and its influence function.

    With d leavers among Y at a time, h = d/Y and S = Π(1 − h) over the times up to the horizon.
    Row i moves S by −S·w·(left/(Y(1 − h)) at its time − Σ h/(Y(1 − h)) up to its time); the sum
    of squares is Greenwood's variance, and over clusters R's robust one (Reid 1981, Annals of
    Statistics 9, 78–92).

    Examples
    --------
    Of four, one leaves on day 1 and one on day 3: 3/4 · 1/2.

    >>> found = survival([1, 2, 3, 4], [True, False, True, False], 3)
    >>> found.estimate, found.at_risk
    (0.375, 2)
    """
    days, gone = np.asarray(time, dtype=float), np.asarray(left, dtype=bool)
    weight = np.ones(len(days)) if weights is None else np.asarray(weights, dtype=float)
    at_risk = int((days >= horizon).sum())
    times, place = np.unique(days, return_inverse=True)
    leaving = np.bincount(place, weights=weight * gone, minlength=len(times))
    there = np.bincount(place, weights=weight, minlength=len(times))[::-1].cumsum()[::-1]
    counted = (times <= horizon) & (leaving > 0)
    hazard = np.divide(leaving, there, out=np.zeros(len(times)), where=counted)
    estimate = float(np.prod(1 - hazard))
    if not at_risk and estimate > 0:
        return Survival(np.nan, np.full(len(days), np.nan), 0)
    remaining = there * (1 - hazard)
    step = np.divide(1.0, remaining, out=np.zeros(len(times)), where=counted & (remaining > 0))
    expected = np.cumsum(hazard * step)
    influence = -estimate * weight * (gone * step[place] - expected[place])
    return Survival(estimate, influence, at_risk)


def pseudo_values(found: Survival, weights: ArrayLike | None = None) -> Array:
    """What each row says of the share that is still there; their (weighted) mean is the estimate.

    Andersen, Klein & Rosthøj (2003), Biometrika 90, 15–27.

    Examples
    --------
    >>> pseudo_values(survival([1, 2, 3, 4], [True, False, True, False], 3)).round(3).tolist()
    [0.0, 0.5, -0.25, 1.25]
    """
    if weights is None:
        return found.estimate + len(found.influence) * found.influence
    own = np.asarray(weights, dtype=float)
    share = np.divide(own.sum(), own, out=np.zeros(len(own)), where=own > 0)
    return found.estimate + share * found.influence


def kaplan_meier(
    data: Any,
    *,
    time: str,
    left: str,
    horizon: float,
    by: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share still there at a horizon, per group, where some were not followed so long.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per clock that was started, such as an answer.
    time : str
        Column of how long the row was followed, 0 or more.
    left : str
        Column that is 1 or true where it left then, 0 or false where it was still there.
    horizon : float
        In the unit of ``time``.
    by : str, optional
        Column of groups.
    design : Design or mapping, optional
        Weights and clusters: rows of one customer belong to one cluster. Strata are left aside.
    level : float

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n`` (clusters: customers), ``at_risk`` (rows
        still observed at the horizon), ``estimate`` (per cent still there), ``se``, ``ci_low``,
        ``ci_high``, ``n_eff`` and ``note``.

    Raises
    ------
    ValueError
        For a horizon that nobody was followed for, or a time below 0.

    Notes
    -----
    The variance is Σ of squared cluster sums of the influence function, times G/(G − 1) for G
    clusters. The interval is Wilson's on n_eff = S(1 − S)/V, at most the number of rows, widened
    for few clusters; without any variance n_eff is the number of clusters still observed at the
    horizon. With weights it is at most (Σw)²/Σw² of clusters: V says nothing of the few who hold
    most of the weight while they all stay, or all leave. Leaving must not depend on why somebody
    stops being observed.

    References
    ----------
    Kaplan & Meier (1958), JASA 53, 457–481. Rothman (1978), Journal of Chronic Diseases 31,
    557–560.

    Examples
    --------
    >>> rows = pd.DataFrame({"days": [1, 2, 3, 4], "left": [1, 0, 1, 0]})
    >>> kaplan_meier(rows, time="days", left="left", horizon=3)[["n", "at_risk", "estimate"]]
       n  at_risk  estimate
    0  4        2      37.5
    """
    opened = open_frame(data, numbers={"time": time}, left=left, design=design, by=by)
    rows = opened.rows().dropna(subset=[time, left])
    check_times(rows[time], rows[left], horizon, time)
    known, groups = opened.design, parts(rows, by)
    found = [
        one_estimate(part, time, left, horizon, known.weights, known.cluster, level)
        for _, part in groups
    ]
    table = pd.DataFrame(found, columns=list(KAPLAN_MEIER))
    if by:
        table.insert(0, "group", [label for label, _ in groups])
    return table


def parts(rows: pd.DataFrame, by: str | None) -> list[tuple[str, pd.DataFrame]]:
    """Label and rows of each group, in natural order; all rows without ``by``."""
    if by is None:
        return [("", rows)]
    groups = rows.groupby(row_labels(rows[by]), sort=False)
    return sorted(groups, key=lambda group: natural_order(str(group[0])))


def check_times(days: pd.Series, left: pd.Series, horizon: float, name: str) -> None:
    """Refuse times below 0 and a horizon that nobody was followed for, unless all had left."""
    refuse(days[days < 0], "`time` must be 0 or more", f" in '{name}'.")
    longest = float(days.max()) if len(days) else 0.0
    all_left = len(days) > 0 and bool((left.astype(float) > 0)[days == longest].all())
    if not 0 < horizon <= (np.inf if all_left else longest):
        raise ValueError(
            f"`horizon` must be over 0 and at most {longest:g}, the longest that anybody was "
            f"followed; got {horizon:g}. Choose a shorter one, or wait."
        )


def one_estimate(
    rows: pd.DataFrame,
    time: str,
    left: str,
    horizon: float,
    weights: str | None,
    cluster: str | None,
    level: float = 0.95,
) -> tuple[Any, ...]:
    """One row of `kaplan_meier`, in per cent."""
    weight = rows[weights].to_numpy(float) if weights else None
    found = survival(rows[time], rows[left].astype(float) > 0, horizon, weights=weight)
    clusters = cluster_codes(rows[cluster]) if cluster else np.arange(len(rows))
    se, units = cluster_error(found.influence, clusters)
    if np.isnan(found.estimate):
        return (units, 0, *[np.nan] * 5, f"nobody was followed for {horizon:g} days")
    if units < 2:
        one = "no interval: one cluster only"
        return (units, found.at_risk, 100 * found.estimate, *[np.nan] * 4, one)
    simple = found.estimate * (1 - found.estimate) / len(rows)
    if se**2 > NO_VARIANCE and simple > 0:
        size = float(effective_sample_size(len(rows), se**2 / simple, units - 1, level=level))
        followed = np.ones(len(rows), dtype=bool)
    else:
        followed = rows[time].to_numpy(float) >= horizon
        size = float(max(len(pd.unique(clusters[followed])), 1))
    if weight is not None and weight[followed].any():
        size = min(size, _even_size(weight[followed], clusters[followed]))
    low, high = wilson_interval(found.estimate, size, level=level)
    figures = (found.estimate, se, float(low), float(high))
    return (units, found.at_risk, *(100 * figure for figure in figures), size, "")
