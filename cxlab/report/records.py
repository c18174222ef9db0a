"""Records beside reports, sealed with digests: read when whole, else named and passed over."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxlab.report.publish import replace_text

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
#: Endings of the files that a report may consist of.
PUBLISHED = (".html", ".ipynb", ".csv", ".json", ".xlsx", ".pptx", ".pdf")
MANIFEST = "manifest.json"
#: What verifying a report found, beside its manifest; it has a digest of its own.
VERIFICATION = "verified.json"
#: Name of a record's digest of its other lines.
SEAL = "sha256"


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


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def published_files(folder: Path) -> list[str]:
    """Files of a report, from its folder on; without the records about it."""
    found = (path for path in folder.rglob("*") if path.suffix in PUBLISHED and path.is_file())
    places = sorted(path.relative_to(folder) for path in found)
    return [
        place.as_posix()
        for place in places
        if place.as_posix() not in (MANIFEST, VERIFICATION)
        and not any(part.startswith(".") for part in place.parts)
    ]


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write a report's manifest, with the digests of all files that are there now."""
    manifest["digests"] = {name: file_digest(folder / name) for name in published_files(folder)}
    write_record(folder / MANIFEST, manifest)


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record of JSON, sealed with a digest of what it says."""
    record.pop(SEAL, None)
    # as it will be read: half a character pair is written as "?"
    plain = json.loads(json.dumps(record, ensure_ascii=False).encode("utf-8", "replace"))
    record[SEAL] = seal(plain)
    replace_text(path, json.dumps(record, indent=1, ensure_ascii=False) + "\n")


def seal(record: Mapping[str, Any]) -> str:
    """SHA-256 of what a record says but for its own digest."""
    rest = {name: value for name, value in record.items() if name != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def spoilt_files(folder: Path, manifest: Mapping[str, Any]) -> Iterator[str]:
    """Files that are not as the manifest says they were written, the manifest first."""
    if manifest.get(SEAL) != seal(manifest):
        yield MANIFEST
    digests = manifest.get("digests", {})
    for name, digest in digests.items():
        if not (folder / name).is_file() or file_digest(folder / name) != digest:
            yield name
    yield from (name for name in published_files(folder) if name not in digests)
