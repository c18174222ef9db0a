"""Answers in any dataframe engine → sums per group, stratum and cluster.

One GROUP BY serves any number of scores at once (a small pandas frame is added up in
NumPy instead); every estimate and its design-based variance is a function of the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design
from cxlab.core.frames import (
    Opened,
    as_list,
    collect,
    declared_order,
    group_sums,
)

#: Sums kept for each score: answers, their values and squares; the same weighted; and
#: weighted by the squared weight (for the variance of a weighted mean), whose own powers say
#: how many rows that variance rests on.
SUMS = ("n", "y", "yy", "w", "wy", "wyy", "ww", "wwy", "wwyy", "www", "wwww")
#: What the variance needs of a cell of several units (clusters, and rows without one): how many
#: hold an answer, and sums of their own w², w·wy and wy². Where all are rows, they are the sums
#: that each is called here.
UNIT_SUMS = {"units": "n", "uu": "ww", "uuy": "wwy", "uuyy": "wwyy"}


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums of every score per group × stratum × cluster.

    Attributes
    ----------
    cells : DataFrame
        One row per group × stratum × cluster: ``group_code``, ``stratum``, ``cluster``
        (null for the rows that are clusters of their own, and where the clusters of a
        stratum are summed together), in that order.
    names : tuple of str
        The scores.
    values : dict of str to ndarray, shape (cells, scores)
        Each of `SUMS`, per cell and score; and of `UNIT_SUMS`, for cells without a cluster.
    groups : DataFrame
        One row per group, in order; one column per ``by``. Empty ``by``: one row.
    rows : Series of int
        Rows of positive weight per group, answered or not.
    clusters : Series of int
        Clusters sampled per stratum, over the whole data.
    lone_rows : int
        Rows without a cluster, where a cluster column was given; each is a cluster of its own.
    ungrouped : dict of str to int
        Per score: valid answers of rows that are in no group.
    weightless : int
        Rows of weight 0, outside the population.
    """

    cells: pd.DataFrame
    names: tuple[str, ...]
    values: dict[str, np.ndarray]
    groups: pd.DataFrame
    rows: pd.Series
    clusters: pd.Series
    lone_rows: int
    ungrouped: dict[str, int]
    weightless: int

    def sums(self, name: str) -> pd.DataFrame:
        """One score's cells with their sums: the columns of `cells`, then `SUMS`."""
        i = self.names.index(name)
        return self.cells.assign(**{kind: self.values[kind][:, i] for kind in SUMS})

    def stacked(self) -> pd.DataFrame:
        """All scores' cells that hold an answer, one score below the other.

        ``group_code`` is counted on from score to score: score i's group g is number
        ``i · groups + g``. Other columns as of `sums`, and `UNIT_SUMS`.
        """
        score, cell = np.nonzero(self.values["n"].T > 0)
        stacked = self.cells.iloc[cell].reset_index(drop=True)
        stacked["group_code"] += score * len(self.groups)
        return stacked.assign(**{kind: table[cell, score] for kind, table in self.values.items()})


def survey_totals(
    opened: Opened,
    scores: Mapping[str, nw.Expr],
    groupings: Sequence[str | Sequence[str] | None],
    *,
    per_cluster: bool = True,
) -> list[Totals]:
    """Sum every score per group, stratum and cluster, once for each way of grouping the rows.

    The expression of a score is null where there is no valid answer. Each grouping is columns
    whose values make the groups, or None for one group of all rows; a row with a null in one of
    them is in no group. Without ``per_cluster`` an engine adds up the clusters of a stratum too,
    so that what comes back is as long as the groups, however many clusters there are.
    """
    data, design = opened.data, opened.design
    wanted = [as_list(by) for by in groupings]
    names = list(dict.fromkeys(name for by in wanted for name in by))
    prepared = _prepared(opened.lazy, scores, by=names, design=design)
    rows = _by_unit(collect(prepared)) if opened.is_small(len(scores)) else None
    together = bool(design.cluster) and not per_cluster and rows is None
    if design.cluster and per_cluster and rows is None and not design.weights:
        prepared = _with_clusters_of_several(prepared, design)

    def added_up(keys: Sequence[str], scores: int) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
        cells = [*keys, "stratum", *(["cluster"] if design.cluster and not together else [])]
        if rows is not None:
            return _added_up(rows, cells, scores, weighted=bool(design.weights))
        facts, values = _one_pass(prepared, cells, scores, design)
        if not together:
            return facts, values
        counts, more = _over_units(prepared, cells, scores, design, like=facts)
        return facts.assign(**counts), values | more

    # the sample is the same, however its rows are grouped, and groups may share clusters
    sampled = _sampled_clusters(added_up([], 0)[0], design) if together and wanted[0] else None
    found: list[Totals] = []
    for by in wanted:
        keys = {f"by_{names.index(name)}": name for name in by}
        sums = added_up(list(keys), len(scores))
        found.append(_totals(*sums, data, list(scores), by=keys, design=design, clusters=sampled))
        sampled = found[0].clusters
    return found


def row_totals(rows: pd.DataFrame, design: Design, *, by: str | None = None) -> Totals:
    """As `survey_totals`, of one score of rows in memory.

    ``rows`` has ``value_0`` (NaN: no valid answer), ``weight``, ``stratum``, ``cluster``, and with
    ``by`` the group in ``by_0``.
    """
    keys = {"by_0": by} if by else {}
    cells, weighted = [*keys, "stratum", "cluster"], bool(design.weights)
    sums = _added_up(_by_unit(rows), cells, 1, weighted=weighted)
    data = rows.rename(columns=keys)
    return _totals(*sums, data, ["score"], by=keys, design=design)


def _prepared(
    lazy: nw.LazyFrame, scores: Mapping[str, nw.Expr], *, by: list[str], design: Design
) -> nw.LazyFrame:
    """One row per answer: ``by_0 …``, ``stratum``, ``cluster``, ``value_0 …``, ``weight``."""
    weight = nw.col(design.weights) if design.weights else nw.lit(1.0)
    keys = {f"by_{i}": nw.col(name) for i, name in enumerate(by)}
    keys["stratum"] = nw.col(design.strata) if design.strata else nw.lit(0)
    if design.cluster:
        keys["cluster"] = nw.col(design.cluster)
    values = {f"value_{i}": expr.cast(nw.Float64) for i, expr in enumerate(scores.values())}
    if design.stratum_clusters:
        values["sampled"] = nw.col(design.stratum_clusters)
    return lazy.select(**keys, **values, weight=weight)


def _with_clusters_of_several(prepared: nw.LazyFrame, design: Design) -> nw.LazyFrame:
    """The rows, with no cluster where it is of one row: such rows are units as they are.

    Without weights all of them are alike to every variance, and one cell holds a stratum's.
    """
    keys = [key for key in ("stratum", "cluster") if key not in _constant(design)]
    several = nw.len().over(*keys) > 1
    return prepared.with_columns(
        cluster=nw.when(several).then(nw.col("cluster")),
        lone=nw.when(nw.col("cluster").is_null()).then(nw.lit(1)).otherwise(nw.lit(0)),
    )


def _one_pass(
    prepared: nw.LazyFrame, cells: list[str], scores: int, design: Design
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """The cells and their sums from one GROUP BY inside the engine."""
    weighted = bool(design.weights)
    sums = [
        expression.alias(f"{name}_{i}")
        for i in range(scores)
        for name, expression in _score_sums(f"value_{i}", weighted=weighted).items()
    ]
    inside = nw.when(nw.col("weight") > 0).then(nw.lit(1)).otherwise(nw.lit(0))
    known = prepared.collect_schema().names()
    more = {"sampled": nw.col("sampled").max(), "lone": nw.col("lone").sum()}
    counts = {"all_rows": nw.len(), "rows": inside.sum()}
    counts |= {name: value for name, value in more.items() if name in known}
    facts = [value.alias(name) for name, value in counts.items()]
    wide = collect(group_sums(prepared, cells, [*facts, *sums], _constant(design)))
    made = SUMS if weighted else SUMS[:3]
    values = {k: wide[[f"{k}_{i}" for i in range(scores)]].to_numpy(float) for k in made}
    return wide[[*cells, *counts]], values


def _constant(design: Design) -> list[str]:
    """Keys that are 0 on every row."""
    return [] if design.strata else ["stratum"]


def _over_units(
    prepared: nw.LazyFrame, cells: list[str], scores: int, design: Design, *, like: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Number of units in each cell, and of rows among them; their `UNIT_SUMS`.

    One GROUP BY around that of the clusters, so that what comes back is no longer than the cells;
    in the order of those of ``like``.
    """
    terms, weight = {}, nw.col("weight")
    for i in range(scores):
        value = nw.col(f"value_{i}")
        valid = ~value.is_null() & (weight > 0)
        terms[f"w_{i}"] = nw.when(valid).then(weight).otherwise(nw.lit(0.0))
        terms[f"wy_{i}"] = nw.when(valid).then(weight * value).otherwise(nw.lit(0.0))
    rows, alone = prepared.select(*cells, "cluster", **terms), nw.col("cluster").is_null()
    totals = [nw.col(name).sum() for name in terms]
    whole = group_sums(rows.filter(~alone), [*cells, "cluster"], totals, _constant(design))
    parts = ((whole, 0), (rows.filter(alone), 1))
    units = nw.concat([part.select(*cells, *terms, lone=nw.lit(row)) for part, row in parts])
    sums = [nw.len().alias("clusters"), nw.col("lone").sum().alias("lone")]
    for i in range(scores):
        w, wy = nw.col(f"w_{i}"), nw.col(f"wy_{i}")
        held = nw.when(w > 0).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        products = zip(UNIT_SUMS, (held, w * w, w * wy, wy * wy), strict=True)
        sums += [product.sum().alias(f"{kind}_{i}") for kind, product in products]
    found = collect(group_sums(units, cells, sums, _constant(design)))
    found = like[cells].merge(found, how="left", on=cells, validate="one_to_one")
    values = {k: found[[f"{k}_{i}" for i in range(scores)]].to_numpy(float) for k in UNIT_SUMS}
    return found[["clusters", "lone"]], values


def _by_unit(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows in memory with the number of their stratum and cluster, as which they are grouped."""
    names = [name for name in ("stratum", "cluster") if name in rows]
    return rows.assign(unit=rows.groupby(names, dropna=False, sort=False, observed=True).ngroup())


def _added_up(
    rows: pd.DataFrame, cells: list[str], scores: int, *, weighted: bool
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """As `_one_pass`, of rows in memory that have their unit."""
    groups = [*(name for name in cells if name not in ("stratum", "cluster")), "unit"]
    code = rows.groupby(groups, dropna=False, sort=False, observed=True).ngroup().to_numpy()
    order = np.argsort(code, kind="stable")
    starts = np.flatnonzero(np.diff(code[order], prepend=-1))

    def per_cell(numbers: np.ndarray) -> np.ndarray:
        return np.add.reduceat(numbers[order], starts, axis=0)

    weight = rows["weight"].to_numpy(float)
    keys = rows[cells].iloc[order[starts]].reset_index(drop=True)
    keys["all_rows"] = per_cell(np.ones(len(rows), dtype=int))
    keys["rows"] = per_cell((weight > 0).astype(int))
    if "sampled" in rows:
        keys["sampled"] = rows.groupby(code)["sampled"].max().to_numpy()
    y = rows[[f"value_{i}" for i in range(scores)]].to_numpy(float)
    one = (~np.isnan(y) & (weight > 0)[:, None]).astype(float)
    y = np.where(one > 0, y, 0.0)
    values = {"n": per_cell(one), "y": per_cell(y), "yy": per_cell(y * y)}
    if weighted:
        for kind, w in (("w", one * weight[:, None]), ("ww", one * weight[:, None] ** 2)):
            values |= {kind: per_cell(w), f"{kind}y": per_cell(w * y)}
            values[f"{kind}yy"] = per_cell(w * y * y)
        weights = one * weight[:, None]
        values |= {"www": per_cell(weights**3), "wwww": per_cell(weights**4)}
    return keys, values


def _score_sums(value: str, *, weighted: bool) -> dict[str, nw.Expr]:
    valid = ~nw.col(value).is_null()
    if weighted:
        valid = valid & (nw.col("weight") > 0)
    # zero before the products: a null would spread, and a sum of nothing would be null
    one = nw.when(valid).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
    y = nw.when(valid).then(nw.col(value)).otherwise(nw.lit(0.0))
    products = [one, y, y * y]
    if weighted:
        w = nw.when(valid).then(nw.col("weight")).otherwise(nw.lit(0.0))
        products += [w, w * y, w * y * y, w * w, w * w * y, w * w * y * y]
        products += [w * w * w, w * w * w * w]
    return {name: product.sum() for name, product in zip(SUMS, products, strict=False)}


def _totals(
    keys: pd.DataFrame,
    values: dict[str, np.ndarray],
    data: Any,
    names: list[str],
    *,
    by: dict[str, str],
    design: Design,
    clusters: pd.Series | None = None,
) -> Totals:
    if "cluster" not in keys:
        keys["cluster"] = None
    clusters = _sampled_clusters(keys, design) if clusters is None else clusters
    if "lone" not in keys:
        keys["lone"] = keys["all_rows"].where(keys["cluster"].isna() & bool(design.cluster), 0)
    weightless = int(keys["all_rows"].sum() - keys["rows"].sum())
    groups, cells = _number_groups(keys, data, by)
    counts = cells.groupby("group_code")["rows"].sum()
    # sorted, so that the order in which an engine returns groups changes no digit
    cells = cells.sort_values(["group_code", "stratum", "cluster"], kind="stable", key=_sort_key)
    inside = {kind: table[cells.index] for kind, table in values.items()}
    outside = values["n"].sum(axis=0) - inside["n"].sum(axis=0)
    # without weights every weighted sum is the plain one
    plain = {
        kind: inside[kind if kind in inside else kind.replace("w", "") or "n"] for kind in SUMS
    }
    plain |= {kind: inside.get(kind, plain[of_rows]) for kind, of_rows in UNIT_SUMS.items()}
    return Totals(
        cells=cells[["group_code", "stratum", "cluster"]].reset_index(drop=True),
        names=tuple(names),
        values=plain,
        groups=groups,
        rows=counts.reindex(range(len(groups)), fill_value=0).astype("int64"),
        clusters=clusters,
        lone_rows=int(keys["lone"].sum()),
        ungrouped={name: int(n) for name, n in zip(names, outside, strict=True)},
        weightless=weightless,
    )


def _sort_key(column: pd.Series) -> pd.Series:
    return column if pd.api.types.is_numeric_dtype(column) else column.astype("str")


def _sampled_clusters(wide: pd.DataFrame, design: Design) -> pd.Series:
    if "clusters" in wide:
        found = wide.set_index("stratum")["clusters"]
    else:
        whole = wide[["stratum", "cluster"]].dropna(subset="cluster").drop_duplicates()
        seen = whole.groupby("stratum").size()
        alone = wide[wide["cluster"].isna()].groupby("stratum")["all_rows"].sum()
        found = seen.add(alone, fill_value=0)
    if design.stratum_clusters:
        declared = wide.groupby("stratum")["sampled"].max()
        found = found.combine(declared, max, fill_value=0)
    return found.astype(int)


def _number_groups(
    wide: pd.DataFrame, data: Any, by: Mapping[str, str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The groups in order, and the cells that are in one, with its number."""
    if not by:
        return pd.DataFrame(index=[0]), wide.assign(group_code=0)
    keys = list(by)
    inside = wide.dropna(subset=keys).copy()
    for key, name in by.items():
        inside[key] = in_declared_order(inside[key], data, name)
    inside["group_code"] = inside.groupby(keys, sort=True, observed=True).ngroup()
    first = inside.drop_duplicates("group_code").sort_values("group_code")
    return first[keys].reset_index(drop=True).rename(columns=dict(by)), inside


def in_declared_order(values: pd.Series, data: Any, name: str) -> pd.Series:
    """Values of a column that `scan` read, which sort as the study declares them."""
    declared = declared_order(data, name)
    if declared is None:
        return values
    return pd.Series(pd.Categorical(values, categories=declared), values.index)
