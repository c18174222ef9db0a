"""Tests and intervals for a square table of paired answers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2, f, norm
from scipy.stats import t as student

from cxlab.stats.inference import normal_quantile, t_quantile

CATEGORIES = ("detractor", "passive", "promoter")
#: Eigenvalues below this share of the largest are rounding: the margin has no freedom there.
RANK_TOLERANCE = 1e-10
#: Fewer customers than this who changed category: chi-square is a rough guide.
FEW_CHANGES = 10
#: Differences that amount to fewer than this many equal ones have t instead of the normal
#: distribution, with as many degrees of freedom less one.
FEW_DIFFERENCES = 8.0


def category(score: np.ndarray) -> np.ndarray:
    """0, 1, 2 for detractor (0–6), passive (7–8), promoter (9–10)."""
    return (np.asarray(score) >= 7).astype(int) + (np.asarray(score) >= 9)


def _square(table: ArrayLike) -> np.ndarray:
    counts = np.asarray(table, dtype=float)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or len(counts) < 2:
        raise ValueError(
            f"`table` must be square, with 2 categories or more; got shape {counts.shape}."
        )
    if not np.isfinite(counts).all() or (counts < 0).any():
        raise ValueError("`table` must hold counts of 0 or more; got a negative or missing one.")
    if counts.sum() <= 0:
        raise ValueError("`table` must hold at least one pair; got none.")
    return counts


def marginal_homogeneity(table: ArrayLike) -> pd.DataFrame:
    """Do both measures have the same shares of categories? Three tests on paired counts.

    Parameters
    ----------
    table : array_like, shape (k, k)
        Counts of pairs.

    Returns
    -------
    DataFrame
        ``test`` (Stuart–Maxwell, Bhapkar, Bowker), ``statistic, df, p_value, note``.
        Stuart–Maxwell and Bhapkar compare the margins; Bowker tests symmetry, and its
        ``df`` counts only pairs of categories between which somebody moved.

    Notes
    -----
    With d the differences of the margins and S₀ their covariance under no difference, the
    statistic is d'S₀⁻d, with a generalised inverse over all categories and the rank as
    degrees of freedom: which category comes last makes no difference, and margins that
    agree in some categories are no special case. Bhapkar's statistic is W/(1 − W/N).
    `statsmodels.stats.contingency_tables.SquareTable` has the same statistics, but leaves out
    the last category and counts all pairs of categories, so that a table with an empty category
    has no test there; the tests compare the two where both have one.

    References
    ----------
    Stuart (1955); Maxwell (1970); Bhapkar (1966); Bowker (1948); Fleiss, Levin & Paik
    (2003), table 13.6.

    Examples
    --------
    >>> marginal_homogeneity([[35, 5, 0], [15, 20, 5], [10, 5, 5]])[["test", "statistic"]].round(2)
                 test  statistic
    0  Stuart–Maxwell      14.00
    1         Bhapkar      16.28
    2          Bowker      15.00
    """
    counts = _square(table)
    n = counts.sum()
    d = counts.sum(1) - counts.sum(0)
    spread = np.diag(counts.sum(1) + counts.sum(0)) - counts - counts.T
    stuart, df = quadratic_form(d, spread)
    # W/(1 − W/N) equals the form in the unrestricted covariance; W = N cannot be told apart
    bhapkar = stuart / (1 - stuart / n) if stuart < n * (1 - 1e-12) else np.inf
    upper = np.triu_indices(len(counts), 1)
    changed = counts[upper] + counts.T[upper]
    moved = (counts[upper] - counts.T[upper]) ** 2
    some = changed > 0
    bowker, pairs = float((moved[some] / changed[some]).sum()), int(some.sum())
    counted = f"df counts the {pairs} of {len(some)} pairs of categories between which any moved"
    rows = [
        ("Stuart–Maxwell", stuart, df, ""),
        ("Bhapkar", bhapkar, df, ""),
        ("Bowker", bowker, pairs, "" if some.all() else counted),
    ]
    rough = int(changed.sum())
    few = f"{rough} changed category: the test is rough" if 0 < rough < FEW_CHANGES else ""
    tests = [_test(name, statistic, df, note) for name, statistic, df, note in rows]
    for test in tests:
        test["note"] = "; ".join(part for part in (str(test["note"]), few) if part)
    return pd.DataFrame(tests)


def _test(name: str, statistic: float, df: int, note: str = "") -> dict[str, object]:
    if df == 0:
        note = "nobody changed category: there is nothing to test"
        return {"test": name, "statistic": 0.0, "df": 0, "p_value": 1.0, "note": note}
    p = float(chi2.sf(statistic, df)) if np.isfinite(statistic) else 0.0
    return {"test": name, "statistic": statistic, "df": df, "p_value": p, "note": note}


def quadratic_form(d: np.ndarray, spread: np.ndarray) -> tuple[float, int]:
    """d'S⁻d with a generalised inverse, and the rank of S."""
    values, vectors = np.linalg.eigh(spread)
    kept = values > RANK_TOLERANCE * max(float(values.max(initial=0.0)), 1e-300)
    if not kept.any():
        return 0.0, 0
    rotated = vectors[:, kept].T @ d
    return float((rotated**2 / values[kept]).sum()), int(kept.sum())


@dataclass(frozen=True)
class Contrast:
    """Mean of paired differences with its standard error.

    ``se_null`` is the standard error under no difference; ``df`` is infinite where every customer
    has one pair; ``effective`` customers differ at all, in effect.
    """

    n: int
    clusters: int
    estimate: float
    se: float
    se_null: float
    df: float
    effective: float = np.inf

    @property
    def test_df(self) -> float:
        """Degrees of freedom of interval and test: fewer where few clusters differ at all."""
        few = self.effective < FEW_DIFFERENCES
        return min(self.df, max(self.effective - 1.0, 1.0)) if few else self.df

    def row(self, method: str, level: float) -> dict[str, object]:
        """Interval and test: ``method`` is wald or score."""
        se = self.se if method == "wald" else self.se_null
        quantile, df = normal_quantile(level), self.test_df
        if np.isfinite(df):
            quantile = float(t_quantile(level, df)) if df > 0 else np.nan
        usable = se > 0 and np.isfinite(quantile)
        statistic = self.estimate / se if usable else np.nan
        p = 2 * norm.sf(abs(statistic)) if usable else np.nan
        if usable and np.isfinite(df):
            p = 2 * student.sf(abs(statistic), df)
        return {
            "n": self.n,
            "customers": self.clusters,
            "estimate": self.estimate,
            "se": se if usable else np.nan,
            "ci_low": self.estimate - quantile * se if usable else np.nan,
            "ci_high": self.estimate + quantile * se if usable else np.nan,
            "statistic": statistic,
            "p_value": p,
        }


def contrast(difference: np.ndarray, cluster: np.ndarray) -> Contrast:
    """Mean of paired differences, by customer.

    Notes
    -----
    One pair a customer: Var = (E d² − D²)/N. Else Taylor: G/(G − 1)·Σ_g u_g², u_g the
    customer's sum of (d − D)/N, with t on G − 1 degrees of freedom. Where a handful of customers
    differ at all, (Σ_g (Σ_g d)²)²/Σ_g (Σ_g d)⁴ < 8, t on that less 1.
    """
    n = len(difference)
    if n == 0:
        return Contrast(0, 0, np.nan, np.nan, np.nan, np.inf)
    estimate = float(difference.sum() / n)
    codes, labels = pd.factorize(cluster)
    groups = len(labels)
    if groups == n:
        square = float((difference**2).mean())
        variance = max(square - estimate**2, 0.0) / n
        few = _effective(difference)
        return Contrast(n, n, estimate, variance**0.5, (square / n) ** 0.5, np.inf, few)
    if groups < 2:
        return Contrast(n, groups, estimate, np.nan, np.nan, 0.0)
    around = np.bincount(codes, difference - estimate)
    null = np.bincount(codes, difference)
    se = float(np.sqrt(groups / (groups - 1) * (around**2).sum()) / n)
    se_null = float(np.sqrt((null**2).sum()) / n)
    return Contrast(n, groups, estimate, se, se_null, groups - 1.0, _effective(null))


def _effective(totals: np.ndarray) -> float:
    """How many equal clusters would make as uneven a sum of squares."""
    fourth = float((totals**4).sum())
    return float((totals**2).sum()) ** 2 / fourth if fourth > 0 else np.inf


def design_based_margins(
    first: np.ndarray, second: np.ndarray, cluster: np.ndarray
) -> dict[str, object]:
    """Wald test of equal margins when some customers have several pairs.

    ``first`` and ``second`` are categories 0 to 2. F = W·(df − k + 1)/(df·k).
    """
    indicators = np.column_stack([(first == k).astype(float) - (second == k) for k in (0, 2)])
    d = indicators.mean(0)
    codes, labels = pd.factorize(cluster)
    groups = len(labels)
    name = "Marginal Wald test (clustered)"
    if groups < 4:
        note = "fewer than four clusters: no test"
        return {"test": name, "statistic": np.nan, "df": 0, "p_value": np.nan, "note": note}
    scores = (indicators - d) / len(first)
    sums = np.column_stack([np.bincount(codes, scores[:, k]) for k in (0, 1)])
    wald, rank = quadratic_form(d, groups / (groups - 1) * sums.T @ sums)
    df = groups - 1
    if rank == 0:
        return _test(name, 0.0, 0)
    statistic = wald * (df - rank + 1) / (df * rank)
    note = (
        f"F on {rank} and {df - rank + 1} degrees of freedom; Bowker's test needs one pair a "
        "customer"
    )
    p = float(f.sf(statistic, rank, df - rank + 1))
    return {"test": name, "statistic": statistic, "df": rank, "p_value": p, "note": note}
