"""First response as a time, with replies that never came, and as a rate within a target."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri
from statsmodels.duration.survfunc import SurvfuncRight

from cxlab.core.design import DesignLike, as_design
from cxlab.core.frames import check_columns, check_numeric, collect_rows, scan
from cxlab.core.messages import got
from cxlab.stats.inference import check_level
from cxlab.stats.resampling import bootstrap_multipliers, percentile_interval, sampling_design

Array = NDArray[np.float64]

MEASURES = ("median time", "90th percentile of time", "replied within target")
PROBABILITIES = (0.5, 0.9)


def first_response(
    data: Any,
    time: str,
    *,
    replied: str,
    target: float,
    by: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    replicates: int = 500,
    seed: int = 0,
) -> pd.DataFrame:
    """Time to first response and rate within a target, with replies that never came.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per contact.
    time : str
        Column of the time to the first reply; where none came, the time that was waited
        until the data were taken. 0 or more; rows without are left out and counted.
    replied : str
        Column that is true or 1 where the reply came, false or 0 where it had not yet.
    target : float
        Time within which a reply is wanted, in the unit of ``time``, over 0.
    by : str, optional
        Column whose values make groups; a row with a null there is in none.
    design : Design or mapping, optional
        Its weights and clusters count. With either, intervals come from a bootstrap of whole clusters (of rows, where
        there is no cluster).
    level : float
    replicates, seed : int
        Of that bootstrap.

    Returns
    -------
    DataFrame
        One row per group × measure: ``group`` (with ``by``), ``measure`` ("median time",
        "90th percentile of time", "replied within target"), ``n, estimate, se, ci_low,
        ci_high`` (times in the unit of ``time``; the rate in per cent, 0 to 100),
        ``n_replied``, ``n_open`` (no reply yet), ``n_missing``, ``target``, ``note``.

    Raises
    ------
    ValueError
        For unknown columns, negative times, a target that is not over 0, or a ``replied``
        that is neither true nor false.
    TypeError
        For text times.

    Notes
    -----
    A percentile is the first time at which that share has a reply. Kaplan–Meier: a contact still open counts as waiting until it was last seen, so leaving
    the open ones out, or counting them as replied, is avoided. A percentile that too few
    replies reach is missing and the note says so. Intervals of percentiles invert the
    complementary-log-log interval of the curve (Brookmeyer & Crowley); a percentile has no
    standard error then.

    References
    ----------
    Kaplan & Meier (1958), JASA 53, 457–481. Brookmeyer & Crowley (1982), Biometrics 38,
    29–41.

    Examples
    --------
    >>> contacts = pd.DataFrame({"hours": [1, 2, 3, 4, 24], "replied": [1, 1, 1, 1, 0]})
    >>> table = first_response(contacts, "hours", replied="replied", target=4)
    >>> table[["measure", "estimate"]].values.tolist()[0]
    ['median time', 3.0]
    """
    check_level(level)
    if not target > 0:
        raise ValueError(f"`target` must be over 0; got {target}. Give it in the unit of `time`.")
    design = as_design(design)
    weights, cluster = design.weights, design.cluster
    rows = _rows(data, time, replied, by, weights, cluster)
    known = rows["time"].notna() & rows["replied"].notna() & (rows["weight"] > 0)
    plain = weights is None and cluster is None
    groups = [("all", rows)] if by is None else list(rows.groupby("group", sort=True))
    parts = []
    for name, part in groups:
        valid = part[known.loc[part.index]]
        table = (
            _plain(valid, target, level)
            if plain
            else _resampled(valid, target, level, cluster is not None, replicates, seed)
        )
        table["n_missing"] = len(part) - len(valid)
        table.insert(0, "group", name)
        parts.append(table)
    table = pd.concat(parts, ignore_index=True)
    order = ["n_replied", "n_open", "n_missing", "target", "note"]
    table = table[[*(name for name in table if name not in order), *order]]
    return table if by is not None else table.drop(columns="group")


def _rows(
    data: Any,
    time: str,
    replied: str,
    by: str | None,
    weights: str | None,
    cluster: str | None,
) -> pd.DataFrame:
    names = {"time": time, "replied": replied, "by": by, "weights": weights, "cluster": cluster}
    check_columns(data, names)
    lazy = scan(data, [name for name in names.values() if name])
    check_numeric(lazy, {"time": time, "weights": weights})
    raw = collect_rows(lazy, data)
    rows = pd.DataFrame({"time": raw[time].astype(float)})
    rows["replied"] = _true_or_false(raw[replied], replied)
    rows["weight"] = raw[weights].astype(float) if weights else 1.0
    rows["group"] = raw[by] if by else "all"
    rows["cluster"] = raw[cluster] if cluster else np.arange(len(raw))
    negative = rows.loc[rows["time"] < 0, "time"]
    if len(negative):
        raise ValueError(
            f"`time` must be 0 or more; got {got([float(value) for value in negative])}. "
            "A reply before the contact is an error of the clock: leave it out and say so."
        )
    bad = rows.loc[~(rows["weight"] >= 0) | np.isinf(rows["weight"]), "weight"]
    if len(bad):
        raise ValueError(
            f"`weights` must be finite numbers of 0 or more; got {got([str(v) for v in bad])}. "
            "Give a row that is outside the population the weight 0."
        )
    return rows


def _true_or_false(values: pd.Series, name: str) -> pd.Series:
    known = {True: 1.0, False: 0.0, "true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
    words = values.map(lambda value: value.casefold() if isinstance(value, str) else value)
    found = words.map(known, na_action="ignore").astype(float)
    strange = values[found.isna() & values.notna()]
    if len(strange):
        raise ValueError(
            f"`replied` must be true or false (or 1 and 0, yes and no); got "
            f"{got(strange.tolist())} in '{name}'. Recode it first."
        )
    return found


def _plain(rows: pd.DataFrame, target: float, level: float) -> pd.DataFrame:
    if len(rows) == 0 or rows["replied"].sum() == 0:
        return _empty(rows, target)
    time, replied = rows["time"].to_numpy(float), rows["replied"].to_numpy(float)
    curve = SurvfuncRight(time, replied.astype(int))
    values = _measures(time, replied, np.ones(len(rows)), target)
    found = []
    for value, probability in zip(values, PROBABILITIES, strict=False):
        # once everyone has a reply, log 0 stands for a limit that is not reached
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = curve.quantile_ci(probability, alpha=1 - level, method="cloglog")
        found.append((float(value), np.nan, float(low), float(high)))
    found.append(_plain_rate(curve, target, level))
    return _frame(rows, target, found, "")


def _plain_rate(
    curve: SurvfuncRight, target: float, level: float
) -> tuple[float, float, float, float]:
    """Share replied by the target with the complementary-log-log interval of the curve."""
    place = int(np.searchsorted(curve.surv_times, target, side="right")) - 1
    if place < 0:
        return 0.0, 0.0, 0.0, 0.0
    open_share = float(curve.surv_prob[place])
    se = float(curve.surv_prob_se[place])
    if not 0 < open_share < 1 or not se > 0:
        replied = 100 * (1 - open_share)
        return replied, float("nan"), float("nan"), float("nan")
    z = float(ndtri(0.5 + level / 2))
    spread = z * se / (open_share * abs(np.log(open_share)))
    low, high = open_share ** np.exp(spread), open_share ** np.exp(-spread)
    return 100 * (1 - open_share), 100 * se, 100 * (1 - high), 100 * (1 - low)


def kaplan_meier(time: Array, replied: Array, weight: Array) -> tuple[Array, Array]:
    """Times of replies and the weighted share still open after each.

    Examples
    --------
    >>> times, still_open = kaplan_meier(np.array([1.0, 2, 3]), np.array([1, 0, 1]), np.ones(3))
    >>> times.tolist(), still_open.round(3).tolist()
    ([1.0, 3.0], [0.667, 0.0])
    """
    order = np.argsort(time, kind="stable")
    time, replied, weight = time[order], replied[order], weight[order]
    times, first = np.unique(time, return_index=True)
    at_risk = np.cumsum(weight[::-1])[::-1][first]
    events = np.add.reduceat(weight * replied, first)
    kept = events > 0
    return times[kept], np.cumprod(1 - events[kept] / at_risk[kept], dtype=float)


def _measures(time: Array, replied: Array, weight: Array, target: float) -> Array:
    times, still_open = kaplan_meier(time, replied, weight)
    values = []
    for probability in PROBABILITIES:
        # rounding must not push 1 − 0.9 past 0.1
        reached = np.flatnonzero(still_open <= 1 - probability + 1e-12)
        values.append(times[reached[0]] if len(reached) else np.inf)
    place = int(np.searchsorted(times, target, side="right")) - 1
    return np.array([*values, 0.0 if place < 0 else 100 * (1 - still_open[place])])


def _resampled(
    rows: pd.DataFrame, target: float, level: float, clustered: bool, replicates: int, seed: int
) -> pd.DataFrame:
    if len(rows) == 0 or rows["replied"].sum() == 0:
        return _empty(rows, target)
    time, replied, weight = (rows[name].to_numpy(float) for name in ("time", "replied", "weight"))
    estimate = _measures(time, replied, weight, target)
    drawn = sampling_design(len(rows), cluster=rows["cluster"])
    if drawn.n_clusters < 2:
        blank = [(value, np.nan, np.nan, np.nan) for value in estimate]
        return _frame(rows, target, blank, "no interval: fewer than two clusters")
    times = bootstrap_multipliers(drawn, replicates, seed=seed)
    values = []
    for column in times.T:
        again = weight * column[drawn.row_cluster]
        kept = again > 0
        if kept.any():
            values.append(_measures(time[kept], replied[kept], again[kept], target))
    spread = np.array(values)
    found = []
    for number, value in enumerate(estimate):
        # a replicate that never gets there is later than any time, not left out
        low, high = _limits(spread[:, number], level)
        finite = spread[np.isfinite(spread[:, number]), number]
        whole = len(finite) == len(spread)
        se = float(finite.std(ddof=1)) if whole else float("nan")
        found.append((float(value), se, low, high))
    unit = "clusters" if clustered else "rows"
    return _frame(rows, target, found, f"bootstrap of {unit}, {replicates:,} times")


def _limits(values: Array, level: float) -> tuple[float, float]:
    if np.isfinite(values).all():
        low, high = percentile_interval(values, level)
        return float(low), float(high)
    ordered = np.sort(values)
    places = [(1 - level) / 2, (1 + level) / 2]
    low, high = (ordered[min(int(len(ordered) * place), len(ordered) - 1)] for place in places)
    return float(low), float(high)


def _frame(
    rows: pd.DataFrame,
    target: float,
    found: list[tuple[float, float, float, float]],
    note: str,
) -> pd.DataFrame:
    table = pd.DataFrame(found, columns=["estimate", "se", "ci_low", "ci_high"])
    table.insert(0, "measure", MEASURES)
    table.insert(1, "n", len(rows))
    notes = []
    for number, row in table.iterrows():
        parts = [note] if note else []
        if number < len(PROBABILITIES):
            parts += _percentile_notes(row, PROBABILITIES[number])
        elif rows["time"].max() < target:
            parts.append("nothing was followed as long as the target")
        notes.append("; ".join(parts))
    finite = table[["estimate", "ci_low", "ci_high"]].replace([np.inf, -np.inf], np.nan)
    table[["estimate", "ci_low", "ci_high"]] = finite
    table["n_replied"] = int(rows["replied"].sum())
    table["n_open"] = len(rows) - table["n_replied"]
    table["target"], table["note"] = target, notes
    return table


def _percentile_notes(row: pd.Series, probability: float) -> list[str]:
    if not np.isfinite(row["estimate"]):
        return [f"not reached: fewer than {probability:.0%} have a reply"]
    return [] if np.isfinite(row["ci_high"]) else ["no upper limit: too many are still open"]


def _empty(rows: pd.DataFrame, target: float) -> pd.DataFrame:
    nothing = (np.nan, np.nan, np.nan, np.nan)
    table = _frame(rows, target, [nothing] * len(MEASURES), "")
    table["note"] = "no contacts" if len(rows) == 0 else "no reply to any contact"
    return table
