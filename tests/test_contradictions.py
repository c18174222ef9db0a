"""What a study file may say but cannot mean is refused in one sentence."""

from __future__ import annotations

import copy
import datetime
import functools
import tomllib

import pytest

from cxlab import load_study
from cxlab.survey.datasets import data_folder
from cxlab.survey.study_file import definition_of

STUDY = """\
[study]
name = "x"
title = "x"

[scales.s]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]

[tables.main]
file = "a.csv"
ignore = ["g", "w"]

[tables.main.columns.q]
role = "outcome"
scale = "s"
"""
BINS = "{ detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }"
GROUP = '\n[tables.main.columns.g]\nrole = "segment"\n'


def read(folder, text, engine="pandas"):
    (folder / "study.toml").write_text(text, encoding="utf-8")
    (folder / "a.csv").write_text("q,g,w\n5,North,0\n4,South,0\n")
    return load_study(folder).read(engine=engine)


def swapped(old, new):
    assert old in STUDY
    return STUDY.replace(old, new)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (swapped(BINS, "{ promoters = [0, 6], passives = [7, 8], detractors = [9, 10] }"),
         r"`bins` of scale 's' must rise with the scores; got promoters = \[0, 6\] below passives"),
        (swapped(BINS, "{ passives = [0, 6], detractors = [7, 8], promoters = [9, 10] }"),
         "must rise with the scores; got passives"),
        (swapped(BINS, "{ top = [0, 4], low = [5, 10] }").replace('"nps"', '"mean"'),
         r"got top = \[0, 4\] below low = \[5, 10\]"),
        (swapped(BINS, "{ top = [0, 6], x = [7, 8], bottom = [9, 10] }").replace("nps", "net"),
         "got top = .* below bottom"),
        *((STUDY + f"targets = {{ nps = {value} }}", "`targets.nps` of column 'q' must be a number")
          for value in ("nan", "inf", "-101", "100.5", '"x"', "true")),
        (STUDY.replace('"nps"', '"mean"') + "targets = { mean = 11 }",
         "`targets.mean` of column 'q' must be a number from 0 to 10; got 11"),
        (STUDY + "margins = { net = 3 }", r"`margins` of 'q' must be a metric of it: 'nps'; got 'net'"),
        (STUDY + "margins = { nps = 0 }", "`margins.nps` of column 'q' must be a number over 0; got 0"),
        (STUDY + GROUP + "headline = true",
         "`headline` of column 'g' must be left out: it is for outcomes, not segment"),
        (STUDY.replace("metrics =", 'names = { net = "Liked" }\nmetrics ='),
         "`names` must be a metric of scale 's': 'nps'; got 'net'"),
        (STUDY + 'targets = "x"', r"`targets` of column 'q' must be a table \{ metric = number \}; got 'x'"),
        (STUDY + "targets = { nps = [1] }", r"`targets.nps` of column 'q' must be a number; got \[1\]"),
        (STUDY + '\n[tables.main.operational.q]\ncolumn = "q"\nbetter = "lower"\ntarget = nan\n'
         'experience = "q"\nexperience_target = 5', "`target` of operational.q must be a finite"),
        (STUDY + '\n[tables.main.operational.q]\ncolumn = "q"\nbetter = "lower"\ntarget = 3\n'
         'experience = "q"\nexperience_target = 50', "`experience_target` of .* from 0 to 10; got 50"),
        (STUDY + '\n[tables.main.columns.g]\nrole = "customer"\n'
         '[tables.main.columns.w]\nrole = "customer"\n',
         "table 'main' may have one column of role 'customer'; got 'g' or 'w'"),
        *((STUDY + f'label = "{label}"', "`label` of column 'q' must be text that can be seen")
          for label in ("", "  ", "\u200b\u00a0")),
        (swapped('ignore = ["g", "w"]', 'ignore = ["g", "w"]\nlabel = " "'),
         "`label` of table 'main' must be text that can be seen"),
        (STUDY + GROUP + 'values = { North = "", South = "S" }',
         "`values.North` of column 'g' must be text that can be seen"),
        (swapped("metrics", 'labels = { 0 = " ", 10 = "best" }\nmetrics'),
         "`labels.0` of scale 's' must be text that can be seen"),
        (swapped('title = "x"', 'title = "\u200b"'), r"`title` of \[study\] must be text"),
        (STUDY + '\n[tables.main.columns.w]\nrole = "weight"\n',
         "a.csv, column 'w': weights must not all be 0"),
        (STUDY + GROUP + 'values = { North = "N", South = "N\u200b" }',
         r"`values` of column 'g' must differ by what can be seen; got 'N' and 'N\\u200b'"),
        (STUDY + GROUP + 'values = { North = "Cafe\u0301", South = "Caf\u00e9" }',
         "must differ by what can be seen"),
        (STUDY + GROUP + 'values = { North = "N", South = "N\u00a0" }', "differ by what can be seen"),
        (STUDY + GROUP + 'values = { North = "N", "North\u200b" = "S" }',
         r"`values` of column 'g' must give each code one meaning; got 'N' and 'S' for north"),
        (swapped("metrics", 'missing = { 99 = "no answer", "99.0" = "never used" }\nmetrics'),
         "`missing` of scale 's' must give each code one meaning"),
        (STUDY + '\n[tables.main.columns."q\u200b"]\nrole = "text"\ncolumn = "g"\n',
         "`columns` of table 'main' must differ by what can be seen"),
        (STUDY + 'label = "Overall"\n' + GROUP + 'label = "Overall\u200b"',
         "`label` of the columns of table 'main' must differ; got 'Overall.?' for 'q' and 'g'"),
        (swapped('metrics = ["nps"]', 'metrics = [["mean"]]'),
         r"`metrics` of scale 's' must be a list of texts in brackets; got \['mean'\]"),
        (STUDY + 'metrics = [["mean"]]', "`metrics` of column 'q' must be a list of texts"),
        (swapped('ignore = ["g", "w"]', "ignore = [1]"), "`ignore` of .* must be a list of texts"),
        (STUDY + GROUP + "values = { North = [1] }", "`values.North` of column 'g' must be text that can be"),
        (swapped("metrics", 'missing = { 11 = "unused" }\nmetrics'),
         "`missing.11` of scale 's' must be 'never used', .* or 'invalid'; got 'unused'. Did you"),
        *((STUDY + f'\n[tables.main.columns.w]\nrole = "date"\nformat = "{form}"\n',
           f"`format` of column 'w' must be a strftime format, .*; got '{form}'")
          for form in ("%Q", "%", "%d%d", "", "x")),
        (STUDY + GROUP + 'format = "%Y"', "`format` of column 'g' must be left out: it is for dates"),
        (swapped('ignore = ["g", "w"]', 'separator = "\\n"'), "`separator` of .* one character"),
        (swapped('file = "a.csv"', 'file = " "'), "`file` of table 'main' must be text that can be"),
        (STUDY + '\n[contact_rules.x]\ndays = inf\n', "`days` of contact_rules.x must be a number of days over 0"),
    ],
)  # fmt: skip
def test_a_contradiction_is_one_sentence(tmp_path, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        read(tmp_path, text)
    assert str(caught.value).isprintable() or "\u200b" in text or "\\n" in text


@pytest.mark.parametrize("engine", ["duckdb", "polars"])
def test_weights_that_are_all_zero_are_refused_lazily_too(tmp_path, engine):
    text = STUDY + '\n[tables.main.columns.w]\nrole = "weight"\n'
    with pytest.raises(ValueError, match="a.csv, column 'w': weights must not all be 0"):
        read(tmp_path, text, engine)


def test_bins_of_other_names_may_stand_in_any_order(tmp_path):
    text = swapped(BINS, "{ good = [0, 6], bad = [7, 10] }").replace('"nps"', '"mean"')
    assert read(tmp_path, text)["q"].tolist() == [5, 4]


@pytest.mark.parametrize(
    ("bins", "message"),
    [("{ a = [0, 4], b = [4, 10] }", "got 'a' and 'b' for 4"),
     ("{ a = [0, 4], b = [6, 10] }", "got none for 5"),
     ("{ a = [0, 4], b = [5, 9] }", "got none for 10"),
     ("{ a = [1, 4], b = [5, 10] }", "got none for 0"),
     ("{ a = [0, 10], b = [3, 4] }", "got 'a' and 'b' for 3"),
     ("{ a = [0, 4], b = [5, 11] }", "must lie within 0 to 10"),
     ("{ a = [0, 10], b = [7, 6] }", "must lie within 0 to 10")],
)  # fmt: skip
def test_bins_must_cover_the_scale_once(tmp_path, bins, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, swapped(BINS, bins).replace('"nps"', '"mean"'))


@pytest.mark.parametrize("high", [10**7, 10**15])
def test_a_long_range_costs_nothing(tmp_path, high):
    text = swapped("[0, 10]\n", f"[0, {high}]\n").replace("[9, 10]", f"[9, {high}]")
    text = text.replace("metrics", 'missing = { -1 = "no answer" }\nmetrics')
    assert read(tmp_path, text)["q"].tolist() == [5, 4]


#: Values that some key may have and most may not.
ODD = (
    *("", "\u200b", "x", 0, -1, 1.5, float("nan"), float("inf"), True, 10**30),
    *(datetime.date(2025, 1, 1), [], [1], ["x"], [[1]], {}, {"x": 1}, {"x": [1]}, {"x": {"y": 1}}),
)


def places(part, at=()):
    for key, value in part.items() if isinstance(part, dict) else enumerate(part):
        yield (*at, key)
        if isinstance(value, dict | list):
            yield from places(value, (*at, key))


@pytest.mark.parametrize("name", ["demo", "sfo"])
def test_whatever_a_key_holds_there_is_a_definition_or_one_sentence(name):
    known = tomllib.loads((data_folder() / name / "study.toml").read_text(encoding="utf-8"))
    refused = []
    for *path, key in list(places(known))[::7]:
        for odd in ODD:
            content = copy.deepcopy(known)
            part = functools.reduce(lambda found, step: found[step], path, content)
            part[key] = odd
            try:
                definition_of(content)
            except ValueError as error:
                refused.append(str(error))
    assert len(refused) > 500
    for sentence in refused:
        assert "\n" not in sentence
        assert any(f" {verb} " in sentence for verb in ("must", "may", "needs"))
