"""Which drivers' shares of R² changed between periods."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from cxlab.core.messages import unknown
from cxlab.stats.inference import check_level
from cxlab.stats.metrics.two_groups import few_clusters
from cxlab.stats.tracking.changes import (
    COLUMNS,
    check_power,
    chosen_period,
    comparisons,
    finished,
    told,
)
from cxlab.stats.tracking.driver_shares import Analysis, DriverShares, shares_of
from cxlab.stats.tracking.periods import in_order
from cxlab.stats.tracking.statistics import SavedPeriods

Array = NDArray[np.float64]

#: Shares are told as per cent of R².
PER_CENT = 100.0
METRIC = "share of R²"


def driver_changes(
    source: SavedPeriods | Analysis | None,
    *,
    period: str | None = None,
    outcome: str | None = None,
    level: float = 0.95,
    power: float = 0.8,
) -> pd.DataFrame:
    """Change of each driver's share of R² from the last period, and from a year before.

    Parameters
    ----------
    source : DriverAnalysis, SavedPeriods or None
        ``drivers(..., by="period")``, or `cxlab.load_periods(folder)` of periods that were
        kept with their drivers. None: nothing was analysed.
    period : str, optional
        The period to report on; default: the latest.
    outcome : str, optional
        Column, where drivers of several outcomes were kept; default: the first.
    level, power : float
        As for `cxlab.period_changes`.

    Returns
    -------
    DataFrame
        As for `cxlab.period_changes`, one row per driver × comparison: ``label`` and
        ``column`` are the driver's, ``metric`` is ``share of R²``, ``n`` and ``n_before``
        the rows analysed, ``estimate`` and its interval in percentage points of R²'s parts
        (``unit`` ``%``). False discoveries are controlled over this table. No row where no
        drivers of the period were kept.

    Raises
    ------
    ValueError
        When there is no such period or outcome.

    Notes
    -----
    Among users, "as if everyone used everything" (see `cxlab.drivers`). The variance of a
    difference is ``v₁ + v₂ − 2c`` with variances and covariances from the replicates; c, what
    customers who answered in both periods have in common, is known for periods that were
    analysed together and 0 for others. Shares of small groups are skewed, so that limits are
    percentiles of the difference of two independent draws from the shares' replicates,
    brought to that variance, and taken a little further out (Hesterberg); the p-value is the
    larger of theirs and of estimate ÷ se on t with the smaller of the periods' degrees of
    freedom. A jackknife has t limits. Take ``adjusted=True`` (the default with ``by``):
    raw shares of a small period are drawn towards equality.

    References
    ----------
    Grömping (2007), The American Statistician 61, 139–147. Hesterberg (2015), The American
    Statistician 69, 371–386.

    Examples
    --------
    >>> from cxlab import drivers
    >>> rng = np.random.default_rng(0)
    >>> answers = pd.DataFrame(rng.normal(size=(400, 2)), columns=["food", "wifi"])
    >>> answers["period"] = np.repeat(["2025-Q3", "2025-Q4"], 200)
    >>> later = answers["period"] == "2025-Q4"
    >>> answers["overall"] = np.where(later, answers["wifi"], answers["food"]) + rng.normal(size=400)
    >>> analysis = drivers(answers, "overall", ["food", "wifi"], by="period", replicates=200)
    >>> table = driver_changes(analysis)
    >>> table.loc[table["against"] == "last period", ["label", "before", "estimate"]].round(0)
      label   before  estimate
    0  food  2025-Q3     -97.0
    1  wifi  2025-Q3      97.0
    """
    check_level(level)
    check_power(power)
    there, shares = _by_period(source, outcome)
    period = chosen_period(period, there) if there else ""
    if period not in shares:
        return pd.DataFrame(columns=list(COLUMNS))
    tables = []
    for against, before, note in comparisons(period, there):
        common = _common(shares, period, before)
        found = _differences(shares[period], shares.get(before), before, common, level)
        tables.append(told(found.assign(period=period), before, against, note))
    table = pd.concat(tables, ignore_index=True).astype({"n": "Int64", "n_before": "Int64"})
    family = f"all drivers of '{shares[period].outcome}' in {period} × the periods compared with"
    return finished(table, family, level, power)[list(COLUMNS)]


def _by_period(
    source: SavedPeriods | Analysis | None, outcome: str | None
) -> tuple[list[str], dict[str, DriverShares]]:
    """The periods there are, and the shares of those that have some."""
    if source is None:
        return [], {}
    if not isinstance(source, SavedPeriods):
        names = in_order([str(name) for name in source.replicates])
        found = {name: shares_of(source, name, names) for name in names}
        return names, {name: one for name, one in found.items() if one is not None}
    kept = [(period.period, one) for period in source.statistics for one in period.drivers]
    outcomes = list(dict.fromkeys(one.outcome for _, one in kept))
    if outcome is not None and outcome not in outcomes:
        raise ValueError(unknown("outcome", outcome, outcomes))
    wanted = outcome or (outcomes[0] if outcomes else "")
    return source.periods, {period: one for period, one in kept if one.outcome == wanted}


def _common(shares: dict[str, DriverShares], period: str, before: str) -> pd.Series:
    """Covariance of each driver's two shares; empty for periods that were analysed apart."""
    nothing = pd.Series(dtype=float)
    if before not in shares:
        return nothing
    there = shares[before].across.get(period, nothing)
    return shares[period].across.get(before, there)


def _differences(
    now: DriverShares, before: DriverShares | None, name: str, common: pd.Series, level: float
) -> pd.DataFrame:
    table = pd.DataFrame({
        "label": now.table["label"], "metric": METRIC, "n": now.n, "unit": "%",
        "column": now.table["driver"], "note": "", "method": "",
    })  # fmt: skip
    blank = ["n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "df"]
    if before is None:
        none = {"note": f"no drivers of {name} are known"}
        return table.assign(**dict.fromkeys(blank, np.nan), **none)
    if now.how != before.how:
        raise ValueError(
            f"`source` must hold shares worked out alike; got {now.how} and {before.how}. "
            "Save both periods again in one way."
        )
    place = pd.Index(before.table["driver"]).get_indexer(now.table["driver"])
    both = common.reindex(now.table["driver"]).fillna(0.0).to_numpy()
    rows = [_one(now, before, i, int(place[i]), both[i], level) for i in range(len(table))]
    figures = pd.DataFrame(rows, columns=["estimate", "se", "ci_low", "ci_high", "p_value"])
    table["note"] = np.where(place < 0, f"not among the drivers of {name}", "")
    df = min(now.df, before.df)
    few = "no test: the answers of a period lie in one cluster" if df < 1 else few_clusters(df, df)
    if few:
        table["note"] = table["note"].where(table["note"] != "", few)
    return pd.concat([table, figures], axis=1).assign(
        n_before=before.n, df=df, method="quantiles" if now.quantiles.shape[1] else "t"
    )


def _one(
    now: DriverShares, before: DriverShares, i: int, j: int, common: float, level: float
) -> tuple[float, ...]:
    """Difference of one driver's shares, se, limits and p-value, in percentage points."""
    if j < 0:
        return (np.nan,) * 5
    shares = now.table["share"].iloc[i], before.table["share"].iloc[j]
    apart = now.covariance[i, i] + before.covariance[j, j]
    variance = apart - 2 * common
    estimate, df = shares[0] - shares[1], min(now.df, before.df)
    if not np.isfinite(variance) or variance <= 0 or df < 1:
        return PER_CENT * estimate, np.nan, np.nan, np.nan, np.nan
    se = float(np.sqrt(variance))
    p_value = float(2 * stdtr(df, -abs(estimate / se)))
    reach = float(stdtrit(df, (1 + level) / 2))
    low, high = estimate - reach * se, estimate + reach * se
    if now.quantiles.shape[1] and before.quantiles.shape[1]:
        moved = (now.quantiles[i] - shares[0])[:, None] - (before.quantiles[j] - shares[1])
        drawn = estimate + np.sqrt(variance / apart) * moved.ravel()
        low, high = _limits(drawn, df, level)
        p_value = max(p_value, _percentile_p_value(drawn, df))
    return PER_CENT * estimate, PER_CENT * se, PER_CENT * low, PER_CENT * high, p_value


def _limits(drawn: Array, df: float, level: float) -> tuple[float, float]:
    """Percentiles a little further out, as few degrees of freedom ask for."""
    tail = ndtr(-stdtrit(df, (1 + level) / 2) * np.sqrt((df + 1) / df))
    low, high = np.quantile(drawn, [tail, 1 - tail])
    return float(low), float(high)


def _percentile_p_value(drawn: Array, df: float) -> float:
    tail = min((drawn <= 0).mean(), (drawn >= 0).mean(), 0.5)
    if tail <= 0:
        return 0.0
    return float(2 * stdtr(df, ndtri(tail) / np.sqrt((df + 1) / df)))
