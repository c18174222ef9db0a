"""Moments in a Parquet file, and what may stand in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cxlab.stats.covariance.files import read_sums, write_sums
from cxlab.stats.covariance.pooled import Pooled, join_pooled
from cxlab.stats.covariance.protection import Protected, protect
from cxlab.stats.covariance.sums import Cells

Array = np.ndarray

#: Version of the file's form.
SCHEMA = 1
KIND = "moments"
#: Fewer rows than this are not kept as they are.
MIN_GROUP_SIZE = 10
#: What moments are made of.
FIELDS = ("columns", "by", "blocks", "origin", "cells", "note", "pooled")
_NUMBERS = ("n", "weight", "weight_squares")
_LISTS = ("sums", "products")


def save_moments(path: str | Path, fields: Mapping[str, Any], min_group_size: int) -> Path:
    """Write moments, their small cells pooled; see `cxlab.Moments.save`.

    Parameters
    ----------
    path : str or Path
    fields : mapping
        One value for each of `FIELDS`.
    min_group_size : int
    """
    whole = isinstance(min_group_size, int | np.integer) and not isinstance(min_group_size, bool)
    if not whole or min_group_size < 1:
        raise ValueError(f"`min_group_size` must be 1 or more; got {min_group_size}.")
    by, blocks = list(fields["by"]), fields["blocks"]
    found = protect(fields["cells"], by, blocks, list(fields["columns"]), int(min_group_size))
    earlier = [fields["pooled"]] if fields["pooled"] is not None else []
    pooled = join_pooled([*earlier, *([found.pooled] if found.pooled else [])], by)
    if len(found.cells) == 0 and pooled is None:
        why = next(iter(found.left_out.values()))
        raise ValueError(
            f"`min_group_size` must leave something to save; got {min_group_size}: {why}. "
            "Take more rows, or fewer columns or groups."
        )
    keys = [*by, *([blocks] if blocks and not found.blocks_lost else [])]
    facts = {
        "columns": list(fields["columns"]),
        "by": by,
        "blocks": keys[-1] if len(keys) > len(by) else None,
        "origin": fields["origin"].tolist(),
        "note": " ".join(part for part in (fields["note"], _note(found)) if part),
        "min_group_size": int(min_group_size),
    }
    table = _table(found.cells, pooled, keys)
    return write_sums(path, table, facts, kind=KIND, schema=SCHEMA)


def load_moments(path: str | Path) -> dict[str, Any]:
    """Fields of the moments in a file; see `cxlab.Moments.load`."""
    table, facts = read_sums(path, kind=KIND, schema=SCHEMA)
    columns = tuple(facts["columns"])
    keys = [*facts["by"], *([facts["blocks"]] if facts["blocks"] else [])]
    cells, pooled = _read(table, keys, len(columns))
    return {
        "columns": columns,
        "by": tuple(facts["by"]),
        "blocks": facts["blocks"],
        "origin": np.array(facts["origin"], dtype=float),
        "cells": cells,
        "note": facts["note"],
        "pooled": pooled,
    }


def _note(found: Protected) -> str:
    notes = []
    if found.pooled is not None:
        rows, patterns = int(found.pooled.cells.n.sum()), int(found.pooled.patterns.sum())
        exact, lost = "'em' and 'complete' are", "'pairwise'"
        if found.pooled.complete.any():
            exact, lost = "'em' is", "'pairwise' and 'complete'"
        notes.append(
            f"{rows:,} rows of {patterns:,} rare missingness patterns were pooled when saved: "
            f"missing={exact} exact within each group, {lost} cannot be had; EM over several "
            "groups or periods together is close, not exact."
        )
    if found.blocks_lost:
        notes.append("Resampling blocks were given up when saved: some had too few rows.")
    groups = {name: why for name, why in found.left_out.items() if name}
    if groups:
        name, why = next(iter(groups.items()))
        more = f" (and {len(groups) - 1} more groups)" if len(groups) > 1 else ""
        notes.append(f"Left out when saved: '{name}', {why}{more}.")
    return " ".join(notes)


def _table(cells: Cells, pooled: Pooled | None, keys: list[str]) -> pa.Table:
    parts = [_columns(cells, keys)]
    if pooled is not None:
        parts.append(_columns(pooled.cells, keys) | _pooled_columns(pooled))
    return pa.concat_tables([pa.table(part) for part in parts], promote_options="default")


def _columns(cells: Cells, keys: list[str]) -> dict[str, Any]:
    """One row per cell: ``key_0 …``, ``observed`` and the sums."""
    named = {
        f"key_{i}": pa.array(cells.keys[name], from_pandas=True) for i, name in enumerate(keys)
    }
    numbers = {name: getattr(cells, name) for name in _NUMBERS}
    lists = {name: _lists(np.asarray(getattr(cells, name), dtype=float)) for name in _LISTS}
    return named | {"observed": _lists(cells.observed)} | numbers | lists


def _pooled_columns(pooled: Pooled) -> dict[str, Any]:
    return {
        "known": _lists(pooled.known.reshape(len(pooled.known), -1)),
        "patterns": pooled.patterns,
        "complete": pooled.complete,
    }


def _lists(values: Array) -> pa.Array:
    return pa.array(list(values), type=pa.list_(pa.from_numpy_dtype(values.dtype)))


def _read(table: pa.Table, keys: list[str], q: int) -> tuple[Cells, Pooled | None]:
    if "patterns" not in table.column_names:
        return _cells(table, keys, q), None
    rare = table["patterns"].is_valid()
    part = table.filter(rare)
    known = _array(part, "known", q * q).astype(np.int64)
    pooled = Pooled(
        cells=_cells(part, keys, q),
        known=known.reshape(-1, q, q),
        patterns=part["patterns"].to_numpy(),
        complete=np.array(part["complete"].to_pylist(), dtype=bool),
    )
    return _cells(table.filter(table["patterns"].is_null()), keys, q), pooled


def _cells(table: pa.Table, keys: list[str], q: int) -> Cells:
    named = {name: table[f"key_{i}"].to_pandas() for i, name in enumerate(keys)}
    return Cells(
        keys=pd.DataFrame(named, index=range(len(table))),
        observed=_array(table, "observed", q).astype(bool),
        sums=_array(table, "sums", q),
        products=_array(table, "products", q * (q + 1) // 2),
        **{name: table[name].to_numpy() for name in _NUMBERS},
    )


def _array(table: pa.Table, name: str, width: int) -> Array:
    return np.array(table[name].to_pylist(), dtype=float).reshape(len(table), width)
