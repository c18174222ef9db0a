"""What Sphinx doesn't see of a built site: links into the void, requests to other machines."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import lxml.html

#: Attributes that name another file, and those that a browser fetches unasked.
NAMING = ("href", "src", "srcset", "poster", "data")
#: Pages of reports, whose links the reports' own tests follow, and the theme's pieces.
OTHERS = {"reports", "_static"}


def pages(site: Path) -> list[Path]:
    """The pages of the book itself."""
    found = sorted(site.rglob("*.html"))
    return [path for path in found if path.relative_to(site).parts[0] not in OTHERS]


def faults(site: Path) -> list[str]:
    """Every link that leads nowhere, and everything that a page would fetch from elsewhere."""
    return [fault for page in pages(site) for fault in _faults_of(page, site)]


def _faults_of(page: Path, site: Path) -> Iterator[str]:
    here = page.relative_to(site)
    for element in _document(page).iter("*"):
        for name in NAMING:
            way = element.get(name) if isinstance(element.tag, str) else None
            if way is None or (name == "data" and element.tag != "object"):
                continue
            if fault := _fault(way, page, fetched=element.tag != "a"):
                yield f"{here}: {fault}"


def _fault(way: str, page: Path, *, fetched: bool) -> str:
    parts = urlsplit(way)
    if parts.scheme in ("data", "mailto", "javascript"):
        return ""
    if parts.scheme or parts.netloc:
        return f"fetches {way}" if fetched else ""
    target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    target = target / "index.html" if target.is_dir() else target
    if not target.exists():
        return f"no such file: {way}"
    if (
        parts.fragment
        and target.suffix == ".html"
        and unquote(parts.fragment) not in _anchors(target)
    ):
        return f"no such place: {way}"
    return ""


@cache
def _document(page: Path) -> lxml.html.HtmlElement:
    parser = lxml.html.HTMLParser(huge_tree=True, encoding="utf-8")
    return lxml.html.parse(str(page), parser=parser).getroot()


@cache
def _anchors(page: Path) -> set[str]:
    return {"", "top", *_document(page).xpath("//@id"), *_document(page).xpath("//a/@name")}
