"""The glossary of a study: each measure as the study file declares it, and the words of reports."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.metric import Metric
from cxlab.core.phrases import listed
from cxlab.survey.definition import RATING_ROLES, Column, Table
from cxlab.survey.scales import METRICS, Scale
from cxlab.survey.study import Study

COLUMNS = ("term", "definition", "formula", "bins", "missing_codes", "weight", "source")
#: Words that every report uses, whatever the study.
WORDS = {
    "Interval": "Where the true value may lie: such intervals hold it in 95 % of surveys. It allows "
    "for weights, strata and customers who answer more than once, as far as they are declared.",
    "Clear": "Shown at the 95 % level, allowing for how many were compared.",
    "Likely": "This way in 80 to 95 % of resamples; not enough to act on alone.",
    "Not settled": "Not shown; it may still be there.",
    "Margin": "The smallest difference that matters. Unless the study file declares another: 3 "
    "points, 3 percentage points, or 2 % of the length of the scale.",
    "n": "Answers with a score; blanks and missing codes do not count.",
    "Effective n": "As many answers of a simple random sample would say as much.",
    "Never used": "The customer did not use the touchpoint: neither a score nor a blank.",
    "tNPS and rNPS": "The NPS of answers given after an episode (transactional), and of those that the "
    "whole customer base is asked for (relationship).",
    "Hidden": "A group of too few answers, or one that would give such a group back.",
}


def glossary(study: Study) -> pd.DataFrame:
    """What every term of a study's reports means, from its study file.

    Parameters
    ----------
    study : Study

    Returns
    -------
    DataFrame
        One row per measure of a scale, then the words that every report uses: ``term``,
        ``definition``, ``formula``, ``bins`` (scores and their names), ``missing_codes`` (with
        their reasons), ``weight`` and ``source`` (table and columns).

    Examples
    --------
    >>> from cxlab import load_study
    >>> table = glossary(load_study("demo")).set_index("term")
    >>> print(table.loc["NPS", "formula"].iloc[0])
    100 × (answers from 9 to 10 − answers from 0 to 6) / valid answers
    >>> print(table.loc["NPS", "bins"].iloc[0])
    0 to 6 detractors, 7 to 8 passives, 9 to 10 promoters
    """
    rows = [row for table in study.definition.tables.values() for row in _measures(table, study)]
    rows += [{"term": term, "definition": text} for term, text in WORDS.items()]
    rows[-1]["definition"] += (
        f" Here fewer than {study.definition.min_group_size} answers are hidden."
    )
    table = pd.DataFrame(rows, columns=list(COLUMNS)).fillna("").astype("str")
    return with_display(
        table, caption=f"Glossary of {study.title}", columns=COLUMNS, top=len(table),
        about="from the study file",
    )  # fmt: skip


def _measures(table: Table, study: Study) -> Iterable[dict[str, str]]:
    """A row per scale and metric of a table, with the columns that they measure."""
    rated: dict[tuple[str, str], list[Column]] = {}
    for column in table.with_role(*RATING_ROLES):
        for name in column.metrics if column.scale else ():
            rated.setdefault((column.scale.name if column.scale else "", name), []).append(column)
    weight = table.only("weight")
    for (_, name), columns in rated.items():
        scale = columns[0].scale
        if scale is None:
            continue
        metric = scale.metric(columns[0].name, name)
        labels = [column.short or column.label for column in columns]
        yield {
            "term": metric.title,
            "definition": _definition(metric, scale, name),
            "formula": _formula(metric),
            "bins": _bins(scale),
            "missing_codes": _codes(columns),
            "weight": f"{weight.label} ({weight.name})" if weight else "none: each answer counts one",
            "source": f"{table.label}: {listed(labels)}. {study.definition.source}",
        }  # fmt: skip


def _definition(metric: Metric, scale: Scale, name: str) -> str:
    ends = f"from {_score(scale, scale.low)} to {_score(scale, scale.high)}"
    if metric.kind == "mean":
        return f"Mean of the answers on a scale {ends}."
    parts = " less the share of ".join(METRICS[name][:: 2 if name == "nps" else 1])
    unit = "points from −100 to 100" if metric.kind == "net" else "per cent"
    return f"Share of {parts} among valid answers, in {unit}; the scale goes {ends}."


def _score(scale: Scale, score: int) -> str:
    words = scale.labels.get(score, "")
    return f"{score} ({words})" if words else str(score)


def _formula(metric: Metric) -> str:
    if metric.kind == "mean":
        return "sum of scores / valid answers"
    counted = f"answers {_range(metric.top)}"
    if metric.kind == "net":
        counted = f"({counted} − answers {_range(metric.bottom)})"
    return f"100 × {counted} / valid answers"


def _range(ends: tuple[float, float] | None) -> str:
    low, high = ends or (0, 0)
    return f"of {low:g}" if low == high else f"from {low:g} to {high:g}"


def _bins(scale: Scale) -> str:
    ordered = sorted(scale.bins.items(), key=lambda item: item[1])
    each = [
        (f"{low}" if low == high else f"{low} to {high}", name) for name, (low, high) in ordered
    ]
    return ", ".join(f"{scores} {name}" for scores, name in each)


def _codes(columns: Iterable[Column]) -> str:
    codes = {code: why for column in columns for code, why in column.missing.items()}
    each = [f"{code}: {why}" for code, why in codes.items() if code.casefold() != "blank"]
    blanks = {column.blank for column in columns}
    return ", ".join([*each, f"blank: {listed(sorted(blanks), last='or')}"])
