"""A study's units: its employees, the answers of customers, the invitations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from cxlab.core.labels import natural_order
from cxlab.core.messages import one_of
from cxlab.survey.definition import RATING_ROLES, Table
from cxlab.survey.study import Study

EMPLOYEES, WAVE = "employees", "wave"


@dataclass(frozen=True, eq=False)
class StudyTeams:
    """What a study has of units.

    Attributes
    ----------
    link, scores, signs : dict
        Arguments of `link_teams`, `unit_scores` and `unit_signs`.
    words : dict
        What units are called: ``noun`` of the link, ``looked`` of the signs.
    about : str
        How many rows of what.
    """

    link: dict[str, Any]
    scores: dict[str, Any]
    signs: dict[str, Any]
    words: dict[str, str]
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
        Of answers or of their customers, as for `Study.read`. No single unit is shown then.

    Raises
    ------
    ValueError
        For a study that declares none of it.

    Notes
    -----
    An answer belongs to the last survey of employees up to its period (``wave``). Signs are
    of units that are persons, where a study declares them.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> study_teams(load_study("demo")).about
    '2,318 answers of customers and 681 of employees of 24 teams; 30 agents.'
    """
    staff = study.table(EMPLOYEES)
    unit, rating = _named(staff, "unit"), _named(staff, *RATING_ROLES)
    tables = study.definition.tables.values()
    table = next((t for t in tables if unit in t.columns and t.with_role("outcome")), staff)
    first, named = _named(table, "outcome"), study.metrics("outcome", table=table.name)
    score = next((metric.column for metric in named if metric.name == "nps"), first)
    answers = _up_to(_chosen(study, table, where or {}), period)
    employees = _up_to(study.read(EMPLOYEES, engine="pandas"), period)
    _add_waves(answers, employees)
    own = table.columns[unit]
    looked = next((one for one in table.with_role("unit") if one.persons), own)
    words = {"noun": own.label.lower(), "looked": looked.label.lower()}
    given = {"answers": answers, "min_group_size": study.definition.min_group_size}
    known = study.table_design(table.name)
    design = {"weights": known.weights, "cluster": known.cluster}
    # units of a part, beside those of everyone, would give small parts back
    units = {"unit": unit, "persons": own.persons or bool(where), "design": design, **given}
    top = {one.name: one.scale.top_box for one in table.with_role("outcome") if one.scale}[score]
    return StudyTeams(
        link={"employees": employees, "employee_score": rating, "customer_score": score,
              "within": WAVE if employees[WAVE].nunique() > 1 else None,
              "employee_design": {"weights": study.table_design(EMPLOYEES).weights}, **units},
        scores={"score": score, **units},
        signs={"unit": looked.name, "persons": looked.persons, "score": score, "top": top, **given,
               "design": {"cluster": known.cluster},
               **({} if where else _invited(study, looked.name, period)), **_hours(answers)},
        words=words,
        about=f"{len(answers):,} answers of customers and {len(employees):,} of employees of "
        f"{employees[unit].nunique()} {words['noun']}s; "
        f"{answers[looked.name].nunique()} {words['looked']}s.",
    )  # fmt: skip


def _chosen(study: Study, table: Table, where: Mapping[str, Any]) -> pd.DataFrame:
    """Answers of a part: by their own columns, or by those of their customers."""
    customers = study.definition.tables.get("customers")
    key = customers.only("id") if customers else None
    if set(where) <= set(table.columns) or key is None or key.name not in table.columns:
        return study.read(table.name, where=where or None, engine="pandas")
    answers = study.read(table.name, engine="pandas")
    people = study.read("customers", where=where, engine="pandas")
    return answers[answers[key.name].isin(people[key.name])]


def _named(table: Table, *roles: str) -> str:
    found = table.with_role(*roles)
    if not found:
        raise ValueError(
            f"table '{table.name}' must have a column of role {one_of(roles)}; got none."
        )
    return found[0].name


def _up_to(rows: pd.DataFrame, period: str | None) -> pd.DataFrame:
    if period is None or "period" not in rows:
        return rows.copy()
    return rows[rows["period"].map(natural_order) <= natural_order(period)].copy()


def _add_waves(answers: pd.DataFrame, employees: pd.DataFrame) -> None:
    """Mark each answer with the last survey of employees up to its period."""
    employees[WAVE], answers[WAVE] = employees.get("period", ""), None
    asked = answers["period"].map(natural_order) if "period" in answers else []
    for wave in sorted(employees[WAVE].unique(), key=natural_order):
        answers.loc[[one >= natural_order(wave) for one in asked], WAVE] = wave


def _invited(study: Study, unit: str, period: str | None) -> dict[str, Any]:
    """Invitations with the unit that arrived, where a study has them."""
    table = study.definition.tables.get("invitations")
    if table is None or not {unit, "status"} <= set(table.columns):
        return {}
    rows = _up_to(study.read(table.name, engine="pandas"), period).dropna(subset=[unit])
    rows = rows[rows["status"].isin(["invited", "answered"])]
    return {"invited": rows.assign(answered=rows["status"] == "answered"), "answered": "answered"}


def _hours(answers: pd.DataFrame) -> dict[str, Any]:
    """Hours from the invitation to the answer, where both are dated."""
    if not {"invited_at", "responded_at"} <= set(answers):
        return {}
    waited = answers["responded_at"] - answers["invited_at"]
    answers["hours"] = waited.dt.total_seconds() / 3600
    return {"delay": "hours"}
