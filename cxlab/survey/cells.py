"""Raw cells of any type as the text that a study file speaks of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa


def text_cells(frame: pd.DataFrame) -> pa.Table:
    """A typed frame as a text file of it would read: every cell text, ``""`` for nothing."""
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        if column.dtype.kind == "O":  # of any mixture
            columns.append(pa.array([cell_text(value) for value in column], pa.string()))
        else:
            columns.append(pa.chunked_array([pa.array(column)]))
    return as_text(pa.table(columns, names=[str(name) for name in frame.columns]))


def as_text(cells: pa.Table) -> pa.Table:
    """Cells of any types as the text of a file."""
    columns = []
    for column in cells.columns:
        numbers, texts = distinct_texts(column)
        columns.append(texts.take(pa.array(numbers)))
    return pa.table(columns, names=cells.column_names)


def distinct_texts(cells: pa.ChunkedArray) -> tuple[np.ndarray, pa.Array]:
    """Which of a column's distinct texts each row has, and those texts; ``""`` for nothing."""
    if pa.types.is_null(cells.type):
        return np.zeros(len(cells), dtype="int32"), pa.array([""])
    if pa.types.is_nested(cells.type):
        return np.arange(len(cells)), pa.array([cell_text(str(one)) for one in cells.to_pylist()])
    encoded = _encodable(cells).dictionary_encode()
    distinct = encoded.dictionary
    if pa.types.is_string(distinct.type):
        texts = distinct
    else:
        texts = pa.array(_texts(distinct), pa.string())
    if not encoded.null_count:
        return encoded.indices.to_numpy(), texts
    numbers = encoded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return numbers, pa.concat_arrays([texts, pa.array([""])])


def _encodable(cells: pa.ChunkedArray) -> pa.Array:
    """The cells in one piece, of a type whose distinct values Arrow finds."""
    kind = cells.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    text = pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    kind = pa.string() if text else pa.float32() if pa.types.is_float16(kind) else kind
    cells = cells if kind == cells.type else cells.cast(kind)
    return cells.combine_chunks() if cells.num_chunks != 1 else cells.chunk(0)


def _texts(distinct: pa.Array) -> list[str]:
    if not pa.types.is_timestamp(distinct.type):
        return [cell_text(value) for value in distinct.to_pylist()]
    values = list(distinct.to_pandas())
    # in summer and winter a zone's offsets differ, which text could not tell from two zones
    if distinct.type.tz and len({value.utcoffset() for value in values}) > 1:
        values = [value.tz_convert("UTC") for value in values]
    return [cell_text(value) for value in values]


def cell_text(value: object) -> str:
    """One raw value as the text of a file; ``""`` for nothing."""
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return str(value)
