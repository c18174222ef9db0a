"""An executed notebook → one self-contained HTML page, which runs nothing and requests nothing."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import lxml.etree
import lxml.html
import nbformat
from jinja2 import Environment, FileSystemLoader
from lxml.builder import E
from lxml.html import HtmlElement
from markupsafe import Markup

from cxlab.core.characters import printable
from cxlab.core.findings import Findings
from cxlab.report.answer import (
    certainty_html,
    each_tile,
    list_html,
    read_findings,
    read_tiles,
    sentence_html,
    unbroken,
)
from cxlab.report.manifest import checks, read_verification
from cxlab.report.notebooks import was_injected
from cxlab.report.publish import replace_text
from cxlab.report.records import scope_of, stem_of
from cxlab.report.show import is_answer, was_shown

TEMPLATES = Path(__file__).parent / "templates"
#: What a page may do: show embedded images and its own styles. The page's second lock; the
#: first is that nothing else is left in it.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)
#: Tag of the cell that leads to the next notebook; a page has tabs for that.
NEXT_TAG = "next"
#: The bar above a report is put between them, again when other reports come and go.
BAR_BEGINS, BAR_ENDS = "<!--bar-->", "<!--/bar-->"
#: Further formats as readers call them.
FORMAT_WORDS = {"pdf": "PDF", "pptx": "Slides", "xlsx": "Excel"}
#: A drawing's own words, which hold nothing else.
TEXTUAL = ("desc", "title")
#: Where a link may lead; one without a scheme stays beside the page.
SCHEMES = ("", "http", "https", "mailto")
#: How style sheets fetch. Escapes can spell all of it, and ``<`` ends a style sheet within SVG.
_FETCHES = re.compile(
    r"@import|\\|<|\b(src|image|image-set|element|paint|cross-fade)\s*\("
    r"|url\s*+\(\s*+['\"]?+\s*+(?!#|data:image/)",
    re.I,
)
_SCHEME = re.compile(r"([^/?#:]*):")
#: What browsers pass over in an address.
_BLANKS = re.compile(r"[\x00-\x20\x7f-\xa0]")
#: Elements within one another that parsers take; deeper ones would cut the page short.
DEPTH = 150


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: Elements that only show something; everything else is removed with what is in it.
SHOWN = _words("""
    a abbr address article aside b bdi bdo big blockquote br caption center cite code col colgroup
    dd del details dfn div dl dt em figcaption figure font footer h1 h2 h3 h4 h5 h6 header hr i img
    ins kbd li main mark meter nav ol p pre progress q rp rt ruby s samp section small span strike
    strong style sub summary sup svg table tbody td tfoot th thead time tr tt u ul var wbr
""")
#: Elements of drawings, within which browsers read those of text in another way.
DRAWN = _words("""
    a circle clippath defs desc ellipse g image line lineargradient marker mask path pattern
    polygon polyline radialgradient rect stop style svg symbol text textpath title tspan use
""")
#: Attributes that name something to fetch, to open or to send to.
REFERENCES = _words("""
    action archive attributionsrc background classid codebase data dynsrc formaction href
    imagesrcset longdesc lowsrc manifest ping poster profile src srcdoc srcset usemap xlink:href
    xml:base
""")
#: Attributes whose value is CSS.
STYLED = _words("""
    clip-path cursor fill filter marker marker-end marker-mid marker-start mask stroke style
""")


def style() -> str:
    """The style sheet of reports and of their index."""
    return (TEMPLATES / "style.css").read_text(encoding="utf-8")


def write_page(folder: Path, notebook: nbformat.NotebookNode, manifest: Mapping[str, Any]) -> Path:
    """Write a report's page, whole: the answer, contents, prose, figures with alt text, folded code.

    Nothing in it is fetched from anywhere: images are embedded, and there are no scripts.
    """
    findings = read_findings(folder)
    figure = answer_figure(notebook) if findings else None
    source = [("Source", manifest["about"])] if manifest["about"] else []
    report = {
        "title": _window_title(manifest),
        "bar": bar_html(manifest),
        "answer": _answer(folder, findings, figure, manifest),
        "checks": [*source, *checks(manifest, read_verification(folder)), *_page_only(notebook)],
        "style": style(),
    }
    path = folder / f"{stem_of(manifest)}.html"
    replace_text(path, render_page(_visible(notebook, answered=findings is not None), report))
    return path


def _window_title(manifest: Mapping[str, Any]) -> str:
    """Of a browser's window: the report, its part of the answers, and the study."""
    own = manifest.get("tab") or manifest["title"]
    words = [own, manifest["period"], manifest["selection"], manifest["study_title"] or "cxlab"]
    return " · ".join(word for word in words if word)


def _answer(
    folder: Path,
    findings: Findings | None,
    figure: Mapping[str, str] | None,
    manifest: Mapping[str, Any],
) -> str:
    """The first screen: question, answer, findings and figure; the question alone without one."""
    said: Any = findings or ()
    tiles = read_tiles(folder) if findings else None
    answers = [
        {
            "text": one.text,
            "sure": Markup(certainty_html(one)),
            "detail": one.detail,
            "told": one.certainty != "measured" or one.direction,
        }
        for one in said
        if one.kind == "answer"
    ]
    return rendered(
        "answer.html.j2",
        question=manifest["title"],
        answers=answers,
        follows=[Markup(sentence_html(one)) for one in said if one.kind == "so what"],
        tiles=[] if tiles is None else [Markup(tile) for tile in each_tile(tiles)],
        list=Markup(list_html(findings)) if findings else "",
        figure=figure,
        key=findings.how_sure if findings else "",
        comment=str(manifest["parameters"].get("comment") or "").strip(),
        changes=manifest["changes"],
    )


def answer_figure(notebook: nbformat.NotebookNode) -> dict[str, str] | None:
    """The figure that shows the answer: its image and alt text; None without one."""
    for cell in notebook.cells:
        for output in filter(is_answer, cell.get("outputs", ())):
            if image := output.data.get("image/png"):
                alt = output.metadata.get("image/png", {}).get("alt", "")
                return {"alt": alt, "png": "".join(str(image).split())}
    return None


def bar_html(manifest: Mapping[str, Any]) -> str:
    """What stands above every report of a set: study, part of the answers, files, other reports."""
    beside, own = manifest.get("beside", {}), stem_of(manifest)
    tabs = [
        {"words": tab["words"], "href": "" if tab["report"] == own else quote(tab["href"])}
        for tab in beside.get("tabs", ())
    ]
    if beside.get("index"):
        tabs.insert(0, {"words": "Overview", "href": quote(beside["index"])})
    previous = beside.get("previous")
    rows = manifest.get("rows")
    files = [
        {"words": FORMAT_WORDS.get(Path(name).suffix[1:], name), "href": quote(name)}
        for name in report_files(manifest)
    ]
    return rendered(
        "bar.html.j2",
        study=manifest["study_title"] or manifest["study"] or "cxlab",
        scope=", ".join(scope_of(manifest)),
        rows="" if rows is None else f"{rows:,} answers",
        simulated=manifest["simulated"],
        files=files,
        previous=previous and {**previous, "href": quote(previous["href"])},
        tabs=tabs,
    )


def with_bar(page: str, bar: str) -> str:
    """The page with another bar: all else in it stays as it is."""
    before, _, rest = page.partition(BAR_BEGINS)
    _, ends, after = rest.partition(BAR_ENDS)
    return f"{before}{BAR_BEGINS}{bar}{ends}{after}" if ends else page


def render_page(notebook: nbformat.NotebookNode, report: Mapping[str, Any]) -> str:
    """HTML of an executed notebook; ``report`` holds what the page says besides."""
    clean = Cleaner()
    resources = {"report": {**report, "policy": POLICY}, "clean": clean}
    body, _ = _exporter().from_notebook_node(notebook, resources=resources)
    return printable(with_bar(_with_contents(printable(body), clean.sentence), report["bar"]))


def refresh_page(folder: Path, manifest: Mapping[str, Any]) -> Path:
    """Write the page again from the executed notebook and what has become known since."""
    notebook = nbformat.read(folder / manifest["notebook"]["name"], as_version=4)
    return write_page(folder, notebook, manifest)


def report_files(manifest: Mapping[str, Any]) -> list[str]:
    """Names of the report in further formats."""
    stem = stem_of(manifest)
    return [f"{stem}.{kind}" for kind in manifest["formats"]]


def rendered(template: str, **values: Any) -> str:
    """One of the templates of pages, filled."""
    return _templates().get_template(template).render(**values)


@lru_cache(maxsize=1)
def _templates() -> Environment:
    environment = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True)
    environment.filters["unbroken"] = lambda text: Markup(unbroken(text))
    return environment


@lru_cache(maxsize=1)
def _exporter() -> Any:
    """nbconvert, which takes a fifth of a second to import: unchanged reports need none."""
    from nbconvert import HTMLExporter
    from nbconvert.exporters.templateexporter import TemplateExporter
    from nbconvert.filters import Highlight2HTML
    from nbconvert.filters.widgetsdatatypefilter import WidgetsDataTypeFilter

    class PageExporter(HTMLExporter):
        """nbconvert's page, not parsed and written a second time for what `render_page` does."""

        def from_notebook_node(  # type: ignore[override]
            self, nb: nbformat.NotebookNode, resources: dict[str, Any] | None = None, **kw: Any
        ) -> tuple[str, dict[str, Any]]:
            """As of `HTMLExporter`, but for its passes over the finished page."""
            resources = self._init_resources(resources)
            self.register_filter("clean_html", resources["clean"])
            self.register_filter("highlight_code", Highlight2HTML("ipython3", parent=self))
            widgets = WidgetsDataTypeFilter(
                notebook_metadata=nb.metadata, parent=self, resources=resources
            )
            self.register_filter("filter_data_type", widgets)
            return TemplateExporter.from_notebook_node(self, nb, resources, **kw)

    return PageExporter(
        template_name="page",
        extra_template_basedirs=[str(TEMPLATES)],
        exclude_output_prompt=True,
        exclude_input_prompt=True,
        # whatever cells display goes through the filter clean_html
        sanitize_html=True,
        # the others do nothing here, and each copies and validates the notebook
        default_preprocessors=[
            "nbconvert.preprocessors.CoalesceStreamsPreprocessor",
            "nbconvert.preprocessors.HighlightMagicsPreprocessor",
        ],
    )


def notebook_title(notebook: nbformat.NotebookNode, fallback: str) -> str:
    """Words of the first top heading."""
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and (title := _parted(cell.source)[1]):
            return title
    return fallback


def tab_name(notebook: nbformat.NotebookNode, stem: str) -> str:
    """What other reports call it: the notebook's ``cxlab.tab``, or the words of its file's name.

    Examples
    --------
    >>> from nbformat.v4 import new_notebook
    >>> tab_name(new_notebook(), "9-lost-customers")
    'Lost customers'
    """
    declared = notebook.metadata.get("cxlab", {}).get("tab")
    number, _, rest = stem.partition("-")
    words = (rest if number.isdigit() and rest else stem).replace("-", " ")
    return str(declared or words[:1].upper() + words[1:])


def _page_only(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
    """Row of the checks on tables and figures that no other format has; none: no row."""
    code = [c for c in notebook.cells if c.cell_type == "code" and not was_injected(c)]
    cells = [
        number
        for number, cell in enumerate(code, start=1)
        for output in cell.outputs
        if _is_rich(output) and not was_shown(output)
    ]
    if not cells:
        return []
    words = f"{len(cells)} output{'s' if len(cells) > 1 else ''}"
    where = ", ".join(str(number) for number in dict.fromkeys(cells))
    return [
        (
            "On the page only",
            f"{words} (code cell {where}): displayed without show(), which records tables for "
            "tables/, xlsx and pptx",
        )
    ]


def _is_rich(output: nbformat.NotebookNode) -> bool:
    kinds = output.get("data", {})
    return any(kind == "text/html" or kind.startswith("image/") for kind in kinds)


def _visible(notebook: nbformat.NotebookNode, *, answered: bool) -> nbformat.NotebookNode:
    """The notebook without what stands on the first screen, and without defaults that gave way.

    These are the title, the displayed answer, the way to the next notebook, and the parameters
    once papermill has injected the values used. Cells are shared with the notebook, of which nothing is changed.
    """
    cells, injected, titled = [], any(map(was_injected, notebook.cells)), False
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if (injected and "parameters" in tags) or NEXT_TAG in tags:
            continue
        if cell.cell_type == "markdown" and not titled and (parts := _parted(cell.source))[1]:
            cell, titled = nbformat.NotebookNode({**cell, "source": parts[0] + parts[2]}), True
        elif answered and "outputs" in cell:
            kept = [one for one in cell.outputs if not is_answer(one)]
            cell = nbformat.NotebookNode({**cell, "outputs": kept})
        cells.append(cell)
    return nbformat.NotebookNode({**notebook, "cells": cells})


def _parted(source: str) -> tuple[str, str, str]:
    """What stands before the first top heading of a text, its words, and what follows."""
    lines = source.splitlines(keepends=True)
    for number, line in enumerate(lines):
        if line.startswith("# "):
            return "".join(lines[:number]), line[2:].strip(), "".join(lines[number + 1 :])
    return source, "", ""


def _with_contents(body: str, removed: str) -> str:
    page = lxml.html.document_fromstring(body, parser=lxml.html.HTMLParser(huge_tree=True))
    for link in page.find_class("anchor-link"):
        link.drop_tree()
    for link in [one for one in page.iter("a") if one.get("href", "").endswith(".ipynb")]:
        # notebooks are not beside their pages
        link.drop_tag()
    for image in page.iter("img"):
        if image.get("alt") is None:
            image.set("alt", "No description has been provided for this image")
    headings = [heading for heading in page.iter("h2") if heading.get("id")]
    entries = [E.li(E.a(h.text_content(), href=f"#{h.get('id')}")) for h in headings]
    contents = lxml.html.tostring(E.nav({"aria-label": "Contents"}, E.ol(*entries)))
    text = lxml.html.tostring(page, encoding="unicode", doctype="<!DOCTYPE html>")
    text = str(text).replace("<!--contents-->", contents.decode(), 1)
    row = E.tr(E.th("Removed from displays", scope="row"), E.td(removed))
    words = lxml.html.tostring(row, encoding="unicode") if removed else ""
    return text.replace("<!--removed-->", words, 1)


class Cleaner:
    """Makes pieces of a page safe and counts what it removed, by name."""

    def __init__(self) -> None:
        self.removed: Counter[str] = Counter()

    @property
    def sentence(self) -> str:
        """What was removed, for the report's checks; empty: nothing."""
        names = [f"{name} ({n})" if n > 1 else name for name, n in sorted(self.removed.items())]
        if not names:
            return ""
        return f"because a page runs nothing and requests nothing: {', '.join(names)}"

    def __call__(self, piece: str) -> str:
        """HTML of which nothing runs, fetches, or reaches beyond its end.

        Examples
        --------
        >>> cleaner = Cleaner()
        >>> cleaner('<p onclick="x()">Hello <script>alert(1)</script><b>you')
        '<p>Hello <b>you</b></p>'
        >>> cleaner.sentence
        'because a page runs nothing and requests nothing: onclick, script'
        """
        # browsers and parsers disagree about where a comment ends
        parser = lxml.html.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
        whole = f"<html><body>{printable(piece)}</body></html>"
        body = lxml.html.document_fromstring(whole, parser=parser).find("body")
        if body is None:
            return ""
        for element in body.xpath(f"descendant::*[count(ancestor::*) = {DEPTH}]"):
            self._drop(element, "elements nested too deep")
        for element in list(body.iterdescendants(lxml.etree.Element)):
            self._clean(element)
        pieces = [lxml.html.tostring(child, encoding="unicode") for child in body]
        return html.escape(body.text or "", quote=False) + "".join(pieces)

    def _clean(self, element: HtmlElement) -> None:
        drawing = next(element.iterancestors("svg"), None) is not None
        allowed = element.tag in (DRAWN if drawing else SHOWN)
        if not allowed or element.getparent().tag in TEXTUAL:
            self._drop(element, element.tag)
        elif element.tag == "style" and _FETCHES.search(element.text or ""):
            self._drop(element, "style that fetches")
        else:
            for name, value in element.attrib.items():
                if reason := _refusal(element.tag, name.lower(), value):
                    del element.attrib[name]
                    self.removed[reason] += 1

    def _drop(self, element: HtmlElement, name: str) -> None:
        element.drop_tree()
        self.removed[name] += 1


def _refusal(tag: str, name: str, value: str) -> str:
    """Name of what an attribute would do; empty: it may stay."""
    if name.startswith("on"):
        return name
    if name in STYLED:
        return "style that fetches" if _FETCHES.search(value) else ""
    if name not in REFERENCES:
        return ""
    address = _BLANKS.sub("", value).casefold()
    if (tag, name) == ("a", "href"):
        scheme = match[1] if (match := _SCHEME.match(address)) else ""
        return "" if scheme in SCHEMES else f"link to {scheme}:"
    embedded = (tag, name) == ("img", "src") or tag == "image"
    if address.startswith("data:image/" if embedded else "#"):
        return ""
    return f"{tag} {name}"
