"""A small group is hidden, and cannot be had back from what is shown."""

import json
from itertools import chain, combinations

import numpy as np
import pandas as pd
import polars as pl
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from cxlab import (
    compare_groups,
    compare_segments,
    scorecard,
    suppress_small_groups,
)
from cxlab.core.disclosure.rule import Joint, hidden_groups, hidden_in_segments
from cxlab.core.disclosure.together import Figures, Groups, hidden_together
from cxlab.core.metric import Metric
from tests.runs import run_reports

NPS = Metric("s", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
YEARS = ("2024", "2025")
#: Random programmes whose tables are all printed; each takes a second.
PROGRAMMES = 3


def given_back(shown, hidden) -> np.ndarray:
    """Which hidden figures are combinations of those shown; rows of ones and zeros over cells."""
    rows, wanted = np.asarray(shown, dtype=float), np.asarray(hidden, dtype=float)
    rank = np.linalg.matrix_rank(rows)
    more = [np.linalg.matrix_rank(np.vstack([rows, one])) for one in wanted]
    return np.array([rank == other for other in more]) & wanted.any(axis=1)


@given(st.lists(st.integers(0, 60), min_size=1, max_size=8), st.integers(1, 20), st.integers(0, 30))
def test_what_is_hidden_cannot_be_had_from_the_total(sizes, smallest, ungrouped):
    hidden = hidden_groups(sizes, smallest, ungrouped=ungrouped)
    assert all(i in hidden for i, n in enumerate(sizes) if 0 < n < smallest)
    assert not any(sizes[i] == 0 for i in hidden)
    if 0 < ungrouped < smallest and any(sizes):
        # the few without a group are a group: the total less the groups must not give them
        assert hidden
    if hidden:
        everything = all(i in hidden for i, n in enumerate(sizes) if n)
        together = sum(sizes[i] for i in hidden) + ungrouped
        cells = len(hidden) + (ungrouped > 0)
        assert everything or (cells >= 2 and together >= smallest)


@given(st.lists(st.integers(10, 60), max_size=8))
def test_nothing_is_hidden_without_a_small_group(sizes):
    assert hidden_groups(sizes, 10) == {}


def test_every_figure_of_a_hidden_row_is_null():
    table = pd.DataFrame({"metric": "nps", "group": ["a", "b", "c"], "n": [90, 4, 50], "estimate": [1.0, 2, 3],
                          "attained": ["yes", "no", "yes"], "note": ["", "x", ""]})  # fmt: skip
    shown = suppress_small_groups(table, within=["metric"])
    assert shown.loc[1, ["n", "estimate", "attained"]].isna().all()
    assert shown["note"].tolist() == ["", "hidden: fewer than 10 answers",
                                      "hidden: it would give a smaller group back"]  # fmt: skip


def test_each_whole_is_looked_at_alone():
    table = pd.DataFrame({"metric": ["x"] * 3 + ["y"] * 3, "group": list("abcabc"),
                          "n": [90, 4, 50, 90, 40, 50], "estimate": 1.0})  # fmt: skip
    shown = suppress_small_groups(table, within=["metric"])
    assert shown["n"].isna().tolist() == [False, True, True, False, False, False]


def answers():
    rng = np.random.default_rng(5)
    kind = ["a"] * 200 + ["b"] * 6 + ["c"] * 80
    return pd.DataFrame({"s": rng.integers(0, 11, 286).astype(float), "kind": kind})


def test_scorecard_hides_the_small_group_and_its_complement():
    metric = Metric("s", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
    table = scorecard(answers(), [metric], by="kind").table.set_index("group")
    assert table["suppressed"].tolist() == ["", "", "small", "complementary"]
    assert table.loc["b", ["n", "estimate", "se", "unweighted", "n_eff", "n_missing"]].isna().all()
    # neither count nor mean of b follows from the total and the groups shown
    shown = table[table["n"].notna()]
    assert len(table) - len(shown) == 2


def test_few_answers_without_a_segment_are_not_given_back():
    data = answers()
    data.loc[data["kind"] == "b", "kind"] = None
    table = scorecard(data, [NPS], by="kind").table.set_index("group")
    assert table["suppressed"].to_dict() == {"everyone": "", "a": "", "c": "complementary"}
    many = data.assign(kind=data["kind"].where(data.index >= 9))
    assert (scorecard(many, [NPS], by="kind").table["suppressed"] == "").all()


class TestTablesTogether:
    """Nothing follows from several tables that none of them shows."""

    def two_years(self, before: dict[str, int], after: dict[str, int]) -> pd.DataFrame:
        rng = np.random.default_rng(1)
        parts = []
        for year, sizes in zip(YEARS, (before, after), strict=True):
            g = np.repeat(list(sizes), list(sizes.values()))
            parts.append(pd.DataFrame({"s": rng.integers(0, 11, len(g)), "g": g, "period": year}))
        data = pd.concat(parts, ignore_index=True).astype({"s": float, "g": object})
        return data.assign(g=data["g"].where(data["g"] != "nobody", None))

    def shown(self, table: pd.DataFrame) -> set[str]:
        return set(table.loc[table["n"].notna(), "group"])

    def test_answers_without_a_segment_are_shown_nowhere_where_they_cover(self):
        data = self.two_years(*[{"A": 20, "B": 4, "C": 100, "nobody": 30}] * 2)
        assert self.shown(scorecard(data, [NPS], by="g").table) >= {"A", "C"}

    def test_groups_in_few_clusters_join_those_that_the_scorecard_hides(self):
        sizes = {"A": 100, "B": 4, "C": 30, "D": 20}
        data = self.two_years(sizes, sizes)
        # D is the cover by answers, C by customers
        data["customer"] = np.where(data["g"] == "C", "one", data.index.astype(str))
        later = data[data["period"] == "2025"]
        table = scorecard(later, [NPS], by="g", design={"cluster": "customer"}).table
        assert self.shown(table) == {"everyone", "A", "C"}

    def test_nested_segments_do_not_give_a_group_back(self):
        data = self.two_years(*[{"A": 50, "B": 60, "C": 3}] * 2)
        data["t"] = data["g"].map({"A": "T1", "B": "T2", "C": "T2"})
        later = data[data["period"] == "2025"]
        table = scorecard(later, [NPS], by=["t", "g"]).table
        # T2 less B would be C
        assert self.shown(table) == {"everyone", "T1", "T2", "A"}

    @pytest.mark.parametrize("engine", ["pandas", "polars"])
    def test_every_engine_hides_the_same_of_numbered_groups(self, engine):
        data = self.two_years(*[{"1": 50, "2": 60, "10": 3}] * 2)
        data["g"] = data["g"].astype(float)
        data["t"] = (data["g"] == 1).astype(int)
        later = data[data["period"] == "2025"]
        table = scorecard(
            pl.from_pandas(later) if engine == "polars" else later, [NPS], by=["t", "g"]
        ).table
        assert self.shown(table) == {"everyone", "0", "1"}

    def programme(self, rng: np.random.Generator) -> pd.DataFrame:
        first, second = rng.integers(2, 6, 2)
        lam = rng.gamma(1, 20, (first, second)) * (rng.random((first, second)) < 0.7)
        parts = []
        for year in YEARS:
            n = rng.poisson(lam * rng.uniform(0.5, 1.5, (first, second)))
            n[0, 0] += 20
            i, j = np.repeat(np.indices(n.shape).reshape(2, -1), n.ravel(), axis=1)
            parts.append(pd.DataFrame({"t": [f"t{k}" for k in i], "g": [f"g{k}" for k in j],
                                       "s": rng.integers(0, 11, len(i)), "period": year}))  # fmt: skip
        data = pd.concat(parts, ignore_index=True).astype({"s": float, "t": object, "g": object})
        for name in "tg":
            if rng.random() < 0.5:
                data[name] = data[name].where(data[name] != f"{name}1", None)
        return data

    def test_no_small_group_is_recovered_from_all_tables_of_random_programmes(self):
        """A scorecard of each period by both segments: one linear system."""
        rng, small = np.random.default_rng(4), 0
        for _ in range(PROGRAMMES):
            data = self.programme(rng)
            both = ["t", "g"]
            for year in YEARS:
                own = data[data["period"] == year]
                n = own.groupby(both, dropna=False).size()
                frame = n.index.to_frame(index=False)
                card = scorecard(own, [NPS], by=both).table
                margins = self.equations(frame, card)
                for name in both:
                    for group in frame[name].unique():
                        inside = frame[name].isna() if pd.isna(group) else frame[name] == group
                        if n.to_numpy()[inside].sum() < 10:
                            small += 1
                            wanted = [inside.to_numpy(float)]
                            assert not given_back(margins, wanted).any(), (year, group)
        assert small >= PROGRAMMES

    def equations(self, frame, card) -> list[np.ndarray]:
        words = frame.fillna("not given")
        found = [np.ones(len(frame))]
        for name in "tg":
            for group in self.shown(card[card["segment"] == name]):
                found.append((words[name] == group).to_numpy(float))
        return found


def joints(draw) -> Joint:
    groups = draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    cell = st.tuples(*(st.integers(0, many - 1) for many in groups))
    codes = draw(st.lists(cell, min_size=1, max_size=20, unique=True))
    n = draw(st.lists(st.integers(0, 40), min_size=len(codes), max_size=len(codes)))
    rest = tuple(many - 1 if draw(st.booleans()) else None for many in groups)
    names = tuple(tuple(map(str, range(many))) for many in groups)
    return Joint(np.array(codes), np.array(n), names, rest)


class TestAudit:
    def indicators(self, joint: Joint, hidden: list[dict[int, str]]):
        """Rows shown, and rows hidden with their sizes; everyone is shown."""
        shown, away = [np.ones(len(joint.n))], []
        for i, names in enumerate(joint.names):
            for group in range(len(names)):
                row = (joint.codes[:, i] == group).astype(float)
                (away if group in hidden[i] else shown).append(row)
        return shown, away

    @settings(max_examples=300)
    @given(st.composite(joints)())
    def test_no_hidden_group_is_a_combination_of_those_shown(self, joint):
        hidden = hidden_in_segments(joint, 10)
        shown, away = self.indicators(joint, hidden)
        sizes = [row @ joint.n for row in shown[1:]]
        if joint.n.sum() >= 10:
            assert not any(0 < size < 10 for size in sizes)
            assert not any(
                given_back(shown, [row])[0] for row in away if row @ joint.n < joint.n.sum()
            )

    @settings(max_examples=300)
    @given(st.composite(joints)())
    def test_no_small_group_of_two_segments_is_a_combination_of_those_shown(self, joint):
        if joint.n.sum() < 10:
            return
        shown = self.indicators(joint, hidden_in_segments(joint, 10))[0]
        for pair in combinations(joint.codes.T, 2):
            few = [row for cell in set(zip(*pair, strict=True))
                   if (row := (np.stack(pair, axis=1) == cell).all(axis=1)) @ joint.n < 10]  # fmt: skip
            assert not any(given_back(shown, [row])[0] for row in few)
            for line in [[row for row in few if codes[row][0] == code]
                         for codes in pair for code in set(codes)]:  # fmt: skip
                sets = chain.from_iterable(combinations(line, k) for k in range(2, len(line) + 1))
                together = [own for one in sets if (own := np.any(one, axis=0)) @ joint.n < 10]
                assert not any(given_back(shown, [own])[0] for own in together)

    def test_of_four_groups_of_two_segments_one_is_known_to_be_empty(self):
        """Row b is all of column x but four, so one segment is hidden."""
        codes = np.array([[0, 0], [0, 1], [1, 0]])
        joint = Joint(codes, np.array([4, 20, 30]), (("a", "b"), ("x", "y")), (None, None))
        assert [set(groups) for groups in hidden_in_segments(joint, 10)] in ([set(), {0, 1}],
                                                                            [{0, 1}, set()])  # fmt: skip
        full = Joint(
            np.array([*codes, [1, 1]]), np.array([4, 20, 30, 40]), joint.names, (None, None)
        )
        assert hidden_in_segments(full, 10) == [{}, {}]

    def test_a_small_group_is_covered_by_the_next_one(self):
        n = [[1, 10, 9, 0], [10, 9, 0, 1], [0, 1, 0, 10]]
        codes = np.array([[i, j] for i in range(3) for j in range(4)])
        names = (tuple("abc"), tuple("wxyz"))
        joint = Joint(codes, np.array(n).ravel(), names, (None, None))
        assert hidden_in_segments(joint, 10)[1] == {2: "small", 0: "complementary"}

    def test_crossed_groups_that_follow_alone_are_not_given_back_together(self):
        """B1 less C1 would be the two of (B1, C0) and (B1, C2), each of which is hidden."""
        codes = np.array([[1, 1, 1], [0, 1, 2], [1, 1, 0], [1, 0, 0]])
        names = (tuple("01"), tuple("01"), tuple("012"))
        joint = Joint(codes, np.array([11, 1, 1, 10]), names, (None, None, None))
        shown = self.indicators(joint, hidden_in_segments(joint, 10))[0]
        assert not given_back(shown, [np.array([0.0, 1, 1, 0])])[0]

    def test_three_of_four_crossed_groups_are_not_given_back_together(self):
        """Of the four small parts of A0 three, of five answers, would be a sum of the figures shown."""
        codes = [[2, 3, 3], [1, 0, 2], [0, 1, 1], [1, 3, 1], [0, 1, 2], [0, 3, 3], [0, 3, 4],
                 [1, 1, 0], [2, 0, 3]]  # fmt: skip
        names = (tuple("012"), tuple("0123"), tuple("01234"))
        joint = Joint(np.array(codes), np.array([57, 49, 2, 2, 2, 2, 1, 35, 2]), names, (None,) * 3)
        shown = self.indicators(joint, hidden_in_segments(joint, 10))[0]
        three = np.isin(np.arange(len(codes)), [2, 4, 6]).astype(float)
        assert not given_back(shown, [three])[0]

    def test_three_of_four_groups_of_reports_are_not_given_back_together(self):
        """Reports of the groups of A and of B, with rows of all segments: three of B0, of eight answers."""
        codes = np.array([[2, 0, 2], [2, 1, 1], [4, 0, 0], [3, 0, 0], [4, 1, 2], [1, 0, 0],
                          [0, 1, 0], [0, 0, 2]])  # fmt: skip
        cells, report, family = [], [], []
        for segment in (0, 1):
            for group in np.unique(codes[:, segment]):
                inside, whole = codes[:, segment] == group, len(cells)
                rows = [inside & (codes[:, by] == one) for by in range(3)
                        for one in np.unique(codes[inside, by])]  # fmt: skip
                by = [by for by in range(3) for _ in np.unique(codes[inside, by])]
                cells += [inside, *rows]
                report += [whole] * (1 + len(rows))
                family += [3 * min(one, segment) + max(one, segment) for one in [segment, *by]]
        figures = Figures(csr_array(np.array(cells, float)), np.array(report), np.array(family),
                          np.zeros(len(cells), dtype=bool))  # fmt: skip
        crossed, line = np.eye(len(codes)), (codes[:, 1:2] == [0, 1]).astype(float)
        hidden = hidden_together(figures, [1, 36, 56, 3, 1, 2, 19, 3],
                                 Groups(csr_array(crossed), csr_array(line)), 10)  # fmt: skip
        shown = [row.astype(float) for i, row in enumerate(cells) if i not in hidden]
        assert not given_back(shown, [np.isin(np.arange(len(codes)), [3, 5, 7]).astype(float)])[0]

    def test_groups_that_are_small_together_are_not_given_back_together(self):
        """Areas s and n share the small c and d: s less b would be both, of eight answers."""
        codes = np.array([[0, 0], [1, 1], [1, 2], [1, 3]])
        joint = Joint(codes, np.array([50, 60, 4, 4]), (("n", "s"), tuple("abcd")), (None, None))
        assert set(hidden_in_segments(joint, 10)[1]) == {1, 2, 3}


STUDY = """
[study]
name = "tiny"
title = "Tiny"
[scales.likelihood]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
metrics = ["nps"]
[tables.answers]
file = "tiny.csv"
[tables.answers.columns.s]
role = "outcome"
scale = "likelihood"
[tables.answers.columns.kind]
role = "segment"
"""


def test_one_hidden_cell_stays_hidden_in_notebook_csv_json_and_html(tmp_path):
    answers().astype({"s": int}).to_csv(tmp_path / "tiny.csv", index=False)
    (tmp_path / "study.toml").write_text(STUDY)
    run = run_reports(
        str(tmp_path / "study.toml"), notebooks=["scorecard"], output=tmp_path / "reports"
    )
    assert not run.failures, run.failures
    folder = run.pages[0].parent
    table = pd.read_csv(folder / "tables" / "outcomes-by-segment.csv").set_index("group")
    assert table["n"].isna().to_dict() == {"a": False, "b": True, "c": True}
    records = json.loads((folder / "tables" / "outcomes-by-segment.json").read_text())
    assert [record["n"] for record in records if record["group"] in "bc"] == [None, None]
    sizes = {"6", "80", "86"}
    page = BeautifulSoup((folder / "2-scorecard.html").read_text(), "html.parser")
    cells = {cell.get_text(strip=True) for cell in page.select("table.cxlab td")}
    assert "200" in cells
    assert not cells & sizes
    for name in ("differences-between-segments", "touchpoints-by-segment"):
        text = (folder / "tables" / f"{name}.csv").read_text()
        assert not any(f",{size}," in text for size in sizes)
    assert ">80<" not in (folder / "2-scorecard.ipynb").read_text()


def test_minimum_is_checked_in_every_table_of_the_demo_report():
    from cxlab import load_study

    study = load_study("demo")
    table = scorecard(study.read(period="2025-Q4"), study.metrics(), by=study.segments).table
    assert (table["n"].dropna() >= 10).all()
    assert table.loc[table["suppressed"] != "", "estimate"].isna().all()


def test_everyone_stays_when_nobody_is_small():
    table = scorecard(answers().query("kind != 'b'"), [Metric("s", "mean")], by="kind").table
    assert (table["suppressed"] == "").all()
    assert pytest.approx(286 - 6) == table["n"].iloc[1:].sum()


def test_a_comparison_of_segments_hides_what_their_scorecard_hides():
    rng = np.random.default_rng(1)
    nested = pd.DataFrame({"s": rng.integers(0, 11, 113).astype(float), "t": ["T1"] * 50 + ["T2"] * 63,
                           "g": ["A"] * 50 + ["B"] * 60 + ["C"] * 3})  # fmt: skip
    metric = Metric("s", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
    card = scorecard(nested, [metric], by=["t", "g"]).table
    compared = compare_segments(nested, [metric], ["t", "g"])
    # T2 of `t` less B would be C
    assert set(card.loc[card["suppressed"] != "", "group"]) == {"B", "C"}
    assert set(compared.loc[compared["n"].isna(), "group"]) == {"B", "C"}


def test_a_group_beside_hidden_ones_only_says_so():
    data = pd.DataFrame({"t": ["a"] * 5 + ["b"] * 45 + ["c"] * 60, "s": [0.0, 5, 8, 9, 10] * 22})
    found = compare_groups(data, [NPS], by="t").set_index("group")
    assert found["n"].isna().to_dict() == {"a": True, "b": True, "c": False}
    assert found.loc["c", "note"] == "no test: every other group is hidden"
