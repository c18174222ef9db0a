"""The answer of a report as a notebook shows and records it."""

import json
import math
import re

import matplotlib.pyplot as plt
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import output_from_msg

from cxlab import show, show_answer
from cxlab.core.findings import HOW_SURE, Finding, Findings
from cxlab.report import answer
from cxlab.report.answer import (
    TILE_COLUMNS,
    answer_html,
    each_tile,
    read_findings,
    read_tiles,
    run_drawing,
)
from cxlab.report.show import RECORD_VARIABLE, was_shown

ANSWER = Finding(kind="answer", text="The target is missed", certainty="clear", direction="bad")
TOLD = Findings(
    (
        ANSWER,
        Finding(kind="so what", text="Staff <counts> most"),
        Finding(text="Staff: 17 % (13 to 20) of it", certainty="likely", detail="n = 395"),
        Finding(text="WiFi", certainty="not settled"),
        Finding(kind="caution", text="May be halo"),
    )
)


def tiles_of(estimates=(11.0, math.nan, -4.52), **last):
    """One tile of several periods."""
    row = {"label": "Recommend", "title": "NPS", "n": 420, "unit": "points", "target": 30.0,
           "attained": "no", "note": "No change shown."}  # fmt: skip
    run = pd.DataFrame([row | {"period": f"Q{i}", "estimate": x, "ci_low": x - 8, "ci_high": x + 8}
                        for i, x in enumerate(estimates, 1)])  # fmt: skip
    for name, value in last.items():
        run.loc[run.index[-1], name] = value
    return run[list(TILE_COLUMNS)]


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path))
    return tmp_path


@pytest.fixture
def displayed(monkeypatch):
    """What is displayed, in order."""
    found = []
    monkeypatch.setattr(answer, "display", found.append)
    monkeypatch.setattr("cxlab.report.show.display", found.append)
    return found


def test_findings_are_recorded_as_they_are_read_again(recorded, capsys):
    show_answer(TOLD)
    records = json.loads((recorded / "findings.json").read_text())
    assert Findings.from_records(records).as_records() == TOLD.as_records()
    assert "The target is missed [clear]\n" in capsys.readouterr().out
    assert [path.name for path in recorded.iterdir()] == ["findings.json"]


def test_what_was_recorded_is_read_for_page_and_index(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(RECORD_VARIABLE, str(tmp_path / "tables"))
    show_answer(TOLD, tiles=tiles_of(target=math.nan))
    assert read_findings(tmp_path).as_records() == TOLD.as_records()
    pd.testing.assert_frame_equal(
        read_tiles(tmp_path), tiles_of(target=math.nan), check_dtype=False
    )


@pytest.mark.parametrize(
    "spoilt",
    ["", "{", "[]", "7", '[{"text": 3}]', '[{"txet": "x"}]', '[{"text": "x", "cells": 1}]'],
)
def test_spoilt_findings_are_none(tmp_path, spoilt):
    assert read_findings(tmp_path) is None
    (tmp_path / "tables").mkdir()
    for name in ("findings", "tiles"):
        (tmp_path / "tables" / f"{name}.json").write_text(spoilt)
    assert read_findings(tmp_path) is None
    assert read_tiles(tmp_path) is None


def test_tiles_are_recorded_as_a_table(recorded, capsys):
    show_answer(TOLD, tiles=tiles_of())
    rows = json.loads((recorded / "tiles.json").read_text())
    assert [row["estimate"] for row in rows] == [11.0, None, -4.52]


def test_a_report_has_one_answer_and_no_table_takes_its_name(recorded, capsys):
    show_answer(TOLD)
    with pytest.raises(ValueError, match="`show_answer` must be called once"):
        show_answer(TOLD)
    with pytest.raises(ValueError, match="`name` must be used once in a report; got 'findings'"):
        show(pd.DataFrame({"n": [1]}), name="findings")


def test_nothing_is_recorded_without_a_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv(RECORD_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    show_answer(TOLD, tiles=tiles_of())
    assert list(tmp_path.iterdir()) == []


def test_the_figure_says_the_answer_to_those_who_do_not_see_it(displayed):
    axes = plt.figure().subplots()
    axes.plot([1, 2])
    show_answer(TOLD, axes, alt="A line.")
    _, figure = displayed
    assert figure.metadata == {"image/png": {"alt": "A line. The target is missed."}}
    assert "image/png" in figure.rich


def test_a_figure_without_alt_text_is_refused_before_anything_is_shown(recorded, displayed):
    with pytest.raises(ValueError, match="`alt` must say in words what the answer's figure shows"):
        show_answer(TOLD, plt.figure().subplots())
    assert displayed == []
    assert list(recorded.iterdir()) == []
    plt.close("all")


def test_what_is_no_finding_is_refused():
    with pytest.raises(TypeError, match=r"`findings` must be those of a result; got DataFrame"):
        show_answer(pd.DataFrame())


def test_tiles_without_a_column_are_refused():
    with pytest.raises(ValueError, match="`tiles` must have the columns .*; got none named target"):
        show_answer(TOLD, tiles=tiles_of().drop(columns="target"))


def test_a_part_that_nobody_planned_is_at_most_likely(recorded, displayed):
    show_answer(TOLD, explored=True)
    records = json.loads((recorded / "findings.json").read_text())
    assert [one["certainty"] for one in records if one["text"] == ANSWER.text] == ["likely"]
    assert "explored, not planned" in str(displayed[0])


class TestHtml:
    def test_nothing_is_in_it_that_jupyterlab_strips(self):
        soup = BeautifulSoup(answer_html(TOLD, tiles_of()), "html.parser")
        assert not soup.find_all(["svg", "style", "script", "h1"])
        assert all(one["src"].startswith("data:image/svg+xml;base64,") for one in soup("img"))

    def test_certainty_is_a_word_and_a_shape(self):
        soup = BeautifulSoup(answer_html(TOLD), "html.parser")
        marks = [mark.get_text(" ", strip=True) for mark in soup.find_all(class_="sure")]
        assert marks == ["● Clear, unfavourable", "◐ Likely", "○ Not settled", "▲ Caution"]
        assert all(mark["aria-hidden"] == "true" for mark in soup("i"))

    def test_what_is_measured_has_no_word(self):
        measured = Findings((Finding(kind="answer", text="NPS is −5 (−12 to 3)"),))
        soup = BeautifulSoup(answer_html(measured), "html.parser")
        assert soup.find(class_="sure").get_text() == ""

    def test_intervals_are_grey_and_in_one_piece(self):
        soup = BeautifulSoup(answer_html(TOLD), "html.parser")
        (interval,) = soup.find_all(class_="ci")
        assert interval.get_text() == "(13\xa0to\xa020)"
        assert "color" in interval["style"]

    def test_text_of_the_study_is_escaped(self):
        assert "Staff &lt;counts&gt; most" in answer_html(TOLD)

    def test_certainty_is_explained_in_the_words_of_the_plan(self):
        assert BeautifulSoup(answer_html(TOLD), "html.parser").get_text().endswith(HOW_SURE)

    def test_where_nothing_was_compared_no_word_is_explained(self):
        measured = Findings((Finding(kind="answer", text="426 answers"),))
        assert measured.how_sure == ""
        text = BeautifulSoup(answer_html(measured), "html.parser").get_text()
        assert text.strip() == "426 answers"

    def test_a_page_counts_it_among_what_was_shown(self):
        message = {"msg_type": "display_data", "metadata": {}}
        content = {"data": {"text/html": answer_html(TOLD)}, "metadata": {}}
        output = output_from_msg({"header": message, "content": content})
        assert was_shown(output)


class TestTiles:
    def test_number_interval_and_target(self):
        soup = BeautifulSoup(each_tile(tiles_of())[0], "html.parser")
        assert soup.find(class_="big").get_text() == "−5"
        assert soup.find(class_="ci").get_text() == "95 % interval −13 to 3 · n = 420"
        assert soup.find(class_="bad").get_text() == "Target 30: missed."
        assert soup.img["alt"] == "NPS by period: Q1 11, Q3 −5"
        assert soup.get_text().endswith("No change shown.")

    @pytest.mark.parametrize(
        ("last", "told"),
        [
            ({"attained": "yes"}, "Target 30: met."),
            ({"attained": "undecided", "target": 2.0}, "Target 2: not settled."),
            (
                {"attained": "undecided"},
                "Target 30: not settled by intervals that hold all targets at once.",
            ),
            ({"target": math.nan, "attained": ""}, "No target set."),
            ({"unit": "%", "target": 62.5}, "Target 62.5 %: missed."),
        ],
    )
    def test_every_state_of_a_target_is_told(self, last, told):
        soup = BeautifulSoup(each_tile(tiles_of(**last))[0], "html.parser")
        assert soup.find(class_="target").get_text() == told

    def test_a_hidden_number_is_not_drawn(self):
        tile = each_tile(tiles_of(estimate=math.nan, note="hidden: fewer than 10 answers"))[0]
        assert "hidden: fewer than 10 answers" in tile
        assert "<img" not in tile

    def test_three_stand_side_by_side(self):
        four = pd.concat([tiles_of().assign(label=name) for name in "abcd"])
        assert [re.search("<b>(.)", tile)[1] for tile in each_tile(four)] == ["a", "b", "c"]

    def test_the_run_leaves_a_hidden_period_its_place(self):
        drawing = BeautifulSoup(run_drawing(tiles_of()), "xml")
        points = drawing.polyline["points"].split()
        assert [float(point.split(",")[0]) for point in points] == [6.0, 294.0]
        middle = run_drawing(tiles_of((11.0, 5.0, -4.52)))
        assert len(BeautifulSoup(middle, "xml").polyline["points"].split()) == 3

    def test_the_target_line_is_at_its_height(self):
        level = float(BeautifulSoup(run_drawing(tiles_of()), "xml").line["y1"])
        assert level == 6.0  # above every interval
        assert BeautifulSoup(run_drawing(tiles_of(target=math.nan)), "xml").line is None

    def test_one_period_is_a_dot_in_the_middle(self):
        dot = BeautifulSoup(run_drawing(tiles_of((3.0,))), "xml").circle
        assert float(dot["cx"]) == 150.0
