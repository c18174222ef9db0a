"""The line that closes a notebook: what its figures rest on."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

#: A change in one of these can change a figure.
NAMED = ("cxlab", "numpy", "scipy", "pandas", "duckdb")


def version_line(**parameters: Any) -> str:
    """Parameters and versions in one line; patch releases are in a report's manifest.

    Examples
    --------
    >>> version_line(study="demo").startswith("study = 'demo'; cxlab ")
    True
    """
    used = ", ".join(f"{name} = {value!r}" for name, value in parameters.items())
    versions = ", ".join(f"{name} {_short(version(name))}" for name in NAMED)
    return f"{used}; {versions}."


def _short(full: str) -> str:
    """Major and minor: a patch release should not make every stored output stale."""
    return ".".join(full.split(".")[:2])
