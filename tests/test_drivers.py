import sys
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import ndtr, ndtri

from cxlab.core.design import Design
from cxlab.stats.covariance import patterns as sorting
from cxlab.stats.covariance.covariance import WeightedRows
from cxlab.stats.covariance.em import fit_possible
from cxlab.stats.drivers import covariances as fitting
from cxlab.stats.drivers import drivers, penalty_reward
from cxlab.stats.drivers import importance as sharing
from cxlab.stats.drivers import replicates as uncertain
from cxlab.stats.drivers.answers import read_answers
from cxlab.stats.drivers.estimands import use_and_quality
from cxlab.stats.drivers.importance import importance
from cxlab.stats.drivers.penalty_reward import Slopes, _classes
from cxlab.stats.drivers.subsets import subset_sums
from cxlab.stats.resampling import SampledSums, sampling_design

GOLDEN = Path(__file__).parent / "golden"

ROUNDING = 1e-12
#: Covariances of ratings lose two digits on the way to R².
FIT_DIGITS = 1e-10
ENGINES = 1e-9
#: 4,000 replicates put a standard error within 1.1 %; clusters add the bootstrap's own bias.
SE_BY_CHANCE = 0.05

NAMES = ["food", "wifi", "signs"]


def ratings(n=300, seed=0, holes=0.0, use=1.0):
    """Ratings 1 to 5 that share a common part; overall depends on food and wifi."""
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(n, 1))
    latent = 3.4 + 0.6 * common + 0.8 * generator.normal(size=(n, 3))
    frame = pd.DataFrame(np.clip(np.round(latent), 1, 5), columns=NAMES)
    frame["overall"] = 1 + 0.5 * frame["food"] + 0.2 * frame["wifi"] + generator.normal(size=n)
    for name in NAMES:
        never = generator.random(n) > use
        blank = (generator.random(n) < holes) & ~never
        reason = np.where(never, "never used", np.where(blank, "no answer", None))
        frame[f"{name}_missing"] = pd.Series(reason, dtype="object")
        frame[name] = frame[name].mask(never | blank)
    frame["cluster"] = np.arange(n) // 6
    frame["stratum"] = frame["cluster"] % 2
    frame["weight"] = generator.uniform(0.5, 2, n)
    frame["terminal"] = np.where(generator.random(n) < 0.4, "T1", "T2")
    return frame


def reach_part(analysis):
    """Reach-adjusted rows in the order in which the drivers were given."""
    rows = analysis.reach_adjusted.set_index("driver", drop=False)
    return rows.loc[analysis.part()["driver"]].reset_index(drop=True)


def reach_r_squared(analysis):
    return analysis.fits.set_index("estimand").loc["reach-adjusted", "r_squared"]


class TestResult:
    def test_importances_add_up_and_shares_to_one(self):
        analysis = drivers(ratings(holes=0.2), "overall", NAMES, replicates=50)
        assert analysis.table["estimate"].sum() == pytest.approx(analysis.r_squared, abs=ROUNDING)
        assert analysis.table["share"].sum() == pytest.approx(1, abs=ROUNDING)
        assert analysis.reach_adjusted["estimate"].sum() == pytest.approx(
            reach_r_squared(analysis), abs=ROUNDING
        )

    def test_nothing_is_nan_in_a_plain_analysis(self):
        analysis = drivers(ratings(holes=0.2, use=0.8), "overall", NAMES, replicates=50)
        assert analysis.table.notna().all(axis=None)
        assert analysis.reach_adjusted.notna().all(axis=None)

    def test_columns_stand_in_house_order(self):
        table = drivers(ratings(), "overall", NAMES, replicates=20).table
        assert table.columns[:7].tolist() == [
            "estimand", "driver", "label", "n", "estimate", "se", "ci_low",
        ]  # fmt: skip

    def test_rows_without_an_outcome_are_counted(self):
        frame = ratings()
        frame.loc[:9, "overall"] = np.nan
        analysis = drivers(frame, "overall", NAMES, replicates=20)
        assert (analysis.n, analysis.n_total) == (290, 300)
        assert analysis.n_missing.set_index("column")["n_missing"].to_dict() == {
            "overall": 10, "food": 0, "wifi": 0, "signs": 0,
        }  # fmt: skip
        assert "10 rows without an outcome" in str(analysis)

    def test_the_same_seed_gives_the_same_digits(self):
        frame = ratings(holes=0.2)
        one, two = (drivers(frame, "overall", NAMES, replicates=50, seed=5) for _ in range(2))
        pd.testing.assert_frame_equal(one.table, two.table, check_exact=True)

    @pytest.mark.parametrize("engine", ["polars", "duckdb"])
    def test_engines_agree(self, engine):
        frame = ratings(holes=0.2, use=0.8)
        other = pl.from_pandas(frame) if engine == "polars" else duckdb.from_df(frame)
        design = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}
        one = drivers(frame, "overall", NAMES, replicates=50, design=design)
        two = drivers(other, "overall", NAMES, replicates=50, design=design)
        pd.testing.assert_frame_equal(one.table, two.table, rtol=ENGINES)

    def test_labels_come_from_a_mapping(self):
        names = {"food": "Food and drink", "wifi": "Wi-Fi"}
        table = drivers(ratings(), "overall", names, replicates=0).table
        assert set(table["label"]) == {"Food and drink", "Wi-Fi"}

    def test_rows_used_tell_each_treatment(self):
        frame = ratings(holes=0.3)
        used = drivers(frame, "overall", NAMES, replicates=0).rows_used.set_index("treatment")
        assert used.loc["em", "n"] == 300
        assert used.loc["complete", "n"] == frame[NAMES].notna().all(axis=1).sum()
        assert (
            used.loc["pairwise", "n"] < used.loc["pairwise", "n_most"] == frame[NAMES].count().max()
        )

    def test_complete_is_dropping_rows_first(self):
        frame = ratings(holes=0.3)
        one = drivers(frame, "overall", NAMES, missing="complete", replicates=0)
        two = drivers(frame.dropna(subset=NAMES), "overall", NAMES, replicates=0)
        assert one.part()["estimate"].tolist() == pytest.approx(
            two.part()["estimate"].tolist(), abs=FIT_DIGITS
        )
        assert one.fits["n"][0] == two.n

    def test_weights_repeat_rows(self):
        frame = ratings(holes=0.2, use=0.8)
        frame["weight"] = np.random.default_rng(3).integers(1, 4, len(frame)).astype(float)
        repeated = frame.loc[frame.index.repeat(frame["weight"].astype(int))]
        one = drivers(frame, "overall", NAMES, design={"weights": "weight"}, replicates=0)
        two = drivers(repeated, "overall", NAMES, replicates=0)
        for left, right in ((one.table, two.table), (one.reach_adjusted, two.reach_adjusted)):
            assert left["estimate"].tolist() == pytest.approx(right["estimate"].tolist(), abs=1e-7)


class TestReachAdjusted:
    def test_equals_plain_lmg_when_everyone_uses_everything(self):
        analysis = drivers(ratings(), "overall", NAMES, replicates=0)
        one, two = analysis.part(), reach_part(analysis)
        assert one["estimate"].tolist() == pytest.approx(two["estimate"].tolist(), abs=ROUNDING)
        assert two["quality"].tolist() == pytest.approx(two["estimate"].tolist(), abs=ROUNDING)
        assert (two["presence"] == 0).all()

    def test_presence_and_quality_add_up_to_r_squared(self):
        analysis = drivers(ratings(use=0.6), "overall", NAMES, replicates=0)
        table = analysis.reach_adjusted
        assert table["presence"].sum() + table["quality"].sum() == pytest.approx(
            reach_r_squared(analysis), abs=FIT_DIGITS
        )

    @given(scale=st.floats(0.1, 10), shift=st.floats(-20, 20), flip=st.sampled_from([-1.0, 1.0]))
    @settings(max_examples=15)
    def test_any_affine_change_of_a_rating_leaves_it_alone(self, scale, shift, flip):
        frame = ratings(use=0.6)
        changed = frame.assign(food=shift + flip * scale * frame["food"])
        one = reach_part(drivers(frame, "overall", NAMES, replicates=0))
        two = reach_part(drivers(changed, "overall", NAMES, replicates=0))
        for column in ("estimate", "presence", "quality"):
            assert one[column].tolist() == pytest.approx(two[column].tolist(), abs=ROUNDING)

    @given(centre=st.floats(-5, 5))
    @settings(max_examples=10)
    def test_any_choice_of_centre_leaves_it_alone(self, centre):
        answers = read_answers(ratings(use=0.6), "overall", NAMES, design=Design())
        table, columns, is_use = use_and_quality(answers)
        moved = table.copy()
        for use, quality in columns:
            moved[:, quality] += centre * table[:, use]
        found = [
            subset_sums(np.corrcoef(np.column_stack([part, answers.outcome]).T), columns).general[0]
            for part in (table, moved)
        ]
        assert found[0] == pytest.approx(found[1], abs=ROUNDING)

    def test_a_driver_that_nobody_used_gets_zero(self):
        frame = ratings()
        frame["parking"] = np.nan
        frame["parking_missing"] = "never used"
        analysis = drivers(frame, "overall", [*NAMES, "parking"], replicates=20)
        row = analysis.reach_adjusted.set_index("driver").loc["parking"]
        assert row["estimate"] == 0
        assert "parking" not in set(analysis.table["driver"])
        assert analysis.set_aside["driver"].tolist() == ["parking"]
        assert "rated by 0" in analysis.set_aside["reason"][0]

    def test_a_planted_structural_file_is_recovered(self):
        # overall = .8·used_a + .6·used_a·(a − 3) + .4·(b − 3) + noise, all independent
        generator = np.random.default_rng(12)
        n = 60_000
        used = generator.random(n) < 0.5
        a, b = generator.integers(1, 6, (2, n)).astype(float)
        frame = pd.DataFrame({"a": np.where(used, a, np.nan), "b": b})
        frame["a_missing"] = np.where(used, None, "never used")
        frame["overall"] = used * (0.8 + 0.6 * (a - 3)) + 0.4 * (b - 3) + generator.normal(size=n)
        parts = np.array([0.8**2 * 0.25, 0.6**2 * 2 * 0.5, 0.4**2 * 2])
        truth = parts / (parts.sum() + 1)
        table = reach_part(drivers(frame, "overall", ["a", "b"], replicates=0))
        # standard errors of these R² at n = 60,000 are under .002
        assert table["presence"][0] == pytest.approx(truth[0], abs=0.006)
        assert table["quality"][0] == pytest.approx(truth[1], abs=0.006)
        assert table["estimate"].tolist() == pytest.approx(
            [truth[0] + truth[1], truth[2]], abs=0.006
        )

    def test_a_rating_beside_never_used_is_refused(self):
        frame = ratings()
        frame.loc[0, "food_missing"] = "never used"
        with pytest.raises(ValueError, match="must be blank where never used"):
            drivers(frame, "overall", NAMES)


class TestAwkwardData:
    def test_an_exact_duplicate_shares_equally(self):
        frame = ratings(holes=0.2)
        frame["copy"] = 2 * frame["food"] - 1
        analysis = drivers(frame, "overall", [*NAMES, "copy"], replicates=50)
        table = analysis.table.set_index("driver")
        assert table.loc["food", "estimate"] == pytest.approx(
            table.loc["copy", "estimate"], abs=FIT_DIGITS
        )
        alone = drivers(frame, "overall", NAMES, replicates=50)
        assert analysis.r_squared == pytest.approx(alone.r_squared, abs=1e-7)
        assert "cannot be tested" in table.loc["copy", "note"]
        assert any("Exact combinations" in note for note in analysis.notes)

    @pytest.mark.parametrize("holes", [0.0, 0.2])
    def test_a_perfectly_collinear_set_gives_a_result(self, holes):
        frame = ratings(holes=holes)
        frame["sum"] = frame["food"] + frame["wifi"]
        analysis = drivers(frame, "overall", [*NAMES, "sum"], replicates=50)
        assert np.isinf(analysis.collinearity["largest_vif"])
        assert analysis.table[["estimate", "se", "share"]].notna().all(axis=None)
        assert analysis.table["estimate"].sum() == pytest.approx(analysis.r_squared, abs=1e-9)

    def test_a_constant_column_is_set_aside(self):
        analysis = drivers(ratings().assign(flat=3.0), "overall", [*NAMES, "flat"], replicates=20)
        assert analysis.set_aside["reason"].tolist() == ["all 300 ratings are the same"]
        assert len(analysis.table) == 3

    def test_more_drivers_than_answers_are_refused(self):
        frame = pd.DataFrame(np.random.default_rng(0).normal(size=(6, 9)))
        frame.columns = list("abcdefghy")
        with pytest.raises(ValueError, match="`drivers` must number fewer than the answers"):
            drivers(frame, "y", list("abcdefgh"))

    def test_an_outcome_with_one_value_is_refused(self):
        with pytest.raises(ValueError, match=r"only 4 in 'overall'.*nothing to explain"):
            drivers(ratings().assign(overall=4.0), "overall", NAMES)

    def test_an_outcome_without_answers_is_refused(self):
        with pytest.raises(ValueError, match="no answer in 'overall'"):
            drivers(ratings().assign(overall=np.nan), "overall", NAMES)

    def test_one_driver_has_all_of_r_squared(self):
        frame = ratings()
        analysis = drivers(frame, "overall", ["food"], replicates=50)
        expected = frame["food"].corr(frame["overall"]) ** 2
        assert analysis.table["estimate"][0] == pytest.approx(expected, abs=ROUNDING)

    def test_an_outcome_that_is_a_sum_of_drivers_is_explained_whole(self):
        frame = ratings()
        frame["overall"] = frame["food"] + frame["wifi"]
        analysis = drivers(frame, "overall", ["food", "wifi"], replicates=20)
        assert analysis.r_squared == pytest.approx(1, abs=1e-9)

    def test_one_cluster_gives_no_interval_and_says_so(self):
        frame = ratings().assign(all_one=1)
        analysis = drivers(frame, "overall", NAMES, design={"cluster": "all_one"})
        assert analysis.interval == "none"
        assert "One cluster only: no interval." in analysis.notes
        assert analysis.table["estimate"].notna().all()

    def test_few_clusters_are_flagged(self):
        frame = ratings(n=300)
        frame["cluster"] = np.arange(300) // 60
        analysis = drivers(frame, "overall", NAMES, design={"cluster": "cluster"}, replicates=50)
        assert "Few clusters: 4 degrees of freedom." in analysis.notes

    def test_a_share_of_few_clusters_is_no_less_than_nothing_and_no_more_than_all(self):
        frame = ratings(n=300)
        frame["overall"] = frame["overall"].where(np.arange(300) < 200, frame[NAMES[0]])
        frame["cluster"] = np.arange(300) // 150
        table = drivers(frame, "overall", NAMES, design={"cluster": "cluster"}, replicates=50).table
        limits = table[["share_low", "share_high"]].to_numpy()
        assert limits.min() == 0
        assert limits.max() == 1

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"method": "lgm"}, "Did you mean 'lmg'"),
            ({"missing": "listwise"}, "`missing` must be"),
            ({"level": 95}, "`level` must be between 0 and 1"),
            ({"replicates": 1}, "`replicates` must be 2 or more, or 0"),
            ({"outcome_scale": "binary"}, "2 different answers"),
            ({"outcome_scale": "ordinal"}, "at most 30 different answers"),
            ({"design": {"weights": "wieght"}}, "Did you mean 'weight'"),
        ],
    )
    def test_wrong_arguments_are_refused(self, change, match):
        with pytest.raises(ValueError, match=match):
            drivers(ratings(), "overall", NAMES, **change)

    def test_text_is_refused(self):
        with pytest.raises(TypeError, match="`drivers` must be a column of numbers"):
            drivers(ratings().assign(food="good"), "overall", NAMES)

    def test_the_outcome_among_the_drivers_is_refused(self):
        with pytest.raises(ValueError, match="must not hold the outcome"):
            drivers(ratings(), "overall", [*NAMES, "overall"])


class TestUncertainty:
    def test_design_standard_errors_against_svyglm(self):
        answers = pd.read_csv(GOLDEN / "drivers_design.csv")
        expected = pd.read_csv(GOLDEN / "drivers_design_svyglm.csv")
        analysis = drivers(
            answers,
            "overall",
            expected["driver"].tolist(),
            design={"weights": "weight", "strata": "stratum", "cluster": "cluster"},
            replicates=4000,
        )
        table = analysis.part()
        assert analysis.df == 60 - 4
        assert table["coefficient"].tolist() == pytest.approx(expected["coefficient"].tolist())
        half = uncertain.t_interval(np.zeros(1), np.ones(1), df=56, level=0.95)[1]
        se = (table["coefficient_high"] - table["coefficient"]) / half[0]
        assert se.tolist() == pytest.approx(expected["se"].tolist(), rel=SE_BY_CHANCE)

    def test_one_step_replicates_are_exact_without_holes(self):
        # rows with one hole far away: EM runs, and its replicates must equal reweighting
        frame = ratings()
        answers = read_answers(frame, "overall", NAMES, design=Design())
        resample, unit = uncertain.make_resample(answers, 30, 0)
        rows = np.column_stack([answers.ratings, answers.outcome])
        source = WeightedRows.of(rows - rows.mean(axis=0), answers.weights, unit)
        fit = fitting._em((*NAMES, "overall"), source, resample)
        for number in (0, 11, 29):
            draws = resample.multipliers[:, number].astype(int)
            again = np.repeat(rows, draws, axis=0)
            about = again - rows.mean(axis=0)
            assert fit.matrices[number] == pytest.approx(about.T @ about / len(again), abs=1e-8)

    def test_one_step_replicates_agree_with_full_em(self):
        answers = read_answers(ratings(n=600, holes=0.3), "overall", NAMES, design=Design())
        resample, unit = uncertain.make_resample(answers, 50, 0)
        rows = np.column_stack([answers.ratings, answers.outcome])
        source = WeightedRows.of(rows, answers.weights, unit)
        fit = fitting._em((*NAMES, "overall"), source, resample)
        drawn = (
            source.take(np.repeat(np.arange(600), m)) for m in resample.multipliers.T.astype(int)
        )
        full = np.array([fit_possible(one).covariance for one in drawn])
        quick, whole = (
            importance(fit.matrix, matrices).replicates.std(axis=0)
            for matrices in (fit.matrices, full)
        )
        assert np.median(quick / whole) == pytest.approx(1, abs=0.03)

    def test_jackknife_and_bootstrap_agree_on_standard_errors(self, monkeypatch):
        frame = ratings(n=600)
        one = drivers(frame, "overall", NAMES, replicates=1000).part()["se"]
        monkeypatch.setattr(uncertain, "MULTIPLIER_LIMIT", 0)
        two = drivers(frame, "overall", NAMES).part()["se"]
        # 100 blocks: about 7 % by chance
        assert two.tolist() == pytest.approx(one.tolist(), rel=0.25)

    def test_too_many_units_fall_back_to_blocks_and_say_so(self, monkeypatch):
        monkeypatch.setattr(uncertain, "MULTIPLIER_LIMIT", 1000)
        analysis = drivers(ratings(holes=0.1), "overall", NAMES, replicates=1000)
        assert analysis.interval == "jackknife"
        assert any("left out 100 blocks" in note for note in analysis.notes)
        assert analysis.table["se"].notna().all()
        assert (analysis.table["rank_low"] <= analysis.table["rank"]).all()

    @pytest.mark.parametrize("missing", ["em", "pairwise", "complete"])
    def test_rows_in_parts_give_the_same(self, monkeypatch, missing):
        frame = ratings(holes=0.2)
        whole = drivers(frame, "overall", NAMES, missing=missing, replicates=40)
        monkeypatch.setattr(fitting, "TABLE", 200)
        monkeypatch.setattr(sorting, "BLOCK", 200)
        parts = drivers(frame, "overall", NAMES, missing=missing, replicates=40)
        for column in ("estimate", "se", "ci_low", "p_value"):
            assert parts.table[column].tolist() == pytest.approx(
                whole.table[column].tolist(), rel=1e-6
            )

    def test_tied_drivers_keep_every_place(self):
        # four drivers with one importance: percentiles of ranks held 1 to 4 about half the time
        generator = np.random.default_rng(4)
        whole = 0
        for study in range(16):
            x = generator.normal(size=(150, 4)) + generator.normal(size=(150, 1))
            frame = pd.DataFrame(x, columns=list("abcd"))
            frame["y"] = x.sum(axis=1) + 3 * generator.normal(size=150)
            table = drivers(frame, "y", list("abcd"), replicates=200, seed=study).table
            whole += int(((table["rank_low"] == 1) & (table["rank_high"] == 4)).sum())
        # 64 intervals, of which studies make about 24 independent ones
        assert whole / 64 >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 24)

    def test_few_clusters_tell_fewer_ranks_apart(self):
        # a difference of 2.2 standard errors: above 1.96, but below t of 5 · √(6/5) = 2.8
        replicates = np.zeros((4000, 2))
        replicates[:, 0] = 2.2 + np.random.default_rng(0).normal(size=4000)
        for df, ranks in ((5, [[1, 1], [2, 2]]), (1e6, [[1, 2], [1, 2]])):
            found = uncertain.ranks_within(
                np.array([2.2, 0.0]), replicates, "bootstrap", df=df, level=0.95
            )
            assert [low_or_high.tolist() for low_or_high in found] == ranks

    def test_adjusting_takes_the_bias_off_a_small_sample(self):
        # Wherry's adjustment leaves a bias of order 1/n², so 40 rows and 5 drivers show it
        generator = np.random.default_rng(3)
        table = generator.normal(size=(2000, 40, 6)) + generator.normal(size=(2000, 40, 1))
        stack = np.stack([np.corrcoef(sample.T) for sample in table])
        truth = subset_sums(0.5 * np.eye(6) + 0.5).general[0]
        raw = subset_sums(stack).general.mean(axis=0) - truth
        adjusted = subset_sums(stack, n=40).general.mean(axis=0) - truth
        assert (raw > 0.008).all()
        assert (abs(adjusted) < 0.004).all()

    def test_without_interval_there_is_none(self):
        analysis = drivers(ratings(holes=0.2), "overall", NAMES, replicates=0)
        assert analysis.interval == "none"
        assert analysis.table["ci_low"].isna().all()
        assert analysis.table["rank_low"].isna().all()

    def test_many_drivers_come_from_sampled_orders_with_their_error(self, monkeypatch):
        frame = ratings(n=200)
        generator = np.random.default_rng(0)
        for number in range(4):
            frame[f"x{number}"] = generator.normal(size=200) + frame["food"]
        names = [*NAMES, *(f"x{number}" for number in range(4))]
        exact = drivers(frame, "overall", names, replicates=30)
        monkeypatch.setattr(sharing, "MOST_EXACT", 5)
        sampled = drivers(frame, "overall", names, replicates=30)
        assert any("Monte-Carlo standard error" in note for note in sampled.notes)
        assert sampled.part()["estimate"].tolist() == pytest.approx(
            exact.part()["estimate"].tolist(), abs=0.002
        )
        assert sampled.part()["se"].tolist() == pytest.approx(exact.part()["se"].tolist(), rel=0.15)


class TestOutcomes:
    def test_nps_points_are_minus_100_0_100(self):
        frame = ratings()
        frame["recommend"] = np.clip(np.round(2 * frame["overall"]), 0, 10)
        points = np.where(
            frame["recommend"] >= 9, 100.0, np.where(frame["recommend"] >= 7, 0, -100)
        )
        one = drivers(frame, "recommend", NAMES, outcome_scale="nps", replicates=0)
        two = drivers(frame.assign(recommend=points), "recommend", NAMES, replicates=0)
        assert one.table["estimate"].tolist() == two.table["estimate"].tolist()

    def test_nps_off_its_scale_is_refused(self):
        frame = ratings().assign(recommend=99.0)
        frame.loc[:99, "recommend"] = 9.0
        with pytest.raises(ValueError, match="whole numbers from 0 to 10"):
            drivers(frame, "recommend", NAMES, outcome_scale="nps")

    def test_latent_shares_are_those_of_the_linear_outcome(self):
        frame = ratings()
        frame["overall"] = np.clip(np.round(frame["overall"]), 1, 5)
        linear = drivers(frame, "overall", NAMES, replicates=0)
        latent = drivers(frame, "overall", NAMES, outcome_scale="ordinal", replicates=0)
        assert latent.table["share"].tolist() == pytest.approx(
            linear.table["share"].tolist(), abs=ROUNDING
        )
        assert latent.table["p_value"].tolist() == pytest.approx(linear.table["p_value"].tolist())
        assert latent.r_squared > linear.r_squared
        assert any("latent" in note for note in latent.notes)

    def test_a_binary_outcome_recovers_the_latent_r_squared(self):
        generator = np.random.default_rng(1)
        x = generator.normal(size=40_000)
        latent = 0.6 * x + 0.8 * generator.normal(size=40_000)
        frame = pd.DataFrame({"x": x, "yes": (latent > 0.5).astype(float)})
        analysis = drivers(frame, "yes", ["x"], outcome_scale="binary", replicates=0)
        assert analysis.r_squared == pytest.approx(0.36, abs=0.01)

    def test_replicates_of_a_latent_outcome_are_those_of_its_rows(self):
        answers = read_answers(ratings(), "overall", NAMES, design=Design())
        outcome = np.digitize(answers.outcome, [2.5, 3.5, 4.5]).astype(float)
        resample, _ = uncertain.make_resample(answers, 20, 0)
        rows = np.column_stack([answers.ratings, outcome])

        def latent(rows, resample):
            units = np.arange(len(rows))
            fit = fitting.fit_covariance(
                (*NAMES, "y"), rows, np.ones(len(rows)), units, resample, missing="complete"
            )
            return fitting.latent_fit(fit, rows[:, -1], np.ones(len(rows)), units, resample)

        found = latent(rows, resample)
        drawn = np.repeat(rows, resample.multipliers[:, 7].astype(int), axis=0)
        alone = latent(drawn, uncertain.no_resample(len(drawn)))
        n = len(drawn)
        assert found.matrices[7][-1, :-1] * n / (n - 1) == pytest.approx(alone.matrix[-1, :-1])
        assert found.matrices[7][-1, -1] == alone.matrix[-1, -1] == 1

    def test_latent_correlation_is_the_polyserial_one_by_maximum_likelihood(self):
        frame = ratings(n=2000)
        outcome = np.digitize(frame["overall"], [2.5, 3.5, 4.5])
        moments = drivers(
            frame.assign(overall=outcome), "overall", ["food"], outcome_scale="ordinal"
        )
        z = ((frame["food"] - frame["food"].mean()) / frame["food"].std(ddof=0)).to_numpy()
        below = ndtri(np.bincount(outcome).cumsum()[:-1] / len(outcome))
        cuts = np.concatenate([[-np.inf], below, [np.inf]])

        def loss(r):
            upper, lower = ((cuts[outcome + k] - r * z) / np.sqrt(1 - r**2) for k in (1, 0))
            return -np.log(ndtr(upper) - ndtr(lower)).sum()

        likely = minimize_scalar(loss, bounds=(-0.99, 0.99), method="bounded").x
        assert moments.part()["correlation"][0] == pytest.approx(likely, abs=0.03)

    @pytest.mark.parametrize("engine", ["pandas", "polars", "duckdb"])
    def test_true_and_false_are_1_and_0(self, engine):
        frame = ratings()
        frame["yes"] = frame["overall"] > 3
        given = {"pandas": lambda f: f, "polars": pl.from_pandas, "duckdb": duckdb.from_df}
        options = {"outcome_scale": "binary", "replicates": 0}
        one = drivers(given[engine](frame), "yes", NAMES, **options).table
        two = drivers(frame.assign(yes=frame["yes"].astype(float)), "yes", NAMES, **options).table
        assert one["estimate"].tolist() == pytest.approx(two["estimate"].tolist(), rel=ENGINES)


class TestGroups:
    def test_each_group_is_its_own_rows(self):
        frame = ratings(n=500)
        both = drivers(frame, "overall", NAMES, by="terminal", method="johnson", replicates=30)
        alone = drivers(
            frame[frame["terminal"] == "T1"], "overall", NAMES, method="johnson", replicates=0
        )
        assert both.part("T1")["estimate"].tolist() == pytest.approx(
            alone.part()["estimate"].tolist(), abs=FIT_DIGITS
        )

    def test_a_small_group_is_set_aside(self):
        frame = ratings(n=300)
        frame.loc[:7, "terminal"] = "T9"
        analysis = drivers(frame, "overall", NAMES, by="terminal", replicates=30)
        assert "T9" not in set(analysis.table["group"])
        assert "8 rows, fewer than 30" in analysis.set_aside["reason"].tolist()


class TestShape:
    @pytest.mark.parametrize("cuts", [(2, 4), (3, 5), (1, 4)])
    def test_an_exactly_straight_effect_has_equal_slopes_under_any_cuts(self, cuts, monkeypatch):
        frame = ratings(n=600, holes=0.0)
        frame["overall"] = 0.7 * frame["food"] + 0.3 * frame["wifi"] - 0.2 * frame["signs"]
        monkeypatch.setattr(sys.modules["cxlab.stats.drivers.penalty_reward"], "FEWEST_ANSWERS", 2)
        table = penalty_reward(frame, "overall", NAMES, cuts=cuts, replicates=20).table
        table = table.set_index("driver")
        assert table.loc["food", ["penalty", "reward"]].tolist() == pytest.approx([0.7, 0.7])
        assert table.loc["signs", ["penalty", "reward"]].tolist() == pytest.approx([-0.2, -0.2])
        assert set(table["shape"]) == {"performance"}

    def test_planted_bends_are_found(self):
        frame = ratings(n=3000)
        noise = np.random.default_rng(1).normal(size=3000) * 0.5
        frame["overall"] = (
            np.minimum(frame["food"], 3)
            + np.maximum(frame["wifi"], 3)
            + 0.4 * frame["signs"]
            + noise
        )
        table = penalty_reward(frame, "overall", NAMES, cuts=(2, 4), replicates=100).table
        assert table["shape"].tolist() == ["basic", "excitement", "performance"]
        assert (table["excitement"] + table["basic"] + table["performance"]).tolist() == [1, 1, 1]

    def test_a_small_cell_gets_no_class(self):
        frame = ratings(n=400)
        frame["food"] = frame["food"].clip(lower=3)
        table = penalty_reward(frame, "overall", NAMES, cuts=(2, 4), replicates=20).table
        assert table.set_index("driver").loc["food", "shape"] == "too few answers"
        assert table.set_index("driver").loc["food", "n_low"] == 0

    def test_holes_in_other_drivers_do_not_bend_a_straight_effect(self):
        frame = ratings(n=4000, holes=0.25)
        clean = ratings(n=4000, holes=0.0)
        frame["overall"] = 0.5 * clean["food"] + 0.5 * clean["wifi"] + 0.1 * clean["signs"]
        table = penalty_reward(frame, "overall", NAMES, cuts=(2, 4), replicates=30).table
        assert table.set_index("driver").loc["food", "penalty"] == pytest.approx(0.5, abs=0.06)
        assert table.set_index("driver").loc["food", "reward"] == pytest.approx(0.5, abs=0.06)

    def test_the_ceiling_is_taken_off_the_contrast_by_hand(self):
        # reward .3 less penalty .5 is −.2, and the scale's end alone makes −.2 of a straight
        # effect: nothing is left, and every replicate lies within a margin of .05
        replicates = np.tile([[0.5, 0.3], [0.52, 0.3], [0.48, 0.3], [0.5, 0.32]], (25, 1))
        slopes = Slopes((50, 50, 50), np.array([0.5, 0.3]), replicates, ceiling=-0.2)
        found = _classes(slopes, "bootstrap", 0.05, 100.0)
        assert found == {"excitement": 0, "basic": 0, "performance": 1, "shape": "performance"}
        twice = replace(slopes, ceiling=0.2)
        assert _classes(twice, "bootstrap", 0.05, 100.0)["shape"] == "basic"

    def test_an_end_of_the_scale_at_the_top_makes_a_negative_ceiling(self):
        frame = ratings(n=1500)
        latent = 2.2 + 0.6 * frame["food"] + 0.2 * frame["wifi"]
        noise = 0.7 * np.random.default_rng(1).normal(size=1500)
        frame["overall"] = (latent + noise).round().clip(1, 5)
        table = penalty_reward(frame, "overall", NAMES, cuts=(2, 4), replicates=100).table
        food = table.set_index("driver").loc["food"]
        assert food["ceiling"] < -0.1
        # of a straight effect the end of the scale explains the bend
        assert food["estimate"] == pytest.approx(food["ceiling"], abs=3 * food["se"])
        assert food["shape"] != "basic"

    def test_cuts_out_of_order_are_refused(self):
        with pytest.raises(ValueError, match="low below high"):
            penalty_reward(ratings(), "overall", NAMES, cuts=(4, 2))


@pytest.mark.parametrize(
    "option", [{"by": "region"}, {"segments": ["region"]}, {"design": {"weights": "w"}}]
)
def test_sums_refuse_what_they_cannot_follow(option):
    """They would have been passed over, and figures of all been read as of each region."""
    table, matrices, unit = (lambda part: np.ones((1, 3))), (lambda sums: sums), np.arange(10)
    sums = SampledSums(
        labels={"praise": "Praise", "score": "Score"}, n=10, n_effective=10.0, df=9.0, table=table,
        matrices=matrices, unit=unit, design=sampling_design(10),
    )  # fmt: skip
    with pytest.raises(ValueError, match=f"`{next(iter(option))}` must be left out where `data`"):
        drivers(sums, "score", ["praise"], **option)


class TestAirport:
    def test_the_survey_of_2017_whole(self, sfo):
        answers = sfo.read(period="2017")
        analysis = drivers(answers, "overall", sfo.touchpoints, replicates=0, design=sfo.design)
        assert (analysis.n, analysis.n_total, len(analysis.table)) == (2688, 2831, 23)
        used = analysis.rows_used.set_index("treatment")
        assert used.loc["complete", "n"] == 356
        assert "1,150 patterns" in used.loc["em", "note"]
        assert analysis.df == 209
