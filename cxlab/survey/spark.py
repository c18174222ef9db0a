"""Raw frames of Spark, cleaned where their rows are: by partition, on the cluster's workers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import narwhals as nw
import pandas as pd
import pyarrow as pa

from cxlab.core.engines import collect
from cxlab.survey.answers import Cleaner, Findings, repeated_ids
from cxlab.survey.definition import Table
from cxlab.survey.joining import common_zones
from cxlab.survey.reading import Asked, check_found, join
from cxlab.survey.store import answers_schema, as_schema


def read_on_spark(table: Table, given: Mapping[str, Any], asked: Asked) -> Any:
    """Clean answers of Spark frames as a Spark frame.

    The rows stay on the cluster, which keeps the clean ones (``persist``). Its workers need
    cxlab.

    Parameters
    ----------
    table : Table
    given : mapping of str to pyspark DataFrame
        Period to its raw rows.
    asked : Asked
    """
    found: dict[str, list[Findings]] = {}
    frames = []
    for period, raw in given.items():
        findings = _findings(table, period, raw, asked.wanted)
        check_found(table, [findings], asked.wanted)
        found[period] = [findings]
        clean = _clean(table, period, raw, asked.wanted, findings)
        _check_ids(table, clean)
        frames.append(clean)
    common_zones(table, found)
    rows = nw.concat(frames, how="vertical") if len(frames) > 1 else frames[0]
    return join(rows, table, found, asked)


def _findings(table: Table, period: str, raw: Any, wanted: Sequence[str] | None) -> Findings:
    """What is found in all partitions."""

    def look(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        cleaner = Cleaner(table, period, "`source`")
        for batch in batches:
            cleaner.clean(pa.table(batch), wanted)
        record = json.dumps(cleaner.findings.as_record())
        yield pa.RecordBatch.from_pydict({"found": [record]})

    whole = Findings("`source`")
    for row in raw.mapInArrow(look, "found string").collect():
        whole.add(Findings.of(json.loads(row["found"])))
    return whole


def _clean(
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


def _check_ids(table: Table, rows: nw.LazyFrame) -> None:
    column = table.only("id")
    if column is None:
        return
    counted = rows.select(id=nw.col(column.name)).group_by("id").agg(nw.len().alias("n"))
    again = counted.filter(nw.col("n") > 1)
    found = collect(again.select(first=nw.col("id").min(), more=(nw.col("n") - 1).sum())).iloc[0]
    if pd.notna(found["first"]):
        raise repeated_ids("`source`", column.name, str(found["first"]), int(found["more"]))
