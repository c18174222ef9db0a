"""Periods kept as statistics: compared as from answers, and nobody's answers in the file."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from cxlab import (
    build_report,
    compare_periods,
    control_chart,
    driver_changes,
    drivers,
    load_periods,
    load_study,
    mix_and_performance,
    moments,
    nps,
    period_changes,
    period_scores,
    period_statistics,
)
from cxlab.cli import main
from cxlab.core.metric import Metric
from cxlab.report.factory.requests import Request, plan_reports
from cxlab.stats.tracking.statistics import (
    EVERYONE,
    HIDDEN,
    PeriodStatistics,
    SavedPeriods,
    key_of,
)

ROOT = Path(__file__).parents[1]
NPS = Metric("score", "net", top=(9, 10), bottom=(0, 6), scale=(0, 10), name="nps")
MEAN = Metric("score", "mean", name="mean")
TOP = Metric("score", "box", top=(9, 10), name="top box")
METRICS = [NPS, MEAN, TOP]
DESIGN = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}
PERIODS = ("2024-Q4", "2025-Q4")
#: The same sums in another order.
ROUNDING = 1e-9
#: A bootstrap of 2,000 knows a standard error to 1.6 %; the delta method is an expansion.
BOOTSTRAP = 0.06
#: A part of a change that is a product of two small factors.
SMALL_PART = 0.12
FIGURES = ["n", "n_before", "estimate", "se", "ci_low", "ci_high", "p_value", "p_adjusted", "df",
           "smallest_seen"]  # fmt: skip


def answers(seed=1, clusters=60, rows=1200, spanning=False) -> pd.DataFrame:
    """Two periods of answers in clusters, with weights, strata and two segments."""
    rng = np.random.default_rng(seed)
    cluster = rng.integers(0, clusters, rows)
    period = rng.integers(0, 2, rows)
    trip = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    mood = rng.normal(size=(clusters, 2))
    own = mood[cluster, 0] if spanning else mood[cluster, period]
    latent = own + rng.normal(size=rows) + 0.4 * trip - 0.3 * period
    score = np.select([latent > 0.6, latent < -0.5], [10.0, 3.0], 8.0)
    score[rng.random(rows) < 0.05] = np.nan
    name = np.array(PERIODS)[period]
    apart = "" if spanning else name
    data = pd.DataFrame({
        "score": score, "period": name,
        "trip": np.array(["business", "family", "leisure"])[trip],
        "area": rng.choice(["north", "south"], rows), "weight": rng.choice([0.5, 1.0, 2.0], rows),
        "stratum": "s" + pd.Series(cluster % 3).astype(str) + apart,
        "cluster": "customer-" + pd.Series(cluster).astype(str) + apart,
    })  # fmt: skip
    data.loc[::9, "trip"] = None
    return data


def kept(data: pd.DataFrame, folder: Path, *, together=True, **options) -> SavedPeriods:
    """Statistics that went through files, of periods reduced together or one by one."""
    parts = [data] if together else [part for _, part in data.groupby("period")]
    for part in parts:
        period_statistics(part, METRICS, **options).save(folder)
    return load_periods(folder)


def same_changes(raw: pd.DataFrame, saved: pd.DataFrame) -> None:
    for name in FIGURES:
        np.testing.assert_allclose(
            saved[name].astype(float), raw[name].astype(float), rtol=ROUNDING, err_msg=name
        )
    for name in ("label", "metric", "period", "before", "against", "unit", "method", "sentence"):
        assert saved[name].tolist() == raw[name].tolist()


class TestChanges:
    @pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
    @pytest.mark.parametrize(
        "design",
        [{}, {"weights": "weight"}, {"cluster": "cluster"},
         {"weights": "weight", "cluster": "cluster"}, DESIGN],
        ids=["simple", "weights", "clusters", "both", "all"],
    )  # fmt: skip
    def test_changes_are_those_of_the_answers(self, tmp_path, design, together):
        data = answers()
        saved = kept(data, tmp_path, together=together, design=design)
        same_changes(period_changes(data, METRICS, design=design), period_changes(saved, METRICS))

    def test_rows_without_a_cluster_count_as_in_the_answers(self, tmp_path):
        data = answers()
        data.loc[:39, "cluster"] = None
        saved = kept(data, tmp_path, design=DESIGN)
        same_changes(period_changes(data, METRICS, design=DESIGN), period_changes(saved, METRICS))
        assert "rows without a cluster are clusters of their own" in saved["2025-Q4"].note

    def test_clusters_told_for_the_whole_design_count_as_in_the_answers(self, tmp_path):
        data = answers()
        data["drawn"] = data.groupby("stratum")["cluster"].transform("nunique") + 3
        design = DESIGN | {"stratum_clusters": "drawn"}
        saved = kept(data, tmp_path, design=design)
        same_changes(period_changes(data, METRICS, design=design), period_changes(saved, METRICS))

    def test_customers_of_both_periods_are_known_if_both_were_at_hand(self, tmp_path):
        data = answers(spanning=True)
        design = {"weights": "weight", "cluster": "cluster"}
        raw = period_changes(data, METRICS, design=design)
        saved = kept(data, tmp_path, design=design)
        same_changes(raw, period_changes(saved, METRICS))
        assert saved["2025-Q4"].beside["2024-Q4"].shared == 60

    def test_customers_of_both_periods_are_not_known_later_and_it_is_said(self, tmp_path):
        data = answers(spanning=True)
        raw = period_changes(data, [NPS], design={"cluster": "cluster"})
        saved = period_changes(
            kept(data, tmp_path, together=False, design={"cluster": "cluster"}), [NPS]
        )
        np.testing.assert_allclose(saved["estimate"], raw["estimate"], rtol=ROUNDING)
        # customers stay alike, so that taking them for others is too careful
        assert (saved["se"] > 1.2 * raw["se"]).all()
        assert saved["note"].str.contains("taken as sampled apart: whether 2024-Q4 and").all()

    def test_very_few_common_customers_are_left_out_and_it_is_said(self, tmp_path):
        data = answers()
        data.loc[data["cluster"] == "customer-72025-Q4", "cluster"] = "customer-72024-Q4"
        saved = kept(data, tmp_path, design={"cluster": "cluster"})
        assert saved["2025-Q4"].beside["2024-Q4"].shared == -1
        table = period_changes(saved, [NPS])
        assert table["note"].str.contains("the periods share very few clusters").all()
        raw = period_changes(data, [NPS], design={"cluster": "cluster"})
        np.testing.assert_allclose(table["se"], raw["se"], rtol=0.02)

    def test_a_kept_change_by_hand(self, tmp_path):
        """60 of 100 against 30 of 100 promoters, the others detractors; Var(NPS) = 4pq/n."""
        data = pd.DataFrame({"score": [10.0] * 60 + [3.0] * 40 + [10.0] * 30 + [3.0] * 70,
                             "period": ["2025-Q3"] * 100 + ["2025-Q4"] * 100, "one": 1.0})  # fmt: skip
        row = period_changes(kept(data, tmp_path, design={"weights": "one"}), [NPS]).iloc[0]
        # each period's mean is taken from its 100 rows: variances take n / (n − 1) = 100 / 99
        variance = (4 * 0.6 * 0.4 / 100 + 4 * 0.3 * 0.7 / 100) * 100 / 99
        assert row["estimate"] == pytest.approx(-60)
        assert row["se"] == pytest.approx(100 * np.sqrt(variance))
        # 2 · 99 by Satterthwaite for sides of one size
        assert row["df"] == pytest.approx(198)

    def test_large_numbers_keep_their_digits_whatever_they_are_counted_from(self, tmp_path):
        data = answers()
        data["score"] = data["score"] + np.where(data["period"] == "2025-Q4", 1e7 + 40, 1e7)
        for design in ({}, DESIGN):
            raw = period_changes(data, [MEAN], design=design)
            one = data[data["period"] == "2025-Q4"]
            other = data[data["period"] == "2024-Q4"]
            for part in (one, other):
                period_statistics(part, [MEAN], design=design).save(tmp_path)
            saved = period_changes(load_periods(tmp_path), [MEAN])
            np.testing.assert_allclose(saved["estimate"], raw["estimate"], rtol=1e-7)
            np.testing.assert_allclose(saved["se"], raw["se"], rtol=1e-7)

    def test_small_simple_groups_are_tested_by_permutation(self, tmp_path):
        data = answers(rows=45)
        raw = period_changes(data, [NPS, MEAN], permutations=20_000)
        saved = period_changes(kept(data, tmp_path), [NPS, MEAN], permutations=20_000)
        np.testing.assert_allclose(saved["estimate"], raw["estimate"], rtol=ROUNDING)
        assert saved["method"][0] == raw["method"][0] == "adjusted-wald, permutation p"
        # two shuffles of 20,000 differ by chance
        assert saved["p_value"][0] == pytest.approx(raw["p_value"][0], abs=0.02)
        # metric by metric, against the last period and a year before
        assert saved["metric"].tolist() == ["nps", "mean"] * 2
        assert saved["note"][1].endswith("no permutation test: it needs the answers")

    def test_small_and_empty_periods_have_no_numbers(self, tmp_path):
        data = answers()
        few = data[(data["period"] == "2025-Q4") | (data.index < 12)]
        saved = kept(few, tmp_path, design=DESIGN)
        row = period_changes(saved, [NPS]).iloc[1]
        assert np.isnan(row["estimate"])
        assert row["note"] == period_changes(few, [NPS], design=DESIGN)["note"][1]
        assert row["note"].startswith("hidden: a group of fewer than 10 answers")
        assert saved["2024-Q4"].note == "too few answers: nothing of the period is kept"
        assert saved["2024-Q4"].facts["rows"] == 0
        gone = data.assign(score=data["score"].where(data["period"] == "2025-Q4"))
        gone["other"] = data["score"]
        metric = Metric("other", "mean", name="mean")
        statistics = period_statistics(gone, [NPS, metric], design=DESIGN)
        raw = period_changes(gone, [NPS], design=DESIGN)
        row = period_changes(statistics, [NPS]).iloc[1]
        assert row["note"] == raw["note"][1]
        assert (row["n"], row["n_before"]) == (raw["n"][1], 0)

    def test_the_engine_makes_no_difference(self, tmp_path):
        data = answers()
        frames = [period_statistics(source, METRICS, segments="trip", design=DESIGN)
                  for source in (data, pl.from_pandas(data))]  # fmt: skip
        tables = [period_changes(frame, METRICS) for frame in frames]
        pd.testing.assert_frame_equal(*tables, rtol=ROUNDING)

    def test_what_was_not_kept_is_refused(self, tmp_path):
        saved = kept(answers(), tmp_path)
        with pytest.raises(
            ValueError, match=r"`metrics` of '2025-Q4' must be 'score, nps', .* got"
        ):
            period_changes(saved, [Metric("other", "mean", name="mean")])
        wider = Metric("score", "net", top=(8, 10), bottom=(0, 6), name="nps")
        with pytest.raises(
            ValueError, match="`metrics` must be declared as when 2025-Q4 was saved"
        ):
            period_changes(saved, [wider])
        with pytest.raises(ValueError, match="cannot be a permutation of answers that are gone"):
            period_changes(saved, [NPS], method="permutation")
        with pytest.raises(
            ValueError, match=r"`period` must be '2024-Q4' or '2025-Q4'; got '2026'"
        ):
            period_changes(saved, [NPS], period="2026")

    def test_periods_of_two_designs_are_not_compared(self, tmp_path):
        data = answers()
        for period, design in zip(PERIODS, ({}, DESIGN), strict=True):
            period_statistics(data, METRICS, periods=period, design=design).save(tmp_path)
        with pytest.raises(ValueError, match="`periods` must be of one design; got 2024-Q4 and"):
            period_changes(load_periods(tmp_path), [NPS])


class TestScores:
    @pytest.mark.parametrize("design", [{}, {"cluster": "cluster"}, DESIGN], ids=str)
    def test_scores_of_periods_are_those_of_the_answers(self, tmp_path, design):
        data = answers()
        saved = kept(data, tmp_path, design=design)
        numbers = ["n", "estimate", "se", "ci_low", "ci_high", "top_share", "bottom_share", "deff",
                   "n_eff", "df"]  # fmt: skip
        for metric in METRICS:
            raw, again = (period_scores(data, metric, design=design), period_scores(saved, metric))
            np.testing.assert_allclose(again[numbers].astype(float), raw[numbers].astype(float),
                                       rtol=ROUNDING)  # fmt: skip
            assert again["period"].tolist() == list(PERIODS)

    def test_a_chart_of_kept_periods_is_that_of_the_answers(self, tmp_path):
        rng = np.random.default_rng(3)
        parts = [answers(seed=i, rows=int(size)).assign(period=f"2024-{i + 1:02d}")
                 for i, size in enumerate(rng.integers(200, 900, 9))]  # fmt: skip
        data = pd.concat(parts, ignore_index=True)
        data["cluster"] = data["period"] + data["cluster"]
        design = {"weights": "weight", "cluster": "cluster"}
        raw = control_chart(nps(data, "score", by="period", design=design))
        saved = control_chart(
            period_scores(kept(data, tmp_path, together=False, design=design), NPS)
        )
        columns = ["n", "estimate", "centre", "lower", "upper", "z"]
        np.testing.assert_allclose(saved.table[columns].astype(float),
                                   raw.table[columns].astype(float), rtol=ROUNDING)  # fmt: skip
        assert saved.kind == raw.kind == "Laney"
        assert saved.note == raw.note

    def test_small_periods_are_left_out(self):
        data = answers()
        few = data[(data["period"] == "2025-Q4") | (data.index < 12)]
        assert period_scores(few, NPS)["period"].tolist() == ["2025-Q4"]
        assert period_scores(period_statistics(few, NPS), NPS)["period"].tolist() == ["2025-Q4"]


class TestMix:
    def results(self, data, folder, metric=NPS, by="trip", together=True, **design):
        saved = kept(data, folder, together=together, segments=["trip"], design=design)
        return (
            mix_and_performance(
                data, metric, by=by, periods=PERIODS, replicates=2000, design=design
            ),
            mix_and_performance(saved, metric, by=by, periods=PERIODS),
        )

    @pytest.mark.parametrize(
        ("metric", "design"), [(NPS, {}), (MEAN, DESIGN), (TOP, {"cluster": "cluster"})], ids=str
    )
    def test_parts_are_those_of_the_answers(self, tmp_path, metric, design):
        raw, saved = self.results(answers(), tmp_path, metric, **design)
        for one, other in ((raw.table, saved.table), (raw.groups, saved.groups)):
            assert list(one) == list(other)
            for name in one.columns.difference(["se", "ci_low", "ci_high"]):
                if pd.api.types.is_numeric_dtype(one[name]):
                    np.testing.assert_allclose(other[name].astype(float), one[name].astype(float),
                                               rtol=ROUNDING, atol=ROUNDING, err_msg=name)  # fmt: skip
                else:
                    assert other[name].tolist() == one[name].tolist()
        assert (saved.score, saved.n_missing) == pytest.approx((raw.score, raw.n_missing))

    @pytest.mark.parametrize("design", [{}, {"cluster": "cluster"}, DESIGN], ids=str)
    def test_the_delta_method_agrees_with_the_bootstrap(self, tmp_path, design):
        raw, saved = self.results(answers(), tmp_path, **design)
        np.testing.assert_allclose(saved.table["se"], raw.table["se"], rtol=BOOTSTRAP)
        np.testing.assert_allclose(saved.groups["se"], raw.groups["se"], rtol=SMALL_PART)
        assert (saved.method, saved.replicates) == ("delta", 0)
        assert (raw.method, raw.replicates) == ("bootstrap", 2000)

    def test_the_change_has_the_linearised_error(self, tmp_path):
        data = answers()
        _, saved = self.results(data, tmp_path, **DESIGN)
        row = saved.table.set_index("part").loc["change"]
        expected = compare_periods(data, NPS, periods=PERIODS, design=DESIGN)["se"][0]
        # the second-order term adds what a ratio's curvature is worth
        assert row["se"] == pytest.approx(expected, rel=0.02)
        assert row["se"] >= expected * (1 - ROUNDING)

    def test_customers_of_both_periods_count_once(self, tmp_path):
        data = answers(spanning=True)
        raw, saved = self.results(data, tmp_path, cluster="cluster")
        np.testing.assert_allclose(saved.table["se"], raw.table["se"], rtol=BOOTSTRAP)
        apart = kept(
            data, tmp_path, together=False, segments=["trip"], design={"cluster": "cluster"}
        )
        apart = mix_and_performance(apart, NPS, by="trip", periods=PERIODS)
        assert apart.table["se"].iloc[-1] > 1.2 * saved.table["se"].iloc[-1]
        assert "taken as sampled apart" in apart.note

    def test_a_group_small_in_one_period_is_taken_together_in_both(self, tmp_path):
        data = answers()
        small = (data["trip"] == "leisure") & (data["period"] == "2025-Q4")
        few = data[~small | (small.groupby(small).cumcount() < 6)]
        raw, saved = self.results(few, tmp_path)
        assert saved.table["estimate"].iloc[-1] == pytest.approx(raw.table["estimate"].iloc[-1])
        groups = saved.groups.loc[saved.groups["part"] == "mix", "group"].tolist()
        assert groups == ["business", "family", HIDDEN]
        assert "small in a period, so taken together: leisure, not given" in saved.note
        merged = few.assign(trip=few["trip"].replace("leisure", None))
        same = mix_and_performance(merged, NPS, by="trip", periods=PERIODS, replicates=2)
        np.testing.assert_allclose(
            saved.groups["estimate"].astype(float), same.groups["estimate"].astype(float),
            rtol=ROUNDING, atol=ROUNDING,
        )  # fmt: skip

    @pytest.mark.parametrize("engine", ["pandas", "polars"])
    def test_answers_without_a_segment_are_summed_and_not_what_is_left(self, tmp_path, engine):
        """Of sums near 1e12 a difference of 1e-3 keeps no digit."""
        data = answers()
        unknown = data["trip"].isna()
        data["weight"] = np.where(unknown, 1e-6, 1e9) * data["weight"]
        alike = data.assign(trip=data["trip"].fillna("unknown"))
        ask = {"segments": "trip", "weights": "weight", "cluster": "cluster"}
        asked = pl.from_pandas(data) if engine == "polars" else data
        one, other = (kept(part, tmp_path / str(i), **ask)["2025-Q4"]
                      for i, part in enumerate((asked, alike)))  # fmt: skip
        key, last = ("score", "nps"), -1
        found, true = one.rows(key, "trip").iloc[last], other.rows(key, "trip").iloc[last]
        assert (found["group"], true["group"]) == ("not given", "unknown")
        sums = ["n", "estimate", "y", "yy", "weight", "clusters"]
        np.testing.assert_allclose(
            found[sums].to_numpy(float), true[sums].to_numpy(float), rtol=ROUNDING
        )
        np.testing.assert_allclose(
            one.block(key, "trip").values, other.block(key, "trip").values, rtol=ROUNDING
        )

    def test_a_file_never_shows_less_than_it_was_kept_with(self, tmp_path):
        data = answers()
        few = data[(data["trip"] != "leisure") | (data.groupby(["trip", "period"]).cumcount() < 25)]
        saved = kept(few, tmp_path, segments="trip", min_group_size=30)
        assert saved["2025-Q4"].facts["min_group_size"] == 30
        assert "leisure" in saved["2025-Q4"].hidden["score", "nps", "trip"]
        result = mix_and_performance(saved, NPS, by="trip", periods=PERIODS, min_group_size=10)
        assert "leisure" not in set(result.groups["group"])
        assert (result.groups["n"].dropna() >= 30).all()
        larger = mix_and_performance(saved, NPS, by="trip", periods=PERIODS, min_group_size=150)
        assert (larger.groups["n"].dropna() >= 150).all()
        assert larger.groups["n"].isna().any()

    def test_an_absent_group_takes_the_other_score(self, tmp_path):
        data = answers()
        gone = data[~((data["trip"] == "leisure") & (data["period"] == "2025-Q4"))]
        raw, saved = self.results(gone, tmp_path, **DESIGN)
        assert "absent in 2025-Q4, so given the other period's score: leisure" in saved.note
        by = ["part", "group"]
        both = raw.groups.merge(saved.groups, on=by)
        np.testing.assert_allclose(both["estimate_x"], both["estimate_y"], rtol=ROUNDING,
                                   atol=ROUNDING)  # fmt: skip

    def test_what_was_not_kept_is_refused(self, tmp_path):
        saved = kept(answers(), tmp_path, segments=["trip", "area"])
        with pytest.raises(ValueError, match="`by` must be one segment of kept statistics; got"):
            mix_and_performance(saved, NPS, by=["trip", "area"], periods=PERIODS)
        with pytest.raises(ValueError, match="`by` of '2024-Q4' must be 'area' or 'trip'; got 'x'"):
            mix_and_performance(saved, NPS, by="x", periods=PERIODS)


class TestCovariances:
    @pytest.mark.parametrize("cluster", [None, "cluster"])
    def test_they_are_those_of_the_rows_written_out(self, cluster):
        """Influences of every row on Σw and Σwy/Σw of each group, summed within clusters."""
        data = answers(seed=4).query("period == '2025-Q4'").dropna(subset=["score", "trip"])
        data["weight"] *= np.where(data["score"] > 8, 3.0, 1.0)
        one = period_statistics(data, MEAN, segments="trip", design={"weights": "weight", "strata": "stratum", "cluster": cluster})["2025-Q4"]  # fmt: skip
        block = one.block(("score", "mean"), "trip")
        w, y = data["weight"].to_numpy(), data["score"].to_numpy()
        columns = [w * (data["trip"] == name) for name in block.groups]
        for name in block.groups:
            inside = (data["trip"] == name).to_numpy()
            mean = np.average(y[inside], weights=w[inside])
            columns.append(inside * w * (y - mean) / w[inside].sum())
        rows = pd.DataFrame(np.column_stack(columns), index=data.index)
        expected = np.zeros((6, 6))
        for _, part in rows.groupby(data["stratum"]):
            units = part if cluster is None else part.groupby(data[cluster]).sum()
            away = units.to_numpy() - units.to_numpy().mean(axis=0)
            expected += len(units) / (len(units) - 1) * away.T @ away
        if cluster:
            # kept where enough clusters hold answers of both groups
            held = data.groupby(["cluster", "trip"]).size().unstack(fill_value=0) > 0
            assert (held.T.astype(int) @ held.astype(int)).to_numpy().min() >= 10
        np.testing.assert_allclose(block.values, expected, rtol=ROUNDING, atol=ROUNDING)


class TestDisclosure:
    def small(self) -> pd.DataFrame:
        data = answers()
        leisure = data["trip"] == "leisure"
        return data[~leisure | (leisure.groupby([leisure, data["period"]]).cumcount() < 6)]

    def test_no_small_group_is_in_the_file_nor_given_back_by_it(self, tmp_path):
        data = self.small()
        kept(data, tmp_path, segments="trip", design=DESIGN)
        for path in tmp_path.iterdir():
            table = pq.read_table(path).to_pandas()
            rows = table[table["part"] == "figures"]
            assert (rows["n"] >= 10).all()
            trip = rows[(rows["segment"] == "trip") & (rows["metric"] == "nps")]
            assert trip["group"].tolist() == ["business", "family", HIDDEN]
            whole = rows[(rows["segment"] == EVERYONE) & (rows["metric"] == "nps")]["n"].item()
            # "leisure" cannot be had as what is left: the answers not given are in there too
            assert whole - trip["n"].iloc[:2].sum() == trip["n"].iloc[2] > 10
            own = data[data["period"] == path.stem]
            assert own.loc[own["trip"] == "leisure", "score"].notna().sum() < 10

    def test_hidden_groups_are_named_and_kept_together(self, tmp_path):
        one = kept(self.small(), tmp_path, segments=["trip", "area"], design=DESIGN)["2025-Q4"]
        assert one.hidden["score", "nps", "trip"] == ["leisure", "not given"]
        assert ("score", "nps", "area") not in one.hidden

    def test_groups_in_few_clusters_are_small(self, tmp_path):
        data = answers()
        one = data["cluster"].isin(["customer-32025-Q4", "customer-52025-Q4"])
        data.loc[one, "trip"] = "charter"
        assert (data["trip"] == "charter").sum() > 10
        kept_one = kept(data, tmp_path, segments="trip", design={"cluster": "cluster"})["2025-Q4"]
        assert "charter" in kept_one.hidden["score", "nps", "trip"]

    def test_no_cluster_and_no_stratum_is_in_the_file(self, tmp_path):
        design = {"weights": "weight", "cluster": "cluster"}
        kept(answers(spanning=True), tmp_path, segments="trip", design=design)
        for path in tmp_path.iterdir():
            table = pq.read_table(path)
            words = json.dumps(table.to_pylist(), default=str) + str(table.schema.metadata)
            assert "customer-" not in words
            # no list is as long as the clusters are many
            groups = 2 * 4
            assert max(len(v) for v in table["values"].to_pylist() if v) <= groups * groups

    def test_covariances_of_few_common_clusters_are_left_out(self):
        data = answers(clusters=400)
        customer = pd.factorize(data["cluster"])[0]
        data["segment"] = np.where(customer % 2, "a", "b")
        later = data[(data["period"] == "2025-Q4") & data["score"].notna()]
        several = later[later["cluster"].duplicated()].drop_duplicates("cluster").index
        for many, none in ((3, True), (60, False)):
            # that many customers have answers in both groups
            mixed = data.assign(segment=data["segment"].mask(data.index.isin(several[:many]), "c"))
            mixed["segment"] = mixed["segment"].replace("c", "b").where(
                mixed["segment"] != "c", np.where(data["segment"] == "a", "b", "a"))  # fmt: skip
            one = period_statistics(
                mixed, [NPS], segments="segment", design={"cluster": "cluster"}
            )["2025-Q4"]
            values = one.block(("score", "nps"), "segment").values
            assert (np.diagonal(values) > 0).all()
            across = values.reshape(2, 2, 2, 2)[:, 0, :, 1]
            assert (across == 0).all() if none else (across != 0).all()

    def test_a_period_too_small_to_tell_is_refused(self):
        data = answers(rows=16)
        with pytest.raises(ValueError, match="`data` must have 10 answers or more in a period"):
            period_statistics(data, [NPS])


class TestFiles:
    def test_everything_is_read_as_it_was_written(self, tmp_path):
        data = answers(spanning=True)
        analysis = self.analysis(data)
        statistics = period_statistics(
            data, METRICS, segments=["trip", "area"], drivers=analysis, labels={"score": "Score"},
            design={"cluster": "cluster", "weights": "weight"}, selection={"area": ["north", "south"]},
        )  # fmt: skip
        statistics.save(tmp_path)
        again = load_periods(tmp_path, selection={"area": ["south", "north"]})
        for one, other in zip(statistics.statistics, again.statistics, strict=True):
            pd.testing.assert_frame_equal(other.table, one.table, check_exact=True)
            for name in ("period", "metrics", "beside", "hidden", "labels", "facts", "note"):
                assert getattr(other, name) == getattr(one, name)
            for block, twin in zip(one.blocks, other.blocks, strict=True):
                assert (block.key, block.segment, block.other) == (
                    twin.key,
                    twin.segment,
                    twin.other,
                )
                assert (block.groups, block.shared) == (twin.groups, twin.shared)
                np.testing.assert_array_equal(twin.values, block.values)
            shares, twin = one.drivers[0], other.drivers[0]
            pd.testing.assert_frame_equal(twin.table, shares.table, check_exact=True)
            np.testing.assert_array_equal(twin.quantiles, shares.quantiles)
            np.testing.assert_array_equal(twin.covariance, shares.covariance)
            assert (twin.n, twin.df, twin.how) == (shares.n, shares.df, shares.how)
        assert again.periods == list(PERIODS)
        assert "Statistics of 2025-Q4" in str(again)

    def analysis(self, data):
        rng = np.random.default_rng(0)
        rated = data.assign(wifi=rng.integers(1, 6, len(data)), food=rng.integers(1, 6, len(data)))
        rated["overall"] = rated["wifi"] + rated["food"] + rng.normal(size=len(data))
        return drivers(rated, "overall", ["wifi", "food"], by="period", replicates=100)

    def test_only_the_periods_asked_for_are_kept(self, tmp_path):
        data = answers(spanning=True)
        period_statistics(data, [NPS], periods="2025-Q4", design={"cluster": "cluster"}).save(
            tmp_path
        )
        assert [path.name for path in tmp_path.iterdir()] == ["2025-Q4.parquet"]
        # what it shares with the other is known all the same
        assert load_periods(tmp_path)["2025-Q4"].beside["2024-Q4"].shared == 60

    def test_calendar_periods_are_in_order_and_others_as_they_were(self, tmp_path):
        data = answers()
        names = ["2025-Q1", "2024-Q4"]
        for name in names:
            period_statistics(data.assign(period=name), [NPS]).save(tmp_path / "calendar")
        assert load_periods(tmp_path / "calendar").periods == ["2024-Q4", "2025-Q1"]
        waves = pd.Categorical(
            np.where(data["period"] == "2024-Q4", "spring", "autumn"), ["spring", "autumn"]
        )
        period_statistics(data.assign(period=waves), [NPS]).save(tmp_path / "waves")
        assert load_periods(tmp_path / "waves").periods == ["spring", "autumn"]

    def test_a_name_that_is_a_path_stays_in_the_folder(self, tmp_path):
        data = answers().assign(period="../../wave/1")
        (path,) = period_statistics(data, [NPS]).save(tmp_path / "deep" / "kept")
        assert path.parent == tmp_path / "deep" / "kept"
        assert PeriodStatistics.load(path).period == "../../wave/1"

    def test_bad_folders_and_files_get_one_sentence(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match="`folder` must hold saved periods; got .* not th"
        ):
            load_periods(tmp_path / "none")
        with pytest.raises(FileNotFoundError, match="which holds none"):
            load_periods(tmp_path)
        path = period_statistics(answers(), [NPS], periods="2025-Q4").save(tmp_path)[0]
        path.write_bytes(path.read_bytes()[:-100])
        with pytest.raises(
            ValueError, match=r"got '2025-Q4.parquet', which is cut short, spoilt or"
        ):
            load_periods(tmp_path)
        moments(answers(), ["score"]).save(path)
        with pytest.raises(
            ValueError, match=r"period statistics; got '2025-Q4.parquet', saved mom"
        ):
            load_periods(tmp_path)

    def test_selections_are_not_mixed(self, tmp_path):
        data = answers()
        north = data[data["area"] == "north"]
        where = {"area": "north"}
        period_statistics(north, [NPS], periods="2024-Q4", selection=where).save(tmp_path)
        with pytest.raises(
            ValueError, match="`selection` must be that of the saved periods, 'area: "
        ):
            load_periods(tmp_path)
        assert load_periods(tmp_path, selection=where).periods == ["2024-Q4"]
        period_statistics(data, [NPS], periods="2025-Q4").save(tmp_path)
        with pytest.raises(ValueError, match="must be of one selection; got 'area: north' and ''"):
            load_periods(tmp_path, selection=where)

    def test_bad_arguments_are_refused(self):
        data = answers()
        with pytest.raises(
            ValueError, match="`periods` must be '2024-Q4' or '2025-Q4'; got '2026'"
        ):
            period_statistics(data, [NPS], periods="2026")
        with pytest.raises(
            ValueError, match="`segments` must be a column of the data; got 'trips'"
        ):
            period_statistics(data, [NPS], segments="trips")
        with pytest.raises(ValueError, match="`weights` must be finite numbers of 0 or more"):
            period_statistics(data.assign(weight=-1.0), [NPS], design={"weights": "weight"})
        one = period_statistics(data, [NPS]).statistics
        with pytest.raises(ValueError, match="each once; got '2024-Q4'"):
            SavedPeriods((*one, one[0]))


class TestDrivers:
    def rated(self, seed=0, rows=1000, change=0.0) -> pd.DataFrame:
        """Wi-Fi counts as much as food, and from the later period on more by ``change``."""
        rng = np.random.default_rng(seed)
        common = rng.normal(size=(rows, 1))
        values = 0.6 * common + rng.normal(size=(rows, 3))
        data = pd.DataFrame(values, columns=["food", "wifi", "staff"])
        later = np.arange(rows) % 2
        slope = 0.5 + change * later
        data["overall"] = (1 - slope) * data["food"] + slope * data["wifi"] + rng.normal(size=rows)
        return data.assign(period=np.array(["2025-Q3", "2025-Q4"])[later],
                           customer=np.repeat(np.arange(rows // 2), 2))  # fmt: skip

    def analysis(self, data, **options):
        defaults = {"by": "period", "replicates": 400, "compare": "pairs"}
        return drivers(data, "overall", ["food", "wifi", "staff"], **(defaults | options))

    def last(self, table: pd.DataFrame) -> pd.DataFrame:
        return table[table["against"] == "last period"].set_index("column")

    def by_hand(self, df=199.0):
        """Shares .6 and .4 with errors .03 and .04 and no covariance: −20 points, se 5."""
        spread = np.array([-1.0, 1.0] * 50)
        return SimpleNamespace(
            outcome="overall", method="lmg", missing="em", adjusted=True, outcome_scale="continuous",
            fits=pd.DataFrame({"group": ["2025-Q3", "2025-Q4"], "n": [200, 300]}),
            replicates={
                "2025-Q3": SimpleNamespace(kind="bootstrap", df=df, share=self.two(0.6, 0.03, spread)),
                "2025-Q4": SimpleNamespace(kind="bootstrap", df=299.0,
                                           share=self.two(0.4, 0.04, np.sort(spread))),
            },
            part=lambda group: pd.DataFrame({
                "driver": ["food", "wifi"], "label": ["Food", "Wi-Fi"], "n": 90,
                "share": [0.6, 0.4] if group == "2025-Q3" else [0.4, 0.6]}),
        )  # fmt: skip

    @pytest.mark.parametrize(("df", "note"), [(0.0, "one cluster"), (5.0, "only 5.0 degrees")])
    def test_a_period_of_few_clusters_is_said(self, df, note):
        row = self.last(driver_changes(self.by_hand(df))).loc["food"]
        assert note in row["note"]
        assert np.isnan(row["p_value"]) == (df < 1)
        assert np.isnan(row["ci_low"]) == (df < 1)

    def test_a_difference_by_hand(self):
        row = self.last(driver_changes(self.by_hand())).loc["food"]
        assert row["estimate"] == pytest.approx(-20)
        assert row["se"] == pytest.approx(100 * np.hypot(0.03, 0.04) * np.sqrt(100 / 99))
        assert (row["n"], row["n_before"], row["df"]) == (300, 200, 199)
        assert row["p_value"] < 0.001
        # the difference of the draws is −.07, −.01, .01 or .07 away
        assert row["ci_low"] == pytest.approx(-27, abs=0.1)
        assert row["ci_high"] == pytest.approx(-13, abs=0.1)
        assert row["sentence"].startswith(
            "Share of R² of Food fell by 20.0 percentage points (95 %"
        )

    def two(self, share: float, error: float, spread: np.ndarray) -> np.ndarray:
        return np.column_stack([share + error * spread, 1 - share - error * spread])

    def test_a_planted_change_is_found_and_none_where_there_is_none(self):
        found = self.last(driver_changes(self.analysis(self.rated(change=0.4))))
        assert found.loc["wifi", "estimate"] > 30
        assert found.loc["food", "estimate"] < -30
        assert found.loc["wifi", "sentence"].startswith("Share of R² of wifi rose by")
        still = driver_changes(self.analysis(self.rated()))
        assert (still["sentence"] == "").all()

    @pytest.mark.parametrize("options", [{}, {"cluster": "customer"}, {"interval": "jackknife"}],
                             ids=str)  # fmt: skip
    def test_differences_agree_with_those_of_the_analysis(self, options):
        analysis = self.analysis(self.rated(), **options)
        table = self.last(driver_changes(analysis))
        known = analysis.differences.set_index("driver")
        np.testing.assert_allclose(table["estimate"], -100 * known["estimate"], rtol=ROUNDING)
        np.testing.assert_allclose(table["se"], 100 * known["se"], rtol=ROUNDING)
        # other replicates of the same difference: its tails are known to about a tenth of an se
        np.testing.assert_allclose(
            table["ci_low"], -100 * known["ci_high"], atol=0.5 * table["se"].max()
        )
        np.testing.assert_allclose(table["p_value"], known["p_value"], atol=0.06)

    def test_kept_shares_change_as_those_of_the_analysis(self, tmp_path):
        data = self.rated(change=0.3)
        analysis = self.analysis(data, cluster="customer")
        metric = Metric("overall", "mean", name="mean")
        period_statistics(data, metric, drivers=analysis, design={"cluster": "customer"}).save(
            tmp_path
        )
        saved = driver_changes(load_periods(tmp_path))
        pd.testing.assert_frame_equal(saved, driver_changes(analysis), rtol=ROUNDING)

    def test_shares_analysed_apart_have_no_covariance(self, tmp_path):
        data = self.rated()
        metric = Metric("overall", "mean", name="mean")
        shares = {}
        for period, part in data.groupby("period"):
            one = drivers(part, "overall", ["food", "wifi", "staff"], replicates=200, adjusted=True)
            shares[period] = one
            period_statistics(part, metric, drivers=one).save(tmp_path)
        table = self.last(driver_changes(load_periods(tmp_path)))
        errors = [one.replicates[None].share.std(axis=0, ddof=1) for one in shares.values()]
        np.testing.assert_allclose(table["se"], 100 * np.hypot(*errors), rtol=ROUNDING)

    def test_no_replicates_are_in_the_file(self, tmp_path):
        data = self.rated()
        metric = Metric("overall", "mean", name="mean")
        analysis = self.analysis(data, replicates=1000)
        path = period_statistics(data, metric, drivers=analysis).save(tmp_path)[0]
        table = pq.read_table(path)
        assert max(len(values) for values in table["quantiles"].to_pylist() if values) == 199

    def test_no_drivers_no_rows(self, tmp_path):
        saved = kept(answers(), tmp_path)
        assert len(driver_changes(saved)) == 0
        assert len(driver_changes(None)) == 0
        assert list(driver_changes(None)) == list(driver_changes(self.analysis(self.rated())))

    def test_a_period_without_shares_is_said(self, tmp_path):
        data = self.rated()
        metric = Metric("overall", "mean", name="mean")
        later = data[data["period"] == "2025-Q4"]
        period_statistics(data, metric, periods="2025-Q3").save(tmp_path)
        period_statistics(later, metric, drivers=self.analysis(later)).save(tmp_path)
        table = self.last(driver_changes(load_periods(tmp_path)))
        assert table["estimate"].isna().all()
        assert (table["note"] == "no drivers of 2025-Q3 are known").all()

    def test_shares_worked_out_otherwise_are_not_compared(self, tmp_path):
        data = self.rated()
        metric = Metric("overall", "mean", name="mean")
        for period, method in (("2025-Q3", "lmg"), ("2025-Q4", "johnson")):
            part = data[data["period"] == period]
            analysis = self.analysis(part, method=method)
            period_statistics(part, metric, drivers=analysis).save(tmp_path)
        with pytest.raises(ValueError, match="`source` must hold shares worked out alike; got"):
            driver_changes(load_periods(tmp_path))
        with pytest.raises(ValueError, match="`outcome` must be 'overall'; got 'recommend'"):
            driver_changes(load_periods(tmp_path), outcome="recommend")


@pytest.fixture(scope="module")
def places(tmp_path_factory) -> tuple[Path, Path, pd.DataFrame]:
    """A study whose answers were kept as statistics and then deleted; what they were."""
    folder = tmp_path_factory.mktemp("study")
    study, kept_in = folder / "demo", folder / "kept"
    shutil.copytree(ROOT / "data" / "demo", study)
    file = study / "relationship.csv"
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    wanted = ("2024-Q4", "2025-Q3", "2025-Q4")
    file.write_text("".join([lines[0], *(line for line in lines if line.split(",")[1] in wanted)]))
    whole = load_study(study).read()
    result = CliRunner().invoke(main, ["period", "save", str(study), "--to", str(kept_in)])
    assert result.exit_code == 0, result.output
    assert result.output.count("kept: ") == 3
    for one in study.glob("*.csv*"):
        one.unlink()
    return study, kept_in, whole


class TestWithoutAnswers:
    def test_everything_is_compared_as_if_the_answers_were_there(self, places):
        study, kept_in, whole = places
        survey, saved = load_study(study), load_periods(kept_in)
        with pytest.raises(FileNotFoundError):
            survey.read()
        options = {"period": "2025-Q4", "labels": survey.labels, **survey.design}
        same_changes(
            period_changes(whole, survey.metrics(), **options),
            period_changes(saved, survey.metrics(), **options),
        )
        runs = [
            period_scores(source, survey.headline, design=survey.design)
            for source in (whole, saved)
        ]
        pd.testing.assert_frame_equal(runs[1], runs[0], rtol=ROUNDING)

    def test_the_tracking_notebook_runs(self, places, tmp_path):
        study, kept_in, _ = places
        build_report(ROOT / "notebooks" / "6-tracking.ipynb", tmp_path / "report",
                     study=str(study), saved=str(kept_in))  # fmt: skip
        tables = {path.stem for path in (tmp_path / "report" / "tables").glob("*.csv")}
        assert {"changes", "mix-and-performance", "driver-changes", "control-chart"} <= tables
        changes = pd.read_csv(tmp_path / "report" / "tables" / "changes.csv")
        assert len(changes) == 58
        assert changes["estimate"].notna().all()
        shown = (tmp_path / "report" / "6-tracking.html").read_text(encoding="utf-8")
        assert re.search(r"kept statistics of 3 periods", shown)

    def test_a_period_that_is_not_there_is_refused(self, tmp_path):
        command = ["period", "save", "demo", "--to", str(tmp_path), "--period", "2031"]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 2
        assert "`periods` must be '2024-Q1'" in result.output


class TestAirport:
    def test_the_change_of_2018_is_had_from_the_files(self, sfo, tmp_path):
        metric = Metric("recommend", "net", top=(9, 10), bottom=(0, 6), name="nps")
        for year in ("2017", "2018"):
            data = sfo.read(period=year)
            period_statistics(data, metric, segments=["boarding_area"], design=sfo.design).save(
                tmp_path
            )
        table = period_changes(load_periods(tmp_path), metric)
        # R's survey package: 40.398436 and 35.113632; the two years share no flight
        assert table["estimate"].item() == pytest.approx(35.113632 - 40.398436, abs=2e-6)
        # that of the difference is a little larger: it also corrects for few clusters (CR2)
        assert table["se"].item() == pytest.approx(np.hypot(1.524652, 2.210374), rel=0.01)
        assert table["note"].item() == ""


def test_a_report_from_saved_periods_reads_no_answers(tmp_path):
    study = tmp_path / "demo"
    study.mkdir()
    source = load_study("demo").path
    (study / "study.toml").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    kept = tmp_path / "kept"
    saved = CliRunner().invoke(main, ["period", "save", "demo", "--to", str(kept)])
    assert saved.exit_code == 0, saved.output
    request = Request(
        str(study / "study.toml"),
        periods=["2025-Q4"],
        notebooks=["tracking"],
        settings={"saved": str(kept)},
    )
    (job,) = plan_reports(request, tmp_path / "out").jobs
    assert [path.suffix for path in job.about.inputs] == [".toml", *[".parquet"] * 8]
    before = job.fingerprint
    (kept / "2024-Q1.parquet").unlink()
    (job,) = plan_reports(request, tmp_path / "out").jobs
    assert job.fingerprint != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"each": ["segment"]}, "`each` must be left out"),
        ({"settings": {"saved": "no"}}, "holds none"),
    ],
)
def test_what_saved_periods_cannot_do_is_said(tmp_path, changes, message):
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "2025-Q4.parquet").touch()
    given = {"settings": {"saved": str(tmp_path / "kept")}, "notebooks": ["tracking"]} | changes
    with pytest.raises(ValueError, match=message):
        plan_reports(Request("demo", periods=["2025-Q4"], **given), tmp_path / "out")


def panel(periods, *, seed=0, customers=100, loyal=True) -> pd.DataFrame:
    """Customers of whom all but a few answer in each period."""
    rng = np.random.default_rng(seed)
    mood, home = (
        rng.normal(size=customers),
        rng.choice(list("abcd"), customers, p=[0.4, 0.3, 0.2, 0.1]),
    )
    parts = []
    for i in range(periods):
        who = rng.choice(customers, customers - 4, replace=False)
        latent = mood[who] + rng.normal(size=len(who))
        moved = rng.choice(list("abcd"), len(who))
        parts.append(pd.DataFrame({
            "period": f"2025-{i + 1:02d}", "customer": who, "weight": rng.uniform(0.5, 2, len(who)),
            "segment": np.where(rng.random(len(who)) < (0.1 if loyal else 1.0), moved, home[who]),
            "score": np.select([latent > 0.6, latent < -0.5], [10.0, 3.0], 8.0),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True)


class TestSharedCustomers:
    @pytest.mark.parametrize("periods", [2, 3, 5])
    def test_standard_errors_are_those_of_the_answers_however_many_periods_share(
        self, tmp_path, periods
    ):
        data, design = panel(periods), {"cluster": "customer", "weights": "weight"}
        saved = kept(data, tmp_path, design=design)
        raw, found = (period_scores(one, NPS, design=design) for one in (data, saved))
        for name in ("se", "deff", "ci_low", "ci_high"):
            np.testing.assert_allclose(found[name], raw[name], rtol=ROUNDING)

    def test_fewer_periods_than_were_kept_together_take_a_bound(self, tmp_path):
        data, design = panel(5), {"cluster": "customer"}
        kept(data, tmp_path, design=design)
        (tmp_path / "2025-02.parquet").unlink()
        raw = period_scores(data[data["period"] != "2025-02"], NPS, design=design)
        found = period_scores(load_periods(tmp_path), NPS)
        # pairs know of the union of two periods at least, where a hundred clusters are
        np.testing.assert_allclose(found["se"], raw["se"], rtol=1e-3)

    @pytest.mark.parametrize("loyal", [True, False])
    def test_thin_groups_do_not_make_the_periods_strangers(self, tmp_path, loyal):
        data, design = panel(2, seed=3, loyal=loyal), {"cluster": "customer", "weights": "weight"}
        saved = kept(data, tmp_path, segments="segment", design=design)
        names = ("2025-01", "2025-02")
        mix = mix_and_performance(saved, NPS, by="segment", periods=names)
        change = period_changes(saved, NPS).iloc[0]
        assert mix.table.set_index("part")["se"]["change"] == pytest.approx(change["se"], rel=1e-12)
        assert "sampled apart" not in mix.note
        raw = mix_and_performance(
            data, NPS, by="segment", periods=names, replicates=2000, design=design
        )
        errors = [one.table.set_index("part")["se"] for one in (raw, mix)]
        assert errors[1]["change"] == pytest.approx(errors[0]["change"], rel=BOOTSTRAP)
        assert errors[1]["performance"] == pytest.approx(errors[0]["performance"], rel=SMALL_PART)

    def test_what_is_kept_of_thin_groups_adds_up_to_everybody(self, tmp_path):
        saved = kept(panel(2, seed=3), tmp_path, segments="segment", design={"cluster": "customer"})
        now = saved["2025-02"]
        block = now.block(key_of(NPS), "segment", "2025-01")
        rows = [saved[name].rows(key_of(NPS), "segment") for name in ("2025-02", "2025-01")]
        slopes = []
        for part in rows:
            whole, score = part["weight"].sum(), part["estimate"] / 100
            mean = (part["weight"] * score).sum() / whole
            slopes.append(np.concatenate([(score - mean) / whole, part["weight"] / whole]))
        everybody = now.block(key_of(NPS), EVERYONE, "2025-01").values[1, 1]
        assert slopes[0] @ block.values @ slopes[1] == pytest.approx(everybody, rel=1e-9)

    def test_too_few_shared_customers_are_kept_of_no_group(self, tmp_path):
        data = panel(2)
        few = data["customer"] < 7
        data.loc[~few, "customer"] += 1000 * (data["period"] == "2025-02")
        saved = kept(data, tmp_path, segments="segment", design={"cluster": "customer"})
        assert saved["2025-02"].block(key_of(NPS), "segment", "2025-01") is None
        mix = mix_and_performance(saved, NPS, by="segment", periods=("2025-01", "2025-02"))
        assert "the periods share very few clusters" in mix.note


@pytest.mark.parametrize("name", [".hidden", "../x", "%2Ex", "Wave 2"])
def test_what_is_saved_is_loaded_whatever_its_name(tmp_path, name):
    data = pd.DataFrame({"score": [10.0, 3.0] * 50, "period": name})
    assert kept(data, tmp_path).periods == [name]


def test_waves_saved_one_by_one_go_by_their_numbers(tmp_path):
    data = pd.DataFrame({"score": [10.0, 3.0] * 60, "period": np.repeat(["Wave 10", "Wave 2"], 60)})
    assert kept(data, tmp_path, together=False).periods == ["Wave 2", "Wave 10"]
