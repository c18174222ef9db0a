"""A study's tables as `compare_tnps_rnps` takes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cxlab.stats.comparison.columns import Columns
from cxlab.survey.messages import one_of
from cxlab.survey.study import Study

#: Names of a study's tables that make up the data contract; the first two are needed.
TABLES = ("transactional", "relationship", "invitations", "customers")


def programme_tables(study: Study, *, where: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of `cxlab.compare_tnps_rnps` from a study's tables.

    Parameters
    ----------
    study : Study
        With tables named ``transactional`` and ``relationship``, and if there
        ``invitations`` and ``customers``; all with the columns of the contract.
    where : mapping, optional
        Column of the customers table to the value(s) wanted: the comparison is then of
        these customers, in all tables.

    Returns
    -------
    dict
        ``transactional``, ``relationship``, ``invitations``, ``customers``, ``traits`` (the
        customers' segments) and ``contact_rules`` (as the study declares them; of chosen
        customers, those that stopped any of them).

    Raises
    ------
    ValueError
        When the study lacks one of the two surveys, or ``where`` is given without a table
        of customers.

    Examples
    --------
    >>> from cxlab.survey.study import load_study
    >>> tables = programme_tables(load_study("demo"))
    >>> tables["traits"], tables["contact_rules"]
    (['segment', 'home_region'], {'relationship quarantine': (60.0, 0.1)})
    """
    there = study.definition.tables
    lacking = [name for name in TABLES[:2] if name not in there]
    if lacking:
        raise ValueError(
            f"`study` must have tables named {one_of(TABLES[:2])}; got no '{lacking[0]}' in "
            f"'{study.name}'. tNPS and rNPS are compared from both surveys."
        )
    frames = {name: study.read(name) if name in there else None for name in TABLES}
    rules: dict[str, Any] | None = dict(study.definition.contact_rules)
    if where:
        everybody, frames = frames, _of_customers(study, frames, where)
        rules = _rules_met(rules or {}, everybody["invitations"], frames["invitations"])
    customers = there.get("customers")
    traits = [column.name for column in customers.with_role("segment")] if customers else None
    return {**frames, "traits": traits, "contact_rules": rules or None}


def _of_customers(
    study: Study, frames: Mapping[str, Any], where: Mapping[str, Any]
) -> dict[str, Any]:
    table = study.definition.tables.get("customers")
    key = table.only("id") if table else None
    if key is None:
        raise ValueError(
            f"`where` must be left out for '{study.name}', which has no table of customers with "
            "an id. Choose customers there, so that both surveys are of the same ones."
        )
    chosen = study.read("customers", where=where)
    return {
        name: frame
        if frame is None
        else chosen
        if name == "customers"
        else frame[frame[key.name].isin(chosen[key.name])].reset_index(drop=True)
        for name, frame in frames.items()
    }


def _rules_met(rules: Mapping[str, Any], everybody: Any, chosen: Any) -> dict[str, Any]:
    """Rules without those that stopped somebody, but none of the chosen customers.

    A rule that stopped nobody at all stays: its name may be misspelt, and the comparison
    then says so.
    """
    column = Columns().rule
    if everybody is None or column not in everybody:
        return dict(rules)
    of_all, of_chosen = (set(frame[column].dropna().astype("str")) for frame in (everybody, chosen))
    return {name: rule for name, rule in rules.items() if name in of_chosen or name not in of_all}
