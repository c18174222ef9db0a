"""How we stand: outcomes with targets, touchpoints with places, changes and groups in one result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.disclosure.gate import EVERYONE
from cxlab.core.display import metric_titles, with_display
from cxlab.core.findings import Findings
from cxlab.core.metric import Metric
from cxlab.core.periods import A_YEAR_BEFORE, of_periods, periods_of
from cxlab.core.phrases import decimals_for, interval, signed
from cxlab.core.result import Result
from cxlab.stats.inference import ALPHA
from cxlab.stats.metrics.differences import compare_segments
from cxlab.stats.metrics.estimates import estimate_metrics
from cxlab.stats.metrics.findings import ATTAINED, scorecard_findings, spoken_period, target_verdict
from cxlab.stats.metrics.scorecard import account_scores, scorecard
from cxlab.stats.metrics.touchpoints import (
    are_clear,
    decided,
    first_metrics,
    is_of,
    latest_changes,
    period_differences,
    tested_groups,
    touchpoint_table,
    with_headline_family,
)
from cxlab.survey.study import Study, Where

#: Columns of a scorecard that say nothing of everyone's outcomes.
OF_GROUPS = ["segment", "group", "suppressed"]
OF_TARGETS = ["target", "attained", "confidence"]
#: Up to this many touchpoints are all in the table, of more than these the lowest.
MOST_TOUCHPOINTS, FEWER_TOUCHPOINTS = 15, 12
#: What the tables show of themselves; everything else is under "All numbers".
DISPLAYS: dict[str, dict[str, Any]] = {
    "table": {
        "caption": "Outcomes", "about": "Weighted.",
        "columns": ("label", "metric", "estimate", "unweighted", "target", "attained", "n"),
    },
    "touchpoints": {
        "caption": "Touchpoints, lowest first",
        "about": "Among those who used it, weighted; the line is the average touchpoint. Changes "
        "have the interval that decides among all touchpoints.",
        "columns": ("label", "estimate", "second", "change", "reach", "n"), "bar": ("estimate",),
        "reference": {"estimate": "mean"}, "highlight": ("weakest",),
    },
    "scores": {
        "caption": "Every measure of every touchpoint", "about": "Among those who used it, weighted.",
        "columns": ("label", "metric", "estimate", "unweighted", "n"), "bar": (),
    },
    "segments": {
        "caption": "Outcomes by segment", "about": "Weighted.",
        "columns": ("label", "metric", "segment", "group", "estimate", "n"), "bar": (),
    },
    "differences": {
        "caption": "Each group against the rest, surest first",
        "about": "Weighted; intervals are of one difference each.",
        "columns": ("label", "metric", "segment", "group", "estimate", "n"),
        "sort": ("p_value",), "bar": (),
    },
    "touchpoint_changes": {
        "caption": "Changes of the touchpoints", "about": "Weighted.",
        "columns": ("label", "metric", "before", "estimate", "smallest_shown", "n"),
        "sort": ("p_adjusted",), "bar": (),
    },
    "tested": {"caption": "Headline measures: groups tested and found to differ"},
    "targets": {
        "caption": "Targets", "about": "Weighted; the intervals hold all targets at once.",
        "columns": ("label", "metric", "estimate", "target", "attained", "n"), "bar": (),
    },
    "shares": {
        "caption": "How the scores are spread", "about": "Weighted.",
        "columns": ("metric", "estimate", "change", "n"),
        "units": {"estimate": "%", "change": "+%"},
    },
    "changes": {
        "caption": "Changes of the headline measures", "about": "Weighted.",
        "columns": ("label", "metric", "before", "estimate", "smallest_shown", "n"),
        "bar": (),
    },
    "accounts": {
        "caption": "Accounts", "about": "Accounts are the units of the intervals.",
        "columns": ("label", "metric", "counted", "estimate", "accounts", "n"), "bar": (),
    },
    "grid": {
        "caption": "Touchpoints by segment", "about": "Among those who used it, weighted.",
        "columns": ("label", "segment", "group", "estimate", "n"), "bar": (),
    },
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class Scorecard(Result):
    """How a study stands in a period.

    Attributes
    ----------
    table : DataFrame
        Outcomes, as of `cxlab.scorecard`.
    touchpoints : DataFrame
        One row per touchpoint, lowest first: its first metric (``estimate`` …), its second
        (``second`` …); ``change`` against a year before, or else the period before, with the
        interval that decides, ``clear`` where it is shown; ``reach``, per cent who used it;
        ``rank`` from the highest, with the interval that holds all places at once.
    scores : DataFrame
        Every metric of every touchpoint, as of `cxlab.scorecard`.
    segments, grid : DataFrame
        Outcomes by segment; touchpoints by the first segment.
    differences, tested : DataFrame
        Each group against the rest; how many headline comparisons, how many of them clear.
    targets : DataFrame
        Outcomes with a target; their intervals hold all of them at once.
    shares : DataFrame
        Promoters, passives and detractors of the first headline outcome, or top, middle and
        low scores.
    changes, touchpoint_changes : DataFrame
        Of the headline measures with their shares, and of each touchpoint's first metric,
        against the period before and a year before. ``p_adjusted`` is Holm's over headline
        measures, and controls false discoveries over touchpoints; ``decided_low`` and
        ``decided_high`` are the interval at the level at which the family decides;
        ``smallest_shown`` is the true change that would be shown four times in five.
    accounts : DataFrame
        Headline measures of contacts, accounts and by value: see `account_scores`.
    runs : DataFrame
        Headline measures of each period up to this one.
    headline : tuple of Metric
        The figure to follow first, then one of each other headline outcome.
    names : dict of str to str
        Column to short label.
    period, selection : str
        Empty for all periods, and for everyone.
    min_group_size : int
    """

    touchpoints: pd.DataFrame
    scores: pd.DataFrame
    segments: pd.DataFrame
    grid: pd.DataFrame
    differences: pd.DataFrame
    tested: pd.DataFrame
    targets: pd.DataFrame
    shares: pd.DataFrame
    changes: pd.DataFrame
    touchpoint_changes: pd.DataFrame
    accounts: pd.DataFrame
    runs: pd.DataFrame
    headline: tuple[Metric, ...]
    metrics: tuple[Metric, ...]
    names: Mapping[str, str]
    period: str
    selection: str
    min_group_size: int

    def findings(self, *, margins: Mapping[str, float] | None = None) -> Findings:
        """What the scorecard says; ``margins``: other smallest differences that matter, by metric.

        >>> from cxlab.survey.study import load_study
        >>> study = load_study("demo")
        >>> card = study_scorecard(study.read(period="2025-Q4"), study, period="2025-Q4")
        >>> card.findings().answer.text
        'Both targets are missed: NPS is −4 against 30; 50 % are satisfied against 75 %'
        """
        return scorecard_findings(self, margins or {})

    @property
    def tiles(self) -> pd.DataFrame:
        """Headline numbers with their runs, as `cxlab.report.answer.show_answer` takes them."""
        return _tiles(self)


def study_scorecard(
    answers: Any, study: Study, *, period: str | None = None, where: Where | None = None
) -> Scorecard:
    """Everything that says how a study stands, from one period's answers.

    Parameters
    ----------
    answers
        As ``study.read(period=period, where=where)`` gives them.
    study : Study
        Its earlier periods are read for changes and runs.
    period, where
        As they were given to `Study.read`. Without a period there are no changes.

    Returns
    -------
    Scorecard

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study = load_study("demo")
    >>> card = study_scorecard(study.read(period="2025-Q4"), study, period="2025-Q4")
    >>> card.touchpoints[["label", "n", "rank", "rank_low"]].head(1).values.tolist()
    [['Parking', 166, 12, 10]]
    """
    options: dict[str, Any] = {
        "design": study.design, "labels": study.labels,
        "min_group_size": study.definition.min_group_size,
    }  # fmt: skip
    rated, outcomes = (study.metrics(kind, period=period) for kind in ("touchpoint", "outcome"))
    whole = study.metrics("outcome", "rating", period=period)
    headline, shares, first = _headline(study, period), _shares(study, period), first_metrics(rated)
    measured = [*whole, *shares, *rated]
    card = scorecard(answers, measured, **options)
    everyone = card.table.drop(columns=OF_GROUPS)
    history, there = _history(study, period, where)
    changes = period_differences(history, there, [*headline, *shares, *first], options)
    moved = decided(changes[is_of(changes, first)], "bh")
    tables = {
        "table": everyone[is_of(everyone, whole)],
        "touchpoints": touchpoint_table(answers, study, rated, everyone, moved),
        "scores": everyone[is_of(everyone, rated)].drop(columns=OF_TARGETS),
        "shares": _with_changes(everyone[is_of(everyone, shares)], shares, changes),
        "changes": decided(changes[is_of(changes, headline)], "holm"),
        "touchpoint_changes": moved,
        "accounts": account_scores(answers, study, headline),
        "runs": _runs(history, there, headline, study),
        **_of_parts(answers, study, outcomes, first, headline, options),
    }
    titles = metric_titles(measured, study.labels)
    return Scorecard(
        **{
            name: with_display(_displayed(name, table, rated, moved), titles=titles)
            for name, table in tables.items()
        },
        n_missing=card.n_missing,
        notes=card.notes,
        headline=tuple(headline),
        metrics=tuple(outcomes + first),
        names=study.short_labels,
        period=period or "",
        selection=study.selection(where) if where else "",
        min_group_size=study.definition.min_group_size,
    )


def _of_parts(
    answers: Any, study: Study, outcomes: list[Metric], first: list[Metric],
    headline: Sequence[Metric], options: dict[str, Any],
) -> dict[str, pd.DataFrame]:  # fmt: skip
    """Tables of segments, and of the outcomes that have a target."""
    aims = [metric for metric in outcomes if metric.target is not None]
    together = 1 - ALPHA / max(len(aims), 1)
    differences = compare_segments(answers, outcomes, study.segments, **options)
    differences = with_headline_family(differences, headline)
    return {
        "segments": _of_groups(scorecard(answers, outcomes, by=study.segments, **options).table),
        "grid": _of_groups(scorecard(answers, first, by=study.segments[:1], **options).table),
        "differences": differences,
        "tested": tested_groups(differences, headline),
        "targets": scorecard(answers, aims, level=together, **options).table,
    }


def _displayed(
    name: str, table: pd.DataFrame, rated: Sequence[Metric], changes: pd.DataFrame
) -> pd.DataFrame:
    """A table that knows its caption, columns and order."""
    told = dict(DISPLAYS.get(name, {}))
    if name == "touchpoints" and rated:
        first = first_metrics(rated)
        second = [*first_metrics([metric for metric in rated if metric not in first]), None][0]
        latest = latest_changes(changes)
        year = A_YEAR_BEFORE in set(latest["against"])
        against = "a year ago" if year else "".join(latest["before"][:1])
        told["headers"] = {
            "label": "Touchpoint", "estimate": first[0].title, "change": f"Against {against}",
            "second": second.title if second else "", "reach": "Used by",
        }  # fmt: skip
        told["units"] = {
            "estimate": first[0].unit, "second": second.unit if second else "%",
            "change": f"+{first[0].unit}", "reach": "%",
        }  # fmt: skip
        told["top"] = MOST_TOUCHPOINTS if len(table) <= MOST_TOUCHPOINTS else FEWER_TOUCHPOINTS
    return with_display(table.reset_index(drop=True), **told)


def _with_changes(
    shares: pd.DataFrame, metrics: Sequence[Metric], changes: pd.DataFrame
) -> pd.DataFrame:
    """Shares with their titles and changes, which are judged together with their score only."""
    words = {metric.name: metric.title for metric in metrics}
    shares = shares.assign(title=shares["metric"].map(words))
    latest = latest_changes(changes[changes["metric"].isin(shares["metric"])]).set_index("metric")
    for name, column in (("", "estimate"), ("_low", "ci_low"), ("_high", "ci_high")):
        shares = shares.assign(**{f"change{name}": shares["metric"].map(latest[column])})
    return shares


def _of_groups(table: pd.DataFrame) -> pd.DataFrame:
    parts = table[table["segment"] != EVERYONE]
    return parts.drop(columns=OF_TARGETS)


def _headline(study: Study, period: str | None) -> list[Metric]:
    """Headline measures, the figure to follow first."""
    found = study.headline_metrics(period)
    if not found:
        return []
    leading = study.headline_of(period).column
    return sorted(found, key=lambda metric: metric.column != leading)


def _shares(study: Study, period: str | None) -> list[Metric]:
    """Shares of the bins of the first headline outcome, best first."""
    headline = _headline(study, period)
    if not headline or headline[0].scale is None:
        return []
    one = headline[0]
    low, high = one.scale or (0, 0)
    if one.kind == "net" and one.top and one.bottom:
        ends, top = one.bottom[1], one.top[0]
    else:
        ends, top = study.cuts[one.column]
    names = (
        ("promoters", "passives", "detractors") if one.name == "nps" else ("top", "middle", "low")
    )
    bins = ((top, high), (ends + 1, top - 1), (low, ends))
    return [
        Metric(
            one.column, "box", top=bounds, scale=one.scale, name=name,
            words=name.capitalize() if one.name == "nps" else "",
        )
        for name, bounds in zip(names, bins, strict=True)
        if bounds[0] <= bounds[1]
    ]  # fmt: skip


def _history(study: Study, period: str | None, where: Where | None) -> tuple[Any, list[str]]:
    """Answers of every period, and the periods up to this one; none without a period."""
    if period is None or len(study.periods) < 2:
        return None, []
    history = study.read(where=where)
    there = periods_of(history, "period")
    return history, there[: there.index(period) + 1] if period in there else []


def _runs(history: Any, there: list[str], headline: Sequence[Metric], study: Study) -> pd.DataFrame:
    """Headline measures of each period; small periods are left out."""
    columns = ["column", "metric", "period", "n", "estimate", "ci_low", "ci_high"]
    if not there or not headline:
        return pd.DataFrame(columns=columns)
    answers = of_periods(history, "period", there)
    table = estimate_metrics(answers, headline, by="period", design=study.design, level=1 - ALPHA)
    table = table.assign(period=table["group"].astype(str))
    places = {name: place for place, name in enumerate(there)}
    table = table[table["n"] >= study.definition.min_group_size].sort_values(
        "period", key=lambda names: names.map(places)
    )
    return table[columns].reset_index(drop=True)


def _tiles(card: Scorecard) -> pd.DataFrame:
    """Headline numbers with their runs: one row per measure and period."""
    parts = []
    for metric in card.headline[:3]:
        run = card.runs[is_of(card.runs, [metric])]
        now = card.table[is_of(card.table, [metric])]
        if run.empty or run["period"].iloc[-1] != card.period:
            run = pd.concat([run, now.assign(period=card.period)])
        parts.append(
            run.assign(
                label=card.names.get(metric.column, metric.column),
                title=metric.title, unit=metric.unit,
                target=math.nan if metric.target is None else metric.target,
                attained=ATTAINED[target_verdict(card, metric)], note=_tile_note(card, metric),
            )
        )  # fmt: skip
    names = ["label", "title", "period", "estimate", "ci_low", "ci_high", "n", "unit", "target",
             "attained", "note"]  # fmt: skip
    return pd.concat(parts, ignore_index=True)[names] if parts else pd.DataFrame(columns=names)


def _tile_note(card: Scorecard, metric: Metric) -> str:
    """The change in a year, or since the period before, and whether it is shown."""
    changes = card.changes[is_of(card.changes, [metric])]
    known = latest_changes(changes[changes["p_adjusted"].notna()])
    if known.empty:
        return ""
    row = known.iloc[0]
    low, high = row["decided_low"], row["decided_high"]
    places = decimals_for((high - low) / 2, (row["estimate"], low, high), [0.0])
    shown = "" if bool(are_clear(known.head(1), "p_adjusted").item()) else ": not shown"
    change = signed(row["estimate"], places)
    return f"Against {spoken_period(row)} {change} ({interval(low, high, places)}){shown}."
