"""Which driver counts more: than another driver, in another group, for another outcome."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.estimands import Options, Users, among_users
from cxlab.stats.drivers.replicates import Resample, replicate_test, spread
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.subsets import all_r_squared, subset_sums
from cxlab.stats.inference import adjust_p_values

Array = np.ndarray

COMPLEMENT = "all others"
COMPARISONS = ("complement", "pairs")
SHARES = ("share", "share_low", "share_high")
#: Adjusted p below which two shares are shown to differ.
LEVEL = 0.05
#: Most drivers for complete dominance, which compares every pair in every subset.
MOST_COMPLETE = 16


@dataclass(frozen=True, eq=False)
class Dominance:
    """Conditional and complete dominance.

    Attributes
    ----------
    conditional : DataFrame
        ``driver, label`` and one column per number of other drivers in the model
        (0, 1, …): the mean gain of R². Its row mean is LMG.
    complete : DataFrame
        One row per ordered pair: ``driver, against, share`` (of the subsets of the other
        drivers, those to which the driver adds more), ``dominance`` ("complete",
        "conditional", "general" or "").
    """

    conditional: pd.DataFrame
    complete: pd.DataFrame

    def __str__(self) -> str:
        return f"{self.conditional.round(3)}\n{self.complete.round(3)}"

    def _repr_html_(self) -> str:
        return self.conditional.round(3).to_html(index=False)


@one_blas_thread
def dominance(analysis: DriverAnalysis, *, group: object = None) -> Dominance:
    """Conditional and complete dominance: which driver adds more, whatever else is in the model.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`.
    group : optional
        With ``by``: which group.

    Returns
    -------
    Dominance
        ``complete`` is empty above 16 drivers.

    References
    ----------
    Azen & Budescu (2003), Psychological Methods 8, 129–148.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 3],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> found = dominance(drivers(answers, "overall", ["food", "wifi"], interval=None))
    >>> found.complete[["driver", "against", "share", "dominance"]]
      driver against  share dominance
    0   food    wifi    1.0  complete
    1   wifi    food    0.0
    """
    table = analysis.part(group)
    covariance = analysis.covariances[analysis.group(group)]
    correlation = to_correlation(covariance.to_numpy())
    conditional = subset_sums(correlation).conditional[0]
    names, labels = table["driver"], table["label"]
    sizes = pd.DataFrame(conditional, columns=range(len(names)))
    left = pd.DataFrame({"driver": names, "label": labels})
    complete = _dominating_pairs(correlation, conditional, list(names))
    return Dominance(pd.concat([left, sizes], axis=1), complete)


def _dominating_pairs(correlation: Array, conditional: Array, names: list[str]) -> pd.DataFrame:
    columns = ["driver", "against", "share", "dominance"]
    if len(names) > MOST_COMPLETE:
        return pd.DataFrame(columns=columns)
    share = complete_dominance(correlation)
    rows = [
        (one, two, share[i, j], _kind(share[i, j], conditional[i], conditional[j]))
        for i, one in enumerate(names)
        for j, two in enumerate(names)
        if i != j
    ]
    return pd.DataFrame(rows, columns=columns)


def complete_dominance(correlation: Array) -> Array:
    """Share of subsets of the others to which driver i adds more than driver j, at [i, j].

    1: i dominates j completely. 0 on the diagonal.
    """
    r2 = all_r_squared(correlation)
    count = len(correlation) - 1
    subsets = np.arange(len(r2))
    share = np.zeros((count, count))
    for i in range(count):
        for j in range(i):
            without = subsets[(subsets >> i & 1 == 0) & (subsets >> j & 1 == 0)]
            difference = r2[without | 1 << i] - r2[without | 1 << j]
            share[i, j] = (difference > 0).mean()
            share[j, i] = (difference < 0).mean()
    return share


def _kind(share: float, one: Array, two: Array) -> str:
    if share == 1:
        return "complete"
    if (one > two).all():
        return "conditional"
    return "general" if one.mean() > two.mean() else ""


def share_differences(
    answers: Answers,
    fits: dict[object, Users],
    unit: Array,
    resample: Resample,
    options: Options,
    compare: str,
) -> pd.DataFrame:
    """Difference of each driver's share between two groups, with its test.

    Replicates are common to both groups, so clusters that they share are counted once.
    """
    parts = []
    for group, other, one, two in _group_pairs(answers, fits, unit, resample, options, compare):
        names = one.answers.names
        facts = {
            "group": group,
            "against": other,
            "driver": names,
            "label": [one.answers.labels[name] for name in names],
            "n": one.answers.n,
            "n_against": two.answers.n,
        }
        estimate = one.importance.shares - two.importance.shares
        drawn = one.importance.share_replicates - two.importance.share_replicates
        df = min(one.df, two.df)
        tested = _tested(estimate, drawn, resample.kind, df, options.level)
        parts.append(pd.DataFrame({**facts, **tested}))
    if not parts:
        return pd.DataFrame()
    table = pd.concat(parts, ignore_index=True)
    table["p_adjusted"] = adjust_p_values(
        table["p_value"].to_numpy(), method="bh" if compare == "complement" else "by"
    )
    return table


def _group_pairs(
    answers: Answers,
    fits: dict[object, Users],
    unit: Array,
    resample: Resample,
    options: Options,
    compare: str,
) -> Iterator[tuple[object, object, Users, Users]]:
    if compare == "pairs" or len(fits) == 2:
        for one, two in combinations(fits, 2):
            yield one, two, fits[one], fits[two]
        return
    for value, users in fits.items():
        rest = ~answers.in_group(value)
        others = among_users(answers.rows(rest), unit[rest], resample, options)
        yield value, COMPLEMENT, users, others


def _tested(estimate: Array, drawn: Array, kind: str, df: float, level: float) -> dict[str, Array]:
    """Differences of shares with standard error, interval and p-value."""
    around = spread(estimate, drawn, kind, df=df, level=level)
    return {
        "estimate": estimate,
        **around.columns(),
        "p_value": replicate_test(estimate, around.se, drawn, kind, df=df),
    }


def compare_outcomes(first: DriverAnalysis, second: DriverAnalysis) -> pd.DataFrame:
    """Shares of the same drivers for two outcomes, and whether they differ.

    Parameters
    ----------
    first, second : DriverAnalysis
        Without groups, of the same answers, drivers, design, replicates and seed. A driver
        that one of them set aside is null there.

    Returns
    -------
    DataFrame
        One row per driver in the first one's order: ``driver``, ``label``; per outcome
        ``OUTCOME_share``, ``OUTCOME_share_low``, ``OUTCOME_share_high``,
        ``OUTCOME_rank_low``, ``OUTCOME_rank_high``; ``apart``: whether ``p_adjusted`` is
        below .05; ``estimate, se, ci_low, ci_high`` of the difference of the shares (first
        less second), ``p_value`` and ``p_adjusted`` (Benjamini–Hochberg over the drivers).
        OUTCOME is the outcome's column; with its scale where both are of one column
        (``recommend_continuous``, ``recommend_nps``). Without replicates ``apart`` is null.

    Raises
    ------
    ValueError
        When both are of the same outcome on the same scale, one has groups, shares are of
        different kinds, or the replicates are not of one resampling.

    Notes
    -----
    The same people gave both outcomes, so the difference is taken in every replicate.
    Intervals of the two shares may overlap where the difference is clear (Schenker
    & Gentleman 2001, The American Statistician 55, 182–186).

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 5],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3], "again": [2, 2, 1, 5, 4, 4, 3, 5]})
    >>> two = [drivers(answers, y, ["food", "wifi"], interval=None) for y in ("overall", "again")]
    >>> compare_outcomes(*two)[["driver", "overall_share", "again_share", "estimate"]].round(2)
      driver  overall_share  again_share  estimate
    0   food           0.79         0.15      0.64
    1   wifi           0.21         0.85     -0.64
    """
    names = _outcome_names(first, second)
    _check_pair(first, second, names)
    left = first.part().set_index("driver")
    right = second.part().set_index("driver")
    table = left[["label"]].copy()
    for outcome, part in zip(names, (left, right), strict=True):
        for column in (*SHARES, "rank_low", "rank_high"):
            table[f"{outcome}_{column}"] = part[column]
    differences = _outcome_differences(first, second)
    apart = (differences["p_adjusted"] < LEVEL).astype("boolean")
    table["apart"] = apart.where(differences["p_adjusted"].notna())
    return table.join(differences).reset_index()


def _outcome_names(first: DriverAnalysis, second: DriverAnalysis) -> list[str]:
    if first.outcome == second.outcome:
        return [f"{one.outcome}_{one.outcome_scale}" for one in (first, second)]
    return [first.outcome, second.outcome]


def _check_pair(first: DriverAnalysis, second: DriverAnalysis, names: list[str]) -> None:
    if names[0] == names[1]:
        raise ValueError(
            f"`second` must be of another outcome than `first`; got '{first.outcome}' twice."
        )
    kinds = [(one.method, "adjusted" if one.adjusted else "raw") for one in (first, second)]
    if kinds[0] != kinds[1]:
        raise ValueError(
            f"`second` must share R² like `first`; got {' '.join(kinds[1])} beside "
            f"{' '.join(kinds[0])}. Take one method and one `adjusted`."
        )
    one, two = (analysis.replicates[analysis.group()] for analysis in (first, second))
    if one.source != two.source:
        raise ValueError(
            "`second` must come from the same answers and resampling as `first`; got another. "
            "Give both the same data, drivers, design, interval, replicates and seed."
        )


def _outcome_differences(first: DriverAnalysis, second: DriverAnalysis) -> pd.DataFrame:
    """Difference of the shares of the drivers that both have, in the first one's order."""
    both = [name for name in first.part()["driver"] if name in set(second.table["driver"])]
    shares, drawn = [], []
    for analysis in (first, second):
        part = analysis.part()
        places = pd.Index(part["driver"]).get_indexer(both)
        shares.append(part["share"].to_numpy(dtype=float)[places])
        drawn.append(analysis.replicates[analysis.group()].share[:, places])
    estimate, replicates = shares[0] - shares[1], drawn[0] - drawn[1]
    df = min(first.df, second.df)
    tested = _tested(estimate, replicates, first.interval, df, first.level)
    table = pd.DataFrame(tested, index=pd.Index(both, name="driver"))
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy())
    return table
