"""Clean copies of raw answers as Parquet, in a folder that only its owner reads.

A raw file is cleaned once, chunk by chunk, into one Parquet file that any engine scans. The
copy is found again by a digest of the raw file's bytes, of what the study says of its columns,
and of the code that cleaned it; so a change of any of them makes a new copy.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import narwhals as nw
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cxlab.core.engines import connection
from cxlab.survey.answers import Cleaner, Findings, repeated_ids
from cxlab.survey.cleaning import VALUE_TYPES
from cxlab.survey.datasets import CACHE_VARIABLE, cache_folder, file_digest
from cxlab.survey.definition import RATING_ROLES, Table
from cxlab.survey.files import write_whole
from cxlab.survey.sources import RawTable

#: Name of what was found while cleaning, in a clean copy's metadata.
FINDINGS = b"cxlab"
#: A file changed so shortly before it was looked at may have changed again unseen.
RACY_SECONDS = 2.0
#: A copy of an older state of a file is kept so long: another process may be reading it.
KEPT_SECONDS = 3_600.0
#: Beginning of the names of copies of frames given, which live as long as their process.
GIVEN = "given-"


@dataclass(frozen=True)
class CleanPart:
    """Clean answers of one raw table, on disk or in memory, and what was found in its rows."""

    findings: Findings
    path: Path = Path()  # of a Parquet file
    chunks: Sequence[pa.Table] = ()  # in memory


class Memory:
    """Clean answers of wanted periods that are kept in memory, as a `Store` keeps copies."""

    def __init__(self, wanted: Sequence[str] | None) -> None:
        self.wanted = wanted

    def find(self, table: Table, period: str, raw: RawTable) -> None:
        """Nothing is kept from one reading to the next."""

    def clean(self, table: Table, period: str, raw: RawTable) -> CleanPart:
        """The clean answers of a file or of a frame given."""
        cleaner = Cleaner(table, period, raw.name)
        chunks = [cleaner.clean(chunk, self.wanted) for chunk in raw.chunks()]
        return CleanPart(cleaner.findings, chunks=chunks)

    def check_ids(
        self, table: Table, parts: Sequence[CleanPart], name: str, wanted: Sequence[str] | None
    ) -> None:
        """Refuse ids that stand more than once in the files of a period."""
        if column := table.only("id"):
            chunks = [chunk[column.name] for part in parts for chunk in part.chunks]
            ids = pd.concat([chunk.cast(pa.string()).to_pandas() for chunk in chunks])
            again = ids[ids.duplicated()]
            if len(again):
                raise repeated_ids(name, column.name, str(again.iloc[0]), len(again))


class Store:
    """The clean copies of one study."""

    def __init__(self, study: Path, name: str) -> None:
        self.folder = study_folder(study, name)

    def find(self, table: Table, period: str, raw: RawTable) -> CleanPart | None:
        """The clean copy of a file; None where there is none of its present state."""
        if raw.path is None:
            return None
        return _opened(self._target(table, period, raw))

    def clean(self, table: Table, period: str, raw: RawTable) -> CleanPart:
        """The clean copy of a file or of a frame given, made where there is none."""
        make_private(self.folder)
        if raw.path is None:
            _remove_abandoned(self.folder)
            return _write(table, period, raw, _given_folder(self.folder) / f"{_random()}.parquet")
        before = [_state(path) for path in raw.paths]
        target = self._target(table, period, raw)
        part = _opened(target)
        if part is None:
            part = _write(
                table, period, raw, target.with_name(f"{_place(target)}-{_random()}.parquet")
            )
            # a file that changed meanwhile is not what the name would say
            if [_state(path) for path in raw.paths] == before:
                part = replace(part, path=part.path.replace(target))
            self._remove_older(part.path)
        return part

    def _target(self, table: Table, period: str, raw: RawTable) -> Path:
        """Path of a file's clean copy: by its place, then by its bytes and what they mean."""
        place = _short(
            f"{table.name} {period} {' '.join(str(path.resolve()) for path in raw.paths)}"
        )
        digests = " ".join(map(self._digest, raw.paths))
        state = _short(f"{digests} {rules_of(table, period)} {_code()}")
        return self.folder / f"{place}-{state}.parquet"

    def _digest(self, path: Path) -> str:
        """SHA-256 of a file, which is read again only where it may have changed."""
        note = self.folder / f"{_short(str(path.resolve()))}.json"
        state = _state(path)
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            seen = json.loads(note.read_text(encoding="utf-8"))
            if seen["state"] == state and seen["sure"]:
                return str(seen["sha256"])
        looked = time.time()
        digest = file_digest(path)
        changed = max(path.stat().st_mtime, path.stat().st_ctime)
        # Windows keeps no time of the last change that a program cannot set
        sure = _state(path) == state and looked - changed > RACY_SECONDS and os.name != "nt"
        make_private(self.folder)
        write_whole(note, json.dumps({"state": state, "sha256": digest, "sure": sure}))
        return digest

    def _remove_older(self, target: Path) -> None:
        """Copies of the same file's earlier states, unless somebody may be reading them.

        Drafts of a process that was killed go too; one that is being written is younger.
        """
        drafts = self.folder.glob(".*.parquet.*")
        for path in [*self.folder.glob(f"{_place(target)}-*.parquet"), *drafts]:
            with contextlib.suppress(OSError):
                if path != target and time.time() - path.stat().st_mtime > KEPT_SECONDS:
                    path.unlink()

    def check_ids(
        self, table: Table, parts: Sequence[CleanPart], name: str, wanted: Sequence[str] | None
    ) -> None:
        """Refuse ids that stand more than once in the files of a period."""
        column = table.only("id")
        if column is None:
            return
        names = " ".join(sorted(part.path.name for part in parts))
        seen = parts[0].path.with_name(f"{_short(names)}.unique")
        if seen.exists():
            return
        found = repeated(parts, column.name, None)
        if found and wanted is not None and table.only("period") is not None:
            found = repeated(parts, column.name, wanted)
            if not found:
                return
        if found:
            raise repeated_ids(name, column.name, *found)
        seen.touch()


def study_folder(study: Path, name: str) -> Path:
    """Where a study's clean copies are."""
    # a name may hold what means something in paths; lazy frames outlive a change of folder
    plain = re.sub(r"[^\w.-]+", "-", name)
    return cache_folder().absolute() / "clean" / f"{plain}-{_short(str(study.resolve()))}"


def clear(study: Path, name: str) -> int:
    """Remove a study's clean copies; returns how many bytes they had."""
    folder = study_folder(study, name)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    shutil.rmtree(folder, ignore_errors=True)
    return size


def make_private(folder: Path) -> None:
    """Make a folder that only its owner enters."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.parent.chmod(0o700)
        folder.mkdir(mode=0o700, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise type(error)(
            f"`{CACHE_VARIABLE}` must name a folder of your own that can be written to; clean copies "
            f"cannot be made in '{folder}' ({error.strerror}). Name another one."
        ) from error


def rules_of(table: Table, period: str) -> str:
    """Everything that a study says about how a file of a period is read and cleaned."""
    columns = {
        name: replace(
            column, source=column.header(period) or "", label="", stage="", metrics=(), targets={},
            owner="", spans_periods=False,
        )
        for name, column in table.columns.items()
    }  # fmt: skip
    about = replace(
        table, label="", files={}, operational={}, touchpoint_column=None, columns=columns
    )
    return f"{period} {about}"


@functools.lru_cache(maxsize=1)
def _code() -> str:
    """The code that reads and cleans: its version, and its bytes, which change before that does."""
    found = hashlib.sha256(f"{version('cxlab')} {pa.__version__}".encode())
    here = Path(__file__).resolve().parent
    for path in sorted([*here.glob("*.py"), *here.glob("*.toml"), *here.glob("exports/*.py")]):
        found.update(path.read_bytes())
    return found.hexdigest()


def _state(path: Path) -> list[int]:
    told = path.stat()
    return [told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino]


def _place(target: Path) -> str:
    return target.name.partition("-")[0]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _random() -> str:
    return os.urandom(8).hex()


# one copy ---------------------------------------------------------------------------------


def _opened(path: Path) -> CleanPart | None:
    """A copy that is there; None where there is none, or a power cut left half of one."""
    try:
        metadata = pq.read_metadata(path).metadata
        return CleanPart(Findings.of(metadata[FINDINGS]), path)
    except (FileNotFoundError, pa.ArrowInvalid):
        return None


def _write(table: Table, period: str, raw: RawTable, target: Path) -> CleanPart:
    """Clean a raw table into a Parquet file that appears when it is whole."""
    draft = target.with_name(f".{target.name}.{_random()}")
    try:
        zoned: frozenset[str] = frozenset()
        while True:
            findings = _write_once(table, period, raw, draft, zoned)
            found = frozenset(name for name, zones in findings.zones.items() if zones != [""])
            if found <= zoned or raw.path is None:
                break
            zoned |= found  # times of a zone below thousands of blanks
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return CleanPart(findings, target)


def _write_once(
    table: Table, period: str, raw: RawTable, draft: Path, zoned: frozenset[str]
) -> Findings:
    cleaner = Cleaner(table, period, raw.name)
    chunks = (cleaner.clean(chunk) for chunk in raw.chunks())
    begun = _begun(chunks)
    zoned |= {name for name, zones in cleaner.findings.zones.items() if zones != [""]}
    # text as a dictionary, which is written in half the time
    text = pa.dictionary(pa.int32(), pa.string())
    schema = pa.schema(
        field.with_type(text) if pa.types.is_string(field.type) else field
        for field in answers_schema(table, zoned)
    )
    with pq.ParquetWriter(draft, schema, store_schema=False, compression="zstd") as writer:
        for chunk in begun:
            writer.write_table(as_schema(chunk, schema))
        writer.add_key_value_metadata({FINDINGS: cleaner.findings.as_record()})
    if not sum(cleaner.findings.rows.values()) and not cleaner.findings.without_period:
        raise ValueError(f"{raw.name} must hold at least one answer below its header; got none.")
    return cleaner.findings


def _begun(chunks: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The chunks, of which the first with rows has been cleaned."""
    first = [next(chunks)]
    for chunk in chunks:
        first.append(chunk)
        if len(chunk):
            break

    def every() -> Iterator[pa.Table]:
        yield from first
        yield from chunks

    return every()


def answers_schema(table: Table, zoned: Sequence[str] | frozenset[str]) -> pa.Schema:
    """Columns of a table's clean answers; dates are in UTC where they have a zone."""
    fields = [pa.field("period", pa.string())]
    for column in table.columns.values():
        if column.role == "period":
            continue
        kind = VALUE_TYPES.get(column.role, pa.string())
        kind = pa.timestamp("us", "UTC") if column.name in zoned else kind
        fields.append(pa.field(column.name, kind))
        if column.role in RATING_ROLES:
            fields.append(pa.field(f"{column.name}_missing", pa.string()))
    return pa.schema(fields)


def as_schema(chunk: pa.Table, schema: pa.Schema) -> pa.Table:
    """Clean answers in the types of a schema."""
    columns = []
    for field in schema:
        column = chunk[field.name]
        if pa.types.is_dictionary(field.type) and not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        columns.append(column.cast(field.type, safe=False))
    return pa.table(columns, schema=schema)


# scanning ---------------------------------------------------------------------------------


def repeated(
    parts: Sequence[CleanPart], column: str, wanted: Sequence[str] | None
) -> tuple[str, int] | None:
    """One value that stands more than once, and how many rows repeat one; None where none does.

    Eight bytes a row are compared first: hundreds of millions of them fit into memory.
    """
    database = connection()
    rows = nw.from_native(duckdb_rows(database, parts))
    if wanted is not None:
        rows = rows.filter(nw.col("period").is_in(list(wanted)))
    rows = rows.to_native()
    name = '"' + column.replace('"', '""') + '"'
    marks = np.sort(rows.project(f"hash({name}) AS mark").fetchnumpy()["mark"])
    alike = np.unique(marks[1:][marks[1:] == marks[:-1]])
    if not len(alike):
        return None
    database.register("marks", pa.table({"mark": alike}))
    found = rows.query(
        "rows",
        f"SELECT {name} AS id, count(*) AS n FROM rows WHERE {name} IS NOT NULL "
        f"AND hash({name}) IN (SELECT mark FROM marks) GROUP BY 1 HAVING count(*) > 1 ORDER BY 1",
    ).fetchnumpy()
    if not len(found["id"]):
        return None
    return str(found["id"][0]), int((found["n"] - 1).sum())


# copies of frames given -------------------------------------------------------------------


def duckdb_rows(database: Any, parts: Sequence[CleanPart]) -> Any:
    """Clean copies as rows of a DuckDB database."""
    # DuckDB would take * ? [ for a pattern
    paths = [re.sub(r"[*?[]", r"[\g<0>]", str(part.path)) for part in parts]
    return database.read_parquet(paths, hive_partitioning=False)


def _given_folder(folder: Path) -> Path:
    """Folder of the copies of one process, which goes when it ends."""
    process = os.getpid()
    mine = folder / f"{GIVEN}{process}"

    def remove() -> None:
        if os.getpid() == process:  # not where a fork of it ends
            shutil.rmtree(mine, ignore_errors=True)

    if not mine.is_dir():
        make_private(mine)
        atexit.register(remove)
    return mine


def _remove_abandoned(folder: Path) -> None:
    """Copies whose process was killed before it could remove them."""
    for path in folder.glob(f"{GIVEN}*"):
        process = path.name.removeprefix(GIVEN)
        if os.name == "posix" and process.isdigit() and not _is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
