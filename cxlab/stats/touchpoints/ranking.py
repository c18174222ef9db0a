"""Places of touchpoints with their intervals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.stats.association import PERFECT, JointCounts, PairEstimates
from cxlab.stats.inference import normal_quantile, t_quantile
from cxlab.stats.resampling import bootstrap_multipliers, rank_intervals, ranks

Array = NDArray[np.float64]

#: Up to this many clusters (or rows) they are resampled; above, draws come from the
#: normal limit of the estimates with their Taylor covariance.
MOST_RESAMPLED = 20_000

#: A touchpoint without a coefficient in more than this share of replicates has no place.
MOST_LOST = 0.05


def replicate_coefficients(
    counts: JointCounts, fit: PairEstimates, *, replicates: int, seed: int
) -> tuple[Array, str]:
    """Replicates of Pearson's r of every pair, shape (replicates, pairs), and their origin.

    Clusters are resampled; in large data the replicates are draws from the estimates' normal
    limit.
    """
    units = counts.units
    if not units.lumped and 2 <= units.n_units <= MOST_RESAMPLED:
        unit = "clusters" if units.clustered else "rows"
        multipliers = bootstrap_multipliers(units.design, replicates, seed=seed)
        return _pearson_replicates(counts, multipliers), (
            f"bootstrap of {unit}, {replicates:,} times"
        )
    drawn = _normal_draws(fit, replicates, seed)
    return drawn, f"{replicates:,} draws from the estimates' normal limit"


def _pearson_replicates(counts: JointCounts, multipliers: Array) -> Array:
    cells, pairs = counts.cells, len(counts.pairs)
    x, y = _centred(cells, "x"), _centred(cells, "y")
    powers = (np.ones(len(cells)), x, y, x * x, y * y, x * y)
    entries = (np.arange(len(cells)), cells["pair"].to_numpy())
    shape = (len(cells), pairs)
    basis = sparse.hstack([sparse.coo_array((power, entries), shape=shape) for power in powers])
    moments = np.asarray((counts.by_unit @ basis.tocsr()).todense())
    sums = (multipliers.T @ moments).reshape(multipliers.shape[1], len(powers), pairs)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_x, mean_y, xx, yy, xy = (sums[:, k] / sums[:, 0] for k in range(1, 6))
        spread_x, spread_y = xx - mean_x**2, yy - mean_y**2
        constant = (spread_x <= 1e-12) | (spread_y <= 1e-12)
        r = (xy - mean_x * mean_y) / np.sqrt(spread_x * spread_y)
    return np.where(constant, np.nan, np.clip(r, -1, 1))


def _centred(cells: pd.DataFrame, name: str) -> Array:
    """Values less their pair's mean, in standard deviations: sums then lose no digits."""
    grouped = cells.groupby("pair")[name]
    spread = grouped.transform("std").fillna(0).to_numpy(float)
    centred = (cells[name] - grouped.transform("mean")).to_numpy(float)
    return centred / np.where(spread > 0, spread, 1.0)


def _normal_draws(fit: PairEstimates, replicates: int, seed: int) -> Array:
    """Draws on the scale of atanh, taken back."""
    estimate = fit.table["estimate"].to_numpy()
    known = np.abs(estimate) < PERFECT
    drawn = np.tile(estimate, (replicates, 1))
    slope = 1 / (1 - estimate[known] ** 2)
    spread = fit.covariance[np.ix_(known, known)] * np.outer(slope, slope)
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((replicates, int(known.sum())))
    drawn[:, known] = np.tanh(np.arctanh(estimate[known]) + normal @ root.T)
    return drawn


def place_touchpoints(
    estimate: Array, replicates: Array, df: Array, *, level: float
) -> pd.DataFrame:
    """Place of each touchpoint for one outcome, 1 for the largest coefficient.

    The intervals ``rank_low`` to ``rank_high`` hold all places at once with probability
    ``level`` (see `cxlab.stats.resampling.rank_intervals`). Replicates are spread by the ratio
    of the t quantile to the normal one, so that few answers settle no place. A touchpoint
    without a coefficient, or without one in over 5 % of the replicates, has no place.

    Examples
    --------
    >>> draws = np.array([[0.5, 0.2], [0.4, 0.1], [0.6, 0.4]])
    >>> estimate, df = np.array([0.5, 0.2]), np.array([400.0, 400.0])
    >>> place_touchpoints(estimate, draws, df, level=0.95).values.tolist()
    [[1, 1, 1], [2, 2, 2]]
    """
    lost = (~np.isfinite(replicates)).mean(axis=0)
    placed = np.flatnonzero(np.isfinite(estimate) & (lost <= MOST_LOST))
    names = ["rank", "rank_low", "rank_high"]
    places = pd.DataFrame(pd.NA, index=range(len(estimate)), columns=names).astype("Int64")
    if len(placed):
        inner, wider = estimate[placed], t_quantile(level, df[placed]) / normal_quantile(level)
        drawn = inner + (replicates[:, placed] - inner) * wider
        low, high = rank_intervals(inner, drawn, level, joint=True)
        places.loc[placed, "rank"] = ranks(inner)
        places.loc[placed, "rank_low"], places.loc[placed, "rank_high"] = low, high
    return places
