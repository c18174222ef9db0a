"""When an answer came: delay, regression to the mean, what goes with what later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.margins import CATEGORIES, category
from cxlab.stats.comparison.paired import OnePerAnswer, Pairs
from cxlab.stats.comparison.small import hide_groups, hide_small_rows
from cxlab.stats.inference import normal_quantile, t_quantile
from cxlab.stats.metrics import nps

DELAYS = (
    (0.25, "under 6 hours"),
    (1.0, "6 to 24 hours"),
    (3.0, "1 to 3 days"),
    (7.0, "3 to 7 days"),
    (np.inf, "over 7 days"),
)
#: Fewer pairs than this and a correlation is not shown.
MIN_PAIRS = 10


def delay_table(t: Answers, unit: np.ndarray, *, level: float, smallest: int = 1) -> pd.DataFrame:
    """Transactional NPS by how long after the episode the answer came.

    Returns
    -------
    DataFrame
        ``delay, median_days, n, customers, estimate, se, ci_low, ci_high, note``; empty
        where episode times are not known. Delays of fewer than ``smallest`` customers are
        hidden, and those that would give them back.
    """
    delay = t.responded - t.triggered
    columns = ["delay", "median_days", "n", "customers", "estimate", "se", "ci_low", "ci_high",
               "note"]  # fmt: skip
    known = t.valid & ~np.isnan(delay)
    if not known.any():
        return pd.DataFrame(columns=columns)
    ends = np.array([end for end, _ in DELAYS])
    code = np.minimum(np.searchsorted(ends, delay[known], side="right"), len(ends) - 1)
    names = pd.Categorical.from_codes(code, [name for _, name in DELAYS])
    customer = t.customer[known]
    frame = pd.DataFrame({"delay": names, "score": t.score[known], "unit": unit[customer]})
    table = nps(frame, "score", by="delay", design={"cluster": "unit"}, level=level)
    middle = pd.Series(delay[known]).groupby(np.asarray(names)).median()
    table = table.rename(columns={"group": "delay"})
    each = pd.Series(customer).groupby(np.asarray(names)).nunique()
    table["median_days"] = table["delay"].astype("str").map(middle)
    table["customers"] = table["delay"].astype("str").map(each).fillna(0).astype(int)
    nowhere = len(np.unique(t.customer[t.valid & ~known]))
    return hide_groups(table[columns], smallest, outside=nowhere)


def regression_table(pairs: OnePerAnswer, *, level: float, smallest: int = 1) -> pd.DataFrame:
    """Mean of each score given the category of the other, both ways.

    A customer picked for an extreme score in one survey is on average less extreme in the
    other, whichever comes first: the two directions together tell change from regression
    to the mean.

    Returns
    -------
    DataFrame
        ``given, group, n, customers, mean_given, mean_other, estimate`` (other less given),
        ``se, ci_low, ci_high`` in score points, ``note``. Categories of fewer than
        ``smallest`` customers are hidden, and those that would give them back.
    """
    sides = {
        "transactional answer": (pairs.t_value, pairs.r_score),
        "relationship answer": (pairs.r_score, pairs.t_value),
    }
    rows = []
    for given, (known, other) in sides.items():
        for code, name in enumerate(CATEGORIES):
            here = category(known) == code
            estimate, se, low, high = _clustered_mean(
                (other - known)[here], pairs.unit[here], level
            )
            means = [float(x[here].mean()) if here.any() else np.nan for x in (known, other)]
            counts = int(here.sum()), len(np.unique(pairs.customer[here]))
            rows.append((given, name, *counts, *means, estimate, se, low, high))
    columns = ["given", "group", "n", "customers", "mean_given", "mean_other", "estimate", "se",
               "ci_low", "ci_high"]  # fmt: skip
    return hide_groups(pd.DataFrame(rows, columns=columns), smallest, within="given")


def _clustered_mean(
    values: np.ndarray, cluster: np.ndarray, level: float
) -> tuple[float, float, float, float]:
    codes, labels = pd.factorize(cluster)
    if len(labels) < 2:
        return float(values.mean()) if len(values) else np.nan, np.nan, np.nan, np.nan
    mean, groups = float(values.mean()), len(labels)
    sums = np.bincount(codes, values - mean) / len(values)
    se = float(np.sqrt(groups / (groups - 1) * (sums**2).sum()))
    half = float(t_quantile(level, groups - 1)) * se
    return mean, se, mean - half, mean + half


def later_table(
    t: Answers, r: Answers, pairs: Pairs, unit: np.ndarray, *, level: float, smallest: int = 1
) -> pd.DataFrame:
    """Does one score go with the other one later? Both directions.

    Parameters
    ----------
    t, r : Answers
    pairs : Pairs
        Transactional answers before relationship answers.
    unit : ndarray of int, shape (customers,)
    level : float

    Returns
    -------
    DataFrame
        ``direction, given, n, customers, estimate`` (Pearson, or partial given the earlier
        score of the same survey), ``se, ci_low, ci_high, note``. Only strictly earlier
        answers count; errors cluster by customer.
    """
    forward = _last_before(pairs.relationship, pairs.transactional, pairs.age)
    rows = _direction("tNPS before rNPS", t, r, *forward, unit, level)
    back = _earlier(t, r)
    rows += _direction("rNPS before tNPS", r, t, *back, unit, level)
    return hide_small_rows(pd.DataFrame(rows), smallest)


def _last_before(
    later: np.ndarray, earlier: np.ndarray, age: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The latest earlier answer of each later one."""
    order = np.lexsort((age, later))
    first = np.r_[True, np.diff(later[order]) > 0] if len(order) else np.empty(0, dtype=bool)
    return earlier[order[first]], later[order[first]]


def _earlier(later: Answers, earlier: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Position of each later answer's last earlier answer of the same customer."""
    left = pd.DataFrame(
        {"customer": later.customer, "time": later.responded, "later": np.arange(len(later))}
    )[later.valid & ~np.isnan(later.responded)]
    right = pd.DataFrame(
        {
            "customer": earlier.customer,
            "time": earlier.responded,
            "earlier": np.arange(len(earlier)),
        }
    )[earlier.valid & ~np.isnan(earlier.responded)]
    if left.empty or right.empty:
        return np.empty(0, dtype=int), np.empty(0, dtype=int)
    both = pd.merge_asof(
        left.sort_values("time"), right.sort_values("time"), on="time", by="customer",
        allow_exact_matches=False,
    ).dropna(subset="earlier")  # fmt: skip
    return both["earlier"].to_numpy(dtype=int), both["later"].to_numpy(dtype=int)


def _direction(
    name: str,
    first: Answers,
    second: Answers,
    earlier: np.ndarray,
    later: np.ndarray,
    unit: np.ndarray,
    level: float,
) -> list[dict[str, object]]:
    x, y = first.score[earlier], second.score[later]
    cluster = unit[second.customer[later]]
    rows = [{"direction": name, "given": "nothing", **correlation(x, y, cluster, level)}]
    before, of = _earlier(_subset(second, later), second)
    z, x, y, cluster = second.score[before], x[of], y[of], cluster[of]
    given = "the same survey's earlier score"
    return [*rows, {"direction": name, "given": given, **correlation(x, y, cluster, level, z)}]


def _subset(answers: Answers, rows: np.ndarray) -> Answers:
    return answers.take(rows)


def correlation(
    x: np.ndarray,
    y: np.ndarray,
    cluster: np.ndarray,
    level: float,
    given: np.ndarray | None = None,
) -> dict[str, object]:
    """Correlation, partial if something is given, with a clustered standard error.

    Notes
    -----
    Influence function z_x z_y − (r/2)(z_x² + z_y²) of standardised (residual) scores,
    summed within clusters; the interval is made on Fisher's scale.
    """
    n, groups = len(x), len(np.unique(cluster))
    base: dict[str, object] = {"n": n, "customers": groups}
    nothing = dict.fromkeys(("estimate", "se", "ci_low", "ci_high"), np.nan)
    if n < MIN_PAIRS or groups < MIN_PAIRS:
        return {**base, **nothing, "note": f"fewer than {MIN_PAIRS} pairs of customers"}
    if given is not None:
        x, y = _residual(x, given), _residual(y, given)
    if np.ptp(x) < 1e-12 or np.ptp(y) < 1e-12:
        return {**base, **nothing, "note": "one of the scores does not vary"}
    zx, zy = (x - x.mean()) / x.std(), (y - y.mean()) / y.std()
    r = float((zx * zy).mean())
    codes, _ = pd.factorize(cluster)
    influence = np.bincount(codes, zx * zy - r / 2 * (zx**2 + zy**2)) / n
    se = float(np.sqrt(groups / (groups - 1) * (influence**2).sum()))
    half = normal_quantile(level) * se / max(1 - r**2, 1e-12)
    low, high = np.tanh(np.arctanh(np.clip(r, -0.999999, 0.999999)) + np.array([-half, half]))
    limits = {"estimate": r, "se": se, "ci_low": float(low), "ci_high": float(high)}
    return {**base, **limits, "note": "association, not cause"}


def _residual(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    centred = given - given.mean()
    slope = (centred * values).sum() / max((centred**2).sum(), 1e-12)
    return values - values.mean() - slope * centred
