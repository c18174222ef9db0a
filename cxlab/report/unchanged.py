"""Whether a report is there already, as it would be made now."""

from __future__ import annotations

from typing import Any

import nbformat

from cxlab.report.build import Job
from cxlab.report.digests import spoilt_files, write_manifest
from cxlab.report.exports import write_formats
from cxlab.report.records import read_manifest


def bring_up_to_date(job: Job) -> bool:
    """Whether the report is there, made from the same, as it was written; adds formats it lacks.

    An earlier failure of the same report is not up to date: it is tried again.
    """
    manifest = read_manifest(job.output)
    if manifest is None or not job.fingerprint or manifest.get("fingerprint") != job.fingerprint:
        return False
    if job.failed.exists() or not job.page.exists() or not _as_written(job, manifest):
        return False
    lacking = [one for one in job.formats if one not in manifest["formats"]]
    if lacking:
        notebook = nbformat.read(job.output / manifest["notebook"]["name"], as_version=4)
        write_formats(job.output, notebook, manifest, lacking)
        # last, so that a run that is killed before tries again
        write_manifest(job.output, manifest)
    return True


def _as_written(job: Job, manifest: dict[str, Any]) -> bool:
    """Whether nobody has changed the report: nothing is made from files of others."""
    try:
        return next(spoilt_files(job.output, manifest), None) is None
    except OSError:
        return False
