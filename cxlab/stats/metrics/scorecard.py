"""A portfolio of metrics: the whole and its segments, weighted and not, with targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.gate import (
    EVERYONE,
    ROWS,
    answers_suffice,
    decide,
    joint_answers,
    table_joints,
)
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import metric_titles, with_display
from cxlab.core.frames import Opened, as_list, collect, open_frame
from cxlab.core.messages import got
from cxlab.core.metric import Metric, metric_list
from cxlab.core.phrases import joined
from cxlab.core.result import Result
from cxlab.stats.inference import score_statistic, wilson_statistic
from cxlab.stats.metrics.estimates import By, estimate_each, estimate_metrics, top_box
from cxlab.stats.metrics.values import check_account_values, open_metrics
from cxlab.survey.definition import Column
from cxlab.survey.study import Study

#: Fewer answers than this and a figure is shown with a warning.
FEW_ANSWERS = 30

COLUMNS = (
    "label", "metric", "segment", "group", "n", "estimate", "se", "ci_low", "ci_high",
    "unweighted", "unit", "target", "attained", "confidence", "deff", "n_eff", "n_missing",
    "column", "suppressed", "note",
)  # fmt: skip


def scorecard(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    by: str | Sequence[str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    labels: Mapping[str, str] | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Result:
    """Every metric of everyone and of each segment, with interval, target and what is hidden.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    metrics : Metric, sequence of Metric, or str
        What to measure: ``study.metrics()`` gives those that the study declares; a text is a
        column of likelihood to recommend, measured by its NPS.
    by : str or sequence of str, optional
        Segment columns, each taken on its own.
    design, level
        As for `cxlab.nps`.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    min_group_size : int
        Groups of fewer people are hidden, and with them whatever of this table would give them
        back, in other segments too. People are customers, however often they answer, where
        ``design`` names their column; else every answer is one person's.

    Returns
    -------
    Result
        ``n_missing`` per column of everyone, ``notes``, and the ``table``: one row per metric
        for everyone, then per metric × segment × group: ``label`` (words of the column),
        ``metric`` (its name), ``segment`` and ``group`` (``everyone`` for the whole), ``n``,
        ``estimate``, ``se``, ``ci_low``, ``ci_high`` in the metric's ``unit`` (points, % or
        score), ``unweighted`` (the estimate without weights), ``unit``; ``target``,
        ``attained`` (``yes``: the whole interval reaches it; ``no``: none of it does;
        ``undecided``), ``confidence`` (one-sided, 0 to 1, that it is attained); ``deff``,
        ``n_eff``, ``n_missing``, ``column``, ``suppressed`` (``small``, ``complementary`` or
        empty) and ``note``.

    Notes
    -----
    Answers without a segment are a group that has no row: where they are few, another group
    is hidden, lest everyone less the groups gives them. ``confidence`` is one less the
    one-sided p-value of "the target is not attained" by the test that the interval inverts:
    Tango's for net scores, Wilson's for shares, Student's t for means. At a level of 95 % it is
    over 0.975 where ``attained`` is ``yes``.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 4, 2] * 10 + [None]})
    >>> metric = Metric("overall", "box", top=(4, 5), name="top box", target=50)
    >>> card = scorecard(answers, [metric])
    >>> card.table[["label", "metric", "n", "estimate", "unit", "attained", "n_missing"]]
         label   metric   n  estimate unit attained  n_missing
    0  overall  top box  40      75.0    %      yes          1
    """
    metrics = metric_list(metrics)
    if not metrics:
        return Result(table=pd.DataFrame(columns=list(COLUMNS)))
    words, segments = dict(labels or {}), as_list(by)
    opened = open_metrics(data, metrics, design=design, by=segments)
    whole, *parts = estimate_each(opened, metrics, [None, *segments], level=level)
    tables = [whole.assign(segment=EVERYONE, group=EVERYONE)]
    for segment, part in zip(segments, parts, strict=True):
        tables.append(part.assign(segment=segment, group=part["group"].astype(str)))
    table = pd.concat(tables, ignore_index=True)
    table["label"] = [words.get(name, name) for name in table["column"]]
    table["note"] = [_size_note(n, note) for n, note in zip(table["n"], table["note"], strict=True)]
    every = sorted(set(segments))
    joints = table_joints(table, every) if len(every) < 2 else None
    if joints is None or not answers_suffice(opened, joints, min_group_size):
        columns = [*table["column"].unique(), *([ROWS] if every else [])]
        joints = joint_answers(opened, columns, every, min_group_size)
    gate = decide(joints, every, min_group_size)
    shown = gate.hide(_with_targets(table, metrics))
    shown["segment"] = [words.get(name, name) for name in shown["segment"]]
    everyone = shown.loc[shown["segment"] == EVERYONE, ["column", "n_missing"]]
    hidden = int((shown["suppressed"] != "").sum())
    few = f"fewer than {min_group_size} {gate.counted}"
    note = f"Rows hidden: {hidden}, with {few} or giving such back."
    return Result(
        table=with_display(
            shown[list(COLUMNS)], labels=words, titles=metric_titles(metrics, words), level=level
        ),
        n_missing=everyone.drop_duplicates("column").dropna().reset_index(drop=True),
        notes=(note,) if hidden else (),
    )


def _with_targets(table: pd.DataFrame, metrics: Sequence[Metric]) -> pd.DataFrame:
    named = {(m.column, m.name): m for m in metrics}
    chosen = [named[pair] for pair in zip(table["column"], table["metric"], strict=True)]
    target = pd.Series([metric.target for metric in chosen], dtype=float)
    low, high = table["ci_low"], table["ci_high"]
    known = target.notna() & low.notna()
    attained = np.select([low >= target, high < target], ["yes", "no"], "undecided")
    return table.assign(
        target=target, attained=np.where(known, attained, ""),
        confidence=np.where(known, _confidence(table, chosen, target), np.nan),
    )  # fmt: skip


def _confidence(table: pd.DataFrame, metrics: list[Metric], target: pd.Series) -> np.ndarray:
    """One-sided confidence that the target is attained, by the method of the interval."""
    kind = np.array([metric.kind for metric in metrics])
    value = (target / [metric.factor for metric in metrics]).to_numpy(float)
    size, top, bottom = (
        table[name].to_numpy(float) for name in ("n_eff", "top_share", "bottom_share")
    )
    distance = ((table["estimate"] - target) / table["se"].where(table["se"] > 0)).to_numpy(float)
    df = table["df"].clip(lower=1).to_numpy(float)
    found = stdtr(df, distance)
    net, box = kind == "net", kind == "box"
    promoters, detractors = (size * top)[net], (size * bottom)[net]
    found[net] = ndtr(score_statistic(promoters, detractors, size[net], value[net]))
    found[box] = ndtr(wilson_statistic(top[box], size[box], value[box]))
    return found


def _size_note(n: int, note: str) -> str:
    return joined(f"fewer than {FEW_ANSWERS} answers" if 0 < n < FEW_ANSWERS else "", note)


CONTACT, ACCOUNT, VALUE = "each contact", "each account", "by value"
ACCOUNT_COLUMNS = (
    "label", "metric", "counted", "accounts", "n", "estimate", "se", "ci_low", "ci_high", "unit",
    "n_eff", "note",
)  # fmt: skip


def account_scores(answers: Any, study: Study, metrics: Sequence[Metric]) -> pd.DataFrame:
    """Scores of accounts beside those of their contacts, where a study declares accounts.

    Per metric one row for each way to count: ``each contact``, ``each account`` (an account counts once,
    its contacts share it) and, with a column of ``role = "value"``, ``by value``. Accounts are the
    clusters; with fewer of them than the study shows, figures are empty. Refused is an account with two
    values, or one below 0.
    """
    account, value = study.main.only("account"), study.main.only("value")
    if account is None or not metrics:
        return pd.DataFrame()
    names = [*(metric.column for metric in metrics), account.name, *study.design.used()]
    opened = open_frame(answers, rows=[*names, *([value.name] if value else [])])
    rows = opened.rows().dropna(subset=[account.name])
    if value:
        check_account_values(rows, account.name, value.name)
        below = rows.loc[rows[value.name] < 0, value.name]
        if len(below):
            raise ValueError(f"`value` must be 0 or more; got {got([*below])} in '{value.name}'.")
    found = []
    for metric in metrics:
        known = rows.dropna(subset=[metric.column])
        for counted, weights in _account_weights(known, study, account.name, value):
            part = known.assign(_weight=weights)[weights.notna()]
            design = Design(weights="_weight", cluster=account.name)
            table = estimate_metrics(part, [metric], design=design)
            table = table.assign(
                counted=counted, accounts=part.loc[part["_weight"] > 0, account.name].nunique()
            )
            found.append(table.assign(label=study.labels[metric.column]))
    table = pd.concat(found, ignore_index=True)
    least = study.definition.min_group_size
    few = table["accounts"] < least
    table.loc[few, ["estimate", "se", "ci_low", "ci_high", "n_eff"]] = np.nan
    table["note"] = table["note"].mask(few, f"hidden: fewer than {least} accounts")
    return table[list(ACCOUNT_COLUMNS)]


def _account_weights(
    rows: pd.DataFrame, study: Study, account: str, value: Column | None
) -> list[tuple[str, pd.Series]]:
    """Ways to count contacts, and what each contact counts for."""
    own = study.design.weights
    weight = rows[own] if own else pd.Series(1.0, index=rows.index)
    share = weight / weight.groupby(rows[account]).transform("sum")
    ways = [(CONTACT, weight), (ACCOUNT, share)]
    return [*ways, (VALUE, share * rows[value.name])] if value else ways


USAGE_COLUMNS = ("n", "estimate", "se", "ci_low", "ci_high", "users", "n_missing", "note")


def usage(
    answers: Any,
    touchpoints: str | Sequence[str],
    *,
    by: str | None = None,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Result:
    """Per cent of respondents who used each touchpoint, of everyone or per group.

    Parameters
    ----------
    answers
        As ``study.read()`` gives them, of any engine: each touchpoint ``x`` with ``x_missing`` beside it.
    touchpoints : str or sequence of str
    by : str, optional
        Column of the groups.
    labels : mapping of str to str, optional
        Column to words for the ``touchpoint`` column: ``study.labels``.
    design, level
        As for `cxlab.nps`.
    min_group_size : int
        Groups of fewer people are hidden (see `cxlab.scorecard`), and with them whatever would give
        them back.

    Returns
    -------
    Result
        ``n_missing`` per touchpoint (without ``by``), and the ``table``: one row per
        touchpoint × group with ``touchpoint``, ``group`` (with ``by``), ``n`` (who rated it or
        said "never used"; a blank says neither), ``estimate``, ``se``, ``ci_low``, ``ci_high`` in
        per cent, ``users`` (answers), ``n_missing``, ``note`` and, with ``by``, ``suppressed``.
        Where nobody said "never used" the figures are null: it may not have been offered.

    Examples
    --------
    >>> answers = pd.DataFrame({"wifi": [4, None, None, 5],
    ...                         "wifi_missing": [None, "never used", "no answer", None]})
    >>> table = usage(answers, ["wifi"]).table
    >>> table[["touchpoint", "n", "estimate", "n_missing"]].round(1)
      touchpoint  n  estimate  n_missing
    0       wifi  3      66.7          1
    """
    return usage_each(
        answers, as_list(touchpoints), [by], labels=labels, design=design, level=level,
        min_group_size=min_group_size,
    )[0]  # fmt: skip


def usage_each(
    answers: Any,
    touchpoints: Sequence[str],
    groupings: Sequence[str | None],
    *,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> list[Result]:
    """As `usage`, for several ways of grouping the same answers: one result each."""
    if not touchpoints:
        return [Result(table=pd.DataFrame(columns=_usage_columns(by))) for by in groupings]
    needed = [*touchpoints, *(f"{name}_missing" for name in touchpoints)]
    segments = [by for by in groupings if by]
    opened = open_frame(answers, design=design, touchpoints=needed, by=segments)
    opened, never = _use(opened, touchpoints)
    metrics = [Metric(name, "box", top=(1, 1)) for name in touchpoints]
    found, words = [], dict(labels or {})
    tables = estimate_each(opened, metrics, groupings, level=level)
    for by, table in zip(groupings, tables, strict=True):
        table = table.rename(columns={"tops": "users", "column": "touchpoint"})
        # nobody said "never used": it was not offered, or everybody used it
        unknown = ~table["touchpoint"].map(never)
        table.loc[unknown, ["estimate", "se", "ci_low", "ci_high"]] = np.nan
        table.loc[unknown, "note"] = 'nobody said "never used": not offered, or used by all'
        table = table[_usage_columns(by)]
        missing = table[["touchpoint", "n_missing"]].rename(columns={"touchpoint": "column"})
        if by:
            joints = joint_answers(opened, list(touchpoints), [by], min_group_size)
            table = decide(joints, [by], min_group_size).hide_groups(table, "touchpoint", by)
        table["touchpoint"] = [words.get(name, name) for name in table["touchpoint"]]
        found.append(Result(table=table) if by else Result(table=table, n_missing=missing))
    return found


def _usage_columns(by: str | None) -> list[str]:
    return ["touchpoint", *(["group"] if by else []), *USAGE_COLUMNS]


def _use(opened: Opened, touchpoints: Sequence[str]) -> tuple[Opened, dict[str, bool]]:
    """Whether each touchpoint was used (1, 0, or null if unknown) in place of its rating.

    Also whether anybody said "never used" of it.
    """
    one, nought = nw.lit(1.0), nw.lit(0.0)
    # a column of reasons without any is no text to pandas
    reasons = {name: nw.col(f"{name}_missing").cast(nw.String) for name in touchpoints}
    never = {name: (why == "never used").fill_null(False) for name, why in reasons.items()}
    sums = {name: nw.when(said).then(one).otherwise(nought).sum() for name, said in never.items()}
    counts = collect(opened.lazy.select(**sums)).iloc[0].fillna(0)
    used = {
        name: nw.when(~nw.col(name).is_null()).then(one).otherwise(nw.when(said).then(nought))
        for name, said in never.items()
    }
    known = replace(opened, lazy=opened.lazy.with_columns(**used))
    return known, {name: bool(counts[name] > 0) for name in touchpoints}


RETENTION_COLUMNS = (
    "segment", "group", "n", "estimate", "se", "ci_low", "ci_high", "churn", "n_missing", "note",
)  # fmt: skip

#: What a column may say of a customer who stayed, and of one who left.
STAYED = {"yes": 1.0, "true": 1.0, "1": 1.0, "no": 0.0, "false": 0.0, "0": 0.0}


def retention(
    customers: pd.DataFrame,
    active: str,
    *,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share of customers who stayed, per group; churn is the rest.

    Parameters
    ----------
    customers : DataFrame
        One row per customer who was there at the start.
    active : str
        Column that says whether the customer is there at the end: yes/no, true/false or
        1/0. Null: not known, counted in ``n_missing``.
    by, design, level
        As for `cxlab.nps`.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n``, ``estimate`` (per cent retained),
        ``se``, ``ci_low``, ``ci_high``, ``churn`` (100 less the estimate), ``n_missing``,
        ``note``.

    Raises
    ------
    ValueError
        For anything else in ``active``.

    Examples
    --------
    >>> customers = pd.DataFrame({"active": ["yes", "no", "yes", "yes"]})
    >>> retention(customers, "active")[["n", "estimate", "churn"]]
       n  estimate  churn
    0  4      75.0   25.0
    """
    text = customers[active].map(_as_text, na_action="ignore")
    strange = text[text.notna() & ~text.isin(list(STAYED))]
    if len(strange):
        raise ValueError(
            f"`active` must be yes/no, true/false or 1/0; got {got(list(strange))} in '{active}'. "
            "Declare the column's values in the study file."
        )
    stayed = text.map(STAYED).astype(float)
    table = top_box(
        customers.assign(**{active: stayed}), active, top=(1, 1), by=by, design=design,
        level=level,
    )  # fmt: skip
    table.insert(table.columns.get_loc("ci_high") + 1, "churn", 100 - table["estimate"])
    return table.drop(columns=["tops", "deff", "n_eff", "df"])


def study_retention(study: Study) -> pd.DataFrame:
    """Retention of everyone and of each segment, where the study has a table of customers.

    Parameters
    ----------
    study : Study
        A table of it may declare a column with ``role = "active"``.

    Returns
    -------
    DataFrame
        As `retention`, with ``segment`` and ``group`` first and small groups hidden; empty
        where no table declares such a column.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> int(study_retention(load_study("demo")).loc[0, "n"])
    2500
    """
    for name, table in study.definition.tables.items():
        active = table.with_role("active")
        if not active:
            continue
        customers, design = study.read(name, engine="pandas"), study.table_design(name)
        kept, segments = active[0].name, [column.name for column in table.with_role("segment")]
        whole = retention(customers, kept, design=design)
        parts = [whole.assign(segment=EVERYONE, group=EVERYONE)]
        for segment in segments:
            part = retention(customers, kept, by=segment, design=design)
            parts.append(part.assign(segment=segment, group=part["group"].astype(str)))
        together = pd.concat(parts, ignore_index=True).assign(column=kept, metric="retention")
        if len(segments) > 1:
            opened = open_frame(customers, by=[*segments, kept], design=design)
            joints = joint_answers(opened, [kept], segments, study.definition.min_group_size)
        else:
            joints = table_joints(together, segments)
        shown = decide(joints, segments, study.definition.min_group_size).hide(together)
        return shown.replace({"segment": table.labels})[list(RETENTION_COLUMNS)]
    return pd.DataFrame(columns=list(RETENTION_COLUMNS))


def _as_text(value: Any) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().casefold()
