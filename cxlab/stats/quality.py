"""Is this data fit to use: who used what, straight-lining, repeated answers, weights."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike, as_design
from cxlab.core.engines import row_count
from cxlab.core.frames import as_list, check_columns, check_design, collect, in_memory, scan
from cxlab.core.metric import Metric
from cxlab.stats.metrics.estimates import By, estimate_metrics

USAGE_COLUMNS = ("n", "estimate", "se", "ci_low", "ci_high", "users", "n_missing", "note")
#: Fewer answered items than this and alike answers say nothing about care.
MIN_ANSWERED = 5


def usage(
    answers: Any,
    touchpoints: Sequence[str],
    *,
    by: By = None,
    labels: Mapping[str, str] | None = None,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Per cent of respondents who used each touchpoint, per group.

    Parameters
    ----------
    answers
        As ``study.read()`` gives them, of any engine: each touchpoint ``x`` with ``x_missing`` beside it.
    touchpoints : sequence of str
    labels : mapping of str to str, optional
        Column to words for the ``touchpoint`` column: ``study.labels``.
    by, design, level
        As for `cxlab.nps`.

    Returns
    -------
    DataFrame
        One row per touchpoint × group: ``touchpoint``, ``group`` (with ``by``), ``n``
        (who rated it or said "never used"; a blank tells neither), ``estimate``, ``se``,
        ``ci_low``, ``ci_high`` in per cent, ``users`` (answers), ``n_missing``, ``note``. Where
        nobody said "never used" the figures are null: it may not have been offered.

    Examples
    --------
    >>> answers = pd.DataFrame({"wifi": [4, None, None, 5],
    ...                         "wifi_missing": [None, "never used", "no answer", None]})
    >>> usage(answers, ["wifi"])[["touchpoint", "n", "estimate", "n_missing"]].round(1)
      touchpoint  n  estimate  n_missing
    0       wifi  3      66.7          1
    """
    needed = [*touchpoints, *(f"{name}_missing" for name in touchpoints)]
    check_columns(answers, {"touchpoints": needed, "by": by})
    words = dict(labels or {})
    design = as_design(design)
    group = ["group"] if as_list(by) else []
    if not touchpoints:
        return pd.DataFrame(columns=["touchpoint", *group, *USAGE_COLUMNS])
    metrics = [Metric(name, "box", top=(1, 1)) for name in touchpoints]
    used, never = _use(answers, touchpoints)
    table = estimate_metrics(used, metrics, by=by, design=design, level=level)
    table = table.rename(columns={"tops": "users"})
    # nobody said "never used": it was not offered, or everybody used it
    untold = table["column"].map({name: not said for name, said in never.items()})
    table.loc[untold, ["estimate", "se", "ci_low", "ci_high"]] = np.nan
    table.loc[untold, "note"] = 'nobody said "never used": not offered, or used by all'
    table["touchpoint"] = [words.get(name, name) for name in table["column"]]
    return table[["touchpoint", *group, *USAGE_COLUMNS]]


def _use(answers: Any, touchpoints: Sequence[str]) -> tuple[Any, dict[str, bool]]:
    """Whether each touchpoint was used (1, 0, or not told) in place of its rating.

    Also whether anybody said "never used" of it.
    """
    if isinstance(answers, pd.DataFrame):
        never = {
            name: answers[f"{name}_missing"].eq("never used").fillna(False) for name in touchpoints
        }
        used = {
            name: answers[name].notna().astype(float).where(answers[name].notna() | never[name])
            for name in touchpoints
        }
        return answers.assign(**used), {name: bool(said.any()) for name, said in never.items()}
    said = {
        name: (nw.col(f"{name}_missing") == "never used").fill_null(False) for name in touchpoints
    }
    lazy = scan(answers, [f"{name}_missing" for name in touchpoints])
    one, nought = nw.lit(1.0), nw.lit(0.0)
    sums = [nw.when(said[name]).then(one).otherwise(nought).sum().alias(name) for name in said]
    counts = collect(lazy.select(*sums)).iloc[0].fillna(0)
    known = {
        name: nw.when(~nw.col(name).is_null()).then(one).otherwise(nw.when(said[name]).then(nought))
        for name in touchpoints
    }
    used = nw.from_native(answers).lazy().with_columns(**known).to_native()
    return used, {name: bool(counts[name] > 0) for name in touchpoints}


def straight_lining(
    answers: Any, items: Sequence[str], *, min_answered: int = MIN_ANSWERED
) -> pd.DataFrame:
    """Respondents who gave every item the same score.

    Parameters
    ----------
    answers
        Frame of any engine; of a lazy one the items are fetched.
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
    check_columns(answers, {"items": items})
    answers = in_memory(answers, items)
    scores = answers[list(items)]
    enough = scores.notna().sum(axis=1) >= min_answered
    alike = scores[enough & (scores.min(axis=1) == scores.max(axis=1))].min(axis=1)
    counts = alike.value_counts().sort_index()
    table = pd.DataFrame(
        {
            "score": [f"{score:g}" for score in counts.index],
            "respondents": counts.to_numpy(),
        }
    )
    table.loc[len(table)] = ["any", len(alike)]
    n = int(enough.sum())
    table.insert(1, "n", n)
    table["respondents"] = table["respondents"].astype("int64")
    table["share"] = table["respondents"] / n if n else np.nan
    return table


def repeated_answers(
    answers: Any, items: Sequence[str], *, min_answered: int = MIN_ANSWERED
) -> pd.DataFrame:
    """Sets of rows whose every rating is the same, scores and missing reasons alike.

    Parameters
    ----------
    answers
        Frame of any engine; of a lazy one the items are fetched.
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
    check_columns(answers, {"items": [*items, *reasons]})
    answers = in_memory(answers, [*items, *reasons])
    scores = answers[list(items)]
    varied = scores.min(axis=1) < scores.max(axis=1)
    looked = answers[varied & (scores.notna().sum(axis=1) >= min_answered)]
    sizes = looked.groupby([*items, *reasons], dropna=False).size()
    alike = sizes[sizes > 1]
    return pd.DataFrame(
        {
            "n": [len(looked)],
            "sets": [len(alike)],
            "rows": [int(alike.sum())],
            "largest": [int(alike.max()) if len(alike) else 0],
        }
    )


def weight_summary(
    answers: Any,
    *,
    design: DesignLike = None,
) -> pd.DataFrame:
    """What the weights and clusters do to the sample, before any score is looked at.

    Parameters
    ----------
    answers
        Frame of any engine; of a lazy one the design columns are fetched.
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
    design = as_design(design)
    check_design(answers, design)
    answers = in_memory(answers, design.used())
    strata, cluster = design.strata, design.cluster
    weight = answers[design.weights] if design.weights else pd.Series(1.0, index=answers.index)
    inside = answers[weight > 0]
    weight = weight[weight > 0]
    kish = len(weight) * (weight**2).sum() / weight.sum() ** 2
    sizes = inside.groupby([n for n in (strata, cluster) if n]).size() if cluster else pd.Series()
    return pd.DataFrame(
        {
            "n": [len(weight)],
            "smallest": [weight.min()],
            "largest": [weight.max()],
            "mean": [weight.mean()],
            "kish_deff": [kish],
            "n_eff": [len(weight) / kish],
            "strata": [inside[strata].nunique() if strata else 1],
            "clusters": [len(sizes) if cluster else len(weight)],
            "largest_cluster": [int(sizes.max()) if len(sizes) else 1],
            "without_cluster": [int(inside[cluster].isna().sum()) if cluster else 0],
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
    check_columns(answers, {"touchpoints": touchpoints})
    if not touchpoints:
        n = row_count(answers)
        return Completeness(n, n, 0.0)
    one, nought = nw.lit(1), nw.lit(0)
    rated = [nw.when(nw.col(name).is_null()).then(nought).otherwise(one) for name in touchpoints]
    lazy = scan(answers, touchpoints).select(rated=functools.reduce(operator.add, rated, nought))
    found = collect(lazy.group_by("rated").agg(nw.len().alias("n"))).sort_values("rated")
    rows = found["n"].to_numpy(dtype="int64")
    below = np.searchsorted(rows.cumsum(), [(rows.sum() - 1) // 2, rows.sum() // 2], side="right")
    median = float(found["rated"].iloc[below].mean()) if rows.sum() else math.nan
    complete = int(rows[found["rated"] == len(touchpoints)].sum())
    return Completeness(int(rows.sum()), complete, median)
