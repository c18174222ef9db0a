"""Several metrics per group in one pass: estimate, variance, interval, what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.stats.frames import check_choice, check_columns, check_numeric, collect, scan
from cxlab.stats.inference import (
    adjusted_wald_interval,
    check_level,
    design_degrees_of_freedom,
    design_variance,
    effective_sample_size,
    mean_interval,
    normal_quantile,
    score_interval,
    t_quantile,
    wald_interval,
    wilson_interval,
)
from cxlab.stats.totals import Design, Totals, survey_totals
from cxlab.survey.messages import got
from cxlab.survey.scales import Metric

By = str | Sequence[str] | None

#: Kinds of interval that each kind of metric has; the first is the default.
INTERVALS = {
    "net": ("score", "adjusted-wald", "wald"),
    "box": ("wilson", "wald"),
    "mean": ("t",),
}

#: Lowest values beyond this are counted from themselves.
LARGE = 1000.0
#: Fewer design degrees of freedom than this and the interval is flagged.
FEW_DEGREES_OF_FREEDOM = 8


def metric_value(metric: Metric, origin: float = 0.0) -> nw.Expr:
    """The metric's value for one row: 1, 0 or −1 for boxes, the score for means.

    Null where there is no answer. Means are counted from ``origin``.
    """
    score = nw.col(metric.column)
    if metric.kind == "mean" or metric.top is None:
        return score - origin if origin else score
    inside = nw.when(score.is_between(*metric.top)).then(nw.lit(1.0))
    rest: Any = nw.lit(0.0)
    if metric.kind == "net" and metric.bottom is not None:
        rest = nw.when(score.is_between(*metric.bottom)).then(nw.lit(-1.0)).otherwise(nw.lit(0.0))
    return nw.when(~score.is_null()).then(inside.otherwise(rest))


def estimate_metrics(
    data: Any,
    metrics: Sequence[Metric],
    *,
    by: By = None,
    design: Design,
    level: float = 0.95,
    method: str | None = None,
) -> pd.DataFrame:
    """Estimate several metrics per group in one pass over the rows.

    Parameters
    ----------
    data
        Dataframe of any engine.
    metrics : sequence of Metric
    by, level
        As for `nps`.
    design : Design
    method : str, optional
        Kind of interval, one that all the metrics have; default: each kind's first.

    Returns
    -------
    DataFrame
        One row per metric × group: ``column``, ``metric``, ``unit``, ``group`` (with ``by``), ``n``,
        ``tops``, ``middles``, ``bottoms``, ``estimate``, ``se``, ``ci_low``, ``ci_high``,
        then ``top_share``, ``middle_share``, ``bottom_share``, ``deff``, ``n_eff``, ``df``,
        ``unweighted`` (the estimate without weights), ``n_missing``, ``note``.
    """
    check_level(level)
    if method is not None:
        for metric in metrics:
            check_choice("method", method, INTERVALS[metric.kind])
    origins = check_scores(data, metrics)
    columns = list(dict.fromkeys(metric.column for metric in metrics))
    totals = survey_totals(
        data,
        {str(i): metric_value(metric, origins[i]) for i, metric in enumerate(metrics)},
        columns=columns,
        by=by,
        design=design,
    )
    tables = [
        _one_metric(
            totals,
            str(i),
            metric,
            design=design,
            level=level,
            method=method or INTERVALS[metric.kind][0],
            origin=origins[i],
        )
        for i, metric in enumerate(metrics)
    ]
    return pd.concat(tables, ignore_index=True)


def check_scores(data: Any, metrics: Sequence[Metric]) -> list[float]:
    """Refuse columns that are not there, text scores and scores off their scale.

    Returns
    -------
    list of float
        Where to count each metric's values from: 0 for scores; for means of large numbers
        the lowest one, because the squares of large numbers swallow their spread.
    """
    for metric in metrics:
        check_columns(data, {"score": metric.column})
        if not isinstance(metric.column, str):
            raise TypeError(f"`score` must be the name of one column; got {metric.column}.")
    columns = list(dict.fromkeys(metric.column for metric in metrics))
    lazy = scan(data, columns)
    check_numeric(lazy, {"score": [metric.column for metric in metrics]})
    distinct = list({(metric.column, metric.scale): metric for metric in metrics}.values())
    counts = collect(
        lazy.select(
            *(
                nw.when(_off(metric)).then(nw.lit(1)).otherwise(nw.lit(0)).sum().alias(f"off_{i}")
                for i, metric in enumerate(distinct)
            ),
            *(
                nw.col(name).min().cast(nw.Float64).alias(f"low_{i}")
                for i, name in enumerate(columns)
            ),
        )
    )
    for i, metric in enumerate(distinct):
        if counts.loc[0, f"off_{i}"] > 0:
            bad = collect(lazy.filter(_off(metric)).select(nw.col(metric.column)))
            raise ValueError(_off_scale(metric, [_plain(value) for value in bad.iloc[:, 0]]))
    lowest = {name: float(counts.loc[0, f"low_{i}"]) for i, name in enumerate(columns)}
    return [
        lowest[m.column] if m.kind == "mean" and abs(lowest[m.column]) > LARGE else 0.0
        for m in metrics
    ]


def _off(metric: Metric) -> nw.Expr:
    score = nw.col(metric.column)
    if metric.scale is None:
        return score.abs() == float("inf")
    return (~score.is_between(*metric.scale)) | (score != score.round(0))


def _off_scale(metric: Metric, values: list[float]) -> str:
    if metric.scale is None:
        return f"`score` must be finite numbers; got {got(values)} in '{metric.column}'."
    low, high = (_plain(bound) for bound in metric.scale)
    return (
        f"`score` must be whole numbers from {low} to {high}; got {got(values)} in "
        f"'{metric.column}'. If {values[0]} means \"no answer\", declare it in the study file: "
        f'missing = {{{values[0]} = "no answer"}}.'
    )


def _plain(value: float) -> float:
    return int(value) if float(value).is_integer() else float(value)


def _one_metric(
    totals: Totals,
    name: str,
    metric: Metric,
    *,
    design: Design,
    level: float,
    method: str,
    origin: float,
) -> pd.DataFrame:
    sums = totals.sums[name]
    groups = len(totals.groups)
    numeric = sums.drop(columns=["stratum", "cluster"])
    per_group = numeric.groupby("group_code").sum().reindex(range(groups), fill_value=0.0)
    facts = _facts(per_group, metric)
    if design.simple:
        spread = _simple_spread(facts, metric)
    else:
        spread = _design_spread(sums, totals, facts, metric, level=level)
    low, high = _interval(facts, spread, metric, method, design=design, level=level)
    table = _result_table(totals, facts, spread, low, high, metric)
    if totals.groups.shape[1]:
        table.insert(len(table.columns) - 1, "n_ungrouped", totals.ungrouped[name])
    for column in ("estimate", "ci_low", "ci_high", "unweighted") if origin else ():
        table[column] += origin
    return table


def _facts(per_group: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    """Counts of answers, weighted shares and the estimate of each group, as fractions."""
    n, weight = per_group["n"], per_group["w"].where(per_group["w"] > 0)
    mean, square = per_group["wy"] / weight, per_group["wyy"] / weight
    facts = pd.DataFrame(
        {
            "n": n.astype(int),
            "unweighted": per_group["y"] / n.where(n > 0),
            "estimate": mean,
            "square": square,
            "kish": n * per_group["ww"] / weight**2,
        }
    )
    if metric.kind == "mean":
        facts[["tops", "middles", "bottoms"]] = 0
        facts[["top_share", "middle_share", "bottom_share"]] = np.nan
        return facts
    facts["tops"] = ((per_group["yy"] + per_group["y"]) / 2).round().astype(int)
    facts["bottoms"] = ((per_group["yy"] - per_group["y"]) / 2).round().astype(int)
    facts["middles"] = facts["n"] - facts["tops"] - facts["bottoms"]
    facts["top_share"] = (square + mean) / 2
    # an empty share must read 0, not the −1e-17 that rounding leaves
    facts["bottom_share"] = ((square - mean) / 2).clip(lower=0)
    facts["middle_share"] = (1 - facts["top_share"] - facts["bottom_share"]).clip(lower=0)
    return facts


def _simple_variance(facts: pd.DataFrame, metric: Metric) -> pd.Series:
    spread = (facts["square"] - facts["estimate"] ** 2).clip(lower=0)
    if metric.kind == "mean":
        # the usual s² with n − 1; a share's variance p(1 − p)/n takes n
        spread = spread * facts["n"] / (facts["n"] - 1).where(facts["n"] > 1)
    return spread / facts["n"].where(facts["n"] > 0)


def _simple_spread(facts: pd.DataFrame, metric: Metric) -> pd.DataFrame:
    n = facts["n"].astype(float)
    return pd.DataFrame(
        {
            "variance": _simple_variance(facts, metric),
            "deff": np.where(n > 0, 1.0, np.nan),
            "df": n - 1,
            "n_eff": n.where(n > 0),
            "note": _simple_notes(facts, metric),
        }
    )


def _simple_notes(facts: pd.DataFrame, metric: Metric) -> list[str]:
    """Why a mean's interval is missing or of no width; scores' intervals never are."""
    if metric.kind != "mean":
        return [""] * len(facts)
    alike = facts["square"] - facts["estimate"] ** 2 <= 1e-12 * facts["square"].abs()
    return [
        "no interval: one answer only" if n == 1
        else "all answers alike: the interval has no width" if n and same else ""
        for n, same in zip(facts["n"], alike, strict=True)
    ]  # fmt: skip


def _design_spread(
    sums: pd.DataFrame,
    totals: Totals,
    facts: pd.DataFrame,
    metric: Metric,
    *,
    level: float,
) -> pd.DataFrame:
    linear = linearised(sums, facts["estimate"])
    result = design_variance(linear, totals.clusters, domains=len(facts))
    df = degrees_of_freedom(sums, groups=len(facts))
    simple = _simple_variance(facts, metric)
    # a variance this far below the simple one is rounding of "everyone alike"
    alike = ~((result.variance > 1e-14 * facts["square"].clip(lower=1e-300)) & (simple > 0))
    deff = pd.Series(result.variance / simple.where(simple > 0), facts.index)
    deff = deff.where(~alike, np.maximum(1.0, facts["kish"]))
    spread = pd.DataFrame({"variance": result.variance, "deff": deff, "df": df})
    spread["n_eff"] = effective_sample_size(facts["n"], deff, df, level=level)
    spread["note"] = _notes(facts, spread, alike, totals, result.lonely_strata)
    return spread


def linearised(sums: pd.DataFrame, estimate: pd.Series) -> pd.DataFrame:
    """Linearised totals of a ratio mean, as `cxlab.stats.inference.design_variance` takes them."""
    mean = estimate.to_numpy()[sums["group_code"]]
    weight = sums.groupby("group_code")["w"].transform("sum").to_numpy()
    total = (sums["wy"] - mean * sums["w"]) / np.where(weight > 0, weight, np.nan)
    lone = (sums["wwyy"] - 2 * mean * sums["wwy"] + mean**2 * sums["ww"]) / weight**2
    squares = np.where(sums["cluster"].isna(), lone, total**2)
    return pd.DataFrame(
        {
            "domain": sums["group_code"],
            "stratum": sums["stratum"],
            "cluster": sums["cluster"],
            "total": total.fillna(0.0),
            "squares": np.nan_to_num(squares),
        }
    )


def degrees_of_freedom(sums: pd.DataFrame, *, groups: int) -> np.ndarray:
    """Clusters less strata that hold a valid answer, per group."""
    valid = sums[sums["n"] > 0]
    lone = valid["cluster"].isna()
    clusters = np.where(lone, valid["n"], 1.0)
    per_group = np.bincount(valid["group_code"], weights=clusters, minlength=groups)
    strata = valid.drop_duplicates(["group_code", "stratum"])["group_code"]
    return design_degrees_of_freedom(per_group, np.bincount(strata, minlength=groups))


def _notes(
    facts: pd.DataFrame,
    spread: pd.DataFrame,
    alike: pd.Series,
    totals: Totals,
    lonely: int,
) -> list[str]:
    common = []
    if totals.weightless:
        common.append(f"{totals.weightless:,} rows of weight 0 are outside the population")
    if totals.lone_rows:
        common.append(f"{totals.lone_rows:,} rows without a cluster are clusters of their own")
    if lonely:
        common.append(f"{lonely} strata with one cluster centred on the whole sample")
    notes = []
    for n, df, same in zip(facts["n"], spread["df"], alike, strict=True):
        own = []
        if n and df < 1:
            own.append("no interval: fewer than two clusters in a stratum hold an answer")
        elif n and df < FEW_DEGREES_OF_FREEDOM:
            own.append(f"only {df:.0f} degrees of freedom")
        if n and same:
            own.append("all answers alike: design effect from the weights alone")
        notes.append("; ".join([*own, *common]))
    return notes


def _interval(
    facts: pd.DataFrame,
    spread: pd.DataFrame,
    metric: Metric,
    method: str,
    *,
    design: Design,
    level: float,
) -> tuple[np.ndarray, np.ndarray]:
    size = spread["n_eff"].to_numpy(float)
    top, bottom = (
        facts["top_share"].to_numpy(float),
        facts["bottom_share"].to_numpy(float),
    )
    standard_error = np.sqrt(spread["variance"].to_numpy(float))
    if method == "score":
        return score_interval(size * top, size * bottom, size, level=level)
    if method == "adjusted-wald":
        return adjusted_wald_interval(size * top, size * bottom, size, level=level)
    if method == "wilson":
        return wilson_interval(top, size, level=level)
    if method == "t":
        return mean_interval(facts["estimate"], standard_error, spread["df"], level=level)
    quantile = normal_quantile(level) if design.simple else t_quantile(level, spread["df"])
    bounds = (-1.0, 1.0) if metric.kind == "net" else (0.0, 1.0)
    return wald_interval(facts["estimate"], standard_error, quantile=quantile, bounds=bounds)


def _result_table(
    totals: Totals,
    facts: pd.DataFrame,
    spread: pd.DataFrame,
    low: np.ndarray,
    high: np.ndarray,
    metric: Metric,
) -> pd.DataFrame:
    factor = metric.factor
    table = pd.DataFrame(
        {
            "column": metric.column,
            "metric": metric.name or metric.kind,
            "unit": metric.unit,
        },
        index=facts.index,
    )
    if totals.groups.shape[1]:
        table["group"] = group_labels(totals.groups)
    table["n"] = facts["n"]
    table[["tops", "middles", "bottoms"]] = facts[["tops", "middles", "bottoms"]]
    table["estimate"] = factor * facts["estimate"]
    table["se"] = factor * np.sqrt(spread["variance"])
    table["ci_low"], table["ci_high"] = factor * low, factor * high
    for name in ("top_share", "middle_share", "bottom_share"):
        table[name] = facts[name]
    for name in ("deff", "n_eff", "df"):
        table[name] = spread[name]
    table["unweighted"] = factor * facts["unweighted"]
    table["n_missing"] = totals.rows.to_numpy() - facts["n"].to_numpy()
    nobody = facts["n"] == 0
    table.loc[nobody, ["estimate", "se"]] = np.nan
    table["note"] = np.where(nobody, "no valid answer", spread["note"])
    return table


def group_labels(groups: pd.DataFrame) -> pd.Series:
    """One label per group: the value itself, or several joined by a middle dot.

    Whole numbers have no decimals and dates no midnight, whatever engine gave them.
    """
    plain = groups.apply(_label_column)
    if groups.shape[1] == 1:
        return plain.iloc[:, 0]
    return plain.astype("str").agg(" · ".join, axis=1)


def _label_column(values: pd.Series) -> pd.Series:
    if isinstance(values.dtype, pd.CategoricalDtype):
        return values.astype(object)
    if pd.api.types.is_float_dtype(values) and (values % 1 == 0).all():
        return values.astype("int64")
    if pd.api.types.is_datetime64_any_dtype(values) and (values == values.dt.normalize()).all():
        return values.dt.strftime("%Y-%m-%d")
    return values
