"""How fast, and in how much memory, beside what people use instead? One table of one run.

Exact LMG beside pingouin (where it is installed, up to 12 drivers: its time doubles with each)
and R's relaimpo (quoted); replicates, and EM where ratings are missing; correlations of
millions of rows beside pandas and a query written by hand; the airport survey of 2018
(where CXLAB_DATA has it): its analyses, its set of reports, and its first reports beside stock
papermill and nbconvert. Each line runs in a process of its own, so that its processor seconds
(with those of its children) and its memory over the start are its own.

    python -m benchmarks speed --players 10 20 --rows 1000000 --reports 2
    python -m benchmarks speed --players 10 20 25 30 --rows 1000000 3000000 10000000 100000000
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from cxlab import drivers, load_study, penalty_reward
from cxlab.core.frames import open_frame
from cxlab.core.threads import one_blas_thread
from cxlab.report.factory.requests import Request, plan_reports
from cxlab.report.factory.workers import make_reports
from cxlab.stats.covariance.covariance import pairwise_covariance, summed_pairs
from cxlab.stats.drivers.subsets import subset_sums

SEED = 20240607
#: Most drivers that pingouin is asked for; at 12 it takes about 0.2 s, at 20 a minute.
PINGOUIN_DRIVERS = 12
#: Seconds of R's relaimpo 2.2-7 (not packaged for Debian), measured once on another machine.
RELAIMPO = {20: 91.0}
#: Columns of the millions of rows: an outcome and twelve ratings.
COLUMNS = ("y", *(f"t{number}" for number in range(12)))
#: The five notebooks of the heart, and two that take little time.
SET = ("answers", "scorecard", "drivers", "touchpoints", "tracking")
LIGHT = ("answers", "scorecard")


def correlated(players: int, rows: int) -> np.ndarray:
    """Rows of drivers and, last, an outcome, with one common part."""
    generator = np.random.default_rng(SEED)
    return generator.normal(size=(rows, players + 1)) + 0.6 * generator.normal(size=(rows, 1))


def exact(players: int) -> Callable[[], object]:
    matrix = np.corrcoef(correlated(players, 500).T)
    return lambda: subset_sums(matrix)


def pingouin(players: int) -> Callable[[], object]:
    from pingouin import linear_regression

    table = correlated(players, 500)
    return lambda: linear_regression(table[:, :-1], table[:, -1], relimp=True)


def whole(players: int, holes: float, replicates: int) -> Callable[[], object]:
    names = [f"x{place}" for place in range(players)]
    frame = pd.DataFrame(correlated(players, 2000), columns=[*names, "y"])
    blank = np.random.default_rng(SEED).random((2000, players)) < holes
    frame[names] = frame[names].mask(blank)
    return lambda: drivers(frame, "y", names, replicates=replicates)


def correlations(path: str) -> Callable[[], object]:
    @one_blas_thread
    def run() -> object:
        opened = open_frame(duckdb.read_parquet(path), numbers={"columns": COLUMNS})
        return pairwise_covariance(summed_pairs(opened, COLUMNS))

    return run


def by_pandas(path: str) -> Callable[[], object]:
    return lambda: pd.read_parquet(path).corr()


def by_hand(path: str) -> Callable[[], object]:
    pairs = [(a, b) for place, a in enumerate(COLUMNS) for b in COLUMNS[place:]]
    sums = ", ".join(f"corr({a}, {b})" for a, b in pairs)
    return lambda: duckdb.sql(f"select {sums} from '{path}'").fetchall()


def drivers_of(path: str) -> Callable[[], object]:
    asked = {"missing": "pairwise", "replicates": 50}
    return lambda: drivers(duckdb.read_parquet(path), "y", COLUMNS[1:9], **asked)


def airport(analysis: str) -> Callable[[], object]:
    study = load_study("sfo")
    answers = study.read(period="2018")
    given = answers, "overall", study.touchpoints
    asked = {"design": study.design, "replicates": 300}
    if analysis == "penalty_reward":
        return lambda: penalty_reward(*given, cuts=study.cuts, **asked)
    advocacy = "recommend" if analysis == "drivers with advocacy" else None
    return lambda: drivers(*given, segments=study.segments, advocacy=advocacy, **asked)


def reports(folder: str, notebooks: tuple[str, ...], count: int | None) -> Callable[[], object]:
    """Reports of the airport's 2018, by boarding area where some are counted."""
    each = ("boarding_area",) if count else ()

    def run() -> None:
        request = Request(study="sfo", periods=("2018",), each=each, notebooks=notebooks)
        outcomes = make_reports(plan_reports(request, Path(folder)).jobs[:count])
        failed = [str(outcome) for outcome in outcomes if outcome.state == "failed"]
        if failed:
            raise RuntimeError("\n".join(failed))

    return run


def stock(folder: str, notebooks: tuple[str, ...], count: int | None) -> Callable[[], object]:
    """The same reports by the two command lines, as people use them."""
    each = ("boarding_area",) if count else ()
    request = Request(study="sfo", periods=("2018",), each=each, notebooks=notebooks)
    jobs = plan_reports(request, Path(folder) / "none").jobs[:count]

    def run() -> None:
        for number, job in enumerate(jobs):
            target, given = Path(folder) / f"{number}.ipynb", Path(folder) / f"{number}.yaml"
            given.write_text(json.dumps(job.parameters), encoding="utf-8")
            for command in (
                ["papermill", str(job.notebook), str(target), "-f", str(given)],
                ["nbconvert", "--to", "html", str(target)],
            ):
                subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)

    return run


def command(folder: str) -> Callable[[], object]:
    """The set again, in which nothing has changed, as a whole command."""
    words = [word for name in SET for word in ("--notebook", name)]
    line = [sys.executable, "-c", "from cxlab.cli import main; main()", "report", "sfo"]
    line += ["--period", "2018", *words, "--output", folder]
    return lambda: subprocess.run(line, check=True, capture_output=True)


Way = tuple[str, Callable[..., Callable[[], object]], tuple[object, ...]]


def tasks(asked: argparse.Namespace, folder: Path) -> Iterator[tuple[str, list[Way], int]]:
    """Each task with its ways, ours first, and how often it is run."""
    for players in asked.players:
        peers: list[Way] = []
        if players <= PINGOUIN_DRIVERS and importlib.util.find_spec("pingouin"):
            peers = [("pingouin", pingouin, (players,))]
        yield f"exact LMG of {players}", [("cxlab", exact, (players,)), *peers], asked.repeats
    for players, holes, replicates in ((10, 0.0, 1000), (20, 0.0, 0), (20, 0.2, 0), (25, 0.0, 0)):
        words = f"drivers, 2,000 × {players}, {holes:.0%} missing, {replicates:,} replicates"
        yield words, [("cxlab", whole, (players, holes, replicates))], asked.repeats
    for rows in asked.rows:
        path = str(folder / f"{rows}.parquet")
        write(path, rows)
        ways = [("cxlab", correlations, (path,)), ("pandas", by_pandas, (path,))]
        yield f"correlations, {rows:,} × 13", [*ways, ("DuckDB by hand", by_hand, (path,))], 3
        yield f"drivers, {rows:,} × 8, 50 replicates", [("cxlab", drivers_of, (path,))], 1
        Path(path).unlink()
    if not (Path(os.environ.get("CXLAB_DATA", "/nowhere")) / "sfo").is_dir():
        print("Airport survey: skipped, CXLAB_DATA names no folder that has it.")
        return
    for analysis in ("drivers", "drivers with advocacy", "penalty_reward"):
        yield f"airport 2018: {analysis}", [("cxlab", airport, (analysis,))], 1
    if not asked.reports:
        return
    for words, chosen in (("light reports", (LIGHT, asked.reports)), ("set of five", (SET, None))):
        made = [str(folder / f"{words} {way}") for way in ("cxlab", "stock")]
        for place in made:
            Path(place).mkdir()
        ways = [("cxlab", reports, (made[0], *chosen)), ("stock", stock, (made[1], *chosen))]
        yield f"airport 2018: {asked.reports if chosen[1] else ''} {words}", ways, 1
    yield "airport 2018: unchanged set", [("cxlab", command, (made[0],))], 3


def write(path: str, rows: int) -> None:
    """Ratings with a common part; each but the outcome is blank in a fifth of the rows."""
    duckdb.sql("set enable_progress_bar = false")
    noise = "sqrt(-2 * ln(random())) * cos(2 * pi() * random())"
    rated = f"least(10, greatest(0, round(6 + c + {noise})))::double"
    ratings = [f"case when random() > 0.2 then {rated} end as {name}" for name in COLUMNS[1:]]
    duckdb.sql(
        f"copy (select {rated} as y, {', '.join(ratings)} from "
        f"(select {noise} as c from range({rows}))) to '{path}' (format parquet)"
    )


def measured(way: Callable[..., Callable[[], object]], given: tuple[object, ...], repeats: int):
    """Median seconds and processor seconds of a call, and MB over the start."""
    duckdb.sql("set enable_progress_bar = false")
    run = way(*given)
    start, taken = usage(resource.RUSAGE_SELF)[1], []
    for _ in range(repeats):
        before = time.perf_counter(), processor()
        run()
        taken.append((time.perf_counter() - before[0], processor() - before[1]))
    own = usage(resource.RUSAGE_SELF)[1] - start
    # a copy of this process, which looks for libraries, is no child of the call
    others = usage(resource.RUSAGE_CHILDREN)[1] if way in (reports, stock, command) else 0.0
    return (*np.median(taken, axis=0), max(own, others))


def usage(who: int) -> tuple[float, float]:
    """Processor seconds and the largest MB so far."""
    found = resource.getrusage(who)
    return found.ru_utime + found.ru_stime, found.ru_maxrss / 1024


def processor() -> float:
    return usage(resource.RUSAGE_SELF)[0] + usage(resource.RUSAGE_CHILDREN)[0]


def main() -> None:
    """Print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--players", type=int, nargs="*", default=[10, 20])
    parser.add_argument("--rows", type=int, nargs="*", default=[1_000_000])
    parser.add_argument("--reports", type=int, default=0, help="light reports; 0: no reports")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    print(f"{'':50} {'':16} {'seconds':>9} {'processor':>9} {'MB':>6} {'× ours':>7} {'growth':>7}")
    before: dict[str, tuple[float, float]] = {}
    fresh = {"mp_context": multiprocessing.get_context("spawn"), "max_tasks_per_child": 1}
    with tempfile.TemporaryDirectory() as name, ProcessPoolExecutor(1, **fresh) as one:
        for task, ways, repeats in tasks(asked, Path(name)):
            first = 0.0
            for who, way, given in ways:
                wall, used, peak = one.submit(measured, way, given, repeats).result()
                first = first or wall
                times = "" if who == "cxlab" else f"{wall / first:.2f}"
                line = f"{task:50} {who:16} {wall:9.3g} {used:9.3g} {peak:6.0f} {times:>7}"
                print(line + growth(before, task, who, wall), flush=True)
            if quoted := RELAIMPO.get(int(task.split()[-1]) if task.startswith("exact") else 0):
                print(
                    f"{task:50} {'relaimpo, quoted':16} {quoted:9.3g} {'':16} {quoted / first:7.0f}"
                )


def growth(before: dict[str, tuple[float, float]], task: str, who: str, wall: float) -> str:
    """Exponent of the seconds in the rows, from the size before; nothing for the first."""
    if not task.startswith("correlations"):
        return ""
    rows = float(task.split()[1].replace(",", ""))
    last = before.get(who)
    before[who] = rows, wall
    return f" {np.log(wall / last[1]) / np.log(rows / last[0]):7.2f}" if last else ""


if __name__ == "__main__":
    main()
