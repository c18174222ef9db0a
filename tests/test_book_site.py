"""The built book in a browser. `make docs` builds it once, before the tests; not they."""

import csv
import html
import os
import re

import pytest

import cxlab
from docs.book import checks, names
from docs.book.__main__ import REPORTS, SITE
from tests.test_browser import COLOURS, RULES, broken_rules

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")

pytestmark = pytest.mark.skipif(
    not (SITE / "index.html").exists() and not os.environ.get("CI"), reason="make docs has not run"
)

#: One page of each kind.
PAGES = [
    "index.html", "gallery.html", "tutorial/demo.html", "how-to/small-groups.html", "reference/functions/drivers.html",
    "reference/study-file.html", "notebooks/2-scorecard.html",
]  # fmt: skip
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser():
    from cxlab.report.exports import QUIET, find_browser

    if not find_browser():
        pytest.skip("Debian's chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        yield one
        one.close()


@pytest.fixture
def open_page(browser):
    contexts = []

    def open_one(name, **options):
        contexts.append(browser.new_context(**options))
        contexts[-1].set_default_timeout(120_000)
        page = contexts[-1].new_page()
        page.outside, page.problems = [], []
        page.on(
            "request", lambda r: r.url.startswith(("file:", "data:")) or page.outside.append(r.url)
        )
        page.on("console", lambda m: m.type == "error" and page.problems.append(m.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto(f"{SITE.as_uri()}/{name}")
        return page

    yield open_one
    for context in contexts:
        context.close()


def text_of(name):
    return html.unescape(re.sub(r"<[^>]+>", "", (SITE / name).read_text(encoding="utf-8")))


def test_every_public_name_and_notebook_has_its_page():
    for name in cxlab.__all__:
        assert (SITE / f"{names.place(name)}.html").exists(), name
    for stem in names.notebooks():
        assert (SITE / "notebooks" / f"{stem}.html").exists(), stem


def test_every_recorded_column_is_on_the_site():
    told, seen = text_of("reference/recorded-tables.html"), 0
    for path in REPORTS.glob("demo/*/*/tables/*.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            for column in next(csv.reader(file)):
                seen += 1
                assert column in told, f"{path.parent.parent.name}: {column}"
    assert seen > 200


def test_no_link_leads_nowhere():
    assert len(checks.pages(SITE)) > 100
    assert checks.faults(SITE) == []


@pytest.mark.parametrize("kind", ["light", "dark", "phone"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_accessible_and_asks_for_nothing(name, kind, open_page):
    scheme = "light" if kind == "light" else "dark"
    page = open_page(name, color_scheme=scheme, viewport=PHONE if kind == "phone" else DESK)
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]
    assert (page.outside, page.problems) == ([], [])
    # axe would fetch the style sheets, which no page on a disk may
    assert broken_rules(page, COLOURS if kind == "dark" else RULES, preload=False) == []


def test_search_finds_without_a_network(open_page):
    page = open_page("search.html?q=penalty_reward")
    page.wait_for_selector("#search-results li a")
    found = page.eval_on_selector_all("#search-results li a", "links => links.map(a => a.href)")
    assert any("reference/functions/penalty_reward.html" in one for one in found)
    assert (page.outside, page.problems) == ([], [])
