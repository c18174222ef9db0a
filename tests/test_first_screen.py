"""What a reader sees first: the answer of a report, and the way to the other reports."""

import json
import shutil
from urllib.parse import unquote

import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output, writes

from cxlab.core.findings import HOW_SURE, Finding, Findings
from cxlab.report.answer import answer_html
from cxlab.report.build import finish_report
from cxlab.report.index import link_reports, state_of, write_index
from cxlab.report.notebooks import report_notebooks
from cxlab.report.page import refresh_page
from cxlab.report.records import read_manifest, spoilt_files
from tests.test_answer import TOLD, tiles_of

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def write_report(
    reports, name="3-drivers", *, period="2025-Q4", selection="", findings=TOLD, tiles=None, **lines
):
    """A report as a run writes it, but for the kernel."""
    folder = reports / "demo" / period / selection.replace(" = ", "-") / name
    (folder / "tables").mkdir(parents=True)
    outputs = [new_output("stream", name="stderr", text="A warning.\n")]
    if findings:
        text = json.dumps(findings.as_records())
        (folder / "tables/findings.json").write_text(text)
        outputs += [
            new_output("display_data", {"text/html": answer_html(findings), "text/plain": "x"}),
            new_output("display_data", {"image/png": PNG, "text/plain": "Figure answer: y"},
                       metadata={"image/png": {"alt": "A map. The target is missed."}}),
        ]  # fmt: skip
    if tiles is not None:
        tiles.to_json(folder / "tables/tiles.json", orient="records")
    book = new_notebook(
        cells=[
            new_markdown_cell("# What drives <it>?\n\nTwo sentences."),
            new_code_cell("show_answer(findings)", outputs=outputs),
            new_markdown_cell("## All of them"),
        ],
        metadata={"cxlab": {"tab": name.partition("-")[2].capitalize()}},
    )
    (folder / f"{name}.ipynb").write_text(writes(book))
    manifest = {
        "schema": 4, "notebook": {"name": f"{name}.ipynb", "sha256": ""}, "study": "demo",
        "study_title": "Demo programme", "about": "From a fixed seed.", "simulated": True,
        "period": period, "selection": selection, "rows": 1426, "started": "", "ended": "",
        "parameters": {}, "inputs": [], "packages": {}, "python": "", "formats": [],
        "git": {"commit": None, "clean": None}, **lines,
    }  # fmt: skip
    finish_report(folder, book, manifest)
    return folder / f"{name}.html"


def read(page):
    return BeautifulSoup(page.read_text(), "html.parser")


def tabs_of(page):
    """Words of the other reports to where their links lead, if that is there."""
    links = read(page).select("nav.tabs a")
    return {
        link.get_text(): (page.parent / unquote(link["href"])).resolve().name
        for link in links
        if (page.parent / unquote(link["href"])).exists()
    }


class TestAnswer:
    def test_is_the_only_top_heading_and_comes_before_any_other(self, tmp_path):
        page = read(write_report(tmp_path))
        assert [one.get_text() for one in page.find_all("h1")] == ["The target is missed"]
        assert page.find(["h1", "h2", "h3"]).name == "h1"
        assert page.find(class_="question").get_text() == "What drives <it>?"

    def test_is_followed_by_its_certainty_and_what_follows_from_it(self, tmp_path):
        page = read(write_report(tmp_path))
        sure = page.h1.find_next_sibling().get_text(" ", strip=True)
        assert sure == "● Clear, unfavourable"
        assert "Staff <counts> most" in page.get_text()
        assert page.find(class_="key").get_text() == f"How sure. {HOW_SURE}"

    def test_explains_no_words_that_it_does_not_use(self, tmp_path):
        counted = Findings((Finding(kind="answer", text="426 answers"),))
        assert read(write_report(tmp_path, findings=counted)).find(class_="key") is None

    def test_is_not_repeated_below_but_its_code_is_there(self, tmp_path):
        page = read(write_report(tmp_path))
        assert page.get_text().count("May be halo") == 1
        assert len(page.find_all("img")) == 1
        assert "show_answer" in page.find("details", class_="code").get_text()
        assert "A warning." in page.find("details", class_="warnings").get_text()

    def test_has_its_figure_beside_it_with_the_answer_as_its_alt_text(self, tmp_path):
        page = read(write_report(tmp_path))
        assert page.find(class_="two").img["alt"] == "A map. The target is missed."

    def test_has_tiles_above_the_findings(self, tmp_path):
        page = read(write_report(tmp_path, tiles=tiles_of()))
        assert page.find(class_="tile").find(class_="big").get_text() == "−5"
        assert page.find(class_="tiles").find_next(class_="findings")

    def test_of_several_outcomes_stand_below_one_another(self, tmp_path):
        answers = [Finding(kind="answer", text=text, certainty="likely") for text in ("A", "B")]
        page = read(write_report(tmp_path, findings=Findings(tuple(answers))))
        assert page.h1.get_text() == "A"
        assert page.find(class_="also").get_text(" ", strip=True) == "B ◐ Likely"

    def test_stands_beside_a_comment_that_is_escaped(self, tmp_path):
        page = write_report(tmp_path, parameters={"comment": "Strikes & <b>snow"})
        assert read(page).find(class_="comment").get_text() == "Comment. Strikes & <b>snow"
        assert not read(write_report(tmp_path / "x")).find(class_="comment")

    def test_of_a_notebook_without_one_is_its_question(self, tmp_path):
        page = read(write_report(tmp_path, findings=None))
        assert [one.get_text() for one in page.find_all("h1")] == ["What drives <it>?"]
        assert not page.find(class_="key")
        assert "Two sentences." in page.get_text()

    def test_that_is_spoilt_takes_nothing_else_with_it(self, tmp_path):
        page = write_report(tmp_path)
        (page.parent / "tables/findings.json").write_text("[")
        manifest = read_manifest(page.parent)
        soup = read(refresh_page(page.parent, manifest))
        assert soup.h1.get_text() == "What drives <it>?"
        # what the cell displayed stays
        assert "May be halo" in soup.get_text()


class TestBar:
    def test_says_what_the_report_is_of(self, tmp_path):
        bar = read(write_report(tmp_path, selection="region = North")).find(class_="top")
        told = bar.get_text(" ", strip=True)
        assert told == (
            "Demo programme 2025-Q4, region = North 1,426 answers SIMULATED: no real customers"
        )

    def test_a_report_of_all_periods_and_everyone_says_so(self, tmp_path):
        bar = read(write_report(tmp_path, period="", rows=None, simulated=False)).find(class_="top")
        assert bar.get_text(" ", strip=True) == "Demo programme all periods, everyone"

    def test_leads_to_the_reports_of_the_set_that_are_there(self, tmp_path):
        page, other = write_report(tmp_path), write_report(tmp_path, "2-scorecard")
        write_index(tmp_path)
        link_reports(tmp_path)
        assert tabs_of(page) == {"Overview": "index.html", "Scorecard": "2-scorecard.html"}
        assert read(page).find(attrs={"aria-current": "page"}).get_text() == "Drivers"
        assert tabs_of(other) == {"Overview": "index.html", "Drivers": "3-drivers.html"}

    def test_the_tenth_notebook_follows_the_ninth(self, tmp_path):
        page = write_report(tmp_path)
        for name in ("10-teams", "9-verbatims", "2-scorecard"):
            write_report(tmp_path, name)
        index = write_index(tmp_path)
        link_reports(tmp_path)
        assert list(tabs_of(page))[1:] == ["Scorecard", "Verbatims", "Teams"]
        listed = [
            unquote(link["href"]).split("/")[-1].removesuffix(".html")
            for link in read(index).select("main a")
        ]
        order = ["2-scorecard", "3-drivers", "9-verbatims", "10-teams"]
        assert [name for name in dict.fromkeys(listed) if name in order] == order
        numbers = [int(name.split("-")[0]) for name in report_notebooks()]
        assert numbers == sorted(numbers)

    def test_is_true_again_when_reports_have_come_and_gone(self, tmp_path):
        page, other = write_report(tmp_path), write_report(tmp_path, "2-scorecard")
        link_reports(tmp_path)
        shutil.rmtree(other.parent)
        write_report(tmp_path, "6-tracking")
        link_reports(tmp_path)
        assert tabs_of(page) == {"Tracking": "6-tracking.html"}
        assert len(read(page).select("nav.tabs a")) == 2

    def test_holds_when_the_set_is_moved(self, tmp_path):
        page, other = write_report(tmp_path), write_report(tmp_path, "2-scorecard")
        link_reports(tmp_path)
        (tmp_path / "elsewhere").mkdir()
        shutil.move(page.parents[1], tmp_path / "elsewhere/Q4")
        assert tabs_of(tmp_path / "elsewhere/Q4/3-drivers/3-drivers.html") == {
            "Scorecard": "2-scorecard.html"
        }
        assert not other.exists()

    def test_leads_to_the_same_report_of_the_period_before(self, tmp_path):
        page = write_report(tmp_path, selection="region = North")
        for period in ("2025-Q1", "2025-Q3", "2026-Q1"):
            write_report(tmp_path, selection="region = North", period=period)
        write_report(tmp_path, period="2025-Q2")
        link_reports(tmp_path)
        link = read(page).select_one(".files a")
        assert link.get_text() == "← 2025-Q3"
        there = page.parent / unquote(link["href"])
        assert (
            there.resolve()
            == (tmp_path / "demo/2025-Q3/region-North/3-drivers/3-drivers.html").resolve()
        )
        assert read(tmp_path / "demo/2025-Q2/3-drivers/3-drivers.html").select_one(".files") is None

    def test_groups_have_tabs_of_their_own(self, tmp_path):
        page = write_report(tmp_path, selection="region = North")
        write_report(tmp_path, "2-scorecard")
        link_reports(tmp_path)
        assert tabs_of(page) == {}

    def test_leaves_everything_else_of_the_report_as_it_was(self, tmp_path):
        page = write_report(tmp_path)
        before = page.read_text()
        write_report(tmp_path, "2-scorecard")
        link_reports(tmp_path)
        manifest = read_manifest(page.parent)
        assert list(spoilt_files(page.parent, manifest)) == []
        assert page.read_text() != before
        linked = page.read_text()
        assert refresh_page(page.parent, manifest).read_text() == linked
        assert linked.partition("<!--/bar-->")[2] == before.partition("<!--/bar-->")[2]

    def test_a_page_that_somebody_has_changed_is_not_sealed_again(self, tmp_path):
        page = write_report(tmp_path)
        page.write_text(page.read_text().replace("missed", "met"))
        write_report(tmp_path, "2-scorecard")
        link_reports(tmp_path)
        assert page.name in list(spoilt_files(page.parent, read_manifest(page.parent)))
        assert tabs_of(page) == {}

    @pytest.mark.parametrize("name", ["9-what's & <new>", "9-ünï 100%"])
    def test_odd_names_are_links_all_the_same(self, tmp_path, name):
        page = write_report(tmp_path)
        write_report(tmp_path, name)
        link_reports(tmp_path)
        assert list(tabs_of(page).values()) == [f"{name}.html"]

    def test_names_further_formats_in_readers_words(self, tmp_path):
        page = write_report(tmp_path, formats=["xlsx"], findings=None)
        assert [link.get_text() for link in read(page).select(".files a")] == ["Excel"]
        assert pd.ExcelFile(page.with_suffix(".xlsx"))


def said(text, rule="", **fields):
    """Findings of an answer, and of what follows it, which is about the same."""
    about = fields.get("subject", "")
    more = [
        Finding(text=other, rule=name, subject=about if "still hold" in other else "")
        for other, name in fields.pop("more", {}).items()
    ]
    return Findings((Finding(kind="answer", text=text, rule=rule, **fields), *more))


MISSED = said("Both targets are missed: NPS is −5; ease is 3", "targets missed", family_size=2)
MET = said("The target is met: NPS is 35 against 30", "targets met", family_size=1)
LOOK = said("Look first at Staff: it counts more", "look first", more={"Half a point": "what if"})
MAY = said("Staff may be the place to look first; not settled", "may be")
FELL = said("NPS fell by 9 points in a year; more", "headline-changed", subject="NPS")


class TestState:
    @pytest.mark.parametrize(
        ("reports", "state", "follows"),
        [
            ({"scorecard": MISSED}, "Both targets are missed", []),
            ({"scorecard": MISSED, "drivers": LOOK}, "Both targets are missed. Look first at Staff", []),
            # the driver is of another outcome than the one whose target is missed
            ({"scorecard": MISSED, "drivers": MAY}, "Both targets are missed", [MAY.answer.text]),
            ({"scorecard": MET, "drivers": MAY},
             "The target is met: NPS is 35 against 30. Staff may be the place to look first; not settled", []),
            ({"tracking": FELL, "scorecard": MISSED},
             "NPS fell by 9 points in a year. Both targets are missed", []),
            ({"tracking": said("Carried from Q3: WiFi fell; no more", "carried"), "scorecard": MISSED},
             "Both targets are missed", ["Carried from Q3: WiFi fell"]),
            ({"tracking": said("NPS fell by 9 points", "headline-changed", subject="NPS",
                               more={"Of the changes shown in Q3: NPS still holds": "carried"}),
              "scorecard": MET}, MET.answer.text, ["NPS fell by 9 points"]),
            ({"tracking": said("NPS fell by 9 points", "change-in-a-year", subject="NPS",
                               more={"Of the changes shown in Q3: NPS went the other way since": "carried"}),
              "scorecard": MET}, f"NPS fell by 9 points. {MET.answer.text}", []),
            ({"tracking": said("Nothing is shown to have changed since Q3; a true change", "nothing-shown")},
             "", ["Nothing is shown to have changed since Q3"]),
            ({"touchpoints": MET}, "", []),
            ({}, "", []),
        ],
    )  # fmt: skip
    def test_new_changes_lead_then_targets_then_where_to_look(self, reports, state, follows):
        assert state_of(reports) == (state, follows)


class TestIndex:
    def test_begins_with_the_state_and_has_each_answer_with_its_certainty(self, tmp_path):
        write_report(tmp_path, "2-scorecard", findings=MISSED, tiles=tiles_of())
        write_report(tmp_path, "3-drivers", findings=LOOK)
        page = read(write_index(tmp_path))
        assert page.h1.get_text() == "Both targets are missed. Look first at Staff"
        assert page.find(["h1", "h2"]).name == "h1"
        assert page.find(class_="tile").img["alt"].startswith("NPS by period")
        answers = [one.get_text() for one in page.select(".report strong")]
        assert answers == [MISSED.answer.text, LOOK.answer.text]
        assert page.find(class_="top").get_text(" ", strip=True) == (
            "Demo programme 2025-Q4, everyone 1,426 answers SIMULATED: no real customers"
        )

    def test_shows_the_newest_period_and_folds_the_others(self, tmp_path):
        write_report(tmp_path, "2-scorecard", findings=MET, period="2025-Q10")
        write_report(tmp_path, "2-scorecard", findings=MISSED, period="2025-Q9")
        write_report(tmp_path, "2-scorecard", findings=MISSED, period="")
        write_report(tmp_path, "2-scorecard", findings=MISSED, period="2025-Q10", selection="a = b")
        page = read(write_index(tmp_path))
        assert page.h1.get_text() == MET.answer.text
        assert page.h2.get_text() == "2025-Q10, everyone"
        folded = [one.get_text() for one in page.select(".card > details > summary")]
        assert folded == ["2025-Q10, a = b, 1 report", "2025-Q9, everyone, 1 report",
                          "all periods, everyone, 1 report"]  # fmt: skip

    def test_lists_reports_without_findings_by_their_question(self, tmp_path):
        write_report(tmp_path, findings=None, warnings=[])
        page = read(write_index(tmp_path))
        assert page.h1.get_text() == "Demo programme"
        assert page.select_one(".report strong").get_text() == "What drives <it>?"

    def test_every_link_leads_to_a_file(self, tmp_path):
        write_report(
            tmp_path, "9-what's & <new>", tiles=tiles_of(), formats=["xlsx"], findings=TOLD
        )
        (tmp_path / "demo/2025-Q4/9-what's & <new>/tables/tiles.csv").write_text("n\n")
        links = read(write_index(tmp_path)).select("main a")
        assert len(links) >= 2
        assert all((tmp_path / unquote(link["href"])).is_file() for link in links)
