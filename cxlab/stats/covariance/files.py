"""Parquet files of sums: written whole or not at all, read with one clear sentence."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

#: Key of the file's metadata under which the facts stand.
FACTS = b"cxlab"


def write_sums(
    path: str | Path, table: pa.Table, facts: Mapping[str, Any], *, kind: str, schema: int
) -> Path:
    """Write a table with its facts; nobody ever sees half of it.

    Parameters
    ----------
    path : str or Path
        File to write, in a folder that exists; an earlier file is replaced.
    table : pyarrow.Table
    facts : mapping
        What JSON can hold.
    kind : str
        What the file holds, in words.
    schema : int
        Version of the file's form.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        When the folder does not exist.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"`path` must lie in a folder that exists; got '{path}'. Make the folder first."
        )
    told = json.dumps({"kind": kind, "schema": schema, **facts}, ensure_ascii=False)
    metadata = {**(table.schema.metadata or {}), FACTS: told.encode()}
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        pq.write_table(table.replace_schema_metadata(metadata), partial, write_page_checksum=True)
        # as any file is made, and not for its maker's eyes only
        partial.chmod(0o644)
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return path


def read_sums(path: str | Path, *, kind: str, schema: int) -> tuple[pa.Table, dict[str, Any]]:
    """The table and the facts of a file that `write_sums` wrote.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is cut short or spoilt, holds something else, or was written by a newer
        version.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"`path` must be a file of saved {kind}; there is none at '{path}'."
        )
    try:
        table = pq.read_table(path, page_checksum_verification=True, partitioning=None)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"`path` must be a whole file of saved {kind}; got '{path.name}', which is cut short, "
            "spoilt or no Parquet file. Save it again, or fetch it from a backup."
        ) from error
    facts = _facts(table)
    if facts.get("kind") != kind:
        found = f"saved {facts['kind']}" if "kind" in facts else "another Parquet file"
        raise ValueError(f"`path` must be a file of saved {kind}; got '{path.name}', {found}.")
    if facts["schema"] > schema:
        raise ValueError(
            f"`path` must be written in form {schema} or an earlier one; got form "
            f"{facts['schema']} in '{path.name}'. Update cxlab to read it."
        )
    return table, facts


def _facts(table: pa.Table) -> dict[str, Any]:
    raw = (table.schema.metadata or {}).get(FACTS)
    try:
        facts = json.loads(raw) if raw else {}
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) and isinstance(facts.get("schema"), int) else {}
