"""Variances under a survey design by Taylor linearisation.

All functions take *totals*: one row per domain × stratum × cluster with the cluster's
total of the linearised score, and one row per domain × stratum for the rows that are
clusters of their own, with their number, total and sum of squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.stats.inference.intervals import t_quantile


@dataclass(frozen=True, eq=False)
class DesignVariance:
    """Variance of each domain's estimate and what was done to get it.

    Attributes
    ----------
    variance : ndarray of float, shape (domains,)
    lonely_strata : int
        Strata with one sampled cluster, centred on the whole sample instead of on
        themselves.
    """

    variance: NDArray[np.float64]
    lonely_strata: int


def design_variance(totals: pd.DataFrame, clusters: pd.Series, *, domains: int) -> DesignVariance:
    """Taylor variance of each domain's estimate from its linearised totals.

    Parameters
    ----------
    totals : DataFrame
        Columns ``domain`` (0 to ``domains`` − 1), ``stratum``, ``total`` (sum of the
        linearised scores of a cluster, or of the lone rows of a stratum) and ``squares``
        (its square, or the sum of the lone rows' squares).
    clusters : Series of int
        Clusters sampled per stratum, indexed by stratum: the whole design, with the
        clusters that hold nobody of the domain.
    domains : int
        Number of domains.

    Returns
    -------
    DesignVariance

    Notes
    -----
    ``V = Σ_h n_h/(n_h − 1) · (Σ_c t_hc² − (Σ_c t_hc)²/n_h)``. A domain keeps the design's
    strata and clusters whole: a cluster outside it counts in ``n_h`` with a total of
    zero. A stratum with one cluster has no spread of its own; its square is taken as is.

    References
    ----------
    Lumley (2010), Complex Surveys, chapters 2 and 3.

    Examples
    --------
    Four lone rows 1, 2, 3, 6 with mean 3: the variance of their mean is s²/n = 14/3/4.

    >>> totals = pd.DataFrame({"domain": [0], "stratum": [1], "total": [0.0],
    ...                        "squares": [(4 + 1 + 0 + 9) / 4**2]})
    >>> round(float(design_variance(totals, pd.Series({1: 4}), domains=1).variance[0]), 4)
    1.1667
    """
    per_stratum = totals.groupby(["domain", "stratum"], sort=False, dropna=False)[
        ["total", "squares"]
    ].sum()
    sampled = clusters.reindex(per_stratum.index.get_level_values("stratum")).to_numpy(float)
    spread = _stratum_spread(
        per_stratum["squares"].to_numpy(), per_stratum["total"].to_numpy() ** 2, sampled
    )
    domain = per_stratum.index.get_level_values("domain").to_numpy(int)
    variance = np.bincount(domain, weights=np.maximum(spread, 0), minlength=domains)
    return DesignVariance(variance=variance.astype(float), lonely_strata=int((clusters == 1).sum()))


def statistic_variance(
    totals: NDArray[np.float64],
    squares: NDArray[np.float64],
    stratum: NDArray[np.int64],
    sampled: NDArray[np.float64],
) -> float:
    """Taylor variance of one statistic, as `design_variance` for arrays that are numbered.

    Parameters
    ----------
    totals, squares : ndarray, shape (units,)
        Of each cluster, or of the lone rows of a stratum, as for `design_variance`.
    stratum : ndarray of int, shape (units,)
        Number of its stratum.
    sampled : ndarray, shape (strata,)
        Clusters sampled per stratum.

    Examples
    --------
    >>> lone = np.array([14 / 4**2])
    >>> round(statistic_variance(np.zeros(1), lone, np.array([0]), np.array([4.0])), 4)
    1.1667
    """
    summed = np.bincount(stratum, weights=totals, minlength=len(sampled)).astype(float)
    products = np.bincount(stratum, weights=squares, minlength=len(sampled)).astype(float)
    return float(np.maximum(_stratum_spread(products, summed**2, sampled), 0.0).sum())


def design_covariance(
    totals: pd.DataFrame, clusters: pd.Series, *, domains: int
) -> NDArray[np.float64]:
    """Taylor covariance matrix of several domains' estimates, shared clusters included.

    Parameters
    ----------
    totals : DataFrame
        As for `design_variance`, with a column ``cluster`` besides: null for lone rows.
    clusters, domains
        As for `design_variance`.

    Returns
    -------
    ndarray of float, shape (domains, domains)
        Its diagonal equals `design_variance`. The variance of a contrast ``a`` of the
        estimates is ``a @ V @ a``: clusters that two domains share enter jointly.

    Examples
    --------
    Two domains whose totals cancel within each of two clusters:

    >>> totals = pd.DataFrame({"domain": [0, 0, 1, 1], "stratum": 0, "cluster": [1, 2, 1, 2],
    ...                        "total": [1.0, -1.0, -1.0, 1.0], "squares": 1.0})
    >>> design_covariance(totals, pd.Series({0: 2}), domains=2).tolist()
    [[4.0, -4.0], [-4.0, 4.0]]
    """
    covariance = np.zeros((domains, domains))
    for stratum, part in totals.groupby("stratum", sort=False, dropna=False):
        sampled = float(clusters.loc[stratum])
        domain = part["domain"].to_numpy(int)
        sums = np.bincount(domain, weights=part["total"], minlength=domains)
        products = _shared_products(part, domains)
        lonely = sampled <= 1
        factor = 1.0 if lonely else sampled / (sampled - 1)
        centre = 0.0 if lonely else np.outer(sums, sums) / sampled
        covariance += factor * (products - centre)
    return covariance


def _shared_products(part: pd.DataFrame, domains: int) -> NDArray[np.float64]:
    lone = part["cluster"].isna().to_numpy()
    squares = np.bincount(
        part["domain"].to_numpy(int)[lone],
        weights=part["squares"].to_numpy()[lone],
        minlength=domains,
    )
    whole = part[~lone]
    code, _ = pd.factorize(whole["cluster"])
    table = np.zeros((code.max(initial=-1) + 1, domains))
    np.add.at(table, (code, whole["domain"].to_numpy(int)), whole["total"].to_numpy())
    return table.T @ table + np.diag(squares)


def _stratum_spread(
    squares: NDArray[np.float64],
    squared_total: NDArray[np.float64],
    sampled: NDArray[np.float64],
) -> NDArray[np.float64]:
    lonely = sampled <= 1
    divisor = np.where(lonely, 1.0, sampled - 1)
    return np.where(lonely, squares, sampled / divisor * (squares - squared_total / sampled))


def design_degrees_of_freedom(clusters: ArrayLike, strata: ArrayLike) -> NDArray[np.float64]:
    """Clusters holding a valid answer less strata holding one.

    Examples
    --------
    >>> design_degrees_of_freedom([8], [3]).tolist()
    [5.0]
    """
    return np.asarray(clusters, dtype=float) - np.asarray(strata, dtype=float)


def effective_sample_size(
    n: ArrayLike, deff: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> NDArray[np.float64]:
    """Size of the simple sample that would know as much, at most ``n``.

    Parameters
    ----------
    n : array_like of float
        Valid answers.
    deff : array_like of float
        Design effect, over 0.
    df : array_like of float
        Design degrees of freedom. Below 1 the result is NaN.
    level : float
        Level of the interval that it will serve.

    Notes
    -----
    ``min(n, (n/deff)·(t_{n−1}/t_df)²)``: the ratio of the t quantiles carries the few
    clusters into intervals that use the normal quantile.

    References
    ----------
    Korn & Graubard (1998), Survey Methodology 24, 193–201.

    Examples
    --------
    >>> effective_sample_size([100], [2.0], [1000]).round(1).tolist()
    [51.1]
    """
    n, df = np.asarray(n, dtype=float), np.asarray(df, dtype=float)
    ratio = t_quantile(level, n - 1) / t_quantile(level, df)
    return np.minimum(n, n / np.asarray(deff, dtype=float) * ratio**2)
