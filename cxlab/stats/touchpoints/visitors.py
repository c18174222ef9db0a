"""Those who were at a touchpoint against those who were not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import narwhals as nw
import pandas as pd

from cxlab.core.design import Design, DesignLike, as_design
from cxlab.core.frames import (
    as_list,
    check_columns,
    check_numeric,
    collect,
    column_names,
    scan,
)
from cxlab.core.metric import Metric
from cxlab.stats.inference import adjust_p_values, check_level
from cxlab.stats.metrics import compare_groups

NEVER = "never used"
USED = "used"


def visitors(
    data: Any,
    outcome: str,
    touchpoints: str | Sequence[str],
    *,
    design: DesignLike = None,
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
    design : Design or mapping, optional
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
    `cxlab.compare_groups` of the outcome's mean: under a design the difference is linearised
    as one statistic, because users and others share clusters.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [5, 4, 2, 3], "shops": [4, 5, None, None],
    ...                         "shops_missing": [None, None, "never used", "never used"]})
    >>> visitors(answers, "overall", "shops")[["n", "n_never", "estimate"]].values.tolist()
    [[2.0, 2.0, 2.0]]
    """
    check_level(level)
    names = as_list(touchpoints)
    design = as_design(design)
    check_columns(data, {"outcome": outcome, "touchpoints": names, **design.columns()})
    present = set(column_names(data))
    recorded = [name for name in names if f"{name}_missing" in present]
    used = [name for name in design.columns().values() if name]
    columns = [outcome, *names, *(f"{name}_missing" for name in recorded), *used]
    lazy = scan(data, columns)
    check_numeric(lazy, {"outcome": outcome})
    sides = {f"side_{i}": _side(outcome, name) for i, name in enumerate(recorded)}
    prepared = lazy.select(outcome, *dict.fromkeys(used), **sides)
    frame = collect(prepared) if isinstance(data, pd.DataFrame) else prepared.to_native()
    counted = _counted(frame, outcome, list(sides), design.weights)
    rows = []
    for name in names:
        if name not in recorded:
            note = f"use is not recorded: there is no column '{name}_missing'"
            rows.append(_row(name, {}, note))
            continue
        side = f"side_{recorded.index(name)}"
        rows.append(_compared(name, frame, outcome, side, counted[side], design, level))
    table = pd.DataFrame(rows)
    table.insert(
        table.columns.get_loc("p_value") + 1,
        "p_adjusted",
        adjust_p_values(table["p_value"].to_numpy(float)),
    )
    return table


def _side(outcome: str, name: str) -> nw.Expr:
    """Whether a customer with an outcome used it or never did; null for all others."""
    rated = ~nw.col(name).is_null()
    never = ~rated & (nw.col(f"{name}_missing").cast(nw.String) == NEVER)
    word = nw.when(rated).then(nw.lit(USED)).otherwise(nw.when(never).then(nw.lit(NEVER)))
    return nw.when(~nw.col(outcome).is_null()).then(word)


def _counted(
    frame: Any, outcome: str, sides: Sequence[str], weights: str | None
) -> dict[str, dict[str, float]]:
    """Customers and weighted mean outcome of both sides of every touchpoint."""
    lazy = scan(frame, [outcome, *sides, *([weights] if weights else [])])
    weight = nw.col(weights).cast(nw.Float64) if weights else nw.lit(1.0)
    score, sums = nw.col(outcome).cast(nw.Float64), []
    for side in sides:
        for word in (USED, NEVER):
            inside = (nw.col(side) == word) & (weight > 0)
            for term, value in (("n", nw.lit(1.0)), ("w", weight), ("y", score * weight)):
                held = nw.when(inside).then(value).otherwise(nw.lit(0.0))
                sums.append(held.sum().alias(f"{side}|{word}|{term}"))
    if not sums:
        return {}
    found = collect(lazy.select(*sums)).iloc[0].fillna(0).astype(float)
    ends = (("", USED), ("_never", NEVER))
    counted: dict[str, dict[str, float]] = {}
    for side in sides:
        counted[side] = {f"n{end}": int(found[f"{side}|{word}|n"]) for end, word in ends}
        for end, word in ends:
            mass = found[f"{side}|{word}|w"]
            counted[side][f"mean{end}"] = (
                found[f"{side}|{word}|y"] / mass if mass > 0 else float("nan")
            )
    return counted


def _compared(
    name: str,
    frame: Any,
    outcome: str,
    side: str,
    known: dict[str, float],
    design: Design,
    level: float,
) -> dict[str, Any]:
    if min(known["n"], known["n_never"]) < 1:
        note = "nobody used it" if known["n"] == 0 else "everybody who answered used it"
        return _row(name, {"n": known["n"], "n_never": known["n_never"]}, note)
    found = compare_groups(
        frame,
        Metric(outcome, "mean"),
        by=side,
        against=NEVER,
        design=design,
        level=level,
        min_group_size=1,
    ).iloc[0]
    shown = ["estimate", "se", "ci_low", "ci_high", "p_value", "df"]
    return _row(name, {**known, **found[shown]}, found["note"])


def _row(name: str, values: dict[str, Any], note: str) -> dict[str, Any]:
    numbers = ("estimate", "se", "ci_low", "ci_high", "p_value", "mean", "mean_never", "df")
    blank = {"n": 0, "n_never": 0, **dict.fromkeys(numbers, float("nan"))}
    return {"touchpoint": name, **blank, **values, "note": note}
