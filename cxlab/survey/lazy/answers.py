"""Raw tables that stay where they are → checked, cleaned answers that stay there too.

Two queries look at the rows of a part: one counts what is not as the study declares, the
other checks the ids. Only where something is spelt oddly are its distinct spellings fetched.
What comes back is a lazy frame of expressions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw

from cxlab.core.engines import collect, fenced
from cxlab.core.messages import unknown
from cxlab.survey.answers import no_periods
from cxlab.survey.definition import RATING_ROLES, Column, Table
from cxlab.survey.headers import check_not_asked, find_header, match_headers
from cxlab.survey.lazy import codes, dates, plain
from cxlab.survey.lazy.fields import Field
from cxlab.survey.lazy.ids import check_ids
from cxlab.survey.lazy.sources import Raw, check_rows, line_looks, read_by_pandas
from cxlab.survey.lazy.strata import order_segments, stratum_clusters, tell_periods_apart
from cxlab.survey.lazy.text import count
from cxlab.survey.lazy.where import only_where

#: Type of a column that a period did not ask for; text otherwise.
_NO_VALUE: dict[str, Any] = {"number": nw.Float64, "date": dates.STAMP}
#: More periods than this are no periods.
MOST_PERIODS = 10_000


@dataclass(frozen=True)
class Part:
    """The cleaned answers of one period's file, and how many there are."""

    rows: nw.LazyFrame
    n: int


def lazy_answers(
    table: Table,
    raws: Mapping[str, Raw],
    *,
    wanted: Sequence[str] | None,
    design: bool,
    where: Mapping[str, Any] | None,
) -> tuple[nw.LazyFrame, int]:
    """Cleaned answers as a lazy frame of the raw tables' engine, and how many there are.

    Parameters
    ----------
    table : Table
        What the study declares.
    raws : mapping of str to Raw
        Period to its raw table; ``""`` for a table of all periods.
    wanted : sequence of str, optional
        Periods to keep of a table of all periods.
    design : bool
        Whether to add ``stratum_clusters``.
    where : mapping, optional
        As for `Study.read`.

    Returns
    -------
    rows : narwhals.LazyFrame
        With the columns that `Study.read` gives.
    n : int
        Rows before ``where``.
    """
    parts = [_part(table, period, raw, wanted) for period, raw in raws.items()]
    rows = nw.concat([part.rows for part in parts], how="vertical") if parts[1:] else parts[0].rows
    n = sum(part.n for part in parts)
    periods = None if "" in raws and table.only("period") else len(raws)
    rows = tell_periods_apart(rows, table, periods)
    if design:
        rows = stratum_clusters(rows, table, n)
    rows = order_segments(rows, table)
    if where:
        rows = only_where(rows, where, table)
    return fenced(rows), n


def periods_in(table: Table, raw: Raw) -> list[str]:
    """Periods that the period column of a raw table holds, in order."""
    column = table.only("period")
    if column is None:
        return []
    _, period = _period_column(column, raw)
    return _distinct_periods(raw, period)


def _part(table: Table, period: str, raw: Raw, wanted: Sequence[str] | None) -> Part:
    if wanted is not None and not period:
        raw = _only_periods(table, raw, wanted)
    headers = match_headers(list(raw.names), table, period, raw.name)
    schema = raw.rows.collect_schema()
    fields = {}
    for column in table.columns.values():
        header = headers[column.name]
        if header is None:
            check_not_asked(column, raw.name)
            continue
        cell = raw.names[header]
        place = f"{raw.name}, column '{header}'"
        fields[column.name] = Field(column, cell, schema[cell], place)
    found, raw = _look(raw, fields)
    cleaned: dict[str, nw.Expr] = {}
    if table.only("period") is None:
        cleaned["period"] = nw.lit(period or "all")
    for name, column in table.columns.items():
        if name in fields:
            cleaned |= _clean(fields[name], found[name], raw.rows)
        else:
            cleaned |= _not_asked(column)
    cleaned = {"period": cleaned.pop("period"), **cleaned}
    rows = raw.rows.select(**cleaned)
    _check_ids(table, raw, rows, fields, found["rows"]["n"])
    return Part(rows, found["rows"]["n"])


def _check_ids(
    table: Table, raw: Raw, rows: nw.LazyFrame, fields: Mapping[str, Field], n: int
) -> None:
    column = table.only("id")
    if column is None:
        return
    field = fields[column.name]
    if field.dtype.is_integer() and not column.missing:
        # as the numbers they are: text of them takes three times the memory
        check_ids(raw.rows.select(id=field.cells), column.name, raw.name, n)
    else:
        check_ids(rows.select(id=nw.col(column.name)), column.name, raw.name, n)


def _look(raw: Raw, fields: Mapping[str, Field]) -> tuple[dict[str, dict[str, int]], Raw]:
    """Count everything that is asked of the rows, in one query."""
    asked = {name: _looks(field) for name, field in fields.items()}
    counts = [
        count(condition).alias(f"{name}|{kind}")
        for name, looks in asked.items()
        for kind, condition in looks.items()
    ]
    counts.append(nw.len().alias("rows|n"))
    result, raw = _counted(raw, counts)
    if not result["rows"]["n"]:
        raise ValueError(f"{raw.name} must hold at least one answer below its header; got none.")
    return {name: result.get(name, {}) for name in [*fields, "rows"]}, raw


def _counted(raw: Raw, counts: list[nw.Expr]) -> tuple[dict[str, dict[str, int]], Raw]:
    """The counts, and the rows that they are of."""
    lines = [count(look).alias(f"rows|{kind}") for kind, look in line_looks(raw).items()]
    try:
        found = _fetched(raw, [*counts, *lines])
    except Exception:
        if not raw.texts:
            raise
        return _counted(read_by_pandas(raw), counts)
    checked = check_rows(raw, found["rows"])
    return (found, raw) if checked is raw else _counted(checked, counts)


def _fetched(raw: Raw, counts: list[nw.Expr]) -> dict[str, dict[str, int]]:
    row = collect(raw.rows.select(*counts)).iloc[0].fillna(0)
    found: dict[str, dict[str, int]] = {}
    for key, value in row.items():
        name, _, kind = str(key).rpartition("|")
        found.setdefault(name, {})[kind] = int(value)
    return found


def _coded(column: Column) -> bool:
    return column.role in RATING_ROLES or (column.role == "segment" and bool(column.values))


def _looks(field: Field) -> dict[str, nw.Expr]:
    _check_type(field)
    if _coded(field.column):
        return codes.looks(field)
    special = {"number": plain.number_looks, "weight": plain.weight_looks, "date": dates.looks}
    return special.get(field.column.role, plain.text_looks)(field)


def _check_type(field: Field) -> None:
    """Refuse types that no text of a file could stand for."""
    dtype, role = field.dtype, field.column.role
    plain_type = dtype.is_numeric() or isinstance(
        dtype, nw.String | nw.Boolean | nw.Categorical | nw.Enum | nw.Date
    )
    if role == "date":
        known_type = isinstance(dtype, nw.String | nw.Date | nw.Datetime) or dtype.is_integer()
    else:
        known_type = plain_type
    if not known_type:
        wanted = "text, dates or times" if role == "date" else "text, numbers, flags or days"
        raise ValueError(
            f"{field.place}: the column of role '{role}' must hold {wanted}; got {dtype}. "
            "Store it otherwise, or read with engine='pandas'."
        )


def _clean(field: Field, found: Mapping[str, int], rows: nw.LazyFrame) -> dict[str, nw.Expr]:
    column = field.column
    if column.role in RATING_ROLES:
        return codes.clean_rating(field, found, rows)
    if _coded(column):
        return codes.clean_segment(field, found, rows)
    special = {
        "number": plain.clean_number,
        "weight": plain.clean_weight,
        "date": dates.clean_date,
    }
    name = "period" if column.role == "period" else column.name
    return {name: special.get(column.role, plain.clean_text)(field, found, rows)}


def _not_asked(column: Column) -> dict[str, nw.Expr]:
    if column.role in RATING_ROLES:
        return {
            column.name: nw.lit(None).cast(codes.SCORE),
            f"{column.name}_missing": nw.lit("not asked"),
        }
    if column.role == "weight":
        return {column.name: nw.lit(1.0)}
    return {column.name: nw.lit(None).cast(_NO_VALUE.get(column.role, nw.String))}


def _period_column(column: Column, raw: Raw) -> tuple[Raw, nw.Expr]:
    header = find_header(list(raw.names), column, "", raw.name)
    cell = raw.names[header]
    field = Field(column, cell, raw.rows.collect_schema()[cell], f"{raw.name}, column '{header}'")
    found, raw = _look(raw, {"period": field})
    period = plain.clean_text(field, found["period"], raw.rows)
    without = _fetched(raw, [count(period.is_null()).alias("rows|without")])["rows"]["without"]
    if without:
        raise ValueError(
            f"{raw.name}: every row must have a period in '{header}'; {without:,} have none. "
            "Fill them in: an answer without a period would belong to no report."
        )
    return raw, period


def _distinct_periods(raw: Raw, period: nw.Expr) -> list[str]:
    there = collect(raw.rows.select(value=period).unique().head(MOST_PERIODS + 1))["value"]
    if len(there) > MOST_PERIODS:
        raise ValueError(
            f"{raw.name}: periods must be {MOST_PERIODS:,} at most; got more. Is the column "
            "that has role = 'period' a date? Declare it as a date."
        )
    return sorted(map(str, there))


def _only_periods(table: Table, raw: Raw, wanted: Sequence[str]) -> Raw:
    column = table.only("period")
    if column is None:
        raise ValueError(no_periods(table, wanted))
    raw, period = _period_column(column, raw)
    there = _distinct_periods(raw, period)
    for name in wanted:
        if name not in there:
            raise ValueError(unknown("period", name, there))
    return replace(raw, rows=raw.rows.filter(period.is_in(list(wanted))))
