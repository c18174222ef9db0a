"""Who answered in haste or more than once, as far as a platform's own columns tell."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from cxlab.core.characters import letters
from cxlab.survey.cells import read_dates
from cxlab.survey.definition import Table
from cxlab.survey.reading import as_periods, raw_cells
from cxlab.survey.scales import normal_code
from cxlab.survey.study import Study

#: Below this part of the median time an answer counts as hasty.
HASTY = 1 / 3
#: Letters of headers that hold how long somebody took, in seconds or as 0:05:30.
_DURATIONS = (
    *("durationinseconds", "duration", "durationseconds", "interviewtime", "totaltime"),
    *("timetaken", "timespent", "timetocomplete", "timetakentocomplete"),
)
#: Letters of headers that hold when somebody began, and when they were done.
_TIMES = (
    *(("startdate", "enddate"), ("startdate", "submitdate"), ("datestarted", "datesubmitted")),
    *(("startdateutc", "submitdateutc"), ("starttime", "completiontime"), ("starttime", "endtime")),
)
#: Letters of headers that tell one person, device or invitation from another.
_PEOPLE = (
    *("recipientemail", "emailaddress", "email", "ipaddress", "ipaddr", "externalreference"),
    *("externaldatareference", "token", "accesscode", "respondentid", "userid", "contactid"),
)
#: Letters of headers by which a platform marks duplicates itself.
_MARKS = ("qduplicaterespondent", "qrelevantidduplicate", "qballotboxstuffing")
_TRUE = ("true", "1", "yes")


def check_respondents(
    study: Study, *, period: str | Sequence[str] | None = None, table: str | None = None
) -> pd.DataFrame:
    """Counts of quick finishers and of respondents who answered more than once.

    Parameters
    ----------
    study : Study
    period : str or sequence of str, optional
        As for `Study.read`. Every row of the files counts, whatever ``where`` selects.
    table : str, optional
        Default: the main one.

    Returns
    -------
    DataFrame
        One row per column of the files that tells: ``check``, ``column``, ``n`` (rows that hold
        something there), ``rows`` (took less than a third of the median time; have the value of
        an earlier row of the period; are marked by the platform) and ``share`` (of ``n``, 0 to 1). Columns
        that the study ignores are looked at, too, and none of their values is shown. Without
        such columns the table is empty.

    Notes
    -----
    Signs, not proof: colleagues may share one address of the internet, and fast readers are
    fast. Nobody is left out because of them.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> check_respondents(load_study("demo"), period="2025-Q4")[["check", "n", "rows"]]
                          check    n  rows
    0  answered more than once  426     0
    """
    definition = study.table(table or study.definition.main)
    wanted = as_periods(period)
    raws = study.raw_files(definition, wanted)
    cells, periods = raw_cells(definition, raws, wanted, lambda name: _tells(name, definition))
    headers = {letters(name): name for name in cells}
    rows = [
        *_hasty(cells, headers, definition),
        *_repeated(cells, periods, headers, definition),
        *_marked(cells, headers),
    ]
    columns = ["check", "column", "n", "rows"]
    found = pd.DataFrame(rows, columns=columns)
    return found.assign(share=found["rows"] / found["n"])


def _tells(header: str, table: Table) -> bool:
    """Whether a column may tell haste or one respondent from another."""
    times = [name for pair in _TIMES for name in pair]
    who = [column.source for column in table.with_role("customer", "cluster")]
    return header in who or letters(header) in (*_DURATIONS, *times, *_PEOPLE, *_MARKS)


def _hasty(
    cells: pd.DataFrame, headers: Mapping[str, str], table: Table
) -> Iterator[tuple[Any, ...]]:
    for name, seconds in _seconds(cells, headers, table):
        known = seconds[seconds >= 0]
        if known.median() > 0:
            hasty = int((known < known.median() * HASTY).sum())
            yield ("took under a third of the median time", name, len(known), hasty)
            return


def _seconds(
    cells: pd.DataFrame, headers: Mapping[str, str], table: Table
) -> Iterator[tuple[str, pd.Series]]:
    """How long each row took, by the columns that tell."""
    for name in (headers[key] for key in _DURATIONS if key in headers):
        numbers = pd.to_numeric(cells[name], errors="coerce")
        spans = pd.to_timedelta(cells[name].where(cells[name].str.contains(":")), errors="coerce")
        yield name, numbers.fillna(spans.dt.total_seconds())
    for began, done in _TIMES:
        if began in headers and done in headers:
            names = headers[began], headers[done]
            first, last = (_times(cells[name], name, table) for name in names)
            if (first.dt.tz is None) == (last.dt.tz is None):
                yield f"{names[0]}, {names[1]}", (last - first).dt.total_seconds()


def _times(texts: pd.Series, header: str, table: Table) -> pd.Series:
    forms = [column.format for column in table.with_role("date") if header == column.source]
    try:
        return read_dates(texts, forms[0] if forms else None)
    except ValueError:  # ISO dates of several time zones
        return pd.to_datetime(texts, utc=True, format="ISO8601", errors="coerce")


def _repeated(
    cells: pd.DataFrame, periods: pd.Series, headers: Mapping[str, str], table: Table
) -> Iterator[tuple[Any, ...]]:
    names = [headers[key] for key in _PEOPLE if key in headers]
    for column in table.with_role("customer", "cluster"):
        header = column.source if isinstance(column.source, str) else None
        if header in cells and (column.role == "customer" or column.spans_periods):
            names.append(str(header))
    own = table.only("id")
    for name in dict.fromkeys(names):
        values = cells[name].map(normal_code)
        pairs = pd.DataFrame({"period": periods, "value": values})[values != ""]
        if len(pairs) and not (own and own.source == name):
            yield ("answered more than once", name, len(pairs), int(pairs.duplicated().sum()))


def _marked(cells: pd.DataFrame, headers: Mapping[str, str]) -> Iterator[tuple[Any, ...]]:
    for name in (headers[key] for key in _MARKS if key in headers):
        marks = cells[name].str.strip().str.casefold()
        n, marked = int((marks != "").sum()), int(marks.isin(_TRUE).sum())
        if n:
            yield ("marked as a duplicate by the platform", name, n, marked)
