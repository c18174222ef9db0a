"""What a study declares beyond columns: operational figures, contact rules, headline."""

import pytest

from cxlab import (
    compare_outcomes,
    drivers,
    load_study,
    operational_table,
    programme_tables,
    repeated_table,
    scorecard,
)

STUDY = """
[study]
name = "small"
title = "Small"
min_group_size = 1
[contact_rules."quiet"]
days = 30
exempt = 0.1
[scales.r]
range = [1, 5]
bins = { low = [1, 2], middle = [3, 3], top = [4, 5] }
[scales.n]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]
[tables.a]
file = "a.csv"
[tables.a.operational.desk]
column = "wait"
better = "lower"
target = 10
experience = "q"
experience_target = 4
[tables.a.columns.wait]
role = "number"
[tables.a.columns.q]
role = "outcome"
scale = "r"
[tables.a.columns.likely]
role = "outcome"
scale = "n"
"""
ANSWERS = "wait,q,likely\n5,5,10\n7,4,9\n20,2,3\n30,1,2\n9,4,8\n"


@pytest.fixture
def make(tmp_path):
    def write(*replacements):
        text = STUDY
        for before, after in replacements:
            assert before in text
            text = text.replace(before, after)
        (tmp_path / "study.toml").write_text(text)
        (tmp_path / "a.csv").write_text(ANSWERS)
        return load_study(tmp_path)

    return write


def test_operational_figure_and_score_stand_on_one_row(make):
    table = operational_table(make())
    assert table[["touchpoint", "quadrant"]].values.tolist() == [["desk", "both bad"]]
    assert table["operational_mean"].item() == pytest.approx((5 + 7 + 20 + 30 + 9) / 5)
    assert table["experience_mean"].item() == pytest.approx(3.2)


def test_nothing_declared_gives_empty_tables(make):
    text = STUDY[
        STUDY.index("[tables.a.operational.desk]") : STUDY.index("[tables.a.columns.wait]")
    ]
    study = make((text, ""))
    assert operational_table(study).empty
    assert repeated_table(study).empty


def test_headline_and_advocacy_are_the_first_nps(make):
    study = make()
    assert (study.headline.column, study.advocacy) == ("likely", "likely")
    plain = make(('metrics = ["nps"]', 'metrics = ["mean"]'))
    assert plain.headline.column == "q"
    with pytest.raises(ValueError, match="must have an outcome with metric 'nps'"):
        _ = plain.advocacy


def test_boxes_and_cuts_come_from_the_bins(make):
    study = make()
    assert study.top_box == {"q": 4.0, "likely": 9.0}
    assert study.cuts == {"q": (2.0, 4.0), "likely": (6.0, 9.0)}


def test_a_programme_needs_both_surveys(make):
    with pytest.raises(
        ValueError, match="must have tables named 'transactional' or 'relationship'"
    ):
        programme_tables(make())


def test_a_programme_of_some_customers_is_theirs_in_every_table():
    study = load_study("demo")
    tables = programme_tables(study, where={"segment": "Family"})
    family = set(tables["customers"]["customer_id"])
    assert 0 < len(family) < 2500
    for name in ("transactional", "relationship", "invitations"):
        assert set(tables[name]["customer_id"]) <= family
    assert tables["contact_rules"] == {"relationship quarantine": (60.0, 0.1)}


@pytest.mark.parametrize(
    ("replacement", "message"),
    [(('better = "lower"', 'better = "less"'), "`better` of operational.desk must be 'lower' or 'higher'; got 'less'"),
     (('column = "wait"', 'column = "wiat"'), "Did you mean 'wait'"),
     (("experience_target = 4\n", ""), "`experience_target` of operational.desk must be a number; got none"),
     (("target = 10", 'target = "ten"'), "`target` of operational.desk must be a number"),
     (("days = 30", "days = 0"), "`days` of contact_rules.quiet must be a number of days over 0"),
     (("exempt = 0.1", "exempt = 1.5"), "`exempt` of contact_rules.quiet must be a share from 0 to below 1")],
)  # fmt: skip
def test_a_bad_declaration_gets_one_sentence(make, replacement, message):
    with pytest.raises(ValueError, match=message):
        make(replacement)


def test_two_outcomes_of_a_declared_study_are_compared():
    answers = load_study("demo").read(period="2025-Q4")
    both = drivers(answers, "overall", ["staff", "check_in"], advocacy="recommend", replicates=0)
    shares = compare_outcomes(both)[["overall_share", "recommend_share"]]
    assert shares.sum().tolist() == pytest.approx([1, 1])


OTHER = """
[tables.b]
file = "b.csv"
[tables.b.operational.desk]
column = "q"
better = "lower"
target = 10
experience = "wait"
experience_target = 4
[tables.b.columns.wait]
role = "outcome"
label = "THE OTHER WAIT"
scale = "r"
[tables.b.columns.q]
role = "number"
[tables.b.columns.likely]
role = "outcome"
label = "RECOMMEND AFTER CONTACT"
scale = "n"
"""


def test_labels_belong_to_their_table(make, tmp_path):
    last = '[tables.a.columns.likely]\nrole = "outcome"\nscale = "n"\n'
    study = make(('title = "Small"', 'title = "Small"\nmain = "a"'),
                 (last, f'{last}label = "Would recommend"\n{OTHER}'))  # fmt: skip
    (tmp_path / "b.csv").write_text(ANSWERS.replace("wait,q", "q,wait"))
    assert study.labels["likely"] == "Would recommend"
    assert study.table("b").labels["likely"] == "RECOMMEND AFTER CONTACT"
    assert study.selection({"wait": "1"}, table="b") == "THE OTHER WAIT = 1"
    assert study.selection({"wait": "1"}) == "wait = 1"
    shown = scorecard(study.read(), study.metrics("outcome"), labels=study.labels).table
    assert "Would recommend" in shown["label"].tolist()
    # each table's figures under its own labels
    beside = operational_table(study)
    assert beside["operational"].tolist() == ["wait", "q"]
    assert beside["experience"].tolist() == ["q", "THE OTHER WAIT"]


def test_the_demo_calls_its_main_weight_by_the_main_tables_label():
    study = load_study("demo")
    assert study.labels["weight"] == "Weight to the customer base"
    assert study.table("transactional").labels["weight"] == "Weight to the episodes"
