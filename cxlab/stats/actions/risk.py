"""Who may leave: a logistic regression that must prove itself on later answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from cxlab.core.messages import got, unknown
from cxlab.core.result import Result
from cxlab.stats.inference import normal_quantile
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.predictors import observed_outcomes
from cxlab.stats.outcomes.survival import check_times, cluster_error

#: Leavers that each column of the model needs.
LEAVERS_A_COLUMN = 10
#: What the intervals of slope, and of observed over expected, must lie in.
SLOPE_LIMITS, RATIO_LIMITS = (0.7, 1.3), (0.8, 1.25)


@dataclass(frozen=True, eq=False, kw_only=True)
class LeavingRisk(Result):
    """How well leaving was predicted, on later answers.

    Attributes
    ----------
    table : DataFrame
        One row per measure: ``measure``, ``estimate``, ``se``, ``ci_low``, ``ci_high``, ``note``.
    net_benefit : DataFrame
        ``threshold``, ``model``, ``call_all``, ``call_none``.
    ranks : DataFrame
        Of the later answers' customers who are still there, by their latest answer: ``customer``,
        ``rank`` (1: most likely to leave) and, where the gate is passed, ``probability``. To be
        written to a file only.
    shown : bool
        Whether probabilities may be shown.
    """

    net_benefit: pd.DataFrame
    ranks: pd.DataFrame
    shown: bool


def leaving_risk(
    followed: FollowUp,
    columns: Sequence[str],
    *,
    split: str | pd.Timestamp,
    horizon: float = 180,
    thresholds: Sequence[float] = (0.05, 0.1, 0.2, 0.3),
    level: float = 0.95,
    refuse: bool = True,
) -> LeavingRisk:
    """Fit who left on earlier answers, and judge it on later ones only.

    Parameters
    ----------
    followed : FollowUp
    columns : sequence of str
        What is known at the answer: numbers as they are, texts as groups.
    split : date
        Answers before it fit the model; those from it on judge it.
    horizon : float
        Days.
    thresholds : sequence of float
        Probabilities from which one would call, for the net benefit.
    level : float
    refuse : bool
        False: answers that cannot say who may leave make an empty result, whose note is the reason.

    Returns
    -------
    LeavingRisk

    Raises
    ------
    ValueError
        For fewer than 10 customers a column who left, a column (or a group of a text) that
        separates leavers, but for one value at most, or no answers on one side of ``split``.

    Notes
    -----
    Customers who answered before the split are not judged. Both parts are followed over the same
    time: unless the earlier part was fully followed before the split, this is a check on other
    customers, not on a later time. Censored answers are represented by others (inverse probability of censoring weights); errors
    are robust to customers. In the sample that fitted it the slope is always 1, so that nothing
    is judged there. Probabilities are shown only where the intervals of the calibration slope and
    of observed over expected lie within 0.7–1.3 and 0.8–1.25; otherwise ranks.

    References
    ----------
    Van Calster et al. (2019), BMC Medicine 17, 230. Vickers & Elkin (2006), Medical Decision
    Making 26, 565–574.
    """
    try:
        return _judged(followed, columns, pd.Timestamp(split), horizon, thresholds, level)
    except ValueError as error:
        if refuse:
            raise
        names = ["measure", "estimate", "ci_low", "ci_high"]
        return LeavingRisk(
            table=pd.DataFrame(columns=names), net_benefit=pd.DataFrame(), ranks=pd.DataFrame(),
            shown=False, notes=(str(error),),
        )  # fmt: skip


def _judged(
    followed: FollowUp,
    columns: Sequence[str],
    split: pd.Timestamp,
    horizon: float,
    thresholds: Sequence[float],
    level: float,
) -> LeavingRisk:
    """Fitted before the split, judged from it on."""
    rows = _complete(followed.table, columns)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    late = (rows[followed.answered] >= split).to_numpy()
    before = rows.loc[~late, followed.customer]
    # nobody is judged by what fitted
    kept = ~late | ~rows[followed.customer].isin(before).to_numpy()
    rows, late = rows[kept], late[kept]
    if late.all() or not late.any():
        raise ValueError(f"`split` must have answers before it and after it; got {split.date()}.")
    levels, matrix = (
        pd.get_dummies(rows[list(columns)], drop_first=first, dtype=float)
        for first in (False, True)
    )
    early = _fit(rows[~late], matrix[~late], levels[~late], followed.customer, horizon)
    score = np.asarray(matrix[late] @ early.params[matrix.columns] + early.params["const"])
    later = rows[late]
    check_times(later[DAYS], later[LEFT], horizon, DAYS)
    stayed, weight = observed_outcomes(later, horizon)
    measures = calibration(
        expit(score), 1 - stayed, weights=weight, clusters=later[followed.customer], level=level
    )
    shown = _passes(measures)
    benefit = net_benefit(expit(score), 1 - stayed, thresholds, weights=weight)
    ranks = _ranks(later.assign(probability=expit(score)), followed)
    note = (
        "Probabilities may be shown: they agreed with what happened later."
        if shown
        else "Probabilities are not shown: they are not sure to agree with what happened later. Ranks are."
    )
    return LeavingRisk(
        table=measures,
        net_benefit=benefit,
        ranks=ranks if shown else ranks.drop(columns="probability"),
        shown=shown,
        notes=(note,),
    )


def _ranks(later: pd.DataFrame, followed: FollowUp) -> pd.DataFrame:
    """Customers who are still there, by their latest answer, the most likely to leave first."""
    latest = later.sort_values(followed.answered, kind="stable")
    latest = latest.drop_duplicates(followed.customer, keep="last")
    there = latest[~latest[LEFT].astype(bool)].sort_values("probability", ascending=False)
    return pd.DataFrame(
        {"customer": there[followed.customer].to_numpy(), "rank": np.arange(1, len(there) + 1),
         "probability": there["probability"].to_numpy()}
    )  # fmt: skip


def _complete(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    if not columns:
        raise ValueError("`columns` must name one column or more; got none.")
    for name in columns:
        if name not in table:
            raise ValueError(unknown("columns", name, table.columns))
    return table.dropna(subset=list(columns))


def _fit(
    rows: pd.DataFrame, matrix: pd.DataFrame, levels: pd.DataFrame, customer: str, horizon: float
) -> Any:
    import statsmodels.api as sm  # slow to import

    stayed, weight = observed_outcomes(rows, horizon)
    leavers = rows.loc[(weight > 0) & (stayed == 0), customer].nunique()
    needed = LEAVERS_A_COLUMN * matrix.shape[1]
    if leavers < needed:
        raise ValueError(
            f"`columns` must have {LEAVERS_A_COLUMN} leavers each, {needed} in all; got {leavers}. Use fewer "
            "columns, or a longer horizon."
        )
    _check_separation(levels[weight > 0], stayed[weight > 0] == 0)
    options = {"family": sm.families.Binomial(), "var_weights": weight}
    return sm.GLM(1 - stayed, sm.add_constant(matrix, has_constant="add"), **options).fit()


def _check_separation(levels: pd.DataFrame, gone: np.ndarray) -> None:
    """Refuse a column of which some cut parts leavers from others, but for one value at most.

    There the likelihood has no maximum. Of texts, each group is a column.
    """
    for name in levels:
        values = levels[name].to_numpy(float)
        if values.min() == values.max():
            raise ValueError(f"`columns` must vary before the split; got one value of '{name}'.")
        (low, high), (least, most) = (
            (values[side].min(), values[side].max()) for side in (gone, ~gone)
        )
        if low >= most or high <= least:
            both = low if low == most else high
            but = f" but for those at {both:g}" if low == most or high == least else ""
            raise ValueError(
                f"`columns` must not hold '{name}': it separates who left perfectly{but}. Was it recorded "
                "after the event? Leave it out, or join its small groups."
            )


def calibration(
    predicted: np.ndarray,
    happened: np.ndarray,
    *,
    weights: np.ndarray | None = None,
    clusters: pd.Series | None = None,
    level: float = 0.95,
) -> pd.DataFrame:
    """How predictions agree with what happened: slope, intercept, observed over expected, Brier.

    Parameters
    ----------
    predicted : ndarray of float, shape (n,)
        Probabilities.
    happened : ndarray of float, shape (n,)
        1 or 0.
    weights : ndarray of float, shape (n,), optional
        Such as those of censoring.
    clusters : Series, shape (n,), optional
    level : float

    Returns
    -------
    DataFrame
        ``measure``, ``estimate``, ``se``, ``ci_low``, ``ci_high``: the slope of a logistic
        regression on the predicted log odds (1: right), its intercept given slope 1 (0: right),
        observed over expected (1: right; log interval), and the Brier score.

    Examples
    --------
    >>> found = calibration(np.array([0.2, 0.8] * 50), np.array([0, 1, 0, 1, 1] * 20))
    >>> found["measure"].tolist()
    ['slope', 'intercept', 'observed over expected', 'Brier score']
    """
    import statsmodels.api as sm  # slow to import

    own = np.ones(len(predicted)) if weights is None else weights
    score = logit(np.clip(predicted, 1e-12, 1 - 1e-12))
    options = {"family": sm.families.Binomial(), "var_weights": own}
    line, one = sm.add_constant(score), np.ones((len(score), 1))
    fits = {
        "slope": (sm.GLM(happened, line, **options).fit(), line),
        "intercept": (sm.GLM(happened, one, offset=score, **options).fit(), one),
    }
    observed, expected = own @ happened, own @ predicted
    ratio = observed / expected if expected > 0 else np.nan
    who = np.arange(len(own)) if clusters is None else clusters
    spread = cluster_error(own * (happened - predicted), who)[0] / max(observed, 1e-12)
    width = normal_quantile(level)
    rows = []
    for name, (fit, columns) in fits.items():
        value, se = fit.params[-1], fit.bse[-1]
        if clusters is not None:
            se = _robust_error(
                columns, own, happened - fit.fittedvalues, fit.fittedvalues, clusters
            )
        rows.append((name, value, se, value - width * se, value + width * se))
    limits = [ratio * np.exp(sign * width * spread) for sign in (-1, 1)]
    rows.append(("observed over expected", ratio, ratio * spread, *limits))
    brier = own @ (happened - predicted) ** 2 / own.sum()
    rows.append(("Brier score", brier, *[np.nan] * 3))
    return pd.DataFrame(rows, columns=["measure", "estimate", "se", "ci_low", "ci_high"])


def _robust_error(
    columns: np.ndarray,
    weights: np.ndarray,
    residuals: np.ndarray,
    fitted: np.ndarray,
    clusters: pd.Series,
) -> float:
    """Clustered standard error of the last coefficient; statsmodels has none under weights."""
    bread = np.linalg.inv(columns.T @ (columns * (weights * fitted * (1 - fitted))[:, None]))
    influence = columns @ bread[-1] * weights * residuals
    return cluster_error(influence, clusters)[0]


def net_benefit(
    predicted: np.ndarray,
    happened: np.ndarray,
    thresholds: Sequence[float],
    *,
    weights: np.ndarray | None = None,
) -> pd.DataFrame:
    """Leavers who would be called, less others who would be, at the odds of each threshold.

    Examples
    --------
    >>> net_benefit(np.array([0.1, 0.3]), np.array([0, 1]), [0.2])
       threshold  model  call_all  call_none
    0        0.2    0.5     0.375        0.0
    """
    wrong = [one for one in thresholds if not 0 < one < 1]
    if wrong:
        raise ValueError(f"`thresholds` must lie between 0 and 1; got {got(wrong)}.")
    own = np.ones(len(predicted)) if weights is None else weights
    share = own / own.sum()
    rows = []
    for threshold in thresholds:
        odds, called = threshold / (1 - threshold), predicted >= threshold
        gains = share * np.where(happened > 0, 1.0, -odds)
        rows.append((threshold, float(gains[called].sum()), float(gains.sum()), 0.0))
    return pd.DataFrame(rows, columns=["threshold", "model", "call_all", "call_none"])


def _passes(measures: pd.DataFrame) -> bool:
    limits = measures.set_index("measure")[["ci_low", "ci_high"]]
    return all(
        low <= limits.loc[name, "ci_low"] and limits.loc[name, "ci_high"] <= high
        for name, (low, high) in {
            "slope": SLOPE_LIMITS, "observed over expected": RATIO_LIMITS,
        }.items()
    )  # fmt: skip
