"""Moments: what is kept of the answers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cxlab.core.frames import check_choice
from cxlab.stats.covariance import saved
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
from cxlab.stats.covariance.pooled import Pooled, join_pooled
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
    blocks : str or None
        Column that makes the resampling blocks.
    origin : ndarray, shape (q,)
        Whole numbers that were subtracted before summing; 0 unless a column lies very
        far from zero.
    cells : Cells
        One row per group, block and missingness pattern.
    note : str
        What was done, in words; empty if there is nothing to say.
    pooled : Pooled or None
        Rows of rare patterns, as far as moments read from a file still know them.
    """

    columns: tuple[str, ...]
    by: tuple[str, ...]
    blocks: str | None
    origin: Array
    cells: Cells
    note: str = ""
    pooled: Pooled | None = None

    @property
    def n(self) -> int:
        """Rows."""
        return int(self._all_cells().n.sum())

    @property
    def weight(self) -> float:
        """Sum of the weights; the number of rows without weights."""
        return float(self._all_cells().weight.sum())

    @property
    def n_patterns(self) -> int:
        """Missingness patterns, those that were pooled among them."""
        pooled = 0 if self.pooled is None else int(self.pooled.patterns.sum())
        return len(np.unique(self.cells.observed, axis=0)) + pooled

    @property
    def table(self) -> pd.DataFrame:
        """Per column: answers, holes, mean and standard deviation of the known answers.

        Pooled rows of moments read from a file enter with all that EM expects of them.

        Returns
        -------
        DataFrame
            Columns ``column, n, n_missing, mean, standard_deviation``.
        """
        sums = self._known()
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
        frame = self._all_cells().keys[list(self.by)].drop_duplicates()
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
        kept = self._of_group(self.cells.keys, values)
        rare = np.zeros(0, dtype=bool)
        if self.pooled is not None:
            rare = self._of_group(self.pooled.cells.keys, values)
        if not kept.any() and not rare.any():
            raise ValueError(
                f"`values` must be a group of the data; got {values}. There are {self.groups[:8]}."
            )
        pooled = self.pooled.take(rare) if self.pooled is not None and rare.any() else None
        return self._with(self.cells.take(kept), by=(), pooled=pooled)

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
        shift = self.origin - other.origin
        moved = summing.shift_cells(other.cells, shift)
        keys = [*self.by, *([self.blocks] if self.blocks else [])]
        cells = summing.merge_cells(summing.join_cells([self.cells, moved]), keys)
        notes = dict.fromkeys(note for note in (self.note, other.note) if note)
        rare = [self.pooled] if self.pooled is not None else []
        rare += [other.pooled.shift(shift)] if other.pooled is not None else []
        return replace(
            self, cells=cells, note=" ".join(notes), pooled=join_pooled(rare, list(self.by))
        )

    def save(self, path: str | Path, *, min_group_size: int = saved.MIN_GROUP_SIZE) -> Path:
        """Keep these moments in a file, so that the answers may be deleted.

        Parameters
        ----------
        path : str or Path
            Parquet file to write, whole or not at all; an earlier one is replaced.
        min_group_size : int
            Missingness patterns of a group (and block) with fewer rows are not kept as
            they are, nor those with fewer rows than known columns and two; see Notes.

        Returns
        -------
        Path
            The file.

        Raises
        ------
        FileNotFoundError
            When the folder does not exist.
        ValueError
            When no group is large enough to keep anything of it.

        Notes
        -----
        The sums of a rare pattern are its few rows' answers. Rare patterns of a group are
        pooled as the sums that maximum likelihood expects of them, E[Σx | answers] and
        E[Σxxᵀ | answers], in which every pooled row takes part; the note of the moments
        read back says how many rows that were. ``missing="em"`` gives the same again, for
        each group (for groups or periods added together it is close, and the note says
        so). ``"complete"`` does if the rows without a hole are enough to stand by
        themselves. ``"pairwise"`` is refused: its sums give single rows back by
        subtraction. Patterns that could still be told apart in the pool draw others in;
        a group of which that is true to the end is left out. Blocks are given up where a
        cell is small. Where no cell is small everything is kept to the last digit.

        This is suppression by size, as of the tables that are shown. It is no
        differential privacy: who knows all rows but one of a cell learns the last one.

        Examples
        --------
        >>> import tempfile
        >>> from cxlab import moments
        >>> answers = pd.DataFrame({"food": [5.0, 3.0, 4.0, 1.0] * 5, "wifi": [4.0, 2.0] * 10})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = moments(answers, ["food", "wifi"]).save(Path(folder) / "2025.parquet")
        ...     Moments.load(file).covariance().table.round(3)
               food   wifi
        food  2.303  1.316
        wifi  1.316  1.053
        """
        fields = {name: getattr(self, name) for name in saved.FIELDS}
        return saved.save_moments(path, fields, min_group_size)

    @classmethod
    def load(cls, path: str | Path) -> Moments:
        """Moments that `save` has kept.

        Parameters
        ----------
        path : str or Path

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        ValueError
            When it is cut short, holds something else, or comes from a newer cxlab.
        """
        return cls(**saved.load_moments(path))

    def pair_sums(self) -> PairSums:
        """Sums per pair of columns, about the origin.

        Raises
        ------
        ValueError
            When rare patterns were pooled.
        """
        if self.pooled is not None:
            raise ValueError(
                "`missing` must be 'em' or 'complete' for moments whose rare patterns were "
                "pooled when they were saved; got pairwise sums, which would give single rows "
                "back by subtraction. Use missing='em'."
            )
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
        sums = self.pair_sums() if missing == "pairwise" else self._known()
        self._check_answered(sums, missing)
        if missing == "complete":
            self._check_complete()
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
        cells = self._all_cells()
        if cells.observed.all():
            mean, matrix = pairwise_covariance(pair_sums(cells))
            return self._result(mean, matrix, self.n, sums, "em")
        fit, prior = fit_possible(summing.merge_cells(cells, []))
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

    def _check_complete(self) -> None:
        if self.pooled is not None and self.pooled.complete.any():
            raise ValueError(
                "`missing` must be 'em' here; got 'complete'. Rows without a hole were too few "
                "to be kept by themselves when these moments were saved."
            )

    def _all_cells(self) -> Cells:
        """Cells, and what was pooled as cells without a hole: what EM goes by."""
        if self.pooled is None:
            return self.cells
        names = [*self.by]
        kept = replace(self.cells, keys=self.cells.keys[names])
        rare = replace(self.pooled.cells, keys=self.pooled.cells.keys[names])
        return summing.join_cells([kept, rare]) if len(kept) else rare

    def _known(self) -> PairSums:
        """Pair sums with true counts; the expected answers of pooled rows are in the sums."""
        sums = pair_sums(self._all_cells())
        if self.pooled is None:
            return sums
        return replace(sums, n=pair_sums(self.cells).n + self.pooled.known.sum(axis=0))

    def _of_group(self, keys: pd.DataFrame, values: tuple[Any, ...]) -> Array:
        chosen = np.ones(len(keys), dtype=bool)
        for name, value in zip(self.by, values, strict=True):
            column = keys[name]
            same = column.isna() if pd.isna(value) else column == value
            chosen &= same.to_numpy(dtype=bool)
        return chosen

    def _with(self, cells: Cells, **changes: Any) -> Moments:
        changed = replace(self, cells=cells, **changes)
        keys = [*changed.by, *([changed.blocks] if changed.blocks else [])]
        if changed.by == self.by and changed.blocks == self.blocks:
            return changed
        if changed.pooled is not None:
            changed = replace(changed, pooled=join_pooled([changed.pooled], list(changed.by)))
        return replace(changed, cells=summing.merge_cells(cells, keys))
