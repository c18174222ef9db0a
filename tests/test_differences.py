import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t, ttest_ind

from cxlab import (
    compare_groups,
    compare_periods,
    compare_segments,
    mix_and_performance,
    nps,
    period_changes,
    scorecard,
)
from cxlab.core.metric import Metric
from cxlab.stats.inference import permutation_p_value

GOLDEN = Path(__file__).parent / "golden"
DESIGN = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}
#: Of R's printed digits.
R_DIGITS = 5e-9


METRIC = Metric("score", "net", top=(9, 10), bottom=(0, 6), name="nps")
METRIC_S = replace(METRIC, column="s")


def answers_of(*counts, names="ab"):
    """One group per triple of promoters, passives, detractors."""
    parts = [
        pd.DataFrame({"score": [10] * p + [8] * n + [2] * d, "group": name})
        for (p, n, d), name in zip(counts, names, strict=False)
    ]
    return pd.concat(parts, ignore_index=True)


def row(table):
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture(scope="module")
def designed():
    return pd.read_csv(GOLDEN / "survey_design.csv", dtype={"cluster": str})


class TestSimpleData:
    def test_the_difference_has_a_sign_and_the_standard_errors_of_r_nps(self, golden_scores):
        entry = golden_scores["nps.Rpkg.twosample"]
        data = answers_of(entry["inputs"]["a"], entry["inputs"]["b"])
        forward = row(compare_groups(data, "score", by="group", against="b"))
        assert forward["estimate"] / 100 == pytest.approx(entry["expected"]["delta"], abs=1e-8)
        alone = nps(data, "score", by="group")["se"] / 100
        assert np.hypot(*alone) == pytest.approx(entry["expected"]["se"], abs=1e-8)
        # the R package loses the sign of the difference the other way round
        backward = row(compare_groups(data, "score", by="group", against="a"))
        assert backward["estimate"] == pytest.approx(-forward["estimate"])
        assert backward["ci_high"] == pytest.approx(-forward["ci_low"])

    def test_adjusted_wald_by_hand(self):
        # each group gets 3/4 promoter, 3/2 passive, 3/4 detractor
        found = row(compare_groups(answers_of((15, 13, 8), (12, 7, 12)), "score", by="group",
                                   against="b"))  # fmt: skip
        p1, d1, p2, d2 = 15.75 / 39, 8.75 / 39, 12.75 / 34, 12.75 / 34
        v1 = (p1 + d1 - (p1 - d1) ** 2) / 39
        v2 = (p2 + d2 - (p2 - d2) ** 2) / 34
        assert found["se"] == pytest.approx(100 * np.sqrt(v1 + v2))
        assert found["statistic"] == pytest.approx(((p1 - d1) - (p2 - d2)) / np.sqrt(v1 + v2))
        assert found["estimate"] == pytest.approx(100 * (7 / 36 - 0))

    def test_means_are_compared_by_welch(self):
        rng = np.random.default_rng(1)
        data = pd.DataFrame({"s": rng.integers(1, 6, 90), "g": ["x"] * 50 + ["y"] * 40})
        found = row(compare_groups(data, Metric("s", "mean"), by="g", against="y"))
        expected = ttest_ind(data.s[:50], data.s[50:], equal_var=False)
        assert found["p_value"] == pytest.approx(expected.pvalue)
        assert found["statistic"] == pytest.approx(expected.statistic)
        limits = expected.confidence_interval()
        assert [found["ci_low"], found["ci_high"]] == pytest.approx([limits.low, limits.high])

    def test_small_groups_are_tested_by_permutation(self):
        found = row(
            compare_groups(answers_of((15, 13, 8), (12, 7, 2)), "score", by="group", against="b")
        )
        assert found["method"] == "adjusted-wald, permutation p"
        again = row(
            compare_groups(answers_of((15, 13, 8), (12, 7, 2)), "score", by="group", against="b")
        )
        assert again["p_value"] == found["p_value"]

    def test_permutation_equals_full_enumeration(self):
        # 1, 1, 1 against 0, 0: of the 10 relabellings one is as far apart
        values, inside = np.array([1.0, 1, 1, 0, 0]), np.array([True, True, True, False, False])
        p = permutation_p_value(values, inside, 99_999, np.random.default_rng(0))
        assert p == pytest.approx(1 / 10, abs=0.005)

    @given(st.lists(st.integers(0, 10), min_size=4, max_size=40), st.integers(1, 3))
    @settings(max_examples=25)
    def test_the_difference_is_that_of_the_two_scores(self, scores, split):
        data = pd.DataFrame({"s": scores, "g": ["x"] * split + ["y"] * (len(scores) - split)})
        found = row(compare_groups(data, "s", by="g", against="y", min_group_size=1))
        alone = nps(data, "s", by="g").set_index("group")["estimate"]
        assert found["estimate"] == pytest.approx(alone["x"] - alone["y"])


class TestDesign:
    def test_contrast_against_r_survey(self, designed):
        expected = json.loads((GOLDEN / "survey_design.json").read_text())["x_minus_y"]
        found = row(compare_groups(designed, "score", by="group", against="y", design=DESIGN))
        assert found["estimate"] == pytest.approx(expected["estimate"], abs=R_DIGITS)
        # R's is not corrected for the few clusters of either group (CR2)
        assert expected["se"] < found["se"] < 1.12 * expected["se"]

    def test_two_groups_against_the_rest_are_one_contrast(self, designed):
        rest = compare_groups(designed, "score", by="group", design=DESIGN)
        pair = row(compare_groups(designed, "score", by="group", against="y", design=DESIGN))
        assert rest["se"].tolist() == pytest.approx([pair["se"], pair["se"]])
        assert rest["estimate"].tolist() == pytest.approx([pair["estimate"], -pair["estimate"]])

    def test_waves_that_share_customers_are_compared_jointly(self):
        # every customer gives the same score twice
        scores = [10, 9, 2, 8, 10, 3, 7, 9, 10, 5] * 4
        wave = pd.DataFrame({"score": scores, "customer": range(40)})
        both = pd.concat([wave.assign(period="2024"), wave.assign(period="2025")])
        found = row(compare_periods(both, "score", design={"cluster": "customer"}))
        assert found["estimate"] == pytest.approx(0)
        # they cancel altogether: the spread is unknown, not 0
        assert np.isnan(found["se"])
        assert found["note"].startswith("no test: the same difference in every cluster")
        assert row(compare_periods(both, "score"))["se"] > 10


def test_contrast_of_the_rest_is_the_linearised_one_by_hand(designed):
    """Influence functions summed and scaled per cluster, from the rows."""
    d = designed.dropna(subset="score").reset_index(drop=True)
    y = np.select([d.score >= 9, d.score <= 6], [1.0, -1.0], 0.0)
    cluster = d.cluster.fillna("lone " + d.stratum)
    totals = 0.0
    for name, sign in (("x", 1), ("y", -1)):
        w = np.where(d.group == name, d.weight, 0.0)
        w = w / w.sum()
        rows = pd.DataFrame({"p": w, "q": w**2, "cubes": w**3, "z": w * (y - w @ y),
                             "zz": (w * (y - w @ y)) ** 2})  # fmt: skip
        sums = rows.groupby([d.stratum, cluster]).sum()
        lone = sums.index.get_level_values(1).str.startswith("lone")
        left = np.where(lone, sums.q - 2 * sums.cubes, sums.q * (1 - 2 * sums.p))
        left = left + sums.q.sum() * np.where(lone, sums.q, sums.p**2)
        k = np.sqrt(np.divide(sums.q, left, where=sums.q > 0, out=np.zeros(len(sums))))
        totals = totals + pd.DataFrame({"z": sign * k * sums.z, "zz": lone * k**2 * sums.zz})
    lone = totals.index.get_level_values(1).str.startswith("lone")
    totals["zz"] = np.where(lone, totals.zz, totals.z**2)
    alone = designed.cluster.isna().groupby(designed.stratum).sum()
    sampled = designed.groupby("stratum")["cluster"].nunique() + alone
    per = totals.groupby(level=0).sum()
    variance = (sampled / (sampled - 1) * (per.zz - per.z**2 / sampled)).sum()
    found = row(compare_groups(designed, "score", by="group", against="y", design=DESIGN))
    assert found["se"] == pytest.approx(100 * np.sqrt(variance))


FEW = pd.read_csv(Path(__file__).parent / "cases" / "few_clusters.csv")


class TestFewClusters:
    """Thirty clusters of ten answers; a group of one of them, and one of three."""

    def test_a_group_of_one_cluster_has_no_test(self):
        found = compare_groups(FEW, "s", by="g", design={"cluster": "c"})
        numbers = ["se", "ci_low", "ci_high", "p_value", "p_adjusted"]
        assert found[numbers].isna().all(axis=None)
        assert (found["note"] == "no test: the answers of a group lie in one cluster, so that its "
                "variance is unknown").all()  # fmt: skip

    def test_a_group_of_three_clusters_knows_as_much_as_they(self):
        found = compare_groups(FEW, "s", by="h", design={"cluster": "c"}).iloc[0]
        assert found["se"] == pytest.approx(19.321344, abs=5e-7)
        # of 3 clusters of 10 answers, and of 27
        by_hand = (1 / 30 + 1 / 270) ** 2 / (2 / 60**2 + 26 / (270 * 26) ** 2)
        assert found["df"] == pytest.approx(by_hand) == pytest.approx(2.466793, abs=5e-7)
        assert found["note"] == "only 2.5 degrees of freedom"

    @pytest.mark.parametrize("weights", [None, "w"])
    def test_the_small_case_by_hand(self, weights):
        clusters = {"A": [[100, 0], [100, 100], [-100, 0]],
                    "B": [[0, 0], [100, -100], [0, 100], [-100, -100]]}  # fmt: skip
        rows = [(score, group, f"{group}{i}") for group, own in clusters.items()
                for i, pair in enumerate(own) for score in pair]  # fmt: skip
        data = pd.DataFrame(rows, columns=["s", "g", "c"]).assign(w=2.5)
        found = compare_groups(data, Metric("s", "mean"), by="g", against="B", design={"cluster": "c", "weights": weights}, min_group_size=1).iloc[0]  # fmt: skip
        assert found["estimate"] == pytest.approx(45.8333, abs=5e-5)
        assert found["se"] == pytest.approx(54.166667, abs=5e-7)
        assert found["df"] == pytest.approx(4.454545, abs=5e-7)

    def test_standard_errors_against_r_sandwich(self):
        expected = json.loads((GOLDEN / "contrast.json").read_text())
        found = compare_groups(FEW, "s", by="h", design={"cluster": "c"}).iloc[0]
        assert found["estimate"] == pytest.approx(expected["three of thirty"]["estimate"])
        assert found["se"] == pytest.approx(expected["three of thirty"]["se"], abs=R_DIGITS)
        # the small case has as much by hand
        assert expected["small"]["se"] == pytest.approx(54.166667, abs=5e-7)

    def test_a_group_of_two_clusters_can_hardly_show_anything(self):
        data = FEW.assign(two=np.where(FEW["c"] < 2, "A", "B"))
        found = compare_groups(data, "s", by="two", design={"cluster": "c"}).iloc[0]
        assert found["p_value"] > 0
        assert "hardly any difference can be shown" in found["note"]

    def test_segments_and_periods_are_judged_alike(self):
        expected = compare_groups(FEW, "s", by="h", against="B", design={"cluster": "c"}).iloc[0]
        data = FEW.assign(period=np.where(FEW["h"] == "A", "2025", "2024"))
        others = [
            compare_segments(data, "s", ["h"], design={"cluster": "c"}),
            compare_periods(data, "s", design={"cluster": "c"}),
            period_changes(data, "s", design={"cluster": "c"}).table,
        ]
        for table in others:
            assert table["se"].iloc[0] == pytest.approx(expected["se"])
            assert table["df"].iloc[0] == pytest.approx(expected["df"])
            assert table["note"].iloc[0] == expected["note"]

    def test_a_change_of_mix_knows_as_little(self):
        data = FEW.assign(period=np.where(FEW["h"] == "A", "2025", "2024"), half=FEW.index % 2)
        ask = {"by": "half", "periods": ("2024", "2025"), "min_group_size": 1}
        found = mix_and_performance(data, "s", design={"cluster": "c"}, **ask)
        change = found.table.set_index("part").loc["change"]
        # limits by t on two degrees of freedom
        assert (change["ci_high"] - change["estimate"]) / change["se"] == pytest.approx(4.302653)
        one = data.assign(period=np.where(FEW["g"] == "A", "2025", "2024"))
        found = mix_and_performance(one, "s", design={"cluster": "c"}, **ask)
        assert found.table["ci_low"].isna().all()

    @pytest.mark.parametrize("group", ["g", "h"])
    def test_clusters_of_one_answer_change_nothing(self, group):
        data = FEW.assign(own=[f"row {i}" for i in FEW.index], w=np.tile([0.8, 1.2], 150))
        for design in ({}, {"weights": "w"}):
            plain = compare_groups(data, "s", by=group, design=design)
            pd.testing.assert_frame_equal(
                compare_groups(data, "s", by=group, design={"cluster": "own", **design}), plain
            )
        period = data.rename(columns={group: "period"})
        plain, own = (
            period_changes(period, "s", design=design).table for design in ({}, {"cluster": "own"})
        )
        pd.testing.assert_frame_equal(own, plain)


@pytest.mark.parametrize("strata", [None, "stratum"])
@pytest.mark.parametrize("weights", [None, "weight"])
@pytest.mark.parametrize("customers", [40, 300, 5_000])
def test_an_engine_that_takes_clusters_of_one_row_as_rows_changes_nothing(
    strata, weights, customers
):
    rng = np.random.default_rng(customers)
    data = pd.DataFrame({"customer": rng.integers(0, customers, 400)})
    data["stratum"] = np.where(data["customer"] % 3 == 0, "x", "y")
    data["customer"] = data["customer"].astype(str).mask(rng.random(400) < 0.1)
    data["score"] = rng.choice([*range(11), np.nan], 400)
    data["group"] = rng.choice(["a", "b", "c", None], 400, p=[0.4, 0.3, 0.2, 0.1])
    data["weight"] = rng.choice([0.0, 1.0, 2.5], 400)
    metrics = [METRIC, Metric("score", "mean")]
    design = {"weights": weights, "strata": strata, "cluster": "customer"}
    wanted, found = (
        compare_groups(frame, metrics, by="group", design=design)
        for frame in (data, pl.from_pandas(data))
    )
    pd.testing.assert_frame_equal(found, wanted, check_exact=False, rtol=1e-9)


def test_a_cluster_more_for_everybody_is_no_certainty():
    # by customers: each gave the same two answers, so that the change has no spread
    data = pd.DataFrame({"s": [10, 9, 2, 8, 10, 3] * 10, "c": range(60)})
    both = pd.concat([data.assign(period="1"), data.assign(period="2", s=10 - data["s"])])
    same = pd.concat([data.assign(period="1"), data.assign(period="2")])
    assert row(compare_periods(both, "s", design={"cluster": "c"}))["p_value"] < 0.5
    found = row(compare_periods(same, "s", design={"cluster": "c"}))
    assert np.isnan(found["p_value"])
    assert found["note"] == "no test: the same difference in every cluster"


def alike(n=12, weights=(0.8, 1.2)):
    """Answers of which 92 % are 10, 4 % are 8 and 4 % are 3, beside ``n`` that are all 10."""
    rest = [10] * 276 + [8] * 12 + [3] * 12
    data = pd.DataFrame({"s": [10] * n + rest, "g": ["a"] * n + ["b"] * 300})
    return data.assign(w=np.resize(weights, len(data)), c=np.arange(len(data)) // 3)


class TestAlike:
    """No spread among a group's answers is no certainty about others'."""

    def test_weights_do_not_make_it_certain(self):
        plain, weighted = (
            compare_groups(alike(), "s", by="g", design=design).iloc[0]
            for design in ({}, {"weights": "w"})
        )
        assert weighted["estimate"] == pytest.approx(12)
        assert weighted["p_value"] == pytest.approx(plain["p_value"], abs=0.25)
        assert weighted["ci_low"] == pytest.approx(-33, abs=5)
        assert weighted["ci_high"] == pytest.approx(19, abs=1)
        assert weighted["note"].startswith("every answer of a group is alike")
        assert weighted["method"] == "adjusted-wald, permutation p"

    @pytest.mark.parametrize("kind", ["net", "box", "mean"])
    def test_clusters_do_not_make_it_certain(self, kind):
        ends = {"top": (9, 10), "bottom": (0, 6)} if kind == "net" else {"top": (9, 10)}
        metric = Metric("s", kind, **({} if kind == "mean" else ends))
        found = compare_groups(alike(), metric, by="g", design={"cluster": "c"}).iloc[0]
        assert found["p_value"] > 0.2
        assert found["ci_low"] < 0 < found["ci_high"]
        assert found["note"].startswith("every answer of a group is alike")

    @pytest.mark.parametrize(("others", "smoothed"), [(3, True), (7, False)])
    def test_nor_do_answers_nearly_alike(self, others, smoothed):
        data = alike(60).assign(s=lambda d: np.where(d.index < others, 3, d["s"]))
        found = compare_groups(data, "s", by="g", design={"cluster": "c"}).iloc[0]
        assert (found["method"] == "adjusted-wald") == smoothed
        assert found["note"].startswith("nearly every answer of a group is alike") == smoothed

    def test_a_mean_of_clusters_takes_the_spread_of_both_by_hand(self):
        data = alike()
        found = compare_groups(data, Metric("s", "mean"), by="g", design={"cluster": "c"}).iloc[0]
        b = data[data["g"] == "b"]
        means = b.groupby("c")["s"].mean()  # a hundred clusters of three
        other, own = means.var() / 100, data["s"].var() / 12
        assert found["se"] == pytest.approx(np.sqrt(other + own))
        assert found["df"] == pytest.approx((other + own) ** 2 / (other**2 / 99 + own**2 / 3))

    def test_a_score_of_clusters_by_hand(self):
        # a: twelve promoters in four clusters, each of the weights 1/2, 1, 3/2
        data = alike(12, (0.5, 1.0, 1.5))
        found = compare_groups(data, "s", by="g", design={"cluster": "c", "weights": "w"}).iloc[0]
        b = data[data["g"] == "b"].assign(y=lambda d: (d["s"] >= 9) * 1.0 - (d["s"] <= 6))
        kish = 3 * (0.25 + 1 + 2.25) / 9
        n_a = 12 / kish * (t.ppf(0.975, 11) / t.ppf(0.975, 3)) ** 2
        mean = np.average(b["y"], weights=b["w"])
        between = (b["w"] * (b["y"] - mean)).groupby(b["c"]).sum() / 300
        deff = (
            (between**2).sum()
            * 100
            / 99
            / ((np.average(b["y"] ** 2, weights=b["w"]) - mean**2) / 300)
        )
        n_b = min(300, 300 / deff * (t.ppf(0.975, 299) / t.ppf(0.975, 99)) ** 2)
        variance = 0.0
        for n, top, bottom in (
            (n_a, 1.0, 0.0),
            (n_b, *(np.average(b["y"] == e, weights=b["w"]) for e in (1, -1))),
        ):
            p, d = (n * top + 0.75) / (n + 3), (n * bottom + 0.75) / (n + 3)
            variance += (p + d - (p - d) ** 2) / (n + 3)
        assert found["se"] == pytest.approx(100 * np.sqrt(variance))
        assert found["note"].endswith("only 3.0 degrees of freedom")

    @pytest.mark.parametrize("design", [{}, {"cluster": "c"}])
    def test_spread_of_both_counts_from_one_origin(self, design):
        # far from one another each group is counted from an origin of its own
        data = alike(30).assign(s=lambda d: np.where(d["g"] == "a", 0.0, 1e6 + d.index % 7))
        found = compare_groups(data, Metric("s", "mean"), by="g", design=design).iloc[0]
        b = data[data["g"] == "b"]
        other = b["s"].var() / 300 if not design else b.groupby("c")["s"].mean().var() / 100
        assert found["se"] == pytest.approx(np.sqrt(other + data["s"].var() / 30))

    def test_weights_stay_with_their_rows(self):
        data = alike(20, (0.2, 1.0, 3.0)).assign(s=lambda d: d["s"].where(d.index % 9 > 0, 3))
        found = compare_groups(data, "s", by="g", against="b", design={"weights": "w"}).iloc[0]
        y = np.select([data["s"] >= 9, data["s"] <= 6], [1.0, -1.0], 0.0)
        inside, rng = (data["g"] == "a").to_numpy(), np.random.default_rng(0)
        expected = permutation_p_value(y, inside, 9999, rng, data["w"].to_numpy(), (3.0, 0.0, 1.5))
        assert found["p_value"] == expected
        # 20 answers are worth fewer than 30, and so are 45 of such weights
        more = alike(45, (0.2, 1.0, 3.0)).assign(s=lambda d: d["s"].where(d.index % 4 > 0, 3))
        found = compare_groups(more, "s", by="g", design={"weights": "w"}).iloc[0]
        assert found["method"] == "linearised, permutation p"

    def test_a_simple_mean_does_too(self):
        data = alike(40)
        found = compare_groups(data, Metric("s", "mean"), by="g").iloc[0]
        b = data.loc[data["g"] == "b", "s"]
        assert found["se"] == pytest.approx(np.sqrt(b.var() / 300 + data["s"].var() / 40))
        # Welch with a variance of 0 had 0.0002
        assert found["p_value"] > 0.05
        assert found["method"] == "welch, permutation p"

    @pytest.mark.parametrize("design", [{}, {"weights": "w"}, {"cluster": "c"}])
    @pytest.mark.parametrize("metric", ["s", Metric("s", "mean")])
    def test_both_alike_show_no_difference(self, metric, design):
        data = alike(30)[:60].assign(s=9.0)
        found = compare_groups(data, metric, by="g", design=design)["p_value"]
        assert ((found == 1) | found.isna()).all()

    @pytest.mark.parametrize("score", [9.3, 0.1])
    def test_fractions_alike_are_alike(self, score):
        data = alike(30).assign(s=lambda d: np.where(d["g"] == "a", score, d["s"]))
        for design in ({"weights": "w"}, {"cluster": "c"}):
            found = compare_groups(data, Metric("s", "mean"), by="g", design=design).iloc[0]
            assert found["note"].startswith("every answer of a group is alike")


@pytest.mark.parametrize("design", [{}, {"weights": "w"}])
@pytest.mark.parametrize("metric", ["score", Metric("rating", "mean")])
def test_a_small_group_may_vary_more_than_the_others(metric, design):
    # 9 promoters and 3 detractors beside 300 who are mostly passive
    data = answers_of((9, 0, 3), (60, 210, 30))
    data = data.assign(
        w=np.resize([0.8, 1.2], len(data)), rating=data["score"].map({10: 5, 8: 3, 2: 1})
    )
    found = row(compare_groups(data, metric, by="group", against="b", design=design))
    # plain differences, as if both varied like the 300, had .02 to .03
    assert "permutation p" in found["method"]
    assert found["ci_low"] < 0
    assert found["p_value"] > 0.05


def test_relabelled_differences_are_in_standard_errors_by_hand():
    # 2, 0 | 1, 1, 1: relabelled, apart by (standard errors) 0 once, and 1/3 or more always else
    values, inside = np.array([2.0, 0, 1, 1, 1]), np.array([True, True, False, False, False])
    p = permutation_p_value(values, inside, 999, np.random.default_rng(0))
    assert p == 1
    # 3, 1 | 0, 0, 0 and 3, 0 | 1, 0, 0: 2 of ten such are as far, t = 2/√(2/2 + 1.7/3)
    values = np.array([3.0, 1, 0, 0, 0])
    p = permutation_p_value(values, inside, 39_999, np.random.default_rng(0))
    assert p == pytest.approx(1 / 10, abs=0.01)


def test_weighted_answers_of_a_small_group_are_permuted_with_weights_in_place():
    # values 1, 0 | 0, 0 with weights 2, 1 | 1, 1: of the four places of the 1, those of the
    # weights 2 and 1 inside are 2/3 and 1/3 apart, those outside 1/2
    values, inside = np.array([1.0, 0, 0, 0]), np.array([True, True, False, False])
    p = permutation_p_value(
        values, inside, 39_999, np.random.default_rng(0), np.array([2.0, 1, 1, 1])
    )
    assert p == pytest.approx(1 / 4, abs=0.01)
    plain = permutation_p_value(values, inside, 999, np.random.default_rng(0))
    assert plain == permutation_p_value(
        values, inside, 999, np.random.default_rng(0), np.full(4, 3.0)
    )


class TestAirport:
    def test_gender_contrast_is_computed_jointly(self, sfo):
        answers = sfo.read(period="2018")
        found = compare_groups(
            answers, "recommend", by="gender", against="Female", design=sfo.design
        )
        male = found[found["group"] == "Male"].iloc[0]
        assert male["estimate"] == pytest.approx(-7.2644486514, abs=R_DIGITS)
        # R's survey package has 3.1419192318, not corrected for few clusters (CR2)
        assert male["se"] == pytest.approx(3.1419192318, rel=0.01)
        alone = nps(answers, "recommend", by="gender", design=sfo.design).set_index("group")["se"]
        assert np.hypot(alone["Male"], alone["Female"]) == pytest.approx(3.828, abs=5e-4)

    def test_a_boarding_area_of_sixteen_flights_knows_as_much_as_they(self, sfo):
        answers = sfo.read(period="2018")
        found = compare_segments(
            answers, sfo.metrics("outcome"), sfo.segments, labels=sfo.labels, design=sfo.design
        )
        area = found[(found["group"] == "C") & (found["metric"] == "mean")].iloc[0]
        assert area["df"] == pytest.approx(15.7, abs=0.05)
        # four stood when each was tested on 214 degrees of freedom
        assert len(found) == 81
        assert (found["p_adjusted"].dropna() > 0.05).all()


class TestFamilies:
    def test_pairs_are_adjusted_by_benjamini_yekutieli(self):
        data = answers_of((60, 20, 20), (40, 30, 30), (20, 30, 50), names="abc")
        found = compare_groups(data, "score", by="group", against="pairs")
        assert found[["group", "other"]].values.tolist() == [["a", "b"], ["a", "c"], ["b", "c"]]
        p = np.sort(found["p_value"].astype(float))
        factor = 1 + 1 / 2 + 1 / 3
        assert found["p_adjusted"].min() == pytest.approx(3 * factor * p[0])
        assert found["family"].unique().tolist() == ["3 tests: 1 metrics × 3 pairs of groups"]

    def test_all_segments_make_one_family(self):
        data = answers_of((60, 20, 20), (40, 30, 30), (20, 30, 50), names="abc")
        data["half"] = ["x", "y"] * 150
        found = compare_segments(data, "score", ["group", "half"])
        assert len(found) == 5
        assert found["family"].iloc[0] == "5 tests: all metrics × all groups of 2 segments"
        assert (found["p_adjusted"] >= found["p_value"]).all()

    def test_no_segments_give_an_empty_table(self):
        assert compare_segments(answers_of((5, 5, 5)), "score", []).empty

    def test_each_period_against_the_one_before(self):
        data = answers_of((60, 20, 20), (40, 30, 30), (20, 30, 50), names=["1", "2", "3"])
        found = compare_periods(data, "score", period="group")
        assert found[["period", "before"]].values.tolist() == [["2", "1"], ["3", "2"]]
        assert found["estimate"].tolist() == pytest.approx([-30, -40])


class TestHidden:
    def test_a_small_group_is_hidden_and_no_part_of_the_rest(self):
        data = answers_of((60, 20, 20), (40, 30, 30), (2, 1, 1), names="abc")
        found = compare_groups(data, "score", by="group").set_index("group")
        numbers = ["n", "n_other", "estimate", "se", "ci_low", "p_value", "p_adjusted"]
        assert found.loc["c", numbers].isna().all()
        # hiding c alone would leave it to be had from the total, so the next smallest goes too
        assert found.loc["a", numbers].isna().all()
        assert found.loc["b", "note"] != ""

    def test_answers_in_no_group_stand_in_for_a_complement(self):
        data = answers_of((60, 20, 20), (40, 30, 30), (2, 1, 1), names="abc")
        outside = data.iloc[:40].assign(group=None)
        found = compare_groups(pd.concat([data, outside]), "score", by="group")
        found = found.set_index("group")
        assert found["n"].isna().tolist() == [False, False, True]
        assert found.loc["a", "n_other"] == 100


BAD = {
    "one group": ({"by": "one"}, "must make two groups at least; got 1 in 'one'"),
    "unknown group": ({"against": "z"}, "`against` must be 'rest', 'pairs', 'a' or 'b'; got 'z'"),
    "unknown column": (
        {"by": "grp"},
        "`by` must be a column of the data; got 'grp'. Did you mean 'group'",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence(case):
    arguments, message = BAD[case]
    data = answers_of((5, 5, 5), (5, 5, 5)).assign(one="x")
    with pytest.raises(ValueError, match=message):
        compare_groups(data, "score", **{"by": "group", **arguments})


def test_everyone_alike_is_a_stated_result():
    data = answers_of((40, 0, 0), (40, 0, 0))
    found = row(compare_groups(data, Metric("score", "mean"), by="group", against="b"))
    # of answers that are all one, every relabelling is as far apart
    assert found["p_value"] == 1
    assert np.isnan(found["ci_low"])
    assert found["note"] == "no interval: every answer of a group is alike"


def test_one_period_is_refused():
    with pytest.raises(ValueError, match="must hold two periods at least"):
        compare_periods(answers_of((5, 5, 5)).assign(period="2025"), "score")


#: Two groups as columns of several types hold them.
KINDS = {
    "numbers with a blank": lambda first: np.where(first, 1.0, 2.0),
    "fractions": lambda first: np.where(first, 1.0, 2.5),
    "dates": lambda first: pd.to_datetime(np.where(first, "2024-01-01", "2025-01-01")),
    "local times": lambda first: pd.to_datetime(
        np.where(first, "2024-01-01", "2025-01-01")
    ).tz_localize("Europe/Berlin"),
    "truth": lambda first: ~first,
    "decimals": lambda first: [Decimal("1.0") if one else Decimal("2.0") for one in first],
    "numbers declared": lambda first: pd.Categorical(np.where(first, 1.0, 2.0)),
}


class TestLabels:
    """One name for a group, whatever type its column has."""

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("engine", ["pandas", "polars"])
    def test_small_groups_of_any_type_get_their_permutation_test(self, kind, engine):
        if (engine, kind) == ("polars", "numbers declared"):
            pytest.skip("Polars has no such type")
        words = answers_of((12, 4, 4), (5, 5, 10))
        first = (words["group"] == "a").to_numpy()
        data = words.assign(group=KINDS[kind](first))
        data = pl.from_pandas(data) if engine == "polars" else data
        found = compare_groups(data, "score", by="group")
        expected = compare_groups(words, "score", by="group")
        assert found["p_value"].tolist() == expected["p_value"].tolist()
        assert found["method"].str.contains("permutation").all()

    def test_a_blank_among_whole_numbers_changes_no_test(self):
        whole = answers_of((12, 4, 4), (5, 5, 10), (3, 3, 3), names=[1, 2, 10])
        holes = pd.concat([whole, pd.DataFrame({"score": [5], "group": [np.nan]})])
        expected, found = (
            compare_groups(data, "score", by="group", min_group_size=1) for data in (whole, holes)
        )
        assert found["group"].tolist() == ["1", "2", "10"]
        assert found["p_value"].notna().all()
        assert found["p_value"].tolist() == expected["p_value"].tolist()

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("engine", ["pandas", "polars"])
    def test_periods_of_any_type_are_compared(self, kind, engine):
        if (engine, kind) == ("polars", "numbers declared"):
            pytest.skip("Polars has no such type")
        words = answers_of((12, 4, 4), (5, 5, 10)).rename(columns={"group": "period"})
        data = words.assign(period=KINDS[kind]((words["period"] == "a").to_numpy()))
        data = pl.from_pandas(data) if engine == "polars" else data
        found, expected = row(compare_periods(data, "score")), row(compare_periods(words, "score"))
        assert found["estimate"] == expected["estimate"]
        assert found["p_value"] == expected["p_value"]
        named = row(compare_periods(data, "score", periods=(found["before"], found["period"])))
        assert named["estimate"] == found["estimate"]

    def test_a_group_may_be_named_by_its_value(self):
        data = answers_of((12, 4, 4), (5, 5, 10), names=[1.0, 2.0])
        by_value, by_label = (
            row(compare_groups(data, "score", by="group", against=one)) for one in (2.0, "2")
        )
        assert by_value["p_value"] == by_label["p_value"]

    def test_waves_are_compared_by_their_numbers(self):
        data = answers_of((5, 5, 5), (6, 5, 5), (7, 5, 5), names=["Wave 10", "Wave 2", "Wave 9"])
        found = compare_periods(data, "score", period="group")
        assert found["period"].tolist() == ["Wave 9", "Wave 10"]


def test_a_test_of_groups_without_spread_claims_no_more_than_it_has():
    data = pd.DataFrame({"s": [1.0] * 12 + [2.0] * 15, "g": ["a"] * 12 + ["b"] * 15})
    found = row(compare_groups(data, Metric("s", "mean"), by="g", against="b"))
    assert found["p_value"] < 0.001
    assert found["note"] == "no interval: every answer of a group is alike"


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ([METRIC, METRIC], "`metrics` must have one of a name per column; got 'nps' of 'score'"),
        ([METRIC, Metric("score", "mean", name="nps")], "got 'nps' of 'score' more than once"),
        ([], "`metrics` must be one metric or more; got none"),
    ],
)
def test_metrics_that_a_table_cannot_hold_are_refused(metrics, message):
    data = answers_of((20, 5, 5), (20, 5, 5)).assign(period=["2024", "2025"] * 30)
    for ask in (
        lambda: compare_groups(data, metrics, by="group"),
        lambda: period_changes(data, metrics),
        lambda: period_changes(data[data["period"] == "2025"], metrics),
    ):
        with pytest.raises(ValueError, match=message):
            ask()
    if metrics:
        with pytest.raises(ValueError, match=message):
            scorecard(data, metrics, by="group")
    else:
        assert scorecard(data, metrics).table.empty


@pytest.mark.parametrize("design", [{}, {"weights": "w"}, {"cluster": "c"}])
def test_means_of_groups_both_alike_have_no_standard_error(design):
    data = pd.DataFrame({"s": 10.0, "g": ["a", "b"] * 60, "c": np.arange(120) // 4})
    data["w"] = np.random.default_rng(0).gamma(2, 1, 120)
    found = compare_groups(data, Metric("s", "mean"), by="g", against="b", design=design).iloc[0]
    assert found["estimate"] == pytest.approx(0)
    assert found[["se", "ci_low", "ci_high"]].isna().all()
    assert found["p_value"] == 1 or np.isnan(found["p_value"])
    assert "every answer of a group is alike" in found["note"]
