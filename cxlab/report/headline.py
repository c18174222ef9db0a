"""The few numbers of a report that the index shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

#: Tables that may hold them, the first that is there; and the columns they need.
TABLES = ("headline", "outcomes")
COLUMNS = ("label", "estimate", "ci_low", "ci_high")
#: As many rows as a reader takes in at a glance.
ROWS = 6


def headline(tables: Path) -> list[dict[str, Any]]:
    """Rows of the table ``headline`` or ``outcomes``: what the index shows of a report.

    Parameters
    ----------
    tables : Path
        Folder of recorded tables.

    Returns
    -------
    list of dict
        ``label, metric, unit, n, estimate, ci_low, ci_high``; rows without an estimate
        (hidden, or nobody answered) are left out.
    """
    for name in TABLES:
        path = tables / f"{name}.json"
        if path.exists():
            rows = json.loads(path.read_text(encoding="utf-8"))
            if rows and all(column in rows[0] for column in COLUMNS):
                return [_row(row) for row in rows if row["estimate"] is not None][:ROWS]
    return []


def _row(row: dict[str, Any]) -> dict[str, Any]:
    known = {name: row[name] for name in COLUMNS}
    return known | {name: row.get(name) for name in ("metric", "unit", "n")}
