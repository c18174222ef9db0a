"""``reports/index.html``: studies, periods, groups, headline numbers, and what failed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from cxlab.report.page import TEMPLATES, report_files, style
from cxlab.report.publish import BUILDING, FAILED, replace_text
from cxlab.report.safety import POLICY
from cxlab.report.sparkline import sparkline
from cxlab.report.text import printable
from cxlab.report.unchanged import read_manifest

INDEX = "index.html"
EVERYTHING = "all periods"


def write_index(reports: Path) -> Path:
    """Write the list of every report under a folder, and of what failed.

    Parameters
    ----------
    reports : Path
        Folder that holds reports at any depth.

    Returns
    -------
    Path
        The page, replaced whole.
    """
    reports.mkdir(parents=True, exist_ok=True)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    page = environment.get_template("reports.html.j2").render(
        studies=_studies([*_complete(reports), *_failures(reports)]),
        style=Markup(style()),
        policy=POLICY,
    )
    target = reports / INDEX
    replace_text(target, printable(page))
    return target


def _studies(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per study: headline numbers of the newest period, then periods, newest first."""
    studies: dict[str, list[dict[str, Any]]] = {}
    for entry in sorted(entries, key=lambda e: (e["study"], e["selection"], e["report"])):
        studies.setdefault(entry["study"], []).append(entry)
    return [
        {
            "title": next((e["study_title"] for e in found if e["study_title"]), name),
            "simulated": any(entry["simulated"] for entry in found),
            "headlines": _headlines(found),
            "periods": _periods(found),
        }
        for name, found in studies.items()
    ]


def _periods(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = sorted({entry["period"] for entry in entries}, reverse=True)
    return [
        {
            "name": name,
            "reports": [entry for entry in entries if entry["period"] == name],
            "failed": sum(entry["failed"] for entry in entries if entry["period"] == name),
        }
        for name in names
    ]


def _headlines(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per headline number of each selection, with its run over the periods."""
    series: dict[tuple[str, str, str], dict[str, dict[str, Any]]] = {}
    for entry in entries:
        if entry["period"] != EVERYTHING:
            for number in entry["headline"]:
                key = (entry["selection"], number["label"], number["metric"] or "")
                series.setdefault(key, {})[entry["period"]] = number
    return [_headline(key, runs) for key, runs in series.items()]


def _headline(key: tuple[str, str, str], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    selection, label, metric = key
    periods = sorted(runs)
    last = runs[periods[-1]]
    digits = 2 if last["unit"] == "score" else 1
    values = [runs[period]["estimate"] for period in periods]
    intervals = [(runs[period]["ci_low"], runs[period]["ci_high"]) for period in periods]
    words = f"{label}, {metric}: " + ", ".join(
        f"{period} {value:.{digits}f}" for period, value in zip(periods, values, strict=True)
    )
    low, high = intervals[-1]
    return {
        "selection": selection or "everyone",
        "label": label,
        "metric": metric,
        "period": periods[-1],
        "estimate": f"{last['estimate']:.{digits}f}",
        "unit": last["unit"] or "",
        "interval": "–" if low is None else f"{low:.{digits}f} to {high:.{digits}f}",
        "n": "" if last["n"] is None else f"{last['n']:,.0f}",
        "run": Markup(sparkline(values, intervals, words)) if len(values) > 1 else "",
    }


def _complete(reports: Path) -> Iterator[dict[str, Any]]:
    for path in reports.glob("**/manifest.json"):
        manifest = None if BUILDING in path.parts else read_manifest(path.parent)
        if manifest is not None and "notebook" in manifest:
            yield _entry(manifest, path.parent, reports)


def _entry(manifest: dict[str, Any], folder: Path, reports: Path) -> dict[str, Any]:
    place = folder.relative_to(reports)
    stem = Path(manifest["notebook"]["name"]).stem
    made = manifest["ended"].replace("T", " ").removesuffix("Z")
    return {
        "study": manifest["study"],
        "study_title": manifest["study_title"],
        "simulated": manifest["simulated"],
        "period": manifest["period"] or EVERYTHING,
        "selection": manifest["selection"],
        "report": stem,
        "title": manifest["title"],
        "page": _link(place / f"{stem}.html"),
        "failed": False,
        "cause": "",
        "warnings": len(manifest["warnings"]),
        "made": f"{made} UTC",
        "changes": manifest.get("changes", []),
        "headline": manifest.get("headline", []),
        "files": _files(report_files(manifest), place),
        "tables": _files((f"tables/{name}.csv" for name in manifest["tables"]), place),
    }


def _files(names: Iterable[str], place: Path) -> list[dict[str, str]]:
    return [{"name": Path(name).name, "path": _link(place / name)} for name in names]


def _failures(reports: Path) -> Iterator[dict[str, Any]]:
    for path in reports.glob(f"**/{FAILED}/*/failure.json"):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        yield _failure(record, path.parent, reports)


def _failure(record: dict[str, Any], folder: Path, reports: Path) -> dict[str, Any]:
    place = folder.relative_to(reports)
    where = f"cell {record['cell']}: " if record["cell"] else ""
    partial = folder / f"{record['notebook']}.ipynb"
    target = partial.name if partial.exists() else "failure.json"
    return {
        "study": record.get("study") or place.parts[0],
        "study_title": "",
        "simulated": False,
        "period": record.get("period") or EVERYTHING,
        "selection": record.get("selection", ""),
        "report": record["notebook"],
        "title": "as far as it got",
        "page": _link(place / target),
        "failed": True,
        "cause": f"{where}{record['cause']}",
        "warnings": 0,
        "made": record["when"].replace("T", " ").removesuffix("Z") + " UTC",
        "changes": [],
        "headline": [],
        "files": [],
        "tables": [],
    }


def _link(path: Path) -> str:
    return quote(path.as_posix())
