"""``reports/index.html``: what is there."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader

from cxlab.report.build import BUILDING, FAILED
from cxlab.report.page import TEMPLATES, style

INDEX = "index.html"


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
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    page = environment.get_template("reports.html.j2").render(
        studies=_studies(reports), style=style()
    )
    temporary = reports / f".{INDEX}-{os.getpid()}"
    temporary.write_text(page, encoding="utf-8")
    target = reports / INDEX
    temporary.replace(target)
    return target


def _studies(reports: Path) -> list[dict[str, Any]]:
    entries = [
        _complete(path, reports)
        for path in reports.glob("**/manifest.json")
        if BUILDING not in path.parts
    ]
    entries += [_failure(path, reports) for path in reports.glob(f"**/{FAILED}/*/failure.json")]
    studies: dict[str, dict[str, Any]] = {}
    for entry in sorted(
        entries,
        key=lambda e: (
            e["study"],
            _newest_first(e["period"]),
            e["selection"],
            e["page"],
        ),
    ):
        study = studies.setdefault(
            entry["study"],
            {"title": entry["study_title"], "reports": [], "simulated": False},
        )
        study["simulated"] = study["simulated"] or entry["simulated"]
        study["title"] = entry["study_title"] or study["title"]
        study["reports"].append(entry)
    return list(studies.values())


def _newest_first(period: str) -> list[int]:
    return [-ord(letter) for letter in period]


def _complete(path: Path, reports: Path) -> dict[str, Any]:
    manifest = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent.relative_to(reports)
    stem = Path(manifest["notebook"]["name"]).stem
    return {
        "study": manifest["study"],
        "study_title": manifest["study_title"] or manifest["study"],
        "simulated": manifest["simulated"],
        "period": manifest["period"] or "all periods",
        "selection": manifest["selection"],
        "title": f"{stem}: {manifest['title']}",
        "page": _link(folder / f"{stem}.html"),
        "failed": False,
        "cause": "",
        "made": manifest["ended"].replace("T", " ").removesuffix("Z") + " UTC",
        "tables": [
            {"name": name, "path": _link(folder / "tables" / f"{name}.csv")}
            for name in manifest["tables"]
        ],
    }


def _failure(path: Path, reports: Path) -> dict[str, Any]:
    record = json.loads(path.read_text(encoding="utf-8"))
    folder = path.parent.relative_to(reports)
    parts = folder.parts
    where = f"cell {record['cell']}" if record["cell"] else "the kernel"
    return {
        "study": parts[0],
        "study_title": "",
        "simulated": False,
        "period": parts[1] if len(parts) > 3 else "all periods",
        "selection": " · ".join(parts[2:-2]),
        "title": record["notebook"],
        "page": _link(folder / f"{record['notebook']}.ipynb"),
        "failed": True,
        "cause": f"{where}: {record['cause']}",
        "made": record["when"].replace("T", " ").removesuffix("Z") + " UTC",
        "tables": [],
    }


def _link(path: Path) -> str:
    return quote(path.as_posix())
