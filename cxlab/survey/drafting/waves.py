"""Several files of one survey → one table: which columns of the waves are the same."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

import pandas as pd

from cxlab.core.characters import letters
from cxlab.core.messages import got
from cxlab.survey.definition import normal_header
from cxlab.survey.drafting.words import words_of
from cxlab.survey.exports import Export
from cxlab.survey.exports.export import Question

#: Likeness of two headers, from 0 to 1, from which they may be one with a slip of the pen.
ALIKE = 0.85
#: Share of the words of two wordings in common below which one header is two questions.
REWORDED = 0.4
#: Share of its values that a column must have in common with one that is spelt otherwise.
COMMON = 0.8
_QUESTION_NUMBER = re.compile(r"^q? ?\d+(?: [a-z])?(?= |$)")


@dataclass(frozen=True)
class WaveColumn:
    """One column over the waves."""

    name: str  # its name in the joined answers: that of the latest wave that has it
    headers: dict[str, str]  # period to the column of that wave's answers, the latest first
    reasons: tuple[str, ...] = ()  # why headers that differ were taken for one column


@dataclass(frozen=True, eq=False)
class Waves:
    """Files of one survey, matched."""

    exports: Mapping[str, Export]  # period to its file, in order of time
    columns: list[WaveColumn] = field(default_factory=list)

    @property
    def joined(self) -> Export:
        """All answers under the latest names; NaN where a wave doesn't have the column."""
        parts = []
        for period, export in self.exports.items():
            own = [column for column in self.columns if period in column.headers]
            names = {column.headers[period]: column.name for column in own}
            parts.append(export.answers[list(names)].rename(columns=names))
        names_of_all = [column.name for column in self.columns]
        answers = pd.concat(parts, ignore_index=True).reindex(columns=names_of_all)
        latest = list(self.exports.values())[-1]
        return replace(latest, answers=answers, questions=dict(self._questions()))

    def told(self, column: WaveColumn) -> str:
        """What moved, and where it is missing, in sentences; "" where nothing did."""
        parts = []
        if column.reasons:
            headers = self._original(column).items()
            where = "; ".join(f"'{header}' in {period}" for period, header in headers)
            parts.append(f"Matched over waves: {where}, because {' and '.join(column.reasons)}.")
        lacking = [period for period in self.exports if period not in column.headers]
        if lacking:
            parts.append(f"Not in the file of {', '.join(lacking)}: read as not asked.")
        return " ".join(parts)

    def conflict(self, column: WaveColumn) -> str:
        """A sentence where two waves word the question or label a code otherwise; else ""."""
        asked: dict[str, tuple[str, str]] = {}
        labels: dict[str, tuple[str, str]] = {}
        for period, name in column.headers.items():
            question = self.exports[period].questions[name]
            wording = question.asked if question.wording or question.choice else ""
            before, other = asked.setdefault("", (period, wording)) if wording else ("", "")
            if words_of(other) != words_of(wording):
                return (
                    f"Worded '{wording}' in {period} and '{other}' in {before}: is it the same "
                    "question?"
                )
            for code, text in question.values.items():
                before, label = labels.setdefault(code, (period, text))
                if words_of(label) != words_of(text):
                    return (
                        f"Code {code} is labelled '{text}' in {period} and '{label}' in {before}: "
                        "is it the same question, and which label holds?"
                    )
        return ""

    def headers(self, column: WaveColumn) -> dict[str, str]:
        """Header per period; empty where every wave has the same."""
        found = self._original(column)
        same = len({normal_header(header) for header in found.values()}) == 1
        return {} if same and len(found) == len(self.exports) else found

    def _original(self, column: WaveColumn) -> dict[str, str]:
        """Period to the header as it stands in its file, in order of time."""
        return {
            period: export.questions[column.headers[period]].header
            for period, export in self.exports.items()
            if period in column.headers
        }

    def _questions(self) -> Iterator[tuple[str, Question]]:
        for column in self.columns:
            told = [self.exports[p].questions[name] for p, name in column.headers.items()]
            values = {code: text for one in reversed(told) for code, text in one.values.items()}
            missing = {code: text for one in reversed(told) for code, text in one.missing.items()}
            yield column.name, replace(told[0], values=values, missing=missing)


def match_waves(exports: Mapping[str, Export]) -> Waves:
    """Match the columns of several files by header, by question and by values.

    Examples
    --------
    >>> from cxlab.survey.exports.export import Question
    >>> def export(*names):
    ...     answers = pd.DataFrame({name: ["1", "2"] for name in names})
    ...     return Export(Path("a.csv"), "plain", answers, {n: Question(n, n) for n in names})
    >>> from pathlib import Path
    >>> waves = match_waves({"2024": export("Q18AGE"), "2025": export("Q19AGE", "Q20")})
    >>> [column.headers for column in waves.columns]
    [{'2025': 'Q19AGE', '2024': 'Q18AGE'}, {'2025': 'Q20'}]
    """
    for key in ("platform", "encoding", "separator", "sheet"):
        kinds = [str(getattr(export, key)) for export in exports.values()]
        if len(set(kinds)) > 1:
            raise ValueError(
                f"the files of one table must have the same {key}; got {got(kinds)}. Save them "
                "alike, or draft them apart and make a table of each."
            )
    columns: list[WaveColumn] = []
    for period in reversed(list(exports)):
        columns = _with_wave(columns, period, exports)
    return Waves(exports, columns)


def _with_wave(
    columns: list[WaveColumn], period: str, exports: Mapping[str, Export]
) -> list[WaveColumn]:
    """The columns so far, joined by those of an earlier wave."""
    export = exports[period]
    free = list(export.answers.columns)
    matched = dict.fromkeys(range(len(columns)), "")
    reasons: dict[int, str] = {}
    for same, reason in _RULES:
        for place, column in enumerate(columns):
            if matched[place]:
                continue
            later = next(iter(reversed(column.headers)))
            there = exports[later], column.headers[later]
            fitting = [
                name
                for name in free
                if same(there, (export, name)) and not _asks_another(there, (export, name))
            ]
            if len(fitting) == 1:
                matched[place] = fitting[0]
                free.remove(fitting[0])
                reasons[place] = reason
    joined = [
        replace(
            column,
            headers=column.headers | ({period: matched[place]} if matched[place] else {}),
            reasons=tuple(dict.fromkeys([*column.reasons, *filter(None, [reasons.get(place)])])),
        )
        for place, column in enumerate(columns)
    ]
    taken = {column.name for column in joined}
    return joined + [
        WaveColumn(f"{name} {period}" if name in taken else name, {period: name}) for name in free
    ]


_Place = tuple[Export, str]


def _question(place: _Place) -> Question:
    return place[0].questions[place[1]]


def _worded(question: Question) -> str | None:
    return words_of(question.asked) or None if question.wording or question.choice else None


def _asks_another(first: _Place, second: _Place) -> bool:
    """Whether two wordings have so little in common that they are two questions."""
    one, other = (set((_worded(_question(place)) or "").split()) for place in (first, second))
    return bool(one and other) and len(one & other) < REWORDED * len(one | other)


def _after_number(question: Question) -> str | None:
    """What follows a header's number: ``age`` in ``Q18AGE`` and in ``Q19AGE``."""
    words = words_of(question.header)
    rest = _QUESTION_NUMBER.sub("", words).strip()
    return rest if rest != words and any(char.isalpha() for char in rest) else None


def _same(key: Callable[[Question], str | None], first: _Place, second: _Place) -> bool:
    one, other = (key(_question(place)) for place in (first, second))
    return one is not None and one == other


def _same_but_for_spelling(first: _Place, second: _Place) -> bool:
    headers = (words_of(_question(place).header) for place in (first, second))
    one, other = (_QUESTION_NUMBER.sub("", header).strip() for header in headers)
    alike = difflib.SequenceMatcher(None, one, other).ratio() >= ALIKE
    return alike and len(one) >= 4 and _common_values(first, second) >= COMMON


def _common_values(first: _Place, second: _Place) -> float:
    one, other = (set(export.answers[name].unique()) - {""} for export, name in (first, second))
    return len(one & other) / max(len(one | other), 1)


#: What two columns of different waves must have alike to be one, and how that is told.
_RULES: tuple[tuple[Callable[[_Place, _Place], bool], str], ...] = (
    (partial(_same, lambda one: normal_header(one.header)), ""),
    (partial(_same, _worded), "the question is worded alike"),
    (
        partial(_same, lambda one: letters(one.header) or None),
        "the headers differ in blanks or marks only",
    ),
    (partial(_same, _after_number), "the headers differ in the number of the question only"),
    (_same_but_for_spelling, "the headers are spelt almost alike and hold the same values"),
)
