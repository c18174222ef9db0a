"""When an answer came: delay, regression to the mean, what goes with what later."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.comparison.gaps import NUMBERS, clustered_scores
from cxlab.stats.comparison.identity import customers_of
from cxlab.stats.comparison.paired.margins import CATEGORIES, category
from cxlab.stats.comparison.paired.pairs import OnePerAnswer, Pairs
from cxlab.stats.comparison.programme import Answers
from cxlab.stats.inference import normal_quantile, t_quantile

DELAYS = (
    (0.25, "under 6 hours"),
    (1.0, "6 to 24 hours"),
    (3.0, "1 to 3 days"),
    (7.0, "3 to 7 days"),
    (np.inf, "over 7 days"),
)
#: Fewer pairs than this and a correlation is not shown.
MIN_PAIRS = 10


def delay_of(t: Answers) -> np.ndarray:
    """Days from the episode to each answer; NaN where one of the times is not known."""
    return t.responded - t.triggered


def delay_table(t: Answers, *, level: float) -> pd.DataFrame:
    """Transactional NPS by how long after the episode the answer came.

    Returns
    -------
    DataFrame
        ``delay, median_days, n, customers, estimate, se, ci_low, ci_high, note``; empty
        where episode times are not known.
    """
    columns = ["delay", "median_days", "n", "customers", *NUMBERS, "note"]
    known = t.valid & ~np.isnan(delay_of(t))
    if not known.any():
        return pd.DataFrame(columns=columns)
    delay, customer = delay_of(t)[known], t.customer[known]
    ends = np.array([end for end, _ in DELAYS])
    code = np.minimum(np.searchsorted(ends, delay, side="right"), len(ends) - 1)
    value = category(t.score[known]) - 1.0
    of = {"group": code, "n_groups": len(DELAYS), "level": level}
    table = clustered_scores(value, customer, **of).assign(
        delay=[name for _, name in DELAYS],
        median_days=pd.Series(delay).groupby(code).median().reindex(range(len(DELAYS))),
        customers=customers_of(code, customer, len(DELAYS)),
    )
    return table.loc[table["n"] > 0, columns].reset_index(drop=True)


def regression_table(pairs: OnePerAnswer, *, level: float) -> pd.DataFrame:
    """Mean of each score given the category of the other, both ways.

    A customer picked for an extreme score in one survey is on average less extreme in the
    other, whichever comes first: the two directions together tell change from regression
    to the mean.

    Returns
    -------
    DataFrame
        ``given, group, n, customers, mean_given, mean_other, estimate`` (other less given),
        ``se, ci_low, ci_high`` in score points.
    """
    sides = {
        "transactional answer": (pairs.t_value, pairs.r_score),
        "relationship answer": (pairs.r_score, pairs.t_value),
    }
    rows = []
    for given, (known, other) in sides.items():
        for code, name in enumerate(CATEGORIES):
            here = category(known) == code
            who = pairs.customer[here]
            numbers = _clustered_mean((other - known)[here], who, level)
            means = [float(x[here].mean()) if here.any() else np.nan for x in (known, other)]
            rows.append((given, name, int(here.sum()), len(np.unique(who)), *means, *numbers))
    columns = ["given", "group", "n", "customers", "mean_given", "mean_other", *NUMBERS]
    return pd.DataFrame(rows, columns=columns)


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


def later_table(t: Answers, r: Answers, pairs: Pairs, *, level: float) -> pd.DataFrame:
    """Does one score go with the other one later? Both directions.

    Returns
    -------
    DataFrame
        ``direction, given, n, customers, estimate`` (Pearson, or partial given the earlier
        score of the same survey), ``se, ci_low, ci_high, note``. Only strictly earlier
        answers count; errors cluster by customer.
    """
    forward = _last_before(pairs.relationship, pairs.transactional, pairs.age)
    rows = _direction("tNPS before rNPS", t, r, *forward, level)
    back = _earlier(t, r)
    rows += _direction("rNPS before tNPS", r, t, *back, level)
    return pd.DataFrame(rows)


def _last_before(
    later: np.ndarray, earlier: np.ndarray, age: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The latest earlier answer of each later one."""
    order = np.lexsort((age, later))
    first = np.r_[True, np.diff(later[order]) > 0] if len(order) else np.empty(0, dtype=bool)
    return earlier[order[first]], later[order[first]]


def _earlier(later: Answers, earlier: Answers) -> tuple[np.ndarray, np.ndarray]:
    """Position of each later answer's last earlier answer of the same customer."""
    left, right = (
        pd.DataFrame({"customer": a.customer, "time": a.responded, name: np.arange(len(a))})[
            a.valid & ~np.isnan(a.responded)
        ]
        for a, name in ((later, "later"), (earlier, "earlier"))
    )
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
    level: float,
) -> list[dict[str, object]]:
    x, y = first.score[earlier], second.score[later]
    cluster = second.customer[later]
    rows = [{"direction": name, "given": "nothing", **correlation(x, y, cluster, level)}]
    before, of = _earlier(second.take(later), second)
    z, x, y, cluster = second.score[before], x[of], y[of], cluster[of]
    given = "the same survey's earlier score"
    return [*rows, {"direction": name, "given": given, **correlation(x, y, cluster, level, z)}]


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
