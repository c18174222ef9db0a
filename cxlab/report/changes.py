"""What changed since last time: the table ``changes`` of a notebook, for readers and alerts."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from cxlab.report.publish import replace_text

#: Name under which a notebook shows its changes, and the file made from it.
TABLE = "changes"
FILE = "changes.json"
#: Columns that the table must have.
COLUMNS = (
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
    replace_text(folder / FILE, text + "\n")
    found = [change for change in changes if change["significant"]]
    return [change["sentence"] for change in sorted(found, key=lambda c: c["p_adjusted"])]


def read_changes(folder: Path) -> list[dict[str, Any]] | None:
    """Recorded changes, each with ``significant`` and ``drop``; None without the table.

    A hidden row (no estimate) is neither. A drop is significant with its whole interval
    below zero, unless the table has a column ``drop`` of its own: for scores of which less
    is better.
    """
    path = folder / "tables" / f"{TABLE}.json"
    if not path.exists():
        return None
    return [_judged(row) for row in json.loads(path.read_text(encoding="utf-8"))]


def drops(changes: Iterable[Mapping[str, Any]]) -> list[str]:
    """Sentences of the changes that are drops."""
    return [str(change["sentence"]) for change in changes if change["drop"]]


def _judged(row: Mapping[str, Any]) -> dict[str, Any]:
    change = {name: row.get(name) for name in COLUMNS} | dict(row)
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
