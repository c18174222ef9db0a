"""A portfolio of metrics, weighted and not, on one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from cxlab.stats.metrics.estimates import By, estimate_metrics
from cxlab.stats.totals import Design
from cxlab.survey.scales import Metric

#: Fewer answers than this and a figure is shown with a warning.
FEW_ANSWERS = 30


def scorecard(
    data: Any,
    metrics: Sequence[Metric],
    *,
    by: By = None,
    weights: str | None = None,
    strata: str | None = None,
    cluster: str | None = None,
    stratum_clusters: str | None = None,
    level: float = 0.95,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Every metric of every group: estimate, interval, and the unweighted figure beside it.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    metrics : sequence of Metric
        What to measure: ``study.metrics()`` gives those that the study declares.
    by, weights, strata, cluster, stratum_clusters, level
        As for `cxlab.nps`.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.

    Returns
    -------
    DataFrame
        One row per metric × group: ``label`` (words of the column), ``metric`` (its name),
        ``group`` (with ``by``), ``n``, ``estimate``, ``se``, ``ci_low``, ``ci_high`` in the
        metric's ``unit`` (points, % or score); then ``unweighted`` (the estimate
        without weights), ``unit``, ``deff``, ``n_eff``, ``n_missing``, ``column``, ``note``.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 4, 2, None]})
    >>> table = scorecard(answers, [Metric("overall", "box", top=(4, 5), name="top box")])
    >>> table[["label", "metric", "n", "estimate", "unit", "n_missing"]]
         label   metric  n  estimate unit  n_missing
    0  overall  top box  4      75.0    %          1
    """
    design = Design(weights, strata, cluster, stratum_clusters)
    table = estimate_metrics(data, metrics, by=by, design=design, level=level)
    words = dict(labels or {})
    table.insert(0, "label", [words.get(name, name) for name in table["column"]])
    table["note"] = [_size_note(n, note) for n, note in zip(table["n"], table["note"], strict=True)]
    group = ["group"] if "group" in table else []
    return table[
        [
            "label",
            "metric",
            *group,
            "n",
            "estimate",
            "se",
            "ci_low",
            "ci_high",
            "unweighted",
            "unit",
            "deff",
            "n_eff",
            "n_missing",
            "column",
            "note",
        ]
    ]


def _size_note(n: int, note: str) -> str:
    few = f"fewer than {FEW_ANSWERS} answers" if 0 < n < FEW_ANSWERS else ""
    return "; ".join(part for part in (few, note) if part)
