"""Moments: what is kept of the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.stats.frames import as_list, check_choice
from cxlab.stats.moments import sums as summing
from cxlab.stats.moments.covariance import (
    Covariance,
    PairSums,
    complete_covariance,
    pair_sums,
    pairwise_covariance,
    repair,
)
from cxlab.stats.moments.em import NoMaximumError, fit_possible, prior_note
from cxlab.stats.moments.sums import Cells, Query

Array = np.ndarray

MISSING = ("em", "pairwise", "complete")


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, sums and sums of products of answers with holes; they add with ``+``.

    Attributes
    ----------
    columns : tuple of str
        The numeric columns.
    by : tuple of str
        Columns that make the groups.
    blocks : str or None
        Column that makes the resampling blocks.
    origin : ndarray, shape (q,)
        Whole numbers that were subtracted before summing; 0 unless a column lies very
        far from zero.
    cells : Cells
        One row per group, block and missingness pattern.
    note : str
        What was done, in words; empty if there is nothing to say.
    """

    columns: tuple[str, ...]
    by: tuple[str, ...]
    blocks: str | None
    origin: Array
    cells: Cells
    note: str = ""

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.cells.n.sum())

    @property
    def weight(self) -> float:
        """Sum of the weights; the number of rows without weights."""
        return float(self.cells.weight.sum())

    @property
    def n_patterns(self) -> int:
        """Missingness patterns."""
        return len(np.unique(self.cells.observed, axis=0))

    @property
    def table(self) -> pd.DataFrame:
        """Per column: answers, holes, mean and standard deviation of the known answers.

        Returns
        -------
        DataFrame
            Columns ``column, n, n_missing, mean, standard_deviation``.
        """
        sums = pair_sums(self.cells)
        means, matrix = pairwise_covariance(sums)
        n = np.diagonal(sums.n)
        return pd.DataFrame(
            {
                "column": self.columns,
                "n": n,
                "n_missing": self.n - n,
                "mean": np.where(n > 0, means + self.origin, np.nan),
                "standard_deviation": np.where(n > 1, np.sqrt(np.diagonal(matrix)), np.nan),
            }
        )

    @property
    def groups(self) -> list[tuple[Any, ...]]:
        """Values of the ``by`` columns that occur, in order."""
        frame = self.cells.keys[list(self.by)].drop_duplicates()
        return sorted(frame.itertuples(index=False, name=None), key=str)

    def group(self, *values: Any) -> Moments:
        """Moments of one group.

        Parameters
        ----------
        *values
            One value per ``by`` column.
        """
        if len(values) != len(self.by):
            raise ValueError(f"`values` must be one per column of {self.by}; got {len(values)}.")
        chosen = np.ones(len(self.cells), dtype=bool)
        for name, value in zip(self.by, values, strict=True):
            column = self.cells.keys[name]
            same = column.isna() if pd.isna(value) else column == value
            chosen &= same.to_numpy(dtype=bool)
        if not chosen.any():
            raise ValueError(
                f"`values` must be a group of the data; got {values}. There are {self.groups[:8]}."
            )
        return self._with(self.cells.take(chosen), by=())

    def total(self) -> Moments:
        """Moments of all groups and blocks together."""
        return self._with(self.cells, by=(), blocks=None)

    def block_numbers(self) -> list[Any]:
        """Values of the block column, in order."""
        if self.blocks is None:
            raise ValueError("`blocks` must be given to moments() to leave blocks out.")
        return sorted(self.cells.keys[self.blocks].unique())

    def without_block(self, block: Any) -> Moments:
        """Moments of all rows outside one resampling block."""
        numbers = self.block_numbers()
        if block not in numbers:
            raise ValueError(f"`block` must be one of the blocks {numbers[:8]}; got {block}.")
        kept = (self.cells.keys[self.blocks] != block).to_numpy(dtype=bool)
        return self._with(self.cells.take(kept), blocks=None)

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both; the columns and keys must be the same."""
        if not isinstance(other, Moments):
            return NotImplemented
        mine = (self.columns, self.by, self.blocks)
        if mine != (other.columns, other.by, other.blocks):
            raise ValueError(
                "`+` must join moments of the same columns, groups and blocks; "
                f"got {mine} and {(other.columns, other.by, other.blocks)}."
            )
        moved = summing.shift_cells(other.cells, self.origin - other.origin)
        keys = [*self.by, *([self.blocks] if self.blocks else [])]
        cells = summing.merge_cells(summing.join_cells([self.cells, moved]), keys)
        notes = dict.fromkeys(note for note in (self.note, other.note) if note)
        return replace(self, cells=cells, note=" ".join(notes))

    def pair_sums(self) -> PairSums:
        """Sums per pair of columns, about the origin."""
        return pair_sums(self.cells)

    def covariance(self, missing: str = "em") -> Covariance:
        """Mean and covariance of all rows (`group` first for one group).

        Parameters
        ----------
        missing : {"em", "pairwise", "complete"}
            "em": maximum likelihood under a multivariate normal distribution, right when
            answers are missing at random given the others. "pairwise": each correlation
            from the rows that know both columns, repaired if the matrix is impossible.
            "complete": rows without a hole only.

        Returns
        -------
        Covariance

        Raises
        ------
        ValueError
            If a column has no answer or does not vary, or (for "em") two columns are
            never known together.
        """
        check_choice("missing", missing, MISSING)
        sums = pair_sums(self.cells)
        self._check_answered(sums, missing)
        if missing == "complete":
            mean, matrix, n = complete_covariance(self.cells)
            return self._result(mean, matrix, n, sums, missing)
        mean, matrix = pairwise_covariance(sums)
        if missing == "pairwise":
            matrix, change = repair(matrix)
            note = (
                f"Pairwise correlations were impossible together and were changed by up to "
                f"{change:.2g}."
                if change
                else ""
            )
            return self._result(mean, matrix, self.n, sums, missing, repaired=change, note=note)
        return self._em(mean, matrix, sums)

    def _em(self, mean: Array, matrix: Array, sums: PairSums) -> Covariance:
        if self.cells.observed.all():
            return self._result(mean, matrix, self.n, sums, "em")
        fit, prior = fit_possible(summing.merge_cells(self.cells, []))
        slow = "" if fit.converged else f"EM had not settled after {fit.steps} steps."
        note = " ".join(part for part in (slow, prior_note(prior)) if part)
        scaled = fit.covariance * (self.n / (self.n - 1))
        result = self._result(fit.mean, scaled, self.n, sums, "em", iterations=fit.steps, note=note)
        return replace(result, prior=prior)

    def _result(
        self,
        mean: Array,
        matrix: Array,
        n: int,
        sums: PairSums,
        missing: str,
        *,
        iterations: int = 0,
        repaired: float = 0.0,
        note: str = "",
    ) -> Covariance:
        return Covariance(
            columns=self.columns,
            mean=mean + self.origin,
            matrix=matrix,
            n=n,
            n_total=self.n,
            n_pairs=sums.n,
            missing=missing,
            iterations=iterations,
            repaired=repaired,
            note=" ".join(part for part in (self.note, note) if part),
        )

    def _check_answered(self, sums: PairSums, missing: str) -> None:
        for position, name in enumerate(self.columns):
            if sums.n[position, position] < 2:
                raise ValueError(
                    f"`columns` must have 2 or more answers each; got "
                    f"{sums.n[position, position]} in '{name}'. Leave it out."
                )
        if missing != "em":
            return
        apart = np.argwhere(np.triu(sums.n < 2, 1))
        if len(apart):
            first, second = (self.columns[position] for position in apart[0])
            raise NoMaximumError(
                f"`columns` must be answered together by 2 or more rows for missing='em'; "
                f"got '{first}' and '{second}' (and {len(apart) - 1} more pairs). "
                "Leave one of them out."
            )

    def _with(self, cells: Cells, **changes: Any) -> Moments:
        changed = replace(self, cells=cells, **changes)
        keys = [*changed.by, *([changed.blocks] if changed.blocks else [])]
        if changed.by == self.by and changed.blocks == self.blocks:
            return changed
        return replace(changed, cells=summing.merge_cells(cells, keys))


def moments(
    data: Any,
    columns: Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    blocks: str | None = None,
    memory_limit: float = summing.MEMORY_LIMIT,
) -> Moments:
    """Reduce answers to the sums that covariances are made of, in one query.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame.
    columns : sequence of str
        Columns of numbers; null and NaN are holes.
    by : str or sequence of str, optional
        Columns whose values make groups.
    weights : str, optional
        Column of weights, 0 or more; rows of weight 0 are left out.
    blocks : str, optional
        Column whose values make resampling blocks.
    memory_limit : float
        Megabytes the sums may take in memory. Where there are so many missingness
        patterns that they would take more, they are taken in batches and kept in a
        temporary file, from which EM reads them a part at a time; the result's note
        says so.

    Returns
    -------
    Moments

    Raises
    ------
    ValueError
        If a column does not exist, a value is infinite, a weight is missing, negative or
        infinite, there is no row, or the sums would take more than 16 times the limit.
    TypeError
        If a column is text.

    Notes
    -----
    Unweighted sums of whole numbers are exact, so their order does not matter.

    Examples
    --------
    >>> answers = pd.DataFrame({"food": [5.0, 3.0, None, 1.0], "overall": [4.0, 3.0, 5.0, 2.0]})
    >>> summary = moments(answers, ["food", "overall"])
    >>> summary.n, summary.n_patterns
    (4, 2)
    >>> summary.covariance("complete").table.round(2).loc["food", "overall"]
    np.float64(2.0)
    """
    query = Query(tuple(_names(columns)), tuple(as_list(by)), blocks, weights)
    lazy = summing.open_rows(data, query)
    origin = np.zeros(len(query.columns))
    cells, note = _take(lazy, query, origin, memory_limit)
    far = summing.far_columns(cells)
    if far.any():
        weight = np.maximum(cells.weight @ cells.observed, 1e-300)
        origin = np.where(far, np.round(cells.sums.sum(axis=0) / weight), 0.0)
        cells, note = _take(lazy, query, origin, memory_limit)
    return Moments(query.columns, query.by, query.blocks, origin, cells, note)


def _take(lazy: Any, query: Query, origin: Array, memory_limit: float) -> tuple[Cells, str]:
    allowed = int(memory_limit * 1e6 / query.cell_bytes)
    possible = 2 ** len(query.columns) if not query.keys else np.inf
    n_cells = possible if possible <= allowed else summing.count_cells(lazy, query)
    if n_cells > allowed * summing.FILE_FACTOR:
        raise ValueError(
            f"`memory_limit` must allow {n_cells:,} sets of sums (one per missingness "
            f"pattern, group and block), {n_cells * query.cell_bytes / 1e6:,.0f} MB; got "
            f"{memory_limit}. Raise it, or take fewer columns, groups or blocks."
        )
    if n_cells > allowed:
        note = (
            f"{n_cells:,} missingness patterns were summed in batches and kept in a temporary file."
        )
        return summing.spool_cells(lazy, query, origin, memory_limit), note
    cells = summing.sum_cells(lazy, query, origin)
    if len(cells) == 0:
        raise ValueError("`data` must have a row; got none (rows of weight 0 don't count).")
    return cells, ""


def _names(columns: Sequence[str]) -> list[str]:
    names = as_list(columns)
    if not names:
        raise ValueError("`columns` must name 1 or more columns; got none.")
    repeated = [name for position, name in enumerate(names) if name in names[:position]]
    if repeated:
        raise ValueError(f"`columns` must name each column once; got '{repeated[0]}' twice.")
    return names
