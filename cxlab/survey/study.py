"""What the columns of a survey mean (a TOML file) → checked, cleaned answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.survey import cleaning
from cxlab.survey.datasets import find_study
from cxlab.survey.definition import (
    RATING_ROLES,
    Column,
    Definition,
    Table,
    normal_header,
)
from cxlab.survey.files import find_file, read_as_text
from cxlab.survey.messages import got, nearest, one_of, unknown
from cxlab.survey.scales import Metric
from cxlab.survey.study_file import read_definition

Where = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Study:
    """A survey whose columns are declared; made by `load_study`.

    Attributes
    ----------
    path : Path
        The study file.
    definition : Definition
        Everything it says.
    """

    path: Path
    definition: Definition

    @property
    def name(self) -> str:
        """Short name, used for folders."""
        return self.definition.name

    @property
    def title(self) -> str:
        """Name in words."""
        return self.definition.title

    @property
    def simulated(self) -> bool:
        """Whether the answers are simulated; said wherever they are shown."""
        return self.definition.simulated

    @property
    def about(self) -> str:
        """One line that says what the data are and whose."""
        told = "SIMULATED data, no real customers. " if self.simulated else ""
        parts = [self.title, self.definition.source, self.definition.licence]
        return told + ". ".join(part.rstrip(".") for part in parts if part) + "."

    @property
    def main(self) -> Table:
        """The main table."""
        return self.definition.tables[self.definition.main]

    @property
    def periods(self) -> list[str]:
        """Periods of the main table, in order.

        Declared by its files, or found in its period column.
        """
        declared = [period for period in self.main.files if period]
        if declared:
            return declared
        column = self.main.only("period")
        if column is None:
            return []
        raw = _read_raw(self, self.main, "")
        return sorted(_periods_of(raw, column, self._file(self.main, "").name).unique())

    @property
    def touchpoints(self) -> list[str]:
        """Names of the main table's touchpoints, in declared order."""
        return [column.name for column in self.main.with_role("touchpoint")]

    @property
    def outcomes(self) -> list[str]:
        """Names of the main table's outcomes, in declared order."""
        return [column.name for column in self.main.with_role("outcome")]

    @property
    def segments(self) -> list[str]:
        """Names of the main table's segments, in declared order."""
        return [column.name for column in self.main.with_role("segment")]

    @property
    def advocacy(self) -> str:
        """Column of the first outcome that is reported as NPS.

        Raises
        ------
        ValueError
            When the study has none.
        """
        found = [metric.column for metric in self.metrics("outcome") if metric.name == "nps"]
        if not found:
            raise ValueError(
                f"study '{self.name}' must have an outcome with metric 'nps'; got none. Put likelihood "
                "to recommend on a scale with the bins promoters, passives, detractors."
            )
        return found[0]

    @property
    def headline(self) -> Metric:
        """The one figure to follow: the first outcome's NPS, or else its first metric.

        Raises
        ------
        ValueError
            When the study has no outcome.
        """
        metrics = self.metrics("outcome")
        if not metrics:
            raise ValueError(f"study '{self.name}' must have an outcome; got none.")
        return next((metric for metric in metrics if metric.name == "nps"), metrics[0])

    @property
    def top_box(self) -> dict[str, float]:
        """Lowest rating of the top box, per rating of the main table whose scale has one."""
        return {
            column.name: float(column.scale.top_box[0])
            for column in self.main.with_role(*RATING_ROLES)
            if column.scale and column.scale.top_box
        }

    @property
    def cuts(self) -> dict[str, tuple[float, float]]:
        """Highest low rating and lowest high rating, per rating of the main table."""
        return {
            column.name: column.scale.cuts
            for column in self.main.with_role(*RATING_ROLES)
            if column.scale
        }

    @property
    def labels(self) -> dict[str, str]:
        """Column name to words, for every column of every table."""
        return {
            column.name: column.label
            for table in self.definition.tables.values()
            for column in table.columns.values()
        }

    @property
    def design(self) -> dict[str, str | None]:
        """Keywords for estimators: ``nps(answers, "recommend", **study.design)``."""
        return self.table_design(self.definition.main)

    def table_design(self, table: str) -> dict[str, str | None]:
        """As `design`, for any table."""
        roles = {"weights": "weight", "strata": "strata", "cluster": "cluster"}
        found = {key: self.table(table).only(role) for key, role in roles.items()}
        names: dict[str, str | None] = {k: c.name if c else None for k, c in found.items()}
        declared = any(names.values())
        return {**names, "stratum_clusters": "stratum_clusters" if declared else None}

    def table(self, name: str) -> Table:
        """Definition of a table.

        Raises
        ------
        ValueError
            For a name that the study does not declare.
        """
        if name not in self.definition.tables:
            raise ValueError(unknown("table", name, self.definition.tables))
        return self.definition.tables[name]

    def metrics(self, *roles: str, table: str | None = None) -> list[Metric]:
        """Declared metrics of the columns of the given roles (default: every rating)."""
        chosen = self.table(table or self.definition.main).with_role(*(roles or RATING_ROLES))
        return [metric for column in chosen for metric in column.all_metrics()]

    def files(self, *, period: str | None = None) -> list[Path]:
        """The study file and every data file that a period's answers come from."""
        paths = [self.path]
        for table in self.definition.tables.values():
            wanted = [p for p in table.files if period is None or p in ("", str(period))]
            paths += [self._file(table, p) for p in wanted]
        return paths

    def read(
        self,
        table: str | None = None,
        *,
        period: str | Sequence[str] | None = None,
        where: Where | None = None,
    ) -> pd.DataFrame:
        """Checked, cleaned answers of one table.

        Parameters
        ----------
        table : str, optional
            A declared table; default: the main one.
        period : str or sequence of str, optional
            One or several of its periods; default: all.
        where : mapping, optional
            Column to the value or list of values wanted, as they stand in the cleaned
            answers. Strata and clusters stay whole: ``stratum_clusters`` counts those of
            the unfiltered file, so that intervals of a part are right.

        Returns
        -------
        DataFrame
            ``period`` first, then the declared columns. A rating ``x`` is float, NaN
            unless answered, and stands beside ``x_missing``: ``never used``, ``no
            answer``, ``don't know``, ``not asked`` or ``invalid``; null where answered.
            Segments are categorical, in declared order. ``stratum_clusters`` is last,
            where weights, strata or clusters are declared.

        Raises
        ------
        ValueError
            For anything the study does not declare: a column, a value, a code, a period;
            a repeated id; a bad weight. The message names the file, the column, one
            value and how many more.
        FileNotFoundError
            When a file is neither beside the study file nor in the mirror folder.

        Examples
        --------
        >>> answers = load_study("demo").read(period="2025-Q4")
        >>> bool(answers["recommend"].between(0, 10).eq(answers["recommend"].notna()).all())
        True
        """
        self._check_confirmed()
        definition = self.table(table or self.definition.main)
        wanted = [period] if isinstance(period, str | int) else period
        parts = self._read_parts(definition, [str(p) for p in wanted] if wanted else None)
        answers = pd.concat(parts, ignore_index=True) if len(parts) > 1 else parts[0]
        answers = _restore_categories(answers, parts)
        if answers["period"].nunique() > 1:
            answers = _tell_periods_apart(answers, definition)
        if any(self.table_design(definition.name).values()):
            answers["stratum_clusters"] = _stratum_clusters(answers, definition)
        return _only_where(answers, where, definition) if where else answers

    def _check_confirmed(self) -> None:
        questions = self.definition.open_questions
        if questions:
            first = questions[0]
            raise ValueError(
                f"{self.path.name}: every guess must be confirmed before answers are read; "
                f"{len(questions)} still to confirm, first {first.place}: {first.question} "
                f"To see them all, run cxlab study check {_as_typed(self.path)}"
            )

    def _read_parts(self, table: Table, wanted: list[str] | None) -> list[pd.DataFrame]:
        if "" in table.files:
            return [self._read_single_file(table, wanted)]
        periods = list(table.files) if wanted is None else wanted
        for period in periods:
            if period not in table.files:
                raise ValueError(unknown("period", period, table.files))
        return [self._clean(table, period, _read_raw(self, table, period)) for period in periods]

    def _read_single_file(self, table: Table, wanted: list[str] | None) -> pd.DataFrame:
        raw = _read_raw(self, table, "")
        column = table.only("period")
        if wanted is not None:
            if column is None:
                raise ValueError(
                    f"`period` must be left out, because table '{table.name}' has no periods; "
                    f"got '{wanted[0]}'. Declare a column with role = 'period', or `files`."
                )
            periods = _periods_of(raw, column, self._file(table, "").name)
            there = sorted(periods.unique())
            for period in wanted:
                if period not in there:
                    raise ValueError(unknown("period", period, there))
            raw = raw[periods.isin(wanted)].reset_index(drop=True)
        return self._clean(table, "", raw)

    def _file(self, table: Table, period: str) -> Path:
        return find_file(table.files[period], self.path.parent)

    def _clean(self, table: Table, period: str, raw: pd.DataFrame) -> pd.DataFrame:
        file = Path(table.files[period]).name
        headers = _match_headers(raw, table, period, file)
        cleaned: dict[str, pd.Series] = {}
        if table.only("period") is None:
            cleaned["period"] = pd.Series(period or "all", index=raw.index, dtype="str")
        for column in table.columns.values():
            header = headers.get(column.name)
            cleaned.update(_clean_column(raw, column, header, file))
        frame = pd.DataFrame(cleaned)
        _check_ids(frame, table, file)
        return frame[["period", *(name for name in frame if name != "period")]]


def load_study(name_or_path: str | Path) -> Study:
    """A study by name (``"demo"``, ``"sfo"``) or by the path of its study file.

    Parameters
    ----------
    name_or_path : str or Path
        A name that `cxlab.survey.datasets` knows, a ``study.toml``, or a folder with one.

    Returns
    -------
    Study

    Raises
    ------
    FileNotFoundError
        When there is no such study.
    ValueError
        When the study file says something that cannot be.

    Examples
    --------
    >>> load_study("demo").outcomes
    ['overall', 'recommend', 'effort']
    """
    path = find_study(name_or_path)
    return Study(path=path, definition=read_definition(path))


def _read_raw(study: Study, table: Table, period: str) -> pd.DataFrame:
    path = find_file(table.files[period], study.path.parent)
    return read_as_text(path, table.encoding, table.separator)


def _as_typed(path: Path) -> str:
    """The path from the current folder, where it lies below it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _periods_of(raw: pd.DataFrame, column: Column, file: str) -> pd.Series:
    """Period of each row, one spelling each; every row must have one."""
    header = _find_header(raw, column, "", file)
    periods = cleaning.clean_text(raw[header], column, f"{file}, column '{header}'")
    without = int(periods.isna().sum())
    if without:
        raise ValueError(
            f"{file}: every row must have a period in '{header}'; {without:,} have none. "
            "Fill them in: an answer without a period would belong to no report."
        )
    return periods


def _match_headers(
    raw: pd.DataFrame, table: Table, period: str, file: str
) -> dict[str, str | None]:
    """Declared column to the header that holds it; refuses what is not declared."""
    headers = {
        column.name: _find_header(raw, column, period, file) if column.header(period) else None
        for column in table.columns.values()
    }
    used = set(headers.values())
    stray = [header for header in raw.columns if header not in used and not table.ignores(header)]
    if stray:
        raise ValueError(
            f"{file}: every column must be declared in table '{table.name}' or listed in its "
            f"`ignore`; got {got(stray)}. Declare [tables.{table.name}.columns.NAME] with "
            "its role, or ignore it."
        )
    return headers


def _find_header(raw: pd.DataFrame, column: Column, period: str, file: str) -> str:
    wanted = column.header(period) or ""
    if wanted in raw.columns:
        return wanted
    alike = [str(h) for h in raw.columns if normal_header(h) == normal_header(wanted)]
    if len(alike) > 1:
        raise ValueError(
            f"{file} must have one column '{wanted}' ({column.name}); got {one_of(alike)}. "
            "Write the header in `column` exactly as it stands in the file."
        )
    if alike:
        return alike[0]
    near = nearest(wanted, raw.columns)
    raise ValueError(
        f"{file} must have the column '{wanted}' ({column.name}); it isn't there. "
        + (f"Did you mean '{near}'? " if near else "")
        + "If it was not asked in that period, give `column` per period and leave this one out."
    )


def _clean_column(
    raw: pd.DataFrame, column: Column, header: str | None, file: str
) -> dict[str, pd.Series]:
    place = f"{file}, column '{header}'"
    if header is None:
        return _not_asked(raw, column, file)
    text = raw[header]
    if column.role in RATING_ROLES:
        values, reasons = cleaning.clean_rating(text, column, place)
        return {column.name: values, f"{column.name}_missing": reasons}
    cleaners = {
        "segment": cleaning.clean_segment,
        "number": cleaning.clean_number,
        "weight": cleaning.clean_weight,
        "date": cleaning.clean_date,
    }
    name = "period" if column.role == "period" else column.name
    return {name: cleaners.get(column.role, cleaning.clean_text)(text, column, place)}


def _not_asked(raw: pd.DataFrame, column: Column, file: str) -> dict[str, pd.Series]:
    if column.role in ("weight", "strata", "cluster", "id"):
        raise ValueError(
            f"{file} must have the {column.role} column '{column.name}'; the study gives it no "
            "header for this period. Declare one, or study the period on its own."
        )
    if column.role in RATING_ROLES:
        return {
            column.name: pd.Series(float("nan"), index=raw.index),
            f"{column.name}_missing": pd.Series("not asked", index=raw.index, dtype="str"),
        }
    if column.role == "number":
        return {column.name: pd.Series(float("nan"), index=raw.index)}
    if column.role == "date":
        return {column.name: pd.Series(pd.NaT, index=raw.index)}
    if column.role == "segment":
        categories = list(dict.fromkeys(column.values.values()))
        empty = pd.Categorical([None] * len(raw), categories=categories)
        return {column.name: pd.Series(empty, index=raw.index)}
    return {column.name: pd.Series(None, index=raw.index, dtype="str")}


def _check_ids(frame: pd.DataFrame, table: Table, file: str) -> None:
    column = table.only("id")
    if column is None:
        return
    ids = frame[column.name]
    if ids.isna().any():
        raise ValueError(
            f"{file}: every row must have an id in '{column.name}'; {int(ids.isna().sum()):,} "
            "have none. Fill them in, or declare the column as text."
        )
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise ValueError(
            f"{file}: ids in '{column.name}' must be unique; got {got(list(repeated))} more than "
            "once. Remove the repeated answers, or declare another column as the id."
        )


def _restore_categories(answers: pd.DataFrame, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Joining parts whose categories differ would turn a segment into text."""
    for name in parts[0]:
        if not isinstance(parts[0][name].dtype, pd.CategoricalDtype):
            continue
        every = pd.Index([]).append([pd.Index(part[name].cat.categories) for part in parts])
        answers[name] = pd.Categorical(answers[name], categories=every.unique())
    return answers


def _tell_periods_apart(answers: pd.DataFrame, table: Table) -> pd.DataFrame:
    """Strata of two periods are two strata; so are clusters, unless declared to span them."""
    strata, cluster = table.only("strata"), table.only("cluster")
    chosen = strata or (cluster if cluster and not cluster.spans_periods else None)
    if chosen is not None:
        answers[chosen.name] = answers["period"] + " " + answers[chosen.name]
    return answers


def _stratum_clusters(answers: pd.DataFrame, table: Table) -> pd.Series:
    strata, cluster = table.only("strata"), table.only("cluster")
    stratum = answers[strata.name] if strata else pd.Series(0, index=answers.index)
    if cluster is None:
        return stratum.map(stratum.value_counts()).astype("int64")
    ids = answers[cluster.name]
    whole = ids.groupby(stratum).nunique()
    alone = ids.isna().groupby(stratum).sum()
    return stratum.map(whole + alone).astype("int64")


def _only_where(answers: pd.DataFrame, where: Where, table: Table) -> pd.DataFrame:
    if not isinstance(where, Mapping):
        raise TypeError(
            f"`where` must be a mapping of column to value(s), such as {{'gender': 'Female'}}; "
            f"got {type(where).__name__}."
        )
    keep = pd.Series(True, index=answers.index)
    for name, wanted in where.items():
        if name not in answers.columns:
            raise ValueError(unknown("where", name, answers.columns, what="a column: "))
        keep &= _matches(answers[name], name, wanted)
    if not keep.any():
        raise ValueError(
            f"`where` must leave at least one answer of table '{table.name}'; "
            f"got none for {dict(where)}. Loosen a condition."
        )
    return answers[keep].reset_index(drop=True)


def _matches(values: pd.Series, name: str, wanted: Any) -> pd.Series:
    one = isinstance(wanted, str) or not isinstance(wanted, Iterable)
    choices = [wanted] if one else list(wanted)
    if pd.api.types.is_float_dtype(values):
        return values.isin([_as_number(choice, values, name) for choice in choices])
    text = values.astype("str")
    there = sorted(text.dropna().unique())
    for choice in choices:
        if str(choice) not in there:
            raise ValueError(unknown("where", choice, there, of=name))
    return text.isin([str(choice) for choice in choices])


def _as_number(choice: Any, values: pd.Series, name: str) -> float:
    there = [f"{v:.15g}" for v in sorted(values.dropna().unique())]
    try:
        number = float(choice)
    except (TypeError, ValueError):
        raise ValueError(unknown("where", choice, there, of=name)) from None
    if not (values == number).any():
        raise ValueError(unknown("where", choice, there, of=name))
    return number
