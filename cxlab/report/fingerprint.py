"""Whether a report would come out the same: a digest of everything it is made from."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from cxlab.report.digests import file_digest
from cxlab.report.manifest import SCHEMA, package_versions

#: Parts of the package that can change a report.
CODE = (".py", ".pyi", ".j2", ".css", ".json", ".toml")


def fingerprint(notebook: Path, parameters: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """SHA-256 of notebook, parameters, data files, package code, lock and versions.

    Parameters
    ----------
    notebook : Path
    parameters : mapping
        Values used, defaults included.
    inputs : sequence of Path
        Study file and data files.

    Returns
    -------
    str
        Hexadecimal. Paths are no part of it: a moved folder is not a change.
    """
    parts = {
        "notebook": _digest(notebook),
        "parameters": dict(parameters),
        "inputs": [(path.name, _digest(path)) for path in inputs],
        "code": code_digest(),
    }
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@lru_cache(maxsize=1)
def code_digest() -> str:
    """SHA-256 of the package's code, the lock file, and what is installed."""
    package = Path(__file__).resolve().parents[1]
    found = hashlib.sha256(f"{SCHEMA} {platform.python_version()}".encode())
    found.update(json.dumps(package_versions()).encode())
    for path in sorted(path for path in package.rglob("*") if path.suffix in CODE):
        found.update(f"{path.relative_to(package).as_posix()} {file_digest(path)}".encode())
    lock = package.parent / "requirements.lock"
    if lock.is_file():
        found.update(file_digest(lock).encode())
    return found.hexdigest()


def _digest(path: Path) -> str:
    state = path.stat()
    return _digest_of(path, state.st_mtime_ns, state.st_size, state.st_ino)


@lru_cache(maxsize=4096)
def _digest_of(path: Path, modified: int, size: int, inode: int) -> str:
    """A run asks for the same data files once a report."""
    return file_digest(path)
