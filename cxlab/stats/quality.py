"""Is this data fit to use: who used what, straight-lining, repeated answers, weights."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.engines import row_count
from cxlab.core.frames import (
    collect,
    column_names,
    open_frame,
)
from cxlab.survey.scales import REASONS

#: Fewer answered items than this and alike answers say nothing about care.
MIN_ANSWERED = 5


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
    columns = ["score", "n", "respondents", "share"]
    if not items:
        return pd.DataFrame([["any", 0, 0, np.nan]], columns=columns)
    enough = _ratings(open_frame(answers, numbers={"items": items}).lazy, items, min_answered)
    n = int(collect(enough.select(n=nw.len()))["n"].iloc[0])
    alike = enough.filter(nw.col("low") == nw.col("high")).select(score=nw.col("low"))
    counts = collect(alike.group_by("score").agg(nw.len().alias("n"))).sort_values("score")
    respondents = [*map(int, counts["n"]), int(counts["n"].sum())]
    scores = [*(f"{score:g}" for score in counts["score"]), "any"]
    rows = [(one, n, k, k / n if n else np.nan) for one, k in zip(scores, respondents, strict=True)]
    return pd.DataFrame(rows, columns=columns)


def _ratings(lazy: nw.LazyFrame, items: Sequence[str], least: int) -> nw.LazyFrame:
    """Rows that rated so many items at least, with their lowest and highest rating."""
    scores = [nw.col(name) for name in items]
    rated = [nw.when(score.is_null()).then(nw.lit(0)).otherwise(nw.lit(1)) for score in scores]
    counted = lazy.with_columns(
        rated=functools.reduce(operator.add, rated),
        low=nw.min_horizontal(*scores),
        high=nw.max_horizontal(*scores),
    )
    return counted.filter(nw.col("rated") >= least)


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
    columns = ["n", "sets", "rows", "largest"]
    if not items:
        return pd.DataFrame([[0, 0, 0, 0]], columns=columns)
    missing = {name: f"{name}_missing" for name in items}
    opened = open_frame(answers, numbers={"items": items}, reasons=list(missing.values()))
    rated = _ratings(opened.lazy, items, min_answered).filter(nw.col("low") < nw.col("high"))
    # a column an item, be it a score or a reason: a billion rows' keys are no place to be wordy
    states = {f"state {i}": _state(name, missing[name]) for i, name in enumerate(items)}
    alike = rated.select(**states).group_by(list(states)).agg(nw.len().alias("size"))
    again = nw.when(nw.col("size") > 1)
    found = collect(
        alike.select(
            n=nw.col("size").sum(),
            sets=again.then(nw.lit(1)).otherwise(nw.lit(0)).sum(),
            rows=again.then(nw.col("size")).otherwise(nw.lit(0)).sum(),
            largest=again.then(nw.col("size")).otherwise(nw.lit(0)).max(),
        )
    )
    return found[columns].fillna(0).astype("int64")


def _state(score: str, reason: str) -> nw.Expr:
    """A rating, or a number below every rating for the reason that there is none."""
    state = nw.lit(-1e9)
    for number, known in enumerate(REASONS, 1):
        state = (
            nw.when(nw.col(reason).cast(nw.String) == known)
            .then(nw.lit(-1e9 - number))
            .otherwise(state)
        )
    return nw.when(nw.col(score).is_null()).then(state).otherwise(nw.col(score))


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
    # any column at all, to count the rows by
    opened = open_frame(answers, design=design, rows=column_names(answers)[:1])
    strata, cluster = opened.design.strata, opened.design.cluster
    weight = (
        nw.col(opened.design.weights).cast(nw.Float64) if opened.design.weights else nw.lit(1.0)
    )
    rows = opened.lazy.with_columns(_weight=weight).filter(nw.col("_weight") > 0)
    sums = collect(
        rows.select(
            n=nw.len(),
            smallest=nw.col("_weight").min(),
            largest=nw.col("_weight").max(),
            mean=nw.col("_weight").mean(),
            squares=(nw.col("_weight") ** 2).mean(),
        )
    )
    kish = sums["squares"] / sums["mean"] ** 2
    n = int(sums["n"].iloc[0])
    sizes, without = _cluster_sizes(rows, strata, cluster) if cluster else (None, 0)
    return pd.DataFrame(
        {
            "n": [n],
            **{name: sums[name] for name in ("smallest", "largest", "mean")},
            "kish_deff": kish,
            "n_eff": n / kish,
            "strata": [_distinct(rows, strata) if strata else 1],
            "clusters": [n if sizes is None else len(sizes)],
            "largest_cluster": [1 if sizes is None or not len(sizes) else int(sizes.max())],
            "without_cluster": [without],
        }
    )


def _cluster_sizes(rows: nw.LazyFrame, strata: str | None, cluster: str) -> tuple[pd.Series, int]:
    """Rows of each cluster of a stratum, and rows without one."""
    keys = [name for name in (strata, cluster) if name]
    counted = collect(rows.group_by(keys).agg(nw.len().alias("rows")))
    alone = counted[cluster].isna()
    return counted.loc[~alone, "rows"], int(counted.loc[alone, "rows"].sum())


def _distinct(rows: nw.LazyFrame, column: str) -> int:
    return len(collect(rows.select(column).unique()).dropna())


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
    if not touchpoints:
        n = row_count(answers)
        return Completeness(n, n, 0.0)
    opened = open_frame(answers, numbers={"touchpoints": touchpoints})
    rated = _ratings(opened.lazy, touchpoints, 0).select("rated")
    found = collect(rated.group_by("rated").agg(nw.len().alias("n"))).sort_values("rated")
    rows = found["n"].to_numpy(dtype="int64")
    below = np.searchsorted(rows.cumsum(), [(rows.sum() - 1) // 2, rows.sum() // 2], side="right")
    median = float(found["rated"].iloc[below].mean()) if rows.sum() else math.nan
    complete = int(rows[found["rated"] == len(touchpoints)].sum())
    return Completeness(int(rows.sum()), complete, median)
