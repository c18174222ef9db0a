"""From raw files through their study to reports: seconds and memory at millions of rows.

A simulated survey of fifteen columns, written as CSV from a fixed seed. Every job runs in
a process of its own, so that its peak memory is its own: the file is cleaned once into the
store, and estimators and reports read the clean copy; a report's kernel counts with its run.

    python -m benchmarks scale --rows 1000000
    python -m benchmarks scale --rows 20000000 --jobs clean "report answers"
    python -m benchmarks scale --rows 2000000 --jobs spark
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv

SEED = 20251121
OUTCOMES = ("overall", "recommend")
TOUCHPOINTS = tuple(f"touchpoint_{number:02d}" for number in range(1, 9))
NO_ANSWER, NEVER_USED = 0.1, 0.2
CHUNK_ROWS = 1_000_000

STUDY = """
[study]
name = "scale"
title = "Simulated ratings at scale"
simulated = true

[scales.rating]
range = [1, 5]
bins = { bottom = [1, 2], middle = [3, 3], top = [4, 5] }
missing = { 0 = "no answer", 6 = "never used" }
metrics = ["mean", "top box"]

[scales.likelihood]
range = [0, 10]
bins = { detractors = [0, 6], passives = [7, 8], promoters = [9, 10] }
missing = { 11 = "no answer" }
metrics = ["nps"]

[tables.answers]
file = "answers.csv"
"""
ROLES = {
    "response": 'role = "id"',
    "period": 'role = "period"',
    "region": 'role = "segment"',
    "tier": 'role = "segment"\nvalues = { 1 = "Basic", 2 = "Gold" }',
    "weight": 'role = "weight"',
    "overall": 'role = "outcome"\nscale = "rating"',
    "recommend": 'role = "outcome"\nscale = "likelihood"',
    **dict.fromkeys(TOUCHPOINTS, 'role = "touchpoint"\nscale = "rating"'),
}

READ = "study = cxlab.load_study(folder)\nanswers = study.read(engine='duckdb')\n"
SPARK = """
from pyspark.sql import SparkSession
study = cxlab.load_study(folder)
session = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false").getOrCreate()
session.sparkContext.setLogLevel("ERROR")
answers = study.read(source=session.read.csv(folder + "/answers.csv", header=True))
print(cxlab.scorecard(answers, study.metrics(), design=study.design))
"""
REPORT = """
from cxlab.cli import main
main(["report", folder, "--notebook", "{notebook}", "--output", folder + "/reports", "--jobs", "1",
      "--force"])
"""
JOBS = {
    "clean": READ,
    "scorecard": READ + "cxlab.scorecard(answers, study.metrics(), design=study.design)",
    "correlations": READ
    + "cxlab.touchpoint_correlations(answers, study.leading_outcomes(), study.touchpoints, "
    "occasion='A', replicates=40, design=study.design)",
    "report answers": REPORT.format(notebook="answers"),
    "report scorecard": REPORT.format(notebook="scorecard"),
    "report drivers": REPORT.format(notebook="drivers"),
    "report touchpoints": REPORT.format(notebook="touchpoints"),
    "spark": SPARK,
}


def write_study(folder: Path, rows: int) -> None:
    """The study file and its answers."""
    columns = "".join(
        f"\n[tables.answers.columns.{name}]\n{role}\n" for name, role in ROLES.items()
    )
    (folder / "study.toml").write_text(STUDY + columns, encoding="utf-8")
    generator = np.random.default_rng(SEED)
    with pa.OSFile(str(folder / "answers.csv"), "wb") as stream:
        for start in range(0, rows, CHUNK_ROWS):
            chunk = answers(generator, start, min(CHUNK_ROWS, rows - start))
            options = pa.csv.WriteOptions(include_header=start == 0, quoting_style="none")
            pa.csv.write_csv(chunk, stream, options)


def answers(generator: np.random.Generator, start: int, size: int) -> pa.Table:
    """Ratings that share a common part, with codes for those who gave none."""
    common = generator.normal(size=size)
    columns: dict[str, object] = {
        "response": np.arange(start, start + size),
        "period": generator.choice(["2025-Q1", "2025-Q2", "2025-Q3", "2025-Q4"], size),
        "region": generator.choice(["North", "East", "South", "West"], size),
        "tier": generator.integers(1, 3, size),
        "weight": np.round(generator.uniform(0.5, 1.5, size), 3),
    }
    for name in (*OUTCOMES, *TOUCHPOINTS):
        latent = 3.6 + 0.7 * common + 0.8 * generator.normal(size=size)
        top = 10 if name == "recommend" else 5
        low = 0 if name == "recommend" else 1
        rating = np.clip(np.round(latent * (2 if top == 10 else 1)), low, top).astype("int8")
        told = generator.random(size)
        if name in TOUCHPOINTS:
            rating[told < NO_ANSWER + NEVER_USED] = 6
        rating[told < NO_ANSWER] = 11 if top == 10 else 0
        columns[name] = rating
    return pa.table(columns)


def measure(program: str, folder: Path) -> tuple[float, float]:
    """Seconds, and megabytes of the largest process."""
    started = time.perf_counter()
    begin = "import sys, cxlab\nfolder = sys.argv[1]\n"
    # a process between, whose children alone are counted
    between = (
        "import json, resource, subprocess, sys\n"
        "done = subprocess.run([sys.executable, '-c', *sys.argv[1:]], check=False)\n"
        "print(json.dumps([done.returncode, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", between, begin + program, str(folder)],
        capture_output=True, text=True, check=True, env=os.environ | {"CXLAB_CACHE": str(folder)},
    )  # fmt: skip
    code, kilobytes = json.loads(done.stdout.splitlines()[-1])
    if code:
        raise RuntimeError(done.stderr[-2000:] or done.stdout[-2000:])
    return time.perf_counter() - started, kilobytes / 1024


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--jobs", nargs="+", default=[name for name in JOBS if name != "spark"])
    parser.add_argument("--folder", type=Path, help="where to keep the files; default: nowhere")
    asked = parser.parse_args()
    lines = []
    for rows in sorted(asked.rows):
        with tempfile.TemporaryDirectory(dir=asked.folder) as name:
            folder = Path(name)
            write_study(folder, rows)
            print(
                f"{rows:,} rows, {(folder / 'answers.csv').stat().st_size / 1e6:,.0f} MB",
                flush=True,
            )
            for job in asked.jobs:
                seconds, peak = measure(JOBS[job], folder)
                lines.append((rows, job, seconds, peak))
                print(f"  {job:20s} {seconds:8.1f} s {peak:8,.0f} MB", flush=True)
    table = pd.DataFrame(lines, columns=["rows", "job", "seconds", "peak MB"])
    print(table.to_string(index=False, float_format="%.1f"))


if __name__ == "__main__":
    main()
