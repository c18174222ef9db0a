"""Two analyses of the same drivers, side by side."""

from __future__ import annotations

import pandas as pd

from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.uncertainty import replicate_test, spread
from cxlab.stats.inference import adjust_p_values

SHARES = ("share", "share_low", "share_high")
#: Adjusted p below which two shares are told apart.
LEVEL = 0.05


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
        ``OUTCOME_rank_best``, ``OUTCOME_rank_worst``; ``apart``: whether ``p_adjusted`` is
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
    The same people gave both outcomes, so the difference is taken in every resample of
    them. Intervals of the two shares may overlap where the difference is clear (Schenker
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
    _check_pair(first, second)
    keep = [*SHARES, "rank_best", "rank_worst"]
    left = first.part(None).set_index("driver")
    right = second.part(None).set_index("driver")
    table = left[["label"]].copy()
    for outcome, part in zip(_names(first, second), (left, right), strict=True):
        for column in keep:
            table[f"{outcome}_{column}"] = part.get(column, None)
    differences = _differences(first, second)
    apart = (differences["p_adjusted"] < LEVEL).astype("boolean")
    table["apart"] = apart.where(differences["p_adjusted"].notna())
    return table.join(differences).reset_index()


def _names(first: DriverAnalysis, second: DriverAnalysis) -> list[str]:
    if first.outcome == second.outcome:
        return [f"{one.outcome}_{one.outcome_scale}" for one in (first, second)]
    return [first.outcome, second.outcome]


def _check_pair(first: DriverAnalysis, second: DriverAnalysis) -> None:
    names = _names(first, second)
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
    one, two = (analysis.replicates[analysis.group(None)] for analysis in (first, second))
    if one.source != two.source:
        raise ValueError(
            "`second` must come from the same answers and resampling as `first`; got another. "
            "Give both the same data, drivers, design, interval, replicates and seed."
        )


def _differences(first: DriverAnalysis, second: DriverAnalysis) -> pd.DataFrame:
    """Difference of the shares of the drivers that both have, in the first one's order."""
    both = [name for name in first.part(None)["driver"] if name in set(second.table["driver"])]
    shares, drawn = [], []
    for analysis in (first, second):
        names = analysis.part(None)["driver"].tolist()
        places = [names.index(name) for name in both]
        shares.append(analysis.part(None)["share"].to_numpy(dtype=float)[places])
        drawn.append(analysis.replicates[analysis.group(None)].share[:, places])
    one = first.replicates[first.group(None)]
    df = min(first.df, second.df)
    estimate, replicates = shares[0] - shares[1], drawn[0] - drawn[1]
    around = spread(estimate, replicates, one.kind, df=df, level=first.level)
    p_values = replicate_test(estimate, around.se, replicates, one.kind, df=df)
    return pd.DataFrame(
        {
            "estimate": estimate,
            "se": around.se,
            "ci_low": around.low,
            "ci_high": around.high,
            "p_value": p_values,
            "p_adjusted": adjust_p_values(p_values),
        },
        index=pd.Index(both, name="driver"),
    )
