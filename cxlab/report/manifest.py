"""What a report was made from: enough to make it again and to compare."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import nbformat

from cxlab.report.notebooks import report_name
from cxlab.report.records import VERIFICATION, RecordError, Verified, file_digest, read_record

#: Packages whose version can change a figure or a page.
PACKAGES = (
    "cxlab", "numpy", "scipy", "pandas", "statsmodels", "duckdb", "narwhals", "matplotlib",
    "seaborn", "papermill", "nbconvert", "ipykernel", "xlsxwriter", "python-pptx",
)  # fmt: skip
#: Of the manifest; 4 since cxlab 0.2.
SCHEMA = 4
#: A change in one of these can change a figure.
NAMED = ("cxlab", "numpy", "scipy", "pandas", "duckdb")
#: Parts of the package that can change a report.
CODE = (".py", ".pyi", ".j2", ".css", ".json", ".toml")


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache(maxsize=1)
def package_versions() -> dict[str, str]:
    """Installed version of each of `PACKAGES`."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def make_manifest(
    *,
    notebook: Path,
    parameters: Mapping[str, Any],
    inputs: Sequence[Path],
    started: str,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything a report was made from, defaults included, as JSON can hold it."""
    return {
        "schema": SCHEMA,
        **about,
        "notebook": {"name": f"{report_name(notebook)}.ipynb", "sha256": file_digest(notebook)},
        "parameters": dict(parameters),
        "seed": parameters.get("seed"),
        "inputs": [
            {"name": name, "sha256": file_digest(path)}
            for name, path in input_names(inputs).items()
        ],
        "packages": dict(package_versions()),
        "python": platform.python_version(),
        "processor": processor(),
        "git": git_state(),
        "started": started,
        "ended": now(),
    }


def made_earlier(manifest: Mapping[str, Any]) -> str:
    """Which version made a report, if not this one: its report cannot be compared with ours.

    Examples
    --------
    >>> made_earlier({"schema": 3, "packages": {"cxlab": "0.1.0"}}), made_earlier({"schema": 4})
    ('made by 0.1', '')
    """
    if manifest.get("schema") == SCHEMA:
        return ""
    return f"made by {_short(str(manifest['packages'].get('cxlab', 'another version')))}"


def input_names(inputs: Sequence[Path]) -> dict[str, Path]:
    """Names that tell files apart and say nothing of the machine: the study file, then its data files.

    A file beside the study file or below it is named from there, any other by its own name; of
    several with one name, by as much of the path as tells them apart.

    Examples
    --------
    >>> files = ["a/study.toml", "a/2024/x.csv", "a/2025/x.csv", "b/y.csv"]
    >>> list(input_names([Path(name) for name in files]))
    ['study.toml', '2024/x.csv', '2025/x.csv', 'y.csv']
    >>> list(input_names([Path("a/study.toml"), Path("b/Q1/t.json"), Path("b/Q2/t.json")]))
    ['study.toml', 'Q1/t.json', 'Q2/t.json']
    """
    if not inputs:
        return {}
    folder = inputs[0].resolve().parent
    outside = [path for path in inputs if not path.resolve().is_relative_to(folder)]
    return {
        path.resolve().relative_to(folder).as_posix()
        if path not in outside
        else _telling_name(path, [one for one in outside if one.name == path.name]): path
        for path in dict.fromkeys(inputs)
    }


def _telling_name(path: Path, namesakes: Sequence[Path]) -> str:
    """The file's name, from the folder that it shares with others of that name."""
    return path.relative_to(os.path.commonpath([one.parent for one in namesakes])).as_posix()


def git_state() -> dict[str, Any]:
    """Commit of the package's checkout and whether it was clean; nulls outside one."""
    folder = Path(__file__).resolve().parents[2]
    commit = _git(folder, "rev-parse", "HEAD") if (folder / ".git").exists() else None
    if commit is None:
        return {"commit": None, "clean": None}
    return {"commit": commit, "clean": _git(folder, "status", "--porcelain") == ""}


def _git(folder: Path, *words: str) -> str | None:
    command = ["git", "-C", str(folder), *words]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def warnings_of(executed: nbformat.NotebookNode) -> list[str]:
    """Lines that cells wrote to standard error."""
    return [
        line
        for cell in executed.cells
        if cell.cell_type == "code"
        for output in cell.outputs
        if output.output_type == "stream" and output.name == "stderr"
        for line in output.text.splitlines()
        if line.strip()
    ]


def read_verification(folder: Path) -> dict[str, Any] | None:
    """What `cxlab verify` found when the report last came out the same: the page shows it.

    A report that does not is left as it is; what was found then is in ``verified.json``.
    """
    try:
        record = read_record(folder / VERIFICATION, Verified)
    except RecordError:
        return None
    return record if record["same"] else record.get("shown")


def checks(
    manifest: Mapping[str, Any], verification: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Rows of the checks block that closes a report."""
    git = manifest["git"]
    state = {True: "clean", False: "with uncommitted changes", None: ""}[git["clean"]]
    warned = manifest["warnings"]
    parameters = ", ".join(f"{k} = {v!r}" for k, v in manifest["parameters"].items())
    versions = ", ".join(f"{k} {v}" for k, v in manifest["packages"].items())
    notebook = manifest["notebook"]
    unmade = manifest.get("failed_formats", {})
    return [
        *((f"Input {one['name']}", f"SHA-256 {one['sha256']}") for one in manifest["inputs"]),
        (f"Notebook {notebook['name']}", f"SHA-256 {notebook['sha256']}"),
        ("Parameters", parameters),
        ("Seed", "none used" if manifest.get("seed") is None else str(manifest["seed"])),
        ("Commit", f"{git['commit']}, {state}" if git["commit"] else "not in a git checkout"),
        ("Versions", f"{versions}, Python {manifest['python']}"),
        *(("Processor", manifest[name]) for name in ("processor",) if name in manifest),
        ("Warnings", f"{len(warned)}: {warned[0]}" if warned else "none"),
        *((f"Format {one}", f"not made: {why}") for one, why in unmade.items()),
        ("Made", f"{manifest['started']} to {manifest['ended']}"),
        ("Run again", _run_again(verification)),
    ]


def _run_again(verification: Mapping[str, Any] | None) -> str:
    if verification is None:
        return "not checked yet: cxlab verify FOLDER compares every table"
    words = f"every table came out the same{near_words(verification['near'])}"
    return f"{verification['when']}: {words}"


def near_words(reasons: str) -> str:
    """How near, where the same is not the same to the last digit; empty without reasons."""
    return f" to 1e-9 ({reasons})" if reasons else ""


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


@lru_cache(maxsize=1)
def processor() -> str:
    """Machine, and the processor types that OpenBLAS and NumPy compute for."""
    import numpy
    from threadpoolctl import threadpool_info

    found = numpy.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    cores = [one["architecture"] for one in threadpool_info() if one["internal_api"] == "openblas"]
    parts = [
        platform.machine(), cores and f"OpenBLAS {cores[0]}", found and f"NumPy {found[-1]}"
    ]  # fmt: skip
    return ", ".join(part for part in parts if part)


def fingerprint(notebook: Path, parameters: Mapping[str, Any], inputs: Sequence[Path]) -> str:
    """SHA-256 of notebook, parameters, data files, package code, lock and versions.

    What the run hides in the report because of other reports is among the parameters. Paths are
    no part of it: a moved folder is not a change.
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
