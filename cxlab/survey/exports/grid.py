"""A file as a grid of texts, header rows and all, before any platform is recognised."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.survey.definition import normal_header
from cxlab.survey.exports.checks import check_dates, check_merged
from cxlab.survey.exports.export import Question
from cxlab.survey.files import without_blank_rows


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a text file or of a sheet.

    Attributes
    ----------
    path : Path
    cells : DataFrame
        Text, columns 0, 1, …; ``""`` where blank; no wholly blank rows at the end.
    encoding : str
    separator : str or None
    sheet : str or None
    workbook : bool
        Whether it is a sheet of a workbook.
    dates : mapping of int to sequence of int
        Column to the rows that hold an Excel date.
    merged : mapping of str to int
        Merged cells that hold something, as ``Answers!E2:E4``, each with its last row, from 1.
    """

    path: Path
    cells: pd.DataFrame
    encoding: str = "utf-8"
    separator: str | None = None
    sheet: str | None = None
    workbook: bool = False
    dates: Mapping[int, Sequence[int]] = field(default_factory=dict)
    merged: Mapping[str, int] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """File, and sheet where it has one, for messages."""
        return f"{self.path.name}, sheet '{self.sheet}'" if self.sheet else self.path.name

    def row(self, number: int) -> list[str]:
        """One row, trimmed; empty beyond the last."""
        if number >= len(self.cells):
            return []
        return [visible_text(text) for text in self.cells.iloc[number]]


@dataclass(frozen=True, eq=False)
class Content:
    """What a platform's layout makes of a grid.

    Attributes
    ----------
    answers : DataFrame
    questions : sequence of Question
        One per column.
    left_out : mapping of str to int
    notes : sequence of str
    leave_out : tuple of str or None
    """

    answers: pd.DataFrame
    questions: Sequence[Question]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()
    leave_out: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Layout:
    """How a platform lays out its rows and columns.

    Attributes
    ----------
    recognise : callable
        Whether a grid is the platform's.
    read : callable
        The grid and the kinds of responses to leave out → `Content`.
    """

    recognise: Callable[[Grid], bool]
    read: Callable[[Grid, tuple[str, ...]], Content]


def rows_below(grid: Grid, header_rows: int, names: Mapping[int, str]) -> pd.DataFrame:
    """Answers below the header rows, wholly blank ones dropped.

    Parameters
    ----------
    grid : Grid
    header_rows : int
    names : mapping of int to str
        Position of each column that is wanted to its name.

    Returns
    -------
    DataFrame
        The index is the row in the grid.

    Raises
    ------
    ValueError
        When there are none, when they stand in merged cells, or Excel has made dates of
        scores.
    """
    check_merged([cells for cells, last in grid.merged.items() if last > header_rows], grid.name)
    answers = grid.cells.iloc[header_rows:, list(names)]
    answers.columns = pd.Index(list(names.values()))
    answers = without_blank_rows(answers)
    if answers.empty:
        raise ValueError(
            f"{grid.name} must hold at least one answer below its header; got none. Export it "
            "again once there are answers."
        )
    for place, name in names.items():
        check_dates(answers[name], set(grid.dates.get(place, ())), grid.name, name)
    return answers


def filled_columns(grid: Grid, header_rows: int) -> list[int]:
    """Positions of the columns that have a header or an answer."""
    headers = (grid.cells.iloc[:header_rows] != "").any()
    answers = (grid.cells.iloc[header_rows:] != "").any()
    return [place for place in range(grid.cells.shape[1]) if headers[place] or answers[place]]


def unique_names(names: Sequence[str]) -> list[str]:
    """Names told apart by a number where two are the same, capitals and blanks apart.

    Examples
    --------
    >>> unique_names(["Q1", "q1 ", "", "Q1"])
    ['Q1', 'q1 (2)', 'column 3', 'Q1 (3)']
    """
    unique: list[str] = []
    taken: set[str] = set()
    for place, name in enumerate(names, start=1):
        trimmed = visible_text(name) or f"column {place}"
        number, chosen = 1, trimmed
        while normal_header(chosen) in taken:
            number += 1
            chosen = f"{trimmed} ({number})"
        taken.add(normal_header(chosen))
        unique.append(chosen)
    return unique
