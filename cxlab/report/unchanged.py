"""Whether a report is there already, as it would be made now."""

from __future__ import annotations

import json

from cxlab.report.build import Job
from cxlab.report.exports import write_exports
from cxlab.report.page import refresh_page
from cxlab.report.publish import replace_text
from cxlab.report.records import read_manifest


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
        manifest["formats"] = sorted({*manifest["formats"], *lacking})
        text = json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"
        refresh_page(job.output, manifest)
        write_exports(job.output, job.notebook.stem, lacking)
        # last, so that a run that is killed before tries again
        replace_text(job.output / "manifest.json", text)
    return True
