import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab.stats.resampling import (
    bootstrap_multipliers,
    jackknife_blocks,
    jackknife_covariance,
    percentile_interval,
    rank_interval,
    ranks,
    sampling_design,
)

ROUNDING = 1e-12
#: 4,000 replicates put a variance within about 2.2 % (one standard error); three of them.
VARIANCE_BY_CHANCE = 0.07


class TestSamplingDesign:
    def test_a_cluster_label_in_two_strata_is_two_clusters(self):
        design = sampling_design(4, strata=["a", "a", "b", "b"], cluster=[7, 7, 7, 8])
        assert design.n_clusters == 3
        assert design.row_cluster.tolist() == [0, 0, 1, 2]

    def test_a_row_without_a_cluster_is_its_own_and_is_counted(self):
        design = sampling_design(4, cluster=["x", None, None, "x"])
        assert design.n_clusters == 3
        assert design.n_missing_clusters == 2
        assert "2 rows without a cluster id" in design.note

    def test_strata_with_one_cluster_are_merged_and_named(self):
        design = sampling_design(5, strata=["a", "b", "c", "c", "c"], cluster=[1, 2, 3, 4, 5])
        assert design.stratum_sizes.tolist() == [2, 3]
        assert "'a', 'b'" in design.note

    def test_a_single_lonely_stratum_joins_the_smallest_other(self):
        design = sampling_design(
            6, strata=["a", "b", "b", "c", "c", "c"], cluster=[1, 2, 3, 4, 5, 6]
        )
        assert sorted(design.stratum_sizes.tolist()) == [3, 3]

    def test_clusters_lost_to_a_filter_still_count(self):
        design = sampling_design(2, strata=["a", "a"], stratum_clusters=[5, 5])
        assert design.stratum_sizes.tolist() == [5]

    def test_a_missing_stratum_is_refused(self):
        with pytest.raises(ValueError, match="`strata` must be known on every row; got 1"):
            sampling_design(2, strata=["a", None])

    def test_columns_of_another_length_are_refused(self):
        with pytest.raises(ValueError, match="`cluster` must have 3 values; got 2"):
            sampling_design(3, cluster=[1, 2])


class TestBootstrap:
    def test_the_same_seed_gives_the_same_digits(self):
        design = sampling_design(20)
        one, two = (bootstrap_multipliers(design, 5, seed=3) for _ in range(2))
        assert np.array_equal(one, two)
        assert not np.array_equal(one, bootstrap_multipliers(design, 5, seed=4))

    def test_simple_replicates_draw_as_many_as_there_are(self):
        multipliers = bootstrap_multipliers(sampling_design(17), 50)
        assert (multipliers.sum(axis=0) == 17).all()

    def test_stratified_replicates_keep_each_stratum_total(self):
        design = sampling_design(7, strata=list("aaabbbb"))
        multipliers = bootstrap_multipliers(design, 50)
        assert multipliers[:3].sum(axis=0) == pytest.approx(3.0, abs=ROUNDING)
        assert multipliers[3:].sum(axis=0) == pytest.approx(4.0, abs=ROUNDING)

    def test_rao_wu_has_the_variance_of_a_stratified_total(self):
        # two strata: Σ n_h/(n_h − 1) Σ (y − ȳ_h)² is the textbook variance of the total
        values = np.array([1.0, 2.0, 6.0, 10.0, 14.0])
        design = sampling_design(5, strata=list("aaabb"))
        totals = values @ bootstrap_multipliers(design, 4000, seed=1)
        expected = 3 / 2 * (4 + 1 + 9) + 2 / 1 * (4 + 4)
        assert totals.var() == pytest.approx(expected, rel=VARIANCE_BY_CHANCE)

    def test_a_filtered_stratum_has_the_variance_of_a_domain(self):
        # 2 of 4 drawn clusters are left: the others have total 0, so 4/3 · (1 + 9 − 16/4)
        design = sampling_design(2, strata=["a", "a"], stratum_clusters=[4, 4])
        totals = np.array([1.0, 3.0]) @ bootstrap_multipliers(design, 8000, seed=1)
        assert totals.var() == pytest.approx(4 / 3 * (1 + 9 - 16 / 4), rel=VARIANCE_BY_CHANCE)

    def test_rows_of_a_cluster_come_together(self):
        design = sampling_design(6, cluster=list("aabbcc"))
        rows = bootstrap_multipliers(design, 20)[design.row_cluster]
        assert np.array_equal(rows[::2], rows[1::2])

    def test_one_cluster_is_refused(self):
        with pytest.raises(ValueError, match="at least 2 clusters"):
            bootstrap_multipliers(sampling_design(3, cluster=[1, 1, 1]), 10)

    def test_no_replicate_is_refused(self):
        with pytest.raises(ValueError, match="`replicates` must be a whole number"):
            bootstrap_multipliers(sampling_design(3), 0)


class TestJackknife:
    def test_blocks_hold_whole_clusters_spread_over_strata(self):
        cluster = np.repeat(np.arange(12), 3)
        design = sampling_design(36, strata=(cluster >= 6).astype(int), cluster=cluster)
        blocks = jackknife_blocks(design, 3)
        for label in range(12):
            assert len(set(blocks.row_block[cluster == label])) == 1
        for stratum in (0, 1):
            of_stratum = blocks.row_block[(cluster >= 6) == stratum]
            assert np.bincount(of_stratum).tolist() == [6, 6, 6]

    def test_leaving_out_rows_of_a_mean_gives_s_squared_over_n(self):
        values = np.array([2.0, 3.0, 7.0, 8.0])
        left_out = (values.sum() - values) / 3
        found = jackknife_covariance(left_out[:, None], np.array([values.mean()]))
        assert found[0, 0] == pytest.approx(values.var(ddof=1) / 4, abs=ROUNDING)

    def test_more_blocks_than_clusters_are_cut(self):
        assert jackknife_blocks(sampling_design(5), 100).n_blocks == 5

    def test_one_block_is_refused(self):
        with pytest.raises(ValueError, match="`blocks` must be 2 or more; got 1"):
            jackknife_blocks(sampling_design(5), 1)


class TestIntervals:
    def test_percentiles_by_hand(self):
        low, high = percentile_interval(np.arange(1.0, 102.0), level=0.9)
        assert float(low) == pytest.approx(6.0)
        assert float(high) == pytest.approx(96.0)

    def test_replicates_that_are_not_finite_are_set_aside(self):
        values = np.array([[1.0, np.nan], [2.0, np.nan], [np.inf, np.nan]])
        low, high = percentile_interval(values, level=0.5)
        assert low[0] == pytest.approx(1.25)
        assert high[0] == pytest.approx(1.75)
        assert np.isnan(low[1])

    def test_a_level_of_95_is_refused(self):
        with pytest.raises(ValueError, match=r"`level` must be between 0 and 1.*got 95"):
            percentile_interval(np.arange(3.0), level=95)

    @given(st.lists(st.integers(-5, 5), min_size=1, max_size=8))
    @settings(max_examples=50, deadline=None)
    def test_ranks_are_one_more_than_the_number_that_are_larger(self, values):
        expected = [1 + sum(other > value for other in values) for value in values]
        assert ranks(np.array(values, dtype=float)).tolist() == expected

    def test_rank_interval_of_a_clear_winner_is_one(self):
        drawn = np.column_stack([np.full(200, 9.0), np.tile([1.0, 2.0], 100), np.full(200, 1.5)])
        best, worst = rank_interval(drawn)
        assert best.tolist() == [1, 2, 2]
        assert worst.tolist() == [1, 3, 3]
