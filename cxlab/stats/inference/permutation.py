"""Tests by relabelling, for small groups of simple random data."""

from __future__ import annotations

import numpy as np

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
