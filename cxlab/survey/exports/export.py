"""What came out of an export file: answers, what the platform says of them, missing codes."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from cxlab.survey.definition import ROLES

if TYPE_CHECKING:
    from cxlab.survey.drafting.draft import Draft

#: Characters of a cell that the codebook shows.
WIDEST = 50
#: Far off every usual scale. Conventions differ, so each is asked about.
NUMBER_CODES: dict[int, str] = {
    **dict.fromkeys((99, 999, 9999, -1, -9, -99, -999, -9999), "no answer"),
    **dict.fromkeys((97, 997, 77, 777, -7, -77, -97), "no answer"),
    **dict.fromkeys((98, 998, 88, 888, -8, -88, -98), "don't know"),
    **dict.fromkeys((66, 96, 666, 996, -6, -66, -96), "never used"),
}
#: Characters of the longest text that can be a reason.
LONGEST = 60


@dataclass(frozen=True)
class Question:
    """What the export file says of one column."""

    column: str  # name of the column in the answers
    header: str  # header or variable name as it stands in the file
    wording: str = ""  # the question as it was asked; ``""`` where the file doesn't say
    choice: str = ""  # item of a battery, or choice of a "select all that apply" question
    import_id: str = ""  # the platform's own id of the question
    #: Code, as in the answers, to its label; missing codes have theirs too.
    values: Mapping[str, str] = field(default_factory=dict)
    #: Code to reason, for codes that the file declares to be missing.
    missing: Mapping[str, str] = field(default_factory=dict)
    blank: str = "no answer"  # reason of a blank cell
    #: What a column of the platform's own is known to be: ``id``, ``date``, ``number`` or
    #: ``ignore``; ``""`` for a question.
    role: str = ""
    note: str = ""  # why the column is ignored, or what the platform says about it

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
        told = ("column", "header", "wording", "choice", "import_id")
        rows = [
            {name: getattr(one, name) for name in told}
            | {"n": int(filled[one.column])}
            | {"values": _in_words(one.values), "missing": _in_words(one.missing)}
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


def export_of(
    path: Path, platform: str, answers: pd.DataFrame, questions: Sequence[Question], **found: Any
) -> Export:
    """An export, of the questions in the order of its columns."""
    by_column = {one.column: one for one in questions}
    return Export(path, platform, answers.reset_index(drop=True), by_column, **found)


def _in_words(codes: Mapping[str, str]) -> str:
    return "; ".join(f"{code} = {label}" for code, label in codes.items())


@functools.cache
def vocabulary() -> dict[str, dict[str, list[str]]]:
    """Words by which a draft knows what headers and answers say."""
    path = Path(__file__).parents[1] / "words.toml"
    return tomllib.loads(path.read_text(encoding="utf-8"))


@functools.cache
def own_columns(platform: str) -> dict[str, tuple[str, str]]:
    """Letters of the names of a platform's own columns to their role, and why they are ignored."""
    return {
        name: (kind, "") if kind in ROLES else ("ignore", kind)
        for kind, names in vocabulary()[platform].items()
        for name in names
    }


@functools.cache
def _reasons() -> dict[str, str]:
    return {text: reason for reason, texts in vocabulary()["missing"].items() for text in texts}


# a draft asks about every text of a column again and again
@functools.lru_cache(maxsize=200_000)
def missing_reason(text: str, *, segment: bool = False) -> str | None:
    """Why an answer that reads like this is missing; None when it reads like an answer.

    Examples
    --------
    >>> missing_reason("N/A"), missing_reason("Unfamiliar (N/A)"), missing_reason("DON’T KNOW")
    ('never used', 'never used', "don't know")
    >>> missing_reason("None"), missing_reason("None", segment=True), missing_reason("Neutral")
    ('no answer', None, None)
    """
    if len(text) > LONGEST:
        return None
    folded = " ".join(text.casefold().replace("’", "'").replace("`", "'").split())
    for form in _forms(folded):
        if form in _reasons() and not (segment and form in vocabulary()["segments"]["values"]):
            return _reasons()[form]
    return None


def _forms(folded: str) -> list[str]:
    """As written; without its code; without a note in brackets; the note; parts of "a or b"."""
    within = re.search(r"[(\[](.+)[)\]]", folded)
    outside = re.sub(r"\s*[(\[].*[)\]]", "", folded).strip()
    parts = re.split(r"\s+[-–—/|]\s+|\s+or\s+", outside)
    uncoded = re.sub(r"^-?\d{1,4}\s*[-–—:.=)]\s*(?=[a-z])", "", folded)
    plain = [folded, folded.strip(" .!:;,*'\"()[]"), uncoded, outside, within[1] if within else ""]
    every_part = parts[:1] if all(part in _reasons() for part in parts) else []
    return [form for form in [*plain, *every_part] if form]


def declared_reason(code: str, label: str) -> str:
    """Reason of a declared missing code: told by its label, else by convention.

    Examples
    --------
    >>> declared_reason("8", "Did not fly with us / not applicable"), declared_reason("9", "DK")
    ('never used', "don't know")
    >>> declared_reason("98", ""), declared_reason("7", "Item nonresponse")
    ("don't know", 'no answer')
    """
    known = missing_reason(label) if label else None
    if known:
        return known
    plain = label.replace("’", "'")
    for reason, words in vocabulary()["told"].items():
        if re.search(rf"\b(?:{'|'.join(words)})", plain, re.IGNORECASE):
            return reason
    whole = re.fullmatch(r"-?\d{1,6}", code)
    return NUMBER_CODES.get(int(code), "no answer") if whole and not label else "no answer"
