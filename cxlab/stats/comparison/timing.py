"""When it was answered, and which answer counts: rules, windows, delay, what goes with what later."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from cxlab.stats.comparison.pairs import (
    CATEGORIES,
    LAST,
    RULES,
    OnePerAnswer,
    Pairs,
    category,
    contrast,
    net_contrast,
    one_per_answer,
)
from cxlab.stats.comparison.programme import Answers
from cxlab.stats.inference import normal_quantile, t_quantile

NUMBERS = ["estimate", "se", "ci_low", "ci_high"]
WINDOWS = (7, 30, 90, 180)
#: Sums of scores that differ by less are the same but for rounding.
SAME = 1e-9
#: Fewer pairs than this and a correlation is not shown.
MIN_PAIRS = 10


def customers_that_differ(one: OnePerAnswer, other: OnePerAnswer) -> int:
    """Customers whose pairs differ between two sets of pairs."""
    size = int(max(one.customer.max(initial=-1), other.customer.max(initial=-1))) + 1
    facts = [
        np.array([np.bincount(p.customer, w, minlength=size) for w in (None, p.t_value, p.r_score)])
        for p in (one, other)
    ]
    return int((np.abs(facts[0] - facts[1]) > SAME).any(0).sum())


def sensitivity_table(pairs: Pairs, *, level: float) -> pd.DataFrame:
    """The contrast under every rule; ``differ``: customers for whom it is not the chosen one's.

    The net score only of the last answer, which is whole; mean scores under every rule.
    """
    taken = {rule: one_per_answer(pairs, rule) for rule in RULES}
    rows = []
    for rule, one in taken.items():
        facts = {"chosen": rule == LAST, "differ": customers_that_differ(one, taken[LAST])}
        mean = contrast(one.t_value - one.r_score, one.customer)
        found = {"NPS difference (points)": net_contrast(one)} if rule == LAST else {}
        for measure, each in (found | {"mean difference (score)": mean}).items():
            rows.append({"rule": rule, "measure": measure, **each.row("wald", level), **facts})
    return pd.DataFrame(rows)


def windows_taken(pairs: Pairs, chosen: float) -> dict[float, OnePerAnswer]:
    """The pairs of every window, and of the chosen one, shortest first."""
    return {days: one_per_answer(pairs.within(days)) for days in sorted({*WINDOWS, chosen})}


def window_table(taken: Mapping[float, OnePerAnswer], *, level: float) -> pd.DataFrame:
    """The contrast by how long before a transactional answer may lie."""
    return pd.DataFrame(
        [{"window_days": d, **net_contrast(taken[d]).row("wald", level)} for d in WINDOWS]
    )


def regression_table(pairs: OnePerAnswer, *, level: float) -> pd.DataFrame:
    """Mean of each score given the category of the other, both ways.

    A customer picked for an extreme score in one survey is on average less extreme in the
    other, whichever comes first: the two directions together tell change from regression
    to the mean.
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

    Pearson correlation, or partial given the earlier score of the same survey. Only strictly
    earlier answers count; errors cluster by customer.
    """
    earlier, later = pairs.transactional[pairs.last], pairs.relationship[pairs.last]
    rows = _direction("tNPS before rNPS", t, r, earlier, later, level)
    return pd.DataFrame(rows + _direction("rNPS before tNPS", r, t, *_earlier(t, r), level))


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
