"""All contrasts of the groups of one column, each metric with interval and test."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design
from cxlab.core.disclosure.gate import Gate, answers_suffice, decide, joint_answers
from cxlab.core.disclosure.rule import Joint
from cxlab.core.frames import Opened, collect
from cxlab.core.labels import group_labels, row_labels
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.core.totals import SUMS, Totals
from cxlab.stats.inference import check_level, permutation_p_value
from cxlab.stats.metrics.two_groups import (
    IN_UNITS,
    PSEUDO,
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
from cxlab.stats.metrics.values import all_alike, counted_from, metric_totals, metric_value

REST = "the rest"
#: Instead of why two samples have no test.
NO_REST = "no test: every other group is hidden"
#: Random relabellings of a permutation test.
PERMUTATIONS = 9999


def contrasts_of_groups(
    opened: Opened,
    metrics: list[Metric],
    *,
    by: str,
    against: str = "rest",
    level: float,
    min_group_size: int,
    seed: int = 0,
    gate: Gate | None = None,
    summed: tuple[Totals, np.ndarray] | None = None,
) -> pd.DataFrame:
    """As `compare_groups`, without label, family and adjusted p-values.

    ``gate`` is that of a table of several segments; without it the groups are a table alone.
    ``summed``: what `metric_totals` found for ``by``, where that is known.
    """
    check_level(level)
    totals, origins = summed or metric_totals(opened, metrics, [by])[0]
    names = [str(name) for name in group_labels(totals.groups)]
    pairs = _pairs(names, against, by)
    if gate is None:
        joints = _joints(totals, metrics, names)
        if min_group_size > 1 and not answers_suffice(opened, joints, min_group_size):
            joints = joint_answers(opened, list(joints), [by], min_group_size)
        gate = decide(joints, [by], min_group_size)
    groups = _Groups(names, totals, origins, cells_of(totals), opened.design, level)
    rows = []
    for i, metric in enumerate(metrics):
        away = gate.groups(metric.column, by)
        hidden = {group for group, name in enumerate(names) if name in away}
        rows += [_contrast(groups, i, metric, pair, hidden) for pair in pairs]
    table = pd.DataFrame(rows)
    _permute(table, opened, metrics, by, seed)
    table = _without_hidden(table, gate)
    unexplained = table["p_value"].isna() & (table["note"] == "")
    table.loc[unexplained, "note"] = "no test: the groups cannot be told apart in the answers"
    return table


@dataclass(frozen=True)
class _Groups:
    """Groups of one column with the sums of every metric, and what to ask of them."""

    names: list[str]
    totals: Totals
    origins: np.ndarray
    cells: Cells
    design: Design
    level: float


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
    values = {kind: groups.totals.values[kind][:, number] for kind in SUMS}
    sides, lowest = [], []
    for chosen in sides_of(cells, *pair, hidden):
        # of each side its own, so that its squares keep their digits
        lowest.append(origins[chosen].min() if chosen.any() else 0.0)
        sides.append(side_sums(counted_from(values, origins - lowest[-1]), cells, chosen))
    both = pd.DataFrame([{kind: side[kind].sum() for kind in side} for side in sides])
    found = _difference(sides, both, groups, metric, lowest[0] - lowest[1])
    first, second = pair
    shown = [name for i, name in enumerate(groups.names) if i not in hidden]
    alone = second < 0 and shown == [groups.names[first]]
    return {
        "metric": metric.name,
        "group": groups.names[first],
        "other": REST if second < 0 else groups.names[second],
        "n": int(both.loc[0, "n"]),
        "n_other": int(both.loc[1, "n"]),
        **{name: metric.factor * found[name] for name in IN_UNITS},
        "unit": metric.unit,
        **{name: found[name] for name in ("statistic", "df", "p_value", "method")},
        "column": metric.column,
        "note": NO_REST if alone else found["note"],
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
        metric = metrics[table.loc[i, "number"]]
        value, pseudo = metric_value(metric), PSEUDO.get(metric.kind)
        weight = nw.col(weights) if weights else nw.lit(1.0)
        rows = collect(opened.lazy.select(group=by, value=value, weight=weight)).dropna()
        rows = rows[rows["weight"] > 0]
        group = row_labels(rows["group"]).to_numpy(object)
        inside = group == table.loc[i, "group"]
        kept = inside | np.isin(group, table.at[i, "others"])
        y = rows["value"].to_numpy(float)[kept]
        if pseudo is None:
            # sums of large numbers would part what is equally far
            y = y - y.min(initial=np.inf)
        own = rows["weight"].to_numpy(float)[kept] if weights else None
        table.loc[i, "p_value"] = permutation_p_value(
            y, inside[kept], PERMUTATIONS, rng, own, pseudo
        )
        table.loc[i, "method"] += ", permutation p"
        # what has no spread has no interval, but it has a test now
        table.loc[i, "note"] = table.loc[i, "note"].replace("no test", "no interval")


def _without_hidden(table: pd.DataFrame, gate: Gate) -> pd.DataFrame:
    table = table.astype({"n": "Int64", "n_other": "Int64"})
    numbers = ["n", "n_other", "estimate", "se", "ci_low", "ci_high", "statistic", "df", "p_value"]
    table.loc[table["hidden"], numbers] = pd.NA
    table.loc[table["hidden"], "note"] = (
        f"hidden: a group of fewer than {gate.min_group_size} {gate.counted}, or one that would give "
        "it back"
    )
    return table
