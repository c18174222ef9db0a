"""Kitagawa and Das Gupta: a change as mix and performance, its parts and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.audit import Joint, hidden_in_cross, hidden_in_segments
from cxlab.core.disclosure.gate import COMPLEMENTARY, SMALL
from cxlab.stats.inference import t_quantile
from cxlab.stats.tracking.cells import CellSums, bootstrap_blocks

Array = NDArray[np.float64]

#: Parts must add up to the change to this share of the scores' size: rounding only.
ADDS_UP_TO = 1e-9
#: A change smaller than this has no parts in per cent.
NO_CHANGE = 1e-9


@dataclass(frozen=True, eq=False)
class Parts:
    """What a change of the whole is made of; any number of replicates at once.

    Attributes
    ----------
    change : ndarray of shape (...,)
    mix, performance : ndarray of shape (..., cells)
        Contribution of each cell.
    by_segment : tuple of ndarray of shape (...,)
        With two segments, the mix of each; otherwise empty.
    """

    change: Array
    mix: Array
    performance: Array
    by_segment: tuple[Array, ...]

    def __post_init__(self) -> None:
        whole = self.mix.sum(axis=-1) + self.performance.sum(axis=-1)
        _check_sum("mix and performance", whole, self.change)
        if self.by_segment:
            parts = np.sum(self.by_segment, axis=0)
            _check_sum("the segments' mixes", parts, self.mix.sum(axis=-1))


def decompose(
    before: Array, after: Array, rates_before: Array, rates_after: Array, *, crossed: bool = False
) -> Parts:
    """Split the change of a weighted average over a grid of cells.

    Parameters
    ----------
    before, after : ndarray of shape (..., first, second)
        Weight of the answers in each cell of two crossed segments; ``second`` is 1 for one
        segment.
    rates_before, rates_after : ndarray of the same shape
        Score of each cell; NaN where it is absent.
    crossed : bool
        Whether there are two segments, between which to split the mix.

    Returns
    -------
    Parts
        Not finite where a period has no weight at all.

    Notes
    -----
    Kitagawa, per cell with shares w and scores r: mix ``(w₂ − w₁)((r₁ + r₂)/2 − R)`` and
    performance ``(r₂ − r₁)(w₁ + w₂)/2``. R is the mean of the two overall scores; it
    changes no sum, but without it growth of any group with a positive score would read
    as a gain. An absent cell takes the other period's score.

    Das Gupta, for two segments: a cell's share is the product of ``a = √(N_ij/N_.j ·
    N_i./N)`` and ``b = √(N_ij/N_i. · N_.j/N)``; the mix of the first segment is
    ``Σ r̄ b̄ (a₂ − a₁)``, of the second ``Σ r̄ ā (b₂ − b₁)``, with means over the periods.
    Performance is Kitagawa's.

    References
    ----------
    Kitagawa (1955), JASA 50, 1168–1194. Das Gupta (1993), Standardization and
    Decomposition of Rates, US Bureau of the Census P23-186, chapter 5.

    Examples
    --------
    >>> parts = decompose(np.array([[3.0], [1.0]]), np.array([[1.0], [1.0]]),
    ...                   np.array([[10.0], [30.0]]), np.array([[10.0], [40.0]]))
    >>> float(parts.change), float(parts.mix.sum()), float(parts.performance.sum())
    (10.0, 6.25, 3.75)
    """
    shares_1, shares_2 = _shares(before), _shares(after)
    r_1 = np.where(np.isnan(rates_before), np.nan_to_num(rates_after), rates_before)
    r_2 = np.where(np.isnan(rates_after), np.nan_to_num(rates_before), rates_after)
    whole_1, whole_2 = ((w * r).sum(axis=(-2, -1)) for w, r in ((shares_1, r_1), (shares_2, r_2)))
    average = (r_1 + r_2) / 2
    centre = ((whole_1 + whole_2) / 2)[..., None, None]
    by_segment: tuple[Array, ...] = ()
    if crossed:
        (a_1, b_1), (a_2, b_2) = _factors(shares_1), _factors(shares_2)
        first = (average * (b_1 + b_2) / 2 * (a_2 - a_1)).sum(axis=(-2, -1))
        by_segment = (first, (average * (a_1 + a_2) / 2 * (b_2 - b_1)).sum(axis=(-2, -1)))
    return Parts(
        change=whole_2 - whole_1,
        mix=_flat((shares_2 - shares_1) * (average - centre)),
        performance=_flat((r_2 - r_1) * (shares_1 + shares_2) / 2),
        by_segment=by_segment,
    )


def _shares(weights: Array) -> Array:
    total = weights.sum(axis=(-2, -1), keepdims=True)
    return weights / np.where(total > 0, total, np.nan)


def _factors(shares: Array) -> tuple[Array, Array]:
    """The two factors of each cell's share, one for each segment."""
    rows, columns = shares.sum(axis=-1, keepdims=True), shares.sum(axis=-2, keepdims=True)
    inside_column = shares / np.where(columns > 0, columns, 1.0)
    inside_row = shares / np.where(rows > 0, rows, 1.0)
    return np.sqrt(inside_column * rows), np.sqrt(inside_row * columns)


def _flat(values: Array) -> Array:
    return values.reshape(*values.shape[:-2], -1)


def _check_sum(what: str, found: Array, wanted: Array) -> None:
    gap = np.abs(np.asarray(found) - np.asarray(wanted))
    if (gap > ADDS_UP_TO * np.maximum(1.0, np.abs(wanted))).any():
        raise ArithmeticError(f"The parts must add up: {what} miss by {np.nanmax(gap):g}.")


@dataclass(frozen=True)
class Facts:
    """What every row of the tables shares.

    Attributes
    ----------
    periods : (before, after)
    unit : str
    level : float
    min_group_size : int
    hidden : str
        Why nothing may be shown; empty if it may.
    """

    periods: tuple[str, str]
    unit: str
    level: float
    min_group_size: int
    hidden: str


@dataclass(frozen=True, eq=False)
class Estimates:
    """Parts of the change with their standard errors.

    Attributes
    ----------
    observed : Parts
    errors : Errors or None
        Standard error of each; None where they are not known.
    shares, rates : ndarray of shape (2, cells)
        Of each period and cell; a rate is NaN where the cell is absent.
    whole : ndarray of shape (2,)
        Score of everybody in each period.
    """

    observed: Parts
    errors: Errors | None
    shares: Array
    rates: Array
    whole: Array


@dataclass(frozen=True, eq=False)
class Errors:
    """Standard errors of `Parts`, and of the sums of its mix and performance."""

    change: float
    mix: Array
    performance: Array
    by_segment: tuple[float, ...]
    total_mix: float
    total_performance: float


def estimates(sums: CellSums, factor: float, *, replicates: int, seed: int) -> Estimates:
    """Parts of the change, as observed and with the spread of bootstrap replicates.

    Parameters
    ----------
    sums : CellSums
    factor : float
        From the metric's values to its unit.
    replicates, seed : int
    """
    crossed = len(sums.groups) > 1
    weights, rates = sums.weights_and_rates(sums.copies[:, None].astype(float))
    weight, rate = weights[0], factor * rates[0]
    errors = None
    if sums.df >= 1:
        drawn = [
            decompose(w[:, 0], w[:, 1], factor * r[:, 0], factor * r[:, 1], crossed=crossed)
            for w, r in bootstrap_blocks(sums, replicates, seed)
        ]
        errors = _bootstrap_errors(drawn)
    flat_weight, flat_rate = weight.reshape(2, -1), rate.reshape(2, -1)
    total = flat_weight.sum(axis=1, keepdims=True)
    shares = flat_weight / np.where(total > 0, total, np.nan)
    return Estimates(
        observed=decompose(weight[0], weight[1], rate[0], rate[1], crossed=crossed),
        errors=errors,
        shares=shares,
        rates=flat_rate,
        whole=(shares * np.nan_to_num(flat_rate)).sum(axis=1),
    )


def _bootstrap_errors(drawn: list[Parts]) -> Errors:
    mix, performance = (
        np.concatenate([getattr(parts, name) for parts in drawn]) for name in ("mix", "performance")
    )
    segments = range(len(drawn[0].by_segment))
    return Errors(
        change=float(_spread(np.concatenate([parts.change for parts in drawn]))),
        mix=_spread(mix),
        performance=_spread(performance),
        by_segment=tuple(
            float(_spread(np.concatenate([parts.by_segment[i] for parts in drawn])))
            for i in segments
        ),
        total_mix=float(_spread(mix.sum(axis=-1))),
        total_performance=float(_spread(performance.sum(axis=-1))),
    )


def _spread(replicates: Array) -> Array:
    """Standard deviations of the finite replicates; NaN with fewer than two."""
    finite = np.isfinite(replicates)
    n = finite.sum(axis=0)
    values = np.where(finite, replicates, 0.0)
    mean = values.sum(axis=0) / np.maximum(n, 1)
    squares = np.where(finite, (replicates - mean) ** 2, 0.0).sum(axis=0)
    return np.where(n > 1, np.sqrt(squares / np.maximum(n - 1, 1)), np.nan)


def part_table(
    found: Estimates, sums: CellSums, facts: Facts, segments: Sequence[str]
) -> pd.DataFrame:
    """Rows ``mix`` (and the mix of each of two segments), ``performance``, ``change``."""
    observed, errors = found.observed, found.errors
    rows = [("mix", "total" if observed.by_segment else "part", observed.mix.sum())]
    rows += [
        (f"mix of {name}", "part", part)
        for name, part in zip(segments, observed.by_segment, strict=False)
    ]
    rows += [("performance", "part", observed.performance.sum())]
    rows += [("change", "total", observed.change)]
    table = pd.DataFrame(rows, columns=["part", "kind", "estimate"])
    n_before, n = sums.n.sum(axis=1)
    places = {"period": facts.periods[1], "before": facts.periods[0], "n": n, "n_before": n_before}
    for place, (name, value) in enumerate(places.items(), start=2):
        table.insert(place, name, value)
    se = np.full(len(table), np.nan)
    if errors is not None:
        se[:] = [errors.total_mix, *errors.by_segment, errors.total_performance, errors.change]
    table = _with_interval(table, se, sums.df, facts.level)
    change = float(observed.change)
    table["share"] = table["estimate"] / (change if abs(change) > NO_CHANGE else np.nan)
    table = table.assign(unit=facts.unit, note=facts.hidden)
    return _blank(table, np.full(len(table), bool(facts.hidden)))


def group_table(
    found: Estimates, sums: CellSums, facts: Facts, reasons: Mapping[int, str]
) -> pd.DataFrame:
    """One row per part and group that somebody of either period is in.

    Parameters
    ----------
    found : Estimates
    sums : Sizes
    facts : Facts
    reasons : mapping of int to str
        Number of each hidden cell to why.
    """
    there = np.flatnonzero(sums.n.sum(axis=0))
    hidden = [reasons.get(cell, "") for cell in there.tolist()]
    tables = []
    for part in ("mix", "performance"):
        table = pd.DataFrame({"part": part, "group": np.array(sums.labels, dtype=object)[there]})
        table["n"], table["n_before"] = sums.n[1, there], sums.n[0, there]
        table["estimate"] = getattr(found.observed, part)[there]
        se = getattr(found.errors, part)[there] if found.errors else np.full(len(there), np.nan)
        table = _with_interval(table, se, sums.df, facts.level)
        for name, values in (("share", found.shares), ("score", found.rates)):
            table[name], table[f"{name}_before"] = values[1, there], values[0, there]
        table = table.assign(unit=facts.unit, suppressed=hidden)
        table["note"] = _group_notes(sums.n[:, there], hidden, facts)
        tables.append(_blank(table, np.array([bool(why) for why in hidden], dtype=bool)))
    return pd.concat(tables, ignore_index=True)


def _with_interval(table: pd.DataFrame, se: Array, df: int, level: float) -> pd.DataFrame:
    """Standard errors, and limits by t.

    Percentiles would forget that few clusters know their own spread badly: with ten a
    period they cover 92 to 94 %, these 95 %.
    """
    half = t_quantile(level, df) * se
    limits = {"ci_low": table["estimate"] - half, "ci_high": table["estimate"] + half}
    return table.assign(se=np.where(np.isfinite(half), se, np.nan), **limits)


def hidden_cells(
    periods: Sequence[Joint],
    min_group_size: int,
    axes: Sequence[int],
    hidden: Sequence[Mapping[str | None, str]] = (),
) -> dict[int, str]:
    """Cells to hide, and why; one that is hidden in a period is hidden in both.

    Parameters
    ----------
    periods : sequence of Joint
        Each period's answers. What to hide in a period does not depend on the other one,
        so that tables of several pairs of periods hide the same of it.
    min_group_size : int
    axes : sequence of int
        Number of the segment that the tables show, or of the two that are crossed.
    hidden : sequence of mapping of str to str
        Groups of each segment that are hidden anyway, and why.
    """
    found: dict[int, str] = {}
    for joint in periods:
        start = [
            {i: named[name] for i, name in enumerate(names) if name in named}
            for names, named in zip(joint.names, hidden, strict=False)
        ]
        own = (
            hidden_in_cross(joint, min_group_size, (axes[0], axes[1]), start or None)
            if len(axes) > 1
            else hidden_in_segments(joint, min_group_size, start or None)[axes[0]]
        )
        found |= {cell: why for cell, why in own.items() if found.get(cell) != SMALL}
    return found


def _group_notes(n: NDArray[np.int64], hidden: list[str], facts: Facts) -> list[str]:
    words = {
        SMALL: f"hidden: fewer than {facts.min_group_size} answers in a period",
        COMPLEMENTARY: "hidden: it would give a smaller group back",
    }
    notes = []
    for i, why in enumerate(hidden):
        absent = [period for period, size in zip(facts.periods, n[:, i], strict=True) if not size]
        if why:
            notes.append(words[why])
        elif absent:
            notes.append(f"absent in {absent[0]}: the other period's score stands for both")
        else:
            notes.append("")
    return notes


def _blank(table: pd.DataFrame, rows: NDArray[np.bool_]) -> pd.DataFrame:
    """Figures of hidden rows made null."""
    figures = [
        "n", "n_before", "estimate", "se", "ci_low", "ci_high", "share", "share_before",
        "score", "score_before",
    ]  # fmt: skip
    table = table.astype({"n": "Int64", "n_before": "Int64"})
    for name in figures:
        if name in table:
            table[name] = table[name].mask(rows)
    return table
