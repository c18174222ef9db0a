"""Whether a report is there already, as it would be made now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat

from cxlab.report.build import Job
from cxlab.report.exports import write_formats
from cxlab.report.manifest import write_manifest


def bring_up_to_date(job: Job) -> bool:
    """Whether the report is there and made from the same; adds formats that it lacks.

    An earlier failure of the same report is not up to date: it is tried again.
    """
    manifest = read_manifest(job.output)
    if manifest is None or not job.fingerprint or manifest.get("fingerprint") != job.fingerprint:
        return False
    if job.failed.exists() or not job.page.exists():
        return False
    lacking = [one for one in job.formats if one not in manifest["formats"]]
    if lacking:
        notebook = nbformat.read(job.output / manifest["notebook"]["name"], as_version=4)
        write_formats(job.output, notebook, manifest, lacking)
        # last, so that a run that is killed before tries again
        write_manifest(job.output, manifest)
    return True


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A report's manifest; None where there is none that can be read."""
    try:
        found = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
