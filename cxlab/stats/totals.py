"""Answers in any dataframe engine → sums per group, stratum and cluster.

One GROUP BY serves any number of scores at once; every estimate and its design-based
variance is a function of what it returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.stats.frames import as_list, check_columns, check_numeric, collect, scan
from cxlab.survey.messages import got

#: Sums kept for each score: answers, their values and squares; the same weighted; and
#: weighted by the squared weight (for the variance of a weighted mean).
SUMS = ("n", "y", "yy", "w", "wy", "wyy", "ww", "wwy", "wwyy")


@dataclass(frozen=True)
class Design:
    """Names of the columns that say how the answers were sampled; each may be None.

    Attributes
    ----------
    weights : str or None
        Column of weights, 0 or more. A row of weight 0 is outside the population.
    strata : str or None
        Column of strata.
    cluster : str or None
        Column of clusters, nested in strata. A row without one is its own cluster.
    stratum_clusters : str or None
        Column with the number of clusters (rows, where there are no clusters) sampled in
        the row's stratum before any filter. Without it the number seen in the data
        counts, which understates a filtered frame's variance.
    """

    weights: str | None = None
    strata: str | None = None
    cluster: str | None = None
    stratum_clusters: str | None = None

    @property
    def simple(self) -> bool:
        """Whether the answers are taken as a simple random sample."""
        return self.weights is None and self.strata is None and self.cluster is None

    def columns(self) -> dict[str, str | None]:
        """Argument names to column names."""
        return {
            "weights": self.weights,
            "strata": self.strata,
            "cluster": self.cluster,
            "stratum_clusters": self.stratum_clusters,
        }

    def used(self) -> list[str]:
        """Names of the columns that are given."""
        return [name for name in self.columns().values() if name]


@dataclass(frozen=True, eq=False)
class Totals:
    """Sums of every score per group × stratum × cluster.

    Attributes
    ----------
    sums : dict of str to DataFrame
        Per score: columns ``group_code``, ``stratum``, ``cluster`` (null for the rows
        that are clusters of their own) and `SUMS`.
    groups : DataFrame
        One row per group, in order; one column per ``by``. Empty ``by``: one row.
    rows : Series of int
        Rows of positive weight per group, answered or not.
    clusters : Series of int
        Clusters sampled per stratum, over the whole data.
    lone_rows : int
        Rows without a cluster where a cluster column was given.
    ungrouped : dict of str to int
        Per score: valid answers of rows that are in no group.
    weightless : int
        Rows of weight 0, outside the population.
    """

    sums: dict[str, pd.DataFrame]
    groups: pd.DataFrame
    rows: pd.Series
    clusters: pd.Series
    lone_rows: int
    ungrouped: dict[str, int]
    weightless: int


def survey_totals(
    data: Any,
    scores: Mapping[str, nw.Expr],
    *,
    columns: Sequence[str],
    by: str | Sequence[str] | None = None,
    design: Design,
) -> Totals:
    """Sum every score per group, stratum and cluster in one pass over the rows.

    Parameters
    ----------
    data
        Dataframe of any engine.
    scores : mapping of str to narwhals.Expr
        Name to the expression of its value: null where there is no valid answer.
    columns : sequence of str
        Columns that the expressions read.
    by : str or sequence of str, optional
        Columns whose values make the groups. A row with a null in one is in no group.
    design : Design

    Returns
    -------
    Totals

    Raises
    ------
    ValueError
        For a weight that is null, negative or infinite, or a row without a stratum.
    """
    by = as_list(by)
    check_columns(data, {"by": by, **design.columns()})
    lazy = scan(data, [*columns, *by, *design.used()])
    _check_design(lazy, design)
    wide = collect(_one_pass(lazy, scores, by=by, design=design))
    return _totals(wide, data, list(scores), by=by, design=design)


def check_design(data: Any, design: Design) -> None:
    """Refuse design columns that are not there, bad weights, rows without a stratum."""
    check_columns(data, design.columns())
    if design.used():
        _check_design(scan(data, design.used()), design)


def _one_pass(
    lazy: nw.LazyFrame, scores: Mapping[str, nw.Expr], *, by: list[str], design: Design
) -> nw.LazyFrame:
    weight = nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)
    keys = {f"by_{i}": nw.col(name) for i, name in enumerate(by)}
    keys["stratum"] = nw.col(design.strata) if design.strata else nw.lit(0)
    if design.cluster:
        keys["cluster"] = nw.col(design.cluster)
    values = {f"value_{i}": expr.cast(nw.Float64) for i, expr in enumerate(scores.values())}
    sampled = (
        {"sampled": nw.col(design.stratum_clusters).cast(nw.Float64)}
        if design.stratum_clusters
        else {}
    )
    prepared = lazy.select(**keys, **values, **sampled, weight=weight)
    sums = [
        expression.alias(f"{name}_{i}")
        for i in range(len(scores))
        for name, expression in _score_sums(f"value_{i}", weighted=bool(design.weights)).items()
    ]
    inside = nw.when(nw.col("weight") > 0).then(nw.lit(1)).otherwise(nw.lit(0))
    most = [nw.col("sampled").max()] if sampled else []
    return prepared.group_by(list(keys)).agg(
        nw.len().alias("all_rows"), inside.sum().alias("rows"), *most, *sums
    )


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
    return {name: product.sum() for name, product in zip(SUMS, products, strict=False)}


def _totals(
    wide: pd.DataFrame, data: Any, names: list[str], *, by: list[str], design: Design
) -> Totals:
    if "cluster" not in wide:
        wide["cluster"] = None
    clusters = _sampled_clusters(wide, design)
    keys = [f"by_{i}" for i in range(len(by))]
    lone = int(wide.loc[wide["cluster"].isna(), "all_rows"].sum()) if design.cluster else 0
    weightless = int(wide["all_rows"].sum() - wide["rows"].sum())
    answered = {name: int(wide[f"n_{i}"].sum()) for i, name in enumerate(names)}
    groups, wide = _number_groups(wide, keys, data, by)
    ungrouped = {name: answered[name] - int(wide[f"n_{i}"].sum()) for i, name in enumerate(names)}
    counts = wide.groupby("group_code")["rows"].sum()
    rows = counts.reindex(range(len(groups)), fill_value=0).astype("int64")
    # sorted, so that the order in which an engine returns groups changes no digit
    wide = wide.sort_values(["group_code", "stratum", "cluster"], kind="stable", key=_sort_key)
    sums = {}
    for i, name in enumerate(names):
        part = wide[["group_code", "stratum", "cluster"]].copy()
        for kind in SUMS:
            # without weights every weighted sum is the plain one
            made = kind if design.weights else kind.replace("w", "") or "n"
            part[kind] = wide[f"{made}_{i}"]
        sums[name] = part.reset_index(drop=True)
    return Totals(
        sums=sums,
        groups=groups,
        rows=rows,
        clusters=clusters,
        lone_rows=lone,
        ungrouped=ungrouped,
        weightless=weightless,
    )


def _sort_key(column: pd.Series) -> pd.Series:
    return column if pd.api.types.is_numeric_dtype(column) else column.astype("str")


def _sampled_clusters(wide: pd.DataFrame, design: Design) -> pd.Series:
    whole = wide[["stratum", "cluster"]].dropna(subset="cluster").drop_duplicates()
    seen = whole.groupby("stratum").size()
    alone = wide[wide["cluster"].isna()].groupby("stratum")["all_rows"].sum()
    found = seen.add(alone, fill_value=0)
    if design.stratum_clusters:
        told = wide.groupby("stratum")["sampled"].max()
        found = found.combine(told, max, fill_value=0)
    return found.astype(int)


def _number_groups(
    wide: pd.DataFrame, keys: list[str], data: Any, by: list[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    if not keys:
        return pd.DataFrame(index=[0]), wide.assign(group_code=0)
    inside = wide.dropna(subset=keys).copy()
    for key, name in zip(keys, by, strict=True):
        inside[key] = _in_declared_order(inside[key], data, name)
    numbered = inside.groupby(keys, sort=True, observed=True).ngroup()
    inside["group_code"] = numbered
    first = inside.drop_duplicates("group_code").sort_values("group_code")
    groups = first[keys].reset_index(drop=True)
    groups.columns = by
    return groups, inside


def _in_declared_order(values: pd.Series, data: Any, name: str) -> pd.Series:
    """Categories keep the order that the study declares."""
    declared = isinstance(data, pd.DataFrame) and isinstance(data[name].dtype, pd.CategoricalDtype)
    if declared and all(isinstance(label, str) for label in data[name].cat.categories):
        return pd.Series(pd.Categorical(values, categories=data[name].cat.categories), values.index)
    return values


def _check_design(lazy: nw.LazyFrame, design: Design) -> None:
    check_numeric(lazy, {"weights": design.weights, "stratum_clusters": design.stratum_clusters})
    if design.weights:
        weight = nw.col(design.weights).cast(nw.Float64)
        good = (weight >= 0) & (weight < float("inf"))
        bad = collect(lazy.filter(weight.is_null() | ~good).select(weight))
        if len(bad):
            values = [str(value) for value in bad.iloc[:, 0]]
            raise ValueError(
                f"`weights` must be finite numbers of 0 or more; got {got(values)} in "
                f"'{design.weights}'. Give a row that is outside the population the weight 0."
            )
    if design.strata:
        without = collect(lazy.filter(nw.col(design.strata).is_null()).select(nw.len()))
        rows = int(without.iloc[0, 0])
        if rows:
            raise ValueError(
                f"`strata` must be given for every row; got null in '{design.strata}' for "
                f"{rows:,} rows. Fill them in, or leave `strata` out."
            )
