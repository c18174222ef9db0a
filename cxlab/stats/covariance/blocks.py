"""Resampling blocks made of ids, in any engine: what `moments` leaves out one at a time."""

from __future__ import annotations

from typing import Any

import narwhals as nw

from cxlab.core.frames import check_columns, collect, column_names, scan

#: Ids of so many digits are numbers in every engine.
_DIGITS = "^[0-9]{1,18}$"


def with_blocks(data: Any, ids: str, *, blocks: int = 20, name: str = "block") -> Any:
    """Add a column that deals whole ids into resampling blocks.

    Parameters
    ----------
    data
        Polars, DuckDB, Ibis, PySpark or pandas frame; a pandas frame comes back as DuckDB's.
    ids : str
        Column of the respondent or cluster: whole numbers or text, on every row.
    blocks : int
        Number of blocks, 2 or more.
    name : str
        Name of the new column.

    Returns
    -------
    frame of the same engine
        With the block of each row, from 0 to ``blocks − 1``.

    Raises
    ------
    ValueError
        For a row without an id, a name that is taken, or fewer than 2 blocks.

    Notes
    -----
    The block is the id modulo ``blocks``. Text that is all digits is read as a number; other
    text is numbered in sorted order first, since no engine's hash is another's.

    Examples
    --------
    >>> import pandas as pd
    >>> answers = pd.DataFrame({"customer": [7, 8, 8, 9], "overall": [4, 5, 3, 1]})
    >>> with_blocks(answers, "customer", blocks=2).order("customer")["block"].fetchall()
    [(1,), (0,), (0,), (1,)]
    """
    check_columns(data, {"ids": ids})
    names = column_names(data)
    if name in names:
        raise ValueError(f"`name` must not be a column of the data; got '{name}'. Choose another.")
    if int(blocks) != blocks or blocks < 2:
        raise ValueError(f"`blocks` must be a whole number of 2 or more; got {blocks}.")
    lazy = scan(data, names)
    kind = lazy.collect_schema()[ids]
    if not (kind.is_integer() or kind == nw.String):
        raise TypeError(f"`ids` must be whole numbers or text; got {kind} in '{ids}'.")
    if _all_numbers(lazy, ids, kind):
        return lazy.with_columns((_number(ids) % blocks).alias(name)).to_native()
    numbered = lazy.select(ids).unique().with_row_index("_number", order_by=ids)
    numbered = numbered.select(ids, (nw.col("_number").cast(nw.Int64) % blocks).alias(name))
    return lazy.join(numbered, on=ids, how="left").to_native()


def _all_numbers(lazy: nw.LazyFrame, ids: str, kind: nw.dtypes.DType) -> bool:
    """Whether every id is a number; refuses rows without one."""
    null = nw.when(nw.col(ids).is_null()).then(nw.lit(1)).otherwise(nw.lit(0)).sum()
    looks = [null.alias("null")]
    if kind == nw.String:
        number = nw.col(ids).str.contains(_DIGITS)
        looks.append(nw.when(number).then(nw.lit(0)).otherwise(nw.lit(1)).sum().alias("words"))
    found = collect(lazy.select(*looks)).iloc[0].fillna(0)
    if found["null"]:
        raise ValueError(
            f"`ids` must be known on every row; got {int(found['null']):,} without in '{ids}'. "
            "Fill them in, or leave those rows out and say so."
        )
    return not found.get("words", 0)


def _number(ids: str) -> nw.Expr:
    # a negative remainder would be a block of its own
    number = nw.col(ids).cast(nw.Int64)
    return nw.when(number < 0).then(nw.lit(0) - number).otherwise(number)
