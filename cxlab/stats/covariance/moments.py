"""Moments: counts, sums and sums of products, and the covariance matrices made of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import as_list, check_choice
from cxlab.core.threads import one_blas_thread
from cxlab.stats.covariance import sums as summing
from cxlab.stats.covariance.covariance import (
    Covariance,
    PairSums,
    pair_sums,
    pairwise_covariance,
    repair,
)
from cxlab.stats.covariance.em import NoMaximumError, fit_possible, prior_note
from cxlab.stats.covariance.rows import WeightedRows, rows_of_cells
from cxlab.stats.covariance.sums import Cells, Query

Array = np.ndarray

MISSING = ("em", "pairwise", "complete")


def moments(
    data: Any,
    columns: Sequence[str],
    *,
    by: str | Sequence[str] | None = None,
    weights: str | None = None,
    memory_limit: float = summing.MEMORY_LIMIT,
) -> Moments:
    """Reduce answers to the sums that covariances are made of, in one query.

    Parameters
    ----------
    data
        pandas, Polars, DuckDB, Ibis or PySpark frame.
    columns : sequence of str
        Columns of numbers; null and NaN are missing answers.
    by : str or sequence of str, optional
        Columns whose values make groups.
    weights : str, optional
        Column of weights, 0 or more; rows of weight 0 are left out.
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
    >>> import pandas as pd
    >>> answers = pd.DataFrame({"food": [5.0, 3.0, None, 1.0], "overall": [4.0, 3.0, 5.0, 2.0]})
    >>> summary = moments(answers, ["food", "overall"])
    >>> summary.n, summary.n_patterns
    (4, 2)
    >>> summary.covariance("complete").table.round(2).loc["food", "overall"]
    np.float64(2.0)
    """
    query = Query(tuple(_names(columns)), tuple(as_list(by)), weights)
    lazy = summing.open_rows(data, query)
    origin = np.zeros(len(query.columns))
    cells, note = _take(lazy, query, origin, memory_limit)
    far = summing.far_columns(cells)
    if far.any():
        weight = np.maximum(cells.weight @ cells.observed, 1e-300)
        origin = np.where(far, np.round(cells.sums.sum(axis=0) / weight), 0.0)
        cells, note = _take(lazy, query, origin, memory_limit)
    return Moments(query.columns, query.by, origin, cells, note)


def _take(lazy: Any, query: Query, origin: Array, memory_limit: float) -> tuple[Cells, str]:
    allowed = int(memory_limit * 1e6 / query.cell_bytes)
    possible = 2 ** len(query.columns) if not query.by else np.inf
    n_cells = possible if possible <= allowed else summing.count_cells(lazy, query)
    if n_cells > allowed * summing.FILE_FACTOR:
        raise ValueError(
            f"`memory_limit` must allow {n_cells:,} sets of sums (one per missingness "
            f"pattern and group), {n_cells * query.cell_bytes / 1e6:,.0f} MB; got "
            f"{memory_limit}. Raise it, or take fewer columns or groups."
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


@dataclass(frozen=True, eq=False)
class Moments:
    """Counts, sums and sums of products of incomplete answers; they add with ``+``.

    Attributes
    ----------
    columns : tuple of str
        The numeric columns.
    by : tuple of str
        Columns that make the groups.
    origin : ndarray, shape (q,)
        Whole numbers that were subtracted before summing; 0 unless a column lies very
        far from zero.
    cells : Cells
        One row per group and missingness pattern.
    note : str
        What was done, in words; empty if there is nothing to say.
    """

    columns: tuple[str, ...]
    by: tuple[str, ...]
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
        """Per column: answers, missing answers, mean and standard deviation of those known.

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
            chosen &= (column.isna() if pd.isna(value) else column == value).to_numpy(dtype=bool)
        if not chosen.any():
            raise ValueError(
                f"`values` must be a group of the data; got {values}. There are {self.groups[:8]}."
            )
        cells = summing.merge_cells(self.cells.take(chosen), [])
        return replace(self, cells=cells, by=())

    def total(self) -> Moments:
        """Moments of all groups together."""
        return replace(self, cells=summing.merge_cells(self.cells, []), by=())

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both; the columns and groups must be the same."""
        if not isinstance(other, Moments):
            return NotImplemented
        mine = (self.columns, self.by)
        if mine != (other.columns, other.by):
            raise ValueError(
                "`+` must join moments of the same columns and groups; "
                f"got {mine} and {(other.columns, other.by)}."
            )
        moved = summing.shift_cells(other.cells, self.origin - other.origin)
        cells = summing.merge_cells(summing.join_cells([self.cells, moved]), list(self.by))
        notes = dict.fromkeys(note for note in (self.note, other.note) if note)
        return replace(self, cells=cells, note=" ".join(notes))

    def pair_sums(self) -> PairSums:
        """Sums per pair of columns, about the origin."""
        return pair_sums(self.cells)

    @one_blas_thread
    def covariance(self, missing: str = "em") -> Covariance:
        """Mean and covariance of all rows (`Moments.group` first for one group).

        Parameters
        ----------
        missing : {"em", "pairwise", "complete"}
            "em": maximum likelihood under a multivariate normal distribution, right when
            answers are missing at random given the others. "pairwise": each correlation
            from the rows that know both columns, repaired if the matrix is impossible.
            "complete": only the rows that answered everything.

        Returns
        -------
        Covariance

        Raises
        ------
        ValueError
            If a column has fewer than 2 answers, or (for "em") two columns are never known
            together. A column that does not vary has covariances of 0.
        """
        check_choice("missing", missing, MISSING)
        cells = self.cells
        if missing == "complete":
            cells = cells.take(np.asarray(cells.observed.all(axis=1)))
        found = estimate_covariance(
            self.columns,
            missing,
            pair_sums(cells),
            lambda: rows_of_cells(summing.merge_cells(cells, [])),
            total=self.n,
        )
        note = " ".join(note for note in (self.note, found.note) if note)
        pairs = pair_sums(self.cells).n
        return replace(found, mean=found.mean + self.origin, n_pairs=pairs, note=note)


def estimate_covariance(
    columns: tuple[str, ...],
    missing: str,
    sums: PairSums,
    rows: Callable[[], WeightedRows],
    *,
    total: int,
    start: tuple[Array, Array] | None = None,
) -> Covariance:
    """Mean and covariance from the sums of each pair (for "complete", of the complete rows).

    ``rows`` gives the rows, for "em", and ``start`` may be near the maximum; ``total`` is how
    many rows there were.
    """
    _check_answered(columns, sums, missing)
    mean, matrix = pairwise_covariance(sums)
    n, change, prior, notes = total, 0.0, 0.0, []
    if missing == "complete":
        n = int(sums.n[0, 0])
    elif missing == "pairwise":
        matrix, change = repair(matrix)
        if change:
            notes.append(
                f"Pairwise correlations were impossible together and were changed by up to {change:.2g}."
            )
    elif (sums.n < total).any():
        fit = fit_possible(rows(), start)
        mean, matrix, prior = fit.mean, fit.covariance * (total / (total - 1)), fit.prior
        if not fit.converged:
            notes.append(f"EM had not settled after {fit.steps} steps.")
        notes.append(prior_note(prior))
    return Covariance(
        columns=columns,
        mean=mean,
        matrix=matrix,
        n=n,
        n_total=total,
        n_pairs=sums.n,
        missing=missing,
        repaired=change,
        note=" ".join(note for note in notes if note),
        prior=prior,
    )


def _check_answered(columns: tuple[str, ...], sums: PairSums, missing: str) -> None:
    if missing == "complete" and sums.n[0, 0] < 2:
        raise ValueError(
            f"`missing='complete'` must find 2 or more complete rows; got {sums.n[0, 0]}. "
            "Use missing='em'."
        )
    for position, name in enumerate(columns):
        if sums.n[position, position] < 2:
            raise ValueError(
                f"`columns` must have 2 or more answers each; got "
                f"{sums.n[position, position]} in '{name}'. Leave it out."
            )
    if missing != "em":
        return
    never = np.argwhere(np.triu(sums.n < 2, 1))
    if len(never):
        first, second = (columns[position] for position in never[0])
        raise NoMaximumError(
            f"`columns` must be answered together by 2 or more rows for missing='em'; "
            f"got '{first}' and '{second}' (and {len(never) - 1} more pairs). "
            "Leave one of them out."
        )
