"""What people's files hold beside answers, and that every engine reads the file that is named."""

from __future__ import annotations

import pandas as pd
import pytest

from cxlab import load_study

pl = pytest.importorskip("polars", reason="Polars is not installed")

EVERY = pytest.mark.parametrize("engine", ["pandas", "duckdb", "polars"])
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
    return answers.df() if hasattr(answers, "df") else answers.collect().to_pandas()


# files ------------------------------------------------------------------------------------


def write_answers(path, scores):
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame({"id": [f"{path.name}{i}" for i in range(len(scores))], "q": scores})
    frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)


@EVERY
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


@EVERY
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_folder_is_read_by_its_name_and_its_files_by_theirs(tmp_path, engine, kind):
    write_answers(tmp_path / "part[1]" / f"a[1].{kind}", [5])
    write_answers(tmp_path / "part[1]" / f"b*.{kind}", [6])
    write_answers(tmp_path / "part1" / f"a1.{kind}", [9])
    study = write_study(tmp_path, "part[1]", id='role = "id"', q=RATING)
    assert sorted(in_memory(study.read(engine=engine))["q"]) == [5, 6]


@EVERY
@pytest.mark.parametrize("file", ["wave?.{}", "wave*.{}", "wave[0-9].{}", "w[x]/wave?.{}"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_declared_pattern_is_one(tmp_path, engine, file, kind):
    for folder in (tmp_path, tmp_path / "w[x]"):
        write_answers(folder / f"wave1.{kind}", [5])
        write_answers(folder / f"wave2.{kind}", [6])
    write_answers(tmp_path / "wx" / f"wave3.{kind}", [9])
    study = write_study(tmp_path, file.format(kind), id='role = "id"', q=RATING)
    assert sorted(in_memory(study.read(engine=engine))["q"]) == [5, 6]


@EVERY
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
