"""Which groups of a whole are too small to show, and which would give them back.

One rule for every table, chart, file and report: NumPy only, so that any part of the
toolkit can ask it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

#: Fewer answers than this are never shown.
MIN_GROUP_SIZE = 10

SMALL = "small"
COMPLEMENTARY = "complementary"


def hidden_groups(
    sizes: ArrayLike,
    min_group_size: int = MIN_GROUP_SIZE,
    *,
    ungrouped: int = 0,
    first: int | None = None,
    hidden: Mapping[int, str] | None = None,
) -> dict[int, str]:
    """Number of each group of a whole to hide, and why: small ones, and those that would give them back.

    Parameters
    ----------
    sizes : array_like of int, shape (groups,)
        Answers in each group; the groups make up a total that is shown. An empty group says nothing
        about anybody and is not hidden.
    min_group_size : int
    ungrouped : int
        Answers in the total that are in no group: a group like any other, hidden before any other.
    first : int, optional
        Number of the group to hide before any other: that of the answers in none, among ``sizes``.
    hidden : mapping of int to str, optional
        Groups that are hidden anyway, and why.

    Notes
    -----
    The total less the groups shown gives the hidden ones together, so these must be two at least and
    hold ``min_group_size`` answers at least; the next smallest groups (of groups alike in size the
    first) join them until they do. Hundepool et al. (2012), Statistical Disclosure Control, chapter 4.

    Examples
    --------
    >>> hidden_groups([120, 4, 60]), hidden_groups([120, 4, 7, 60])
    ({1: 'small', 2: 'complementary'}, {1: 'small', 2: 'small'})

    Thirty answers are in no group, so that the four cannot be separated from them:

    >>> hidden_groups([120, 4, 60], ungrouped=30)
    {1: 'small'}
    """
    n = np.append(np.asarray(sizes, dtype=float), float(ungrouped))
    small = np.flatnonzero((n > 0) & (n < min_group_size)).tolist()
    found = dict(hidden or {}) | dict.fromkeys(small, SMALL)
    nowhere = len(n) - 1
    order = [nowhere, *([first] if first is not None else []), *np.argsort(n[:-1], kind="stable")]
    found = covered(n, found, min_group_size, order)
    found.pop(nowhere, None)
    return found


def covered(
    sizes: ArrayLike, hidden: Mapping[int, str], least: int, order: ArrayLike
) -> dict[int, str]:
    """Groups that are hidden (``least`` answers and two groups at least), and others that cover them.

    ``order``: in which groups are taken to cover others.
    """
    n, found = np.asarray(sizes, dtype=float), dict(hidden)
    for i in np.asarray(order, dtype=int).tolist():
        there = [j for j in found if n[j] > 0]
        if not there or (len(there) >= 2 and n[there].sum() >= least):
            break
        if i not in found and n[i] > 0:
            found[i] = COMPLEMENTARY
    return found


#: Holds, in the kernel of a report, what the run that makes it hides: `as_record` in JSON.
HIDDEN_VARIABLE = "CXLAB_HIDDEN"

#: Period, column of answers and segment to hidden groups; without segments the column's answers
#: are not read at all, without columns the period's.
Record = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]


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
