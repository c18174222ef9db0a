"""Names that readers know in place of column names."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

#: Columns of result tables whose cells are names of the answers' columns.
NAMED = (
    "touchpoint", "other", "driver", "outcome", "other_outcome", "operational", "experience"
)  # fmt: skip


def with_labels(table: pd.DataFrame, labels: Mapping[str, str]) -> pd.DataFrame:
    """A result table in which touchpoints and outcomes have the names that readers know.

    Parameters
    ----------
    table : DataFrame
        Of any cxlab function. Cells of ``touchpoint``, ``other``, ``driver``, ``outcome``,
        ``other_outcome``, ``operational`` and ``experience`` are looked up; a cell that is
        no key of ``labels`` stays as it is, and so does every other column.
    labels : mapping of str to str
        Column to label, such as ``survey.labels``.

    Returns
    -------
    DataFrame
        A copy. Name its rows last: what joins on column names needs the names.

    Examples
    --------
    >>> table = pd.DataFrame({"touchpoint": ["check_in", "wifi"], "n": [3, 2]})
    >>> print(with_labels(table, {"check_in": "Check-in"}).to_string(index=False))
    touchpoint  n
      Check-in  3
          wifi  2
    """
    named = {column: table[column].astype(object) for column in NAMED if column in table}
    return table.assign(
        **{
            column: cells.map(lambda name: labels.get(name, name))
            for column, cells in named.items()
        }
    )
