"""From any supported file to its answers: which platform wrote it, and how that lays out its files.

SurveyMonkey has two header rows, the question above its choices. LimeSurvey has one of codes,
texts or both; its unfinished responses have no date. Qualtrics is in a module of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from cxlab.core.characters import letters, visible_text
from cxlab.core.messages import got, one_of, unknown
from cxlab.survey.definition import FORMATS, KINDS_OF_RESPONSE, LEFT_OUT, normal_header
from cxlab.survey.exports import qualtrics
from cxlab.survey.exports.export import Export, Question, export_of, own_columns
from cxlab.survey.exports.grid import (
    Grid,
    Layout,
    filled_columns,
    is_number,
    read_text_grid,
    rows_below,
    unique_names,
    without,
)
from cxlab.survey.exports.programs import read_spss, read_stata, read_workbook_grid
from cxlab.survey.files import check_headers_once, ending_of, read_as_text

if TYPE_CHECKING:
    from cxlab.survey.definition import Table

TEXT_ENDINGS = (".csv", ".tsv", ".txt")
WORKBOOK_ENDINGS = (".xlsx", ".xlsm")
#: Ending to the file format that has its own reader.
PACKAGES = {".sav": "spss", ".zsav": "spss", ".dta": "stata"}
ENDINGS = (*TEXT_ENDINGS, ".csv.gz", ".tsv.gz", *WORKBOOK_ENDINGS, *PACKAGES, ".parquet")


def read_export(
    path: str | Path,
    *,
    format: str | None = None,
    leave_out: Sequence[str] = LEFT_OUT,
    encoding: str | None = None,
    separator: str | None = None,
    sheet: str | None = None,
) -> Export:
    """Read a survey platform's export file; says which platform wrote it.

    Parameters
    ----------
    path : str or Path
        ``.csv``, ``.tsv``, ``.txt`` (also ``.gz``), ``.xlsx``, ``.sav``, ``.zsav``, ``.dta`` or
        ``.parquet``.
    format : str, optional
        ``plain`` (one header row), ``qualtrics``, ``surveymonkey``, ``limesurvey``, ``excel``,
        ``spss`` or ``stata``; default: recognised, by what the platform writes into its header
        rows and never by their number.
    leave_out : sequence of {"preview", "unfinished", "spam"}
        Kinds of responses that are not wanted, where the platform tells them (Qualtrics;
        LimeSurvey tells the unfinished). Default: previews and tests, which no respondent
        gave. Unfinished ones stay: what somebody answered before leaving is an answer.
    encoding : str, optional
        Of a text file; default: found (UTF-8, UTF-16, else Windows-1252).
    separator : str, optional
        One character between the cells of a text file; default: found.
    sheet : str, optional
        Of a workbook; needed where several hold something.

    Returns
    -------
    Export
        ``.answers`` (text or raw codes; nothing is recoded), ``.questions``, ``.left_out``,
        ``.notes``, ``.codebook``, and ``.draft``: a draft study.

    Raises
    ------
    FileNotFoundError
        When the file isn't there.
    ValueError
        For a file that is cut, of another kind, without answers, with other header rows than
        its platform's, or with scores that Excel has turned into dates. The message names the
        file, the place and what to do.

    Notes
    -----
    Missing codes keep their reasons. SPSS: every declared missing value, told apart by its
    label. Stata: ``.a`` to ``.z``. Qualtrics: a code such as -99 for "seen but unanswered" is
    ``no answer``, and a blank beside it ``not asked``; without such a code a blank may be
    either and is read as ``no answer``. LimeSurvey: ``N/A`` is ``not asked``.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "films.csv"
    >>> _ = path.write_text(
    ...     "Respondent ID,How was it?,,Your age\\n,Sound,Picture,Response\\n1001,Good,Poor,30\\n"
    ... )
    >>> export = read_export(path)
    >>> export.platform, list(export.answers)
    ('surveymonkey', ['Respondent ID', 'How was it? - Sound', 'How was it? - Picture', 'Your age'])
    """
    file = Path(path)
    ending = _checked_ending(file)
    _check_options(format, leave_out)
    fitting = _formats_of(ending)
    if format is not None and format not in fitting:
        raise ValueError(
            f"`format` of {file.name} must be {one_of(fitting)}, by its ending; got '{format}'."
        )
    wanted = tuple(leave_out)
    if ending in PACKAGES:
        reader = read_spss if PACKAGES[ending] == "spss" else read_stata
        return reader(file, wanted, encoding)
    if ending == ".parquet":
        return read_frame(file, read_as_text(file))
    if ending in WORKBOOK_ENDINGS:
        grid = read_workbook_grid(file, sheet)
    else:
        grid = read_text_grid(file, encoding, separator)
    found = format or next(name for name, layout in LAYOUTS.items() if layout.recognise(grid))
    return LAYOUTS[found].read(grid, wanted)


def _formats_of(ending: str) -> list[str]:
    """Formats that a file of an ending may have."""
    if ending in PACKAGES:
        return [PACKAGES[ending]]
    if ending == ".parquet":
        return ["plain"]
    other = "plain" if ending in WORKBOOK_ENDINGS else "excel"
    return [name for name in LAYOUTS if name != other]


def read_answers(path: Path, table: Table) -> pd.DataFrame:
    """Answers of a study's file as text, read as the study declares: nothing is guessed."""
    ending = ending_of(path)
    declared = table.format or PACKAGES.get(ending)
    if declared is None and ending in WORKBOOK_ENDINGS:
        declared = "excel"
    if declared in (None, "plain"):
        return read_as_text(path, table.encoding, table.separator)
    text = ending in TEXT_ENDINGS
    export = read_export(
        path,
        format=declared,
        leave_out=LEFT_OUT if table.leave_out is None else table.leave_out,
        encoding=table.encoding if text or table.encoding != "utf-8" else None,
        separator=table.separator or ("\t" if ending == ".tsv" else ",") if text else None,
        sheet=table.sheet,
    )
    return export.answers


def is_plain(path: Path, table: Table) -> bool:
    """Whether a study's file is one plain table that any engine can read by itself."""
    return table.format in (None, "plain") and ending_of(path) not in (*PACKAGES, *WORKBOOK_ENDINGS)


def _checked_ending(path: Path) -> str:
    if not path.is_file():
        raise FileNotFoundError(f"FILE must be a file of answers; there is no '{path}'.")
    ending = ending_of(path)
    whole = path.suffix.lower() != ".gz" or ending in TEXT_ENDINGS
    if ending not in (*TEXT_ENDINGS, *WORKBOOK_ENDINGS, *PACKAGES, ".parquet") or not whole:
        unpack = "Unpack it and name the file in it." if ending == ".zip" else (
            "Save it as .xlsx, or as CSV in UTF-8."
        )  # fmt: skip
        raise ValueError(f"FILE must be {one_of(ENDINGS)}; got '{path.name}'. {unpack}")
    return ending


def _check_options(format: str | None, leave_out: Sequence[str]) -> None:
    if format not in (None, *FORMATS):
        raise ValueError(unknown("format", format, FORMATS))
    if isinstance(leave_out, str):
        raise TypeError(f'`leave_out` must be a list, such as ["{leave_out}"]; got a text.')
    for kind in leave_out:
        if kind not in KINDS_OF_RESPONSE:
            raise ValueError(unknown("leave_out", kind, KINDS_OF_RESPONSE))


# layouts ----------------------------------------------------------------------------------


def read_plain(grid: Grid, leave_out: tuple[str, ...]) -> Export:
    """The first row names the columns; what is below are answers, as `read_as_text` has it.

    Blank columns of a sheet are left-overs of the spreadsheet.
    """
    places = filled_columns(grid, 1) if grid.workbook else range(grid.cells.shape[1])
    headers = [grid.cells.iloc[0, place] for place in places]
    check_headers(headers, grid.name)
    answers = rows_below(grid, 1, dict(zip(places, headers, strict=True)))
    check_one_header(answers, grid.name)
    platform = "excel" if grid.workbook else "plain"
    return grid.export(platform, answers, [Question(header, header) for header in headers])


def read_frame(path: Path, texts: pd.DataFrame) -> Export:
    """The same for a frame whose columns have names already."""
    headers = [str(header) for header in texts.columns]
    check_headers(headers, path.name)
    check_one_header(texts, path.name)
    return export_of(path, "plain", texts, [Question(header, header) for header in headers])


def check_headers(headers: Sequence[str], file: str) -> None:
    """Refuse headers that are missing, numbers, or alike."""
    blank = [place for place, header in enumerate(headers, start=1) if not visible_text(header)]
    if len(blank) > 1:
        raise ValueError(
            f"{file}: every column must have a header; column {got(blank)} has none. If a survey "
            "platform wrote several header rows, join them into one and remove the others."
        )
    if headers and all(is_number(header) for header in headers):
        raise ValueError(
            f"{file}: the first row must hold the headers; got numbers ({got(headers)}). Put a "
            "row with the questions above the answers."
        )
    check_headers_once(headers, file)
    folded = [normal_header(header) for header in headers]
    alike = [h for h, n in zip(headers, folded, strict=True) if folded.count(n) > 1]
    if alike:
        raise ValueError(
            f"{file}: headers must differ by more than capitals, blanks and leading asterisks; "
            f"got {one_of(alike[:3])}. Rename one in the file."
        )


def check_one_header(texts: pd.DataFrame, file: str) -> None:
    """Refuse a row of question texts, or of a platform's keys, below the header."""
    keys = texts.head(3).apply(lambda column: column.str.contains("ImportId", regex=False))
    words = first_words(texts) if len(texts) > 1 else []
    if bool(keys.to_numpy().any()) or len(words) >= 2:
        raise ValueError(
            f"{file}: there must be one header row; the row below it looks like another, as in a "
            f"survey platform's export (got {got(words or list(texts.iloc[0]))}). "
            "Join the header rows into one."
        )


def first_words(texts: pd.DataFrame) -> list[str]:
    """Words in the first row above nothing but numbers."""
    words = []
    for place in range(texts.shape[1]):
        first, below = texts.iloc[0, place], texts.iloc[1:, place]
        below = below[below != ""]
        if len(str(first)) > 3 and not is_number(first) and len(below):
            numbers = pd.to_numeric(below, errors="coerce").notna()
            if numbers.all():
                words.append(str(first))
    return words


#: Second headers that name no choice.
RESPONSE = ("response", "open-ended response", "responses")
_RESPONDENT = re.compile(r"\d{3,}")


def is_surveymonkey(grid: Grid) -> bool:
    """Two header rows: a second row of "Response" or choices, blank below "Respondent ID"."""
    first, second = grid.row(0), grid.row(1)
    if not second:
        return False
    said = any(part.casefold() in RESPONSE for part in second)
    choices = any(part and not header for header, part in zip(first, second, strict=True))
    return (said and not second[0]) or (_below_id(grid) == [""] and choices)


def read_surveymonkey(grid: Grid, leave_out: tuple[str, ...]) -> Export:
    """Join both header rows; a question stands above its first choice only."""
    places = filled_columns(grid, 2)
    first, second = grid.row(0), grid.row(1)
    if not any(second) or any(_RESPONDENT.fullmatch(part) for part in _below_id(grid)):
        raise ValueError(
            f"{grid.name} must have SurveyMonkey's two header rows; its second row is already an "
            'answer. If the header rows were joined, take format = "surveymonkey" out of the '
            "study file."
        )
    questions = _surveymonkey_questions(
        [first[place] for place in places], [second[place] for place in places]
    )
    names = {place: one.column for place, one in zip(places, questions, strict=True)}
    answers = rows_below(grid, 2, names)
    _check_first_answer(answers, questions, grid.name)
    return grid.export("surveymonkey", answers, questions)


def _below_id(grid: Grid) -> list[str]:
    """What the second row has below the platform's column of ids."""
    pairs = zip(grid.row(0), grid.row(1), strict=False)
    return [part for header, part in pairs if letters(header) == "respondentid"]


def _surveymonkey_questions(first: Sequence[str], second: Sequence[str]) -> list[Question]:
    wordings, wording = [], ""
    for header, part in zip(first, second, strict=True):
        wording = header or (wording if part else "")
        wordings.append(wording)
    choices = ["" if part.casefold() in RESPONSE else part for part in second]
    joined = [" - ".join(t for t in pair if t) for pair in zip(wordings, choices, strict=True)]
    questions = []
    for place, name in enumerate(unique_names(joined)):
        role, note = own_columns("surveymonkey").get(letters(first[place]), ("", ""))
        if second[place]:
            role, note = "", ""
        questions.append(
            Question(name, first[place], wordings[place], choices[place], role=role, note=note)
        )
    return questions


def _check_first_answer(answers: pd.DataFrame, questions: Sequence[Question], file: str) -> None:
    own = [one.column for one in questions if one.role == "id"]
    if not own:
        return
    ids = answers[own[0]].str.strip()
    good = ids.map(lambda text: bool(_RESPONDENT.fullmatch(text)))
    if good.iloc[0] or not good.any():
        return
    row = answers.index[0]
    header_rows = int(answers.index[good.to_numpy().argmax()])
    raise ValueError(
        f"{file} must have SurveyMonkey's two header rows; row {row + 1} looks like another (its "
        f"'{own[0]}' is '{ids.iloc[0]}'), {header_rows} header rows in all. Remove what was added "
        "below the second."
    )


_SUBMITTED = ("submitdate", "datesubmitted")
_CODE_AND_TEXT = re.compile(r"([A-Za-z]\w*(?:\[[^\]]*\]){0,2})\.\s+(.*)", re.DOTALL)
_SUBQUESTION = re.compile(r"(.+?)\s*\[([^\]]+)\]\s*", re.DOTALL)
#: What LimeSurvey writes for a question that its conditions did not show.
NOT_SHOWN = "N/A"


def is_limesurvey(grid: Grid) -> bool:
    """The platform's own columns in the first row: submission date and two more."""
    keys = {_key(header) for header in grid.row(0)}
    return bool(keys & set(_SUBMITTED)) and len(keys & {"lastpage", "startlanguage", "seed"}) > 0


def read_limesurvey(grid: Grid, leave_out: tuple[str, ...]) -> Export:
    """Columns by their code, or by their text where the file has no codes."""
    places = filled_columns(grid, 1)
    headers = [grid.row(0)[place] for place in places]
    codes = [_code_and_text(header)[0] for header in headers]
    unique = unique_names([code or header for code, header in zip(codes, headers, strict=True)])
    names = dict(zip(places, unique, strict=True))
    answers = rows_below(grid, 1, names)
    check_one_header(answers, grid.name)
    questions = [
        _limesurvey_question(name, header, answers[name])
        for name, header in zip(names.values(), headers, strict=True)
    ]
    submitted = next((one.column for one in questions if _key(one.header) in _SUBMITTED), None)
    kinds = {} if submitted is None else {"unfinished": answers[submitted].str.strip() == ""}
    answers, found = without(answers, kinds, leave_out, grid.name)
    if any(one.missing for one in questions):
        found["notes"] += (f"{NOT_SHOWN} stands for a question that was not shown.",)
    return grid.export("limesurvey", answers, questions, **found)


def _code_and_text(header: str) -> tuple[str, str]:
    """Code and text of a header such as ``Q1[SQ001]. How was it? [Food]``."""
    both = _CODE_AND_TEXT.fullmatch(header)
    return (both[1], both[2]) if both else ("", header)


def _key(header: str) -> str:
    code, text = _code_and_text(header)
    return letters(code or text)


def _limesurvey_question(name: str, header: str, raw: pd.Series) -> Question:
    role, note = own_columns("limesurvey").get(_key(header), ("", ""))
    if role:
        return Question(name, header, role=role, note=note)
    code, text = _code_and_text(header)
    part = _SUBQUESTION.fullmatch(text) if " " in text else None
    wording, choice = (part[1], part[2]) if part else (text if code else "", "")
    missing = {NOT_SHOWN: "not asked"} if (raw == NOT_SHOWN).any() else {}
    return Question(name, header, wording, choice, missing=missing)


#: Platform to its layout; the first that recognises a file reads it, those of none last.
LAYOUTS: dict[str, Layout] = {
    "qualtrics": qualtrics.LAYOUT,
    "surveymonkey": Layout(is_surveymonkey, read_surveymonkey),
    "limesurvey": Layout(is_limesurvey, read_limesurvey),
    "plain": Layout(lambda grid: not grid.workbook, read_plain),
    "excel": Layout(lambda grid: grid.workbook, read_plain),
}
