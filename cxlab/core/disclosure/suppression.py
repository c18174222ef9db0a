"""Hide groups so small that a figure is about persons, and whatever would give them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.disclosure.audit import Joint, hidden_in_segments
from cxlab.core.disclosure.rule import (
    COMPLEMENTARY,
    MIN_GROUP_SIZE,
    SMALL,
    column_hidden_by_run,
    groups_hidden_by_run,
    hidden_groups,
)
from cxlab.core.frames import collect, group_sums, scan, with_wall_times
from cxlab.core.labels import row_labels
from cxlab.core.totals import in_declared_order

__all__ = [
    "COMPLEMENTARY", "EVERYONE", "LABELS", "MIN_GROUP_SIZE", "ROWS", "SMALL", "Hidden",
    "hidden_by_segment", "hidden_groups", "hidden_in", "hide_rows", "joint_answers", "suppress_small_groups",
]  # fmt: skip

EVERYONE = "everyone"
#: Instead of a column: all rows, answered or not.
ROWS = ""
#: Columns that name a row, and so stay when its figures are hidden.
LABELS = ("label", "metric", "segment", "group", "touchpoint", "unit", "column", "target", "period")

#: (column of answers, segment) to each hidden group and the reason; None is the group of
#: the answers without a segment.
Hidden = dict[tuple[str, str], dict[str | None, str]]


def hidden_by_segment(
    data: Any,
    table: pd.DataFrame,
    segments: Sequence[str],
    *,
    weights: str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
    hidden: Hidden | None = None,
) -> Hidden:
    """Which groups to hide, of each column of answers in each segment.

    Every table of the same answers starts from what this says, so that no two of them
    give back together what each of them hides.

    Parameters
    ----------
    data
        Dataframe of any engine. Its rows are counted only if there are several segments.
    table : DataFrame
        One row per column of answers, metric, segment and group: ``column``, ``metric``,
        ``segment`` (``everyone`` for the whole), ``group``, ``n``.
    segments : sequence of str
        Columns; everyone, and the groups of each of them, are shown.
    weights : str or None
        Column of weights; rows of weight 0 are outside the population.
    min_group_size : int
        Smaller groups are hidden, and with them whatever would give them back.
    hidden : dict, optional
        What is hidden anyway.

    Returns
    -------
    dict
        (column, segment) to a dict of the hidden groups, by label, and the reason; the
        label None stands for the answers without a segment. ``everyone`` is there as a
        segment of one group where it is hidden too. Of several segments the empty column
        stands for rows, answered or not.

    Notes
    -----
    The answers without a segment are a group like any other: hidden where they are few,
    and before any other group where a group needs cover. See
    `cxlab.core.disclosure.audit.hidden_in_segments` for several segments.

    Examples
    --------
    >>> answers = pd.DataFrame({"s": 5.0, "kind": ["a"] * 120 + ["b"] * 4 + ["c"] * 60})
    >>> table = pd.DataFrame({"column": "s", "metric": "mean", "group": ["all", *"abc"],
    ...                       "segment": ["everyone"] + ["kind"] * 3, "n": [184, 120, 4, 60]})
    >>> hidden_by_segment(answers, table, ["kind"])
    {('s', 'kind'): {'b': 'small', 'c': 'complementary'}}
    """
    anyway = _anyway(hidden, table["column"].unique(), segments)
    found = _one_by_one(table, segments, min_group_size, anyway)
    if len(segments) > 1:
        # in one order, so that no table chooses otherwise between groups alike in size
        every, columns = sorted(set(segments)), [*table["column"].unique(), ROWS]
        for column, joint in joint_answers(data, columns, every, weights=weights).items():
            found |= _audited(column, joint, every, min_group_size, anyway)
    return found


def _anyway(hidden: Hidden | None, columns: Iterable[str], segments: Sequence[str]) -> Hidden:
    """What is hidden anyway: as told, and because of other reports of the run."""
    return {
        (column, segment): groups_hidden_by_run(column, segment)
        | (hidden or {}).get((column, segment), {})
        for column in columns
        for segment in segments
    }


def _one_by_one(
    table: pd.DataFrame, segments: Sequence[str], min_group_size: int, hidden: Hidden
) -> Hidden:
    """What each segment hides by itself."""
    found: Hidden = {}
    for column, part in table.groupby("column", sort=False):
        one = part[part["metric"] == part["metric"].iloc[0]]
        whole = int(one.loc[one["segment"] == EVERYONE, "n"].iloc[0])
        if 0 < whole < min_group_size:
            found[str(column), EVERYONE] = {EVERYONE: SMALL}
        away = not whole and column_hidden_by_run(str(column))
        if away:
            found[str(column), EVERYONE] = {EVERYONE: COMPLEMENTARY}
        for segment in segments:
            own = one[one["segment"] == segment]
            names: list[str | None] = [*own["group"].astype(str), None]
            n = [*own["n"], whole - int(own["n"].sum())]
            start = _places(hidden.get((str(column), segment), {}), names)
            start |= dict.fromkeys(range(len(own)), COMPLEMENTARY) if away else {}
            more = hidden_groups(n, min_group_size, first=len(own), hidden=start)
            found[str(column), segment] = {names[i]: why for i, why in more.items()}
    return found


def hidden_in(
    data: Any,
    columns: Sequence[str],
    segments: Sequence[str],
    *,
    weights: str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Hidden:
    """As `hidden_by_segment`, from the answers alone."""
    # in one order, so that no table chooses otherwise between groups alike in size
    every = sorted(set(segments))
    joints = joint_answers(data, columns, every, weights=weights)
    rows = []
    for column, joint in joints.items():
        rows.append((column, EVERYONE, EVERYONE, int(joint.n.sum())))
        for code, segment, names, rest in zip(
            joint.codes.T, every, joint.names, joint.not_given, strict=True
        ):
            n = np.bincount(code, weights=joint.n, minlength=len(names))
            rows += [
                (column, segment, name, int(n[i])) for i, name in enumerate(names) if i != rest
            ]
    table = pd.DataFrame(rows, columns=["column", "segment", "group", "n"]).assign(metric="")
    anyway = _anyway(None, columns, every)
    found = _one_by_one(table, every, min_group_size, anyway)
    for column, joint in joints.items() if len(every) > 1 else []:
        found |= _audited(column, joint, every, min_group_size, anyway)
    return found


def _places(groups: Mapping[str | None, str], names: Sequence[str | None]) -> dict[int, str]:
    return {names.index(name): why for name, why in groups.items() if name in names}


def _audited(
    column: str, joint: Joint, segments: Sequence[str], least: int, hidden: Hidden
) -> Hidden:
    labels = [
        [None if i == rest else name for i, name in enumerate(names)]
        for names, rest in zip(joint.names, joint.not_given, strict=True)
    ]
    start = [
        _places(hidden.get((column, segment), {}), names)
        for segment, names in zip(segments, labels, strict=True)
    ]
    found = hidden_in_segments(joint, least, start)
    return {
        (column, segment): {names[i]: why for i, why in groups.items()}
        for segment, names, groups in zip(segments, labels, found, strict=True)
    }


def joint_answers(
    data: Any, columns: Sequence[str], segments: Sequence[str], *, weights: str | None = None
) -> dict[str, Joint]:
    """Answers to each column in the joint cells of several segments, in one pass.

    Parameters
    ----------
    data
        Dataframe of any engine.
    columns, segments : sequence of str
        An empty column counts rows, answered or not.
    weights : str or None
        Rows of weight 0 are outside the population.

    Returns
    -------
    dict of str to Joint
        The last group of a segment holds the answers without one, if there are any.
    """
    used = [*filter(None, columns), *segments, *([weights] if weights else [])]
    lazy = scan(with_wall_times(data, segments), used)
    some = nw.col(segments[0]).is_null()
    answered = {
        f"n_{i}": ~nw.col(name).is_null() if name else some | ~some
        for i, name in enumerate(columns)
    }
    if weights:
        inside = nw.col(weights).cast(nw.Float64) > 0
        answered = {name: valid & inside for name, valid in answered.items()}
    keys = {f"by_{i}": nw.col(name) for i, name in enumerate(segments)}
    counted = {
        name: nw.when(valid).then(nw.lit(1)).otherwise(nw.lit(0))
        for name, valid in answered.items()
    }
    sums = [nw.col(name).sum() for name in counted]
    table = collect(group_sums(lazy.select(**keys, **counted), list(keys), sums))
    numbered = [_numbered(table[key], data, name) for key, name in zip(keys, segments, strict=True)]
    codes = np.column_stack([code for code, _, _ in numbered])
    names, rest = tuple(found[1] for found in numbered), tuple(found[2] for found in numbered)
    return {
        column: Joint(codes, table[f"n_{i}"].to_numpy(), names, rest)
        for i, column in enumerate(columns)
    }


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
        One row per group, with ``n``. Label columns stay; every other column of a hidden
        row becomes null, ``n`` too.
    within : sequence of str
        Label columns that name a whole: rows alike in them are its groups, whose total
        may be shown elsewhere.
    min_group_size : int
        Smallest number of answers that may be shown.
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
    """
    result = table.drop(columns=ungrouped) if ungrouped else table
    reason = pd.Series("", index=table.index)
    parts: Mapping = table.groupby(list(within), dropna=False, sort=False).indices if within else {
        (): np.arange(len(table))
    }  # fmt: skip
    for places in parts.values():
        sizes = table["n"].to_numpy(float)[places]
        outside = int(table[ungrouped].iloc[places[0]]) if ungrouped else 0
        anyway = _hidden_rows(table.iloc[places], segment) if segment else {}
        found = hidden_groups(sizes, min_group_size, ungrouped=outside, hidden=anyway)
        for i, why in found.items():
            reason.iloc[places[i]] = why
    return hide_rows(result, reason, min_group_size)


def _hidden_rows(table: pd.DataFrame, segment: str) -> dict[int, str]:
    column = next((name for name in ("column", "touchpoint") if name in table), "")
    hidden = groups_hidden_by_run(str(table[column].iloc[0]) if column else "", segment)
    return _places(hidden, table["group"].astype(str).tolist())


def hide_rows(table: pd.DataFrame, reason: pd.Series, min_group_size: int) -> pd.DataFrame:
    """The table with the figures of some rows hidden, and why.

    Parameters
    ----------
    table : DataFrame
    reason : Series of str
        Of each row: ``"small"``, ``"complementary"``, or empty where it is shown.
    min_group_size : int
        For the note.
    """
    result, rows = table.copy(), reason != ""
    words = {
        SMALL: f"hidden: fewer than {min_group_size} answers",
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
