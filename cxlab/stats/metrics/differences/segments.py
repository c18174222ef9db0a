"""Each group of several segments against the rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxlab.stats.frames import collect, scan
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.metrics.differences.groups import DIFFERENCE_COLUMNS, compare_groups
from cxlab.survey.scales import Metric


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
        ``p_adjusted`` is over all rows. Empty where there is nothing to compare.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10, "kind": ["a", "b"] * 30})
    >>> compare_segments(answers, "recommend", ["kind"])[["segment", "group", "estimate"]].round(1)
      segment group  estimate
    0    kind     a     -66.7
    1    kind     b      66.7
    """
    words = dict(labels or {})
    tables = []
    for segment in segments if isinstance(metrics, str | Metric) or metrics else []:
        there = collect(scan(data, [segment]).select(segment).unique())[segment]
        if there.nunique() < 2:
            continue
        table = compare_groups(data, metrics, by=segment, labels=labels, **options)
        table.insert(2, "segment", words.get(segment, segment))
        tables.append(table)
    if not tables:
        return pd.DataFrame(columns=["label", "metric", "segment", *DIFFERENCE_COLUMNS])
    together = pd.concat(tables, ignore_index=True)
    together["p_adjusted"] = adjust_p_values(together["p_value"])
    tests = int(together["p_value"].notna().sum())
    together["family"] = f"{tests} tests: all metrics × all groups of {len(tables)} segments"
    return together
