"""Qualtrics: names, question texts and import ids above the answers; older files lack some."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import pandas as pd

from cxlab.core.characters import letters
from cxlab.survey.exports.export import Export, Question, own_columns
from cxlab.survey.exports.grid import (
    Grid,
    Layout,
    filled_columns,
    kinds_of_responses,
    rows_below,
    unique_names,
    without,
)

#: Rows looked at for the row of import ids.
SEARCHED = 8
#: Names that only Qualtrics spells so.
SPELT = {
    *("StartDate", "EndDate", "RecordedDate", "Finished", "Progress", "IPAddress", "ResponseSet"),
    *("DistributionChannel", "UserLanguage", "ExternalReference", "ExternalDataReference"),
    *("Duration (in seconds)", "RecipientEmail", "LocationLatitude"),
}
#: What Qualtrics computes or records beside an answer, by the end of name or import id.
_COMPUTED = (
    (re.compile(r"_NPS_GROUP$", re.I), "an NPS group that Qualtrics computes"),
    (re.compile(r"_DO(_\w+)?$"), "the order in which choices were shown"),
    (re.compile(r"_(FIRST|LAST)[ _]CLICK$|_PAGE[ _]SUBMIT$|_CLICK[ _]COUNT$", re.I), "timing"),
    (re.compile(r"_TEXT_[0-9a-f]{16,}\w*$"), "text analysis of another column"),
    (re.compile(r"_(BROWSER|VERSION|OS|RESOLUTION|OPERATING SYSTEM)$", re.I), "technical"),
)
_RESPONSE_ID = re.compile(r"[A-Z]{1,4}_[A-Za-z0-9]{6,}")
#: Codes that "recode seen but unanswered questions as" is usually set to.
RECODES = ("-99", "-999", "-9", "-1")
_SHOWN = re.compile(r"\s+-\s+")
#: Import ids, or names where there are none, of one part of a question.
_PART = re.compile(r"^QID\d+[_#-]?\d*_(?!TEXT$)\w+|^(?!QID)\w+[_#]\d+(_\d+|_TEXT)*$")


def recognise(grid: Grid) -> bool:
    """A row of import ids; else the platform's own names above response ids such as R_2YPO."""
    if _import_row(grid) is not None:
        return True
    named = _named_row(grid)
    if named is None:
        return False
    return len(grid.cells) < 3 or _first_response(grid, named) > 0


def read(grid: Grid, leave_out: tuple[str, ...]) -> Export:
    """Columns by their names in the first row; question texts and import ids beside them."""
    import_row = _import_row(grid)
    header_rows = _old_header_rows(grid) if import_row is None else import_row + 1
    if import_row is not None and import_row > 2:
        raise ValueError(
            f"{grid.name} must have Qualtrics' three header rows, the third with the import ids; "
            f"they are in row {import_row + 1}. Remove what was added above it."
        )
    places = filled_columns(grid, header_rows)
    questions = _questions(grid, places, import_row, header_rows)
    names = {place: one.column for place, one in zip(places, questions, strict=True)}
    answers = rows_below(grid, header_rows, names)
    _check_answers(answers, questions, grid.name)
    kinds = kinds_of_responses(answers, {letters(one.column): one.column for one in questions})
    answers, found = without(answers, kinds, leave_out, grid.name)
    questions, noted = _with_recodes(answers, questions)
    found["notes"] += noted
    groups = {one.column.casefold() for one in questions if one.note == _COMPUTED[0][1]}
    questions = [
        replace(one, note="Qualtrics groups it as an NPS question.")
        if not one.role and f"{one.column}_NPS_GROUP".casefold() in groups
        else one
        for one in questions
    ]
    return grid.export("qualtrics", answers, questions, **found)


LAYOUT = Layout(recognise, read)


def _import_row(grid: Grid) -> int | None:
    for number in range(min(SEARCHED, len(grid.cells))):
        if any('"ImportId"' in text for text in grid.cells.iloc[number]):
            return number
    return None


def _named_row(grid: Grid) -> int | None:
    """Which of the first two rows holds names of the platform's own columns, as it spells them."""
    for number in (0, 1):
        row = set(grid.row(number))
        if row & {"ResponseId", "ResponseID"} and len(row & SPELT) >= 3:
            return number
    return None


def _first_response(grid: Grid, named: int) -> int:
    """Row of the first response id; 0 where there is none."""
    place = [letters(text) for text in grid.row(named)].index("responseid")
    ids = grid.cells.iloc[named + 1 :, place].str.strip()
    return next((int(row) for row, text in ids.items() if _RESPONSE_ID.fullmatch(text)), 0)


def _old_header_rows(grid: Grid) -> int:
    """Header rows of a file without import ids: up to the first response id."""
    named = _named_row(grid)
    if named is None:
        raise ValueError(
            f"{grid.name} must be a Qualtrics export, with a row of import ids or the column "
            'ResponseID; it has neither. Take format = "qualtrics" out of the study file, or '
            "export it again."
        )
    header_rows = _first_response(grid, named)
    if not header_rows and len(grid.cells) > 2:
        raise ValueError(
            f"{grid.name} must have response ids such as R_2YPOQ602ER1jkf1 in its column "
            "ResponseID; got none. Export it again."
        )
    if header_rows > 2:
        raise ValueError(
            f"{grid.name} must have two header rows, as it has no import ids; got {header_rows}, "
            f"as the first response id is in row {header_rows + 1}. Remove what was added above."
        )
    return header_rows or 2


def _questions(
    grid: Grid, places: Sequence[int], import_row: int | None, header_rows: int
) -> list[Question]:
    first = grid.row(0)
    second = grid.row(1) if header_rows > 1 and import_row != 1 else [""] * len(first)
    imported = grid.row(import_row) if import_row is not None else [""] * len(first)
    ids = {place: _import_id(imported[place]) for place in places}
    headers = {place: ids[place] if import_row == 0 else first[place] for place in places}
    texts = {place: _plain_text(second[place]) for place in places}
    own = own_columns("qualtrics")
    # V1, V2, … of old files: the row below has the name
    names = [
        texts[i] if re.fullmatch(r"V\d+", headers[i]) and letters(texts[i]) in own else headers[i]
        for i in places
    ]
    questions = []
    for place, name in zip(places, unique_names(names), strict=True):
        role, note = _known(name, ids[place])
        several = bool(_PART.search(ids[place] or name))
        wording, choice = ("", "") if role else _wording(texts[place], several=several)
        questions.append(
            Question(name, headers[place], wording, choice, ids[place], role=role, note=note)
        )
    return questions


def _known(name: str, import_id: str) -> tuple[str, str]:
    # a tag such as "what_to_do" says nothing where the import id is known
    for pattern, note in _COMPUTED:
        if pattern.search(import_id or name):
            return "ignore", note
    if import_id.startswith("QID"):
        return "", ""
    own = own_columns("qualtrics")
    return own.get(letters(name)) or own.get(letters(import_id)) or ("", "")


def _import_id(cell: str) -> str:
    try:
        found = json.loads(cell) if cell.startswith("{") else {}
    except json.JSONDecodeError:
        return ""
    return str(found.get("ImportId", "")) if isinstance(found, dict) else ""


def _plain_text(text: str) -> str:
    """Question texts come with their HTML."""
    return " ".join(html.unescape(re.sub(r"<[^>]{1,300}>", " ", text)).split())


def _wording(text: str, *, several: bool) -> tuple[str, str]:
    """Question and choice, which the platform joins by a dash where there are several.

    Examples
    --------
    >>> _wording("All in all - how was it? - Food", several=True)
    ('All in all - how was it?', 'Food')
    >>> _wording("All in all - how was it?", several=False)
    ('All in all - how was it?', '')
    >>> _wording("What did you use? - Selected Choice - The app", several=True)
    ('What did you use?', 'The app')
    """
    parts = [part for part in _SHOWN.split(text) if part.casefold() != "selected choice"]
    if len(parts) > 1 and several:
        return " - ".join(parts[:-1]), parts[-1]
    return " - ".join(parts), ""


def _check_answers(answers: pd.DataFrame, questions: Sequence[Question], file: str) -> None:
    """Refuse header rows among the answers: two exports joined, or a row too many."""
    again = answers.apply(lambda column: column.str.contains('"ImportId"', regex=False)).any(axis=1)
    ids = next((answers[one.column].str.strip() for one in questions if one.role == "id"), None)
    if ids is not None:
        good = ids.map(lambda text: bool(_RESPONSE_ID.fullmatch(text)))
        if good.mean() > 0.5:
            again |= ~good
    if again.any():
        row = int(answers.index[again.to_numpy().argmax()])
        raise ValueError(
            f"{file}: every row below the header must be a response; row {row + 1} has no response "
            "id, as where two exports were joined or a header row was added. Remove such rows."
        )


def _with_recodes(
    answers: pd.DataFrame, questions: Sequence[Question]
) -> tuple[list[Question], tuple[str, ...]]:
    """Declare the codes for "seen but unanswered"; then a blank was not asked."""
    imported = any(one.import_id for one in questions)
    asked = [
        one
        for one in questions
        if not one.role and (one.import_id.startswith("QID") or not imported)
    ]
    found = {one.column: _recodes(answers[one.column]) for one in asked}
    used = {code for codes in found.values() for code in codes}
    if not used:
        return list(questions), ()
    marked = [
        _declared(one, used, found[one.column]) if one.column in found else one for one in questions
    ]
    listed = " and ".join(sorted(used, key=float))
    return marked, (
        f"{listed} stands for a question that was seen and not answered; with it, a blank cell "
        "is a question that was not asked.",
    )


def _recodes(raw: pd.Series) -> set[str]:
    codes = {text.strip() for text in raw.unique()}
    negative = {code for code in codes if re.fullmatch(r"-\d+", code)}
    found = negative & set(RECODES)
    return set() if negative - found else found  # -2 beside -1 is a scale from -2 to 2


def _declared(one: Question, used: set[str], here: set[str]) -> Question:
    # two codes in one column: the one for questions that were not shown is -1
    missing: Mapping[str, str] = {
        code: "not asked" if code == "-1" and len(here) > 1 else "no answer"
        for code in sorted(used, key=float)
    }
    return replace(one, missing=missing, blank="not asked")
