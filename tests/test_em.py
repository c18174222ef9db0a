import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cxlab.stats.covariance import em as fitting
from cxlab.stats.covariance import patterns as sorting
from cxlab.stats.covariance.covariance import WeightedRows
from cxlab.stats.covariance.em import NoMaximumError, climb, fit_normal, fit_possible, with_prior
from tests import em_oracle as oracle

#: Sums of a few hundred products in another order.
ROUNDING = 1e-9
#: Where the last steps are shorter than 1e-9 and each leaves at most half.
CONVERGED = 1e-7


def answers(n=150, q=5, holes=0.35, seed=0, steps=None):
    """Rows with missing answers, and their weights."""
    generator = np.random.default_rng(seed)
    rows = generator.normal(size=(n, 1)) + generator.normal(size=(n, q))
    rows = np.round(rows * steps) / steps if steps else rows
    rows[generator.random(rows.shape) < holes] = np.nan
    return rows, generator.uniform(0.5, 2.0, n)


def somewhere(q, seed=9):
    """A mean and covariance that are no maximum."""
    root = np.random.default_rng(seed).normal(size=(q, 2 * q))
    return np.linspace(-0.2, 0.3, q), root @ root.T / q


def unit_scores(patterns, place, unit, n_units):
    scores = sorting.UnitScores.of(unit, n_units, len(place[0]))
    patterns.information(*place, scores=scores)
    return scores.total


class TestPatterns:
    @pytest.mark.parametrize("holes", [0.0, 0.1, 0.35, 0.7])
    def test_a_step_and_the_likelihood_are_those_of_one_inverse_a_row(self, holes):
        rows, weight = answers(holes=holes)
        place = somewhere(5)
        found = WeightedRows.of(rows, weight).patterns.expect(*place)
        assert found.log_likelihood == pytest.approx(oracle.score(rows, weight, *place)[0])
        mean, covariance = oracle.em_step(rows, weight, *place)
        np.testing.assert_allclose(found.mean, mean, rtol=ROUNDING, atol=ROUNDING)
        np.testing.assert_allclose(found.covariance, covariance, rtol=ROUNDING, atol=ROUNDING)

    @pytest.mark.parametrize("expected", [False, True])
    def test_information_is_that_of_every_pair_of_directions(self, expected):
        rows, weight = answers(q=4)
        place = somewhere(4)
        found = WeightedRows.of(rows, weight).patterns.information(*place, expected=expected)
        wanted = oracle.information(rows, weight, *place, expected=expected)
        np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING)

    def test_scores_of_units_are_those_of_their_rows(self):
        rows, weight = answers(n=60)
        unit, place = np.arange(60) % 7, somewhere(5)
        found = unit_scores(WeightedRows.of(rows, weight).patterns, place, unit, 7)
        wanted = oracle.unit_scores(rows, weight, *place, unit, 7)
        np.testing.assert_allclose(found, wanted, rtol=ROUNDING, atol=ROUNDING)

    def test_blocks_of_few_rows_give_the_same(self, monkeypatch):
        rows, weight = answers(n=80, q=3)
        place, unit = somewhere(3), np.arange(80) % 5
        whole = WeightedRows.of(rows, weight).patterns
        monkeypatch.setattr(sorting, "BLOCK", 12)
        parts = WeightedRows.of(rows, weight).patterns
        assert len(parts.blocks) > 2 * len(whole.blocks)
        assert parts.expect(*place).log_likelihood == pytest.approx(
            whole.expect(*place).log_likelihood
        )
        np.testing.assert_allclose(
            parts.information(*place), whole.information(*place), rtol=ROUNDING, atol=ROUNDING
        )
        np.testing.assert_allclose(
            unit_scores(parts, place, unit, 5), unit_scores(whole, place, unit, 5), atol=ROUNDING
        )

    def test_more_columns_than_one_number_holds_make_the_same_patterns(self, monkeypatch):
        known = ~np.isnan(answers(n=300, q=7)[0])
        whole = sorting.pattern_numbers(known)
        monkeypatch.setattr(sorting, "BITS", 3)
        parts = sorting.pattern_numbers(known)
        pairs = {(one, two) for one, two in zip(whole, parts, strict=True)}
        assert len(pairs) == len(set(whole)) == len(set(parts)) == len(np.unique(known, axis=0))

    def test_what_is_missing_is_completed_by_regression(self):
        rows = np.array([[1.0, np.nan], [2.0, 4.0]])
        mean, covariance = np.array([0.0, 1.0]), np.array([[2.0, 1.0], [1.0, 3.0]])
        filled, left = WeightedRows.of(rows, np.array([2.0, 1.0])).patterns.completed(
            mean, covariance, 2
        )
        # 1 + ½ · (1 − 0); twice the variance left, 3 − 1²/2
        np.testing.assert_allclose(filled, [[1.0, 1.5], [2.0, 4.0]])
        np.testing.assert_allclose(left, [[0.0, 0.0], [0.0, 5.0]])


class TestRows:
    @settings(max_examples=20)
    @given(st.integers(0, 10_000), st.integers(1, 3))
    def test_mean_and_spread_say_what_the_rows_say(self, seed, units):
        rows, weight = answers(n=200, q=3, holes=0.2, seed=seed, steps=1)
        source = WeightedRows.of(rows, weight, np.arange(200) % units)
        short = source.compressed(within_units=True)
        assert len(short.weight) < 150
        assert short.n == 200
        one, two = source.pair_sums(), short.pair_sums()
        for name in ("n", "weight", "sums", "squares", "products"):
            np.testing.assert_allclose(getattr(two, name), getattr(one, name), atol=ROUNDING)
        place = somewhere(3)
        one, two = (unit_scores(part.patterns, place, part.unit, units) for part in (source, short))
        np.testing.assert_allclose(two, one, atol=1e-7)

    def test_few_rows_a_pattern_stay_as_they_are(self):
        source = WeightedRows.of(*answers(n=40, q=8))
        assert source.compressed(within_units=False) is source


class TestFit:
    @settings(max_examples=8)
    @given(st.integers(0, 10_000), st.sampled_from([0.1, 0.3, 0.45]))
    @example(21, 0.45)
    def test_the_maximum_is_that_of_em_by_rows(self, seed, holes):
        rows, weight = answers(n=80, q=4, holes=holes, seed=seed)
        found = fit_normal(WeightedRows.of(rows, weight))
        mean, covariance = oracle.em(rows, weight)
        assert found.converged
        np.testing.assert_allclose(found.mean, mean, atol=CONVERGED)
        np.testing.assert_allclose(found.covariance, covariance, atol=CONVERGED)

    @pytest.mark.parametrize("most_columns", [0, 60])
    def test_with_and_without_information_the_maximum_is_the_same(self, monkeypatch, most_columns):
        rows, weight = answers(n=120, q=6, holes=0.4)
        monkeypatch.setattr(fitting, "MAX_INFORMATION", most_columns)
        found = fit_normal(WeightedRows.of(rows, weight))
        assert found.steps < (40 if most_columns == 0 else 20)
        np.testing.assert_allclose(found.covariance, oracle.em(rows, weight)[1], atol=CONVERGED)

    def test_a_start_near_the_maximum_needs_few_steps(self):
        rows = WeightedRows.of(*answers(n=400, q=6))
        far = fit_normal(rows)
        near = climb(rows.patterns, (far.mean + 0.01, far.covariance * 1.01), near=True)
        assert near.steps < far.steps
        np.testing.assert_allclose(near.covariance, far.covariance, atol=CONVERGED)

    def test_a_start_from_which_newton_falls_still_arrives(self):
        rows = WeightedRows.of(*answers(n=400, q=6))
        start = np.full(6, 3.0), np.diag(np.linspace(0.01, 30, 6))
        found = climb(rows.patterns, start, near=True)
        assert found.converged
        np.testing.assert_allclose(found.covariance, fit_normal(rows).covariance, atol=CONVERGED)

    def test_the_likelihood_never_falls(self):
        rows = WeightedRows.of(*answers(n=60, q=6, holes=0.5, seed=3))
        way = fitting._Climb(rows.patterns, (np.zeros(6), 3 * np.eye(6)), near=False)
        reached = [way.reached.log_likelihood]
        for _ in range(25):
            way.step(0.0)
            reached.append(way.reached.log_likelihood)
        assert min(np.diff(reached)) > -1e-9
        assert reached[-1] > reached[0] + 10

    def test_steps_that_run_out_are_said(self):
        rows = WeightedRows.of(*answers())
        found = climb(rows.patterns, (np.zeros(5), np.eye(5)), most_steps=2)
        assert (found.converged, found.steps) == (False, 2)

    def test_a_prior_joins_what_the_answers_leave_open(self):
        rows, weight = answers(n=30, q=8, holes=0.4)
        source = WeightedRows.of(rows, np.ones(30))
        with pytest.raises(NoMaximumError, match="combinations of others"):
            fit_normal(source)
        found = fit_possible(source)
        assert found.prior == pytest.approx(0.3)
        joined = with_prior(source, found.prior)
        np.testing.assert_allclose(found.covariance, fit_normal(joined).covariance)
        at_rest = joined.patterns.expect(found.mean, found.covariance)
        np.testing.assert_allclose(at_rest.covariance, found.covariance, atol=CONVERGED)
