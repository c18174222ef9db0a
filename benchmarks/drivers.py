"""How fast is exact LMG, and what does it take?

Exact LMG for 5 to 25 drivers (``--most 30``: up to 30) beside pingouin (where it is installed,
up to 12 drivers: its time doubles with every driver), bootstrap replicates, EM where ratings are
missing, and the airport survey, where its files are to be found (CXLAB_DATA).

    python benchmarks/drivers.py
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from cxlab.stats.drivers import drivers, penalty_reward
from cxlab.stats.drivers.subsets import subset_sums

SEED = 20240607
#: Most drivers that pingouin is asked for; at 12 it takes about 0.2 s, at 20 a minute.
PINGOUIN_DRIVERS = 15
#: METHODS quotes R's relaimpo 2.2-7 (not packaged for Debian), seconds on its planner's machine.
RELAIMPO = {20: 91.0}


def correlated(players: int, rows: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of drivers and, last, an outcome, with one common part."""
    common = generator.normal(size=(rows, 1))
    return generator.normal(size=(rows, players + 1)) + 0.6 * common


def peak_megabytes() -> float:
    """Largest resident size of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def exact(most: int, repeats: int) -> None:
    """Exact LMG by number of drivers."""
    generator = np.random.default_rng(SEED)
    print("Exact LMG of one correlation matrix")
    print("  drivers     seconds  ns/subset  peak MB   pingouin (s)   ratio   relaimpo (s, quoted)")
    for players in (5, 10, 15, 20, 25, 30):
        if players > most:
            continue
        table = correlated(players, 500, generator)
        matrix = np.corrcoef(table.T)
        took = min(_time(lambda m=matrix: subset_sums(m)) for _ in range(repeats))
        other = _pingouin(table) if players <= PINGOUIN_DRIVERS else None
        beside = f"{other:12.3f} {other / took:7.0f}" if other else f"{'–':>12s} {'–':>7s}"
        quoted = f"{RELAIMPO[players]:8.0f}" if players in RELAIMPO else "       –"
        per = took / 2**players * 1e9
        print(
            f"  {players:7d} {took:11.4f} {per:10.1f} {peak_megabytes():8.0f}   {beside}   {quoted}"
        )


def replicates() -> None:
    """Bootstrap replicates at ten drivers, all through the tree at once."""
    generator = np.random.default_rng(SEED)
    stack = np.stack([np.corrcoef(correlated(10, 500, generator).T) for _ in range(1000)])
    took = min(_time(lambda: subset_sums(stack)) for _ in range(3))
    print(f"\n1,000 replicates of 10 drivers through the tree: {took:.3f} s")
    frame = pd.DataFrame(
        correlated(10, 2000, generator), columns=[f"x{j}" for j in range(10)] + ["y"]
    )
    whole = _time(lambda: drivers(frame, "y", [f"x{j}" for j in range(10)], replicates=1000))
    print(f"drivers() on 2,000 rows × 10 drivers, 1,000 bootstrap replicates: {whole:.2f} s")


def missing() -> None:
    """A fifth of the ratings missing, or none; no intervals."""
    generator = np.random.default_rng(SEED)
    names = [f"x{j}" for j in range(20)]
    frame = pd.DataFrame(correlated(20, 2000, generator), columns=[*names, "y"])
    holes = frame.copy()
    holes[names] = frame[names].mask(generator.random((2000, 20)) < 0.2)
    print("\ndrivers() on 2,000 rows × 20 drivers, no intervals")
    for words, data in (("complete", frame), ("20 % missing", holes)):
        took = min(_time(lambda d=data: drivers(d, "y", names, replicates=0)) for _ in range(3))
        print(f"  {words:12s} {took:.3f} s")


def airport() -> None:
    """The airport survey of 2018: 23 touchpoints, weights, strata, clusters, EM."""
    mirror = os.environ.get("CXLAB_DATA")
    if not mirror or not (Path(mirror) / "sfo").is_dir():
        print("\nAirport survey: skipped, CXLAB_DATA names no folder that has it.")
        return
    from cxlab import load_study

    study = load_study("sfo")
    answers = study.read(period="2018")
    asked = {"design": study.design, "replicates": 300, "segments": study.segments}
    shape = {"cuts": study.cuts, "design": study.design, "replicates": 300}
    calls = {
        "drivers": lambda: drivers(answers, "overall", study.touchpoints, **asked),
        "penalty_reward": lambda: penalty_reward(answers, "overall", study.touchpoints, **shape),
    }
    print("\nAirport survey 2018, 300 replicates: seconds, of processor time")
    for words, call in calls.items():
        start, cpu = time.perf_counter(), time.process_time()
        call()
        took, spent = time.perf_counter() - start, time.process_time() - cpu
        print(f"  {words:32s} {took:6.1f} {spent:6.1f}")
    print(f"  peak {peak_megabytes():.0f} MB")


def _time(call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _pingouin(table: np.ndarray) -> float | None:
    if importlib.util.find_spec("pingouin") is None:
        return None
    import pingouin

    return _time(lambda: pingouin.linear_regression(table[:, :-1], table[:, -1], relimp=True))


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--most", type=int, default=25, help="most drivers taken exactly")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-airport", action="store_true")
    asked = parser.parse_args()
    exact(asked.most, asked.repeats)
    replicates()
    missing()
    if not asked.no_airport:
        airport()


if __name__ == "__main__":
    main()
