"""What goes on from an analysis: dominance, NPS, and a change of one touchpoint's ratings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.result import Result
from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.replicates import replicate_test, spread
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.subsets import all_r_squared, subset_sums
from cxlab.stats.inference import decide_family, smallest_shown

Array = np.ndarray

SHARES = ("share", "share_low", "share_high")
#: Adjusted p below which two shares are shown to differ.
LEVEL = 0.05
Ends = tuple[float, float]
#: Rows that are shown.
MOST_SHOWN = 24
#: Without declared scales, drivers whose highest answers differ by more than this ratio are
#: taken to be on different scales.
ALIKE = 4 / 3
UNITS = {
    "continuous": "outcome points",
    "nps": "NPS points",
    "ordinal": "latent standard deviations",
    "binary": "latent standard deviations",
}
#: Most drivers for complete dominance, which compares every pair in every subset.
MOST_COMPLETE = 16


@dataclass(frozen=True, eq=False, kw_only=True)
class Dominance(Result):
    """Which driver adds more to R², whatever else is in the model.

    Attributes
    ----------
    table : DataFrame
        One row per ordered pair: ``driver, against, share`` (of the subsets of the other
        drivers, those to which the driver adds more), ``dominance`` ("complete",
        "conditional", "general" or "").
    conditional : DataFrame
        ``driver, label`` and one column per number of other drivers in the model
        (0, 1, …): the mean gain of R². Its row mean is LMG (general dominance).
    """

    conditional: pd.DataFrame


@one_blas_thread
def dominance(analysis: DriverAnalysis, *, group: object = None) -> Dominance:
    """Complete, conditional and general dominance of each driver over each other.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`; its raw R² is shared, also with ``by``.
    group : optional
        With ``by``: which group.

    Returns
    -------
    Dominance
        ``table`` is empty above 16 drivers.

    References
    ----------
    Azen & Budescu (2003), Psychological Methods 8, 129–148.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 3],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3]})
    >>> found = dominance(drivers(answers, "overall", ["food", "wifi"], replicates=0))
    >>> found.table[["driver", "against", "share", "dominance"]]
      driver against  share dominance
    0   food    wifi    1.0  complete
    1   wifi    food    0.0
    """
    part = analysis.part(group)
    correlation = to_correlation(analysis.covariances[analysis.group(group)].to_numpy())
    conditional = subset_sums(correlation).conditional[0]
    pairs = with_display(
        _dominating_pairs(correlation, conditional, list(part["driver"])),
        caption="Which touchpoint adds more than which, whatever else is in the model",
        columns=("driver", "against", "share", "dominance"),
        headers={"driver": "Touchpoint", "against": "Than", "share": "Adds more to",
                 "dominance": "Dominance"},
        labels=analysis.labels,
    )  # fmt: skip
    sizes = pd.DataFrame(conditional, columns=range(len(part)))
    return Dominance(table=pairs, conditional=part[["driver", "label"]].join(sizes))


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


def _tested(estimate: Array, drawn: Array, kind: str, df: float, level: float) -> dict[str, Array]:
    """Differences of shares with standard error, interval and p-value."""
    around = spread(estimate, drawn, kind, df=df, level=level)
    return {
        "estimate": estimate,
        **around.columns(),
        "p_value": replicate_test(estimate, around.se, drawn, kind, df=df),
    }


def compare_outcomes(analysis: DriverAnalysis) -> pd.DataFrame:
    """Shares of the same drivers for an outcome and for NPS, and whether they differ.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers` with ``advocacy``, without groups; no rows without either. A
        driver that one of them set aside is null there.

    Returns
    -------
    DataFrame
        One row per driver in the first one's order: ``driver``, ``label``; per outcome
        ``OUTCOME_share``, ``OUTCOME_share_low``, ``OUTCOME_share_high``,
        ``OUTCOME_rank_low``, ``OUTCOME_rank_high``; ``apart``: whether ``p_adjusted`` is
        below .05; ``estimate, se, ci_low, ci_high`` of the difference of the shares (first
        less second), ``p_value`` and ``p_adjusted`` (Benjamini–Hochberg over the drivers),
        ``deciding_low, deciding_high`` (the interval at the level that decides among so many)
        and ``smallest_seen`` (the true difference that would be shown four times in five).
        OUTCOME is the outcome's column; with its scale where both are of one column
        (``recommend_continuous``, ``recommend_nps``). Without replicates ``apart`` is null.

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
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3], "again": [2, 2, 1, 9, 7, 8, 3, 10]})
    >>> both = drivers(answers, "overall", ["food", "wifi"], advocacy="again", replicates=0)
    >>> compare_outcomes(both)[["driver", "overall_share", "again_share", "estimate"]].round(2)
      driver  overall_share  again_share  estimate
    0   food           0.79         0.08      0.71
    1   wifi           0.21         0.92     -0.71
    """
    first, second = analysis, analysis.advocacy
    if second is None:
        return pd.DataFrame(columns=["driver", "label", "apart", "estimate", "p_adjusted"])
    names = _outcome_names(first, second)
    left = first.part().set_index("driver")
    right = second.part().set_index("driver")
    table = left[["label"]].copy()
    for outcome, part in zip(names, (left, right), strict=True):
        for column in (*SHARES, "rank_low", "rank_high"):
            table[f"{outcome}_{column}"] = part[column]
    differences = _outcome_differences(first, second)
    apart = (differences["p_adjusted"] < LEVEL).astype("boolean")
    table["apart"] = apart.where(differences["p_adjusted"].notna())
    words = [one.labels.get(one.outcome, one.outcome) for one in (first, second)]
    shares = [f"{name}_share" for name in names]
    return with_display(
        table.join(differences).reset_index(),
        caption=f"Shares for {words[0]} and for {words[1]}",
        about="Of what the touchpoints explain of each; difference: the first less the second",
        columns=("label", *shares, "estimate", "apart"),
        headers={"label": "Touchpoint", "estimate": "Difference"}
        | dict(zip(shares, words, strict=True)),
        units={"estimate": "+share"} | dict.fromkeys(shares, "share"),
        bar=("estimate",),
        level=first.level,
    )


def _outcome_names(first: DriverAnalysis, second: DriverAnalysis) -> list[str]:
    if first.outcome == second.outcome:
        return [f"{one.outcome}_{one.outcome_scale}" for one in (first, second)]
    return [first.outcome, second.outcome]


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
    decided = decide_family(table.assign(df=df), method="bh")
    table["p_adjusted"], table["deciding_low"], table["deciding_high"] = decided
    table["smallest_seen"] = [smallest_shown(se, df, tests=len(table)) for se in table["se"]]
    return table


def what_if(
    analysis: DriverAnalysis, *, change: float = 1.0, scales: Mapping[str, Ends] | None = None
) -> pd.DataFrame:
    """What difference of the outcome goes with a change of one touchpoint's ratings.

    Parameters
    ----------
    analysis : DriverAnalysis
        From `cxlab.drivers`, without groups; NPS is added where it has ``advocacy``.
    change : float
        Change of each user's rating, up or down, as far as the scale goes; one driver at a
        time. In rating points; for drivers on different scales in standard deviations of their
        ratings (half a point on a scale of 1 to 100 says nothing).
    scales : mapping of driver to (lowest, highest), optional
        Ends of the scales, as in ``study.scales``. Default: the lowest and highest
        answers to each driver.

    Returns
    -------
    DataFrame
        One row per outcome × driver: ``outcome, driver, label, unit, change`` (rating
        points), ``n, estimate, se, ci_low, ci_high`` (difference of the mean of all, =
        reach × coefficient × ``moved``), ``estimate_users, users_low, users_high`` (of
        the mean of users), ``note, moved`` (by how much the users' mean rating moves
        when nobody passes the end of the scale).

    Raises
    ------
    ValueError
        For a scale whose lowest answer is not below its highest.

    Notes
    -----
    moved = E[min(x + δ, highest)] − E[x]; for a negative δ, E[max(x + δ, lowest)] − E[x].
    Where 60 % rate 5 of 5, half a point more for everyone can move the mean by .2 at most.

    An association in these answers, other drivers held equal: people who rate the driver so
    much higher also rate the outcome so much higher. Whether raising the rating would raise
    the outcome cannot be known from a survey.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({"food": [3, 4, 5, 5, 5] * 8})
    >>> answers["overall"] = 2 * answers["food"] + np.arange(40) % 2
    >>> table = what_if(drivers(answers, "overall", ["food"], replicates=100), change=0.5)
    >>> table[["driver", "change", "moved", "estimate"]].round(2)
      driver  change  moved  estimate
    0   food     0.5    0.2       0.4
    """
    every = [one for one in (analysis, analysis.advocacy) if one is not None]
    parts = [_what_if(one, change, scales or {}) for one in every]
    names = {one.outcome: one.labels.get(one.outcome, one.outcome) for one in every}
    return with_display(
        pd.concat(parts, ignore_index=True),
        caption="What goes with a higher rating of one touchpoint, as far as its scale leaves room",
        about="Other touchpoints equal; an association in these answers, not the effect of a change",
        columns=("outcome", "label", "unit", "change", "moved", "estimate"),
        headers={"label": "Touchpoint", "change": "Higher by", "moved": "Leaves room for",
                 "estimate": "Outcome of all", "unit": "In"},
        units={"change": "number", "moved": "number"}, sort=("outcome", "-estimate"),
        labels=names, level=every[0].level, top=MOST_SHOWN,
    )  # fmt: skip


def _what_if(analysis: DriverAnalysis, change: float, scales: Mapping[str, Ends]) -> pd.DataFrame:
    rows = analysis.part()
    drawn = analysis.replicates[analysis.group()]
    names = list(rows["driver"])
    low, high = _ends(names, scales, analysis.rating_ends)
    mixed = _differ(low, high, bool(scales))
    sizes = drawn.ratings.standard_deviations if mixed else np.ones(len(names))
    steps = change * sizes
    moved = drawn.ratings.moved(steps, low, high)
    users = rows["coefficient"].to_numpy(dtype=float) * moved[0]
    everyone = users * rows["reach"].to_numpy(dtype=float)
    of_users = drawn.coefficient * moved[1:]
    options = {"df": drawn.df, "level": analysis.level}
    around = spread(everyone, of_users * drawn.reach, drawn.kind, **options)
    around_users = spread(users, of_users, drawn.kind, **options)
    table = rows[["driver", "label"]].assign(
        unit=UNITS[analysis.outcome_scale],
        change=steps,
        n=rows["n"],
        estimate=everyone,
        **around.columns(),
        estimate_users=users,
        **around_users.limits("users"),
        note=[_note(*pair) for pair in zip(steps, moved[0], strict=True)],
        moved=moved[0],
    )
    table.insert(0, "outcome", analysis.outcome)
    return table[steps != 0].reset_index(drop=True)


def _note(step: float, moved: float) -> str:
    text = "goes with, other drivers equal; not the effect of a change"
    if abs(moved) < abs(step) * (1 - 1e-9):
        text += f"; the scale leaves room for {moved:.2g} of {step:.2g} points"
    return text


def _ends(
    names: list[str],
    scales: Mapping[str, Ends],
    observed: dict[str, Ends],
) -> tuple[Array, Array]:
    found = []
    for name in names:
        low, high = scales.get(name) or observed[name]
        if not low < high:
            raise ValueError(
                f"`scales` must be (lowest, highest) with lowest below highest; got ({low}, "
                f"{high}) for '{name}'."
            )
        found.append((float(low), float(high)))
    ends = np.array(found).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _differ(low: Array, high: Array, declared: bool) -> bool:
    """Whether drivers are rated on different scales; by their highest answers if undeclared."""
    if declared:
        return len(np.unique(np.column_stack([low, high]), axis=0)) > 1
    top = high if high.min() > 0 else high - low
    return bool(top.max() > ALIKE * top.min())
