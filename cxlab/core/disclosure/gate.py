"""The one gate: tables with counts go in, tables without small groups come out.

A result makes its tables whole and passes them through when it is made. What is hidden is
decided once for all tables of the same answers: groups so small that a figure is about
persons, whatever would give them back, and what the run that makes a report hides in it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cxlab.core.disclosure.people import People, named_people
from cxlab.core.disclosure.rule import (
    COMPLEMENTARY,
    MIN_GROUP_SIZE,
    SMALL,
    Joint,
    hidden_groups,
    hidden_in_segments,
)
from cxlab.core.frames import Opened, collect, group_sums
from cxlab.core.labels import row_labels
from cxlab.core.totals import in_declared_order

EVERYONE = "everyone"
#: Instead of a column: all rows, answered or not.
ROWS = ""
#: What people are counted by.
ANSWERS, CUSTOMERS = "answers", "customers"
#: Columns that name a row, and so stay when its figures are hidden.
LABELS = ("label", "metric", "segment", "group", "touchpoint", "unit", "column", "target", "period")

#: (column of answers, segment) to each hidden group and the reason; None is the group of
#: the answers without a segment.
Hidden = dict[tuple[str, str], dict[str | None, str]]

#: Holds, in the kernel of a report, what the run that makes it hides: `as_record` in JSON.
HIDDEN_VARIABLE = "CXLAB_HIDDEN"

#: Period, column of answers and segment to hidden groups; without segments the column's answers
#: are not read at all, without columns the period's.
Record = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]


@dataclass(frozen=True, eq=False)
class Gate:
    """What every table of the same answers may show of each group.

    Attributes
    ----------
    hidden : dict
        (column of answers, segment) to a dict of the hidden groups, by label, and the reason;
        the label None stands for the answers without a segment. ``everyone`` is there as a
        segment of one group where it is hidden too.
    min_group_size : int
        Fewest people whose answers may be shown.
    counted : str
        What they were counted by: ``customers`` where some answered more than once, else ``answers``.
    """

    hidden: Hidden
    min_group_size: int
    counted: str = ANSWERS

    def groups(self, column: str, segment: str) -> dict[str | None, str]:
        """Hidden groups of a segment, of the answers to a column, and the reason."""
        return self.hidden.get((column, segment), {})

    def hide(self, table: pd.DataFrame) -> pd.DataFrame:
        """A table of everyone and of the groups of segments with the figures of hidden rows empty.

        One row per metric, segment and group, each with its ``column`` of answers; ``segment`` and
        ``group`` are ``everyone`` for the whole. ``n_missing`` is hidden of segments whose number of rows,
        answered or not, it would reveal.
        """
        places = zip(table["column"], table["segment"], table["group"], strict=True)
        reasons = [self.groups(column, segment).get(group, "") for column, segment, group in places]
        if "n_missing" in table:
            table = table.assign(n_missing=self._missing(table))
        reason = pd.Series(reasons, table.index, dtype=str)
        return hide_rows(table, reason, self.min_group_size, counted=self.counted)

    def hide_groups(self, table: pd.DataFrame, columns: str, segment: str) -> pd.DataFrame:
        """A table of one segment's ``group`` with the figures of hidden ones empty.

        ``columns`` names the table's column that says which column's answers a row is of.
        """
        places = zip(table[columns], table["group"].astype(str), strict=True)
        reasons = [self.groups(column, segment).get(group, "") for column, group in places]
        reason = pd.Series(reasons, table.index, dtype=str)
        return hide_rows(table, reason, self.min_group_size, counted=self.counted)

    def _missing(self, table: pd.DataFrame) -> pd.Series:
        """Rows without an answer, but not of segments where they would reveal a group of few rows.

        Answered or not, the rows of a small group are few: everyone's less the other groups'.
        """
        rows = table["n"] + table["n_missing"]
        metric = [table["column"], table["metric"]]
        whole = rows.where(table["segment"] == EVERYONE).groupby(metric).transform("max")
        segment = [*metric, table["segment"]]
        outside = whole - rows.groupby(segment).transform("sum")
        few = rows.between(1, self.min_group_size - 1).groupby(segment).transform("any")
        few |= outside.between(1, self.min_group_size - 1)
        rows_of = {name for (column, name), groups in self.hidden.items() if groups and not column}
        # of two segments at once: another table may show the rows of either
        few |= bool(rows_of - set(table.loc[few, "segment"]))
        few &= table["segment"] != EVERYONE
        return table["n_missing"].astype("Int64").mask(few) if few.any() else table["n_missing"]


def decide(
    joints: Mapping[str, Joint],
    segments: Sequence[str],
    min_group_size: int = MIN_GROUP_SIZE,
) -> Gate:
    """Which groups to hide, of each column of answers in each segment.

    Every table of the same answers starts from what this says, so that no two of them give back
    together what each of them hides. ``joints``: of each column of answers, as `joint_answers` and
    `table_joints` count them. The answers without a segment are a group like any other: hidden where they are few, and before any
    other group where a group needs cover. Several segments: see
    `cxlab.core.disclosure.rule.hidden_in_segments`.

    >>> table = pd.DataFrame({"column": "s", "metric": "mean", "group": ["all", *"abc"],
    ...                       "segment": ["everyone"] + ["kind"] * 3, "n": [184, 120, 4, 60]})
    >>> decide(table_joints(table, ["kind"]), ["kind"]).groups("s", "kind")
    {'b': 'small', 'c': 'complementary'}
    """
    found: Hidden = {}
    for column, joint in joints.items():
        labels: list[list[str | None]] = [
            [None if i == rest else name for i, name in enumerate(names)]
            for names, rest in zip(joint.names, joint.not_given, strict=True)
        ]
        start = [
            _places(groups_hidden_by_run(column, segment), names)
            for segment, names in zip(segments, labels, strict=True)
        ]
        whole = int(joint.n.sum())
        away = bool(column) and not whole and column_hidden_by_run(column)
        few = joint.who.together(range(len(joint.n))) < min_group_size
        if away or (column and whole and few):
            found[column, EVERYONE] = {EVERYONE: COMPLEMENTARY if away else SMALL}
        if len(segments) > 1:
            chosen = hidden_in_segments(joint, min_group_size, start)
        else:
            chosen = [_of_one_segment(joint, groups, min_group_size, away=away) for groups in start]
        for segment, names, groups in zip(segments, labels, chosen, strict=True):
            found[column, segment] = {names[i]: why for i, why in groups.items()}
    known = any(joint.people is not None for joint in joints.values())
    return Gate(found, min_group_size, CUSTOMERS if known else ANSWERS)


def _of_one_segment(
    joint: Joint, hidden: dict[int, str], least: int, *, away: bool
) -> dict[int, str]:
    groups, rest = joint.names[0], joint.not_given[0]
    sizes = np.bincount(joint.codes[:, 0], joint.n, len(groups))
    if away:
        hidden = dict.fromkeys((i for i in range(len(groups)) if i != rest), COMPLEMENTARY)
    return hidden_groups(sizes, least, first=rest, hidden=hidden, people=joint.who_of(0))


def table_joints(table: pd.DataFrame, segments: Sequence[str]) -> dict[str, Joint]:
    """As `joint_answers`, of a table that counts everyone and the groups of one segment at most."""
    found = {}
    for column, part in table.groupby("column", sort=False):
        one = part[part["metric"] == part["metric"].iloc[0]]
        whole = one.loc[one["segment"] == EVERYONE, "n"].to_numpy(np.int64)
        if not segments:
            found[str(column)] = Joint(np.zeros((1, 0), dtype=np.intp), whole, (), ())
            continue
        own = one[one["segment"] == segments[0]]
        n = np.append(own["n"].to_numpy(np.int64), whole - own["n"].sum())
        names = (*own["group"].astype(str), "")
        found[str(column)] = Joint(np.arange(len(n))[:, None], n, (names,), (len(own),))
    return found


def joint_answers(
    opened: Opened, columns: Sequence[str], segments: Sequence[str], min_group_size: int
) -> dict[str, Joint]:
    """Answers to each column in the joint cells of segments, in one pass, and who gave them.

    Customers, where the design names their column, are told apart in cells of fewer than
    ``min_group_size`` only, and where some of them answered more than once.
    An empty column counts rows, answered or not; rows of weight 0 are outside the population. Give
    segments in one order wherever answers are counted, so that no table chooses otherwise between
    groups alike in size. The last group of a segment holds the answers without one, if there are any.
    """
    some = nw.col((*segments, *filter(None, columns))[0]).is_null()
    answered = {
        f"n_{i}": ~nw.col(name).is_null() if name else some | ~some
        for i, name in enumerate(columns)
    }
    if opened.design.weights:
        inside = nw.col(opened.design.weights) > 0
        answered = {name: valid & inside for name, valid in answered.items()}
    keys = {f"by_{i}": nw.col(name) for i, name in enumerate(segments)}
    counted = {
        name: nw.when(valid).then(nw.lit(1)).otherwise(nw.lit(0))
        for name, valid in answered.items()
    }
    sums = [nw.col(name).sum() for name in counted]
    table = collect(group_sums(opened.lazy.select(**keys, **counted), list(keys), sums))
    numbered = [
        _numbered(table[key], opened.data, name) for key, name in zip(keys, segments, strict=True)
    ]
    codes = np.column_stack([np.zeros((len(table), 0), int), *(code for code, _, _ in numbered)])
    names, rest = tuple(found[1] for found in numbered), tuple(found[2] for found in numbered)
    joints = {
        column: Joint(codes, table[n].to_numpy(), names, rest)
        for column, n in zip(columns, counted, strict=True)
    }
    customer = opened.design.customer
    if customer is None or answers_suffice(opened, joints, min_group_size):
        return joints
    rows = opened.lazy.select(**keys, **counted, customer=nw.col(customer))
    people = named_people(rows, table, list(keys), list(counted), min_group_size)
    return {
        column: Joint(codes, table[n].to_numpy(), names, rest, people[n])
        for column, n in zip(columns, counted, strict=True)
    }


def answers_suffice(opened: Opened, joints: Mapping[str, Joint], min_group_size: int) -> bool:
    """Whether numbers of answers tell which cells are of few people.

    No cell of so many answers is of few customers that together they cannot have given.
    """
    enough = min_group_size * opened.most_rows
    return opened.most_rows == 1 or all((joint.n >= enough).all() for joint in joints.values())


def answered_by_few(
    opened: Opened, columns: Sequence[str], n: ArrayLike, min_group_size: int
) -> NDArray[np.bool_]:
    """Which of some columns few people have answered, but not nobody; ``n``: answers to each."""
    size = np.asarray(n, dtype=float)
    few = (size > 0) & (size < min_group_size)
    unsure = (size >= min_group_size) & (size < min_group_size * opened.most_rows)
    asked = list(dict.fromkeys(name for name, is_so in zip(columns, unsure, strict=True) if is_so))
    if asked and min_group_size > 1:
        joints = joint_answers(opened, asked, [], min_group_size)
        wanted = [name for name in asked if joints[name].who.sizes.sum() < min_group_size]
        few |= np.isin(columns, wanted)
    return few


def groups_of_few(opened: Opened, column: str, by: str, min_group_size: int) -> set[str]:
    """Groups of one column in which few customers have answered another one, but some have."""
    if opened.most_rows == 1 or min_group_size < 2:
        return set()
    joint = joint_answers(opened, [column], [by], min_group_size)[column]
    sizes = joint.who_of(0).sizes
    few = (sizes > 0) & (sizes < min_group_size)
    return {name for name, is_so in zip(joint.names[0], few, strict=True) if is_so}


def _numbered(
    values: pd.Series, data: Any, name: str
) -> tuple[np.ndarray, tuple[str, ...], int | None]:
    """Number of each row's group, the groups in order, the number of those without one."""
    ordered = in_declared_order(values, data, name).sort_values()
    names = tuple(dict.fromkeys(row_labels(ordered.drop_duplicates().dropna())))
    labels = row_labels(values)
    code = labels.map({label: i for i, label in enumerate(names)}).fillna(len(names)).to_numpy(int)
    if not labels.isna().any():
        return code, names, None
    return code, (*names, ""), len(names)


def _places(groups: Mapping[str | None, str], names: Sequence[str | None]) -> dict[int, str]:
    return {names.index(name): why for name, why in groups.items() if name in names}


def suppress_small_groups(
    table: pd.DataFrame,
    *,
    within: Sequence[str],
    min_group_size: int = MIN_GROUP_SIZE,
    ungrouped: str | None = None,
    segment: str = "",
) -> pd.DataFrame:
    """A table of groups with the figures of small ones, and of their complements, hidden.

    Parameters
    ----------
    table : DataFrame
        One row per group, with ``n``, and where customers answer often with ``customers``: how many
        of them gave these answers, which then decides. Label columns stay; every other column of a
        hidden row becomes null, ``n`` too.
    within : sequence of str
        Label columns that name a whole: rows alike in them are its groups, whose total
        may be shown elsewhere.
    min_group_size : int
        Fewest answers, or customers, that may be shown.
    ungrouped : str, optional
        Column with the answers of each whole that are in no group, which are a group of
        their own; taken out of the result.
    segment : str
        Column that the groups are of. With it, what other reports of the run would give back
        is hidden too; answers are those to what ``column`` or ``touchpoint`` names.

    Returns
    -------
    DataFrame
        The same rows; ``suppressed`` says why a row is hidden (empty if it is not), and
        ``note`` says it in words.

    Examples
    --------
    >>> table = pd.DataFrame({"metric": "nps", "group": ["a", "b", "c"], "n": [120, 4, 60],
    ...                       "estimate": [20.0, 50.0, 30.0]})
    >>> suppress_small_groups(table, within=["metric"])[["group", "n", "estimate", "suppressed"]]
      group     n  estimate     suppressed
    0     a   120      20.0
    1     b  <NA>       NaN          small
    2     c  <NA>       NaN  complementary

    Twelve answers of two customers are as few as two:

    >>> often = pd.DataFrame({"group": ["a", "b", "c"], "n": [120, 12, 60],
    ...                       "customers": [118, 2, 59]})
    >>> suppress_small_groups(often, within=[])["suppressed"].tolist()
    ['', 'small', 'complementary']
    """
    result = table.drop(columns=ungrouped) if ungrouped else table
    reason = pd.Series("", index=table.index)
    parts: Mapping = table.groupby(list(within), dropna=False, sort=False).indices if within else {
        (): np.arange(len(table))
    }  # fmt: skip
    for places in parts.values():
        sizes, people = table["n"].to_numpy(float)[places], None
        if CUSTOMERS in table:
            people = People.at_least(table[CUSTOMERS].iloc[places], min_group_size)
        outside = int(table[ungrouped].iloc[places[0]]) if ungrouped else 0
        anyway = _hidden_rows(table.iloc[places], segment) if segment else {}
        found = hidden_groups(
            sizes, min_group_size, ungrouped=outside, hidden=anyway, people=people
        )
        for i, why in found.items():
            reason.iloc[places[i]] = why
    counted = CUSTOMERS if CUSTOMERS in table else ANSWERS
    return hide_rows(result, reason, min_group_size, counted=counted)


def _hidden_rows(table: pd.DataFrame, segment: str) -> dict[int, str]:
    column = next((name for name in ("column", "touchpoint") if name in table), "")
    hidden = groups_hidden_by_run(str(table[column].iloc[0]) if column else "", segment)
    return _places(hidden, table["group"].astype(str).tolist())


def hide_rows(
    table: pd.DataFrame, reason: pd.Series, min_group_size: int, *, counted: str = ANSWERS
) -> pd.DataFrame:
    """The table with the figures of rows hidden for which there is a reason, and a note that says it."""
    result, rows = table.copy(), reason != ""
    words = {
        SMALL: f"hidden: fewer than {min_group_size} {counted}",
        COMPLEMENTARY: "hidden: it would give a smaller group back",
    }
    for column in result.columns:
        if column in LABELS or column == "note":
            continue
        if pd.api.types.is_integer_dtype(result[column]):
            result[column] = result[column].astype("Int64")
        result[column] = result[column].mask(rows)
    if "note" in result:
        result["note"] = result["note"].mask(rows, reason.map(words))
    else:
        result["note"] = reason.map(words).fillna("")
    result["suppressed"] = reason
    return result


class HiddenFigure(NamedTuple):
    """What a run of reports hides in one of them; an empty text stands for all."""

    period: str = ""
    column: str = ""
    segment: str = ""
    group: str = ""


def as_record(figures: Iterable[HiddenFigure]) -> Record:
    """Hidden figures as a report's parameters hold them.

    >>> as_record([HiddenFigure("2025", "", "region", "South"), HiddenFigure("2025", "lounge")])
    {'2025': {'': {'region': ['South']}, 'lounge': {}}}
    """
    record: dict[str, dict[str, dict[str, list[str]]]] = {}
    for one in sorted(set(figures)):
        columns = record.setdefault(one.period, {})
        if one.column or one.segment:
            segments = columns.setdefault(one.column, {})
            if one.segment:
                segments.setdefault(one.segment, []).append(one.group)
    return record


def read_record(record: Record) -> Iterator[HiddenFigure]:
    """The figures of a record that `as_record` made."""
    for period, columns in record.items():
        if not columns:
            yield HiddenFigure(period)
        for column, segments in columns.items():
            if not segments:
                yield HiddenFigure(period, column)
            for segment, groups in segments.items():
                yield from (HiddenFigure(period, column, segment, group) for group in groups)


def hidden_by_run() -> list[HiddenFigure]:
    """What the run that makes this report hides in it; nothing outside of a run."""
    return list(read_record(json.loads(os.environ.get(HIDDEN_VARIABLE) or "{}")))


def groups_hidden_by_run(column: str, segment: str) -> dict[str | None, str]:
    """Groups of a segment whose answers to a column the run hides, and why."""
    return {
        one.group: COMPLEMENTARY
        for one in hidden_by_run()
        if one.segment == segment and one.column in ("", column)
    }


def column_hidden_by_run(column: str) -> bool:
    """Whether a report must not show any figure of a column of answers."""
    return any(one.column == column and not one.segment for one in hidden_by_run())
