"""Each answer and what its customer did afterwards: every answer starts its own clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, suppress_small_groups
from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import refuse
from cxlab.core.result import Result
from cxlab.stats.outcomes.survival import kaplan_meier
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
    customer, answered, value, account, left : str
        Columns: the customer, the answer's date, what a customer (or the account, of all its
        contacts) is worth, and when a customer left; empty or None where there is none.
    until : Timestamp
        The last day observed.
    inactive_after : int
        Days without a purchase that count as having left; 0: leaving has a date.
    customers : DataFrame or None
        All customers, whether they answered or not, where leaving has a date.
    """

    customer: str
    answered: str
    until: pd.Timestamp
    value: str | None = None
    account: str | None = None
    inactive_after: int = 0
    customers: pd.DataFrame | None = field(default=None, repr=False)
    left: str = ""

    @property
    def meaning(self) -> str:
        """What counts as having left, where it has no date; else empty."""
        days = self.inactive_after
        return f"left means {days} days without a purchase" if days else ""


def follow_up(
    answers: Any,
    customers: pd.DataFrame,
    *,
    customer: str,
    answered: str,
    left: str,
    until: str | pd.Timestamp,
    value: str | None = None,
    account: str | None = None,
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
    account : str, optional
        Column of the account that customers are contacts of: the value is the account's then.

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
    found = (linked["_found"] == "both") & linked[[customer, answered]].notna().all(axis=1)
    table = linked[found].drop(columns="_found").reset_index(drop=True)
    _check_order(table, answered, left, end)
    stop = table[left].fillna(end)
    days = (stop.dt.normalize() - table[answered].dt.normalize()).dt.days
    table = table.assign(**{DAYS: days.astype(float), LEFT: table[left].notna()})
    return _followed(
        table, len(rows), "who is in the table of customers", customer=customer,
        answered=answered, until=end, value=value, account=account, customers=customers, left=left,
    )  # fmt: skip


def follow_up_purchases(
    answers: Any,
    purchases: pd.DataFrame,
    *,
    customer: str,
    answered: str,
    purchased: str,
    inactive_after: int,
    until: str | pd.Timestamp,
) -> FollowUp:
    """As `follow_up`, where leaving has no date: who stops buying counts as having left.

    Parameters
    ----------
    answers, customer, answered, until
        As for `follow_up`.
    purchases : DataFrame
        One row per purchase, with the customer's id.
    purchased : str
        Column of ``purchases``: its date.
    inactive_after : int
        Days without a purchase after which a customer counts as having left, on the last of them.

    Returns
    -------
    FollowUp
        Answers of customers who had not bought for so long are left out and counted.

    Notes
    -----
    Only what was known on a day decides about it: a customer who comes back later had left.

    Examples
    --------
    >>> answers = pd.DataFrame({"id": [1, 2], "day": pd.to_datetime(["2025-01-10"] * 2)})
    >>> bought = pd.DataFrame({"id": [1, 1, 2], "on": pd.to_datetime(
    ...     ["2025-01-01", "2025-01-20", "2024-06-01"])})
    >>> linked = follow_up_purchases(answers, bought, customer="id", answered="day",
    ...     purchased="on", inactive_after=30, until="2025-12-31")
    >>> linked.table[["id", "days_followed", "left_after"]]
       id  days_followed  left_after
    0   1           40.0        True
    >>> linked.notes
    ('1 of 2 answers has no customer who had bought in the 30 days before.',)
    """
    check_columns(answers, {"customer": customer, "answered": answered})
    check_columns(purchases, {"customer": customer, "purchased": purchased})
    end, patience = pd.Timestamp(until), pd.Timedelta(days=inactive_after)
    bought = purchases[[customer, purchased]].dropna().sort_values([customer, purchased])
    _check_until("purchased", bought[purchased], end)
    day, who = bought[purchased].dt.normalize(), bought[customer]
    first = ((who != who.shift()) | (day - day.shift() > patience)).cumsum()
    spells = pd.DataFrame(
        {customer: who.groupby(first).first(), "_from": day.groupby(first).min(),
         "_gone": day.groupby(first).max() + patience}
    )  # fmt: skip
    asked = answers.dropna(subset=[customer, answered])
    _check_until("answered", asked[answered], end)
    asked = asked.assign(_day=asked[answered].dt.normalize()).sort_values("_day", kind="stable")
    linked = pd.merge_asof(
        asked, spells.sort_values("_from"), left_on="_day", right_on="_from", by=customer
    )
    table = linked[linked["_day"] < linked["_gone"]]
    days = (table["_gone"].clip(upper=end) - table["_day"]).dt.days.astype(float)
    table = table.assign(**{DAYS: days, LEFT: table["_gone"] <= end})
    return _followed(
        table.drop(columns=["_day", "_from", "_gone"]).reset_index(drop=True), len(answers),
        f"who had bought in the {inactive_after} days before", customer=customer,
        answered=answered, until=end, inactive_after=inactive_after,
    )  # fmt: skip


def _followed(table: pd.DataFrame, asked: int, lacking: str, **known: Any) -> FollowUp:
    """The answers that were linked, and how many were not."""
    n = asked - len(table)
    note = f"{n:,} of {asked:,} answers {'has' if n == 1 else 'have'} no customer {lacking}."
    return FollowUp(
        table=table,
        n_missing=pd.DataFrame({"column": [known["customer"]], "n_missing": [n]}),
        notes=(note,) if n else (),
        **known,
    )


def study_follow_up(
    study: Study,
    *,
    period: str | None = None,
    where: Mapping[str, Any] | None = None,
    earlier: bool = False,
) -> FollowUp:
    """Answers of a study's main table, linked to what its customers did afterwards.

    Parameters
    ----------
    study : Study
        Its main table declares the customer and a date, ``[study]`` says ``observed_until``, and
        a table of customers has a column with ``role = "left"``; without one, a table has
        ``role = "purchase"`` and ``[study]`` says ``inactive_after``.
    period, where
        As for `Study.read`.
    earlier : bool
        Take the answers of all periods before it too, as `leaving_risk` needs them.

    Returns
    -------
    FollowUp
        An answer's date is the latest of its row.

    Raises
    ------
    ValueError
        For a study that declares none of it, or that its answers are confidential.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> linked = study_follow_up(load_study("demo"), period="2025-Q4")
    >>> len(linked.table), int(linked.table["left_after"].sum())
    (426, 84)
    """
    own = study.main.with_role("customer", "cluster")
    dates = [column.name for column in study.main.with_role("date")]
    if not own or not dates:
        raise ValueError(
            f"table '{study.main.name}' of study '{study.name}' must declare a customer and a date; "
            f"got {'no customer' if not own else 'no date'}."
        )
    _check_linking(study)
    there = study.periods
    chosen = there[: there.index(period) + 1] if earlier and period in there else period
    answers = study.read(period=chosen, where=where, engine="pandas")
    answers = answers.assign(answered_on=answers[dates].max(axis=1))
    return linked_to_leaving(study, answers, customer=own[0].name, answered="answered_on")


def linked_to_leaving(
    study: Study, rows: pd.DataFrame, *, customer: str, answered: str
) -> FollowUp:
    """Rows of customers, linked to when they left as the study declares it."""
    _check_linking(study)
    tables = study.definition.tables.values()
    until, patience = study.definition.observed_until, study.definition.inactive_after
    dated = next((one for one in tables if one.with_role("left")), None)
    bought = next((one for one in tables if one.with_role("purchase")), None)
    found = dated or (bought if patience else None)
    if found is None or until is None:
        lacking = "observed_until in [study]" if found else "a column with the role left"
        raise ValueError(
            f"study '{study.name}' must declare {lacking}; got none. Without dates of leaving, "
            "declare a column with the role purchase and inactive_after in [study]."
        )
    ids = found.with_role("customer") or found.with_role("cluster", "id")
    if not ids:
        raise ValueError(f"table '{found.name}' must declare the customer's id; got none.")
    people = study.read(found.name, engine="pandas").rename(columns={ids[0].name: customer})
    given: dict[str, Any] = {"customer": customer, "answered": answered, "until": until}
    if dated is None:
        purchased = found.with_role("purchase")[0].name
        return follow_up_purchases(
            rows, people, purchased=purchased, inactive_after=int(patience or 0), **given
        )
    worth = found.only("value")
    left = found.with_role("left")[0].name
    account = study.main.only("account")
    named = account.name if account and account.name in (*rows, *people) else None
    value = worth.name if worth else None
    return follow_up(rows, people, left=left, value=value, account=named, **given)


def _check_linking(study: Study) -> None:
    if study.definition.confidential:
        raise ValueError(
            f"study '{study.name}' must not be linked to what customers did, nor its customers be "
            'listed to be called: it declares answers_are = "confidential".'
        )


def _check_until(name: str, days: pd.Series, until: pd.Timestamp, then: str = ".") -> None:
    refuse(
        days[days.dt.normalize() > until],
        f"`{name}` must be up to {until.date()}, the last day observed",
        f". Set `observed_until` later{then}",
    )


def _check_customers(
    customers: pd.DataFrame, customer: str, left: str, until: pd.Timestamp, value: str | None
) -> None:
    refuse(
        customers.loc[customers[customer].duplicated(), customer],
        "`customers` must hold each customer once",
        f" more than once in '{customer}'. Keep one row of each.",
    )
    _check_until("left", customers[left], until, ", or leave those dates blank.")
    if value:
        below = customers.loc[customers[value] < 0, value]
        refuse(below, "`value` must be 0 or more", f" in '{value}'.")


def _check_order(table: pd.DataFrame, answered: str, left: str, until: pd.Timestamp) -> None:
    refuse(
        table.loc[table[answered].dt.normalize() > table[left].dt.normalize(), answered],
        "`answered` must not be after the customer left",
        ". Was it recorded after the event? Correct the dates, or leave those answers out.",
    )
    _check_until("answered", table[answered], until)


def respondents_and_others(
    followed: FollowUp,
    *,
    horizon: float = 180,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """Retention of those who answered a wave and of those who did not, among all who were there.

    Parameters
    ----------
    followed : FollowUp
        Answers of one wave, linked to dates of leaving.
    horizon : float
        Days after the end of the wave.
    level : float
    min_group_size : int

    Returns
    -------
    DataFrame
        One row for each group, ``answered`` and ``did not answer``, as of `kaplan_meier`; without
        columns where leaving has no date.

    Notes
    -----
    The clock of both groups starts on the wave's last day, for customers who were there then;
    leave customers who joined later out of the table of customers.
    Counting from the start of a year instead makes those who answered stay longer by
    construction: whoever left early had no time to answer.

    Examples
    --------
    >>> day = pd.Timestamp
    >>> customers = pd.DataFrame({"id": range(40), "gone": [day("2025-03-01")] * 10 + [None] * 30})
    >>> customers["gone"] = pd.to_datetime(customers["gone"])
    >>> answers = pd.DataFrame({"id": range(5, 25), "day": day("2025-01-31")})
    >>> linked = follow_up(
    ...     answers, customers, customer="id", answered="day", left="gone", until="2025-12-31")
    >>> respondents_and_others(linked)[["group", "estimate"]]
                group  estimate
    0        answered      75.0
    1  did not answer      75.0
    """
    customers, left = followed.customers, followed.left
    if customers is None or followed.table.empty:
        return pd.DataFrame()
    start = followed.table[followed.answered].max().normalize()
    there = customers[customers[left].isna() | (customers[left] > start)]
    stop = there[left].fillna(followed.until)
    own = there[followed.customer].isin(followed.table[followed.customer])
    rows = there.assign(
        **{DAYS: (stop - start).dt.days.astype(float), LEFT: there[left].notna()},
        _answered=np.where(own, "answered", "did not answer"),
    )
    table = kaplan_meier(rows, time=DAYS, left=LEFT, horizon=horizon, by="_answered", level=level)
    return with_display(
        suppress_small_groups(table, within=[], min_group_size=min_group_size),
        caption=f"Still there {horizon:g} days after the wave",
        columns=("group", "estimate", "n"), headers={"estimate": "Still there"},
        units={"estimate": "%"}, level=level,
    )  # fmt: skip
