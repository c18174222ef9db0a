"""What a reader sees of comments: the answer, quotes that give nobody away, what a machine finds."""

from __future__ import annotations

import importlib.util
import re
import shutil
from dataclasses import replace

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from benchmarks.simulate.comments import draw_comments
from cxlab.core.metric import Metric, nps_metric
from cxlab.report.build import build_report
from cxlab.report.notebooks import notebooks_folder, read_needs, unmet
from cxlab.stats.verbatims import (
    code_comments,
    find_themes,
    people_codes,
    study_verbatims,
    theme_changes,
    theme_scores,
    theme_sentiment,
    typical_quotes,
)
from cxlab.stats.verbatims.findings import doubtful_comments
from cxlab.stats.verbatims.quotes import NO_QUOTE, _Words, sentences_of
from cxlab.survey.datasets import data_folder
from cxlab.survey.definition import Theme
from cxlab.survey.study import load_study
from tests.unfounded import unfounded


@pytest.fixture(scope="module")
def demo():
    return study_verbatims(load_study("demo"), period="2025-Q4")


def recorded(said):
    return {"themes": said.table, "commenters": said.who, "theme-changes": said.changes}


def test_the_answer_names_themes_and_what_the_machine_would_have_missed(demo):
    findings = demo.findings()
    assert re.match("Three themes go with a lower NPS beyond chance: ", findings.answer.text)
    assert "Machine codes alone would have missed General praise" in findings.answer.text
    assert findings.answer.certainty == "clear"
    assert findings.answer.detail.startswith(
        "corrected with 670 hand-coded comments, 530 of them lent"
    )
    assert unfounded(findings, recorded(demo), words=["2025-Q3"]) == []
    clear = [one for one in findings if one.rule == "theme"]
    assert all(len(re.findall("“", one.detail)) == 2 for one in clear)


def test_a_mean_reads_as_plain_english(demo):
    metric = Metric("recommend", "mean", scale=(0, 10))
    plain = theme_scores(
        demo.answers, demo.themes, score=metric, hand=demo.hand, row="response_id", by="period",
        groups=["2025-Q4"],
    )  # fmt: skip
    said = [one.text for one in plain.findings(who=demo.who, period="2025-Q4")]
    assert "go with a lower mean score (of 10) beyond chance" in said[0]
    assert not any("Mean, of" in one for one in said)


def test_without_hand_codes_there_is_no_gap_no_figure_and_no_certainty(demo):
    plain = theme_scores(demo.answers, demo.themes, score=nps_metric("recommend"))
    assert plain.gaps().empty
    findings = plain.findings(who=demo.who)
    assert findings.answer.certainty == "measured"
    assert findings.answer.text.endswith(
        "what goes with NPS is not known: not corrected by hand codes"
    )
    assert findings.of_kind("caution")[0].text.startswith("Machine codes, not corrected")
    tables = {"themes": plain.wide(), "commenters": demo.who}
    assert unfounded(findings, tables) == []


def test_doubts_of_the_codes_never_hide_that_a_gap_is_no_effect(demo):
    notes = (
        "Coders agree too little (α below 0.667) on: WiFi.",
        "The machine's errors differ from those of earlier periods on: Signs.",
    )
    doubted = replace(demo.scores, notes=notes)
    doubt, association = (one.text for one in doubted.findings(who=demo.who).of_kind("caution"))
    assert "WiFi. The machine's errors" in doubt
    assert association.endswith("what would be gained")


def test_nothing_shown_is_said(demo):
    nothing = replace(demo.scores, table=demo.scores.table.assign(p_adjusted=0.5, machine_p=0.5))
    findings = nothing.findings(who=demo.who, period="2025-Q4")
    assert findings.answer.text.startswith("No theme is shown to go with a lower or higher NPS")
    assert findings.answer.text.endswith("would have named the same")
    assert findings.answer.certainty == "not settled"


def test_contacts_of_accounts_are_quoted_only_if_asked(demo, tmp_path):
    shutil.copytree(data_folder() / "demo", tmp_path / "firms")
    path = tmp_path / "firms" / "study.toml"
    named = 'role = "cluster"\nlabel = "Customer"\nspans_periods = true\n'
    path.write_text(path.read_text().replace(named, 'role = "account"\n', 1))
    firms = load_study(path)
    assert len(demo.quotes)
    assert study_verbatims(firms, period="2025-Q4").quotes.empty
    assert len(study_verbatims(firms, period="2025-Q4", quotes=True).quotes)


def test_the_words_of_one_customer_who_answers_often_are_not_quoted(tmp_path):
    shutil.copytree(data_folder() / "demo", tmp_path / "often")
    path = tmp_path / "often" / "comments.csv"
    comments = pd.read_csv(path, dtype=str)
    said = comments.columns[-1]
    study = load_study(tmp_path / "often" / "study.toml")
    answers = study.read(engine="pandas")
    row, customer = study.main.only("id").name, study.main.customer.name
    answers = answers[answers[row].isin(comments[comments.columns[0]])]
    several = answers.groupby(customer).size().nlargest(4).index
    theirs = answers.loc[answers[customer].isin(several), row]
    assert len(theirs) >= 8
    chosen = comments[comments.columns[0]].isin(theirs)
    comments[said] = comments[said].where(chosen, "all was fine today")
    comments.loc[chosen, said] = "the queue was humongous today"
    comments.to_csv(path, index=False)
    shown = study_verbatims(load_study(tmp_path / "often" / "study.toml"), quotes=True).quotes[
        "quote"
    ]
    assert not shown.str.contains("humongous").any()


def test_all_periods_together_and_a_part_have_their_answer():
    study = load_study("demo")
    whole = study_verbatims(study, quotes=False)
    assert whole.findings().answer.certainty == "clear"
    assert whole.changes.empty
    assert whole.quotes.empty
    part = study_verbatims(study, period="2025-Q4", where={"segment": "Business"})
    assert unfounded(part.findings(), recorded(part), words=["2025-Q3"]) == []
    drawn = part.next_sheet(size=10)
    assert drawn["drawn"].sum() == 10


def test_wifi_is_new_where_it_was_planted():
    study = load_study("demo")
    said = study_verbatims(study, period="2025-Q3")
    row = said.changes.set_index(["theme", "quantity"]).loc[("wifi", "share")]
    assert row["estimate"] > 3
    # 50 hand codes of each period show it, were it the only theme that is compared
    assert row["p_value"] < 0.05
    assert not any(one.text.startswith("WiFi: of a hundred") for one in said.findings())
    alone = said.changes.assign(
        p_adjusted=said.changes["p_value"].where(said.changes["theme"] == "wifi", 1.0),
        decided_low=said.changes["ci_low"], decided_high=said.changes["ci_high"],
    )  # fmt: skip
    told = [one.text for one in replace(said, changes=alone).findings() if one.rule == "new"]
    assert re.match(
        r"WiFi: of a hundred comments, \d+ \(.* more than in 2025-Q2 are on it", told[0]
    )


def test_periods_without_a_theme_in_common_are_refused():
    rows = pd.DataFrame(
        {"period": ["1"] * 40 + ["2"] * 40, "code": ["a", "b"] * 40, "score": [1, 2, 3, 4] * 20}
    )
    themes = {"a": Theme("a", "A", codes={"1": ("a",)}), "b": Theme("b", "B", codes={"2": ("a",)})}
    scores = theme_scores(rows, people_codes(rows, ["code"], themes), score="score", by="period")
    with pytest.raises(ValueError, match="must have a theme in common with 1; got none"):
        theme_changes(scores, period="2")
    with pytest.raises(ValueError, match="must have one before it; got '1'"):
        theme_changes(scores, period="1")


def test_a_change_of_shares_has_the_variance_of_two_samples():
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"period": ["1"] * 400 + ["2"] * 300, "score": rng.normal(size=700)})
    rows["code"] = np.where(rng.random(700) < 0.3, "a", "b")
    coded = people_codes(rows, ["code"], {"a": Theme("a", "A", codes={"1": ("a",), "2": ("a",)})})
    made = theme_changes(theme_scores(rows, coded, score="score", by="period"), period="2")
    p = (rows["code"] == "a").groupby(rows["period"]).mean()
    expected = 100 * np.sqrt(p["1"] * (1 - p["1"]) / 400 + p["2"] * (1 - p["2"]) / 300)
    # the variance of all rows together is centred once
    assert made.loc[made["quantity"] == "share", "se"].item() == pytest.approx(expected, rel=2e-3)


def test_the_machines_drift_is_said():
    study = load_study("demo")
    said = study_verbatims(study, period="2025-Q4")
    hand = said.hand.copy()
    last = said.answers.loc[said.answers["period"] == "2025-Q4", "response_id"]
    hand.loc[hand["row"].isin(last), "wifi"] = 1.0
    drifted = theme_scores(
        said.answers, said.themes, score=nps_metric("recommend"), hand=hand, row="response_id",
        by="period", groups=["2025-Q4"],
    )  # fmt: skip
    notes = [
        next((one for one in found.notes if "errors differ from those of earlier" in one), "")
        for found in (drifted, said.scores)
    ]
    assert ["WiFi" in note for note in notes] == [True, False]


#: Frequent names of eight languages.
NAMES = [
    "Mary",
    "Smith",
    "John",
    "Johnson",
    "Anna",
    "Müller",
    "Hans",
    "Schmidt",
    "Marie",
    "Dupont",
    "Pierre",
    "Martin",
    "María",
    "García",
    "José",
    "Fernández",
    "Giulia",
    "Rossi",
    "Marco",
    "Bianchi",
    "Ana",
    "Silva",
    "João",
    "Pereira",
    "Agnieszka",
    "Nowak",
    "Piotr",
    "Kowalski",
    "Priya",
    "Sharma",
    "Rahul",
    "Patel",
]
TEMPLATES = (
    "the staff at the gate were rude to {} and me", "we asked {} at the desk and the staff were rude",
    "{} was rude and slow at the desk", "I want to say that {} was rude at security",
    "my name is {} and the staff were rude", "the rude man at the gate was called {}",
    "Mr {} at the desk was rude to me", "the staff were rude, {}",
)  # fmt: skip
PLAIN = (
    "the staff at the gate were rude and slow to me", "we asked at the desk and security was slow",
    "I want to say that the man at the desk was rude", "my name was called at the gate and it was rude",
)  # fmt: skip


def test_names_of_eight_languages_stay_out_of_quotes():
    rng = np.random.default_rng(0)
    said = [str(rng.choice(PLAIN)) for _ in range(600)]
    named = [TEMPLATES[i % len(TEMPLATES)].format(name) for i in range(40) for name in NAMES]
    texts = pd.Series([text[0].upper() + text[1:] + "." for text in said + named])
    words = _Words(texts, pd.Series(texts.index), 5)
    passed = [s for text in texts[600:] for s in sentences_of(text) if words.passes(s)]
    assert len(passed) <= 0.01 * len(named)
    assert all(
        words.passes(s) for s in sentences_of("The staff at the gate were rude and slow to me.")
    )


@pytest.mark.parametrize(
    "own",
    [
        "anna.smith@example.com", "www.example.org", "https://example.org/x", "4111 1111 1111 1111",
        "DE89 3704 0044 0532 0130 00", "GB29 NWBK 6016 1331 9268 19", "+49 30 1234567",
        "(415) 555-0132", "0171/2345678", "booking AB12CD", "#48213", "@somebody",
    ],
)  # fmt: skip
def test_addresses_numbers_and_references_stay_out_of_quotes(own):
    sentence = f"please write to {own} about the bag"
    texts = pd.Series([sentence] * 20)
    assert not _Words(texts, pd.Series(texts.index), 5).passes(sentence)
    plain = pd.Series(["please write to us about the bag at gate 12 at 7:45"] * 20)
    assert _Words(plain, pd.Series(plain.index), 5).passes(plain[0])


def test_a_word_of_few_respondents_hides_its_sentence():
    rows = pd.DataFrame({"said": ["the queue was long"] * 30 + ["the queue was humongous"] * 30})
    rows["who"] = [*range(30), *([1, 2] * 15)]
    coded = code_comments(rows, "said", {"q": Theme("q", "Queue", ("queue",))})
    assert typical_quotes(rows, "said", coded, respondent="who")["quote"].tolist() == [
        "the queue was long"
    ]
    none = typical_quotes(rows.head(3), "said", replace(coded, values=coded.values.head(3)))
    assert none["quote"].tolist() == [""]
    assert none["note"].tolist() == [NO_QUOTE]


def test_quotes_that_people_found_to_be_on_another_theme_are_left_out():
    rows = pd.DataFrame(
        {"said": ["signs are confusing"] * 9 + ["signs of renovation are good"] * 30}
    )
    coded = code_comments(rows, "said", {"s": Theme("s", "Signs", ("signs",))})
    hand = pd.DataFrame({"row": [0, 9], "coder": 1, "s": [1.0, 0.0]})
    first = typical_quotes(rows, "said", coded, hand=hand)["quote"].tolist()
    assert first == ["signs are confusing"]


def test_found_themes_recur_and_make_a_codebook(demo):
    texts = demo.answers
    found = find_themes(texts, "comment", themes=8, resamples=5)
    again = find_themes(texts, "comment", themes=8, resamples=5)
    pd.testing.assert_frame_equal(found.table, again.table)
    assert found.table["recurrence"].between(0, 1).all()
    assert '[codebook.theme_1]\nlabel = "Theme 1"' in found.codebook()
    with pytest.raises(ValueError, match="must have 24 comments or more for 12 themes; got 10"):
        find_themes(texts.dropna(subset=["comment"]).head(10), "comment")


def test_shuffled_scores_are_not_predicted_by_words(demo):
    rows = demo.answers.copy()
    told = theme_sentiment(rows, "comment", demo.themes, score="recommend")
    assert float(re.search(r"AUC of ([\d.]+)", told.notes[0])[1]) > 0.6
    rows["recommend"] = np.random.default_rng(0).permutation(rows["recommend"].to_numpy())
    shuffled = theme_sentiment(rows, "comment", demo.themes, score="recommend")
    assert "do not predict the score" in shuffled.notes[-1]
    # nothing of it can be a driver: there is no figure per comment
    assert len(told.table) == len(demo.themes.themes)


def test_a_second_scale_in_the_column_is_noticed():
    assert doubtful_comments(pd.DataFrame({"said": ["good", "bad", None]}), "said") == ()
    assert "bare numbers" in doubtful_comments(pd.DataFrame({"said": ["9", "bad"]}), "said")[0]


def test_the_notebook_needs_comments_and_the_extra(monkeypatch):
    needs = read_needs(notebooks_folder() / "9-verbatims.ipynb")
    demo = load_study("demo")
    assert unmet(needs, demo, "2025-Q4") == []
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert unmet(needs, demo, "2025-Q4") == ["extra:verbatims"]


def test_the_notebook_prints_no_comment_but_chosen_quotes(demo):
    notebook = nbformat.read(notebooks_folder() / "9-verbatims.ipynb", as_version=4)
    printed = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    quotes = " ".join(demo.quotes["quote"])
    sentences = {s for text in demo.answers["comment"].dropna() for s in sentences_of(text)}
    leaked = [s for s in sentences if s in printed and s not in quotes]
    assert leaked == []


def test_the_airport_has_an_answer_without_texts(sfo):
    said = study_verbatims(sfo, period="2017")
    assert said.scores.badge == "coded by people"
    assert said.quotes.empty
    assert said.next_sheet(size=10).empty
    assert unfounded(said.findings(), recorded(said), words=["2016"]) == []
    assert "General praise" in said.findings().answer.text


REVIEWS = """[study]
name = "reviews"
title = "Reviews of an airport"
source = "Simulated by cxlab"
simulated = true
main = "reviews"

[scales.stars]
range = [1, 5]
metrics = ["mean"]

[tables.reviews]
label = "Reviews"
file = "reviews.csv"
columns.review = { role = "id" }
columns.written = { role = "date" }
columns.stars = { role = "outcome", label = "Stars", scale = "stars" }
columns.said = { role = "comment" }

"""


def write_reviews(folder, n=900):
    """A study whose only table has a date, comments and one rating, and a sheet of hand codes."""
    stars = np.random.default_rng(4).choice([1, 2, 3, 4, 5], n, p=[0.2, 0.1, 0.1, 0.25, 0.35])
    ids = [f"V{i}" for i in range(n)]
    days = pd.date_range("2025-01-01", periods=n, freq="9h").strftime("%Y-%m-%d")
    asked = pd.DataFrame({"response_id": ids, "period": "all", "recommend": 2.0 * stars})
    made = draw_comments(asked, 4)
    rows = pd.DataFrame({"review": ids, "written": days, "stars": stars, "said": made.text})
    rows.to_csv(folder / "reviews.csv", index=False)
    made.coding.to_csv(folder / "hand.csv", index=False)
    demo = (data_folder() / "demo" / "study.toml").read_text()
    (folder / "study.toml").write_text(REVIEWS + demo[demo.index("[codebook.waiting]") :])
    return folder / "study.toml"


def test_reviews_with_a_date_and_a_rating_become_a_report(tmp_path):
    page = build_report(
        notebooks_folder() / "9-verbatims.ipynb", tmp_path / "report",
        study=str(write_reviews(tmp_path)), period=None, coding=str(tmp_path / "hand.csv"),
    )  # fmt: skip
    shown = " ".join(BeautifulSoup(page.read_text(), "html.parser").get_text(" ").split())
    assert "Three themes go with a lower" in shown
    assert "corrected with 140 hand-coded comments" in shown
    drivers = pd.read_csv(tmp_path / "report" / "tables" / "theme-drivers.csv")
    assert drivers["share"].sum() == pytest.approx(1)
    assert drivers["label"][0] == "Waiting at security"
    quotes = pd.read_csv(tmp_path / "report" / "tables" / "quotes.csv")
    assert len(quotes) >= 8
