"""Survey platforms' exports: recognised, read rightly, drafted; broken ones say what to do."""

import csv
import datetime
import json
import os
import tomllib
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyreadstat
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cxlab import check_answers, load_study, nps, read_export
from cxlab.cli import main
from cxlab.report.factory.runs import Request, run_requests
from cxlab.survey.definition import FORMATS
from cxlab.survey.drafting import accept_guesses, draft_study
from cxlab.survey.exports.reading import LAYOUTS, PACKAGES

ROWS = 120
FIVE = [1, 2, 3, 4, 5]


def cycle(values, rows=ROWS):
    values = list(values)
    return [values[i % len(values)] for i in range(rows)]


def write_rows(path, rows, encoding="utf-8", delimiter=","):
    with path.open("w", encoding=encoding, newline="") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)
    return path


def write_workbook(path, sheets):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def drafted(path, **options):
    """The study as drafted and accepted: its content, and the study itself."""
    made = draft_study(path, force=True, **options)
    content = tomllib.loads(made.path.read_text(encoding="utf-8"))
    assert all(column["confirm"] for column in content["tables"]["answers"]["columns"].values())
    accept_guesses(made.path, by_hand=True)
    return content["tables"]["answers"], load_study(made.path)


def reasons(answers, column):
    return answers[f"{column}_missing"].value_counts().to_dict()


# ---------------------------------------------------------------- real exports


@pytest.fixture
def real():
    """Folder of the real exports, by file name."""

    def find(name):
        path = Path(os.environ.get("CXLAB_DATA", "")) / "exports" / name
        if not os.environ.get("CXLAB_DATA") or not path.is_file():
            pytest.skip(f"CXLAB_DATA names no folder with exports/{name}")
        return path

    return find


def test_the_real_surveymonkey_export_has_its_1186_respondents(real):
    export = read_export(real("surveymonkey_two_header_rows.csv"))
    assert export.platform == "surveymonkey"
    assert export.answers.shape == (1186, 38)
    assert export.encoding != "utf-8"
    assert export.answers["RespondentID"].is_unique
    seen = [q for q in export.questions.values() if q.wording.startswith("Which of the following")]
    assert len(seen) == 6  # a blank header belongs to the question before it
    # each cell of such a column holds its choice or nothing
    for one in seen:
        texts = {" ".join(text.split()) for text in export.answers[one.column]}
        assert texts == {"", one.choice}
    ranks = [q.column for q in export.questions.values() if q.wording.startswith("Please rank")]
    assert [sorted(export.answers[c].unique()) for c in ranks] == [["", *"123456"]] * 6


def test_the_real_qualtrics_exports_have_one_response_each(real):
    three = read_export(real("qualtrics_three_header_rows.csv"))
    assert (three.platform, three.answers.shape) == ("qualtrics", (1, 20))
    assert three.answers["ResponseId"].tolist() == ["R_2YPOQ602ER1jkf1"]
    assert three.questions["Q1"].wording == "This is a multiple choice question."
    assert three.questions["Q2"].import_id == "QID2_TEXT"
    assert three.questions["Q2 - Topics"].note == "text analysis of another column"
    legacy = read_export(real("qualtrics_legacy_two_header_rows.csv"))
    assert (legacy.platform, legacy.answers.shape) == ("qualtrics", (1, 15))
    assert legacy.answers[["ResponseID", "Finished", "Q1", "Q2"]].iloc[0].tolist() == [
        "R_2YPOQ602ER1jkf1", "1", "2", "Hello World!",
    ]  # fmt: skip
    assert legacy.questions["ResponseID"].header == "V1"


# ---------------------------------------------------------------- Qualtrics

OWN = [
    ("StartDate", "Start Date", "startDate"), ("Status", "Response Type", "status"),
    ("IPAddress", "IP Address", "ipAddress"), ("Progress", "Progress", "progress"),
    ("Finished", "Finished", "finished"), ("ResponseId", "Response ID", "_recordId"),
]  # fmt: skip
ASKED = [
    ("Q1_NPS_GROUP", "How likely are you to recommend us? - Group", "QID1_NPS_GROUP"),
    ("Q1", "How likely are you to recommend us?", "QID1"),
    ("Q2_1", "How <b>satisfied</b>&nbsp;were you? - Food, drinks", "QID2_1"),
    ("Q2_2", "How <b>satisfied</b>&nbsp;were you? - Staff", "QID2_2"),
    ("Q3_1", "What did you use? - Selected Choice - The app", "QID3_1"),
    ("Q3_2", "What did you use? - Selected Choice - The site", "QID3_2"),
    ("Q3_2_TEXT", "What did you use? - Other: - Text", "QID3_2_TEXT"),
    ("Q4", "Why?\nPlease say", "QID4_TEXT"),
    ("Q2_DO_1", "Display order", "QID2_DO"),
    ("what_to_do", "Overall, how satisfied are you?", "QID5"),
    ("Q5", "Was it clean?", "QID6"),
    ("Q5", "Was it safe?", "QID7"),
    ("tier", "tier", "tier"),
    ("", "", ""),
]


def qualtrics_rows(labels=False):
    """120 responses: 4 previews, 10 unfinished, 1 spam; -99 is "seen but unanswered"."""
    rows = []
    for i in range(ROWS):
        score, left = i % 11, i >= 110
        status = 1 if i < 3 else 17 if i == 3 else 8 if i == 4 else 0
        finished = 0 if left else 1
        if labels:
            words = {0: "IP Address", 1: "Survey Preview", 17: "Offline Survey Preview", 8: "Spam"}
            status, finished = words[status], str(bool(finished))
        group = 1 if score < 7 else 2 if score < 9 else 3
        one = FIVE[i % 5]
        rows.append(
            [f"2024-05-{1 + i % 28:02} 10:00:00", status, "192.0.2.1", 40 if left else 100,
             finished, f"R_{i:015d}", group, score,
             "" if left else -99 if i % 10 == 7 else one, "" if left else one,
             "1" if i % 3 else "", "1" if i % 2 else "", "", f"words {i},\nand more", "1|2",
             "" if left else one, "" if left else one, "" if left else one,
             cycle(["gold", "silver"])[i], ""]
        )  # fmt: skip
    return rows


def qualtrics_headers(columns=(*OWN, *ASKED)):
    return [
        [name for name, _, _ in columns],
        [text for _, text, _ in columns],
        [json.dumps({"ImportId": key}) if key else "" for _, _, key in columns],
    ]


@pytest.fixture
def qualtrics(tmp_path):
    return write_rows(tmp_path / "q.csv", [*qualtrics_headers(), *qualtrics_rows()], "utf-8-sig")


def test_previews_are_left_out_and_counted_and_unfinished_ones_kept(qualtrics):
    export = read_export(qualtrics)
    assert (export.platform, export.left_out) == ("qualtrics", {"preview": 4})
    assert len(export.answers) == ROWS - 4
    said = " ".join(export.notes)
    assert "4 of 120 responses are a preview" in said
    assert "10 of 120 responses are not finished: kept" in said
    assert "1 of 120 responses is marked as spam by the platform: kept" in said


def test_what_is_left_out_can_be_chosen(qualtrics):
    assert len(read_export(qualtrics, leave_out=[]).answers) == ROWS
    chosen = read_export(qualtrics, leave_out=["preview", "unfinished", "spam"])
    assert chosen.left_out == {"preview": 4, "unfinished": 10, "spam": 1}
    assert len(chosen.answers) == ROWS - 15
    with pytest.raises(ValueError, match="`leave_out` must be 'preview'.*Did you mean 'preview'"):
        read_export(qualtrics, leave_out=["previews"])
    with pytest.raises(TypeError, match="must be a list"):
        read_export(qualtrics, leave_out="preview")


def test_choice_texts_tell_previews_as_well_as_codes_do(tmp_path):
    rows = [*qualtrics_headers(), *qualtrics_rows(labels=True)]
    export = read_export(write_rows(tmp_path / "q.csv", rows), leave_out=["preview", "unfinished"])
    assert export.left_out == {"preview": 4, "unfinished": 10}


def test_qualtrics_columns_are_told_apart_and_described(qualtrics):
    questions = read_export(qualtrics).questions
    assert "Q5 (2)" in questions
    assert "" not in questions  # the comma at the end of each line is no column
    assert questions["Q2_1"].wording == "How satisfied were you?"
    assert questions["Q2_1"].choice == "Food, drinks"
    assert (questions["Q3_1"].wording, questions["Q3_1"].choice) == ("What did you use?", "The app")
    assert questions["Q4"].wording == "Why? Please say"
    assert questions["Q1_NPS_GROUP"].role == questions["Q2_DO_1"].role == "ignore"
    assert questions["what_to_do"].role == ""


def test_seen_but_unanswered_is_no_answer_and_blank_was_not_asked(qualtrics):
    table, study = drafted(qualtrics)
    assert (table["format"], table["leave_out"]) == ("qualtrics", ["preview"])
    assert table["columns"]["q2_1"]["missing"] == {"-99": "no answer"}
    answers = study.read()
    assert len(answers) == ROWS - 4
    assert reasons(answers, "q2_1") == {"no answer": 11, "not asked": 10}
    assert reasons(answers, "q2_2") == {"not asked": 10}


def test_without_the_recode_a_blank_is_not_called_not_asked(tmp_path):
    rows = [["" if cell == -99 else cell for cell in row] for row in qualtrics_rows()]
    path = write_rows(tmp_path / "q.csv", [*qualtrics_headers(), *rows])
    assert read_export(path).questions["Q2_1"].missing == {}
    table, study = drafted(path)
    assert "blank" not in table["columns"]["q2_1"]
    assert reasons(study.read(), "q2_1") == {"no answer": 21}


@pytest.mark.parametrize("code", [-1, -99, -999])
def test_usual_recodes_are_recognised(tmp_path, code):
    rows = [[code if cell == -99 else cell for cell in row] for row in qualtrics_rows()]
    path = write_rows(tmp_path / "q.csv", [*qualtrics_headers(), *rows])
    assert read_export(path).questions["Q2_1"].missing == {str(code): "no answer"}


def test_minus_one_on_a_scale_from_minus_two_is_a_score(tmp_path):
    place = len(OWN) + 3
    rows = [[*row[:place], FIVE[i % 5] - 3, *row[place + 1 :]]
            for i, row in enumerate(qualtrics_rows())]  # fmt: skip
    rows = [["" if cell == -99 else cell for cell in row] for row in rows]
    export = read_export(write_rows(tmp_path / "q.csv", [*qualtrics_headers(), *rows]))
    assert export.questions["Q2_2"].missing == {}


def test_labels_come_from_the_wording_and_nps_is_not_assumed(qualtrics):
    table, study = drafted(qualtrics)
    columns = table["columns"]
    assert columns["q2_1"]["label"] == "Food, drinks"
    assert columns["what_to_do"]["role"] == "outcome"
    assert columns["q1"]["role"] == "outcome"
    assert "never assumed" in columns["q1"]["confirm"]
    assert "Qualtrics groups it as an NPS question" in columns["q1"]["confirm"]
    assert study.metrics("outcome")[0].name == "mean"
    assert columns["q3_1"]["role"] == "text"
    assert "one of 2 choices" in columns["q3_1"]["confirm"]
    assert columns["response_id"]["role"] == "id"
    assert set(table["ignore"]) >= {"Q1_NPS_GROUP", "IPAddress", "Q2_DO_1", "Q4", "Status"}
    assert "10 of 120 responses are not finished" in table["confirm"]


def test_the_study_file_decides_what_is_left_out(qualtrics):
    _, study = drafted(qualtrics)
    text = study.path.read_text(encoding="utf-8")
    changed = text.replace('leave_out = ["preview"]', 'leave_out = ["preview", "unfinished"]')
    study.path.write_text(changed, encoding="utf-8")
    assert len(load_study(study.path).read()) == ROWS - 14
    study.path.write_text(text.replace('["preview"]', '["draft"]'), encoding="utf-8")
    with pytest.raises(
        ValueError, match="`leave_out` of table 'answers' must be a list of 'preview'"
    ):
        load_study(study.path)
    study.path.write_text(text.replace('"qualtrics"', '"qualtrix"'), encoding="utf-8")
    with pytest.raises(ValueError, match="Did you mean 'qualtrics'"):
        load_study(study.path)


def test_a_tab_separated_export_in_utf_16_is_read_alike(qualtrics, tmp_path):
    rows = [*qualtrics_headers(), *qualtrics_rows()]
    path = write_rows(tmp_path / "q.tsv", rows, "utf-16", "\t")
    pd.testing.assert_frame_equal(read_export(path).answers, read_export(qualtrics).answers)
    _, study = drafted(path)
    assert len(study.read()) == ROWS - 4


def test_a_workbook_of_qualtrics_is_read_alike(qualtrics, tmp_path):
    rows = [*qualtrics_headers(), *qualtrics_rows()]
    path = write_workbook(tmp_path / "q.xlsx", {"Sheet0": rows})
    export = read_export(path)
    assert export.platform == "qualtrics"
    columns = ["Q1", "Q2_1", "Q5 (2)", "tier"]
    pd.testing.assert_frame_equal(export.answers[columns], read_export(qualtrics).answers[columns])
    _, study = drafted(path)
    assert reasons(study.read(), "q2_1") == {"no answer": 11, "not asked": 10}


LEGACY = [("V1", "ResponseID"), ("V2", "ResponseSet"), ("V7", "Status"), ("V8", "StartDate"),
          ("V10", "Finished"), ("Q1", "How was it?"), ("", "")]  # fmt: skip


def legacy_rows(first=0):
    return [[f"R_{i:015d}", "Default", 1 if i == 0 else 0, "2024-05-01 10:00:00", 1, FIVE[i % 5], ""]
            for i in range(first, first + 20)]  # fmt: skip


def test_a_legacy_export_takes_the_names_of_its_second_row(tmp_path):
    headers = [[name for name, _ in LEGACY], [text for _, text in LEGACY]]
    export = read_export(write_rows(tmp_path / "old.csv", [*headers, *legacy_rows()]))
    assert export.platform == "qualtrics"
    assert list(export.answers) == [
        "ResponseID",
        "ResponseSet",
        "Status",
        "StartDate",
        "Finished",
        "Q1",
    ]
    assert len(export.answers) == 19
    assert export.questions["Q1"].wording == "How was it?"


def test_an_export_without_its_lower_header_rows_is_still_recognised(tmp_path):
    """Header rows are never counted: the first response id says where the answers begin."""
    names, texts, _ = qualtrics_headers()
    for kept in ([names], [names, texts]):
        path = write_rows(tmp_path / f"q{len(kept)}.csv", [*kept, *qualtrics_rows()])
        export = read_export(path)
        assert (export.platform, len(export.answers)) == ("qualtrics", ROWS - 4)
    assert read_export(tmp_path / "q2.csv").questions["Q2_2"].choice == "Staff"


def test_header_rows_that_do_not_belong_there_are_refused(tmp_path):
    names, texts, keys = qualtrics_headers()
    rows = qualtrics_rows()
    added = ["my note"] * len(names)
    cases = {
        "above": ([names, texts, added, keys, *rows], "they are in row 4. Remove what was added"),
        "below": ([names, texts, keys, added, *rows], "row 4 has no response id"),
        "joined": ([names, texts, keys, *rows, names, texts, keys, *rows], "two exports were joi"),
        "old": ([names, texts, added, *rows], "must have two header rows.*got 3"),
    }
    for name, (content, message) in cases.items():
        with pytest.raises(ValueError, match=message):
            read_export(write_rows(tmp_path / f"{name}.csv", content))


def test_a_plain_file_with_names_like_a_platforms_stays_plain(tmp_path):
    own = ["response_id", "name", "status", "duration", "finished", "score"]
    path = write_rows(
        tmp_path / "a.csv", [own, *([f"A{i}", "x", "won", i, 1, 5] for i in range(9))]
    )
    assert (read_export(path).platform, len(read_export(path).answers)) == ("plain", 9)
    spelt = ["ResponseId", "StartDate", "EndDate", "Finished", "score"]
    path = write_rows(tmp_path / "b.csv", [spelt, *([f"A{i}", "x", "y", 1, 5] for i in range(9))])
    assert (read_export(path).platform, len(read_export(path).answers)) == ("plain", 9)
    with pytest.raises(ValueError, match="must have response ids such as R_2YPOQ602ER1jkf1"):
        read_export(path, format="qualtrics")
    monkey = [["Respondent ID", "food"], ["", 5], [12345, 4]]
    assert read_export(write_rows(tmp_path / "c.csv", monkey)).platform == "plain"


def test_blank_columns_and_lines_of_a_plain_file_are_drafted_as_they_are_read(tmp_path):
    rows = [
        ["id", "food", ""],
        *([i, FIVE[i % 5] if i else "", ""] for i in range(20)),
        ["", "", ""],
    ]
    path = write_rows(tmp_path / "a.csv", [*rows, [20, 5, ""]])
    # a blank line is nobody's answer
    assert len(read_export(path).answers) == 21
    _, study = drafted(path)
    assert len(study.read()) == 21


def test_only_previews_is_no_file_of_answers(tmp_path):
    path = write_rows(tmp_path / "q.csv", [*qualtrics_headers(), *qualtrics_rows()[:4]])
    with pytest.raises(ValueError, match="at least one answer; all 4 are left out as 'preview'"):
        read_export(path)


def test_a_declared_platform_that_did_not_write_the_file_is_refused(tmp_path):
    plain = write_rows(tmp_path / "a.csv", [["id", "food"], [1, 5], [2, 4]])
    with pytest.raises(ValueError, match="must be a Qualtrics export.*it has neither"):
        read_export(plain, format="qualtrics")
    with pytest.raises(ValueError, match="must have SurveyMonkey's two header rows"):
        read_export(write_rows(tmp_path / "b.csv", [["Respondent ID"], [12345], [12346]]),
                    format="surveymonkey")  # fmt: skip
    with pytest.raises(ValueError, match="`format` of a.csv must be .* by its ending; got 'spss'"):
        read_export(plain, format="spss")
    with pytest.raises(ValueError, match="Did you mean 'surveymonkey'"):
        read_export(plain, format="survey monkey")


# ---------------------------------------------------------------- SurveyMonkey

MONKEY = [
    ["Respondent ID", "Collector ID", "Start Date", "IP Address", "How was it?", "", "",
     "What did you use?", "", "", "Recommend us?", "Why?", ""],
    ["", "", "", "", "Café", "Staff", "Other (please specify)", "App", "Site", "Phone",
     "Response", "Open-Ended Response", ""],
]  # fmt: skip
SATISFIED = ["Very dissatisfied", "Dissatisfied", "Neither satisfied nor dissatisfied",
             "Satisfied", "Very satisfied", "N/A", ""]  # fmt: skip


def monkey_rows():
    return [
        [114000000 + i, 4010 + i % 2, "05/13/2024 10:00:00 AM", "192.0.2.1", SATISFIED[i % 7],
         SATISFIED[i % 5], "", "App" if i % 2 else "", "Site" if i % 3 else "", "",
         i % 11, f"naïve remark {i}", ""]
        for i in range(ROWS)
    ]  # fmt: skip


@pytest.fixture(params=["utf-8-sig", "cp1252", "utf-16"])
def monkey(tmp_path, request):
    return write_rows(tmp_path / "monkey.csv", [*MONKEY, *monkey_rows()], request.param)


def test_surveymonkey_headers_are_joined_whatever_the_encoding(monkey):
    export = read_export(monkey)
    assert export.platform == "surveymonkey"
    assert list(export.answers) == [
        "Respondent ID", "Collector ID", "Start Date", "IP Address", "How was it? - Café",
        "How was it? - Staff", "How was it? - Other (please specify)", "What did you use? - App",
        "What did you use? - Site", "What did you use? - Phone", "Recommend us?", "Why?",
    ]  # fmt: skip
    assert export.questions["How was it? - Staff"].header == ""
    assert export.questions["How was it? - Staff"].wording == "How was it?"
    assert export.answers["Why?"].iloc[7] == "naïve remark 7"


def test_surveymonkey_drafts_and_reads(monkey):
    table, study = drafted(monkey)
    roles = {name: column["role"] for name, column in table["columns"].items()}
    assert roles == {
        "respondent_id": "id", "collector_id": "segment", "start_date": "date",
        "cafe": "touchpoint", "staff": "touchpoint", "app": "text", "site": "text",
        "recommend_us": "outcome",
    }  # fmt: skip
    answers = study.read()
    assert answers["cafe"].value_counts().to_dict() == {5: 17, 4: 17, 3: 17, 2: 17, 1: 18}
    assert reasons(answers, "cafe") == {"never used": 17, "no answer": 17}
    assert study.labels["cafe"] == "Café"


def test_a_surveymonkey_workbook_is_read_alike(tmp_path):
    path = write_workbook(tmp_path / "m.xlsx", {"Sheet": [*MONKEY, *monkey_rows()]})
    text = write_rows(tmp_path / "m.csv", [*MONKEY, *monkey_rows()])
    pd.testing.assert_frame_equal(read_export(path).answers, read_export(text).answers)
    _, study = drafted(path)
    assert len(study.read()) == ROWS


def test_a_third_header_row_of_surveymonkey_is_refused(tmp_path):
    added = ["", "", "", "", "Q1a", "Q1b", "", "Q2a", "Q2b", "Q2c", "Q3", "Q4", ""]
    path = write_rows(tmp_path / "m.csv", [*MONKEY, added, *monkey_rows()])
    with pytest.raises(
        ValueError, match="two header rows; row 3 looks like another.*3 header rows"
    ):
        read_export(path)


# ---------------------------------------------------------------- LimeSurvey

LIME = {
    "codes": ["id", "submitdate", "lastpage", "startlanguage", "seed", "Q1[SQ001]", "Q1[SQ002]"],
    "texts": ["Response ID", "Date submitted", "Last page", "Start language", "Seed",
              "How was it? [Food]", "How was it? [Staff]"],
    "both": ["id. Response ID", "submitdate. Date submitted", "lastpage. Last page",
             "startlanguage. Start language", "seed. Seed", "Q1[SQ001]. How was it? [Food]",
             "Q1[SQ002]. How was it? [Staff]"],
}  # fmt: skip


@pytest.mark.parametrize("headers", LIME)
def test_limesurvey_is_read_with_any_kind_of_headers(tmp_path, headers):
    rows = [
        [i + 1, "" if i >= 50 else "2024-05-01 10:00:00", 3, "en", 12345,
         "N/A" if i % 6 == 5 else FIVE[i % 5], "" if i % 6 == 5 else FIVE[i % 5]]
        for i in range(60)
    ]  # fmt: skip
    path = write_rows(tmp_path / "lime.csv", [LIME[headers], *rows], delimiter=";")
    export = read_export(path)
    assert export.platform == "limesurvey"
    assert "10 of 60 responses are not finished: kept" in export.notes[0]
    food, staff = list(export.questions.values())[-2:]
    if headers != "codes":
        assert (food.wording, food.choice, staff.choice) == ("How was it?", "Food", "Staff")
    assert food.missing == {"N/A": "not asked"}
    table, study = drafted(path)
    answers = study.read()
    ratings = [name for name, column in table["columns"].items() if column["role"] == "touchpoint"]
    assert reasons(answers, ratings[0]) == {"not asked": 10}
    assert reasons(answers, ratings[1]) == {"no answer": 10}
    assert len(read_export(path, leave_out=["unfinished"]).answers) == 50


# ---------------------------------------------------------------- SPSS

SATISFACTION = {1: "Very dissatisfied", 2: "Dissatisfied", 3: "Neither", 4: "Satisfied",
                5: "Very satisfied", 8: "Did not use it", 9: "Don't know"}  # fmt: skip
RECOMMEND = {1: "0 - Not at all likely", **{i + 1: str(i) for i in range(1, 10)},
             11: "10 - Extremely likely", 99: "Refused"}  # fmt: skip
EASE = {1: "Very easy", 2: "Easy", 3: "Neither easy nor difficult", 4: "Difficult",
        5: "Very difficult"}  # fmt: skip


def statistics_frame():
    missing = [np.nan] * 4
    return pd.DataFrame(
        {
            "respid": np.arange(1.0, ROWS + 1),
            "overall": np.array(cycle(FIVE), dtype=float),
            "food": [*[8.0] * 20, *[9.0] * 10, *missing, *map(float, cycle(FIVE, ROWS - 34))],
            "staff": [*[9.0] * 6, *map(float, cycle(FIVE, ROWS - 6))],
            "effort": np.array(cycle(FIVE), dtype=float),
            "nps": [*[99.0] * 10, *[float(x) for x in cycle(range(1, 12), ROWS - 10)]],
            "ltr": np.array(cycle(range(11)), dtype=float),
            "gender": np.array(cycle([1, 2]), dtype=float),
            "region": cycle(["N", "S"]),
            "visits": np.array(
                cycle([0, 1, 2, 5, 12, 17, 23, 29, 30, 31, 32, 33, 34, -5]), dtype=float
            ),
            "wgt": [0.5 + (i % 7) / 4 for i in range(ROWS)],
            "when": cycle([datetime.date(2024, 5, 3), datetime.date(2024, 12, 1)]),
        }
    )


WORDINGS = {
    "overall": "Q1. Overall, how satisfied are you?", "food": "Q2. How satisfied with: Food",
    "staff": "Q2. How satisfied with: Staff", "effort": "Q3. How easy was it?",
    "nps": "Q4. How likely are you to recommend us?", "ltr": "Q5. Recommend this site?",
    "wgt": "Weight after trimming, to the population of 2024",
}  # fmt: skip
VALUES = {
    "overall": {code: label for code, label in SATISFACTION.items() if code < 6},
    "food": SATISFACTION, "staff": SATISFACTION, "effort": EASE, "nps": RECOMMEND,
    "ltr": {0: "Not at all likely", 10: "Extremely likely"}, "gender": {1: "Male", 2: "Female"},
    "region": {"N": "North", "S": "South"}, "visits": {0: "None", 99: "Refused"},
}  # fmt: skip


@pytest.fixture(params=["made.sav", "made.zsav"])
def spss(tmp_path, request):
    path = tmp_path / request.param
    pyreadstat.write_sav(
        statistics_frame(), path, column_labels=WORDINGS, variable_value_labels=VALUES,
        missing_ranges={"food": [8, 9], "staff": [8, 9], "nps": [99],
                        "visits": [{"lo": -9, "hi": -1}, 99]},
        compress=path.suffix == ".zsav",
    )  # fmt: skip
    return path


def test_spss_keeps_raw_codes_labels_and_every_declared_missing_code(spss):
    export = read_export(spss)
    assert export.platform == "spss"
    food = export.questions["food"]
    assert food.wording == "Q2. How satisfied with: Food"
    assert food.values["8"] == "Did not use it"
    assert food.missing == {"8": "never used", "9": "don't know"}
    assert export.questions["visits"].missing == {"-5": "no answer", "99": "no answer"}
    assert export.answers["food"].value_counts().to_dict() == {
        "8": 20, "9": 10, "": 4, "1": 18, "2": 17, "3": 17, "4": 17, "5": 17,
    }  # fmt: skip
    assert export.answers["when"].iloc[0] == "2024-05-03"
    assert export.answers["wgt"].iloc[1] == "0.75"


def test_never_used_and_dont_know_stay_apart_in_the_study(spss):
    _, study = drafted(spss)
    answers = study.read()
    assert reasons(answers, "food") == {"never used": 20, "don't know": 10, "no answer": 4}
    assert reasons(answers, "staff") == {"don't know": 6}
    assert reasons(answers, "nps") == {"no answer": 10}
    # pyreadstat's own default merges them all into one blank
    merged, _ = pyreadstat.read_sav(spss)
    assert merged["food"].isna().sum() == 34


def test_spss_drafts_roles_from_labels(spss):
    table, study = drafted(spss)
    columns = table["columns"]
    assert {name: column["role"] for name, column in columns.items()} == {
        "respid": "id", "overall": "outcome", "food": "touchpoint", "staff": "touchpoint",
        "effort": "touchpoint", "nps": "outcome", "ltr": "outcome", "gender": "segment",
        "region": "segment", "visits": "number", "wgt": "weight", "when": "date",
    }  # fmt: skip
    assert columns["gender"]["values"] == {"1": "Male", "2": "Female"}
    assert columns["food"]["scale"] == columns["staff"]["scale"]
    answers = study.read()
    assert answers["region"].unique().tolist() == ["North", "South"]
    assert answers["visits"].isna().sum() == cycle(range(14)).count(13)  # -5; 0 visits are none
    assert check_answers(answers, study)["out_of_range"].sum() == 0


def test_an_nps_stored_one_higher_is_noticed_and_asked_about(spss):
    table, study = drafted(spss)
    column = table["columns"]["nps"]
    assert column["shift"] == -1
    assert "The codes run from 1 to 11, but their labels are 1 lower" in column["confirm"]
    assert "never assumed" in column["confirm"]
    assert study.definition.tables["answers"].columns["nps"].scale.range == (0, 10)
    scores = [x - 1.0 for x in cycle(range(1, 12), ROWS - 10)]
    assert study.read()["nps"].dropna().tolist() == scores
    text = study.path.read_text(encoding="utf-8")
    scale = column["scale"]
    study.path.write_text(
        text.replace(f'scale = "{scale}"\nshift', 'scale = "likelihood_to_recommend"\nshift'),
        encoding="utf-8",
    )
    row = nps(load_study(study.path).read(), "nps").iloc[0]
    assert (row["promoters"], row["n"]) == (sum(x >= 9 for x in scores), ROWS - 10)


def test_a_scale_whose_first_code_is_the_best_is_turned_round_and_asked_about(spss):
    table, study = drafted(spss)
    assert table["columns"]["effort"]["reverse"] is True
    assert "scores are reversed: 1 becomes 5" in table["columns"]["effort"]["confirm"]
    assert study.read()["effort"].tolist() == [6.0 - x for x in cycle(FIVE)]
    labels = study.definition.tables["answers"].columns["effort"].scale.labels
    assert (labels[1], labels[5]) == ("Very difficult", "Very easy")


def test_a_code_off_the_labelled_scale_is_asked_about(tmp_path):
    frame = pd.DataFrame({"food": [*map(float, cycle(FIVE)), 7.0]})
    labels = {"food": {code: text for code, text in SATISFACTION.items() if code < 6}}
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels=labels)
    table, study = drafted(tmp_path / "a.sav")
    assert table["columns"]["food"]["missing"] == {"7": "invalid"}
    assert "7 (1 row) has no label" in table["columns"]["food"]["confirm"]
    assert reasons(study.read(), "food") == {"invalid": 1}


def test_labels_on_some_codes_leave_the_others_on_the_scale_and_are_asked_about(tmp_path):
    frame = pd.DataFrame({"staff": cycle([*FIVE, 9, 99]), "food": cycle(FIVE), "shop": cycle(FIVE)})
    labels = {
        "staff": {2: "Dissatisfied", 4: "Satisfied"},
        "food": {3: "Neutral", 5: "Very satisfied"},
        "shop": {2: "Satisfied", 4: "Dissatisfied"},
    }
    pyreadstat.write_sav(frame.astype(float), tmp_path / "a.sav", variable_value_labels=labels)
    table, study = drafted(tmp_path / "a.sav")
    columns = study.definition.tables["answers"].columns
    assert {columns[name].scale.range for name in labels} == {(1, 5)}
    assert table["columns"]["staff"]["missing"] == {"9": "invalid", "99": "no answer"}
    asked = {name: table["columns"][name]["confirm"] for name in labels}
    assert "Without a label: 1, 5 (35 rows), taken as scores" in asked["staff"]
    assert "Without a label: 1, 2 (48 rows), taken as scores" in asked["food"]
    assert "lowest code with a label, 2, is labelled 'Satisfied'" in asked["shop"]
    answers = study.read()
    assert answers["food"].tolist() == [float(code) for code in cycle(FIVE)]
    assert answers["shop"].tolist() == [6.0 - code for code in cycle(FIVE)]
    assert reasons(answers, "staff") == {"invalid": 17, "no answer": 17}


@pytest.mark.parametrize(
    ("labels", "codes", "missing"),
    [({1: "Very dissatisfied", 5: "Very satisfied"}, [*FIVE, 0, 6], {"0": "invalid", "6": "invalid"}),
     ({1: "1", 2: "2", 3: "3", 4: "4", 5: "5"}, [*FIVE, 6], {"6": "invalid"}),
     ({2: "Dissatisfied", 4: "Satisfied"}, [*FIVE, 0, 7], {"0": "invalid", "7": "invalid"})],
    ids=["strongest words", "numbers", "zero and a gap"],
)  # fmt: skip
def test_codes_beyond_the_end_of_a_labelled_scale_stay_off_it(tmp_path, labels, codes, missing):
    frame = pd.DataFrame({"food": cycle(codes)}, dtype=float)
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels={"food": labels})
    table, study = drafted(tmp_path / "a.sav")
    assert table["columns"]["food"]["missing"] == missing
    assert study.definition.tables["answers"].columns["food"].scale.range == (1, 5)


def test_columns_with_the_same_labels_are_on_one_scale_whatever_was_chosen(tmp_path):
    labels = {2: "Dissatisfied", 4: "Satisfied"}
    frame = pd.DataFrame({"food": cycle(FIVE), "staff": cycle([2, 3, 4])}, dtype=float)
    pyreadstat.write_sav(
        frame, tmp_path / "a.sav", variable_value_labels={"food": labels, "staff": labels}
    )
    _, study = drafted(tmp_path / "a.sav")
    assert study.definition.tables["answers"].columns["staff"].scale.range == (1, 5)


def test_labels_that_are_no_ratings_stay_groups_when_one_is_missing(tmp_path):
    frame = pd.DataFrame({"tier": cycle([1, 2, 3])}, dtype=float)
    labels = {"tier": {1: "Gold", 2: "Silver"}}
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels=labels)
    table, _ = drafted(tmp_path / "a.sav")
    assert table["columns"]["tier"]["values"] == {"1": "Gold", "2": "Silver", "3": "3"}


@pytest.mark.parametrize(("low", "high"), [(1, 12), (-3, -1)])
def test_a_scale_of_unusual_ends_has_a_name(tmp_path, low, high):
    frame = pd.DataFrame({"food": cycle(range(low, high + 1))}, dtype=float)
    labels = {"food": {low: "Very poor", high: "Excellent"}}
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels=labels)
    _, study = drafted(tmp_path / "a.sav")
    assert study.definition.tables["answers"].columns["food"].scale.range == (low, high)


def test_other_labels_make_segments(tmp_path):
    labels = {
        "often": {1: "Never", 2: "Rarely", 3: "Sometimes", 4: "Often", 5: "Always"},
        "size": {1: "1 child", 2: "2 children", 3: "3 or more"},
        "mood": {1: "Red", 2: "Amber", 3: "Green", 9: "Refused"},
    }
    frame = pd.DataFrame(
        {"often": cycle(FIVE), "size": cycle([1, 2, 3]), "mood": cycle([1, 2, 3, 9])}, dtype=float
    )
    pyreadstat.write_sav(frame, tmp_path / "a.sav", variable_value_labels=labels)
    table, study = drafted(tmp_path / "a.sav")
    assert {c["role"] for c in table["columns"].values()} == {"segment"}
    answers = study.read()
    assert answers["often"].value_counts()["Never"] == ROWS / 5
    assert answers["mood"].isna().sum() == ROWS / 4


def test_a_qualtrics_export_as_spss_has_its_previews_left_out_too(tmp_path):
    frame = pd.DataFrame(
        {"ResponseId": [f"R_{i:015d}" for i in range(40)], "Status": [1.0] * 3 + [0.0] * 37,
         "Finished": [1.0] * 38 + [0.0] * 2, "Q1": [float(x) for x in cycle(FIVE, 40)]}
    )  # fmt: skip
    pyreadstat.write_sav(frame, tmp_path / "q.sav")
    export = read_export(tmp_path / "q.sav")
    assert export.left_out == {"preview": 3}
    table, study = drafted(tmp_path / "q.sav")
    assert table["leave_out"] == ["preview"]
    assert len(study.read()) == 37


def test_a_code_without_a_label_is_a_stray_even_if_another_codes_label_is_its_number(tmp_path):
    frame = pd.DataFrame({"nps": [0.0] * 9 + [1, 3, 10]})
    pyreadstat.write_sav(
        frame,
        tmp_path / "any.sav",
        variable_value_labels={"nps": {0: "10", 3: "Very dissatisfied"}},
    )
    table, study = drafted(tmp_path / "any.sav")
    assert len(study.read()) == 12


@settings(max_examples=40,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(data=st.data())
def test_whatever_labels_a_file_has_its_draft_is_read_once_it_is_accepted(tmp_path_factory, data):
    codes = st.integers(-3, 12) | st.sampled_from([98, 99, -99])
    texts = st.sampled_from([*SATISFACTION.values(), *EASE.values(), "0", "1", "10", "1 - Poor", "N/A",
                             "10 = Extremely likely", "Yes", "No", "Never", "Refused", "x", "5 stars"])  # fmt: skip
    columns = ["food", "overall", "Q1_1", "nps"]
    values = data.draw(st.lists(st.tuples(*[codes | st.none()] * 4), min_size=1, max_size=15))
    labels = {name: data.draw(st.dictionaries(codes, texts, max_size=7)) for name in columns}
    missing = {name: data.draw(st.lists(codes, max_size=3, unique=True)) for name in columns}
    folder = tmp_path_factory.mktemp("any")
    pyreadstat.write_sav(
        pd.DataFrame(values, columns=columns, dtype=float), folder / "any.sav",
        variable_value_labels={name: found for name, found in labels.items() if found},
        missing_ranges={name: found for name, found in missing.items() if found},
    )  # fmt: skip
    path = draft_study(folder / "any.sav").path
    if "columns" not in tomllib.loads(path.read_text(encoding="utf-8"))["tables"]["answers"]:
        return
    accept_guesses(path, by_hand=True)
    study = load_study(path)
    answers = study.read()
    assert len(answers) == len(values)
    for name, place in (
        (column.source, column.name) for column in study.main.with_role("touchpoint", "outcome")
    ):
        raw = pd.Series([row[columns.index(name)] for row in values])
        declared = raw.isin(missing[name])
        assert answers.loc[declared.to_numpy(), place].isna().all()


# ---------------------------------------------------------------- Stata


@pytest.fixture
def stata(tmp_path):
    frame = statistics_frame()[["respid", "overall", "effort", "gender", "region", "when"]]
    # in the writer "a" stands for .a
    food = ["a"] * 20 + ["d"] * 10 + [np.nan] * 4 + cycle(FIVE, ROWS - 34)
    frame = frame.assign(food=pd.Series(food, dtype=object), letter=cycle(["a", "b"]))
    labels = {key: VALUES[key] for key in ("overall", "effort", "gender")}
    labels["food"] = {**{c: t for c, t in SATISFACTION.items() if c < 6},
                      "a": "Did not use it", "d": "Don't know", "r": "Refused"}  # fmt: skip
    pyreadstat.write_dta(
        frame, tmp_path / "made.dta",
        column_labels={name: WORDINGS.get(name, "") for name in frame},
        variable_value_labels=labels, missing_user_values={"food": ["a", "d", "r"]},
    )  # fmt: skip
    return tmp_path / "made.dta"


def test_stata_keeps_extended_missing_values_as_reasons(stata):
    export = read_export(stata)
    assert export.platform == "stata"
    assert export.questions["food"].missing == {
        ".a": "never used", ".d": "don't know", ".r": "no answer",
    }  # fmt: skip
    assert export.questions["letter"].missing == {}
    assert export.answers["letter"].iloc[:2].tolist() == ["a", "b"]
    assert export.answers["food"].value_counts()[".a"] == 20
    table, study = drafted(stata)
    answers = study.read()
    assert reasons(answers, "food") == {"never used": 20, "don't know": 10, "no answer": 4}
    assert answers["food"].dropna().tolist() == cycle(FIVE, ROWS - 34)
    assert answers["effort"].tolist() == [6.0 - x for x in cycle(FIVE)]
    assert table["columns"]["gender"]["values"] == {"1": "Male", "2": "Female"}


# ---------------------------------------------------------------- Excel and plain files


def plain_rows():
    return [["id", "overall", "food", "visited on", "member", "spend"]] + [
        [i, FIVE[i % 5], None if i % 9 == 0 else 6.5 if i == 4 else float(FIVE[i % 5]),
         datetime.date(2024, 5, 1 + i % 28), i % 2 == 0, i * 1.25]
        for i in range(1, ROWS + 1)
    ]  # fmt: skip


def test_a_workbook_drafts_and_reads(tmp_path):
    export = read_export(write_workbook(tmp_path / "a.xlsx", {"Answers": plain_rows()}))
    assert (export.platform, export.sheet) == ("excel", None)
    assert export.answers["food"].iloc[:4].tolist() == ["2", "3", "4", "6.5"]
    assert export.answers["visited on"].iloc[0] == "2024-05-02"
    table, study = drafted(tmp_path / "a.xlsx")
    assert {name: column["role"] for name, column in table["columns"].items()} == {
        "id": "id", "overall": "outcome", "food": "touchpoint", "visited_on": "date",
        "member": "segment", "spend": "number",
    }  # fmt: skip
    assert reasons(study.read(), "food") == {"no answer": 13, "invalid": 1}


def test_errors_of_a_spreadsheet_are_invalid_and_no_blanks(tmp_path):
    rows = plain_rows()
    for row in rows[1:6]:
        row[1] = "#N/A"
    _, study = drafted(write_workbook(tmp_path / "a.xlsx", {"Answers": rows}))
    assert reasons(study.read(), "overall") == {"no answer": 5}
    rows[1][1] = "#DIV/0!"
    _, study = drafted(write_workbook(tmp_path / "b.xlsx", {"Answers": rows}))
    assert reasons(study.read(), "overall") == {"no answer": 4, "invalid": 1}


def changed_workbook(path, change):
    """The workbook of plain rows after ``change`` of its only sheet."""
    book = openpyxl.load_workbook(write_workbook(path, {"Answers": plain_rows()}))
    change(book["Answers"])
    book.save(path)
    return path


def test_a_formula_without_a_stored_result_is_refused(tmp_path):
    def change(sheet):
        sheet["C4"], sheet["B9"] = "=2+3", "=C4"

    path = changed_workbook(tmp_path / "a.xlsx", change)
    message = r"a.xlsx, sheet 'Answers': every .* cell C4 \(and 1 more\) has none .* and save it"
    with pytest.raises(ValueError, match=message):
        read_export(path)


def test_stored_results_of_formulas_are_read_an_empty_text_as_a_blank(tmp_path):
    import zipfile

    import xlsxwriter

    with xlsxwriter.Workbook(tmp_path / "a.xlsx") as book:
        sheet = book.add_worksheet("Answers")
        sheet.write_row(0, 0, ["id", "food"])
        for row, value in enumerate([4, "gone", 0], start=1):
            sheet.write(row, 0, row)
            sheet.write_formula(row, 1, "=A1", None, value)
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx") as old,
        zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new,
    ):
        for item in old.namelist():
            # as Excel stores the result of =IF(A1="", "", A1)
            new.writestr(item, old.read(item).replace(b"<v>gone</v>", b"<v></v>"))
    assert read_export(tmp_path / "a.xlsx").answers["food"].tolist() == ["4", "gone", "0"]
    assert read_export(tmp_path / "b.xlsx").answers["food"].tolist() == ["4", "", "0"]


def test_answers_in_merged_cells_are_refused(tmp_path):
    path = changed_workbook(tmp_path / "a.xlsx", lambda sheet: sheet.merge_cells("B3:B5"))
    message = "a.xlsx: answers must not be in merged cells; 'Answers!B3:B5' are merged, .* Unmerge"
    with pytest.raises(ValueError, match=message):
        read_export(path)


def test_merged_cells_that_hide_no_answer_are_no_trouble(tmp_path):
    def change(sheet):
        sheet.merge_cells("H2:H9")  # blank
        sheet["B1"].value = "overall"
        sheet.merge_cells("B1:B1")

    path = changed_workbook(tmp_path / "a.xlsx", change)
    assert len(read_export(path).answers) == ROWS
    rows = [[*MONKEY[0]], [*MONKEY[1]], *monkey_rows()]
    book = openpyxl.load_workbook(write_workbook(tmp_path / "m.xlsx", {"Sheet": rows}))
    place = rows[0].index("") + 1  # a question over several columns
    book["Sheet"].merge_cells(start_row=1, end_row=1, start_column=place - 1, end_column=place)
    book.save(tmp_path / "m.xlsx")
    assert read_export(tmp_path / "m.xlsx").platform == "surveymonkey"


def test_a_chart_sheet_without_a_chart_gets_one_sentence(tmp_path):
    book = openpyxl.load_workbook(write_workbook(tmp_path / "a.xlsx", {"Answers": plain_rows()}))
    book.create_chartsheet()
    book.save(tmp_path / "a.xlsx")
    with pytest.raises(ValueError, match="a chart sheet without a chart, cannot be read. Delete"):
        read_export(tmp_path / "a.xlsx")


def test_a_sheet_is_chosen_by_name_where_several_hold_something(tmp_path):
    path = write_workbook(
        tmp_path / "a.xlsx", {"Notes": [["Made in May"]], "Answers": plain_rows(), "Empty": []}
    )
    with pytest.raises(ValueError, match="one sheet; got 2: 'Notes' or 'Answers'. Name the right"):
        read_export(path)
    with pytest.raises(ValueError, match="Did you mean 'Answers'"):
        read_export(path, sheet="Answer")
    with pytest.raises(ValueError, match="sheet 'Empty' must hold answers"):
        read_export(path, sheet="Empty")
    table, study = drafted(path, sheet="Answers")
    assert table["sheet"] == "Answers"
    assert len(study.read()) == ROWS


def test_a_lone_filled_sheet_needs_no_name_but_is_written_down(tmp_path):
    path = write_workbook(tmp_path / "a.xlsx", {"Empty": [], "Answers": plain_rows()})
    table, _ = drafted(path)
    assert table["sheet"] == "Answers"


def test_a_wrong_size_written_into_a_sheet_hides_no_cells(tmp_path):
    """Some platforms write A1 as the sheet's size."""
    import re
    import zipfile

    path = write_workbook(tmp_path / "a.xlsx", {"Answers": plain_rows()})
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "b.xlsx", "w") as new:
        for item in old.namelist():
            content = old.read(item)
            if item.endswith("sheet1.xml"):
                content, changed = re.subn(
                    rb'<dimension ref="[^"]+"', b'<dimension ref="A1"', content
                )
                assert changed
            new.writestr(item, content)
    pd.testing.assert_frame_equal(
        read_export(tmp_path / "b.xlsx").answers, read_export(path).answers
    )


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".csv.gz", ".parquet"])
def test_plain_files_read_alike(tmp_path, ending):
    frame = pd.DataFrame({"id": range(60), "overall": cycle(FIVE, 60), "why": ["a, b"] * 60})
    path = tmp_path / f"a{ending}"
    if ending == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if ending == ".tsv" else ",")
    export = read_export(path)
    assert export.platform == "plain"
    assert export.answers.equals(frame.astype(str).astype("str"))
    table, study = drafted(path)
    assert "format" not in table
    assert len(study.read()) == 60


# ---------------------------------------------------------------- broken files, one sentence each


def one_sentence(path, **options):
    """The message, which names the file; both reading and drafting give it."""
    with pytest.raises(ValueError, match=path.name) as refused:
        read_export(path, **options)
    ran = CliRunner().invoke(main, ["study", "draft", str(path)])
    assert ran.exit_code == 2
    assert "Traceback" not in ran.output
    assert len(str(refused.value)) < 420
    return str(refused.value)


def test_a_cut_last_line_is_refused(tmp_path, qualtrics):
    content = qualtrics.read_bytes()
    for cut in (8, 25, 60, 110):
        path = tmp_path / "cut.csv"
        path.write_bytes(content[:-cut])
        message = one_sentence(path)
        assert "cut" in message, message


def test_zero_rows_are_refused(tmp_path):
    empty = pd.DataFrame({"food": pd.Series([], dtype=float)})
    pyreadstat.write_sav(empty, tmp_path / "a.sav")
    pyreadstat.write_dta(empty, tmp_path / "a.dta")
    paths = [
        write_rows(tmp_path / "q.csv", qualtrics_headers()),
        write_rows(tmp_path / "m.csv", MONKEY),
        write_rows(tmp_path / "l.csv", [LIME["codes"]]),
        write_rows(tmp_path / "p.csv", [["a", "b"]]),
        write_workbook(tmp_path / "e.xlsx", {"Answers": plain_rows()[:1]}),
        tmp_path / "a.sav",
        tmp_path / "a.dta",
    ]
    for path in paths:
        assert "at least one answer" in one_sentence(path)
    (tmp_path / "n.csv").write_bytes(b"\xef\xbb\xbf\r\n")
    assert "it is empty" in one_sentence(tmp_path / "n.csv")
    assert "it is empty" in one_sentence(write_workbook(tmp_path / "n.xlsx", {"A": []}))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_cut_binary_files_are_refused(tmp_path, share):
    frame = statistics_frame()
    pyreadstat.write_sav(frame, tmp_path / "a.sav")
    pyreadstat.write_sav(frame, tmp_path / "a.zsav", compress=True)
    pyreadstat.write_dta(frame, tmp_path / "a.dta")
    frame.to_parquet(tmp_path / "a.parquet")
    write_workbook(tmp_path / "a.xlsx", {"Answers": plain_rows()})
    for name in ("a.sav", "a.zsav", "a.dta", "a.parquet", "a.xlsx"):
        content = (tmp_path / name).read_bytes()
        path = tmp_path / f"cut-{name}"
        path.write_bytes(content[: int(len(content) * share)])
        assert "must be a whole" in one_sentence(path)


def test_a_file_that_is_not_what_its_name_says_is_refused(tmp_path):
    write_workbook(tmp_path / "a.xlsx", {"Answers": plain_rows()})
    (tmp_path / "a.csv").write_bytes((tmp_path / "a.xlsx").read_bytes())
    assert "it is an Excel workbook. Name it .xlsx" in one_sentence(tmp_path / "a.csv")
    (tmp_path / "b.xlsx").write_text("a,b\n1,2\n", encoding="utf-8")
    assert "must be a whole Excel workbook" in one_sentence(tmp_path / "b.xlsx")
    (tmp_path / "b.sav").write_text("a,b\n1,2\n", encoding="utf-8")
    assert "must be a whole SPSS file" in one_sentence(tmp_path / "b.sav")
    (tmp_path / "c.csv").write_text("<!DOCTYPE html><html>Sign in</html>", encoding="utf-8")
    assert "it is a web page" in one_sentence(tmp_path / "c.csv")
    (tmp_path / "d.csv").write_bytes(b"a,b\n1\x00,2\n")
    assert "zero bytes" in one_sentence(tmp_path / "d.csv")
    (tmp_path / "e.zip").write_bytes(b"PK\x03\x04")
    assert "Unpack it" in one_sentence(tmp_path / "e.zip")
    with pytest.raises(FileNotFoundError, match="there is no 'nowhere.csv'"):
        read_export("nowhere.csv")


def test_a_wrong_encoding_is_named_with_its_byte(tmp_path):
    path = write_rows(tmp_path / "m.csv", [*MONKEY, *monkey_rows()], "cp1252")
    with pytest.raises(ValueError, match=r"m\.csv must be utf-8 text; got byte 0xe9.*cp1252"):
        read_export(path, encoding="utf-8")
    with pytest.raises(ValueError, match="must be the name of an encoding"):
        read_export(path, encoding="utf-9")


def test_text_without_a_byte_order_mark_in_utf_16_is_read(tmp_path):
    path = write_rows(tmp_path / "m.csv", [*MONKEY, *monkey_rows()], "utf-16-le")
    assert len(read_export(path).answers) == ROWS


@pytest.mark.parametrize(
    ("values", "refused"),
    [
        # Excel has made 5 March of 3-5
        ([1, 2, datetime.date(2024, 3, 5), 4, 5] * 4, True),
        (["18-24", "25-34", datetime.date(2024, 5, 1), "35-44"] * 4, True),
        ([datetime.date(2024, 3, 5), None, "unknown"] * 4, False),
        (["no dates", "at all", datetime.date(2024, 3, 5)] * 4, False),
    ],
)  # fmt: skip
def test_an_excel_date_among_scores_is_refused(tmp_path, values, refused):
    rows = [["id", "food"], *([i, value] for i, value in enumerate(values))]
    path = write_workbook(tmp_path / "a.xlsx", {"Answers": rows})
    if refused:
        message = one_sentence(path)
        assert "column 'food': scores and groups must be no dates; got '2024-0" in message
        assert "in row 4" in message
    else:
        assert len(read_export(path).answers) == len(values)


def test_an_excel_date_that_went_through_csv_is_refused_too(tmp_path):
    for text in ("5-Mar", "Mar-05", "05. Mrz"):
        path = write_rows(tmp_path / "a.csv", [["id", "food"], [1, 3], [2, text], [3, 5], [4, 4]])
        assert "column 'food': scores and groups must be no dates" in one_sentence(path)
    month = write_rows(tmp_path / "b.csv", [["id", "when"], [1, "5-Mar"], [2, "6-May"], [3, ""]])
    assert len(read_export(month).answers) == 3


def test_dates_of_which_excel_has_read_some_are_refused(tmp_path):
    """In a month-first Excel 05/04/2024 becomes 4 May and 13/04/2024 stays a text."""
    rows = [["id", "when"], [1, datetime.date(2024, 5, 4)], [2, "13/04/2024"], [3, "25/04/2024"]]
    path = write_workbook(tmp_path / "a.xlsx", {"Answers": rows})
    assert "day and month may be exchanged" in one_sentence(path)


def test_an_open_quote_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('a,b\n1,"open\n2,3\n', encoding="utf-8")
    assert "must close every quote" in one_sentence(path)


# ---------------------------------------------------------------- what a user sees


def test_an_export_shows_its_codebook(spss):
    export = read_export(spss)
    assert "made.sav" in str(export) or "made.zsav" in str(export)
    assert "8 = never used; 9 = don't know" in str(export)
    assert "<table" in export._repr_html_()
    assert export.codebook.loc[2, "n"] == ROWS - 4
    assert export.draft.summary.startswith("guessed: 12 columns")
    assert 'format = "spss"' in export.draft.text


def test_a_draft_is_written_where_it_is_wanted(spss, tmp_path):
    (tmp_path / "studies").mkdir()
    written = read_export(spss).draft.write(tmp_path / "studies" / "mine.toml")
    assert written.path.is_file()
    accept_guesses(written.path, by_hand=True)
    assert len(load_study(written.path).read()) == ROWS
    with pytest.raises(FileExistsError, match="--force"):
        read_export(spss).draft.write(written.path)


def test_reading_the_exports_is_not_paid_for_by_importing_cxlab():
    import subprocess
    import sys

    code = "import cxlab, sys; cxlab.read_export; print([m for m in ('pyreadstat', 'openpyxl') if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["made.sav", "q.csv"])
def test_few_commands_from_an_export_to_a_report(request, tmp_path, name):
    if name == "made.sav":
        pyreadstat.write_sav(
            statistics_frame(), tmp_path / name, column_labels=WORDINGS, variable_value_labels=VALUES,
            missing_ranges={"food": [8, 9], "staff": [8, 9], "nps": [99], "visits": [{"lo": -9, "hi": -1}]},
        )  # fmt: skip
    else:
        request.getfixturevalue("qualtrics")
    ran = CliRunner().invoke(main, ["study", "draft", str(tmp_path / name)])
    assert ran.exit_code == 0, ran.output
    assert f"read:    {'spss' if name == 'made.sav' else 'qualtrics'}, " in ran.output
    study = (tmp_path / name).with_suffix(".study.toml")
    ran = CliRunner().invoke(main, ["study", "check", str(study), "--confirm-all"])
    if name == "q.csv":
        # what Qualtrics groups as an NPS question is settled; another is an outcome by its name
        assert "1 guess to confirm" in ran.output
        ran = CliRunner().invoke(main, ["study", "confirm", str(study), "what_to_do=outcome"])
        assert ran.exit_code == 0, ran.output
        ran = CliRunner().invoke(main, ["study", "check", str(study)])
    assert ran.exit_code == 0, ran.output
    assert "answers: 1" in ran.output
    if name == "made.sav":
        made = ["report", str(study), "--notebook", "scorecard", "--output", str(tmp_path / "out")]
        ran = CliRunner().invoke(main, made)
        assert ran.exit_code == 0, ran.output
        assert "1 made, 0 unchanged, 0 failed" in ran.output


def test_a_real_surveymonkey_export_goes_from_file_to_report(real, tmp_path):
    drafted_study = draft_study(real("surveymonkey_two_header_rows.csv"), tmp_path / "films.toml")
    accept_guesses(drafted_study.path, by_hand=True)
    study = load_study(drafted_study.path)
    answers = study.read()
    assert len(answers) == 1186
    # counted in the export by hand of grep: 610 very, 151 somewhat, 44 neither, 8 and 1 against
    assert answers["han_solo"].value_counts().to_dict() == {5: 610, 4: 151, 3: 44, 2: 8, 1: 1}
    made = run_requests([Request(study=str(drafted_study.path), notebooks=("scorecard",))],
                        output=str(tmp_path / "reports"))  # fmt: skip
    assert made.failures == []


def test_study_files_may_name_every_format_that_can_be_read():
    assert {*LAYOUTS, *PACKAGES.values()} == set(FORMATS)


@pytest.mark.parametrize("first", ["#fb24;version=3", "Survey results"])
def test_a_line_above_the_header_is_named(tmp_path, first):
    path = tmp_path / "answers.csv"
    path.write_text(f"{first}\na;b;c\n" + "1;2;3\n" * 5)
    with pytest.raises(ValueError, match=r"answers\.csv must begin with its header; line 1 \('"):
        read_export(path)


def test_one_column_of_words_with_semicolons_is_read(tmp_path):
    path = tmp_path / "comments.csv"
    path.write_text("comment\nfine; thanks\nslow\nclean; quick; friendly\n")
    assert read_export(path).answers.shape == (3, 1)
