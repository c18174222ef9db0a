"""Is this data fit to use: everything that speaks for or against it, in one result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.engines import row_count
from cxlab.core.findings import Findings
from cxlab.core.result import Result
from cxlab.stats.metrics import usage
from cxlab.stats.quality.findings import quality_findings
from cxlab.stats.quality.patterns import (
    break_off,
    completeness,
    repeated_answers,
    straight_lining,
    weight_summary,
)
from cxlab.stats.quality.response import Response, response_rates
from cxlab.survey.check import check_answers
from cxlab.survey.respondents import check_respondents
from cxlab.survey.study import Study, Where

#: What the tables show of themselves; everything else is under "All numbers".
DISPLAYS: dict[str, dict[str, Any]] = {
    "table": {
        "caption": "Answered, and why not", "about": "Unweighted counts.",
        "columns": ("label", "answered", "never used", "no answer", "don't know", "not asked",
                    "invalid", "ceiling"),
        "top": 15,
    },
    "use": {
        "caption": "Use of the touchpoints, least first",
        "about": "Of those who rated it or said that they never used it; weighted.",
        "columns": ("touchpoint", "estimate", "users", "n"), "sort": ("estimate",), "top": 15,
        "headers": {"estimate": "Used by"}, "units": {"estimate": "%"}, "bar": ("estimate",),
    },
    "use_by_segment": {
        "caption": "Use by segment", "columns": ("touchpoint", "group", "estimate", "n"),
        "headers": {"estimate": "Used by"}, "units": {"estimate": "%"}, "bar": (),
    },
    "rated": {
        "caption": "Rated every touchpoint",
        "headers": {"complete": "Rated all", "median": "Median rated", "n": "Respondents",
                    "touchpoints": "Touchpoints"},
        "units": {"complete": "count", "touchpoints": "count"},
    },
    "alike": {
        "caption": "One score for every touchpoint",
        "about": "Respondents who rated five touchpoints at least.",
        "headers": {"n": "Looked at"},
    },
    "repeated": {
        "caption": "Rows alike in every score and reason", "headers": {"n": "Looked at"},
        "about": "Five ratings at least, and not all the same.",
    },
    "haste": {
        "caption": "Quick and repeated respondents", "about": "Every row of the period's files.",
        "columns": ("check", "share", "rows", "n"), "headers": {"n": "Looked at"},
    },
    "weights": {"caption": "What weights and clusters cost"},
    "breaks": {
        "caption": "Where respondents stopped", "columns": ("label", "order", "reached", "stopped", "share"),
        "headers": {"order": "Question", "reached": "Came so far", "stopped": "Stopped here"},
        "units": {"order": "count", "reached": "count", "stopped": "count"}, "sort": ("-stopped",),
        "bar": (),
    },
}  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class FitForUse(Result):
    """What speaks for and against the answers of a study.

    Attributes
    ----------
    table : DataFrame
        Answered, and every reason why not, as of `cxlab.check_answers`.
    use, use_by_segment : DataFrame
        Per cent who used each touchpoint, of everyone and of the first segment's groups.
    rated, alike, repeated, breaks : DataFrame
        As of `cxlab.completeness`, `straight_lining`, `repeated_answers` and `break_off`.
    haste : DataFrame
        As of `cxlab.check_respondents`.
    weights : DataFrame
        As of `cxlab.weight_summary`.
    response : Response
        Who answered of the invited.
    n : int
        Answers.
    outcomes : tuple of str
        Columns of the headline measures.
    names : dict of str to str
        Column to short label.
    selection : str
        Empty for everyone.
    """

    use: pd.DataFrame
    use_by_segment: pd.DataFrame
    rated: pd.DataFrame
    alike: pd.DataFrame
    repeated: pd.DataFrame
    haste: pd.DataFrame
    weights: pd.DataFrame
    breaks: pd.DataFrame
    response: Response
    n: int
    outcomes: tuple[str, ...]
    names: dict[str, str]
    selection: str

    def findings(self) -> Findings:
        """Whether anything in the file speaks against using the answers, and what to know.

        Examples
        --------
        >>> from cxlab.survey.study import load_study
        >>> study = load_study("demo")
        >>> fit = fit_for_use(study.read(period="2025-Q4"), study, period="2025-Q4")
        >>> fit.findings().answer.text.partition(". ")[0]
        '426 answers; nothing in the file speaks against using them'
        """
        return quality_findings(self)


def fit_for_use(
    answers: Any, study: Study, *, period: str | None = None, where: Where | None = None
) -> FitForUse:
    """Everything in the files that speaks for or against using a period's answers.

    Parameters
    ----------
    answers
        As ``study.read(period=period, where=where)`` gives them.
    study : Study
    period, where
        As they were given to `Study.read`.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study = load_study("demo")
    >>> fit = fit_for_use(study.read(period="2025-Q4"), study, period="2025-Q4")
    >>> fit.weights["n_eff"].round(1).tolist()
    [402.1]
    """
    used: dict[str, Any] = {"labels": study.labels, "design": study.design,
            "min_group_size": study.definition.min_group_size}  # fmt: skip
    touchpoints, first = study.touchpoints, [*study.segments, None][0]
    asked = {metric.column for metric in study.metrics(period=period)}
    ratings = [name for name in study.scales if name in asked or not asked]
    whole = usage(answers, touchpoints, **used)
    least_first = whole.table.sort_values("estimate", kind="stable").reset_index(drop=True)
    tables = {
        "table": check_answers(answers, study),
        "use": least_first,
        "use_by_segment": usage(answers, touchpoints if first else [], by=first, **used).table,
        "rated": completeness(answers, touchpoints),
        "alike": straight_lining(answers, touchpoints),
        "repeated": repeated_answers(answers, touchpoints),
        "haste": check_respondents(study, period=period),
        "weights": weight_summary(answers, design=study.design),
        "breaks": break_off(answers, ratings, labels=study.labels),
    }
    shown = {name: with_display(table, **DISPLAYS[name]) for name, table in tables.items()}
    short = {study.labels[name]: word for name, word in study.short_labels.items()}
    shown["use"] = with_display(shown["use"], labels=short)
    return FitForUse(
        **shown,
        n_missing=whole.n_missing,
        response=response_rates(study, period=period, where=where),
        n=row_count(answers),
        outcomes=tuple(metric.column for metric in study.headline_metrics(period)),
        names=study.short_labels,
        selection=study.selection(where) if where else "",
    )
