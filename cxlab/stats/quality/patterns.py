"""Patterns of answers: all alike, repeated, broken off, complete; and what weights cost."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.engines import row_count
from cxlab.core.frames import (
    as_list,
    collect,
    column_names,
    open_frame,
)
from cxlab.survey.scales import REASONS

#: Fewer answered items than this and alike answers say nothing about care.
MIN_ANSWERED = 5


def straight_lining(
    answers: Any, items: str | Sequence[str], *, min_answered: int = MIN_ANSWERED
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
    items, columns = as_list(items), ["score", "n", "respondents", "share"]
    if not items:
        return pd.DataFrame([["any", 0, 0, np.nan]], columns=columns)
    enough = _ratings(open_frame(answers, numbers={"items": items}).lazy, items, min_answered)
    n = row_count(enough)
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
    answers: Any, items: str | Sequence[str], *, min_answered: int = MIN_ANSWERED
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
    items, columns = as_list(items), ["n", "sets", "rows", "largest"]
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


def completeness(answers: Any, touchpoints: str | Sequence[str]) -> pd.DataFrame:
    """How many touchpoints respondents rated.

    Parameters
    ----------
    answers
        Frame of any engine.
    touchpoints : sequence of str

    Returns
    -------
    DataFrame
        One row: ``n`` (respondents), ``complete`` (who rated every touchpoint), ``share`` (of n, 0
        to 1), ``touchpoints`` (how many there are), ``median`` (rated by the median respondent).

    Examples
    --------
    >>> answers = pd.DataFrame({"a": [3, 5, 1], "b": [3, None, None]})
    >>> completeness(answers, ["a", "b"])
       n  complete     share  touchpoints  median
    0  3         1  0.333333            2     1.0
    """
    touchpoints = as_list(touchpoints)
    names, size = ["n", "complete", "share", "touchpoints", "median"], len(touchpoints)
    if not touchpoints:
        n = row_count(answers)
        return pd.DataFrame([[n, n, 1.0 if n else np.nan, 0, 0.0]], columns=names)
    opened = open_frame(answers, numbers={"touchpoints": touchpoints})
    rated = _ratings(opened.lazy, touchpoints, 0).select("rated")
    found = collect(rated.group_by("rated").agg(nw.len().alias("n"))).sort_values("rated")
    rows = found["n"].to_numpy(dtype="int64")
    n, complete = int(rows.sum()), int(rows[found["rated"] == size].sum())
    below = np.searchsorted(rows.cumsum(), [(n - 1) // 2, n // 2], side="right")
    median = float(found["rated"].iloc[below].mean()) if n else np.nan
    return pd.DataFrame([[n, complete, complete / n if n else np.nan, size, median]], columns=names)


def break_off(
    answers: Any, questions: str | Sequence[str], *, labels: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """Where respondents stopped answering, by the order of the questions.

    Parameters
    ----------
    answers
        As ``study.read()`` gives them, of any engine: each rating ``x`` with ``x_missing``.
    questions : sequence of str
        In the order of the questionnaire.
    labels : mapping of str to str, optional
        Column to words: ``study.labels``.

    Returns
    -------
    DataFrame
        One row per question: ``label``, ``order``, ``reached`` (respondents who answered it or one
        after it), ``stopped`` (whose last answer it was, although questions followed) and ``share``
        (stopped of all respondents, 0 to 1), ``column``.

    Notes
    -----
    "Never used" and "don't know" are answers here. A last question that was passed over looks like
    a break-off before it.

    Examples
    --------
    >>> answers = pd.DataFrame({"a": [3, 5, 1], "b": [3, None, 2], "c": [1, None, None]})
    >>> answers = answers.assign(a_missing=None, b_missing=None, c_missing=None)
    >>> break_off(answers, ["a", "b", "c"])[["order", "reached", "stopped"]].values.tolist()
    [[1, 3, 1], [2, 2, 1], [3, 1, 0]]
    """
    questions = as_list(questions)
    columns = ["label", "order", "reached", "stopped", "share", "column"]
    if not questions:
        return pd.DataFrame(columns=columns)
    reasons = [f"{name}_missing" for name in questions]
    lazy = open_frame(answers, numbers={"questions": questions}, reasons=reasons).lazy
    places = {
        f"place {i}": nw.when(
            ~nw.col(name).is_null() | nw.col(why).cast(nw.String).is_in(["never used", "don't know"])
        ).then(nw.lit(i)).otherwise(nw.lit(0))
        for i, (name, why) in enumerate(zip(questions, reasons, strict=True), 1)
    }  # fmt: skip
    last = lazy.select(**places).select(last=nw.max_horizontal(*places))
    found = collect(last.group_by("last").agg(nw.len().alias("n")))
    stopped = np.bincount(found["last"], found["n"], len(questions) + 1).astype(int)
    reached = stopped[::-1].cumsum()[::-1]
    rest = np.where(np.arange(1, len(questions) + 1) < len(questions), stopped[1:], 0)
    words = labels or {}
    return pd.DataFrame(
        {
            "label": [words.get(name, name) for name in questions],
            "order": range(1, len(questions) + 1),
            "reached": reached[1:],
            "stopped": rest,
            "share": rest / max(int(stopped.sum()), 1),
            "column": list(questions),
        }
    )[columns]
