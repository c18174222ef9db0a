"""What a driver analysis gives: its tables, and the replicates that others go on with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from cxlab.core.display import with_display
from cxlab.core.engines import PART_ROWS
from cxlab.core.messages import unknown
from cxlab.core.result import Result
from cxlab.stats.covariance import to_correlation
from cxlab.stats.covariance.patterns import pattern_numbers
from cxlab.stats.drivers.answers import Answers
from cxlab.stats.drivers.coefficients import adjusted_r_squared
from cxlab.stats.drivers.estimands import RatingShares, Reach, Users
from cxlab.stats.drivers.importance import ADDS_UP, Importance
from cxlab.stats.drivers.replicates import (
    Resample,
    ranks_within,
    spread,
    t_interval,
)
from cxlab.stats.inference import adjust_p_values
from cxlab.stats.resampling import ranks

Array = np.ndarray
Performance = dict[str, tuple[Array, Array]]

AMONG_USERS = "among users"
REACH_ADJUSTED = "reach-adjusted"
#: Importances must add up to R² within this: the sums run over the same numbers.
ROUNDING = 1e-9
#: Degrees of freedom below which the notes say that clusters are few.
FEW_DEGREES = 8
#: Mean correlation between ratings above which one impression may colour them all.
HALO = 0.6


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates that the map and the what-if go on with, drivers in the order given."""

    kind: str  # "bootstrap", "jackknife" or "none"
    share: Array  # (replicates, drivers), like the next three
    mean: Array
    reach: Array
    coefficient: Array
    ratings: RatingShares  # how the ratings are distributed on their scales
    df: float  # degrees of freedom of the design


@dataclass(frozen=True, eq=False, kw_only=True)
class DriverAnalysis(Result):
    """Key drivers of an outcome.

    Attributes
    ----------
    table : DataFrame
        Among users, one row per driver (and ``group``): see `cxlab.drivers`.
    n_missing : DataFrame
        ``column`` and ``n_missing``: rows without outcome, group or rating. Rows without
        an outcome or group are left out.
    notes : tuple of str
        What was done and assumed, in words.
    reach_adjusted : DataFrame
        Reach-adjusted, one row per driver.
    fits : DataFrame
        One row per group and estimand: ``group, estimand, n, r_squared, se, ci_low,
        ci_high, n_effective, adjusted_r_squared``. R² among users is that "as if everyone
        used everything", not that of any observed population. R² of a sample is too high;
        ``se`` and interval are those of the adjusted one.
    rows_used : DataFrame
        How many rows each treatment of missing answers uses.
    set_aside : DataFrame
        Drivers and groups left out: ``group, driver, reason``.
    outcome : str
        Column of the outcome.
    outcome_scale, method, missing, interval : str
        As asked; ``interval`` is what was done.
    adjusted : bool
        Whether importances are of adjusted R².
    level : float
        Of every interval.
    n, n_total : int
        Rows analysed, of how many.
    collinearity : dict of str to float
        ``condition_number``, ``mean_correlation``, ``largest_vif``.
    df : float
        Degrees of freedom of the tests.
    family : str
        The family of tests in which false discoveries are controlled.
    covariances : dict
        Group to the covariance matrix of drivers and outcome (last) among users; the key
        is None without ``by``.
    labels : dict of str to str
        Column to words, of drivers and outcome.
    advocacy : DriverAnalysis or None
        The same drivers of NPS, where it was asked for.
    rating_ends : dict of str to (float, float)
        Driver to its lowest and highest answer, of all groups.
    replicates : dict
        Group to `Replicates`; the key is None without ``by``.
    """

    reach_adjusted: pd.DataFrame
    fits: pd.DataFrame
    rows_used: pd.DataFrame
    set_aside: pd.DataFrame
    outcome: str
    outcome_scale: str
    method: str
    missing: str
    interval: str
    adjusted: bool
    level: float
    n: int
    n_total: int
    collinearity: dict[str, float]
    df: float
    family: str
    covariances: dict[object, pd.DataFrame]
    rating_ends: dict[str, tuple[float, float]]
    labels: dict[str, str]
    replicates: dict[object, Replicates] = field(repr=False, default_factory=dict)
    advocacy: DriverAnalysis | None = field(repr=False, default=None)

    def __post_init__(self) -> None:
        for table in (self.table, self.reach_adjusted):
            if table.empty or self.method not in ADDS_UP:
                continue
            keys = ["group", "estimand"] if "group" in table else ["estimand"]
            totals = table.groupby(keys, observed=True)["estimate"].sum()
            whole = self.fits.set_index(keys)["r_squared"].reindex(totals.index)
            off = totals[~((totals - whole).abs() <= ROUNDING)]
            if len(off):
                raise ValueError(
                    f"`estimate` must add up to R²; got {off.iloc[0]} and "
                    f"{whole[off.index[0]]} for {off.index[0]}."
                )

    @property
    def r_squared(self) -> float:
        """R² that the importances among users share; the first group's with ``by``."""
        return float(self.fits["r_squared"].iloc[0])

    def group(self, group: object = None) -> object:
        """The group asked for, or the only one."""
        groups = list(self.replicates)
        if group is None and len(groups) == 1:
            return groups[0]
        if group not in groups:
            raise ValueError(unknown("group", group, groups))
        return group

    def part(self, group: object = None) -> pd.DataFrame:
        """Rows of one group among users, in the order in which the drivers were given."""
        found = self.group(group)
        rows = self.table if found is None else self.table[self.table["group"] == found]
        order = list(self.covariances[found].columns[:-1])
        return rows.set_index("driver", drop=False).loc[order].reset_index(drop=True)

    def _head(self) -> tuple[str, ...]:
        return (
            f"Drivers of {self.outcome} ({self.method}, {self.n:,} of {self.n_total:,} rows, "
            f"R² among users {self.r_squared:.3f}, "
            f"adjusted {self.fits['adjusted_r_squared'].iloc[0]:.3f})",
        )


def users_table(users: Users, around: Performance, kind: str, level: float) -> pd.DataFrame:
    """One row per driver among users, most important first."""
    answers = users.answers
    n = answers.rated.sum(axis=0)
    table = importance_columns(answers.words, users.importance, n, kind, users.df, level)
    table.insert(0, "estimand", AMONG_USERS)
    for name in ("reach", "mean", "top_box"):
        table[name] = around[name][0]
    table["correlation"] = users.correlations
    table["coefficient"] = users.coefficients
    low, high = t_interval(
        users.coefficients, users.coefficient_se, df=users.coefficient_df, level=level
    )
    table["coefficient_low"], table["coefficient_high"] = low, high
    table["p_value"] = users.p_values
    table["p_adjusted"] = adjust_p_values(users.p_values)
    table["suppressor"] = np.sign(users.coefficients) * np.sign(users.correlations) < 0
    table["vif"] = users.inflation
    dead, untested = answers.dead, np.isnan(users.coefficient_df)
    flags = zip(dead, np.isinf(users.inflation), untested, table["suppressor"], strict=True)
    table["note"] = [_driver_note(*flag) for flag in flags]
    table["coefficient_se"] = users.coefficient_se
    return with_display(
        _most_important_first(table),
        caption="What goes with the outcome beyond the other ratings",
        about="Outcome points per rating point, other touchpoints equal, among users",
        columns=("label", "coefficient", "correlation", "reach", "suppressor", "vif", "note"),
        headers={"label": "Touchpoint", "coefficient": "Per rating point", "vif": "Variance inflation"},
        units={"coefficient": "number"}, bar=("coefficient",), reference={"coefficient": 0.0}, level=level,
    )  # fmt: skip


def _driver_note(dead: bool, aliased: bool, untested: bool, suppressor: bool) -> str:
    parts = []
    if dead:
        parts.append("no two different answers here: importance 0")
    elif aliased:
        parts.append("exact combination of other drivers: its coefficient cannot be tested")
    elif untested:
        parts.append("its coefficient rests on one answer or cluster: not tested")
    if suppressor:
        parts.append("suppressor: coefficient and correlation have opposite signs")
    return "; ".join(parts)


def reach_table(
    answers: Answers, reach: Reach, around: Performance, kind: str, df: float, level: float
) -> pd.DataFrame:
    """One row per driver with presence and quality, most important first."""
    known = answers.asked.sum(axis=0)
    table = importance_columns(answers.words, reach.importance, known, kind, df, level)
    table.insert(0, "estimand", REACH_ADJUSTED)
    table["reach"] = around["reach"][0]
    for name, part in (("presence", reach.presence), ("quality", reach.quality)):
        around_part = spread(part.values, part.replicates, kind, df=df, level=level)
        table = table.assign(**{name: part.values, **around_part.limits(name)})
    table["note"] = ["" if columns else "nobody who rated it used it" for columns in reach.columns]
    return with_display(
        _most_important_first(table),
        caption="Adjusted for reach: a touchpoint that few use can move few",
        about="Share of what differs between all customers: by who used it, and by how good it was",
        columns=("label", "reach", "share", "rank", "presence", "quality"),
        headers={"label": "Touchpoint", "share": "Counts for"}, bar=("share",),
        reference={"share": "mean"}, level=level,
    )  # fmt: skip


def importance_columns(
    words: Mapping[str, str],
    shared: Importance,
    n: Array | int,
    kind: str,
    df: float,
    level: float,
) -> pd.DataFrame:
    """Importance and share of each driver, with intervals and ranks."""
    around = spread(shared.values, shared.replicates, kind, df=df, level=level)
    share = shared.shares
    around_share = spread(share, shared.share_replicates, kind, df=df, level=level)
    if not (shared.share_replicates < 0).any():  # a share below nothing is one of adjusted R²
        around_share = around_share.within(0, 1)
    low, high = ranks_within(shared.values, shared.replicates, kind, df=df, level=level)
    return pd.DataFrame(
        {
            "driver": list(words),
            "label": list(words.values()),
            "n": n,
            "estimate": shared.values,
            **around.columns(),
            "share": share,
            **around_share.limits("share"),
            "rank": ranks(shared.values),
            "rank_low": _blank(low),
            "rank_high": _blank(high),
        }
    )


def _blank(numbers: Array) -> pd.Series:
    """Whole numbers in which −1 means that there is none."""
    return pd.Series(numbers, dtype="Int64").where(numbers >= 0)


def _most_important_first(table: pd.DataFrame) -> pd.DataFrame:
    return table.sort_values("estimate", ascending=False, kind="stable").reset_index(drop=True)


def fit_rows(
    users: Users, reach: Reach | None, n: int, resample: Resample, level: float
) -> list[dict[str, object]]:
    """One row per estimand: R² with its interval and the rows behind it, n of all."""
    found = [(AMONG_USERS, users.importance, users.fit, users.n_effective, users.n)]
    if reach:
        found.append((REACH_ADJUSTED, reach.importance, reach.fit, reach.n_effective, n))
    rows: list[dict[str, object]] = []
    for estimand, shared, fit, effective, rows_fitted in found:
        stratified = users.answers.design.stratified
        around = adjusted_r_squared(
            fit, resample, n=effective, df=users.df, stratified=stratified, level=level
        )
        facts = {"estimand": estimand, "n": rows_fitted, "r_squared": shared.r_squared}
        rows.append({**facts, **around, "n_effective": effective})
    return rows


def stacked(tables: dict[object, pd.DataFrame]) -> pd.DataFrame:
    """Tables of the groups, one below the other, with their group first."""
    if list(tables) == [None]:
        return tables[None]
    filled = {value: table for value, table in tables.items() if not table.empty} or tables
    parts = [table.assign(group=value) for value, table in filled.items()]
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "group", table.pop("group"))
    return table


def fits_table(fits: dict[object, list[dict[str, object]]]) -> pd.DataFrame:
    """One row per group and estimand."""
    rows = [
        {"group": "" if value is None else value, **row}
        for value, part in fits.items()
        for row in part
    ]
    columns = ["group", "estimand", "n", "r_squared", "se", "ci_low", "ci_high"]
    table = pd.DataFrame(rows)[[*columns, "n_effective", "adjusted_r_squared"]]
    return with_display(
        table,
        caption="How much the touchpoints explain together",
        columns=("estimand", "n", "n_effective", "r_squared", "adjusted_r_squared"),
        headers={
            "r_squared": "R²",
            "adjusted_r_squared": "Adjusted R²",
            "n_effective": "Effective n",
        },
        units=dict.fromkeys(("r_squared", "adjusted_r_squared"), "share")
        | {"n_effective": "count"},
    )


def rows_used(answers: Answers) -> pd.DataFrame:
    """Rows that each treatment of missing answers uses, fewest and most over pairs."""
    q, complete = len(answers.names), 0
    pairs, different = np.zeros((q, q)), np.empty((0, q), dtype=bool)
    for start in range(0, answers.n, PART_ROWS):
        known = answers.rows(slice(start, start + PART_ROWS)).rated
        pairs += known.T.astype(float) @ known.astype(float)
        complete += int(known.all(axis=1).sum())
        first = np.unique(pattern_numbers(known), return_index=True)[1]
        different = np.concatenate([different, known[first]])
    patterns = int(pattern_numbers(different).max()) + 1
    table = pd.DataFrame(
        {
            "treatment": ["em", "pairwise", "complete"],
            "n": [answers.n, int(pairs.min()), complete],
            "n_most": [answers.n, int(pairs.max()), complete],
            "note": [
                f"every row, in {patterns:,} patterns of missing answers",
                "rows of each pair of columns: fewest and most",
                "rows without a blank",
            ],
        }
    )
    return with_display(table, caption="Rows that each treatment of missing answers would use")


def collinearity(users: Users) -> dict[str, float]:
    """Condition number, mean correlation and largest VIF of the drivers."""
    correlation = to_correlation(users.fit.matrix)[:-1, :-1]
    values = np.linalg.eigvalsh(correlation)
    smallest = max(float(values[0]), 0.0)
    count = len(correlation)
    off = (correlation.sum() - count) / (count * (count - 1)) if count > 1 else 0.0
    return {
        "condition_number": float(np.sqrt(values[-1] / smallest)) if smallest > 1e-12 else np.inf,
        "mean_correlation": float(off),
        "largest_vif": float(users.inflation.max()),
    }


def covariance_table(users: Users) -> pd.DataFrame:
    """Covariance matrix of drivers and outcome, with its names."""
    names = [*users.answers.names, users.answers.outcome_name]
    return pd.DataFrame(users.fit.matrix, index=names, columns=names)


def users_notes(users: Users, resample: Resample) -> list[str]:
    """What to know about the estimates among users."""
    notes = [*users.notes, *users.fit.notes, users.importance.note]
    if users.fit.repaired:
        notes.append(
            f"{users.fit.repaired} of {resample.replicates} replicates had an impossible "
            "covariance matrix and were repaired."
        )
    if np.isnan(users.p_values).all() and resample.kind == "none":
        notes.append("Without replicates there is no test of the coefficients here.")
    if resample.kind != "none" and users.df < FEW_DEGREES:
        notes.append(f"Few clusters: {users.df:g} degrees of freedom.")
    if users.importance.r_squared > 1:
        notes.append(f"R² is {users.importance.r_squared:.3f}, above 1: the latent model fails.")
    if users.importance.r_squared <= 0:
        notes.append("R² is not above 0, so shares are undefined.")
    mean = collinearity(users)["mean_correlation"]
    if mean > HALO:
        notes.append(
            f"Ratings correlate {mean:.2f} on average: one impression may colour them all (halo)."
        )
    return notes
