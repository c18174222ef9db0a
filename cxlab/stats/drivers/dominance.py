"""Dominance analysis: which driver adds more, whatever else is in the model."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.covariance import to_correlation
from cxlab.stats.drivers.importance import complete_dominance
from cxlab.stats.drivers.result import DriverAnalysis
from cxlab.stats.drivers.subsets import subset_sums

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


def dominance(analysis: DriverAnalysis, *, group: object = None) -> Dominance:
    """Conditional and complete dominance of a driver analysis.

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
    return Dominance(
        pd.concat([left, sizes], axis=1), _pairs(correlation, conditional, list(names))
    )


def _pairs(correlation: np.ndarray, conditional: np.ndarray, names: list[str]) -> pd.DataFrame:
    columns = ["driver", "against", "share", "dominance"]
    if len(names) > MOST_COMPLETE:
        return pd.DataFrame(columns=columns)
    share = complete_dominance(correlation)
    rows = []
    for i, one in enumerate(names):
        for j, two in enumerate(names):
            if i != j:
                rows.append(
                    (one, two, share[i, j], _kind(share[i, j], conditional[i], conditional[j]))
                )
    return pd.DataFrame(rows, columns=columns)


def _kind(share: float, one: np.ndarray, two: np.ndarray) -> str:
    if share == 1:
        return "complete"
    if (one > two).all():
        return "conditional"
    return "general" if one.mean() > two.mean() else ""
