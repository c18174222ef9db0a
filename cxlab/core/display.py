"""How a table wants to be shown: its caption, its columns in words, its order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

import pandas as pd

from cxlab.core.metric import Metric

#: Where a table keeps its `Display`; pandas carries it through selections and copies.
ATTRIBUTE = "display"


@dataclass(frozen=True, kw_only=True)
class Display:
    """How a table is shown; what is recorded of it stays whole.

    Attributes
    ----------
    caption : str
        What the table shows, as a title.
    about : str
        Of whom, how weighted: a second line, to which level and constant columns are added.
    columns : tuple of str
        Columns to show, at most eight; a column brings its interval along. Empty: the
        columns that `cxlab.core.headers` does not fold away. All numbers are below anyway.
    sort : tuple of str
        Columns to sort by; a hyphen before the name puts the largest first. Empty: as it is.
    top : int
        Most rows to show.
    highlight : tuple of str
        Names of rows, or one column of yes and no; the first three are marked.
    bar : tuple of str or None
        Columns drawn as dots with their intervals; None: the first column with an interval.
    reference : mapping of str to float or "mean"
        Column to the value of its reference line.
    headers, units : mapping of str to str
        Column to its header and unit, where they differ from `cxlab.core.headers`.
        Units: ``%``, ``share`` (of 1, shown as %), ``points``, ``score``, ``r``, ``p``,
        ``count``, ``number``; a plus sign before it: a difference, shown with its sign.
    labels : mapping of str to str
        Names of the answers' columns to the words that readers know.
    titles : mapping of (str, str) to str
        Label and name of a metric to its title: `metric_titles`.
    level : float
        Of the intervals.
    """

    caption: str = ""
    about: str = ""
    columns: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    top: int = 12
    highlight: tuple[str, ...] = ()
    bar: tuple[str, ...] | None = None
    reference: Mapping[str, float | str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[tuple[str, str], str] = field(default_factory=dict)
    level: float = 0.95

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # pandas copies a table's attributes at every step
        return self


def display_of(table: pd.DataFrame) -> Display:
    """How a table wants to be shown; the defaults where nothing was said."""
    found = table.attrs.get(ATTRIBUTE)
    return found if isinstance(found, Display) else Display()


def with_display(table: pd.DataFrame, **changes: Any) -> pd.DataFrame:
    """The same table, which knows how it wants to be shown: `Display`, of which other attributes stay.

    Selecting and sorting rows keeps it.

    >>> table = with_display(pd.DataFrame({"label": ["a", "b"]}), caption="Letters")
    >>> display_of(table[table["label"] == "a"]).caption
    'Letters'
    """
    known = table.copy(deep=False)
    known.attrs[ATTRIBUTE] = replace(display_of(table), **changes)
    return known


def metric_titles(
    metrics: Iterable[Metric], labels: Mapping[str, str] | None = None
) -> dict[tuple[str, str], str]:
    """What readers call each metric, by label and name as they stand in result tables."""
    known = labels or {}
    return {(known.get(one.column, one.column), one.name): one.title for one in metrics}
