"""Guesses → a readable study file."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit

from cxlab.survey.drafting.guesses import Guess, ScaleGuess, rows, some
from cxlab.survey.drafting.names import (
    column_names,
    ignore_pattern,
    label_of,
    labels_with_choices,
)
from cxlab.survey.exports import Export
from cxlab.survey.files import usual_separator

NPS_SCALE = "likelihood_to_recommend"
TABLE = "answers"
#: What each format is called in a question.
PLATFORMS = {
    "qualtrics": "an export of Qualtrics",
    "surveymonkey": "an export of SurveyMonkey, with its two header rows joined",
    "limesurvey": "an export of LimeSurvey",
    "spss": "an SPSS file, with its value labels and declared missing values",
    "stata": "a Stata file, with its value labels and extended missing values",
}


def write_whole(path: Path, text: str) -> None:
    """Write a file at one stroke, so that a failure leaves the earlier one."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def study_text(
    export: Export,
    guesses: Sequence[Guess],
    path: Path,
    stem: str,
    files: Mapping[str, Path],
) -> str:
    """The study file as TOML with comments; ``files``: period to file, if there are several."""
    document = tomlkit.document()
    for line in _opening(export, guesses, files):
        document.add(tomlkit.comment(line) if line else tomlkit.nl())
    document.add("study", _about(stem))
    names = _scale_names(guesses)
    scales = tomlkit.table(is_super_table=True)
    for key, name in names.items():
        scales.add(name, _scale(key, guesses))
    if any(guess.scale and guess.scale.high > 7 for guess in guesses):
        scales.add(NPS_SCALE, _nps_scale())
        if "zero_to_ten" not in names.values():
            scales.add("zero_to_ten", _ready_scale())
    if len(scales):
        document.add("scales", scales)
    tables = tomlkit.table(is_super_table=True)
    tables.add(TABLE, _table(export, guesses, path, names, files))
    document.add("tables", tables)
    return tomlkit.dumps(document)


def _opening(export: Export, guesses: Sequence[Guess], files: Mapping[str, Path]) -> list[str]:
    named = ", ".join(file.name for file in files.values()) or export.path.name
    return [
        f"What the columns of {named} mean ({rows(len(export.answers))}, {len(guesses)} columns):",
        "a draft, guessed from headers and values. Nothing is read before it is confirmed.",
        "Each `confirm` says what was guessed and what to check. Correct what is wrong, then",
        "delete the `confirm` lines; `cxlab study check` lists those that are left, and",
        "`cxlab study check … --confirm-all` accepts the guesses for which the file gives evidence.",
        "Columns with `by_hand` were guessed from a name or from values alone: you decide, with",
        "`cxlab study confirm … COLUMN=ROLE`.",
        "Reasons of missing codes: never used, no answer, don't know, not asked, invalid.",
        "",
    ]


def _about(stem: str) -> Any:
    about = tomlkit.table()
    about.add("name", re.sub(r"[^\w.-]+", "-", stem).strip(".-") or "answers")
    about.add("title", label_of(stem) or "Answers")
    about.add(tomlkit.comment('source = "who asked whom, when and how"'))
    return about


def _scale_names(guesses: Sequence[Guess]) -> dict[tuple[object, ...], str]:
    """Key of each scale to its name."""
    scales = {guess.scale.key: guess.scale for guess in guesses if guess.scale}
    names: dict[tuple[object, ...], str] = {}
    for key, scale in scales.items():
        number, name = 2, scale.name
        while name in names.values():
            name, number = f"{scale.name}_{number}", number + 1
        names[key] = name
    return names


def _scale(key: tuple[object, ...], guesses: Sequence[Guess]) -> Any:
    columns = [guess for guess in guesses if guess.scale and guess.scale.key == key]
    scale = columns[0].scale
    if scale is None:
        raise ValueError("a scale must have a column; got none.")
    table = tomlkit.table()
    table.add("range", [scale.low, scale.high])
    if scale.bins:
        table.add("bins", _inline(scale.bins))
    if scale.missing:
        table.add("missing", _inline(scale.missing))
    if scale.labels:
        table.add("labels", _inline({str(score): text for score, text in scale.labels.items()}))
    table.add("metrics", ["mean", "top box"] if scale.bins else ["mean"])
    table.add("confirm", _scale_question(scale, columns))
    return table


def _scale_question(scale: ScaleGuess, columns: Sequence[Guess]) -> str:
    best = _end(scale, scale.high)
    headers = some([guess.profile.header for guess in columns], 5)
    told = f"Guessed from {headers}: from {_end(scale, scale.low)} (worst) to {best} (best)"
    if scale.bins:
        low, high = scale.bins["top"]
        told += f", of which {low} to {high} count as top" if low < high else f", {low} is the top"
    # columns of one scale may each say how often its codes come; once is enough
    asked = next((c.scale.question for c in columns if c.scale and c.scale.question), "")
    told += ". Is that how it was asked?"
    return f"{told} {asked}" if asked and scale.high <= 7 else told


def _end(scale: ScaleGuess, score: int) -> str:
    return f"{score} = '{scale.labels[score]}'" if score in scale.labels else str(score)


def _nps_scale() -> Any:
    table = tomlkit.table()
    table.comment("ready for a question that is to be reported as an NPS; nothing uses it yet")
    table.add("range", [0, 10])
    table.add("bins", _inline({"detractors": [0, 6], "passives": [7, 8], "promoters": [9, 10]}))
    table.add("metrics", ["nps"])
    return table


def _ready_scale() -> Any:
    table = tomlkit.table()
    table.comment("ready to switch to; nothing uses it yet")
    table.add("range", [0, 10])
    table.add("metrics", ["mean"])
    return table


def _table(
    export: Export,
    guesses: Sequence[Guess],
    path: Path,
    scales: dict[tuple[object, ...], str],
    files: Mapping[str, Path],
) -> Any:
    table = tomlkit.table()
    if files:
        table.add("files", _inline({period: _beside(file, path) for period, file in files.items()}))
    else:
        table.add("file", _beside(export.path, path))
    for key, value in _reading_keys(export).items():
        table.add(key, value)
    ignored = [guess for guess in guesses if guess.role == "ignore"]
    if ignored:
        patterns = tomlkit.array()
        patterns.extend([ignore_pattern(header) for guess in ignored for header in _headers(guess)])
        table.add("ignore", patterns.multiline(len(ignored) > 3))
    question = _table_question(export, ignored)
    if question:
        table.add("confirm", question)
    columns = tomlkit.table(is_super_table=True)
    shortened = labels_with_choices([guess.profile for guess in guesses])
    kept = [i for i, guess in enumerate(guesses) if guess.role != "ignore"]
    names = column_names(
        [guesses[i].profile.header if guesses[i].profile.coded else shortened[i] for i in kept]
    )
    names = [
        "period" if guesses[i].role == "period" else name
        for i, name in zip(kept, names, strict=True)
    ]
    labels = _labels([label_of(shortened[i]) for i in kept])
    for i, name, label in zip(kept, names, labels, strict=True):
        columns.add(name, _column(guesses[i], name, label, scales))
    table.add("columns", columns)
    return table


def _beside(file: Path, path: Path) -> str:
    """A file as the study file names it."""
    return Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix()


def _headers(guess: Guess) -> list[str]:
    return list(dict.fromkeys(guess.headers.values())) or [guess.profile.header]


def _reading_keys(export: Export) -> dict[str, Any]:
    """Keys of a table that say how its file is read, where that isn't the usual way."""
    keys: dict[str, Any] = {}
    if export.platform != "plain":
        keys["format"] = export.platform
    if export.leave_out is not None:
        keys["leave_out"] = list(export.leave_out)
    if export.sheet:
        keys["sheet"] = export.sheet
    if export.encoding != "utf-8":
        keys["encoding"] = export.encoding
    if export.separator and export.separator != usual_separator(export.path):
        keys["separator"] = export.separator
    return keys


def _table_question(export: Export, ignored: Sequence[Guess]) -> str:
    parts = [f"Read as {PLATFORMS[export.platform]}."] if export.platform in PLATFORMS else []
    parts += export.notes
    if "unfinished" in (export.leave_out or ()) or any("not finished" in n for n in export.notes):
        parts.append("Are these the responses you want?")
    if export.encoding not in ("utf-8", "utf-16"):
        parts.append(f"Not UTF-8: read as {export.encoding}. Do letters with accents look right?")
    if export.separator:
        mark = "tab" if export.separator == "\t" else f"'{export.separator}'"
        parts.append(f"Cells are separated by a {mark}. Is that so?")
    for reason in dict.fromkeys(guess.question for guess in ignored):
        headers = [guess.profile.header for guess in ignored if guess.question == reason]
        parts.append(f"Ignored as {reason}: {some(headers, 5)}.")
    if ignored:
        parts.append("Is nothing needed of it?")
    return " ".join(parts)


def _labels(labels: Sequence[str]) -> list[str]:
    """Labels, told apart by a number where two are the same."""
    seen: dict[str, int] = {}
    unique = []
    for label in labels:
        seen[label] = seen.get(label, 0) + 1
        unique.append(label if seen[label] == 1 else f"{label} ({seen[label]})")
    return unique


def _column(guess: Guess, name: str, label: str, scales: dict[tuple[object, ...], str]) -> Any:
    table = tomlkit.table()
    header = guess.profile.header
    if guess.headers:
        table.add("column", _inline(guess.headers))
    elif header != name:
        table.add("column", header)
    table.add("role", guess.role)
    table.add("label", label)
    if guess.scale:
        table.add("scale", scales[guess.scale.key])
    for key, value in guess.keys.items():
        table.add(key, value)
    if guess.values:
        table.add("values", _inline(guess.values))
    if guess.missing:
        table.add("missing", _inline(guess.missing))
    table.add("confirm", guess.confirm)
    if guess.by_hand:
        table.add("by_hand", True)
    return table


def _inline(values: dict[str, Any] | Any) -> Any:
    table = tomlkit.inline_table()
    for key, value in values.items():
        table.add(key, value)
    return table
