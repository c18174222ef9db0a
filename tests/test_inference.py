import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from cxlab.stats.inference import (
    adjust_p_values,
    mean_interval,
    score_interval,
    score_statistic,
    t_quantile,
    wilson_interval,
    wilson_statistic,
)
from cxlab.stats.variance import design_variance, effective_sample_size

#: Bisection stops at 2e-18 of the range; what is left is rounding.
EXACT = 1e-9


def limits(interval):
    low, high = interval
    return [float(np.ravel(low)[0]), float(np.ravel(high)[0])]


@pytest.mark.parametrize("name", ["nps.score.15_13_8", "nps.score.10_0_0"])
def test_score_interval_against_contingencytables(golden_scores, name):
    entry = golden_scores[name]
    p, d = entry["inputs"]["promoters"], entry["inputs"]["detractors"]
    n = p + d + entry["inputs"]["passives"]
    expected = [entry["expected"]["lower"], entry["expected"]["upper"]]
    assert limits(score_interval(p, d, n)) == pytest.approx(expected, abs=entry["tolerance"])


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.sampled_from([0.8, 0.95]))
def test_score_interval_holds_the_estimate_and_mirrors(promoters, passives, detractors, level):
    n = promoters + passives + detractors
    if n == 0:
        return
    low, high = limits(score_interval(promoters, detractors, n, level=level))
    estimate = (promoters - detractors) / n
    assert -1 <= low <= estimate <= high <= 1
    assert high - low > 0
    mirrored = limits(score_interval(detractors, promoters, n, level=level))
    assert mirrored == pytest.approx([-high, -low], abs=EXACT)


#: Any shares of promoters and detractors, all of one kind among them.
SHARES = st.sampled_from([(1, 0), (0, 1), (0, 0), (0.5, 0.5)]) | st.tuples(
    st.floats(0, 1), st.floats(0, 1)
).map(lambda pair: (pair[0] * (1 - pair[1]), pair[1]))
#: Effective sizes: below 1 (few clusters), fractions, whole, ten million.
SIZES = st.floats(0.02, 1e7) | st.integers(1, 10**7) | st.sampled_from([0.05, 1, 10**7])


@given(SHARES, SIZES, st.sampled_from([0.5, 0.95, 0.999]))
@settings(max_examples=100)
def test_score_limits_are_roots_inside_the_scale(shares, n, level):
    """At either limit the statistic is the normal quantile, unless it is the end of the scale."""
    top, bottom = shares
    estimate, z = top - bottom, norm.ppf(0.5 + level / 2)
    low, high = limits(score_interval(n * top, n * bottom, n, level=level))
    assert -1 <= low <= estimate + EXACT
    assert estimate - EXACT <= high <= 1
    assert high > low
    for limit, sign in ((low, 1), (high, -1)):
        # the end of the scale is a limit only of an estimate there, or of next to no answers
        assert abs(limit) < 1 or abs(estimate) > 1 - EXACT or n < z**2
        if abs(limit) < 1 - 1e-9:
            found = float(score_statistic(n * top, n * bottom, n, limit))
            assert found == pytest.approx(sign * z, abs=1e-3)


@given(SHARES, SIZES, st.sampled_from([0.5, 0.95, 0.999]))
@settings(max_examples=100)
def test_wilson_limits_are_roots_inside_the_scale(shares, n, level):
    z = norm.ppf(0.5 + level / 2)
    low, high = limits(wilson_interval(shares[0], n, level=level))
    assert 0 <= low <= high <= 1
    for limit, sign in ((low, 1), (high, -1)):
        if 1e-6 < limit < 1 - 1e-6:
            found = float(wilson_statistic(shares[0], n, limit))
            assert found == pytest.approx(sign * z, rel=1e-4)


def test_score_interval_without_answers_is_not_a_number():
    assert np.isnan(limits(score_interval(0, 0, 0))).all()


def coverage(interval, shares, n):
    """Exact: every split of n answers with its multinomial probability."""
    from scipy.stats import multinomial

    p, _, d = shares
    splits = [(i, n - i - j, j) for i, j in itertools.product(range(n + 1), repeat=2) if i + j <= n]
    counts = np.array(splits, dtype=float)
    low, high = interval(counts[:, 0], counts[:, 2], np.full(len(counts), float(n)))
    held = (low <= p - d + EXACT) & (p - d <= high + EXACT)
    return float(multinomial.pmf(counts, n, shares)[held].sum())


def test_exact_coverage_is_that_of_the_literature():
    # METHODS: n = 10, 85/12/3 %: score .965, where Wald has .79
    shares = (0.85, 0.12, 0.03)
    assert coverage(score_interval, shares, 10) == pytest.approx(0.965, abs=0.005)


@given(st.integers(0, 50), st.integers(1, 50))
def test_wilson_equals_statsmodels(count, extra):
    n = count + extra
    expected = proportion_confint(count, n, method="wilson")
    assert limits(wilson_interval(count / n, n)) == pytest.approx(list(expected), abs=EXACT)


def test_t_interval_by_hand():
    # 1, 2, 3: mean 2, s = 1, t(2, .975) = 4.302653
    low, high = limits(mean_interval(2.0, 1 / np.sqrt(3), 2))
    assert [low, high] == pytest.approx(
        [2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)], abs=1e-6
    )


@pytest.mark.parametrize("level", [0, 1, 95, "0.95", True])
def test_bad_level_is_refused(level):
    with pytest.raises(ValueError, match="`level` must be between 0 and 1"):
        score_interval(1, 1, 3, level=level)


def test_design_variance_of_lone_rows_is_the_usual_one():
    rng = np.random.default_rng(1)
    y = rng.normal(size=50)
    z = (y - y.mean()) / len(y)
    totals = pd.DataFrame(
        {"domain": 0, "stratum": 0, "cluster": None, "total": [z.sum()], "squares": [(z**2).sum()]}
    )
    variance = design_variance(totals, pd.Series({0: 50}), domains=1)[0]
    assert variance == pytest.approx(y.var(ddof=1) / 50, rel=EXACT)


def test_effective_sample_size_never_exceeds_the_sample():
    assert effective_sample_size([10.0], [0.2], [9.0])[0] == 10.0


def test_t_quantile_below_one_degree_is_not_a_number():
    assert np.isnan(t_quantile(0.95, 0))


def test_benjamini_hochberg_against_the_paper(golden_scores):
    entry = golden_scores["fdr.bh1995"]
    adjusted = adjust_p_values(entry["inputs"]["p"])
    assert adjusted == pytest.approx(entry["expected"]["bh"], abs=entry["tolerance"])
    assert (adjusted <= entry["inputs"]["q"]).sum() == entry["expected"]["n_bh"]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20), st.sampled_from(["bh", "by"]))
def test_adjusted_p_values_equal_statsmodels(p, method):
    expected = multipletests(p, method=f"fdr_{method}")[1]
    assert adjust_p_values(p, method=method) == pytest.approx(expected, abs=EXACT)


def test_a_test_that_was_not_made_does_not_count():
    assert adjust_p_values([0.01, np.nan, 0.04])[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(adjust_p_values([0.01, np.nan])[1])


def test_p_value_off_its_range_is_refused():
    with pytest.raises(ValueError, match=r"from 0 to 1; got 1\.5"):
        adjust_p_values([0.5, 1.5])
    with pytest.raises(ValueError, match="`method` must be 'bh' or 'by'; got 'bon'"):
        adjust_p_values([0.5], method="bon")
