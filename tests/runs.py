"""Runs of reports, in one call."""

from collections.abc import Sequence
from typing import Any

from cxlab.report.factory.requests import Request
from cxlab.report.factory.runs import Run, run_requests

ASKED = ("all_periods", "each", "notebooks", "where", "settings", "formats", "timeout")


def run_reports(study: str, *, period: str | Sequence[str] | None = None, **options: Any) -> Run:
    """The reports of one request; ``options`` are those of `Request` and of `run_requests`."""
    periods = [period] if period is None or isinstance(period, str) else list(period)
    asked = {name: options.pop(name) for name in ASKED if name in options}
    return run_requests([Request(study, periods, **asked)], **options)
