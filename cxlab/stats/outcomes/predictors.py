"""Which score told most about who stayed, on later answers than those it was fitted on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design, DesignLike
from cxlab.core.display import with_display
from cxlab.stats.inference import t_quantile
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.retention import Range, categories_of, opened_follow_up, stay
from cxlab.stats.outcomes.survival import check_times, cluster_error

Array = NDArray[np.float64]


def compare_predictors(
    followed: FollowUp,
    scores: Mapping[str, str | tuple[str, Mapping[str, Range]]],
    *,
    split: str | pd.Timestamp,
    horizon: float = 180,
    design: DesignLike = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """Which score told most about who stayed, in later answers than those it was fitted on.

    Parameters
    ----------
    followed : FollowUp
    scores : mapping of str to str or (str, categories)
        Name of each predictor to its column, by value, or to a column and its categories.
    split : date
        Answers before it give the shares that are predicted; answers from it on are predicted.
    horizon, design, level
        As for `cxlab.retention_by_score`.

    Returns
    -------
    DataFrame
        One row per predictor, the first beside which the others are compared: ``predictor``, ``n``
        (customers), ``estimate`` (skill: per cent of the Brier score of predicting everyone alike
        that it saves), ``se``, ``ci_low``, ``ci_high``, ``difference`` (skill less the first's),
        ``difference_low``, ``difference_high``.

    Notes
    -----
    Only answers that have every score; customers who answered before the split are not judged.
    Both parts are followed over the same time, so that this is skill for other customers, and for
    a later time only where the earlier part was fully followed before the split. A value's prediction is the share of the earlier answers
    with it that stayed. Later answers that were not followed to the horizon are represented by
    others (inverse probability of censoring weights); differences are paired, by cluster.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18, 2529–2545.
    """
    columns = {name: (one, None) if isinstance(one, str) else one for name, one in scores.items()}
    used = list(dict.fromkeys(column for column, _ in columns.values()))
    rows, known = opened_follow_up(followed, *used, design=design)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    late = (rows[followed.answered] >= pd.Timestamp(split)).to_numpy()
    if late.all() or not late.any():
        raise ValueError(
            f"`split` must have answers before it and after it; got {pd.Timestamp(split).date()}."
        )
    early = rows[~late]
    # nobody is judged by what fitted
    later = rows[late & ~rows[followed.customer].isin(early[followed.customer]).to_numpy()]
    check_times(later[DAYS], later[LEFT], horizon, DAYS)
    own = later[known.weights].to_numpy(float) if known.weights else None
    stayed, weight = observed_outcomes(later, horizon, own)
    common = stay(early, known, horizon).estimate
    reference = weight * (stayed - common) ** 2
    losses = {}
    for name, (column, categories) in columns.items():
        keys = [categories_of(part[column], categories) if categories else part[column]
                for part in (early, later)]  # fmt: skip
        predicted = _predicted(early, keys[0], known, horizon, common)
        losses[name] = (
            weight * (stayed - keys[1].map(predicted).fillna(common).to_numpy(float)) ** 2
        )
    return _skills(losses, reference, later[known.cluster], level)


def _predicted(
    rows: pd.DataFrame, keys: pd.Series, known: Design, horizon: float, common: float
) -> dict[Any, float]:
    found = {key: stay(part, known, horizon).estimate for key, part in rows.groupby(keys)}
    # a value that nobody was followed with says nothing
    return {key: common if np.isnan(share) else share for key, share in found.items()}


def observed_outcomes(
    rows: pd.DataFrame, horizon: float, weights: Array | None = None
) -> tuple[Array, Array]:
    """Whether each row stayed, and its weight: 0 where it was not followed to the horizon.

    Rows that were followed stand for those that were not: inverse probability of censoring.
    """
    own = np.ones(len(rows)) if weights is None else weights
    days, gone = rows[DAYS].to_numpy(float), rows[LEFT].to_numpy(bool)
    stayed = (days >= horizon) & ~(gone & (days <= horizon))
    known = (days >= horizon) | gone
    observed = _still_followed(days, gone, own, np.minimum(days, horizon))
    weight = np.divide(own, observed, out=np.zeros(len(own)), where=known & (observed > 0))
    return stayed.astype(float), weight


def _still_followed(days: Array, gone: NDArray[np.bool_], own: Array, times: Array) -> Array:
    """Kaplan–Meier share that is not censored before each time; who leaves on a day does so first."""
    known, place = np.unique(days, return_inverse=True)
    ended = np.bincount(place, weights=own * ~gone, minlength=len(known))
    leaving = np.bincount(place, weights=own * gone, minlength=len(known))
    there = np.bincount(place, weights=own, minlength=len(known))[::-1].cumsum()[::-1] - leaving
    hazard = np.divide(ended, there, out=np.zeros(len(known)), where=there > 0)
    before = np.concatenate([[1.0], np.cumprod(1 - hazard)])
    return before[np.searchsorted(known, times)]


def _skills(
    losses: Mapping[str, Array], reference: Array, clusters: pd.Series, level: float
) -> pd.DataFrame:
    total = reference.sum() or np.nan
    skill = {name: 1 - loss.sum() / total for name, loss in losses.items()}
    influence = {
        name: -(loss - (1 - skill[name]) * reference) / total for name, loss in losses.items()
    }
    first = next(iter(losses))
    found = []
    for name in losses:
        se, units = cluster_error(influence[name], clusters)
        apart, _ = cluster_error(influence[name] - influence[first], clusters)
        width = float(t_quantile(level, units - 1))
        gap = skill[name] - skill[first]
        limits = [np.nan] * 3 if name == first else [gap, gap - width * apart, gap + width * apart]
        own = [skill[name], se, skill[name] - width * se, skill[name] + width * se]
        found.append([name, units, *(100 * figure for figure in [*own, *limits])])
    columns = ["predictor", "n", "estimate", "se", "ci_low", "ci_high"]
    columns += ["difference", "difference_low", "difference_high"]
    return with_display(
        pd.DataFrame(found, columns=columns), caption="What each question tells of who stayed later",
        headers={"predictor": "Question", "estimate": "Skill", "difference": "Less the first"},
        units={"estimate": "%", "difference": "+%"}, level=level,
    )  # fmt: skip
