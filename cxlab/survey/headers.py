"""Headers of a file and the columns that a study declares."""

from __future__ import annotations

from collections.abc import Sequence

from cxlab.core.messages import got, nearest, one_of
from cxlab.survey.definition import Column, Table, normal_header


def match_headers(
    headers: Sequence[str], table: Table, period: str, file: str
) -> dict[str, str | None]:
    """Declared column to the header that holds it; None where it was not asked.

    Raises
    ------
    ValueError
        For a header that is neither declared nor ignored, or a declared one that is not
        there.
    """
    found = {
        column.name: find_header(headers, column, period, file) if column.header(period) else None
        for column in table.columns.values()
    }
    used = set(found.values())
    stray = [header for header in headers if header not in used and not table.ignores(header)]
    if stray:
        raise ValueError(
            f"{file}: every column must be declared in table '{table.name}' or listed in its "
            f"`ignore`; got {got(stray)}. Declare [tables.{table.name}.columns.NAME] with "
            "its role, or ignore it."
        )
    return found


def find_header(headers: Sequence[str], column: Column, period: str, file: str) -> str:
    """The header of a declared column, matched exactly or else by `normal_header`.

    Raises
    ------
    ValueError
        When it is not there, or several are alike.
    """
    wanted = column.header(period) or ""
    if wanted in headers:
        return wanted
    alike = [header for header in headers if normal_header(header) == normal_header(wanted)]
    if len(alike) > 1:
        raise ValueError(
            f"{file} must have one column '{wanted}' ({column.name}); got {one_of(alike)}. "
            "Write the header in `column` exactly as it stands in the file."
        )
    if alike:
        return alike[0]
    near = nearest(wanted, headers)
    raise ValueError(
        f"{file} must have the column '{wanted}' ({column.name}); it isn't there. "
        + (f"Did you mean '{near}'? " if near else "")
        + "If it was not asked in that period, give `column` per period and leave this one out."
    )


def check_not_asked(column: Column, file: str) -> None:
    """Refuse a table that lacks its strata or ids.

    A wave without weights counts every row once, one without clusters every row as its own
    (see `Study.design_notes`); but nothing says which stratum a row without one is of.
    """
    if column.role in ("strata", "id"):
        raise ValueError(
            f"{file} must have the {column.role} column '{column.name}'; the study gives it no "
            "header for this period. Declare one, or study the period on its own."
        )
