"""Employees beside customers: whether units whose employees score higher have customers who do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.display import with_display
from cxlab.core.findings import Cells, Finding, Findings
from cxlab.core.labels import natural_order
from cxlab.core.phrases import in_words, with_interval
from cxlab.stats.inference import ALPHA, effective_number
from cxlab.stats.metrics.two_groups import tested_difference
from cxlab.stats.teams.units import (
    Array,
    UnitResult,
    meta_regression,
    pooled_variance,
    shown_units,
    unit_means,
)

BETWEEN, CORRECTED, WITHIN = "between units", "between units, corrected", "within units"
#: Units that a slope needs, and the reliability that a corrected one needs.
FEWEST_UNITS, LEAST_RELIABILITY = 10, 0.5
ALIKE = "employees' means are all alike: no slope"
NOT_CORRECTED = "no corrected slope"
TOO_FEW = f"fewer than {FEWEST_UNITS} units: no slope"
SLOPE_COLUMNS = (
    "slope", "n", "estimate", "se", "ci_low", "ci_high", "df", "p_value", "r_squared",
    "reliability", "note",
)  # fmt: skip
#: Columns of both sides' means, and what they are called beside each other.
UNIT_COLUMNS = {
    "unit": "unit", "n_x": "n_employees", "mean_x": "employee_mean", "n_y": "n",
    "mean_y": "customer_mean",
}  # fmt: skip
#: Names that the tables are recorded under.
SLOPES, SIGNS = "team-slopes", "team-signs"
FIGURES = ("estimate", "ci_low", "ci_high")
NO_CAUSE = "Units differ in more than their employees: no slope says what engaging them would do"
NO_BLAME = "A sign says where to look; there may be good reasons for what is found"


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
        """The slope between units and how many to look at; then the other slopes.

        Parameters
        ----------
        signs : UnitResult, optional
            Of `unit_signs`.
        noun, looked : str
            What a unit is called, and a unit of the signs where it is another.
        """
        rows = [_answer(self.table, signs, noun, looked or noun)]
        rows += [*_within_finding(self.table, noun), *_corrected_finding(self.table, noun)]
        cautions = {"no-cause": NO_CAUSE, **({"no-blame": NO_BLAME} if signs is not None else {})}
        rows += [Finding(kind="caution", text=text, rule=rule) for rule, text in cautions.items()]
        return Findings(tuple(rows))


def link_teams(
    employees: Any,
    answers: Any,
    *,
    unit: str,
    employee_score: str,
    customer_score: str,
    within: str | None = None,
    design: DesignLike = None,
    employee_design: DesignLike = None,
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
        then of the last that both have, as an employee may have answered in several.
    design, employee_design : Design or mapping, optional
        Of ``answers`` and of ``employees``. Their weights are those of the means; clusters and
        strata are not used, as the unit is the sample.
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
        Where most units have one employee and ``persons`` is not said, no unit or no survey
        (``within``) is in both tables, weights are given beside unit means, or the spread of
        customers within the units of both is not known.

    Notes
    -----
    Units are the sample: rows of customers with their unit's employee score beside them reject
    a true null in a quarter to a third of all studies. Random-effects regression by REML; the
    test is Knapp and Hartung's, of the slope as it is. Sampling variances are one variance within
    units over (Σw)²/Σw² answers.

    The corrected slope is that over λ, for fewer than all employees answered, and is given where
    λ ≥ .5. Its interval and that of the slope within, which compares a unit with itself, less
    what all share, and is not corrected, are a jackknife of units with (Σs)²/Σs² degrees of
    freedom, s being a unit's weighted square of the employees' score about its mean (the leading
    term of Bell and McCaffrey's): about a third of the units. A customer who answered twice
    counts twice. With eight or more employees a unit the corrected interval holds the truth in
    97 to 98 % of studies; with five to eight, where λ passes .5 by luck, in 93 to 96 %.

    References
    ----------
    Knapp & Hartung (2003), Statistics in Medicine 22, 2693–2710.
    Fuller (1987), Measurement Error Models, section 3.1.
    Bell & McCaffrey (2002), Survey Methodology 28, 169–181.

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
    sides = [
        unit_means(data, unit=unit, score=score, argument=argument, within=within, design=own)
        for data, score, argument, own in (
            (employees, employee_score, "employee_score", employee_design),
            (answers, customer_score, "customer_score", design),
        )
    ]
    (staff, staff_missing), (buyers, missing) = sides
    cells = staff.merge(buyers, left_index=True, right_index=True)
    if within:
        _check_shared(staff, buyers, "wave", f"`{within}` must name the same surveys")
        # who answers in several surveys is one person: the slope between is of the last
        last = max(cells.index.get_level_values("wave"), key=natural_order, default="")
        staff, buyers = (
            side[side.index.isin([last], "wave")].droplevel("wave") for side in (staff, buyers)
        )
    _check_shared(staff, buyers, "unit", f"`{unit}` must name the same units")
    both = staff.merge(buyers, left_index=True, right_index=True)
    _check(staff, both, persons)
    slopes = _slopes(both, level)
    if within and len(both) >= FEWEST_UNITS:
        slopes.append(_within(cells, level))
    every = both.reset_index()[[*UNIT_COLUMNS]].rename(columns=UNIT_COLUMNS)
    return TeamLink(
        table=with_display(
            pd.DataFrame(slopes, columns=list(SLOPE_COLUMNS)),
            caption="Customers' points per point of employees", level=level,
            columns=("slope", "estimate", "r_squared", "reliability", "n"),
            headers={"r_squared": "Explained between units", "n": "Units"},
            units={"estimate": "+number", "r_squared": "share", "reliability": "r"},
            reference={"estimate": 0.0},
        ),
        units=_units(every, persons, min_group_size),
        every=every,
        n_missing=pd.DataFrame(
            {"column": [employee_score, customer_score], "n_missing": [staff_missing, missing]}
        ),
        notes=_left_out(staff, buyers, both),
    )  # fmt: skip


def _left_out(staff: pd.DataFrame, buyers: pd.DataFrame, both: pd.DataFrame) -> tuple[str, ...]:
    return tuple(
        f"Units with {who} only, left out: {len(side) - len(both):,}."
        for who, side in (("employees", staff), ("customers", buyers))
        if len(side) > len(both)
    )


def _check_shared(staff: pd.DataFrame, buyers: pd.DataFrame, level: str, rule: str) -> None:
    there, asked = (side.index.get_level_values(level) for side in (staff, buyers))
    if len(there) and len(asked) and not there.isin(asked).any():
        raise ValueError(
            f"{rule} in both tables; got '{there[0]}' of employees and '{asked[0]}' of answers. "
            "Write the names alike."
        )


def _check(staff: pd.DataFrame, both: pd.DataFrame, persons: bool) -> None:
    single = int((staff["n"] == 1).sum())
    if not persons and single > len(staff) / 2:
        raise ValueError(
            f"`persons` must be True where a unit is one person; got {single} of {len(staff)} "
            "units with one employee. Set persons=True, or name a column of larger units."
        )
    if len(both) and not pooled_variance(both, "_y") > 0:
        raise ValueError(
            "`customer_score` must vary within units; got no spread that is known. Give several "
            "answers a unit, or unit means with their `sd`."
        )


def _units(every: pd.DataFrame, persons: bool, min_group_size: int) -> pd.DataFrame:
    return shown_units(
        every, every[["n_employees", "n"]].min(axis=1), persons, min_group_size,
        caption="Both scores of each unit", sort=("-employee_mean",),
        columns=("unit", "employee_mean", "customer_mean", "n_employees", "n"),
        headers={"n_employees": "Employees", "n": "Answers"},
        units={"employee_mean": "score", "customer_mean": "score", "n_employees": "count"},
    )  # fmt: skip


def _slopes(both: pd.DataFrame, level: float) -> list[dict[str, Any]]:
    """Rows of the slope between units and of the corrected one."""
    units, (x, y) = len(both), both[["mean_x", "mean_y"]].to_numpy().T
    if units < FEWEST_UNITS or not x.std() > 0:
        note = TOO_FEW if units < FEWEST_UNITS else ALIKE
        return [{"slope": BETWEEN, "n": units, "note": note}]
    answered = both["n_effective_x"].to_numpy()
    spread = pooled_variance(both, "_y") / both["n_effective_y"].to_numpy()
    columns = np.column_stack([np.ones(units), x])
    fit, alone = (meta_regression(y, spread, columns[:, :p]) for p in (2, 1))
    slope = float(fit.beta[1])
    known, squares = reliability(x, pooled_variance(both, "_x") / answered, fit.weights)
    explained = max(0.0, 1 - float(fit.tau2 / alone.tau2)) if alone.tau2 > 0 else np.nan
    between = _tested(slope, float(np.sqrt(fit.covariance[1, 1])), units - 2, level)
    corrected: dict[str, Any] = {"note": _why_not_corrected(float(known))}
    if not corrected["note"]:
        left = meta_regression(y, spread, columns, 1 - np.eye(units))
        variances = pooled_variance(both, "_x", without_each=True)[:, None]
        each, _ = reliability(x, variances / answered, left.weights)
        if not each.min() >= LEAST_RELIABILITY / 2:
            corrected["note"] = (
                f"reliability of employees' means rests on one unit: {NOT_CORRECTED}"
            )
        else:
            estimate = slope / float(known)
            se = _jackknife(left.beta[:, 1] / each, estimate)
            corrected |= _tested(estimate, se, effective_number(squares), level)
            # without p: the test is of the slope as it is
            del corrected["p_value"]
    told = {"n": units, "reliability": known}
    return [
        {"slope": BETWEEN, **told, **between, "r_squared": explained, "note": ""},
        {"slope": CORRECTED, **told, **corrected},
    ]


def reliability(x: Array, variance: Array, weights: Array) -> tuple[Array, Array]:
    """Share of the weighted spread of unit means that is no sampling error; each one's spread.

    λ = 1 − Σ w(1 − w/W)v / Σ w(x − x̄)², 0 at least. With equal weights: 1 − mean of v / variance
    of x. Fuller (1987), Measurement Error Models, section 3.1.

    >>> float(reliability(np.array([1.0, 2, 3]), np.full(3, 0.25), np.ones(3))[0])
    0.75
    """
    total = weights.sum(-1, keepdims=True)
    squares = weights * (x - (weights * x).sum(-1, keepdims=True) / total) ** 2
    noise = (weights * (1 - weights / total) * variance).sum(-1)
    return np.maximum(1 - noise / squares.sum(-1), 0.0), squares


def _why_not_corrected(known: float) -> str:
    if np.isnan(known):
        return f"the spread of employees within units is not known: {NOT_CORRECTED}"
    if known < LEAST_RELIABILITY:
        return f"reliability of employees' means under {LEAST_RELIABILITY:g}: {NOT_CORRECTED}"
    return ""


def _tested(estimate: float, se: float, df: float, level: float) -> dict[str, float]:
    found = tested_difference(estimate, se**2, df, level, "t")
    return {name: found[name] for name in ("estimate", "se", "ci_low", "ci_high", "df", "p_value")}


def _jackknife(each: Array, estimate: float) -> float:
    return float(np.sqrt((len(each) - 1) * ((each - estimate) ** 2).mean()))


def _within(cells: pd.DataFrame, level: float) -> dict[str, Any]:
    """A unit against itself: means about the unit's and the survey's, weighted by answers."""
    told: dict[str, Any] = {"slope": WITHIN}
    variance = pooled_variance(cells, "_x")
    cells = cells[cells.index.get_level_values(0).duplicated(keep=False)]
    places = [cells.index.get_level_values(level) for level in (0, 1)]
    unit, weight = places[0], cells["n_effective_y"]
    told["n"] = unit.nunique()
    if told["n"] < FEWEST_UNITS:
        return told | {"note": TOO_FEW}
    total, means = weight.groupby(unit).transform("sum"), cells[["mean_x", "mean_y"]]
    # what all units share from survey to survey is no link of a unit's own
    both = np.column_stack([pd.get_dummies(place, dtype=float) for place in places])
    root = np.sqrt(weight.to_numpy())[:, None]
    centred = means - both @ np.linalg.lstsq(root * both, root * means.to_numpy(), rcond=None)[0]
    x = weight * centred["mean_x"]
    squares, products = (x.mul(centred[side]).groupby(unit).sum() for side in centred)
    noise = (weight * (1 - weight / total) * variance / cells["n_effective_x"]).sum()
    if not squares.sum() > 1e-12:
        return told | {"note": ALIKE}
    known = max(1 - noise / squares.sum(), 0.0)
    slope = float(products.sum() / squares.sum())
    each = (products.sum() - products) / (squares.sum() - squares)
    told |= _tested(slope, _jackknife(each.to_numpy(), slope), effective_number(squares), level)
    note = "drawn to 0 by sampling error"
    if known < LEAST_RELIABILITY:
        note = "employees' means changed little more than by sampling error"
    return told | {"reliability": known, "note": note}


def _slope(table: pd.DataFrame, name: str) -> pd.Series | None:
    """Row of a slope; None where there is none."""
    rows = table[(table["slope"] == name) & table["estimate"].notna()]
    return rows.iloc[0] if len(rows) else None


def _size(row: pd.Series) -> str:
    return with_interval(row["estimate"], row["ci_low"], row["ci_high"], references=[0.0])


def _answer(table: pd.DataFrame, signs: UnitResult | None, noun: str, looked: str) -> Finding:
    row = _slope(table, BETWEEN)
    cells = [Cells(SLOPES, {"slope": BETWEEN}, (*FIGURES, "n"))]
    text = _between(int(table["n"].iloc[0]), row, noun)
    if signs is not None and signs.table["centre"].notna().any():
        number = int(signs.table["with_any_sign"].iloc[0])
        text += f"; {in_words(number)} {looked}{'' if number == 1 else 's'} to look at"
        cells += [Cells(SIGNS, {"sign": sign}, ("with_any_sign",)) for sign in signs.table["sign"]]
    if row is None:
        return Finding(kind="answer", text=text, rule="few-units", cells=tuple(cells))
    return Finding(
        kind="answer", text=text, subject=BETWEEN, detail=f"{int(row['n'])} {noun}s are the sample",
        certainty="clear" if row["p_value"] < ALPHA else "not settled", estimate=row["estimate"],
        ci_low=row["ci_low"], ci_high=row["ci_high"], unit="points per point", n=int(row["n"]),
        reference=0.0, p_adjusted=row["p_value"], family="slopes", family_size=1, rule="between",
        cells=tuple(cells),
    )  # fmt: skip


def _between(units: int, row: pd.Series | None, noun: str) -> str:
    if row is None:
        needed = in_words(FEWEST_UNITS) if units < FEWEST_UNITS else "employees who differ"
        told = f"Both scores of {in_words(units)} {noun}s stand side by side"
        return f"{told}; a slope needs {needed}"
    if row["p_value"] >= ALPHA:
        told = "Whether customers score higher where employees do is not shown"
        return f"{told}: by {_size(row)} a point"
    turned = dict(zip(FIGURES, -row[["estimate", "ci_high", "ci_low"]].to_numpy(), strict=True))
    higher = row["estimate"] > 0
    size = _size(row if higher else pd.Series(turned))
    told = f"Where employees score a point higher, customers score {size}"
    return f"{told} {'higher' if higher else 'lower'}"


def _within_finding(table: pd.DataFrame, noun: str) -> list[Finding]:
    """A unit beside itself earlier; not tested: one test, one family."""
    row = _slope(table, WITHIN)
    if row is None:
        return []
    return [
        Finding(
            text=f"Within a {noun}, from one survey of employees to the next, it is {_size(row)}",
            subject=WITHIN, detail=row["note"], estimate=row["estimate"], ci_low=row["ci_low"],
            ci_high=row["ci_high"], unit="points per point", n=int(row["n"]), rule="within",
            cells=(Cells(SLOPES, {"slope": WITHIN}, FIGURES),),
        )
    ]  # fmt: skip


def _corrected_finding(table: pd.DataFrame, noun: str) -> list[Finding]:
    """The slope if all employees had answered, or why it is not given."""
    rows = table[table["slope"] == CORRECTED]
    if rows.empty:
        return []
    row = rows.iloc[0]
    if row["note"]:
        note = row["note"][0].upper() + row["note"][1:]
        return [Finding(text=note, subject=CORRECTED, reference=0.5, rule="not-corrected")]
    return [
        Finding(
            text=f"Had all employees answered, it would be about {_size(row)} between {noun}s",
            subject=CORRECTED, detail=f"reliability of their means {row['reliability']:.2f}",
            estimate=row["estimate"], ci_low=row["ci_low"], ci_high=row["ci_high"],
            unit="points per point", n=int(row["n"]), rule="corrected",
            cells=(Cells(SLOPES, {"slope": CORRECTED}, FIGURES),),
        )
    ]  # fmt: skip
