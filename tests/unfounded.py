"""Whether every number of a finding's text is the rounding of a recorded cell."""

import re
from collections.abc import Mapping, Sequence

import pandas as pd

from cxlab.core.findings import Cells, Findings
from cxlab.core.messages import unknown
from cxlab.core.phrases import MINUS

_NUMBER = re.compile(rf"(?<![\w.,])[{MINUS}+-]?\d[\d,]*(?:\.\d+)?(?![\w]|\.\d)")


def unfounded(
    findings: Findings, tables: Mapping[str, pd.DataFrame], *, words: Sequence[str] = ()
) -> list[str]:
    """Numbers in texts that are the rounding of no cell which the finding names.

    ``text: number`` of each; ``words`` are names that hold digits. Of a finding's own fields its
    reference, margin, share (as per cent) and family's size need no cell; its estimate and
    interval do. A finding that names a table, row or column that is not there is refused.
    """
    found = []
    for finding in findings:
        known = [finding.reference, finding.margin, 100 * finding.share]
        known += [float(finding.family_size)] if finding.family_size is not None else []
        known += [value for cells in finding.cells for value in _values(cells, tables)]
        text = finding.text
        for word in sorted(filter(None, words), key=len, reverse=True):
            text = text.replace(word, " ")
        found += [
            f"{finding.text}: {token}"
            for token in _NUMBER.findall(text)
            if not any(_rounds_to(value, token) for value in known)
        ]
    return found


def _values(cells: Cells, tables: Mapping[str, pd.DataFrame]) -> list[float]:
    if cells.table not in tables:
        raise ValueError(unknown("table", cells.table, tables))
    table = tables[cells.table]
    chosen = table
    for column, value in cells.row.items():
        if column not in table:
            raise ValueError(unknown("row", column, table.columns, of=cells.table))
        chosen = chosen[chosen[column].astype("str") == str(value)]
    if len(chosen) != 1:
        raise ValueError(
            f"`row` must find one row of '{cells.table}'; got {len(chosen)} for {dict(cells.row)}."
        )
    odd = [column for column in cells.columns if column not in table]
    if odd:
        raise ValueError(unknown("columns", odd[0], table.columns, of=cells.table))
    values = pd.to_numeric(chosen.iloc[0][list(cells.columns)], errors="coerce")
    return [float(value) for value in values.dropna()]


def _rounds_to(value: float, token: str) -> bool:
    """Whether a number, its size, or as per cent, is what the token says at its decimals."""
    plain = token.replace(MINUS, "-").replace(",", "").lstrip("+")
    told, decimals = float(plain), len(plain.partition(".")[2])
    # half a unit of the last place, and what is lost in binary
    near = 0.5 * 10.0**-decimals + 1e-9
    sizes = (value, 100 * value)
    same = any(abs(size - told) <= near for size in sizes)
    # "fell by 0.6" says the size of −0.6
    return same or (told >= 0 and any(abs(abs(size) - told) <= near for size in sizes))
