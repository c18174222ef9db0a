"""Places of touchpoints with their intervals, and where two outcomes disagree on them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from cxlab.stats.association import JointCounts
from cxlab.stats.association.dependence import PERFECT
from cxlab.stats.inference import normal_quantile, t_quantile
from cxlab.stats.resampling import bootstrap_multipliers, rank_intervals, ranks

Array = NDArray[np.float64]

#: Up to this many clusters (or rows) they are resampled; above, draws come from the
#: normal limit of the estimates with their Taylor covariance.
MOST_RESAMPLED = 20_000

#: A touchpoint without a coefficient in more than this share of replicates has no place.
MOST_LOST = 0.05


@dataclass(frozen=True, eq=False)
class Replicates:
    """Replicates of one coefficient of every pair.

    Attributes
    ----------
    values : ndarray of shape (replicates, pairs)
    method : str
        How they were made, in words.
    """

    values: Array
    method: str


def replicate_coefficients(
    counts: JointCounts,
    coefficient: str,
    estimate: Array,
    covariance: Array,
    *,
    replicates: int,
    seed: int,
) -> Replicates:
    """Bootstrap replicates of a coefficient over clusters, or draws from its normal limit.

    Parameters
    ----------
    counts : JointCounts
    coefficient : str
        Pearson's r is recomputed in every resample of clusters; the others, and large
        data, use draws.
    estimate : ndarray of shape (pairs,)
    covariance : ndarray of shape (pairs, pairs)
    replicates, seed : int

    Returns
    -------
    Replicates
    """
    units = counts.units
    few = not units.lumped and 2 <= units.n_units <= MOST_RESAMPLED
    if coefficient == "pearson" and few:
        unit = "clusters" if units.clustered else "rows"
        multipliers = bootstrap_multipliers(units.design, replicates, seed=seed)
        return Replicates(
            _pearson_replicates(counts, multipliers), f"bootstrap of {unit}, {replicates:,} times"
        )
    drawn = _normal_draws(estimate, covariance, replicates, seed)
    return Replicates(drawn, f"{replicates:,} draws from the estimates' normal limit")


def _pearson_replicates(counts: JointCounts, multipliers: Array) -> Array:
    cells, pairs = counts.cells, len(counts.pairs)
    pair = cells["pair"].to_numpy()
    x, y = _centred(cells, "x"), _centred(cells, "y")
    powers = (np.ones(len(cells)), x, y, x * x, y * y, x * y)
    basis = sparse.coo_array(
        (
            np.concatenate(powers),
            (
                np.tile(np.arange(len(cells)), len(powers)),
                np.concatenate([pair + pairs * k for k in range(len(powers))]),
            ),
        ),
        shape=(len(cells), pairs * len(powers)),
    )
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


def _normal_draws(estimate: Array, covariance: Array, replicates: int, seed: int) -> Array:
    """Draws on the scale of atanh, taken back."""
    known = ~np.isnan(estimate) & (np.abs(estimate) < PERFECT)
    drawn = np.tile(np.where(np.isnan(estimate), np.nan, estimate), (replicates, 1))
    slope = 1 / (1 - estimate[known] ** 2)
    spread = covariance[np.ix_(known, known)] * np.outer(slope, slope)
    # only variances are known of coefficients other than Pearson's in very large data
    spread = np.where(np.isnan(spread), 0.0, spread)
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0))
    normal = np.random.default_rng(seed).standard_normal((replicates, int(known.sum())))
    drawn[:, known] = np.tanh(np.arctanh(estimate[known]) + normal @ root.T)
    return drawn


def place_touchpoints(
    estimate: Array, replicates: Array, df: Array, *, level: float
) -> pd.DataFrame:
    """Place of each touchpoint for one outcome, 1 for the largest coefficient.

    Parameters
    ----------
    estimate : ndarray of shape (touchpoints,)
    replicates : ndarray of shape (replicates, touchpoints)
    df : ndarray of shape (touchpoints,)
        Degrees of freedom of the coefficients: their replicates are spread by the ratio of
        the t quantile to the normal one, so that few answers settle no place.
    level : float
        Probability that the intervals of all touchpoints hold their places at once.

    Returns
    -------
    DataFrame
        ``rank, rank_low, rank_high`` (see `cxlab.stats.resampling.rank_intervals`, joint);
        null for a touchpoint without a coefficient, or without one in over 5 % of the
        replicates.

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


def rank_disagreement(
    table: pd.DataFrame,
    outcomes: Sequence[str],
    *,
    labels: Mapping[str, str] | None = None,
) -> pd.DataFrame:
    """Places for the first outcome against those for each other one.

    Parameters
    ----------
    table : DataFrame
        ``touchpoint, outcome, n, rank, rank_low, rank_high``.
    outcomes : sequence of str
        The first is compared with each other.
    labels : mapping of str to str, optional
        Outcome to its name in ``reading``.

    Returns
    -------
    DataFrame
        One row per touchpoint × other outcome: ``touchpoint, outcome, other_outcome, n,
        estimate`` (places lost from the first to the other), ``rank, rank_low, rank_high,
        other_rank, other_rank_low, other_rank_high``, ``apart`` (whether the rank intervals
        do not overlap), ``reading``.
    """
    first, *others = outcomes
    names = labels or {}
    base = table[table["outcome"] == first].reset_index(drop=True)
    parts = []
    for other in others:
        part = base[["touchpoint", "outcome", "n", "rank", "rank_low", "rank_high"]].copy()
        part.insert(2, "other_outcome", other)
        there = table[table["outcome"] == other].set_index("touchpoint").loc[base["touchpoint"]]
        for name in ("rank", "rank_low", "rank_high"):
            part[f"other_{name}"] = there[name].to_numpy()
        part.insert(4, "estimate", part["other_rank"] - part["rank"])
        parts.append(_read_disagreement(part, names.get(first, first), names.get(other, other)))
    return pd.concat(parts, ignore_index=True)


def _read_disagreement(part: pd.DataFrame, first: str, other: str) -> pd.DataFrame:
    below = part["rank_high"] < part["other_rank_low"]
    above = part["other_rank_high"] < part["rank_low"]
    part["apart"] = (below | above).fillna(False).astype(bool)
    placed = int(part["rank"].notna().sum())
    part["reading"] = [_reading(row, first, other, placed) for row in part.to_dict("records")]
    return part.sort_values("apart", ascending=False, kind="stable", ignore_index=True)


def _reading(row: dict, first: str, other: str, placed: int) -> str:
    if pd.isna(row["rank"]) or pd.isna(row["other_rank"]):
        return "no place for one of the outcomes"
    here = f"{row['rank']} of {placed} ({row['rank_low']}–{row['rank_high']}) for {first}"
    there = f"{row['other_rank']} ({row['other_rank_low']}–{row['other_rank_high']}) for {other}"
    if row["apart"]:
        return f"changes place: {here}, {there}; the intervals do not overlap"
    return f"no change shown: {here}, {there}"
