"""What changed since the last period, and what the run of periods says."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab import compare_periods, nps, scorecard, top_box
from cxlab.core.metric import Metric
from cxlab.core.past import PastReports
from cxlab.core.periods import calendar_period, in_order, periods_of
from cxlab.stats.tracking import control_chart, mix_and_performance, period_changes
from cxlab.stats.tracking.charts import SIGMAS, individuals_limits, runs
from cxlab.stats.tracking.decomposition import decompose

GOLDEN = Path(__file__).parent / "golden"
DESIGN = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}
RATING = Metric("rating", "mean")
#: Whole-number sums divided once: only the last digits may differ.
ROUNDING = 1e-9
#: A bootstrap of 2,000 knows its standard error to about 1.6 %.
BOOTSTRAP = 0.06
#: The printed reference values have four decimals.
NIST_DIGITS = 2e-4


def answers_of(counts: dict[str, tuple[int, int, int]]) -> pd.DataFrame:
    """Per period, so many promoters, passives and detractors."""
    parts = [
        pd.DataFrame({"score": [10] * p + [8] * n + [2] * d, "period": period})
        for period, (p, n, d) in counts.items()
    ]
    return pd.concat(parts, ignore_index=True)


def designed(seed: int = 1, clusters: int = 60, spanning: bool = True) -> pd.DataFrame:
    """Two periods of answers in clusters, with weights, strata and two segments."""
    rng = np.random.default_rng(seed)
    rows = 1200
    cluster = rng.integers(0, clusters, rows)
    period = rng.integers(0, 2, rows)
    trip = rng.choice(3, rows, p=[0.5, 0.3, 0.2])
    mood = rng.normal(size=(clusters, 2))
    own = mood[cluster, 0] if spanning else mood[cluster, period]
    latent = own + rng.normal(size=rows) + 0.4 * trip - 0.3 * period
    score = np.select([latent > 0.6, latent < -0.5], [10.0, 3.0], 8.0)
    score[rng.random(rows) < 0.05] = np.nan
    return pd.DataFrame({
        "score": score, "period": np.array(["2024-Q4", "2025-Q4"])[period],
        "trip": np.array(["business", "family", "leisure"])[trip],
        "area": rng.choice(["north", "south"], rows), "weight": rng.choice([0.5, 1.0, 2.0], rows),
        "stratum": np.array(["s1", "s2", "s3"])[cluster % 3], "cluster": cluster.astype(str),
    })  # fmt: skip


def run_table(values, n=100, **columns) -> pd.DataFrame:
    """A table by month, whose promoters and detractors make the values given."""
    values = np.asarray(values, dtype=float)
    top = (0.7 + values / 100) / 2
    months = [f"{2024 + i // 12}-{i % 12 + 1:02d}" for i in range(len(values))]
    table = {"group": months, "n": n, "estimate": values}
    shares = {"promoter_share": top, "detractor_share": 0.7 - top}
    return pd.DataFrame(table | shares | columns)


def stable_run(sizes: np.ndarray, rng: np.random.Generator, drift: float = 0.0) -> pd.DataFrame:
    """Periods among which nothing happens but sampling (and drift, in shares)."""
    shift = drift * rng.standard_normal(len(sizes))
    p, d = 0.45 + shift / 2, 0.22 - shift / 2
    tops = rng.binomial(sizes, p)
    bottoms = rng.binomial(sizes - tops, d / (1 - p))
    table = run_table(100 * (tops - bottoms) / sizes, n=sizes)
    return table.assign(promoter_share=tops / sizes, detractor_share=bottoms / sizes)


class TestPeriodNames:
    @pytest.mark.parametrize(
        ("name", "before", "year_before"),
        [
            ("2025", "2024", None),
            ("2025-H1", "2024-H2", "2024-H1"),
            ("2025-Q1", "2024-Q4", "2024-Q1"),
            ("2025-12", "2025-11", "2024-12"),
            ("2025-W07", "2025-W06", "2024-W07"),
            ("2021-W01", "2020-W53", "2020-W01"),
        ],
    )
    def test_calendar_names_know_what_came_before(self, name, before, year_before):
        period = calendar_period(name)
        assert period.name == name
        assert period.before.name == before
        assert (period.year_before.name if period.year_before else None) == year_before

    @pytest.mark.parametrize("name", ["wave 3", "2025-13", "2025-Q5", "2025-W54", "20251", ""])
    def test_other_names_are_no_calendar_names(self, name):
        assert calendar_period(name) is None

    def test_mixed_kinds_of_names_keep_their_order(self):
        assert in_order(["2025-Q1", "2024", "2024-Q4"]) == ["2025-Q1", "2024", "2024-Q4"]


class TestPeriodChanges:
    def changes(self, data, *args, **options):
        return self.result(data, *args, **options).table

    def result(self, data, *args, **options):
        return period_changes(data, *(args or ("score",)), **options)

    def test_the_period_is_compared_with_the_last_and_with_a_year_before(self):
        data = answers_of(
            {"2024-Q4": (50, 30, 20), "2025-Q3": (60, 20, 20), "2025-Q4": (30, 30, 40)}
        )
        table = self.changes(data, period="2025-Q4")
        assert table["before"].tolist() == ["2025-Q3", "2024-Q4"]
        assert table["against"].tolist() == ["last period", "a year before"]
        assert table["estimate"].tolist() == pytest.approx([-50.0, -40.0])
        assert table["n"].tolist() == [100, 100]
        assert list(table)[:13] == [
            "label", "metric", "period", "before", "against", "n", "n_before", "estimate", "se",
            "ci_low", "ci_high", "unit", "p_value",
        ]  # fmt: skip

    def test_each_change_is_the_one_that_compare_periods_gives(self):
        data = designed()
        metrics = [
            Metric("score", "net", top=(9, 10), bottom=(0, 6), name="nps"),
            Metric("score", "mean", name="mean"),
        ]
        table = self.changes(data, metrics, design=DESIGN)
        expected = compare_periods(data, metrics, periods=("2024-Q4", "2025-Q4"), design=DESIGN)
        year = table[table["against"] == "a year before"]
        year = year.set_index("metric").loc[expected["metric"]]
        for name in ("estimate", "se", "ci_low", "ci_high", "p_value"):
            np.testing.assert_allclose(year[name], expected[name], rtol=ROUNDING)

    def test_a_missing_last_period_is_replaced_and_said(self):
        data = answers_of({"2025-Q1": (50, 30, 20), "2025-Q3": (45, 30, 25)})
        table = self.changes(data)
        assert table["before"].tolist() == ["2025-Q1", "2024-Q3"]
        assert table["note"][0] == "2025-Q2 is not in the data; 2025-Q1 is the last period before"
        assert table["note"][1] == "2024-Q3 is not in the data"
        assert np.isnan(table["estimate"][1])

    def test_the_first_period_has_rows_that_say_why_they_are_empty(self):
        data = answers_of({"2025-Q1": (50, 30, 20), "2025-Q2": (45, 30, 25)})
        table = self.changes(data, period="2025-Q1")
        assert table["note"].tolist() == [
            "2024-Q4 is not in the data", "2024-Q1 is not in the data",
        ]  # fmt: skip
        assert table["estimate"].isna().all()
        assert (table["verdict"] == "").all()

    def test_names_that_are_no_calendar_names_have_no_year_before(self):
        data = answers_of({"wave 1": (50, 30, 20), "wave 2": (45, 30, 25)})
        table = self.changes(data)
        assert table[["before", "against"]].to_numpy().tolist() == [["wave 1", "last period"]]
        assert self.changes(data, period="wave 1")["note"].tolist() == ["there is no period before"]

    def test_whole_years_are_compared_once_also_when_they_are_numbers(self):
        data = answers_of({"2024": (50, 30, 20), "2025": (45, 30, 25)})
        expected = self.changes(data)
        assert expected["against"].tolist() == ["last period"]
        for kind in ("int64", "float64", "category"):
            same = self.changes(data.assign(period=data["period"].astype(kind)), period="2025")
            pd.testing.assert_frame_equal(same, expected)

    def test_smallest_seen_agrees_with_the_planned_number_of_answers(self):
        data = answers_of({"2024": (500, 300, 200), "2025": (450, 350, 200)})
        table = self.changes(data)
        # n = (z_.975 + z_.8)²·(V₁ + V₂)/δ², with V = p + d − (p − d)²
        variances = (0.7 - 0.3**2) + (0.65 - 0.25**2)
        needed = (1.959964 + 0.841621) ** 2 * variances / (table["smallest_seen"][0] / 100) ** 2
        # three pseudo-answers a group
        assert needed == pytest.approx(1000, abs=4)

    def test_smallest_seen_grows_where_clusters_are_few(self):
        table = self.changes(designed(clusters=9), design=DESIGN)
        year = table.iloc[1]
        assert year["df"] < 8
        assert year["smallest_seen"] > 3.1 * year["se"] > 2.8 * year["se"]

    def test_a_true_change_of_the_smallest_seen_is_found_in_four_of_five_studies(self):
        rng = np.random.default_rng(5)
        studies, n, change = 100, 400, 0.156
        shares = {"2024": (0.45, 0.33, 0.22), "2025": (0.45 - change / 2, 0.33, 0.22 + change / 2)}
        columns = [f"score_{i}" for i in range(studies)]
        # one column per study, so that one call makes them all
        data = pd.concat([
            pd.DataFrame(rng.choice([10, 8, 2], (n, studies), p=p), columns=columns).assign(period=period)
            for period, p in shares.items()
        ])  # fmt: skip
        table = self.changes(
            data, [Metric(name, "net", (9, 10), (0, 6), name="nps") for name in columns]
        )
        # the first is alone in its family
        alone = table.loc[table["label"] == columns[0], "smallest_seen"]
        assert alone.iloc[0] == pytest.approx(100 * change, abs=0.5)
        # four standard errors of 100 draws at 80 %
        assert (table["p_value"] < 0.05).mean() == pytest.approx(0.8, abs=0.16)

    def test_small_periods_are_hidden_with_their_sentence(self):
        data = answers_of({"2024": (50, 30, 20), "2025": (0, 0, 9)})
        row = self.changes(data).iloc[0]
        figures = ["n", "n_before", "estimate", "se", "ci_low", "p_value", "smallest_seen", "df"]
        assert row[figures].isna().all()
        assert row["verdict"] == ""
        assert row["note"].startswith("hidden: a group of fewer than 10 answers")

    def test_every_engine_gives_the_same_digits(self):
        data = designed()
        expected = self.changes(data, design=DESIGN)
        pd.testing.assert_frame_equal(self.changes(pl.from_pandas(data), design=DESIGN), expected)
        # Polars, too, may hold years as numbers
        years = data.assign(period=data["period"].str[:4].astype(int))
        as_text = data.assign(period=data["period"].str[:4])
        pd.testing.assert_frame_equal(
            self.changes(pl.from_pandas(years), design=DESIGN), self.changes(as_text, design=DESIGN)
        )

    def test_bad_input_is_refused(self):
        data = answers_of({"2024": (50, 30, 20), "2025": (45, 30, 25)})
        with pytest.raises(ValueError, match=r"`period` must be '2024' or '2025'; got '2026'"):
            self.changes(data, period="2026")
        with pytest.raises(ValueError, match=r"`column` must be a column of the data; got 'wave'"):
            self.changes(data, column="wave")
        with pytest.raises(ValueError, match=r"`level` must be between 0 and 1"):
            self.changes(data, level=95)
        with pytest.raises(ValueError, match=r"`column` must hold periods; got none"):
            self.changes(data.assign(period=None))
        with pytest.raises(TypeError, match=r"`score` must be a column of numbers"):
            self.changes(data.assign(score="ten"))


class TestControlChart:
    def test_individuals_chart_of_nist(self, golden_scores):
        entry = golden_scores["spc.xmr.nist"]
        table = pd.DataFrame({"period": range(10), "n": 100, "estimate": entry["inputs"]["x"]})
        chart = control_chart(table)
        expected = entry["expected"]
        assert chart.kind == "XmR"
        assert np.isnan(chart.sigma_z)
        assert chart.centre == pytest.approx(expected["center"], abs=NIST_DIGITS)
        # NIST rounds 3/1.128 to 2.66, which moves the limits by a ten-thousandth
        assert chart.table["upper"][0] == pytest.approx(expected["ucl"], abs=2 * NIST_DIGITS)
        assert chart.table["lower"][9] == pytest.approx(expected["lcl"], abs=2 * NIST_DIGITS)
        moving_range = (chart.table["upper"][0] - chart.centre) * 1.128 / 3
        assert moving_range == pytest.approx(expected["mrbar"], abs=NIST_DIGITS)
        assert (chart.table["signal"] == "").all()

    def test_laney_limits_by_hand(self):
        # shares pooled by answers: p = (40 + 160 + 45 + 200 + 50)/1000, d = 200/1000
        n = np.array([100, 400, 100, 300, 100])
        top = np.array([0.40, 0.40, 0.45, 2 / 3, 0.50])
        table = pd.DataFrame({"period": list("abcde"), "n": n, "promoter_share": top,
                              "detractor_share": 0.2, "estimate": 100 * (top - 0.2)})  # fmt: skip
        chart = control_chart(table)
        assert chart.kind == "Laney"
        assert chart.centre == pytest.approx(29.5)
        error = 100 * np.sqrt((0.495 + 0.2 - 0.295**2) / n)
        z = (table["estimate"] - 29.5) / error
        sigma_z = np.abs(np.diff(z)).mean() / 1.128
        assert chart.sigma_z == pytest.approx(sigma_z)
        np.testing.assert_allclose(
            chart.table["upper"], np.minimum(29.5 + 3 * sigma_z * error, 100)
        )
        np.testing.assert_allclose(chart.table["lower"], 29.5 - 3 * sigma_z * error)
        np.testing.assert_allclose(chart.table["z"], z / sigma_z)

    def test_laney_is_xmr_where_sizes_are_even(self):
        values = np.random.default_rng(3).normal(20, 4, 15)
        xmr = control_chart(run_table(values))
        # the same errors in every period leave the moving ranges alone
        laney = control_chart(run_table(values, n=[100] * 14 + [151]).iloc[:14])
        uneven = control_chart(run_table(values, n=[100] * 14 + [151]), baseline=14)
        assert (xmr.kind, laney.kind, uneven.kind) == ("XmR", "XmR", "Laney")
        np.testing.assert_allclose(uneven.table["upper"][:14], laney.table["upper"], rtol=ROUNDING)
        assert uneven.table["upper"][14] < uneven.table["upper"][0]

    def test_a_design_effect_widens_the_limits_of_its_period(self):
        values = np.random.default_rng(3).normal(20, 4, 15)
        deff = np.where(np.arange(15) == 14, 4.0, 1.0)
        chart = control_chart(run_table(values, deff=deff), baseline=14)
        assert chart.kind == "Laney"
        half = chart.table["upper"] - chart.centre
        assert half[14] == pytest.approx(2 * half[0])

    def test_with_few_clusters_the_design_effect_of_the_others_stands_in(self):
        values = np.random.default_rng(3).normal(20, 4, 15)
        last = np.arange(15) == 14
        table = run_table(values, deff=np.where(last, 0.01, 2.0), df=np.where(last, 4, 90))
        chart = control_chart(table)
        assert chart.table["upper"].nunique() == 1
        assert chart.table["note"][14] == (
            "few clusters: the design effect of the other periods stands in"
        )
        assert (chart.table["note"][:14] == "").all()

    def test_limits_come_from_the_baseline_alone(self):
        values = np.random.default_rng(4).normal(20, 3, 20)
        shifted = np.append(values[:14], values[14:] + 60)
        before, after = (control_chart(run_table(v), baseline=14) for v in (values, shifted))
        np.testing.assert_allclose(before.table["upper"], after.table["upper"])
        assert after.table["signal"][14:].str.contains("beyond the limits").all()
        assert (before.table["signal"] == "").all()
        named = control_chart(run_table(shifted), baseline=[f"2024-{m:02d}" for m in range(1, 13)])
        assert named.baseline == tuple(f"2024-{m:02d}" for m in range(1, 13))

    def test_eight_in_a_row_are_a_signal_from_the_eighth_on(self):
        values = np.r_[[20, 30, 18, 32, 19, 31, 20, 30, 18, 32, 19, 31], [26] * 9]
        chart = control_chart(run_table(values), baseline=12)
        assert chart.centre == pytest.approx(25.0)
        # the last period before the shift is high as well: the run starts with it
        assert chart.signals["period"].tolist() == ["2025-07", "2025-08", "2025-09"]
        assert (chart.signals["signal"] == "run of eight").all()

    def test_a_value_on_the_centre_ends_a_run(self):
        assert not runs(np.r_[[1.0] * 7, 0.0, [1.0] * 7], 0.0).any()
        assert not runs(np.zeros(9), 0.0).any()
        assert runs(np.r_[[-1.0] * 8], 0.0).tolist() == [False] * 7 + [True]

    def test_a_drop_beyond_the_limits_is_a_signal(self):
        values = np.r_[np.random.default_rng(4).normal(20, 3, 14), -30]
        chart = control_chart(run_table(values), baseline=14)
        assert chart.signals["signal"].tolist() == ["beyond the limits"]
        assert chart.signals["period"].tolist() == ["2025-03"]
        assert "<b>" not in control_chart(run_table(values).replace("2025-03", "<b>"))._repr_html_()

    def test_few_baseline_periods_are_said_and_too_few_have_no_limits(self):
        values = np.random.default_rng(4).normal(20, 3, 14)
        five, four = (control_chart(run_table(values), baseline=k) for k in (5, 4))
        assert five.notes == (
            "5 of 12 baseline periods: limits are provisional until 7 more have come",
        )
        assert five.table["upper"].notna().all()
        assert four.notes == ("4 of 12 baseline periods: no limits before 1 more has come",)
        assert four.table[["lower", "upper", "z"]].isna().all(axis=None)
        assert (four.table["signal"] == "").all()
        assert control_chart(run_table(values), baseline=12).notes == ()

    def test_periods_are_put_in_calendar_order(self):
        table = run_table(np.random.default_rng(4).normal(20, 3, 14))
        shuffled = control_chart(table.sample(frac=1, random_state=1))
        pd.testing.assert_frame_equal(shuffled.table, control_chart(table).table)

    def test_small_periods_are_hidden_and_take_no_part(self):
        values = np.random.default_rng(4).normal(20, 3, 14)
        table = run_table(np.insert(values, 7, 100.0), n=np.insert(np.full(14, 100), 7, 9))
        chart = control_chart(table)
        hidden = chart.table.iloc[7]
        assert hidden[["n", "estimate", "lower", "upper", "z"]].isna().all()
        assert hidden["note"] == "hidden: fewer than 10 answers"
        assert not hidden["baseline"]
        assert chart.centre == pytest.approx(values.mean())
        assert "100.0" not in str(chart)

    def test_periods_that_are_all_alike_have_no_limits(self):
        chart = control_chart(run_table([20.0] * 12))
        assert chart.notes == ("no limits: the baseline periods are all alike",)
        assert (chart.table["signal"] == "").all()

    def test_a_stable_run_of_uneven_sizes_raises_few_alarms(self):
        rng = np.random.default_rng(11)
        sizes = np.where(np.arange(36) % 6 == 5, 40, 1000)
        ours, xmr, sigma_z = [], [], []
        for _ in range(75):
            table = stable_run(sizes, rng)
            chart = control_chart(table, baseline=24)
            sigma_z.append(chart.sigma_z)
            ours.append((np.abs(chart.table["z"]) > SIGMAS)[24:].mean())
            plain = individuals_limits(table["estimate"].to_numpy(), np.arange(36) < 24)
            far = np.abs(table["estimate"] - plain.centre) > SIGMAS * plain.sigma
            xmr.append(far[24:][sizes[24:] == 40].mean())
        # 1 % is measured in the benchmark; 900 periods leave it an error of .3
        assert np.mean(ours) < 0.02
        # sampling alone: 75 baselines of 23 moving ranges leave an error of .021
        assert np.mean(sigma_z) == pytest.approx(1, abs=0.06)
        # what the plain chart does to its small periods
        assert np.mean(xmr) > 0.2

    def test_periods_that_always_vary_are_no_signals(self):
        rng = np.random.default_rng(12)
        sizes = np.where(np.arange(36) % 2, 300, 3000)
        charts = [control_chart(stable_run(sizes, rng, 0.05), baseline=24) for _ in range(40)]
        z = np.array([np.abs(chart.table["z"])[24:] for chart in charts])
        plain = z * np.array([[chart.sigma_z] for chart in charts])
        assert np.median([chart.sigma_z for chart in charts]) > 1.5
        assert (z > SIGMAS).mean() < 0.05 < 0.1 < (plain > SIGMAS).mean()

    def test_it_takes_what_nps_and_scorecard_give(self):
        rng = np.random.default_rng(2)
        sizes = rng.integers(60, 400, 14)
        period = np.repeat([f"2024-W{i + 1:02d}" for i in range(14)], sizes)
        score = rng.choice([10, 9, 8, 7, 4], len(period))
        data = pd.DataFrame({"score": score, "rating": score / 2, "period": period})
        chart = control_chart(nps(data, "score", by="period"))
        assert chart.centre == pytest.approx(nps(data, "score")["estimate"].item())
        card = scorecard(data, [RATING, Metric("score", "net", (9, 10), (0, 6), name="nps")],
                         by="period").table  # fmt: skip
        by_period = card[card["segment"] == "period"]
        means = control_chart(by_period[by_period["metric"] == "mean"])
        assert (means.kind, means.what, means.unit) == ("Laney", "mean", "score")
        assert means.centre == pytest.approx(data["rating"].mean())
        scores = control_chart(by_period[by_period["metric"] == "nps"])
        # pooled within periods instead of pooled shares: the spread between periods is left out
        np.testing.assert_allclose(scores.table["upper"], chart.table["upper"], rtol=0.02)
        shares = control_chart(top_box(data, "score", top=(9, 10), by="period"))
        assert shares.centre == pytest.approx((score >= 9).mean() * 100)

    def test_results_can_be_printed(self):
        chart = control_chart(run_table(np.r_[np.random.default_rng(4).normal(20, 3, 6), 99]))
        assert str(chart).startswith("XmR chart of NPS, 7 baseline periods")
        assert chart.notes[0] in str(chart)
        assert "<table" in chart._repr_html_()

    def test_bad_input_is_refused(self):
        table = run_table(np.random.default_rng(4).normal(20, 3, 14))
        with pytest.raises(
            TypeError, match=r"`table` must be a pandas DataFrame by period; got list"
        ):
            control_chart([1, 2])
        with pytest.raises(ValueError, match=r"`table` must have a column `period` or `group`"):
            control_chart(table.drop(columns="group"))
        with pytest.raises(ValueError, match=r"one row per period; got '2024-01' more than once"):
            control_chart(pd.concat([table, table.iloc[:1]]))
        with pytest.raises(ValueError, match=r"one row per period; got 'no row'"):
            control_chart(table.iloc[:0])
        with pytest.raises(ValueError, match=r"`baseline` must be '2024-01'.*got '2024-13'"):
            control_chart(table, baseline=["2024-13"])
        with pytest.raises(ValueError, match=r"`baseline` must be 1 period or more; got 0"):
            control_chart(table, baseline=0)
        with pytest.raises(ValueError, match=r"`group`, `n` and `estimate`"):
            control_chart(table.drop(columns="estimate"))
        bare = table[["group", "n", "estimate"]].assign(n=[10, 100] * 7)
        with pytest.raises(ValueError, match=r"`table` must have `se`, or the shares"):
            control_chart(bare)
        with pytest.raises(TypeError, match=r"`table` must have numbers in `estimate`"):
            control_chart(table.assign(estimate="20"))
        with pytest.raises(ValueError, match=r"`n` must be 0 or more; got -1"):
            control_chart(table.assign(n=-1))


def cells(before, after, rates_before, rates_after, crossed=False):
    arrays = [np.asarray(part, dtype=float) for part in (before, after, rates_before, rates_after)]
    arrays = [part if part.ndim > 1 else part[:, None] for part in arrays]
    return decompose(*arrays, crossed=crossed)


def population(sizes, rates, period, **segments) -> pd.DataFrame:
    """One row per cell, whose weight is its size."""
    return pd.DataFrame({"rating": rates, "size": sizes, "period": period, **segments})


grids = st.integers(2, 4).flatmap(
    lambda k: st.lists(
        st.tuples(
            st.integers(0, 50), st.integers(0, 50), st.integers(-100, 100), st.integers(-100, 100)
        ),
        min_size=2 * k,
        max_size=2 * k,
    )
)


class TestDecomposition:
    def test_kitagawa_by_hand(self):
        parts = cells([60, 40], [30, 70], [50, 10], [40, 20])
        # shares .6/.4 → .3/.7; mean rates 45 and 15; overall 34 → 26
        assert parts.change == pytest.approx(-8)
        assert parts.mix.sum() == pytest.approx(-0.3 * 45 + 0.3 * 15)
        assert parts.performance == pytest.approx([-10 * 0.45, 10 * 0.55])
        # each group's mix is counted from the mean of the two scores, 30
        assert parts.mix == pytest.approx([-0.3 * 15, 0.3 * -15])

    def test_kitagawa_of_das_gupta_table_5_1(self, golden_scores):
        entry = golden_scores["kitagawa.dasgupta5.1"]
        inputs, expected = entry["inputs"], entry["expected"]
        data = pd.concat([
            population(inputs[f"share_{i}"], inputs[f"rate_{i}"], str(i), age=list("abcdefghijklm"))
            for i in (1, 2)
        ])  # fmt: skip
        result = mix_and_performance(data, RATING, by="age", periods=("1", "2"), design={"weights": "size"},
                                     replicates=2, min_group_size=0)  # fmt: skip
        found = result.table.set_index("part")
        assert [result.score_before, result.score] == pytest.approx(
            expected["crude"], abs=entry["tolerance"]
        )
        for part, name in (("mix", "mix"), ("performance", "rate"), ("change", "total")):
            assert found.loc[part, "estimate"] == pytest.approx(
                expected[name], abs=entry["tolerance"]
            )
        assert 100 * found.loc["mix", "share"] == pytest.approx(expected["mix_pct"], abs=0.01)

    def test_two_segments_of_das_gupta_table_5_3(self):
        (entry,) = json.loads((GOLDEN / "das_gupta.json").read_text(encoding="utf-8"))
        inputs, expected, tolerance = entry["inputs"], entry["expected"], entry["tolerance"]
        segments = {"race": ["1"] * 11 + ["2"] * 11, "age": [f"{i:02d}" for i in range(11)] * 2}
        data = pd.concat([
            population(inputs[f"size_{year}"], inputs[f"rate_{year}"], year, **segments)
            for year in ("1970", "1985")
        ])  # fmt: skip
        result = mix_and_performance(data, RATING, by=["race", "age"], periods=("1970", "1985"),
                                     design={"weights": "size"}, replicates=2, min_group_size=0)  # fmt: skip
        found = result.table.set_index("part")["estimate"]
        assert [result.score_before, result.score] == pytest.approx(
            expected["crude"], abs=tolerance
        )
        for part, name in (("mix of age", "age"), ("mix of race", "race"), ("mix", "mix"),
                           ("performance", "rate"), ("change", "total")):  # fmt: skip
            assert found[part] == pytest.approx(expected[name], abs=tolerance)

    @given(grids)
    @settings(max_examples=60)
    def test_parts_add_up_turn_round_and_ignore_the_origin(self, rows):
        before, after, r_1, r_2 = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
        if not before.sum() or not after.sum():
            return
        r_1, r_2 = np.where(before > 0, r_1, np.nan), np.where(after > 0, r_2, np.nan)
        shape = (2, -1)
        grid = [part.reshape(shape) for part in (before, after, r_1, r_2)]
        parts = decompose(*grid, crossed=True)
        change = np.nansum(after * r_2) / after.sum() - np.nansum(before * r_1) / before.sum()
        assert parts.change == pytest.approx(change, abs=1e-8)
        whole = sum(parts.by_segment) + parts.performance.sum()
        assert whole == pytest.approx(change, abs=1e-8)
        back = decompose(grid[1], grid[0], grid[3], grid[2], crossed=True)
        np.testing.assert_allclose(back.mix, -parts.mix, atol=1e-8)
        np.testing.assert_allclose(back.by_segment, -np.array(parts.by_segment), atol=1e-8)
        moved = decompose(grid[0], grid[1], grid[2] + 1000, grid[3] + 1000, crossed=True)
        np.testing.assert_allclose(moved.mix, parts.mix, atol=1e-6)
        np.testing.assert_allclose(moved.performance, parts.performance, atol=1e-6)

    @given(grids)
    @settings(max_examples=40)
    def test_one_thing_changing_alone_is_that_thing_alone(self, rows):
        before, after, r_1, r_2 = (np.array(part, dtype=float) for part in zip(*rows, strict=True))
        if not before.sum() or not after.sum():
            return
        assert np.abs(cells(before, after, r_1, r_1).performance).max() == 0
        assert np.abs(cells(before, 3 * before, r_1, r_2).mix).max() < ROUNDING

    def test_only_the_segment_that_moves_has_a_mix(self):
        # independent segments; the first one's shares move
        rows, columns = np.array([0.6, 0.4]), np.array([0.3, 0.7])
        rates = np.array([[50.0, 10.0], [-20.0, 0.0]])
        parts = decompose(np.outer(rows, columns), np.outer([0.2, 0.8], columns), rates, rates,
                          crossed=True)  # fmt: skip
        assert parts.by_segment[0] == pytest.approx(parts.change)
        assert parts.by_segment[1] == pytest.approx(0, abs=ROUNDING)

    def test_parts_that_do_not_add_up_are_refused(self):
        good = cells([60, 40], [30, 70], [50, 10], [40, 20])
        with pytest.raises(ArithmeticError, match="mix and performance miss by 1"):
            dataclasses.replace(good, change=good.change + 1)


class TestMixAndPerformance:
    def result(self, data, by="trip", score="score", **options):
        defaults = {"periods": ("2024-Q4", "2025-Q4"), "replicates": 200}
        return mix_and_performance(data, score, by=by, **(defaults | options))

    def test_the_change_is_that_of_the_published_scores(self):
        data = designed()
        data.loc[::9, "trip"] = None
        result = self.result(data, design=DESIGN)
        published = nps(data, "score", by="period", design=DESIGN)["estimate"]
        assert [result.score_before, result.score] == pytest.approx(published.tolist())
        table = result.table.set_index("part")["estimate"]
        assert table["mix"] + table["performance"] == pytest.approx(table["change"])
        assert table["change"] == pytest.approx(published[1] - published[0])
        unknown = data["trip"].isna() & data["score"].notna()
        assert f"{unknown.sum()} answers without a segment are a group of their own" in result.notes
        assert result.n_missing.to_dict("records") == [
            {"column": "score", "n_missing": data["score"].isna().sum()}
        ]

    def test_two_segments_split_the_mix(self):
        result = self.result(designed(), by=["trip", "area"], labels={"trip": "Kind of trip"})
        table = result.table.set_index("part")
        assert table.index.tolist() == [
            "mix", "mix of Kind of trip", "mix of area", "performance", "change",
        ]  # fmt: skip
        assert table["kind"].tolist() == ["total", "part", "part", "part", "total"]
        parts = table.loc[table["kind"] == "part", "estimate"].sum()
        assert parts == pytest.approx(table.loc["change", "estimate"])

    @pytest.mark.parametrize(
        "design",
        [{}, {"cluster": "cluster"}, {"weights": "weight"}, DESIGN],
        ids=["simple", "clusters", "weights", "all"],
    )
    def test_the_interval_of_the_change_is_the_linearised_one(self, design):
        data = designed()
        row = (
            self.result(data, replicates=2000, design=design).table.set_index("part").loc["change"]
        )
        options = {"design": design}
        expected = compare_periods(data, "score", periods=("2024-Q4", "2025-Q4"), **options)
        assert row["estimate"] == pytest.approx(expected["estimate"][0])
        assert row["se"] == pytest.approx(expected["se"][0], rel=BOOTSTRAP)

    def test_customers_in_both_periods_are_resampled_whole(self):
        data = designed(clusters=300, spanning=True)
        together = (
            self.result(data, replicates=1000, design={"cluster": "cluster"}).table["se"].iloc[-1]
        )
        apart = data.assign(cluster=data["cluster"] + data["period"])
        separate = (
            self.result(apart, replicates=1000, design={"cluster": "cluster"}).table["se"].iloc[-1]
        )
        assert together < 0.9 * separate

    def test_alike_rows_drawn_as_a_class_are_rows_drawn_one_by_one(self):
        data = designed()
        classes = self.result(data, replicates=2000).table["se"]
        rows = data.assign(row=np.arange(len(data)).astype(str))
        singly = self.result(rows, design={"cluster": "row"}, replicates=2000).table["se"]
        np.testing.assert_allclose(classes, singly, rtol=BOOTSTRAP)

    def test_a_planted_mix_and_performance_are_recovered(self):
        rng = np.random.default_rng(8)
        n = 20_000
        shares, net = np.array([[0.5, 0.5], [0.2, 0.8]]), np.array([[0.4, -0.2], [0.3, -0.1]])
        parts = []
        for i, period in enumerate(("2024-Q4", "2025-Q4")):
            trip = rng.choice(2, n, p=shares[i])
            top = rng.random(n) < 0.4 + net[i][trip] / 2
            low = ~top & (rng.random(n) < (0.4 - net[i][trip] / 2) / (0.6 - net[i][trip] / 2))
            score = np.select([top, low], [10, 0], 8)
            parts.append(pd.DataFrame({"score": score, "trip": trip, "period": period}))
        table = self.result(pd.concat(parts)).table.set_index("part")
        truth = cells(*shares, *(100 * net))
        # four standard errors: planted truth is missed once in 16,000
        for part, planted in (("mix", truth.mix.sum()), ("performance", truth.performance.sum())):
            assert abs(table.loc[part, "estimate"] - planted) < 4 * table.loc[part, "se"]
            assert table.loc[part, "se"] < 1
        assert truth.mix.sum() == pytest.approx(-15)
        assert truth.performance.sum() == pytest.approx(3)

    def test_an_absent_group_takes_the_other_score_and_is_listed(self):
        data = designed()
        gone = data[~((data["trip"] == "leisure") & (data["period"] == "2025-Q4"))]
        result = self.result(gone)
        assert result.notes == ("absent in 2025-Q4, so given the other period's score: leisure",)
        # all of its change is mix: as if it scored in both as in the period that has it
        score, trips = gone["score"].dropna(), gone.loc[gone["score"].notna(), "trip"]
        value = pd.Series(np.select([score >= 9, score <= 6], [100.0, -100.0], 0.0), score.index)
        keys = [gone.loc[score.index, "period"], trips]
        n, rate = (
            made.unstack().sort_index()
            for made in (value.groupby(keys).size(), value.groupby(keys).mean())
        )
        parts = cells(*n.fillna(0).to_numpy(), *rate.to_numpy())
        table = result.table.set_index("part")["estimate"]
        assert table["mix"] == pytest.approx(parts.mix.sum())
        assert table["performance"] == pytest.approx(parts.performance.sum())
        assert parts.performance[list(n).index("leisure")] == 0

    def test_nothing_is_shown_of_a_small_period(self):
        data = designed()
        later = data["period"] == "2025-Q4"
        few = data[~later | (later.groupby(later).cumcount() < 9)]
        result = self.result(few)
        assert result.table[["n", "estimate", "se", "share"]].isna().all(axis=None)
        assert np.isnan(result.score)
        assert result.notes == ("hidden: a period with fewer than 10 answers",)

    def test_the_same_seed_gives_the_same_digits_in_any_order_and_engine(self):
        data = designed()
        result = self.result(data, design=DESIGN)
        shuffled = self.result(data.sample(frac=1, random_state=3), design=DESIGN)
        engine = self.result(pl.from_pandas(data), design=DESIGN)
        for other in (shuffled, engine):
            pd.testing.assert_frame_equal(other.table, result.table, rtol=ROUNDING)
        other_seed = self.result(data, seed=1, design=DESIGN)
        assert other_seed.table["se"].tolist() != result.table["se"].tolist()

    def test_rows_of_no_weight_and_of_other_periods_change_nothing(self):
        data = designed()
        expected = self.result(data, design={"weights": "weight"})
        outside = data.assign(weight=0.0, score=0.0)
        other = data.assign(period="2025-Q1", score=0.0)
        result = self.result(pd.concat([data, outside, other]), design={"weights": "weight"})
        for name in ("part", "n", "n_before", "estimate"):
            assert result.table[name].tolist() == pytest.approx(expected.table[name].tolist()) or (
                name == "part"
            )

    def test_lone_rows_and_single_strata_are_said(self):
        data = designed()
        data.loc[:11, "cluster"] = None
        data.loc[data["cluster"] == "7", "stratum"] = "alone"
        result = self.result(data, design=DESIGN)
        assert "12 rows without a cluster are clusters of their own" in result.notes
        assert "Strata with a single cluster were merged: 'alone'." in result.notes

    def test_clusters_sampled_elsewhere_count_in_the_design(self):
        data = designed(clusters=12).assign(all=12)
        whole = self.result(
            data, design={"cluster": "cluster", "stratum_clusters": "all"}, replicates=1000
        )
        part = data[data["trip"] != "leisure"]
        seen = self.result(
            part, design={"cluster": "cluster", "stratum_clusters": "all"}, replicates=1000
        )
        assert whole.notes == () == seen.notes
        assert seen.table["se"].notna().all()

    def test_one_cluster_gives_no_interval(self):
        result = self.result(designed().assign(cluster="only"), design={"cluster": "cluster"})
        assert result.table[["se", "ci_low", "ci_high"]].isna().all(axis=None)
        assert result.table["estimate"].notna().all()
        assert result.notes == ("no intervals: fewer than two clusters to resample",)

    @pytest.mark.parametrize("kind", ["net", "mean"])
    @pytest.mark.parametrize(
        ("earlier", "why"),
        [([10.0] * 40, "every answer of a period is alike"),
         ([10.0, 8, 3] * 5, "fewer than 30 answers in a period")],
    )  # fmt: skip
    def test_a_period_that_says_nothing_of_its_spread_gives_no_interval(self, earlier, why, kind):
        later = [10.0, 10, 10, 8, 3] * 60
        data = pd.DataFrame({"s": [*earlier, *later]})
        data["trip"] = np.where(data.index % 2, "a", "b")
        data["period"] = ["2024"] * len(earlier) + ["2025"] * len(later)
        metric = Metric("s", kind, **({"top": (9, 10), "bottom": (0, 6)} if kind == "net" else {}))
        split = mix_and_performance(data, metric, by="trip", periods=("2024", "2025"))
        table = split.table.set_index("part")
        assert table.loc[["performance", "change"], ["se", "ci_low"]].isna().all(axis=None)
        assert set(table.loc[["performance", "change"], "note"]) == {f"no interval: {why}"}
        assert table["estimate"].notna().all()
        assert np.isfinite(table.loc["mix", "ci_low"])

    def test_a_result_says_between_which_periods(self):
        result = self.result(designed())
        assert result.about == " ".join(["From 2024-Q4 to 2025-Q4.", *result.notes])
        assert "<table" in result._repr_html_()

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ({"data": PastReports(pd.DataFrame(), ())}, "the answers"),
            ({"by": []}, "a segment, and the study declares none"),
            ({"periods": ("", "2025-Q4")}, "a period before"),
        ],
    )
    def test_what_cannot_be_split_is_left_out_and_said(self, given, why):
        asked = {"data": designed(), "by": "trip", "periods": ("2024-Q4", "2025-Q4")} | given
        result = mix_and_performance(asked.pop("data"), "score", **asked)
        assert result.table.empty
        assert result.about == f"Left out: mix and performance, which need {why}."

    def test_a_result_whose_parts_do_not_add_up_is_refused(self):
        result = self.result(designed())
        wrong = result.table.assign(estimate=result.table["estimate"] + [1.0, 0, 0])
        with pytest.raises(ArithmeticError, match="The parts must make the change"):
            dataclasses.replace(result, table=wrong)
        with pytest.raises(ArithmeticError, match="The two scores must make the change"):
            dataclasses.replace(result, score=result.score + 1)

    def test_bad_input_is_refused(self):
        data = designed()
        with pytest.raises(
            ValueError, match=r"`periods` must be '2024-Q4' or '2025-Q4'; got '2026'"
        ):
            self.result(data, periods=("2024-Q4", "2026"))
        with pytest.raises(ValueError, match=r"`periods` must be two different periods"):
            self.result(data, periods=("2024-Q4", "2024-Q4"))
        with pytest.raises(ValueError, match=r"`by` must be one segment column or two"):
            self.result(data, by=["trip", "area", "stratum"])
        with pytest.raises(ValueError, match=r"`by` must be one segment column or two"):
            self.result(data, by=["trip", "trip"])
        with pytest.raises(ValueError, match=r"`by` must be a column of the data; got 'trips'"):
            self.result(data, by="trips")
        with pytest.raises(ValueError, match=r"`replicates` must be a whole number of 2 or more"):
            self.result(data, replicates=1)
        with pytest.raises(TypeError, match=r"`metric` must be one Metric or a column's name"):
            self.result(data, score=[RATING])
        with pytest.raises(ValueError, match=r"`weights` must be finite numbers of 0 or more"):
            self.result(data.assign(weight=-1.0), design={"weights": "weight"})
        with pytest.raises(ValueError, match=r"`score` must be whole numbers from 0 to 10"):
            self.result(data.assign(score=11.0))


class TestAirport:
    def test_the_change_of_2018_is_the_difference_of_the_known_scores(self, sfo):
        data = sfo.read(period=["2017", "2018"])
        table = period_changes(data, "recommend", design=sfo.design).table
        # R's survey package: 40.398436 and 35.113632
        assert table["estimate"].item() == pytest.approx(35.113632 - 40.398436, abs=2e-6)
        # the two years share no flight, so the variances add, a little corrected (CR2)
        assert table["se"].item() == pytest.approx(np.hypot(1.524652, 2.210374), rel=0.01)
        result = mix_and_performance(data, "recommend", by=["flight_type", "boarding_area"],
                                     periods=("2017", "2018"), replicates=500, design=sfo.design)  # fmt: skip
        change = result.table.set_index("part").loc["change"]
        assert change["estimate"] == pytest.approx(table["estimate"].item())
        assert change["se"] == pytest.approx(table["se"].item(), rel=3 * BOOTSTRAP)
        assert any("absent in 2017" in note for note in result.notes)


class TestNamesOfPeriods:
    def test_names_that_end_in_numbers_go_by_the_numbers(self):
        data = answers_of({f"Wave {i}": (10 + i, 10, 10) for i in (2, 9, 10)})
        changes = period_changes(data, "score").table
        assert changes[["period", "before"]].to_numpy().tolist() == [["Wave 10", "Wave 9"]]
        chart = control_chart(nps(data, "score", by="period"))
        assert chart.table["period"].tolist() == ["Wave 2", "Wave 9", "Wave 10"]

    @pytest.mark.parametrize(
        "names",
        [
            ["2023", "2024", "2024-Q1"], ["2024-12", "2025", "2025-01", "2025-H1", "2025-Q1"],
            ["2024/25", "2025/26"], ["FY2024", "FY2025"], ["2025-W07", "2025-W10"],
        ],
    )  # fmt: skip
    def test_the_usual_names_stay_in_the_order_of_text(self, names):
        assert periods_of(answers_of(dict.fromkeys(names, (1, 1, 1))), "period") == sorted(names)

    def test_a_declared_order_is_kept(self):
        data = answers_of(dict.fromkeys(["1-2024", "2-2024", "1-2025"], (1, 1, 1)))
        declared = pd.CategoricalDtype(["1-2024", "2-2024", "1-2025"], ordered=True)
        data["period"] = data["period"].astype(declared)
        assert periods_of(data, "period") == ["1-2024", "2-2024", "1-2025"]

    @pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
    @pytest.mark.parametrize("kind", ["float64", "datetime64[us]", "bool"])
    def test_periods_that_are_no_text_are_read_the_same_by_every_engine(self, kind, engine):
        values = {"float64": [2024.0, 2025.0], "bool": [False, True],
                  "datetime64[us]": pd.to_datetime(["2024-07-01", "2025-01-01"])}  # fmt: skip
        names = {"float64": ["2024", "2025"], "bool": ["False", "True"],
                 "datetime64[us]": ["2024-07-01", "2025-01-01"]}  # fmt: skip
        period = pd.Series(values[kind], dtype=kind).repeat(40).reset_index(drop=True)
        data = pd.DataFrame({"score": [10, 10, 3, 8] * 20, "g": ["a", "b"] * 40, "p": period})
        frame = {
            "pandas": lambda: data, "polars": lambda: pl.from_pandas(data),
            "duckdb": lambda: duckdb.from_df(data),
        }[engine]()  # fmt: skip
        before, now = names[kind]
        changes = period_changes(frame, "score", column="p").table.iloc[0]
        assert [changes["period"], changes["n"], changes["n_before"]] == [now, 40, 40]
        mix = mix_and_performance(frame, "score", by="g", periods=(before, now), column="p",
                                  replicates=5)  # fmt: skip
        assert mix.table["n"].tolist() == [40] * 3
