"""Each answer and what its customer did afterwards: every answer starts its own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.frames import check_columns
from cxlab.core.messages import got
from cxlab.core.result import Result
from cxlab.survey.study import Study

DAYS, LEFT = "days_followed", "left_after"


@dataclass(frozen=True, eq=False, kw_only=True)
class FollowUp(Result):
    """Answers linked to what came after them.

    Attributes
    ----------
    table : DataFrame
        The answers of known customers with the customers' columns, ``days_followed`` (from
        the answer to leaving, or to the end of observation) and ``left_after`` (whether the
        customer left then).
    n_missing : DataFrame
        Answers without a customer who is in the customers' table.
    customer, answered : str
        Columns of the customer and of the answer's date.
    until : Timestamp
        The last day observed.
    value : str or None
        Column of what a customer is worth.
    """

    customer: str
    answered: str
    until: pd.Timestamp
    value: str | None = None


def follow_up(
    answers: Any,
    customers: pd.DataFrame,
    *,
    customer: str,
    answered: str,
    left: str,
    until: str | pd.Timestamp,
    value: str | None = None,
) -> FollowUp:
    """Link each answer to what its customer did afterwards.

    Parameters
    ----------
    answers : DataFrame
        One row per answer.
    customers : DataFrame
        One row per customer. Its other columns, such as tenure, are taken along.
    customer : str
        Column of the customer's id, in both.
    answered : str
        Column of ``answers``: the date of the answer.
    left : str
        Column of ``customers``: the date of leaving; blank: still there.
    until : date
        Last day on which leaving would have been seen (``observed_until`` of the study file).
    value : str, optional
        Column of ``customers``: what a customer is worth, 0 or more.

    Returns
    -------
    FollowUp

    Raises
    ------
    ValueError
        For a customer twice in ``customers``, an answer after leaving or after ``until``, a
        date of leaving after ``until``, or a value below 0.

    Notes
    -----
    An answer's clock starts when it was given. Comparing the latest score with who is there at
    the end would compare customers who had different times to leave, and scores that had
    different times to change.

    Examples
    --------
    >>> answers = pd.DataFrame({"id": [1, 2, 9], "day": pd.to_datetime(["2025-01-01"] * 3)})
    >>> customers = pd.DataFrame({"id": [1, 2], "gone": pd.to_datetime(["2025-01-31", None])})
    >>> linked = follow_up(
    ...     answers, customers, customer="id", answered="day", left="gone", until="2025-12-31")
    >>> linked.table[["id", "days_followed", "left_after"]]
       id  days_followed  left_after
    0   1           30.0        True
    1   2          364.0       False
    >>> linked.notes
    ('1 of 3 answers has no customer who is in the table of customers.',)
    """
    check_columns(answers, {"customer": customer, "answered": answered})
    check_columns(customers, {"customer": customer, "left": left, "value": value})
    rows = answers if isinstance(answers, pd.DataFrame) else answers.to_pandas()
    end = pd.Timestamp(until)
    _check_customers(customers, customer, left, end, value)
    again = [name for name in customers.columns if name in rows.columns and name != customer]
    known = customers.drop(columns=again)
    linked = rows.merge(known, on=customer, how="left", indicator="_found", validate="m:1")
    found = (linked["_found"] == "both") & linked[answered].notna()
    table = linked[found].drop(columns="_found").reset_index(drop=True)
    _check_order(table, answered, left, end)
    stop = table[left].fillna(end)
    days = (stop.dt.normalize() - table[answered].dt.normalize()).dt.days
    table = table.assign(**{DAYS: days.astype(float), LEFT: table[left].notna()})
    lacking = int((~found).sum())
    verb = "has" if lacking == 1 else "have"
    note = (
        f"{lacking:,} of {len(rows):,} answers {verb} no customer who is in the table of customers."
    )
    return FollowUp(
        table=table,
        n_missing=pd.DataFrame({"column": [customer], "n_missing": [lacking]}),
        notes=(note,) if lacking else (),
        customer=customer,
        answered=answered,
        until=end,
        value=value,
    )


def study_follow_up(
    study: Study,
    *,
    period: str | None = None,
    where: Mapping[str, Any] | None = None,
) -> FollowUp:
    """Answers of a study's main table, linked to what its customers did afterwards.

    Parameters
    ----------
    study : Study
        A table of customers declares a column with ``role = "left"`` and the customer's id, the
        study ``observed_until``; the main table declares the customer and a date.
    period, where
        As for `Study.read`.

    Returns
    -------
    FollowUp
        An answer's date is the latest of its row.

    Raises
    ------
    ValueError
        For a study that declares none of it.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> linked = study_follow_up(load_study("demo"), period="2025-Q4")
    >>> len(linked.table), int(linked.table["left_after"].sum())
    (426, 84)
    """
    customers, ids, left, until = leavers_of(study)
    own = study.main.with_role("customer", "cluster")
    dates = [column.name for column in study.main.with_role("date")]
    if not own or not dates:
        raise ValueError(
            f"table '{study.main.name}' of study '{study.name}' must declare a customer and a date; "
            f"got {'no customer' if not own else 'no date'}."
        )
    answers = study.read(period=period, where=where, engine="pandas")
    answers = answers.assign(answered_on=answers[dates].max(axis=1))
    value = next(
        (c.name for t in study.definition.tables.values() for c in t.with_role("value")), None
    )
    return follow_up(
        answers, customers.rename(columns={ids: own[0].name}), customer=own[0].name,
        answered="answered_on", left=left, until=until, value=value,
    )  # fmt: skip


def leavers_of(study: Study) -> tuple[pd.DataFrame, str, str, str]:
    """Customers of a study, the columns of their id and date of leaving, the last day observed.

    Raises
    ------
    ValueError
        For a study that does not declare them.
    """
    found = [table for table in study.definition.tables.values() if table.with_role("left")]
    until = study.definition.observed_until
    if not found or until is None:
        lacking = "a column with the role left" if not found else "observed_until in [study]"
        raise ValueError(f"study '{study.name}' must declare {lacking}; got none.")
    ids = found[0].with_role("customer", "id", "cluster")
    if not ids:
        raise ValueError(f"table '{found[0].name}' must declare the customer's id; got none.")
    customers = study.read(found[0].name, engine="pandas")
    return customers, ids[0].name, found[0].with_role("left")[0].name, until


def _check_customers(
    customers: pd.DataFrame, customer: str, left: str, until: pd.Timestamp, value: str | None
) -> None:
    twice = customers.loc[customers[customer].duplicated(), customer]
    if len(twice):
        raise ValueError(
            f"`customers` must hold each customer once; got {got(list(twice))} more than once in "
            f"'{customer}'. Keep one row of each."
        )
    later = customers.loc[customers[left] > until, left]
    if len(later):
        raise ValueError(
            f"`left` must be dates up to {until.date()}, the last day observed; got "
            f"{got([str(day.date()) for day in later])}. Set `observed_until` later, or leave those dates "
            "blank."
        )
    below = customers.loc[customers[value] < 0, value] if value else pd.Series(dtype=float)
    if len(below):
        raise ValueError(f"`value` must be 0 or more; got {got(list(below))} in '{value}'.")


def _check_order(table: pd.DataFrame, answered: str, left: str, until: pd.Timestamp) -> None:
    day = table[answered].dt.normalize()
    after = table.loc[day > table[left].dt.normalize(), answered]
    if len(after):
        raise ValueError(
            f"`answered` must not be after the customer left; got {got([str(d.date()) for d in after])}. "
            "Was it recorded after the event? Correct the dates, or leave those answers out."
        )
    beyond = table.loc[day > until, answered]
    if len(beyond):
        raise ValueError(
            f"`answered` must be up to {until.date()}, the last day observed; got "
            f"{got([str(day.date()) for day in beyond])}. Set `observed_until` later."
        )
