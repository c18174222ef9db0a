"""How fast are drivers and what they rest on, beside other packages? One table of one run.

Exact LMG for 10 to 30 drivers beside pingouin (where it is installed, up to 12 drivers: its
time doubles with every driver) and R's relaimpo (quoted), bootstrap replicates, EM where
ratings are missing, correlations of millions of rows beside pandas and a query written by
hand, millions of rows of drivers, and the airport survey of 2018, where its files are to be
found (CXLAB_DATA).

    python -m benchmarks drivers --most 25 --rows 1000000 3000000
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from cxlab.core.frames import open_frame
from cxlab.stats.covariance.covariance import summed_rows
from cxlab.stats.covariance.em import estimate_covariance
from cxlab.stats.drivers import drivers, penalty_reward
from cxlab.stats.drivers.subsets import subset_sums

SEED = 20240607
#: Most drivers that pingouin is asked for; at 12 it takes about 0.2 s, at 20 a minute.
PINGOUIN_DRIVERS = 12
#: METHODS quotes R's relaimpo 2.2-7 (not packaged for Debian), seconds on its planner's machine.
RELAIMPO = {20: 91.0}
#: Columns of the millions of rows: an outcome and twelve ratings.
COLUMNS = ("y", *(f"t{number}" for number in range(12)))

Line = dict[str, object]


def line(task: str, call: Callable[[], object], repeats: int, peers: dict[str, object]) -> Line:
    """Median seconds and processor seconds of a call, beside others' (calls, or quoted)."""
    seconds, processor = _medians(call, repeats)
    found: Line = {"task": task, "seconds": seconds, "processor": processor}
    for name, peer in peers.items():
        other = float(peer) if isinstance(peer, float) else _medians(peer, 1)[0]
        found |= {name: other, f"× {name}": other / seconds}
    # of this process so far: the lines grow
    return found | {"peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def _medians(call: Callable[[], object], repeats: int) -> tuple[float, float]:
    taken = []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        call()
        taken.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return tuple(np.median(taken, axis=0))


def correlated(players: int, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of drivers and, last, an outcome, with one common part."""
    common = generator.normal(size=(rows, 1))
    return generator.normal(size=(rows, players + 1)) + 0.6 * common


def exact(most: int, repeats: int) -> Iterator[Line]:
    """Exact LMG of one correlation matrix, by number of drivers."""
    generator = np.random.default_rng(SEED)
    for players in (5, 10, 12, 20, 25, 30):
        if players > most:
            continue
        table = correlated(players, 500, generator)
        matrix = np.corrcoef(table.T)
        peers: dict[str, object] = {}
        if players <= PINGOUIN_DRIVERS and importlib.util.find_spec("pingouin"):
            peers["pingouin"] = lambda t=table: _pingouin(t)
        if players in RELAIMPO:
            peers["relaimpo (quoted)"] = RELAIMPO[players]
        yield line(f"LMG of {players}", lambda m=matrix: subset_sums(m), repeats, peers)
    stack = np.stack([np.corrcoef(correlated(10, 500, generator).T) for _ in range(1000)])
    yield line("LMG of 10, 1,000 replicates", lambda: subset_sums(stack), repeats, {})


def _pingouin(table: np.ndarray) -> object:
    import pingouin

    return pingouin.linear_regression(table[:, :-1], table[:, -1], relimp=True)


def whole(repeats: int) -> Iterator[Line]:
    """``drivers`` on 2,000 rows: replicates, and a fifth of the ratings missing."""
    generator = np.random.default_rng(SEED)
    for players, holes, replicates in ((10, 0.0, 1000), (20, 0.0, 0), (20, 0.2, 0), (25, 0.0, 0)):
        names = [f"x{j}" for j in range(players)]
        frame = pd.DataFrame(correlated(players, 2000, generator), columns=[*names, "y"])
        frame[names] = frame[names].mask(generator.random((2000, players)) < holes)
        yield line(
            f"drivers, 2,000 × {players}, {holes:.0%} missing, {replicates:,} replicates",
            lambda d=frame, x=names, k=replicates: drivers(d, "y", x, replicates=k),
            repeats,
            {},
        )


def millions(rows: list[int], folder: Path) -> Iterator[Line]:
    """Correlations, and drivers of the first eight ratings, of a Parquet file."""
    for n in rows:
        path = folder / f"{n}.parquet"
        _write(path, n)
        peers = {
            "pandas": lambda p=path: pd.read_parquet(p).corr(),
            "DuckDB by hand": lambda p=path: _by_hand(p),
        }
        yield line(f"{n:,} × 13: correlations", lambda p=path: _pairwise(p), 3, peers)
        yield line(
            f"{n:,} × 8: drivers, 50 replicates",
            lambda p=path: drivers(
                duckdb.read_parquet(str(p)), "y", COLUMNS[1:9], missing="pairwise", replicates=50
            ),
            1,
            {},
        )


def _write(path: Path, rows: int) -> None:
    """Ratings with a common part; each but the outcome is blank in a fifth of the rows."""
    noise = "sqrt(-2 * ln(random())) * cos(2 * pi() * random())"
    ratings = ", ".join(
        f"case when random() > 0.2 then least(10, greatest(0, round(6 + c + {noise})))"
        f"::double end as {name}"
        for name in COLUMNS[1:]
    )
    outcome = f"least(10, greatest(0, round(6 + c + {noise})))::double as y"
    duckdb.sql(
        f"copy (select {outcome}, {ratings} from (select {noise} as c from range({rows}))) "
        f"to '{path}' (format parquet)"
    )


def _pairwise(path: Path) -> object:
    opened = open_frame(duckdb.read_parquet(str(path)), numbers={"columns": COLUMNS})
    return estimate_covariance(COLUMNS, "pairwise", summed_rows(opened.lazy, COLUMNS, None))


def _by_hand(path: Path) -> object:
    pairs = [(a, b) for place, a in enumerate(COLUMNS) for b in COLUMNS[place:]]
    sums = ", ".join(f"corr({a}, {b})" for a, b in pairs)
    return duckdb.sql(f"select {sums} from '{path}'").fetchall()


def airport() -> Iterator[Line]:
    """The airport survey of 2018: 23 touchpoints, weights, strata, clusters, EM."""
    mirror = os.environ.get("CXLAB_DATA")
    if not mirror or not (Path(mirror) / "sfo").is_dir():
        print("Airport survey: skipped, CXLAB_DATA names no folder that has it.")
        return
    from cxlab import load_study

    study = load_study("sfo")
    answers = study.read(period="2018")
    asked = {"design": study.design, "replicates": 300}
    calls = {
        "drivers": lambda: drivers(
            answers, "overall", study.touchpoints, segments=study.segments, **asked
        ),
        "penalty_reward": lambda: penalty_reward(
            answers, "overall", study.touchpoints, cuts=study.cuts, **asked
        ),
    }
    for words, call in calls.items():
        yield line(f"airport 2018, 300 replicates: {words}", call, 1, {})


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=25, help="most drivers taken exactly")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000, 3_000_000])
    parser.add_argument("--no-airport", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lines = [*exact(asked.most, asked.repeats), *whole(asked.repeats)]
        lines += [*millions(asked.rows, Path(folder)), *([] if asked.no_airport else airport())]
    table = pd.DataFrame(lines)
    last = table.pop("peak MB")
    print(
        table.assign(**{"peak MB": last.round()}).to_string(
            index=False, na_rep="", float_format="%.4g"
        )
    )


if __name__ == "__main__":
    main()
