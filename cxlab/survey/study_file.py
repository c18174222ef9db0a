"""A study file (TOML) → its checked definition."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxlab.core.characters import visible_text
from cxlab.core.disclosure.rule import MIN_GROUP_SIZE
from cxlab.core.messages import nearest, one_of, unknown
from cxlab.survey.contradictions import (
    check_codes_off_scale,
    check_metrics,
    check_targets,
    check_texts,
    check_told_apart,
    check_visible,
    check_within,
    codes_by_spelling,
)
from cxlab.survey.definition import (
    RATING_ROLES,
    ROLES,
    SINGLE_ROLES,
    Column,
    Definition,
    Operational,
    Table,
)
from cxlab.survey.exports.formats import FORMATS, KINDS_OF_RESPONSE
from cxlab.survey.questions import open_questions
from cxlab.survey.scales import Scale, check_reasons, normal_code

STUDY_KEYS = {"study": dict, "contact_rules": dict, "scales": dict, "tables": dict}
ABOUT_KEYS = {
    "name": str,
    "title": str,
    "source": str,
    "licence": str,
    "simulated": bool,
    "main": str,
    "min_group_size": int,
}
CONTACT_KEYS = {"days": float, "exempt": float}
SCALE_KEYS = {
    "range": list,
    "bins": dict,
    "missing": Mapping,
    "labels": Mapping,
    "metrics": tuple,
    "confirm": str,
}
TABLE_KEYS = {
    "file": str,
    "files": Mapping,
    "ignore": tuple,
    "encoding": str,
    "separator": str,
    "format": str,
    "leave_out": tuple,
    "sheet": str,
    "label": str,
    "columns": dict,
    "operational": dict,
    "touchpoint_column": str,
    "confirm": str,
}
OPERATIONAL_KEYS = {
    "column": str,
    "better": str,
    "target": float,
    "experience": str,
    "experience_target": float,
    "success": str,
    "unit": str,
}
COLUMN_KEYS = {
    "column": (str, Mapping), "role": str, "label": str, "stage": str, "scale": str, "values": Mapping,
    "missing": Mapping, "blank": str, "format": str, "metrics": tuple, "targets": Mapping,
    "spans_periods": bool, "shift": int, "reverse": bool, "confirm": str,
    "by_hand": bool,
}  # fmt: skip

#: What each kind is called in a message.
KINDS = {
    str: "text", bool: "true or false", int: "a whole number", float: "a number",
    list: "two numbers in brackets", tuple: "a list of texts in brackets",
    dict: "a table { key = value }", Mapping: "a table { key = one text or number }",
}  # fmt: skip


def read_definition(path: Path) -> Definition:
    """Read and check a study file.

    Raises
    ------
    ValueError
        Naming the file, the place and what to do.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid TOML in UTF-8; got {error}.") from error
    try:
        return _definition(content)
    except ValueError as error:
        raise ValueError(f"{path.parent.name}/{path.name}: {error}") from error


def _definition(content: Mapping[str, Any]) -> Definition:
    _known_keys("the study file", content, STUDY_KEYS)
    about = content.get("study", {})
    _known_keys("[study]", about, ABOUT_KEYS)
    for key in ("name", "title"):
        if not isinstance(about.get(key), str) or not visible_text(about[key]):
            raise ValueError(f'`{key}` in [study] must be text; got none. Add {key} = "…".')
    scales = {name: _scale(name, raw) for name, raw in content.get("scales", {}).items()}
    tables = {name: _table(name, raw, scales) for name, raw in content.get("tables", {}).items()}
    if not tables:
        raise ValueError("the study must have at least one [tables.NAME]; got none.")
    smallest = int(about.get("min_group_size", MIN_GROUP_SIZE))
    if smallest < 1:
        raise ValueError(
            f"`min_group_size` in [study] must be 1 or more; got {smallest}. 1 hides no group."
        )
    main = about.get("main", next(iter(tables)))
    if main not in tables:
        raise ValueError(unknown("main", main, tables))
    return Definition(
        name=about["name"],
        title=about["title"],
        source=about.get("source", ""),
        licence=about.get("licence", ""),
        simulated=bool(about.get("simulated", False)),
        main=main,
        min_group_size=smallest,
        scales=scales,
        tables=tables,
        open_questions=tuple(open_questions(content)),
        contact_rules=_contact_rules(content.get("contact_rules", {})),
    )


def _contact_rules(raw: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Rule to its days after a transactional invitation and the share exempt at random."""
    rules = {}
    for name, rule in raw.items():
        _known_keys(f"contact_rules.{name}", rule, CONTACT_KEYS)
        days, exempt = rule.get("days", 0), rule.get("exempt", 0.0)
        if not 0 < days < float("inf") or not 0 <= exempt < 1:
            raise ValueError(
                f"contact_rules.{name} must have `days` over 0 and `exempt` from 0 to below 1; "
                f"got {days} and {exempt}."
            )
        rules[name] = (float(days), float(exempt))
    return rules


def _known_keys(place: str, given: Mapping[str, Any], allowed: Mapping[str, Any]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{place} must be a table of keys; got {given}.")
    for key, value in given.items():
        if key not in allowed:
            near = nearest(key, allowed)
            hint = f" Did you mean '{near}'?" if near else ""
            raise ValueError(f"{place} may have {one_of(allowed)}; got '{key}'.{hint}")
        kinds = allowed[key] if isinstance(allowed[key], tuple) else (allowed[key],)
        if not any(_is_kind(value, kind) for kind in kinds):
            wanted = " or ".join(KINDS[kind] for kind in kinds)
            raise ValueError(f"`{key}` of {place} must be {wanted}; got {value!r}.")


def _is_kind(value: Any, kind: type) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if kind is tuple:
        return isinstance(value, list) and all(isinstance(one, str) for one in value)
    if kind is Mapping:
        single = isinstance(value, dict) and value.values()
        return single is not False and not any(isinstance(one, list | dict) for one in single)
    return isinstance(value, int | float) if kind is float else isinstance(value, kind)


def _scale(name: str, raw: Mapping[str, Any]) -> Scale:
    _known_keys(f"[scales.{name}]", raw, SCALE_KEYS)
    low, high = _range(raw.get("range"), f"`range` of scale '{name}'")
    bins = {
        bin_name: _range(bounds, f"bin '{bin_name}' of scale '{name}'")
        for bin_name, bounds in raw.get("bins", {}).items()
    }
    return Scale(
        name=name,
        low=low,
        high=high,
        bins=bins,
        missing=codes_by_spelling("missing", f"scale '{name}'", raw.get("missing", {})),
        labels=_labels(name, raw.get("labels", {}), low, high),
        metrics=tuple(raw.get("metrics", ("mean",))),
    )


def _labels(name: str, raw: Mapping[str, Any], low: int, high: int) -> dict[int, str]:
    labels: dict[int, str] = {}
    for score, text in raw.items():
        code = normal_code(score)
        if not code.lstrip("-").isdigit() or not low <= int(code) <= high:
            raise ValueError(
                f"`labels` of scale '{name}' must be for scores from {low} to {high}; got '{score}'."
            )
        check_visible("labels", f"scale '{name}'", text)
        if normal_code(text) in map(normal_code, labels.values()):
            raise ValueError(f"`labels` of scale '{name}' must differ; got '{text}' twice.")
        labels[int(code)] = str(text)
    return labels


def _range(bounds: Any, what: str) -> tuple[int, int]:
    pair = isinstance(bounds, list) and len(bounds) == 2
    if not pair or not all(isinstance(b, int) and not isinstance(b, bool) for b in bounds):
        raise ValueError(f"{what} must be two whole numbers [low, high]; got {bounds}.")
    return bounds[0], bounds[1]


def _table(name: str, raw: Mapping[str, Any], scales: Mapping[str, Scale]) -> Table:
    _known_keys(f"[tables.{name}]", raw, TABLE_KEYS)
    columns = {
        column: _column(column, given, scales) for column, given in raw.get("columns", {}).items()
    }
    if not columns:
        raise ValueError(f"table '{name}' must declare its columns; got none.")
    check_told_apart("columns", f"table '{name}'", columns)
    check_visible("label", f"table '{name}'", raw.get("label", name))
    table = Table(
        name=name,
        label=raw.get("label", name.replace("_", " ")),
        files=_files(name, raw),
        columns=columns,
        ignore=tuple(raw.get("ignore", ())),
        encoding=raw.get("encoding", "utf-8"),
        separator=_separator(name, raw.get("separator")),
        touchpoint_column=raw.get("touchpoint_column"),
        format=_format(name, raw.get("format")),
        leave_out=_left_out(name, raw.get("leave_out")),
        sheet=raw.get("sheet"),
        operational={
            touchpoint: _operational(touchpoint, given, columns)
            for touchpoint, given in raw.get("operational", {}).items()
        },
    )
    _check_periods(table)
    if table.touchpoint_column not in (None, *columns):
        raise ValueError(unknown("touchpoint_column", table.touchpoint_column, columns, of=name))
    _check_single_roles(table)
    return table


def _check_periods(table: Table) -> None:
    """Headers per period must be of periods that the table has."""
    periods = [period for period in table.files if period]
    for column in table.columns.values():
        if isinstance(column.source, str):
            continue
        for period in column.source:
            if not periods:
                raise ValueError(
                    f"`column` of '{column.name}' must be one header, because table '{table.name}' "
                    "is one file; got a header per period."
                )
            if period not in periods:
                raise ValueError(
                    unknown("column", period, periods, of=column.name, what="of periods ")
                )


def _operational(
    touchpoint: str, raw: Mapping[str, Any], columns: Mapping[str, Column]
) -> Operational:
    place = f"operational.{touchpoint}"
    _known_keys(place, raw, OPERATIONAL_KEYS)
    for key in ("column", "better", "target", "experience", "experience_target"):
        if key not in raw:
            raise ValueError(f"`{key}` of {place} must be given; got none.")
    for key in ("column", "experience"):
        if raw[key] not in columns:
            raise ValueError(unknown(key, raw[key], columns, of=place))
    if raw["better"] not in ("lower", "higher"):
        raise ValueError(unknown("better", raw["better"], ("lower", "higher"), of=place))
    scale = columns[raw["experience"]].scale
    check_within("target", place, raw["target"], (0, 1) if "success" in raw else None)
    check_within(
        "experience_target", place, raw["experience_target"], scale.range if scale else None
    )
    return Operational(touchpoint=touchpoint, **raw)


def _files(name: str, raw: Mapping[str, Any]) -> dict[str, str]:
    if ("file" in raw) == ("files" in raw):
        raise ValueError(
            f"table '{name}' must have either `file` or `files` (period = file name); "
            f"got {'both' if 'file' in raw else 'neither'}."
        )
    for file in [raw["file"]] if "file" in raw else raw["files"].values():
        check_visible("file", f"table '{name}'", file)
    if "file" in raw:
        return {"": str(raw["file"])}
    if not raw["files"]:
        raise ValueError(f"`files` of table '{name}' must name one file at least; got none.")
    return {str(period): str(file) for period, file in raw["files"].items()}


def _separator(name: str, separator: Any) -> str | None:
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise ValueError(
            f"`separator` of table '{name}' must be one character, such as \";\", and no quote; "
            f"got '{separator}'."
        )
    return separator


def _format(name: str, given: str | None) -> str | None:
    if given not in (None, *FORMATS):
        raise ValueError(unknown("format", given, FORMATS, of=f"table {name}"))
    return given


def _left_out(name: str, kinds: list[Any] | None) -> tuple[str, ...] | None:
    for kind in kinds or ():
        if kind not in KINDS_OF_RESPONSE:
            raise ValueError(unknown("leave_out", kind, KINDS_OF_RESPONSE, of=f"table {name}"))
    return None if kinds is None else tuple(kinds)


def _check_single_roles(table: Table) -> None:
    for role in SINGLE_ROLES:
        names = [column.name for column in table.with_role(role)]
        if len(names) > 1:
            raise ValueError(
                f"table '{table.name}' may have one column of role '{role}'; "
                f"got {one_of(names)}. Give the others role = 'text'."
            )
    reserved = [
        name
        for name in table.columns
        if name in ("period", "stratum_clusters") and table.columns[name].role != "period"
    ]
    if reserved or any(name.endswith("_missing") for name in table.columns):
        raise ValueError(
            f"table '{table.name}': 'period', 'stratum_clusters' and names ending in '_missing' "
            "are made on reading. Name the column otherwise and keep the header in `column`."
        )


def _column(name: str, raw: Mapping[str, Any], scales: Mapping[str, Scale]) -> Column:
    place = f"column '{name}'"
    _known_keys(place, raw, COLUMN_KEYS)
    role = raw.get("role")
    if role not in ROLES:
        raise ValueError(unknown("role", role, ROLES, of=name))
    scale = _column_scale(name, raw, role, scales)
    codes = codes_by_spelling("missing", place, raw.get("missing", {}))
    missing = {**(scale.missing if scale else {}), **codes}
    check_reasons(missing, place)
    shift = _shift(name, raw.get("shift", 0), scale)
    if scale is not None:
        check_codes_off_scale(name, missing, scale, shift)
    blank = raw.get("blank", "no answer")
    check_reasons({"blank": blank}, place)
    source = raw.get("column", name)
    if isinstance(source, Mapping):
        source = {str(period): str(header) for period, header in source.items()}
    if raw.get("spans_periods") and role != "cluster":
        raise ValueError(
            f"`spans_periods` of '{name}' must be left out: it is for clusters, not {role}."
        )
    if raw.get("reverse") and scale is None:
        raise ValueError(f"`reverse` of '{name}' must be left out, because it has no `scale`.")
    metrics = tuple(raw.get("metrics", scale.metrics if scale else ()))
    check_metrics(name, metrics, raw.get("targets", {}), scale)
    check_texts(place, raw, role)
    column = Column(
        name=name,
        role=role,
        source=source,
        label=raw.get("label", name.replace("_", " ")),
        stage=raw.get("stage", ""),
        scale=scale,
        values=codes_by_spelling("values", place, raw.get("values", {})),
        missing=missing,
        blank=blank,
        format=raw.get("format"),
        metrics=metrics,
        targets=dict(raw.get("targets", {})),
        spans_periods=bool(raw.get("spans_periods", False)),
        shift=shift,
        reverse=bool(raw.get("reverse", False)),
    )
    check_targets(place, column.targets, column.all_metrics())
    return column


def _shift(name: str, shift: Any, scale: Scale | None) -> int:
    if not isinstance(shift, int) or isinstance(shift, bool):
        raise ValueError(
            f"`shift` of '{name}' must be a whole number, such as -1 where the codes are one "
            f"higher than the scores; got {shift}."
        )
    if shift and scale is None:
        raise ValueError(f"`shift` of '{name}' must be left out, because it has no `scale`.")
    return shift


def _column_scale(
    name: str, raw: Mapping[str, Any], role: str, scales: Mapping[str, Scale]
) -> Scale | None:
    wanted = raw.get("scale")
    if wanted is None:
        if role in RATING_ROLES:
            raise ValueError(
                f"column '{name}' must have a `scale`, because its role is '{role}'; got none. "
                f"Use one of the study's scales: {one_of(scales)}."
            )
        return None
    if wanted not in scales:
        raise ValueError(unknown("scale", wanted, scales, of=name))
    return scales[wanted]
