"""What a study's tables hold, who answered in haste or twice, and what its measures mean."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.characters import letters
from cxlab.core.display import with_display
from cxlab.core.engines import collect
from cxlab.core.frames import column_names, scan
from cxlab.core.metric import Metric
from cxlab.core.phrases import listed
from cxlab.survey.cells import read_dates
from cxlab.survey.definition import RATING_ROLES, Column, Table
from cxlab.survey.reading import as_periods, raw_cells
from cxlab.survey.scales import METRICS, REASONS, Scale, normal_code
from cxlab.survey.study import Study

#: Sums that are shown as means of the answers.
SHARES = ("mean", "floor", "ceiling")
#: Rows that lack nothing: answered, not to be answered, or not asked.
FOUND = ("answered", "never used", "not asked")
COLUMNS = ["column", "label", "role", "n", "answered", *REASONS, "out_of_range", *SHARES, "missing"]
TERM_COLUMNS = ("term", "definition", "formula", "bins", "missing_codes", "weight", "source")
#: Words that every report uses, whatever the study.
WORDS = {
    "Interval": "Where the true value may lie: such intervals hold it in 95 % of surveys. It allows "
    "for weights, strata and customers who answer more than once, as far as they are declared.",
    "Clear": "Shown at the 95 % level, allowing for how many were compared.",
    "Likely": "This way in 80 to 95 % of resamples; not enough to act on alone.",
    "Not settled": "Not shown; it may still be there.",
    "Margin": "The smallest difference that matters. Unless the study file declares another: 3 "
    "points, 3 percentage points, or 2 % of the length of the scale.",
    "n": "Answers with a score; blanks and missing codes do not count.",
    "Effective n": "As many answers of a simple random sample would say as much.",
    "Never used": "The customer did not use the touchpoint: neither a score nor a blank.",
    "tNPS and rNPS": "The NPS of answers given after an episode (transactional), and of those that the "
    "whole customer base is asked for (relationship).",
    "Hidden": "A group of too few people, or one that would give such a group back.",
}


def check_answers(answers: Any, study: Study, table: str | None = None) -> pd.DataFrame:
    """Counts per rating column: answered, each missing reason, floor and ceiling.

    Parameters
    ----------
    answers
        As `Study.read` returns them, of any engine, whole or filtered.
    study : Study
    table : str, optional
        Which of the study's tables the answers are; default: the main one.

    Returns
    -------
    DataFrame
        One row per rating in declared order: ``column``, ``label``, ``role``, ``n`` (rows),
        ``answered``, ``never used``, ``no answer``, ``don't know``, ``not asked``,
        ``invalid`` (rows; they add up to ``n``), ``out_of_range`` (answers off the scale:
        0 unless the frame was changed after reading), ``mean``, ``floor`` and ``ceiling``
        (share of answers at the lowest and highest score, 0 to 1), ``missing`` (share of
        those asked who gave neither a score nor "never used", 0 to 1). These four are NaN
        where fewer than the study's ``min_group_size`` have answered.

    Raises
    ------
    ValueError
        When a declared column is not in the frame.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study = load_study("demo")
    >>> table = check_answers(study.read(period="2025-Q4"), study)
    >>> bool((table[["answered", *REASONS]].sum(axis=1) == table["n"]).all())
    True
    """
    columns = study.table(table or study.definition.main).with_role(*RATING_ROLES)
    rows = scan(answers, column_names(answers))
    names = rows.collect_schema().names()
    for column in columns:
        for name in (column.name, f"{column.name}_missing"):
            if name not in names:
                raise ValueError(
                    f"`answers` must have the column '{name}', as study.read() gives them; "
                    "it isn't there. Pass the frame that was read."
                )
    smallest = max(study.definition.min_group_size, 1)
    table_rows = []
    for column, found in zip(columns, _counts(rows, columns), strict=True):
        answered = found["answered"]
        shown = answered >= smallest
        share = {key: found.pop(key) / answered if shown else math.nan for key in SHARES}
        labels = {"column": column.name, "label": column.label, "role": column.role}
        unknown = found["n"] - sum(found[key] for key in FOUND)
        asked = found["n"] - found["not asked"]
        missing = unknown / asked if asked and shown else math.nan
        table_rows.append({**labels, **found, **share, "missing": missing})
    return pd.DataFrame(table_rows, columns=COLUMNS)


def _counts(rows: nw.LazyFrame, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Per rating column: rows, answers, reasons, and sums behind the shares; one query."""
    sums = [nw.len().alias("n")]
    for i, column in enumerate(columns):
        sums += [value.alias(f"{i}|{name}") for name, value in _sums(column).items()]
    found = collect(rows.select(*sums)).iloc[0].fillna(0)
    n = int(found["n"])
    return [
        {"n": n, **{name: int(found[f"{i}|{name}"]) for name in _sums(column)}}
        for i, column in enumerate(columns)
    ]


def _sums(column: Column) -> dict[str, nw.Expr]:
    score, reason = nw.col(column.name), nw.col(f"{column.name}_missing").cast(nw.String)
    low, high = column.scale.range if column.scale else (0, 0)
    answered = ~score.is_null()
    return {
        "answered": _count(answered),
        **{name: _count(reason == name) for name in REASONS},
        "out_of_range": _count(answered & ~score.is_between(low, high)),
        "mean": score.cast(nw.Float64).sum(),
        "floor": _count(score == low),
        "ceiling": _count(score == high),
    }


def _count(condition: nw.Expr) -> nw.Expr:
    # PostgreSQL makes no longer number of a condition
    return condition.cast(nw.Int32).sum()


def periods_and_rows(answers: Any) -> tuple[list[str], int]:
    """Periods of answers of any engine, in order, and their rows."""
    rows = nw.from_native(answers).lazy().select("period")
    counted = collect(rows.group_by("period").agg(nw.len().alias("n")))
    return sorted(counted["period"].astype(str)), int(counted["n"].sum())


def study_overview(study: Study) -> pd.DataFrame:
    """Rows, periods and columns of each table.

    Parameters
    ----------
    study : Study

    Returns
    -------
    DataFrame
        One row per table: ``table``, ``label``, ``rows``, ``periods`` (number), ``first``
        and ``last`` period, ``ratings`` (rating columns), ``segments`` (segment columns).

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study_overview(load_study("demo"))["table"].tolist()[:3]
    ['relationship', 'transactional', 'invitations']
    """
    rows = []
    for name, table in study.definition.tables.items():
        periods, n = periods_and_rows(study.read(name))
        rows.append(
            {
                "table": name,
                "label": table.label,
                "rows": n,
                "periods": len(periods),
                "first": periods[0],
                "last": periods[-1],
                "ratings": len(table.with_role(*RATING_ROLES)),
                "segments": len(table.with_role("segment")),
            }
        )
    return pd.DataFrame(rows)


def glossary(study: Study) -> pd.DataFrame:
    """What every term of a study's reports means, from its study file.

    Parameters
    ----------
    study : Study

    Returns
    -------
    DataFrame
        One row per measure of a scale, then the words that every report uses: ``term``,
        ``definition``, ``formula``, ``bins`` (scores and their names), ``missing_codes`` (with
        their reasons), ``weight`` and ``source`` (table and columns).

    Examples
    --------
    >>> from cxlab import load_study
    >>> table = glossary(load_study("demo")).set_index("term")
    >>> print(table.loc["NPS", "formula"].iloc[0])
    100 × (answers from 9 to 10 − answers from 0 to 6) / valid answers
    >>> print(table.loc["NPS", "bins"].iloc[0])
    0 to 6 detractors, 7 to 8 passives, 9 to 10 promoters
    """
    rows = [row for table in study.definition.tables.values() for row in _measures(table, study)]
    rows += [{"term": term, "definition": text} for term, text in WORDS.items()]
    few = f"fewer than {study.definition.smallest_group}"
    rows[-1]["definition"] += (
        f" Here answers of {few} are hidden." if study.main.customer else f" Here {few} are hidden."
    )
    table = pd.DataFrame(rows, columns=list(TERM_COLUMNS)).fillna("").astype("str")
    return with_display(
        table, caption=f"Glossary of {study.title}", columns=TERM_COLUMNS, top=len(table),
        about="from the study file",
    )  # fmt: skip


def _measures(table: Table, study: Study) -> Iterable[dict[str, str]]:
    """A row per scale and metric of a table, with the columns that they measure."""
    rated: dict[tuple[str, str], list[Column]] = {}
    for column in table.with_role(*RATING_ROLES):
        for name in column.metrics if column.scale else ():
            rated.setdefault((column.scale.name if column.scale else "", name), []).append(column)
    weight = table.only("weight")
    for (_, name), columns in rated.items():
        scale = columns[0].scale
        if scale is None:
            continue
        metric = scale.metric(columns[0].name, name)
        labels = [column.short or column.label for column in columns]
        yield {
            "term": metric.title,
            "definition": _definition(metric, scale, name),
            "formula": _formula(metric),
            "bins": _bins(scale),
            "missing_codes": _codes(columns),
            "weight": f"{weight.label} ({weight.name})" if weight else "none: each answer counts one",
            "source": f"{table.label}: {listed(labels)}. {study.definition.source}",
        }  # fmt: skip


def _definition(metric: Metric, scale: Scale, name: str) -> str:
    ends = f"from {_score(scale, scale.low)} to {_score(scale, scale.high)}"
    if metric.kind == "mean":
        return f"Mean of the answers on a scale {ends}."
    bins = METRICS[name]
    parts = " less the share of ".join((bins[0], bins[-1]) if metric.kind == "net" else bins)
    unit = "points from −100 to 100" if metric.kind == "net" else "per cent"
    return f"Share of {parts} among valid answers, in {unit}; the scale goes {ends}."


def _score(scale: Scale, score: int) -> str:
    words = scale.labels.get(score, "")
    return f"{score} ({words})" if words else str(score)


def _formula(metric: Metric) -> str:
    if metric.kind == "mean":
        return "sum of scores / valid answers"
    counted = f"answers {_range(metric.top)}"
    if metric.kind == "net":
        counted = f"({counted} − answers {_range(metric.bottom)})"
    return f"100 × {counted} / valid answers"


def _range(ends: tuple[float, float] | None) -> str:
    low, high = ends or (0, 0)
    return f"of {low:g}" if low == high else f"from {low:g} to {high:g}"


def _bins(scale: Scale) -> str:
    ordered = sorted(scale.bins.items(), key=lambda item: item[1])
    each = [
        (f"{low}" if low == high else f"{low} to {high}", name) for name, (low, high) in ordered
    ]
    return ", ".join(f"{scores} {name}" for scores, name in each)


def _codes(columns: Iterable[Column]) -> str:
    codes = {code: why for column in columns for code, why in column.missing.items()}
    each = [f"{code}: {why}" for code, why in codes.items() if code.casefold() != "blank"]
    blanks = {column.blank for column in columns}
    return ", ".join([*each, f"blank: {listed(sorted(blanks), last='or')}"])


# respondents ------------------------------------------------------------------------------

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
