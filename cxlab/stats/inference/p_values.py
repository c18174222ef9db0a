"""p-values: adjusted for their number, and by relabelling."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlab.core.messages import got, unknown

#: Benjamini–Hochberg and Benjamini–Yekutieli.
METHODS = ("bh", "by")


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


#: Numbers drawn at a time.
BLOCK = 5_000_000


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
