"""One file → a study file with a guess, marked to be confirmed, for every column."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from cxlab.core.messages import one_of
from cxlab.survey.definition import RATING_ROLES, SINGLE_ROLES
from cxlab.survey.drafting.describing import describing, known, leave_out
from cxlab.survey.drafting.labelled import labelled
from cxlab.survey.drafting.profile import WHOLE, Guess, Profile, ScaleGuess, profile_column
from cxlab.survey.drafting.scored import scored, settle_roles
from cxlab.survey.drafting.together import (
    find_choices,
    find_rankings,
    note_directions,
    note_surveys,
    without_strangers,
)
from cxlab.survey.drafting.waves import match_waves
from cxlab.survey.drafting.words import labels_with_choices, level_of, wording_of, words_of
from cxlab.survey.drafting.write import Draft, check_output, stem
from cxlab.survey.exports import Export, read_export

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
    texts = export.answers
    questions = list(export.questions.values())
    profiles = [
        profile_column(texts.iloc[:, place], place, question, waves)
        for place, question in enumerate(_telling(questions, "counted", progress))
    ]
    check_answers_not_results(profiles, export.path.name)
    items = dict(enumerate(labels_with_choices(profiles)))
    taken: set[str] = set()
    found: dict[int, Guess] = {}
    for profile in profiles:
        guess = leave_out(profile, items[profile.place]) or known(profile, taken)
        if guess is not None:
            found[profile.place] = guess
            taken |= {guess.role} & set(SINGLE_ROLES)
    found |= _belonging_together(texts, [p for p in profiles if p.place not in found])
    with_labels = labelled([profile for profile in profiles if profile.place not in found])
    found |= {guess.profile.place: guess for guess in with_labels}
    free = [profile for profile in profiles if profile.place not in found]
    ratings = [guess for guess in with_labels if guess.scale] + scored(free, items)
    ratings = without_strangers(texts, ratings, items)
    settle_roles(ratings, items)
    note_directions(texts, ratings)
    note_surveys(texts, ratings, profiles)
    found |= {guess.profile.place: guess for guess in ratings}
    for profile in _telling(profiles, "guessed", progress):
        if profile.place not in found:
            guess = describing(profile, items[profile.place], taken)
            found[profile.place] = guess
            taken |= {guess.role} & set(SINGLE_ROLES)
    guesses = [_consistent(found[profile.place]) for profile in profiles]
    _as_elsewhere(guesses)
    for guess in guesses:
        _as_declared(guess)
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


def _belonging_together(answers: pd.DataFrame, profiles: Sequence[Profile]) -> dict[int, Guess]:
    texts = answers.iloc[:, [profile.place for profile in profiles]]
    found: dict[int, Guess] = {}
    for run in find_rankings(texts, profiles):
        question = (
            f"Guessed: a rank from 1 to {len(run)} in a ranking of {len(run)} columns, because "
            "every row holds each rank once. Kept as a number and not as a rating: 1 is the first "
            "choice, not the worst score. Is that right?"
        )
        found |= {profiles[i].place: Guess(profiles[i], "number", question) for i in run}
    for run in find_choices(profiles):
        question = (
            f"Guessed: one of {len(run)} choices of a 'select all that apply' question. Filled "
            "means chosen; blank, not chosen or not asked, which look the same. Kept as "
            "text; nothing is computed from it. Is that right?"
        )
        found |= {profiles[i].place: Guess(profiles[i], "text", question) for i in run}
    return found


def _default_path(file: Path) -> Path:
    return file.with_name(f"{stem(file)}.study.toml")


_SIZE = re.compile(
    r"(?:(?:total|number|no|weighted|unweighted) (?:of )?)?(?:completed |eligible |survey )?"
    r"(?:n|count|counts|base|respondents?|responses?|answers|surveys|frequency|freq|sample)"
    r"(?: size| count| n)?"
)
_SHARE = re.compile(r"(?:.*\b)?(?:percent|percentage|pct|share|proportion)(?:\b.*)?")
_SUMMARY = re.compile(
    r"(?:mean|average|avg|median|std|sd|standard deviation|std dev|standard error)(?: score| rating)?"
    r"|ci (?:low|lower|high|upper)|(?:lower|upper) (?:ci|bound|limit)|margin of error|moe"
)
_SIGN = re.compile(r"%|\bpct\b", re.IGNORECASE)
#: Words that a header of a share has, beyond which it is a question.
_LONGEST = 6
#: Fewest columns named like the answers of one question.
FEWEST_ANSWERS = 3


def check_answers_not_results(profiles: Sequence[Profile], file: str) -> None:
    """Refuse a table of counts, shares or means, in which no row is a respondent."""
    numbers = [profile for profile in profiles if _is_numeric(profile)]
    names = {profile.header: words_of(profile.header) for profile in numbers}
    sizes = [
        p.header
        for p in numbers
        if _SIZE.fullmatch(names[p.header]) and max(p.whole, default=0) > 1
    ]
    shares = [h for h, words in names.items() if _is_share(h, words)]
    summaries = [h for h, words in names.items() if _SUMMARY.fullmatch(words)]
    groups = [h for h, words in names.items() if re.search(r"\b(promoters|detractors)\b", words)]
    answers = _named_like_answers(numbers)
    told = (sizes[:1] + (shares or summaries)[:1]) if sizes and (shares or summaries) else []
    told = told or (groups if len(groups) == 2 else []) or answers
    if told:
        raise ValueError(
            f"{file}: every row must be the answers of one respondent; the columns "
            f"{one_of(told[:4]).replace(' or ', ' and ')} hold results, such as counts, shares or "
            "means. Export the answers themselves; if each row is a respondent after all, rename one of "
            "these columns."
        )


def _is_numeric(profile: Profile) -> bool:
    """Whether most cells are numbers, also with a sign of per cent."""
    signed = sum(n for code, n in profile.words.items() if re.fullmatch(r"[\d.,]+ ?%", code))
    return profile.numeric + signed > profile.filled / 2 > 0


def _is_share(header: str, words: str) -> bool:
    named = bool(_SHARE.fullmatch(words)) or bool(_SIGN.search(header))
    return named and len(words.split()) <= _LONGEST and not re.search("complete|progress", words)


def _named_like_answers(numbers: Sequence[Profile]) -> list[str]:
    """Headers such as Good, Fair and Poor above numbers that are no choices."""
    counted = [p.header for p in numbers if max(p.whole, default=0) > 1 or p.fractions or p.words]
    named = [header for header in counted if level_of(header) is not None]
    wording = wording_of(named) if len(named) >= FEWEST_ANSWERS else None
    return list(wording.heights) if wording is not None else []
