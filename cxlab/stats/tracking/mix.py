"""How much of a change is who answered, and how much how they scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import groups_of_few
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import Opened, as_list
from cxlab.core.messages import check_whole, unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.core.past import PastReports
from cxlab.core.periods import check_two_periods, of_periods, periods_of, with_text_periods
from cxlab.core.result import Result
from cxlab.stats.inference import check_level, t_quantile
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.metrics.two_groups import cells_of, side_sums, unknown_spread
from cxlab.stats.metrics.values import metric_totals, open_metrics
from cxlab.stats.tracking.decomposition import (
    ADDS_UP_TO,
    CellSums,
    Estimates,
    cell_sums,
    estimates,
)
from cxlab.stats.variance import contrast_spread

#: A change smaller than this has no parts in per cent.
NO_CHANGE = 1e-9


@dataclass(frozen=True, eq=False, kw_only=True)
class MixAndPerformance(Result):
    """A change between two periods as the sum of its parts.

    Attributes
    ----------
    table : DataFrame
        One row per part: ``part`` (``mix``; with two segments also ``mix of`` each;
        ``performance``; ``change``), ``kind`` (``part`` or ``total``; the parts add up to the
        change), ``period``, ``before``, ``n``, ``n_before``, ``estimate``, ``se``,
        ``ci_low``, ``ci_high`` in the metric's ``unit``, ``share`` (of the change; over 1 or
        negative where the parts have opposite signs), ``unit``, ``note``.
    score, score_before : float
        Of everybody, in the metric's unit.
    periods : (str, str)
        The earlier and the later.
    level : float
    replicates : int
        Of the bootstrap.
    """

    score: float
    score_before: float
    periods: tuple[str, str]
    level: float
    replicates: int

    @property
    def about(self) -> str:
        """One line: between which periods, and what to know."""
        between = () if self.table.empty else (f"From {self.periods[0]} to {self.periods[1]}.",)
        return " ".join([*between, *self.notes])

    def __post_init__(self) -> None:
        if self.table.empty:
            return
        parts = self.table.loc[self.table["kind"] == "part", "estimate"].sum(skipna=False)
        change = self.table.loc[self.table["part"] == "change", "estimate"].iloc[0]
        scores = self.score - self.score_before
        allowed = ADDS_UP_TO * max(1.0, abs(self.score), abs(self.score_before))
        for what, found in (("parts", parts), ("two scores", scores)):
            if abs(found - change) > allowed:
                raise ArithmeticError(
                    f"The {what} must make the change; they make {found} instead of {change}."
                )


def mix_and_performance(
    data: Any,
    metric: Metric | str,
    *,
    by: str | Sequence[str],
    periods: tuple[str, str],
    column: str = "period",
    design: DesignLike = None,
    labels: Mapping[str, str] | None = None,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    min_group_size: int = MIN_GROUP_SIZE,
) -> MixAndPerformance:
    """Split a change: other customers answered, or the same groups scored differently.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer, that holds both periods. Earlier reports
        cannot be split.
    metric : Metric or str
        What changed; a text is a column of likelihood to recommend, measured by its NPS.
    by : str or (str, str)
        One segment column, or two that are crossed. Answers whose segment is null make a
        group ``not given``, so that the parts add up to the whole change.
    periods : (before, after)
    column : str
        Column of the periods.
    design, level
        As for `cxlab.nps`. Repeat customers are handled correctly if the cluster is the
        customer id.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    replicates, seed : int
        Of the bootstrap.
    min_group_size : int
        With answers of fewer people in a period everything is hidden; they are counted as by
        `cxlab.scorecard`.

    Returns
    -------
    MixAndPerformance
        Without rows for earlier reports, without a segment or an earlier period: a note says so.

    Raises
    ------
    ValueError
        For a column or period that is not there, more than two segments, scores off the
        scale, a bad weight, fewer than 2 replicates.

    Notes
    -----
    Kitagawa's two parts; with two segments Das Gupta's three, the mix being split between
    the segments (see `cxlab.stats.tracking.decomposition.decompose`). Neither is a cause: a
    group's score may change because of who is in it. A cell that is absent in one period
    takes the other's score, so all of its change is mix, and a note lists it. Standard
    errors are those of a bootstrap of clusters (rows where there are none) in which shares
    and scores are recomputed; see `bootstrap_blocks`. Limits are estimate ± t·se. A period of fewer
    than 30 answers, or whose answers are nearly all alike, leaves performance and change without
    limits: resampled, it varies too little (a true null was rejected in 33 % of studies). Das Gupta's
    split between two segments depends on where scores are counted from, by hundredths of a
    point in surveys tried; the mix as a whole and the performance do not.

    References
    ----------
    Kitagawa (1955), JASA 50, 1168–1194. Das Gupta (1993), Standardization and
    Decomposition of Rates, US Bureau of the Census P23-186.

    Examples
    --------
    Business travellers score as before, and so do the others; there are fewer of them:

    >>> answers = pd.DataFrame({
    ...     "recommend": [10] * 60 + [3] * 40 + [10] * 40 + [3] * 60,
    ...     "trip": ["business"] * 60 + ["leisure"] * 40 + ["business"] * 40 + ["leisure"] * 60,
    ...     "period": ["2024"] * 100 + ["2025"] * 100})
    >>> result = mix_and_performance(answers, "recommend", by="trip", periods=("2024", "2025"))
    >>> result.table[["part", "estimate"]]
              part  estimate
    0          mix     -40.0
    1  performance       0.0
    2       change     -40.0
    """
    check_level(level)
    replicates = check_whole("replicates", replicates, 2)
    chosen = _one_metric(metric)
    check_two_periods(periods)
    if why := _lacking(data, by, periods):
        return _left_out(why, periods, level, replicates)
    crossed = _segments(by)
    names = _two_periods(periods, periods_of(data, column))
    both = of_periods(with_text_periods(data, column), column, names)
    opened = open_metrics(both, [chosen], design=design, by=crossed, column=column)
    sums = cell_sums(opened, chosen, by=crossed, column=column, later=names[1])
    df, unknown = _known_of_change(opened, chosen, column)
    if not opened.design.simple:
        sums = replace(sums, df=min(sums.df, df))
    found = estimates(sums, chosen.factor, replicates=replicates, seed=seed)
    counted = "customers" if groups_of_few(opened, chosen.column, column, min_group_size) else ""
    if not counted and int(sums.n.sum(axis=1).min()) < min_group_size:
        counted = "answers"
    small = bool(counted)
    hidden = f"hidden: a period with fewer than {min_group_size} {counted}" if small else ""
    words = [str((labels or {}).get(name, name)) for name in crossed]
    table = _part_table(found, sums, words, level).assign(unit=chosen.unit, note=hidden)
    if unknown and not small:
        table = _without_limits(table, unknown)
    table.insert(2, "period", names[1])
    table.insert(3, "before", names[0])
    if small:
        figures = table.select_dtypes("number").columns
        table[figures] = table[figures].mask(table["note"] != "", axis=0)
    before, after = (np.nan, np.nan) if small else found.whole
    return MixAndPerformance(
        table=_displayed(table, labels or {}, chosen, words),
        score=float(after),
        score_before=float(before),
        periods=names,
        level=level,
        replicates=replicates,
        n_missing=pd.DataFrame({"column": [chosen.column], "n_missing": [sums.n_missing]}),
        notes=(hidden,) if hidden else _notes(sums, names),
    )


def _displayed(
    table: pd.DataFrame, labels: Mapping[str, str], metric: Metric, by: Sequence[str]
) -> pd.DataFrame:
    what = labels.get(metric.column, metric.column)
    return with_display(
        table, caption=f"What the change of {what} is made of, by {' and '.join(by)}",
        about=f"{metric.title}; weighted", columns=("part", "period", "before", "estimate", "n"),
        headers={"estimate": "Change"}, units={"estimate": f"+{metric.unit}"},
    )  # fmt: skip


def _part_table(
    found: Estimates, sums: CellSums, segments: Sequence[str], level: float
) -> pd.DataFrame:
    """Rows ``mix`` (and the mix of each of two segments), ``performance``, ``change``."""
    crossed = [f"mix of {name}" for name in segments] if len(segments) > 1 else []
    table = pd.DataFrame({"part": ["mix", *crossed, "performance", "change"]})
    totals = ("mix", "change") if crossed else ("change",)
    table["kind"] = np.where(table["part"].isin(totals), "total", "part")
    n_before, n = sums.n.sum(axis=1)
    # percentiles would forget that few clusters know their own spread badly: with ten a period
    # they cover 92 to 94 %, t 95 %
    half = t_quantile(level, sums.df) * found.errors
    table = table.assign(
        n=n, n_before=n_before, estimate=found.values,
        se=np.where(np.isfinite(half), found.errors, np.nan),
        ci_low=found.values - half, ci_high=found.values + half,
    ).astype({"n": "Int64", "n_before": "Int64"})  # fmt: skip
    change = float(found.values[-1])
    return table.assign(share=found.values / (change if abs(change) > NO_CHANGE else np.nan))


def _lacking(data: Any, by: str | Sequence[str], periods: tuple[str, str]) -> str:
    """What a split needs and does not have; empty where it can be made."""
    if isinstance(data, PastReports):
        return "the answers"
    if not as_list(by):
        return "a segment, and the study declares none"
    return "" if all(periods) else "a period before"


def _left_out(
    why: str, periods: tuple[str, str], level: float, replicates: int
) -> MixAndPerformance:
    none = pd.DataFrame(columns=["part", "estimate", "ci_low", "ci_high"])
    return MixAndPerformance(
        table=none, score=np.nan, score_before=np.nan, periods=periods, level=level,
        replicates=replicates, notes=(f"Left out: mix and performance, which need {why}.",),
    )  # fmt: skip


def _known_of_change(opened: Opened, metric: Metric, column: str) -> tuple[int, str]:
    """Degrees of freedom of the change, few where a period has few clusters, and why its spread
    is not known where that is so.
    """
    ((totals, _),) = metric_totals(opened, [metric], [column])
    cells = cells_of(totals)
    values = {kind: sums[:, 0] for kind, sums in totals.values.items()}
    sides = [side_sums(values, cells, cells.group == group) for group in (0, 1)]
    if min(side["w"].sum() for side in sides) <= 0:
        return 0, ""
    change, own = contrast_spread(sides, cells.units)
    df = int(change.df) if min(one.df for one in own) > 0 else 0
    return df, unknown_spread(sides, own, metric)


def _without_limits(table: pd.DataFrame, why: str) -> pd.DataFrame:
    """No limits of performance and change: resampling answers alike gives too little spread.

    The mix rests on the shares of groups, whose spread is known.
    """
    rests = table["part"].isin(["performance", "change"])
    limits = ["se", "ci_low", "ci_high"]
    table[limits] = table[limits].mask(rests, axis=0)
    note = f"no interval: {why.replace('a group', 'a period')}"
    return table.assign(note=table["note"].mask(rests, note))


def _one_metric(metric: Metric | str) -> Metric:
    if not isinstance(metric, Metric | str):
        raise TypeError(
            f"`metric` must be one Metric or a column's name; got {type(metric).__name__}. "
            "Split one change at a time."
        )
    return metric_list(metric)[0]


def _segments(by: str | Sequence[str]) -> list[str]:
    segments = as_list(by)
    if not 1 <= len(dict.fromkeys(segments)) == len(segments) <= 2:
        raise ValueError(
            f"`by` must be one segment column or two different ones; got {segments or 'none'}. "
            "Das Gupta's split is made for two."
        )
    return segments


def _two_periods(periods: tuple[str, str], there: list[str]) -> tuple[str, str]:
    if str(periods[0]) == str(periods[1]):
        raise ValueError(f"`periods` must be two different periods (before, after); got {periods}.")
    for name in periods:
        if str(name) not in there:
            raise ValueError(unknown("periods", name, there))
    return str(periods[0]), str(periods[1])


def _notes(sums: CellSums, periods: tuple[str, str]) -> tuple[str, ...]:
    notes = []
    for i, period in enumerate(periods):
        absent = np.flatnonzero((sums.n[i] == 0) & (sums.n[1 - i] > 0))
        if len(absent):
            names = ", ".join(sums.labels[cell] for cell in absent)
            notes.append(f"absent in {period}, so given the other period's score: {names}")
    if sums.n_not_given:
        notes.append(f"{sums.n_not_given:,} answers without a segment are a group of their own")
    if sums.n_alone:
        notes.append(f"{sums.n_alone:,} rows without a cluster are clusters of their own")
    if sums.design.note:
        notes.append(sums.design.note)
    if sums.df < 1:
        notes.append("no intervals: fewer than two clusters to resample")
    elif sums.df < FEW_DEGREES_OF_FREEDOM:
        notes.append(f"only {sums.df} degrees of freedom: intervals are rough")
    return tuple(notes)
