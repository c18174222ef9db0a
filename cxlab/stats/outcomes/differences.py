"""Differences in staying between scores: unadjusted beside adjusted, and their asymmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy.special import stdtr

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE, hidden_groups
from cxlab.core.display import with_display
from cxlab.core.frames import as_list
from cxlab.core.messages import unknown
from cxlab.stats.inference import effective_number, t_quantile, with_decisions
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.retention import (
    LESS,
    NPS_CATEGORIES,
    PER_POINT,
    Range,
    categories_of,
    opened_follow_up,
    stay,
)
from cxlab.stats.outcomes.survival import (
    NO_VARIANCE,
    check_times,
    cluster_sums,
    pseudo_values,
)

Array = NDArray[np.float64]
UNADJUSTED, ADJUSTED = "unadjusted", "adjusted"
#: Effective customers behind a slope, and leavers (or stayers) among them, that are few.
FEW_CARRIERS, FEW_EVENTS = 20, 5


def retention_differences(
    followed: FollowUp,
    score: str,
    *,
    horizon: float = 180,
    adjust: str | Sequence[str] = (),
    design: DesignLike = None,
    categories: Mapping[str, Range] = NPS_CATEGORIES,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """How much more often customers stay, per score point and from category to category.

    Parameters
    ----------
    followed, score, horizon, design, categories
        As for `cxlab.retention_by_score`.
    adjust : str or sequence of str
        Columns that are known before the answer, such as tenure, value or segment: numbers as
        they are, texts as groups, blank being one of them.
    level : float
    min_group_size : int
        Contrasts of a category of fewer customers are left out, and of one that would give it
        back.

    Returns
    -------
    DataFrame
        One row per contrast, unadjusted and (with ``adjust``) adjusted: ``contrast``
        (``per score point``, or the higher category less the lower), ``adjusted``
        (``unadjusted``, ``adjusted``), ``n`` (customers), ``estimate`` (percentage points),
        ``se``, ``ci_low``, ``ci_high``, ``df``, ``p_value``, ``p_adjusted`` (Holm, over the
        categories), ``deciding_low``, ``deciding_high`` (the interval that excludes 0 just where
        ``p_adjusted`` is below .05); of the categories ``e_value`` and ``e_value_low``
        (unadjusted only).

    Raises
    ------
    ValueError
        For an unknown column, or missing values of a number that is adjusted for.

    Notes
    -----
    Weighted least squares of pseudo-values (Andersen et al. 2003) with a variance robust to
    clusters, G/(G − 1)·(n − 1)/(n − k), and Student's t with G − 1 degrees of freedom: see
    statsmodels' ``cov_type="cluster"``. Of two categories the degrees of freedom are those of
    the smaller one; a category in which all stayed, or all left, takes the variance of one
    customer more on either side instead of none. A slope that few customers, or few leavers,
    carry has their degrees of freedom (effective customers less one), and a variance not below
    that of a slope where the score makes no difference. The E-value is how strongly, as a risk ratio, something
    that was not adjusted for would have to go with both the score and leaving to make all of the
    difference (``e_value_low``: of the interval's nearer limit).

    References
    ----------
    Andersen, Klein & Rosthøj (2003), Biometrika 90, 15–27. VanderWeele & Ding (2017), Annals of
    Internal Medicine 167, 268–274.

    Examples
    --------
    >>> from cxlab.stats.outcomes import follow_up
    >>> answers = pd.DataFrame({"id": range(40), "day": pd.Timestamp("2025-01-01"),
    ...                         "recommend": [3] * 20 + [9] * 20})
    >>> gone = [pd.Timestamp("2025-02-01")] * 5 + [None] * 34 + [pd.Timestamp("2025-02-01")]
    >>> customers = pd.DataFrame({"id": range(40), "gone": pd.to_datetime(gone)})
    >>> linked = follow_up(
    ...     answers, customers, customer="id", answered="day", left="gone", until="2025-12-31")
    >>> retention_differences(linked, "recommend")[["contrast", "estimate"]].round(1)
                         contrast  estimate
    0             per score point       3.3
    1  promoters less detractors      20.0
    """
    rows, known = opened_follow_up(followed, score, design=design)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    adjust = as_list(adjust)
    _check_adjust(rows, adjust)
    category = categories_of(rows[score], categories)
    cells = category_cells(rows, category, categories, known, horizon)
    table = pd.concat(
        _contrasts(rows, score, category, cells, names, known, horizon, level)
        for names in ([], adjust)[: 2 if adjust else 1]
    )
    table = table.reset_index(drop=True)
    few = hidden_groups(np.array([cell.n for cell in cells.values()], float), min_group_size)
    hidden = {list(cells)[i] for i in few}
    kept = [not hidden & set(contrast.split(LESS)) for contrast in table["contrast"]]
    table = table[kept].reset_index(drop=True)
    # categories are a family, unadjusted and adjusted each its own; the slope is one alone
    families = [table["contrast"] == PER_POINT, table["adjusted"]]
    return with_display(
        with_decisions(table, families, method="holm"),
        caption=f"Differences in staying {horizon:g} days",
        columns=("contrast", "adjusted", "estimate", "e_value"),
        headers={"contrast": "Difference", "adjusted": "Adjusted", "estimate": "Percentage points",
                 "e_value": "E-value"},
        units={"estimate": "+points"}, reference={"estimate": 0.0}, level=level,
    )  # fmt: skip


def _contrasts(
    rows: pd.DataFrame,
    score: str,
    category: pd.Series,
    cells: Mapping[str, Cell],
    adjust: list[str],
    known: Design,
    horizon: float,
    level: float,
) -> pd.DataFrame:
    """Per score point, and of each pair of categories."""
    weight = rows[known.weights].to_numpy(float) if known.weights else np.ones(len(rows))
    values = 100 * pseudo_values(stay(rows, known, horizon), weight)
    groups, beside = rows[known.cluster], _columns(rows, adjust)
    line = pd.concat([rows[[score]].astype(float), beside], axis=1)
    fit = _fit(values, line, groups, weight)
    slope = _row(fit, {score: 1.0}, level, **_few_carriers(fit, values, line, groups, weight))
    found = [(PER_POINT, *slope, np.nan, np.nan)]
    lowest, *others = cells
    steps = pd.get_dummies(category, dtype=float)[others]
    fit = _fit(values, pd.concat([steps, beside], axis=1), groups, weight)
    for low, high in combinations(cells, 2):
        signs = {high: 1.0} if low == lowest else {high: 1.0, low: -1.0}
        one, other = cells[low], cells[high]
        lacking = 1e4 * (one.lacking + other.lacking)
        row = _row(fit, signs, level, df=min(one.told, other.told) - 1, lacking=lacking)
        doubt = (np.nan, np.nan) if adjust else e_values(one, other, level)
        found.append((f"{high}{LESS}{low}", *row, *doubt))
    columns = [
        "contrast", "estimate", "se", "ci_low", "ci_high", "df", "p_value", "e_value", "e_value_low",
    ]  # fmt: skip
    table = pd.DataFrame(found, columns=columns)
    table.insert(1, "adjusted", ADJUSTED if adjust else UNADJUSTED)
    table.insert(2, "n", groups.nunique())
    return table


def _check_adjust(rows: pd.DataFrame, adjust: Sequence[str]) -> None:
    for name in adjust:
        if name not in rows:
            raise ValueError(unknown("adjust", name, rows.columns))
        lacking = int(rows[name].isna().sum()) if is_numeric_dtype(rows[name]) else 0
        if lacking:
            raise ValueError(
                f"`adjust` must be numbers without missing values; got {lacking:,} in '{name}'. Leave it "
                "out, or fill it before."
            )


def _columns(rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Numbers as they are, texts as indicators of all groups but the first; blank is a group."""
    if not names:
        return pd.DataFrame(index=rows.index)
    found = pd.get_dummies(rows[list(names)], drop_first=True, dummy_na=True, dtype=float)
    return found.loc[:, found.any() | found.columns.isin(names)]


def _fit(values: Array, columns: pd.DataFrame, clusters: pd.Series, weights: Array) -> Any:
    import statsmodels.api as sm  # slow to import

    model = sm.WLS(values, sm.add_constant(columns), weights=weights)
    groups = pd.factorize(clusters)[0]
    return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)


def _row(
    fit: Any,
    signs: Mapping[str, float],
    level: float,
    *,
    df: float | None = None,
    lacking: float = 0.0,
) -> tuple[float, ...]:
    """Contrast of coefficients, with ``lacking`` variance added."""
    names, sign = list(signs), np.array(list(signs.values()))
    estimate = float(fit.params[names] @ sign)
    se = np.sqrt(float(sign @ fit.cov_params().loc[names, names].to_numpy() @ sign) + lacking)
    df = float(fit.df_resid_inference if df is None else df)
    width = float(t_quantile(level, df)) * se
    known = se > 0 and df >= 1
    p_value = 2 * float(stdtr(df, -abs(estimate / se))) if known else np.nan
    return (estimate, se, estimate - width, estimate + width, df, p_value)


def _few_carriers(
    fit: Any, values: Array, columns: pd.DataFrame, clusters: pd.Series, weights: Array
) -> dict[str, float]:
    """Degrees of freedom and lacking variance of the first column's slope, where few carry it.

    Of 300 customers 3 of whom scored low, the slope is known as from 3; where these all stayed, a
    robust variance shows none of theirs. It is then not less than that of everybody alike.
    """
    root = np.sqrt(weights)[:, None]
    others = root * np.column_stack([np.ones(len(columns)), columns.iloc[:, 1:]])
    own = root[:, 0] * columns.iloc[:, 0].to_numpy()
    left = own - others @ np.linalg.lstsq(others, own, rcond=None)[0]
    pull = cluster_sums(np.abs(left * root[:, 0]), clusters) / max(left @ left, 1e-300)
    carried = effective_number(pull**2) - 1
    mean = np.average(values, weights=weights)
    told, known = (cluster_sums(one, clusters) for one in (weights * values, weights))
    means = np.divide(told, known, out=np.zeros(len(told)), where=known > 0)
    stay = np.average(means, weights=pull**2) / 100 if pull.any() else 0.0
    if carried >= FEW_CARRIERS and min(stay, 1 - stay) * (carried + 1) >= FEW_EVENTS:
        return {}
    alike = np.average((values - mean) ** 2, weights=weights) * (pull**2).sum()
    shown = float(fit.cov_params().loc[columns.columns[0], columns.columns[0]])
    return {"df": min(carried, fit.df_resid_inference), "lacking": max(alike - shown, 0.0)}


@dataclass(frozen=True, eq=False)
class Cell:
    """Of a category: share that stays, influence of each cluster of all, customers.

    ``told``: customers who tell; where all stayed, or all left, only those followed so long.
    """

    share: float
    influence: Array
    n: int
    told: int

    @property
    def lacking(self) -> float:
        """Variance where the answers show none: of one customer more on either side."""
        if self.influence @ self.influence >= NO_VARIANCE:
            return 0.0
        share = (self.share * self.told + 1) / (self.told + 2)
        return share * (1 - share) / (self.told + 2)


def category_cells(
    rows: pd.DataFrame,
    category: pd.Series,
    categories: Mapping[str, Range],
    known: Design,
    horizon: float,
) -> dict[str, Cell]:
    """Cell of each category that somebody is in."""
    clusters = rows[known.cluster]
    ended = ((rows[DAYS] >= horizon) | rows[LEFT].astype(bool)).to_numpy()
    found = {}
    for name in categories:
        inside = (category == name).to_numpy()
        if not inside.any():
            continue
        one, spread = stay(rows[inside], known, horizon), np.zeros(len(rows))
        spread[inside] = one.influence
        influence = cluster_sums(spread, clusters)
        n = clusters[inside].nunique()
        alike = influence @ influence < NO_VARIANCE
        told = clusters[inside & ended].nunique() if alike else n
        found[name] = Cell(one.estimate, influence, n, told)
    return found


def e_values(low: Cell, high: Cell, level: float = 0.95) -> tuple[float, float]:
    """E-value of the risk ratio of leaving, and that of its interval's limit nearer to 1.

    Examples
    --------
    A risk ratio of 2: 2 + √2.

    >>> low, high = (Cell(share, np.zeros(2), 2, 2) for share in (0.8, 0.9))
    >>> round(e_values(low, high)[0], 3)
    3.414
    """
    leaving, others = 1 - low.share, 1 - high.share
    if not (leaving > 0 and others > 0):
        return (np.nan, np.nan)
    ratio = leaving / others
    spread = low.influence / leaving - high.influence / others
    units = len(spread)
    lacking = low.lacking / leaving**2 + high.lacking / others**2
    se = np.sqrt(units / (units - 1) * spread @ spread + lacking)
    width = t_quantile(level, min(low.told, high.told) - 1) * se
    limit = np.exp(np.log(ratio) - np.sign(np.log(ratio)) * width)
    crossed = (limit - 1) * (ratio - 1) <= 0
    return (_e_value(ratio), 1.0 if crossed else _e_value(float(limit)))


def _e_value(ratio: float) -> float:
    above = max(ratio, 1 / ratio)
    return float(above + np.sqrt(above * (above - 1)))


def asymmetry(
    followed: FollowUp,
    score: str,
    *,
    horizon: float = 180,
    design: DesignLike = None,
    categories: Mapping[str, Range] = NPS_CATEGORIES,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> pd.DataFrame:
    """Whether the lowest category stays less often by more than the highest stays more often.

    Parameters
    ----------
    followed, score, horizon, design, level
        As for `cxlab.retention_by_score`.
    categories : mapping of str to (low, high)
        Three of them, the worst first.
    min_group_size : int
        With a category of fewer customers nothing is shown.

    Returns
    -------
    DataFrame
        One row: ``n`` (customers), ``below`` (the middle category less the lowest, in percentage
        points), ``above`` (the highest less the middle), ``estimate`` (below ÷ above),
        ``ci_low``, ``ci_high``, ``note``. Where ``above`` could be 0 the ratio is not identified:
        the interval is blank and ``note`` says so.

    Notes
    -----
    Fieller's interval, on the clusters' influence and Student's t. As a set it holds the truth in
    95 % of studies, whatever the sizes; where it has no bounds nothing is claimed, so that with
    few customers what is said is wrong less often than in 5 %.

    References
    ----------
    Fieller (1954), JRSS B 16, 175–185.
    """
    if len(categories) != 3:
        raise ValueError(f"`categories` must be three, the worst first; got {len(categories)}.")
    rows, known = opened_follow_up(followed, score, design=design)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    category = categories_of(rows[score], categories)
    cells = list(category_cells(rows, category, categories, known, horizon).values())
    columns = ["n", "below", "above", "estimate", "ci_low", "ci_high", "note"]
    if len(cells) < 3 or min(cell.n for cell in cells) < min_group_size:
        note = f"hidden: fewer than {min_group_size} customers in a category"
        return pd.DataFrame([[pd.NA, *[np.nan] * 5, note]], columns=columns)
    below, above, covariance, quantile = steps_between(cells, level)
    limits = fieller(below, above, covariance, quantile)
    note = "" if limits else "not identified: what the highest category adds could be nothing"
    ratio = below / above if limits else np.nan
    units = len(cells[0].influence)
    return pd.DataFrame(
        [[units, 100 * below, 100 * above, ratio, *(limits or (np.nan, np.nan)), note]],
        columns=columns,
    )


def steps_between(cells: Sequence[Cell], level: float) -> tuple[float, float, Array, float]:
    """Step from the lowest to the middle category and on to the highest, covariance, quantile."""
    low, middle, high = cells
    moved = np.column_stack([middle.influence - low.influence, high.influence - middle.influence])
    covariance = moved.T @ moved * len(moved) / (len(moved) - 1)
    covariance += [
        [low.lacking + middle.lacking, -middle.lacking],
        [-middle.lacking, middle.lacking + high.lacking],
    ]
    quantile = float(t_quantile(level, min(cell.told for cell in cells) - 1))
    return middle.share - low.share, high.share - middle.share, covariance, quantile


def fieller(
    above: float, below: float, covariance: Array, quantile: float
) -> tuple[float, float] | None:
    """Limits of a ratio; None where its interval has no bounds.

    Examples
    --------
    6 ÷ 3 with variances of 1 and no covariance, at 1: the roots of 8r² − 36r + 35 = 0.

    >>> low, high = fieller(6.0, 3.0, np.eye(2), 1.0)
    >>> round(low, 4), round(high, 4)
    (1.4208, 3.0792)
    >>> fieller(6.0, 0.5, np.eye(2), 1.0) is None
    True
    """
    square = quantile**2
    a = below**2 - square * covariance[1, 1]
    b = above * below - square * covariance[0, 1]
    c = above**2 - square * covariance[0, 0]
    root = b**2 - a * c
    if a <= 0 or root < 0:
        return None
    return (float((b - np.sqrt(root)) / a), float((b + np.sqrt(root)) / a))
