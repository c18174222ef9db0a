"""LimeSurvey: one header row of codes, texts or both; unfinished responses have no date."""

from __future__ import annotations

import re

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
    without,
)
from cxlab.survey.exports.plain import check_one_header

#: Columns of the platform, by code and by text.
OWN: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("id", "responseid"), ("id", "")),
    **dict.fromkeys(("submitdate", "datesubmitted"), ("date", "")),
    **dict.fromkeys(("startdate", "datestarted", "datestamp", "datelastaction"), ("date", "")),
    **dict.fromkeys(("startlanguage",), ("segment", "")),
    **dict.fromkeys(("lastpage", "seed", "token", "accesscode"), ("ignore", "technical")),
    **dict.fromkeys(("ipaddr", "ipaddress", "refurl", "referrerurl"), ("ignore", "technical")),
}
_SUBMITTED = ("submitdate", "datesubmitted")
_CODE_AND_TEXT = re.compile(r"([A-Za-z]\w*(?:\[[^\]]*\]){0,2})\.\s+(.*)", re.DOTALL)
_SUBQUESTION = re.compile(r"(.+?)\s*\[([^\]]+)\]\s*", re.DOTALL)
#: What LimeSurvey writes for a question that its conditions did not show.
NOT_SHOWN = "N/A"


def recognise(grid: Grid) -> bool:
    """The platform's own columns in the first row: submission date and two more."""
    keys = {_key(header) for header in grid.row(0)}
    return bool(keys & set(_SUBMITTED)) and len(keys & {"lastpage", "startlanguage", "seed"}) > 0


def read(grid: Grid, leave_out: tuple[str, ...]) -> Content:
    """Columns by their code, or by their text where the file has no codes."""
    places = filled_columns(grid, 1)
    headers = [grid.row(0)[place] for place in places]
    codes = [_parts(header)[0] for header in headers]
    names = dict(zip(places, unique_names([c or h for c, h in zip(codes, headers, strict=True)]),
                     strict=True))  # fmt: skip
    answers = rows_below(grid, 1, names)
    check_one_header(answers, grid.name)
    questions = [
        _question(name, header, answers[name])
        for name, header in zip(names.values(), headers, strict=True)
    ]
    submitted = next((one.column for one in questions if _key(one.header) in _SUBMITTED), None)
    kinds = {} if submitted is None else {"unfinished": answers[submitted].str.strip() == ""}
    answers, left_out, notes = without(answers, kinds, leave_out, grid.name)
    hidden = [one.column for one in questions if one.missing]
    if hidden:
        notes = [*notes, f"{NOT_SHOWN} stands for a question that was not shown."]
    return Content(answers, questions, left_out, notes, leave_out)


LAYOUT = Layout(recognise, read)


def _parts(header: str) -> tuple[str, str]:
    """Code and text of a header such as ``Q1[SQ001]. How was it? [Food]``."""
    both = _CODE_AND_TEXT.fullmatch(header)
    return (both[1], both[2]) if both else ("", header)


def _key(header: str) -> str:
    code, text = _parts(header)
    return letters(code or text)


def _question(name: str, header: str, raw: pd.Series) -> Question:
    role, note = OWN.get(_key(header), ("", ""))
    if role:
        return Question(name, header, role=role, note=note)
    code, text = _parts(header)
    part = _SUBQUESTION.fullmatch(text) if " " in text else None
    wording, choice = (part[1], part[2]) if part else (text if code else "", "")
    missing = {NOT_SHOWN: "not asked"} if (raw == NOT_SHOWN).any() else {}
    return Question(name, header, wording, choice, missing=missing)
