"""HTML that a notebook displays → HTML that runs nothing, asks for nothing and ends where it should."""

from __future__ import annotations

import html
import re
from collections import Counter

import lxml.etree
import lxml.html
from lxml.html import HtmlElement

from cxlab.report.text import printable

#: What a page may do: show embedded images and its own styles. The page's second lock; the
#: first is that nothing else is left in it.
POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
    "base-uri 'none'; form-action 'none'"
)


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
#: A drawing's own words, which hold nothing else.
TEXTUAL = ("desc", "title")
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
