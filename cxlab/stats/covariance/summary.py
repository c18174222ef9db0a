"""Moments: what is kept of the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import check_choice
from cxlab.stats.covariance import sums as summing
from cxlab.stats.covariance.covariance import (
    Covariance,
    PairSums,
    complete_covariance,
    pair_sums,
    pairwise_covariance,
    repair,
)
from cxlab.stats.covariance.em import NoMaximumError, fit_possible, prior_note
from cxlab.stats.covariance.sums import Cells

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
            If a column has fewer than 2 answers, or (for "em") two columns are never known
            together. A column that does not vary has covariances of 0.
        """
        check_choice("missing", missing, MISSING)
        sums = pair_sums(self.cells)
        self._check_answered(sums, missing)
        if missing == "complete":
            mean, matrix, n = complete_covariance(self.cells)
            return self._result(mean, matrix, n, sums, missing)
        if missing == "pairwise":
            mean, matrix = pairwise_covariance(sums)
            matrix, change = repair(matrix)
            note = (
                f"Pairwise correlations were impossible together and were changed by up to "
                f"{change:.2g}."
                if change
                else ""
            )
            return self._result(mean, matrix, self.n, sums, missing, repaired=change, note=note)
        return self._em(sums)

    def _em(self, sums: PairSums) -> Covariance:
        if self.cells.observed.all():
            mean, matrix = pairwise_covariance(sums)
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
