"""One declared column of a raw table, and what is asked of its rows before it is cleaned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import narwhals as nw

from cxlab.core.engines import collect
from cxlab.core.messages import got
from cxlab.survey.cleaning import RefusedError, Resolved
from cxlab.survey.definition import Column
from cxlab.survey.files import cell_text

#: Distinct texts of one column that are fetched to be resolved, at most.
MOST_DISTINCT = 10_000

Resolver = Callable[[str], Resolved]


@dataclass(frozen=True)
class Field:
    """A declared column and where its raw cells are.

    Attributes
    ----------
    column : Column
        What the study says of it.
    raw : str
        Its name in the raw rows.
    dtype : narwhals.DType
        Its type there: text from a CSV file, anything from Parquet or a database.
    place : str
        File and header, for messages.
    """

    column: Column
    raw: str
    dtype: nw.dtypes.DType
    place: str

    @property
    def cells(self) -> nw.Expr:
        """The raw cells."""
        return nw.col(self.raw)

    @property
    def numeric(self) -> bool:
        """Whether the cells are numbers already."""
        return self.dtype.is_numeric()


def resolve_rows(
    field: Field, rows: nw.LazyFrame, condition: nw.Expr, value: nw.Expr, resolver: Resolver
) -> dict[str, Resolved]:
    """Distinct texts of the rows that meet a condition, each resolved once.

    Raises
    ------
    ValueError
        For a text that the resolver refuses, naming one and how many more rows.
    """
    texts = rows.filter(condition).select(value=value).group_by("value").agg(nw.len().alias("n"))
    found = collect(texts.head(MOST_DISTINCT + 1))
    resolved: dict[str, Resolved] = {}
    refused: dict[str, tuple[str, int]] = {}
    for raw, count in zip(found["value"], found["n"], strict=True):
        text = cell_text(raw)
        try:
            resolved[text] = resolver(text)
        except RefusedError as error:
            refused[text] = (str(error), int(count))
    if refused:
        raise refusal(field, refused)
    if len(found) > MOST_DISTINCT:
        raise ValueError(
            f"{field.place}: at most {MOST_DISTINCT:,} different spellings can be read lazily; "
            "got more. Write the codes alike, or read with engine='pandas'."
        )
    return resolved


def refuse_rows(
    field: Field, rows: nw.LazyFrame, condition: nw.Expr, total: int, resolver: Resolver
) -> ValueError:
    """What to raise for rows whose cells cannot be used: one cell and how many more."""
    value = collect(rows.filter(condition).select(value=field.cells).head(1))["value"]
    text = cell_text(value.iloc[0])
    try:
        resolver(text)
    except RefusedError as error:
        return refusal(field, {text: (str(error), total)})
    return ValueError(
        f"{field.place}: values must be plain numbers to be read lazily; got {got([text], total)}. "
        "Write them plainly, or read with engine='pandas'."
    )


def refusal(field: Field, refused: Mapping[str, tuple[str, int]]) -> ValueError:
    """The error for refused texts, each with its reason and its rows."""
    first = min(refused)
    allowed, _, advice = refused[first][0].partition("|")
    total = sum(count for _, count in refused.values())
    return ValueError(f"{field.place}: {allowed}; got {got([first], total)}. {advice}")
