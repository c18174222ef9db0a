"""Clean copies: where they are, when they are made again, and that chunks make no difference."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxlab import load_study
from cxlab.cli import main
from cxlab.survey import cells, cleaning, files, store
from cxlab.survey.definition import Column

STUDY = """
[study]
name = "copies"
title = "Copies"
min_group_size = 1
[scales.rating]
range = [1, 5]
[tables.a]
file = "many"
[tables.a.columns.i]
role = "id"
[tables.a.columns.q]
role = "outcome"
scale = "rating"
"""


@pytest.fixture
def study(tmp_path, monkeypatch):
    """A study of a folder with one file, and a cache of its own."""
    monkeypatch.setenv("CXLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "many").mkdir()
    (tmp_path / "many/a.csv").write_text("i,q\na,5\nb,4\n")
    (tmp_path / "study.toml").write_text(STUDY)
    return load_study(tmp_path)


@pytest.fixture
def cleaned(monkeypatch):
    """Names of the raw tables that are cleaned from now on."""
    names = []
    write = store._write

    def noted(table, period, raw, target):
        names.append(raw.name)
        return write(table, period, raw, target)

    monkeypatch.setattr(store, "_write", noted)
    return names


def folder_of(study):
    return store.study_folder(study.path, study.name)


def scores(study):
    return sorted(study.read(engine="duckdb").df()["q"].tolist())


def test_a_copy_is_read_by_its_owner_only_and_cleared(study):
    scores(study)
    folder = folder_of(study)
    assert folder.parts[-3:-1] == ("cache", "clean")
    for path in (folder, folder.parent):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    found = CliRunner().invoke(main, ["data", "clear", str(study.path)])
    assert found.output.startswith(f"removed: {folder}")
    assert not folder.exists()
    again = CliRunner().invoke(main, ["data", "clear", str(study.path)])
    assert again.output == f"nothing in {folder}\n"


def test_what_is_unchanged_is_cleaned_once(study, cleaned):
    assert scores(study) == scores(study) == [4, 5]
    assert cleaned == ["a.csv"]


def test_a_folder_that_gained_a_file_cleans_that_file_only(study, cleaned, tmp_path):
    scores(study)
    (tmp_path / "many/b.csv").write_text("i,q\nc,1\n")
    assert scores(study) == [1, 4, 5]
    assert cleaned == ["a.csv", "b.csv"]
    (tmp_path / "many/b.csv").write_text("i,q\na,1\n")
    with pytest.raises(ValueError, match=r"many/a\.csv …: ids in 'i' must be unique; got 'a'"):
        scores(study)


def test_a_file_changed_in_secret_is_cleaned_again(study, tmp_path):
    path = tmp_path / "many/a.csv"
    assert scores(study) == [4, 5]
    before = path.stat()
    path.write_text("i,q\na,5\nb,3\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert scores(study) == [3, 5]


def test_a_digest_is_trusted_once_the_file_is_old(study, tmp_path, monkeypatch):
    monkeypatch.setattr(store, "RACY_SECONDS", -1.0)
    assert scores(study) == [4, 5]
    monkeypatch.setattr(store.hashlib, "file_digest", None)  # is not asked again
    assert scores(study) == [4, 5]
    (tmp_path / "many/a.csv").write_text("i,q\na,5\nb,33\n")
    with pytest.raises(TypeError):
        scores(study)


@pytest.mark.parametrize(
    ("before", "after", "times"),
    [('role = "id"', 'role = "id"\nlabel = "Who"', 1), ("range = [1, 5]", "range = [0, 5]", 2),
     ('role = "id"', 'role = "customer"', 2), ('"Copies"', '"Other"', 1)],
)  # fmt: skip
def test_another_meaning_of_a_column_is_cleaned_again(study, cleaned, before, after, times):
    scores(study)
    study.path.write_text(STUDY.replace(before, after))
    scores(load_study(study.path))
    assert len(cleaned) == times


def test_a_refused_file_is_refused_every_time(study, tmp_path):
    (tmp_path / "many/a.csv").write_text("i,q\na,7\nb,8\n")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"a\.csv, column 'q': .*; got '7' \(and 1 more\)"):
            scores(study)


def test_nothing_half_written_is_seen(study, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(store.pq.ParquetWriter, "add_key_value_metadata", interrupted)
        with pytest.raises(KeyboardInterrupt):
            scores(study)
    assert not list(folder_of(study).rglob("*.parquet*"))
    assert scores(study) == [4, 5]


def test_old_copies_of_a_file_go(study, tmp_path, monkeypatch):
    scores(study)
    monkeypatch.setattr(store, "KEPT_SECONDS", -1.0)
    (tmp_path / "many/a.csv").write_text("i,q\na,1\n")
    assert scores(study) == [1]
    assert len(list(folder_of(study).glob("*.parquet"))) == 1


def test_a_file_that_changes_while_it_is_cleaned_leaves_no_wrong_copy(study, tmp_path):
    path, write = tmp_path / "many/a.csv", store._write
    old = path.read_text()

    def meanwhile(*given):
        path.write_text("i,q\na,1\nb,1\n")
        return write(*given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "_write", meanwhile)
        assert scores(study) == [1, 1]
    path.write_text(old)
    assert scores(study) == [4, 5]


@pytest.mark.parametrize("left", [0, 20, -20])
def test_half_a_copy_is_made_again(study, left):
    scores(study)
    (copy,) = folder_of(study).glob("*.parquet")
    copy.write_bytes(copy.read_bytes()[:left])
    assert scores(study) == [4, 5]


@pytest.mark.parametrize("text", ["[]", "{}", "1", ""])
def test_an_odd_note_of_a_digest_is_written_again(study, text):
    scores(study)
    for note in folder_of(study).glob("*.json"):
        note.write_text(text)
    assert scores(study) == [4, 5]


def test_drafts_of_a_killed_process_go(study, tmp_path, monkeypatch):
    scores(study)
    draft = folder_of(study) / ".a-b.parquet.0123"
    draft.touch()
    (tmp_path / "many/a.csv").write_text("i,q\na,1\n")
    scores(study)
    assert draft.exists()  # somebody may be writing it
    os.utime(draft, (1, 1))
    (tmp_path / "many/a.csv").write_text("i,q\na,2\n")
    scores(study)
    assert not draft.exists()


@pytest.mark.parametrize("name", ["../../out/x", "a/b", "..", "/x"])
def test_no_name_of_a_study_leads_out_of_the_cache(study, tmp_path, name):
    study.path.write_text(STUDY.replace('"copies"', f'"{name}"'))
    other = load_study(study.path)
    assert scores(other) == [4, 5]
    assert folder_of(other).parent == tmp_path / "cache/clean"
    assert stat.S_IMODE((tmp_path / "cache/clean").stat().st_mode) == 0o700
    assert {path.name for path in tmp_path.iterdir()} == {"cache", "many", "study.toml"}


def test_a_relative_cache_is_found_from_another_folder(study, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CXLAB_CACHE", "here")
    answers = study.read(engine="duckdb")
    monkeypatch.chdir(tmp_path.parent)
    assert sorted(answers.df()["q"]) == [4, 5]


def test_a_cache_that_cannot_be_written_is_named(study, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("CXLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(NotADirectoryError, match=r"`CXLAB_CACHE` must name a folder of your own"):
        scores(study)


GIVEN = """
import sys, duckdb
from cxlab import load_study
study = load_study(sys.argv[1])
answers = study.read(source=duckdb.sql("select 'a' as i, 5 as q"))
print(answers.df()["q"][0])
"""


def test_a_copy_of_a_source_goes_with_its_process(study, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", GIVEN, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout == "5\n"
    assert not list(folder_of(study).glob(f"{store.GIVEN}*"))
    abandoned = folder_of(study) / f"{store.GIVEN}99999999"
    abandoned.mkdir()
    study.read(source=pd.DataFrame({"i": ["a"], "q": [5]}), engine="polars")
    assert not abandoned.exists()


def test_the_size_decides_what_reads_and_the_page_says_it(study, monkeypatch):
    from cxlab.survey import reading

    assert isinstance(study.read(), pd.DataFrame)
    monkeypatch.setattr(reading, "MOST_BYTES", 10)
    told = study.describe(study.read())
    assert told == (
        "2 answers; period: all; selection: everyone. Read by DuckDB from a clean copy on disk, "
        "not into memory."
    )
    study.path.write_text(STUDY.replace("min_group", 'engine = "pandas"\nmin_group'))
    assert isinstance(load_study(study.path).read(), pd.DataFrame)


# chunks -----------------------------------------------------------------------------------


def test_problems_of_several_chunks_are_counted_together(study, tmp_path, monkeypatch):
    rows = [f"r{n},{9 if n % 10 == 3 else n % 5 + 1}" for n in range(200)]
    (tmp_path / "many/a.csv").write_text("\n".join(["i,q", *rows, ""]))
    monkeypatch.setattr(files, "BLOCK_BYTES", 100)
    for engine in ("pandas", "duckdb"):
        with pytest.raises(ValueError, match=r"got '9' \(and 19 more\)"):
            study.read(engine=engine)


CELL = st.one_of(
    st.sampled_from(["", " ", "5", "4.0", ' "a"', '"a,b"', '"', 'a"b', '"a""b"', "\u00a0", "é"]),
    st.text("ab1 ,\"'\n\r\t;", max_size=4),
)


@settings(max_examples=300)
@given(
    rows=st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=6),
    end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]),
    last=st.booleans(),
)
@example(rows=[['a"b', '"']], end="\n", last=False)
@example(rows=[['ab"', '"c']], end="\n", last=True)
def test_arrow_reads_what_pandas_reads(tmp_path_factory, rows, end, last):
    """Whatever is in a file: the same cells, or the same refusal."""
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    lines = ["x,y", *(",".join(row) for row in rows)]
    path.write_bytes((end.join(lines) + (end if last else "")).encode())

    def outcome():
        try:
            return [[cell.strip() for cell in row] for row in files.read_as_text(path).to_numpy()]
        except ValueError as error:
            return str(error)

    fast = outcome()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_is_plain", lambda *_: False)
        assert fast == outcome()


TEXTS = st.one_of(
    st.from_regex(r"[A-Za-z0-9_.@+ -]{1,8}", fullmatch=True),
    st.from_regex(r"-?[0-9]{1,16}(\.[0-9]{0,16})?", fullmatch=True),
    st.from_regex(r"20[0-9]{2}-[01][0-9]-[0-3][0-9]([ T][0-9:.]{2,8})?", fullmatch=True),
    st.sampled_from(["99", "99.0", "N/A", "n/a", "007", "-0", "1e5", "1E+05", "0", "99x", "NA"]),
)
MISSING = {"99": "no answer", "n/a": "never used", "na": "invalid", "2025-01-01": "no answer"}


@settings(max_examples=100)
@given(texts=st.lists(TEXTS, min_size=1, max_size=80, unique=True), missing=st.booleans())
@pytest.mark.parametrize("role", ["text", "id", "segment", "number", "weight", "date"])
def test_texts_that_stand_for_themselves_are_resolved_alike(role, texts, missing):
    column = Column("c", role, "c", "c", missing=MISSING if missing else {})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cleaning, "FEW", 0)
        fast = resolved(texts, column)
        patch.setattr(cleaning, "FEW", 1_000)
        assert fast == resolved(texts, column)


def resolved(texts, column):
    try:
        found = cleaning.resolve_texts(pa.array(texts), column, {})
    except cleaning.MixedZonesError:
        return "mixed"
    return found.values.to_pylist(), found.refused


def test_distinct_texts_are_those_of_the_cells():
    raw = pa.chunked_array([pa.array([1.5, None, np.nan]), pa.array([1.5, 2.0])])
    numbers, texts = cells.distinct_texts(raw)
    assert texts.take(pa.array(numbers)).to_pylist() == ["1.5", "", "", "1.5", "2.0"]
