"""Raw text tables in memory → checked, cleaned answers: the pandas path of `Study.read`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.messages import got, unknown
from cxlab.survey import cleaning
from cxlab.survey.definition import RATING_ROLES, Column, Table
from cxlab.survey.headers import check_not_asked, find_header, match_headers


@dataclass(frozen=True, eq=False)
class RawText:
    """One raw table: every cell as text, under the headers of its file."""

    cells: pd.DataFrame
    name: str


def pandas_answers(
    table: Table,
    raws: Mapping[str, RawText],
    *,
    wanted: Sequence[str] | None,
    design: bool,
    where: Mapping[str, Any] | None,
) -> pd.DataFrame:
    """Cleaned answers of raw text tables.

    Parameters
    ----------
    table : Table
        What the study declares.
    raws : mapping of str to RawText
        Period to its raw table; ``""`` for a table of all periods.
    wanted : sequence of str, optional
        Periods to keep of a table of all periods.
    design : bool
        Whether to add ``stratum_clusters``.
    where : mapping, optional
        As for `Study.read`.

    Returns
    -------
    DataFrame
    """
    parts = []
    for period, raw in raws.items():
        if wanted is not None and not period:
            raw = only_periods(table, raw, wanted)
        parts.append(_clean(table, period, raw))
    answers = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
    answers = _restore_categories(answers, parts, table)
    answers = _one_time_zone(answers, parts, table)
    if answers["period"].nunique() > 1:
        answers = _tell_periods_apart(answers, table)
    if design:
        answers["stratum_clusters"] = _stratum_clusters(answers, table)
    return _only_where(answers, where, table) if where else answers


def only_periods(table: Table, raw: RawText, wanted: Sequence[str]) -> RawText:
    """The rows of some periods of a table of all periods."""
    column = table.only("period")
    if column is None:
        raise ValueError(no_periods(table, wanted))
    periods = periods_of(raw.cells, column, raw.name)
    there = sorted(periods.unique())
    for period in wanted:
        if period not in there:
            raise ValueError(unknown("period", period, there))
    return RawText(raw.cells[periods.isin(wanted)].reset_index(drop=True), raw.name)


def choices_of(name: str, wanted: Any) -> list[Any]:
    """One value of a column or several, as a list.

    Raises
    ------
    ValueError
        For an empty list.
    """
    one = isinstance(wanted, str) or not isinstance(wanted, Iterable)
    choices = [wanted] if one else list(wanted)
    if not choices:
        raise ValueError(
            f"`where` of '{name}' must name one value at least; got none. Leave the column out of "
            "`where` to have every answer."
        )
    return choices


def no_periods(table: Table, wanted: Sequence[str]) -> str:
    """Message for a period asked of a table that has none."""
    return (
        f"`period` must be left out, because table '{table.name}' has no periods; "
        f"got '{wanted[0]}'. Declare a column with role = 'period', or `files`."
    )


def no_stratum(table: Table, strata: str, rows: int) -> str:
    """Message for rows without a stratum."""
    return (
        f"table '{table.name}': every row must have a stratum in '{strata}'; {rows:,} have none. "
        "Fill them in, or declare the column as text."
    )


def _clean(table: Table, period: str, raw: RawText) -> pd.DataFrame:
    headers = match_headers(list(raw.cells.columns), table, period, raw.name)
    cleaned: dict[str, pd.Series] = {}
    if table.only("period") is None:
        cleaned["period"] = pd.Series(period or "all", index=raw.cells.index, dtype="str")
    for column in table.columns.values():
        cleaned.update(_clean_column(raw.cells, column, headers[column.name], raw.name))
    frame = pd.DataFrame(cleaned)
    _check_ids(frame, table, raw.name)
    return frame[["period", *(name for name in frame if name != "period")]]


def periods_of(raw: pd.DataFrame, column: Column, file: str) -> pd.Series:
    """Period of each row, one spelling each; every row must have one."""
    header = find_header(list(raw.columns), column, "", file)
    periods = cleaning.clean_text(raw[header], column, f"{file}, column '{header}'")
    without = int(periods.isna().sum())
    if without:
        raise ValueError(
            f"{file}: every row must have a period in '{header}'; {without:,} have none. "
            "Fill them in: an answer without a period would belong to no report."
        )
    return periods


def _clean_column(
    raw: pd.DataFrame, column: Column, header: str | None, file: str
) -> dict[str, pd.Series]:
    place = f"{file}, column '{header}'"
    if header is None:
        return _not_asked(raw, column, file)
    text = raw[header]
    if column.role in RATING_ROLES:
        values, reasons = cleaning.clean_rating(text, column, place)
        return {column.name: values, f"{column.name}_missing": reasons}
    cleaners = {
        "segment": cleaning.clean_segment,
        "number": cleaning.clean_number,
        "weight": cleaning.clean_weight,
        "date": cleaning.clean_date,
    }
    name = "period" if column.role == "period" else column.name
    return {name: cleaners.get(column.role, cleaning.clean_text)(text, column, place)}


def _not_asked(raw: pd.DataFrame, column: Column, file: str) -> dict[str, pd.Series]:
    check_not_asked(column, file)
    if column.role in RATING_ROLES:
        return {
            column.name: pd.Series(float("nan"), index=raw.index),
            f"{column.name}_missing": pd.Series("not asked", index=raw.index, dtype="str"),
        }
    if column.role in ("number", "weight"):
        value = 1.0 if column.role == "weight" else float("nan")
        return {column.name: pd.Series(value, index=raw.index)}
    if column.role == "date":
        return {column.name: pd.Series(pd.NaT, index=raw.index)}
    if column.role == "segment":
        categories = list(dict.fromkeys(column.values.values()))
        empty = pd.Categorical([None] * len(raw), categories=categories)
        return {column.name: pd.Series(empty, index=raw.index)}
    return {column.name: pd.Series(None, index=raw.index, dtype="str")}


def _check_ids(frame: pd.DataFrame, table: Table, file: str) -> None:
    column = table.only("id")
    if column is None:
        return
    ids = frame[column.name]
    if ids.isna().any():
        raise ValueError(
            f"{file}: every row must have an id in '{column.name}'; {int(ids.isna().sum()):,} "
            "have none. Fill them in, or declare the column as text."
        )
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{file}: ids in '{column.name}' must be unique; got {got(list(repeated))} more than "
            "once. Remove the repeated answers, or declare another column as the id."
        )


def _restore_categories(
    answers: pd.DataFrame, parts: list[pd.DataFrame], table: Table
) -> pd.DataFrame:
    """Joining parts whose categories differ would turn a segment into text."""
    for column in table.with_role("segment"):
        lists = [part[column.name].cat.categories for part in parts]
        every = list(dict.fromkeys(label for labels in lists for label in labels))
        if not column.values:
            every = sorted(every, key=cleaning.natural_order)
        answers[column.name] = pd.Categorical(answers[column.name], categories=every)
    return answers


def _one_time_zone(answers: pd.DataFrame, parts: list[pd.DataFrame], table: Table) -> pd.DataFrame:
    """Joining parts whose offsets differ, as in summer and winter, would leave no dates."""
    for column in table.with_role("date"):
        asked = [part[column.name] for part in parts if part[column.name].notna().any()]
        zones = {part.dt.tz for part in asked}
        if len(zones) > 1 and None in zones:
            raise ValueError(
                f"table '{table.name}', column '{column.name}': dates must have a time zone in "
                "every period, or in none; got both. Write them alike."
            )
        if zones - {None} and (len(zones) > 1 or len(asked) < len(parts)):
            answers[column.name] = pd.to_datetime(answers[column.name], utc=True)
            if len(zones) == 1:
                answers[column.name] = answers[column.name].dt.tz_convert(zones.pop())
    return answers


def _tell_periods_apart(answers: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Strata of two periods are two strata; so are clusters, unless declared to span them."""
    strata, cluster = table.only("strata"), table.only("cluster")
    chosen = strata or (cluster if cluster and not cluster.spans_periods else None)
    if chosen is not None:
        answers[chosen.name] = answers["period"] + " " + answers[chosen.name]
    return answers


def _stratum_clusters(answers: pd.DataFrame, table: Table) -> pd.Series:
    strata, cluster = table.only("strata"), table.only("cluster")
    stratum = answers[strata.name] if strata else pd.Series(0, index=answers.index)
    if strata and stratum.isna().any():
        raise ValueError(no_stratum(table, strata.name, int(stratum.isna().sum())))
    if cluster is None:
        return stratum.map(stratum.value_counts()).astype("int64")
    ids = answers[cluster.name]
    whole = ids.groupby(stratum).nunique()
    alone = ids.isna().groupby(stratum).sum()
    return stratum.map(whole + alone).astype("int64")


def _only_where(answers: pd.DataFrame, where: Mapping[str, Any], table: Table) -> pd.DataFrame:
    keep = selected_rows(answers, where)
    if not keep.any():
        raise ValueError(
            f"`where` must leave at least one answer of table '{table.name}'; "
            f"got none for {dict(where)}. Loosen a condition."
        )
    return answers[keep].reset_index(drop=True)


def selected_rows(answers: pd.DataFrame, where: Mapping[str, Any]) -> pd.Series:
    """Whether each row is in a selection, as `Study.read` takes it."""
    keep = pd.Series(True, index=answers.index)
    for name, wanted in where.items():
        if name not in answers.columns:
            raise ValueError(unknown("where", name, answers.columns, what="a column: "))
        keep &= _matches(answers[name], name, wanted)
    return keep


def _matches(values: pd.Series, name: str, wanted: Any) -> pd.Series:
    choices = choices_of(name, wanted)
    if pd.api.types.is_float_dtype(values):
        return values.isin([_as_number(choice, values, name) for choice in choices])
    text = values.astype("str")
    there = sorted(text.dropna().unique())
    for choice in choices:
        if str(choice) not in there:
            raise ValueError(unknown("where", choice, there, of=name))
    return text.isin([str(choice) for choice in choices])


def _as_number(choice: Any, values: pd.Series, name: str) -> float:
    there = [f"{v:.15g}" for v in sorted(values.dropna().unique())]
    try:
        number = float(choice)
    except (TypeError, ValueError):
        raise ValueError(unknown("where", choice, there, of=name)) from None
    if not (values == number).any():
        raise ValueError(unknown("where", choice, there, of=name))
    return number
