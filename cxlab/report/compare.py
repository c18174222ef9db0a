"""Two makings of one report, compared file by file: what a reader would see differ, in one line each."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat

from cxlab.core.messages import one_line
from cxlab.report.answer import FINDINGS_FILE

#: Relative difference of numbers that another processor or other versions may bring about.
RELATIVE = 1e-9
#: Share of a column's largest number below which a number may be what rounding has left.
RESIDUE = 1e-12
#: Levels, of 256, by which a pixel's colour may differ there.
LEVELS = 8
#: Differing cells of one table, and places of one file, that are named.
NAMED = 5
#: Characters of each value that is named.
SHOWN = 80

_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:e[-+]?\d+)?", re.I)
#: What no two runs have in common: names of cells' files, addresses, bars of progress.
_PASSING = re.compile(
    r"\S*ipykernel_\d+[/\\]\d+\.py|(?<= at )0x[0-9a-f]+|\r?[^\r\n]*\d%\|[^\r\n]*\[[^\]\r\n]*\]"
)
_DRAWN = re.compile(r"digest [0-9a-f]{16}")
_MADE = re.compile(rb"<dcterms:(created|modified)[^>]*>[^<]*<")
_PDF_STREAM = re.compile(rb"stream\r?\n(.*?)\r?\nendstream", re.S)
#: What differs between two printings of one page: times and places of objects.
_PDF_PASSING = re.compile(
    rb"/(?:CreationDate|ModDate) ?\([^)]*\)|\d{10} \d{5} [nf]|startxref\s+\d+|/Length \d+"
)
_PDF_PRODUCER = re.compile(rb"/Producer ?\(([^)]*)\)")

Row = dict[str, Any]


def compare_made(
    folder: Path, again: Path, manifest: Mapping[str, Any], *, exact: bool
) -> dict[str, list[str]]:
    """Differences of each file that the run itself makes: the notebook and its tables.

    One line each, of numbers to the last digit or to 1e-9 relative; an empty list: the same.
    """
    name = Path(manifest["notebook"]["name"]).name
    found = {name: list(_compare_notebook(folder / name, again / name, exact))}
    there = {path.stem for path in (again / "tables").glob("*.csv")}
    for table in sorted(there | set(manifest["tables"])):
        if table not in there:
            found[f"tables/{table}.json"] = [f"table {table} is no longer made"]
        elif table not in manifest["tables"]:
            found[f"tables/{table}.json"] = [f"table {table} is new"]
        else:
            found |= _compare_table(folder, again, table, exact)
    return found | _compare_findings(folder / FINDINGS_FILE, again / FINDINGS_FILE, exact)


def _compare_findings(before: Path, after: Path, exact: bool) -> dict[str, list[str]]:
    """Differences of what is said of the answer, if either of two makings has said anything."""
    if not before.is_file() and not after.is_file():
        return {}
    if not after.is_file():
        return {FINDINGS_FILE: ["findings are no longer made"]}
    if not before.is_file():
        return {FINDINGS_FILE: [f"{FINDINGS_FILE} is missing"]}
    old, new = (path.read_bytes().decode("utf-8", "replace") for path in (before, after))
    if same_text(old, new, exact):
        return {FINDINGS_FILE: []}
    return {FINDINGS_FILE: [f"findings: {_difference('', old, new)}"]}


def _compare_table(folder: Path, again: Path, table: str, exact: bool) -> dict[str, list[str]]:
    """Differences of the two files of a table; what they have in common is said once."""
    found: dict[str, list[str]] = {}
    said: set[str] = set()
    for file, read, name in (
        (f"tables/{table}.json", json_rows, f"table {table}"),
        (f"tables/{table}.csv", csv_rows, f"tables/{table}.csv"),
    ):
        before, after = read(folder / file), read(again / file)
        if before is None:
            found[file] = [f"{file} is not what the report wrote"]
            continue
        lines = list(compare_tables(before, after or [], name, exact=exact))
        found[file] = [line for line in lines if _cell_of(line) not in said]
        said |= {_cell_of(line) for line in lines} - {""}
        if exact and not lines and (folder / file).read_bytes() != (again / file).read_bytes():
            # such as a repeated name in a row, of which only one is read
            found[file] = [f"{file} is not what the report wrote"]
    return found


def _cell_of(line: str) -> str:
    """Row and column that a difference names; empty for another one."""
    return line.partition(": was ")[0].partition(", row ")[2]


def _compare_notebook(before: Path, after: Path, exact: bool) -> Iterator[str]:
    try:
        old = nbformat.read(before, as_version=4)
        yield from compare_notebooks(
            old, nbformat.read(after, as_version=4), before.name, exact=exact
        )
    except (OSError, ValueError, AttributeError, KeyError, TypeError):
        yield f"{before.name} is not what the report wrote"


def compare_tables(
    before: Sequence[Row], after: Sequence[Row], name: str, *, exact: bool = True
) -> Iterator[str]:
    """One line for each of the first cells that differ, and for the number of others."""
    if len(before) != len(after):
        yield f"{name}: had {len(before)} rows, has {len(after)}"
        return
    if before and list(before[0]) != list(after[0]):
        yield f"{name}: had columns {', '.join(before[0])}; has {', '.join(after[0])}"
        return
    cells = list(differing_cells(before, after, exact))
    for number, column in cells[:NAMED]:
        label = one_line(next(iter(before[number].values())), SHOWN)
        old, new = (one_line(rows[number][column], SHOWN) for rows in (before, after))
        yield f"{name}, row {number + 1} ({label}), column {column}: was {old}, is {new}"
    if len(cells) > NAMED:
        yield f"{name}: {len(cells) - NAMED} more cells"


def differing_cells(
    before: Sequence[Row], after: Sequence[Row], exact: bool
) -> Iterator[tuple[int, str]]:
    """Row and column of each cell that differs, of two tables of one shape."""
    for column in before[0] if before else ():
        numbers = [abs(row[column]) for row in before if isinstance(row.get(column), float)]
        scale = max((number for number in numbers if math.isfinite(number)), default=0.0)
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            if not _same(old.get(column), new.get(column), exact, scale):
                yield number, column


def _same(old: Any, new: Any, exact: bool, scale: float) -> bool:
    if type(old) is not type(new):
        return False
    if old == new or exact:
        return bool(old == new)
    if isinstance(old, float):
        return math.isclose(old, new, rel_tol=RELATIVE, abs_tol=RESIDUE * max(scale, 1.0))
    return isinstance(old, str) and same_text(old, new, exact)


def same_text(old: str, new: str, exact: bool) -> bool:
    """Whether two texts are the same, their numbers to 1e-9 unless ``exact``."""
    if old == new or exact:
        return old == new
    old, new = (_DRAWN.sub("digest", text) for text in (old, new))
    if _NUMBER.sub("0", old) != _NUMBER.sub("0", new):
        return False
    pairs = zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True)
    return all(
        math.isclose(float(one), float(other), rel_tol=RELATIVE, abs_tol=RESIDUE)
        for one, other in pairs
    )


def csv_rows(path: Path) -> list[Row] | None:
    """Rows of a recorded CSV file, numbers as numbers; None where it is missing or spoilt."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            header, *lines = csv.reader(stream, strict=True)
        return [
            {name: _cell(text) for name, text in zip(header, line, strict=True)} for line in lines
        ]
    except (OSError, ValueError, csv.Error):
        return None


def _cell(text: str) -> Any:
    return float(text) if re.fullmatch(r"-?\d+\.\d+(e[-+]?\d+)?", text) else text


def json_rows(path: Path) -> list[Row] | None:
    """Rows of a recorded table; None where its file is missing or spoilt."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    whole = isinstance(rows, list) and all(isinstance(row, dict) and row for row in rows)
    return rows if whole else None


def compare_notebooks(
    old: nbformat.NotebookNode, new: nbformat.NotebookNode, name: str, *, exact: bool
) -> Iterator[str]:
    """One line for each of the first places where two executed notebooks differ."""
    if len(old.cells) != len(new.cells):
        yield f"{name}: had {len(old.cells)} cells, has {len(new.cells)}"
        return
    found = []
    for number, (one, other) in enumerate(zip(old.cells, new.cells, strict=True), start=1):
        before, after = cell_parts(one), cell_parts(other)
        for part in [*before, *(part for part in after if part not in before)]:
            if not _same_part(part, before.get(part, ""), after.get(part, ""), exact):
                words = _difference(part, before.get(part, ""), after.get(part, ""))
                found.append(f"{name}, cell {number} of {len(old.cells)}, {part}: {words}")
    yield from found[:NAMED]
    if len(found) > NAMED:
        yield f"{name}: {len(found) - NAMED} more places"


def cell_parts(cell: nbformat.NotebookNode) -> dict[str, str]:
    """What a reader may see of a cell, by name: source, tags, printed text, displays.

    A kernel sends printed text in parts, by a timer: it is joined, and not kept in its place
    among the displays.
    """
    parts = {"source": cell.source, "kind": cell.cell_type}
    parts["tags"] = json.dumps(cell.metadata.get("tags", []))
    parts["attachments"] = json.dumps(cell.get("attachments", {}), sort_keys=True)
    displays = 0
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            parts[output.name] = parts.get(output.name, "") + output.text
            continue
        displays += 1
        if output.output_type == "error":
            parts[f"output {displays}"] = json.dumps(output, sort_keys=True)
            continue
        for kind, value in output.data.items():
            text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
            parts[f"output {displays}, {kind}"] = text
        parts[f"output {displays}, details"] = json.dumps(output.metadata, sort_keys=True)
    return parts


def _same_part(part: str, old: str, new: str, exact: bool) -> bool:
    if old == new:
        return True
    if part.endswith(("image/png", "image/jpeg")):
        return _same_image(old, new, 0 if exact else LEVELS)
    if part != "source":
        old, new = _PASSING.sub("", old), _PASSING.sub("", new)
    return same_text(old, new, exact)


def _same_image(old: str, new: str, levels: int) -> bool:
    """Whether two images look the same: one picture may be packed in several ways."""
    from PIL import Image, ImageChops

    try:
        one, other = (
            Image.open(io.BytesIO(base64.b64decode(t))).convert("RGBA") for t in (old, new)
        )
    except (OSError, ValueError):
        return False
    if one.size != other.size:
        return False
    differing = ImageChops.difference(one, other).tobytes()
    return max(differing, default=0) <= levels


def _difference(part: str, old: str, new: str) -> str:
    """The first place where two texts differ, with its surroundings."""
    if part.endswith(("image/png", "image/jpeg")):
        return "the picture is another"
    at = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), None)
    start = max((min(len(old), len(new)) if at is None else at) - SHOWN // 3, 0)
    was, now = (one_line(text[start : start + SHOWN]) for text in (old, new))
    return f"was '{was}', is '{now}'"


def compare_text(old: str, new: str, name: str) -> Iterator[str]:
    """One line where two texts differ at all."""
    if old != new:
        yield f"{name}: {_difference('', old, new)}"


def differing_part(old: bytes, new: bytes) -> str | None:
    """The first part in which two Office files differ; None where they are the same.

    The moment at which each was made is passed over.
    """
    try:
        one, other = _parts(old), _parts(new)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError):
        return "it is not a file of that format"
    for name in [*one, *(name for name in other if name not in one)]:
        if one.get(name) != other.get(name):
            return name
    return None


def _parts(content: bytes) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        found["the list of parts"] = "\n".join(archive.namelist()).encode()
        for name in archive.namelist():
            part = archive.read(name)
            if name.endswith(".xlsx"):
                found |= {f"{name}/{inner}": one for inner, one in _parts(part).items()}
            else:
                found[name] = _MADE.sub(b"", part) if name == "docProps/core.xml" else part
    return found


def same_pdf(old: bytes, new: bytes) -> bool:
    """Whether two printings of a page by one browser are the same but for time."""
    return _pdf_content(old) == _pdf_content(new)


def pdf_producer(content: bytes) -> str:
    """The program that printed a PDF."""
    found = _PDF_PRODUCER.search(content)
    return found[1].decode("latin-1") if found else "an unknown program"


def _pdf_content(content: bytes) -> tuple[bytes, list[bytes]]:
    """Dictionaries and, unpacked, streams."""
    streams = []
    for packed in _PDF_STREAM.findall(content):
        try:
            streams.append(_PDF_PASSING.sub(b"", zlib.decompress(packed)))
        except zlib.error:
            streams.append(packed)
    return _PDF_PASSING.sub(b"", _PDF_STREAM.sub(b"", content)), streams
