"""Each touchpoint's score against the overall experience: table, ranks and comparisons."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest

from cxlab.core.frames import open_frame
from cxlab.stats.association import counts as counting
from cxlab.stats.association.coefficients import pearson
from cxlab.stats.association.counts import joint_counts
from cxlab.stats.association.estimates import COEFFICIENTS, pair_estimates
from cxlab.stats.association.partial import em_correlations, joint_model
from cxlab.stats.inference import adjust_p_values, joint_places
from cxlab.stats.touchpoints import (
    OCCASIONS,
    correlations,
    masking,
    touchpoint_correlations,
    visitors,
)
from cxlab.stats.touchpoints.correlations import (
    _pearson_replicates,
    replicate_coefficients,
)
from cxlab.stats.touchpoints.halo import correlate_together, halo_table

GOLDEN = Path(__file__).parent / "golden"

#: R prints seventeen digits; its Taylor variance sums in another order.
R_DIGITS = 1e-8
#: METHODS prints three decimals.
THREE_DECIMALS = 0.0005
#: Rank intervals of 1,000 resamples move by a place with the seed.
ONE_PLACE = 1


def counted(data, x, y, design=None):
    """Joint counts of a frame that is not open yet."""
    names = {"x": x, "y": y}
    return joint_counts(open_frame(data, numbers=names, design=design), x, y)


def programme(seed: int = 0, n: int = 400, clusters: int = 40) -> pd.DataFrame:
    """Two outcomes and five touchpoints on 0–10 with holes; `dead` shares only the mood."""
    generator = np.random.default_rng(seed)
    cluster = np.arange(n) % clusters
    mood = generator.normal(size=n) * 0.7 + generator.normal(size=clusters)[cluster] * 0.3
    names = ["booking", "shops", "wifi", "staff", "dead"]
    felt = {name: generator.normal(size=n) for name in names}
    overall = 0.9 * felt["staff"] + 0.5 * felt["shops"] + 0.3 * felt["booking"] + mood
    recommend = 0.9 * felt["booking"] + 0.4 * felt["staff"] + mood

    def rate(latent, noise=0.6):
        latent = latent + generator.normal(size=n) * noise
        return np.clip(np.round(7 + 2 * latent), 0, 10)

    frame = pd.DataFrame({"overall": rate(overall), "recommend": rate(recommend)})
    for name in names:
        frame[name] = rate(felt[name] + mood)
        frame[f"{name}_missing"] = None
    for name, share in {"shops": 0.4, "wifi": 0.6}.items():
        never = generator.random(n) < share
        frame.loc[never, name] = np.nan
        frame[f"{name}_missing"] = np.where(never, "never used", None)
    frame.loc[:9, "booking"] = np.nan
    frame.loc[:9, "booking_missing"] = "no answer"
    frame["flight"], frame["weight"] = cluster, generator.uniform(0.5, 2, n)
    return frame


TOUCHPOINTS = ["booking", "shops", "wifi", "staff", "dead"]
OUTCOMES = ["overall", "recommend"]


@pytest.fixture(scope="module")
def data() -> pd.DataFrame:
    return programme()


@pytest.fixture(scope="module")
def result(data):
    return touchpoint_correlations(
        data,
        OUTCOMES,
        TOUCHPOINTS,
        occasion="A",
        design={"cluster": "flight"},
    )


# the table


def test_each_pair_stands_on_its_own_rows(data, result):
    for row in result.table.itertuples():
        both = data[[row.touchpoint, row.outcome]].dropna()
        assert row.n == len(both)
        assert row.estimate == pytest.approx(both.corr().iloc[0, 1])
        own = f"touchpoint == '{row.touchpoint}' and outcome == '{row.outcome}'"
        found = result.coefficients.query(own).set_index("coefficient")["estimate"]
        assert found["pearson"] == row.estimate
        assert found["spearman"] == pytest.approx(both.corr(method="spearman").iloc[0, 1])
        assert found["tau_b"] == pytest.approx(both.corr(method="kendall").iloc[0, 1])


def test_users_raters_and_pairs_are_told_apart(result):
    row = result.table.set_index(["touchpoint", "outcome"]).loc[("booking", "overall")]
    assert (row["n_used"], row["n"]) == (400, 390)
    shops = result.table.set_index(["touchpoint", "outcome"]).loc[("shops", "overall")]
    assert shops["n_used"] == shops["n"] < 400


def test_missing_answers_are_counted_by_column(data, result):
    columns = [*OUTCOMES, *TOUCHPOINTS]
    assert result.n_missing["column"].tolist() == columns
    assert result.n_missing["n_missing"].tolist() == data[columns].isna().sum().tolist()


def test_labels_come_first_and_then_the_standard_columns(result):
    standard = ["n", "estimate", "se", "ci_low", "ci_high"]
    assert list(result.table.columns[:8]) == ["touchpoint", "outcome", "occasion", *standard]
    assert list(result.coefficients.columns[:4]) == [
        "touchpoint",
        "outcome",
        "occasion",
        "coefficient",
    ]


def test_false_discoveries_are_controlled_within_a_coefficient_and_an_outcome(result):
    family = result.coefficients.query("coefficient == 'spearman' and outcome == 'recommend'")
    expected = adjust_p_values(family["p_value"])
    assert family["p_adjusted"].to_numpy() == pytest.approx(expected)


def test_partial_coefficients_are_those_of_the_joint_model(data, result):
    counts = counted(data, TOUCHPOINTS, "overall", design={"cluster": "flight"})
    columns = ["overall", *TOUCHPOINTS]
    fitted = em_correlations(counts.rows, columns, counts.rows["weight"], counts.units)
    model = joint_model(fitted, counts.units)
    found = result.coefficients.query("coefficient == 'partial' and outcome == 'overall'")
    assert found["estimate"].to_numpy() == pytest.approx(model.table["partial"].to_numpy())
    n, p = model.n_effective, len(TOUCHPOINTS)
    adjusted = 1 - (1 - model.r_squared) * (n - 1) / (n - p - 1)
    assert result.halo.loc[0, "estimate"] == pytest.approx(adjusted)
    assert result.halo.loc[0, "unexplained"] == pytest.approx(1 - adjusted)


def test_swapping_the_order_of_columns_changes_no_number(data, result):
    other = touchpoint_correlations(
        data,
        OUTCOMES[::-1],
        TOUCHPOINTS[::-1],
        occasion="A",
        design={"cluster": "flight"},
    )
    keys = ["touchpoint", "outcome"]
    numbers = ["n", "estimate", "se", "partial", "rank", "n_used"]
    one = result.table.set_index(keys).sort_index()[numbers].astype(float)
    two = other.table.set_index(keys).sort_index()[numbers].astype(float)
    pd.testing.assert_frame_equal(one, two, rtol=1e-7)


def test_a_linear_change_of_the_scale_changes_no_coefficient(data, result):
    changed = data.assign(shops=data["shops"] * 10 + 3, overall=data["overall"] / 2)
    other = touchpoint_correlations(
        changed,
        OUTCOMES,
        TOUCHPOINTS,
        occasion="A",
        design={"cluster": "flight"},
        missing="pairwise",
    )
    assert other.table["estimate"].to_numpy() == pytest.approx(result.table["estimate"].to_numpy())
    assert other.table["se"].to_numpy() == pytest.approx(result.table["se"].to_numpy())


def test_same_seed_gives_the_same_digits(data, result):
    again = touchpoint_correlations(
        data,
        OUTCOMES,
        TOUCHPOINTS,
        occasion="A",
        design={"cluster": "flight"},
    )
    pd.testing.assert_frame_equal(again.table, result.table)


def test_polars_gives_the_same_table(data, result):
    frame = pl.from_pandas(data)
    other = touchpoint_correlations(
        frame,
        OUTCOMES,
        TOUCHPOINTS,
        occasion="A",
        design={"cluster": "flight"},
    )
    pd.testing.assert_frame_equal(other.table, result.table, rtol=1e-9)


def test_data_too_large_for_rows_give_the_same_table(data, monkeypatch):
    small = touchpoint_correlations(data, OUTCOMES, TOUCHPOINTS, occasion="A")
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    large = touchpoint_correlations(data, OUTCOMES, TOUCHPOINTS, occasion="A")
    pd.testing.assert_frame_equal(large.n_missing, small.n_missing)
    numbers = ["n", "estimate", "se", "ci_low", "ci_high"]
    own = small.coefficients["coefficient"].isin(COEFFICIENTS)
    pd.testing.assert_frame_equal(
        large.coefficients.loc[own, numbers], small.coefficients.loc[own, numbers], rtol=1e-7
    )
    # EM from the engine's sums, without an interval and saying so
    assert large.table["partial"].to_numpy() == pytest.approx(
        small.table["partial"].to_numpy(), abs=1e-6
    )
    partial = large.coefficients.query("coefficient == 'partial'")
    assert (partial["note"] == "no interval in data of this size").all()
    assert large.compare()["se"].to_numpy() == pytest.approx(small.compare()["se"].to_numpy())
    assert "normal limit" in large.rank_method


@pytest.mark.parametrize("cluster", [None, "flight"])
def test_near_constant_touchpoints_in_large_data_say_the_same(monkeypatch, cluster):
    data = programme(16)[["overall", "flight"]].assign(kiosk=4.0)
    data.loc[[5, 50, 105], "kiosk"] = [2.0, 5.0, 3.0]
    given = {"occasion": "A", "design": {"cluster": cluster}, "missing": "pairwise"}
    small = touchpoint_correlations(data, "overall", ["kiosk"], **given).coefficients.iloc[0]
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    monkeypatch.setattr(counting, "MOST_CLUSTERS", 3)
    large = touchpoint_correlations(data, "overall", ["kiosk"], **given).coefficients.iloc[0]
    assert large["p_value"] > 0.05
    assert large["note"].count("degrees of freedom") == 1
    if cluster is None:
        assert large[["p_value", "df"]].tolist() == pytest.approx(small[["p_value", "df"]].tolist())
        assert large["note"] == small["note"]


# the occasion


def test_the_occasion_must_be_declared():
    with pytest.raises(TypeError, match="occasion"):
        touchpoint_correlations(programme(), "overall", "shops")
    with pytest.raises(ValueError, match=r"`occasion` must be .* got 'same'.*A \(same survey\)"):
        touchpoint_correlations(programme(), "overall", "shops", occasion="same")


@pytest.mark.parametrize("code", OCCASIONS)
def test_the_occasion_is_in_the_result_and_the_tables(code):
    found = touchpoint_correlations(
        programme(n=120), OUTCOMES, ["shops", "staff"], occasion=code, missing="pairwise"
    )
    assert found.occasion == code
    for table in (found.table, found.coefficients, found.compare(), found.compare_outcomes()):
        assert set(table["occasion"]) == {code}
    assert f"occasion {code}" in str(found)


# rows that can't have a coefficient


def test_hopeless_touchpoints_keep_their_row_with_the_reason():
    data = programme(1)
    data["lounge"] = np.nan
    data["chapel"] = np.where(np.arange(len(data)) < 2, 8.0, np.nan)
    data["flat"] = 7.0
    data["copy"] = data["staff"]
    names = [*TOUCHPOINTS, "lounge", "chapel", "flat", "copy"]
    found = touchpoint_correlations(
        data, OUTCOMES, names, occasion="A", design={"cluster": "flight"}
    )
    notes = found.table.query("outcome == 'overall'").set_index("touchpoint")["note"]
    assert notes["lounge"] == "nobody rated it"
    assert notes["chapel"] == "only 2 pairs"
    assert notes["flat"] == "the scores are all the same"
    partial = found.coefficients.query("coefficient == 'partial' and outcome == 'overall'")
    reasons = partial.set_index("touchpoint")["note"]
    assert reasons["copy"] == "the same scores as 'staff'"
    missing = found.coefficients["estimate"].isna()
    assert missing.any()
    assert (found.coefficients.loc[missing, "note"] != "").all()
    pairs = found.compare().query("outcome == 'overall'")
    assert (pairs.loc[pairs["se"].isna(), "note"] != "").all()
    same = pairs.query("touchpoint == 'staff' and other == 'copy'").iloc[0]
    assert (same["estimate"], same["p_value"]) == (0, 1)
    assert same["note"] == "identical scores: no difference to test"
    assert str(found)


def test_a_constant_outcome_is_a_reason_not_a_crash():
    data = programme(2).assign(overall=9.0)
    found = touchpoint_correlations(data, "overall", ["shops", "staff"], occasion="B")
    assert set(found.table["note"]) == {"the outcome is the same for all of them"}


def test_an_exact_copy_of_the_outcome_has_no_spread():
    data = programme(3)
    data["same"] = data["overall"]
    found = touchpoint_correlations(data, "overall", ["same", "shops"], occasion="A")
    row = found.table.iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert row[["se", "ci_low", "ci_high"]].isna().all()
    # what is left is a test that assumes nothing of the spread: the least of 2,000 relabellings
    assert row["p_value"] == 1 / 2000
    assert "no interval, their spread is unknown; p value by permutation" in row["note"]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_coefficient_of_clusters_has_no_test(sign):
    overall = np.tile([1.0, 2, 3, 4, 5], 24)
    data = pd.DataFrame({"overall": overall, "x": sign * overall, "c": np.arange(120) // 3})
    found = touchpoint_correlations(data, "overall", ["x"], occasion="A", design={"cluster": "c"})
    rows = found.coefficients.query("coefficient in ['pearson', 'spearman', 'tau_b']")
    assert rows["estimate"].to_numpy() == pytest.approx(sign)
    assert rows[["se", "ci_low", "ci_high", "p_value"]].isna().all().all()
    assert rows["note"].str.contains("no interval, their spread is unknown").all()


def test_a_touchpoint_that_one_customer_rated_differently_finds_nothing():
    overall = np.repeat([1.0, 2, 3, 4, 5], [9, 21, 60, 120, 90])
    data = pd.DataFrame({"kiosk": 4.0, "overall": overall})
    data.loc[299, "kiosk"] = 5.0
    row = touchpoint_correlations(data, "overall", ["kiosk"], occasion="A").table.iloc[0]
    assert row["estimate"] == pytest.approx(0.064, abs=THREE_DECIMALS)
    assert row[["ci_low", "ci_high", "rank"]].isna().all()
    assert row["p_value"] == pytest.approx(0.40, abs=0.03)
    assert row["p_adjusted"] > 0.05
    assert "rests on one answer" in row["note"]


def test_one_cluster_gives_estimates_without_intervals():
    data = programme(4).assign(one=1)
    found = touchpoint_correlations(
        data, "overall", ["shops", "staff"], occasion="A", design={"cluster": "one"}
    )
    assert found.table["estimate"].notna().all()
    assert found.table["ci_low"].isna().all()
    assert found.table["note"].str.contains("too few clusters").all()


def test_three_rows_do_not_crash():
    data = pd.DataFrame({"overall": [1, 2, 3.0], "a": [1, 3, 2.0], "b": [2, np.nan, 1]})
    found = touchpoint_correlations(data, "overall", ["a", "b"], occasion="A")
    assert found.table["note"].tolist()[1] == "only 2 pairs"


def test_operational_figures_get_no_polychoric_and_the_reason():
    data = programme(5)
    data["wait"] = np.random.default_rng(1).exponential(10, len(data)) - data["staff"]
    found = touchpoint_correlations(data, "overall", ["wait", "staff"], occasion="D")
    row = found.coefficients.query("coefficient == 'polychoric' and touchpoint == 'wait'").iloc[0]
    assert np.isnan(row["estimate"])
    assert row["note"] == "a quantity, not a rating: too many distinct values"


# bad input


def test_bad_input_is_refused_by_name(data):
    def call(**changes):
        given = {"outcome": "overall", "touchpoints": ["shops", "wifi"], "occasion": "A"}
        given |= changes
        return touchpoint_correlations(data, **given)

    with pytest.raises(ValueError, match=r"`touchpoints` must be a column.*Did you mean 'shops'"):
        call(touchpoints=["shop"])
    with pytest.raises(ValueError, match="got 'overall' in both"):
        call(touchpoints=["overall", "shops"])
    with pytest.raises(ValueError, match="got 'shops' twice"):
        call(touchpoints=["shops", "shops"])
    with pytest.raises(ValueError, match="`touchpoints` must be one or more columns; got none"):
        call(touchpoints=[])
    with pytest.raises(ValueError, match="`missing` must be"):
        call(missing="listwise")
    with pytest.raises(ValueError, match="`level` must be between 0 and 1"):
        call(level=95)
    with pytest.raises(TypeError, match="column of numbers"):
        call(touchpoints=["shops_missing"])


# ranks


def test_places_follow_the_estimates_and_their_intervals_hold_them(result):
    for _, part in result.table.groupby("outcome"):
        ordered = part.sort_values("estimate", ascending=False)
        assert ordered["rank"].tolist() == [1, 2, 3, 4, 5]
        assert (part["rank_low"] <= part["rank"]).all()
        assert (part["rank"] <= part["rank_high"]).all()


def test_replicates_are_the_coefficients_of_the_resampled_rows(data):
    counts = counted(
        data, ["shops", "staff"], "overall", design={"weights": "weight", "cluster": "flight"}
    )
    multipliers = np.ones((counts.units.n_units, 2))
    multipliers[0, 1] = 3
    found = _pearson_replicates(counts, multipliers)
    # the first replicate takes every cluster once, the second takes one of them three times
    first = counts.units.design.row_cluster == 0
    for column, times in enumerate((np.ones(len(data)), np.where(first, 3, 1))):
        for place, name in enumerate(("shops", "staff")):
            known = data[name].notna()
            weight = (data["weight"] * times)[known]
            expected = pearson(data.loc[known, name], data.loc[known, "overall"], weight)
            assert found[column, place] == pytest.approx(expected.estimate)


def test_rank_intervals_come_from_draws_as_wide_as_the_standard_errors(data, monkeypatch):
    counts = counted(data, TOUCHPOINTS, "overall", design={"cluster": "flight"})
    fit = pair_estimates(counts)
    for most in (20_000, 0):
        monkeypatch.setattr(correlations, "MOST_RESAMPLED", most)
        drawn, method = replicate_coefficients(counts, fit, replicates=2000, seed=1)
        assert ("bootstrap of clusters" in method) == (most > 0)
        # a bootstrap of 40 clusters against its linear approximation
        assert drawn.std(axis=0) == pytest.approx(fit.table["se"].to_numpy(), rel=0.12)


def test_a_touchpoint_lost_in_many_resamples_has_no_place():
    draws = np.array([[0.5, 0.2, np.nan], [0.4, 0.1, 0.3], [0.6, 0.3, np.nan]])
    estimate, df = np.array([0.5, 0.2, 0.3]), np.full(3, 400.0)
    places = joint_places(estimate, draws, df, level=0.95)
    assert places["rank"].isna().tolist() == [False, False, True]
    assert places["rank_high"].dropna().tolist() == [2, 2]


def test_few_degrees_of_freedom_settle_no_place():
    estimate = np.array([0.6, 0.3])
    draws = np.random.default_rng(1).normal(estimate, 0.05, size=(500, 2))
    # .3 apart is 4.2 standard errors of the difference; t has 12.7 where the normal has 1.96
    plenty = joint_places(estimate, draws, np.array([400.0, 400.0]), level=0.95)
    few = joint_places(estimate, draws, np.array([1.0, 400.0]), level=0.95)
    assert plenty[["rank_low", "rank_high"]].to_numpy().tolist() == [[1, 1], [2, 2]]
    assert few[["rank_low", "rank_high"]].to_numpy().tolist() == [[1, 2], [1, 2]]
    none = joint_places(estimate, draws, np.array([0.5, 400.0]), level=0.95)
    assert none["rank"].isna().tolist() == [True, False]


def test_places_hold_for_all_touchpoints_at_once():
    # one touchpoint at a time, the first is told from one other: .9/√½ > 1 (worked in
    # test_resampling.py); all pairs at once need √2, which nothing reaches
    draws = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0]], dtype=float)
    estimate = np.array([0.9, 0.0, 0.0])
    places = joint_places(estimate, estimate + draws, np.full(3, 1e12), level=0.6)
    assert places["rank_low"].tolist() == [1, 1, 1]
    assert places["rank_high"].tolist() == [3, 3, 3]


def test_tied_touchpoints_are_all_first_and_all_last():
    # one study of the 500 in benchmarks/touchpoint_coverage.py
    generator = np.random.default_rng(4)
    overall = generator.normal(size=(300, 1))
    latent = np.hstack([overall, 0.6 * overall + 0.8 * generator.normal(size=(300, 6))])
    data = pd.DataFrame(np.digitize(latent, [-1, 0, 1]).astype(float), columns=list("yabcdef"))
    found = touchpoint_correlations(data, "y", list("abcdef"), occasion="A", missing="pairwise")
    assert set(found.table["rank_low"]) == {1}
    assert set(found.table["rank_high"]) == {6}


def test_draws_of_large_data_give_the_places_of_the_bootstrap(data, result, monkeypatch):
    monkeypatch.setattr(correlations, "MOST_RESAMPLED", 0)
    found = touchpoint_correlations(
        data, OUTCOMES, TOUCHPOINTS, occasion="A", design={"cluster": "flight"}
    )
    assert "normal limit" in found.rank_method
    assert (found.table["rank_high"] - result.table["rank_high"]).abs().max() <= ONE_PLACE


# comparisons


def test_difference_of_two_touchpoints_against_r_survey():
    against_r = json.loads((GOLDEN / "association.json").read_text(encoding="utf-8"))
    answers = pd.read_csv(GOLDEN / "association.csv")
    found = touchpoint_correlations(
        answers,
        "overall",
        ["shops", "wifi"],
        occasion="A",
        design={"weights": "weight", "strata": "stratum", "cluster": "cluster"},
    ).compare()
    estimate, se = against_r["difference_design"]
    assert found.loc[0, "estimate"] == pytest.approx(estimate, abs=R_DIGITS)
    assert found.loc[0, "se"] == pytest.approx(se, abs=R_DIGITS)
    # 30 clusters in 3 strata leave 27; the standard errors rest on fewer
    assert 10 < found.loc[0, "df"] < 27


def test_comparisons_are_adjusted_by_benjamini_yekutieli(result):
    pairs = result.compare().query("outcome == 'overall'")
    assert len(pairs) == 10
    expected = adjust_p_values(pairs["p_value"], method="by")
    assert pairs["p_adjusted"].to_numpy() == pytest.approx(expected)
    told = pairs["reading"] == "told apart"
    assert told.equals(pairs["p_adjusted"] < 0.05)


def test_comparing_outcomes_uses_their_shared_customers(data, result):
    found = result.compare_outcomes()
    fit = result.fit
    row = found.set_index("touchpoint").loc["staff"]
    a, b = 3, 8
    variance = fit.covariance[a, a] + fit.covariance[b, b] - 2 * fit.covariance[a, b]
    assert row["se"] == pytest.approx(np.sqrt(variance))
    assert row["se"] < np.sqrt(fit.covariance[a, a] + fit.covariance[b, b])


def test_one_outcome_or_touchpoint_leaves_nothing_to_compare():
    one = touchpoint_correlations(programme(n=80), "overall", ["shops"], occasion="A")
    assert one.compare().empty
    assert one.compare_outcomes().empty


# planted truth


def test_a_dead_touchpoint_shows_halo_in_one_survey_and_none_on_another_occasion():
    # P3: `dead` moves nothing; in one sitting its rating shares the mood of the outcome
    same = programme(9, n=3000)
    generator = np.random.default_rng(10)
    apart = same.assign(dead=np.clip(np.round(7 + 2 * generator.normal(size=len(same))), 0, 10))
    one = touchpoint_correlations(same, "overall", TOUCHPOINTS, occasion="A")
    other = touchpoint_correlations(apart, "overall", TOUCHPOINTS, occasion="C")
    assert one.table.set_index("touchpoint").loc["dead", "ci_low"] > 0.2
    row = other.table.set_index("touchpoint").loc["dead"]
    assert row["ci_low"] < 0 < row["ci_high"]
    assert one.halo.loc[0, "sum_r_squared"] > one.halo.loc[0, "estimate"]
    partial = one.table.set_index("touchpoint")
    assert partial.loc["dead", "partial"] < partial.loc["dead", "estimate"] / 2


def test_structural_non_use_by_segment_leaves_the_users_correlation_alone():
    # P7: the happier segment never uses the shuttle; among users r is what was planted
    generator = np.random.default_rng(11)
    n = 20_000
    happy = np.repeat([True, False], n // 2)
    shuttle = generator.normal(size=n)
    overall = 2 * happy + 0.6 * shuttle + generator.normal(size=n) * 0.8
    data = pd.DataFrame({"overall": overall, "shuttle": np.where(happy, np.nan, shuttle)})
    data = (data * 2).round().clip(-6, 10)
    data["shuttle_missing"] = np.where(happy, "never used", None)
    found = touchpoint_correlations(data, "overall", "shuttle", occasion="A").table.iloc[0]
    # grouping into half points costs about .01 of the planted 0.6
    assert found["estimate"] == pytest.approx(0.6, abs=0.02)
    assert found["n_used"] == n // 2
    selection = visitors(data, "overall", "shuttle").iloc[0]
    assert selection["ci_high"] < -3.5
    filled = data.fillna({"shuttle": 0})
    assert abs(filled[["overall", "shuttle"]].corr().iloc[0, 1] - 0.6) > 0.2


def test_nothing_planted_is_rarely_discovered():
    # P9, the short version of benchmarks/touchpoint_coverage.py
    generator = np.random.default_rng(12)
    found = 0
    for _ in range(20):
        data = pd.DataFrame(generator.integers(0, 11, (150, 7)).astype(float))
        data.columns = ["overall", *"abcdef"]
        counts = counted(data, list("abcdef"), "overall")
        p_values = pair_estimates(counts).table["p_value"]
        found += bool((adjust_p_values(p_values) < 0.05).any())
    # 20 studies at 5 %: more than 4 has probability below 0.3 %
    assert found <= 4


# visitors and masking


def test_visitors_against_others_against_r_survey():
    against_r = json.loads((GOLDEN / "association.json").read_text(encoding="utf-8"))
    answers = pd.read_csv(GOLDEN / "association.csv")
    answers["shops_missing"] = np.where(answers["shops"].isna(), "never used", None)
    row = visitors(
        answers,
        "overall",
        "shops",
        design={"weights": "weight", "strata": "stratum", "cluster": "cluster"},
    ).iloc[0]
    estimate, se = against_r["visitors_design"]
    assert row["estimate"] == pytest.approx(estimate, abs=R_DIGITS)
    # R has the Taylor variance; a contrast's own may be a few per cent larger, never smaller
    assert 1 - R_DIGITS < row["se"] / se < 1.06


def test_visitors_without_recorded_use_say_so(data):
    table = visitors(data.drop(columns="shops_missing"), "overall", ["shops", "wifi", "staff"])
    assert "there is no column 'shops_missing'" in table.loc[0, "note"]
    assert np.isfinite(table.loc[1, "estimate"])
    assert table.loc[2, "note"] == "everybody who answered used it"


def test_visitors_of_plain_rows_are_a_welch_difference():
    data = pd.DataFrame({"overall": [5, 4, 4, 2, 3, 2, 3.0], "shops": [4, 5, 3, None] + [None] * 3})
    data["shops_missing"] = np.where(data["shops"].isna(), "never used", None)
    row = visitors(data, "overall", "shops", min_group_size=1).iloc[0]
    used, never = data["overall"][:3], data["overall"][3:]
    assert row["estimate"] == pytest.approx(used.mean() - never.mean())
    assert (row["n"], row["n_never"], row["mean"], row["mean_never"]) == (3, 4, 13 / 3, 2.5)
    assert row["se"] == pytest.approx(np.sqrt(used.var() / 3 + never.var() / 4))
    # of the 35 ways to pick the 3 users only the one that was seen, 13 of 23, is as far apart
    assert row["p_value"] == pytest.approx(1 / 35, abs=0.006)


def test_a_visitor_among_hundreds_is_no_evidence():
    # one customer never used it: a linearised variance of that side alone would be near 0
    data = pd.DataFrame({"overall": np.tile([2.0, 3, 4, 5], 75), "shops": 4.0})
    data["shops_missing"] = None
    data.loc[0, ["shops", "shops_missing"]] = [np.nan, "never used"]
    row = visitors(data, "overall", "shops", min_group_size=1).iloc[0]
    assert row["n_never"] == 1
    assert not row["p_value"] < 0.2


def test_masking_by_hand():
    data = pd.DataFrame(
        {
            "overall": [10, 9, 9, 5, 10, None],
            "shops": [3, 9, None, 2, 8, 1],
            "wifi": [9, 6, 7, 5, None, 1],
        }
    )
    table = masking(data, "overall", ["shops", "wifi"], min_group_size=1).set_index("touchpoint")
    assert table.loc["any touchpoint", "n"] == 5
    # rows 1 and 2 have a touchpoint of 6 or less and an overall of 9 or more
    assert table.loc["any touchpoint", "estimate"] == pytest.approx(40)
    assert table.loc["any touchpoint", "among_good"] == pytest.approx(50)
    assert table.loc["shops", "estimate"] == pytest.approx(25)
    assert table.loc["wifi", "estimate"] == pytest.approx(25)
    # of four customers with two ratings: shops lowest for rows 1, 4 and level for row 6
    assert table.loc["shops", "worst"] == pytest.approx(75)
    assert table.loc["wifi", "worst"] == pytest.approx(50)
    assert table.loc["shops", "ci_low"] < 25 < table.loc["shops", "ci_high"]


def test_a_handful_of_users_or_others_is_hidden():
    data = pd.DataFrame({"overall": np.tile([2.0, 3, 4, 5], 25), "shops": 4.0, "wifi": np.nan})
    data["shops_missing"], data["wifi_missing"] = None, "never used"
    data.loc[:8, ["shops", "shops_missing"]] = [np.nan, "never used"]
    data.loc[:8, ["wifi", "wifi_missing"]] = [5.0, None]
    for table in (visitors(data, "overall", ["shops", "wifi"]).set_index("touchpoint"),
                  masking(data, "overall", ["wifi"], low=5, high=2).set_index("touchpoint")):  # fmt: skip
        row = table.loc["wifi"]
        assert row["note"] == "hidden: fewer than 10 answers"
        assert row.drop(["note", "p_adjusted"], errors="ignore").isna().all()
    data.loc[:9, ["shops", "shops_missing"]] = [np.nan, "never used"]
    assert visitors(data, "overall", "shops").loc[0, "n_never"] == 10


def test_masking_shows_no_share_of_a_handful_of_good_scores():
    data = pd.DataFrame({"overall": [5.0] * 9 + [3.0] * 91, "shops": [1.0, 5] * 50})
    row = masking(data, "overall", "shops", low=2, high=5).set_index("touchpoint").loc["shops"]
    assert row["n"] == 100
    # with their number, n and estimate would give it back
    hidden = ["among_good", "among_good_low", "among_good_high", "n_good"]
    assert row[hidden].isna().all()
    data["overall"] = [3.0] * 9 + [5.0] * 91  # what is left are the others
    row = masking(data, "overall", "shops", low=2, high=5).set_index("touchpoint").loc["shops"]
    assert row[hidden].isna().all()


def test_masking_shows_no_lowest_of_a_handful_of_several_ratings():
    data = pd.DataFrame({"overall": [5.0, 3] * 50, "shops": [1.0, 5] * 50, "wifi": np.nan})
    data.loc[:8, "wifi"] = 3.0
    table = masking(data, "overall", ["shops", "wifi"], low=2, high=5).set_index("touchpoint")
    assert pd.isna(table.loc["shops", "worst"])
    data.loc[9, "wifi"] = 3.0
    table = masking(data, "overall", ["shops", "wifi"], low=2, high=5).set_index("touchpoint")
    assert table.loc["shops", "worst"] == 50


def test_masking_limits_off_the_scale_are_refused():
    data = pd.DataFrame({"overall": [1, 5, 4], "shops": [5, 2, 3]})
    with pytest.raises(ValueError, match=r"`low` must lie on the scale; got 6.*low=2, high=5"):
        masking(data, "overall", "shops")
    assert masking(data, "overall", "shops", low=2, high=5, min_group_size=1).loc[0, "n"] == 3


# the airport survey

SFO_R = {
    "Q7LTPARKING": 0.637,
    "Q7SIGN": 0.565,
    "Q7WIFI": 0.468,
    "Q14PASSTHRU": 0.370,
    "Q13GETRATE": 0.297,
}
SFO_NAMES = {
    "Q7LTPARKING": "long_term_parking",
    "Q14PASSTHRU": "security_screening",
}


@pytest.fixture(scope="module")
def airport(sfo):
    data = sfo.read(period="2017")
    cluster = sfo.design.cluster
    return touchpoint_correlations(
        data,
        OUTCOMES,
        sfo.touchpoints,
        occasion="A",
        design={"cluster": cluster},
        missing="pairwise",
    )


def test_airport_correlations_are_the_published_ones(airport):
    found = airport.table.query("outcome == 'overall'").set_index("touchpoint")["estimate"]
    assert len(found) == 23
    for item, name in SFO_NAMES.items():
        assert found[name] == pytest.approx(SFO_R[item], abs=THREE_DECIMALS)
    # whatever the study calls the others, their coefficients are there
    for value in SFO_R.values():
        assert (found - value).abs().min() < THREE_DECIMALS


@pytest.mark.parametrize(
    ("period", "name", "expected"),
    [
        ("2017", "safety", 0.461),
        ("2018", "safety", 0.3975),
        ("2015", "clean_boarding_areas", 0.576),
    ],
)
def test_airport_touchpoints_have_their_polychoric(sfo, period, name, expected):
    data = sfo.read(period=period)
    fit = pair_estimates(counted(data, name, "overall"), "polychoric").table.iloc[0]
    assert fit["estimate"] == pytest.approx(expected, abs=THREE_DECIMALS)
    assert fit["ci_low"] < expected < fit["ci_high"]


def test_airport_security_is_not_shown_to_change_place(airport):
    # 21st for satisfaction and 3rd for advocacy of 23: resampled ranks "20–22" and "1–13"
    # called that a change, but the answers hardly part the 23 correlations with advocacy
    security = airport.table.query("touchpoint == 'security_screening'")
    assert security["rank"].tolist() == [21, 3]
    intervals = security[["rank_low", "rank_high"]].to_numpy(int).ravel()
    assert np.abs(intervals - [17, 23, 1, 21]).max() <= ONE_PLACE
    assert not any(found.rule == "changes place" for found in airport.findings())


def test_a_near_copy_leaves_partial_coefficients_on_few_answers():
    # `twin` is `staff` but for three customers: alone it is as sure as `staff`, beside it
    # all that is known of either rests on the three
    data = programme(13)
    data["twin"] = data["staff"]
    data.loc[[5, 50, 105], "twin"] = [2.0, 9.0, 4.0]
    found = touchpoint_correlations(
        data, "overall", ["shops", "staff", "twin"], occasion="A", missing="pairwise"
    )
    df = found.coefficients.pivot(index="touchpoint", columns="coefficient", values="df")
    assert df.loc["twin", "pearson"] > 100
    assert df.loc["twin", "partial"] < 4
    assert df.loc["shops", "partial"] > 50
    note = found.coefficients.query("touchpoint == 'twin' and coefficient == 'partial'")["note"]
    assert "degrees of freedom" in note.iloc[0]


def test_near_copies_that_differ_in_one_cluster_rest_on_that_cluster():
    data = programme(14)
    data["twin"] = data["staff"]
    inside = data["flight"] == 3
    data.loc[inside, "twin"] = 10 - data.loc[inside, "staff"]
    found = touchpoint_correlations(
        data,
        "overall",
        ["staff", "twin"],
        occasion="A",
        missing="pairwise",
        design={"cluster": "flight"},
    ).coefficients.query("coefficient == 'partial'")
    assert (found["df"] < 2).all()
    assert (found["note"] != "").all()


def test_each_outcome_has_its_own_sum_of_squares(result):
    for row in result.halo.itertuples():
        own = result.table.query(f"outcome == '{row.outcome}'")["estimate"]
        assert row.sum_r_squared == pytest.approx((own**2).sum())


def test_a_ceiling_is_flagged_whatever_the_direction():
    generator = np.random.default_rng(15)
    latent = generator.normal(size=(600, 2)) @ np.array([[1, 0.8], [0, 0.6]])
    data = pd.DataFrame(
        np.where(latent > 1, 1.0, np.where(latent > 0.9, 2.0, 3.0)), columns=["a", "y"]
    )
    data["turned"] = 4 - data["a"]
    found = touchpoint_correlations(data, "y", ["a", "turned"], occasion="A", missing="pairwise")
    assert found.table["ceiling_flag"].tolist() == [True, True]
    assert found.table["estimate"][1] == pytest.approx(-found.table["estimate"][0])


def test_the_halo_of_one_cluster_has_no_standard_error():
    data = programme(5).assign(airport=1)
    found = touchpoint_correlations(
        data, "overall", ["shops", "staff"], occasion="A", design={"cluster": "airport"}
    )
    row = found.halo.iloc[0]
    assert row[["se", "ci_low", "ci_high"]].isna().all()
    assert "too few clusters" in row["note"]


def unrelated(studies: int, n: int, names: list[str]):
    """Models of an outcome and ratings that have nothing to do with it, but with one another."""
    generator = np.random.default_rng(20261130)
    for _ in range(studies):
        common = generator.normal(size=(n, 1))
        data = pd.DataFrame(common + generator.normal(size=(n, len(names))), columns=names)
        data["overall"] = generator.normal(size=n)
        counts = counted(data, names, "overall")
        yield counts, correlate_together(counts, missing="pairwise")


def test_r_squared_of_ratings_that_say_nothing_may_be_nothing():
    names = [f"t{number}" for number in range(8)]
    held = []
    for counts, together in unrelated(60, 60, names):
        fit, known = pair_estimates(counts), {"missing": "pairwise", "labels": {}, "level": 0.95}
        row = halo_table(together, fit, counts, **known).iloc[0]
        held.append(row["ci_low"] == 0)
    # raw R² never held 0; 95 % less three standard errors of 60 studies
    assert np.mean(held) >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 60)


def test_a_partial_correlation_knows_what_the_other_touchpoints_took():
    names = [f"t{number}" for number in range(12)]
    spread, known = [], []
    for _, together in unrelated(60, 40, names):
        table = together.models["overall"].table
        spread.append(table["partial"].to_numpy())
        known.append(table["partial_se"].to_numpy())
    # the standard error was a fifth below the spread over studies
    assert np.mean(known) / np.std(spread) == pytest.approx(1, abs=0.08)


def test_hardly_more_answers_than_touchpoints_have_no_r_squared():
    names = [f"t{number}" for number in range(8)]
    ((counts, together),) = unrelated(1, 60, names)
    # as weights may leave it
    few = replace(together.models["overall"], n_effective=8.5)
    together = replace(together, models={"overall": few})
    known = {"missing": "pairwise", "labels": {}, "level": 0.95}
    row = halo_table(together, pair_estimates(counts), counts, **known).iloc[0]
    assert row[["estimate", "se", "ci_low", "ci_high"]].isna().all()
    assert "no R²: hardly more answers than touchpoints" in row["note"]
