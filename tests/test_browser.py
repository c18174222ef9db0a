"""The pages in a real browser: links, requests, errors, accessibility, phone, dark mode, print."""

from urllib.parse import unquote, urlparse

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cxlab.report.exports import QUIET, find_browser
from cxlab.report.index import link_reports, write_index
from tests.runs import run_reports
from tests.test_answer import tiles_of
from tests.test_first_screen import write_report

sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is not installed")
axe = pytest.importorskip(
    "axe_playwright_python.sync_playwright", reason="the extra `browser` is not installed"
)

pytestmark = pytest.mark.skipif(not find_browser(), reason="Debian's chromium is not installed")

#: Rules that the WCAG levels A and AA stand for, and those of them that look at colours.
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
RULES = {"type": "tag", "values": TAGS}
COLOURS = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
#: Rows of a table that are like those above them.
REPEATED = {"exclude": [["tbody tr:nth-child(n+5):not(.marked)"]]}
CHANGES = """import pandas as pd
from cxlab import show
row = {"label": "NPS", "period": "2025-Q4", "before": "2025-Q3", "estimate": -8.0, "ci_low": -12.0, "ci_high": -4.0,
       "p_adjusted": 0.001, "unit": "points", "sentence": "NPS fell by 8 points (95 % interval 4 to 12)."}
show(pd.DataFrame([row]), name="changes")"""


@pytest.fixture(scope="module")
def reports(tmp_path_factory, warm_reports):
    """Real notebooks, two periods of one of them, one with changes, one that failed."""
    folder = tmp_path_factory.mktemp("browser")
    parameters = 'study: str = "demo"\nperiod: str | None = None\nwhere: dict | None = None'
    notebooks = ["answers", "outcomes", "actions"]
    for name, source in (("8-changes", CHANGES), ("9-bad", "1 / 0")):
        cells = [new_markdown_cell(f"# {name}\n\nTwo sentences."),
                 new_code_cell(parameters, metadata={"tags": ["parameters"]}), new_code_cell(source)]  # fmt: skip
        nbformat.write(new_notebook(cells=cells), folder / f"{name}.ipynb")
        notebooks.append(str(folder / f"{name}.ipynb"))
    asked = {"formats": ["xlsx"], "output": folder / "reports"}
    run_reports("demo", period="2025-Q3", notebooks=["answers"], **asked)
    run = run_reports("demo", period="2025-Q4", notebooks=notebooks, **asked)
    assert len(run.failures) == 1
    # a first screen with all that one can hold
    write_report(folder / "reports", "7-all", tiles=tiles_of(), parameters={"comment": "Strikes"})
    write_index(folder / "reports")
    link_reports(folder / "reports")
    return folder / "reports"


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        # QUIET keeps Chromium's own requests from any host
        one = playwright.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        yield one
        one.close()


PAGES = [
    "index.html",
    "demo/2025-Q4/1-answers/1-answers.html",
    "demo/2025-Q4/8-changes/8-changes.html",
    "demo/2025-Q4/7-all/7-all.html",
    "demo/2025-Q4/glossary.html",
    "demo/2025-Q4/7-outcomes/7-outcomes.html",
    "demo/2025-Q4/8-actions/8-actions.html",
]


@pytest.fixture
def open_page(browser, reports):
    contexts = []

    def open_one(name, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        context.set_default_timeout(120_000)
        page = context.new_page()
        page.requests, page.problems = [], []
        page.on("request", lambda request: page.requests.append(request.url))
        page.on("console", lambda message: page.problems.append(message.text))
        page.on("pageerror", lambda error: page.problems.append(str(error)))
        page.goto((reports / name).as_uri())
        return page

    yield open_one
    for context in contexts:
        context.close()


@pytest.mark.parametrize("name", PAGES)
def test_page_asks_for_nothing_and_reports_no_error(name, open_page, reports):
    page = open_page(name)
    page.wait_for_load_state("networkidle")
    outside = [url for url in page.requests if not url.startswith("data:")]
    assert outside == [(reports / name).as_uri()]
    assert page.problems == []


def broken_rules(page, rules, **options):
    """What axe finds, the rows of a table that repeat others left out; it says how much it checked."""
    options |= {"runOnly": rules, "resultTypes": ["violations"]}
    response = axe.Axe().run(page, context=REPEATED, options=options).response
    assert len(response["passes"]) >= (10 if rules is RULES else 1), "axe has checked nothing"
    found = response["violations"]
    return [(rule["id"], len(rule["nodes"]), rule["nodes"][0]["html"][:150]) for rule in found]


def test_a_broken_page_is_found(open_page):
    page = open_page("demo/2025-Q4/glossary.html")
    broken = '<img src="data:,"><p style="color: #ccc">pale</p>'
    page.evaluate(
        "words => document.querySelector('main').insertAdjacentHTML('beforeend', words)", broken
    )
    assert {rule for rule, *_ in broken_rules(page, COLOURS)} == {"color-contrast"}
    assert {rule for rule, *_ in broken_rules(page, RULES)} == {"color-contrast", "image-alt"}


@pytest.mark.parametrize("name", PAGES)
def test_accessibility_rules_pass(name, open_page):
    page = open_page(name)
    # axe measures what is folded away once it is open
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert broken_rules(page, RULES) == []
    # in the dark and on paper the same elements have other colours
    page.emulate_media(color_scheme="dark")
    assert broken_rules(page, COLOURS) == []
    page.emulate_media(color_scheme="light", media="print")
    assert broken_rules(page, COLOURS) == []


@pytest.mark.parametrize("name", PAGES)
def test_phone_scrolls_tables_not_the_page(name, open_page):
    page = open_page(name, viewport={"width": 375, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    lines = "new Set([...document.querySelectorAll('.tabs li')].map(e => e.offsetTop)).size"
    assert page.evaluate(lines) <= 1, "tabs take several lines"


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_cut_on_a_desk(name, open_page):
    page = open_page(name, viewport={"width": 1200, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    boxes = "[...document.querySelectorAll('.wide, .output_html')]"
    assert (
        page.evaluate(
            f"{boxes}.filter(e => !e.closest('details:not([open])') && e.scrollWidth > e.clientWidth).length"
        )
        == 0
    )


@pytest.mark.parametrize(("width", "height"), [(1200, 900), (390, 844)])
def test_answer_and_figure_are_on_the_first_screen(width, height, open_page):
    page = open_page(PAGES[3], viewport={"width": width, "height": height})
    for seen in ("h1", "h1 + .so .sure", ".tile .run"):
        assert page.locator(seen).first.bounding_box()["y"] < height - 60, seen


def test_a_reader_of_the_screen_hears_the_answer_before_anything_else(open_page):
    page = open_page(PAGES[3])
    order = "[...document.querySelectorAll('main h1, main .tiles, main figure, main .findings, main nav, main h2')]"
    found = page.evaluate(f"{order}.map(e => e.tagName + (e.className && '.' + e.className))")
    assert found == ["H1", "DIV.tiles", "FIGURE", "UL.findings", "NAV", "H2"]


def test_every_link_of_the_index_opens(open_page, reports):
    page = open_page("index.html")
    links = page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)")
    assert len(links) > 10
    for link in links:
        path, _, anchor = link.partition("#")
        assert path.startswith(reports.as_uri())
        if anchor:
            assert page.locator(f"#{anchor}").count() == 1
        else:
            assert (reports / unquote(urlparse(path).path)).exists(), path


def test_contents_lead_to_headings_by_keyboard(open_page):
    page = open_page(PAGES[1])
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    # The browser follows the link after the key press has returned.
    page.wait_for_url(lambda url: url.endswith("#content"))
    assert page.evaluate("document.querySelector('#content') !== null")
    for link in page.locator("nav[aria-label=Contents] a").all():
        target = link.get_attribute("href").removeprefix("#")
        assert page.evaluate("id => document.getElementById(id) !== null", target)


def test_dark_mode_is_dark_and_print_shows_no_code(open_page):
    page = open_page(PAGES[1], color_scheme="dark")
    red = page.evaluate(
        "parseInt(getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0])"
    )
    assert red < 64
    page.emulate_media(media="print", color_scheme="light")
    assert not page.locator("details.code").first.is_visible()
    assert page.locator("#checks").is_visible()


def test_print_cuts_no_table(open_page):
    # A4 less its margins, in the pixels of a printer
    page = open_page(
        "demo/2025-Q4/1-answers/1-answers.html", viewport={"width": 688, "height": 1017}
    )
    page.emulate_media(media="print")
    wide = page.evaluate(
        "[...document.querySelectorAll('main table')].filter(t => !t.closest('details:not([open])'))"
        ".map(t => t.getBoundingClientRect().right)"
    )
    assert len(wide) > 4
    assert max(wide) <= 688
    boxes = "[...document.querySelectorAll('.output_html')].map(e => getComputedStyle(e).overflowX)"
    assert set(page.evaluate(boxes)) == {"visible"}
