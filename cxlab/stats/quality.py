"""Is this data fit to use: who used what, straight-lining, repeated answers, weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import MIN_GROUP_SIZE, suppress_small_groups
from cxlab.core.frames import Opened, collect, open_frame
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
    scores = open_frame(answers, numbers={"items": items}).rows()
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
    rows = open_frame(answers, numbers={"items": items}, reasons=reasons).rows()
    scores = rows[list(items)]
    varied = scores.min(axis=1) < scores.max(axis=1)
    looked = rows[varied & (scores.notna().sum(axis=1) >= min_answered)]
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
    opened = open_frame(answers, design=design)
    rows, strata, cluster = opened.rows(), opened.design.strata, opened.design.cluster
    weights = opened.design.weights
    weight = rows[weights] if weights else pd.Series(1.0, index=rows.index)
    inside = rows[weight > 0]
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
