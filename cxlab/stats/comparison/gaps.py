"""The difference of two surveys that share customers, as one statistic."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.stats.comparison.contract import Answers
from cxlab.stats.comparison.quantities import NPS_VALUES
from cxlab.stats.inference import normal_quantile, t_quantile

#: With as many customers in both surveys the normal distribution does as well as t.
MANY_CLUSTERS = 200
#: A variance below this is 0 but for rounding.
ROUNDING = 1e-18
#: Pseudo-answers of the adjusted Wald interval: detractor, passive, promoter.
PSEUDO = (0.75, 1.5, 0.75)


@dataclass(frozen=True)
class Gap:
    """A difference of two means.

    Attributes
    ----------
    estimate, se : float
    df : float
        Infinite: the normal distribution.
    n : int
        Answers.
    """

    estimate: float
    se: float
    df: float
    n: int

    def limits(self, level: float) -> tuple[float, float]:
        """Ends of the interval."""
        finite = np.isfinite(self.df) and self.df > 0
        quantile = float(t_quantile(level, self.df)) if finite else normal_quantile(level)
        half = quantile * self.se
        return self.estimate - half, self.estimate + half


NO_GAP = Gap(np.nan, np.nan, np.inf, 0)


def raw_gap(
    t: Answers,
    r: Answers,
    unit: np.ndarray,
    values: np.ndarray = NPS_VALUES,
    *,
    weighted: bool = False,
) -> Gap:
    """Transactional less relationship score as collected.

    The difference is linearised as one statistic and summed within clusters: the surveys
    share customers, so two standard errors would not add.
    """
    sides = []
    for answers in (t, r):
        valid = answers.valid
        w = answers.weight[valid] if weighted else np.ones(int(valid.sum()))
        score = answers.score[valid].astype(int)
        sides.append((values[score], w, unit[answers.customer[valid]]))
    rest = (values[0], (values[7] + values[8]) / 2, values[10])
    return two_means(*sides, pseudo=rest)


Group = tuple[np.ndarray, np.ndarray, np.ndarray]


def two_means(first: Group, second: Group, *, pseudo: tuple[float, ...]) -> Gap:
    """Mean of the first group less that of the second; both may hold the same clusters.

    Parameters
    ----------
    first, second : (values, weights, clusters)
    pseudo : (low, middle, high)
        Values of the pseudo-answers that stand in for the unknown variance of a group all
        of whose answers are alike.

    Notes
    -----
    With fewer than 200 clusters in a group: CR2 and the degrees of freedom of Bell &
    McCaffrey (2002) for a difference of two means. Else Taylor and the normal distribution.
    A group in one cluster has no standard error.
    """
    groups = (first, second)
    if any(not w.sum() > 0 for _, w, _ in groups):
        return NO_GAP
    means = [float((w * y).sum() / w.sum()) for y, w, _ in groups]
    estimate, n = means[0] - means[1], sum(len(y) for y, _, _ in groups)
    codes, labels = pd.factorize(np.concatenate([c for _, _, c in groups]))
    cluster = np.split(codes, [len(first[0])])
    sizes = [len(np.unique(c)) for c in cluster]
    if min(sizes) < 2:
        return Gap(estimate, np.nan, np.inf, n)
    pieces = [
        _piece(y, w, c, mean, len(labels))
        for (y, w, _), c, mean in zip(groups, cluster, means, strict=True)
    ]
    alike = sum(
        _pseudo_variance(y, size, pseudo)
        for (y, _, _), size in zip(groups, sizes, strict=True)
        if np.ptp(y) == 0
    )
    if min(sizes) >= MANY_CLUSTERS:
        sums = pieces[0].total - pieces[1].total
        variance = len(labels) / (len(labels) - 1) * (sums**2).sum()
        return Gap(estimate, _root(variance + alike), np.inf, n)
    sums = pieces[0].k * pieces[0].total - pieces[1].k * pieces[1].total
    return Gap(estimate, _root((sums**2).sum() + alike), _bell_mccaffrey(pieces), n)


def _root(variance: float) -> float:
    """Standard error; unknown where every cluster has the same difference."""
    return float(variance**0.5) if variance > ROUNDING else np.nan


@dataclass(frozen=True, eq=False)
class _Piece:
    """One group by cluster: linearised total, share of the weight, of its square; CR2 factor."""

    total: np.ndarray
    p: np.ndarray
    q: np.ndarray
    k: np.ndarray


def _piece(y: np.ndarray, w: np.ndarray, cluster: np.ndarray, mean: float, n: int) -> _Piece:
    share = w / w.sum()
    total = np.bincount(cluster, share * (y - mean), minlength=n)
    p = np.bincount(cluster, share, minlength=n)
    q = np.bincount(cluster, share**2, minlength=n)
    left = q - 2 * p * q + p**2 * q.sum()
    return _Piece(total, p, q, np.sqrt(q / np.where(left > 0, left, np.inf)))


def _bell_mccaffrey(pieces: list[_Piece]) -> float:
    """(tr Ω)²/tr(Ω²), with Ω diagonal but for four vectors."""
    diagonal = sum(one.k**2 * one.q for one in pieces)
    vectors = np.column_stack([v for one in pieces for v in (one.k * one.p, one.k * one.q)])
    core = np.zeros((4, 4))
    for at, one in zip((0, 2), pieces, strict=True):
        core[at : at + 2, at : at + 2] = [[-one.q.sum(), 1.0], [1.0, 0.0]]
    inside = np.einsum("gi,ij,gj->g", vectors, core, vectors)
    cross = core @ (vectors.T @ vectors)
    trace = float((diagonal - inside).sum())
    square = float((diagonal**2).sum() - 2 * (diagonal * inside).sum() + np.trace(cross @ cross))
    return trace**2 / square if square > 0 else np.inf


def _pseudo_variance(y: np.ndarray, clusters: int, pseudo: tuple[float, ...]) -> float:
    """Variance of the mean of answers that are all alike, as if a few others had come."""
    values = np.array([y[0], *pseudo])
    weight = np.array([clusters, *PSEUDO])
    mean = (weight * values).sum() / weight.sum()
    return float((weight * (values - mean) ** 2).sum() / weight.sum() ** 2)
