"""Those who were at a touchpoint against those who were not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from scipy.special import stdtr

from cxlab.stats.frames import as_list, check_columns, column_names
from cxlab.stats.inference import (
    adjust_p_values,
    check_level,
    design_degrees_of_freedom,
    design_variance,
    t_quantile,
)
from cxlab.stats.totals import Design, Totals, survey_totals

NEVER = "never used"


def visitors(
    data: Any,
    outcome: str,
    touchpoints: str | Sequence[str],
    *,
    weights: str | None = None,
    strata: str | None = None,
    cluster: str | None = None,
    stratum_clusters: str | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Mean outcome of a touchpoint's users against that of customers who never used it.

    A check of selection: where they differ, a correlation among users describes other
    people than the whole customer base.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    outcome : str
        Column of numbers.
    touchpoints : str or sequence of str
        Rating columns, each with a text column ``x_missing`` beside it that says
        "never used" where that is why the rating is missing.
    weights, strata, cluster, stratum_clusters : str, optional
        The survey design.
    level : float

    Returns
    -------
    DataFrame
        One row per touchpoint: ``touchpoint``; ``n`` (users with an outcome: those who
        rated it), ``n_never`` (never used it); ``estimate, se, ci_low, ci_high``: mean
        outcome of users less that of the others; ``p_value, p_adjusted``
        (Benjamini–Hochberg over touchpoints); ``mean``, ``mean_never``; ``df``; ``note``.

    Raises
    ------
    ValueError
        For unknown columns.
    TypeError
        For a text outcome.

    Notes
    -----
    The difference is linearised as one statistic: users and others share clusters.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 2, 3], "shops": [4, 5, None, None],
    ...                         "shops_missing": [None, None, "never used", "never used"]})
    >>> visitors(answers, "overall", "shops")[["n", "n_never", "estimate"]].values.tolist()
    [[2.0, 2.0, 2.0]]
    """
    check_level(level)
    names = as_list(touchpoints)
    design = Design(weights, strata, cluster, stratum_clusters)
    check_columns(data, {"outcome": outcome, "touchpoints": names, **design.columns()})
    present = set(column_names(data))
    recorded = [name for name in names if f"{name}_missing" in present]
    columns = [outcome, *names, *(f"{name}_missing" for name in recorded)]
    scores: dict[str, nw.Expr] = {}
    for name in recorded:
        scores |= _sides(outcome, name)
    totals = survey_totals(data, scores, columns=columns, design=design) if scores else None
    rows = [
        _difference(totals, name, level) if totals and name in recorded else _unrecorded(name)
        for name in names
    ]
    table = pd.DataFrame(rows)
    table.insert(
        table.columns.get_loc("p_value") + 1,
        "p_adjusted",
        adjust_p_values(table["p_value"].to_numpy(float)),
    )
    return table


def _sides(outcome: str, name: str) -> dict[str, nw.Expr]:
    """The outcome of users and of those who never used it; null for all others."""
    reason = nw.col(f"{name}_missing").cast(nw.String)
    value = nw.col(outcome)
    return {
        f"{name}|used": nw.when(~nw.col(name).is_null()).then(value),
        f"{name}|never": nw.when(nw.col(name).is_null() & (reason == NEVER)).then(value),
    }


def _difference(totals: Totals, name: str, level: float) -> dict[str, Any]:
    used, never = totals.sums(f"{name}|used"), totals.sums(f"{name}|never")
    n, n_never = int(used["n"].sum()), int(never["n"].sum())
    if min(n, n_never) < 1:
        reason = "nobody used it" if n == 0 else "everybody who answered used it"
        return _blank(name, n, n_never, reason)
    means = [float(side["wy"].sum() / side["w"].sum()) for side in (used, never)]
    estimate = means[0] - means[1]
    linear = _linear(used, means[0], 1.0), _linear(never, means[1], -1.0)
    variance = design_variance(_together(*linear), totals.clusters, domains=1).variance[0]
    held = used["n"] + never["n"]
    df = float(_degrees_of_freedom(used, held))
    se = float(np.sqrt(variance)) if df >= 1 else float("nan")
    half = float(t_quantile(level, df)) * se
    p_value = 2 * stdtr(df, -abs(estimate) / se) if df >= 1 and se > 0 else float("nan")
    row = _blank(name, n, n_never, _note(df, se))
    row |= {"estimate": estimate, "se": se, "ci_low": estimate - half, "ci_high": estimate + half}
    return row | {"p_value": float(p_value), "mean": means[0], "mean_never": means[1], "df": df}


def _linear(side: pd.DataFrame, mean: float, sign: float) -> pd.DataFrame:
    """Linearised totals of a mean, per stratum and cluster (or lone rows)."""
    mass = side["w"].sum()
    return pd.DataFrame(
        {
            "stratum": side["stratum"],
            "cluster": side["cluster"],
            "total": sign * (side["wy"] - mean * side["w"]) / mass,
            "lone": (side["wwyy"] - 2 * mean * side["wwy"] + mean**2 * side["ww"]) / mass**2,
        }
    )


def _together(used: pd.DataFrame, never: pd.DataFrame) -> pd.DataFrame:
    # both sides hold the same strata and clusters in the same order
    total = used["total"] + never["total"]
    lone = used["cluster"].isna()
    squares = np.where(lone, used["lone"] + never["lone"], total**2)
    return pd.DataFrame(
        {"domain": 0, "stratum": used["stratum"], "total": total, "squares": squares}
    )


def _degrees_of_freedom(side: pd.DataFrame, held: pd.Series) -> float:
    valid = held > 0
    clusters = np.where(side["cluster"].isna(), held, 1.0)[valid].sum()
    return float(design_degrees_of_freedom(clusters, side.loc[valid, "stratum"].nunique()))


def _note(df: float, se: float) -> str:
    if df < 1:
        return "no interval: too few clusters"
    return "everyone on a side gave the same outcome" if se == 0 else ""


def _unrecorded(name: str) -> dict[str, Any]:
    return _blank(name, 0, 0, f"use is not recorded: there is no column '{name}_missing'")


def _blank(name: str, n: int, n_never: int, note: str) -> dict[str, Any]:
    numbers = ("estimate", "se", "ci_low", "ci_high", "p_value", "mean", "mean_never", "df")
    nothing = dict.fromkeys(numbers, float("nan"))
    return {"touchpoint": name, "n": n, "n_never": n_never, **nothing, "note": note}
