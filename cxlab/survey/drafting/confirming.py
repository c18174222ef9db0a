"""Accepting a draft: the marks go, everything else stays as it was written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomlkit

from cxlab.survey.drafting.write import write_whole
from cxlab.survey.study_file import read_definition

MARK = "confirm"


def accept_guesses(path: Path) -> int:
    """Remove every ``confirm`` of a study file; comments and order stay.

    Parameters
    ----------
    path : Path
        The study file; it is replaced whole.

    Returns
    -------
    int
        How many guesses were open.

    Raises
    ------
    ValueError
        When the study file says something that cannot be; it is left as it was.
    """
    read_definition(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    accepted = 0
    for declared in _marked(document):
        del declared[MARK]
        accepted += 1
    write_whole(path, tomlkit.dumps(document))
    return accepted


def _marked(document: Any) -> Iterator[Any]:
    tables = document.get("tables", {}).values()
    columns = (column for table in tables for column in table["columns"].values())
    for declared in [*document.get("scales", {}).values(), *tables, *columns]:
        if MARK in declared:
            yield declared
