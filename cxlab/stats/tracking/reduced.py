"""Periods' answers summed per group and cluster, and the groups that may be told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.stats.metrics.estimates import estimate_each, group_labels
from cxlab.stats.metrics.suppression import hidden_groups
from cxlab.stats.metrics.values import metric_value
from cxlab.stats.totals import Design, Totals, survey_totals_each
from cxlab.stats.tracking.cells import NOT_GIVEN
from cxlab.stats.tracking.covariances import CellIndex, Linear, linear
from cxlab.stats.tracking.statistics import EVERYONE, HIDDEN, Key, key_of
from cxlab.survey.scales import Metric

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Question:
    """What to keep, of answers taken how."""

    metrics: tuple[Metric, ...]
    origins: tuple[float, ...]
    columns: tuple[str, ...]
    design: Design
    min_group_size: int


@dataclass(frozen=True, eq=False)
class Segment:
    """One metric within one segment.

    Attributes
    ----------
    groups : tuple of str
        Those that may be told, and the small ones together.
    hidden : list of str
        The small ones, and those that would give them back.
    linear : Linear
    """

    groups: tuple[str, ...]
    hidden: list[str]
    linear: Linear


@dataclass(frozen=True, eq=False)
class Reduced:
    """One period's answers, summed.

    Attributes
    ----------
    name : str
    figures : DataFrame
        What `cxlab.stats.metrics.estimates.estimate_each` gives, of every segment.
    segments : dict
        (metric, column) to `Segment`; none where too few answers were given.
    clusters : ndarray of int
        Numbers of the clusters seen, the same in every period.
    sampled : ndarray, shape (strata,)
        Clusters sampled per stratum; 0 in strata of other periods.
    unanswered : list of (column, metric)
        Metrics without a single answer.
    seen, rows, lone_rows, weightless : int
        Clusters seen, lone rows among them; rows; those without a cluster; those of
        weight 0.
    """

    name: str
    figures: pd.DataFrame
    segments: dict[tuple[Key, str], Segment]
    clusters: NDArray[np.intp]
    sampled: Array
    unanswered: list[Key]
    seen: int
    rows: int
    lone_rows: int
    weightless: int


def reduce_periods(data: Mapping[str, Any], question: Question) -> dict[str, Reduced]:
    """Sum each period's answers, with clusters numbered alike in all.

    Parameters
    ----------
    data : mapping of str to dataframe
        Period to its answers.
    question : Question
    """
    totals = {name: _totals(answers, question) for name, answers in data.items()}
    unit, unit_stratum, strata = _numbered(totals)
    reduced = {}
    for name, answers in data.items():
        sampled = totals[name][0].clusters.reindex(strata).fillna(0).to_numpy(float)
        indexes = [
            CellIndex(
                group=one.cells["group_code"].to_numpy(np.intp),
                unit=unit[name][place],
                alone=one.cells["cluster"].isna().to_numpy(),
                sign=np.ones(len(one.cells)),
                unit_stratum=unit_stratum,
                sampled=sampled,
            )
            for place, one in enumerate(totals[name])
        ]
        reduced[name] = _reduced(name, answers, totals[name], indexes, question)
    return reduced


def _totals(data: Any, question: Question) -> list[Totals]:
    metrics = question.metrics
    return survey_totals_each(
        data,
        {str(i): metric_value(metric, question.origins[i]) for i, metric in enumerate(metrics)},
        columns=list(dict.fromkeys(metric.column for metric in metrics)),
        groupings=[None, *question.columns],
        design=question.design,
    )


def _numbered(
    totals: Mapping[str, list[Totals]],
) -> tuple[dict[str, list[NDArray[np.intp]]], NDArray[np.intp], pd.Index]:
    """Number of each cell's unit, per period and segment; each unit's stratum; the strata."""
    cells = [one.cells[["stratum", "cluster"]] for each in totals.values() for one in each]
    together = pd.concat(cells, ignore_index=True)
    unit = together.groupby(["stratum", "cluster"], dropna=False, sort=False).ngroup().to_numpy()
    stratum, strata = pd.factorize(together["stratum"])
    first = np.unique(unit, return_index=True)[1]
    parts = np.split(unit.astype(np.intp), np.cumsum([len(part) for part in cells])[:-1])
    each = len(next(iter(totals.values())))
    numbered = {name: parts[i * each : (i + 1) * each] for i, name in enumerate(totals)}
    return numbered, stratum[first].astype(np.intp), pd.Index(strata)


def _reduced(
    name: str, data: Any, totals: list[Totals], indexes: list[CellIndex], question: Question
) -> Reduced:
    whole, index = totals[0], indexes[0]
    design, columns = question.design, [EVERYONE, *question.columns]
    tables = estimate_each(
        data, question.metrics, groupings=[None, *question.columns], design=design
    )
    clusters = np.unique(index.unit[~index.alone])
    lone = whole.lone_rows if design.cluster else int(whole.rows.sum()) + whole.weightless
    segments = {}
    for place, column in enumerate(columns):
        labels = _labels(totals[place], column)
        for i, metric in enumerate(question.metrics):
            cells = (indexes[place], _values(totals[place], i))
            if totals[place].ungrouped[str(i)]:
                cells = _with_not_given(cells, (index, _values(whole, i)), len(labels))
            found = _segment(cells, labels, column, question.min_group_size)
            if found is not None:
                segments[key_of(metric), column] = found
    return Reduced(
        name=name,
        figures=pd.concat(
            [table.assign(segment=column) for table, column in zip(tables, columns, strict=True)],
            ignore_index=True,
        ),
        segments=segments,
        clusters=clusters,
        sampled=index.sampled,
        unanswered=[
            key_of(metric)
            for i, metric in enumerate(question.metrics)
            if not whole.values["n"][:, i].any()
        ],
        seen=len(clusters) + lone,
        rows=int(whole.rows.sum()),
        lone_rows=whole.lone_rows,
        weightless=whole.weightless,
    )


def _labels(totals: Totals, column: str) -> list[str]:
    if column == EVERYONE:
        return [EVERYONE]
    return [str(label) for label in group_labels(totals.groups)] if len(totals.groups) else []


def _values(totals: Totals, i: int) -> dict[str, Array]:
    return {kind: table[:, i] for kind, table in totals.values.items()}


def _with_not_given(
    groups: tuple[CellIndex, dict[str, Array]],
    whole: tuple[CellIndex, dict[str, Array]],
    number: int,
) -> tuple[CellIndex, dict[str, Array]]:
    """Cells of the groups and of one more: the whole less the groups."""
    (index, values), (all_index, all_values) = groups, whole
    size, rest = len(index.group), np.full(len(index.group) + len(all_index.group), number)
    joined = replace(
        index,
        group=np.concatenate([index.group, rest]).astype(np.intp),
        unit=np.concatenate([index.unit, index.unit, all_index.unit]),
        alone=np.concatenate([index.alone, index.alone, all_index.alone]),
        sign=np.concatenate([index.sign, -index.sign, np.ones(len(rest) - size)]),
    )
    return joined, {
        kind: np.concatenate([values[kind], values[kind], all_values[kind]]) for kind in values
    }


def _segment(
    cells: tuple[CellIndex, dict[str, Array]],
    labels: list[str],
    column: str,
    min_group_size: int,
) -> Segment | None:
    """Groups of a segment, the small ones together; None where nothing may be told."""
    index, values = cells
    groups = int(index.group.max(initial=-1)) + 1
    named = [*labels, _not_given(labels)][: max(groups, len(labels))]
    one = linear(index, values, len(named))
    if one.n.sum() < min_group_size:
        return None
    if column == EVERYONE:
        return Segment((EVERYONE,), [], one)
    # answers of one cluster are its customer's: few clusters are few persons
    hidden = hidden_groups(np.minimum(one.n, one.clusters), min_group_size)
    shown = [i for i in range(len(named)) if i not in hidden and one.n[i] > 0]
    names = [named[i] for i in sorted(hidden)]
    if len(shown) < len(named):
        code = np.full(len(named), len(shown))
        code[shown] = np.arange(len(shown))
        # groups without an answer have no cell of any weight, wherever they go
        total = len(shown) + bool(names)
        group = np.minimum(code[index.group], total - 1)
        one = linear(replace(index, group=group), values, total)
    if (one.clusters < min_group_size).any():
        return None
    return Segment((*(named[i] for i in shown), *([HIDDEN] if names else [])), names, one)


def _not_given(labels: list[str]) -> str:
    return NOT_GIVEN if NOT_GIVEN not in labels else f"{NOT_GIVEN} (missing)"


def figures(now: Reduced, question: Question) -> pd.DataFrame:
    """Figures of every group that may be told, with the sums behind them."""
    rows = [
        _sums(now.segments[key_of(metric), column], metric, column, question.origins[i])
        for i, metric in enumerate(question.metrics)
        for column in (EVERYONE, *question.columns)
        if (key_of(metric), column) in now.segments
    ]
    if not rows:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in COLUMNS.items()})
    told = now.figures.assign(group=now.figures.get("group", EVERYONE))
    told["group"] = told["group"].astype(object).where(told["segment"] != EVERYONE, EVERYONE)
    told["group"] = told["group"].astype(str)
    left_out = ["n", "unit", "n_ungrouped", "tops", "middles", "bottoms"]
    keys = ["column", "metric", "segment", "group"]
    made = pd.concat(rows, ignore_index=True).merge(
        told.drop(columns=left_out, errors="ignore"), on=keys, how="left"
    )
    made["estimate"] = made["estimate"].fillna(made.pop("score"))
    made["note"] = made["note"].fillna("")
    return made[[*COLUMNS]].astype(COLUMNS)


#: Columns of a period's figures and what they hold.
COLUMNS = {
    "column": "str", "metric": "str", "unit": "str", "segment": "str", "group": "str",
    "n": "int64", "tops": "int64", "middles": "int64", "bottoms": "int64", "estimate": "float64",
    "se": "float64", "ci_low": "float64", "ci_high": "float64", "top_share": "float64",
    "middle_share": "float64", "bottom_share": "float64", "deff": "float64", "n_eff": "float64",
    "df": "float64", "unweighted": "float64", "n_missing": "Int64", "note": "str",
    "y": "float64", "yy": "float64", "weight": "float64", "origin": "float64",
    "clusters": "int64", "strata": "int64",
}  # fmt: skip


def _sums(segment: Segment, metric: Metric, column: str, origin: float) -> pd.DataFrame:
    one, key = segment.linear, key_of(metric)
    y, yy = one.sums["y"], one.sums["yy"]
    tops = np.zeros(len(y)) if metric.kind == "mean" else (yy + y) / 2
    bottoms = np.zeros(len(y)) if metric.kind == "mean" else (yy - y) / 2
    middles = np.zeros(len(y)) if metric.kind == "mean" else one.n - yy
    counts = {"tops": tops, "middles": middles, "bottoms": bottoms}
    whole = {name: values.round().astype("int64") for name, values in counts.items()}
    return pd.DataFrame({
        "column": key[0], "metric": key[1], "unit": metric.unit, "segment": column,
        "group": segment.groups, "n": one.n.astype("int64"), **whole,
        "score": metric.factor * one.scores + origin, "y": y, "yy": yy, "weight": one.weights,
        "origin": origin, "clusters": one.clusters.astype("int64"),
        "strata": one.strata.astype("int64"),
    })  # fmt: skip
