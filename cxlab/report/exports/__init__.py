"""A report in the formats of people's tools: made from what it has recorded, nothing more."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import nbformat

from cxlab.core.messages import unknown
from cxlab.report.exports.pdf import check_browser, write_pdf
from cxlab.report.exports.slides import write_slides
from cxlab.report.exports.workbook import write_workbook
from cxlab.report.page import write_page

#: Format to the function that writes it into a report's folder.
WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "pdf": write_pdf,
    "pptx": write_slides,
    "xlsx": write_workbook,
}


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, when each is known and can be made here.

    Raises
    ------
    ValueError
        For an unknown format.
    FileNotFoundError
        When PDF is wanted and there is no Chromium.
    """
    for one in formats:
        if one not in WRITERS:
            raise ValueError(unknown("format", one, WRITERS))
    if "pdf" in formats:
        check_browser()
    return tuple(sorted(set(formats)))


def write_formats(
    folder: Path, notebook: nbformat.NotebookNode, manifest: dict[str, Any], formats: Sequence[str]
) -> None:
    """Write the page and further formats; those that fail take nothing else with them.

    ``manifest["formats"]`` gets those that were made, which the page links, and
    ``manifest["failed_formats"]`` the others with the reason, which the page names.
    """
    stem = Path(manifest["notebook"]["name"]).stem
    failed = write_exports(folder, stem, [one for one in formats if one != "pdf"])
    manifest["formats"] = sorted({*manifest["formats"], *formats} - {*failed})
    manifest["failed_formats"] = failed
    write_page(folder, notebook, manifest)
    # printed from the page, so it comes last
    if "pdf" in formats and (unprinted := write_exports(folder, stem, ["pdf"])):
        manifest["formats"].remove("pdf")
        manifest["failed_formats"] = failed | unprinted
        write_page(folder, notebook, manifest)


def write_exports(folder: Path, stem: str, formats: Sequence[str]) -> dict[str, str]:
    """Write each format into a report's folder; returns those that failed, and why.

    Only a full disk stops the others: nothing else can be written then either.
    """
    failed = {}
    for one in formats:
        try:
            WRITERS[one](folder, folder / f"{stem}.{one}")
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise
            kind = "" if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: "
            failed[one] = kind + (str(error).splitlines() or ["no reason given"])[0]
            (folder / f"{stem}.{one}").unlink(missing_ok=True)
    return failed
