"""Good overall scores that hide a bad touchpoint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, SMALL, hide_rows
from cxlab.core.frames import as_list, open_frame
from cxlab.core.metric import Metric
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.touchpoints.scores import observed_scale

ANY = "any touchpoint"

#: Columns of 0 and 1, one per touchpoint and, last, one for any of them.
KINDS = ("masked", "good", "bad", "worst")


def masking(
    data: Any,
    overall: str,
    touchpoints: str | Sequence[str],
    *,
    low: float = 6,
    high: float = 9,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """Share of customers with a bad touchpoint behind a good overall score.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    overall : str
        Column of the overall score.
    touchpoints : str or sequence of str
        Rating columns; null or NaN: not rated.
    low : float
        A touchpoint rated this or less is bad; 6 of 10 by default. On a scale of 1 to 5
        give 2.
    high : float
        An overall score of this or more is good; 9 of 10 by default. On a scale of 1 to 5
        give 5.
    design : Design or mapping, optional
        The survey design.
    level : float
    min_group_size : int
        Touchpoints that fewer customers than this have rated are hidden; so are the share among
        those with a good overall score and their number, where these or all others are fewer,
        and ``worst`` where fewer rated two or more.

    Returns
    -------
    DataFrame
        First row "any touchpoint", then one per touchpoint, the most masked first:
        ``touchpoint``; ``n`` (customers who rated it, or at least one, and gave an overall
        score); ``estimate, se, ci_low, ci_high``: per cent of them with a bad touchpoint
        and a good overall score; ``bad`` (per cent of them with the bad touchpoint),
        ``among_good``, ``among_good_low``, ``among_good_high`` (per cent with the bad
        touchpoint among those with a good overall score), ``n_good``; ``worst`` (per cent
        for whom it is the lowest of two or more ratings, or level with the lowest);
        ``mean``; ``note``.

    Raises
    ------
    ValueError
        For unknown columns, or limits off the scores that occur.
    TypeError
        For text scores.

    Notes
    -----
    The row for any touchpoint grows with the number of touchpoints that a customer rates.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [10, 9, 4, 9], "shops": [3, 9, 2, 8],
    ...                         "wifi": [9, None, 5, 7]})
    >>> table = masking(answers, "overall", ["shops", "wifi"], min_group_size=1)
    >>> table[["touchpoint", "n", "estimate"]].values
    array([['any touchpoint', 4, 25.0],
           ['shops', 4, 25.0],
           ['wifi', 3, 0.0]], dtype=object)
    """
    names = as_list(touchpoints)
    numbers = {"overall": overall, "touchpoints": names}
    opened = open_frame(data, numbers=numbers, design=design)
    _check_limits(opened.lazy, overall, names, low, high)
    prepared = replace(opened, lazy=_prepared(opened.lazy, overall, names, low, high))
    metrics = [
        Metric(f"{kind}_{i}", "box", top=(1, 1)) for kind in KINDS for i in range(len(names) + 1)
    ]
    metrics += [Metric(name, "mean") for name in names]
    found = estimate_each(prepared, metrics, groupings=[None], level=level)[0]
    return _without_few(_table(found, names, low, high), min_group_size)


def _check_limits(
    lazy: nw.LazyFrame, overall: str, names: list[str], low: float, high: float
) -> None:
    for argument, limit, columns in (("low", low, names), ("high", high, [overall])):
        ends = observed_scale(lazy, columns)
        if not ends[0] <= limit <= ends[1]:
            raise ValueError(
                f"`{argument}` must lie on the scale; got {limit:g}, and the scores run from "
                f"{ends[0]:g} to {ends[1]:g}. The defaults are for scales of 0 to 10; for 1 to 5 "
                "write low=2, high=5."
            )


def _prepared(
    lazy: nw.LazyFrame, overall: str, names: list[str], low: float, high: float
) -> nw.LazyFrame:
    """0/1 columns per touchpoint and, last, for any of them; null outside the domain."""
    values = [nw.col(name) for name in names]
    lazy = lazy.with_columns(
        lowest=nw.min_horizontal(*values),
        rated=nw.sum_horizontal(*(_flag(~value.is_null()) for value in values)),
    )
    score = nw.col(overall)
    columns: dict[str, nw.Expr] = {}
    for i, value in enumerate([*values, nw.col("lowest")]):
        inside = (~value.is_null()) & (~score.is_null())
        good = inside & (score >= high)
        columns[f"masked_{i}"] = nw.when(inside).then(_flag((value <= low) & (score >= high)))
        columns[f"bad_{i}"] = nw.when(inside).then(_flag(value <= low))
        columns[f"good_{i}"] = nw.when(good).then(_flag(value <= low))
        several = (~value.is_null()) & (nw.col("rated") > 1)
        columns[f"worst_{i}"] = nw.when(several).then(_flag(value <= nw.col("lowest")))
    return lazy.with_columns(**columns)


def _flag(hit: nw.Expr) -> nw.Expr:
    return nw.when(hit).then(nw.lit(1.0)).otherwise(nw.lit(0.0))


def _table(found: pd.DataFrame, names: list[str], low: float, high: float) -> pd.DataFrame:
    size = len(names) + 1
    parts = {
        kind: found.iloc[number * size : (number + 1) * size].reset_index(drop=True)
        for number, kind in enumerate(KINDS)
    }
    masked, good = parts["masked"], parts["good"]
    table = pd.DataFrame({"touchpoint": [*names, ANY]})
    shown = ["n", "estimate", "se", "ci_low", "ci_high"]
    table[shown] = masked[shown]
    table["bad"] = parts["bad"]["estimate"]
    table["among_good"], table["n_good"] = good["estimate"], good["n"].astype("Int64")
    table["among_good_low"], table["among_good_high"] = good["ci_low"], good["ci_high"]
    table["worst"] = parts["worst"]["estimate"].where(table["touchpoint"] != ANY)
    table["several"] = parts["worst"]["n"]
    table["mean"] = [*found["estimate"].iloc[len(KINDS) * size :], np.nan]
    table["low"], table["high"] = low, high
    table["note"] = [_note(*row) for row in zip(table["n"], good["n"], masked["note"], strict=True)]
    order = [size - 1, *table.index[:-1][np.argsort(-table["estimate"][:-1], kind="stable")]]
    return table.loc[order].reset_index(drop=True)


def _without_few(table: pd.DataFrame, min_group_size: int) -> pd.DataFrame:
    """The table without figures of few customers, or of few with a good overall score."""
    others = table["n"] - table["n_good"]
    few, few_good, few_others, few_several = (
        size.between(1, min_group_size - 1)
        for size in (table["n"], table["n_good"], others, table["several"])
    )
    # estimate and n would give the share of few back as soon as n_good is known
    for name in ("among_good", "among_good_low", "among_good_high", "n_good"):
        table[name] = table[name].mask(few_good | few_others)
    table["worst"] = table["worst"].mask(few_several)
    shown = hide_rows(table, few.map({True: SMALL, False: ""}), min_group_size)
    return shown.drop(columns=["suppressed", "several"])


def _note(n: int, n_good: int, design_note: str) -> str:
    if n == 0:
        return "nobody rated both"
    nobody = "nobody gave a good overall score" if n_good == 0 else ""
    return "; ".join(part for part in (nobody, design_note) if part)
