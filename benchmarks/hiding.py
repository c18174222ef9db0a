"""What a hostile reader recovers from all reports of a run: 0 small groups is what is claimed.

    python -m benchmarks hiding --studies 60

Simulated programmes of two periods and two segments, with answers missing and rows without a
segment; in each every set of requests is tried (everybody, the groups of either segment, of both
crossed, and all of these beside each other), of one period, two, all together, or all of these. The reader knows which joint
cells have answers at all, and solves for every group of fewer than 10, and two of them together,
by counts and by sums. Beside it, what the same reader recovers where each report hides by itself.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from tests.hostile_reader import PERIODS, audit, every_combination, write_programme

#: Fixed before the first run.
SEED = 20261129
#: In so many programmes it is also looked at what each report hides by itself.
CONTROLS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=60)
    studies = parser.parse_args().studies
    rng = np.random.default_rng(SEED)
    reports, recovered, control = 0, 0, 0
    for number in range(1, studies + 1):
        with tempfile.TemporaryDirectory() as place:
            study = write_programme(Path(place), rng)
            folder, periods = Path(place) / "reports", PERIODS[number % len(PERIODS)]
            tables: dict[str, pd.DataFrame] = {}
            for asked in every_combination():
                some, found = audit(study, asked, periods, folder, quick=True, made=tables)
                reports, recovered = reports + some, recovered + len(found)
                for one in found:
                    print(f"programme {number}, {asked}, {periods}: {one}")
                if number <= CONTROLS:
                    apart = audit(study, asked, periods, folder, together=False, quick=True)
                    control += len(apart[1])
        print(f"{number} programmes: {reports} reports, {recovered} groups recovered", flush=True)
    print(f"Of the first {min(CONTROLS, studies)}, each report by itself: {control} recovered")


if __name__ == "__main__":
    main()
