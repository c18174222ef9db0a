"""Segments that both surveys' answers have, or that the customer's id carries across."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cxlab.stats.comparison.fields import SEGMENT

#: Of the customers with several answers, how many may have two values of what is still taken
#: for a property of the customer.
MOST_CHANGES = 0.05


def complete_segments(
    names: Sequence[str], t: pd.DataFrame, r: pd.DataFrame, frame: pd.DataFrame | None
) -> list[str]:
    """Give the answers of both surveys each segment that only one of the files has.

    Parameters
    ----------
    names : sequence of str
        Segments; in the files they are columns that begin with `SEGMENT`.
    t, r : DataFrame
        Transactional and relationship answers with ``customer``; changed in place.
    frame : DataFrame or None
        Customers.

    Returns
    -------
    list of str
        What was taken from where, and what is left out because it changes from answer to
        answer of one customer.
    """
    notes = []
    files = {"transactional": t, "relationship": r}
    for name in names:
        column = SEGMENT + name
        lacking = [survey for survey, file in files.items() if column not in file]
        if not lacking:
            continue
        source, of = _source(column, files, frame)
        known = _of_customers(source, column)
        if known is None:
            notes.append(
                f"`{name}` is left out: it changes within a customer, and the {lacking[0]} "
                "answers don't have it"
            )
            continue
        for survey in lacking:
            files[survey][column] = files[survey]["customer"].astype("str").map(known)
        words = " and ".join(lacking)
        notes.append(f"`{name}` of the {words} answers is that of the same customer in {of}")
    return notes


def _source(
    column: str, files: dict[str, pd.DataFrame], frame: pd.DataFrame | None
) -> tuple[pd.DataFrame, str]:
    if frame is not None and column in frame:
        return frame, "the customers' file"
    survey = next(name for name, file in files.items() if column in file)
    return files[survey], f"the {survey} survey, of any period"


def _of_customers(source: pd.DataFrame, column: str) -> pd.Series | None:
    """The one value of each customer; None where customers have more than one as a rule."""
    told = source[["customer", column]].dropna().astype("str")
    by_customer = told.groupby("customer")[column]
    values, answers = by_customer.nunique(), by_customer.size()
    several = int((answers > 1).sum())
    if several and (values > 1).sum() > MOST_CHANGES * several:
        return None
    return by_customer.first()[values == 1]


def known_groups(t: pd.Series, r: pd.Series) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Codes of two columns under common names: −1 where the group is not known."""
    names = sorted({*t.dropna(), *r.dropna()})
    index = pd.Index(names, dtype="str")
    return index.get_indexer(t), index.get_indexer(r), names
