"""Where the rows of a table come from: declared files, folders of them, frames given."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cxlab.core.messages import unknown
from cxlab.survey.answers import RawText
from cxlab.survey.definition import Table
from cxlab.survey.exports import read_answers
from cxlab.survey.files import READABLE, text_cells
from cxlab.survey.places import MIRROR_VARIABLE, find_file

#: What reads declared files; the last two leave the rows where they are.
ENGINES = ("pandas", "duckdb", "polars")


def find_files(file: str, folder: Path) -> list[Path]:
    """The files that a study declares: the one named, all of a folder, or those of a pattern.

    Raises
    ------
    FileNotFoundError
        When there is none.
    """
    roots = [folder]
    mirror = os.environ.get(MIRROR_VARIABLE)
    if mirror:
        roots += [Path(mirror), Path(mirror) / folder.name]
    for root in roots:
        if (root / file).is_dir():
            return _files_in(root / file, file)
    try:
        return [find_file(file, folder)]
    except FileNotFoundError:
        pattern = _pattern(file)
        for root in roots if pattern else []:
            matched = sorted(path for path in root.glob(pattern) if _wanted(path, file))
            if matched:
                return matched
        raise


def _files_in(folder: Path, file: str) -> list[Path]:
    found = [path for path in folder.iterdir() if _answers(path)]
    if not found:
        raise FileNotFoundError(
            f"{file} must hold files of answers ({', '.join(READABLE)}); got none."
        )
    return sorted(found)


def _pattern(file: str) -> str:
    """A declared name as a pattern; empty where it is none.

    ``*``, ``?`` and ranges such as ``[0-9]`` make a pattern. Other brackets are part of a name:
    as a pattern, ``wave[1].csv`` would be its neighbour ``wave1.csv``.

    Examples
    --------
    >>> _pattern("wave[1].csv"), _pattern("[final] wave[0-9].csv")
    ('', '[[]final] wave[0-9].csv')
    """
    ranges = r"!?.-.[^]]*\]"
    is_pattern = re.search(rf"[*?]|\[{ranges}", file)
    return re.sub(rf"\[(?!{ranges})", "[[]", file) if is_pattern else ""


def read_text(paths: Sequence[Path], table: Table) -> RawText:
    """Declared files as one raw text table in memory.

    Raises
    ------
    ValueError
        For files whose headers differ.
    """
    frames = [read_answers(path, table) for path in paths]
    check_same_headers([list(map(str, frame.columns)) for frame in frames], paths)
    cells = pd.concat(frames, ignore_index=True) if len(frames) > 1 else frames[0]
    return RawText(cells, table_name(paths))


def table_name(paths: Sequence[Path]) -> str:
    """What messages call a table of one or several files."""
    return paths[0].name if len(paths) == 1 else f"{paths[0].parent.name}/{paths[0].name} …"


def check_same_headers(headers: Sequence[Sequence[str]], paths: Sequence[Path]) -> None:
    """Refuse files of one table whose headers differ, or stand twice."""
    for header, path in zip(headers, paths, strict=True):
        twice = sorted({one for one in header if list(header).count(one) > 1})
        if twice:
            raise ValueError(
                f"{path.name}: headers must be unique; got '{twice[0]}' twice. "
                "Rename one in the file."
            )
        other = sorted(set(header) ^ set(headers[0]))
        if other:
            raise ValueError(
                f"{path.name} must have the columns of {paths[0].name}; '{other[0]}' is in one of "
                "them only. Make them alike, or declare each file as a period."
            )


def given_tables(table: Table, source: Any, wanted: Sequence[str] | None) -> dict[str, Any]:
    """Period to the raw table that stands in for its file; ``""`` for a table of all periods.

    Raises
    ------
    ValueError
        When it is not said which period a raw table holds.
    """
    if "" in table.files:
        return {"": source}
    if isinstance(source, Mapping):
        given = {str(period): raw for period, raw in source.items()}
        for period in [*given, *(wanted or [])]:
            if period not in table.files:
                raise ValueError(unknown("period", period, table.files))
        return {period: given[period] for period in wanted or given if period in given}
    if wanted is None or len(wanted) != 1:
        raise ValueError(
            f"`source` must be a mapping of period to raw table, because table '{table.name}' has a "
            f"file per period; got {type(source).__name__}. Or name its one period in `period`."
        )
    if wanted[0] not in table.files:
        raise ValueError(unknown("period", wanted[0], table.files))
    return {wanted[0]: source}


def in_memory(engine: str, given: Mapping[str, Any] | None) -> bool:
    """Whether the answers are read into a pandas frame.

    Raises
    ------
    ValueError
        For an unknown engine, or one that is not the given tables' own.
    """
    if engine not in ENGINES:
        raise ValueError(unknown("engine", engine, ENGINES))
    if given is None:
        return engine == "pandas"
    if engine != "pandas":
        raise ValueError(
            f"`engine` must be left out with `source`, whose own engine is used; got '{engine}'."
        )
    kinds = {isinstance(raw, pd.DataFrame) for raw in given.values()}
    if len(kinds) > 1:
        raise ValueError("`source` must hold frames of one engine; got pandas and others.")
    return kinds == {True}


def as_raw_text(raw: RawText | pd.DataFrame) -> RawText:
    """A pandas frame as a file of it would read."""
    return raw if isinstance(raw, RawText) else RawText(text_cells(raw), "`source`")


def read_lazily(
    table: Table,
    files: Mapping[str, Sequence[Path]],
    given: Mapping[str, Any] | None,
    engine: str,
    **options: Any,
) -> Any:
    """Cleaned answers of declared files or given tables as a lazy frame of their engine."""
    # here, because pandas users need neither narwhals nor duckdb
    from cxlab.survey.lazy import SINGLE_THREAD_ROWS, Opener, lazy_answers, raw_frame

    if given is not None:
        return lazy_answers(
            table, {period: raw_frame(raw) for period, raw in given.items()}, **options
        )[0].to_native()
    opener = Opener(engine)
    raws = {period: opener.open(paths, table) for period, paths in files.items()}
    rows, n = lazy_answers(table, raws, **options)
    if n < SINGLE_THREAD_ROWS:
        opener.duckdb.execute("SET threads = 1")
    return rows.to_native()


def _answers(path: Path) -> bool:
    kinds = [suffix.lower() for suffix in path.suffixes if suffix != ".gz"]
    return _wanted(path) and bool(kinds) and kinds[-1] in READABLE


def _wanted(path: Path, pattern: str = "") -> bool:
    """Whether it is a file that is not hidden, as macOS's ._a.csv, unless it is asked for."""
    hidden = path.name.startswith(".") and not Path(pattern).name.startswith(".")
    return path.is_file() and not hidden
