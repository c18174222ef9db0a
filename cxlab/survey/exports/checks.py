"""Damage that a spreadsheet does, found before it is read as answers."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from cxlab.core.messages import got

#: What Excel's dates look like once they are text again: 3-May, Mar-05, 03. Mai.
EXCEL_DATE = re.compile(r"\d{1,2}-[A-Z][a-z]{2}|[A-Z][a-z]{2}-\d{2}|\d{2}\. [A-Z][a-zä]{2}")
#: What they were made of: scores, and groups such as 3-5.
_MADE_OF = re.compile(r"-?\d+(?:[.,]\d+)?|\d+\s*[-–/]\s*\d+")
_WRITTEN_DATE = re.compile(r"\d{1,2}[/.-]\d{1,2}[/.-]\d{2,4}(?:\s.*)?")
#: Share of a column's other cells that must be scores or groups.
MOST = 0.5


def check_merged(ranges: Sequence[str], file: str) -> None:
    """Refuse answers in merged cells: but for the first, each would read as blank."""
    if ranges:
        raise ValueError(
            f"{file}: answers must not be in merged cells; {got(ranges)} are merged, of which only "
            "the first holds the answer. Unmerge them in Excel and fill in every cell."
        )


def check_dates(texts: pd.Series, dates: set[int], file: str, header: str) -> None:
    """Refuse dates that Excel has made of something else.

    Parameters
    ----------
    texts : Series
        Cells of one column; the index is the row in the file, from 0.
    dates : set of int
        Rows whose cell is an Excel date.
    file, header : str
        For the message.

    Raises
    ------
    ValueError
        For a date among scores or groups (Excel reads 3-5 as 5 March), and for dates of
        which Excel has read only those whose day may be a month.
    """
    texts = texts.str.strip()
    dated = pd.Series(texts.index.isin(list(dates)), index=texts.index)
    dated |= texts.isin([text for text in texts.unique() if EXCEL_DATE.fullmatch(text)])
    others = texts[~dated & (texts != "")]
    if not dated.any() or others.empty:
        return
    where = f"got '{texts[dated].iloc[0]}' in row {texts.index[dated][0] + 1}"
    where += f" (and {int(dated.sum()) - 1:,} more)" if dated.sum() > 1 else ""
    if _share(others, _MADE_OF) >= MOST:
        raise ValueError(
            f"{file}, column '{header}': scores and groups must be no dates; {where}, where Excel "
            'has read a text such as "3-5" as a date. Export the answers again and set the column '
            "to Text before you save them in Excel."
        )
    if dates and _share(others, _WRITTEN_DATE) > 0:
        written = next(text for text in others if _WRITTEN_DATE.fullmatch(text))
        raise ValueError(
            f"{file}, column '{header}': dates must be read by Excel all or none; {where} and the "
            f"text '{written}', so that day and month may be exchanged in those it has read. "
            "Export the answers again with dates such as 2025-12-31."
        )


def _share(texts: pd.Series, pattern: re.Pattern[str]) -> float:
    alike = [text for text in texts.unique() if pattern.fullmatch(text)]
    return float(texts.isin(alike).mean())
