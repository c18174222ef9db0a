"""Journeys: from the whole over stages to touchpoints; composites of a customer's ratings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import answered_by_few, hide_rows
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE, SMALL
from cxlab.core.display import with_display
from cxlab.core.frames import Opened, as_list, open_frame
from cxlab.core.metric import Metric
from cxlab.stats.association.counts import MOST_ROW_CELLS, joint_counts
from cxlab.stats.association.estimates import pair_estimates
from cxlab.stats.inference import LEVEL, check_level, t_quantile
from cxlab.stats.metrics.estimates import estimate_each
from cxlab.stats.variance import (
    SampledUnits,
    covariance_of_totals,
    degrees_of_freedom,
    units_of_rows,
)

Array = NDArray[np.float64]

#: Customers to whose squared errors the outcome's variance comes down, below which no
#: composite is called behind another.
FEW_DIFFERENT = 8
#: Ratings that are read, at most: each customer's composites take several times their memory.
MOST_RATINGS = 25_000_000
#: Parts of the customers, each predicted from the others.
FOLDS = 10


def compare_journeys(
    data: Any,
    touchpoints: str | Sequence[str],
    outcome: str,
    *,
    design: DesignLike = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Let composites of a journey predict the overall score of held-out customers.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per journey.
    touchpoints : sequence of str
        Rating columns in the order of the journey; missing ratings are passed over.
    outcome : str
        Column of the overall score.
    design : Design or mapping, optional
        Its clusters (such as customers with several journeys) are held out whole; they and strata
        count in the intervals. Weights are not used.
    seed : int
        Which customer or cluster is in which of ten parts, each predicted from the others.

    Returns
    -------
    DataFrame
        One row per composite, the best first: ``composite`` ("first", "worst", "best", "peak":
        farthest from the middle of the scores seen, the later of two, "end", "mean", "peak and
        end": mean of the two, "half-life": each step before the last counts half); ``n`` (customers); ``estimate,
        se, ci_low, ci_high``: share of the outcome's variance predicted out of fold (below
        0: worse than the mean of the others); ``rmse`` in units of the outcome; ``behind,
        behind_low, behind_high``: share by which it is behind the best; ``reading``; ``note``.

    Raises
    ------
    ValueError
        For unknown columns. Fewer customers or clusters than parts are a note.
    TypeError
        For text scores or outcomes.

    Notes
    -----
    A straight line per composite, fitted without the fold's customers; R² = 1 − Σe²/Σb², b
    the error of predicting the other customers' mean. Its standard error linearises the
    ratio over customers or clusters, as does that of the difference from the best, so a composite
    is behind only if its interval says so. Of more than 25 million ratings
    some customers are drawn at random, and the caption says so.

    References
    ----------
    Kahneman, Fredrickson, Schreiber & Redelmeier (1993), Psychological Science 4, 401–405.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> answers = pd.DataFrame(rng.integers(0, 11, (60, 3)), columns=["shop", "till", "door"])
    >>> answers["overall"] = answers["door"]  # the end decides
    >>> journey = ["shop", "till", "door"]
    >>> compare_journeys(answers, journey, "overall").loc[0, "composite"]
    'end'
    """
    names = as_list(touchpoints)
    opened = open_frame(data, numbers={"touchpoints": names, "outcome": outcome}, design=design)
    rows, part = opened.narrow_rows([*names, outcome], MOST_RATINGS)
    rows = rows[rows[outcome].notna() & rows[names].notna().any(axis=1)]
    units, unit = units_of_rows(rows, replace(opened.design, weights=None))
    if units.n_units < FOLDS:
        blank = dict.fromkeys(("estimate", "ci_low", "ci_high"), np.nan)
        note = "not compared: fewer customers or clusters with ratings and outcome than folds"
        return pd.DataFrame([{"composite": "any", "n": len(rows), **blank, "note": note}])
    made = composites(rows[names].to_numpy(float))
    fold = np.random.default_rng(seed).permutation(np.arange(units.n_units) % FOLDS)[unit]
    target = rows[outcome].to_numpy(float)
    base = _errors(np.zeros(len(rows)), target, fold)
    errors = {name: _errors(values, target, fold) for name, values in made.items()}
    return with_display(
        _table(errors, base, units, unit), level=LEVEL, units={"estimate": "share", "behind": "share"},
        headers={"composite": "Of a journey’s ratings", "estimate": "Predicts", "behind": "Behind"},
        columns=("composite", "n", "estimate", "behind", "reading"),
        caption="Which part of a journey predicts the overall score best", about=part,
    )  # fmt: skip


def composites(ratings: Array) -> dict[str, Array]:
    """Each customer's composites of ratings in order (NaN: none)."""
    neutral = float(np.nanmin(ratings) + np.nanmax(ratings)) / 2
    at = np.arange(ratings.shape[1], dtype=float)
    known, rows = ~np.isnan(ratings), np.arange(len(ratings))
    far = np.where(known, np.abs(ratings - neutral), -1.0)
    last, peak = (part.shape[1] - 1 - part[:, ::-1].argmax(axis=1) for part in (known, far))
    weight = known * np.exp2(at - last[:, None])
    found = {
        "first": ratings[rows, known.argmax(axis=1)],
        "worst": np.nanmin(ratings, axis=1),
        "best": np.nanmax(ratings, axis=1),
        "peak": ratings[rows, peak],
        "end": ratings[rows, last],
        "mean": np.nanmean(ratings, axis=1),
    }
    found["peak and end"] = (found["peak"] + found["end"]) / 2
    found["half-life"] = (weight * np.where(known, ratings, 0)).sum(axis=1) / weight.sum(axis=1)
    return found


def journey_table(
    data: Any,
    outcome: str,
    stages: Mapping[str, str | Sequence[str]],
    *,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """From the whole over its stages to the touchpoints: mean, and how it goes with the whole.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per answer.
    outcome : str
        Column of the overall score.
    stages : mapping of str to sequence of str
        Stage to its rating columns, in the order of the journey, such as ``study.stages``. A
        stage's score is the mean of the ratings that a customer gave in it.
    design : Design or mapping, optional
        The survey design.
    level : float
    min_group_size : int
        Rows of fewer customers are hidden.
    labels : mapping of str to str, optional
        Column to the words that readers know.

    Returns
    -------
    DataFrame
        ``level`` ("whole", "stage", "touchpoint"), ``stage``, ``touchpoint`` (empty above
        it), ``n`` (rated it), ``estimate, se, ci_low, ci_high`` of the mean score, ``r, r_low,
        r_high`` (Pearson's correlation with the overall score; not in data too large to read
        row by row, for stages), ``note``. Each stage is followed by its touchpoints.

    Raises
    ------
    ValueError
        For unknown columns, or no stage.

    Examples
    --------
    >>> answers = pd.DataFrame({"overall": [4, 2, 5], "shop": [4, 1, 5], "till": [2, 3, None]})
    >>> table = journey_table(answers, "overall", {"Buying": ["shop", "till"]}, min_group_size=1)
    >>> table[["level", "estimate"]].round(2).values.tolist()[:2]
    [['whole', 3.67], ['stage', 3.33]]
    """
    check_level(level)
    stages = _stages(stages)
    names = [name for ratings in stages.values() for name in ratings]
    if not names:
        raise ValueError("`stages` must hold one stage or more; got none. Name its touchpoints.")
    opened = open_frame(data, numbers={"outcome": outcome, "touchpoints": names}, design=design)
    scores = {f"stage_{i}": _mean_rating(ratings) for i, ratings in enumerate(stages.values())}
    prepared = opened.with_columns(scores)
    order = [(outcome, "whole", "", "")]
    for i, (stage, ratings) in enumerate(stages.items()):
        order.append((f"stage_{i}", "stage", stage, ""))
        order += [(name, "touchpoint", stage, name) for name in ratings]
    columns = [column for column, *_ in order]
    table = pd.DataFrame([row for _, *row in order], columns=["level", "stage", "touchpoint"])
    means = estimate_each(
        prepared, [Metric(column, "mean") for column in columns], groupings=[None], level=level
    )[0]
    shown = ["n", "estimate", "se", "ci_low", "ci_high"]
    table[shown] = means[shown].to_numpy()
    fits = _with_outcome(prepared, outcome, columns[1:], level)
    table = table.join(fits.reindex(columns).reset_index(drop=True)).assign(note=means["note"])
    few = answered_by_few(prepared, columns, table["n"], min_group_size)
    reason = pd.Series(np.where(few, SMALL, ""), table.index)
    hidden = hide_rows(table.astype({"n": int}), reason, min_group_size).drop(columns="suppressed")
    return with_display(
        hidden.assign(level=table["level"], stage=table["stage"]), level=level,
        labels=labels or {}, headers={"level": "Part", "estimate": "Mean", "r": "r with the whole"},
        units={"estimate": "score", "r": "r"}, top=len(table),
        columns=("level", "stage", "touchpoint", "n", "estimate", "r"),
        caption="From the whole over the stages to the touchpoints",
    )  # fmt: skip


def _stages(stages: object) -> dict[str, list[str]]:
    if not isinstance(stages, Mapping):
        raise TypeError(
            "`stages` must be a mapping of stage to its touchpoints; got "
            f"{type(stages).__name__}. Give study.stages, or {{'Arriving': ['parking']}}."
        )
    return {str(stage): as_list(ratings) for stage, ratings in stages.items()}


def _mean_rating(ratings: Sequence[str]) -> nw.Expr:
    """Mean of the ratings that are there; null without any."""
    values = [nw.col(name).cast(nw.Float64) for name in ratings]
    rated = nw.sum_horizontal(
        *(nw.when(~v.is_null()).then(nw.lit(1.0)).otherwise(nw.lit(0.0)) for v in values)
    )
    return nw.when(rated > 0).then(nw.sum_horizontal(*values) / rated)


def _with_outcome(opened: Opened, outcome: str, columns: list[str], level: float) -> pd.DataFrame:
    """Pearson's r of each column with the outcome, by column; of ratings only in large data."""
    if opened.n * len(columns) > MOST_ROW_CELLS:
        columns = [name for name in columns if name in opened.columns["touchpoints"]]
    fit = pair_estimates(joint_counts(opened, columns, outcome), level=level).table
    fit = fit[["estimate", "ci_low", "ci_high"]].set_axis(["r", "r_low", "r_high"], axis=1)
    return fit.set_axis(columns)


def _errors(values: Array, target: Array, fold: Array) -> Array:
    """Out-of-fold errors of a straight line (of the mean, where values are constant)."""
    errors = np.empty(len(target))
    for number in np.unique(fold):
        test = fold == number
        x, y = values[~test], target[~test]
        centred = x - x.mean()
        spread = centred @ centred
        slope = centred @ y / spread if spread > 0 else 0.0
        errors[test] = target[test] - y.mean() - slope * (values[test] - x.mean())
    return errors


def _table(
    errors: dict[str, Array], base: Array, units: SampledUnits, unit: NDArray[np.intp]
) -> pd.DataFrame:
    """One row per composite; ``base``: errors of predicting the others' mean."""
    names, n, total = list(errors), len(base), float((base**2).sum())
    table = pd.DataFrame({"composite": names, "n": n})
    if total == 0:
        blank = ("estimate", "se", "ci_low", "ci_high", "rmse")
        return table.assign(**dict.fromkeys(blank, np.nan), note="everyone gave the same outcome")
    squares = np.stack([errors[name] ** 2 for name in names], axis=1)
    r_squared = 1 - squares.sum(axis=0) / total
    # share of its error that each customer or cluster adds, less what the ratio expects
    influence = -(squares - base[:, None] ** 2 * (1 - r_squared)) / total
    totals = pd.DataFrame(influence).groupby(unit).sum().to_numpy()
    covariance = covariance_of_totals(totals, units)
    se, best = np.sqrt(np.diag(covariance)), int(np.argmax(r_squared))
    variance = np.diag(covariance) + covariance[best, best] - 2 * covariance[best]
    df = degrees_of_freedom(np.ones((units.n_units, 1), dtype=bool), units)
    quantile = float(t_quantile(LEVEL, df)[0])
    gap, half = r_squared[best] - r_squared, quantile * np.sqrt(np.maximum(variance, 0))
    table["estimate"], table["se"] = r_squared, se
    table["ci_low"], table["ci_high"] = r_squared - quantile * se, r_squared + quantile * se
    table["rmse"] = np.sqrt(squares.mean(axis=0))
    table["behind"], table["behind_low"], table["behind_high"] = gap, gap - half, gap + half
    table["reading"] = np.where(gap - half > 0, "behind", "not told apart from the best")
    table.loc[best, "reading"] = "best"
    table["note"] = ""
    if total**2 / (np.bincount(unit, base**2) ** 2).sum() < FEW_DIFFERENT:
        table[["se", "ci_low", "ci_high", "behind_low", "behind_high"]] = np.nan
        table["reading"] = "not compared"
        table["note"] = "no interval: it rests on the few customers whose outcome differs"
    return table.sort_values("estimate", ascending=False, kind="stable", ignore_index=True)
