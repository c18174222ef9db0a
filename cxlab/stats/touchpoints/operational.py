"""A touchpoint's operational figure beside its experience score."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import check_choice, check_columns, check_numeric, collect, scan
from cxlab.core.metric import Metric
from cxlab.stats.association import joint_counts, pair_estimates
from cxlab.stats.inference import check_level
from cxlab.stats.metrics import estimate_metrics
from cxlab.stats.touchpoints.occasions import find_occasion

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
    occasion: str = "D",
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
    occasion : {"A", "B", "C", "D"}
        D unless the figure was itself asked in the survey.
    design : Design or mapping, optional
        The survey design.
    level : float

    Returns
    -------
    DataFrame
        One row per metric: ``touchpoint, operational, experience, unit, occasion``; ``n``
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
    declared = find_occasion(occasion)
    design = as_design(design)
    metrics = _checked(data, metrics, touchpoint, design)
    frame = _columns(data, metrics, touchpoint, design)
    estimates = _means(frame, metrics, design, level)
    absent, rows = _absent(data, metrics, touchpoint), []
    for i, metric in enumerate(metrics):
        pairs = joint_counts(
            frame,
            f"figure_{i}",
            f"score_{i}",
            design=design,
        )
        fit = pair_estimates(pairs, "spearman", level=level).table.iloc[0]
        parts = [part.iloc[i] for part in estimates]
        rows.append(_row(metric, fit, parts, declared.code, absent[i]))
    return pd.DataFrame(rows)


def _checked(
    data: Any, metrics: Sequence[OperationalMetric], touchpoint: str | None, design: Design
) -> list[OperationalMetric]:
    found = list(metrics)
    if not found:
        raise ValueError("`metrics` must be one or more OperationalMetric; got none. Declare one.")
    columns = {
        "operational": [metric.operational for metric in found],
        "experience": [metric.experience for metric in found],
        "touchpoint": touchpoint,
    }
    check_columns(data, {**columns, **design.columns()})
    lazy = scan(
        data, [name for metric in found for name in (metric.operational, metric.experience)]
    )
    check_numeric(lazy, {"experience": columns["experience"]})
    plain = [metric.operational for metric in found if metric.success is None]
    check_numeric(lazy, {"operational": plain})
    return found


def _absent(data: Any, metrics: list[OperationalMetric], touchpoint: str | None) -> list[str]:
    """Per metric: the touchpoint or the success that does not occur, in words."""
    known = _values(data, touchpoint) if touchpoint else []
    notes = []
    for metric in metrics:
        note = ""
        if metric.success is not None:
            seen = _values(data, metric.operational)
            note = "" if metric.success in seen else f"no '{metric.success}'; there is {_all(seen)}"
        if touchpoint and metric.touchpoint not in known:
            note = f"no '{metric.touchpoint}'; there is {_all(known)}"
        notes.append(note)
    return notes


def _all(values: list[str]) -> str:
    return ", ".join(f"'{value}'" for value in values[:8]) or "nothing"


def _values(data: Any, name: str) -> list[str]:
    column = nw.col(name).cast(nw.String)
    found = collect(scan(data, [name]).select(value=column).unique())["value"]
    return sorted(found.dropna().tolist())


def _columns(
    data: Any, metrics: list[OperationalMetric], touchpoint: str | None, design: Design
) -> Any:
    """Figure, score and target met of every metric; null off its touchpoint."""
    used = [name for name in design.columns().values() if name]
    wanted = [name for metric in metrics for name in (metric.operational, metric.experience)]
    lazy = scan(data, [*wanted, *([touchpoint] if touchpoint else []), *used])
    columns: dict[str, nw.Expr] = {}
    for i, metric in enumerate(metrics):
        figure = nw.col(metric.operational)
        if metric.success is not None:
            hit = nw.when(figure.cast(nw.String) == metric.success).then(nw.lit(1.0))
            figure = nw.when(~figure.is_null()).then(hit.otherwise(nw.lit(0.0)))
        figure = figure.cast(nw.Float64)
        score = nw.col(metric.experience).cast(nw.Float64)
        met = figure <= metric.target if metric.better == "lower" else figure >= metric.target
        reached = nw.when(met).then(nw.lit(1.0)).otherwise(nw.lit(0.0))
        inside = nw.lit(True)
        if touchpoint:
            inside = nw.col(touchpoint).cast(nw.String) == metric.touchpoint
        columns[f"figure_{i}"] = nw.when(inside).then(figure)
        columns[f"score_{i}"] = nw.when(inside).then(score)
        columns[f"met_{i}"] = nw.when(inside & ~figure.is_null()).then(reached)
    return lazy.select(*used, **columns).to_native()


def _means(
    frame: Any, metrics: list[OperationalMetric], design: Design, level: float
) -> list[pd.DataFrame]:
    size = len(metrics)
    asked = [Metric(f"figure_{i}", "mean") for i in range(size)]
    asked += [Metric(f"score_{i}", "mean") for i in range(size)]
    asked += [Metric(f"met_{i}", "box", top=(1, 1)) for i in range(size)]
    estimates = estimate_metrics(frame, asked, design=design, level=level)
    parts = [estimates.iloc[start : start + size] for start in range(0, 3 * size, size)]
    return [part.reset_index(drop=True) for part in parts]


def _row(
    metric: OperationalMetric,
    fit: pd.Series,
    parts: list[pd.Series],
    occasion: str,
    absent: str,
) -> dict[str, Any]:
    figure, score, met = parts
    turn = -1.0 if metric.better == "lower" else 1.0
    low, high = sorted([turn * fit["ci_low"], turn * fit["ci_high"]])
    share = metric.success is not None
    operational = _against(figure, metric.target, metric.better)
    experience = _against(score, metric.experience_target, "higher")
    known = figure["n"] > 0 and score["n"] > 0
    return {
        "touchpoint": metric.touchpoint,
        "operational": metric.operational,
        "experience": metric.experience,
        "unit": metric.unit,
        "occasion": occasion,
        "n": int(fit["n"]),
        "estimate": turn * fit["estimate"],
        "se": fit["se"],
        "ci_low": low,
        "ci_high": high,
        "p_value": fit["p_value"],
        "operational_n": int(figure["n"]),
        "operational_mean": figure["estimate"],
        "operational_low": figure["ci_low"],
        "operational_high": figure["ci_high"],
        "better": metric.better,
        "target": metric.target,
        "within_target": np.nan if share else met["estimate"],
        "within_target_low": np.nan if share else met["ci_low"],
        "within_target_high": np.nan if share else met["ci_high"],
        "experience_n": int(score["n"]),
        "experience_mean": score["estimate"],
        "experience_low": score["ci_low"],
        "experience_high": score["ci_high"],
        "experience_target": metric.experience_target,
        "quadrant": QUADRANTS[operational[0], experience[0]] if known else "not known",
        "settled": bool(operational[1] and experience[1]),
        "note": _note(figure, score, fit, share, absent),
    }


def _against(part: pd.Series, target: float, better: str) -> tuple[bool, bool]:
    """Whether the mean meets its target, and whether its interval leaves no doubt."""
    mean = part["estimate"]
    good = bool(mean <= target if better == "lower" else mean >= target)
    settled = bool(part["ci_high"] < target or part["ci_low"] > target)
    return good, settled


def _note(figure: pd.Series, score: pd.Series, fit: pd.Series, share: bool, absent: str) -> str:
    parts = [absent] if absent else []
    if figure["n"] == 0:
        parts.append("no operational figure")
    if score["n"] == 0:
        parts.append("no score")
    if fit["note"]:
        parts.append(f"no correlation: {fit['note']}" if np.isnan(fit["estimate"]) else fit["note"])
    if share:
        parts.append("the figure is itself a share")
    return "; ".join(parts)
