"""One file, or one of each wave → a study file with a guess, to be confirmed, for every column."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from cxlab.core.characters import letters
from cxlab.survey.definition import DECIMAL_ROLES, RATING_ROLES, SINGLE_ROLES, normal_header
from cxlab.survey.drafting.describing import describing, known, leave_out
from cxlab.survey.drafting.labelled import labelled
from cxlab.survey.drafting.profile import WHOLE, Guess, Profile, ScaleGuess, profile_column, quoted
from cxlab.survey.drafting.scored import scored
from cxlab.survey.drafting.together import (
    check_answers_not_results,
    find_choices,
    find_rankings,
    note_directions,
    note_surveys,
    settle_roles,
    without_strangers,
)
from cxlab.survey.drafting.words import hints, items_of, words_of
from cxlab.survey.drafting.write import Draft, check_output, stem
from cxlab.survey.exports import Export, Question, read_export

#: Columns after which a wide file's progress is told.
TOLD_EVERY = 100
Column = TypeVar("Column")
#: Roles whose columns may declare missing codes.
DECLARING = (*RATING_ROLES, "segment", "number", "date")
#: Name of the study file of several waves.
WAVES = "waves.study.toml"


def draft_export(export: Export, progress: Callable[[str], None] | None = None) -> Draft:
    """Guess what every column of an export is."""
    path = _default_path(export.path)
    return Draft(path, tuple(guess_columns(export, progress)), export)


def draft_waves(
    files: Mapping[str, str | Path],
    output: str | Path | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> Draft:
    """Write one study file for the files of several waves, in order of time.

    Columns are matched by header, by question and by values; what moved, and what a wave
    lacks, is said in the `confirm` of each column.
    """
    paths = {str(period): Path(file) for period, file in files.items()}
    target = Path(output) if output is not None else list(paths.values())[-1].parent / WAVES
    check_output(target, force=force)
    waves = match_waves({period: read_export(path, **options) for period, path in paths.items()})
    rows = [[period] * len(export.answers) for period, export in waves.exports.items()]
    joined = waves.joined
    guesses = guess_columns(joined, progress, [period for part in rows for period in part])
    for guess, column in zip(guesses, waves.columns, strict=True):
        guess.headers, guess.moved = waves.headers(column), waves.told(column)
        guess.doubt = " ".join(part for part in (guess.doubt, waves.conflict(column)) if part)
    draft = Draft(target, tuple(guesses), joined, paths)
    return draft.write(target, force=force)


def draft_study(
    file: str | Path,
    output: str | Path | None = None,
    *,
    force: bool = False,
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> Draft:
    """Write a study file for a file of answers, every guess marked to be confirmed.

    Further options are those of `read_export`; ``progress`` is told after every hundred columns.
    Nothing is read as an answer before every ``confirm`` is gone: `Study.read` refuses. A 0–10
    question is never assumed to be an NPS; codes that look missing are listed with a reason;
    values between two scores are asked about, never rounded.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_text("id,overall\\n1,5\\n2,4\\n3,99\\n4,1\\n")
    >>> draft = draft_study(folder / "a.csv")
    >>> [(guess.role, guess.missing) for guess in draft.guesses]
    [('id', {}), ('outcome', {'99': 'no answer'})]
    """
    check_output(Path(output) if output is not None else _default_path(Path(file)), force=force)
    export = read_export(file, **options)
    return draft_export(export, progress).write(output, force=force)


def guess_columns(
    export: Export,
    progress: Callable[[str], None] | None = None,
    waves: Sequence[str] | None = None,
) -> list[Guess]:
    """A guess for each column, in the order of the file; ``waves``: the period of each row."""
    questions = list(export.questions.values())
    items = items_of(questions)
    profiles = [
        profile_column(export.answers.iloc[:, place], place, question, items[place], waves)
        for place, question in enumerate(_telling(questions, "counted", progress))
    ]
    check_answers_not_results(profiles, export.path.name)
    taken: set[str] = set()
    found: dict[int, Guess] = {}
    for profile in profiles:
        guess = leave_out(profile) or known(profile, taken)
        if guess is not None:
            found[profile.place] = guess
            taken |= {guess.role} & set(SINGLE_ROLES)
    found |= _belonging_together([p for p in profiles if p.place not in found])
    with_labels = labelled([profile for profile in profiles if profile.place not in found])
    found |= {guess.profile.place: guess for guess in with_labels}
    free = [profile for profile in profiles if profile.place not in found]
    ratings = [guess for guess in with_labels if guess.scale] + scored(free)
    ratings = without_strangers(ratings)
    settle_roles(ratings)
    note_directions(ratings)
    note_surveys(ratings, profiles)
    found |= {guess.profile.place: guess for guess in ratings}
    for profile in _telling(profiles, "guessed", progress):
        if profile.place not in found:
            guess = describing(profile, taken)
            found[profile.place] = guess
            taken |= {guess.role} & set(SINGLE_ROLES)
    numbers = [guess for guess in found.values() if guess.role == "number"]
    note_surveys([one for one in numbers if hints(one.profile.header, "rating")], profiles)
    guesses = [_consistent(found[profile.place]) for profile in profiles]
    _as_elsewhere(guesses)
    for guess in guesses:
        _as_declared(guess)
        _as_written(guess)
    return guesses


def _as_elsewhere(guesses: Sequence[Guess]) -> None:
    """A code that is missing among the file's ratings is no value of a segment beyond a gap."""
    told = {
        code: reason
        for guess in guesses
        if guess.scale
        for code, reason in guess.scale.missing.items()
        if WHOLE.fullmatch(code) and int(code) > guess.scale.high
    }
    for guess in guesses:
        if guess.role != "segment" or guess.profile.labels:
            continue
        codes = sorted(int(code) for code in guess.values if WHOLE.fullmatch(code))
        for code in codes:
            below = [other for other in codes if other < code]
            if str(code) in told and below and code > below[-1] + 1:
                del guess.values[str(code)]
                guess.missing[guess.profile.spelling[str(code)]] = told[str(code)]


def _telling(
    columns: Sequence[Column], done: str, progress: Callable[[str], None] | None
) -> Iterator[Column]:
    for number, column in enumerate(columns):
        if progress is not None and number and not number % TOLD_EVERY:
            progress(f"{done} {number:,} of {len(columns):,} columns")
        yield column


def _as_written(guess: Guess) -> None:
    """Say that numbers have decimal commas, where they are more than text."""
    written = guess.profile.decimal_comma
    if written and guess.role in DECIMAL_ROLES:
        guess.keys["decimal_comma"] = True
        guess.question += f" A comma stands for decimals, as in {quoted(written)}: is that so?"


def _as_declared(guess: Guess) -> None:
    """What the file declares goes into the study, whether it occurs in the answers or not."""
    profile, scale = guess.profile, guess.scale
    if guess.role not in DECLARING:
        return
    in_scale = dict(scale.missing) if scale else {}
    for code, reason in profile.declared.items():
        written = profile.written(code)
        if written not in in_scale and not (scale and _is_score(code, guess, scale)):
            guess.missing.setdefault(written, reason)
    if scale and profile.question.blank != "no answer":
        guess.keys["blank"] = profile.question.blank
    if scale and profile.question.note:
        guess.question += f" {profile.question.note}"


def _consistent(guess: Guess) -> Guess:
    """A rating whose missing codes lie among its scores is none; it stays a number."""
    scale = guess.scale
    on_scale = [
        code
        for code in guess.profile.declared
        if scale is not None and _is_score(code, guess, scale)
    ]
    if not on_scale:
        return guess
    return Guess(
        guess.profile,
        "number",
        f"The file declares {', '.join(on_scale)} to be missing, which lies among the scores from "
        f"{scale.low if scale else ''} to {scale.high if scale else ''}: kept as a number. Which "
        "is it?",
        missing=guess.profile.missing(segment=False),
    )


def _is_score(code: str, guess: Guess, scale: ScaleGuess) -> bool:
    shift = int(str(guess.keys.get("shift", 0)))
    return bool(WHOLE.fullmatch(code)) and scale.low <= int(code) + shift <= scale.high


def _belonging_together(profiles: Sequence[Profile]) -> dict[int, Guess]:
    found: dict[int, Guess] = {}
    for run in find_rankings(profiles):
        question = (
            f"Guessed: a rank from 1 to {len(run)} in a ranking of {len(run)} columns, because "
            "every row holds each rank once. Kept as a number and not as a rating: 1 is the first "
            "choice, not the worst score. Is that right?"
        )
        found |= {profile.place: Guess(profile, "number", question) for profile in run}
    for run in find_choices(profiles):
        question = (
            f"Guessed: one of {len(run)} choices of a 'select all that apply' question. Filled "
            "means chosen; blank, not chosen or not asked, which look the same. Kept as "
            "text; nothing is computed from it. Is that right?"
        )
        found |= {profile.place: Guess(profile, "text", question) for profile in run}
    return found


def _default_path(file: Path) -> Path:
    return file.with_name(f"{stem(file)}.study.toml")


# several waves ----------------------------------------------------------------------------

#: Likeness of two headers, from 0 to 1, from which they may be one with a slip of the pen.
ALIKE = 0.85
#: Share of the words of two wordings in common below which one header is two questions.
REWORDED = 0.4
#: Share of its values that a column must have in common with one that is spelt otherwise.
COMMON = 0.8
_QUESTION_NUMBER = re.compile(r"^q? ?\d+(?: [a-z])?(?= |$)")


@dataclass(eq=False)
class WaveColumn:
    """One column over the waves."""

    name: str  # in the joined answers: that of the latest wave that has it
    headers: dict[str, str]  # period to the column of that wave's answers, the latest first
    #: Why headers that differ were taken for one column, each once.
    reasons: dict[str, None] = field(default_factory=dict)


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
        kinds = {period: getattr(export, key) for period, export in exports.items()}
        if len(set(kinds.values())) > 1:
            usual = {"encoding": "utf-8", "separator": ","}.get(key, "none")
            found = ", ".join(f"'{kind or usual}' in {period}" for period, kind in kinds.items())
            must = f"the files of one table must have the same {key}"
            raise ValueError(f"{must}; got {found}. Save them alike, or make a table of each.")
    columns: list[WaveColumn] = []
    for period in reversed(list(exports)):
        _add_wave(columns, period, exports)
    return Waves(exports, columns)


def _add_wave(columns: list[WaveColumn], period: str, exports: Mapping[str, Export]) -> None:
    """Find the columns so far in an earlier wave; what else it has are columns of their own."""
    export = exports[period]
    free = list(export.answers.columns)
    for same, reason in _RULES:
        for column in columns:
            if period in column.headers:
                continue
            later = next(reversed(column.headers))
            there = exports[later], column.headers[later]
            fitting = [
                name
                for name in free
                if same(there, (export, name)) and not _asks_another(there, (export, name))
            ]
            if len(fitting) == 1:
                free.remove(fitting[0])
                column.headers[period] = fitting[0]
                column.reasons |= {reason: None} if reason else {}
    taken = {column.name for column in columns}
    for name in free:
        own = f"{name} {period}" if name in taken else name
        columns.append(WaveColumn(own, {period: name}))


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
    if not alike or len(one) < 4:
        return False
    own, others = (set(export.answers[name]) - {""} for export, name in (first, second))
    return len(own & others) / max(len(own | others), 1) >= COMMON


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
