"""What is kept beside a report: records sealed with digests, and what changed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Required, TypedDict

import msgspec

from cxlab.core.phrases import signed
from cxlab.report.publish import replace_text

#: Endings of the files that a report may consist of.
PUBLISHED = (".html", ".ipynb", ".csv", ".json", ".xlsx", ".pptx", ".pdf")
MANIFEST = "manifest.json"
#: What verifying a report found, beside its manifest; it has a digest of its own.
VERIFICATION = "verified.json"
#: Name of a record's digest of its other lines.
SEAL = "sha256"
#: Tables that may hold headline numbers, the first that is there; the columns they need.
HEADLINE_TABLES = ("headline", "outcomes")
#: Name under which a notebook shows its changes, and the file made from it.
CHANGES = "changes"
CHANGES_FILE = "changes.json"
#: Columns that the table of changes must have.
CHANGE_COLUMNS = (
    "label", "period", "before", "estimate", "ci_low", "ci_high", "p_adjusted", "unit", "sentence",
)  # fmt: skip
#: All periods together, and all answers, in words.
EVERYTHING, EVERYONE = "all periods", "everyone"
#: False-discovery rate at which a change is reported as significant.
RATE = 0.05


class RecordError(ValueError):
    """A file in the place of a record that is not one."""


class _File(TypedDict):
    name: str
    sha256: str


class _Git(TypedDict):
    commit: str | None
    clean: bool | None


class Tab(TypedDict):
    """Another report of the set, from the report's folder on."""

    report: str
    words: str
    href: str


class Previous(TypedDict):
    """The same report of the period before."""

    period: str
    href: str


class Beside(TypedDict, total=False):
    """Reports that a report leads to."""

    tabs: list[Tab]
    previous: Previous | None
    index: str


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
    tab: str
    beside: Beside
    changes: list[str]
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
    """A report's manifest; None where there is none, or it is incomplete."""
    try:
        return read_record(folder / MANIFEST, Manifest)
    except RecordError:
        return None


def read_record(path: Path, kind: Any) -> dict[str, Any]:
    """A record of JSON, as it is written, that holds what its kind must; else a `RecordError`."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        msgspec.convert(record, kind)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RecordError(f"it cannot be read ({reason})") from error
    except msgspec.ValidationError as error:
        raise RecordError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RecordError("it is not JSON") from error
    return dict(record)


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def stem_of(manifest: Mapping[str, Any]) -> str:
    """Name of a report's own files."""
    return Path(manifest["notebook"]["name"]).stem


def scope_of(manifest: Mapping[str, Any]) -> tuple[str, str]:
    """Period and part of the answers that a report is of, in words."""
    return manifest["period"] or EVERYTHING, manifest["selection"] or EVERYONE


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


def write_changes(folder: Path) -> list[str]:
    """Write ``changes.json`` beside a report that has recorded a table ``changes``.

    Returns one sentence for each significant change, the one with most evidence first.
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
    change = {name: row.get(name) for name in CHANGE_COLUMNS} | dict(row)
    p, high = change["p_adjusted"], change["ci_high"]
    significant = p is not None and p < RATE and change["estimate"] is not None
    fell = bool(row["drop"]) if row.get("drop") is not None else high is not None and high < 0
    sentence = change["sentence"] or _sentence(change)
    return change | {"sentence": sentence, "significant": significant, "drop": significant and fell}


def _sentence(change: Mapping[str, Any]) -> str:
    if change["estimate"] is None:
        return f"{change['label']}: hidden"
    return (
        f"{change['label']}: {signed(change['estimate'], 1)} {change['unit'] or ''} "
        f"against {change['before']}"
    ).replace("  ", " ")
