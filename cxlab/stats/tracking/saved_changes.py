"""Changes and scores of periods from their saved statistics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike, as_design
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE
from cxlab.core.frames import check_choice
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.stats.inference import (
    Spread,
    check_level,
    effective_sample_size,
    mean_interval,
    permutation_p_value,
    score_interval,
    wilson_interval,
)
from cxlab.stats.metrics.estimates import estimate_metrics
from cxlab.stats.metrics.two_groups import (
    IN_UNITS,
    SMALL_GROUP,
    SideFacts,
    judged,
    simple_difference,
)
from cxlab.stats.metrics.values import all_alike
from cxlab.stats.tracking.pairs import Pair
from cxlab.stats.tracking.periods import in_order
from cxlab.stats.tracking.statistics import Key, PeriodStatistics, SavedPeriods, key_of

SUMS = ["n", "y", "yy", "w", "wy", "wyy"]
NO_PERMUTATION = "no permutation test: it needs the answers"


def saved_changes(
    saved: SavedPeriods,
    metrics: Sequence[Metric],
    periods: tuple[str, str],
    *,
    labels: Mapping[str, str] | None,
    level: float,
    method: str = "auto",
    permutations: int = 9999,
    seed: int = 0,
    **ignored: Any,
) -> pd.DataFrame:
    """Change of each metric between two saved periods, as `cxlab.compare_periods` gives it.

    Parameters
    ----------
    saved : SavedPeriods
    metrics : sequence of Metric
    periods : (earlier, later)
    labels, level, method, permutations, seed
        As for `cxlab.compare_groups`.
    **ignored
        Names of design columns, which saved statistics have no use for.
    """
    check_choice("method", method, ("auto",))
    pair = Pair(saved[periods[0]], saved[periods[1]])
    if method == "permutation" or (method != "auto" and not pair.now.simple):
        raise ValueError(
            f"`method` must be 'auto' for saved statistics under a design, and cannot be a "
            f"permutation of answers that are gone; got '{method}'."
        )
    rows = []
    for metric in metrics:
        check_metric(saved, metric, periods)
        row = _change(pair, metric, level, method, permutations, seed)
        key = key_of(metric)
        words = {**pair.now.labels, **(labels or {})}
        rows.append(
            {"label": words.get(key[0], key[0]), "metric": key[1], "period": periods[1],
             "unit": metric.unit, "column": key[0], **row}
        )  # fmt: skip
    return pd.DataFrame(rows)


def check_metric(saved: SavedPeriods, metric: Metric, periods: Sequence[str]) -> None:
    """Refuse a metric that was not kept, or was declared otherwise then."""
    key = key_of(metric)
    for period in periods:
        kept = saved[period].metric(key)
        if kept is None:
            there = [f"{one.column}, {one.name or one.kind}" for one in saved[period].metrics]
            raise ValueError(unknown("metrics", f"{key[0]}, {key[1]}", there, of=period))
        if (kept.kind, kept.top, kept.bottom) != (metric.kind, metric.top, metric.bottom):
            raise ValueError(
                f"`metrics` must be declared as when {period} was saved; got another range for "
                f"{key[1]} of '{key[0]}'. Compare it under its old definition, or from answers."
            )


def _change(
    pair: Pair, metric: Metric, level: float, method: str, permutations: int, seed: int
) -> dict[str, Any]:
    key = key_of(metric)
    rows = [one.rows(key) for one in (pair.now, pair.before)]
    if not all(len(part) for part in rows):
        return _nothing(pair, key, rows)
    now, before = (part.iloc[0] for part in rows)
    if _is_simple(pair, (now, before)):
        found = _simple(now, before, metric, level, method, permutations, seed)
    else:
        found = _designed(pair, now, before, metric, level)
    sizes = {"n": int(now["n"]), "n_before": int(before["n"])}
    found = found | {name: metric.factor * found[name] for name in IN_UNITS}
    if not pair.now.simple and pair.note:
        found["note"] = "; ".join(part for part in (found["note"], pair.note) if part)
    return sizes | {name: found[name] for name in (*IN_UNITS, "df", "p_value", "method", "note")}


def _nothing(pair: Pair, key: Key, rows: list[pd.DataFrame]) -> dict[str, Any]:
    """A row without numbers, and why."""
    blank: dict[str, Any] = dict.fromkeys(("n", "n_before", *IN_UNITS, "df", "p_value"), np.nan)
    empty = [list(key) in one.facts["unanswered"] for one in (pair.now, pair.before)]
    if not any(empty):
        least = pair.now.facts["min_group_size"]
        words = f"hidden: a group of fewer than {least} answers, or one that would give it back"
        return blank | {"method": "", "note": words}
    sizes = [int(part["n"].iloc[0]) if len(part) else 0 for part in rows]
    if any(size == 0 and not none for size, none in zip(sizes, empty, strict=True)):
        return blank | {"method": "", "note": "hidden, or without a valid answer"}
    words = "no test: a group has no valid answer, or one only"
    return blank | {"n": sizes[0], "n_before": sizes[1], "method": "", "note": words}


def _designed(
    pair: Pair, now: pd.Series, before: pd.Series, metric: Metric, level: float
) -> dict[str, Any]:
    spread, own = pair.spread(key_of(metric))
    sides = [_side(row, metric, one) for row, one in ((now, own[1]), (before, own[0]))]
    found = judged(sides, spread, metric, level, float(now["origin"] - before["origin"]))
    weighted = not pair.now.facts["cluster"]
    if weighted and (
        any(s.too_alike(metric) for s in sides)
        or max(s.spread.trace for s in sides) > 1 / SMALL_GROUP
    ):
        found["note"] = "; ".join(part for part in (found["note"], NO_PERMUTATION) if part)
    return found


def _side(row: pd.Series, metric: Metric, spread: Spread) -> SideFacts:
    n, y, yy = (float(row[name]) for name in ("n", "y", "yy"))
    mean = float(row["estimate"] - row["origin"]) / metric.factor
    square = yy / n if metric.kind == "mean" else float(row["top_share"] + row["bottom_share"])
    return SideFacts(n, y, yy, mean, square, spread)


def _is_simple(pair: Pair, rows: Sequence[pd.Series]) -> bool:
    """Whether there is no design, or but clusters of one answer each."""
    facts = pair.now.facts
    lone = all(row["clusters"] == row["n"] for row in rows) and not pair.shared
    return pair.now.simple or (not facts["weights"] and not facts["strata"] and lone)


def _simple(
    now: pd.Series, before: pd.Series, metric: Metric, level: float, method: str,
    permutations: int, seed: int,
) -> dict[str, Any]:  # fmt: skip
    both = pd.DataFrame([_sums(now, now["origin"]), _sums(before, now["origin"])])
    found = simple_difference(both, metric, level)
    mean = metric.kind == "mean"
    alike = mean and all_alike(both["n"], both["y"], both["yy"]).any()
    if method != "auto" or (both["n"].min() >= SMALL_GROUP and not alike):
        return found
    if mean:
        return found | {"note": "; ".join(part for part in (found["note"], NO_PERMUTATION) if part)}
    values = np.concatenate([_values(now), _values(before)])
    inside = np.arange(len(values)) < now["n"]
    found["p_value"] = permutation_p_value(
        values, inside, permutations, np.random.default_rng(seed)
    )
    return found | {"method": f"{found['method']}, permutation p"}


def _sums(row: pd.Series, origin: float) -> dict[str, float]:
    """Unweighted sums counted from an origin."""
    move = row["origin"] - origin
    n, y = float(row["n"]), row["y"] + move * row["n"]
    yy = row["yy"] + 2 * move * row["y"] + move**2 * n
    return dict(zip(SUMS, (n, y, yy, n, y, yy), strict=True))


def _values(row: pd.Series) -> np.ndarray:
    """The answers, but for their order: 1 in the top, −1 in the bottom, else 0."""
    return np.repeat([1.0, -1.0, 0.0], row[["tops", "bottoms", "middles"]].astype(int))


def period_scores(
    source: Any,
    metric: Metric | str,
    *,
    column: str = "period",
    until: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """One metric's score in each period, from answers or from saved statistics.

    Parameters
    ----------
    source
        Dataframe of answers of any engine, or `cxlab.load_periods(folder)`.
    metric : Metric or str
        A text is a column of likelihood to recommend, scored by its NPS.
    column : str
        Column of the periods, of answers.
    until : str, optional
        Leave out the periods after this one, so that a report of it stays as it is.
    design
        As for `cxlab.nps`; saved statistics know their own.
    level : float
        Of the intervals.
    min_group_size : int
        Periods with fewer answers are left out, as they are of saved statistics.

    Returns
    -------
    DataFrame
        One row per period, in order: ``period``, ``n``, ``estimate``, ``se``, ``ci_low``,
        ``ci_high`` in the metric's ``unit``; ``top_share``, ``bottom_share`` (null for
        means), ``deff``, ``n_eff``, ``df``, ``metric``, ``unit``, ``column``, ``note``: what
        `cxlab.control_chart` takes.

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
    one = _one(metric)
    if isinstance(source, SavedPeriods):
        table = _saved_scores(source, one, level)
    else:
        design = as_design(design)
        table = estimate_metrics(source, [one], by=column, design=design, level=level)
        table["period"] = table["group"].astype(str)
    table = table[table["n"] >= min_group_size]
    order = in_order(table["period"].tolist())
    if until is not None:
        places = in_order(list(dict.fromkeys([*order, until])))
        order = [name for name in order if places.index(name) <= places.index(until)]
    table = table.set_index("period", drop=False).loc[order].reset_index(drop=True)
    return table[list(SCORES)]


SCORES = (
    "period", "n", "estimate", "se", "ci_low", "ci_high", "top_share", "bottom_share", "deff",
    "n_eff", "df", "metric", "unit", "column", "note",
)  # fmt: skip


def _one(metric: Metric | str) -> Metric:
    if isinstance(metric, str):
        return Metric(metric, "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
    return metric


def _saved_scores(saved: SavedPeriods, metric: Metric, level: float) -> pd.DataFrame:
    check_metric(saved, metric, saved.periods)
    rows = []
    for one in saved.statistics:
        kept = one.rows(key_of(metric))
        if len(kept):
            scale = _joint_scale(saved, one)
            rows.append(_rescaled(kept.iloc[0], metric, scale, one, level))
    if not rows:
        raise ValueError(f"`metric` must be kept for a period; {key_of(metric)} is hidden in all.")
    return pd.DataFrame(rows)


def _joint_scale(saved: SavedPeriods, one: PeriodStatistics) -> float:
    """Without strata, n/(n − 1) of all periods' clusters together, over the period's own."""
    own = one.facts["sampled"]
    if one.simple or any(other.facts["sampled"] is None for other in saved.statistics):
        return 1.0
    together = _clusters_together(saved)
    return (together / (together - 1)) / (own / (own - 1)) if min(own, together) > 1 else 1.0


def _clusters_together(saved: SavedPeriods) -> float:
    """Clusters of all periods together: as counted when they were kept, else at least so many."""
    facts, names = [one.facts for one in saved.statistics], set(saved.periods)
    sizes = [float(one["sampled"]) for one in facts]
    # files of earlier versions do not know it
    counted = {frozenset(one.get("together", [])): one.get("sampled_together") for one in facts}
    if whole := counted.get(frozenset(names)):
        return float(whole)
    pairs = [pair for one in saved.statistics for name, pair in one.beside.items() if name in names]
    # a design that was told as a whole is the same for every period
    if pairs and {*sizes, *(pair.sampled for pair in pairs)} == {sizes[0]}:
        return sizes[0]
    some = [float(size) for group, size in counted.items() if size and group <= names]
    some += [float(pair.sampled) for pair in pairs if pair.sampled]
    # clusters in three periods are in three pairs, so that this alone may be too few
    return max(*sizes, *some, sum(sizes) - sum(max(pair.shared, 0) for pair in pairs))


def _rescaled(
    row: pd.Series, metric: Metric, scale: float, one: PeriodStatistics, level: float
) -> dict[str, Any]:
    found = row.to_dict() | {"period": one.period}
    found["se"] = row["se"] * np.sqrt(scale)
    found["deff"] = row["deff"] * scale
    size = float(row["n"])
    if not one.simple:
        size = float(effective_sample_size(size, found["deff"], row["df"], level=level))
    found["n_eff"] = size
    top, bottom = float(row["top_share"]), float(row["bottom_share"])
    if metric.kind == "net":
        low, high = score_interval(size * top, size * bottom, size, level=level)
    elif metric.kind == "box":
        low, high = wilson_interval(top, size, level=level)
    else:
        known = found["se"] if found["se"] > 0 else np.nan
        low, high = mean_interval(row["estimate"], known, row["df"], level=level)
    return found | {"ci_low": metric.factor * float(low), "ci_high": metric.factor * float(high)}
