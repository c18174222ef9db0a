"""``reports/index.html``: studies, periods, groups, headline numbers, and what failed."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from cxlab.core.characters import printable
from cxlab.core.labels import natural_order
from cxlab.report.manifest import made_earlier
from cxlab.report.page import POLICY, TEMPLATES, bar_html, report_files, style, with_bar
from cxlab.report.publish import BUILDING, FAILED, replace_text
from cxlab.report.records import (
    Failure,
    Manifest,
    RecordError,
    file_digest,
    read_manifest,
    read_record,
    write_record,
)

INDEX = "index.html"
EVERYTHING = "all periods"
WIDTH, HEIGHT, MARGIN = 96, 24, 3
Interval = tuple[float | None, float | None]
#: What is known of the reports, by folder; None where there is no complete manifest.
Manifests = dict[Path, dict[str, Any] | None]


@dataclass(frozen=True)
class Listing:
    """The reports under a folder.

    Attributes
    ----------
    entries : list of dict
        One for each report, and for each that failed.
    odd : list of str
        Files in the place of records that are not, and why, in one line each.
    """

    entries: list[dict[str, Any]] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)


def list_reports(reports: Path) -> Listing:
    """Read the record of every report under a folder; an odd one is passed over and named."""
    listing = Listing()
    for path in sorted(reports.glob("**/manifest.json")):
        if BUILDING not in path.parts:
            _list(listing, path, reports)
    for path in sorted(reports.glob(f"**/{FAILED}/*/failure.json")):
        _list(listing, path, reports)
    return listing


def link_reports(reports: Path) -> None:
    """Let every report lead to those that are beside it now; rewrites the pages that change.

    A page that is not as it was written stays as it is: `cxlab verify` names it.
    """
    known: Manifests = {}
    for path in sorted(reports.glob("**/manifest.json")):
        folder = path.parent
        manifest = None if BUILDING in path.parts else _read(folder, known)
        if manifest is None or made_earlier(manifest):
            continue
        found = beside(folder, manifest, reports / INDEX, known)
        page = folder / f"{Path(manifest['notebook']['name']).stem}.html"
        written = manifest.get("digests", {}).get(page.name)
        if found != manifest.get("beside") and page.is_file() and file_digest(page) == written:
            manifest["beside"] = found
            replace_text(page, with_bar(page.read_text(encoding="utf-8"), bar_html(manifest)))
            manifest["digests"][page.name] = file_digest(page)
            write_record(path, manifest)


def beside(
    folder: Path, manifest: Mapping[str, Any], index: Path, known: Manifests | None = None
) -> dict[str, Any]:
    """The reports that a report leads to: those of its set, and the same of the period before.

    Addresses are relative, so that a set can be moved. ``known``: manifests by folder.
    """
    known = {} if known is None else known
    tabs = []
    for path in sorted(folder.parent.glob("*/manifest.json")):
        other = _read(path.parent, known)
        if other is not None and _scope(other) == _scope(manifest):
            stem = Path(other["notebook"]["name"]).stem
            href = f"../{path.parent.name}/{stem}.html"
            tabs.append({"report": stem, "words": other.get("tab") or stem, "href": href})
    found = {"tabs": tabs, "previous": _previous(folder, manifest, known)}
    return found | ({"index": _way(index, folder)} if index.is_file() else {})


def _previous(folder: Path, manifest: Mapping[str, Any], known: Manifests) -> dict[str, str] | None:
    """The same report of the last period before that has one."""
    period = folder.resolve().parents[1 if manifest["selection"] else 0]
    place = folder.resolve().relative_to(period).as_posix()
    earlier = {}
    for path in period.parent.glob(f"*/{glob.escape(place)}/manifest.json"):
        other = _read(path.parent, known)
        if other is not None and other["period"] and manifest["period"]:
            same = (other["study"], other["selection"]) == (
                manifest["study"],
                manifest["selection"],
            )
            if same and natural_order(other["period"]) < natural_order(manifest["period"]):
                earlier[other["period"]] = path.parent
    if not earlier:
        return None
    last = max(earlier, key=natural_order)
    page = f"{Path(manifest['notebook']['name']).stem}.html"
    return {"period": last, "href": _way(earlier[last] / page, folder.resolve())}


def _way(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target, folder)).as_posix()


def _scope(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    return manifest["study"], manifest["period"], manifest["selection"]


def _read(folder: Path, known: Manifests) -> dict[str, Any] | None:
    if folder not in known:
        known[folder] = read_manifest(folder)
    return known[folder]


def _list(listing: Listing, path: Path, reports: Path) -> None:
    try:
        if path.name == "failure.json":
            entry = _failure(read_record(path, Failure), path.parent, reports)
        else:
            entry = _entry(read_record(path, Manifest), path.parent, reports)
    except RecordError as odd:
        place = path.relative_to(reports).as_posix()
        listing.odd.append(f"{place} is not a complete record of a report: {odd}")
    else:
        listing.entries.append(entry)


def write_index(reports: Path, listing: Listing | None = None) -> Path:
    """Write the list of every report under a folder, at any depth, and of what failed."""
    reports.mkdir(parents=True, exist_ok=True)
    listing = listing or list_reports(reports)
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    page = environment.get_template("reports.html.j2").render(
        studies=_studies(listing.entries),
        odd=listing.odd,
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
        "earlier": made_earlier(manifest),
        "warnings": len(manifest["warnings"]),
        "made": f"{made} UTC",
        "changes": manifest.get("changes", []),
        "headline": manifest.get("headline", []),
        "files": _files(report_files(manifest), place),
        "tables": _files((f"tables/{name}.csv" for name in manifest["tables"]), place),
    }


def _files(names: Iterable[str], place: Path) -> list[dict[str, str]]:
    return [{"name": Path(name).name, "path": _link(place / name)} for name in names]


def _failure(record: dict[str, Any], folder: Path, reports: Path) -> dict[str, Any]:
    place = folder.relative_to(reports)
    where = f"cell {record['cell']}: " if record["cell"] else ""
    partial = next(iter(sorted(folder.glob("*.ipynb"))), folder / "failure.json")
    return {
        "study": record.get("study") or place.parts[0],
        "study_title": "",
        "simulated": False,
        "period": record.get("period") or EVERYTHING,
        "selection": record.get("selection", ""),
        "report": record["notebook"],
        "title": "as far as it got",
        "page": _link(place / partial.name),
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
    # a name on the disk may be no text at all
    return quote(path.as_posix(), errors="surrogatepass")


def sparkline(values: Sequence[float], intervals: Sequence[Interval], words: str) -> str:
    """An SVG element as high as a line of text; ``words`` are read out in its place.

    The height spans the intervals and not the values alone, so that noise looks like noise.

    Examples
    --------
    >>> drawn = sparkline([1, 3], [(0, 2), (2, 4)], "NPS <b>")
    >>> drawn.startswith('<svg role="img" aria-label="NPS &lt;b&gt;"')
    True
    """
    lows = [
        value if low is None else low for value, (low, _) in zip(values, intervals, strict=True)
    ]
    highs = [value if up is None else up for value, (_, up) in zip(values, intervals, strict=True)]
    bottom, span = min(lows), (max(highs) - min(lows)) or 1.0
    line, low, high = (_points(numbers, bottom, span) for numbers in (values, lows, highs))
    x, y = line[-1]
    return (
        f'<svg role="img" aria-label="{escape(words)}" class="run" width="{WIDTH}" '
        f'height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<polygon points="{_path([*high, *reversed(low)])}" fill="currentColor" opacity="0.25"/>'
        f'<polyline points="{_path(line)}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="currentColor"/></svg>'
    )


def _points(numbers: Sequence[float], bottom: float, span: float) -> list[tuple[float, float]]:
    step = (WIDTH - 2 * MARGIN) / (len(numbers) - 1)
    room = HEIGHT - 2 * MARGIN
    return [
        (MARGIN + i * step, HEIGHT - MARGIN - (number - bottom) / span * room)
        for i, number in enumerate(numbers)
    ]


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
