"""Clean answers of periods and files → the answers of a table, in any dataframe engine."""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.disclosure.gate import HiddenFigure, hidden_by_run
from cxlab.core.engines import collect, fenced, has_ordered_text
from cxlab.core.messages import unknown
from cxlab.survey.answers import Findings
from cxlab.survey.cleaning import natural_order
from cxlab.survey.definition import DATE_ROLES, RATING_ROLES, Table

#: Up to so many strata their sizes are written into the query; more are joined to it.
MOST_WRITTEN = 100
#: More different words than this are no segment's.
MOST_WORDS = 10_000
#: Values that a message looks through for the nearest spelling.
MOST_SHOWN = 1_000
#: Reason of a missing score: few gave one, or the score would give few back.
HIDDEN = "hidden"


def join_answers(
    rows: nw.LazyFrame,
    table: Table,
    *,
    periods: int,
    design: bool,
    where: Mapping[str, Any] | None,
) -> nw.LazyFrame:
    """What `Study.read` gives, from the clean rows of some periods."""
    if periods > 1:
        rows = _tell_periods_apart(rows, table)
    if design:
        rows = _stratum_clusters(rows, table)
    rows = _order_segments(rows, table)
    if where:
        rows = _only_where(rows, where, table)
    return fenced(rows)


def _tell_periods_apart(rows: nw.LazyFrame, table: Table) -> nw.LazyFrame:
    """Strata of two periods are two strata; so are clusters, unless declared to span them."""
    strata, cluster = table.only("strata"), table.cluster
    own = strata or (cluster if cluster and not cluster.spans_periods else None)
    if own is None:
        return rows
    apart = nw.concat_str([nw.col("period"), nw.col(own.name)], separator=" ")
    return rows.with_columns(apart.alias(own.name))


# strata -----------------------------------------------------------------------------------


def _stratum_clusters(rows: nw.LazyFrame, table: Table) -> nw.LazyFrame:
    """Add the number of clusters (rows, where there are none) sampled in the row's stratum."""
    strata, cluster = table.only("strata"), table.cluster
    if strata is None:
        if cluster is None:
            total = int(collect(rows.select(n=nw.len()))["n"].iloc[0])
        else:
            sizes = _sizes(rows.with_columns(_all=nw.lit("all")), "_all", cluster.name)
            total = int(collect(sizes)["size"].iloc[0])
        return rows.with_columns(nw.lit(total).cast(nw.Int64).alias("stratum_clusters"))
    sizes = _sizes(rows, strata.name, cluster.name if cluster else None)
    found = collect(sizes.head(MOST_WRITTEN + 1))
    _check_strata(rows, strata.name, table)
    if len(found) > MOST_WRITTEN:
        size = nw.col("size").cast(nw.Int64)
        named = sizes.select(nw.col("stratum").alias(strata.name), stratum_clusters=size)
        return rows.join(named, on=strata.name, how="left")
    written = nw.lit(None)
    for stratum, size in zip(found["stratum"], found["size"], strict=True):
        there = nw.col(strata.name) == str(stratum)
        written = nw.when(there).then(nw.lit(int(size))).otherwise(written)
    return rows.with_columns(written.cast(nw.Int64).alias("stratum_clusters"))


def _sizes(rows: nw.LazyFrame, strata: str, cluster: str | None) -> nw.LazyFrame:
    """Per stratum: named clusters and rows without one; rows, where there are no clusters."""
    stratum = nw.col(strata)
    if cluster is None:
        return rows.select(stratum=stratum).group_by("stratum").agg(nw.len().alias("size"))
    pairs = rows.select(stratum=stratum, cluster=nw.col(cluster))
    named = pairs.filter(~nw.col("cluster").is_null()).unique().with_columns(size=nw.lit(1))
    # a row without a cluster is a cluster of its own
    alone = pairs.filter(nw.col("cluster").is_null()).with_columns(size=nw.lit(1))
    both = nw.concat([named, alone], how="vertical")
    return both.group_by("stratum").agg(nw.col("size").sum())


def _check_strata(rows: nw.LazyFrame, strata: str, table: Table) -> None:
    counted = rows.filter(nw.col(strata).is_null()).select(n=nw.len())
    without = int(collect(counted)["n"].iloc[0])
    if without:
        raise ValueError(
            f"table '{table.name}': every row must have a stratum in '{strata}'; {without:,} have "
            "none. Fill them in, or declare the column as text."
        )


# segments ---------------------------------------------------------------------------------


def _order_segments(rows: nw.LazyFrame, table: Table) -> nw.LazyFrame:
    """Give segments the declared order, in engines that have a type for it."""
    if not (has_ordered_text(rows) or rows.implementation.is_pandas()):
        return rows
    found = {
        column.name: list(dict.fromkeys(column.values.values())) or _words(rows, column.name)
        for column in table.with_role("segment")
    }
    labels = {name: words for name, words in found.items() if words is not None}
    if rows.implementation.is_pandas():
        frame = rows.to_native()
        return nw.from_native(
            frame.assign(**{n: pd.Categorical(frame[n], categories=w) for n, w in labels.items()})
        ).lazy()
    labels = {name: words for name, words in labels.items() if words}
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


def _words(rows: nw.LazyFrame, name: str) -> list[str] | None:
    """Distinct values in natural order; None where they are too many to be a segment."""
    values = rows.select(value=nw.col(name)).unique()
    most = None if rows.implementation.is_pandas() else MOST_WORDS
    found = collect(values if most is None else values.head(most + 1))["value"].dropna()
    if most is not None and len(found) > most:
        return None
    return sorted({str(value) for value in found}, key=natural_order)


# selections -------------------------------------------------------------------------------


def choices_of(name: str, wanted: Any) -> list[Any]:
    """One value of a column or several, as a list."""
    one = isinstance(wanted, str) or not isinstance(wanted, Iterable)
    choices = [wanted] if one else list(wanted)
    if not choices:
        raise ValueError(
            f"`where` of '{name}' must name one value at least; got none. Leave the column out of "
            "`where` to have every answer."
        )
    return choices


def _selected(rows: nw.LazyFrame, where: Mapping[str, Any]) -> nw.Expr:
    """Whether a row is in a selection, as `Study.read` takes it."""
    schema = rows.collect_schema()
    kept = []
    for name, wanted in where.items():
        if name not in schema:
            raise ValueError(unknown("where", name, schema.names(), what="a column: "))
        kept.append(_matches(rows, name, schema[name], wanted))
    return functools.reduce(operator.and_, kept)


def selected_rows(answers: pd.DataFrame, where: Mapping[str, Any]) -> pd.Series:
    """Whether each row of a pandas frame is in a selection."""
    rows = nw.from_native(answers).lazy()
    if not where:
        return pd.Series(True, index=answers.index)
    return rows.select(there=_selected(rows, where)).collect().to_native()["there"]


def _only_where(rows: nw.LazyFrame, where: Mapping[str, Any], table: Table) -> nw.LazyFrame:
    left = rows.filter(_selected(rows, where))
    if not len(collect(left.head(1).select("period"))):
        raise ValueError(
            f"`where` must leave at least one answer of table '{table.name}'; "
            f"got none for {dict(where)}. Loosen a condition."
        )
    if rows.implementation.is_pandas():
        return nw.from_native(left.to_native().reset_index(drop=True)).lazy()
    return left


def _matches(rows: nw.LazyFrame, name: str, dtype: nw.dtypes.DType, wanted: Any) -> nw.Expr:
    tests = []
    for choice in choices_of(name, wanted):
        test = _equals(name, dtype, choice)
        if test is None or not len(collect(rows.filter(test).head(1).select(name))):
            raise ValueError(unknown("where", choice, _there(rows, name, dtype), of=name))
        tests.append(test)
    return functools.reduce(operator.or_, tests)


def _equals(name: str, dtype: nw.dtypes.DType, choice: Any) -> nw.Expr | None:
    """Whether a column holds a value; None where its type cannot."""
    try:
        if dtype.is_numeric():
            return (nw.col(name).cast(nw.Float64) == float(choice)).fill_null(False)
        if dtype.is_temporal():
            moment = pd.Timestamp(choice)
            if getattr(dtype, "time_zone", None) and moment.tzinfo is None:
                moment = moment.tz_localize("UTC")
            return (nw.col(name) == nw.lit(moment.to_pydatetime())).fill_null(False)
    except (TypeError, ValueError):
        return None
    return (nw.col(name).cast(nw.String) == str(choice)).fill_null(False)


def _there(rows: nw.LazyFrame, name: str, dtype: nw.dtypes.DType) -> list[str]:
    values = collect(rows.select(value=nw.col(name)).unique().head(MOST_SHOWN))["value"].dropna()
    if dtype.is_numeric():
        return [f"{value:.15g}" for value in sorted(values)]
    return sorted(map(str, values))


# dates ------------------------------------------------------------------------------------


def common_zones(table: Table, found: Mapping[str, Sequence[Findings]]) -> dict[str, str]:
    """The time zone of each date column over all periods; ``""`` for none."""
    return {
        column.name: _zone(table, column.name, found) for column in table.with_role(*DATE_ROLES)
    }


def _zone(table: Table, name: str, found: Mapping[str, Sequence[Findings]]) -> str:
    """Joining parts whose offsets differ, as in summer and winter, would leave no dates."""
    parts = {
        period: sorted({zone for one in files for zone in one.zones.get(name, [])})
        for period, files in found.items()
    }
    form = table.columns[name].format or ""
    for period, zones in parts.items():
        mixed = len(zones) > 1 and ("" in zones or not form.endswith("%Z"))
        if mixed or "several" in zones:
            first = found[period][0]
            raise ValueError(
                f"{first.place(table, name)}: dates must all be of one time zone, or all without; "
                "got different ones. Write them alike, or declare a `format` that ends in %Z, "
                'such as "%Y-%m-%d %H:%M %Z": times are then given in UTC.'
            )
    every = {zone for zones in parts.values() for zone in zones}
    if len(every) > 1 and "" in every:
        raise ValueError(
            f"table '{table.name}', column '{name}': dates must have a time zone in "
            "every period, or in none; got both. Write them alike."
        )
    return every.pop() if len(every) == 1 else ("UTC" if every else "")


# what a run of reports hides --------------------------------------------------------------


def without_hidden(answers: Any, table: Table) -> Any:
    """The main table's answers without what the run of reports hides altogether.

    Rows of hidden periods are gone; hidden scores are missing, for the reason ``hidden``.
    """
    wholes = [one for one in hidden_by_run() if not one.segment]
    if not wholes:
        return answers
    frame = nw.from_native(answers)
    for one in wholes:
        if not one.column:
            frame = frame.filter(~_of(one))
    for column in table.with_role(*RATING_ROLES):
        for one in wholes:
            if one.column == column.name:
                reason = f"{one.column}_missing"
                score = nw.when(~_of(one)).then(nw.col(one.column)).alias(one.column)
                told = nw.when(~_of(one)).then(nw.col(reason)).otherwise(nw.lit(HIDDEN))
                frame = frame.with_columns(score, told.alias(reason))
    return frame.to_native()


def _of(one: HiddenFigure) -> nw.Expr:
    return nw.col("period") == one.period if one.period else nw.lit(True)
