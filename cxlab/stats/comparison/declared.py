"""A study's tables as `compare_tnps_rnps` takes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cxlab.core.messages import one_of
from cxlab.stats.comparison.contract import Columns
from cxlab.survey.definition import Table
from cxlab.survey.study import Study

#: Names of a study's tables that make up the data contract; the first two are needed.
TABLES = ("transactional", "relationship", "invitations", "customers")


def programme_tables(study: Study, *, where: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Arguments of `cxlab.compare_tnps_rnps` from a study's tables.

    Parameters
    ----------
    study : Study
        With tables named ``transactional`` and ``relationship``, and if there
        ``invitations`` and ``customers``; all with the columns of the contract. Answers may
        have other names where the study file tells by role which is which.
    where : mapping, optional
        Column of the customers table to the value(s) wanted: the comparison is then of
        these customers, in all tables.

    Returns
    -------
    dict
        ``transactional``, ``relationship``, ``invitations``, ``customers``, ``traits`` (the
        customers' segments), ``segments`` (those and the relationship survey's), ``weights``
        (of each survey that declares them), ``contact_rules`` (as the study declares them;
        of chosen customers, those that stopped any of them) and ``customer`` (None where
        the answers to a survey don't name their customer; without it invitations and
        customers are no use, and left out).

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
    >>> tables["weights"]
    {'transactional': 'weight', 'relationship': 'weight'}
    """
    there = study.definition.tables
    lacking = [name for name in TABLES[:2] if name not in there]
    if lacking:
        raise ValueError(
            f"`study` must have tables named {one_of(TABLES[:2])}; got no '{lacking[0]}' in "
            f"'{study.name}'. tNPS and rNPS are compared from both surveys."
        )
    frames: dict[str, Any] = {
        name: study.read(name, engine="pandas") if name in there else None for name in TABLES
    }
    rules: dict[str, Any] | None = dict(study.definition.contact_rules)
    if where:
        everybody, frames = frames, _of_customers(study, frames, where)
        rules = _rules_met(rules or {}, everybody["invitations"], frames["invitations"])
    for name in TABLES[:2]:
        frames[name] = frames[name].rename(columns=_contract_names(there[name], frames[name]))
    named = all(Columns().customer in frames[name] for name in TABLES[:2])
    if not named:
        frames |= dict.fromkeys(TABLES[2:])
    customers = there.get("customers") if named else None
    traits = [column.name for column in customers.with_role("segment")] if customers else None
    declared = {name: there[name].only("weight") for name in TABLES[:2]}
    weights = {name: column.name for name, column in declared.items() if column is not None}
    return {
        **frames,
        "customer": Columns().customer if named else None,
        "traits": traits,
        "segments": _segments(there["relationship"], traits or []),
        "weights": weights or None,
        "contact_rules": rules if named and rules else None,
    }


def _segments(relationship: Table, traits: Sequence[str]) -> list[str]:
    """Segments by which the gap may be decomposed: not what belongs to an episode."""
    of_episodes = {Columns().touchpoint, Columns().contact_channel}
    own = [column.name for column in relationship.with_role("segment")]
    return [name for name in dict.fromkeys([*traits, *own]) if name not in of_episodes]


def _contract_names(table: Table, frame: Any) -> dict[str, str]:
    """Columns whose role says what they are, to their names in the contract."""
    contract, dates = Columns(), table.with_role("date")
    cluster = table.only("cluster")
    customers = [*table.with_role("customer"), *([cluster] if cluster else [])]
    advocacy = [
        column
        for column in table.with_role("outcome")
        if any(metric.name == "nps" for metric in column.all_metrics())
    ]
    by_role = {
        contract.response: [c for c in [table.only("id")] if c],
        contract.customer: [c for c in customers if c.role == "customer" or c.spans_periods],
        contract.period: [c for c in [table.only("period")] if c],
        contract.score: advocacy,
        contract.responded_at: dates if len(dates) == 1 else [],
    }
    found = {
        columns[0].name: str(name)
        for name, columns in by_role.items()
        if columns and name not in frame and columns[0].name in frame
    }
    touchpoint = table.touchpoint_column
    if touchpoint and contract.touchpoint not in frame:
        found[touchpoint] = contract.touchpoint
    return found


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
    chosen = study.read("customers", where=where, engine="pandas")
    theirs = {
        name: frame[frame[key.name].isin(chosen[key.name])].reset_index(drop=True)
        for name, frame in frames.items()
        if frame is not None
    }
    return {**frames, **theirs, "customers": chosen}


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
