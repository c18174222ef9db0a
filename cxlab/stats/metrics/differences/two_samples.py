"""The difference of two groups of a simple random sample, with interval and test."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from cxlab.core.metric import Metric
from cxlab.stats.inference import normal_quantile, t_quantile
from cxlab.stats.inference.intervals import PSEUDO_EXTREME, PSEUDO_TOTAL
from cxlab.stats.metrics.origins import all_alike

#: Facts of a difference that are in the metric's unit.
IN_UNITS = ("estimate", "se", "ci_low", "ci_high")
METHODS = ("auto", "wald", "adjusted-wald", "permutation")
#: Below this size of the smaller group a simple difference is tested by permutation.
SMALL_GROUP = 30


def simple_difference(
    both: pd.DataFrame, metric: Metric, level: float, method: str, apart: float = 0.0
) -> dict[str, Any]:
    """The difference of two independent groups.

    Parameters
    ----------
    both : DataFrame, two rows
        ``n, y, yy``: answers, their sum and their sum of squares, of each group.
    metric : Metric
        Its kind chooses between adjusted-Wald (a score, a share) and Welch (a mean).
    level : float
    method : str
        One of `METHODS`.
    apart : float
        Of a mean: origin of the first group's values, less that of the second.

    Returns
    -------
    dict
        As of `tested_difference`.
    """
    wald = method in ("wald", "permutation")
    if metric.kind == "mean":
        return _welch(both, level, apart)
    shares = [_adjusted_share(both.loc[side], metric, wald) for side in (0, 1)]
    raw = [row["y"] / row["n"] if row["n"] else np.nan for _, row in both.iterrows()]
    variance = sum(spread for _, spread in shares)
    used = "wald" if wald else "adjusted-wald"
    found = tested_difference(shares[0][0] - shares[1][0], variance, np.inf, level, used)
    # the interval and the test are the adjusted ones, the difference is that observed
    return {**found, "estimate": raw[0] - raw[1]}


def _adjusted_share(row: pd.Series, metric: Metric, wald: bool) -> tuple[float, float]:
    """Estimate and variance of one group, after its pseudo-observations."""
    if not row["n"]:
        return np.nan, np.nan
    # a net score: 3/4, 3/2, 3/4; a share: one answer inside the box and one outside
    total, net, square = {"net": (PSEUDO_TOTAL, 0.0, 2 * PSEUDO_EXTREME), "box": (2.0, 1.0, 1.0)}[
        metric.kind
    ]
    if wald:
        total = net = square = 0.0
    n = row["n"] + total
    estimate = (row["y"] + net) / n
    return estimate, max((row["yy"] + square) / n - estimate**2, 0.0) / n


def _welch(both: pd.DataFrame, level: float, apart: float) -> dict[str, Any]:
    n = both["n"].where(both["n"] > 1)
    means = both["y"] / n
    alike = (all_alike(both["n"], both["y"], both["yy"]) & n.notna()).to_numpy()
    spread = (
        ((both["yy"] / n - means**2).clip(lower=0) / (n - 1)).mask(alike, 0.0).to_numpy(copy=True)
    )
    if alike.sum() == 1:
        # no spread among a group's answers is no certainty about others
        together = pooled_variance(both["n"], both["y"], both["yy"], apart)
        spread[alike] = together / n.to_numpy()[alike]
    df = satterthwaite(spread, (n - 1).to_numpy())
    return tested_difference(
        float(means[0] - means[1]) + apart, float(spread.sum()), df, level, "welch"
    )


def pooled_variance(n: Any, y: Any, yy: Any, apart: float) -> float:
    """Variance of two groups' answers together, the first counted from further on by ``apart``."""
    n, y, yy = (np.asarray(sums, dtype=float) for sums in (n, y, yy))
    move = np.array([apart, 0.0])
    squares = (yy + 2 * move * y + move**2 * n).sum()
    total, size = (y + move * n).sum(), n.sum()
    return float(max(squares - total**2 / size, 0.0) / (size - 1))


def satterthwaite(variances: np.ndarray, df: np.ndarray) -> float:
    """Degrees of freedom of a sum of independent variances; NaN where it is 0."""
    total = float(variances.sum())
    return total**2 / float((variances**2 / df).sum()) if total > 0 else np.nan


def tested_difference(
    difference: float, variance: float, df: float, level: float, method: str
) -> dict[str, Any]:
    """A difference with its interval and two-sided test; an infinite ``df`` is the normal's.

    Returns
    -------
    dict
        ``estimate, se, ci_low, ci_high, statistic, df, p_value, method``, and a ``note``
        that says why there is no test where there is none.
    """
    se = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan
    usable = np.isfinite(difference) and se > 0 and df >= 1
    statistic = difference / se if usable else np.nan
    quantile = normal_quantile(level) if np.isinf(df) else float(t_quantile(level, df))
    p_value = np.nan
    if usable:
        tail = ndtr(-abs(statistic)) if np.isinf(df) else stdtr(df, -abs(statistic))
        p_value = float(2 * tail)
    half = quantile * se if usable else np.nan
    # no spread among the answers is no certainty about others
    known = se if se > 0 else np.nan
    return {
        "estimate": difference, "se": known, "ci_low": difference - half, "ci_high": difference + half,
        "statistic": statistic, "df": df, "p_value": p_value, "method": method,
        "note": "" if usable else _why_not(difference, se, df),
    }  # fmt: skip


def _why_not(difference: float, se: float, df: float) -> str:
    if not np.isfinite(difference):
        return "no test: a group has no valid answer, or one only"
    return "no test: every answer of a group is alike" if not se > 0 else "no test"
