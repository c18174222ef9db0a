"""How many answers are needed, what those at hand can show, what the silent could change."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cxlab.core.disclosure.gate import LABELS
from cxlab.stats.inference import check_level, normal_quantile
from cxlab.stats.inference.intervals import PSEUDO_TOTAL

#: The largest variance that a net score of fractions can have.
LARGEST_NET_VARIANCE = 1.0


def net_variance(promoters: float, detractors: float) -> float:
    """Variance of one answer's net score, from the two shares.

    Examples
    --------
    >>> round(net_variance(0.45, 0.2), 4)
    0.5875
    """
    inside = promoters >= 0 and detractors >= 0 and promoters + detractors <= 1
    if not inside:
        raise ValueError(
            "`promoters` and `detractors` must be shares, 0 or more, that add to 1 at most; "
            f"got {promoters} and {detractors}."
        )
    return promoters + detractors - (promoters - detractors) ** 2


def answers_for_interval(
    half_width: float,
    *,
    variance: float = LARGEST_NET_VARIANCE,
    level: float = 0.95,
    deff: float = 1.0,
    response_rate: float = 1.0,
) -> int:
    """Answers (or invitations) needed for an interval of a given half-width.

    Parameters
    ----------
    half_width : float
        In the unit of the variance: 0.05 is 5 NPS points.
    variance : float
        Of one answer, as `net_variance` gives it; default: the largest possible.
    level : float
    deff : float
        Design effect to expect, 1 or more usually.
    response_rate : float
        Over 0, at most 1; below 1 the result counts invitations.

    Returns
    -------
    int

    Notes
    -----
    ``n = z²·variance/half_width² − 3``, of an adjusted-Wald interval of a net score (statsmodels
    plans shares only), × deff / response rate, rounded up.

    Examples
    --------
    >>> answers_for_interval(0.05, variance=1.0, level=0.9)
    1080
    """
    _check_positive(half_width=half_width, variance=variance, deff=deff)
    _check_share(response_rate=response_rate)
    needed = normal_quantile(level) ** 2 * variance / half_width**2 - PSEUDO_TOTAL
    return math.ceil(max(needed, 1.0) * deff / response_rate - 1e-9)


def answers_for_difference(
    difference: float,
    *,
    variances: tuple[float, float] = (LARGEST_NET_VARIANCE, LARGEST_NET_VARIANCE),
    level: float = 0.95,
    power: float = 0.8,
    deff: float = 1.0,
) -> int:
    """Answers needed in each of two groups to detect a difference.

    Parameters
    ----------
    difference : float
        True difference, in the unit of the variances: 0.1 is 10 NPS points.
    variances : (float, float)
        Of one answer in either group.
    level : float
        1 less the two-sided error rate of the test.
    power : float
        Chance of detecting it, between 0 and 1.
    deff : float

    Returns
    -------
    int
        Per group.

    Notes
    -----
    ``n = (z_α/2 + z_β)²(V₁ + V₂)/δ²`` (statsmodels' `normal_sample_size_one_tail`, of the tail
    that the difference lies in), × deff, rounded up.

    Examples
    --------
    >>> variances = net_variance(0.45, 0.2), net_variance(0.525, 0.175)
    >>> answers_for_difference(0.1, variances=variances)
    915
    """
    from statsmodels.stats.power import normal_sample_size_one_tail  # slow to import

    _check_positive(difference=abs(difference), deff=deff, variances=min(variances))
    _check_power(level, power)
    spread = math.sqrt(sum(variances))
    n = normal_sample_size_one_tail(abs(difference), power, (1 - level) / 2, std_null=spread)
    return math.ceil(n * deff - 1e-9)


def detectable_differences(
    table: pd.DataFrame, *, level: float = 0.95, power: float = 0.8
) -> pd.DataFrame:
    """What the answers at hand can and cannot show.

    Parameters
    ----------
    table : DataFrame
        A scorecard, or any table with ``n``, ``se`` and label columns.
    level, power : float
        As for `answers_for_difference`.

    Returns
    -------
    DataFrame
        The table's label columns, ``n``, ``half_width`` (of the interval),
        ``next_period`` (smallest change to another period of the same size and design that
        would be detected with the power given) and ``fixed_value`` (smallest distance from a
        fixed value, such as a target), all in the metric's unit.

    Notes
    -----
    ``(z_α/2 + z_β)·se·√2`` and the same without √2. Periods that share customers show more.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "n": [400], "se": [4.0]})
    >>> detectable_differences(table).round(1)
      label    n  half_width  next_period  fixed_value
    0   NPS  400         7.8         15.8         11.2
    """
    names = [name for name in LABELS if name in table and name not in ("column", "target")]
    _check_power(level, power)
    factor = normal_quantile(level) + float(ndtri(power))
    # where all answers are alike, the standard error is unknown, not 0
    se = table["se"].where(table["se"] > 0)
    return table[[*names, "n"]].assign(
        half_width=normal_quantile(level) * se,
        next_period=factor * np.sqrt(2) * se,
        fixed_value=factor * se,
    )


def nonresponse_bounds(
    estimate: float,
    response_rate: float,
    *,
    target: float | None = None,
    limits: tuple[float, float] = (-100.0, 100.0),
) -> pd.DataFrame:
    """What the whole would be if those who did not answer were at either end.

    Parameters
    ----------
    estimate : float
        Of those who answered, such as an NPS in points.
    response_rate : float
        Over 0, at most 1.
    target : float, optional
        A value of the whole that would change the conclusion.
    limits : (low, high)
        Ends of the metric: −100 and 100 for NPS, 0 and 100 for shares.

    Returns
    -------
    DataFrame
        One row: ``estimate``, ``response_rate``, ``low``, ``high`` (the bounds),
        ``tipping_point`` (the score of the silent at which the whole is at the target; null
        without a target), ``possible`` (whether that score exists).

    Notes
    -----
    ``r·estimate + (1 − r)·[low, high]``; tipping point ``(target − r·estimate)/(1 − r)``. The
    bounds assume nothing about the silent, so no analysis of the answers can narrow them.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions.

    Examples
    --------
    >>> nonresponse_bounds(50, 0.4, target=0).round(1)
       estimate  response_rate   low  high  tipping_point  possible
    0        50            0.4 -40.0  80.0          -33.3      True
    """
    _check_share(response_rate=response_rate)
    low, high = limits
    if not low <= estimate <= high:
        raise ValueError(f"`estimate` must be from {low:g} to {high:g}; got {estimate}.")
    silent = 1 - response_rate
    answered = response_rate * estimate
    tipping = math.nan
    if target is not None and silent > 0:
        tipping = (target - answered) / silent
    return pd.DataFrame({
        "estimate": [estimate], "response_rate": [response_rate], "low": [answered + silent * low],
        "high": [answered + silent * high], "tipping_point": [tipping],
        "possible": [low <= tipping <= high],
    })  # fmt: skip


def nonresponse_table(
    table: pd.DataFrame, *, response_rates: Sequence[float] = (0.1, 0.25, 0.5)
) -> pd.DataFrame:
    """`nonresponse_bounds` of each net score and share of a scorecard, at several rates.

    Parameters
    ----------
    table : DataFrame
        A scorecard. Rows of means, and hidden ones, are left out.
    response_rates : sequence of float
        Rates to try, each over 0 and at most 1.

    Returns
    -------
    DataFrame
        One row per metric × rate: the label columns, ``estimate``, ``response_rate``, ``low``,
        ``high``, ``target``, ``tipping_point``, ``possible``.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "metric": ["nps"], "unit": ["points"],
    ...                       "estimate": [50.0], "target": [0.0]})
    >>> nonresponse_table(table, response_rates=[0.4])[["low", "high", "tipping_point"]].round(1)
        low  high  tipping_point
    0 -40.0  80.0          -33.3
    """
    limits = {"points": (-100.0, 100.0), "%": (0.0, 100.0)}
    known = table[table["unit"].isin(list(limits)) & table["estimate"].notna()]
    parts = []
    for _, row in known.iterrows():
        target = None if pd.isna(row["target"]) else float(row["target"])
        for rate in response_rates:
            bounds = nonresponse_bounds(
                float(row["estimate"]), rate, target=target, limits=limits[row["unit"]]
            )
            parts.append(bounds.assign(label=row["label"], metric=row["metric"], target=target))
    columns = ["label", "metric", "estimate", "response_rate", "low", "high", "target",
               "tipping_point", "possible"]  # fmt: skip
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns].astype({"target": float})


def whole_score(estimate: float, silent: float, response_rate: float) -> float:
    """Score of everyone, if those who did not answer had a given score.

    Examples
    --------
    >>> round(whole_score(50, -40, 0.1), 9)
    -31.0
    """
    _check_share(response_rate=response_rate)
    return response_rate * estimate + (1 - response_rate) * silent


def nps_posterior(
    promoters: int, passives: int, detractors: int, *, prior: tuple[float, float, float] = (1, 1, 1)
) -> pd.DataFrame:
    """Mean and standard deviation of the NPS under a Dirichlet prior, in closed form.

    Parameters
    ----------
    promoters, passives, detractors : int
        Counts of answers.
    prior : (float, float, float)
        Of promoters, passives, detractors; over 0.

    Returns
    -------
    DataFrame
        One row: ``n``, ``estimate`` (posterior mean) and ``se`` (posterior standard
        deviation) in points.

    Examples
    --------
    >>> nps_posterior(80, 50, 10).round(3)
         n  estimate     se
    0  140    48.951  5.295
    """
    _check_positive(prior=min(prior))
    weights = np.array([promoters, passives, detractors]) + np.array(prior, dtype=float)
    total = weights.sum()
    p, _, d = weights / total
    spread = net_variance(p, d) / (total + 1)
    return pd.DataFrame({
        "n": [promoters + passives + detractors], "estimate": [100 * (p - d)],
        "se": [100 * math.sqrt(spread)],
    })  # fmt: skip


def finite_population_factor(n: int, population: int) -> float:
    """Factor on the standard error when ``n`` of a population of known size answered.

    Notes
    -----
    ``√((N − n)/(N − 1))``. Apply it only when conclusions are about this population, not
    about the process that made it.

    References
    ----------
    Cochran (1977), Sampling Techniques, section 2.6.

    Examples
    --------
    >>> round(finite_population_factor(1000, 10000), 4)
    0.9487
    """
    if not 0 < n <= population or population < 2:
        raise ValueError(f"`n` must be from 1 to `population`; got {n} of {population}.")
    return math.sqrt((population - n) / (population - 1))


def _check_power(level: float, power: float) -> None:
    check_level(level)
    if not 0 < power < 1:
        raise ValueError(f"`power` must be between 0 and 1, such as 0.8; got {power}.")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"`{name}` must be over 0; got {value}.")


def _check_share(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value <= 1:
            raise ValueError(f"`{name}` must be over 0 and at most 1; got {value}.")
