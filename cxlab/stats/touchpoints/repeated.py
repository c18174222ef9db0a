"""Several ratings per customer: what goes together within a person, and between persons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import check_columns, check_numeric, collect_rows, scan
from cxlab.stats.association import (
    correlation_interval,
    correlation_p_value,
    pearson,
    row_leverage,
)
from cxlab.stats.association.coefficients import CONSTANT, FEWEST_PAIRS
from cxlab.stats.association.estimates import FEW_DEGREES_OF_FREEDOM
from cxlab.stats.association.units import covariance_of_totals, units_of_rows
from cxlab.stats.inference import check_level
from cxlab.stats.resampling import bootstrap_multipliers, percentile_interval, sampling_design
from cxlab.stats.touchpoints.occasions import Occasion, find_occasion

Array = NDArray[np.float64]

PARTS = ("within customers", "between customers")


@dataclass(frozen=True, eq=False)
class RepeatedRatings:
    """Within-person and between-person correlation, apart.

    Attributes
    ----------
    table : DataFrame
        One row per group × part: ``group`` (with ``by``), ``part`` ("within customers",
        "between customers"), ``occasion``, ``n`` (pairs), ``estimate, se, ci_low, ci_high,
        p_value``, ``df``, ``n_customers``, ``note``.
    headline : tuple of str
        Groups in which the two have opposite signs, each interval clear of 0; empty if
        none.
    occasion : Occasion
    interval : str
        How the intervals were made, in words.
    """

    table: pd.DataFrame
    headline: tuple[str, ...]
    occasion: Occasion
    interval: str

    def __str__(self) -> str:
        head = f"Repeated ratings, occasion {self.occasion}; {self.interval}"
        return "\n".join([head, *self.headline, self.table.round(3).to_string(index=False)])

    def _repr_html_(self) -> str:
        return self.table.round(3).to_html(index=False, na_rep="")


def repeated_ratings(
    data: Any,
    score: str,
    outcome: str,
    *,
    customer: str,
    occasion: str,
    by: str | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    replicates: int = 1000,
    seed: int = 0,
) -> RepeatedRatings:
    """Correlate a score with an outcome within customers and between them.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per rating, several per customer.
    score, outcome : str
        Columns of numbers; a row without either is left out.
    customer : str
        Column that says whose rating it is; a row without one is refused.
    occasion : {"A", "B", "C", "D"}
        When score and outcome were measured (see `touchpoint_correlations`).
    by : str, optional
        Column whose values make groups, such as the touchpoint.
    design : Design or mapping, optional
        The survey design. With any of them (a cluster other than the customer) intervals
        come from a bootstrap of whole clusters, and there are no degrees of freedom.
    level : float
    replicates, seed : int
        Of that bootstrap.

    Returns
    -------
    RepeatedRatings

    Raises
    ------
    ValueError
        For unknown columns, or rows without a customer.
    TypeError
        For text scores.

    Notes
    -----
    Within: each customer's own mean is taken off both sides, over customers with two or
    more pairs; df = N − k − 1 for N pairs of k customers, the interval is Fisher's with
    that df. Between: correlation of the customers' means, one vote each. With few ratings
    a customer's mean still holds noise, which pulls the between part towards the within
    part.

    References
    ----------
    Bland & Altman (1995), BMJ 310, 446 and 633. Bakdash & Marusich (2017), Frontiers in
    Psychology 8, 456.

    Examples
    --------
    The one who waits longest is happiest, yet each is happier after a shorter wait:

    >>> ratings = pd.DataFrame({
    ...     "customer": ["a"] * 3 + ["b"] * 3 + ["c"] * 3,
    ...     "wait": [1, 2, 3, 4, 5, 6, 7, 8, 9], "happy": [3, 2, 1, 5, 4, 3, 7, 6, 5]})
    >>> result = repeated_ratings(ratings, "wait", "happy", customer="customer", occasion="D")
    >>> result.table["estimate"].round(2).tolist()
    [-1.0, 1.0]
    """
    check_level(level)
    declared = find_occasion(occasion)
    design = as_design(design)
    names = {"score": score, "outcome": outcome, "customer": customer, "by": by}
    check_columns(data, {**names, **design.columns()})
    wanted = [name for name in (*names.values(), *design.columns().values()) if name]
    lazy = scan(data, wanted)
    check_numeric(lazy, {"score": score, "outcome": outcome, "weights": design.weights})
    rows = collect_rows(lazy, data)
    _check_customers(rows, customer)
    plain = design.weights is None and design.strata is None and design.cluster in (None, customer)
    parts = [
        _one_group(group, part, score, outcome, customer, design, plain, level, replicates, seed)
        for group, part in _groups(rows, by)
    ]
    table = pd.concat(parts, ignore_index=True)
    table.insert(table.columns.get_loc("n"), "occasion", declared.code)
    if by is None:
        table = table.drop(columns="group")
    interval = (
        "Student's t and Fisher's interval"
        if plain
        else f"bootstrap of whole clusters, {replicates:,} times"
    )
    return RepeatedRatings(table, tuple(_headlines(table)), declared, interval)


def _check_customers(rows: pd.DataFrame, customer: str) -> None:
    missing = int(rows[customer].isna().sum())
    if missing:
        raise ValueError(
            f"`customer` must be known on every row; got {missing:,} without in '{customer}'. "
            "Leave those rows out and say so: this analysis needs to know who gave each rating."
        )


def _groups(rows: pd.DataFrame, by: str | None) -> list[tuple[Any, pd.DataFrame]]:
    if by is None:
        return [("all", rows)]
    return [(name, part) for name, part in rows.groupby(by, sort=True, observed=True)]


def _one_group(
    group: Any,
    rows: pd.DataFrame,
    score: str,
    outcome: str,
    customer: str,
    design: Design,
    plain: bool,
    level: float,
    replicates: int,
    seed: int,
) -> pd.DataFrame:
    weight = rows[design.weights].to_numpy(float) if design.weights else np.ones(len(rows))
    valid = rows[score].notna().to_numpy() & rows[outcome].notna().to_numpy() & (weight > 0)
    whole = _customer_sums(rows[valid], score, outcome, customer, weight[valid])
    fits = [_within(whole, level), _between(whole, level)]
    if not plain:
        first = rows.drop_duplicates(customer).set_index(customer).loc[whole.index].reset_index()
        fits = _bootstrapped(fits, whole, first, design, customer, level, replicates, seed)
    table = pd.DataFrame(fits)
    table.insert(0, "part", PARTS)
    table.insert(0, "group", group)
    return table


def _customer_sums(
    rows: pd.DataFrame, score: str, outcome: str, customer: str, weight: Array
) -> pd.DataFrame:
    """Per customer: pairs, weight, means, and squares and products about them."""
    frame = pd.DataFrame(
        {
            "customer": rows[customer].to_numpy(),
            "x": rows[score].to_numpy(float),
            "y": rows[outcome].to_numpy(float),
            "w": weight,
        }
    )
    grouped = frame.groupby("customer", sort=True)
    mass = grouped["w"].transform("sum")
    centred = {}
    for name in ("x", "y"):
        mean = (frame[name] * frame["w"]).groupby(frame["customer"]).transform("sum") / mass
        frame[f"mean_{name}"] = mean
        centred[name] = frame[name] - mean
    for name, product in {
        "xx": centred["x"] ** 2,
        "yy": centred["y"] ** 2,
        "xy": centred["x"] * centred["y"],
    }.items():
        frame[name] = frame["w"] * product
    grouped = frame.groupby("customer", sort=True)
    sums = grouped[["w", "xx", "yy", "xy"]].sum()
    sums[["mean_x", "mean_y"]] = grouped[["mean_x", "mean_y"]].first()
    sums["pairs"] = grouped.size()
    return sums


def _ratio(xx: Any, yy: Any, xy: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(xy / np.sqrt(xx * yy), -1, 1)


def _within(sums: pd.DataFrame, level: float) -> dict[str, Any]:
    several = sums[sums["pairs"] > 1]
    xx, yy, xy = (float(several[name].sum()) for name in ("xx", "yy", "xy"))
    n, customers = int(several["pairs"].sum()), len(several)
    df = float(n - customers - 1)
    constant = xx <= CONSTANT * max(n, 1) or yy <= CONSTANT * max(n, 1)
    if df < 1 or constant:
        reason = "nothing varies within customers" if n and constant else _few(customers)
        return _no_row(n, customers, reason)
    r = float(_ratio(xx, yy, xy))
    # Fisher's interval with df + 2 in the place of n; t test on df
    se = float((1 - r**2) / np.sqrt(df - 1)) if df > 1 else float("nan")
    low, high = correlation_interval(r, se, np.inf, level=level)
    t = r * np.sqrt(df / max(1 - r**2, 1e-300))
    p_value = float(2 * stdtr(df, -abs(t)))
    return _row(n, customers, r, se, float(low), float(high), p_value, df)


def _between(sums: pd.DataFrame, level: float) -> dict[str, Any]:
    n, customers = int(sums["pairs"].sum()), len(sums)
    weight = (sums["w"] / sums["pairs"]).to_numpy()
    fit = pearson(sums["mean_x"], sums["mean_y"], weight)
    if customers < FEWEST_PAIRS or np.isnan(fit.estimate):
        reason = _few(customers) if customers < FEWEST_PAIRS else fit.note
        return _no_row(n, customers, reason)
    units, _ = units_of_rows(pd.DataFrame(index=range(customers)), Design())
    share = weight / weight.sum()
    se = float(np.sqrt(covariance_of_totals((fit.influence * share)[:, None], units)[0, 0]))
    df = min(float(customers - 1), _between_leverage(sums, np.arange(customers)))
    if df < 1:
        row = _no_row(n, customers, "no interval: it rests on one customer alone")
        return {**row, "estimate": fit.estimate}
    low, high = correlation_interval(fit.estimate, se, df, level=level)
    p_value = float(correlation_p_value(fit.estimate, se, df))
    row = _row(n, customers, fit.estimate, se, float(low), float(high), p_value, df)
    return row if df >= FEW_DEGREES_OF_FREEDOM else {**row, "note": _few_words(df)}


def _few_words(df: float) -> str:
    return f"it rests on few: {df:.1f} degrees of freedom".replace(".0 ", " ")


def _between_leverage(sums: pd.DataFrame, unit: NDArray[np.intp]) -> float:
    """Degrees of freedom that customers' means leave, by unit."""
    weight = (sums["w"] / sums["pairs"]).to_numpy()
    share, units = weight / weight.sum(), int(unit.max()) + 1
    sides = (sums[name].to_numpy(float) for name in ("mean_x", "mean_y"))
    return min(row_leverage(side, share, unit, units) for side in sides)


def _within_leverage(sums: pd.DataFrame, unit: NDArray[np.intp]) -> float:
    """Effective number of units whose ratings vary within customers, less one."""
    found = []
    for name in ("xx", "yy"):
        held = np.bincount(unit, weights=np.where(sums["pairs"] > 1, sums[name], 0.0))
        found.append(held.sum() ** 2 / (held**2).sum() - 1 if held.any() else 0.0)
    return float(min(found))


def _few(customers: int) -> str:
    return "nobody rated it" if customers == 0 else f"too few pairs, of {customers} customers"


def _row(
    n: int, customers: int, r: float, se: float, low: float, high: float, p: float, df: float
) -> dict[str, Any]:
    values = {"n": n, "estimate": r, "se": se, "ci_low": low, "ci_high": high, "p_value": p}
    return {**values, "df": df, "n_customers": customers, "note": ""}


def _no_row(n: int, customers: int, reason: str) -> dict[str, Any]:
    nothing = float("nan")
    row = _row(n, customers, nothing, nothing, nothing, nothing, nothing, nothing)
    return {**row, "note": reason}


def _bootstrapped(
    fits: list[dict[str, Any]],
    sums: pd.DataFrame,
    first: pd.DataFrame,
    design: Design,
    customer: str,
    level: float,
    replicates: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The same estimates with percentile intervals over whole clusters of customers."""
    drawn = sampling_design(
        len(first),
        strata=first[design.strata] if design.strata else None,
        cluster=first[design.cluster] if design.cluster else None,
        stratum_clusters=first[design.stratum_clusters] if design.stratum_clusters else None,
    )
    if drawn.n_clusters < 2:
        return [{**fit, **_blank("no interval: fewer than two clusters")} for fit in fits]
    times = bootstrap_multipliers(drawn, replicates, seed=seed)[drawn.row_cluster]
    values = [_within_replicates(sums, times), _between_replicates(sums, times)]
    unit, found = drawn.row_cluster, []
    for fit, part, leverage in zip(
        fits, values, (_within_leverage, _between_leverage), strict=True
    ):
        if not np.isnan(fit["estimate"]):
            df = min(float(drawn.degrees_of_freedom), leverage(sums, unit))
            fit = {**fit, **_spread(fit["estimate"], part, df, level)}
        found.append(fit)
    return found


def _blank(note: str) -> dict[str, Any]:
    names = ("se", "ci_low", "ci_high", "p_value", "df")
    return {**dict.fromkeys(names, float("nan")), "note": note}


def _spread(estimate: float, replicates: Array, df: float, level: float) -> dict[str, Any]:
    kept = replicates[np.isfinite(replicates)]
    if len(kept) < 2:
        return _blank("no interval: the bootstrap produced no valid coefficient")
    if df < 1:
        return _blank("no interval: it rests on one cluster alone")
    se, note = float(kept.std(ddof=1)), "bootstrap: no degrees of freedom"
    low, high = percentile_interval(kept, level)
    if df < FEW_DEGREES_OF_FREEDOM:
        # percentiles of a bootstrap of few are far too narrow
        low, high = correlation_interval(estimate, se, df, level=level)
        note = f"bootstrap; {_few_words(df)}"
    p_value = float(correlation_p_value(estimate, se, df))
    spread = {"se": se, "ci_low": float(low), "ci_high": float(high), "p_value": p_value}
    return {**spread, "df": float("nan"), "note": note}


def _within_replicates(sums: pd.DataFrame, times: Array) -> Array:
    several = (sums["pairs"] > 1).to_numpy()
    parts = sums.loc[several, ["xx", "yy", "xy"]].to_numpy().T @ times[several]
    return np.where((parts[0] > 0) & (parts[1] > 0), _ratio(*parts), np.nan)


def _between_replicates(sums: pd.DataFrame, times: Array) -> Array:
    weight = (sums["w"] / sums["pairs"]).to_numpy()
    x = (sums["mean_x"] - sums["mean_x"].mean()).to_numpy()
    y = (sums["mean_y"] - sums["mean_y"].mean()).to_numpy()
    powers = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y]) * weight
    with np.errstate(invalid="ignore", divide="ignore"):
        moments = powers @ times
        mean_x, mean_y, xx, yy, xy = (moments[k] / moments[0] for k in range(1, 6))
    xx, yy, xy = xx - mean_x**2, yy - mean_y**2, xy - mean_x * mean_y
    return np.where((xx > 1e-12) & (yy > 1e-12), _ratio(xx, yy, xy), np.nan)


def _headlines(table: pd.DataFrame) -> list[str]:
    sentences = []
    groups = table["group"].unique() if "group" in table else ["all"]
    for name in groups:
        part = table[table["group"] == name] if "group" in table else table
        within, between = part.to_dict("records")
        clear = all(row["ci_low"] > 0 or row["ci_high"] < 0 for row in (within, between))
        if clear and within["estimate"] * between["estimate"] < 0:
            subject = "" if "group" not in table else f"{name}: "
            sentences.append(
                f"{subject}the sign changes: {within['estimate']:.2f} within customers, "
                f"{between['estimate']:.2f} between them. What goes with the outcome across "
                "customers goes the other way when one customer's ratings change."
            )
    return sentences
