"""What came out of an export file: answers, and what the platform says of each column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from cxlab.survey.drafting.draft import Draft


#: Characters of a cell that the codebook shows.
WIDEST = 50


@dataclass(frozen=True)
class Question:
    """What the export file says of one column.

    Attributes
    ----------
    column : str
        Name of the column in the answers.
    header : str
        Header or variable name as it stands in the file.
    wording : str
        The question as it was asked; ``""`` where the file doesn't say.
    choice : str
        Item of a battery, or choice of a "select all that apply" question.
    import_id : str
        The platform's own id of the question.
    values : mapping of str to str
        Code, as in the answers, to its label; missing codes have theirs too.
    missing : mapping of str to str
        Code to reason, for codes that the file declares to be missing.
    blank : str
        Reason of a blank cell.
    role : str
        What a column of the platform's own is known to be: ``id``, ``date``, ``number`` or
        ``ignore``; ``""`` for a question.
    note : str
        Why the column is ignored, or what the platform says about it.
    """

    column: str
    header: str
    wording: str = ""
    choice: str = ""
    import_id: str = ""
    values: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    blank: str = "no answer"
    role: str = ""
    note: str = ""

    @property
    def asked(self) -> str:
        """Wording and choice together; the column's name where there is neither."""
        return " - ".join(part for part in (self.wording, self.choice) if part) or self.column


@dataclass(frozen=True, eq=False)
class Export:
    """A survey platform's export file, read; made by `read_export`.

    Attributes
    ----------
    path : Path
    platform : str
        ``plain``, ``qualtrics``, ``surveymonkey``, ``limesurvey``, ``excel``, ``spss`` or
        ``stata``: the ``format`` of a study file.
    answers : DataFrame
        One row a response, every cell text or raw code; ``""`` where blank. Column names
        are unique.
    questions : mapping of str to Question
        Column of ``answers`` to what the file says of it, in the same order.
    left_out : mapping of str to int
        Kind of response to the number of rows that are not in ``answers``.
    notes : tuple of str
        What was found and decided on reading, in sentences.
    encoding : str
        Of a text file.
    separator : str or None
        Between the cells of a text file; None: the usual one of its kind.
    sheet : str or None
        Of a workbook with several.
    leave_out : tuple of str or None
        Kinds of responses that were left out, or would have been; None where the platform
        doesn't tell.
    """

    path: Path
    platform: str
    answers: pd.DataFrame
    questions: Mapping[str, Question]
    left_out: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    encoding: str = "utf-8"
    separator: str | None = None
    sheet: str | None = None
    leave_out: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        columns = list(self.answers.columns)
        if columns != list(self.questions) or len(set(columns)) < len(columns):
            raise ValueError(
                "`questions` must describe every column of `answers` once, in its order; got "
                f"{len(self.questions)} for {len(columns)}."
            )

    @property
    def codebook(self) -> pd.DataFrame:
        """One row per column of the answers.

        Returns
        -------
        DataFrame
            ``column``, ``header``, ``wording``, ``choice``, ``import_id``, ``n`` (rows that
            hold something), ``values`` and ``missing`` (codes in words).
        """
        filled = (self.answers != "").sum()
        rows = [
            {
                "column": one.column,
                "header": one.header,
                "wording": one.wording,
                "choice": one.choice,
                "import_id": one.import_id,
                "n": int(filled[one.column]),
                "values": _in_words(one.values),
                "missing": _in_words(one.missing),
            }
            for one in self.questions.values()
        ]
        return pd.DataFrame(rows)

    @property
    def draft(self) -> Draft:
        """A draft study, every guess marked to be confirmed; ``.write()`` writes its file."""
        from cxlab.survey.drafting.draft import draft_export

        return draft_export(self)

    def __str__(self) -> str:
        rows, columns = self.answers.shape
        told = f"{self.path.name} ({self.platform}): {rows:,} responses, {columns} columns"
        return "\n".join(
            [told, *self.notes, "", self.codebook.to_string(index=False, max_colwidth=WIDEST)]
        )

    def _repr_html_(self) -> str:
        from html import escape

        told = "<br>".join(escape(line) for line in str(self).split("\n\n")[0].splitlines())
        with pd.option_context("display.max_colwidth", WIDEST):
            return f"<p>{told}</p>{self.codebook.to_html(index=False)}"


def _in_words(codes: Mapping[str, str]) -> str:
    return "; ".join(f"{code} = {label}" for code, label in codes.items())
