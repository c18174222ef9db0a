"""Tables that a report keeps: files beside it, at full precision."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
    table.to_csv(target, index=False)
    known = table.astype(object).where(table.notna(), None)
    records = [
        {str(key): _json_value(value) for key, value in row.items()}
        for row in known.to_dict(orient="records")
    ]
    text = json.dumps(records, ensure_ascii=False, indent=1, allow_nan=False)
    target.with_suffix(".json").write_text(text + "\n", encoding="utf-8")


def _json_value(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, str | int | float) else str(value)
