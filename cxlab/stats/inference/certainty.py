"""How sure a comparison is, allowing for how many were made: p-values and intervals that decide."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from cxlab.core.messages import got, unknown
from cxlab.stats.inference.intervals import normal_quantile, t_quantile
from cxlab.stats.resampling import rank_intervals, ranks

#: Benjamini–Hochberg and Benjamini–Yekutieli.
METHODS = ("bh", "by")
#: Numbers drawn at a time.
BLOCK = 5_000_000
ALPHA = 0.05
#: Of intervals that nobody asked to be others.
LEVEL = 0.95
#: Share of resamples from which a verdict is likely, and from which it may be clear.
LIKELY, SURE = 0.80, 0.95
#: A true change of the smallest size shown is seen this often.
POWER = 0.8
#: What has no estimate in more than this share of replicates has no place.
MOST_LOST = 0.05


def adjust_p_values(p_values: ArrayLike, *, method: str = "bh") -> NDArray[np.float64]:
    """p-values adjusted for the false-discovery rate of their family.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        From 0 to 1. NaN (a test that could not be made) stays NaN and does not count
        in the family's size.
    method : {"bh", "by"}
        Benjamini–Hochberg (independent or positively dependent tests), or
        Benjamini–Yekutieli (any dependence, such as all pairwise comparisons).

    Returns
    -------
    ndarray of float, shape (m,)
        In the order given; reject where it is at most the rate wanted.

    Raises
    ------
    ValueError
        For a p-value outside 0 to 1 or an unknown method.

    Notes
    -----
    `scipy.stats.false_discovery_control`, which refuses NaN.

    References
    ----------
    Benjamini & Hochberg (1995), JRSS B 57, 289–300. Benjamini & Yekutieli (2001),
    Annals of Statistics 29, 1165–1188.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    from scipy.stats import false_discovery_control  # slow to import

    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    p = np.array(p_values, dtype=float)
    tested = ~np.isnan(p)
    wrong = p[tested & ((p < 0) | (p > 1))]
    if wrong.size:
        raise ValueError(f"`p_values` must be from 0 to 1; got {got(list(wrong))}.")
    if tested.any():
        p[tested] = false_discovery_control(p[tested], method=method)
    return p


def permutation_p_value(
    values: np.ndarray,
    inside: np.ndarray,
    permutations: int,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> float:
    """Two-sided p-value of a difference of means when answers are exchangeable.

    Parameters
    ----------
    values : ndarray of float, shape (n,)
    inside : ndarray of bool, shape (n,)
        Members of the first group.
    permutations : int
        Random relabellings; the observed one counts as one more.
    rng : Generator
    weights : ndarray of float, shape (n,), optional
        They stay with their rows: answers are drawn anew for them.

    Returns
    -------
    float
        Share of relabellings at least as far apart as observed, (b + 1)/(m + 1).

    References
    ----------
    Phipson & Smyth (2010), Statistical Applications in Genetics 9, 39.
    """
    if inside.all():
        return np.nan
    own = np.ones(len(values)) if weights is None else weights
    shares = np.concatenate([own[inside] / own[inside].sum(), -own[~inside] / own[~inside].sum()])
    observed = abs(np.concatenate([values[inside], values[~inside]]) @ shares)
    as_far = 0
    step = max(BLOCK // len(values), 1)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        drawn = rng.permuted(np.tile(values, (rows, 1)), axis=1) @ shares
        # rounding must not part relabellings that are equally far
        as_far += int((np.abs(drawn) >= observed - 1e-9).sum())
    return float((1 + as_far) / (permutations + 1))


def adjust_family(p_values: ArrayLike, *, method: str) -> NDArray[np.float64]:
    """p-values adjusted in their family: Holm for headline measures, else false discoveries.

    Parameters
    ----------
    p_values : array_like of float, shape (m,)
        NaN stays NaN and does not count.
    method : {"holm", "bh"}

    References
    ----------
    Holm (1979), Scandinavian Journal of Statistics 6, 65–70.

    Examples
    --------
    >>> adjust_family([0.01, 0.04, 0.03], method="holm").round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    if method not in ("holm", "bh"):
        raise ValueError(unknown("method", method, ("holm", "bh")))
    if method == "bh":
        return adjust_p_values(p_values)
    p = np.array(p_values, dtype=float)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]
    times = np.arange(len(order), 0, -1)
    p[order] = np.minimum(np.maximum.accumulate(p[order] * times), 1.0)
    return p


def deciding_interval(
    estimate: ArrayLike, se: ArrayLike, df: ArrayLike, p_values: ArrayLike, adjusted: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The t interval at the level at which a test of the family decides.

    Parameters
    ----------
    estimate, se, df : array_like of float, shape (m,)
    p_values, adjusted : array_like of float, shape (m,)
        As tested, and as `adjust_family` adjusted them.

    Returns
    -------
    low, high : ndarray of float, shape (m,)

    Notes
    -----
    The level is 1 − α·p/p_adjusted: where p comes from the same t test, the interval excludes
    zero just where p_adjusted < α. For Benjamini–Hochberg these are intervals of a
    false-coverage rate of α or less (Benjamini & Yekutieli 2005).

    References
    ----------
    Benjamini & Yekutieli (2005), JASA 100, 71–81.

    Examples
    --------
    >>> low, high = deciding_interval([2.0], [1.0], [np.inf], [0.0455], [0.091])
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (-0.241, 4.241)
    """
    p, raised = np.asarray(p_values, dtype=float), np.asarray(adjusted, dtype=float)
    tests = max(int(np.isfinite(p).sum()), 1)
    # a p of 0 says nothing about its place in the family
    ratio = np.divide(p, raised, out=np.full(p.shape, 1 / tests), where=(p > 0) & (raised > 0))
    degrees = np.broadcast_to(np.asarray(df, dtype=float), p.shape)
    usable = np.isfinite(p) & (degrees >= 1)
    quantile = stdtrit(np.where(usable, degrees, 1.0), 1 - ALPHA * np.where(usable, ratio, 1) / 2)
    width = np.where(usable, quantile, np.nan) * np.asarray(se, dtype=float)
    middle = np.asarray(estimate, dtype=float)
    return middle - width, middle + width


def certainty_of(p_adjusted: float, *, share: float | None = None) -> str:
    """The word for how sure: of a test, or of a verdict that was resampled.

    Parameters
    ----------
    p_adjusted : float
        In its family.
    share : float, optional
        Of resamples that give the verdict. With it, *clear* needs both (a share of .95 and a
        test), and .80 is *likely*; without it nothing is likely.

    Examples
    --------
    >>> certainty_of(0.03), certainty_of(0.07), certainty_of(0.03, share=0.9)
    ('clear', 'not settled', 'likely')
    """
    shown = p_adjusted < ALPHA
    if share is None:
        return "clear" if shown else "not settled"
    if share >= SURE and shown:
        return "clear"
    return "likely" if share >= LIKELY else "not settled"


def within_margin(low: float, high: float, margin: float) -> bool:
    """Whether an interval lies inside ±margin: no difference that matters.

    Nothing lies inside a margin that is not finite: what matters is not known then.

    Examples
    --------
    >>> within_margin(-1.0, 2.0, 3.0), within_margin(-1.0, 4.0, 3.0)
    (True, False)
    >>> within_margin(-1.0, 2.0, np.inf)
    False
    """
    return bool(np.isfinite(margin) and -margin <= low and high <= margin)


def smallest_shown(se: float, df: float, *, tests: int = 1) -> float:
    """The true difference that would be shown four times in five, at the level of its family.

    Parameters
    ----------
    se, df : float
    tests : int
        Size of the family; the level is .05 / tests.

    References
    ----------
    Bloom (1995), Evaluation Review 19, 547–556.

    Examples
    --------
    >>> round(smallest_shown(1.0, np.inf), 2)
    2.8
    """
    quantiles = t_quantile(1 - ALPHA / tests, df) + t_quantile(2 * POWER - 1, df)
    return float(quantiles * se)


def joint_places(
    estimate: ArrayLike, replicates: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> pd.DataFrame:
    """Place of each estimate, 1 for the largest, with intervals that hold all places at once.

    Parameters
    ----------
    estimate : array_like of float, shape (k,)
        NaN: no place.
    replicates : array_like of float, shape (replicates, k)
        Of the bootstrap, or draws from the estimates' normal limit.
    df : array_like of float, shape (k,)
        Replicates are spread by the ratio of the t quantile to the normal one, so that few
        answers settle no place.
    level : float

    Returns
    -------
    DataFrame
        One row per estimate: ``rank``, ``rank_low``, ``rank_high`` (see
        `cxlab.stats.resampling.rank_intervals`); null without an estimate, or without one in
        over 5 % of the replicates.

    Examples
    --------
    >>> draws = np.array([[0.5, 0.2], [0.4, 0.1], [0.6, 0.4]])
    >>> joint_places([0.5, 0.2], draws, [400, 400]).values.tolist()
    [[1, 1, 1], [2, 2, 2]]
    """
    middle, drawn = np.asarray(estimate, dtype=float), np.asarray(replicates, dtype=float)
    lost = (~np.isfinite(drawn)).mean(axis=0)
    placed = np.flatnonzero(np.isfinite(middle) & (lost <= MOST_LOST))
    names = ["rank", "rank_low", "rank_high"]
    places = pd.DataFrame(pd.NA, index=range(len(middle)), columns=names).astype("Int64")
    if len(placed):
        degrees = np.asarray(df, dtype=float)[placed]
        wider = t_quantile(level, degrees) / normal_quantile(level)
        spread = middle[placed] + (drawn[:, placed] - middle[placed]) * wider
        low, high = rank_intervals(middle[placed], spread, level, joint=True)
        places.loc[placed, "rank"] = ranks(middle[placed])
        places.loc[placed, "rank_low"], places.loc[placed, "rank_high"] = low, high
    return places
