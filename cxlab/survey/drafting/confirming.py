"""Settling a draft: the marks go, everything else stays as it was written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit

from cxlab.core.messages import unknown
from cxlab.survey.definition import ROLES
from cxlab.survey.drafting.names import ignore_pattern
from cxlab.survey.drafting.write import NPS_SCALE, write_whole
from cxlab.survey.study_file import read_definition

MARK, BY_HAND = "confirm", "by_hand"
#: What a column may be settled as: a role, an outcome reported as an NPS, or nothing.
SETTLED = (*ROLES, "nps", "ignore")


def accept_guesses(path: Path, *, by_hand: bool = False) -> int:
    """Remove the ``confirm`` of every guess for which the file gives evidence.

    Comments and order stay.

    Parameters
    ----------
    path : Path
        The study file; it is replaced whole.
    by_hand : bool
        Also of columns marked ``by_hand``, whose role (an outcome, a customer, a cluster) was
        guessed from a name or from values alone. Otherwise they stay open: see `settle_columns`.

    Returns
    -------
    int
        How many guesses were accepted.

    Raises
    ------
    ValueError
        When the study file says something that cannot be; it is left as it was.
    """
    read_definition(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    accepted = 0
    for declared in _marked(document):
        if by_hand or not declared.get(BY_HAND):
            _settle(declared)
            accepted += 1
    write_whole(path, tomlkit.dumps(document))
    return accepted


def settle_columns(path: Path, roles: Mapping[str, str]) -> None:
    """Give columns of a study file the roles that somebody has decided on.

    Parameters
    ----------
    path : Path
        The study file; it is replaced whole.
    roles : mapping of str to str
        Name of a column, or its header, to its role; ``nps``: an outcome on the scale
        ``likelihood_to_recommend``; ``ignore``: the column is left out.

    Raises
    ------
    ValueError
        For an unknown column or role, or one that the column cannot have (a rating without a
        scale); the study file is left as it was.
    """
    text = path.read_text(encoding="utf-8")
    document = tomlkit.parse(text)
    for name, role in roles.items():
        if role not in SETTLED:
            raise ValueError(unknown("role", role, SETTLED, of=name))
        table, column = _find(document, name)
        if role == "ignore":
            _leave_out(table, column)
        else:
            _give_role(table["columns"][column], role)
    write_whole(path, tomlkit.dumps(document))
    try:
        read_definition(path)
    except ValueError:
        write_whole(path, text)
        raise


def _settle(declared: Any) -> None:
    del declared[MARK]
    declared.pop(BY_HAND, None)


def _find(document: Any, name: str) -> tuple[Any, str]:
    """The table and the key of a column, by its name or by its header."""
    known = []
    for table in document.get("tables", {}).values():
        for column, declared in table["columns"].items():
            if name in (column, declared.get("column")):
                return table, column
            known.append(column)
    raise ValueError(unknown("column", name, known))


def _give_role(declared: Any, role: str) -> None:
    declared["role"] = "outcome" if role == "nps" else role
    if role == "nps":
        declared["scale"] = NPS_SCALE
    if declared["role"] != "cluster":
        declared.pop("spans_periods", None)
    for key in _UNFIT.get(declared["role"], ()):
        declared.pop(key, None)
    if MARK in declared:
        _settle(declared)


#: Keys that were guessed for another role and mean nothing for these.
_UNFIT = {
    **dict.fromkeys(
        ("id", "customer", "cluster", "strata", "weight", "text", "period", "active"),
        ("scale", "missing", "values", "shift", "reverse", "blank"),
    ),
    "segment": ("scale", "shift", "reverse"),
    "number": ("scale", "shift", "reverse", "values"),
}


def _leave_out(table: Any, column: str) -> None:
    header = table["columns"].pop(column).get("column", column)
    headers = header.values() if isinstance(header, Mapping) else [header]
    patterns = table.setdefault("ignore", tomlkit.array())
    patterns.extend([ignore_pattern(one) for one in headers])


def _marked(document: Any) -> Iterator[Any]:
    tables = document.get("tables", {}).values()
    columns = (column for table in tables for column in table["columns"].values())
    for declared in [*document.get("scales", {}).values(), *tables, *columns]:
        if MARK in declared:
            yield declared
