"""Small groups are groups of few people: twelve answers of two customers are about two."""

from itertools import chain, combinations

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from cxlab import (
    compare_groups,
    compare_periods,
    compare_segments,
    first_response,
    journey_table,
    masking,
    mix_and_performance,
    period_changes,
    period_scores,
    scorecard,
    suppress_small_groups,
    touchpoint_correlations,
    usage,
    visitors,
)
from cxlab.core.disclosure.gate import ROWS, joint_answers
from cxlab.core.disclosure.people import People
from cxlab.core.disclosure.rule import Joint, hidden_groups, hidden_in_segments
from cxlab.core.disclosure.together import Figures, Groups, hidden_together
from cxlab.core.frames import open_frame
from cxlab.core.metric import Metric

MEAN = Metric("s", "mean", name="mean")
WHO = {"cluster": "who", "customer": "who"}
ENGINES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "ibis": lambda frame: pytest.importorskip("ibis").memtable(pl.from_pandas(frame).to_arrow()),
    "duckdb": lambda frame: duckdb.connect().from_arrow(pl.from_pandas(frame).to_arrow()),
}


def answers() -> pd.DataFrame:
    """Two hundred customers in the North, twelve answers of two in the South, sixty in the West."""
    rng = np.random.default_rng(5)
    who = [f"n{i}" for i in range(200)] + ["s1", "s2"] * 6 + [f"w{i}" for i in range(60)]
    region = ["North"] * 200 + ["South"] * 12 + ["West"] * 60
    return pd.DataFrame({"s": rng.integers(0, 11, 272) * 1.0, "region": region, "who": who})


def often(*customers: str) -> dict[str, People]:
    """Who answered in each group, a letter a customer."""
    names = sorted(set("".join(customers)))
    rows = [[name in group for name in names] for group in customers]
    return {"people": People(np.zeros(len(customers)), csr_array(np.array(rows, dtype=float)))}


@pytest.mark.parametrize("engine", ENGINES)
def test_twelve_answers_of_two_customers_are_hidden_with_their_complement(engine):
    data = ENGINES[engine](answers())
    table = scorecard(data, [MEAN], by="region", design=WHO).table.set_index("group")
    assert table["suppressed"].tolist() == ["", "", "small", "complementary"]
    assert table.loc[["South", "West"], ["n", "estimate", "n_missing"]].isna().all(axis=None)
    assert table.loc["South", "note"] == "hidden: fewer than 10 customers"
    for compared in (compare_segments(data, MEAN, ["region"], design=WHO),
                     compare_groups(data, MEAN, by="region", design=WHO)):  # fmt: skip
        assert compared.set_index("group")["n"].isna().to_dict() == {
            "North": False, "South": True, "West": True,
        }  # fmt: skip
        assert "fewer than 10 customers" in compared.loc[1, "note"]


def test_answers_are_counted_where_no_customer_is_declared():
    for design in (None, {"cluster": "who"}):
        table = scorecard(answers(), [MEAN], by="region", design=design).table
        assert (table["suppressed"] == "").all()


def test_an_answer_without_a_customer_is_a_person():
    data = answers()
    data.loc[data["region"] == "South", "who"] = None
    assert (scorecard(data, [MEAN], by="region", design=WHO).table["suppressed"] == "").all()
    # nine unknown and one known are ten
    data.loc[data["region"] == "South", "who"] = [None] * 9 + ["s1"] * 3
    assert (scorecard(data, [MEAN], by="region", design=WHO).table["suppressed"] == "").all()
    data.loc[data["region"] == "South", "who"] = [None] * 8 + ["s1"] * 4
    table = scorecard(data, [MEAN], by="region", design=WHO).table
    assert table["suppressed"].tolist() == ["", "", "small", "complementary"]


def test_everyone_is_hidden_where_few_customers_answered():
    few = answers().query("region == 'South'")
    table = scorecard(few, [MEAN], design=WHO).table
    assert table["suppressed"].tolist() == ["small"]
    assert table["n"].isna().all()


def test_answers_of_few_customers_to_one_column_are_hidden_of_it_only():
    data = answers().assign(t=lambda frame: frame["s"])
    # in the West, nine customers rated t
    data.loc[(data["region"] == "West") & (data.index % 60 >= 9), "t"] = None
    again = data[data["region"] == "West"]
    data = pd.concat([data[data["region"] != "South"], again])
    metrics = [MEAN, Metric("t", "mean", name="mean")]
    table = scorecard(data, metrics, by="region", design=WHO).table.set_index(["column", "group"])
    assert table.loc[("s", "West"), "n"] == 120
    assert table.loc["t", "suppressed"].to_dict() == {
        "everyone": "", "North": "complementary", "West": "small",
    }  # fmt: skip


def test_hidden_groups_hold_enough_people_together_not_answers():
    # nine customers of the small group are those of the next: ten are needed
    same = often("abcdefghi", "abcdefghij", "klmnopqrstuvwxyz")
    assert hidden_groups([40, 50, 60], 11, **same) == {0: "small", 1: "small", 2: "complementary"}
    apart = often("abc", "defghijklm", "nopqrstuvwxyz")
    assert hidden_groups([40, 50, 60], 10, **apart) == {0: "small", 1: "complementary"}
    # both small, ten people together
    assert hidden_groups([40, 50, 90], 9, **often("abcde", "fghij", "klmnopqrstuv")) == {
        0: "small", 1: "small",
    }  # fmt: skip
    # both small, five people together
    assert hidden_groups([40, 50, 90], 9, **often("abcde", "abcde", "klmnopqrstuv")) == {
        0: "small", 1: "small", 2: "complementary",
    }  # fmt: skip


def test_usage_hides_groups_of_few_customers():
    data = answers().rename(columns={"s": "wifi"}).assign(wifi_missing=None)
    data.loc[::3, ["wifi", "wifi_missing"]] = [None, "never used"]
    table = usage(data, ["wifi"], by="region", design=WHO).table.set_index("group")
    assert table["suppressed"].to_dict() == {
        "North": "", "South": "small", "West": "complementary",
    }  # fmt: skip
    assert (usage(data, ["wifi"], by="region").table["suppressed"] == "").all()


def test_a_period_of_few_customers_is_not_compared():
    data = answers().replace({"region": {"North": "2024", "South": "2025", "West": None}})
    table = compare_periods(data, MEAN, period="region", design=WHO)
    assert table[["n", "estimate"]].isna().all(axis=None)


def test_own_tables_are_hidden_by_their_number_of_customers():
    table = pd.DataFrame({"group": list("abc"), "n": [90, 40, 60], "customers": [80, 3, 50]})
    shown = suppress_small_groups(table, within=[])
    assert shown["suppressed"].tolist() == ["", "small", "complementary"]
    assert shown.loc[1, ["n", "customers"]].isna().all()
    # six and nine may be the same nine
    two = pd.DataFrame({"group": list("abc"), "n": [90, 40, 60], "customers": [80, 6, 9]})
    assert suppress_small_groups(two, within=[])["suppressed"].tolist() == [
        "complementary", "small", "small",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ENGINES)
def test_people_of_cells_are_those_of_the_rows(engine):
    rng = np.random.default_rng(7)
    data = pd.DataFrame({
        "s": rng.choice([1.0, 2.0, np.nan], 900), "t": rng.choice([1.0, np.nan], 900, p=[0.05, 0.95]),
        "a": rng.choice(["x", "y", "z", None], 900), "b": rng.choice(list("klm"), 900),
        "who": rng.choice([*(f"c{i}" for i in range(40)), None], 900),
    })  # fmt: skip
    opened = open_frame(
        ENGINES[engine](data), numbers={"score": ["s", "t"]}, by=["a", "b"], design=WHO
    )
    joints = joint_answers(opened, ["s", "t", ROWS], ["a", "b"], 30)
    for column, joint in joints.items():
        there = data if column == ROWS else data[data[column].notna()]
        assert joint.n.sum() == len(there)
        for number, name in enumerate((*joint.names[0][:-1], None)):
            own = there[there["a"].isna() if name is None else there["a"] == name]
            people = own["who"].nunique() + own["who"].isna().sum()
            found = joint.who.together(np.flatnonzero(joint.codes[:, 0] == number).tolist())
            assert found == people or min(found, people) >= 30


def rated(customers: int, n: int = 40) -> pd.DataFrame:
    """Two hundred customers rated the shops, ``customers`` of them the lounge, ``n`` times in all."""
    rng = np.random.default_rng(3)
    who = [f"n{i}" for i in range(200)] + [f"n{i % customers}" for i in range(n)]
    data = pd.DataFrame(rng.integers(0, 11, (len(who), 3)), columns=["overall", "shops", "lounge"])
    data = data.astype(float).assign(who=who, lounge_missing="never used")
    data["lounge_missing"] = data["lounge_missing"].where(data.index < 200)
    return data.assign(lounge=data["lounge"].where(data.index >= 200), shops_missing=None)


@pytest.mark.parametrize(("customers", "is_shown"), [(9, False), (10, True)])
def test_touchpoints_that_few_customers_rated_are_hidden(customers, is_shown):
    data, names, known = (
        rated(customers),
        ["shops", "lounge"],
        {"design": WHO, "min_group_size": 10},
    )
    found = touchpoint_correlations(data, "overall", names, occasion="A", **known).table
    for table, figure in (
        (found, "estimate"),
        (visitors(data, "overall", "lounge", **known), "estimate"),
        (masking(data, "overall", names, **known), "bad"),
        (journey_table(data, "overall", {"A": ["shops"], "B": ["lounge"]}, **known), "estimate"),
    ):
        lounge = table[table["touchpoint"] == "lounge"].iloc[0]
        assert pd.notna(lounge[figure]) == is_shown
        shops = table[table["touchpoint"] == "shops"]
        assert shops[figure].notna().all()
    if not is_shown:
        assert "fewer than 10" in lounge["note"]


def test_a_stage_is_hidden_where_few_customers_rated_any_of_it():
    data = rated(9)
    table = journey_table(data, "overall", {"A": ["shops"], "B": ["lounge"]}, design=WHO)
    assert table.loc[table["stage"] == "B", ["n", "estimate"]].isna().all(axis=None)


def test_periods_of_few_customers_are_left_out_of_tracking():
    data = rated(9).assign(period=lambda frame: np.where(frame.index < 200, "2024", "2025"))
    data = data.assign(kind=np.where(data.index % 2, "a", "b"))
    scores = period_scores(data, "overall", design=WHO)
    assert scores["period"].tolist() == ["2024"]
    assert period_scores(data, "overall")["period"].tolist() == ["2024", "2025"]
    changes = period_changes(data, "overall", design=WHO)
    assert changes.table["estimate"].isna().all()
    mix = mix_and_performance(
        data, "overall", by="kind", periods=("2024", "2025"), design=WHO, replicates=20
    )
    assert mix.table["estimate"].isna().all()
    assert mix.notes == ("hidden: a period with fewer than 10 customers",)


def test_response_times_of_few_customers_are_hidden():
    contacts = pd.DataFrame({"hours": np.arange(1.0, 41), "who": [f"c{i % 9}" for i in range(40)]})
    known = {"target": 4, "replicates": 20}
    assert first_response(contacts, "hours", **known)["estimate"].notna().all()
    assert first_response(contacts, "hours", design=WHO, **known)["estimate"].isna().all()


def spanned(shown: np.ndarray, wanted: np.ndarray) -> bool:
    rank = np.linalg.matrix_rank(shown)
    return bool(np.linalg.matrix_rank(np.vstack([shown, wanted])) == rank)


def programme(rng) -> tuple[Joint, list[set[int]]]:
    """Joint cells of two segments, and who answered in each."""
    cells = [(i, j) for i in range(4) for j in range(3) if rng.random() < 0.7] or [(0, 0)]
    who = [
        set(rng.choice(40, int(rng.choice([1, 2, 4, 12, 20])), replace=False).tolist())
        for _ in cells
    ]
    n = [len(people) * int(rng.integers(1, 6)) for people in who]
    named = np.zeros((len(cells), 40))
    for cell, people in enumerate(who):
        named[cell, list(people)] = 1
    joint = Joint(np.array(cells), np.array(n), (tuple("abcd"), tuple("xyz")), (None, None),
                  People(np.zeros(len(cells)), csr_array(named)))  # fmt: skip
    return joint, who


def people_in(row: np.ndarray, who: list[set[int]]) -> int:
    return len(set().union(*(who[i] for i in np.flatnonzero(row))))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_nothing_about_few_people_is_shown_or_a_difference_of_what_is(seed):
    joint, who = programme(np.random.default_rng(seed))
    hidden = hidden_in_segments(joint, 6)
    everyone = np.ones((1, len(who)))
    groups = [
        (joint.codes[:, s] == g).astype(float) for s in (0, 1) for g in range(len(joint.names[s]))
    ]
    places = [(s, g) for s in (0, 1) for g in range(len(joint.names[s]))]
    shown = np.array([*everyone, *(row for row, (s, g) in zip(groups, places, strict=True)
                                   if g not in hidden[s] and row.any())])  # fmt: skip
    if people_in(everyone[0], who) < 6:
        return
    assert all(people_in(row, who) >= 6 for row in shown)
    for one, other in combinations(shown, 2):
        left = np.abs(one - other)
        if (one >= other).all() or (other >= one).all():
            assert not left.any() or people_in(left, who) >= 6
    # nor is any group of few people, or several of one segment, a combination of them
    for s in (0, 1):
        own = [row for row, (of, _) in zip(groups, places, strict=True) if of == s and row.any()]
        sets = chain.from_iterable(combinations(own, size) for size in range(1, len(own)))
        for several in sets:
            union = np.sum(several, axis=0)
            if people_in(union, who) < 6:
                assert not spanned(shown, union)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_reports_together_show_nothing_about_few_people(seed):
    """A report of everybody, by both segments, and reports of the groups of each segment."""
    joint, who = programme(np.random.default_rng(seed))
    codes = joint.codes
    rows, report, family = [np.ones(len(who))], [0], [0]
    for s in (0, 1):
        for g in range(len(joint.names[s])):
            inside = codes[:, s] == g
            if not inside.any():
                continue
            rows.append(inside.astype(float))
            report.append(0)
            family.append(1 + s)
            rows.append(inside.astype(float))
            report.append(len(rows) - 1)
            family.append(1 + s)
            for h in range(len(joint.names[1 - s])):
                if (both := inside & (codes[:, 1 - s] == h)).any():
                    rows.append(both.astype(float))
                    report.append(report[-1] if report[-1] else len(rows) - 2)
                    family.append(3)
    cells = csr_array(np.array(rows))
    figures = Figures(cells, np.array(report), np.array(family), np.zeros(len(rows), dtype=bool))
    alone, lines = (
        csr_array(np.eye(len(who))),
        np.hstack([np.eye(4)[codes[:, 0]], np.eye(3)[codes[:, 1]]]),
    )
    hidden = hidden_together(
        figures, joint.n, Groups(alone, csr_array(lines)), 6, people=joint.people
    )
    shown = np.array([row for i, row in enumerate(rows) if i not in hidden])
    assert all(people_in(row, who) >= 6 for row in shown)
    for cell in range(len(who)):
        if len(who[cell]) < 6 and len(shown):
            assert not spanned(shown, np.eye(len(who))[[cell]])
    for one, other in combinations(shown, 2):
        if (one >= other).all() and (one > other).any():
            assert people_in(one - other, who) >= 6
