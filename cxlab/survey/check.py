"""What tables of answers hold: rows, periods, answered, missing and why, floors and ceilings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.engines import collect
from cxlab.core.frames import column_names, scan
from cxlab.survey.definition import RATING_ROLES, Column
from cxlab.survey.scales import REASONS
from cxlab.survey.study import Study


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
    rows = _opened(answers)
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


#: Sums that are shown as means of the answers.
SHARES = ("mean", "floor", "ceiling")
#: Rows that lack nothing: answered, not to be answered, or not asked.
FOUND = ("answered", "never used", "not asked")
COLUMNS = ["column", "label", "role", "n", "answered", *REASONS, "out_of_range", *SHARES, "missing"]


def _opened(answers: Any) -> nw.LazyFrame:
    return scan(answers, column_names(answers))


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
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0)).sum()


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
    >>> study_overview(load_study("demo"))["table"].tolist()
    ['relationship', 'transactional', 'invitations', 'customers', 'follow_ups']
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
