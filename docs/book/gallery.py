"""The gallery: each report's first screen, in pictures that headless Chromium takes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import NamedTuple

from cxlab.report.exports import PATIENCE, QUIET, find_browser
from docs.book.markdown import page

#: Width and height of a desk's first screen.
SCREEN = "1200,900"
SCHEMES = {"light": (), "dark": ("--blink-settings=preferredColorScheme=0",)}


class Report(NamedTuple):
    """A report of the site: its study, its question, what it answers, where its page is."""

    folder: Path
    study: str
    question: str
    answer: str

    @property
    def page(self) -> Path:
        """Its page."""
        return self.folder / f"{self.folder.name}.html"

    def picture(self, scheme: str) -> str:
        """Name of its picture."""
        return f"{self.folder.parts[-3]}-{self.folder.name}-{scheme}.png"


def reports_in(folder: Path) -> Iterator[Report]:
    """The reports below a folder, by study and notebook."""
    for path in sorted(folder.glob("*/*/*/manifest.json"), key=_order):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        findings = json.loads(
            (path.parent / "tables" / "findings.json").read_text(encoding="utf-8")
        )
        answer = next((one["text"] for one in findings if one["kind"] == "answer"), "")
        title = f"{manifest['study_title']}, {manifest['period']}"
        yield Report(path.parent, title, manifest["title"], answer)


def _order(path: Path) -> tuple[str, int]:
    return path.parts[-4], int(path.parts[-2].partition("-")[0])


def take_pictures(reports: list[Report], target: Path, profile: Path) -> bool:
    """Take each report's first screen, light and dark; False where there is no Chromium."""
    browser = find_browser()
    if browser is None:
        return False
    target.mkdir(parents=True, exist_ok=True)
    for report in reports:
        for scheme, options in SCHEMES.items():
            made = target / report.picture(scheme)
            command = [browser, *QUIET, *options, "--hide-scrollbars", f"--window-size={SCREEN}",
                       f"--user-data-dir={profile}", f"--screenshot={made}", report.page.as_uri()]  # fmt: skip
            subprocess.run(command, capture_output=True, timeout=PATIENCE, check=True)
    return True


def gallery_page(reports: list[Report], *, pictures: bool, left_out: list[str]) -> str:
    """A picture of each report that leads to the report itself."""
    parts = [
        "What a reader sees first, as this build made it. A picture leads to the report itself: one "
        f"page that needs no network. {_link('reports/index.html', 'The index of all of them')} is "
        "made with them."
    ]
    for study in dict.fromkeys(report.study for report in reports):
        shown = [_shown(one, pictures) for one in reports if one.study == study]
        parts += [f"## {study}", "\n".join(['<div class="shots">', *shown, "</div>"])]
    parts += [f"Not here: {reason}" for reason in left_out]
    return page("Gallery", *parts)


def _shown(report: Report, pictures: bool) -> str:
    way = "/".join(report.page.parts[-5:])
    shots = [
        _link(way, f'<img src="_images/shots/{report.picture(scheme)}" width="1200" height="900" '
              f'loading="lazy" alt="First screen of this report">', f"shot only-{scheme}")
        for scheme in SCHEMES if pictures
    ]  # fmt: skip
    lines = [f'<p class="question">{escape(report.question)}</p>', *shots]
    return "\n".join(["<div>", *lines, f"<p>{_link(way, escape(report.answer))}</p>", "</div>"])


def _link(way: str, inside: str, kind: str = "") -> str:
    of = f' class="{kind}"' if kind else ""
    return f'<a href="{way}"{of}>{inside}</a>'
