"""Differences between groups and between periods, each with interval and test.

Simple random data: Wald, adjusted-Wald, or a permutation test. Under a design the
difference is linearised as one statistic, because groups share clusters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, stdtr

from cxlab.stats.frames import check_choice, collect, scan
from cxlab.stats.inference import (
    adjust_p_values,
    check_level,
    normal_quantile,
    permutation_p_value,
    statistic_variance,
    t_quantile,
)
from cxlab.stats.inference.intervals import PSEUDO_EXTREME, PSEUDO_TOTAL
from cxlab.stats.metrics.estimates import check_scores, group_labels, metric_value
from cxlab.stats.metrics.suppression import MIN_GROUP_SIZE, hidden_groups
from cxlab.stats.totals import Design, Totals, survey_totals
from cxlab.survey.messages import unknown
from cxlab.survey.scales import Metric

#: Facts of a difference that are in the metric's unit.
DIFFERENCE_COLUMNS = (
    "group", "other", "n", "n_other", "estimate", "se", "ci_low", "ci_high", "unit", "statistic",
    "df", "p_value", "p_adjusted", "family", "method", "column", "note",
)  # fmt: skip
IN_UNITS = ("estimate", "se", "ci_low", "ci_high")
METHODS = ("auto", "wald", "adjusted-wald", "permutation")
#: Below this size of the smaller group a simple difference is tested by permutation.
SMALL_GROUP = 30
REST = "the rest"


@dataclass(frozen=True)
class _Units:
    """Clusters, and the lone rows of each stratum, numbered alike for every contrast."""

    group: np.ndarray  # of each cell of the totals
    unit: np.ndarray  # of each cell
    stratum: np.ndarray  # of each unit
    lone: np.ndarray  # of each unit
    sampled: np.ndarray  # clusters of each stratum


@dataclass(frozen=True)
class _Question:
    names: list[str]
    design: Design
    level: float
    method: str
    min_group_size: int


def compare_groups(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    by: str,
    against: str = "rest",
    weights: str | None = None,
    strata: str | None = None,
    cluster: str | None = None,
    stratum_clusters: str | None = None,
    level: float = 0.95,
    method: str = "auto",
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
    permutations: int = 9999,
    seed: int = 0,
) -> pd.DataFrame:
    """Difference of each group from the rest, from one group, or of every pair.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    metrics : Metric, sequence of Metric, or str
        What to compare: ``study.metrics("outcome")``; a text is a column of likelihood to
        recommend, compared by its NPS.
    by : str
        Column of the groups. A row with a null there is in no group.
    against : str
        ``"rest"``: each group against all others together; ``"pairs"``: every pair; or the
        label of one group.
    weights, strata, cluster, stratum_clusters, level
        As for `cxlab.nps`.
    method : {"auto", "wald", "adjusted-wald", "permutation"}
        For simple random data only. ``auto``: adjusted-Wald for net scores and shares,
        Welch's t for means; with fewer than 30 answers in a group the p-value is a
        permutation test's. Under a design there is one method, and ``permutation`` is
        refused.
    min_group_size : int
        A comparison that would show, or give back, a smaller group is hidden, and hidden
        groups are no part of "the rest".
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    permutations, seed : int
        Of the permutation test.

    Returns
    -------
    DataFrame
        One row per metric × contrast: ``label``, ``metric``, ``group``, ``other``, ``n``,
        ``n_other``, ``estimate`` (group less other), ``se``, ``ci_low``, ``ci_high`` in the
        metric's ``unit``; then ``unit``, ``statistic``, ``df`` (infinite: normal),
        ``p_value``, ``p_adjusted`` (Benjamini–Hochberg; pairs: Benjamini–Yekutieli),
        ``family`` (its name and size), ``method``, ``column``, ``note``.

    Raises
    ------
    ValueError
        For an unknown column, group or method, fewer than two groups, or a permutation
        test under a design.

    Notes
    -----
    Under a design the variance is that of ``IF₁ − IF₂``, summed within clusters: two
    standard errors squared and added ignore that groups share clusters. Its degrees of
    freedom are clusters less strata that hold an answer of either group. Adjusted-Wald
    adds 3/4 promoter, 3/2 passive and 3/4 detractor to each group (a share: one to
    either side, Agresti and Caffo).

    References
    ----------
    Lewis & Sauro, MeasuringU (2021), How to Statistically Compare Two Net Promoter
    Scores. Agresti & Caffo (2000), American Statistician 54, 280–288. Lumley (2010),
    Complex Surveys.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10] * 40 + [3] * 40, "kind": ["a"] * 60 + ["b"] * 20})
    >>> table = compare_groups(answers, "recommend", by="kind", against="b")
    >>> table[["group", "other", "n", "n_other", "estimate"]].round(1)
      group other   n  n_other  estimate
    0     a     b  60       20     133.3
    """
    check_level(level)
    check_choice("method", method, METHODS)
    design = Design(weights, strata, cluster, stratum_clusters)
    if method != "auto" and not design.simple:
        raise ValueError(
            f"`method` must be 'auto' with weights, strata or clusters; got '{method}'. "
            "Under a design the difference is linearised as one statistic."
        )
    chosen = _metrics(metrics)
    columns = list(dict.fromkeys(metric.column for metric in chosen))
    origins = check_scores(data, chosen)
    totals = survey_totals(
        data,
        {str(i): metric_value(metric, origins[i]) for i, metric in enumerate(chosen)},
        columns=columns,
        by=by,
        design=design,
    )
    names = [str(name) for name in group_labels(totals.groups)]
    contrasts = _contrasts(names, against, by)
    question = _Question(names, design, level, method, min_group_size)
    units = _units(totals)
    rows = []
    for i, metric in enumerate(chosen):
        rows += _metric_rows(totals, i, metric, contrasts, question, units)
    table = pd.DataFrame(rows)
    if design.simple and method in ("auto", "permutation"):
        _permute(table, data, chosen, by, method, permutations, seed)
    table = _adjusted(_hide_small(table, min_group_size), against, len(chosen))
    words = dict(labels or {})
    table.insert(0, "label", [words.get(name, name) for name in table["column"]])
    return table.drop(columns=["others", "metric_index", "hidden"])


def compare_segments(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    segments: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
    **options: Any,
) -> pd.DataFrame:
    """Each group of each segment against the rest, all tests in one family.

    Parameters
    ----------
    data, metrics
        As for `compare_groups`.
    segments : sequence of str
        Columns of groups, each taken on its own; one with a single group is passed over.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.
    **options
        As for `compare_groups`: design, level, method, min_group_size and so on.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``segment`` (words of the column) before ``group``;
        ``p_adjusted`` is over all rows. Empty where there is nothing to compare.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10, "kind": ["a", "b"] * 30})
    >>> compare_segments(answers, "recommend", ["kind"])[["segment", "group", "estimate"]].round(1)
      segment group  estimate
    0    kind     a     -66.7
    1    kind     b      66.7
    """
    words = dict(labels or {})
    tables = []
    for segment in segments if isinstance(metrics, str | Metric) or metrics else []:
        there = collect(scan(data, [segment]).select(segment).unique())[segment]
        if there.nunique() < 2:
            continue
        table = compare_groups(data, metrics, by=segment, labels=labels, **options)
        table.insert(2, "segment", words.get(segment, segment))
        tables.append(table)
    if not tables:
        return pd.DataFrame(columns=["label", "metric", "segment", *DIFFERENCE_COLUMNS])
    together = pd.concat(tables, ignore_index=True)
    together["p_adjusted"] = adjust_p_values(together["p_value"])
    tests = int(together["p_value"].notna().sum())
    together["family"] = f"{tests} tests: all metrics × all groups of {len(tables)} segments"
    return together


def compare_periods(
    data: Any,
    metrics: Metric | Sequence[Metric] | str,
    *,
    periods: tuple[str, str] | None = None,
    period: str = "period",
    **options: Any,
) -> pd.DataFrame:
    """Change of each metric from one period to the next.

    Parameters
    ----------
    data
        Dataframe of any engine that holds both periods.
    metrics
        As for `compare_groups`.
    periods : (earlier, later), optional
        Default: each period against the one before it, in sorted order.
    period : str
        Column of the periods.
    **options
        As for `compare_groups`: design, level, method, labels and so on.

    Returns
    -------
    DataFrame
        As for `compare_groups`, with ``period`` and ``before`` in place of ``group`` and
        ``other``; ``estimate`` is the later less the earlier.

    Notes
    -----
    Waves that share customers are compared rightly when the customer is the cluster.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 9, 2, 10, 9, 9] * 10,
    ...                         "period": ["2024"] * 30 + ["2025"] * 30})
    >>> compare_periods(answers, "recommend")[["period", "before", "estimate"]]
      period before  estimate
    0   2025   2024       0.0
    """
    if periods is None:
        there = collect(scan(data, [period]).select(period).unique())[period].dropna()
        names = sorted(str(name) for name in there)
        wanted = [(later, earlier) for earlier, later in pairwise(names)]
    else:
        wanted = [(str(periods[1]), str(periods[0]))]
    if not wanted:
        raise ValueError(f"`{period}` must hold two periods at least; got one. Read both periods.")
    # each pair of periods is read as its own two groups, so that others change nothing
    tables = [
        compare_groups(
            _only(data, period, [later, earlier]), metrics, by=period, against=earlier, **options
        )
        for later, earlier in wanted
    ]
    table = pd.concat(tables, ignore_index=True)
    table["p_adjusted"] = adjust_p_values(table["p_value"])
    table["family"] = f"{int(table['p_value'].notna().sum())} tests: changes between periods"
    return table.rename(columns={"group": "period", "other": "before"})


def _only(data: Any, column: str, values: list[str]) -> Any:
    if isinstance(data, pd.DataFrame):
        return data[data[column].astype("str").isin(values)]
    import narwhals as nw

    return nw.from_native(data).filter(nw.col(column).cast(nw.String).is_in(values)).to_native()


def _metrics(metrics: Metric | Sequence[Metric] | str) -> list[Metric]:
    if isinstance(metrics, str):
        return [Metric(metrics, "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")]
    return [metrics] if isinstance(metrics, Metric) else list(metrics)


def _contrasts(names: list[str], against: str, by: str) -> list[tuple[int, int]]:
    """Pairs of group numbers; −1 stands for all others."""
    if len(names) < 2:
        raise ValueError(
            f"`by` must make two groups at least; got {len(names)} in '{by}'. "
            "Choose a column with more values, or read more answers."
        )
    if against == "rest":
        return [(i, -1) for i in range(len(names))]
    if against == "pairs":
        return list(combinations(range(len(names)), 2))
    if against not in names:
        raise ValueError(unknown("against", against, ["rest", "pairs", *names]))
    reference = names.index(against)
    return [(i, reference) for i in range(len(names)) if i != reference]


def _units(totals: Totals) -> _Units:
    cells = totals.cells
    stratum, strata = pd.factorize(cells["stratum"], use_na_sentinel=False)
    unit = cells.groupby(["stratum", "cluster"], dropna=False, sort=False).ngroup().to_numpy()
    first = np.unique(unit, return_index=True)[1]
    return _Units(
        group=cells["group_code"].to_numpy(),
        unit=unit,
        stratum=stratum[first],
        lone=cells["cluster"].isna().to_numpy()[first],
        sampled=totals.clusters.reindex(strata).to_numpy(float),
    )


def _metric_rows(
    totals: Totals,
    number: int,
    metric: Metric,
    contrasts: list[tuple[int, int]],
    question: _Question,
    units: _Units,
) -> list[dict[str, Any]]:
    values = {kind: table[:, number] for kind, table in totals.values.items()}
    sizes = np.bincount(units.group, weights=values["n"], minlength=len(question.names))
    ungrouped = totals.ungrouped[totals.names[number]]
    hidden = set(hidden_groups(sizes, question.min_group_size, ungrouped=ungrouped))
    rows = []
    for first, second in contrasts:
        sides = [_side(values, units, chosen) for chosen in _sides(units, first, second, hidden)]
        both = pd.DataFrame([{kind: side[kind].sum() for kind in side} for side in sides])
        if question.design.simple:
            found = _simple_difference(both, metric, question.level, question.method)
        else:
            found = _design_difference(sides, units, question.level)
        rows.append(
            {
                "metric": metric.name or metric.kind,
                "group": question.names[first],
                "other": REST if second < 0 else question.names[second],
                "n": int(both.loc[0, "n"]),
                "n_other": int(both.loc[1, "n"]),
                **{name: metric.factor * found[name] for name in IN_UNITS},
                "unit": metric.unit,
                **{name: found[name] for name in ("statistic", "df", "p_value", "method")},
                "column": metric.column,
                "note": found["note"],
                "others": _members(second, hidden, question.names),
                "metric_index": number,
                "hidden": bool({first, second} & hidden),
            }
        )
    return rows


def _members(second: int, hidden: set[int], names: list[str]) -> list[str]:
    """Labels of the other side of a contrast."""
    if second >= 0:
        return [names[second]]
    return [name for i, name in enumerate(names) if i not in hidden]


def _sides(
    units: _Units, first: int, second: int, hidden: set[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Cells of the two sides of a contrast.

    The rest leaves out hidden groups: with them it would give back what is hidden.
    """
    inside = units.group == first
    if second >= 0:
        return inside, units.group == second
    return inside, ~inside & ~np.isin(units.group, list(hidden))


def _side(
    values: Mapping[str, np.ndarray], units: _Units, chosen: np.ndarray
) -> dict[str, np.ndarray]:
    """Sums of one side per unit."""
    unit, size = units.unit[chosen], len(units.stratum)
    return {
        kind: np.bincount(unit, weights=column[chosen], minlength=size)
        for kind, column in values.items()
    }


def _design_difference(
    sides: Sequence[Mapping[str, np.ndarray]], units: _Units, level: float
) -> dict[str, Any]:
    """The difference of two means, linearised as one statistic."""
    masses = [side["w"].sum() for side in sides]
    if min(masses) <= 0:
        return _tested(np.nan, np.nan, _degrees_of_freedom(sides, units), level, "linearised")
    total, lone, means = np.zeros(len(units.stratum)), np.zeros(len(units.stratum)), []
    for side, mass, sign in zip(sides, masses, (1.0, -1.0), strict=True):
        mean = side["wy"].sum() / mass
        total += sign * (side["wy"] - mean * side["w"]) / mass
        lone += (side["wwyy"] - 2 * mean * side["wwy"] + mean**2 * side["ww"]) / mass**2
        means.append(float(mean))
    squares = np.where(units.lone, lone, total**2)
    variance = statistic_variance(total, squares, units.stratum, units.sampled)
    df = _degrees_of_freedom(sides, units)
    return _tested(means[0] - means[1], variance, df, level, "linearised")


def _degrees_of_freedom(sides: Sequence[Mapping[str, np.ndarray]], units: _Units) -> float:
    """Clusters less strata that hold a valid answer of either side."""
    held = sides[0]["n"] + sides[1]["n"]
    clusters = np.where(units.lone, held, 1.0)[held > 0].sum()
    return float(clusters - len(np.unique(units.stratum[held > 0])))


def _simple_difference(
    both: pd.DataFrame, metric: Metric, level: float, method: str
) -> dict[str, Any]:
    wald = method in ("wald", "permutation")
    if metric.kind == "mean":
        return _welch(both, level)
    shares = [_adjusted_share(both.loc[side], metric, wald) for side in (0, 1)]
    raw = [row["y"] / row["n"] if row["n"] else np.nan for _, row in both.iterrows()]
    variance = sum(spread for _, spread in shares)
    used = "wald" if wald else "adjusted-wald"
    found = _tested(shares[0][0] - shares[1][0], variance, np.inf, level, used)
    # the interval and the test are the adjusted ones, the difference is that observed
    return {**found, "estimate": raw[0] - raw[1]}


def _adjusted_share(row: pd.Series, metric: Metric, wald: bool) -> tuple[float, float]:
    """Estimate and variance of one group, after its pseudo-observations."""
    if not row["n"]:
        return np.nan, np.nan
    # a net score: 3/4, 3/2, 3/4; a share: one answer inside the box and one outside
    total, net, square = {"net": (PSEUDO_TOTAL, 0.0, 2 * PSEUDO_EXTREME), "box": (2.0, 1.0, 1.0)}[
        metric.kind
    ]
    if wald:
        total = net = square = 0.0
    n = row["n"] + total
    estimate = (row["y"] + net) / n
    return estimate, max((row["yy"] + square) / n - estimate**2, 0.0) / n


def _welch(both: pd.DataFrame, level: float) -> dict[str, Any]:
    n = both["n"].where(both["n"] > 1)
    means = both["y"] / n
    spread = ((both["yy"] / n - means**2).clip(lower=0) / (n - 1)).to_numpy()
    variance = float(spread.sum())
    df = variance**2 / float((spread**2 / (n - 1)).sum()) if variance > 0 else np.nan
    return _tested(float(means[0] - means[1]), variance, df, level, "welch")


def _tested(
    difference: float, variance: float, df: float, level: float, method: str
) -> dict[str, Any]:
    se = float(np.sqrt(max(variance, 0.0))) if np.isfinite(variance) else np.nan
    usable = np.isfinite(difference) and se > 0 and df >= 1
    statistic = difference / se if usable else np.nan
    quantile = normal_quantile(level) if np.isinf(df) else float(t_quantile(level, df))
    p_value = np.nan
    if usable:
        tail = ndtr(-abs(statistic)) if np.isinf(df) else stdtr(df, -abs(statistic))
        p_value = float(2 * tail)
    half = quantile * se if usable else np.nan
    return {
        "estimate": difference, "se": se, "ci_low": difference - half, "ci_high": difference + half,
        "statistic": statistic, "df": df, "p_value": p_value, "method": method,
        "note": "" if usable else _why_not(difference, se, df),
    }  # fmt: skip


def _why_not(difference: float, se: float, df: float) -> str:
    if not np.isfinite(difference):
        return "no test: a group has no valid answer, or one only"
    if df < 1:
        return "no test: fewer than two clusters in a stratum hold an answer"
    return "no test: every answer of a group is alike" if not se > 0 else "no test"


def _permute(
    table: pd.DataFrame, data: Any, metrics: list[Metric], by: str, method: str,
    permutations: int, seed: int,
) -> None:  # fmt: skip
    """Replace the p-value by a permutation test's where it is wanted or the group is small."""
    smallest = table[["n", "n_other"]].min(axis=1)
    due = (smallest > 0) & ((smallest < SMALL_GROUP) | (method == "permutation"))
    rng = np.random.default_rng(seed)
    for i in table.index[due]:
        metric = metrics[table.loc[i, "metric_index"]]
        values = collect(
            scan(data, [metric.column, by]).select(group=by, value=metric_value(metric))
        )
        values = values.dropna()
        group = values["group"].astype("str").to_numpy()
        inside = group == table.loc[i, "group"]
        kept = inside | np.isin(group, table.at[i, "others"])
        y = values["value"].to_numpy(float)[kept]
        table.loc[i, "p_value"] = permutation_p_value(y, inside[kept], permutations, rng)
        table.loc[i, "method"] += ", permutation p"


def _adjusted(table: pd.DataFrame, against: str, metrics: int) -> pd.DataFrame:
    pairs = against == "pairs"
    table["p_adjusted"] = adjust_p_values(table["p_value"], method="by" if pairs else "bh")
    groups = len(table) // metrics
    kind = {"rest": "groups against the rest", "pairs": "pairs of groups"}.get(
        against, f"groups against {against}"
    )
    tests = int(table["p_value"].notna().sum())
    table["family"] = f"{tests} tests: {metrics} metrics × {groups} {kind}"
    order = ["metric", *DIFFERENCE_COLUMNS, "others", "metric_index", "hidden"]
    return table[order]


def _hide_small(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    table = table.astype({"n": "Int64", "n_other": "Int64"})
    numbers = ["n", "n_other", "estimate", "se", "ci_low", "ci_high", "statistic", "df", "p_value"]
    table.loc[table["hidden"], numbers] = pd.NA
    table.loc[table["hidden"], "note"] = (
        f"hidden: a group of fewer than {min_group_size} answers, or one that would give it back"
    )
    return table
