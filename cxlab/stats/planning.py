"""What the answers at hand can show, and what the silent could change."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.special import ndtri

from cxlab.core.disclosure.gate import LABELS
from cxlab.core.display import display_of, with_display
from cxlab.stats.inference import check_level, normal_quantile

#: Ends of a metric, by its unit.
ENDS = {"points": (-100.0, 100.0), "%": (0.0, 100.0)}


def detectable_differences(
    table: pd.DataFrame, *, level: float = 0.95, power: float = 0.8
) -> pd.DataFrame:
    """What the answers at hand can and cannot show.

    Parameters
    ----------
    table : DataFrame
        A scorecard, or any table with ``n``, ``se`` and label columns.
    level : float
        1 less the two-sided error rate of the test.
    power : float
        Chance that it is shown, between 0 and 1.

    Returns
    -------
    DataFrame
        The table's label columns, ``n``, ``half_width`` (of the interval),
        ``next_period`` (smallest change to another period of the same size and design that
        would be detected with the power given) and ``fixed_value`` (smallest distance from a
        fixed value, such as a target), all in the metric's unit.

    Notes
    -----
    ``(z_α/2 + z_β)·se·√2`` and the same without √2. Periods that share customers show more.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "n": [400], "se": [4.0]})
    >>> detectable_differences(table).round(1)
      label    n  half_width  next_period  fixed_value
    0   NPS  400         7.8         15.8         11.2
    """
    names = [name for name in LABELS if name in table and name not in ("column", "target")]
    check_level(level)
    if not 0 < power < 1:
        raise ValueError(f"`power` must be between 0 and 1, such as 0.8; got {power}.")
    factor = normal_quantile(level) + float(ndtri(power))
    # where all answers are alike, the standard error is unknown, not 0
    se = table["se"].where(table["se"] > 0)
    found = table[[*names, "n"]].assign(
        half_width=normal_quantile(level) * se,
        next_period=factor * np.sqrt(2) * se,
        fixed_value=factor * se,
    )
    return with_display(
        found, caption="What would be shown four times in five",
        columns=("label", "metric", "half_width", "next_period", "fixed_value", "n"), bar=(),
    )  # fmt: skip


def nonresponse_table(
    table: pd.DataFrame, *, response_rates: Sequence[float] = (0.1, 0.25, 0.5)
) -> pd.DataFrame:
    """What the whole would be if those who did not answer were at either end of the metric.

    Parameters
    ----------
    table : DataFrame
        A scorecard. Rows of means, and hidden ones, are left out.
    response_rates : sequence of float
        Rates to try, each over 0 and at most 1.

    Returns
    -------
    DataFrame
        One row per net score or share × rate: ``label``, ``metric``, ``unit``, ``estimate``,
        ``response_rate``, ``low``, ``high`` (the bounds), ``target``, ``tipping_point`` (score of
        the silent at which the whole is at the target; null without one), ``possible`` (whether
        that score exists).

    Notes
    -----
    ``r·estimate + (1 − r)·[low, high]``; tipping point ``(target − r·estimate)/(1 − r)``. The
    bounds assume nothing about the silent, so no analysis of the answers can narrow them.

    References
    ----------
    Manski (2003), Partial Identification of Probability Distributions.

    Examples
    --------
    >>> table = pd.DataFrame({"label": ["NPS"], "metric": ["nps"], "unit": ["points"],
    ...                       "estimate": [50.0], "target": [0.0]})
    >>> nonresponse_table(table, response_rates=[0.4])[["low", "high", "tipping_point"]].round(1)
        low  high  tipping_point
    0 -40.0  80.0          -33.3
    """
    for rate in response_rates:
        if not 0 < rate <= 1:
            raise ValueError(f"`response_rates` must be over 0 and at most 1; got {rate}.")
    names = ["label", "metric", "unit", "estimate", "target"]
    known = table[table["unit"].isin(list(ENDS)) & table["estimate"].notna()][names]
    rates = pd.DataFrame({"response_rate": [float(rate) for rate in response_rates]})
    rows = known.astype({"target": float}).merge(rates, how="cross")
    rate, answered = rows["response_rate"], rows["response_rate"] * rows["estimate"]
    low, high = (
        rows["unit"].map({unit: pair[i] for unit, pair in ENDS.items()}).astype(float)
        for i in (0, 1)
    )
    silent = (1 - rate).where(rate < 1)
    tipping = (rows["target"] - answered) / silent
    found = rows.assign(
        low=answered + (1 - rate) * low, high=answered + (1 - rate) * high, tipping_point=tipping,
        possible=tipping.between(low, high),
    )[["label", "metric", "unit", "estimate", "response_rate", "low", "high", "target",
       "tipping_point", "possible"]]  # fmt: skip
    return with_display(
        found, caption="Bounds at several response rates", titles=display_of(table).titles,
        columns=("label", "metric", "response_rate", "low", "target", "tipping_point"), bar=(),
    )  # fmt: skip
