"""Raw cells of one table, chunk by chunk → clean answers, and what was found in them.

The only code that cleans: in memory, into the store of clean copies and on Spark's workers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cxlab.core.messages import got, nearest, one_of, unknown
from cxlab.survey import cleaning
from cxlab.survey.cells import distinct_texts
from cxlab.survey.definition import DATE_ROLES, RATING_ROLES, Column, Table, normal_header

#: More periods than this are no periods.
MOST_PERIODS = 10_000


@dataclass
class Problem:
    """Cells of one column that cannot be what the study says."""

    place: str  # file and column
    reason: str  # what is allowed, ``|``, and what to do
    first: str  # the first such cell
    rows: dict[str, int]  # period to its rows that hold such a cell


@dataclass
class Findings:
    """What was found in a raw table's rows while they were cleaned."""

    name: str  # file or source, for messages
    headers: list[str] = field(default_factory=list)
    there: list[str] = field(default_factory=list)  # periods
    rows: dict[str, int] = field(default_factory=dict)  # period to its rows that were cleaned
    problems: list[Problem] = field(default_factory=list)  # in the order of the columns
    #: Date column to its times' zones; ``""`` for none.
    zones: dict[str, list[str]] = field(default_factory=dict)
    #: Periods in which some weight is more than 0.
    weighty: list[str] = field(default_factory=list)
    without_id: dict[str, int] = field(default_factory=dict)  # period to its rows that lack one
    without_period: int = 0

    @classmethod
    def of(cls, record: str | bytes) -> Findings:
        """As `as_record` gave them."""
        return msgspec.json.decode(record, type=cls)

    def as_record(self) -> bytes:
        """As JSON."""
        return msgspec.json.encode(self)

    def add(self, other: Findings) -> None:
        """What was found in other rows of the same table."""
        self.headers = self.headers or other.headers
        self.rows = dict(Counter(self.rows) + Counter(other.rows))
        self.without_id = dict(Counter(self.without_id) + Counter(other.without_id))
        self.without_period += other.without_period
        self.weighty = sorted({*self.weighty, *other.weighty})
        self.there = sorted({*self.there, *other.there})
        for column, zones in other.zones.items():
            self.zones[column] = sorted({*self.zones.get(column, []), *zones})
        for problem in other.problems:
            self.add_problem(problem)

    def add_problem(self, problem: Problem) -> None:
        """A problem, counted with others of its column."""
        same = [one for one in self.problems if one.place == problem.place]
        if same:
            same[0].rows = dict(Counter(same[0].rows) + Counter(problem.rows))
        else:
            self.problems.append(problem)

    def check_periods(self, table: Table) -> None:
        """Refuse rows without a period, and what is no column of periods.

        Who reads every period at once needs none.
        """
        if self.without_period:
            raise ValueError(
                f"{self.name}: every row must have a period in '{self._header(table, 'period')}'; "
                f"{self.without_period:,} have none. Fill them in: an answer without a period "
                "would belong to no report."
            )
        if len(self.there) > MOST_PERIODS:
            raise ValueError(
                f"{self.name}: periods must be {MOST_PERIODS:,} at most; got more. Is the column "
                "that has role = 'period' a date? Declare it as a date."
            )

    def check(self, table: Table, wanted: Sequence[str] | None) -> None:
        """Refuse a table whose rows of the wanted periods cannot be used."""
        periods = list(self.rows) if wanted is None else wanted
        for problem in self._in_order(table):
            n = sum(problem.rows.get(period, 0) for period in periods)
            if n:
                allowed, _, advice = problem.reason.partition("|")
                shown = got([problem.first], n)
                raise ValueError(f"{problem.place}: {allowed}; got {shown}. {advice}")
        self._check_weights(table, periods)
        self._check_ids(table, periods)

    def place(self, table: Table, column: str) -> str:
        """Where a declared column's cells stand, for messages."""
        return place_of(self.name, self._header(table, column))

    def _in_order(self, table: Table) -> list[Problem]:
        """Problems as the study declares their columns, whichever chunk came first."""
        places = [self.place(table, name) for name in table.columns]
        order = {place: number for number, place in enumerate(places)}
        return sorted(self.problems, key=lambda one: order.get(one.place, -1))

    def _header(self, table: Table, column: str) -> str:
        chosen = table.columns.get(column) or table.only(column)
        period = "" if table.only("period") else next(iter(self.rows), "")
        if chosen is None or not chosen.header(period):
            return column
        return find_header(self.headers, chosen, period, self.name)

    def _check_weights(self, table: Table, periods: Iterable[str]) -> None:
        weight = table.only("weight")
        if weight is not None and not set(periods) & set(self.weighty):
            raise ValueError(f"{self.place(table, weight.name)}: {cleaning.ALL_ZERO}")

    def _check_ids(self, table: Table, periods: Iterable[str]) -> None:
        without = sum(self.without_id.get(period, 0) for period in periods)
        column = table.only("id")
        if column is not None and without:
            raise ValueError(
                f"{self.name}: every row must have an id in '{column.name}'; {without:,} "
                "have none. Fill them in, or declare the column as text."
            )


def repeated_ids(file: str, column: str, first: str, more: int) -> ValueError:
    """What to raise for ids that stand more than once."""
    return ValueError(
        f"{file}: ids in '{column}' must be unique; got {got([first], more)} more than "
        "once. Remove the repeated answers, or declare another column as the id."
    )


class Cleaner:
    """Cleans the chunks of one raw table and keeps what it finds in them."""

    def __init__(self, table: Table, period: str, name: str) -> None:
        self.table, self.period = table, period
        self.findings = Findings(name)
        self._headers: dict[str, str | None] = {}
        self._known: dict[str, dict[str, Any]] = {name: {} for name in table.columns}

    def clean(self, chunk: pa.Table, wanted: Sequence[str] | None = None) -> pa.Table:
        """Clean answers of a chunk of raw cells; of the wanted periods alone, where a column says them.

        Cells that cannot be what the study says are null, and a problem among the findings.
        """
        if not self._headers:
            self._match(chunk)
        periods = self.periods(chunk)
        if wanted is not None and self.table.only("period") is not None:
            kept = pc.is_in(periods, pa.array(list(wanted), pa.string()))
            chunk, periods = chunk.filter(kept), periods.filter(kept)
        cleaned = {"period": periods}
        for column in self.table.columns.values():
            if column.role != "period":
                cleaned |= self._clean_column(chunk, column, periods)
        self._count(cleaned)
        return pa.table(cleaned)

    def periods(self, chunk: pa.Table) -> pa.Array:
        """Period of each row, one spelling each."""
        column = self.table.only("period")
        if column is None:
            self.findings.there = [self.period or "all"]
            return pa.repeat(pa.scalar(self.period or "all"), len(chunk))
        header = find_header(chunk.column_names, column, "", self.findings.name)
        self.findings.headers = self.findings.headers or list(chunk.column_names)
        numbers, texts = distinct_texts(chunk[header])
        values = cleaning.resolve_texts(texts, column, self._known[column.name]).values
        periods = values.take(pa.array(numbers))
        self.findings.without_period += periods.null_count
        self.findings.there = sorted({*self.findings.there, *_counts(periods)} - {""})
        return periods

    def _match(self, chunk: pa.Table) -> None:
        name = self.findings.name
        self.findings.headers = list(chunk.column_names)
        self._headers = match_headers(chunk.column_names, self.table, self.period, name)
        for column in self.table.columns.values():
            header = self._headers[column.name]
            if header is None:
                check_not_asked(column, name)
            else:
                check_type(chunk.schema.field(header).type, column, place_of(name, header))

    def _clean_column(
        self, chunk: pa.Table, column: Column, periods: pa.Array
    ) -> dict[str, pa.Array]:
        header = self._headers[column.name]
        if header is None:
            return _not_asked(column, len(chunk))
        numbers, texts = distinct_texts(chunk[header])
        place = place_of(self.findings.name, header)
        try:
            found = cleaning.resolve_texts(texts, column, self._known[column.name])
        except cleaning.MixedZonesError:
            self.findings.zones.setdefault(column.name, []).append("several")
            return _not_asked(column, len(chunk))
        if found.refused:
            self._refuse(found.refused, numbers, texts, periods, place)
        if column.role in DATE_ROLES and found.values.null_count < len(found.values):
            zones = {*self.findings.zones.get(column.name, []), found.values.type.tz or ""}
            if pa.types.is_timestamp(chunk.schema.field(header).type) and zones != {""}:
                zones = zones if len(zones) == 1 else {"UTC"}
            self.findings.zones[column.name] = sorted(zones)
        rows = pa.array(numbers)
        values = _spread(found.values, rows)
        if found.reasons is None:
            return {column.name: values}
        reasons = _spread(pa.array(found.reasons, pa.string()), rows)
        return {column.name: values, f"{column.name}_missing": reasons}

    def _refuse(
        self, refused: dict[int, str], numbers: Any, texts: pa.Array, periods: pa.Array, place: str
    ) -> None:
        rows = np.flatnonzero(np.isin(numbers, list(refused)))
        first = int(numbers[rows[0]])
        counts = _counts(periods.take(pa.array(rows)))
        problem = Problem(place, refused[first], texts[first].as_py(), counts)
        self.findings.add_problem(problem)

    def _count(self, cleaned: dict[str, Any]) -> None:
        """Rows, weights and ids of each period."""
        found = Findings(self.findings.name)
        periods = cleaned["period"]
        found.rows = _counts(periods)
        weight, own = self.table.only("weight"), self.table.only("id")
        if weight is not None:
            positive = pc.fill_null(pc.greater(cleaned[weight.name], 0), False)
            found.weighty = sorted(_counts(periods.filter(positive)))
        if own is not None and cleaned[own.name].null_count:
            found.without_id = _counts(periods.filter(pc.is_null(cleaned[own.name])))
        self.findings.add(found)


def _counts(periods: pa.Array) -> dict[str, int]:
    """Rows of each period; ``""`` for none."""
    return {one["values"] or "": one["counts"] for one in pc.value_counts(periods).to_pylist()}


def _spread(values: pa.Array, rows: pa.Array) -> pa.Array:
    """Each row's value; of text, in the form that is fastest to write."""
    if not pa.types.is_string(values.type):
        return values.take(rows)
    return values.dictionary_encode().take(rows)


def _not_asked(column: Column, rows: int) -> dict[str, pa.Array]:
    kind = cleaning.VALUE_TYPES.get(column.role, pa.string())
    if column.role == "weight":
        return {column.name: pa.repeat(pa.scalar(1.0), rows)}
    nothing = {column.name: pa.nulls(rows, kind)}
    if column.role in RATING_ROLES:
        nothing[f"{column.name}_missing"] = pa.repeat(pa.scalar("not asked"), rows)
    return nothing


def check_wanted(table: Table, there: Iterable[str], wanted: Sequence[str]) -> None:
    """Refuse periods that a table of all periods does not hold."""
    if table.only("period") is None:
        raise ValueError(
            f"`period` must be left out, because table '{table.name}' has no periods; "
            f"got '{wanted[0]}'. Declare a column with role = 'period', or `files`."
        )
    for period in wanted:
        if period not in there:
            raise ValueError(unknown("period", period, sorted(there)))


def place_of(name: str, header: str | None) -> str:
    """Where a cell stands, for messages."""
    return f"{name}, column '{header}'"


def check_type(kind: pa.DataType, column: Column, place: str) -> None:
    """Refuse types that no text of a file could stand for."""
    binary = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if binary or pa.types.is_nested(kind) or pa.types.is_fixed_size_binary(kind):
        raise ValueError(
            f"{place}: the column of role '{column.role}' must hold text, numbers, flags or days; "
            f"got {kind}. Store it otherwise."
        )


def match_headers(
    headers: Sequence[str], table: Table, period: str, file: str
) -> dict[str, str | None]:
    """Declared column to the header that holds it; None where it was not asked."""
    found = {
        column.name: find_header(headers, column, period, file) if column.header(period) else None
        for column in table.columns.values()
    }
    used = set(found.values())
    stray = [header for header in headers if header not in used and not table.ignores(header)]
    if stray:
        raise ValueError(
            f"{file}: every column must be declared in table '{table.name}' or listed in its "
            f"`ignore`; got {got(stray)}. Declare [tables.{table.name}.columns.NAME] with "
            "its role, or ignore it."
        )
    return found


def find_header(headers: Sequence[str], column: Column, period: str, file: str) -> str:
    """The header of a declared column, matched exactly or else by `normal_header`."""
    wanted = column.header(period) or ""
    if wanted in headers:
        return wanted
    alike = [header for header in headers if normal_header(header) == normal_header(wanted)]
    if len(alike) > 1:
        raise ValueError(
            f"{file} must have one column '{wanted}' ({column.name}); got {one_of(alike)}. "
            "Write the header in `column` exactly as it stands in the file."
        )
    if alike:
        return alike[0]
    near = nearest(wanted, headers)
    raise ValueError(
        f"{file} must have the column '{wanted}' ({column.name}); it isn't there. "
        + (f"Did you mean '{near}'? " if near else "")
        + "If it was not asked in that period, give `column` per period and leave this one out."
    )


def check_not_asked(column: Column, file: str) -> None:
    """Refuse a table that lacks its strata or ids.

    A wave without weights counts every row once, one without clusters every row as its own
    (see `Table.design_notes`); but nothing says which stratum a row without one is of.
    """
    if column.role in ("strata", "id"):
        raise ValueError(
            f"{file} must have the {column.role} column '{column.name}'; the study gives it no "
            "header for this period. Declare one, or study the period on its own."
        )
