"""What a driver analysis gives: tables and the facts of the fit."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlab.core.messages import unknown
from cxlab.stats.drivers.room import RatingShares

Array = np.ndarray

#: Importances must add up to R² to this: the sums run over the same numbers.
ADDS_UP_TO = 1e-9


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates that the map and the what-if go on with; arrays (replicates, drivers).

    Attributes
    ----------
    kind : str
        "bootstrap", "jackknife" or "none".
    share, mean, reach, coefficient : ndarray
        Per replicate and driver, drivers in the order given.
    ratings : RatingShares
        How the ratings lie on their scales.
    df : float
        Degrees of freedom of the design.
    source : str
        Equal for analyses whose replicates go in pairs: same respondents, same resampling.
    """

    kind: str
    share: Array
    mean: Array
    reach: Array
    coefficient: Array
    ratings: RatingShares
    df: float
    source: str = ""


@dataclass(frozen=True, eq=False)
class DriverAnalysis:
    """Key drivers of an outcome.

    Attributes
    ----------
    table : DataFrame
        Among users, one row per driver (and ``group``): see `cxlab.drivers`.
    reach_adjusted : DataFrame
        Reach-adjusted, one row per driver.
    differences : DataFrame
        With ``by``: differences of shares between groups; empty otherwise.
    outcome : str
        Column of the outcome.
    outcome_scale, method, missing, interval : str
        As asked; ``interval`` is what was done.
    adjusted : bool
        Whether importances are of adjusted R².
    level : float
        Of every interval.
    n, n_total, n_missing : int
        Rows analysed; of how many; rows left out for want of an outcome (or a group).
    r_squared : float
        R² that the importances among users share. It is the R² "as if everyone used
        everything", not that of any observed population. The first group's with ``by``;
        see ``fits``.
    adjusted_r_squared, r_squared_low, r_squared_high : float
        The same, adjusted for the number of drivers (R² of a sample is too high), with
        the interval of what it is in the population.
    reach_r_squared : float
        R² of the outcome on who used what and how good it was.
    fits : DataFrame
        One row per group and estimand: ``group, estimand, n, r_squared, se, ci_low,
        ci_high, n_effective, adjusted_r_squared``; ``se`` and interval are those of the
        adjusted one.
    rows_used : DataFrame
        How many rows each treatment of missing answers uses.
    set_aside : DataFrame
        Drivers and groups left out: ``group, driver, reason``.
    collinearity : dict of str to float
        ``condition_number``, ``mean_correlation``, ``largest_vif``.
    df : float
        Degrees of freedom of the tests.
    family : str
        The family of tests in which false discoveries are controlled.
    notes : tuple of str
        What was done and assumed, in words.
    covariances : dict
        Group to the covariance matrix of drivers and outcome (last) among users; the key
        is None without ``by``.
    rating_ends : dict of str to (float, float)
        Driver to its lowest and highest answer, of all groups.
    replicates : dict
        Group to `Replicates`; the key is None without ``by``.
    """

    table: pd.DataFrame
    reach_adjusted: pd.DataFrame
    differences: pd.DataFrame
    outcome: str
    outcome_scale: str
    method: str
    missing: str
    interval: str
    adjusted: bool
    level: float
    n: int
    n_total: int
    n_missing: int
    r_squared: float
    adjusted_r_squared: float
    r_squared_low: float
    r_squared_high: float
    reach_r_squared: float
    fits: pd.DataFrame
    rows_used: pd.DataFrame
    set_aside: pd.DataFrame
    collinearity: dict[str, float]
    df: float
    family: str
    notes: tuple[str, ...]
    covariances: dict[object, pd.DataFrame]
    rating_ends: dict[str, tuple[float, float]]
    replicates: dict[object, Replicates] = field(repr=False, default_factory=dict)
    adds_up: bool = True

    def __post_init__(self) -> None:
        if self.n + self.n_missing != self.n_total:
            raise ValueError(
                f"`n` and `n_missing` must add up to n_total; got {self.n}, {self.n_missing} "
                f"and {self.n_total}."
            )
        if not self.adds_up:
            return
        for table, estimand in ((self.table, "among users"), (self.reach_adjusted, "reach")):
            for group, part in _by_group(table):
                whole = _r_squared(self.fits, group, estimand)
                total = float(part["estimate"].sum())
                if abs(total - whole) > ADDS_UP_TO:
                    raise ValueError(
                        f"`estimate` must add up to R²; got {total} and {whole} {estimand}."
                    )

    def group(self, group: object = None) -> object:
        """The group asked for, or the only one.

        Raises
        ------
        ValueError
            If there is no such group, or none was named and there are several.
        """
        groups = list(self.replicates)
        if group is None and len(groups) == 1:
            return groups[0]
        if group not in groups:
            raise ValueError(unknown("group", group, groups))
        return group

    def part(self, group: object = None, *, reach_adjusted: bool = False) -> pd.DataFrame:
        """Rows of one group, in the order in which the drivers were given."""
        table = self.reach_adjusted if reach_adjusted else self.table
        if table.empty:
            raise ValueError(
                "`estimand` must be one that was estimated; got none reach-adjusted. See notes."
            )
        found = self.group(group)
        rows = table if found is None else table[table["group"] == found]
        order = list(self.covariances[found].columns[:-1])
        return rows.set_index("driver", drop=False).loc[order].reset_index(drop=True)

    def __str__(self) -> str:
        head = (
            f"Drivers of {self.outcome} ({self.method}, {self.n:,} of {self.n_total:,} rows, "
            f"R² among users {self.r_squared:.3f}, adjusted {self.adjusted_r_squared:.3f})"
        )
        shown = self.table.drop(columns="estimand").round(3).to_string(index=False)
        return "\n".join([head, shown, *self.notes])

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{note}</li>" for note in self.notes)
        return f"{self.table.round(3).to_html(index=False)}<ul>{notes}</ul>"


def _by_group(table: pd.DataFrame) -> list[tuple[object, pd.DataFrame]]:
    if table.empty:
        return []
    if "group" not in table:
        return [(None, table)]
    return [(group, part) for group, part in table.groupby("group", sort=False, observed=True)]


def _r_squared(fits: pd.DataFrame, group: object, estimand: str) -> float:
    found = fits[fits["estimand"].str.startswith(estimand)]
    if group is not None:
        found = found[found["group"] == group]
    return float(found["r_squared"].iloc[0])
