"""A period's statistics in one Parquet file: figures, covariances and drivers' shares."""

from __future__ import annotations

from dataclasses import asdict, astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from cxlab.core.metric import Metric
from cxlab.stats.covariance.files import read_sums, write_sums
from cxlab.stats.inference import Spread
from cxlab.stats.tracking.driver_shares import DriverShares

if TYPE_CHECKING:
    from cxlab.stats.tracking.statistics import PeriodStatistics

#: Version of the file's form.
SCHEMA = 1
KIND = "period statistics"
FIGURES, COVARIANCES, DRIVERS = "figures", "covariances", "drivers"


def write_period(path: Path, statistics: PeriodStatistics) -> Path:
    """Write the statistics; the column ``part`` says what a row is."""
    figures = pa.Table.from_pandas(statistics.table.assign(part=FIGURES), preserve_index=False)
    parts = [figures.replace_schema_metadata(None)]
    if statistics.blocks:
        parts.append(_block_table(statistics))
    parts += [_driver_table(i, shares) for i, shares in enumerate(statistics.drivers)]
    facts = {
        "period": statistics.period,
        "metrics": [asdict(metric) for metric in statistics.metrics],
        "beside": {name: asdict(one) for name, one in statistics.beside.items()},
        "hidden": [[*key, groups] for key, groups in statistics.hidden.items()],
        "labels": statistics.labels,
        "facts": statistics.facts,
        "figures": {name: str(kind) for name, kind in statistics.table.dtypes.items()},
        "outcomes": [
            {"outcome": one.outcome, "how": one.how, "n": one.n, "df": one.df}
            for one in statistics.drivers
        ],
        "note": statistics.note,
    }
    table = pa.concat_tables(parts, promote_options="permissive")
    return write_sums(path, table, facts, kind=KIND, schema=SCHEMA)


def read_period(path: str | Path) -> dict[str, Any]:
    """Fields of the statistics in a file."""
    from cxlab.stats.tracking.statistics import Beside

    table, facts = read_sums(path, kind=KIND, schema=SCHEMA)
    parts = {name: _part(table, name) for name in (FIGURES, COVARIANCES, DRIVERS)}
    return {
        "period": facts["period"],
        "table": parts[FIGURES][list(facts["figures"])].astype(facts["figures"]),
        "metrics": tuple(_metric(one) for one in facts["metrics"]),
        "blocks": tuple(_block(row) for row in parts[COVARIANCES].to_dict("records")),
        "beside": {name: Beside(**one) for name, one in facts["beside"].items()},
        "drivers": tuple(
            _drivers(one, parts[DRIVERS], i) for i, one in enumerate(facts["outcomes"])
        ),
        "hidden": {tuple(key): groups for *key, groups in facts["hidden"]},
        "labels": facts["labels"],
        "facts": facts["facts"],
        "note": facts["note"],
    }


def _part(table: pa.Table, name: str) -> pd.DataFrame:
    rows = table.filter(pa.compute.equal(table["part"], name))
    return rows.to_pandas()


def _metric(fields: dict[str, Any]) -> Metric:
    pairs = {
        name: tuple(fields[name]) if fields[name] is not None else None
        for name in ("top", "bottom", "scale")
    }
    return Metric(**{**fields, **pairs})


def _block_table(statistics: PeriodStatistics) -> pa.Table:
    blocks = statistics.blocks
    return pa.table(
        {
            "part": [COVARIANCES] * len(blocks),
            "column": [block.key[0] for block in blocks],
            "metric": [block.key[1] for block in blocks],
            "segment": [block.segment for block in blocks],
            "other": [block.other for block in blocks],
            "groups": [list(block.groups) for block in blocks],
            "other_groups": [list(block.other_groups) for block in blocks],
            "values": [block.values.ravel() for block in blocks],
            "shared": [block.shared for block in blocks],
            "spread": [astuple(block.spread) if block.spread else None for block in blocks],
        }
    )


def _block(row: dict[str, Any]) -> Any:
    from cxlab.stats.tracking.statistics import Block

    groups, others = tuple(row["groups"]), tuple(row["other_groups"])
    return Block(
        key=(row["column"], row["metric"]),
        segment=row["segment"],
        other=row["other"],
        groups=groups,
        other_groups=others,
        values=np.asarray(row["values"], dtype=float).reshape(2 * len(groups), 2 * len(others)),
        shared=int(row["shared"]),
        spread=Spread(*row["spread"]) if row.get("spread") is not None else None,
    )


def _driver_table(number: int, shares: DriverShares) -> pa.Table:
    rows = len(shares.table)
    periods = list(shares.across)
    across = pd.DataFrame(shares.across).reindex(shares.table["driver"])
    return pa.table(
        {
            "part": [DRIVERS] * rows,
            "outcome_number": [number] * rows,
            "driver": shares.table["driver"].astype(str).tolist(),
            "driver_label": shares.table["label"].astype(str).tolist(),
            "n_rated": shares.table["n"].astype("int64").tolist(),
            "share": shares.table["share"].astype(float).tolist(),
            "covariance": list(shares.covariance),
            "quantiles": list(shares.quantiles),
            "across_periods": [periods] * rows,
            "across": list(across.to_numpy(float).reshape(rows, len(periods))),
        },
        schema=_DRIVER_SCHEMA,
    )


_DRIVER_SCHEMA = pa.schema(
    {
        "part": pa.string(),
        "outcome_number": pa.int64(),
        "driver": pa.string(),
        "driver_label": pa.string(),
        "n_rated": pa.int64(),
        "share": pa.float64(),
        "covariance": pa.list_(pa.float64()),
        "quantiles": pa.list_(pa.float64()),
        "across_periods": pa.list_(pa.string()),
        "across": pa.list_(pa.float64()),
    }
)


def _drivers(facts: dict[str, Any], rows: pd.DataFrame, number: int) -> DriverShares:
    own = rows[rows["outcome_number"] == number].reset_index(drop=True)
    drivers = own["driver"].astype(str)
    values = np.vstack([np.asarray(row, dtype=float) for row in own["across"]])
    across = {
        period: pd.Series(values[:, i], index=pd.Index(drivers, name="driver"))
        for i, period in enumerate(own["across_periods"].iloc[0])
    }
    table = {"driver": drivers, "label": own["driver_label"], "n": own["n_rated"].astype("int64")}
    return DriverShares(
        outcome=facts["outcome"],
        how=facts["how"],
        table=pd.DataFrame({**table, "share": own["share"].astype(float)}),
        covariance=np.vstack(list(own["covariance"])),
        quantiles=np.vstack(list(own["quantiles"])),
        n=facts["n"],
        df=facts["df"],
        across=across,
    )
