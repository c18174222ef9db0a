"""The report factory beside stock papermill and nbconvert, one report after another.

    CXLAB_DATA=… python -m benchmarks.factory --study sfo --period 2017 --period 2018 \\
        --each boarding_area --notebook answers --notebook scorecard

Prints wall and processor seconds of each way on the same reports, and the seconds outside
cells per report: what the way itself costs. `--groups N` takes the first N groups only;
`--set replicates=100` shortens the notebooks that resample.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
import pandas as pd

from cxlab.report.build import Job
from cxlab.report.factory.requests import Request, plan_reports
from cxlab.report.factory.workers import make_reports


def cell_seconds(notebook: Path) -> float:
    cells = nbformat.read(notebook, as_version=4).cells
    return sum(cell.metadata.get("papermill", {}).get("duration") or 0.0 for cell in cells)


def processor_seconds() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def stock(jobs: list[Job], folder: Path) -> tuple[float, float]:
    """The two command lines a report, as people use them; seconds in all and outside cells."""
    outside = 0.0
    begun = time.perf_counter()
    for number, job in enumerate(jobs):
        started = time.perf_counter()
        target = folder / f"{number}.ipynb"
        given = folder / f"{number}.yaml"
        given.write_text(json.dumps(job.parameters), encoding="utf-8")
        run = [sys.executable, "-m", "papermill", str(job.notebook), str(target), "-f", str(given)]
        subprocess.run(run, check=True, capture_output=True)
        page = [sys.executable, "-m", "nbconvert", "--to", "html", str(target)]
        subprocess.run(page, check=True, capture_output=True)
        outside += time.perf_counter() - started - cell_seconds(target)
    return time.perf_counter() - begun, outside


def factory(jobs: list[Job], n_jobs: int | None) -> tuple[float, float]:
    begun = time.perf_counter()
    outcomes = make_reports(jobs, n_jobs=n_jobs)
    seconds = time.perf_counter() - begun
    failed = [str(outcome) for outcome in outcomes if outcome.state == "failed"]
    if failed:
        raise SystemExit("\n".join(failed))
    cells = sum(cell_seconds(job.output / job.notebook.name) for job in jobs)
    return seconds, sum(outcome.seconds for outcome in outcomes) - cells


def main(arguments: Sequence[str] = ()) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", default="demo")
    parser.add_argument("--period", action="append")
    parser.add_argument("--each", action="append", default=[])
    parser.add_argument("--notebook", action="append", default=[])
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE",
                        help="parameter of every notebook that has it, such as replicates=100")  # fmt: skip
    parser.add_argument("--groups", type=int, help="first so many groups of a period only")
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--no-stock", action="store_true")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as place:
        print(compare(chosen, Path(place)).to_string(index=False, float_format="%.2f"))


def compare(chosen: argparse.Namespace, place: Path) -> pd.DataFrame:
    reports = place / "reports"
    request = Request(
        study=chosen.study,
        periods=chosen.period or (None,),
        each=chosen.each,
        notebooks=chosen.notebook,
        settings=dict(setting.split("=", 1) for setting in chosen.set),
    )
    jobs = plan_reports(request, reports).jobs
    if chosen.groups:
        parents = list(dict.fromkeys(job.output.parent for job in jobs))
        taken = {
            folder
            for period in {parent.parent for parent in parents}
            for folder in [one for one in parents if one.parent == period][: chosen.groups]
        }
        jobs = [job for job in jobs if job.output.parent in taken]
    ways = {"cxlab report": lambda: factory(jobs, chosen.jobs)}
    if not chosen.no_stock:
        ways["stock, one after another"] = lambda: stock(jobs, place)
    rows = []
    for way, run in ways.items():
        before = processor_seconds()
        seconds, outside = run()
        rows.append(
            {
                "way": way,
                "reports": len(jobs),
                "seconds": seconds,
                "processor_seconds": processor_seconds() - before,
                "outside_cells_per_report": outside / len(jobs),
            }
        )
    begun = time.perf_counter()
    plan_reports(request, reports)
    make_reports(jobs)
    rows.append({"way": "unchanged", "reports": len(jobs), "seconds": time.perf_counter() - begun})
    return pd.DataFrame(rows)


if __name__ == "__main__":
    main(sys.argv[1:])
