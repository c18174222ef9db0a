"""Which coefficients can be told apart: differences under the design."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.stats.association import PairEstimates
from cxlab.stats.inference import adjust_p_values, t_quantile

Array = NDArray[np.float64]

#: A variance of a difference below this share of the two variances is rounding of 0.
SAME_SCORES = 1e-10


def difference_table(
    fit: PairEstimates,
    first: NDArray[np.intp],
    second: NDArray[np.intp],
    *,
    level: float,
    family: Any = None,
) -> pd.DataFrame:
    """Differences of coefficients with interval and test.

    Parameters
    ----------
    fit : PairEstimates
    first, second : ndarray of int
        Numbers of the pairs whose coefficients are compared, first less second.
    level : float
    family : ndarray of int, optional
        Family of each comparison for Benjamini–Yekutieli; default one family.

    Returns
    -------
    DataFrame
        ``n, n_other, estimate, se, ci_low, ci_high, p_value, p_adjusted, df, note``.

    Notes
    -----
    The influence functions of the two coefficients, each 0 outside its own rows, are
    subtracted before they are summed over clusters: touchpoints rated by the same people
    share their variation, and holes make no difference. The degrees of freedom are the
    smaller of the two coefficients'.
    """
    estimate = fit.table["estimate"].to_numpy()[first] - fit.table["estimate"].to_numpy()[second]
    variance_first, variance_second = fit.covariance[first, first], fit.covariance[second, second]
    variance = variance_first + variance_second - 2 * fit.covariance[first, second]
    same = (np.abs(estimate) < 1e-12) & (
        variance <= SAME_SCORES * np.maximum(variance_first + variance_second, 1e-300)
    )
    df = np.minimum(fit.df[first], fit.df[second])
    usable = np.isfinite(estimate) & np.isfinite(variance) & (df >= 1)
    se = np.where(usable, np.sqrt(np.where(usable & ~same, np.maximum(variance, 0), 0.0)), np.nan)
    half = t_quantile(level, df) * se
    table = pd.DataFrame({"n": fit.table["n"].to_numpy()[first]})
    table["n_other"] = fit.table["n"].to_numpy()[second]
    table["estimate"], table["se"] = estimate, se
    table["ci_low"], table["ci_high"] = estimate - half, estimate + half
    table["p_value"] = _p_values(estimate, se, df, same & usable)
    table["p_adjusted"] = _adjusted(table["p_value"].to_numpy(), family)
    table["df"] = df
    table["note"] = _notes(fit, first, second, usable, same & usable)
    return table


def _p_values(estimate: Array, se: Array, df: Array, same: NDArray[np.bool_]) -> Array:
    ratio = np.abs(estimate) / np.where(se > 0, se, np.nan)
    value = 2 * stdtr(np.where(df >= 1, df, np.nan), -ratio)
    return np.where(same, 1.0, value)


def _adjusted(p_values: Array, family: Any) -> Array:
    families = np.zeros(len(p_values), dtype=int) if family is None else family
    adjusted = np.full(len(p_values), np.nan)
    for number in np.unique(families):
        members = families == number
        adjusted[members] = adjust_p_values(p_values[members], method="by")
    return adjusted


def _notes(fit: PairEstimates, first: Any, second: Any, usable: Any, same: Any) -> list[str]:
    reasons = fit.table["note"].to_numpy()
    known = fit.table["estimate"].notna().to_numpy()
    notes = []
    for a, b, good, equal in zip(first, second, usable, same, strict=True):
        if equal:
            notes.append("identical scores: no difference to test")
        elif good:
            notes.append("")
        elif not (known[a] and known[b]):
            notes.append(f"no coefficient: {reasons[a] if not known[a] else reasons[b]}")
        elif np.isnan(fit.covariance[a, b]):
            notes.append("not compared: rows are too many to keep apart; Pearson's r can be")
        else:
            notes.append("no test: one of the two has no interval")
    return notes
