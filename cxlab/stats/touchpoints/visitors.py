"""Those who were at a touchpoint against those who were not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, SMALL, hide_rows
from cxlab.core.frames import Opened, as_list
from cxlab.core.metric import Metric
from cxlab.stats.inference import adjust_p_values, check_level
from cxlab.stats.metrics.contrasts import contrasts_of_groups
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.touchpoints.scores import open_answers

NEVER = "never used"
USED = "used"


def visitors(
    data: Any,
    outcome: str,
    touchpoints: str | Sequence[str],
    *,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
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
    design : Design or mapping, optional
        The survey design.
    level : float
    min_group_size : int
        Touchpoints with fewer users, or fewer who never used them, than this are hidden.

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
    `cxlab.compare_groups` of the outcome's mean: under a design the difference is linearised
    as one statistic, because users and others share clusters.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 2, 3], "shops": [4, 5, None, None],
    ...                         "shops_missing": [None, None, "never used", "never used"]})
    >>> table = visitors(answers, "overall", "shops", min_group_size=1)
    >>> table[["n", "n_never", "estimate"]].values.tolist()
    [[2, 2, 2.0]]
    """
    check_level(level)
    names, mean = as_list(touchpoints), Metric(outcome, "mean")
    opened = open_answers(data, {"outcome": [outcome], "touchpoints": names}, design)
    recorded = [name for name in names if f"{name}_missing" in opened.columns["reasons"]]
    sides = {f"side_{i}": _side(outcome, name) for i, name in enumerate(recorded)}
    lazy = opened.lazy.with_columns(**sides) if sides else opened.lazy
    # the sides are no columns of the data
    opened = replace(opened, data=lazy, lazy=lazy)
    means = estimate_each(opened, [mean], groupings=[*sides], level=level)
    rows = []
    for name in names:
        if name not in recorded:
            note = f"use is not recorded: there is no column '{name}_missing'"
            rows.append(_row(name, {}, note))
            continue
        number = recorded.index(name)
        known = _known(means[number])
        rows.append(_compared(name, opened, mean, f"side_{number}", known, level))
    table = pd.DataFrame(rows)
    adjusted = adjust_p_values(table["p_value"].to_numpy(float))
    table.insert(table.columns.get_loc("p_value") + 1, "p_adjusted", adjusted)
    few = table[["n", "n_never"]].apply(lambda sizes: sizes.between(1, min_group_size - 1))
    reason = few.any(axis=1).map({True: SMALL, False: ""})
    return hide_rows(table, reason, min_group_size).drop(columns="suppressed")


def _side(outcome: str, name: str) -> nw.Expr:
    """Whether a customer with an outcome used it or never did; null for all others."""
    rated = ~nw.col(name).is_null()
    never = ~rated & (nw.col(f"{name}_missing").cast(nw.String) == NEVER)
    word = nw.when(rated).then(nw.lit(USED)).otherwise(nw.when(never).then(nw.lit(NEVER)))
    return nw.when(~nw.col(outcome).is_null()).then(word)


def _known(means: pd.DataFrame) -> dict[str, float]:
    """Customers and mean outcome of both sides."""
    by_side = means.set_index("group").reindex([USED, NEVER])
    n, mean = by_side["n"].fillna(0).astype(int), by_side["estimate"]
    sizes = {"n": n[USED], "n_never": n[NEVER]}
    return {**sizes, "mean": mean[USED], "mean_never": mean[NEVER]}


def _compared(
    name: str, opened: Opened, mean: Metric, side: str, known: dict[str, float], level: float
) -> dict[str, Any]:
    if min(known["n"], known["n_never"]) < 1:
        note = "nobody used it" if known["n"] == 0 else "everybody who answered used it"
        return _row(name, {key: known[key] for key in ("n", "n_never")}, note)
    found = contrasts_of_groups(
        opened, [mean], by=side, against=NEVER, level=level, min_group_size=1
    ).iloc[0]
    shown = ["estimate", "se", "ci_low", "ci_high", "p_value", "df"]
    return _row(name, {**known, **found[shown]}, found["note"])


def _row(name: str, values: dict[str, Any], note: str) -> dict[str, Any]:
    numbers = ("estimate", "se", "ci_low", "ci_high", "p_value", "mean", "mean_never", "df")
    blank = {"n": 0, "n_never": 0, **dict.fromkeys(numbers, float("nan"))}
    return {"touchpoint": name, **blank, **values, "note": note}
