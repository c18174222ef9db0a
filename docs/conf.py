"""Sphinx's settings for the book; `make docs` builds it, from `build/book/source`."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.metadata import version as installed
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import cxlab  # noqa: E402
from docs.book.names import place, public  # noqa: E402

project = "cxlab"
author = "The cxlab developers"
copyright = "The cxlab developers, BSD-3-Clause"
release = version = installed("cxlab")

extensions = ["sphinx.ext.autodoc", "numpydoc", "myst_nb"]

# notebooks are shown as they are stored; nbval holds them true
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
myst_heading_anchors = 3
suppress_warnings = ["mystnb.unknown_mime_type"]
nitpicky = True
default_role = "name"
exclude_patterns = ["_parts", "**.ipynb_checkpoints"]
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
add_module_names = False

html_theme = "pydata_sphinx_theme"
html_title = "cxlab"
html_static_path = ["static"]
html_css_files = ["book.css"]
html_extra_path = [str(ROOT / "build" / "book" / "extra")]
html_show_sourcelink = False
html_copy_source = False
# a page that is opened from a disk may not fetch the texts of others
html_show_search_summary = False
html_context = {"default_mode": "auto"}
html_sidebars = {"index": [], "gallery": []}
html_theme_options = {
    "logo": {"text": "cxlab"},
    "show_prev_next": True,
    "navigation_with_keys": False,
    "secondary_sidebar_items": ["page-toc"],
    "navbar_align": "left",
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
    "header_links_before_dropdown": 7,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}

TOGGLE = '<summary><span class="toctree-toggle"'


class Name(SphinxRole):
    """A name in single backticks: a link where it has a page, code where it is real."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """The node of the name; a name of nothing is a warning."""
        bare = self.text.removeprefix("cxlab.").removesuffix("()")
        if bare.partition(".")[0] in public():
            return [_link(self.text, bare, self.env.docname)], []
        if not _is_real(bare):
            message = f"broken reference: `{self.text}` is no name of cxlab"
            return [], [self.inliner.reporter.warning(message, line=self.lineno)]
        return [nodes.literal(self.rawtext, self.text)], []


def _link(text: str, name: str, docname: str) -> nodes.Node:
    shown = nodes.literal(text, text)
    return addnodes.pending_xref(
        text, shown, refdomain="py", reftype="obj", reftarget=f"cxlab.{name}", refdoc=docname,
        refexplicit=True, refwarn=True,
    )  # fmt: skip


def _is_real(name: str) -> bool:
    """Whether the package has a module, or a module of it has an object, of this name."""
    whole = f"cxlab.{name}"
    if whole in sys.modules:
        return True
    module, _, attribute = whole.rpartition(".")
    owner = _owner(module)
    if owner is not None and hasattr(owner, attribute):
        return True
    first, _, rest = name.partition(".")
    found = [vars(one)[first] for key, one in list(sys.modules.items())
             if key.startswith("cxlab.") and first in vars(one)]  # fmt: skip
    return any(not rest or hasattr(one, rest) for one in found)


def _owner(dotted: str) -> object | None:
    try:
        return importlib.import_module(dotted)
    except ImportError:
        module, _, attribute = dotted.rpartition(".")
        owner = _owner(module) if module else None
        return getattr(owner, attribute, None)


def link_calls(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Make a link of code such as ``nps()`` or ``cxlab.nps`` in pages and notebooks."""
    for shown in list(doctree.findall(nodes.literal)):
        text = shown.astext()
        name = text.removeprefix("cxlab.").removesuffix("()")
        if name == text or name not in public() or isinstance(shown.parent, nodes.reference):
            continue
        if place(name) != docname:
            way = app.builder.get_relative_uri(docname, place(name))
            link = nodes.reference("", "", shown.deepcopy(), refuri=way, internal=True)
            shown.replace_self(link)


def name_toggles(app: Sphinx, exception: Exception | None) -> None:
    """Give the sidebar's toggles a name, which readers of the screen need."""
    if exception is None:
        for path in Path(app.outdir).glob("**/*.html"):
            text = path.read_text(encoding="utf-8")
            if TOGGLE in text:
                named = TOGGLE.replace("<summary>", '<summary aria-label="Pages of this section">')
                path.write_text(text.replace(TOGGLE, named), encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Load every public name, so that docstrings may name what lies beside them."""
    for name in cxlab.__all__:
        inspect.getmodule(getattr(cxlab, name))
    app.add_role("name", Name())
    app.connect("doctree-resolved", link_calls)
    app.connect("build-finished", name_toggles)
