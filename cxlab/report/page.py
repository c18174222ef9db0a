"""An executed notebook → one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

from cxlab.report.manifest import checks, read_verification
from cxlab.report.publish import replace_text

TEMPLATES = Path(__file__).parent / "templates"


def style() -> str:
    """The style sheet of reports and of their index."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


def write_page(folder: Path, notebook: nbformat.NotebookNode, manifest: Mapping[str, Any]) -> Path:
    """Write a report's page: changes, contents, prose, figures with alt text, code folded away.

    Nothing in it is fetched from anywhere: images are embedded, and there are no scripts.

    Parameters
    ----------
    folder : Path
        The report's folder.
    notebook : NotebookNode
        Executed.
    manifest : mapping
        Of the report.

    Returns
    -------
    Path
        The page, replaced whole.
    """
    scope = [("Period", manifest["period"]), ("Selection", manifest["selection"])]
    report = {
        "title": f"{manifest['title']} · {manifest['study_title'] or 'cxlab'}",
        "about": manifest["about"],
        "scope": [(name, value) for name, value in scope if value],
        "changes": manifest["changes"],
        "files": report_files(manifest),
        "checks": checks(manifest, read_verification(folder)),
        "style": style(),
    }
    path = folder / f"{Path(manifest['notebook']['name']).stem}.html"
    replace_text(path, render_page(notebook, report))
    return path


def render_page(notebook: nbformat.NotebookNode, report: Mapping[str, Any]) -> str:
    """HTML of an executed notebook; ``report`` holds what the page says besides."""
    body, _ = _exporter().from_notebook_node(_visible(notebook), resources={"report": report})
    return _with_contents(body)


def refresh_page(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write the page again from the executed notebook and what has become known since."""
    notebook = nbformat.read(folder / manifest["notebook"]["name"], as_version=4)
    return write_page(folder, notebook, manifest)


def report_files(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the report in further formats."""
    stem = Path(manifest["notebook"]["name"]).stem
    return [f"{stem}.{kind}" for kind in manifest["formats"]]


@lru_cache(maxsize=1)
def _exporter() -> HTMLExporter:
    return HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_output_prompt=True,
        exclude_input_prompt=True,
    )


def notebook_title(notebook: nbformat.NotebookNode, fallback: str) -> str:
    """Words of the first top heading."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for line in cell.source.splitlines():
                if line.startswith("# "):
                    return str(line[2:].strip())
    return fallback


def _visible(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The declared defaults are hidden once papermill has injected the values used."""
    tags = [cell.metadata.get("tags", []) for cell in notebook.cells]
    if not any("injected-parameters" in given for given in tags):
        return notebook
    shown = nbformat.from_dict(notebook)
    shown.cells = [
        cell for cell, given in zip(notebook.cells, tags, strict=True) if "parameters" not in given
    ]
    return shown


def _with_contents(body: str) -> str:
    soup = BeautifulSoup(body, "html.parser")
    for link in soup.find_all("a", class_="anchor-link"):
        link.decompose()
    entries = []
    for heading in soup.find_all("h2"):
        if heading.get("id"):
            entry = soup.new_tag("li")
            link = soup.new_tag("a", href=f"#{heading['id']}")
            link.string = heading.get_text()
            entry.append(link)
            entries.append(str(entry))
    _make_safe(soup)
    for table in soup.find_all("table", class_="cxlab"):
        _mark_text_columns(table)
    contents = f'<nav aria-label="Contents"><ol>{"".join(entries)}</ol></nav>'
    return str(soup).replace("<!--contents-->", contents, 1)


def _make_safe(soup: BeautifulSoup) -> None:
    """Nothing in a page runs or is fetched, whatever a notebook displays.

    Text from the data is escaped where it is shown; this is for rich displays of others.
    """
    for element in soup.find_all(["script", "iframe", "object", "embed", "link", "base", "form"]):
        if element.name != "link" or element.get("rel") != ["icon"]:
            element.decompose()
    for element in soup.find_all(True):
        for attribute in [name for name in element.attrs if name.lower().startswith("on")]:
            del element[attribute]
        for attribute in ("src", "srcset", "background", "poster"):
            if element.has_attr(attribute) and not str(element[attribute]).startswith("data:"):
                del element[attribute]
        if str(element.get("href", "")).strip().lower().startswith(("javascript:", "data:text")):
            del element["href"]


def _mark_text_columns(table: BeautifulSoup) -> None:
    """Words align left, numbers right; notes may wrap."""
    head = [cell.get_text() for cell in table.select("thead th")]
    rows = [row.find_all(["td", "th"]) for row in table.select("tbody tr")]
    for i, name in enumerate(head):
        cells = [row[i] for row in rows if len(row) > i]
        if all(not _is_number(cell.get_text()) for cell in cells):
            kind = "note" if name in ("note", "why") else "text"
            for cell in [*cells, table.select("thead th")[i]]:
                cell["class"] = kind


def _is_number(text: str) -> bool:
    return text.strip().replace(",", "").replace(".", "").lstrip("-").isdigit() or text == "–"
