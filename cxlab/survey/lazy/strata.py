"""What lazy answers get beside their columns: strata per period, sizes of strata, order."""

from __future__ import annotations

from collections.abc import Mapping

import narwhals as nw

from cxlab.core.engines import collect, has_ordered_text
from cxlab.survey.answers import no_stratum
from cxlab.survey.cleaning import natural_order
from cxlab.survey.definition import Table
from cxlab.survey.lazy.fields import MOST_DISTINCT
from cxlab.survey.lazy.text import chosen

#: Up to so many strata their sizes are written into the query; more are joined to it.
MOST_WRITTEN = 100


def tell_periods_apart(rows: nw.LazyFrame, table: Table, periods: int | None) -> nw.LazyFrame:
    """Strata of two periods are two strata; so are clusters, unless declared to span them.

    ``periods`` is how many the rows are of; None: look.
    """
    strata, cluster = table.only("strata"), table.only("cluster")
    own = strata or (cluster if cluster and not cluster.spans_periods else None)
    if own is None:
        return rows
    if periods is None:
        named = rows.select("period").filter(~nw.col("period").is_null())
        periods = len(collect(named.unique().head(2)))
    if periods < 2:
        return rows
    apart = nw.concat_str([nw.col("period"), nw.col(own.name)], separator=" ")
    return rows.with_columns(apart.alias(own.name))


def stratum_clusters(rows: nw.LazyFrame, table: Table, n: int) -> nw.LazyFrame:
    """Add the number of clusters (rows, where there are none) sampled in the row's stratum."""
    strata, cluster = table.only("strata"), table.only("cluster")
    if strata is None and cluster is None:
        return rows.with_columns(nw.lit(n).cast(nw.Int64).alias("stratum_clusters"))
    sizes = _sizes(rows, strata.name if strata else None, cluster.name if cluster else None)
    if strata is None:
        total = int(collect(sizes)["size"].sum())
        return rows.with_columns(nw.lit(total).cast(nw.Int64).alias("stratum_clusters"))
    found = collect(sizes.head(MOST_WRITTEN + 1))
    _check_strata(rows, strata.name, table)
    if len(found) > MOST_WRITTEN:
        named = sizes.select(
            nw.col("stratum").alias(strata.name), stratum_clusters=nw.col("size").cast(nw.Int64)
        )
        return rows.join(named, on=strata.name, how="left")
    written = [
        (nw.col(strata.name) == str(stratum), int(size))
        for stratum, size in zip(found["stratum"], found["size"], strict=True)
    ]
    return rows.with_columns(chosen(written).cast(nw.Int64).alias("stratum_clusters"))


def order_segments(rows: nw.LazyFrame, table: Table) -> nw.LazyFrame:
    """Give segments the declared order, in engines that have a type for it."""
    if not has_ordered_text(rows):
        return rows
    found = {
        column.name: list(dict.fromkeys(column.values.values())) or _words(rows, column.name)
        for column in table.with_role("segment")
    }
    labels = {name: words for name, words in found.items() if words}
    if not labels:
        return rows
    if rows.implementation.is_duckdb():
        return _ordered_in_duckdb(rows, labels)
    return rows.with_columns(nw.col(name).cast(nw.Enum(words)) for name, words in labels.items())


def _ordered_in_duckdb(rows: nw.LazyFrame, labels: Mapping[str, list[str]]) -> nw.LazyFrame:
    """As DuckDB's ENUM; narwhals 2.29 writes its labels as Python would, quotes and all."""

    def quoted(word: str, mark: str) -> str:
        return mark + word.replace(mark, mark * 2) + mark

    casts = [
        f"CAST({name} AS ENUM({', '.join(quoted(word, chr(39)) for word in words)})) AS {name}"
        for name, words in ((quoted(name, '"'), words) for name, words in labels.items())
    ]
    return nw.from_native(rows.to_native().project(f"* REPLACE ({', '.join(casts)})"))


def _sizes(rows: nw.LazyFrame, strata: str | None, cluster: str | None) -> nw.LazyFrame:
    """Per stratum: named clusters and rows without one; rows, where there are no clusters."""
    stratum = nw.col(strata) if strata else nw.lit("all")
    if cluster is None:
        return rows.select(stratum=stratum).group_by("stratum").agg(nw.len().alias("size"))
    pairs = rows.select(stratum=stratum, cluster=nw.col(cluster))
    pairs = pairs.group_by("stratum", "cluster").agg(nw.len().alias("rows"))
    # a row without a cluster is a cluster of its own
    own = nw.when(nw.col("cluster").is_null()).then(nw.col("rows")).otherwise(nw.lit(1))
    counted = pairs.select("stratum", size=own.cast(nw.Int64))
    return counted.group_by("stratum").agg(nw.col("size").sum())


def _check_strata(rows: nw.LazyFrame, strata: str, table: Table) -> None:
    null = nw.when(nw.col(strata).is_null()).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
    without = int(collect(rows.select(n=null))["n"].iloc[0])
    if without:
        raise ValueError(no_stratum(table, strata, without))


def _words(rows: nw.LazyFrame, name: str) -> list[str]:
    """Distinct values in natural order; none where they are too many to be a segment."""
    values = rows.select(value=nw.col(name)).unique().head(MOST_DISTINCT + 1)
    found = collect(values)["value"].dropna()
    if len(found) > MOST_DISTINCT:
        return []
    return sorted({str(value) for value in found}, key=natural_order)
