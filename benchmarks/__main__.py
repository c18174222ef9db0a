"""``python -m benchmarks [NAME ...] [--studies N]``: run every benchmark, or those named."""

from __future__ import annotations

import argparse
import importlib
import inspect
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """Modules that have a ``main``."""
    found = [module.name for module in pkgutil.iter_modules([str(FOLDER)]) if not module.ispkg]
    return sorted(name for name in found if not name.startswith("_"))


def main() -> None:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(names())}")
    parser.add_argument(
        "--studies", type=int, help="simulated studies per line of a coverage table"
    )
    asked, own = parser.parse_known_args()
    unknown = sorted(set(asked.names) - set(names()))
    if unknown:
        parser.error(f"NAME must be one of {', '.join(names())}; got {unknown[0]}")
    for name in asked.names or names():
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"\n=== {name} ===", flush=True)
        started = time.perf_counter()
        run_one(module, asked.studies, own)
        print(f"({time.perf_counter() - started:.0f} s)", flush=True)


def run_one(module: ModuleType, studies: int | None, own: list[str]) -> None:
    """Run a benchmark, whether it takes its options as arguments or from the command line.

    Options that are a benchmark's own, such as ``--rows``, are passed on.
    """
    if "studies" in inspect.signature(module.main).parameters:
        module.main(**({"studies": studies} if studies else {}))
        return
    takes_studies = studies and '"--studies"' in inspect.getsource(module)
    sys.argv = [module.__name__, *(["--studies", str(studies)] if takes_studies else []), *own]
    module.main()


if __name__ == "__main__":
    main()
