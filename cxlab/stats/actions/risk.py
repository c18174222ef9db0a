"""Who may leave: a logistic regression that must prove itself on later answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import expit, logit

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.frames import as_list, check_columns
from cxlab.core.messages import got
from cxlab.core.phrases import listed
from cxlab.core.result import Result
from cxlab.stats.inference import normal_quantile
from cxlab.stats.outcomes.follow_up import LEFT, FollowUp
from cxlab.stats.outcomes.later import FEWEST_LEAVERS, Parts, observed_outcomes, parts_at
from cxlab.stats.outcomes.survival import cluster_error

Array = NDArray[np.float64]
#: What the intervals of slope, and of observed over expected, must lie in.
LIMITS = {"slope": (0.7, 1.3), "observed over expected": (0.8, 1.25)}
#: Probabilities from which one would call, for the net benefit.
THRESHOLDS = (0.05, 0.1, 0.2, 0.3)
COLUMNS = ("measure", "estimate", "se", "ci_low", "ci_high")
MEASURES = ("slope", "intercept", "observed over expected", "Brier score")


@dataclass(frozen=True, eq=False, kw_only=True)
class LeavingRisk(Result):
    """How well leaving was predicted, on later answers.

    Attributes
    ----------
    table : DataFrame
        As of `calibration`.
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
    columns: str | Sequence[str],
    *,
    split: str | pd.Timestamp | None = None,
    horizon: float = 180,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
    refuse: bool = True,
) -> LeavingRisk:
    """Fit who left on what was known at a date, and judge it on later answers only.

    Parameters
    ----------
    followed : FollowUp
        Of several periods.
    columns : sequence of str
        What is known at the answer: numbers as they are, texts as groups.
    split : date, optional
        Answers before it, followed up to it, fit the model; those from it on judge it. Default:
        the middle between the first answer and the last day observed.
    horizon : float
        Days.
    level : float
    min_group_size : int
        With fewer customers on either side of the split nothing is judged.
    refuse : bool
        False: answers that cannot say who may leave make blank figures and a note that says why.

    Returns
    -------
    LeavingRisk

    Raises
    ------
    ValueError
        For fewer than 10 customers on either side, or a column, who left within the horizon, or
        did not; for columns that separate leavers, alone or together, but for ties.

    Notes
    -----
    What happened from the split on has no part in the fit, so that a customer who answers again
    is judged by something new. Censored answers are represented by others (inverse probability
    of censoring); errors are robust to customers. In the sample that fitted it the slope is
    always 1, so that nothing is judged there. Probabilities are shown only where the intervals of
    the calibration slope and of observed over expected lie within 0.7–1.3 and 0.8–1.25; otherwise
    ranks.

    References
    ----------
    Van Calster et al. (2019), BMC Medicine 17, 230. Vickers & Elkin (2006), Medical Decision
    Making 26, 565–574. Konis (2007), DPhil thesis, University of Oxford (separation).
    """
    columns = as_list(columns)
    if not columns:
        raise ValueError("`columns` must name one column or more; got none.")
    check_columns(followed.table, {"columns": columns})
    rows = followed.table.dropna(subset=columns)
    caption = f"Who left within {horizon:g} days, in later periods"
    try:
        parts = parts_at(rows, followed, split, horizon, min_group_size=min_group_size)
        predicted = _fitted(rows, parts, columns, followed.customer, horizon)
    except ValueError as error:
        if refuse:
            raise
        unknown = pd.DataFrame({"measure": MEASURES, "note": str(error).rstrip(".")})
        table = with_display(unknown.reindex(columns=[*COLUMNS, "note"]), caption=caption)
        return LeavingRisk(
            table=table, net_benefit=pd.DataFrame(), ranks=pd.DataFrame(), shown=False,
            notes=(str(error),),
        )  # fmt: skip
    gone, weight = 1 - parts.stayed, parts.weight
    who = parts.later[followed.customer]
    measures = calibration(predicted, gone, weights=weight, clusters=who, level=level)
    shown = _passes(measures)
    ranks = _ranks(parts.later.assign(probability=predicted), followed)
    if shown:
        note = "Probabilities agreed with what happened later, and may be used."
    else:
        ranks = ranks.drop(columns="probability")
        note = "Not sure to agree with what happened later: who is likelier is known at most, not how likely."
    return LeavingRisk(
        table=with_display(measures, caption=caption, about=f"{parts.about} {note}", level=level),
        net_benefit=net_benefit(predicted, gone, THRESHOLDS, weights=weight),
        ranks=ranks, shown=shown, notes=(note,),
    )  # fmt: skip


def _ranks(later: pd.DataFrame, followed: FollowUp) -> pd.DataFrame:
    """Customers who are still there, by their latest answer, the most likely to leave first."""
    latest = later.sort_values(followed.answered, kind="stable")
    latest = latest.drop_duplicates(followed.customer, keep="last")
    there = latest[~latest[LEFT].astype(bool)].sort_values("probability", ascending=False)
    return pd.DataFrame(
        {"customer": there[followed.customer].to_numpy(), "rank": np.arange(1, len(there) + 1),
         "probability": there["probability"].to_numpy()}
    )  # fmt: skip


def _fitted(
    rows: pd.DataFrame, parts: Parts, columns: Sequence[str], customer: str, horizon: float
) -> Array:
    """Probability of leaving of each later answer, by the earlier ones."""
    import statsmodels.api as sm  # slow to import

    stayed, weight = observed_outcomes(parts.early, horizon)
    known, gone = weight > 0, stayed == 0
    groups = pd.get_dummies(rows[list(columns)], dtype=float)
    alike = [name for name in groups if groups.loc[parts.early.index[known], name].nunique() < 2]
    if alike:
        raise ValueError(f"`columns` must vary before the split; got one value of {got(alike)}.")
    # true and false among numbers would be objects
    matrix = pd.get_dummies(rows[list(columns)], drop_first=True, dtype=float).astype(float)
    leavers, others = (
        parts.early.loc[known & (gone == end), customer].nunique() for end in (True, False)
    )
    needed = FEWEST_LEAVERS * matrix.shape[1]
    if min(leavers, others) < needed:
        whom = "leavers" if leavers < needed else "customers who stayed"
        raise ValueError(
            f"`columns` must have {FEWEST_LEAVERS} {whom} each, {needed} in all; got "
            f"{min(leavers, others)}. Use fewer columns, or another horizon."
        )
    early = matrix.loc[parts.early.index]
    _check_separation(parts.early[known], early[known], gone[known], columns)
    options = {"family": sm.families.Binomial(), "var_weights": weight}
    fit = sm.GLM(1 - stayed, sm.add_constant(early, has_constant="add"), **options).fit()
    later = matrix.loc[parts.later.index].to_numpy() @ fit.params[matrix.columns].to_numpy()
    if np.ptp(later) < 1e-9:
        raise ValueError("`columns` must vary from the split on too; got one prediction for all.")
    return expit(later + fit.params["const"])


def _check_separation(
    rows: pd.DataFrame, matrix: pd.DataFrame, gone: NDArray[np.bool_], columns: Sequence[str]
) -> None:
    """Refuse columns of which some sum parts leavers from others, but for ties: no maximum exists."""
    if not separates(matrix.to_numpy(), gone):
        return
    alone = [
        name for name in columns
        if separates(pd.get_dummies(rows[[name]], drop_first=True).to_numpy(float), gone)
    ]  # fmt: skip
    names = listed([f"'{name}'" for name in (alone or columns)], most=len(columns))
    what = f"{names}: it separates" if len(alone) == 1 else f"{names} together: they separate"
    raise ValueError(
        f"`columns` must not hold {what} who left perfectly, or but for ties. Was it recorded after "
        "the event? Leave it out, or join small groups."
    )


def separates(matrix: Array, gone: NDArray[np.bool_]) -> bool:
    """Whether some linear predictor has all leavers at or above all others, and is not constant.

    The linear programme of Konis (2007): the largest sum of signed predictors, none below 0.

    Examples
    --------
    No column alone, but their sum.

    >>> rows = np.array([[0.0, 3.0], [3.0, 0.0], [1.0, 1.0], [0.0, 2.0], [2.0, 0.0]])
    >>> separates(rows, np.array([True, True, False, False, False]))
    True
    >>> separates(rows[:, :1], np.array([True, True, False, False, False]))
    False
    """
    scaled = (matrix - matrix.mean(axis=0)) / (matrix.std(axis=0) + (matrix.std(axis=0) == 0))
    signed = np.where(gone, 1.0, -1.0)[:, None] * np.column_stack([np.ones(len(scaled)), scaled])
    cases = np.unique(signed, axis=0)
    best = linprog(-cases.sum(axis=0), A_ub=-cases, b_ub=np.zeros(len(cases)), bounds=(-1, 1))
    # what the solver's tolerance leaves of 0
    return bool((cases @ best.x).max() > 1e-5)


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
    width = normal_quantile(level)
    rows = []
    for name, (fit, columns) in fits.items():
        value, se = fit.params[-1], fit.bse[-1]
        if clusters is not None:
            se = _robust_error(columns, own, happened, fit.fittedvalues, clusters)
        rows.append((name, value, se, value - width * se, value + width * se))
    observed, expected = own @ happened, own @ predicted
    ratio = observed / expected if expected > 0 else np.nan
    who = np.arange(len(own)) if clusters is None else clusters
    spread = cluster_error(own * (happened - predicted), who)[0] / max(observed, 1e-12)
    limits = [ratio * np.exp(sign * width * spread) for sign in (-1, 1)]
    rows.append(("observed over expected", ratio, ratio * spread, *limits))
    brier = own @ (happened - predicted) ** 2 / own.sum()
    rows.append(("Brier score", brier, *[np.nan] * 3))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _robust_error(
    columns: Array, weights: Array, happened: Array, fitted: Array, clusters: pd.Series
) -> float:
    """Clustered standard error of the last coefficient; statsmodels has none under weights."""
    bread = np.linalg.inv(columns.T @ (columns * (weights * fitted * (1 - fitted))[:, None]))
    influence = columns @ bread[-1] * weights * (happened - fitted)
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
    found = measures.set_index("measure")
    return all(
        low <= found.loc[name, "ci_low"] and found.loc[name, "ci_high"] <= high
        for name, (low, high) in LIMITS.items()
    )
