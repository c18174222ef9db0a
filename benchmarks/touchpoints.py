"""All touchpoints of many rows: one pass through DuckDB against pandas' Spearman.

Simulated ratings (0–10, a third of them missing) are written once as Parquet; each contender
runs in its own process, which reports seconds and peak memory.

    python benchmarks/touchpoints.py --rows 10000000 --touchpoints 12
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SEED = 5
OUTCOMES = ["overall", "recommend"]
#: Rows written at a time, so that making the file needs little memory.
BATCH = 1_000_000


def write(path: Path, rows: int, touchpoints: int) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    generator, writer = np.random.default_rng(SEED), None
    for start in range(0, rows, BATCH):
        size = min(BATCH, rows - start)
        mood = generator.standard_normal(size)
        columns = {name: rate(generator, mood) for name in OUTCOMES}
        for number in range(touchpoints):
            scores = rate(generator, mood)
            scores[generator.random(size) < 1 / 3] = np.nan
            columns[f"t{number}"] = scores
        table = pa.table(
            {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


def rate(generator: np.random.Generator, mood: np.ndarray) -> np.ndarray:
    latent = 7 + 1.2 * mood + 1.4 * generator.standard_normal(len(mood))
    return np.clip(np.round(latent), 0, 10)


def count_tables(path: str, names: list[str]) -> dict[str, float]:
    """One GROUP BY, then every coefficient with its interval."""
    import duckdb

    from cxlab.core.frames import open_frame
    from cxlab.stats.association.counts import joint_counts
    from cxlab.stats.association.estimates import COEFFICIENTS, pair_estimates

    relation = duckdb.connect().read_parquet(path)
    opened = open_frame(relation, numbers={"scores": [*names, *OUTCOMES]})
    counts = joint_counts(opened, names, OUTCOMES)
    fits = {name: pair_estimates(counts, name) for name in COEFFICIENTS}
    return {"first": float(fits["spearman"].table["estimate"].iloc[0])}


def whole_result(path: str, names: list[str]) -> dict[str, float]:
    """Everything: means, partial coefficients, ranks, covariances for comparisons."""
    import duckdb

    from cxlab.stats.touchpoints import touchpoint_correlations

    relation = duckdb.connect().read_parquet(path)
    result = touchpoint_correlations(relation, OUTCOMES, names, occasion="A")
    spearman = result.coefficients.query("coefficient == 'spearman'")
    return {"first": float(spearman["estimate"].iloc[0])}


def pandas_pairs(path: str, names: list[str]) -> dict[str, float]:
    """pandas, only the touchpoint × outcome pairs that are wanted."""
    import pandas as pd

    data = pd.read_parquet(path)
    found = [data[x].corr(data[y], method="spearman") for y in OUTCOMES for x in names]
    return {"first": float(found[0])}


def pandas_matrix(path: str, names: list[str]) -> dict[str, float]:
    """pandas.DataFrame.corr(method="spearman"), the whole matrix."""
    import pandas as pd

    matrix = pd.read_parquet(path).corr(method="spearman")
    return {"first": float(matrix.loc[names[0], OUTCOMES[0]])}


CONTENDERS = {
    "count tables, all four coefficients": count_tables,
    "whole touchpoint_correlations": whole_result,
    "pandas, wanted pairs only": pandas_pairs,
    "pandas DataFrame.corr(spearman)": pandas_matrix,
}


def run_one(name: str, path: str, touchpoints: int) -> None:
    started = time.perf_counter()
    found = CONTENDERS[name](path, [f"t{number}" for number in range(touchpoints)])
    found["seconds"] = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    found["processor"] = used.ru_utime + used.ru_stime
    found["megabytes"] = used.ru_maxrss / 1024
    print(json.dumps(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--touchpoints", type=int, default=12)
    parser.add_argument("--limit", type=float, default=900, help="seconds before one is given up")
    parser.add_argument("--only", choices=list(CONTENDERS), action="append")
    parser.add_argument("--child", nargs=2, metavar=("NAME", "PATH"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child and given.child[0] == "write":
        write(Path(given.child[1]), given.rows, given.touchpoints)
        return
    if given.child:
        run_one(given.child[0], given.child[1], given.touchpoints)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.parquet"
        # in a process of its own: a child's peak memory starts at its parent's
        subprocess.run(child("write", path, given), check=True)
        megabytes = path.stat().st_size / 1e6
        print(
            f"{given.rows:,} simulated rows × {given.touchpoints} touchpoints × {len(OUTCOMES)} "
            f"outcomes, {megabytes:,.0f} MB of Parquet"
        )
        for name in given.only or CONTENDERS:
            print(f"{name:<38}{compete(name, path, given)}", flush=True)


def child(name: str, path: Path, given: argparse.Namespace) -> list[str]:
    command = [sys.executable, __file__, "--rows", str(given.rows)]
    command += ["--touchpoints", str(given.touchpoints)]
    return [*command, "--child", name, str(path)]


def compete(name: str, path: Path, given: argparse.Namespace) -> str:
    try:
        done = subprocess.run(
            child(name, path, given),
            capture_output=True,
            text=True,
            timeout=given.limit,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"given up after {given.limit:,.0f} s"
    if done.returncode != 0:
        return f"failed: {(done.stderr.strip().splitlines() or ['killed, out of memory?'])[-1]}"
    found = json.loads(done.stdout.strip().splitlines()[-1])
    return (
        f"{found['seconds']:8.1f} s ({found['processor']:6.1f} s of processor) "
        f"{found['megabytes']:8,.0f} MB   "
        f"first Spearman {found['first']:.6f}"
    )


if __name__ == "__main__":
    main()
