"""Names of periods: their order, the one before, the same one a year before."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.frames import (
    check_columns,
    declared_order,
    groups_in_order,
    label_text,
)
from cxlab.core.labels import natural_order, row_labels

#: 2025, 2025-H1, 2025-Q4, 2025-12 and 2025-W07.
_CALENDAR = re.compile(
    r"(?P<year>\d{4})(?:-(?:H(?P<half>[12])|Q(?P<quarter>[1-4])"
    r"|W(?P<week>0[1-9]|[1-4]\d|5[0-3])|(?P<month>0[1-9]|1[0-2])))?"
)
#: What a period is compared with.
LAST, A_YEAR_BEFORE, TREND = "last period", "a year before", "trend"
#: A name that ends in its only number.
_NUMBERED = re.compile(r"(\D*)\d+")
_FORMS = {"half": "H{}", "quarter": "Q{}", "month": "{:02d}", "week": "W{:02d}"}
_A_YEAR_HAS = {"half": 2, "quarter": 4, "month": 12}


def check_two_periods(periods: object) -> None:
    """Refuse anything but two periods, the earlier and the later one."""
    if not isinstance(periods, tuple | list) or len(periods) != 2:
        raise ValueError(f"`periods` must be two different periods (before, after); got {periods}.")


@dataclass(frozen=True, order=True)
class CalendarPeriod:
    """A period whose name says where in the calendar it lies.

    Attributes
    ----------
    kind : {"year", "half", "quarter", "month", "week"}
    year, number : int
        Of the half, quarter, month or week in its year; 0 for a whole year.
    """

    kind: str
    year: int
    number: int = 0

    @property
    def name(self) -> str:
        """As it is written in the data."""
        form = _FORMS.get(self.kind)
        return f"{self.year}-{form.format(self.number)}" if form else str(self.year)

    @property
    def before(self) -> CalendarPeriod:
        """The period just before.

        >>> calendar_period("2025-Q1").before.name, calendar_period("2021-W01").before.name
        ('2024-Q4', '2020-W53')
        """
        if self.kind == "year":
            return CalendarPeriod("year", self.year - 1)
        if self.number > 1:
            return CalendarPeriod(self.kind, self.year, self.number - 1)
        last = _A_YEAR_HAS.get(self.kind) or _weeks(self.year - 1)
        return CalendarPeriod(self.kind, self.year - 1, last)

    @property
    def place(self) -> float:
        """Periods of this kind since the year 0."""
        if self.kind == "week":
            return date.fromisocalendar(self.year, 1, 1).toordinal() / 7 + self.number
        return float(self.year * _A_YEAR_HAS.get(self.kind, 1) + self.number)

    @property
    def year_before(self) -> CalendarPeriod | None:
        """The same period of the year before; None for whole years, whose last period it is."""
        if self.kind == "year":
            return None
        return CalendarPeriod(self.kind, self.year - 1, self.number)


def calendar_period(name: str) -> CalendarPeriod | None:
    """The period that a name means; None when it is no calendar name, such as "wave 3"."""
    found = _CALENDAR.fullmatch(str(name))
    if not found:
        return None
    for kind in _FORMS:
        if found[kind]:
            return CalendarPeriod(kind, int(found["year"]), int(found[kind]))
    return CalendarPeriod("year", int(found["year"]))


def in_order(names: Sequence[str]) -> list[str]:
    """Periods from the earliest: of the calendar, or of one name and a number. Others stay as they are.

    >>> in_order(["2025-Q1", "2024-Q4"]), in_order(["Wave 10", "Wave 2"])
    (['2024-Q4', '2025-Q1'], ['Wave 2', 'Wave 10'])
    """
    known = {name: calendar_period(name) for name in names}
    kinds = {period.kind if period else None for period in known.values()}
    if len(kinds) == 1 and None not in kinds:
        return sorted(names, key=lambda name: known[name])  # type: ignore[arg-type, return-value]
    stems = {found[1] if (found := _NUMBERED.fullmatch(name)) else None for name in names}
    if len(stems) == 1 and None not in stems:
        return sorted(names, key=natural_order)
    return list(names)


def periods_of(data: Any, column: str) -> list[str]:
    """Periods that the data hold, in order: the calendar's, the declared one, or sorted."""
    check_columns(data, {"column": column})
    return in_order(list(groups_in_order(data, column)))


def comparisons(period: str, there: list[str]) -> list[tuple[str, str, str]]:
    """What to compare the period with: ``against``, its name, and what to note."""
    earlier = there[: there.index(period)]
    named = calendar_period(period)
    last, note = (earlier[-1] if earlier else ""), ""
    if named is None or (last and calendar_period(last) is None):
        return [(LAST, last, "" if last else "there is no period before")]
    expected = named.before.name
    if not last:
        last, note = expected, f"{expected} is not in the data"
    elif last != expected:
        note = f"{expected} is not in the data; {last} is the last period before"
    rows = [(LAST, last, note)]
    if named.year_before:
        name = named.year_before.name
        rows.append((A_YEAR_BEFORE, name, "" if name in there else f"{name} is not in the data"))
    return rows


def places_of(names: Sequence[str]) -> NDArray[np.float64]:
    """Where periods that are in order lie in time: of the calendar by its distances, others by one."""
    known = [calendar_period(name) for name in names]
    kinds = {period.kind if period else None for period in known}
    if len(kinds) != 1 or None in kinds:
        return np.arange(len(names), dtype=float)
    places = [period.place for period in known if period]
    return np.array(places) - places[0]


def with_text_periods(data: Any, column: str) -> Any:
    """The same answers with the periods as text, as their names are given."""
    if isinstance(data, pd.DataFrame):
        kind = data[column].dtype
        values = kind.categories.dtype if isinstance(kind, pd.CategoricalDtype) else kind
        if isinstance(values, pd.StringDtype):
            return data
        names = row_labels(data[column])
        declared = declared_order(data, column)
        if declared is not None:
            names = pd.Series(pd.Categorical(names, categories=declared), names.index)
        return data.assign(**{column: names})
    frame = nw.from_native(data)
    if frame.lazy().collect_schema()[column] == nw.String:
        return data
    return frame.with_columns(label_text(data, column).alias(column)).to_native()


def of_periods(data: Any, column: str, names: Sequence[str]) -> Any:
    """The answers of the named periods."""
    if isinstance(data, pd.DataFrame):
        return data[row_labels(data[column]).isin(list(names))]
    return nw.from_native(data).filter(label_text(data, column).is_in(list(names))).to_native()


def _weeks(year: int) -> int:
    """Weeks of an ISO year: 28 December is always in the last one."""
    return date(year, 12, 28).isocalendar().week
