"""Text from the data as written in every file and chart, and harmless in all of them."""

import csv
import io
import json
import re
import zipfile

import matplotlib.pyplot as plt
import openpyxl
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from matplotlib.font_manager import fontManager
from matplotlib.text import Text
from pptx import Presentation

from cxlab import plot_grid, plot_intervals, show
from cxlab.core.characters import printable, quote_formula, unquote_formula
from cxlab.report import exports
from cxlab.report.plots import style
from cxlab.report.plots.maps import MARKS
from tests.runs import run_reports, write_notebook

STUDY = """[study]
name = "labels"
title = "Labels"
main = "answers"
[scales.five]
range = [1, 5]
bins = {{ bottom = [1, 2], middle = [3, 3], top = [4, 5] }}
metrics = ["top box", "mean"]
[tables.answers]
label = "Answers"
file = "answers.csv"
[tables.answers.columns.id]
role = "id"
[tables.answers.columns.period]
role = "period"
[tables.answers.columns.overall]
role = "outcome"
label = "Overall"
scale = "five"
[tables.answers.columns.t1]
role = "touchpoint"
label = {label}
scale = "five"
[tables.answers.columns.t2]
role = "touchpoint"
label = "Check-in"
scale = "five"
[tables.answers.columns.seg]
role = "segment"
label = "Hall"
[tables.answers.columns.seg.values]
North = "North"
{south} = {south}
"""


@pytest.fixture
def study(tmp_path):
    """Writes a study of 400 answers with a label and a group of one's own."""

    def write(label="Boarding", south="South"):
        rows = ["id,period,overall,t1,t2,seg"]
        for i in range(400):
            t1, t2 = 1 + i % 5, 1 + (i // 5) % 5
            overall = min(5, max(1, (t1 + t2) // 2 + (i % 3 == 0)))
            rows.append(f"{i},2025-Q4,{overall},{t1},{t2},{south if i % 2 else 'North'}")
        (tmp_path / "answers.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
        names = {"label": label, "south": south}
        quoted = {k: json.dumps(v, ensure_ascii=False) for k, v in names.items()}
        text = STUDY.format(**quoted).replace("\x7f", "\\u007f")
        (tmp_path / "labels.study.toml").write_text(text, encoding="utf-8")
        return tmp_path / "labels.study.toml"

    return write


def report(study, notebook, *formats):
    run = run_reports(
        str(study), notebooks=[notebook], formats=formats, output=study.parent / "reports"
    )
    assert not run.failures, run.failures
    return run.pages[0].parent, run


# ---------------------------------------------------------------- spreadsheets


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1", "＝1", "'=1", "''@x",
     "=HYPERLINK(\"http://x\")", "-", "+49 30 1234", "-5 to 5", "=", "－1+1"],
)  # fmt: skip
def test_no_text_of_a_csv_file_begins_a_formula(text):
    quoted = quote_formula(text)
    assert text == "+1" or quoted == f"'{text}"
    assert unquote_formula(quoted) == text


@pytest.mark.parametrize(
    "kept", ["-4.47", "+1", "1e-5", "-.5", "’s", "'t Zand", "–", "a=b", "", -4.47, None, 3]
)
def test_numbers_and_words_stay_as_they_are(kept):
    assert quote_formula(kept) is kept


@given(st.text(st.sampled_from("'=+-@ \t\r\nax1.＝"), max_size=6))
def test_quoting_is_taken_back_exactly(text):
    assert unquote_formula(quote_formula(text)) == text


def test_recorded_tables_hold_quoted_text_and_bare_numbers(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CXLAB_RECORD", str(tmp_path))
    group = pd.Categorical(["=cmd|'/c calc'!A1", "-3"])
    table = pd.DataFrame(
        {"label": ["@SUM(1)", "Gates"], "group": group, "estimate": [-4.4700000000000001, 1 / 3],
         "n": pd.array([-2, None], dtype="Int64"), "=x": ["+a", None]}
    )  # fmt: skip
    show(table, name="risky")
    with (tmp_path / "risky.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["label", "group", "estimate", "n", "'=x"],
        ["'@SUM(1)", "'=cmd|'/c calc'!A1", "-4.47", "-2", "'+a"],
        ["Gates", "-3", "0.3333333333333333", "", ""],
    ]
    # JSON runs nothing, and says what the data say
    assert json.loads((tmp_path / "risky.json").read_text())[0]["label"] == "@SUM(1)"
    assert table["label"][0] == "@SUM(1)"


def test_a_workbook_has_the_text_as_written(study):
    folder, _ = report(study(label="=Boarding", south="@South"), "scorecard", "xlsx")
    assert "'=Boarding" in (folder / "tables/touchpoint-scores.csv").read_text()
    cells = [
        cell.value
        for sheet in openpyxl.load_workbook(folder / "2-scorecard.xlsx")
        for row in sheet.iter_rows()
        for cell in row
    ]
    assert "=Boarding" in cells
    assert "@South" in cells
    assert not [cell for cell in cells if str(cell).startswith("'")]


# ---------------------------------------------------------------- control characters


def test_a_control_character_is_a_blank_in_every_format(study):
    # the soft line break that PowerPoint pastes, and others that no XML takes
    path = study(label="Board\x1b[1m\x07ing\x7f", south="So\x0buth")
    folder, _ = report(path, "scorecard", "pptx", "xlsx")
    texts = {"html": (folder / "2-scorecard.html").read_text()}
    for kind in ("pptx", "xlsx"):
        with zipfile.ZipFile(folder / f"2-scorecard.{kind}") as package:
            parts = [package.read(n) for n in package.namelist() if n.endswith((".xml", ".rels"))]
        for content in parts:
            etree.fromstring(content)
        texts[kind] = b"".join(parts).decode()
    tables = (folder / "tables").glob("*.csv")
    texts["csv"] = b"".join(path.read_bytes() for path in tables).decode()
    for kind, text in texts.items():
        assert not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|x00(0B|1B|07|7F)_", text), kind
        assert "So uth" in text, kind
        assert "Board [1m ing" in text, kind


def test_printable_reaches_into_lists_and_mappings():
    assert printable([{"a\x00": ["\ud800", 1, None]}, "tab\tline\n"]) == [
        {"a ": [" ", 1, None]},
        "tab\tline\n",
    ]


# ---------------------------------------------------------------- a format that fails


def test_a_format_that_fails_is_named_and_takes_nothing_with_it(study, monkeypatch):
    def broken(folder, target):
        target.write_bytes(b"half")
        raise etree.XMLSyntaxError("PCDATA invalid Char value 11", 1, 1, 1)

    path = study()
    with monkeypatch.context() as patch:
        patch.setitem(exports.WRITERS, "pptx", broken)
        folder, run = report(path, "answers", "pptx", "xlsx")
    assert sorted(p.name for p in folder.glob("1-answers.*")) == [
        "1-answers.html", "1-answers.ipynb", "1-answers.xlsx"
    ]  # fmt: skip
    page = (folder / "1-answers.html").read_text()
    assert '<th scope="row">Format pptx</th><td>not made: XMLSyntaxError: PCDATA' in page
    assert 'href="1-answers.xlsx"' in page
    assert "1-answers.pptx" not in page
    assert str(run.outcomes[0]).endswith(
        "(without pptx: XMLSyntaxError: PCDATA invalid Char value 11 (line 1))"
    )
    # the next run makes what is missing, and forgets the failure
    folder, run = report(path, "answers", "pptx", "xlsx")
    assert run.outcomes[0].state == "unchanged"
    assert run.outcomes[0].cause == ""
    assert Presentation(folder / "1-answers.pptx").slides
    assert "not made" not in (folder / "1-answers.html").read_text()


def test_a_pdf_that_fails_leaves_the_page_without_a_link(study, monkeypatch):
    def broken(folder, target):
        raise OSError("Chromium printed no PDF")

    monkeypatch.setitem(exports.WRITERS, "pdf", broken)
    monkeypatch.setattr(exports, "check_browser", lambda: "chromium")
    folder, run = report(study(), "answers", "pdf", "xlsx")
    page = (folder / "1-answers.html").read_text()
    assert "not made: Chromium printed no PDF" in page
    assert 'href="1-answers.pdf"' not in page
    assert json.loads((folder / "manifest.json").read_text())["formats"] == ["xlsx"]


def test_a_full_disk_is_no_failure_of_a_format(tmp_path, monkeypatch):
    def full(folder, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(exports.WRITERS, "xlsx", full)
    with pytest.raises(OSError, match="No space"):
        exports.write_exports(tmp_path, "x", ["xlsx"])


# ---------------------------------------------------------------- charts

DOLLARS = "Value ($ paid vs $ worth)"
SOFT = "Bo\x0barding"
ROW = {
    "label": [DOLLARS, SOFT],
    "estimate": [0.4, 0.2],
    "ci_low": [0.3, 0.1],
    "ci_high": [0.5, 0.3],
}


def charts():
    """Every plot, with the two names in all places that text of the data can take."""
    import cxlab

    table = pd.DataFrame(ROW)
    mapped = table.assign(
        performance=3.0, performance_low=2.8, performance_high=3.2, importance_cut=0.2,
        performance_cut=3.5, verdict=list(MARKS)[:2],
    )  # fmt: skip
    beside = table.assign(
        touchpoint=table["label"], target=2.0, quadrant=[DOLLARS, SOFT], operational_mean=1.0,
        operational_low=0.9, operational_high=1.1, experience_mean=3.0, experience_low=2.0,
        experience_high=4.0,
    )  # fmt: skip
    control = pd.DataFrame({"period": [DOLLARS, SOFT], "estimate": [0.0, 9.0], "centre": 1.0,
                            "lower": -3.0, "upper": 5.0, "signal": ""})  # fmt: skip
    slopes = table.assign(penalty=0.2, penalty_low=0.1, penalty_high=0.3, reward=0.2,
                          reward_low=0.1, reward_high=0.3)  # fmt: skip
    parts = pd.DataFrame({"label": [DOLLARS, SOFT], DOLLARS: [1, 2], SOFT: [2, 1]})
    yield cxlab.plot_intervals(table, xlabel=DOLLARS)
    yield cxlab.plot_runs(table.rename(columns={"label": "period"}), ylabel=DOLLARS)
    yield cxlab.plot_runs(pd.concat([table.assign(period=p) for p in "ab"]))
    yield cxlab.plot_control_chart(control, ylabel=DOLLARS)
    yield cxlab.plot_driver_map(mapped)
    yield cxlab.plot_operation_map(beside)
    yield cxlab.plot_grid(table.assign(group=[SOFT, DOLLARS]), colour_label=DOLLARS)
    yield cxlab.plot_parts(parts, [DOLLARS, SOFT])
    yield cxlab.plot_ends(table.assign(floor=0.1, ceiling=0.2))
    yield cxlab.plot_waterfall(table.assign(kind="part", clear=True))
    yield cxlab.plot_penalty_reward(slopes)


def test_every_chart_draws_the_text_of_the_data_as_written():
    for axes in charts():
        figure = axes.get_figure()
        figure.savefig(io.BytesIO(), format="png")
        texts = [text for text in figure.findobj(Text) if text.get_text()]
        dollars = [text for text in texts if DOLLARS in text.get_text()]
        assert dollars
        assert not any(text.get_parse_math() for text in dollars)
        assert any("Bo arding" in text.get_text() for text in texts)
        assert not any("\x0b" in text.get_text() for text in texts)
        plt.close(figure)


def test_a_heat_map_takes_no_label_for_a_formula():
    # no formula that matplotlib could read: it stopped the scorecard
    labels = ["$\\frac$ of it", "$_$", "x_{$^$"]
    cells = [(row, column) for row in labels for column in labels]
    table = pd.DataFrame(cells, columns=["label", "group"]).assign(estimate=1.0)
    axes = plot_grid(table)
    axes.get_figure().savefig(io.BytesIO(), format="png")
    assert [text.get_text() for text in axes.get_yticklabels()] == labels
    assert [text.get_text() for text in axes.get_xticklabels()] == labels
    plt.close(axes.get_figure())


def forget_fonts():
    style._font.cache_clear()
    style._draws.cache_clear()


@pytest.fixture
def font(tmp_path):
    """A font with the glyphs of one label, under the name of one that people install."""
    glyphs = {ord(character): f"g{i}" for i, character in enumerate("清潔さ")}
    box = TTGlyphPen(None)
    for move, point in (("moveTo", (0, 0)), ("lineTo", (0, 800)), ("lineTo", (700, 800))):
        getattr(box, move)(point)
    box.closePath()
    names = [".notdef", *glyphs.values()]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap(glyphs)
    builder.setupGlyf(dict.fromkeys(names, box.glyph()))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (800, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Noto Sans CJK JP", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "made.ttf")
    before = list(fontManager.ttflist)
    # whatever this machine has installed
    fontManager.ttflist[:] = [one for one in before if one.name.startswith("DejaVu")]
    forget_fonts()
    yield lambda: fontManager.addfont(tmp_path / "made.ttf")
    fontManager.ttflist[:] = before
    forget_fonts()


def test_a_label_is_drawn_in_an_installed_font_that_has_it(font, capsys):
    table = pd.DataFrame(ROW).assign(label=["清潔さ", "Check-in"])
    show(plot_intervals(table), name="before", alt="Dots.")
    said = capsys.readouterr().out
    assert "The figure before cannot draw '清潔さ': no font on this machine has 清潔さ." in said
    font()
    axes = plot_intervals(table)
    assert axes.get_yticklabels()[0].get_fontfamily()[-1] == "Noto Sans CJK JP"
    # warnings of missing glyphs are errors here
    axes.get_figure().savefig(io.BytesIO(), format="png")
    show(axes, name="after", alt="Dots.")
    assert "cannot draw" not in capsys.readouterr().out


def test_a_report_names_the_label_that_it_cannot_draw(study):
    path = study(label="Tidy \U000118a0 🚻")
    cell = """import pandas as pd
from cxlab import load_study, plot_intervals, show
names = list(load_study(study).labels.values())
table = pd.DataFrame({"label": names, "estimate": 0.4, "ci_low": 0.1, "ci_high": 0.5})
show(plot_intervals(table), name="chart", alt="Dots.")"""
    folder, _ = report(path, str(write_notebook(path.parent, cell)))
    page = (folder / "9-trial.html").read_text()
    assert re.search(r"The figure [\w-]+ cannot draw 'Tidy .*no font on this machine has", page)
    assert "Glyph" not in page
    assert json.loads((folder / "manifest.json").read_text())["warnings"] == []
