"""Recorded tables of two sets of reports, cell by cell: what differs by more than 1e-9.

    python -m tests.compare_reports OLD_FOLDER NEW_FOLDER

Folders of reports, such as reports/demo/2025-Q4. Tables and columns that were renamed or taken
out in between stand in tests/renamed_columns.toml; new columns are passed over.
"""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

NAMES = Path(__file__).with_name("renamed_columns.toml")
#: Relative, and absolute near 0: sums in another order differ by less.
TOLERANCE = 1e-9

Names = Mapping[str, Mapping[str, str]]


def read_cells(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def table_differences(name: str, old: pd.DataFrame, new: pd.DataFrame, names: Names) -> list[str]:
    """One sentence for each column of a table that differs."""
    if len(old) != len(new):
        return [f"{name}: {len(old)} rows are {len(new)} now"]
    found = []
    for column in old:
        if {column, f"{name}.{column}"} & names["columns_out"].keys():
            continue
        now = names["columns"].get(f"{name}.{column}", names["columns"].get(column, column))
        if now not in new:
            found.append(f"{name}: the column {column} is gone")
            continue
        wrong = np.flatnonzero(differs(old[column], new[now]))
        if len(wrong):
            first = wrong[0]
            pair = f"first {old[column][first]}, now {new[now][first]}"
            found.append(f"{name}: {column} differs in {len(wrong)} of {len(old)} rows, {pair}")
    return found


def differs(old: pd.Series, new: pd.Series) -> np.ndarray[Any, Any]:
    """Whether two columns of text differ: as numbers where both are, else as text."""
    x, y = pd.to_numeric(old, errors="coerce"), pd.to_numeric(new, errors="coerce")
    near = np.isclose(x, y, rtol=TOLERANCE, atol=TOLERANCE)
    return ~((old == new).to_numpy() | near)


def report_differences(old: Path, new: Path, names: Names) -> Iterator[str]:
    """One sentence for each table or column of a set that differs."""
    for path in sorted(old.rglob("tables/*.csv")):
        table = path.stem
        if table in names["tables_out"]:
            continue
        called = names["tables"].get(table, table)
        beside = new / path.relative_to(old).with_name(f"{called}.csv")
        where = path.parent.parent.name
        if not beside.is_file():
            yield f"{where}: the table {table} is gone"
            continue
        for one in table_differences(table, read_cells(path), read_cells(beside), names):
            yield f"{where}: {one}"


def read_names(path: Path = NAMES) -> Names:
    kinds = ("tables", "columns", "tables_out", "columns_out")
    read = tomllib.loads(path.read_text(encoding="utf-8"))
    return {kind: read.get(kind, {}) for kind in kinds}


if __name__ == "__main__":
    lines = list(report_differences(Path(sys.argv[1]), Path(sys.argv[2]), read_names()))
    print(*lines, f"{len(lines)} differences", sep="\n")
    sys.exit(bool(lines))
