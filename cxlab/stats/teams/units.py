"""Means of units: of rows, or as a firm has them; and what may be shown of a unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.disclosure.gate import hide_rows
from cxlab.core.disclosure.rule import hidden_groups
from cxlab.core.display import with_display
from cxlab.core.frames import open_frame
from cxlab.core.labels import natural_order, row_labels
from cxlab.core.messages import got
from cxlab.core.private import private_file
from cxlab.core.result import Result


@dataclass(frozen=True, eq=False)
class UnitMeans:
    """Mean score of each unit.

    Attributes
    ----------
    table : DataFrame
        Indexed by unit: ``mean``, ``n``, and ``variance`` of the answers, NaN where not known.
    variance : float
        Within units, pooled: Σ(n − 1)s² / Σ(n − 1); NaN where it is not known.
    n_missing : int
        Rows without a unit or a score.
    """

    table: pd.DataFrame
    variance: float
    n_missing: int


def unit_means(data: Any, *, unit: str, score: str, argument: str = "score") -> UnitMeans:
    """Means of rows by unit; of a table ``unit, mean, n`` (and ``sd``) the means it holds.

    Raises
    ------
    ValueError
        For a table of means that names a unit twice, or has an n below 1 or an sd below 0.

    Examples
    --------
    >>> rows = pd.DataFrame({"shop": ["a", "a", "b", "b"], "score": [1, 3, 5, 9]})
    >>> found = unit_means(rows, unit="shop", score="score")
    >>> found.table["mean"].to_dict(), found.variance
    ({'a': 2.0, 'b': 7.0}, 5.0)
    """
    rows = open_frame(data, numbers={argument: score}, unit=unit).rows()
    if score == "mean" and "n" in getattr(data, "columns", ()):
        return _given_means(data, unit)
    known = rows.dropna(subset=[unit, score])
    groups = known[score].groupby(row_labels(known[unit]))
    columns = {"mean": groups.mean(), "n": groups.size().astype(float), "variance": groups.var()}
    table = pd.DataFrame(columns)
    squares = ((known[score] - groups.transform("mean")) ** 2).sum()
    df = (table["n"] - 1).sum()
    variance = float(squares / df) if df else np.nan
    return UnitMeans(_in_order(table), variance, len(rows) - len(known))


def _given_means(data: Any, unit: str) -> UnitMeans:
    numbers = {name: name for name in ("mean", "n", "sd") if name in data.columns}
    table = (
        open_frame(data, numbers=numbers, unit=unit)
        .rows()
        .reindex(columns=[unit, "mean", "n", "sd"])
    )
    twice = table.loc[table[unit].duplicated(), unit]
    if len(twice):
        raise ValueError(f"`{unit}` must name each unit once beside `mean`; got {got([*twice])}.")
    for column, least in (("n", 1), ("sd", 0)):
        below = table.loc[table[column] < least, column]
        if len(below):
            raise ValueError(f"`{column}` must be {least} or more; got {got([*below])}.")
    known = table.dropna(subset=[unit, "mean", "n"])
    df = (known["n"] - 1)[known["sd"].notna()]
    variance = float((df * known["sd"] ** 2).sum() / df.sum()) if df.sum() else np.nan
    means = known.assign(variance=known["sd"] ** 2).set_index(row_labels(known[unit]))
    means = means[["mean", "n", "variance"]]
    return UnitMeans(_in_order(means), variance, len(table) - len(known))


def _in_order(table: pd.DataFrame) -> pd.DataFrame:
    return table.loc[sorted(table.index, key=natural_order)].rename_axis("unit")


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitResult(Result):
    """What is said of units together, and of each.

    Attributes
    ----------
    units : DataFrame
        One row per unit, those of few answers hidden; without rows where units are persons.
    every : DataFrame
        The same of every unit, to be written to a file and never shown.
    """

    units: pd.DataFrame
    every: pd.DataFrame

    def write(self, path: str | Path | None) -> None:
        """Write each unit as CSV, readable by its owner only; nothing without a path."""
        if path is not None:
            self.every.to_csv(private_file(path), index=False)


def shown_units(
    every: pd.DataFrame, least: pd.Series, persons: bool, min_group_size: int, **display: Any
) -> pd.DataFrame:
    """Units of which enough answers are known; none of them where units are persons.

    ``least``: the fewest answers that a figure of each unit rests on.
    """
    reason = pd.Series("", index=every.index)
    for place, why in hidden_groups(least.to_numpy(float), min_group_size).items():
        reason.iloc[place] = why
    shown = hide_rows(every, reason, min_group_size)
    return with_display(shown.iloc[:0] if persons else shown, **display)
