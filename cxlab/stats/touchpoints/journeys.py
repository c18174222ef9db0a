"""First, peak, end and mean of a customer's ratings, competing on held-out customers."""

from __future__ import annotations

from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import Design
from cxlab.core.frames import collect_rows, open_frame
from cxlab.stats.association import covariance_of_totals, units_of_rows
from cxlab.stats.inference import check_level, t_quantile

Array = NDArray[np.float64]

#: Ways to make one number of a journey, in the order of the table.
COMPOSITES = ("first", "worst", "best", "peak", "end", "mean", "peak_end", "half_life")

SECONDS_A_DAY = 86_400

#: Customers to whose squared errors the outcome's variance comes down, below which no
#: composite is called behind another.
FEW_DIFFERENT = 8


def journey_composites(
    data: Any,
    score: str,
    *,
    customer: str,
    order: str,
    half_life: float | None = None,
    neutral: float | None = None,
) -> pd.DataFrame:
    """One row per customer: composites of the ratings along the journey.

    Parameters
    ----------
    data
        Dataframe of any engine, one row per rating.
    score : str
        Column of numbers; rows without are left out.
    customer : str
        Column that says whose journey it is.
    order : str
        Column that orders the ratings: a number (the stage) or a time.
    half_life : float, optional
        Age at which a rating counts half: in days where ``order`` is a time (default 30),
        in its own unit otherwise (default 1).
    neutral : float, optional
        Score that is neither good nor bad; default the middle between the lowest and the
        highest score seen.

    Returns
    -------
    DataFrame
        ``customer, n`` (ratings), then ``first, worst, best, peak`` (farthest from
        neutral, the later of two), ``end, mean, peak_end`` (mean of the two) and
        ``half_life`` (mean weighted by 2^(−age/half-life), age before the last rating).

    Raises
    ------
    ValueError
        For unknown columns, a row without customer or order, or a half-life that is not
        over 0.
    TypeError
        For text scores or text order.

    References
    ----------
    Kahneman, Fredrickson, Schreiber & Redelmeier (1993), Psychological Science 4, 401–405.

    Examples
    --------
    >>> ratings = pd.DataFrame({"customer": "a", "stage": [1, 2, 3], "score": [8, 2, 10]})
    >>> journey = journey_composites(ratings, "score", customer="customer", order="stage")
    >>> journey[["first", "peak", "end", "peak_end"]].values.tolist()
    [[8.0, 10.0, 10.0, 10.0]]
    """
    rows, span = _ordered(data, score, customer, order)
    wait = (30.0 if span == "days" else 1.0) if half_life is None else half_life
    if not wait > 0:
        raise ValueError(f"`half_life` must be over 0; got {wait}. Give days, such as 30.")
    if neutral is None:
        neutral = (rows["score"].min() + rows["score"].max()) / 2
    grouped = rows.groupby("customer", sort=True)
    table = pd.DataFrame({"n": grouped.size()})
    table["first"] = grouped["score"].first()
    table["worst"], table["best"] = grouped["score"].min(), grouped["score"].max()
    table["peak"] = _peaks(rows, neutral)
    table["end"], table["mean"] = grouped["score"].last(), grouped["score"].mean()
    table["peak_end"] = (table["peak"] + table["end"]) / 2
    age = grouped["order"].transform("max") - rows["order"]
    rows["weight"] = np.exp2(-age / wait)
    rows["product"] = rows["weight"] * rows["score"]
    sums = rows.groupby("customer")[["product", "weight"]].sum()
    table["half_life"] = sums["product"] / sums["weight"]
    return table.reset_index()


def compare_journeys(
    data: Any,
    score: str,
    outcome: str,
    *,
    customer: str,
    order: str,
    half_life: float | None = None,
    neutral: float | None = None,
    folds: int = 10,
    level: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Let composites of a journey predict the overall score of held-out customers.

    Parameters
    ----------
    data, score, customer, order, half_life, neutral
        As for `journey_composites`.
    outcome : str
        Column of the customer's overall score, on any or all of the rows; the last one in
        order counts.
    folds : int
        Parts of the customers, each predicted from the others.
    level : float
    seed : int
        Which customer is in which fold.

    Returns
    -------
    DataFrame
        One row per composite, the best first: ``composite``; ``n`` (customers);
        ``estimate, se, ci_low, ci_high``: share of the outcome's variance predicted out of
        fold (below 0: worse than the mean of the others); ``rmse`` in units of the
        outcome; ``behind, behind_low, behind_high``: share by which it is behind the best;
        ``reading``; ``note``.

    Raises
    ------
    ValueError
        For unknown columns, or fewer customers than folds.
    TypeError
        For text scores or outcomes.

    Notes
    -----
    A straight line per composite, fitted without the fold's customers; R² = 1 − Σe²/Σb², b
    the error of predicting the other customers' mean. Its standard error linearises the
    ratio over customers, as does that of the difference from the best, so a composite is
    behind only if its interval says so.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> ratings = pd.DataFrame({"customer": np.repeat(range(60), 3), "stage": [1, 2, 3] * 60})
    >>> ratings["score"] = rng.integers(0, 11, 180)
    >>> ratings["overall"] = ratings["score"].where(ratings["stage"] == 3)  # the end decides
    >>> compare_journeys(ratings, "score", "overall", customer="customer", order="stage",
    ...                  half_life=0.5).loc[0, "composite"]
    'end'
    """
    check_level(level)
    journeys = journey_composites(
        data, score, customer=customer, order=order, half_life=half_life, neutral=neutral
    )
    answers = _outcomes(data, outcome, customer, order)
    whole = journeys.merge(answers, on="customer", how="inner")
    if not 2 <= folds <= len(whole):
        raise ValueError(
            f"`folds` must be from 2 to the number of customers with ratings and outcome, "
            f"{len(whole)}; got {folds}. Take fewer folds, or more customers."
        )
    fold = np.random.default_rng(seed).permutation(np.arange(len(whole)) % folds)
    target = whole["outcome"].to_numpy(float)
    base = _errors(np.zeros(len(whole)), target, fold)
    errors = {name: _errors(whole[name].to_numpy(float), target, fold) for name in COMPOSITES}
    return _table(errors, base, level)


def _opened_rows(data: Any, argument: str, column: str, customer: str, order: str) -> pd.DataFrame:
    """A column of numbers, the customer and the order, named by their arguments."""
    opened = open_frame(data, numbers={argument: column}, customer=customer, order=order)
    named = {argument: column, "customer": customer, "order": order}
    lazy = opened.lazy.select(**{key: nw.col(name) for key, name in named.items()})
    return collect_rows(lazy, data)


def _ordered(data: Any, score: str, customer: str, order: str) -> tuple[pd.DataFrame, str]:
    """Ratings by customer in order, and the unit of the order."""
    rows = _opened_rows(data, "score", score, customer, order)
    rows = rows.dropna(subset="score")
    for argument in ("customer", "order"):
        without = int(rows[argument].isna().sum())
        if without:
            raise ValueError(
                f"`{argument}` must be known for every rating; got {without:,} without. "
                "Leave those ratings out and say so."
            )
    rows["order"], span = _numbers(rows["order"], order)
    return rows.sort_values(["customer", "order"], kind="stable", ignore_index=True), span


def _numbers(values: pd.Series, name: str) -> tuple[pd.Series, str]:
    """The order as numbers, times in days, and the unit."""
    if pd.api.types.is_numeric_dtype(values):
        return values.astype(float), "steps"
    try:
        times = pd.to_datetime(values)
    except (ValueError, TypeError) as error:
        raise TypeError(
            f"`order` must be numbers or times; got '{values.iloc[0]}' in '{name}'. Give the "
            "stage's number or the time of the rating."
        ) from error
    seconds = (times - times.min()) / pd.Timedelta(seconds=1)
    return seconds / SECONDS_A_DAY, "days"


def _peaks(rows: pd.DataFrame, neutral: float) -> pd.Series:
    """Score farthest from neutral, the later of two that are equally far."""
    far = rows.assign(distance=(rows["score"] - neutral).abs())
    ordered = far.sort_values(["customer", "distance", "order"], kind="stable")
    return ordered.groupby("customer", sort=True)["score"].last()


def _outcomes(data: Any, outcome: str, customer: str, order: str) -> pd.DataFrame:
    """The last outcome of each customer."""
    rows = _opened_rows(data, "outcome", outcome, customer, order)
    answered = rows.dropna(subset=["outcome", "customer"])
    ordered = answered.sort_values(["customer", "order"], kind="stable")
    return ordered.groupby("customer", sort=True)["outcome"].last().reset_index()


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


def _table(errors: dict[str, Array], base: Array, level: float) -> pd.DataFrame:
    """One row per composite; ``base``: errors of predicting the others' mean."""
    names, n, total = list(errors), len(base), float((base**2).sum())
    table = pd.DataFrame({"composite": names, "n": n})
    if total == 0:
        blank = ("estimate", "se", "ci_low", "ci_high", "rmse")
        return table.assign(**dict.fromkeys(blank, np.nan), note="everyone gave the same outcome")
    squares = np.stack([errors[name] ** 2 for name in names], axis=1)
    r_squared = 1 - squares.sum(axis=0) / total
    # share of its error that each customer adds, less what the ratio expects
    influence = -(squares - base[:, None] ** 2 * (1 - r_squared)) / total
    units, _ = units_of_rows(pd.DataFrame(index=range(n)), Design())
    covariance = covariance_of_totals(influence, units)
    se, best = np.sqrt(np.diag(covariance)), int(np.argmax(r_squared))
    variance = np.diag(covariance) + covariance[best, best] - 2 * covariance[best]
    quantile = float(t_quantile(level, n - 1))
    gap, half = r_squared[best] - r_squared, quantile * np.sqrt(np.maximum(variance, 0))
    table["estimate"], table["se"] = r_squared, se
    table["ci_low"], table["ci_high"] = r_squared - quantile * se, r_squared + quantile * se
    table["rmse"] = np.sqrt(squares.mean(axis=0))
    table["behind"], table["behind_low"], table["behind_high"] = gap, gap - half, gap + half
    table["reading"] = np.where(gap - half > 0, "behind", "not told apart from the best")
    table.loc[best, "reading"] = "best"
    table["note"] = ""
    if total**2 / (base**4).sum() < FEW_DIFFERENT:
        table[["se", "ci_low", "ci_high", "behind_low", "behind_high"]] = np.nan
        table["reading"] = "not compared"
        table["note"] = "no interval: it rests on the few customers whose outcome differs"
    return table.sort_values("estimate", ascending=False, kind="stable", ignore_index=True)
