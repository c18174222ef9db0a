"""Several ratings per customer: what goes together within a person, and between persons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtr

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.display import with_display
from cxlab.core.frames import collect, collect_rows, open_frame
from cxlab.core.result import Result
from cxlab.stats.association import (
    FEW_DEGREES_OF_FREEDOM,
    correlation_interval,
    correlation_p_value,
    covariance_of_totals,
    drawn_from,
    pearson,
    row_leverage,
    units_of_rows,
)
from cxlab.stats.association.coefficients import CONSTANT, FEWEST_PAIRS, correlation_of_sums
from cxlab.stats.inference import check_level
from cxlab.stats.resampling import bootstrap_multipliers, percentile_interval
from cxlab.stats.touchpoints.operational import touchpoint_words
from cxlab.stats.touchpoints.result import find_occasion
from cxlab.survey.definition import Table
from cxlab.survey.study import Study

Array = NDArray[np.float64]

PARTS = ("within customers", "between customers")

#: Columns of `repeated_table` where no table of a study will do.
REPEATED_COLUMNS = ("table", "group", "part", "n", "estimate", "ci_low", "ci_high", "note")

#: A spread that is not known.
UNKNOWN = dict.fromkeys(("se", "ci_low", "ci_high", "p_value", "df"), float("nan"))

#: What the columns of a design are called in the rows.
NAMED = {"strata": "stratum", "cluster": "cluster", "stratum_clusters": "sampled"}


@dataclass(frozen=True, eq=False, kw_only=True)
class RepeatedRatings(Result):
    """Within-person and between-person correlations.

    Attributes
    ----------
    table : DataFrame
        One row per group × part: ``group`` (with ``by``), ``part`` ("within customers",
        "between customers"), ``occasion``, ``n`` (pairs), ``estimate, se, ci_low, ci_high,
        p_value``, ``df``, ``n_customers``, ``note``.
    notes : tuple of str
        How the intervals were made; then a sentence for each group in which the two have
        opposite signs, each interval clear of 0.
    """


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
        The survey design. With weights, strata or a cluster other than the customer,
        intervals come from a bootstrap of whole clusters, and there are no degrees of
        freedom.
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
    Within: each customer's own mean is subtracted from both sides, over customers with two or
    more pairs; df = N − k − 1 for N pairs of k customers, the interval is Fisher's with
    that df. Between: correlation of the customers' means, each counted once. With few ratings
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
    declared, design = find_occasion(occasion), as_design(design)
    names = {"score": score, "outcome": outcome, "customer": customer, "by": by}
    rows = _opened_rows(data, names, design)
    simple = design.weights is None and design.strata is None
    simple = simple and design.cluster in (None, customer)
    drawn = Design(**{key: NAMED[key] for key in NAMED if design.columns()[key]})
    parts = []
    for group, part in (
        [("all", rows)] if by is None else rows.groupby("group", sort=True, observed=True)
    ):
        sums = _customer_sums(part)
        fits = [_within(sums, level), _between(sums, level)]
        if not simple:
            customers = part.drop_duplicates("customer").set_index("customer").loc[sums.index]
            fits = _bootstrapped(fits, sums, customers, drawn, level, replicates, seed)
        labels = {"group": group, "part": PARTS, "occasion": declared.code}
        parts.append(pd.DataFrame(labels, index=range(2)).join(pd.DataFrame(fits)))
    table = pd.concat(parts, ignore_index=True)
    made = "Student's t and Fisher's interval"
    if not simple:
        made = f"bootstrap of whole clusters, {replicates:,} times"
    missing = {"column": [score, outcome], "n_missing": rows[["x", "y"]].isna().sum().tolist()}
    return RepeatedRatings(
        table=table.drop(columns="group") if by is None else table,
        n_missing=pd.DataFrame(missing),
        notes=(f"Occasion {declared}; {made}.", *_sign_changes(table, by is not None)),
    )


def repeated_table(
    study: Study, *, replicates: int = 1000, seed: int = 0, level: float = 0.95
) -> pd.DataFrame:
    """Within-customer and between-customer correlation of the first two outcomes, per table.

    Parameters
    ----------
    study : Study
        Tables with a customer column (role ``customer``, or a cluster that spans periods)
        and two outcomes are used; the touchpoint column, if declared, makes groups.
    replicates, seed, level
        As for `cxlab.repeated_ratings`.

    Returns
    -------
    DataFrame
        ``table``, then as `cxlab.repeated_ratings`; empty where no table will do.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> table = repeated_table(load_study("demo"), replicates=50)
    >>> sorted(table["part"].unique())
    ['between customers', 'within customers']
    """
    tables = []
    for name, table in study.definition.tables.items():
        outcomes = [column.name for column in table.with_role("outcome")][:2]
        customer = customer_column(table)
        if customer is None or len(outcomes) < 2:
            continue
        answers = nw.from_native(study.read(name)).filter(~nw.col(customer).is_null())
        counted = answers.lazy().group_by(customer).agg(nw.len().alias("n"))
        if not len(collect(counted.filter(nw.col("n") > 1).head(1))):
            continue
        found = repeated_ratings(
            answers.to_native(), outcomes[0], outcomes[1], customer=customer, occasion="A",
            by=table.touchpoint_column, replicates=replicates, seed=seed, level=level,
        ).table  # fmt: skip
        if "group" not in found:
            found.insert(0, "group", "all")
        found.insert(0, "table", table.label)
        tables.append(found)
    if not tables:
        return pd.DataFrame(columns=list(REPEATED_COLUMNS))
    return with_display(
        pd.concat(tables, ignore_index=True), labels=touchpoint_words(study), level=level,
        caption="The same customer’s ratings, and those of different customers",
        columns=("table", "group", "part", "n", "n_customers", "estimate"),
        headers={"group": "Touchpoint"}, units={"estimate": "r"},
    )  # fmt: skip


def customer_column(table: Table) -> str | None:
    """Column that says who answered, the same in every period; None if there is none."""
    declared = table.only("customer")
    cluster = table.only("cluster")
    if declared:
        return declared.name
    return cluster.name if cluster and cluster.spans_periods else None


def _opened_rows(data: Any, names: dict[str, str | None], design: Design) -> pd.DataFrame:
    """The ratings as ``x, y, customer, weight, group`` and the design, a row each."""
    numbers = {key: names[key] for key in ("score", "outcome")}
    opened = open_frame(
        data, numbers=numbers, design=design, customer=names["customer"], by=names["by"]
    )
    named = {"x": names["score"], "y": names["outcome"], "customer": names["customer"]}
    named |= {"group": names["by"], "weight": design.weights}
    named |= {NAMED[key]: design.columns()[key] for key in NAMED}
    chosen = {key: nw.col(name) for key, name in named.items() if name}
    rows = collect_rows(opened.lazy.select(**chosen), data)
    missing = int(rows["customer"].isna().sum())
    if missing:
        raise ValueError(
            f"`customer` must be known on every row; got {missing:,} without in "
            f"'{names['customer']}'. Leave those rows out and say so: this analysis needs to know "
            "who gave each rating."
        )
    rows = rows if "weight" in rows else rows.assign(weight=1.0)
    return rows.astype({"x": float, "y": float})


def _customer_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """Per customer: pairs, weight, means, and squares and products about them."""
    valid = rows["x"].notna() & rows["y"].notna() & (rows["weight"] > 0)
    frame = rows.loc[valid, ["customer", "x", "y"]].assign(w=rows["weight"])
    customer = frame["customer"]
    mass = frame["w"].groupby(customer).transform("sum")
    for name in ("x", "y"):
        total = (frame[name] * frame["w"]).groupby(customer).transform("sum")
        frame[f"mean_{name}"] = total / mass
        frame[name] -= frame[f"mean_{name}"]
    frame["xx"] = frame["w"] * frame["x"] ** 2
    frame["yy"] = frame["w"] * frame["y"] ** 2
    frame["xy"] = frame["w"] * (frame["x"] * frame["y"])
    grouped = frame.groupby("customer", sort=True)
    sums = grouped[["w", "xx", "yy", "xy"]].sum()
    sums[["mean_x", "mean_y"]] = grouped[["mean_x", "mean_y"]].first()
    sums["pairs"] = grouped.size()
    # of a customer's mean, each customer counting once
    return sums.assign(mean_weight=sums["w"] / sums["pairs"])


def _ratio(xx: Any, yy: Any, xy: Any) -> Any:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.clip(xy / np.sqrt(xx * yy), -1, 1)


def _within(sums: pd.DataFrame, level: float) -> dict[str, Any]:
    """Repeated-measures correlation, a row of the table."""
    several = sums[sums["pairs"] > 1]
    xx, yy, xy = (float(several[name].sum()) for name in ("xx", "yy", "xy"))
    n, customers = int(several["pairs"].sum()), len(several)
    df = float(n - customers - 1)
    constant = xx <= CONSTANT * max(n, 1) or yy <= CONSTANT * max(n, 1)
    if df < 1 or constant:
        reason = "nothing varies within customers" if n and constant else _few(customers)
        return _row(n, customers, note=reason)
    r = float(_ratio(xx, yy, xy))
    # Fisher's interval with df + 2 in the place of n; t test on df
    se = float((1 - r**2) / np.sqrt(df - 1)) if df > 1 else float("nan")
    t = r * np.sqrt(df / max(1 - r**2, 1e-300))
    tested = {"p_value": float(2 * stdtr(df, -abs(t))), "df": df}
    return _row(n, customers, r, {**_interval(r, se, np.inf, level), **tested})


def _between(sums: pd.DataFrame, level: float) -> dict[str, Any]:
    """Correlation of the customers' means, a row of the table."""
    n, customers = int(sums["pairs"].sum()), len(sums)
    weight = sums["mean_weight"].to_numpy()
    fit = pearson(sums["mean_x"], sums["mean_y"], weight)
    if customers < FEWEST_PAIRS or np.isnan(fit.estimate):
        reason = _few(customers) if customers < FEWEST_PAIRS else fit.note
        return _row(n, customers, note=reason)
    units, _ = units_of_rows(pd.DataFrame(index=range(customers)), Design())
    share = weight / weight.sum()
    se = float(np.sqrt(covariance_of_totals((fit.influence * share)[:, None], units)[0, 0]))
    df = min(float(customers - 1), _between_leverage(sums, np.arange(customers)))
    if df < 1:
        note = "no interval: it rests on one customer alone"
        return _row(n, customers, fit.estimate, note=note)
    note = _few_words(df) if df < FEW_DEGREES_OF_FREEDOM else ""
    return _row(n, customers, fit.estimate, _interval(fit.estimate, se, df, level), note)


def _few_words(df: float) -> str:
    return f"it rests on few: {df:.1f} degrees of freedom".replace(".0 ", " ")


def _between_leverage(sums: pd.DataFrame, unit: NDArray[np.intp]) -> float:
    """Degrees of freedom that customers' means leave, by unit."""
    weight = sums["mean_weight"].to_numpy()
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
    if customers == 0:
        return "nobody rated it"
    return f"too few pairs, of {customers} customer{'s' if customers > 1 else ''}"


def _row(
    n: int,
    customers: int,
    estimate: float = float("nan"),
    spread: dict[str, float] = UNKNOWN,
    note: str = "",
) -> dict[str, Any]:
    return {"n": n, "estimate": estimate, **spread, "n_customers": customers, "note": note}


def _interval(estimate: float, se: float, df: float, level: float) -> dict[str, float]:
    low, high = correlation_interval(estimate, se, df, level=level)
    p_value = correlation_p_value(estimate, se, df)
    values = [float(value) for value in (se, low, high, p_value, df)]
    return dict(zip(UNKNOWN, values, strict=True))


def _bootstrapped(
    fits: list[dict[str, Any]],
    sums: pd.DataFrame,
    customers: pd.DataFrame,
    design: Design,
    level: float,
    replicates: int,
    seed: int,
) -> list[dict[str, Any]]:
    """The same estimates with percentile intervals over whole clusters of customers."""
    drawn = drawn_from(customers, design)
    if drawn.n_clusters < 2:
        return [{**fit, **UNKNOWN, "note": "no interval: fewer than two clusters"} for fit in fits]
    unit = drawn.row_cluster
    times = bootstrap_multipliers(drawn, replicates, seed=seed)[unit]
    values = [_within_replicates(sums, times), _between_replicates(sums, times)]
    leverages, found = [_within_leverage(sums, unit), _between_leverage(sums, unit)], []
    for fit, part, leverage in zip(fits, values, leverages, strict=True):
        if not np.isnan(fit["estimate"]):
            df = min(float(drawn.degrees_of_freedom), leverage)
            fit = {**fit, **_spread(fit["estimate"], part, df, level)}
        found.append(fit)
    return found


def _spread(estimate: float, replicates: Array, df: float, level: float) -> dict[str, Any]:
    """Interval from bootstrap replicates; of few, whose percentiles are too narrow, from t."""
    kept = replicates[np.isfinite(replicates)]
    if len(kept) < 2:
        return {**UNKNOWN, "note": "no interval: the bootstrap produced no valid coefficient"}
    if df < 1:
        return {**UNKNOWN, "note": "no interval: it rests on one cluster alone"}
    found = {**_interval(estimate, float(kept.std(ddof=1)), df, level), "df": float("nan")}
    if df < FEW_DEGREES_OF_FREEDOM:
        return {**found, "note": f"bootstrap; {_few_words(df)}"}
    low, high = (float(end) for end in percentile_interval(kept, level))
    note = "bootstrap: no degrees of freedom"
    return {**found, "ci_low": low, "ci_high": high, "note": note}


def _within_replicates(sums: pd.DataFrame, times: Array) -> Array:
    several = (sums["pairs"] > 1).to_numpy()
    parts = sums.loc[several, ["xx", "yy", "xy"]].to_numpy().T @ times[several]
    return np.where((parts[0] > 0) & (parts[1] > 0), _ratio(*parts), np.nan)


def _between_replicates(sums: pd.DataFrame, times: Array) -> Array:
    weight = sums["mean_weight"].to_numpy()
    x = (sums["mean_x"] - sums["mean_x"].mean()).to_numpy()
    y = (sums["mean_y"] - sums["mean_y"].mean()).to_numpy()
    powers = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y]) * weight
    return correlation_of_sums(powers @ times)


def _sign_changes(table: pd.DataFrame, grouped: bool) -> list[str]:
    sentences = []
    for name, part in table.groupby("group", sort=False):
        clear = ((part["ci_low"] > 0) | (part["ci_high"] < 0)).all()
        within, between = part["estimate"]
        if clear and within * between < 0:
            subject = f"{name}: " if grouped else ""
            sentences.append(
                f"{subject}the sign changes: {within:.2f} within customers, {between:.2f} between "
                "them. What goes with the outcome across customers goes the other way when one "
                "customer's ratings change."
            )
    return sentences
