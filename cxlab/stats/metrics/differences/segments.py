"""Each group of several segments against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, decide, joint_answers
from cxlab.core.metric import Metric
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.metrics.differences.groups import (
    DIFFERENCE_COLUMNS,
    contrasts_of_groups,
    metric_list,
)
from cxlab.stats.metrics.values import open_metrics


def compare_segments(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    segments: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Each group of each segment against the rest, all tests in one family.

    Parameters
    ----------
    data, metrics
        As for `compare_groups`.
    segments : sequence of str
        Columns of groups, each taken on its own; one with a single group is passed over.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    **options
        As for `compare_groups`: design, level, method, min_group_size and so on.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``segment`` (words of the column) before ``group``;
        ``p_adjusted`` is over all rows. Empty where there is nothing to compare. Hidden are
        the groups that a scorecard by all the segments hides.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10, "kind": ["a", "b"] * 30})
    >>> compare_segments(answers, "recommend", ["kind"])[["segment", "group", "estimate"]].round(1)
      segment group  estimate
    0    kind     a     -66.7
    1    kind     b      66.7
    """
    words, chosen = dict(labels or {}), metric_list(metrics)
    empty = pd.DataFrame(columns=["label", "metric", "segment", *DIFFERENCE_COLUMNS])
    if not chosen or not segments:
        return empty
    opened = open_metrics(data, chosen, design=options.pop("design", None), segments=segments)
    every = sorted(set(segments))
    joints = joint_answers(opened, list(dict.fromkeys(one.column for one in chosen)), every)
    # of all segments together, also of those with one group: a scorecard shows them
    gate = decide(joints, every, options.get("min_group_size", MIN_GROUP_SIZE))
    one = next(iter(joints.values()))
    groups = [
        len(names) - (rest is not None)
        for names, rest in zip(one.names, one.not_given, strict=True)
    ]
    compared = [segment for segment in segments if groups[every.index(segment)] > 1]
    if not compared:
        return empty
    tables = []
    for segment in compared:
        table = contrasts_of_groups(opened, chosen, by=segment, labels=labels, gate=gate, **options)
        table.insert(2, "segment", words.get(segment, segment))
        tables.append(table)
    together = pd.concat(tables, ignore_index=True)
    together["p_adjusted"] = adjust_p_values(together["p_value"])
    tests = int(together["p_value"].notna().sum())
    together["family"] = f"{tests} tests: all metrics × all groups of {len(tables)} segments"
    return together
