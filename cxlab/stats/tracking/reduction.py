"""Answers → a period's statistics, before the answers are deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from cxlab.core.design import DesignLike, as_design
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE
from cxlab.core.frames import as_list, check_columns
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.stats.inference import Spread, Units, contrast_spread
from cxlab.stats.metrics.values import check_metrics, check_scores, open_metrics
from cxlab.stats.tracking.covariances import cross_covariance, own_covariance, shared_clusters
from cxlab.stats.tracking.driver_shares import Analysis, DriverShares, shares_of
from cxlab.stats.tracking.periods import of_period, periods_of, with_text_periods
from cxlab.stats.tracking.reduced import Question, Reduced, figures, reduce_periods
from cxlab.stats.tracking.statistics import (
    EVERYONE,
    Beside,
    Block,
    Key,
    PeriodStatistics,
    SavedPeriods,
    selection_in_words,
)
from cxlab.stats.tracking.thin_groups import spread_evenly, taken_together


def period_statistics(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    periods: str | Sequence[str] | None = None,
    column: str = "period",
    segments: str | Sequence[str] | None = None,
    drivers: Analysis | Sequence[Analysis] | None = None,
    design: DesignLike = None,
    labels: Mapping[str, str] | None = None,
    selection: Mapping[str, Any] | str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> SavedPeriods:
    """Reduce periods to what later comparisons need, so that the answers may be deleted.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer. Give other periods too as long as their
        answers are at hand: only then is it known what the periods have in common.
    metrics : Metric, sequence of Metric, or str
        What to keep: ``study.metrics()``; a text is a column of likelihood to recommend,
        kept for its NPS.
    periods : str or sequence of str, optional
        Periods to keep; default: all that the data hold.
    column : str
        Column of the periods.
    segments : str or sequence of str, optional
        Columns whose groups are kept too, each segment by itself, for
        `cxlab.mix_and_performance`. Answers whose segment is null are the group ``not
        given``.
    drivers : DriverAnalysis or sequence of them, optional
        By period (``by=column``), or of one period's answers alone where only that one is
        kept: the shares of the drivers are kept.
    design
        As for `cxlab.nps`.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    selection : mapping or str, optional
        Which answers these are, as ``study.read(where=...)`` takes it or in words; default:
        all. Kept, and compared when the files are read.
    min_group_size : int
        A group with fewer answers, or whose answers lie in fewer clusters, is not kept, nor
        what would give it back; such groups are kept together where they are many enough.

    Returns
    -------
    SavedPeriods
        With ``.save(folder)``; it may be given to `cxlab.period_changes` and the others in
        place of answers.

    Raises
    ------
    ValueError
        For a column or period that is not there, a score off the scale, a bad weight.

    Notes
    -----
    Per metric and group: answers by bin, sums, and the Taylor covariance matrix of the
    groups' weights and scores over strata and clusters; no cluster and no row is kept.
    From these, `cxlab.period_changes`, `cxlab.control_chart` and the parts of
    `cxlab.mix_and_performance` are what the answers would give, if the periods share
    neither clusters nor strata. If they share clusters (customers who answer again), the
    covariance between the periods is kept only for those whose answers are in ``data``; it
    needs the customers' ids, of which nothing is kept, because a digest of an id that can be
    guessed is the id. Without it periods are compared as if sampled apart, which for answers
    of the same customers is too careful, and the comparison's note says so. No covariance
    is kept to which fewer than ``min_group_size`` clusters contribute: groups that so few
    customers of both periods are in are taken together there, which changes the standard
    errors of their parts a little and that of the whole change not at all. Strata of two
    periods are two strata; from answers, strata of one name are one stratum of both periods,
    and standard errors differ a little: by about 1 % where a stratum has 25 clusters a
    period. What cannot be had later: other groups or metrics, two segments crossed,
    permutation tests of means, and the bootstrap of mix and performance.

    Examples
    --------
    >>> import pandas as pd
    >>> answers = pd.DataFrame({"recommend": [10] * 60 + [3] * 40, "period": "2025-Q3",
    ...                         "trip": ["business"] * 30 + ["leisure"] * 66 + ["other"] * 4})
    >>> kept = period_statistics(answers, "recommend", segments="trip")
    >>> kept["2025-Q3"].table[["segment", "group", "n", "estimate"]].round(1)
        segment                  group    n  estimate
    0  everyone               everyone  100      20.0
    1      trip                leisure   66      -9.1
    2      trip  small groups together   34      76.5
    """
    design = as_design(design)
    chosen = metric_list(metrics)
    check_metrics(chosen)
    columns = as_list(segments)
    check_columns(data, {"column": column, "segments": columns})
    there = periods_of(data, column)
    wanted = _wanted(periods, there, column)
    data = with_text_periods(data, column)
    question = Question(
        tuple(chosen),
        tuple(check_scores(open_metrics(data, chosen), chosen)),
        tuple(columns),
        design,
        min_group_size,
    )
    # other periods tell nothing where no cluster can be in both
    read = there if design.cluster else wanted
    reduced = reduce_periods({name: of_period(data, column, name) for name in read}, question)
    words = dict(labels or {})
    kept = []
    for name in wanted:
        # what two periods share is kept once, with the one that is reduced later
        later = wanted[wanted.index(name) + 1 :]
        others = [reduced[other] for other in read if other != name and other not in later]
        one = _statistics(reduced[name], others, question)
        shares = _driver_shares(drivers, name, there, min_group_size)
        named = {metric.column: words.get(metric.column, metric.column) for metric in chosen}
        facts = {
            **one.facts,
            "together": sorted([name, *(other.name for other in others)]),
            "sampled_together": _sampled_together([reduced[name], *others], question),
            "place": there.index(name),
            "selection": selection_in_words(selection),
        }
        kept.append(replace(one, drivers=shares, labels=named, facts=facts))
    if not any(len(one.table) for one in kept):
        raise ValueError(
            f"`data` must have {min_group_size} answers or more in a period; got fewer. Lower "
            "`min_group_size`, or take longer periods."
        )
    return SavedPeriods(tuple(kept))


def _statistics(now: Reduced, others: list[Reduced], question: Question) -> PeriodStatistics:
    blocks = _own_blocks(now, question)
    beside = {other.name: _beside(now, other, question) for other in others}
    for other in others:
        if beside[other.name].shared > 0:
            blocks += _cross_blocks(now, other, beside[other.name], question)
    segments = now.segments.items()
    return PeriodStatistics(
        period=now.name,
        table=figures(now, question),
        metrics=question.metrics,
        blocks=tuple(blocks),
        beside=beside,
        drivers=(),
        hidden={(*key, column): one.hidden for (key, column), one in segments if one.hidden},
        labels={},
        facts=_facts(now, question),
        note=_note(now),
    )


def _wanted(periods: str | Sequence[str] | None, there: list[str], column: str) -> list[str]:
    if not there:
        raise ValueError(f"`column` must hold periods; got none in '{column}'.")
    named = [str(name) for name in ([periods] if isinstance(periods, str) else periods or there)]
    for name in named:
        if name not in there:
            raise ValueError(unknown("periods", name, there))
    return named


def _own_blocks(now: Reduced, question: Question) -> list[Block]:
    blocks = []
    for (key, column), segment in now.segments.items():
        values = own_covariance(segment.linear)
        spread = None
        if column == EVERYONE:
            values = _score_only(values)
            spread = contrast_spread([now.sums[key]], now.units)[0]
        else:
            shared = shared_clusters(segment.linear)
            few = (
                (shared > 0) & (shared < question.min_group_size) & ~np.eye(len(shared), dtype=bool)
            )
            values = np.where(np.tile(few, (2, 2)), 0.0, values)
        groups = segment.groups
        blocks.append(Block(key, column, "", groups, groups, values, spread=spread))
    return blocks


def _score_only(values: np.ndarray) -> np.ndarray:
    """Of the whole only the score's variance is ever asked for."""
    return np.where(np.outer([False, True], [False, True]), values, 0.0)


def _beside(now: Reduced, other: Reduced, question: Question) -> Beside:
    shared = len(np.intersect1d(now.clusters, other.clusters)) if question.design.cluster else 0
    few = 0 < shared < question.min_group_size
    return Beside(_sampled_together([now, other], question), -1 if few else shared)


def _sampled_together(periods: list[Reduced], question: Question) -> float | None:
    """Clusters sampled in several periods; None with strata."""
    if question.design.strata is not None:
        return None
    told = max(float(one.sampled.sum()) for one in periods)
    clusters = np.unique(np.concatenate([one.clusters for one in periods]))
    seen = len(clusters) + sum(one.seen - len(one.clusters) for one in periods)
    return max(told if question.design.stratum_clusters else 0.0, float(seen))


def _cross_blocks(now: Reduced, other: Reduced, beside: Beside, question: Question) -> list[Block]:
    sampled = np.maximum(now.sampled, other.sampled)
    if beside.sampled is not None:
        sampled = np.full(len(sampled), beside.sampled)
    blocks = []
    for (key, column), segment in now.segments.items():
        theirs = other.segments.get((key, column))
        if theirs is None:
            continue
        values, counted = cross_covariance(segment.linear, theirs.linear, sampled)
        joint = taken_together(segment.linear, theirs.linear, question.min_group_size)
        if joint is None:
            continue
        # what few clusters tell is kept as what their groups tell together
        first, second = map(spread_evenly, (segment.linear, theirs.linear), joint)
        values = first @ values @ second.T
        spread = None
        if column == EVERYONE:
            values = _score_only(values)
            spread = _spread_in_common(now, other, key, sampled)
        pair = (segment.groups, theirs.groups)
        blocks.append(Block(key, column, other.name, *pair, values, int(counted.sum()), spread))
    return blocks


def _spread_in_common(now: Reduced, other: Reduced, key: Key, sampled: np.ndarray) -> Spread:
    """What the spread of a difference has beside those of its two sides."""
    lone = now.units.lone | other.units.lone
    sides = [now.sums[key], other.sums[key]]
    both, own = contrast_spread(sides, Units(now.units.stratum, lone, sampled))
    parts = (
        getattr(both, name) - sum(getattr(one, name) for one in own)
        for name in ("variance", "trace", "squares")
    )
    return Spread(*parts)


def _driver_shares(
    drivers: Analysis | Sequence[Analysis] | None, name: str, there: list[str], least: int
) -> tuple[DriverShares, ...]:
    if drivers is None:
        return ()
    analyses: list[Any] = list(drivers) if isinstance(drivers, list | tuple) else [drivers]
    found = [shares_of(analysis, name, there) for analysis in analyses]
    return tuple(one for one in found if one is not None and one.n >= least)


def _facts(now: Reduced, question: Question) -> dict[str, Any]:
    design = question.design
    told = bool(now.segments)
    return {
        "weights": design.weights is not None,
        "strata": design.strata is not None,
        "cluster": design.cluster is not None,
        "sampled": float(now.sampled.sum()) if design.strata is None else None,
        "clusters": now.seen if told else 0,
        "design_strata": int((now.sampled > 0).sum()) if told else 0,
        "rows": now.rows if told else 0,
        "lone_rows": now.lone_rows if told else 0,
        "min_group_size": question.min_group_size,
        "unanswered": [list(key) for key in now.unanswered],
    }


def _note(now: Reduced) -> str:
    if not now.segments:
        return "too few answers: nothing of the period is kept"
    notes = []
    if now.lone_rows:
        notes.append(f"{now.lone_rows:,} rows without a cluster are clusters of their own")
    if now.weightless:
        notes.append(f"{now.weightless:,} rows of weight 0 are outside the population")
    return "; ".join(notes)
