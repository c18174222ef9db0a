"""Differences between groups, segments and periods, each with interval, test and family; what could be shown.

A simple random sample: adjusted-Wald for net scores and shares, Welch's t for means, a
permutation test where a group is small. Under a design the difference is linearised as one
statistic, because groups share clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import LABELS, decide, joint_answers
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import metric_titles, with_display
from cxlab.core.frames import (
    as_list,
    check_choice,
    check_columns,
    groups_in_order,
)
from cxlab.core.labels import label
from cxlab.core.metric import Metric, metric_list
from cxlab.core.periods import check_two_periods, of_periods
from cxlab.stats.inference import LEVEL, adjust_p_values, normal_quantile, smallest_shown
from cxlab.stats.metrics.contrasts import contrasts_of_groups
from cxlab.stats.metrics.values import metric_totals, open_metrics

DIFFERENCE_COLUMNS = (
    "group", "other", "n", "n_other", "estimate", "se", "ci_low", "ci_high", "unit", "statistic",
    "df", "p_value", "p_adjusted", "family", "method", "column", "note",
)  # fmt: skip


def compare_groups(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    by: str,
    against: str = "rest",
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of each group from the rest, from one group, or of every pair.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    metrics : Metric, sequence of Metric, or str
        What to compare: ``study.metrics("outcome")``; a text is a column of likelihood to
        recommend, compared by its NPS.
    by : str
        Column of the groups. A row with a null there is in no group.
    against : str
        ``"rest"``: each group against all others together; ``"pairs"``: every pair; or the
        label of one group.
    design, level
        As for `cxlab.nps`.
    min_group_size : int
        A comparison that would show, or give back, a group of fewer people is hidden, and hidden
        groups are no part of "the rest". People are counted as by `cxlab.scorecard`.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    seed : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        One row per metric × contrast: ``label``, ``metric``, ``group``, ``other``, ``n``,
        ``n_other``, ``estimate`` (group less other), ``se``, ``ci_low``, ``ci_high`` in the
        metric's ``unit``; then ``unit``, ``statistic``, ``df`` (infinite: normal),
        ``p_value``, ``p_adjusted`` (Benjamini–Hochberg; pairs: Benjamini–Yekutieli),
        ``family`` (its name and size), ``method``, ``column``, ``note``.

    Raises
    ------
    ValueError
        For an unknown column or group, or fewer than two groups.

    Notes
    -----
    Without a design: adjusted-Wald for net scores and shares (it adds 3/4 promoter, 3/2
    passive and 3/4 detractor to each group; to a share one answer on either side, Agresti and
    Caffo), Welch's t for means. With fewer than 30 answers in a group, or a mean of answers that
    are all alike, the p-value is a permutation test's, of the difference in standard errors: groups of
    one score may vary unequally.

    Under a design the difference is linearised as one statistic, summed within clusters: two
    standard errors squared and added ignore that groups share clusters. Variance (CR2) and
    degrees of freedom (Bell and McCaffrey) are those of the difference, so that a group of
    few clusters has few; see `cxlab.stats.variance.contrast_spread`. A group whose answers
    lie in one cluster has no test, one of two clusters hardly any power. Clusters of one
    answer each change nothing. Without clusters, weighted answers are permuted over rows,
    weights left in place, where a group has fewer than 30 effective answers or no spread. With
    clusters, a group whose answers are all alike takes adjusted-Wald on effective sizes, or
    the variance of both groups for a mean, and ``note`` says so.

    References
    ----------
    Janssen (1997), Statistics & Probability Letters 36, 9–21. Lewis & Sauro, MeasuringU (2021),
    How to Statistically Compare Two Net Promoter Scores. Agresti & Caffo (2000), American Statistician 54, 280–288. Pustejovsky &
    Tipton (2018), Journal of Business & Economic Statistics 36, 672–683. Lumley (2010),
    Complex Surveys.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10] * 40 + [3] * 40, "kind": ["a"] * 60 + ["b"] * 20})
    >>> table = compare_groups(answers, "recommend", by="kind", against="b")
    >>> table[["group", "other", "n", "n_other", "estimate"]].round(1)
      group other   n  n_other  estimate
    0     a     b  60       20     133.3
    """
    if not isinstance(by, str):
        raise TypeError(
            f"`by` must be the name of one column; got {by}. Several segments: compare_segments()."
        )
    chosen, against = metric_list(metrics), str(label(against))
    opened = open_metrics(data, chosen, design=design, by=by)
    table = contrasts_of_groups(
        opened,
        chosen,
        by=by,
        against=against,
        level=level,
        min_group_size=min_group_size,
        seed=seed,
    )
    tests, groups = int(table["p_value"].notna().sum()), len(table) // len(chosen)
    kind = {"rest": "groups against the rest", "pairs": "pairs of groups"}.get(
        against, f"groups against {against}"
    )
    family = f"{tests} tests: {len(chosen)} metrics × {groups} {kind}"
    return _in_family(table, family, chosen, labels, "by" if against == "pairs" else "bh")


def compare_segments(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    segments: str | Sequence[str],
    *,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Each group of each segment against the rest, all tests in one family.

    Parameters
    ----------
    data, metrics
        As for `compare_groups`.
    segments : str or sequence of str
        Columns of groups, each taken on its own; one with a single group is passed over.
    design, level, min_group_size, labels, seed
        As for `compare_groups`.

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
    segments, chosen, empty = as_list(segments), metric_list(metrics), pd.DataFrame(
        columns=["label", "metric", "segment", *DIFFERENCE_COLUMNS]
    )  # fmt: skip
    if not chosen or not segments:
        return empty
    opened = open_metrics(data, chosen, design=design, segments=segments)
    every = sorted(set(segments))
    columns = list(dict.fromkeys(one.column for one in chosen))
    joints = joint_answers(opened, columns, every, min_group_size)
    # of all segments together, also of those with one group: a scorecard shows them
    gate = decide(joints, every, min_group_size)
    one = next(iter(joints.values()))
    groups = {
        segment: len(names) - (rest is not None)
        for segment, names, rest in zip(every, one.names, one.not_given, strict=True)
    }
    words, several = dict(labels or {}), [name for name in segments if groups[name] > 1]
    if not several:
        return empty
    tables = [
        contrasts_of_groups(
            opened, chosen, by=segment, level=level, min_group_size=min_group_size, seed=seed,
            gate=gate, summed=summed,
        ).assign(segment=words.get(segment, segment))
        for segment, summed in zip(several, metric_totals(opened, chosen, several), strict=True)
    ]  # fmt: skip
    together = pd.concat(tables, ignore_index=True)
    tests = int(together["p_value"].notna().sum())
    family = f"{tests} tests: all metrics × all groups of {len(tables)} segments"
    return _in_family(together, family, chosen, labels)


def compare_periods(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    periods: tuple[str, str] | None = None,
    period: str = "period",
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Change of each metric from one period to the next.

    Parameters
    ----------
    data
        Dataframe of any engine that holds both periods.
    metrics
        As for `compare_groups`.
    periods : (earlier, later), optional
        Default: each period against the one before it, in declared or sorted order.
    period : str
        Column of the periods.
    design, level, min_group_size, labels, seed
        As for `compare_groups`.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``period`` and ``before`` in place of ``group`` and
        ``other``; ``estimate`` is the later less the earlier.

    Notes
    -----
    Repeat customers are handled correctly if the cluster is the customer id.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10,
    ...                         "period": ["2024"] * 30 + ["2025"] * 30})
    >>> compare_periods(answers, "recommend")[["period", "before", "estimate"]]
      period before  estimate
    0   2025   2024       0.0
    """
    check_columns(data, {"period": period})
    found, chosen = groups_in_order(data, period), metric_list(metrics)
    if periods is None:
        wanted = [(later, earlier) for earlier, later in pairwise(found)]
    else:
        check_two_periods(periods)
        wanted = [(str(label(periods[1])), str(label(periods[0])))]
    if not wanted:
        raise ValueError(f"`{period}` must hold two periods at least; got one. Read both periods.")
    for name in (name for pair in wanted for name in pair):
        check_choice("periods", name, found)
    tables = []
    for pair in wanted:
        # each pair of periods is read as its own two groups, so that others change nothing
        both = of_periods(data, period, pair)
        opened = open_metrics(both, chosen, design=design, by=period)
        table = contrasts_of_groups(
            opened, chosen, by=period, against=pair[1], level=level, min_group_size=min_group_size,
            seed=seed,
        )  # fmt: skip
        tables.append(table)
    table = pd.concat(tables, ignore_index=True)
    family = f"{int(table['p_value'].notna().sum())} tests: changes between periods"
    table = _in_family(table, family, chosen, labels)
    return table.rename(columns={"group": "period", "other": "before"})


def detectable_differences(table: pd.DataFrame) -> pd.DataFrame:
    """What the answers at hand can and cannot show, four times in five and at the 95 % level.

    Parameters
    ----------
    table : DataFrame
        A scorecard, or any table with ``n``, ``se`` and label columns; ``deff`` and ``n_eff``
        are used where they are there.

    Returns
    -------
    DataFrame
        The table's label columns, ``n``, ``half_width`` (of the interval),
        ``next_period`` (smallest change to another period of the same size and design that
        would be shown) and ``fixed_value`` (smallest distance from a fixed value, such as a
        target), all in the metric's unit.

    Notes
    -----
    ``(z_α/2 + z_β)·se·√2`` and the same without √2, where se is multiplied by √(n/(deff·n_eff)),
    as intervals of shares are: few clusters know their own spread badly. Periods that share customers show
    more.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "n": [400], "se": [4.0]})
    >>> detectable_differences(table).round(1)
      label    n  half_width  next_period  fixed_value
    0   NPS  400         7.8         15.8         11.2
    """
    names = [name for name in LABELS if name in table and name not in ("column", "target")]
    factor = smallest_shown(1.0, np.inf)
    # where all answers are alike, the standard error is unknown, not 0
    se = table["se"].where(table["se"] > 0)
    if {"deff", "n_eff"} <= set(table):
        known = table[["n", "deff", "n_eff"]].astype(float)
        se = se * np.sqrt(known["n"] / (known["deff"] * known["n_eff"])).fillna(1.0)
    found = table[[*names, "n"]].assign(
        half_width=normal_quantile(LEVEL) * se,
        next_period=factor * np.sqrt(2) * se,
        fixed_value=factor * se,
    )
    return with_display(
        found, caption="What would be shown four times in five",
        columns=("label", "metric", "half_width", "next_period", "fixed_value", "n"), bar=(),
    )  # fmt: skip


def _in_family(
    table: pd.DataFrame,
    family: str,
    metrics: Sequence[Metric],
    labels: Mapping[str, str] | None,
    method: str = "bh",
) -> pd.DataFrame:
    """The table's columns in order, its p-values adjusted together."""
    words = dict(labels or {})
    table["label"] = [words.get(name, name) for name in table["column"]]
    table["p_adjusted"] = adjust_p_values(table["p_value"], method=method)
    table["family"] = family
    segment = ["segment"] if "segment" in table else []
    columns = ["label", "metric", *segment, *DIFFERENCE_COLUMNS]
    return with_display(table[columns], labels=words, titles=metric_titles(metrics, words))
