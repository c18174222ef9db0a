"""A draft → a readable study file; and its guesses, settled by somebody."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomlkit

from cxlab.core.messages import unknown
from cxlab.survey.definition import ROLES
from cxlab.survey.drafting.profile import Guess, ScaleGuess, rows, some
from cxlab.survey.drafting.words import (
    column_name,
    distinct,
    ignore_pattern,
    label_of,
)
from cxlab.survey.exports import Export
from cxlab.survey.files import usual_separator, write_whole
from cxlab.survey.study_file import read_definition

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
#: What a column may be settled as: a role, an outcome reported as an NPS, or nothing.
SETTLED = (*ROLES, "nps", "ignore")
#: Keys that were guessed for another role and mean nothing for these.
_UNFIT = {
    **dict.fromkeys(
        ("id", "customer", "cluster", "strata", "weight", "text", "period", "active"),
        ("scale", "missing", "values", "shift", "reverse", "blank"),
    ),
    "segment": ("scale", "shift", "reverse"),
    "number": ("scale", "shift", "reverse", "values"),
}
_OPENING = """\
a draft, guessed from headers and values. Nothing is read before it is confirmed.
Each `confirm` says what was guessed and what to check. Correct what is wrong, then
delete the `confirm` lines; `cxlab study check` lists those that are left, and
`cxlab study check … --confirm-all` accepts the guesses for which the file gives evidence.
Columns with `by_hand` were guessed from a name or from values alone: you decide, with
`cxlab study confirm … COLUMN=ROLE`.
Reasons of missing codes: never used, no answer, don't know, not asked, invalid."""


@dataclass(frozen=True, eq=False)
class Draft:
    """A study file, drafted."""

    path: Path  # the study file
    guesses: tuple[Guess, ...]  # one per column of the export, in its order
    export: Export  # what it was drafted from; all waves together where there are several
    #: Period to file, where there are several.
    files: Mapping[str, Path] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """Columns by role, in words."""
        roles = Counter(guess.role for guess in self.guesses)
        ignored = roles.pop("ignore", 0)
        parts = [f"{number} {role}" for role, number in roles.items()]
        parts += [f"{ignored} ignored"] if ignored else []
        return f"guessed: {len(self.guesses)} columns: {', '.join(parts)}"

    @property
    def text(self) -> str:
        """The study file's TOML, with comments."""
        document = tomlkit.document()
        names = ", ".join(file.name for file in self.files.values()) or self.export.path.name
        counted = f"{rows(len(self.export.answers))}, {len(self.guesses)} columns"
        document.add(tomlkit.comment(f"What the columns of {names} mean ({counted}):"))
        for line in _OPENING.splitlines():
            document.add(tomlkit.comment(line))
        document.add(tomlkit.nl())
        document.add("study", _about(stem(self.path).removesuffix(".study")))
        scales = _scale_names(self.guesses)
        if scales:
            document.add("scales", _scales(self.guesses, scales))
        tables = tomlkit.table(is_super_table=True)
        tables.add(TABLE, _table(self, scales))
        document.add("tables", tables)
        return tomlkit.dumps(document)

    def write(self, output: str | Path | None = None, *, force: bool = False) -> Draft:
        """Write the study file; returns the draft with the path that was written."""
        placed = replace(self, path=Path(output) if output is not None else self.path)
        check_output(placed.path, force=force)
        write_whole(placed.path, placed.text)
        return placed


def stem(path: Path) -> str:
    """A file's name without its ending."""
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def check_output(path: Path, *, force: bool) -> None:
    """Refuse to write over a study file, or into a folder that isn't there."""
    if path.exists() and not force:
        raise FileExistsError(
            f"{path} must not be there yet; it is. Choose another with --output, or replace it "
            "with --force."
        )
    if not path.parent.is_dir():
        raise FileNotFoundError(f"`output` must be in a folder that exists; got '{path}'.")


def _about(name: str) -> Any:
    about = _keys(
        name=re.sub(r"[^\w.-]+", "-", name).strip(".-") or "answers",
        title=label_of(name) or "Answers",
    )
    about.add(tomlkit.comment('source = "who asked whom, when and how"'))
    return about


def _scale_names(guesses: Sequence[Guess]) -> dict[tuple[object, ...], str]:
    """Key of each scale to its name."""
    names: dict[tuple[object, ...], str] = {}
    for guess in guesses:
        if guess.scale and guess.scale.key not in names:
            names[guess.scale.key] = distinct(guess.scale.name, names.values())
    return names


def _scales(guesses: Sequence[Guess], names: Mapping[tuple[object, ...], str]) -> Any:
    scales = tomlkit.table(is_super_table=True)
    for key, name in names.items():
        columns = [guess for guess in guesses if guess.scale and guess.scale.key == key]
        scales.add(name, _scale([one.scale for one in columns if one.scale], columns))
    if any(guess.scale and guess.scale.high > 7 for guess in guesses):
        nps = _keys(
            range=[0, 10],
            bins={"detractors": [0, 6], "passives": [7, 8], "promoters": [9, 10]},
            metrics=["nps"],
        )
        nps.comment("ready for a question that is to be reported as an NPS; nothing uses it yet")
        scales.add(NPS_SCALE, nps)
        if "zero_to_ten" not in names.values():
            ready = _keys(range=[0, 10], metrics=["mean"])
            ready.comment("ready to switch to; nothing uses it yet")
            scales.add("zero_to_ten", ready)
    return scales


def _scale(scales: Sequence[ScaleGuess], columns: Sequence[Guess]) -> Any:
    scale = scales[0]
    # columns of one scale may each say how often its codes come; once is enough
    asked = next((one.question for one in scales if one.question), "") if scale.high <= 7 else ""
    headers = some([guess.profile.header for guess in columns], 5)
    told = f"Guessed from {headers}: from {_end(scale, scale.low)} (worst) to "
    told += f"{_end(scale, scale.high)} (best)"
    if scale.bins:
        low, high = scale.bins["top"]
        told += f", of which {low} to {high} count as top" if low < high else f", {low} is the top"
    return _keys(
        range=[scale.low, scale.high],
        bins=scale.bins,
        missing=scale.missing,
        labels={str(score): text for score, text in scale.labels.items()},
        metrics=["mean", "top box"] if scale.bins else ["mean"],
        confirm=f"{told}. Is that how it was asked? {asked}".strip(),
    )


def _end(scale: ScaleGuess, score: int) -> str:
    return f"{score} = '{scale.labels[score]}'" if score in scale.labels else str(score)


def _table(draft: Draft, scales: Mapping[tuple[object, ...], str]) -> Any:
    export = draft.export
    ignored = [guess for guess in draft.guesses if guess.role == "ignore"]
    separator = export.separator
    table = _keys(
        file="" if draft.files else _beside(export.path, draft.path),
        files={period: _beside(file, draft.path) for period, file in draft.files.items()},
        format="" if export.platform == "plain" else export.platform,
        leave_out=None if export.leave_out is None else list(export.leave_out),
        sheet=export.sheet,
        encoding="" if export.encoding == "utf-8" else export.encoding,
        separator="" if separator == usual_separator(export.path) else separator,
    )
    if ignored:
        patterns = tomlkit.array()
        for guess in ignored:
            headers = dict.fromkeys(guess.headers.values()) or [guess.profile.header]
            patterns.extend(map(ignore_pattern, headers))
        table.add("ignore", patterns.multiline(len(ignored) > 3))
    table.update(_keys(confirm=_table_question(export, ignored)))
    columns = tomlkit.table(is_super_table=True)
    for name, label, guess in _named(draft.guesses):
        columns.add(name, _column(guess, name, label, scales))
    table.add("columns", columns)
    return table


def _beside(file: Path, path: Path) -> str:
    """A file as the study file names it."""
    return Path(os.path.relpath(file.resolve(), path.parent.resolve())).as_posix()


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


def _named(guesses: Sequence[Guess]) -> Iterator[tuple[str, str, Guess]]:
    """Name, label and guess of every column that is kept; no name or label comes twice."""
    names: set[str] = set()
    labels: set[str] = set()
    for guess in guesses:
        if guess.role == "ignore":
            continue
        item = guess.profile.item
        header = guess.profile.header if guess.profile.coded else item
        name = "period" if guess.role == "period" else column_name(header, names)
        label = distinct(label_of(item), labels, "{} ({})")
        names.add(name)
        labels.add(label)
        yield name, label, guess


def _column(guess: Guess, name: str, label: str, scales: Mapping[tuple[object, ...], str]) -> Any:
    header = guess.profile.header
    return _keys(
        column=guess.headers or (header if header != name else ""),
        role=guess.role,
        label=label,
        scale=scales[guess.scale.key] if guess.scale else "",
        **guess.keys,
        values=guess.values,
        missing=guess.missing,
        confirm=guess.confirm,
        by_hand=guess.by_hand,
    )


def _keys(**keys: Any) -> Any:
    """A TOML table of the keys that say something; tables within it are inline."""
    table = tomlkit.table()
    for key, value in keys.items():
        if value in (None, "", {}, False):
            continue
        if isinstance(value, Mapping):
            inline = tomlkit.inline_table()
            inline.update(value)
            value = inline
        table.add(key, value)
    return table


def accept_guesses(path: Path, *, by_hand: bool = False) -> int:
    """Remove the ``confirm`` of every guess for which the file gives evidence.

    Comments and order stay; how many were accepted is returned. ``by_hand``: also of columns
    whose role was guessed from a name or from values alone (see `settle_columns`).
    """
    read_definition(path)
    document = tomlkit.parse(path.read_text(encoding="utf-8"))
    accepted = 0
    for declared in _marked(document):
        if by_hand or not declared.get("by_hand"):
            _settle(declared)
            accepted += 1
    write_whole(path, tomlkit.dumps(document))
    return accepted


def settle_columns(path: Path, roles: Mapping[str, str]) -> None:
    """Give columns of a study file, by name or header, the roles that somebody has decided on.

    ``nps`` is an outcome on the scale ``likelihood_to_recommend``; ``ignore`` leaves it out.
    """
    text = path.read_text(encoding="utf-8")
    document = tomlkit.parse(text)
    for name, role in roles.items():
        if role not in SETTLED:
            raise ValueError(unknown("role", role, SETTLED, of=name))
        table, column = _find(document, name)
        if role == "ignore":
            _leave_out(table, column)
        else:
            _give_role(table["columns"][column], role)
    write_whole(path, tomlkit.dumps(document))
    try:
        read_definition(path)
    except ValueError:
        write_whole(path, text)
        raise


def _settle(declared: Any) -> None:
    declared.pop("confirm", None)
    declared.pop("by_hand", None)


def _find(document: Any, name: str) -> tuple[Any, str]:
    """The table and the key of a column, by its name or by its header."""
    known = []
    for table in document.get("tables", {}).values():
        for column, declared in table["columns"].items():
            if name in (column, declared.get("column")):
                return table, column
            known.append(column)
    raise ValueError(unknown("column", name, known))


def _give_role(declared: Any, role: str) -> None:
    declared["role"] = "outcome" if role == "nps" else role
    if role == "nps":
        declared["scale"] = NPS_SCALE
    if declared["role"] != "cluster":
        declared.pop("spans_periods", None)
    for key in _UNFIT.get(declared["role"], ()):
        declared.pop(key, None)
    _settle(declared)


def _leave_out(table: Any, column: str) -> None:
    header = table["columns"].pop(column).get("column", column)
    headers = header.values() if isinstance(header, Mapping) else [header]
    patterns = table.setdefault("ignore", tomlkit.array())
    patterns.extend([ignore_pattern(one) for one in headers])


def _marked(document: Any) -> Iterator[Any]:
    tables = document.get("tables", {}).values()
    columns = (column for table in tables for column in table["columns"].values())
    for declared in [*document.get("scales", {}).values(), *tables, *columns]:
        if "confirm" in declared:
            yield declared
