"""Pages ask for nothing and run nothing, whatever a notebook displays."""

import html
import json
import random
import re

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, new_raw_cell

from cxlab.report.exports import QUIET, find_browser
from cxlab.report.index import write_index
from cxlab.report.page import DEPTH, DRAWN, POLICY, SHOWN, Cleaner, _refusal, render_page

HOME = "http://evil.example"
#: Displays that would fetch, run, send or lead away.
HOSTILE = [
    f"<style>@import url({HOME}/a.css);body{{background:url({HOME}/b.png)}}</style>",
    f'<p style="background:url({HOME}/c.png)">p</p>',
    f'<meta http-equiv="refresh" content="0;url={HOME}/d">',
    '<a href="java\tscript:alert(1)">tab</a><a href="vbscript:x">vb</a>',
    '<a href="&#1;javascript:alert(1)">control</a><a href="data:text/html,x">data</a>',
    f'<svg><image href="{HOME}/e.png" xlink:href="{HOME}/f.png"/><use href="{HOME}/g.svg#x"/>'
    '<animate attributeName="href" values="javascript:alert(1)"/></svg>',
    f'<video src="{HOME}/h.mp4" poster="{HOME}/h.png"></video><audio autoplay src="{HOME}/h.mp3"></audio>',
    f'<img srcset="{HOME}/i.png 1x" src="data:image/svg+xml,<svg/>"><img src="{HOME}/i2.png">',
    f'<picture><source srcset="{HOME}/i3.png"><img></picture>',
    f'<input type=image src="{HOME}/j.png"><button formaction="{HOME}/k">x</button>',
    f'<table background="{HOME}/l.png"></table><body background="{HOME}/l2.png">',
    f'<a ping="{HOME}/m" href="{HOME}/n">n</a><math href="javascript:alert(2)">m</math>',
    '<iframe srcdoc="<script>alert(1)</script>"></iframe><object data="x.svg"></object><embed src="x">',
    "<template><script>alert(3)</script></template><noscript><img src=x></noscript>",
    f'<link rel=stylesheet href="{HOME}/s.css"><link rel=prefetch href="{HOME}/s"><base href="{HOME}/">',
    f'<form action="{HOME}/t"><input autofocus onfocus="this.form.submit()"></form>',
    f'<svg><rect fill="url({HOME}/u.svg#a)" filter="url({HOME}/v.svg#a)" style="cursor:url({HOME}/w),auto"/></svg>',
    f"<style>p{{background:\\75rl({HOME}/x.png)}} q{{background:image-set('{HOME}/y.png' 1x)}}</style>",
    f"<style>@font-face{{font-family:z;src:url( '{HOME}/z.woff')}} *{{font-family:z}}</style>",
    # markup that a browser reads otherwise than a parser
    f'<!--><meta http-equiv="refresh" content="0;url={HOME}/1"><img src="{HOME}/1.png">-->',
    f'<!--a--!><meta http-equiv="refresh" content="0;url={HOME}/2"><img src="{HOME}/2.png">-->',
    f'<svg><style><img src="{HOME}/3.png"></style></svg>',
    f'<math><mtext><table><mglyph><style><!--</style><img title="--&gt;<img src={HOME}/4.png>">',
    f'<noscript><p title="</noscript><img src={HOME}/5.png>">',
    f'<?x ><img src="{HOME}/6.png">?>',
    f'<![CDATA[ ><img src="{HOME}/7.png"> ]]>',
    f'<xmp><img title="</xmp><img src={HOME}/8.png>"></xmp>',
    f'</div></main></body></html><img src="{HOME}/9.png">',
    f'<p title="\x00"><img src="{HOME}/10.png">',
    # nothing closes it, and the report goes on
    "<svg><svg><image><caption><desc><li>",
    "<details open ontoggle=alert(1)>",
    "<table><tr><td>",
    f'<plaintext><img src="{HOME}/11.png">',
]


def hostile_notebook():
    """Every display in a cell of its own, as HTML, Markdown and raw HTML; SVG and JavaScript too."""

    def shown(kind, text, **metadata):
        return new_code_cell(
            "1", outputs=[new_output("display_data", {kind: text}, metadata=metadata)]
        )

    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script><image href="{HOME}/s.png"/></svg>'
    cells = [new_markdown_cell(f"# Hostile\n\n![x]({HOME}/q.png) [y](javascript:alert(4))")]
    cells += [shown("text/html", piece) for piece in HOSTILE]
    cells += [shown("text/markdown", piece) for piece in HOSTILE]
    cells += [new_markdown_cell(piece) for piece in HOSTILE]
    cells += [
        new_raw_cell(HOSTILE[0], metadata={"raw_mimetype": "text/html"}),
        shown("text/html", HOSTILE[2], **{"text/html": {"isolated": True}}),
        shown("image/svg+xml", svg),
        shown("application/javascript", "alert(6)"),
        new_markdown_cell("## After it all"),
    ]
    return new_notebook(cells=cells)


REPORT = {"title": "t", "bar": "", "answer": "", "checks": [("Seed", "none used")], "style": ""}


@pytest.mark.skipif(not find_browser(), reason="Debian's chromium is not installed")
@pytest.mark.parametrize("scripts", [True, False], ids=["scripts run", "scripts off"])
def test_a_hostile_page_requests_nothing_in_chromium(tmp_path, scripts):
    sync_api = pytest.importorskip("playwright.sync_api", reason="the extra `browser` is missing")
    path = tmp_path / "page.html"
    path.write_text(render_page(hostile_notebook(), REPORT), encoding="utf-8")
    # lock by lock: what is left in the page asks for nothing where no policy forbids it
    unlocked = tmp_path / "unlocked.html"
    unlocked.write_text(re.sub(r"<meta http-equiv=\"Content-Sec[^>]*>", "", path.read_text()))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(QUIET))
        for one in (path, unlocked):
            page = browser.new_context(java_script_enabled=scripts).new_page()
            asked, problems = [], []
            page.on("request", lambda request, asked=asked: asked.append(request.url))
            page.on("console", lambda message, problems=problems: problems.append(message.text))
            page.on("dialog", lambda dialog, problems=problems: problems.append(dialog.message))
            page.goto(one.as_uri())
            page.wait_for_timeout(500)
            assert [url[:60] for url in asked if not url.startswith("data:")] == [one.as_uri()[:60]]
            assert problems == []
            assert page.locator("footer #checks").count() == 1
        browser.close()


def test_what_was_removed_is_named_in_the_checks_and_the_report_goes_on():
    page = render_page(hostile_notebook(), REPORT)
    policy = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert f'http-equiv="Content-Security-Policy" content="{policy}' in page
    row = re.search(r"Removed from displays</th><td>([^<]*)<", page)[1]
    for name in ("script", "iframe", "meta", "style that fetches", "link to javascript:",
                 "link to vbscript:", "img src", "video", "ontoggle", "image href"):  # fmt: skip
        assert re.search(rf"\b{name}( \(\d+\))?(,|$)", row), name
    assert ">After it all" in page
    assert "Removed from displays" not in render_page(new_notebook(), REPORT)


@pytest.mark.parametrize(
    "harmless",
    [
        '<p style="color:red" id="x">1 &lt; 2 &amp; <b>bold</b></p>',
        '<style type="text/css">#T_1 td{background-color:#fff;width:10em}</style>',
        '<a href="https://example.org/a?b=c">out</a><a href="#x">in</a><a href="tables/t.csv">file</a>',
        '<a href="mailto:a@b.c">mail</a><a href="a/b:c.csv">colon in a path</a>',
        '<svg viewbox="0 0 1 1"><defs><path id="a" d="M0 0"></path></defs><use href="#a"></use>'
        '<rect fill="url(#g)" clip-path="url( \'#c\' )"></rect></svg>',
        '<img src="data:image/png;base64,AAAA" alt="a">',
        "plain &lt;words&gt;",
        '<table border="1" class="dataframe"><tbody><tr><td>1</td></tr></tbody></table>',
    ],
)
def test_what_only_shows_something_stays_as_it_is(harmless):
    clean = Cleaner()
    assert clean(harmless) == harmless
    assert clean.sentence == ""


#: What parsers of HTML disagree about.
TOKENS = """\
<svg>|</svg>|<math>|</math>|<mtext>|<mglyph>|<style>|</style>|<title>|</title>|<desc>|<p>|
</p>|<table>|</table>|<tr>|<td>|<select>|<option>|<textarea>|</textarea>|<noscript>|
</noscript>|<template>|</template>|<!--|-->|--!>|<!-->|<![CDATA[|]]>|<?x|?>|
<img src=//e onerror=a>|<meta http-equiv=refresh content=0>|<script>|</script>|<a|title="|
title='|"|'|>|<|</|<xmp>|</xmp>|<plaintext>|<iframe>|</iframe>|<frameset>|<body onload=x>|
</body>|</html>|</div>|<div>|<foreignObject>|<image href=//e>|text|&lt;|&#60;img src=//e&#62;|
<details>|<summary>|<caption>|<col>|<head>|<base href=x>|<noframes>|<noembed>|</p x>|</br>|
<p/onclick=1>|<a href="x"onclick="y">|\x00|\x0c|=|/"""


@pytest.mark.parametrize("seed", range(400))
def test_a_browsers_parser_finds_nothing_else_in_it(seed):
    html5lib = pytest.importorskip("bleach._vendor.html5lib", reason="bleach has moved it")
    chosen = random.Random(seed).choices(TOKENS.replace("|\n", "|").split("|"), k=12)
    clean = Cleaner()("".join(chosen))
    whole = f"<div>{clean}</div><footer></footer>"
    tree = html5lib.parse(whole, treebuilder="etree", namespaceHTMLElements=False)
    elements = [(one.tag.rpartition("}")[2].casefold(), one) for one in tree.iter()]
    assert {tag for tag, _ in elements} <= SHOWN | DRAWN | {"html", "head", "body"}, chosen
    for tag, element in elements:
        for name, value in element.attrib.items():
            assert not _refusal(tag, name.rpartition("}")[2], value), chosen
    # it ends where it should
    assert [child.tag for child in tree.find("body")][-1] == "footer", chosen


def test_displays_nested_without_end_do_not_cut_the_page_short():
    deep = new_output("display_data", {"text/html": "<div>" * 5000 + "deep"})
    cells = [new_code_cell("1", outputs=[deep]), new_markdown_cell("## After")]
    page = render_page(new_notebook(cells=cells), REPORT)
    assert ">After" in page
    assert "elements nested too deep" in page
    assert page.count("<div>") < DEPTH + 10


def test_control_characters_of_any_display_leave_the_page_whole():
    text = "a\x00b\x0bc\x1b[31md\x9be\ufffff"
    outputs = [new_output("stream", name="stdout", text=text),
               new_output("display_data", {"text/html": f"<p>{text}</p>", "text/plain": text})]  # fmt: skip
    cells = [new_markdown_cell(f"# T\x0bitle {text}"), new_code_cell(f"'{text}'", outputs=outputs)]
    page = render_page(new_notebook(cells=cells), REPORT)
    assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\uffff]", page)
    assert 'id="checks"' in page


def test_the_index_has_the_same_policy_and_no_control_characters(tmp_path):
    page = write_index(tmp_path).read_text()
    assert POLICY in html.unescape(page)
    record = {"notebook": "x", "cell": 1, "cause": "a\x1b[2Jb\x00", "started": "", "when": "", "study": "s\x07",
              "period": "", "selection": ""}  # fmt: skip
    failed = tmp_path / "s/all-periods/failed/x"
    failed.mkdir(parents=True)
    (failed / "failure.json").write_text(json.dumps(record))
    page = write_index(tmp_path).read_text()
    assert "a [2Jb" in page
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", page)
