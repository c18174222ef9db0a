"""Lists of customers to call: what became of them, and how soon they were followed up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.gate import suppress_small_groups
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import check_columns
from cxlab.core.messages import refuse
from cxlab.core.metric import Metric
from cxlab.core.phrases import signed
from cxlab.stats.actions.calls import HELD_OUT, LISTED, MUST, called_later
from cxlab.stats.actions.effect import (
    SHOWN,
    SIZES,
    TOGETHER,
    Row,
    agresti_caffo,
    as_points,
    effect_table,
    first_listings,
    of_sides,
)
from cxlab.stats.metrics.two_groups import simple_difference
from cxlab.stats.outcomes.follow_up import FollowUp, linked_to_leaving
from cxlab.stats.outcomes.survival import kaplan_meier, parts, survival
from cxlab.survey.study import Study

#: Table of a study's lists.
FOLLOW_UPS = "follow_ups"


def study_follow_ups(
    study: Study,
    *,
    period: str | None = None,
    lists: int | None = None,
    where: Mapping[str, Any] | None = None,
) -> FollowUp:
    """Lists of a study, each customer with how long they stayed after being listed.

    Parameters
    ----------
    study : Study
        Declares a table ``follow_ups`` with the columns ``listed_at``, ``closed_at``, ``arm``, ``owner`` and a
        customer, and who left (see `study_follow_up`).
    period : str, optional
        The last period whose answers were listed; default: all.
    lists : int, optional
        How many periods of lists, up to that one; default: all.
    where : mapping, optional
        As for `Study.read`: listings of customers who had given such an answer by then. What
        somebody answers after a listing may be due to it, and decides nothing.

    Returns
    -------
    FollowUp
        Its table: one row per listing, in order: ``customer``, the table's other columns,
        ``list`` (the period whose answers were listed), ``listed_before`` (whether the customer
        was on an earlier list, of all there are), ``called_later`` (day on which the customer was
        first listed to be called after it; blank: never), ``days_followed``, ``left_after`` and
        ``next_score`` (likelihood to recommend at the next answer after it; blank: none).

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> listed = study_follow_ups(load_study("demo"), lists=1)
    >>> listed.table["arm"].value_counts().to_dict()
    {'listed': 128, 'held out': 13}
    """
    own = study.table(FOLLOW_UPS).with_role("customer", "cluster", "id")[0].name
    rows = study.read(FOLLOW_UPS, engine="pandas").drop(columns="period", errors="ignore")
    rows = rows.rename(columns={own: "customer"}).sort_values("listed_at", kind="stable")
    asked, score = _dated_answers(study), study.advocacy
    such = _dated_answers(study, where) if where else asked
    starts = asked.groupby("period", observed=True)["_day"].min().sort_values().reset_index()
    starts = starts.rename(columns={"period": "list"}).astype({"list": "str"})
    again = rows["customer"].duplicated() & rows["customer"].notna()
    rows = rows.assign(listed_before=again, called_later=called_later(rows))
    rows = rows[rows["customer"].map(such.groupby("customer")["_day"].min()) <= rows["listed_at"]]
    rows = pd.merge_asof(rows, starts, left_on="listed_at", right_on="_day").drop(columns="_day")
    known = asked[["customer", "_day", score]].dropna().rename(columns={score: "next_score"})
    rows = pd.merge_asof(
        rows, known, left_on="listed_at", right_on="_day", by="customer", direction="forward",
        allow_exact_matches=False,
    ).drop(columns="_day")  # fmt: skip
    names = list(starts["list"])
    last = names.index(period) + 1 if period in names else len(names)
    chosen = names[max(last - (lists or last), 0) : last]
    rows = rows[rows["list"].isin(chosen)]
    return linked_to_leaving(study, rows, customer="customer", answered="listed_at")


def _dated_answers(study: Study, where: Mapping[str, Any] | None = None) -> pd.DataFrame:
    """Answers of the main table with ``customer`` and ``_day``, in order of time."""
    answers, main = study.read(where=where, engine="pandas"), study.main
    days = answers[[column.name for column in main.with_role("date")]].max(axis=1).dt.normalize()
    whose = answers[main.with_role("customer", "cluster")[0].name]
    return answers.assign(_day=days, customer=whose).sort_values("_day", kind="stable")


def loop_status(
    follow_ups: pd.DataFrame,
    *,
    until: str | pd.Timestamp,
    within: float = 14,
    by: str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """How many listed customers were followed up, and how soon.

    Parameters
    ----------
    follow_ups : DataFrame
        One row per customer on a list: ``arm``, and dates ``listed_at`` and ``closed_at`` (blank:
        still open).
    until : date
        Last day on which closing would have been seen.
    within : float
        Days after listing in which a case should be closed.
    by : str, optional
        Column of groups, such as the owner.
    min_group_size : int

    Returns
    -------
    DataFrame
        Per group: ``group`` (with ``by``), ``n`` (listed), ``at_risk``, ``estimate`` (per cent
        closed within the days), ``se``, ``ci_low``, ``ci_high``, ``median_days`` (blank where
        fewer than half are closed), ``note``.

    Notes
    -----
    Kaplan–Meier, with open cases censored: the mean of the closed cases alone is too short,
    because long cases are still open.

    Examples
    --------
    >>> day = pd.Timestamp("2025-10-01")
    >>> rows = pd.DataFrame({"listed_at": [day] * 20, "arm": "listed",
    ...     "closed_at": [day + pd.Timedelta(days=5)] * 15 + [pd.NaT] * 5})
    >>> loop_status(rows, until="2025-12-31")[["n", "estimate", "median_days"]]
        n  estimate  median_days
    0  20      75.0          5.0
    """
    check_columns(follow_ups, {"follow_ups": ["listed_at", "closed_at", "arm"], "by": by})
    end = pd.Timestamp(until)
    rows = follow_ups[follow_ups["arm"].isin([LISTED, MUST])]
    start, stop = pd.to_datetime(rows["listed_at"]), pd.to_datetime(rows["closed_at"])
    refuse(stop[stop < start], "`closed_at` must not be before `listed_at`")
    days = (stop.fillna(end) - start).dt.days.astype(float)
    rows = rows.assign(_days=days, _closed=stop.notna() & (stop <= end))
    table = kaplan_meier(rows, time="_days", left="_closed", horizon=within, by=by)
    open_, low, high = (table[name] for name in ("estimate", "ci_low", "ci_high"))
    table = table.assign(estimate=100 - open_, ci_low=100 - high, ci_high=100 - low)
    known = rows.dropna(subset=["_days"])
    table["median_days"] = [_median(part) for _, part in parts(known, by)]
    return with_display(
        suppress_small_groups(table, within=[], min_group_size=min_group_size),
        caption=f"Cases closed within {within:g} days" + (f", by {by}" if by else ""),
        about="Open cases counted.",
        columns=(*(["group"] if by else []), "estimate", "median_days", "n"),
        headers={"estimate": "Closed in time"}, units={"estimate": "%"},
    )  # fmt: skip


def _median(rows: pd.DataFrame) -> float:
    for day in np.unique(rows.loc[rows["_closed"], "_days"]):
        if survival(rows["_days"], rows["_closed"], float(day)).estimate <= 0.5:
            return float(day)
    return np.nan


def next_scores(
    follow_ups: FollowUp | pd.DataFrame,
    *,
    rule: tuple[float, float] = (0, 6),
    scale: tuple[float, float] = (0, 10),
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """What listed and held-out customers answered next, and what the silent could make of it.

    Parameters
    ----------
    follow_ups : FollowUp or DataFrame
        As for `loop_effect`, with ``next_score``, blank where there is none.
    rule : (low, high)
        Scores that ask for a call, as of `call_list`.
    scale : (low, high)
        Of the score.
    level, min_group_size
        As for `loop_effect`.

    Returns
    -------
    DataFrame
        As of `loop_effect`: the mean of those who answered again, the per cent of them who
        answered above ``rule`` (of the held out nobody was called: what chance alone does), and
        the bounds of the mean's difference if the silent of one side had given the lowest score
        and those of the other the highest.

    Raises
    ------
    ValueError
        For a score, or a rule, outside the scale.

    Notes
    -----
    Means: Welch's interval. A side whose answers are all alike has an unknown variance, not 0,
    and takes that of both sides together; where both are, there is no interval. Shares: Agresti
    and Caffo's.
    """
    rows = first_listings(follow_ups, HELD_OUT, {"next_score": "next_score"})
    odd = rows.loc[~rows["next_score"].between(*scale) & rows["next_score"].notna(), "next_score"]
    outside = [*odd, *(end for end in rule if not scale[0] <= end <= scale[1])]
    refuse(
        outside,
        "`scale` must hold every score and `rule`",
        f" outside {scale[0]:g} to {scale[1]:g}.",
    )
    sides = [
        rows.loc[rows["_called"] == side, "next_score"].astype(float) for side in (True, False)
    ]
    sums = pd.DataFrame(
        [{"n": side.count(), "y": side.sum(), "yy": (side**2).sum()} for side in sides]
    )
    sizes = dict(zip(SIZES, sums["n"], strict=True))
    above = np.array([(side.dropna() > rule[1]).mean() for side in sides])
    mean: Row = {}
    share: Row = {}
    if sums["n"].min() > 1:
        gap = simple_difference(sums, Metric("next_score", "mean"), level)
        mean = {name: gap[name] for name in ("estimate", "se", "ci_low", "ci_high")}
        share = agresti_caffo(above, sums["n"].to_numpy(), level)
    found: list[Row] = [
        {"outcome": "next score", **sizes, **of_sides([side.mean() for side in sides]), **mean},
        {"outcome": f"above {rule[1]:g} (%)", **sizes, **as_points(of_sides(above) | share)},
    ]
    found = [row | {"note": "of those who answered again"} for row in found]
    if all(len(side) for side in sides):
        ends = [[side.fillna(end).mean() for end in scale] for side in sides]
        low, high = ends[0][0] - ends[1][1], ends[0][1] - ends[1][0]
        note = f"from {signed(low, 1)} to {signed(high, 1)}, whatever the silent would have said"
        everyone = dict(zip(SIZES, map(len, sides), strict=True))
        found += [{"outcome": "bounds", **everyone, "ci_low": low, "ci_high": high, "note": note}]
    table = effect_table(
        [{"list": TOGETHER, **row} for row in found], HELD_OUT, min_group_size, level
    )
    return with_display(
        table, caption="The next answer of listed and held out", columns=("outcome", *SHOWN), bar=()
    )
