"""Raw tables → checked, clean answers in any dataframe engine."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cxlab.core.engines import SINGLE_THREAD_ROWS, collect, connection
from cxlab.core.messages import unknown
from cxlab.survey.answers import Cleaner, Findings, check_wanted, repeated_ids
from cxlab.survey.cells import as_text
from cxlab.survey.definition import DATE_ROLES, NUMBER_ROLES, RATING_ROLES, Table
from cxlab.survey.joining import common_zones, join_answers
from cxlab.survey.sources import (
    Beside,
    RawTable,
    beside_source,
    engine_of,
    given_tables,
    raw_frame,
)
from cxlab.survey.store import CleanPart, Memory, Store, answers_schema, as_schema, duckdb_rows

#: What clean answers can be read with, and how it is written.
ENGINES = {
    "pandas": "pandas",
    "duckdb": "DuckDB",
    "polars": "Polars",
    "ibis": "Ibis",
    "pyspark": "Spark",
}
#: Raw answers of so many bytes of text at most are cleaned in memory, where they take about
#: fifteen times as many.
MOST_BYTES = 50_000_000
#: Bytes of text that a byte of a compressed file, or a cell of a Parquet file, stands for.
GZIP_RATIO, CELL_BYTES = 6, 4

RawTables = Mapping[str, Sequence[RawTable]]


@dataclass(frozen=True)
class Asked:
    """What of a table is to be read."""

    wanted: list[str] | None = None  # periods; None: all
    where: Mapping[str, Any] | None = None  # as for `Study.read`
    design: bool = False  # whether to add ``stratum_clusters``
    #: One of `ENGINES`; None: the size of the files, or a source's own engine, decides.
    engine: str | None = None


def asked_of(
    table: Table,
    period: str | Sequence[str] | None,
    where: Mapping[str, Any] | None,
    design: bool,
    engine: str | None,
) -> Asked:
    """What `Study.read` was asked for, checked."""
    if where is not None and not isinstance(where, Mapping):
        raise TypeError(
            f"`where` must be a mapping of column to value(s), such as {{'gender': 'Female'}}; "
            f"got {type(where).__name__}."
        )
    if engine not in (None, *ENGINES):
        raise ValueError(unknown("engine", engine, ENGINES))
    for column in table.with_role("unit"):
        if column.persons and column.name in (where or {}):
            raise ValueError(
                f"`where` must not choose by '{column.name}', whose units are one person each. "
                "Leave it out: persons leave only in a file that is asked for."
            )
    return Asked(as_periods(period), where, design, engine)


def as_periods(period: str | Sequence[str] | None) -> list[str] | None:
    """One period or several, as `Study.read` takes them, as a list of text."""
    asked = [period] if isinstance(period, str | int) else period
    return [str(one) for one in asked] if asked else None


def read_files(table: Table, raws: RawTables, asked: Asked, store: Store) -> Any:
    """Clean answers of declared files: a pandas frame, or a lazy one of the engine."""
    engine = asked.engine or usual_engine(raws)
    keep: Memory | Store = Memory(asked.wanted) if engine == "pandas" else store
    found: dict[str, list[Findings]] = {}
    parts: list[CleanPart] = []
    for period, files in raws.items():
        _check_headers(files, [keep.find(table, period, raw) for raw in files])
        own = [keep.clean(table, period, raw) for raw in files]
        found[period] = [part.findings for part in own]
        _check_found(table, found[period], asked.wanted)
        keep.check_ids(table, own, _name_of(files), asked.wanted)
        parts += own
    zones = common_zones(table, found)
    if engine == "pandas":
        rows = nw.from_native(_as_pandas(table, parts, zones)).lazy()
    else:
        rows = scan(parts, table, engine)
        if asked.wanted is not None and "" in raws:
            rows = rows.filter(nw.col("period").is_in(asked.wanted))
    return _joined(rows, table, found, asked)


def read_source(table: Table, source: Any, asked: Asked, store: Store, folder: Path) -> Any:
    """Clean answers of frames that stand in for the declared files; see `Study.read`."""
    given = given_tables(table, source, asked.wanted)
    beside = {period: beside_source(table, period, folder) for period in given}
    own = engine_of(next(iter(given.values()), None))
    if own == "pyspark":
        if asked.engine not in (None, own):
            raise ValueError(
                "`engine` must be left out with a Spark frame, whose rows stay on the cluster; got "
                f"'{asked.engine}'."
            )
        return _read_on_spark(table, given, asked, beside)
    raws = {period: [raw_frame(frame, beside[period])] for period, frame in given.items()}
    return read_files(table, raws, replace(asked, engine=asked.engine or own), store)


def usual_engine(raws: RawTables) -> str:
    """What reads files when nobody says it: by their size."""
    size = sum(_text_bytes(raw.path) for files in raws.values() for raw in files)
    return "duckdb" if size > MOST_BYTES else "pandas"


def raw_cells(
    table: Table,
    raws: RawTables,
    wanted: Sequence[str] | None,
    chosen: Callable[[str], bool],
) -> tuple[pd.DataFrame, pd.Series]:
    """Raw cells of the columns that are chosen, as text, and the period of each row."""
    cells, periods = [pd.DataFrame()], [pd.Series(dtype="str")]
    for period, files in raws.items():
        for raw in files:
            cleaner = Cleaner(table, period, raw.name)
            for chunk in raw.chunks():
                names = [name for name in chunk.column_names if chosen(name)]
                if not names:
                    break
                own = cleaner.periods(chunk)
                kept = pc.is_in(own, pa.array(list(wanted or cleaner.findings.there), pa.string()))
                cells.append(as_text(chunk.select(names).filter(kept)).to_pandas())
                periods.append(own.filter(kept).to_pandas())
    whole = pd.concat(cells, ignore_index=True).fillna("")
    return whole, pd.concat(periods, ignore_index=True)


def periods_in(table: Table, raws: RawTables, engine: str | None, store: Store) -> list[str]:
    """Periods that the period column of files holds, in order."""
    copied = (engine or usual_engine(raws)) != "pandas"
    whole = Findings(_name_of(raws[""]))
    for raw in raws[""]:
        if copied:
            whole.add(store.clean(table, "", raw).findings)
            continue
        cleaner = Cleaner(table, "", raw.name)
        for chunk in raw.chunks():
            cleaner.periods(chunk)
        whole.add(cleaner.findings)
    whole.check_periods(table)
    return whole.there


def _text_bytes(path: Path | None) -> int:
    """About how many bytes of text a file holds."""
    if path is None:
        return 0
    if path.suffix.lower() == ".parquet":
        with contextlib.suppress(OSError, ValueError):
            told = pq.read_metadata(path)
            return int(told.num_rows * told.num_columns * CELL_BYTES)
    return path.stat().st_size * (GZIP_RATIO if path.suffix.lower() == ".gz" else 1)


def _check_headers(files: Sequence[RawTable], copies: Sequence[CleanPart | None]) -> None:
    """Refuse files of one table whose headers differ; of those cleaned before, they are known."""
    if len(files) == 1:
        return
    first: set[str] = set()
    for raw, copy in zip(files, copies, strict=True):
        headers = set(copy.findings.headers if copy else raw.headers)
        first = first or headers
        if other := sorted(headers ^ first):
            raise ValueError(
                f"{raw.name} must have the columns of {files[0].name}; '{other[0]}' is in one of "
                "them only. Make them alike, or declare each file as a period."
            )


def _check_found(table: Table, found: Sequence[Findings], wanted: Sequence[str] | None) -> None:
    """Refuse what was found in the files of one period, or that they lack a period that is wanted."""
    whole = Findings(found[0].name)
    for one in found:
        whole.add(one)
    if wanted is not None and "" in table.files:
        if table.only("period") is not None:
            whole.check_periods(table)
        check_wanted(table, whole.there, wanted)
    whole.check(table, wanted if table.only("period") else None)


def _name_of(files: Sequence[RawTable]) -> str:
    """What messages call a table of one or several files."""
    first = files[0]
    if len(files) == 1 or first.path is None:
        return first.name
    return f"{first.path.parent.name}/{first.name} …"


def _joined(
    rows: nw.LazyFrame, table: Table, found: Mapping[str, Sequence[Findings]], asked: Asked
) -> Any:
    """The answers that were asked for, from the clean rows of their periods."""
    there = {period for files in found.values() for one in files for period in one.rows} - {""}
    if asked.wanted is not None and "" in found:
        there &= set(asked.wanted)
    return join_answers(
        rows, table, periods=len(there), design=asked.design, where=asked.where
    ).to_native()


def _as_pandas(table: Table, parts: Sequence[CleanPart], zones: Mapping[str, str]) -> pd.DataFrame:
    """Clean answers as pandas has them: scores as floats, NaN unless answered."""
    chunks = [chunk for part in parts for chunk in part.chunks]
    types: dict[str, pa.DataType] = dict.fromkeys(chunks[0].column_names, pa.string())
    types |= {c.name: pa.float64() for c in table.with_role(*RATING_ROLES, *NUMBER_ROLES, "weight")}
    types |= {date: pa.timestamp("us", zone or None) for date, zone in zones.items()}
    schema = pa.schema(types.items())
    whole = pa.concat_tables(
        pa.table([c[n].cast(types[n], safe=False) for n in types], schema=schema) for c in chunks
    )
    return whole.to_pandas()


# Spark ------------------------------------------------------------------------------------


def _read_on_spark(
    table: Table, given: Mapping[str, Any], asked: Asked, beside: Mapping[str, Beside | None]
) -> Any:
    """Clean answers of Spark frames as a Spark frame.

    The rows stay on the cluster, which keeps the clean ones (``persist``). Its workers need
    cxlab.
    """
    found: dict[str, list[Findings]] = {}
    frames = []
    for period, raw in given.items():
        raw = _joined_on_spark(raw, beside[period])
        findings = _found_on_spark(table, period, raw, asked.wanted)
        _check_found(table, [findings], asked.wanted)
        found[period] = [findings]
        clean = _clean_on_spark(table, period, raw, asked.wanted, findings)
        _check_ids_on_spark(table, clean)
        frames.append(clean)
    common_zones(table, found)
    rows = nw.concat(frames, how="vertical") if len(frames) > 1 else frames[0]
    return _joined(rows, table, found, asked)


def _joined_on_spark(raw: Any, beside: Beside | None) -> Any:
    """Raw rows with what stands beside them, as text."""
    lacking = [name for name in beside.names if name not in raw.columns] if beside else []
    if beside is None or not lacking:
        return raw
    more = beside.rows.select([beside.key, *lacking]).to_pandas().astype(str)
    return raw.join(raw.sparkSession.createDataFrame(more), on=beside.key, how="left")


def _found_on_spark(table: Table, period: str, raw: Any, wanted: Sequence[str] | None) -> Findings:
    """What is found in all partitions."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cleaner = Cleaner(table, period, "`source`")
        for batch in batches:
            cleaner.clean(pa.table(batch), wanted)
        record = cleaner.findings.as_record().decode()
        yield pa.RecordBatch.from_pydict({"found": [record]})

    whole = Findings("`source`")
    for row in raw.mapInArrow(look, "found string").collect():
        whole.add(Findings.of(row["found"]))
    return whole


def _clean_on_spark(
    table: Table, period: str, raw: Any, wanted: Sequence[str] | None, findings: Findings
) -> nw.LazyFrame:
    from pyspark.sql.pandas.types import from_arrow_schema

    zoned = [name for name, zones in findings.zones.items() if zones != [""]]
    schema = answers_schema(table, zoned)

    def clean(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cleaner = Cleaner(table, period, "`source`")
        for batch in batches:
            chunk = as_schema(cleaner.clean(pa.table(batch), wanted), schema)
            yield from chunk.cast(schema).to_batches()

    return nw.from_native(raw.mapInArrow(clean, from_arrow_schema(schema)).persist()).lazy()


def _check_ids_on_spark(table: Table, rows: nw.LazyFrame) -> None:
    column = table.only("id")
    if column is None:
        return
    counted = rows.select(id=nw.col(column.name)).group_by("id").agg(nw.len().alias("n"))
    again = counted.filter(nw.col("n") > 1)
    found = collect(again.select(first=nw.col("id").min(), more=(nw.col("n") - 1).sum())).iloc[0]
    if pd.notna(found["first"]):
        raise repeated_ids("`source`", column.name, str(found["first"]), int(found["more"]))


def scan(parts: Sequence[CleanPart], table: Table, engine: str) -> nw.LazyFrame:
    """Clean copies as one lazy frame of an engine, in their order."""
    if engine == "duckdb":
        database = connection()
        database.execute("SET TimeZone = 'UTC'")  # whatever the machine's is
        if sum(sum(part.findings.rows.values()) for part in parts) < SINGLE_THREAD_ROWS:
            database.execute("SET threads = 1")
        opener: Callable[..., Any] = functools.partial(duckdb_rows, database)
    else:
        opener = {"polars": _polars_rows, "ibis": _ibis_rows, "pyspark": _spark_rows}[engine]
    zoned = {
        date.name: {_is_zoned(part, date.name) for part in parts}
        for date in table.with_role(*DATE_ROLES)
    }
    mixed = [name for name, kinds in zoned.items() if len(kinds) > 1]
    if not mixed:
        return nw.from_native(opener(parts)).lazy()
    # a file whose every date is blank has no zone
    stamp = nw.lit(None).cast(nw.Datetime("us", "UTC"))
    frames = [
        nw.from_native(opener([part])).lazy().with_columns(
            stamp.alias(name) for name in mixed if not _is_zoned(part, name)
        )
        for part in parts
    ]  # fmt: skip
    return nw.concat(frames, how="vertical")


def _is_zoned(part: CleanPart, date: str) -> bool:
    return part.findings.zones.get(date, [""]) != [""]


def _polars_rows(parts: Sequence[CleanPart]) -> Any:
    import polars as pl

    return pl.scan_parquet([part.path for part in parts], glob=False, hive_partitioning=False)


def _ibis_rows(parts: Sequence[CleanPart]) -> Any:
    import ibis

    paths = [str(part.path) for part in parts]
    return ibis.duckdb.connect().read_parquet(paths, hive_partitioning=False)


def _spark_rows(parts: Sequence[CleanPart]) -> Any:
    from pyspark.sql import SparkSession

    return SparkSession.builder.getOrCreate().read.parquet(*(str(part.path) for part in parts))
