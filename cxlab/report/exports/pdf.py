"""A report's page as PDF, printed by Chromium."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from cxlab.report.owned import temporary_folder

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
        made = profile / "page.pdf"
        command = [check_browser(), *QUIET, f"--user-data-dir={profile}/profile",
                   "--no-pdf-header-footer", f"--print-to-pdf={made}", page.resolve().as_uri()]  # fmt: skip
        try:
            subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
            shutil.copyfile(made, target)
        except (FileNotFoundError, subprocess.SubprocessError) as error:
            raise OSError(f"Chromium printed no PDF of {page.name}: {error}") from error
