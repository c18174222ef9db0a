"""A touchpoint's operational figure beside its experience score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.frames import Opened, check_choice, collect, open_frame
from cxlab.core.metric import Metric
from cxlab.stats.association import joint_counts, pair_estimates
from cxlab.stats.inference import check_level
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.survey.study import Study

#: Columns of `operational_table` when a study declares nothing.
OPERATIONAL_COLUMNS = (
    "touchpoint", "operational", "experience", "unit", "n", "estimate", "operational_mean",
    "operational_low", "operational_high", "target", "experience_mean", "experience_low",
    "experience_high", "quadrant", "note",
)  # fmt: skip

BETTER = ("lower", "higher")

QUADRANTS = {
    (True, True): "both good",
    (True, False): "efficient but disliked",
    (False, True): "liked but slow",
    (False, False): "both bad",
}


@dataclass(frozen=True)
class OperationalMetric:
    """What a touchpoint's operational figure is, and what is wanted of it.

    Attributes
    ----------
    touchpoint : str
        Name of the touchpoint.
    operational : str
        Column of the figure: minutes waited, resolved at first contact, converted …
    better : {"lower", "higher"}
        Which direction is good.
    target : float
        The mean figure wanted (a share from 0 to 1 where ``success`` is given).
    experience : str
        Column of the touchpoint's score.
    experience_target : float
        The mean score wanted.
    success : str or None
        Where the figure is text, the value that counts as 1; any other answer counts as 0.
    unit : str
        Unit in words, such as ``"minutes"``.

    Raises
    ------
    ValueError
        For another direction, or a target of a share outside 0 to 1.
    """

    touchpoint: str
    operational: str
    better: str
    target: float
    experience: str
    experience_target: float
    success: str | None = None
    unit: str = ""

    def __post_init__(self) -> None:
        check_choice("better", self.better, BETTER)
        if self.success is not None and not 0 <= self.target <= 1:
            raise ValueError(
                f"`target` must be a share from 0 to 1 for '{self.operational}'; "
                f"got {self.target}. For 85 per cent write 0.85."
            )


def operational_beside_experience(
    data: Any,
    metrics: Sequence[OperationalMetric],
    *,
    touchpoint: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Show each touchpoint's operational figure and experience score on one row.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer or per episode.
    metrics : sequence of OperationalMetric
        One row of the result each.
    touchpoint : str, optional
        In long data, the column that names the touchpoint: a metric then counts the rows
        of its own touchpoint only.
    design : Design or mapping, optional
        The survey design.
    level : float

    Returns
    -------
    DataFrame
        One row per metric: ``touchpoint, operational, experience, unit``, ``occasion`` (D:
        operational figure against survey); ``n``
        (both known); ``estimate, se, ci_low, ci_high, p_value`` of Spearman's correlation
        of good operation with good experience (its sign is turned where lower is better);
        ``operational_n, operational_mean, operational_low, operational_high, better,
        target``, ``within_target`` (per cent of single figures that meet it, low and
        high; null for shares); ``experience_n, experience_mean, experience_low,
        experience_high, experience_target``; ``quadrant`` ("both good", "efficient but
        disliked", "liked but slow", "both bad") by the means, ``settled`` (whether neither
        interval holds its target); ``note``.

    Raises
    ------
    ValueError
        For unknown columns. A touchpoint or a ``success`` that does not occur keeps its row,
        and the note says what there is instead.
    TypeError
        For text without ``success``.

    Notes
    -----
    Both means are of all rows that have the figure; the correlation is of rows with both.
    It is an association: who got which service was not decided by lot.

    Examples
    --------
    >>> rows = pd.DataFrame({"wait": [3, 5, 9, 20], "score": [5, 5, 4, 2]})
    >>> wanted = OperationalMetric("check-in", "wait", "lower", 10, "score", 4)
    >>> operational_beside_experience(rows, [wanted])[["estimate", "quadrant"]].values.tolist()
    [[0.9486832980505138, 'both good']]
    """
    check_level(level)
    metrics = list(metrics)
    if not metrics:
        raise ValueError("`metrics` must be one or more OperationalMetric; got none. Declare one.")
    opened = _opened(data, metrics, touchpoint, design)
    prepared = replace(opened, lazy=_prepared(opened, metrics, touchpoint))
    figures, scores, met = _means(prepared, metrics, level)
    known, rows = _values(opened, touchpoint) if touchpoint else None, []
    for i, metric in enumerate(metrics):
        pairs = joint_counts(prepared, f"figure_{i}", f"score_{i}")
        fit = pair_estimates(pairs, "spearman", level=level).table.iloc[0]
        row = _row(metric, fit, figures.iloc[i], scores.iloc[i], met.iloc[i])
        absent = _absent(opened, metric, known)
        rows.append({**row, "note": "; ".join(filter(None, [absent, row["note"]]))})
    return pd.DataFrame(rows)


def operational_table(
    study: Study, *, period: str | None = None, level: float = 0.95
) -> pd.DataFrame:
    """Operational figure beside experience score of every touchpoint that declares one.

    Parameters
    ----------
    study : Study
        Its tables may declare ``[tables.NAME.operational.TOUCHPOINT]``.
    period : str, optional
        Default: all together.
    level : float

    Returns
    -------
    DataFrame
        As `cxlab.operational_beside_experience`, with the labels of the table that declares
        it in place of ``operational`` and ``experience``; empty where nothing is declared.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> operational_table(load_study("demo"), period="2025-Q4")["touchpoint"].tolist()[:2]
    ['check_in', 'security_screening']
    """
    tables = []
    for name, table in study.definition.tables.items():
        if not table.operational:
            continue
        metrics = [
            OperationalMetric(
                touchpoint=one.touchpoint, operational=one.column, better=one.better,
                target=one.target, experience=one.experience,
                experience_target=one.experience_target, success=one.success, unit=one.unit,
            )
            for one in table.operational.values()
        ]  # fmt: skip
        found = operational_beside_experience(
            study.read(name, period=period), metrics, touchpoint=table.touchpoint_column,
            level=level, design=study.table_design(name),
        )  # fmt: skip
        # another table may have columns of the same names
        named = {c: found[c].replace(table.labels) for c in ("operational", "experience")}
        tables.append(found.assign(**named))
    if not tables:
        return pd.DataFrame(columns=list(OPERATIONAL_COLUMNS))
    return pd.concat(tables, ignore_index=True)


def _opened(
    data: Any, metrics: Sequence[OperationalMetric], touchpoint: str | None, design: DesignLike
) -> Opened:
    numbers = {
        "experience": [metric.experience for metric in metrics],
        "operational": [metric.operational for metric in metrics if metric.success is None],
    }
    words = [metric.operational for metric in metrics if metric.success is not None]
    return open_frame(data, numbers=numbers, design=design, success=words, touchpoint=touchpoint)


def _absent(opened: Opened, metric: OperationalMetric, known: list[str] | None) -> str:
    """The touchpoint or the success that does not occur, in words."""
    if known is not None and metric.touchpoint not in known:
        return f"no '{metric.touchpoint}'; there is {_all(known)}"
    if metric.success is None:
        return ""
    seen = _values(opened, metric.operational)
    return "" if metric.success in seen else f"no '{metric.success}'; there is {_all(seen)}"


def _all(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values[:8]) or "nothing"


def _values(opened: Opened, name: str) -> list[str]:
    found = collect(opened.lazy.select(value=nw.col(name).cast(nw.String)).unique())["value"]
    return sorted(found.dropna().tolist())


def _prepared(
    opened: Opened, metrics: Sequence[OperationalMetric], touchpoint: str | None
) -> nw.LazyFrame:
    """Figure, score and target met of every metric; null off its touchpoint."""
    columns: dict[str, nw.Expr] = {}
    for i, metric in enumerate(metrics):
        figure = nw.col(metric.operational)
        if metric.success is not None:
            hit = nw.when(figure.cast(nw.String) == metric.success).then(nw.lit(1.0))
            figure = nw.when(~figure.is_null()).then(hit.otherwise(nw.lit(0.0)))
        score = nw.col(metric.experience)
        met = figure <= metric.target if metric.better == "lower" else figure >= metric.target
        reached = nw.when(met).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        inside = nw.lit(True)
        if touchpoint:
            inside = nw.col(touchpoint).cast(nw.String) == metric.touchpoint
        columns[f"figure_{i}"] = nw.when(inside).then(figure)
        columns[f"score_{i}"] = nw.when(inside).then(score)
        columns[f"met_{i}"] = nw.when(inside & ~figure.is_null()).then(reached)
    return opened.lazy.select(*dict.fromkeys(opened.design.used()), **columns)


def _means(
    prepared: Opened, metrics: Sequence[OperationalMetric], level: float
) -> list[pd.DataFrame]:
    """Mean figures, mean scores and shares of figures that meet their target."""
    size = len(metrics)
    asked = [Metric(f"{kind}_{i}", "mean") for kind in ("figure", "score") for i in range(size)]
    asked += [Metric(f"met_{i}", "box", top=(1, 1)) for i in range(size)]
    estimates = estimate_each(prepared, asked, groupings=[None], level=level)[0]
    return [estimates.iloc[start : start + size] for start in range(0, 3 * size, size)]


def _row(
    metric: OperationalMetric, fit: pd.Series, figure: pd.Series, score: pd.Series, met: pd.Series
) -> dict[str, Any]:
    turn, share = -1.0 if metric.better == "lower" else 1.0, metric.success is not None
    low, high = sorted([turn * fit["ci_low"], turn * fit["ci_high"]])
    operational = _against(figure, metric.target, metric.better)
    experience = _against(score, metric.experience_target, "higher")
    known = figure["n"] > 0 and score["n"] > 0
    within = {
        f"within_target{end}": np.nan if share else met[name]
        for end, name in {"": "estimate", "_low": "ci_low", "_high": "ci_high"}.items()
    }
    return {
        "touchpoint": metric.touchpoint,
        "operational": metric.operational,
        "experience": metric.experience,
        "unit": metric.unit,
        "occasion": "D",
        "n": int(fit["n"]),
        "estimate": turn * fit["estimate"],
        "se": fit["se"],
        "ci_low": low,
        "ci_high": high,
        "p_value": fit["p_value"],
        **_side("operational", figure),
        "better": metric.better,
        "target": metric.target,
        **within,
        **_side("experience", score),
        "experience_target": metric.experience_target,
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
