"""How much of a change is who answered, and how much how they scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.disclosure.audit import Joint
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, SMALL, joint_answers
from cxlab.core.disclosure.rule import groups_hidden_by_run
from cxlab.core.frames import as_list, check_columns
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, nps_metric
from cxlab.stats.inference import check_level, contrast_spread
from cxlab.stats.metrics.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.metrics.two_groups import cells_of, side_sums
from cxlab.stats.metrics.values import metric_totals, open_metrics
from cxlab.stats.tracking.cells import NOT_GIVEN, CellSums, cell_sums
from cxlab.stats.tracking.contributions import (
    Estimates,
    Facts,
    Sizes,
    estimates,
    group_table,
    hidden_cells,
    part_table,
)
from cxlab.stats.tracking.decomposition import ADDS_UP_TO
from cxlab.stats.tracking.periods import of_period, periods_of, with_text_periods
from cxlab.stats.tracking.saved_changes import check_metric
from cxlab.stats.tracking.saved_mix import saved_cells, saved_estimates
from cxlab.stats.tracking.sentences import mix_sentence
from cxlab.stats.tracking.statistics import SavedPeriods

#: Names of the group of answers without a segment.
UNKNOWN = (NOT_GIVEN, f"{NOT_GIVEN} (missing)")


@dataclass(frozen=True, eq=False)
class MixAndPerformance:
    """A change between two periods, taken apart.

    Attributes
    ----------
    table : DataFrame
        One row per part: ``part`` (``mix``; with two segments also ``mix of`` each;
        ``performance``; ``change``), ``kind`` (``part`` or ``total``; the parts add up to the
        change), ``period``, ``before``, ``n``, ``n_before``, ``estimate``, ``se``,
        ``ci_low``, ``ci_high`` in the metric's ``unit``, ``share`` (of the change; over 1 or
        negative where parts pull apart), ``unit``, ``note``.
    groups : DataFrame
        One row per part (``mix``, ``performance``) and group, adding up to that part:
        ``part``, ``group``, ``n``, ``n_before``, ``estimate``, ``se``, ``ci_low``, ``ci_high``,
        ``share``, ``share_before`` (of the answers' weight, 0 to 1), ``score``,
        ``score_before``, ``unit``, ``suppressed``, ``note``. Small groups are hidden.
    score, score_before : float
        Of everybody, in the metric's unit.
    periods : (str, str)
        The earlier and the later.
    level : float
    method : {"bootstrap", "delta"}
        Where the standard errors come from.
    replicates : int
        Of the bootstrap; 0 without.
    n_missing : int
        Rows of the two periods without a valid answer.
    note : str
        What to know before reading it; empty if nothing.
    """

    table: pd.DataFrame
    groups: pd.DataFrame
    score: float
    score_before: float
    periods: tuple[str, str]
    level: float
    method: str
    replicates: int
    n_missing: int
    note: str

    def __post_init__(self) -> None:
        parts = self.table.loc[self.table["kind"] == "part", "estimate"].sum(skipna=False)
        change = self.table.loc[self.table["part"] == "change", "estimate"].iloc[0]
        scores = self.score - self.score_before
        allowed = ADDS_UP_TO * max(1.0, abs(self.score), abs(self.score_before))
        for what, found in (("parts", parts), ("two scores", scores)):
            if abs(found - change) > allowed:
                raise ArithmeticError(
                    f"The {what} must make the change; they make {found} instead of {change}."
                )

    @property
    def sentence(self) -> str:
        """The change and its two parts in words; empty where it is hidden."""
        if self.table["estimate"].isna().any():
            return ""
        return mix_sentence(self.table, periods=self.periods, level=self.level)

    def __str__(self) -> str:
        shown = self.table[["part", "estimate", "ci_low", "ci_high"]].round(2)
        lines = [self.sentence, shown.to_string(index=False), self.note]
        return "\n".join(line for line in lines if line)

    def _repr_html_(self) -> str:
        words = "".join(f"<p>{escape(text)}</p>" for text in (self.sentence, self.note) if text)
        return self.table.round(2).to_html(index=False, border=0) + words


def mix_and_performance(
    data: Any,
    metric: Metric | str,
    *,
    by: str | Sequence[str],
    periods: tuple[str, str],
    segments: Sequence[str] | None = None,
    column: str = "period",
    design: DesignLike = None,
    labels: Mapping[str, str] | None = None,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
    min_group_size: int = MIN_GROUP_SIZE,
) -> MixAndPerformance:
    """Take a change apart: other people answered, or the same kinds scored differently.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer, that holds both periods; or statistics
        of periods that were kept, `cxlab.load_periods(folder)`.
    metric : Metric or str
        What changed; a text is a column of likelihood to recommend, measured by its NPS.
    by : str or (str, str)
        One segment column, or two that are crossed. Answers whose segment is null make a
        group ``not given``, so that the parts add up to the whole change. Kept statistics
        have one segment at a time.
    periods : (before, after)
    segments : sequence of str, optional
        All segments of these answers that are shown anywhere, ``study.segments``: the same
        groups are hidden here as in a scorecard by all of them. Default: those of ``by``.
        Kept statistics know theirs.
    column : str
        Column of the periods.
    design, level
        As for `cxlab.nps`. Customers who answer in both periods are right when the
        customer is the cluster.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    replicates, seed : int
        Of the bootstrap; kept statistics need none.
    min_group_size : int
        Smaller groups are hidden, and with them whatever would give them back; of kept
        statistics not less than what they were kept with.

    Returns
    -------
    MixAndPerformance

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
    takes the other's score, so all of its change is mix, and ``note`` lists it. Standard
    errors are those of a bootstrap of clusters (rows where there are none) in which shares
    and scores are computed anew; see `bootstrap_blocks`. Those of kept statistics come from
    the delta method, over the covariances of the groups' weights and scores. Limits are
    estimate ± t·se. Das Gupta's split between two
    segments depends on where scores are counted from, by hundredths of a point in surveys
    tried; the mix as a whole and the performance do not.

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
    _check_replicates(replicates)
    chosen = _metric(metric)
    crossed = _segments(by)
    if isinstance(data, SavedPeriods):
        return _from_saved(data, chosen, crossed, periods, labels, level, min_group_size)
    check_columns(data, {"by": crossed, "segments": segments})
    names = _two_periods(periods, periods_of(data, column))
    design = as_design(design)
    text = with_text_periods(data, column)
    sums = cell_sums(text, chosen, by=crossed, periods=names, column=column, design=design)
    if not design.simple:
        sums = replace(sums, df=min(sums.df, _change_df(text, chosen, names, column, design)))
    found = estimates(sums, chosen.factor, replicates=replicates, seed=seed)
    facts = _facts(sums, names, chosen, level, min_group_size)
    words = [str((labels or {}).get(name, name)) for name in crossed]
    said = _notes(sums, facts, [_sums_note(sums)])
    every = sorted({*crossed, *as_list(segments)})
    anyway = [groups_hidden_by_run(chosen.column, name) for name in every]
    joints = []
    if len(every) > len(crossed) or _any_small(sums, facts) or any(anyway):
        groups = dict(zip(crossed, sums.groups, strict=True))
        parts = [of_period(text, column, name) for name in names]
        joints = [_joint(part, chosen, every, groups, design) for part in parts]
    hidden = _hidden(joints, sums, facts, [every.index(name) for name in crossed], anyway)
    return _result(found, sums, facts, hidden, words, "bootstrap", replicates, sums.n_missing, said)


def _change_df(
    data: Any, metric: Metric, periods: tuple[str, str], column: str, design: Design
) -> int:
    """Degrees of freedom of the change under a design: few, where a period has few clusters."""
    both = nw.from_native(data).filter(nw.col(column).is_in(list(periods))).to_native()
    opened = open_metrics(both, [metric], design=design, by=column)
    ((totals, _),) = metric_totals(opened, [metric], [column])
    cells = cells_of(totals)
    values = {kind: sums[:, 0] for kind, sums in totals.values.items()}
    sides = [side_sums(values, cells, cells.group == group) for group in (0, 1)]
    if min(side["w"].sum() for side in sides) <= 0:
        return 0
    change, own = contrast_spread(sides, cells.units)
    return int(change.df) if min(one.df for one in own) > 0 else 0


def _from_saved(
    saved: SavedPeriods, metric: Metric, segments: list[str], periods: tuple[str, str],
    labels: Mapping[str, str] | None, level: float, min_group_size: int,
) -> MixAndPerformance:  # fmt: skip
    if len(segments) > 1:
        raise ValueError(
            f"`by` must be one segment of kept statistics; got {segments}. Two are crossed "
            "from answers only."
        )
    names = _two_periods(periods, saved.periods)
    check_metric(saved, metric, names)
    cells = saved_cells(saved, metric, segments[0], names)
    found = saved_estimates(cells, metric.factor)
    least = max([min_group_size, *(saved[name].facts["min_group_size"] for name in names)])
    facts = _facts(cells, names, metric, level, least)
    words = [str((labels or {}).get(name, name)) for name in segments]
    said = _notes(cells, facts, cells.notes)
    rest = next((i for i, label in enumerate(cells.labels) if label in UNKNOWN), None)
    codes, labels_of = np.arange(len(cells.labels))[:, None], (tuple(cells.labels),)
    joints = [Joint(codes, n, labels_of, (rest,)) for n in cells.n]
    hidden = _hidden(joints, cells, facts, [0], [groups_hidden_by_run(metric.column, segments[0])])
    return _result(found, cells, facts, hidden, words, "delta", 0, cells.n_missing, said)


def _joint(
    data: Any, metric: Metric, segments: list[str], groups: Mapping[str, list[str]], design: Design
) -> Joint:
    """A period's answers per joint cell; groups that are given are numbered as given."""
    opened = open_metrics(data, [metric], design=design, by=segments)
    found = joint_answers(opened, [metric.column], segments)[metric.column]
    codes, names, rest = found.codes.copy(), list(found.names), list(found.not_given)
    for name, known in groups.items():
        i = segments.index(name)
        last = len(known) - 1
        place = [last if j == rest[i] else known.index(label) for j, label in enumerate(names[i])]
        codes[:, i] = np.array(place, dtype=np.intp)[codes[:, i]]
        names[i], rest[i] = tuple(known), (last if rest[i] is not None else None)
    return Joint(codes, found.n, tuple(names), tuple(rest))


def _any_small(sums: Sizes, facts: Facts) -> bool:
    return bool(((sums.n > 0) & (sums.n < facts.min_group_size)).any())


def _hidden(
    joints: Sequence[Joint],
    sums: Sizes,
    facts: Facts,
    axes: Sequence[int],
    anyway: Sequence[Mapping[str | None, str]],
) -> dict[int, str]:
    if facts.hidden:
        return dict.fromkeys(range(sums.n.shape[1]), SMALL)
    return hidden_cells(joints, facts.min_group_size, axes, anyway)


def _result(
    found: Estimates, sums: Sizes, facts: Facts, hidden: dict[int, str], words: list[str],
    method: str, replicates: int, n_missing: int, note: str,
) -> MixAndPerformance:  # fmt: skip
    before, after = (np.nan, np.nan) if facts.hidden else found.whole
    return MixAndPerformance(
        table=part_table(found, sums, facts, words),
        groups=group_table(found, sums, facts, hidden),
        score=float(after),
        score_before=float(before),
        periods=facts.periods,
        level=facts.level,
        method=method,
        replicates=replicates,
        n_missing=n_missing,
        note=note,
    )


def _facts(
    sums: Sizes, names: tuple[str, str], metric: Metric, level: float, min_group_size: int
) -> Facts:
    small = int(sums.n.sum(axis=1).min()) < min_group_size
    hidden = f"hidden: a period with fewer than {min_group_size} answers" if small else ""
    return Facts(names, metric.unit, level, min_group_size, hidden)


def _metric(metric: Metric | str) -> Metric:
    if isinstance(metric, Metric):
        return metric
    if isinstance(metric, str):
        return nps_metric(metric)
    raise TypeError(
        f"`metric` must be one Metric or a column's name; got {type(metric).__name__}. "
        "Take one change apart at a time."
    )


def _segments(by: str | Sequence[str]) -> list[str]:
    segments = as_list(by)
    if not 1 <= len(dict.fromkeys(segments)) == len(segments) <= 2:
        raise ValueError(
            f"`by` must be one segment column or two different ones; got {segments or 'none'}. "
            "Das Gupta's split is made for two."
        )
    return segments


def _two_periods(periods: tuple[str, str], there: list[str]) -> tuple[str, str]:
    pair = isinstance(periods, tuple | list) and len(periods) == 2
    if not pair or str(periods[0]) == str(periods[1]):
        raise ValueError(f"`periods` must be two different periods (before, after); got {periods}.")
    for name in periods:
        if str(name) not in there:
            raise ValueError(unknown("periods", name, there))
    return str(periods[0]), str(periods[1])


def _check_replicates(replicates: int) -> None:
    whole = isinstance(replicates, int | np.integer) and not isinstance(replicates, bool)
    if not whole or replicates < 2:
        raise ValueError(f"`replicates` must be a whole number of 2 or more; got {replicates}.")


def _notes(sums: Sizes, facts: Facts, more: list[str]) -> str:
    if facts.hidden:
        return facts.hidden
    notes = []
    for i, period in enumerate(facts.periods):
        absent = np.flatnonzero((sums.n[i] == 0) & (sums.n[1 - i] > 0))
        if len(absent):
            names = ", ".join(sums.labels[cell] for cell in absent)
            notes.append(f"absent in {period}, so given the other period's score: {names}")
    notes += more
    if sums.df < 1:
        notes.append("no intervals: fewer than two clusters to resample")
    elif sums.df < FEW_DEGREES_OF_FREEDOM:
        notes.append(f"only {sums.df} degrees of freedom: intervals are rough")
    return "; ".join(note for note in notes if note)


def _sums_note(sums: CellSums) -> str:
    notes = []
    if sums.n_not_given:
        notes.append(f"{sums.n_not_given:,} answers without a segment are a group of their own")
    if sums.n_alone:
        notes.append(f"{sums.n_alone:,} rows without a cluster are clusters of their own")
    return "; ".join([*notes, *([sums.design.note] if sums.design.note else [])])
