"""Which cells are too small to be kept as they are, and what is kept in their place."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cxlab.core.disclosure.rule import SMALL, covered
from cxlab.stats.covariance.covariance import pair_sums
from cxlab.stats.covariance.em import Fit, fit_normal
from cxlab.stats.covariance.pooled import (
    Pooled,
    expected_sums,
    join_pooled,
    rows_behind_every_number,
)
from cxlab.stats.covariance.sums import Cells, join_cells, merge_cells

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Protected:
    """Cells that may be kept, and what happened to the others.

    Attributes
    ----------
    cells : Cells
        Each of enough rows.
    pooled : Pooled or None
    blocks_lost : bool
        Whether resampling blocks were given up.
    left_out : dict of str to str
        Group (in words) to why nothing of it is kept, and which others went with it.
    """

    cells: Cells
    pooled: Pooled | None
    blocks_lost: bool
    left_out: dict[str, str]


def cell_limit(observed: Array, min_group_size: int) -> Array:
    """Fewest rows that a cell may have.

    With k columns known, fewer than k + 2 rows are no secret whatever the limit: the
    products of so few rows span those rows' answers and nothing else.
    """
    return np.maximum(min_group_size, observed.sum(axis=1) + 2)


def protect(
    cells: Cells, by: list[str], blocks: str | None, columns: list[str], min_group_size: int
) -> Protected:
    """Replace the cells that few rows make.

    Parameters
    ----------
    cells : Cells
    by : list of str
        Columns of the groups.
    blocks : str or None
        Column of the resampling blocks. They are given up if a cell is small: sums that
        are expected and not observed vary too little from block to block.
    columns : list of str
        Names, for the reasons.
    min_group_size : int
    """
    if not _small(cells, min_group_size).any():
        return Protected(cells, None, False, {})
    cells = merge_cells(cells, by)
    parts = {key: cells.take(places) for key, places in _groups(cells.keys, by).items()}
    kept, left_out = {}, {}
    for key, part in parts.items():
        try:
            kept[key] = _protect_group(part, by, columns, min_group_size)
        except ValueError as error:
            left_out[key] = str(error)
    covers = _covers(parts, left_out, _enough(cells, min_group_size))
    if covers:
        key, others = next(iter(left_out)), ", ".join(f"'{name}'" for name in covers)
        left_out[key] += f"; and with it {others}, because the whole would give it back"
    large = [kept[key][0] for key in kept if key not in covers]
    pooled = [rare for key, (_, rare) in kept.items() if rare is not None and key not in covers]
    none = cells.take(np.zeros(len(cells), dtype=bool))
    together = join_cells([none, *large]) if large else none
    return Protected(together, join_pooled(pooled, by), blocks is not None, left_out)


def _enough(cells: Cells, min_group_size: int) -> int:
    """Rows whose sums of products are no answers of theirs, whatever columns they know."""
    return max(min_group_size, cells.observed.shape[1] + 2)


def _covers(parts: dict[str, Cells], left_out: dict[str, str], least: int) -> list[str]:
    """Groups to leave out as well, lest the whole less the file gives those left out."""
    names = list(parts)
    rows = np.array([part.n.sum() for part in parts.values()])
    hidden = {names.index(name): SMALL for name in left_out}
    found = covered(rows, hidden, least, np.argsort(rows, kind="stable"))
    return [names[i] for i in sorted(found) if i not in hidden]


def _small(cells: Cells, min_group_size: int) -> Array:
    return np.asarray(cells.n < cell_limit(cells.observed, min_group_size))


def _groups(keys: pd.DataFrame, by: list[str]) -> dict[str, Array]:
    """Places of each group's cells, by its name in words."""
    if not by:
        return {"": np.arange(len(keys))}
    number = keys.groupby(by, dropna=False, sort=False, observed=True).ngroup().to_numpy()
    found = {}
    for i in range(number.max() + 1):
        places = np.flatnonzero(number == i)
        found[" · ".join(str(value) for value in keys[by].iloc[places[0]])] = places
    return found


def _protect_group(
    cells: Cells, by: list[str], columns: list[str], min_group_size: int
) -> tuple[Cells, Pooled | None]:
    """Large cells of one group, and its rare ones pooled.

    Raises
    ------
    ValueError
        Saying why nothing of the group can be kept.
    """
    order = np.lexsort((cells.n, ~_small(cells, min_group_size)))
    rare = int(_small(cells, min_group_size).sum())
    if rare == 0:
        return cells, None
    enough = _enough(cells, min_group_size)
    if cells.n.sum() < enough:
        raise ValueError(f"fewer than {enough} rows")
    fit = _fit(cells)
    while rare <= len(order):
        chosen = cells.take(order[:rare])
        if chosen.n.sum() >= enough:
            found = rows_behind_every_number(chosen, fit.covariance, min_group_size)
            if found >= min_group_size:
                keys = cells.keys[by].iloc[:1]
                pooled = expected_sums(chosen, fit.mean, fit.covariance, keys)
                return cells.take(np.sort(order[rare:])), pooled
        rare += max(1, (len(order) - rare) // 4)
    raise ValueError(_why_not(cells, columns, min_group_size))


def _fit(cells: Cells) -> Fit:
    try:
        fit = fit_normal(merge_cells(cells, []))
    except ValueError as error:
        raise ValueError("EM cannot be fitted to it") from error
    if not fit.converged:
        raise ValueError("EM does not settle on it")
    return fit


def _why_not(cells: Cells, columns: list[str], min_group_size: int) -> str:
    known = np.diagonal(pair_sums(cells).n)
    few = [name for name, n in zip(columns, known, strict=True) if n < min_group_size]
    if few:
        return f"fewer than {min_group_size} answers to '{few[0]}'"
    return "its rare patterns of missing answers could be told apart"
