"""Moments kept in a file: the same covariances again, and nobody's answers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab import Moments, moments
from cxlab.stats.covariance.files import FACTS
from cxlab.stats.covariance.pooled import expected_sums, rows_behind_every_number
from cxlab.stats.covariance.protection import cell_limit
from cxlab.stats.covariance.sums import cells_of_rows, merge_cells

#: EM stops when no standardised parameter moves by more; two runs may differ by that.
EM = 1e-8
#: Sums of the same numbers in the same order.
EXACT = 1e-12
#: Fewest rows that may be told.
LEAST = 10
#: Ratings correlate .3 to .6; correlations of two periods added together differ by less.
CLOSE = 0.01


def ratings(rows=400, columns=4, holes=0.3, seed=0) -> pd.DataFrame:
    """Whole-number ratings with one cause in common, and holes at random."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(rows, 1)) + rng.normal(size=(rows, columns))
    values = np.clip(np.round(3.5 + 0.7 * latent), 1, 5)
    values[rng.random(values.shape) < holes * rng.uniform(0.2, 1.5, columns)] = np.nan
    return pd.DataFrame(values, columns=[f"c{j}" for j in range(columns)])


def kept(summary: Moments, folder: Path, **options) -> Moments:
    return Moments.load(summary.save(folder / "moments.parquet", **options))


def same_covariance(one: Moments, other: Moments, missing: str, tolerance: float) -> None:
    first, second = one.covariance(missing), other.covariance(missing)
    np.testing.assert_allclose(second.matrix, first.matrix, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(second.mean, first.mean, rtol=tolerance, atol=tolerance)
    np.testing.assert_array_equal(second.n_pairs, first.n_pairs)
    assert (second.n, second.n_total) == (first.n, first.n_total)


def moves_of_rows(known: np.ndarray, covariance: np.ndarray) -> list[np.ndarray]:
    """How E[Σx] and E[Σxxᵀ] move with the products of each row's answers, by regression.

    Written from the textbook formula, row by row, and sharing nothing with the code tested.
    """
    q = len(covariance)
    first, second = np.triu_indices(q)
    moves = []
    for row in known:
        o = np.flatnonzero(row)
        fill = np.zeros((q, len(o)))
        fill[o] = np.eye(len(o))
        m = np.flatnonzero(~row)
        if len(m) and len(o):
            fill[m] = covariance[np.ix_(m, o)] @ np.linalg.inv(covariance[np.ix_(o, o)])
        a, b = np.triu_indices(len(o))
        pairs = fill[first][:, a] * fill[second][:, b] + fill[first][:, b] * fill[second][:, a]
        pairs[:, a == b] /= 2
        moves.append(np.block([[fill, np.zeros((q, len(a)))],
                               [np.zeros((len(first), len(o))), pairs]]))  # fmt: skip
    return moves


def moves_of_pair_sums(known: np.ndarray) -> list[np.ndarray]:
    """The same for sums and squares of each column over the rows that know a pair."""
    q = known.shape[1]
    moves = []
    for row in known:
        o = np.flatnonzero(row)
        table = np.zeros((q, q, len(o)))
        for place, i in enumerate(o):
            table[i, :, place] = row
        moves.append(table.reshape(q * q, len(o)))
    return moves


def given_back(moves: list[np.ndarray], rows: set[int]) -> bool:
    """Whether a combination of the numbers depends on these rows and on no others."""
    whole = np.linalg.matrix_rank(np.hstack(moves), tol=1e-7)
    others = [move for i, move in enumerate(moves) if i not in rows]
    return bool(np.linalg.matrix_rank(np.hstack(others), tol=1e-7) < whole)


class TestRoundTrip:
    def test_large_cells_are_kept_to_the_last_digit(self, tmp_path):
        data = pd.concat([ratings(columns=2, holes=0.4)] * 3)
        data["area"] = np.arange(len(data)) % 2
        data["weight"] = 0.1 + (np.arange(len(data)) % 7)
        summary = moments(data, ["c0", "c1"], by="area", weights="weight")
        again = kept(summary, tmp_path)
        for name in ("observed", "n", "weight", "weight_squares", "sums", "products"):
            np.testing.assert_array_equal(
                getattr(again.cells, name), getattr(summary.cells, name), strict=True
            )
        pd.testing.assert_frame_equal(again.cells.keys, summary.cells.keys)
        assert (again.columns, again.by, again.blocks) == (("c0", "c1"), ("area",), None)
        assert again.note == summary.note == ""
        assert again.pooled is None
        assert again.groups == summary.groups
        for missing in ("em", "pairwise", "complete"):
            same_covariance(summary.group(1), again.group(1), missing, EXACT)

    def test_blocks_are_kept_where_each_is_large(self, tmp_path):
        data = ratings(rows=900, columns=2).assign(block=np.arange(900) % 3)
        summary = moments(data, ["c0", "c1"], blocks="block")
        again = kept(summary, tmp_path)
        assert again.block_numbers() == [0, 1, 2]
        same_covariance(summary.without_block(1), again.without_block(1), "em", EM)

    def test_blocks_are_given_up_where_one_is_small_and_it_is_said(self, tmp_path):
        data = ratings(rows=900, columns=4).assign(block=np.arange(900) % 30)
        again = kept(moments(data, list(data)[:4], blocks="block"), tmp_path)
        assert again.blocks is None
        assert "Resampling blocks were given up" in again.note
        same_covariance(moments(data, list(data)[:4]), again, "em", EM)

    def test_names_of_groups_keep_their_kind(self, tmp_path):
        data = pd.concat([ratings(columns=2, holes=0.0)] * 2)
        for values in (["a", "b"], [1, 2], ["a", None], [True, False]):
            groups = pd.Series(np.repeat(values, 400)).tolist()
            summary = moments(data.assign(g=groups), ["c0", "c1"], by="g")
            again = kept(summary, tmp_path)
            assert again.groups == summary.groups
            assert again.group(values[1]).n == 400

    def test_moments_that_were_read_can_be_kept_again(self, tmp_path):
        data = ratings()
        once = kept(moments(data, list(data)), tmp_path)
        twice = kept(once, tmp_path)
        same_covariance(once, twice, "em", EXACT)
        assert twice.note == once.note


class TestPooledRows:
    def test_expected_sums_by_hand(self):
        """x = 2 known of N(0, 1) with correlation ½: E y = 1, E y² = 1 + ¾, E xy = 2."""
        row = cells_of_rows(np.array([[2.0, np.nan]]), np.ones(1), np.zeros(1, dtype=int))
        matrix = np.array([[1.0, 0.5], [0.5, 1.0]])
        pooled = expected_sums(row, np.zeros(2), matrix, pd.DataFrame(index=[0]))
        np.testing.assert_allclose(pooled.cells.sums, [[2.0, 1.0]], rtol=EXACT)
        np.testing.assert_allclose(pooled.cells.products, [[4.0, 2.0, 1.75]], rtol=EXACT)
        np.testing.assert_array_equal(pooled.known[0], [[1, 0], [0, 0]])

    @pytest.mark.parametrize("weights", [None, "weight"])
    @pytest.mark.parametrize("far", [0.0, 1e6])
    def test_em_is_the_same_from_the_file(self, tmp_path, weights, far):
        data = ratings(columns=6) + far
        names = list(data)
        data["weight"] = np.random.default_rng(1).uniform(0.2, 3, len(data))
        summary = moments(data, names, weights=weights)
        again = kept(summary, tmp_path)
        assert again.pooled.cells.n.sum() > 100
        same_covariance(summary, again, "em", EM)
        assert (again.n, again.n_patterns) == (summary.n, summary.n_patterns)
        assert again.weight == pytest.approx(summary.weight, rel=EXACT)
        assert again.table["n"].tolist() == summary.table["n"].tolist()
        assert again.table["n_missing"].tolist() == summary.table["n_missing"].tolist()

    def test_em_of_each_group_is_the_same_from_the_file(self, tmp_path):
        data = ratings(rows=900).assign(area=np.repeat(["a", "b", "c"], 300))
        summary = moments(data, ["c0", "c1", "c2", "c3"], by="area")
        again = kept(summary, tmp_path)
        for area in "abc":
            same_covariance(summary.group(area), again.group(area), "em", EM)
        both = [one.total().covariance().correlations for one in (summary, again)]
        np.testing.assert_allclose(both[0], both[1], atol=CLOSE)
        assert again.total().n == 900

    def test_complete_rows_are_the_same_if_they_stand_by_themselves(self, tmp_path):
        data = ratings()
        summary = moments(data, list(data))
        again = kept(summary, tmp_path)
        same_covariance(summary, again, "complete", EXACT)
        assert "missing='em' and 'complete' are exact within each group" in again.note

    def test_pairwise_is_refused_with_the_reason(self, tmp_path):
        again = kept(moments(ratings(), [f"c{j}" for j in range(4)]), tmp_path)
        with pytest.raises(ValueError, match="pairwise sums, which would give single rows back"):
            again.covariance("pairwise")
        with pytest.raises(ValueError, match="pairwise sums"):
            again.pair_sums()

    def test_the_note_counts_the_pooled_rows(self, tmp_path):
        data = ratings()
        cells = moments(data, list(data)).cells
        rare = cells.n < cell_limit(cells.observed, LEAST)
        again = kept(moments(data, list(data)), tmp_path)
        rows, patterns = again.pooled.cells.n.sum(), again.pooled.patterns.sum()
        assert rows >= cells.n[rare].sum()
        assert f"{rows} rows of {patterns} rare missingness patterns were pooled" in again.note
        assert again.note in str(again.covariance())

    def test_two_kept_periods_add_up_closely(self, tmp_path):
        one, two = ratings(seed=1), ratings(seed=2)
        names = list(one)
        parts = [kept(moments(data, names), tmp_path) for data in (one, two)]
        whole = moments(pd.concat([one, two]), names).covariance()
        added = (parts[0] + parts[1]).covariance()
        np.testing.assert_allclose(added.correlations, whole.correlations, atol=CLOSE)
        np.testing.assert_array_equal(added.n_pairs, whole.n_pairs)
        assert "close, not exact" in added.note

    def test_periods_counted_from_different_origins_add_up(self, tmp_path):
        one, two = ratings(seed=1) + 1e6, ratings(seed=2) + 1e6 + 4.0
        parts = [kept(moments(data, list(data)), tmp_path) for data in (one, two)]
        assert (parts[0].origin != parts[1].origin).all()
        added = (parts[0] + parts[1]).covariance()
        whole = moments(pd.concat([one, two]), list(one)).covariance()
        np.testing.assert_allclose(added.mean - 1e6, whole.mean - 1e6, atol=5 * CLOSE)
        np.testing.assert_allclose(added.correlations, whole.correlations, atol=CLOSE)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10_000), rows=st.integers(40, 300), holes=st.floats(0.02, 0.6))
    def test_whatever_is_kept_is_right_and_large(self, tmp_path_factory, seed, rows, holes):
        data = ratings(rows=rows, columns=3, holes=holes, seed=seed)
        summary = moments(data, list(data))
        try:
            expected = summary.covariance()
        except ValueError:
            return
        if expected.note:
            return
        try:
            again = kept(summary, tmp_path_factory.mktemp("kept"))
        except ValueError:
            # refused: nothing was kept
            return
        np.testing.assert_allclose(again.covariance().matrix, expected.matrix, rtol=1e-6, atol=1e-6)
        assert (again.cells.n >= cell_limit(again.cells.observed, LEAST)).all()
        if again.pooled is not None:
            assert (again.pooled.cells.n >= LEAST).all()


class TestNothingIsGivenBack:
    def rare(self) -> pd.DataFrame:
        """Three rows lack c0, four know c3 and not c2, two know c1 only."""
        data = ratings(rows=260, columns=4, holes=0.25, seed=5)
        data.loc[:2, "c0"] = np.nan
        data.loc[3:, "c0"] = data.loc[3:, "c0"].fillna(3.0)
        data.loc[data["c2"].isna(), "c3"] = np.nan
        data.loc[10:13, ["c2", "c3"]] = [[np.nan, 4.0]] * 4
        data.loc[20:21, ["c2", "c3"]] = np.nan
        return data

    def pool(self, data: pd.DataFrame, again: Moments) -> np.ndarray:
        """Known columns of each pooled row: all rows but those of kept patterns."""
        known = data.notna().to_numpy()
        kept_patterns = {tuple(row) for row in again.cells.observed}
        rare = np.array([tuple(row) not in kept_patterns for row in known])
        assert rare.sum() == again.pooled.cells.n.sum()
        return known[rare]

    def suspects(self, known: np.ndarray) -> list[set[int]]:
        """Small sets that subtraction would be after, and some at random."""
        q, found = known.shape[1], []
        for i in range(q):
            found += [np.flatnonzero(known[:, i]), np.flatnonzero(~known[:, i])]
            for j in range(q):
                found.append(np.flatnonzero(known[:, i] & ~known[:, j]))
                found.append(np.flatnonzero(known[:, i] & known[:, j]))
        patterns = {tuple(row) for row in known}
        found += [np.flatnonzero((known == row).all(axis=1)) for row in patterns]
        small = [set(rows.tolist()) for rows in found if 0 < len(rows) < LEAST]
        rng = np.random.default_rng(0)
        return small + [set(rng.choice(len(known), LEAST - 1, False).tolist()) for _ in range(50)]

    def test_no_cell_below_the_limit_is_in_the_file(self, tmp_path):
        data = self.rare()
        path = moments(data, list(data)).save(tmp_path / "file.parquet")
        table = pq.read_table(path).to_pandas()
        known = np.vstack(list(table["observed"])).sum(axis=1)
        assert (table["n"] >= np.maximum(LEAST, known + 2)).all()
        counts = data.groupby(data.notna().apply(tuple, axis=1)).size()
        assert (counts < LEAST).sum() > 3

    def test_no_combination_of_the_numbers_depends_on_few_rows(self, tmp_path):
        data = self.rare()
        summary = moments(data, list(data))
        again = kept(summary, tmp_path)
        known = self.pool(data, again)
        moves = moves_of_rows(known, summary.covariance().matrix)
        suspects = self.suspects(known)
        assert len(suspects) > 55
        assert not any(given_back(moves, rows) for rows in suspects)

    def test_the_same_check_finds_what_pairwise_sums_would_give_back(self, tmp_path):
        data = self.rare()
        again = kept(moments(data, list(data)), tmp_path)
        known = self.pool(data, again)
        moves = moves_of_pair_sums(known)
        assert any(given_back(moves, rows) for rows in self.suspects(known))

    def test_two_rare_patterns_that_could_be_told_apart_draw_others_in(self, tmp_path):
        """Seven rows know x only and five y only: two sums in two unknowns."""
        rng = np.random.default_rng(3)
        x = rng.normal(size=60)
        rows = np.column_stack([x, x + rng.normal(size=60)])
        rows[:7, 1] = np.nan
        rows[7:12, 0] = np.nan
        data = pd.DataFrame(rows, columns=["x", "y"])
        summary = moments(data, ["x", "y"])
        fit = summary.covariance()
        likely, mean = fit.matrix * 59 / 60, fit.mean
        rare = summary.cells.take(summary.cells.n < LEAST)
        pooled = expected_sums(rare, mean, likely, pd.DataFrame(index=[0]))
        slopes = likely[0, 1] / np.diagonal(likely)[::-1]  # of x on y, of y on x
        # Σx + Σ(μx + b(y − μy)) and Σy + Σ(μy + b'(x − μx)), with 5 and 7 rows
        unmix = np.array([[1.0, slopes[0]], [slopes[1], 1.0]])
        constants = [5 * (mean[0] - slopes[0] * mean[1]), 7 * (mean[1] - slopes[1] * mean[0])]
        found = np.linalg.solve(unmix, pooled.cells.sums[0] - constants)
        assert found == pytest.approx([rows[:7, 0].sum(), rows[7:12, 1].sum()])
        assert rows_behind_every_number(rare, likely, LEAST) == 5
        again = kept(summary, tmp_path)
        assert len(again.cells) == 0
        assert again.pooled.cells.n.tolist() == [60]
        same_covariance(summary, again, "em", EM)
        assert "'pairwise' and 'complete' cannot be had" in again.note
        with pytest.raises(ValueError, match="`missing` must be 'em' here; got 'complete'"):
            again.covariance("complete")

    def test_cells_of_fewer_rows_than_columns_and_two_are_small(self, tmp_path):
        """Eleven rows' products of ten columns span those rows' answers."""
        data = ratings(rows=300, columns=11, holes=0.0)
        data.loc[:10, "c0"] = np.nan
        data.loc[11:24, "c1"] = np.nan
        again = kept(moments(data, list(data)), tmp_path, min_group_size=5)
        # eleven rows are too few even for a pool, so the fourteen are drawn in
        assert again.cells.n.tolist() == [275]
        assert again.pooled.cells.n.tolist() == [25]
        assert cell_limit(np.ones((1, 11), dtype=bool), 5).tolist() == [13]

    def test_groups_that_are_too_small_are_left_out_and_named(self, tmp_path):
        data = ratings(rows=506).assign(area=["a"] * 300 + ["b"] * 6 + ["c"] * 200)
        again = kept(moments(data, ["c0", "c1"], by="area"), tmp_path)
        assert again.groups == [("a",)]
        assert "Left out when saved: 'b', fewer than 10 rows" in again.note
        # the whole less the others would be 'b'
        assert "and with it 'c', because the whole would give it back" in again.note

    def test_one_small_group_beside_another_leaves_nothing_to_save(self, tmp_path):
        data = ratings(rows=306).assign(area=["a"] * 300 + ["b"] * 6)
        with pytest.raises(ValueError, match="fewer than 10 rows; and with it 'a', because"):
            moments(data, ["c0", "c1"], by="area").save(tmp_path / "file.parquet")

    def test_small_groups_together_may_be_told_from_the_whole(self, tmp_path):
        data = ratings(rows=514).assign(area=["a"] * 300 + ["b"] * 6 + ["c"] * 200 + ["d"] * 8)
        again = kept(moments(data, ["c0", "c1"], by="area"), tmp_path)
        assert again.groups == [("a",), ("c",)]
        left = moments(data, ["c0", "c1"]).n - again.n
        assert left == 14

    def test_a_column_that_few_answered_names_itself(self, tmp_path):
        data = ratings(rows=450).assign(area=np.repeat(["a", "b", "c"], 150))
        data.loc[data.index[150:300], "c3"] = np.nan
        data.loc[data.index[150:156], "c3"] = [1.0, 2, 3, 4, 5, 3]
        again = kept(moments(data, ["c0", "c1", "c2", "c3"], by="area"), tmp_path)
        assert again.groups in ([("a",)], [("c",)])
        assert "'b'" in again.note

    def test_nothing_is_written_where_nothing_may_be_kept(self, tmp_path):
        summary = moments(ratings(rows=9), ["c0", "c1"])
        with pytest.raises(
            ValueError, match="`min_group_size` must leave something to save; got 10"
        ):
            summary.save(tmp_path / "file.parquet")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("size", [0, 2.5, True, "ten"])
    def test_a_limit_that_is_no_number_of_rows_is_refused(self, tmp_path, size):
        with pytest.raises(ValueError, match="`min_group_size` must be 1 or more; got"):
            moments(ratings(), ["c0"]).save(tmp_path / "x.parquet", min_group_size=size)


class TestFiles:
    def path(self, folder: Path) -> Path:
        return moments(ratings(), ["c0", "c1"]).save(folder / "2025.parquet")

    def test_facts_and_version_stand_in_the_metadata(self, tmp_path):
        facts = json.loads(pq.read_schema(self.path(tmp_path)).metadata[FACTS])
        assert facts["kind"] == "moments"
        assert facts["schema"] == 1
        assert facts["columns"] == ["c0", "c1"]

    def test_a_file_that_is_not_there_is_said(self, tmp_path):
        with pytest.raises(
            FileNotFoundError, match="`path` must be a file of saved moments; there"
        ):
            Moments.load(tmp_path / "none.parquet")
        with pytest.raises(FileNotFoundError, match="`path` must lie in a folder that exists"):
            moments(ratings(), ["c0"]).save(tmp_path / "none" / "x.parquet")

    @pytest.mark.parametrize("keep", [0, 1, 3, 200, -1])
    def test_a_cut_file_gets_one_sentence(self, tmp_path, keep):
        path = self.path(tmp_path)
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(ValueError, match=r"got '2025.parquet', which is cut short, spoilt or"):
            Moments.load(path)

    def test_a_changed_byte_is_noticed_or_changes_nothing(self, tmp_path):
        data = ratings(rows=2000)
        summary = moments(data, list(data))
        path = summary.save(tmp_path / "2025.parquet")
        whole, raw = Moments.load(path), path.read_bytes()
        noticed = 0
        for place in np.random.default_rng(0).integers(0, len(raw), 40):
            spoilt = bytearray(raw)
            spoilt[place] ^= 0xFF
            path.write_bytes(bytes(spoilt))
            try:
                again = Moments.load(path)
            except ValueError as error:
                noticed += "cut short, spoilt or" in str(error) or "another Parquet" in str(error)
                continue
            np.testing.assert_array_equal(again.cells.products, whole.cells.products)
            np.testing.assert_array_equal(again.pooled.cells.sums, whole.pooled.cells.sums)
        assert noticed > 20

    def test_other_files_are_told_apart(self, tmp_path):
        text = tmp_path / "text.parquet"
        text.write_text("c0,c1\n1,2\n")
        with pytest.raises(ValueError, match="no Parquet file"):
            Moments.load(text)
        other = tmp_path / "other.parquet"
        pq.write_table(pa.table({"a": [1]}), other)
        with pytest.raises(ValueError, match="got 'other.parquet', another Parquet file"):
            Moments.load(other)

    def test_a_newer_form_asks_for_an_update(self, tmp_path):
        path = self.path(tmp_path)
        table = pq.read_table(path)
        facts = json.loads(table.schema.metadata[FACTS]) | {"schema": 2}
        pq.write_table(table.replace_schema_metadata({FACTS: json.dumps(facts)}), path)
        with pytest.raises(ValueError, match=r"got form 2 in '2025.parquet'. Update cxlab"):
            Moments.load(path)

    def test_a_failed_write_leaves_the_earlier_file(self, tmp_path, monkeypatch):
        path = self.path(tmp_path)
        before = path.read_bytes()

        def full(table, where, **options):
            Path(where).write_bytes(b"half")
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(pq, "write_table", full)
        with pytest.raises(OSError, match="No space left"):
            self.path(tmp_path)
        assert path.read_bytes() == before
        assert [file.name for file in tmp_path.iterdir()] == ["2025.parquet"]


class TestAirport:
    def test_the_whole_survey_fits_a_small_file(self, sfo, tmp_path):
        data = sfo.read(period="2017")
        names = [*sfo.touchpoints, "overall"]
        summary = moments(data, names, weights="weight")
        path = summary.save(tmp_path / "2017.parquet")
        again = Moments.load(path)
        # 24 columns: 1,263 of 1,274 patterns have fewer rows than may be told
        assert summary.n_patterns == 1274 == again.n_patterns
        assert again.pooled.cells.n.tolist() == [2141]
        assert len(again.cells) == 11
        same_covariance(summary, again, "em", EM)
        same_covariance(summary, again, "complete", EXACT)
        assert path.stat().st_size < 60_000


def test_pooled_cells_merge_like_any(tmp_path):
    data = ratings()
    again = kept(moments(data, list(data)), tmp_path)
    merged = merge_cells(again.pooled.cells, [])
    np.testing.assert_array_equal(merged.sums, again.pooled.cells.sums)
