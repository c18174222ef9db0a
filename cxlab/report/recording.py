"""Tables that a report keeps: files beside it, at full precision."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cxlab.report.text import quote_formula

if TYPE_CHECKING:
    import pandas as pd

#: Names a folder in which `cxlab.show` also writes every table at full precision.
RECORD_VARIABLE = "CXLAB_RECORD"


def record_table(table: pd.DataFrame, name: str) -> None:
    """Write a table at full precision, where `RECORD_VARIABLE` names a folder.

    Raises
    ------
    ValueError
        For a name that stands there already.
    """
    folder = os.environ.get(RECORD_VARIABLE)
    if not folder:
        return
    target = Path(folder) / f"{name}.csv"
    if target.exists():
        raise ValueError(
            f"`name` must be used once in a report; got '{name}' again. Name each table apart."
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    _quoted(table).to_csv(target, index=False)
    known = table.astype(object).where(table.notna(), None)
    records = [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in known.to_dict(orient="records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False)
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _quoted(table: pd.DataFrame) -> pd.DataFrame:
    """Spreadsheets open CSV files, and run what looks like a formula in them."""
    quoted = table.rename(columns=quote_formula)
    for number, kind in enumerate(table.dtypes):
        if getattr(kind, "kind", "O") not in "biufcmM":
            column = table.iloc[:, number]
            quoted.isetitem(number, column.astype(object).map(quote_formula))
    return quoted


def _json_value(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
