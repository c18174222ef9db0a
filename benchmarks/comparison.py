"""Speed and memory of the comparison: a million answers of 200,000 customers.

    python benchmarks/comparison.py --customers 200000

A simulated programme is written to Parquet files in a temporary folder; a fresh process reads
them through DuckDB and compares without the bootstrap. Wall time and peak memory are those of
that process, reading included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb
import pandas as pd

from benchmarks.simulate import simulate_programme
from cxlab.stats.comparison import compare_tnps_rnps

TABLES = ("transactional", "relationship", "invitations", "customers")
SIZES = {
    "periods": 4,
    "trips_per_period": 1.3,
    "transactional_sampling": 0.85,
    "transactional_quarantine": 0.0,
    "relationship_quarantine": 10.0,
    "relationship_sampling": 0.9,
    "exempt": 0.1,
}


def write_programme(customers: int, folder: Path) -> None:
    """Simulate and write the four files."""
    programme = simulate_programme(customers, seed=1, **SIZES)
    for name in TABLES:
        frame: pd.DataFrame = getattr(programme, name)
        frame.to_parquet(folder / f"{name}.parquet")


def compare(folder: Path, replicates: int) -> None:
    """Read the files and compare; print time and memory."""
    began = time.perf_counter()
    files = {name: duckdb.read_parquet(str(folder / f"{name}.parquet")) for name in TABLES}
    result = compare_tnps_rnps(
        files["transactional"],
        files["relationship"],
        invitations=files["invitations"],
        customers=files["customers"],
        traits=["segment", "home_region"],
        contact_rules={"relationship quarantine": (10.0, 0.1)},
        replicates=replicates,
    )
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers = int(result.flow.query("stage == 'answered'")["n"].sum())
    rows = int(result.flow.query("stage == 'eligible'")["n"].sum())
    customers = int(result.flow.query("stage == 'customers'")["n"].iloc[0])
    print(
        f"{answers:,} answers, {rows:,} invitation rows, {customers:,} customers, "
        f"{replicates} replicates: {seconds:.1f} s ({time.process_time():.1f} s of processor), "
        f"peak {peak:,.0f} MB"
    )


def main() -> None:
    """Write the files, then compare in a fresh process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--customers", type=int, default=200_000)
    parser.add_argument("--replicates", type=int, default=0)
    parser.add_argument("--folder", type=Path, help="compare the files in this folder")
    asked = parser.parse_args()
    if asked.folder:
        compare(asked.folder, asked.replicates)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_programme(asked.customers, Path(folder))
        again = [sys.executable, __file__, "--folder", folder]
        subprocess.run([*again, "--replicates", str(asked.replicates)], check=True)


if __name__ == "__main__":
    main()
