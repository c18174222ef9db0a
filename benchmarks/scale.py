"""From a raw file through its study to figures: seconds and memory at 1, 10 and 100 million rows.

Simulated ratings of one overall question and twelve touchpoints, stored as small whole
numbers with 0 for no answer and 6 for never used, in one Parquet file. Every job runs in a
process of its own, so that its peak memory is its own: it reads the file through its study
(`Study.read(engine=…)`), which checks and cleans it, and takes moments or a scorecard.
Beside it stands a hand-written DuckDB query for the same moments of the same file.

    python -m benchmarks scale --rows 1000000 10000000
    python -m benchmarks scale --rows 100000000 --jobs hand duckdb polars
    python -m benchmarks scale --rows 10000000 --jobs spark --spark
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

SEED = 20251121
COLUMNS = ["overall", *(f"touchpoint_{number:02d}" for number in range(1, 13))]
NO_ANSWER, NEVER_USED = 0.1, 0.2
#: Rows that pandas is asked to hold.
MOST_PANDAS = 1_000_000

STUDY = """
[study]
name = "scale"
title = "Simulated ratings at scale"
simulated = true

[scales.rating]
range = [1, 5]
bins = {{ bottom = [1, 2], middle = [3, 3], top = [4, 5] }}
missing = {{ 0 = "no answer", 6 = "never used" }}
metrics = ["mean", "top box"]

[tables.answers]
file = "{file}"
"""

READ = """
from cxlab import load_study, scorecard
from cxlab.stats.covariance import moments
study = load_study(folder)
columns = [*study.outcomes, *study.touchpoints]
def read():
    return study.read(engine="{engine}")
"""
MOMENTS = "def run(answers):\n    return moments(answers, columns).n\n"
SCORECARD = "def run(answers):\n    return len(scorecard(answers, study.metrics()))\n"
HAND = """
import duckdb
def known(x):
    return f"CASE WHEN {x} BETWEEN 1 AND 5 THEN {x}::DOUBLE END"
def read():
    names = [f"touchpoint_{i:02d}" for i in range(1, 13)]
    return ["overall", *names]
def run(columns):
    connection = duckdb.connect()
    cells = ", ".join(f"{known(x)} AS {x}" for x in columns)
    bits = " + ".join(f"(CASE WHEN {x} IS NULL THEN 0 ELSE {1 << i} END)" for i, x in enumerate(columns))
    filled = ", ".join(f"coalesce({x}, 0) AS {x}" for x in columns)
    sums = ", ".join(f"sum({x})" for x in columns)
    products = ", ".join(f"sum({x} * {y})" for i, x in enumerate(columns) for y in columns[i:])
    query = (
        f"SELECT pattern, count(*), {sums}, {products} FROM (SELECT {filled}, {bits} AS pattern "
        f"FROM (SELECT {cells} FROM '{folder}/answers.parquet')) GROUP BY pattern"
    )
    return len(connection.sql(query).fetchnumpy()["pattern"])
"""
SPARK = """
import os, warnings
warnings.simplefilter("ignore")
from pyspark.sql import SparkSession
from cxlab import load_study, scorecard
from cxlab.stats.covariance import moments
study = load_study(folder)
columns = [*study.outcomes, *study.touchpoints]
session = (
    SparkSession.builder.master("local-cluster[{workers},1,1024]")
    .config("spark.ui.enabled", "false").config("spark.executor.memory", "1g")
    .config("spark.sql.shuffle.partitions", "8").getOrCreate()
)
session.sparkContext.setLogLevel("ERROR")
session.range(10).count()
def read():
    return study.read(source=session.read.parquet(folder + "/answers.parquet"))
"""
JOBS = {
    "hand-written DuckDB, moments": HAND,
    "duckdb, moments": READ.format(engine="duckdb") + MOMENTS,
    "duckdb, scorecard": READ.format(engine="duckdb") + SCORECARD,
    "polars, moments": READ.format(engine="polars") + MOMENTS,
    "polars, scorecard": READ.format(engine="polars") + SCORECARD,
    "pandas, moments": READ.format(engine="pandas") + MOMENTS,
}
SPARK_JOBS = {
    f"spark {workers} worker{'s' * (workers > 1)}, moments": SPARK.format(workers=workers) + MOMENTS
    for workers in (1, 2)
}

FRAME = """
import json, sys, time
def megabytes():
    # not getrusage: a child inherits its parent's largest size
    status = open("/proc/self/status").read().splitlines()
    return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
folder = sys.argv[1]
{setup}
started, processor = time.perf_counter(), time.process_time()
answers = read()
opened = time.perf_counter()
run(answers)
ended = time.perf_counter()
print()
print(json.dumps([ended - started, opened - started, time.process_time() - processor, megabytes()]))
"""


def write_study(folder: Path, rows: int) -> None:
    """The study file and its answers, a million rows at a time."""
    columns = "".join(
        f'\n[tables.answers.columns.{name}]\nrole = "{"outcome" if i == 0 else "touchpoint"}"\n'
        'scale = "rating"\n'
        for i, name in enumerate(COLUMNS)
    )
    (folder / "study.toml").write_text(STUDY.format(file="answers.parquet") + columns)
    write_answers(folder / "answers.parquet", rows)


def write_answers(path: Path, rows: int) -> None:
    """Ratings 1 to 5 that share a common part, with 0 and 6 for those who gave none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator = np.random.default_rng(SEED)
    schema = pa.schema([(name, pa.int8()) for name in COLUMNS])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, rows, 1_000_000):
            size = min(1_000_000, rows - start)
            common = generator.normal(size=size)
            columns = {}
            for name in COLUMNS:
                latent = 3.6 + 0.7 * common + 0.8 * generator.normal(size=size)
                rating = np.clip(np.round(latent), 1, 5).astype("int8")
                told = generator.random(size)
                rating[told < NO_ANSWER + NEVER_USED] = 6
                rating[told < NO_ANSWER] = 0
                columns[name] = rating
            writer.write_table(pa.table(columns, schema=schema))


def measure(setup: str, folder: Path, repeats: int) -> list[float]:
    """Seconds, seconds of reading, processor seconds and peak megabytes: least of each."""
    program = FRAME.replace("{setup}", setup)
    found = []
    for _ in range(repeats):
        done = subprocess.run(
            [sys.executable, "-c", program, str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr.splitlines()[-1] if done.stderr else "the job failed")
        # engines draw progress bars before it
        found.append(json.loads(done.stdout.splitlines()[-1]))
    return [min(column) for column in zip(*found, strict=True)]


def grown(table: pd.DataFrame) -> pd.Series:
    """Exponent of seconds in rows, against the next smaller file; 1 is proportional."""
    before = table.groupby("job")[["rows", "seconds"]].shift()
    ratio = np.log(table["seconds"] / before["seconds"])
    return ratio / np.log(table["rows"] / before["rows"])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--jobs", nargs="+", default=[""], help="beginnings of jobs' names")
    parser.add_argument("--spark", action="store_true", help="one and two workers, too")
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    jobs = {
        name: setup
        for name, setup in {**JOBS, **(SPARK_JOBS if asked.spark else {})}.items()
        if name.startswith(tuple(asked.jobs))
    }
    lines = []
    for rows in sorted(asked.rows):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_study(folder, rows)
            size = (folder / "answers.parquet").stat().st_size / 1e6
            print(f"{rows:,} rows, {size:,.0f} MB on disk", flush=True)
            floor = None
            for job, setup in jobs.items():
                if job.startswith("pandas") and rows > MOST_PANDAS:
                    continue
                repeats = 1 if rows > 20_000_000 else asked.repeats
                seconds, reading, processor, peak = measure(setup, folder, repeats)
                floor = processor if job.startswith("hand") else floor
                if job.startswith("spark"):
                    # its work and memory are other processes'
                    processor = peak = math.nan
                beside = processor / floor if floor and job.endswith("moments") else math.nan
                lines.append((rows, job, seconds, reading, processor, beside, peak))
                print(f"  {job:32s} {seconds:8.2f} s {processor:8.2f} s {peak:6.0f} MB", flush=True)
    table = pd.DataFrame(
        lines,
        columns=[
            "rows", "job", "seconds", "of which reading", "processor seconds", "× hand-written",
            "peak MB",
        ],
    )  # fmt: skip
    table["exponent"] = grown(table)
    print(table.to_string(index=False, float_format="%.2f", na_rep=""))


if __name__ == "__main__":
    main()
