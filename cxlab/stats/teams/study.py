"""A study's units: its employees, the answers of customers, the invitations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.labels import natural_order
from cxlab.core.messages import one_of, unknown
from cxlab.survey.definition import RATING_ROLES, Column, Table
from cxlab.survey.study import Study

WAVE = "wave"


@dataclass(frozen=True, eq=False)
class StudyTeams:
    """What `link_teams`, `unit_scores` and `unit_signs` take of a study.

    Attributes
    ----------
    link, scores, signs : dict
        Arguments of the three.
    noun, looked : str
        What units are called: of the link, and of the signs.
    about : str
        How many rows of what.
    """

    link: dict[str, Any]
    scores: dict[str, Any]
    signs: dict[str, Any]
    noun: str
    looked: str
    about: str


def study_teams(
    study: Study, *, period: str | None = None, where: Mapping[str, Any] | None = None
) -> StudyTeams:
    """Read employees, answers by unit and invitations of a study, all periods up to one.

    Parameters
    ----------
    study : Study
        Declares a table ``employees`` and a table of answers with an outcome, both with the
        same column of the role ``unit``.
    period : str, optional
        The last; default: all.
    where : mapping, optional
        Of answers, as for `Study.read`.

    Notes
    -----
    An answer belongs to the last survey of employees up to its period (``wave``). Signs are
    of units that are persons, where a study declares them.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study_teams(load_study("demo")).about
    '2,318 answers and 720 employees of 24 teams; 30 agents.'
    """
    declared = study.definition.tables
    if "employees" not in declared:
        raise ValueError(unknown("table", "employees", declared, what="one of "))
    staff = declared["employees"]
    unit, rating = (_named(staff, *roles) for roles in (("unit",), RATING_ROLES))
    with_unit = [t for t in declared.values() if unit in t.columns and t.with_role("outcome")]
    if not with_unit:
        raise ValueError(f"a table of answers must have an outcome and '{unit}'; got none.")
    table = with_unit[0]
    outcomes = table.with_role("outcome")
    outcome = next((one for one in outcomes if "nps" in one.metrics), outcomes[0])
    answers = _up_to(study.read(table.name, where=where, engine="pandas"), period)
    employees = _up_to(study.read("employees", engine="pandas"), period)
    _add_waves(answers, employees)
    looked = next((one for one in table.with_role("unit") if one.persons), table.columns[unit])
    own, size = table.columns[unit], {"min_group_size": study.definition.min_group_size}
    noun, other = own.label.lower(), looked.label.lower()
    units = {"answers": answers, "unit": unit, "persons": own.persons, **size}
    told = (
        f"{len(answers):,} answers and {len(employees):,} employees of "
        f"{employees[unit].nunique()} {noun}s; {answers[looked.name].nunique()} {other}s."
    )
    return StudyTeams(
        link={"employees": employees, "employee_score": rating, "customer_score": outcome.name,
              "within": WAVE if employees[WAVE].nunique() > 1 else None, **units},
        scores={"score": outcome.name, **units},
        signs={"answers": answers, "unit": looked.name, "persons": looked.persons,
               "score": outcome.name, "top": _top(outcome), **size,
               **_invited(study, looked.name, period), **_hours(answers)},
        noun=noun, looked=other, about=told,
    )  # fmt: skip


def _named(table: Table, *roles: str) -> str:
    found = table.with_role(*roles)
    if not found:
        raise ValueError(
            f"table '{table.name}' must have a column of role {one_of(roles)}; got none."
        )
    return found[0].name


def _top(outcome: Column) -> tuple[float, float]:
    if outcome.scale is None:
        raise ValueError(f"`scale` of '{outcome.name}' must be declared; got none.")
    return outcome.scale.top_box or (outcome.scale.high, outcome.scale.high)


def _up_to(rows: pd.DataFrame, period: str | None) -> pd.DataFrame:
    if period is None or "period" not in rows:
        return rows.copy()
    return rows[rows["period"].map(natural_order) <= natural_order(period)].copy()


def _add_waves(answers: pd.DataFrame, employees: pd.DataFrame) -> None:
    """Mark each answer with the last survey of employees up to its period."""
    employees[WAVE] = employees.get("period", "")
    waves = sorted(employees[WAVE].unique(), key=natural_order)
    asked = answers["period"].map(natural_order) if "period" in answers else []
    answers[WAVE] = None
    for wave in waves:
        answers.loc[[one >= natural_order(wave) for one in asked], WAVE] = wave


def _invited(study: Study, unit: str, period: str | None) -> dict[str, Any]:
    """Invitations with the unit that arrived, where a study has them."""
    declared = study.definition.tables.get("invitations")
    if declared is None or not {unit, "status"} <= set(declared.columns):
        return {}
    rows = _up_to(study.read("invitations", engine="pandas"), period)
    rows = rows[rows["status"].isin(["invited", "answered"])].dropna(subset=[unit])
    return {"invited": rows.assign(answered=rows["status"] == "answered"), "answered": "answered"}


def _hours(answers: pd.DataFrame) -> dict[str, Any]:
    """Hours from the invitation to the answer, where both are dated."""
    if not {"invited_at", "responded_at"} <= set(answers):
        return {}
    waited = answers["responded_at"] - answers["invited_at"]
    answers["hours"] = waited.dt.total_seconds() / 3600
    return {"delay": "hours"}
