"""Differences that are judged together: their families, and the intervals that decide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.metric import Metric
from cxlab.core.periods import A_YEAR_BEFORE, LAST, comparisons
from cxlab.stats.inference import (
    ALPHA,
    adjust_family,
    deciding_interval,
    smallest_shown,
    within_margin,
)
from cxlab.stats.metrics.differences import compare_periods

CHANGES = [
    "label", "metric", "period", "before", "against", "n", "n_other", "estimate", "se", "ci_low",
    "ci_high", "unit", "df", "p_value", "p_adjusted", "decided_low", "decided_high",
    "smallest_shown", "tests", "method", "column", "note",
]  # fmt: skip


def is_of(table: pd.DataFrame, metrics: Sequence[Metric]) -> pd.Series:
    """Whether each row is of one of the metrics."""
    named = {(metric.column, metric.name or metric.kind) for metric in metrics}
    pairs = zip(table["column"], table["metric"], strict=True)
    return pd.Series([pair in named for pair in pairs], table.index, dtype=bool)


def period_differences(
    history: Any, there: list[str], metrics: Sequence[Metric], options: Mapping[str, Any]
) -> pd.DataFrame:
    """Change of every metric from the period before and from a year before, not yet adjusted."""
    if len(there) < 2 or not metrics:
        return pd.DataFrame(columns=CHANGES)
    tables = [
        compare_periods(history, metrics, periods=(before, there[-1]), **options).assign(
            against=against
        )
        for against, before, _ in comparisons(there[-1], there)
        if before in there
    ]
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=CHANGES)


def latest_changes(changes: pd.DataFrame) -> pd.DataFrame:
    """Changes against a year before where there are any, else against the period before."""
    for against in (A_YEAR_BEFORE, LAST):
        found = changes[(changes["against"] == against) & changes["estimate"].notna()]
        if len(found):
            return found
    return changes.iloc[:0]


def decided(
    table: pd.DataFrame, method: str, family: Sequence[Metric] | None = None
) -> pd.DataFrame:
    """p-values adjusted in their family, with the intervals that decide; others have none."""
    inside = pd.Series(True, table.index) if family is None else is_of(table, family)
    p = table["p_value"].where(inside).astype(float)
    adjusted = adjust_family(p, method=method)
    se, df = table["se"].astype(float), table["df"].astype(float)
    low, high = deciding_interval(table["estimate"].astype(float), se, df, p, adjusted)
    tests = max(int(p.notna().sum()), 1)
    shown = [
        smallest_shown(one, degrees, tests=tests) if there and degrees >= 1 else np.nan
        for one, degrees, there in zip(se, df, p.notna(), strict=True)
    ]
    return table.assign(
        p_adjusted=adjusted, decided_low=low, decided_high=high, smallest_shown=shown, tests=tests
    ).reindex(columns=[*(["segment", "group", "other"] if "segment" in table else []), *CHANGES])


def with_headline_family(differences: pd.DataFrame, headline: Sequence[Metric]) -> pd.DataFrame:
    """Groups against the rest, with the interval that decides among the headline measures."""
    judged = decided(differences, "holm", headline)
    added = ["p_headline", "decided_low", "decided_high", "smallest_shown"]
    return differences.assign(
        **judged.rename(columns={"p_adjusted": "p_headline"})[added].to_dict("series")
    )


def are_clear(
    table: pd.DataFrame, p: str, low: str = "decided_low", high: str = "decided_high"
) -> pd.Series:
    """Whether both the test and the interval that decides leave out zero.

    A p-value of permutations belongs to no interval: the two may differ.
    """
    return (table[p] < ALPHA) & ((table[low] > 0) | (table[high] < 0))


def tested_groups(differences: pd.DataFrame, headline: Sequence[Metric]) -> pd.DataFrame:
    """How many headline comparisons of groups there are, and what became of them."""
    tested = differences[differences["p_headline"].notna()]
    margin = {(metric.column, metric.name or metric.kind): metric.margin for metric in headline}
    clear = tested[are_clear(tested, "p_headline")]
    small = [
        within_margin(row.decided_low, row.decided_high, margin[row.column, row.metric])
        for row in clear.itertuples()
    ]
    groups = tested[["segment", "group"]].drop_duplicates()
    return pd.DataFrame(
        {
            "tests": [len(tested)],
            "groups": [len(groups)],
            "clear": [len(clear) - sum(small)],
            "within_margin": [sum(small)],
        }
    )
