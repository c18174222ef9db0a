"""Variance and degrees of freedom of a difference, against matrices written out."""

import numpy as np
import pandas as pd
import pytest

from cxlab.stats.variance import Units, contrast_spread

#: Of arithmetic in another order.
EXACT = 1e-9
POWERS = {"w": (1, 0), "wy": (1, 1), "ww": (2, 0), "wwy": (2, 1), "wwyy": (2, 2),
          "www": (3, 0), "wwww": (4, 0)}  # fmt: skip


def sides_of(d):
    """Sums per unit of the rows of two sides, and the units: a blank cluster is a lone row."""
    unit = d["cluster"].fillna("lone " + d["stratum"].astype(str))
    code, names = pd.factorize(unit)
    stratum = d.groupby(unit)["stratum"].first()[names].to_numpy(int)
    sides = [
        {
            kind: np.bincount(code, (d["side"] == side) * d["w"] ** a * d["y"] ** b)
            for kind, (a, b) in POWERS.items()
        }
        for side in (0, 1)
    ]
    lone = np.array([str(name).startswith("lone") for name in names])
    sampled = d.groupby("stratum")["cluster"].agg(lambda c: c.nunique() + c.isna().sum())
    return sides, Units(stratum, lone, sampled.to_numpy(float))


def written_out(d):
    """Variance and df from whole matrices of rows: k, centring and Ω as the notes have them."""
    w = np.column_stack([np.where(d["side"] == s, d["w"], 0.0) for s in (0, 1)])
    w = w / w.sum(axis=0)
    cluster = pd.factorize(d["cluster"].fillna(pd.Series([f"lone {i}" for i in d.index])))[0]
    member = (cluster == np.arange(cluster.max() + 1)[:, None]).astype(float)
    totals = np.zeros((len(member), len(d)))
    for s, sign in ((0, 1.0), (1, -1.0)):
        p, q = member @ w[:, s], member @ w[:, s] ** 2
        k = np.sqrt(np.divide(q, q - 2 * p * q + p**2 * q.sum(), where=q > 0, out=q * 0))
        centred = np.diag(w[:, s]) - np.outer(w[:, s], w[:, s])
        totals += sign * k[:, None] * (member @ centred)
    stratum = np.array([d["stratum"].to_numpy()[cluster == g][0] for g in range(len(member))])
    if len(np.unique(stratum)) > 1:
        for h in np.unique(stratum):
            rows = stratum == h
            n = rows.sum()
            if n > 1:
                totals[rows] = (totals[rows] - totals[rows].mean(axis=0)) * np.sqrt(n / (n - 1))
    omega = totals @ totals.T
    u = totals @ d["y"].to_numpy(float)
    return u @ u, np.trace(omega) ** 2 / (omega**2).sum()


def rows_of(rng, *, strata=1, weighted=True, crossed=True, lone=0):
    """Fifteen clusters of one to nine rows, and lone rows."""
    sizes = rng.integers(1, 10, 15)
    cluster = np.repeat(np.arange(15), sizes).astype(object)
    n = len(cluster)
    d = pd.DataFrame({"cluster": [f"c{i}" for i in cluster], "y": rng.normal(size=n)})
    d["side"] = rng.integers(0, 2, n) if crossed else cluster.astype(int) % 2
    d["stratum"] = cluster.astype(int) % strata
    alone = pd.DataFrame({"cluster": None, "y": rng.normal(size=lone),
                          "side": rng.integers(0, 2, lone),
                          "stratum": rng.integers(0, strata, lone)})  # fmt: skip
    d = pd.concat([d, alone], ignore_index=True) if lone else d
    d["w"] = rng.gamma(2, 1, len(d)) if weighted else 1.0
    return d


@pytest.mark.parametrize("strata", [1, 3])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("crossed", [True, False])
def test_clusters_by_sums_equal_whole_matrices(strata, weighted, crossed):
    d = rows_of(np.random.default_rng(1), strata=strata, weighted=weighted, crossed=crossed)
    spread, _ = contrast_spread(*sides_of(d))
    variance, df = written_out(d)
    assert spread.variance == pytest.approx(variance, rel=EXACT)
    assert spread.df == pytest.approx(df, rel=EXACT)


@pytest.mark.parametrize("strata", [1, 3])
def test_lone_rows_of_one_weight_equal_whole_matrices(strata):
    d = rows_of(np.random.default_rng(2), strata=strata, weighted=False, lone=12)
    spread, _ = contrast_spread(*sides_of(d))
    assert (spread.variance, spread.df) == pytest.approx(written_out(d), rel=EXACT)


def test_lone_rows_of_unequal_weights_come_near_whole_matrices():
    d = rows_of(np.random.default_rng(3), lone=60)
    spread, _ = contrast_spread(*sides_of(d))
    variance, df = written_out(d)
    # they share one scale, and count as rows of one weight
    assert np.sqrt(spread.variance) == pytest.approx(np.sqrt(variance), rel=0.01)
    assert spread.df == pytest.approx(df, rel=0.05)


def matrix_cr2(d):
    """CR2 with Bell and McCaffrey's df for weighted least squares, working covariance I."""
    x = np.column_stack([d["side"] == 0, d["side"] == 1]).astype(float)
    w, y = d["w"].to_numpy(float), d["y"].to_numpy(float)
    bread = np.linalg.inv(x.T @ (w[:, None] * x))
    hat = x @ bread @ x.T * w
    residual = np.eye(len(d)) - hat
    contrast = np.array([1.0, -1.0]) @ bread
    rows = []
    for name in d["cluster"].unique():
        inside = (d["cluster"] == name).to_numpy()
        spread = residual[inside] @ residual[inside].T
        values, vectors = np.linalg.eigh(spread)
        root = np.where(values > 1e-10, 1 / np.sqrt(np.where(values > 1e-10, values, 1)), 0.0)
        adjusted = (vectors * root) @ vectors.T
        rows.append((contrast @ x[inside].T * w[inside]) @ adjusted @ residual[inside])
    rows = np.array(rows)
    omega = rows @ rows.T
    return (rows @ y) @ (rows @ y), np.trace(omega) ** 2 / (omega**2).sum()


@pytest.mark.parametrize("crossed", [True, False])
def test_unweighted_it_is_the_matrix_cr2(crossed):
    d = rows_of(np.random.default_rng(4), weighted=False, crossed=crossed)
    spread, _ = contrast_spread(*sides_of(d))
    variance, df = matrix_cr2(d)
    near = {"rel": EXACT} if not crossed else {"rel": 0.02}
    assert np.sqrt(spread.variance) == pytest.approx(np.sqrt(variance), **near)
    assert spread.df == pytest.approx(df, **near)


def test_weighted_it_is_near_the_matrix_cr2():
    d = rows_of(np.random.default_rng(5))
    spread, _ = contrast_spread(*sides_of(d))
    variance, df = matrix_cr2(d)
    assert np.sqrt(spread.variance) == pytest.approx(np.sqrt(variance), rel=0.02)
    assert spread.df == pytest.approx(df, rel=0.1)


def test_two_clusters_know_one_degree_of_freedom_and_one_knows_none():
    d = rows_of(np.random.default_rng(6), crossed=False)
    two = d.assign(side=(~d["cluster"].isin(["c0", "c7"])).astype(int))
    assert contrast_spread(*sides_of(two))[1][0].df == pytest.approx(1, abs=EXACT)
    one = d.assign(side=(d["cluster"] != "c7").astype(int))
    assert contrast_spread(*sides_of(one))[1][0].df == 0


def test_a_constant_stratum_is_no_stratum():
    d = rows_of(np.random.default_rng(7), lone=5)
    sides, units = sides_of(d)
    assert len(units.sampled) == 1
    total = contrast_spread(sides, units)[0]
    assert total.variance == pytest.approx(written_out(d)[0], rel=0.01)


def test_lone_rows_give_the_textbook_variance():
    d = pd.DataFrame({"y": [1.0, 2, 3, 6, 0, 2, 4], "side": [0] * 4 + [1] * 3, "w": 1.0,
                      "cluster": None, "stratum": 0})  # fmt: skip
    spread, own = contrast_spread(*sides_of(d))
    first, second = d["y"][:4].var() / 4, d["y"][4:].var() / 3
    assert [one.variance for one in own] == pytest.approx([first, second], rel=EXACT)
    assert spread.variance == pytest.approx(first + second, rel=EXACT)
    # Satterthwaite for one variance of answers: (1/4 + 1/3)²/(1/4²/3 + 1/3²/2)
    assert spread.df == pytest.approx((7 / 12) ** 2 / (1 / 48 + 1 / 18), rel=EXACT)
