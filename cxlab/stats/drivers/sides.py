"""Two analyses of the same drivers, side by side."""

from __future__ import annotations

import pandas as pd

from cxlab.stats.drivers.result import DriverAnalysis

SHARES = ("share", "share_low", "share_high")


def compare_outcomes(first: DriverAnalysis, second: DriverAnalysis) -> pd.DataFrame:
    """Shares of the same drivers for two outcomes, with the ranks that each allows.

    Parameters
    ----------
    first, second : DriverAnalysis
        Without groups; a driver that one of them set aside is null there.

    Returns
    -------
    DataFrame
        One row per driver in the first one's order: ``driver``, ``label``; per outcome
        ``OUTCOME_share``, ``OUTCOME_share_low``, ``OUTCOME_share_high``,
        ``OUTCOME_rank_best``, ``OUTCOME_rank_worst``; ``apart``: whether the two intervals
        of the share do not overlap. OUTCOME is the outcome's column; with its scale where
        both are of one column (``recommend_continuous``, ``recommend_nps``).

    Raises
    ------
    ValueError
        When both are of the same outcome on the same scale, or one has groups.

    Examples
    --------
    >>> from cxlab.stats.drivers import drivers
    >>> answers = pd.DataFrame({
    ...     "food": [1, 2, 3, 4, 5, 2, 4, 3], "wifi": [2, 1, 3, 5, 4, 4, 2, 5],
    ...     "overall": [1, 2, 3, 5, 5, 3, 4, 3], "again": [2, 2, 1, 5, 4, 4, 3, 5]})
    >>> two = [drivers(answers, y, ["food", "wifi"], interval=None) for y in ("overall", "again")]
    >>> compare_outcomes(*two)[["driver", "overall_share", "again_share"]].round(2)
      driver  overall_share  again_share
    0   food           0.79         0.15
    1   wifi           0.21         0.85
    """
    names = [first.outcome, second.outcome]
    if first.outcome == second.outcome:
        names = [f"{one.outcome}_{one.outcome_scale}" for one in (first, second)]
    if names[0] == names[1]:
        raise ValueError(
            f"`second` must be of another outcome than `first`; got '{first.outcome}' twice."
        )
    keep = [*SHARES, "rank_best", "rank_worst"]
    left = first.part(None).set_index("driver")
    right = second.part(None).set_index("driver")
    table = left[["label"]].copy()
    for outcome, part in zip(names, (left, right), strict=True):
        for column in keep:
            table[f"{outcome}_{column}"] = part.get(column, None)
    low = pd.concat([left["share_low"], right["share_low"]], axis=1).max(axis=1)
    high = pd.concat([left["share_high"], right["share_high"]], axis=1).min(axis=1)
    table["apart"] = low > high
    return table.reset_index()
