"""What everybody stands on: opened frames, totals, the gate, results."""

import json

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab.core import frames
from cxlab.core.characters import letters, quote_formula, unquote_formula
from cxlab.core.design import Design, as_design
from cxlab.core.disclosure.gate import (
    HIDDEN_VARIABLE,
    ROWS,
    Gate,
    HiddenFigure,
    as_record,
    decide,
    joint_answers,
    table_joints,
)
from cxlab.core.display import metric_titles
from cxlab.core.frames import open_frame
from cxlab.core.labels import natural_order
from cxlab.core.messages import did_you_mean, got, one_of
from cxlab.core.metric import Metric, metric_list, nps_metric
from cxlab.core.periods import places_of
from cxlab.core.result import Result
from cxlab.core.totals import survey_totals

ANSWERS = pd.DataFrame({
    "score": [1.0, 5, np.nan, 3, 4, 2],
    "kind": ["a", "a", "b", "b", None, "a"],
    "w": [1, 2, 1, 1, 3, 0],
    "h": ["x", "x", "x", "y", "y", "y"],
    "c": ["1", "2", "2", "3", None, "4"],
})  # fmt: skip

ENGINES = {
    "pandas": lambda frame: frame,
    # the NaN of a Polars frame is no null of its own accord
    "polars": lambda frame: pl.from_pandas(frame, nan_to_null=False),
    "duckdb": lambda frame: duckdb.connect().from_df(frame),
}


class TestOpened:
    @pytest.mark.parametrize("engine", ENGINES)
    def test_numbers_are_floats_and_nan_is_null_in_every_engine(self, engine):
        whole = ANSWERS.assign(whole=[1, 2, 3, 4, 5, 6])
        opened = open_frame(ENGINES[engine](whole), numbers={"score": ["score", "whole"]})
        kinds = opened.lazy.collect_schema()
        assert [str(kinds[name]) for name in ("score", "whole")] == ["Float64", "Float64"]
        nulls = frames.collect(opened.lazy.select(frames.nw.col("score").is_null().sum()))
        assert (opened.n, int(nulls.iloc[0, 0])) == (6, 1)

    def test_rows_are_those_of_the_columns_asked_for(self):
        opened = open_frame(pl.from_pandas(ANSWERS), numbers={"score": "score"}, by="kind")
        assert opened.rows(["score"])["score"].sum() == 15
        assert opened.columns == {"score": ["score"], "by": ["kind"]}

    def test_times_of_a_zone_are_those_of_its_clocks(self):
        late = pd.Series(pd.to_datetime(["2025-01-02 00:30"])).dt.tz_localize("Europe/Berlin")
        rows = open_frame(pd.DataFrame({"day": late}), by="day").rows()
        assert rows["day"].dt.day.tolist() == [2]

    def test_rows_are_counted_without_any_column(self):
        assert open_frame(ANSWERS).n == open_frame(pl.from_pandas(ANSWERS)).n == 6

    def test_too_many_rows_to_fetch_are_refused(self, monkeypatch):
        monkeypatch.setattr(frames, "MOST_CELLS", 5)
        with pytest.raises(ValueError, match="at most 5 rows here"):
            open_frame(pl.from_pandas(ANSWERS), numbers={"score": "score"}).rows()

    @pytest.mark.parametrize(
        ("asked", "error", "message"),
        [
            ({"numbers": {"score": "scor"}}, ValueError, "`score` must be a column .* Did you mean"),
            ({"by": "knid"}, ValueError, "`by` must be a column of the data; got 'knid'"),
            ({"by": [3]}, TypeError, "`by` must be the name of a column; got 3"),
            ({"numbers": {"score": "kind"}}, TypeError, "`score` must be a column of numbers"),
            ({"design": {"weights": "kind"}}, TypeError, "`weights` must be a column of numbers"),
            ({"design": {"weights": "score"}}, ValueError, "`weights` must be finite"),
            ({"design": {"strata": "c"}}, ValueError, "`strata` must be given for every row"),
            ({"design": {"cluster": "cc"}}, ValueError, "`cluster` must be a column"),
            ({"design": {"weight": "w"}}, ValueError, "`design` must be .* Did you mean 'weights'"),
            ({"design": {"weights": 3}}, TypeError, "`weights` must be the name of a column; got int"),
            ({"design": {"cluster": ["c"]}}, TypeError, "`cluster` must be the name .* got list"),
        ],
    )  # fmt: skip
    def test_a_wrong_column_is_refused_by_its_argument(self, asked, error, message):
        with pytest.raises(error, match=message):
            open_frame(ANSWERS.assign(score=[1.0, -5, 1, 3, 4, 2]), **{"by": None, **asked})

    def test_names_that_differ_in_case_are_refused(self):
        with pytest.raises(ValueError, match="got 'score' and 'Score'"):
            open_frame(ANSWERS.assign(Score=1), by="kind")

    def test_a_design_is_taken_as_it_is(self):
        design = Design(weights="w")
        assert as_design(design) is design
        assert not design.simple
        assert as_design(None).simple


DESIGN = {"weights": "w", "strata": "h", "cluster": "c"}


def many_clusters():
    """Answers of clusters that lie in several groups, or are rows alone; some of weight 0."""
    rng = np.random.default_rng(3)
    rows = pd.DataFrame({"c": rng.integers(0, 80, 200).astype(str)})
    rows["h"] = np.where(rows["c"].astype(int) < 30, "x", "y")
    rows.loc[::9, "c"] = None
    rows["score"] = rng.integers(0, 11, 200).astype(float)
    rows.loc[::7, "score"] = np.nan
    rows["kind"] = rng.choice(["a", "b", None], 200, p=[0.5, 0.4, 0.1])
    return rows.assign(w=rng.choice([0.0, 0.5, 1.0, 2.5], 200))


def answered(rows, weights):
    return rows["score"].notna() & (rows[weights] > 0 if weights else True)


def summed_over_units(rows, weights):
    """One unit after the other: a cluster, or a row without one."""
    rows = rows[answered(rows, weights)]
    found = dict.fromkeys(("n", "w", "wy", "ww", "units", "uu", "uuy", "uuyy"), 0.0)
    for unit in rows["c"].fillna(pd.Series([f"row {i}" for i in rows.index], rows.index)).unique():
        inside = rows[(rows["c"] == unit) | ("row " + rows.index.astype(str) == unit)]
        weight = inside[weights] if weights else pd.Series(1.0, inside.index)
        w, wy = weight.sum(), (weight * inside["score"]).sum()
        own = (len(inside), w, wy, (weight**2).sum(), 1, w * w, w * wy, wy * wy)
        found = {name: found[name] + value for name, value in zip(found, own, strict=True)}
    return found


class TestTotals:
    def totals(self, by="kind", **design):
        opened = open_frame(ANSWERS, numbers={"score": "score"}, by=by, design=design)
        return survey_totals(opened, {"s": frames.nw.col("score")}, [by])[0]

    def test_every_row_is_counted_where_it_belongs(self):
        found = self.totals(**DESIGN)
        # of weight 0: the last row; without a kind: the fifth, which is also without a cluster
        assert found.rows.tolist() == [2, 2]
        assert (found.weightless, found.lone_rows, found.ungrouped) == (1, 1, {"s": 1})
        # two clusters and two, and the row without one
        assert found.clusters.to_dict() == {"x": 2, "y": 3}
        assert found.groups["kind"].tolist() == ["a", "b"]

    def test_sums_by_hand(self):
        sums = self.totals(**DESIGN).sums("s").groupby("group_code").sum(numeric_only=True)
        assert sums[["n", "y", "yy", "w", "wy", "wyy", "ww"]].values.tolist() == [
            [2, 6, 26, 3, 11, 51, 5], [1, 3, 9, 1, 3, 9, 1]]  # fmt: skip

    def test_clusters_sampled_are_those_that_are_told(self):
        known = ANSWERS.assign(known=[9, 9, 9, None, None, None])
        opened = open_frame(known, numbers={"score": "score"},
                            design={"strata": "h", "cluster": "c", "stratum_clusters": "known"})  # fmt: skip
        (found,) = survey_totals(opened, {"s": frames.nw.col("score")}, [None])
        assert found.clusters.to_dict() == {"x": 9, "y": 3}

    def test_the_query_and_numpy_add_up_alike(self, monkeypatch):
        wanted = self.totals(**DESIGN)
        monkeypatch.setattr(frames, "NUMPY_VALUES", 0)
        found = self.totals(**DESIGN)
        pd.testing.assert_frame_equal(found.sums("s"), wanted.sums("s"), check_dtype=False)

    @pytest.mark.parametrize("engine", ["polars", "duckdb"])
    @pytest.mark.parametrize("by", [None, "kind", ["kind", "h"]])
    @pytest.mark.parametrize("weights", [None, "w"])
    def test_clusters_summed_together_are_those_of_a_plain_loop(self, engine, by, weights):
        rows = many_clusters()
        design = {"weights": weights, "strata": "h", "cluster": "c"}
        opened = open_frame(ENGINES[engine](rows), numbers={"score": "score"}, by=by, design=design)
        score = {"s": frames.nw.col("score")}
        (found,) = survey_totals(opened, score, [by], per_cluster=False)
        (apart,) = survey_totals(opened, score, [by])
        assert found.clusters.to_dict() == apart.clusters.to_dict()
        assert found.lone_rows == rows["c"].isna().sum()
        for fact in ("rows", "ungrouped", "weightless", "groups"):
            assert str(getattr(found, fact)) == str(getattr(apart, fact))
        cells = found.stacked()
        assert cells["cluster"].isna().all()
        groups = [rows[name] for name in frames.as_list(by)]
        expected = [
            [*summed_over_units(part, weights).values()]
            for _, part in rows.groupby([*groups, rows["h"]])
            if answered(part, weights).any()
        ]
        np.testing.assert_allclose(
            cells[["n", "w", "wy", "ww", "units", "uu", "uuy", "uuyy"]].to_numpy(float), expected
        )

    @pytest.mark.parametrize("engine", ["polars", "duckdb"])
    def test_a_cluster_of_one_row_needs_no_cell(self, engine):
        rows = many_clusters()
        design = {"strata": "h", "cluster": "c"}
        opened = open_frame(ENGINES[engine](rows), numbers={"score": "score"}, design=design)
        (found,) = survey_totals(opened, {"s": frames.nw.col("score")}, [None])
        sizes = rows["c"].value_counts()
        assert (sizes == 1).sum() > 5
        assert sorted(found.cells["cluster"].dropna()) == sorted(sizes.index[sizes > 1])
        assert found.lone_rows == rows["c"].isna().sum()
        clusters = rows.groupby("h")["c"].agg(lambda c: c.nunique() + c.isna().sum())
        assert found.clusters.to_dict() == clusters.to_dict()
        assert found.sums("s")["y"].sum() == rows["score"].sum()

    def test_what_is_derived_from_a_frame_in_memory_stays_there(self):
        twice = {"score": frames.nw.col("score") * 2}
        for data, small in ((ANSWERS, True), (duckdb.from_df(ANSWERS), False)):
            opened = open_frame(data, numbers={"score": "score"}).with_columns(twice)
            (found,) = survey_totals(opened, {"s": frames.nw.col("score")}, [None])
            assert opened.is_small(1) is small
            assert found.sums("s")["y"].item() == 2 * ANSWERS["score"].sum()

    def test_groups_stand_in_their_declared_order(self):
        declared = ANSWERS.assign(kind=pd.Categorical(ANSWERS["kind"], ["b", "a"], ordered=True))
        opened = open_frame(declared, numbers={"score": "score"}, by="kind")
        (found,) = survey_totals(opened, {"s": frames.nw.col("score")}, ["kind"])
        assert found.groups["kind"].astype(str).tolist() == ["b", "a"]


def table(**sizes):
    """Rows of everyone and of the groups of one segment, none missing."""
    whole = {"segment": "everyone", "group": "everyone", "n": sum(sizes.values())}
    rows = [whole, *({"segment": "kind", "group": name, "n": n} for name, n in sizes.items())]
    return pd.DataFrame(rows).assign(column="s", metric="mean", n_missing=0, estimate=1.0)


class TestGate:
    def test_small_rows_and_their_complements_come_out_empty(self):
        shown = decide(table_joints(table(a=120, b=4, c=60), ["kind"]), ["kind"], 10).hide(
            table(a=120, b=4, c=60)
        )
        assert shown["suppressed"].tolist() == ["", "", "small", "complementary"]
        assert shown["estimate"].isna().tolist() == [False, False, True, True]

    def test_ten_answers_are_enough(self):
        assert (
            decide(table_joints(table(a=10, b=10), ["kind"]), ["kind"], 10).groups("s", "kind")
            == {}
        )
        assert decide(table_joints(table(a=10), []), [], 10).groups("s", "everyone") == {}
        assert decide(table_joints(table(a=9), []), [], 10).groups("s", "everyone")

    def test_answers_without_a_segment_are_a_group(self):
        few = table(a=40, b=50)
        few.loc[0, "n"] += 4
        gate = decide(table_joints(few, ["kind"]), ["kind"], 10)
        assert gate.groups("s", "kind") == {None: "small", "a": "complementary"}

    def test_missing_answers_are_hidden_where_they_tell_of_few_rows(self):
        rows = table(a=40, b=50).assign(n_missing=[3, 0, 0])
        gate = Gate({}, 10)
        # 93 rows less 90 are three
        assert gate.hide(rows)["n_missing"].isna().tolist() == [False, True, True]
        assert gate.hide(rows.assign(n_missing=[20, 0, 0]))["n_missing"].notna().all()
        other = Gate({(ROWS, "area"): {"n": "small"}}, 10)
        assert other.hide(rows.assign(n_missing=[20, 0, 0]))["n_missing"].isna().tolist() == [
            False, True, True]  # fmt: skip

    def test_what_the_run_hides_is_hidden(self, monkeypatch):
        record = as_record([HiddenFigure("2025", "s", "kind", "a"), HiddenFigure("2025", "away")])
        monkeypatch.setenv(HIDDEN_VARIABLE, json.dumps(record))
        gate = decide(table_joints(table(a=40, b=50), ["kind"]), ["kind"], 10)
        assert gate.groups("s", "kind") == {"a": "complementary", "b": "complementary"}
        empty = table(a=0, b=0).assign(column="away")
        gate = decide(table_joints(empty, ["kind"]), ["kind"], 10)
        assert gate.groups("away", "everyone") == {"everyone": "complementary"}

    def test_rows_of_weight_nought_are_no_answers(self):
        opened = open_frame(ANSWERS, numbers={"score": "score"}, by="kind", design={"weights": "w"})
        (joint,) = joint_answers(opened, ["score"], ["kind"], 10).values()
        # two of a (the third has weight 0), one of b, one without
        assert (joint.names, joint.not_given) == ((("a", "b", ""),), (2,))
        assert np.bincount(joint.codes[:, 0], joint.n).tolist() == [2, 1, 1]


def test_numbers_in_names_are_sorted_by_size():
    assert sorted(["w10", "w9", "2025-10", "2025-9"], key=natural_order) == [
        "2025-9", "2025-10", "w9", "w10"]  # fmt: skip


def test_the_net_promoter_score_is_stated_once():
    metric = nps_metric("s")
    assert (metric.top, metric.bottom, metric.scale) == ((9, 10), (0, 6), (0, 10))
    assert (metric.unit, metric.factor) == ("points", 100)
    assert metric_list("s") == [metric] == metric_list(metric) == metric_list([metric])


def test_a_result_shows_its_table_and_its_notes():
    result = Result(table=pd.DataFrame({"n": [3]}), notes=("One & only.",))
    assert str(result).splitlines() == ["n", "3", "One & only."]
    assert "<li>One &amp; only.</li>" in result._repr_html_()
    assert result.n_missing.columns.tolist() == ["column", "n_missing"]


def test_errors_say_what_came_and_what_is_near():
    assert [got([11], total=84), got(["Blank"]), got([1, 2])] == [
        "11 (and 83 more)", "'Blank'", "1 (and 1 more)"]  # fmt: skip
    assert one_of(["score", "wald"]) == "'score' or 'wald'"
    assert one_of("abc", limit=2) == "'a', 'b' or one of 1 more"
    assert did_you_mean("recomend", ["overall", "recommend"]) == " Did you mean 'recommend'?"
    assert did_you_mean("zzz", ["overall"]) == ""


def test_periods_lie_in_time_by_the_calendar():
    assert places_of(["2024-Q3", "2025-Q1"]).tolist() == [0, 2]
    assert places_of(["2020-W52", "2021-W01"]).tolist() == pytest.approx([0, 2])
    assert places_of(["spring", "autumn"]).tolist() == [0, 1]


def test_text_is_compared_and_read_as_it_was_written():
    assert letters("Response ID") == letters("response_id") == "responseid"
    assert [unquote_formula(quote_formula(text)) for text in ("=1+1", "'s Hertogenbosch")] == [
        "=1+1", "'s Hertogenbosch"]  # fmt: skip


def test_a_metric_has_its_kind_for_a_name():
    metrics = [Metric("overall", "box", top=(8, 10), words="Satisfied"), nps_metric("recommend")]
    assert metric_titles(metrics, {"overall": "Overall"}) == {
        ("Overall", "box"): "Satisfied (8 to 10)", ("recommend", "nps"): "NPS"}  # fmt: skip
