"""``reports/index.html``: the state of each study, the answers of its reports, and what failed."""

from __future__ import annotations

import glob
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from cxlab.core.characters import printable
from cxlab.core.findings import Findings
from cxlab.core.labels import natural_order
from cxlab.report import records
from cxlab.report.answer import certainty_html, each_tile, read_findings, read_tiles
from cxlab.report.manifest import made_earlier
from cxlab.report.page import (
    FORMAT_WORDS,
    POLICY,
    bar_html,
    rendered,
    report_files,
    style,
    with_bar,
)
from cxlab.report.publish import BUILDING, FAILED, replace_text

INDEX = "index.html"
#: Of a set of reports, beside their folders.
GLOSSARY = "glossary.html"
#: Rules of `6-tracking` by which something has changed that was not told the period before.
NEW = ("headline-changed", "new-change", "change-in-a-year")
#: What is known of the reports, by folder; None where there is no complete manifest.
Manifests = dict[Path, dict[str, Any] | None]


@dataclass(frozen=True)
class Listing:
    """The reports under a folder: one entry for each, and for each that failed."""

    entries: list[dict[str, Any]] = field(default_factory=list)
    #: Files in the place of records that are not, and why, in one line each.
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
        page = folder / f"{records.stem_of(manifest)}.html"
        written = manifest.get("digests", {}).get(page.name)
        if (
            found != manifest.get("beside")
            and page.is_file()
            and records.file_digest(page) == written
        ):
            manifest["beside"] = found
            replace_text(page, with_bar(page.read_text(encoding="utf-8"), bar_html(manifest)))
            manifest["digests"][page.name] = records.file_digest(page)
            records.write_record(path, manifest)


def beside(
    folder: Path, manifest: Mapping[str, Any], index: Path, known: Manifests | None = None
) -> dict[str, Any]:
    """The reports that a report leads to: those of its set, and the same of the period before.

    Addresses are relative, so that a set can be moved. ``known``: manifests by folder.
    """
    known = {} if known is None else known
    tabs = []
    others = folder.parent.glob("*/manifest.json")
    for path in sorted(others, key=lambda one: natural_order(one.parent.name)):
        other = _read(path.parent, known)
        if other is not None and _scope(other) == _scope(manifest):
            stem = records.stem_of(other)
            href = f"../{path.parent.name}/{stem}.html"
            tabs.append({"report": stem, "words": other.get("tab") or stem, "href": href})
    if tabs and (folder.parent / GLOSSARY).is_file():
        tabs.append({"report": "glossary", "words": "Glossary", "href": f"../{GLOSSARY}"})
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
            same = all(other[name] == manifest[name] for name in ("study", "selection"))
            if same and natural_order(other["period"]) < natural_order(manifest["period"]):
                earlier[other["period"]] = path.parent
    if not earlier:
        return None
    last = max(earlier, key=natural_order)
    page = f"{records.stem_of(manifest)}.html"
    return {"period": last, "href": _way(earlier[last] / page, folder.resolve())}


def _way(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target, folder)).as_posix()


def _scope(manifest: Mapping[str, Any]) -> tuple[str, str, str]:
    return manifest["study"], manifest["period"], manifest["selection"]


def _read(folder: Path, known: Manifests) -> dict[str, Any] | None:
    if folder not in known:
        known[folder] = records.read_manifest(folder)
    return known[folder]


def _list(listing: Listing, path: Path, reports: Path) -> None:
    try:
        if path.name == "failure.json":
            entry = _failure(records.read_record(path, records.Failure), path.parent, reports)
        else:
            entry = _entry(records.read_record(path, records.Manifest), path.parent, reports)
    except records.RecordError as odd:
        place = path.relative_to(reports).as_posix()
        listing.odd.append(f"{place} is not a complete record of a report: {odd}")
    else:
        listing.entries.append(entry)


def write_index(reports: Path, listing: Listing | None = None) -> Path:
    """Write the list of every report under a folder, at any depth, and of what failed."""
    reports.mkdir(parents=True, exist_ok=True)
    listing = listing or list_reports(reports)
    page = rendered(
        "reports.html.j2", studies=_studies(listing.entries), odd=listing.odd, policy=POLICY,
        style=Markup(style()),
    )  # fmt: skip
    target = reports / INDEX
    replace_text(target, printable(page))
    return target


def _studies(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Per study: its state, tiles, and sets of reports, the newest period first."""
    studies: dict[str, list[dict[str, Any]]] = {}
    for entry in sorted(entries, key=_place):
        studies.setdefault(entry["study"], []).append(entry)
    return [_study(name, found) for name, found in studies.items()]


def _place(entry: Mapping[str, Any]) -> tuple[Any, ...]:
    """Order of reports: the tenth notebook follows the ninth."""
    return entry["study"], entry["selection"], natural_order(entry["report"])


def _study(name: str, entries: list[dict[str, Any]]) -> dict[str, Any]:
    sets: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for entry in entries:
        sets.setdefault((entry["period"], entry["selection"]), []).append(entry)
    # all periods together are no period of their own
    periods = sorted(
        {entry["period"] for entry in entries},
        key=lambda one: (one != records.EVERYTHING, natural_order(one)),
        reverse=True,
    )
    order = sorted(sets, key=lambda one: (periods.index(one[0]), one[1]))
    newest = sets[order[0]]
    told = {one["topic"]: one["findings"] for one in newest if one.get("findings")}
    state, follows = state_of(told)
    rows = next((one["rows"] for one in newest if one.get("rows") is not None), None)
    return {
        "title": next((e["study_title"] for e in entries if e.get("study_title")), name),
        "simulated": any(entry.get("simulated") for entry in entries),
        "period": order[0][0],
        "selection": order[0][1] or records.EVERYONE,
        "rows": "" if rows is None else f"{rows:,} answers",
        "state": state,
        "follows": follows,
        "tiles": next((one["tiles"] for one in newest if one.get("tiles")), []),
        "sets": [
            {
                "name": f"{period}, {selection or records.EVERYONE}",
                "reports": sets[period, selection],
                "failed": sum(entry["failed"] for entry in sets[period, selection]),
            }
            for period, selection in order
        ],
    }


def state_of(reports: Mapping[str, Findings]) -> tuple[str, list[str]]:
    """What a manager has to know of a period, in a sentence or three, and what follows.

    From the findings of its reports by topic: what is shown to have changed and was not told
    before, then the targets or the headline number, then where to look first. What follows are
    changes that were told before, and the driver of an outcome whose target is not missed.
    """
    leads: list[str] = []
    follows: list[str] = []
    if told := reports.get("tracking"):
        change = told.answer.text.partition("; ")[0]
        (leads if _is_new(told) else follows).append(change)
    missed = False
    if told := reports.get("scorecard"):
        several = told.answer.rule.startswith("targets") and (told.answer.family_size or 0) > 1
        leads.append(told.answer.text.rpartition(": ")[0] if several else told.answer.text)
        missed = told.answer.rule in ("targets missed", "targets mixed")
    if told := reports.get("drivers"):
        # what half a point may bring is said where the outcome's own target is missed
        others = missed and not any(one.rule == "what if" for one in told)
        first = told.answer.text.partition(": it ")[0].partition(": they ")[0]
        (follows if others else leads).append(first)
    return ". ".join(one.rstrip(".") for one in leads if one), follows


def _is_new(told: Findings) -> bool:
    """Whether tracking leads with a change that the report of the period before did not tell."""
    before = [one.subject for one in told if one.rule == "carried"]
    known = any(told.answer.subject and told.answer.subject in names for names in before)
    return told.answer.rule in NEW and not known


def _entry(manifest: dict[str, Any], folder: Path, reports: Path) -> dict[str, Any]:
    place = folder.relative_to(reports)
    stem = records.stem_of(manifest)
    findings, tiles = read_findings(folder), read_tiles(folder)
    return {
        "study": manifest["study"],
        "study_title": manifest["study_title"],
        "simulated": manifest["simulated"],
        "period": manifest["period"] or records.EVERYTHING,
        "selection": manifest["selection"],
        "report": stem,
        "topic": stem.partition("-")[2] or stem,
        "tab": manifest.get("tab") or stem,
        "title": manifest["title"],
        "rows": manifest.get("rows"),
        "findings": findings,
        "answer": "; ".join(one.text for one in findings.of_kind("answer")) if findings else "",
        "sure": Markup(certainty_html(findings.answer)) if findings else "",
        "tiles": [] if tiles is None else [Markup(tile) for tile in each_tile(tiles)],
        "page": _link(place / f"{stem}.html"),
        "failed": False,
        "earlier": made_earlier(manifest),
        "warnings": len(manifest["warnings"]),
        "made": _moment(manifest["ended"]),
        "changes": manifest.get("changes", []),
        "files": [
            {"name": FORMAT_WORDS.get(Path(name).suffix[1:], name), "path": _link(place / name)}
            for name in report_files(manifest)
        ],
        "tables": [
            {"name": name, "path": _link(place / f"tables/{name}.csv")}
            for name in manifest["tables"]
        ],
    }


def _failure(record: dict[str, Any], folder: Path, reports: Path) -> dict[str, Any]:
    place = folder.relative_to(reports)
    where = f"cell {record['cell']}: " if record["cell"] else ""
    partial = next(iter(sorted(folder.glob("*.ipynb"))), folder / "failure.json")
    return {
        "study": record.get("study") or place.parts[0],
        "period": record.get("period") or records.EVERYTHING,
        "selection": record.get("selection", ""),
        "report": record["notebook"],
        "tab": record["notebook"],
        "page": _link(place / partial.name),
        "failed": True,
        "cause": f"{where}{record['cause']}",
        "made": _moment(record["when"]),
    }


def _moment(when: str) -> str:
    return f"{when.replace('T', ' ').removesuffix('Z')} UTC"


def _link(path: Path) -> str:
    # a name on the disk may be no text at all
    return quote(path.as_posix(), errors="surrogatepass")
