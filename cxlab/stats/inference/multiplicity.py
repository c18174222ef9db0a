"""Control of the share of false discoveries in a family of tests."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cxlab.core.messages import got, unknown

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
    With the p-values in ascending order, adjusted ``p_(i)`` is the smallest of
    ``c·m·p_(j)/j`` over ``j >= i``, at most 1, where ``c`` is 1 for BH and
    ``1 + 1/2 + … + 1/m`` for BY.

    References
    ----------
    Benjamini & Hochberg (1995), JRSS B 57, 289–300. Benjamini & Yekutieli (2001),
    Annals of Statistics 29, 1165–1188.

    Examples
    --------
    >>> adjust_p_values([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.04, 0.04]
    """
    if method not in METHODS:
        raise ValueError(unknown("method", method, METHODS))
    p = np.asarray(p_values, dtype=float)
    tested = ~np.isnan(p)
    wrong = p[tested & ((p < 0) | (p > 1))]
    if wrong.size:
        raise ValueError(f"`p_values` must be from 0 to 1; got {got(list(wrong))}.")
    adjusted = np.full(p.shape, np.nan)
    adjusted[tested] = _step_up(p[tested], method)
    return adjusted


def _step_up(p: NDArray[np.float64], method: str) -> NDArray[np.float64]:
    size = p.size
    if size == 0:
        return p
    ranks = np.arange(1, size + 1)
    factor = float(np.sum(1 / ranks)) if method == "by" else 1.0
    order = np.argsort(p, kind="stable")
    stepped = np.minimum.accumulate((factor * size * p[order] / ranks)[::-1])[::-1]
    adjusted = np.empty(size)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
