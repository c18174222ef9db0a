"""A study file (TOML) → its definition: what the keys mean together, and what they cannot mean."""

from __future__ import annotations

import math
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pandas as pd

from cxlab.core.characters import visible_text
from cxlab.core.messages import got, one_of, unknown
from cxlab.survey.cells import read_dates, with_point
from cxlab.survey.definition import (
    DATE_ROLES,
    DECIMAL_ROLES,
    RATING_ROLES,
    SINGLE_ROLES,
    Column,
    Definition,
    OpenQuestion,
    Operational,
    Table,
    Theme,
)
from cxlab.survey.scales import Scale, check_metrics, check_off_scale, normal_code
from cxlab.survey.schema import (
    ColumnKeys,
    OperationalKeys,
    ScaleKeys,
    StudyKeys,
    TableKeys,
    ThemeKeys,
    checked_keys,
)

#: Keys whose value is the guess, in an open question.
GUESSED = (
    *("role", "scale", "shift", "reverse", "range", "missing", "blank", "values"),
    *("format", "decimal_comma", "leave_out", "sheet", "encoding", "separator", "ignore"),
)


Part = TypeVar("Part", Column, Table)
#: Keys that mean something for some roles only, and what columns of those are called.
_OF_ROLES = {
    "headline": (("outcome",), "outcomes"),
    "owner": (("touchpoint",), "touchpoints"),
    "spans_periods": (("cluster",), "clusters"),
    "persons": (("unit",), "units"),
    "format": (DATE_ROLES, "dates"),
    "decimal_comma": (DECIMAL_ROLES, "numbers and codes"),
}


def read_definition(path: Path) -> Definition:
    """Read and check a study file."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid TOML in UTF-8; got {error}.") from error
    try:
        return definition_of(content)
    except ValueError as error:
        raise ValueError(f"{path.parent.name}/{path.name}: {error}") from error


def definition_of(content: Mapping[str, Any]) -> Definition:
    """The definition that the content of a study file makes."""
    keys = checked_keys(content)
    scales = {name: _scale(name, given) for name, given in keys.scales.items()}
    tables = {name: _table(name, given, scales) for name, given in keys.tables.items()}
    about = msgspec.structs.asdict(keys.study)
    main = next(iter(tables)) if keys.study.main is None else keys.study.main
    if main not in tables:
        raise ValueError(unknown("main", main, tables))
    confidential = about.pop("answers_are") == "confidential"
    return Definition(
        **{**about, "main": main},
        confidential=confidential,
        scales=scales,
        tables=tables,
        codebook=_codebook(keys.codebook),
        open_questions=tuple(_open_questions(keys, content)),
        contact_rules={name: (one.days, one.exempt) for name, one in keys.contact_rules.items()},
    )


def _scale(name: str, given: ScaleKeys) -> Scale:
    place = given.place.format(name)
    return Scale(
        name=name,
        low=given.range[0],
        high=given.range[1],
        bins=given.bins,
        missing=_codes_by_spelling("missing", place, given.missing),
        labels=_labels(place, given),
        metrics=given.metrics,
        names=_named_metrics(place, given),
    )


def _named_metrics(place: str, given: ScaleKeys) -> dict[str, str]:
    for name in given.names:
        if name not in given.metrics:
            raise ValueError(unknown("names", name, given.metrics, what=f"a metric of {place}: "))
    return {name: str(words) for name, words in given.names.items()}


def _labels(place: str, given: ScaleKeys) -> dict[int, str]:
    low, high = given.range
    labels: dict[int, str] = {}
    for score, text in given.labels.items():
        code = normal_code(score)
        if not code.lstrip("-").isdigit() or not low <= int(code) <= high:
            raise ValueError(
                f"`labels` of {place} must be for scores from {low} to {high}; got '{score}'."
            )
        if normal_code(text) in map(normal_code, labels.values()):
            raise ValueError(f"`labels` of {place} must differ; got '{text}' twice.")
        labels[int(code)] = str(text)
    return labels


def _codebook(given: Mapping[str, ThemeKeys]) -> dict[str, Theme]:
    """Themes by name; a code of a period means one theme."""
    themes: dict[str, Theme] = {}
    owners: dict[tuple[str, str], str] = {}
    for name, keys in given.items():
        codes = {
            period: tuple(normal_code(code) for code in several)
            for period, several in keys.codes.items()
        }
        for period, several in codes.items():
            for code in several:
                other = owners.setdefault((period, code), name)
                if other != name:
                    raise ValueError(
                        f"`codes` of codebook.{name} must be of one theme; got {code} of {period}, "
                        f"which is '{other}' too."
                    )
        themes[name] = Theme(
            name, keys.label or name.replace("_", " ").capitalize(), keys.words, keys.tone, codes
        )
    _check_look_alike("label", "[codebook]", [theme.label for theme in themes.values()])
    return themes


def _table(name: str, given: TableKeys, scales: Mapping[str, Scale]) -> Table:
    place = given.place.format(name)
    columns = {column: _column(column, keys, scales) for column, keys in given.columns.items()}
    _check_look_alike("columns", place, columns)
    _check_labels(place, columns.values())
    if (given.file is None) == (given.files is None):
        raise ValueError(
            f"{place} must have either `file` or `files` (period = file name); "
            f"got {'neither' if given.file is None else 'both'}."
        )
    table = _as_given(
        Table,
        given,
        name=name,
        label=given.label or name.replace("_", " "),
        files=given.files or {"": str(given.file)},
        columns=columns,
        operational={
            touchpoint: _operational(touchpoint, keys, columns)
            for touchpoint, keys in given.operational.items()
        },
    )
    _check_periods(table)
    if table.beside and not table.only("id"):
        raise ValueError(
            f"`beside` of {place} must go with a column of role 'id'; got none. Declare the column "
            "that both files share."
        )
    if table.touchpoint_column not in (None, *columns):
        raise ValueError(unknown("touchpoint_column", table.touchpoint_column, columns, of=name))
    _check_single_roles(table)
    return table


def _column(name: str, given: ColumnKeys, scales: Mapping[str, Scale]) -> Column:
    place = given.place.format(name)
    scale = _column_scale(name, given, scales)
    missing = {
        **(scale.missing if scale else {}),
        **_codes_by_spelling("missing", place, _spoken(given)),
    }
    if scale is not None:
        check_off_scale(missing, scale, place, given.shift)
    _check_role_keys(place, given)
    metrics = given.metrics if given.metrics is not None else scale.metrics if scale else ()
    check_metrics(metrics, scale, place)
    column = _as_given(
        Column,
        given,
        name=name,
        source=given.column or name,
        label=given.label or name.replace("_", " "),
        short=given.short or "",
        scale=scale,
        values=_codes_by_spelling("values", place, given.values),
        missing=missing,
        metrics=metrics,
        spans_periods=given.spans_periods or given.role in ("account", "customer"),
    )
    _check_look_alike("values", place, column.values.values())
    _check_targets(place, column)
    return column


def _spoken(given: ColumnKeys) -> Mapping[str, str]:
    """Missing codes as the column's cells are read: -99,9 as -99.9 where it has decimal commas."""
    if not given.decimal_comma:
        return given.missing
    return {with_point(code): reason for code, reason in given.missing.items()}


def _as_given(kind: type[Part], given: ColumnKeys | TableKeys, **found: Any) -> Part:
    """A part of a definition; what is not ``found`` is as the study file says."""
    names = [field.name for field in fields(kind) if field.name not in found]
    return kind(**found, **{name: getattr(given, name) for name in names})


def _column_scale(name: str, given: ColumnKeys, scales: Mapping[str, Scale]) -> Scale | None:
    if given.scale is None:
        if given.role in RATING_ROLES:
            raise ValueError(
                f"column '{name}' must have a `scale`, because its role is '{given.role}'; got "
                f"none. Use one of the study's scales: {one_of(scales)}."
            )
        return None
    if given.scale not in scales:
        raise ValueError(unknown("scale", given.scale, scales, of=name))
    return scales[given.scale]


def _check_role_keys(place: str, given: ColumnKeys) -> None:
    """Refuse keys that mean nothing for the column's role, and a format that reads no date."""
    for key in ("shift", "reverse"):
        if getattr(given, key) and given.scale is None:
            raise ValueError(f"`{key}` of {place} must be left out, because it has no `scale`.")
    for key, (roles, words) in _OF_ROLES.items():
        if getattr(given, key) and given.role not in roles:
            raise ValueError(
                f"`{key}` of {place} must be left out: it is for {words}, not {given.role}."
            )
    if given.format is not None and not _reads_dates(given.format):
        raise ValueError(
            f'`format` of {place} must be a strftime format, such as "%d/%m/%Y %H:%M"; '
            f"got '{given.format}'."
        )


def _reads_dates(form: str) -> bool:
    try:
        read_dates(pd.Series(["2025"], dtype="str"), form)
    except (ValueError, re.error):
        return False
    return "%" in form


def _check_targets(place: str, column: Column) -> None:
    """Refuse targets of other metrics, and those that a metric can never reach."""
    for key, given in (("targets", column.targets), ("margins", column.margins)):
        for name in given:
            if name not in column.metrics:
                raise ValueError(
                    unknown(key, name, column.metrics, what="a metric of it: ", of=column.name)
                )
    for metric in column.all_metrics():
        if metric.target is not None:
            ends = {"net": (-100.0, 100.0), "box": (0.0, 100.0)}.get(metric.kind, metric.scale)
            _check_within(f"targets.{metric.name}", place, metric.target, ends)


def _check_within(
    key: str, place: str, value: float, ends: tuple[float, float] | None = None
) -> None:
    """Refuse a number that is not finite or lies off a range."""
    low, high = ends or (-math.inf, math.inf)
    if not math.isfinite(value) or not low <= value <= high:
        within = f"a number from {low:g} to {high:g}" if ends else "a finite number"
        raise ValueError(f"`{key}` of {place} must be {within}; got {got([value])}.")


def _codes_by_spelling(key: str, place: str, raw: Mapping[str, Any]) -> dict[str, str]:
    """Codes in one spelling, each with its meaning; two meanings of one code are refused."""
    found: dict[str, str] = {}
    for code, meaning in raw.items():
        spelt = normal_code(code)
        if found.setdefault(spelt, str(meaning)) != str(meaning):
            raise ValueError(
                f"`{key}` of {place} must give each code one meaning; got '{found[spelt]}' and "
                f"'{meaning}' for {spelt}, as {code!a} reads like it."
            )
    return found


def _check_look_alike(key: str, place: str, texts: Iterable[str]) -> None:
    """Refuse names of groups or columns that nobody could tell apart."""
    seen: dict[str, str] = {}
    for text in texts:
        other = seen.setdefault(unicodedata.normalize("NFC", visible_text(text)), text)
        if other != text:
            raise ValueError(
                f"`{key}` of {place} must differ by what can be seen; got {other!a} and "
                f"{text!a}, which look alike. Write them the same, or differently."
            )


def _check_labels(place: str, columns: Iterable[Column]) -> None:
    """Refuse two columns under one label: a report could not tell them apart."""
    seen: dict[str, str] = {}
    for column in columns:
        other = seen.setdefault(visible_text(column.label), column.name)
        if other != column.name:
            raise ValueError(
                f"`label` of the columns of {place} must differ; got '{column.label}' for "
                f"'{other}' and '{column.name}'. Give one of them another label."
            )


def _check_periods(table: Table) -> None:
    """Headers per period must be of periods that the table has."""
    periods = [period for period in table.files if period]
    for column in table.columns.values():
        if isinstance(column.source, str):
            continue
        if not periods:
            raise ValueError(
                f"`column` of '{column.name}' must be one header, because table '{table.name}' "
                "is one file; got a header per period."
            )
        for period in column.source:
            if period not in periods:
                raise ValueError(
                    unknown("column", period, periods, of=column.name, what="of periods ")
                )


def _check_single_roles(table: Table) -> None:
    for role in SINGLE_ROLES:
        names = [column.name for column in table.with_role(role)]
        if len(names) > 1:
            raise ValueError(
                f"table '{table.name}' may have one column of role '{role}'; "
                f"got {one_of(names)}. Give the others role = 'text'."
            )
    made = [
        column.name
        for column in table.columns.values()
        if column.name.endswith("_missing")
        or (column.name in ("period", "stratum_clusters") and column.role != "period")
    ]
    if made:
        raise ValueError(
            f"table '{table.name}': 'period', 'stratum_clusters' and names ending in '_missing' "
            f"are made on reading; got '{made[0]}'. Name the column otherwise and keep the header "
            "in `column`."
        )


def _operational(
    touchpoint: str, given: OperationalKeys, columns: Mapping[str, Column]
) -> Operational:
    place = given.place.format(touchpoint)
    for key in ("column", "experience"):
        if getattr(given, key) not in columns:
            raise ValueError(unknown(key, getattr(given, key), columns, of=place))
    scale = columns[given.experience].scale
    _check_within("target", place, given.target, (0, 1) if given.success is not None else None)
    _check_within(
        "experience_target", place, given.experience_target, scale.range if scale else None
    )
    return Operational(touchpoint=touchpoint, **msgspec.structs.asdict(given))


def _open_questions(keys: StudyKeys, content: Mapping[str, Any]) -> Iterator[OpenQuestion]:
    """Every ``confirm``: of scales first, as columns lean on them."""
    for name, scale in keys.scales.items():
        yield from _open_question(scale, content["scales"][name], name)
    for name, table in keys.tables.items():
        declared = content["tables"][name]
        yield from _open_question(table, declared, name)
        of = f" of table '{name}'" if len(keys.tables) > 1 else ""
        for column, given in table.columns.items():
            yield from _open_question(given, declared["columns"][column], column, of)


def _open_question(
    keys: ScaleKeys | TableKeys | ColumnKeys, raw: Mapping[str, Any], name: str, of: str = ""
) -> Iterator[OpenQuestion]:
    if "confirm" not in raw:
        return
    guess = "; ".join(f"{key} = {_in_words(raw[key])}" for key in GUESSED if key in raw)
    by_hand = isinstance(keys, ColumnKeys) and keys.by_hand
    yield OpenQuestion(
        place=keys.place.format(name) + of,
        guess=guess,
        question=keys.confirm,
        column=name if by_hand else "",
        role=raw["role"] if by_hand else "",
    )


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        if all(key == one for key, one in value.items()):
            return _in_words(list(value))
        return "{" + ", ".join(f"{key} = {_in_words(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_in_words(one) for one in value) + "]"
    return str(value)
