"""The same customers in both surveys: pairs, their contrast, what came when."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.stats import chi2, f

from cxlab.core.phrases import joined
from cxlab.stats.association.coefficients import pearson
from cxlab.stats.association.estimates import correlation_interval
from cxlab.stats.comparison.decomposition import NUMBERS
from cxlab.stats.comparison.gaps import Contrast, contrast
from cxlab.stats.comparison.identity import customers_of
from cxlab.stats.comparison.programme import CustomerTimes
from cxlab.stats.inference import LEVEL
from cxlab.stats.variance import row_leverage

CATEGORIES = ("detractor", "passive", "promoter")
#: The rule that is set beforehand, and how the others make one of several answers.
LAST = "last before"
#: Days after which an answer counts half as much under the rule "half-life".
HALF_LIFE = 30.0
#: How long before a relationship answer a transactional one may lie, in days.
WINDOWS = (7, 30, 90, 180)
#: Sums of scores that differ by less are the same but for rounding.
SAME_SUM = 1e-9
#: Eigenvalues below this share of the largest are rounding: the margin has no freedom there.
RANK_TOLERANCE = 1e-10
#: Fewer customers than this who changed category: chi-square is a rough guide.
FEW_CHANGES = 10


def category(score: ArrayLike) -> np.ndarray:
    """0, 1, 2 for detractor (0–6), passive (7–8), promoter (9–10)."""
    return (np.asarray(score) >= 7).astype(int) + (np.asarray(score) >= 9)


def pair_answers(t: pd.DataFrame, r: pd.DataFrame, *, longest: float) -> pd.DataFrame:
    """Pair a customer's valid answers, those in ``t`` at most ``longest`` days before those in ``r``.

    Every one with every later one, in order of the later answer, then time: ``relationship`` and
    ``transactional``, the positions of both answers in their files, ``age``, the days between
    them, ``t_score, r_score, customer``.
    """
    t, r = (one.dropna(subset=["score", "responded_at"]) for one in (t, r))
    t = t.sort_values(["customer", "responded_at"])
    key, when = CustomerTimes(t["responded_at"], r["responded_at"]), r["responded_at"]
    keys = key(t["customer"], t["responded_at"])
    start = np.searchsorted(keys, key(r["customer"], when - longest), "left")
    end = np.searchsorted(keys, key(r["customer"], when), "left")
    counts = np.maximum(end - start, 0)
    which = np.repeat(np.arange(len(r)), counts)
    before = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    tt, rr = t.iloc[start[which] + before], r.iloc[which]
    return pd.DataFrame(
        {
            "relationship": rr.index,
            "transactional": tt.index,
            "age": rr["responded_at"].to_numpy() - tt["responded_at"].to_numpy(),
            "t_score": tt["score"].to_numpy(),
            "r_score": rr["score"].to_numpy(),
            "customer": rr["customer"].to_numpy(),
        }
    )


def pairs_within(pairs: pd.DataFrame, days: float) -> pd.DataFrame:
    """Pairs at most so many days apart."""
    return pairs[pairs["age"] <= days]


def one_per_answer(pairs: pd.DataFrame, rule: str = LAST) -> pd.DataFrame:
    """One transactional value (by a rule of `RULES`) against each relationship answer.

    ``t_value, r_score, customer``.
    """
    last = pairs.drop_duplicates("relationship", keep="last").set_index("relationship")
    value = RULES[rule](pairs.assign(youngest=pairs["relationship"].map(last["age"])))
    return last.assign(t_value=value)[["t_value", "r_score", "customer"]]


def _last(pairs: pd.DataFrame) -> pd.Series:
    return pairs.groupby("relationship")["t_score"].last()


def _mean(pairs: pd.DataFrame) -> pd.Series:
    return pairs.groupby("relationship")["t_score"].mean()


def _half_life(pairs: pd.DataFrame) -> pd.Series:
    # ages counted from the youngest: the same weights up to a factor, and no underflow to 0/0
    weight = 2.0 ** (-(pairs["age"] - pairs["youngest"]) / HALF_LIFE)
    sums = pd.DataFrame({"ws": weight * pairs["t_score"], "w": weight})
    sums = sums.groupby(pairs["relationship"]).sum()
    return sums["ws"] / sums["w"]


def _peak_end(pairs: pd.DataFrame) -> pd.Series:
    """Mean of the last score and the one furthest from the customer's mean (ties: the lower)."""
    mean = pairs.groupby("relationship")["t_score"].transform("mean")
    distance = (pairs["t_score"] - mean).abs().round(9)
    order = pairs.assign(near=-distance).sort_values(["relationship", "near", "t_score"])
    return (order.groupby("relationship")["t_score"].first() + _last(pairs)) / 2


#: How several transactional answers before one relationship answer become one. A mean of
#: several is no category: the net score takes the last.
RULES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    LAST: _last,
    "mean": _mean,
    "half-life": _half_life,
    "peak–end": _peak_end,
}


def net_contrast(pairs: pd.DataFrame) -> Contrast:
    """Difference of net scores of paired answers, in points."""
    difference = 100.0 * (category(pairs["t_value"]) - category(pairs["r_score"]))
    return contrast(difference, pairs["customer"])


def pair_tables(
    every: pd.DataFrame,
    backwards: pd.DataFrame,
    windows: Mapping[float, pd.DataFrame],
    window_days: float,
    *,
    why_none: str,
) -> dict[str, pd.DataFrame]:
    """Every table of pairs; ``backwards``: those with the relationship answer first."""
    pairs = windows[window_days]
    return {
        "paired": paired_table(pairs, why_none=why_none),
        "migration": migration_table(pairs),
        "categories": categories_table(pairs),
        "margins": margin_tests(pairs),
        "sensitivity": sensitivity_table(pairs_within(every, window_days)),
        "windows": window_table(windows),
        "later": later_table(every, backwards),
    }


def paired_table(pairs: pd.DataFrame, *, why_none: str) -> pd.DataFrame:
    """Same-customer contrast tNPS − rNPS: ``method`` wald and score."""
    found = net_contrast(pairs)
    note = why_none or found.note
    rows = [{"method": m, **found.row(m), "note": note} for m in ("wald", "score")]
    return pd.DataFrame(rows)


def customers_that_differ(one: pd.DataFrame, other: pd.DataFrame) -> int:
    """Customers whose pairs differ between two sets of pairs."""
    sums = [p.assign(pairs=1).groupby("customer").sum() for p in (one, other)]
    differ = sums[0].sub(sums[1], fill_value=0.0).abs() > SAME_SUM
    return int(differ.any(axis=1).sum())


def sensitivity_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """The contrast under every rule; ``differ``: customers for whom it is not the chosen one's.

    The net score only of the last answer, which is whole; mean scores under every rule.
    """
    taken = {rule: one_per_answer(pairs, rule) for rule in RULES}
    rows = []
    for rule, one in taken.items():
        facts = {"chosen": rule == LAST, "differ": customers_that_differ(one, taken[LAST])}
        mean = contrast(one["t_value"] - one["r_score"], one["customer"])
        found = {"NPS difference (points)": net_contrast(one)} if rule == LAST else {}
        for measure, each in (found | {"mean difference (score)": mean}).items():
            rows.append({"rule": rule, "measure": measure, **each.row("wald"), **facts})
    return pd.DataFrame(rows)


def windows_taken(pairs: pd.DataFrame, chosen: float) -> dict[float, pd.DataFrame]:
    """The pairs of every window, and of the chosen one, shortest first."""
    return {days: one_per_answer(pairs_within(pairs, days)) for days in sorted({*WINDOWS, chosen})}


def window_table(taken: Mapping[float, pd.DataFrame]) -> pd.DataFrame:
    """The contrast by how long before a transactional answer may lie."""
    return pd.DataFrame([{"window_days": d, **net_contrast(taken[d]).row("wald")} for d in WINDOWS])


def migration_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """Where customers move: nine rows, those of the 3 × 3 matrix in order."""
    n = migration_counts(pairs).ravel()
    total, rows = n.sum(), np.repeat(n.reshape(3, 3).sum(1), 3)
    return pd.DataFrame(
        {
            "transactional": np.repeat(CATEGORIES, 3),
            "relationship": np.tile(CATEGORIES, 3),
            "n": n.astype(int),
            "customers": customers_of(_label(pairs), pairs["customer"], 9),
            "share": n / total if total else np.nan,
            "share_of_row": n / np.where(rows > 0, rows, np.nan),
        }
    )


def categories_table(pairs: pd.DataFrame) -> pd.DataFrame:
    """The two margins of the migration: how the same customers answered each survey."""
    parts = []
    for survey, score in (("transactional", pairs["t_value"]), ("relationship", pairs["r_score"])):
        n = np.bincount(category(score), minlength=3)
        customers = customers_of(category(score), pairs["customer"], 3)
        part = {"survey": survey, "group": CATEGORIES, "n": n, "customers": customers}
        parts.append(pd.DataFrame({**part, "share": n / len(score) if len(score) else np.nan}))
    return pd.concat(parts, ignore_index=True)


def migration_counts(pairs: pd.DataFrame) -> np.ndarray:
    """3 × 3 counts: rows the transactional category, columns the relationship category."""
    return np.bincount(_label(pairs), minlength=9).reshape(3, 3).astype(float)


def _label(pairs: pd.DataFrame) -> np.ndarray:
    """Cell of the migration, 0 to 8, of each pair."""
    return 3 * category(pairs["t_value"]) + category(pairs["r_score"])


def margin_tests(pairs: pd.DataFrame) -> pd.DataFrame:
    """Tests of equal category shares: of the table, or design-based where pairs cluster."""
    if pairs.empty:
        return pd.DataFrame(columns=["test", "statistic", "df", "p_value", "note"])
    if pairs["customer"].is_unique:
        return marginal_homogeneity(migration_counts(pairs))
    t, r = category(pairs["t_value"]), category(pairs["r_score"])
    return pd.DataFrame([design_based_margins(t, r, pairs["customer"])])


def marginal_homogeneity(counts: np.ndarray) -> pd.DataFrame:
    """Stuart–Maxwell, Bhapkar and Bowker on a square table of pairs.

    With d the differences of the margins and S₀ their covariance under no difference, the
    statistic is d'S₀⁻d, with a generalised inverse over all categories and the rank as
    degrees of freedom. Bhapkar's statistic is W/(1 − W/N). Bowker's ``df`` counts only pairs
    of categories between which somebody moved. statsmodels' ``SquareTable`` leaves out the last
    category and has no test where a category is empty; the tests compare the two elsewhere.
    Stuart (1955); Maxwell (1970); Bhapkar (1966); Bowker (1948); Fleiss, Levin & Paik
    (2003), table 13.6.
    """
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
    rough = int(changed.sum())
    few = f"{rough} changed category: the test is rough" if 0 < rough < FEW_CHANGES else ""
    tests = [
        _test("Stuart–Maxwell", stuart, df),
        _test("Bhapkar", bhapkar, df),
        _test("Bowker", bowker, pairs, "" if some.all() else counted),
    ]
    for test in tests:
        test["note"] = joined(str(test["note"]), few)
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


def design_based_margins(
    first: np.ndarray, second: np.ndarray, cluster: pd.Series | np.ndarray
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


def later_table(t_first: pd.DataFrame, r_first: pd.DataFrame) -> pd.DataFrame:
    """Does one score go with the other one later? Both directions, over the same time.

    Only strictly earlier answers count: the last of the same customer.
    """
    directions = {"tNPS before rNPS": t_first, "rNPS before tNPS": r_first}
    return pd.DataFrame(
        [{"direction": name, **_correlation(one_per_answer(of))} for name, of in directions.items()]
    )


def _correlation(pairs: pd.DataFrame) -> dict[str, object]:
    """Pearson's correlation of paired scores, clustered by customer, as touchpoints have it."""
    codes, labels = pd.factorize(pairs["customer"])
    n, groups = len(codes), len(labels)
    found = pearson(pairs["t_value"].to_numpy(), pairs["r_score"].to_numpy())
    leverage = [row_leverage(z, np.full(n, 1 / n), codes, groups) for z in found.scores or ()]
    df = min([groups - 1.0, *leverage])
    se = contrast(found.influence, pairs["customer"]).se if leverage and df >= 1 else np.nan
    limits = correlation_interval(found.estimate, se, df, level=LEVEL)
    numbers = (found.estimate, se, *map(float, limits))
    rests = "it rests on one customer: no interval" if np.isnan(se) else "association, not cause"
    return {
        "n": n,
        "customers": groups,
        **dict(zip(NUMBERS, numbers, strict=True)),
        "note": found.note or rests,
    }
