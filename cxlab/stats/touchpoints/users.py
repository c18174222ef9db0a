"""Users of touchpoints: counted, against those who never used one, and what good scores mask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import answered_by_few, hide_rows
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE, SMALL
from cxlab.core.display import with_display
from cxlab.core.frames import Opened, as_list, collect, column_names, open_frame, scan
from cxlab.core.metric import Metric
from cxlab.core.totals import Totals
from cxlab.stats.inference import adjust_p_values, check_level
from cxlab.stats.metrics.contrasts import contrasts_of_groups
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.metrics.values import metric_totals

#: Reasons that mean the customer was not at the touchpoint, or was not asked.
NOT_USED = ("never used", "not asked")
NEVER = "never used"
USED = "used"

ANY = "any touchpoint"

#: Columns of 0 and 1, one per touchpoint and, last, one for any of them.
KINDS = ("masked", "good", "bad", "worst")


def visitors(
    data: Any,
    outcome: str,
    touchpoints: str | Sequence[str],
    *,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
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
    labels : mapping of str to str, optional
        Column to the words that readers know.

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
    opened = opened.with_columns(sides)
    summed = dict(zip(recorded, metric_totals(opened, [mean], [*sides]), strict=True))
    rows = []
    for name in names:
        if name not in recorded:
            note = f"use is not recorded: there is no column '{name}_missing'"
            rows.append(_row(name, {}, note))
            continue
        side = f"side_{recorded.index(name)}"
        rows.append(_compared(name, opened, mean, side, summed[name], level))
    table = pd.DataFrame(rows)
    adjusted = adjust_p_values(table["p_value"].to_numpy(float))
    table.insert(table.columns.get_loc("p_value") + 1, "p_adjusted", adjusted)
    reason = _few_on_a_side(opened, table, recorded, min_group_size).map({True: SMALL, False: ""})
    shown = hide_rows(table, reason, min_group_size).drop(columns="suppressed")
    return with_display(
        shown, labels=labels or {}, level=level, units={"estimate": "+score"},
        caption="Mean outcome of users less that of those who never used it",
        columns=("touchpoint", "n", "n_never", "mean", "mean_never", "estimate", "p_adjusted"),
        sort=("-estimate",),
    )  # fmt: skip


def _few_on_a_side(
    opened: Opened, table: pd.DataFrame, recorded: list[str], min_group_size: int
) -> pd.Series:
    """Whether few customers used a touchpoint, or few never did."""
    few = table[["n", "n_never"]].apply(lambda n: n.between(1, min_group_size - 1)).any(axis=1)
    if opened.most_rows == 1:
        return few
    there = table.index[table["touchpoint"].isin(recorded)]
    for n, word in (("n", USED), ("n_never", NEVER)):
        sides = {f"{n}_{i}": nw.col(f"side_{i}") == word for i in range(len(there))}
        own = {name: nw.when(inside).then(nw.lit(1.0)) for name, inside in sides.items()}
        with_sides = opened.with_columns(own)
        few[there] |= answered_by_few(with_sides, list(own), table.loc[there, n], min_group_size)
    return few


def _side(outcome: str, name: str) -> nw.Expr:
    """Whether a customer with an outcome used it or never did; null for all others."""
    rated = ~nw.col(name).is_null()
    never = ~rated & (nw.col(f"{name}_missing").cast(nw.String) == NEVER)
    word = nw.when(rated).then(nw.lit(USED)).otherwise(nw.when(never).then(nw.lit(NEVER)))
    return nw.when(~nw.col(outcome).is_null()).then(word)


def _known(totals: Totals, origins: np.ndarray, side: str) -> dict[str, Any]:
    """Customers and mean outcome of both sides."""
    code, groups = totals.cells["group_code"], len(totals.groups)
    n, weight, total = (
        np.bincount(code, totals.values[kind][:, 0], groups) for kind in ("n", "w", "wy")
    )
    facts = pd.DataFrame({"n": n.astype(int), "mean": total / weight + origins[0]})
    both = facts.set_axis(totals.groups[side]).reindex([USED, NEVER])
    sizes = both["n"].fillna(0).astype(int).set_axis(["n", "n_never"])
    return {**sizes, **both["mean"].set_axis(["mean", "mean_never"])}


def _compared(
    name: str, opened: Opened, mean: Metric, side: str, summed: tuple[Totals, np.ndarray],
    level: float,
) -> dict[str, Any]:  # fmt: skip
    known = _known(*summed, side)
    if min(known["n"], known["n_never"]) < 1:
        note = "nobody used it" if known["n"] == 0 else "everybody who answered used it"
        return _row(name, {key: known[key] for key in ("n", "n_never")}, note)
    found = contrasts_of_groups(
        opened, [mean], by=side, against=NEVER, level=level, min_group_size=1, summed=summed
    ).iloc[0]
    shown = ["estimate", "se", "ci_low", "ci_high", "p_value", "df"]
    return _row(name, {**known, **found[shown]}, found["note"])


def _row(name: str, values: dict[str, Any], note: str) -> dict[str, Any]:
    numbers = ("estimate", "se", "ci_low", "ci_high", "p_value", "mean", "mean_never", "df")
    blank = {"n": 0, "n_never": 0, **dict.fromkeys(numbers, float("nan"))}
    return {"touchpoint": name, **blank, **values, "note": note}


def masking(
    data: Any,
    overall: str,
    touchpoints: str | Sequence[str],
    *,
    low: float | None = None,
    high: float | None = None,
    cuts: Mapping[str, tuple[float, float]] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
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
    low : float, optional
        A touchpoint rated this or less is bad; default by ``cuts``, else 6.
    high : float, optional
        An overall score of this or more is good; default by ``cuts``, else 9.
    cuts : mapping of str to (float, float), optional
        Column to its highest bad and lowest good rating, such as ``study.cuts``; those of the
        first touchpoint and of the overall score count.
    design : Design or mapping, optional
        The survey design.
    level : float
    min_group_size : int
        Touchpoints that fewer customers than this have rated are hidden; so are the share among
        those with a good overall score and their number, where these or all others are fewer,
        and ``worst`` where fewer rated two or more.
    labels : mapping of str to str, optional
        Column to the words that readers know.

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
        ``mean``; ``rated`` (first row: touchpoints that those with a good overall score
        rated, on average); ``low``, ``high``; ``note``.

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
    names, known = as_list(touchpoints), cuts or {}
    low = known.get(names[0], (6, 9))[0] if low is None else low
    high = known.get(overall, (6, 9))[1] if high is None else high
    numbers = {"overall": overall, "touchpoints": names}
    opened = open_frame(data, numbers=numbers, design=design)
    _check_limits(opened.lazy, overall, names, low, high)
    prepared = replace(opened, lazy=_prepared(opened.lazy, overall, names, low, high))
    metrics = [
        Metric(f"{kind}_{i}", "box", top=(1, 1)) for kind in KINDS for i in range(len(names) + 1)
    ]
    metrics += [Metric(name, "mean") for name in [*names, "rated_good"]]
    found = estimate_each(prepared, metrics, groupings=[None], level=level)[0]
    shown = _without_few(_masked_table(found, names, low, high), prepared, names, min_group_size)
    return with_display(
        shown, labels=labels or {}, level=level,
        headers={"estimate": "Bad, and good overall", "bad": "Bad", "worst": "Lowest of several"},
        units={"estimate": "%", "among_good": "%", "bad": "%", "worst": "%"},
        caption=f"Bad ({low:g} or less) behind a good overall score ({high:g} or more)",
        columns=("touchpoint", "n", "estimate", "bad", "among_good", "n_good", "worst", "mean"),
    )  # fmt: skip


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
        columns[f"other_{i}"] = nw.when(inside & ~good).then(nw.lit(1.0))
        several = (~value.is_null()) & (nw.col("rated") > 1)
        columns[f"worst_{i}"] = nw.when(several).then(_flag(value <= nw.col("lowest")))
    columns["rated_good"] = nw.when(good).then(nw.col("rated"))  # of any touchpoint, the last
    return lazy.with_columns(**columns)


def _flag(hit: nw.Expr) -> nw.Expr:
    return nw.when(hit).then(nw.lit(1.0)).otherwise(nw.lit(0.0))


def _masked_table(found: pd.DataFrame, names: list[str], low: float, high: float) -> pd.DataFrame:
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
    means = found["estimate"].iloc[len(KINDS) * size :]
    table["mean"] = [*means[:-1], np.nan]
    table["rated"] = [*[np.nan] * len(names), means.iloc[-1]]
    table["low"], table["high"] = low, high
    table["note"] = [
        _masked_note(*row) for row in zip(table["n"], good["n"], masked["note"], strict=True)
    ]
    order = [size - 1, *table.index[:-1][np.argsort(-table["estimate"][:-1], kind="stable")]]
    return table.loc[order].reset_index(drop=True)


def _without_few(
    table: pd.DataFrame, prepared: Opened, names: list[str], min_group_size: int
) -> pd.DataFrame:
    """The table without figures of few customers, or of few with a good overall score."""
    others = table["n"] - table["n_good"]
    numbers = [(*names, ANY).index(name) for name in table["touchpoint"]]
    sizes = {"masked": table["n"], "good": table["n_good"], "other": others,
             "worst": table["several"]}  # fmt: skip
    few, few_good, few_others, few_several = (
        pd.Series(
            answered_by_few(prepared, [f"{kind}_{i}" for i in numbers], size, min_group_size),
            table.index,
        )
        for kind, size in sizes.items()
    )
    # estimate and n would give the share of few back as soon as n_good is known
    for name in ("among_good", "among_good_low", "among_good_high", "n_good", "rated"):
        table[name] = table[name].mask(few_good | few_others)
    table["worst"] = table["worst"].mask(few_several)
    shown = hide_rows(table, few.map({True: SMALL, False: ""}), min_group_size)
    return shown.drop(columns=["suppressed", "several"])


def _masked_note(n: int, n_good: int, design_note: str) -> str:
    if n == 0:
        return "nobody rated both"
    nobody = "nobody gave a good overall score" if n_good == 0 else ""
    return "; ".join(part for part in (nobody, design_note) if part)


def open_answers(data: Any, numbers: dict[str, list[str]], design: DesignLike) -> Opened:
    """Ratings with the reasons beside them: see `cxlab.core.frames.open_frame`."""
    names = [f"{name}_missing" for part in numbers.values() for name in part]
    present = set(column_names(data))
    reasons = [name for name in names if name in present]
    return open_frame(data, numbers=numbers, design=design, reasons=reasons)


def observed_scale(data: Any, columns: Sequence[str]) -> tuple[float, float]:
    """Lowest and highest value of any of the columns; (0, 1) if there is none."""
    values = [nw.col(name).cast(nw.Float64) for name in columns]
    ends = [value.min().alias(f"low_{i}") for i, value in enumerate(values)]
    ends += [value.max().alias(f"high_{i}") for i, value in enumerate(values)]
    found = collect(scan(data, columns).select(*ends)).iloc[0].astype(float).dropna()
    return (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)


def count_use(opened: Opened, touchpoints: Sequence[str]) -> pd.DataFrame:
    """Rows of positive weight that used (``n_used``) and that rated (``n_rated``) each touchpoint."""
    present = opened.columns["reasons"]
    weight = nw.col(opened.design.weights) if opened.design.weights else nw.lit(1.0)
    sums, recorded = [], [f"{name}_missing" in present for name in touchpoints]
    for i, name in enumerate(touchpoints):
        rated = ~nw.col(name).is_null() & (weight > 0)
        used = rated
        if recorded[i]:
            reason = nw.col(f"{name}_missing").cast(nw.String)
            absent = reason.is_null() | reason.is_in(NOT_USED)
            used = rated | (~absent & (weight > 0))
        sums += [_count(used).alias(f"used_{i}"), _count(rated).alias(f"rated_{i}")]
    found = collect(opened.lazy.select(*sums)).iloc[0].fillna(0).astype(int)
    size = range(len(touchpoints))
    counts = {kind: [found[f"{kind}_{i}"] for i in size] for kind in ("used", "rated")}
    return pd.DataFrame({"n_used": counts["used"], "n_rated": counts["rated"]}, index=touchpoints)


def _count(condition: nw.Expr) -> nw.Expr:
    # PostgreSQL makes no longer number of a condition
    return condition.cast(nw.Int32).sum()
