"""An executed notebook → one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class PageFacts:
    """What the page says besides the notebook.

    Attributes
    ----------
    title : str
        Of the browser's tab.
    about : str
        One line on the study and its source.
    scope : sequence of (name, value)
        Period and selection.
    checks : sequence of (name, value)
        Rows of the checks block.
    """

    title: str
    about: str
    scope: Sequence[tuple[str, str]]
    checks: Sequence[tuple[str, str]]


def style() -> str:
    """The style sheet of reports and of their index."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


def write_page(notebook: nbformat.NotebookNode, facts: PageFacts, path: Path) -> None:
    """Write the page: contents list, prose, figures with alt text, code folded away.

    Nothing in it is fetched from anywhere: images are embedded, and there are no scripts.
    """
    exporter = HTMLExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_output_prompt=True,
        exclude_input_prompt=True,
    )
    report = {
        "title": facts.title,
        "about": facts.about,
        "scope": list(facts.scope),
        "checks": list(facts.checks),
        "style": style(),
    }
    body, _ = exporter.from_notebook_node(_visible(notebook), resources={"report": report})
    path.write_text(_with_contents(body), encoding="utf-8")


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
