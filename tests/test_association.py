"""Correlations from joint count tables, against other packages and worked by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

from cxlab.core.design import Design
from cxlab.core.frames import open_frame
from cxlab.stats.association import counts as counting
from cxlab.stats.association.coefficients import kendall_tau_b, pearson, spearman
from cxlab.stats.association.counts import joint_counts, pearson_covariance
from cxlab.stats.association.estimates import (
    COEFFICIENTS,
    correlation_interval,
    correlation_p_value,
    pair_degrees_of_freedom,
    pair_estimates,
)
from cxlab.stats.association.partial import (
    em_correlations,
    estimable_columns,
    joint_model,
    multiple_r_squared,
    pairwise_correlations,
    partial_correlations,
    semi_partial_correlations,
)
from cxlab.stats.association.polychoric import (
    bivariate_normal_cdf,
    log_integral,
    log_likelihood,
    thresholds,
)
from cxlab.stats.association.polychoric import polychoric as polychoric_pairs
from cxlab.stats.resampling import jackknife_covariance
from cxlab.stats.touchpoints.result import difference_table
from cxlab.stats.variance import (
    covariance_of_totals,
    design_variance,
    leverage_degrees_of_freedom,
    units_of_rows,
)

GOLDEN = Path(__file__).parent / "golden"

#: Two implementations of one formula differ by rounding only.
ROUNDING = 1e-10
#: R prints seventeen digits; its Taylor variance sums in another order.
R_DIGITS = 1e-8
#: polycor stops its optimiser at about this distance; the golden file says so too.
POLYCOR = 1e-4
#: First-order influence against a step of 1e-6: the second-order term remains.
SECOND_ORDER = 2e-5
#: Degrees of freedom where a cell's weights are known by their sum and sum of squares only:
#: among 80, the t quantile moves by less than .3 %.
LUMPED_WEIGHTS = 0.25
#: Studies of a level in the tests; a limit gets three Monte-Carlo standard errors.
STUDIES = 300
#: Weighted sums in another order differ in the last digits; derivatives magnify them.
ENGINES = 1e-9

DESIGN = {"weights": "weight", "strata": "stratum", "cluster": "cluster"}


@pytest.fixture(scope="module")
def against_r() -> dict:
    return json.loads((GOLDEN / "association.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def answers() -> pd.DataFrame:
    return pd.read_csv(GOLDEN / "association.csv")


def ratings(seed: int, n: int = 300) -> pd.DataFrame:
    generator = np.random.default_rng(seed)
    latent = generator.normal(size=(n, 1)) + generator.normal(size=(n, 4))
    frame = pd.DataFrame(
        np.digitize(latent, [-1.5, -0.5, 0.5, 1.5]) + 1.0, columns=["overall", "a", "b", "c"]
    )
    for name in ("a", "b", "c"):
        frame.loc[generator.random(n) < 0.3, name] = np.nan
    frame["weight"] = generator.uniform(0.5, 2, n)
    frame["stratum"] = np.arange(n) % 3
    frame["cluster"] = np.arange(n) // 10
    return frame


def counted(data, x, y, design=None):
    """Joint counts of a frame that is not open yet."""
    names = {"x": x, "y": y}
    return joint_counts(open_frame(data, numbers=names, design=design), x, y)


def table_pairs(table):
    """Cells of a count table as paired values with weights."""
    counts = np.asarray(table, dtype=float)
    x, y = np.nonzero(counts)
    return x.astype(float), y.astype(float), counts[x, y]


def polychoric(table):
    return polychoric_pairs(*table_pairs(table))


@pytest.fixture
def in_the_engine(monkeypatch):
    """Every table is counted by a GROUP BY, as in data too large for rows."""
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)


# the coefficients themselves


def test_pearson_of_three_pairs_by_hand():
    # x − 2 = (−1, 0, 1), y − 2 = (−1, 1, 0): Σxy = 1, Σx² = Σy² = 2
    assert pearson([1, 2, 3], [1, 3, 2]).estimate == pytest.approx(0.5, abs=ROUNDING)


def test_spearman_against_wikipedia(golden_scores):
    case = golden_scores["spearman.wikipedia"]
    found = spearman(case["inputs"]["iq"], case["inputs"]["tv"]).estimate
    assert found == pytest.approx(case["expected"]["rho"], abs=case["tolerance"])


def test_rank_correlations_with_ties_against_r(answers, against_r):
    both = answers.dropna(subset=["shops"])
    x, y = both["shops"], both["overall"]
    assert spearman(x, y).estimate == pytest.approx(against_r["spearman"], abs=ROUNDING)
    assert kendall_tau_b(x, y).estimate == pytest.approx(against_r["kendall"], abs=ROUNDING)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(0, 10)), min_size=4, max_size=60).filter(
        lambda pairs: len({x for x, _ in pairs}) > 1 and len({y for _, y in pairs}) > 1
    )
)
def test_coefficients_equal_scipys(pairs):
    x, y = (np.array(side, dtype=float) for side in zip(*pairs, strict=True))
    assert pearson(x, y).estimate == pytest.approx(stats.pearsonr(x, y)[0], abs=1e-9)
    assert spearman(x, y).estimate == pytest.approx(stats.spearmanr(x, y)[0], abs=1e-9)
    assert kendall_tau_b(x, y).estimate == pytest.approx(stats.kendalltau(x, y)[0], abs=1e-9)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_rows_and_their_count_table_give_the_same_digits(name):
    both = ratings(1)[["a", "overall"]].dropna()
    table = pd.crosstab(both["a"], both["overall"])
    from_rows = COEFFICIENTS[name](both["a"], both["overall"])
    # ratings without gaps: their places are as good as they are
    from_table = COEFFICIENTS[name](*table_pairs(table))
    assert from_rows.estimate == pytest.approx(from_table.estimate, abs=ROUNDING)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_whole_weights_equal_repeated_rows(name):
    x, y = np.array([1, 2, 3, 3, 1.0]), np.array([1, 1, 2, 3, 2.0])
    times = np.array([3, 1, 2, 4, 1])
    weighted = COEFFICIENTS[name](x, y, times).estimate
    repeated = COEFFICIENTS[name](np.repeat(x, times), np.repeat(y, times)).estimate
    assert weighted == pytest.approx(repeated, abs=ROUNDING)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_influence_is_the_change_when_one_pair_weighs_more(name):
    both = ratings(2)[["a", "overall", "weight"]].dropna()
    x, y, weight = (both[column].to_numpy() for column in both)
    function = COEFFICIENTS[name]
    whole = function(x, y, weight)
    assert weight @ whole.influence == pytest.approx(0, abs=1e-9)
    for place in (0, 7, 100):
        step = 1e-6
        moved = weight / weight.sum() * (1 - step)
        moved[place] += step
        slope = (function(x, y, moved).estimate - whole.estimate) / step
        assert whole.influence[place] == pytest.approx(slope, abs=SECOND_ORDER)


@pytest.mark.parametrize("name", COEFFICIENTS)
def test_constant_scores_have_no_coefficient_and_a_reason(name):
    fit = COEFFICIENTS[name]([3, 3, 3], [1, 2, 3], [1, 1, 1])
    assert np.isnan(fit.estimate)
    assert fit.note == "the scores are all the same"


def test_incomplete_or_uneven_pairs_are_refused():
    with pytest.raises(ValueError, match="equally long; got 2, 3 and 2"):
        pearson([1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match="finite numbers; got NaN"):
        spearman([1, np.nan], [1, 2])
    with pytest.raises(ValueError, match="`weights` must be finite numbers of 0 or more"):
        kendall_tau_b([1, 2], [1, 2], [1, -1])


# polychoric


@pytest.mark.parametrize("case", ["tetrachoric_40_10_20_30", "fleiss3x3"])
def test_polychoric_against_polycor(golden_scores, case):
    golden = golden_scores[f"polychoric.{case}"]
    table = golden["inputs"]["table"]
    assert polychoric(table).estimate == pytest.approx(golden["expected"]["two_step"], abs=POLYCOR)
    # polycor's full maximum likelihood of the same cell probabilities
    assert full_likelihood(table) == pytest.approx(golden["expected"]["ml"], abs=POLYCOR)


def full_likelihood(table):
    """The correlation that fits a table best with its thresholds, by a general optimiser."""
    share = np.array(table, dtype=float) / np.sum(table)
    row, column = thresholds(share)
    start = np.concatenate([[polychoric(table).estimate], row, column])

    def lost(point):
        rows = len(row) + 1
        return -log_likelihood(share, point[0], point[1:rows], point[rows:])

    return optimize.minimize(lost, start, method="Nelder-Mead", options={"xatol": 1e-6}).x[0]


def test_tetrachoric_reproduces_the_table_it_was_fitted_to():
    # a 2 × 2 table has as many cells as parameters: the fit is exact
    table = np.array([[40, 10], [20, 30]])
    row, column = thresholds(table / 100)
    corner = bivariate_normal_cdf(row[0], column[0], polychoric(table).estimate)
    assert float(corner) == pytest.approx(0.4, abs=ROUNDING)


def test_two_step_on_a_large_table_equals_polycors(against_r):
    fit = polychoric(against_r["polychoric_table"])
    assert fit.estimate == pytest.approx(against_r["polychoric_two_step"], abs=POLYCOR)


@pytest.mark.parametrize(
    ("h", "k", "rho"), [(0, 0, 0.5), (-1.3, 0.4, -0.7), (0.7, -2, 0.95), (0, 1.1, 0.3)]
)
def test_bivariate_normal_cdf_equals_scipys(h, k, rho):
    expected = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf([h, k])
    assert float(bivariate_normal_cdf(h, k, rho)) == pytest.approx(expected, abs=1e-6)


def test_polychoric_of_exact_normal_cells_is_their_correlation():
    edges = np.array([-np.inf, -1.0, 0.2, 1.4, np.inf])
    corners = bivariate_normal_cdf(edges[:, None], edges[None, :], 0.63)
    cells = np.diff(np.diff(corners, axis=0), axis=1)
    assert polychoric(cells).estimate == pytest.approx(0.63, abs=1e-9)


def test_an_empty_cell_of_a_two_by_two_table_gets_one_half_and_says_so():
    fit = polychoric([[30, 0], [20, 50]])
    assert fit.estimate == pytest.approx(polychoric([[30.5, 0.5], [20.5, 50.5]]).estimate)
    assert "one half" in fit.note


def test_empty_cells_and_unused_ratings_stay_empty():
    with_gap = [[20, 5, 0, 0], [0, 0, 0, 0], [4, 10, 0, 9]]
    without = [[20, 5, 0], [4, 10, 9]]
    assert polychoric(with_gap).estimate == pytest.approx(polychoric(without).estimate)
    assert polychoric(with_gap).note == ""


@pytest.mark.parametrize(
    "table",
    [
        np.diag([5, 5, 5]),
        [[8, 3, 0], [0, 4, 9]],
        [[0, 5, 9], [7, 2, 0]],
        [[30, 4, 0, 0], [0, 2, 20, 0], [0, 0, 0, 9]],
    ],
)
def test_answers_that_never_disagree_in_order_are_not_estimable(table):
    # the margins' thresholds fit such a table exactly at ±1: near it the likelihood is flat
    fit = polychoric(table)
    assert np.isnan(fit.estimate)
    assert fit.note == "not estimable: the answers never disagree in order"
    one_against = np.array(table) + np.eye(len(table), len(table[0]))[::-1]
    one_against += np.eye(len(table), len(table[0]))
    assert "never disagree" not in polychoric(one_against).note


def test_a_correlation_beyond_the_end_is_not_estimable():
    fit = polychoric([[4000, 1, 0], [1, 4000, 1], [0, 1, 4000]])
    assert np.isnan(fit.estimate)
    assert fit.note == "not estimable: beyond ±0.999"


#: Tables whose likelihood is flat in floating point at ±.9999, and their two-step values.
HARD_TABLES = {
    ((20, 1), (10, 10)): 0.794,
    ((50, 2), (20, 28)): 0.865,
    ((17, 3), (63, 17)): 0.134,
    ((35, 197), (120, 148)): -0.515,
    ((20, 0), (10, 10)): 0.856,
    ((30, 0), (1, 9)): 0.985,
}


@pytest.mark.parametrize("table", HARD_TABLES)
def test_tables_whose_densities_vanish_at_the_ends_have_their_coefficient(table):
    counts, expected = np.array(table), HARD_TABLES[table]
    assert polychoric(counts).estimate == pytest.approx(expected, abs=0.0005)
    for turned in (counts[::-1], counts[:, ::-1]):
        assert polychoric(turned).estimate == pytest.approx(-expected, abs=0.0005)
    assert polychoric(counts.T).estimate == pytest.approx(polychoric(counts).estimate)


def random_table(generator, kind):
    """A table of 2 × 2 to 11 × 11 ratings of 30 to 1,000 customers, weighted for some."""
    rows, columns = generator.integers(2, 12, 2)
    n = int(generator.integers(30, 1001))
    if kind == "normal":
        rho = generator.uniform(-0.98, 0.98)
        x = generator.normal(size=n)
        y = rho * x + np.sqrt(1 - rho**2) * generator.normal(size=n)
        places = (
            np.digitize(x, np.sort(generator.normal(size=rows - 1))),
            np.digitize(y, np.sort(generator.normal(size=columns - 1))),
        )
        table = np.zeros((rows, columns))
        np.add.at(table, places, 1)
    elif kind == "any":
        shares = generator.dirichlet(np.full(rows * columns, 0.3))
        table = generator.multinomial(n, shares).reshape(rows, columns).astype(float)
    elif kind == "weighted":
        shares = generator.dirichlet(np.ones(rows * columns))
        table = generator.multinomial(n, shares).reshape(rows, columns)
        table = table * generator.uniform(0.2, 3, table.shape)
    else:
        # everyone on the diagonal but one customer in the opposite corner
        size, table = max(rows, columns), np.zeros((rows, columns))
        place = np.arange(size)
        np.add.at(table, (place * rows // size, place * columns // size), np.ceil(n / size))
        table[0, -1] += 1
    return table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]


@pytest.mark.parametrize("kind", ["normal", "any", "weighted", "stray"])
def test_random_tables_have_a_coefficient_unless_it_is_beyond_the_end(kind):
    # the short version of benchmarks/touchpoint_coverage.py
    generator, looked = np.random.default_rng(20), np.tanh(np.linspace(-4, 4, 41))
    for _ in range(6):
        table = random_table(generator, kind)
        if min(table.shape) < 2 or (table.shape == (2, 2) and (table == 0).any()):
            continue
        fit, share = polychoric(table), table / table.sum()
        likelihood = [log_likelihood(share, rho, *thresholds(share)) for rho in looked]
        best = looked[int(np.argmax(likelihood))]
        if np.isnan(fit.estimate):
            assert abs(best) > 0.995
        else:
            assert np.arctanh(fit.estimate) == pytest.approx(np.arctanh(best), abs=0.21)


@pytest.mark.parametrize("seed", range(4))
def test_two_step_is_the_maximum_over_scipys_probabilities(seed):
    generator = np.random.default_rng(seed)
    table = generator.multinomial(200, generator.dirichlet(np.ones(12))).reshape(3, 4)
    row, column = (stats.norm.ppf(table.sum(k).cumsum() / 200)[:-1] for k in (1, 0))
    # ±8 stands for infinity: below 1e-15
    row, column = (np.concatenate([[-8.0], cuts, [8.0]]) for cuts in (row, column))
    corners = np.stack(np.meshgrid(row, column, indexing="ij"), axis=-1)

    def likelihood(rho):
        cdf = stats.multivariate_normal([0, 0], [[1, rho], [rho, 1]]).cdf(corners)
        return (table * np.log(np.maximum(np.diff(np.diff(cdf, axis=0), axis=1), 1e-12))).sum()

    looked = np.arange(-0.95, 0.951, 0.05)
    near = looked[int(np.argmax([likelihood(rho) for rho in looked]))]
    finer = np.arange(near - 0.05, near + 0.05, 0.005)
    best = finer[int(np.argmax([likelihood(rho) for rho in finer]))]
    assert polychoric(table).estimate == pytest.approx(best, abs=0.005)


def test_probabilities_too_small_for_differences_are_right_in_logs():
    low, high = np.array([-np.inf, 1.8]), np.array([-2.5, 2.5])
    below, above = np.array([1.1, -np.inf]), np.array([1.4, -2.0])
    # independent sides: a product
    expected = np.log(stats.norm.cdf(high) - stats.norm.cdf(low))
    expected += np.log(stats.norm.cdf(above) - stats.norm.cdf(below))
    assert log_integral(0.0, low, high, below, above) == pytest.approx(expected, abs=1e-12)
    # correlated: adaptive quadrature of the density over e to its log, which must be 1
    rho, found = 0.9, log_integral(0.9, low, high, below, above)
    assert (found < -20).all()
    for x_ends, y_ends, logged in zip(
        [(-5.0, -2.5), (1.8, 2.5)], [(1.1, 1.4), (-5.0, -2.0)], found, strict=True
    ):

        def scaled(y, x, logged=logged):
            exponent = (x**2 - 2 * rho * x * y + y**2) / (2 * (1 - rho**2))
            return np.exp(-exponent - logged) / (2 * np.pi * np.sqrt(1 - rho**2))

        whole = integrate.dblquad(scaled, *x_ends, *y_ends, epsabs=1e-7)[0]
        assert whole == pytest.approx(1, abs=1e-5)


def test_a_perfect_table_is_uncertain_by_the_halves_that_were_added():
    data = pd.DataFrame({"x": [1.0] * 20 + [2.0] * 20, "weight": 1000.0})
    data["y"] = data["x"]
    row = pair_estimates(counted(data, "x", "y"), "polychoric").table.iloc[0]
    assert row["estimate"] == pytest.approx(0.9972, abs=0.0001)
    assert row["ci_low"] < 0.95
    assert row["ci_high"] > row["estimate"]
    assert "one half added" in row["note"]
    # half an answer is half an answer, whatever the weights add to
    weighted = pair_estimates(
        counted(data, "x", "y", design={"weights": "weight"}), "polychoric"
    ).table
    pd.testing.assert_series_equal(weighted.iloc[0], row)


# intervals and tests


def test_partial_against_wikipedia(golden_scores):
    case = golden_scores["partial.wikipedia"]
    matrix = np.corrcoef([case["inputs"][name] for name in ("X", "Y", "Z")])
    found = partial_correlations(matrix)[0]
    assert found == pytest.approx(case["expected"]["partial"], abs=case["tolerance"])
    assert matrix[0, 1] == pytest.approx(case["expected"]["r"], abs=case["tolerance"])


@settings(max_examples=50)
@given(st.floats(-0.98, 0.98), st.floats(0.01, 0.3), st.integers(2, 500))
def test_interval_excludes_zero_exactly_when_p_is_below_alpha(r, se, df):
    low, high = correlation_interval(r, se, df)
    excludes = bool(low > 0 or high < 0)
    assert -1 <= low <= r <= high <= 1
    assert excludes == bool(correlation_p_value(r, se, df) < 0.05)


# partial correlations


def test_partial_is_the_correlation_of_residuals():
    frame = ratings(3)[["overall", "a", "b", "c"]].dropna()
    found = partial_correlations(frame.corr())
    semi = semi_partial_correlations(frame.corr())
    rest = np.column_stack([np.ones(len(frame)), frame[["b", "c"]]])

    def residual(name):
        values = frame[name].to_numpy()
        return values - rest @ np.linalg.lstsq(rest, values, rcond=None)[0]

    expected = np.corrcoef(residual("overall"), residual("a"))[0, 1]
    assert found[0] == pytest.approx(expected, abs=1e-9)
    expected = np.corrcoef(frame["overall"], residual("a"))[0, 1]
    assert semi[0] == pytest.approx(expected, abs=1e-9)


def test_squared_semi_partial_is_what_r_squared_loses():
    matrix = ratings(3)[["overall", "a", "b", "c"]].dropna().corr().to_numpy()
    without = np.delete(np.delete(matrix, 2, axis=0), 2, axis=1)
    lost = multiple_r_squared(matrix) - multiple_r_squared(without)
    assert semi_partial_correlations(matrix)[1] ** 2 == pytest.approx(float(lost), abs=ROUNDING)


def test_em_and_pairwise_agree_without_holes():
    rows = ratings(4).fillna(3.0)
    counts = counted(rows, ["a", "b", "c"], "overall", design={"cluster": "cluster"})
    columns = ["overall", "a", "b", "c"]
    weight = counts.rows["weight"]
    em = joint_model(em_correlations(counts.rows, columns, weight, counts.units), counts.units)
    own = joint_model(
        pairwise_correlations(counts.rows, columns, weight, counts.units), counts.units
    )
    pd.testing.assert_frame_equal(em.table, own.table, rtol=1e-7, atol=1e-7)
    assert em.r_squared == pytest.approx(own.r_squared, abs=1e-7)


def test_standard_error_of_a_partial_agrees_with_leaving_clusters_out():
    rows = ratings(5, n=900)
    columns = ["overall", "a", "b", "c"]

    def partial(part):
        counts = counted(part, columns[1:], "overall", design={"cluster": "cluster"})
        fitted = em_correlations(counts.rows, columns, counts.rows["weight"], counts.units)
        return joint_model(fitted, counts.units).table

    whole = partial(rows)
    clusters = rows["cluster"].unique()
    left_out = np.array([partial(rows[rows["cluster"] != one])["partial"] for one in clusters])
    size = len(clusters)
    jackknife = np.sqrt(
        (size - 1) / size * ((left_out - whole["partial"].to_numpy()) ** 2).sum(axis=0)
    )
    # two consistent estimates of one standard error from 90 clusters
    assert whole["partial_se"].to_numpy() == pytest.approx(jackknife, rel=0.05)


def test_copies_and_strangers_are_set_aside_with_the_reason():
    rows = ratings(6)
    rows["copy"] = rows["a"]
    rows["sum"] = rows["b"] + rows["c"]
    rows["flat"] = 4.0
    names = ["a", "b", "c", "copy", "flat"]
    counts = counted(rows, names, "overall")
    own = pairwise_correlations(
        counts.rows, ["overall", *names], counts.rows["weight"], counts.units
    )
    kept, aside = estimable_columns(own)
    assert kept == ("overall", "a", "b", "c")
    assert aside == {
        "flat": "no correlation with the outcome",
        "copy": "the same scores as 'a'",
    }


# near-constant columns: what a standard error rests on


def near_constant(deviating, *, n=300, columns=50, seed=0):
    """Touchpoints that are 4 but for a few answers, beside an independent outcome."""
    generator = np.random.default_rng(seed)
    frame = {"overall": generator.choice([1.0, 2, 3, 4, 5], n, p=[0.05, 0.1, 0.2, 0.4, 0.25])}
    for number in range(columns):
        scores = np.full(n, 4.0)
        places = generator.choice(n, deviating, replace=False)
        scores[places] = generator.choice([1.0, 2, 3, 5], deviating)
        frame[f"t{number}"] = scores
    frame["cluster"] = generator.integers(0, 30, n)
    frame["weight"] = generator.uniform(0.5, 2, n)
    return pd.DataFrame(frame)


def rejected(deviating, coefficient, **design):
    """Share of planted studies with p < .05 though nothing is there; withheld is not."""
    found = []
    for seed in range(4):
        data = near_constant(deviating, seed=seed, columns=25)
        counts = counted(data, [f"t{i}" for i in range(25)], "overall", design=design)
        found.append(pair_estimates(counts, coefficient).table["p_value"] < 0.05)
    return np.mean(found)


def level(limit, studies=100):
    return limit + 3 * np.sqrt(limit * (1 - limit) / studies)


@pytest.mark.parametrize("coefficient", ["pearson", "spearman"])
@pytest.mark.parametrize("deviating", [1, 3, 10])
def test_few_deviating_answers_find_nothing_where_nothing_is(deviating, coefficient):
    assert rejected(deviating, coefficient) <= level(0.07)


def test_tau_b_rests_on_few_answers_too():
    assert rejected(2, "tau_b") <= level(0.07)


@pytest.mark.parametrize("design", [{"weights": "weight"}, {"cluster": "cluster"}])
@pytest.mark.parametrize("deviating", [1, 3, 10])
def test_few_deviating_answers_under_a_design_find_nothing(deviating, design):
    assert rejected(deviating, "pearson", **design) <= level(0.07)


def test_one_deviating_answer_has_no_interval_and_its_permutation_p():
    counts = {1: 9, 2: 21, 3: 60, 4: 120, 5: 90}
    overall = np.repeat(list(counts), list(counts.values())).astype(float)
    data = pd.DataFrame({"kiosk": 4.0, "overall": overall})
    data.loc[299, "kiosk"] = 5.0
    for coefficient in ("pearson", "spearman", "tau_b"):
        row = pair_estimates(counted(data, "kiosk", "overall"), coefficient).table.iloc[0]
        assert row[["se", "ci_low", "ci_high"]].isna().all()
        # as far from the middle as a 5 are the scores 1, 2 and 5 of 300
        exact = (9 + 21 + 90) / 300
        assert row["p_value"] == pytest.approx(exact, abs=3 * np.sqrt(exact * (1 - exact) / 2000))
        assert row["note"] == (
            "no interval: the coefficient rests on one answer or cluster alone; "
            "p value by permutation"
        )


def test_two_answers_that_agree_are_no_certainty():
    data = pd.DataFrame({"x": [4.0] * 298 + [5.0, 5.0]})
    data["y"] = data["x"]
    row = pair_estimates(counted(data, "x", "y")).table.iloc[0]
    assert row["estimate"] == pytest.approx(1)
    assert row[["se", "ci_low", "ci_high"]].isna().all()
    assert 0 < row["p_value"] < 0.01


def test_leverage_degrees_of_freedom_by_hand():
    # groups of 2 and 3: (1/2 + 1/3)² / (1/(2²·1) + 1/(3²·2)), as Welch's test with one variance
    x = np.array([0.0, 0, 1, 1, 1])
    fit = pair_estimates(counted(pd.DataFrame({"x": x, "y": [1, 2, 3, 5, 9.0]}), "x", "y"))
    z = (x - 0.6) / np.sqrt(0.24)
    sums = np.column_stack([z / 5, z**2 / 5, np.full(5, 1 / 25), z / 25, z**2 / 25])
    expected = (5 / 6) ** 2 / (1 / 4 + 1 / 18)
    assert leverage_degrees_of_freedom(sums) == pytest.approx(expected, rel=ROUNDING)
    assert fit.df[0] <= expected + ROUNDING


def test_leverage_degrees_of_freedom_equal_those_of_the_whole_matrix():
    generator = np.random.default_rng(1)
    cluster, s = np.arange(60) % 9, generator.dirichlet(np.ones(60))
    x = generator.normal(size=60)
    z = (x - s @ x) / np.sqrt(s @ (x - s @ x) ** 2)
    residual = np.eye(60) - np.outer(np.ones(60), s) - np.outer(z, s * z)
    members = (cluster == np.arange(9)[:, None]).astype(float)
    totals = (members * (s * z)) @ residual
    spread = members @ (s * z) ** 2
    covariance = totals @ totals.T
    factor = np.sqrt(spread / np.diag(covariance))
    covariance *= np.outer(factor, factor)
    powers = (s * z, s * z**2, s**2, s**2 * z, s**2 * z**2)
    sums = members @ np.column_stack(powers)
    expected = np.trace(covariance) ** 2 / np.trace(covariance @ covariance)
    assert leverage_degrees_of_freedom(sums) == pytest.approx(expected, rel=1e-9)


def test_clusters_and_weights_that_say_nothing_change_nothing():
    data = near_constant(3).assign(row=np.arange(300), one=7.0)
    names = [f"t{i}" for i in range(5)]
    plain = pair_estimates(counted(data, names, "overall")).table
    for design in ({"cluster": "row"}, {"weights": "one"}, {"cluster": "row", "weights": "one"}):
        found = pair_estimates(counted(data, names, "overall", design=design)).table
        pd.testing.assert_frame_equal(found, plain)


def test_strata_are_not_permuted():
    data = near_constant(3, columns=1).assign(stratum=np.arange(300) % 3)
    plain = pair_estimates(counted(data, "t0", "overall")).table.iloc[0]
    strata = pair_estimates(
        counted(data, "t0", "overall", design={"strata": "stratum"})
    ).table.iloc[0]
    assert "by permutation" in plain["note"]
    assert "by permutation" not in strata["note"]
    assert "degrees of freedom: it rests on few answers" in strata["note"]


def test_answers_that_deviate_in_one_cluster_only_show_nothing():
    # ten answers, all of one flight: one unit, whatever their number
    data = near_constant(0, columns=1).sort_values("cluster", ignore_index=True)
    inside = data["cluster"] == 0
    data.loc[inside, "t0"], data.loc[inside, "overall"] = 1.0, 1.0
    row = pair_estimates(counted(data, "t0", "overall", design={"cluster": "cluster"})).table.iloc[
        0
    ]
    assert not row["p_value"] < 0.05
    assert row["df"] < 2


def test_a_difference_has_the_smaller_degrees_of_freedom():
    data = near_constant(5, columns=1).assign(plain=np.tile([1.0, 2, 3, 4, 5], 60))
    fit = pair_estimates(counted(data, ["t0", "plain"], "overall"))
    table = difference_table(fit, np.array([0]), np.array([1]), level=0.95)
    assert fit.df[0] < 5 < 50 < fit.df[1]
    assert table.loc[0, "df"] == fit.df[0]


def test_ordinary_answers_keep_their_coverage_in_40_rows():
    generator = np.random.default_rng(3)
    edges = np.array([-np.inf, -1, 0, 1, np.inf])
    cells = np.diff(np.diff(bivariate_normal_cdf(edges[:, None], edges, 0.6), axis=0), axis=1)
    truth, held = pearson(*table_pairs(cells)).estimate, []
    for _ in range(60):
        outcome = generator.normal(size=(40, 1))
        latent = np.hstack([outcome, 0.6 * outcome + 0.8 * generator.normal(size=(40, 5))])
        data = pd.DataFrame(np.digitize(latent, [-1, 0, 1]).astype(float), columns=list("yabcde"))
        table = pair_estimates(counted(data, list("abcde"), "y")).table
        held += ((table["ci_low"] <= truth) & (truth <= table["ci_high"])).tolist()
    # five touchpoints in each of 60 studies
    assert abs(np.mean(held) - 0.95) <= 3 * np.sqrt(0.95 * 0.05 / 300)


# joint counts and the design


def test_joint_table_by_hand():
    data = pd.DataFrame({"x": [1, 1, 2, 2, None], "y": [5, 5, 4, np.nan, 3], "w": [1, 2, 3, 4, 5]})
    counts = counted(data, "x", "y", design={"weights": "w"})
    cells = counts.cells[["x", "y", "n", "weight"]]
    assert cells.to_numpy().tolist() == [[1, 5, 2, 3], [2, 4, 1, 3]]
    assert counts.n_rows == 5


def test_pearson_and_its_standard_error_against_r_survey(answers, against_r):
    fit = pair_estimates(counted(answers, ["shops", "wifi"], "overall", design=DESIGN))
    for place, name in enumerate(("shops", "wifi")):
        estimate, se = against_r["pearson_design"][name]
        assert fit.table["estimate"][place] == pytest.approx(estimate, abs=R_DIGITS)
        assert fit.table["se"][place] == pytest.approx(se, abs=R_DIGITS)


def test_difference_of_two_r_against_r_survey(answers, against_r):
    fit = pair_estimates(counted(answers, ["shops", "wifi"], "overall", design=DESIGN))
    contrast = np.array([1, -1])
    estimate, se = against_r["difference_design"]
    assert contrast @ fit.table["estimate"] == pytest.approx(estimate, abs=R_DIGITS)
    assert np.sqrt(contrast @ fit.covariance @ contrast) == pytest.approx(se, abs=R_DIGITS)


@pytest.mark.parametrize("design", [{}, {"weights": "weight", "strata": "stratum"}, DESIGN])
def test_grouped_counts_equal_counts_of_rows(design, monkeypatch):
    rows = ratings(7)
    small = counted(rows, ["a", "b"], ["overall", "c"], design=design)
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    large = counted(rows, ["a", "b"], ["overall", "c"], design=design)
    assert large.rows is None
    known = LUMPED_WEIGHTS if large.units.lumped and "weights" in design else ENGINES
    for coefficient in COEFFICIENTS:
        one, two = pair_estimates(small, coefficient), pair_estimates(large, coefficient)
        for number in ("n", "estimate", "se"):
            wanted = pytest.approx(one.table[number].to_numpy(), rel=ENGINES)
            assert two.table[number].to_numpy() == wanted, (coefficient, number)
        assert two.df == pytest.approx(one.df, rel=known), coefficient


@pytest.mark.parametrize("design", [{}, {"weights": "weight", "strata": "stratum"}, DESIGN])
def test_nested_query_gives_the_covariance_of_the_rows(design, monkeypatch):
    rows = ratings(8)
    rows.loc[:4, "cluster"] = np.nan
    kept = counted(rows, ["a", "b"], "overall", design=design)
    fit = pair_estimates(kept)
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    monkeypatch.setattr(counting, "MOST_CLUSTERS", 3)
    large = counted(rows, ["a", "b"], "overall", design=design)
    assert large.units.lumped
    estimate = fit.table["estimate"].to_numpy()
    covariance, df = pearson_covariance(large.opened, large.pairs, large.cells, estimate)
    assert covariance == pytest.approx(fit.covariance, abs=1e-15)
    assert df == pytest.approx(pair_degrees_of_freedom(kept))
    assert pair_estimates(large).table["se"].to_numpy() == pytest.approx(fit.table["se"].to_numpy())


@pytest.mark.parametrize("first", [1, 100_000])
@pytest.mark.parametrize(("most", "lumped"), [(3, True), (1_000, False)])
def test_clusters_are_many_whatever_the_first_rows_hold(first, most, lumped, monkeypatch):
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    monkeypatch.setattr(counting, "MOST_CLUSTERS", most)
    monkeypatch.setattr(counting, "FIRST_ROWS", first)
    counts = counted(ratings(8), ["a"], "overall", design={"cluster": "cluster"})
    assert counts.units.lumped is lumped


def test_rank_coefficients_of_too_many_clusters_have_no_interval(monkeypatch):
    monkeypatch.setattr(counting, "MOST_ROW_CELLS", 0)
    monkeypatch.setattr(counting, "MOST_CLUSTERS", 3)
    counts = counted(ratings(8), ["a"], "overall", design={"cluster": "cluster"})
    row = pair_estimates(counts, "spearman").table.iloc[0]
    assert np.isfinite(row["estimate"])
    assert row[["se", "ci_low", "ci_high", "p_value"]].isna().all()
    assert row["note"] == "no interval: too many clusters to compute a variance"


def test_influence_variance_agrees_with_leaving_clusters_out():
    rows = ratings(9, n=1500)
    rows["cluster"] //= 2
    whole = counted(rows, ["a", "b"], "overall", design={"cluster": "cluster"})
    parts = [
        counted(rows[rows["cluster"] != one], ["a", "b"], "overall")
        for one in rows["cluster"].unique()
    ]
    for coefficient in COEFFICIENTS:
        fit = pair_estimates(whole, coefficient)
        left_out = [pair_estimates(part, coefficient).table["estimate"] for part in parts]
        expected = jackknife_covariance(np.array(left_out), fit.table["estimate"].to_numpy())
        # equal to first order
        assert fit.covariance == pytest.approx(expected, rel=0.05, abs=2e-6), coefficient


def test_unit_covariance_equals_the_shared_one_of_inference():
    rows = ratings(10)
    units, row_unit = units_of_rows(rows, Design(strata="stratum", cluster="cluster"))
    scores = np.random.default_rng(1).normal(size=(len(rows), 2))
    totals = np.stack(
        [np.bincount(row_unit, weights=scores[:, k], minlength=units.n_units) for k in range(2)],
        axis=1,
    )
    # a covariance is half of what the variance of a sum has beyond the two variances
    each = [totals[:, 0], totals[:, 1], totals.sum(axis=1)]
    frame = pd.DataFrame(
        {
            "domain": np.repeat(range(3), units.n_units),
            "stratum": np.tile(units.stratum, 3),
            "total": np.concatenate(each),
            "squares": np.concatenate(each) ** 2,
        }
    )
    first, second, both = design_variance(frame, pd.Series(units.sampled), domains=3)
    shared = (both - first - second) / 2
    assert covariance_of_totals(totals, units) == pytest.approx(
        np.array([[first, shared], [shared, second]]), rel=1e-9
    )


def test_standard_error_without_a_design_is_that_of_resampled_rows():
    rows = ratings(11, n=2000)
    fit = pair_estimates(counted(rows, "a", "overall"))
    both = rows[["a", "overall"]].dropna().to_numpy()
    generator = np.random.default_rng(5)
    drawn = [
        np.corrcoef(both[generator.integers(0, len(both), len(both))].T)[0, 1] for _ in range(1500)
    ]
    # Monte-Carlo error of a standard deviation from 1,500 draws is 1.8 %
    assert fit.table["se"][0] == pytest.approx(np.std(drawn), rel=0.06)


def test_a_filtered_frame_keeps_the_designs_variance():
    rows = ratings(12)
    rows["drawn"] = rows.groupby("stratum")["cluster"].transform("nunique")
    inside = rows["c"] == 3
    zeroed = rows.assign(weight=rows["weight"].where(inside, 0.0))
    whole = pair_estimates(counted(zeroed, "a", "overall", design=DESIGN))
    part = pair_estimates(
        counted(rows[inside], "a", "overall", design={**DESIGN, "stratum_clusters": "drawn"})
    )
    assert part.table["se"][0] == pytest.approx(whole.table["se"][0], rel=1e-9)


@pytest.mark.parametrize("engine", ["polars", "polars lazy", "duckdb"])
def test_engines_agree(engine, monkeypatch):
    import duckdb

    rows = ratings(13)
    frame = pl.from_pandas(rows)
    data = {
        "polars": frame,
        "polars lazy": frame.lazy(),
        "duckdb": duckdb.connect().from_df(rows),
    }[engine]
    expected = pair_estimates(counted(rows, ["a", "b"], "overall", design=DESIGN))
    for limit in (10**9, 0):
        monkeypatch.setattr(counting, "MOST_ROW_CELLS", limit)
        found = pair_estimates(counted(data, ["a", "b"], "overall", design=DESIGN))
        assert found.covariance == pytest.approx(expected.covariance, rel=1e-9)


def test_infinite_ratings_are_refused():
    with pytest.raises(ValueError, match=r"`a` must be finite ratings; got inf \(and 299 more\)"):
        counted(ratings(14).assign(a=np.inf), "a", "overall")


@pytest.mark.usefixtures("in_the_engine")
def test_large_data_that_are_no_ratings_are_refused():
    rows = ratings(15)
    for changed in (rows["a"] / 3, rows["a"] * 10):
        with pytest.raises(ValueError, match="`a` must be whole ratings .* at most 21 points"):
            counted(rows.assign(a=changed), "a", "overall")
