"""Families of comparisons, and touchpoints from the lowest on with places that hold all at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy import sparse

from cxlab.core.design import DesignLike
from cxlab.core.frames import MOST_CELLS, Opened, collect
from cxlab.core.metric import Metric
from cxlab.core.periods import A_YEAR_BEFORE, LAST, comparisons
from cxlab.stats.inference import (
    ALPHA,
    decide_family,
    joint_places,
    smallest_shown,
    within_margin,
)
from cxlab.stats.metrics.differences import compare_periods
from cxlab.stats.metrics.scorecard import usage
from cxlab.stats.metrics.values import metric_value, open_metrics
from cxlab.stats.resampling import sampling_design
from cxlab.survey.study import Study

CHANGES = [
    "label", "metric", "period", "before", "against", "n", "n_other", "estimate", "se", "ci_low",
    "ci_high", "unit", "df", "p_value", "p_adjusted", "decided_low", "decided_high",
    "smallest_shown", "tests", "method", "column", "note",
]  # fmt: skip
#: Draws from the scores' normal limit, behind the places.
DRAWS = 2000
#: More touchpoints than this that may be the weakest, and none is marked or named.
MOST_NAMED = 3
TOUCHPOINTS = [
    "label", "n", "metric", "unit", "estimate", "se", "ci_low", "ci_high", "unweighted", "deff",
    "n_eff", "n_missing", "second", "second_low", "second_high", "change", "change_low",
    "change_high", "change_p", "clear", "weakest", "reach", "reach_low", "reach_high", "rank",
    "rank_low", "rank_high", "column", "note",
]  # fmt: skip


def is_of(table: pd.DataFrame, metrics: Sequence[Metric]) -> pd.Series:
    """Whether each row is of one of the metrics."""
    named = {(metric.column, metric.name) for metric in metrics}
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
    adjusted, low, high = decide_family(table.assign(p_value=p), method=method)
    tests, known = max(int(p.notna().sum()), 1), table[["se", "df"]].astype(float)
    shown = [
        smallest_shown(se, df, tests=tests) if there and df >= 1 else np.nan
        for se, df, there in zip(known["se"], known["df"], p.notna(), strict=True)
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
    margin = {(metric.column, metric.name): metric.margin for metric in headline}
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


def first_metrics(metrics: Sequence[Metric]) -> list[Metric]:
    """The first metric of each column."""
    first: dict[str, Metric] = {}
    for metric in metrics:
        first.setdefault(metric.column, metric)
    return list(first.values())


def touchpoint_table(
    answers: Any,
    study: Study,
    rated: Sequence[Metric],
    scores: pd.DataFrame,
    changes: pd.DataFrame,
) -> pd.DataFrame:
    """One row per touchpoint, lowest first."""
    first = first_metrics(rated)
    if not first:
        return pd.DataFrame(columns=TOUCHPOINTS)
    table = scores[is_of(scores, first)].reset_index(drop=True)
    others = [metric for metric in rated if metric not in first]
    second = scores[is_of(scores, first_metrics(others))].set_index("column")
    used = usage(answers, list(table["column"]), design=study.design).table.set_index("touchpoint")
    changed = latest_changes(changes).set_index("column")
    for name, source, prefix in (("estimate", second, "second"), ("estimate", used, "reach")):
        for end, column in (("", name), ("_low", "ci_low"), ("_high", "ci_high")):
            values = source[column] if len(source) else pd.Series(dtype=float)
            table[f"{prefix}{end}"] = table["column"].map(values).astype(float)
    for name, column in (
        ("change", "estimate"), ("change_low", "decided_low"), ("change_high", "decided_high"),
        ("change_p", "p_adjusted"),
    ):  # fmt: skip
        table[name] = table["column"].map(changed[column]).astype(float)
    table["clear"] = are_clear(table, "change_p", "change_low", "change_high")
    table = table.join(place_scores(answers, first, table, design=study.design)).sort_values(
        "estimate", kind="stable"
    )
    lowest = table["rank_high"].eq(table["rank"].notna().sum()).fillna(False).astype(bool)
    table["weakest"] = lowest & (lowest.sum() <= MOST_NAMED)
    return table[TOUCHPOINTS]


def place_scores(
    data: Any, metrics: Sequence[Metric], table: pd.DataFrame, *, design: DesignLike = None
) -> pd.DataFrame:
    """Place of each score among those of the measure that most have, 1 for the highest.

    Draws from the normal limit of the scores with their Taylor covariance: touchpoints that the same
    people rate move together, and their difference is surer than two intervals tell. Of more than a
    hundred million ratings the covariances are left out, which only widens places. ``table`` has a row
    per metric: ``estimate``, ``se``, ``n_eff``; without a standard error, or on other scales, no place.

    >>> answers = pd.DataFrame({"a": [5, 4, 5, 4] * 20, "b": [2, 1, 2, 2] * 20})
    >>> metrics = [Metric(name, "mean", name="mean") for name in answers]
    >>> table = pd.DataFrame({"estimate": [4.5, 1.75], "se": [0.06, 0.05], "n_eff": [80, 80]})
    >>> place_scores(answers, metrics, table).values.tolist()
    [[1, 1, 1], [2, 2, 2]]
    """
    opened = open_metrics(data, metrics, design=design)
    alike = [(metric.kind, metric.scale, metric.top, metric.bottom) for metric in metrics]
    common = Counter(alike).most_common(1)[0][0]
    ranked = np.array([one == common for one in alike]) & (table["se"] > 0).to_numpy()
    estimate = table["estimate"].astype(float).where(ranked).to_numpy()
    if opened.n * len(metrics) > MOST_CELLS:
        covariance = np.diag(table["se"].astype(float).to_numpy() ** 2)
        df = table["n_eff"].astype(float).to_numpy() - 1
    else:
        covariance, df = _covariance(opened, metrics)
    drawn = np.tile(estimate, (DRAWS, 1))
    values, vectors = np.linalg.eigh(covariance[np.ix_(ranked, ranked)])
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    drawn[:, ranked] += np.random.default_rng(0).standard_normal((DRAWS, len(root))) @ root.T
    return joint_places(estimate, drawn, np.maximum(df, 1.0))


def _covariance(opened: Opened, metrics: Sequence[Metric]) -> tuple[np.ndarray, np.ndarray]:
    """Taylor covariance of the scores under the design, and degrees of freedom of each."""
    design = opened.design
    sampled = replace(design, customer=None).columns()
    columns = {name: nw.col(column) for name, column in sampled.items() if column}
    values = {f"value_{i}": metric_value(metric) for i, metric in enumerate(metrics)}
    rows = collect(opened.lazy.select(**columns, **values))
    score = rows[list(values)].to_numpy(float) * [metric.factor for metric in metrics]
    weight = rows["weights"].to_numpy(float) if design.weights else np.ones(len(rows))
    sample = sampling_design(
        len(rows), **{name: rows[name] for name in columns if name != "weights"}
    )
    valid = np.isfinite(score) & (weight > 0)[:, None]
    share = weight[:, None] * valid
    share = share / np.maximum(share.sum(axis=0), 1e-300)
    score = np.where(valid, score, 0.0)
    linear = share * (score - (share * score).sum(axis=0))
    cluster = _members(sample.row_cluster)
    units, held = cluster @ linear, (cluster @ valid.astype(float) > 0).astype(float)
    stratum, sizes = _members(sample.cluster_stratum), sample.stratum_sizes.astype(float)
    ratio = sizes / np.maximum(sizes - 1, 1)
    total = stratum @ units
    covariance = units.T @ (ratio[sample.cluster_stratum][:, None] * units)
    covariance -= total.T @ ((ratio / sizes)[:, None] * total)
    return covariance, held.sum(axis=0) - (stratum @ held > 0).sum(axis=0)


def _members(number: np.ndarray) -> sparse.csr_array:
    """Indicators of membership, shape (groups, members)."""
    return sparse.csr_array((np.ones(len(number)), (number, np.arange(len(number)))))
