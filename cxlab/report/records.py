"""Records beside reports, sealed with digests: read when whole, else named and passed over."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Required, TypedDict

import msgspec

from cxlab.report.publish import replace_text

#: Endings of the files that a report may consist of.
PUBLISHED = (".html", ".ipynb", ".csv", ".json", ".xlsx", ".pptx", ".pdf")
MANIFEST = "manifest.json"
#: What verifying a report found, beside its manifest; it has a digest of its own.
VERIFICATION = "verified.json"
#: Name of a record's digest of its other lines.
SEAL = "sha256"


class RecordError(ValueError):
    """A file that stands where a record should, and is none."""


class Headline(TypedDict, total=False):
    """A headline number of a report."""

    label: Required[str]
    metric: str | None
    unit: str | None
    n: float | None
    estimate: Required[float]
    ci_low: float | None
    ci_high: float | None


class _File(TypedDict):
    name: str
    sha256: str


class _Git(TypedDict):
    commit: str | None
    clean: bool | None


class Manifest(TypedDict, total=False):
    """What a report's manifest must hold, and of which kind what it may hold is."""

    notebook: Required[_File]
    study: Required[str]
    study_title: Required[str]
    about: Required[str]
    simulated: Required[bool]
    period: Required[str]
    selection: Required[str]
    title: Required[str]
    started: Required[str]
    ended: Required[str]
    parameters: Required[dict[str, Any]]
    inputs: Required[list[_File]]
    packages: Required[dict[str, Any]]
    python: Required[str]
    git: Required[_Git]
    warnings: Required[list[str]]
    tables: Required[list[str]]
    formats: Required[list[str]]
    changes: list[str]
    headline: list[Headline]
    digests: dict[str, Any]
    places: dict[str, Any]
    rows: int | None
    processor: str


class Failure(TypedDict, total=False):
    """What the record of a report that failed must hold."""

    notebook: Required[str]
    cell: Required[int]
    cause: Required[str]
    when: Required[str]
    study: str
    period: str
    selection: str


class _Shown(TypedDict):
    same: bool
    when: str
    near: str


class Verified(_Shown, total=False):
    """What verifying a report found, and what the page shows of an earlier time."""

    shown: _Shown | None


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A report's manifest; None where there is none, or it is no whole record."""
    try:
        return read_record(folder / MANIFEST, Manifest)
    except RecordError:
        return None


def read_record(path: Path, kind: Any) -> dict[str, Any]:
    """A record of JSON, as it is written, that holds what its kind must.

    Raises
    ------
    RecordError
        Saying what it lacks.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        msgspec.convert(record, kind)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecordError(f"it cannot be read ({reason})") from error
    except msgspec.ValidationError as error:
        raise RecordError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("it is no JSON") from error
    return dict(record)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no JSON")


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
