"""Variances under a survey design by Taylor linearisation, and their degrees of freedom.

Of means and their differences from sums of cells; of any estimate from the influence of rows.

statsmodels has no strata, no clusters of a domain and no degrees of freedom of a contrast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.linalg import block_diag

from cxlab.core.design import Design
from cxlab.stats.inference import effective_number, t_quantile
from cxlab.stats.resampling import SamplingDesign, sampling_design


def design_variance(
    totals: pd.DataFrame, clusters: pd.Series, *, domains: int
) -> NDArray[np.float64]:
    """Taylor variance of each domain's estimate from its linearised totals, shape (domains,).

    Parameters
    ----------
    totals : DataFrame
        One row per domain × stratum × cluster, and one per domain × stratum for the rows that are
        clusters of their own: ``domain`` (from 0), ``stratum``, ``total`` (sum of the linearised
        scores) and ``squares`` (its square, or the sum of the squares of the rows).
    clusters : Series of int
        Clusters sampled per stratum, by stratum: the whole design's.
    domains : int

    Notes
    -----
    ``V = Σ_h n_h/(n_h − 1) · (Σ_c t_hc² − (Σ_c t_hc)²/n_h)``. A domain keeps the design's strata and
    clusters whole: a cluster outside it counts in ``n_h`` with a total of zero. A stratum with one
    cluster has no spread of its own; its total is centred on the whole sample, that is, its square is
    taken as is. Lumley (2010), Complex Surveys, chapters 2 and 3.

    Examples
    --------
    Four rows 1, 2, 3, 6 with mean 3: the variance of their mean is s²/n = 14/3/4.

    >>> totals = pd.DataFrame({"domain": [0], "stratum": [1], "total": [0.0],
    ...                        "squares": [(4 + 1 + 0 + 9) / 4**2]})
    >>> round(float(design_variance(totals, pd.Series({1: 4}), domains=1)[0]), 4)
    1.1667
    """
    per_stratum = totals.groupby(["domain", "stratum"], sort=False, dropna=False)[
        ["total", "squares"]
    ].sum()
    n = clusters.reindex(per_stratum.index.get_level_values("stratum")).to_numpy(float)
    squares, squared_total = per_stratum["squares"].to_numpy(), per_stratum["total"].to_numpy() ** 2
    lonely = n <= 1
    centred = n / np.where(lonely, 1.0, n - 1) * (squares - squared_total / n)
    spread = np.maximum(np.where(lonely, squares, centred), 0.0)
    domain = per_stratum.index.get_level_values("domain").to_numpy(int)
    return np.bincount(domain, weights=spread, minlength=domains).astype(float)


def clustered_variance(
    influence: Array, information: Array, sample: SamplingDesign
) -> tuple[float, float]:
    """Variance of an estimate over clusters within strata, and its degrees of freedom.

    ``influence`` is what each row adds to its error, ``information`` the expected square of it.
    """
    stratum, n = sample.cluster_stratum, sample.stratum_sizes
    total = np.bincount(sample.row_cluster, influence, sample.n_clusters)
    centred = total - (np.bincount(stratum, total) / n)[stratum]
    variance = float((np.where(n > 1, n / np.maximum(n - 1, 1), 1.0)[stratum] * centred**2).sum())
    pull = np.bincount(sample.row_cluster, information, sample.n_clusters).astype(float)
    return variance, min(effective_number(pull) - 1, float((pull > 0).sum() - len(n)))


def known_by_few(variance: float, df: float, influence: Array, alike: float) -> float:
    """Variance of a difference that few answers carry; ``alike``: were all spread alike.

    A dozen answers vary too little about their own mean, and not at all where they happen to be one; of
    forty nearly all of which are one, the variance is known from the others. It is then not below what
    all answers' spread makes of it.

    >>> even, uneven = np.ones(60), np.arange(60) < 3
    >>> [known_by_few(4.0, df, one, 5.0) for df, one in ((8, even), (50, even), (50, uneven))]
    [5.0, 4.0, 5.0]
    """
    squares = np.asarray(influence, dtype=float) ** 2
    if df < 1 or (df >= FEW_CARRIERS and effective_number(squares) >= FEW_DIFFERENT):
        return variance
    return max(variance * (df + 1) / df, alike)


def effective_sample_size(
    n: ArrayLike, deff: ArrayLike, df: ArrayLike, *, level: float = 0.95
) -> NDArray[np.float64]:
    """Size of the simple sample that would know as much, ``min(n, (n/deff)·(t_{n−1}/t_df)²)``.

    The ratio of the t quantiles carries the few clusters into intervals that use the normal quantile;
    NaN below one degree of freedom. Korn & Graubard (1998), Survey Methodology 24, 193–201.

    >>> effective_sample_size([100], [2.0], [1000]).round(1).tolist()
    [51.1]
    """
    n, df = np.asarray(n, dtype=float), np.asarray(df, dtype=float)
    ratio = t_quantile(level, n - 1) / t_quantile(level, df)
    return np.minimum(n, n / np.asarray(deff, dtype=float) * ratio**2)


Array = NDArray[np.float64]

#: Degrees of freedom, and answers that make the spread, below which it is not known.
FEW_CARRIERS, FEW_DIFFERENT = 30, 10
#: A cluster that leaves a side less spread than this has all of its weight.
WHOLE_SIDE = 1e-12
#: A unit whose residual keeps less than this share of its spread holds all the leverage.
ALL_LEVERAGE = 1e-9


@dataclass(frozen=True, eq=False)
class Units:
    """Sampling units: clusters, and the rows of each stratum that are clusters of their own.

    Attributes
    ----------
    stratum : ndarray of int, shape (units,)
        Number of its stratum.
    lone : ndarray of bool, shape (units,)
        Whether the unit is a stratum's rows without a cluster, each its own.
    sampled : ndarray, shape (strata,)
        Clusters sampled per stratum, also those that hold nobody of either side.
    """

    stratum: NDArray[np.int64]
    lone: NDArray[np.bool_]
    sampled: Array


@dataclass(frozen=True)
class Spread:
    """What is known of how a statistic varies.

    Attributes
    ----------
    variance : float
    trace, squares : float
        Expected variance and sum of its squared eigenvalues were every answer independent
        with variance 1.
    """

    variance: float
    trace: float
    squares: float

    @property
    def df(self) -> float:
        """Degrees of freedom of the variance; 0 for one cluster, 1 for two."""
        return self.trace**2 / self.squares if self.squares > 0 else 0.0


def contrast_spread(
    sides: Sequence[Mapping[str, Array]], units: Units
) -> tuple[Spread, list[Spread]]:
    """Spread of the first side's mean less the second's, and that of each mean.

    Parameters
    ----------
    sides : one or two mappings of str to ndarray, shape (units,)
        ``w, wy, ww, wwy, wwyy, www, wwww``: each unit's sums of the weights, of their
        products with the values, and of their powers, as `cxlab.core.totals.SUMS` names
        them. The same units for both sides; a cluster may hold answers of both.
    units : Units

    Returns
    -------
    (Spread, list of Spread)

    Notes
    -----
    Both are of the difference itself: with all clusters of both sides counted together, a group
    of three clusters beside one of a hundred would seem to know its spread from a hundred and
    three. With ``p`` a cluster's share of its side's weight, ``q`` its squared weights over the
    side's squared weight and ``Q = Σq``, its linearised total is multiplied by ``k``,
    ``k² = q/(q − 2pq + p²Q)``, so that its expected square is unbiased (CR2; ``1/(1 − p)``
    without weights). The variance is ``Σ(u₁ − u₂)²`` over clusters; within strata the totals
    are centred and multiplied by ``√(n/(n − 1))``. Degrees of freedom are Satterthwaite's,
    ``(tr Ω)²/tr Ω²``, with Ω the totals' covariance for independent answers: a diagonal and
    four columns, so that the work grows with the clusters and not with their square. A
    single stratum is no stratification. Rows without a cluster share their ``k`` within a stratum and side,
    and count as equal rows, as many as have the variance and the degrees of freedom of all.

    References
    ----------
    Bell & McCaffrey (2002), Survey Methodology 28, 169–181. Imbens & Kolesár (2016), Review
    of Economics and Statistics 98, 701–712. Pustejovsky & Tipton (2018), Journal of Business
    & Economic Statistics 36, 672–683.

    Examples
    --------
    Three clusters of two answers against four:

    >>> first, w, wy = np.arange(7) < 3, np.full(7, 2.0), np.array([1.0, 2, -1, 0, 0, 1, -2])
    >>> sums = dict(w=w, wy=wy, ww=w, wwy=wy, wwyy=wy**2, www=w, wwww=w)
    >>> sides = [{kind: side * sums[kind] for kind in sums} for side in (first, ~first)]
    >>> spread, own = contrast_spread(sides, Units(np.zeros(7, int), first & ~first, np.array([7])))
    >>> round(spread.variance**0.5, 6), round(spread.df, 6), [round(one.df, 6) for one in own]
    (0.541667, 4.454545, [2.0, 3.0])
    """
    parts = [_linearised(side, units) for side in sides]
    own = [_spread([part], units) for part in parts]
    return (_spread(parts, units) if len(parts) > 1 else own[0]), own


@dataclass(frozen=True, eq=False)
class _Part:
    """A side's linearised totals, each times its k, and what they are expected to vary by.

    Attributes
    ----------
    total, square : ndarray, shape (units,)
        Of lone rows their sum and the sum of their squares.
    spread : ndarray, shape (units,)
        Variance of the weighted total about zero, k²q; of lone rows that of one of them.
    loading : ndarray, shape (units, 2)
        kp and kq; of lone rows those of one of them.
    copies : ndarray, shape (units,)
        1, or how many equal rows the lone rows stand for.
    middle : ndarray, shape (2, 2)
        The totals' covariance is ``diag(spread) + loading · middle · loadingᵀ``.
    """

    total: Array
    square: Array
    spread: Array
    loading: Array
    copies: Array
    middle: Array


def _linearised(side: Mapping[str, Array], units: Units) -> _Part:
    mass = side["w"].sum()
    mean = side["wy"].sum() / mass
    p, q, cubes, fourth = (side["w" * power] / mass**power for power in (1, 2, 3, 4))
    whole = q.sum()
    expected = np.where(units.lone, q - 2 * cubes, q - 2 * p * q)
    expected = expected + whole * np.where(units.lone, q, p**2)
    scale = _ratio(q, np.where(expected > WHOLE_SIDE * q, expected, 0.0))
    total = (side["wy"] - mean * side["w"]) / mass
    square = (side["wwyy"] - 2 * mean * side["wwy"] + mean**2 * side["ww"]) / mass**2
    one = np.where(units.lone, _ratio(fourth, q), q)
    copies = np.where(units.lone, _ratio(q, one), 1.0)
    return _Part(
        total=np.sqrt(scale) * total,
        square=scale * np.where(units.lone, square, total**2),
        spread=scale * one,
        loading=np.sqrt(scale)[:, None]
        * np.column_stack([np.where(units.lone, np.sqrt(one), p), one]),
        copies=copies,
        middle=np.array([[whole, -1.0], [-1.0, 0.0]]),
    )


def _ratio(above: Array, below: Array) -> Array:
    return np.divide(above, below, out=np.zeros(len(above)), where=below > 0)


def _spread(parts: Sequence[_Part], units: Units) -> Spread:
    """Spread of the first part less the second, or of one part."""
    several = (units.sampled > 1) & (len(units.sampled) > 1)
    n = np.where(several, units.sampled, np.inf)
    factor = 1 / (1 - 1 / n)
    total = sum(sign * part.total for sign, part in zip((1.0, -1.0), parts, strict=False))
    square = np.where(units.lone, sum(part.square for part in parts), total**2)
    strata = len(units.sampled)
    summed = np.bincount(units.stratum, total, strata)
    squared = np.bincount(units.stratum, square, strata)
    trace, squares = _traces(parts, units, factor, n)
    return Spread(float((factor * np.maximum(squared - summed**2 / n, 0.0)).sum()), trace, squares)


def _traces(parts: Sequence[_Part], units: Units, factor: Array, n: Array) -> tuple[float, float]:
    """Traces of the totals' expected covariance, centred within strata, and of its square."""
    stratum, copies, spread, loading = _rows(parts, units)
    pairs = loading[:, :, None] * loading[:, None, :]
    rows = len(stratum)
    # every unit as often as it has copies
    into = sparse.csr_array((copies, (stratum, np.arange(rows))), shape=(len(n), rows))

    def per_stratum(values: Array) -> Array:
        return np.asarray(into @ values.reshape(rows, -1)).reshape(len(n), *values.shape[1:])

    variance, variance_squared = per_stratum(spread), per_stratum(spread**2)
    sums, mixed = per_stratum(loading), per_stratum(spread[:, None] * loading)
    outer = sums[:, :, None] * sums[:, None, :] / n[:, None, None]
    cross = sums[:, :, None] * mixed[:, None, :] / n[:, None, None]
    product = per_stratum(pairs) - outer
    weighted = per_stratum(spread[:, None, None] * pairs) - cross - cross.swapaxes(1, 2)
    weighted += outer * (variance / n)[:, None, None]
    inside = variance_squared * (1 - 2 / n) + (variance / n) ** 2
    middle = block_diag(*(part.middle for part in parts))
    turned = middle @ np.tensordot(factor, product, 1)
    trace = variance.sum() + np.trace(turned)
    squares = factor**2 @ inside + np.trace(turned @ turned)
    squares += 2 * np.trace(middle @ np.tensordot(factor**2, weighted, 1))
    return float(trace), float(squares)


def _rows(parts: Sequence[_Part], units: Units) -> tuple[Array, Array, Array, Array]:
    """Stratum, copies, spread and loading of clusters, then of each side's lone rows."""
    lone, width = units.lone, 2 * len(parts)
    clusters = ~lone
    stratum, copies = [units.stratum[clusters]], [np.ones(int(clusters.sum()))]
    spread = [np.sum([part.spread[clusters] for part in parts], axis=0)]
    loading = [np.hstack([part.loading[clusters] for part in parts])]
    for i, part in enumerate(parts):
        own = np.zeros((int(lone.sum()), width))
        own[:, 2 * i : 2 * i + 2] = part.loading[lone]
        stratum.append(units.stratum[lone])
        copies.append(part.copies[lone])
        spread.append(part.spread[lone])
        loading.append(own)
    stacked = (np.concatenate(column) for column in (stratum, copies, spread, loading))
    return tuple(stacked)  # type: ignore[return-value]


@dataclass(frozen=True, eq=False)
class SampledUnits:
    """Sampled units: clusters, or rows where there is no cluster.

    ``design``: one row per unit: its stratum, the sizes of the strata, what was assumed.
    ``simple``: whether the rows are a simple random sample of equal weights. ``lumped``: whether a
    unit is a whole stratum, because its rows were too many.
    """

    design: SamplingDesign
    simple: bool
    clustered: bool
    lumped: bool = False

    @property
    def n_units(self) -> int:
        """SampledUnits with a row."""
        return self.design.n_clusters

    @property
    def stratum(self) -> NDArray[np.intp]:
        """Stratum of each unit."""
        return self.design.cluster_stratum

    @property
    def sampled(self) -> NDArray[np.intp]:
        """SampledUnits sampled in each stratum."""
        return self.design.stratum_sizes


def drawn_from(rows: pd.DataFrame, design: Design) -> SamplingDesign:
    """Strata and clusters of the rows of a sample."""
    names = {"strata": design.strata, "cluster": design.cluster}
    names["stratum_clusters"] = design.stratum_clusters
    return sampling_design(len(rows), **{key: rows[name] for key, name in names.items() if name})


def units_of_rows(rows: pd.DataFrame, design: Design) -> tuple[SampledUnits, NDArray[np.intp]]:
    """SampledUnits of a sample, and the number of each row's unit."""
    drawn = drawn_from(rows, design)
    units = SampledUnits(drawn, simple=design.simple, clustered=design.cluster is not None)
    return units, drawn.row_cluster


def covariance_of_totals(totals: Array, units: SampledUnits) -> Array:
    """Taylor covariance of estimates from each unit's total of their influence.

    ``totals``, shape (units, k): Σ w·IF / Σ w over the unit's rows, 0 for a unit with none in the
    domain. ``Σ_h n_h/(n_h − 1) · (Σ_c t_hc t_hcᵀ − s_h s_hᵀ/n_h)``, s_h the stratum's total.
    """
    covariance = np.zeros((totals.shape[1], totals.shape[1]))
    for stratum, sampled in enumerate(units.sampled.tolist()):
        inside = totals[units.stratum == stratum]
        total = inside.sum(axis=0)
        if sampled < 2:
            # the only unit of the only stratum: no spread, and no degrees of freedom
            continue
        centred = inside.T @ inside - np.outer(total, total) / sampled
        covariance += sampled / (sampled - 1) * centred
    return covariance


def degrees_of_freedom(present: NDArray[np.bool_], units: SampledUnits) -> Array:
    """SampledUnits that hold a valid pair (``present``, of shape (units, k)) less strata that do."""
    by_stratum = np.zeros((len(units.sampled), present.shape[1]))
    np.add.at(by_stratum, units.stratum, present.astype(float))
    return present.sum(axis=0) - (by_stratum > 0).sum(axis=0).astype(float)


def leverage_degrees_of_freedom(sums: Array, times: Array | None = None) -> float:
    """Bell–McCaffrey degrees of freedom of a slope on one standardised side.

    ``sums``, shape (units, 5): per unit ``Σ sz, Σ sz², Σ s², Σ s²z, Σ s²z²`` over its pairs, z the
    side's standardised scores, s the pairs' share of the weight; ``times``: how many units are like
    this one. 0 where one unit holds all the leverage, so that nothing is known of the spread.

    Were the other side independent with one spread, the units' totals of ``s z e`` (e the
    residual of the regression) would have the covariance Ω; with each total scaled to its
    spread without the regression, ``df = (tr Ω)²/tr Ω²`` (Satterthwaite). Ω is diagonal but
    for a matrix of rank 4, so the work grows with the units. Unweighted rows have
    leverages ``h = (1 + z²)/n``: where 299 of 300 scores are alike, the other one's is 1
    (Bell & McCaffrey 2002, Survey Methodology 28; Imbens & Kolesár 2016, Review of Economics
    and Statistics 98).
    """
    times = np.ones(len(sums)) if times is None else times
    linear, own = sums[:, [0, 1, 3, 4]], sums[:, 4]
    s0, s1, s2 = times @ sums[:, 2:]
    middle = np.array([[s0, s1, -1, 0], [s1, s2, 0, -1], [-1, 0, 0, 0], [0, -1, 0, 0]])
    kept = own + np.einsum("ga,ab,gb->g", linear, middle, linear)
    holds = own > ALL_LEVERAGE * own.max(initial=0.0)
    if (kept[holds] <= ALL_LEVERAGE * own[holds]).any():
        return 0.0
    factor = np.divide(own, kept, out=np.ones_like(own), where=holds)
    linear, own = linear * np.sqrt(factor)[:, None], own * factor
    product = middle @ ((linear.T * times) @ linear)
    trace = times @ own + np.trace(product)
    weighted = middle @ ((linear.T * (times * own)) @ linear)
    squares = times @ own**2 + 2 * np.trace(weighted) + np.trace(product @ product)
    return float(trace**2 / squares)


def row_leverage(score: Array, share: Array, unit: NDArray[np.intp], n_units: int) -> float:
    """`leverage_degrees_of_freedom` of one side's scores in rows of units."""
    centred = score - share @ score
    z = centred / np.sqrt(share @ centred**2)
    terms = (share * z, share * z**2, share**2, share**2 * z, share**2 * z**2)
    sums = [np.bincount(unit, weights=term, minlength=n_units) for term in terms]
    return leverage_degrees_of_freedom(np.column_stack(sums))
