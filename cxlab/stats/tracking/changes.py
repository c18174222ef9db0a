"""The named period against the one before, a year before, and the run of periods up to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import groups_of_few
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import metric_titles, with_display
from cxlab.core.findings import Findings
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric, metric_list
from cxlab.core.past import PastReports
from cxlab.core.periods import comparisons, in_order, periods_of
from cxlab.core.result import Result
from cxlab.stats.inference import check_level
from cxlab.stats.metrics.differences import compare_periods
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.metrics.two_groups import tested_difference
from cxlab.stats.metrics.values import check_metrics, open_metrics
from cxlab.stats.tracking.charts import ControlChart
from cxlab.stats.tracking.families import HEADLINE, OTHERS, decide, trends, with_comparison
from cxlab.stats.tracking.findings import tracking_findings
from cxlab.stats.tracking.mix import MixAndPerformance

#: Arguments that go on to `compare_periods`.
OPTIONS = ("design", "min_group_size", "seed")
COLUMNS = (
    "label", "metric", "period", "before", "against", "n", "n_before", "estimate", "se",
    "ci_low", "ci_high", "unit", "p_value", "p_adjusted", "decided_low", "decided_high",
    "verdict", "margin", "family", "smallest_seen", "df", "method", "note",
)  # fmt: skip
#: What reports record of each period; answers also give the shares and degrees of freedom.
RECORDED: tuple[str, ...] = (
    "period", "n", "estimate", "se", "ci_low", "ci_high", "deff", "n_eff", "metric", "unit", "note",
)  # fmt: skip
FROM_ANSWERS: tuple[str, ...] = (
    "period", "n", "estimate", "se", "ci_low", "ci_high", "top_share", "bottom_share", "deff",
    "n_eff", "df", "metric", "unit", "note",
)  # fmt: skip
#: What to know of every comparison that is made from reports.
INDEPENDENT = (
    "From earlier reports: periods are compared as independent samples. The estimates are those "
    "of the answers; standard errors can differ where customers answer in several periods."
)


@dataclass(frozen=True, eq=False, kw_only=True)
class Changes(Result):
    """Changes of a period from earlier ones.

    Attributes
    ----------
    table : DataFrame
        One row per comparison, as `period_changes` says.
    runs : DataFrame
        Scores of the headline measures by period: ``label`` and the columns of
        `cxlab.period_scores`.
    period : str
        The period reported on.
    before : str
        The last period before it; empty if there is none.
    metrics : mapping of (str, str) to Metric
        Label and name of a metric to what it is.
    names : mapping of str to str
        Label to a short one.
    earlier : Findings or None
        What the same comparisons of the last period say; None where there is none before it.
    """

    runs: pd.DataFrame
    period: str
    before: str
    metrics: Mapping[tuple[str, str], Metric]
    names: Mapping[str, str]
    earlier: Findings | None = None

    @property
    def periods(self) -> list[str]:
        """The period and those that it is compared with."""
        compared = self.table[self.table["against"] != "trend"]
        return list(dict.fromkeys([self.period, *compared["before"]]))

    def findings(
        self,
        *,
        chart: ControlChart | None = None,
        parts: MixAndPerformance | None = None,
        earlier: Findings | None = None,
        group: str = "",
    ) -> Findings:
        """What changed, in sentences: headline measures first, then touchpoints by size.

        Parameters
        ----------
        chart : ControlChart, optional
            Of the first headline measure, for its signals.
        parts : MixAndPerformance, optional
            Of the first headline measure's change from the last period.
        earlier : Findings, optional
            Of the last period's report, ``Findings.from_records`` of its ``findings.json``: which
            of its changes still hold. Default: ``earlier`` of this result.
        group : str
            The part of the answers, in words; empty for everyone.

        Returns
        -------
        Findings
            Numbers are those of the tables ``changes``, ``headline-runs``, ``control-chart``
            and ``mix-and-performance``, as notebook ``6-tracking`` records them.
        """
        known = self.earlier if earlier is None else earlier
        return tracking_findings(self, chart=chart, parts=parts, earlier=known, group=group)


def period_changes(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    headline: Sequence[Metric] | None = None,
    period: str | None = None,
    column: str = "period",
    labels: Mapping[str, str] | None = None,
    short: Mapping[str, str] | None = None,
    level: float = 0.95,
    **options: Any,
) -> Changes:
    """Change of each metric from the last period, and from the same period a year before.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer, that holds the periods compared; or
        earlier reports, `cxlab.past_reports`.
    metrics : Metric, sequence of Metric, or str
        What to follow: ``study.metrics()``; a text is a column of likelihood to
        recommend, followed by its NPS.
    headline : sequence of Metric, optional
        The measures that count most: ``study.headline_metrics()``. Default: the first metric.
    period : str, optional
        The period to report on; default: the latest.
    column : str
        Column of the periods. Names such as ``2025``, ``2025-H1``, ``2025-Q4``,
        ``2025-12`` and ``2025-W07`` are read as calendar periods; other names are taken
        in declared or sorted order and have no year before.
    labels, short : mapping of str to str, optional
        Column to words, and to few words: ``study.labels``, ``study.short_labels``. Earlier
        reports know a column by its words.
    level : float
        Of ``ci_low`` and ``ci_high``.
    **options
        As for `cxlab.compare_groups`: design, min_group_size, seed.
        Earlier reports need none of them.

    Returns
    -------
    Changes
        With a table of one row per metric × comparison: ``label``, ``metric``, ``period``,
        ``before`` (the period compared with), ``against`` (``last period``, ``a year before``
        or ``trend``); ``n``, ``n_before``, ``estimate`` (the period less the one before), ``se``,
        ``ci_low``, ``ci_high`` in the metric's ``unit``; ``p_value``; ``p_adjusted`` in its
        ``family`` and the interval that decides there, ``decided_low`` to ``decided_high``;
        ``verdict`` (``clear``, ``smaller than its margin``, ``no change that matters``, ``not
        settled``; empty outside the families); ``margin`` (smallest change that matters);
        ``smallest_seen`` (smallest true change that such answers would show in four of five
        cases, at the level of the family); ``df``, ``method``, ``note``. Clear rows come first,
        the others by their size in margins. A comparison with a period that the data lack is
        a row without numbers, and ``note`` says so. Periods with too few answers are hidden
        as in `compare_groups`; what a report hides stays hidden.

    Raises
    ------
    ValueError
        For a period, column or option that is not there.

    Notes
    -----
    Two families: the headline measures × comparisons, trend included (Holm); and the first
    metric of every other column that is not an outcome of theirs × comparisons
    (Benjamini–Hochberg). Other metrics have no verdict.

    Each difference is one linearised statistic, so customers who answered in both periods
    count once (see `cxlab.compare_groups`). Periods of earlier reports are compared as
    independent samples, from their recorded standard errors. ``smallest_seen =
    (t_{1−α/2m} + t_{.8})·se`` with m tests in the family. When the calendar's last period is
    not in the data, the latest one before is taken instead and ``note`` says so.

    References
    ----------
    Benjamini & Hochberg (1995), JRSS B 57, 289–300. Holm (1979), Scandinavian Journal of
    Statistics 6, 65–70. Bloom (1995), Evaluation Review 19, 547–556.

    Examples
    --------
    >>> answers = pd.DataFrame({
    ...     "recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...     "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> changes = period_changes(answers, "recommend")
    >>> changes.table[["period", "before", "against", "estimate", "verdict"]]
        period   before        against  estimate      verdict
    0  2025-Q4  2025-Q3    last period     -60.0        clear
    1  2025-Q4  2024-Q4  a year before       NaN
    >>> print(changes.findings().answer.text)
    NPS fell by 60 points since 2025-Q3
    """
    check_level(level)
    wanted = metric_list(metrics)
    check_metrics(wanted)
    first = list(wanted[:1] if headline is None else headline)
    if odd := [name for name in options if name not in OPTIONS]:
        raise TypeError(f"period_changes() got an unexpected keyword argument '{odd[0]}'")
    past = isinstance(data, PastReports)
    there = in_order(data.periods) if past else periods_of(data, column)
    if not there:
        raise ValueError(f"`column` must hold periods; got none in '{column}'.")
    period = there[-1] if period is None else str(period)
    if period not in there:
        raise ValueError(unknown("period", period, there))
    labels = labels or {}
    words = {one.column: str(labels.get(one.column, one.column)) for one in [*wanted, *first]}
    asked = _Asked(data, wanted, first, words, column, level, options)
    made = asked.changes(
        period, there, {words[name]: str(t) for name, t in (short or {}).items() if name in words}
    )
    if not made.before or there.index(made.before) == 0:
        return made
    return replace(made, earlier=asked.changes(made.before, there, made.names).findings())


def period_scores(
    data: Any,
    metric: Metric | str,
    *,
    column: str = "period",
    until: str | None = None,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """One metric's score in each period.

    Parameters
    ----------
    data
        Dataframe of answers of any engine, or earlier reports, `cxlab.past_reports`.
    metric : Metric or str
        A text is a column of likelihood to recommend, scored by its NPS.
    column : str
        Column of the periods.
    until : str, optional
        Leave out the periods after this one, so that a report of it stays as it is.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``. Earlier reports know a column by its words.
    design
        As for `cxlab.nps`; earlier reports had their own.
    level : float
        Of the intervals; those of earlier reports are as they were recorded.
    min_group_size : int
        Periods with answers of fewer people are left out, as are those that reports hide.

    Returns
    -------
    DataFrame
        One row per period, in order: ``period``, ``n``, ``estimate``, ``se``, ``ci_low``,
        ``ci_high`` in the metric's ``unit``; ``top_share``, ``bottom_share`` (null for
        means), ``deff``, ``n_eff``, ``df``, ``metric``, ``unit``, ``note``: what
        `cxlab.control_chart` takes. Earlier reports have no shares and no ``df``.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10] * 60 + [3] * 40 + [10] * 30 + [3] * 70,
    ...                         "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100})
    >>> period_scores(answers, "recommend")[["period", "n", "estimate"]]
        period    n  estimate
    0  2025-Q3  100      20.0
    1  2025-Q4  100     -40.0
    """
    check_level(level)
    (one,) = metric_list(metric)
    if isinstance(data, PastReports):
        label = (labels or {}).get(one.column, one.column)
        table, columns = data.scores(label, one), RECORDED
    else:
        opened = open_metrics(data, [one], design=design, by=column)
        table = estimate_each(opened, [one], [column], level=level)[0]
        few = groups_of_few(opened, one.column, column, min_group_size)
        table, columns = table.assign(period=table["group"].astype(str)), FROM_ANSWERS
        table = table[~table["period"].isin(few)]
    table = table[table["n"] >= min_group_size].set_index("period", drop=False)
    order = in_order(table["period"].tolist())
    if until is not None:
        places = in_order(list(dict.fromkeys([*order, until])))
        order = [name for name in order if places.index(name) <= places.index(until)]
    return table.loc[order, list(columns)].astype({"n": "int64"}).reset_index(drop=True)


@dataclass(frozen=True)
class _Asked:
    """What `period_changes` was asked, whatever the period."""

    data: Any
    metrics: Sequence[Metric]
    headline: Sequence[Metric]
    words: Mapping[str, str]
    column: str
    level: float
    options: Mapping[str, Any]

    def changes(self, period: str, there: list[str], names: Mapping[str, str]) -> Changes:
        """Changes of one period from those before it."""
        tables = [
            with_comparison(self._compared((before, period), there), period, before, against, note)
            for against, before, note in comparisons(period, there)
        ]
        runs = pd.concat([self._run(metric, period) for metric in self.headline], ignore_index=True)
        table = pd.concat([*tables, *trends(runs, period)], ignore_index=True)
        known = {self._key(metric): metric for metric in [*self.metrics, *self.headline]}
        titles = metric_titles([*self.metrics, *self.headline], self.words)
        last = comparisons(period, there)[0][1]
        past = isinstance(self.data, PastReports)
        runs = with_display(
            runs, caption="Headline measures by period", sort=("-period",), titles=titles,
            about="weighted; the interval of each alone",
            columns=("label", "metric", "period", "estimate", "n"),
        )  # fmt: skip
        table = decide(table, self._families(), known)[list(COLUMNS)]
        return Changes(
            table=_displayed(table, period, titles, past), runs=runs, period=period,
            before=last if last in there else "", metrics=known, names=names,
            notes=(INDEPENDENT,) if past else (),
        )  # fmt: skip

    def _key(self, metric: Metric) -> tuple[str, str]:
        return self.words[metric.column], metric.name

    def _compared(self, periods: tuple[str, str], there: list[str]) -> pd.DataFrame:
        """Differences of all metrics between two periods; without numbers where one is lacking."""
        if periods[0] not in there:
            return _blank_rows(self.metrics, self.words)
        if isinstance(self.data, PastReports):
            least = self.options.get("min_group_size", MIN_GROUP_SIZE)
            found = pd.DataFrame(
                [
                    _past_change(self.data, one, self.words[one.column], periods, self.level, least)
                    for one in self.metrics
                ]
            )
            return _blank_rows(self.metrics, self.words).assign(**found)
        table = compare_periods(
            self.data, self.metrics, periods=periods, period=self.column, labels=self.words,
            level=self.level, **self.options,
        )  # fmt: skip
        return table.rename(columns={"n_other": "n_before"})

    def _run(self, metric: Metric, period: str) -> pd.DataFrame:
        """Scores of a headline measure up to a period."""
        own = {name: value for name, value in self.options.items() if name != "seed"}
        run = period_scores(
            self.data, metric, column=self.column, until=period, labels=self.words, **own
        )
        run.insert(0, "label", self.words[metric.column])
        return run

    def _families(self) -> dict[tuple[str, str], str]:
        """The headline measures, and of every other column its first metric with a target or at all."""
        families = {self._key(metric): HEADLINE for metric in self.headline}
        taken = {metric.column for metric in self.headline}
        for metric in sorted(self.metrics, key=lambda one: one.target is None):
            if metric.column not in taken:
                taken.add(metric.column)
                families[self._key(metric)] = OTHERS
        return families


def _displayed(table: pd.DataFrame, period: str, titles: Any, past: bool) -> pd.DataFrame:
    about = "weighted; intervals allow for how many were compared"
    return with_display(
        table, caption=f"Changes of {period}: what is clear, then by size",
        about=f"{about}; periods are compared as independent samples" if past else about,
        columns=("label", "metric", "against", "before", "estimate", "verdict", "n"), top=10,
        titles=titles,
        headers={"label": "What", "before": "That is", "estimate": "Change"},
    )  # fmt: skip


def _blank_rows(metrics: Sequence[Metric], words: Mapping[str, str]) -> pd.DataFrame:
    """Rows of a comparison that cannot be made: no numbers."""
    figures = ("n", "n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "df")
    named = [
        {"label": words[metric.column], "metric": metric.name, "unit": metric.unit}
        for metric in metrics
    ]
    return pd.DataFrame(named).assign(**dict.fromkeys(figures, np.nan), method="", note="")


def _past_change(
    past: PastReports,
    metric: Metric,
    label: str,
    periods: tuple[str, str],
    level: float,
    least: int,
) -> dict[str, Any]:
    """Change of one metric from the first to the second period; why, where there is none."""
    sides = [past.score(period, label, metric) for period in periods]
    for side, period in zip(sides, periods, strict=True):
        if side is None:
            return {"method": "", "note": f"not in the reports of {period}, in {metric.unit}"}
        if not np.isfinite(side["estimate"]):
            return {"method": "", "note": f"hidden, or without answers, in {period}"}
        if side["n"] < least:
            return {"method": "", "note": f"hidden: fewer than {least} answers in {period}"}
    before, now = (side or {} for side in sides)
    row = {"n": now["n"], "n_before": before["n"], "estimate": now["estimate"] - before["estimate"]}
    tested = _independent(row["estimate"], before, now, level)
    if not tested:
        return row | {"method": "", "note": "no test: a period's standard error is not known"}
    return row | tested | {"method": "independent samples", "note": ""}


def _independent(
    estimate: float, before: Mapping[str, float], now: Mapping[str, float], level: float
) -> dict[str, float]:
    """Test and interval of the difference of two independent samples; empty if unknown.

    The recorded ``n_eff`` allows for few degrees of freedom, so that variances are multiplied
    by n/(deff·n_eff); t has Satterthwaite's degrees of freedom of samples of ``n_eff``.
    """
    variances, terms = [], []
    for side in (before, now):
        if not (side["se"] > 0 and side["deff"] > 0 and side["n_eff"] >= 2):
            return {}
        widened = side["se"] ** 2 * max(1.0, side["n"] / (side["deff"] * side["n_eff"]))
        variances.append(widened)
        terms.append(widened**2 / (side["n_eff"] - 1))
    df = sum(variances) ** 2 / sum(terms)
    found = tested_difference(estimate, sum(variances), df, level, "")
    return {name: found[name] for name in ("se", "ci_low", "ci_high", "p_value", "df")}
