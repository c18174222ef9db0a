"""Kitagawa and Das Gupta: a change as mix and performance, its parts and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.core.disclosure.rule import COMPLEMENTARY, SMALL
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

    ``periods`` are (before, after). ``hidden`` says why nothing may be shown; empty if it may.
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
    errors : ndarray
        Standard errors of `part_values`; NaN where they are not known.
    mix_errors, performance_errors : ndarray of shape (cells,)
        Standard errors of each cell's contribution.
    shares, rates : ndarray of shape (2, cells)
        Of each period and cell; a rate is NaN where the cell is absent.
    whole : ndarray of shape (2,)
        Score of everybody in each period.
    """

    observed: Parts
    errors: Array
    mix_errors: Array
    performance_errors: Array
    shares: Array
    rates: Array
    whole: Array


def estimates(sums: CellSums, factor: float, *, replicates: int, seed: int) -> Estimates:
    """Parts of the change, as observed and with the spread of bootstrap replicates.

    Parameters
    ----------
    sums : CellSums
    factor : float
        From the metric's values to its unit.
    replicates, seed : int
    """

    def parts(weight: Array, rate: Array) -> Parts:
        rate = factor * rate
        crossed = len(sums.groups) > 1
        return decompose(weight[:, 0], weight[:, 1], rate[:, 0], rate[:, 1], crossed=crossed)

    weight, rate = sums.weights_and_rates(sums.copies[:, None].astype(float))
    observed = parts(weight, rate)
    drawn = [observed]  # one alone has no spread
    if sums.df >= 1:
        drawn = [parts(*block) for block in bootstrap_blocks(sums, replicates, seed)]
    weights, rates = weight[0].reshape(2, -1), factor * rate[0].reshape(2, -1)
    total = weights.sum(axis=1, keepdims=True)
    shares = weights / np.where(total > 0, total, np.nan)
    return Estimates(
        observed=observed,
        errors=_spread(np.concatenate([part_values(one) for one in drawn])),
        mix_errors=_spread(np.concatenate([one.mix for one in drawn])),
        performance_errors=_spread(np.concatenate([one.performance for one in drawn])),
        shares=shares,
        rates=rates,
        whole=(shares * np.nan_to_num(rates)).sum(axis=1),
    )


def part_values(parts: Parts) -> Array:
    """Mix, the mix of each of two segments, performance, change: shape (replicates, values)."""
    whole = (parts.mix.sum(axis=-1), *parts.by_segment, parts.performance.sum(axis=-1))
    return np.stack([*whole, parts.change], axis=-1)


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
    crossed = [f"mix of {name}" for name in segments] if found.observed.by_segment else []
    table = pd.DataFrame({"part": ["mix", *crossed, "performance", "change"]})
    totals = ("mix", "change") if crossed else ("change",)
    table["kind"] = np.where(table["part"].isin(totals), "total", "part")
    table["period"], table["before"] = facts.periods[1], facts.periods[0]
    table["n_before"], table["n"] = sums.n.sum(axis=1)
    table = table[["part", "kind", "period", "before", "n", "n_before"]]
    table = table.assign(estimate=part_values(found.observed)[0])
    table = _with_interval(table, found.errors, sums.df, facts.level)
    change = float(table["estimate"].iloc[-1])
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
        table["estimate"] = getattr(found.observed, part)[0, there]
        errors = getattr(found, f"{part}_errors")[there]
        table = _with_interval(table, errors, sums.df, facts.level)
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
            notes.append(f"absent in {absent[0]}: the other period's score is used for both")
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
