"""A report in the formats of people's tools: made from what it has recorded, nothing more."""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import lxml.html
import nbformat

from cxlab.core.messages import unknown
from cxlab.report.exports.slides import write_slides
from cxlab.report.exports.workbook import write_workbook
from cxlab.report.page import write_page
from cxlab.report.publish import temporary_folder
from cxlab.report.records import stem_of

#: Where Debian, Fedora, Google and Microsoft put it.
BROWSERS = (
    "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge"
)  # fmt: skip
#: Seconds for one page.
PATIENCE = 120
# Chromium itself calls home: its own requests are kept from any host
QUIET = (
    "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)  # fmt: skip
#: Links that lead to the same place from everywhere.
_ABROAD = re.compile(r"(https?|mailto):", re.I)


def check_formats(formats: Sequence[str]) -> tuple[str, ...]:
    """The formats, when each is known and can be made here; else refused."""
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
    stem = stem_of(manifest)
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


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def check_browser() -> str:
    """Path of a Chromium; a `FileNotFoundError` where there is none."""
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError(
            "pdf needs Chromium; none was found. Install it (Debian: apt install chromium), or "
            "print the page from any browser."
        )
    return browser


def write_pdf(folder: Path, target: Path) -> None:
    """Print the page ``target`` is named after; an `OSError` where Chromium makes no file."""
    page = folder / f"{target.stem}.html"
    with temporary_folder() as profile:
        printed = profile / page.name
        printed.write_text(_without_places(page.read_text(encoding="utf-8")), encoding="utf-8")
        made = profile / "page.pdf"
        command = [check_browser(), *QUIET, f"--user-data-dir={profile}/profile",
                   "--no-pdf-header-footer", f"--print-to-pdf={made}", printed.resolve().as_uri()]  # fmt: skip
        try:
            # Chromium's sockets too lie in our folder: killed, it leaves them
            places = {**os.environ, "TMPDIR": str(profile)}
            subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True, env=places)
            shutil.copyfile(made, target)
        except (FileNotFoundError, subprocess.SubprocessError) as error:
            raise OSError(f"Chromium printed no PDF of {page.name}: {error}") from error


def _without_places(page: str) -> str:
    """The page without links to files beside it: print would hold where on this machine they are.

    Other reports come and go; what is printed does not depend on them.
    """
    document = lxml.html.document_fromstring(page, parser=lxml.html.HTMLParser(huge_tree=True))
    for element in [*document.find_class("tabs"), *document.find_class("files")]:
        element.drop_tree()
    there = {*document.xpath("//@id"), *document.xpath("//a/@name")}
    for link in document.iter("a"):
        way = link.get("href", "").strip()
        inside = way.startswith("#") and way[1:] in there
        if "href" in link.attrib and not inside and not _ABROAD.match(way):
            del link.attrib["href"]
    return str(lxml.html.tostring(document, encoding="unicode", doctype="<!DOCTYPE html>"))


#: Format to the function that writes it into a report's folder.
WRITERS: dict[str, Callable[[Path, Path], None]] = {
    "pdf": write_pdf,
    "pptx": write_slides,
    "xlsx": write_workbook,
}
