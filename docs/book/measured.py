"""What was measured: each benchmark with the command that prints it, and what it printed."""

from __future__ import annotations

import ast
from pathlib import Path

from benchmarks.__main__ import names
from docs.book.markdown import page

FOLDER = Path(__file__).resolve().parents[2] / "benchmarks"
#: What runs printed, each below its command; CONTRIBUTING says how to make them again.
KEPT = FOLDER / "measured"


def about(name: str) -> str:
    """What a benchmark measures: its docstring's first paragraph."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text(encoding="utf-8"))
    return " ".join((ast.get_docstring(tree) or "").partition("\n\n")[0].split())


def measured_page() -> str:
    """Every benchmark, with what it printed."""
    parts = [
        "Speed beside other packages, and whether intervals and tests keep what they promise in "
        "simulated studies whose truth is known. Each figure stands below the command that prints it, "
        "from the root of the clone; seeds are fixed, so that the same studies are drawn again. "
        "`make bench` runs all of them, with more studies than here. Speeds are those of two cores that "
        "other work shared: your own are better."
    ]
    for name in names():
        kept = KEPT / f"{name}.txt"
        parts += [f"## {name.replace('_', ' ')}", about(name)]
        text = (
            kept.read_text(encoding="utf-8")
            if kept.exists()
            else f"$ python -m benchmarks {name}\n"
        )
        parts.append(f"```console\n{text}```")
    return page("What was measured", *parts)
