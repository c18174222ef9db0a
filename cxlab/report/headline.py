"""What the index and alerts take from a report: its headline numbers, and what changed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cxlab.report.publish import replace_text

#: Tables that may hold them, the first that is there; and the columns they need.
TABLES = ("headline", "outcomes")
COLUMNS = ("label", "estimate", "ci_low", "ci_high")
#: As many rows as a reader takes in at a glance.
ROWS = 6
#: Name under which a notebook shows its changes, and the file made from it.
CHANGES = "changes"
CHANGES_FILE = "changes.json"
#: Columns that the table must have.
CHANGE = (
    "label",
    "period",
    "before",
    "estimate",
    "ci_low",
    "ci_high",
    "p_adjusted",
    "unit",
    "sentence",
)
#: False-discovery rate at which a change is said aloud.
RATE = 0.05


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


def write_changes(folder: Path) -> list[str]:
    """Write ``changes.json`` beside a report that has recorded a table ``changes``.

    Parameters
    ----------
    folder : Path
        The report's folder.

    Returns
    -------
    list of str
        One line for each significant change, largest evidence first; empty without the
        table.

    Raises
    ------
    OSError
        When the file cannot be written.
    """
    changes = read_changes(folder)
    if changes is None:
        return []
    text = json.dumps(changes, indent=1, ensure_ascii=False, allow_nan=False)
    replace_text(folder / CHANGES_FILE, text + "\n")
    found = [change for change in changes if change["significant"]]
    return [change["sentence"] for change in sorted(found, key=lambda c: c["p_adjusted"])]


def read_changes(folder: Path) -> list[dict[str, Any]] | None:
    """Recorded changes, each with ``significant`` and ``drop``; None without the table.

    A hidden row (no estimate) is neither. A drop is significant with its whole interval
    below zero, unless the table has a column ``drop`` of its own: for scores of which less
    is better.
    """
    path = folder / "tables" / f"{CHANGES}.json"
    if not path.exists():
        return None
    return [_judged(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def drops(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences of the changes that are drops."""
    return [str(change["sentence"]) for change in changes if change["drop"]]


def _judged(row: Mapping[str, Any]) -> dict[str, Any]:
    change = {name: row.get(name) for name in CHANGE} | dict(row)
    p, high = change["p_adjusted"], change["ci_high"]
    significant = p is not None and p < RATE and change["estimate"] is not None
    fell = bool(row["drop"]) if row.get("drop") is not None else high is not None and high < 0
    sentence = change["sentence"] or _sentence(change)
    return change | {"sentence": sentence, "significant": significant, "drop": significant and fell}


def _sentence(change: Mapping[str, Any]) -> str:
    if change["estimate"] is None:
        return f"{change['label']}: hidden"
    return (
        f"{change['label']}: {change['estimate']:+.1f} {change['unit'] or ''} "
        f"against {change['before']}"
    ).replace("  ", " ")
