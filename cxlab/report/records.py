"""Records beside reports, in folders that anybody may write to: read when whole, else named."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: What a report's manifest, a headline number and a failure's record must hold, and of
#: which kind; a kind in a list is of each element.
NUMBER = (int, float)
REPORT: Mapping[str, Any] = {
    "notebook": {"name": str, "sha256": str},
    "study": str,
    "study_title": str,
    "about": str,
    "simulated": bool,
    "period": str,
    "selection": str,
    "title": str,
    "started": str,
    "ended": str,
    "parameters": dict,
    "inputs": [{"name": str, "sha256": str}],
    "packages": dict,
    "python": str,
    "git": {"commit": (str, None), "clean": (bool, None)},
    "warnings": [str],
    "tables": [str],
    "formats": [str],
}
HEADLINE: Mapping[str, Any] = {
    "label": str,
    "metric": (str, None),
    "unit": (str, None),
    "n": (*NUMBER, None),
    "estimate": NUMBER,
    "ci_low": (*NUMBER, None),
    "ci_high": (*NUMBER, None),
}
#: Not in every manifest.
ADDED: Mapping[str, Any] = {
    "changes": [str],
    "headline": [HEADLINE],
    "digests": dict,
    "places": dict,
    "rows": (int, None),
    "processor": str,
}
FAILURE: Mapping[str, Any] = {"notebook": str, "cell": int, "cause": str, "when": str}
#: Not in every failure's record.
WHOSE: Mapping[str, Any] = {"study": str, "period": str, "selection": str}


class RecordError(ValueError):
    """A file that stands where a record should, and is none."""


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A report's manifest; None where there is none, or it is no whole record."""
    try:
        return read_record(folder / "manifest.json", REPORT, ADDED)
    except RecordError:
        return None


def read_record(path: Path, needed: Mapping[str, Any], optional: Mapping[str, Any]) -> dict:
    """A record of JSON that holds what it must.

    Raises
    ------
    RecordError
        Saying what it lacks.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecordError(
            f"it cannot be read ({(error.strerror or str(error)).lower()})"
        ) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("it is no JSON") from error
    if not isinstance(record, dict):
        raise RecordError("it is no table of names and values")
    there = {name: kind for name, kind in optional.items() if name in record}
    for name, kind in {**needed, **there}.items():
        if not _is(record.get(name), kind):
            raise RecordError(f"`{name}` is {'of another kind' if name in record else 'missing'}")
    return record


def _is(value: Any, kind: Any) -> bool:
    """Whether a value is of a kind: a type, one of several, a list or a table of kinds.

    Examples
    --------
    >>> _is([1, 2], [int]), _is(True, int), _is(float("nan"), NUMBER), _is(None, (str, None))
    (True, False, False, True)
    """
    if isinstance(kind, list):
        return isinstance(value, list) and all(_is(one, kind[0]) for one in value)
    if isinstance(kind, Mapping):
        return isinstance(value, dict) and all(_is(value.get(k), v) for k, v in kind.items())
    if isinstance(kind, tuple):
        return any(_is(value, one) for one in kind)
    if kind is None or isinstance(value, bool):
        return value is None if kind is None else kind is bool
    return isinstance(value, kind) and (not isinstance(value, float) or math.isfinite(value))
