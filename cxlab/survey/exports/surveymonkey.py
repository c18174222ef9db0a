"""SurveyMonkey: two header rows, the question above its choices."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pandas as pd

from cxlab.core.characters import letters
from cxlab.survey.exports.export import Question
from cxlab.survey.exports.grid import (
    Content,
    Grid,
    Layout,
    filled_columns,
    rows_below,
    unique_names,
)

#: Second headers that name no choice.
RESPONSE = ("response", "open-ended response", "responses")
#: Columns of the platform, by their header's letters.
_OWN = {
    "respondentid": ("id", ""),
    "collectorid": ("segment", ""),
    "ipaddress": ("ignore", "personal or technical"),
    "emailaddress": ("ignore", "personal or technical"),
    "firstname": ("ignore", "personal or technical"),
    "lastname": ("ignore", "personal or technical"),
}
_ID = re.compile(r"\d{3,}")


def recognise(grid: Grid) -> bool:
    """Two header rows: a second row of "Response" or choices, blank below "Respondent ID"."""
    first, second = grid.row(0), grid.row(1)
    if not second:
        return False
    below_own = [part for header, part in zip(first, second, strict=True) if _own(header) == "id"]
    said = any(part.casefold() in RESPONSE for part in second)
    choices = any(part and not header for header, part in zip(first, second, strict=True))
    return (said and not second[0]) or (below_own == [""] and choices)


def read(grid: Grid, leave_out: tuple[str, ...]) -> Content:
    """Join both header rows; a question stands above its first choice only.

    Raises
    ------
    ValueError
        For another number of header rows than two.
    """
    places = filled_columns(grid, 2)
    first, second = grid.row(0), grid.row(1)
    _check_second_row(grid, first, second)
    questions = _questions([first[place] for place in places], [second[place] for place in places])
    names = {place: one.column for place, one in zip(places, questions, strict=True)}
    answers = rows_below(grid, 2, names)
    _check_first_answer(answers, questions, grid.name)
    return Content(answers, questions)


LAYOUT = Layout(recognise, read)


def _own(header: str) -> str:
    return _OWN.get(letters(header), ("", ""))[0]


def _questions(first: Sequence[str], second: Sequence[str]) -> list[Question]:
    wordings, wording = [], ""
    for header, part in zip(first, second, strict=True):
        wording = header or (wording if part else "")
        wordings.append(wording)
    choices = ["" if part.casefold() in RESPONSE else part for part in second]
    joined = [" - ".join(t for t in pair if t) for pair in zip(wordings, choices, strict=True)]
    questions = []
    for place, name in enumerate(unique_names(joined)):
        role, note = ("", "") if second[place] else _OWN.get(letters(first[place]), ("", ""))
        questions.append(
            Question(name, first[place], wordings[place], choices[place], role=role, note=note)
        )
    return questions


def _check_second_row(grid: Grid, first: Sequence[str], second: Sequence[str]) -> None:
    ids = [part for header, part in zip(first, second, strict=False) if _own(header) == "id"]
    if not any(second) or any(_ID.fullmatch(part) for part in ids):
        raise ValueError(
            f"{grid.name} must have SurveyMonkey's two header rows; its second row is already an "
            'answer. If the header rows were joined, take format = "surveymonkey" out of the '
            "study file."
        )


def _check_first_answer(answers: pd.DataFrame, questions: Sequence[Question], file: str) -> None:
    own = [one.column for one in questions if one.role == "id"]
    if not own:
        return
    ids = answers[own[0]].str.strip()
    good = ids.map(lambda text: bool(_ID.fullmatch(text)))
    if good.iloc[0] or not good.any():
        return
    row = answers.index[0]
    header_rows = int(answers.index[good.to_numpy().argmax()])
    raise ValueError(
        f"{file} must have SurveyMonkey's two header rows; row {row + 1} looks like another (its "
        f"'{own[0]}' is '{ids.iloc[0]}'), {header_rows} header rows in all. Remove what was added "
        "below the second."
    )
