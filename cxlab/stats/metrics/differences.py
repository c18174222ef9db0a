"""Differences between groups, segments and periods, each with interval, test and family.

A simple random sample: adjusted-Wald for net scores and shares, Welch's t for means, a
permutation test where a group is small. Under a design the difference is linearised as one
statistic, because groups share clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.audit import Joint
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, Gate, decide, joint_answers
from cxlab.core.frames import (
    Opened,
    check_choice,
    check_columns,
    collect,
    groups_in_order,
    label,
    label_text,
)
from cxlab.core.labels import group_labels, row_labels
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.core.totals import Totals
from cxlab.stats.inference import adjust_p_values, check_level, permutation_p_value
from cxlab.stats.metrics.two_groups import (
    IN_UNITS,
    SMALL_GROUP,
    Cells,
    cells_of,
    design_difference,
    is_simple,
    side_sums,
    sides_of,
    simple_difference,
    without_lone_clusters,
)
from cxlab.stats.metrics.values import (
    all_alike,
    counted_from,
    metric_totals,
    metric_value,
    open_metrics,
)

DIFFERENCE_COLUMNS = (
    "group", "other", "n", "n_other", "estimate", "se", "ci_low", "ci_high", "unit", "statistic",
    "df", "p_value", "p_adjusted", "family", "method", "column", "note",
)  # fmt: skip
REST = "the rest"
#: Random relabellings of a permutation test.
PERMUTATIONS = 9999


def compare_groups(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    by: str,
    against: str = "rest",
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
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
    min_group_size : int
        A comparison that would show, or give back, a smaller group is hidden, and hidden
        groups are no part of "the rest".
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    seed : int
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
        For an unknown column or group, or fewer than two groups.

    Notes
    -----
    Without a design: adjusted-Wald for net scores and shares (it adds 3/4 promoter, 3/2
    passive and 3/4 detractor to each group; to a share one answer on either side, Agresti and
    Caffo), Welch's t for means. With fewer than 30 answers in a group, or a mean of answers that
    are all alike, the p-value is a permutation test's.

    Under a design the difference is linearised as one statistic, summed within clusters: two
    standard errors squared and added ignore that groups share clusters. Variance (CR2) and
    degrees of freedom (Bell and McCaffrey) are those of the difference, so that a group of
    few clusters has few; see `cxlab.stats.inference.contrast_spread`. A group whose answers
    lie in one cluster has no test, one of two clusters hardly any power. Clusters of one
    answer each change nothing. Without clusters, weighted answers are permuted over rows,
    weights left in place, where a group has fewer than 30 effective answers or no spread. With
    clusters, a group whose answers are all alike takes adjusted-Wald on effective sizes, or
    the variance of both groups for a mean, and ``note`` says so.

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
    chosen, against = metric_list(metrics), str(label(against))
    opened = open_metrics(data, chosen, design=design, by=by)
    table = _contrasts(opened, chosen, by, against, level, min_group_size, seed)
    tests, groups = int(table["p_value"].notna().sum()), len(table) // len(chosen)
    kind = {"rest": "groups against the rest", "pairs": "pairs of groups"}.get(
        against, f"groups against {against}"
    )
    family = f"{tests} tests: {len(chosen)} metrics × {groups} {kind}"
    return _in_family(table, family, labels, "by" if against == "pairs" else "bh")


def compare_segments(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    segments: Sequence[str],
    *,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Each group of each segment against the rest, all tests in one family.

    Parameters
    ----------
    data, metrics
        As for `compare_groups`.
    segments : sequence of str
        Columns of groups, each taken on its own; one with a single group is passed over.
    design, level, min_group_size, labels, seed
        As for `compare_groups`.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``segment`` (words of the column) before ``group``;
        ``p_adjusted`` is over all rows. Empty where there is nothing to compare. Hidden are
        the groups that a scorecard by all the segments hides.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10, "kind": ["a", "b"] * 30})
    >>> compare_segments(answers, "recommend", ["kind"])[["segment", "group", "estimate"]].round(1)
      segment group  estimate
    0    kind     a     -66.7
    1    kind     b      66.7
    """
    chosen, empty = metric_list(metrics), pd.DataFrame(
        columns=["label", "metric", "segment", *DIFFERENCE_COLUMNS]
    )  # fmt: skip
    if not chosen or not segments:
        return empty
    opened = open_metrics(data, chosen, design=design, segments=segments)
    every = sorted(set(segments))
    joints = joint_answers(opened, list(dict.fromkeys(one.column for one in chosen)), every)
    # of all segments together, also of those with one group: a scorecard shows them
    gate = decide(joints, every, min_group_size)
    one = next(iter(joints.values()))
    groups = {
        segment: len(names) - (rest is not None)
        for segment, names, rest in zip(every, one.names, one.not_given, strict=True)
    }
    words = dict(labels or {})
    tables = [
        _contrasts(opened, chosen, segment, "rest", level, min_group_size, seed, gate).assign(
            segment=words.get(segment, segment)
        )
        for segment in segments
        if groups[segment] > 1
    ]
    if not tables:
        return empty
    together = pd.concat(tables, ignore_index=True)
    tests = int(together["p_value"].notna().sum())
    family = f"{tests} tests: all metrics × all groups of {len(tables)} segments"
    return _in_family(together, family, labels)


def compare_periods(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    periods: tuple[str, str] | None = None,
    period: str = "period",
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Change of each metric from one period to the next.

    Parameters
    ----------
    data
        Dataframe of any engine that holds both periods.
    metrics
        As for `compare_groups`.
    periods : (earlier, later), optional
        Default: each period against the one before it, in declared or sorted order.
    period : str
        Column of the periods.
    design, level, min_group_size, labels, seed
        As for `compare_groups`.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``period`` and ``before`` in place of ``group`` and
        ``other``; ``estimate`` is the later less the earlier.

    Notes
    -----
    Repeat customers are handled correctly if the cluster is the customer id.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10,
    ...                         "period": ["2024"] * 30 + ["2025"] * 30})
    >>> compare_periods(answers, "recommend")[["period", "before", "estimate"]]
      period before  estimate
    0   2025   2024       0.0
    """
    check_columns(data, {"period": period})
    found, chosen = groups_in_order(data, period), metric_list(metrics)
    if periods is None:
        wanted = [(later, earlier) for earlier, later in pairwise(found)]
    else:
        wanted = [(str(label(periods[1])), str(label(periods[0])))]
    if not wanted:
        raise ValueError(f"`{period}` must hold two periods at least; got one. Read both periods.")
    for name in (name for pair in wanted for name in pair):
        check_choice("periods", name, found)
    tables = []
    for pair in wanted:
        # each pair of periods is read as its own two groups, so that others change nothing
        both = _only(data, period, {name: found[name] for name in pair})
        opened = open_metrics(both, chosen, design=design, by=period)
        tables.append(_contrasts(opened, chosen, period, pair[1], level, min_group_size, seed))
    table = pd.concat(tables, ignore_index=True)
    family = f"{int(table['p_value'].notna().sum())} tests: changes between periods"
    table = _in_family(table, family, labels)
    return table.rename(columns={"group": "period", "other": "before"})


def _only(data: Any, column: str, values: dict[str, list[Any]]) -> Any:
    if isinstance(data, pd.DataFrame):
        return data[data[column].isin([value for same in values.values() for value in same])]
    names = label_text(data, column)
    return nw.from_native(data).filter(names.is_in(list(values))).to_native()


def _in_family(
    table: pd.DataFrame, family: str, labels: Mapping[str, str] | None, method: str = "bh"
) -> pd.DataFrame:
    """The table's columns in order, its p-values adjusted together."""
    words = dict(labels or {})
    table["label"] = [words.get(name, name) for name in table["column"]]
    table["p_adjusted"] = adjust_p_values(table["p_value"], method=method)
    table["family"] = family
    segment = ["segment"] if "segment" in table else []
    return table[["label", "metric", *segment, *DIFFERENCE_COLUMNS]]


@dataclass(frozen=True)
class _Groups:
    """Groups of one column with the sums of every metric, and what to ask of them."""

    names: list[str]
    totals: Totals
    origins: np.ndarray
    cells: Cells
    design: Design
    level: float


def _contrasts(
    opened: Opened, metrics: list[Metric], by: str, against: str, level: float, least: int,
    seed: int, gate: Gate | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Every contrast of every metric with its own test; ``gate``: of a table of several segments."""
    check_level(level)
    ((totals, origins),) = metric_totals(opened, metrics, [by])
    names = [str(name) for name in group_labels(totals.groups)]
    pairs = _pairs(names, against, by)
    gate = gate or decide(_joints(totals, metrics, names), [by], least)
    groups = _Groups(names, totals, origins, cells_of(totals), opened.design, level)
    rows = []
    for i, metric in enumerate(metrics):
        away = gate.groups(metric.column, by)
        hidden = {group for group, name in enumerate(names) if name in away}
        rows += [_contrast(groups, i, metric, pair, hidden) for pair in pairs]
    table = pd.DataFrame(rows)
    _permute(table, opened, metrics, by, seed)
    table = _without_hidden(table, least)
    unexplained = table["p_value"].isna() & (table["note"] == "")
    table.loc[unexplained, "note"] = "no test: the groups cannot be told apart in the answers"
    return table


def _pairs(names: list[str], against: str, by: str) -> list[tuple[int, int]]:
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


def _joints(totals: Totals, metrics: list[Metric], names: list[str]) -> dict[str, Joint]:
    """Answers of each group, and of those in none, as the gate counts them."""
    groups, found = totals.cells["group_code"], {}
    for i, metric in enumerate(metrics):
        sizes = np.bincount(groups, weights=totals.values["n"][:, i], minlength=len(names))
        n = np.append(sizes, totals.ungrouped[totals.names[i]]).astype(np.int64)
        found[metric.column] = Joint(np.arange(len(n))[:, None], n, ((*names, ""),), (len(names),))
    return found


def _contrast(
    groups: _Groups, number: int, metric: Metric, pair: tuple[int, int], hidden: set[int]
) -> dict[str, Any]:
    """One difference of one metric: its row of the table, and what a permutation needs."""
    cells, origins = groups.cells, groups.origins[number][groups.cells.group]
    values = {kind: table[:, number] for kind, table in groups.totals.values.items()}
    sides, lowest = [], []
    for chosen in sides_of(cells, *pair, hidden):
        # of each side its own, so that its squares keep their digits
        lowest.append(origins[chosen].min() if chosen.any() else 0.0)
        sides.append(side_sums(counted_from(values, origins - lowest[-1]), cells, chosen))
    both = pd.DataFrame([{kind: side[kind].sum() for kind in side} for side in sides])
    found = _difference(sides, both, groups, metric, lowest[0] - lowest[1])
    first, second = pair
    shown = [name for i, name in enumerate(groups.names) if i not in hidden]
    return {
        "metric": metric.name or metric.kind,
        "group": groups.names[first],
        "other": REST if second < 0 else groups.names[second],
        "n": int(both.loc[0, "n"]),
        "n_other": int(both.loc[1, "n"]),
        **{name: metric.factor * found[name] for name in IN_UNITS},
        "unit": metric.unit,
        **{name: found[name] for name in ("statistic", "df", "p_value", "method")},
        "column": metric.column,
        "note": found["note"],
        "permute": found["permute"],
        "others": shown if second < 0 else [groups.names[second]],
        "number": number,
        "hidden": bool({first, second} & hidden),
    }


def _difference(
    sides: list[dict[str, np.ndarray]], both: pd.DataFrame, groups: _Groups, metric: Metric,
    apart: float,
) -> dict[str, Any]:  # fmt: skip
    """Of independent samples, or linearised; with whether to relabel rows for the p-value."""
    several, units = without_lone_clusters(sides, groups.cells.units)
    if not is_simple(units, groups.design):
        return design_difference(several, units, metric, groups.level, apart)
    found = simple_difference(both, metric, groups.level, apart)
    smallest = both["n"].min()
    alike = metric.kind == "mean" and all_alike(both["n"], both["y"], both["yy"]).any()
    return found | {"permute": bool(smallest > 0 and (smallest < SMALL_GROUP or alike))}


def _permute(
    table: pd.DataFrame, opened: Opened, metrics: list[Metric], by: str, seed: int
) -> None:
    """Replace the p-value by a permutation test's where relabelling rows is due."""
    rng, weights = np.random.default_rng(seed), opened.design.weights
    for i in table.index[table["permute"]]:
        value = metric_value(metrics[table.loc[i, "number"]])
        weight = nw.col(weights) if weights else nw.lit(1.0)
        rows = collect(opened.lazy.select(group=by, value=value, weight=weight)).dropna()
        rows = rows[rows["weight"] > 0]
        group = row_labels(rows["group"]).to_numpy(object)
        inside = group == table.loc[i, "group"]
        kept = inside | np.isin(group, table.at[i, "others"])
        y = rows["value"].to_numpy(float)[kept]
        # sums of large numbers would part what is equally far
        y = y - y.min(initial=np.inf)
        own = rows["weight"].to_numpy(float)[kept] if weights else None
        table.loc[i, "p_value"] = permutation_p_value(y, inside[kept], PERMUTATIONS, rng, own)
        table.loc[i, "method"] += ", permutation p"
        # what has no spread has no interval, but it has a test now
        table.loc[i, "note"] = table.loc[i, "note"].replace("no test", "no interval")


def _without_hidden(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    table = table.astype({"n": "Int64", "n_other": "Int64"})
    numbers = ["n", "n_other", "estimate", "se", "ci_low", "ci_high", "statistic", "df", "p_value"]
    table.loc[table["hidden"], numbers] = pd.NA
    table.loc[table["hidden"], "note"] = (
        f"hidden: a group of fewer than {min_group_size} answers, or one that would give it back"
    )
    return table
