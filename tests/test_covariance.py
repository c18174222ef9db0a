from dataclasses import replace
from pathlib import Path

import duckdb
import narwhals as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cxlab.core import engines
from cxlab.core.frames import open_frame
from cxlab.stats.covariance import covariance, to_correlation
from cxlab.stats.covariance.covariance import WeightedRows, summed_pairs, summed_rows
from cxlab.stats.covariance.em import NoMaximumError, estimate_covariance, fit_normal, with_prior
from cxlab.stats.covariance.patterns import UnitScores

#: Sums of a few hundred numbers of size 1 to 10.
ROUNDING = 1e-10
#: Between engines and orders of summation.
ENGINES = 1e-9
#: The same rows, whose numbers are whole or fractions, added up in another order.
BLOCKS = 1e-12
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


def rows_of(frame, names, weights=None):
    weight = frame[weights].to_numpy() if weights else np.ones(len(frame))
    return WeightedRows.of(frame[list(names)].to_numpy(dtype=float), weight)


def fitted(frame, names, missing="em", weights=None):
    if missing == "complete":
        frame = frame.dropna(subset=list(names))
    return estimate_covariance(tuple(names), missing, rows_of(frame, names, weights))


def summed(data, names, weights=None):
    """The same rows, from one GROUP BY."""
    opened = open_frame(data, numbers={"columns": names}, design={"weights": weights})
    return summed_rows(opened.lazy, names, weights)


class TestSums:
    def test_by_hand(self):
        found = summed(pd.DataFrame({"a": [1.0, 2.0, None], "b": [3.0, None, 5.0]}), ["a", "b"])
        sums = found.pair_sums()
        assert found.n == 3
        assert sums.n.tolist() == [[2, 1], [1, 2]]
        assert np.diag(sums.sums).tolist() == [3.0, 8.0]
        assert np.diag(sums.squares).tolist() == [5.0, 34.0]
        assert sums.products[0, 1] == 3.0

    @pytest.mark.parametrize("engine", ["pandas", "polars", "lazy polars", "duckdb"])
    @pytest.mark.parametrize("weights", [None, "w"])
    def test_every_engine_sums_what_the_rows_say(self, engine, weights):
        frame = ratings()
        frame.loc[:50, "w"] = 0.0
        other = {
            "pandas": lambda: frame,
            "polars": lambda: pl.from_pandas(frame),
            "lazy polars": lambda: pl.from_pandas(frame).lazy(),
            "duckdb": lambda: duckdb.from_df(frame),
        }[engine]()
        one = rows_of(frame[51:] if weights else frame, COLUMNS, weights)
        two = summed(other, COLUMNS, weights)
        assert one.n == two.n
        for name in ("n", "weight", "sums", "squares", "products"):
            sums = (getattr(rows.pair_sums(), name) for rows in (one, two))
            assert next(sums) == pytest.approx(next(sums), rel=ENGINES), name
        one, two = (estimate_covariance(tuple(COLUMNS), "em", rows) for rows in (one, two))
        assert np.allclose(one.matrix, two.matrix, rtol=ENGINES, atol=0)

    @pytest.mark.parametrize("engine", [duckdb.from_df, pl.from_pandas])
    @pytest.mark.parametrize("weights", [None, "w"])
    def test_pairs_alone_are_summed_to_the_same(self, engine, weights, monkeypatch):
        monkeypatch.setattr(covariance, "CHUNK_ROWS", 100)
        frame = ratings()
        frame.loc[:50, "w"] = 0.0
        one = rows_of(frame[51:] if weights else frame, COLUMNS, weights).pair_sums()
        opened = open_frame(
            engine(frame), numbers={"columns": COLUMNS}, design={"weights": weights}
        )
        two = summed_pairs(opened, COLUMNS)
        for name in ("n", "weight", "sums", "squares", "products"):
            assert getattr(one, name) == pytest.approx(getattr(two, name), rel=ENGINES), name

    @pytest.mark.parametrize("answers", ["ratings", "fractions", "large", "NaN"])
    @pytest.mark.parametrize("weights", [None, "w"])
    @pytest.mark.parametrize("parquet", [True, False])
    def test_blocks_add_up_to_the_rows(self, answers, weights, parquet, tmp_path, monkeypatch):
        monkeypatch.setattr(covariance, "CHUNK_ROWS", 100)
        monkeypatch.setattr(engines, "THREAD_ROWS", 250)
        frame = ratings(700)
        frame.loc[:50, "w"] = 0.0
        frame.loc[100:249, "a"] = None  # a whole block
        if answers == "fractions":
            frame.loc[300:, "b"] += 3e-8  # 32 bits would round it away
        elif answers == "large":
            frame["c"] *= 70_001
        table = pa.table(
            {name: pa.array(frame[name], from_pandas=answers != "NaN") for name in frame}
        )
        if answers == "ratings":
            for place, kind in enumerate([pa.int8(), pa.uint16(), pa.decimal128(5, 1)]):
                table = table.set_column(place, COLUMNS[place], table[place].cast(kind))
        pq.write_table(table, tmp_path / "it's.parquet", row_group_size=130)
        data = duckdb.read_parquet(str(tmp_path / "it's.parquet"))
        opened = open_frame(
            data if parquet else data.filter("w >= 0"),
            numbers={"columns": COLUMNS},
            design={"weights": weights},
        )
        assert (len(opened.arrow_parts(COLUMNS, 100)) > 1) == parquet
        one = rows_of(frame[51:] if weights else frame, COLUMNS, weights).pair_sums()
        two = summed_pairs(opened, COLUMNS)
        for name in ("n", "weight", "sums", "squares", "products"):
            assert getattr(two, name) == pytest.approx(getattr(one, name), rel=BLOCKS), name

    def test_no_rows_add_up_to_nothing(self, tmp_path):
        path = str(tmp_path / "none.parquet")
        ratings()[:0].to_parquet(path)
        for data in (duckdb.read_parquet(path), duckdb.read_parquet(path).filter("w > 0")):
            found = summed_pairs(open_frame(data, numbers={"columns": COLUMNS}), COLUMNS)
            assert not found.n.any()
            assert not found.products.any()

    def test_a_folder_is_all_of_its_files(self, tmp_path):
        for number in range(2):
            ratings(seed=number).to_parquet(tmp_path / f"{number}.parquet")
        both = pd.concat([ratings(seed=number) for number in range(2)])
        opened = open_frame(duckdb.read_parquet(f"{tmp_path}/*.parquet"), numbers={"c": COLUMNS})
        assert len(opened.arrow_parts(COLUMNS, 100)) == 2
        expected = rows_of(both, COLUMNS).pair_sums()
        assert summed_pairs(opened, COLUMNS).products.tolist() == expected.products.tolist()

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (pa.array([1, 2, 3]), pa.nulls(3)),  # not asked in one period
            (pa.array([True, False, True]), pa.array([1, 2, 3])),
            (pa.array([1, 2, 3]), pa.array([1.5, 2.5, 3.7])),
            (pa.array([1, 2, 3]), pa.array([" 1 ", "2", "3"])),
        ],
    )
    def test_files_of_other_types_add_up_as_duckdb_reads_them(self, first, second, tmp_path):
        for number, column in enumerate([first, second]):
            table = pa.table({"a": column, "b": [1.0, 2.0, 4.0]})
            pq.write_table(table, tmp_path / f"{number}.parquet")
        data = duckdb.read_parquet(f"{tmp_path}/*.parquet")
        opened = open_frame(data, numbers={"columns": ["a", "b"]})
        expected = summed_rows(opened.lazy, ["a", "b"], None).pair_sums()
        found = summed_pairs(opened, ["a", "b"])
        assert found.n.tolist() == expected.n.tolist()
        assert found.products == pytest.approx(expected.products, rel=BLOCKS)

    def test_a_name_that_stands_twice_is_read_as_duckdb_names_it(self, tmp_path):
        twice = pa.Table.from_arrays(
            [pa.array([1, 2]), pa.array([3, 5]), pa.array([7, 7])], list("aba")
        )
        pq.write_table(twice, tmp_path / "twice.parquet")
        data = duckdb.read_parquet(str(tmp_path / "twice.parquet"))
        found = summed_pairs(open_frame(data, numbers={"columns": ["a", "b"]}), ["a", "b"])
        assert found.products[0].tolist() == [5, 13]

    @pytest.mark.parametrize("kind", ["DECIMAL(4, 1)", "BOOLEAN", "UTINYINT", "HUGEINT"])
    def test_weights_of_any_number_type_count(self, kind, tmp_path):
        ratings().to_parquet(tmp_path / "ratings.parquet")
        data = duckdb.sql(f"SELECT * REPLACE (1::{kind} AS w) FROM '{tmp_path}/ratings.parquet'")
        opened = open_frame(data, numbers={"columns": COLUMNS}, design={"weights": "w"})
        plain = rows_of(ratings(), COLUMNS).pair_sums()
        assert summed_pairs(opened, COLUMNS).weight.tolist() == plain.weight.tolist()

    def test_a_file_that_has_gone_is_missed(self, tmp_path):
        paths = [str(tmp_path / f"{number}.parquet") for number in range(2)]
        for path in paths:
            ratings().to_parquet(path)
        opened = open_frame(duckdb.read_parquet(paths), numbers={"columns": COLUMNS})
        Path(paths[1]).unlink()
        with pytest.raises(duckdb.IOException):
            summed_pairs(opened, COLUMNS)

    def test_a_frame_that_was_changed_is_read_as_it_is_now(self, tmp_path):
        path = str(tmp_path / "ratings.parquet")
        ratings().to_parquet(path)
        opened = open_frame(duckdb.read_parquet(path), numbers={"columns": COLUMNS})
        part = replace(opened, lazy=opened.lazy.filter(nw.col(COLUMNS[0]) > 2))
        kept = ratings().loc[ratings()[COLUMNS[0]] > 2]
        expected = rows_of(kept, COLUMNS).pair_sums()
        assert summed_pairs(part, COLUMNS).n.tolist() == expected.n.tolist()

    def test_small_integers_do_not_wrap(self):
        frame = pd.DataFrame({"a": np.array([100, 101], "int8"), "b": np.array([99, 120], "int8")})
        product = summed(frame, ["a", "b"]).pair_sums().products[0, 1]
        assert product == pytest.approx(100 * 99 + 101 * 120)

    def test_more_columns_than_one_key_holds(self, monkeypatch):
        frame = ratings()
        whole = summed(frame, COLUMNS).pair_sums()
        monkeypatch.setattr(covariance, "KEY_BITS", 3)
        parts = summed(frame, COLUMNS).pair_sums()
        assert parts.n.tolist() == whole.n.tolist()
        assert parts.products == pytest.approx(whole.products, rel=ENGINES)

    def test_too_many_patterns_are_refused(self, monkeypatch):
        monkeypatch.setattr(covariance, "MOST_PATTERNS", 3)
        with pytest.raises(ValueError, match="at most 3 different sets of answers here; got 1"):
            summed(ratings(), COLUMNS)


class TestCovariance:
    def test_complete_is_dropping_rows_first(self):
        frame = ratings()
        found = fitted(frame, COLUMNS, "complete")
        assert found.matrix == pytest.approx(frame[COLUMNS].dropna().cov().to_numpy(), abs=ROUNDING)

    def test_pairwise_correlations_are_those_of_pandas(self):
        frame = ratings()
        found = fitted(frame, COLUMNS, "pairwise")
        assert to_correlation(found.matrix) == pytest.approx(
            frame[COLUMNS].corr().to_numpy(), abs=ROUNDING
        )
        assert found.note == ""

    def test_weights_repeat_rows(self):
        frame = ratings()
        frame["w"] = np.random.default_rng(1).integers(1, 4, len(frame))
        repeated = frame.loc[frame.index.repeat(frame["w"].astype(int))]
        for missing in ("em", "pairwise", "complete"):
            one = to_correlation(fitted(frame, COLUMNS, missing, weights="w").matrix)
            two = to_correlation(fitted(repeated, COLUMNS, missing).matrix)
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
        found = fitted(frame, ["a", "b", "c"], "pairwise")
        assert "impossible together" in found.note
        assert np.linalg.eigvalsh(found.matrix).min() > 0

    @pytest.mark.parametrize("missing", ["em", "pairwise", "complete"])
    def test_without_holes_all_treatments_agree(self, missing):
        frame = ratings(holes=0)
        found = fitted(frame, COLUMNS, missing)
        assert found.matrix == pytest.approx(frame[COLUMNS].cov().to_numpy(), abs=ROUNDING)

    def test_columns_never_known_together_are_refused_by_em(self):
        frame = pd.DataFrame(
            {"a": [1.0, 2, 3, None, None, None], "b": [None, None, None, 1.0, 2, 3]}
        )
        with pytest.raises(ValueError, match="answered together by 2 or more rows"):
            fitted(frame, ["a", "b"], "em")

    def test_an_empty_column_is_refused(self):
        frame = pd.DataFrame({"a": [1.0, 2, 3], "b": [np.nan] * 3})
        with pytest.raises(ValueError, match="2 or more answers each; got 0 in 'b'"):
            fitted(frame, ["a", "b"], "em")


class TestEm:
    def test_equals_an_independent_em_by_rows(self):
        frame = ratings(120)
        found = fitted(frame, COLUMNS, "em")
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
        scores = UnitScores.of(np.zeros(60, int), 1, len(fit.mean))
        information = source.patterns.information(*place, scores=scores)
        assert information == pytest.approx(-bend, rel=1e-4, abs=1e-2)
        assert abs(scores.total).max() < 1e-6

    def test_answers_missing_at_random_lose_their_bias(self):
        generator = np.random.default_rng(5)
        x = generator.normal(size=20_000)
        y = x + generator.normal(size=20_000)
        frame = pd.DataFrame({"x": x, "y": np.where(x > 0.3, np.nan, y)})
        found = fitted(frame, ["x", "y"], "em")
        listwise = fitted(frame, ["x", "y"], "complete")
        assert found.mean[1] == pytest.approx(0.0, abs=0.05)
        assert found.matrix[1, 1] == pytest.approx(2.0, abs=0.12)
        assert listwise.matrix[1, 1] < 1.7

    def test_a_prior_is_so_many_rows_in_which_columns_are_independent(self):
        frame = pd.DataFrame({"a": [1.0, 2.0, 3.0, 6.0], "b": [2.0, 1.0, 5.0, 4.0]})
        joined = with_prior(rows_of(frame, ["a", "b"]), 1.0)
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
        with pytest.raises(NoMaximumError):
            fit_normal(rows_of(frame, list(frame)))
        result = fitted(frame, list(frame))
        assert result.prior == pytest.approx(0.3)
        assert "a prior of the weight of 0.3 rows (1%)" in result.note
        deviation = np.sqrt(np.diag(result.matrix))
        correlation = result.matrix / np.outer(deviation, deviation)
        assert np.linalg.eigvalsh(correlation)[0] > 0.01

    def test_too_few_answers_are_refused_instead_of_running_away(self):
        generator = np.random.default_rng(2)
        frame = pd.DataFrame(generator.normal(size=(8, 6)), columns=list("abcdef"))
        frame = frame.mask(generator.random((8, 6)) < 0.25)
        with pytest.raises(ValueError, match=r"`missing='em'` must|answered together"):
            fitted(frame, list("abcdef"), "em")


class TestConstants:
    """A column in which all answers are alike, with holes as without."""

    @pytest.mark.parametrize("value", [3.0, 0.1])
    def test_it_is_set_aside_and_the_others_are_as_without_it(self, value):
        frame = ratings()
        frame["a"] = frame["a"].where(frame["a"].isna(), value)
        found, others = (fitted(frame, names, "em") for names in (COLUMNS, COLUMNS[1:]))
        assert found.mean[0] == pytest.approx(value)
        assert not found.matrix[0].any()
        np.testing.assert_allclose(found.matrix[1:, 1:], others.matrix, rtol=1e-7)
        np.testing.assert_allclose(found.mean[1:], others.mean, rtol=1e-9)

    def test_nothing_but_constants_is_no_spread(self):
        frame = pd.DataFrame({"a": [1.0, 1, None, 1], "b": [None, 2.0, 2, 2]})
        found = fitted(frame, ["a", "b"], "em")
        assert found.mean.tolist() == [1.0, 2.0]
        assert not found.matrix.any()

    def test_maximum_likelihood_alone_says_what_it_lacks(self):
        rows = np.array([[1.0, 2], [1, 3], [1, np.nan], [np.nan, 1]])
        with pytest.raises(NoMaximumError, match="`columns` must vary for missing='em'"):
            fit_normal(WeightedRows.of(rows, np.ones(4)))
