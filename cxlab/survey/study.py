"""What the columns of a survey mean (a TOML file) → checked, cleaned answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.core.design import Design
from cxlab.core.engines import row_count
from cxlab.core.messages import unknown
from cxlab.core.metric import Metric
from cxlab.survey import sources
from cxlab.survey.datasets import find_study
from cxlab.survey.definition import RATING_ROLES, Column, Definition, Table
from cxlab.survey.joining import choices_of, without_hidden
from cxlab.survey.reading import (
    ENGINES,
    RawTables,
    asked_of,
    periods_in,
    read_files,
    read_source,
)
from cxlab.survey.scales import Scale
from cxlab.survey.store import Store
from cxlab.survey.study_file import read_definition

Where = Mapping[str, Any]


@dataclass(frozen=True, eq=False, repr=False)
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

    def __repr__(self) -> str:
        return "\n".join(f"{name}: {words}" for name, words in self.definition.in_words().items())

    def _repr_html_(self) -> str:
        lines = self.definition.in_words().items()
        return "<br>".join(f"<b>{escape(name)}</b>: {escape(words)}" for name, words in lines)

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
        """One line that says what the data are, whose, and what a wave's design lacks."""
        told = "SIMULATED data, no real customers. " if self.simulated else ""
        parts = [self.title, self.definition.source, self.definition.licence]
        about = told + ". ".join(part.rstrip(".") for part in parts if part) + "."
        return f"{about} {self.main.design_notes}".strip()

    @property
    def main(self) -> Table:
        """The main table."""
        return self.definition.tables[self.definition.main]

    @property
    def periods(self) -> list[str]:
        """Periods of the main table, in order: of its files, or in its period column."""
        declared = [period for period in self.main.files if period]
        if declared:
            return declared
        column = self.main.only("period")
        if column is None:
            return []
        raws = self.raw_files(self.main, None)
        return periods_in(self.main, raws, self.definition.engine, self._store)

    @property
    def touchpoints(self) -> list[str]:
        """Names of the main table's touchpoints, in declared order."""
        return [column.name for column in self.main.with_role("touchpoint")]

    @property
    def stages(self) -> dict[str, list[str]]:
        """Stage of the journey to its touchpoints; those without one are a stage of their own."""
        found: dict[str, list[str]] = {}
        for column in self.main.with_role("touchpoint"):
            found.setdefault(column.stage or "No stage", []).append(column.name)
        return found

    @property
    def owners(self) -> dict[str, str]:
        """Touchpoint to who acts on it, where the study declares an owner."""
        return {c.name: c.owner for c in self.main.with_role("touchpoint") if c.owner}

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
        found = self.advocacy_of()
        if found is None:
            raise ValueError(
                f"study '{self.name}' must have an outcome with metric 'nps'; got none. Put likelihood "
                "to recommend on a scale with the bins promoters, passives, detractors."
            )
        return found

    def advocacy_of(self, period: str | None = None) -> str | None:
        """As `Study.advocacy`, if such an outcome was asked in a period; else None."""
        metrics = self.metrics("outcome", period=period)
        return next((metric.column for metric in metrics if metric.name == "nps"), None)

    @property
    def headline(self) -> Metric:
        """The one figure to follow: the one declared, else the first NPS, else the first metric.

        Raises
        ------
        ValueError
            When the study has no outcome.
        """
        return self.headline_of(None)

    def headline_of(self, period: str | None) -> Metric:
        """As `Study.headline`, of the outcomes that were asked in a period."""
        declared = [column for column in self._asked(period) if column.headline]
        if declared and (chosen := declared[0].headline_metric()):
            return chosen
        metrics = self.metrics("outcome", period=period)
        if not metrics:
            raise ValueError(f"study '{self.name}' must have an outcome; got none.")
        return next((metric for metric in metrics if metric.name == "nps"), metrics[0])

    def headline_metrics(self, period: str | None = None) -> list[Metric]:
        """One metric for each outcome that the study declares as headline, or else for each.

        ``period``: only of outcomes that were asked in it.

        Examples
        --------
        >>> [metric.title for metric in load_study("demo").headline_metrics()]
        ['Satisfied (8 to 10)', 'NPS', 'Easy less hard']
        """
        asked = self._asked(period)
        declared = [column for column in asked if column.headline] or asked
        found = [column.headline_metric() for column in declared]
        return [metric for metric in found if metric is not None]

    def leading_outcomes(self, period: str | None = None) -> list[str]:
        """Overall satisfaction, then likelihood to recommend, of those asked in a period.

        The first outcome that is not reported as NPS and the first that is; one of them where
        the study has no other.

        Examples
        --------
        >>> load_study("demo").leading_outcomes()
        ['overall', 'recommend']
        """
        metrics = self.metrics("outcome", period=period)
        advocacy = [metric.column for metric in metrics if metric.name == "nps"]
        others = [one.name for one in self._asked(period) if one.name not in advocacy]
        return others[:1] + advocacy[:1]

    def _asked(self, period: str | None) -> list[Column]:
        return [
            column
            for column in self.main.with_role("outcome")
            if period is None or column.header(period) is not None
        ]

    def selection(self, where: Where | None, *, table: str | None = None) -> str:
        """A selection in words: ``Boarding area = G``; ``everyone`` without one.

        ``table``: whose columns they are; default: the main one's.

        Examples
        --------
        >>> load_study("demo").selection({"segment": ["Business", "Leisure"]})
        'Segment = Business or Leisure'
        """
        if not where:
            return "everyone"
        labels = self.table(table or self.definition.main).labels
        return ", ".join(
            f"{labels.get(name, name)} = {' or '.join(map(str, choices_of(name, wanted)))}"
            for name, wanted in where.items()
        )

    def explored(self, where: Where | None) -> bool:
        """Whether a selection is a part that nobody planned to look at.

        Planned are the groups of the declared segments, one at a time.

        Examples
        --------
        >>> study = load_study("demo")
        >>> study.explored({"segment": "Business"}), study.explored({"overall": [0, 1, 2]})
        (False, True)
        """
        if not where:
            return False
        one = len(where) == 1 and all(
            len(choices_of(name, wanted)) == 1 for name, wanted in where.items()
        )
        return not (one and set(where) <= set(self.segments))

    def describe(
        self, answers: Any, *, period: str | None = None, where: Where | None = None
    ) -> str:
        """How many answers were read, which, and with what where not into memory.

        ``answers`` are as `read` returns them, ``period`` and ``where`` as it was given them.

        Examples
        --------
        >>> study = load_study("demo")
        >>> study.describe(study.read(period="2025-Q4"), period="2025-Q4")
        '426 answers; period: 2025-Q4; selection: everyone.'
        """
        n = row_count(answers)
        told = f"{n:,} answers; period: {period or 'all'}; selection: {self.selection(where)}."
        if isinstance(answers, pd.DataFrame):
            return told
        engine = ENGINES[sources.engine_of(answers)]
        return f"{told} Read by {engine} from a clean copy on disk, not into memory."

    @property
    def top_box(self) -> dict[str, float]:
        """Lowest rating of the top box, per rating of the main table whose scale has one."""
        scales = self._scaled.items()
        return {name: float(scale.top_box[0]) for name, scale in scales if scale.top_box}

    @property
    def scales(self) -> dict[str, tuple[float, float]]:
        """Lowest and highest rating, per rating of the main table."""
        return {name: scale.range for name, scale in self._scaled.items()}

    @property
    def cuts(self) -> dict[str, tuple[float, float]]:
        """Highest low rating and lowest high rating, per rating of the main table."""
        return {name: scale.cuts for name, scale in self._scaled.items()}

    @property
    def _scaled(self) -> dict[str, Scale]:
        ratings = self.main.with_role(*RATING_ROLES)
        return {column.name: column.scale for column in ratings if column.scale}

    @property
    def labels(self) -> dict[str, str]:
        """Column name to words, for every column of the main table.

        Those of another table: ``study.table("transactional").labels``.
        """
        return self.main.labels

    @property
    def short_labels(self) -> dict[str, str]:
        """As `labels`, short where the study declares a short label."""
        return self.main.short_labels

    @property
    def design(self) -> Design:
        """For estimators: ``nps(answers, "recommend", design=study.design)``."""
        return self.table_design(self.definition.main)

    def table_design(self, table: str) -> Design:
        """As `design`, for any table."""
        of = self.table(table)
        found = {"weights": of.only("weight"), "strata": of.only("strata"), "cluster": of.cluster}
        names: dict[str, str | None] = {k: c.name if c else None for k, c in found.items()}
        clusters = "stratum_clusters" if any(names.values()) else None
        customer = of.customer.name if of.customer else None
        return Design(**names, stratum_clusters=clusters, customer=customer)

    def table(self, name: str) -> Table:
        """Definition of a table."""
        if name not in self.definition.tables:
            raise ValueError(unknown("table", name, self.definition.tables))
        return self.definition.tables[name]

    def metrics(
        self, *roles: str, table: str | None = None, period: str | None = None
    ) -> list[Metric]:
        """Declared metrics of the columns of the given roles (default: every rating).

        ``period``: only of columns that were asked in it.
        """
        chosen = self.table(table or self.definition.main).with_role(*(roles or RATING_ROLES))
        return [
            metric
            for column in chosen
            if period is None or column.header(period) is not None
            for metric in column.all_metrics()
        ]

    def files(self, *, period: str | None = None) -> list[Path]:
        """The study file and every data file that a period's answers come from."""
        paths = [self.path]
        for table in self.definition.tables.values():
            wanted = [p for p in table.files if period is None or p in ("", str(period))]
            for file in (table.files[p] for p in wanted):
                paths += sources.find_files(file, self.path.parent)
            paths += sources.find_files(table.beside, self.path.parent) if table.beside else []
        return paths

    def read(
        self,
        table: str | None = None,
        *,
        period: str | Sequence[str] | None = None,
        where: Where | None = None,
        engine: str | None = None,
        source: Any = None,
    ) -> Any:
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
        engine : {"pandas", "duckdb", "polars", "ibis", "pyspark"}, optional
            What the answers come back in. "pandas" has them in memory; the others scan a clean
            copy on disk, made once and found again until a file or its study changes, of files
            of any size (see `cxlab.survey.store`). Default: what the study file says, else pandas
            up to 50 MB of text (a million answers to fifteen questions) and DuckDB above; of
            ``source``, its own engine.
        source : frame of any engine, or mapping of period to frame, optional
            Raw tables that stand in for the declared files, with the same headers: a DuckDB
            relation, an Ibis table (PostgreSQL, BigQuery …), a PySpark frame, a Polars
            LazyFrame, an Arrow table, a pandas frame. A mapping where the study has a file per
            period, unless ``period`` names the one that is given. Clean copies of rows in batches
            go with the process; rows of Spark stay on the cluster.

        Returns
        -------
        DataFrame, or a lazy frame of the engine
            ``period`` first, then the declared columns. A rating ``x`` is float, NaN
            unless answered, and stands beside ``x_missing``: ``never used``, ``no
            answer``, ``don't know``, ``not asked`` or ``invalid``; null where answered.
            Segments are categorical, in declared order. ``stratum_clusters`` is last,
            where weights, strata or clusters are declared. A lazy frame has the same columns; its
            ratings are whole numbers with nulls. Segments keep their declared order in DuckDB and
            Polars; Ibis and PySpark know plain text only, so groups come in alphabetical order.

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
        self.definition.check_confirmed(self.path)
        definition = self.table(table or self.definition.main)
        design = bool(self.table_design(definition.name).used())
        asked = asked_of(definition, period, where, design, engine)
        if source is None:
            asked = replace(asked, engine=asked.engine or self.definition.engine)
            raws = self.raw_files(definition, asked.wanted)
            answers = read_files(definition, raws, asked, self._store)
        else:
            answers = read_source(definition, source, asked, self._store, self.path.parent)
        return without_hidden(answers, definition) if definition == self.main else answers

    @property
    def _store(self) -> Store:
        return Store(self.path, self.name)

    def raw_files(self, table: Table, wanted: Sequence[str] | None) -> RawTables:
        """Declared files as they stand, by the period that each is of."""
        return sources.raw_files(table, self.path.parent, wanted)


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
