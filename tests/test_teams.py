"""Teams: slopes of units, not of rows; shrunken means; which units to look at, and what never leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.special import stdtr

from benchmarks.simulate import simulate_programme
from cxlab.stats.teams import link_teams, study_teams, unit_scores, unit_signs
from cxlab.stats.teams.link import BETWEEN, CORRECTED, WITHIN, reliability
from cxlab.stats.teams.scores import _spread, funnel
from cxlab.stats.teams.units import meta_regression, unit_means
from cxlab.survey.study import load_study
from tests.unfounded import unfounded

GOLDEN = Path(__file__).parent / "golden" / "outcomes"
#: R's metafor ends its steps of τ² at 1e-5 of its own, and prints ten digits.
DIGITS = 1e-6
EXACT = 1e-9
#: By arithmetic: z is −1.28143 four times and 7.49219, drawn in to 3.98274; φ = 6.61082, τ² = .0448366.
HAND_PHI, HAND_Z = 6.6108202, 2.6063102


def linked(staff, buyers, **options):
    given = {"unit": "shop", "employee_score": "e", "customer_score": "c", "min_group_size": 1}
    return link_teams(staff, buyers, **(given | options))


def drawn(rng, units=20, *, slope=0.0, staff=12, buyers=40, spread=0.5, noise=1.5):
    """Shops whose employees and customers answer with noise about the shop's true means."""
    true = rng.normal(7, 0.8, units)
    quality = 7 + slope * (true - 7) + rng.normal(0, spread, units)
    shop = np.arange(units)
    e = pd.DataFrame({"shop": shop.repeat(staff), "e": rng.normal(true.repeat(staff), noise)})
    c = pd.DataFrame({"shop": shop.repeat(buyers), "c": rng.normal(quality.repeat(buyers), 2)})
    return e, c


def row(link, name):
    return link.table.set_index("slope").loc[name]


class TestSlopes:
    def test_schools_of_new_york_against_R(self):
        units = pd.read_csv(GOLDEN / "nyc_units.csv").rename(columns={"dbn": "shop"})
        staff = units[["shop"]].assign(mean=units["com_t_11"], n=units["N_t"])
        buyers = units[["shop"]].assign(mean=units["com_p_11"], n=units["N_p"], sd=2.0)
        link = linked(staff, buyers, employee_score="mean", customer_score="mean")
        found = row(link, BETWEEN)
        fit = meta_regression(
            units["com_p_11"].to_numpy(), 4 / units["N_p"].to_numpy(float),
            np.column_stack([np.ones(len(units)), units["com_t_11"]]),
        )  # fmt: skip
        values = pd.read_csv(GOLDEN / "excx.csv", header=None, index_col=0)[1]
        assert found["estimate"] == pytest.approx(values["nyc.slope"], rel=DIGITS)
        assert found["se"] == pytest.approx(values["nyc.slope.se_kh"], rel=DIGITS)
        assert float(fit.tau2) == pytest.approx(values["nyc.tau2"], rel=DIGITS)
        assert found["p_value"] == pytest.approx(values["nyc.slope.p"], rel=DIGITS)
        assert found["n"] == 426
        assert "not known" in row(link, CORRECTED)["note"]
        assert np.isnan(row(link, CORRECTED)["estimate"])

    def test_reliability_by_hand(self):
        # weighted mean 2.5, squares 6.25 + 0.25 + 2 × 2.25 = 11; noise 0.75 + 0.75 + 2 × 0.5
        found, _ = reliability(np.array([0.0, 2, 4]), np.ones(3), np.array([1.0, 1, 2]))
        assert found == pytest.approx(1 - 2.5 / 11, rel=EXACT)

    def test_corrected_is_the_slope_over_the_reliability(self):
        link = linked(*drawn(np.random.default_rng(1), slope=0.5))
        found = row(link, CORRECTED)
        assert found["estimate"] == pytest.approx(
            row(link, BETWEEN)["estimate"] / found["reliability"], rel=EXACT
        )
        assert found["ci_low"] < row(link, BETWEEN)["estimate"] < found["ci_high"]

    def test_corrected_interval_by_leaving_each_unit_out(self):
        # employees of one shop differ most: without it the variance within is another
        rng = np.random.default_rng(1)
        e, c = drawn(rng, 15, slope=0.5, noise=1.0)
        e.loc[e["shop"] == 3, "e"] += rng.normal(0, 5, 12)
        found, table = row(linked(e, c), CORRECTED), linked(e, c).every
        left = [row(linked(e[e["shop"] != i], c[c["shop"] != i]), BETWEEN) for i in range(15)]
        each = np.array([one["estimate"] / one["reliability"] for one in left])
        # customers' variance within is kept: it moves the weights only
        se = np.sqrt(14 / 15 * ((each - found["estimate"]) ** 2).sum())
        assert found["se"] == pytest.approx(se, rel=0.01)
        # equal numbers, nearly equal weights: (Σs)²/Σs² of the employees' means
        s = (table["employee_mean"] - table["employee_mean"].mean()) ** 2
        assert found["df"] == pytest.approx(s.sum() ** 2 / (s**2).sum(), rel=EXACT)

    def test_weights_are_those_of_the_means(self):
        # a row of weight 3 is worth three rows in the mean; Kish's n of 3, 1, 1, 1 is 3
        e, c = drawn(np.random.default_rng(1), staff=6)
        c["w"] = np.where(np.arange(len(c)) % 4 == 0, 3.0, 1.0)
        link = linked(e, c, design={"weights": "w"})
        own = c[c["shop"] == 0]
        assert link.units["customer_mean"][0] == pytest.approx(
            np.average(own["c"], weights=own["w"]), rel=EXACT
        )
        assert link.units["n"][0] == 40
        means, _ = unit_means(c, unit="shop", score="c", design={"weights": "w"})
        assert means["n_effective"].tolist() == pytest.approx([30.0] * 20)
        # employees of weight 0 are outside, equal weights change nothing
        e["w"] = 2.0
        more = pd.concat([e, e.iloc[:9].assign(e=1.0, w=0.0)])
        again = linked(more, c, design={"weights": "w"}, employee_design={"weights": "w"})
        pd.testing.assert_frame_equal(again.table, link.table)
        with pytest.raises(ValueError, match="`weights` must be"):
            linked(e, c.assign(w=-1.0), design={"weights": "w"})

    def test_frames_of_other_engines_say_the_same(self):
        polars = pytest.importorskip("polars")
        e, c = drawn(np.random.default_rng(1))
        e, c = e.assign(wave=e.index % 2), c.assign(wave=c.index % 2)
        link = linked(polars.from_pandas(e), polars.from_pandas(c), within="wave")
        pd.testing.assert_frame_equal(link.table, linked(e, c, within="wave").table)

    def test_equal_shops_without_sampling_error_are_least_squares(self):
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=(2, 12))
        fit = meta_regression(y, np.zeros(12), np.column_stack([np.ones(12), x]))
        assert fit.beta[1] == pytest.approx(np.polyfit(x, y, 1)[0], rel=EXACT)
        assert fit.tau2 == pytest.approx(np.polyfit(x, y, 1, full=True)[1][0] / 10, rel=EXACT)

    def test_leaving_a_unit_out_is_a_fit_without_it(self):
        rng = np.random.default_rng(3)
        x, y, variance = rng.normal(size=12), rng.normal(size=12), rng.uniform(0.1, 0.5, 12)
        columns = np.column_stack([np.ones(12), x])
        left = meta_regression(y, variance, columns, 1 - np.eye(12))
        alone = meta_regression(y[1:], variance[1:], columns[1:])
        assert left.beta[0] == pytest.approx(alone.beta, rel=DIGITS)

    @pytest.mark.parametrize("units", [10, 15, 40])
    def test_a_true_null_is_rejected_as_often_as_said(self, units):
        rng = np.random.default_rng(units)
        studies = 1_500
        n = rng.integers(15, 80, (studies, units))
        x, y = rng.normal(size=(studies, units)), rng.normal(0, np.sqrt(0.2 + 4 / n))
        columns = np.stack([np.ones_like(x), x], axis=-1)
        fit = meta_regression(y, 4 / n, columns)
        t = np.abs(fit.beta[:, 1]) / np.sqrt(fit.covariance[:, 1, 1])
        assert 0.03 < (2 * stdtr(units - 2, -t) < 0.05).mean() < 0.07

    def test_corrected_interval_holds_the_truth_where_the_other_does_not(self):
        rng = np.random.default_rng(4)
        held = []
        for _ in range(30):
            found = linked(*drawn(rng, 30, slope=0.8, staff=10)).table.set_index("slope")
            if not found["note"][CORRECTED]:
                held.append((found["ci_low"] <= 0.8) & (found["ci_high"] >= 0.8))
        share = pd.DataFrame(held).mean()
        assert share[CORRECTED] > 0.85
        assert share[BETWEEN] < 0.8

    def test_opposite_slopes_are_both_shown(self):
        rng = np.random.default_rng(5)
        true, change = rng.normal(7, 0.9, 40), rng.normal(0, 0.4, (40, 2))
        keys = pd.DataFrame({"shop": np.repeat(range(40), 2), "wave": [1, 2] * 40})
        x = (true[:, None] + change).ravel()
        y = (0.8 * true[:, None] - 0.5 * change).ravel()
        e = keys.loc[keys.index.repeat(40)].assign(e=rng.normal(x.repeat(40), 1))
        c = keys.loc[keys.index.repeat(60)].assign(c=rng.normal(y.repeat(60), 1))
        link = linked(e, c, within="wave")
        assert row(link, BETWEEN)["ci_low"] > 0
        assert row(link, WITHIN)["ci_high"] < 0
        found = link.findings(noun="shop")
        assert "customers score 0." in found.answer.text
        within = found.of_kind("finding")[0].text
        assert within.startswith(
            "Within a shop, from one survey of employees to the next, it is −0."
        )

    def test_within_by_hand(self):
        # each shop's customers move by −2 per point of employees, whatever its level
        keys = pd.DataFrame({"shop": np.repeat(range(10), 2), "wave": [1, 2] * 10})
        step = np.array([-5.0, -4, -3, -2, -1, 1, 2, 3, 4, 5])
        move = (step[:, None] * [-0.5, 0.5]).ravel()
        both = [
            pd.concat([keys.assign(**{side: values - 1}), keys.assign(**{side: values + 1})])
            for side, values in (("e", move), ("c", 5 - 2 * move))
        ]
        found = row(linked(*both, within="wave"), WITHIN)
        assert found["estimate"] == pytest.approx(-2, rel=EXACT)
        # the steps add up to 0; Σk² twice over k = 1 … 5 is 110, Σk⁴ is 1,958
        assert found["df"] == pytest.approx(110**2 / 1_958, rel=EXACT)

    def test_employees_who_answer_in_every_survey_are_counted_once(self):
        e, c = drawn(np.random.default_rng(1), staff=6)
        waves = [(e.assign(wave=w), c.assign(wave=w, c=c["c"] + w)) for w in range(4)]
        both = [pd.concat(side) for side in zip(*waves, strict=True)]
        link, once = linked(*both, within="wave", min_group_size=10), linked(e, c)
        assert link.units["n_employees"].isna().all()
        assert row(link, BETWEEN)["reliability"] == pytest.approx(row(once, BETWEEN)["reliability"])

    def test_a_common_trend_is_no_link_within(self):
        rng, found = np.random.default_rng(1), []
        for _ in range(30):
            sides = []
            for name, n in (("e", 12), ("c", 40)):
                keys = pd.DataFrame({"shop": np.repeat(range(20), 3), "wave": [1, 2, 3] * 20})
                rows = keys.loc[keys.index.repeat(n)]
                sides.append(rows.assign(**{name: rows["wave"] + rng.normal(0, 1, len(rows))}))
            found.append(row(linked(*sides, within="wave"), WITHIN)["p_value"] < 0.05)
        assert np.mean(found) < 0.15


class TestRefusals:
    def test_under_ten_units_both_scores_and_no_slope(self):
        link = linked(*drawn(np.random.default_rng(1), 9))
        assert list(link.table["slope"]) == [BETWEEN]
        assert link.table["estimate"].isna().all()
        assert link.units[["employee_mean", "customer_mean"]].notna().all(axis=None)
        assert link.findings(noun="shop").answer.text == (
            "Both scores of nine shops stand side by side; a slope needs ten"
        )

    def test_units_that_only_one_side_has_are_counted(self):
        e, c = drawn(np.random.default_rng(1))
        link = linked(e[e["shop"] > 1], c[c["shop"] < 19])
        assert link.table["n"].iloc[0] == 17
        assert link.notes == (
            "Units with employees only, left out: 1.",
            "Units with customers only, left out: 2.",
        )

    def test_units_must_have_the_same_names(self):
        e, c = drawn(np.random.default_rng(1))
        with pytest.raises(ValueError, match="same units in both tables; got '100' of employees"):
            linked(e.assign(shop=e["shop"] + 100), c)

    def test_surveys_must_have_the_same_names(self):
        e, c = drawn(np.random.default_rng(1))
        with pytest.raises(ValueError, match="`wave` must name the same surveys in both tables"):
            linked(e.assign(wave="2024"), c.assign(wave="Q4"), within="wave")

    def test_a_spread_that_only_other_units_have_is_not_known(self):
        # one customer a shop; the shop of many has no employees
        e, c = drawn(np.random.default_rng(1), buyers=1)
        other = pd.DataFrame({"shop": 99, "c": range(20)})
        with pytest.raises(ValueError, match="`customer_score` must vary within units"):
            linked(e, pd.concat([c, other]))

    def test_weights_beside_means_are_refused(self):
        e, c = drawn(np.random.default_rng(1))
        means = pd.DataFrame({"shop": range(20), "mean": range(20), "n": 9, "w": 1.0})
        weights = {"weights": "w"}
        with pytest.raises(ValueError, match="`weights` must be left out beside unit means"):
            linked(means, c, employee_score="mean", employee_design=weights)
        with pytest.raises(ValueError, match="`weights` must be left out beside unit means"):
            unit_scores(means, unit="shop", score="mean", design=weights)

    def test_the_last_survey_is_that_which_both_have(self):
        # customers have not been asked since the second survey of employees
        e, c = drawn(np.random.default_rng(1))
        later = pd.concat([e.assign(wave=1), e.assign(wave=2, e=e["e"] + 1)])
        link = linked(later, c.assign(wave=1), within="wave")
        assert row(link, BETWEEN)["estimate"] == pytest.approx(
            row(linked(e, c), BETWEEN)["estimate"], rel=EXACT
        )
        nobody = linked(later.head(0), c.assign(wave=1), within="wave")
        assert list(nobody.table["note"]) == ["fewer than 10 units: no slope"]

    def test_employees_who_are_all_alike_give_no_slope(self):
        e, c = drawn(np.random.default_rng(1))
        link = linked(e.assign(e=7.0, wave=e.index % 2), c.assign(wave=c.index % 2), within="wave")
        assert link.table["estimate"].isna().all()
        assert (link.table["note"] == "employees' means are all alike: no slope").all()
        assert link.findings(noun="shop").answer.text.endswith("needs employees who differ")

    def test_a_reliability_under_a_half_gives_no_corrected_slope(self):
        link = linked(*drawn(np.random.default_rng(1), staff=3, noise=4))
        assert row(link, CORRECTED)["note"].startswith("reliability of employees' means under 0.5")
        assert np.isnan(row(link, CORRECTED)["estimate"])
        assert np.isfinite(row(link, BETWEEN)["estimate"])

    def test_units_of_few_employees_are_hidden(self):
        e, c = drawn(np.random.default_rng(1))
        link = linked(e.drop(index=range(5)), c, min_group_size=10)
        hidden = link.units[link.units["customer_mean"].isna()]
        assert "0" in list(hidden["unit"])
        assert len(hidden) == 2
        assert hidden[["n_employees", "employee_mean", "n"]].isna().all(axis=None)
        assert link.table["n"].iloc[0] == 20

    def test_units_that_are_persons_must_be_said(self):
        e, c = drawn(np.random.default_rng(1), staff=1)
        with pytest.raises(ValueError, match="`persons` must be True .* got 20 of 20 units"):
            linked(e, c)
        link = linked(e, c, persons=True)
        assert link.units.empty
        assert len(link.every) == 20

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"shop": 0}, "must name each unit once .* got 0"),
            ({"n": 0}, "`n` must be 1 or more; got 0"),
            ({"sd": -1.0}, "`sd` must be 0 or more; got -1.0"),
        ],
    )
    def test_means_that_cannot_be_are_refused(self, changes, message):
        _, c = drawn(np.random.default_rng(1))
        means = pd.DataFrame({"shop": range(20), "mean": 7.0, "n": 9, "sd": 1.0}).assign(**changes)
        with pytest.raises(ValueError, match=message):
            linked(means, c, employee_score="mean")

    def test_customers_means_need_their_spread(self):
        e, _ = drawn(np.random.default_rng(1))
        means = pd.DataFrame({"shop": range(20), "mean": 7.0, "n": 9})
        with pytest.raises(ValueError, match="unit means with their `sd`"):
            linked(e, means, customer_score="mean")

    def test_means_and_rows_say_the_same(self):
        e, c = drawn(np.random.default_rng(1))
        sides = [
            rows.groupby("shop")[one].agg(mean="mean", sd="std", n="size").reset_index()
            for rows, one in ((e, "e"), (c, "c"))
        ]
        given = linked(*sides, employee_score="mean", customer_score="mean")
        pd.testing.assert_frame_equal(given.table, linked(e, c).table)

    def test_means_by_survey_and_rows_say_the_same(self):
        e, c = drawn(np.random.default_rng(1))
        e, c = (rows.assign(wave=rows.index % 2) for rows in (e, c))
        sides = [
            rows.groupby(["shop", "wave"])[one].agg(mean="mean", sd="std", n="size").reset_index()
            for rows, one in ((e, "e"), (c, "c"))
        ]
        given = linked(*sides, employee_score="mean", customer_score="mean", within="wave")
        pd.testing.assert_frame_equal(given.table, linked(e, c, within="wave").table)


class TestScores:
    def rows(self):
        shops = {"a": 2, "b": 4, "c": 6}
        return pd.DataFrame(
            [(shop, mean + step) for shop, mean in shops.items() for step in (-1, -1, 1, 1)],
            columns=["shop", "c"],
        )

    def test_shrunken_means_by_hand(self):
        # variance of means 4, sampling variance (4/3)/4: τ² = 11/3, drawn in by a twelfth
        found = unit_scores(self.rows(), unit="shop", score="c", min_group_size=1)
        assert list(found.units["shrunken"]) == pytest.approx([4 - 11 / 6, 4, 4 + 11 / 6], rel=1e-6)

    def test_a_unit_that_varies_more_has_a_wider_interval(self):
        rng = np.random.default_rng(1)
        spread = np.repeat([4.0, 1, 1, 1, 1], 30)
        rows = pd.DataFrame({"shop": np.repeat(range(5), 30), "c": rng.normal(0, spread)})
        se = unit_scores(rows, unit="shop", score="c").units["se"]
        assert se[0] == pytest.approx(4 / np.sqrt(30), rel=0.3)
        assert se[1] == pytest.approx(1 / np.sqrt(30), rel=0.4)

    def test_weighted_scores_by_hand(self):
        # shop a: 1, 1, 3, 3 with weights 1, 1, 2, 2: mean 14/6, Kish's n 36/10
        rows = self.rows().assign(w=[1.0, 1, 2, 2] * 3)
        found = unit_scores(rows, unit="shop", score="c", design={"weights": "w"}, min_group_size=1)
        assert found.units["estimate"].tolist() == pytest.approx([7 / 3, 13 / 3, 19 / 3])
        # squares (2·16/9 + 4·4/9)/(6 − 10/6) are 16/13 in each, so pooled as well
        assert found.units["se"].tolist() == pytest.approx([np.sqrt(16 / 13 / 3.6)] * 3)

    def test_a_unit_that_rests_on_one_weight_has_no_place(self):
        # 4 answers, of which one has nearly all the weight: Kish's n is barely over 1
        rows = self.rows().assign(w=[500.0, 1, 1, 1, *[1.0] * 8])
        found = unit_scores(rows, unit="shop", score="c", design={"weights": "w"}, min_group_size=1)
        assert found.units["rank"].isna().tolist() == [True, False, False]
        assert found.units["ci_low"].isna().tolist() == [True, False, False]

    def test_equals_share_all_places(self):
        rng = np.random.default_rng(1)
        rows = pd.DataFrame({"shop": np.repeat(range(6), 60), "c": rng.normal(size=360)})
        found = unit_scores(rows, unit="shop", score="c").units
        assert (found["rank_low"] == 1).all()
        assert (found["rank_high"] == 6).all()

    def test_persons_leave_only_in_a_file_that_was_asked_for(self, tmp_path):
        found = unit_scores(self.rows(), unit="shop", score="c", persons=True, min_group_size=1)
        assert found.units.empty
        assert "shop" not in str(found)
        found.write(None)
        assert not list(tmp_path.iterdir())
        found.write(tmp_path / "people.csv")
        assert (tmp_path / "people.csv").stat().st_mode & 0o077 == 0
        assert len(pd.read_csv(tmp_path / "people.csv")) == 3

    def test_one_unit_is_refused(self):
        with pytest.raises(ValueError, match="two units with 10 answers"):
            unit_scores(self.rows(), unit="shop", score="c")


def test_answers_of_one_customer_say_as_much_as_one():
    # they were taken as independent: intervals 1.7 times too narrow
    rng = np.random.default_rng(3)
    once = pd.DataFrame({"unit": np.repeat(["a", "b", "c"], 20), "score": rng.normal(7, 2, 60)})
    once["customer"] = np.arange(60)
    thrice = once.loc[np.repeat(np.arange(60), 3)].reset_index(drop=True)
    given = {"unit": "unit", "score": "score"}
    plain = unit_scores(once, **given).units
    same = unit_scores(thrice, **given, design={"cluster": "customer"}).units
    figures = ["estimate", "se", "ci_low", "ci_high", "shrunken"]
    np.testing.assert_allclose(same[figures], plain[figures], rtol=1e-10)
    assert same["n"].tolist() == [60, 60, 60]
    # customers who answer once change nothing, nor do rows without one
    once.loc[:4, "customer"] = np.nan
    alone = unit_scores(once, **given, design={"cluster": "customer"}).units
    pd.testing.assert_frame_equal(alone, plain)


def test_clusters_of_a_unit_by_hand():
    rows = pd.DataFrame({
        "unit": ["a"] * 4 + ["b"] * 2, "score": [1.0, 3, 5, 7, 2, 4], "who": ["x", "x", "y", "y", "z", "z"],
    })  # fmt: skip
    by = {"design": {"cluster": "who"}, "clustered": True}
    means, _ = unit_means(rows, unit="unit", score="score", **by)
    # a: of mean 4 the clusters' totals are −4 and 4 of 4 answers: 2/1 · (1 + 1) times two clusters
    assert means.loc["a", ["n", "n_effective", "variance"]].tolist() == [4, 2, 8]
    assert means.loc["b", "n_effective"] == 1
    assert np.isnan(means.loc["b", "variance"])


def agents(rng, top, n=50):
    """Scores of agents whose true shares of top scores are given."""
    scores = np.where(rng.random((len(top), n)) < np.asarray(top)[:, None], 10, 5)
    return pd.DataFrame({"agent": np.arange(len(top)).repeat(n), "score": scores.ravel()})


def signs_of(rows, **options):
    given = {"unit": "agent", "score": "score", "top": (9, 10), "persons": True}
    return unit_signs(rows, **(given | options))


class TestSigns:
    def test_funnel_by_hand(self):
        # 20 of 40 is exactly π/4; the fifth has 40 of 40
        found = funnel(np.array([0.5, 0.5, 0.5, 0.5, 1.0]), np.full(5, 40.0))
        assert found["centre"].iloc[0] == pytest.approx(0.6, rel=EXACT)
        assert found["phi"].iloc[0] == pytest.approx(HAND_PHI, rel=1e-6)
        assert found["z"].iloc[4] == pytest.approx(HAND_Z, rel=1e-6)

    def test_two_steered_agents_are_found_and_honest_ones_are_not(self):
        rng, size = np.random.default_rng(1), np.full(60, 80.0)
        beyond, found, flagged = 3.0902, 0, 0
        for _ in range(200):
            share = rng.binomial(80, np.clip(rng.normal(0.4, 0.05, 60), 0, 1)) / 80
            flagged += (funnel(share, size)["z"] > beyond).any()
            share[:2] = rng.binomial(80, 0.75, 2) / 80
            found += (funnel(share, size)["z"][:2] > beyond).sum()
        assert found / 400 >= 0.9
        assert flagged / 200 <= 0.17

    def test_many_steered_agents_do_not_hide_one_another(self):
        rng, size, found = np.random.default_rng(2), np.full(60, 80.0), 0
        for _ in range(100):
            true = np.clip(rng.normal(0.4, 0.05, 60), 0, 1)
            true[:6] = 0.75
            found += (funnel(rng.binomial(80, true) / 80, size)["z"][:6] > 3.0902).sum()
        assert found / 600 >= 0.85

    def test_large_and_small_units_differ_alike(self):
        """τ² as large as makes φ (J − 1)/J, of few large units among small ones too."""
        n = np.tile([20.0, 20, 400], 10)
        share = np.round(n * np.tile([0.40, 0.40, 0.30, 0.40, 0.40, 0.50], 5)) / n
        middle, phi, between = _spread(
            share, n, np.arcsin(np.sqrt((share * n + 3 / 8) / (n + 3 / 4)))
        )
        apart = np.arcsin(np.sqrt((share * n + 3 / 8) / (n + 3 / 4))) - np.arcsin(np.sqrt(middle))
        alone = np.clip(*(apart / np.sqrt(1 / (4 * n + 2) + between), *np.quantile(
            apart / np.sqrt(1 / (4 * n + 2) + between), [0.1, 0.9])))  # fmt: skip
        assert phi > 1
        assert (alone**2).mean() / 0.6786 == pytest.approx(29 / 30, rel=1e-6)

    def test_answers_of_one_customer_are_one(self):
        """Honest agents whose customers answer four times alike, some with many customers."""
        rng, alone, together = np.random.default_rng(3), 0, 0
        for _ in range(15):
            customers = np.tile([5, 10, 75], 20)
            top = np.clip(rng.normal(0.4, 0.05, 60), 0, 1).repeat(customers)
            rows = pd.DataFrame({"agent": np.arange(60).repeat(customers), "customer": range(1800),
                                 "score": np.where(rng.random(1800) < top, 10, 5)})  # fmt: skip
            rows = rows.loc[rows.index.repeat(4)]
            alone += signs_of(rows).table["look_at"].iloc[0] > 0
            found = signs_of(rows, design={"cluster": "customer"})
            together += found.table["look_at"].iloc[0] > 0
        # a seventh or fewer of the studies is said
        assert together <= 4
        assert alone > together

    def test_answers_of_one_customer_that_differ_are_several(self):
        rows = agents(np.random.default_rng(5), [0.4] * 12, 400)
        rows["customer"] = np.arange(len(rows)) // 4
        one, several = (signs_of(rows, design=d).every for d in ({}, {"cluster": "customer"}))
        assert several["upper"].to_numpy() == pytest.approx(one["upper"].to_numpy(), abs=0.02)
        assert several["n"].tolist() == one["n"].tolist()

    def test_signs_share_the_level(self):
        rng = np.random.default_rng(2)
        rows = agents(rng, [0.4] * 20)
        rows["hours"] = rng.exponential(4, len(rows))
        invited = pd.DataFrame({"agent": np.arange(20).repeat(80), "came": rng.random(1600) < 0.5})
        one = signs_of(rows).every["upper"].iloc[0]
        three = signs_of(rows, invited=invited, answered="came", delay="hours")
        assert list(three.table["sign"]) == [
            "top scores", "invited who answered", "answered at once",
        ]  # fmt: skip
        assert three.every["upper"].iloc[0] > one

    def test_a_low_response_is_a_sign_and_a_low_score_is_none(self):
        rng = np.random.default_rng(3)
        low = [0.02, *[0.5] * 29]
        rows = agents(rng, low, 80)
        came = agents(rng, low, 80).assign(came=lambda d: d["score"] == 10)
        looked = signs_of(rows, invited=came, answered="came").every
        first = looked[looked["unit"] == "0"].set_index("sign")["look_at"]
        assert not first["top scores"]
        assert first["invited who answered"]

    def test_signs_refuse_what_cannot_be(self):
        rows = agents(np.random.default_rng(1), [0.4] * 12)
        with pytest.raises(ValueError, match=r"`top` must be \(low, high\)"):
            signs_of(rows, top=(10, 9))
        with pytest.raises(ValueError, match="`answered` must be a column of `invited`"):
            signs_of(rows, invited=rows)

    def test_what_is_left_out_is_counted(self):
        rows = agents(np.random.default_rng(1), [0.4] * 12)
        rows = rows.assign(score=rows["score"].mask(rows.index < 3), hours=2.0)
        rows["agent"] = rows["agent"].astype("Int64").mask(rows.index == 9)
        found = signs_of(rows, delay="hours").n_missing
        assert found.to_numpy().tolist() == [["score", 4], ["hours", 1]]

    def test_few_units_are_not_judged(self):
        signs = signs_of(agents(np.random.default_rng(1), [0.4] * 9))
        assert signs.table["centre"].isna().all()
        link = linked(*drawn(np.random.default_rng(1)))
        assert "to look at" not in link.findings(signs=signs).answer.text


@pytest.fixture(scope="module")
def demo():
    return study_teams(load_study("demo"))


class TestStudy:
    def test_the_demos_truth_is_found(self, demo):
        truth = simulate_demo()
        link, signs = link_teams(**demo.link), unit_signs(**demo.signs)
        planted = np.polyfit(truth.teams["engagement"], truth.teams["score"], 1)[0]
        found = row(link, CORRECTED)
        assert found["ci_low"] < planted < found["ci_high"]
        looked = signs.every[signs.every["look_at"]]
        assert tuple(sorted(looked["unit"])) == truth.steering

    def test_every_number_of_a_sentence_is_a_cell(self, demo):
        link, scores = link_teams(**demo.link), unit_scores(**demo.scores)
        signs = unit_signs(**demo.signs)
        tables = {
            "team-slopes": link.table,
            "teams-together": scores.table,
            "team-signs": signs.table,
        }
        for given in (link, no_slope(link), turned(link), unsure(link)):
            findings = given.findings(signs, **demo.words)
            tables["team-slopes"] = given.table
            assert not unfounded(findings, tables)
            assert not any(word in str(findings).lower() for word in ("cheat", "drive", "cause"))

    def test_a_slope_down_is_told_by_its_size(self):
        link = turned(None)
        found = row(link, BETWEEN)
        assert found["ci_high"] < 0
        low, high = (f"{-found[end]:.1f}" for end in ("ci_high", "ci_low"))
        assert f"({low} to {high}) lower" in link.findings().answer.text

    def test_persons_are_no_selection(self):
        with pytest.raises(ValueError, match="`where` must not choose by 'agent'"):
            load_study("demo").read("transactional", where={"agent": "Agent 01"})

    def test_a_part_is_of_customers_and_shows_no_single_unit(self):
        part = study_teams(load_study("demo"), where={"segment": "Business"})
        assert 100 < len(part.link["answers"]) < 2_000
        assert link_teams(**part.link).units.empty
        assert unit_scores(**part.scores).units.empty
        assert "invited" not in part.signs
        own = study_teams(load_study("demo"), where={"touchpoint": "check_in"})
        assert set(own.link["answers"]["touchpoint"]) == {"check_in"}

    def test_earlier_periods_only(self):
        early = study_teams(load_study("demo"), period="2024-Q3")
        assert early.link["answers"]["period"].max() == "2024-Q3"
        assert early.link["within"] is None

    def test_an_answer_belongs_to_the_survey_of_employees_before_it(self, demo):
        waves = demo.link["answers"].groupby("period")["wave"].first()
        assert waves["2024-Q4"] == "2024-Q1"
        assert waves["2025-Q1"] == "2025-Q1"


def simulate_demo():
    from benchmarks.simulate.programme import DEMO_CUSTOMERS, DEMO_PERIODS, DEMO_SEED

    return simulate_programme(DEMO_CUSTOMERS, seed=DEMO_SEED, periods=DEMO_PERIODS)


def no_slope(link):
    return linked(*drawn(np.random.default_rng(1), 8))


def turned(link):
    e, c = drawn(np.random.default_rng(1), slope=-1.0)
    return linked(e, c)


def unsure(link):
    return linked(*drawn(np.random.default_rng(6)))


class TestSimulator:
    def test_agents_who_steer_have_more_top_scores(self):
        programme = simulate_programme(20_000, seed=1, periods=1, steering=0.3)
        rows = programme.transactional.dropna(subset=["agent"])
        top = (rows["recommend"] >= 9).groupby(rows["agent"]).mean()
        steering = list(programme.steering)
        assert top[steering].mean() - top.drop(steering).mean() == pytest.approx(0.3, abs=0.1)

    def test_teams_change_no_score_and_sizes_may_be_zero(self):
        planted = simulate_programme(300, seed=1, periods=2)
        none = simulate_programme(300, seed=1, periods=2, team_effect=0, steering=0)
        own = ["team", "agent"]
        pd.testing.assert_frame_equal(
            planted.transactional.drop(columns=own), none.transactional.drop(columns=own)
        )
        assert none.steering == ()
        assert len(planted.steering) == 2

    def test_means_of_teams_differ_as_much_as_was_planted(self):
        programme = simulate_programme(20_000, seed=1, periods=1, team_effect=0.25)
        spread = programme._episodes["score"].std()
        assert programme.teams["score"].std(ddof=0) / spread == pytest.approx(0.25, abs=0.03)
        flat = simulate_programme(20_000, seed=1, periods=1, team_effect=0)
        assert flat.teams["score"].std() / spread < 0.06
