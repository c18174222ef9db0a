"""``python -m benchmarks [NAME ...] [--studies N]``: run every benchmark, or those named."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import time
from pathlib import Path

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Modules that have a ``main``."""
    found = [module.name for module in pkgutil.iter_modules([str(FOLDER)])]
    return sorted(name for name in found if not name.startswith("_") and name != "tables")


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    parser.add_argument(
        "--studies", type=int, help="simulated studies per line of a coverage table"
    )
    asked = parser.parse_args()
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        parser.error(f"NAME must be one of {', '.join(names())}; got {unknown[0]}")
    for name in asked.names or names():
        run = importlib.import_module(f"benchmarks.{name}").main
        takes_studies = "studies" in inspect.signature(run).parameters
        print(f"\n=== {name} ===", flush=True)
        started = time.perf_counter()
        run(**({"studies": asked.studies} if takes_studies and asked.studies else {}))
        print(f"({time.perf_counter() - started:.0f} s)", flush=True)


if __name__ == "__main__":
    main()
