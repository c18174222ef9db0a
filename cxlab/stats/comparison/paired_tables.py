"""Tables of the same customers in both surveys; those of too few customers are hidden."""

from __future__ import annotations

import numpy as np
import pandas as pd

from cxlab.stats.comparison.margins import (
    CATEGORIES,
    Contrast,
    category,
    contrast,
    design_based_margins,
    marginal_homogeneity,
)
from cxlab.stats.comparison.paired import (
    RULES,
    SCORE_RULES,
    WINDOWS,
    OnePerAnswer,
    Pairs,
    apply_rule,
    customers_apart,
    net_contrast,
)
from cxlab.stats.comparison.small import (
    COMPLEMENT,
    hide,
    hide_groups,
    hide_small_rows,
    too_few,
    why_hidden,
)

NO_PAIRS = "no customer answered both surveys in the window"
SAME_DIFFERENCE = "every pair has the same difference: no interval"


def paired_table(pairs: OnePerAnswer, *, level: float, smallest: int = 1) -> pd.DataFrame:
    """Same-customer contrast tNPS − rNPS: ``method`` wald and score.

    Returns
    -------
    DataFrame
        ``method, n, customers, estimate, se, ci_low, ci_high, statistic, p_value, note``,
        in points; hidden with fewer than ``smallest`` customers.
    """
    found = net_contrast(pairs)
    note = _pair_note(found)
    rows = [{"method": m, **found.row(m, level), "note": note} for m in ("wald", "score")]
    return hide_small_rows(pd.DataFrame(rows), smallest)


def _pair_note(found: Contrast) -> str:
    if found.n == 0:
        return NO_PAIRS
    if found.clusters < 2:
        return "one customer only: no interval"
    if not found.se > 0:
        return SAME_DIFFERENCE
    if found.test_df < found.df:
        return f"few pairs differ at all: t on {found.test_df:.1f} df"
    if np.isfinite(found.df):
        return f"{found.n:,} pairs of {found.clusters:,} clusters; t on {found.df:.0f} df"
    return "one pair a customer"


def pair_variance(pairs: OnePerAnswer, smallest: int = 1) -> float:
    """Variance of one pair's difference of net scores, in points²; NaN where it is hidden."""
    customers = len(np.unique(pairs.customer))
    if not customers or too_few(customers, smallest):
        return np.nan
    return float(np.var(100.0 * (category(pairs.t_value) - category(pairs.r_score))))


def migration_table(pairs: OnePerAnswer, *, smallest: int = 1) -> pd.DataFrame:
    """Where customers move between the two surveys.

    Returns
    -------
    DataFrame
        ``transactional, relationship`` (categories), ``n``, ``share`` of all pairs,
        ``share_of_row`` and ``note``: nine rows, rows of the matrix in order. With fewer
        than ``smallest`` customers in any cell that isn't empty, all nine are hidden and
        `categories_table` is what may be shown.

    Notes
    -----
    Hiding single cells would not do: row and column totals give one back, and where only
    four are hidden the standard error of the paired difference does. With all nine hidden,
    the totals leave four of them free.
    """
    counts = migration_counts(pairs)
    total, rows = counts.sum(), counts.sum(1)
    table = [
        (CATEGORIES[i], CATEGORIES[j], int(counts[i, j]), _share(counts[i, j], total),
         _share(counts[i, j], rows[i]))
        for i in range(3)
        for j in range(3)
    ]  # fmt: skip
    columns = ["transactional", "relationship", "n", "share", "share_of_row"]
    small = bool(too_few(_customers(_label(pairs), pairs.customer, 9), smallest).any())
    note = f"hidden: one of the nine cells has fewer than {smallest} customers"
    return hide(pd.DataFrame(table, columns=columns), [small] * 9, note)


def categories_table(pairs: OnePerAnswer, *, smallest: int = 1) -> pd.DataFrame:
    """The two margins of the migration: how the same customers answered each survey.

    Returns
    -------
    DataFrame
        ``survey, group`` (category), ``n, customers, share, note``: six rows. Categories of
        fewer than ``smallest`` customers are hidden, and those that would give them back.
    """
    rows = []
    sides = (("transactional", pairs.t_value), ("relationship", pairs.r_score))
    for survey, score in sides:
        code = category(score)
        counts = np.bincount(code, minlength=3)
        customers = _customers(code, pairs.customer, 3)
        rows += [
            (survey, name, int(counts[k]), int(customers[k]), _share(counts[k], len(code)))
            for k, name in enumerate(CATEGORIES)
        ]
    table = pd.DataFrame(rows, columns=["survey", "group", "n", "customers", "share"])
    return hide_groups(table, smallest, within="survey")


def migration_counts(pairs: OnePerAnswer) -> np.ndarray:
    """3 × 3 counts: rows the transactional category, columns the relationship category."""
    return np.bincount(_label(pairs), minlength=9).reshape(3, 3).astype(float)


def _label(pairs: OnePerAnswer) -> np.ndarray:
    """Cell of the migration, 0 to 8, of each pair."""
    return 3 * category(pairs.t_value) + category(pairs.r_score)


def _customers(label: np.ndarray, customer: np.ndarray, n_labels: int) -> np.ndarray:
    """Distinct customers under each label."""
    found = np.unique(np.column_stack([label, customer]), axis=0)
    return np.bincount(found[:, 0], minlength=n_labels)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole > 0 else np.nan


def margin_tests(pairs: OnePerAnswer, found: Contrast, *, smallest: int = 1) -> pd.DataFrame:
    """Tests of equal category shares: of the table, or design-based where pairs cluster."""
    columns = ["test", "statistic", "df", "p_value", "note"]
    if found.n == 0:
        return pd.DataFrame(columns=columns)
    if found.clusters < found.n:
        t, r = category(pairs.t_value), category(pairs.r_score)
        table = pd.DataFrame([design_based_margins(t, r, pairs.unit)])[columns]
    else:
        table = marginal_homogeneity(migration_counts(pairs))[columns]
    small = bool(too_few(found.clusters, smallest))
    return hide(table, [small] * len(table), why_hidden(smallest))


def sensitivity_table(
    pairs: Pairs, *, chosen: str, half_life: float, level: float, smallest: int = 1
) -> pd.DataFrame:
    """The same contrast under every rule for several transactional answers.

    Returns
    -------
    DataFrame
        ``rule, measure, n, customers, estimate, se, ci_low, ci_high, statistic, p_value,
        note, chosen``. Net scores (points) only where the rule leaves whole scores; the mean
        difference (score points, 0–10) under every rule. A rule that differs from the
        chosen one for fewer than ``smallest`` customers is hidden: the difference of the
        two would be about them.
    """
    taken = {rule: apply_rule(pairs, rule, half_life=half_life) for rule in RULES}
    rows = []
    for rule, reduced in taken.items():
        found = {
            "mean difference (score)": contrast(reduced.t_value - reduced.r_score, reduced.unit)
        }
        if rule in SCORE_RULES:
            found = {"NPS difference (points)": net_contrast(reduced), **found}
        for measure, value in found.items():
            rows.append({"rule": rule, "measure": measure, **value.row("wald", level)})
    table = pd.DataFrame(rows)
    apart = {rule: customers_apart(reduced, taken[chosen]) for rule, reduced in taken.items()}
    near = too_few(table["rule"].map(apart), smallest)
    note = f"hidden: it differs from the chosen rule for fewer than {smallest} customers"
    table = hide_small_rows(hide(table, near, note), smallest)
    return table.assign(chosen=table["rule"] == chosen)


def window_table(
    pairs: Pairs,
    *,
    rule: str,
    half_life: float,
    level: float,
    window_days: float = 90,
    smallest: int = 1,
) -> pd.DataFrame:
    """The contrast by how long before a transactional answer may lie: ``window_days``, …

    A window is hidden with fewer than ``smallest`` customers, and where it differs from the
    next one shown, or from the chosen one, for fewer than that.
    """
    net = rule in SCORE_RULES
    lengths = sorted({*WINDOWS, window_days})
    taken = {days: apply_rule(pairs.within(days), rule, half_life=half_life) for days in lengths}
    rows = []
    for days in WINDOWS:
        reduced = taken[days]
        found = net_contrast(reduced)
        if not net:
            found = contrast(reduced.t_value - reduced.r_score, reduced.unit)
        measure = "NPS difference (points)" if net else "mean difference (score)"
        rows.append({"window_days": days, "measure": measure, **found.row("wald", level)})
    given_back = _given_back(taken, window_days, smallest)
    table = hide_small_rows(pd.DataFrame(rows), smallest)
    near = table["window_days"].isin(given_back) & table["n"].notna()
    return hide(table, near, COMPLEMENT)


def _given_back(taken: dict[float, OnePerAnswer], chosen: float, smallest: int) -> list[float]:
    """Windows that less the next one shown would be about too few customers.

    They are taken outwards from the chosen one, which the paired contrast shows.
    """
    found = []
    longer = [days for days in taken if days >= chosen]
    shorter = [days for days in reversed(taken) if days <= chosen]
    for outwards in (longer, shorter):
        last = None
        for days in outwards:
            one = taken[days]
            if too_few(len(np.unique(one.customer)), smallest):
                continue
            if last is not None and too_few(customers_apart(one, last), smallest):
                found.append(days)
            else:
                last = one
    return found
