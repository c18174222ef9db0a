"""What a report was when it was written: a digest of every file, and one of the manifest."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cxlab.report.publish import replace_text

#: Endings of the files that a report may consist of.
PUBLISHED = (".html", ".ipynb", ".csv", ".json", ".xlsx", ".pptx", ".pdf")
MANIFEST = "manifest.json"
#: What verifying a report found, beside its manifest; it has a digest of its own.
VERIFICATION = "verified.json"
#: Name of a record's digest of its other lines.
SEAL = "sha256"


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
    if SEAL in manifest and manifest[SEAL] != seal(manifest):
        yield MANIFEST
    digests = manifest.get("digests", {})
    for name, digest in digests.items():
        # earlier manifests name the files of `tables` without their folder
        path = next((p for p in (folder / name, folder / "tables" / name) if p.is_file()), None)
        if path is None or file_digest(path) != digest:
            yield name
    if SEAL in manifest:
        yield from (name for name in published_files(folder) if name not in digests)
