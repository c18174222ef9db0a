"""How many answers a correlation's standard error rests on: its degrees of freedom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse
from scipy.stats import random_table

from cxlab.stats.association.coefficients import Coefficient
from cxlab.stats.association.counts import JointCounts
from cxlab.stats.association.partial import PairwiseCorrelations
from cxlab.stats.association.units import Units

Array = NDArray[np.float64]

#: A unit whose residual keeps less than this share of its spread holds all the leverage.
ALL_LEVERAGE = 1e-9

#: Relabellings behind a p value by permutation; with the observed one they make 2,000.
PERMUTATIONS = 1_999

#: Cells of a table of x by y up to which such tables are drawn.
MOST_CELLS = 5_000


def leverage_degrees_of_freedom(sums: Array, times: Array | None = None) -> float:
    """Bell–McCaffrey degrees of freedom of a slope on one standardised side.

    Parameters
    ----------
    sums : ndarray of shape (units, 5)
        Per unit (cluster or row) ``Σ sz, Σ sz², Σ s², Σ s²z, Σ s²z²`` over its pairs: z the
        side's standardised scores, s the pairs' share of the weight.
    times : ndarray of shape (units,), optional
        How many units are like this one; 1 if left out.

    Returns
    -------
    float
        0 where one unit holds all the leverage, so that nothing is known of the spread.

    Notes
    -----
    Were the other side independent with one spread, the units' totals of ``s z e`` (e the
    residual of the regression) would have the covariance Ω; with each total scaled to its
    spread without the regression, ``df = (tr Ω)²/tr Ω²`` (Satterthwaite). Ω is diagonal but
    for a matrix of rank 4, so the work grows with the units. Unweighted rows have
    leverages ``h = (1 + z²)/n``: where 299 of 300 scores are alike, the other one's is 1.

    References
    ----------
    Bell & McCaffrey (2002), Survey Methodology 28, 169–181. Imbens & Kolesár (2016), Review
    of Economics and Statistics 98, 701–712.

    Examples
    --------
    Ten rows of two balanced groups have the df of Welch's test, here 5 − 1 twice:

    >>> z, s = np.repeat([-1.0, 1.0], 5), 0.1
    >>> sums = np.column_stack([s * z, s * z**2, s**2 + 0 * z, s**2 * z, s**2 * z**2])
    >>> round(leverage_degrees_of_freedom(sums), 9)
    8.0
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


def pair_leverage(counts: JointCounts, fits: Sequence[Coefficient]) -> Array:
    """Degrees of freedom that the answers of each pair leave, the smaller of its two sides.

    Parameters
    ----------
    counts : JointCounts
    fits : sequence of Coefficient
        One per pair.

    Returns
    -------
    ndarray of shape (pairs,)
        Infinite where there is no coefficient. Rows that were too many to keep apart count
        as units of their own, whatever their clusters.
    """
    found = np.full(len(fits), np.inf)
    pair = counts.cells["pair"].to_numpy()
    starts = np.searchsorted(pair, np.arange(len(fits) + 1))
    weight, squares = counts.by_unit.tocsc(), counts.squares.tocsc()
    for number, fit in enumerate(fits):
        if fit.scores is None:
            continue
        cells = slice(starts[number], starts[number + 1])
        mass = counts.cells["weight"].to_numpy()[cells].sum()
        share, square, times = weight[:, cells] / mass, squares[:, cells] / mass**2, None
        if counts.units.lumped:
            # as many rows of one weight as have the cell's sum and sum of squares
            total, squared = share.sum(axis=0), square.sum(axis=0)
            times, alike = total**2 / squared, squared / total
            share, square = sparse.diags_array(alike), sparse.diags_array(alike**2)
        found[number] = min(
            leverage_degrees_of_freedom(_unit_sums(share, square, z), times) for z in fit.scores
        )
    return found


def _unit_sums(share: sparse.sparray, square: sparse.sparray, z: Array) -> Array:
    linear = share @ np.column_stack([z, z**2])
    return np.hstack([linear, square @ np.column_stack([np.ones(len(z)), z, z**2])])


def partial_leverage(rows: pd.DataFrame, correlations: PairwiseCorrelations, units: Units) -> Array:
    """Degrees of freedom of partial coefficients, from what the other columns leave.

    Parameters
    ----------
    rows : DataFrame
        The rows behind ``correlations``, with ``weight``.
    correlations : PairwiseCorrelations
        Of the outcome, first, and the touchpoints; an invertible matrix.
    units : Units

    Returns
    -------
    ndarray of shape (touchpoints,)
        As `pair_leverage`, of the residuals of outcome and touchpoint on all other
        touchpoints (at its mean where one was not rated), over the rows that hold both:
        a touchpoint that is another's copy but for a few answers rests on those.
    """
    values, weight = rows[list(correlations.columns)].to_numpy(float), rows["weight"].to_numpy()
    held = ~np.isnan(values) & (weight > 0)[:, None]
    mass = held * weight[:, None]
    mean = np.where(held, mass * values, 0.0).sum(axis=0) / mass.sum(axis=0)
    centred = np.where(held, values - mean, 0.0)
    scores = centred / np.sqrt((mass * centred**2).sum(axis=0) / mass.sum(axis=0))
    outcome = scores @ np.linalg.inv(correlations.matrix)[:, 0]
    others = scores[:, 1:] @ np.linalg.inv(correlations.matrix[1:, 1:])
    found = []
    for number in range(others.shape[1]):
        both = held[:, 0] & held[:, number + 1]
        share, unit = weight[both] / weight[both].sum(), units.design.row_cluster[both]
        sides = (outcome[both], others[both, number])
        found.append(min(row_leverage(z, share, unit, units.n_units) for z in sides))
    return np.array(found)


def row_leverage(score: Array, share: Array, unit: NDArray[np.intp], n_units: int) -> float:
    """`leverage_degrees_of_freedom` of one side's scores in rows of units.

    Examples
    --------
    >>> round(row_leverage(np.repeat([1.0, 4.0], 5), np.full(10, 0.1), np.arange(10), 10), 9)
    8.0
    """
    centred = score - share @ score
    z = centred / np.sqrt(share @ centred**2)
    terms = (share * z, share * z**2, share**2, share**2 * z, share**2 * z**2)
    sums = [np.bincount(unit, weights=term, minlength=n_units) for term in terms]
    return leverage_degrees_of_freedom(np.column_stack(sums))


def independence_p_value(x: Array, y: Array, times: NDArray[np.int64]) -> float:
    """Two-sided p value of independence of two scores, by permuting one of them.

    Parameters
    ----------
    x, y : ndarray of shape (cells,)
        Standardised scores of both sides.
    times : ndarray of int, shape (cells,)
        Answers in each cell.

    Returns
    -------
    float
        Share of relabellings with a mean product as far from 0 as observed; NaN where the
        table of x by y is too large to draw.

    Notes
    -----
    Tables with the margins observed are drawn instead of rows: the same distribution, and
    the work does not grow with the answers.

    References
    ----------
    Phipson & Smyth (2010), Statistical Applications in Genetics 9, 39.

    Examples
    --------
    One of 5 differs, and with it go the best and the worst of the other side in 2 of 5:

    >>> x, y = np.array([-0.5, -0.5, -0.5, -0.5, 2]), np.array([0, 0.5, -0.5, 1, -1])
    >>> round(independence_p_value(x, y, np.ones(5, int)), 1)
    0.4
    """
    x_levels, row = np.unique(x, return_inverse=True)
    y_levels, column = np.unique(y, return_inverse=True)
    if len(x_levels) * len(y_levels) > MOST_CELLS:
        return float("nan")
    rows = np.bincount(row, weights=times).astype(int)
    columns = np.bincount(column, weights=times).astype(int)
    drawn = random_table(rows, columns).rvs(PERMUTATIONS, random_state=np.random.default_rng(0))
    products = (drawn @ y_levels) @ x_levels
    # rounding must not part relabellings that are equally far
    far = np.abs(products) >= abs(times @ (x * y)) - 1e-9 * times.sum()
    return float((1 + far.sum()) / (PERMUTATIONS + 1))
