"""Differences in staying between scores: unadjusted beside adjusted, and their asymmetry."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy.special import stdtr

from cxlab.core.design import Design, DesignLike
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE, hidden_groups
from cxlab.core.display import with_display
from cxlab.core.messages import unknown
from cxlab.stats.inference import adjust_family, deciding_interval, t_quantile
from cxlab.stats.outcomes.follow_up import DAYS, LEFT, FollowUp
from cxlab.stats.outcomes.retention import (
    NPS_CATEGORIES,
    Range,
    categories_of,
    opened_follow_up,
    stay,
)
from cxlab.stats.outcomes.survival import check_times, cluster_sums, pseudo_values

Array = NDArray[np.float64]
PER_POINT = "per score point"
UNADJUSTED, ADJUSTED = "unadjusted", "adjusted"


def retention_differences(
    followed: FollowUp,
    score: str,
    *,
    horizon: float = 180,
    adjust: Sequence[str] = (),
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
    adjust : sequence of str
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
    customer more on either side instead of none. The E-value is how strongly, as a risk ratio, something
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
    _check_adjust(rows, adjust)
    weight = rows[known.weights].to_numpy(float) if known.weights else None
    values = 100 * pseudo_values(stay(rows, known, horizon), weight)
    category = categories_of(rows[score], categories)
    sizes = rows.groupby(category)[known.cluster].nunique()
    names = [name for name in categories if sizes.get(name, 0)]
    gone_too = hidden_groups(sizes[names].to_numpy(float), min_group_size)
    shown = {name for i, name in enumerate(names) if i not in gone_too}
    pairs = [(high, low) for i, low in enumerate(names) for high in names[i + 1 :]]
    cells = _category_cells(rows, category, names, known, horizon)
    sizes = _known_sizes(rows, category, sizes, cells, known, horizon)
    found = []
    for words, others in ((UNADJUSTED, []), (ADJUSTED, list(adjust))):
        if words == ADJUSTED and not others:
            continue
        beside = _columns(rows, others)
        line = pd.concat([rows[[score]].astype(float), beside], axis=1)
        fit = _fit(values, line, rows, known, weight)
        units = rows[known.cluster].nunique()
        slope = _row(fit, [score], [1.0], level, units)
        found.append((PER_POINT, words, *slope, np.nan, np.nan))
        steps = pd.get_dummies(category, dtype=float)[names[1:]]
        fit = _fit(values, pd.concat([steps, beside], axis=1), rows, known, weight)
        for high, low in pairs:
            chosen, signs = ([high], [1.0]) if low == names[0] else ([high, low], [1.0, -1.0])
            doubt = (
                e_values(cells[low], cells[high], level) if words == UNADJUSTED else (np.nan,) * 2
            )
            few, lacking = min(sizes[high], sizes[low]), _lacking_spread(cells, sizes, high, low)
            row = _row(fit, chosen, signs, level, units, df=few - 1, lacking=lacking)
            found.append((f"{high} less {low}", words, *row, *doubt))
    columns = [
        "contrast", "adjusted", "n", "estimate", "se", "ci_low", "ci_high", "df", "p_value",
        "e_value", "e_value_low",
    ]  # fmt: skip
    table = pd.DataFrame(found, columns=columns)
    hidden = [f"{high} less {low}" for high, low in pairs if not {high, low} <= shown]
    return with_display(
        _with_decisions(table[~table["contrast"].isin(hidden)].reset_index(drop=True)),
        caption=f"Differences in staying {horizon:g} days",
        columns=("contrast", "adjusted", "estimate", "e_value"),
        headers={"contrast": "Difference", "adjusted": "Adjusted", "estimate": "Percentage points",
                 "e_value": "E-value"},
        units={"estimate": "+points"}, reference={"estimate": 0.0}, level=level,
    )  # fmt: skip


def _with_decisions(table: pd.DataFrame) -> pd.DataFrame:
    """Categories are a family, unadjusted and adjusted each its own; the slope is one alone."""
    found = table.assign(p_adjusted=table["p_value"], deciding_low=np.nan, deciding_high=np.nan)
    family = (table["contrast"] == PER_POINT).astype(str) + table["adjusted"]
    for _, part in table.groupby(family):
        p_adjusted = adjust_family(part["p_value"], method="holm")
        low, high = deciding_interval(
            part["estimate"], part["se"], part["df"], part["p_value"], p_adjusted
        )
        found.loc[part.index, "p_adjusted"] = p_adjusted
        found.loc[part.index, "deciding_low"] = low
        found.loc[part.index, "deciding_high"] = high
    return found


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


def _fit(
    values: Array, columns: pd.DataFrame, rows: pd.DataFrame, known: Design, weight: Array | None
) -> Any:
    import statsmodels.api as sm  # slow to import

    weights = np.ones(len(rows)) if weight is None else weight
    model = sm.WLS(values, sm.add_constant(columns), weights=weights)
    groups = pd.factorize(rows[known.cluster])[0]
    return model.fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)


def _row(
    fit: Any,
    names: list[str],
    signs: list[float],
    level: float,
    units: int,
    *,
    df: float | None = None,
    lacking: float = 0.0,
) -> tuple[float, ...]:
    """Contrast of coefficients, with ``lacking`` variance added."""
    estimate = float(fit.params[names] @ signs)
    variance = float(np.asarray(signs) @ fit.cov_params().loc[names, names].to_numpy() @ signs)
    se = np.sqrt(variance + lacking)
    df = float(fit.df_resid_inference if df is None else df)
    width = float(t_quantile(level, df)) * se
    known = se > 0 and df >= 1
    p_value = 2 * float(stdtr(df, -abs(estimate / se))) if known else np.nan
    return (units, estimate, se, estimate - width, estimate + width, df, p_value)


def _known_sizes(
    rows: pd.DataFrame,
    category: pd.Series,
    sizes: pd.Series,
    cells: Mapping[str, tuple[float, Array]],
    known: Design,
    horizon: float,
) -> pd.Series:
    """Customers of each category; of those without variance only who was followed so long."""
    told = (rows[DAYS] >= horizon) | (rows[LEFT].astype(float) > 0)
    followed = rows[told].groupby(category[told])[known.cluster].nunique()
    alike = [name for name, (_, influence) in cells.items() if influence @ influence < 1e-14]
    found = sizes.copy()
    found[alike] = followed.reindex(alike, fill_value=0)
    return found


def _lacking_spread(
    cells: Mapping[str, tuple[float, Array]], sizes: pd.Series, *names: str
) -> float:
    """Variance of categories in which all stayed or all left, which show none of their own."""
    total = 0.0
    for name in names:
        stay, influence = cells[name]
        if influence @ influence < 1e-14:
            share = (stay * sizes[name] + 1) / (sizes[name] + 2)
            total += 1e4 * share * (1 - share) / (sizes[name] + 2)
    return total


def _category_cells(
    rows: pd.DataFrame, category: pd.Series, names: Sequence[str], known: Design, horizon: float
) -> dict[str, tuple[float, Array]]:
    """Of each category, the share that stays and the influence of every cluster."""
    clusters = rows[known.cluster]
    found = {}
    for name in names:
        inside = (category == name).to_numpy()
        one = stay(rows[inside], known, horizon)
        spread = np.zeros(len(rows))
        spread[inside] = one.influence
        found[name] = (one.estimate, cluster_sums(spread, clusters))
    return found


def e_values(
    low: tuple[float, Array], high: tuple[float, Array], level: float = 0.95
) -> tuple[float, float]:
    """E-value of the risk ratio of leaving, and that of its interval's limit nearer to 1.

    Parameters
    ----------
    low, high : (float, ndarray)
        Share staying, and the influence of each cluster on it, of the two categories.
    level : float

    Examples
    --------
    A risk ratio of 2: 2 + √2.

    >>> round(e_values((0.8, np.zeros(2)), (0.9, np.zeros(2)))[0], 3)
    3.414
    """
    leaving, others = 1 - low[0], 1 - high[0]
    if not (leaving > 0 and others > 0):
        return (np.nan, np.nan)
    ratio = leaving / others
    spread = low[1] / leaving - high[1] / others
    units = len(spread)
    width = t_quantile(level, units - 1) * np.sqrt(units / (units - 1) * spread @ spread)
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
    Fieller's interval, on the clusters' influence and Student's t.

    References
    ----------
    Fieller (1954), JRSS B 16, 175–185.
    """
    if len(categories) != 3:
        raise ValueError(f"`categories` must be three, the worst first; got {len(categories)}.")
    rows, known = opened_follow_up(followed, score, design=design)
    check_times(rows[DAYS], rows[LEFT], horizon, DAYS)
    category = categories_of(rows[score], categories)
    names = list(categories)
    columns = ["n", "below", "above", "estimate", "ci_low", "ci_high", "note"]
    sizes = rows.groupby(category)[known.cluster].nunique().reindex(names, fill_value=0)
    if sizes.min() < max(min_group_size, 1):
        note = f"hidden: fewer than {min_group_size} customers in a category"
        return pd.DataFrame([[pd.NA, *[np.nan] * 5, note]], columns=columns)
    cells = _category_cells(rows, category, names, known, horizon)
    (low, ifs_low), (middle, ifs_middle), (high, ifs_high) = (cells[name] for name in names)
    below, above = middle - low, high - middle
    spread = np.column_stack([ifs_middle - ifs_low, ifs_high - ifs_middle])
    units = len(spread)
    covariance = spread.T @ spread * units / (units - 1)
    sizes = _known_sizes(rows, category, sizes, cells, known, horizon)
    least, centre, most = (_lacking_spread(cells, sizes, name) / 1e4 for name in names)
    covariance += [[least + centre, -centre], [-centre, centre + most]]
    limits = fieller(below, above, covariance, float(t_quantile(level, sizes.min() - 1)))
    note = "" if limits else "not identified: what the highest category adds could be nothing"
    ratio = below / above if limits else np.nan
    return pd.DataFrame(
        [[units, 100 * below, 100 * above, ratio, *(limits or (np.nan, np.nan)), note]],
        columns=columns,
    )


def fieller(
    above: float, below: float, covariance: Array, quantile: float
) -> tuple[float, float] | None:
    """Limits of a ratio; None where its interval has no bounds.

    Parameters
    ----------
    above, below : float
        Numerator and denominator.
    covariance : ndarray of float, shape (2, 2)
    quantile : float
        Of the two-sided interval.

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
