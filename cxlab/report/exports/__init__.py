"""A report in the formats of people's tools: made from what it has recorded, nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from cxlab.report.exports.pdf import check_browser, write_pdf
from cxlab.report.exports.slides import write_slides
from cxlab.report.exports.workbook import write_workbook
from cxlab.survey.messages import unknown

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


def write_exports(folder: Path, stem: str, formats: Sequence[str]) -> None:
    """Write each format into a report's folder, as ``stem.format``."""
    for one in formats:
        WRITERS[one](folder, folder / f"{stem}.{one}")
