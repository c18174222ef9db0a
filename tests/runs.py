"""Small notebooks, and runs of reports in one call."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cxlab.report.factory.requests import Request
from cxlab.report.factory.runs import Run, run_requests

#: What a run sets.
PARAMETERS = 'study: str = "demo"\nperiod: str | None = None\nwhere: dict | None = None'
ASKED = ("all_periods", "each", "notebooks", "where", "settings", "formats", "timeout")


def run_reports(study: str, *, period: str | Sequence[str] | None = None, **options: Any) -> Run:
    """The reports of one request; ``options`` are those of `Request` and of `run_requests`."""
    periods = [period] if period is None or isinstance(period, str) else list(period)
    asked = {name: options.pop(name) for name in ASKED if name in options}
    return run_requests([Request(study, periods, **asked)], **options)


def write_notebook(
    folder: Path,
    *cells: str,
    name: str = "9-trial",
    parameters: str = PARAMETERS,
    head: str = "# A trial\n\nTwo sentences.",
    needs: list[str] | None = None,
) -> Path:
    """A notebook of a heading, its parameters and code."""
    book = new_notebook(
        cells=[
            new_markdown_cell(head),
            new_code_cell(parameters, metadata={"tags": ["parameters"]}),
            *(new_code_cell(source) for source in cells),
        ]
    )
    if needs is not None:
        book.metadata["cxlab"] = {"needs": needs}
    path = Path(folder) / f"{name}.ipynb"
    nbformat.write(book, path)
    return path
