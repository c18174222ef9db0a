"""A touchpoint's operational figure beside its experience score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import answered_by_few, hide_rows
from cxlab.core.disclosure.rule import SMALL
from cxlab.core.display import with_display
from cxlab.core.frames import Opened, collect, open_frame
from cxlab.core.metric import Metric
from cxlab.stats.association.counts import joint_counts
from cxlab.stats.association.estimates import pair_estimates
from cxlab.stats.inference import check_level
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.survey.definition import Operational
from cxlab.survey.study import Study

#: Columns of `operational_table` when a study declares nothing.
OPERATIONAL_COLUMNS = (
    "touchpoint", "operational", "experience", "unit", "n", "estimate", "operational_mean",
    "operational_low", "operational_high", "target", "experience_mean", "experience_low",
    "experience_high", "quadrant", "note",
)  # fmt: skip

QUADRANTS = {
    (True, True): "both good",
    (True, False): "efficient but disliked",
    (False, True): "liked but slow",
    (False, False): "both bad",
}


def operational_table(
    study: Study, *, period: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Operational figure beside experience score of every touchpoint that declares one.

    Parameters
    ----------
    study : Study
        Its tables may declare ``[tables.NAME.operational.TOUCHPOINT]``: a figure (minutes
        waited, resolved at first contact …), its direction and target, and a score.
    period : str, optional
        Default: all together.
    level : float

    Returns
    -------
    DataFrame
        One row per figure, with the labels of its table: ``touchpoint, operational,
        experience, unit``, ``occasion`` (D: operational figure against survey); ``n``
        (both known); ``estimate, se, ci_low, ci_high, p_value`` of Spearman's correlation
        of good operation with good experience (its sign is turned where lower is better);
        ``operational_n, operational_mean, operational_low, operational_high, better,
        target``, ``within_target`` (per cent of single figures that meet it, low and
        high; null for shares); ``experience_n, experience_mean, experience_low,
        experience_high, experience_target``; ``quadrant`` ("both good", "efficient but
        disliked", "liked but slow", "both bad") by the means, ``settled`` (whether neither
        interval holds its target); ``note``. A touchpoint or a success that does not occur
        keeps its row, and the note says what there is instead; figures of fewer rows than
        the study's smallest group are hidden. Empty where nothing is declared.

    Notes
    -----
    Both means are of all rows that have the figure; the correlation is of rows with both.
    It is an association: who got which service was not decided by lot.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> operational_table(load_study("demo"), period="2025-Q4")["touchpoint"].tolist()[:2]
    ['check_in', 'security_screening']
    """
    check_level(level)
    tables = []
    for name, table in study.definition.tables.items():
        if not table.operational:
            continue
        found = beside_experience(
            study.read(name, period=period), [*table.operational.values()],
            touchpoint=table.touchpoint_column, level=level, design=study.table_design(name),
            min_group_size=study.definition.min_group_size,
        )  # fmt: skip
        # another table may have columns of the same names
        named = {c: found[c].replace(table.labels) for c in ("operational", "experience")}
        tables.append(found.assign(**named))
    if not tables:
        return pd.DataFrame(columns=list(OPERATIONAL_COLUMNS))
    whole, least = pd.concat(tables, ignore_index=True), study.definition.min_group_size
    reason = whole.pop("few").map({True: SMALL, False: ""})
    shown = hide_rows(whole, reason, least).drop(columns="suppressed")
    return with_display(
        shown.assign(operational=whole["operational"], experience=whole["experience"]),
        labels=touchpoint_words(study), level=level, units={"estimate": "r", "operational_mean": "score"},
        caption="Operational figure and experience score",
        headers={"estimate": "Go together, r", "operational_mean": "Figure", "target": "Its target"},
        columns=(
            "touchpoint", "operational", "operational_mean", "target", "experience_mean",
            "estimate", "quadrant", "settled",
        ),
    )  # fmt: skip


def touchpoint_words(study: Study) -> dict[str, str]:
    """Labels of the main table, and words for touchpoints that are no column of it."""
    named = [
        one for table in study.definition.tables.values() for one in table.operational.values()
    ]
    words = {one.touchpoint: one.touchpoint.replace("_", " ").capitalize() for one in named}
    return words | study.labels


def beside_experience(
    data: Any,
    figures: Sequence[Operational],
    *,
    touchpoint: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = 1,
) -> pd.DataFrame:
    """`operational_table` of one frame; in long data ``touchpoint`` names whose row it is.

    ``few`` says whether a row has figures of fewer people than ``min_group_size``.
    """
    opened = _opened(data, figures, touchpoint, design)
    prepared = replace(opened, lazy=_prepared(opened, figures, touchpoint))
    operation, experience, met = _means(prepared, len(figures), level)
    known, rows = _values(opened, touchpoint) if touchpoint else None, []
    for i, figure in enumerate(figures):
        pairs = joint_counts(prepared, f"figure_{i}", f"score_{i}")
        fit = pair_estimates(pairs, "spearman", level=level).table.iloc[0]
        row = _row(figure, fit, operation.iloc[i], experience.iloc[i], met.iloc[i])
        absent = _absent(opened, figure, known)
        rows.append({**row, "note": "; ".join(filter(None, [absent, row["note"]]))})
    table = pd.DataFrame(rows)
    few = [
        answered_by_few(
            prepared, [f"{kind}_{i}" for i in table.index], table[f"{of}_n"], min_group_size
        )
        for kind, of in (("figure", "operational"), ("score", "experience"))
    ]
    return table.assign(few=few[0] | few[1])


def _opened(
    data: Any, figures: Sequence[Operational], touchpoint: str | None, design: DesignLike
) -> Opened:
    numbers = {
        "experience": [one.experience for one in figures],
        "operational": [one.column for one in figures if one.success is None],
    }
    words = [one.column for one in figures if one.success is not None]
    return open_frame(data, numbers=numbers, design=design, success=words, touchpoint=touchpoint)


def _absent(opened: Opened, wanted: Operational, known: list[str] | None) -> str:
    """The touchpoint or the success that does not occur, in words."""
    if known is not None and wanted.touchpoint not in known:
        return f"no '{wanted.touchpoint}'; there is {_all(known)}"
    if wanted.success is None:
        return ""
    seen = _values(opened, wanted.column)
    return "" if wanted.success in seen else f"no '{wanted.success}'; there is {_all(seen)}"


def _all(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values[:8]) or "nothing"


def _values(opened: Opened, name: str) -> list[str]:
    found = collect(opened.lazy.select(value=nw.col(name).cast(nw.String)).unique())["value"]
    return sorted(found.dropna().tolist())


def _prepared(
    opened: Opened, figures: Sequence[Operational], touchpoint: str | None
) -> nw.LazyFrame:
    """Figure, score and target met of every figure; null off its touchpoint."""
    columns: dict[str, nw.Expr] = {}
    for i, wanted in enumerate(figures):
        figure = nw.col(wanted.column)
        if wanted.success is not None:
            hit = nw.when(figure.cast(nw.String) == wanted.success).then(nw.lit(1.0))
            figure = nw.when(~figure.is_null()).then(hit.otherwise(nw.lit(0.0)))
        score = nw.col(wanted.experience)
        met = figure <= wanted.target if wanted.better == "lower" else figure >= wanted.target
        reached = nw.when(met).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        inside = nw.lit(True)
        if touchpoint:
            inside = nw.col(touchpoint).cast(nw.String) == wanted.touchpoint
        columns[f"figure_{i}"] = nw.when(inside).then(figure)
        columns[f"score_{i}"] = nw.when(inside).then(score)
        columns[f"met_{i}"] = nw.when(inside & ~figure.is_null()).then(reached)
    return opened.lazy.select(*dict.fromkeys(opened.design.used()), **columns)


def _means(prepared: Opened, size: int, level: float) -> list[pd.DataFrame]:
    """Mean figures, mean scores and shares of figures that meet their target."""
    asked = [Metric(f"{kind}_{i}", "mean") for kind in ("figure", "score") for i in range(size)]
    asked += [Metric(f"met_{i}", "box", top=(1, 1)) for i in range(size)]
    estimates = estimate_each(prepared, asked, groupings=[None], level=level)[0]
    return [estimates.iloc[start : start + size] for start in range(0, 3 * size, size)]


def _row(
    wanted: Operational, fit: pd.Series, figure: pd.Series, score: pd.Series, met: pd.Series
) -> dict[str, Any]:
    turn, share = -1.0 if wanted.better == "lower" else 1.0, wanted.success is not None
    low, high = sorted([turn * fit["ci_low"], turn * fit["ci_high"]])
    operational = _against(figure, wanted.target, wanted.better)
    experience = _against(score, wanted.experience_target, "higher")
    known = figure["n"] > 0 and score["n"] > 0
    within = {
        f"within_target{end}": np.nan if share else met[name]
        for end, name in {"": "estimate", "_low": "ci_low", "_high": "ci_high"}.items()
    }
    return {
        "touchpoint": wanted.touchpoint,
        "operational": wanted.column,
        "experience": wanted.experience,
        "unit": wanted.unit,
        "occasion": "D",
        "n": int(fit["n"]),
        "estimate": turn * fit["estimate"],
        "se": fit["se"],
        "ci_low": low,
        "ci_high": high,
        "p_value": fit["p_value"],
        **_side("operational", figure),
        "better": wanted.better,
        "target": wanted.target,
        **within,
        **_side("experience", score),
        "experience_target": wanted.experience_target,
        "quadrant": QUADRANTS[operational[0], experience[0]] if known else "not known",
        "settled": bool(operational[1] and experience[1]),
        "note": _note(figure, score, fit, share),
    }


def _side(name: str, mean: pd.Series) -> dict[str, Any]:
    return {
        f"{name}_n": int(mean["n"]),
        f"{name}_mean": mean["estimate"],
        f"{name}_low": mean["ci_low"],
        f"{name}_high": mean["ci_high"],
    }


def _against(part: pd.Series, target: float, better: str) -> tuple[bool, bool]:
    """Whether the mean meets its target, and whether its interval leaves no doubt."""
    mean = part["estimate"]
    good = bool(mean <= target if better == "lower" else mean >= target)
    settled = bool(part["ci_high"] < target or part["ci_low"] > target)
    return good, settled


def _note(figure: pd.Series, score: pd.Series, fit: pd.Series, share: bool) -> str:
    parts = []
    if figure["n"] == 0:
        parts.append("no operational figure")
    if score["n"] == 0:
        parts.append("no score")
    if fit["note"]:
        parts.append(f"no correlation: {fit['note']}" if np.isnan(fit["estimate"]) else fit["note"])
    if share:
        parts.append("the figure is itself a share")
    return "; ".join(parts)
