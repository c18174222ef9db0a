"""Means of units (of rows, or as a firm has them), their regression, and what is shown of a unit."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.design import DesignLike
from cxlab.core.disclosure.gate import hide_rows
from cxlab.core.disclosure.rule import hidden_groups
from cxlab.core.display import with_display
from cxlab.core.frames import column_names, open_frame
from cxlab.core.labels import natural_order, row_labels
from cxlab.core.messages import refuse
from cxlab.core.private import private_file
from cxlab.core.result import Result

Array = NDArray[np.float64]
#: Fisher scoring ends when τ² moves by less than this share of the means' variance.
CONVERGED, MOST_STEPS = 1e-11, 500
#: What means are indexed by: the unit and, where it is given, what differs within.
INDEX = ("unit", "wave")


def unit_means(
    data: Any, *, unit: str, score: str, argument: str = "score",
    within: str | None = None, design: DesignLike = None, clustered: bool = False,
) -> tuple[pd.DataFrame, int]:  # fmt: skip
    """Mean, n, Kish's effective n and variance of answers by unit (and ``within``); rows without.

    Of a table ``unit, mean, n`` (and ``sd``) the means it holds. Of a design, the weights of rows and,
    where ``clustered``, clusters with several answers: effective n and variance are then theirs.
    """
    given = score == "mean" and "n" in column_names(data)
    numbers = [score, *(name for name in ("n", "sd") if given and name in column_names(data))]
    opened = open_frame(data, numbers={argument: numbers}, design=design, unit=unit, within=within)
    weights = opened.design.weights
    if given and weights:
        raise ValueError(
            f"`weights` must be left out beside unit means; got '{weights}'. "
            "Give means that are weighted already."
        )
    rows = opened.rows()
    rows = rows[rows[weights] > 0] if weights else rows
    keys = [unit, *([within] if within else [])]
    known = rows.dropna(subset=[*keys, *numbers[: 2 if given else 1]])
    by = [row_labels(known[key]).rename(name) for key, name in zip(keys, INDEX, strict=False)]
    if given:
        table = _given_means(known, by, unit)
    else:
        weight = known[weights] if weights else pd.Series(1.0, index=known.index)
        table = _row_means(known[score], weight, by)
        if clustered and opened.design.cluster:
            table = _of_clusters(table, known[score], weight, by, known[opened.design.cluster])
    places = sorted(table.index, key=lambda key: [*map(natural_order, np.atleast_1d(key))])
    return table.loc[places], len(rows) - len(known)


def _row_means(score: pd.Series, weight: pd.Series, by: list[pd.Series]) -> pd.DataFrame:
    total, squared = weight.groupby(by).sum(), (weight**2).groupby(by).sum()
    sums = (weight * score).groupby(by)
    centre = sums.transform("sum") / weight.groupby(by).transform("sum")
    n = weight.groupby(by).size().astype(float)
    squares = (weight * (score - centre) ** 2).groupby(by).sum()
    variance = (squares / (total - squared / total)).where(n > 1)
    means = {"mean": sums.sum() / total, "n": n, "n_effective": total**2 / squared}
    return pd.DataFrame({**means, "variance": variance})


def _of_clusters(
    table: pd.DataFrame,
    score: pd.Series,
    weight: pd.Series,
    by: list[pd.Series],
    cluster: pd.Series,
) -> pd.DataFrame:
    """The means with effective n and variance of clusters: answers of one customer are alike.

    Units all of whose clusters have one answer stay as they are.
    """
    code = pd.factorize(cluster)[0]
    # a row without a cluster is one of its own
    code = pd.Series(np.where(code < 0, -1 - np.arange(len(code)), code), cluster.index)
    centre = (weight * score).groupby(by).transform("sum") / weight.groupby(by).transform("sum")
    rows = pd.DataFrame({"weight": weight, "apart": weight * (score - centre)})
    levels = list(range(len(by)))
    of_each = rows.groupby([*by, code.rename("cluster")]).sum()
    sums, clusters = of_each.groupby(level=levels).sum(), of_each.groupby(level=levels).size()
    squares = (of_each**2).groupby(level=levels).sum()
    effective = sums["weight"] ** 2 / squares["weight"]
    variance = clusters / (clusters - 1) * squares["apart"] / sums["weight"] ** 2 * effective
    alone = clusters == table["n"]
    return table.assign(
        n_effective=table["n_effective"].where(alone, effective),
        variance=table["variance"].where(alone, variance.where(clusters > 1)),
    )


def _given_means(known: pd.DataFrame, by: list[pd.Series], unit: str) -> pd.DataFrame:
    twice = known.loc[pd.concat(by, axis=1).duplicated(), unit]
    refuse(twice, f"`{unit}` must name each unit once beside `mean`")
    table = known.reindex(columns=["mean", "n", "sd"]).set_axis(pd.Index(by[0]))
    if len(by) > 1:
        table.index = pd.MultiIndex.from_arrays(by)
    for column, least in (("n", 1), ("sd", 0)):
        refuse(table.loc[table[column] < least, column], f"`{column}` must be {least} or more")
    return table.assign(n_effective=table["n"], variance=table["sd"] ** 2).drop(columns="sd")


def pooled_variance(means: pd.DataFrame, side: str = "", *, without_each: bool = False) -> Array:
    """Variance within units, Σ(n − 1)s² / Σ(n − 1): of all, or without each in turn."""
    own = means[f"variance{side}"]
    df = (means[f"n_effective{side}"] - 1).where(own.notna(), 0.0).to_numpy()
    squares = df * own.fillna(0.0).to_numpy()
    left = df.sum() - df if without_each else df.sum()
    sums = squares.sum() - squares if without_each else squares.sum()
    return np.where(left > 0, sums / np.where(left > 0, left, 1.0), np.nan)


@dataclass(frozen=True, eq=False)
class Fit:
    """Regressions of unit means: slopes, Knapp and Hartung's covariance, τ², 1/(τ² + variance)."""

    beta: Array
    covariance: Array
    tau2: Array
    weights: Array


def meta_regression(y: Array, variance: Array, x: Array, kept: Array | None = None) -> Fit:
    """Regress unit means on columns, with a variance between units (REML); many at once.

    ``y``, sampling ``variance`` and ``kept`` (1 for units that count) have units in their last
    axis, ``x`` units and columns. Fisher scoring as in R's metafor: the step of τ² is
    (y'PPy − tr P) / tr PP; below 0 it stays at 0. Viechtbauer (2005), Journal of Educational and
    Behavioral Statistics 30, 261–293; Knapp & Hartung (2003), Statistics in Medicine 22, 2693–2710.

    Equal sampling variances: τ² is the variance of the means, 1, less a half.

    >>> fit = meta_regression(np.array([1.0, 2, 3]), np.full(3, 0.5), np.ones((3, 1)))
    >>> fit.beta.round(6).tolist(), float(fit.tau2.round(6))
    ([2.0], 0.5)
    """
    use = np.ones_like(y) if kept is None else kept
    scale = y.var(axis=-1)
    tau2 = np.broadcast_to(scale, np.broadcast_shapes(scale.shape, use.shape[:-1])).copy()
    for _ in range(MOST_STEPS):
        weights = use / (tau2[..., None] + variance)
        bread, _, residual = _solved(y, weights, x)
        first = bread @ _crossed(weights**2, x)
        second = bread @ _crossed(weights**3, x)
        trace = weights.sum(-1) - _trace(first)
        information = (weights**2).sum(-1) - 2 * _trace(second) + _trace(first @ first)
        step = ((weights * residual) ** 2).sum(-1) - trace
        moved = np.maximum(tau2 + step / information, 0.0) - tau2
        tau2 = tau2 + moved
        if (np.abs(moved) <= CONVERGED * scale).all():
            break
    weights = use / (tau2[..., None] + variance)
    bread, beta, residual = _solved(y, weights, x)
    df = use.sum(-1) - x.shape[-1]
    spread = (weights * residual**2).sum(-1) / df
    return Fit(beta, spread[..., None, None] * bread, tau2, weights)


def _crossed(weights: Array, x: Array) -> Array:
    return np.einsum("...j,...jp,...jq->...pq", weights, x, x)


def _trace(matrix: Array) -> Array:
    return np.trace(matrix, axis1=-2, axis2=-1)


def _solved(y: Array, weights: Array, x: Array) -> tuple[Array, Array, Array]:
    bread = np.linalg.inv(_crossed(weights, x)).astype(float)
    beta = np.einsum("...pq,...j,...jq,...j->...p", bread, weights, x, y, optimize=True)
    return bread, beta, y - np.einsum("...jp,...p->...j", x, beta)


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitResult(Result):
    """What is said of units together, and of each.

    Attributes
    ----------
    units : DataFrame
        One row per unit, those of few answers hidden; without rows where units are persons.
    every : DataFrame
        The same of every unit, to be written to a file and never shown.
    """

    units: pd.DataFrame
    every: pd.DataFrame

    def write(self, path: str | Path | None) -> None:
        """Write each unit as CSV, readable by its owner only; nothing without a path."""
        if path is not None:
            self.every.to_csv(private_file(path), index=False)


def shown_units(
    every: pd.DataFrame, least: pd.Series, persons: bool, min_group_size: int, **display: Any
) -> pd.DataFrame:
    """Units whose figures rest on enough answers (``least``); none where units are persons."""
    reason = pd.Series("", index=every.index)
    for place, why in hidden_groups(least.to_numpy(float), min_group_size).items():
        reason.iloc[place] = why
    shown = hide_rows(every, reason, min_group_size)
    return with_display(shown.iloc[:0] if persons else shown, **display)
