"""Differences between groups, each with interval and test.

Simple random data: Wald, adjusted-Wald, or a permutation test. Under a design the
difference is linearised as one statistic, because groups share clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.audit import Joint
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, Gate, decide
from cxlab.core.frames import Opened, check_choice, collect, label
from cxlab.core.labels import group_labels, row_labels
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals
from cxlab.stats.inference import adjust_p_values, check_level, permutation_p_value
from cxlab.stats.metrics.differences.linearised import (
    Cells,
    cells_of,
    design_difference,
    is_simple,
    side_sums,
    sides_of,
    without_lone_clusters,
)
from cxlab.stats.metrics.differences.two_samples import (
    IN_UNITS,
    METHODS,
    SMALL_GROUP,
    simple_difference,
)
from cxlab.stats.metrics.origins import all_alike, counted_from, metric_totals
from cxlab.stats.metrics.scores import NPS_DETRACTORS, NPS_PROMOTERS, NPS_SCALE
from cxlab.stats.metrics.values import metric_value, open_metrics

DIFFERENCE_COLUMNS = (
    "group", "other", "n", "n_other", "estimate", "se", "ci_low", "ci_high", "unit", "statistic",
    "df", "p_value", "p_adjusted", "family", "method", "column", "note",
)  # fmt: skip
REST = "the rest"


@dataclass(frozen=True)
class _Question:
    names: list[str]
    design: Design
    level: float
    method: str
    min_group_size: int
    by: str
    gate: Gate


def compare_groups(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    by: str,
    against: str = "rest",
    design: DesignLike = None,
    level: float = 0.95,
    method: str = "auto",
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of each group from the rest, from one group, or of every pair.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    metrics : Metric, sequence of Metric, or str
        What to compare: ``study.metrics("outcome")``; a text is a column of likelihood to
        recommend, compared by its NPS.
    by : str
        Column of the groups. A row with a null there is in no group.
    against : str
        ``"rest"``: each group against all others together; ``"pairs"``: every pair; or the
        label of one group.
    design, level
        As for `cxlab.nps`.
    method : {"auto", "wald", "adjusted-wald", "permutation"}
        For simple random data only. ``auto``: adjusted-Wald for net scores and shares,
        Welch's t for means; with fewer than 30 answers in a group, or a mean of answers that
        are all alike, the p-value is a permutation test's. Under a design there is one
        method, and ``permutation`` is refused.
    min_group_size : int
        A comparison that would show, or give back, a smaller group is hidden, and hidden
        groups are no part of "the rest".
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    permutations, seed : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        One row per metric × contrast: ``label``, ``metric``, ``group``, ``other``, ``n``,
        ``n_other``, ``estimate`` (group less other), ``se``, ``ci_low``, ``ci_high`` in the
        metric's ``unit``; then ``unit``, ``statistic``, ``df`` (infinite: normal),
        ``p_value``, ``p_adjusted`` (Benjamini–Hochberg; pairs: Benjamini–Yekutieli),
        ``family`` (its name and size), ``method``, ``column``, ``note``.

    Raises
    ------
    ValueError
        For an unknown column, group or method, fewer than two groups, or a permutation
        test under a design.

    Notes
    -----
    Under a design the difference is linearised as one statistic, summed within clusters: two
    standard errors squared and added ignore that groups share clusters. Variance (CR2) and
    degrees of freedom (Bell and McCaffrey) are those of the difference, so that a group of
    few clusters has few; see `cxlab.stats.inference.contrast_spread`. A group whose answers
    lie in one cluster has no test, one of two clusters hardly any power. Clusters of one
    answer each change nothing. Without clusters, weighted answers are permuted over rows,
    weights left in place, where a group has fewer than 30 effective answers or no spread. With
    clusters, a group whose answers are all alike takes adjusted-Wald on effective sizes, or
    the variance of both groups for a mean, and ``note`` says so. Adjusted-Wald
    adds 3/4 promoter, 3/2 passive and 3/4 detractor to each group (a share: one to
    either side, Agresti and Caffo).

    References
    ----------
    Lewis & Sauro, MeasuringU (2021), How to Statistically Compare Two Net Promoter
    Scores. Agresti & Caffo (2000), American Statistician 54, 280–288. Pustejovsky &
    Tipton (2018), Journal of Business & Economic Statistics 36, 672–683. Lumley (2010),
    Complex Surveys.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10] * 40 + [3] * 40, "kind": ["a"] * 60 + ["b"] * 20})
    >>> table = compare_groups(answers, "recommend", by="kind", against="b")
    >>> table[["group", "other", "n", "n_other", "estimate"]].round(1)
      group other   n  n_other  estimate
    0     a     b  60       20     133.3
    """
    chosen = metric_list(metrics)
    return contrasts_of_groups(
        open_metrics(data, chosen, design=design, by=by), chosen, by=by, against=against, level=level,
        method=method, min_group_size=min_group_size, labels=labels, permutations=permutations,
        seed=seed,
    )  # fmt: skip


def contrasts_of_groups(
    opened: Opened,
    chosen: list[Metric],
    *,
    by: str,
    against: str = "rest",
    level: float = 0.95,
    method: str = "auto",
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    permutations: int = 9999,
    seed: int = 0,
    gate: Gate | None = None,
) -> pd.DataFrame:
    """As `compare_groups`; ``gate``: that of a table of several segments."""
    check_level(level)
    check_choice("method", method, METHODS)
    design = opened.design
    if method != "auto" and not design.simple:
        raise ValueError(
            f"`method` must be 'auto' with weights, strata or clusters; got '{method}'. "
            "Under a design the difference is linearised as one statistic."
        )
    ((totals, origins),) = metric_totals(opened, chosen, [by])
    names = [str(name) for name in group_labels(totals.groups)]
    gate = gate or decide(_joints(totals, chosen, names), [by], min_group_size)
    against = str(label(against))
    contrasts = _contrasts(names, against, by)
    question = _Question(names, design, level, method, min_group_size, by, gate)
    cells = cells_of(totals)
    rows = []
    for i, metric in enumerate(chosen):
        rows += _metric_rows(totals, i, metric, contrasts, question, cells, origins[i])
    table = pd.DataFrame(rows)
    _permute(table, opened, chosen, by, permutations, seed)
    table = _adjusted(_hide_small(table, min_group_size), against, len(chosen))
    words = dict(labels or {})
    table.insert(0, "label", [words.get(name, name) for name in table["column"]])
    return table.drop(columns=["others", "metric_index", "hidden", "permute"])


def metric_list(metrics: Metric | Sequence[Metric] | str) -> list[Metric]:
    """One metric, several, or the NPS of a column, as a list."""
    if isinstance(metrics, str):
        ends: dict[str, Any] = {"top": NPS_PROMOTERS, "bottom": NPS_DETRACTORS}
        return [Metric(metrics, "net", scale=NPS_SCALE, name="nps", **ends)]
    return [metrics] if isinstance(metrics, Metric) else list(metrics)


def _contrasts(names: list[str], against: str, by: str) -> list[tuple[int, int]]:
    """Pairs of group numbers; −1 stands for all others."""
    if len(names) < 2:
        raise ValueError(
            f"`by` must make two groups at least; got {len(names)} in '{by}'. "
            "Choose a column with more values, or read more answers."
        )
    if against == "rest":
        return [(i, -1) for i in range(len(names))]
    if against == "pairs":
        return list(combinations(range(len(names)), 2))
    if against not in names:
        raise ValueError(unknown("against", against, ["rest", "pairs", *names]))
    reference = names.index(against)
    return [(i, reference) for i in range(len(names)) if i != reference]


def _metric_rows(
    totals: Totals,
    number: int,
    metric: Metric,
    contrasts: list[tuple[int, int]],
    question: _Question,
    cells: Cells,
    origins: np.ndarray,
) -> list[dict[str, Any]]:
    values = {kind: table[:, number] for kind, table in totals.values.items()}
    away = question.gate.groups(metric.column, question.by)
    hidden = {i for i, name in enumerate(question.names) if name in away}
    rows = []
    for first, second in contrasts:
        sides, lowest = [], []
        for chosen in sides_of(cells, first, second, hidden):
            # of each side its own, so that its squares keep their digits
            own = origins[cells.group]
            lowest.append(own[chosen].min() if chosen.any() else 0.0)
            sides.append(side_sums(counted_from(values, own - lowest[-1]), cells, chosen))
        both = pd.DataFrame([{kind: side[kind].sum() for kind in side} for side in sides])
        found = _difference(sides, both, cells, metric, question, lowest[0] - lowest[1])
        rows.append(
            {
                "metric": metric.name or metric.kind,
                "group": question.names[first],
                "other": REST if second < 0 else question.names[second],
                "n": int(both.loc[0, "n"]),
                "n_other": int(both.loc[1, "n"]),
                **{name: metric.factor * found[name] for name in IN_UNITS},
                "unit": metric.unit,
                **{name: found[name] for name in ("statistic", "df", "p_value", "method")},
                "column": metric.column,
                "note": found["note"],
                "permute": found["permute"],
                "others": _members(second, hidden, question.names),
                "metric_index": number,
                "hidden": bool({first, second} & hidden),
            }
        )
    return rows


def _difference(
    sides: list[dict[str, np.ndarray]], both: pd.DataFrame, cells: Cells, metric: Metric,
    question: _Question, apart: float,
) -> dict[str, Any]:  # fmt: skip
    """Of simple random data, or linearised; with whether to relabel rows for the p-value."""
    several, units = without_lone_clusters(sides, cells.units)
    if not is_simple(units, question.design):
        return design_difference(several, units, metric, question.level, apart)
    found = simple_difference(both, metric, question.level, question.method, apart)
    alike = metric.kind == "mean" and all_alike(both["n"], both["y"], both["yy"]).any()
    due = question.method == "auto" and (both["n"].min() < SMALL_GROUP or alike)
    permute = both["n"].min() > 0 and (due or question.method == "permutation")
    return found | {"permute": bool(permute)}


def _joints(totals: Totals, metrics: list[Metric], names: list[str]) -> dict[str, Joint]:
    """Answers of each group, and of those in none, as the gate counts them."""
    code = np.arange(len(names) + 1)[:, None]
    found = {}
    for i, metric in enumerate(metrics):
        sizes = np.bincount(
            totals.cells["group_code"], weights=totals.values["n"][:, i], minlength=len(names)
        )
        n = np.append(sizes, totals.ungrouped[totals.names[i]]).astype(np.int64)
        found[metric.column] = Joint(code, n, ((*names, ""),), (len(names),))
    return found


def _members(second: int, hidden: set[int], names: list[str]) -> list[str]:
    """Labels of the other side of a contrast."""
    if second >= 0:
        return [names[second]]
    return [name for i, name in enumerate(names) if i not in hidden]


def _permute(
    table: pd.DataFrame, opened: Opened, metrics: list[Metric], by: str, permutations: int, seed: int
) -> None:  # fmt: skip
    """Replace the p-value by a permutation test's where relabelling rows is due."""
    rng, weights = np.random.default_rng(seed), opened.design.weights
    for i in table.index[table["permute"]]:
        metric = metrics[table.loc[i, "metric_index"]]
        weight = nw.col(weights) if weights else nw.lit(1.0)
        rows = opened.lazy.select(group=by, value=metric_value(metric), weight=weight)
        values = collect(rows).dropna()
        values = values[values["weight"] > 0]
        group = row_labels(values["group"]).to_numpy(object)
        inside = group == table.loc[i, "group"]
        kept = inside | np.isin(group, table.at[i, "others"])
        y = values["value"].to_numpy(float)[kept]
        # sums of large numbers would part what is equally far
        y = y - y.min(initial=np.inf)
        own = values["weight"].to_numpy(float)[kept] if weights else None
        table.loc[i, "p_value"] = permutation_p_value(y, inside[kept], permutations, rng, own)
        table.loc[i, "method"] += ", permutation p"
        # what has no spread has no interval, but it has a test now
        table.loc[i, "note"] = table.loc[i, "note"].replace("no test", "no interval")


def _adjusted(table: pd.DataFrame, against: str, metrics: int) -> pd.DataFrame:
    untold = table["p_value"].isna() & (table["note"] == "")
    table.loc[untold, "note"] = "no test: the groups cannot be told apart in the answers"
    pairs = against == "pairs"
    table["p_adjusted"] = adjust_p_values(table["p_value"], method="by" if pairs else "bh")
    groups = len(table) // metrics
    kind = {"rest": "groups against the rest", "pairs": "pairs of groups"}.get(
        against, f"groups against {against}"
    )
    tests = int(table["p_value"].notna().sum())
    table["family"] = f"{tests} tests: {metrics} metrics × {groups} {kind}"
    order = ["metric", *DIFFERENCE_COLUMNS, "others", "metric_index", "hidden", "permute"]
    return table[order]


def _hide_small(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    table = table.astype({"n": "Int64", "n_other": "Int64"})
    numbers = ["n", "n_other", "estimate", "se", "ci_low", "ci_high", "statistic", "df", "p_value"]
    table.loc[table["hidden"], numbers] = pd.NA
    table.loc[table["hidden"], "note"] = (
        f"hidden: a group of fewer than {min_group_size} answers, or one that would give it back"
    )
    return table
