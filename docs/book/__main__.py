"""``python -m docs.book``: build the site, from the reports it makes to the checks of its links."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from docs.book import checks, command_line, gallery, measured, names, recorded, shared, study_file

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "book"
SOURCE, REPORTS, SITE = BUILD / "source", BUILD / "extra" / "reports", BUILD / "site"
SHOTS = BUILD / "extra" / "_images" / "shots"
CXLAB = [sys.executable, "-c", "from cxlab.cli import main; main()"]
#: Studies of the gallery and the period of each, where its answers are found.
STUDIES = {"demo": "2025-Q4", "sfo": "2018"}


def main() -> None:
    """Make the reports, the pages and the site."""
    started = time.perf_counter()
    left_out = make_reports()
    write_pages(left_out)
    made = run_sphinx()
    told = checks.faults(SITE) if not made else []
    for line in told:
        print(f"broken: {line}", file=sys.stderr)
    if made or told:
        raise SystemExit(1)
    print(f"the book: {SITE / 'index.html'} ({time.perf_counter() - started:.0f} s)")


def make_reports() -> list[str]:
    """Make the gallery's reports; what is unchanged is left as it is. Says which are left out."""
    left_out = []
    for study, period in STUDIES.items():
        command = [*CXLAB, "report", study, "--period", period, "--output", str(REPORTS)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        if done.returncode == 0:
            continue
        if study == "demo":
            raise SystemExit(f"the reports of the demo failed:\n{done.stdout}{done.stderr}")
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
        shutil.rmtree(REPORTS / study, ignore_errors=True)
        left_out.append(f"{study}, whose answers were not found. {said.removeprefix('Error: ')}")
        print(f"left out of the gallery: {left_out[-1]}", file=sys.stderr)
    return left_out


def write_pages(left_out: list[str]) -> None:
    """The sources of the site: pages by hand, notebooks, and those that are generated."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(
        ROOT / "docs", SOURCE, ignore=shutil.ignore_patterns("*.py", "__pycache__", "static")
    )
    shutil.copytree(ROOT / "notebooks", SOURCE / "notebooks", ignore=shutil.ignore_patterns(".*"))
    shared.write_parts(SOURCE)
    reports = list(gallery.reports_in(REPORTS))
    with tempfile.TemporaryDirectory() as profile:
        pictures = gallery.take_pictures(reports, SHOTS, Path(profile))
    if not pictures:
        left_out = [*left_out, "the pictures, which need Chromium."]
    demo = [report.folder for report in reports if report.folder.parts[-3] == "demo"]
    pages = {
        "reference/functions.md": names.index_page(),
        "reference/study-file.md": study_file.study_file_page(),
        "reference/command-line.md": command_line.command_line_page(),
        "reference/recorded-tables.md": recorded.recorded_page(demo),
        "explanation/measured.md": measured.measured_page(),
        "gallery.md": gallery.gallery_page(reports, pictures=pictures, left_out=left_out),
        "notebooks/index.md": names.notebooks_page(),
        **{f"{names.place(name)}.rst": names.name_page(name) for name in names.public()},
    }
    for place, text in pages.items():
        (SOURCE / place).parent.mkdir(parents=True, exist_ok=True)
        (SOURCE / place).write_text(text, encoding="utf-8")


def run_sphinx() -> int:
    """Run Sphinx; a warning is a failure."""
    shutil.rmtree(SITE, ignore_errors=True)
    jobs = str(os.cpu_count() or 1)
    command = [sys.executable, "-m", "sphinx", "--builder", "html", "--conf-dir", str(ROOT / "docs"),
               "--doctree-dir", str(BUILD / "doctrees"), "--jobs", jobs, "--quiet", "--fail-on-warning",
               str(SOURCE), str(SITE)]  # fmt: skip
    return subprocess.run(command, cwd=ROOT).returncode


if __name__ == "__main__":
    main()
