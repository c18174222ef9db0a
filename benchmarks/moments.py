"""What does it take to reduce millions of answers to moments?

Simulated ratings (13 columns, 30 % holes) in a Parquet file; each job runs in a process of
its own, so that its peak memory is its own. Beside them: pandas' own ``corr``.

    python benchmarks/moments.py --rows 1 3 10
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SEED = 20240607
COLUMNS = [f"x{number}" for number in range(13)]
HOLES = 0.3

JOBS = {
    "cxlab, DuckDB": """
import duckdb
from cxlab.stats.covariance import moments
run = lambda: moments(duckdb.sql(f"select * from '{path}'"), columns).n
""",
    "cxlab, Polars": """
import polars as pl
from cxlab.stats.covariance import moments
run = lambda: moments(pl.scan_parquet(path), columns).n
""",
    "pandas corr": """
import pandas as pd
run = lambda: len(pd.read_parquet(path).corr())
""",
}

FRAME = """
import json, sys, time
def megabytes(key):
    # not getrusage: a child inherits its parent's largest size
    return int(next(line for line in open("/proc/self/status") if line.startswith(key)).split()[1]) / 1024
path, columns = sys.argv[1], json.loads(sys.argv[2])
{setup}
before = megabytes("VmHWM")
start = time.perf_counter()
run()
took = time.perf_counter() - start
peak = megabytes("VmHWM")
print()
print(json.dumps([took, peak, before]))
"""


def write_ratings(path: Path, rows: int) -> None:
    """Ratings 1 to 5 that share a common part, written a million rows at a time."""
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
                columns[name] = pa.array(rating, mask=generator.random(size) < HOLES)
            writer.write_table(pa.table(columns, schema=schema))


def measure(setup: str, path: Path, repeats: int) -> tuple[float, float, float]:
    """Best time, peak memory and memory before the work, in a fresh process each time."""
    program = FRAME.format(setup=setup)
    command = [sys.executable, "-c", program, str(path), json.dumps(COLUMNS)]
    found = []
    for _ in range(repeats):
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        # DuckDB draws a progress bar before it
        found.append(json.loads(output.splitlines()[-1]))
    return min(run[0] for run in found), min(run[1] for run in found), min(run[2] for run in found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 3, 10], help="in millions")
    parser.add_argument("--repeats", type=int, default=2)
    asked = parser.parse_args()
    print(
        f"{'rows':>12s}  {'job':15s} {'seconds':>8s} {'peak MB':>8s} {'(before)':>8s}   of pandas: time, memory"
    )
    with tempfile.TemporaryDirectory() as folder:
        for millions in asked.rows:
            path = Path(folder) / f"ratings{millions}.parquet"
            write_ratings(path, millions * 1_000_000)
            table = {name: measure(setup, path, asked.repeats) for name, setup in JOBS.items()}
            base = table["pandas corr"]
            for name, (took, peak, before) in table.items():
                beside = f"{took / base[0]:.2f}, {peak / base[1]:.2f}"
                print(
                    f"{millions * 1_000_000:12,d}  {name:15s} {took:8.2f} {peak:8.0f} {before:8.0f}   {beside}",
                    flush=True,
                )
            path.unlink()


if __name__ == "__main__":
    main()
