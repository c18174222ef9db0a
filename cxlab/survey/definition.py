"""A study file (TOML) → checked definitions of its tables and columns."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cxlab.survey.messages import nearest, one_of, unknown
from cxlab.survey.scales import METRICS, Metric, Scale, check_reasons, normal_code

#: What a column can be. Ratings are answers on a scale; the others describe the row.
ROLES = (
    "outcome",
    "touchpoint",
    "rating",
    "segment",
    "number",
    "text",
    "date",
    "id",
    "customer",
    "period",
    "weight",
    "strata",
    "cluster",
)
RATING_ROLES = ("outcome", "touchpoint", "rating")
#: Roles that one column of a table at most may have.
SINGLE_ROLES = ("id", "period", "weight", "strata", "cluster")

STUDY_KEYS = ("study", "scales", "tables")
ABOUT_KEYS = (
    "name",
    "title",
    "source",
    "licence",
    "simulated",
    "main",
    "min_group_size",
)
TABLE_KEYS = ("file", "files", "ignore", "encoding", "label", "columns")
SCALE_KEYS = ("range", "bins", "missing", "labels", "metrics")
COLUMN_KEYS = (
    "column",
    "role",
    "label",
    "stage",
    "scale",
    "values",
    "missing",
    "blank",
    "format",
    "metrics",
    "targets",
    "spans_periods",
    "confirm",
)


@dataclass(frozen=True)
class Column:
    """What one column of a table means.

    Attributes
    ----------
    name : str
        Name in the cleaned answers.
    role : str
        One of `ROLES`.
    source : str or mapping of str to str
        Header in the file, or header per period; a period without one did not ask it.
    label : str
        Words for reports.
    stage : str
        Stage of the journey, for touchpoints.
    scale : Scale or None
        For ratings.
    values : mapping of str to str
        Code to label, for segments; empty: the file's own text.
    missing : mapping of str to str
        Code to reason, the scale's and the column's own together.
    blank : str
        Reason of an empty cell.
    format : str or None
        ``strftime`` format of a date; None: ISO.
    metrics : tuple of str
        Metrics to report, the scale's unless the column declares its own.
    targets : mapping of str to float
        Metric to what the study wants.
    spans_periods : bool
        For clusters: the same id in two periods is the same cluster.
    """

    name: str
    role: str
    source: str | Mapping[str, str]
    label: str
    stage: str = ""
    scale: Scale | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    blank: str = "no answer"
    format: str | None = None
    metrics: tuple[str, ...] = ()
    targets: Mapping[str, float] = field(default_factory=dict)
    spans_periods: bool = False

    def header(self, period: str | None) -> str | None:
        """Header in the file of a period; None when it was not asked then."""
        if isinstance(self.source, str):
            return self.source
        return self.source.get(str(period))

    def all_metrics(self) -> list[Metric]:
        """Metrics of this column, in declared order."""
        if self.scale is None:
            return []
        return [self.scale.metric(self.name, m, self.targets.get(m)) for m in self.metrics]


@dataclass(frozen=True)
class Table:
    """One table of a study: its files and columns."""

    name: str
    label: str
    files: Mapping[str, str]
    columns: Mapping[str, Column]
    ignore: tuple[str, ...] = ()
    encoding: str = "utf-8"

    def with_role(self, *roles: str) -> list[Column]:
        """Columns that have one of the roles, in declared order."""
        return [column for column in self.columns.values() if column.role in roles]

    def only(self, role: str) -> Column | None:
        """The column of a role that at most one may have."""
        found = self.with_role(role)
        return found[0] if found else None

    def ignores(self, header: str) -> bool:
        """Whether the study says to pass over a header of the file."""
        folded = normal_header(header)
        return any(fnmatch.fnmatchcase(folded, normal_header(p, "")) for p in self.ignore)


@dataclass(frozen=True)
class Definition:
    """Everything a study file says."""

    name: str
    title: str
    source: str
    licence: str
    simulated: bool
    main: str
    min_group_size: int
    scales: Mapping[str, Scale]
    tables: Mapping[str, Table]


def normal_header(header: str, strip: str = "*") -> str:
    """Headers are compared trimmed, case folded and without leading asterisks.

    Examples
    --------
    >>> normal_header("*RESPNUM"), normal_header("Q14FIND "), normal_header("Q13  COUNTY")
    ('respnum', 'q14find', 'q13 county')
    """
    return " ".join(header.strip().lstrip(strip).split()).casefold()


def read_definition(path: Path) -> Definition:
    """Read and check a study file.

    Raises
    ------
    ValueError
        Naming the file, the place and what to do.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
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
        if not isinstance(about.get(key), str) or not about[key].strip():
            raise ValueError(f'`{key}` in [study] must be text; got none. Add {key} = "…".')
    scales = {name: _scale(name, raw) for name, raw in content.get("scales", {}).items()}
    tables = {name: _table(name, raw, scales) for name, raw in content.get("tables", {}).items()}
    if not tables:
        raise ValueError("the study must have at least one [tables.NAME]; got none.")
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
        min_group_size=int(about.get("min_group_size", 10)),
        scales=scales,
        tables=tables,
    )


def _known_keys(place: str, given: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    if not isinstance(given, Mapping):
        raise ValueError(f"{place} must be a table of keys; got {given}.")
    for key in given:
        if key not in allowed:
            near = nearest(key, allowed)
            hint = f" Did you mean '{near}'?" if near else ""
            raise ValueError(f"{place} may have {one_of(allowed)}; got '{key}'.{hint}")


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
        missing=_codes(raw.get("missing", {})),
        labels={int(score): str(text) for score, text in raw.get("labels", {}).items()},
        metrics=tuple(raw.get("metrics", ("mean",))),
    )


def _range(bounds: Any, what: str) -> tuple[int, int]:
    pair = isinstance(bounds, list) and len(bounds) == 2
    if not pair or not all(isinstance(b, int) and not isinstance(b, bool) for b in bounds):
        raise ValueError(f"{what} must be two whole numbers [low, high]; got {bounds}.")
    return bounds[0], bounds[1]


def _codes(raw: Mapping[str, str]) -> dict[str, str]:
    return {normal_code(code): str(meaning) for code, meaning in raw.items()}


def _table(name: str, raw: Mapping[str, Any], scales: Mapping[str, Scale]) -> Table:
    _known_keys(f"[tables.{name}]", raw, TABLE_KEYS)
    columns = {
        column: _column(column, given, scales) for column, given in raw.get("columns", {}).items()
    }
    if not columns:
        raise ValueError(f"table '{name}' must declare its columns; got none.")
    table = Table(
        name=name,
        label=raw.get("label", name.replace("_", " ")),
        files=_files(name, raw),
        columns=columns,
        ignore=tuple(raw.get("ignore", ())),
        encoding=raw.get("encoding", "utf-8"),
    )
    _check_single_roles(table)
    return table


def _files(name: str, raw: Mapping[str, Any]) -> dict[str, str]:
    if ("file" in raw) == ("files" in raw):
        raise ValueError(
            f"table '{name}' must have either `file` or `files` (period = file name); "
            f"got {'both' if 'file' in raw else 'neither'}."
        )
    if "file" in raw:
        return {"": str(raw["file"])}
    return {str(period): str(file) for period, file in raw["files"].items()}


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
    missing = {**(scale.missing if scale else {}), **_codes(raw.get("missing", {}))}
    check_reasons(missing, place)
    blank = raw.get("blank", "no answer")
    check_reasons({"blank": blank}, place)
    source = raw.get("column", name)
    if isinstance(source, Mapping):
        source = {str(period): str(header) for period, header in source.items()}
    metrics = tuple(raw.get("metrics", scale.metrics if scale else ()))
    _check_column_metrics(name, metrics, raw.get("targets", {}), scale)
    return Column(
        name=name,
        role=role,
        source=source,
        label=raw.get("label", name.replace("_", " ")),
        stage=raw.get("stage", ""),
        scale=scale,
        values={normal_code(code): str(v) for code, v in raw.get("values", {}).items()},
        missing=missing,
        blank=blank,
        format=raw.get("format"),
        metrics=metrics,
        targets=dict(raw.get("targets", {})),
        spans_periods=bool(raw.get("spans_periods", False)),
    )


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


def _check_column_metrics(
    name: str,
    metrics: tuple[str, ...],
    targets: Mapping[str, float],
    scale: Scale | None,
) -> None:
    for metric in metrics:
        if metric not in METRICS:
            raise ValueError(unknown("metrics", metric, METRICS, of=name))
        lacking = [bin_name for bin_name in METRICS[metric] if scale and bin_name not in scale.bins]
        if scale is None or lacking:
            raise ValueError(
                f"`metrics` of '{name}': '{metric}' needs a scale with the bins "
                f"{one_of(METRICS[metric])}; got {scale.name if scale else 'no scale'}."
            )
    for metric in targets:
        if metric not in metrics:
            raise ValueError(unknown("targets", metric, metrics, what="a metric of it: ", of=name))
