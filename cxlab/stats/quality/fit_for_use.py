"""Is this data fit to use: everything that speaks for or against it, in one result."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.engines import row_count
from cxlab.core.findings import Cells, Finding, Findings, figures
from cxlab.core.phrases import capital, interval, number, small
from cxlab.core.result import Result
from cxlab.stats.metrics.scorecard import usage, usage_each
from cxlab.stats.quality.patterns import (
    break_off,
    completeness,
    repeated_answers,
    straight_lining,
    weight_summary,
)
from cxlab.stats.quality.response import Response, response_rates
from cxlab.survey.check import check_answers, check_respondents
from cxlab.survey.study import Study, Where

#: From here on answers are used with care: share of an outcome that is missing, effective answers,
#: representativity, share of quick or repeated respondents.
MISSING, FEWEST, LEAST_R, QUICK = 0.05, 100, 0.8, 0.05
#: Names that the notebook records the tables under.
COUNTS, USE, ALIKE, WEIGHTS = (
    "answers-and-missing-reasons",
    "use-of-touchpoints",
    "straight-lining",
    "weights-and-clusters",
)
HASTE, RATES, R = "haste-and-repeated-respondents", "response-rates", "representativity"
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


def quality_findings(fit: FitForUse) -> Findings:
    """The findings of `FitForUse`."""
    if not fit.n:
        text = "There are no answers to use"
        return Findings(
            (
                Finding(
                    kind="answer",
                    text=f"{fit.selection}: {text.lower()}" if fit.selection else text,
                    rule="none",
                ),
            )
        )
    against = sorted(_against(fit), key=lambda pair: -pair[0])
    worst = [finding for _, finding in against]
    cautions = [_caution(finding) for finding in worst[1:3]]
    found = [_missing(fit), _least_used(fit), _size(fit), _ends(fit), _benchmark()]
    return Findings((_answer(fit, worst), *(one for one in found if one), *cautions))


def _caution(finding: Finding) -> Finding:
    return replace(finding, kind="caution", text=capital(finding.text), subject="")


def _answer(fit: FitForUse, worst: list[Finding]) -> Finding:
    rate = fit.response.rate
    cells = [Cells(WEIGHTS, {}, ("n",)), *(worst[0].cells if worst else ())]
    if worst:
        text, rule = f"Use with care: {worst[0].text}", worst[0].rule
    else:
        text, rule = "nothing in the file speaks against using them", "nothing against"
    if rate is None:
        silent = "The response rate is not declared"
    else:
        answered = _percent(float(rate["estimate"]) / 100)
        silent = f"{answered} of the invited answered; whether the silent differ is not known"
        cells.append(Cells(RATES, {"segment": "everyone"}, ("estimate",)))
    head = f"{fit.n:,} answers"
    if fit.selection:
        head = f"{fit.selection}: {head}"
    text = f"{text}. {head}; {small(silent)}" if worst else f"{head}; {text}. {silent}"
    return Finding(
        kind="answer", text=text, detail=_alike(fit) or (worst[0].detail if worst else ""), n=fit.n,
        rule=rule, direction="bad" if worst else "", cells=tuple(cells),
        reference=worst[0].reference if worst else float(fit.n),
        subject=worst[0].subject if worst else "",
    )  # fmt: skip


def _alike(fit: FitForUse) -> str:
    found = fit.response.representativity
    if found.empty:
        return ""
    row = found.iloc[0]
    return f"R = {row['adjusted']:.2f} of 1 over {row['segments']}: how alike the groups answer"


def _against(fit: FitForUse) -> Iterator[tuple[float, Finding]]:
    """What speaks against the answers, with how many times its limit it is."""
    row = _most_missing(fit)
    if row is not None and row["missing"] >= MISSING:
        name = fit.names.get(row["column"], row["column"])
        yield row["missing"] / MISSING, Finding(
            text=f"{_percent(row['missing'])} have no score of {name}", rule="missing outcome",
            cells=(Cells(COUNTS, {"column": row["column"]}, ("missing",)),), subject=name,
        )  # fmt: skip
    size = float(fit.weights["n_eff"].iloc[0])
    if size < FEWEST:
        yield FEWEST / max(size, 1.0), Finding(
            text=f"the answers know as much as {number(size)} unweighted ones", rule="few answers",
            cells=(Cells(WEIGHTS, {}, ("n_eff",)),),
        )  # fmt: skip
    for _, one in fit.response.representativity.iterrows():
        if one["adjusted"] < LEAST_R:
            yield (1 - one["adjusted"]) / (1 - LEAST_R), Finding(
                text=f"groups of the invited answered unlike one another, R = {one['adjusted']:.2f}",
                rule="unlike groups", cells=(Cells(R, {}, ("adjusted",)),),
                detail=f"{one['segments']}; 1: all alike",
            )  # fmt: skip
    if len(fit.haste) and (share := float(fit.haste["share"].max())) > QUICK:
        check = fit.haste.loc[fit.haste["share"].idxmax()]
        place = {"check": check["check"], "column": check["column"]}
        yield share / QUICK, Finding(
            text=f"{_percent(share)} {check['check'].replace('by the platform', '').strip()}",
            rule="quick or repeated", cells=(Cells(HASTE, place, ("share",)),),
        )  # fmt: skip


def _percent(share: float) -> str:
    return f"{number(100 * share, 1 if share < 0.1 else 0)} %"


def _most_missing(fit: FitForUse) -> Any:
    rows = fit.table[fit.table["column"].isin(fit.outcomes) & fit.table["missing"].notna()]
    return rows.loc[rows["missing"].idxmax()] if len(rows) else None


def _missing(fit: FitForUse) -> Finding | None:
    row = _most_missing(fit)
    if row is None:
        return None
    name = fit.names.get(row["column"], row["column"])
    if not row["missing"]:
        what = "every headline outcome" if len(fit.outcomes) > 1 else name
        return Finding(
            text=f"Every answer has a score of {what}", n=int(row["n"]), rule="outcome missing",
            cells=(Cells(COUNTS, {"column": row["column"]}, ("missing",)),),
        )  # fmt: skip
    return Finding(
        text=f"{name} has no score in {_percent(row['missing'])} of the answers"
             + (", the most of the headline outcomes" if len(fit.outcomes) > 1 else ""),
        detail=f"{row['answered']:,} of {row['n']:,} answered", subject=name, unit="%",
        estimate=100 * float(row["missing"]), n=int(row["n"]), rule="outcome missing",
        cells=(Cells(COUNTS, {"column": row["column"]}, ("missing",)),),
    )  # fmt: skip


def _least_used(fit: FitForUse) -> Finding | None:
    known = fit.use[fit.use["estimate"].notna()] if len(fit.use) else fit.use
    if known.empty:
        return None
    row = known.loc[known["estimate"].astype(float).idxmin()]
    share = f"{number(row['estimate'])} % ({interval(row['ci_low'], row['ci_high'])})"
    return Finding(
        text=f"{row['touchpoint']} is used least, by {share}: its score is that of its users",
        detail=f"n = {row['n']:,}; {len(known)} touchpoints can be left out", unit="%",
        subject=str(row["touchpoint"]), rule="least used", **figures(row),
        cells=(Cells(USE, {"touchpoint": row["touchpoint"]}, ("estimate", "ci_low", "ci_high")),),
    )  # fmt: skip


def _size(fit: FitForUse) -> Finding:
    row = fit.weights.iloc[0]
    n, known = int(row["n"]), float(row["n_eff"])
    cells = (Cells(WEIGHTS, {}, ("n", "n_eff")),)
    if math.isclose(n, known):
        text = f"All {n:,} answers weigh the same"
    else:
        text = f"Weighted, {n:,} answers know as much as {number(known)} unweighted ones"
    clusters = f"{int(row['clusters']):,} clusters, the largest of {int(row['largest_cluster']):,}"
    detail = clusters if row["largest_cluster"] > 1 else "every answer is its own cluster"
    return Finding(text=text, detail=detail, estimate=known, n=n, rule="size", cells=cells)


def _ends(fit: FitForUse) -> Finding | None:
    """Scores at the top of the scale, and one score throughout."""
    known = fit.table[fit.table["ceiling"].notna()]
    if known.empty:
        return None
    row, all_alike = known.loc[known["ceiling"].idxmax()], fit.alike.iloc[-1]
    name, over = fit.names.get(row["column"], row["column"]), known["ceiling"] > 0.5
    text = f"{name} has the highest score in {_percent(row['ceiling'])} of its answers, the most of all"
    cells = [Cells(COUNTS, {"column": row["column"]}, ("ceiling",))]
    if np.isfinite(all_alike["share"]):
        who = _percent(all_alike["share"]) if all_alike["share"] > 0 else "nobody"
        text += f"; {who} gave every touchpoint one score"
        cells.append(Cells(ALIKE, {"score": "any"}, ("share",)))
    detail = (
        "little room to be seen to improve"
        if over.any()
        else "no question has more than half there"
    )
    return Finding(text=text, detail=detail, rule="ends", subject=name, cells=tuple(cells))


def _benchmark() -> Finding:
    return Finding(
        text="No benchmark in this study: scores can be held against its own periods and groups only",
        rule="no benchmark",
    )  # fmt: skip


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
    touchpoints = study.touchpoints
    asked = {metric.column for metric in study.metrics(period=period)}
    ratings = [name for name in study.scales if name in asked or not asked]
    groupings = [None, *study.segments[:1]]
    whole, *parts = usage_each(answers, touchpoints, groupings, **used)
    by_segment = parts[0] if parts else usage(answers, [], **used)
    least_first = whole.table.sort_values("estimate", kind="stable").reset_index(drop=True)
    tables = {
        "table": check_answers(answers, study),
        "use": least_first,
        "use_by_segment": by_segment.table,
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
