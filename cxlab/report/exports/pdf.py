"""A report's page as PDF, printed by Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import lxml.html

from cxlab.report.publish import temporary_folder

#: Where Debian, Fedora, Google and Microsoft put it.
BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
)
#: Seconds for one page.
PATIENCE = 120
# Chromium itself calls home: its own requests are kept from any host
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)

#: Links that lead to the same place from everywhere.
_ABROAD = re.compile(r"(https?|mailto):", re.I)


def find_browser() -> str | None:
    """Path of a Chromium, or None."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def check_browser() -> str:
    """Path of a Chromium.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    browser = find_browser()
    if browser is None:
        raise FileNotFoundError(
            "pdf needs Chromium; none was found. Install it (Debian: apt install chromium), or "
            "print the page from any browser."
        )
    return browser


def write_pdf(folder: Path, target: Path) -> None:
    """Print the page ``target`` is named after; it has no scripts and asks for nothing.

    Raises
    ------
    OSError
        When Chromium makes no file.
    """
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
