"""Which score told most about who stayed: known at a date, judged by what happened after it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import as_list
from cxlab.stats.inference import effective_number, t_quantile
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.retention import Range, categories_of, opened_follow_up, stay
from cxlab.stats.outcomes.survival import cluster_error, cluster_sums

Array = NDArray[np.float64]
#: Leavers, and others, that either side of the split, and each column of the model, needs.
FEWEST_LEAVERS = 10
SKILLS = (
    "predictor", "n", "estimate", "se", "ci_low", "ci_high", "difference", "difference_low",
    "difference_high",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Parts:
    """Answers before the split, as known then, and later ones.

    Of the later ones ``stayed`` is 1 or 0 at the horizon, ``weight`` 0 where it is not known.
    """

    split: pd.Timestamp
    early: pd.DataFrame
    later: pd.DataFrame
    stayed: Array
    weight: Array

    @property
    def about(self) -> str:
        """What fitted and what judges, for a caption."""
        return f"Fitted on what was known before {self.split:%-d %B %Y}, judged on answers since."


def parts_at(
    rows: pd.DataFrame,
    followed: FollowUp,
    split: str | pd.Timestamp | None,
    horizon: float,
    *,
    weights: str | None = None,
    min_group_size: int = MIN_GROUP_SIZE,
) -> Parts:
    """Answers before a date, followed up to it only, and those from it on.

    Raises
    ------
    ValueError
        Where too few customers on either side were seen to leave, or to stay.
    """
    day = rows[followed.answered].dt.normalize()
    middle = day.min() + (followed.until - day.min()) / 2
    cut = pd.Timestamp(middle if split is None else split).normalize()
    early, later = rows[day < cut], rows[day >= cut]
    known = (cut - day[day < cut]).dt.days - 1.0
    gone = early[LEFT].astype(bool) & (early[DAYS] <= known)
    early = early.assign(**{DAYS: np.minimum(early[DAYS], known), LEFT: gone})
    for part, when, left in (
        (early, "before it", "had left by then"), (later, "from it on", "left")
    ):  # fmt: skip
        n = part[followed.customer].nunique()
        stayed, weight = observed_outcomes(part, horizon)
        leavers, others = (
            part.loc[(weight > 0) & (stayed == end), followed.customer].nunique() for end in (0, 1)
        )
        if n < min_group_size or min(leavers, others) < FEWEST_LEAVERS:
            but = (
                f", all but {others:,} of those followed so long"
                if leavers >= FEWEST_LEAVERS
                else ""
            )
            told = f"{leavers:,} of {n:,} who answered {when} {left}{but}"
            if 0 < n < min_group_size:
                told = f"fewer who answered {when}"
            raise ValueError(
                f"`split` must have {min_group_size} customers or more on either side, "
                f"{FEWEST_LEAVERS} of whom left within {horizon:g} days and {FEWEST_LEAVERS} who did "
                f"not; got {cut.date()}: {told}. Later periods cannot be judged yet: wait, or "
                "choose a shorter horizon."
            )
    own = later[weights].to_numpy(float) if weights else None
    return Parts(cut, early, later, *observed_outcomes(later, horizon, own))


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


def compare_predictors(
    followed: FollowUp,
    scores: str | Sequence[str] | Mapping[str, str | tuple[str, Mapping[str, Range]]],
    *,
    split: str | pd.Timestamp | None = None,
    horizon: float = 180,
    design: DesignLike = None,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    refuse: bool = True,
) -> pd.DataFrame:
    """Which score told most about who stayed, after later answers than those it was fitted on.

    Parameters
    ----------
    followed : FollowUp
        Of several periods.
    scores : str, sequence of str, or mapping of str to str or (str, categories)
        Columns, or name of each predictor to its column, by value, or to a column and its categories.
    split : date, optional
        Answers before it, followed up to it, give the shares that are predicted; answers from it
        on are predicted. Default: the middle between the first answer and the last day observed.
    horizon, design, level
        As for `cxlab.retention_by_score`.
    min_group_size : int
        With fewer customers on either side of the split nothing is judged.
    refuse : bool
        False: where there is no later period to judge, blank figures and a ``note`` that says so.

    Returns
    -------
    DataFrame
        One row per predictor, the first beside which the others are compared: ``predictor``, ``n``
        (customers), ``estimate`` (skill: per cent of the Brier score of predicting everyone alike
        that it saves), ``se``, ``ci_low``, ``ci_high``, ``difference`` (skill less the first's),
        ``difference_low``, ``difference_high``.

    Raises
    ------
    ValueError
        For fewer than 10 customers on either side who left within the horizon, or did not.

    Notes
    -----
    Only answers that have every score. A value's prediction is the share of the earlier answers
    with it that stayed, as it was known at the split; a customer who answers again is judged by
    what happened after that. Later answers that were not followed to the horizon are represented
    by others (inverse probability of censoring weights); differences are paired, by cluster.
    Intervals are Student's t, with as many degrees of freedom as customers hold the error, less
    one: (Σ u²)²/Σ u⁴ of their influence u.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18, 2529–2545.
    """
    named = scores if isinstance(scores, Mapping) else {name: name for name in as_list(scores)}
    columns = {name: (one, None) if isinstance(one, str) else one for name, one in named.items()}
    used = list(dict.fromkeys(column for column, _ in columns.values()))
    rows, known = opened_follow_up(followed, *used, design=design)
    display: dict[str, Any] = {
        "caption": f"What each question told of who stayed {horizon:g} days, in later periods",
        "headers": {"predictor": "Question", "estimate": "Skill", "difference": "Less the first"},
        "units": {"estimate": "%", "difference": "+%"}, "level": level,
    }  # fmt: skip
    try:
        parts = parts_at(
            rows, followed, split, horizon, weights=known.weights, min_group_size=min_group_size
        )
    except ValueError as error:
        if refuse:
            raise
        unknown = pd.DataFrame({"predictor": list(columns)}).reindex(
            columns=list(SKILLS), fill_value=np.nan
        )
        return with_display(unknown.assign(note=str(error).rstrip(".")), **display)
    common = stay(parts.early, known, horizon).estimate
    losses = {}
    for name, (column, categories) in columns.items():
        before, after = (
            categories_of(part[column], categories) if categories else part[column]
            for part in (parts.early, parts.later)
        )
        predicted = _predicted(parts.early, before, known, horizon, common)
        missed = parts.stayed - after.map(predicted).fillna(common).to_numpy(float)
        losses[name] = parts.weight * missed**2
    reference = parts.weight * (parts.stayed - common) ** 2
    skills = _skills(losses, reference, parts.later[known.cluster], level)
    return with_display(skills, about=parts.about, **display)


def _predicted(
    rows: pd.DataFrame, keys: pd.Series, known: Design, horizon: float, common: float
) -> dict[Any, float]:
    found = {key: stay(part, known, horizon).estimate for key, part in rows.groupby(keys)}
    # a value that nobody was followed with says nothing
    return {key: common if np.isnan(share) else share for key, share in found.items()}


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
        se, units, width = _error(influence[name], clusters, level)
        apart = _error(influence[name] - influence[first], clusters, level)[2]
        gap = skill[name] - skill[first]
        limits = [np.nan] * 3 if name == first else [gap, gap - apart, gap + apart]
        own = [skill[name], se, skill[name] - width, skill[name] + width]
        found.append([name, units, *(100 * figure for figure in [*own, *limits])])
    return pd.DataFrame(found, columns=list(SKILLS))


def _error(influence: Array, clusters: pd.Series, level: float) -> tuple[float, int, float]:
    """Standard error, clusters and half-width: t on the clusters that count, less one.

    Where 12 of 400 left, they hold nearly all of the error: it is known as from 12.
    """
    se, units = cluster_error(influence, clusters)
    squares = cluster_sums(influence, clusters) ** 2
    if not squares.any():
        return se, units, 0.0 * se
    counted = min(effective_number(squares), units)
    return se, units, float(t_quantile(level, counted - 1)) * se
