"""From a stranger's file to a study file: every guess asked about, nothing misread."""

import csv
import os
import re
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from cxlab import check_answers, load_study, nps
from cxlab.cli import main
from cxlab.survey.drafting import accept_guesses, draft_study
from cxlab.survey.drafting.words import level_of, wording_of
from cxlab.survey.exports.export import missing_reason
from tests.runs import run_reports

ROWS = 240
FIVE = [1, 2, 3, 4, 5]
WORDS = ["Very dissatisfied", "Dissatisfied", "Neutral", "Satisfied", "Very satisfied"]


def cycle(values, rows=ROWS):
    """The values over and over: each comes equally often."""
    return [values[i % len(values)] for i in range(rows)]


def with_codes(values, **codes):
    """The values, with the first cells replaced by codes: ``n99=5`` means 5 times 99."""
    start, changed = 0, list(values)
    for code, times in codes.items():
        changed[start : start + times] = [code.removeprefix("n").replace("_", "-")] * times
        start += times
    return changed


def write_csv(path, columns, **options):
    with path.open("w", newline="", encoding=options.pop("encoding", "utf-8")) as stream:
        writer = csv.writer(stream, **options)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def draft(tmp_path):
    """Writes a CSV, drafts its study and gives its columns, scales and everything else."""

    def make(columns, **options):
        path = write_csv(tmp_path / "answers.csv", columns, **options)
        made = draft_study(path, force=True)
        content = tomllib.loads(made.path.read_text(encoding="utf-8"))
        return Drafted(made.path, content)

    return make


class Drafted:
    def __init__(self, path, content):
        self.path, self.content = path, content
        self.table = content["tables"]["answers"]
        self.columns, self.scales = self.table["columns"], content.get("scales", {})

    def scale(self, column):
        return self.scales[self.columns[column]["scale"]]

    def read(self):
        accept_guesses(self.path, by_hand=True)
        return load_study(self.path).read()

    def change(self, *replacements):
        text = self.path.read_text(encoding="utf-8")
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        self.path.write_text(text, encoding="utf-8")
        return self


# ---------------------------------------------------------------- the traps of METHODS §6

TRAPS = {
    # a missing answer is no passive, 99 no promoter, 6.5 falls between no bins
    "recommend": with_codes(cycle(range(11)), n99=6, n_1=3, **{"n6.5": 1}, n=4),
    # 11 is blank above 0 to 10
    "recommend_friends": with_codes(cycle(range(11)), n11=12),
    # stored one higher: the index of the answer, not the score
    "renew": cycle(range(1, 12)),
    # four faces are no 0–10 scale; they go with the other ratings, as ratings do
    "faces": cycle([1, 2, 3, 4, 4]),
    # 6 above the best score is "never used", 0 is blank
    "q7_food": with_codes(cycle(FIVE), n6=30, n0=10),
    "q7_parking": with_codes(cycle(FIVE), n6=150, n0=10),
    "overall": with_codes(cycle(FIVE), Blank=5, BLANK=5),
    "staff": with_codes(cycle(FIVE), n9=8),
    "signs": with_codes(cycle([1, 2, 3, 4, 5, 6, 7]), n98=10, n_99=5, n77=2),
    "check_in": [*["Don't know"] * 10, *["N/A"] * 6, *cycle(WORDS, ROWS - 16)],
    "lounge": [
        "0 - Not at all likely" if x == 0 else "10 - Extremely likely" if x == 10 else x
        for x in cycle(range(11))
    ],
}


@pytest.fixture
def traps(draft):
    return draft({"response_id": [f"R{i}" for i in range(ROWS)], **TRAPS})


def test_every_guess_of_a_draft_is_marked(traps):
    assert all(column["confirm"] for column in traps.columns.values())
    used = {column["scale"] for column in traps.columns.values() if "scale" in column}
    assert all(traps.scales[name]["confirm"] for name in used)


def test_nothing_is_read_before_it_is_confirmed(traps):
    study = load_study(traps.path)
    with pytest.raises(ValueError, match=r"every guess must be confirmed.*cxlab study check"):
        study.read()
    with pytest.raises(ValueError, match=f"{len(study.definition.open_questions)} still to conf"):
        run_reports(str(traps.path), notebooks=["answers"])


def test_no_code_is_read_as_a_score(traps):
    answers = traps.read()
    table = check_answers(answers, load_study(traps.path)).set_index("column")
    expected = {
        # column: answered, never used, no answer, don't know, invalid
        "recommend": (226, 0, 13, 0, 1),
        "recommend_friends": (228, 0, 12, 0, 0),
        "renew": (240, 0, 0, 0, 0),
        "faces": (240, 0, 0, 0, 0),
        "q7_food": (200, 30, 10, 0, 0),
        "q7_parking": (80, 150, 10, 0, 0),
        "overall": (230, 0, 10, 0, 0),
        "staff": (232, 0, 8, 0, 0),
        "signs": (223, 0, 7, 10, 0),
        "check_in": (224, 6, 0, 10, 0),
        "lounge": (240, 0, 0, 0, 0),
    }
    reasons = ["answered", "never used", "no answer", "don't know", "invalid"]
    assert {name: tuple(table.loc[name, reasons]) for name in expected} == expected
    assert (answers[list(expected)].max() == [10, 10, 11, 4, 5, 5, 5, 5, 7, 5, 10]).all()


def test_each_trap_is_asked_about(traps):
    asked = {name: column["confirm"] for name, column in traps.columns.items()}
    assert "'6.5' lies between two scores and is never rounded" in asked["recommend"]
    assert "99 (6 rows) as no answer" in asked["recommend"]
    assert "blank (4 rows) as no answer" in asked["recommend"]
    assert "11 lies above 0 to 10: is it the code for blank?" in asked["recommend_friends"]
    assert "shift = -1" in asked["renew"]
    assert "98 (10 rows) as don't know" in asked["signs"]
    assert "6 (180 rows) is read as never used" in traps.scale("q7_food")["confirm"]
    assert "9 (8 rows) is read as no answer" in traps.scale("staff")["confirm"]


def test_nought_to_ten_is_never_assumed_to_be_an_nps(traps):
    for name in ("recommend", "recommend_friends", "lounge"):
        assert traps.scale(name)["metrics"] == ["mean"]
        assert "likelihood_to_recommend" in traps.columns[name]["confirm"]
    assert "never assumed" in traps.columns["recommend"]["confirm"]


def test_the_ready_scale_makes_an_nps_of_it(traps):
    traps.change(('role = "outcome"\nlabel = "Recommend"\nscale = "zero_to_ten"',
                  'role = "outcome"\nlabel = "Recommend"\nscale = "likelihood_to_recommend"'))  # fmt: skip
    answers = traps.read()
    row = nps(answers, "recommend").iloc[0]
    scores = [x for x in TRAPS["recommend"] if x in range(11)]
    assert row["n"] == 226
    assert row["promoters"] == sum(x >= 9 for x in scores)
    assert row["passives"] == sum(x in (7, 8) for x in scores)


def test_shift_answers_the_question_of_codes_one_higher(traps):
    traps.change(('scale = "one_to_eleven"', 'scale = "zero_to_ten"\nshift = -1'))
    assert traps.read()["renew"].tolist() == [x - 1.0 for x in TRAPS["renew"]]


def test_four_points_lie_on_their_own_scale(traps):
    assert traps.scale("faces")["range"] == [1, 4]
    assert traps.scale("faces")["bins"] == {"bottom": [1, 2], "top": [3, 4]}


def test_codes_of_a_battery_are_asked_about_once(traps):
    assert traps.columns["q7_food"]["scale"] == traps.columns["q7_parking"]["scale"]
    assert traps.scale("q7_food")["missing"] == {"0": "no answer", "6": "never used"}


def test_words_become_scores_in_their_order(traps):
    assert traps.scale("check_in")["labels"] == {
        str(score): word for score, word in enumerate(WORDS, start=1)
    }


def test_outcomes_are_told_by_their_names(traps):
    roles = {name: column["role"] for name, column in traps.columns.items()}
    outcomes = [name for name, role in roles.items() if role == "outcome"]
    assert outcomes == ["recommend", "recommend_friends", "overall"]
    assert roles["response_id"] == "id"


# ---------------------------------------------------------------- other scales and codes


@pytest.mark.parametrize(
    ("values", "scale_range"),
    [(range(1, 4), [1, 3]), (range(1, 5), [1, 4]), (range(1, 6), [1, 5]), (range(1, 7), [1, 6]),
     (range(1, 8), [1, 7]), (range(11), [0, 10]), (range(1, 11), [1, 10]), (range(1, 12), [1, 11])],
)  # fmt: skip
def test_usual_scales_are_recognised(draft, values, scale_range):
    assert draft({"quality": cycle(values)}).scale("quality")["range"] == scale_range


def test_six_of_six_is_asked_about_too(draft):
    scale = draft({"quality": cycle(range(1, 7))}).scale("quality")
    assert "missing" not in scale
    assert "or is it the code for never used" in scale["confirm"]


def test_one_lump_at_six_makes_it_a_code_in_the_whole_file(draft):
    made = draft({"food": with_codes(cycle(FIVE), n6=90), "staff": with_codes(cycle(FIVE), n6=9)})
    assert made.scale("food")["missing"] == {"6": "never used"}
    assert made.columns["staff"]["scale"] != "one_to_six"


def test_nobody_gave_nought_is_said(draft):
    column = draft({"recommend": cycle(range(1, 11))}).columns["recommend"]
    assert "Nobody gave 0" in column["confirm"]


def test_a_code_beyond_the_scale_that_comes_once_is_a_typing_error(draft):
    scale = draft({"quality": [*cycle(FIVE), *cycle(FIVE), 8]}).scale("quality")
    assert (scale["range"], scale["missing"]) == ([1, 5], {"8": "invalid"})


def test_a_far_code_of_most_rows_is_read_as_never_used(draft):
    made = draft({"food": with_codes(cycle(range(11)), n98=12),
                  "parking": with_codes(cycle(range(11)), n98=120)})  # fmt: skip
    assert made.columns["food"]["missing"] == {"98": "never used"}


def test_text_in_a_score_is_asked_about(draft):
    column = draft({"quality": with_codes(cycle(FIVE), great=1)}).columns["quality"]
    assert column["missing"] == {"great": "invalid"}
    assert "'great' is no score of it" in column["confirm"]


def test_a_rating_that_falls_where_the_others_rise_is_asked_about(draft):
    rising = cycle(FIVE)
    made = draft({"food": rising, "shops": rising, "effort": [6 - x for x in rising]})
    assert "is its lowest score the best?" in made.columns["effort"]["confirm"]
    assert "is its lowest" not in made.columns["food"]["confirm"]


def test_few_answers_all_alike_are_still_a_rating(draft):
    made = draft({"recommend": [10] * 9})
    assert made.columns["recommend"]["role"] == "outcome"
    assert made.read()["recommend"].tolist() == [10.0] * 9


def test_halves_throughout_are_a_number_and_not_scores(draft):
    column = draft({"stars": cycle([1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5])}).columns["stars"]
    assert column["role"] == "number"


def test_words_at_the_ends_of_numbers_are_its_lowest_and_highest_score(draft):
    ends = {0: "Not at all likely", 10: "Extremely likely"}
    values = [ends.get(x, x) for x in cycle(range(11))]
    made = draft({"recommend": values})
    assert made.scale("recommend")["range"] == [0, 10]
    assert made.read()["recommend"].tolist() == cycle(range(11))


def test_scores_below_nought_are_no_missing_codes(draft):
    made = draft({"quality": cycle([-2, -1, 0, 1, 2])})
    assert made.scale("quality")["range"] == [-2, 2]
    assert "missing" not in made.columns["quality"]


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(
    "ordered",
    [
        ["Very unfavorably", "Somewhat unfavorably", "Neither favorably nor unfavorably (neutral)",
         "Somewhat favorably", "Very favorably"],
        ["Strongly disagree", "Disagree", "Neither agree nor disagree", "Agree", "Strongly agree"],
        ["Extremely dissatisfied", "Moderately dissatisfied", "Slightly dissatisfied", "Neutral",
         "Slightly satisfied", "Moderately satisfied", "Extremely satisfied"],
        ["Not at all likely", "Not very likely", "Somewhat likely", "Very likely", "Extremely likely"],
        ["Very difficult", "Difficult", "Neither", "Easy", "Very easy"],
        ["Poor", "Fair", "Good", "Very good", "Excellent"],
        ["Much worse", "Worse", "About the same", "Better", "Much better"],
        ["Definitely would not", "Probably would not", "Might or might not", "Probably would",
         "Definitely would"],
    ],
)  # fmt: skip
def test_rating_words_are_put_in_order(ordered):
    wording = wording_of(sorted(ordered))
    assert list(wording.labels.values()) == ordered
    assert wording.unseen == []


def test_what_nobody_chose_keeps_its_place():
    labels = wording_of(["Agree", "Strongly agree", "Neutral"]).labels
    assert labels == {3: "Neutral", 4: "Agree", 5: "Strongly agree"}


def test_one_step_in_two_wordings_is_no_scale():
    assert wording_of(["Neutral", "Neither satisfied nor dissatisfied", "Satisfied"]) is None


def test_battery_words_share_one_scale(draft):
    made = draft({"How was it? - Food": cycle(WORDS), "How was it? - Staff": cycle(WORDS[1:])})
    assert made.columns["food"]["scale"] == made.columns["staff"]["scale"] == "satisfaction"


@pytest.mark.parametrize(
    "text", ["18-29", "Monday", "Male", "$25,000", "North", "Yes", "I will not"]
)
def test_other_words_are_no_ratings(text):
    assert wording_of([text, "Other"]) is None


def test_negation_turns_a_word_round():
    assert level_of("Not at all satisfied").height < level_of("Slightly satisfied").height


@pytest.mark.parametrize(
    ("text", "reason"),
    [("N/A", "never used"), ("n/a ", "never used"), ("NA", "no answer"), ("Don’t know", "don't know"),
     ("DK", "don't know"), ("Refused", "no answer"), ("Prefer not to say", "no answer"),
     ("Not applicable", "never used"), ("Never used", "never used"), ("Blank", "no answer"),
     (".", "no answer"), ("-", "no answer"), ("Unfamiliar (N/A)", "never used"),
     ("99 - Refused", "no answer"), ("Not applicable / never used", "never used"),
     ("5", None), ("Good", None), ("Never", "never used")],
)  # fmt: skip
def test_missing_words_and_their_reasons(text, reason):
    assert missing_reason(text) == reason


def test_none_is_a_value_of_a_segment():
    assert missing_reason("None", segment=True) is None
    assert missing_reason("Prefer not to say", segment=True) == "no answer"


# ---------------------------------------------------------------- what describes the row


def test_roles_of_describing_columns(draft):
    rows = 120
    made = draft(
        {
            "RespondentID": [f"A{i}" for i in range(rows)],
            "customer_no": [f"C{i % 90}" for i in range(rows)],
            "Weight": [0.5 + (i % 7) / 4 for i in range(rows)],
            "answered on": [f"2024-0{1 + i % 9}-1{i % 9}" for i in range(rows)],
            "wave": cycle(["2024-Q1", "2024-Q2"], rows),
            "Gender": cycle([1, 2, 9], rows),
            "Age": cycle(["25-34", "Under 18", "18-24", "Prefer not to say"], rows),
            "member": cycle(["Yes", "No", "no "], rows),
            "spend": [i * 1.25 for i in range(rows)],
            "visits": [i % 40 for i in range(rows)],
            "comment": [f"word {i} and another" for i in range(rows)],
            "email": [f"a{i}@b.example" for i in range(rows)],
        }
    )
    assert {name: column["role"] for name, column in made.columns.items()} == {
        "respondent_id": "id", "customer_no": "cluster", "weight": "weight", "answered_on": "date",
        "period": "period", "gender": "segment", "age": "segment", "member": "segment",
        "spend": "number", "visits": "number",
    }  # fmt: skip
    assert made.table["ignore"] == ["comment", "email"]
    assert "free text: 'comment'" in made.table["confirm"]
    assert list(made.columns["age"]["values"]) == ["Under 18", "18-24", "25-34"]
    assert made.columns["age"]["missing"] == {"Prefer not to say": "no answer"}
    # 1, 2 and 9, as yes, no and no answer are coded
    assert made.columns["gender"]["missing"] == {"9": "no answer"}
    assert "9 (40 rows) as no answer" in made.columns["gender"]["confirm"]
    assert made.read()["member"].value_counts().to_dict() == {"No": 80, "Yes": 40}


@pytest.mark.parametrize(
    ("name", "size", "by_hand"), [("weight_kg", 40, True), ("weight", 0.8, None)]
)
def test_kilogrammes_are_no_weights_that_are_accepted_blindly(draft, name, size, by_hand):
    made = draft({name: [size + i / 100 for i in range(40)], "quality": cycle(FIVE, 40)})
    column = made.columns[name]
    assert (column["role"], column.get("by_hand")) == ("weight", by_hand)


def test_repeated_ids_are_not_taken_for_an_id(draft):
    made = draft({"id": [1, 1, *range(2, 40)], "quality": cycle(FIVE, 40)})
    assert made.columns["id"]["role"] == "text"
    assert "1 occurs more than once" in made.columns["id"]["confirm"]
    assert len(made.read()) == 40


@pytest.mark.parametrize("bad", ["-1", "", "inf", "n/a"])
def test_a_bad_weight_is_not_used_in_silence(draft, bad):
    made = draft({"weight": [bad, *[1.5] * 39], "quality": cycle(FIVE, 40)})
    assert made.columns["weight"]["role"] == "text"
    assert "must be a number of 0 or more in every row" in made.columns["weight"]["confirm"]


def test_days_and_months_that_cannot_be_told_apart_are_asked_about(draft):
    column = draft({"when": cycle(["01/02/2024", "03/04/2024"])}).columns["when"]
    assert column["format"] == "%m/%d/%Y"
    assert "%d/%m/%Y fits every one too" in column["confirm"]
    column = draft({"when": cycle(["01/02/2024", "13/04/2024"])}).columns["when"]
    assert column["format"] == "%d/%m/%Y"


def test_numbers_know_99_by_its_distance(draft):
    made = draft({"visits": with_codes(cycle(range(20)), n99=3, n_1=2), "hours": cycle(range(100))})
    assert made.columns["visits"]["missing"] == {"99": "no answer", "-1": "no answer"}
    assert "missing" not in made.columns["hours"]


def test_numbers_with_signs_are_asked_about(draft):
    for written in ("{} %", "$1,{}", "1,{}"):
        column = draft({"spend": [written.format(100 + i) for i in range(40)]}).columns["spend"]
        assert column["role"] == "text"
        assert "a comma may stand for decimals or for thousands" in column["confirm"]


def test_decimal_commas_are_read_once_somebody_has_said_so(draft):
    made = draft({
        "Wartezeit": [f"{i % 40},{i % 7}" for i in range(ROWS)],
        "Umsatz": [*(f"1.{i + 100},25" for i in range(ROWS - 2)), "-99,0", "k. A."],
        "Gewicht": ["0,75", "1,25"] * (ROWS // 2),
        "Personal": cycle([f"{score},0" for score in FIVE]),
    }, delimiter=";")  # fmt: skip
    roles = {name: column["role"] for name, column in made.columns.items()}
    assert roles == {"wartezeit": "number", "umsatz": "number", "gewicht": "weight",
                     "personal": "outcome"}  # fmt: skip
    assert all(column["decimal_comma"] for column in made.columns.values())
    asked = made.columns["gewicht"]["confirm"]
    assert "A comma stands for decimals, as in '0,75': is that so?" in asked
    read = made.read()
    assert read["gewicht"].tolist() == [0.75, 1.25] * (ROWS // 2)
    assert read["wartezeit"].tolist() == [i % 40 + i % 7 / 10 for i in range(ROWS)]
    assert read["umsatz"].tolist()[:-2] == [1100.25 + i for i in range(ROWS - 2)]
    assert read["umsatz"].isna().sum() == 2
    assert read["personal"].tolist() == cycle(FIVE)


def test_a_point_beside_decimal_commas_is_refused(draft):
    made = draft({"time": [f"{i},{i % 7}" for i in range(ROWS)]})
    made.path.with_name("answers.csv").write_text('time\n"3,5"\n12.5\n1.200\n')
    with pytest.raises(ValueError, match=r"numbers must have a comma before their decimals.*12\.5"):
        made.read()


def test_commas_of_thousands_and_of_choices_are_no_decimals(draft):
    columns = draft({
        "spend": [f"1,{100 + i}" for i in range(ROWS)],
        "picked": cycle(["1,3", "2", "2,4", "1", "3,4"]),
        "mixed": [*(f"{i},5" for i in range(ROWS - 1)), "12.5"],
        "reply_time": cycle(["2,5", "0,5", "10,5"]),
    }).columns  # fmt: skip
    assert [name for name in columns if "decimal_comma" in columns[name]] == ["reply_time"]


def test_a_repeated_sentence_is_no_id_that_is_there_twice(draft):
    said = [f"No complaint {i // 2}" for i in range(ROWS)]
    made = draft({"open_response": said, "overall": cycle(FIVE)})
    assert made.table["ignore"] == ["open_response"]


def test_a_misspelt_value_of_a_segment_is_noticed(draft):
    column = draft({"region": [*cycle(["Northern", "Southern"], 80), "Nothern"]}).columns["region"]
    assert "'Nothern' (1 row) is spelt almost like 'Northern'" in column["confirm"]


def test_rankings_are_no_ratings(draft):
    orders = cycle([(1, 2, 3, 4), (2, 1, 4, 3), (4, 3, 2, 1)], 60)
    made = draft({f"place {i}": [order[i] for order in orders] for i in range(4)})
    assert {column["role"] for column in made.columns.values()} == {"number"}
    assert "a rank from 1 to 4" in made.columns["place_0"]["confirm"]


def test_a_ranking_of_the_first_three_is_recognised(draft):
    orders = cycle([(1, 2, 3, "", ""), ("", 1, "", 3, 2), (3, "", 2, "", 1)], 60)
    made = draft({f"place {i}": [order[i] for order in orders] for i in range(5)})
    assert {column["role"] for column in made.columns.values()} == {"number"}
    assert "scales" not in made.content


def test_choices_are_no_ratings(draft):
    made = draft({"used: app": cycle(["app", ""]), "used: web": cycle(["web", "web", ""]),
                  "why": cycle(["price; place", "price", "place; time", "time; price"])})  # fmt: skip
    assert [column["role"] for column in made.columns.values()] == ["text"] * 3
    assert "not chosen or not asked" in made.columns["app"]["confirm"]
    assert "separated by ';'" in made.columns["why"]["confirm"]


# ---------------------------------------------------------------- files


def test_encoding_and_separator_are_found_and_asked_about(draft):
    columns = {"Qualité": cycle(FIVE), "région": cycle(["Île", "Côte"])}
    made = draft(columns, encoding="cp1252", delimiter=";")
    assert (made.table["encoding"], made.table["separator"]) == ("cp1252", ";")
    assert "Do letters with accents look right?" in made.table["confirm"]
    assert made.read()["region"].unique().tolist() == ["Île", "Côte"]


def test_parquet_reads_like_csv(tmp_path):
    frame = pd.DataFrame({"id": range(60), "overall": pd.array(cycle([*FIVE, None], 60), "Int64")})
    frame.to_parquet(tmp_path / "a.parquet")
    path = draft_study(tmp_path / "a.parquet").path
    accept_guesses(path, by_hand=True)
    answers = load_study(path).read()
    assert answers["overall"].notna().sum() == 50
    assert (answers["overall_missing"] == "no answer").sum() == 10


def test_output_may_stand_in_another_folder(tmp_path):
    file = write_csv(tmp_path / "a.csv", {"quality": cycle(FIVE)})
    (tmp_path / "studies").mkdir()
    path = draft_study(file, tmp_path / "studies" / "mine.toml").path
    accept_guesses(path, by_hand=True)
    assert len(load_study(path).read()) == ROWS


BAD_FILES = {
    "several blank headers": ("a,,\n1,2,3\n", "every column must have a header; column 2"),
    "question texts below the header": (
        "Q1,Q2\nHow was it?,And this?\n5,4\n3,2\n", "there must be one header row"),
    "no header": ("5,4\n3,2\n", "the first row must hold the headers; got numbers"),
    "headers alike": ("Q1,*q1 \n5,4\n", "differ by more than capitals"),
    "the same header twice": ("a,a\n5,4\n", "headers must be unique"),
    "nothing": ("", "it is empty"),
    "no answers": ("a,b\n", "at least one answer"),
    "a line too long": ("a,b\n1,2\n1,2,3\n", "must have 2 cells in each line"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_plain_table_is_refused(tmp_path, case):
    content, message = BAD_FILES[case]
    (tmp_path / "a.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        draft_study(tmp_path / "a.csv")
    assert list(tmp_path.glob("*.toml")) == []


def test_another_kind_of_file_is_refused(tmp_path):
    (tmp_path / "a.docx").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"must be '\.csv'.*got 'a\.docx'. Save it as .xlsx"):
        draft_study(tmp_path / "a.docx")


def test_a_study_file_is_not_overwritten_without_force(tmp_path):
    file = write_csv(tmp_path / "a.csv", {"quality": cycle(FIVE)})
    path = draft_study(file).path
    path.write_text("mine", encoding="utf-8")
    with pytest.raises(FileExistsError, match="replace it with --force"):
        draft_study(file)
    assert path.read_text(encoding="utf-8") == "mine"
    draft_study(file, force=True)
    assert path.read_text(encoding="utf-8") != "mine"


def test_accepting_keeps_everything_else(traps):
    before = traps.path.read_text(encoding="utf-8")
    open_before = len(load_study(traps.path).definition.open_questions)
    traps.change(("[study]", "# my own remark\n[study]"))
    assert accept_guesses(traps.path, by_hand=True) == open_before
    after = traps.path.read_text(encoding="utf-8")
    assert "# my own remark" in after
    kept = [line for line in before.splitlines() if not line.startswith(("confirm =", "by_hand ="))]
    assert [line for line in after.splitlines() if line != "# my own remark"] == kept


# ---------------------------------------------------------------- anything at all

TEXTS = st.one_of(
    st.sampled_from(["", "1", "5", "5.0", "06", "-1", "99", "6.5", "N/A", "Yes", "Very good", "Poor",
                     "1 - Bad", "10", "0", "11", "-0", "1e3", "nan", "inf", "x;y", "01/02/2024",
                     "Satisfied", "Neutral", "²", "１", '"', "\\", "[a]", "'"]),
    st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), max_size=6),
)  # fmt: skip
HEADERS = st.lists(
    st.one_of(
        st.sampled_from(["id", "weight", "overall", "Q1", "Q1 - A", "Q1 - B", "date", "wave", "nps",
                         "stratum", "customer", "gender", "[x]", "a\tb", "period", "y_missing", "?"]),
        st.text(st.characters(codec="utf-8", exclude_characters="\x00\r\n"), min_size=1, max_size=8),
    ),
    min_size=1, max_size=5, unique_by=lambda header: "".join(header.split()).casefold().strip("*"),
)  # fmt: skip


@settings(max_examples=80)
@given(data=st.data(), headers=HEADERS)
def test_whatever_is_drafted_is_read_once_it_is_accepted(tmp_path_factory, data, headers):
    rows = data.draw(st.lists(st.tuples(*[TEXTS] * len(headers)), min_size=1, max_size=12))
    folder = tmp_path_factory.mktemp("any")
    pd.DataFrame(rows, columns=headers, dtype=str).to_parquet(folder / "any.parquet")
    try:
        path = draft_study(folder / "any.parquet").path
    except ValueError as refused:
        event(f"refused: {str(refused)[:40]}")
        assume("header" not in str(refused))
        raise
    if "columns" not in tomllib.loads(path.read_text(encoding="utf-8"))["tables"]["answers"]:
        return
    accept_guesses(path, by_hand=True)
    assert len(load_study(path).read()) == len(rows)


# ---------------------------------------------------------------- three commands to a report


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_three_commands_from_a_strangers_file_to_a_report(tmp_path):
    file = write_csv(tmp_path / "answers.csv", {"response_id": range(ROWS), **TRAPS})
    study = tmp_path / "answers.study.toml"
    drafted = run("study", "draft", file)
    assert drafted.exit_code == 0, drafted.output
    assert "12 columns: 1 id, 3 outcome, 8 touchpoint" in drafted.output
    assert run("study", "draft", file).exit_code == 1
    refused = run("report", study, "--output", tmp_path / "reports")
    assert refused.exit_code == 2
    assert "cxlab study check" in refused.output
    asked = run("study", "check", study)
    assert asked.exit_code == 1
    assert "guesses to confirm" in asked.output
    assert "column 'renew': role = touchpoint; scale = one_to_eleven" in asked.output
    stopped = run("study", "check", study, "--confirm-all")
    assert stopped.exit_code == 1
    assert "3 guesses to confirm" in stopped.output
    roles = ("recommend=outcome", "recommend_friends=outcome", "overall=outcome")
    assert f"cxlab study confirm {study} {' '.join(roles)}" in stopped.output
    confirmed = run("study", "confirm", study, *roles)
    assert confirmed.exit_code == 0, confirmed.output
    checked = run("study", "check", study)
    assert checked.exit_code == 0, checked.output
    assert "answers: 240 rows" in checked.output
    made = run("report", study, "--output", tmp_path / "reports", "--notebook", "scorecard")
    assert made.exit_code == 0, made.output
    pages = list((tmp_path / "reports").rglob("*.html"))
    names = {page.name for page in pages}
    assert names == {"2-scorecard.html", "glossary.html", "index.html"}


# ---------------------------------------------------------------- guesses confirmed blindly

CASES = Path(__file__).parent / "cases"


@pytest.fixture
def blind(tmp_path):
    """Drafts a file of the cases and accepts all that `--confirm-all` accepts."""

    def make(name):
        file = tmp_path / name
        file.write_bytes((CASES / name).read_bytes())
        path = draft_study(file).path
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        accept_guesses(path)
        still = load_study(path).definition.open_questions
        return Drafted(path, content), [(question.column, question.role) for question in still]

    return make


def test_a_number_with_decimals_is_no_customer_whatever_its_label_says(blind):
    made, still = blind("customer_words.csv")
    roles = {name: column["role"] for name, column in made.columns.items()}
    assert roles["overall_customer_satisfaction"] == roles["customer_expectations"] == "number"
    assert still == [("customer_rating", "outcome")]


@pytest.mark.parametrize(
    ("header", "role"),
    [("Customer ID", "customer"), ("customer", "customer"), ("ClientNumber", "customer"),
     ("Customer Effort", "text"), ("Account manager", "text"), ("Member since", "text")],
)  # fmt: skip
def test_only_a_header_that_names_the_customer_alone_hints_at_one(draft, header, role):
    ids = [f"c{i:04}x" for i in range(ROWS)]
    made = draft({"row": range(ROWS), header: ids, "overall": cycle(FIVE)})
    found = [c for c in made.columns.values() if c.get("role") == "customer"]
    assert bool(found) == (role == "customer")


def test_yes_and_no_with_9_are_no_scale_from_1_to_10(blind):
    made, _ = blind("residents.csv")
    owner = made.columns["owner_yn"]
    assert (owner["role"], owner["values"], owner["missing"]) == (
        "segment", {"1": "1", "2": "2"}, {"9": "no answer"},
    )  # fmt: skip
    assert list(made.columns["district"]["values"]) == ["1", "2", "3", "4", "5", "6"]
    assert "missing" not in made.columns["district"]


def test_a_code_that_is_missing_elsewhere_is_no_value_of_a_segment(draft):
    nine = with_codes(cycle(FIVE), n9=30)
    regions = with_codes(cycle([1, 2, 3, 4]), n9=12)
    made = draft({"q1": nine, "q2": nine[::-1], "q3": nine, "region": regions})
    assert made.columns["region"]["missing"] == {"9": "no answer"}
    assert "9" not in made.columns["region"]["values"]


def test_a_district_from_1_to_6_is_never_never_used_beside_ratings_where_6_is(draft):
    six = with_codes(cycle(FIVE), n6=120, n0=5)
    made = draft({"q1_food": six, "q1_district": cycle([1, 2, 3, 4, 5, 6]), "q1_shops": six[::-1]})
    assert made.columns["q1_food"]["role"] == "touchpoint"
    district = next(c for name, c in made.columns.items() if "district" in name)
    assert district["role"] == "segment"
    assert "6" in district["values"]


def test_names_of_people_are_left_out(blind, draft):
    made, still = blind("bank_like.csv")
    assert "customer_name" in made.table["ignore"]
    assert "names of people: 'customer_name'" in made.table["confirm"]
    assert still == [("rating", "outcome")]
    people = [f"{first} {last}" for first in ("Ann", "Bo", "Cy") for last in "KLMNOPQRST"]
    made = draft({"client": cycle(people), "agent name": cycle(people[:4]),
                  "product name": cycle(["Card", "Loan"]), "overall": cycle(FIVE)})  # fmt: skip
    assert made.table["ignore"] == ["client", "agent name"]
    assert made.columns["product_name"]["role"] == "segment"


@pytest.mark.parametrize(
    "header",
    ["Kundenname", "Nachname", "Vorname", "Prénom", "Nom", "Nom du client", "Apellido", "Nombre",
     "Cognome", "Achternaam", "Sobrenome", "Given name", "Anschrift"],
)  # fmt: skip
def test_names_of_people_are_left_out_in_other_languages(draft, header):
    made = draft({header: cycle(["Anna", "Jörg", "Luc", "Zoë"]), "overall": cycle(FIVE)})
    assert made.table["ignore"] == [header]


def test_a_telephone_that_is_rated_stays_and_a_number_to_call_does_not(draft):
    numbers = [f"+49 30 {100_000 + i}" for i in range(ROWS)]
    made = draft({"Telefon": cycle(FIVE), "Handynummer": numbers, "overall": cycle(FIVE)})
    assert made.columns["telefon"]["role"] == "touchpoint"
    assert made.table["ignore"] == ["Handynummer"]


@pytest.mark.parametrize(
    ("kind", "names"),
    [("Survey type", ["NPS", "CSAT"]), ("Umfrage", ["NPS", "Kundenzufriedenheit"]),
     ("Enquête", ["NPS", "Satisfaction"])],
)  # fmt: skip
@pytest.mark.parametrize("other", [[1, 2, 3, 4, 5], [0, 25, 50, 75, 100]])
def test_several_surveys_are_asked_about_whatever_their_scales(draft, kind, names, other):
    scores = [(i * 7) % 11 if i % 3 else other[i % 5] for i in range(ROWS)]
    made = draft({"Score": scores, kind: [names[i % 3 == 0] for i in range(ROWS)]})
    assert made.columns["score"]["role"] == "text"
    assert "distinguishes several surveys" in made.columns["score"]["confirm"]


def test_the_only_rating_is_asked_about_as_outcome_and_nps(blind):
    made, _ = blind("bank_like.csv")
    asked = made.columns["rating"]["confirm"]
    assert "the only rating of the file" in asked
    assert 'scale = "likelihood_to_recommend"' in asked
    assert 'role = "touchpoint"' in asked
    done = run("study", "confirm", made.path, "rating=nps")
    assert done.exit_code == 0, done.output
    study = load_study(made.path)
    assert [metric.name for metric in study.metrics("outcome")] == ["nps"]


def test_several_surveys_in_one_score_column_are_asked_about(blind):
    made, still = blind("two_surveys.csv")
    asked = made.columns["score"]["confirm"]
    assert "'Survey Type' distinguishes several surveys" in asked
    assert "('csat' and 'nps')" in asked.replace(", ", " and ")
    assert "kept as text so that nothing is averaged" in asked
    assert still == [("score", "text")]


def test_the_command_for_several_surveys_averages_no_two_scales(tmp_path):
    survey = cycle(("nps", "csat"))
    scores = [1 + i % 5 if name == "csat" else i % 11 for i, name in enumerate(survey)]
    made = draft_study(write_csv(tmp_path / "a.csv", {"survey": survey, "value": scores}))
    study = str(made.path)
    shown = CliRunner().invoke(main, ["study", "check", study, "--confirm-all"]).output
    assert f"cxlab study confirm {study} value=text" in shown
    done = CliRunner().invoke(main, ["study", "confirm", study, "value=text"])
    assert done.exit_code == 0, done.output
    assert load_study(study).metrics() == []


def test_scores_of_one_question_after_all_may_still_be_an_outcome(tmp_path):
    survey = cycle(("nps", "csat"))
    made = draft_study(write_csv(tmp_path / "a.csv", {"survey": survey, "value": cycle(range(11))}))
    done = CliRunner().invoke(main, ["study", "confirm", str(made.path), "value=nps"])
    assert done.exit_code == 0, done.output
    accept_guesses(made.path)
    assert [metric.name for metric in load_study(made.path).metrics()] == ["nps"]


@pytest.mark.parametrize("names", [("a", "b"), (1, 2)])
def test_surveys_without_telling_names_are_told_by_their_scores(draft, names):
    survey = cycle(names)
    scores = [1 + i % 5 if name == names[0] else i % 11 for i, name in enumerate(survey)]
    made = draft({"survey": survey, "overall score": scores})
    asked = made.columns["overall_score"]["confirm"]
    assert "(120 rows) never pass 5, others reach 10" in asked
    assert made.columns["overall_score"]["by_hand"]


def test_one_row_an_answer_is_asked_about(draft):
    people = [f"p{i // 3}" for i in range(ROWS)]
    made = draft({"respondent id": people, "question": cycle(["Food", "Shops", "Staff"]),
                  "answer rating": [1 + (i * 7) % 5 for i in range(ROWS)]})  # fmt: skip
    assert "pivot the file by 'question'" in made.columns["answer_rating"]["confirm"]
    assert made.columns["answer_rating"]["by_hand"]


def test_segments_do_not_tell_surveys_apart_by_chance(draft):
    made = draft({"overall": cycle([0, 3, 5, 8, 10]), "region": cycle(["N", "S", "E"])})
    assert "several surveys" not in made.columns["overall"]["confirm"]
    label = [
        "Detractor" if v <= 6 else "Passive" if v <= 8 else "Promoter" for v in cycle(range(11))
    ]
    made = draft({"overall": cycle(range(11)), "score label": label})
    assert "several surveys" not in made.columns["overall"]["confirm"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [("Not Available", "no answer"), ("inapplicable", "not asked"), ("N/A", "never used")],
)
def test_words_for_missing_answers_say_why(text, reason):
    assert missing_reason(text) == reason


def test_a_scale_names_the_columns_it_was_guessed_from(draft):
    made = draft({f"q{i}": cycle(FIVE) for i in range(7)})
    assert "Guessed from 'q0', 'q1', 'q2', 'q3', 'q4' and 2 more" in made.scale("q0")["confirm"]


@pytest.mark.parametrize(
    ("given", "told"),
    [("overal=outcome", r"got 'overal'. Did you mean 'overall'"), ("overall=nonsense", "nonsense"),
     ("region=outcome", "must have a `scale`"), ("overall", "as in overall=outcome")],
)  # fmt: skip
def test_a_wrong_decision_leaves_the_study_file_as_it_was(draft, given, told):
    made = draft({"overall": cycle(FIVE), "region": cycle(["N", "S", "E"])})
    before = made.path.read_text(encoding="utf-8")
    refused = run("study", "confirm", made.path, given)
    assert refused.exit_code == 2
    assert re.search(told, " ".join(refused.output.split()))
    assert made.path.read_text(encoding="utf-8") == before


def test_a_column_decided_to_be_ignored_is_not_read(draft):
    made = draft({"overall": cycle(FIVE), "region [new]": cycle(["N", "S", "E"])})
    assert (
        run("study", "confirm", made.path, "region [new]=ignore", "overall=outcome").exit_code == 0
    )
    accept_guesses(made.path)
    assert "region_new" not in load_study(made.path).read()


def guessed(tmp_path, **columns):
    pd.DataFrame(columns).to_csv(tmp_path / "a.csv", index=False)
    drafted = draft_study(tmp_path / "a.csv", force=True)
    return {guess.profile.header: guess for guess in drafted.guesses}


def test_decimals_are_never_a_customer_or_a_cluster(tmp_path):
    decimals = [f"{10 + i % 97 / 7:.6f}" for i in range(ROWS)]
    found = guessed(tmp_path, **{
        "Overall Customer Satisfaction": decimals, "Customer Expectations": decimals[::-1],
        "customer": decimals, "cluster": [f"{i % 40}.5" for i in range(ROWS)],
        "Customer service": cycle(FIVE), "Customer Rating": cycle(FIVE),
    })  # fmt: skip
    roles = {header: guess.role for header, guess in found.items()}
    assert {roles[header] for header in list(roles)[:4]} == {"number"}
    assert {roles[header] for header in list(roles)[4:]} <= {"outcome", "touchpoint"}


@pytest.mark.parametrize("codes", [[1, 2, 9], [0, 1, 9], [1, 2, 8, 9]])
def test_yes_and_no_with_a_missing_code_is_no_rating(tmp_path, codes):
    found = guessed(tmp_path, id=range(ROWS), q1=cycle([*FIVE, 9]), owner_yn=cycle(codes))
    guess = found["owner_yn"]
    assert guess.role == "segment"
    assert guess.missing["9"] == "no answer"
    assert set(guess.values) == {str(code) for code in codes if code < 3}
    assert "9 (" in guess.confirm


@pytest.mark.parametrize("header", ["customer_name", "Respondent Name", "Name", "customer"])
def test_whoever_is_named_is_left_out(tmp_path, header):
    names = [f"Ann{'abcdefgh'[i % 8]} Made{'abcdefgh'[i // 8 % 8]}" for i in range(ROWS)]
    guess = guessed(tmp_path, **{header: names, "overall": cycle(FIVE)})[header]
    assert guess.role == "ignore"


def test_the_only_rating_from_0_to_10_is_asked_about(tmp_path):
    guess = guessed(tmp_path, id=range(ROWS), rating=cycle(range(11)))["rating"]
    assert guess.role == "outcome"
    assert "the only rating of the file" in guess.confirm
    both = guessed(tmp_path, food=cycle(FIVE), shops=cycle(FIVE), score=cycle(range(11)))
    assert "the only rating from 0 to 10 of the file" in both["score"].confirm
    assert 'until you set scale = "likelihood_to_recommend"' in guess.confirm
    several = guessed(tmp_path, food=cycle(FIVE), shops=cycle(FIVE))
    assert {guess.role for guess in several.values()} == {"touchpoint"}


def test_a_district_of_six_is_no_never_used(tmp_path):
    found = guessed(tmp_path, q1=cycle(FIVE), district=cycle([1, 2, 3, 4, 6, 6]),
                    ward=cycle([1, 2, 3, 4, 5, 6, 6, 6]))  # fmt: skip
    assert [found[name].role for name in ("district", "ward")] == ["segment", "segment"]
    assert found["district"].missing == found["ward"].missing == {}


@pytest.fixture
def surveymonkey(tmp_path):
    """The platform's export as plain CSV: its two header rows joined, in UTF-8."""
    mirror = os.environ.get("CXLAB_DATA", "")
    export = Path(mirror) / "exports" / "surveymonkey_two_header_rows.csv"
    if not mirror or not export.is_file():
        pytest.skip("CXLAB_DATA names no folder with the SurveyMonkey export")
    with export.open(encoding="cp1252", newline="") as stream:
        questions, parts, *rows = csv.reader(stream)
    headers, question = [], ""
    for text, part in zip(questions, parts, strict=True):
        question = text or question
        headers.append(question if part in ("", "Response") else f"{question} - {part}")
    path = tmp_path / "films.csv"
    with path.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([headers, *rows])
    return path


def test_a_surveymonkey_export_goes_from_file_to_report(surveymonkey, tmp_path):
    drafted = draft_study(surveymonkey)
    roles = pd.Series([guess.role for guess in drafted.guesses]).value_counts().to_dict()
    assert roles == {"touchpoint": 14, "segment": 11, "text": 6, "number": 6, "id": 1}
    accept_guesses(drafted.path, by_hand=True)
    study = load_study(drafted.path)
    answers = study.read()
    assert len(answers) == 1186
    # counted in the export by hand of grep: 610 very, 151 somewhat, 44 neither, 8 and 1 against
    assert answers["han_solo"].value_counts().to_dict() == {5: 610, 4: 151, 3: 44, 2: 8, 1: 1}
    assert (answers["han_solo_missing"] == "never used").sum() == 15
    assert answers["gender"].value_counts().to_dict() == {"Female": 549, "Male": 497}
    made = run_reports(str(drafted.path), notebooks=["scorecard"], output=tmp_path / "reports")
    assert made.failures == []
    assert [page.name for page in made.pages] == ["2-scorecard.html"]


def test_the_raw_surveymonkey_export_drafts_like_its_plain_form(surveymonkey, tmp_path):
    export = Path(os.environ["CXLAB_DATA"]) / "exports" / "surveymonkey_two_header_rows.csv"
    raw, plain = draft_study(export, tmp_path / "raw.toml"), draft_study(surveymonkey)
    assert [guess.role for guess in raw.guesses] == [guess.role for guess in plain.guesses]
    for draft in (raw, plain):
        accept_guesses(draft.path, by_hand=True)
    columns = ["han_solo", "han_solo_missing", "gender"]
    raw_answers, answers = (load_study(draft.path).read()[columns] for draft in (raw, plain))
    pd.testing.assert_frame_equal(raw_answers, answers)


def test_the_airport_survey_drafts_to_its_known_figures(sfo, tmp_path):
    """What took a code book to declare is guessed from the file, and asked about."""
    mirror = Path(os.environ["CXLAB_DATA"])
    file = mirror / "sfo" / "2017_SFO_Customer_Survey_20250817.csv"
    path = draft_study(file, tmp_path / "airport.toml").path
    accept_guesses(path, by_hand=True)
    study = load_study(path)
    table = check_answers(study.read(), study).set_index("column")
    known = {"q7all": 2688, "q7food": 2421, "q7ltparking": 834, "netpro": 2746}
    assert table.loc[list(known), "answered"].to_dict() == known
    assert table.loc["q7all", "mean"] == pytest.approx(4.064360, abs=5e-7)


@pytest.mark.parametrize(
    ("texts", "form"),
    [(["2025-07-01", "2025-12-31"], None), (["2025-7-1", "2025-12-31"], "%Y-%m-%d")],
)
def test_a_draft_says_of_dates_how_they_are_read(draft, texts, form):
    drafted = draft({"visited": cycle(texts), "food": cycle(FIVE)})
    assert drafted.columns["visited"]["role"] == "date"
    assert drafted.columns["visited"].get("format") == form
    assert drafted.read()["visited"].dt.month.tolist() == cycle([7, 12])


@pytest.mark.parametrize(
    ("header", "values", "role", "said"),
    [
        ("visited on", [20251002 + i for i in range(20)], "date", "year, month and day"),
        ("visit", [20251002 + i for i in range(20)], "date", "such as 20251002"),
        (
            "date",
            [45931 + i for i in range(30)],
            "number",
            "as Excel counts them (45946 is 2025-10-16)",
        ),
        ("date", [45931.5 + i for i in range(30)], "number", "as Excel counts them"),
        (
            "submitted",
            [1759276800 + 86400 * i for i in range(30)],
            "number",
            "seconds since 1970 (176",
        ),
        ("submitted", [1759276800000 + i for i in range(30)], "number", "milliseconds since 1970"),
        (
            "date",
            [f"{1 + i} octobre 2025" for i in range(30)],
            "text",
            "not English, such as '1 octobre",
        ),
        ("date", [f"{1 + i} de marzo de 2025" for i in range(30)], "text", "2025-10-02"),
        ("spend", [45931 + i for i in range(30)], "number", "Is it, and no code?"),
        ("flight", [20251332 + i for i in range(30)], "number", "Is it, and no code?"),
    ],
)
def test_dates_that_are_not_read_are_hinted_at(draft, header, values, role, said):
    made = draft({header: cycle(values), "overall": cycle(FIVE)})
    name, column = next(iter(made.columns.items()))
    assert column["role"] == role
    assert said in column["confirm"]
    assert ("as Excel counts" in column["confirm"]) == ("Excel" in said)
    if role == "date":
        dates = made.read()[name]
        assert dates.dt.strftime("%Y%m%d").tolist()[:2] == ["20251002", "20251003"]


def test_months_are_no_dates(draft):
    drafted = draft({"visited": cycle(["2025-07", "2025-12"]), "food": cycle(FIVE)})
    assert drafted.columns["visited"]["role"] == "segment"
    assert drafted.read()["visited"].cat.categories.tolist() == ["2025-07", "2025-12"]


# wide files -------------------------------------------------------------------------------


def write_wide(path, columns=790, rows=400):
    """Ratings, yes and no, 0 to 10, choices, free text: eight columns of a kind in a row."""
    rng = np.random.default_rng(1)
    kinds = [
        lambda: rng.choice([1.0, 2, 3, 4, 5, 8, 9], rows),
        lambda: rng.integers(1, 6, rows).astype(float),
        lambda: rng.choice([1.0, 2, 9], rows),
        lambda: rng.integers(0, 11, rows).astype(float),
        lambda: np.where(rng.random(rows) < 0.5, 1.0, np.nan),
        lambda: np.array([f"word {a} and {b}" for a, b in rng.integers(0, 999, (rows, 2))]),
    ]
    answers = {f"q{i // 8}_{i % 8}": kinds[i // 8 % len(kinds)]() for i in range(columns - 1)}
    frame = pd.DataFrame({"id": np.arange(rows) + 1.0, **answers})
    labels = {1: "Very poor", 2: "Poor", 3: "Fair", 4: "Good", 5: "Very good", 9: "Refused"}
    rated = {name: labels for name in answers if int(name[1:].split("_")[0]) % 6 == 0}
    if path.suffix == ".sav":
        import pyreadstat

        pyreadstat.write_sav(frame, str(path), variable_value_labels=rated)
    else:
        frame.to_csv(path, index=False)


@pytest.mark.parametrize("kind", ["csv", "sav"])
def test_a_wide_file_tells_how_far_it_is(tmp_path, kind):
    write_wide(tmp_path / f"wide.{kind}", rows=300)
    lines = []
    draft = draft_study(tmp_path / f"wide.{kind}", progress=lines.append)
    assert len(draft.guesses) == 790
    assert lines[0] == "counted 100 of 790 columns"
    assert lines[-1] == "guessed 700 of 790 columns"


def test_a_narrow_file_says_nothing_of_progress(tmp_path):
    write_wide(tmp_path / "narrow.csv", columns=20)
    lines = []
    draft_study(tmp_path / "narrow.csv", progress=lines.append)
    assert lines == []


# results, not answers ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        ("Facility ID,Answer Description,Answer Percent,Number of Completed Surveys\n"
         "10001,Always,80,300\n10002,Usually,15,200\n",
         "'Number of Completed Surveys' and 'Answer Percent'"),
        ("Trust,Total Responses,Percentage Positive\nA,100,95\nB,300,93\n",
         "'Total Responses' and 'Percentage Positive'"),
        ("Answer,Count,Percent\nYes,50,55.5%\nNo,40,44.5%\n", "'Count' and 'Percent'"),
        ("Question,N,Mean,SD\nQ1,100,4.1,0.9\nQ2,100,3.8,1.1\n", "'N' and 'Mean'"),
        ("Quarter,Promoters,Passives,Detractors\nQ1,55,25,20\nQ2,60,20,20\n",
         "'Promoters' and 'Detractors'"),
        ("Question,Very satisfied,Satisfied,Neutral\nFood,20,30,10\nRooms,25,20,15\n",
         "'Very satisfied', 'Satisfied' and 'Neutral'"),
        ("Question,Very good,Good,Poor\nFood,20.5%,30%,10%\nRooms,25%,20%,15%\n",
         "'Very good', 'Good' and 'Poor'"),
        ("Segment,Unweighted base,Top 2 box %\nA,200,55\nB,300,60\n",
         "'Unweighted base' and 'Top 2 box %'"),
        ("segment,nps,n,ci_low,ci_high\nA,-20,200,-31.5,-8.2\nB,33,300,25.1,41\n",
         "'n' and 'ci_low'"),
    ],
)  # fmt: skip
def test_a_table_of_results_is_refused(tmp_path, content, columns):
    (tmp_path / "a.csv").write_text(content)
    message = f"a.csv: every row must be the answers of one respondent; the columns {columns} hold"
    with pytest.raises(ValueError, match=message):
        draft_study(tmp_path / "a.csv")


@pytest.mark.parametrize(
    "header",
    ["count,percent_complete", "average spend,visits", "How likely are you to share it?,n",
     "nps,responses", "Good,Poor"],
)  # fmt: skip
def test_answers_with_counts_among_them_are_answers(tmp_path, header):
    lines = "".join(f"{i},{i % 2},{(i + 1) % 3},{i % 5 + 1}\n" for i in range(40))
    (tmp_path / "a.csv").write_text(f"id,{header},overall\n{lines}")
    assert draft_study(tmp_path / "a.csv").guesses[0].role == "id"


# other languages, numbers as text, what a header tells --------------------------------------


@pytest.mark.parametrize(
    ("overall", "recommend", "blank"),
    [("Gesamtzufriedenheit", "Weiterempfehlung", "k. A."),
     ("Satisfaction globale", "Recommanderiez-vous", "Ne sait pas"),
     ("Satisfacción general", "Recomendación", "No aplica"),
     ("Soddisfazione complessiva", "Ci consiglierebbe", "Non so"),
     ("Satisfação geral", "Recomendaria", "Não se aplica"),
     ("Algemene tevredenheid", "Aanbeveling", "Weet niet")],
)  # fmt: skip
def test_outcomes_and_missing_answers_are_known_in_other_languages(
    draft, overall, recommend, blank
):
    made = draft(
        {
            overall: cycle(FIVE),
            recommend: cycle(range(11)),
            "Parken": cycle([5, 4, 3, blank, 2, 1]),
        },
        delimiter=";",
    )
    roles = [column["role"] for column in made.columns.values()]
    assert roles == ["outcome", "outcome", "touchpoint"]
    assert list(made.columns["parken"]["missing"]) == [blank]


@pytest.mark.parametrize("header", ["Service (0-10)", "Service [0 à 10]", "Service, von 0 bis 10"])
@pytest.mark.parametrize("scores", [range(1, 11), range(4, 8), range(6)])
def test_the_ends_that_a_header_tells_are_those_of_the_scale(draft, header, scores):
    made = draft({"overall": cycle(FIVE), header: cycle(scores)})
    (name,) = set(made.columns) - {"overall"}
    assert made.scale(name)["range"] == [0, 10]
    assert "missing" not in made.columns[name]


def test_ends_that_scores_pass_are_not_those_of_the_scale(draft):
    made = draft({"overall": cycle(FIVE), "Service (1-5)": cycle(range(1, 8))})
    assert made.scale("service_1_5")["range"] == [1, 7]


@pytest.mark.parametrize("written", ["'{}", '"{}"', "{}"])
def test_scores_that_a_spreadsheet_took_as_text_are_scores(draft, written):
    wide = str.maketrans("0123456789", "０１２３４５６７８９")
    texts = [written.format(score) for score in range(11)]
    texts = texts if written != "{}" else [text.translate(wide) for text in texts]
    made = draft({"NPS": cycle(texts), "Wait": cycle(FIVE)})
    assert made.scale("nps")["range"] == [0, 10]
    assert made.read()["nps"].tolist() == cycle(range(11))


def test_opposites_are_no_spellings_of_one_word(draft):
    words = ["Très satisfait"] * 200 + ["Très insatisfait"] * 8 + ["Neutre"] * 32
    column = draft({"avis": words, "overall": cycle(FIVE)}).columns["avis"]
    assert "spelt almost" not in column["confirm"]


def test_a_rating_in_unknown_words_is_left_to_somebody(draft):
    words = ["Très insatisfait", "Insatisfait", "Neutre", "Satisfait", "Très satisfait"]
    made = draft({"Satisfaction": cycle(words), "Wait": cycle(FIVE)})
    assert made.columns["satisfaction"]["by_hand"]
    assert "declare a scale whose labels are these words" in made.columns["satisfaction"]["confirm"]


def test_dates_of_several_forms_are_named_as_such(draft):
    forms = ["31/12/2025", "2025-12-30", "Dec 29, 2025"]
    column = draft({"date": cycle(forms), "overall": cycle(FIVE)}).columns["date"]
    assert column["role"] == "text"
    assert "Dates of several forms, such as '31/12/2025', '2025-12-30'" in column["confirm"]


def test_a_score_from_0_to_100_becomes_an_outcome_as_the_draft_says(draft):
    made = draft({"id": range(101), "score": range(101)})
    assert made.columns["score"]["by_hand"]
    made.change(
        ("[tables.answers]", '[scales.zero_to_hundred]\nrange = [0, 100]\nmetrics = ["mean"]\n\n'
                             "[tables.answers]"),
        ('role = "number"', 'role = "outcome"\nscale = "zero_to_hundred"'),
    )  # fmt: skip
    assert made.read()["score"].tolist() == list(range(101))


@pytest.mark.parametrize("above", ["sep=,\n", "\nsep=;\n", "Survey of 2025\n"])
def test_a_line_above_the_header_is_named_as_the_reason(tmp_path, above):
    (tmp_path / "a.csv").write_text(above + "id;nps;comment\n1;9;Good, but slow, again\n")
    with pytest.raises(ValueError, match=r"a.csv.*(one cell in each line|2 cells|header)") as error:
        draft_study(tmp_path / "a.csv")
    assert "what stands above the header" in str(error.value)


@pytest.mark.parametrize(
    ("scores", "offered"), [(FIVE, False), (range(11), True), (range(1, 11), True)]
)
def test_an_nps_is_offered_of_scores_to_ten_only(draft, scores, offered):
    column = draft({"id": range(ROWS), "Rating": cycle(scores)}).columns["rating"]
    assert "It is the only rating of the file" in column["confirm"]
    assert ("likelihood_to_recommend" in column["confirm"].split("only rating")[1]) is offered
