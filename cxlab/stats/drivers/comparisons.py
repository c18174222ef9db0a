"""Which driver counts more: than another driver, in another group, for another outcome."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.stats.drivers.estimands import Options, Users
from cxlab.stats.drivers.replicates import Resample, replicate_test, spread
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.inference import adjust_p_values, deciding_interval, smallest_shown

Array = np.ndarray

SHARES = ("share", "share_low", "share_high")
#: Adjusted p below which two shares are shown to differ.
LEVEL = 0.05


def share_differences(
    fits: dict[object, Users], resample: Resample, options: Options
) -> pd.DataFrame:
    """Difference of each driver's share between every two groups, with its test.

    Replicates are common to both groups, so clusters that they share are counted once.
    """
    parts = []
    for (group, one), (other, two) in combinations(fits.items(), 2):
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
    several = len(parts) > 1
    method = "by" if several else "bh"
    return table.assign(p_adjusted=adjust_p_values(table["p_value"].to_numpy(), method=method))


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
    table["p_adjusted"] = adjust_p_values(table["p_value"].to_numpy())
    known = (table[name].to_numpy() for name in ("p_value", "p_adjusted"))
    table["deciding_low"], table["deciding_high"] = deciding_interval(
        estimate, table["se"], df, *known
    )
    table["smallest_seen"] = [smallest_shown(se, df, tests=len(table)) for se in table["se"]]
    return table
