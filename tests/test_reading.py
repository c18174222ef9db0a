"""What people's files hold beside answers, and that every engine reads the file that is named."""

from __future__ import annotations

import pandas as pd
import pytest

from cxlab import load_study

pl = pytest.importorskip("polars", reason="Polars is not installed")

EVERY = pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
#: Both ways from a file to clean cells: into memory, and into Parquet, which every engine scans.
FILES = pytest.mark.parametrize("engine", ["pandas", "duckdb"])
LAZY = pytest.mark.parametrize("engine", ["duckdb", "polars"])
HEAD = """\
[study]
name = "tiny"
title = "Tiny"
min_group_size = 1

[scales.ten]
range = [0, 10]
metrics = ["mean"]

[tables.main]
file = "FILE"
"""
RATING = 'role = "outcome"\nscale = "ten"'


def write_study(folder, file, table="", **columns):
    """A study of one table, written and loaded."""
    declared = "".join(f"\n[tables.main.columns.{c}]\n{text}\n" for c, text in columns.items())
    text = HEAD.replace("FILE", file) + table + declared
    (folder / "study.toml").write_text(text, encoding="utf-8")
    return load_study(folder)


def in_memory(answers):
    if isinstance(answers, pd.DataFrame):
        return answers
    # not by DuckDB's df(), which pandas 3 warns about where a zone is
    arrow = answers.to_arrow_table() if hasattr(answers, "df") else answers.collect().to_arrow()
    return arrow.to_pandas()


# files ------------------------------------------------------------------------------------


def write_answers(path, scores):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"id": [f"{path.name}{i}" for i in range(len(scores))], "q": scores})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


@FILES
@pytest.mark.parametrize("kind", ["csv", "csv.gz", "parquet"])
@pytest.mark.parametrize(
    ("named", "neighbour"),
    [("wave[1]", "wave1"), ("wave*", "wave2"), ("wave?", "wave3"), ("a[b-d]", "ac"),
     ("year=2024/w[1]", "year=2024/w1"), ("w[1]/a", "w1/a"), ("it's [1]", "it's 1"),
     ("**/a", "x/a"), ("[[]", "["), ("{a,b}", "a")],
)  # fmt: skip
def test_the_named_file_and_no_other_is_read(tmp_path, engine, kind, named, neighbour):
    write_answers(tmp_path / f"{named}.{kind}", [5, 5])
    write_answers(tmp_path / f"{neighbour}.{kind}", [9, 9])
    study = write_study(tmp_path, f"{named}.{kind}", id='role = "id"', q=RATING)
    assert in_memory(study.read(engine=engine))["q"].tolist() == [5, 5]


@FILES
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_is_read_by_its_name_and_its_files_by_theirs(tmp_path, engine, kind):
    write_answers(tmp_path / "part[1]" / f"a[1].{kind}", [5])
    write_answers(tmp_path / "part[1]" / f"b*.{kind}", [6])
    write_answers(tmp_path / "part1" / f"a1.{kind}", [9])
    study = write_study(tmp_path, "part[1]", id='role = "id"', q=RATING)
    assert sorted(in_memory(study.read(engine=engine))["q"]) == [5, 6]


@FILES
@pytest.mark.parametrize("file", ["wave?.{}", "wave*.{}", "wave[0-9].{}", "w[x]/wave?.{}"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_declared_pattern_is_one(tmp_path, engine, file, kind):
    for folder in (tmp_path, tmp_path / "w[x]"):
        write_answers(folder / f"wave1.{kind}", [5])
        write_answers(folder / f"wave2.{kind}", [6])
    write_answers(tmp_path / "wx" / f"wave3.{kind}", [9])
    study = write_study(tmp_path, file.format(kind), id='role = "id"', q=RATING)
    assert sorted(in_memory(study.read(engine=engine))["q"]) == [5, 6]


@FILES
def test_a_named_file_that_is_gone_is_not_its_neighbour(tmp_path, engine):
    write_answers(tmp_path / "wave1.csv", [9])
    study = write_study(tmp_path, "wave[1].csv", id='role = "id"', q=RATING)
    with pytest.raises(FileNotFoundError, match=r"wave\[1\]\.csv must be beside the study file"):
        study.read(engine=engine)


def test_the_named_file_is_looked_for_everywhere_before_a_pattern(tmp_path, monkeypatch):
    write_answers(tmp_path / "here" / "wave1.csv", [9])
    write_answers(tmp_path / "mirror" / "wave?.csv", [5])
    monkeypatch.setenv("CXLAB_DATA", str(tmp_path / "mirror"))
    study = write_study(tmp_path / "here", "wave?.csv", id='role = "id"', q=RATING)
    assert study.read()["q"].tolist() == [5]


@EVERY
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_named_like_a_value_adds_no_column(tmp_path, engine, kind):
    for year in (2024, 2025):
        path = tmp_path / f"year={year}" / f"a.{kind}"
        path.parent.mkdir()
        frame = pd.DataFrame({"q": [year - 2020], "year": [1999]})
        frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    study = write_study(tmp_path, f"year=*/a.{kind}", q=RATING, year='role = "number"')
    answers = in_memory(study.read(engine=engine))
    assert answers["q"].tolist() == [4, 5]
    assert answers["year"].tolist() == [1999, 1999]


# characters that nobody sees --------------------------------------------------------------

ZERO_WIDTH = ["\u200b", "\ufeff", "\u2060", "\u200e", "\u200d", "\u200c", "\xad", "\u202c"]
SCORES = [0, 7, 3, 10, 6, 2, 9, 5, 1, 8, 4]


def with_characters(values, marks):
    """Texts of values, one in three with an invisible character before, behind or around it."""
    texts = []
    for place, value in enumerate(values):
        mark = marks[place % len(marks)]
        texts.append([f"{mark}{value}", f"{value}", f"{mark} {value}{mark}"][place % 3])
    return texts


def drafted(folder, content, name="answers.csv", encoding="utf-8"):
    """A file, drafted and accepted as it is."""
    from cxlab.survey.drafting import accept_guesses, draft_study

    (folder / name).write_bytes(content.encode(encoding))
    draft = draft_study(folder / name, force=True)
    accept_guesses(draft.path, by_hand=True)
    return draft, load_study(draft.path)


@pytest.mark.parametrize("marks", [["\u200b"], ["\ufeff"], ZERO_WIDTH])
def test_zero_width_characters_are_no_part_of_a_number(tmp_path, marks):
    rows = zip(range(60), with_characters((SCORES * 6)[:60], marks), strict=False)
    lines = "".join(f"{i},{score},{i % 5 + 1}\n" for i, score in rows)
    draft, study = drafted(tmp_path, f"id,{marks[0]}recommend,overall{marks[0]}\n{lines}")
    guess = draft.guesses[1]
    assert (guess.role, guess.scale.low, guess.scale.high) == ("outcome", 0, 10)
    answers = study.read()
    assert answers["recommend"].tolist() == (SCORES * 6)[:60]
    assert list(answers)[-2:] == ["overall", "overall_missing"]


def test_a_cell_that_tells_a_spreadsheet_to_show_text_is_what_it_shows(tmp_path):
    lines = "".join(f'="{i:03}","=""{SCORES[i % 11]}""",{i % 5 + 1}\n' for i in range(60))
    draft, study = drafted(tmp_path, f"id,recommend,overall\n{lines}")
    assert [guess.role for guess in draft.guesses] == ["id", "outcome", "outcome"]
    answers = study.read()
    assert answers["id"].tolist()[:2] == ["000", "001"]
    assert answers["recommend"].tolist()[:11] == SCORES


@FILES
def test_every_role_reads_through_invisible_characters(tmp_path, engine):
    def marked(values):
        return with_characters(values, ZERO_WIDTH)

    frame = pd.DataFrame({
        "id": [f"\ufeffa{i}\u200b" for i in range(12)], "q": marked([*SCORES, "n/a"]),
        "\u200bn": marked([f"{i}.5" for i in range(12)]), "w": marked([1.25] * 12),
        "g": marked(["North", "South"] * 6), "h": marked(["x", "y"] * 6),
        "d": marked([f"2025-01-{i:02}" for i in range(1, 13)]), "t": ["\u200b"] * 12,
    })  # fmt: skip
    frame.to_csv(tmp_path / "a.csv", index=False)
    study = write_study(
        tmp_path, "a.csv", id='role = "id"', q=f'{RATING}\nmissing = {{ "n/a" = "never used" }}',
        n='role = "number"', w='role = "weight"', g='role = "segment"',
        h='role = "segment"\nvalues = { x = "X", y = "Y" }', d='role = "date"', t='role = "text"',
    )  # fmt: skip
    answers = in_memory(study.read(engine=engine))
    assert answers["id"].tolist() == [f"a{i}" for i in range(12)]
    assert answers["q"].tolist()[:11] == SCORES
    assert answers["q_missing"].tolist()[11] == "never used"
    assert answers["n"].tolist() == [i + 0.5 for i in range(12)]
    assert answers["w"].tolist() == [1.25] * 12
    assert answers["g"].tolist() == ["North", "South"] * 6
    assert answers["h"].tolist() == ["X", "Y"] * 6
    assert answers["d"].dt.day.tolist() == list(range(1, 13))
    assert answers["t"].isna().all()


@FILES
def test_joiners_within_words_stay(tmp_path, engine):
    word = "می\u200cخواهم"
    (tmp_path / "a.csv").write_text(f"q,t\n5,{word}\u200c\n6,b\n", encoding="utf-8")
    study = write_study(tmp_path, "a.csv", q=RATING, t='role = "text"')
    assert in_memory(study.read(engine=engine))["t"].tolist() == [word, "b"]


@FILES
def test_a_row_of_invisible_characters_is_nobody(tmp_path, engine):
    (tmp_path / "a.csv").write_text("q,t\n5,a\n\u200b,\ufeff \n6,b\n", encoding="utf-8")
    study = write_study(tmp_path, "a.csv", q=RATING, t='role = "text"')
    assert in_memory(study.read(engine=engine))["q"].tolist() == [5, 6]


# a first line that names the separator ----------------------------------------------------


def with_hint(mark, hint, end="\r\n"):
    rows = [f"{i}{mark}{score}{mark}{i % 5 + 1}" for i, score in enumerate((SCORES * 6)[:60], 1)]
    return end.join([hint, mark.join(["id", "recommend", "overall"]), *rows, ""])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize(
    ("mark", "hint"),
    [(";", "sep=;"), (",", "sep=,"), ("\t", "sep=\t"), ("|", "SEP=|"), (";", '"sep=;"'),
     (";", "sep=;;;"), (";", "sep= ;"), (",", "sep = , "), ("~", "sep=~"), ("^", "Sep=^")],
)  # fmt: skip
def test_a_line_that_names_the_separator_is_no_header(tmp_path, encoding, mark, hint):
    draft, study = drafted(tmp_path, with_hint(mark, hint), encoding=encoding)
    assert [guess.profile.header for guess in draft.guesses] == ["id", "recommend", "overall"]
    answers = study.read()
    assert answers["recommend"].tolist() == (SCORES * 6)[:60]
    assert len(answers) == 60


@EVERY
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_every_engine_reads_below_the_line_that_names_the_separator(tmp_path, engine, end):
    (tmp_path / "a.csv").write_text(with_hint(";", "sep=;", end), newline="")
    study = write_study(tmp_path, "a.csv", id='role = "id"', recommend=RATING, overall=RATING)
    assert in_memory(study.read(engine=engine))["recommend"].tolist() == (SCORES * 6)[:60]


def test_blank_and_short_lines_are_seen_below_the_line_that_names_the_separator(tmp_path):
    (tmp_path / "one.csv").write_text("sep=;\nq\n5\n\n7\n")
    one = write_study(tmp_path, "one.csv", q=RATING).read()
    assert one["q"].fillna(-1).tolist() == [5, -1, 7]
    (tmp_path / "short.csv").write_text("sep=;\nid;q\na;5\nb\n")
    study = write_study(tmp_path, "short.csv", id='role = "id"', q=RATING)
    with pytest.raises(ValueError, match="must have 2 cells in each line.* in line 4"):
        study.read()


def test_a_declared_separator_counts_for_more_than_the_line(tmp_path):
    (tmp_path / "a.csv").write_text("sep=;\nid,q\na,5\n")
    study = write_study(tmp_path, "a.csv", 'separator = ","\n', id='role = "id"', q=RATING)
    assert study.read()["q"].tolist() == [5]


# dates ------------------------------------------------------------------------------------


def read_drafted_dates(folder, texts, header="Timestamp"):
    lines = "".join(f'"{text}",{i % 11},{i % 5 + 1}\n' for i, text in enumerate(texts))
    draft, study = drafted(folder, f"{header},recommend,overall\n{lines}")
    assert draft.guesses[0].role == "date", draft.guesses[0]
    return draft.guesses[0], study.read()["timestamp"]


@pytest.mark.parametrize("zone", ["GMT+1", "UTC", "EST", "GMT-3", "GMT+5:30", "UTC+01:00", "Z",
                                  "+0200", "(PDT)"])  # fmt: skip
def test_times_of_google_forms_with_their_zone_are_dates(tmp_path, zone):
    stamps = pd.date_range("2025-10-01 13:00:05", periods=60, freq="13h")
    texts = [f"{t:%Y/%m/%d} {t.hour % 12 or 12}:{t:%M:%S %p} {zone}" for t in stamps]
    guess, read = read_drafted_dates(tmp_path, texts)
    assert guess.keys == {"format": "%Y/%m/%d %I:%M:%S %p %Z"}
    assert read.dt.tz_localize(None).tolist() == stamps.tolist()
    ahead = {"GMT+1": 1, "EST": -5, "GMT-3": -3, "GMT+5:30": 5.5, "UTC+01:00": 1, "+0200": 2,
             "(PDT)": -7}.get(zone, 0)  # fmt: skip
    assert read[0].utcoffset() == pd.Timedelta(hours=ahead)


@pytest.mark.parametrize(("morning", "afternoon", "zone", "hours"),
                         [("vorm.", "nachm.", "MESZ", 2), ("오전", "오후", "GMT+9", 9),
                          ("午前", "午後", "JST", 9), ("上午", "下午", "GMT+8", 8)])  # fmt: skip
def test_times_of_google_forms_in_other_languages_are_dates(
    tmp_path, morning, afternoon, zone, hours
):
    stamps = pd.date_range("2025-10-01 13:00:05", periods=60, freq="13h")
    halves = [afternoon if t.hour >= 12 else morning for t in stamps]
    texts = [
        f"{t:%Y/%m/%d} {t.hour % 12 or 12}:{t:%M:%S} {half} {zone}"
        for t, half in zip(stamps, halves, strict=True)
    ]
    _, read = read_drafted_dates(tmp_path, texts)
    assert read.dt.tz_localize(None).tolist() == stamps.tolist()
    assert read[0].utcoffset() == pd.Timedelta(hours=hours)


def test_the_first_time_of_google_forms_is_as_written(tmp_path):
    _, read = read_drafted_dates(tmp_path, ["2025/10/01 1:00:05 PM GMT+1"] * 30)
    assert str(read[0]) == "2025-10-01 13:00:05+01:00"


def test_summer_and_winter_times_of_one_column_are_one_instant_each(tmp_path):
    texts = ["2025/07/01 1:00:05 PM GMT+2", "2025/12/01 1:00:05 PM GMT+1"] * 20
    _, read = read_drafted_dates(tmp_path, texts)
    assert read.map(str).tolist()[:2] == ["2025-07-01 11:00:05+00:00", "2025-12-01 12:00:05+00:00"]


@pytest.mark.parametrize(
    ("texts", "form", "first"),
    [(["Oct 1, 2025 1:00 PM", "Dec 31, 2025 11:30 AM"], "%b %d, %Y %I:%M %p", "2025-10-01 13:00"),
     (["1/9/21", "25/12/2021"], "%d/%m/%y", "2021-09-01"),
     (["9/1/21", "12/25/2021"], "%m/%d/%y", "2021-09-01"),
     (["1.9.21 9:05", "25.12.2021 10:15"], "%d.%m.%y %H:%M", "2021-09-01 09:05"),
     (["10/1/2025 1:00:05 PM", "12/31/2025 1:00:05 AM"], "%m/%d/%Y %I:%M:%S %p",
      "2025-10-01 13:00:05"),
     (["25/12/2025, 13:00:05", "01/02/2025, 09:00:00"], "%d/%m/%Y, %H:%M:%S",
      "2025-12-25 13:00:05"),
     (["October 1, 2025 at 1:00 p.m.", "May 2, 2025 at 9:00 a.m."], "%B %d, %Y at %I:%M %p",
      "2025-10-01 13:00"),
     (["Wed, 01 Oct 2025 10:00:00", "Thu, 02 Oct 2025 10:00:00"], "%a, %d %b %Y %H:%M:%S",
      "2025-10-01 10:00"),
     (["12-25-2025", "01-02-2025"], "%m-%d-%Y", "2025-12-25"),
     (["2025/10/01 1:00:05\u202fPM", "2025/12/31 2:00:05\u202fPM"], "%Y/%m/%d %I:%M:%S %p",
      "2025-10-01 13:00:05"),
     (["2025-07-01T10:00:00+02:00", "2025-12-01T10:00:00+01:00"], "%Y-%m-%dT%H:%M:%S %Z",
      "2025-07-01 08:00:00+00:00")],
)  # fmt: skip
def test_a_column_of_dates_settles_its_form(tmp_path, texts, form, first):
    guess, read = read_drafted_dates(tmp_path, texts * 20)
    assert guess.keys == {"format": form}
    assert "too (" not in guess.question
    assert read[0] == pd.Timestamp(first)
    assert read.notna().all()


def test_a_column_that_does_not_settle_day_and_month_is_asked_about(tmp_path):
    guess, _ = read_drafted_dates(tmp_path, ["1/9/21", "3/4/2021"] * 20)
    assert "%m/%d/%y, but %d/%m/%y fits every one too" in guess.question
    assert "Years of two digits are read as 1969 to 2068." in guess.question


@pytest.mark.parametrize("text", ["2025/10/01 1:00 PM IST", "2025/10/01 1:00 PM"])
def test_a_zone_that_may_be_several_and_none_at_all_are_refused(tmp_path, text):
    (tmp_path / "a.csv").write_text(f"d,q\n2025/10/01 1:00 PM EST,1\n{text},2\n")
    form = 'format = "%Y/%m/%d %I:%M %p %Z"'
    study = write_study(tmp_path, "a.csv", d=f'role = "date"\n{form}', q=RATING)
    with pytest.raises(ValueError, match=f"must be dates of the form .*; got '{text}'"):
        study.read()


@EVERY
def test_dates_with_a_zone_are_the_same_instants_in_every_engine(tmp_path, engine):
    (tmp_path / "a.csv").write_text("d,q\n2025/10/01 1:00 PM EST,1\n,2\n")
    form = 'format = "%Y/%m/%d %I:%M %p %Z"'
    study = write_study(tmp_path, "a.csv", d=f'role = "date"\n{form}', q=RATING)
    dates = in_memory(study.read(engine=engine))["d"]
    assert dates[0] == pd.Timestamp("2025-10-01 18:00", tz="UTC")
    assert dates.isna().tolist() == [False, True]


ZONED = pd.date_range("2025-01-01 10:00", periods=60, freq="5D")


@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin", "America/New_York"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_typed_times_of_parquet_are_dates(tmp_path, zone, unit):
    stamps = ZONED.tz_localize(zone).as_unit(unit)
    frame = pd.DataFrame({"at": stamps, "overall": [1, 2, 3, 4, 5] * 12})
    frame.to_parquet(tmp_path / "a.parquet")
    from cxlab.survey.exports import read_export

    assert read_export(tmp_path / "a.parquet").draft.guesses[0].role == "date"
    study = write_study(
        tmp_path, "a.parquet", at='role = "date"', overall='role = "outcome"\nscale = "ten"'
    )
    for given in (study.read(), study.read(source=frame)):
        assert given["at"].tolist() == stamps.tolist()


def test_periods_in_winter_and_summer_time_join(tmp_path):
    (tmp_path / "w.csv").write_text("d,q\n2025-01-01 10:00+01:00,1\n")
    (tmp_path / "s.csv").write_text("d,q\n2025-07-01 10:00+02:00,1\n")
    (tmp_path / "n.csv").write_text("d,q\n2025-10-01 10:00,1\n")
    columns = {"d": 'role = "date"', "q": RATING}
    study = write_study(tmp_path, "x", **columns)
    text = (tmp_path / "study.toml").read_text().replace(
        'file = "x"', 'files = { "1" = "w.csv", "2" = "s.csv", "3" = "n.csv" }'
    )  # fmt: skip
    (tmp_path / "study.toml").write_text(text)
    study = load_study(tmp_path)
    assert study.read(period=["1", "2"])["d"].dt.hour.tolist() == [9, 8]
    with pytest.raises(ValueError, match="a time zone in every period, or in none; got both"):
        study.read()


@EVERY
def test_a_period_without_dates_joins_one_whose_dates_have_a_zone(tmp_path, engine):
    (tmp_path / "w.csv").write_text("d,q\n2025-01-01 10:00+01:00,1\n")
    (tmp_path / "n.csv").write_text("d,q\n,2\n")
    write_study(tmp_path, "x", d='role = "date"', q=RATING)
    text = (tmp_path / "study.toml").read_text()
    text = text.replace('file = "x"', 'files = { "1" = "w.csv", "2" = "n.csv" }')
    (tmp_path / "study.toml").write_text(text)
    answers = in_memory(load_study(tmp_path).read(engine=engine)).sort_values("q")
    assert answers["d"].iloc[0] == pd.Timestamp("2025-01-01 09:00", tz="UTC")
    assert answers["d"].isna().tolist() == [False, True]


@EVERY
def test_a_part_may_be_asked_for_by_its_date(tmp_path, engine):
    (tmp_path / "a.csv").write_text("d,q\n2025-01-01,1\n2025-01-02,2\n")
    study = write_study(tmp_path, "a.csv", d='role = "date"', q=RATING)
    part = in_memory(study.read(where={"d": "2025-01-02"}, engine=engine))
    assert part["q"].tolist() == [2]
    with pytest.raises(ValueError, match=r"`where` of 'd' must be '2025-01-01.*got '2025-01-03'"):
        study.read(where={"d": "2025-01-03"}, engine=engine)


# Arrow ------------------------------------------------------------------------------------


def arrow_tables():
    import pyarrow as pa

    table = pa.table({
        "id": pa.array([1, 2]), "q": pa.array(["5", "4"]).dictionary_encode(),
        "g": pa.array(["a", "b"], pa.string_view()), "n": pa.array([1.5, 2.5], pa.float16()),
        "d": pa.array([0, 10**9], pa.timestamp("ns", tz="Europe/Berlin")),
    })  # fmt: skip
    yield table
    yield table.to_batches()[0]
    yield pa.RecordBatchReader.from_batches(table.schema, table.to_batches())
    yield table.to_pandas(types_mapper=pd.ArrowDtype)


@pytest.mark.parametrize("place", range(4))
def test_tables_of_arrow_are_read(tmp_path, place):
    study = write_study(
        tmp_path, "none.csv", id='role = "id"', q=RATING, g='role = "segment"',
        n='role = "number"', d='role = "date"',
    )  # fmt: skip
    answers = in_memory(study.read(source=list(arrow_tables())[place]))
    assert answers["q"].tolist() == [5, 4]
    assert answers["g"].tolist() == ["a", "b"]
    assert answers["n"].tolist() == [1.5, 2.5]
    assert [at.timestamp() for at in answers["d"]] == [0, 1]


def test_types_of_arrow_that_hold_no_cells_are_refused(tmp_path):
    import pyarrow as pa
    import pyarrow.dataset

    study = write_study(tmp_path, "none.csv", q=RATING)
    wide = pa.table({"q": pa.array([1], pa.decimal256(50, 2))})
    assert in_memory(study.read(source=wide))["q"].tolist() == [1]
    with pytest.raises(ValueError, match=r"'q': the column of role 'outcome' must hold text"):
        study.read(source=pa.table({"q": pa.array([[1]])}))
    with pytest.raises(TypeError, match="or an Arrow table; got InMemoryDataset"):
        study.read(source=pyarrow.dataset.dataset(pa.table({"q": [1]})))


# ids --------------------------------------------------------------------------------------


@FILES
@pytest.mark.parametrize("role", ["id", "customer", "cluster"])
@pytest.mark.parametrize("text", ["1.18E+11", "1,18E+11", "2E+15", " 1.18e+11\u200b"])
def test_ids_that_excel_has_rounded_are_refused_with_the_cause(tmp_path, engine, role, text):
    (tmp_path / "a.csv").write_text(f'k;q\n117999999999;5\n"{text}";6\n', encoding="utf-8")
    study = write_study(tmp_path, "a.csv", 'separator = ";"\n', k=f'role = "{role}"', q=RATING)
    with pytest.raises(ValueError, match=r"'k': ids must have all their digits; .* Excel has roun"):
        study.read(engine=engine)


@FILES
def test_codes_with_an_e_are_no_rounded_ids_and_text_is_as_written(tmp_path, engine):
    (tmp_path / "a.csv").write_text("k,t,q\n118E11,1.18E+11,5\n12E4,x,6\n1E+5,y,7\n")
    study = write_study(tmp_path, "a.csv", k='role = "id"', t='role = "text"', q=RATING)
    answers = in_memory(study.read(engine=engine))
    assert answers["k"].tolist() == ["118E11", "12E4", "1E+5"]
    assert answers["t"].tolist()[0] == "1.18E+11"


@pytest.mark.parametrize("header", ["customer_id", "Respondent ID", "account"])
def test_a_draft_refuses_ids_that_excel_has_rounded(tmp_path, header):
    lines = "".join(f"1.{10 + i}E+11,{i % 5 + 1}\n" for i in range(40))
    with pytest.raises(ValueError, match=r"ids must have all their digits; got '.*E\+11' \(and"):
        drafted(tmp_path, f"{header},overall\n{lines}")


def test_large_measurements_are_numbers(tmp_path):
    lines = "".join(f"{i}.5E+06,{i % 5 + 1}\n" for i in range(1, 10)) * 4
    draft, study = drafted(tmp_path, f"revenue,overall\n{lines}")
    assert draft.guesses[0].role == "number"
    assert study.read()["revenue"].max() == 9.5e6


def test_codes_with_letters_or_leading_zeros_stay_as_they_are(tmp_path):
    rows = [(f"{10008 + i % 70}", f"{i % 80:03}", f"0{i % 4}") for i in range(1200)]
    rows[::30] = [(f"{1000 + i:05}F", branch, region) for i, (_, branch, region)
                  in enumerate(rows[::30])]  # fmt: skip
    lines = "".join(f"{a},{b},{c},{i % 5 + 1}\n" for i, (a, b, c) in enumerate(rows))
    draft, study = drafted(tmp_path, f"facility_id,branch,region,overall\n{lines}")
    assert [guess.role for guess in draft.guesses] == ["text", "text", "segment", "outcome"]
    answers = study.read()
    assert answers["facility_id"].tolist()[:2] == ["01000F", "10009"]
    assert answers["branch"].tolist()[7] == "007"
    assert answers["region"].cat.categories.tolist() == ["00", "01", "02", "03"]


# waves ------------------------------------------------------------------------------------

WAVES = """\
[study]
name = "waves"
title = "Waves"
min_group_size = 1

[scales.ten]
range = [0, 10]
metrics = ["mean"]

[tables.main]
files = { "2013" = "a.csv", "2014" = "b.csv" }

[tables.main.columns.q]
role = "outcome"
scale = "ten"

[tables.main.columns.w]
role = "weight"
column = { 2014 = "w" }

[tables.main.columns.c]
role = "cluster"
column = { 2014 = "c" }
"""


@EVERY
def test_a_wave_without_weight_and_cluster_counts_rows(tmp_path, engine):
    (tmp_path / "a.csv").write_text("q\n0\n10\n4\n")
    (tmp_path / "b.csv").write_text("q,w,c\n0,2,k\n10,0.5,k\n5,0.5,m\n")
    (tmp_path / "study.toml").write_text(WAVES)
    study = load_study(tmp_path)
    answers = study.read(engine=engine)
    first = in_memory(study.read(period="2013", engine=engine))
    assert first["w"].tolist() == [1.0, 1.0, 1.0]
    assert first["c"].isna().all()
    assert first["stratum_clusters"].tolist() == [3, 3, 3]
    both = in_memory(answers)
    assert both["stratum_clusters"].tolist() == [5] * 6
    assert both["c"].dropna().tolist() == ["2014 k", "2014 k", "2014 m"]
    from tests.scores import mean_score

    # by hand: three rows, each its own cluster, are a simple random sample
    alone = mean_score(study.read(period="2013", engine=engine), "q", design=study.design)
    assert alone["estimate"][0] == pytest.approx(14 / 3)
    assert alone["se"][0] == pytest.approx(pd.Series([0, 10, 4]).std() / 3**0.5)
    table = mean_score(answers, "q", by="period", design=study.design)
    assert table["estimate"].tolist() == pytest.approx([14 / 3, 7.5 / 3])


def test_what_a_wave_lacks_is_said_with_the_study(tmp_path):
    (tmp_path / "study.toml").write_text(WAVES)
    assert load_study(tmp_path).about == (
        "Waves. No weight in 2013: every answer has the weight 1 there. "
        "No cluster in 2013: every answer is its own there."
    )
    assert "No weight" not in load_study("demo").about


def test_a_wave_without_strata_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("q\n5\n")
    text = WAVES.replace('role = "cluster"', 'role = "strata"')
    (tmp_path / "study.toml").write_text(text)
    with pytest.raises(ValueError, match="must have the strata column 'c'"):
        load_study(tmp_path).read(period="2013")


def test_a_column_of_dates_without_a_date_has_no_zone(tmp_path):
    (tmp_path / "a.csv").write_text("d,q\n,1\n,2\n")
    dates = write_study(tmp_path, "a.csv", d='role = "date"', q=RATING).read()["d"]
    assert dates.isna().all()
    assert dates.dt.tz is None


class TestBeside:
    """Columns of the same rows that another system keeps."""

    @pytest.fixture
    def make(self, tmp_path):
        def write(beside, role="id"):
            (tmp_path / "a.csv").write_text("id,score\n3,5\n1,6\n2,7\n")
            (tmp_path / "b.csv").write_text(beside)
            columns = {"id": f'role = "{role}"', "score": RATING, "note": 'role = "text"'}
            return write_study(tmp_path, "a.csv", 'beside = "b.csv"\n', **columns)

        return write

    @EVERY
    def test_rows_are_matched_by_id_and_what_lacks_is_blank(self, make, engine):
        study = make("id,note\n1,first\n9,nobody's\n3,third\n")
        rows = in_memory(study.read(engine=engine)).sort_values("score")
        assert rows["note"].fillna("").tolist() == ["third", "first", ""]

    def test_a_change_of_the_file_is_read_and_is_an_input(self, make, tmp_path):
        for word in ("old", "new"):
            rows = in_memory(make(f"id,note\n1,{word}\n").read(engine="duckdb"))
            assert rows["note"].dropna().tolist() == [word]
        assert tmp_path / "b.csv" in make("id,note\n").files()

    @pytest.mark.parametrize(
        ("beside", "message"),
        [
            ("id,note\n1,a\n1,b\n", "b.csv must hold each id once; got '1' again"),
            ("who,note\n1,a\n", "b.csv must have the column 'id'.*got 'who'"),
            ("id,score,note\n1,5,b\n", "other columns than a.csv; got 'score' in both"),
            ("id,note,more\n1,a,b\n", "'more'"),
        ],
    )
    def test_another_file_is_refused_in_one_sentence(self, make, beside, message):
        with pytest.raises(ValueError, match=message):
            make(beside).read()

    def test_a_frame_that_stands_in_for_the_file_is_joined_too(self, make):
        study = make("id,note\n1,beside\n2,beside\n")
        given = pd.DataFrame({"id": ["1", "3"], "score": ["5", "6"]})
        assert study.read(source=given)["note"].fillna("").tolist() == ["beside", ""]
        own = study.read(source=given.assign(note="own"))
        assert own["note"].tolist() == ["own", "own"]

    def test_rows_need_an_id(self, make):
        with pytest.raises(
            ValueError, match="`beside` of table 'main' must go with a column of role 'id'"
        ):
            make("id,note\n", role="text")
