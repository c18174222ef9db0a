"""Periods' answers summed per group and cluster, and the groups that may be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.core.disclosure.gate import (
    Hidden,
    decide,
    hidden_groups,
    joint_answers,
    table_joints,
)
from cxlab.core.engines import without_nan
from cxlab.core.labels import group_labels
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals, survey_totals
from cxlab.stats.inference import Units
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.metrics.values import metric_value, open_metrics
from cxlab.stats.tracking.cells import NOT_GIVEN
from cxlab.stats.tracking.covariances import CellIndex, Linear, linear
from cxlab.stats.tracking.statistics import EVERYONE, HIDDEN, Key, key_of

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
    sums : dict of Key to dict of str to ndarray, shape (units,)
        Each metric's sums per unit, as `cxlab.stats.inference.contrast_spread` takes them.
    units : Units
        The same in every period but for what was sampled.
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
    sums: dict[Key, dict[str, Array]]
    units: Units
    seen: int
    rows: int
    lone_rows: int
    weightless: int


@dataclass(frozen=True, eq=False)
class _Cells:
    """Sums of one column's groups, those of the answers in none of them last.

    Attributes
    ----------
    labels : list of str
    rest : int or None
        Number of the group of answers without a segment.
    index : CellIndex
    values : list of dict of str to ndarray
        One for each metric.
    """

    labels: list[str]
    rest: int | None
    index: CellIndex
    values: list[dict[str, Array]]


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
        whole = totals[name][EVERYONE][0]
        sampled = whole.clusters.reindex(strata).fillna(0).to_numpy(float)
        cells = {
            column: _cells(column, found, unit[name, column], unit_stratum, sampled)
            for column, found in totals[name].items()
        }
        reduced[name] = _reduced(name, answers, whole, cells, question)
    return reduced


def _totals(data: Any, question: Question) -> dict[str, list[Totals]]:
    """Of everyone and of each column's groups; then of the answers in none, if any."""
    metrics, columns = question.metrics, question.columns
    found = _sums_by(data, [None, *columns], question)
    totals = {name: [one] for name, one in zip([EVERYONE, *columns], found, strict=True)}
    without = [name for name in columns if any(totals[name][0].ungrouped.values())]
    if without and metrics:
        marked, marks = _marked(data, without)
        for name, one in zip(without, _sums_by(marked, marks, question), strict=True):
            totals[name].append(one)
    return totals


def _sums_by(data: Any, groupings: Sequence[str | None], question: Question) -> list[Totals]:
    metrics = question.metrics
    opened = open_metrics(data, metrics, design=question.design, by=[by for by in groupings if by])
    values = {str(i): metric_value(metric, question.origins[i]) for i, metric in enumerate(metrics)}
    return survey_totals(opened, values, groupings)


def _marked(data: Any, columns: list[str]) -> tuple[Any, list[str]]:
    """The data with a column for each that is 1 where it is null, and else null."""
    marks = {name: f"{name} {NOT_GIVEN}" for name in columns}
    if isinstance(data, pd.DataFrame):
        known = {mark: data[name].isna().map({True: 1.0}) for name, mark in marks.items()}
        return data.assign(**known), list(marks.values())
    frame = nw.from_native(data)
    kinds = frame.lazy().collect_schema()
    values = {
        mark: without_nan(nw.col(name)) if kinds[name].is_float() else nw.col(name)
        for name, mark in marks.items()
    }
    unknown = [nw.when(one.is_null()).then(nw.lit(1.0)).alias(m) for m, one in values.items()]
    return frame.with_columns(*unknown).to_native(), list(marks.values())


def _numbered(
    totals: Mapping[str, Mapping[str, list[Totals]]],
) -> tuple[dict[tuple[str, str], NDArray[np.intp]], NDArray[np.intp], pd.Index]:
    """Number of each cell's unit, per period and column; each unit's stratum; the strata."""
    keys = ["stratum", "cluster"]
    cells = {
        (name, column): pd.concat([one.cells[keys] for one in found], ignore_index=True)
        for name, columns in totals.items()
        for column, found in columns.items()
    }
    together = pd.concat(cells.values(), ignore_index=True)
    unit = together.groupby(keys, dropna=False, sort=False).ngroup().to_numpy(np.intp)
    stratum, strata = pd.factorize(together["stratum"])
    first = np.unique(unit, return_index=True)[1]
    parts = np.split(unit, np.cumsum([len(part) for part in cells.values()])[:-1])
    numbered = dict(zip(cells, parts, strict=True))
    return numbered, stratum[first].astype(np.intp), pd.Index(strata)


def _cells(
    column: str, totals: list[Totals], unit: NDArray[np.intp], unit_stratum: NDArray[np.intp],
    sampled: Array,
) -> _Cells:  # fmt: skip
    labels = _labels(totals[0], column)
    rest = len(labels) if len(totals) > 1 else None
    # the one group of those without a segment follows the others
    code = [one.cells["group_code"].to_numpy(np.intp) + i * len(labels)
            for i, one in enumerate(totals)]  # fmt: skip
    index = CellIndex(
        group=np.concatenate(code),
        unit=unit,
        alone=np.concatenate([one.cells["cluster"].isna().to_numpy() for one in totals]),
        sign=np.ones(len(unit)),
        unit_stratum=unit_stratum,
        sampled=sampled,
    )
    values = [
        {
            kind: np.concatenate([one.values[kind][:, i] for one in totals])
            for kind in totals[0].values
        }
        for i in range(len(totals[0].names))
    ]
    return _Cells([*labels, *([_not_given(labels)] if rest is not None else [])], rest, index,
                  values)  # fmt: skip


def _labels(totals: Totals, column: str) -> list[str]:
    if column == EVERYONE:
        return [EVERYONE]
    return [str(label) for label in group_labels(totals.groups)] if len(totals.groups) else []


def _reduced(
    name: str, data: Any, whole: Totals, cells: dict[str, _Cells], question: Question
) -> Reduced:
    design, columns, metrics = question.design, question.columns, question.metrics
    opened = open_metrics(data, metrics, design=design, by=columns)
    tables = estimate_each(opened, metrics, groupings=[None, *columns])
    told = pd.concat(
        [table.assign(segment=column) for table, column in zip(tables, cells, strict=True)],
        ignore_index=True,
    )
    index, values = cells[EVERYONE].index, cells[EVERYONE].values
    clusters = np.unique(index.unit[~index.alone])
    lone = whole.lone_rows if design.cluster else int(whole.rows.sum()) + whole.weightless
    return Reduced(
        name=name,
        figures=told,
        segments=_segments(data, told, cells, question),
        clusters=clusters,
        sampled=index.sampled,
        unanswered=[
            key_of(metric) for i, metric in enumerate(metrics) if not whole.values["n"][:, i].any()
        ],
        sums={key_of(m): _per_unit(index, v) for m, v in zip(metrics, values, strict=True)},
        units=_units(index),
        seen=len(clusters) + lone,
        rows=int(whole.rows.sum()),
        lone_rows=whole.lone_rows,
        weightless=whole.weightless,
    )


def _per_unit(index: CellIndex, values: Mapping[str, Array]) -> dict[str, Array]:
    size = len(index.unit_stratum)
    return {
        kind: np.bincount(index.unit, column, size).astype(float) for kind, column in values.items()
    }


def _units(index: CellIndex) -> Units:
    lone = np.zeros(len(index.unit_stratum), dtype=bool)
    lone[index.unit[index.alone]] = True
    return Units(index.unit_stratum, lone, index.sampled)


def _segments(
    data: Any, told: pd.DataFrame, cells: dict[str, _Cells], question: Question
) -> dict[tuple[Key, str], Segment]:
    """What may be told of each metric, within each column."""
    each = {
        (i, column): linear(found.index, found.values[i], len(found.labels))
        for column, found in cells.items()
        for i in range(len(question.metrics))
    }
    hidden = _hidden(data, told, cells, each, question)
    segments = {}
    for (i, column), one in each.items():
        metric = question.metrics[i]
        groups = hidden.get((metric.column, column), {})
        found = _segment(one, cells[column], i, groups, question.min_group_size)
        if found is not None:
            segments[key_of(metric), column] = found
    return segments


def _hidden(
    data: Any, told: pd.DataFrame, cells: dict[str, _Cells], each: dict[tuple[int, str], Linear],
    question: Question,
) -> Hidden:  # fmt: skip
    """Groups that no table shows, and those whose answers lie in few clusters.

    Answers of one cluster are its customer's: few clusters are few persons.
    """
    segments = sorted(set(question.columns))
    if len(segments) > 1:
        opened = open_metrics(data, question.metrics, design=question.design, by=segments)
        joints = joint_answers(opened, list(told["column"].unique()), segments)
    else:
        joints = table_joints(told.assign(group=told.get("group", EVERYONE)), segments)

    def decided(already: Hidden) -> Hidden:
        return decide(joints, segments, question.min_group_size, hidden=already).hidden

    base = decided({})
    more: Hidden = {}
    for (i, column), one in each.items():
        if column == EVERYONE:
            continue
        place = (question.metrics[i].column, column)
        names = _named(cells[column])
        start = {names.index(name): why for name, why in base.get(place, {}).items()}
        persons = np.minimum(one.n, one.clusters)
        found = hidden_groups(
            persons, question.min_group_size, first=cells[column].rest, hidden=start
        )
        more[place] = {names[group]: why for group, why in found.items()}
    few = any(groups != base.get(place, {}) for place, groups in more.items())
    return decided(more) if few else base


def _named(cells: _Cells) -> list[str | None]:
    return [None if i == cells.rest else label for i, label in enumerate(cells.labels)]


def _segment(
    one: Linear, cells: _Cells, metric: int, hidden: Mapping[str | None, str], least: int
) -> Segment | None:
    """Groups of a segment, the hidden ones together; None where nothing may be told."""
    labels = cells.labels
    if one.n.sum() < least:
        return None
    if labels == [EVERYONE]:
        return Segment((EVERYONE,), [], one)
    there = [name in hidden for name in _named(cells)]
    names = [label for label, away in zip(labels, there, strict=True) if away]
    shown = [i for i, away in enumerate(there) if not away and one.n[i] > 0]
    if len(shown) < len(labels):
        code = np.full(len(labels), len(shown))
        code[shown] = np.arange(len(shown))
        # groups without an answer have no cell of any weight, wherever they go
        total = len(shown) + bool(names)
        group = np.minimum(code[cells.index.group], total - 1)
        one = linear(replace(cells.index, group=group), cells.values[metric], total)
    if (one.clusters < least).any():
        return None
    return Segment((*(labels[i] for i in shown), *([HIDDEN] if names else [])), names, one)


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
