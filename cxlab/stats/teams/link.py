"""Employees beside customers: whether units whose employees score higher have customers who do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import stdtr

from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.findings import Findings
from cxlab.core.frames import open_frame
from cxlab.core.labels import natural_order, row_labels
from cxlab.stats.inference import t_quantile
from cxlab.stats.teams.regression import Array, meta_regression, reliability
from cxlab.stats.teams.units import UnitMeans, UnitResult, shown_units, unit_means

BETWEEN, CORRECTED, WITHIN = "between units", "between units, corrected", "within units"
#: Units that a slope needs, and the reliability that a corrected one needs.
FEWEST_UNITS, LEAST_RELIABILITY = 10, 0.5
ALIKE = "employees' means are all alike: no slope"
TOO_FEW = f"fewer than {FEWEST_UNITS} units: no slope"
SLOPE_COLUMNS = (
    "slope", "n", "estimate", "se", "ci_low", "ci_high", "df", "p_value", "r_squared",
    "reliability", "note",
)  # fmt: skip


@dataclass(frozen=True, eq=False, kw_only=True)
class TeamLink(UnitResult):
    """Slopes of customers' scores on employees', and both scores of each unit.

    Attributes
    ----------
    table : DataFrame
        See `link_teams`.
    units : DataFrame
        ``unit``, ``n_employees``, ``employee_mean``, ``n`` (customers' answers), ``customer_mean``.
    """

    def findings(
        self, signs: UnitResult | None = None, *, noun: str = "unit", looked: str = ""
    ) -> Findings:
        """The slope between units, the one within beside it, and how many to look at.

        Parameters
        ----------
        signs : UnitResult, optional
            Of `unit_signs`.
        noun, looked : str
            What a unit is called, and a unit of the signs where it is another.
        """
        from cxlab.stats.teams.findings import team_findings

        return team_findings(self, signs, noun, looked or noun)


def link_teams(
    employees: Any,
    answers: Any,
    *,
    unit: str,
    employee_score: str,
    customer_score: str,
    within: str | None = None,
    persons: bool = False,
    level: float = 0.95,
    min_group_size: int = MIN_GROUP_SIZE,
) -> TeamLink:
    """Regress units' mean customer score on their mean employee score.

    Parameters
    ----------
    employees, answers : DataFrame
        One row per employee, and per customer's answer. Or one row per unit: with the columns
        ``mean`` and ``n`` (answers), and ``sd``; the score is then ``"mean"``. Without ``sd`` of
        employees there is no corrected slope; customers' is needed.
    unit : str
        Column of the unit (store, team, agent), in both.
    employee_score, customer_score : str
        Columns of numbers; rows without are counted in ``n_missing``.
    within : str, optional
        Column in both of the survey of employees that a row belongs to. The slope between is
        then of the last, as an employee may have answered in several.
    persons : bool
        Whether a unit is one person; none is shown then.
    level : float
    min_group_size : int
        Units with fewer employees or answers are hidden; the slope is of all.

    Returns
    -------
    TeamLink
        Its table, in customers' points per point of employees: ``slope`` (between units;
        corrected; within units, with ``within``), ``n`` (units), ``estimate``, ``se``,
        ``ci_low``, ``ci_high``, ``df``, ``p_value``, ``r_squared`` (of the variance between
        units), ``reliability`` (λ of the employees' means), ``note``.

    Raises
    ------
    ValueError
        Where most units have one employee and ``persons`` is not said, or the spread of customers
        within units is not known.

    Notes
    -----
    Units are the sample: rows of customers with their unit's employee score beside them reject
    a true null in a quarter to a third of all studies. Random-effects regression by REML; the
    test is Knapp and Hartung's, of the slope as it is. The corrected slope is that over λ, for fewer
    than all employees answered; its interval is a jackknife of units, and it is given where
    λ ≥ .5. Sampling variances rest on one variance within units; weights are not used. The slope
    within compares a unit with itself, less what all share, and its interval is a jackknife of units too, with (Σs)²/Σs² degrees of
    freedom, s being a unit's sum of squares; it is not corrected. A customer who answered
    twice counts twice.

    References
    ----------
    Knapp & Hartung (2003), Statistics in Medicine 22, 2693–2710.
    Fuller (1987), Measurement Error Models, section 3.1.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> shops = pd.DataFrame({"shop": range(12), "x": rng.normal(size=12)})
    >>> staff = shops.loc[shops.index.repeat(30)].assign(e=lambda d: d.x + rng.normal(size=360))
    >>> buyers = shops.loc[shops.index.repeat(50)].assign(c=lambda d: d.x + rng.normal(size=600))
    >>> link = link_teams(staff, buyers, unit="shop", employee_score="e", customer_score="c")
    >>> link.table[["slope", "n", "estimate", "reliability"]].round(2)
                          slope   n  estimate  reliability
    0             between units  12      0.97         0.92
    1  between units, corrected  12      1.05         0.92
    """
    sides = ((employees, employee_score), (answers, customer_score))
    every_wave = [_cells(data, unit, within, score) for data, score in sides if within]
    if within:
        # who answers in several surveys is one person: the slope between is of the last
        last = max(row_labels(employees[within].dropna()), key=natural_order)
        employees, answers = (data[row_labels(data[within]) == last] for data, _ in sides)
    staff = unit_means(employees, unit=unit, score=employee_score, argument="employee_score")
    buyers = unit_means(answers, unit=unit, score=customer_score, argument="customer_score")
    _check(staff, buyers, persons)
    columns = {"n": "n_employees", "mean": "employee_mean"}
    both = staff.table.drop(columns="variance").rename(columns=columns)
    both = both.join(buyers.table.drop(columns="variance"), how="inner")
    both = both.rename(columns={"mean": "customer_mean"})
    slopes = _slopes(both, staff.variance, buyers.variance, level)
    if every_wave and len(both) >= FEWEST_UNITS:
        cells = every_wave[0].join(every_wave[1], how="inner", suffixes=("_x", "_y"))
        slopes.append(_within(cells, staff.variance, level))
    every = both.reset_index()
    missing = {employee_score: staff.n_missing, customer_score: buyers.n_missing}
    return TeamLink(
        table=with_display(
            pd.DataFrame(slopes, columns=list(SLOPE_COLUMNS)),
            caption="Customers' points per point of employees", level=level,
            columns=("slope", "estimate", "r_squared", "reliability", "n"),
            headers={"r_squared": "Explained between units", "n": "Units"},
            units={"estimate": "+number", "r_squared": "share", "reliability": "r"},
            reference={"estimate": 0.0},
        ),
        units=shown_units(
            every, every[["n_employees", "n"]].min(axis=1), persons, min_group_size,
            caption="Both scores of each unit", sort=("-employee_mean",),
            columns=("unit", "employee_mean", "customer_mean", "n_employees", "n"),
            headers={"n_employees": "Employees", "n": "Answers"},
            units={"employee_mean": "score", "customer_mean": "score", "n_employees": "count"},
        ),
        every=every,
        n_missing=pd.DataFrame({"column": list(missing), "n_missing": list(missing.values())}),
        notes=_notes(staff, buyers, len(both)),
    )  # fmt: skip


def _check(staff: UnitMeans, buyers: UnitMeans, persons: bool) -> None:
    single = int((staff.table["n"] == 1).sum())
    if not persons and single > len(staff.table) / 2:
        raise ValueError(
            f"`persons` must be True where a unit is one person; got {single} of {len(staff.table)} "
            "units with one employee. Set persons=True, or name a column of larger units."
        )
    if not buyers.variance > 0:
        raise ValueError(
            "`customer_score` must vary within units; got no spread that is known. Give several "
            "answers a unit, or unit means with their `sd`."
        )


def _notes(staff: UnitMeans, buyers: UnitMeans, both: int) -> tuple[str, ...]:
    alone = {"employees": len(staff.table) - both, "customers": len(buyers.table) - both}
    return tuple(f"Units with {who} only, left out: {n:,}." for who, n in alone.items() if n)


def _slopes(
    both: pd.DataFrame, staff_variance: float, variance: float, level: float
) -> list[tuple[Any, ...]]:
    """Rows of the slope between units and of the corrected one."""
    units = len(both)
    x, y = both["employee_mean"].to_numpy(), both["customer_mean"].to_numpy()
    if units < FEWEST_UNITS or not x.std() > 0:
        note = TOO_FEW if units < FEWEST_UNITS else ALIKE
        return [(BETWEEN, units, *[np.nan] * 8, note)]
    noise, spread = staff_variance / both["n_employees"].to_numpy(), variance / both["n"].to_numpy()
    columns = np.column_stack([np.ones(units), x])
    fit, alone = (meta_regression(y, spread, columns[:, :p]) for p in (2, 1))
    slope, known = float(fit.beta[1]), float(reliability(x, noise, fit.weights))
    explained = max(0.0, 1 - float(fit.tau2 / alone.tau2)) if alone.tau2 > 0 else np.nan
    tested = _tested(slope, float(np.sqrt(fit.covariance[1, 1])), units - 2, level)
    corrected, note = [np.nan] * 5, _why_not_corrected(known)
    if not note:
        left = meta_regression(y, spread, columns, 1 - np.eye(units))
        each = reliability(x, noise, left.weights)
        if each.min() < LEAST_RELIABILITY / 2:
            note = "reliability of employees' means rests on one unit: no corrected slope"
        else:
            se = _jackknife(left.beta[:, 1] / each, slope / known)
            # without p: the test is of the slope as it is
            corrected = _tested(slope / known, se, units - 2, level)[:-1]
    return [
        (BETWEEN, units, *tested, explained, known, ""),
        (CORRECTED, units, *corrected, np.nan, np.nan, known, note),
    ]


def _why_not_corrected(known: float) -> str:
    if np.isnan(known):
        return "the spread of employees within units is not known: no corrected slope"
    if known < LEAST_RELIABILITY:
        return f"reliability of employees' means under {LEAST_RELIABILITY:g}: no corrected slope"
    return ""


def _tested(estimate: float, se: float, df: float, level: float) -> list[float]:
    half = float(t_quantile(level, df)) * se
    p_value = 2 * float(stdtr(df, -abs(estimate) / se)) if se > 0 else np.nan
    return [estimate, se, estimate - half, estimate + half, df, p_value]


def _jackknife(each: Array, estimate: float) -> float:
    return float(np.sqrt((len(each) - 1) * ((each - estimate) ** 2).mean()))


def _cells(data: Any, unit: str, within: str, score: str) -> pd.DataFrame:
    """Mean and number of answers per unit and what differs within it."""
    rows = open_frame(data, numbers={"score": score}, unit=unit, within=within).rows().dropna()
    keys = [row_labels(rows[one]).rename(one) for one in (unit, within)]
    return rows[score].groupby(keys).agg(["mean", "size"])


def _within(cells: pd.DataFrame, variance: float, level: float) -> tuple[Any, ...]:
    """A unit against itself: means about the unit's and the survey's, weighted by answers."""
    unit = cells.index.get_level_values(0)
    cells = cells[cells.groupby(unit)["size_y"].transform("size") > 1]
    unit = cells.index.get_level_values(0)
    units, weight = unit.nunique(), cells["size_y"]
    if units < FEWEST_UNITS:
        return (WITHIN, units, *[np.nan] * 8, TOO_FEW)
    total, means = weight.groupby(unit).transform("sum"), cells[["mean_x", "mean_y"]]
    # what all units share from survey to survey is no link of a unit's own
    dummies = [pd.get_dummies(cells.index.get_level_values(i), dtype=float) for i in (0, 1)]
    both, root = np.column_stack(dummies), np.sqrt(weight.to_numpy())[:, None]
    centred = means - both @ np.linalg.lstsq(root * both, root * means.to_numpy(), rcond=None)[0]
    x = weight * centred["mean_x"]
    squares, products = (x.mul(centred[side]).groupby(unit).sum() for side in centred)
    noise = (weight * (1 - weight / total) * variance / cells["size_x"]).sum()
    if not squares.sum() > 1e-12:
        return (WITHIN, units, *[np.nan] * 8, ALIKE)
    known = max(1 - noise / squares.sum(), 0.0)
    slope = float(products.sum() / squares.sum())
    each = (products.sum() - products) / (squares.sum() - squares)
    # units whose employees changed little tell little: as many as make up the spread
    df = float(squares.sum() ** 2 / (squares**2).sum())
    tested = _tested(slope, _jackknife(each.to_numpy(), slope), df, level)
    note = "drawn to 0 by sampling error"
    if known < LEAST_RELIABILITY:
        note = "employees' means changed little more than by sampling error"
    return (WITHIN, units, *tested, np.nan, known, note)
