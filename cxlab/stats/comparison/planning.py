"""Before asking: what gap could be seen, how many pairs that takes, what a quarantine costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cxlab.stats.comparison.margins import CATEGORY_SCORES
from cxlab.stats.comparison.sentences import FEW_PAIRS

#: Of the plans: the chance to see a gap that is there.
POWER = 0.8


def _quantiles(alpha: float, power: float) -> float:
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise ValueError(f"`{name}` must be between 0 and 1; got {value}.")
    return float(ndtri(1 - alpha / 2) + ndtri(power))


def paired_variance(table: Any) -> float:
    """Variance of one customer's difference of net scores, in points², from a 3 × 3 table.

    Parameters
    ----------
    table : array_like, shape (3, 3), or the migration table of a comparison

    Examples
    --------
    Half agree, a quarter gain a step, a quarter lose one:

    >>> paired_variance([[1, 1, 0], [1, 1, 0], [0, 0, 0]])
    5000.0
    """
    if isinstance(table, pd.DataFrame) and "n" in table:
        table = table["n"].to_numpy(dtype=float, na_value=np.nan).reshape(3, 3)
        if np.isnan(table).any():
            raise ValueError(
                "`table` must show its counts; they are hidden. Take `pair_variance` of the "
                "comparison."
            )
    counts, a = np.asarray(table, dtype=float), np.asarray(CATEGORY_SCORES) * 100
    if counts.shape != (3, 3) or not counts.sum() > 0:
        raise ValueError("`table` must be 3 × 3 with at least one pair; got none.")
    difference = a[:, None] - a[None, :]
    mean = (difference * counts).sum() / counts.sum()
    return float((difference**2 * counts).sum() / counts.sum() - mean**2)


def answers_needed(
    gap: float, variance: float, *, alpha: float = 0.05, power: float = 0.8, deff: float = 1.0
) -> int:
    """Pairs of answers needed to see a gap.

    Parameters
    ----------
    gap : float
        Points, not 0.
    variance : float
        Of one pair's difference in points² (`paired_variance`); for two separate samples
        the sum of their variances, and the answer is per sample.
    alpha, power : float
        Two-sided error; chance to see the gap.
    deff : float
        Design effect, 1 or more with several pairs a customer.

    Notes
    -----
    ``n = (z_{α/2} + z_β)²·V/δ²``, rounded up.

    Examples
    --------
    >>> answers_needed(10, 5000)
    393
    """
    if not gap or not np.isfinite(gap):
        raise ValueError(f"`gap` must be a number of points other than 0; got {gap}.")
    if not variance > 0 or not deff > 0:
        raise ValueError(f"`variance` and `deff` must be above 0; got {variance} and {deff}.")
    return int(np.ceil(_quantiles(alpha, power) ** 2 * variance * deff / gap**2))


def detectable_gap(
    n: int, variance: float, *, alpha: float = 0.05, power: float = 0.8, deff: float = 1.0
) -> float:
    """Smallest gap in points that n pairs would show with the given power.

    Parameters are those of `answers_needed`.

    Examples
    --------
    >>> round(detectable_gap(393, 5000), 1)
    10.0
    """
    if n < 1:
        raise ValueError(f"`n` must be 1 or more; got {n}.")
    return float(_quantiles(alpha, power) * np.sqrt(variance * deff / n))


def plan_pairs(result: Any, *, gaps: Sequence[float] = (2, 5, 10, 15, 20)) -> pd.DataFrame:
    """What the pairs at hand could show, and what given gaps would need.

    Parameters
    ----------
    result : NpsComparison
    gaps : sequence of float
        Points.

    Returns
    -------
    DataFrame
        ``question, gap`` (points), ``n`` (pairs), ``power, deff, note``: the first row is the
        smallest gap that the pairs at hand show with 80 % power. Without pairs, with too few
        customers to show, or where every pair has the same difference, ``n`` is null and
        ``note`` says why.
    """
    row = result.paired.iloc[0]
    variance = result.pair_variance
    if pd.isna(row["n"]) or not row["n"] or not variance > 0:
        return _pair_rows(gaps, None, [pd.NA] * (len(gaps) + 1), np.nan, str(row["note"]))
    n = int(row["n"])
    simple = variance / n
    deff = max(float(row["se"] ** 2 / simple) if np.isfinite(row["se"]) else 1.0, 1.0)
    shown = detectable_gap(n, variance, deff=deff)
    needed = [answers_needed(gap, variance, deff=deff) for gap in gaps]
    note = f"the variance is that of {n} pairs: a rough plan" if n < FEW_PAIRS else ""
    return _pair_rows(gaps, shown, [n, *needed], deff, note)


def _pair_rows(
    gaps: Sequence[float], shown: float | None, n: Sequence[Any], deff: float, note: str
) -> pd.DataFrame:
    """One row for the pairs at hand, one for each gap."""
    return pd.DataFrame(
        {
            "question": ["smallest gap that these pairs show", *["pairs needed for"] * len(gaps)],
            "gap": [np.nan if shown is None else shown, *map(float, gaps)],
            "n": pd.array(n, dtype="Int64"),
            "power": POWER,
            "deff": deff,
            "note": note,
        }
    )
