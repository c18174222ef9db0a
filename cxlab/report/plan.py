"""``reports.toml``: the periodic set, so that a scheduler calls one command."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cxlab.core.messages import unknown
from cxlab.report.limits import CELL_SECONDS, check_timeout
from cxlab.report.matrix import Request

KEYS = ("study", "periods", "each", "where", "notebooks", "set", "to", "timeout")
#: Instead of a list of periods: every one on its own.
ALL = "all"


def read_plan(path: str | Path) -> list[Request]:
    """The requests that a plan lists.

    Parameters
    ----------
    path : path
        A TOML file of ``[[reports]]`` entries: ``study`` (a name, or a path from the
        plan's folder), ``periods`` (a list; ``"latest"``; ``"all"``), ``each``, ``where``,
        ``notebooks``, ``set``, ``to`` and ``timeout`` (seconds a cell). All but ``study`` may be left out.

    Returns
    -------
    list of Request

    Raises
    ------
    ValueError
        For a key or a value of another kind, naming the entry.
    FileNotFoundError
        When there is no such file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"`plan` must be a file of [[reports]] entries; got '{path}'.")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} must be valid TOML in UTF-8; got {error}.") from error
    for key in content:
        if key != "reports":
            raise ValueError(unknown("key", key, ["reports"], of=path.name))
    entries = content.get("reports")
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path.name} must have at least one [[reports]] entry; got none.")
    return [
        _request(entry, f"{path.name}, entry {number}", path.parent)
        for number, entry in enumerate(entries, start=1)
    ]


def _request(entry: Mapping[str, Any], place: str, folder: Path) -> Request:
    for key in entry:
        if key not in KEYS:
            raise ValueError(unknown("key", key, KEYS, of=place))
    study = entry.get("study")
    if not isinstance(study, str) or not study:
        raise ValueError(f"{place}: `study` must be a name or a path; got {study!r}.")
    periods = _texts(entry, "periods", place)
    every = periods == [ALL]
    return Request(
        study=str(folder / study) if (folder / study).is_file() else study,
        periods=[None] if every or not periods else list(periods),
        all_periods=every,
        each=_texts(entry, "each", place),
        where=_pairs(entry, "where", place),
        notebooks=_texts(entry, "notebooks", place),
        settings=_pairs(entry, "set", place),
        formats=_texts(entry, "to", place),
        timeout=check_timeout(entry.get("timeout", CELL_SECONDS), f"{place}: "),
    )


def _texts(entry: Mapping[str, Any], key: str, place: str) -> list[str]:
    value = entry.get(key, [])
    listed = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int) and not isinstance(one, bool) for one in listed):
        raise ValueError(f"{place}: `{key}` must be text or a list of texts; got {value!r}.")
    return [str(one) for one in listed]


def _pairs(entry: Mapping[str, Any], key: str, place: str) -> dict[str, str]:
    value = entry.get(key, {})
    if not isinstance(value, Mapping):
        raise ValueError(f"{place}: `{key}` must be a table of name = value; got {value!r}.")
    return {name: str(one) for name, one in value.items()}
