"""Answers → moments, in one query."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from cxlab.core.frames import as_list
from cxlab.stats.covariance import sums as summing
from cxlab.stats.covariance.summary import Moments
from cxlab.stats.covariance.sums import Cells, Query

Array = np.ndarray


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
        Columns of numbers; null and NaN are holes.
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
