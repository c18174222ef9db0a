"""Several files of one survey → one study: what moved is found, asked about and read."""

import csv
import os
import tomllib
from pathlib import Path

import pyreadstat
import pytest
from click.testing import CliRunner

from cxlab import load_study, nps
from cxlab.cli import main
from cxlab.survey.drafting import accept_guesses, draft_waves
from tests.scores import mean_score

ROWS = 60
FIVE = [1 + i % 5 for i in range(ROWS)]
AGES = [1 + i % 4 for i in range(ROWS)]


def run(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def write(path, columns):
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    return path


@pytest.fixture
def waves(tmp_path):
    ids = list(range(ROWS))
    first = {"id": ids, "Q7ALL": FIVE, "Q7WALKWAYS": FIVE, "Q9AGE": AGES, "Q12 COUNTY": AGES}
    second = {"id": ids, "Q7ALL": FIVE, "Q7WALKWAY": FIVE[::-1], "Q10AGE": AGES, "Q12COUNTY": AGES,
              "NETPRO": [i % 11 for i in range(ROWS)]}  # fmt: skip
    return {"2024": write(tmp_path / "a.csv", first), "2025": write(tmp_path / "b.csv", second)}


def test_columns_are_matched_by_header_number_and_spelling(waves):
    draft = draft_waves(waves)
    columns = tomllib.loads(draft.path.read_text(encoding="utf-8"))["tables"]["answers"]["columns"]
    assert draft.path.name == "waves.study.toml"
    assert columns["q7walkway"]["column"] == {"2024": "Q7WALKWAYS", "2025": "Q7WALKWAY"}
    assert "spelt almost alike and hold the same values" in columns["q7walkway"]["confirm"]
    assert columns["q10age"]["column"] == {"2024": "Q9AGE", "2025": "Q10AGE"}
    assert "number of the question only" in columns["q10age"]["confirm"]
    assert columns["q12county"]["column"] == {"2024": "Q12 COUNTY", "2025": "Q12COUNTY"}
    assert columns["netpro"]["column"] == {"2025": "NETPRO"}
    assert "Not in the file of 2024: read as not asked." in columns["netpro"]["confirm"]
    assert columns["q7all"]["column"] == "Q7ALL"


def test_an_id_is_one_where_it_is_unique_in_each_wave(waves):
    guesses = draft_waves(waves).guesses
    assert [guess.role for guess in guesses if guess.profile.header == "id"] == ["id"]


def test_waves_are_read_under_one_name(waves):
    path = draft_waves(waves).path
    accept_guesses(path, by_hand=True)
    answers = load_study(path).read()
    assert answers.groupby("period")["q7walkway"].count().to_dict() == {"2024": 60, "2025": 60}
    assert answers.groupby("period")["netpro"].count().to_dict() == {"2024": 0, "2025": 60}
    first = answers.loc[answers["period"] == "2024", "netpro_missing"]
    assert set(first) == {"not asked"}


def test_a_header_that_asks_another_question_is_another_column(tmp_path):
    for year, wording in (
        ("2024", "How clean were the restrooms?"),
        ("2025", "Would you come back"),
    ):
        write_sav(tmp_path / f"{year}.sav", {"q1": FIVE}, {"q1": wording}, {})
    draft = draft_waves({y: tmp_path / f"{y}.sav" for y in ("2024", "2025")})
    guesses = draft.guesses
    assert [guess.headers for guess in guesses] == [{"2025": "q1"}, {"2024": "q1"}]
    accept_guesses(draft.path, by_hand=True)
    answers = load_study(draft.path).read()
    assert [answers[name].count() for name in ("q1", "q1_2024")] == [60, 60]


def write_sav(path, columns, wordings, values):
    import pandas as pd

    pyreadstat.write_sav(pd.DataFrame(columns, dtype=float), path, column_labels=wordings,
                         variable_value_labels=values)  # fmt: skip


def test_one_code_with_two_labels_is_decided_by_hand(tmp_path):
    labels = {"2024": {1.0: "Male", 2.0: "Female"}, "2025": {1.0: "Female", 2.0: "Male"}}
    for year, values in labels.items():
        write_sav(tmp_path / f"{year}.sav", {"sex": [1, 2] * 30}, {"sex": "Sex"}, {"sex": values})
    (guess,) = draft_waves({y: tmp_path / f"{y}.sav" for y in labels}).guesses
    assert guess.by_hand
    assert "Code 1 is labelled 'Male' in 2024 and 'Female' in 2025" in guess.confirm


def test_a_question_that_was_worded_otherwise_is_decided_by_hand(tmp_path):
    for year, item in (("2024", "food"), ("2025", "shops")):
        write_sav(
            tmp_path / f"{year}.sav", {"q1": FIVE}, {"q1": f"How satisfied with the {item}?"}, {}
        )
    (guess,) = draft_waves({y: tmp_path / f"{y}.sav" for y in ("2024", "2025")}).guesses
    assert guess.by_hand
    assert "the food?' in 2024 and 'How satisfied with the shops?' in 2025" in guess.confirm


def test_files_of_two_platforms_are_refused(tmp_path, waves):
    write_sav(tmp_path / "c.sav", {"q7all": FIVE}, {"q7all": "Overall"}, {})
    with pytest.raises(ValueError, match="same platform; got 'plain' in 2024, 'spss' in 2025"):
        draft_waves({"2024": waves["2024"], "2025": tmp_path / "c.sav"})
    semicolons = tmp_path / "d.csv"
    semicolons.write_text("Q7;Q8\n8,5;7,0\n", encoding="utf-8")
    with pytest.raises(ValueError, match="same separator; got ',' in 2024, ';' in 2025"):
        draft_waves({"2024": waves["2024"], "2025": semicolons})


@pytest.mark.parametrize(
    ("given", "told"),
    [(["a.csv", "b.csv"], "PERIOD=FILE, as in 2025=answers.csv; got"),
     (["2024=nowhere.csv"], "`FILE` of 2024 must be a file; got 'nowhere.csv'"),
     (["nowhere.csv"], "`FILE` must be a file; got 'nowhere.csv'"),
     (["2024=a.csv", "2024=b.csv"], "each period must have one file")],
)  # fmt: skip
def test_waves_are_given_as_period_and_file(waves, monkeypatch, given, told):
    monkeypatch.chdir(waves["2024"].parent)
    refused = run("study", "draft", *given)
    assert refused.exit_code != 0
    assert told in " ".join(refused.output.replace("│", " ").split())


def test_columns_that_do_not_go_with_the_ratings_are_codes(tmp_path):
    import numpy as np

    rng = np.random.default_rng(7)
    halo = rng.normal(size=400)
    columns = {
        f"q{i}": np.clip(np.round(3 + halo + rng.normal(0, 0.7, 400)), 1, 5).astype(int)
        for i in range(6)
    }
    columns |= {"peak": rng.integers(1, 4, 400), "staff rating": rng.integers(1, 6, 400)}
    guesses = draft_waves({"2025": write(tmp_path / "a.csv", columns)}).guesses
    roles = {guess.profile.header: guess.role for guess in guesses}
    assert roles["peak"] == "segment"
    # its name speaks of a rating, so it stays one
    assert roles["staff rating"] == "touchpoint"


def test_the_airports_four_waves_need_three_decisions(sfo, tmp_path):
    folder = Path(os.environ["CXLAB_DATA"]) / "sfo"
    files = [f"{year}={folder / f'{year}_SFO_Customer_Survey_20250817.csv'}"
             for year in (2015, 2016, 2017, 2018)]  # fmt: skip
    path = tmp_path / "airport.study.toml"
    assert run("study", "draft", *files, "--output", path).exit_code == 0
    assert run("study", "check", path, "--confirm-all").exit_code == 1
    decided = run("study", "confirm", path, "q7all=outcome", "netpro=nps", "runid=cluster")
    assert decided.exit_code == 0, decided.output
    study = load_study(path)
    answers = study.read(period="2017")
    row = nps(answers, "netpro", design=study.design).iloc[0]
    assert row["n"] == 2746
    assert row["estimate"] == pytest.approx(40.398436, abs=1e-6)
    assert row["se"] == pytest.approx(1.524652, abs=1e-6)
    assert nps(answers, "netpro").iloc[0]["estimate"] == pytest.approx(39.839767, abs=1e-6)
    for name, n, mean in (("q7all", 2688, 4.064360), ("q7food", 2421, 3.615448),
                          ("q7ltparking", 834, 3.850120)):  # fmt: skip
        found = mean_score(answers, name).iloc[0]
        assert (found["n"], round(found["estimate"], 6)) == (n, mean)
    means = {}
    for year in ("2015", "2016", "2017", "2018"):
        found = mean_score(study.read(period=year), "q7all", design={"weights": "weight"})
        means[year] = round(found.iloc[0]["estimate"], 3)
    assert means == {"2015": 4.044, "2016": 4.053, "2017": 4.071, "2018": 4.042}
    assert study.read(period="2018")["q7walkway"].notna().sum() > 2000
