"""Several ratings per customer: what goes together within a person, and between persons."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.special import stdtr

from cxlab.core.design import Design
from cxlab.core.display import with_display
from cxlab.core.frames import collect, collect_rows, open_frame
from cxlab.stats.association.coefficients import CONSTANT, FEWEST_PAIRS, pearson
from cxlab.stats.association.estimates import (
    FEW_DEGREES_OF_FREEDOM,
    correlation_interval,
    correlation_p_value,
)
from cxlab.stats.touchpoints.operational import touchpoint_words
from cxlab.stats.variance import covariance_of_totals, row_leverage, units_of_rows
from cxlab.survey.study import Study

PARTS = ("within customers", "between customers")

#: Columns of `repeated_table` where no table of a study will do.
REPEATED_COLUMNS = ("table", "group", "part", "n", "estimate", "ci_low", "ci_high", "note")

#: Fewer customers differ by chance in how much their ratings vary, unless the variance is doubled.
FEW_CUSTOMERS, MUCH_WIDER = 20, 2.0
#: Variances of r that r² exceeds by chance in 5 % of studies.
BY_CHANCE = 3.84

#: A spread that is not known.
UNKNOWN = dict.fromkeys(("se", "ci_low", "ci_high", "p_value", "df"), float("nan"))


def repeated_table(study: Study, *, level: float = 0.95) -> pd.DataFrame:
    """Within-customer and between-customer correlation of the first two outcomes, per table.

    Parameters
    ----------
    study : Study
        Tables with a customer column (role ``customer``, or a cluster that spans periods)
        and two outcomes are used; the touchpoint column, if declared, makes groups.
    level : float

    Returns
    -------
    DataFrame
        One row per table × group × part: ``table``, ``group`` (touchpoint, or "all"), ``part``
        ("within customers", "between customers"), ``occasion`` (A), ``n`` (pairs), ``estimate,
        se, ci_low, ci_high, p_value``, ``df``, ``n_customers``, ``note``, ``reading`` ("the sign
        changes" where the two have opposite signs, each interval clear of 0). Empty where no
        table will do.

    Notes
    -----
    Within: each customer's own mean is subtracted from both sides, over customers with two or
    more pairs; df = N − k − 1 for N pairs of k customers, the interval is Fisher's with
    that df, wider where some customers' ratings vary more than others' (most repeat a 10, say).
    Between: correlation of the customers' means, each counted once. With few ratings
    a customer's mean still holds noise, which pulls the between part towards the within
    part. Weights are not used.

    References
    ----------
    Bland & Altman (1995), BMJ 310, 446 and 633. Bakdash & Marusich (2017), Frontiers in
    Psychology 8, 456.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> sorted(repeated_table(load_study("demo"))["part"].unique())
    ['between customers', 'within customers']
    """
    tables = []
    for name, table in study.definition.tables.items():
        outcomes = [column.name for column in table.with_role("outcome")][:2]
        if table.customer is None or len(outcomes) < 2:
            continue
        customer = table.customer.name
        answers = nw.from_native(study.read(name)).filter(~nw.col(customer).is_null())
        counted = answers.lazy().group_by(customer).agg(nw.len().alias("n"))
        if not len(collect(counted.filter(nw.col("n") > 1).head(1))):
            continue
        found = repeated_ratings(
            answers.to_native(), *outcomes, customer=customer, by=table.touchpoint_column,
            level=level,
        )  # fmt: skip
        found.insert(0, "table", table.label)
        tables.append(found)
    if not tables:
        return pd.DataFrame(columns=list(REPEATED_COLUMNS))
    return with_display(
        pd.concat(tables, ignore_index=True), labels=touchpoint_words(study), level=level,
        caption="The same customer’s ratings, and those of different customers",
        columns=("table", "group", "part", "n", "n_customers", "estimate", "reading"),
        headers={"group": "Touchpoint"}, units={"estimate": "r"},
    )  # fmt: skip


def repeated_ratings(
    data: Any,
    score: str,
    outcome: str,
    *,
    customer: str,
    by: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """`repeated_table` of one frame with one row per rating, by group."""
    rows = _opened_rows(data, score, outcome, customer, by)
    parts = []
    for group, part in rows.groupby("group", sort=True, observed=True):
        sums = _customer_sums(part)
        labels = {"group": group, "part": PARTS, "occasion": "A"}
        fits = pd.DataFrame([_within(sums, level), _between(sums, level)])
        parts.append(pd.DataFrame(labels, index=range(2)).join(fits).assign(reading=_sign(fits)))
    return pd.concat(parts, ignore_index=True)


def _sign(fits: pd.DataFrame) -> str:
    clear = ((fits["ci_low"] > 0) | (fits["ci_high"] < 0)).all()
    return "the sign changes" if clear and fits["estimate"].prod() < 0 else ""


def _opened_rows(
    data: Any, score: str, outcome: str, customer: str, by: str | None
) -> pd.DataFrame:
    """The ratings as ``x, y, customer, group``, a row each."""
    numbers = {"score": score, "outcome": outcome}
    opened = open_frame(data, numbers=numbers, customer=customer, by=by)
    named = {"x": score, "y": outcome, "customer": customer, "group": by}
    chosen = {key: nw.col(name) for key, name in named.items() if name}
    rows = collect_rows(opened.lazy.select(**chosen), data)
    rows = rows if by else rows.assign(group="all")
    return rows.astype({"x": float, "y": float})


def _customer_sums(rows: pd.DataFrame) -> pd.DataFrame:
    """Per customer: pairs, means, and squares and products about them."""
    frame = rows.loc[rows["x"].notna() & rows["y"].notna(), ["customer", "x", "y"]].copy()
    for name in ("x", "y"):
        frame[f"mean_{name}"] = frame[name].groupby(frame["customer"]).transform("mean")
        frame[name] -= frame[f"mean_{name}"]
    products = {"xx": frame["x"] ** 2, "yy": frame["y"] ** 2, "xy": frame["x"] * frame["y"]}
    grouped = frame.assign(**products).groupby("customer", sort=True)
    sums = grouped[["xx", "yy", "xy"]].sum()
    sums[["mean_x", "mean_y"]] = grouped[["mean_x", "mean_y"]].first()
    return sums.assign(pairs=grouped.size())


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
    r = float(np.clip(xy / np.sqrt(xx * yy), -1, 1))
    at_none, uneven = _unevenness(several, xx * yy, r)
    # Fisher's interval with df + 2 in the place of n; t test on df
    se = uneven * float((1 - r**2) / np.sqrt(df - 1)) if df > 1 else float("nan")
    t = r * np.sqrt(df / max(1 - r**2, 1e-300)) / at_none
    tested = {"p_value": float(2 * stdtr(df / at_none**2, -abs(t))), "df": df}
    known = df / at_none**2 if at_none > 1 else np.inf
    return _row(n, customers, r, {**_interval(r, se, known, level), **tested})


def _unevenness(several: pd.DataFrame, whole: float, r: float) -> tuple[float, float]:
    """How much wider a correlation varies where some customers' ratings move and others' do not.

    Were each customer's pairs relabelled, their product would vary by s_xx·s_yy/(m − 1): the first, of
    the test that there is none. Where all vary alike these add up to the usual variance times
    1 + 2r²k/(N − k), of k customers, which is taken off the second, of the interval, less what chance
    may make of r². Neither is below 1, and a few customers differ by chance.
    """
    free, customers = several["pairs"] - 1, len(several)
    whole_df = float(free.sum())
    moved = float((several["xx"] * several["yy"] / free).sum()) * whole_df / whole
    if customers < FEW_CUSTOMERS and moved < MUCH_WIDER:
        return 1.0, 1.0
    surely = max(r**2 - BY_CHANCE * moved / whole_df, 0.0)
    alike = 1 + 2 * surely * customers / whole_df
    return float(np.sqrt(max(moved, 1.0))), float(np.sqrt(max(moved / alike, 1.0)))


def _between(sums: pd.DataFrame, level: float) -> dict[str, Any]:
    """Correlation of the customers' means, a row of the table."""
    n, customers = int(sums["pairs"].sum()), len(sums)
    fit = pearson(sums["mean_x"], sums["mean_y"])
    if customers < FEWEST_PAIRS or np.isnan(fit.estimate):
        reason = _few(customers) if customers < FEWEST_PAIRS else fit.note
        return _row(n, customers, note=reason)
    units, _ = units_of_rows(pd.DataFrame(index=range(customers)), Design())
    se = float(np.sqrt(covariance_of_totals(fit.influence[:, None] / customers, units)[0, 0]))
    share, unit = np.full(customers, 1 / customers), np.arange(customers)
    sides = (sums[name].to_numpy(float) for name in ("mean_x", "mean_y"))
    leverage = min(row_leverage(side, share, unit, customers) for side in sides)
    df = min(float(customers - 1), leverage)
    if df < 1:
        note = "no interval: it rests on one customer alone"
        return _row(n, customers, fit.estimate, note=note)
    few = f"it rests on few: {df:.1f} degrees of freedom".replace(".0 ", " ")
    note = few if df < FEW_DEGREES_OF_FREEDOM else ""
    return _row(n, customers, fit.estimate, _interval(fit.estimate, se, df, level), note)


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
