"""What every result that a notebook shows has in common."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape

import pandas as pd

from cxlab.core.markup import table_html, table_text


def no_missing() -> pd.DataFrame:
    """A table of missing answers without rows."""
    return pd.DataFrame({"column": pd.Series(dtype="str"), "n_missing": pd.Series(dtype="int64")})


@dataclass(frozen=True, eq=False, kw_only=True)
class Result:
    """Numbers that go together: the table, what was left out, what to know.

    Attributes
    ----------
    table : DataFrame
        The numbers that answer the question, unrounded; `with_display` says how it is shown.
    n_missing : DataFrame
        One row per column of answers: ``column`` and ``n_missing``, rows without a valid
        answer there.
    notes : tuple of str
        What was assumed and left out, a sentence each.
    """

    table: pd.DataFrame
    n_missing: pd.DataFrame = field(default_factory=no_missing)
    notes: tuple[str, ...] = ()

    def _head(self) -> tuple[str, ...]:
        """Sentences above the table: the answer, where the result has findings."""
        findings = getattr(self, "findings", None)
        return tuple(one.text for one in findings().of_kind("answer")) if findings else ()

    def __str__(self) -> str:
        return "\n".join([*self._head(), table_text(self.table), *self.notes])

    def _repr_html_(self) -> str:
        head = "".join(f"<p>{escape(line)}</p>" for line in self._head())
        notes = "".join(f"<li>{escape(note)}</li>" for note in self.notes)
        return f"{head}{table_html(self.table)}<ul>{notes}</ul>"
