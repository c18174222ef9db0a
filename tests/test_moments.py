import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab.stats.covariance import moments, to_correlation
from cxlab.stats.covariance import sums as summing
from cxlab.stats.covariance.em import NoMaximumError, fit_normal, with_prior
from cxlab.stats.covariance.rows import WeightedRows, rows_of_cells

#: Sums of a few hundred numbers of size 1 to 10.
ROUNDING = 1e-10
#: Between engines and orders of summation.
ENGINES = 1e-9
#: An EM by rows, stopped when nothing moves by 1e-12.
INDEPENDENT_EM = 1e-8

COLUMNS = ["a", "b", "c", "d"]


def ratings(n=200, holes=0.3, seed=0):
    generator = np.random.default_rng(seed)
    common = generator.normal(size=(n, 1))
    latent = 3.5 + 0.8 * common + 0.7 * generator.normal(size=(n, 4))
    frame = pd.DataFrame(np.clip(np.round(latent), 1, 5), columns=COLUMNS)
    frame["w"] = generator.uniform(0.5, 2.0, n)
    frame["g"] = generator.choice(["x", "y"], n)
    frame["block"] = generator.integers(0, 5, n)
    return frame.assign(**{c: frame[c].mask(generator.random(n) < holes) for c in COLUMNS})


def em_by_rows(rows, steps=5000):
    """EM that imputes row by row, as a textbook has it."""
    mean, covariance = np.nanmean(rows, axis=0), np.diag(np.nanvar(rows, axis=0))
    for _ in range(steps):
        filled, extra = rows.copy(), np.zeros_like(covariance)
        for row in filled:
            gone = np.isnan(row)
            known = ~gone
            if not gone.any():
                continue
            inverse = np.linalg.pinv(covariance[np.ix_(known, known)])
            slope = covariance[np.ix_(gone, known)] @ inverse
            row[gone] = mean[gone] + slope @ (row[known] - mean[known])
            left = covariance[np.ix_(gone, gone)] - slope @ covariance[np.ix_(known, gone)]
            extra[np.ix_(gone, gone)] += left
        new = filled.mean(axis=0)
        changed = ((filled - new).T @ (filled - new) + extra) / len(rows)
        if abs(changed - covariance).max() < 1e-12:
            break
        mean, covariance = new, changed
    return new, changed


class TestSums:
    def test_by_hand(self):
        frame = pd.DataFrame({"a": [1.0, 2.0, None], "b": [3.0, None, 5.0]})
        summary = moments(frame, ["a", "b"])
        assert (summary.n, summary.n_patterns) == (3, 3)
        assert summary.table["n"].tolist() == [2, 2]
        assert summary.table["mean"].tolist() == [1.5, 4.0]
        assert summary.cells.sums.sum(axis=0).tolist() == [3.0, 8.0]
        assert summary.cells.products.sum(axis=0).tolist() == [5.0, 3.0, 34.0]

    def test_every_row_is_counted_once(self):
        frame = ratings()
        summary = moments(frame, COLUMNS, by="g", weights="w")
        assert summary.n == len(frame)
        assert summary.weight == pytest.approx(frame["w"].sum(), rel=ENGINES)
        assert summary.total().cells.n.sum() == len(frame)

    @pytest.mark.parametrize("engine", ["polars", "lazy polars", "duckdb"])
    def test_engines_agree(self, engine):
        frame = ratings()
        other = {
            "polars": lambda: pl.from_pandas(frame),
            "lazy polars": lambda: pl.from_pandas(frame).lazy(),
            "duckdb": lambda: duckdb.from_df(frame),
        }[engine]()
        one = moments(frame, COLUMNS, weights="w").covariance("em")
        two = moments(other, COLUMNS, weights="w").covariance("em")
        assert np.allclose(one.matrix, two.matrix, rtol=ENGINES, atol=0)

    def test_small_integers_do_not_wrap(self):
        frame = pd.DataFrame({"a": np.array([100, 101], "int8"), "b": np.array([99, 120], "int8")})
        product = moments(frame, ["a", "b"]).cells.products.sum(axis=0)[1]
        assert product == 100 * 99 + 101 * 120

    def test_columns_far_from_zero_keep_their_digits(self):
        small = np.array([0.1, 0.2, 0.4, 0.7, 0.3])
        frame = pd.DataFrame({"t": 1.7e9 + small, "u": [1.0, 2, 3, 4, 5]})
        summary = moments(frame, ["t", "u"])
        expected = np.cov(np.array(frame.T - frame.T.mean(axis=1).to_numpy()[:, None]))
        # 1.7e9 itself is only stored to 2e-7
        assert summary.covariance("complete").matrix == pytest.approx(expected, abs=1e-6)
        assert summary.origin[0] == pytest.approx(1.7e9)

    def test_zero_weight_leaves_a_row_out(self):
        frame = ratings()
        frame.loc[:50, "w"] = 0.0
        one = moments(frame, COLUMNS, weights="w")
        two = moments(frame[51:], COLUMNS, weights="w")
        assert one.n == two.n
        assert np.allclose(one.cells.products, two.cells.products, rtol=ENGINES)

    def test_booleans_are_numbers(self):
        frame = pd.DataFrame({"used": [True, False, True], "y": [1.0, 2, 3]})
        assert moments(frame, ["used", "y"]).table["mean"][0] == pytest.approx(2 / 3)

    def test_very_many_patterns_go_to_a_file_and_give_the_same(self, monkeypatch):
        frame = ratings(400)
        inside = moments(frame, COLUMNS)
        outside = moments(frame, COLUMNS, memory_limit=0.0008)
        assert "kept in a temporary file" in outside.note
        assert isinstance(outside.cells.products, np.memmap)
        assert outside.n == inside.n
        one, two = inside.covariance("em"), outside.covariance("em")
        assert np.allclose(one.matrix, two.matrix, rtol=ENGINES)

    def test_more_patterns_than_a_file_may_hold_are_refused(self):
        with pytest.raises(ValueError, match="`memory_limit` must allow"):
            moments(ratings(), COLUMNS, memory_limit=0.00001)

    def test_more_columns_than_one_key_holds(self, monkeypatch):
        frame = ratings()
        whole = moments(frame, COLUMNS)
        monkeypatch.setattr(summing, "BITS", 3)
        in_two_keys = moments(frame, COLUMNS)
        assert len(in_two_keys.cells) == len(whole.cells)
        assert np.array_equal(in_two_keys.pair_sums().n, whole.pair_sums().n)


class TestAdding:
    def test_parts_add_to_the_whole(self):
        frame = ratings()
        whole = moments(frame, COLUMNS, by="g")
        added = moments(frame[:70], COLUMNS, by="g") + moments(frame[70:], COLUMNS, by="g")
        for missing in ("em", "pairwise"):
            one, two = added.covariance(missing).matrix, whole.covariance(missing).matrix
            assert np.allclose(one, two, rtol=ENGINES)
        assert len(added.cells) == len(whole.cells)
        # unweighted sums of whole numbers are exact, in any order
        assert added.total().cells.products.sum() == whole.total().cells.products.sum()

    @given(cut=st.integers(1, 199))
    @settings(max_examples=10, deadline=None)
    def test_any_cut_adds_up(self, cut):
        frame = ratings()
        added = moments(frame[:cut], COLUMNS) + moments(frame[cut:], COLUMNS)
        assert added.n == 200
        assert np.array_equal(
            added.pair_sums().products, moments(frame, COLUMNS).pair_sums().products
        )

    def test_different_origins_add(self):
        frame = pd.DataFrame({"t": 1e7 + np.arange(20.0) / 7, "u": np.arange(20.0) ** 2 / 50})
        near = moments(frame.assign(t=frame["t"] - 1e7), ["t", "u"])
        added = moments(frame[:9], ["t", "u"]) + moments(frame[9:], ["t", "u"])
        assert added.covariance("complete").matrix == pytest.approx(
            near.covariance("complete").matrix, rel=1e-6
        )

    def test_other_columns_are_refused(self):
        frame = ratings()
        with pytest.raises(ValueError, match=r"`\+` must join moments of the same columns"):
            moments(frame, ["a", "b"]) + moments(frame, ["a", "c"])

    def test_a_group_is_its_rows(self):
        frame = ratings()
        part = moments(frame, COLUMNS, by="g").group("x").covariance("em").matrix
        alone = moments(frame[frame["g"] == "x"], COLUMNS).covariance("em").matrix
        assert np.allclose(part, alone, rtol=ENGINES)

    def test_an_unknown_group_is_refused(self):
        with pytest.raises(ValueError, match="must be a group of the data"):
            moments(ratings(), COLUMNS, by="g").group("z")


class TestCovariance:
    def test_complete_is_dropping_rows_first(self):
        frame = ratings()
        found = moments(frame, COLUMNS).covariance("complete")
        assert found.matrix == pytest.approx(frame[COLUMNS].dropna().cov().to_numpy(), abs=ROUNDING)
        assert found.n == len(frame[COLUMNS].dropna())

    def test_pairwise_correlations_are_those_of_pandas(self):
        frame = ratings()
        found = moments(frame, COLUMNS).covariance("pairwise")
        assert to_correlation(found.matrix) == pytest.approx(
            frame[COLUMNS].corr().to_numpy(), abs=ROUNDING
        )
        assert found.repaired == 0

    def test_weights_repeat_rows(self):
        frame = ratings()
        frame["w"] = np.random.default_rng(1).integers(1, 4, len(frame))
        repeated = frame.loc[frame.index.repeat(frame["w"].astype(int))]
        for missing in ("em", "pairwise", "complete"):
            one = to_correlation(moments(frame, COLUMNS, weights="w").covariance(missing).matrix)
            two = to_correlation(moments(repeated, COLUMNS).covariance(missing).matrix)
            assert one == pytest.approx(two, abs=1e-7), missing

    def test_impossible_pairwise_correlations_are_repaired_and_said(self):
        # a goes with b, b with c, and a against c: each in its own rows
        x = np.arange(6.0)
        gap = np.full(6, np.nan)
        frame = pd.DataFrame(
            {
                "a": np.concatenate([x, gap, x]),
                "b": np.concatenate([x, x, gap]),
                "c": np.concatenate([gap, x, -x]),
            }
        )
        found = moments(frame, ["a", "b", "c"]).covariance("pairwise")
        assert found.repaired > 0.1
        assert "impossible together" in found.note
        assert np.linalg.eigvalsh(found.matrix).min() > 0

    @pytest.mark.parametrize("missing", ["em", "pairwise", "complete"])
    def test_without_holes_all_treatments_agree(self, missing):
        frame = ratings(holes=0)
        found = moments(frame, COLUMNS).covariance(missing)
        assert found.matrix == pytest.approx(frame[COLUMNS].cov().to_numpy(), abs=ROUNDING)

    def test_columns_never_known_together_are_refused_by_em(self):
        frame = pd.DataFrame(
            {"a": [1.0, 2, 3, None, None, None], "b": [None, None, None, 1.0, 2, 3]}
        )
        with pytest.raises(ValueError, match="answered together by 2 or more rows"):
            moments(frame, ["a", "b"]).covariance("em")

    def test_an_empty_column_is_refused(self):
        frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [np.nan] * 3})
        with pytest.raises(ValueError, match="2 or more answers each; got 0 in 'b'"):
            moments(frame, ["a", "b"]).covariance("em")

    def test_a_misspelt_treatment_is_refused(self):
        with pytest.raises(ValueError, match="Did you mean 'pairwise'"):
            moments(ratings(), COLUMNS).covariance("pairwse")


class TestEm:
    def test_equals_an_independent_em_by_rows(self):
        frame = ratings(120)
        found = moments(frame, COLUMNS).covariance("em")
        mean, covariance = em_by_rows(frame[COLUMNS].to_numpy())
        assert found.mean == pytest.approx(mean, abs=INDEPENDENT_EM)
        assert found.matrix * 119 / 120 == pytest.approx(covariance, abs=INDEPENDENT_EM)

    def test_the_score_is_the_slope_of_the_likelihood_and_information_its_bend(self):
        rows = ratings(60)[COLUMNS].to_numpy()
        source = WeightedRows.of(rows, np.ones(60))
        fit = fit_normal(source)
        q, step = 4, 1e-4
        first, second = np.triu_indices(q)

        def likelihood(parameters):
            covariance = np.zeros((q, q))
            covariance[first, second] = covariance[second, first] = parameters[q:]
            return source.patterns.expect(parameters[:q], covariance).log_likelihood

        at = np.concatenate([fit.mean, fit.covariance[first, second]])
        unit = np.eye(len(at)) * step
        bend = np.array(
            [
                [
                    likelihood(at + one + two)
                    - likelihood(at + one - two)
                    - likelihood(at - one + two)
                    + likelihood(at - one - two)
                    for two in unit
                ]
                for one in unit
            ]
        ) / (4 * step**2)
        place = fit.mean, fit.covariance
        # differences of a likelihood of about 100 over 1e-8: six digits
        assert source.patterns.information(*place) == pytest.approx(-bend, rel=1e-4, abs=1e-2)
        assert abs(source.patterns.unit_scores(*place, np.zeros(60, int), 1)).max() < 1e-6

    def test_answers_missing_at_random_lose_their_bias(self):
        generator = np.random.default_rng(5)
        x = generator.normal(size=20_000)
        y = x + generator.normal(size=20_000)
        frame = pd.DataFrame({"x": x, "y": np.where(x > 0.3, np.nan, y)})
        found = moments(frame, ["x", "y"]).covariance("em")
        listwise = moments(frame, ["x", "y"]).covariance("complete")
        assert found.mean[1] == pytest.approx(0.0, abs=0.05)
        assert found.matrix[1, 1] == pytest.approx(2.0, abs=0.12)
        assert listwise.matrix[1, 1] < 1.7

    def test_a_prior_is_so_many_rows_in_which_columns_are_independent(self):
        frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 6.0], "b": [2.0, 1.0, 5.0, 4.0]})
        joined = with_prior(rows_of_cells(moments(frame, ["a", "b"]).cells), 1.0)
        assert joined.weight @ joined.located == 5
        mean, covariance = frame.mean().to_numpy(), frame.cov().to_numpy()
        expected = (3 * covariance + np.diag(np.diag(covariance))) / 5
        fit = fit_normal(joined)
        np.testing.assert_allclose(fit.mean, mean, rtol=1e-9)
        np.testing.assert_allclose(fit.covariance, expected, rtol=1e-9)

    def test_few_answers_get_a_prior_and_it_is_said(self):
        generator = np.random.default_rng(0)
        frame = pd.DataFrame(generator.normal(size=(30, 8)), columns=list("abcdefgh"))
        frame = frame.mask(generator.random(frame.shape) < 0.4)
        summary = moments(frame, list(frame))
        with pytest.raises(NoMaximumError):
            fit_normal(rows_of_cells(summary.cells))
        result = summary.covariance("em")
        assert result.prior == pytest.approx(0.3)
        assert "a prior of the weight of 0.3 rows (1%)" in result.note
        known = frame.notna().to_numpy().astype(int)
        assert np.array_equal(result.n_pairs, known.T @ known)
        deviation = np.sqrt(np.diag(result.matrix))
        correlation = result.matrix / np.outer(deviation, deviation)
        assert np.linalg.eigvalsh(correlation)[0] > 0.01

    def test_too_few_answers_are_refused_instead_of_running_away(self):
        generator = np.random.default_rng(2)
        frame = pd.DataFrame(generator.normal(size=(8, 6)), columns=list("abcdef"))
        frame = frame.mask(generator.random((8, 6)) < 0.25)
        with pytest.raises(ValueError, match=r"`missing='em'` must|answered together"):
            moments(frame, list("abcdef")).covariance("em")


class TestRefusals:
    def test_text_is_refused_by_name(self):
        with pytest.raises(TypeError, match="'Blank'"):
            moments(pd.DataFrame({"a": ["Blank", "4"]}), ["a"])

    @pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
    def test_bad_weights_are_refused(self, bad):
        frame = pd.DataFrame({"a": [1.0, 2.0], "w": [1.0, bad]})
        with pytest.raises(ValueError, match="`weights` must be 0 or more on every row"):
            moments(frame, ["a"], weights="w")

    def test_infinite_answers_are_refused(self):
        with pytest.raises(ValueError, match="infinite or huge value in 'b'"):
            moments(pd.DataFrame({"a": [1.0, 2.0], "b": [1.0, np.inf]}), ["a", "b"])

    def test_a_misspelt_column_is_refused(self):
        with pytest.raises(ValueError, match="Did you mean 'food'"):
            moments(pd.DataFrame({"food": [1.0]}), ["fod"])

    def test_no_rows_are_refused(self):
        with pytest.raises(ValueError, match="`data` must have a row"):
            moments(pd.DataFrame({"a": pd.Series([], dtype=float)}), ["a"])

    def test_a_column_named_twice_is_refused(self):
        with pytest.raises(ValueError, match="got 'a' twice"):
            moments(pd.DataFrame({"a": [1.0]}), ["a", "a"])


class TestConstants:
    """A column in which all answers are alike, with holes as without."""

    @pytest.mark.parametrize("value", [3.0, 0.1])
    def test_it_is_set_aside_and_the_others_are_as_without_it(self, value):
        frame = ratings()
        frame["a"] = frame["a"].where(frame["a"].isna(), value)
        found, others = (moments(frame, names).covariance("em") for names in (COLUMNS, COLUMNS[1:]))
        assert found.mean[0] == pytest.approx(value)
        assert not found.matrix[0].any()
        np.testing.assert_allclose(found.matrix[1:, 1:], others.matrix, rtol=1e-7)
        np.testing.assert_allclose(found.mean[1:], others.mean, rtol=1e-9)

    def test_nothing_but_constants_is_no_spread(self):
        frame = pd.DataFrame({"a": [1.0, 1, None, 1], "b": [None, 2.0, 2, 2]})
        found = moments(frame, ["a", "b"]).covariance("em")
        assert found.mean.tolist() == [1.0, 2.0]
        assert not found.matrix.any()

    def test_maximum_likelihood_alone_says_what_it_lacks(self):
        rows = np.array([[1.0, 2], [1, 3], [1, np.nan], [np.nan, 1]])
        with pytest.raises(NoMaximumError, match="`columns` must vary for missing='em'"):
            fit_normal(WeightedRows.of(rows, np.ones(4)))
