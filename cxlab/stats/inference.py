"""How sure a figure or a comparison is: intervals, p-values of families, places that hold at once.

Everything is vectorised over groups. Counts may be fractional: under a survey design they are
effective counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from cxlab.core.messages import got, unknown
from cxlab.stats.resampling import check_level, rank_intervals, ranks

Limits = tuple[NDArray[np.float64], NDArray[np.float64]]

#: Adjusted-Wald pseudo-observations: 3/4 promoter, 3/2 passive, 3/4 detractor.
PSEUDO_EXTREME = 0.75
PSEUDO_TOTAL = 3.0

#: 60 halvings of an interval of length 2 leave less than 2e-18.
BISECTIONS = 60
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
#: √R² has no finite slope at 0: near 0 the slope is taken at this part of a standard error,
#: with which planted R² of .03 and .1 are covered in 94 to 97 % of studies.
NEAR_ZERO = 0.4


def normal_quantile(level: float) -> float:
    """Two-sided normal quantile: 1.96 for a level of 0.95."""
    return float(ndtri(0.5 + check_level(level) / 2))


def t_quantile(level: float, df: ArrayLike) -> NDArray[np.float64]:
    """Two-sided quantile of Student's t; NaN below one degree of freedom."""
    df = np.asarray(df, dtype=float)
    usable = df >= 1
    return np.where(
        usable, stdtrit(np.where(usable, df, 1.0), 0.5 + check_level(level) / 2), np.nan
    )


def effective_number(weights: NDArray[np.float64]) -> float:
    """How many equal weights tell as much, ``(Σ w)²/Σ w²``; 0 where all are 0. Kish (1965).

    >>> effective_number(np.ones(4)), effective_number(np.array([1.0, 0.0]))
    (4.0, 1.0)
    """
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0


def score_interval(
    promoters: ArrayLike, detractors: ArrayLike, n: ArrayLike, *, level: float = 0.95
) -> Limits:
    """Score interval of a net score, as fractions; NaN where ``n`` is 0 or NaN.

    A net score is algebraically a difference of paired proportions, with b = promoters and c =
    detractors. The limits are the δ at which ``|b − c − nδ| / √(n(2q̃(δ) + δ(1 − δ)))`` equals the normal
    quantile, q̃ being the maximum-likelihood share of detractors given δ. Never of zero width, never
    outside −1 to 1. Tango (1998), Statistics in Medicine 17, 891–908; Fagerland, Lydersen & Laake
    (2017), Statistical Analysis of Contingency Tables, chapter 8.

    >>> low, high = score_interval([10], [0], [10])
    >>> round(float(low[0]), 3), round(float(high[0]), 3)
    (0.445, 1.0)
    """
    b, c, n = (np.asarray(values, dtype=float) for values in (promoters, detractors, n))
    z = normal_quantile(level)
    usable = n > 0
    safe_n = np.where(usable, n, 1.0)
    estimate = np.where(usable, (b - c) / safe_n, 0.0)

    def excess(delta: NDArray[np.float64]) -> NDArray[np.float64]:
        distance = np.abs(b - c - safe_n * delta)
        return distance - z * np.sqrt(_null_variance(b, c, safe_n, delta))

    low = _bisect(excess, outside=np.full(n.shape, -1.0), inside=estimate)
    high = _bisect(excess, outside=np.full(n.shape, 1.0), inside=estimate)
    return np.where(usable, low, np.nan), np.where(usable, high, np.nan)


def score_statistic(
    promoters: ArrayLike, detractors: ArrayLike, n: ArrayLike, value: ArrayLike
) -> NDArray[np.float64]:
    """Standard errors by which a net score lies above a value, as `score_interval` has them.

    17 promoters and 3 passives against a net score of 0.6:

    >>> round(float(score_statistic(17, 0, 20, 0.6)), 4)
    1.7678
    """
    b, c, n, value = (np.asarray(one, dtype=float) for one in (promoters, detractors, n, value))
    return _standardised(b - c - n * value, _null_variance(b, c, n, value))


def wilson_statistic(share: ArrayLike, n: ArrayLike, value: ArrayLike) -> NDArray[np.float64]:
    """Standard errors by which a share lies above a value, as `wilson_interval` has them."""
    share, n, value = (np.asarray(one, dtype=float) for one in (share, n, value))
    return _standardised(share - value, value * (1 - value) / np.where(n > 0, n, np.nan))


def _standardised(distance: Any, variance: Any) -> NDArray[np.float64]:
    """Distance over its standard error; at an end of the scale only the end itself is near."""
    spread = np.sqrt(variance)
    far = np.where(distance == 0, 0.0, np.copysign(np.inf, distance))
    return np.where(spread > 0, distance / np.where(spread > 0, spread, 1.0), far + 0 * spread)


def _null_variance(b: Any, c: Any, n: Any, delta: Any) -> NDArray[np.float64]:
    """Variance of b − c when the true difference is ``delta`` (Tango's restricted fit)."""
    # mirrored to a positive difference every term below is positive: nothing cancels
    b, c, delta = np.where(delta < 0, c, b), np.where(delta < 0, b, c), np.abs(delta)
    linear = -b - c + (2 * n - b + c) * delta
    spread = np.maximum(delta * (1 - delta), 0)
    product = c * spread
    root = np.sqrt(linear**2 + 8 * n * product)
    over = linear > 0
    share = np.where(
        over, 2 * product / np.where(over, root + linear, 1.0), (root - linear) / (4 * n)
    )
    return n * np.maximum(2 * share + spread, 0)


def _bisect(excess: Any, *, outside: NDArray, inside: NDArray) -> NDArray[np.float64]:
    """Where ``excess`` turns positive between the estimate and the end of the range."""
    inside = np.array(inside, dtype=float)
    # an estimate at the very end (all promoters) is its own limit on that side
    outside = np.where(excess(outside) > 0, outside, np.nan)
    edge = np.isnan(outside)
    ends = np.where(edge, inside, outside)
    for _ in range(BISECTIONS):
        middle = (ends + inside) / 2
        beyond = excess(middle) > 0
        ends = np.where(beyond, middle, ends)
        inside = np.where(beyond, inside, middle)
    return (ends + inside) / 2


def mean_interval(
    estimate: ArrayLike, standard_error: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> Limits:
    """Student's t interval; NaN below one degree of freedom."""
    estimate = np.asarray(estimate, dtype=float)
    half = t_quantile(level, df) * np.asarray(standard_error, dtype=float)
    return estimate - half, estimate + half


def r_squared_interval(adjusted: float, se: float, df: float, level: float) -> tuple[float, float]:
    """Student's t interval of an adjusted R² on the scale of atanh √R², cut at 0.

    Raw R² is biased upward, and so is an interval around it. √R² is steep near 0, so the slope is that at
    R² or at .4 of a standard error, whichever is larger.
    """
    nearly = 1 - 1e-12
    slope_at = min(max(adjusted, NEAR_ZERO * se, 1e-12), nearly)
    reach = stdtrit(df, (1 + level) / 2) * se
    reach = reach / (2 * np.sqrt(slope_at) * (1 - slope_at))
    centre = np.arctanh(np.sqrt(np.clip(adjusted, 0.0, nearly)))
    return float(np.tanh(max(centre - reach, 0.0)) ** 2), float(np.tanh(centre + reach) ** 2)


def wilson_interval(share: ArrayLike, n: ArrayLike, *, level: float = 0.95) -> Limits:
    """Wilson's interval of a share, as fractions; NaN where ``n`` is 0 or NaN: Wilson (1927), JASA 22."""
    from statsmodels.stats.proportion import proportion_confint  # slow to import

    share, n = np.asarray(share, dtype=float), np.asarray(n, dtype=float)
    n = np.where(n > 0, n, np.nan)
    return proportion_confint(share * n, n, alpha=1 - check_level(level), method="wilson")


def adjust_p_values(p_values: ArrayLike, *, method: str = "bh") -> NDArray[np.float64]:
    """p-values adjusted for the false-discovery rate of their family; NaN stays NaN and does not count.

    ``bh`` is Benjamini & Hochberg (1995), JRSS B 57, 289–300, for independent or positively dependent
    tests; ``by`` Benjamini & Yekutieli (2001), Annals of Statistics 29, 1165–1188, for any dependence,
    such as all pairwise comparisons. `scipy.stats.false_discovery_control` refuses NaN.

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
    pseudo: tuple[float, float, float] | None = None,
) -> float:
    """Two-sided p-value of a difference of means, from relabelled answers.

    ``inside`` are the members of the first group; weights stay with their rows. It is the share of
    relabellings whose difference is at least as many standard errors (of their own) as observed,
    (b + 1)/(m + 1): Phipson & Smyth (2010), Statistical Applications in Genetics 9, 39. Standard errors,
    because the groups may vary unequally: of 12 who are promoters or detractors beside 300 mostly
    passive, plain differences reject a true null in 36 % of studies. Janssen (1997), Statistics &
    Probability Letters 36, 9–21. ``pseudo``: answers added to each group for its standard error, their
    sum and their sum of squares; without, a group whose answers are alike takes the spread of both.
    """
    if inside.all():
        return np.nan
    own = np.ones(len(values)) if weights is None else weights
    own, answers = (np.concatenate([one[inside], one[~inside]]) for one in (own, values))
    sides = np.zeros((len(own), 2))
    sides[: inside.sum(), 0], sides[inside.sum() :, 1] = own[: inside.sum()], own[inside.sum() :]
    sides /= sides.sum(axis=0)
    observed = float(_standard_errors_apart(answers[None], sides, pseudo)[0])
    as_far = 0
    step = max(BLOCK // len(values), 1)
    for start in range(0, permutations, step):
        rows = min(step, permutations - start)
        drawn = rng.permuted(np.tile(answers, (rows, 1)), axis=1)
        # rounding must not part relabellings that are equally far
        as_far += int((_standard_errors_apart(drawn, sides, pseudo) >= observed * (1 - 1e-9)).sum())
    return float((1 + as_far) / (permutations + 1))


def _standard_errors_apart(
    values: np.ndarray, sides: np.ndarray, pseudo: tuple[float, float, float] | None
) -> np.ndarray:
    """Standard errors between two groups' means: ``values`` (draws, rows), ``sides`` (rows, 2)."""
    n = 1 / (sides**2).sum(axis=0)
    mean, square = values @ sides, values**2 @ sides
    if pseudo:
        more, total, squares = pseudo
        middle = (n * mean + total) / (n + more)
        variance = ((n * square + squares) / (n + more) - middle**2) / (n + more)
    else:
        share = n / n.sum()
        both = (square @ share - (mean @ share) ** 2) * n.sum() / (n.sum() - 1)
        spread = (square - mean**2) * n / np.maximum(n - 1, 1e-9)
        alike = spread <= 1e-9 * both[:, None]
        variance = np.where(alike, both[:, None], spread) / n
    error = np.sqrt(np.maximum(variance.sum(axis=1), 0.0))
    apart = np.abs(mean[:, 0] - mean[:, 1])
    return np.divide(apart, error, out=np.zeros(len(apart)), where=error > 0)


def adjust_family(p_values: ArrayLike, *, method: str) -> NDArray[np.float64]:
    """p-values adjusted in their family: Holm for headline measures, else false discoveries.

    Holm (1979), Scandinavian Journal of Statistics 6, 65–70.

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
    """The t interval at the level at which a test of the family decides, 1 − α·p/p_adjusted.

    Where p comes from the same t test, the interval excludes zero just where p_adjusted < α. For
    Benjamini–Hochberg these are intervals of a false-coverage rate of α or less: Benjamini & Yekutieli
    (2005), JASA 100, 71–81.

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


def decide_family(
    table: pd.DataFrame, *, method: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Adjusted p-values of one family, and the ends of the intervals that decide.

    ``table`` has ``estimate, se, df, p_value``.
    """
    names = ("estimate", "se", "df", "p_value")
    estimate, se, df, p = (table[name].astype(float) for name in names)
    adjusted = adjust_family(p, method=method)
    return adjusted, *deciding_interval(estimate, se, df, p, adjusted)


def with_decisions(
    table: pd.DataFrame, families: Sequence[Any], *, method: str, interval: str = "deciding"
) -> pd.DataFrame:
    """`decide_family` of each family of rows, as columns beside the tests."""
    names = ["p_adjusted", f"{interval}_low", f"{interval}_high"]
    found = table.assign(**dict.fromkeys(names, np.nan))
    for places in table.groupby(list(families), sort=False).indices.values():
        part = table.iloc[places]
        found.loc[part.index, names] = np.column_stack(decide_family(part, method=method))
    return found


def certainty_of(p_adjusted: float) -> str:
    """The word for how sure a test is in its family; without resamples nothing is likely."""
    return "clear" if p_adjusted < ALPHA else "not settled"


def within_margin(low: float, high: float, margin: float) -> bool:
    """Whether an interval lies inside ±margin, no difference that matters; inside no infinite one."""
    return bool(np.isfinite(margin) and -margin <= low and high <= margin)


def smallest_shown(se: float, df: float, *, tests: int = 1) -> float:
    """The true difference that would be shown four times in five, at the level of its family, .05 / tests.

    Bloom (1995), Evaluation Review 19, 547–556.

    >>> round(smallest_shown(1.0, np.inf), 2)
    2.8
    """
    quantiles = t_quantile(1 - ALPHA / tests, df) + t_quantile(2 * POWER - 1, df)
    return float(quantiles * se)


def joint_places(
    estimate: ArrayLike, replicates: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> pd.DataFrame:
    """Place of each estimate, 1 for the largest, with intervals that hold all places at once.

    ``replicates``, shape (replicates, k), are of the bootstrap, or draws from the estimates' normal
    limit; they are spread by the ratio of the t quantile to the normal one, so that few answers settle
    no place. ``rank``, ``rank_low`` and ``rank_high`` are null without an estimate, below one degree of
    freedom, or without an estimate in over 5 % of the replicates; see
    `cxlab.stats.resampling.rank_intervals`.
    """
    middle, drawn = np.asarray(estimate, dtype=float), np.asarray(replicates, dtype=float)
    lost, degrees = (~np.isfinite(drawn)).mean(axis=0), np.asarray(df, dtype=float)
    placed = np.flatnonzero(np.isfinite(middle) & (degrees >= 1) & (lost <= MOST_LOST))
    names = ["rank", "rank_low", "rank_high"]
    places = pd.DataFrame(pd.NA, index=range(len(middle)), columns=names).astype("Int64")
    if len(placed):
        wider = t_quantile(level, degrees[placed]) / normal_quantile(level)
        spread = middle[placed] + (drawn[:, placed] - middle[placed]) * wider
        low, high = rank_intervals(middle[placed], spread, level, joint=True)
        places.loc[placed, "rank"] = ranks(middle[placed])
        places.loc[placed, "rank_low"], places.loc[placed, "rank_high"] = low, high
    return places
