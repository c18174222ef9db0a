"""Scores of groups: NPS, top box or several metrics at once, with variance, interval, what was left out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import Design, DesignLike
from cxlab.core.frames import Opened
from cxlab.core.labels import group_labels
from cxlab.core.metric import Metric, nps_metric
from cxlab.core.totals import Totals
from cxlab.stats.inference import check_level, mean_interval, score_interval, wilson_interval
from cxlab.stats.metrics.values import By, all_alike, metric_totals, open_metrics
from cxlab.stats.variance import design_variance, effective_sample_size

ALL_ALIKE = "all answers alike"

#: Fewer design degrees of freedom than this and the interval is flagged.
FEW_DEGREES_OF_FREEDOM = 8

Range = tuple[float, float]

#: What the boxes of an NPS are called.
NPS_NAMES = {
    "tops": "promoters",
    "middles": "passives",
    "bottoms": "detractors",
    "top_share": "promoter_share",
    "middle_share": "passive_share",
    "bottom_share": "detractor_share",
}
#: Columns of `estimate_metrics` that one score of one column does not need.
NAMES = ("column", "metric", "unit", "unweighted")
#: Columns that speak of three boxes.
MIDDLES = ("middles", "bottoms", "top_share", "middle_share", "bottom_share")


def nps(
    data: Any,
    score: str,
    *,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Net Promoter Score of each group.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame, one row per answer.
    score : str
        Column of likelihood to recommend, whole numbers 0 to 10. Null or NaN: no answer,
        counted in ``n_missing`` and otherwise left out.
    by : str or list of str, optional
        Column(s) that make the groups; a row with a null there is in no group.
    design : Design or mapping, optional
        The survey design, such as ``study.design`` (see `cxlab.core.design.Design`).
        A group is a domain: strata and clusters stay whole.
    level : float
        Confidence level, between 0 and 1.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n`` (valid answers), ``promoters``
        (9–10), ``passives`` (7–8), ``detractors`` (0–6) as counts of answers,
        ``estimate``, ``se``, ``ci_low``, ``ci_high`` in points from −100 to 100; then
        ``promoter_share``, ``passive_share``, ``detractor_share`` (weighted, 0 to 1),
        ``deff``, ``n_eff``, ``df``, ``n_missing``, ``n_ungrouped`` (with
        ``by``: valid answers in no group) and ``note``.

    Raises
    ------
    ValueError
        For a column that is not there, a score off the scale, a bad weight.
    TypeError
        For text scores.

    Notes
    -----
    With shares p of promoters and d of detractors the score is ``p − d`` with variance
    ``(p + d − (p − d)²)/n``. Under a design the variance is Taylor-linearised, ``deff``
    is its ratio to the simple one, and the interval (Tango's) uses the effective sample size
    ``min(n, (n/deff)·(t_{n−1}/t_df)²)``. Fewer than 8 degrees of freedom are noted; below
    1 there is no interval and the note says why.

    References
    ----------
    Reichheld (2003), Harvard Business Review 81(12). Rocks (2016), American Statistician
    70, 365–372. Tango (1998), Statistics in Medicine 17, 891–908. Korn & Graubard (1998),
    Survey Methodology 24, 193–201.

    Examples
    --------
    >>> answers = pd.DataFrame({"recommend": [10, 10, 9, 8, 7, 3]})
    >>> nps(answers, "recommend")[["n", "promoters", "detractors", "estimate"]].round(2)
       n  promoters  detractors  estimate
    0  6          3           1     33.33
    """
    table = estimate_metrics(data, [nps_metric(score)], by=by, design=design, level=level)
    return table.drop(columns=[*NAMES]).rename(columns=NPS_NAMES)


def top_box(
    data: Any,
    score: str,
    *,
    top: Range,
    scale: Range | None = None,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Per cent of answers in the top box, the usual CSAT.

    Parameters
    ----------
    data, score, by, design, level
        As for `nps`.
    top : (low, high)
        Closed range of scores that count, such as ``(4, 5)`` on a 1–5 scale.
    scale : (low, high), optional
        Whole numbers that a score may be; anything else is refused.

    Returns
    -------
    DataFrame
        One row per group: ``group`` (with ``by``), ``n``, ``tops`` (answers in the box),
        ``estimate``, ``se``, ``ci_low``, ``ci_high`` in per cent, 0 to 100; then ``deff``,
        ``n_eff``, ``df``, ``n_missing``, ``note``.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 4, 2]})
    >>> top_box(answers, "overall", top=(4, 5))["estimate"].item()
    75.0
    """
    pair = isinstance(top, tuple | list) and len(top) == 2 and top[0] <= top[1]
    if not pair or (scale and not (scale[0] <= top[0] and top[1] <= scale[1])):
        within = f" within the scale {scale[0]} to {scale[1]}" if scale else ""
        raise ValueError(
            f"`top` must be a range (low, high){within}; got {top}. "
            "For the best two of five write top=(4, 5)."
        )
    metric = Metric(score, "box", top=top, scale=scale)
    table = estimate_metrics(data, [metric], by=by, design=design, level=level)
    return table.drop(columns=[*NAMES, *MIDDLES])


def estimate_metrics(
    data: Any,
    metrics: Sequence[Metric],
    *,
    by: By = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Several metrics per group in one pass over the rows: one row per metric × group.

    ``column``, ``metric``, ``unit``, ``group`` (with ``by``), ``n``, ``tops``, ``middles``, ``bottoms``,
    ``estimate``, ``se``, ``ci_low``, ``ci_high``, then ``top_share``, ``middle_share``, ``bottom_share``,
    ``deff``, ``n_eff``, ``df``, ``unweighted``, ``n_missing``, ``note``. Intervals are Tango's of net
    scores, Wilson's of shares, Student's t of means.
    """
    opened = open_metrics(data, metrics, design=design, by=by)
    return estimate_each(opened, metrics, [by], level=level)[0]


def estimate_each(
    opened: Opened, metrics: Sequence[Metric], groupings: Sequence[By], *, level: float = 0.95
) -> list[pd.DataFrame]:
    """As `estimate_metrics`, for several ways of grouping the same rows: one table each."""
    check_level(level)
    return [
        estimate_totals(totals, metrics, opened.design, level, origins)
        for totals, origins in metric_totals(opened, metrics, groupings, per_cluster=False)
    ]


def estimate_totals(
    totals: Totals,
    metrics: Sequence[Metric],
    design: Design,
    level: float,
    origins: np.ndarray | None = None,
) -> pd.DataFrame:
    """As `estimate_metrics`, all metric × groups at once: each is a domain of the design like any other."""
    kinds = np.repeat([metric.kind for metric in metrics], len(totals.groups))
    facts = _facts(_per_group(totals), kinds)
    if design.simple:
        spread = _simple_spread(facts, kinds)
    else:
        spread = _design_spread(totals, facts, kinds, level)
    interval = np.full((len(facts), 2), np.nan)
    for kind in set(kinds):
        rows = kinds == kind
        interval[rows] = np.column_stack(_interval(facts[rows], spread[rows], kind, level))
    table = _result_table(totals, facts, spread, interval, metrics)
    if origins is not None:
        table[["estimate", "ci_low", "ci_high", "unweighted"]] += origins.reshape(-1, 1)
    return table


def _per_group(totals: Totals) -> pd.DataFrame:
    """Sums of each metric's groups, metric by metric."""
    groups = len(totals.groups)
    code = totals.cells["group_code"].to_numpy()
    sums = {}
    for kind, values in totals.values.items():
        per_group = np.zeros((groups, values.shape[1]))
        np.add.at(per_group, code, values)
        sums[kind] = per_group.T.ravel()
    return pd.DataFrame(sums)


def _facts(per_group: pd.DataFrame, kinds: np.ndarray) -> pd.DataFrame:
    """Counts of answers, weighted shares and the estimate of each group, as fractions."""
    n, weight = per_group["n"], per_group["w"].where(per_group["w"] > 0)
    mean, square = per_group["wy"] / weight, per_group["wyy"] / weight
    shares = kinds != "mean"
    facts = pd.DataFrame(
        {
            "n": n.astype(int),
            "unweighted": per_group["y"] / n.where(n > 0),
            "estimate": mean,
            "square": square,
            "kish": n * per_group["ww"] / weight**2,
            "alike": all_alike(n, per_group["y"], per_group["yy"]),
        }
    )
    tops = ((per_group["yy"] + per_group["y"]) / 2).where(shares, 0).round().astype(int)
    bottoms = ((per_group["yy"] - per_group["y"]) / 2).where(shares, 0).round().astype(int)
    facts["tops"], facts["bottoms"] = tops, bottoms
    facts["middles"] = (facts["n"] - tops - bottoms).where(shares, 0)
    facts["top_share"] = ((square + mean) / 2).where(shares)
    # an empty share must read 0, not the −1e-17 that rounding leaves
    facts["bottom_share"] = ((square - mean) / 2).where(shares).clip(lower=0)
    facts["middle_share"] = (1 - facts["top_share"] - facts["bottom_share"]).clip(lower=0)
    return facts


def _simple_variance(facts: pd.DataFrame, kinds: np.ndarray) -> pd.Series:
    spread = (facts["square"] - facts["estimate"] ** 2).clip(lower=0).mask(facts["alike"], 0.0)
    # a mean takes the usual s² with n − 1; a share's variance p(1 − p)/n takes n
    unbiased = spread * facts["n"] / (facts["n"] - 1).where(facts["n"] > 1)
    spread = spread.where(kinds != "mean", unbiased)
    return spread / facts["n"].where(facts["n"] > 0)


def _simple_spread(facts: pd.DataFrame, kinds: np.ndarray) -> pd.DataFrame:
    n = facts["n"].astype(float)
    return pd.DataFrame(
        {
            "variance": _simple_variance(facts, kinds),
            "deff": np.where(n > 0, 1.0, np.nan),
            "df": n - 1,
            "n_eff": n.where(n > 0),
            "note": _simple_notes(facts, kinds),
        }
    )


def _simple_notes(facts: pd.DataFrame, kinds: np.ndarray) -> np.ndarray:
    """Why a mean's interval is missing; scores' intervals never are."""
    mean, n = kinds == "mean", facts["n"]
    return np.select(
        [mean & (n == 1), mean & (n > 1) & facts["alike"]],
        ["no interval: one answer only", f"{ALL_ALIKE}: no interval, their spread is unknown"],
        "",
    )


def _design_spread(
    totals: Totals, facts: pd.DataFrame, kinds: np.ndarray, level: float
) -> pd.DataFrame:
    sums, sampled = without_lone_strata(totals.stacked(), totals.clusters)
    linear = linearised(sums, facts["estimate"])
    variance = design_variance(linear, sampled, domains=len(facts))
    clusters, strata = held_units(sums, groups=len(facts))
    df = clusters - strata
    simple = _simple_variance(facts, kinds)
    # of one cluster nothing is known but its own answers
    known = pd.Series(variance, facts.index).mask(facts["alike"], 0.0).where(clusters > 1)
    # a variance this far below the simple one is rounding of none
    none = ~((known > 1e-14 * facts["square"].clip(lower=1e-300)) & (simple > 0))
    deff = (known / simple.where(simple > 0)).where(~none, np.maximum(1.0, facts["kish"]))
    deff = deff.where(known.notna())
    spread = pd.DataFrame({"variance": known, "deff": deff, "df": df})
    spread["n_eff"] = effective_sample_size(facts["n"], deff, df, level=level)
    spread["note"] = _notes(facts, spread, kinds, none, totals, int((totals.clusters == 1).sum()))
    return spread


def without_lone_strata(sums: pd.DataFrame, clusters: pd.Series) -> tuple[pd.DataFrame, pd.Series]:
    """Strata of one cluster each are none: the clusters as of one stratum.

    As `cxlab.stats.resampling.sampling_design` merges them: what strata have in common counts as
    error, so that intervals are rather too wide than too narrow.
    """
    if len(clusters) < 2 or clusters.max() > 1:
        return sums, clusters
    return sums.assign(stratum=0), pd.Series({0: int(clusters.sum())})


def linearised(sums: pd.DataFrame, estimate: pd.Series) -> pd.DataFrame:
    """Linearised totals of a ratio mean, as `cxlab.stats.variance.design_variance` takes them."""
    mean = estimate.to_numpy()[sums["group_code"]]
    weight = sums.groupby("group_code")["w"].transform("sum").to_numpy()
    total = (sums["wy"] - mean * sums["w"]) / np.where(weight > 0, weight, np.nan)
    several = (sums["uuyy"] - 2 * mean * sums["uuy"] + mean**2 * sums["uu"]) / weight**2
    squares = np.where(sums["cluster"].isna(), several, total**2)
    return pd.DataFrame(
        {
            "domain": sums["group_code"],
            "stratum": sums["stratum"],
            "cluster": sums["cluster"],
            "total": total.fillna(0.0),
            "squares": np.nan_to_num(squares),
        }
    )


def held_units(sums: pd.DataFrame, *, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """Clusters, and strata, that hold a valid answer, per group."""
    valid = sums[sums["n"] > 0]
    clusters = np.where(valid["cluster"].isna(), valid["units"], 1.0)
    per_group = np.bincount(valid["group_code"], weights=clusters, minlength=groups)
    strata = valid.drop_duplicates(["group_code", "stratum"])["group_code"]
    return per_group, np.bincount(strata, minlength=groups)


def _notes(
    facts: pd.DataFrame,
    spread: pd.DataFrame,
    kinds: np.ndarray,
    none: pd.Series,
    totals: Totals,
    lonely: int,
) -> list[str]:
    common = []
    if totals.weightless:
        common.append(f"{totals.weightless:,} rows of weight 0 are outside the population")
    if totals.lone_rows:
        common.append(f"{totals.lone_rows:,} rows without a cluster are clusters of their own")
    if lonely == len(totals.clusters) > 1:
        common.append("strata of one cluster each taken as one")
    elif lonely:
        common.append(f"{lonely} strata with one cluster centred on the whole sample")
    notes = []
    for i, (n, df) in enumerate(zip(facts["n"], spread["df"], strict=True)):
        own = []
        if n and np.isnan(spread["variance"].iloc[i]):
            own.append(
                "no interval: fewer than two clusters hold an answer, so that the standard error "
                "is unknown"
            )
        elif n and df < 1:
            own.append("no interval: fewer than two clusters in a stratum hold an answer")
        elif n:
            if df < FEW_DEGREES_OF_FREEDOM:
                own.append(f"only {df:.0f} degrees of freedom")
            own += _no_spread(kinds[i], facts["alike"].iloc[i], none.iloc[i])
        notes.append("; ".join([*own, *common]))
    return notes


def _no_spread(kind: str, alike: bool, none: bool) -> list[str]:
    """What to say of a variance of 0; empty where it is none."""
    if not (alike or none):
        return []
    who = ALL_ALIKE if alike else "all clusters alike"
    if kind == "mean":
        return [f"{who}: no interval, their spread is unknown"]
    return [f"{who}: design effect from the weights alone"]


def _interval(
    facts: pd.DataFrame, spread: pd.DataFrame, kind: str, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Tango's of net scores, Wilson's of shares, Student's t of means."""
    size = spread["n_eff"].to_numpy(float)
    top, bottom = (facts[name].to_numpy(float) for name in ("top_share", "bottom_share"))
    if kind == "net":
        return score_interval(size * top, size * bottom, size, level=level)
    if kind == "box":
        return wilson_interval(top, size, level=level)
    # no spread among the answers is no certainty about others
    known = np.sqrt(spread["variance"].where(spread["variance"] > 0))
    return mean_interval(facts["estimate"], known, spread["df"], level=level)


def _result_table(
    totals: Totals,
    facts: pd.DataFrame,
    spread: pd.DataFrame,
    interval: np.ndarray,
    metrics: Sequence[Metric],
) -> pd.DataFrame:
    groups = len(totals.groups)
    factor = np.repeat([metric.factor for metric in metrics], groups)
    labels = {
        "column": [metric.column for metric in metrics],
        "metric": [metric.name for metric in metrics],
        "unit": [metric.unit for metric in metrics],
    }
    table = pd.DataFrame({name: np.repeat(words, groups) for name, words in labels.items()})
    grouped = bool(totals.groups.shape[1])
    if grouped:
        table["group"] = pd.concat([group_labels(totals.groups)] * len(metrics), ignore_index=True)
    nobody = facts["n"] == 0
    figures = pd.DataFrame(
        {
            **facts[["n", "tops", "middles", "bottoms"]],
            "estimate": (factor * facts["estimate"]).mask(nobody),
            "se": (factor * np.sqrt(spread["variance"])).mask(nobody),
            "ci_low": factor * interval[:, 0],
            "ci_high": factor * interval[:, 1],
            **facts[["top_share", "middle_share", "bottom_share"]],
            **spread[["deff", "n_eff", "df"]],
            "unweighted": factor * facts["unweighted"],
            "n_missing": np.tile(totals.rows.to_numpy(), len(metrics)) - facts["n"],
        }
    )
    if grouped:
        figures["n_ungrouped"] = np.repeat(
            [totals.ungrouped[name] for name in totals.names], groups
        )
    note = spread["note"].mask(nobody, "no valid answer")
    return pd.concat([table, figures, note], axis=1)
