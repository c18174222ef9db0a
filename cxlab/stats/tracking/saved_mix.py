"""Mix and performance from saved statistics: the delta method in place of a bootstrap."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.stats.tracking.contributions import Errors, Estimates, observed_parts
from cxlab.stats.tracking.decomposition import Parts, decompose
from cxlab.stats.tracking.pairs import Pair
from cxlab.stats.tracking.statistics import HIDDEN, Key, PeriodStatistics, SavedPeriods, key_of
from cxlab.stats.tracking.thin_groups import merging

Array = NDArray[np.float64]

#: Parameters are moved by so many standard errors to find slopes and curvatures.
STEP = 0.02
#: Directions in which the parameters vary less than this part of the most are passed over.
SMALLEST_VARIANCE = 1e-12


@dataclass(frozen=True, eq=False)
class SavedCells:
    """Two periods' groups, alike in both, with the covariances of their weights and scores.

    Attributes
    ----------
    labels : list of str
    n : ndarray of int, shape (2, groups)
    weights, scores : ndarray, shape (2, groups)
        A score is NaN where nobody is in the group.
    covariance : ndarray, shape (4 · groups, 4 · groups)
        Of the earlier period's weights and scores, then the later's.
    change_error : float
        Standard error of the change of everybody's score, as `cxlab.period_changes` has it.
    df : int
    n_missing : int
    notes : list of str
        What was merged, and what is not known.
    """

    labels: list[str]
    n: NDArray[np.int64]
    weights: Array
    scores: Array
    covariance: Array
    change_error: float
    df: int
    n_missing: int
    notes: list[str]

    @property
    def grid(self) -> tuple[int, int]:
        """Numbers of groups; there is one segment."""
        return len(self.labels), 1


def saved_cells(
    saved: SavedPeriods, metric: Metric, segment: str, periods: tuple[str, str]
) -> SavedCells:
    """Groups of two periods as they were kept; those hidden in either are taken together.

    Raises
    ------
    ValueError
        When the segment was not kept.
    """
    pair, key = Pair(saved[periods[0]], saved[periods[1]]), key_of(metric)
    both = (pair.before, pair.now)
    for one in both:
        _check_kept(one, key, segment)
    hidden = {name for one in both for name in one.hidden.get((*key, segment), [])}
    labels = _labels(both, key, segment, hidden)
    merges = [_merge(one, key, segment, labels) for one in both]
    weights, scores, n = (np.array([merge[i] for merge in merges]) for i in range(3))
    covariance = _joint(pair, key, segment, [merge[3] for merge in merges])
    kept = [int(one.rows(key)["n_missing"].iloc[0]) for one in both]
    notes = []
    if hidden:
        notes.append(f"small in a period, so taken together: {', '.join(sorted(hidden))}")
    if (
        pair.now.facts["cluster"]
        and (pair.shared or 0) > 0
        and pair.across(key, segment)[0] is None
    ):
        notes.append(
            "mix and performance, but not the change, taken as sampled apart: what customers in "
            "both periods have to do with single groups was not kept"
        )
    elif pair.note:
        notes.append(pair.note)
    change, own = pair.spread(key)
    df = pair.units()
    if not pair.now.simple:
        df = int(min(df, change.df)) if min(one.df for one in own) > 0 else 0
    return SavedCells(labels, n.astype(np.int64), weights, scores, covariance,
                      float(np.sqrt(max(change.variance, 0.0))), df, sum(kept), notes)  # fmt: skip


def saved_estimates(cells: SavedCells, factor: float) -> Estimates:
    """Parts of the change with delta-method standard errors.

    Parameters
    ----------
    cells : SavedCells
    factor : float
        From the metric's values to its unit.

    Notes
    -----
    Along uncorrelated standard directions of the parameters' covariance a part f has slopes
    g and curvatures H; its variance is ``g'g + ½ Σ H²``, which for normal parameters is that
    of the second-order expansion. The second term matters where a group's share hardly
    changed and its score is near the average: its mix is then a product of two small,
    noisy factors. Slopes and curvatures come from moving a little either way.
    """
    shape = (2, len(cells.labels), 1)
    weights, scores = cells.weights.reshape(shape), factor * cells.scores.reshape(shape)
    errors = _delta_errors(cells, factor) if cells.df >= 1 else None
    return observed_parts(weights, scores, errors)


def _delta_errors(cells: SavedCells, factor: float) -> Errors:
    root = _root(cells.covariance)
    directions = root.shape[1]
    first, second = np.triu_indices(directions)

    def moved(one: float, two: float) -> Parts:
        steps = STEP * (one * root[:, first] + two * root[:, second])
        parameters = np.stack([cells.weights, cells.scores], axis=1)  # period, kind, group
        return _parts(parameters + steps.T.reshape(-1, *parameters.shape), factor)

    corners = {(one, two): moved(one, two) for one in (1, -1) for two in (1, -1)}
    same = first == second

    def error(value: Callable[[Parts], Array]) -> Array:
        up, down = value(corners[1, 1]), value(corners[-1, -1])
        across = value(corners[1, -1]) + value(corners[-1, 1])
        # along one direction the corners lie two steps out
        slopes = (up - down)[same] / (4 * STEP)
        curvatures = (up + down - across) / (4 * STEP**2)
        twice = np.where(same, 1.0, 2.0).reshape(-1, *[1] * (curvatures.ndim - 1))
        return np.sqrt((slopes**2).sum(axis=0) + 0.5 * (twice * curvatures**2).sum(axis=0))

    return Errors(
        change=abs(factor) * cells.change_error,
        mix=error(lambda parts: parts.mix),
        performance=error(lambda parts: parts.performance),
        by_segment=(),
        total_mix=float(error(lambda parts: parts.mix.sum(axis=-1))),
        total_performance=float(error(lambda parts: parts.performance.sum(axis=-1))),
    )


def _root(covariance: Array) -> Array:
    """Columns whose products with themselves add up to the covariance."""
    spread = np.sqrt(np.maximum(np.diagonal(covariance), 0.0))
    scale = np.where(spread > 0, spread, 1.0)
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > SMALLEST_VARIANCE * max(values[-1], 1e-300)
    return np.asarray(scale[:, None] * vectors[:, kept] * np.sqrt(values[kept]))


def _parts(parameters: Array, factor: float) -> Parts:
    weights, scores = parameters[:, :, 0, :, None], factor * parameters[:, :, 1, :, None]
    return decompose(weights[:, 0], weights[:, 1], scores[:, 0], scores[:, 1])


def _check_kept(one: PeriodStatistics, key: Key, segment: str) -> None:
    if len(one.rows(key, segment)):
        return
    there = sorted(set(one.table["segment"]) - {"everyone"})
    if segment in there:
        raise ValueError(
            f"`metric` must be kept by '{segment}' in {one.period}; too few answers were given."
        )
    raise ValueError(unknown("by", segment, there, of=one.period))


def _labels(
    both: tuple[PeriodStatistics, ...], key: Key, segment: str, hidden: set[str]
) -> list[str]:
    found: list[str] = []
    for one in reversed(both):
        found += [name for name in one.rows(key, segment)["group"] if name not in found]
    shown = [name for name in found if name not in hidden and name != HIDDEN]
    return [*shown, HIDDEN] if hidden else shown


def _merge(
    one: PeriodStatistics, key: Key, segment: str, labels: list[str]
) -> tuple[Array, Array, Array, Array]:
    """Weights, scores, answers, and how the merged parameters move with the kept ones."""
    rows = one.rows(key, segment)
    metric = one.metric(key)
    place = np.array([labels.index(g) if g in labels else len(labels) - 1 for g in rows["group"]])
    into = np.zeros((len(labels), len(rows)))
    into[place, np.arange(len(rows))] = 1.0
    own = rows["weight"].to_numpy(float)
    score = rows["estimate"].to_numpy(float) / (metric.factor if metric else 1.0)
    weights = into @ own
    safe = np.where(weights > 0, weights, 1.0)
    scores = np.where(weights > 0, into @ (own * score) / safe, np.nan)
    moves = merging(place, own, score, len(labels))
    return weights, scores, into @ rows["n"].to_numpy(float), moves


def _joint(pair: Pair, key: Key, segment: str, moves: list[Array]) -> Array:
    """Covariance of both periods' merged parameters."""
    own = [
        scale * (move @ one.block(key, segment).values @ move.T)  # type: ignore[union-attr]
        for one, move, scale in zip((pair.before, pair.now), moves, pair.scales(), strict=True)
    ]
    across = np.zeros_like(own[0])
    there, _ = pair.across(key, segment)
    if there is not None:
        across = moves[0] @ there @ moves[1].T
    return np.block([[own[0], across], [across.T, own[1]]])
