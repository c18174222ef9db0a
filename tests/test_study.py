import textwrap

import numpy as np
import pandas as pd
import pytest

from cxlab import check_answers, load_study, scorecard, top_box
from cxlab.core.design import Design
from cxlab.survey.scales import REASONS

#: What reads declared files.
ENGINES = ("pandas", "duckdb", "polars")

STUDY = """
[study]
name = "small"
title = "A small study"

[scales.rating]
range = [1, 5]
bins = { low = [1, 3], top = [4, 5] }
missing = { 6 = "never used", 99 = "don't know", "N/A" = "never used" }
labels = { 5 = "Excellent" }
metrics = ["mean", "top box"]

[tables.answers]
files = { 2024 = "old.csv", 2025 = "new.csv" }
ignore = ["Comment*"]

[tables.answers.columns.respondent]
column = "ID"
role = "id"

[tables.answers.columns.weight]
role = "weight"

[tables.answers.columns.stratum]
role = "strata"

[tables.answers.columns.site]
role = "cluster"

[tables.answers.columns.gender]
role = "segment"
values = { 1 = "Male", 2 = "Female" }
missing = { 0 = "no answer" }

[tables.answers.columns.overall]
column = { 2024 = "Q1", 2025 = "Q1ALL" }
role = "outcome"
scale = "rating"

[tables.answers.columns.wifi]
column = { 2025 = "Q2" }
role = "touchpoint"
scale = "rating"
"""
OLD = """*ID,WEIGHT ,stratum,site,gender,Q1,Comments
1,1,a,s1,1,5,fine
2,1,a,s2,2,4.0,
3,2,b,s3,0,6,
"""
NEW = """ID,weight,stratum,site,gender,Q1ALL,Q2,Comment 2
1,1,a,s1,2,Excellent,n/a,x
2,0.5,a,s1,2,,3,x
3,1,b,,1,99,1,x
4,1.5,b,s2,2,2,5,x
"""


@pytest.fixture
def make(tmp_path):
    """Writes the small study, with replacements, and loads it."""

    def write(*replacements, old=OLD, new=NEW):
        text = STUDY
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        (tmp_path / "study.toml").write_text(textwrap.dedent(text), encoding="utf-8")
        (tmp_path / "old.csv").write_text(old, encoding="utf-8")
        (tmp_path / "new.csv").write_text(new, encoding="utf-8")
        return load_study(tmp_path)

    return write


def test_scores_and_reasons_are_kept_apart(make):
    answers = make().read(period="2025")
    assert answers["overall"].tolist()[0] == 5  # a label of the scale
    assert answers["overall"].isna().tolist() == [False, True, True, False]
    assert answers["overall_missing"].fillna("-").tolist() == ["-", "no answer", "don't know", "-"]
    assert answers["wifi_missing"].fillna("-").tolist() == ["never used", "-", "-", "-"]


def test_each_cell_has_a_score_or_a_reason_never_both(make):
    answers = make().read()
    for name in ("overall", "wifi"):
        assert (answers[name].notna() ^ answers[f"{name}_missing"].notna()).all()
        assert set(answers[f"{name}_missing"].dropna()) <= set(REASONS)


def test_headers_are_matched_without_asterisk_blanks_and_case(make):
    answers = make().read(period="2024")
    assert answers["respondent"].tolist() == ["1", "2", "3"]
    assert answers["weight"].tolist() == [1.0, 1.0, 2.0]


def test_a_question_of_one_wave_is_not_asked_in_the_other(make):
    answers = make().read(period="2024")
    assert answers["wifi"].isna().all()
    assert (answers["wifi_missing"] == "not asked").all()


def test_strata_of_two_periods_are_two_strata(make):
    assert make().read()["stratum"].tolist() == [
        "2024 a", "2024 a", "2024 b", "2025 a", "2025 a", "2025 b", "2025 b"]  # fmt: skip


def test_stratum_clusters_counts_the_whole_design_after_a_filter(make):
    study = make()
    assert study.read(period="2025")["stratum_clusters"].tolist() == [1, 1, 2, 2]
    part = study.read(period="2025", where={"gender": "Female"})
    assert len(part) == 3
    assert part["stratum_clusters"].tolist() == [1, 1, 2]


def test_segments_keep_the_declared_order(make):
    answers = make().read(period="2025")
    assert answers["gender"].cat.categories.tolist() == ["Male", "Female"]
    assert make().read()["gender"].cat.categories.tolist() == ["Male", "Female"]


def test_design_passes_the_declared_columns(make):
    assert make().design == Design("weight", "stratum", "site", "stratum_clusters")


def test_where_takes_lists_and_numbers(make):
    study = make()
    assert len(study.read(where={"gender": ["Male", "Female"]})) == 6
    assert study.read(where={"overall": 5})["respondent"].tolist() == ["1", "1"]


def test_check_answers_adds_up(make):
    study = make(('title = "A small study"', 'title = "A"\nmin_group_size = 1'))
    table = check_answers(study.read(), study)
    assert (table[["answered", *REASONS]].sum(axis=1) == table["n"]).all()
    assert table.set_index("column").loc["wifi", ["answered", "not asked"]].tolist() == [3, 3]
    assert table.set_index("column").loc["overall", "ceiling"] == pytest.approx(2 / 4)


@pytest.mark.parametrize(
    ("where", "message"),
    [({"gendr": "Male"}, "got 'gendr'. Did you mean 'gender'?"),
     ({"gender": "Femal"}, "must be 'Female' or 'Male'; got 'Femal'. Did you mean 'Female'?"),
     ({"gender": "Male", "overall": 2}, "at least one answer"),
     ({"__import__('os')": 1}, "`where` must be a column")],
)  # fmt: skip
def test_bad_where_is_refused(make, where, message):
    with pytest.raises(
        ValueError, match=message.replace("?", r"\?").replace("(", r"\(").replace(")", r"\)")
    ):
        make().read(where=where)


def test_where_that_is_not_a_mapping_is_refused(make):
    with pytest.raises(TypeError, match="must be a mapping of column to value"):
        make().read(where="gender == 'Male'")


def test_period_that_is_not_there_is_refused(make):
    with pytest.raises(ValueError, match="`period` must be '2024' or '2025'; got '2026'"):
        make().read(period="2026")


def test_unknown_table_is_refused(make):
    with pytest.raises(ValueError, match="`table` must be 'answers'; got 'answer'. Did you mean"):
        make().read("answer")


BAD_FILES = {
    "off the scale": (NEW.replace("x\n4,1.5,b,s2,2,2,5", "x\n4,1.5,b,s2,2,7,5"),
                      "new.csv, column 'Q1ALL': scores must be whole numbers from 1 to 5; got '7'"),
    "a half": (NEW.replace(",2,2,5,", ",2,4.5,5,"), "whole numbers from 1 to 5; got '4.5'"),
    "text in a score": (NEW.replace(",99,1,", ",great,1,"), "got 'great'"),
    "undeclared code of a segment": (NEW.replace("s2,2,2", "s2,3,2"), "column 'gender': values"),
    "undeclared column": (NEW.replace("Comment 2", "Extra"), "got 'Extra'"),
    "missing column": (NEW.replace("Q1ALL", "Q1AL"), "Did you mean 'Q1AL'"),
    "negative weight": (NEW.replace("2,0.5,", "2,-0.5,"), "weights must be .*got '-0.5'"),
    "infinite weight": (NEW.replace("2,0.5,", "2,inf,"), "weights must be finite .*got 'inf'"),
    "blank weight": (NEW.replace("2,0.5,", "2,,"), "weights must be finite"),
    "repeated id": (NEW.replace("\n2,0.5", "\n1,0.5"), "must be unique; got '1' more than once"),
    "blank id": (NEW.replace("\n2,0.5", "\n,0.5"), "every row must have an id"),
    "repeated header": (NEW.replace("stratum", "site"), "unique; got 'site' twice"),
    "empty file": ("", "must hold a header and answers; it is empty"),
    "no rows": (NEW.splitlines()[0] + "\n", "at least one answer below its header"),
    "too many cells": (NEW + "5,1,a,s1,1,5,5,x,too,many\n", "cells in each line,? as its header"),
}  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file_gets_one_sentence(make, case, engine):
    content, message = BAD_FILES[case]
    with pytest.raises(ValueError, match=message):
        make(new=content).read(period="2025", engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_offending_values_are_counted(make, engine):
    content = NEW.replace(",99,1,", ",11,1,").replace(",2,2,5,", ",2,11,5,")
    with pytest.raises(ValueError, match=r"got '11' \(and 1 more\)\. If 11 means \"no answer\""):
        make(new=content).read(period="2025", engine=engine)


def test_wrong_encoding_is_named(make, tmp_path):
    study = make()
    (tmp_path / "new.csv").write_bytes(NEW.replace("fine", "x").encode() + b"5,1,a,s1,1,5,5,\xe9\n")
    with pytest.raises(ValueError, match=r'byte 0xe9 .* encoding = "cp1252"'):
        study.read(period="2025")


BAD_STUDIES = {
    "unknown role": (('role = "id"', 'role = "identity"'), "`role` of column 'respondent' must be"),
    "unknown scale": (('role = "touchpoint"\nscale = "rating"', 'role = "touchpoint"\nscale = "x"'),
                      "`scale` of 'wifi' must be 'rating'; got 'x'"),
    "rating without scale": (('role = "touchpoint"\nscale = "rating"', 'role = "touchpoint"'),
                             "must have a `scale`"),
    "unknown key": (('role = "weight"', 'role = "weight"\nlable = "w"'),
                    "got 'lable'. Did you mean 'label'"),
    "two weights": (('role = "strata"', 'role = "weight"'), "may have one column of role 'weight'"),
    "both file and files": (('ignore =', 'file = "x.csv"\nignore ='), "got both"),
    "no title": (('title = "A small study"', ""), "`title` of \\[study\\] must be text"),
    "not TOML": (("[study]", "[study"), "must be valid TOML"),
    "nested without end": (("[study]", "a = " + "[" * 3000 + "]" * 3000), "must be valid TOML"),
    "metric without bins": (('metrics = ["mean", "top box"]', 'metrics = ["nps"]'), "needs the bins"),
    "reserved name": (("columns.wifi]", "columns.x_missing]"), "are made on reading"),
    "shift that is no whole number": (('role = "touchpoint"', 'role = "touchpoint"\nshift = -0.5'),
                                      "`shift` of column 'wifi' must be a whole number"),
    "shift without a scale": (('role = "cluster"', 'role = "cluster"\nshift = -1'),
                              "`shift` of column 'site' must be left out"),
    "shift onto a missing code": (('role = "touchpoint"', 'role = "touchpoint"\nshift = -1'),
                                  "stored as 2 to 6 on scale 'rating' with shift = -1; got '6'"),
    "missing code that is a score": (
        ('role = "touchpoint"', 'role = "touchpoint"\nmissing = { 5 = "never used" }'),
        "`missing` of column 'wifi' must be codes that are not scores, .* got '5'"),
    "separator of two characters": (('ignore =', 'separator = ";;"\nignore ='),
                                    "`separator` of table 'answers' must be one character"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_STUDIES)
def test_bad_study_file_gets_one_sentence(make, case):
    replacement, message = BAD_STUDIES[case]
    with pytest.raises(ValueError, match=message):
        make(replacement)


def test_shift_is_added_to_the_code_and_missing_codes_are_as_stored(make):
    shifted = ('scale = "rating"\n\n[tables.answers.columns.wifi]',
               'scale = "low"\nshift = -1\nmissing = { 6 = "never used" }\n\n'
               "[tables.answers.columns.wifi]")  # fmt: skip
    scale = ("[tables.answers]\n",
             '[scales.low]\nrange = [0, 4]\nlabels = { 4 = "Excellent" }\n'
             'missing = { 99 = "don\'t know" }\n\n[tables.answers]\n')  # fmt: skip
    answers = make(shifted, scale).read()
    assert answers["overall"].dropna().tolist() == [4, 3, 4, 1]
    assert answers["overall_missing"].dropna().tolist() == ["never used", "no answer", "don't know"]


def test_a_code_off_a_shifted_scale_is_named_as_it_is_stored(make):
    content = OLD.replace(",4.0,", ",0,")
    shifted = ('scale = "rating"\n\n[tables.answers.columns.wifi]',
               'scale = "low"\nshift = -1\nmissing = { 6 = "never used" }\n\n'
               "[tables.answers.columns.wifi]")  # fmt: skip
    scale = ("[tables.answers]\n", "[scales.low]\nrange = [0, 4]\n\n[tables.answers]\n")
    with pytest.raises(ValueError, match=r"stored codes \(shift = -1\) must be .* 1 to 5; got '0'"):
        make(shifted, scale, old=content).read(period="2024")


def test_a_guess_that_is_not_confirmed_stops_reading(make):
    study = make(('role = "touchpoint"', 'role = "touchpoint"\nconfirm = "a touchpoint?"'))
    with pytest.raises(
        ValueError, match=r"1 still to confirm, first column 'wifi': a touchpoint\?"
    ):
        study.read()


def test_a_header_is_matched_exactly_before_it_is_matched_loosely(make):
    new = NEW.replace("Comment 2", "q1all")
    answers = make(('ignore = ["Comment*"]', 'ignore = ["Comment*", "q1all"]'), new=new).read(
        period="2025"
    )
    assert answers["overall"].tolist()[0] == 5
    with pytest.raises(ValueError, match="must have one column 'Q1all' .*got 'Q1ALL' or 'q1all'"):
        make(("Q1ALL", "Q1all"), ('["Comment*"]', '["q1all"]'), new=new).read(period="2025")


def test_a_semicolon_may_be_declared(make):
    study = make(("ignore =", 'separator = ";"\nignore ='),
                 old=OLD.replace(",", ";"), new=NEW.replace(",", ";"))  # fmt: skip
    assert len(study.read()) == 7


def test_nothing_in_a_study_file_is_evaluated(make, tmp_path):
    marker = tmp_path / "ran"
    code = f"__import__('pathlib').Path('{marker}').touch()"
    study = make(('values = { 1 = "Male"', f'values = {{ 1 = "{code}"'))
    study.read()
    with pytest.raises(ValueError, match="`where` of 'gender'"):
        study.read(where={"gender": code + " "})
    assert not marker.exists()


def test_missing_file_names_the_mirror_variable(make, tmp_path, monkeypatch):
    study = make()
    (tmp_path / "new.csv").unlink()
    monkeypatch.delenv("CXLAB_DATA", raising=False)
    with pytest.raises(FileNotFoundError, match="set CXLAB_DATA to a folder that holds it"):
        study.read(period="2025")


def test_mirror_folder_is_looked_at(make, tmp_path, monkeypatch):
    study = make()
    mirror = tmp_path / "mirror"
    mirror.mkdir()
    (tmp_path / "new.csv").rename(mirror / "new.csv")
    monkeypatch.setenv("CXLAB_DATA", str(mirror))
    assert len(study.read(period="2025")) == 4


def test_unknown_study_names_the_nearest():
    with pytest.raises(FileNotFoundError, match="'demo' or 'sfo'.*Did you mean 'demo'"):
        load_study("dmeo")


def test_demo_says_it_is_simulated():
    study = load_study("demo")
    assert study.simulated
    assert study.about.startswith("SIMULATED data, no real customers.")


def test_every_demo_table_reads():
    study = load_study("demo")
    rows = {name: len(study.read(name)) for name in study.definition.tables}
    assert rows["customers"] == 2500
    assert min(rows.values()) >= 500


class TestAirport:
    """Known figures of the airport survey (DESIGN)."""

    def test_rows_per_period(self, sfo):
        assert sfo.read().groupby("period").size().tolist() == [2958, 3087, 2831, 2809]

    def test_blank_likelihood_is_never_a_score(self, sfo):
        answers = sfo.read(period="2017")
        assert answers["recommend"].max() == 10
        assert answers["recommend"].notna().sum() == 2746
        assert (answers["recommend_missing"] == "no answer").sum() == 85

    def test_likelihood_was_asked_from_2017_only(self, sfo):
        answers = sfo.read(period=["2015", "2016"])
        assert (answers["recommend_missing"] == "not asked").all()

    def test_complete_cases_are_few(self, sfo):
        answers = sfo.read(period="2017")
        assert answers[[*sfo.touchpoints, "overall"]].notna().all(axis=1).sum() == 356
        assert len(sfo.touchpoints) == 23

    def test_missing_clusters_count_as_their_own(self, sfo):
        answers = sfo.read(period="2018")
        assert answers["flight_run"].isna().sum() == 12
        per_stratum = answers.groupby("departure_time")["stratum_clusters"].first()
        whole = (
            answers.dropna(subset="flight_run").groupby("departure_time")["flight_run"].nunique()
        )
        assert per_stratum.sum() == whole.sum() + 12

    def test_means_and_shares_are_the_known_ones(self, sfo):
        answers = sfo.read(period="2017")
        table = check_answers(answers, sfo).set_index("column")
        assert table.loc["overall", "answered"] == 2688
        assert table.loc["overall", "mean"] == pytest.approx(4.064360, abs=5e-7)
        assert table.loc["restaurants", ["answered"]].item() == 2421
        assert table.loc["restaurants", "mean"] == pytest.approx(3.615448, abs=5e-7)
        assert table.loc["long_term_parking", "answered"] == 834
        assert table.loc["long_term_parking", "mean"] == pytest.approx(3.850120, abs=5e-7)

    def test_weighted_overall_means(self, sfo):
        answers = sfo.read()
        rated = answers.dropna(subset="overall")
        means = (rated["overall"] * rated["weight"]).groupby(rated["period"]).sum() / rated.groupby(
            "period"
        )["weight"].sum()
        assert means.round(3).tolist() == [4.044, 4.053, 4.071, 4.042]


def test_reading_keeps_types_plain(make):
    answers = make().read()
    assert answers["overall"].dtype == np.float64
    assert isinstance(answers["overall_missing"].dtype, pd.StringDtype)


class TestOddFiles:
    """What exports of spreadsheets and databases look like."""

    def declare(self, tmp_path, name, **columns):
        parts = "".join(f"[tables.a.columns.{c}]\n{text}\n" for c, text in columns.items())
        (tmp_path / "study.toml").write_text(
            '[study]\nname = "odd"\ntitle = "Odd"\n[scales.r]\nrange = [1, 5]\n'
            f'[tables.a]\nfile = "{name}"\n{parts}'
        )
        return load_study(tmp_path)

    SCORE = 'role = "outcome"\nscale = "r"'
    TEXT = 'role = "text"'

    def test_a_byte_order_mark_is_dropped(self, tmp_path):
        (tmp_path / "odd.csv").write_bytes(b"\xef\xbb\xbfq\n5\n")
        assert self.declare(tmp_path, "odd.csv", q=self.SCORE).read()["q"].tolist() == [5]

    def test_a_line_that_is_too_short_is_refused(self, tmp_path):
        (tmp_path / "odd.csv").write_text("id,g,q\n1,x,5\n2,y\n3,z,4\n")
        study = self.declare(tmp_path, "odd.csv", id='role = "id"', g=self.TEXT, q=self.SCORE)
        with pytest.raises(
            ValueError, match=r"3 cells in each line, as its header; got 2 in line 3"
        ):
            study.read()

    def test_a_blank_line_of_one_column_is_an_answer_left_blank(self, tmp_path):
        (tmp_path / "odd.csv").write_text("q\n5\n\n4\n\n")
        answers = self.declare(tmp_path, "odd.csv", q=self.SCORE).read()
        assert answers["q_missing"].fillna("-").tolist() == ["-", "no answer", "-"]

    def test_parquet_keeps_nulls_and_whole_numbers(self, tmp_path):
        frame = pd.DataFrame(
            {
                "q": pd.array([5, None, 3], dtype="Int64"),
                "x": [1.0, np.nan, 2.0],
                "t": ["a", None, "b"],
            },
            index=[5, 5, 7],
        )
        frame.to_parquet(tmp_path / "odd.PARQUET")
        study = self.declare(
            tmp_path, "odd.PARQUET", q=self.SCORE, x=self.SCORE, t='role = "segment"'
        )
        answers = study.read()
        assert answers["q"].fillna(0).tolist() == [5, 0, 3]
        assert answers["x"].fillna(0).tolist() == [1, 0, 2]
        assert answers["t"].astype(object).fillna("-").tolist() == ["a", "-", "b"]

    def test_a_spreadsheet_is_refused_by_its_ending(self, tmp_path):
        (tmp_path / "odd.ods").write_bytes(b"PK")
        with pytest.raises(ValueError, match=r"must be one of .csv, .tsv, .txt, .parquet"):
            self.declare(tmp_path, "odd.ods", q=self.SCORE).read()

    def test_a_cut_gzip_file_is_refused(self, tmp_path):
        import gzip

        (tmp_path / "odd.csv.gz").write_bytes(gzip.compress(b"q\n5\n" * 200)[:-12])
        with pytest.raises(ValueError, match="whole gzip file"):
            self.declare(tmp_path, "odd.csv.gz", q=self.SCORE).read()

    def test_a_period_has_one_spelling_and_every_row_has_one(self, tmp_path):
        rows = "p,q\n2025-Q1,5\n2025-Q1 ,4\n2025-Q2,3\n"
        (tmp_path / "odd.csv").write_text(rows)
        study = self.declare(tmp_path, "odd.csv", p='role = "period"', q=self.SCORE)
        assert study.periods == ["2025-Q1", "2025-Q2"]
        assert len(study.read(period="2025-Q1")) == 2
        (tmp_path / "odd.csv").write_text(rows + ",1\n")
        with pytest.raises(ValueError, match="every row must have a period in 'p'; 1 have none"):
            study.read(period="2025-Q1")

    def test_dates_are_not_guessed(self, tmp_path):
        (tmp_path / "odd.csv").write_text("d\n03/04/2025\n")
        with pytest.raises(ValueError, match="ISO dates .*got '03/04/2025'"):
            self.declare(tmp_path, "odd.csv", d='role = "date"').read()
        study = self.declare(tmp_path, "odd.csv", d='role = "date"\nformat = "%d/%m/%Y"')
        assert study.read()["d"].dt.month.tolist() == [4]

    def test_an_underscore_is_no_digit(self, tmp_path):
        (tmp_path / "odd.csv").write_text("q\n0_5\n")
        with pytest.raises(ValueError, match="got '0_5'"):
            self.declare(tmp_path, "odd.csv", q=self.SCORE).read()

    def test_where_compares_numbers_as_numbers(self, tmp_path):
        (tmp_path / "odd.csv").write_text("x\n1234567\n1234568\n2.5\n")
        study = self.declare(tmp_path, "odd.csv", x='role = "number"')
        assert len(study.read(where={"x": 1234567})) == 1
        assert len(study.read(where={"x": {2.5, 1234568.0}})) == 2
        with pytest.raises(ValueError, match="`where` of 'x' must be '2.5', '1234567'"):
            study.read(where={"x": "many"})

    def test_clusters_that_span_periods_are_told_apart_only_where_they_do_not(self, tmp_path):
        (tmp_path / "odd.csv").write_text("p,c,q\n1,a,5\n2,a,4\n")
        cluster = 'role = "cluster"'
        columns = {"p": 'role = "period"', "q": self.SCORE}
        apart = self.declare(tmp_path, "odd.csv", c=cluster, **columns).read()
        assert apart["c"].tolist() == ["1 a", "2 a"]
        same = self.declare(tmp_path, "odd.csv", c=cluster + "\nspans_periods = true", **columns)
        assert same.read()["c"].tolist() == ["a", "a"]


@pytest.mark.parametrize(
    ("replacement", "message"),
    [(('ignore = ["Comment*"]', 'ignore = "Q*"'), "`ignore` of .* must be a list of texts"),
     (("labels = { 5 =", "labels = { 7 ="), "`labels` of scale 'rating' must be for scores from 1 to 5"),
     (('labels = { 5 = "Excellent" }', 'labels = { 4 = "Good", 5 = "good" }'), "must differ; got 'good'"),
     (('column = { 2025 = "Q2" }', 'column = { 2052 = "Q2" }'), "`column` of 'wifi' must be of periods"),
     (('title = "A small study"', 'title = "A"\nsimulated = "false"'), "`simulated` .* true or false"),
     (('role = "strata"', 'role = "strata"\nspans_periods = true'), "it is for clusters"),
     (('missing = { 0 = "no answer" }', 'missing = [0]'), "must be a table"),
     (('files = { 2024 = "old.csv", 2025 = "new.csv" }', "files = {}"), r"must be a table \{ period = file \} of one at least; got \{\}"),
     (('metrics = ["mean", "top box"]', 'metrics = "mean"'), "must be a list of texts"),
     (('title = "A small study"', 'title = "A"\nmin_group_size = "ten"'), "must be a whole number"),
     (('title = "A small study"', 'title = "A"\nmin_group_size = 0'), r"must be a whole number of 1 or more \(1 hides no group\); got 0")],
)  # fmt: skip
def test_a_contradiction_in_a_study_file_is_refused(make, replacement, message):
    with pytest.raises(ValueError, match=message):
        make(replacement)


@pytest.mark.parametrize("engine", ENGINES)
def test_labels_with_quotes_keep_their_declared_order(make, engine):
    labels = '2 = "I don\'t know", 1 = "\\"Other\\""'
    study = make(('values = { 1 = "Male", 2 = "Female" }', f"values = {{ {labels} }}"))
    answers = study.read(period="2025", engine=engine)
    table = top_box(answers, "overall", top=(4, 5), by="gender", design=study.design)
    assert table["group"].tolist() == ["I don't know", '"Other"']


def test_leading_outcomes_are_those_asked_in_the_period(sfo):
    assert sfo.leading_outcomes("2015") == ["overall"]
    assert sfo.advocacy_of("2015") is None
    assert sfo.headline_of("2015").name == "mean"
    assert sfo.leading_outcomes("2017") == ["overall", "recommend"]
    assert sfo.advocacy_of("2017") == "recommend"
    assert sfo.headline_of("2017").name == "nps"
    assert {metric.column for metric in sfo.metrics("outcome", period="2015")} == {"overall"}


def test_a_mean_of_few_answers_is_not_shown():
    demo = load_study("demo")
    answers = demo.read(period="2025-Q4").head(30)
    answers.loc[9:, "wifi"] = float("nan")
    answers.loc[:8, "wifi"] = 7.0
    answers.loc[:9, "signs"] = 7.0
    table = check_answers(answers, demo).set_index("column")
    assert table.loc["wifi", "answered"] == 9
    assert table.loc["wifi", ["mean", "floor", "ceiling"]].isna().all()
    assert table.loc["signs", "mean"] > 0


def test_a_customer_who_answers_often_is_one_cluster_in_all_periods(tmp_path):
    scores = np.random.default_rng(5).integers(0, 11, 20).repeat(6)
    pd.DataFrame({
        "period": np.tile(["2025-Q1", "2025-Q2"], 60), "who": np.arange(20).repeat(6), "s": scores,
    }).to_csv(tmp_path / "answers.csv", index=False)  # fmt: skip
    (tmp_path / "study.toml").write_text(
        '[study]\nname = "often"\ntitle = "Often"\n[scales.ten]\nrange = [0, 10]\n'
        'metrics = ["mean"]\nbins = { low = [0, 6], middle = [7, 8], high = [9, 10] }\n'
        '[tables.answers]\nfile = "answers.csv"\n[tables.answers.columns.period]\n'
        'role = "period"\n[tables.answers.columns.who]\nrole = "customer"\n'
        '[tables.answers.columns.s]\nrole = "outcome"\nscale = "ten"\n'
    )
    study = load_study(tmp_path / "study.toml")
    assert study.design.cluster == "who"
    card = scorecard(study.read(), study.metrics(), design=study.design).table
    # everybody repeats one answer: 120 say as much as the 20 customers
    of_each = scores[::6]
    assert card["se"].to_numpy() == pytest.approx([of_each.std(ddof=1) / np.sqrt(20)], rel=1e-6)
