import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, t, ttest_1samp

from cxlab import (
    compare_groups,
    load_study,
    nps,
    scorecard,
    top_box,
)
from cxlab.core.metric import Metric
from cxlab.stats.metrics import values
from tests.scores import mean_score

GOLDEN = Path(__file__).parent / "golden"

#: Of R's printed digits.
R_DIGITS = 5e-9
ROUNDING = 1e-9


def answers_of(promoters, passives, detractors):
    return pd.DataFrame({"score": [10] * promoters + [8] * passives + [2] * detractors})


def row(table):
    assert len(table) == 1
    return table.iloc[0]


@pytest.fixture(scope="module")
def designed():
    return pd.read_csv(GOLDEN / "survey_design.csv", dtype={"cluster": str})


@pytest.fixture(scope="module")
def from_r():
    return json.loads((GOLDEN / "survey_design.json").read_text())


DESIGN = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}


class TestNps:
    def test_by_hand(self):
        # 3 of 6 promoters, 1 detractor: p = 1/2, d = 1/6, net 1/3, variance p + d − net²
        result = row(nps(pd.DataFrame({"s": [10, 10, 9, 8, 7, 3]}), "s"))
        assert result[["n", "promoters", "passives", "detractors"]].tolist() == [6, 3, 2, 1]
        assert result["estimate"] == pytest.approx(100 / 3)
        assert result["se"] == pytest.approx(100 * np.sqrt((1 / 2 + 1 / 6 - 1 / 9) / 6))

    def test_class_boundaries(self, golden_scores):
        entry = golden_scores["nps.class.boundaries"]
        result = row(nps(pd.DataFrame({"s": entry["inputs"]["scores"]}), "s"))
        expected = [entry["expected"][key] for key in ("n_det", "n_pas", "n_pro")]
        assert result[["detractors", "passives", "promoters"]].tolist() == expected

    def test_population_of_whuber(self, golden_scores):
        entry = golden_scores["nps.population.whuber"]
        result = row(nps(answers_of(162, 108, 54), "score"))
        assert result["estimate"] == pytest.approx(100 * entry["expected"]["nps"], abs=ROUNDING)
        assert result["se"] == pytest.approx(100 * entry["expected"]["se"], abs=ROUNDING)

    def test_wald_half_width_of_talkstats(self, golden_scores):
        entry = golden_scores["nps.talkstats"]
        result = row(nps(answers_of(291, 476, 395), "score"))
        assert round(1.959964 * result["se"], 1) == entry["expected"]["moe_points_1dp"]
        assert round(result["estimate"]) == entry["expected"]["nps_rounded"]

    def test_standard_error_of_r_nps(self, golden_scores):
        entry = golden_scores["nps.Rpkg.onesample"]
        result = row(nps(answers_of(15, 13, 8), "score"))
        assert result["se"] / 100 == pytest.approx(entry["expected"]["se"], abs=entry["tolerance"])

    def test_standard_error_of_displayr(self, golden_scores):
        entry = golden_scores["nps.displayr"]
        result = row(nps(answers_of(200, 150, 150), "score"))
        assert result["se"] == pytest.approx(entry["expected"]["se"], abs=entry["tolerance"])

    def test_same_score_different_spread(self, golden_scores):
        entry = golden_scores["nps.same_score_different_spread"]
        errors = [
            row(nps(pd.DataFrame({"s": scores}), "s"))[["estimate", "se"]]
            for scores in entry["inputs"].values()
        ]
        assert [error["estimate"] for error in errors] == [0, 0]
        n = [len(scores) for scores in entry["inputs"].values()]
        variances = [(e["se"] / 100) ** 2 * k for e, k in zip(errors, n, strict=True)]
        assert variances == pytest.approx([1.0, 0.5714], abs=5e-5)

    def test_all_promoters_have_an_interval(self):
        result = row(nps(answers_of(10, 0, 0), "score"))
        assert result["estimate"] == 100
        assert result[["ci_low", "ci_high"]].tolist() == pytest.approx([44.49344, 100], abs=1e-5)

    def test_default_interval_is_the_score_interval(self):
        result = row(nps(answers_of(15, 13, 8), "score"))
        assert result[["ci_low", "ci_high"]].tolist() == pytest.approx([-6.77, 42.87], abs=0.005)

    @given(st.lists(st.lists(st.integers(0, 10), min_size=1, max_size=60), min_size=1, max_size=9))
    @settings(max_examples=10)
    def test_is_the_mean_of_plus_and_minus_100(self, groups):
        rows = [(number, score) for number, scores in enumerate(groups) for score in scores]
        table = nps(pd.DataFrame(rows, columns=["g", "s"]), "s", by="g")
        for result, scores in zip(table.to_dict("records"), groups, strict=True):
            values = np.select([np.array(scores) >= 9, np.array(scores) <= 6], [100, -100], 0)
            assert result["estimate"] == pytest.approx(values.mean(), abs=ROUNDING)
            assert result["se"] == pytest.approx(values.std() / np.sqrt(len(values)), abs=ROUNDING)

    def test_a_missing_answer_is_not_passive(self):
        result = row(nps(pd.DataFrame({"s": [10, 10, np.nan, 2]}), "s"))
        assert result["estimate"] == pytest.approx(100 / 3)
        assert result["n_missing"] == 1

    def test_no_answers_give_a_row_with_the_reason(self):
        result = row(nps(pd.DataFrame({"s": [np.nan, np.nan]}), "s"))
        assert np.isnan(result["estimate"])
        assert result["note"] == "no valid answer"


class TestDesign:
    @pytest.mark.parametrize(
        ("name", "design"),
        [("all", DESIGN), ("weights_only", {"weights": "weight"}),
         ("strata_only", {"weights": "weight", "strata": "stratum"})],
    )  # fmt: skip
    def test_standard_errors_against_r_survey(self, designed, from_r, name, design):
        result = row(nps(designed, "score", design=design))
        assert result["estimate"] == pytest.approx(from_r[name]["estimate"], abs=R_DIGITS)
        assert result["se"] == pytest.approx(from_r[name]["se"], abs=R_DIGITS)
        assert result["df"] == from_r[name]["df"]

    def test_a_group_is_a_domain_against_r_survey(self, designed, from_r):
        table = nps(designed, "score", by="group", design=DESIGN).set_index("group")
        for name in ("x", "y"):
            assert table.loc[name, "estimate"] == pytest.approx(
                from_r[name]["estimate"], abs=R_DIGITS
            )
            assert table.loc[name, "se"] == pytest.approx(from_r[name]["se"], abs=R_DIGITS)
            assert table.loc[name, "df"] == from_r[name]["df"]

    def test_a_filtered_frame_keeps_the_whole_design(self, designed, from_r):
        alone = designed["cluster"].isna().groupby(designed["stratum"]).sum()
        whole = designed.groupby("stratum")["cluster"].nunique() + alone
        told = designed.assign(sampled=designed["stratum"].map(whole))
        part = told[told["group"] == "x"]
        result = row(nps(part, "score", design={**DESIGN, "stratum_clusters": "sampled"}))
        assert result["se"] == pytest.approx(from_r["x"]["se"], abs=R_DIGITS)
        # without the count the cluster that y alone has answered is forgotten
        assert row(nps(part, "score", design=DESIGN))["se"] != pytest.approx(
            from_r["x"]["se"], abs=1e-6
        )

    def test_a_stratum_with_one_cluster_against_r_survey(self, designed, from_r):
        part = designed[(designed["stratum"] != "B") | (designed["cluster"] == "B0")]
        result = row(nps(part, "score", design=DESIGN))
        assert result["estimate"] == pytest.approx(from_r["lonely"]["estimate"], abs=R_DIGITS)
        assert result["se"] == pytest.approx(from_r["lonely"]["se"], abs=R_DIGITS)
        assert "1 strata with one cluster" in result["note"]

    @pytest.mark.parametrize("of_rows", [False, True])
    def test_strata_of_one_cluster_each_are_as_none(self, designed, of_rows):
        # no interval was given here, while correlations and drivers merged the strata
        alone = designed.assign(stratum=designed["cluster"].fillna("none"))
        if of_rows:
            alone = alone.assign(stratum=np.arange(len(alone)))
        within = {} if of_rows else {"cluster": "stratum"}
        plain = row(nps(alone, "score", design={"weights": "weight"} | within))
        result = row(
            nps(alone, "score", design={"strata": "stratum", "weights": "weight"} | within)
        )
        figures = ["estimate", "se", "ci_low", "ci_high", "df"]
        assert result[figures].tolist() == pytest.approx(plain[figures].tolist(), abs=R_DIGITS)
        assert np.isfinite(result["ci_low"])
        assert "strata of one cluster each taken as one" in result["note"]

    @pytest.mark.parametrize("level", [0.95, 0.9])
    def test_intervals_against_r_survey(self, designed, from_r, level):
        mean = row(mean_score(designed, "score", level=level, design=DESIGN))
        expected = from_r[f"mean_{100 * level:.0f}"]
        limits = [expected["low"], expected["high"]]
        assert mean[["ci_low", "ci_high"]].tolist() == pytest.approx(limits, abs=5e-8)
        # R's interval of a score is estimate ± t·se
        score = row(nps(designed, "score", design=DESIGN))
        half = (
            100
            * (from_r[f"wald_{100 * level:.0f}"]["high"] - from_r[f"wald_{100 * level:.0f}"]["low"])
            / 200
        )
        assert score["se"] * t.ppf(0.5 + level / 2, score["df"]) == pytest.approx(half, abs=5e-8)

    @pytest.mark.parametrize("level", [0.95, 0.9])
    def test_intervals_take_the_effective_size(self, designed, level):
        # by hand: n/deff with the ratio of the t quantiles, then the plain formula
        found = row(nps(designed, "score", level=level, design=DESIGN))
        quantile = [t.ppf(0.5 + level / 2, df) for df in (found["n"] - 1, found["df"])]
        size = found["n"] / found["deff"] * (quantile[0] / quantile[1]) ** 2
        assert found["n_eff"] == pytest.approx(size)
        p, d = found["promoter_share"], found["detractor_share"]
        z = norm.ppf(0.5 + level / 2)
        box = row(top_box(designed, "score", top=(9, 10), level=level, design=DESIGN))
        share, n = box["estimate"] / 100, box["n_eff"]
        centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
        assert (box["ci_low"] + box["ci_high"]) / 200 == pytest.approx(centre)
        for limit in (found["ci_low"] / 100, found["ci_high"] / 100):
            # Tango's restricted estimate by its quadratic, at the limit itself
            b, c = size * p, size * d
            linear = -b - c + (2 * size - b + c) * limit
            q = (np.sqrt(linear**2 + 8 * size * c * limit * (1 - limit)) - linear) / (4 * size)
            score = (b - c - size * limit) / np.sqrt(size * (2 * q + limit * (1 - limit)))
            assert abs(score) == pytest.approx(z, abs=1e-6)

    def test_missing_clusters_are_their_own_and_counted(self, designed):
        missing = int(designed["cluster"].isna().sum())
        result = row(nps(designed, "score", design=DESIGN))
        assert missing > 0
        assert f"{missing} rows without a cluster are clusters of their own" in result["note"]

    def test_few_degrees_of_freedom_are_flagged(self, designed):
        part = designed[designed["cluster"].isin(["A0", "A1", "A2", "A3"])]
        assert "only 3 degrees of freedom" in row(nps(part, "score", design=DESIGN))["note"]

    def test_one_cluster_gives_no_interval_and_the_reason(self, designed):
        part = designed[designed["cluster"] == "A0"]
        result = row(nps(part, "score", design=DESIGN))
        assert np.isnan(result["ci_low"])
        assert "no interval: fewer than two clusters" in result["note"]

    def test_everyone_alike_takes_the_effect_of_the_weights(self):
        data = pd.DataFrame({"s": [10] * 20, "w": [1.0, 3.0] * 10})
        result = row(nps(data, "s", design={"weights": "w"}))
        assert result["deff"] == pytest.approx(1.25)
        assert result["ci_low"] < result["ci_high"] == 100
        assert "all answers alike" in result["note"]

    def test_zero_weight_is_outside_the_population(self):
        data = pd.DataFrame({"s": [10, 2, 8, 0], "w": [1.0, 1.0, 1.0, 0.0]})
        result = row(nps(data, "s", design={"weights": "w"}))
        assert result["n"] == 3
        assert result["estimate"] == pytest.approx(0)

    def test_order_of_rows_changes_no_digit(self, designed):
        shuffled = designed.sample(frac=1, random_state=3)
        whole = row(nps(designed, "score", design=DESIGN))[["estimate", "se", "ci_low", "ci_high"]]
        again = row(nps(shuffled, "score", design=DESIGN))[["estimate", "se", "ci_low", "ci_high"]]
        assert whole.astype(float).tolist() == pytest.approx(
            again.astype(float).tolist(), rel=1e-12
        )


class TestAirport:
    @pytest.mark.parametrize(
        ("period", "counts", "plain", "weighted", "se", "df", "deff"),
        [("2017", [1436, 968, 342], 39.84, 40.398436, 1.524652, 208, 1.327),
         ("2018", [1268, 935, 447], 30.98, 35.113632, 2.210374, 214, 2.400)],
    )  # fmt: skip
    def test_nps_is_the_known_one(self, sfo, period, counts, plain, weighted, se, df, deff):
        answers = sfo.read(period=period)
        simple = row(nps(answers, "recommend"))
        assert simple[["promoters", "passives", "detractors"]].tolist() == counts
        assert simple["estimate"] == pytest.approx(plain, abs=0.005)
        result = row(nps(answers, "recommend", design=sfo.design))
        assert result["estimate"] == pytest.approx(weighted, abs=5e-7)
        assert result["se"] == pytest.approx(se, abs=5e-7)
        assert result["df"] == df
        assert result["deff"] == pytest.approx(deff, abs=5e-4)

    def test_eleven_is_never_a_promoter(self, sfo):
        assert row(nps(sfo.read(period="2017"), "recommend"))["estimate"] != pytest.approx(
            41.63, abs=0.1
        )

    def test_top_box_of_overall(self, sfo):
        result = row(top_box(sfo.read(period="2017"), "overall", top=(4, 5)))
        assert result["n"] == 2688
        assert result["estimate"] == pytest.approx(82.068, abs=5e-4)


class TestOtherScores:
    def test_mean_never_zero_fills(self, golden_scores):
        entry = golden_scores["seed.electronics_outlet"]
        scores = list(entry["inputs"]["scores"].values())
        result = row(mean_score(pd.DataFrame({"s": scores}, dtype=float), "s"))
        assert result["estimate"] == entry["expected"]["mean"]
        assert result["estimate"] != entry["expected"]["wrong_if_zero_filled"]
        assert result["n"] == entry["expected"]["n_scored"]

    def test_mean_by_hand(self):
        result = row(mean_score(pd.DataFrame({"s": [1.0, 2.0, 3.0]}), "s"))
        assert result["se"] == pytest.approx(1 / np.sqrt(3))
        assert result["ci_low"] == pytest.approx(2 - 4.302653 / np.sqrt(3), abs=1e-6)

    def test_top_box_by_hand(self):
        result = row(top_box(pd.DataFrame({"s": [5, 4, 4, 2]}), "s", top=(4, 5)))
        assert (result["estimate"], result["tops"]) == (75.0, 3)
        assert result["se"] == pytest.approx(100 * np.sqrt(0.75 * 0.25 / 4))

    @pytest.mark.parametrize(
        ("box", "message"),
        [({"top": (7, 6)}, "`top` must be a range"),
         ({"top": (6, 8), "scale": (1, 7)}, "within the scale 1 to 7")],
    )  # fmt: skip
    def test_bad_boxes_are_refused(self, box, message):
        with pytest.raises(ValueError, match=message):
            top_box(pd.DataFrame({"s": [1, 7]}), "s", **box)


class TestGroups:
    def test_groups_in_declared_order(self):
        kinds = pd.Categorical(["b", "a", "b", "a"], categories=["b", "a"])
        table = nps(pd.DataFrame({"s": [10, 9, 2, 3], "kind": kinds}), "s", by="kind")
        assert table["group"].tolist() == ["b", "a"]

    def test_several_columns_make_joint_groups(self):
        data = pd.DataFrame({"s": [10, 9], "a": ["x", "y"], "b": ["u", "v"]})
        assert nps(data, "s", by=["a", "b"])["group"].tolist() == ["x · u", "y · v"]

    def test_groups_equal_each_group_alone(self):
        rng = np.random.default_rng(4)
        data = pd.DataFrame({"s": rng.integers(0, 11, 300), "g": rng.integers(0, 5, 300)})
        table = nps(data, "s", by="g").set_index("group")
        for group, part in data.groupby("g"):
            alone = row(nps(part, "s"))
            assert table.loc[group, ["estimate", "se", "ci_low"]].tolist() == pytest.approx(
                alone[["estimate", "se", "ci_low"]].tolist()
            )

    def test_a_null_group_is_no_group(self):
        data = pd.DataFrame({"s": [10, 9, 1], "g": ["x", None, "x"]})
        assert nps(data, "s", by="g")["n"].tolist() == [2]


class TestScorecard:
    def test_stacks_what_the_study_declares(self):
        study = load_study("demo")
        answers = study.read(period="2025-Q4")
        table = scorecard(
            answers, study.metrics("outcome"), labels=study.labels, design=study.design
        ).table
        alone = row(nps(answers, "recommend", design=study.design))
        line = row(table[table["metric"] == "nps"])
        same = ["n", "estimate", "se", "ci_low", "ci_high"]
        assert line[same].tolist() == pytest.approx(alone[same].tolist())
        assert line["unweighted"] == pytest.approx(row(nps(answers, "recommend"))["estimate"])
        assert line["label"] == "Likelihood to recommend"

    def test_few_answers_are_flagged(self):
        table = scorecard(answers_of(5, 3, 2), [Metric("score", "mean")]).table
        assert table["note"].tolist() == ["fewer than 30 answers"]


@pytest.mark.parametrize("make", [lambda d: d, pl.from_pandas, lambda d: duckdb.from_df(d)],
                         ids=["pandas", "polars", "duckdb"])  # fmt: skip
def test_every_engine_gives_the_same_digits(designed, make):
    expected = nps(designed, "score", by="group", design=DESIGN)
    table = nps(make(designed), "score", by="group", design=DESIGN)
    pd.testing.assert_frame_equal(table, expected, rtol=1e-9)


BAD = {
    "unknown column": ({"score": [1]}, {"score": "scor"}, "column of the data; got 'scor'. Did you mean"),
    "eleven": ({"score": [1, 11, 11]}, {}, r"whole numbers from 0 to 10; got 11 \(and 1 more\)"),
    "between the bins": ({"score": [6.5]}, {}, r"whole numbers from 0 to 10; got 6\.5"),
    "negative weight": ({"score": [1], "w": [-1.0]}, {"design": {"weights": "w"}}, r"`weights` must be finite .*got '-1\.0'"),
    "infinite weight": ({"score": [1], "w": [np.inf]}, {"design": {"weights": "w"}}, "`weights` must be finite"),
    "null weight": ({"score": [1], "w": [np.nan]}, {"design": {"weights": "w"}}, "`weights` must be finite"),
    "null stratum": ({"score": [1, 2], "h": ["a", None]}, {"design": {"strata": "h"}}, "`strata` must be given"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_input_gets_one_sentence(case):
    data, arguments, message = BAD[case]
    arguments = {"score": "score", **arguments}
    with pytest.raises(ValueError, match=message):
        nps(pd.DataFrame(data), **arguments)


def test_names_that_differ_only_in_case_are_refused():
    with pytest.raises(ValueError, match="differ by more than case; got 'Seg' and 'seg'"):
        nps(pd.DataFrame({"Seg": [10, 0], "seg": ["a", "b"]}), "Seg", by="seg")


def test_several_columns_for_one_score_are_refused():
    with pytest.raises(TypeError, match="`score` must be the name of one column"):
        nps(pd.DataFrame({"a": [10]}), ["a"])


@pytest.mark.parametrize("origin", [0, 1e8])
@pytest.mark.parametrize("design", [{}, {"weights": "w"}])
def test_large_numbers_keep_their_spread(origin, design):
    data = pd.DataFrame({"s": origin + np.array([1.0, 2, 3]), "w": 1.0})
    result = row(mean_score(data, "s", design=design))
    assert result["estimate"] == pytest.approx(origin + 2, abs=1e-6)
    assert result["se"] == pytest.approx(1 / np.sqrt(3))


ONE_CLUSTER = pd.DataFrame({"s": [10, 9, 3, 7, 8, 10, 0, 9], "c": 1, "w": [1.0, 2] * 4})


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("metric", ["nps", "top box", "mean"])
def test_of_one_cluster_the_standard_error_is_unknown(metric, weights):
    ask = {
        "nps": nps,
        "top box": lambda *a, **k: top_box(*a, top=(9, 10), **k),
        "mean": mean_score,
    }[metric]
    result = row(ask(ONE_CLUSTER, "s", design={"cluster": "c", "weights": weights}))
    assert np.isnan(result[["se", "ci_low", "ci_high", "deff", "n_eff"]].astype(float)).all()
    assert result["note"].startswith("no interval: fewer than two clusters hold an answer")
    assert "alike" not in result["note"]


def test_of_one_cluster_among_several_groups_only_its_own_is_unknown():
    data = pd.concat([ONE_CLUSTER.assign(g="one")] + [ONE_CLUSTER.assign(c=i, g="five")
                                                      for i in range(2, 7)])  # fmt: skip
    se = nps(data, "s", by="g", design={"cluster": "c"}).set_index("group")["se"]
    assert np.isnan(se["one"])
    assert se["five"] >= 0


@pytest.mark.parametrize("design", [{}, {"weights": "w"}, {"cluster": "c"}])
def test_a_mean_of_answers_alike_has_no_interval(design):
    # 9.3 is no binary fraction: sums leave a variance just above 0
    data = pd.DataFrame({"s": 9.3, "w": [0.7, 1.3, 0.9] * 11, "c": [1, 2, 3] * 11})
    result = row(mean_score(data, "s", design=design))
    assert np.isnan(result[["ci_low", "ci_high"]].astype(float)).all()
    assert "all answers alike: no interval, their spread is unknown" in result["note"]


def test_clusters_alike_are_not_answers_alike():
    data = pd.DataFrame({"s": [10, 3] * 10, "c": np.repeat(range(10), 2)})
    result = row(nps(data, "s", design={"cluster": "c"}))
    assert result["note"] == "all clusters alike: design effect from the weights alone"
    assert result["ci_low"] < 0 < result["ci_high"]


#: 17 promoters and 3 passives of 20.
MOST = pd.DataFrame({"s": [10.0] * 17 + [8.0] * 3})
TARGETS = {
    "net": Metric("s", "net", top=(9, 10), bottom=(0, 6), name="nps", target=60),
    "box": Metric("s", "box", top=(9, 10), name="top box", target=60),
    "mean": Metric("s", "mean", target=9.4),
}


class TestConfidence:
    def test_that_of_an_nps_is_tangos(self):
        found = row(scorecard(MOST, [TARGETS["net"]]).table)
        assert found["confidence"] == pytest.approx(0.9614500641282291, abs=1e-12)
        assert found["attained"] == "undecided"

    def test_by_hand(self):
        box, mean = (row(scorecard(MOST, [TARGETS[kind]]).table) for kind in ("box", "mean"))
        assert box["confidence"] == pytest.approx(norm.cdf(0.25 / np.sqrt(0.6 * 0.4 / 20)))
        assert mean["confidence"] == pytest.approx(
            1 - ttest_1samp(MOST["s"], 9.4, alternative="greater").pvalue
        )

    @pytest.mark.parametrize("design", [{}, {"weights": "w", "cluster": "c"}])
    def test_a_target_at_the_limit_has_the_limits_confidence(self, design):
        rng = np.random.default_rng(3)
        data = pd.DataFrame({"s": rng.choice([10.0, 8, 3], 120, p=[0.7, 0.2, 0.1]),
                             "w": rng.gamma(4, 1, 120), "c": np.repeat(range(15), 8)})  # fmt: skip
        metrics = list(TARGETS.values())
        found = scorecard(data, metrics, design=design).table
        for limit, confidence in (("ci_low", 0.975), ("ci_high", 0.025)):
            ends = zip(metrics, found[limit], strict=True)
            at = [replace(metric, target=float(end)) for metric, end in ends]
            told = scorecard(data, at, design=design).table["confidence"]
            assert told.tolist() == pytest.approx([confidence] * 3, abs=1e-6)

    def test_at_the_end_of_the_scale(self):
        top = replace(TARGETS["net"], target=100)
        assert row(scorecard(MOST, [top]).table)["confidence"] == 0
        assert row(scorecard(MOST[:17], [top]).table)["confidence"] == 0.5


def test_groups_of_any_kind_have_plain_labels():
    data = pd.DataFrame({"s": [10, 9, 1, 2], "year": [2017.0, np.nan, 2018, 2018]})
    data["day"] = pd.to_datetime(["2025-01-01"] * 2 + ["2025-01-02"] * 2)
    data["band"] = pd.cut([1, 2, 3, 4], 2)
    assert nps(data, "s", by="year")["group"].tolist() == [2017, 2018]
    assert nps(data, "s", by="year")["n_ungrouped"].tolist() == [1, 1]
    assert nps(data, "s", by="day")["group"].tolist() == ["2025-01-01", "2025-01-02"]
    assert nps(data, "s", by="band")["n"].tolist() == [2, 2]


def test_a_mean_without_interval_says_why():
    data = pd.DataFrame({"s": [5.0, 5, 4], "g": ["alike", "alike", "one"]})
    notes = mean_score(data, "s", by="g")["note"].tolist()
    assert notes == [
        "all answers alike: no interval, their spread is unknown",
        "no interval: one answer only",
    ]


def test_weights_of_zero_are_counted():
    data = pd.DataFrame({"s": [10, 2], "w": [1.0, 0.0]})
    assert "1 rows of weight 0" in row(nps(data, "s", design={"weights": "w"}))["note"]


def test_text_scores_are_refused():
    with pytest.raises(TypeError, match="`score` must be a column of numbers; got 'ten'"):
        nps(pd.DataFrame({"score": ["ten"]}), "score")


def test_something_else_than_a_frame_is_refused():
    with pytest.raises(TypeError, match="`data` must be a pandas, Polars, DuckDB"):
        nps([9, 10], "score")


DECLARED = pd.CategoricalDtype([10, 2, 1], ordered=True)
#: Group columns of 1, 2 and 10, in the order and with the names that tables must give them.
GROUPS = {
    "whole numbers": (lambda g: g, ["1", "2", "10"]),
    "floating point": (lambda g: g.astype(float), ["1", "2", "10"]),
    "a blank among them": (lambda g: g.astype(float).where(g.index > 4), ["1", "2", "10"]),
    "declared numbers": (lambda g: g.astype(DECLARED), ["10", "2", "1"]),
    "truth": (lambda g: g == 2, ["False", "True"]),
    "dates": (lambda g: pd.Timestamp("2024-12-31") + pd.to_timedelta(g, "D"),
              ["2025-01-01", "2025-01-02", "2025-01-10"]),
    "local times": (lambda g: (pd.Timestamp("2024-12-31") + pd.to_timedelta(g, "D"))
                    .dt.tz_localize("Europe/Berlin"),
                    ["2025-01-01", "2025-01-02", "2025-01-10"]),
}  # fmt: skip


@pytest.mark.parametrize("kind", GROUPS)
def test_groups_have_one_name_and_one_order_in_every_table(kind):
    rng = np.random.default_rng(4)
    made, expected = GROUPS[kind]
    data = pd.DataFrame({"s": rng.integers(0, 11, 240), "period": ["2024", "2025"] * 120})
    data["g"] = made(pd.Series(rng.choice([1, 2, 10], 240)))
    metric = Metric("s", "net", top=(9, 10), bottom=(0, 6), name="nps")
    card = scorecard(data, [metric], by="g").table["group"].tolist()
    assert nps(data, "s", by="g")["group"].astype(str).tolist() == expected
    assert card == ["everyone", *expected]
    assert compare_groups(data, metric, by="g")["group"].tolist() == expected


@pytest.mark.parametrize("kind", ["object", "arrow"])
def test_decimals_are_numbers(kind):
    scores = [Decimal(9), Decimal("10.0"), None, Decimal(3)] * 5
    dtype = pd.ArrowDtype(pa.decimal128(5, 1)) if kind == "arrow" else object
    data = pd.DataFrame({"s": pd.Series(scores, dtype=dtype), "g": [Decimal("1.00"), None] * 10})
    assert row(nps(data, "s"))["n"] == 15
    assert row(nps(data, "s"))["estimate"] == pytest.approx(100 / 3)
    assert nps(data, "s", by="g")["group"].tolist() == [1]


def test_long_decimal_identifiers_stay_apart():
    customer = [Decimal(2**60 + i // 2) for i in range(8)]
    data = pd.DataFrame({"s": [10, 3] * 4, "customer": pd.Series(customer, dtype=object)})
    assert row(nps(data, "s", design={"cluster": "customer"}))["df"] == 3


def test_a_level_may_be_any_real_number():
    data = answers_of(5, 5, 5)
    single = row(nps(data, "score", level=np.float32(0.9)))
    assert single["ci_low"] == pytest.approx(row(nps(data, "score", level=0.9))["ci_low"], rel=1e-6)


def test_infinitely_many_sampled_clusters_are_refused():
    data = answers_of(5, 5, 5).assign(c=range(15), many=np.inf)
    with pytest.raises(ValueError, match="`stratum_clusters` must be finite numbers of 0 or more"):
        nps(data, "score", design={"cluster": "c", "stratum_clusters": "many"})


#: Of a standard error: whole numbers beside each other have it to the last digits.
SPREAD_DIGITS = 1e-9


DESIGNS = [{}, {"weights": "w"}, {"weights": "w", "cluster": "c"}]


class TestLargeNumbers:
    """Numbers far from zero in some groups have the spread of small ones."""

    def data(self, large):
        rng = np.random.default_rng(2)
        data = pd.DataFrame({"s": rng.integers(0, 11, 300).astype(float), "g": list("abc") * 100,
                             "w": rng.uniform(0.5, 2, 300), "c": rng.integers(0, 40, 300)})  # fmt: skip
        data.loc[::17, "s"] = np.nan
        return data, data.assign(s=data["s"].where(data["g"] == "c", data["s"] + large))

    @pytest.mark.parametrize("large", [1e9, -1e9, 1.7e12])
    @pytest.mark.parametrize(
        ("engine", "design"), [("pandas", {}), ("pandas", DESIGNS[1]), ("polars", DESIGNS[2]),
                               ("duckdb", DESIGNS[2])]
    )  # fmt: skip
    def test_each_group_keeps_its_standard_error(self, large, design, engine):
        small, moved = self.data(large)
        frame = {"pandas": lambda: moved, "polars": lambda: pl.from_pandas(moved).lazy(),
                 "duckdb": lambda: duckdb.from_df(moved)}[engine]()  # fmt: skip
        expected = mean_score(small, "s", by="g", design=design)
        found = mean_score(frame, "s", by="g", design=design)
        np.testing.assert_allclose(found["se"], expected["se"], rtol=SPREAD_DIGITS)
        assert found["note"].tolist() == expected["note"].tolist()
        assert found["n_missing"].tolist() == expected["n_missing"].tolist()
        shift = np.array([large, large, 0.0])
        np.testing.assert_allclose(found["estimate"], expected["estimate"] + shift, rtol=1e-12)

    @pytest.mark.parametrize("design", DESIGNS, ids=["simple", "weights", "clusters"])
    def test_a_difference_of_two_such_groups_is_theirs(self, design):
        small, moved = self.data(1e9)
        metric = Metric("s", "mean")
        expected, found = (
            compare_groups(data, metric, by="g", against="pairs", design=design).set_index(
                ["group", "other"]
            )
            for data in (small, moved)
        )
        for name in ("estimate", "se", "p_value", "df"):
            np.testing.assert_allclose(found.loc[("a", "b"), name], expected.loc[("a", "b"), name],
                                       rtol=1e-6)  # fmt: skip
        difference = expected.loc[("a", "c"), "estimate"] + 1e9
        assert found.loc[("a", "c"), "estimate"] == pytest.approx(difference, abs=1e-5)
        assert found.loc[("a", "c"), "se"] == pytest.approx(expected.loc[("a", "c"), "se"])

    def test_answers_that_are_alike_stay_so(self):
        data = pd.DataFrame({"s": [1e9] * 20 + [0.0] * 20, "g": ["a"] * 20 + ["b"] * 20})
        found = mean_score(data, "s", by="g")
        assert found["se"].tolist() == [0.0, 0.0]
        assert found["note"].str.contains("all answers alike").all()

    def test_ordinary_scores_are_summed_once(self, monkeypatch):
        calls = []
        summed = values.survey_totals
        monkeypatch.setattr(values, "survey_totals",
                            lambda *a, **k: calls.append(1) or summed(*a, **k))  # fmt: skip
        data = pd.DataFrame({"s": [5.0, 4, 1, 2] * 10, "g": ["alike", "alike", "x", "x"] * 10})
        mean_score(data.assign(s=data["s"].where(data["g"] != "alike", 4.1)), "s", by="g")
        assert len(calls) == 1
