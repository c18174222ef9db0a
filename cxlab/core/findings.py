"""Findings: what a result says, in sentences whose every number is a recorded cell."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from html import escape
from typing import Any

import pandas as pd

from cxlab.core.messages import unknown
from cxlab.core.phrases import joined

#: Kinds of finding, and how many of each a report may have; an answer is there once per
#: headline outcome.
MOST = {"answer": 3, "so what": 1, "finding": 5, "caution": 2}
#: How sure a finding is. *Measured*: nothing is compared, so there is an interval and no word.
CERTAINTIES = ("clear", "likely", "not settled", "measured")
#: What a change or difference means for the firm.
DIRECTIONS = ("", "good", "bad")
#: Stands under a list of findings, where one of them bears such a word.
HOW_SURE = (
    "Clear: shown at the 95 % level, allowing for how many were compared. Likely: this way in "
    "80–95 % of resamples, not enough to act on alone. Not settled: not shown; it may still be there."
)


@dataclass(frozen=True)
class Cells:
    """Where numbers of a sentence stand: a recorded table, one of its rows, columns of it.

    Attributes
    ----------
    table : str
        Name that the table is recorded under.
    row : mapping of str to str
        Columns and the values that find the row.
    columns : tuple of str
        Columns whose cells the sentence rounds.
    """

    table: str
    row: Mapping[str, Any]
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a result says.

    Attributes
    ----------
    kind : {"answer", "so what", "finding", "caution"}
    certainty : {"clear", "likely", "not settled", "measured"}
    text : str
        The sentence.
    detail : str
        A line in small print: n, what was compared.
    subject : str
        What it is about, in words.
    estimate, ci_low, ci_high : float
        The number and the interval that decides the certainty, in ``unit``.
    unit : str
    n : int or None
        Answers behind it.
    rule : str
        Which rule of the report gave it, such as ``targets-missed``.
    reference, margin : float
        What it was compared with, and the smallest difference that matters.
    p_adjusted : float
        Adjusted in its family.
    family : str
        What was compared with it, in words; ``family_size`` how many.
    family_size : int or None
    share : float
        Of resamples that agree.
    direction : {"", "good", "bad"}
    since : str
        The period since which it holds.
    cells : tuple of Cells
        Every number of ``text`` is the rounding of one of them.
    """

    text: str
    kind: str = "finding"
    certainty: str = "measured"
    detail: str = ""
    subject: str = ""
    estimate: float = math.nan
    ci_low: float = math.nan
    ci_high: float = math.nan
    unit: str = ""
    n: int | None = None
    rule: str = ""
    reference: float = math.nan
    margin: float = math.nan
    p_adjusted: float = math.nan
    family: str = ""
    family_size: int | None = None
    share: float = math.nan
    direction: str = ""
    since: str = ""
    cells: tuple[Cells, ...] = ()

    def __post_init__(self) -> None:
        for name, allowed in (
            ("kind", MOST), ("certainty", CERTAINTIES), ("direction", DIRECTIONS),
        ):  # fmt: skip
            if getattr(self, name) not in allowed:
                raise ValueError(unknown(name, getattr(self, name), allowed))
        if not self.text.strip():
            raise ValueError("`text` must be a sentence; got none.")

    def meaning(self, words: str) -> Finding:
        """The same, saying what one of its words means."""
        return replace(self, text=f"{self.text} ({words})") if words else self

    def explored(self) -> Finding:
        """The same of a part that was not planned: at most likely."""
        if self.certainty != "clear":
            return self
        detail = joined(self.detail, "explored, not planned")
        return replace(self, certainty="likely", detail=detail)


def figures(
    row: Mapping[str, Any], columns: tuple[str, str, str] = ("estimate", "ci_low", "ci_high")
) -> dict[str, Any]:
    """Fields of a `Finding` that a table's row has: its number with the interval, n, unit, p.

    >>> row = {"estimate": 4.0, "decided_low": 1.0, "decided_high": 7.0, "n": 80, "unit": "%"}
    >>> figures(row, ("estimate", "decided_low", "decided_high"))
    {'estimate': 4.0, 'ci_low': 1.0, 'ci_high': 7.0, 'n': 80, 'unit': '%'}
    """
    names = zip(("estimate", "ci_low", "ci_high"), columns, strict=True)
    found: dict[str, Any] = {name: float(row[column]) for name, column in names}
    if "n" in row and not pd.isna(row["n"]):
        found["n"] = int(row["n"])
    if "unit" in row:
        found["unit"] = row["unit"]
    if "p_adjusted" in row:
        found["p_adjusted"] = float(row["p_adjusted"])
    return found


def direction_of(changes: Iterable[float]) -> str:
    """What changes mean where all go one way; "" where they don't.

    >>> direction_of([3.0, 0.4]), direction_of([-3.0]), direction_of([3.0, -0.4])
    ('good', 'bad', '')
    """
    rose = {change > 0 for change in changes}
    if len(rose) != 1:
        return ""
    return "good" if rose.pop() else "bad"


#: Columns of a table of findings.
COLUMNS = (
    "order", *(field.name for field in fields(Finding) if field.name != "cells"),
    "table", "row", "columns",
)  # fmt: skip


@dataclass(frozen=True)
class Findings:
    """What a report says, the answer first; without an answer, or too long to be read, it is refused."""

    rows: tuple[Finding, ...]

    def __post_init__(self) -> None:
        counts = {kind: sum(row.kind == kind for row in self.rows) for kind in MOST}
        if not counts["answer"]:
            raise ValueError("`rows` must hold an answer; got none.")
        for kind, most in MOST.items():
            if counts[kind] > most:
                raise ValueError(
                    f"`rows` must hold at most {most} of '{kind}'; got {counts[kind]}."
                )
        kinds = list(MOST)
        object.__setattr__(
            self, "rows", tuple(sorted(self.rows, key=lambda row: kinds.index(row.kind)))
        )

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.rows)

    @property
    def how_sure(self) -> str:
        """What the words of certainty mean; empty where none is used."""
        return HOW_SURE if any(row.certainty != "measured" for row in self.rows) else ""

    def of_kind(self, kind: str) -> list[Finding]:
        """Findings of one kind, in order."""
        return [row for row in self.rows if row.kind == kind]

    def about(self, group: str) -> Findings:
        """The same with the answer after the name of the group that it is about."""
        answer = replace(self.answer, text=f"{group}: {self.answer.text}")
        return Findings((answer, *self.rows[1:]))

    def explored(self) -> Findings:
        """The same of a part that was not planned: nothing is more than likely."""
        return Findings(tuple(row.explored() for row in self.rows))

    @property
    def answer(self) -> Finding:
        """The first answer."""
        return self.rows[0]

    @property
    def table(self) -> pd.DataFrame:
        """One row per finding, with `COLUMNS`."""
        rows = []
        for order, finding in enumerate(self.rows, start=1):
            row = {"order": order, **{name: getattr(finding, name) for name in COLUMNS[1:-3]}}
            row["table"] = "; ".join(cells.table for cells in finding.cells)
            row["row"] = "; ".join(
                json.dumps(dict(cells.row), default=str) for cells in finding.cells
            )
            row["columns"] = "; ".join(", ".join(cells.columns) for cells in finding.cells)
            rows.append(row)
        table = pd.DataFrame(rows, columns=list(COLUMNS))
        return table.astype({"n": "Int64", "family_size": "Int64"})

    def as_records(self) -> list[dict[str, Any]]:
        """For JSON: a mapping per finding, without numbers that are not known."""
        records = []
        for finding in self.rows:
            record = asdict(finding)
            records.append({key: value for key, value in record.items() if _is_known(value)})
        return json.loads(json.dumps(records, default=_plain))

    @classmethod
    def from_records(cls, records: Iterable[Mapping[str, Any]]) -> Findings:
        """The findings that `as_records` wrote."""
        return cls(
            tuple(
                Finding(**{**record, "cells": tuple(_cells(record.get("cells", ())))})
                for record in records
            )
        )

    def __str__(self) -> str:
        return "\n".join(_line(finding) for finding in self.rows)

    def _repr_html_(self) -> str:
        return "".join(f"<p>{escape(_line(finding))}</p>" for finding in self.rows)


def _line(finding: Finding) -> str:
    sure = "" if finding.certainty == "measured" else f" [{finding.certainty}]"
    detail = f" ({finding.detail})" if finding.detail else ""
    return f"{finding.text}{sure}{detail}"


def _cells(records: Iterable[Mapping[str, Any]]) -> Iterator[Cells]:
    for record in records:
        yield Cells(record["table"], record["row"], tuple(record["columns"]))


def _is_known(value: Any) -> bool:
    if isinstance(value, str | tuple):
        return len(value) > 0
    # numbers of tables are NumPy's, whose comparison with a tuple has no truth
    return value is not None and not (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else str(value)
