"""Is this data fit to use: who used what, straight-lining, repeated answers, weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, suppress_small_groups
from cxlab.core.frames import Opened, collect, group_sums, open_frame
from cxlab.core.metric import Metric
from cxlab.core.result import Result
from cxlab.stats.metrics.estimates import estimate_each

USAGE_COLUMNS = ("n", "estimate", "se", "ci_low", "ci_high", "users", "n_missing", "note")
#: Fewer answered items than this and alike answers say nothing about care.
MIN_ANSWERED = 5


def usage(
    answers: Any,
    touchpoints: Sequence[str],
    *,
    by: str | None = None,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Result:
    """Per cent of respondents who used each touchpoint, of everyone or per group.

    Parameters
    ----------
    answers
        As ``study.read()`` gives them, of any engine: each touchpoint ``x`` with ``x_missing`` beside it.
    touchpoints : sequence of str
    by : str, optional
        Column of the groups.
    labels : mapping of str to str, optional
        Column to words for the ``touchpoint`` column: ``study.labels``.
    design, level
        As for `cxlab.nps`.
    min_group_size : int
        Groups of fewer answers are hidden, and with them whatever would give them back.

    Returns
    -------
    Result
        ``n_missing`` per touchpoint (without ``by``), and the ``table``: one row per
        touchpoint × group with ``touchpoint``, ``group`` (with ``by``), ``n`` (who rated it or
        said "never used"; a blank tells neither), ``estimate``, ``se``, ``ci_low``, ``ci_high`` in
        per cent, ``users`` (answers), ``n_missing``, ``note`` and, with ``by``, ``suppressed``.
        Where nobody said "never used" the figures are null: it may not have been offered.

    Examples
    --------
    >>> answers = pd.DataFrame({"wifi": [4, None, None, 5],
    ...                         "wifi_missing": [None, "never used", "no answer", None]})
    >>> table = usage(answers, ["wifi"]).table
    >>> table[["touchpoint", "n", "estimate", "n_missing"]].round(1)
      touchpoint  n  estimate  n_missing
    0       wifi  3      66.7          1
    """
    columns = ["touchpoint", *(["group"] if by else []), *USAGE_COLUMNS]
    if not touchpoints:
        return Result(table=pd.DataFrame(columns=columns))
    needed = [*touchpoints, *(f"{name}_missing" for name in touchpoints)]
    opened, never = _use(open_frame(answers, design=design, touchpoints=needed, by=by), touchpoints)
    metrics = [Metric(name, "box", top=(1, 1)) for name in touchpoints]
    (table,) = estimate_each(opened, metrics, [by], level=level)
    table = table.rename(columns={"tops": "users", "column": "touchpoint"})
    # nobody said "never used": it was not offered, or everybody used it
    unknown = ~table["touchpoint"].map(never)
    table.loc[unknown, ["estimate", "se", "ci_low", "ci_high"]] = np.nan
    table.loc[unknown, "note"] = 'nobody said "never used": not offered, or used by all'
    table = table[columns]
    missing = table[["touchpoint", "n_missing"]].rename(columns={"touchpoint": "column"})
    if by:
        table = suppress_small_groups(
            table, within=["touchpoint"], min_group_size=min_group_size, segment=by
        )
    words = dict(labels or {})
    table["touchpoint"] = [words.get(name, name) for name in table["touchpoint"]]
    return Result(table=table) if by else Result(table=table, n_missing=missing)


def _use(opened: Opened, touchpoints: Sequence[str]) -> tuple[Opened, dict[str, bool]]:
    """Whether each touchpoint was used (1, 0, or not told) in place of its rating.

    Also whether anybody said "never used" of it.
    """
    one, nought = nw.lit(1.0), nw.lit(0.0)
    never = {
        name: (nw.col(f"{name}_missing") == "never used").fill_null(False) for name in touchpoints
    }
    sums = {name: nw.when(said).then(one).otherwise(nought).sum() for name, said in never.items()}
    counts = collect(opened.lazy.select(**sums)).iloc[0].fillna(0)
    used = {
        name: nw.when(~nw.col(name).is_null()).then(one).otherwise(nw.when(said).then(nought))
        for name, said in never.items()
    }
    known = replace(opened, lazy=opened.lazy.with_columns(**used))
    return known, {name: bool(counts[name] > 0) for name in touchpoints}


def straight_lining(
    answers: Any, items: Sequence[str], *, min_answered: int = MIN_ANSWERED
) -> pd.DataFrame:
    """Respondents who gave every item the same score.

    Parameters
    ----------
    answers
        Frame of any engine.
    items : sequence of str
        Rating columns of one battery.
    min_answered : int
        Respondents with fewer answered items are left out.

    Returns
    -------
    DataFrame
        One row per score that was given throughout, and one for all of them:
        ``score`` (text), ``n`` (respondents with enough answers), ``respondents``,
        ``share`` (of n, 0 to 1).

    Notes
    -----
    Alike answers may be true: someone who is wholly content gives the best score
    throughout. Look at scores that are not the best one before calling it careless.

    Examples
    --------
    >>> answers = pd.DataFrame({"a": [3, 5, 1], "b": [3, 4, None]})
    >>> straight_lining(answers, ["a", "b"], min_answered=2)
      score  n  respondents  share
    0     3  2            1    0.5
    1   any  2            1    0.5
    """
    opened = open_frame(answers, numbers={"items": items})
    counts = pd.DataFrame({"score": [], "n": []})
    if items:
        lowest, highest = nw.min_horizontal(*items), nw.max_horizontal(*items)
        rated = opened.lazy.filter(_answered(items) >= min_answered)
        alike = rated.select(score=nw.when(lowest == highest).then(lowest))
        counts = collect(alike.group_by("score").agg(n=nw.len())).sort_values("score")
    same = counts.dropna(subset="score").astype({"n": "int64"})
    n = int(counts["n"].sum())
    table = pd.DataFrame(
        {
            "score": [*(f"{score:g}" for score in same["score"]), "any"],
            "n": n,
            "respondents": [*same["n"], same["n"].sum()],
        }
    )
    table["share"] = table["respondents"] / n if n else np.nan
    return table


def repeated_answers(
    answers: Any, items: Sequence[str], *, min_answered: int = MIN_ANSWERED
) -> pd.DataFrame:
    """Sets of rows whose every rating is the same, scores and missing reasons alike.

    Parameters
    ----------
    answers
        Frame of any engine.
    items : sequence of str
        Rating columns, each with its ``_missing`` column.
    min_answered : int
        Rows with fewer answered items are left out, and so are rows with one score
        throughout: chance makes such rows alike.

    Returns
    -------
    DataFrame
        One row: ``n`` (rows looked at), ``sets`` (of alike rows), ``rows`` (in those sets),
        ``largest`` (rows in the largest).

    Examples
    --------
    >>> answers = pd.DataFrame({"a": [3, 3, 1], "b": [4, 4, 2]})
    >>> answers = answers.assign(a_missing=None, b_missing=None)
    >>> repeated_answers(answers, ["a", "b"], min_answered=2)
       n  sets  rows  largest
    0  3     1     2        2
    """
    reasons = [f"{name}_missing" for name in items]
    opened = open_frame(answers, numbers={"items": items}, reasons=reasons)
    sizes = pd.DataFrame({"rows": [], "sets": []}, dtype="int64")
    if items:
        varied = nw.min_horizontal(*items) < nw.max_horizontal(*items)
        looked = opened.lazy.filter(varied & (_answered(items) >= min_answered))
        sets = looked.group_by([*items, *reasons]).agg(rows=nw.len())
        sizes = collect(sets.group_by("rows").agg(sets=nw.len())).astype("int64")
    several = sizes[sizes["rows"] > 1]
    return pd.DataFrame(
        {
            "n": [int((sizes["rows"] * sizes["sets"]).sum())],
            "sets": [int(several["sets"].sum())],
            "rows": [int((several["rows"] * several["sets"]).sum())],
            "largest": [int(several["rows"].max()) if len(several) else 0],
        }
    )


def _answered(items: Sequence[str]) -> nw.Expr:
    """How many of the items were answered."""
    return nw.sum_horizontal(*(_one_if(~nw.col(name).is_null()) for name in items))


def _one_if(condition: nw.Expr) -> nw.Expr:
    return nw.when(condition).then(nw.lit(1)).otherwise(nw.lit(0))


def weight_summary(
    answers: Any,
    *,
    design: DesignLike = None,
) -> pd.DataFrame:
    """What the weights and clusters do to the sample, before any score is looked at.

    Parameters
    ----------
    answers
        Frame of any engine.
    design : Design or mapping, optional
        As for `cxlab.nps`.

    Returns
    -------
    DataFrame
        One row: ``n`` (rows of positive weight), ``smallest``, ``largest``, ``mean``
        weight, ``kish_deff`` (1 + squared coefficient of variation), ``n_eff`` (n over
        it), ``strata``, ``clusters``, ``largest_cluster`` (rows), ``without_cluster`` (rows).

    References
    ----------
    Kish (1965), Survey Sampling, section 11.2C.

    Examples
    --------
    >>> answers = pd.DataFrame({"weight": [1.0, 3.0]})
    >>> weight_summary(answers, design={"weights": "weight"})[["n", "kish_deff", "n_eff"]]
       n  kish_deff  n_eff
    0  2       1.25    1.6
    """
    opened = open_frame(answers, design=design)
    weights, strata, cluster = opened.design.weights, opened.design.strata, opened.design.cluster
    weight = nw.col(weights) if weights else nw.lit(1.0)
    keys = {"stratum": nw.col(strata) if strata else nw.lit(0)}
    keys |= {"cluster": nw.col(cluster)} if cluster else {}
    inside = opened.lazy.select(weight=weight, **keys).filter(nw.col("weight") > 0)
    w = nw.col("weight")
    sums = {"n": nw.len(), "low": w.min(), "high": w.max(), "w": w.sum(), "ww": (w * w).sum()}
    found = collect(group_sums(inside, list(keys), [sum_.alias(name) for name, sum_ in sums.items()],
                               [] if strata else ["stratum"]))  # fmt: skip
    n, total = int(found["n"].sum()), found["w"].sum()
    kish = n * found["ww"].sum() / total**2 if n else math.nan
    whole = found[found["cluster"].notna()] if cluster else found[:0]
    return pd.DataFrame(
        {
            "n": [n],
            "smallest": [found["low"].min()],
            "largest": [found["high"].max()],
            "mean": [total / n if n else math.nan],
            "kish_deff": [kish],
            "n_eff": [n / kish],
            "strata": [found["stratum"].nunique()],
            "clusters": [len(whole) if cluster else n],
            "largest_cluster": [int(whole["n"].max()) if len(whole) else 1],
            "without_cluster": [n - int(whole["n"].sum()) if cluster else 0],
        }
    )


class Completeness(NamedTuple):
    """How many touchpoints respondents rated.

    Attributes
    ----------
    n : int
        Respondents.
    complete : int
        Those who rated every touchpoint.
    median : float
        Touchpoints that the median respondent rated.
    """

    n: int
    complete: int
    median: float

    @property
    def share(self) -> float:
        """Share of respondents who rated every touchpoint, 0 to 1."""
        return self.complete / self.n if self.n else math.nan


def completeness(answers: Any, touchpoints: Sequence[str]) -> Completeness:
    """How many touchpoints respondents rated.

    Parameters
    ----------
    answers
        Frame of any engine.
    touchpoints : sequence of str

    Examples
    --------
    >>> answers = pd.DataFrame({"a": [3, 5, 1], "b": [3, None, None]})
    >>> completeness(answers, ["a", "b"])
    Completeness(n=3, complete=1, median=1.0)
    """
    opened = open_frame(answers, touchpoints=touchpoints)
    if not touchpoints:
        return Completeness(opened.n, opened.n, 0.0)
    lazy = opened.lazy.select(rated=_answered(touchpoints))
    found = collect(lazy.group_by("rated").agg(nw.len().alias("n"))).sort_values("rated")
    rows = found["n"].to_numpy(dtype="int64")
    below = np.searchsorted(rows.cumsum(), [(rows.sum() - 1) // 2, rows.sum() // 2], side="right")
    median = float(found["rated"].iloc[below].mean()) if rows.sum() else math.nan
    complete = int(rows[found["rated"] == len(touchpoints)].sum())
    return Completeness(int(rows.sum()), complete, median)
