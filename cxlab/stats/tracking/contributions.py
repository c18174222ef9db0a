"""Parts of a change, of the whole and of each group, with their bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cxlab.stats.inference import t_quantile
from cxlab.stats.metrics.suppression import COMPLEMENTARY, SMALL
from cxlab.stats.tracking.cells import CellSums, bootstrap_blocks
from cxlab.stats.tracking.decomposition import Parts, decompose

Array = NDArray[np.float64]

#: A change smaller than this has no parts in per cent.
NO_CHANGE = 1e-9


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
    """Parts of the change as observed, and in each replicate.

    Attributes
    ----------
    observed : Parts
    drawn : list of Parts
        Blocks of replicates; empty where there is nothing to resample.
    shares, rates : ndarray of shape (2, cells)
        Of each period and cell; a rate is NaN where the cell is absent.
    whole : ndarray of shape (2,)
        Score of everybody in each period.
    """

    observed: Parts
    drawn: list[Parts]
    shares: Array
    rates: Array
    whole: Array

    def replicates(self, name: str) -> Array:
        """Replicates of ``change``, ``mix`` or ``performance``, along the first axis."""
        blocks = [getattr(parts, name) for parts in self.drawn]
        return np.concatenate(blocks) if blocks else np.full((0, *self.shape(name)), np.nan)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of one replicate."""
        return np.shape(getattr(self.observed, name))


def degrees_of_freedom(sums: CellSums) -> int:
    """Units of sampling less strata."""
    return int(sums.copies.sum()) - len(np.unique(sums.design.cluster_stratum))


def estimates(sums: CellSums, factor: float, *, replicates: int, seed: int) -> Estimates:
    """Take the change apart, as observed and in every replicate.

    Parameters
    ----------
    sums : CellSums
    factor : float
        From the metric's values to its unit.
    replicates, seed : int
    """
    crossed = len(sums.groups) > 1
    blocks = bootstrap_blocks(sums, replicates, seed) if degrees_of_freedom(sums) >= 1 else []
    weight, rate = sums.weights_and_rates(sums.copies[:, None].astype(float))
    observed = decompose(
        weight[0, 0], weight[0, 1], factor * rate[0, 0], factor * rate[0, 1], crossed=crossed
    )
    flat_weight, flat_rate = weight[0].reshape(2, -1), factor * rate[0].reshape(2, -1)
    total = flat_weight.sum(axis=1, keepdims=True)
    shares = flat_weight / np.where(total > 0, total, np.nan)
    return Estimates(
        observed=observed,
        drawn=[
            decompose(w[:, 0], w[:, 1], factor * r[:, 0], factor * r[:, 1], crossed=crossed)
            for w, r in blocks
        ],
        shares=shares,
        rates=flat_rate,
        whole=(shares * np.nan_to_num(flat_rate)).sum(axis=1),
    )


def part_table(
    found: Estimates, sums: CellSums, facts: Facts, segments: Sequence[str]
) -> pd.DataFrame:
    """Rows ``mix`` (and the mix of each of two segments), ``performance``, ``change``."""
    mix, performance = (
        (getattr(found.observed, name).sum(axis=-1), found.replicates(name).sum(axis=-1))
        for name in ("mix", "performance")
    )
    crossed = bool(found.observed.by_segment)
    rows = [("mix", "total" if crossed else "part", *mix)]
    for i, observed in enumerate(found.observed.by_segment):
        drawn = [parts.by_segment[i] for parts in found.drawn]
        replicates = np.concatenate(drawn) if drawn else np.empty(0)
        rows.append((f"mix of {segments[i]}", "part", observed, replicates))
    rows.append(("performance", "part", *performance))
    change = found.observed.change
    rows.append(("change", "total", change, found.replicates("change")))
    table = pd.DataFrame({"part": [row[0] for row in rows], "kind": [row[1] for row in rows]})
    n_before, n = sums.n.sum(axis=1)
    table = table.assign(period=facts.periods[1], before=facts.periods[0], n=n, n_before=n_before)
    table["estimate"] = np.array([row[2] for row in rows], dtype=float)
    df = degrees_of_freedom(sums)
    spread = [interval(float(row[2]), row[3], df, facts.level) for row in rows]
    table[["se", "ci_low", "ci_high"]] = spread
    table["share"] = table["estimate"] / (change if abs(change) > NO_CHANGE else np.nan)
    table = table.assign(unit=facts.unit, note=facts.hidden)
    return _blank(table, np.full(len(table), bool(facts.hidden)))


def group_table(found: Estimates, sums: CellSums, facts: Facts) -> pd.DataFrame:
    """One row per part and group that somebody of either period is in."""
    there = np.flatnonzero(sums.n.sum(axis=0))
    reasons = _hidden(sums, facts)
    hidden = [reasons.get(cell, "") for cell in there.tolist()]
    tables = []
    for part in ("mix", "performance"):
        drawn, df = found.replicates(part), degrees_of_freedom(sums)
        observed = getattr(found.observed, part)
        spread = [interval(observed[i], drawn[:, i], df, facts.level) for i in there]
        table = pd.DataFrame({"part": part, "group": np.array(sums.labels, dtype=object)[there]})
        table["n"], table["n_before"] = sums.n[1, there], sums.n[0, there]
        table["estimate"] = observed[there]
        table[["se", "ci_low", "ci_high"]] = np.reshape(spread, (len(there), 3))
        for name, values in (("share", found.shares), ("score", found.rates)):
            table[name], table[f"{name}_before"] = values[1, there], values[0, there]
        table = table.assign(unit=facts.unit, suppressed=hidden)
        table["note"] = _group_notes(sums.n[:, there], hidden, facts)
        tables.append(_blank(table, np.array([bool(why) for why in hidden], dtype=bool)))
    return pd.concat(tables, ignore_index=True)


def interval(
    estimate: float, replicates: Array, df: int, level: float
) -> tuple[float, float, float]:
    """Standard error of the bootstrap, and t limits; NaN with too few finite replicates.

    Percentiles would forget that few clusters know their own spread badly: with ten a
    period they cover 92 to 94 %, these 95 %.
    """
    finite = replicates[np.isfinite(replicates)]
    if len(finite) < 2 or df < 1:
        return np.nan, np.nan, np.nan
    se = float(finite.std(ddof=1))
    half = float(t_quantile(level, df)) * se
    return se, estimate - half, estimate + half


def _hidden(sums: CellSums, facts: Facts) -> dict[int, str]:
    """Cells to hide, and why; one that is hidden in a period is hidden in both.

    Segments are shown on their own elsewhere, so every row and column of the grid that
    holds a hidden cell must hold enough of them, as `hidden_groups` says of one whole.
    """
    grid = np.arange(sums.n.shape[1]).reshape(sums.grid)
    lines = [*grid, *grid.T]
    least = sums.n.max() + 1 if facts.hidden else facts.min_group_size
    small = (sums.n > 0) & (sums.n < least)
    hidden = dict.fromkeys(np.flatnonzero(small.any(axis=0)).tolist(), SMALL)
    before = -1
    while len(hidden) != before:
        before = len(hidden)
        for line in lines:
            for sizes in sums.n:
                hidden |= _complements(line, sizes, hidden, facts.min_group_size)
    return hidden


def _complements(
    line: NDArray[np.intp], sizes: NDArray[np.int64], hidden: dict[int, str], least: int
) -> dict[int, str]:
    """Cells of a line to hide as well, so that its total gives nothing back."""
    there = [cell for cell in line.tolist() if sizes[cell] > 0]
    inside = [cell for cell in there if cell in hidden]
    others = sorted((cell for cell in there if cell not in hidden), key=lambda cell: sizes[cell])
    added = {}
    while inside and others and (len(inside) < 2 or sizes[inside].sum() < least):
        inside.append(others.pop(0))
        added[inside[-1]] = COMPLEMENTARY
    return added


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
