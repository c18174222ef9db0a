"""Text from the data as written in every file and chart, and harmless in all of them."""

import csv
import json
import re
import zipfile

import openpyxl
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from pptx import Presentation

from cxlab import show
from cxlab.report import exports
from cxlab.report.runs import run_reports
from cxlab.report.text import printable, quote_formula, unquote_formula

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
        text = STUDY.format(label=json.dumps(label), south=json.dumps(south))
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
    assert "'=Boarding" in (folder / "tables/touchpoint-means.csv").read_text()
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
