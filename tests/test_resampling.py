import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cxlab.stats.resampling import (
    bootstrap_multipliers,
    jackknife_blocks,
    jackknife_covariance,
    percentile_interval,
    rank_intervals,
    ranks,
    sampling_design,
)
from cxlab.stats.variance import clustered_variance

ROUNDING = 1e-12
#: 4,000 replicates put a variance within about 2.2 % (one standard error); three of them.
VARIANCE_BY_CHANCE = 0.07

#: Studies of the planted ties; three Monte-Carlo standard errors of a share of .95 in them.
STUDIES = 100
THREE_SE = 3 * (0.95 * 0.05 / STUDIES) ** 0.5


class TestSamplingDesign:
    def test_a_cluster_label_in_two_strata_is_two_clusters(self):
        design = sampling_design(4, strata=["a", "a", "b", "b"], cluster=[7, 7, 7, 8])
        assert design.n_clusters == 3
        assert design.row_cluster.tolist() == [0, 0, 1, 2]

    def test_a_row_without_a_cluster_is_its_own_and_is_counted(self):
        design = sampling_design(4, cluster=["x", None, None, "x"])
        assert design.n_clusters == 3
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
        assert blocks.shape == (12,)
        for stratum in (0, 1):
            assert np.bincount(blocks[design.cluster_stratum == stratum]).tolist() == [2, 2, 2]

    def test_leaving_out_rows_of_a_mean_gives_s_squared_over_n(self):
        values = np.array([2.0, 3.0, 7.0, 8.0])
        left_out = (values.sum() - values) / 3
        found = jackknife_covariance(left_out[:, None], np.array([values.mean()]))
        assert found[0, 0] == pytest.approx(values.var(ddof=1) / 4, abs=ROUNDING)

    def test_more_blocks_than_clusters_are_cut(self):
        assert sorted(jackknife_blocks(sampling_design(5), 100)) == [0, 1, 2, 3, 4]


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
    @settings(max_examples=50)
    def test_ranks_are_one_more_than_the_number_that_are_larger(self, values):
        expected = [1 + sum(other > value for other in values) for value in values]
        assert ranks(np.array(values, dtype=float)).tolist() == expected


class TestRankIntervals:
    # deviations of five replicates; spreads of the differences are 1, √½ and √½
    HAND = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 0]], dtype=float)

    def test_stepwise_by_hand(self):
        # 3rd of 5 maxima. Item 2: {1, 1, √2, √2, 0} → not above √2·½ at first step; without
        # the pair (1, 2), told apart by 4.5, it is the 3rd of {0, 0, √2, √2, 0} = 0: apart
        estimates = np.array([5.0, 0.5, 0.0])
        low, high = rank_intervals(estimates, estimates + self.HAND, level=0.6)
        assert (low.tolist(), high.tolist()) == ([1, 2, 3], [1, 2, 3])

    def test_a_higher_level_leaves_the_close_two_open_by_hand(self):
        # 4th of 5: √2 in every family and step, above .5/√½ = .71 and below 4.5 and 7.1
        estimates = np.array([5.0, 0.5, 0.0])
        low, high = rank_intervals(estimates, estimates + self.HAND, level=0.8)
        assert (low.tolist(), high.tolist()) == ([1, 2, 2], [1, 3, 3])

    def test_joint_intervals_take_the_maximum_over_all_pairs_by_hand(self):
        # differences .9, .9, 0: item 1 alone needs the 3rd of {√2, √2, 1, 1, 0} = 1 and has
        # .9 and 1.27: apart from item 3, then from item 2 by the 3rd of {1, 1, 1, 1, 0} = 1: no.
        # All pairs need the 3rd of {√2, √2, √2, √2, 0} = √2: nothing is told apart.
        estimates = np.array([0.9, 0.0, 0.0])
        alone = rank_intervals(estimates, estimates + self.HAND, level=0.6)
        joint = rank_intervals(estimates, estimates + self.HAND, level=0.6, joint=True)
        assert [side.tolist() for side in alone] == [[1, 1, 1], [2, 3, 3]]
        assert [side.tolist() for side in joint] == [[1, 1, 1], [3, 3, 3]]

    def test_a_difference_that_never_varies_tells_nothing_apart(self):
        draws = np.random.default_rng(2).normal(size=(100, 1))
        replicates = np.hstack([draws, draws + 3, draws])
        low, high = rank_intervals(np.array([0.0, 3.0, 0.0]), replicates)
        assert (low.tolist(), high.tolist()) == ([1, 1, 1], [3, 3, 3])

    def test_scale_and_order_of_items_do_not_matter(self):
        draws = np.random.default_rng(3).normal(size=(200, 4)) + [3.0, 2.9, 0.0, -4.0]
        estimates, order = np.array([3.0, 2.9, 0.0, -4.0]), [2, 0, 3, 1]
        for joint in (False, True):
            low, high = rank_intervals(estimates, draws, joint=joint)
            moved = rank_intervals(7 * estimates[order], 7 * draws[:, order], joint=joint)
            assert (moved[0].tolist(), moved[1].tolist()) == (
                low[order].tolist(),
                high[order].tolist(),
            )

    def test_replicates_that_are_not_finite_are_set_aside(self):
        draws = np.random.default_rng(4).normal(size=(50, 3))
        spoilt = np.vstack([draws, [np.nan, 0, 0]])
        expected = rank_intervals(np.zeros(3), draws)
        assert np.array_equal(rank_intervals(np.zeros(3), spoilt), expected)

    def test_one_item_is_first(self):
        low, high = rank_intervals(np.array([2.0]), np.array([[1.0], [3.0]]))
        assert (low.tolist(), high.tolist()) == ([1], [1])

    def test_unknown_estimates_and_too_few_replicates_are_refused(self):
        with pytest.raises(ValueError, match="must be finite; got 1 finite replicates"):
            rank_intervals(np.zeros(2), np.array([[0.0, 1.0], [np.nan, 1.0]]))
        with pytest.raises(ValueError, match="`estimates` and at least 2 `replicates`"):
            rank_intervals(np.array([np.nan, 0.0]), np.ones((5, 2)))
        with pytest.raises(ValueError, match="one column an estimate"):
            rank_intervals(np.zeros(2), np.ones((5, 3)))

    def test_six_tied_touchpoints_may_each_have_any_rank(self):
        whole, denied_first, all_at_once = [], 0, 0
        for seed in range(STUDIES):
            estimates, replicates = tied_correlations(np.random.default_rng(seed))
            low, high = rank_intervals(estimates, replicates)
            whole.append((low == 1) & (high == 6))
            denied_first += low[0] > 1
            low, high = rank_intervals(estimates, replicates, joint=True)
            all_at_once += (low == 1).all() and (high == 6).all()
        assert np.mean(whole) > 0.93 - THREE_SE
        assert denied_first / STUDIES < 0.05 + THREE_SE
        assert all_at_once / STUDIES > 0.93 - THREE_SE

    def test_clear_orders_are_found(self):
        generator = np.random.default_rng(5)
        estimates, replicates = tied_correlations(generator, loadings=(0.9, 0.7, 0.4, 0.0, -0.4))
        low, high = rank_intervals(estimates, replicates, joint=True)
        assert (low.tolist(), high.tolist()) == ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5])


def tied_correlations(generator, loadings=(0.5,) * 6, n=300, replicates=400):
    """Correlations of touchpoints with an outcome, with bootstrap replicates of rows."""
    outcome = generator.normal(size=(n, 1))
    loading = np.array(loadings)
    noise = generator.normal(size=(n, len(loading)))
    scores = loading * outcome + np.sqrt(1 - loading**2) * noise
    drawn = generator.multinomial(n, np.full(n, 1 / n), size=replicates)
    weights = np.vstack([np.ones(n), drawn]) / n
    x, y = weights @ scores, weights @ outcome
    cross = weights @ (scores * outcome) - x * y
    spread = (weights @ scores**2 - x**2) * (weights @ outcome**2 - y**2)
    found = cross / np.sqrt(spread)
    return found[0], found[1:]


@pytest.mark.parametrize(("information", "df"), [([1, 1, 1, 1], 3.0), ([3, 1, 0, 0], 0.6)])
def test_the_variance_over_clusters_by_hand(information, df):
    # 4/3 · (1 + 1 + 4 + 4); (3 + 1)² / (9 + 1) − 1 clusters that know something
    design = sampling_design(4, cluster=[0, 1, 2, 3])
    found = clustered_variance(np.array([1.0, -1, 2, -2]), np.array(information, float), design)
    assert found == pytest.approx((40 / 3, df))
