"""Covariance of many Pearson correlations in data too large to read row by row."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.core.frames import collect, group_sums, scan
from cxlab.stats.association.counts import JointCounts
from cxlab.stats.association.estimates import PairEstimates

Array = NDArray[np.float64]


def pearson_covariance(
    data: Any, counts: JointCounts, fit: PairEstimates, *, design: Design
) -> tuple[Array, Array]:
    """Taylor covariance of Pearson's r of every pair, by one nested GROUP BY.

    Parameters
    ----------
    data
        The dataframe that ``counts`` came from.
    counts : JointCounts
        With rows lumped by stratum.
    fit : PairEstimates
        Pearson's r of ``counts``.
    design : Design

    Returns
    -------
    covariance : ndarray of shape (pairs, pairs)
    df : ndarray of shape (pairs,)
        Clusters (rows, where there are none) that hold a pair less strata that do.

    Notes
    -----
    The influence function of r is a polynomial in the two ratings, so the engine can
    evaluate it for each row, sum it within clusters and multiply the sums.
    """
    columns = list(dict.fromkeys(name for pair in counts.pairs for name in pair))
    used = [name for name in design.columns().values() if name]
    lazy = scan(data, [*columns, *used])
    known = np.flatnonzero(fit.table["estimate"].notna())
    constant = [] if design.strata else ["stratum"]
    table = collect(_sums(_totals(lazy, counts, fit, known, design), len(known), constant))
    size = len(counts.pairs)
    covariance, df = np.zeros((size, size)), np.zeros(size)
    inner, clusters = np.zeros((len(known), len(known))), np.zeros(len(known))
    for _, row in table.iterrows():
        sampled = _sampled(row, design)
        total = np.array([row[f"t_{i}"] for i in range(len(known))])
        products = _symmetric(row, len(known))
        inner += sampled / (sampled - 1) * (products - np.outer(total, total) / sampled)
        held = np.array([row[f"c_{i}"] for i in range(len(known))])
        clusters += held - (held > 0)
    covariance[np.ix_(known, known)] = inner
    df[known] = clusters
    return covariance, df


def _totals(
    lazy: nw.LazyFrame,
    counts: JointCounts,
    fit: PairEstimates,
    known: Any,
    design: Design,
) -> nw.LazyFrame:
    weight = nw.col(design.weights).cast(nw.Float64) if design.weights else nw.lit(1.0)
    keys = {"stratum": nw.col(design.strata) if design.strata else nw.lit(0)}
    if design.cluster:
        keys["cluster"] = nw.col(design.cluster)
    if design.stratum_clusters:
        keys["sampled"] = nw.col(design.stratum_clusters)
    terms, held = {}, {}
    for place, number in enumerate(known):
        influence, both = _row_influence(counts, fit, int(number))
        inside = both & (weight > 0)
        value = nw.when(inside).then(influence * weight).otherwise(nw.lit(0.0))
        terms[f"if_{place}"] = value
        held[f"held_{place}"] = nw.when(inside).then(nw.lit(1)).otherwise(nw.lit(0))
    prepared = lazy.select(**keys, **terms, **held)
    if not design.cluster:
        return prepared
    sums = [nw.col(name).sum() for name in terms]
    most = [nw.col(name).max() for name in held]
    told = [nw.col("sampled").max()] if design.stratum_clusters else []
    named = prepared.filter(~nw.col("cluster").is_null())
    order = ["stratum", *(["sampled"] if told else []), *terms, *held]
    whole = named.group_by("stratum", "cluster").agg(*told, *sums, *most).select(order)
    alone = prepared.filter(nw.col("cluster").is_null()).select(order)
    return nw.concat([whole, alone])


def _row_influence(counts: JointCounts, fit: PairEstimates, number: int) -> tuple[nw.Expr, nw.Expr]:
    cells = counts.pair(number)
    mass = cells["weight"] / cells["weight"].sum()
    x_name, y_name = counts.pairs[number]
    standard = []
    for name, rating in ((x_name, cells["x"]), (y_name, cells["y"])):
        mean = float((mass * rating).sum())
        deviation = float(np.sqrt((mass * (rating - mean) ** 2).sum()))
        standard.append((nw.col(name).cast(nw.Float64) - mean) / deviation)
    zx, zy = standard
    r = float(fit.table["estimate"].iloc[number])
    influence = (zx * zy - (zx * zx + zy * zy) * (r / 2)) / float(cells["weight"].sum())
    return influence, (~nw.col(x_name).is_null()) & (~nw.col(y_name).is_null())


def _sums(totals: nw.LazyFrame, size: int, constant: list[str]) -> nw.LazyFrame:
    """Per stratum: units, totals, their products, and units that hold a pair."""
    value = [nw.col(f"if_{i}") for i in range(size)]
    sums = [nw.len().alias("units")]
    if "sampled" in totals.collect_schema().names():
        sums.append(nw.col("sampled").max())
    sums += [value[i].sum().alias(f"t_{i}") for i in range(size)]
    sums += [nw.col(f"held_{i}").sum().alias(f"c_{i}") for i in range(size)]
    sums += [
        (value[i] * value[j]).sum().alias(f"p_{i}_{j}") for i in range(size) for j in range(i, size)
    ]
    return group_sums(totals, ["stratum"], sums, constant)


def _sampled(row: pd.Series, design: Design) -> float:
    told = row["sampled"] if design.stratum_clusters and pd.notna(row["sampled"]) else 0
    return float(max(row["units"], told))


def _symmetric(row: pd.Series, size: int) -> Array:
    matrix = np.zeros((size, size))
    for i in range(size):
        for j in range(i, size):
            matrix[i, j] = matrix[j, i] = row[f"p_{i}_{j}"]
    return matrix
