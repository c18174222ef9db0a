"""Which drivers' shares of R² changed between periods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri, stdtr, stdtrit

from cxlab.core import frames
from cxlab.core.display import with_display
from cxlab.core.frames import as_list, check_columns, collect, scan
from cxlab.core.past import PastReports
from cxlab.core.periods import comparisons, in_order, of_periods, with_text_periods
from cxlab.core.phrases import listed
from cxlab.core.result import Result
from cxlab.core.threads import one_blas_thread
from cxlab.stats.inference import adjust_p_values, check_level, smallest_shown
from cxlab.stats.metrics.two_groups import few_clusters
from cxlab.stats.resampling import expanded_level, percentile_interval
from cxlab.stats.tracking.families import with_comparison

Array = NDArray[np.float64]

#: Shares are given in per cent of R².
PER_CENT = 100.0
#: Answers to the outcome that a period needs.
FEWEST_ROWS = 100
#: Quantiles of each share's replicates that approximate its distribution.
QUANTILES = (np.arange(199) + 0.5) / 199
COLUMNS = (
    "label", "period", "before", "against", "n", "n_before", "estimate", "se", "ci_low", "ci_high",
    "unit", "p_value", "p_adjusted", "smallest_seen", "df", "note",
)  # fmt: skip


class Analysis(Protocol):
    """What is read of a result of `cxlab.drivers`."""

    fits: pd.DataFrame
    outcome: str
    replicates: Mapping[Any, Any]

    def part(self, group: object = None) -> pd.DataFrame:
        """One group's drivers, in the order given."""


@dataclass(frozen=True, eq=False, kw_only=True)
class DriverChanges(Result):
    """Changes of drivers' shares of R² from earlier periods.

    Attributes
    ----------
    table : DataFrame
        One row per driver × comparison, as `driver_changes` says.
    sentence : str
        How many comparisons there are, and which of them show a change.
    """

    sentence: str

    def _head(self) -> tuple[str, ...]:
        return (self.sentence,)


@one_blas_thread
def driver_changes(
    data: Any,
    outcome: str,
    touchpoints: str | Sequence[str],
    *,
    analyse: Callable[..., Analysis],
    periods: Sequence[str],
    column: str = "period",
    level: float = 0.95,
    **options: Any,
) -> DriverChanges:
    """Change of each driver's share of R² from the last period, and from a year before.

    Parameters
    ----------
    data
        Dataframe of any engine, or `cxlab.past_reports`, which do not record what a comparison
        of drivers needs.
    outcome : str
        Column that the drivers explain.
    touchpoints : sequence of str
        The drivers.
    analyse : callable
        `cxlab.drivers`.
    periods : sequence of str
        The period to report on, and those to compare it with: ``changes.periods``. Those that
        the data lack are passed over.
    column : str
        Column of the periods.
    level : float
        Of the intervals.
    **options
        Of `cxlab.drivers`: design, labels, method, missing, replicates, seed.

    Returns
    -------
    DriverChanges
        With a table of one row per driver × comparison: ``label``, ``period``, ``before``,
        ``against``, ``n`` and ``n_before`` (rows analysed), ``estimate`` and its interval in
        percentage points of R²'s parts (``unit`` ``%``), ``p_value``, ``p_adjusted`` (over
        this table), ``smallest_seen`` (before adjustment), ``df``, ``note``. No row where the
        drivers cannot be compared, and a sentence says why.

    Notes
    -----
    Among users, "as if everyone used everything" (see `cxlab.drivers`). The variance of a
    difference is ``v₁ + v₂ − 2c`` with variances and covariances from the replicates; c comes
    from customers who answered in both periods. Shares of small groups are skewed, so that
    limits are percentiles of the difference of two independent draws from the shares'
    replicates, scaled to that variance and widened for few degrees of freedom (Hesterberg);
    the p-value is the larger of theirs and of estimate ÷ se on t with the smaller of the
    periods' degrees of freedom. A jackknife has t limits. Raw shares (method "johnson") of a
    small period are drawn towards equality.

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
    >>> changes = driver_changes(answers, "overall", ["food", "wifi"], analyse=drivers,
    ...                          periods=["2025-Q4", "2025-Q3"], replicates=200)
    >>> changes.table.loc[changes.table["against"] == "last period", ["label", "estimate"]].round(0)
      label  estimate
    0  food     -97.0
    1  wifi      97.0
    """
    check_level(level)
    touchpoints = as_list(touchpoints)
    none = pd.DataFrame(columns=list(COLUMNS))
    if why := _not_comparable(data, outcome, touchpoints, periods, column):
        return DriverChanges(table=none, sentence=f"The drivers are left out, because {why}.")
    chosen = of_periods(data, column, periods)
    analysis = analyse(chosen, outcome, touchpoints, by=column, **options)
    shares = _shares_by_period(analysis)
    there = in_order(list(shares))
    if periods[0] not in there:
        return DriverChanges(table=none, sentence=f"No drivers of {periods[0]} are known.")
    tables = []
    for against, before, note in comparisons(periods[0], there):
        found = _differences(shares[periods[0]], shares.get(before), before, level)
        tables.append(with_comparison(found, periods[0], before, against, note))
    return _finished(pd.concat(tables, ignore_index=True), level)


def _not_comparable(
    data: Any, outcome: str, touchpoints: Sequence[str], periods: Sequence[str], column: str
) -> str:
    """Why the drivers of some periods cannot be compared; empty where they can."""
    if not touchpoints:
        return "the study declares no touchpoints"
    if isinstance(data, PastReports):
        return "reports record no standard errors of drivers' shares"
    check_columns(data, {"outcome": outcome, "column": column})
    chosen = of_periods(with_text_periods(data, column), column, periods)
    one = nw.when(nw.col(outcome).is_null()).then(nw.lit(0)).otherwise(nw.lit(1))
    lazy = scan(chosen, [column, outcome])
    counts = collect(lazy.group_by(column).agg(one.sum().alias("n"), nw.len().alias("rows")))
    sizes, rows = counts["n"], int(counts["rows"].sum())
    if len(sizes) < 2:
        return "there is one period only"
    if sizes.min() < FEWEST_ROWS:
        return f"a period has fewer than {FEWEST_ROWS} answers"
    # outcome, period, weights, stratum and its size, cluster beside the touchpoints
    cells = rows * (len(touchpoints) + 6)
    if not isinstance(data, pd.DataFrame) and cells > frames.MOST_CELLS:
        return f"{rows:,} rows are too many to be resampled one by one"
    return ""


def _finished(table: pd.DataFrame, level: float) -> DriverChanges:
    table = table.astype({"n": "Int64", "n_before": "Int64"})
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    table["smallest_seen"] = [
        smallest_shown(se, df) if se > 0 and df >= 1 else np.nan
        for se, df in zip(table["se"], table["df"].astype(float), strict=True)
    ]
    shown = table[table["p_adjusted"] < 1 - level]
    found = listed([f"{row.label} ({row.against})" for row in shown.itertuples()]) or "none"
    tests = int(table["p_value"].notna().sum())
    sentence = (
        f"{tests} comparisons of shares; shown to differ at a false-discovery rate of "
        f"{100 * (1 - level):g} %: {found}."
    )
    table = with_display(
        table[list(COLUMNS)], caption="Changes of the drivers' shares of R²", top=10,
        about="among users, weighted; the interval of each change alone",
        columns=("label", "against", "before", "estimate", "n"), sort=("p_value",),
        headers={"label": "Driver", "before": "That is", "estimate": "Change, percentage points"},
    )  # fmt: skip
    return DriverChanges(table=table, sentence=sentence)


@dataclass(frozen=True, eq=False)
class _Shares:
    """One period's shares of R² among users: ``share`` has one value per driver.

    ``labels``: the drivers in words. ``n``: rows analysed. ``replicates``: as the analysis holds them.
    """

    labels: pd.Series
    share: Array
    n: int
    replicates: Any

    @property
    def df(self) -> float:
        return float(self.replicates.df)

    def quantiles(self) -> Array:
        """Of each share's bootstrap replicates, shape (drivers, 199); no column without any."""
        drawn = self.replicates.share[np.isfinite(self.replicates.share).all(axis=1)]
        if self.replicates.kind != "bootstrap" or len(drawn) < 2:
            return np.empty((len(self.share), 0))
        return np.quantile(drawn, QUANTILES, axis=0).T

    def covariance(self, other: _Shares) -> Array:
        """Of each driver's two shares, from replicates that belong together; NaN if unknown."""
        one, two = self.replicates, other.replicates
        usable = np.isfinite(one.share).all(axis=1) & np.isfinite(two.share).all(axis=1)
        a, b = one.share[usable], two.share[usable]
        if one.kind == "none" or len(a) < 2:
            return np.full(len(self.share), np.nan)
        if one.kind == "jackknife":
            return ((a - self.share) * (b - other.share)).sum(axis=0) * (len(a) - 1) / len(a)
        return ((a - a.mean(axis=0)) * (b - b.mean(axis=0))).sum(axis=0) / (len(a) - 1)


def _shares_by_period(analysis: Analysis) -> dict[str, _Shares]:
    """Shares of every period of an analysis; they are of the same drivers in the same order."""
    if list(analysis.replicates) == [None]:
        raise ValueError(
            "`analysis` must be by period; got one of all answers together. Give "
            "drivers(..., by='period')."
        )
    fits, found = analysis.fits, {}
    for group, replicates in analysis.replicates.items():
        table = analysis.part(group)
        n = int(fits.loc[fits["group"] == group, "n"].iloc[0])
        found[str(group)] = _Shares(table["label"], table["share"].to_numpy(float), n, replicates)
    return found


def _differences(now: _Shares, before: _Shares | None, name: str, level: float) -> pd.DataFrame:
    labels = now.labels.reset_index(drop=True)
    table = pd.DataFrame({"label": labels, "metric": "share of R²", "n": now.n, "unit": "%"})
    blank = ["n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "df"]
    if before is None:
        return table.assign(**dict.fromkeys(blank, np.nan), note=f"no drivers of {name} are known")
    df = min(now.df, before.df)
    independent = now.covariance(now) + before.covariance(before)
    variance = independent - 2 * np.nan_to_num(now.covariance(before))
    later, earlier = now.quantiles(), before.quantiles()
    rows = []
    for i, estimate in enumerate(now.share - before.share):
        moved = (later[i] - now.share[i])[:, None] - (earlier[i] - before.share[i])
        rows.append(_tested(estimate, variance[i], independent[i], moved.ravel(), df, level))
    figures = pd.DataFrame(rows, columns=["estimate", "se", "ci_low", "ci_high", "p_value"])
    few = "no test: the answers of a period lie in one cluster" if df < 1 else few_clusters(df, df)
    return pd.concat([table, figures], axis=1).assign(n_before=before.n, df=df, note=few or "")


def _tested(
    estimate: float, variance: float, independent: float, moved: Array, df: float, level: float
) -> tuple[float, ...]:
    """Difference of one driver's shares, se, limits and p-value, in percentage points.

    ``independent``: the variance, were the periods independent samples. ``moved``: deviations of such
    a difference's replicates from the estimate; empty without any.
    """
    if not np.isfinite(variance) or variance <= 0 or df < 1:
        return PER_CENT * estimate, np.nan, np.nan, np.nan, np.nan
    se = float(np.sqrt(variance))
    p_value = float(2 * stdtr(df, -abs(estimate / se)))
    reach = float(stdtrit(df, (1 + level) / 2))
    low, high = estimate - reach * se, estimate + reach * se
    if len(moved):
        drawn = estimate + np.sqrt(variance / independent) * moved
        low, high = (float(end) for end in percentile_interval(drawn, expanded_level(level, df)))
        p_value = max(p_value, _percentile_p_value(drawn, df))
    return PER_CENT * estimate, PER_CENT * se, PER_CENT * low, PER_CENT * high, p_value


def _percentile_p_value(drawn: Array, df: float) -> float:
    tail = min((drawn <= 0).mean(), (drawn >= 0).mean(), 0.5)
    if tail <= 0:
        return 0.0
    return float(2 * stdtr(df, ndtri(tail) / np.sqrt((df + 1) / df)))
